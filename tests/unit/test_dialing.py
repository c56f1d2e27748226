"""Back-off, budgets, sinks and REST requests of the feeds."""

import asyncio
from random import Random

import aiohttp
import pytest
from aiohttp import web

from actors.dialing import JITTER, Backoff, Budget
from actors.feed_sinks import Arrived, QueuedSink
from actors.venue_rest import Answered, Refused, fetch
from market.venues.events import Status


def test_delays_double_up_to_the_most_and_are_jittered() -> None:
    backoff = Backoff(0.25, 30.0, Random(1))
    delays = [backoff.next_s() for _ in range(50)]
    whole = [min(30.0, 0.25 * 2**k) for k in range(50)]
    assert all(JITTER * most <= delay <= most for delay, most in zip(delays, whole, strict=True))
    assert len(set(delays)) == 50
    backoff.reset()
    assert backoff.next_s() <= 0.25


def test_a_budget_gives_its_burst_and_then_its_rate() -> None:
    budget = Budget(60, burst=3)
    assert [budget.wait_s(100.0) for _ in range(4)] == [0, 0, 0, 1.0]
    assert budget.wait_s(100.5) == pytest.approx(0.5)
    assert [budget.wait_s(101.0), budget.wait_s(101.0)] == [0, 1.0]
    assert [budget.wait_s(500.0) for _ in range(4)] == [0, 0, 0, 1.0]


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="per minute"):
        Budget(0)


async def test_a_budget_is_waited_for_in_turn() -> None:
    budget = Budget(60 * 200, burst=1)
    took: list[int] = []

    async def take(number: int) -> None:
        await budget.take()
        took.append(number)

    began = asyncio.get_running_loop().time()
    await asyncio.gather(*(take(number) for number in range(5)))
    assert took == list(range(5))
    assert asyncio.get_running_loop().time() - began >= 0.019


async def test_a_queued_sink_is_full_until_its_consumer_took_what_there_was() -> None:
    gate = asyncio.Semaphore(0)
    got: list[Arrived] = []

    async def deliver(batch: list[Arrived]) -> None:
        await gate.acquire()
        got.extend(batch)

    sink = QueuedSink(deliver, most=3)
    task = asyncio.create_task(sink.run())
    for number in range(3):
        assert not sink.full
        sink.on_events("v", number, [Status("", number, "live")])
    assert sink.full
    waiting = asyncio.create_task(sink.room())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    gate.release()
    await waiting
    assert [one.arrival_ns for one in got] == [0, 1, 2]
    assert sink.queued == 0
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_rest_answers() -> None:
    async def answer(request: web.Request) -> web.Response:
        status = int(request.match_info["status"])
        headers = {"Retry-After": request.query["after"]} if "after" in request.query else {}
        return web.Response(status=status, body=b"x" * 50, headers=headers)

    app = web.Application()
    app.router.add_get("/{status}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    url = f"http://{host}:{port}"
    async with aiohttp.ClientSession() as session:
        assert await fetch(session, f"{url}/200", 5, 100) == Answered(b"x" * 50)
        assert await fetch(session, f"{url}/200", 5, 49) == Refused("more than 49 bytes")
        assert await fetch(session, f"{url}/500", 5, 100) == Refused("HTTP 500", 0.0)
        assert await fetch(session, f"{url}/429", 5, 100) == Refused("HTTP 429", 1.0)
        assert await fetch(session, f"{url}/429?after=7", 5, 100) == Refused("HTTP 429", 7.0)
        assert await fetch(session, f"{url}/418?after=99999", 5, 100) == Refused("HTTP 418", 600.0)
        assert await fetch(session, f"{url}/429?after=soon", 5, 100) == Refused("HTTP 429", 1.0)
        await runner.cleanup()
        refused = await fetch(session, f"{url}/200", 5, 100)
        assert isinstance(refused, Refused)
        assert refused.reason
