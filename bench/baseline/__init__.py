"""How many times as many orders does Raypit take as what everybody would write: FastAPI, a transaction for each order, Redis?

The baseline (this package) is built as well as that design allows: uvicorn with uvloop and httptools in as many processes as there are
cores, a pool of PostgreSQL connections with prepared statements, partial indexes, one statement for what goes together, Redis for
prices, sessions and fills between processes. The same checks, the same PostgreSQL and durability, the same clients and orders as
`order_path`, in turn with Raypit in one run. Two minutes; needs `pip install raypit[bench]`.
"""

import argparse
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from rich.table import Table

from bench import load, machine
from bench.client import ConnectionBroken
from bench.exchange import Terms, started
from bench.load import Figures, Job
from bench.measure import SYMBOLS, USERS, WARM_S, Question, Runner
from bench.report import BenchError, err, out, write_json
from bench.workload import Plan

if TYPE_CHECKING:
    from bench.baseline.server import Running

CASES: Final = ((1, 1), (64, 1), (16, 100))
"""Clients and orders a frame."""
DRAIN_LIMIT_S: Final = 180.0
"""The baseline's clients finish their cycle of some hundred orders each."""
MUST: Final = {1: 10.0, 100: 100.0}
"""Times the baseline, by orders a frame."""


class Row(msgspec.Struct, frozen=True):
    clients: int
    orders_per_frame: int
    baseline: Figures
    raypit: Figures

    @property
    def ratio(self) -> float:
        return _rate(self.raypit) / _rate(self.baseline)


class Report(msgspec.Struct, frozen=True):
    machine: machine.Machine
    workload: str
    workers: int
    rows: list[Row]


def _rate(one: Figures) -> float:
    """Orders and cancels a second; each is a transaction of the baseline."""
    return one.commands / one.seconds


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    try:
        from bench.baseline.server import served
    except ImportError as error:
        raise BenchError(f"{error.name} is missing: pip install 'raypit[bench]'") from None
    on = machine.describe()
    out.print(machine.line(on), highlight=False)
    cases = [case for case in CASES if options.only in f"{case[0]}x{case[1]}"]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool, err.status("starting Raypit") as status, started() as exchange:
        runner = Runner(exchange, options.seconds, pool)
        runner.prepare()
        status.update("starting the baseline")
        with served(USERS, SYMBOLS, options.workers) as baseline:
            status.update("measuring")
            terms = exchange.terms()[:SYMBOLS]

            def measure(clients: int, size: int) -> Row:
                question = Question("WS", "JSON", clients, size, "echo", "place")
                best: dict[str, Figures] = {}
                for _ in range(options.rounds):
                    for name, found in (
                        ("baseline", _baseline(pool, baseline, terms, question, options.seconds)),
                        ("raypit", runner._measure(question, "place")),
                    ):
                        runner._check(question, found)
                        if name not in best or _rate(found) > _rate(best[name]):
                            best[name] = found
                return Row(clients, size, best["baseline"], best["raypit"])

            rows = [measure(*case) for case in cases]
    out.print(_table(rows))
    if options.json is not None:
        write_json(options.json, Report(on, __doc__ or "", options.workers, rows))
    return 0


def _baseline(
    pool: ProcessPoolExecutor, running: "Running", terms: list[Terms], question: Question, seconds: float
) -> Figures:
    plans = []
    for number in range(question.clients):
        turn, k = divmod(number, USERS)
        plans.append(Plan(number, [running.tokens[k]], terms[(k + turn) % len(terms)]))
    job = Job(
        running.host, running.port, "place", question.codec, question.orders_per_frame, plans, WARM_S, seconds, running.pid,
        drain_limit_s=DRAIN_LIMIT_S,
    )  # fmt: skip
    try:
        return pool.submit(load.run, job).result(seconds + WARM_S + DRAIN_LIMIT_S)
    except (ConnectionBroken, OSError, TimeoutError, BrokenProcessPool) as error:
        raise BenchError(f"the baseline, {question.name}: {str(error) or type(error).__name__}") from None


def _table(rows: list[Row]) -> Table:
    table = Table(title="the same orders into both, orders and cancels a second", title_justify="left")
    table.add_column("clients x orders a frame")
    for name in ("baseline/s", "p50 ms", "p99 ms", "Raypit/s", "p50 ms", "p99 ms", "ratio", "must", ""):
        table.add_column(name, justify="right")
    for row in rows:
        cells = [f"{row.clients}x{row.orders_per_frame}"]
        for one in (row.baseline, row.raypit):
            cells += [f"{_rate(one):,.0f}", f"{one.p50_ms:.2f}", f"{one.p99_ms:.2f}"]
        must = MUST[row.orders_per_frame]
        judged = row.clients > 1
        verdict = "[green]met[/]" if row.ratio >= must else "[red]missed[/]"
        table.add_row(*cells, f"{row.ratio:.1f}", f"{must:.0f}" if judged else "", verdict if judged else "")
    return table


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench baseline", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement (default 3)")
    parser.add_argument("--rounds", type=int, default=2, help="both in turn; the fastest counts (default 2)")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="processes of uvicorn (default: cores)"
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="only rows with this in their name, as 64x1")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured to this file")
    return parser.parse_args(arguments)
