"""The venue's stream events, field by field in the venue's order. Times in the unit of the stream. Pure."""

from typing import Final

import msgspec

from market.candles import NO_TRADE_ID, Candle
from market.decimals import Grid, percent

Level = tuple[str, str]


class TradeEvent(msgspec.Struct, tag_field="e", tag="trade"):
    E: int
    s: str
    t: int
    p: str
    q: str
    T: int
    m: bool
    M: bool = True


class AggTradeEvent(msgspec.Struct, tag_field="e", tag="aggTrade"):
    E: int
    s: str
    a: int
    p: str
    q: str
    f: int
    l: int  # noqa: E741  the venue's name
    T: int
    m: bool
    M: bool = True


class KlineBody(msgspec.Struct):
    t: int
    T: int
    s: str
    i: str
    f: int
    L: int
    o: str
    c: str
    h: str
    l: str  # noqa: E741
    v: str
    n: int
    x: bool
    q: str
    V: str
    Q: str
    B: str = "0"


class KlineEvent(msgspec.Struct, tag_field="e", tag="kline"):
    E: int
    s: str
    k: KlineBody


class MiniTickerEvent(msgspec.Struct, tag_field="e", tag="24hrMiniTicker"):
    E: int
    s: str
    c: str
    o: str
    h: str
    l: str  # noqa: E741
    v: str
    q: str


class TickerEvent(msgspec.Struct, tag_field="e", tag="24hrTicker"):
    E: int
    s: str
    p: str
    P: str
    w: str
    x: str
    c: str
    Q: str
    b: str
    B: str
    a: str
    A: str
    o: str
    h: str
    l: str  # noqa: E741
    v: str
    q: str
    O: int  # noqa: E741
    C: int
    F: int
    L: int
    n: int


class WindowTickerEvent(msgspec.Struct):
    e: str
    E: int
    s: str
    p: str
    P: str
    o: str
    h: str
    l: str  # noqa: E741
    c: str
    w: str
    v: str
    q: str
    O: int  # noqa: E741
    C: int
    F: int
    L: int
    n: int


class BookTickerEvent(msgspec.Struct):
    u: int
    s: str
    b: str
    B: str
    a: str
    A: str


class AvgPriceEvent(msgspec.Struct, tag_field="e", tag="avgPrice"):
    E: int
    s: str
    i: str
    w: str
    T: int


class PartialDepth(msgspec.Struct):
    lastUpdateId: int
    bids: list[Level]
    asks: list[Level]


class DepthUpdate(msgspec.Struct, tag_field="e", tag="depthUpdate"):
    E: int
    s: str
    U: int
    u: int
    b: list[Level]
    a: list[Level]


class ServerShutdown(msgspec.Struct, tag_field="e", tag="serverShutdown"):
    E: int


Event = (
    TradeEvent | AggTradeEvent | KlineEvent | MiniTickerEvent | TickerEvent | WindowTickerEvent | BookTickerEvent
    | AvgPriceEvent | PartialDepth | DepthUpdate | ServerShutdown
)  # fmt: skip

MILLISECOND_NS: Final = 1_000_000
MICROSECOND_NS: Final = 1_000


class Top(msgspec.Struct, frozen=True):
    """Best prices in ticks and their quantities in lots; 0 where a side is empty."""

    update_id: int
    bid: int
    bid_qty: int
    ask: int
    ask_qty: int


class Told(msgspec.Struct, frozen=True):
    """How a symbol's events are told: its name, its decimals, the unit of times."""

    symbol: str
    grid: Grid
    unit_ns: int

    def time(self, ts_ns: int) -> int:
        return ts_ns // self.unit_ns

    def kline(self, now_ns: int, interval: str, candle: Candle, end_ns: int, closed: bool) -> KlineEvent:
        grid = self.grid
        body = KlineBody(
            self.time(candle.open_ns), end_ns // self.unit_ns - 1, self.symbol, interval, candle.first_trade_id,
            candle.last_trade_id, grid.price(candle.open), grid.price(candle.close), grid.price(candle.high),
            grid.price(candle.low), grid.quantity(candle.volume), candle.trades, closed, grid.quote(candle.quote),
            grid.quantity(candle.taker_buy), grid.quote(candle.taker_buy_quote),
        )  # fmt: skip
        return KlineEvent(self.time(now_ns), self.symbol, body)

    def mini_ticker(self, now_ns: int, window: Candle) -> MiniTickerEvent:
        grid = self.grid
        return MiniTickerEvent(
            self.time(now_ns), self.symbol, grid.price(window.close), grid.price(window.open), grid.price(window.high),
            grid.price(window.low), grid.quantity(window.volume), grid.quote(window.quote),
        )  # fmt: skip

    def ticker(
        self, now_ns: int, start_ns: int, window: Candle, close_before: int, last_qty: int, top: Top
    ) -> TickerEvent:
        grid = self.grid
        change = window.close - window.open if window.trades else 0
        return TickerEvent(
            self.time(now_ns), self.symbol, grid.price(change), percent(change, window.open),
            grid.average(window.quote, window.volume), grid.price(close_before), grid.price(window.close),
            grid.quantity(last_qty), grid.price(top.bid), grid.quantity(top.bid_qty), grid.price(top.ask),
            grid.quantity(top.ask_qty), grid.price(window.open), grid.price(window.high), grid.price(window.low),
            grid.quantity(window.volume), grid.quote(window.quote), self.time(start_ns), self.time(now_ns),
            window.first_trade_id, window.last_trade_id, window.trades,
        )  # fmt: skip

    def window_ticker(self, now_ns: int, start_ns: int, name: str, window: Candle) -> WindowTickerEvent:
        grid = self.grid
        change = window.close - window.open if window.trades else 0
        return WindowTickerEvent(
            f"{name}Ticker", self.time(now_ns), self.symbol, grid.price(change), percent(change, window.open),
            grid.price(window.open), grid.price(window.high), grid.price(window.low), grid.price(window.close),
            grid.average(window.quote, window.volume), grid.quantity(window.volume), grid.quote(window.quote),
            self.time(start_ns), self.time(now_ns), window.first_trade_id, window.last_trade_id, window.trades,
        )  # fmt: skip

    def book_ticker(self, top: Top) -> BookTickerEvent:
        grid = self.grid
        return BookTickerEvent(
            top.update_id, self.symbol, grid.price(top.bid), grid.quantity(top.bid_qty), grid.price(top.ask),
            grid.quantity(top.ask_qty),
        )  # fmt: skip


def quiet_window(last_price: int) -> Candle:
    """A window in which nothing traded: only the last price is told."""
    return Candle(0, 0, 0, 0, last_price, 0, 0, 0, 0, 0, NO_TRADE_ID, NO_TRADE_ID)
