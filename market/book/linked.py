"""The other leg of a pair (L4, L5, L6): how it goes when the first one does.

Must not know: commands, matching.
"""

from market.book import layout as L
from market.book.ids import aside, open_aside, order_at
from market.book.machine import Words, constant, inlined, routine
from market.book.queues import remove_order
from market.book.tell import EXPIRED, Cause, tell_resting
from market.reasons import Reason

_OCO_TRIGGER = constant(Reason.OCO_TRIGGER)


@inlined
def other_of(arena: Words, order: int) -> int:
    """Slot of the other leg of an order's pair, 0: it is in none."""
    return arena[aside(arena, order) + L.OTHER] if arena[order + L.META] & L.PAIRED else 0


@inlined
def link_pair(arena: Words, slot: int, other: int) -> None:
    for one, two in ((slot, other), (other, slot)):
        order = order_at(arena, one)
        open_aside(arena, order)
        arena[aside(arena, order) + L.OTHER] = two
        arena[order + L.META] |= L.PAIRED


@routine
def end_other(events: Words, told: int, arena: Words, cause: Cause, order: int, kind: int, reason: int) -> int:
    """End the other leg, if there is one; the order itself is then in no pair."""
    other = other_of(arena, order)
    if other == 0:
        return told
    arena[order + L.META] &= ~L.PAIRED
    told = tell_resting(events, told, arena, cause, order_at(arena, other), kind, reason)
    remove_order(arena, other)
    return told


@inlined
def expire_other(events: Words, told: int, arena: Words, cause: Cause, order: int) -> int:
    return end_other(events, told, arena, cause, order, EXPIRED, _OCO_TRIGGER)
