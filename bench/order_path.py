"""How much does a durable order cost over a request that does nothing, on the same gateway in the same run?

HTTP and WebSocket, JSON and MessagePack, one order a frame and a hundred, few clients and many; fills too. The load
generator is a process on the same machine and takes its share of the cores: ratios carry over, rates are a floor.
"""

import argparse
from pathlib import Path
from typing import Final

import msgspec

from bench import workload
from bench.exchange import attached_or_started
from bench.machine import Machine, describe
from bench.measure import Finding, measure
from bench.order_rows import further, questions
from bench.order_tables import show_cpu, show_rates, show_targets
from bench.order_targets import Target, targets
from bench.report import BenchError, out, write_json

ROUNDS: Final = 2


class Report(msgspec.Struct, frozen=True):
    machine: Machine
    workload: str
    findings: list[Finding]
    targets: list[Target]
    failed: dict[str, str]
    """Rows whose figures would mean nothing, and why."""


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    everything = [*questions(), *further()]
    asked = [one for one in everything if options.only in one.name] if options.only else questions()
    if not asked:
        names = ", ".join(one.name for one in everything)
        raise BenchError(f"no row has {options.only!r} in its name. The rows: {names}.")
    machine = describe()
    out.print(
        f"{machine.cores} cores, Python {machine.python}, Ray {machine.versions['ray']}, load {machine.load_before} before. "
        "Exchange and load generator share the cores.",
        highlight=False,
    )
    with attached_or_started(options.url, options.data) as exchange:
        findings, failed = measure(exchange, asked, options.seconds, options.rounds)
    report = Report(machine, workload.__doc__ or "", findings, targets(findings), failed)
    show_rates(findings)
    show_cpu(findings)
    show_targets(report.targets)
    if options.json is not None:
        write_json(options.json, report)
    return 1 if failed else 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench order_path", description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement (default 2)")
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help=f"no-op and order in turn; the fastest counts (default {ROUNDS})"
    )
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="only rows with this in their name, of all that there are"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured to this file")
    parser.add_argument("--url", help="a running exchange instead of one of our own")
    parser.add_argument("--data", metavar="DIR", help="its data folder: processor time by process is measured too")
    return parser.parse_args(arguments)
