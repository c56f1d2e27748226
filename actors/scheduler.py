"""Runs jobs when they are due or asked for, each on a connection of its own, and keeps in a table how they went.

One that fails is tried again, later each time, and none of the others hears of it. What was due while nothing ran is
made up for at the start, once.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
import msgspec
import structlog

from actors.job_table import JobRow, list_jobs
from actors.metrics import JobMetrics

log = structlog.get_logger()

POLL_S: Final = 1.0
RETRY_S: Final = 30.0
"""After the first failure; twice as long after each further one, but never beyond the next regular time."""
COMMAND_LIMIT_S: Final = 900.0
"""One statement of a job."""
MAX_ERROR_CHARS: Final = 500


@dataclass(frozen=True, slots=True)
class Schedule:
    every_s: int
    at_s: int = 0
    """Later than whole multiples of `every_s` since the epoch."""

    def __str__(self) -> str:
        if self.every_s % 86_400 == 0:
            return f"daily at {self.at_s // 3600:02d}:{self.at_s // 60 % 60:02d} UTC"
        if self.every_s == 3600:
            return f"hourly at :{self.at_s // 60:02d}"
        return f"every {self.every_s // 60} min" if self.every_s >= 60 else f"every {self.every_s} s"

    def after(self, now_s: float) -> float:
        """The first time later than `now_s`."""
        return float(((now_s - self.at_s) // self.every_s + 1) * self.every_s + self.at_s)


@dataclass(slots=True)
class Run:
    """One run as its job sees it."""

    connection: Any
    """Of asyncpg, no other uses it."""
    progress: float = 0.0
    """0 to 1; the job sets it, the scheduler tells it."""


@dataclass(frozen=True, slots=True)
class Job:
    name: str
    schedule: Schedule
    work: Callable[[Run], Awaitable[dict[str, Any]]]
    """Returns what it did: plain data."""
    at_first: bool = False
    """Runs at the very first start at once, not at its next time."""
    heavy: bool = False
    """At most one heavy job runs at a time."""


@dataclass(slots=True)
class _Running:
    task: asyncio.Task[None]
    run: Run | None = None


@dataclass(slots=True)
class Scheduler:
    dsn: str
    jobs: Sequence[Job]
    metrics: JobMetrics
    clock: Callable[[], float] = time.time
    poll_s: float = POLL_S
    retry_s: float = RETRY_S
    _running: dict[str, _Running] = field(default_factory=dict)
    _not_before: dict[str, float] = field(default_factory=dict)
    """Of jobs whose failure could not be written down either."""
    _heavy: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self) -> None:
        """Until canceled. Never raises: without a database it tries again."""
        try:
            while True:
                try:
                    connection = await asyncpg.connect(self.dsn, timeout=5, command_timeout=30)
                    with contextlib.closing(_Terminated(connection)):
                        await self._register(connection)
                        while True:
                            await self._look(connection)
                            await asyncio.sleep(self.poll_s)
                except Exception as error:
                    log.warning("scheduled work waits for the database", error=repr(error))
                    await asyncio.sleep(self.poll_s)
        finally:
            for one in list(self._running.values()):
                one.task.cancel()

    async def _register(self, connection: Any) -> None:
        """Rows for all jobs; of a run that its process did not survive the failure is noted."""
        now = self.clock()
        for job in self.jobs:
            first = now if job.at_first else job.schedule.after(now)
            await connection.execute(
                "INSERT INTO jobs (name, schedule, next_run_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE SET "
                "schedule = excluded.schedule, next_run_at = least(jobs.next_run_at, $4)",
                job.name, str(job.schedule), _moment(first), _moment(job.schedule.after(now)),
            )  # fmt: skip
        names = [job.name for job in self.jobs]
        await connection.execute("DELETE FROM jobs WHERE name <> ALL($1::text[])", names)
        await connection.execute(
            "UPDATE jobs SET state = 'failed', progress = NULL, failures = failures + 1, next_run_at = $2, "
            "error = 'The process ended in the middle of it.' WHERE state = 'running' AND name <> ALL($1::text[])",
            list(self._running), _moment(now + self.retry_s),
        )  # fmt: skip

    async def _look(self, connection: Any) -> None:
        rows = {row.name: row for row in await list_jobs(connection)}
        now = self.clock()
        for job in self.jobs:
            row, running = rows.get(job.name), self._running.get(job.name)
            if running is not None:
                if running.run is not None:
                    await connection.execute(
                        "UPDATE jobs SET progress = $2 WHERE name = $1 AND state = 'running'",
                        job.name, running.run.progress,
                    )  # fmt: skip
            elif row is not None and self._is_due(row, now):
                self._running[job.name] = _Running(asyncio.create_task(self._turn(job, row.failures)))

    def _is_due(self, row: JobRow, now: float) -> bool:
        if self._not_before.get(row.name, 0.0) > now:
            return False
        return row.asked_at is not None or row.next_run_at is None or row.next_run_at.timestamp() <= now

    async def _turn(self, job: Job, failures: int) -> None:
        try:
            async with self._heavy if job.heavy else contextlib.nullcontext():
                await self._once(job, failures)
            self._not_before.pop(job.name, None)
        except Exception as error:
            self._not_before[job.name] = self.clock() + self.retry_s
            log.warning("a job could not be noted", job=job.name, error=repr(error))
        finally:
            self._running.pop(job.name, None)

    async def _once(self, job: Job, failures: int) -> None:
        connection = await asyncpg.connect(self.dsn, timeout=5, command_timeout=COMMAND_LIMIT_S)
        run, started = Run(connection), self.clock()
        try:
            await connection.execute(
                "UPDATE jobs SET state = 'running', progress = 0, started_at = $2, asked_at = NULL WHERE name = $1",
                job.name, _moment(started),
            )  # fmt: skip
            self._running[job.name].run = run
            result, failure = None, None
            try:
                result = await job.work(run)
            except Exception as error:
                failure = error
                log.exception("a job failed, will be tried again", job=job.name)
            self._running[job.name].run = None
        finally:
            connection.terminate()
        await self._note(job, started, result, failure, failures)

    async def _note(
        self, job: Job, started: float, result: dict[str, Any] | None, failure: Exception | None, failures: int
    ) -> None:
        ended = self.clock()
        next_run = job.schedule.after(ended)
        if failure is not None:
            next_run = min(next_run, ended + self.retry_s * 2 ** min(failures, 20))
        connection = await asyncpg.connect(self.dsn, timeout=5, command_timeout=30)
        with contextlib.closing(_Terminated(connection)):
            await connection.execute(
                "UPDATE jobs SET state = $2, progress = NULL, finished_at = $3, duration_s = $4, next_run_at = $5, "
                "succeeded_at = CASE WHEN $6::text IS NULL THEN $3 ELSE succeeded_at END, error = $6, "
                "result = coalesce($7::jsonb, result), failures = CASE WHEN $6 IS NULL THEN 0 ELSE $8 + 1 END "
                "WHERE name = $1",
                job.name, "waiting" if failure is None else "failed", _moment(ended), ended - started,
                _moment(next_run), None if failure is None else _told(failure),
                None if result is None else msgspec.json.encode(result).decode(), failures,
            )  # fmt: skip
        self.metrics.ran(job.name, ended - started, ended if failure is None else None)


@dataclass(frozen=True, slots=True)
class _Terminated:
    connection: Any

    def close(self) -> None:
        self.connection.terminate()


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:MAX_ERROR_CHARS]


def _moment(at_s: float) -> datetime:
    return datetime.fromtimestamp(at_s, UTC)
