"""What a real venue shows and trades, in a book of users' orders (O0 to O6).

Nothing here runs in a book without outside liquidity.

Must not know: users' commands, why a command came.
"""

from market.book import layout as L
from market.book.arithmetic import mul_div
from market.book.ids import aside, find_any, forget_order, open_aside, order_at, remember_order
from market.book.layout import CommandRecord
from market.book.levels import find_level, key_of, level_of_key, next_key, store_at
from market.book.machine import ZERO, Words, constant, inlined, routine, signed
from market.book.queues import (
    ahead_of,
    is_outside,
    leave_store,
    make_available,
    outside_id,
    pass_ahead,
    stand_first,
    start_figures,
    store_of,
    take_from_outside,
    take_slot,
)
from market.book.taking import trade
from market.book.tell import TRADE, Cause, Taker, tell, tell_queue, tell_refused
from market.enums import FILL_MODEL_BIT, FILL_MODEL_MASK, OUTSIDE_EDGE, CommandKind, FillModel, Side
from market.instrument import INT_LIMIT
from market.numbering import OUTSIDE_ACCOUNT
from market.reasons import Reason

_OUTSIDE_LEVEL = constant(CommandKind.OUTSIDE_LEVEL)
_OUTSIDE_QUOTE = constant(CommandKind.OUTSIDE_QUOTE)
_OUTSIDE_TRADE = constant(CommandKind.OUTSIDE_TRADE)
_OUTSIDE_CLEAR = constant(CommandKind.OUTSIDE_CLEAR)
_EDGE = constant(OUTSIDE_EDGE)
_LAST_SIDE = constant(max(Side))
_ACCOUNT = constant(OUTSIDE_ACCOUNT)
_PROPORTIONAL = constant(FillModel.PROPORTIONAL)
_THROUGH = constant(FillModel.THROUGH)
_INVALID_COMMAND = constant(Reason.INVALID_COMMAND)
_LARGEST_PRICE = constant((1 << 61) - 1)
_LARGEST_AMOUNT = constant(INT_LIMIT - 1)


@inlined
def _fill_model(arena: Words, order: int) -> int:
    return (arena[order + L.META] >> (L.FLAGS_BIT + FILL_MODEL_BIT)) & FILL_MODEL_MASK


@inlined
def _as_taker(order_id: int, side: int, price: int, qty: int) -> Taker:
    """The venue's side of a trade; neither `price` nor `qty` is told."""
    return Taker(order_id, _ACCOUNT, side << L.SIDE_BIT, side, price, qty, ZERO, ZERO)


# -- levels -------------------------------------------------------------------------------------------------


@routine
def _first_user(arena: Words, level: int) -> int:
    """Slot of the first user's order in a level, or 0."""
    slot = arena[level + L.HEAD]
    order = order_at(arena, slot)
    return arena[order + L.LINKS] >> 32 if is_outside(arena, order) else slot


@routine
def _first_user_at(arena: Words, side: int, price: int) -> int:
    level = find_level(arena, side, key_of(price, side))
    return _first_user(arena, level) if level != 0 else ZERO


@routine
def _end_queues(arena: Words, side: int, price: int) -> None:
    user = _first_user_at(arena, side, price)
    while user != 0:
        order = order_at(arena, user)
        if arena[order + L.META] & L.QUEUED:
            pass_ahead(arena, order, arena[aside(arena, order) + L.AHEAD], L.BY_CANCELS)
        user = arena[order + L.LINKS] >> 32


@routine
def _go(arena: Words, slot: int, edge: bool) -> None:
    """O2a."""
    level = order_at(arena, slot)
    if not edge:
        _end_queues(arena, store_of(arena[level + L.META]) & 1, arena[level + L.PRICE])
    leave_store(arena, slot)
    forget_order(arena, arena[level + L.ID], slot)
    arena[level + L.ID] = 0
    arena[level + L.LINKS] = arena[L.FREE_ORDER]
    arena[L.FREE_ORDER] = slot
    arena[L.OUTSIDE] -= 1


@routine
def _drop_better(arena: Words, side: int, worst_key: int, edge: bool) -> None:
    """The outside levels of a side whose key is above `worst_key` go: standing ones, then eaten ones, best first."""
    key = arena[store_at(side) + L.BEST_KEY]
    while key > worst_key:
        slot = arena[level_of_key(arena, side, key) + L.HEAD]
        if is_outside(arena, order_at(arena, slot)):
            _go(arena, slot, edge)
        key = next_key(arena, side, key)
    eaten = L.EATEN + side
    best = store_at(eaten) + L.BEST_KEY
    while arena[best] > worst_key:
        _go(arena, arena[level_of_key(arena, eaten, arena[best]) + L.HEAD], edge)


@routine
def _come(
    events: Words, told: int, arena: Words, cause: Cause, side: int, price: int, shown: int, edge: bool
) -> tuple[int, int]:
    """O2c: events told, and its slot."""
    user = _first_user_at(arena, side, price)
    slot = take_slot(arena)
    level = order_at(arena, slot)
    open_aside(arena, level)
    arena[level + L.ID] = outside_id(side, price)
    arena[level + L.PRICE] = price
    arena[level + L.LEAVES] = shown
    arena[level + L.QTY] = shown
    arena[level + L.META] = L.QUEUED | side << L.SIDE_BIT
    arena[level + L.OWNER] = _ACCOUNT << 32
    arena[aside(arena, level) + L.PRINTED] = 0
    arena[aside(arena, level) + L.UNCLAIMED] = 0
    arena[L.OUTSIDE] += 1
    remember_order(arena, arena[level + L.ID], slot)
    stand_first(arena, slot, side)
    while user != 0:
        order = order_at(arena, user)
        if arena[order + L.META] & L.QUEUED:
            pass_ahead(arena, order, max(arena[aside(arena, order) + L.AHEAD] - shown, 0), L.BY_CANCELS)
        else:
            start_figures(arena, order, shown if edge else ZERO)
            told = tell_queue(events, told, arena, cause, order)
        user = arena[order + L.LINKS] >> 32
    return told, slot


@routine
def _cut_queues(arena: Words, user: int, canceled: int, left: int, available: int) -> None:
    """O2d: `left` is V - e."""
    while user != 0:
        order = order_at(arena, user)
        if arena[order + L.META] & L.QUEUED:
            ahead = arena[aside(arena, order) + L.AHEAD]
            less = ZERO
            if canceled > 0 and ahead > 0 and _fill_model(arena, order) == _PROPORTIONAL:
                less = mul_div(canceled, ahead, max(left, ahead))
            pass_ahead(arena, order, max(less, ahead - available), L.BY_CANCELS)
        user = arena[order + L.LINKS] >> 32


@routine
def _change(arena: Words, slot: int, shown: int) -> None:
    """O2d."""
    level = order_at(arena, slot)
    before = arena[level + L.QTY]
    taken, gone = before - arena[level + L.LEAVES], before - shown
    arena[aside(arena, level) + L.UNCLAIMED] = 0
    if gone > 0:
        explained = min(gone, arena[aside(arena, level) + L.PRINTED])
        taken = min(taken, shown)
        side = store_of(arena[level + L.META]) & 1
        user = _first_user_at(arena, side, arena[level + L.PRICE])
        _cut_queues(arena, user, gone - explained, before - explained, shown - taken)
        arena[aside(arena, level) + L.UNCLAIMED] = gone - explained
    arena[aside(arena, level) + L.PRINTED] = 0
    arena[level + L.QTY] = shown
    make_available(arena, slot, shown - taken)


@routine
def _meet_users(events: Words, told: int, arena: Words, cause: Cause, slot: int) -> int:
    """O2e."""
    level = order_at(arena, slot)
    side, price = store_of(arena[level + L.META]) & 1, arena[level + L.PRICE]
    opposite = 1 - side
    best, limit_key = store_at(opposite) + L.BEST_KEY, key_of(price, opposite)
    taker = _as_taker(arena[level + L.ID], side, price, ZERO)
    while arena[level + L.LEAVES] > 0 and arena[best] >= limit_key:
        user = arena[level_of_key(arena, opposite, arena[best]) + L.HEAD]
        quantity = min(arena[level + L.LEAVES], arena[order_at(arena, user) + L.LEAVES])
        left = arena[level + L.LEAVES] - quantity
        told = trade(events, told, arena, cause, taker, left, user, quantity)
        take_from_outside(arena, slot, quantity)
    return told


@routine
def _show(events: Words, told: int, arena: Words, cause: Cause, side: int, price: int, shown: int, edge: bool) -> int:
    """O2."""
    slot = find_any(arena, outside_id(side, price))
    if shown == 0:
        if slot != 0:
            _go(arena, slot, edge)
        elif not edge:
            _end_queues(arena, side, price)
        return told
    opposite = 1 - side
    _drop_better(arena, opposite, key_of(price, opposite) - 1, False)
    if slot == 0:
        told, slot = _come(events, told, arena, cause, side, price, shown, edge)
    else:
        _change(arena, slot, shown)
    return _meet_users(events, told, arena, cause, slot)


# -- trades -------------------------------------------------------------------------------------------------


@routine
def _through(events: Words, told: int, arena: Words, cause: Cause, taker: Taker) -> tuple[int, int]:
    """O4a: events told, and what is left of the print."""
    opposite, left = 1 - taker.side, taker.qty
    limit_key = key_of(taker.price, opposite)
    key = arena[store_at(opposite) + L.BEST_KEY]
    while left > 0 and key > limit_key:
        level = find_level(arena, opposite, key)
        user = _first_user(arena, level) if level != 0 else ZERO
        if user == 0:
            key = next_key(arena, opposite, key)
            continue
        order = order_at(arena, user)
        if arena[order + L.META] & L.QUEUED:
            pass_ahead(arena, order, arena[aside(arena, order) + L.AHEAD], L.BY_TRADES)
        quantity = min(left, arena[order + L.LEAVES])
        left -= quantity
        told = trade(events, told, arena, cause, taker, left, user, quantity)
    return told, left


@routine
def _claim(arena: Words, outside: int, lots: int) -> int:
    """O4b: k, what of a print the venue's book has told before it."""
    if outside == 0:
        return ZERO
    level = order_at(arena, outside)
    claimed = min(lots, arena[aside(arena, level) + L.UNCLAIMED])
    arena[aside(arena, level) + L.UNCLAIMED] -= claimed
    arena[aside(arena, level) + L.PRINTED] += lots - claimed
    return claimed


@routine
def _print_reaches(arena: Words, outside: int, order: int, lots: int, claimed: int) -> int:
    """O4b, for one order: moves its figures; o - known - passed."""
    ahead = ahead_of(arena, order)
    known = ZERO
    if outside != 0 and ahead > 0 and claimed > 0 and _fill_model(arena, order) == _PROPORTIONAL:
        shown = arena[order_at(arena, outside) + L.QTY]
        known = mul_div(claimed, ahead, max(shown + claimed, ahead))
    passed = min(ahead, lots - known)
    if passed > 0:
        pass_ahead(arena, order, passed, L.BY_TRADES)
    return lots - known - passed


@routine
def _at_its_price(events: Words, told: int, arena: Words, cause: Cause, taker: Taker, lots: int) -> tuple[int, int]:
    """O4b: events told, and what users did not get of the `lots`."""
    opposite = 1 - taker.side
    outside = find_any(arena, outside_id(opposite, taker.price))
    claimed, filled = _claim(arena, outside, lots), ZERO
    user = _first_user_at(arena, opposite, taker.price)
    last = ZERO
    if user != 0:
        last = arena[find_level(arena, opposite, key_of(taker.price, opposite)) + L.TAIL]
    while user != 0 and filled < lots:
        order = order_at(arena, user)
        # An order may go or move to the tail, and the next one is where it was.
        following = arena[order + L.LINKS] >> 32 if user != last else ZERO
        reached = lots - filled
        most = _print_reaches(arena, outside, order, reached, min(claimed, reached))
        shows = arena[order + L.LEAVES]
        fill = ZERO if _fill_model(arena, order) == _THROUGH else min(most, shows)
        if fill > 0:
            filled += fill
            told = trade(events, told, arena, cause, taker, lots - filled, user, fill)
            if fill < shows:
                break
        user = following
    return told, lots - filled


@routine
def _tell_print(events: Words, told: int, arena: Words, cause: Cause, taker: Taker, lots: int) -> int:
    """O4c."""
    arena[L.TRADE_ID] += 1
    arena[L.LAST_PRICE] = taker.price
    quote = taker.price * lots * arena[L.UNITS]
    at = told * L.EVENT_WORDS
    told = tell(events, told, arena, cause, taker.meta | TRADE, _ACCOUNT, ZERO, taker.price, lots, ZERO, quote)
    events[at + L.E_MAKER_ACCOUNT_INDEX] = cause.place | _ACCOUNT & L.LOW_HALF
    events[at + L.E_TRADE_ID] = arena[L.TRADE_ID]
    return told


# -- commands -----------------------------------------------------------------------------------------------


@routine
def _is_malformed(arena: Words, command: CommandRecord) -> bool:
    """O0."""
    kind, flags = signed(command.kind), signed(command.flags)
    if command.account != _ACCOUNT or flags & ~(_EDGE if kind == _OUTSIDE_LEVEL else ZERO) != 0:
        return True
    price, lots = command.price_ticks, command.qty_lots
    if kind == _OUTSIDE_CLEAR:
        return False
    if kind > _OUTSIDE_CLEAR:
        return lots < 0 or lots > 1
    if command.side > _LAST_SIDE or price < 0 or lots < 0 or price > _LARGEST_PRICE:
        return True
    if price == 0 or lots == 0:
        nothing = kind == _OUTSIDE_LEVEL and price > 0
        return not (nothing or (kind == _OUTSIDE_QUOTE and price == 0 and lots == 0))
    return lots > _LARGEST_AMOUNT // arena[L.UNITS] // price


@routine
def apply_outside(events: Words, told: int, arena: Words, cause: Cause, command: CommandRecord) -> int:
    """One OUTSIDE command."""
    arena[L.EXEC_ID] += 1
    if _is_malformed(arena, command):
        return tell_refused(events, told, arena, cause, command, _INVALID_COMMAND, False)
    kind, side = signed(command.kind), signed(command.side)
    price, lots = command.price_ticks, command.qty_lots
    if kind == _OUTSIDE_LEVEL:
        return _show(events, told, arena, cause, side, price, lots, signed(command.flags) & _EDGE != 0)
    if kind == _OUTSIDE_QUOTE:
        _drop_better(arena, side, key_of(price, side) if price > 0 else L.NO_KEY, False)
        return _show(events, told, arena, cause, side, price, lots, False) if price > 0 else told
    if kind == _OUTSIDE_TRADE:
        taker = _as_taker(ZERO, side, price, lots)
        told, left = _through(events, told, arena, cause, taker)
        if left > 0:
            told, left = _at_its_price(events, told, arena, cause, taker, left)
        return _tell_print(events, told, arena, cause, taker, left) if left > 0 else told
    if kind == _OUTSIDE_CLEAR:
        for store in range(2):
            _drop_better(arena, store, L.NO_KEY, True)
        return told
    arena[L.HALTED] = 1 - lots
    return told
