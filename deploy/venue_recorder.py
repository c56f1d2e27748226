"""`raypit record`: what a venue sends, into a file, until someone says stop.

    list of symbols (REST) -> steps -> file -> VenueFeed -> RecordingSink

Nothing is left behind when it fails before the first frame. A file that cannot be written any more (a full disk) ends
the recording; it is good up to the block before.
"""

import asyncio
import contextlib
import difflib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO, Final

import aiohttp
import msgspec

from actors.feed_sinks import RecordingSink
from actors.feed_tally import VENUE
from actors.venue_connection import VenueFeed
from actors.venue_rest import Refused, fetch
from deploy.errors import DeployError
from market.quality import Counters
from market.recording import Header, Writer
from market.venues import ADAPTERS
from market.venues.adapter import Adapter, AdapterFactory, Channel, VenueError, VenueSymbol
from market.venues.assembled import AssembledBooks
from market.venues.events import Event, Steps

FINEST: Final = Decimal("0.00000001")
"""Tick and lot where a venue lists none (Upbit, Bithumb, partly others): every price and size they write is on it."""
DEFAULT_CHANNELS: Final = (Channel.TRADE, Channel.QUOTE, Channel.BOOK)
STREAMS_MOST: Final = 1000
"""Symbols times channels on one connection: Binance's limit is 1,024."""
LIST_S: Final = 30.0
LIST_BYTES: Final = 64 << 20
CONNECT_S: Final = 30.0
"""The first connection must stand so long after the start; later ones are tried for ever."""
FLUSH_S: Final = 2.0
"""What a kill -9 costs at most. Blocks smaller than a quarter of a megabyte compress a little worse."""
TURN_S: Final = 0.5


class RecordError(DeployError):
    """Says what is wrong and what to do."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    venue: str
    out: Path
    symbols: tuple[str, ...] = ()
    quote: str = ""
    channels: tuple[Channel, ...] = ()
    """Empty: trades, quotes and books, as far as the venue's socket has them."""
    for_s: float | None = None
    url_ws: str = ""
    url_rest: str = ""
    tick: Decimal = FINEST
    lot: Decimal = FINEST
    connect_s: float = CONNECT_S


class Reading(msgspec.Struct, frozen=True):
    """How it stands, to be shown."""

    venue: str
    connected: bool
    stale: frozenset[str]
    counters: dict[str, Counters]
    seconds: float
    entries: int
    bytes_in: int
    bytes_out: int

    @property
    def frames(self) -> int:
        return sum(one.frames for one in self.counters.values())


Show = Callable[[Reading], None]


def adapter_of(venue: str) -> AdapterFactory:
    found = ADAPTERS.get(venue)
    if found is None:
        raise RecordError(f"there is no venue {venue!r}. Known are: {', '.join(sorted(ADAPTERS))}.")
    return found


def channels_of(adapter: Adapter, asked: Sequence[Channel]) -> tuple[Channel, ...]:
    channels = tuple(asked) or tuple(one for one in DEFAULT_CHANNELS if one in adapter.channels)
    for one in channels:
        if one not in adapter.channels:
            raise RecordError(
                f"{adapter.name} does not carry {one.value}; it has {_names(adapter.channels)}.{_elsewhere(adapter, one)}"
            )
    return channels


def _elsewhere(adapter: Adapter, channel: Channel) -> str:
    """The futures of Binance and the candles of OKX have a socket, and so a name, of their own."""
    near = [
        name
        for name, factory in ADAPTERS.items()
        if (name.startswith(f"{adapter.name}_") or adapter.name.startswith(f"{name}_"))
        and channel in factory({}).channels
    ]
    return f" Record {max(near, key=len)} into another file for it." if near else ""


def _names(channels: frozenset[Channel]) -> str:
    return ", ".join(sorted(one.value for one in channels))


def steps_of(wanted: Wanted, listed: Sequence[VenueSymbol]) -> dict[str, Steps]:
    """Of the symbols that are wanted, by our name. Raises `RecordError`."""
    chosen = named(wanted.venue, wanted.symbols, listed) if wanted.symbols else _quoted(wanted, listed)
    return {
        one.symbol: Steps(
            wanted.tick if one.tick is None else one.tick, wanted.lot if one.lot is None else one.lot,
            one.code, one.base, one.quote,
        )
        for one in chosen
    }  # fmt: skip


def named(venue: str, symbols: Sequence[str], listed: Sequence[VenueSymbol]) -> list[VenueSymbol]:
    """By our name or the venue's code. Raises `RecordError`."""
    known: dict[str, VenueSymbol] = {}
    for one in listed:
        for name in (one.symbol, one.code.upper()):
            if name not in known or (one.trading and not known[name].trading):
                known[name] = one
    unknown = [name for name in symbols if name not in known]
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, n=3, cutoff=0.7)
        hint = f" Did you mean {' or '.join(near)}?" if near else " `quote` takes all of a quote asset."
        raise RecordError(f"{venue} does not list {', '.join(unknown)} ({len(listed)} symbols).{hint}")
    return [known[name] for name in symbols]


def _quoted(wanted: Wanted, listed: Sequence[VenueSymbol]) -> list[VenueSymbol]:
    chosen = [one for one in listed if one.quote == wanted.quote and one.trading]
    if not chosen:
        quotes = sorted({one.quote for one in listed if one.trading})
        raise RecordError(f"nothing trades against {wanted.quote} at {wanted.venue}; it has {', '.join(quotes[:30])}.")
    return chosen


class FileSink:
    """A recording that ends itself when its file cannot be written."""

    def __init__(self, path: Path, header: Header) -> None:
        self.path = path
        self.failed = asyncio.Event()
        self.error: OSError | None = None
        self._file = _created(path)
        self.writer = Writer.create(self._file, header)
        self._file.flush()
        self._sink = RecordingSink(self._file, self.writer)

    def on_frame(self, venue: str, arrival_ns: int, frame: bytes) -> None:
        with self._guarded() as good:
            if good:
                self._sink.on_frame(venue, arrival_ns, frame)

    def on_snapshot(self, venue: str, arrival_ns: int, symbol: str, body: bytes) -> None:
        with self._guarded() as good:
            if good:
                self._sink.on_snapshot(venue, arrival_ns, symbol, body)

    def on_events(self, venue: str, arrival_ns: int, events: Sequence[Event]) -> None:
        with self._guarded() as good:
            if good:
                self._sink.on_events(venue, arrival_ns, events)

    @property
    def full(self) -> bool:
        return False

    async def room(self) -> None:
        return

    def flush(self) -> None:
        with self._guarded() as good:
            if good:
                self._sink.flush()

    def close(self) -> None:
        with self._guarded() as good:
            if good:
                self._sink.close()
                os.fsync(self._file.fileno())
        with contextlib.suppress(OSError):  # what it still held is lost, and told already
            self._file.close()

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[bool]:
        """After a failed write there is no other: what followed a torn block could not be read."""
        try:
            yield self.error is None
        except OSError as error:
            self.error = error
            self.failed.set()


def _created(path: Path) -> BinaryIO:
    try:
        return path.open("xb")
    except FileExistsError:
        raise RecordError(f"{path} exists already. Choose another --out, or remove it.") from None
    except OSError as error:
        raise RecordError(f"{path} cannot be written: {error.strerror}. Choose another --out.") from None


async def record(wanted: Wanted, stop: asyncio.Event, show: Show) -> Reading:
    """Until `stop`, the time is over or the file cannot be written; how it stood at the end. Raises `RecordError`."""
    factory = adapter_of(wanted.venue)
    channels = channels_of(factory({}), wanted.channels)
    if wanted.out.exists():
        raise RecordError(f"{wanted.out} exists already. Choose another --out, or remove it.")
    async with aiohttp.ClientSession() as session:
        listed = await _list(session, factory({}, ws_url=wanted.url_ws, rest_url=wanted.url_rest))
        steps = steps_of(wanted, listed)
        if len(steps) * len(channels) > STREAMS_MOST:
            raise RecordError(
                f"{len(steps)} symbols with {len(channels)} channels are more than {STREAMS_MOST} streams of one "
                "connection. Take fewer --symbols or --channels, or record into several files."
            )
        adapter = factory(steps, ws_url=wanted.url_ws, rest_url=wanted.url_rest)
        sink = FileSink(wanted.out, Header(venue=wanted.venue, symbols=steps, created_ns=time.time_ns(), source="live"))
        feed = VenueFeed(adapter, tuple(steps), channels, [sink], AssembledBooks(adapter.book_rule), session)
        return await _Recording(wanted, feed, sink, stop, show).run()


async def _list(session: aiohttp.ClientSession, adapter: Adapter) -> list[VenueSymbol]:
    url = adapter.symbols_url()
    answer = await fetch(session, url, LIST_S, LIST_BYTES)
    if isinstance(answer, Refused):
        raise RecordError(
            f"{adapter.name} did not list its symbols: {url}: {answer.reason}. Look whether this machine reaches it "
            "(some venues refuse some countries: HTTP 403, 451), or give another address with --url-rest and --url-ws."
        )
    try:
        return adapter.decode_symbols(answer.body)
    except VenueError as error:
        raise RecordError(f"what {url} answers is no list of symbols: {error}. Is --url-rest right?") from None


class _Recording:
    def __init__(self, wanted: Wanted, feed: VenueFeed, sink: FileSink, stop: asyncio.Event, show: Show) -> None:
        self._wanted, self._feed, self._sink, self._stop, self._show = wanted, feed, sink, stop, show
        self._began = time.monotonic()
        self._flushed = self._began
        self._was_connected = False

    async def run(self) -> Reading:
        running = asyncio.create_task(self._feed.run())
        try:
            while not self._is_over(running):
                await self._turn(running)
        finally:
            connected = self._feed.connected
            running.cancel()
            ended = await asyncio.gather(running, return_exceptions=True)
            self._sink.close()
            if not self.reading().frames:
                self._wanted.out.unlink(missing_ok=True)
        self._complain(ended[0])
        return msgspec.structs.replace(self.reading(), connected=connected)

    async def _turn(self, running: asyncio.Task[None]) -> None:
        waits = [asyncio.create_task(one.wait()) for one in (self._stop, self._sink.failed)]
        try:
            left_s = TURN_S if self._wanted.for_s is None else min(TURN_S, self._wanted.for_s - self._seconds)
            await asyncio.wait([running, *waits], timeout=max(0.0, left_s), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
        self._was_connected |= self._feed.connected
        if time.monotonic() - self._flushed >= FLUSH_S:
            self._flushed = time.monotonic()
            self._sink.flush()
        self._show(self.reading())

    def _is_over(self, running: asyncio.Task[None]) -> bool:
        timed_out = self._wanted.for_s is not None and self._seconds >= self._wanted.for_s
        unreachable = not self._was_connected and self._seconds >= self._wanted.connect_s
        return timed_out or unreachable or self._stop.is_set() or self._sink.failed.is_set() or running.done()

    def _complain(self, ended: object) -> None:
        out, error = self._wanted.out, self._sink.error
        if error is not None:
            raise RecordError(f"{out} cannot be written any more: {error.strerror}. What it holds can be read.")
        if isinstance(ended, Exception):
            raise RecordError(f"the connection ended: {type(ended).__name__}: {ended}. {out} is complete up to there.")
        if not self._was_connected and not self._stop.is_set():
            urls = " or ".join(self._feed.adapter.urls())
            raise RecordError(
                f"{self._wanted.venue} lists its symbols, but no connection to {urls} was made in {self._seconds:.0f} s; "
                f"no file is left. Look whether a proxy or firewall lets WebSockets through, or give --url-ws."
            )

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def reading(self) -> Reading:
        feed, writer = self._feed, self._sink.writer
        stale = frozenset(feed.stale)
        return Reading(
            feed.venue, feed.connected, stale, feed.counters(), self._seconds, writer.entries, writer.bytes_in,
            writer.bytes_out,
        )  # fmt: skip


def symbols_in(reading: Reading) -> list[tuple[str, Counters]]:
    """The busiest first."""
    found = [(name, one) for name, one in reading.counters.items() if name != VENUE]
    return sorted(found, key=lambda pair: (-pair[1].frames, pair[0]))
