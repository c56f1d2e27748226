"""What trades set off (T3 to T7): waiting orders that a price reaches, tracking ones, and the line before the book.

Nothing here runs while no order waits.

Must not know: commands, how an order trades.
"""

from market.book import layout as L
from market.book.conditions import is_reached
from market.book.ids import aside, order_at
from market.book.levels import best_level, key_of, store_at
from market.book.machine import ZERO, Words, constant, inlined, routine
from market.book.queues import leave_store, stand
from market.book.tell import TRACKING, TRADE, Cause, tell_resting
from market.enums import Side
from market.instrument import BIPS
from market.reasons import Reason

_SELL = constant(Side.SELL)
_NONE = constant(Reason.NONE)
_FALLS, _RISES = constant(L.FALLS), constant(L.RISES)
_TRACKING_STORE, _LINE = constant(L.TRACKING), constant(L.LINE)
_BYTE = 0xFF
_TWO_BYTES = 0xFFFF


@inlined
def _delta_of(arena: Words, order: int) -> int:
    return (arena[aside(arena, order) + L.TERMS] >> L.DELTA_BIT) & _TWO_BYTES


@inlined
def _turn(extreme: int, delta: int, sells: bool) -> int:
    """T7 as a price: extreme x (1 -+ delta / 10^4), rounded so that comparing with it is exact; in 64 bits."""
    whole, part = extreme // BIPS, extreme % BIPS
    if sells:
        return whole * (BIPS - delta) + part * (BIPS - delta) // BIPS
    return whole * (BIPS + delta) + (part * (BIPS + delta) + BIPS - 1) // BIPS


@routine
def _reach(events: Words, told: int, arena: Words, cause: Cause, store: int, price: int) -> int:
    """Orders of one waiting store that `price` reaches: to the line, or they begin to track (T6)."""
    best, rise = store_at(store) + L.BEST_KEY, store == L.RISES
    while arena[best] != L.NO_KEY and is_reached(rise, key_of(arena[best], store), price):
        slot = arena[best_level(arena, store) + L.HEAD]
        order = order_at(arena, slot)
        leave_store(arena, slot)
        if _delta_of(arena, order) == 0:
            stand(arena, slot, _LINE)
            continue
        arena[aside(arena, order) + L.EXTREME] = price
        stand(arena, slot, _TRACKING_STORE)
        told = tell_resting(events, told, arena, cause, order, TRACKING, _NONE)
        events[(told - 1) * L.EVENT_WORDS + L.E_PRICE] = price
    return told


@routine
def _track(arena: Words, price: int) -> None:
    """T7; an order that began to track with this very price stays as it is."""
    slot = arena[best_level(arena, _TRACKING_STORE) + L.HEAD]
    while slot != 0:
        order = order_at(arena, slot)
        following = arena[order + L.LINKS] >> 32
        sells = (arena[order + L.META] >> L.SIDE_BIT) & 1 == _SELL
        extreme = arena[aside(arena, order) + L.EXTREME]
        if extreme == 0:
            arena[aside(arena, order) + L.EXTREME] = price
        elif price == extreme:
            pass
        elif (price > extreme) == sells:
            arena[aside(arena, order) + L.EXTREME] = price
        elif is_reached(not sells, _turn(extreme, _delta_of(arena, order), sells), price):
            leave_store(arena, slot)
            stand(arena, slot, _LINE)
        slot = following


@routine
def look_at_trades(events: Words, before: int, told: int, arena: Words, cause: Cause) -> int:
    """T3, for the trades among the events from `before` to `told`."""
    for k in range(before, told):
        at = k * L.EVENT_WORDS
        if events[at] & _BYTE != TRADE:
            continue
        price = events[at + L.E_PRICE]
        told = _reach(events, told, arena, cause, _FALLS, price)
        told = _reach(events, told, arena, cause, _RISES, price)
        if arena[store_at(_TRACKING_STORE) + L.BEST_KEY] != L.NO_KEY:
            _track(arena, price)
    return told


@inlined
def first_in_line(arena: Words) -> int:
    """Slot, or 0: nobody stands there."""
    if arena[store_at(_LINE) + L.BEST_KEY] == L.NO_KEY:
        return ZERO
    return arena[best_level(arena, _LINE) + L.HEAD]
