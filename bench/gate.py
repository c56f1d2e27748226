"""Has a hot path got slower, over a plain reference in the same run, than it was when last accepted?

Short, in one thread of this process, processor time: engine, ledger, a venue's frames, packed frames, each in turn with its reference and
the median of some rounds. Fails (exit 1) when a ratio has lost more than its tolerance; `--accept` makes today's the accepted ones
(`bench/accepted.json`). Every ratio is speed over the reference's: higher is better.
"""

import argparse
import gzip
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from rich.table import Table

from bench import accepted, gate_references, machine
from bench.accepted import Verdict
from bench.book_flow import MIXES, DictBook, Mix, commands_of, make
from bench.ledger import funded, orders
from bench.open_instrument import open_instrument
from bench.report import BenchError, err, out, write_json
from bench.venue_decode import BINANCE
from market.book import Book
from market.records import COMMAND
from market.venues import ADAPTERS
from market.venues.events import Steps
from serve import packed_kernel
from serve.packed import PLACE

BATCH: Final = 256
OPERATIONS: Final = 60_000
LEDGER_ORDERS: Final = 20_000
LEDGER_ACCOUNTS: Final = 1_000
PACKED_FRAMES: Final = 400
PACKED_ORDERS: Final = 100
FRAMES: Final = Path(__file__).parents[1] / "tests/data/venues/binance_spot_btcusdt.gz"

Work = Callable[[], int]
"""Nanoseconds of processor time of one round."""


class Case(NamedTuple):
    name: str
    tolerance: float
    """Share of the accepted ratio: more than twice the largest loss seen between runs, see `RESULTS.md`."""
    ours: Work
    reference: Work


class Report(msgspec.Struct, frozen=True):
    machine: machine.Machine
    rounds: int
    verdicts: list[Verdict]


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    on = machine.describe()
    out.print(machine.line(on), highlight=False)
    with err.status("measuring"):
        cases = list(_cases())
        found = {case.name: _ratio(case, options.rounds) for case in cases}
    if options.accept:
        accepted.write(found)
    verdicts = accepted.compare(found, accepted.read(), {case.name: case.tolerance for case in cases})
    out.print(_table(verdicts))
    if options.json is not None:
        write_json(options.json, Report(on, options.rounds, verdicts))
    if all(one.passed for one in verdicts):
        return 0
    err.print("Run it again on a quiet machine; if the loss is meant, accept it with --accept.", highlight=False)
    return 1


def _ratio(case: Case, rounds: int) -> float:
    case.ours(), case.reference()  # warm
    return median([case.reference() / case.ours() for _ in range(rounds)])


def _cases() -> Iterator[Case]:
    for mix in MIXES[:2]:
        yield _book(mix)
    yield _ledger()
    yield _venue()
    yield _packed()


def _timed(work: Callable[[], Any]) -> int:
    began = time.process_time_ns()
    work()
    return time.process_time_ns() - began


def _book(mix: Mix) -> Case:
    warm, flow = make(mix._replace(live=min(mix.live, 60_000)), OPERATIONS)
    totals: dict[int, int] = {}
    first, commands = commands_of(warm, totals), commands_of(flow, totals)

    def ours() -> int:
        book = Book(open_instrument(), 0)
        book.apply(first)
        return _timed(lambda: [book.apply(commands[at : at + BATCH]) for at in range(0, len(commands), BATCH)])

    def reference() -> int:
        book = DictBook()
        book.run(warm)
        return _timed(lambda: book.run(flow))

    return Case(f"book, {mix.name} / dict book", 0.4, ours, reference)


def _ledger() -> Case:
    ledger, commands = funded(LEDGER_ACCOUNTS), orders(LEDGER_ACCOUNTS, LEDGER_ORDERS)
    plain = gate_references.PlainLedger(LEDGER_ACCOUNTS)
    asked = gate_references.asked(commands)

    def ours() -> int:
        own, book, spent, todo = ledger.copy(), Book(open_instrument(), 0), 0, commands.copy()
        for at in range(0, len(todo), BATCH):
            part = todo[at : at + BATCH]
            began = time.process_time_ns()
            taken, refused = own.admit(part, 1)
            spent += time.process_time_ns() - began
            if len(refused):
                raise BenchError(f"the ledger refused {len(refused)} funded orders: a bug, please tell")
            events = book.apply(taken)
            began = time.process_time_ns()
            own.settle(taken, events, 1)
            spent += time.process_time_ns() - began
        return spent

    return Case("ledger, admit and settle / dict ledger", 0.4, ours, lambda: _timed(lambda: plain.run(asked)))


def _venue() -> Case:
    """Recorded frames of Binance until they are events / until they are msgspec's structs."""
    with gzip.open(FRAMES) as lines:
        frames = [line.split(b" ", 1)[1].rstrip() for line in lines]
    pairs = [(decode, frame) for frame in frames for mark, decode in BINANCE if mark in frame] * 4
    steps = {"BTCUSDT": Steps(Decimal("0.01"), Decimal("0.00001"))}

    def ours() -> int:
        decode = ADAPTERS["binance"](steps).decode
        return _timed(lambda: [decode(frame) for _, frame in pairs])

    return Case("venue frame to events / bare", 0.3, ours, lambda: _timed(lambda: [bare(one) for bare, one in pairs]))


def _packed() -> Case:
    """Records of a packed frame until they are commands: the kernel / whole columns in numpy."""
    packed_kernel.warm()
    records = gate_references.places(PACKED_ORDERS)
    limits = np.array([[1, 1 << 40, 1, 1 << 40, 1, 1 << 60, 1, 1 << 40, 1, 1 << 60]], np.int64)
    payload = records.tobytes()

    def ours() -> None:
        for _ in range(PACKED_FRAMES):
            commands, state = np.zeros(PACKED_ORDERS, COMMAND), np.empty(PACKED_ORDERS, np.uint8)
            read = packed_kernel.read_only(np.frombuffer(payload, PLACE))
            if packed_kernel.kernels.place(read, packed_kernel.words(commands), limits, 8, state):
                raise BenchError("the kernel left plain records to others: a bug, please tell")

    def reference() -> None:
        for _ in range(PACKED_FRAMES):
            gate_references.decoded(payload, limits[0], 8)

    return Case("packed frame to commands / numpy", 0.4, lambda: _timed(ours), lambda: _timed(reference))


def _table(verdicts: list[Verdict]) -> Table:
    table = Table(title="speed over the reference's", title_justify="left")
    for column in ("what / reference", "ratio", "accepted", "of it", "least", ""):
        table.add_column(column, justify="left" if column == "what / reference" else "right")
    for one in verdicts:
        known = ("-", "-") if one.accepted is None else (f"{one.accepted:.2f}", f"{one.found / one.accepted:.0%}")
        table.add_row(
            one.name, f"{one.found:.2f}", *known, f"{one.least:.2f}",
            "[green]passed[/]" if one.passed else "[red]failed[/]",
        )  # fmt: skip
    return table


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench gate", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="the median counts (default 15)")
    parser.add_argument("--accept", action="store_true", help="write the ratios found to bench/accepted.json")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured to this file")
    return parser.parse_args(arguments)
