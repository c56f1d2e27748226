"""Turns the books' committed batches into read models: tables in PostgreSQL, the hot cache and the public bus in Redis.

A follower like any other: it may lag, fall over and start again; no order ever waits for it.
"""

import asyncio
import contextlib
from typing import Any, Final

import asyncpg
import msgspec
import structlog

from actors.book_actor import BookSnapshot
from actors.config import Settings, book_name
from actors.follower import BookFollower
from actors.give_way import server_gives_way
from actors.jobs import Housekeeping
from actors.journal import Journal
from actors.live_market import LiveMarket
from actors.market_now import MarketNow
from actors.market_publisher import MarketPublisher
from actors.metrics import JobMetrics, ProjectorMetrics
from actors.read_models import ReadModels, prepare
from actors.scheduler import Scheduler
from actors.wire import Batch, Hello

log = structlog.get_logger()

NAME: Final = "projector"
FLUSH_EVERY_S: Final = 0.25
"""PostgreSQL is written at most this often; everything since the last time goes in one transaction."""
PENDING_LIMIT: Final = 200_000
"""Events waiting for PostgreSQL; beyond it the books are no longer read."""


class ProjectorService:
    def __init__(self, settings: Settings) -> None:
        self.name = NAME
        self.settings = settings
        self.instruments = settings.instruments()
        self.metrics = ProjectorMetrics(NAME)
        self.market = LiveMarket(self.instruments, MarketNow.of(settings))
        self.publisher = MarketPublisher(settings, self.market, self.metrics, self._absorb)
        self._models = ReadModels(self.instruments, set())
        work = JobMetrics(self.metrics)
        chores = Housekeeping(settings, self.instruments, lambda: self.market.ts_ns, work)
        self.scheduler = Scheduler(settings.pg_dsn, chores.jobs(), work)
        self._written: dict[int, int] = {}
        self._shadowed: dict[int, int] = {}
        self._followers: list[BookFollower] = []
        self._fresh: list[Batch] = []
        self._fresh_events = 0
        self._room = asyncio.Event()
        """Cleared while too much waits to be written."""
        self._room.set()
        self._users_seen: set[int] = set()
        self._tasks: list[asyncio.Task[Any]] = []
        self._lag_s = 0.0

    async def start(self) -> None:
        connection = await asyncpg.connect(self.settings.pg_dsn, timeout=5, command_timeout=60)
        try:
            # One state of the read models: positions, numbers of aggregates and candles belong together.
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                rows = await connection.fetch("SELECT stream, seq FROM projection WHERE name = $1", NAME)
                positions = {row["stream"]: row["seq"] for row in rows}
                await self._learn_quiet(connection)
                await self.market.load(connection)
        finally:
            await connection.close()
        for partition in range(self.settings.book_actors):
            await self._shadow(partition)
            written = positions.get(book_name(partition), 0)
            self._written[partition] = written
            follower = BookFollower(
                self.settings.pg_dsn, partition, lambda: Hello("follower", NAME), self._on_batch, room=self._room
            )
            follower.seq = min(written, self._shadowed[partition])
            self._followers.append(follower)
        await self.publisher.start()

    async def _shadow(self, partition: int) -> None:
        """Start the shadow books from the book actor's newest snapshot."""
        self._shadowed[partition] = 0
        journal = Journal(self.settings.pg_dsn, book_name(partition))
        if found := await journal.newest_snapshot():
            seq, payload = found
            snapshot = msgspec.msgpack.decode(payload, type=BookSnapshot)
            self.market.now_ns.saw(snapshot.ts_ns)
            for symbol, data in snapshot.books.items():
                self.market.restore_book(symbol, data)
            self._shadowed[partition] = seq
        await journal.close()

    async def _learn_quiet(self, connection: asyncpg.Connection) -> None:
        rows = await connection.fetch("SELECT user_id FROM users WHERE role = 'agent'")
        self._models.quiet.update(self.settings.account_of(row["user_id"]) for row in rows)

    async def run(self) -> None:
        self._tasks = [asyncio.create_task(f.run()) for f in self._followers]
        works = (self._write_loop(), self.publisher.run(), self._open(), self.scheduler.run())
        self._tasks += [asyncio.create_task(work) for work in works]
        await asyncio.gather(*self._tasks)

    async def _open(self) -> None:
        """What has been published is never gone back on: it begins when all books have caught up once."""
        for follower in self._followers:
            await follower.live.wait()
        self.publisher.open = True
        self.publisher.wake.set()

    def _on_batch(self, batch: Batch) -> None:
        """Only set aside: a batch may hold a single command, and looking into many at once costs hardly more."""
        self._fresh.append(batch)
        self._fresh_events += len(batch.events)
        self._lag_s = (self.market.now_ns() - batch.ts_ns) / 1e9
        self.publisher.wake.set()
        if self._fresh_events + len(self._models) > PENDING_LIMIT:
            self._room.clear()
            link = self._followers[batch.partition].link
            if link is not None:
                link.pause()

    def _absorb(self) -> None:
        """Bring books, tape, candles and read models up to the newest batch."""
        fresh, self._fresh, self._fresh_events = self._fresh, [], 0
        if not fresh:
            return
        shadowed = [batch for batch in fresh if batch.seq > self._shadowed[batch.partition]]
        touched, tops = self.market.apply(shadowed, self.publisher.watched)
        unwritten = [batch for batch in fresh if batch.seq > self._written[batch.partition]]
        tape = self.market.follow_tape(unwritten)
        for batch in unwritten:
            self._models.add(batch)
            self._models.positions[book_name(batch.partition)] = batch.seq
        self._models.add_tape(tape)
        for batch in fresh:
            self._shadowed[batch.partition] = max(self._shadowed[batch.partition], batch.seq)
            self._written[batch.partition] = max(self._written[batch.partition], batch.seq)
        self.publisher.note(touched, tops, tape)

    async def _write_loop(self) -> None:
        connection: asyncpg.Connection | None = None
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            self._absorb()
            if not self._models.positions:
                continue
            models = self._models
            self._models = ReadModels(self.instruments, models.quiet)
            while True:
                try:
                    if connection is None or connection.is_closed():
                        connection = await asyncpg.connect(self.settings.pg_dsn, timeout=5, command_timeout=60)
                        server_gives_way(connection, self.settings.pg_dsn)
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
            self._room.set()
            for follower in self._followers:
                if follower.link is not None:
                    follower.link.resume()

    async def _learn_quiet_if_new(self, connection: asyncpg.Connection, models: ReadModels) -> None:
        """Accounts seen for the first time may be simulated participants that registered after our start."""
        new = models.accounts() - self._users_seen
        if new:
            self._users_seen |= new
            await self._learn_quiet(connection)

    async def queue(self, symbol: int, order_id: int) -> dict[str, Any]:
        """How a resting order stands in the venue's queue now, in lots, and how many prices the venue shows."""
        book = self.market.books[symbol]
        found = book.orders()
        found = found[(found["order_id"] == order_id) & (found["ahead_lots"] >= 0)]
        figures = found[["ahead_lots", "by_trades_lots", "by_cancels_lots"]].tolist()
        return {"figures": list(figures[0]) if figures else None, "venue_levels": len(book.outside())}

    def status(self) -> dict[str, object]:
        return {
            "name": NAME,
            "lag_s": round(self._lag_s, 4),
            "pending_rows": self._fresh_events + len(self._models),
            "books": {book_name(f.partition): f.seq for f in self._followers},
            "cache": self.publisher.bus.healthy,
        }

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self.publisher.close()
