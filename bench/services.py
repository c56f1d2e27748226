"""A book and an account partition in this process, over a real PostgreSQL: the way of an order without Ray and HTTP.

The services are the actors' own, with their sockets, frames and journals; the benchmark stands where a gateway would.
"""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from actors.account_actor import AccountService
from actors.account_ops import Op
from actors.book_actor import BookService
from actors.config import MAKER_FEE_PPM, TAKER_FEE_PPM, Settings, account_name
from actors.stream import Link, connect
from actors.wire import Hello, Kind, encoder
from bench.report import BenchError
from deploy.migrate import migrate
from deploy.postgres import EmbeddedPostgres
from market.numbering import SYSTEM_ROWS
from market.records import REPORT, Records

FUNDS_UNITS: Final = 10**12
"""Of each asset that an account gets: a million of them stay below 2^62."""
OPENED_AT_ONCE: Final = 4_096
"""Accounts in one journal row."""
ANSWER_LIMIT_S: Final = 120.0


class Services:
    """One book and one account partition, live."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.book = BookService(settings, 0)
        self.account = AccountService(settings, 0)
        for follower in self.account.books:
            follower._resolve = self._resolve
        self._tasks: list[asyncio.Task[None]] = []
        self._link: Link | None = None
        self._welcomed = asyncio.Event()
        self._answered = asyncio.Event()
        self._awaited = 0
        self._told: list[Records] = []

    async def _resolve(self, name: str) -> str:
        return self.settings.socket(name)

    async def start(self) -> None:
        await self.book.start()
        self._tasks.append(asyncio.create_task(self.book.run()))
        await self.account.start()
        self._tasks.append(asyncio.create_task(self.account.run()))
        self._link = await connect(self.settings.socket(account_name(0)), self._on_frame)
        self._link.send(Kind.HELLO, encoder.encode(Hello("gateway", "bench")))
        await self._welcomed.wait()

    async def stop(self) -> None:
        """Without snapshots: as processes that are gone."""
        if self._link is not None:
            self._link.close()
        tasks = [*self._tasks, *self.account._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for service in (self.account, self.book):
            service._server.close()
            await service.journal.close()
        for follower in self.account.books:
            await follower._journal.close()

    async def open_accounts(self, count: int, assets: Sequence[str]) -> range:
        """Accounts with FUNDS_UNITS of each asset; simulated participants, for whom no read models are written."""
        first = SYSTEM_ROWS
        ids = [self.account.ledger.asset_ids[name] for name in assets]
        for at in range(first, first + count, OPENED_AT_ONCE):
            ops = []
            for account in range(at, min(at + OPENED_AT_ONCE, first + count)):
                ops.append(Op("open", account, maker_fee_ppm=MAKER_FEE_PPM, taker_fee_ppm=TAKER_FEE_PPM, quiet=True))
                ops += [Op("post", account, asset, FUNDS_UNITS) for asset in ids]
            await self.account.submit(ops)
        return range(first, first + count)

    async def send(self, commands: Records) -> list[Records]:
        """The frame's COMMAND[n], each answered: REPORT[] that came meanwhile."""
        assert self._link is not None
        commands["token"] = np.arange(1, len(commands) + 1)
        self._awaited, self._told = len(commands), []
        self._answered.clear()
        self._link.send(Kind.COMMANDS, commands.tobytes())
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S):
                await self._answered.wait()
        except TimeoutError:
            raise BenchError(
                f"{self._awaited} commands were not answered within {ANSWER_LIMIT_S:.0f} s; a bug, please tell"
            ) from None
        return self._told

    def _on_frame(self, link: Link, kind: int, body: bytes) -> None:
        if kind == Kind.WELCOME:
            self._welcomed.set()
        elif kind == Kind.REPORTS:
            reports = np.frombuffer(body, REPORT)
            self._told.append(reports)
            self._awaited -= int(np.count_nonzero(reports["last"]))
            if self._awaited <= 0:
                self._answered.set()


@contextlib.contextmanager
def database() -> Iterator[tuple[str, Path]]:
    """DSN of an embedded PostgreSQL with the schema, and a short folder for sockets; both removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="raypit-bench-"))
    server = EmbeddedPostgres(folder / "data")
    try:
        dsn = server.start()
        asyncio.run(migrate(dsn))
        yield dsn, folder
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Services]:
    services = Services(settings)
    await services.start()
    try:
        yield services
    finally:
        await services.stop()


def settings_of(dsn: str, folder: Path, symbols: int, **others: Any) -> Settings:
    return Settings(
        data_dir=str(folder), run_dir=str(folder), pg_dsn=dsn, redis_url="", symbols=symbols, rate=0.0, **others
    )
