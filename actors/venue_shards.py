"""A venue's whole market over as many connections as its stream limit asks for, all within the venue's budgets."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Final

import aiohttp

from actors.dialing import Budget
from actors.feed_limits import Limits
from actors.feed_sinks import Sink
from actors.venue_connection import VenueFeed
from market.feed_spec import VenueSpec, sockets_of
from market.quality import Counters, together
from market.venues import ADAPTERS
from market.venues.adapter import AdapterFactory, Channel
from market.venues.assembled import AssembledBooks
from market.venues.books import VenueBook
from market.venues.events import Steps

CHANNELS: Final = (Channel.TRADE, Channel.QUOTE, Channel.BOOK)
STREAMS_MOST: Final = 1000
"""Symbols times channels on one connection: Binance's limit is 1,024."""

SinkOf = Callable[[Sequence[str], bool], Sink]
"""Makes the sink of a connection; told its symbols and whether it carries their books."""


class Shard:
    """Some symbols of a venue on one connection."""

    def __init__(self, feed: VenueFeed, books: AssembledBooks) -> None:
        self.feed = feed
        self.has_books = Channel.BOOK in feed.channels
        self._books = books

    def book(self, symbol: str) -> VenueBook:
        return self._books.of(symbol)


class VenueShards:
    """All connections to one venue."""

    def __init__(
        self,
        spec: VenueSpec,
        steps: Mapping[str, Steps],
        session: aiohttp.ClientSession,
        sink_of: SinkOf,
        *,
        limits: Limits | None = None,
        adapters: Mapping[str, AdapterFactory] = ADAPTERS,
    ) -> None:
        """`steps`: of the symbols to hear. Raises ValueError for addresses that cannot serve several sockets."""
        self.venue = spec.venue
        self.symbols = tuple(steps)
        self._limits = limits or Limits()
        self._session = session
        self.requests = Budget(self._limits.snapshots_per_minute)
        self.adapter = adapters[spec.venue](steps, ws_url=spec.ws_url, rest_url=spec.rest_url)
        """Of all symbols, for questions by REST."""
        self.shards = [
            shard
            for name in sockets_of(spec.venue)
            for shard in self._shards(spec, adapters[name], name, steps, sink_of)
        ]
        self._shard_of = {symbol: one for one in self.shards if one.has_books for symbol in one.feed.symbols}

    def _shards(
        self, spec: VenueSpec, factory: AdapterFactory, name: str, steps: Mapping[str, Steps], sink_of: SinkOf
    ) -> list[Shard]:
        whole = factory(steps, ws_url=spec.ws_url, rest_url=spec.rest_url)
        wanted = CHANNELS if name == spec.venue else (Channel.TRADE,)
        channels = tuple(one for one in wanted if one in whole.channels)
        dials = Budget(whole.dials_per_minute)
        made = []
        for some in even(list(steps), STREAMS_MOST // len(channels)):
            # An adapter counts what its own connection brought.
            adapter = factory({one: steps[one] for one in some}, ws_url=spec.ws_url, rest_url=spec.rest_url)
            books = AssembledBooks(adapter.book_rule)
            feed = VenueFeed(
                adapter,
                some,
                channels,
                [sink_of(some, Channel.BOOK in channels)],
                books,
                self._session,
                limits=self._limits,
                dials=dials,
                requests=self.requests,
            )
            made.append(Shard(feed, books))
        return made

    @property
    def connected(self) -> int:
        """How many connections stand."""
        return sum(one.feed.connected for one in self.shards)

    @property
    def stale(self) -> set[str]:
        """Symbols whose book is not to be trusted now."""
        return {symbol for one in self.shards if one.has_books for symbol in one.feed.stale}

    def book(self, symbol: str) -> VenueBook:
        """As the venue shows it; it moves as events come."""
        return self._shard_of[symbol].book(symbol)

    def counters(self) -> dict[str, Counters]:
        """By symbol; `VENUE` for what belongs to none. Of several connections together."""
        found: dict[str, Counters] = {}
        for one in self.shards:
            for symbol, counted in one.feed.counters().items():
                found[symbol] = together([found[symbol], counted]) if symbol in found else counted
        return found


def even(symbols: Sequence[str], most: int) -> list[Sequence[str]]:
    """In parts of about the same size, at most `most`."""
    parts = -(-len(symbols) // most)
    edges = [k * len(symbols) // parts for k in range(parts + 1)] if parts else []
    return [symbols[start:stop] for start, stop in pairwise(edges)]
