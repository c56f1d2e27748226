"""Order lists: which orders depend on each other, what one's end means for the others, and how that is told.

A pair (OCO) stands in the book, which ends one order with the other. Of an OTO list the working order does, and its
pending ones wait here until it is filled; when it ends otherwise they end with it. They are placed even when the account
was paused meanwhile: they were ordered before. All of it follows from the journals:
that a list was placed, and what the books told of its orders.

Must not know: how money moves, where orders stand.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final, Protocol

import msgspec
import numpy as np

from market.enums import CommandKind, Contingency, ExecType, ListRole, ListStatus, OrdStatus
from market.reasons import Reason
from market.records import CLIENT_ORDER_ID_BYTES, COMMAND, REPORT, Records, copied, joined

ENDED_KEPT: Final = 4096
"""Lists that ended, for questions; older ones are in the read models."""
_ENDED: Final = frozenset(
    (OrdStatus.FILLED, OrdStatus.CANCELED, OrdStatus.REJECTED, OrdStatus.EXPIRED, OrdStatus.EXPIRED_IN_MATCH)
)
_CANCELS: Final = frozenset((CommandKind.CANCEL, CommandKind.CANCEL_ALL))


class OrderList(msgspec.Struct):
    list_id: int
    """The order id of its first order."""
    account: int
    symbol: int
    contingency: Contingency
    name: bytes
    """Its client order id, without padding."""
    created_ns: int
    updated_ns: int
    order_ids: list[int]
    names: list[bytes]
    """Client order ids of its orders, without padding."""
    is_open: list[bool]
    pending: bytes = b""
    """COMMAND[n] of the pending orders, as they are to be placed."""
    started: bool = False
    """A book has accepted its first order."""
    filled_lots: int = 0
    """Of the working order, once it is filled: it is the turn of the pending ones."""
    ends: dict[int, tuple[int, int]] = {}
    """Status and reason of those that ended, by order id."""

    @property
    def status(self) -> ListStatus:
        return ListStatus.EXECUTING if any(self.is_open) else ListStatus.ALL_DONE

    def commands(self) -> Records:
        return copied(self.pending, COMMAND)

    def amended_with(self, order_id: int) -> list[int]:
        """The pending orders that have one quantity with this one: itself last."""
        return [other for other in self.order_ids[1:] if other != order_id] + [order_id]


class Desk(Protocol):
    """What lists need of the ledger that they are part of."""

    def told(self, account: int, order_id: int) -> Records:
        """REPORT[1] of an order that waits."""

    def end(self, account: int, order_id: int) -> None:
        """Of an order that waits."""

    def sign(self, account: int, symbol: int, reports: Records, ts_ns: int) -> None:
        """Number the reports on the account's private stream and tell its balances."""


class OrderLists:
    """Those of one partition of accounts."""

    def __init__(self, lists: Iterable[OrderList] = ()) -> None:
        self._open = {one.list_id: one for one in lists}
        self._by_name = {(one.account, one.name): one for one in self._open.values()}
        self._ended: deque[OrderList] = deque(maxlen=ENDED_KEPT)
        self._filled: list[int] = [one.list_id for one in self._open.values() if one.filled_lots]
        self._changed: dict[int, OrderList] = {}
        self._just_placed: set[int] = set()
        """Whose first order was accepted in the batch that is followed: who placed them still waits for the answer."""

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[OrderList]:
        """The open ones, oldest first."""
        return iter(sorted(self._open.values(), key=lambda one: one.list_id))

    def copy(self) -> "OrderLists":
        return OrderLists(msgspec.msgpack.decode(self.encode(), type=list[OrderList]))

    def encode(self) -> bytes:
        """What the journals say: equal for equal states."""
        return msgspec.msgpack.encode(list(self))

    # -- questions --------------------------------------------------------------------------------------------

    @property
    def wait(self) -> bool:
        """Orders of some wait for another order to be filled."""
        return any(one.pending and not one.filled_lots for one in self._open.values())

    def find(self, account: int, list_id: int = 0, name: bytes = b"") -> OrderList | None:
        """By either id, open or ended not long ago."""
        if list_id:
            found = self._open.get(list_id) or next((one for one in self._ended if one.list_id == list_id), None)
        else:
            ended = (one for one in reversed(self._ended) if (one.account, one.name) == (account, name))
            found = self._by_name.get((account, name)) or next(ended, None)
        return found if found is not None and found.account == account else None

    def of(self, account: int) -> list[OrderList]:
        return [one for one in self if one.account == account]

    def is_named(self, account: int, name: bytes) -> bool:
        return (account, name) in self._by_name

    def count(self, account: int, symbol: int) -> int:
        return sum(one.account == account and one.symbol == symbol for one in self._open.values())

    def get(self, list_id: int) -> OrderList | None:
        """An open one."""
        return self._open.get(list_id)

    def take_changed(self) -> list[OrderList]:
        """Those that were told of since the last time."""
        changed, self._changed = self._changed, {}
        return list(changed.values())

    def take_filled(self) -> list[OrderList]:
        """Those whose pending orders may have to be placed."""
        filled, self._filled = self._filled, []
        return [self._open[list_id] for list_id in filled if list_id in self._open]

    def never_started(self) -> list[int]:
        return [one.list_id for one in self if not one.started]

    # -- what happens to them -----------------------------------------------------------------------------------

    def place(self, name: bytes, commands: Records, ts_ns: int) -> None:
        """A journaled list; `commands` as the account completed them."""
        first = commands[0]
        pair = first["list_role"] == ListRole.OCO_FIRST
        pending = commands[:0] if pair else commands[1:].copy()
        one = OrderList(
            list_id=int(first["list_id"]),
            account=int(first["account"]),
            symbol=int(first["symbol"]),
            contingency=Contingency.OCO if pair else Contingency.OTO,
            name=name.rstrip(b"\0"),
            created_ns=ts_ns,
            updated_ns=ts_ns,
            order_ids=commands["order_id"].tolist(),
            names=commands["client_order_id"].tolist(),
            is_open=[True] * len(commands),
            pending=pending.tobytes(),
        )
        self._open[one.list_id] = one
        self._by_name[one.account, one.name] = one

    def follow(self, reports: Records, desk: Desk) -> Records:
        """REPORT[m] that a batch caused, with what it means for lists after it, at the time of each."""
        told: list[Records] = []
        self._just_placed.clear()
        for row in reports[reports["list_id"] != 0]:
            one = self._open.get(int(row["list_id"]))
            if one is not None and int(row["order_id"]) in one.order_ids:
                told += self._follow(one, row, int(row["ts_ns"]), desk)
        if not told:
            return reports
        return _answered(joined([reports, *told], REPORT), len(reports))

    def _follow(self, one: OrderList, row: np.void, ts_ns: int, desk: Desk) -> list[Records]:
        if row["exec_type"] == ExecType.REJECTED:
            return self._refuse(one, desk, ts_ns)
        told: list[Records] = []
        place = one.order_ids.index(int(row["order_id"]))
        renamed = one.names[place] != bytes(row["client_order_id"])
        one.names[place] = bytes(row["client_order_id"])
        if not one.started:
            one.started = True
            self._just_placed.add(one.list_id)
            told += [self._tell_list(one, desk, ts_ns), *self._tell_pending(one, desk, ts_ns)]
        if renamed and one.started:
            told.append(self._tell_list(one, desk, ts_ns, int(row["command_kind"])))
        if row["ord_status"] in _ENDED:
            one.is_open[place] = False
            one.ends[int(row["order_id"])] = int(row["ord_status"]), int(row["reason"])
            if place == 0 and one.pending:
                told += self._leader_ended(one, row, desk, ts_ns)
            if not any(one.is_open):
                self._close(one)
                told.append(self._tell_list(one, desk, ts_ns))
        return told

    def _leader_ended(self, one: OrderList, row: np.void, desk: Desk, ts_ns: int) -> list[Records]:
        if row["ord_status"] == OrdStatus.FILLED:
            one.filled_lots = int(row["cum_qty_lots"])
            self._filled.append(one.list_id)
            return []
        canceled = row["ord_status"] == OrdStatus.CANCELED
        told = self._end_pending(one, Reason.USER_CANCELED if canceled else Reason.PENDING_NEVER_PLACED, desk, ts_ns)
        if one.list_id in self._just_placed:
            for report, command in zip(told, one.commands(), strict=True):
                report["token"], report["gateway"] = command["token"], command["gateway"]
        elif row["command_kind"] in _CANCELS:
            for report in told:
                report["token"], report["gateway"] = row["token"], row["gateway"]
        return told

    def amend(self, one: OrderList, command: Records, desk: Desk, ts_ns: int) -> list[Records]:
        """Journaled, and done by the ledger: a pending order has another quantity, perhaps another name."""
        order_id, name = int(command["order_id"][0]), bytes(command["client_order_id"][0])
        pending = one.commands()
        pending["qty_lots"] = command["qty_lots"][0]
        if name:
            pending["client_order_id"][pending["order_id"] == order_id] = name
            one.names[one.order_ids.index(order_id)] = name
        one.pending = pending.tobytes()
        told = []
        for member in one.amended_with(order_id):
            report = desk.told(one.account, member)
            report["exec_type"], report["command_kind"] = ExecType.REPLACED, CommandKind.AMEND
            desk.sign(one.account, one.symbol, report, ts_ns)
            told.append(report)
        told[-1]["token"], told[-1]["gateway"], told[-1]["last"] = command["token"], command["gateway"], 1
        return [*told, self._tell_list(one, desk, ts_ns, CommandKind.AMEND)] if name else told

    def end(self, list_id: int, reason: int, desk: Desk, ts_ns: int) -> list[Records]:
        """Journaled: its pending orders cannot be placed, or no book ever saw its first order."""
        one = self._open.get(list_id)
        if one is None:
            return []
        if not one.started:
            return self._refuse(one, desk, ts_ns)
        told = self._end_pending(one, Reason(reason), desk, ts_ns)
        self._close(one)
        return [*told, self._tell_list(one, desk, ts_ns)]

    def _refuse(self, one: OrderList, desk: Desk, ts_ns: int) -> list[Records]:
        """It never was; those who wait for an answer about its pending orders get one."""
        del self._open[one.list_id], self._by_name[one.account, one.name]
        told = []
        for command in one.commands():
            report = desk.told(one.account, int(command["order_id"]))
            desk.end(one.account, int(command["order_id"]))
            report["exec_type"], report["ord_status"] = ExecType.REJECTED, OrdStatus.REJECTED
            report["reason"] = Reason.OCO_PAIR_REFUSED
            report["token"], report["gateway"] = command["token"], command["gateway"]
            report["ts_ns"] = ts_ns
            told.append(report)
        return told

    def _close(self, one: OrderList) -> None:
        del self._open[one.list_id], self._by_name[one.account, one.name]
        self._ended.append(one)

    def _tell_pending(self, one: OrderList, desk: Desk, ts_ns: int) -> list[Records]:
        told = []
        for command in one.commands():
            report = desk.told(one.account, int(command["order_id"]))
            report["exec_type"] = ExecType.NEW
            report["token"], report["gateway"] = command["token"], command["gateway"]
            desk.sign(one.account, one.symbol, report, ts_ns)
            told.append(report)
        return told

    def _end_pending(self, one: OrderList, reason: Reason, desk: Desk, ts_ns: int) -> list[Records]:
        told = []
        canceled = reason == Reason.USER_CANCELED
        for place in range(1, len(one.order_ids)):
            if not one.is_open[place]:
                continue
            report = desk.told(one.account, one.order_ids[place])
            desk.end(one.account, one.order_ids[place])
            one.is_open[place] = False
            report["exec_type"] = ExecType.CANCELED if canceled else ExecType.EXPIRED
            report["ord_status"] = OrdStatus.CANCELED if canceled else OrdStatus.EXPIRED
            report["reason"] = reason
            one.ends[one.order_ids[place]] = int(report["ord_status"][0]), int(reason)
            desk.sign(one.account, one.symbol, report, ts_ns)
            told.append(report)
        return told

    def _tell_list(self, one: OrderList, desk: Desk, ts_ns: int, command_kind: int = 0) -> Records:
        """`market.records` says how; AMEND when an order of it was amended."""
        one.updated_ns = ts_ns
        self._changed[one.list_id] = one
        reports = np.zeros(1 + len(one.order_ids), REPORT)
        reports["exec_type"] = ExecType.LIST
        reports["ord_type"] = one.contingency
        reports["ord_status"] = one.status
        reports["symbol"] = one.symbol
        reports["list_id"] = one.list_id
        reports["command_kind"] = command_kind
        reports["created_ns"] = one.created_ns
        reports["commission_asset"] = reports["asset"] = -1
        reports["qty_lots"][0] = len(one.order_ids)
        reports["order_id"][1:] = one.order_ids
        reports["leaves_lots"][1:] = one.is_open
        reports["client_order_id"] = [name.ljust(CLIENT_ORDER_ID_BYTES, b"\0") for name in (one.name, *one.names)]
        desk.sign(one.account, one.symbol, reports, ts_ns)
        return reports


def _answered(reports: Records, first_told: int) -> Records:
    """Who is answered by a report of a list's order waits for the last such report."""
    for token in set(reports["token"][first_told:].tolist()) - {0}:
        places = np.flatnonzero(reports["token"] == token)
        reports["last"][places] = 0
        reports["last"][places[-1]] = 1
    return reports
