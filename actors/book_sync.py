"""Keeps the books of one connection whole: REST snapshots where a venue needs them, a new start after every gap."""

import asyncio
from collections.abc import Coroutine, Sequence
from random import Random
from typing import Any, Protocol

import aiohttp
import structlog

from actors.dialing import Backoff, Budget
from actors.feed_limits import Limits
from actors.feed_tally import Tally
from actors.venue_rest import Answered, Refused, fetch
from market.continuity import Continuity
from market.venues.adapter import Adapter, VenueError
from market.venues.events import BookEvent, Event, Status

log = structlog.get_logger()


class Books(Protocol):
    """Assembles books, or only checks that they could be: what is told may be published."""

    def apply(self, event: BookEvent) -> Sequence[Event]:
        """What follows: the event itself, nothing, the whole book and `Status` live, or `Status` gap.

        After a gap deltas tell nothing until a snapshot comes, of the same connection or by REST.
        """

    def drop(self, symbol: str) -> None:
        """Forget a book; all of them for the empty name."""


class Owner(Protocol):
    """The connection that the books are of."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]: ...

    def got_snapshot(self, symbol: str, body: bytes, told: Sequence[Event]) -> None:
        """A REST snapshot came, and what follows from it goes downstream."""

    def resubscribe(self, symbol: str) -> None:
        """For a new snapshot on the same connection."""

    def give_up(self, reason: str) -> None:
        """This connection brings no whole book any more."""


class Snapshots:
    """REST requests for books, within the venue's limits."""

    def __init__(self, session: aiohttp.ClientSession, limits: Limits, requests: Budget, random: Random) -> None:
        self._session = session
        self._requests = requests
        self._at_once = asyncio.Semaphore(limits.snapshots_at_once)
        self._random = random
        self.limits = limits

    async def get(self, url: str) -> Answered | Refused:
        await self._requests.take()
        async with self._at_once:
            return await fetch(self._session, url, self.limits.snapshot_s, self.limits.max_frame_bytes)

    def backoff(self) -> Backoff:
        return Backoff(self.limits.backoff_first_s, self.limits.backoff_most_s, self._random)


class BookSync:
    def __init__(
        self,
        adapter: Adapter,
        books: Books,
        continuity: Continuity,
        tally: Tally,
        snapshots: Snapshots,
        owner: Owner,
    ) -> None:
        self._adapter = adapter
        self._books = books
        self._continuity = continuity
        self._tally = tally
        self._snapshots = snapshots
        self._owner = owner
        self._synced: set[str] = set()
        """Symbols whose REST snapshot is applied."""
        self._fetching: dict[str, asyncio.Task[None]] = {}
        self._awaited: dict[str, asyncio.TimerHandle] = {}
        """Symbols whose snapshot must come on the connection, and what happens if it does not."""

    def apply(self, event: BookEvent) -> Sequence[Event]:
        """What goes downstream of a book event that is new."""
        symbol = event.symbol
        told = self._books.apply(event)
        for one in told:
            if isinstance(one, Status):
                if one.kind == "gap":
                    self._gap(symbol)
                elif one.kind == "live":
                    self._live(symbol)
        if self._adapter.needs_snapshot:
            self.want(symbol)
        elif symbol in self._tally.stale and not told:
            self._await_snapshot(symbol)  # deltas, but of what?
        return told

    def want(self, symbol: str) -> None:
        """Fetch the snapshot, unless it is there or under way."""
        if symbol not in self._synced and symbol not in self._fetching:
            self._fetching[symbol] = self._owner.spawn(self._fetch(symbol))

    def forget(self) -> None:
        """Books begin anew, as on a new connection."""
        self._continuity.forget_books()
        self._books.drop("")
        self._synced.clear()
        for timer in self._awaited.values():
            timer.cancel()
        self._awaited.clear()
        for task in self._fetching.values():
            task.cancel()
        self._fetching.clear()

    def _live(self, symbol: str) -> None:
        self._tally.live(symbol)
        timer = self._awaited.pop(symbol, None)
        if timer is not None:
            timer.cancel()

    def _gap(self, symbol: str) -> None:
        counters = self._tally.of(symbol)
        counters.gaps += 1
        counters.missed += 1
        self._tally.lose([symbol])
        self._continuity.forget_books(symbol)
        self._synced.discard(symbol)
        if not self._adapter.needs_snapshot and self._await_snapshot(symbol):
            self._owner.resubscribe(symbol)

    def _await_snapshot(self, symbol: str) -> bool:
        """Give the connection up if none comes; False where that was begun before."""
        if symbol in self._awaited:
            return False
        loop = asyncio.get_running_loop()
        self._awaited[symbol] = loop.call_later(self._snapshots.limits.resync_s, self._give_up, symbol)
        return True

    def _give_up(self, symbol: str) -> None:
        self._awaited.pop(symbol, None)
        self._owner.give_up(f"{symbol} is not whole after {self._snapshots.limits.resync_s:g} s")

    async def _fetch(self, symbol: str) -> None:
        """Until one fits."""
        backoff = self._snapshots.backoff()
        while True:
            answer = await self._snapshots.get(self._adapter.snapshot_url(symbol))
            if isinstance(answer, Answered) and self._fits(symbol, answer.body):
                self._fetching.pop(symbol, None)
                return
            delay_s = backoff.next_s()
            if isinstance(answer, Refused):
                self._failed(symbol, answer.reason)
                delay_s = max(delay_s, answer.retry_after_s)
            await asyncio.sleep(delay_s)

    def _fits(self, symbol: str, body: bytes) -> bool:
        """Whether the book is whole now."""
        try:
            book = self._adapter.decode_snapshot(symbol, body)
        except VenueError as error:
            self._failed(symbol, str(error))
            return False
        self._tally.of(symbol).snapshots += 1
        told = self._books.apply(book)
        for event in told:
            if isinstance(event, Status) and event.kind == "gap":
                self._failed(symbol, event.text)
                self._owner.got_snapshot(symbol, body, ())
                return False
        self._live(symbol)
        self._synced.add(symbol)
        self._owner.got_snapshot(symbol, body, told)
        return True

    def _failed(self, symbol: str, reason: str) -> None:
        counters = self._tally.of(symbol)
        counters.snapshot_failures += 1
        counters.errors += 1
        log.warning("no snapshot", venue=self._adapter.name, symbol=symbol, reason=reason)
