"""Reading a book out of its arena: depth, resting orders, and the audit of its structure. Compiled.

Must not know: commands, events, how the arena grows.
"""

from collections.abc import Callable
from typing import TypeAlias

from market.book import layout as L
from market.book.build import source_digest
from market.book.ids import aside, find_any, order_at, remember_order
from market.book.layout import WordArray
from market.book.levels import key_of, level_of_key, next_key, store_at
from market.book.machine import ZERO, Words, constant, entry, inlined, routine, words_of
from market.book.queues import is_outside, leaves_of, outside_id, store_of

_WriteDepth: TypeAlias = Callable[[WordArray, int, int, WordArray], int]
_WriteOrders: TypeAlias = Callable[[WordArray, WordArray], int]
_Audit: TypeAlias = Callable[[WordArray], bool]

_BYTE = 0xFF
_THREE_BYTES = 0xFF_FFFF
_TWO_BYTES = 0xFFFF
_LARGEST_KEY = constant(-(L.NO_KEY + 1))


@inlined
def _level_price(arena: Words, order: int, store: int) -> int:
    if store < L.FALLS or store >= L.EATEN:
        return arena[order + L.PRICE]
    return arena[aside(arena, order) + L.STOP_PRICE] if store < L.TRACKING else 0


@inlined
def _audit_pair(arena: Words, slot: int) -> bool:
    """The other leg is in use and knows this one."""
    order = order_at(arena, slot)
    if arena[order + L.META] & L.PAIRED == 0:
        return True
    other = arena[aside(arena, order) + L.OTHER]
    if not 0 < other <= arena[L.ORDERS_USED] or other == slot:
        return False
    place = order_at(arena, other)
    return arena[place + L.META] & L.PAIRED != 0 and arena[aside(arena, place) + L.OTHER] == slot


@inlined
def _audit_outside(arena: Words, store: int, order: int) -> bool:
    """The first of its level, under its own id, and eaten if nothing of it is available."""
    if L.FALLS <= store < L.EATEN or arena[order + L.LINKS] & L.LOW_HALF != 0:
        return False
    eaten = arena[order + L.LEAVES] == 0
    return eaten == (store >= L.EATEN) and arena[order + L.ID] == outside_id(store & 1, arena[order + L.PRICE])


@routine
def _audit_order(arena: Words, store: int, key: int, level: int, slot: int, previous: int) -> bool:
    order = order_at(arena, slot)
    meta = arena[order + L.META]
    hidden = arena[aside(arena, order) + L.HIDDEN] if meta & L.ICEBERG else 0
    if is_outside(arena, order) and not _audit_outside(arena, store, order):
        return False
    return (
        arena[order + L.ID] != 0
        and (is_outside(arena, order) or store < L.EATEN)
        and _level_price(arena, order, store) == key_of(key, store)
        and (arena[order + L.LEAVES] > 0 or store >= L.EATEN)
        and hidden >= 0
        and arena[order + L.LEAVES] <= arena[order + L.QTY] - hidden
        and arena[order + L.LINKS] & L.LOW_HALF == previous
        and store_of(meta) == store
        and (L.FALLS <= store < L.EATEN or meta >> L.SIDE_BIT & _BYTE == store & 1)
        and arena[order + L.LEVEL] == level - arena[L.PAGES_AT]
        and _audit_pair(arena, slot)
    )


@routine
def _audit_level(arena: Words, side: int, key: int, level: int, live: int) -> int:
    """Orders in the level, or -1 when it does not hold together; enters them in the ids."""
    slot, previous = arena[level + L.HEAD], ZERO
    count, total = 0, 0
    while slot != 0:
        if not 0 < slot <= arena[L.ORDERS_USED] or count >= live:
            return -1
        order = order_at(arena, slot)
        if not _audit_order(arena, side, key, level, slot, previous) or find_any(arena, arena[order]) != 0:
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
    own = store_at(side)
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
    own = store_at(side)
    if not _audit_directory(arena, side):
        return -1
    key = next_key(arena, side, _LARGEST_KEY)
    if key != arena[own + L.BEST_KEY]:
        return -1
    orders, levels = 0, 0
    while key != L.NO_KEY:
        count = _audit_level(arena, side, key, level_of_key(arena, side, key), arena[L.LIVE] + arena[L.OUTSIDE])
        if count < 0:
            return -1
        orders += count
        levels += 1
        key = next_key(arena, side, key)
    return orders if levels == arena[own + L.LEVELS] else -1


@routine
def _write_order(arena: Words, order: int, store: int, out: Words, at: int) -> None:
    meta, owner = arena[order + L.META], arena[order + L.OWNER]
    kinds = meta >> L.SIDE_BIT & _THREE_BYTES
    stp = meta >> L.STP_MODE_BIT & _BYTE
    flags = meta >> L.FLAGS_BIT & _BYTE
    amends = owner >> L.AMENDS_BIT & L.AMENDS_MASK
    out[at] = kinds | stp << 24 | flags << 32 | store << 40 | amends << 48
    out[at + 1] = arena[order + L.ID]
    out[at + 2] = owner >> 32 & L.LOW_HALF | (owner & L.FEE_MASK) << 32
    out[at + 3] = arena[order + L.PRICE]
    out[at + 4] = arena[order + L.QTY]
    out[at + 5] = leaves_of(arena, order)
    out[at + 6] = arena[aside(arena, order) + L.HIDDEN] if meta & L.ICEBERG else 0
    out[at + 7] = arena[aside(arena, order) + L.DISPLAY] if meta & L.ICEBERG else 0
    out[at + 8] = arena[aside(arena, order) + L.PREVENTED] if meta & L.WAS_PREVENTED else 0
    out[at + 9] = arena[order_at(arena, arena[aside(arena, order) + L.OTHER]) + L.ID] if meta & L.PAIRED else 0
    waits = store >= L.FALLS
    out[at + 10] = arena[aside(arena, order) + L.STOP_PRICE] if waits else 0
    out[at + 11] = arena[aside(arena, order) + L.BUDGET] if waits else 0
    terms = arena[aside(arena, order) + L.TERMS] if waits else 0
    delta = terms >> L.DELTA_BIT & _TWO_BYTES
    out[at + 12] = terms & _TWO_BYTES | delta << 16 | terms >> 32 << 32
    out[at + 13] = arena[aside(arena, order) + L.EXTREME] if store == L.TRACKING else 0
    queued = meta & L.QUEUED != 0
    out[at + 14] = arena[aside(arena, order) + L.AHEAD] if queued else -1
    out[at + 15] = arena[aside(arena, order) + L.BY_TRADES] if queued else 0
    out[at + 16] = arena[aside(arena, order) + L.BY_CANCELS] if queued else 0


def _compile(sources: str) -> tuple[_WriteDepth, _WriteOrders, _WriteOrders, _Audit]:
    # `sources` is in each closure, hence in the key of numba's cache: see `build.py`.

    @entry
    def write_depth(arena_words: WordArray, side: int, limit: int, rows: WordArray) -> int:
        """Levels of a side, best first, as DEPTH words; how many."""
        _ = sources
        arena = words_of(arena_words)
        key, count = arena[store_at(side) + L.BEST_KEY], 0
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
        """Live orders, store by store, in priority order, as RESTING words; how many."""
        _ = sources
        arena, out, at = words_of(arena_words), words_of(rows), ZERO
        for store in range(L.EATEN):
            key = arena[store_at(store) + L.BEST_KEY]
            while key != L.NO_KEY:
                slot = arena[level_of_key(arena, store, key) + L.HEAD]
                while slot != 0:
                    order = order_at(arena, slot)
                    if not is_outside(arena, order):
                        _write_order(arena, order, store, out, at)
                        at += L.RESTING_WORDS
                    slot = arena[order + L.LINKS] >> 32
                key = next_key(arena, store, key)
        return at // L.RESTING_WORDS

    @entry
    def index_and_audit(arena_words: WordArray) -> bool:
        """Fill the empty table of ids from the queues; whether the whole structure holds together."""
        _ = sources
        arena = words_of(arena_words)
        live, stops = 0, 0
        for store in range(L.STORES):
            count = _audit_side(arena, store)
            if count < 0:
                return False
            live += count
            stops += count if L.FALLS <= store < L.EATEN else 0
        if stops != arena[L.STOPS] or live != arena[L.LIVE] + arena[L.OUTSIDE]:
            return False
        best_bid, best_ask = arena[L.BIDS + L.BEST_KEY], arena[L.ASKS + L.BEST_KEY]
        return best_bid == L.NO_KEY or best_ask == L.NO_KEY or best_bid < ~best_ask

    @entry
    def write_outside(arena_words: WordArray, rows: WordArray) -> int:
        """Outside levels, those of a side that stand and then those that are eaten, best first; how many."""
        _ = sources
        arena, out, count = words_of(arena_words), words_of(rows), 0
        for store in (0, L.EATEN, 1, L.EATEN + 1):
            key = arena[store_at(store) + L.BEST_KEY]
            while key != L.NO_KEY:
                order = order_at(arena, arena[level_of_key(arena, store, key) + L.HEAD])
                if is_outside(arena, order):
                    at = count * L.OUTSIDE_LEVEL_WORDS
                    out[at] = store & 1
                    out[at + 1] = arena[order + L.PRICE]
                    out[at + 2] = arena[order + L.QTY]
                    out[at + 3] = arena[order + L.QTY] - arena[order + L.LEAVES]
                    out[at + 4] = arena[aside(arena, order) + L.PRINTED]
                    out[at + 5] = arena[aside(arena, order) + L.UNCLAIMED]
                    count += 1
                key = next_key(arena, store, key)
        return count

    return write_depth, write_orders, write_outside, index_and_audit


write_depth, write_orders, write_outside, index_and_audit = _compile(source_digest())
