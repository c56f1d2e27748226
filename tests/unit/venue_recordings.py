"""Recorded frames of venues: those in tests/data, and the larger ones beside the repository where they are."""

import ast
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

ROOT = Path(__file__).resolve().parents[2]
SLICES = ROOT / "tests/data/venues"
JSON = msgspec.json.Decoder()


def recording(name: str) -> Path:
    """`../shared/data/name` of the repository, or of a directory above it (work trees)."""
    for parent in ROOT.parents:
        path = parent / "shared/data" / name
        if path.exists():
            return path
    pytest.skip(f"../shared/data/{name} is not here")


def stamped(path: Path) -> list[bytes]:
    """Frames of hftbacktest's recordings: `<receive ns> <frame>`."""
    with gzip.open(path) as lines:
        return [line.split(b" ", 1)[1].rstrip(b"\n") for line in lines]


def captured(path: Path) -> Iterator[bytes]:
    """Received frames of cryptofeed's captures: `<epoch s>: <frame>`, binary frames as b'...'."""
    with gzip.open(path, "rt") as lines:
        for line in lines:
            when, _, frame = line.rstrip("\n").partition(": ")
            if not when.replace(".", "").isdecimal() or not frame:
                continue
            yield ast.literal_eval(frame) if frame.startswith("b'") else frame.encode()


def answers(path: Path) -> dict[str, bytes]:
    """REST answers of cryptofeed's captures by URL: `<URL> -> <epoch s>: <body>`."""
    found = {}
    with gzip.open(path, "rt") as lines:
        for line in lines:
            url, arrow, rest = line.rstrip("\n").partition(" -> ")
            if arrow:
                found[url] = rest.partition(": ")[2].encode()
    return found


def quoted(path: Path) -> list[tuple[str, Any]]:
    """Frames quoted in documents: direction and the message."""
    return [(one["dir"], one["frame"]) for one in map(JSON.decode, path.read_bytes().splitlines())]
