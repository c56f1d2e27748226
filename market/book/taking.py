"""An incoming order against the other side: trades, self-trade prevention, the look of FOK, orders by money.

The loop that every order runs is `take`; what few orders need (`_prevent`, `can_fill`, `spend`) stays out.

Must not know: refusals, resting, commands of other kinds.
"""

from market.book import layout as L
from market.book.ids import aside, open_aside, order_at
from market.book.levels import best_level, key_of, level_of_key, next_key, store_at
from market.book.linked import expire_other
from market.book.machine import ZERO, Words, constant, inlined, routine
from market.book.queues import (
    ahead_of,
    first_of,
    is_outside,
    leaves_of,
    met_of,
    remove_order,
    take_from_iceberg,
    take_from_order,
    take_from_outside,
)
from market.book.tell import (
    EXPIRED,
    PREVENTED,
    TRADE,
    Cause,
    Taker,
    number_prevented,
    tell_pair,
    tell_queue,
    tell_resting,
    tell_taker_expired,
)
from market.enums import StpMode
from market.reasons import Reason

_STP_NONE = constant(StpMode.NONE)
_EXPIRE_TAKER = constant(StpMode.EXPIRE_TAKER)
_EXPIRE_MAKER = constant(StpMode.EXPIRE_MAKER)
_DECREMENT = constant(StpMode.DECREMENT)
_UNFILLABLE = -1

_NONE = constant(Reason.NONE)
_SELF_TRADE_PREVENTION = constant(Reason.SELF_TRADE_PREVENTION)
_INSUFFICIENT_LIQUIDITY = constant(Reason.INSUFFICIENT_LIQUIDITY)
_BUDGET_EXHAUSTED = constant(Reason.BUDGET_EXHAUSTED)
_QUOTE_SPENT = constant(Reason.QUOTE_SPENT)


@routine
def _take_from_special(events: Words, told: int, arena: Words, cause: Cause, slot: int, quantity: int) -> int:
    """I2, L4, O7; the TRADE or PREVENTED is told."""
    maker = order_at(arena, slot)
    if is_outside(arena, maker):
        take_from_outside(arena, slot, quantity)
        return told
    told = expire_other(events, told, arena, cause, maker)
    if arena[maker + L.META] & L.ICEBERG:
        take_from_iceberg(arena, slot, quantity)
    else:
        take_from_order(arena, slot, quantity)
    return told


@inlined
def trade(
    events: Words,
    told: int,
    arena: Words,
    cause: Cause,
    taker: Taker,
    leaves: int,
    slot: int,
    quantity: int,
) -> int:
    """`leaves`: the taker's, after it."""
    maker = order_at(arena, slot)
    special = arena[maker + L.META] & L.SPECIAL
    left = (leaves_of(arena, maker) if special else arena[maker + L.LEAVES]) - quantity
    if special & L.QUEUED:
        told = tell_queue(events, told, arena, cause, maker)
    told = tell_pair(events, told, arena, cause, TRADE, taker, leaves, maker, left, quantity)
    arena[L.LAST_PRICE] = arena[maker + L.PRICE]
    if special:
        return _take_from_special(events, told, arena, cause, slot, quantity)
    take_from_order(arena, slot, quantity)
    return told


@inlined
def _note_prevented(arena: Words, order: int, quantity: int) -> None:
    """C4: what was prevented is not filled."""
    meta = arena[order + L.META]
    before = arena[aside(arena, order) + L.PREVENTED] if meta & L.WAS_PREVENTED else 0
    arena[order + L.META] = meta | L.WAS_PREVENTED
    open_aside(arena, order)
    arena[aside(arena, order) + L.PREVENTED] = before + quantity


@routine
def _expire_maker(events: Words, told: int, arena: Words, cause: Cause, slot: int) -> int:
    maker = order_at(arena, slot)
    told = tell_resting(events, told, arena, cause, maker, EXPIRED, _SELF_TRADE_PREVENTION)
    number_prevented(events, told, arena)
    told = expire_other(events, told, arena, cause, maker)
    remove_order(arena, slot)
    return told


@inlined
def _expire_taker(events: Words, told: int, arena: Words, cause: Cause, taker: Taker, leaves: int) -> int:
    told = tell_taker_expired(events, told, arena, cause, taker, leaves, _SELF_TRADE_PREVENTION)
    number_prevented(events, told, arena)
    return told


@routine
def _decrement(
    events: Words, told: int, arena: Words, cause: Cause, taker: Taker, leaves: int, slot: int
) -> tuple[int, int, bool]:
    """S4. The quantity is that of both leaves, whatever the taker's money: none is spent here."""
    maker = order_at(arena, slot)
    quantity = min(leaves, arena[maker + L.LEAVES])
    leaves -= quantity
    left = leaves_of(arena, maker) - quantity
    told = tell_pair(events, told, arena, cause, PREVENTED, taker, leaves, maker, left, quantity)
    arena[L.TAKER_PREVENTED] += quantity
    _note_prevented(arena, maker, quantity)
    if left > 0:
        told = _take_from_special(events, told, arena, cause, slot, quantity)
    else:
        # It is told with leaves of 0, and its level's total must not count them.
        arena[arena[L.PAGES_AT] + arena[maker + L.LEVEL] + L.TOTAL] -= quantity
        arena[maker + L.LEAVES] = 0
        told = _expire_maker(events, told, arena, cause, slot)
    if leaves == 0:
        told = _expire_taker(events, told, arena, cause, taker, leaves)
    return told, leaves, leaves == 0


@routine
def _prevent(
    events: Words, told: int, arena: Words, cause: Cause, taker: Taker, leaves: int, stp: int, slot: int
) -> tuple[int, int, bool]:
    """S1 to S4: the taker meets an order of its own account. Events told, its leaves, has it ended."""
    if stp >= _DECREMENT:
        return _decrement(events, told, arena, cause, taker, leaves, slot)
    maker = order_at(arena, slot)
    left = leaves_of(arena, maker)
    told = tell_pair(events, told, arena, cause, PREVENTED, taker, leaves, maker, left, ZERO)
    if stp != _EXPIRE_TAKER:
        told = _expire_maker(events, told, arena, cause, slot)
    if stp == _EXPIRE_MAKER:
        return told, leaves, False
    told = _expire_taker(events, told, arena, cause, taker, leaves)
    return told, leaves, True


@inlined
def _is_own(arena: Words, taker: Taker, slot: int) -> bool:
    return taker.stp != _STP_NONE and arena[order_at(arena, slot) + L.OWNER] >> 32 == taker.account


@inlined
def take(events: Words, told: int, arena: Words, cause: Cause, taker: Taker, limit_key: int) -> tuple[int, int, bool]:
    """N2: trade while it crosses. Events told, the taker's leaves, whether self-trade prevention ended it."""
    opposite, leaves = 1 - taker.side, taker.qty
    best = store_at(opposite) + L.BEST_KEY
    while leaves > 0 and arena[best] >= limit_key:
        slot = first_of(arena, best_level(arena, opposite))
        if _is_own(arena, taker, slot):
            told, leaves, ended = _prevent(events, told, arena, cause, taker, leaves, taker.stp, slot)
            if ended:
                return told, leaves, True
            continue
        quantity = min(leaves, met_of(arena, order_at(arena, slot)))
        leaves -= quantity
        told = trade(events, told, arena, cause, taker, leaves, slot, quantity)
    return told, leaves, False


@inlined
def spend(events: Words, told: int, arena: Words, cause: Cause, taker: Taker, money: int, by_quote: bool) -> int:
    """A MARKET order with `money` quote units: a BUY's budget (N7), or `by_quote` the amount itself (N8)."""
    opposite, leaves = 1 - taker.side, taker.qty
    uncapped = by_quote and taker.qty == 0
    # Without a cap there is no quantity that DECREMENT could lower (S4).
    stp = _EXPIRE_TAKER if uncapped and taker.stp >= _DECREMENT else taker.stp
    out_of_money = _QUOTE_SPENT if by_quote else _BUDGET_EXHAUSTED
    best = store_at(opposite) + L.BEST_KEY
    while by_quote or leaves > 0:
        lot_price = key_of(arena[best], opposite) * arena[L.UNITS] if arena[best] != L.NO_KEY else 0
        quantity = money // lot_price if lot_price > 0 else 0
        # The order of N8; by quantity, only the second and third can apply.
        end = _NONE
        if by_quote and money == 0:
            end = out_of_money
        elif lot_price == 0:
            end = _INSUFFICIENT_LIQUIDITY
        elif quantity == 0:
            end = out_of_money
        elif leaves == 0 and not uncapped:
            end = _BUDGET_EXHAUSTED
        if end != _NONE:
            return tell_taker_expired(events, told, arena, cause, taker, leaves, end)
        slot = first_of(arena, best_level(arena, opposite))
        if _is_own(arena, taker, slot):
            told, leaves, ended = _prevent(events, told, arena, cause, taker, leaves, stp, slot)
            if ended:
                return told
            continue
        quantity = min(quantity, met_of(arena, order_at(arena, slot)))
        if not uncapped:
            quantity = min(quantity, leaves)
            leaves -= quantity
        money -= quantity * lot_price
        told = trade(events, told, arena, cause, taker, leaves, slot, quantity)
    return told


@routine
def _missing_after_level(arena: Words, level: int, taker: Taker, missing: int) -> int:
    """What a FOK still lacks after the orders of one level; _UNFILLABLE when an own order ends it (S6)."""
    slot, hidden = arena[level + L.HEAD], 0
    outside, passed = ZERO, ZERO
    if is_outside(arena, order_at(arena, slot)):
        outside = arena[order_at(arena, slot) + L.LEAVES]
        slot = arena[order_at(arena, slot) + L.LINKS] >> 32
    while slot != 0 and missing > 0:
        order = order_at(arena, slot)
        # O7: what of the outside is met before this order.
        more = max(min(ahead_of(arena, order), outside) - passed, ZERO)
        passed += more
        missing -= min(missing, more)
        if missing == 0:
            break
        if not _is_own(arena, taker, slot):
            missing -= min(missing, arena[order + L.LEAVES])
            # What is hidden shows only after the whole level has been met once; the sum may not leave 64 bits.
            hidden = min(hidden + leaves_of(arena, order) - arena[order + L.LEAVES], taker.qty)
        elif taker.stp != _EXPIRE_MAKER:
            return _UNFILLABLE
        slot = arena[order + L.LINKS] >> 32
    missing -= min(missing, outside - passed)
    return missing - min(missing, hidden)


@routine
def can_fill(arena: Words, taker: Taker, limit_key: int) -> bool:
    """N6, S6: whether trades alone would fill a FOK whole."""
    opposite, missing = 1 - taker.side, taker.qty
    key = arena[store_at(opposite) + L.BEST_KEY]
    # Level totals tell enough unless own orders must be told apart, something is hidden, or they could pass 64 bits.
    by_level = taker.stp == _STP_NONE and arena[L.TOTALS_FIT] != 0 and arena[L.ICEBERGS] == 0
    while missing > 0 and key >= limit_key:
        level = level_of_key(arena, opposite, key)
        if by_level:
            missing -= min(missing, arena[level + L.TOTAL])
        else:
            missing = _missing_after_level(arena, level, taker, missing)
        key = next_key(arena, opposite, key)
    return missing == 0
