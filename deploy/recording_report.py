"""`raypit recording`: what is in a recording, with every checksum looked at and every book assembled again."""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from deploy.errors import DeployError
from market.continuity import Continuity, Verdict
from market.event_codec import decode_event
from market.recording import Damaged, Entry, Kind, Reader
from market.venues import ADAPTERS
from market.venues.adapter import Adapter, BookRule, VenueError
from market.venues.assembled import AssembledBooks
from market.venues.events import BookDelta, BookSnapshot, Event, Status, Trade

SHOWN_DAMAGE: Final = 20


class ReportError(DeployError):
    """The file cannot be read at all."""


class SymbolReport(msgspec.Struct):
    tick: str
    lot: str
    code: str
    events: int = 0
    trades: int = 0
    books: int = 0
    """Snapshots and differences."""
    gaps: int = 0
    errors: int = 0


class Report(msgspec.Struct, kw_only=True):
    file: str
    venue: str
    source: str
    created_ns: int
    first_ns: int | None
    last_ns: int | None
    entries: int = 0
    kinds: dict[str, int]
    bytes: int
    bytes_unpacked: int = 0
    """Of the bodies."""
    ratio: float = 0.0
    blocks: int
    ended: bool
    """False: it was cut by a kill or a crash, or is being written; what `torn_bytes` says of its end is lost."""
    torn_bytes: int
    damaged: list[str]
    """Blocks whose checksum or content is wrong."""
    damaged_blocks: int = 0
    gaps: int = 0
    """Places where a book, by the venue's numbering, misses something."""
    stale: int = 0
    """How often the connection was lost, the end of the recording included."""
    errors: int = 0
    """Frames that could not be read."""
    symbols: dict[str, SymbolReport]

    @property
    def ok(self) -> bool:
        return not self.damaged_blocks


def report(path: Path, progress: Callable[[int, int], None]) -> Report:
    """Reads all of it; `progress` hears blocks done and blocks in all. Raises `ReportError`."""
    try:
        with path.open("rb") as file:
            reader = Reader(file)
            found = _begun(path, reader)
            follower = _Follower(found, reader)
            for number, block in enumerate(reader.blocks, 1):
                try:
                    entries = reader.entries_of(block)
                except Damaged as error:
                    follower.damaged(str(error))
                    continue
                for entry in entries:
                    follower.take(entry)
                progress(number, len(reader.blocks))
    except Damaged as error:
        raise ReportError(f"{path} cannot be read: {error}.") from None
    except OSError as error:
        raise ReportError(f"{path}: {error.strerror}.") from None
    found.ratio = round(found.bytes_unpacked / found.bytes, 2)
    return found


def _begun(path: Path, reader: Reader) -> Report:
    header = reader.header
    return Report(
        file=str(path),
        venue=header.venue,
        source=header.source,
        created_ns=header.created_ns,
        first_ns=reader.first_ns,
        last_ns=reader.last_ns,
        kinds={kind.name.lower(): 0 for kind in Kind},
        bytes=path.stat().st_size,
        blocks=len(reader.blocks),
        ended=reader.ended,
        torn_bytes=reader.torn_bytes,
        damaged=[],
        symbols={
            name: SymbolReport(f"{steps.tick.normalize():f}", f"{steps.lot.normalize():f}", steps.code)
            for name, steps in header.symbols.items()
        },
    )


class _Follower:
    """Counts entries, and assembles the books as whoever replays them would."""

    def __init__(self, report: Report, reader: Reader) -> None:
        self._report = report
        factory = ADAPTERS.get(report.venue)
        self._adapter: Adapter | None = None if factory is None else factory(reader.header.symbols)
        rule = BookRule.PREVIOUS if self._adapter is None else self._adapter.book_rule
        self._books, self._imported = AssembledBooks(rule), AssembledBooks(BookRule.PREVIOUS)
        self._continuity = Continuity()
        self._kinds: Counter[Kind] = Counter()

    def damaged(self, text: str) -> None:
        self._report.damaged_blocks += 1
        if len(self._report.damaged) < SHOWN_DAMAGE:
            self._report.damaged.append(text)
        self._forget("")

    def take(self, entry: Entry) -> None:
        report = self._report
        report.entries += 1
        report.bytes_unpacked += len(entry.body)
        report.kinds[entry.kind.name.lower()] += 1
        if entry.kind == Kind.STATUS:
            report.stale += 1
            self._forget(entry.symbol)
        elif entry.kind == Kind.EVENT:
            self._event(entry)
        elif self._adapter is None:
            report.errors += 1
        elif entry.kind == Kind.SNAPSHOT:
            self._snapshot(self._adapter, entry)
        else:
            for event in self._adapter.decode(entry.body):
                if self._continuity.judge(event, entry.arrival_ns) is Verdict.NEW:
                    self._count(event, self._books)

    def _event(self, entry: Entry) -> None:
        try:
            event = decode_event(entry.body)
        except ValueError:
            self._report.errors += 1
        else:
            self._count(event, self._imported)

    def _snapshot(self, adapter: Adapter, entry: Entry) -> None:
        try:
            self._count(adapter.decode_snapshot(entry.symbol, entry.body), self._books)
        except (VenueError, ValueError):
            self._report.errors += 1

    def _count(self, event: Event, books: AssembledBooks) -> None:
        of = self._report.symbols.get(event.symbol)
        if isinstance(event, Status):
            if event.kind in ("error", "unknown_symbol"):
                self._report.errors += 1
                if of is not None:
                    of.errors += 1
            return
        if of is None:
            return
        of.events += 1
        of.trades += isinstance(event, Trade)
        if isinstance(event, (BookDelta, BookSnapshot)):
            of.books += 1
            if any(isinstance(told, Status) and told.kind == "gap" for told in books.apply(event)):
                of.gaps += 1
                self._report.gaps += 1
                self._continuity.forget_books(event.symbol)

    def _forget(self, symbol: str) -> None:
        self._continuity.forget_books(symbol)
        self._books.drop(symbol)


def when(at_ns: int | None) -> str:
    """In UTC, to the millisecond."""
    if at_ns is None:
        return "-"
    seconds, rest = divmod(at_ns, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(seconds))}.{rest // 1_000_000:03d} UTC"
