"""`python -m bench [NAME [OPTIONS]]`."""

import importlib
import signal
import sys
from types import FrameType
from typing import Final

from rich.table import Table

from bench.report import BenchError, err, out

BENCHMARKS: Final = (
    "baseline",
    "book",
    "fanout",
    "feed",
    "gate",
    "ledger",
    "memory",
    "oracle",
    "order_path",
    "predict",
    "profile",
    "recording",
    "recovery",
    "scale",
    "start",
    "venue_decode",
)
"""Modules with `main(arguments)`."""


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        _list()
        return 0
    name, *rest = arguments
    if name not in BENCHMARKS:
        err.print(f"There is no benchmark {name!r}. `python -m bench` lists those there are.", highlight=False)
        return 2
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return int(importlib.import_module(f"bench.{name}").main(rest))
    except BenchError as error:
        err.print(f"[bold red]bench:[/] {error}", highlight=False)
        return 1
    except KeyboardInterrupt:
        return 130


def _terminate(_: int, __: FrameType | None) -> None:
    """As Ctrl-C: what was started is ended."""
    raise KeyboardInterrupt


def _list() -> None:
    table = Table(title="python -m bench NAME [--help]", title_justify="left")
    table.add_column("name")
    table.add_column("question")
    for name in BENCHMARKS:
        text = importlib.import_module(f"bench.{name}").__doc__ or ""
        table.add_row(name, text.partition("\n\n")[0].replace("\n", " "))
    out.print(table)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
