"""The database of a data folder and the instruments in it, whether the exchange runs or not."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from actors.config import instruments_of
from deploy import checking, state_file
from market.instrument import Instrument


@contextmanager
def database(data: Path) -> Iterator[tuple[str, list[Instrument]]]:
    """DSN and instruments; with nothing running the embedded server is started for it. DeployError."""
    state = state_file.read(data)
    if state is not None:
        yield state.pg_dsn, asyncio.run(_instruments(data, state.pg_dsn))
        return
    with checking.database(data) as dsn:
        yield dsn, asyncio.run(_instruments(data, dsn))


async def _instruments(data: Path, dsn: str) -> list[Instrument]:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        return instruments_of(str(data), (await checking.shape_of(connection)).symbols)
    finally:
        await connection.close()
