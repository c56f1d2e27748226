"""The migration runner against a real PostgreSQL, one schema per test."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

import deploy.migrate
from deploy.errors import MigrationError, UnsafeDatabase
from deploy.migrate import LOCK_KEY, MIGRATIONS, check_durability, migrate, read_migrations
from deploy.postgres import EmbeddedPostgres

if TYPE_CHECKING:
    from asyncpg import Connection, Record

_NUMBERS = count()

ORDERS = "CREATE TABLE orders (id bigint PRIMARY KEY);\nINSERT INTO orders VALUES (1);\n"
COLUMN = "ALTER TABLE orders ADD COLUMN qty bigint;\n"
TRADES = "CREATE TABLE trades (id bigint);\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("migrate")
    server = EmbeddedPostgres(folder / "data")
    try:
        yield server.start()
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture
async def dsn(server: str) -> str:
    name = f"test_{next(_NUMBERS)}"
    connection = await asyncpg.connect(server)
    await connection.execute(f"CREATE SCHEMA {name}")
    await connection.close()
    return f"{server}&search_path={name}"


@pytest.fixture
async def connection(dsn: str) -> "AsyncIterator[Connection[Record]]":
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "0001_orders", ORDERS)
    write(tmp_path, "0002_qty", COLUMN)
    return tmp_path


def write(folder: Path, name: str, sql: str) -> None:
    (folder / f"{name}.sql").write_text(sql)


async def applied(connection: "Connection[Record]") -> list[str]:
    return [row["name"] for row in await connection.fetch("SELECT name FROM schema_migrations ORDER BY version")]


async def test_applies_each_once_in_order(dsn: str, folder: Path, connection: "Connection[Record]") -> None:
    assert await migrate(dsn, folder) == ["0001_orders", "0002_qty"]
    assert await migrate(dsn, folder) == []
    write(folder, "0010_trades", TRADES)
    assert await migrate(dsn, folder) == ["0010_trades"]
    assert await applied(connection) == ["0001_orders", "0002_qty", "0010_trades"]
    assert [tuple(row) for row in await connection.fetch("SELECT * FROM orders")] == [(1, None)]
    assert await connection.fetchval("SELECT count(*) FROM schema_migrations WHERE applied_at <= now()") == 3


async def test_starters_at_once_apply_once(dsn: str, folder: Path, connection: "Connection[Record]") -> None:
    found = await asyncio.gather(*(migrate(dsn, folder) for _ in range(4)))
    assert sorted(found) == [[], [], [], ["0001_orders", "0002_qty"]]
    assert await connection.fetchval("SELECT count(*) FROM orders") == 1


async def test_waits_for_another_only_so_long(
    dsn: str, folder: Path, connection: "Connection[Record]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy.migrate, "LOCK_LIMIT_S", 0.05)
    await connection.execute("SELECT pg_advisory_lock($1)", LOCK_KEY)
    with pytest.raises(MigrationError, match="Another process"):
        await migrate(dsn, folder)
    await connection.execute("SELECT pg_advisory_unlock($1)", LOCK_KEY)
    assert await migrate(dsn, folder) == ["0001_orders", "0002_qty"]


async def test_failure_rolls_its_file_back(dsn: str, folder: Path, connection: "Connection[Record]") -> None:
    write(folder, "0003_broken", "CREATE TABLE half (id bigint);\nSELECT 1;\nSELECT * FROM nowhere;\n")
    with pytest.raises(MigrationError, match=r'0003_broken failed at line 3 .*"nowhere" does not exist'):
        await migrate(dsn, folder)
    assert await applied(connection) == ["0001_orders", "0002_qty"]
    assert await connection.fetchval("SELECT to_regclass('half')") is None
    write(folder, "0003_broken", "CREATE TABLE half (id bigint);\n")
    assert await migrate(dsn, folder) == ["0003_broken"]


async def test_changed_file_is_refused(dsn: str, folder: Path, connection: "Connection[Record]") -> None:
    await migrate(dsn, folder)
    write(folder, "0001_orders", ORDERS + "-- better\n")
    write(folder, "0003_trades", TRADES)
    with pytest.raises(MigrationError, match="0001_orders was changed after it was applied"):
        await migrate(dsn, folder)
    assert await applied(connection) == ["0001_orders", "0002_qty"]


async def test_line_endings_are_no_change(dsn: str, folder: Path) -> None:
    await migrate(dsn, folder)
    (folder / "0001_orders.sql").write_bytes(ORDERS.replace("\n", "\r\n").encode())
    assert await migrate(dsn, folder) == []


async def test_newer_database_is_refused(dsn: str, folder: Path) -> None:
    await migrate(dsn, folder)
    (folder / "0002_qty.sql").unlink()
    with pytest.raises(MigrationError, match=r"has migration 0002_qty .*newer than the code"):
        await migrate(dsn, folder)


async def test_late_comer_is_refused(dsn: str, tmp_path: Path) -> None:
    write(tmp_path, "0005_trades", TRADES)
    await migrate(dsn, tmp_path)
    write(tmp_path, "0004_orders", ORDERS)
    with pytest.raises(MigrationError, match=r"0004_orders was not applied .*above 0005"):
        await migrate(dsn, tmp_path)


@pytest.mark.parametrize(
    ("name", "sql", "complaint"),
    [
        ("orders", ORDERS, "NNNN_name.sql"),
        ("0003_Orders", ORDERS, "NNNN_name.sql"),
        ("0002_again", ORDERS, "one number"),
        ("0003_own", f"BEGIN;\n{TRADES}COMMIT;\n", "says BEGIN"),
    ],
)
def test_unfit_files(folder: Path, name: str, sql: str, complaint: str) -> None:
    write(folder, name, sql)
    with pytest.raises(MigrationError, match=complaint):
        read_migrations(folder)


def test_functions_may_begin(tmp_path: Path) -> None:
    body = "CREATE FUNCTION one() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n  RETURN 1;\nEND $$;\n"
    write(tmp_path, "0001_function", body)
    assert [migration.sql for migration in read_migrations(tmp_path)] == [body]


async def test_the_migrations_of_raypit(dsn: str) -> None:
    names = [migration.name for migration in read_migrations(MIGRATIONS)]
    assert await migrate(dsn) == names
    assert await migrate(dsn) == []


async def test_durability(connection: "Connection[Record]") -> None:
    await check_durability(connection)
    await connection.execute("SET synchronous_commit = off")
    with pytest.raises(UnsafeDatabase, match=r"synchronous_commit=off.*could be lost.*ALTER SYSTEM"):
        await check_durability(connection)
    await check_durability(connection, allow_unsafe=True)


async def test_server_that_forgets(server: str, connection: "Connection[Record]") -> None:
    admin = await asyncpg.connect(server)
    try:
        await admin.execute("ALTER SYSTEM SET fsync = off")
        await admin.execute("ALTER SYSTEM SET full_page_writes = off")
        await admin.execute("SELECT pg_reload_conf()")
        async with asyncio.timeout(20):
            while await connection.fetchval("SHOW fsync") == "on":
                pass
        with pytest.raises(UnsafeDatabase, match="fsync=off, full_page_writes=off"):
            await check_durability(connection)
    finally:
        await admin.execute("ALTER SYSTEM RESET ALL")
        await admin.execute("SELECT pg_reload_conf()")
        await admin.close()
