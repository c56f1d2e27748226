"""Recordings as commands: merged, cut anywhere, read again, looped; damage is told."""

import io
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from market.enums import CommandKind
from market.event_codec import encode_event
from market.imports import hftbacktest
from market.recording import Damaged, Header, Reader, Writer
from market.records import Records
from market.replay import Recorded, Replay
from market.venues.events import BookDelta, BookSnapshot, Candle, Status, StatusKind, Steps, Trade
from tests.unit.venue_recordings import recording

STEPS = Steps(Decimal("0.01"), Decimal("0.00001"))
START_NS = 1_700_000_000_000_000_000


Told = Sequence[tuple[int, Any]]
"""Events at so many ns; a pair of texts is a symbol and its status."""


def of_events(told: Told, venue: str = "lobster", symbols: Sequence[str] = ("A", "B")) -> io.BytesIO:
    file = io.BytesIO()
    writer = Writer.create(file, Header(venue=venue, symbols=dict.fromkeys(symbols, STEPS), created_ns=0, source=venue))
    for number, (at, one) in enumerate(told):
        if isinstance(one, tuple):
            writer.status(START_NS + at, *one)
        else:
            writer.event(START_NS + at, encode_event(one))
        if number % 3 == 2:
            writer.flush()
    writer.close()
    return file


def book(symbol: str, seq: int = 1) -> BookSnapshot:
    return BookSnapshot(symbol, 0, [(100, 5)], [(101, 4)], seq)


def change(symbol: str, seq: int, lots: int) -> BookDelta:
    return BookDelta(symbol, 0, [(100, lots)], [], seq, seq, seq - 1)


def trade(symbol: str, number: int) -> Trade:
    return Trade(symbol, 0, str(number), 101, 1, False)


def replay_of(*files: io.BytesIO, symbols: Mapping[str, int] | None = None) -> Replay:
    return Replay([Recorded(symbols or {"A": 0, "B": 1}, Reader(file)) for file in files])


def whole(replay: Replay, most: int = 8192) -> Records:
    parts = []
    while not replay.at_end:
        parts.append(replay.read(most=most))
    return np.concatenate(parts)


def at(rows: Records) -> list[tuple[int, int, str]]:
    """Time since the start, symbol, kind."""
    kinds = [CommandKind(kind).name.removeprefix("OUTSIDE_") for kind in rows["kind"]]
    return list(zip((rows["target_id"] - START_NS).tolist(), rows["symbol"].tolist(), kinds, strict=True))


A: list[tuple[int, Any]] = [(10, book("A")), (30, change("A", 2, 6)), (50, trade("A", 1))]
B: list[tuple[int, Any]] = [(20, book("B")), (30, change("B", 2, 6)), (40, ("", "stale"))]


def test_recordings_are_merged_by_arrival() -> None:
    replay = replay_of(of_events(A), of_events(B, "nasdaq"))
    assert (replay.first_ns, replay.last_ns) == (START_NS + 10, START_NS + 50)
    assert at(whole(replay)) == [
        (10, 0, "CLEAR"), (10, 0, "LEVEL"), (10, 0, "LEVEL"),
        (20, 1, "CLEAR"), (20, 1, "LEVEL"), (20, 1, "LEVEL"),
        (30, 0, "LEVEL"), (30, 1, "LEVEL"), (40, 1, "CLEAR"), (50, 0, "TRADE"),
    ]  # fmt: skip
    assert replay.position == 6
    assert replay.at_end
    assert replay.next_ns is None
    assert len(replay.read()) == 0


def test_reading_stops_where_it_is_told() -> None:
    replay = replay_of(of_events(A), of_events(B, "nasdaq"))
    assert replay.next_ns == START_NS + 10
    assert len(replay.read(START_NS + 9)) == 0
    assert at(replay.read(START_NS + 29))[-1] == (20, 1, "LEVEL")
    assert (replay.position, replay.next_ns, replay.market_ns) == (2, START_NS + 30, START_NS + 20)
    assert at(replay.read(START_NS + 30)) == [(30, 0, "LEVEL"), (30, 1, "LEVEL")]


def test_one_entry_is_never_parted() -> None:
    replay = replay_of(of_events(A))
    assert at(replay.read(most=1)) == [(10, 0, "CLEAR"), (10, 0, "LEVEL"), (10, 0, "LEVEL")]
    assert [(market_ns - START_NS, len(rows)) for market_ns, rows in replay] == [(30, 1), (50, 1)]


def test_symbols_that_are_not_wanted_are_left_out() -> None:
    both = [*A[:1], *B[:1], (21, Candle("A", 0, 0, 60, 1, 1, 1, 1, 1, True)), (22, trade("B", 1))]
    assert at(whole(replay_of(of_events(both), symbols={"B": 5}))) == [
        (20, 5, "CLEAR"), (20, 5, "LEVEL"), (20, 5, "LEVEL"), (22, 5, "TRADE"),
    ]  # fmt: skip


def test_several_recordings_of_a_venue_are_one_stream() -> None:
    rest = of_events([(60, change("A", 3, 7)), (61, trade("A", 1)), (62, change("A", 4, 8))])
    assert at(whole(replay_of(of_events(A), rest)))[-3:] == [(50, 0, "TRADE"), (60, 0, "LEVEL"), (62, 0, "LEVEL")]


def test_a_gap_clears_until_a_book_comes() -> None:
    told = [*A, (60, change("A", 9, 1)), (70, change("A", 10, 1)), (80, book("A", 12)), (90, change("A", 13, 6))]
    assert at(whole(replay_of(of_events(told))))[-5:] == [
        (60, 0, "CLEAR"), (80, 0, "CLEAR"), (80, 0, "LEVEL"), (80, 0, "LEVEL"), (90, 0, "LEVEL"),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["halted", "trading"])
def test_halts_are_played(kind: StatusKind) -> None:
    told = [(10, Status("A", 0, "halted")), (20, Status("A", 0, kind))]
    assert at(whole(replay_of(of_events(told)))) == [(10, 0, "STATUS"), (20, 0, "STATUS")][: 1 + (kind == "trading")]


def test_what_cannot_be_read_is_counted() -> None:
    file = io.BytesIO()
    writer = Writer.create(file, Header(venue="binance", symbols={"BTCUSDT": STEPS}, created_ns=0))
    for number, body in enumerate((b"nonsense", b'{"stream":"x@trade","data":{}}')):
        writer.frame(START_NS + number, body)
    writer.snapshot(START_NS + 3, "BTCUSDT", b"{}")
    writer.status(START_NS + 4, "", "odd")
    writer.event(START_NS + 5, b"\xff")
    writer.event(START_NS + 6, encode_event(Trade("BTCUSDT", 0, "1", 5, 5, True)))
    writer.close()
    replay = replay_of(file, symbols={"BTCUSDT": 0})
    assert at(whole(replay)) == [(6, 0, "TRADE")]
    assert (replay.errors, replay.position) == (5, 6)


def test_recordings_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(ValueError, match="symbols: C is not in the recording"):
        replay_of(of_events(A), symbols={"C": 1})
    readers = [Reader(of_events(A)) for _ in range(2)]
    with pytest.raises(ValueError, match="symbols: A has another id"):
        Replay([Recorded({"A": number}, reader) for number, reader in enumerate(readers)])


def test_damage_is_told_after_what_came_before_it() -> None:
    file = of_events([(number, trade("A", number)) for number in range(9)])
    blocks = Reader(file).blocks
    raw = bytearray(file.getvalue())
    raw[blocks[2].offset - 1] ^= 0xFF
    replay = Replay([Recorded({"A": 0}, Reader(io.BytesIO(raw)), "day.rec")])
    assert [one[0] for one in at(replay.read())] == [0, 1, 2]
    assert not replay.at_end
    with pytest.raises(Damaged, match=rf"day\.rec: block at byte {blocks[1].offset}: wrong checksum"):
        replay.read()
    assert replay.at_end


def test_a_restart_gives_the_same_again() -> None:
    replay = replay_of(of_events(A), of_events(B, "nasdaq"))
    first = whole(replay)
    replay.restart()
    again = whole(replay)
    assert at(again[:1]) == [(50, 0, "CLEAR")]
    assert again[1:].tobytes() == first.tobytes()


def test_a_loop_goes_on_in_time() -> None:
    replay = replay_of(of_events([*A, (55, Status("A", 0, "halted"))]))
    first = whole(replay)
    with pytest.raises(ValueError, match="begin_ns"):
        replay.restart(START_NS)
    replay.restart(START_NS + 1000)
    assert (replay.first_ns, replay.last_ns) == (START_NS + 1000, START_NS + 1045)
    again = whole(replay)
    assert at(again[:3]) == [(55, 0, "CLEAR"), (55, 0, "STATUS"), (1000, 0, "CLEAR")]
    assert (np.diff(again["target_id"]) >= 0).all()
    assert (again["target_id"][2:] - first["target_id"]).tolist() == [990] * len(first)
    replay.restart(START_NS + 2000)
    assert replay.next_ns == START_NS + 2000


def test_arrivals_that_go_back_do_not_move_time_back() -> None:
    replay = replay_of(of_events([(10, trade("A", 1)), (5, trade("A", 2)), (12, trade("A", 3))]))
    assert [one[0] for one in at(whole(replay))] == [10, 10, 12]


def test_nothing_recorded() -> None:
    replay = replay_of(of_events([]))
    assert replay.at_end
    assert (replay.first_ns, replay.next_ns, len(replay.read())) == (None, None, 0)


def test_a_venues_recording_however_it_is_cut() -> None:
    name = "usdm_btcusdt_20240808.gz"
    file = io.BytesIO()
    writer = Writer.create(
        file, Header(venue="binance_usdm", symbols={"BTCUSDT": Steps(Decimal("0.1"), Decimal("0.001"))}, created_ns=0)
    )
    with recording(f"hftbacktest/{name}").open("rb") as packed:
        for number, entry in enumerate(hftbacktest.entries(name, packed, "BTCUSDT")):
            writer.entry(entry)
            if number == 5000:
                break
    writer.close()
    whole_at_once = whole(replay_of(file, symbols={"BTCUSDT": 3}))
    assert len(whole_at_once) > 5000
    for most in (1, 7, 500):
        assert whole(replay_of(file, symbols={"BTCUSDT": 3}), most).tobytes() == whole_at_once.tobytes()
