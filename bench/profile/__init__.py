"""Where does a microsecond of an order go, in which process and at which stage of it, from socket to socket?

An exchange of its own is measured under each load twice: alone, for the processor time of its processes, and with py-spy looking
into the Python ones, for the shares of their stages. Then lone orders one at a time, with stamps where their frames pass, for
the wall time between them. Kernel time is that of system calls and wake-ups, inside of the stages. One minute.
"""

import argparse
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec

from bench import machine
from bench.exchange import Exchange, started
from bench.measure import DATA_PORT, WARM_S, Question, Runner, check
from bench.order_rows import INGRESS
from bench.processes import pids_of
from bench.profile import postgres, sampling, stamps, waterfall
from bench.profile.loads import LoadProfile, folded, processes_of
from bench.profile.sampling import Sampler, Seen
from bench.profile.tables import show, show_waterfall
from bench.profile.waterfall import Waterfall
from bench.report import BenchError, err, out, write_json

LOADS: Final = {
    "lone": Question(DATA_PORT, "JSON", 1, 1, "echo", "place"),
    "single": Question(DATA_PORT, "JSON", 64, 1, "echo", "place"),
    "packed": Question(DATA_PORT, "packed", 16, 100, "echo", "ioc"),
    "http": Question("HTTP", "", 16, 1, "noop", "buy"),
    "noop": Question("HTTP", "", 16, 1, "noop", "noop"),
    "ingress": Question(INGRESS, "JSON", 64, 1, "echo", "place"),
}
USUAL: Final = ("lone", "single", "packed")
STAMPING: Final = ("gateway", "account", "book")
STARTING_S: Final = 3.0
"""For py-spy to begin, on a busy machine."""
SAMPLED: Final = (*STAMPING, "projector")


class Report(msgspec.Struct, frozen=True):
    machine: machine.Machine
    loads: list[LoadProfile]
    waterfall: Waterfall | None


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    stages = not options.no_stages
    if stages and sampling.program() is None:
        err.print(sampling.MISSING, highlight=False)
        stages = False
    on = machine.describe()
    out.print(machine.line(on), highlight=False)
    asked = [LOADS[name] for name in options.load or USUAL]
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="raypit-bench-") as folder, err.status("starting an exchange") as status:
        given = stamps.environment(Path(folder))
        with started(environment=given) as exchange, ProcessPoolExecutor(1, context) as pool:
            runner = Runner(exchange, options.seconds, pool)
            runner.prepare()
            loads = []
            for question in asked:
                status.update(f"measuring {question.name}")
                loads.append(_profile(exchange, runner, question, options.seconds, stages))
            fallen = None
            if options.orders:
                status.update("lone orders")
                fallen = _lone_orders(exchange, runner, Path(folder), options.orders)
    for one in loads:
        show(one, options.functions)
    if fallen is not None:
        show_waterfall(fallen)
    if options.json is not None:
        write_json(options.json, Report(on, loads, fallen))
    return 0


def _profile(exchange: Exchange, runner: Runner, question: Question, seconds: float, stages: bool) -> LoadProfile:
    figures = runner.measure(question, question.order, by_process=True)
    check(question, figures)
    processes = processes_of(figures, postgres.roles(exchange))
    seen: dict[int, Seen] = {}
    if stages:
        seen = _sampled(runner, question, [one.pid for one in processes if one.part in SAMPLED], seconds)
    return folded(question.name, figures, processes, seen)


def _sampled(runner: Runner, question: Question, pids: list[int], seconds: float) -> dict[int, Seen]:
    whole, runner.seconds = runner.seconds, seconds + STARTING_S
    with ThreadPoolExecutor(1) as beside:
        running = beside.submit(runner.measure, question, question.order)
        time.sleep(WARM_S)
        seen = Sampler(pids, max(1, int(seconds))).seen()
        running.result()
    runner.seconds = whole
    return seen


def _lone_orders(exchange: Exchange, runner: Runner, folder: Path, count: int) -> Waterfall:
    pids = {part: pids_of(exchange.pid, part) for part in STAMPING}
    return waterfall.measure(folder, pids, exchange.host, exchange.data_port, runner.plan(0, "place"), count)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench profile", description=__doc__)
    parser.add_argument("load", nargs="*", help=f"of {', '.join(LOADS)} (default: {' '.join(USUAL)})")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement (default 4)")
    parser.add_argument("--orders", type=int, default=400, help="lone orders whose wall time is told (default 400)")
    parser.add_argument(
        "--functions", type=int, default=0, metavar="N", help="the N costliest functions of each process"
    )
    parser.add_argument("--no-stages", action="store_true", help="processes alone, without py-spy")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured to this file")
    found = parser.parse_args(arguments)
    for name in found.load:
        if name not in LOADS:
            raise BenchError(f"there is no load {name!r}; there are {', '.join(LOADS)}.")
    return found
