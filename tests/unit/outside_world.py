"""Books with a journal, and wires to them that can be cut."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np

from actors import instruments_file
from actors.book_actor import BookService
from actors.config import Settings, book_name
from actors.journal import Journal
from actors.wire import Batch, decode_batch
from deploy.migrate import migrate
from deploy.postgres import EmbeddedPostgres
from market.book import warm
from market.enums import CommandKind, Side
from market.listing import Listing
from market.numbering import OUTSIDE_ACCOUNT
from market.records import COMMAND, Records

WITHIN_S = 20.0
START_NS = 1_780_000_000_000_000_000


def postgres(folder: Path) -> Iterator[str]:
    """A database with our schema; kernels are compiled before any test looks at a clock."""
    server = EmbeddedPostgres(folder / "data")
    try:
        dsn = server.start()
        asyncio.run(migrate(dsn))
        warm()
        yield dsn
    finally:
        server.stop()
        shutil.rmtree(folder)


class Wire:
    """Carries bytes to a socket until it is cut; whoever comes again is carried again."""

    def __init__(self, path: str, to: str) -> None:
        self.path = path
        self._to = to
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.open = asyncio.Event()
        self.open.set()

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._carry, self.path)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if not self.open.is_set():
                raise ConnectionError("cut")
            there, back = await asyncio.open_unix_connection(self._to)
        except OSError:
            writer.close()
            return
        self._writers += [writer, back]
        for source, sink in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._pump(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(1 << 16):
                sink.write(data)
                await sink.drain()
        sink.close()

    def cut(self) -> None:
        writers, self._writers = self._writers, []
        for writer in writers:
            writer.transport.abort()

    async def stop(self) -> None:
        self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Books:
    """All books of an exchange in this process; each behind a wire."""

    def __init__(self, settings: Settings, listing: Listing | None = None) -> None:
        self.settings = settings
        self._listing = listing
        self.services: list[BookService] = []
        self.wires: list[Wire] = []
        self._running: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        for partition in range(self.settings.book_actors):
            await self._start(partition)
            name = book_name(partition)
            wire = Wire(f"{self.settings.run_dir}/{name}.wire", self.settings.socket(name))
            await wire.start()
            self.wires.append(wire)

    async def _start(self, partition: int) -> None:
        service = BookService(self.settings, partition)
        await service.start()
        self.services[partition:] = [service, *self.services[partition + 1 :]]
        self._running[partition:] = [asyncio.create_task(service.run()), *self._running[partition + 1 :]]

    @property
    def listing(self) -> Listing:
        assert self._listing is not None
        return self._listing

    async def resolve(self, name: str) -> str:
        """Where the wire to a book begins."""
        return f"{self.settings.run_dir}/{name}.wire"

    async def kill(self, partition: int) -> None:
        """As a process that is gone: nothing is saved."""
        self._running[partition].cancel()
        await asyncio.gather(self._running[partition], return_exceptions=True)
        service = self.services[partition]
        service._server.close()
        self.wires[partition].cut()
        await service.journal.close()

    async def revive(self, partition: int) -> None:
        await self._start(partition)

    async def stop(self) -> None:
        for wire in self.wires:
            await wire.stop()
        for partition in range(len(self.services)):
            await self.kill(partition)

    async def batches(self, partition: int = 0) -> list[Batch]:
        """Of its journal, without those that only begin an epoch."""
        journal = Journal(self.settings.pg_dsn, book_name(partition))
        found = [decode_batch(row.payload) async for row in journal.read(0)]
        await journal.close()
        return [one for one in found if len(one.commands)]

    def levels(self, symbol: int) -> dict[tuple[int, int], int]:
        """Shown outside: lots by side and price."""
        book: Any = self.services[self.settings.book_of(symbol)].books[symbol]
        rows = book.outside()
        return {
            (int(side), int(price)): int(shown)
            for side, price, shown in zip(rows["side"], rows["price_ticks"], rows["shown_lots"], strict=True)
        }


@asynccontextmanager
async def books(dsn: str, listing: Listing | None = None, **settings: Any) -> AsyncIterator[Books]:
    """With an empty journal."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("TRUNCATE journal, journal_stream, snapshot")
    await connection.close()
    with tempfile.TemporaryDirectory(prefix="rp-") as run_dir:
        if listing is not None:
            instruments_file.write(run_dir, listing)
        made = Books(Settings(data_dir=run_dir, run_dir=run_dir, pg_dsn=dsn, redis_url="", **settings), listing)
        await made.start()
        try:
            async with asyncio.timeout(WITHIN_S):
                yield made
        finally:
            await made.stop()


def levels(symbol: int, prices: Sequence[int], qty: int = 5, at_ns: int = START_NS, side: Side = Side.BUY) -> Records:
    """OUTSIDE_LEVELs."""
    made = np.zeros(len(prices), COMMAND)
    made["kind"] = CommandKind.OUTSIDE_LEVEL
    made["side"] = side
    made["symbol"] = symbol
    made["account"] = OUTSIDE_ACCOUNT
    made["price_ticks"] = prices
    made["qty_lots"] = qty
    made["target_id"] = at_ns
    return made
