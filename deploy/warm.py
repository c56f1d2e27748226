"""Compiles the kernels of one part into numba's cache, in a process of its own: no actor ever compiles under an order.

A note says of each part that it was compiled, out of which sources, for which processor and into which files: while that is
so, nobody has to look again. Importing the kernels costs a second, so `missing` does not.
"""

import hashlib
import os
import platform
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec

_HERE: Final = Path(__file__).parent
_SOURCES: Final = ("market/**/*.py", "serve/packed*.py")
"""What the kernels are made of."""
_MADE_WITH: Final = ("numba", "llvmlite", "numpy")


def _book() -> None:
    from market import book

    book.warm()


def _ledger() -> None:
    from market import ledger
    from market.universe import instruments

    ledger.warm(instruments(1))


def _packed() -> None:
    from serve import packed_kernel

    packed_kernel.warm()


PARTS: Final[dict[str, Callable[[], None]]] = {"book": _book, "ledger": _ledger, "packed": _packed}


class Note(msgspec.Struct, frozen=True):
    key: str
    """Of sources, versions and processor."""
    files: list[str]
    """Indexes of numba's cache."""


def notes(otherwise: Path) -> Path:
    """The folder of the notes: as numba's cache beside the sources, or `otherwise` where nothing can be written there."""
    return _HERE / "__pycache__" if os.access(_HERE, os.W_OK) else otherwise


def missing(folder: Path) -> list[str]:
    """Parts that are not known to be compiled, by the notes in `folder`."""
    key = _key()
    return [part for part in PARTS if not _stands(folder / f"compiled-{part}.json", key)]


def _stands(path: Path, key: str) -> bool:
    try:
        note = msgspec.json.decode(path.read_bytes(), type=Note)
    except (OSError, msgspec.DecodeError):
        return False
    return note.key == key and bool(note.files) and all(Path(file).exists() for file in note.files)


def _key() -> str:
    told = [sys.version, platform.machine(), _processor(), *(version(name) for name in _MADE_WITH)]
    for pattern in _SOURCES:
        for path in sorted(_HERE.parent.glob(pattern)):
            found = path.stat()
            told.append(f"{path} {found.st_size} {found.st_mtime_ns}")
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def _processor() -> str:
    """Model and features: compiled code is for one of them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
    except OSError:
        return platform.processor()
    return "".join(line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part")))


def compile_part(part: str, folder: Path) -> None:
    """And leave the note."""
    key = _key()
    PARTS[part]()
    folder.mkdir(exist_ok=True)
    path = folder / f"compiled-{part}.json"
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(Note(key, sorted(_index_files()))))
    fresh.replace(path)


def _index_files() -> set[str]:
    import gc

    from numba.core.dispatcher import Dispatcher

    folders = {one.stats.cache_path for one in gc.get_objects() if isinstance(one, Dispatcher)}
    return {str(file) for folder in folders if folder is not None for file in Path(folder).glob("*.nbi")}


if __name__ == "__main__":
    compile_part(sys.argv[1], Path(sys.argv[2]))
