"""Reading a book out of its arena: depth, resting orders, and the audit of its structure. Compiled.

Must not know: commands, events, how the arena grows.
"""

from collections.abc import Callable
from typing import TypeAlias

from market.book import layout as L
from market.book.build import source_digest
from market.book.ids import find_order, order_at, remember_order
from market.book.layout import WordArray
from market.book.levels import key_of, level_of_key, next_key, side_at
from market.book.machine import Words, entry, routine, words_of

_WriteDepth: TypeAlias = Callable[[WordArray, int, int, WordArray], int]
_WriteOrders: TypeAlias = Callable[[WordArray, WordArray], int]
_Audit: TypeAlias = Callable[[WordArray], bool]

_BYTE = 0xFF
_THREE_BYTES = 0xFF_FFFF
_LARGEST_KEY = -(L.NO_KEY + 1)


@routine
def _audit_order(arena: Words, side: int, key: int, level: int, slot: int, previous: int) -> bool:
    order = order_at(arena, slot)
    return (
        arena[order + L.ID] > 0
        and arena[order + L.PRICE] == key_of(key, side)
        and 0 < arena[order + L.LEAVES] <= arena[order + L.QTY]
        and arena[order + L.LINKS] & L.LOW_HALF == previous
        and arena[order + L.META] >> L.SIDE_BIT & _BYTE == side
        and arena[order + L.LEVEL] == level - arena[L.PAGES_AT]
    )


@routine
def _audit_level(arena: Words, side: int, key: int, level: int, live: int) -> int:
    """Orders in the level, or -1 when it does not hold together; enters them in the ids."""
    slot, previous = arena[level + L.HEAD], 0
    count, total = 0, 0
    while slot != 0:
        if not 0 < slot <= arena[L.ORDERS_USED] or count >= live:
            return -1
        order = order_at(arena, slot)
        if not _audit_order(arena, side, key, level, slot, previous) or find_order(arena, arena[order]) != 0:
            return -1
        remember_order(arena, arena[order + L.ID], slot)
        count += 1
        total += arena[order + L.LEAVES]
        previous, slot = slot, arena[order + L.LINKS] >> 32
    sound = count > 0 and arena[level + L.TAIL] == previous
    return count if sound and arena[level + L.COUNT] == count and arena[level + L.TOTAL] == total else -1


@routine
def _audit_directory(arena: Words, side: int) -> bool:
    """Page numbers ascend, page slots are in use, no page stands empty."""
    own = side_at(side)
    start, count = arena[own + L.DIRECTORY_AT], arena[own + L.DIRECTORY_COUNT]
    for index in range(count):
        entry = start + index * L.DIRECTORY_ENTRY_WORDS
        if index > 0 and arena[entry - L.DIRECTORY_ENTRY_WORDS] >= arena[entry]:
            return False
        if not 0 < arena[entry + 1] <= arena[L.PAGES_USED]:
            return False
        if arena[arena[L.PAGES_AT] + arena[entry + 1] * L.PAGE_WORDS + L.OCCUPIED] == 0:
            return False
    return True


@routine
def _audit_side(arena: Words, side: int) -> int:
    """Orders of the side, or -1."""
    own = side_at(side)
    if not _audit_directory(arena, side):
        return -1
    key = next_key(arena, side, _LARGEST_KEY)
    if key != arena[own + L.BEST_KEY]:
        return -1
    orders, levels = 0, 0
    while key != L.NO_KEY:
        count = _audit_level(arena, side, key, level_of_key(arena, side, key), arena[L.LIVE])
        if count < 0:
            return -1
        orders += count
        levels += 1
        key = next_key(arena, side, key)
    return orders if levels == arena[own + L.LEVELS] else -1


def _compile(sources: str) -> tuple[_WriteDepth, _WriteOrders, _Audit]:
    # `sources` is in each closure, hence in the key of numba's cache: see `build.py`.

    @entry
    def write_depth(arena_words: WordArray, side: int, limit: int, rows: WordArray) -> int:
        """Levels of a side, best first, as DEPTH words; how many."""
        _ = sources
        arena = words_of(arena_words)
        key, count = arena[side_at(side) + L.BEST_KEY], 0
        while key != L.NO_KEY and count < limit:
            level = level_of_key(arena, side, key)
            at = count * L.DEPTH_WORDS
            rows[at] = key_of(key, side)
            rows[at + 1] = arena[level + L.TOTAL]
            rows[at + 2] = arena[level + L.COUNT]
            count += 1
            key = next_key(arena, side, key)
        return count

    @entry
    def write_orders(arena_words: WordArray, rows: WordArray) -> int:
        """Resting orders in priority order, bids first, as RESTING words; how many."""
        _ = sources
        arena, at = words_of(arena_words), 0
        for side in range(2):
            key = arena[side_at(side) + L.BEST_KEY]
            while key != L.NO_KEY:
                slot = arena[level_of_key(arena, side, key) + L.HEAD]
                while slot != 0:
                    order = order_at(arena, slot)
                    meta, owner = arena[order + L.META], arena[order + L.OWNER]
                    kinds = meta >> L.SIDE_BIT & _THREE_BYTES
                    stp = meta >> L.STP_MODE_BIT & _BYTE
                    flags = meta >> L.FLAGS_BIT & _BYTE
                    rows[at] = kinds | stp << 24 | flags << 32
                    rows[at + 1] = arena[order + L.ID]
                    rows[at + 2] = owner >> 32 & L.LOW_HALF | owner << 32
                    rows[at + 3] = arena[order + L.PRICE]
                    rows[at + 4] = arena[order + L.QTY]
                    rows[at + 5] = arena[order + L.LEAVES]
                    at += L.RESTING_WORDS
                    slot = arena[order + L.LINKS] >> 32
                key = next_key(arena, side, key)
        return at // L.RESTING_WORDS

    @entry
    def index_and_audit(arena_words: WordArray) -> bool:
        """Fill the empty table of ids from the queues; whether the whole structure holds together."""
        _ = sources
        arena = words_of(arena_words)
        bids = _audit_side(arena, 0)
        asks = _audit_side(arena, 1) if bids >= 0 else -1
        if asks < 0 or bids + asks != arena[L.LIVE]:
            return False
        best_bid, best_ask = arena[L.BIDS + L.BEST_KEY], arena[L.ASKS + L.BEST_KEY]
        return bids == 0 or asks == 0 or best_bid < key_of(best_ask, 1)

    return write_depth, write_orders, index_and_audit


write_depth, write_orders, index_and_audit = _compile(source_digest())
