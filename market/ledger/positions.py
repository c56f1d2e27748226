"""Average-cost positions: what an account holds of a symbol through its trades, what it paid, what it made.

They inform; no balance follows from them. Exact, rounded down; they stop at 2^62 instead of overflowing.
"""

from market.book.arithmetic import mul_div
from market.book.machine import Words, inlined, routine
from market.instrument import INT_LIMIT
from market.ledger import layout as L

_LARGEST = INT_LIMIT - 1


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
