"""A real PostgreSQL with a tape of some days in it, for tests of what is stored and what is done with it."""

import itertools
import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np

from actors.read_models import ReadModels, prepare
from actors.wire import Batch
from deploy.migrate import migrate
from deploy.postgres import EmbeddedPostgres
from market.intervals import DAY_NS
from market.records import COMMAND, EVENT
from market.tape import TAPE
from market.universe import instruments

SYMBOLS = instruments(3)
NAMES = [one.symbol for one in SYMBOLS]
FIRST_DAY = 19_943
"""2024-08-08."""
SCHEMAS = itertools.count()


def served(folder: Path) -> Iterator[str]:
    server = EmbeddedPostgres(folder / "data")
    try:
        yield server.start()
    finally:
        server.stop()
        shutil.rmtree(folder)


async def database(server: str, *, migrated: bool = True) -> str:
    """A DSN with an empty schema of its own."""
    name = f"stored_{next(SCHEMAS)}"
    connection = await asyncpg.connect(server)
    await connection.execute(f"CREATE SCHEMA {name}")
    await connection.close()
    dsn = f"{server}&search_path={name}"
    if migrated:
        await migrate(dsn)
    return dsn


def tape(days: Sequence[int], per_day: int, seed: int = 1, last_ids: Sequence[int] = (0, 0, 0)) -> Any:
    """TAPE[n] in order of time; the edges of each day are in it."""
    dice, ids = random.Random(seed), list(last_ids)
    rows = []
    for day in days:
        inside = sorted(dice.randrange(DAY_NS) for _ in range(per_day - 2))
        for at in (0, *inside, DAY_NS - 1):
            symbol = dice.randrange(2)  # the third never trades
            ids[symbol] += 1
            price, qty = dice.randrange(1, 1 << 40), dice.randrange(1, 1 << 20)
            rows.append(
                (
                    symbol,
                    ids[symbol],
                    ids[symbol],
                    price,
                    qty,
                    price + qty,
                    dice.randrange(2),
                    day * DAY_NS + at,
                    False,
                    False,
                    0,
                    0,
                )
            )
    return np.array(rows, TAPE)


async def put(connection: Any, rows: Any, seq: int = 1) -> None:
    """As the projector writes it; `connection` has been prepared."""
    models = ReadModels(SYMBOLS, set())
    models.add(Batch(0, 1, seq, int(rows["ts_ns"].max()), np.zeros(1, COMMAND), np.zeros(0, EVENT)))
    models.add_tape(rows[np.argsort(rows["symbol"], kind="stable")])
    models.positions["book-0"] = seq
    await models.write(connection, "test")


async def filled(dsn: str, rows: Any, flushes: int = 5) -> None:
    connection = await asyncpg.connect(dsn)
    await prepare(connection)
    for seq, part in enumerate(np.array_split(rows, flushes), 1):
        await put(connection, part, seq)
    await connection.close()
