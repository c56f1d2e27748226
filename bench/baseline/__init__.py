"""How many times as many orders does Raypit take as what everybody would write: FastAPI, a transaction for each order, Redis?

The baseline (this package) is built as well as that design allows: uvicorn with uvloop and httptools in as many processes as there are
cores, a pool of PostgreSQL connections with prepared statements, partial indexes, one statement for what goes together, Redis for
prices, sessions and fills between processes. The same checks, the same PostgreSQL and durability, the same clients and orders as
`order_path`, in turn with Raypit in one run. The question is what a user of each can have: the baseline speaks JSON over its
WebSocket, one order or a list of them a frame; Raypit the same through its ingress and its data port, and what else it offers there.
Five minutes; needs `pip install raypit[bench]`.
"""

import argparse
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from bench import load, machine
from bench.baseline.rows import Row, Verdict, show, verdicts
from bench.client import ConnectionBroken
from bench.exchange import Terms, attached_or_started
from bench.load import Figures, Job
from bench.measure import DATA_PORT, SYMBOLS, USERS, WARM_S, Question, Runner, check
from bench.order_rows import INGRESS
from bench.report import BenchError, err, out, write_json
from bench.workload import Plan

if TYPE_CHECKING:
    from bench.baseline.server import Running

CASES: Final = (
    ("place", 1, 1), ("place", 16, 1), ("place", 64, 1), ("ioc", 64, 1), ("place", 16, 100), ("ioc", 16, 100),
)  # fmt: skip
"""Work, clients, orders a frame. With 64 clients and frames of 100 the baseline answers none within seconds."""
WAYS: Final = {
    1: ((INGRESS, "JSON"), (DATA_PORT, "JSON"), (DATA_PORT, "MessagePack")),
    100: ((INGRESS, "JSON"), (DATA_PORT, "MessagePack"), (DATA_PORT, "packed")),
}
"""Into Raypit, by orders a frame."""
FRAMES_LAST: Final = 3
"""Times longer is the baseline measured with many orders a frame: a frame takes it a second and more."""
DRAIN_LIMIT_S: Final = 180.0
"""The baseline's clients cancel what rests."""


class Report(msgspec.Struct, frozen=True):
    machine: machine.Machine
    workload: str
    workers: int
    rows: list[Row]
    verdicts: list[Verdict]


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    try:
        from bench.baseline.server import served
    except ImportError as error:
        raise BenchError(f"{error.name} is missing: pip install 'raypit[bench]'") from None
    on = machine.describe()
    out.print(machine.line(on), highlight=False)
    cases = [case for case in CASES if options.only in "{} {}x{} ".format(*case)]
    if not cases:
        raise BenchError(f"no row has {options.only!r} in its name; there are place and ioc, 1x1 to 16x100.")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool, attached_or_started(None, options.data) as exchange:
        runner = Runner(exchange, options.seconds, pool)
        runner.prepare()
        with err.status("starting the baseline") as status, served(USERS, SYMBOLS, options.workers) as baseline:
            both = _Both(pool, baseline, runner, exchange.terms()[:SYMBOLS], options.seconds)
            rows: list[Row] = []
            for case in cases:
                status.update("measuring {} {}x{}".format(*case))
                try:
                    rows += both.rows(*case, options.rounds)
                except BenchError as error:
                    err.print(f"[bold red]left out:[/] {error}", highlight=False)
    if not rows:
        return 1
    show(rows)
    if options.json is not None:
        write_json(options.json, Report(on, __doc__ or "", options.workers, rows, verdicts(rows)))
    return 0


class _Both:
    """The baseline and Raypit, running, and one load for both."""

    def __init__(
        self, pool: ProcessPoolExecutor, baseline: "Running", runner: Runner, terms: list[Terms], seconds: float
    ) -> None:
        self._pool = pool
        self._running = baseline
        self._runner = runner
        self._terms = terms
        self._seconds = seconds

    def rows(self, work: str, clients: int, size: int, rounds: int) -> Iterator[Row]:
        """A row for each way into Raypit; of several rounds the fastest counts, for both."""
        asked = [Question(transport, codec, clients, size, "echo", work) for transport, codec in WAYS[size]]
        baselines: list[Figures] = []
        found: list[list[Figures]] = [[] for _ in asked]
        for _ in range(rounds):
            baselines.append(self._baseline(asked[0]))
            for question, figures in zip(asked, found, strict=True):
                figures.append(self._runner.measure(question, work))
                check(question, figures[-1])
        best = max(baselines, key=_rate)
        for question, figures in zip(asked, found, strict=True):
            way = f"{'data port' if question.transport == DATA_PORT else 'ingress'}, {question.codec}"
            yield Row(work, clients, size, way, best, max(figures, key=_rate))

    def _baseline(self, question: Question) -> Figures:
        plans = []
        running = self._running
        seconds = self._seconds * (FRAMES_LAST if question.orders_per_frame > 1 else 1)
        for number in range(question.clients):
            turn, k = divmod(number, USERS)
            plans.append(Plan(number, [running.tokens[k]], self._terms[(k + turn) % len(self._terms)]))
        job = Job(
            running.host, running.port, question.order, "JSON", question.orders_per_frame, plans, WARM_S, seconds,
            running.pid, drain_limit_s=DRAIN_LIMIT_S,
        )  # fmt: skip
        try:
            figures = self._pool.submit(load.run, job).result(seconds + WARM_S + DRAIN_LIMIT_S)
        except (ConnectionBroken, OSError, TimeoutError, BrokenProcessPool) as error:
            raise BenchError(f"the baseline, {question.name}: {str(error) or type(error).__name__}") from None
        check(question, figures)
        return figures


def _rate(one: Figures) -> float:
    return one.commands / one.seconds


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench baseline", description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement (default 2)")
    parser.add_argument("--rounds", type=int, default=2, help="both in turn; the fastest counts (default 2)")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="processes of uvicorn (default: cores)"
    )
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="only rows with this in their name, as `place 64x1 `"
    )
    parser.add_argument("--data", metavar="DIR", help="data folder of a running exchange instead of one of our own")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured to this file")
    return parser.parse_args(arguments)
