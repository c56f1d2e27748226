"""The way of a batch from Python into the kernel and of its events back: the same for one book and for many.

Not safe for two threads at once.
"""

from abc import ABC, abstractmethod

import numpy as np

from market.book import call as C
from market.book import layout as L
from market.book.arranging import BATCH_COMMANDS
from market.book.kernel import compiled
from market.book.layout import Records, WordArray
from market.records import COMMAND, EVENT

_EVENT_BYTES = EVENT.itemsize
_MANY = 512
"""Commands from which on the kernel copies the events while they are near; for fewer that costs more than it saves."""
_FIRST_EVENT_ROWS = 1 << 16
"""Rows that are never written take no memory."""
_AS_THEY_COME = np.arange(BATCH_COMMANDS)
_AS_THEY_COME.flags.writeable = False


class Applying(ABC):
    def __init__(self) -> None:
        self._match = compiled()
        self._call = C.fresh()
        self._events: WordArray = np.zeros(0, np.int64)
        self._event_bytes = memoryview(b"")
        self._put_in(self._order_of(BATCH_COMMANDS))

    @abstractmethod
    def _make_room(self, place: int, count: int) -> None:
        """For `count` commands more of the book at that place of the table."""

    def apply(self, commands: Records) -> Records:
        """COMMAND[n] in order -> the EVENT[m] they cause, which the caller owns."""
        if commands.dtype != COMMAND or commands.ndim != 1:
            raise TypeError(f"expected COMMAND[n], got {commands.dtype} of {commands.ndim} dimensions")
        if not commands.flags.c_contiguous:
            commands = np.ascontiguousarray(commands)
        count = len(commands)
        if count >= _MANY:
            return self._apply_many(commands, count)
        told = self._match(commands, self._call)
        if told < 0:
            return self._go_on(commands, told, b"")
        return np.frombuffer(bytearray(self._event_bytes[: told * _EVENT_BYTES]), EVENT)

    def _apply_many(self, commands: Records, count: int) -> Records:
        """The kernel copies the events into memory of their own as it goes."""
        if count > self._longest:
            self._put_in(self._order_of(count))
        rows = count + count // 2
        out, call = np.empty(rows * L.EVENT_WORDS, np.int64), self._call
        call[C.OUT], call[C.OUT_ROWS] = C.address_of(out), rows
        try:
            told = self._match(commands, call)
        finally:
            call[C.OUT_ROWS] = 0
        flushed = int(call[C.FLUSHED])
        call[C.FLUSHED] = 0
        if told == flushed:
            return out[: told * L.EVENT_WORDS].view(EVENT)
        return self._go_on(commands, told, out[: flushed * L.EVENT_WORDS].tobytes(), flushed)

    def _go_on(self, commands: Records, told: int, first: bytes, taken: int = 0) -> Records:
        """A call ended early, or OUT was too small: `first` are the first `taken` events."""
        parts: list[bytes | bytearray] = [first]
        call = self._call
        try:
            while told < 0:
                if told == C.UNKNOWN:
                    raise KeyError(f"no book of symbol {commands['symbol'][call[C.NEEDED]]}")
                parts.append(self._taken(int(call[C.TOLD]) - taken))
                call[C.TOLD] = taken = 0
                if told == C.ROOM:
                    self._make_room(int(call[C.PLACE]), int(call[C.NEEDED]))
                else:
                    self._make_rows(int(call[C.NEEDED]))
                told = self._match(commands, call)
        finally:
            call[C.AT] = call[C.TOLD] = 0
        parts.append(self._taken(told - taken))
        return np.frombuffer(bytearray().join(parts), EVENT)

    def _taken(self, told: int) -> bytearray:
        return bytearray(self._event_bytes[: told * _EVENT_BYTES])

    def _make_rows(self, rows: int) -> None:
        if rows <= self._call[C.EVENT_ROWS]:
            return
        rows = max(_FIRST_EVENT_ROWS, 1 << rows.bit_length())
        self._events = np.zeros(rows * L.EVENT_WORDS, np.int64)
        self._event_bytes = self._events.data.cast("B")
        self._call[C.EVENTS], self._call[C.EVENT_ROWS] = C.address_of(self._events), rows

    def _order_of(self, count: int) -> WordArray:
        """Words for the order of `count` commands; of one book as they come."""
        return _AS_THEY_COME if count <= BATCH_COMMANDS else np.arange(count)

    def _put_in(self, order: WordArray) -> None:
        self._order, self._longest = order, len(order)
        self._call[C.ORDER] = C.address_of(order)
