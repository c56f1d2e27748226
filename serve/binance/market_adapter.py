"""The market-data routes among the others: their weights, parameters and answers behind the same limits and errors."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from serve.binance.context import Context
from serve.binance.errors import BinanceError
from serve.binance.market_queries import MarketQueries, TimeUnit
from serve.binance.rest_market import MarketRoute, VenueError, market_routes
from serve.binance.route import Route
from serve.gateway import Gateway

WS_METHODS: Final = {
    "trades": "trades.recent", "historicalTrades": "trades.historical",
    "historicalBlockTrades": "blockTrades.historical", "aggTrades": "trades.aggregate",
    "ticker/bookTicker": "ticker.book",
}  # fmt: skip
"""Where they are not the path with dots."""


def market(gateway: Gateway) -> list[Route]:
    queries = MarketQueries(gateway)
    names = [one.symbol for one in gateway.instruments]
    return [
        Route(
            "GET", one.path, WS_METHODS.get(one.path, one.path.replace("/", ".")), _handler(one), accepts=one.parameters,
            weight=one.weight,
        )
        for one in market_routes(queries, names)
    ]  # fmt: skip


def _handler(route: MarketRoute) -> Callable[[Context, Any], Awaitable[Any]]:
    async def answer(ctx: Context, given: dict[str, str]) -> Any:
        try:
            return await route.answer(given, TimeUnit(ctx.unit_ns))
        except VenueError as error:
            raise BinanceError(error.code, error.msg) from None

    return answer
