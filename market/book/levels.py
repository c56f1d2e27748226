"""Price levels and their queues: pages of 64 levels, a directory of pages per side, linked orders per level.

Both sides run on keys (see `layout.py`): the best level has the highest key. Slots and pages never run out:
`arena.py` made room for the batch before it started.

Must not know: commands, events, rules.
"""

from market.book import layout as L
from market.book.ids import forget_order, order_at, remember_order
from market.book.machine import Words, highest_bit, inlined, routine


@inlined
def side_at(side: int) -> int:
    """Place of a side's words in the header."""
    return L.BIDS + side * L.SIDE_WORDS


@inlined
def key_of(price: int, side: int) -> int:
    """Its own inverse: the price of a key is `key_of(key, side)`."""
    return price ^ -side


@inlined
def best_level(arena: Words, side: int) -> int:
    """Place of the best level of a side that is not empty."""
    own = side_at(side)
    last = arena[own + L.DIRECTORY_AT] + (arena[own + L.DIRECTORY_COUNT] - 1) * L.DIRECTORY_ENTRY_WORDS
    tick = arena[own + L.BEST_KEY] & (L.PAGE_LEVELS - 1)
    return arena[L.PAGES_AT] + arena[last + 1] * L.PAGE_WORDS + L.FIRST_LEVEL + tick * L.LEVEL_WORDS


@routine
def _directory_index(arena: Words, side: int, number: int) -> int:
    """Index of the last directory entry whose page number is <= `number`; -1: none."""
    own = side_at(side)
    start = arena[own + L.DIRECTORY_AT]
    above = arena[own + L.DIRECTORY_COUNT]
    low, step = above - 1, 1
    # Gallop from the best end, where almost every order goes.
    while low >= 0 and arena[start + low * L.DIRECTORY_ENTRY_WORDS] > number:
        above = low
        low -= step
        step <<= 1
    low = max(low, -1)
    while above - low > 1:
        middle = (low + above) >> 1
        if arena[start + middle * L.DIRECTORY_ENTRY_WORDS] > number:
            above = middle
        else:
            low = middle
    return low


@routine
def _open_page(arena: Words, side: int, number: int, index: int) -> int:
    """Take an empty page and enter it in the directory at `index`; its slot."""
    page = arena[L.FREE_PAGE]
    if page != 0:
        arena[L.FREE_PAGE] = arena[arena[L.PAGES_AT] + page * L.PAGE_WORDS + L.NEXT_FREE_PAGE]
    else:
        arena[L.PAGES_USED] += 1
        page = arena[L.PAGES_USED]
    own = side_at(side)
    start = arena[own + L.DIRECTORY_AT]
    first = start + index * L.DIRECTORY_ENTRY_WORDS
    place = start + arena[own + L.DIRECTORY_COUNT] * L.DIRECTORY_ENTRY_WORDS
    while place > first:
        arena[place] = arena[place - 2]
        arena[place + 1] = arena[place - 1]
        place -= L.DIRECTORY_ENTRY_WORDS
    arena[first] = number
    arena[first + 1] = page
    arena[own + L.DIRECTORY_COUNT] += 1
    return page


@routine
def _close_page(arena: Words, side: int, number: int) -> None:
    """Give back a page whose levels are all empty (and therefore all zero)."""
    own = side_at(side)
    start = arena[own + L.DIRECTORY_AT]
    place = start + _directory_index(arena, side, number) * L.DIRECTORY_ENTRY_WORDS
    page = arena[place + 1]
    arena[own + L.DIRECTORY_COUNT] -= 1
    end = start + arena[own + L.DIRECTORY_COUNT] * L.DIRECTORY_ENTRY_WORDS
    while place < end:
        arena[place] = arena[place + 2]
        arena[place + 1] = arena[place + 3]
        place += L.DIRECTORY_ENTRY_WORDS
    arena[arena[L.PAGES_AT] + page * L.PAGE_WORDS + L.NEXT_FREE_PAGE] = arena[L.FREE_PAGE]
    arena[L.FREE_PAGE] = page


@inlined
def _page_for(arena: Words, side: int, number: int) -> int:
    own = side_at(side)
    index = _directory_index(arena, side, number)
    entry = arena[own + L.DIRECTORY_AT] + index * L.DIRECTORY_ENTRY_WORDS
    if index >= 0 and arena[entry] == number:
        return arena[entry + 1]
    return _open_page(arena, side, number, index + 1)


@routine
def level_of_key(arena: Words, side: int, key: int) -> int:
    """Place of a level that holds orders."""
    own = side_at(side)
    index = _directory_index(arena, side, key >> L.PAGE_BITS)
    page = arena[arena[own + L.DIRECTORY_AT] + index * L.DIRECTORY_ENTRY_WORDS + 1]
    tick = key & (L.PAGE_LEVELS - 1)
    return arena[L.PAGES_AT] + page * L.PAGE_WORDS + L.FIRST_LEVEL + tick * L.LEVEL_WORDS


@routine
def next_key(arena: Words, side: int, key: int) -> int:
    """The highest key of the side below `key`, or NO_KEY."""
    own = side_at(side)
    start, number = arena[own + L.DIRECTORY_AT], key >> L.PAGE_BITS
    index = _directory_index(arena, side, number)
    if index < 0:
        return L.NO_KEY
    entry = start + index * L.DIRECTORY_ENTRY_WORDS
    if arena[entry] == number:
        page = arena[L.PAGES_AT] + arena[entry + 1] * L.PAGE_WORDS
        below = arena[page + L.OCCUPIED] & ((1 << (key & (L.PAGE_LEVELS - 1))) - 1)
        if below != 0:
            return number << L.PAGE_BITS | highest_bit(below)
        if index == 0:
            return L.NO_KEY
        entry -= L.DIRECTORY_ENTRY_WORDS
    page = arena[L.PAGES_AT] + arena[entry + 1] * L.PAGE_WORDS
    return arena[entry] << L.PAGE_BITS | highest_bit(arena[page + L.OCCUPIED])


@inlined
def _take_slot(arena: Words) -> int:
    slot = arena[L.FREE_ORDER]
    if slot != 0:
        arena[L.FREE_ORDER] = arena[order_at(arena, slot) + L.LINKS]
    else:
        arena[L.ORDERS_USED] += 1
        slot = arena[L.ORDERS_USED]
    return slot


@routine
def append_order(
    arena: Words, order_id: int, side: int, price: int, leaves: int, qty: int, meta: int, owner: int
) -> None:
    """A new order at the tail of its level."""
    key = key_of(price, side)
    tick = key & (L.PAGE_LEVELS - 1)
    page = _page_for(arena, side, key >> L.PAGE_BITS) * L.PAGE_WORDS
    place = page + L.FIRST_LEVEL + tick * L.LEVEL_WORDS
    level = arena[L.PAGES_AT] + place
    slot = _take_slot(arena)
    tail = arena[level + L.TAIL]
    if tail == 0:
        own = side_at(side)
        arena[level + L.HEAD] = slot
        arena[arena[L.PAGES_AT] + page + L.OCCUPIED] |= 1 << tick
        arena[own + L.LEVELS] += 1
        arena[own + L.BEST_KEY] = max(arena[own + L.BEST_KEY], key)
    else:
        arena[order_at(arena, tail) + L.LINKS] |= slot << 32
    arena[level + L.TAIL] = slot
    arena[level + L.TOTAL] += leaves
    arena[level + L.COUNT] += 1

    order = order_at(arena, slot)
    arena[order + L.ID] = order_id
    arena[order + L.PRICE] = price
    arena[order + L.LEAVES] = leaves
    arena[order + L.QTY] = qty
    arena[order + L.LINKS] = tail
    arena[order + L.META] = meta
    arena[order + L.OWNER] = owner
    arena[order + L.LEVEL] = place
    arena[L.LIVE] += 1
    remember_order(arena, order_id, slot)


@inlined
def _empty_level(arena: Words, side: int, key: int, level: int) -> None:
    """The level's last order has gone: its bit, perhaps its page, perhaps the best key go too."""
    own = side_at(side)
    tick = key & (L.PAGE_LEVELS - 1)
    page = level - L.FIRST_LEVEL - tick * L.LEVEL_WORDS
    occupied = arena[page + L.OCCUPIED] & ~(1 << tick)
    arena[page + L.OCCUPIED] = occupied
    arena[own + L.LEVELS] -= 1
    if occupied == 0:
        _close_page(arena, side, key >> L.PAGE_BITS)
    if key != arena[own + L.BEST_KEY]:
        return
    count = arena[own + L.DIRECTORY_COUNT]
    if count == 0:
        arena[own + L.BEST_KEY] = L.NO_KEY
        return
    last = arena[own + L.DIRECTORY_AT] + (count - 1) * L.DIRECTORY_ENTRY_WORDS
    page = arena[L.PAGES_AT] + arena[last + 1] * L.PAGE_WORDS
    arena[own + L.BEST_KEY] = arena[last] << L.PAGE_BITS | highest_bit(arena[page + L.OCCUPIED])


@routine
def remove_order(arena: Words, slot: int) -> None:
    """Take an order out of its queue, out of the ids and back to the free slots."""
    order = order_at(arena, slot)
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
        side = (arena[order + L.META] >> L.SIDE_BIT) & 1
        _empty_level(arena, side, key_of(arena[order + L.PRICE], side), level)
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
