"""Placing a pair of which one cancels the other (L1 to L3): two consecutive commands, both or neither.

Must not know: what ends a leg.
"""

from market.book import layout as L
from market.book.commands import command_at
from market.book.conditions import is_market_type
from market.book.layout import CommandRecord
from market.book.linked import link_pair
from market.book.machine import ZERO, Words, constant, inlined, routine
from market.book.placing import place_aside, working_price
from market.book.refusals import is_malformed, refused
from market.book.tell import Cause, tell_refused
from market.enums import CommandKind, ListRole, OrdType, Side
from market.reasons import Reason

_NEW = constant(CommandKind.NEW)
_SELL = constant(Side.SELL)
_LIMIT_MAKER = constant(OrdType.LIMIT_MAKER)
_STOP_LOSS = constant(OrdType.STOP_LOSS)
_STOP_LOSS_LIMIT = constant(OrdType.STOP_LOSS_LIMIT)
_TAKE_PROFIT = constant(OrdType.TAKE_PROFIT)
_TAKE_PROFIT_LIMIT = constant(OrdType.TAKE_PROFIT_LIMIT)
_FIRST = constant(ListRole.OCO_FIRST)
_SECOND = constant(ListRole.OCO_SECOND)

_ONE = constant(1)
_NONE = constant(Reason.NONE)
_SYMBOL_HALTED = constant(Reason.SYMBOL_HALTED)
_INVALID_COMMAND = constant(Reason.INVALID_COMMAND)
_OCO_PRICES = constant(Reason.OCO_PRICES)
_OCO_PAIR_REFUSED = constant(Reason.OCO_PAIR_REFUSED)


@inlined
def is_leg(command: CommandRecord) -> bool:
    return command.list_role == _FIRST or command.list_role == _SECOND


@inlined
def _is_stop_leg(command: CommandRecord) -> bool:
    return command.ord_type == _STOP_LOSS or command.ord_type == _STOP_LOSS_LIMIT


@inlined
def _is_far_leg(command: CommandRecord) -> bool:
    is_profit = command.ord_type == _TAKE_PROFIT or command.ord_type == _TAKE_PROFIT_LIMIT
    return command.ord_type == _LIMIT_MAKER or is_profit


@inlined
def _are_pair(one: CommandRecord, two: CommandRecord) -> bool:
    """L1."""
    if one.list_role != _FIRST or two.list_role != _SECOND or one.kind != _NEW or two.kind != _NEW:
        return False
    if one.list_id <= 0 or one.list_id != two.list_id or one.account != two.account:
        return False
    if one.side != two.side or one.qty_lots != two.qty_lots or one.order_id == two.order_id:
        return False
    return (_is_far_leg(one) and _is_stop_leg(two)) or (_is_stop_leg(one) and _is_far_leg(two))


@inlined
def _reason_against(arena: Words, command: CommandRecord, price: int, ahead: int) -> int:
    if arena[L.HALTED] != 0:
        return _SYMBOL_HALTED
    if is_malformed(arena, command):
        return _INVALID_COMMAND
    return refused(arena, command, price, ZERO, arena[L.LIVE] + ahead)


@inlined
def _is_bound_kept(sells: bool, price: int, bound: int) -> bool:
    return bound == 0 or (price > bound if sells else price < bound)


@inlined
def _prices_fit(arena: Words, far: CommandRecord, price: int, stop: int) -> bool:
    """L2; `price`: the far leg's limit."""
    if is_market_type(far.ord_type) or price == 0:
        price = far.stop_price_ticks
    sells = far.side == _SELL
    return price == 0 or (_is_bound_kept(sells, price, arena[L.LAST_PRICE]) and _is_bound_kept(sells, price, stop))


@routine
def _place_pair(
    events: Words, told: int, arena: Words, cause: Cause, after: Cause, first: CommandRecord, second: CommandRecord
) -> int:
    price, other_price = working_price(arena, first, ZERO), working_price(arena, second, ZERO)
    reason = _reason_against(arena, first, price, ZERO)
    other_reason = _reason_against(arena, second, other_price, _ONE)
    if reason == _NONE and other_reason == _NONE:
        if _is_stop_leg(first):
            fit = _prices_fit(arena, second, other_price, first.stop_price_ticks)
        else:
            fit = _prices_fit(arena, first, price, second.stop_price_ticks)
        if not fit:
            reason, other_reason = _OCO_PRICES, _OCO_PRICES
    if reason != _NONE or other_reason != _NONE:
        reason = reason if reason != _NONE else _OCO_PAIR_REFUSED
        other_reason = other_reason if other_reason != _NONE else _OCO_PAIR_REFUSED
        told = tell_refused(events, told, arena, cause, first, reason, True)
        return tell_refused(events, told, arena, after, second, other_reason, True)
    told, slot = place_aside(events, told, arena, cause, first, price)
    told, other = place_aside(events, told, arena, after, second, other_price)
    link_pair(arena, slot, other)
    return told


@routine
def place_leg(
    events: Words, told: int, arena: Words, cause: Cause, commands: Words, order: Words, at: int, first: int, end: int
) -> int:
    """A NEW with the role of a leg: with its second, or for its first nothing is left to do, or it stands alone.

    The command at place `at` of `order`; those of its book that are applied at once stand there from `first` to before `end`.
    """
    command = command_at(commands, order[at] & L.LOW_HALF)
    if at > first and _are_pair(command_at(commands, order[at - 1] & L.LOW_HALF), command):
        return told
    if at + 1 < end:
        index = order[at + 1] & L.LOW_HALF
        second = command_at(commands, index)
        if _are_pair(command, second):
            return _place_pair(events, told, arena, cause, Cause(index << 32, cause.kind), command, second)
    reason = _SYMBOL_HALTED if arena[L.HALTED] != 0 else _INVALID_COMMAND
    return tell_refused(events, told, arena, cause, command, reason, True)
