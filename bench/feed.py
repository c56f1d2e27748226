"""How many messages a second go through a feed: decoder, translation and hybrid book, as fast as possible from a file?

Part `file`: hftbacktest's recorded text (`--data`), imported into a recording in memory beforehand, then read, decoded, judged,
translated and applied to a book in batches: one thread, processor time, the quickest of `--rounds`. Beside it the bare
decode (msgspec into typed structs, nothing made of them) of the same frames; the ratio is the whole to that.

Part `live`: a synthetic venue of `--symbols` sends `--rate` messages a second for `--seconds` over a socket into a whole exchange; a
subscriber to the trades of all symbols tells how late they come. Nobody sends orders. See `bench.live_feed`.
"""

import io
import time
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from rich.table import Table

from bench import live_feed
from bench.open_instrument import open_instrument
from bench.report import BenchError, out, write_json
from bench.venue_decode import BINANCE
from market.book import Book
from market.imports import hftbacktest
from market.recording import Header, Kind, Reader, Writer
from market.replay import Recorded, Replay
from market.venues.events import Steps

PARTS: Final = ("file", "live")
SYMBOL: Final = "BTCUSDT"


class Case(NamedTuple):
    name: str
    venue: str
    files: Sequence[str]
    steps: Steps


CASES: Final = (
    Case(
        "Binance spot",
        "binance",
        ("spot_btcusdt_20240808.gz", "spot_btcusdt_20240809.gz"),
        Steps(Decimal("0.01"), Decimal("0.00001")),
    ),
    Case("Binance USD-M", "binance_usdm", ("usdm_btcusdt_20240808.gz",), Steps(Decimal("0.1"), Decimal("0.001"))),
)


class FileFigures(msgspec.Struct, frozen=True):
    """Seconds of processor time for all messages."""

    name: str
    messages: int
    commands: int
    events: int
    bare_s: float
    commands_s: float
    """Recording to commands, without the book."""
    whole_s: float

    @property
    def per_s(self) -> float:
        return self.messages / self.whole_s

    @property
    def ratio(self) -> float:
        return self.whole_s / self.bare_s


def main(arguments: list[str]) -> int:
    parser = ArgumentParser(prog="python -m bench feed", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the recordings")
    parser.add_argument("--only", choices=PARTS, action="append", help="part to measure (default: all)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--symbols", type=int, default=244)
    parser.add_argument("--rate", type=float, default=5000.0, help="messages a second (live)")
    parser.add_argument("--seconds", type=float, default=60.0, help="of the live part; what is promised is 600")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE too")
    options = parser.parse_args(arguments)
    report: dict[str, object] = {}
    if "live" in (options.only or PARTS):
        found = live_feed.measure(options.symbols, options.rate, options.seconds)
        out.print(live_feed.table(found))
        report["live"] = found
    if "file" in (options.only or PARTS):
        report["file"] = [_told(one) for one in measure_files(options.data, options.rounds)]
    if options.json is not None:
        write_json(options.json, report)
    return 0


# --- from a file --------------------------------------------------------------------------------------------


def measure_files(data: Path, rounds: int) -> list[FileFigures]:
    figures = [measure_file(case, data, max(1, rounds)) for case in CASES]
    table = Table(title="a file through decoder and hybrid book, processor time", title_justify="left")
    for column in ("recording", "messages", "commands", "bare us", "to commands us", "whole us", "messages/s", "ratio"):
        table.add_column(column, justify="left" if column == "recording" else "right")
    for one in figures:
        each = [f"{seconds / one.messages * 1e6:.2f}" for seconds in (one.bare_s, one.commands_s, one.whole_s)]
        counts = [f"{one.messages:,}", f"{one.commands:,}"]
        table.add_row(one.name, *counts, *each, f"{one.per_s:,.0f}", f"{one.ratio:.1f}")
    out.print(table)
    return figures


def measure_file(case: Case, data: Path, rounds: int) -> FileFigures:
    readers = [_recorded(case, data / "hftbacktest" / name) for name in case.files]
    frames = [entry.body for reader in readers for entry in reader.entries() if entry.kind is Kind.FRAME]
    bare_s = _quickest(rounds, lambda: _decode_bare(frames))
    commands_s = _quickest(rounds, lambda: _play(case, readers, None))
    _play(case, readers, _book(case.steps))  # compiles
    counts = (0, 0, 0)
    whole_s = float("inf")
    for _ in range(rounds):
        book = _book(case.steps)
        began = time.process_time()
        counts = _play(case, readers, book)
        whole_s = min(whole_s, time.process_time() - began)
    return FileFigures(case.name, *counts, bare_s, commands_s, whole_s)


def _play(case: Case, readers: Sequence[Reader], book: Book | None) -> tuple[int, int, int]:
    """Messages, commands and events."""
    replay = Replay([Recorded({SYMBOL: 0}, reader) for reader in readers])
    commands = events = 0
    while not replay.at_end:
        rows = replay.read()
        commands += len(rows)
        if book is not None:
            events += len(book.apply(rows))
    if replay.errors or replay.refused:
        raise BenchError(
            f"{case.name}: {replay.errors} messages could not be read, {replay.refused} numbers were refused"
        )
    return replay.position, commands, events


def _decode_bare(frames: Sequence[bytes]) -> None:
    for frame in frames:
        for mark, decode in BINANCE:
            if mark in frame:
                decode(frame)
                break


def _recorded(case: Case, path: Path) -> Reader:
    file = io.BytesIO()
    header = Header(venue=case.venue, symbols={SYMBOL: case.steps}, created_ns=0, source=path.name)
    writer = Writer.create(file, header)
    try:
        with path.open("rb") as packed:
            for entry in hftbacktest.entries(path.name, packed, SYMBOL):
                writer.entry(entry)
    except OSError as error:
        raise BenchError(f"{path}: {error.strerror}; --data names the folder of the recordings") from None
    writer.close()
    return Reader(file)


def _book(steps: Steps) -> Book:
    return Book(open_instrument(SYMBOL, steps.tick, steps.lot, scale=8), symbol_id=0)


def _quickest(rounds: int, work: Callable[[], object]) -> float:
    """Other work on the machine only ever adds."""
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return best


def _told(one: FileFigures) -> dict[str, object]:
    return {**msgspec.to_builtins(one), "messages_per_s": one.per_s, "ratio": one.ratio}
