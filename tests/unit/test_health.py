"""Liveness and readiness: answered whatever else goes on, and private about the reasons."""

import asyncio
import itertools
import math

import msgspec
import pytest

from serve.errors import Code
from serve.health import Readiness
from serve.http import Context, Endpoint, build_app
from tests.unit.asgi import call
from tests.unit.http_example import Seen, assert_problem


async def fine() -> str:
    return "fine"


async def away() -> str:
    raise ConnectionError("postgresql://user:secret@host")


async def stuck() -> str:
    await asyncio.sleep(math.inf)
    return ""


async def test_past_the_limit_requests_are_refused_and_probes_answered() -> None:
    gate = asyncio.Event()

    async def slow(context: Context) -> Seen:
        await gate.wait()
        return Seen("done")

    readiness = Readiness({"book": fine})
    await readiness.refresh()
    app = build_app([Endpoint("GET", "slow", slow, response=Seen)], max_in_flight=2, readiness=readiness)
    waiting = [asyncio.create_task(call(app, "GET", "/api/slow")) for _ in range(2)]
    await asyncio.sleep(0)
    answer = await call(app, "GET", "/api/slow")
    assert_problem(answer, Code.OVERLOADED)
    assert answer.headers["retry-after"] == "1"
    assert (await call(app, "GET", "/health/live")).json() == {"status": "live"}
    assert (await call(app, "GET", "/health/ready")).status == 200
    gate.set()
    assert [(await task).status for task in waiting] == [200, 200]
    assert (await call(app, "GET", "/api/slow")).status == 200


async def test_readiness_tells_which_part_and_nothing_private() -> None:
    clock = itertools.count(0.0, 1.0)
    checks = {"book": fine, "database": away, "cache": stuck}
    readiness = Readiness(checks, timeout_s=0.01, monotonic=clock.__next__)
    app = build_app([], readiness=readiness)
    assert (await call(app, "GET", "/health/ready")).status == 503
    await readiness.refresh()
    answer = await call(app, "GET", "/health/ready")
    assert answer.status == 503
    assert answer.json() == {
        "status": "not_ready",
        "components": {
            "book": {"ok": True, "detail": "fine"},
            "database": {"ok": False, "detail": "ConnectionError"},
            "cache": {"ok": False, "detail": "TimeoutError"},
        },
    }


async def test_readiness_when_draining_and_when_nobody_looks_any_more() -> None:
    now = 0.0
    readiness = Readiness({"book": fine}, monotonic=lambda: now)
    await readiness.refresh()
    assert readiness.answer()[0] == 200
    now = 11.0
    assert readiness.answer() == (
        503,
        b'{"status":"stale","components":{"book":{"ok":true,"detail":"fine"}}}',
    )
    await readiness.refresh()
    readiness.drain()
    status, body = readiness.answer()
    assert (status, msgspec.json.decode(body)["status"]) == (503, "draining")


async def test_readiness_refreshes_by_itself() -> None:
    calls = 0
    enough = asyncio.Event()

    async def counted() -> str:
        nonlocal calls
        calls += 1
        if calls == 3:
            enough.set()
        return "fine"

    readiness = Readiness({"book": counted}, interval_s=0.001)
    task = asyncio.create_task(readiness.run())
    await enough.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert readiness.answer()[0] == 200


async def test_probes_know_head_and_refuse_the_rest() -> None:
    app = build_app([])
    assert (await call(app, "HEAD", "/health/live")).body == b""
    assert (await call(app, "POST", "/health/ready")).status == 405
    assert (await call(app, "GET", "/health/ready")).json() == {"status": "ready", "components": {}}
