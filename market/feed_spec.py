"""The text of `--feed`: where the market comes from. Pure: text in, typed structs out, and back by `str`.

    simulated                                  participants of our own
    none                                       nobody but you
    VENUE[:quote=USDC][:symbols=BTCUSDT+ETHUSDT][:ws=URL][:rest=URL][,VENUE...]
    replay:FILE[,FILE...]

A venue without quote and symbols means every symbol that trades there; with both, the symbols named and all of the quote
asset. `+` joins several quote assets, too. The first venue's symbols keep their names, those of others get a suffix
(`market.listing`).
"""

import difflib
import re
from functools import cache
from typing import Final

import msgspec

from market.venues import ADAPTERS
from market.venues.adapter import Channel

REPLAY: Final = "replay"
SIMULATED: Final = "simulated"
NONE: Final = "none"
KEYS: Final = ("quote", "symbols", "ws", "rest")

_NEXT_KEY: Final = re.compile(r":(?=[A-Za-z_]+=)")
"""Addresses have colons as well, but none before `name=`."""
_CODE: Final = re.compile(r"[A-Z0-9][A-Z0-9_.\-]*")
_URL: Final = {"ws": ("ws://", "wss://"), "rest": ("http://", "https://")}


class BadFeed(ValueError):
    """Names the part of `--feed` that cannot be read, and what is possible there."""


class Simulated(msgspec.Struct, frozen=True):
    def __str__(self) -> str:
        return SIMULATED


class Nobody(msgspec.Struct, frozen=True):
    """An empty market."""

    def __str__(self) -> str:
        return NONE


class VenueSpec(msgspec.Struct, frozen=True):
    venue: str
    """Its name in `ADAPTERS`; it carries books."""
    quotes: tuple[str, ...] = ()
    """All that trade against one of these assets."""
    symbols: tuple[str, ...] = ()
    """Our names (base + quote), or the venue's codes; upper case."""
    ws_url: str = ""
    """Instead of the venue's own address."""
    rest_url: str = ""

    def __str__(self) -> str:
        texts = ("+".join(self.quotes), "+".join(self.symbols), self.ws_url, self.rest_url)
        return self.venue + "".join(f":{key}={text}" for key, text in zip(KEYS, texts, strict=True) if text)


class Venues(msgspec.Struct, frozen=True):
    venues: tuple[VenueSpec, ...]
    """One at least, each venue once."""

    def __str__(self) -> str:
        return ",".join(map(str, self.venues))


class Replay(msgspec.Struct, frozen=True):
    files: tuple[str, ...]
    """Paths of recordings; one at least, each once."""

    def __str__(self) -> str:
        return f"{REPLAY}:{','.join(self.files)}"


FeedSpec = Simulated | Nobody | Venues | Replay


@cache
def venues() -> tuple[str, ...]:
    """Names of the adapters that carry books: what `--feed` may name."""
    return tuple(sorted(name for name, factory in ADAPTERS.items() if Channel.BOOK in factory({}).channels))


@cache
def sockets_of(venue: str) -> tuple[str, ...]:
    """Adapters to connect for the whole of a venue's market, itself first: some send trades over a socket of their own."""
    missing = {Channel.TRADE} - ADAPTERS[venue]({}).channels
    others = (name for name in sorted(ADAPTERS) if name.startswith(f"{venue}_"))
    return (venue, *(name for name in others if missing & ADAPTERS[name]({}).channels))


def parse(text: str) -> FeedSpec:
    """Raises `BadFeed`."""
    text = text.strip()
    kind, colon, rest = text.partition(":")
    match kind.lower():
        case "simulated" if not colon:
            return Simulated()
        case "none" if not colon:
            return Nobody()
        case "replay":
            return _replay(rest)
    parts = [part.strip() for part in text.split(",")]
    found = tuple(_venue(part) for part in parts)
    names = [one.venue for one in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise BadFeed(
            f"feed: {twice} is named twice. Name a venue once; `{twice}:quote=USDC+USDT` takes two quote assets"
        )
    return Venues(found)


def _replay(rest: str) -> Replay:
    files = tuple(part.strip() for part in rest.split(",") if part.strip())
    if not files:
        raise BadFeed("feed: replay names no recording. Say `replay:FILE` or `replay:FILE,FILE`")
    if len(set(files)) < len(files):
        raise BadFeed("feed: replay names a recording twice. Name each once (`--loop` plays it again and again)")
    return Replay(files)


def _venue(part: str) -> VenueSpec:
    name, _, rest = part.partition(":")
    venue = name.strip().lower()
    _check_venue(part, venue)
    told: dict[str, str] = {}
    for setting in _NEXT_KEY.split(rest) if rest else []:
        key, equals, value = setting.partition("=")
        key, value = key.strip().lower(), value.strip()
        if not equals or key not in KEYS:
            raise BadFeed(f"feed: {venue} has no setting {setting!r}. Possible are: {', '.join(f'{k}=' for k in KEYS)}")
        if key in told:
            raise BadFeed(f"feed: {venue} tells {key} twice. Join them: {key}={told[key]}+{value}")
        if not value:
            raise BadFeed(f"feed: {venue}: {key}= is empty. Leave it out, or say {_EXAMPLES[key]}")
        told[key] = value
    return VenueSpec(
        venue,
        _codes(venue, "quote", told),
        _codes(venue, "symbols", told),
        _url(venue, "ws", told),
        _url(venue, "rest", told),
    )


_EXAMPLES: Final = {
    "quote": "quote=USDC",
    "symbols": "symbols=BTCUSDT+ETHUSDT",
    "ws": "ws=wss://host/path",
    "rest": "rest=https://host",
}


def _check_venue(part: str, venue: str) -> None:
    known = venues()
    if venue in known:
        return
    if venue in (SIMULATED, NONE, REPLAY):
        raise BadFeed(f"feed: {part!r}: {venue} stands alone, without settings and other venues")
    if venue in ADAPTERS:
        raise BadFeed(f"feed: {venue} carries no books of its own. Possible are: {', '.join(known)}")
    possible = f"{SIMULATED}, {NONE}, {REPLAY}:FILE or a venue: {', '.join(known)}"
    near = difflib.get_close_matches(venue, (SIMULATED, NONE, REPLAY, *known), n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise BadFeed(f"feed: there is no {venue or part!r}. Possible are: {possible}.{hint}")


def _codes(venue: str, key: str, told: dict[str, str]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(one.strip().upper() for one in told.get(key, "").split("+") if one.strip()))
    for one in found:
        if not _CODE.fullmatch(one):
            raise BadFeed(f"feed: {venue}: {key}={one}: letters, digits and - _ . only, joined by +: {_EXAMPLES[key]}")
    return found


def _url(venue: str, key: str, told: dict[str, str]) -> str:
    url = told.get(key, "")
    if url and not url.startswith(_URL[key]):
        raise BadFeed(f"feed: {venue}: {key}={url}: an address begins with {' or '.join(_URL[key])}")
    return url
