"""Market data as the venue's REST and WebSocket APIs tell it, from the hot cache and the read models.

Symbols are given by name and must be known; times come in nanoseconds and go out in the unit asked for. ApiError
UNAVAILABLE or MARKET_DATA_UNAVAILABLE when a store does not answer.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Sequence
from enum import IntEnum
from typing import Any, Final, cast

import asyncpg

from actors.cached_depth import decode_depth, decode_top
from actors.tape_store import TapeStore
from market.candles import Candle, filled
from market.decimals import Grid, percent
from market.enums import Side
from market.intervals import DAY_NS, MINUTE_NS, SECOND_NS, Interval
from market.stream_events import Top, quiet_window
from serve.binance.market_structs import (
    AggTradeRow,
    AvgPrice,
    BookTicker,
    DayTicker,
    Depth,
    Kline,
    Level,
    PriceTicker,
    TradeRow,
    WindowTicker,
)
from serve.errors import ApiError, Code
from serve.gateway import Gateway

AVERAGE_MINUTES: Final = 5
_FAR: Final = 1 << 62
_NO_TOP: Final = (Top(0, 0, 0, 0, 0), 0)


class TimeUnit(IntEnum):
    """Nanoseconds in a unit of the times told."""

    MILLISECOND = 1_000_000
    MICROSECOND = 1_000


class MarketQueries:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._grids = {one.symbol: Grid.of(one) for one in gateway.instruments}
        self._first_trades: dict[str, int] = {}
        """When a symbol first traded; that never changes."""
        self._first_told: dict[str, int] = {}
        """When, of the time before, a venue first told of trades; all of a symbol come at once."""

    # -- the hot cache --------------------------------------------------------------------------------------------

    async def depth(self, symbol: str, limit: int) -> Depth:
        """At most `limit` levels a side, best first; `lastUpdateId` counts as the depth streams do."""
        found = await self._cached(self._gateway.redis.get(f"{self._gateway.settings.prefix}:levels:{symbol}"))
        if found is None:
            raise ApiError(Code.MARKET_DATA_UNAVAILABLE)
        depth = decode_depth(found)
        grid = self._grids[symbol]
        bids, asks = (_levels(grid, side[:limit]) for side in (depth.bids, depth.asks))
        return Depth(depth.update_id, bids, asks)

    async def price(self, symbols: Sequence[str]) -> list[PriceTicker]:
        tops = await self._tops(symbols)
        return [PriceTicker(name, self._grids[name].price(tops[name][1])) for name in symbols]

    async def book_ticker(self, symbols: Sequence[str]) -> list[BookTicker]:
        tops = await self._tops(symbols)
        made = []
        for name in symbols:
            top, grid = tops[name][0], self._grids[name]
            made.append(
                BookTicker(
                    name, grid.price(top.bid), grid.quantity(top.bid_qty), grid.price(top.ask),
                    grid.quantity(top.ask_qty),
                )
            )  # fmt: skip
        return made

    async def _tops(self, symbols: Sequence[str]) -> dict[str, tuple[Top, int]]:
        """Best prices and the last price, by symbol."""
        if not symbols:
            return {}
        key = f"{self._gateway.settings.prefix}:tops"
        found = await self._cached(cast(Awaitable[Any], self._gateway.redis.hmget(key, list(symbols))))
        return {name: decode_top(one) if one else _NO_TOP for name, one in zip(symbols, found, strict=True)}

    @staticmethod
    async def _cached(answer: Awaitable[Any]) -> Any:
        try:
            return await answer
        except Exception as error:
            raise ApiError(Code.MARKET_DATA_UNAVAILABLE, "The market-data cache does not answer now.") from error

    # -- the tape -------------------------------------------------------------------------------------------------

    async def trades(
        self, symbol: str, limit: int, from_id: int | None = None, unit: TimeUnit = TimeUnit.MILLISECOND
    ) -> list[TradeRow]:
        """The newest, or those from `from_id` on; ascending."""
        async with self._database() as pool:
            if from_id is None:
                rows = await pool.fetch(
                    "SELECT * FROM trades WHERE symbol = $1 ORDER BY trade_id DESC LIMIT $2", symbol, limit
                )
                rows.reverse()
            else:
                rows = await pool.fetch(
                    "SELECT * FROM trades WHERE symbol = $1 AND trade_id >= $2 ORDER BY trade_id LIMIT $3",
                    symbol,
                    from_id,
                    limit,
                )
        grid = self._grids[symbol]
        return [
            TradeRow(
                row["trade_id"], grid.price(row["price_ticks"]), grid.quantity(row["qty_lots"]),
                grid.quote(row["quote_units"]), row["ts_ns"] // unit, row["taker_side"] == Side.SELL, True,
            )
            for row in rows
        ]  # fmt: skip

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
        async with self._database() as pool:
            if from_id is None and start_ns is not None:
                from_id = await _first_aggregate(pool, symbol, start_ns)
                if from_id is None:
                    return []
            forward = from_id is not None
            to_id = _FAR if end_ns is None else await _last_aggregate(pool, symbol, end_ns)
            rows = await pool.fetch(
                _AGGREGATES.format(order="ASC" if forward else "DESC"), symbol, from_id or 0, to_id, limit
            )
        if not forward:
            rows.reverse()
        grid = self._grids[symbol]
        return [
            AggTradeRow(
                row["agg_id"], grid.price(row["price_ticks"]), grid.quantity(int(row["qty_lots"])),
                row["first_trade_id"], row["last_trade_id"], row["ts_ns"] // unit, row["taker_side"] == Side.SELL, True,
            )
            for row in rows
        ]  # fmt: skip

    # -- klines ---------------------------------------------------------------------------------------------------

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
        zoned = Interval(interval, offset_minutes * MINUTE_NS)
        until_ns = self._gateway.now_ns() if end_ns is None else min(end_ns, self._gateway.now_ns())
        async with self._database() as pool:
            store = TapeStore(pool)
            first_ns = await self._first_known(store, symbol)
            if first_ns is None:
                return []
            oldest = zoned.open_of(first_ns)
            if start_ns is None:
                opens = zoned.opens_until(until_ns, oldest, limit)
            else:
                opens = zoned.opens_from(max(start_ns, oldest), until_ns, limit)
            if not opens:
                return []
            traded = await store.candles(symbol, opens, zoned.next_open(opens[-1]))
            close = None
            if not traded or traded[0].open_ns > opens[0]:
                close = await store.close_before(symbol, opens[0])
                if close is None:
                    close = await store.told_close_before(symbol, opens[0])
        grid = self._grids[symbol]
        return [_kline(grid, one, zoned.next_open(one.open_ns), unit) for one in filled(traded, opens, close)]

    async def _first_known(self, store: TapeStore, symbol: str) -> int | None:
        """When something first traded that is known of: here, or at the venue before."""
        if symbol not in self._first_told and (told := await store.first_told_ns(symbol)) is not None:
            self._first_told[symbol] = told
        known = (self._first_told.get(symbol), await self._first_trade(store, symbol))
        return min((one for one in known if one is not None), default=None)

    async def _first_trade(self, store: TapeStore, symbol: str) -> int | None:
        if symbol not in self._first_trades and (found := await store.first_trade_ns(symbol)) is not None:
            self._first_trades[symbol] = found
        return self._first_trades.get(symbol)

    # -- windows --------------------------------------------------------------------------------------------------

    async def ticker_24hr(self, symbols: Sequence[str], unit: TimeUnit = TimeUnit.MILLISECOND) -> list[DayTicker]:
        """Of the last 24 hours, to the nanosecond."""
        now_ns = self._gateway.now_ns()
        start_ns = now_ns - DAY_NS
        async with self._database() as pool:
            store = TapeStore(pool)
            windows = await store.totals(symbols, start_ns)
            last = await store.last_trades(symbols)
            before = await store.trades_by_id([(name, one.first_trade_id - 1) for name, one in windows.items()])
        tops = await self._tops(symbols)
        return [
            self._day_ticker(
                name, windows.get(name), last.get(name),
                before.get((name, windows[name].first_trade_id - 1)) if name in windows else last.get(name),
                tops[name][0], start_ns // unit, now_ns // unit,
            )
            for name in symbols
        ]  # fmt: skip

    def _day_ticker(
        self, name: str, window: Candle | None, last: Any, before: Any, top: Top, opened: int, closed: int
    ) -> DayTicker:
        grid = self._grids[name]
        told = window or quiet_window(last["price_ticks"] if last else 0)
        change = told.close - told.open if told.trades else 0
        return DayTicker(
            name, grid.price(change), percent(change, told.open), grid.average(told.quote, told.volume),
            grid.price(before["price_ticks"] if before else 0), grid.price(told.close),
            grid.quantity(last["qty_lots"] if last and window else 0), grid.price(top.bid), grid.quantity(top.bid_qty),
            grid.price(top.ask), grid.quantity(top.ask_qty), grid.price(told.open), grid.price(told.high),
            grid.price(told.low), grid.quantity(told.volume), grid.quote(told.quote), opened, closed,
            told.first_trade_id, told.last_trade_id, told.trades,
        )  # fmt: skip

    async def trading_day(
        self, symbols: Sequence[str], offset_minutes: int = 0, unit: TimeUnit = TimeUnit.MILLISECOND
    ) -> list[WindowTicker]:
        day = Interval("1d", offset_minutes * MINUTE_NS)
        opened = day.open_of(self._gateway.now_ns())
        return await self._windows(symbols, opened, day.next_open(opened) // unit - 1, unit)

    async def rolling(
        self, symbols: Sequence[str], window_ns: int, unit: TimeUnit = TimeUnit.MILLISECOND
    ) -> list[WindowTicker]:
        """The last `window_ns` and up to a minute more: it opens on a minute."""
        now_ns = self._gateway.now_ns()
        opened = (now_ns - window_ns) // MINUTE_NS * MINUTE_NS
        return await self._windows(symbols, opened, now_ns // unit, unit)

    async def _windows(self, symbols: Sequence[str], start_ns: int, closed: int, unit: TimeUnit) -> list[WindowTicker]:
        async with self._database() as pool:
            store = TapeStore(pool)
            windows = await store.totals(symbols, start_ns)
            quiet = [name for name in symbols if name not in windows]
            last = await store.last_trades(quiet) if quiet else {}
        made = []
        for name in symbols:
            grid = self._grids[name]
            told = windows.get(name) or quiet_window(last[name]["price_ticks"] if name in last else 0)
            change = told.close - told.open if told.trades else 0
            made.append(
                WindowTicker(
                    name, grid.price(change), percent(change, told.open), grid.average(told.quote, told.volume),
                    grid.price(told.open), grid.price(told.high), grid.price(told.low), grid.price(told.close),
                    grid.quantity(told.volume), grid.quote(told.quote), start_ns // unit, closed,
                    told.first_trade_id, told.last_trade_id, told.trades,
                )
            )  # fmt: skip
        return made

    async def avg_price(self, symbol: str, unit: TimeUnit = TimeUnit.MILLISECOND) -> AvgPrice:
        """Of the last five minutes weighted by quantity; the last price when nothing traded in them."""
        now_ns = self._gateway.now_ns()
        async with self._database() as pool:
            store = TapeStore(pool)
            window = (await store.totals([symbol], now_ns - AVERAGE_MINUTES * MINUTE_NS)).get(symbol)
            last = (await store.last_trades([symbol])).get(symbol)
        grid = self._grids[symbol]
        if last is None:
            return AvgPrice(AVERAGE_MINUTES, grid.price(0), now_ns // unit)
        price = grid.average(window.quote, window.volume) if window else grid.price(last["price_ticks"])
        return AvgPrice(AVERAGE_MINUTES, price, last["ts_ns"] // unit)

    @contextlib.asynccontextmanager
    async def _database(self) -> AsyncIterator["asyncpg.Pool[Any]"]:
        try:
            yield self._gateway.pool
        except (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError) as error:
            raise ApiError(Code.UNAVAILABLE, "The database does not answer now; try again.") from error


_AGGREGATES: Final = (
    "SELECT agg_id, min(price_ticks) AS price_ticks, sum(qty_lots) AS qty_lots, min(trade_id) AS first_trade_id, "
    "max(trade_id) AS last_trade_id, min(ts_ns) AS ts_ns, min(taker_side) AS taker_side FROM trades "
    "WHERE symbol = $1 AND agg_id >= $2 AND agg_id <= $3 GROUP BY agg_id ORDER BY agg_id {order} LIMIT $4"
)


async def _first_aggregate(pool: Any, symbol: str, start_ns: int) -> int | None:
    """Of the trades at or after a time; found by the second that the first of them is in."""
    second = start_ns // SECOND_NS * SECOND_NS
    found: int | None = await pool.fetchval(
        "SELECT agg_id FROM trades WHERE symbol = $1 AND ts_ns >= $2 AND trade_id >= (SELECT first_trade_id FROM "
        "candles WHERE symbol = $1 AND width_s = 1 AND open_ns >= $3 ORDER BY open_ns LIMIT 1) "
        "ORDER BY trade_id LIMIT 1",
        symbol,
        start_ns,
        second,
    )
    return found


async def _last_aggregate(pool: Any, symbol: str, end_ns: int) -> int:
    """Of the trades at or before a time; 0 when there is none."""
    found: int | None = await pool.fetchval(
        "SELECT agg_id FROM trades WHERE symbol = $1 AND ts_ns <= $2 AND trade_id <= (SELECT last_trade_id FROM "
        "candles WHERE symbol = $1 AND width_s = 1 AND open_ns <= $2 ORDER BY open_ns DESC LIMIT 1) "
        "ORDER BY trade_id DESC LIMIT 1",
        symbol,
        end_ns,
    )
    return found or 0


def _levels(grid: Grid, levels: Any) -> list[Level]:
    return [
        (grid.price(price), grid.quantity(lots))
        for price, lots in zip(levels["price_ticks"].tolist(), levels["qty_lots"].tolist(), strict=True)
    ]


def _kline(grid: Grid, one: Candle, end_ns: int, unit: TimeUnit) -> Kline:
    return Kline(
        one.open_ns // unit, grid.price(one.open), grid.price(one.high), grid.price(one.low), grid.price(one.close),
        grid.quantity(one.volume), end_ns // unit - 1, grid.quote(one.quote), one.trades,
        grid.quantity(one.taker_buy), grid.quote(one.taker_buy_quote),
    )  # fmt: skip
