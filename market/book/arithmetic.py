"""Exact arithmetic that 64 bits do not hold on the way. Must not know: what the numbers mean."""

import numpy as np

from market.book.machine import inlined, routine

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
