"""How many nanoseconds does the ledger take for an order: to reserve for it, and to settle what the book told of it?

One thread, processor time, the best of some rounds. LIMIT orders with client order ids of random accounts, half of them trade at once or later;
the book between the two is not counted. Accounts: 1,000 and 1,000,000 (`--accounts`): what a large partition loses to a small one is cache misses.
"""

import time
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from rich.table import Table

from bench import machine
from bench.open_instrument import open_instrument
from bench.report import BenchError, out, write_json
from market.book import Book
from market.enums import CommandKind
from market.instrument import Instrument
from market.ledger.accounts import Ledger
from market.numbering import SYSTEM_ROWS
from market.records import COMMAND, Records

BATCHES: Final = (1, 16, 256, 4096)
FUNDS: Final = 1 << 40
"""Units of each asset and account: nobody runs out."""
MIDDLE: Final = 1_000


class Row(msgspec.Struct, frozen=True):
    accounts: int
    batch: int
    orders: int
    admit_ns: float
    settle_ns: float
    reports: int


class Report(msgspec.Struct, frozen=True):
    machine: machine.Machine
    rows: list[Row]


def main(arguments: list[str]) -> int:
    parser = ArgumentParser(prog="python -m bench ledger", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--accounts", type=int, action="append", help="default: 1000 and 1000000")
    parser.add_argument("--orders", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    _run(funded(10), orders(10, 2), 1)  # compiles
    rows: list[Row] = []
    for accounts in options.accounts or (1_000, 1_000_000):
        ledger = funded(accounts)
        for batch in BATCHES:
            count = options.orders if batch > 1 else min(options.orders, 20_000)
            rows.append(_measured(ledger, accounts, batch, count, options.rounds))
    out.print(_table(rows))
    if options.json is not None:
        write_json(options.json, Report(machine.describe(), rows))
    return 0


def funded(accounts: int, instruments: Sequence[Instrument] | None = None) -> Ledger:
    """A partition with so many accounts, each with funds in the first two assets."""
    ledger = Ledger(instruments or [open_instrument()])
    for account in range(SYSTEM_ROWS, SYSTEM_ROWS + accounts):
        ledger.open(account, 0, 0)
        for asset in range(2):
            ledger.post(account, asset, FUNDS, 0)
    return ledger


def orders(accounts: int, count: int, seed: int = 1) -> Records:
    """COMMAND[count]: LIMIT orders around one price."""
    rng = np.random.default_rng(seed)
    made = np.zeros(count, COMMAND)
    made["kind"] = CommandKind.NEW
    made["account"] = SYSTEM_ROWS + rng.integers(0, accounts, count)
    made["side"] = rng.integers(0, 2, count)
    made["price_ticks"] = MIDDLE + rng.integers(-50, 51, count)
    made["qty_lots"] = rng.integers(1, 101, count)
    made["expected_leaves"] = -1
    made["client_order_id"] = [b"bench-%d" % k for k in range(count)]
    return made


def _measured(ledger: Ledger, accounts: int, batch: int, count: int, rounds: int) -> Row:
    found = [_run(ledger.copy(), orders(accounts, count), batch) for _ in range(rounds)]
    admit, settle = min(one[0] for one in found), min(one[1] for one in found)
    return Row(accounts, batch, count, admit / count, settle / count, found[0][2])


def _run(ledger: Ledger, commands: Records, batch: int) -> tuple[int, int, int]:
    """Nanoseconds to admit, to settle; reports."""
    book, clock = Book(open_instrument(), 0), time.process_time_ns
    admit, settle, reports = 0, 0, 0
    for at in range(0, len(commands), batch):
        part = commands[at : at + batch]
        began = clock()
        accepted, refused = ledger.admit(part, 1)
        admit += clock() - began
        if len(refused):
            raise BenchError(f"the ledger refused {len(refused)} funded orders: a bug, please tell")
        events = book.apply(accepted)
        began = clock()
        reports += len(ledger.settle(accepted, events, 1))
        settle += clock() - began
    if ledger.drift().any():
        raise BenchError("money was made or lost: a bug, please tell")
    return admit, settle, reports


def _table(rows: list[Row]) -> Table:
    table = Table(title="ledger, processor time an order", title_justify="left")
    for column in ("accounts", "batch", "orders", "admit ns", "settle ns", "orders/s", "of the fewest accounts"):
        table.add_column(column, justify="right")
    fewest = min(row.accounts for row in rows)
    for row in rows:
        first = next(one for one in rows if one.batch == row.batch and one.accounts == fewest)
        share = (first.admit_ns + first.settle_ns) / (row.admit_ns + row.settle_ns)
        table.add_row(
            f"{row.accounts:,}", f"{row.batch:,}", f"{row.orders:,}", f"{row.admit_ns:.0f}", f"{row.settle_ns:.0f}",
            f"{1e9 / (row.admit_ns + row.settle_ns):,.0f}", f"{share:.0%}",
        )  # fmt: skip
    return table
