"""The rules that only stops, icebergs and pegged orders meet: R2a to R2c, and R2e to R7d in their order.

Must not know: events; changes nothing.
"""

from market.book import layout as L
from market.book.filters import is_notional_outside, outside_band
from market.book.layout import CommandRecord
from market.book.machine import Words, constant, inlined, routine, signed
from market.enums import MAX_PEG_OFFSET, OrdType, PegType, Side, TimeInForce
from market.reasons import Reason

_BUY = constant(Side.BUY)
_LIMIT = constant(OrdType.LIMIT)
_MARKET = constant(OrdType.MARKET)
_LIMIT_MAKER = constant(OrdType.LIMIT_MAKER)
_STOP_LOSS = constant(OrdType.STOP_LOSS)
_STOP_LOSS_LIMIT = constant(OrdType.STOP_LOSS_LIMIT)
_TAKE_PROFIT = constant(OrdType.TAKE_PROFIT)
_MARKET_TYPES = 1 << _MARKET | 1 << _STOP_LOSS | 1 << _TAKE_PROFIT
_GTC = constant(TimeInForce.GTC)
_PRIMARY = constant(PegType.PRIMARY_PEG)
_LAST_PEG_TYPE = constant(max(PegType))

_NONE = constant(Reason.NONE)
_PRICE_FILTER = constant(Reason.PRICE_FILTER)
_LOT_SIZE = constant(Reason.LOT_SIZE)
_MARKET_LOT_SIZE = constant(Reason.MARKET_LOT_SIZE)
_ICEBERG_PARTS = constant(Reason.ICEBERG_PARTS)
_NOTIONAL = constant(Reason.NOTIONAL)
_TRAILING_DELTA = constant(Reason.TRAILING_DELTA)
_STOP_WOULD_TRIGGER = constant(Reason.STOP_WOULD_TRIGGER)
_PEG_UNAVAILABLE = constant(Reason.PEG_UNAVAILABLE)
_PEG_BUDGET = constant(Reason.PEG_BUDGET)


@inlined
def is_market_type(ord_type: int) -> bool:
    return (_MARKET_TYPES >> signed(ord_type)) & 1 != 0


@inlined
def is_stop(ord_type: int) -> bool:
    return ord_type >= _STOP_LOSS


@inlined
def awaits_rise(ord_type: int, side: int) -> bool:
    """T1; else it awaits a fall."""
    return (ord_type <= _STOP_LOSS_LIMIT) == (side == _BUY)


@routine
def is_badly_conditioned(command: CommandRecord) -> bool:
    """R2, R2a to R2c."""
    stop, display, delta = command.stop_price_ticks, command.display_lots, signed(command.trailing_bips)
    ord_type, peg, offset = signed(command.ord_type), signed(command.peg_type), signed(command.peg_offset)
    at_market = is_market_type(ord_type)
    gtc = ord_type == _LIMIT_MAKER or command.time_in_force == _GTC
    if (stop | display | delta) < 0 or is_stop(ord_type) != ((stop | delta) != 0):
        return True
    if at_market and (command.qty_lots == 0 and ord_type != _MARKET):
        return True
    if display > 0 and (at_market or not gtc):
        return True
    if peg == 0:
        return offset > 0
    if peg > _LAST_PEG_TYPE or offset > MAX_PEG_OFFSET or at_market:
        return True
    if ord_type == _LIMIT_MAKER:
        return peg != _PRIMARY
    return ord_type == _LIMIT and peg == _PRIMARY and not gtc


@inlined
def _is_price_outside(arena: Words, price: int) -> bool:
    return price < arena[L.MIN_PRICE] or price > arena[L.MAX_PRICE]


@inlined
def _is_qty_outside(arena: Words, qty: int) -> bool:
    return qty < arena[L.MIN_QTY] or qty > arena[L.MAX_QTY]


@inlined
def is_over_budget(arena: Words, side: int, budget: int, price: int, qty: int) -> bool:
    """R7d, for a price x qty that NOTIONAL has let through."""
    return side == _BUY and budget > 0 and price * qty * arena[L.UNITS] > budget


@inlined
def is_reached(rise: bool, stop: int, price: int) -> bool:
    """T1."""
    return price >= stop if rise else price <= stop


@inlined
def _refused_price(arena: Words, command: CommandRecord, price: int, given: int) -> int:
    """R3, R4, R5a, R6, R7, R7a of a limit type; a `price` or `given` of 0 where K2 says so is not looked at."""
    side, qty, display = signed(command.side), command.qty_lots, command.display_lots
    pegged = command.peg_type != 0
    looked_at, looked_at_given = price > 0 or not pegged, pegged and given > 0
    if looked_at_given and _is_price_outside(arena, given):
        return _PRICE_FILTER
    if looked_at and _is_price_outside(arena, price):
        return _PRICE_FILTER
    if command.stop_price_ticks != 0 and _is_price_outside(arena, command.stop_price_ticks):
        return _PRICE_FILTER
    if _is_qty_outside(arena, qty) or (display > 0 and _is_qty_outside(arena, display)):
        return _LOT_SIZE
    if display > 0 and (qty - 1) // display + 1 > arena[L.ICEBERG_PARTS]:
        return _ICEBERG_PARTS
    if looked_at_given and is_notional_outside(arena, given, qty):
        return _NOTIONAL
    if looked_at and is_notional_outside(arena, price, qty):
        return _NOTIONAL
    return _refused_bands(arena, side, price if looked_at else given, given if looked_at_given else price)


@inlined
def _refused_bands(arena: Words, side: int, one: int, two: int) -> int:
    """R7 of both prices goes before R7a of either; 0 and 0: nothing to look at."""
    if one == 0:
        return _NONE
    first, second = outside_band(arena, side, one), outside_band(arena, side, two if two > 0 else one)
    return min(first, second) if first != _NONE and second != _NONE else max(first, second)


@inlined
def _refused_stop_market(arena: Words, command: CommandRecord) -> int:
    """R3, R5, R6."""
    qty, stop = command.qty_lots, command.stop_price_ticks
    if stop != 0 and _is_price_outside(arena, stop):
        return _PRICE_FILTER
    if qty < arena[L.MARKET_MIN_QTY] or qty > arena[L.MARKET_MAX_QTY]:
        return _MARKET_LOT_SIZE
    price = stop if stop != 0 else arena[L.LAST_PRICE]
    return _NOTIONAL if price > 0 and is_notional_outside(arena, price, qty) else _NONE


@routine
def refused_conditional(arena: Words, command: CommandRecord, price: int) -> int:
    """The first of R2e to R7d, or NONE; `price`: as `refusals.refused` has it."""
    ord_type, side, stop = signed(command.ord_type), signed(command.side), command.stop_price_ticks
    stops, pegged = is_stop(ord_type), command.peg_type != 0
    if pegged and not stops and price == 0:
        return _PEG_UNAVAILABLE
    if is_market_type(ord_type):
        reason = _refused_stop_market(arena, command)
    else:
        reason = _refused_price(arena, command, price, command.price_ticks)
    if reason != _NONE:
        return reason
    if stops:
        rise = awaits_rise(ord_type, side)
        least = L.DELTAS + (2 if rise else 0)
        delta, last = signed(command.trailing_bips), arena[L.LAST_PRICE]
        if delta != 0 and (delta < arena[least] or delta > arena[least + 1]):
            return _TRAILING_DELTA
        if stop != 0 and last > 0 and is_reached(rise, stop, last):
            return _STOP_WOULD_TRIGGER
    elif pegged and is_over_budget(arena, side, command.quote_units, price, command.qty_lots):
        return _PEG_BUDGET
    return _NONE


@routine
def refused_at_trigger(arena: Words, side: int, price: int, qty: int, budget: int) -> int:
    """K4."""
    if price == 0:
        return _PEG_UNAVAILABLE
    if _is_price_outside(arena, price):
        return _PRICE_FILTER
    if is_notional_outside(arena, price, qty):
        return _NOTIONAL
    reason = outside_band(arena, side, price)
    if reason != _NONE:
        return reason
    return _PEG_BUDGET if is_over_budget(arena, side, budget, price, qty) else _NONE
