"""Measures a no-op and an order in turn under the same load, and refuses figures that would mean nothing."""

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Final

import msgspec
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from bench import load
from bench.client import ConnectionBroken
from bench.exchange import Exchange, User
from bench.load import Figures, Job
from bench.processes import cpu_seconds
from bench.report import BenchError, err
from bench.workload import Plan

DATA_PORT: Final = "WS data port"
"""The transport of that name; "WS" is through the ingress."""
USERS: Final = 16
"""Registering one costs 0.1 s, and an address may register 30 a minute."""
SYMBOLS: Final = 8
WARM_S: Final = 0.5
ANSWER_LIMIT_S: Final = 60.0
REST_LIMIT_S: Final = 5.0
REST_LOOK_S: Final = 0.25
REST_SHARE: Final = 0.15
"""Of a core, that projector and PostgreSQL use at rest."""
MOST_WRONG: Final = 0.001
"""Share of commands refused, or of fills missing, past which the figures are not of what they say."""


class Question(msgspec.Struct, frozen=True):
    transport: str
    codec: str
    clients: int
    orders_per_frame: int
    noop: str
    order: str

    @property
    def name(self) -> str:
        """`WS JSON place 64x1 / echo`: 64 clients with one order a frame, over the no-op `echo`."""
        words = [self.transport, self.codec, self.order, f"{self.clients}x{self.orders_per_frame}", "/", self.noop]
        return " ".join(word for word in words if word)

    @property
    def halves(self) -> bool:
        """Orders are sent at half of their highest rate, too."""
        return (self.transport, self.order, self.orders_per_frame) == (DATA_PORT, "place", 1) and self.clients > 1


class Finding(msgspec.Struct, frozen=True):
    name: str
    question: Question
    noop: Figures
    order: Figures
    ratio: float
    """Order frames a second over no-op frames a second."""
    half: Figures | None = None
    """Of orders at half of their highest rate, evenly spaced: only over the data port with many clients."""


class Runner:
    def __init__(self, exchange: Exchange, seconds: float, pool: ProcessPoolExecutor) -> None:
        self._exchange = exchange
        self.seconds = seconds
        self._pool = pool
        self._terms = exchange.terms()[:SYMBOLS]
        self._users: list[User] = []

    def prepare(self) -> None:
        """Register users, and run once everything that only the first frame has to wait for."""
        while len(self._users) < USERS:
            self._users.append(self._exchange.register(self._terms))
        self.measure(Question("WS", "JSON", 16, 1, "echo", "place"), "place")

    def can(self, question: Question) -> bool:
        """Fills are only counted where nobody else trades, and each pair of clients has a symbol for itself."""
        return question.order != "cross" or (self._exchange.quiet and question.clients <= len(self._terms))

    def answer(self, question: Question, rounds: int) -> Finding:
        self._exchange.keep_signed_in(self._users)
        noops, orders = [], []
        for _ in range(rounds):
            noops.append(self.measure(question, question.noop))
            orders.append(self.measure(question, question.order))
        for one in (*noops, *orders):
            check(question, one)
        noop, order = max(noops, key=_rate), max(orders, key=_rate)
        half = None
        if question.halves:
            half = self.measure(question, question.order, _rate(order) / 2)
        return Finding(question.name, question, noop, order, _rate(order) / _rate(noop), half)

    def measure(self, question: Question, work: str, rate: float = 0.0, by_process: bool = False) -> Figures:
        """`rate`: frames a second of all clients together; 0: as many as are answered."""
        self._await_rest()
        plans = [self.plan(k, work) for k in range(question.clients)]
        port = self._exchange.data_port if question.transport == DATA_PORT else self._exchange.port
        job = Job(
            self._exchange.host, port, work, question.codec, question.orders_per_frame, plans, WARM_S,
            self.seconds, self._exchange.pid, rate, by_process=by_process, pg_dsn=self._exchange.pg_dsn,
        )  # fmt: skip
        try:
            return self._pool.submit(load.run, job).result(self.seconds + WARM_S + ANSWER_LIMIT_S)
        except (ConnectionBroken, OSError, TimeoutError, BrokenProcessPool) as error:
            raise BenchError(
                f"{question.name}: {str(error) or type(error).__name__}. See the exchange's logs "
                f"({self._exchange.data or 'in its data folder'}/logs), and `raypit status`."
            ) from None

    def _await_rest(self) -> None:
        """Until the exchange has written what the load before left it with (read models): it would take its time from this one."""
        if not self._exchange.pid:
            return
        deadline = time.monotonic() + REST_LIMIT_S
        while time.monotonic() < deadline:
            before = self._writing_s()
            time.sleep(REST_LOOK_S)
            if self._writing_s() - before < REST_LOOK_S * REST_SHARE:
                return

    def _writing_s(self) -> float:
        used = cpu_seconds(self._exchange.pid)
        return used.get("projector", 0.0) + used.get("postgres", 0.0)

    def plan(self, number: int, work: str) -> Plan:
        """No two clients share both user and symbol: each has the limit of open orders for itself."""
        users, terms = self._users, self._terms
        if work == "cross":
            return Plan(number, [users[0].access_token, users[1].access_token], terms[number % len(terms)])
        turn, k = divmod(number, len(users))
        user = users[k]
        return Plan(number, [user.access_token], terms[(k + turn) % len(terms)], user.api_key, user.secret)


def check(question: Question, found: Figures) -> None:
    """BenchError for figures that would mean nothing."""
    wrong, what = found.refused / max(1, found.commands), "of the commands were refused"
    if found.fills_due:
        missing = 1 - found.fills / found.fills_due
        wrong, what = max((wrong, what), (missing, "of the fills are missing"))
    if wrong > MOST_WRONG:
        reasons = ", ".join(f"{code} x{n}" for code, n in found.reasons.items()) or "no reason was told"
        raise BenchError(
            f"{question.name}: {wrong:.2%} {what} ({reasons}), so the figures would mean nothing. "
            "Use an exchange in which nobody else trades, or leave --url and --data away."
        )


def _rate(figures: Figures) -> float:
    return figures.requests / figures.seconds


def measure(
    exchange: Exchange, asked: list[Question], seconds: float, rounds: int
) -> tuple[list[Finding], dict[str, str]]:
    """What was found, and of the rows that failed the reasons."""
    context = multiprocessing.get_context("spawn")
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with ProcessPoolExecutor(1, context) as pool, Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task("registering users", total=len(asked))
        runner = Runner(exchange, seconds, pool)
        runner.prepare()
        findings: list[Finding] = []
        failed: dict[str, str] = {}
        for question in asked:
            progress.update(task, description=question.name)
            if runner.can(question):
                try:
                    findings.append(runner.answer(question, rounds))
                except BenchError as error:
                    failed[question.name] = str(error)
                    err.print(f"[bold red]left out:[/] {error}", highlight=False)
            else:
                err.print(f"{question.name} left out: others trade here, or symbols are too few.", highlight=False)
            progress.advance(task)
    return findings, failed
