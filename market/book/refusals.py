"""Which commands are refused, and why: the R-rules of SEMANTICS.md and the exact arithmetic behind them.

Must not know: events; changes nothing but the price bands in the header.
"""

from market.book import layout as L
from market.book.ids import find_order, order_at
from market.book.layout import CommandRecord
from market.book.levels import key_of, level_of_key, next_key, side_at
from market.book.machine import Words, inlined, routine, signed
from market.enums import CommandFlag, OrdType, Side, StpMode, TimeInForce
from market.instrument import INT_LIMIT, PPM
from market.reasons import Reason

_MARKET = int(OrdType.MARKET)
_LIMIT_MAKER = int(OrdType.LIMIT_MAKER)
_GTC = int(TimeInForce.GTC)
_BY_QUOTE = int(CommandFlag.BY_QUOTE)
_LAST_SIDE = int(max(Side))
_LAST_ORD_TYPE = int(OrdType.LIMIT_MAKER)
_LAST_TIME_IN_FORCE = int(max(TimeInForce))
_LAST_STP_MODE = int(StpMode.DECREMENT)

_NONE = int(Reason.NONE)
_PRICE_FILTER = int(Reason.PRICE_FILTER)
_LOT_SIZE = int(Reason.LOT_SIZE)
_MARKET_LOT_SIZE = int(Reason.MARKET_LOT_SIZE)
_NOTIONAL = int(Reason.NOTIONAL)
_PERCENT_PRICE_BY_SIDE = int(Reason.PERCENT_PRICE_BY_SIDE)
_WOULD_TAKE = int(Reason.WOULD_TAKE)
_BOOK_FULL = int(Reason.BOOK_FULL)

_HALF_WORD = 1 << 31
_LARGEST = (1 << 63) - 1


@inlined
def is_malformed(arena: Words, command: CommandRecord) -> bool:
    """R2, for NEW and REPLACE."""
    maker_fee, taker_fee = signed(command.maker_fee_ppm), signed(command.taker_fee_ppm)
    if (
        command.side > _LAST_SIDE
        or command.ord_type > _LAST_ORD_TYPE
        or command.time_in_force > _LAST_TIME_IN_FORCE
        or command.stp_mode > _LAST_STP_MODE
    ):
        return True
    # The sign bit of the union: one of them is negative.
    if (command.price_ticks | command.qty_lots | command.quote_units | maker_fee | taker_fee) < 0:
        return True
    if maker_fee >= PPM or taker_fee >= PPM:
        return True
    by_quote = (command.flags & _BY_QUOTE) != 0
    if command.ord_type != _MARKET:
        if by_quote:
            return True
    elif command.qty_lots == 0 and not (by_quote and command.quote_units > 0):
        return True
    return command.order_id <= 0 or find_order(arena, command.order_id) != 0


@inlined
def is_notional_outside(arena: Words, price: int, qty: int) -> bool:
    """price x qty against the NOTIONAL filter, for any price >= 0 and qty > 0."""
    if (price | qty) >= _HALF_WORD and price > arena[L.MAX_TICK_LOTS] // qty:
        return True
    product = price * qty
    return product < arena[L.MIN_TICK_LOTS] or product > arena[L.MAX_TICK_LOTS]


@inlined
def is_notional_below(arena: Words, price: int, qty: int) -> bool:
    """price x qty below the NOTIONAL filter, for a quantity below one that has passed it."""
    return price * qty < arena[L.MIN_TICK_LOTS]


@routine
def _would_take(arena: Words, side: int, price: int, gone: int) -> bool:
    """R8, as if the order in slot `gone` (0: none) were not there."""
    opposite = 1 - side
    best = arena[side_at(opposite) + L.BEST_KEY]
    if best == L.NO_KEY:
        return False
    if gone != 0:
        order = order_at(arena, gone)
        alone = arena[level_of_key(arena, opposite, best) + L.COUNT] == 1
        gone_side = (arena[order + L.META] >> L.SIDE_BIT) & 1
        if alone and gone_side == opposite and key_of(arena[order + L.PRICE], opposite) == best:
            best = next_key(arena, opposite, best)
    return best >= key_of(price, opposite)


@inlined
def _refused_market(arena: Words, command: CommandRecord) -> int:
    """R5, R6."""
    qty = signed(command.qty_lots)
    if (command.flags & _BY_QUOTE) != 0:
        quote = command.quote_units
        return _NOTIONAL if quote < arena[L.MIN_NOTIONAL] or quote > arena[L.MAX_NOTIONAL] else _NONE
    if qty < arena[L.MARKET_MIN_QTY] or qty > arena[L.MARKET_MAX_QTY]:
        return _MARKET_LOT_SIZE
    last = arena[L.LAST_PRICE]
    return _NOTIONAL if last > 0 and is_notional_outside(arena, last, qty) else _NONE


@inlined
def refused(arena: Words, command: CommandRecord, gone: int) -> int:
    """The first of R3 to R9 that applies to a well-formed NEW or REPLACE, or NONE.

    `gone`: slot of the order that a REPLACE takes away, which R8 and R9 do not count; 0 for NEW.
    """
    if command.ord_type == _MARKET:
        return _refused_market(arena, command)
    side, price, qty = signed(command.side), signed(command.price_ticks), signed(command.qty_lots)
    if price < arena[L.MIN_PRICE] or price > arena[L.MAX_PRICE]:
        return _PRICE_FILTER
    if qty < arena[L.MIN_QTY] or qty > arena[L.MAX_QTY]:
        return _LOT_SIZE
    if is_notional_outside(arena, price, qty):
        return _NOTIONAL
    band = L.BANDS + 2 * side
    if price < arena[band] or price > arena[band + 1]:
        return _PERCENT_PRICE_BY_SIDE
    if command.ord_type == _LIMIT_MAKER and _would_take(arena, side, price, gone):
        return _WOULD_TAKE
    rests = command.ord_type == _LIMIT_MAKER or command.time_in_force == _GTC
    live = arena[L.LIVE] - (1 if gone != 0 else 0)
    if rests and live >= arena[L.MAX_LIVE]:
        return _BOOK_FULL
    return _NONE


@routine
def _band_edge(last: int, ppm: int, round_up: int) -> int:
    """last x ppm / 10^6 rounded down, or up with `round_up` = 10^6 - 1; past 62 bits the largest word.

    Split so that nothing overflows: last = whole x 10^6 + part, ppm <= 10^12 (`arena.py` checks).
    """
    whole, part = last // PPM, last % PPM
    if whole > 0 and ppm > INT_LIMIT // whole:
        return _LARGEST
    return whole * ppm + (part * ppm + round_up) // PPM


@routine
def set_bands(arena: Words) -> None:
    """R7's bounds as prices: price x 10^6 >= last x ppm is price >= last x ppm / 10^6 rounded up."""
    last = arena[L.LAST_PRICE]
    arena[L.BAND_PRICE] = last
    for side in range(2):
        up, down = arena[L.MULTIPLIERS + 2 * side], arena[L.MULTIPLIERS + 2 * side + 1]
        band = L.BANDS + 2 * side
        if last == 0:
            arena[band], arena[band + 1] = 0, _LARGEST
        else:
            arena[band], arena[band + 1] = _band_edge(last, down, PPM - 1), _band_edge(last, up, 0)
