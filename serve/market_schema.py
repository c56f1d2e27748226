"""The public structures of market data: what clients ask and get. Units as in `serve.schema`."""

from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from serve.schema import Limit, Request, Symbol


class SymbolInfo(msgspec.Struct):
    symbol: str
    base_asset: str
    quote_asset: str
    status: str
    tick_size: str
    lot_size: str
    min_price: str
    max_price: str
    min_quantity: str
    max_quantity: str
    market_max_quantity: str
    min_notional: str
    max_notional: str
    bid_multiplier_up: str
    bid_multiplier_down: str
    ask_multiplier_up: str
    ask_multiplier_down: str
    max_num_orders: int
    order_types: list[str]
    time_in_force: list[str]
    stp_modes: list[str]
    maker_fee: str
    """Of your account, when you send a token; else of a new one."""
    taker_fee: str
    symbol_id: int
    """In packed frames."""
    base_scale: int
    """Units in packed frames: 10^-scale of the asset."""
    quote_scale: int


class SymbolList(msgspec.Struct):
    symbols: list[SymbolInfo]


class Ticker(msgspec.Struct):
    """The last 24 hours of a symbol."""

    symbol: str
    last_price: str
    bid: str | None
    ask: str | None
    open: str
    high: str
    low: str
    volume: str
    quote_volume: str
    change_percent: float
    trades: int
    ts_ns: int


class TickerList(msgspec.Struct):
    prices: list[Ticker]


class DepthQuery(Request, kw_only=True):
    symbol: Symbol
    limit: Limit = 100


class Depth(msgspec.Struct):
    symbol: str
    last_update_id: int
    ts_ns: int
    bids: list[tuple[str, str]]
    """Price and quantity, best first."""
    asks: list[tuple[str, str]]


class TradesQuery(Request, kw_only=True):
    symbol: Symbol
    limit: Limit = 100
    from_id: Annotated[int, Meta(ge=1, le=(1 << 62) - 1)] | None = None
    """Trades from this id on; without it the newest."""


class Trade(msgspec.Struct):
    trade_id: int
    price: str
    quantity: str
    quote: str
    taker_side: str
    ts_ns: int


class TradeList(msgspec.Struct):
    symbol: str
    trades: list[Trade]


class Interval(StrEnum):
    M1 = "1m"
    M3 = "3m"
    M5 = "5m"
    M15 = "15m"
    M30 = "30m"
    H1 = "1h"
    H2 = "2h"
    H4 = "4h"
    H6 = "6h"
    H8 = "8h"
    H12 = "12h"
    D1 = "1d"


INTERVAL_MINUTES: Final = {
    Interval.M1: 1, Interval.M3: 3, Interval.M5: 5, Interval.M15: 15, Interval.M30: 30, Interval.H1: 60,
    Interval.H2: 120, Interval.H4: 240, Interval.H6: 360, Interval.H8: 480, Interval.H12: 720, Interval.D1: 1440,
}  # fmt: skip


class CandleQuery(Request, kw_only=True):
    symbol: Symbol
    interval: Interval = Interval.M1
    start_ms: Annotated[int, Meta(ge=0, le=(1 << 43))] | None = None
    end_ms: Annotated[int, Meta(ge=0, le=(1 << 43))] | None = None
    limit: Limit = 500


class CandleView(msgspec.Struct):
    open_ms: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    quote_volume: str
    trades: int
    taker_buy_volume: str


class CandleList(msgspec.Struct):
    symbol: str
    interval: str
    candles: list[CandleView]
    """Oldest first; minutes without a trade have none."""
