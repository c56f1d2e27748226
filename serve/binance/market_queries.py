"""Market data as the venue's REST and WebSocket APIs tell it, from the hot cache and the read models.

Symbols are given by name and must be known; times come in nanoseconds and go out in the unit asked for.
"""

from collections.abc import Sequence
from enum import IntEnum

from serve.binance.market_structs import (
    AggTradeRow,
    AvgPrice,
    BookTicker,
    DayTicker,
    Depth,
    Kline,
    PriceTicker,
    TradeRow,
    WindowTicker,
)
from serve.gateway import Gateway


class TimeUnit(IntEnum):
    """Nanoseconds in a unit of the times told."""

    MILLISECOND = 1_000_000
    MICROSECOND = 1_000


class MarketQueries:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def depth(self, symbol: str, limit: int) -> Depth:
        """At most `limit` levels a side, best first; `lastUpdateId` counts as the depth streams do."""
        raise NotImplementedError

    async def trades(
        self, symbol: str, limit: int, from_id: int | None = None, unit: TimeUnit = TimeUnit.MILLISECOND
    ) -> list[TradeRow]:
        """The newest, or those from `from_id` on; ascending."""
        raise NotImplementedError

    async def agg_trades(
        self,
        symbol: str,
        from_id: int | None,
        start_ns: int | None,
        end_ns: int | None,
        limit: int,
        unit: TimeUnit = TimeUnit.MILLISECOND,
    ) -> list[AggTradeRow]:
        """From an aggregate id on, or within [start_ns, end_ns]; neither: the newest. Ascending."""
        raise NotImplementedError

    async def klines(
        self,
        symbol: str,
        interval: str,
        start_ns: int | None,
        end_ns: int | None,
        limit: int,
        offset_minutes: int = 0,
        unit: TimeUnit = TimeUnit.MILLISECOND,
    ) -> list[Kline]:
        """Klines that open within [start_ns, end_ns]: the first `limit` when `start_ns` is given, else the last."""
        raise NotImplementedError

    async def ticker_24hr(self, symbols: Sequence[str], unit: TimeUnit = TimeUnit.MILLISECOND) -> list[DayTicker]:
        raise NotImplementedError

    async def trading_day(
        self, symbols: Sequence[str], offset_minutes: int = 0, unit: TimeUnit = TimeUnit.MILLISECOND
    ) -> list[WindowTicker]:
        raise NotImplementedError

    async def rolling(
        self, symbols: Sequence[str], window_ns: int, unit: TimeUnit = TimeUnit.MILLISECOND
    ) -> list[WindowTicker]:
        """The last `window_ns` and up to a minute more: it opens on a minute."""
        raise NotImplementedError

    async def price(self, symbols: Sequence[str]) -> list[PriceTicker]:
        raise NotImplementedError

    async def book_ticker(self, symbols: Sequence[str]) -> list[BookTicker]:
        raise NotImplementedError

    async def avg_price(self, symbol: str, unit: TimeUnit = TimeUnit.MILLISECOND) -> AvgPrice:
        raise NotImplementedError
