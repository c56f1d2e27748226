"""Scheduled work against a real PostgreSQL: when it runs, what is kept of it, and that no job hears of another."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import asyncpg
import pytest

from actors.job_table import JobRow, ask_to_run, list_jobs
from actors.metrics import ActorMetrics, JobMetrics
from actors.scheduler import Job, Run, Schedule, Scheduler
from tests.unit.stored_world import database, served

LIMIT_S = 20.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from served(tmp_path_factory.mktemp("scheduler"))


class Clock:
    def __init__(self) -> None:
        self.now = 1_780_000_000.0

    def __call__(self) -> float:
        return self.now


class World:
    def __init__(self, dsn: str, connection: Any) -> None:
        self.dsn = dsn
        self.connection = connection
        self.clock = Clock()
        self.metrics = ActorMetrics("projector")
        self.work = JobMetrics(self.metrics)

    @contextlib.asynccontextmanager
    async def running(self, *jobs: Job, retry_s: float = 100.0) -> AsyncIterator[Scheduler]:
        made = Scheduler(self.dsn, jobs, self.work, self.clock, poll_s=0.01, retry_s=retry_s)
        task = asyncio.create_task(made.run())
        try:
            yield made
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def rows(self) -> dict[str, JobRow]:
        return {row.name: row for row in await list_jobs(self.connection)}

    async def until(self, name: str, holds: Callable[[JobRow], bool]) -> JobRow:
        async with asyncio.timeout(LIMIT_S):
            while True:
                row = (await self.rows()).get(name)
                if row is not None and holds(row):
                    return row


@pytest.fixture
async def world(server: str) -> AsyncIterator[World]:
    dsn = await database(server)
    connection = await asyncpg.connect(dsn)
    yield World(dsn, connection)
    await connection.close()


@pytest.mark.parametrize(
    ("schedule", "text", "now", "after"),
    [
        (Schedule(600), "every 10 min", 1200.0, 1800.0),
        (Schedule(600), "every 10 min", 1199.5, 1200.0),
        (Schedule(3600, 600), "hourly at :10", 0.0, 600.0),
        (Schedule(3600, 600), "hourly at :10", 600.0, 4200.0),
        (Schedule(86_400, 1200), "daily at 00:20 UTC", 86_400.0, 87_600.0),
        (Schedule(86_400, 45_000), "daily at 12:30 UTC", 0.0, 45_000.0),
        (Schedule(5), "every 5 s", 1.0, 5.0),
    ],
)
def test_schedules(schedule: Schedule, text: str, now: float, after: float) -> None:
    assert str(schedule) == text
    assert schedule.after(now) == after


async def test_a_job_runs_when_it_is_due_and_when_it_is_asked_for(world: World) -> None:
    runs: list[float] = []

    async def work(run: Run) -> dict[str, Any]:
        assert await run.connection.fetchval("SELECT 1") == 1
        runs.append(world.clock.now)
        return {"runs": len(runs)}

    first = world.clock.now
    async with world.running(Job("tidy", Schedule(600), work, at_first=True), Job("later", Schedule(600), work)):
        row = await world.until("tidy", lambda row: row.finished_at is not None)
        assert (row.state, row.result, row.failures, row.error, row.schedule) == (
            "waiting", {"runs": 1}, 0, None, "every 10 min",
        )  # fmt: skip
        assert row.next_run_at is not None
        assert row.next_run_at.timestamp() == Schedule(600).after(first)
        assert (await world.rows())["later"].started_at is None
        asked = await ask_to_run(world.connection, "later")
        assert asked is not None
        assert asked.asked_at is not None
        assert (await world.until("later", lambda row: row.finished_at is not None)).asked_at is None
        world.clock.now = Schedule(600).after(first)
        await world.until(
            "tidy", lambda row: row.next_run_at is not None and row.next_run_at.timestamp() > world.clock.now
        )
    assert runs[:2] == [first, first]
    assert await ask_to_run(world.connection, "nothing") is None


async def test_a_failure_is_told_tried_again_and_nobody_elses(world: World) -> None:
    tries = 0

    async def bad(_: Run) -> dict[str, Any]:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise ValueError(f"no. {tries}")
        return {"tries": tries}

    async def good(_: Run) -> dict[str, Any]:
        return {}

    began = world.clock.now
    async with world.running(
        Job("bad", Schedule(86_400), bad, at_first=True), Job("good", Schedule(60), good, at_first=True)
    ):
        for failures, wait in ((1, 100), (2, 200), (3, 400)):
            row = await world.until("bad", lambda row, n=failures: row.failures == n)  # type: ignore[misc]
            assert (row.state, row.error, row.result) == ("failed", f"ValueError: no. {failures}", None)
            assert row.next_run_at is not None
            assert row.next_run_at.timestamp() == world.clock.now + wait
            world.clock.now += wait
        row = await world.until("bad", lambda row: row.failures == 0 and row.result is not None)
        assert (row.state, row.error, row.result) == ("waiting", None, {"tries": 4})
        assert (await world.until("good", lambda row: row.finished_at is not None)).failures == 0
    assert world.clock.now == began + 700
    samples = {
        (sample.name, sample.labels.get("outcome")): sample.value
        for metric in world.metrics.collect() for sample in metric.samples if sample.labels.get("job") == "bad"
    }  # fmt: skip
    assert samples["raypit_job_runs_total", "failed"] == 3
    assert samples["raypit_job_runs_total", "done"] == 1
    assert samples["raypit_job_success_time_seconds", None] == world.clock.now


async def test_progress_is_told_while_it_runs_and_heavy_ones_wait_for_each_other(world: World) -> None:
    go, inside, most = asyncio.Event(), 0, 0

    async def heavy(run: Run) -> dict[str, Any]:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        run.progress = 0.25
        await go.wait()
        inside -= 1
        return {}

    async def light(_: Run) -> dict[str, Any]:
        return {}

    jobs = [Job(name, Schedule(600), heavy, at_first=True, heavy=True) for name in ("a", "b")]
    async with world.running(*jobs, Job("light", Schedule(600), light, at_first=True)):
        async with asyncio.timeout(LIMIT_S):
            while not any(row.progress == 0.25 for row in (await world.rows()).values()):
                pass
        await world.until("light", lambda row: row.finished_at is not None)
        assert sorted(row.state for row in (await world.rows()).values()) == ["running", "waiting", "waiting"]
        go.set()
        for name in ("a", "b"):
            assert (await world.until(name, lambda row: row.finished_at is not None)).progress is None
    assert most == 1


async def test_a_run_that_its_process_did_not_survive(world: World) -> None:
    began = asyncio.Event()

    async def endless(_: Run) -> dict[str, Any]:
        began.set()
        await asyncio.Event().wait()
        return {}

    async def short(_: Run) -> dict[str, Any]:
        return {"ok": True}

    async with world.running(Job("job", Schedule(600), endless, at_first=True), Job("gone", Schedule(600), short)):
        await asyncio.wait_for(began.wait(), LIMIT_S)
    assert (await world.rows())["job"].state == "running"
    async with world.running(Job("job", Schedule(600), short)):
        row = await world.until("job", lambda row: row.state == "failed")
        assert row.error == "The process ended in the middle of it."
        world.clock.now += 100
        await world.until("job", lambda row: row.result == {"ok": True})
    assert set(await world.rows()) == {"job"}, "jobs that are no more are forgotten"


async def test_without_a_database_it_waits(world: World) -> None:
    """Connections are cut under it: it connects again and goes on."""

    async def work(_: Run) -> dict[str, Any]:
        return {}

    async with world.running(Job("job", Schedule(600), work, at_first=True)):
        await world.until("job", lambda row: row.finished_at is not None)
        await world.connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        await ask_to_run(world.connection, "job")
        await world.until("job", lambda row: row.asked_at is None and row.state == "waiting")
