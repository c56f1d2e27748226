"""Recordings: what goes in comes out, wherever the file ends, and damage is told."""

import io
import subprocess
import sys
import zlib
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market import varints
from market.recording import INDEX_TAIL, Damaged, Entry, Header, Kind, Reader, Writer
from market.venues.events import Steps

HEADER = Header(
    venue="binance", symbols={"BTCUSDT": Steps(Decimal("0.01"), Decimal("0.00001"), "BTCUSDT")}, created_ns=5
)
TIMES = st.integers(-(2**62), 2**62 - 1)
SYMBOLS = st.text("ABCXYZ", max_size=6)

INT64 = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([0, 1, -1, 127, 128, 2**63 - 1, -(2**63)])


def entries() -> st.SearchStrategy[Entry]:
    frames = st.builds(Entry, TIMES, st.sampled_from([Kind.FRAME, Kind.EVENT]), st.just(""), st.binary(max_size=60))
    others = st.builds(Entry, TIMES, st.sampled_from([Kind.SNAPSHOT, Kind.STATUS]), SYMBOLS, st.just("dät\0a".encode()))
    return frames | others


def recorded(batches: list[list[Entry]], closed: bool) -> io.BytesIO:
    """Each batch a block."""
    file = io.BytesIO()
    writer = Writer.create(file, HEADER)
    for batch in batches:
        for entry in batch:
            writer.entry(entry)
        writer.flush()
    if closed:
        writer.close()
    return file


def some(count: int, start: int = 0) -> list[Entry]:
    return [Entry(start + k * 10, Kind.FRAME, "", b'{"u":%d}' % (start + k)) for k in range(count)]


@given(st.lists(INT64, max_size=40))
def test_varints_are_read_back(values: list[int]) -> None:
    column = np.array(values, np.int64)
    raw = b"x" + varints.encode(varints.zigzag(column)) + b"tail"
    back, end = varints.decode(raw, 1, len(values))
    assert varints.unzigzag(back).tolist() == values
    assert raw[end:] == b"tail"


@pytest.mark.parametrize("raw", [b"", b"\x80", b"\x80" * 11 + b"\x00"])
def test_varints_that_do_not_end_are_told(raw: bytes) -> None:
    with pytest.raises(varints.BadVarints):
        varints.decode(raw, 0, 1)


@settings(max_examples=60)
@given(st.lists(st.lists(entries(), max_size=8), max_size=5), st.booleans())
def test_what_is_written_is_read(batches: list[list[Entry]], closed: bool) -> None:
    reader = Reader(recorded(batches, closed))
    assert reader.header == HEADER
    assert list(reader.entries()) == [entry for batch in batches for entry in batch]
    assert len(reader.blocks) == sum(1 for batch in batches if batch)
    assert reader.torn_bytes == 0


@settings(max_examples=60)
@given(st.lists(st.lists(entries(), max_size=6), max_size=4), TIMES, TIMES)
def test_a_stretch_of_time(batches: list[list[Entry]], start: int, end: int) -> None:
    reader = Reader(recorded(batches, True))
    flat = [entry for batch in batches for entry in batch]
    assert list(reader.entries(start, end)) == [entry for entry in flat if start <= entry.arrival_ns < end]


def test_a_file_cut_at_any_byte_of_its_last_block_is_good_up_to_it() -> None:
    first, second = some(5), some(4, 100)
    whole = recorded([first, second], False).getvalue()
    start = len(recorded([first], False).getvalue())
    for end in range(start, len(whole)):
        reader = Reader(io.BytesIO(whole[:end]))
        assert list(reader.entries()) == first
        assert reader.torn_bytes == end - start
    assert list(Reader(io.BytesIO(whole)).entries()) == first + second


def test_a_file_cut_at_any_byte_of_its_index_loses_nothing() -> None:
    whole = recorded([some(5), some(4, 100)], True).getvalue()
    start = len(recorded([some(5), some(4, 100)], False).getvalue())
    for end in range(start, len(whole)):
        assert len(list(Reader(io.BytesIO(whole[:end])).entries())) == 9


def test_a_file_cut_inside_its_prologue_is_no_recording() -> None:
    whole = recorded([], False).getvalue()
    for end in range(len(whole)):
        with pytest.raises(Damaged):
            Reader(io.BytesIO(whole[:end]))


def test_a_torn_file_goes_on_after_its_last_whole_block() -> None:
    first, second, third = some(3), some(3, 100), some(3, 200)
    whole = recorded([first, second], False).getvalue()
    for end in range(len(recorded([first], False).getvalue()), len(whole)):
        file = io.BytesIO(whole[:end])
        writer = Writer.resume(file)
        for entry in third:
            writer.entry(entry)
        writer.close()
        assert list(Reader(file).entries()) == first + third


@pytest.mark.parametrize("closed_again", [False, True])
def test_a_closed_file_goes_on(closed_again: bool) -> None:
    file = recorded([some(3)], True)
    writer = Writer.resume(file)
    for entry in some(2, 100):
        writer.entry(entry)
    writer.flush()
    if closed_again:
        writer.close()
    reader = Reader(file)
    assert list(reader.entries()) == some(3) + some(2, 100)
    assert reader.torn_bytes == 0


def test_every_flipped_byte_is_told_or_harmless() -> None:
    """Nothing that was not written is ever read: a block that fails its checksum ends the file or is `Damaged`."""
    first, second = some(4), some(4, 100)
    whole = recorded([first, second], False).getvalue()
    for at in range(len(whole)):
        spoilt = bytearray(whole)
        spoilt[at] ^= 0x55
        try:
            read = list(Reader(io.BytesIO(bytes(spoilt))).entries())
        except Damaged:
            continue
        assert read in (first, first + second), f"byte {at}"


def test_zeros_after_the_end_as_a_crash_of_the_machine_leaves_them() -> None:
    reader = Reader(io.BytesIO(recorded([some(3)], False).getvalue() + b"\0" * 300))
    assert list(reader.entries()) == some(3)
    assert reader.torn_bytes == 300


def test_another_version_is_refused() -> None:
    whole = bytearray(recorded([], False).getvalue())
    whole[8] = 9
    with pytest.raises(Damaged, match="version 9"):
        Reader(io.BytesIO(bytes(whole)))


def test_blocks_are_written_by_size_and_found_by_time() -> None:
    file = io.BytesIO()
    writer = Writer.create(file, HEADER)
    body = zlib.crc32(b"x").to_bytes(4, "little") * 1000
    for k in range(2000):
        writer.frame(k, body)
    writer.close()
    reader = Reader(file)
    assert len(reader.blocks) == 31
    assert (reader.first_ns, reader.last_ns) == (0, 1999)
    assert [entry.arrival_ns for entry in reader.entries(1990)] == list(range(1990, 2000))
    assert file.getvalue().endswith(b"RPINDEX\n")
    assert INDEX_TAIL.size == 16


WRITING = """
import sys, time
from market.recording import Header, Writer
with open(sys.argv[1], "wb") as file:
    writer = Writer.create(file, Header(venue="binance", symbols={}, created_ns=0))
    for k in range(10**9):
        writer.frame(k, b'{"u":%d}' % k)
        if k % 100 == 99:
            writer.flush()
            file.flush()
            print(k + 1, flush=True)
"""


def test_a_writer_that_is_killed_loses_nothing_that_was_flushed(tmp_path: Path) -> None:
    path = tmp_path / "killed.rec"
    with subprocess.Popen([sys.executable, "-c", WRITING, str(path)], stdout=subprocess.PIPE) as writing:
        assert writing.stdout is not None
        for _ in range(200):
            told = int(writing.stdout.readline())
        writing.kill()
        rest = writing.stdout.read().splitlines()
    told = int(rest[-1]) if rest else told
    with path.open("r+b") as file:
        read = [entry.arrival_ns for entry in Reader(file).entries()]
        assert len(read) >= told
        assert read == list(range(len(read)))
        again = Writer.resume(file)
        again.frame(len(read), b"{}")
        again.close()
        assert [entry.arrival_ns for entry in Reader(file).entries()] == list(range(len(read) + 1))
