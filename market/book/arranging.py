"""The order in which the commands of a batch are applied: by book, and those of one as they came.

Must not know: what a command does.
"""

from market.book import layout as L
from market.book.commands import command_at
from market.book.machine import Words, constant, highest_bit, inlined, routine, signed
from market.enums import ListRole

BATCH_COMMANDS = 8_192
"""Of one book at a time, which bounds the room prepared for the worst case."""

_LONGEST = constant(BATCH_COMMANDS)
_OCO_FIRST = constant(ListRole.OCO_FIRST)
_BITS = constant(64)
_NO_INDEX = constant(-1)


@routine
def count_symbols(commands: Words, count: int, arenas: Words, symbols: int, counts: Words) -> int:
    """How many commands each symbol has, and a bit for each that has any; -1, or the index of one without a book."""
    marks = symbols
    for index in range(count):
        symbol = signed(command_at(commands, index).symbol)
        if symbol < 0 or symbol >= symbols or arenas[symbol] == 0:
            for other in range(index):
                counts[command_at(commands, other).symbol] = 0
                counts[marks + command_at(commands, other).symbol // _BITS] = 0
            return index
        counts[symbol] += 1
        counts[marks + symbol // _BITS] |= 1 << (symbol % _BITS)
    return _NO_INDEX


@routine
def arrange(commands: Words, count: int, symbols: int, counts: Words, order: Words) -> None:
    """By symbol, and those of one as they came. The counts are 0 again afterwards."""
    start = 0
    for mark in range(symbols, symbols + (symbols + _BITS - 1) // _BITS):
        bits = counts[mark]
        counts[mark] = 0
        while bits != 0:
            lowest = bits & -bits
            bits ^= lowest
            symbol = (mark - symbols) * _BITS + highest_bit(lowest)
            own = counts[symbol]
            counts[symbol] = start
            start += own
    for index in range(count):
        symbol = signed(command_at(commands, index).symbol)
        order[counts[symbol]] = symbol << 32 | index
        counts[symbol] += 1
    for at in range(count):
        counts[order[at] >> 32] = 0


@inlined
def end_of(commands: Words, count: int, order: Words, first: int, many: bool) -> int:
    """Where the commands end that are of the same book as that at place `first`, and that are applied at once."""
    place, end = order[first] >> 32, min(count, first + _LONGEST)
    if many:
        most, end = end, first + 1
        while end < most and order[end] >> 32 == place:
            end += 1
    # A pair stays together (L1).
    if end == first + _LONGEST and end < count and order[end] >> 32 == place:
        end += 1 if command_at(commands, order[end - 1] & L.LOW_HALF).list_role == _OCO_FIRST else 0
    return end
