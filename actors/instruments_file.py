"""`<data>/instruments.json`: what is traded when the market is a venue or a recording, for the life of the data folder.

Written before anything starts, read by everyone; a folder without it has the simulated market's symbols.
"""

import os
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from market.listing import VERSION, Listing

NAME: Final = "instruments.json"


class BadInstrumentsFile(RuntimeError):
    """Names the file, and what to do."""


def read(data_dir: str) -> Listing | None:
    """None where there is none. Read again only when it changed. Raises `BadInstrumentsFile`."""
    path = Path(data_dir) / NAME
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return _read(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=8)
def _read(path: Path, changed_ns: int, size: int) -> Listing:
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Listing)
    except (OSError, ValueError) as error:
        raise BadInstrumentsFile(
            f"{path} cannot be read: {error}. The journal depends on it: restore it from a backup."
        ) from error
    if found.version != VERSION:
        raise BadInstrumentsFile(
            f"{path} is of version {found.version}; this Raypit reads {VERSION}. Use the newer one."
        )
    return found


def write(data_dir: str, listing: Listing) -> None:
    """Whole or not at all, and durable."""
    path = Path(data_dir) / NAME
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(listing), indent=1))
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
