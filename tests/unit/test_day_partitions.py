"""Ticks and seconds by day of market time, against a real PostgreSQL."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np
import pytest

from actors.day_partitions import (
    SECONDS,
    TICKS,
    date_text,
    day_named,
    day_of,
    days_of,
    drop_day,
    has_rows,
    make_days,
    newest_day,
)
from actors.read_models import prepare
from actors.tape_store import TapeStore
from deploy.migrate import MIGRATIONS, migrate
from market.intervals import DAY_NS, HOUR_NS
from tests.unit.stored_world import FIRST_DAY, NAMES, database, filled, put, served, tape

ROWS = tape(range(FIRST_DAY, FIRST_DAY + 3), 200)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from served(tmp_path_factory.mktemp("days"))


@pytest.fixture
async def dsn(server: str) -> str:
    return await database(server)


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


def test_names_of_days() -> None:
    assert date_text(FIRST_DAY) == "2024-08-08"
    assert day_named("20240808") == day_named("2024-08-08") == FIRST_DAY
    assert day_of(FIRST_DAY * DAY_NS) == day_of((FIRST_DAY + 1) * DAY_NS - 1) == FIRST_DAY


async def test_any_day_gets_its_partition_when_it_comes(dsn: str, connection: Any) -> None:
    """The projector is given a day of years ago, then one of today: nothing was made ahead."""
    later = tape([FIRST_DAY + 800], 50, last_ids=(1000, 1000, 0))
    await filled(dsn, np.concatenate((ROWS, later)))
    expected = [FIRST_DAY, FIRST_DAY + 1, FIRST_DAY + 2, FIRST_DAY + 800]
    assert list(await days_of(connection, TICKS)) == list(await days_of(connection, SECONDS)) == expected
    for day in expected:
        count = await connection.fetchval(f"SELECT count(*) FROM trades_{date_text(day).replace('-', '')}")
        assert count == int((np.concatenate((ROWS, later))["ts_ns"] // DAY_NS == day).sum())


async def test_told_again_nothing_is_added(dsn: str, connection: Any) -> None:
    await filled(dsn, ROWS)
    again = await asyncpg.connect(dsn)
    await prepare(again)
    await again.execute(
        "TRUNCATE candles, projection"
    )  # a projection that starts anew: candles are added to, trades are not
    await put(again, ROWS)
    await again.close()
    assert await connection.fetchval("SELECT count(*) FROM trades") == len(ROWS)
    assert await connection.fetchval("SELECT sum(trades) FROM candles WHERE width_s = 1") == len(ROWS)


async def test_makers_at_once(dsn: str, connection: Any) -> None:
    others = [await asyncpg.connect(dsn) for _ in range(6)]
    try:
        made = await asyncio.gather(*(make_days(one, range(FIRST_DAY, FIRST_DAY + 5)) for one in others))
    finally:
        for one in others:
            await one.close()
    assert sum(made) == 10
    assert list(await days_of(connection, TICKS)) == list(range(FIRST_DAY, FIRST_DAY + 5))


async def test_a_day_is_made_while_others_read_and_write(dsn: str, connection: Any) -> None:
    await filled(dsn, ROWS)
    busy = await asyncpg.connect(dsn)
    async with busy.transaction():
        await busy.fetchval("SELECT count(*) FROM trades")
        await busy.execute("UPDATE trades SET qty_lots = qty_lots")
        await connection.execute("SET lock_timeout = 2000")
        assert await make_days(connection, [FIRST_DAY + 9]) == 2
    await busy.close()


async def test_dropping_a_day(dsn: str, connection: Any) -> None:
    await filled(dsn, ROWS)
    store = TapeStore(connection)
    assert await store.first_trade_ns(NAMES[0]) == int(ROWS[ROWS["symbol"] == 0]["ts_ns"][0])
    close = await store.close_before(NAMES[0], (FIRST_DAY + 1) * DAY_NS)
    assert close == int(ROWS[(ROWS["symbol"] == 0) & (ROWS["ts_ns"] < (FIRST_DAY + 1) * DAY_NS)]["price_ticks"][-1])
    await drop_day(connection, TICKS, FIRST_DAY)
    await drop_day(connection, SECONDS, FIRST_DAY)
    await drop_day(connection, SECONDS, FIRST_DAY)
    assert list(await days_of(connection, TICKS)) == [FIRST_DAY + 1, FIRST_DAY + 2]
    assert await newest_day(connection) == FIRST_DAY + 2
    assert await connection.fetchval("SELECT min(ts_ns) FROM trades") >= (FIRST_DAY + 1) * DAY_NS
    kept = "SELECT count(*) FROM candles WHERE width_s = $1 AND open_ns < $2"
    assert await connection.fetchval(kept, 1, (FIRST_DAY + 1) * DAY_NS) == 0
    assert await connection.fetchval(kept, 60, (FIRST_DAY + 1) * DAY_NS) > 0
    # What is left tells as much as it can: the hour of the first trade, the close of the last whole minute.
    assert await store.first_trade_ns(NAMES[0]) == int(ROWS[ROWS["symbol"] == 0]["ts_ns"][0]) // HOUR_NS * HOUR_NS
    assert await store.close_before(NAMES[0], (FIRST_DAY + 1) * DAY_NS) == close


async def test_a_reader_makes_the_drop_wait_only_so_long(dsn: str, connection: Any) -> None:
    await filled(dsn, ROWS)
    busy = await asyncpg.connect(dsn)
    async with busy.transaction():
        await busy.fetchval("SELECT count(*) FROM trades")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await drop_day(connection, TICKS, FIRST_DAY)
    await busy.close()
    await drop_day(connection, TICKS, FIRST_DAY)
    assert FIRST_DAY not in await days_of(connection, TICKS)


async def test_a_question_about_one_day_opens_no_other(dsn: str, connection: Any) -> None:
    await filled(dsn, ROWS)
    day = FIRST_DAY + 1
    plan = await connection.fetch(
        f"EXPLAIN SELECT * FROM trades WHERE ts_ns >= {day * DAY_NS} AND ts_ns < {(day + 1) * DAY_NS}"
    )
    text = "\n".join(row[0] for row in plan)
    assert "trades_20240809" in text
    assert "trades_20240808" not in text
    kinds = await connection.fetch(
        "SELECT amname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_am ON pg_am.oid = relam "
        "WHERE indrelid = 'trades_20240809'::regclass ORDER BY 1"
    )
    assert [row["amname"] for row in kinds] == ["brin", "btree", "btree"]
    assert await has_rows(connection, TICKS, day)


async def test_many_days_are_not_too_many(dsn: str, connection: Any) -> None:
    """Eight gateways' connections at once, each with all days of a year of ticks locked."""
    await make_days(connection, range(FIRST_DAY, FIRST_DAY + 365))
    pool = await asyncpg.create_pool(dsn, min_size=8, max_size=8)
    held = asyncio.Barrier(8)

    async def ask() -> None:
        async with pool.acquire() as one, one.transaction():
            await TapeStore(one).last_trades(NAMES)
            await TapeStore(one).totals(NAMES, 0)
            await held.wait()

    async with asyncio.timeout(60):
        await asyncio.gather(*(ask() for _ in range(8)))
    await pool.close()


async def test_a_database_of_before_keeps_its_rows(server: str, tmp_path: Path) -> None:
    dsn = await database(server, migrated=False)
    for path in sorted(MIGRATIONS.glob("*.sql")):
        if path.name < "0008":
            shutil.copy(path, tmp_path)
    await migrate(dsn, tmp_path)
    connection = await asyncpg.connect(dsn)
    rows = [
        (NAMES[int(one["symbol"])], int(one["trade_id"]), int(one["price_ticks"]), int(one["qty_lots"]),
         int(one["quote_units"]), int(one["taker_side"]), int(one["ts_ns"]), int(one["agg_id"]))
        for one in ROWS
    ]  # fmt: skip
    await connection.copy_records_to_table("trades", records=rows)
    candles = [("A", width, FIRST_DAY * DAY_NS, *[1] * 11) for width in (1, 60, 3600)]
    await connection.copy_records_to_table("candles", records=[row[:14] for row in candles])
    before = set(await connection.fetch("SELECT * FROM trades")), set(await connection.fetch("SELECT * FROM candles"))
    shutil.copy(MIGRATIONS / "0009_tick_partitions.sql", tmp_path)
    await migrate(dsn, tmp_path)
    await connection.reload_schema_state()
    after = set(await connection.fetch("SELECT * FROM trades")), set(await connection.fetch("SELECT * FROM candles"))
    assert len(before[0]) == len(ROWS)
    assert after == before
    await connection.close()
