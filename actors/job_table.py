"""The table of scheduled work, for all that read it or ask for a run: the scheduler, the gateways, the command line."""

from datetime import datetime
from typing import Any, Final

import msgspec


class JobRow(msgspec.Struct, frozen=True):
    name: str
    schedule: str
    """For people: `every 10 min`, `daily at 00:20 UTC`."""
    state: str
    """`waiting`, `running`, or `failed`: it waits to be tried again."""
    progress: float | None
    """Of the run under way, 0 to 1."""
    started_at: datetime | None
    finished_at: datetime | None
    succeeded_at: datetime | None
    duration_s: float | None
    """Of the last run that ended."""
    result: dict[str, Any] | None
    """Of the last run that went well."""
    error: str | None
    failures: int
    """In a row."""
    next_run_at: datetime | None
    asked_at: datetime | None
    """Somebody wants it now, and it has not begun."""


COLUMNS: Final = ", ".join(JobRow.__struct_fields__)
_ASK: Final = (
    "UPDATE jobs SET asked_at = CASE WHEN state = 'running' THEN asked_at "  # noqa: S608  no input in it
    f"ELSE coalesce(asked_at, clock_timestamp()) END WHERE name = $1 RETURNING {COLUMNS}"
)


def _job(row: Any) -> JobRow:
    found = dict(row)
    if found["result"] is not None:
        found["result"] = msgspec.json.decode(found["result"])
    return JobRow(**found)


async def list_jobs(database: Any) -> list[JobRow]:
    """`database`: a pool or a connection of asyncpg."""
    return [_job(row) for row in await database.fetch(f"SELECT {COLUMNS} FROM jobs ORDER BY name")]  # noqa: S608


async def ask_to_run(database: Any, name: str) -> JobRow | None:
    """Have it run within a second or two; the job as it is now, None: there is none. While it runs: nothing new."""
    row = await database.fetchrow(_ASK, name)
    return None if row is None else _job(row)
