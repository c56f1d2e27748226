"""Live orders in their queues: coming, moving from one store to another, trading, going.

Slots and pages never run out: `arena.py` made room for the batch before it started.

Must not know: commands, events, rules.
"""

from market.book import layout as L
from market.book.ids import aside, find_any, forget_order, open_aside, order_at, remember_order
from market.book.levels import clear_level, key_of, mark_level, page_for
from market.book.machine import Words, constant, inlined, routine
from market.enums import FILL_MODEL_BIT, FILL_MODEL_MASK, FillModel

_TOUCH = constant(FillModel.TOUCH)


@inlined
def store_of(meta: int) -> int:
    """Where an order stands."""
    return (meta >> L.STORE_BIT) & L.STORE_MASK


@inlined
def leaves_of(arena: Words, order: int) -> int:
    """All that is left of an order, hidden or not."""
    leaves = arena[order + L.LEAVES]
    return leaves + arena[aside(arena, order) + L.HIDDEN] if arena[order + L.META] & L.ICEBERG else leaves


@inlined
def _queue_price(arena: Words, order: int, store: int) -> int:
    """The price of an order's level."""
    if store < L.FALLS or store >= L.EATEN:
        return arena[order + L.PRICE]
    return arena[aside(arena, order) + L.STOP_PRICE] if store < L.TRACKING else 0


@inlined
def take_slot(arena: Words) -> int:
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
    slot = take_slot(arena)
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
    """A live order with an aside that stands nowhere yet; the caller writes the rest of both. Its slot."""
    slot = take_slot(arena)
    open_aside(arena, order_at(arena, slot))
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
    arena[order + L.ID] = 0
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
    arena[order + L.ID] = 0
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
    shown = min(arena[aside(arena, order) + L.DISPLAY], leaves)
    arena[order + L.LEAVES] = shown
    arena[aside(arena, order) + L.HIDDEN] = leaves - shown


@routine
def take_from_iceberg(arena: Words, slot: int, quantity: int) -> None:
    """I2; at 0 it leaves the book."""
    order = order_at(arena, slot)
    hidden = arena[aside(arena, order) + L.HIDDEN]
    if arena[order + L.LEAVES] > quantity or hidden == 0:
        take_from_order(arena, slot, quantity)
        return
    leave_store(arena, slot)
    show(arena, order, hidden)
    stand(arena, slot, store_of(arena[order + L.META]))
    if arena[L.OUTSIDE] != 0:
        join_queue(arena, slot)


# -- beside outside liquidity -------------------------------------------------------------------------------


@routine
def stand_first(arena: Words, slot: int, store: int) -> None:
    """As `stand`, but to the head of the level."""
    stand(arena, slot, store)
    order = order_at(arena, slot)
    previous = arena[order + L.LINKS] & L.LOW_HALF
    if previous == 0:
        return
    level = arena[L.PAGES_AT] + arena[order + L.LEVEL]
    head = arena[level + L.HEAD]
    arena[order_at(arena, previous) + L.LINKS] &= L.LOW_HALF
    arena[order_at(arena, head) + L.LINKS] |= slot
    arena[order + L.LINKS] = head << 32
    arena[level + L.HEAD] = slot
    arena[level + L.TAIL] = previous


@inlined
def is_outside(arena: Words, order: int) -> bool:
    return arena[order + L.ID] < 0


@inlined
def outside_id(side: int, price: int) -> int:
    return -(2 * price + side)


@inlined
def ahead_of(arena: Words, order: int) -> int:
    """A; 0 without figures."""
    return arena[aside(arena, order) + L.AHEAD] if arena[order + L.META] & L.QUEUED else 0


@inlined
def is_touch_filled(arena: Words, order: int) -> bool:
    model = (arena[order + L.META] >> (L.FLAGS_BIT + FILL_MODEL_BIT)) & FILL_MODEL_MASK
    return model == _TOUCH


@inlined
def start_figures(arena: Words, order: int, ahead: int) -> None:
    arena[order + L.META] |= L.QUEUED
    open_aside(arena, order)
    arena[aside(arena, order) + L.AHEAD] = ahead if not is_touch_filled(arena, order) else 0
    arena[aside(arena, order) + L.BY_TRADES] = 0
    arena[aside(arena, order) + L.BY_CANCELS] = 0


@routine
def join_queue(arena: Words, slot: int) -> bool:
    """O8: an order that just came to rest; whether it has queue figures now."""
    order = order_at(arena, slot)
    outside = find_any(arena, outside_id(store_of(arena[order + L.META]), arena[order + L.PRICE]))
    if outside == 0:
        return False
    start_figures(arena, order, arena[order_at(arena, outside) + L.LEAVES])
    return True


@inlined
def pass_ahead(arena: Words, order: int, lots: int, word: int) -> None:
    """Of an order with figures: `lots` of what is ahead are gone; `word`: BY_TRADES or BY_CANCELS."""
    arena[aside(arena, order) + L.AHEAD] -= lots
    arena[aside(arena, order) + word] += lots


@routine
def take_from_outside(arena: Words, slot: int, quantity: int) -> None:
    """O7, of a level that stands: what is taken goes from before every queue there."""
    order = order_at(arena, slot)
    user = arena[order + L.LINKS] >> 32
    while user != 0:
        place = order_at(arena, user)
        if arena[place + L.META] & L.QUEUED:
            pass_ahead(arena, place, min(arena[aside(arena, place) + L.AHEAD], quantity), L.BY_TRADES)
        user = arena[place + L.LINKS] >> 32
    make_available(arena, slot, arena[order + L.LEAVES] - quantity)


@routine
def make_available(arena: Words, slot: int, available: int) -> None:
    """Set O of an outside level: it stands or is eaten accordingly."""
    order = order_at(arena, slot)
    store, before = store_of(arena[order + L.META]), arena[order + L.LEAVES]
    if (available > 0) == (store < L.EATEN):
        arena[order + L.LEAVES] = available
        if available > 0:
            arena[arena[L.PAGES_AT] + arena[order + L.LEVEL] + L.TOTAL] += available - before
        return
    leave_store(arena, slot)
    arena[order + L.LEAVES] = available
    if available > 0:
        stand_first(arena, slot, store - L.EATEN)
    else:
        stand(arena, slot, store + L.EATEN)


@routine
def first_beside_outside(arena: Words, slot: int) -> int:
    """O7: of a level, by the slot of its head, the one that a taker meets first."""
    order = order_at(arena, slot)
    if not is_outside(arena, order):
        return slot
    user = arena[order + L.LINKS] >> 32
    return user if user != 0 and ahead_of(arena, order_at(arena, user)) == 0 else slot


@inlined
def first_of(arena: Words, level: int) -> int:
    """Slot of the order that a taker meets first in a level."""
    slot = arena[level + L.HEAD]
    return first_beside_outside(arena, slot) if arena[L.OUTSIDE] != 0 else slot


@routine
def _met_of_outside(arena: Words, order: int) -> int:
    user = arena[order + L.LINKS] >> 32
    if user == 0 or not is_outside(arena, order):
        return arena[order + L.LEAVES]
    return min(arena[order + L.LEAVES], ahead_of(arena, order_at(arena, user)))


@inlined
def met_of(arena: Words, order: int) -> int:
    """Lots that a taker meets at once of the order that `first_of` gave."""
    return _met_of_outside(arena, order) if arena[L.OUTSIDE] != 0 else arena[order + L.LEAVES]
