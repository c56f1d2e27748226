"""`match` applies a batch of commands to one book, or to as many as they name, and writes the events.

In a batch of many books the commands of one are applied together, and the books by their place in the table: so each
book's memory is met once. Each book has room for its commands before the first of them; where there is none the call
ends between two books, Python makes it (`engine.py`), and the next call goes on.

Must not know: Python objects, time, how the arena grows.
"""

from collections.abc import Callable
from functools import cache

from numba import from_dtype, types

from market.book import call as C
from market.book import layout as L
from market.book.ahead import GROUP, ask_ahead
from market.book.build import source_digest
from market.book.filters import set_bands
from market.book.kernel import apply_command
from market.book.layout import Records, WordArray
from market.book.machine import (
    Words,
    constant,
    direct,
    entry,
    highest_bit,
    inlined,
    routine,
    signed,
    words_at,
    words_of,
)
from market.book.room import has_room, rows_for
from market.enums import ListRole
from market.records import COMMAND

BATCH_COMMANDS = 8_192
"""Of one book at a time, which bounds the room prepared for the worst case."""

_LONGEST = constant(BATCH_COMMANDS)
_OCO_FIRST = constant(ListRole.OCO_FIRST)
_BITS = constant(64)
_NO_INDEX = constant(-1)

Match = Callable[[Records, WordArray], int]
"""Commands and the words of `call.py` -> the number of events, or why it ended early."""


@routine
def _counted(commands: Records, arenas: Words, symbols: int, counts: Words) -> int:
    """How many commands each symbol has, and a bit for each that has any; -1, or the index of one without a book."""
    marks = symbols
    for index in range(len(commands)):
        symbol = signed(commands[index].symbol)
        if symbol < 0 or symbol >= symbols or arenas[symbol] == 0:
            for other in range(index):
                counts[commands[other].symbol] = 0
                counts[marks + commands[other].symbol // _BITS] = 0
            return index
        counts[symbol] += 1
        counts[marks + symbol // _BITS] |= 1 << (symbol % _BITS)
    return _NO_INDEX


@routine
def _arrange(commands: Records, symbols: int, counts: Words, order: Words) -> None:
    """By symbol, and those of one as they came. The counts are 0 again afterwards."""
    start = 0
    for mark in range(symbols, symbols + (symbols + _BITS - 1) // _BITS):
        bits = counts[mark]
        counts[mark] = 0
        while bits != 0:
            lowest = bits & -bits
            bits ^= lowest
            symbol = (mark - symbols) * _BITS + highest_bit(lowest)
            count = counts[symbol]
            counts[symbol] = start
            start += count
    for index in range(len(commands)):
        symbol = signed(commands[index].symbol)
        order[counts[symbol]] = symbol << 32 | index
        counts[symbol] += 1
    for at in range(len(commands)):
        counts[order[at] >> 32] = 0


@inlined
def _end_of(commands: Records, order: Words, first: int, many: bool) -> int:
    """Where the commands end that are of the same book as that at place `first`, and that are applied at once."""
    place, end = order[first] >> 32, min(len(commands), first + _LONGEST)
    if many:
        most, end = end, first + 1
        while end < most and order[end] >> 32 == place:
            end += 1
    # A pair stays together (L1).
    if end == first + _LONGEST and end < len(commands) and order[end] >> 32 == place:
        end += 1 if commands[order[end - 1] & L.LOW_HALF].list_role == _OCO_FIRST else 0
    return end


@inlined
def _ended(call: Words, why: int, needed: int, at: int, told: int, place: int) -> int:
    call[C.NEEDED], call[C.AT], call[C.TOLD], call[C.PLACE] = needed, at, told, place
    return why


def _compile_match(sources: str) -> Callable[[Records, WordArray], int]:
    @entry
    def match(commands: Records, call_words: WordArray) -> int:
        """Apply the commands; the number of events written, or ROWS, ROOM or UNKNOWN."""
        _ = sources  # in the closure, hence in the key of numba's cache: a change in any source recompiles
        call = words_of(call_words)
        arenas, symbols, order = words_at(call[C.ARENAS]), call[C.SYMBOLS], words_at(call[C.ORDER])
        events, rows = words_at(call[C.EVENTS]), call[C.EVENT_ROWS]
        at, told = call[C.AT], call[C.TOLD]
        if symbols != 0 and at == 0:
            unknown = _counted(commands, arenas, symbols, words_at(call[C.COUNTS]))
            if unknown >= 0:
                return _ended(call, C.UNKNOWN, unknown, at, told, unknown)
            _arrange(commands, symbols, words_at(call[C.COUNTS]), order)
        while at < len(commands):
            first, end, place = at, _end_of(commands, order, at, symbols != 0), order[at] >> 32
            arena = words_at(arenas[place])
            if not has_room(arena, end - first):
                return _ended(call, C.ROOM, end - first, at, told, place)
            needed = rows_for(arena, end - first)
            if needed > rows - told:
                return _ended(call, C.ROWS, needed, at, told, place)
            if arena[L.LAST_PRICE] != arena[L.BAND_PRICE]:
                set_bands(arena)
            arena[L.EXEC_ID] -= told
            while at < end:
                if at % GROUP == 0:
                    ask_ahead(arenas, commands, order, at, call, symbols != 0)
                told = apply_command(events, told, arena, commands, order, at, first, end)
                at += 1
            arena[L.EXEC_ID] += told
        call[C.AT], call[C.TOLD] = 0, 0
        return told

    return match


match = _compile_match(source_digest())


@cache
def compiled() -> Match:
    """`match` without numba's choice by the types of what it gets: COMMAND[n], one behind the other, and int64[n]."""
    commands = types.Array(from_dtype(COMMAND), 1, "C", readonly=True)
    return direct(match, (commands, types.Array(types.int64, 1, "C")))
