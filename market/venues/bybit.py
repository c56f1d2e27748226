"""Bybit v5, spot and linear: JSON text, one object {topic, type, ts, data}.

Source: the venue's v5 documentation (Websocket Stream > Public: Orderbook, Trade, Kline; Market: Instruments Info,
Orderbook, Kline). `u` of a book rises; that it rises by one is observed, not promised.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Final

import msgspec

from market.venues.adapter import BookRule, Channel, VenueError, VenueSymbol
from market.venues.events import BookDelta, BookSnapshot, Candle, Event, Quote, Status, Steps, Trade
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
    millis,
    without_empty,
    written,
)

ARGS_PER_FRAME: Final = 10
"""Of spot; the linear socket has no such limit and does not mind."""
DEPTH: Final = 50
"""Levels; every 20 ms."""

WIDTHS = {
    60: "1",
    180: "3",
    300: "5",
    900: "15",
    1800: "30",
    3600: "60",
    7200: "120",
    14_400: "240",
    21_600: "360",
    43_200: "720",
    86_400: "D",
}
_SECONDS = {name: seconds for seconds, name in WIDTHS.items()}


class _Trade(msgspec.Struct, rename={"time": "T", "side": "S", "qty": "v", "price": "p", "trade_id": "i"}, gc=False):
    time: Millis
    side: str
    qty: float
    price: float
    trade_id: str


class _Book(msgspec.Struct, rename={"bids": "b", "asks": "a", "update": "u"}, gc=False):
    update: Seq
    bids: FloatPairs
    asks: FloatPairs


class _Kline(msgspec.Struct, gc=False):
    start: Millis
    interval: str
    open: float
    close: float
    high: float
    low: float
    volume: float
    confirm: bool
    timestamp: Millis = 0


class _TradeFrame(msgspec.Struct, gc=False):
    data: list[_Trade]


class _BookFrame(msgspec.Struct, rename={"kind": "type"}, gc=False):
    kind: str
    data: _Book
    ts: Millis = 0
    cts: Millis = 0


class _KlineFrame(msgspec.Struct, gc=False):
    data: list[_Kline]


class _Said(msgspec.Struct):
    topic: str = ""
    op: str = ""
    success: bool = True
    ret_msg: str = ""


class _RestBook(_Book, rename={"time": "ts"}, gc=False):
    time: Millis = 0


class _BookAnswer(msgspec.Struct):
    code: int = msgspec.field(name="retCode")
    message: str = msgspec.field(name="retMsg")
    result: msgspec.Raw


class _KlineResult(msgspec.Struct):
    list: list[tuple[str, str, str, str, str, str, str]]


class _PriceFilter(msgspec.Struct, rename="camel"):
    tick_size: str


class _LotFilter(msgspec.Struct, rename="camel"):
    base_precision: str = ""
    qty_step: str = ""
    min_order_amt: str = ""
    min_notional_value: str = ""


class _Instrument(msgspec.Struct, rename="camel"):
    symbol: str
    base_coin: str
    quote_coin: str
    status: str
    price_filter: _PriceFilter
    lot_size_filter: _LotFilter


class _InstrumentResult(msgspec.Struct):
    list: list[_Instrument]


_trades = lax(_TradeFrame)
_book = lax(_BookFrame)
_klines = lax(_KlineFrame)
_said = msgspec.json.Decoder(_Said).decode
_answer = msgspec.json.Decoder(_BookAnswer).decode
_rest_book = lax(_RestBook)
_rest_klines = msgspec.json.Decoder(_KlineResult).decode
_rest_instruments = msgspec.json.Decoder(_InstrumentResult).decode


def decode_trades(one: Listed, frame: bytes) -> list[Event]:
    ticks, lots, symbol = one.ticks_of, one.lots_of, one.symbol
    return [
        Trade(symbol, said.time * NS_PER_MS, said.trade_id, ticks[said.price], lots[said.qty], _is_sell(said.side))
        for said in _trades(frame).data
    ]


def decode_book(one: Listed, frame: bytes) -> tuple[Event, ...]:
    said = _book(frame)
    data = said.data
    venue_ns = (said.cts or said.ts) * NS_PER_MS
    bids, asks = one.levels_of(data.bids), one.levels_of(data.asks)
    if said.kind == "delta":
        return (BookDelta(one.symbol, venue_ns, bids, asks, data.update, data.update, -1),)
    if said.kind != "snapshot":
        raise ValueError(f"type {said.kind!r}")
    return (BookSnapshot(one.symbol, venue_ns, without_empty(bids), without_empty(asks), data.update),)


def decode_best(one: Listed, frame: bytes) -> tuple[Event, ...]:
    """orderbook.1: always whole, sent again after three quiet seconds."""
    said = _book(frame)
    bids, asks = one.levels_of(said.data.bids), one.levels_of(said.data.asks)
    bid, bid_qty = bids[0] if bids else (0, 0)
    ask, ask_qty = asks[0] if asks else (0, 0)
    return (Quote(one.symbol, (said.cts or said.ts) * NS_PER_MS, bid, bid_qty, ask, ask_qty),)


def decode_klines(one: Listed, frame: bytes) -> list[Event]:
    return [_candle(one, said) for said in _klines(frame).data]


def _candle(one: Listed, said: _Kline) -> Candle:
    width_s = _SECONDS.get(said.interval)
    if width_s is None:
        raise ValueError(f"interval {said.interval!r}")
    ticks = one.ticks_of
    return Candle(
        one.symbol,
        said.timestamp * NS_PER_MS,
        said.start * NS_PER_MS,
        width_s,
        ticks[said.open],
        ticks[said.high],
        ticks[said.low],
        ticks[said.close],
        one.lots_of[said.volume],
        said.confirm,
    )


def _is_sell(side: str) -> bool:
    if side not in ("Buy", "Sell"):
        raise ValueError(f"side {side!r}")
    return side == "Sell"


_Decode = Callable[[Listed, bytes], Sequence[Event]]
DECODERS: dict[str, _Decode] = {
    "publicTrade": decode_trades,
    "orderbook.1": decode_best,
    **{f"orderbook.{depth}": decode_book for depth in (50, 200, 1000)},
    **{"kline." + width: decode_klines for width in _SECONDS},
}
"""By topic without the symbol."""

HEAD = b'{"topic":"'


class BybitSpot(VenueAdapter):
    name: ClassVar[str] = "bybit"
    book_rule: ClassVar[BookRule] = BookRule.RESTARTING
    dials_per_minute: ClassVar[float] = 100.0
    """500 in five minutes and address."""
    WS_URLS: ClassVar[tuple[str, ...]] = ("wss://stream.bybit.com/v5/public/spot",)
    REST_URL: ClassVar[str] = "https://api.bybit.com"
    CATEGORY: ClassVar[str] = "spot"
    TOPICS: ClassVar[dict[Channel, str]] = {
        Channel.TRADE: "publicTrade",
        Channel.QUOTE: "orderbook.1",
        Channel.BOOK: f"orderbook.{DEPTH}",
        Channel.CANDLE: "kline.1",
    }

    def __init__(self, steps: Mapping[str, Steps], *, ws_url: str = "", rest_url: str = "") -> None:
        super().__init__(steps, ws_url=ws_url, rest_url=rest_url)
        self._routes: dict[bytes, tuple[Listed, _Decode]] = {
            f"{topic}.{one.code}".encode(): (one, decode)
            for one in self._listed.values()
            for topic, decode in DECODERS.items()
        }

    def subscribe_frames(self, symbols: Sequence[str], channels: Sequence[Channel]) -> list[str | bytes]:
        return self._requests("subscribe", symbols, channels)

    def unsubscribe_frames(self, symbols: Sequence[str], channels: Sequence[Channel]) -> list[str | bytes]:
        return self._requests("unsubscribe", symbols, channels)

    def _requests(self, op: str, symbols: Sequence[str], channels: Sequence[Channel]) -> list[str | bytes]:
        topics = [
            f"{self.TOPICS[channel]}.{one.code}" for one in self._wanted(symbols, channels) for channel in channels
        ]
        return [written({"op": op, "args": some}) for some in chunks(topics, ARGS_PER_FRAME)]

    def ping_frame(self) -> str | bytes | None:
        return '{"op":"ping"}'

    def _decode(self, frame: bytes) -> Sequence[Event]:
        if frame.startswith(HEAD):
            route = self._routes.get(frame[10 : frame.find(b'"', 10)])
            if route is not None:
                return route[1](route[0], frame)
        return self._decode_other(frame)

    def _decode_other(self, frame: bytes) -> Sequence[Event]:
        said = _said(frame)
        if said.topic:
            route = self._routes.get(said.topic.encode())
            if route is None:
                raise ValueError(f"topic {said.topic!r}")
            return route[1](route[0], frame)
        if said.op in ("ping", "pong"):
            return (Status("", 0, "pong"),)
        if not said.success:
            if said.op == "subscribe":
                return (self._unknown_symbol(said.ret_msg, said.ret_msg.rpartition(".")[2].rstrip("]")),)
            return (self._error(f"{said.op} {said.ret_msg}"),)
        if said.op not in ("subscribe", "unsubscribe"):
            raise ValueError("neither topic nor op")
        return ()

    def snapshot_url(self, symbol: str) -> str:
        return f"{self._rest}/v5/market/orderbook?category={self.CATEGORY}&symbol={self.listed(symbol).code}&limit=200"

    def _snapshot(self, one: Listed, body: bytes) -> BookSnapshot:
        said = _rest_book(self._result(body))
        bids, asks = without_empty(one.levels_of(said.bids)), without_empty(one.levels_of(said.asks))
        return BookSnapshot(one.symbol, said.time * NS_PER_MS, bids, asks, said.update)

    def symbols_url(self) -> str:
        return f"{self._rest}/v5/market/instruments-info?category={self.CATEGORY}&limit=1000"

    def _symbols(self, body: bytes) -> list[VenueSymbol]:
        return [_listing(one) for one in _rest_instruments(self._result(body)).list]

    def candles_url(self, symbol: str, width_s: int, end_ns: int, limit: int) -> str:
        code, width = self.listed(symbol).code, self._width(WIDTHS, width_s)
        end = -(-end_ns // NS_PER_MS) - 1
        return (
            f"{self._rest}/v5/market/kline?category={self.CATEGORY}&symbol={code}&interval={width}&end={end}"
            f"&limit={min(limit, 1000)}"
        )

    def _candles(self, one: Listed, width_s: int, body: bytes) -> list[Candle]:
        ticks, lots = one.ticks, one.lots
        return [
            Candle(
                one.symbol,
                0,
                millis(start),
                width_s,
                ticks[first],
                ticks[high],
                ticks[low],
                ticks[last],
                lots[volume],
                False,
            )
            for start, first, high, low, last, volume, _ in _rest_klines(self._result(body)).list
        ]

    def _result(self, body: bytes) -> msgspec.Raw:
        said = _answer(body)
        if said.code != 0:
            raise VenueError(f"{self.name}: {said.code} {said.message}")
        return said.result


class BybitLinear(BybitSpot):
    name: ClassVar[str] = "bybit_linear"
    WS_URLS: ClassVar[tuple[str, ...]] = ("wss://stream.bybit.com/v5/public/linear",)
    CATEGORY: ClassVar[str] = "linear"


def _listing(one: _Instrument) -> VenueSymbol:
    lot = one.lot_size_filter
    return VenueSymbol(
        one.symbol,
        one.base_coin,
        one.quote_coin,
        decimal_of(one.price_filter.tick_size),
        decimal_of(lot.base_precision or lot.qty_step),
        decimal_of(lot.min_order_amt or lot.min_notional_value),
        one.status,
        one.status == "Trading",
    )
