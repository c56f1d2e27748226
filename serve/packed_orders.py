"""Between packed frames and the exchange's records: whole columns at a time, no Python object for a plain order.

The rules are those of `serve.orders`. Columns tell which orders are plain and pass every filter; each of the others is
turned into the `Order` that JSON would have made of it and goes the same way, to its command or its refusal.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from market.enums import CommandFlag, CommandKind, ExecType, OrdStatus, OrdType, StpMode, TimeInForce
from market.instrument import BIPS, INT_LIMIT, Instrument, from_steps, from_units
from market.reasons import Reason
from market.records import CLIENT_ORDER_ID_BYTES, COMMAND, Records, opaque, picked
from serve.errors import CATALOGUE, REFUSALS, ApiError, Code
from serve.orders import ENDED, ORD_TYPES, TIFS, OrderDesk, client_key
from serve.packed import (
    CLIENT_ORDER_ID_CHARS,
    FIELD_NUMBERS,
    FILL,
    REASON_VALIDATION,
    RESULT,
    reason_number,
)
from serve.schema import Order, OrdTypeName, SideName, StpName, TifName

Column = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

_BUY_SELL: Final = (SideName.BUY, SideName.SELL)
_STP_NAMES: Final = [StpName(one.name) for one in StpMode]
_NAME_AT: Final = COMMAND.fields["client_order_id"][1]  # type: ignore[index]
_LIMIT, _MARKET, _MAKER = int(OrdType.LIMIT), int(OrdType.MARKET), int(OrdType.LIMIT_MAKER)
_NO_FILLS: Final[Records] = np.zeros(0, FILL)

_IS_REFUSAL: Final = np.zeros(256, np.bool_)
"""By exec_type."""
_IS_REFUSAL[[int(ExecType.REJECTED), int(ExecType.CANCEL_REJECTED)]] = True
_IS_ENDED: Final = np.zeros(256, np.bool_)
"""By ord_status: nothing of the order is left."""
_IS_ENDED[list(ENDED)] = True
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
        self._quotes = np.array([desk.asset_ids[terms.quote.name] for terms in desk.terms], np.int32)

    # -- commands -------------------------------------------------------------------------------------------------

    def place(self, account: int, orders: Records, new_name: Callable[[], bytes]) -> Checked:
        """NEW commands of PLACE[n]; `new_name` makes up the client_order_id of an order that has none."""
        names = _names_of(orders)
        fine = self._plain(orders) & _fit(names)
        commands = np.zeros(len(orders), COMMAND)
        for ours, theirs in (
            ("side", "side"), ("ord_type", "type"), ("time_in_force", "time_in_force"), ("stp_mode", "stp_mode"),
            ("symbol", "symbol_id"), ("price_ticks", "price_ticks"), ("qty_lots", "qty_lots"),
            ("quote_units", "quote_units"),
        ):  # fmt: skip
            commands[ours] = orders[theirs]
        commands["flags"] = np.where(orders["quote_units"] != 0, int(CommandFlag.BY_QUOTE), 0)
        commands["account"], commands["expected_leaves"] = account, -1
        _put_names(commands, names)
        for k in np.flatnonzero(fine & (names[:, 0] == 0)).tolist():
            commands["client_order_id"][k] = new_name()
        return self._one_by_one(account, orders, commands, fine, new_name)

    def cancel(self, account: int, orders: Records) -> Checked:
        """CANCEL commands of CANCEL[n]."""
        names = _names_of(orders)
        fit, ids, named = _fit(names), orders["order_id"], names.any(axis=1)
        fine = fit & (named == (ids == 0)) & (ids >= 0) & (ids < INT_LIMIT)
        commands = np.zeros(len(orders), COMMAND)
        commands["kind"], commands["symbol"], commands["expected_leaves"] = CommandKind.CANCEL, -1, -1
        commands["account"], commands["order_id"] = account, ids
        commands["flags"] = np.where(named, int(CommandFlag.BY_CLIENT_ORDER_ID), 0)
        _put_names(commands, names)
        refused = []
        for k in np.flatnonzero(~fine).tolist():
            field = "order_id" if fit[k] else "client_order_id"
            refused.append(Refused(k, REASON_VALIDATION, FIELD_NUMBERS[field]))
        return _checked(commands, fine, refused)

    def _plain(self, orders: Records) -> Mask:
        """Which of PLACE[n] are LIMIT, LIMIT_MAKER or MARKET orders without conditions that pass every filter."""
        symbols, kind, tif = orders["symbol_id"], orders["type"], orders["time_in_force"]
        limits = self._limits.take(symbols, axis=0, mode="clip").T
        conditions = orders["stop_price_ticks"] | orders["display_lots"] | orders["trailing_bips"] | orders["zero"]
        fine: Mask = (symbols < len(self._limits)) & (orders["side"] <= 1) & (conditions == 0)
        fine &= (tif < len(TimeInForce)) & (orders["stp_mode"] < len(StpMode))
        prices, lots, quotes = orders["price_ticks"], orders["qty_lots"], orders["quote_units"]
        priced = (kind == _LIMIT) | ((kind == _MAKER) & (tif == 0))
        priced &= (quotes == 0) & (prices >= limits[0]) & (prices <= limits[1])
        priced &= (lots >= limits[2]) & (lots <= limits[3])
        # price * lots may not fit 64 bits; once it is known to be at most the largest value, it does.
        priced &= (prices <= limits[5] // np.maximum(lots, 1)) & (prices * lots >= limits[4])
        is_market = kind == _MARKET
        if not is_market.any():
            fine &= priced
            return fine
        by_quote = (lots == 0) & (quotes >= limits[8]) & (quotes <= limits[9])
        by_lots = (quotes == 0) & (lots >= limits[6]) & (lots <= limits[7])
        fine &= priced | (is_market & (prices == 0) & (tif == 0) & (by_quote | by_lots))
        return fine

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
        told = np.zeros(checked.size, RESULT)
        ends = np.flatnonzero(reports["last"])
        if len(ends):
            places = np.arange(checked.size) if checked.places is None else checked.places
            last = ends if named is None or len(ends) == len(reports) else _named_at(reports, ends, named[places])
            final = reports if len(last) == len(reports) else picked(reports, last)
            _tell(told, checked.places, final)
            fills = self._fills(reports, ends, places) if named is None else _NO_FILLS
            if len(fills):
                told["fills"] = np.bincount(fills["result"], minlength=checked.size)
        else:
            fills = _NO_FILLS
        for one in checked.refused:
            told["status"][one.place], told["reason"][one.place] = OrdStatus.REJECTED, one.reason
            told["field"][one.place] = one.field
        return told, fills

    def _fills(self, reports: Records, ends: Column, places: Column) -> Records:
        at = np.flatnonzero(reports["exec_type"] == ExecType.TRADE)
        if not len(at):
            return _NO_FILLS
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


def _names_of(orders: Records) -> Column:
    """uint8[n, 40]: the client_order_ids, which are the last field."""
    names = orders.view(np.uint8).reshape(len(orders), orders.itemsize)[:, -CLIENT_ORDER_ID_BYTES:]
    return np.ascontiguousarray(names)


def _put_names(commands: Records, names: Column) -> None:
    raw = commands.view(np.uint8).reshape(len(commands), COMMAND.itemsize)
    raw[:, _NAME_AT : _NAME_AT + CLIENT_ORDER_ID_BYTES] = names


def _fit(names: Column) -> Mask:
    """Which are visible ASCII characters, at most 36, and then zeros; or nothing but zeros."""
    empty = names == 0
    wrong = (names - np.uint8(33) > 93) & ~empty  # what is below 33 wraps round
    wrong[:, 1:] |= empty[:, :-1] & ~empty[:, 1:]
    wrong[:, CLIENT_ORDER_ID_CHARS:] |= ~empty[:, CLIENT_ORDER_ID_CHARS:]
    fit: Mask = ~wrong.any(axis=1)
    return fit


def _checked(commands: Records, fine: Mask, refused: list[Refused]) -> Checked:
    if not refused:
        return Checked(len(fine), commands, None, refused)
    return Checked(len(fine), picked(commands, fine), np.flatnonzero(fine), refused)


def _named_at(reports: Records, ends: Column, named: Records) -> Column:
    """Where the newest report of each order named by a cancel is: a cancel may end other orders of a list, too."""
    at = ends.copy()
    starts = np.append(0, ends[:-1] + 1)
    for k in np.flatnonzero(starts < ends).tolist():
        own = reports[starts[k] : ends[k] + 1]
        by_id = own["order_id"] == named[k]["order_id"]
        by_name = own["client_order_id"] == named[k]["client_order_id"]
        found = np.flatnonzero((by_id if named[k]["order_id"] else by_name) & (own["exec_type"] != ExecType.LIST))
        if len(found):
            at[k] = starts[k] + found[-1]
    return at


def _tell(told: Records, places: Column | None, final: Records) -> None:
    """Into RESULT[n] at `places`: how each command's last report says that its order stands."""
    made = told if places is None else np.zeros(len(final), RESULT)
    status = final["ord_status"]
    for field in ("order_id", "cum_qty_lots", "cum_quote_units", "reason"):
        made[field] = final[field]
    made["status"] = status
    made["leaves_lots"] = np.where(_IS_ENDED[status], 0, final["leaves_lots"])
    made["ts_ns"] = np.where(final["ts_ns"] == 0, final["created_ns"], final["ts_ns"])
    if (refused := _IS_REFUSAL[final["exec_type"]]).any():
        _tell_refusals(made, np.flatnonzero(refused), final)
    if made is not told:
        opaque(told)[places] = opaque(made)


def _tell_refusals(made: Records, at: Column, final: Records) -> None:
    refused = picked(final, at)
    reasons = refused["reason"]
    unknown = np.where(refused["flags"] & CommandFlag.BY_CLIENT_ORDER_ID, *(FIELD_NUMBERS[n] for n in _BY))
    told = np.zeros(len(at), RESULT)
    told["status"], told["reason"] = OrdStatus.REJECTED, reasons
    told["field"] = np.where(reasons == Reason.UNKNOWN_ORDER, unknown, _FIELD_OF_REASON[reasons])
    opaque(made)[at] = opaque(told)


_BY: Final = ("client_order_id", "order_id")
