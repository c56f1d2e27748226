"""Turns the books' committed batches into read models: tables in PostgreSQL, the hot cache and the public bus in Redis.

A follower like any other: it may lag, fall over and start again; no order ever waits for it.
"""

import asyncio
import contextlib
import time
from typing import Any, Final

import asyncpg
import msgspec
import numpy as np
import structlog

from actors.book_actor import BookSnapshot
from actors.config import Settings, book_name
from actors.follower import BookFollower
from actors.journal import Journal
from actors.market_bus import MarketBus
from actors.metrics import ProjectorMetrics
from actors.read_models import ReadModels, prepare
from actors.wire import Batch, Hello
from market.book import Book
from market.candles import DAY_MINUTES, MINUTE_NS, Candle, DayWindow
from market.enums import EventKind, Side
from market.records import COMMAND, Records, joined

log = structlog.get_logger()

NAME: Final = "projector"
FLUSH_EVERY_S: Final = 0.25
"""PostgreSQL is written at most this often; everything since the last time goes in one transaction."""
PUBLISH_EVERY_S: Final = 0.1
"""Depth and tickers are conflated to this; trades are published at once."""
PENDING_LIMIT: Final = 200_000
"""Events waiting for PostgreSQL; beyond it the books are no longer read."""


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
        self._fresh: list[Batch] = []
        self._fresh_events = 0
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
        """Only set aside: a batch may hold a single command, and looking into many at once costs hardly more."""
        self._fresh.append(batch)
        self._fresh_events += len(batch.events)
        self._lag_s = (time.time_ns() - batch.ts_ns) / 1e9
        self._wake.set()
        if self._fresh_events + len(self._models) > PENDING_LIMIT:
            link = self._followers[batch.partition].link
            if link is not None:
                link.pause()

    def _absorb(self) -> None:
        """Bring shadow books, tape, candles and read models up to the newest batch."""
        fresh, self._fresh, self._fresh_events = self._fresh, [], 0
        shadowed = [batch.commands for batch in fresh if batch.seq > self._shadowed[batch.partition]]
        if shadowed:
            self._shadow_apply(joined(shadowed, COMMAND))
        for batch in fresh:
            partition = batch.partition
            self._shadowed[partition] = max(self._shadowed[partition], batch.seq)
            if batch.seq > self._written[partition]:
                self._written[partition] = batch.seq
                self._models.add(batch)
                self._models.positions[book_name(partition)] = batch.seq
                self._tell_trades(batch)

    def _shadow_apply(self, commands: Records) -> None:
        by_symbol = commands[np.argsort(commands["symbol"], kind="stable")]
        starts = np.flatnonzero(np.diff(by_symbol["symbol"], prepend=-1))
        for own in np.split(by_symbol, starts[1:]):
            if len(own):
                symbol = int(own["symbol"][0])
                self.books[symbol].apply(own)
                self._dirty.add(symbol)

    def _tell_trades(self, batch: Batch) -> None:
        events = batch.events
        trades = events[events["kind"] == EventKind.TRADE]
        if not len(trades):
            return
        columns = ("symbol", "trade_id", "price_ticks", "qty_lots", "quote_units", "side")
        for symbol, trade_id, price, qty, quote, side in zip(*(trades[one].tolist() for one in columns), strict=True):
            candle = self.windows[symbol].trade(batch.ts_ns, trade_id, price, qty, quote, side == Side.BUY)
            self._models.candles[self.instruments[symbol].symbol, candle.open_ns] = candle
            self.bus.add_trade(symbol, trade_id, price, qty, side, batch.ts_ns)
        self.metrics.ticks.inc(len(trades))

    async def _write_loop(self) -> None:
        connection: asyncpg.Connection | None = None
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            self._absorb()
            if not self._models.positions:
                continue
            models = self._models.sealed()
            self._models = ReadModels(self.instruments, models.quiet)
            while True:
                try:
                    if connection is None or connection.is_closed():
                        connection = await asyncpg.connect(self.settings.pg_dsn, timeout=5, command_timeout=60)
                        await prepare(connection)
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
        new = models.accounts() - self._users_seen
        if new:
            self._users_seen |= new
            await self._learn_quiet(connection)

    async def _publish_loop(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._absorb()
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
            "pending_rows": self._fresh_events + len(self._models),
            "books": {book_name(f.partition): f.seq for f in self._followers},
            "cache": self.bus.healthy,
        }

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self.bus.close()
