"""Turns the books' committed batches into read models: tables in PostgreSQL, the hot cache and the public bus in Redis.

A follower like any other: it may lag, fall over and start again; no order ever waits for it.
"""

import asyncio
import contextlib
import time
from typing import Any, Final

import asyncpg
import msgspec
import structlog

from actors.book_actor import BookSnapshot
from actors.config import Settings, book_name
from actors.follower import BookFollower
from actors.journal import Journal
from actors.market_bus import MarketBus
from actors.metrics import ProjectorMetrics
from actors.read_models import ReadModels
from actors.wire import Batch, Hello
from market.book import Book
from market.candles import DAY_MINUTES, MINUTE_NS, Candle, DayWindow
from market.enums import EventKind, Side

log = structlog.get_logger()

NAME: Final = "projector"
FLUSH_EVERY_S: Final = 0.25
"""PostgreSQL is written at most this often; everything since the last time goes in one transaction."""
PUBLISH_EVERY_S: Final = 0.1
"""Depth and tickers are conflated to this; trades are published at once."""
PENDING_LIMIT: Final = 200_000
"""Rows waiting for PostgreSQL; beyond it the books are no longer read."""


class ProjectorService:
    def __init__(self, settings: Settings) -> None:
        self.name = NAME
        self.settings = settings
        self.instruments = settings.instruments()
        self.metrics = ProjectorMetrics(NAME)
        self.books = {k: Book(one, k) for k, one in enumerate(self.instruments)}
        self.windows = [DayWindow() for _ in self.instruments]
        self.bus = MarketBus(settings, self.instruments, self.metrics)
        self._models = ReadModels(self.instruments, set())
        self._written: dict[int, int] = {}
        self._shadowed: dict[int, int] = {}
        self._followers: list[BookFollower] = []
        self._dirty: set[int] = set(range(len(self.instruments)))
        self._wake = asyncio.Event()
        self._users_seen: set[int] = set()
        self._tasks: list[asyncio.Task[Any]] = []
        self._lag_s = 0.0

    async def start(self) -> None:
        connection = await asyncpg.connect(self.settings.pg_dsn, timeout=5)
        try:
            rows = await connection.fetch("SELECT stream, seq FROM projection WHERE name = $1", NAME)
            self._positions = {row["stream"]: row["seq"] for row in rows}
            await self._learn_quiet(connection)
            await self._load_windows(connection)
        finally:
            await connection.close()
        for partition in range(self.settings.book_actors):
            await self._shadow(partition)
            written = self._positions.get(book_name(partition), 0)
            self._written[partition] = written
            follower = BookFollower(self.settings.pg_dsn, partition, lambda: Hello("follower", NAME), self._on_batch)
            follower.seq = min(written, self._shadowed[partition])
            self._followers.append(follower)
        await self.bus.start()

    async def _shadow(self, partition: int) -> None:
        """Start the shadow books from the book actor's newest snapshot."""
        self._shadowed[partition] = 0
        journal = Journal(self.settings.pg_dsn, book_name(partition))
        if found := await journal.newest_snapshot():
            seq, payload = found
            for symbol, data in msgspec.msgpack.decode(payload, type=BookSnapshot).books.items():
                self.books[symbol] = Book.restore(self.instruments[symbol], symbol, data)
            self._shadowed[partition] = seq
        await journal.close()

    async def _learn_quiet(self, connection: asyncpg.Connection) -> None:
        rows = await connection.fetch("SELECT user_id FROM users WHERE role = 'agent'")
        self._models.quiet.update(self.settings.account_of(row["user_id"]) for row in rows)

    async def _load_windows(self, connection: asyncpg.Connection) -> None:
        since = time.time_ns() - DAY_MINUTES * MINUTE_NS
        for k, one in enumerate(self.instruments):
            rows = await connection.fetch(
                "SELECT open_ns, open_ticks, high_ticks, low_ticks, close_ticks, volume_lots, quote_units, trades, "
                "taker_buy_lots, first_trade_id, last_trade_id FROM candles WHERE symbol = $1 AND open_ns > $2 "
                "ORDER BY open_ns",
                one.symbol,
                since,
            )
            self.windows[k].load([Candle(*(int(v) for v in row)) for row in rows])

    async def run(self) -> None:
        self._tasks = [asyncio.create_task(f.run()) for f in self._followers]
        self._tasks += [asyncio.create_task(self._write_loop()), asyncio.create_task(self._publish_loop())]
        await asyncio.gather(*self._tasks)

    def _on_batch(self, batch: Batch) -> None:
        if batch.seq > self._shadowed[batch.partition]:
            self._shadowed[batch.partition] = batch.seq
            self._shadow_apply(batch)
        if batch.seq > self._written[batch.partition]:
            self._written[batch.partition] = batch.seq
            self._project(batch)
        self._lag_s = (time.time_ns() - batch.ts_ns) / 1e9
        self._wake.set()
        if len(self._models) > PENDING_LIMIT:
            link = self._followers[batch.partition].link
            if link is not None:
                link.pause()

    def _shadow_apply(self, batch: Batch) -> None:
        commands = batch.commands
        for symbol in set(commands["symbol"].tolist()):
            self.books[symbol].apply(commands[commands["symbol"] == symbol])
            self._dirty.add(symbol)

    def _project(self, batch: Batch) -> None:
        models = self._models
        models.add_orders(batch)
        trades = batch.events[batch.events["kind"] == EventKind.TRADE]
        for e in trades:
            symbol = int(e["symbol"])
            name = self.instruments[symbol].symbol
            price, qty, quote = int(e["price_ticks"]), int(e["qty_lots"]), int(e["quote_units"])
            trade_id, side = int(e["trade_id"]), int(e["side"])
            models.trades.append((name, trade_id, price, qty, quote, side, batch.ts_ns))
            candle = self.windows[symbol].trade(batch.ts_ns, trade_id, price, qty, quote, side == Side.BUY)
            models.candles[name, candle.open_ns] = candle
            self.bus.add_trade(symbol, trade_id, price, qty, side, batch.ts_ns)
        models.positions[book_name(batch.partition)] = batch.seq
        self.metrics.ticks.inc(len(trades))

    async def _write_loop(self) -> None:
        connection: asyncpg.Connection | None = None
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            if not self._models.positions:
                continue
            models = self._models
            self._models = ReadModels(self.instruments, models.quiet)
            while True:
                try:
                    if connection is None or connection.is_closed():
                        connection = await asyncpg.connect(self.settings.pg_dsn, timeout=5, command_timeout=60)
                    await self._learn_quiet_if_new(connection, models)
                    self.metrics.rows.inc(await models.write(connection, NAME))
                    self.metrics.lag_s.set(self._lag_s)
                    break
                except Exception as error:
                    log.warning("read models not written, will be", error=repr(error))
                    if connection is not None:
                        with contextlib.suppress(Exception):
                            connection.terminate()
                    connection = None
                    await asyncio.sleep(0.5)
            for follower in self._followers:
                if follower.link is not None:
                    follower.link.resume()

    async def _learn_quiet_if_new(self, connection: asyncpg.Connection, models: ReadModels) -> None:
        """Accounts seen for the first time may be simulated participants that registered after our start."""
        new = {row.account for row in models.orders.values() if row.created_ns} - self._users_seen
        if not new:
            return
        self._users_seen |= new
        await self._learn_quiet(connection)
        quiet = models.quiet
        models.orders = {k: row for k, row in models.orders.items() if not row.created_ns or row.account not in quiet}
        models.executions = [row for row in models.executions if row[0] not in quiet]

    async def _publish_loop(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self.bus.flush_trades()
            dirty = sorted(self._dirty)
            self._dirty.clear()
            now = time.time_ns()
            for symbol in dirty:
                self.windows[symbol].expire(now)
                self.bus.add_depth(symbol, self.books[symbol], now)
                self.bus.add_ticker(symbol, self.books[symbol], self.windows[symbol], now)
            await self.bus.flush()
            await asyncio.sleep(PUBLISH_EVERY_S)

    def status(self) -> dict[str, object]:
        return {
            "name": NAME,
            "lag_s": round(self._lag_s, 4),
            "pending_rows": len(self._models),
            "books": {book_name(f.partition): f.seq for f in self._followers},
            "cache": self.bus.healthy,
        }

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self.bus.close()
