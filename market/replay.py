"""Recordings read as what they mean for our books: outside commands, in order of arrival. Pure over file objects.

    entries of every recording, merged by arrival -> decoder -> continuity -> VenueBook -> Reference -> COMMAND[n]

The same recordings give the same commands whenever they are read. Several of one venue are one stream: a book goes on from
one to the next. What no decoder can read is counted and skipped; a damaged file ends the replay with `Damaged`.
"""

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from market.continuity import Continuity, Verdict
from market.event_codec import decode_event
from market.outside_commands import CommandBuilder
from market.recording import Damaged, Entry, Kind, Reader
from market.records import Records
from market.reference import Reference
from market.venues import ADAPTERS
from market.venues.adapter import Adapter, BookRule
from market.venues.books import VenueBook
from market.venues.events import BookDelta, BookSnapshot, Candle, Event, Status, Steps

BATCH: Final = 8192
"""Commands of a read, about; the most that a book takes at once."""


Listener = Callable[[str, Event, VenueBook, int], None]
"""Told of each event that is new: venue, event (a `Status` that ended a book among them), the symbol's book, market time."""


class Recorded(NamedTuple):
    symbols: Mapping[str, int]
    """Our symbol ids by the recording's names; what is not in it is left out."""
    reader: Reader
    name: str = ""
    """Of the file, for errors."""


class _Symbol(NamedTuple):
    book: VenueBook
    reference: Reference


class _Venue:
    """The state of one venue, whatever recordings tell of it."""

    def __init__(self, name: str, rule: BookRule, listener: Listener | None) -> None:
        self.name: Final = name
        self.rule: Final = rule
        self._listener: Final = listener
        self.continuity: Final = Continuity()
        self.symbols: Final[dict[str, _Symbol]] = {}
        self.steps: Final[dict[str, Steps]] = {}

    def add(self, symbols: Mapping[str, int], steps: Mapping[str, Steps], out: CommandBuilder) -> None:
        """Raises ValueError where two recordings do not fit together."""
        for name, number in symbols.items():
            if name not in steps:
                raise ValueError(f"symbols: {name} is not in the recording")
            known = self.symbols.get(name)
            if known is None:
                book = VenueBook(name, self.rule)
                self.symbols[name] = _Symbol(book, Reference(number, book, out))
                self.steps[name] = steps[name]
            elif known.reference.symbol != number or self.steps[name] != steps[name]:
                raise ValueError(f"symbols: {name} has another id, tick or lot in another recording of the venue")

    def take(self, event: Event, arrival_ns: int) -> None:
        known = self.symbols.get(event.symbol)
        if known is None or self.continuity.judge(event, arrival_ns) is not Verdict.NEW:
            return
        if isinstance(event, BookDelta | BookSnapshot):
            status = known.book.apply(event)
            if status is not None and status.kind == "gap":
                self.continuity.forget_books(event.symbol)
        known.reference.take(event, arrival_ns)
        if self._listener is not None:
            self._listener(self.name, event, known.book, arrival_ns)

    def take_status(self, status: Status, arrival_ns: int) -> None:
        """About the connection, or about a symbol."""
        lost = status.kind in ("stale", "gap")
        if lost:
            self.continuity.forget_books(status.symbol)
        for name in [status.symbol] if status.symbol else list(self.symbols):
            known = self.symbols.get(name)
            if known is None:
                continue
            if lost and known.book.live:
                known.book.drop(status.text or status.kind)
            known.reference.take(status, arrival_ns)
            if lost and self._listener is not None:
                self._listener(self.name, Status(name, status.venue_ns, status.kind), known.book, arrival_ns)


class _Stream:
    """One recording from its start."""

    def __init__(self, number: int, told: Recorded, venue: _Venue) -> None:
        header = told.reader.header
        made = ADAPTERS.get(header.venue)
        self.number: Final = number
        self.venue: Final = venue
        self.entry: Entry | None = None
        """The next."""
        self._name = told.name or header.source or header.venue
        self._adapter: Adapter | None = made(header.symbols) if made else None
        self._entries = told.reader.entries()
        self.advance()

    def advance(self) -> None:
        """Raises `Damaged`."""
        try:
            self.entry = next(self._entries, None)
        except Damaged as error:
            raise Damaged(f"{self._name}: {error}") from error

    def events(self, entry: Entry) -> Sequence[Event]:
        """Raises ValueError (`VenueError` is one)."""
        if entry.kind is Kind.EVENT:
            return (decode_event(entry.body),)
        if entry.kind is Kind.STATUS:
            return (_status(entry),)
        if self._adapter is None:
            raise ValueError(f"{self._name}: frames of a venue that is not known")
        if entry.kind is Kind.FRAME:
            return self._adapter.decode(entry.body)
        if entry.symbol not in self.venue.symbols:
            return ()
        return (self._adapter.decode_snapshot(entry.symbol, entry.body),)


class Replay:
    """Market time is the recorded arrival plus an offset, which a restart may set; it never goes back within a pass."""

    def __init__(self, recordings: Sequence[Recorded], listener: Listener | None = None) -> None:
        """Raises ValueError where they do not fit together, `Damaged` where the first block is."""
        self._listener: Final = listener
        self._recordings = tuple(recordings)
        self._out = CommandBuilder()
        self.errors = 0
        """Entries that could not be read, and complaints of venues, over all passes."""
        self.position = 0
        """Entries read of this pass."""
        self._offset_ns = 0
        self._market_ns = 0
        self._begin()

    def _begin(self) -> None:
        self._failed: Damaged | None = None
        self._venues: dict[str, _Venue] = {}
        self._heap: list[tuple[int, int]] = []
        self._streams: list[_Stream] = []
        for number, told in enumerate(self._recordings):
            header = told.reader.header
            venue = self._venues.get(header.venue)
            if venue is None:
                venue = self._venues[header.venue] = _Venue(header.venue, _rule_of(header.venue), self._listener)
            venue.add(told.symbols, header.symbols, self._out)
            stream = _Stream(number, told, venue)
            self._streams.append(stream)
            if stream.entry is not None:
                self._heap.append((stream.entry.arrival_ns, number))
        heapq.heapify(self._heap)
        self._market_ns = 0
        self.position = 0

    @property
    def first_ns(self) -> int | None:
        """Market time of the first entry of a pass; None: there is none."""
        found = [one.reader.first_ns for one in self._recordings]
        return min((one + self._offset_ns for one in found if one is not None), default=None)

    @property
    def last_ns(self) -> int | None:
        """Market time at which a pass ends."""
        found = [one.reader.last_ns for one in self._recordings]
        return max((one + self._offset_ns for one in found if one is not None), default=None)

    @property
    def market_ns(self) -> int:
        """Of the entry read last; 0 before the first."""
        return self._market_ns

    @property
    def next_ns(self) -> int | None:
        """Of the next entry; None at the end."""
        if not self._heap:
            return None
        return max(self._heap[0][0] + self._offset_ns, self._market_ns)

    @property
    def at_end(self) -> bool:
        return not self._heap and self._failed is None

    @property
    def refused(self) -> int:
        """Levels, quotes and trades whose numbers no book takes, over all passes."""
        return self._out.refused

    def read(self, until_ns: int | None = None, most: int = BATCH) -> Records:
        """COMMAND[n] of all entries up to market time `until_ns`, or until there are `most`; an entry is never parted.

        With `most` 1: the next entry that says anything. Empty: nothing was said until then. Raises `Damaged` after all that
        came before the damage was read.
        """
        heap, out = self._heap, self._out
        if not heap and self._failed is not None:
            failed, self._failed = self._failed, None
            raise failed
        limit = None if until_ns is None else until_ns - self._offset_ns
        while heap and len(out) < most and (limit is None or heap[0][0] <= limit):
            self._read_one()
        return out.take()

    def __iter__(self) -> Iterator[tuple[int, Records]]:
        """Market time and commands, an entry (that says anything) at a time."""
        while not self.at_end:
            rows = self.read(most=1)
            if len(rows):
                yield self._market_ns, rows

    def restart(self, begin_ns: int | None = None) -> None:
        """From the start again; the first entry then has market time `begin_ns` (None: as recorded).

        What still stands of this pass is taken away first, at its last market time, by the commands that are read next.
        Raises ValueError for a time before that of the entry read last.
        """
        if begin_ns is not None and begin_ns < self._market_ns:
            raise ValueError(f"begin_ns: {begin_ns} is before {self._market_ns}, where market time stands")
        left = [known.reference for venue in self._venues.values() for known in venue.symbols.values()]
        market_ns = self._market_ns
        self._begin()
        for one in left:
            if one.live:
                self._out.clear(one.symbol, market_ns)
            if not one.trading:
                self._out.status(one.symbol, market_ns, True)
        self._offset_ns = 0
        first_ns = self.first_ns
        if begin_ns is not None and first_ns is not None:
            self._offset_ns = begin_ns - first_ns

    def _read_one(self) -> None:
        arrival_ns, number = self._heap[0]
        stream = self._streams[number]
        entry = stream.entry
        assert entry is not None
        self._market_ns = market_ns = max(arrival_ns + self._offset_ns, self._market_ns)
        self.position += 1
        try:
            events = stream.events(entry)
        except ValueError:
            self.errors += 1
            events = ()
        for event in events:
            self._take(stream.venue, event, market_ns)
        try:
            stream.advance()
        except Damaged as error:
            self._failed = error
            self._heap.clear()
            return
        if stream.entry is None:
            heapq.heappop(self._heap)
        else:
            heapq.heapreplace(self._heap, (stream.entry.arrival_ns, number))

    def _take(self, venue: _Venue, event: Event, market_ns: int) -> None:
        if isinstance(event, Status):
            if event.kind in ("error", "unknown_symbol"):
                self.errors += 1
            else:
                venue.take_status(event, market_ns)
        elif not isinstance(event, Candle):
            venue.take(event, market_ns)


def _status(entry: Entry) -> Status:
    kind = entry.body.decode(errors="replace")
    if kind not in ("stale", "gap", "live", "halted", "trading"):
        raise ValueError(f"status {kind!r}")
    return Status(entry.symbol, 0, kind)  # type: ignore[arg-type]


def _rule_of(venue: str) -> BookRule:
    """Recordings of no live venue hold events, whose deltas name the one before."""
    made = ADAPTERS.get(venue)
    return made({}).book_rule if made else BookRule.PREVIOUS
