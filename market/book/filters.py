"""The filters that compare a price: NOTIONAL and the two bands, exact in 64 bits.

Must not know: commands, events; changes nothing but the bands in the header.
"""

from market.book import layout as L
from market.book.machine import ZERO, Words, constant, inlined, routine
from market.instrument import INT_LIMIT, PPM
from market.reasons import Reason

_NONE = constant(Reason.NONE)
_PERCENT_PRICE_BY_SIDE = constant(Reason.PERCENT_PRICE_BY_SIDE)
_PERCENT_PRICE = constant(Reason.PERCENT_PRICE)

_HALF_WORD = 1 << 31
_ROUND_UP = constant(PPM - 1)
_LARGEST = (1 << 63) - 1


@inlined
def is_notional_outside(arena: Words, price: int, qty: int) -> bool:
    """price x qty against the NOTIONAL filter, for any price >= 0 and qty > 0."""
    if (price | qty) >= _HALF_WORD and price > arena[L.MAX_TICK_LOTS] // qty:
        return True
    product = price * qty
    return product < arena[L.MIN_TICK_LOTS] or product > arena[L.MAX_TICK_LOTS]


@inlined
def is_notional_below(arena: Words, price: int, qty: int) -> bool:
    """price x qty below the NOTIONAL filter, for a price >= 0 and qty > 0."""
    if (price | qty) >= _HALF_WORD and price > arena[L.MIN_TICK_LOTS] // qty:
        return False
    return price * qty < arena[L.MIN_TICK_LOTS]


@inlined
def outside_band(arena: Words, side: int, price: int) -> int:
    """The reason of R7 or R7a, or NONE."""
    band = L.BANDS + 2 * side
    if arena[band] <= price <= arena[band + 1]:
        return _NONE
    return _which_band(arena, side, price)


@routine
def _which_band(arena: Words, side: int, price: int) -> int:
    """R7 goes before R7a."""
    up, down = arena[L.MULTIPLIERS + 2 * side], arena[L.MULTIPLIERS + 2 * side + 1]
    last = arena[L.LAST_PRICE]
    inside = _band_edge(last, down, _ROUND_UP) <= price <= _band_edge(last, up, ZERO)
    return _PERCENT_PRICE if inside else _PERCENT_PRICE_BY_SIDE


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
    """R7's and R7a's bounds as prices: price x 10^6 >= last x ppm is price >= last x ppm / 10^6 rounded up."""
    last = arena[L.LAST_PRICE]
    arena[L.BAND_PRICE] = last
    for side in range(2):
        up, down = arena[L.MULTIPLIERS + 2 * side], arena[L.MULTIPLIERS + 2 * side + 1]
        band = L.BANDS + 2 * side
        if last == 0:
            arena[band], arena[band + 1] = 0, _LARGEST
            continue
        arena[band], arena[band + 1] = _band_edge(last, down, _ROUND_UP), _band_edge(last, up, ZERO)
        if arena[L.PERCENT] > 0:
            arena[band] = max(arena[band], _band_edge(last, arena[L.PERCENT + 1], _ROUND_UP))
            arena[band + 1] = min(arena[band + 1], _band_edge(last, arena[L.PERCENT], ZERO))
