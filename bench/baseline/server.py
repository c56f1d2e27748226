"""The baseline, running: PostgreSQL and Valkey of its own with Raypit's settings, uvicorn, users with funds."""

import asyncio
import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import asyncpg

from bench.baseline.app import DSN, REDIS_URL, SYMBOLS
from bench.report import BenchError
from deploy.migrate import check_durability
from deploy.postgres import EmbeddedPostgres
from deploy.valkey import EmbeddedValkey
from market.instrument import Instrument, assets_of
from market.universe import instruments

START_LIMIT_S: Final = 60.0
QUOTE_UNITS: Final = 10**5
"""Whole units of the quote asset that a user gets, as in Raypit."""
BASE_WORTH: Final = 50_000
"""And of each base asset so much in the quote asset, as `bench.exchange` tops up."""


class Running(NamedTuple):
    dsn: str
    host: str
    port: int
    pid: int
    """Of uvicorn's first process; its servers are not among its children."""
    tokens: list[str]


@contextlib.contextmanager
def served(users: int, symbols: int, workers: int) -> Iterator[Running]:
    """Everything is removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="raypit-bench-"))
    postgres, valkey = EmbeddedPostgres(folder / "data"), EmbeddedValkey(folder / "data")
    try:
        dsn, url = postgres.start(), valkey.start()
        tokens = asyncio.run(_filled(dsn, users, instruments(symbols)))
        with _uvicorn(dsn, url, symbols, workers, folder / "uvicorn.log") as (process, port):
            yield Running(dsn, "127.0.0.1", port, process.pid, tokens)
    finally:
        valkey.stop()
        postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def _filled(dsn: str, users: int, listed: list[Instrument]) -> list[str]:
    """Tables, markets, users; the users' tokens."""
    tokens = [secrets.token_hex(16) for _ in range(users)]
    names = [asset.name for asset in assets_of(listed)]
    funds = {listed[0].quote.name: QUOTE_UNITS * 10 ** listed[0].quote.scale}
    for one in listed:
        quote_units = BASE_WORTH * 10**one.quote.scale
        lots = quote_units // (one.start_price_ticks * one.quote_units_per_tick_lot) + 1
        funds[one.base.name] = lots * one.base_units_per_lot
    connection = await asyncpg.connect(dsn)
    try:
        await check_durability(connection)
        await connection.execute((Path(__file__).parent / "schema.sql").read_text())
        await connection.executemany(
            "INSERT INTO markets VALUES ($1, $2, $3, $4, $5)",
            [
                (k, i.symbol, names.index(i.base.name), names.index(i.quote.name), i.start_price_ticks)
                for k, i in enumerate(listed)
            ],
        )
        await connection.executemany(
            "INSERT INTO users (id, name, token) VALUES ($1, $2, $3)",
            [(k + 1, f"user-{k + 1}", token) for k, token in enumerate(tokens)],
        )
        await connection.executemany(
            "INSERT INTO balances (account, asset, free) VALUES ($1, $2, $3)",
            [(k + 1, names.index(name), units) for k in range(users) for name, units in funds.items()],
        )
        await connection.execute("ANALYZE")
    finally:
        await connection.close()
    return tokens


@contextlib.contextmanager
def _uvicorn(
    dsn: str, url: str, symbols: int, workers: int, log: Path
) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "bench.baseline.app:make", "--factory", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", str(workers), "--loop", "uvloop", "--http", "httptools"]
    command += ["--ws", "websockets-sansio", "--ws-per-message-deflate", "false", "--no-access-log"]
    command += ["--log-level", "warning"]
    environment = {**os.environ, DSN: dsn, REDIS_URL: url, SYMBOLS: str(symbols)}
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        _await(process, port, log)
        yield process, port
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2) as probe:
            probe.settimeout(2)
            probe.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            if b" 200 " in probe.recv(64):
                return
        time.sleep(0.05)
    raise BenchError(f"the baseline did not come up:\n{log.read_text(errors='replace')[-1500:]}")
