"""How benchmarks speak: tables for people, JSON for machines, errors that say what to do next."""

from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console

out: Final = Console()
err: Final = Console(stderr=True)


class BenchError(Exception):
    """The benchmark cannot go on; the text says what to do."""


def write_json(path: Path, report: Any) -> None:
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    except OSError as error:
        raise BenchError(f"cannot write {path}: {error.strerror}. Name another file with --json.") from None
