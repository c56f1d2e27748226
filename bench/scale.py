"""What does an order cost with many symbols, or in a partition of many accounts, over one symbol and 1,000 accounts?

The same number of orders, in frames of 100, through the actors' own account and book services in this process with a real
PostgreSQL each, to the answer that is committed and settled. All shapes run in turn in each round; processor time of this process,
PostgreSQL's is not in it. Every account has every asset, so that 1,000,000 x 1,000 does not fit a machine of this size (the last
column; `bench memory` tells what an account takes that has two of them): each is measured by itself. Accounts are opened in
bulk, without a journal row.
"""

import argparse
import asyncio
import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Final

import msgspec
import uvloop
from rich.table import Table

from actors.config import MAKER_FEE_PPM, TAKER_FEE_PPM, Settings
from actors.memory import give_back
from bench import machine
from bench.order_flow import Flow
from bench.report import err, out, write_json
from bench.services import FUNDS_UNITS, Services, database, running, settings_of
from market.ledger import layout as L
from market.numbering import SYSTEM_ROWS

FRAME: Final = 100
STANDING: Final = 20_000
FEW_ACCOUNTS: Final = 1_000
MUST: Final = 0.8


class Shape(msgspec.Struct, frozen=True):
    symbols: int
    accounts: int


class Row(msgspec.Struct, frozen=True):
    shape: Shape
    cpu_us: list[float]
    """An order, by round."""
    wall_us: list[float]
    ratios: list[float]
    """Throughput over that of the first shape, by processor time, by round."""
    opened_s: float
    rss_mb: float
    """That opening the accounts added."""
    account_bytes: float
    """Of the ledger's tables, once opened and funded."""


class Report(msgspec.Struct, frozen=True):
    machine: machine.Machine
    rows: list[Row]


class Place:
    """One shape, running."""

    def __init__(self, shape: Shape, services: Services) -> None:
        self.shape, self._services = shape, services
        self.cpu_us: list[float] = []
        self.wall_us: list[float] = []
        began, before = time.perf_counter(), _resident()
        accounts = _open(services, shape.accounts)
        self.opened_s = time.perf_counter() - began
        self.rss_mb = (_resident() - before) / 1e6
        arrays = services.account.ledger._arrays
        used = int(arrays.header[L.H_ENTRIES_USED]) * arrays.entries[0].nbytes
        self.account_bytes = arrays.rows[0].nbytes + used / shape.accounts
        self._flow = Flow(services.account.ledger.instruments, accounts, resting=STANDING)

    async def fill(self) -> None:
        while self._flow.orders < STANDING + FRAME:
            self._flow.heard(await self._services.send(self._flow.frame(2_000)))

    async def round(self, orders: int) -> None:
        cpu = wall = 0.0
        for _ in range(orders // FRAME):
            frame = self._flow.frame(FRAME)
            began, used = time.perf_counter(), time.process_time()
            told = await self._services.send(frame)
            cpu, wall = cpu + time.process_time() - used, wall + time.perf_counter() - began
            self._flow.heard(told)
        self.cpu_us.append(cpu / orders * 1e6)
        self.wall_us.append(wall / orders * 1e6)


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    shapes = [Shape(1, FEW_ACCOUNTS), Shape(options.symbols, FEW_ACCOUNTS), Shape(1, options.accounts)]
    on = machine.describe()
    out.print(machine.line(on), highlight=False)
    with contextlib.ExitStack() as stack, err.status("measuring"):
        settings = []
        for shape in shapes:
            dsn, folder = stack.enter_context(database())
            settings.append(settings_of(dsn, folder, shape.symbols))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            rows = runner.run(_measured(shapes, settings, options.orders // FRAME * FRAME, options.rounds))
    out.print(_table(rows))
    if options.json is not None:
        write_json(options.json, Report(on, rows))
    return 0


async def _measured(shapes: Sequence[Shape], settings: Sequence[Settings], orders: int, rounds: int) -> list[Row]:
    async with contextlib.AsyncExitStack() as stack:
        places = []
        for shape, one in zip(shapes, settings, strict=True):
            place = Place(shape, await stack.enter_async_context(running(one)))
            await place.fill()
            await place.round(orders)  # what only the first frames of this size wait for
            place.cpu_us.clear()
            place.wall_us.clear()
            places.append(place)
        give_back()  # as in the actors
        for _ in range(rounds):
            for place in places:
                await place.round(orders)
        first = places[0].cpu_us
        return [
            Row(
                one.shape, one.cpu_us, one.wall_us, [a / b for a, b in zip(first, one.cpu_us, strict=True)],
                one.opened_s, one.rss_mb, one.account_bytes,
            )
            for one in places
        ]  # fmt: skip


def _resident() -> int:
    """Bytes of this process; 0 where there is no /proc."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0


def _open(services: Services, count: int) -> range:
    """Accounts with FUNDS_UNITS of each asset, as `open` and `post` leave them, quiet; not journaled: nothing recovers here."""
    ledger, accounts = services.account.ledger, range(SYSTEM_ROWS, SYSTEM_ROWS + count)
    for account in reversed(accounts):  # the last one first: the tables grow once
        ledger.open(account, MAKER_FEE_PPM, TAKER_FEE_PPM)
    for account in accounts:
        for asset in range(len(ledger.assets)):
            ledger.post(account, asset, FUNDS_UNITS, 0)
    services.account._hush(accounts)
    return accounts


def _table(rows: list[Row]) -> Table:
    table = Table(title="an order in frames of 100; medians of the rounds", title_justify="left")
    for column in (
        "symbols", "accounts", "cpu us", "wall us", "throughput by cpu", "middle half of the rounds", "opened s", "RSS MB",
        "table bytes an account", "",
    ):  # fmt: skip
        table.add_column(column, justify="right")
    for row in rows:
        ratio = median(rows[0].cpu_us) / median(row.cpu_us)
        table.add_row(
            f"{row.shape.symbols:,}", f"{row.shape.accounts:,}", f"{median(row.cpu_us):.2f}",
            f"{median(row.wall_us):.1f}", f"{ratio:.0%}", _middle_half(row.ratios),
            f"{row.opened_s:.1f}", f"{row.rss_mb:,.0f}", f"{row.account_bytes:,.0f}",
            "" if row is rows[0] else "[green]met[/]" if ratio >= MUST else "[red]missed[/]",
        )  # fmt: skip
    return table


def _middle_half(ratios: list[float]) -> str:
    low, _, high = quantiles(ratios, n=4)
    return f"{low:.0%} to {high:.0%}"


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench scale", description=__doc__)
    parser.add_argument("--symbols", type=int, default=1_000, help="of the second shape; fewer for a slow machine")
    parser.add_argument("--accounts", type=int, default=1_000_000, help="of the third shape; fewer for a small machine")
    parser.add_argument("--orders", type=int, default=4_000, help="in a round of a shape")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured to this file")
    return parser.parse_args(arguments)
