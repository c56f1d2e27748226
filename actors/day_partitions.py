"""Tables cut into days of market time: the tape and the candles of a second. Makes days, lists them, drops them.

A day is the number of days since the epoch (UTC).
"""

import re
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, Final

from market.intervals import DAY_NS

TICKS: Final = "trades"
SECONDS: Final = "candles_1"
PARENTS: Final = (TICKS, SECONDS)

LOCK_LIMIT_MS: Final = 500
"""To drop a day stops new readers of the whole table while it waits for old ones; so long at most."""

_NAME: Final = re.compile(r"(?:trades|candles_1)_(\d{8})")
_LIST: Final = (
    "SELECT child.relname AS name, pg_total_relation_size(child.oid) AS bytes FROM pg_inherits "
    "JOIN pg_class AS child ON child.oid = inhrelid WHERE inhparent = to_regclass($1) ORDER BY child.relname"
)


def day_of(ts_ns: int) -> int:
    return ts_ns // DAY_NS


def date_text(day: int) -> str:
    """`2024-08-08`."""
    return datetime.fromtimestamp(day * 86_400, UTC).strftime("%Y-%m-%d")


def day_named(date: str) -> int:
    """Of `2024-08-08` or `20240808`; ValueError."""
    return int(datetime.strptime(date.replace("-", ""), "%Y%m%d").replace(tzinfo=UTC).timestamp()) // 86_400


async def make_days(connection: Any, days: Collection[int]) -> int:
    """Both tables take rows of these days from now on; how many partitions were made. Idempotent."""
    rows = await connection.fetch(
        "SELECT make_day_partition(parent, day) AS made FROM unnest($1::text[]) AS parents (parent), "
        "unnest($2::bigint[]) AS days (day)",
        list(PARENTS),
        sorted(days),
    )
    return sum(row["made"] for row in rows)


async def days_of(connection: Any, parent: str) -> dict[int, int]:
    """Day -> bytes with indexes, oldest first."""
    found = {}
    for row in await connection.fetch(_LIST, parent):
        if named := _NAME.fullmatch(row["name"]):
            found[day_named(named[1])] = row["bytes"]
    return found


async def has_rows(connection: Any, parent: str, day: int) -> bool:
    found: bool = await connection.fetchval(f"SELECT EXISTS (SELECT FROM {_partition(parent, day)})")  # noqa: S608
    return found


async def newest_day(connection: Any, parent: str = TICKS) -> int | None:
    """The newest day with a row; None: no day has one."""
    for day in reversed(await days_of(connection, parent)):
        if await has_rows(connection, parent, day):
            return day
    return None


async def drop_day(connection: Any, parent: str, day: int) -> None:
    """Give up a day at once. asyncpg.LockNotAvailableError when somebody reads the table for longer: try again."""
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = {LOCK_LIMIT_MS}")
        await connection.execute(f"DROP TABLE IF EXISTS {_partition(parent, day)}")


def _partition(parent: str, day: int) -> str:
    assert parent in PARENTS
    return f"{parent}_{date_text(day).replace('-', '')}"
