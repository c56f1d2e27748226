"""The load generator: runs in a process of its own, drives every client of one measurement on one event loop."""

import asyncio
import random
import time
from collections import Counter
from typing import Any, Final

import msgspec
import numpy as np
import uvloop

from bench import journal_bytes, packed_frames, workload
from bench.client import Connection, ConnectionBroken, open_http, open_websocket
from bench.processes import cpu_seconds, own_cpu_seconds, used_by_process
from bench.workload import Plan, Step

LOAD: Final = "load"
DRAIN_LIMIT_S: Final = 20.0
"""After the measured time clients cancel what rests."""


class Job(msgspec.Struct, frozen=True):
    host: str
    port: int
    work: str
    """A key of `workload.HTTP` or `workload.SOCKET`."""
    codec: str
    """Of `workload.CODECS`; empty for HTTP."""
    orders_per_frame: int
    plans: list[Plan]
    warm_s: float
    seconds: float
    supervisor_pid: int
    rate: float = 0.0
    """Frames a second of all clients together; 0: each sends the next when it has the answer."""
    drain_limit_s: float = DRAIN_LIMIT_S
    by_process: bool = False
    """Processor time of each process rather than of each part (`bench.processes`)."""
    pg_dsn: str = ""
    """Of a running exchange, for the size of its journals."""


class Figures(msgspec.Struct, frozen=True):
    seconds: float
    requests: int
    orders: int
    cancels: int
    fills: int
    refused: int
    reasons: dict[str, int]
    """Refusals by code."""
    p50_ms: float
    p99_ms: float
    """Of requests that place orders (or are no-ops), from the write to the whole answer."""
    cpu_s: dict[str, float]
    """By part of the exchange, and of this load generator."""
    fills_due: int = 0
    """That these orders should have caused."""
    journal_bytes: int = 0
    """As the books' journals store them; 0: not known."""

    @property
    def commands(self) -> int:
        return self.orders + self.cancels


class Tally:
    """What all clients counted while the clock ran."""

    def __init__(self) -> None:
        self.counting = False
        self.stopping = False
        self.latencies_ns: list[int] = []
        self.requests = 0
        self.orders = 0
        self.cancels = 0
        self.fills = 0
        self.fills_due = 0
        self.refused = 0
        self.reasons: Counter[str] = Counter()


class Client:
    """Sends its steps round and round, one at a time."""

    def __init__(
        self, connections: list[Connection], steps: list[Step], tally: Tally, fill: bytes, every_s: float = 0.0
    ) -> None:
        self._every_s = every_s
        """From one frame to the next when they are paced, however late the answers are."""
        self._due_s = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._connections = connections
        self._steps = steps
        self._tally = tally
        self._fill = fill
        self._at = 0
        self._sent_ns = 0
        self._pairs = any(step.connection for step in steps)
        """Orders answer each other across connections: a cycle is one thing."""
        self._skipped: set[int] = set()
        """Steps not sent any more since the clock stopped."""
        for connection in connections:
            connection.on_message = self._on_message

    def begin(self) -> None:
        if not self._every_s:
            self._send()
            return
        loop = asyncio.get_running_loop()
        wait_s = self._due_s - loop.time() if self._due_s else random.random() * self._every_s  # not all at once
        self._due_s = (self._due_s or loop.time() + wait_s) + self._every_s
        if wait_s > 0:
            loop.call_later(wait_s, self._send)
        else:
            self._send(int(-wait_s * 1e9))  # what waited for an earlier answer waited, too

    def _send(self, late_ns: int = 0) -> None:
        step = self._steps[self._at]
        self._sent_ns = time.perf_counter_ns() - late_ns
        self._connections[step.connection].send(step.payload)

    def _on_message(self, message: bytes) -> None:
        now_ns = time.perf_counter_ns()
        step, tally = self._steps[self._at], self._tally
        accepted = message.count(step.needle) if step.needle else packed_frames.accepted(message)
        if accepted != step.expects:
            tally.refused += step.expects - accepted
            tally.reasons[_reason(message)] += step.expects - accepted
        if tally.counting:
            tally.requests += 1
            tally.orders += step.orders
            tally.cancels += step.cancels
            tally.fills_due += step.fills
            if step.fills:
                tally.fills += message.count(self._fill) if step.needle else packed_frames.fills(message)
            if step.timed:
                tally.latencies_ns.append(now_ns - self._sent_ns)
        self._at += 1
        if tally.stopping and not self._pairs:
            self._skip()
        if self._at == len(self._steps):
            self._at = 0
            if tally.stopping:
                self.done.set_result(None)
                return
        self.begin()

    def _skip(self) -> None:
        """To the next cancel of what rests: the clock has stopped, and nothing new is placed."""
        while self._at < len(self._steps):
            step = self._steps[self._at]
            if step.cancels and step.undoes not in self._skipped:
                return
            self._skipped.add(self._at)
            self._at += 1


def run(job: Job) -> Figures:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(job))


async def _run(job: Job) -> Figures:
    tally = Tally()
    clients = await asyncio.gather(*(_client(job, plan, tally) for plan in job.plans))
    broken = [connection.broken for client in clients for connection in client._connections]
    for client in clients:
        client.begin()
    await _let_run(job.warm_s, broken)
    first = await journal_bytes.newest(job.pg_dsn)
    before, began = _cpu(job), time.perf_counter()
    tally.counting = True
    await _let_run(job.seconds, broken)
    tally.counting = False
    seconds = time.perf_counter() - began
    after = _cpu(job)
    last = await journal_bytes.newest(job.pg_dsn)
    tally.stopping = True
    async with asyncio.timeout(job.drain_limit_s):
        await asyncio.gather(*(client.done for client in clients))
    for client in clients:
        for connection in client._connections:
            connection.close()
    figures = _figures(tally, seconds, {part: after[part] - before.get(part, 0.0) for part in after})
    return msgspec.structs.replace(figures, journal_bytes=await journal_bytes.between(job.pg_dsn, first, last))


async def _client(job: Job, plan: Plan, tally: Tally) -> Client:
    every_s = len(job.plans) / job.rate if job.rate else 0.0
    if not job.codec:
        return Client([await open_http(job.host, job.port)], workload.HTTP[job.work](plan), tally, b"", every_s)
    codec = workload.CODECS[job.codec]
    steps = workload.SOCKET[job.work](plan, codec, job.orders_per_frame)
    connections: list[Connection] = [
        await open_websocket(job.host, job.port, "/ws/orders", token) for token in plan.tokens
    ]
    return Client(connections, steps, tally, codec.fill, every_s)


async def _let_run(seconds: float, broken: list["asyncio.Future[None]"]) -> None:
    done, _ = await asyncio.wait(broken, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for future in done:
        future.result()


def _cpu(job: Job) -> dict[str, float]:
    used = used_by_process if job.by_process else cpu_seconds
    found = used(job.supervisor_pid) if job.supervisor_pid else {}
    return found | {LOAD: own_cpu_seconds()}


def _figures(tally: Tally, seconds: float, cpu_s: dict[str, float]) -> Figures:
    if not tally.latencies_ns:
        raise ConnectionBroken("no request was answered in the measured time")
    p50, p99 = np.percentile(np.array(tally.latencies_ns), (50, 99)) / 1e6
    return Figures(
        seconds, tally.requests, tally.orders, tally.cancels, tally.fills, tally.refused, dict(tally.reasons),
        float(p50), float(p99), cpu_s, tally.fills_due,
    )  # fmt: skip


def _reason(message: bytes) -> str:
    """The first error code in an answer, whatever its format."""
    if (told := packed_frames.reason(message)) is not None:
        return told
    for decode in (msgspec.json.decode, msgspec.msgpack.decode):
        try:
            answer: Any = decode(message.rpartition(b"\r\n\r\n")[2])
            errors = [answer.get("error"), *(one["error"] for one in answer.get("results", ())), answer]
            return str(next(one["code"] for one in errors if one and "code" in one))
        except (msgspec.DecodeError, UnicodeDecodeError, AttributeError, KeyError, TypeError, StopIteration):
            continue
    return repr(message[:80])
