"""The matching engine: `match` applies a batch of commands to an arena and writes the events they cause.

Compiled; the rules are those of SEMANTICS.md. The caller has made room (`arena.py`): no slot, page, id or
event row can run out in here, so nothing can fail half-way.

Must not know: Python objects, time, other symbols, how the arena grows.
"""

from collections.abc import Callable

from market.book import layout as L
from market.book.build import source_digest
from market.book.ids import find_order, order_at
from market.book.layout import CommandRecord, Records, WordArray
from market.book.levels import append_order, key_of, level_of_key, next_key, remove_order, side_at
from market.book.machine import Words, entry, inlined, routine, signed, words_of
from market.book.refusals import is_malformed, is_notional_below, refused, set_bands
from market.book.taking import can_fill, spend, take
from market.book.tell import (
    ACCEPTED,
    AMENDED,
    CANCELED,
    Cause,
    Taker,
    taker_of,
    tell,
    tell_refused,
    tell_resting,
    tell_taker_expired,
)
from market.enums import CommandFlag, CommandKind, OrdType, Side, TimeInForce
from market.reasons import Reason

_NEW = int(CommandKind.NEW)
_CANCEL = int(CommandKind.CANCEL)
_REPLACE = int(CommandKind.REPLACE)
_AMEND = int(CommandKind.AMEND)
_CANCEL_ALL = int(CommandKind.CANCEL_ALL)

_BUY = int(Side.BUY)
_SELL = int(Side.SELL)
_LIMIT = int(OrdType.LIMIT)
_MARKET = int(OrdType.MARKET)
_GTC = int(TimeInForce.GTC)
_FOK = int(TimeInForce.FOK)
_IOC = int(TimeInForce.IOC)
_BY_QUOTE = int(CommandFlag.BY_QUOTE)

_NONE = int(Reason.NONE)
_SYMBOL_HALTED = int(Reason.SYMBOL_HALTED)
_INVALID_COMMAND = int(Reason.INVALID_COMMAND)
_UNKNOWN_ORDER = int(Reason.UNKNOWN_ORDER)
_LOT_SIZE = int(Reason.LOT_SIZE)
_NOTIONAL = int(Reason.NOTIONAL)
_ORDER_CHANGED = int(Reason.ORDER_CHANGED)
_AMEND_NOT_REDUCED = int(Reason.AMEND_NOT_REDUCED)
_USER_CANCELED = int(Reason.USER_CANCELED)
_REPLACED = int(Reason.REPLACED)
_IOC_UNFILLED = int(Reason.IOC_UNFILLED)
_FOK_UNFILLED = int(Reason.FOK_UNFILLED)
_INSUFFICIENT_LIQUIDITY = int(Reason.INSUFFICIENT_LIQUIDITY)


@inlined
def _own_order(arena: Words, order_id: int, account: int) -> int:
    """C2: slot of a resting order of that account, or 0."""
    slot = find_order(arena, order_id)
    if slot != 0 and arena[order_at(arena, slot) + L.OWNER] >> 32 != account:
        return 0
    return slot


@routine
def _place_market(events: Words, told: int, arena: Words, cause: Cause, taker: Taker, command: CommandRecord) -> int:
    """N7 to N9, after ACCEPTED."""
    by_quote = (command.flags & _BY_QUOTE) != 0
    if by_quote or (command.side == _BUY and command.quote_units > 0):
        return spend(events, told, arena, cause, taker, command.quote_units, by_quote)
    told, leaves, ended = take(events, told, arena, cause, taker, L.ANY_KEY)
    if leaves > 0 and not ended:
        told = tell_taker_expired(events, told, arena, cause, taker, leaves, _INSUFFICIENT_LIQUIDITY)
    return told


@routine
def _place_limit(events: Words, told: int, arena: Words, cause: Cause, taker: Taker, command: CommandRecord) -> int:
    """N2 to N6, after ACCEPTED."""
    limit_key = key_of(taker.price, 1 - taker.side)
    time_in_force = signed(command.time_in_force) if command.ord_type == _LIMIT else _GTC
    if time_in_force == _FOK and not can_fill(arena, taker, limit_key):
        return tell_taker_expired(events, told, arena, cause, taker, taker.qty, _FOK_UNFILLED)
    told, leaves, ended = take(events, told, arena, cause, taker, limit_key)
    if leaves == 0 or ended:
        return told
    if time_in_force == _IOC:
        return tell_taker_expired(events, told, arena, cause, taker, leaves, _IOC_UNFILLED)
    owner = taker.account << 32 | signed(command.maker_fee_ppm)
    append_order(arena, taker.order_id, taker.side, taker.price, leaves, taker.qty, taker.meta, owner)
    return told


@routine
def _place(events: Words, told: int, arena: Words, cause: Cause, command: CommandRecord) -> int:
    """N1 and what follows, of a command that was not refused."""
    taker = taker_of(command)
    is_market = command.ord_type == _MARKET
    quote = command.quote_units if is_market else 0
    account, price, qty = taker.account, taker.price, taker.qty
    word = taker.meta | ACCEPTED
    told = tell(events, told, arena, cause, word, account, taker.order_id, price, qty, qty, quote)
    if is_market:
        told = _place_market(events, told, arena, cause, taker, command)
    else:
        told = _place_limit(events, told, arena, cause, taker, command)
    if arena[L.LAST_PRICE] != arena[L.BAND_PRICE]:
        set_bands(arena)
    return told


@inlined
def _new(events: Words, told: int, arena: Words, cause: Cause, command: CommandRecord) -> int:
    if arena[L.HALTED] != 0:
        reason = _SYMBOL_HALTED
    elif is_malformed(arena, command):
        reason = _INVALID_COMMAND
    else:
        reason = refused(arena, command, 0)
    if reason != _NONE:
        return tell_refused(events, told, arena, cause, command, reason, True)
    return _place(events, told, arena, cause, command)


@inlined
def _cancel(events: Words, told: int, arena: Words, cause: Cause, command: CommandRecord) -> int:
    slot = _own_order(arena, command.order_id, command.account)
    if slot == 0:
        return tell_refused(events, told, arena, cause, command, _UNKNOWN_ORDER, False)
    told = tell_resting(events, told, arena, cause, order_at(arena, slot), CANCELED, _USER_CANCELED)
    remove_order(arena, slot)
    return told


@routine
def _replace(events: Words, told: int, arena: Words, cause: Cause, command: CommandRecord) -> int:
    slot, expected = _own_order(arena, command.target_id, command.account), command.expected_leaves
    target = order_at(arena, slot)
    if arena[L.HALTED] != 0:
        reason = _SYMBOL_HALTED
    elif is_malformed(arena, command):
        reason = _INVALID_COMMAND
    elif slot == 0:
        reason = _UNKNOWN_ORDER
    elif expected >= 0 and expected != arena[target + L.LEAVES]:
        reason = _ORDER_CHANGED
    else:
        reason = refused(arena, command, slot)
    if reason != _NONE:
        return tell_refused(events, told, arena, cause, command, reason, True)
    told = tell_resting(events, told, arena, cause, target, CANCELED, _REPLACED)
    remove_order(arena, slot)
    return _place(events, told, arena, cause, command)


@routine
def _amend(events: Words, told: int, arena: Words, cause: Cause, command: CommandRecord) -> int:
    slot, total = _own_order(arena, command.order_id, command.account), command.qty_lots
    order = order_at(arena, slot)
    done = arena[order + L.QTY] - arena[order + L.LEAVES]
    if arena[L.HALTED] != 0:
        reason = _SYMBOL_HALTED
    elif slot == 0:
        reason = _UNKNOWN_ORDER
    elif not done < total < arena[order + L.QTY]:
        reason = _AMEND_NOT_REDUCED
    elif total < arena[L.MIN_QTY] or total > arena[L.MAX_QTY]:
        reason = _LOT_SIZE
    elif is_notional_below(arena, arena[order + L.PRICE], total):
        reason = _NOTIONAL
    else:
        reason = _NONE
    if reason != _NONE:
        return tell_refused(events, told, arena, cause, command, reason, False)
    arena[arena[L.PAGES_AT] + arena[order + L.LEVEL] + L.TOTAL] -= arena[order + L.QTY] - total
    arena[order + L.LEAVES] = total - done
    arena[order + L.QTY] = total
    return tell_resting(events, told, arena, cause, order, AMENDED, _NONE)


@routine
def _cancel_all(events: Words, told: int, arena: Words, cause: Cause, command: CommandRecord) -> int:
    """C3: walks the whole book, in the order in which it tells."""
    before = told
    for side in range(_BUY, _SELL + 1):
        key = arena[side_at(side) + L.BEST_KEY]
        while key != L.NO_KEY:
            slot = arena[level_of_key(arena, side, key) + L.HEAD]
            # Now, because the level and its page go with their last order.
            key = next_key(arena, side, key)
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


def _compile_match(sources: str) -> Callable[[Records, int, int, WordArray, WordArray], int]:
    @entry
    def match(commands: Records, start: int, stop: int, event_words: WordArray, arena_words: WordArray) -> int:
        """Apply `commands[start:stop]`; the number of events written. `event_words` is EVENT[n]."""
        _ = sources  # in the closure, hence in the key of numba's cache: a change in any source recompiles
        events, arena, told = words_of(event_words), words_of(arena_words), 0
        if arena[L.LAST_PRICE] != arena[L.BAND_PRICE]:
            set_bands(arena)
        for index in range(start, stop):
            command = commands[index]
            kind = signed(command.kind)
            cause = Cause(index << 32, kind << L.COMMAND_KIND_BIT)
            if kind == _NEW:
                told = _new(events, told, arena, cause, command)
            elif kind == _CANCEL:
                told = _cancel(events, told, arena, cause, command)
            elif kind == _REPLACE:
                told = _replace(events, told, arena, cause, command)
            elif kind == _AMEND:
                told = _amend(events, told, arena, cause, command)
            elif kind == _CANCEL_ALL:
                told = _cancel_all(events, told, arena, cause, command)
            else:
                told = tell_refused(events, told, arena, cause, command, _INVALID_COMMAND, False)
        arena[L.EXEC_ID] += told
        return told

    return match


match = _compile_match(source_digest())
