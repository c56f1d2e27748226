"""The venue's market-data answers, field by field in the venue's order. Decimals are strings with eight places.

Times are milliseconds, or microseconds where the caller asked for them.
"""

import msgspec

Level = tuple[str, str]
"""Price, quantity."""


class Depth(msgspec.Struct):
    lastUpdateId: int
    bids: list[Level]
    asks: list[Level]


class TradeRow(msgspec.Struct):
    id: int
    price: str
    qty: str
    quoteQty: str
    time: int
    isBuyerMaker: bool
    isBestMatch: bool


class AggTradeRow(msgspec.Struct):
    a: int
    p: str
    q: str
    f: int
    l: int  # noqa: E741  the venue's name
    T: int
    m: bool
    M: bool


class Kline(msgspec.Struct, array_like=True):
    open_time: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    close_time: int
    quote_volume: str
    trades: int
    taker_buy_base: str
    taker_buy_quote: str
    unused: str = "0"


class MiniTicker(msgspec.Struct):
    """`type=MINI` of all ticker routes."""

    symbol: str
    openPrice: str
    highPrice: str
    lowPrice: str
    lastPrice: str
    volume: str
    quoteVolume: str
    openTime: int
    closeTime: int
    firstId: int
    lastId: int
    count: int


class WindowTicker(msgspec.Struct):
    """`GET ticker` and `GET ticker/tradingDay`, `type=FULL`."""

    symbol: str
    priceChange: str
    priceChangePercent: str
    weightedAvgPrice: str
    openPrice: str
    highPrice: str
    lowPrice: str
    lastPrice: str
    volume: str
    quoteVolume: str
    openTime: int
    closeTime: int
    firstId: int
    lastId: int
    count: int


class DayTicker(msgspec.Struct):
    """`GET ticker/24hr`, `type=FULL`."""

    symbol: str
    priceChange: str
    priceChangePercent: str
    weightedAvgPrice: str
    prevClosePrice: str
    lastPrice: str
    lastQty: str
    bidPrice: str
    bidQty: str
    askPrice: str
    askQty: str
    openPrice: str
    highPrice: str
    lowPrice: str
    volume: str
    quoteVolume: str
    openTime: int
    closeTime: int
    firstId: int
    lastId: int
    count: int


class PriceTicker(msgspec.Struct):
    symbol: str
    price: str


class BookTicker(msgspec.Struct):
    symbol: str
    bidPrice: str
    bidQty: str
    askPrice: str
    askQty: str


class AvgPrice(msgspec.Struct):
    mins: int
    price: str
    closeTime: int


def mini(ticker: DayTicker | WindowTicker) -> MiniTicker:
    return MiniTicker(*(getattr(ticker, name) for name in MiniTicker.__struct_fields__))
