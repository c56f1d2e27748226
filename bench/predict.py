"""What does a served prediction cost beside a running market, over the bare call of the same model in the same run?

A gradient-boosted model (three boosters, 200 rounds of depth 4, quantiles among them) is registered, promoted and asked over
HTTP: lone rows at a fixed rate (open loop: latency counts from the time that a request was due), by symbol, and a thousand
rows a request. Between the measurements the same rows go through the model in this process with one thread.
"""

import argparse
import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec
import numpy as np
import uvloop
from rich.table import Table

from actors.model_registry import ModelRegistry
from bench.client import HttpConnection, open_http
from bench.exchange import Exchange, attach, started
from bench.machine import Machine, describe
from bench.processes import cpu_seconds
from bench.report import BenchError, err, out, write_json
from bench.synthetic_model import synthetic_model
from deploy import state_file
from ml.features import CANDLE_FEATURES
from ml.models.trees import Trees

CONNECTIONS: Final = 16
BULK_CONNECTIONS: Final = 2
BULK_ROWS: Final = 1000
MOST_P99_MS: Final = 20.0
LEAST_ROWS_S: Final = 20_000.0
PROMOTED_WITHIN_S: Final = 20.0
_JSON, _MSGPACK = "application/json", "application/msgpack"


class Lone(msgspec.Struct, frozen=True):
    what: str
    rate: float
    requests: int
    failed: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    cpu_ms: dict[str, float]
    """Processor time of each part of the exchange, milliseconds a request."""


class Bulk(msgspec.Struct, frozen=True):
    codec: str
    rows_s: float
    bare_rows_s: float
    ratio: float


class Report(msgspec.Struct, frozen=True):
    machine: Machine
    bare_row_us: float
    lone: list[Lone]
    bulk: list[Bulk]


class _Client:
    """One request at a time on one connection."""

    def __init__(self, connection: HttpConnection) -> None:
        self._connection = connection
        self._answer: asyncio.Future[bytes] | None = None
        connection.on_message = self._on_message

    def _on_message(self, message: bytes) -> None:
        if self._answer is not None:
            self._answer.set_result(message)

    async def ask(self, request: bytes) -> bytes:
        self._answer = asyncio.get_running_loop().create_future()
        self._connection.send(request)
        either: set[asyncio.Future[Any]] = {self._answer, self._connection.broken}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if self._connection.broken.done():
            self._connection.broken.result()
        return self._answer.result()


def request_of(exchange: Exchange, body: Any, codec: str = _JSON) -> bytes:
    encoded = msgspec.json.encode(body) if codec == _JSON else msgspec.msgpack.encode(body)
    head = (
        f"POST /api/ai/predict HTTP/1.1\r\nHost: {exchange.host}:{exchange.port}\r\nContent-Type: {codec}\r\n"
        f"Accept: {codec}\r\nContent-Length: {len(encoded)}\r\n\r\n"
    )
    return head.encode() + encoded


async def lone(exchange: Exchange, what: str, requests: list[bytes], rate: float, seconds: float) -> Lone:
    """So many a second whatever comes back, on the next connection that is free."""
    free: asyncio.Queue[_Client] = asyncio.Queue()
    connections = [await open_http(exchange.host, exchange.port) for _ in range(CONNECTIONS)]
    for connection in connections:
        free.put_nowait(_Client(connection))
    took, failed, now = list[float](), 0, time.perf_counter
    before, count, began = cpu_seconds(exchange.pid), round(rate * seconds), now()

    async def one(k: int) -> None:
        nonlocal failed
        client = await free.get()
        answer = await client.ask(requests[k % len(requests)])
        took.append(now() - (began + k / rate))
        failed += not answer.startswith(b"HTTP/1.1 200")
        free.put_nowait(client)

    tasks = []
    for k in range(count):
        await asyncio.sleep(began + k / rate - now())
        tasks.append(asyncio.create_task(one(k)))
    await asyncio.gather(*tasks)
    after = cpu_seconds(exchange.pid)
    for connection in connections:
        connection.close()
    p50, p99, most = (float(one) for one in np.percentile(np.array(took) * 1e3, (50, 99, 100)))
    used = {part: (after[part] - before.get(part, 0.0)) / count * 1e3 for part in after}
    return Lone(what, rate, count, failed, p50, p99, most, used)


async def bulk(exchange: Exchange, codec: str, request: bytes, seconds: float) -> float:
    """Rows a second."""
    loop = asyncio.get_running_loop()
    rows, began = 0, loop.time()

    async def ask() -> None:
        nonlocal rows
        connection = await open_http(exchange.host, exchange.port)
        client = _Client(connection)
        while loop.time() - began < seconds:
            answer = await client.ask(request)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise BenchError(f"a bulk request by {codec} failed: {answer[:300]!r}")
            rows += BULK_ROWS
        connection.close()

    await asyncio.gather(*(ask() for _ in range(BULK_CONNECTIONS)))
    return rows / (loop.time() - began)


def bare_rate(predict: Callable[[Any], object], rows: Any, seconds: float) -> float:
    """Rows a second of the model alone."""
    done, began = 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        predict(rows)
        done += len(rows)
    return done / passed


async def promote(exchange: Exchange, model: Trees) -> None:
    assert exchange.data is not None
    state = state_file.read(exchange.data)
    if state is None:
        raise BenchError(f"nothing runs in {exchange.data}. Start it with `raypit up --data {exchange.data}`.")
    pool = await asyncpg.create_pool(state.pg_dsn, min_size=1, max_size=2)
    registry = ModelRegistry(pool, exchange.data)
    version = await registry.register(model)
    await registry.promote(version)
    await pool.close()
    deadline = time.monotonic() + PROMOTED_WITHIN_S
    row = [[0.0] * len(CANDLE_FEATURES)]
    while time.monotonic() < deadline:
        with contextlib.suppress(BenchError):
            if (await asyncio.to_thread(exchange.ask, "POST", "/api/ai/predict", {"features": row}))[
                "version"
            ] == version:
                return
        await asyncio.sleep(0.1)
    raise BenchError(f"version {version} does not answer after {PROMOTED_WITHIN_S:.0f} s. See logs/predictor.log.")


async def measure(
    exchange: Exchange, model: Trees, options: argparse.Namespace
) -> tuple[float, list[Lone], list[Bulk]]:
    await promote(exchange, model)
    rows = np.random.default_rng(2).standard_normal((BULK_ROWS, len(CANDLE_FEATURES))) * 1e-3
    own = [request_of(exchange, {"features": [row.tolist()]}) for row in rows[:100]]
    symbols = [request_of(exchange, {"symbol": one.symbol, "horizon": "1m"}) for one in exchange.terms()]
    await lone(exchange, "warm", own, options.rate, 1.0)
    bare_us = 1e6 / bare_rate(model.predict, rows[:1], 0.5)
    ways = (("own features, a row", own), ("by symbol", symbols))
    told = [await lone(exchange, what, asked, options.rate, options.seconds) for what, asked in ways]
    served = []
    for codec in (_JSON, _MSGPACK):
        request = request_of(exchange, {"features": rows.tolist()}, codec)
        before = bare_rate(model.predict, rows, options.seconds / 4)
        rate = await bulk(exchange, codec, request, options.seconds)
        bare = (before + bare_rate(model.predict, rows, options.seconds / 4)) / 2
        served.append(Bulk(codec, rate, bare, rate / bare))
    return bare_us, told, served


def show(report: Report) -> None:
    table = Table(title="lone requests beside a running market", title_justify="left")
    for name in (
        "what",
        "requests/s",
        "failed",
        "p50 ms",
        "p99 ms",
        "max ms",
        "gateway ms",
        "predictor ms",
        "p50 / bare call",
    ):
        table.add_column(name, justify="left" if name == "what" else "right")
    for one in report.lone:
        table.add_row(
            one.what, f"{one.rate:g}", str(one.failed), f"{one.p50_ms:.2f}", f"{one.p99_ms:.2f}", f"{one.max_ms:.2f}",
            f"{one.cpu_ms.get('gateway', 0):.2f}", f"{one.cpu_ms.get('predictor', 0):.2f}",
            f"{one.p50_ms * 1e3 / report.bare_row_us:.1f}",
        )  # fmt: skip
    out.print(table)
    table = Table(title=f"{BULK_ROWS} rows a request", title_justify="left")
    for name in ("format", "rows/s", "bare model, rows/s", "ratio"):
        table.add_column(name, justify="left" if name == "format" else "right")
    for row in report.bulk:
        table.add_row(row.codec, f"{row.rows_s:,.0f}", f"{row.bare_rows_s:,.0f}", f"{row.ratio:.0%}")
    out.print(table)
    worst, best = max(one.p99_ms for one in report.lone), min(row.rows_s for row in report.bulk)
    for text, met in (
        (f"p99 of lone requests: {worst:.1f} ms (target below {MOST_P99_MS:g})", worst < MOST_P99_MS),
        (f"rows a second of the slower format: {best:,.0f} (target {LEAST_ROWS_S:,.0f})", best >= LEAST_ROWS_S),
        (
            f"failed requests: {sum(one.failed for one in report.lone)} (target 0)",
            not any(x.failed for x in report.lone),
        ),
    ):
        out.print(f"{'[green]met[/]' if met else '[red]missed[/]'}  {text}", highlight=False)


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    machine = describe()
    model = synthetic_model(options.rounds)
    with _exchange(options) as exchange, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = Report(machine, *runner.run(measure(exchange, model, options)))
    out.print(
        f"{machine.cores} cores, load {machine.load_before} before; {report.bare_row_us:.0f} us a bare row",
        highlight=False,
    )
    show(report)
    if options.json is not None:
        write_json(options.json, report)
    return 0


@contextlib.contextmanager
def _exchange(options: argparse.Namespace) -> Iterator[Exchange]:
    if options.data is not None:
        yield attach(None, options.data)
        return
    with contextlib.ExitStack() as stack:
        with err.status("starting an exchange"):
            exchange = stack.enter_context(started("simulated"))
        yield exchange


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench predict", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement (default 10)")
    parser.add_argument("--rate", type=float, default=200.0, help="lone requests a second (default 200)")
    parser.add_argument("--rounds", type=int, default=200, help="of boosting (default 200)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured to this file")
    parser.add_argument("--data", metavar="DIR", help="of a running exchange; a model for 15 minutes is promoted on it")
    return parser.parse_args(arguments)
