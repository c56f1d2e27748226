"""How fast do a book and an account partition come back: orders a second from the journal, seconds from a snapshot?

The journal is a real one: orders of many accounts are admitted, matched, committed to PostgreSQL and settled by the actors' own
services in this process. Then each partition recovers in a process of its own, as after a `kill -9`; its digest must be the old one.
Beside it the raw read: the same journal rows fetched and unpacked, nothing made of them. `--resting` orders stand when the
snapshots are saved. About a minute for a million orders of each.
"""

import argparse
import asyncio
import time
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec
import uvloop
from rich.table import Table

from actors.config import Settings, book_name
from actors.journal import Journal
from bench import machine
from bench.order_flow import Flow
from bench.recovering import Process, Recovered
from bench.report import BenchError, err, out, write_json
from bench.services import Services, database, running, settings_of

SYMBOLS: Final = 8
ACCOUNTS: Final = 1_000
RESTING_ACCOUNTS: Final = 4_000
"""An account may have 200 open orders in a symbol."""
FRAME: Final = 2_000
"""Orders in a frame, and so in a batch."""
STANDING: Final = 20_000
"""Orders that rest while the journal is filled; older ones are canceled."""
PARTITIONS: Final = ("book", "account")
MUST_PER_S: Final = 1e6
MUST_RESTART_S: Final = 8.0


class Replayed(msgspec.Struct, frozen=True):
    """The quickest of some rounds."""

    partition: str
    orders: int
    commands: int
    rows: int
    recovered: Recovered
    raw_s: float
    """Reading and unpacking the book's rows alone, which both partitions do."""

    @property
    def per_s(self) -> float:
        return self.orders / self.recovered.recovery_s

    @property
    def over_raw(self) -> float:
        return self.recovered.recovery_s / self.raw_s


class Restarted(msgspec.Struct, frozen=True):
    partition: str
    resting: int
    snapshot_bytes: int
    recovered: Recovered


class Report(msgspec.Struct, frozen=True):
    machine: machine.Machine
    workload: str
    replayed: list[Replayed]
    restarted: list[Restarted]


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    on = machine.describe()
    report = Report(on, __doc__ or "", [], [])
    out.print(machine.line(on), highlight=False)
    if options.orders:
        report = msgspec.structs.replace(report, replayed=replay(options.orders, options.rounds))
        out.print(_replay_table(report.replayed))
    if options.resting:
        report = msgspec.structs.replace(report, restarted=restart(options.resting, options.rounds))
        out.print(_restart_table(report.restarted))
    if options.json is not None:
        write_json(options.json, report)
    return 0


# -- from the journal ---------------------------------------------------------------------------------------------


def replay(orders: int, rounds: int) -> list[Replayed]:
    """`orders` through both partitions, then both from the first row on."""
    with database() as (dsn, folder):
        settings = settings_of(dsn, folder, SYMBOLS)
        with err.status(f"filling a journal with {orders:,} orders"):
            flow, digests = _run(_filled(settings, orders, STANDING, 0.1, ACCOUNTS, save=False))
        best: dict[str, Recovered] = {}
        raw_s, rows = float("inf"), 0
        for _ in range(rounds):
            with err.status("replaying"):
                took, rows = _run(_read(settings))
                raw_s = min(raw_s, took)
                for name, found in _recovered(settings, digests).items():
                    if name not in best or found.recovery_s < best[name].recovery_s:
                        best[name] = found
    return [Replayed(name, flow.orders, flow.commands, rows, best[name], raw_s) for name in PARTITIONS]


async def _read(settings: Settings) -> tuple[float, int]:
    journal = Journal(settings.pg_dsn, book_name(0))
    began, rows = time.perf_counter(), 0
    async for row in journal.read(0):
        rows += len(row.payload) > 0
    took = time.perf_counter() - began
    await journal.close()
    return took, rows


# -- from a snapshot ----------------------------------------------------------------------------------------------


def restart(resting: int, rounds: int) -> list[Restarted]:
    """`resting` orders stand, both partitions have saved a snapshot; then both start at once."""
    with database() as (dsn, folder):
        settings = settings_of(dsn, folder, SYMBOLS)
        with err.status(f"resting {resting:,} orders"):
            accounts = max(RESTING_ACCOUNTS, resting // 250)
            _, digests = _run(_filled(settings, resting, resting, 0.0, accounts, save=True))
        sizes = _run(_snapshot_sizes(dsn))
        best: dict[str, Recovered] = {}
        for _ in range(rounds):
            with err.status("starting from the snapshots"):
                found = _recovered(settings, digests, together=True)
                if not best or _last(found) < _last(best):
                    best = found
    return [Restarted(name, resting, sizes[f"{name}-0"], best[name]) for name in PARTITIONS]


def _last(found: dict[str, Recovered]) -> float:
    return max(one.ready_s for one in found.values())


async def _snapshot_sizes(dsn: str) -> dict[str, int]:
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch("SELECT stream, max(length(payload)) FROM snapshot GROUP BY stream")
    await connection.close()
    return {row[0]: row[1] for row in rows}


# -- both ---------------------------------------------------------------------------------------------------------


def _run(work: Any) -> Any:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


async def _filled(
    settings: Settings, orders: int, standing: int, takes: float, accounts: int, save: bool
) -> tuple[Flow, dict[str, Any]]:
    async with running(settings) as services:
        assets = [asset.name for asset in services.account.ledger.assets]
        flow = Flow(
            services.account.ledger.instruments,
            await services.open_accounts(accounts, assets),
            takes=takes,
            resting=standing,
        )
        while flow.orders < orders:
            flow.heard(await services.send(flow.frame(min(FRAME, orders - flow.orders))))
        if save:
            await services.book.snapshot()
            await services.account.snapshot()
        return flow, await _digests(services)


async def _digests(services: Services) -> dict[str, Any]:
    return {"book": (await services.book.digest())[1], "account": (await services.account.digest())["digest"]}


def _recovered(settings: Settings, digests: dict[str, Any], together: bool = False) -> dict[str, Recovered]:
    """Each partition in a process of its own: at once, or the account when its book is there."""
    processes: dict[str, Process] = {}
    found: dict[str, Recovered] = {}
    try:
        for name in PARTITIONS:
            processes[name] = Process(name, settings)
            if not together:
                found[name] = processes[name].recovered()
        found = found or {name: process.recovered() for name, process in processes.items()}
    finally:
        for process in processes.values():
            process.end()
    for name, one in found.items():
        if one.digest != digests[name]:
            raise BenchError(f"the {name} partition came back as another one: a bug, please tell")
    return found


def _replay_table(rows: list[Replayed]) -> Table:
    table = Table(title="from the first row of the journal", title_justify="left")
    for column in (
        "partition",
        "orders",
        "commands",
        "rows",
        "s",
        "orders/s",
        "cpu us an order",
        "raw read s",
        "x raw",
        "",
    ):
        table.add_column(column, justify="left" if column == "partition" else "right")
    for row in rows:
        one = row.recovered
        table.add_row(
            row.partition, f"{row.orders:,}", f"{row.commands:,}", f"{row.rows:,}", f"{one.recovery_s:.2f}",
            f"{row.per_s:,.0f}", f"{one.cpu_s / row.orders * 1e6:.2f}", f"{row.raw_s:.2f}", f"{row.over_raw:.1f}",
            _verdict(row.per_s >= MUST_PER_S),
        )  # fmt: skip
    return table


def _restart_table(rows: list[Restarted]) -> Table:
    table = Table(
        title="both at once from their snapshots, seconds from the start of the process", title_justify="left"
    )
    for column in ("partition", "resting", "snapshot MB", "imports", "kernels", "recovery", "ready", ""):
        table.add_column(column, justify="left" if column == "partition" else "right")
    for row in rows:
        one = row.recovered
        table.add_row(
            row.partition, f"{row.resting:,}", f"{row.snapshot_bytes / 1e6:.1f}",
            *(f"{value:.2f}" for value in (one.imports_s, one.kernels_s, one.recovery_s, one.ready_s)),
            _verdict(one.ready_s <= MUST_RESTART_S),
        )  # fmt: skip
    return table


def _verdict(met: bool) -> str:
    return "[green]met[/]" if met else "[red]missed[/]"


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench recovery", description=__doc__)
    parser.add_argument("--orders", type=int, default=1_000_000, help="in the journal; 0: leave that part out")
    parser.add_argument("--resting", type=int, default=1_000_000, help="in the snapshots; 0: leave that part out")
    parser.add_argument("--rounds", type=int, default=3, help="the quickest counts (default 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured to this file")
    return parser.parse_args(arguments)
