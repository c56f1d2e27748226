"""Upbit, Korea: binary frames of UTF-8 JSON, one object a message, numbers as JSON numbers (1.16539E8).

Source: the venue's developer centre (WebSocket: usage, trade, orderbook, candle; Quotation API). Every book frame is
the whole book, best first, padded with zeros, on a grid of 100 ms, unnumbered. A second request replaces the first, a
symbol that does not exist is silent. The handshake must carry no Origin header: with one, a tenth of the rate.

Bithumb's v1 socket speaks the same language (`market.venues.bithumb`).
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final, Protocol

import msgspec

from market.venues.adapter import BookRule, Channel, VenueError, VenueSymbol
from market.venues.events import BookSnapshot, Candle, Event, Quote, Status, Trade
from market.venues.numbers import Listed
from market.venues.wire import NS_PER_S, SHOWN, Micros, Millis, VenueAdapter, without_empty, written

TICKET: Final = "raypit"
"""Names the connection to the venue's support; need not differ."""
MICROS_FROM: Final = 10**14
"""Times from here on are microseconds: Bithumb's books have them, its trades have milliseconds."""

MINUTES = {60: 1, 180: 3, 300: 5, 600: 10, 900: 15, 1800: 30, 3600: 60, 14_400: 240}
WIDTHS = {1: "1s", **{seconds: f"{minutes}m" for seconds, minutes in MINUTES.items()}}

# DEFAULT and SIMPLE are two spellings of one message, told apart by the name of the tag: type, ty.


class _Unit(
    msgspec.Struct,
    rename={"ask": "ask_price", "ask_qty": "ask_size", "bid": "bid_price", "bid_qty": "bid_size"},
    gc=False,
):
    ask: float
    ask_qty: float
    bid: float
    bid_qty: float


class _UnitShort(msgspec.Struct, rename={"ask": "ap", "ask_qty": "as", "bid": "bp", "bid_qty": "bs"}, gc=False):
    ask: float
    ask_qty: float
    bid: float
    bid_qty: float


class _Book(
    msgspec.Struct,
    tag_field="type",
    tag="orderbook",
    rename={"time": "timestamp", "units": "orderbook_units"},
    gc=False,
):
    code: str
    units: list[_Unit]
    time: Micros = 0


class _BookShort(
    msgspec.Struct,
    tag_field="ty",
    tag="orderbook",
    rename={"code": "cd", "time": "tms", "units": "obu"},
    gc=False,
):
    code: str
    units: list[_UnitShort]
    time: Micros = 0


class _Trade(
    msgspec.Struct,
    tag_field="type",
    tag="trade",
    rename={
        "time": "trade_timestamp",
        "price": "trade_price",
        "qty": "trade_volume",
        "side": "ask_bid",
        "trade_id": "sequential_id",
    },
    gc=False,
):
    code: str
    time: Millis
    price: float
    qty: float
    side: str
    trade_id: int | str


class _TradeShort(
    msgspec.Struct,
    tag_field="ty",
    tag="trade",
    rename={"code": "cd", "time": "ttms", "price": "tp", "qty": "tv", "side": "ab", "trade_id": "sid"},
    gc=False,
):
    code: str
    time: Millis
    price: float
    qty: float
    side: str
    trade_id: int | str


class _Ticker(msgspec.Struct, tag_field="type", tag="ticker", gc=False):
    """Not asked for."""


class _TickerShort(msgspec.Struct, tag_field="ty", tag="ticker", gc=False):
    """Not asked for."""


class _Candle(Protocol):
    code: str
    opened: str
    open: float
    high: float
    low: float
    close: float
    volume: float
    time: int


_CANDLE_FIELDS: Final[list[Any]] = [
    ("code", str),
    ("opened", str),
    ("open", float),
    ("high", float),
    ("low", float),
    ("close", float),
    ("volume", float),
    ("time", Millis, 0),
]
_CANDLE_NAMES = {
    "opened": "candle_date_time_utc",
    "open": "opening_price",
    "high": "high_price",
    "low": "low_price",
    "close": "trade_price",
    "volume": "candle_acc_trade_volume",
    "time": "timestamp",
}
_CANDLE_SHORT_NAMES = {
    "code": "cd",
    "opened": "cdttmu",
    "open": "op",
    "high": "hp",
    "low": "lp",
    "close": "tp",
    "volume": "catv",
    "time": "tms",
}


def _candle_type(name: str, names: Mapping[str, str], **tag: str) -> type[msgspec.Struct]:
    return msgspec.defstruct(name, _CANDLE_FIELDS, rename=names, gc=False, **tag)  # type: ignore[arg-type]


def _candle_types(field: str, names: Mapping[str, str]) -> dict[type[msgspec.Struct], int]:
    """A type per width: the tag is all that tells them apart."""
    return {
        _candle_type(f"_Candle_{field}_{name}", names, tag_field=field, tag=f"candle.{name}"): seconds
        for seconds, name in WIDTHS.items()
    }


_RestCandle: Any = _candle_type("_RestCandle", {**_CANDLE_NAMES, "code": "market"})
_CANDLES = _candle_types("type", _CANDLE_NAMES)
_CANDLES_SHORT = _candle_types("ty", _CANDLE_SHORT_NAMES)
_WIDTH_OF: dict[type[Any], int] = {**_CANDLES, **_CANDLES_SHORT}


def _union(*types: type[Any]) -> Any:
    united: Any = types[0]
    for one in types[1:]:
        united = united | one
    return united


class _Refusal(msgspec.Struct):
    name: str | int = ""
    message: str = ""


class _Said(msgspec.Struct):
    status: str = ""
    error: _Refusal | None = None
    type: str = ""
    ty: str = ""


class _RestBook(msgspec.Struct, rename={"time": "timestamp", "units": "orderbook_units"}):
    units: list[_Unit]
    time: Micros = 0


class _Warning(msgspec.Struct):
    warning: bool = False


class _Market(msgspec.Struct):
    market: str
    market_event: _Warning | None = None
    market_warning: str = "NONE"


_long = msgspec.json.Decoder(_union(_Book, _Trade, _Ticker, *_CANDLES)).decode
_short = msgspec.json.Decoder(_union(_BookShort, _TradeShort, _TickerShort, *_CANDLES_SHORT)).decode
_said = msgspec.json.Decoder(_Said).decode
_rest_books = msgspec.json.Decoder(list[_RestBook]).decode
_rest_candles = msgspec.json.Decoder(list[_RestCandle]).decode
_markets = msgspec.json.Decoder(list[_Market]).decode

LONG_HEAD, SHORT_HEAD = b'{"type":', b'{"ty":'


class Upbit(VenueAdapter):
    name: ClassVar[str] = "upbit"
    book_rule: ClassVar[BookRule] = BookRule.WHOLE
    ping_every_s: ClassVar[float] = 20.0
    """Silent connections are closed after 60 s (120 by the documents)."""
    dials_per_minute: ClassVar[float] = 60.0
    """5 a second and address."""
    WS_URLS: ClassVar[tuple[str, ...]] = ("wss://api.upbit.com/websocket/v1",)
    REST_URL: ClassVar[str] = "https://api.upbit.com"
    FORMAT: ClassVar[str] = "SIMPLE"
    ONLY_REALTIME: ClassVar[str] = "is_only_realtime"
    CANDLES_UNTIL: ClassVar[timedelta] = timedelta(0)
    """The zone of the candle request's `to`."""

    @staticmethod
    def code_of(base: str, quote: str) -> str:
        return f"{quote}-{base}"

    def subscribe_frames(self, symbols: Sequence[str], channels: Sequence[Channel]) -> list[str | bytes]:
        codes = [one.code for one in self._wanted(symbols, channels)]
        if not codes or not channels:
            return []
        wanted: list[dict[str, Any]] = [{"ticket": TICKET}]
        if Channel.TRADE in channels:  # without the last trade again, which was told before
            wanted.append({"type": "trade", "codes": codes, self.ONLY_REALTIME: True})
        if Channel.BOOK in channels or Channel.QUOTE in channels:
            wanted.append({"type": "orderbook", "codes": codes})
        if Channel.CANDLE in channels:
            wanted.append({"type": "candle.1m", "codes": codes})
        return [written([*wanted, {"format": self.FORMAT}])]

    def ping_frame(self) -> str | bytes | None:
        return "PING"

    def _decode(self, frame: bytes) -> Sequence[Event]:
        if frame.startswith(SHORT_HEAD):
            said = _short(frame)
        elif frame.startswith(LONG_HEAD):
            said = _long(frame)
        else:
            return self._decode_other(frame)
        kind = type(said)
        if kind is _Book or kind is _BookShort:
            return _book(self._known(said.code), said.units, said.time)
        if kind is _Trade or kind is _TradeShort:
            return (_trade(self._known(said.code), said),)
        if kind is _Ticker or kind is _TickerShort:
            return ()
        return (_candle(self._known(said.code), said, _WIDTH_OF[kind]),)

    def _decode_other(self, frame: bytes) -> Sequence[Event]:
        said = _said(frame)
        if said.type or said.ty:  # the tag stands elsewhere
            tagged: Any = _long(frame) if said.type else _short(frame)
            return self._decode(msgspec.json.encode(tagged))
        if said.error is not None:
            return (self._error(f"{said.error.name} {said.error.message}"[:SHOWN]),)
        if said.status:
            return (Status("", 0, "pong"),)
        raise ValueError("neither type nor status")

    def snapshot_url(self, symbol: str) -> str:
        return f"{self._rest}/v1/orderbook?markets={self.listed(symbol).code}"

    def _snapshot(self, one: Listed, body: bytes) -> BookSnapshot:
        self._refused(body)
        said = _rest_books(body)
        if len(said) != 1:
            raise VenueError(f"{self.name}: {len(said)} books")
        book = _book(one, said[0].units, said[0].time)[1]
        assert isinstance(book, BookSnapshot)
        return book

    def symbols_url(self) -> str:
        return f"{self._rest}/v1/market/all?is_details=true"

    def _symbols(self, body: bytes) -> list[VenueSymbol]:
        """No tick, lot, minimum or state is told: what is listed trades."""
        self._refused(body)
        found = []
        for one in _markets(body):
            quote, _, base = one.market.partition("-")
            warned = one.market_event.warning if one.market_event else one.market_warning != "NONE"
            found.append(VenueSymbol(one.market, base, quote, None, None, None, "WARNING" if warned else "", True))
        return found

    def candles_url(self, symbol: str, width_s: int, end_ns: int, limit: int) -> str:
        code = self.listed(symbol).code
        path = "seconds" if width_s == 1 else f"minutes/{MINUTES[self._checked(width_s)]}"
        until = datetime.fromtimestamp(-(-end_ns // NS_PER_S), UTC) + self.CANDLES_UNTIL
        return f"{self._rest}/v1/candles/{path}?market={code}&to={self._until(until)}&count={min(limit, 200)}"

    def _checked(self, width_s: int) -> int:
        self._width(WIDTHS, width_s)
        return width_s

    @staticmethod
    def _until(time: datetime) -> str:
        return f"{time:%Y-%m-%dT%H:%M:%S}Z"

    def _candles(self, one: Listed, width_s: int, body: bytes) -> list[Candle]:
        self._refused(body)
        return [_candle(one, said, width_s) for said in _rest_candles(body)]

    def _refused(self, body: bytes) -> None:
        """Some refusals come as HTTP 200."""
        if body.lstrip()[:1] == b"{":
            error = _said(body).error
            raise VenueError(f"{self.name}: {error.name} {error.message}" if error else f"{self.name}: no list")


def _book(one: Listed, units: Sequence[_Unit | _UnitShort], time: int) -> tuple[Event, ...]:
    """Best bid and ask, and the book; zero padding and quantities below the smallest told (zero) are dropped."""
    bids = without_empty(one.levels_of([(unit.bid, unit.bid_qty) for unit in units]))
    asks = without_empty(one.levels_of([(unit.ask, unit.ask_qty) for unit in units]))
    bids.sort(reverse=True)
    asks.sort()
    venue_ns = time * (1_000 if time >= MICROS_FROM else 1_000_000)
    bid, bid_qty = bids[0] if bids else (0, 0)
    ask, ask_qty = asks[0] if asks else (0, 0)
    return (
        Quote(one.symbol, venue_ns, bid, bid_qty, ask, ask_qty),
        BookSnapshot(one.symbol, venue_ns, bids, asks, 0),
    )


def _trade(one: Listed, said: _Trade | _TradeShort) -> Trade:
    if said.side not in ("ASK", "BID"):
        raise ValueError(f"ask_bid {said.side!r}")
    return Trade(
        one.symbol,
        said.time * 1_000_000,
        str(said.trade_id),
        one.ticks_of[said.price],
        one.lots_of[said.qty],
        said.side == "ASK",
    )


def _candle(one: Listed, said: _Candle, width_s: int) -> Candle:
    ticks = one.ticks_of
    opened = datetime.fromisoformat(said.opened).replace(tzinfo=UTC)
    return Candle(
        one.symbol,
        said.time * 1_000_000,
        int(opened.timestamp()) * NS_PER_S,
        width_s,
        ticks[said.open],
        ticks[said.high],
        ticks[said.low],
        ticks[said.close],
        one.lots_of[said.volume],
        False,
    )
