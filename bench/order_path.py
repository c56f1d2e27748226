"""How much does a durable order cost over a request that does nothing, on the same gateway in the same run?

HTTP and WebSocket, JSON and MessagePack, one order a frame and a hundred, few clients and many; fills too. The load
generator is a process on the same machine and takes its share of the cores: ratios carry over, rates are a floor.
"""

import argparse
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from bench import workload
from bench.exchange import Exchange, attach, started
from bench.machine import Machine, describe
from bench.measure import DATA_PORT, Finding, Question, measure
from bench.order_tables import show_cpu, show_rates
from bench.report import BenchError, err, out, write_json

ROUNDS: Final = 2
FASTEST_LONE_MS: Final = 2.0
MOST_LONE_MS: Final = 1.2
MOST_LONE_P99_MS: Final = 5.0
MOST_HALF_P99_MS: Final = 15.0
LEAST_DIRECT_SHARE: Final = 0.5
LEAST_SHARE: Final = 0.40
LEAST_ORDERS: Final = 80_000.0
LEAST_REST_SHARE: Final = 1 / 1.3


class Target(msgspec.Struct, frozen=True):
    text: str
    wanted: float
    found: float
    met: bool


class Report(msgspec.Struct, frozen=True):
    machine: Machine
    workload: str
    findings: list[Finding]
    targets: list[Target]


def questions() -> list[Question]:
    codecs = list(workload.CODECS)
    http = [Question("HTTP", "", n, 1, noop, "buy") for noop in ("live", "me") for n in (1, 16, 64)]
    # Over the venue's API, with the native order in the place of the no-op: what speaking Binance costs.
    http += [Question("REST", "", n, 1, "buy", "rest_buy") for n in (1, 16, 64)]
    single = [Question("WS", codec, n, 1, "echo", "place") for codec in codecs for n in (1, 16, 64)]
    single += [Question(DATA_PORT, codec, n, 1, "echo", "place") for codec in codecs for n in (1, 16, 64)]
    many = [Question("WS", codec, n, 100, "echo", "place") for codec in codecs for n in (1, 4, 16, 64)]
    many += [Question(DATA_PORT, "packed", n, 100, "echo", "place") for n in (1, 4, 16, 64)]
    # Orders alone: each is accepted, journaled and expires.
    ioc = [Question("WS", codec, 16, 100, "echo", "ioc") for codec in codecs]
    ioc += [Question(DATA_PORT, "packed", n, 100, "echo", "ioc") for n in (16, 64)]
    crossing = [Question("WS", "JSON", n, size, "echo", "cross") for n, size in ((1, 1), (8, 1), (8, 100))]
    return [*http, *single, *many, *ioc, *crossing]


def targets(findings: list[Finding]) -> list[Target]:
    """The project's targets for two cores, as far as they were measured; of several rows the best counts."""

    def of(mark: str, figure: Callable[[Finding], float], transport: str = "WS") -> list[float]:
        return [figure(one) for one in findings if mark in one.name and one.question.transport == transport]

    told = []
    if shares := of("place 64x1 ", lambda one: one.ratio):
        text = "64 clients, one order a frame: share of the echo's rate"
        told.append(Target(text, LEAST_SHARE, max(shares), max(shares) >= LEAST_SHARE))
    for marks, what in (
        (("place 16x100 ", "place 64x100 "), "resting orders and cancels"),
        (("ioc 16x100 ",), "IOC orders"),
    ):
        rates = [rate for mark in marks for rate in of(mark, lambda one: one.order.commands / one.order.seconds)]
        if rates:
            text = f"100 commands a frame, {what}: durable commands/s"
            told.append(Target(text, LEAST_ORDERS, max(rates), max(rates) >= LEAST_ORDERS))
    told += _data_port_targets(findings)
    if lone := of("place 1x1 ", lambda one: one.order.p50_ms):
        told.append(Target("a lone order: p50 in ms", FASTEST_LONE_MS, min(lone), min(lone) < FASTEST_LONE_MS))
    if shares := of("rest_buy", lambda one: one.ratio, "REST"):
        text = "POST /api/v3/order: share of the rate of the native order over HTTP"
        told.append(Target(text, LEAST_REST_SHARE, min(shares), min(shares) >= LEAST_REST_SHARE))
    return told


def _data_port_targets(findings: list[Finding]) -> list[Target]:
    """Of single orders: against the echo through the ingress, which every client can have."""
    told = []
    echoes = [_noop_rate(one) for one in findings if one.question.transport == "WS" and "place 64x1 " in one.name]
    straight = [one for one in findings if one.question.transport == DATA_PORT]
    many = [one for one in straight if "place 64x1 " in one.name]
    if echoes and many:
        share = max(one.order.requests / one.order.seconds for one in many) / max(echoes)
        text = "data port, 64 clients, one order a frame: share of the echo through the ingress"
        told.append(Target(text, LEAST_DIRECT_SHARE, share, share >= LEAST_DIRECT_SHARE))
    if halves := [one.half.p99_ms for one in many if one.half is not None]:
        text = "data port, 64 clients at half of the highest rate: p99 in ms"
        told.append(Target(text, MOST_HALF_P99_MS, min(halves), min(halves) <= MOST_HALF_P99_MS))
    if lone := [one.order for one in straight if "place 1x1 " in one.name]:
        best = min(lone, key=lambda one: one.p50_ms)
        for text, wanted, found in (("p50", MOST_LONE_MS, best.p50_ms), ("p99", MOST_LONE_P99_MS, best.p99_ms)):
            told.append(Target(f"data port, a lone order: {text} in ms", wanted, found, found <= wanted))
    return told


def _noop_rate(one: Finding) -> float:
    return one.noop.requests / one.noop.seconds


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    asked = [one for one in questions() if options.only in one.name]
    if not asked:
        names = ", ".join(one.name for one in questions())
        raise BenchError(f"no row has {options.only!r} in its name. The rows: {names}.")
    machine = describe()
    out.print(
        f"{machine.cores} cores, Python {machine.python}, Ray {machine.versions['ray']}, load {machine.load_before} before. "
        "Exchange and load generator share the cores.",
        highlight=False,
    )
    with _exchange(options) as exchange:
        findings = measure(exchange, asked, options.seconds, options.rounds)
    report = Report(machine, workload.__doc__ or "", findings, targets(findings))
    show_rates(findings)
    show_cpu(findings)
    for target in report.targets:
        verdict = "[green]met[/]" if target.met else "[red]missed[/]"
        out.print(f"{verdict}  {target.text}: {target.found:,.2f} (target {target.wanted:,g})", highlight=False)
    if options.json is not None:
        write_json(options.json, report)
    return 0


@contextlib.contextmanager
def _exchange(options: argparse.Namespace) -> Iterator[Exchange]:
    if options.url is not None or options.data is not None:
        yield attach(options.url, options.data)
        return
    with contextlib.ExitStack() as stack:
        with err.status("starting an exchange"):
            exchange = stack.enter_context(started())
        yield exchange


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench order_path", description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement (default 2)")
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help=f"no-op and order in turn; the fastest counts (default {ROUNDS})"
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="only rows with this in their name")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured to this file")
    parser.add_argument("--url", help="a running exchange instead of one of our own")
    parser.add_argument("--data", metavar="DIR", help="its data folder: processor time by process is measured too")
    return parser.parse_args(arguments)
