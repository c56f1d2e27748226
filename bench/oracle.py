"""Does the matching engine tell what the naive book tells, event for event and field for field, over millions of operations?

The naive book (`tests/reference/naive_book.py`) is plain Python written from `market/book/SEMANTICS.md` alone; it knows all of it. Flows: the
mixes of `python -m bench book`, whole (limit orders that rest, take, are canceled and reduced), and three that only this asks for: `everything` (all
kinds of command and order: stops, trailing, icebergs, pegs, pairs, self-trade prevention, by quote; filters within reach), `hostile` (the same with
fields out of their domain) and `hybrid` (the same among a real venue's levels and trades). Batches of random lengths; at the end of
each piece the depth, the counters and the live orders' number are compared too. Run it from a checkout of the source.
"""

import time
from argparse import ArgumentParser
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from bench import machine
from bench.book_flow import MIXES, commands_of, make
from bench.open_instrument import open_instrument
from bench.report import BenchError, err, out, write_json
from market.book import Book
from market.enums import Side
from market.instrument import Instrument
from market.records import Records, joined

if TYPE_CHECKING:
    from tests.reference.naive_book import NaiveBook

PIECE: Final = 100_000
"""Operations of one book from empty; pieces differ by their seed."""
DEEP_PIECE: Final = 500_000
"""Where the book is filled first with more than that of `PIECE` is worth."""
LONGEST_BATCH: Final = 4096
MOST_LIVE: Final = 1_000_000
SPECIAL: Final = ("everything", "hostile", "hybrid")


class Piece(msgspec.Struct, frozen=True):
    mix: str
    seed: int
    operations: int


class Outcome(msgspec.Struct, frozen=True):
    piece: Piece
    operations: int
    """Those that filled the book included."""
    events: int
    oracle_s: float
    engine_s: float
    difference: str
    """The first one, in words; the rest of the piece is then not looked at."""


class Row(msgspec.Struct, frozen=True):
    mix: str
    books: int
    operations: int
    events: int
    differences: int
    oracle_us: float
    """An operation, processor time."""
    engine_us: float


class Report(msgspec.Struct, frozen=True):
    machine: machine.Machine
    rows: list[Row]
    differences: list[str]


def main(arguments: list[str]) -> int:
    names = [mix.name for mix in MIXES] + list(SPECIAL)
    parser = ArgumentParser(prog="python -m bench oracle", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--operations", type=int, default=400_000, help="of all mixes together")
    parser.add_argument("--mix", choices=names, action="append")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=machine.cores())
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    _check_source()
    pieces = list(_pieces(options.mix or names, options.operations, options.seed))
    outcomes = _run(pieces, options.processes)
    rows = _rows(outcomes)
    differences = [f"{one.piece.mix}, seed {one.piece.seed}: {one.difference}" for one in outcomes if one.difference]
    out.print(_table(rows))
    for text in differences:
        err.print(text, highlight=False, markup=False)
    if options.json is not None:
        write_json(options.json, Report(machine.describe(), rows, differences))
    return 1 if differences else 0


def _check_source() -> None:
    try:
        import tests.reference.naive_book  # noqa: F401
    except ImportError:
        raise BenchError("the naive book is a part of the source tree: run this in a checkout") from None


def _pieces(names: list[str], operations: int, seed: int) -> Iterator[Piece]:
    """Of every mix as many operations; the long ones first, so that no process waits for them at the end."""
    each = -(-operations // len(names))
    for name in sorted(names, key=lambda name: name != "deep"):
        left = each
        while left > 0:
            count = min(left, DEEP_PIECE if name == "deep" else PIECE)
            yield Piece(name, seed, count)
            seed += 1
            left -= count


def _run(pieces: list[Piece], processes: int) -> list[Outcome]:
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,} of {task.total:,}"))
    outcomes: list[Outcome] = []
    with (
        Progress(*columns, TimeRemainingColumn(), console=err, transient=True) as progress,
        ProcessPoolExecutor(processes, get_context("spawn")) as pool,
    ):
        task = progress.add_task("operations", total=sum(piece.operations for piece in pieces))
        for future in as_completed([pool.submit(compare, piece) for piece in pieces]):
            outcomes.append(future.result())
            progress.advance(task, outcomes[-1].piece.operations)
    return sorted(outcomes, key=lambda one: one.piece.seed)


# -- one piece ------------------------------------------------------------------------------------------------


def compare(piece: Piece) -> Outcome:
    """Both books from empty over the same batches."""
    from tests.reference.build import difference, event_array
    from tests.reference.naive_book import NaiveBook

    instrument, flow = _flow(piece)
    most = MOST_LIVE if piece.mix not in SPECIAL else 1000
    symbol = int(flow[0]["symbol"])
    book, oracle = Book(instrument, symbol, most), NaiveBook(instrument, symbol, most)
    events, spent, oracle_spent, found = 0, 0.0, 0.0, ""
    rng = np.random.default_rng(piece.seed)
    start = 0
    while start < len(flow) and not found:
        batch = flow[start : start + int(rng.integers(1, LONGEST_BATCH))]
        began = time.process_time()
        got = book.apply(batch)
        between = time.process_time()
        expected = event_array(oracle.apply(batch))
        oracle_spent += time.process_time() - between
        spent += between - began
        found = difference(batch, got, expected)
        events += len(expected)
        start += len(batch)
    found = found or _state_difference(book, oracle)
    return Outcome(piece, min(start, len(flow)), events, oracle_spent, spent, found)


def _flow(piece: Piece) -> tuple[Instrument, Records]:
    from tests.reference.build import TINY, random_flow
    from tests.reference.hybrid import OPEN, PRICES, QUANTITIES, hybrid_flow

    n, seed = piece.operations, piece.seed
    if piece.mix == "everything":
        return OPEN, random_flow(seed, n, OPEN, PRICES, QUANTITIES, 0.01, special=0.3, pairs=0.03)
    if piece.mix == "hostile":
        return TINY, random_flow(seed, n, TINY, PRICES, [2, 3, 5, 8], 0.3, special=0.3, pairs=0.03)
    if piece.mix == "hybrid":
        return OPEN, hybrid_flow(seed, n, OPEN, PRICES, QUANTITIES, 0.02)
    totals: dict[int, int] = {}
    mix = next(mix for mix in MIXES if mix.name == piece.mix)
    warm, flow = (commands_of(part, totals) for part in make(mix, n, seed))
    return open_instrument(), joined([warm, flow], warm.dtype)


def _state_difference(book: Book, oracle: "NaiveBook") -> str:
    for side in Side:
        if book.depth(side).tolist() != oracle.depth(side):
            return f"the {side.name} levels differ at the end"
    here = (book.exec_id, book.trade_id, book.prevented_id, book.last_price_ticks, book.live_orders)
    there = (oracle.exec_id, oracle.trade_id, oracle.prevented_id, oracle.last_price, len(oracle.orders()))
    return "" if here == there else f"counters differ at the end: {here}, the oracle's {there}"


# -- the table ------------------------------------------------------------------------------------------------


def _rows(outcomes: list[Outcome]) -> list[Row]:
    return [
        _row(name, [one for one in outcomes if one.piece.mix == name])
        for name in dict.fromkeys(one.piece.mix for one in outcomes)
    ]


def _row(mix: str, outcomes: list[Outcome]) -> Row:
    operations = sum(one.operations for one in outcomes)
    return Row(
        mix,
        len(outcomes),
        operations,
        sum(one.events for one in outcomes),
        sum(bool(one.difference) for one in outcomes),
        sum(one.oracle_s for one in outcomes) / operations * 1e6,
        sum(one.engine_s for one in outcomes) / operations * 1e6,
    )


def _table(rows: list[Row]) -> Table:
    table = Table(title="events of the engine against the naive book's", title_justify="left")
    for column in ("mix", "books", "operations", "events compared", "books that differ", "naive us", "engine us"):
        table.add_column(column, justify="left" if column == "mix" else "right")
    total = Row(
        "all", sum(row.books for row in rows), sum(row.operations for row in rows), sum(row.events for row in rows),
        sum(row.differences for row in rows), 0, 0,
    )  # fmt: skip
    for row in [*rows, total]:
        times = (f"{row.oracle_us:.1f}", f"{row.engine_us:.2f}") if row.oracle_us else ("", "")
        table.add_row(row.mix, f"{row.books:,}", f"{row.operations:,}", f"{row.events:,}", f"{row.differences}", *times)
    return table
