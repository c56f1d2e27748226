"""An incoming order against the other side: trades, self-trade prevention, the look of FOK, orders by money.

The loop that every order runs is `take`; what few orders need (`_prevent`, `can_fill`, `spend`) stays out.

Must not know: refusals, resting, commands of other kinds.
"""

from market.book import layout as L
from market.book.ids import order_at
from market.book.levels import (
    best_level,
    key_of,
    level_of_key,
    next_key,
    remove_order,
    side_at,
    take_from_order,
)
from market.book.machine import Words, inlined, routine
from market.book.tell import (
    EXPIRED,
    PREVENTED,
    TRADE,
    Cause,
    Taker,
    tell_pair,
    tell_resting,
    tell_taker_expired,
)
from market.enums import StpMode
from market.reasons import Reason

_STP_NONE = int(StpMode.NONE)
_EXPIRE_TAKER = int(StpMode.EXPIRE_TAKER)
_EXPIRE_MAKER = int(StpMode.EXPIRE_MAKER)
_DECREMENT = int(StpMode.DECREMENT)
_UNFILLABLE = -1

_NONE = int(Reason.NONE)
_SELF_TRADE_PREVENTION = int(Reason.SELF_TRADE_PREVENTION)
_INSUFFICIENT_LIQUIDITY = int(Reason.INSUFFICIENT_LIQUIDITY)
_BUDGET_EXHAUSTED = int(Reason.BUDGET_EXHAUSTED)
_QUOTE_SPENT = int(Reason.QUOTE_SPENT)


@inlined
def _trade(
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
    left = arena[maker + L.LEAVES] - quantity
    told = tell_pair(events, told, arena, cause, TRADE, taker, leaves, maker, left, quantity)
    arena[L.LAST_PRICE] = arena[maker + L.PRICE]
    take_from_order(arena, slot, quantity)
    return told


@routine
def _decrement(
    events: Words, told: int, arena: Words, cause: Cause, taker: Taker, leaves: int, slot: int
) -> tuple[int, int, bool]:
    """S4. The quantity is that of both leaves, whatever the taker's money: none is spent here."""
    maker = order_at(arena, slot)
    quantity = min(leaves, arena[maker + L.LEAVES])
    leaves -= quantity
    left = arena[maker + L.LEAVES] - quantity
    told = tell_pair(events, told, arena, cause, PREVENTED, taker, leaves, maker, left, quantity)
    # The record of a maker that left the book keeps its fields until the next order takes the slot.
    take_from_order(arena, slot, quantity)
    if left == 0:
        arena[maker + L.LEAVES] = 0
        told = tell_resting(events, told, arena, cause, maker, EXPIRED, _SELF_TRADE_PREVENTION)
    if leaves == 0:
        told = tell_taker_expired(events, told, arena, cause, taker, leaves, _SELF_TRADE_PREVENTION)
    return told, leaves, leaves == 0


@routine
def _prevent(
    events: Words, told: int, arena: Words, cause: Cause, taker: Taker, leaves: int, stp: int, slot: int
) -> tuple[int, int, bool]:
    """S1 to S4: the taker meets an order of its own account. Events told, its leaves, has it ended."""
    if stp == _DECREMENT:
        return _decrement(events, told, arena, cause, taker, leaves, slot)
    if stp != _EXPIRE_TAKER:
        maker = order_at(arena, slot)
        told = tell_resting(events, told, arena, cause, maker, EXPIRED, _SELF_TRADE_PREVENTION)
        remove_order(arena, slot)
    if stp == _EXPIRE_MAKER:
        return told, leaves, False
    told = tell_taker_expired(events, told, arena, cause, taker, leaves, _SELF_TRADE_PREVENTION)
    return told, leaves, True


@inlined
def _is_own(arena: Words, taker: Taker, slot: int) -> bool:
    return taker.stp != _STP_NONE and arena[order_at(arena, slot) + L.OWNER] >> 32 == taker.account


@routine
def take(events: Words, told: int, arena: Words, cause: Cause, taker: Taker, limit_key: int) -> tuple[int, int, bool]:
    """N2: trade while it crosses. Events told, the taker's leaves, whether self-trade prevention ended it."""
    opposite, leaves = 1 - taker.side, taker.qty
    best = side_at(opposite) + L.BEST_KEY
    while leaves > 0 and arena[best] >= limit_key:
        slot = arena[best_level(arena, opposite) + L.HEAD]
        if _is_own(arena, taker, slot):
            told, leaves, ended = _prevent(events, told, arena, cause, taker, leaves, taker.stp, slot)
            if ended:
                return told, leaves, True
            continue
        quantity = min(leaves, arena[order_at(arena, slot) + L.LEAVES])
        leaves -= quantity
        told = _trade(events, told, arena, cause, taker, leaves, slot, quantity)
    return told, leaves, False


@routine
def spend(events: Words, told: int, arena: Words, cause: Cause, taker: Taker, money: int, by_quote: bool) -> int:
    """A MARKET order with `money` quote units: a BUY's budget (N7), or `by_quote` the amount itself (N8)."""
    opposite, leaves = 1 - taker.side, taker.qty
    uncapped = by_quote and taker.qty == 0
    # Without a cap there is no quantity that DECREMENT could lower (S4).
    stp = _EXPIRE_TAKER if uncapped and taker.stp == _DECREMENT else taker.stp
    out_of_money = _QUOTE_SPENT if by_quote else _BUDGET_EXHAUSTED
    best = side_at(opposite) + L.BEST_KEY
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
        slot = arena[best_level(arena, opposite) + L.HEAD]
        if _is_own(arena, taker, slot):
            told, leaves, ended = _prevent(events, told, arena, cause, taker, leaves, stp, slot)
            if ended:
                return told
            continue
        quantity = min(quantity, arena[order_at(arena, slot) + L.LEAVES])
        if not uncapped:
            quantity = min(quantity, leaves)
            leaves -= quantity
        money -= quantity * lot_price
        told = _trade(events, told, arena, cause, taker, leaves, slot, quantity)
    return told


@routine
def _missing_after_level(arena: Words, level: int, taker: Taker, missing: int) -> int:
    """What a FOK still lacks after the orders of one level; _UNFILLABLE when an own order ends it (S6)."""
    slot = arena[level + L.HEAD]
    while slot != 0 and missing > 0:
        order = order_at(arena, slot)
        if not _is_own(arena, taker, slot):
            missing -= min(missing, arena[order + L.LEAVES])
        elif taker.stp != _EXPIRE_MAKER:
            return _UNFILLABLE
        slot = arena[order + L.LINKS] >> 32
    return missing


@routine
def can_fill(arena: Words, taker: Taker, limit_key: int) -> bool:
    """N6, S6: whether trades alone would fill a FOK whole."""
    opposite, missing = 1 - taker.side, taker.qty
    key = arena[side_at(opposite) + L.BEST_KEY]
    # Level totals tell enough unless own orders must be told apart, or totals could pass 64 bits.
    by_level = taker.stp == _STP_NONE and arena[L.TOTALS_FIT] != 0
    while missing > 0 and key >= limit_key:
        level = level_of_key(arena, opposite, key)
        if by_level:
            missing -= min(missing, arena[level + L.TOTAL])
        else:
            missing = _missing_after_level(arena, level, taker, missing)
        key = next_key(arena, opposite, key)
    return missing == 0
