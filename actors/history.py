"""The newest private reports of a partition's accounts: for clients that resume from a sequence number, and for
questions about orders that have just ended and are not in the read models yet."""

from typing import Final

import numpy as np

from market.enums import ExecType
from market.records import CLIENT_ORDER_ID_BYTES, REPORT, REPORT_MAKER, Records, opaque

KEPT: Final = 65_536
"""Reports in memory (16 MB), all accounts together."""
SAVED: Final = 8_192
"""Reports in a snapshot (2 MB)."""

_STATE: Final = np.ones(256, np.int64)
"""By exec_type: 0 where a report does not tell how an order stands."""
_STATE[[ExecType.REJECTED, ExecType.CANCEL_REJECTED, ExecType.BALANCE, ExecType.LIST]] = 0
_ORDER_FIELDS: Final = [
    "account", "symbol", "order_id", "orig_order_id", "client_order_id", "side", "ord_type", "time_in_force",
    "stp_mode", "flags", "ord_status", "reason", "price_ticks", "qty_lots", "cum_qty_lots", "leaves_lots",
    "cum_quote_units", "created_ns", "ts_ns", "stop_price_ticks", "display_lots", "prevented_lots", "list_id",
    "working_ns", "tracking_ns", "given", "trailing_bips", "peg_type", "peg_offset", "list_role",
]  # fmt: skip
"""What an answer about an order tells, as the ledger does for open ones; the execution it was last told by is not in it."""


class ReportHistory:
    def __init__(self) -> None:
        self._ring = np.zeros(KEPT, REPORT)
        # The columns that are searched, on their own: looking through a ring of 256-byte rows costs ten times as much.
        self._accounts = np.full(KEPT, -1, np.int32)
        self._orders = np.zeros(KEPT, np.int64)
        """0: the report does not tell how an order stands."""
        self._count = 0

    def add(self, reports: Records) -> None:
        if not len(reports):
            return
        reports = reports[-KEPT:]
        orders = reports["order_id"] * _STATE[reports["exec_type"]]
        at = self._count % KEPT
        first = len(reports)
        if at + first <= KEPT:
            opaque(self._ring)[at : at + first] = opaque(reports)
            self._accounts[at : at + first] = reports["account"]
            self._orders[at : at + first] = orders
            self._count += first
            return
        first = KEPT - at
        columns = ((opaque(self._ring), opaque(reports)), (self._accounts, reports["account"]), (self._orders, orders))
        for kept, new in columns:
            kept[at : at + first] = new[:first]
            kept[: len(reports) - first] = new[first:]
        self._count += len(reports)

    def after(self, account: int, seq: int) -> Records:
        """The account's kept reports numbered above `seq`, oldest first."""
        kept = self._ring[self._places(self._accounts == account)]
        found: Records = kept[kept["seq"] > seq]
        return found

    def order(self, account: int, order_id: int) -> Records:
        """REPORT[0 or 1]: how the order stands after the newest report of it."""
        found = self._ring[self._places(self._orders == order_id)[-1:]] if order_id else self._ring[:0]
        return _orders_of(found[found["account"] == account])

    def named(self, account: int, client_order_id: bytes) -> Records:
        """REPORT[n]: how each order stands that is called so now (an amendment renames), by order id."""
        own = self._places((self._accounts == account) & (self._orders != 0))
        wanted = client_order_id[:CLIENT_ORDER_ID_BYTES].rstrip(b"\0")
        is_named = self._ring["client_order_id"][own] == wanted
        orders = self._orders[own]
        found = _newest(own, orders, np.unique(orders[is_named]))
        return _orders_of(self._ring[found[self._ring["client_order_id"][found] == wanted]])

    def recent_orders(self, account: int, since_ns: int) -> Records:
        """REPORT[n]: how each order stands that was told of since then, by order id."""
        found = self._ring[self._places((self._accounts == account) & (self._orders != 0))]
        found = found[found["ts_ns"] >= since_ns]
        newest = {int(row["order_id"]): k for k, row in enumerate(found)}
        return _orders_of(found[[newest[order_id] for order_id in sorted(newest)]])

    def recent_trades(self, account: int, since_ns: int) -> Records:
        """REPORT[n]: the account's executions since then, oldest first."""
        found = self._ring[self._places(self._accounts == account)]
        trades: Records = found[(found["exec_type"] == ExecType.TRADE) & (found["ts_ns"] >= since_ns)]
        return trades

    def reports_of(self, account: int, order_id: int) -> Records:
        """REPORT[n]: what was told of one order, oldest first, as far as it is kept."""
        found = self._ring[self._places(self._orders == order_id)] if order_id else self._ring[:0]
        own: Records = found[found["account"] == account]
        return own

    def newest_ns(self, account: int) -> int:
        """When the account was told of anything; 0: that is not known any more."""
        own = self._places(self._accounts == account)[-1:]
        return int(self._ring["ts_ns"][own[0]]) if len(own) else 0

    def updated_ns(self, account: int, orders: Records) -> None:
        """Into REPORT[n] of open orders: when each was last told of, where that is still known."""
        own = self._places((self._accounts == account) & (self._orders != 0))
        if not len(own) or not len(orders):
            return
        ids = self._orders[own]
        by_id = np.argsort(ids, kind="stable")
        last = np.searchsorted(ids[by_id], orders["order_id"], side="right") - 1
        newest = own[by_id[last]]
        known = (last >= 0) & (self._orders[newest] == orders["order_id"])
        orders["ts_ns"][known] = self._ring["ts_ns"][newest[known]]

    def save(self) -> bytes:
        return self._in_order()[-SAVED:].tobytes()

    def load(self, data: bytes) -> None:
        self._count = 0
        self._accounts[:] = -1
        self._orders[:] = 0
        self.add(np.frombuffer(data, REPORT))

    def _places(self, wanted: np.typing.NDArray[np.bool_]) -> np.typing.NDArray[np.intp]:
        """Where in the ring, oldest first."""
        found = np.flatnonzero(wanted)
        split = int(np.searchsorted(found, self._count % KEPT)) if self._count > KEPT else 0
        return np.concatenate((found[split:], found[:split]))

    def _in_order(self) -> Records:
        if self._count <= KEPT:
            return self._ring[: self._count]
        at = self._count % KEPT
        return np.concatenate((self._ring[at:], self._ring[:at]))


def _newest(
    places: np.typing.NDArray[np.intp], orders: np.typing.NDArray[np.int64], wanted: np.typing.NDArray[np.int64]
) -> np.typing.NDArray[np.intp]:
    """The last place of each wanted order, all of which occur; `places`, oldest first, are of `orders`."""
    by_id = np.argsort(orders, kind="stable")
    last = np.searchsorted(orders[by_id], wanted, side="right") - 1
    return places[by_id[last]]


def _orders_of(reports: Records) -> Records:
    orders = np.zeros(len(reports), REPORT)
    for field in _ORDER_FIELDS:
        orders[field] = reports[field]
    orders["flags"] &= ~np.uint8(REPORT_MAKER)
    orders["commission_asset"] = orders["asset"] = -1
    return orders
