"""Recordings as a tape of commands on the grid of our instruments: opened, read in pieces, begun again."""

from collections.abc import Sequence
from contextlib import ExitStack
from decimal import Decimal
from typing import Final, Protocol

import numpy as np
import structlog

from market.enums import CommandKind
from market.listing import Listing
from market.recording import Damaged, Reader
from market.records import Records, picked
from market.replay import Recorded, Replay

log = structlog.get_logger()

PAUSE_NS: Final = 1_000_000_000
"""Of market time, between two passes."""


class Tape(Protocol):
    """Commands in order of time, again and again if it must be."""

    @property
    def first_ns(self) -> int: ...

    @property
    def end_ns(self) -> int:
        """Of the last entry of this pass."""

    @property
    def errors(self) -> int:
        """Entries that could not be read."""

    @property
    def damage(self) -> str:
        """What kept it from being read to its end."""

    @property
    def passes(self) -> int:
        """How often it was begun."""

    def next_ns(self) -> int | None:
        """Of the next entry; None at the end."""

    def take(self, until_ns: int | None, most: int) -> tuple[Records, int]:
        """COMMAND[n], the caller's own, of entries of times up to `until_ns`, until they are `most`; and the time of the last
        entry, 0 where there was none."""

    def rewind(self) -> None:
        """Begin again, at times after the end."""


class RecordedTape:
    def __init__(self, files: Sequence[str], listing: Listing) -> None:
        """Raises OSError, ValueError (`Damaged` is one) for files that cannot be read or do not fit together."""
        self.damage = ""
        """What kept a file from being read to its end."""
        self.passes = 1
        with ExitStack() as opened:
            recordings = []
            for path in files:
                reader = Reader(opened.enter_context(open(path, "rb")))
                ids = listing.ids(reader.header.venue)
                symbols = {name: ids[name] for name in reader.header.symbols if name in ids}
                recordings.append(Recorded(symbols, reader, path))
            self._grid = _Grid(recordings, listing)
            self._replay = Replay(recordings)
            if self._replay.first_ns is None:
                raise ValueError(f"feed: nothing is recorded in {', '.join(files)}; name other recordings")
            self._files = opened.pop_all()

    def close(self) -> None:
        self._files.close()

    @property
    def errors(self) -> int:
        """Entries that could not be read."""
        return self._replay.errors

    @property
    def first_ns(self) -> int:
        return self._replay.first_ns or 0

    @property
    def end_ns(self) -> int:
        return self._replay.last_ns or 0

    def next_ns(self) -> int | None:
        return self._replay.next_ns

    def take(self, until_ns: int | None, most: int) -> tuple[Records, int]:
        commands = self._grid.fitted(self._replay.read(until_ns, most))
        if self._replay.next_ns is None and not self._replay.at_end:
            self._note_damage()
        return commands, self._replay.market_ns

    def _note_damage(self) -> None:
        try:
            self._replay.read()
        except Damaged as error:
            self.damage = str(error)
            log.error("a recording is damaged: the market ends where it was read to", error=self.damage)

    def rewind(self) -> None:
        self._replay.restart(self._replay.market_ns + PAUSE_NS)
        self.passes += 1


class _Grid:
    """From the steps of recordings to those of our instruments, which may be coarser."""

    def __init__(self, recordings: Sequence[Recorded], listing: Listing) -> None:
        self._prices = np.ones(len(listing.listed), np.int64)
        self._lots = np.ones(len(listing.listed), np.int64)
        for one in recordings:
            for name, symbol in one.symbols.items():
                steps, ours = one.reader.header.symbols[name], listing.listed[symbol].instrument
                what = f"{one.name}: {name}"
                self._prices[symbol] = _times(ours.tick, steps.tick, f"{what}: tick")
                self._lots[symbol] = _times(ours.lot, steps.lot, f"{what}: lot")
        self._is_same = bool((self._prices == 1).all() and (self._lots == 1).all())

    def fitted(self, commands: Records) -> Records:
        """Without trades and quotes of less than a lot of ours; levels of less are gone."""
        if self._is_same or not len(commands):
            return commands
        symbols, kinds = commands["symbol"], commands["kind"]
        commands["price_ticks"] //= self._prices[symbols]
        is_status = kinds == CommandKind.OUTSIDE_STATUS
        lots = np.where(is_status, commands["qty_lots"], commands["qty_lots"] // self._lots[symbols])
        commands["qty_lots"] = lots
        sized = (kinds == CommandKind.OUTSIDE_TRADE) | (kinds == CommandKind.OUTSIDE_QUOTE)
        nothing = sized & (lots == 0) & (commands["price_ticks"] > 0)
        return picked(commands, ~nothing) if nothing.any() else commands


def _times(ours: Decimal, theirs: Decimal, what: str) -> int:
    times, rest = divmod(ours, theirs)
    if rest or times < 1:
        raise ValueError(f"{what}: {theirs} of the recording does not divide {ours} of the listed instrument")
    return int(times)
