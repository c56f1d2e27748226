"""Order id -> order slot: open addressing with linear probing, and no tombstones.

An entry keeps 31 bits of the id's hash, so that a walk along entries and the shift back on removal stay
inside the table; only an equal hash looks at the order record. The load never passes one half (`arena.py`).

Must not know: prices, events.
"""

from market.book import layout as L
from market.book.machine import Words, inlined

_GOLDEN = -7046029254386353131
"""2^64 / golden ratio, odd, as int64: consecutive ids spread evenly over the top bits of the product."""

_HASH_SHIFT = 33
_HASH_MASK = 0x7FFF_FFFF


@inlined
def _hash(order_id: int) -> int:
    return ((order_id * _GOLDEN) >> _HASH_SHIFT) & _HASH_MASK


@inlined
def order_at(arena: Words, slot: int) -> int:
    """Place of an order's first word."""
    return arena[L.ORDERS_AT] + slot * L.ORDER_WORDS


@inlined
def aside(arena: Words, order: int) -> int:
    """Place of the first word of an order's aside."""
    return order + arena[L.ASIDE]


@inlined
def open_aside(arena: Words, order: int) -> None:
    """Before anything is written there for the first time."""
    end = order - arena[L.ORDERS_AT] + L.ASIDE_WORDS
    arena[L.ASIDES_USED] = max(arena[L.ASIDES_USED], end)


@inlined
def find_order(arena: Words, order_id: int) -> int:
    """Slot of a user's order, or 0."""
    return find_any(arena, order_id) if order_id > 0 else 0


@inlined
def is_live(arena: Words, order_id: int) -> bool:
    """Whether an id > 0 is in use; ids that ascend, as those of one sender do, need no search."""
    return order_id <= arena[L.HIGHEST_ID] and find_any(arena, order_id) != 0


@inlined
def find_likely(arena: Words, order_id: int, likely: int) -> int:
    """As `find_order`; `likely`: a slot in which it may be. A free slot has no id."""
    if likely > 0 and order_id > 0 and arena[order_at(arena, likely) + L.ID] == order_id:
        return likely
    return find_order(arena, order_id)


@inlined
def find_any(arena: Words, order_id: int) -> int:
    """As `find_order`, of outside levels too, whose ids are below 0."""
    table, mask = arena[L.IDS_AT], arena[L.IDS_MASK]
    hashed = _hash(order_id)
    place = hashed >> arena[L.IDS_SHIFT]
    while True:
        entry = arena[table + place]
        if entry == 0:
            return 0
        if entry >> 32 == hashed:
            slot = entry & L.LOW_HALF
            if arena[order_at(arena, slot) + L.ID] == order_id:
                return slot
        place = (place + 1) & mask


@inlined
def home_of(arena: Words, order_id: int) -> int:
    """Place of the entry at which a search for it begins."""
    return arena[L.IDS_AT] + (_hash(order_id) >> arena[L.IDS_SHIFT])


@inlined
def likely_slot(arena: Words, order_id: int) -> int:
    """As `find_any` without a look at the order: another's of the same hash, now and then."""
    table, mask, hashed = arena[L.IDS_AT], arena[L.IDS_MASK], _hash(order_id)
    place = hashed >> arena[L.IDS_SHIFT]
    while True:
        entry = arena[table + place]
        if entry == 0 or entry >> 32 == hashed:
            return entry & L.LOW_HALF
        place = (place + 1) & mask


@inlined
def remember_order(arena: Words, order_id: int, slot: int) -> None:
    table, mask = arena[L.IDS_AT], arena[L.IDS_MASK]
    hashed = _hash(order_id)
    place = hashed >> arena[L.IDS_SHIFT]
    while arena[table + place] != 0:
        place = (place + 1) & mask
    arena[table + place] = hashed << 32 | slot
    arena[L.HIGHEST_ID] = max(arena[L.HIGHEST_ID], order_id)


@inlined
def forget_order(arena: Words, order_id: int, slot: int) -> None:
    """Remove an entry that is there, and close the gap."""
    table, mask, shift = arena[L.IDS_AT], arena[L.IDS_MASK], arena[L.IDS_SHIFT]
    hashed = _hash(order_id)
    sought = hashed << 32 | slot
    gap = hashed >> shift
    while arena[table + gap] != sought:
        gap = (gap + 1) & mask
    place = gap
    while True:
        place = (place + 1) & mask
        entry = arena[table + place]
        if entry == 0:
            break
        home = (entry >> 32) >> shift
        if (place - home) & mask >= (place - gap) & mask:
            arena[table + gap] = entry
            gap = place
    arena[table + gap] = 0
