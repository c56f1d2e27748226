"""Brings a database to this version: plain SQL files `migrations/NNNN_name.sql`, each once, in order.

A file that has been applied anywhere is history: change the schema with a new file. Each file is one
transaction together with its row in `schema_migrations`; an advisory lock lets only one run at a time.
"""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from deploy.errors import MigrationError, UnsafeDatabase

if TYPE_CHECKING:
    from asyncpg import Connection, Record

MIGRATIONS = Path(__file__).parent / "migrations"

LOCK_KEY = int.from_bytes(b"raypit", "big")
LOCK_LIMIT_S = 60
"""How long a second starter waits for the first one's migrations."""

_FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_TRANSACTION_CONTROL = re.compile(
    r"^[ \t]*(BEGIN|COMMIT|ROLLBACK|START[ \t]+TRANSACTION)[ \t]*;", re.IGNORECASE | re.MULTILINE
)
_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)"""
_DURABILITY = ("fsync", "full_page_writes", "synchronous_commit")


class Migration(msgspec.Struct, frozen=True):
    version: int
    name: str
    """The file's name without `.sql`."""
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def read_migrations(folder: Path = MIGRATIONS) -> list[Migration]:
    """The folder's files in order of their numbers; raises MigrationError when a name or number is wrong."""
    found: dict[int, Migration] = {}
    for path in sorted(folder.glob("*.sql")):
        parts = _FILE_NAME.fullmatch(path.name)
        if parts is None:
            raise MigrationError(f"{path.name} is not called NNNN_name.sql (lower case). Rename it.")
        version = int(parts[1])
        if version in found:
            raise MigrationError(f"{found[version].name} and {path.stem} have one number. Renumber the newer one.")
        sql = path.read_text(encoding="utf-8")  # text mode: a checkout with CRLF has the same checksum
        if control := _TRANSACTION_CONTROL.search(sql):
            raise MigrationError(f"{path.name} says {control[1].upper()}. Remove it: each file is one transaction.")
        found[version] = Migration(version, path.stem, sql)
    return list(found.values())


async def migrate(dsn: str, folder: Path = MIGRATIONS) -> list[str]:
    """Applies what is missing and returns the names applied.

    Raises MigrationError when an applied file was changed or is unknown here (the database is newer than the
    code), when a missing file is older than an applied one, when a statement fails. Files applied before the
    one that failed stay applied.
    """
    migrations = read_migrations(folder)
    connection = await asyncpg.connect(dsn)
    try:
        await _lock(connection)
        await connection.execute(_TABLE)
        applied = await connection.fetch("SELECT version, name, checksum FROM schema_migrations ORDER BY version")
        missing = _missing(migrations, applied)
        for migration in missing:
            await _apply(connection, migration)
        return [migration.name for migration in missing]
    finally:
        await connection.close()  # drops the advisory lock too


async def check_durability(connection: "Connection[Record]", *, allow_unsafe: bool = False) -> None:
    """Raises UnsafeDatabase when this session's commits could be lost by a crash, unless that is allowed."""
    if allow_unsafe:
        return
    rows = await connection.fetch(
        "SELECT name, setting FROM pg_settings WHERE name = ANY($1::text[]) AND setting = 'off'", _DURABILITY
    )
    if rows:
        found = ", ".join(f"{row['name']}=off" for row in rows)
        cures = " ".join(f"ALTER SYSTEM SET {row['name']} = on;" for row in rows)
        raise UnsafeDatabase(
            f"The database runs with {found}: orders that were acknowledged could be lost. "
            f"Run as its administrator: {cures} SELECT pg_reload_conf(); "
            "(and look for a setting of the role or database: ALTER ROLE ... RESET)."
        )


def _missing(migrations: Sequence[Migration], applied: "Sequence[Record]") -> list[Migration]:
    known = {migration.version: migration for migration in migrations}
    for row in applied:
        migration = known.pop(row["version"], None)
        if migration is None:
            raise MigrationError(
                f"The database has migration {row['name']} and this version of Raypit does not: "
                "the database is newer than the code. Install the Raypit that made it (or a newer one), "
                "or restore an older backup."
            )
        if migration.checksum != row["checksum"]:
            raise MigrationError(
                f"Migration {migration.name} was changed after it was applied (then called {row['name']}). "
                "Restore the file as it was released and put the change into a new migration."
            )
    newest = max((row["version"] for row in applied), default=-1)
    for migration in known.values():
        if migration.version < newest:
            raise MigrationError(
                f"Migration {migration.name} was not applied but a later one was. Give it a number above {newest:04d}."
            )
    return list(known.values())


async def _lock(connection: "Connection[Record]") -> None:
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_LIMIT_S}s'")
            await connection.execute("SELECT pg_advisory_lock($1)", LOCK_KEY)
    except asyncpg.LockNotAvailableError as error:
        raise MigrationError(
            f"Another process has been migrating this database for over {LOCK_LIMIT_S} s. "
            "Wait for it to end (pg_stat_activity shows it), then start again."
        ) from error


async def _apply(connection: "Connection[Record]", migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute(
                "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
                migration.version,
                migration.name,
                migration.checksum,
            )
    except asyncpg.PostgresError as error:
        line = _line_of(migration.sql, error)
        raise MigrationError(
            f"Migration {migration.name} failed{line} and was rolled back: {error}. "
            "Mend the file or the database (a full disk? missing rights?), then start again."
        ) from error


def _line_of(sql: str, error: asyncpg.PostgresError) -> str:
    if error.position is None:
        return ""
    return f" at line {sql.count(chr(10), 0, int(error.position) - 1) + 1}"
