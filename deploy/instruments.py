"""What will be traded: asks venues for their symbols, recordings for their headers, before anything else starts.

    feed spec -> offers (REST, files) -> market.listing.listing(..., what is in instruments.json)

Nothing is written here but by `keep`.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from actors import instruments_file
from actors.venue_rest import Answered, Refused, fetch
from deploy.errors import FeedUnusable
from deploy.recording_marks import Mark, marks_of
from deploy.recording_samples import recorded_offers
from deploy.venue_recorder import LIST_BYTES, LIST_S, RecordError, named
from market import listing as listings
from market.feed_spec import FeedSpec, Nobody, Replay, Simulated, Venues, VenueSpec
from market.listing import FINEST, BadListing, Kind, Listing, Offer
from market.venues import ADAPTERS
from market.venues.adapter import Adapter, VenueError, VenueSymbol
from market.venues.events import Steps

ASKS_PER_S: Final = 8.0
"""Books asked of a venue that tells no steps; Upbit allows ten."""
ASK_S: Final = 10.0
BOOK_BYTES: Final = 4 << 20
ASK_TIMES: Final = 3

Progress = Callable[[str], None]


class Prepared(msgspec.Struct, frozen=True):
    listing: Listing | None
    """None: the simulated market's symbols."""
    warnings: tuple[str, ...] = ()
    recordings: tuple[Mark, ...] | None = None
    """None: none is played now."""


def prepare(feed: FeedSpec, data: Path, progress: Progress) -> Prepared:
    """Raises `FeedUnusable`, `instruments_file.BadInstrumentsFile`."""
    before = instruments_file.read(str(data))
    match feed:
        case Nobody():
            return Prepared(before)
        case Simulated():
            if before is not None:
                raise _other_kind("simulated", before, data)
            return Prepared(None)
        case Venues():
            _check_kind("venues", before, data)
            return asyncio.run(_Venues(feed, before, progress).prepare())
        case Replay():
            _check_kind("replay", before, data)
            progress("recordings")
            made = _made("replay", recorded_offers(feed.files), before, [])
            return msgspec.structs.replace(made, recordings=marks_of(feed.files))


def keep(data: Path, prepared: Prepared) -> None:
    if prepared.listing is not None and prepared.listing != instruments_file.read(str(data)):
        instruments_file.write(str(data), prepared.listing)


def _check_kind(kind: Kind, before: Listing | None, data: Path) -> None:
    if before is not None and before.kind != kind:
        raise _other_kind(kind, before, data)


def _other_kind(kind: str, before: Listing, data: Path) -> FeedUnusable:
    was = {"venues": "venues", "replay": "a recording"}[before.kind]
    return FeedUnusable(
        f"the market of {data} is of {was} ({', '.join(before.venues())}), which cannot change to {kind}. "
        f"Start with such a --feed (or --feed none, to look at it), or use another --data."
    )


def _made(kind: Kind, offers: Sequence[Offer], before: Listing | None, warnings: list[str]) -> Prepared:
    try:
        made = listings.listing(kind, offers, before)
    except BadListing as error:
        raise FeedUnusable(" ".join([f"feed: {error}.", *warnings])) from None
    placed = {(one.venue, one.venue_symbol) for one in made.listed}
    left = sorted(one.symbol for one in offers if one.is_open and (one.venue, one.symbol) not in placed)
    if left:
        names = ", ".join(left[:10]) + (" ..." if len(left) > 10 else "")
        warnings.append(
            f"{len(left)} symbols are left out: names that the API cannot tell, or ticks below 10^-8: {names}"
        )
    return Prepared(made, tuple(warnings))


class _Venues:
    def __init__(self, feed: Venues, before: Listing | None, progress: Progress) -> None:
        self._feed, self._before, self._progress = feed, before, progress
        self.warnings: list[str] = []

    async def prepare(self) -> Prepared:
        async with aiohttp.ClientSession() as session:
            found = [await self._offers(session, spec) for spec in self._feed.venues]
        return _made("venues", [one for offers in found for one in offers], self._before, self.warnings)

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
