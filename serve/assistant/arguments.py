"""The arguments of the tools."""

from typing import Annotated, Literal

from msgspec import Meta

from serve.market_schema import Interval
from serve.schema import OrderId, Request

SymbolText = Annotated[str, Meta(min_length=1, max_length=40, examples=["BTCUSDT"])]
Some = Annotated[int, Meta(ge=1, le=100)]
Millis = Annotated[int, Meta(ge=0, le=4_000_000_000_000)]
"""A millisecond since the epoch whose nanoseconds a signed 64-bit integer holds."""


class Nothing(Request, kw_only=True):
    """No arguments."""


class OneSymbol(Request, kw_only=True):
    symbol: SymbolText


class MaybeSymbol(Request, kw_only=True):
    symbol: SymbolText | None = None
    """Left out: all."""


class Orders(Request, kw_only=True):
    symbol: SymbolText | None = None
    open: bool = False
    """Only those that are open."""
    limit: Some = 20


class OneOrder(Request, kw_only=True):
    order_id: OrderId


class Executions(Request, kw_only=True):
    symbol: SymbolText | None = None
    limit: Some = 20


class InSpan(Request, kw_only=True):
    from_ms: Millis
    to_ms: Millis


class SymbolInSpan(InSpan, kw_only=True):
    symbol: SymbolText


class MaybeSymbolInSpan(InSpan, kw_only=True):
    symbol: SymbolText | None = None


class Since(Request, kw_only=True):
    from_ms: Millis
    to_ms: Millis | None = None
    """Left out: until now."""


class Levels(Request, kw_only=True):
    symbol: SymbolText
    limit: Some = 5


class Candles(Request, kw_only=True):
    symbol: SymbolText
    interval: Interval = Interval.M1
    limit: Some = 10


class Prediction(Request, kw_only=True):
    symbol: SymbolText
    horizon: Literal["10s", "1m", "15m", "1h"] = "15m"
    model: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    """Left out: the promoted one."""


class HowTo(Request, kw_only=True):
    topic: Annotated[str, Meta(min_length=1, max_length=40, examples=["LIMIT"])] = "MARKET"
    """An order type, `CANCEL`, `AMEND` or `ICEBERG`."""
    side: Annotated[str, Meta(pattern="^(BUY|SELL)$")] = "BUY"
    symbol: SymbolText | None = None
