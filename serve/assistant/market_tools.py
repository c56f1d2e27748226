"""The tools that look at the market and at the exchange itself."""

from typing import Any, Final, Protocol

from serve.assistant import arguments as a
from serve.assistant.api import Api
from serve.assistant.figures import PriceRange, Spread, range_of, spread_of
from serve.assistant.guide import Guide, guide
from serve.assistant.names import Names
from serve.assistant.toolbox import Asker, Tool
from serve.errors import ApiError, Code
from serve.market_schema import CandleQuery, DepthQuery, Interval, SymbolList, TickerList, TradesQuery
from serve.prediction_schema import AnalysisView, ModelsQuery, PredictionView
from serve.schema import SymbolQuery

MOST_SYMBOLS: Final = 50
"""In one answer."""
MINUTES: Final = 1000
"""Candles of a minute in one look: longer spans are read by wider ones."""
_WIDTHS: Final = ((1, Interval.M1), (5, Interval.M5), (15, Interval.M15), (60, Interval.H1), (720, Interval.H12))


class Forecasts(Protocol):
    """Where predictions and market analysis come from (`serve.predictions`). ApiError: NO_MODEL, PREDICTOR_UNAVAILABLE, ..."""

    async def predict(self, symbol: str, horizon: str | None = None, model: str | None = None) -> PredictionView: ...

    async def analysis(self, symbol: str) -> AnalysisView: ...


class MarketTools:
    def __init__(self, api: Api, names: Names, forecasts: Forecasts) -> None:
        self._api = api
        self._names = names
        self._forecasts = forecasts

    def tools(self) -> list[Tool]:
        return [
            Tool("prices", "Last price and 24-hour statistics: bid, ask, open, high, low, volume, change.", a.MaybeSymbol, self.prices),
            Tool("spread", "Bid, ask, middle and spread of a symbol.", a.OneSymbol, self.spread),
            Tool("depth", "The order book of a symbol by level.", a.Levels, self.depth),
            Tool("trades", "The newest public trades of a symbol.", a.Levels, self.trades),
            Tool("candles", "The newest candles of a symbol.", a.Candles, self.candles),
            Tool("price_range", "Open, high, low, close, volume and volatility of a symbol in a span.", a.SymbolInSpan, self.range),
            Tool("symbols", "Symbols, their filters (tick, lot, smallest value) and the own fees.", a.MaybeSymbol, self.symbols),
            Tool("prediction", "A model's prediction of a symbol's price.", a.Prediction, self.prediction),
            Tool("analysis", "Market analysis of a symbol: indicators, regime, signals.", a.OneSymbol, self.analysis),
            Tool("models", "The promoted models and how good they are.", a.Nothing, self.models),
            Tool("how_to", "How an order of a type is placed, changed or canceled.", a.HowTo, self.how_to),
            Tool("status", "How the exchange and its feed are.", a.Nothing, self.status),
            Tool("market_time", "What time it is on the market.", a.Nothing, self.market_time),
        ]  # fmt: skip

    async def prices(self, who: Asker, given: a.MaybeSymbol) -> TickerList:
        query = SymbolQuery(symbol=self._named(given.symbol))
        found: TickerList = await self._api.call("GET market/prices", who.principal, query=query)
        return found

    async def spread(self, who: Asker, given: a.OneSymbol) -> Spread:
        (ticker,) = (await self.prices(who, a.MaybeSymbol(symbol=given.symbol))).prices
        return spread_of(ticker)

    async def depth(self, who: Asker, given: a.Levels) -> Any:
        query = DepthQuery(symbol=self._names.symbol(given.symbol), limit=given.limit)
        return await self._api.call("GET market/depth", who.principal, query=query)

    async def trades(self, who: Asker, given: a.Levels) -> Any:
        query = TradesQuery(symbol=self._names.symbol(given.symbol), limit=given.limit)
        return await self._api.call("GET market/trades", who.principal, query=query)

    async def candles(self, who: Asker, given: a.Candles) -> Any:
        query = CandleQuery(symbol=self._names.symbol(given.symbol), interval=given.interval, limit=given.limit)
        return await self._api.call("GET market/history", who.principal, query=query)

    async def range(self, who: Asker, given: a.SymbolInSpan) -> PriceRange:
        """By minutes where they are not too many, else by wider candles: their first may begin before the span."""
        symbol = self._names.symbol(given.symbol)
        minutes = max(0, given.to_ms - given.from_ms) // 60_000 + 2
        width = next((name for size, name in _WIDTHS if minutes <= size * MINUTES), Interval.D1)
        query = CandleQuery(symbol=symbol, interval=width, start_ms=given.from_ms, end_ms=given.to_ms, limit=MINUTES)
        found = await self._api.call("GET market/history", who.principal, query=query)
        return range_of(symbol, given.from_ms, given.to_ms, found.candles, by_minute=width is Interval.M1)

    async def symbols(self, who: Asker, given: a.MaybeSymbol) -> SymbolList:
        query = SymbolQuery(symbol=self._named(given.symbol))
        found: SymbolList = await self._api.call("GET market/symbols", who.principal, query=query)
        return SymbolList(found.symbols[:MOST_SYMBOLS])

    async def prediction(self, who: Asker, given: a.Prediction) -> PredictionView:
        return await self._forecasts.predict(self._traded(given.symbol), given.horizon, given.model)

    async def analysis(self, who: Asker, given: a.OneSymbol) -> AnalysisView:
        return await self._forecasts.analysis(self._traded(given.symbol))

    async def models(self, who: Asker, _: Any) -> Any:
        return await self._api.call("GET ai/models", who.principal, query=ModelsQuery(promoted=True))

    async def how_to(self, who: Asker, given: a.HowTo) -> Guide:
        symbol = next(iter(self._names.symbols)) if given.symbol is None else self._traded(given.symbol)
        (info,) = (await self.symbols(who, a.MaybeSymbol(symbol=symbol))).symbols
        try:
            last: str | None = (await self.prices(who, a.MaybeSymbol(symbol=symbol))).prices[0].last_price
        except ApiError:
            last = None
        return guide(given.topic, given.side, info, last)

    async def status(self, who: Asker, _: Any) -> Any:
        return await self._api.call("GET system/status", who.principal)

    async def market_time(self, who: Asker, _: Any) -> Any:
        return await self._api.call("GET market/time", who.principal)

    def _named(self, symbol: str | None) -> str | None:
        return None if symbol is None else self._names.symbol(symbol)

    def _traded(self, text: str) -> str:
        symbol = self._names.symbol(text)
        if symbol not in self._names.symbols:
            raise ApiError(Code.UNKNOWN_SYMBOL, f"{symbol} is not traded here; see /api/market/symbols.", "symbol")
        return symbol
