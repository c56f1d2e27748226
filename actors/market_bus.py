"""The hot cache and the public market-data bus on the Redis protocol.

Each message is encoded once, as the JSON that `/ws/prices` sends on; gateways forward the bytes. A cache: when it is
away, trading goes on, and what was missed is simply replaced by what is newer.
"""

import contextlib
import time
from collections.abc import Sequence
from typing import Any, Final, cast

import msgspec
import redis.asyncio as aioredis
import structlog

from actors.cached_depth import DEPTH_CACHED, CachedDepth, encode_depth, encode_top
from actors.config import Settings
from actors.metrics import ProjectorMetrics
from market.book import Book
from market.candles import Candle
from market.enums import Side
from market.instrument import Grid, Instrument, from_steps, from_units
from market.intervals import DAY_NS, MINUTE_NS
from market.records import Records
from market.windows import RecentTrades

log = structlog.get_logger()

DEPTH_PUBLISHED: Final = 20
"""Levels per side on the bus."""
TICKS_KEPT_MS: Final = 24 * 3600 * 1000

_CACHED_AS: Final = {"depth": "levels", "ticker": "ticker"}
_SIDES: Final = [one.name for one in Side]
_NOTHING: Final = Candle(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
_encode = msgspec.json.Encoder().encode


def time_key(prefix: str) -> str:
    """Where a replay's market time is, in nanoseconds."""
    return f"{prefix}:market_time"


class MarketBus:
    def __init__(self, settings: Settings, instruments: Sequence[Instrument], metrics: ProjectorMetrics) -> None:
        self._prefix = settings.prefix
        self._instruments = instruments
        self._grids = [(Grid(one.tick), Grid(one.lot)) for one in instruments]
        self._metrics = metrics
        self._redis = aioredis.Redis.from_url(settings.redis_url, socket_timeout=2, socket_connect_timeout=2)
        self._trades: dict[int, list[dict[str, Any]]] = {}
        self._messages: list[tuple[str, str, bytes, bytes]] = []
        self._prices: dict[str, str] = {}
        self._tops: dict[str, bytes] = {}
        self._now_ns = 0
        self.healthy = False

    async def start(self) -> None:
        with contextlib.suppress(Exception):
            self.healthy = bool(await self._redis.ping())

    def add_trades(self, symbol: int, tape: Records) -> None:
        """TAPE[n] of one symbol in order."""
        ticks, lots = self._grids[symbol]
        columns = ("trade_id", "price_ticks", "qty_lots", "taker_side", "ts_ns")
        self._trades.setdefault(symbol, []).extend(
            {
                "trade_id": trade_id,
                "price": ticks[price],
                "quantity": lots[qty],
                "taker_side": _SIDES[side],
                "ts_ns": ts_ns,
            }
            for trade_id, price, qty, side, ts_ns in zip(*(tape[name].tolist() for name in columns), strict=True)
        )
        self._metrics.ticks.inc(len(tape))

    async def flush_trades(self) -> None:
        """One message per symbol, however many trades; nothing is conflated. Kept for a day as it was published."""
        if not self._trades:
            return
        taken, self._trades = self._trades, {}
        pipe = self._redis.pipeline(transaction=False)
        for symbol, rows in taken.items():
            name = self._instruments[symbol].symbol
            message = _encode({"channel": "trades", "symbol": name, "trades": rows})
            pipe.publish(f"{self._prefix}:bus:trades:{name}", message)
            key = f"{self._prefix}:ticks:{name}"
            pipe.xadd(key, {"trades": message})
            pipe.xtrim(key, minid=time.time_ns() // 1_000_000 - TICKS_KEPT_MS, approximate=True)
        await self._execute(pipe)

    def add_depth(self, symbol: int, book: Book, ts_ns: int) -> None:
        one = self._instruments[symbol]
        ticks, lots = self._grids[symbol]
        found = [book.depth(side, DEPTH_CACHED) for side in (Side.BUY, Side.SELL)]
        sides = []
        for levels in found:
            top = levels[:DEPTH_PUBLISHED]
            prices = map(ticks.__getitem__, top["price_ticks"].tolist())
            sides.append(list(zip(prices, map(lots.__getitem__, top["qty_lots"].tolist()), strict=True)))
        head = {"channel": "depth", "symbol": one.symbol, "last_update_id": book.exec_id, "ts_ns": ts_ns}
        published = _encode(head | {"bids": sides[0], "asks": sides[1]})
        cached = CachedDepth(book.exec_id, ts_ns, *found)
        self._messages.append(("depth", one.symbol, published, encode_depth(cached)))
        self._tops[one.symbol] = encode_top(cached, book.last_price_ticks)

    def add_ticker(self, symbol: int, book: Book, recent: RecentTrades, ts_ns: int) -> None:
        one = self._instruments[symbol]
        since_ns = ts_ns - DAY_NS
        window = recent.window(since_ns - since_ns % MINUTE_NS, ts_ns + MINUTE_NS) or _NOTHING
        last = book.last_price_ticks or window.close
        change = (last - window.open) / window.open * 100 if window.open else 0.0
        ticker = {
            "channel": "ticker",
            "symbol": one.symbol,
            "last_price": from_steps(last, one.tick),
            "bid": None if book.best_bid is None else from_steps(book.best_bid, one.tick),
            "ask": None if book.best_ask is None else from_steps(book.best_ask, one.tick),
            "open": from_steps(window.open, one.tick),
            "high": from_steps(window.high, one.tick),
            "low": from_steps(window.low, one.tick),
            "volume": from_steps(window.volume, one.lot),
            "quote_volume": from_units(window.quote, one.quote.scale),
            "change_percent": round(change, 3),
            "trades": window.trades,
            "ts_ns": ts_ns,
        }
        encoded = _encode(ticker)
        self._messages.append(("ticker", one.symbol, encoded, encoded))
        self._prices[one.symbol] = str(ticker["last_price"])

    def add_time(self, now_ns: int) -> None:
        """Of a replay: the market's, for who asks."""
        self._now_ns = now_ns

    async def flush(self) -> None:
        if not self._messages and not self._now_ns:
            return
        taken, self._messages = self._messages, []
        prices, self._prices = self._prices, {}
        tops, self._tops = self._tops, {}
        pipe = self._redis.pipeline(transaction=False)
        for channel, name, published, cached in taken:
            pipe.publish(f"{self._prefix}:bus:{channel}:{name}", published)
            pipe.set(f"{self._prefix}:{_CACHED_AS[channel]}:{name}", cached)
        if prices:
            pipe.hset(f"{self._prefix}:prices", mapping=cast(Any, prices))
        if tops:
            pipe.hset(f"{self._prefix}:tops", mapping=cast(Any, tops))
        if self._now_ns:
            pipe.set(time_key(self._prefix), self._now_ns)
        await self._execute(pipe)

    async def _execute(self, pipe: Any) -> None:
        try:
            await pipe.execute()
            self.healthy = True
        except Exception as error:
            self._metrics.cache_errors.inc()
            if self.healthy:
                log.warning("hot cache away; trading goes on", error=repr(error))
            self.healthy = False

    async def close(self) -> None:
        await self._redis.aclose()
