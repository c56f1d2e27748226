"""Where the wall time of a lone order goes: from the client's socket through every process and back."""

import asyncio
import time
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np

from bench import workload
from bench.client import WebSocketConnection, open_websocket
from bench.profile import stamps
from bench.profile.stamps import Stamp
from bench.workload import Plan

WARM: Final = 50
"""Frames before the first that counts."""
ANSWER_LIMIT_S: Final = 10.0


class Step(NamedTuple):
    part: str
    point: str
    text: str
    """What happens from the step before to this one."""


STEPS: Final = (
    Step("gateway", "frame", "client to gateway: system calls, wake-up"),
    Step("gateway", "send", "gateway: decode, checks, command"),
    Step("account", "received", "to the account: rest of the turn, system calls, wake-up"),
    Step("account", "send", "account: decode, admit"),
    Step("book", "received", "to the book"),
    Step("book", "append", "book: inbox, match, encode"),
    Step("book", "appended", "book: commit (PostgreSQL and its disk)"),
    Step("book", "send", "book: to publish"),
    Step("account", "received", "to the account"),
    Step("account", "send", "account: decode, settle, reports"),
    Step("gateway", "received", "to the gateway"),
    Step("gateway", "written", "gateway: encode, write"),
)
LAST: Final = "gateway to client: system calls, wake-up"


class Segment(msgspec.Struct, frozen=True):
    text: str
    mean_us: float
    p50_us: float
    p99_us: float


class Waterfall(msgspec.Struct, frozen=True):
    orders: int
    left_out: int
    """Orders without all of their stamps."""
    p50_us: float
    p99_us: float
    segments: list[Segment]


class Sent(NamedTuple):
    """One order as its client saw it, on the monotonic clock."""

    at_ns: int
    answered_ns: int


async def lone_orders(host: str, port: int, plan: Plan, count: int) -> list[Sent]:
    """Frames of one order each, one at a time, over the data port; cancels between them are not told of."""
    connection = await open_websocket(host, port, "/ws/orders", plan.tokens[0])
    steps = workload.place(plan, workload.JSON, 1)
    sent: list[Sent] = []
    at, orders = 0, 0
    while orders < count + WARM or at % len(steps):  # whole cycles: nothing rests behind them
        step = steps[at % len(steps)]
        at += 1
        one = await _exchanged(connection, step.payload)
        if step.orders:
            orders += 1
            if orders > WARM:
                sent.append(one)
    connection.close()
    return sent


async def _exchanged(connection: WebSocketConnection, payload: bytes) -> Sent:
    answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    connection.on_message = lambda _: None if answered.done() else answered.set_result(time.monotonic_ns())
    began = time.monotonic_ns()
    connection.send(payload)
    async with asyncio.timeout(ANSWER_LIMIT_S):
        return Sent(began, await answered)


def measure(folder: Path, pids: dict[str, list[int]], host: str, port: int, plan: Plan, count: int) -> Waterfall:
    """`pids`: of the parts that stamp."""
    with stamps.switched_on(folder):
        sent = asyncio.run(lone_orders(host, port, plan, count))
    stamped = {
        part: sorted((one for pid in found for one in stamps.read(folder, pid)), key=lambda one: one.at_ns)
        for part, found in pids.items()
    }
    return folded(sent, stamped)


def folded(sent: list[Sent], stamped: dict[str, list[Stamp]]) -> Waterfall:
    """The times between the steps of each order. Pure. `stamped`: of each part, in the order of time."""
    times = {
        (part, point): np.array([one.at_ns for one in found if one.point == point], np.int64)
        for part, found in stamped.items()
        for point in {one.point for one in found}
    }
    rows = [row for one in sent if (row := _between(one, times)) is not None]
    spans = np.array(rows, np.float64).reshape(len(rows), len(STEPS) + 1) / 1e3
    whole = np.array([one.answered_ns - one.at_ns for one in sent]) / 1e3
    texts = [*(step.text for step in STEPS), LAST]
    segments = [Segment(text, *_told(spans[:, k])) for k, text in enumerate(texts)] if rows else []
    _, p50, p99 = _told(whole)
    return Waterfall(len(sent), len(sent) - len(rows), p50, p99, segments)


def _between(one: Sent, times: dict[tuple[str, str], "np.ndarray[tuple[int], np.dtype[np.int64]]"]) -> list[int] | None:
    at, spans = one.at_ns, []
    for step in STEPS:
        found = times.get((step.part, step.point))
        k = 0 if found is None else int(np.searchsorted(found, at))
        if found is None or k == len(found) or found[k] > one.answered_ns:
            if step is not STEPS[-1]:
                return None
            reached = one.answered_ns  # the peer may read before the writer's call has returned
        else:
            reached = int(found[k])
        spans.append(reached - at)
        at = reached
    return [*spans, one.answered_ns - at]


def _told(values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> tuple[float, float, float]:
    p50, p99 = np.percentile(values, (50, 99))
    return float(values.mean()), float(p50), float(p99)
