"""hftbacktest's raw feed files: `<local ns> <JSON>`, a line per WebSocket frame of Binance, REST snapshots in between."""

from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final

from market.imports.text import BadInput, lines
from market.recording import Entry, Kind

_SNAPSHOT: Final = b'{"lastUpdateId":'
_LATEST_NS: Final = 1 << 63


def entries(name: str, file: BinaryIO, symbol: str) -> Iterator[Entry]:
    """`symbol`: what the file is about; snapshots do not say it. Frames keep their bytes. Raises `BadInput`."""
    for number, line in lines(name, file):
        stamp, space, body = line.partition(b" ")
        if not stamp.isdigit() or int(stamp) >= _LATEST_NS:
            raise BadInput(
                name, number, "local_ns", f"{stamp[:40].decode(errors='replace')!r} is no time in nanoseconds"
            )
        if not space or not body.startswith(b"{") or not body.endswith(b"}"):
            raise BadInput(name, number, "frame", "no JSON object")
        if body.startswith(_SNAPSHOT):
            yield Entry(int(stamp), Kind.SNAPSHOT, symbol, body)
        else:
            yield Entry(int(stamp), Kind.FRAME, "", body)


def text(recorded: Iterable[Entry]) -> Iterator[bytes]:
    """The lines again, byte for byte; what the format has no words for is left out."""
    for entry in recorded:
        if entry.kind in (Kind.FRAME, Kind.SNAPSHOT):
            yield b"%d %b\n" % (entry.arrival_ns, entry.body)
