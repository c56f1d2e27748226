"""`raypit check`: replays the journals from their beginning and compares with what is live.

Nothing of the running actors is used for the replay but the sequence numbers to stop at. With nothing running, the
embedded database is started for the check and only the journal's own consistency is told.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from actors.account_ops import OwnRow, apply_ops
from actors.config import account_name, book_name, instruments_of
from actors.errors import JournalCorrupt
from actors.journal import Journal, Row
from actors.wire import Batch, decode_batch
from deploy import state_file
from deploy.control import ask
from deploy.errors import DeployError
from market.book import Book, Books
from market.instrument import from_units
from market.ledger import Ledger


class CheckError(DeployError):
    pass


class Shape(msgspec.Struct):
    """What the data folder was created with."""

    book_actors: int
    account_actors: int
    symbols: int


def check(data: Path, console: Console) -> dict[str, Any]:
    """Everything compared; `ok` false on any difference."""
    state = state_file.read(data)
    live: dict[str, Any] = {}
    if state is not None:
        live = ask(state, "digest")
        return asyncio.run(_Replay(data, state.pg_dsn, live, console).run())
    with database(data) as dsn:
        return asyncio.run(_Replay(data, dsn, live, console).run())


@contextmanager
def database(data: Path) -> Iterator[str]:
    from deploy.data_dir import DataDir
    from deploy.postgres import EmbeddedPostgres

    if not (data / "postgres").exists():
        raise CheckError(f"there is no exchange in {data}. Name its folder with --data.")
    folder = DataDir(data)
    folder.lock()
    server = EmbeddedPostgres(data)
    try:
        yield server.start()
    finally:
        server.stop()
        folder.unlock()


async def shape_of(connection: Any) -> Shape:
    stored = await connection.fetchval("SELECT settings FROM exchange")
    if stored is None:
        raise CheckError("this database holds no exchange yet; start one with `raypit up`.")
    return msgspec.json.decode(stored, type=Shape)


class _Replay:
    def __init__(self, data: Path, dsn: str, live: dict[str, Any], console: Console) -> None:
        self._data = str(data)
        self._dsn = dsn
        self._live = live
        self._console = console
        self.differences: list[str] = []
        self.books: dict[str, dict[str, Any]] = {}
        self.accounts: dict[str, dict[str, Any]] = {}
        self.assets: dict[str, dict[str, str]] = {}

    async def run(self) -> dict[str, Any]:
        connection = await asyncpg.connect(self._dsn, timeout=10)
        try:
            self._shape = await shape_of(connection)
            rows = await connection.fetch("SELECT stream, max(seq) AS seq FROM journal GROUP BY stream")
        finally:
            await connection.close()
        self._instruments = instruments_of(self._data, self._shape.symbols)
        self._newest = {row["stream"]: row["seq"] for row in rows}
        with Progress(console=self._console, transient=True) as progress:
            for k in range(self._shape.book_actors):
                await self._book(k, progress)
            ledgers = [await self._account(k, progress) for k in range(self._shape.account_actors)]
        self._conservation(ledgers)
        return {
            "ok": not self.differences,
            "live": bool(self._live),
            "differences": self.differences,
            "assets": self.assets,
            "books": self.books,
            "accounts": self.accounts,
        }

    async def _book(self, partition: int, progress: Progress) -> None:
        name = book_name(partition)
        seq, digests = self._live.get(name, (self._newest.get(name, 0), None))
        task = progress.add_task(name, total=seq)
        symbols = range(partition, self._shape.symbols, self._shape.book_actors)
        books = Books({k: Book(self._instruments[k], k) for k in symbols})
        try:
            async for batch in self._batches(name, seq, progress, task):
                if books.apply(batch.commands).tobytes() != batch.events.tobytes():
                    self.differences.append(f"{name}: seq {batch.seq} matches to other events than were journaled")
                    return
        except JournalCorrupt as error:
            self.differences.append(str(error))
            return
        replayed = {self._instruments[k].symbol: book.digest() for k, book in books.items()}
        for symbol, digest in (digests or {}).items():
            if replayed.get(symbol) != digest:
                self.differences.append(f"{name}: {symbol} is {digest} live and {replayed.get(symbol)} replayed")
        self.books[name] = {
            "seq": seq, "digests": replayed, "live_orders": sum(book.live_orders for book in books.values())
        }  # fmt: skip

    async def _account(self, partition: int, progress: Progress) -> Ledger:
        name = account_name(partition)
        found = self._live.get(name)
        ledger = Ledger(self._instruments, partition, self._shape.account_actors)
        books = [book_name(k) for k in range(self._shape.book_actors)]
        own_seq = found["own_seq"] if found else self._newest.get(name, 0)
        ends = found["positions"] if found else [self._newest.get(one, 0) for one in books]
        task = progress.add_task(name, total=sum(ends))
        streams = [_Reader(self._batches(one, end, progress, task)) for one, end in zip(books, ends, strict=True)]
        try:
            async for row in self._rows(name, own_seq):
                own = msgspec.msgpack.decode(row.payload, type=OwnRow)
                for stream, seq in zip(streams, own.positions, strict=True):
                    async for batch in stream.until(seq):
                        ledger.settle(batch.commands, batch.events, batch.ts_ns)
                apply_ops(ledger, own.ops, row.ts_ns)
            for stream, seq in zip(streams, ends, strict=True):
                async for batch in stream.until(seq):
                    ledger.settle(batch.commands, batch.events, batch.ts_ns)
        except JournalCorrupt as error:
            self.differences.append(str(error))
            return ledger
        finally:
            for stream in streams:
                await stream.close()
        digest = ledger.digest()
        if found and found["digest"] != digest:
            self.differences.append(f"{name}: {found['digest']} live and {digest} replayed")
        for fault in [*ledger.faults(), *(found["faults"] if found else [])]:
            self.differences.append(f"{name}: {fault}")
        self.accounts[name] = {
            "own_seq": own_seq, "positions": ends, "digest": digest, "accounts": len(ledger.accounts()),
            "open_orders": ledger.live_orders,
        }  # fmt: skip
        return ledger

    def _conservation(self, ledgers: list[Ledger]) -> None:
        """Per asset: accounts + fees + outside market = deposits - withdrawals, and what partitions owe each other is nothing."""
        if not ledgers:
            return
        same = len({tuple(one["positions"]) for one in self.accounts.values()}) == 1
        for k, asset in enumerate(ledgers[0].assets):
            totals = [ledger.totals() for ledger in ledgers]
            held = sum(int(one["accounts"][k]) for one in totals)
            fees = sum(int(one["fees"][k]) for one in totals)
            external = sum(int(one["external"][k]) for one in totals)
            outside_market = sum(int(one["outside_market"][k]) for one in totals)
            clearing = sum(int(one["clearing"][k]) for one in totals)
            drift = held + fees + outside_market + external + clearing
            if drift or (clearing and same):
                self.differences.append(f"{asset.name}: drift {drift}, clearing {clearing} units")
            self.assets[asset.name] = {
                "accounts": from_units(held, asset.scale),
                "fees": from_units(fees, asset.scale),
                "outside_market": from_units(outside_market, asset.scale),
                "deposits": from_units(-external, asset.scale),
                "clearing": from_units(clearing, asset.scale),
                "drift": from_units(drift, asset.scale),
            }

    async def _rows(self, stream: str, until: int) -> AsyncGenerator[Row]:
        journal = Journal(self._dsn, stream)
        seq = 0
        try:
            async with aclosing(journal.read(0, until)) as rows:
                async for row in rows:
                    seq += 1
                    if row.seq != seq:
                        raise JournalCorrupt(f"{stream}: seq {seq} is missing")
                    yield row
        finally:
            await journal.close()
        if seq < until:
            raise JournalCorrupt(f"{stream}: ends at {seq}, {until} is live")

    async def _batches(self, stream: str, until: int, progress: Progress, task: TaskID) -> AsyncGenerator[Batch]:
        async with aclosing(self._rows(stream, until)) as rows:
            async for row in rows:
                progress.advance(task)
                yield decode_batch(row.payload)


class _Reader:
    """Batches of one stream, taken up to a position at a time."""

    def __init__(self, batches: AsyncGenerator[Batch]) -> None:
        self._batches = batches
        self._seq = 0

    async def until(self, seq: int) -> AsyncIterator[Batch]:
        while self._seq < seq:
            batch = await anext(self._batches)
            self._seq = batch.seq
            yield batch

    async def close(self) -> None:
        await self._batches.aclose()


def show(report: dict[str, Any], console: Console) -> None:
    table = Table(title="conservation per asset")
    for column in ("asset", "accounts", "fees", "outside market", "deposits - withdrawals", "drift"):
        table.add_column(column, justify="right" if column != "asset" else "left")
    for name, one in report["assets"].items():
        table.add_row(name, one["accounts"], one["fees"], one["outside_market"], one["deposits"], one["drift"])
    console.print(table)
    table = Table(title="partitions replayed from the journal" + (", equal to live" if report["live"] else ""))
    for column in ("partition", "at", "open orders", "digest"):
        table.add_column(column)
    for name, one in report["books"].items():
        for symbol, digest in one["digests"].items():
            table.add_row(f"{name} {symbol}", str(one["seq"]), "", digest)
        table.add_row(name, str(one["seq"]), str(one["live_orders"]), "")
    for name, one in report["accounts"].items():
        table.add_row(name, f"{one['own_seq']} {one['positions']}", str(one["open_orders"]), one["digest"])
    console.print(table)
    for text in report["differences"]:
        console.print(f"[bold red]difference[/] {text}", highlight=False)
    if report["ok"]:
        console.print("[bold green]no difference[/]")
