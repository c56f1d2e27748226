"""How many operations a second does the matching engine do, beside others that can be installed from PyPI?

One thread, seeded flows with known mixes, the best of some rounds. The engine gets batches as a socket would bring them; the peers one call
an operation, which is all they offer. Peers: `pip install -e '.[bench]'` (missing ones are left out).
The engine must come to as many fills as the plain book that the flow was made with.
"""

import importlib
import importlib.util
import time
from argparse import ArgumentParser
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from rich.table import Table

from bench import machine
from bench.book_flow import ADD, CANCEL, MIXES, TAKE, DictBook, Mix, commands_of, make
from bench.open_instrument import open_instrument
from bench.report import BenchError, err, out, write_json
from market.book import Book
from market.enums import EventKind, Side
from market.records import COMMAND, Records

BATCHES: Final = (1, 16, 256, 4096)
MOST_SINGLE: Final = 200_000
"""Operations in batches of one."""
PEER_OPERATIONS: Final = {"order-matching": 2_000}
"""Those that would take minutes get so many."""


class Row(msgspec.Struct, frozen=True):
    mix: str
    book: str
    batch: int
    operations: int
    per_s: float
    fills: int


class Report(msgspec.Struct, frozen=True):
    machine: machine.Machine
    rows: list[Row]


def main(arguments: list[str]) -> int:
    parser = ArgumentParser(prog="python -m bench book", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--operations", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mix", choices=[mix.name for mix in MIXES], action="append")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    rows: list[Row] = []
    for mix in MIXES:
        if options.mix is None or mix.name in options.mix:
            rows += _measure(mix, options.operations, options.rounds)
    out.print(_table(rows))
    if options.json is not None:
        write_json(options.json, Report(machine.describe(), rows))
    return 0


def _measure(mix: Mix, operations: int, rounds: int) -> list[Row]:
    warm, flow = make(mix, operations)
    plain = DictBook()
    plain.run(warm)
    rows = [_timed(mix, "dict book", 1, len(flow), rounds, lambda: _plain(warm, flow))]
    expected = rows[0].fills
    totals: dict[int, int] = {}
    first, commands = commands_of(warm, totals), commands_of(flow, totals)
    for batch in BATCHES:
        part = commands[: MOST_SINGLE if batch == 1 else None]
        rows.append(_timed(mix, "raypit", batch, len(part), rounds, partial(_engine, first, part, batch)))
    for name, run in PEERS.items():
        some = flow[: PEER_OPERATIONS.get(name)]
        try:
            rows.append(_timed(mix, name, 1, len(some), 1, partial(run, warm, some)))
        except ImportError:
            err.print(f"{name} is not installed and left out", style="dim")
    for row in rows:
        if row.book == "raypit" and row.operations == len(flow) and row.fills != expected:
            raise BenchError(
                f"{row.book}: {row.fills} fills of {mix.name}, the plain book {expected}. One of them is wrong."
            )
    return rows


def _timed(mix: Mix, book: str, batch: int, count: int, rounds: int, run: Callable[[], tuple[float, int]]) -> Row:
    found = [run() for _ in range(rounds)]
    return Row(mix.name, book, batch, count, count / min(seconds for seconds, _ in found), found[0][1])


def _plain(warm: Records, flow: Records) -> tuple[float, int]:
    book = DictBook()
    book.run(warm)
    before, began = book.fills, time.perf_counter()
    book.run(flow)
    return time.perf_counter() - began, book.fills - before


def _engine(first: Records, commands: Records, batch: int) -> tuple[float, int]:
    """Each batch lies in the cache, where the decoder of its frame leaves it; making its events the caller's own is in the time."""
    book = Book(open_instrument(), 0)
    book.apply(first)
    buffer, clock = np.empty(batch * COMMAND.itemsize, np.uint8), time.perf_counter
    seconds, trades, refused = 0.0, 0, 0
    for at in range(0, len(commands), batch):
        part = commands[at : at + batch].view(np.uint8)
        buffer[: len(part)] = part
        hot = buffer[: len(part)].view(COMMAND)
        hot.flags.writeable = False
        began = clock()
        events = book.apply(hot)
        seconds += clock() - began
        trades += int(np.count_nonzero(events["kind"] == EventKind.TRADE))
        refused += int(np.count_nonzero(events["kind"] == EventKind.REJECTED))
    if refused:
        raise BenchError(f"the engine refused {refused} commands of the flow: a bug, please tell")
    return seconds, trades


# -- peers: one call an operation -----------------------------------------------------------------------------


def _bourse(warm: Records, flow: Records) -> tuple[float, int]:
    """A book in Rust; it gives ids of its own."""
    core = importlib.import_module("bourse").core
    book = core.OrderBook(0, 1, True) if _takes_a_tick(core) else core.OrderBook(0, True)
    ids: dict[int, int] = {}

    def run(part: Records) -> None:
        place, cancel, modify = book.place_order, book.cancel_order, book.modify_order
        for kind, side, price, qty, order_id in part.tolist():
            if kind == ADD:
                ids[order_id] = place(side == Side.BUY, qty, 1, price=price)
            elif kind == CANCEL:
                cancel(ids[order_id])
            elif kind == TAKE:
                cancel(place(side == Side.BUY, qty, 1, price=price))
            else:
                modify(ids[order_id], new_vol=qty)

    run(warm)
    before, began = len(book.get_trades()), time.perf_counter()
    run(flow)
    return time.perf_counter() - began, len(book.get_trades()) - before


def _takes_a_tick(core: Any) -> bool:
    try:
        core.OrderBook(0, 1, True)
    except TypeError:
        return False
    return True


def _limit_order_book(warm: Records, flow: Records) -> tuple[float, int]:
    """A book in C++ behind ctypes. It has no immediate-or-cancel: a taking order is a market order; fills are not told."""
    book = importlib.import_module("limit_order_book").LimitOrderBook()
    here: dict[int, tuple[int, int]] = {}

    def run(part: Records) -> None:
        limit, cancel, market, has = book.limit, book.cancel, book.market, book.has
        for kind, side, price, qty, order_id in part.tolist():
            if kind == ADD:
                limit(side == Side.BUY, order_id, qty, price)
                here[order_id] = (side, price)
            elif kind == TAKE:
                market(side == Side.BUY, order_id, qty)
            elif has(order_id):
                cancel(order_id)
                if kind != CANCEL:
                    own_side, own_price = here[order_id]
                    limit(own_side == Side.BUY, order_id, qty, own_price)

    run(warm)
    began = time.perf_counter()
    run(flow)
    return time.perf_counter() - began, -1


def _order_matching(warm: Records, flow: Records) -> tuple[float, int]:
    """A book in Python with pandas; it cannot cancel or reduce, so that only what adds and takes is run."""
    package = importlib.import_module("order_matching.matching_engine")
    orders = importlib.import_module("order_matching.order")
    many = importlib.import_module("order_matching.orders")
    sides = importlib.import_module(
        "order_matching.side" if _has("order_matching.side") else "order_matching.enums"
    ).Side
    stamp = importlib.import_module("datetime").datetime(2026, 1, 1)
    engine = package.MatchingEngine(seed=1)

    def run(part: Records) -> None:
        for kind, side, price, qty, order_id in part.tolist():
            if kind in (ADD, TAKE):
                order = orders.LimitOrder(
                    side=sides.BUY if side == Side.BUY else sides.SELL, price=price, size=qty, timestamp=stamp,
                    order_id=str(order_id), trader_id="1",
                )  # fmt: skip
                engine.match(orders=many.Orders([order]), timestamp=stamp)

    run(warm[:1000])
    began = time.perf_counter()
    run(flow)
    return time.perf_counter() - began, -1


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


PEERS: Final[dict[str, Callable[[Records, Records], tuple[float, int]]]] = {
    "bourse": _bourse,
    "limit-order-book": _limit_order_book,
    "order-matching": _order_matching,
}


def _table(rows: list[Row]) -> Table:
    table = Table(title="order books, operations a second", title_justify="left")
    for column in ("mix", "book", "batch", "operations", "M/s", "x dict book", "x best peer"):
        table.add_column(column, justify="left" if column in ("mix", "book") else "right")
    for row in rows:
        same = [one for one in rows if one.mix == row.mix]
        plain = next(one.per_s for one in same if one.book == "dict book")
        peer = max((one.per_s for one in same if one.book in PEERS), default=0.0)
        table.add_row(
            row.mix, row.book, f"{row.batch:,}", f"{row.operations:,}", f"{row.per_s / 1e6:.3f}",
            f"{row.per_s / plain:.2f}", f"{row.per_s / peer:.2f}" if peer else "",
        )  # fmt: skip
    return table
