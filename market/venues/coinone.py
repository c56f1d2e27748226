"""Coinone, public socket: JSON text, one object {response_type, channel, data}.

Source: the venue's documents (Public WebSocket: ORDERBOOK, TRADE, CHART, PING; Public API v2) and probes of 2026-09.
Every book frame is the whole book of 16 levels; its asks come worst first; its id rises. The time of the first frame
is ten seconds old. A symbol that does not exist is acknowledged and then refused in a frame that does not name it.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar

import msgspec

from market.venues.adapter import BookRule, Channel, VenueError, VenueSymbol
from market.venues.events import BookSnapshot, Candle, Event, Quote, Status, Trade
from market.venues.numbers import Listed
from market.venues.wire import NS_PER_MS, SHOWN, Millis, VenueAdapter, decimal_of, written

WIDTHS = {
    60: "1m",
    180: "3m",
    300: "5m",
    900: "15m",
    1800: "30m",
    3600: "1h",
    7200: "2h",
    14_400: "4h",
    21_600: "6h",
    86_400: "1d",
}
_SECONDS = {name: seconds for seconds, name in WIDTHS.items()}

UNKNOWN_SYMBOL = 160_012

# DEFAULT is asked for; SHORT, the same with other names, is read too.


class _Level(msgspec.Struct, gc=False):
    price: str
    qty: str


class _LevelShort(msgspec.Struct, rename={"price": "p", "qty": "q"}, gc=False):
    price: str
    qty: str


class _Book(msgspec.Struct, rename={"quote": "quote_currency", "base": "target_currency"}, gc=False):
    quote: str
    base: str
    timestamp: Millis
    id: str
    asks: list[_Level]
    bids: list[_Level]


class _BookShort(
    msgspec.Struct,
    rename={"quote": "qc", "base": "tc", "timestamp": "t", "id": "i", "asks": "a", "bids": "b"},
    gc=False,
):
    quote: str
    base: str
    timestamp: Millis
    id: str
    asks: list[_LevelShort]
    bids: list[_LevelShort]


class _Trade(
    msgspec.Struct,
    rename={"quote": "quote_currency", "base": "target_currency", "seller_maker": "is_seller_maker"},
    gc=False,
):
    quote: str
    base: str
    id: str
    timestamp: Millis
    price: str
    qty: str
    seller_maker: bool


class _Chart(
    msgspec.Struct,
    rename={"quote": "quote_currency", "base": "target_currency", "opened": "candle_timestamp"},
    gc=False,
):
    quote: str
    base: str
    interval: str
    timestamp: Millis
    opened: Millis
    first: str
    high: str
    low: str
    last: str


class _BookFrame(msgspec.Struct, gc=False):
    data: _Book


class _BookShortFrame(msgspec.Struct, rename={"data": "d"}, gc=False):
    data: _BookShort


class _TradeFrame(msgspec.Struct, gc=False):
    data: _Trade


class _ChartFrame(msgspec.Struct, gc=False):
    data: _Chart


class _Said(msgspec.Struct):
    response_type: str = ""
    channel: str = ""
    error_code: int = 0
    message: str = ""
    r: str = ""
    c: str = ""


class _RestBook(msgspec.Struct):
    result: str
    error_msg: str = ""
    timestamp: Millis = 0
    id: str = "0"
    asks: list[_Level] = []
    bids: list[_Level] = []


class _Market(msgspec.Struct):
    quote_currency: str
    target_currency: str
    trade_status: int
    maintenance_status: int
    price_unit: str = ""
    qty_unit: str = ""
    min_order_amount: str = ""


class _RestMarkets(msgspec.Struct):
    result: str
    error_msg: str = ""
    markets: list[_Market] = []


class _RestCandle(msgspec.Struct):
    timestamp: Millis
    open: str
    high: str
    low: str
    close: str
    target_volume: str


class _RestChart(msgspec.Struct):
    result: str
    error_msg: str = ""
    chart: list[_RestCandle] = []


_book = msgspec.json.Decoder(_BookFrame).decode
_book_short = msgspec.json.Decoder(_BookShortFrame).decode
_trade = msgspec.json.Decoder(_TradeFrame).decode
_chart = msgspec.json.Decoder(_ChartFrame).decode
_said = msgspec.json.Decoder(_Said).decode
_rest_book = msgspec.json.Decoder(_RestBook).decode
_rest_markets = msgspec.json.Decoder(_RestMarkets).decode
_rest_chart = msgspec.json.Decoder(_RestChart).decode

_Known = Callable[[str], Listed]


def decode_book(known: _Known, frame: bytes) -> tuple[Event, ...]:
    said = _book(frame).data
    return _book_events(known(f"{said.quote}-{said.base}"), said)


def decode_book_short(known: _Known, frame: bytes) -> tuple[Event, ...]:
    said = _book_short(frame).data
    return _book_events(known(f"{said.quote}-{said.base}"), said)


def _book_events(one: Listed, said: _Book | _BookShort) -> tuple[Event, ...]:
    book = _snapshot(one, said.bids, said.asks, said.timestamp, said.id)
    bid, bid_qty = book.bids[0] if book.bids else (0, 0)
    ask, ask_qty = book.asks[0] if book.asks else (0, 0)
    return (Quote(one.symbol, book.venue_ns, bid, bid_qty, ask, ask_qty), book)


def _snapshot(
    one: Listed,
    bid_levels: Sequence[_Level | _LevelShort],
    ask_levels: Sequence[_Level | _LevelShort],
    timestamp: int,
    seq: str,
) -> BookSnapshot:
    ticks, lots = one.ticks, one.lots
    bids = [(ticks[level.price], qty) for level in bid_levels if (qty := lots[level.qty])]
    asks = [(ticks[level.price], qty) for level in ask_levels if (qty := lots[level.qty])]
    bids.sort(reverse=True)
    asks.sort()
    number = int(seq)
    if not 0 <= number < 1 << 63:
        raise ValueError(f"id {seq[:SHOWN]!r} is out of range")
    return BookSnapshot(one.symbol, timestamp * NS_PER_MS, bids, asks, number)


def decode_trade(known: _Known, frame: bytes) -> tuple[Event, ...]:
    said = _trade(frame).data
    one = known(f"{said.quote}-{said.base}")
    price, qty = one.ticks[said.price], one.lots[said.qty]
    return (Trade(one.symbol, said.timestamp * NS_PER_MS, said.id, price, qty, not said.seller_maker),)


def decode_chart(known: _Known, frame: bytes) -> tuple[Event, ...]:
    """Volume 0: the volumes of this channel are of 24 hours, by its documentation."""
    said = _chart(frame).data
    width_s = _SECONDS.get(said.interval)
    if width_s is None:
        raise ValueError(f"interval {said.interval!r}")
    one = known(f"{said.quote}-{said.base}")
    ticks = one.ticks
    return (
        Candle(
            one.symbol,
            said.timestamp * NS_PER_MS,
            said.opened * NS_PER_MS,
            width_s,
            ticks[said.first],
            ticks[said.high],
            ticks[said.low],
            ticks[said.last],
            0,
            False,
        ),
    )


def decode_nothing(known: _Known, frame: bytes) -> tuple[Event, ...]:
    return ()


_Decode = Callable[[_Known, bytes], tuple[Event, ...]]
DECODERS: dict[str, _Decode] = {
    "ORDERBOOK": decode_book,
    "TRADE": decode_trade,
    "CHART": decode_chart,
    "TICKER": decode_nothing,  # sent on trades only: its best bid and ask are old
}
SHORT_DECODERS: dict[str, _Decode] = {"ORDERBOOK": decode_book_short}

_HEADS: dict[bytes, _Decode] = {
    **{f'{{"response_type":"DATA","channel":"{name}"'.encode(): decode for name, decode in DECODERS.items()},
    **{f'{{"r":"DATA","c":"{name}"'.encode(): decode for name, decode in SHORT_DECODERS.items()},
}


class Coinone(VenueAdapter):
    name: ClassVar[str] = "coinone"
    book_rule: ClassVar[BookRule] = BookRule.WHOLE
    dials_per_minute: ClassVar[float] = 20.0
    """20 connections at once and address."""
    WS_URLS: ClassVar[tuple[str, ...]] = ("wss://stream.coinone.co.kr",)
    REST_URL: ClassVar[str] = "https://api.coinone.co.kr"
    NAMES: ClassVar[dict[Channel, str]] = {
        Channel.TRADE: "TRADE",
        Channel.QUOTE: "ORDERBOOK",
        Channel.BOOK: "ORDERBOOK",
        Channel.CANDLE: "CHART",
    }

    @staticmethod
    def code_of(base: str, quote: str) -> str:
        """Ours: the venue names the two in two fields."""
        return f"{quote}-{base}"

    def subscribe_frames(self, symbols: Sequence[str], channels: Sequence[Channel]) -> list[str | bytes]:
        return self._requests("SUBSCRIBE", symbols, channels)

    def unsubscribe_frames(self, symbols: Sequence[str], channels: Sequence[Channel]) -> list[str | bytes]:
        return self._requests("UNSUBSCRIBE", symbols, channels)

    def _requests(self, kind: str, symbols: Sequence[str], channels: Sequence[Channel]) -> list[str | bytes]:
        listed = self._wanted(symbols, channels)
        names = dict.fromkeys(self.NAMES[channel] for channel in channels)
        return [
            written({"request_type": kind, "channel": name, "topic": self._topic(one, name)})
            for one in listed
            for name in names
        ]

    @staticmethod
    def _topic(one: Listed, name: str) -> dict[str, str]:
        quote, _, base = one.code.partition("-")
        topic = {"quote_currency": quote, "target_currency": base}
        return {**topic, "interval": "1m"} if name == "CHART" else topic

    def ping_frame(self) -> str | bytes | None:
        return '{"request_type":"PING"}'

    def _decode(self, frame: bytes) -> Sequence[Event]:
        decode = _HEADS.get(frame[: frame.find(b",", 25 if frame.startswith(b'{"resp') else 12)])
        if decode is not None:
            return decode(self._known, frame)
        return self._decode_other(frame)

    def _decode_other(self, frame: bytes) -> Sequence[Event]:
        said = _said(frame)
        kind = said.response_type or said.r
        if kind == "DATA":
            decode = DECODERS.get(said.channel) or SHORT_DECODERS.get(said.c)
            if decode is None:
                raise ValueError(f"channel {said.channel or said.c!r}")
            return decode(self._known, frame)
        if kind == "PONG":
            return (Status("", 0, "pong"),)
        if kind == "ERROR":
            text = f"{said.error_code} {said.message}"[:SHOWN]
            return (self._unknown_symbol(text) if said.error_code == UNKNOWN_SYMBOL else self._error(text),)
        if kind not in ("CONNECTED", "SUBSCRIBED", "UNSUBSCRIBED"):
            raise ValueError(f"response_type {kind!r}")
        return ()

    def snapshot_url(self, symbol: str) -> str:
        return f"{self._rest}/public/v2/orderbook/{self._path(symbol)}?size=16"

    def _snapshot(self, one: Listed, body: bytes) -> BookSnapshot:
        said = _rest_book(body)
        self._refused(said.result, said.error_msg)
        return _snapshot(one, said.bids, said.asks, said.timestamp, said.id)

    def symbols_url(self) -> str:
        return f"{self._rest}/public/v2/markets/KRW"

    def _symbols(self, body: bytes) -> list[VenueSymbol]:
        said = _rest_markets(body)
        self._refused(said.result, said.error_msg)
        return [
            VenueSymbol(
                f"{one.quote_currency}-{one.target_currency}",
                one.target_currency,
                one.quote_currency,
                decimal_of(one.price_unit),
                decimal_of(one.qty_unit),
                decimal_of(one.min_order_amount),
                f"trade {one.trade_status}, maintenance {one.maintenance_status}",
                one.trade_status == 1 and one.maintenance_status == 0,
            )
            for one in said.markets
        ]

    def candles_url(self, symbol: str, width_s: int, end_ns: int, limit: int) -> str:
        width = self._width(WIDTHS, width_s)
        last = -(-end_ns // NS_PER_MS) - 1
        return (
            f"{self._rest}/public/v2/chart/{self._path(symbol)}?interval={width}&timestamp={last}"
            f"&size={min(limit, 500)}"
        )

    def _candles(self, one: Listed, width_s: int, body: bytes) -> list[Candle]:
        said = _rest_chart(body)
        self._refused(said.result, said.error_msg)
        ticks, lots = one.ticks, one.lots
        return [
            Candle(
                one.symbol,
                0,
                each.timestamp * NS_PER_MS,
                width_s,
                ticks[each.open],
                ticks[each.high],
                ticks[each.low],
                ticks[each.close],
                lots[each.target_volume],
                False,
            )
            for each in said.chart
        ]

    def _path(self, symbol: str) -> str:
        return self.listed(symbol).code.replace("-", "/")

    def _refused(self, result: str, text: str) -> None:
        """Refusals come as HTTP 200."""
        if result != "success":
            raise VenueError(f"{self.name}: {text or result}")
