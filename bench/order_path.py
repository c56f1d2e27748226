"""How much does a durable order cost over a request that does nothing, on the same gateway in the same run?

HTTP and WebSocket, JSON and MessagePack, one order a frame and a hundred, few clients and many; fills too. The load
generator is a process on the same machine and takes its share of the cores: the ratios carry over, the rates are a floor.
"""

import argparse
import contextlib
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Final

import msgspec
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from bench import load, workload
from bench.client import ConnectionBroken
from bench.exchange import Exchange, User, attach, started
from bench.load import LOAD, Figures, Job
from bench.machine import Machine, describe
from bench.report import BenchError, err, out, write_json
from bench.workload import Plan

USERS: Final = 16
"""Registering one costs 0.1 s, and an address may register 30 a minute."""
WARM_S: Final = 0.5
MOST_REFUSED: Final = 0.001
"""Share of refused commands past which the figures mean something else than they say."""
HTTP_NOOP: Final = "live"
PARTS: Final = (
    "gateway",
    "account",
    "book",
    "projector",
    "postgres",
    "valkey",
    "haproxy",
    "feed",
    "other",
    LOAD,
)


class Question(msgspec.Struct, frozen=True):
    """A no-op and an order measured one after the other under the same load."""

    transport: str
    codec: str
    clients: int
    orders_per_frame: int
    noop: str
    order: str

    @property
    def name(self) -> str:
        """`clients x orders in a frame` at the end."""
        codec = f" {self.codec}" if self.codec else ""
        return f"{self.transport}{codec} {self.order} {self.clients}x{self.orders_per_frame}"


class Finding(msgspec.Struct, frozen=True):
    name: str
    question: Question
    noop: Figures
    order: Figures

    @property
    def ratio(self) -> float:
        return (self.order.requests / self.order.seconds) / (self.noop.requests / self.noop.seconds)


class Target(msgspec.Struct, frozen=True):
    text: str
    wanted: float
    found: float

    @property
    def met(self) -> bool:
        return self.found <= self.wanted if "ms" in self.text else self.found >= self.wanted


class Report(msgspec.Struct, frozen=True):
    machine: Machine
    workload: str
    findings: list[Finding]
    targets: list[Target]


def questions() -> list[Question]:
    http = [Question("HTTP", "", n, 1, noop, "buy") for noop in (HTTP_NOOP, "me") for n in (1, 16, 64)]
    single = [Question("WS", codec, n, 1, "echo", "place") for codec in workload.CODECS for n in (1, 16, 64)]
    many = [Question("WS", codec, n, 100, "echo", "place") for codec in workload.CODECS for n in (1, 4, 16)]
    crossing = [Question("WS", "JSON", n, size, "echo", "cross") for n, size in ((1, 1), (8, 1), (8, 100))]
    return [*http, *single, *many, *crossing]


# -- running ------------------------------------------------------------------------------------------------------


class Runner:
    def __init__(self, exchange: Exchange, seconds: float, pool: ProcessPoolExecutor) -> None:
        self._exchange = exchange
        self._seconds = seconds
        self._pool = pool
        self._terms = exchange.terms()
        self._users: list[User] = []

    def register(self) -> None:
        while len(self._users) < USERS:
            self._users.append(self._exchange.register(self._terms))

    def answer(self, question: Question) -> Finding:
        self._exchange.keep_signed_in(self._users)
        noop, order = (self._measure(question, work) for work in (question.noop, question.order))
        refused = order.refused / max(1, order.orders + order.cancels)
        if refused > MOST_REFUSED or noop.refused:
            reasons = ", ".join(f"{code} x{n}" for code, n in (order.reasons | noop.reasons).items())
            raise BenchError(
                f"{question.name}: {refused:.2%} of the commands were refused ({reasons}), so the figures would mean "
                "nothing. Use an exchange in which these users have no other orders, or leave --url and --data away."
            )
        return Finding(question.name, question, noop, order)

    def _measure(self, question: Question, work: str) -> Figures:
        plans = [self._plan(k, work) for k in range(question.clients)]
        job = Job(
            self._exchange.host, self._exchange.port, work, question.codec, question.orders_per_frame, plans, WARM_S,
            self._seconds, self._exchange.pid,
        )  # fmt: skip
        try:
            return self._pool.submit(load.run, job).result(self._seconds + WARM_S + 60)
        except (ConnectionBroken, OSError, TimeoutError, BrokenProcessPool) as error:
            raise BenchError(
                f"{question.name}: {str(error) or type(error).__name__}. See the exchange's logs "
                f"({self._exchange.data or 'in its data folder'}/logs), and `raypit status`."
            ) from None

    def _plan(self, number: int, work: str) -> Plan:
        """Client 0 trades as user 0 in the first symbol, ...: no two clients share both user and symbol."""
        users, terms = self._users, self._terms
        if work == "cross":
            pair = users[0].access_token, users[1].access_token
            return Plan(number, list(pair), terms[number % len(terms)])
        turn = number // len(users)
        return Plan(number, [users[number % len(users)].access_token], terms[(number + turn) % len(terms)])


def measure(exchange: Exchange, asked: list[Question], seconds: float) -> list[Finding]:
    context = multiprocessing.get_context("spawn")
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with ProcessPoolExecutor(1, context) as pool, Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task("registering users", total=len(asked))
        runner = Runner(exchange, seconds, pool)
        runner.register()
        findings = []
        for question in asked:
            progress.update(task, description=question.name)
            findings.append(runner.answer(question))
            progress.advance(task)
    return findings


# -- telling ------------------------------------------------------------------------------------------------------


def targets(findings: list[Finding]) -> list[Target]:
    """The project's targets for two cores, as far as they were measured."""
    wanted: tuple[tuple[str, float, str, Callable[[Finding], float]], ...] = (
        (
            "64 WebSocket clients, one order a frame: share of the echo's rate",
            0.40,
            "place 64x1",
            lambda f: f.ratio,
        ),
        (
            "100 orders a frame: durable orders/s, placed",
            80_000.0,
            "x100",
            lambda f: f.order.orders / f.order.seconds,
        ),
        ("a lone order: p50 in ms", 2.0, "place 1x1", lambda f: f.order.p50_ms),
    )
    found = []
    for text, limit, mark, figure in wanted:
        figures = [figure(one) for one in findings if one.name.endswith(mark) and one.question.transport != "HTTP"]
        if figures:
            found.append(Target(text, limit, min(figures) if "ms" in text else max(figures)))
    return found


def show(report: Report) -> None:
    rates = Table(title="no-op and durable order", title_justify="left")
    for name in (
        "",
        "no-op/s",
        "p50 ms",
        "order frames/s",
        "p50 ms",
        "p99 ms",
        "ratio",
        "orders/s",
        "+ cancels/s",
        "fills/s",
    ):
        rates.add_column(name, justify="left" if not name else "right")
    for one in report.findings:
        noop, order = one.noop, one.order
        rates.add_row(
            f"{one.name} / {one.question.noop}", f"{noop.requests / noop.seconds:,.0f}", f"{noop.p50_ms:.2f}",
            f"{order.requests / order.seconds:,.0f}", f"{order.p50_ms:.2f}", f"{order.p99_ms:.2f}", f"{one.ratio:.0%}",
            *(f"{n / order.seconds:,.0f}" if n else "" for n in (order.orders, order.cancels, order.fills)),
        )  # fmt: skip
    out.print(rates)
    _show_cpu(report.findings)
    for target in report.targets:
        verdict = "[green]met[/]" if target.met else "[red]missed[/]"
        out.print(f"{verdict}  {target.text}: {target.found:,.2f} (target {target.wanted:,g})", highlight=False)


def _show_cpu(findings: list[Finding]) -> None:
    table = Table(title="CPU microseconds a command (order or cancel), by process", title_justify="left")
    used = [part for part in PARTS if any(one.order.cpu_s.get(part, 0.0) > 0.01 for one in findings)]
    for name in ("", *used, "all"):
        table.add_column(name, justify="left" if not name else "right")
    for one in findings:
        commands = one.order.orders + one.order.cancels
        each = [one.order.cpu_s.get(part, 0.0) / commands * 1e6 for part in used]
        table.add_row(one.name, *(f"{value:.1f}" for value in each), f"{sum(each):.1f}")
    out.print(table)


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    asked = [one for one in questions() if options.only in one.name]
    if not asked:
        names = ", ".join(one.name for one in questions())
        raise BenchError(f"no row has {options.only!r} in its name. The rows: {names}.")
    machine = describe()
    out.print(
        f"{machine.cores} cores, Python {machine.python}, Ray {machine.versions['ray']}, load {machine.load_before} before; "
        "exchange and load generator share the cores",
        highlight=False,
    )
    with _exchange(options) as exchange:
        findings = measure(exchange, asked, options.seconds)
    report = Report(machine, workload.__doc__ or "", findings, targets(findings))
    show(report)
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
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement (default 3)")
    parser.add_argument("--only", default="", metavar="TEXT", help="only rows with this in their name")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured to this file")
    parser.add_argument("--url", help="a running exchange instead of one of our own")
    parser.add_argument("--data", metavar="DIR", help="its data folder: processor time by process is measured too")
    return parser.parse_args(arguments)
