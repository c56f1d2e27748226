"""The market of real venues: what they send, translated, goes to the books as it comes.

    VenueShards (connections of a venue) -> _Sink -> Reference (commands) -> Outlet (of a book) -> book

A symbol whose book is not known stands without outside liquidity until it is (OUTSIDE_CLEAR). Venues are read on while a
book is away; what cannot be kept for it is told anew afterwards, trades in between are lost to its queues.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

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
from market.records import COMMAND, Records
from market.reference import Reference
from market.venues import ADAPTERS
from market.venues.adapter import AdapterFactory
from market.venues.events import Event, Status

log = structlog.get_logger()


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

    def take(self, symbol: int, arrival_ns: int, event: Event) -> None:
        """What is new of a symbol."""

    def _retell(self, symbol: int) -> Records:
        """All that is known of a symbol now."""

    # -- questions ------------------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        return {
            "venues": [one.status() for one in self._quality],
            "books": self.books.status(),
            "behind": sum(len(one.behind) for one in self._outlets),
        }
