"""How many bytes does an idle account cost, and how many a resting order in book and ledger?

Resident memory of a process of its own for each figure, before and after, without what malloc holds back; one symbol, two assets, or 1,000 symbols. Accounts: what an account actor keeps, the ledger
and the history of reports (which is of one size, however many accounts there are). Orders: plain LIMIT orders on so many price levels.
"""

from argparse import ArgumentParser
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from rich.table import Table

from actors.memory import give_back
from bench import machine
from bench.ledger import FUNDS, funded
from bench.open_instrument import open_instrument
from bench.report import out, write_json
from market.book import Book
from market.enums import CommandKind
from market.ledger.accounts import Ledger
from market.numbering import SYSTEM_ROWS
from market.records import COMMAND, Records
from market.universe import instruments

PIECE: Final = 4096
"""Orders at a time, so that no large batch stands beside them. The first ones are not counted: with them come buffers for a batch."""
OWNERS: Final = 1_000
MANY_SYMBOLS: Final = 1_000
LOWEST_ASK: Final = 1 << 20


class Row(msgspec.Struct, frozen=True):
    what: str
    count: int
    bytes_each: float
    must: int
    aim: int


class Report(msgspec.Struct, frozen=True):
    machine: machine.Machine
    levels: int
    rows: list[Row]


def main(arguments: list[str]) -> int:
    parser = ArgumentParser(prog="python -m bench memory", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--accounts", type=int, default=1_000_000)
    parser.add_argument("--orders", type=int, default=500_000)
    parser.add_argument("--levels", type=int, default=6_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    if options.orders <= PIECE:
        parser.error(f"--orders: more than {PIECE}")
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        accounts = pool.submit(_accounts, options.accounts, 1).result()
        among_many = pool.submit(_accounts, options.accounts, MANY_SYMBOLS).result()
        book = pool.submit(_book, options.orders, options.levels).result()
        plain = pool.submit(_ledger, options.orders, options.levels, False).result()
        named = pool.submit(_ledger, options.orders, options.levels, True).result()
    orders = options.orders - PIECE
    rows = [
        Row("idle account", options.accounts, accounts / options.accounts, 500, 200),
        Row(f"idle account, {MANY_SYMBOLS:,} symbols", options.accounts, among_many / options.accounts, 500, 200),
        Row("resting order, book", options.orders, book / orders, 0, 0),
        Row("resting order, ledger", options.orders, plain / orders, 0, 0),
        Row("resting order, ledger, with a client order id", options.orders, named / orders, 0, 0),
        Row("resting order, both", options.orders, (book + plain) / orders, 200, 100),
    ]
    out.print(_table(rows, options.levels))
    if options.json is not None:
        write_json(options.json, Report(machine.describe(), options.levels, rows))
    return 0


def resident() -> int:
    """Bytes of this process; what malloc keeps for later is handed back first, as the actors do when they are up."""
    give_back()
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status tells no VmRSS")


def _accounts(count: int, symbols: int) -> int:
    """With funds in two assets."""
    listed = instruments(symbols)
    funded(1, listed)
    before = resident()
    ledger = funded(count, listed)
    grown = resident() - before
    assert ledger.balances(SYSTEM_ROWS)[0, 0] == FUNDS
    return grown


def _book(count: int, levels: int) -> int:
    book = Book(open_instrument(), 0)
    book.apply(resting(0, PIECE, levels, False))
    before = resident()
    for at in range(PIECE, count, PIECE):
        book.apply(resting(at, min(at + PIECE, count), levels, False))
    assert book.live_orders == count
    return resident() - before


def _ledger(count: int, levels: int, named: bool) -> int:
    """Each piece of orders rests in a book of its own, which is let go."""
    ledger = funded(OWNERS)
    _rest(ledger, resting(0, PIECE, levels, named))
    before = resident()
    for at in range(PIECE, count, PIECE):
        _rest(ledger, resting(at, min(at + PIECE, count), levels, named))
    assert ledger.live_orders == count
    return resident() - before


def _rest(ledger: Ledger, commands: Records) -> None:
    accepted, _ = ledger.admit(commands, 1)
    ledger.settle(accepted, Book(open_instrument(), 0).apply(accepted), 1)


def resting(start: int, stop: int, levels: int, named: bool) -> Records:
    """COMMAND[stop - start]: orders that do not meet each other, half of them on each side."""
    number = np.arange(start, stop)
    made = np.zeros(len(number), COMMAND)
    made["kind"] = CommandKind.NEW
    made["account"] = SYSTEM_ROWS + number % OWNERS
    made["order_id"] = number + 1
    made["side"] = number & 1
    away = (number >> 1) % (levels // 2)
    made["price_ticks"] = LOWEST_ASK + np.where(number & 1, away, -1 - away)
    made["qty_lots"] = 1 + number % 100
    made["expected_leaves"] = -1
    if named:
        made["client_order_id"] = [b"web_%018d" % k for k in number]
    return made


def _table(rows: list[Row], levels: int) -> Table:
    table = Table(title=f"memory, orders on {levels:,} price levels", title_justify="left")
    for column in ("what", "how many", "bytes each", "must", "aim"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for row in rows:
        bounds = (str(row.must), str(row.aim)) if row.must else ("", "")
        table.add_row(row.what, f"{row.count:,}", f"{row.bytes_each:.0f}", *bounds)
    return table
