"""Recorded market data: what a venue sent, byte for byte, with the time of arrival.

A file is a prologue and blocks. Whatever is damaged is told, and a file whose last block was torn (kill -9, a full
disk) is good up to the block before it. All integers are little endian.

    prologue  "RAYPITRC" · version u8 · length u32 · crc32 u32 · header (JSON, `Header`)
    block     head (`_HEAD`, 44 bytes: "RPBK", kind u8, 3 zero bytes, bytes on disk u32, bytes unpacked u32, entries
              u32, first arrival i64, last arrival i64, crc32 of the payload u32, crc32 of the head so far u32)
              payload (one zstd frame)

The payload of a FRAMES block, unpacked, is in columns, which zstd likes better than rows: zigzag varints of the
arrival times' differences (the first to the head's first arrival), kinds u8, varints of the body lengths, bodies.
An INDEX block lists the blocks before it: varints of offset, first arrival and last arrival, by difference. It is written
at a regular end; without it a reader walks over the heads, which needs one small read per block.

Pure: file objects come from outside, so does time.
"""

import zlib
from collections.abc import Iterator
from enum import IntEnum
from struct import Struct
from typing import BinaryIO, Final, NamedTuple

import msgspec
import numpy as np
import zstandard

from market import varints
from market.venues.events import Steps

VERSION: Final = 1
MAGIC: Final = b"RAYPITRC"
BLOCK_MAGIC: Final = b"RPBK"

BLOCK_BYTES: Final = 1 << 18
"""Unpacked bytes after which a block is written: four times as many compress 2 % better and hold the caller 16 ms, not 4."""
MAX_BLOCK_BYTES: Final = 64 << 20
"""Unpacked; what a reader accepts."""
MAX_BODY_BYTES: Final = 16 << 20
MAX_HEADER_BYTES: Final = 16 << 20
"""Thousands of symbols fit in a tenth of it."""
LEVEL: Final = 6
"""Of zstd. 3: 10 % larger at twice the speed; 9: 7 % smaller at three quarters of it."""

_PROLOGUE: Final = Struct("<8sBII")
_HEAD: Final = Struct("<4sB3xIIIqqII")
_HEAD_CRC: Final = Struct("<I")
INDEX_TAIL: Final = Struct("<Q8s")
"""Offset of the index block, and `INDEX_MAGIC`: the last bytes of a file that ended regularly."""
INDEX_MAGIC: Final = b"RPINDEX\n"


class Damaged(ValueError):
    """What is told of as written is not what can be read: a wrong checksum, a length out of bounds."""


class Kind(IntEnum):
    """What an entry's body is."""

    FRAME = 0
    """A WebSocket frame as it came."""
    SNAPSHOT = 1
    """A REST snapshot of a book: the symbol, a zero byte, the body of the answer."""
    STATUS = 2
    """The symbol (empty: all), a zero byte, what the connection engine told in UTF-8: a replay must be as stale as it was."""
    EVENT = 3
    """An event (`market.event_codec`) of a source that has no frames of a venue; the symbol is inside."""


_BARE: Final = frozenset((Kind.FRAME, Kind.EVENT))
"""The kinds whose body begins with no symbol."""


class BlockKind(IntEnum):
    FRAMES = 0
    INDEX = 1


class Header(msgspec.Struct, frozen=True, kw_only=True):
    venue: str
    symbols: dict[str, Steps]
    """What the integers of its events are multiples of."""
    created_ns: int
    source: str = ""
    """Where it came from: `live`, or the name of an imported file."""


class Entry(NamedTuple):
    arrival_ns: int
    kind: Kind
    symbol: str
    """Empty for frames and events: they tell it themselves."""
    body: bytes


class Block(NamedTuple):
    offset: int
    first_ns: int
    last_ns: int


class _Head(NamedTuple):
    kind: int
    packed: int
    unpacked: int
    entries: int
    first_ns: int
    last_ns: int
    crc: int


class Writer:
    """Appends to a file object positioned at the end of a whole block (`resume`) or at its start (`create`)."""

    def __init__(self, file: BinaryIO, blocks: list[Block], offset: int, level: int) -> None:
        self._file = file
        self._blocks = blocks
        self._offset = offset
        self._pack = zstandard.ZstdCompressor(level=level)
        self._arrivals: list[int] = []
        self._kinds = bytearray()
        self._bodies: list[bytes] = []
        self._pending = 0
        self.entries = 0
        self.bytes_in = 0

    @classmethod
    def create(cls, file: BinaryIO, header: Header, level: int = LEVEL) -> "Writer":
        text = msgspec.json.encode(header)
        prologue = _PROLOGUE.pack(MAGIC, VERSION, len(text), zlib.crc32(text)) + text
        file.write(prologue)
        return cls(file, [], len(prologue), level)

    @classmethod
    def resume(cls, file: BinaryIO, level: int = LEVEL) -> "Writer":
        """Go on where a file ends; what a kill left of a torn block is cut off."""
        reader = Reader(file)
        end = reader.end
        file.seek(end)
        file.truncate()
        return cls(file, list(reader.blocks), end, level)

    @property
    def bytes_out(self) -> int:
        return self._offset

    @property
    def pending_bytes(self) -> int:
        """Not yet written: what a kill would cost now."""
        return self._pending

    def frame(self, arrival_ns: int, body: bytes) -> None:
        self._add(arrival_ns, Kind.FRAME, body)

    def snapshot(self, arrival_ns: int, symbol: str, body: bytes) -> None:
        self._add(arrival_ns, Kind.SNAPSHOT, symbol.encode() + b"\0" + body)

    def status(self, arrival_ns: int, symbol: str, text: str) -> None:
        self._add(arrival_ns, Kind.STATUS, symbol.encode() + b"\0" + text.encode())

    def event(self, arrival_ns: int, body: bytes) -> None:
        self._add(arrival_ns, Kind.EVENT, body)

    def entry(self, entry: Entry) -> None:
        told = b"" if entry.kind in _BARE else entry.symbol.encode() + b"\0"
        self._add(entry.arrival_ns, entry.kind, told + entry.body)

    def _add(self, arrival_ns: int, kind: Kind, body: bytes) -> None:
        if len(body) > MAX_BODY_BYTES:
            raise ValueError(f"a body of {len(body)} bytes, at most {MAX_BODY_BYTES}")
        self._arrivals.append(arrival_ns)
        self._kinds.append(kind)
        self._bodies.append(body)
        self._pending += len(body)
        self.entries += 1
        self.bytes_in += len(body)
        if self._pending >= BLOCK_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is pending as a block of its own; the caller's file object may still hold it back."""
        if not self._arrivals:
            return
        arrivals = np.array(self._arrivals, np.int64)
        first, last = int(arrivals.min()), int(arrivals.max())
        sizes = np.array([len(body) for body in self._bodies], np.int64)
        columns = (
            varints.encode(varints.zigzag(np.diff(arrivals, prepend=first))),
            bytes(self._kinds),
            varints.encode(sizes),
            *self._bodies,
        )
        self._blocks.append(Block(self._offset, first, last))
        self._write(BlockKind.FRAMES, b"".join(columns), len(arrivals), first, last)
        self._arrivals.clear()
        self._kinds.clear()
        self._bodies.clear()
        self._pending = 0

    def close(self) -> None:
        """Write what is pending and the index; the file object stays open."""
        self.flush()
        at = self._offset
        table = np.array(self._blocks, np.int64).reshape(-1, 3)
        raw = varints.encode(varints.zigzag(np.diff(table, axis=0, prepend=0).ravel()))
        self._write(BlockKind.INDEX, raw, len(table), 0, 0)
        self._file.write(INDEX_TAIL.pack(at, INDEX_MAGIC))
        self._offset += INDEX_TAIL.size

    def _write(self, kind: BlockKind, raw: bytes, entries: int, first_ns: int, last_ns: int) -> None:
        payload = self._pack.compress(raw)
        head = _HEAD.pack(
            BLOCK_MAGIC, kind, len(payload), len(raw), entries, first_ns, last_ns, zlib.crc32(payload), 0
        )[: -_HEAD_CRC.size]
        block = head + _HEAD_CRC.pack(zlib.crc32(head)) + payload
        self._file.write(block)
        self._offset += len(block)


class Reader:
    """Over a seekable file object. `ended`: it was closed regularly; else `torn_bytes` at its end are lost, maybe none."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._unpack = zstandard.ZstdDecompressor()
        file.seek(0, 2)
        self._size = file.tell()
        file.seek(0)
        self.header, self._start = _read_prologue(file)
        indexed = self._indexed()
        self.ended = indexed is not None
        if indexed is not None:
            self.blocks, self.end = indexed, self._size
        else:
            self.blocks, self.end = self._walk()
        self.torn_bytes = self._size - self.end

    @property
    def first_ns(self) -> int | None:
        return min((block.first_ns for block in self.blocks), default=None)

    @property
    def last_ns(self) -> int | None:
        return max((block.last_ns for block in self.blocks), default=None)

    def entries(self, from_ns: int | None = None, until_ns: int | None = None) -> Iterator[Entry]:
        """In the order written; those that arrived in [from_ns, until_ns). Raises `Damaged` where a block is."""
        for block in self.blocks:
            if until_ns is not None and block.first_ns >= until_ns:
                continue
            if from_ns is not None and block.last_ns < from_ns:
                continue
            whole = (from_ns is None or block.first_ns >= from_ns) and (until_ns is None or block.last_ns < until_ns)
            for entry in self.entries_of(block):
                at = entry.arrival_ns
                if whole or ((from_ns is None or at >= from_ns) and (until_ns is None or at < until_ns)):
                    yield entry

    def entries_of(self, block: Block) -> list[Entry]:
        head, raw = self._load(block.offset)
        if head.kind != BlockKind.FRAMES:
            raise Damaged(f"block at byte {block.offset}: no entries, though the index says so")
        try:
            return _entries(raw, head)
        except (varints.BadVarints, ValueError) as error:
            raise Damaged(f"block at byte {block.offset}: {error}") from error

    def _load(self, offset: int) -> tuple[_Head, bytes]:
        self._file.seek(offset)
        head = _read_head(self._file.read(_HEAD.size), offset)
        payload = self._file.read(head.packed)
        if len(payload) < head.packed or zlib.crc32(payload) != head.crc:
            raise Damaged(f"block at byte {offset}: wrong checksum")
        try:
            raw = self._unpack.decompress(payload, max_output_size=head.unpacked)
        except zstandard.ZstdError as error:
            raise Damaged(f"block at byte {offset}: {error}") from error
        if len(raw) != head.unpacked:
            raise Damaged(f"block at byte {offset}: {len(raw)} bytes, expected {head.unpacked}")
        return head, raw

    def _indexed(self) -> list[Block] | None:
        """What the index at the end says; None where the file did not end regularly."""
        if self._size < self._start + INDEX_TAIL.size:
            return None
        self._file.seek(self._size - INDEX_TAIL.size)
        offset, magic = INDEX_TAIL.unpack(self._file.read(INDEX_TAIL.size))
        if magic != INDEX_MAGIC or not self._start <= offset < self._size - INDEX_TAIL.size:
            return None
        try:
            head, raw = self._load(offset)
            table, _ = varints.decode(raw, 0, 3 * head.entries)
        except (Damaged, varints.BadVarints):
            return None
        if head.kind != BlockKind.INDEX:
            return None
        rows = np.cumsum(varints.unzigzag(table).reshape(-1, 3), axis=0)
        return [Block(*row) for row in rows.tolist()]

    def _walk(self) -> tuple[list[Block], int]:
        """The whole blocks from the start on, by their heads, and where the last one ends."""
        blocks: list[Block] = []
        at = self._start
        while self._size - at >= _HEAD.size:
            self._file.seek(at)
            text = self._file.read(_HEAD.size)
            if text.endswith(INDEX_MAGIC, 0, INDEX_TAIL.size):
                at += INDEX_TAIL.size  # of an earlier end, after which the file went on
                continue
            if not self._is_whole(text, at):
                break
            head = _read_head(text, at)
            if head.kind == BlockKind.FRAMES:
                blocks.append(Block(at, head.first_ns, head.last_ns))
            at += _HEAD.size + head.packed
        if self._size - at >= INDEX_TAIL.size:
            self._file.seek(at)
            if self._file.read(INDEX_TAIL.size).endswith(INDEX_MAGIC):
                at += INDEX_TAIL.size
        return blocks, at

    def _is_whole(self, text: bytes, at: int) -> bool:
        """Whether the block at `at` is there to its end; raises `Damaged` when others come after a bad one."""
        try:
            head = _read_head(text, at)
        except Damaged:
            if self._nothing_after(at):
                return False
            raise
        end = at + _HEAD.size + head.packed
        if end < self._size:
            return True  # its payload is checked when it is read
        if end > self._size:
            return False
        self._file.seek(at + _HEAD.size)
        return zlib.crc32(self._file.read(head.packed)) == head.crc

    def _nothing_after(self, at: int) -> bool:
        """A torn end leaves no block behind it: what a crash of the machine leaves there are zeros or nothing."""
        self._file.seek(at + 1)
        kept = b""
        while chunk := self._file.read(1 << 20):
            if BLOCK_MAGIC in kept + chunk:
                return False
            kept = chunk[-len(BLOCK_MAGIC) + 1 :]
        return True


def _read_prologue(file: BinaryIO) -> tuple[Header, int]:
    text = file.read(_PROLOGUE.size)
    if len(text) < _PROLOGUE.size or not text.startswith(MAGIC):
        raise Damaged("not a recording")
    _, version, length, crc = _PROLOGUE.unpack(text)
    if version != VERSION:
        raise Damaged(f"version {version}, only {VERSION} can be read")
    if length > MAX_HEADER_BYTES:
        raise Damaged(f"a header of {length} bytes")
    header = file.read(length)
    if len(header) < length or zlib.crc32(header) != crc:
        raise Damaged("wrong checksum of the header")
    try:
        return msgspec.json.decode(header, type=Header), _PROLOGUE.size + length
    except msgspec.ValidationError as error:
        raise Damaged(f"header: {error}") from error


def _read_head(text: bytes, at: int) -> _Head:
    if len(text) < _HEAD.size:
        raise Damaged(f"block at byte {at}: torn head")
    magic, kind, packed, unpacked, entries, first_ns, last_ns, crc, own = _HEAD.unpack(text)
    if magic != BLOCK_MAGIC or zlib.crc32(text[: -_HEAD_CRC.size]) != own:
        raise Damaged(f"block at byte {at}: wrong checksum of the head")
    if unpacked > MAX_BLOCK_BYTES or entries > unpacked:
        raise Damaged(f"block at byte {at}: {unpacked} bytes, {entries} entries")
    return _Head(kind, packed, unpacked, entries, first_ns, last_ns, crc)


def _entries(raw: bytes, head: _Head) -> list[Entry]:
    count = head.entries
    steps, at = varints.decode(raw, 0, count)
    arrivals = (head.first_ns + np.cumsum(varints.unzigzag(steps))).tolist()
    kinds = raw[at : at + count]
    sizes, at = varints.decode(raw, at + count, count)
    ends = (at + np.cumsum(sizes)).tolist()
    if len(kinds) < count or (sizes < 0).any() or ends[-1:] not in ([], [len(raw)]):
        raise ValueError("the columns do not fit")
    entries: list[Entry] = []
    append = entries.append
    for arrival_ns, kind, end in zip(arrivals, kinds, ends, strict=True):
        if kind == Kind.FRAME:
            append(Entry(arrival_ns, Kind.FRAME, "", raw[at:end]))
        elif kind == Kind.EVENT:
            append(Entry(arrival_ns, Kind.EVENT, "", raw[at:end]))
        else:
            symbol, _, body = raw[at:end].partition(b"\0")
            append(Entry(arrival_ns, Kind(kind), symbol.decode(), body))
        at = end
    return entries
