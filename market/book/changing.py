"""Commands that name an order that is live: CANCEL and CANCEL_ALL, AMEND, and the first half of REPLACE.

Must not know: how an order trades or rests.
"""

from market.book import layout as L
from market.book.conditions import is_market_type
from market.book.filters import is_notional_below
from market.book.ids import aside, find_likely, order_at
from market.book.layout import CommandRecord
from market.book.levels import level_of_key, next_key, store_at
from market.book.linked import end_other, other_of
from market.book.machine import ZERO, Words, constant, inlined, routine, signed
from market.book.pairs import is_leg
from market.book.placing import working_price
from market.book.queues import leaves_of, remove_order, store_of
from market.book.refusals import is_malformed, refused
from market.book.tell import AMENDED, CANCELED, Cause, tell_not_changed, tell_plain, tell_refused, tell_resting
from market.enums import CancelRestriction, CommandFlag
from market.numbering import OUTSIDE_ACCOUNT
from market.reasons import Reason

_STOP_ON_FAILURE = constant(CommandFlag.STOP_ON_FAILURE)
_ALLOW_FAILURE = constant(CommandFlag.ALLOW_FAILURE)
_UNRESTRICTED = constant(CancelRestriction.NONE)
_ONLY_NEW = constant(CancelRestriction.ONLY_NEW)
_LAST_RESTRICTION = constant(max(CancelRestriction))
_NONE = constant(Reason.NONE)
_SYMBOL_HALTED = constant(Reason.SYMBOL_HALTED)
_INVALID_COMMAND = constant(Reason.INVALID_COMMAND)
_UNKNOWN_ORDER = constant(Reason.UNKNOWN_ORDER)
_LOT_SIZE = constant(Reason.LOT_SIZE)
_MARKET_LOT_SIZE = constant(Reason.MARKET_LOT_SIZE)
_NOTIONAL = constant(Reason.NOTIONAL)
_ORDER_CHANGED = constant(Reason.ORDER_CHANGED)
_CANCEL_RESTRICTED = constant(Reason.CANCEL_RESTRICTED)
_AMEND_NOT_REDUCED = constant(Reason.AMEND_NOT_REDUCED)
_MAX_NUM_ORDER_AMENDS = constant(Reason.MAX_NUM_ORDER_AMENDS)
_USER_CANCELED = constant(Reason.USER_CANCELED)
_OCO_CANCELED = constant(Reason.OCO_CANCELED)
_REPLACED = constant(Reason.REPLACED)
_BYTE = 0xFF

_BYTE = 0xFF


@inlined
def _own_order(arena: Words, order_id: int, account: int, likely: int) -> int:
    """C2: slot of a live order of that account, or 0; `likely`: where it was last seen."""
    slot = find_likely(arena, order_id, likely)
    if slot != 0 and arena[order_at(arena, slot) + L.OWNER] >> 32 != account:
        return 0
    return slot


# -- cancel -------------------------------------------------------------------------------------------------


@routine
def _is_restricted(arena: Words, order: int, restriction: int) -> bool:
    """C4."""
    prevented = arena[aside(arena, order) + L.PREVENTED] if arena[order + L.META] & L.WAS_PREVENTED else 0
    is_filled = arena[order + L.QTY] - leaves_of(arena, order) - prevented > 0
    return is_filled if restriction == _ONLY_NEW else not is_filled


@inlined
def _cancel_slot(events: Words, told: int, arena: Words, cause: Cause, slot: int, reason: int) -> int:
    """C1, L6."""
    order = order_at(arena, slot)
    if arena[order + L.META] & L.PAIRED:
        told = end_other(events, told, arena, cause, order, CANCELED, _OCO_CANCELED)
    told = tell_resting(events, told, arena, cause, order, CANCELED, reason)
    remove_order(arena, slot)
    return told


@routine
def _cancel_special(events: Words, told: int, arena: Words, cause: Cause, command: CommandRecord, slot: int) -> int:
    """C2, C4, L6."""
    restriction = signed(command.cancel_restriction)
    reason = _NONE
    if restriction > _LAST_RESTRICTION or command.account == OUTSIDE_ACCOUNT:
        reason = _INVALID_COMMAND
    elif slot == 0:
        reason = _UNKNOWN_ORDER
    elif restriction != _UNRESTRICTED and _is_restricted(arena, order_at(arena, slot), restriction):
        reason = _CANCEL_RESTRICTED
    if reason != _NONE:
        return tell_refused(events, told, arena, cause, command, reason, False)
    return _cancel_slot(events, told, arena, cause, slot, _USER_CANCELED)


@inlined
def cancel(events: Words, told: int, arena: Words, cause: Cause, command: CommandRecord, likely: int) -> int:
    """`likely`: the slot in which `ahead.py` saw the order, if it is still there."""
    slot = _own_order(arena, command.order_id, command.account, likely)
    order = order_at(arena, slot)
    if slot == 0 or command.cancel_restriction != _UNRESTRICTED or arena[order + L.META] & L.SPECIAL:
        return _cancel_special(events, told, arena, cause, command, slot)
    told = tell_plain(events, told, arena, cause, order, CANCELED, _USER_CANCELED)
    remove_order(arena, slot)
    return told


@routine
def cancel_all(events: Words, told: int, arena: Words, cause: Cause, command: CommandRecord) -> int:
    """C3: walks everything, in the order in which it tells."""
    if command.account == OUTSIDE_ACCOUNT:
        return tell_refused(events, told, arena, cause, command, _INVALID_COMMAND, False)
    before = told
    for store in range(L.LINE):
        key = arena[store_at(store) + L.BEST_KEY]
        while key != L.NO_KEY:
            slot = arena[level_of_key(arena, store, key) + L.HEAD]
            # Now, because the level and its page go with their last order.
            key = next_key(arena, store, key)
            while slot != 0:
                order = order_at(arena, slot)
                following = arena[order + L.LINKS] >> 32
                if arena[order + L.OWNER] >> 32 == command.account:
                    told = tell_resting(events, told, arena, cause, order, CANCELED, _USER_CANCELED)
                    remove_order(arena, slot)
                slot = following
    if told == before:
        told = tell_refused(events, told, arena, cause, command, _UNKNOWN_ORDER, False)
    return told


# -- replace ------------------------------------------------------------------------------------------------


@inlined
def _why_not_canceled(arena: Words, command: CommandRecord, slot: int) -> int:
    """P1: the reason against the cancel of a REPLACE."""
    target, expected, restriction = order_at(arena, slot), command.expected_leaves, signed(command.cancel_restriction)
    if slot == 0:
        return _UNKNOWN_ORDER
    if expected >= 0 and expected != leaves_of(arena, target):
        return _ORDER_CHANGED
    if restriction != _UNRESTRICTED and _is_restricted(arena, target, restriction):
        return _CANCEL_RESTRICTED
    return _NONE


@inlined
def _resting_leg(arena: Words, slot: int, other: int) -> int:
    """Of a target and the other leg of its pair the one that rests, of which there is at most one; 0: none."""
    if store_of(arena[order_at(arena, slot) + L.META]) < L.FALLS:
        return slot
    if other != 0 and store_of(arena[order_at(arena, other) + L.META]) < L.FALLS:
        return other
    return 0


@inlined
def _why_not_replaced(arena: Words, command: CommandRecord, slot: int) -> int:
    """P1: the reason against the new order, as if the target were gone."""
    other = other_of(arena, order_at(arena, slot))
    gone = _resting_leg(arena, slot, other)
    live = arena[L.LIVE] - (1 if other == 0 else 2)
    return refused(arena, command, working_price(arena, command, gone), gone, live)


@routine
def make_way(
    events: Words, told: int, arena: Words, cause: Cause, command: CommandRecord, likely: int
) -> tuple[int, int, int]:
    """P1 to P4, up to the new order. Events told, the reason against it, its working price."""
    flags = signed(command.flags)
    allow, atomic = flags & _ALLOW_FAILURE != 0, flags & (_ALLOW_FAILURE | _STOP_ON_FAILURE) == 0
    slot = _own_order(arena, command.target_id, command.account, likely)
    failure = _why_not_canceled(arena, command, slot)
    if arena[L.HALTED] != 0:
        reason = _SYMBOL_HALTED
    elif is_malformed(arena, command) or is_leg(command):
        reason = _INVALID_COMMAND
    elif failure != _NONE:
        reason = _NONE if allow else failure
    else:
        reason = _why_not_replaced(arena, command, slot) if atomic else _NONE
    if reason != _NONE:
        return told, reason, ZERO
    if failure != _NONE:
        told = tell_not_changed(events, told, arena, cause, command, command.target_id, failure)
    else:
        told = _cancel_slot(events, told, arena, cause, slot, _REPLACED)
    price = working_price(arena, command, ZERO)
    return told, _NONE if atomic else refused(arena, command, price, ZERO, arena[L.LIVE]), price


# -- amend --------------------------------------------------------------------------------------------------


@inlined
def _is_too_little(arena: Words, order: int, total: int) -> bool:
    """A2: NOTIONAL."""
    price = arena[order + L.PRICE]
    if is_market_type((arena[order + L.META] >> L.ORD_TYPE_BIT) & _BYTE):
        price = arena[aside(arena, order) + L.STOP_PRICE]
        price = price if price != 0 else arena[L.LAST_PRICE]
    return price > 0 and is_notional_below(arena, price, total)


@inlined
def _is_lot_outside(arena: Words, order: int, total: int) -> int:
    """A2: the reason of LOT_SIZE or MARKET_LOT_SIZE."""
    if is_market_type((arena[order + L.META] >> L.ORD_TYPE_BIT) & _BYTE):
        return _MARKET_LOT_SIZE if total < arena[L.MARKET_MIN_QTY] or total > arena[L.MARKET_MAX_QTY] else _NONE
    return _LOT_SIZE if total < arena[L.MIN_QTY] or total > arena[L.MAX_QTY] else _NONE


@inlined
def _amends_of(arena: Words, order: int) -> int:
    return (arena[order + L.OWNER] >> L.AMENDS_BIT) & L.AMENDS_MASK


@inlined
def _why_not_amended(arena: Words, slot: int, total: int) -> int:
    order = order_at(arena, slot)
    if slot == 0:
        return _UNKNOWN_ORDER
    if not arena[order + L.QTY] - leaves_of(arena, order) < total < arena[order + L.QTY]:
        return _AMEND_NOT_REDUCED
    reason, other = _is_lot_outside(arena, order, total), other_of(arena, order)
    if reason != _NONE:
        return reason
    if _is_too_little(arena, order, total) or (other != 0 and _is_too_little(arena, order_at(arena, other), total)):
        return _NOTIONAL
    return _MAX_NUM_ORDER_AMENDS if _amends_of(arena, order) >= arena[L.MAX_AMENDS] else _NONE


@routine
def _reduce(events: Words, told: int, arena: Words, cause: Cause, order: int, total: int) -> int:
    """A1, I5: an iceberg gives first what it hides."""
    less = arena[order + L.QTY] - total
    arena[order + L.QTY] = total
    arena[order + L.OWNER] += 1 << L.AMENDS_BIT
    if arena[order + L.META] & L.ICEBERG:
        from_hidden = min(less, arena[aside(arena, order) + L.HIDDEN])
        arena[aside(arena, order) + L.HIDDEN] -= from_hidden
        less -= from_hidden
    arena[order + L.LEAVES] -= less
    arena[arena[L.PAGES_AT] + arena[order + L.LEVEL] + L.TOTAL] -= less
    return tell_resting(events, told, arena, cause, order, AMENDED, _NONE)


@routine
def amend(events: Words, told: int, arena: Words, cause: Cause, command: CommandRecord, likely: int) -> int:
    slot, total = _own_order(arena, command.order_id, command.account, likely), command.qty_lots
    if arena[L.HALTED] != 0:
        reason = _SYMBOL_HALTED
    elif command.account == OUTSIDE_ACCOUNT:
        reason = _INVALID_COMMAND
    else:
        reason = _why_not_amended(arena, slot, total)
    if reason != _NONE:
        return tell_refused(events, told, arena, cause, command, reason, False)
    order = order_at(arena, slot)
    other = other_of(arena, order)
    if other != 0:
        told = _reduce(events, told, arena, cause, order_at(arena, other), total)
    return _reduce(events, told, arena, cause, order, total)
