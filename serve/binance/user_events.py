"""From an account's private reports to the venue's user data events, field by field in the venue's order. Pure.

`externalLockUpdate` never occurs: nobody outside the exchange can lock what an account has here.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec import UNSET

from actors.wire import ReportRow
from market.enums import CommandFlag, CommandKind, ExecType, OrdStatus
from market.instrument import Asset
from market.reasons import Reason
from market.records import REPORT_MAKER
from serve.binance.list_views import CONTINGENCIES, LIST_STATUSES, STATUS_TYPES
from serve.binance.numbers import ZERO, Scale, amount
from serve.binance.order_structs import Opt, OptInt
from serve.binance.order_views import (
    NO_TRADE_GROUP,
    PEGS,
    PRICE_LEVEL,
    STPS,
    client_order_id,
    expiry_reason,
    lost_in,
    own_price,
    prevented_lots,
    quote_order_qty,
)
from serve.orders import EXEC_TYPES, ORD_TYPES, SIDES, STATUSES, TIFS

MATCHES_KEPT: Final = 256
"""Prevented matches of one account that the expiry of an order may still refer to."""
NO_TRADE: Final = -1

_REJECTED, _TRADE = int(ExecType.REJECTED), int(ExecType.TRADE)
_CANCELED, _EXPIRED = int(ExecType.CANCELED), int(ExecType.EXPIRED)
_PREVENTION, _REPLACED = int(ExecType.TRADE_PREVENTION), int(ExecType.REPLACED)
_BALANCE, _CANCEL_REJECTED = int(ExecType.BALANCE), int(ExecType.CANCEL_REJECTED)
_LIST: Final = int(ExecType.LIST)
_TOLD_AS: Final = EXEC_TYPES.copy()
_TOLD_AS[ExecType.TRIGGERED] = _TOLD_AS[ExecType.TRACKING] = ExecType.NEW.name
"""That a stop order went to the book, or began to follow the market, is told as if it were new."""
_REPLACE, _AMEND = int(CommandKind.REPLACE), int(CommandKind.AMEND)
_BY_QUOTE: Final = int(CommandFlag.BY_QUOTE)
_IN_MATCH: Final = int(OrdStatus.EXPIRED_IN_MATCH)
_FILLED: Final = int(OrdStatus.FILLED)
_WORKING: Final = frozenset((int(OrdStatus.NEW), int(OrdStatus.PARTIALLY_FILLED)))
_REJECT_REASONS: Final = {
    int(Reason.INSUFFICIENT_BALANCE): "INSUFFICIENT_BALANCES",
    int(Reason.STOP_WOULD_TRIGGER): "STOP_PRICE_WOULD_TRIGGER_IMMEDIATELY",
    int(Reason.WOULD_TAKE): "WOULD_MATCH_IMMEDIATELY",
    int(Reason.OCO_PRICES): "OCO_BAD_PRICES",
}


class Held(msgspec.Struct, gc=False):
    a: str
    f: str
    l: str  # noqa: E741


class OutboundAccountPosition(msgspec.Struct):
    e: str
    E: int
    u: int
    B: list[Held]


class BalanceUpdate(msgspec.Struct):
    e: str
    E: int
    a: str
    d: str
    T: int


class ExecutionReport(msgspec.Struct):
    e: str
    E: int
    s: str
    c: str
    S: str
    o: str
    f: str
    q: str
    p: str
    P: str
    F: str
    g: int
    C: str
    x: str
    X: str
    r: str
    i: int
    l: str  # noqa: E741
    z: str
    L: str
    n: str
    N: str | None
    T: int
    t: int
    I: int  # noqa: E741
    w: bool
    m: bool
    M: bool
    O: int  # noqa: E741
    Z: str
    Y: str
    Q: str
    W: OptInt
    V: str
    v: OptInt = UNSET
    A: Opt = UNSET
    B: Opt = UNSET
    u: OptInt = UNSET
    U: OptInt = UNSET
    Cs: Opt = UNSET
    pl: Opt = UNSET
    pL: Opt = UNSET
    pY: Opt = UNSET
    d: OptInt = UNSET
    D: OptInt = UNSET
    gP: Opt = UNSET
    gOT: Opt = UNSET
    gOV: OptInt = UNSET
    gp: Opt = UNSET
    eR: Opt = UNSET


class ListedOrder(msgspec.Struct, gc=False):
    s: str
    i: int
    c: str


class ListEvent(msgspec.Struct):
    """listStatus."""

    e: str
    E: int
    s: str
    g: int
    c: str
    l: str  # noqa: E741
    L: str
    r: str
    C: str
    T: int
    O: list[ListedOrder]  # noqa: E741


class StreamEnded(msgspec.Struct):
    """eventStreamTerminated."""

    e: str
    E: int


class ListenKeyExpired(msgspec.Struct):
    e: str
    E: str
    listenKey: str


Event = ExecutionReport | OutboundAccountPosition | BalanceUpdate | ListEvent


class AccountEvents:
    """What one account's reports tell. Reports come in order, each once."""

    def __init__(self, scales: Sequence[Scale], assets: Sequence[Asset]) -> None:
        self._scales = scales
        self._assets = assets
        self._held: dict[int, tuple[int, int]] = {}
        """By asset: free and locked as last told."""
        self._matches: OrderedDict[tuple[int, int, int], ReportRow] = OrderedDict()
        """Prevented matches by symbol, number and order."""

    def of(self, rows: Sequence[ReportRow], cancel_name: Callable[[ReportRow], str | None]) -> "list[Told]":
        """What is told of reports that came together. `cancel_name`: of the cancel that a report tells of, if of one."""
        told: list[Told] = []
        ends = {row.order_id: row for row in rows if row.exec_type == _EXPIRED and row.ord_status == _FILLED}
        listed: list[ReportRow] = []
        for row in rows:
            if row.exec_type == _PREVENTION:
                self._note_match(row)
        in_match = {_match(row) for row in rows if row.exec_type == _EXPIRED and row.trade_id}
        for k, row in enumerate(rows):
            if row.exec_type == _LIST:
                if row.order_id:
                    listed.append(row)
                else:
                    listed = []
                    told.append(Told(row, listed=listed))
                continue
            if row.exec_type == _PREVENTION and _match(row) in in_match:
                continue  # it ended by this match, which its expiry tells
            if end := ends.get(row.order_id):
                # An order by quote amount is filled by its last trade; that the rest of its budget went back is not told.
                if row is end and row.cum_qty_lots:
                    continue
                if row.exec_type == _TRADE and row.cum_qty_lots == end.cum_qty_lots:
                    row = rows[k]._replace(
                        ord_status=_FILLED, base_free=end.base_free, base_locked=end.base_locked,
                        quote_free=end.quote_free, quote_locked=end.quote_locked,
                    )  # fmt: skip
            told += self._of(row, cancel_name(row))
        while len(self._matches) > MATCHES_KEPT:
            self._matches.popitem(last=False)
        return told

    def _of(self, row: ReportRow, canceled_as: str | None) -> "list[Told]":
        kind = row.exec_type
        if kind == _CANCEL_REJECTED or (kind == _REJECTED and row.command_kind != _REPLACE):
            return []  # the venue tells the one who asked, and nobody else
        if kind == _BALANCE:
            changed = [(row.asset, row.base_free, row.base_locked)]
            return [*self._positions(row, changed), Told(row, posted=True)]
        if kind == _PREVENTION and not row.last_qty_lots:
            return []  # it cost only the other order something
        told = [Told(row, match=self._match_of(row), canceled_as=canceled_as)]
        if kind != _REJECTED:
            terms = self._scales[row.symbol].terms
            base, quote = self._ids(terms.base), self._ids(terms.quote)
            told += self._positions(
                row, [(base, row.base_free, row.base_locked), (quote, row.quote_free, row.quote_locked)]
            )
        return told

    def _ids(self, asset: Asset) -> int:
        return self._assets.index(asset)

    def _positions(self, row: ReportRow, now: list[tuple[int, int, int]]) -> "list[Told]":
        if all(self._held.get(asset) == (free, locked) for asset, free, locked in now):
            return []
        for asset, free, locked in now:
            self._held[asset] = free, locked
        return [Told(row, balances=now)]

    def _note_match(self, row: ReportRow) -> None:
        self._matches[_match(row)] = row

    def _match_of(self, row: ReportRow) -> ReportRow | None:
        """The order's report of the prevented match that ended it, or is told."""
        return None if row.exec_type == _TRADE else self._matches.get(_match(row))

    # -- as events ------------------------------------------------------------------------------------------------

    def event(self, told: "Told", unit_ns: int, now_ns: int) -> Event:
        row = told.row
        if told.posted:
            asset = self._assets[row.asset]
            return BalanceUpdate(
                "balanceUpdate", now_ns // unit_ns, asset.name, _signed(row.last_quote_units, asset.scale),
                row.ts_ns // unit_ns,
            )  # fmt: skip
        if told.balances is not None:
            held = [
                Held(self._assets[asset].name, amount(free, self._assets[asset].scale),
                     amount(locked, self._assets[asset].scale))
                for asset, free, locked in told.balances
            ]  # fmt: skip
            return OutboundAccountPosition("outboundAccountPosition", now_ns // unit_ns, row.ts_ns // unit_ns, held)
        if told.listed is not None:
            return self._list_status(row, told.listed, unit_ns, now_ns)
        return self._execution(told, unit_ns, now_ns)

    def _list_status(self, row: ReportRow, listed: list[ReportRow], unit_ns: int, now_ns: int) -> ListEvent:
        symbol = self._scales[row.symbol].symbol
        renamed = row.command_kind == _AMEND
        return ListEvent(
            "listStatus", now_ns // unit_ns, symbol, row.list_id, CONTINGENCIES[row.ord_type],
            "UPDATED" if renamed else STATUS_TYPES[row.ord_status], LIST_STATUSES[row.ord_status], "NONE",
            client_order_id(row), row.ts_ns // unit_ns,
            [ListedOrder(symbol, one.order_id, client_order_id(one)) for one in listed],
        )  # fmt: skip

    def _execution(self, told: "Told", unit_ns: int, now_ns: int) -> ExecutionReport:
        row, scale = told.row, self._scales[told.row.symbol]
        price, quantity, quote = scale.price, scale.quantity, scale.quote
        kind, status = row.exec_type, row.ord_status
        trade, own = kind == _TRADE, client_order_id(row)
        in_match = kind == _EXPIRED and status == _IN_MATCH
        by_quote = bool(row.flags & _BY_QUOTE)
        since = row.working_ns
        asset = self._assets[row.commission_asset] if trade else None
        event = ExecutionReport(
            "executionReport", now_ns // unit_ns, scale.symbol,
            told.canceled_as or own, SIDES[row.side], ORD_TYPES[row.ord_type], TIFS[row.time_in_force],
            quantity[row.cum_qty_lots if by_quote else row.qty_lots],
            own_price(scale, row), price[row.stop_price_ticks], quantity[row.display_lots], row.list_id or -1,
            own if told.canceled_as else "", _TOLD_AS[_PREVENTION if in_match else kind], STATUSES[status],
            _REJECT_REASONS.get(row.reason, "NONE") if kind == _REJECTED else "NONE",
            row.order_id, quantity[row.last_qty_lots] if trade else ZERO, quantity[row.cum_qty_lots],
            price[row.last_price_ticks] if trade else ZERO,
            "0" if asset is None else amount(row.commission_units, asset.scale),
            None if asset is None else asset.name, row.ts_ns // unit_ns, row.trade_id if trade else NO_TRADE,
            row.exec_id, since > 0 and status in _WORKING, trade and bool(row.flags & REPORT_MAKER), False,
            (row.created_ns or row.ts_ns) // unit_ns, quote[row.cum_quote_units],
            quote[row.last_quote_units] if trade else ZERO, quote_order_qty(scale, row),
            UNSET if not since or kind == _REJECTED else since // unit_ns, STPS[row.stp_mode],
            eR=expiry_reason(status, row.reason) if kind == _EXPIRED else UNSET,
        )  # fmt: skip
        if told.match is not None:
            self._tell_match(event, row, told.match, scale)
        if row.trailing_bips:
            event.d = row.trailing_bips
            if row.tracking_ns:
                event.D = row.tracking_ns // unit_ns
        if row.peg_type:
            self._tell_peg(event, row, scale)
        return event

    @staticmethod
    def _tell_peg(event: ExecutionReport, row: ReportRow, scale: Scale) -> None:
        event.gP = PEGS[row.peg_type]
        if row.peg_offset:
            event.gOT, event.gOV = PRICE_LEVEL, row.peg_offset
        if row.price_ticks:
            event.gp = scale.price[row.price_ticks]

    @staticmethod
    def _tell_match(event: ExecutionReport, row: ReportRow, match: ReportRow, scale: Scale) -> None:
        lots = lost_in(match)
        prevented = scale.quantity[lots]
        event.v = row.trade_id
        event.A = scale.quantity[max(lots, prevented_lots(row))]
        event.B = prevented
        event.u = NO_TRADE_GROUP
        event.U = match.orig_order_id
        event.Cs = scale.symbol
        event.pl = prevented
        event.pL = scale.price[match.last_price_ticks]
        event.pY = scale.quote[lots * match.last_price_ticks * scale.terms.per_tick_lot]


class Told(msgspec.Struct, gc=False):
    """One event before it is written in a unit of time."""

    row: ReportRow
    posted: bool = False
    balances: list[tuple[int, int, int]] | None = None
    match: ReportRow | None = None
    canceled_as: str | None = None
    listed: list[ReportRow] | None = None
    """Of a list's report: those of its orders."""


def _match(row: ReportRow) -> tuple[int, int, int]:
    return row.symbol, row.trade_id, row.order_id


def _signed(units: int, scale: int) -> str:
    return f"-{amount(-units, scale)}" if units < 0 else amount(units, scale)
