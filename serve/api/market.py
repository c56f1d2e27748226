"""`/api/market`: symbols, prices, depth, trades, candles. Public; from the hot cache and the read models."""

from collections.abc import Awaitable
from typing import Any, cast

import msgspec

from actors.cached_depth import decode_depth
from actors.tape_store import MINUTES
from market.enums import Side
from market.instrument import from_steps, from_units
from market.intervals import MINUTE_NS
from serve.errors import ApiError, Code
from serve.gateway import Gateway
from serve.http import Context, Endpoint
from serve.market_schema import (
    INTERVAL_MINUTES,
    CandleList,
    CandleQuery,
    CandleView,
    Depth,
    DepthQuery,
    SymbolList,
    Ticker,
    TickerList,
    Trade,
    TradeList,
    TradesQuery,
)
from serve.profiles import EVERYBODYS
from serve.schema import SymbolQuery
from serve.stored_views import symbol_info

_ticker = msgspec.json.Decoder(Ticker)
_DATA = (Code.UNKNOWN_SYMBOL, Code.MARKET_DATA_UNAVAILABLE)


def endpoints(gateway: Gateway) -> list[Endpoint]:
    api = MarketApi(gateway)
    tags = ("market",)
    return [
        Endpoint("GET", "market/symbols", api.symbols, query=SymbolQuery, response=SymbolList, tags=tags,
                 knows_user=True, summary="Symbols and their filters", errors=(Code.UNKNOWN_SYMBOL,),
                 description="With a token, fees are those of your account."),
        Endpoint("GET", "market/prices", api.prices, query=SymbolQuery, response=TickerList, tags=tags,
                 summary="Last prices and 24-hour statistics", errors=_DATA),
        Endpoint("GET", "market/depth", api.depth, query=DepthQuery, response=Depth, tags=tags,
                 summary="The order book by level", errors=_DATA),
        Endpoint("GET", "market/trades", api.trades, query=TradesQuery, response=TradeList, tags=tags,
                 summary="Public trades, newest last", errors=(Code.UNKNOWN_SYMBOL, Code.UNAVAILABLE)),
        Endpoint("GET", "market/history", api.history, query=CandleQuery, response=CandleList, tags=tags,
                 summary="Candles", errors=(Code.UNKNOWN_SYMBOL, Code.UNAVAILABLE)),
    ]  # fmt: skip


class MarketApi:
    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def symbols(self, ctx: Context) -> SymbolList:
        wanted = self._wanted(ctx.query.symbol)
        user_id = None if ctx.principal is None else ctx.principal.user_id
        fees = (EVERYBODYS if user_id is None else self.gateway.profiles.known(user_id)).fees
        return SymbolList([symbol_info(terms, fees) for terms in wanted])

    async def prices(self, ctx: Context) -> TickerList:
        names = [terms.instrument.symbol for terms in self._wanted(ctx.query.symbol)]
        found = await self._cached([f"ticker:{name}" for name in names])
        if ctx.query.symbol is not None and found[0] is None:
            raise ApiError(Code.MARKET_DATA_UNAVAILABLE)
        return TickerList([_ticker.decode(one) for one in found if one is not None])

    async def depth(self, ctx: Context) -> Depth:
        query: DepthQuery = ctx.query
        terms = self.gateway.desk.terms_of(query.symbol)
        (found,) = await self._cached([f"levels:{query.symbol}"])
        if found is None:
            raise ApiError(Code.MARKET_DATA_UNAVAILABLE)
        cached = decode_depth(found)
        bids, asks = (
            [
                (from_steps(price, terms.tick), from_steps(lots, terms.lot))
                for price, lots in zip(levels["price_ticks"].tolist(), levels["qty_lots"].tolist(), strict=True)
            ]
            for levels in (cached.bids[: query.limit], cached.asks[: query.limit])
        )
        return Depth(query.symbol, cached.update_id, cached.ts_ns, bids, asks)

    async def trades(self, ctx: Context) -> TradeList:
        query: TradesQuery = ctx.query
        terms = self.gateway.desk.terms_of(query.symbol)
        if query.from_id is None:
            rows = await self.gateway.pool.fetch(
                "SELECT * FROM trades WHERE symbol = $1 ORDER BY trade_id DESC LIMIT $2",
                query.symbol,
                query.limit,
            )
            rows.reverse()
        else:
            rows = await self.gateway.pool.fetch(
                "SELECT * FROM trades WHERE symbol = $1 AND trade_id >= $2 ORDER BY trade_id LIMIT $3",
                query.symbol, query.from_id, query.limit,
            )  # fmt: skip
        return TradeList(
            query.symbol,
            [
                Trade(
                    row["trade_id"], from_steps(row["price_ticks"], terms.tick), from_steps(row["qty_lots"], terms.lot),
                    from_units(row["quote_units"], terms.quote.scale), Side(row["taker_side"]).name, row["ts_ns"],
                )
                for row in rows
            ],
        )  # fmt: skip

    async def history(self, ctx: Context) -> CandleList:
        query: CandleQuery = ctx.query
        terms = self.gateway.desk.terms_of(query.symbol)
        width = INTERVAL_MINUTES[query.interval] * MINUTE_NS
        end = (1 << 62) if query.end_ms is None else query.end_ms * 1_000_000
        start = 0 if query.start_ms is None else query.start_ms * 1_000_000 // width * width
        newest_first = query.start_ms is None
        rows = await self.gateway.pool.fetch(
            "SELECT open_ns / $2 * $2 AS at, "  # noqa: S608  no input in it
            "(array_agg(open_ticks ORDER BY open_ns))[1] AS open, "
            "max(high_ticks) AS high, min(low_ticks) AS low, "
            "(array_agg(close_ticks ORDER BY open_ns DESC))[1] AS close, "
            "sum(volume_lots) AS volume, sum(quote_units) AS quote, sum(trades) AS trades, "
            f"sum(taker_buy_lots) AS taker_buy FROM ({MINUTES}) AS minutes WHERE open_ns >= $3 AND open_ns <= $4 "
            f"GROUP BY at ORDER BY at {'DESC' if newest_first else 'ASC'} LIMIT $5",
            query.symbol, width, start, end, query.limit,
        )  # fmt: skip
        if newest_first:
            rows.reverse()
        return CandleList(
            query.symbol,
            query.interval,
            [
                CandleView(
                    row["at"] // 1_000_000, from_steps(row["open"], terms.tick), from_steps(row["high"], terms.tick),
                    from_steps(row["low"], terms.tick), from_steps(row["close"], terms.tick),
                    from_steps(int(row["volume"]), terms.lot), from_units(int(row["quote"]), terms.quote.scale),
                    int(row["trades"]), from_steps(int(row["taker_buy"]), terms.lot),
                )
                for row in rows
            ],
        )  # fmt: skip

    def _wanted(self, symbol: str | None) -> list[Any]:
        desk = self.gateway.desk
        return desk.terms if symbol is None else [desk.terms_of(symbol)]

    async def _cached(self, keys: list[str]) -> list[bytes | None]:
        prefix = self.gateway.settings.prefix
        try:
            return await cast(
                Awaitable[list[bytes | None]], self.gateway.redis.mget([f"{prefix}:{key}" for key in keys])
            )
        except Exception as error:
            raise ApiError(Code.MARKET_DATA_UNAVAILABLE, "The market-data cache does not answer now.") from error
