"""Where a pegged order takes its price from (K1). Must not know: events, commands."""

from market.book import layout as L
from market.book.ids import order_at
from market.book.levels import key_of, level_of_key, next_key, store_at
from market.book.machine import Words, constant, inlined, routine
from market.book.queues import store_of
from market.enums import PegType

_PRIMARY = constant(PegType.PRIMARY_PEG)


@inlined
def is_alone_at(arena: Words, gone: int, side: int, key: int) -> bool:
    """Whether the order in slot `gone` (0: none) is all that makes this level of the book."""
    if gone == 0:
        return False
    order = order_at(arena, gone)
    if store_of(arena[order + L.META]) != side or key_of(arena[order + L.PRICE], side) != key:
        return False
    return arena[level_of_key(arena, side, key) + L.COUNT] == 1


@routine
def peg_price(arena: Words, side: int, peg_type: int, offset: int, gone: int) -> int:
    """K1, as if the order in slot `gone` (0: none) were not there; 0: there is no such level."""
    source = side if peg_type == _PRIMARY else 1 - side
    key, left = arena[store_at(source) + L.BEST_KEY], offset
    while key != L.NO_KEY:
        if not is_alone_at(arena, gone, source, key):
            if left == 0:
                return key_of(key, source)
            left -= 1
        key = next_key(arena, source, key)
    return 0
