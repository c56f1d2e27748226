"""Average-cost positions: what an account holds of a symbol through its trades, what it paid, what it made.

They inform; no balance follows from them. Exact, rounded down; they stop at 2^62 instead of overflowing.
"""

import numpy as np

from market.book.machine import Words, inlined, routine
from market.instrument import INT_LIMIT
from market.ledger import layout as L

_LARGEST = INT_LIMIT - 1
_BITS = 64


@inlined
def _shifted_in(number: "np.uint64", low: "np.uint64", bit: int) -> "np.uint64":
    """The number with one more bit of `low` at its end."""
    return (number << np.uint64(1)) | ((low >> np.uint64(bit)) & np.uint64(1))


@routine
def mul_div(a: int, b: int, c: int) -> int:
    """floor(a x b / c) for 0 <= a < 2^62 and 0 <= b <= c < 2^62, 0 < c: by 128 bits where it takes them."""
    half, low_half = np.uint64(32), np.uint64(0xFFFFFFFF)
    a_high, a_low = np.uint64(a) >> half, np.uint64(a) & low_half
    b_high, b_low = np.uint64(b) >> half, np.uint64(b) & low_half
    lowest = a_low * b_low
    middle = a_high * b_low + (lowest >> half)
    other = a_low * b_high + (middle & low_half)
    high = a_high * b_high + (middle >> half) + (other >> half)
    low = (other << half) | (lowest & low_half)
    divisor = np.uint64(c)
    if high == np.uint64(0):
        return np.int64(low // divisor)  # type: ignore[return-value]
    rest, quotient = high % divisor, np.uint64(0)
    for bit in range(_BITS - 1, -1, -1):
        rest = _shifted_in(rest, low, bit)
        quotient <<= np.uint64(1)
        if rest >= divisor:
            rest -= divisor
            quotient |= np.uint64(1)
    return np.int64(quotient)  # type: ignore[return-value]


@inlined
def keep_buy(positions: Words, at: int, base: int, quote: int) -> None:
    """`base` units received, commission deducted, for `quote` units."""
    positions[at + L.P_QTY] = min(positions[at + L.P_QTY] + base, _LARGEST)
    positions[at + L.P_COST] = min(positions[at + L.P_COST] + quote, _LARGEST)


@routine
def keep_sell(positions: Words, at: int, base: int, quote: int) -> None:
    """`base` units given for `quote` units, commission deducted. Only what was bought here has a cost."""
    held = positions[at + L.P_QTY]
    part = min(base, held)
    if part == 0:
        return
    cost = mul_div(positions[at + L.P_COST], part, held)
    realised = positions[at + L.P_REALISED] + mul_div(quote, part, base) - cost
    positions[at + L.P_REALISED] = max(-_LARGEST, min(_LARGEST, realised))
    positions[at + L.P_QTY] = held - part
    positions[at + L.P_COST] -= cost
