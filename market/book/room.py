"""Whether a batch fits: what the commands of one book can come to at most, before the first of them is applied.

Must not know: how room is made (`arena.py`, `engine.py`).
"""

from market.book import layout as L
from market.book.levels import store_at
from market.book.machine import Words, constant, inlined, routine

_EVENTS_PER_COMMAND = constant(5)
"""REPLACE at most: CANCELED or REJECTED, ACCEPTED, QUEUED and a match that leaves the maker in the book, EXPIRED or QUEUED."""
_EVENTS_PER_ORDER_GONE = constant(4)
"""PREVENTED and EXPIRED of a maker, or QUEUED, its last trade and the EXPIRED of its pair; and its first QUEUED."""
_EVENTS_PER_PART = constant(2)
"""QUEUED and the trade."""
_EVENTS_PER_STOP = constant(5)
"""Beside those: TRACKING, TRIGGERED, QUEUED and a match that leaves the maker in the book, EXPIRED or QUEUED."""


@inlined
def rows_for(arena: Words, count: int) -> int:
    """Events that `count` commands can cause."""
    parts = _EVENTS_PER_PART * arena[L.MOST_PARTS]
    # A command may rest before it goes: each counts as an order too.
    per_command = _EVENTS_PER_COMMAND + _EVENTS_PER_ORDER_GONE + _EVENTS_PER_STOP + parts
    held = _EVENTS_PER_ORDER_GONE * arena[L.LIVE] + _EVENTS_PER_STOP * arena[L.STOPS] + parts * arena[L.ICEBERGS]
    # An outside level is taken from once before it is eaten, or a user's order before it goes.
    return per_command * count + held + arena[L.OUTSIDE]


@routine
def _pages_for(arena: Words, count: int) -> int:
    """Pages in use when all that waits, and every outside level, has moved into one of its own, and each command into two."""
    pages = arena[L.STOPS] + arena[L.OUTSIDE] + L.PAGES_PER_COMMAND * count
    for store in range(L.STORES):
        pages += arena[store_at(store) + L.DIRECTORY_COUNT]
    return pages


@inlined
def has_room(arena: Words, count: int) -> bool:
    """Whether `count` more commands need no larger arena."""
    orders = arena[L.LIVE] + arena[L.OUTSIDE] + count
    if orders > arena[L.ORDERS_CAPACITY]:
        return False
    # No page stands empty, so there are never more of them than orders either.
    return orders <= arena[L.PAGES_CAPACITY] or _pages_for(arena, count) <= arena[L.PAGES_CAPACITY]
