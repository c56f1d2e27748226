"""Binance Spot and USD-M futures, combined streams of JSON text.

Source: the venue's documents "WebSocket Streams" (spot: How to manage a local order book correctly; USD-M: How to
manage a local order book correctly, Websocket Market Streams). Since 2026-04-23 the futures part their streams between
/public (books, best bid and ask) and /market (trades, candles): two adapters, two connections.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import msgspec

from market.venues.adapter import BookRule, Channel, VenueSymbol
from market.venues.events import BookDelta, BookSnapshot, Candle, Event, Quote, Steps, Trade
from market.venues.numbers import Listed
from market.venues.wire import (
    NS_PER_MS,
    FloatPairs,
    Millis,
    Seq,
    VenueAdapter,
    chunks,
    decimal_of,
    lax,
    without_empty,
    written,
)

STREAMS_PER_FRAME = 200
"""Five frames a second may come in; a connection holds 1,024 streams."""

WIDTHS = {
    1: "1s",
    60: "1m",
    180: "3m",
    300: "5m",
    900: "15m",
    1800: "30m",
    3600: "1h",
    7200: "2h",
    14_400: "4h",
    21_600: "6h",
    28_800: "8h",
    43_200: "12h",
    86_400: "1d",
}
_SECONDS = {name: seconds for seconds, name in WIDTHS.items()}


class _Trade(msgspec.Struct, rename={"trade_id": "t", "price": "p", "qty": "q", "time": "T", "maker": "m"}, gc=False):
    trade_id: int
    price: float
    qty: float
    time: Millis
    maker: bool


class _AggTrade(
    msgspec.Struct, rename={"trade_id": "a", "price": "p", "qty": "q", "time": "T", "maker": "m"}, gc=False
):
    trade_id: int
    price: float
    qty: float
    time: Millis
    maker: bool


class _Ticker(
    msgspec.Struct,
    rename={"bid": "b", "bid_qty": "B", "ask": "a", "ask_qty": "A", "time": "T", "update": "u"},
    gc=False,
):
    bid: float
    bid_qty: float
    ask: float
    ask_qty: float
    time: Millis = 0
    update: Seq = 0


class _Depth(
    msgspec.Struct,
    rename={"event_time": "E", "time": "T", "first": "U", "last": "u", "previous": "pu", "bids": "b", "asks": "a"},
    gc=False,
):
    event_time: Millis
    first: Seq
    last: Seq
    bids: FloatPairs
    asks: FloatPairs
    previous: Seq = -1
    time: Millis = 0


class _Kline(
    msgspec.Struct,
    rename={
        "opened": "t",
        "width": "i",
        "open": "o",
        "high": "h",
        "low": "l",
        "close": "c",
        "volume": "v",
        "closed": "x",
    },
    gc=False,
):
    opened: Millis
    width: str
    open: float
    high: float
    low: float
    close: float
    volume: float
    closed: bool


class _KlineEvent(msgspec.Struct, rename={"event_time": "E", "kline": "k"}, gc=False):
    event_time: Millis
    kline: _Kline


class _TradeFrame(msgspec.Struct, gc=False):
    data: _Trade


class _AggTradeFrame(msgspec.Struct, gc=False):
    data: _AggTrade


class _TickerFrame(msgspec.Struct, gc=False):
    data: _Ticker


class _DepthFrame(msgspec.Struct, gc=False):
    data: _Depth


class _KlineFrame(msgspec.Struct, gc=False):
    data: _KlineEvent


class _Said(msgspec.Struct):
    """Anything else on the socket."""

    stream: str = ""
    id: int | str | None = None
    error: msgspec.Raw = msgspec.Raw()
    code: int = 0
    msg: str = ""


class _Snapshot(msgspec.Struct):
    last_update_id: Seq = msgspec.field(name="lastUpdateId")
    bids: FloatPairs
    asks: FloatPairs
    time: Millis = msgspec.field(name="T", default=0)


class _Filter(msgspec.Struct, rename="camel"):
    filter_type: str
    tick_size: str | None = None
    step_size: str | None = None
    min_notional: str | None = None
    notional: str | None = None


class _Symbol(msgspec.Struct, rename="camel"):
    symbol: str
    status: str
    base_asset: str
    quote_asset: str
    filters: list[_Filter]
    contract_type: str = "PERPETUAL"


class _ExchangeInfo(msgspec.Struct):
    symbols: list[_Symbol]


_trade = lax(_TradeFrame)
_agg_trade = lax(_AggTradeFrame)
_ticker = lax(_TickerFrame)
_depth = lax(_DepthFrame)
_kline = lax(_KlineFrame)
_said = msgspec.json.Decoder(_Said).decode
_snapshot = lax(_Snapshot)
_exchange_info = msgspec.json.Decoder(_ExchangeInfo).decode
_klines = msgspec.json.Decoder(
    list[tuple[Millis, str, str, str, str, str, Millis, str, int, str, str, msgspec.Raw]]
).decode


def decode_trade(one: Listed, frame: bytes) -> tuple[Event, ...]:
    return (_trade_of(one, _trade(frame).data),)


def decode_agg_trade(one: Listed, frame: bytes) -> tuple[Event, ...]:
    return (_trade_of(one, _agg_trade(frame).data),)


def _trade_of(one: Listed, said: _Trade | _AggTrade) -> Trade:
    ticks, lots = one.ticks_of, one.lots_of
    return Trade(one.symbol, said.time * NS_PER_MS, str(said.trade_id), ticks[said.price], lots[said.qty], said.maker)


def decode_ticker(one: Listed, frame: bytes) -> tuple[Event, ...]:
    said = _ticker(frame).data
    ticks, lots = one.ticks_of, one.lots_of
    return (
        Quote(
            one.symbol,
            said.time * NS_PER_MS,
            ticks[said.bid],
            lots[said.bid_qty],
            ticks[said.ask],
            lots[said.ask_qty],
            max(0, said.update),
        ),
    )


def decode_depth(one: Listed, frame: bytes) -> tuple[Event, ...]:
    said = _depth(frame).data
    return (
        BookDelta(
            one.symbol,
            (said.time or said.event_time) * NS_PER_MS,
            one.levels_of(said.bids),
            one.levels_of(said.asks),
            said.first,
            said.last,
            said.previous,
        ),
    )


def decode_kline(one: Listed, frame: bytes) -> tuple[Event, ...]:
    said = _kline(frame).data
    kline = said.kline
    width_s = _SECONDS.get(kline.width)
    if width_s is None:
        raise ValueError(f"candle width {kline.width!r}")
    ticks = one.ticks_of
    return (
        Candle(
            one.symbol,
            said.event_time * NS_PER_MS,
            kline.opened * NS_PER_MS,
            width_s,
            ticks[kline.open],
            ticks[kline.high],
            ticks[kline.low],
            ticks[kline.close],
            one.lots_of[kline.volume],
            kline.closed,
        ),
    )


_Decode = Callable[[Listed, bytes], tuple[Event, ...]]
DECODERS: dict[str, _Decode] = {
    "trade": decode_trade,
    "aggTrade": decode_agg_trade,
    "bookTicker": decode_ticker,
    **{"depth" + speed: decode_depth for speed in ("", "@100ms", "@0ms", "@250ms", "@500ms", "@1000ms")},
    **{"kline_" + width: decode_kline for width in _SECONDS},
}
"""By the stream's name after the symbol."""

HEAD = b'{"stream":"'


class BinanceSpot(VenueAdapter):
    name: ClassVar[str] = "binance"
    book_rule: ClassVar[BookRule] = BookRule.REST_NEXT
    max_life_s: ClassVar[float] = 24 * 3600.0
    dials_per_minute: ClassVar[float] = 60.0
    """300 in five minutes and address."""
    needs_snapshot: ClassVar[bool] = True
    WS_URLS: ClassVar[tuple[str, ...]] = (
        "wss://stream.binance.com:9443/stream",
        "wss://data-stream.binance.vision/stream",
    )
    REST_URL: ClassVar[str] = "https://api.binance.com"
    API: ClassVar[str] = "/api/v3"
    STREAMS: ClassVar[dict[Channel, str]] = {
        Channel.TRADE: "trade",
        Channel.QUOTE: "bookTicker",
        Channel.BOOK: "depth@100ms",
        Channel.CANDLE: "kline_1m",
    }

    def __init__(self, steps: Mapping[str, Steps], *, ws_url: str = "", rest_url: str = "") -> None:
        super().__init__(steps, ws_url=ws_url, rest_url=rest_url)
        self._routes: dict[bytes, tuple[Listed, _Decode]] = {
            f"{one.code.lower()}@{stream}".encode(): (one, decode)
            for one in self._listed.values()
            for stream, decode in DECODERS.items()
        }

    def subscribe_frames(self, symbols: Sequence[str], channels: Sequence[Channel]) -> list[str | bytes]:
        return self._requests("SUBSCRIBE", symbols, channels)

    def unsubscribe_frames(self, symbols: Sequence[str], channels: Sequence[Channel]) -> list[str | bytes]:
        return self._requests("UNSUBSCRIBE", symbols, channels)

    def _requests(self, method: str, symbols: Sequence[str], channels: Sequence[Channel]) -> list[str | bytes]:
        streams = [
            f"{one.code.lower()}@{self.STREAMS[channel]}"
            for one in self._wanted(symbols, channels)
            for channel in channels
        ]
        return [
            written({"method": method, "params": some, "id": number})
            for number, some in enumerate(chunks(streams, STREAMS_PER_FRAME), 1)
        ]

    def _decode(self, frame: bytes) -> Sequence[Event]:
        if frame.startswith(HEAD):
            route = self._routes.get(frame[11 : frame.find(b'"', 11)])
            if route is not None:
                return route[1](route[0], frame)
        return self._decode_other(frame)

    def _decode_other(self, frame: bytes) -> Sequence[Event]:
        """Answers to requests, and market events in an unusual layout."""
        said = _said(frame)
        if said.stream:
            route = self._routes.get(said.stream.encode())
            if route is None:
                raise ValueError(f"stream {said.stream!r}")
            return route[1](route[0], frame)
        if bytes(said.error) not in (b"", b"null"):
            return (self._error(bytes(said.error).decode()),)
        if said.code or said.msg:
            return (self._error(f"code {said.code} {said.msg}"),)
        if said.id is None:
            raise ValueError("neither stream nor id")
        return ()

    def snapshot_url(self, symbol: str) -> str:
        return f"{self._rest}{self.API}/depth?symbol={self.listed(symbol).code}&limit=1000"

    def _snapshot(self, one: Listed, body: bytes) -> BookSnapshot:
        said = _snapshot(body)
        bids, asks = without_empty(one.levels_of(said.bids)), without_empty(one.levels_of(said.asks))
        return BookSnapshot(one.symbol, said.time * NS_PER_MS, bids, asks, said.last_update_id)

    def symbols_url(self) -> str:
        return f"{self._rest}{self.API}/exchangeInfo"

    def _symbols(self, body: bytes) -> list[VenueSymbol]:
        return [_listing(one) for one in _exchange_info(body).symbols if one.contract_type == "PERPETUAL"]

    def candles_url(self, symbol: str, width_s: int, end_ns: int, limit: int) -> str:
        code, width = self.listed(symbol).code, self._width(WIDTHS, width_s)
        end = -(-end_ns // NS_PER_MS) - 1
        return f"{self._rest}{self.API}/klines?symbol={code}&interval={width}&endTime={end}&limit={limit}"

    def _candles(self, one: Listed, width_s: int, body: bytes) -> list[Candle]:
        ticks, lots = one.ticks, one.lots
        return [
            Candle(
                one.symbol,
                0,
                opened * NS_PER_MS,
                width_s,
                ticks[first],
                ticks[high],
                ticks[low],
                ticks[last],
                lots[volume],
                False,
            )
            for opened, first, high, low, last, volume, *_ in _klines(body)
        ]


class BinanceUsdm(BinanceSpot):
    """Books and best bid and ask of the futures."""

    name: ClassVar[str] = "binance_usdm"
    channels: ClassVar[frozenset[Channel]] = frozenset({Channel.QUOTE, Channel.BOOK})
    book_rule: ClassVar[BookRule] = BookRule.REST_PREVIOUS
    WS_URLS: ClassVar[tuple[str, ...]] = ("wss://fstream.binance.com/public/stream",)
    REST_URL: ClassVar[str] = "https://fapi.binance.com"
    API: ClassVar[str] = "/fapi/v1"


class BinanceUsdmMarket(BinanceUsdm):
    """Trades (aggregated: the futures document no others) and candles of the futures."""

    name: ClassVar[str] = "binance_usdm_market"
    channels: ClassVar[frozenset[Channel]] = frozenset({Channel.TRADE, Channel.CANDLE})
    needs_snapshot: ClassVar[bool] = False
    WS_URLS: ClassVar[tuple[str, ...]] = ("wss://fstream.binance.com/market/stream",)
    STREAMS: ClassVar[dict[Channel, str]] = {Channel.TRADE: "aggTrade", Channel.CANDLE: "kline_1m"}


def _listing(one: _Symbol) -> VenueSymbol:
    filters = {each.filter_type: each for each in one.filters}
    price, lot = filters.get("PRICE_FILTER"), filters.get("LOT_SIZE")
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL")
    return VenueSymbol(
        one.symbol,
        one.base_asset,
        one.quote_asset,
        decimal_of(price.tick_size) if price else None,
        decimal_of(lot.step_size) if lot else None,
        decimal_of(notional.min_notional or notional.notional) if notional else None,
        one.status,
        one.status == "TRADING",
    )
