"""What the adapters have in common: names of symbols, the guard around decoding, and REST answers. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Annotated, ClassVar, TypeVar

import msgspec

from market.venues.adapter import BookRule, Channel, VenueError, VenueSymbol
from market.venues.events import BookSnapshot, Candle, Event, Status, Steps
from market.venues.numbers import Listed

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000

Millis = Annotated[int, msgspec.Meta(ge=0, le=10**13)]
"""Since the Unix epoch."""
Micros = Annotated[int, msgspec.Meta(ge=0, le=10**17)]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=10**10)]
Seq = Annotated[int, msgspec.Meta(ge=-1, le=(1 << 63) - 1)]
Pairs = list[tuple[str, str]]
"""Price and quantity."""
FloatPairs = list[tuple[float, float]]
"""The same, read as doubles: by a decoder that is not strict where they are texts."""

QUOTES = ("FDUSD", "USDT", "USDC", "TUSD", "BUSD", "KRW", "EUR", "TRY", "BRL", "JPY", "USD", "BTC", "ETH", "BNB", "DAI")
"""To part our symbol names; the longer before what they end in. Others give `Steps.code`."""

SHOWN = 120
"""Characters of a bad frame or a venue's message that a status carries."""

T = TypeVar("T")


def lax(kind: type[T]) -> Callable[[bytes], T]:
    """A decoder that reads texts where numbers are expected: doubles straight off the wire."""
    return msgspec.json.Decoder(kind, strict=False).decode


def parted(symbol: str) -> tuple[str, str]:
    """Base and quote of our symbol name."""
    for quote in QUOTES:
        if symbol.endswith(quote) and len(symbol) > len(quote):
            return symbol[: -len(quote)], quote
    raise ValueError(f"{symbol}: no known quote asset at its end; give the venue's code in its Steps")


class VenueAdapter:
    """A venue's `Adapter` but for its own messages."""

    name: ClassVar[str]
    channels: ClassVar[frozenset[Channel]] = frozenset(Channel)
    book_rule: ClassVar[BookRule]
    ping_every_s: ClassVar[float] = 20.0
    silence_limit_s: ClassVar[float] = 60.0
    """Three pings unanswered."""
    max_life_s: ClassVar[float] = float("inf")
    dials_per_minute: ClassVar[float]
    needs_snapshot: ClassVar[bool] = False
    WS_URLS: ClassVar[tuple[str, ...]]
    REST_URL: ClassVar[str]

    def __init__(self, steps: Mapping[str, Steps], *, ws_url: str = "", rest_url: str = "") -> None:
        self._ws_urls = [ws_url] if ws_url else list(self.WS_URLS)
        self._rest = (rest_url or self.REST_URL).rstrip("/")
        self._listed = {
            symbol: Listed(symbol, one.code or self.code_of(*parted(symbol)), one) for symbol, one in steps.items()
        }
        self._coded = {one.code: one for one in self._listed.values()}
        if len(self._coded) != len(self._listed):
            raise ValueError(f"{self.name}: two symbols have one code")

    @staticmethod
    def code_of(base: str, quote: str) -> str:
        """The venue's code by its rule."""
        return base + quote

    @property
    def off_grid(self) -> int:
        return sum(one.off_grid for one in self._listed.values())

    def code(self, symbol: str) -> str:
        return self.listed(symbol).code

    def urls(self) -> list[str]:
        return self._ws_urls

    def ping_frame(self) -> str | bytes | None:
        return None

    def unsubscribe_frames(self, symbols: Sequence[str], channels: Sequence[Channel]) -> list[str | bytes]:
        return []

    def decode(self, frame: bytes) -> Sequence[Event]:
        try:
            return self._decode(frame)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            shown = bytes(frame[:SHOWN]).decode("utf-8", "replace")
            return (self._error(f"{error}, in {shown}"),)

    def decode_snapshot(self, symbol: str, body: bytes) -> BookSnapshot:
        return self._answer(self._snapshot, self.listed(symbol), body)

    def decode_symbols(self, body: bytes) -> list[VenueSymbol]:
        return self._answer(self._symbols, body)

    def decode_candles(self, symbol: str, width_s: int, body: bytes) -> list[Candle]:
        found = self._answer(self._candles, self.listed(symbol), width_s, body)
        return sorted(found, key=lambda one: one.open_ns)

    def listed(self, symbol: str) -> Listed:
        found = self._listed.get(symbol)
        if found is None:
            raise ValueError(f"{self.name}: {symbol} has no Steps")
        return found

    # Of each venue:

    def _decode(self, frame: bytes) -> Sequence[Event]:
        raise NotImplementedError

    def _snapshot(self, one: Listed, body: bytes) -> BookSnapshot:
        raise NotImplementedError

    def _symbols(self, body: bytes) -> list[VenueSymbol]:
        raise NotImplementedError

    def _candles(self, one: Listed, width_s: int, body: bytes) -> list[Candle]:
        raise NotImplementedError

    # For them:

    def _answer(self, decode: Callable[..., T], *arguments: object) -> T:
        try:
            return decode(*arguments)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise VenueError(str(error) if isinstance(error, VenueError) else f"{self.name}: {error}") from error

    def _known(self, code: str) -> Listed:
        found = self._coded.get(code)
        if found is None:
            raise ValueError(f"symbol {code[:SHOWN]!r} has no Steps")
        return found

    def _error(self, text: str, symbol: str = "") -> Status:
        return Status(symbol, 0, "error", f"{self.name}: {text}")

    def _unknown_symbol(self, text: str, code: str = "") -> Status:
        """The venue does not know a symbol; `code` may be any text that a venue sent."""
        found = self._coded.get(code)
        return Status(found.symbol if found else "", 0, "unknown_symbol", f"{self.name}: {text[:SHOWN]}")

    def _wanted(self, symbols: Sequence[str], channels: Sequence[Channel]) -> list[Listed]:
        for channel in channels:
            if channel not in self.channels:
                raise ValueError(f"{self.name} has no channel {channel.value}")
        return [self.listed(symbol) for symbol in symbols]

    def _width(self, names: Mapping[int, str], width_s: int) -> str:
        found = names.get(width_s)
        if found is None:
            raise ValueError(f"{self.name} has no candles of {width_s} s; it has {sorted(names)}")
        return found


def chunks(items: Sequence[T], size: int) -> Iterable[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def written(message: object) -> str:
    """As a text frame."""
    return msgspec.json.encode(message).decode()


def millis(text: str) -> int:
    """A time that the venue writes as text, in nanoseconds."""
    value = int(text)
    if not 0 <= value <= 10**13:
        raise ValueError(f"time {text[:SHOWN]!r} is out of range")
    return value * NS_PER_MS


def decimal_of(text: str | None) -> Decimal | None:
    """Of a listing; None for what is absent, empty or zero."""
    if not text:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text[:SHOWN]!r} is no number") from None
    if not value.is_finite():
        raise ValueError(f"{text!r} is not finite")
    return value if value > 0 else None


def without_empty(levels: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    return [level for level in levels if level[1]]
