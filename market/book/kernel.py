"""The matching engine: `match` applies a batch of commands to one book, or to as many as they name, and writes the events.

In a batch of many books the commands of one are applied together, and the books by their place in the table: so each
book's memory is met once. Each book has room for its commands before the first of them (no slot, page, id or event row
can run out half-way); where there is none the call ends between two books, Python makes it (`applying.py`), and the next
call goes on. The rules are those of SEMANTICS.md.

Must not know: Python objects, time, how an arena grows.
"""

from collections.abc import Callable
from functools import cache

from numba import from_dtype, types

from market.book import call as C
from market.book import layout as L
from market.book.ahead import GROUP, ask_ahead
from market.book.arranging import arrange, count_symbols, end_of
from market.book.build import source_digest
from market.book.changing import amend, cancel, cancel_all, make_way
from market.book.commands import command_at
from market.book.filters import set_bands
from market.book.layout import CommandRecord, Records, WordArray
from market.book.machine import (
    ZERO,
    Words,
    constant,
    copy_words,
    direct,
    entry,
    inlined,
    record_words,
    routine,
    words_at,
    words_of,
)
from market.book.outside import apply_outside
from market.book.pairs import is_leg, place_leg
from market.book.placing import enter, place, rest_at_once, rests_at_once, working_price
from market.book.refusals import is_malformed, is_plain, is_plainly_malformed, plainly_refused, refused
from market.book.room import has_room, rows_for
from market.book.tell import Cause, tell_refused
from market.book.triggers import first_in_line, look_at_trades
from market.enums import CommandKind
from market.reasons import Reason
from market.records import COMMAND

_BYTE = 0xFF
_FLUSHED_AT_ONCE = constant(256)
"""Events: few enough that they are still near."""

_NEW = constant(CommandKind.NEW)
_CANCEL = constant(CommandKind.CANCEL)
_REPLACE = constant(CommandKind.REPLACE)
_AMEND = constant(CommandKind.AMEND)
_CANCEL_ALL = constant(CommandKind.CANCEL_ALL)
_LAST_KIND = constant(max(CommandKind))
_NONE = constant(Reason.NONE)
_SYMBOL_HALTED = constant(Reason.SYMBOL_HALTED)
_INVALID_COMMAND = constant(Reason.INVALID_COMMAND)

Match = Callable[[Records, WordArray], int]
"""Commands and the words of `call.py` -> the number of events, or why it ended early."""


# -- new ----------------------------------------------------------------------------------------------------


@inlined
def _plainly_refused(arena: Words, command: CommandRecord) -> int:
    """The reason against a plain NEW: the way of almost every order."""
    if arena[L.HALTED] != 0:
        return _SYMBOL_HALTED
    return _INVALID_COMMAND if is_plainly_malformed(arena, command) else plainly_refused(arena, command)


@routine
def _refused(arena: Words, command: CommandRecord) -> tuple[int, int]:
    """The reason against any NEW, and its working price."""
    if arena[L.HALTED] != 0:
        return _SYMBOL_HALTED, ZERO
    if is_malformed(arena, command):
        return _INVALID_COMMAND, ZERO
    price = working_price(arena, command, ZERO)
    return refused(arena, command, price, ZERO, arena[L.LIVE]), price


@routine
def trigger(events: Words, before: int, told: int, arena: Words, cause: Cause, command: CommandRecord) -> int:
    """T3, T4: the orders that the trades told since `before` reach, and those that theirs reach."""
    told = look_at_trades(events, before, told, arena, cause)
    slot = first_in_line(arena)
    while slot != 0:
        before = told
        told, slot = enter(events, told, arena, cause, slot)
        if slot != 0:
            told = place(events, told, arena, cause, command, ZERO, slot)
        told = look_at_trades(events, before, told, arena, cause)
        slot = first_in_line(arena)
    return told


@inlined
def _events_from(call: Words, flushed: int) -> Words:
    """Where event 0 would lie, if the first one not yet taken out lies at the beginning of EVENTS."""
    return words_at(call[C.EVENTS] - flushed * L.EVENT_WORDS * L.WORD_BYTES)


@inlined
def _flush(call: Words, flushed: int, told: int) -> Words:
    """Copy what stands in EVENTS to OUT, while it is near; where events are written from now on."""
    words = (told - flushed) * L.EVENT_WORDS
    copy_words(words_at(call[C.OUT] + flushed * L.EVENT_WORDS * L.WORD_BYTES), words_at(call[C.EVENTS]), words)
    return _events_from(call, told)


@inlined
def _ended(call: Words, why: int, needed: int, at: int, told: int, flushed: int, place: int) -> int:
    call[C.NEEDED], call[C.AT], call[C.TOLD], call[C.FLUSHED], call[C.PLACE] = needed, at, told, flushed, place
    return why


def _compile_match(sources: str) -> Callable[[Records, WordArray], int]:
    @entry
    def match(records: Records, call_words: WordArray) -> int:
        """Apply the commands; the number of events written, or ROWS, ROOM or UNKNOWN."""
        _ = sources  # in the closure, hence in the key of numba's cache: a change in any source recompiles
        call, commands, count = words_of(call_words), record_words(records), len(records)
        arenas, symbols, order = words_at(call[C.ARENAS]), call[C.SYMBOLS], words_at(call[C.ORDER])
        rows, out_rows = call[C.EVENT_ROWS], call[C.OUT_ROWS]
        at, told, flushed = call[C.AT], call[C.TOLD], call[C.FLUSHED]
        events = _events_from(call, flushed)
        if symbols != 0 and at == 0:
            unknown = count_symbols(commands, count, arenas, symbols, words_at(call[C.COUNTS]))
            if unknown >= 0:
                return _ended(call, C.UNKNOWN, unknown, at, told, flushed, unknown)
            arrange(commands, count, symbols, words_at(call[C.COUNTS]), order)
        while at < count:
            first, end, seat = at, end_of(commands, count, order, at, symbols != 0), order[at] >> 32
            arena = words_at(arenas[seat])
            if not has_room(arena, end - first):
                return _ended(call, C.ROOM, end - first, at, told, flushed, seat)
            needed = rows_for(arena, end - first)
            if needed > rows - (told - flushed):
                return _ended(call, C.ROWS, needed, at, told, flushed, seat)
            if arena[L.LAST_PRICE] != arena[L.BAND_PRICE]:
                set_bands(arena)
            arena[L.EXEC_ID] -= told
            while at < end:
                if at % GROUP == 0:
                    if told - flushed >= _FLUSHED_AT_ONCE and told <= out_rows:
                        events, flushed = _flush(call, flushed, told), told
                    ask_ahead(arenas, commands, count, order, at, call, symbols != 0)
                likely = call[C.SCRATCH + at % GROUP]
                index = order[at] & L.LOW_HALF
                command = command_at(commands, index)
                head = commands[index * L.COMMAND_WORDS]
                kind = head & _BYTE
                cause, before = Cause(index << 32, kind << L.COMMAND_KIND_BIT), told
                places, reason, price = False, _NONE, command.price_ticks
                if kind == _NEW:
                    if is_plain(command):
                        reason = _plainly_refused(arena, command)
                        places = reason != _NONE or not rests_at_once(arena, command)
                        if not places:
                            told = rest_at_once(events, told, arena, cause, command, head)
                    elif is_leg(command):
                        told = place_leg(events, told, arena, cause, commands, order, at, first, end)
                    else:
                        places = True
                        reason, price = _refused(arena, command)
                elif kind == _CANCEL:
                    told = cancel(events, told, arena, cause, command, likely)
                elif kind == _REPLACE:
                    places = True
                    told, reason, price = make_way(events, told, arena, cause, command, likely)
                elif kind == _AMEND:
                    told = amend(events, told, arena, cause, command, likely)
                elif kind == _CANCEL_ALL:
                    told = cancel_all(events, told, arena, cause, command)
                elif kind <= _LAST_KIND:
                    told = apply_outside(events, told, arena, cause, command)
                    if arena[L.LAST_PRICE] != arena[L.BAND_PRICE]:
                        set_bands(arena)
                else:
                    told = tell_refused(events, told, arena, cause, command, _INVALID_COMMAND, False)
                if places:
                    if reason != _NONE:
                        told = tell_refused(events, told, arena, cause, command, reason, True)
                    else:
                        told = place(events, told, arena, cause, command, price, ZERO)
                if arena[L.STOPS] != 0:
                    told = trigger(events, before, told, arena, cause, command)
                at += 1
            arena[L.EXEC_ID] += told
        if out_rows >= told:
            _flush(call, flushed, told)
            flushed = told
        call[C.AT], call[C.TOLD], call[C.FLUSHED] = 0, 0, flushed
        return told

    return match


match = _compile_match(source_digest())


@cache
def compiled() -> Match:
    """`match` without numba's choice by the types of what it gets: COMMAND[n], one behind the other, and int64[n]."""
    commands = types.Array(from_dtype(COMMAND), 1, "C", readonly=True)
    return direct(match, (commands, types.Array(types.int64, 1, "C")))
