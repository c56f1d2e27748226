"""Recordings as a tape: on the grid of our instruments, in pieces of any size, again and again; damage ends it."""

import asyncio
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from actors.outside_books import OutsideBooks
from actors.replay_market import ReplayMarket
from actors.replay_tape import PAUSE_NS, RecordedTape
from market.enums import CommandKind
from market.event_codec import encode_event
from market.listing import Listing, listing, recorded
from market.recording import Header, Reader, Writer
from market.records import COMMAND, Records, joined
from market.venues.events import BookDelta, BookSnapshot, Event, Steps, Trade
from tests.unit.outside_world import START_NS, books, postgres

FINE = Steps(Decimal("0.0001"), Decimal("0.00001"))
OURS = Steps(Decimal("0.01"), Decimal("0.001"))
"""A hundred times as coarse."""
MS = 1_000_000


def story(symbol: str, count: int) -> list[tuple[int, Event]]:
    """A book of two levels, whose bid moves, and a trade now and then."""
    told: list[tuple[int, Event]] = [
        (0, BookSnapshot(symbol, 0, [(10_000, 500)], [(11_000, 700)], 1)),
    ]
    for k in range(1, count):
        told.append((k * MS, BookDelta(symbol, 0, [(10_000, 500 + 100 * k)], [], k + 1, k + 1, k)))
        if k % 5 == 0:
            told.append((k * MS, Trade(symbol, 0, str(k), 11_000, 100, is_buyer_maker=False)))
        if k % 7 == 0:
            told.append((k * MS, Trade(symbol, 0, str(1000 + k), 11_000, 50, is_buyer_maker=False)))
    return told


def record(path: Path, venue: str, symbol: str, count: int = 50) -> str:
    with path.open("wb") as file:
        writer = Writer.create(file, Header(venue=venue, symbols={symbol: FINE}, created_ns=START_NS))
        for number, (at_ns, event) in enumerate(story(symbol, count)):
            writer.event(START_NS + at_ns, encode_event(event))
            if number % 20 == 0:
                writer.flush()
        writer.close()
    return str(path)


def listed(steps: Steps = OURS) -> Listing:
    return listing("replay", [recorded("here", "AAAUSDT", steps), recorded("there", "BBBUSDT", steps)])


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    return [record(tmp_path / "a.rec", "here", "AAAUSDT"), record(tmp_path / "b.rec", "there", "BBBUSDT", 30)]


@pytest.fixture
def opened(files: list[str]) -> Iterator[Callable[[], RecordedTape]]:
    """Tapes of `files`; closed after the test."""
    tapes: list[RecordedTape] = []

    def open_one() -> RecordedTape:
        tapes.append(RecordedTape(files, listed()))
        return tapes[-1]

    yield open_one
    for one in tapes:
        one.close()


def whole(tape: RecordedTape, most: int = 10, until_ns: int | None = None) -> Records:
    parts = []
    while (next_ns := tape.next_ns()) is not None and (until_ns is None or next_ns <= until_ns):
        commands, at_ns = tape.take(until_ns, most)
        assert not len(commands) or commands["target_id"].max() <= at_ns
        parts.append(commands)
    return joined(parts, COMMAND)


def test_numbers_are_on_our_grid(opened: Callable[[], RecordedTape]) -> None:
    found = whole(opened())
    levels = found[(found["kind"] == CommandKind.OUTSIDE_LEVEL) & (found["symbol"] == 0)]
    assert set(levels["price_ticks"].tolist()) == {100, 110}
    assert levels["qty_lots"].tolist() == [5, 7, *range(6, 55)]
    trades = found[(found["kind"] == CommandKind.OUTSIDE_TRADE) & (found["symbol"] == 0)]
    assert trades["token"].tolist() == [5, 10, 15, 20, 25, 30, 35, 40, 45], "those of half a lot are left out"
    assert set(trades["qty_lots"].tolist()) == {1}


def test_a_grid_that_does_not_fit_is_refused(files: list[str]) -> None:
    with pytest.raises(ValueError, match=r"a\.rec: AAAUSDT: tick: 0\.0001 .* does not divide 0\.00025"):
        RecordedTape(files, listed(Steps(Decimal("0.00025"), Decimal("0.001"))))


@pytest.mark.parametrize("most", [1, 7, 1000])
def test_pieces_make_no_difference(opened: Callable[[], RecordedTape], most: int) -> None:
    assert whole(opened(), most).tobytes() == whole(opened()).tobytes()


def test_it_is_read_up_to_a_time(opened: Callable[[], RecordedTape]) -> None:
    tape = opened()
    assert (tape.first_ns, tape.end_ns) == (START_NS, START_NS + 49 * MS)
    first = whole(tape, until_ns=START_NS + 20 * MS)
    assert first["target_id"].max() == START_NS + 20 * MS
    rest = whole(tape)
    assert rest["target_id"].min() == START_NS + 21 * MS
    assert joined([first, rest], COMMAND).tobytes() == whole(opened()).tobytes()


def test_a_second_pass_is_the_first_one_later(opened: Callable[[], RecordedTape]) -> None:
    tape = opened()
    first = whole(tape)
    tape.rewind()
    assert tape.passes == 2
    second = whole(tape)
    later_ns = 49 * MS + PAUSE_NS
    clears = second["kind"] == CommandKind.OUTSIDE_CLEAR
    assert (second["target_id"][clears][:2] == START_NS + 49 * MS).all(), "what stood goes at the end of the first"
    again = second[2:].copy()
    again["target_id"] -= later_ns
    assert again.tobytes() == first.tobytes()
    assert tape.first_ns == START_NS + later_ns


def test_damage_ends_it_and_is_told(files: list[str], opened: Callable[[], RecordedTape]) -> None:
    with open(files[0], "rb") as file:
        last = Reader(file).blocks[-1]
    with open(files[0], "r+b") as file:
        file.seek(last.offset + 60)
        file.write(b"\xff\xff\xff")
    tape = opened()
    found = whole(tape)
    assert len(found) > 20
    assert tape.next_ns() is None
    assert "a.rec" in tape.damage


@pytest.fixture(scope="module")
def dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from postgres(tmp_path_factory.mktemp("tape"))


async def test_books_show_what_was_recorded(dsn: str, opened: Callable[[], RecordedTape]) -> None:
    settings: dict[str, Any] = {"market_time": "replay", "replay_speed": float("inf"), "symbols": 2, "book_actors": 2}
    async with books(dsn, listed(), **settings) as world:
        tape = opened()
        market = ReplayMarket(
            world.settings, tape, OutsideBooks(world.settings, 1, from_start=True, resolve=world.resolve)
        )
        await market.start()
        task = asyncio.create_task(market.run())
        status = await market.control("run_until", at_ns=START_NS + 20 * MS)
        assert status["reached"] or status["ended"]
        while not market.ended:
            await market.control("resume")
            await asyncio.sleep(0.002)
        assert world.levels(0) == {(0, 100): 54, (1, 110): 7}
        assert world.levels(1) == {(0, 100): 34, (1, 110): 7}
        assert {one._now_ns() for one in world.services} == {START_NS + 49 * MS}
        assert market.status()["errors"] == 0
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await market.stop()
