"""What will be traded: asks venues for their symbols, recordings for their headers, before anything else starts.

    feed spec -> offers (REST, files) -> market.listing.listing(..., what is in instruments.json)

Nothing is written here but by `keep`.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from actors import instruments_file
from deploy.errors import FeedUnusable
from deploy.recording_marks import Mark, marks_of
from market import listing as listings
from market.feed_spec import FeedSpec, Nobody, Replay, Simulated, Venues
from market.listing import BadListing, Kind, Listing, Offer

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
            from deploy.venue_listing import VenueOffers  # an HTTP client: only where a venue is asked

            asked = VenueOffers(feed, before, progress)
            return _made("venues", asyncio.run(asked.all()), before, asked.warnings)
        case Replay():
            _check_kind("replay", before, data)
            from deploy.recording_samples import recorded_offers

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
