"""The words in which Python and the kernel tell each other about a batch. No state of any book."""

from typing import Final

import numpy as np

from market.book.layout import WordArray

# Addresses are those of int64 words; the arrays have to outlive the call.
ARENAS: Final = 0
"""Address of the table of the arenas' addresses, by symbol; 0 in it: no such book."""
SYMBOLS: Final = 1
"""Length of that table; 0: one book, whose address is the word ARENA, and whatever symbol a command names."""
EVENTS: Final = 2
"""Address of EVENT[EVENT_ROWS]."""
EVENT_ROWS: Final = 3
ORDER: Final = 4
"""Address of the order in which the commands are applied, a word for each: table place << 32 | index."""
COUNTS: Final = 5
"""Address of SYMBOLS words and a bit for each, all 0 between calls."""
AT: Final = 6
"""Commands applied, in that order; 0 before a new batch."""
TOLD: Final = 7
"""Events written, when a call ends early."""
PLACE: Final = 8
"""Where it ended early: in the table the book that needs room."""
NEEDED: Final = 9
"""Commands, or event rows, that room is needed for."""
ARENA: Final = 10
OUT: Final = 11
"""Address of EVENT[OUT_ROWS], to which events are copied while they are near the processor; all or the first ones of them."""
OUT_ROWS: Final = 12
FLUSHED: Final = 13
"""Events that were copied there; those after them stand in EVENTS."""
SCRATCH: Final = 16
"""The kernel's own: what is known of each command of a group (`ahead.py`): a slot, or minus the place of a level."""
WORDS: Final = 32

ROWS: Final = -1
"""The call ended early: the events are to be taken, and then there must be NEEDED rows for others."""
ROOM: Final = -2
"""It ended early: the book at PLACE must get room for NEEDED commands."""
UNKNOWN: Final = -3
"""Nothing was applied: the command at index NEEDED names a symbol that has no book."""


def fresh() -> WordArray:
    """For one book."""
    call = np.zeros(WORDS, np.int64)
    call[ARENAS] = address_of(call[ARENA:])
    return call


def address_of(words: WordArray) -> int:
    address: int = words.ctypes.data
    return address
