"""Price levels: pages of 64 of them, a directory of pages per store.

All stores run on keys (see `layout.py`): the best level has the highest key. Pages never run out: `arena.py` made
room for the batch before it started.

Must not know: orders, commands, events, rules.
"""

from market.book import layout as L
from market.book.machine import Words, highest_bit, inlined, routine


@inlined
def store_at(store: int) -> int:
    """Place of a store's words in the header."""
    return L.BIDS + store * L.SIDE_WORDS


@inlined
def key_of(price: int, store: int) -> int:
    """Its own inverse: the price of a key is `key_of(key, store)`."""
    return price ^ -(store & 1)


@inlined
def last_page(arena: Words, store: int) -> int:
    """Place of the directory entry of the best page; of an empty store the word before its directory."""
    own = store_at(store)
    return arena[own + L.DIRECTORY_AT] + (arena[own + L.DIRECTORY_COUNT] - 1) * L.DIRECTORY_ENTRY_WORDS


@inlined
def best_level(arena: Words, store: int) -> int:
    """Place of the best level of a store that is not empty."""
    last = last_page(arena, store)
    tick = arena[store_at(store) + L.BEST_KEY] & (L.PAGE_LEVELS - 1)
    return arena[L.PAGES_AT] + arena[last + 1] * L.PAGE_WORDS + L.FIRST_LEVEL + tick * L.LEVEL_WORDS


@routine
def _directory_index(arena: Words, store: int, number: int) -> int:
    """Index of the last directory entry whose page number is <= `number`; -1: none."""
    own = store_at(store)
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
def _open_page(arena: Words, store: int, number: int, index: int) -> int:
    """Take an empty page and enter it in the directory at `index`; its slot."""
    page = arena[L.FREE_PAGE]
    if page != 0:
        arena[L.FREE_PAGE] = arena[arena[L.PAGES_AT] + page * L.PAGE_WORDS + L.NEXT_FREE_PAGE]
    else:
        arena[L.PAGES_USED] += 1
        page = arena[L.PAGES_USED]
    own = store_at(store)
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
def _close_page(arena: Words, store: int, number: int) -> None:
    """Give back a page whose levels are all empty (and therefore all zero)."""
    own = store_at(store)
    start = arena[own + L.DIRECTORY_AT]
    place = start + _directory_index(arena, store, number) * L.DIRECTORY_ENTRY_WORDS
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
def page_for(arena: Words, store: int, number: int) -> int:
    own = store_at(store)
    index = _directory_index(arena, store, number)
    entry = arena[own + L.DIRECTORY_AT] + index * L.DIRECTORY_ENTRY_WORDS
    if index >= 0 and arena[entry] == number:
        return arena[entry + 1]
    return _open_page(arena, store, number, index + 1)


@routine
def level_of_key(arena: Words, store: int, key: int) -> int:
    """Place of a level that holds orders."""
    own = store_at(store)
    index = _directory_index(arena, store, key >> L.PAGE_BITS)
    page = arena[arena[own + L.DIRECTORY_AT] + index * L.DIRECTORY_ENTRY_WORDS + 1]
    tick = key & (L.PAGE_LEVELS - 1)
    return arena[L.PAGES_AT] + page * L.PAGE_WORDS + L.FIRST_LEVEL + tick * L.LEVEL_WORDS


@routine
def find_level(arena: Words, store: int, key: int) -> int:
    """Place of a level, or 0: nothing stands there."""
    own, number, tick = store_at(store), key >> L.PAGE_BITS, key & (L.PAGE_LEVELS - 1)
    index = _directory_index(arena, store, number)
    entry = arena[own + L.DIRECTORY_AT] + index * L.DIRECTORY_ENTRY_WORDS
    if index < 0 or arena[entry] != number:
        return 0
    page = arena[L.PAGES_AT] + arena[entry + 1] * L.PAGE_WORDS
    if (arena[page + L.OCCUPIED] >> tick) & 1 == 0:
        return 0
    return page + L.FIRST_LEVEL + tick * L.LEVEL_WORDS


@inlined
def likely_level(arena: Words, store: int, key: int) -> int:
    """Place of a level, whether orders stand there or not; 0: not even near."""
    own, number = store_at(store), key >> L.PAGE_BITS
    index = _directory_index(arena, store, number)
    entry = arena[own + L.DIRECTORY_AT] + index * L.DIRECTORY_ENTRY_WORDS
    if index < 0 or arena[entry] != number:
        return 0
    page = arena[L.PAGES_AT] + arena[entry + 1] * L.PAGE_WORDS
    return page + L.FIRST_LEVEL + (key & (L.PAGE_LEVELS - 1)) * L.LEVEL_WORDS


@routine
def next_key(arena: Words, store: int, key: int) -> int:
    """The highest key of the store below `key`, or NO_KEY."""
    own = store_at(store)
    start, number = arena[own + L.DIRECTORY_AT], key >> L.PAGE_BITS
    index = _directory_index(arena, store, number)
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
def mark_level(arena: Words, store: int, key: int, page: int) -> None:
    """A level gets its first order; `page`: place of its page, in words from PAGES_AT."""
    own = store_at(store)
    arena[arena[L.PAGES_AT] + page + L.OCCUPIED] |= 1 << (key & (L.PAGE_LEVELS - 1))
    arena[own + L.LEVELS] += 1
    arena[own + L.BEST_KEY] = max(arena[own + L.BEST_KEY], key)


@inlined
def clear_level(arena: Words, store: int, key: int, level: int) -> None:
    """The level's last order has gone: its bit, perhaps its page, perhaps the best key go too."""
    own = store_at(store)
    tick = key & (L.PAGE_LEVELS - 1)
    page = level - L.FIRST_LEVEL - tick * L.LEVEL_WORDS
    occupied = arena[page + L.OCCUPIED] & ~(1 << tick)
    arena[page + L.OCCUPIED] = occupied
    arena[own + L.LEVELS] -= 1
    if occupied == 0:
        _close_page(arena, store, key >> L.PAGE_BITS)
    if key != arena[own + L.BEST_KEY]:
        return
    count = arena[own + L.DIRECTORY_COUNT]
    if count == 0:
        arena[own + L.BEST_KEY] = L.NO_KEY
        return
    last = arena[own + L.DIRECTORY_AT] + (count - 1) * L.DIRECTORY_ENTRY_WORDS
    page = arena[L.PAGES_AT] + arena[last + 1] * L.PAGE_WORDS
    arena[own + L.BEST_KEY] = arena[last] << L.PAGE_BITS | highest_bit(arena[page + L.OCCUPIED])
