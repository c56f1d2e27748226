"""Between packed frames and the exchange's records: whole frames at a time, no Python object for a plain order.

The rules are those of `serve.orders`. A kernel tells which orders are plain and pass every filter; each of the others is
turned into the `Order` that JSON would have made of it and goes the same way, to its command or its refusal.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from market.enums import ExecType, OrdStatus, OrdType, StpMode
from market.instrument import BIPS, Instrument, from_steps, from_units
from market.records import CLIENT_ORDER_ID_BYTES, COMMAND, Records, opaque, picked
from serve.errors import CATALOGUE, REFUSALS, ApiError, Code
from serve.orders import ORD_TYPES, TIFS, OrderDesk, client_key
from serve.packed import (
    CLIENT_ORDER_ID_CHARS,
    FIELD_NUMBERS,
    FILL,
    REASON_VALIDATION,
    RESULT,
    reason_number,
)
from serve.packed_kernel import FINE, LEFT, UNNAMED, kernels, read_only, warm, words
from serve.schema import MAX_BATCH, Order, OrdTypeName, SideName, StpName, TifName

Column = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

_BUY_SELL: Final = (SideName.BUY, SideName.SELL)
_STP_NAMES: Final = [StpName(one.name) for one in StpMode]
_NO_FILLS: Final[Records] = np.zeros(0, FILL)
_EVERY: Final = np.arange(MAX_BATCH)

_FIELD_OF_REASON: Final = np.zeros(256, np.uint8)
for _reason, _code in REFUSALS.items():
    _FIELD_OF_REASON[_reason] = FIELD_NUMBERS[CATALOGUE[_code].field]


class Refused(NamedTuple):
    """One order of a frame that no account is asked about."""

    place: int
    reason: int
    field: int


class Checked(NamedTuple):
    """A frame's orders: those that may be sent, and the others."""

    size: int
    commands: Records
    places: Column | None
    """int64: the place in the frame of each command; None: every order has one."""
    refused: list[Refused]


class PackedDesk:
    """Converts for the same instruments as its desk."""

    def __init__(self, desk: OrderDesk) -> None:
        self._desk = desk
        self._limits = np.array([_limits_of(terms.instrument) for terms in desk.terms], np.int64)
        warm()
        self._quotes = np.array([desk.asset_ids[terms.quote.name] for terms in desk.terms], np.int32)

    # -- commands -------------------------------------------------------------------------------------------------

    def place(self, account: int, orders: Records, new_name: Callable[[], bytes]) -> Checked:
        """NEW commands of PLACE[n]; `new_name` makes up the client_order_id of an order that has none."""
        commands, state = np.zeros(len(orders), COMMAND), np.empty(len(orders), np.uint8)
        if not kernels.place(read_only(orders), words(commands), self._limits, account, state):
            return Checked(len(orders), commands, None, [])
        for k in np.flatnonzero(state == UNNAMED).tolist():
            commands["client_order_id"][k] = new_name()
        return self._one_by_one(account, orders, commands, state != LEFT, new_name)

    def cancel(self, account: int, orders: Records) -> Checked:
        """CANCEL commands of CANCEL[n]."""
        commands, state = np.zeros(len(orders), COMMAND), np.empty(len(orders), np.uint8)
        if not kernels.cancel(read_only(orders), words(commands), account, state):
            return Checked(len(orders), commands, None, [])
        refused = []
        for k in np.flatnonzero(state != FINE).tolist():
            field = "client_order_id" if state[k] == UNNAMED else "order_id"
            refused.append(Refused(k, REASON_VALIDATION, FIELD_NUMBERS[field]))
        return _checked(commands, state == FINE, refused)

    def _one_by_one(
        self,
        account: int,
        orders: Records,
        commands: Records,
        fine: Mask,
        new_name: Callable[[], bytes],
    ) -> Checked:
        """Those that are not plain, or not right."""
        refused = []
        for k in np.flatnonzero(~fine).tolist():
            try:
                order, name = self._order(orders[k])
                packed = self._desk.place(account, order, order.side.code, name or new_name())
                opaque(commands)[k] = np.frombuffer(packed, opaque(commands).dtype)[0]
                fine[k] = True
            except ApiError as error:
                refused.append(Refused(k, reason_number(error.code), FIELD_NUMBERS.get(error.field, 0)))
        return _checked(commands, fine, refused)

    def _order(self, one: Any) -> tuple[Order, bytes]:
        """The order as JSON would have it, and its client_order_id."""
        name = one.tobytes()[-CLIENT_ORDER_ID_BYTES:].rstrip(b"\0")
        client_key(name.decode("latin-1"))
        if len(name) > CLIENT_ORDER_ID_CHARS:
            raise ApiError(Code.VALIDATION, "A client_order_id has at most 36 characters.", "client_order_id")
        for field, known in (("side", 2), ("type", len(OrdType)), ("time_in_force", 3), ("stp_mode", len(StpMode))):
            if one[field] >= known:
                raise ApiError(Code.VALIDATION, f"There is no {field} {one[field]}.", field)
        if one["zero"]:
            raise ApiError(Code.VALIDATION, "The reserved bytes must be zero.")
        if not 0 <= one["trailing_bips"] < BIPS:
            raise ApiError(Code.VALIDATION, "The trailing_bips must be below 10,000.", "trailing_bips")
        if one["symbol_id"] >= len(self._desk.terms):
            raise ApiError(Code.UNKNOWN_SYMBOL, "There is no such symbol; see /api/market/symbols.", "symbol")
        terms = self._desk.terms[one["symbol_id"]]

        def steps(field: str, step: Any) -> str | None:
            return from_steps(int(one[field]), step) if one[field] else None

        return Order(
            symbol=terms.symbol,
            side=_BUY_SELL[one["side"]],
            type=OrdTypeName(ORD_TYPES[one["type"]]),
            time_in_force=TifName(TIFS[one["time_in_force"]]),
            stp_mode=_STP_NAMES[one["stp_mode"]],
            price=steps("price_ticks", terms.tick),
            quantity=steps("qty_lots", terms.lot),
            quote_quantity=from_units(int(one["quote_units"]), terms.quote.scale) if one["quote_units"] else None,
            stop_price=steps("stop_price_ticks", terms.tick),
            display_quantity=steps("display_lots", terms.lot),
            trailing_bips=int(one["trailing_bips"]) or None,
        ), name

    # -- answers --------------------------------------------------------------------------------------------------

    def results(self, checked: Checked, reports: Records, named: Records | None = None) -> tuple[Records, Records]:
        """RESULT[n] in the frame's order and FILL[m], from the REPORT[k] that answer the commands, in their order.

        `named`: of cancels, the frame's CANCEL[n].
        """
        told, fills = np.zeros(checked.size, RESULT), _NO_FILLS
        places = _EVERY[: checked.size] if checked.places is None else checked.places
        if named is not None and len(reports) > len(places):
            reports = _only_named(reports, named[places])
        trades = kernels.tell(read_only(reports), places, words(told), _FIELD_OF_REASON) if len(reports) else 0
        if trades and named is None:
            fills = self._fills(reports, places)
            told["fills"] = np.bincount(fills["result"], minlength=checked.size)
        for one in checked.refused:
            told["status"][one.place], told["reason"][one.place] = OrdStatus.REJECTED, one.reason
            told["field"][one.place] = one.field
        return told, fills

    def _fills(self, reports: Records, places: Column) -> Records:
        at, ends = np.flatnonzero(reports["exec_type"] == ExecType.TRADE), np.flatnonzero(reports["last"])
        trades = picked(reports, at)
        fills = np.zeros(len(at), FILL)
        fills["trade_id"], fills["price_ticks"] = trades["trade_id"], trades["last_price_ticks"]
        fills["qty_lots"], fills["commission_units"] = trades["last_qty_lots"], trades["commission_units"]
        fills["result"] = places[np.searchsorted(ends, at)]
        fills["in_quote"] = trades["commission_asset"] == self._quotes[trades["symbol"]]
        return fills


def _limits_of(one: Instrument) -> tuple[int, ...]:
    per = one.quote_units_per_tick_lot
    return (
        one.min_price_ticks, one.max_price_ticks, one.min_qty_lots, one.max_qty_lots,
        -(-one.min_notional_units // per), one.max_notional_units // per,
        one.market_min_qty_lots, one.market_max_qty_lots, one.min_notional_units, one.max_notional_units,
    )  # fmt: skip


def _checked(commands: Records, fine: Mask, refused: list[Refused]) -> Checked:
    if not refused:
        return Checked(len(fine), commands, None, refused)
    return Checked(len(fine), picked(commands, fine), np.flatnonzero(fine), refused)


def _only_named(reports: Records, named: Records) -> Records:
    """Of each cancel the newest report of the order that it names: it may end other orders of a list, too."""
    ends = np.flatnonzero(reports["last"])
    starts = np.append(0, ends[:-1] + 1)
    at = ends.copy()
    for k in np.flatnonzero(starts < ends).tolist():
        own = reports[starts[k] : ends[k] + 1]
        by_id = own["order_id"] == named[k]["order_id"]
        by_name = own["client_order_id"] == named[k]["client_order_id"]
        found = np.flatnonzero((by_id if named[k]["order_id"] else by_name) & (own["exec_type"] != ExecType.LIST))
        if len(found):
            at[k] = starts[k] + found[-1]
    told = picked(reports, at)
    told["last"] = 1
    return told
