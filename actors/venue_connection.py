"""The connection engine: one venue, some symbols, always connected, every event once, never a gapped book.

    dial -> subscribe -> deliver … lost -> stale, back off, dial again
                            … near the end of the connection's life -> a second one beside it, then hand over

What a frame means is the adapter's business, whether a book holds together that of `Books`; here is everything that
takes time: dials within the venue's budget, pings, REST snapshots, resynchronisation. A feed has at most two sockets
open. Frames of the second are held until it takes over; what both brought passes once (`market.continuity`).
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from random import Random
from typing import Any, Final, NamedTuple

import aiohttp
import structlog

from actors.book_sync import Books, BookSync, Snapshots
from actors.dialing import Backoff, Budget
from actors.feed_limits import Limits
from actors.feed_sinks import Sink
from actors.feed_tally import VENUE, Tally
from actors.venue_socket import VenueSocket
from market.continuity import Continuity, Verdict
from market.quality import Counters
from market.venues.adapter import Adapter, Channel
from market.venues.events import BookDelta, BookSnapshot, Event, Quote, Status, Trade

log = structlog.get_logger()

FOREVER_S: Final = 7 * 24 * 3600.0
"""Loops do not like infinity."""
COMPLAINTS_NS: Final = 1_000_000_000
"""Between two complaints of a venue that are logged; all are counted and passed on."""


class _Held(NamedTuple):
    arrival_ns: int
    frame: bytes
    events: Sequence[Event]


class VenueFeed:
    def __init__(
        self,
        adapter: Adapter,
        symbols: Sequence[str],
        channels: Sequence[Channel],
        sinks: Sequence[Sink],
        books: Books,
        session: aiohttp.ClientSession,
        *,
        limits: Limits | None = None,
        dials: Budget | None = None,
        requests: Budget | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
        random: Random | None = None,
    ) -> None:
        """`dials` and `requests` are shared between the feeds of a venue; without them the feed has its own."""
        self.adapter = adapter
        self.venue = adapter.name
        self.symbols = tuple(symbols)
        self.channels = tuple(channels)
        self.limits = limits or Limits()
        self._sinks = tuple(sinks)
        self._session = session
        self._dials = dials or Budget(adapter.dials_per_minute)
        self._clock_ns = clock_ns
        self._random = random or Random()  # noqa: S311  # spreads dials in time
        self._backoff = Backoff(self.limits.backoff_first_s, self.limits.backoff_most_s, self._random)
        self._continuity = Continuity()
        self._tally = Tally(self.symbols, clock_ns)
        snapshots = Snapshots(session, self.limits, requests or Budget(self.limits.snapshots_per_minute), self._random)
        self._sync = BookSync(adapter, books, self._continuity, self._tally, snapshots, self)
        self._arrival_ns = 0
        self._complained_ns = 0
        self._url = 0
        self._primary: VenueSocket | None = None
        self._successor: VenueSocket | None = None
        self._held: deque[_Held] = deque()
        self._ready = asyncio.Event()
        """The successor may take over."""
        self._roll = asyncio.Event()
        """Somebody wants the connection replaced."""
        self._helpers: set[asyncio.Task[Any]] = set()
        self._has_book = Channel.BOOK in self.channels

    # For others

    @property
    def connected(self) -> bool:
        return self._primary is not None

    def roll(self) -> None:
        """Replace the connection, without losing anything."""
        self._roll.set()

    @property
    def stale(self) -> set[str]:
        """Symbols whose book, or last word, is not to be trusted now."""
        return self._tally.stale

    def counters(self) -> dict[str, Counters]:
        """A reading, by symbol; `VENUE` for what belongs to none."""
        self._tally.venue.off_grid = self.adapter.off_grid
        return self._tally.read()

    async def run(self) -> None:
        """Until canceled."""
        try:
            while True:
                primary = await self._connect()
                self._begin(primary)
                last = await self._succeed(primary)
                self._lost(last)
                if last.age_s >= self.limits.healthy_s:
                    self._backoff.reset()
                await last.close()
                await asyncio.sleep(self._backoff.next_s())
        finally:
            await self._stop()

    # Connections

    async def _connect(self) -> VenueSocket:
        while True:
            try:
                return await self._open()
            except (OSError, TimeoutError, aiohttp.ClientError) as error:
                delay_s = self._backoff.next_s()
                told = str(error) or type(error).__name__
                log.warning("venue cannot be reached", venue=self.venue, error=told, delay_s=round(delay_s, 2))
                self._url += 1
                await asyncio.sleep(delay_s)

    async def _open(self) -> VenueSocket:
        """One attempt; subscribes on its way."""
        await self._dials.take()
        urls = self.adapter.urls()
        async with asyncio.timeout(self.limits.dial_s):
            ws = await self._session.ws_connect(
                urls[self._url % len(urls)],
                autoping=False,
                decode_text=False,
                max_msg_size=self.limits.max_frame_bytes,
                timeout=aiohttp.ClientWSTimeout(ws_close=self.limits.close_s),
            )
        socket = VenueSocket(
            ws,
            self._heard,
            ping_frame=self.adapter.ping_frame,
            ping_every_s=self.adapter.ping_every_s,
            silence_limit_s=self.adapter.silence_limit_s,
        )
        self.spawn(self._subscribe(socket))
        return socket

    async def _subscribe(self, socket: VenueSocket) -> None:
        limits = self.limits
        frames = self.adapter.subscribe_frames(self.symbols, self.channels)
        await socket.send_paced(frames, limits.subscribe_burst, limits.subscribe_per_s)
        socket.subscribed.set()
        await asyncio.wait([socket.closed], timeout=limits.silent_symbol_s)
        if not socket.closed.done():
            self._notice_silence(socket)

    def _notice_silence(self, socket: VenueSocket) -> None:
        if self.adapter.needs_snapshot and self._has_book and socket is self._primary:
            for symbol in self.symbols:
                self._sync.want(symbol)  # a quiet book is a book too
        silent = [symbol for symbol in self.symbols if symbol not in socket.symbols]
        if not silent:
            return
        log.warning("nothing heard after subscribing", venue=self.venue, symbols=silent[:20], count=len(silent))
        for symbol in silent:
            self._tally.of(symbol).silent += 1
        text = f"{self.venue}: nothing heard {self.limits.silent_symbol_s:g} s after subscribing"
        self._tell([Status(symbol, 0, "notice", text) for symbol in silent])

    def _begin(self, primary: VenueSocket) -> None:
        log.info("venue connected", venue=self.venue, symbols=len(self.symbols))
        self._sync.forget()
        self._roll.clear()
        self._primary = primary
        primary.closed.add_done_callback(lambda _: self._lost(primary))

    async def _succeed(self, primary: VenueSocket) -> VenueSocket:
        """Replace the connection whenever its time has come; the one that was lost in the end."""
        while not primary.closed.done():
            await self._first(primary.closed, self._roll.wait(), timeout=self._life_s() - primary.age_s)
            if primary.closed.done():
                break
            self._roll.clear()
            successor = await self._prepare(primary)
            if successor is None:
                continue
            self._hand_over(successor)  # where the first was lost before it was ready, all books are stale already
            await primary.close()
            primary = successor
        return primary

    def _life_s(self) -> float:
        return self.adapter.max_life_s * self.limits.roll_share * self._random.uniform(0.9, 1.0)

    async def _prepare(self, primary: VenueSocket) -> VenueSocket | None:
        """A second connection that has heard what it needs; None when the first was lost and there is no other."""
        while not primary.closed.done():
            try:
                self._ready.clear()
                successor = self._successor = await self._open()
            except (OSError, TimeoutError, aiohttp.ClientError) as error:
                log.warning("no second connection", venue=self.venue, error=str(error) or type(error).__name__)
                await self._first(primary.closed, timeout=self._backoff.next_s())
                continue
            lost = (successor.closed, primary.closed)
            await self._first(*lost, self._ready.wait(), successor.subscribed.wait(), timeout=FOREVER_S)
            await self._first(*lost, self._ready.wait(), timeout=self.limits.overlap_s)
            if not successor.closed.done():
                if not primary.closed.done():
                    self._ready.set()
                return successor
            log.warning("second connection lost", venue=self.venue, reason=successor.closed.result())
            await self._discard_successor()
            await self._first(primary.closed, timeout=self._backoff.next_s())
        return None

    def _hand_over(self, successor: VenueSocket) -> None:
        """From here on the second connection speaks; what it brought meanwhile and nobody heard yet comes first."""
        held, self._held = self._held, deque()
        if self._primary is not successor:
            self._primary = successor
            successor.closed.add_done_callback(lambda _: self._lost(successor))
        self._successor = None
        self._tally.venue.rolls += 1
        self._continuity.hand_over()
        self._take(held)
        log.info("venue connection replaced", venue=self.venue, held=len(held))

    def _take(self, held: Iterable[_Held]) -> None:
        for one in held:
            self._deliver(self._stamp(), one, taken_over=True)

    async def _discard_successor(self) -> None:
        successor, self._successor = self._successor, None
        self._held.clear()
        if successor is not None:
            await successor.close()

    def _lost(self, socket: VenueSocket) -> None:
        """At once, whatever else is waited for; nobody needs to know where a second connection can go on."""
        can_go_on = self._successor is not None and self._ready.is_set()
        if socket is not self._primary or can_go_on:
            return
        reason = socket.closed.result()
        log.warning("venue connection lost", venue=self.venue, reason=reason)
        self._primary = None
        self._tally.venue.reconnects += 1
        self._sync.forget()
        self._tally.lose(self.symbols)
        self._tell([Status("", 0, "stale", f"{self.venue}: {reason}")])

    async def _stop(self) -> None:
        self._sync.forget()
        for task in self._helpers:
            task.cancel()
        await asyncio.gather(*self._helpers, return_exceptions=True)
        primary, self._primary = self._primary, None
        for socket in (primary, self._successor):
            if socket is not None:
                await socket.close()
        if primary is not None:
            self._tell([Status("", 0, "stale", f"{self.venue}: the feed ended")])

    # Frames

    def _heard(self, socket: VenueSocket, frame: bytes) -> Coroutine[Any, Any, None] | None:
        held = _Held(self._stamp(), frame, self.adapter.decode(frame))
        for event in held.events:
            socket.symbols.add(event.symbol)
        if socket is self._primary:
            self._deliver(held.arrival_ns, held)
        elif socket is self._successor:
            self._hold(socket, held)
        return self._relief() if any(sink.full for sink in self._sinks) else None

    def _hold(self, socket: VenueSocket, held: _Held) -> None:
        self._held.append(held)
        full = len(self._held) >= self.limits.held_most
        if socket.subscribed.is_set() and (full or socket.symbols.issuperset(self.symbols)):
            self._ready.set()
        elif full:  # the first connection brought it long ago
            self._held.popleft()
            self._tally.venue.held_dropped += 1

    async def _relief(self) -> None:
        """Someone downstream is slow: the socket is not read meanwhile, and everybody is told."""
        began = time.monotonic_ns()
        log.warning("a sink is full, reading stands still", venue=self.venue)
        for sink in self._sinks:
            await sink.room()
        self._tally.venue.slow_sink_ns += time.monotonic_ns() - began

    def _stamp(self) -> int:
        """Arrival times never go back, whatever the clock does."""
        self._arrival_ns = max(self._arrival_ns, self._clock_ns())
        return self._arrival_ns

    def _deliver(self, arrival_ns: int, held: _Held, taken_over: bool = False) -> None:
        events = held.events
        counters = self._tally.of(events[0].symbol if events else VENUE)
        counters.frames += 1
        counters.last_arrival_ns = self._tally.venue.last_arrival_ns = arrival_ns
        passed: list[Event] = []
        for event in events:
            passed.extend(self._pass(held.arrival_ns, event))
        if passed or not taken_over:
            for sink in self._sinks:
                sink.on_frame(self.venue, arrival_ns, held.frame)
        self._tell(passed, arrival_ns)

    def _tell(self, events: Sequence[Event], arrival_ns: int | None = None) -> None:
        if not events:
            return
        at = self._stamp() if arrival_ns is None else arrival_ns
        for sink in self._sinks:
            sink.on_events(self.venue, at, events)

    def _pass(self, arrival_ns: int, event: Event) -> Sequence[Event]:
        """What of an event goes downstream."""
        if isinstance(event, Status):
            return self._status(event)
        counters = self._tally.known(event.symbol)
        if counters is None:
            return ()
        verdict = self._continuity.judge(event, arrival_ns)
        if verdict is not Verdict.NEW:
            counters.duplicates += verdict is Verdict.DUPLICATE
            counters.disordered += verdict is Verdict.LATE
            return ()
        counters.arrived(arrival_ns, event.venue_ns)
        counters.crossed += _is_crossed(event)
        counters.trades += isinstance(event, Trade)
        if isinstance(event, (BookDelta, BookSnapshot)):
            return self._sync.apply(event)
        if not self._has_book and event.symbol in self.stale:
            return (event, self._tally.live(event.symbol))
        return (event,)

    def _status(self, event: Status) -> Sequence[Event]:
        if event.kind == "pong":
            return ()
        if event.kind in ("error", "unknown_symbol"):
            self._tally.of(event.symbol).errors += 1
            if self._arrival_ns - self._complained_ns >= COMPLAINTS_NS:
                self._complained_ns = self._arrival_ns
                log.warning("venue complains", venue=self.venue, kind=event.kind, symbol=event.symbol, text=event.text)
        elif event.kind == "notice" and not event.symbol and self._is_healthy():
            log.info("venue gives notice: the connection is replaced", venue=self.venue, text=event.text)
            self.roll()
        return (event,)

    def _is_healthy(self) -> bool:
        return self._primary is not None and self._primary.age_s >= self.limits.healthy_s

    # What the synchronisation of books asks for

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._helpers.add(task)
        task.add_done_callback(self._helped)
        return task

    def got_snapshot(self, symbol: str, body: bytes, told: Sequence[Event]) -> None:
        arrival_ns = self._stamp()
        for sink in self._sinks:
            sink.on_snapshot(self.venue, arrival_ns, symbol, body)
        self._tell(told, arrival_ns)

    def resubscribe(self, symbol: str) -> None:
        if self._primary is not None:
            self.spawn(self._resubscribe(self._primary, symbol))

    def give_up(self, reason: str) -> None:
        if self._primary is not None:
            self._primary.fail(reason)

    async def _resubscribe(self, socket: VenueSocket, symbol: str) -> None:
        """Where a venue knows no unsubscribing, everything anew."""
        frames = self.adapter.unsubscribe_frames([symbol], [Channel.BOOK])
        if frames:
            frames = [*frames, *self.adapter.subscribe_frames([symbol], [Channel.BOOK])]
        else:
            frames = self.adapter.subscribe_frames(self.symbols, self.channels)
        await socket.send_paced(frames, self.limits.subscribe_burst, self.limits.subscribe_per_s)

    # Small things

    def _helped(self, task: asyncio.Task[None]) -> None:
        self._helpers.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("venue connection stumbled", venue=self.venue, exc_info=error)
            if self._primary is not None:
                self._primary.fail(f"{type(error).__name__}: {error}")

    @staticmethod
    async def _first(*events: asyncio.Future[Any] | Coroutine[Any, Any, Any], timeout: float) -> None:  # noqa: ASYNC109
        """Wait for any of them, at most `timeout` seconds; futures live on, coroutines end."""
        tasks = [asyncio.create_task(one) if asyncio.iscoroutine(one) else one for one in events]
        try:
            await asyncio.wait(tasks, timeout=max(0.0, min(timeout, FOREVER_S)), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task, one in zip(tasks, events, strict=True):
                if task is not one:
                    task.cancel()


def _is_crossed(event: Event) -> bool:
    if isinstance(event, Quote):
        return 0 < event.ask <= event.bid
    if isinstance(event, BookSnapshot) and event.bids and event.asks:
        return event.asks[0][0] <= event.bids[0][0]
    return False
