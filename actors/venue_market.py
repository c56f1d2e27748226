"""The market of real venues: what they send, translated, goes to the books as it comes.

    VenueShards (connections of a venue) -> _Sink -> Reference (commands) -> Outlet (of a book) -> book

A symbol whose book is not known stands without outside liquidity until it is (OUTSIDE_CLEAR). Venues are read on while a
book is away; what cannot be kept for it is told anew afterwards, trades in between are lost to its queues.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import aiohttp
import numpy as np
import structlog

from actors.config import Settings
from actors.feed_limits import Limits
from actors.metrics import VenueMetrics
from actors.outside_books import OutsideBooks
from actors.outside_outlet import Outlet
from actors.venue_quality import READ_EVERY_S, VenueQuality
from actors.venue_shards import VenueShards
from market.enums import CommandKind
from market.feed_spec import Venues
from market.listing import Listing
from market.numbering import OUTSIDE_ACCOUNT
from market.records import COMMAND, Records, joined
from market.venues import ADAPTERS
from market.venues.adapter import AdapterFactory
from market.venues.events import Event, Status

log = structlog.get_logger()


class Translator(Protocol):
    """Of one symbol: what a venue says, as what its book must do."""

    def apply(self, arrival_ns: int, event: Event) -> Records:
        """COMMAND[n]; after `Status` stale or gap what the venue shows is not known until the next whole book."""


class VenueMarket:
    kind = "venues"

    def __init__(
        self,
        settings: Settings,
        spec: Venues,
        listing: Listing,
        books: OutsideBooks,
        reference_of: Callable[[int], Translator],
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
        self._references = [reference_of(symbol) for symbol in range(len(listing.listed))]
        self._limits = limits
        self._adapters = adapters
        self._outlets: list[Outlet] = []
        self._quality: list[VenueQuality] = []
        self._venue_of: dict[int, tuple[VenueShards, str]] = {}
        """By symbol id: whose it is, and its name there."""

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
                    lambda symbols, has_books, ids=ids: _Sink(self, ids, symbols, has_books),
                    limits=self._limits,
                    adapters=self._adapters,
                )
                self.shards.append(shards)
                self._quality.append(VenueQuality(shards, self.metrics))
                self._venue_of |= {symbol_id: (shards, name) for name, symbol_id in ids.items()}
                for shard in shards.shards:
                    tasks.create_task(shard.feed.run())
            tasks.create_task(self._watch())

    async def stop(self) -> None:
        await self.books.stop()

    async def _watch(self) -> None:
        while True:
            for one in self._quality:
                one.read()
            await asyncio.sleep(READ_EVERY_S)

    # -- to the books ---------------------------------------------------------------------------------------------

    def _open(self) -> None:
        """Nothing of an earlier life of the feed stays; what is not offered any more stands halted."""
        now_ns = time.time_ns()
        for symbol, one in enumerate(self._listing.listed):
            self._add(symbol, joined([clear(symbol, now_ns), trades(symbol, now_ns, one.is_open)], COMMAND), now_ns)

    def take(self, symbol: int, arrival_ns: int, event: Event) -> None:
        """What is new of a symbol."""
        outlet = self._outlets[self._settings.book_of(symbol)]
        if symbol not in outlet.behind:
            self._add(symbol, self._references[symbol].apply(arrival_ns, event), arrival_ns)

    def _add(self, symbol: int, commands: Records, arrival_ns: int) -> None:
        self.metrics.commands.inc(len(commands))
        self._outlets[self._settings.book_of(symbol)].add(symbol, commands, arrival_ns)

    def _retell(self, symbol: int) -> Records:
        """All that is known of a symbol now, after forgetting what was told of it."""
        self.metrics.left_out.inc()
        shards, name = self._venue_of[symbol]
        now_ns = time.time_ns()
        events: list[Event] = [Status(name, 0, "stale", "its book was away")]
        book = shards.book(name)
        if book is not None:
            events += [book, Status(name, 0, "live")]
        return joined([self._references[symbol].apply(now_ns, one) for one in events], COMMAND)

    @property
    def full(self) -> bool:
        return any(one.full for one in self._outlets)

    async def room(self) -> None:
        for one in self._outlets:
            await one.room()

    # -- questions ------------------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        return {
            "venues": [one.status() for one in self._quality],
            "books": self.books.status(),
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
        if not self._has_books or event.kind not in ("stale", "gap", "live"):
            return
        for name in [event.symbol] if event.symbol else list(self._ids):
            if (symbol := self._ids.get(name)) is not None:
                self._market.take(symbol, arrival_ns, Status(name, event.venue_ns, event.kind, event.text))

    @property
    def full(self) -> bool:
        return self._market.full

    async def room(self) -> None:
        await self._market.room()


def clear(symbol: int, now_ns: int) -> Records:
    """What a venue shows of a symbol is not known."""
    return _command(CommandKind.OUTSIDE_CLEAR, symbol, now_ns)


def trades(symbol: int, now_ns: int, is_open: bool) -> Records:
    """The symbol trades, or stands halted."""
    command = _command(CommandKind.OUTSIDE_STATUS, symbol, now_ns)
    command["qty_lots"] = is_open
    return command


def _command(kind: CommandKind, symbol: int, now_ns: int) -> Records:
    made = np.zeros(1, COMMAND)
    made["kind"], made["symbol"], made["account"], made["target_id"] = kind, symbol, OUTSIDE_ACCOUNT, now_ns
    return made
