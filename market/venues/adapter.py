"""What the connection engine may ask of a venue. Adapters are pure: bytes in, events out; no I/O, no clock.

An adapter is made for the symbols it will hear (`Mapping[str, Steps]`) and keeps no state but caches and counters, so
one may serve any number of connections to its venue, one after another or at once.
"""

import enum
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Protocol

import msgspec

from market.venues.events import BookSnapshot, Candle, Event, Steps


class Channel(enum.Enum):
    TRADE = "trade"
    QUOTE = "quote"
    """Best bid and ask; where the venue has no such channel it is read off the book."""
    BOOK = "book"
    CANDLE = "candle"
    """Of one minute."""


class BookRule(enum.Enum):
    """How a venue numbers the changes of a book (`market.venues.books`)."""

    WHOLE = "whole"
    """Every frame is a whole book."""
    NEXT = "next"
    """first_seq == last + 1."""
    PREVIOUS = "previous"
    """prev_seq == last; the numbers may jump, and start again after maintenance."""
    REST_NEXT = "rest_next"
    """As NEXT, on a snapshot fetched by REST: U <= lastUpdateId + 1 <= u for the first."""
    REST_PREVIOUS = "rest_previous"
    """As PREVIOUS, on a snapshot fetched by REST: U <= lastUpdateId <= u for the first."""
    RESTARTING = "restarting"
    """As NEXT; a delta numbered 1 is a snapshot."""


class VenueSymbol(msgspec.Struct, frozen=True):
    """A listed pair; numbers that the venue does not give are None."""

    code: str
    base: str
    quote: str
    tick: Decimal | None
    lot: Decimal | None
    min_notional: Decimal | None
    """In the quote asset."""
    status: str
    """As the venue writes it."""
    trading: bool

    @property
    def symbol(self) -> str:
        return self.base + self.quote


class VenueError(ValueError):
    """A venue's answer to a REST request is not what its documentation says; names the venue and the field."""


class Adapter(Protocol):
    @property
    def name(self) -> str:
        """Its key in the registry."""

    @property
    def channels(self) -> frozenset[Channel]:
        """What this socket carries; asking for another raises ValueError."""

    @property
    def book_rule(self) -> BookRule: ...

    @property
    def off_grid(self) -> int:
        """Numbers so far that were no multiple of tick or lot (price rounded to the nearest, quantity down)."""

    @property
    def ping_every_s(self) -> float: ...

    @property
    def silence_limit_s(self) -> float:
        """Nothing at all for so long, pongs included: the connection is dead."""

    @property
    def max_life_s(self) -> float:
        """The venue cuts every connection at this age (infinity: never): be gone before."""

    @property
    def dials_per_minute(self) -> float: ...

    @property
    def needs_snapshot(self) -> bool:
        """Books begin with `snapshot_url`, fetched after the first delta arrived."""

    def code(self, symbol: str) -> str:
        """The venue's own, as in its symbol list."""

    def urls(self) -> list[str]:
        """Addresses that all carry everything; the second is for when the first does not answer."""

    def subscribe_frames(self, symbols: Sequence[str], channels: Sequence[Channel]) -> list[str | bytes]:
        """In the order to send; where a second frame replaces the first it is one frame with everything."""

    def unsubscribe_frames(self, symbols: Sequence[str], channels: Sequence[Channel]) -> list[str | bytes]:
        """Empty where the venue has none: send the new whole subscription instead."""

    def decode(self, frame: bytes) -> Sequence[Event]:
        """Never raises: what cannot be read is `Status("error")` naming venue and field."""

    def ping_frame(self) -> str | bytes | None:
        """To send every `ping_every_s`; None: a ping of the WebSocket protocol."""

    def snapshot_url(self, symbol: str) -> str: ...

    def decode_snapshot(self, symbol: str, body: bytes) -> BookSnapshot:
        """Raises `VenueError`."""

    def symbols_url(self) -> str: ...

    def decode_symbols(self, body: bytes) -> list[VenueSymbol]:
        """Raises `VenueError`."""

    def candles_url(self, symbol: str, width_s: int, end_ns: int, limit: int) -> str:
        """Candles that opened before `end_ns`, the newest `limit` of them (the venue's own cap applies)."""

    def decode_candles(self, symbol: str, width_s: int, body: bytes) -> list[Candle]:
        """Oldest first. Raises `VenueError`."""


class AdapterFactory(Protocol):
    def __call__(self, steps: Mapping[str, Steps], *, ws_url: str = ..., rest_url: str = ...) -> Adapter: ...
