"""How benchmarks speak: tables for people, JSON for machines, errors that say what to do next."""

import sys
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console

_WIDTH: Final = 160
"""Characters, where there is no terminal that knows its own: tables stay whole in a file."""

out: Final = Console(width=None if sys.stdout.isatty() else _WIDTH)
err: Final = Console(stderr=True)


class BenchError(Exception):
    """The benchmark cannot go on; the text says what to do."""


def write_json(path: Path, report: Any) -> None:
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    except OSError as error:
        raise BenchError(f"cannot write {path}: {error.strerror}. Name another file with --json.") from None
