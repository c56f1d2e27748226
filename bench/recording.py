"""How small does a recording become, and how fast is it written and read?

hftbacktest's recorded text (`--data`), one thread, processor time: imported, written in blocks as a live feed's are, read back
whole. The ratio is to the text with its time stamps; beside it that of gzip, as the files come.
"""

import gzip
import io
import time
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from rich.table import Table

from bench.report import BenchError, out
from market.imports import hftbacktest
from market.recording import LEVEL, Entry, Header, Reader, Writer

NAMES: Final = ("spot_btcusdt_20240808", "spot_btcusdt_20240809", "usdm_btcusdt_20240808")
T = TypeVar("T")


class Measured(NamedTuple):
    entries: int
    text_bytes: int
    gzip_bytes: int
    bytes: int
    import_s: float
    write_s: float
    read_s: float


def main(arguments: list[str]) -> int:
    parser = ArgumentParser(prog="python -m bench recording", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the recordings")
    parser.add_argument("--levels", type=int, nargs="+", default=[LEVEL], help="of zstd")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    files = [options.data / "hftbacktest" / f"{name}.gz" for name in NAMES]
    if not all(file.exists() for file in files):
        raise BenchError(f"{options.data} lacks the recordings; --data names their folder")
    table = Table(title="recordings, processor time", title_justify="left")
    for column in ("file", "level", "entries", "ratio", "gzip", "import /s", "write /s", "MB/s", "read /s", "MB/s"):
        table.add_column(column, justify="left" if column == "file" else "right")
    for file in files:
        for level in options.levels:
            table.add_row(*_row(file.stem, level, measure(file, level, options.rounds)))
    out.print(table)
    return 0


def _row(name: str, level: int, one: Measured) -> list[str]:
    row = [
        name,
        str(level),
        f"{one.entries:,}",
        f"{one.text_bytes / one.bytes:.2f}",
        f"{one.text_bytes / one.gzip_bytes:.2f}",
    ]
    row.append(f"{one.entries / one.import_s:,.0f}")
    for seconds in (one.write_s, one.read_s):
        row += [f"{one.entries / seconds:,.0f}", f"{one.text_bytes / seconds / 1e6:.0f}"]
    return row


def measure(file: Path, level: int, rounds: int) -> Measured:
    packed = file.read_bytes()
    import_s, entries = _quickest(rounds, lambda: list(hftbacktest.entries(file.name, io.BytesIO(packed), "BTCUSDT")))
    write_s, recorded = _quickest(rounds, lambda: _written(entries, level))
    read_s, read = _quickest(rounds, lambda: list(Reader(recorded).entries()))
    if read != entries:
        raise BenchError(f"{file.name}: read back is not what was written")
    text_bytes = len(gzip.decompress(packed))
    return Measured(len(entries), text_bytes, len(packed), len(recorded.getvalue()), import_s, write_s, read_s)


def _written(entries: list[Entry], level: int) -> io.BytesIO:
    file = io.BytesIO()
    writer = Writer.create(file, Header(venue="binance", symbols={}, created_ns=0), level)
    for entry in entries:
        writer.entry(entry)
    writer.close()
    return file


def _quickest(rounds: int, work: Callable[[], T]) -> tuple[float, T]:
    """Other work on the machine only ever adds."""
    best = float("inf")
    for _ in range(max(1, rounds)):
        began = time.process_time()
        result = work()
        best = min(best, time.process_time() - began)
    return best, result
