"""Live orders in their queues: coming, moving from one store to another, trading, going.

Slots and pages never run out: `arena.py` made room for the batch before it started.

Must not know: commands, events, rules.
"""

from market.book import layout as L
from market.book.ids import forget_order, order_at, remember_order
from market.book.levels import clear_level, key_of, mark_level, page_for
from market.book.machine import Words, inlined, routine


@inlined
def store_of(meta: int) -> int:
    """Where an order stands."""
    return (meta >> L.STORE_BIT) & L.STORE_MASK


@inlined
def leaves_of(arena: Words, order: int) -> int:
    """All that is left of an order, hidden or not."""
    leaves = arena[order + L.LEAVES]
    return leaves + arena[order + L.HIDDEN] if arena[order + L.META] & L.ICEBERG else leaves


@inlined
def _queue_price(arena: Words, order: int, store: int) -> int:
    """The price of an order's level."""
    if store < L.FALLS:
        return arena[order + L.PRICE]
    return arena[order + L.STOP_PRICE] if store < L.TRACKING else 0


@inlined
def _take_slot(arena: Words) -> int:
    slot = arena[L.FREE_ORDER]
    if slot != 0:
        arena[L.FREE_ORDER] = arena[order_at(arena, slot) + L.LINKS]
    else:
        arena[L.ORDERS_USED] += 1
        slot = arena[L.ORDERS_USED]
    return slot


@inlined
def _enqueue(arena: Words, slot: int, store: int, price: int, leaves: int) -> None:
    """To the tail of a level."""
    key = key_of(price, store)
    tick = key & (L.PAGE_LEVELS - 1)
    page = page_for(arena, store, key >> L.PAGE_BITS) * L.PAGE_WORDS
    place = page + L.FIRST_LEVEL + tick * L.LEVEL_WORDS
    level = arena[L.PAGES_AT] + place
    tail = arena[level + L.TAIL]
    if tail == 0:
        arena[level + L.HEAD] = slot
        mark_level(arena, store, key, page)
    else:
        arena[order_at(arena, tail) + L.LINKS] |= slot << 32
    arena[level + L.TAIL] = slot
    arena[level + L.TOTAL] += leaves
    arena[level + L.COUNT] += 1
    order = order_at(arena, slot)
    arena[order + L.LINKS] = tail
    arena[order + L.LEVEL] = place


@routine
def append_order(
    arena: Words, order_id: int, side: int, price: int, leaves: int, qty: int, meta: int, owner: int
) -> int:
    """A new order at the tail of its level in the book. Its slot."""
    slot = _take_slot(arena)
    _enqueue(arena, slot, side, price, leaves)
    order = order_at(arena, slot)
    arena[order + L.ID] = order_id
    arena[order + L.PRICE] = price
    arena[order + L.LEAVES] = leaves
    arena[order + L.QTY] = qty
    arena[order + L.META] = meta | side << L.STORE_BIT
    arena[order + L.OWNER] = owner
    arena[L.LIVE] += 1
    remember_order(arena, order_id, slot)
    return slot


@routine
def stand(arena: Words, slot: int, store: int) -> None:
    """An order whose record is complete, and that stands nowhere, joins a store."""
    order = order_at(arena, slot)
    arena[order + L.META] = arena[order + L.META] & ~(L.STORE_MASK << L.STORE_BIT) | store << L.STORE_BIT
    _enqueue(arena, slot, store, _queue_price(arena, order, store), arena[order + L.LEAVES])


@routine
def new_record(arena: Words, order_id: int) -> int:
    """A live order that stands nowhere yet; the caller writes the rest of its record. Its slot."""
    slot = _take_slot(arena)
    arena[order_at(arena, slot) + L.ID] = order_id
    arena[L.LIVE] += 1
    remember_order(arena, order_id, slot)
    return slot


@inlined
def _dequeue(arena: Words, order: int, store: int) -> None:
    level = arena[L.PAGES_AT] + arena[order + L.LEVEL]
    links = arena[order + L.LINKS]
    following, previous = links >> 32, links & L.LOW_HALF
    if previous != 0:
        before = order_at(arena, previous) + L.LINKS
        arena[before] = (arena[before] & L.LOW_HALF) | following << 32
    else:
        arena[level + L.HEAD] = following
    if following != 0:
        after = order_at(arena, following) + L.LINKS
        arena[after] = (arena[after] & ~L.LOW_HALF) | previous
    else:
        arena[level + L.TAIL] = previous
    arena[level + L.TOTAL] -= arena[order + L.LEAVES]
    arena[level + L.COUNT] -= 1
    if following == 0 and previous == 0:
        clear_level(arena, store, key_of(_queue_price(arena, order, store), store), level)


@routine
def leave_store(arena: Words, slot: int) -> None:
    """Out of its queue, still live."""
    order = order_at(arena, slot)
    _dequeue(arena, order, store_of(arena[order + L.META]))


@routine
def free_record(arena: Words, slot: int) -> None:
    """Out of the ids and back to the free slots; it stands nowhere."""
    order = order_at(arena, slot)
    if arena[order + L.META] & L.ICEBERG:
        arena[L.ICEBERGS] -= 1
    forget_order(arena, arena[order + L.ID], slot)
    arena[order + L.LINKS] = arena[L.FREE_ORDER]
    arena[L.FREE_ORDER] = slot
    arena[L.LIVE] -= 1


@routine
def _uncount(arena: Words, meta: int, store: int) -> None:
    if store >= L.FALLS:
        arena[L.STOPS] -= 1
    if meta & L.ICEBERG:
        arena[L.ICEBERGS] -= 1


@routine
def remove_order(arena: Words, slot: int) -> None:
    """Take an order out of its queue, out of the ids and back to the free slots."""
    order = order_at(arena, slot)
    meta = arena[order + L.META]
    store = store_of(meta)
    if meta >> L.STORE_BIT > L.ASKS_STORE:
        _uncount(arena, meta, store)
    _dequeue(arena, order, store)
    forget_order(arena, arena[order + L.ID], slot)
    arena[order + L.LINKS] = arena[L.FREE_ORDER]
    arena[L.FREE_ORDER] = slot
    arena[L.LIVE] -= 1


@inlined
def take_from_order(arena: Words, slot: int, quantity: int) -> int:
    """Lower an order's leaves; at 0 it leaves the book. What is left."""
    order = order_at(arena, slot)
    left = arena[order + L.LEAVES] - quantity
    if left == 0:
        remove_order(arena, slot)
    else:
        arena[order + L.LEAVES] = left
        arena[arena[L.PAGES_AT] + arena[order + L.LEVEL] + L.TOTAL] -= quantity
    return left


@inlined
def show(arena: Words, order: int, leaves: int) -> None:
    """I1: split what is left of an iceberg that stands nowhere."""
    shown = min(arena[order + L.DISPLAY], leaves)
    arena[order + L.LEAVES] = shown
    arena[order + L.HIDDEN] = leaves - shown


@routine
def take_from_iceberg(arena: Words, slot: int, quantity: int) -> None:
    """I2; at 0 it leaves the book."""
    order = order_at(arena, slot)
    hidden = arena[order + L.HIDDEN]
    if arena[order + L.LEAVES] > quantity or hidden == 0:
        take_from_order(arena, slot, quantity)
        return
    leave_store(arena, slot)
    show(arena, order, hidden)
    stand(arena, slot, store_of(arena[order + L.META]))
