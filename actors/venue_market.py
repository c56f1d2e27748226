"""The market of real venues: what they send, translated, goes to the books as it comes.

    VenueShards (connections of a venue) -> _Sink -> Reference (commands) -> Outlet (of a book) -> book

A symbol whose book is not known stands without outside liquidity until it is (OUTSIDE_CLEAR). Venues are read on while a
book is away; what cannot be kept for it is told anew afterwards, trades in between are lost to its queues.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import aiohttp
import structlog

from actors.config import Settings
from actors.feed_limits import Limits
from actors.metrics import VenueMetrics
from actors.outside_books import OutsideBooks
from actors.outside_outlet import Outlet
from actors.venue_halts import HaltWatch
from actors.venue_quality import READ_EVERY_S, VenueQuality
from actors.venue_shards import VenueShards
from market.feed_spec import Venues
from market.listing import Listing
from market.reference import Reference
from market.venues import ADAPTERS
from market.venues.adapter import AdapterFactory
from market.venues.events import Event, Status

log = structlog.get_logger()

BOOK_STATUS: Final = ("stale", "gap", "live", "halted", "trading")


class VenueMarket:
    kind = "venues"

    def __init__(
        self,
        settings: Settings,
        spec: Venues,
        listing: Listing,
        books: OutsideBooks,
        *,
        limits: Limits | None = None,
        adapters: Mapping[str, AdapterFactory] = ADAPTERS,
    ) -> None:
        self.metrics = VenueMetrics("feed")
        self.books = books
        self.shards: list[VenueShards] = []
        self._settings = settings
        self._spec = spec
        self._listing = listing
        self._references: dict[int, Reference] = {}
        """By symbol id, of what is open."""
        self._limits = limits
        self._adapters = adapters
        self._outlets: list[Outlet] = []
        self._sent = 0
        self._quality: list[VenueQuality] = []
        self._halts: list[HaltWatch] = []

    async def start(self) -> None:
        self.books.start()

    async def run(self) -> None:
        """Until a part of it fails or it is canceled."""
        await self.books.ready()
        self._outlets = [Outlet(link, self._retell, self.metrics.book_s.observe) for link in self.books.links]
        self._open()
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
            for one in self._spec.venues:
                ids = self._listing.ids(one.venue)
                shards = VenueShards(
                    one,
                    self._listing.steps(one.venue),
                    session,
                    partial(_Sink, self, ids),
                    limits=self._limits,
                    adapters=self._adapters,
                )
                self.shards.append(shards)
                self._quality.append(VenueQuality(shards, self.metrics))
                for name, symbol in ids.items():
                    out = self._outlet(symbol).out
                    self._references[symbol] = Reference(symbol, shards.book(name), out)
                self._halts.append(self._halt_watch(shards, ids, session))
                tasks.create_task(self._halts[-1].run())
                for shard in shards.shards:
                    tasks.create_task(shard.feed.run())
            tasks.create_task(self._watch())

    def _halt_watch(self, shards: VenueShards, ids: Mapping[str, int], session: aiohttp.ClientSession) -> HaltWatch:
        return HaltWatch(
            shards.adapter,
            shards.symbols,
            session,
            lambda status: self.take(ids[status.symbol], time.time_ns(), status),
            self.metrics,
            requests=shards.requests,
            limits=self._limits or Limits(),
        )

    async def stop(self) -> None:
        await self.books.stop()

    async def _watch(self) -> None:
        while True:
            for one in self._quality:
                one.read()
            sent, self._sent = self._sent, sum(one.sent for one in self._outlets)
            self.metrics.commands.inc(self._sent - sent)
            await asyncio.sleep(READ_EVERY_S)

    # -- to the books ---------------------------------------------------------------------------------------------

    def _open(self) -> None:
        """Nothing of an earlier life of the feed stays; what is not offered any more stands halted."""
        now_ns = time.time_ns()
        for symbol, one in enumerate(self._listing.listed):
            outlet = self._outlet(symbol)
            outlet.out.clear(symbol, now_ns)
            outlet.out.status(symbol, now_ns, one.is_open)
            outlet.put(now_ns)

    def take(self, symbol: int, arrival_ns: int, event: Event) -> None:
        """What is new of a symbol."""
        outlet = self._outlet(symbol)
        if outlet.takes(symbol):
            self._references[symbol].take(event, arrival_ns)
            outlet.put(arrival_ns)
        elif isinstance(event, Status):
            self._references[symbol].note(event)

    def _outlet(self, symbol: int) -> Outlet:
        return self._outlets[symbol % len(self._outlets)]

    def _retell(self, symbol: int) -> None:
        self.metrics.left_out.inc()
        self._references[symbol].retell(time.time_ns())

    @property
    def full(self) -> bool:
        return any(one.full for one in self._outlets)

    async def room(self) -> None:
        for one in self._outlets:
            await one.room()

    # -- questions ------------------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        return {
            "venues": [
                {**quality.status(), **halts.status()}
                for quality, halts in zip(self._quality, self._halts, strict=True)
            ],
            "books": self.books.status(),
            "commands": sum(one.sent for one in self._outlets),
            "refused": sum(one.out.refused for one in self._outlets),
            "behind": sum(len(one.behind) for one in self._outlets),
        }


class _Sink:
    """Of one connection."""

    def __init__(self, market: VenueMarket, ids: Mapping[str, int], symbols: Sequence[str], has_books: bool) -> None:
        self._market = market
        self._ids = {name: ids[name] for name in symbols}
        self._has_books = has_books

    def on_frame(self, venue: str, arrival_ns: int, frame: bytes) -> None:
        pass

    def on_snapshot(self, venue: str, arrival_ns: int, symbol: str, body: bytes) -> None:
        pass

    def on_events(self, venue: str, arrival_ns: int, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, Status):
                self._status(arrival_ns, event)
            elif (symbol := self._ids.get(event.symbol)) is not None:
                self._market.take(symbol, arrival_ns, event)

    def _status(self, arrival_ns: int, event: Status) -> None:
        """Of the books, each symbol its own; a connection without books says nothing about them."""
        if not self._has_books or event.kind not in BOOK_STATUS:
            return
        for name in [event.symbol] if event.symbol else list(self._ids):
            if (symbol := self._ids.get(name)) is not None:
                self._market.take(symbol, arrival_ns, Status(name, event.venue_ns, event.kind, event.text))

    @property
    def full(self) -> bool:
        return self._market.full

    async def room(self) -> None:
        await self._market.room()
