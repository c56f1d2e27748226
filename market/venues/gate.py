"""Gate spot, WebSocket v4: JSON text, one object {time, channel, event, result}.

Source: the venue's "Spot WebSocket v4" (spot.obu: order book V2; spot.trades, spot.book_ticker, spot.candlesticks) and
"API v4" documents. spot.obu begins with a whole book (`full`), then U is the last u + 1. An obu of a symbol that does
not exist is acknowledged and silent. The older spot.order_book_update (needs a REST snapshot) is decoded, not asked for.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar, Final

import msgspec

from market.venues.adapter import BookRule, Channel, VenueSymbol
from market.venues.events import BookDelta, BookSnapshot, Candle, Event, Quote, Status, Trade
from market.venues.numbers import Listed
from market.venues.wire import (
    NS_PER_MS,
    NS_PER_S,
    Millis,
    Pairs,
    Seq,
    VenueAdapter,
    chunks,
    decimal_of,
    without_empty,
    written,
)

PER_FRAME: Final = 100
"""Symbols in one request: no limit is published; a refusal then costs a hundred, not all."""
DEPTH: Final = 50
ANY_TIME: Final = 1_700_000_000
"""Requests carry a time that the public channels do not look at; an adapter has no clock."""

WIDTHS = {
    10: "10s",
    60: "1m",
    300: "5m",
    900: "15m",
    1800: "30m",
    3600: "1h",
    14_400: "4h",
    28_800: "8h",
    86_400: "1d",
}
_SECONDS = {name: seconds for seconds, name in WIDTHS.items()}


class _Trade(
    msgspec.Struct,
    rename={"trade_id": "id", "time": "create_time_ms", "code": "currency_pair", "qty": "amount"},
    gc=False,
):
    trade_id: int
    time: str
    side: str
    code: str
    qty: str
    price: str


class _Ticker(
    msgspec.Struct,
    rename={"time": "t", "code": "s", "bid": "b", "bid_qty": "B", "ask": "a", "ask_qty": "A"},
    gc=False,
):
    code: str
    bid: str
    bid_qty: str
    ask: str
    ask_qty: str
    time: Millis = 0


class _Book(
    msgspec.Struct,
    rename={"time": "t", "code": "s", "first": "U", "last": "u", "bids": "b", "asks": "a"},
    gc=False,
):
    """A delta without levels only moves the number."""

    time: Millis
    code: str
    last: Seq
    first: Seq = -1
    full: bool = False
    bids: Pairs = []
    asks: Pairs = []


class _Candle(
    msgspec.Struct,
    rename={"time": "t", "open": "o", "high": "h", "low": "l", "close": "c", "volume": "a", "closed": "w"},
    gc=False,
):
    time: str
    open: str
    high: str
    low: str
    close: str
    name: str = msgspec.field(name="n")
    volume: str = "0"
    """Of the base asset; `v`, of the quote asset, is all that the venue once sent."""
    closed: bool = False


class _TradeFrame(msgspec.Struct, gc=False):
    result: _Trade


class _TickerFrame(msgspec.Struct, gc=False):
    result: _Ticker


class _BookFrame(msgspec.Struct, gc=False):
    result: _Book


class _CandleFrame(msgspec.Struct, gc=False):
    result: _Candle


class _Refusal(msgspec.Struct):
    code: int = 0
    message: str = ""


class _Said(msgspec.Struct):
    channel: str
    event: str = ""
    error: _Refusal | None = None


class _Snapshot(msgspec.Struct):
    id: Seq
    bids: Pairs
    asks: Pairs
    current: Millis = 0


class _Pair(msgspec.Struct):
    id: str
    base: str
    quote: str
    amount_precision: int
    precision: int
    trade_status: str
    min_quote_amount: str = ""


_trade = msgspec.json.Decoder(_TradeFrame).decode
_ticker = msgspec.json.Decoder(_TickerFrame).decode
_book = msgspec.json.Decoder(_BookFrame).decode
_candle = msgspec.json.Decoder(_CandleFrame).decode
_said = msgspec.json.Decoder(_Said).decode
_snapshot = msgspec.json.Decoder(_Snapshot).decode
_pairs = msgspec.json.Decoder(list[_Pair]).decode
_candles = msgspec.json.Decoder(list[tuple[str, str, str, str, str, str, str, str]]).decode

_Known = Callable[[str], Listed]


def decode_trade(known: _Known, frame: bytes) -> tuple[Event, ...]:
    said = _trade(frame).result
    if said.side not in ("buy", "sell"):
        raise ValueError(f"side {said.side!r}")
    one = known(said.code)
    return (
        Trade(
            one.symbol,
            _fine_millis(said.time),
            str(said.trade_id),
            one.ticks[said.price],
            one.lots[said.qty],
            said.side == "sell",
        ),
    )


def decode_ticker(known: _Known, frame: bytes) -> tuple[Event, ...]:
    said = _ticker(frame).result
    one = known(said.code)
    ticks, lots = one.ticks, one.lots
    return (
        Quote(
            one.symbol,
            said.time * NS_PER_MS,
            ticks[said.bid or "0"],
            lots[said.bid_qty or "0"],
            ticks[said.ask or "0"],
            lots[said.ask_qty or "0"],
        ),
    )


def decode_obu(known: _Known, frame: bytes) -> tuple[Event, ...]:
    said = _book(frame).result
    parts = said.code.split(".")
    if len(parts) != 3:
        raise ValueError(f"stream {said.code!r}")
    return (_book_event(known(parts[1]), said),)


def decode_book_update(known: _Known, frame: bytes) -> tuple[Event, ...]:
    said = _book(frame).result
    return (_book_event(known(said.code), said),)


def _book_event(one: Listed, said: _Book) -> Event:
    bids, asks = one.levels(said.bids), one.levels(said.asks)
    venue_ns = said.time * NS_PER_MS
    if said.full:
        return BookSnapshot(one.symbol, venue_ns, without_empty(bids), without_empty(asks), said.last)
    if said.first < 0:
        raise ValueError("a delta without U")
    return BookDelta(one.symbol, venue_ns, bids, asks, said.first, said.last, -1)


def decode_candle(known: _Known, frame: bytes) -> tuple[Event, ...]:
    said = _candle(frame).result
    width, _, code = said.name.partition("_")
    width_s = _SECONDS.get(width)
    if width_s is None:
        raise ValueError(f"candle {said.name!r}")
    one = known(code)
    ticks = one.ticks
    return (
        Candle(
            one.symbol,
            0,
            int(said.time) * NS_PER_S,
            width_s,
            ticks[said.open],
            ticks[said.high],
            ticks[said.low],
            ticks[said.close],
            one.lots[said.volume],
            said.closed,
        ),
    )


def _fine_millis(text: str) -> int:
    """Milliseconds with places ("1619093543708.2642") in nanoseconds."""
    whole, _, part = text.partition(".")
    return int(whole) * NS_PER_MS + int(part.ljust(6, "0")[:6])


def decode_nothing(known: _Known, frame: bytes) -> tuple[Event, ...]:
    return ()


_Decode = Callable[[_Known, bytes], tuple[Event, ...]]
DECODERS: dict[bytes, _Decode] = {
    b"spot.trades": decode_trade,
    b"spot.book_ticker": decode_ticker,
    b"spot.obu": decode_obu,
    b"spot.order_book_update": decode_book_update,
    b"spot.candlesticks": decode_candle,
    b"spot.tickers": decode_nothing,  # without quantities: says nothing that a Quote could
}

CHANNEL = b'"channel":"'
UPDATE = b'"event":"update"'
HEAD_BYTES: Final = 400
"""Channel and event stand in the head of a frame, before or after time and connection."""


class GateSpot(VenueAdapter):
    name: ClassVar[str] = "gate"
    book_rule: ClassVar[BookRule] = BookRule.NEXT
    ping_every_s: ClassVar[float] = 10.0
    """A connection that is silent for 30 s is closed."""
    silence_limit_s: ClassVar[float] = 30.0
    dials_per_minute: ClassVar[float] = 30.0
    """None is published."""
    WS_URLS: ClassVar[tuple[str, ...]] = ("wss://api.gateio.ws/ws/v4/",)
    REST_URL: ClassVar[str] = "https://api.gateio.ws"
    NAMES: ClassVar[dict[Channel, str]] = {
        Channel.TRADE: "spot.trades",
        Channel.QUOTE: "spot.book_ticker",
        Channel.BOOK: "spot.obu",
        Channel.CANDLE: "spot.candlesticks",
    }

    @staticmethod
    def code_of(base: str, quote: str) -> str:
        return f"{base}_{quote}"

    def subscribe_frames(self, symbols: Sequence[str], channels: Sequence[Channel]) -> list[str | bytes]:
        return self._requests("subscribe", symbols, channels)

    def unsubscribe_frames(self, symbols: Sequence[str], channels: Sequence[Channel]) -> list[str | bytes]:
        return self._requests("unsubscribe", symbols, channels)

    def _requests(self, event: str, symbols: Sequence[str], channels: Sequence[Channel]) -> list[str | bytes]:
        codes = [one.code for one in self._wanted(symbols, channels)]
        return [
            written({"time": ANY_TIME, "channel": self.NAMES[channel], "event": event, "payload": payload})
            for channel in channels
            for payload in self._payloads(channel, codes)
        ]

    def _payloads(self, channel: Channel, codes: Sequence[str]) -> list[list[str]]:
        if channel is Channel.CANDLE:  # its payload is one pair
            return [["1m", code] for code in codes]
        if channel is Channel.BOOK:
            codes = [f"ob.{code}.{DEPTH}" for code in codes]
        return [list(some) for some in chunks(codes, PER_FRAME)]

    def ping_frame(self) -> str | bytes | None:
        return written({"time": ANY_TIME, "channel": "spot.ping"})

    def _decode(self, frame: bytes) -> Sequence[Event]:
        start = frame.find(CHANNEL, 0, HEAD_BYTES) + 11
        if start > 10:
            decode = DECODERS.get(frame[start : frame.find(b'"', start, HEAD_BYTES)])
            if decode is not None and (
                frame.find(UPDATE, start, start + 60) > 0 or frame.rfind(UPDATE, max(0, len(frame) - 60)) > 0
            ):
                return decode(self._known, frame)
        return self._decode_other(frame)

    def _decode_other(self, frame: bytes) -> Sequence[Event]:
        said = _said(frame)
        if said.event == "update":
            decode = DECODERS.get(said.channel.encode())
            if decode is None:
                raise ValueError(f"channel {said.channel!r}")
            return decode(self._known, frame)
        if said.channel == "spot.pong":
            return (Status("", 0, "pong"),)
        if said.error is not None and (said.error.code or said.error.message):
            text = f"{said.error.code} {said.error.message}"
            if "unknown currency pair" in text:
                return (self._unknown_symbol(text, text.rpartition(" ")[2]),)
            return (self._error(text),)
        if said.event not in ("subscribe", "unsubscribe"):
            raise ValueError(f"event {said.event!r}")
        return ()

    def snapshot_url(self, symbol: str) -> str:
        code = self.listed(symbol).code
        return f"{self._rest}/api/v4/spot/order_book?currency_pair={code}&limit=100&with_id=true"

    def _snapshot(self, one: Listed, body: bytes) -> BookSnapshot:
        said = _snapshot(body)
        bids, asks = without_empty(one.levels(said.bids)), without_empty(one.levels(said.asks))
        return BookSnapshot(one.symbol, said.current * NS_PER_MS, bids, asks, said.id)

    def symbols_url(self) -> str:
        return f"{self._rest}/api/v4/spot/currency_pairs"

    def _symbols(self, body: bytes) -> list[VenueSymbol]:
        return [
            VenueSymbol(
                one.id,
                one.base,
                one.quote,
                decimal_of(f"1e-{one.precision}"),
                decimal_of(f"1e-{one.amount_precision}"),
                decimal_of(one.min_quote_amount),
                one.trade_status,
                one.trade_status == "tradable",
            )
            for one in _pairs(body)
        ]

    def candles_url(self, symbol: str, width_s: int, end_ns: int, limit: int) -> str:
        code, width = self.listed(symbol).code, self._width(WIDTHS, width_s)
        last = -(-end_ns // NS_PER_S) - 1
        first = last - (min(limit, 1000) - 1) * width_s
        return f"{self._rest}/api/v4/spot/candlesticks?currency_pair={code}&interval={width}&from={first}&to={last}"

    def _candles(self, one: Listed, width_s: int, body: bytes) -> list[Candle]:
        ticks, lots = one.ticks, one.lots
        return [
            Candle(
                one.symbol,
                0,
                int(opened) * NS_PER_S,
                width_s,
                ticks[first],
                ticks[high],
                ticks[low],
                ticks[last],
                lots[volume],
                closed == "true",
            )
            for opened, _, last, high, low, first, volume, closed in _candles(body)
        ]
