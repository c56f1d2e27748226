"""What a venue says, in our words: the same few events whoever speaks. Pure data.

Prices are whole ticks and quantities whole lots of the symbol's `Steps`; `symbol` is our name (base + quote, upper
case); `venue_ns` is the venue's own time in nanoseconds since the Unix epoch, 0 where it gives none. When a frame
arrived is the reader's business.
"""

from decimal import Decimal
from typing import Literal

import msgspec

Level = tuple[int, int]
"""Price in ticks, quantity in lots."""

StatusKind = Literal["stale", "live", "gap", "unknown_symbol", "error", "pong", "notice", "halted", "trading"]


class Steps(msgspec.Struct, frozen=True, gc=False):
    """The grid of one symbol at one venue."""

    tick: Decimal
    lot: Decimal
    code: str = ""
    """The venue's code; empty: made from the symbol's name by the venue's rule."""
    base: str = ""
    """Assets of the pair; empty: not told (old recordings)."""
    quote: str = ""


class Trade(msgspec.Struct, frozen=True, gc=False):
    symbol: str
    venue_ns: int
    trade_id: str
    """As the venue writes it: unique per symbol, not always a number."""
    price: int
    qty: int
    is_buyer_maker: bool
    """True: the taker sold."""


class Quote(msgspec.Struct, frozen=True, gc=False):
    """Best bid and ask; a side that is empty has price and quantity 0."""

    symbol: str
    venue_ns: int
    bid: int
    bid_qty: int
    ask: int
    ask_qty: int
    seq: int = 0
    """Comparable with the numbers of the book's changes: it tells the best after that change; 0: the venue says nothing."""


class Check(msgspec.Struct, frozen=True, gc=False):
    """A checksum over the venue's own digits, with the digits of the levels in the same order as the event's."""

    crc32: int
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


class BookSnapshot(msgspec.Struct, frozen=True, gc=False):
    """A whole book (as deep as the channel goes), best first."""

    symbol: str
    venue_ns: int
    bids: list[Level]
    asks: list[Level]
    seq: int
    """Of the last change inside; 0: the venue numbers nothing."""
    check: Check | None = None


class BookDelta(msgspec.Struct, frozen=True, gc=False):
    """Levels that changed, in the venue's order; quantity 0: gone."""

    symbol: str
    venue_ns: int
    bids: list[Level]
    asks: list[Level]
    first_seq: int
    last_seq: int
    prev_seq: int
    """The `last_seq` that must have come before; -1: the venue does not say."""
    check: Check | None = None


class Candle(msgspec.Struct, frozen=True, gc=False):
    symbol: str
    venue_ns: int
    open_ns: int
    width_s: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    """In lots of the base asset, rounded down."""
    closed: bool
    """False: it may change; a venue that never says so sends False for ever."""


class Status(msgspec.Struct, frozen=True, gc=False):
    """About the connection, or about one symbol of it."""

    symbol: str
    """Empty: all of them."""
    venue_ns: int
    kind: StatusKind
    text: str = ""


Event = Trade | Quote | BookSnapshot | BookDelta | Candle | Status
BookEvent = BookSnapshot | BookDelta
