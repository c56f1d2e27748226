"""Asks venues for their symbols, and for the books of those whose steps they do not tell."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

import aiohttp
import msgspec

from actors.venue_rest import Answered, Refused, fetch
from deploy.errors import FeedUnusable
from deploy.venue_recorder import LIST_BYTES, LIST_S, RecordError, named
from market import listing as listings
from market.feed_spec import Venues, VenueSpec
from market.listing import FINEST, Listing, Offer
from market.venues import ADAPTERS
from market.venues.adapter import Adapter, VenueError, VenueSymbol
from market.venues.events import Steps

ASKS_PER_S: Final = 8.0
"""Books asked of a venue that tells no steps; Upbit allows ten."""
ASK_S: Final = 10.0
BOOK_BYTES: Final = 4 << 20
ASK_TIMES: Final = 3


class VenueOffers:
    """Of the venues that a feed names; `all` raises `FeedUnusable`."""

    def __init__(self, feed: Venues, before: Listing | None, progress: Callable[[str], None]) -> None:
        self._feed, self._before, self._progress = feed, before, progress
        self.warnings: list[str] = []

    async def all(self) -> list[Offer]:
        async with aiohttp.ClientSession() as session:
            found = [await self._offers(session, spec) for spec in self._feed.venues]
        return [one for offers in found for one in offers]

    async def _offers(self, session: aiohttp.ClientSession, spec: VenueSpec) -> list[Offer]:
        self._progress(f"symbols of {spec.venue}")
        adapter = ADAPTERS[spec.venue]({}, ws_url=spec.ws_url, rest_url=spec.rest_url)
        known = self._known(spec.venue)
        listed = await self._list(session, adapter, known)
        if listed is None:
            chosen = _chosen(spec, [one for _, one in known], known)
            return [offer for offer, symbol in known if symbol in chosen]
        chosen = _chosen(spec, listed, known)
        here = {offer.symbol: offer for offer, _ in known}
        return await self._fitted(session, spec, chosen, here)

    def _known(self, venue: str) -> list[tuple[Offer, VenueSymbol]]:
        """As listed here before; whether it still trades, only the venue knows."""
        found = []
        for one in self._before.listed if self._before is not None else ():
            if one.venue == venue:
                steps = one.steps
                symbol = VenueSymbol(steps.code, steps.base, steps.quote, steps.tick, steps.lot, None, "", True)
                found.append((listings.offered(venue, symbol, steps), symbol))
        return found

    async def _list(
        self, session: aiohttp.ClientSession, adapter: Adapter, known: Sequence[object]
    ) -> list[VenueSymbol] | None:
        """None: it cannot be had, but some are known."""
        url = adapter.symbols_url()
        answer = await fetch(session, url, LIST_S, LIST_BYTES)
        try:
            if isinstance(answer, Answered):
                return adapter.decode_symbols(answer.body)
            reason = answer.reason
        except VenueError as error:
            reason = f"its answer is no list of symbols: {error}"
        text = f"{adapter.name} did not list its symbols: {url}: {reason}."
        if not known:
            raise FeedUnusable(
                f"{text} Look whether this machine reaches it (some venues refuse some countries: HTTP 403, 451), "
                f"or give another address: --feed {adapter.name}:rest=URL:ws=URL."
            )
        self.warnings.append(f"{text} Those listed here before are traded.")
        return None

    async def _fitted(
        self, session: aiohttp.ClientSession, spec: VenueSpec, chosen: Sequence[VenueSymbol], here: dict[str, Offer]
    ) -> list[Offer]:
        """With the grid that the venue tells, or that its book shows."""
        offers: list[Offer] = []
        unfitted: list[str] = []
        for k, one in enumerate(chosen):
            if one.symbol in here:
                offers.append(msgspec.structs.replace(here[one.symbol], is_open=one.trading))
            elif one.tick is not None and one.lot is not None:
                offers.append(listings.offered(spec.venue, one, Steps(one.tick, one.lot, one.code)))
            elif one.trading:
                self._progress(f"books of {spec.venue}: {k} of {len(chosen)}")
                found = await _shown(session, spec, one)
                if found is None:
                    unfitted.append(one.symbol)
                else:
                    offers.append(found)
        if unfitted:
            self.warnings.append(
                f"{spec.venue} tells no steps, and showed no book to see them in, for {', '.join(unfitted[:10])} "
                f"({len(unfitted)} in all): they are left out until the next start"
            )
        return offers


def _chosen(
    spec: VenueSpec, listed: Sequence[VenueSymbol], known: Sequence[tuple[Offer, VenueSymbol]]
) -> list[VenueSymbol]:
    """What the feed names, each once; all that trades where it names nothing."""
    if not spec.quotes and not spec.symbols:
        return [one for one in listed if one.trading]
    names = {one.symbol for one in listed} | {one.code.upper() for one in listed}
    gone = {name for _, one in known for name in (one.symbol, one.code.upper())} - names
    try:
        chosen = named(spec.venue, [one for one in spec.symbols if one not in gone], listed)
    except RecordError as error:
        raise FeedUnusable(f"feed: symbols: {error}") from None
    for quote in spec.quotes:
        found = [one for one in listed if one.quote == quote and one.trading]
        if not found and not known:
            quotes = sorted({one.quote for one in listed if one.trading})
            raise FeedUnusable(
                f"feed: nothing trades against {quote} at {spec.venue}; it has {', '.join(quotes[:30])}."
            )
        chosen += found
    return list({one.symbol: one for one in chosen}.values())


async def _shown(session: aiohttp.ClientSession, spec: VenueSpec, one: VenueSymbol) -> Offer | None:
    """Steps and price as the venue's book shows them now."""
    steps = Steps(one.tick or FINEST, one.lot or FINEST, one.code)
    adapter = ADAPTERS[spec.venue]({one.symbol: steps}, ws_url=spec.ws_url, rest_url=spec.rest_url)
    for _ in range(ASK_TIMES):
        began = time.monotonic()
        answer = await fetch(session, adapter.snapshot_url(one.symbol), ASK_S, BOOK_BYTES)
        await asyncio.sleep(max(0.0, 1 / ASKS_PER_S - (time.monotonic() - began)))
        if isinstance(answer, Refused):
            await asyncio.sleep(answer.retry_after_s)
            continue
        try:
            book = adapter.decode_snapshot(one.symbol, answer.body)
        except VenueError:
            return None
        levels = [*book.bids, *book.asks]
        if not levels:
            return None
        fit, price = listings.seen(steps, [price for price, _ in levels], [qty for _, qty in levels])
        return listings.offered(spec.venue, one, fit, price)
    return None
