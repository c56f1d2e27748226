"""A recording drives the books: all of it, once, at its times; and who controls time finds the books where he asked."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import numpy as np
import pytest

from actors.outside_books import OutsideBooks
from actors.replay_market import ReplayMarket
from actors.wire import Batch
from market.numbering import OUTSIDE_ACCOUNT
from market.records import COMMAND, Records, joined
from tests.unit.outside_world import START_NS, Books, books, levels, postgres

MS = 1_000_000
SECOND = 1000 * MS
SYMBOLS = 4


@pytest.fixture(scope="module")
def dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from postgres(tmp_path_factory.mktemp("replay"))


class MemoryTape:
    """Entries of one command each, at given times (ns after `START_NS`)."""

    def __init__(self, times: list[int], pause_ns: int = SECOND) -> None:
        random = Random(5)
        parts = [
            levels(random.randrange(SYMBOLS), [1000 - k % 500], 1 + k % 7, START_NS + at_ns)
            for k, at_ns in enumerate(times)
        ]
        self.commands = joined(parts, COMMAND)
        self.passes = 1
        self.errors = 0
        self.damage = ""
        self._pause_ns = pause_ns
        self._shift = 0
        self._next = 0

    @property
    def first_ns(self) -> int:
        return int(self.commands["target_id"][0])

    @property
    def end_ns(self) -> int:
        return int(self.commands["target_id"][-1]) + self._shift

    def next_ns(self) -> int | None:
        return int(self.commands["target_id"][self._next]) + self._shift if self._next < len(self.commands) else None

    def take(self, until_ns: int | None, entries: int) -> tuple[Records, int]:
        stop = self._next + entries
        if until_ns is not None:
            stop = min(stop, int(np.searchsorted(self.commands["target_id"] + self._shift, until_ns, side="right")))
        taken = self.commands[self._next : max(stop, self._next)].copy()
        taken["target_id"] += self._shift
        self._next += len(taken)
        return taken, int(taken["target_id"][-1]) if len(taken) else 0

    def rewind(self) -> None:
        self._shift = self.end_ns + self._pause_ns - self.first_ns
        self._next = 0
        self.passes += 1


class World:
    def __init__(self, books: Books, market: ReplayMarket) -> None:
        self.books, self.market = books, market

    async def until(self, **holds: Any) -> dict[str, Any]:
        await self.when(lambda: holds.items() <= self.market.time_status().items())
        return self.market.time_status()

    async def when(self, holds: Callable[[], bool]) -> None:
        """Looks every millisecond: time is real here."""
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    async def batches(self) -> list[Batch]:
        found = [await self.books.batches(p) for p in range(self.books.settings.book_actors)]
        return sorted((batch for some in found for batch in some), key=lambda one: (one.ts_ns, one.partition, one.seq))

    async def times(self) -> list[int]:
        """Of all commands that the books have, after `START_NS`."""
        return sorted(int(at) - START_NS for batch in await self.batches() for at in batch.commands["target_id"])

    def clocks(self) -> set[int]:
        """Where the books' clocks stand, after `START_NS`."""
        return {one._now_ns() - START_NS for one in self.books.services}


@asynccontextmanager
async def playing(
    world: Books, tape: MemoryTape, epoch: int = 1, wall_ns: Callable[[], int] = time.monotonic_ns
) -> AsyncIterator[World]:
    made = OutsideBooks(world.settings, epoch, from_start=True, resolve=world.resolve)
    market = ReplayMarket(world.settings, tape, made, wall_ns)
    await market.start()
    task = asyncio.create_task(market.run())
    try:
        yield World(world, market)
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await market.stop()


@asynccontextmanager
async def replay(
    dsn: str,
    tape: MemoryTape,
    speed: float = 1.0,
    loop: bool = False,
    book_actors: int = 2,
    wall_ns: Callable[[], int] = time.monotonic_ns,
) -> AsyncIterator[World]:
    settings: dict[str, Any] = {
        "market_time": "replay", "replay_speed": speed, "replay_loop": loop, "symbols": SYMBOLS
    }  # fmt: skip
    async with books(dsn, book_actors=book_actors, **settings) as world, playing(world, tape, wall_ns=wall_ns) as found:
        yield found


TIMES = sorted(map(Random(1).randrange, [3 * SECOND] * 3000))


async def test_as_fast_as_possible_everything_comes_once_and_in_order(dsn: str) -> None:
    async with replay(dsn, MemoryTape(TIMES), math.inf) as world:
        status = await world.until(ended=True)
        assert status["market_ns"] == START_NS + TIMES[-1]
        assert await world.times() == TIMES
        for batch in await world.batches():
            assert (np.diff(batch.commands["target_id"]) >= 0).all()
            assert batch.commands["target_id"][-1] <= batch.ts_ns
        assert world.clocks() == {TIMES[-1]}


async def test_two_replays_as_fast_as_possible_are_the_same(dsn: str) -> None:
    digests = []
    for _ in range(2):
        async with replay(dsn, MemoryTape(TIMES), math.inf) as world:
            await world.until(ended=True)
            found = [await one.digest() for one in world.books.services]
            digests.append([one for _, one in found])
    assert digests[0] == digests[1]


async def test_at_a_speed_nothing_comes_before_its_time(dsn: str) -> None:
    loop = asyncio.get_running_loop()
    async with replay(dsn, MemoryTape(TIMES), 10.0) as world:
        began = loop.time()
        await world.until(ended=True)
        assert 0.25 <= loop.time() - began <= 3
        assert await world.times() == TIMES
        for batch in await world.batches():
            assert batch.commands["target_id"][-1] <= batch.ts_ns


async def test_pause_stands_and_resume_goes_on(dsn: str) -> None:
    async with replay(dsn, MemoryTape(TIMES), 10.0) as world:
        await world.when(lambda: world.market.commands >= 500)
        status = await world.market.control("pause")
        assert status["reached"]
        assert status["paused"]
        at = status["market_ns"] - START_NS
        assert world.clocks() == {at}
        assert await world.times() == [one for one in TIMES if one <= at]
        assert world.market.now_ns() == START_NS + at
        assert not (await world.market.control("resume"))["paused"]
        await world.until(ended=True)
        assert await world.times() == TIMES


@pytest.mark.parametrize("speed", [0.5, 10.0, math.inf])
async def test_run_until_stands_exactly_there(dsn: str, speed: float) -> None:
    times = [*range(0, 300 * MS, MS), *range(2 * SECOND, 3 * SECOND, MS)]
    async with replay(dsn, MemoryTape(times), speed) as world:
        await world.market.control("pause")
        now = world.market.now_ns() - START_NS
        for at in (max(now, 100 * MS), max(now, 250 * MS), max(now, 400 * MS)):
            status = await world.market.control("run_until", at_ns=START_NS + at)
            assert status["reached"]
            assert status["market_ns"] == START_NS + at
            assert world.clocks() == {at}
            assert await world.times() == [one for one in times if one <= at]


async def test_steps(dsn: str) -> None:
    times = [0, 0, 5 * MS, 9 * MS, 9 * MS, 20 * MS, 60 * SECOND]
    async with replay(dsn, MemoryTape(times), 0.001) as world:
        await world.market.control("pause")
        stood = []
        for span_ns in (None, None, 6 * MS, 7 * MS):
            status = await world.market.control("step", span_ns=span_ns)
            at = status["market_ns"] - START_NS
            assert world.clocks() == {at}
            assert await world.times() == [one for one in times if one <= at]
            stood.append(at)
        assert stood == [5 * MS, 9 * MS, 15 * MS, 22 * MS]


async def test_a_jump_goes_on_as_before(dsn: str) -> None:
    times = list(range(0, 7200 * SECOND, SECOND))
    async with replay(dsn, MemoryTape(times)) as world:
        status = await world.market.control("jump", at_ns=START_NS + 3600 * SECOND)
        assert status["reached"]
        assert not status["paused"]
        assert len(await world.times()) >= 3601
        await world.market.control("pause")
        at = world.market.now_ns()
        assert START_NS + 3600 * SECOND <= at < START_NS + 3610 * SECOND
        status = await world.market.control("jump", at_ns=START_NS + 3700 * SECOND)
        assert status["paused"]
        assert world.clocks() == {3700 * SECOND}


@pytest.mark.parametrize("asked", [{"action": "resume"}, {"action": "run_until", "at_ns": START_NS + 500 * SECOND}])
async def test_a_jump_that_is_given_up_goes_on_from_where_it_got(dsn: str, asked: dict[str, Any]) -> None:
    wall_ns = 0
    async with replay(dsn, MemoryTape([k * 5 * MS for k in range(100_000)]), wall_ns=lambda: wall_ns) as world:
        await world.when(lambda: world.market.commands > 0)
        jump = asyncio.create_task(world.market.control("jump", START_NS + 490 * SECOND))
        await world.when(lambda: world.market.now_ns() > START_NS + 50 * SECOND)
        given_up = asyncio.create_task(world.market.control(**asked))
        assert (await jump)["reached"] is False
        at_ns = world.market.now_ns()
        wall_ns += 40 * SECOND  # the frame under way is 10 s
        async with asyncio.timeout(10):
            await world.when(lambda: world.market.now_ns() >= at_ns + 20 * SECOND)
        given_up.cancel()


async def test_speed_changes_from_here_on(dsn: str) -> None:
    async with replay(dsn, MemoryTape([0, 3600 * SECOND])) as world:
        await world.market.control("pause")
        before = world.market.now_ns()
        assert (await world.market.control("speed", speed=1000.0))["speed"] == 1000.0
        assert world.market.now_ns() == before
        await world.market.control("resume")
        await world.when(lambda: world.market.now_ns() >= before + 20 * SECOND)
        status = await world.market.control("speed", speed=math.inf)
        assert status["speed"] == "max"
        await world.until(ended=True)


async def test_a_loop_begins_again_at_later_times(dsn: str) -> None:
    times = TIMES[:500]
    async with replay(dsn, MemoryTape(times), math.inf, loop=True) as world:
        await world.when(lambda: world.market.time_status()["passes"] >= 4)
        await world.market.control("loop_off")
        await world.until(ended=True)
        assert world.market.time_status()["passes"] >= 4
        found = await world.times()
        assert len(found) == 500 * world.market.time_status()["passes"]
        assert found[:500] == times
        assert found[500] == times[-1] + SECOND


@pytest.mark.parametrize("speed", [20.0, math.inf])
async def test_a_feed_that_crashes_goes_on_where_it_was(dsn: str, speed: float) -> None:
    settings: dict[str, Any] = {
        "market_time": "replay", "replay_speed": speed, "symbols": SYMBOLS, "book_actors": 2
    }  # fmt: skip
    async with books(dsn, **settings) as world:
        for epoch in range(1, 5):
            async with playing(world, MemoryTape(TIMES), epoch) as one:
                for _ in range(30):
                    await asyncio.sleep(0)
                if epoch == 2:
                    await world.kill(1)
                    await world.revive(1)
        async with playing(world, MemoryTape(TIMES), 9) as one:
            await one.until(ended=True)
            assert await one.times() == TIMES
            assert one.clocks() == {TIMES[-1]}


async def test_a_book_that_is_away_is_waited_for(dsn: str) -> None:
    async with replay(dsn, MemoryTape(TIMES), 10.0) as world:
        await world.books.kill(0)
        pausing = asyncio.create_task(world.market.control("pause"))
        await asyncio.sleep(0.05)
        assert not pausing.done()
        await world.books.revive(0)
        at = (await pausing)["market_ns"] - START_NS
        assert world.clocks() == {at}
        await world.market.control("resume")
        await world.until(ended=True)
        assert await world.times() == TIMES


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"action": "rewind"}, "action"),
        ({"action": "speed"}, "speed"),
        ({"action": "speed", "speed": 0.0}, "speed"),
        ({"action": "speed", "speed": math.nan}, "speed"),
        ({"action": "run_until"}, "at_ns"),
        ({"action": "jump", "at_ns": START_NS - 1}, "at_ns"),
        ({"action": "step", "span_ns": 0}, "span_ns"),
    ],
)
async def test_errors_name_the_field(dsn: str, asked: dict[str, Any], field: str) -> None:
    async with replay(dsn, MemoryTape([0, SECOND]), book_actors=1) as world:
        await world.market.control("pause")
        with pytest.raises(ValueError, match=f"^{field}: "):
            await world.market.control(**asked)


async def test_all_commands_are_the_outsides(dsn: str) -> None:
    async with replay(dsn, MemoryTape(TIMES), math.inf) as world:
        await world.until(ended=True)
        for batch in await world.batches():
            assert (batch.commands["account"] == OUTSIDE_ACCOUNT).all()
