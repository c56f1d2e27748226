"""Quality of a feed from its counters, and what of a feed is new."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.continuity import CLOCK_STEP_NS, TRADES_REMEMBERED, Continuity, Verdict
from market.quality import LATE_NS, NOTHING, Counters, Quality, quality, together
from market.venues.events import BookDelta, BookSnapshot, Candle, Event, Quote, Status, Trade

NEW, DUPLICATE, LATE = Verdict.NEW, Verdict.DUPLICATE, Verdict.LATE
SILENCE_NS = 60 * 10**9
NOW = 1_790_000_000 * 10**9


def counted(**numbers: int) -> Counters:
    whole = {"frames": 100, "events": 100, "watched_ns": 1000, "live_ns": 1000, "timed": 100, "punctual": 100}
    return Counters(**{**whole, "last_arrival_ns": NOW, **numbers})


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ({}, (100, 100, 100, 100)),
        ({"live_ns": 900}, (90, 100, 100, 100)),
        ({"missed": 100}, (50, 100, 100, 100)),
        ({"live_ns": 500, "missed": 300}, (12.5, 100, 100, 100)),
        ({"errors": 3, "off_grid": 2}, (100, 95, 100, 100)),
        ({"errors": 300}, (100, 0, 100, 100)),
        ({"gaps": 1, "disordered": 2, "crossed": 3}, (100, 100, 94, 100)),
        ({"punctual": 75}, (100, 100, 100, 75)),
        ({"timed": 0, "punctual": 0}, (100, 100, 100, 100)),
        ({"last_arrival_ns": NOW - SILENCE_NS - 1}, (100, 100, 100, 0)),
        ({"last_arrival_ns": 0}, NOTHING),
        ({"duplicates": 50, "reconnects": 3}, (100, 100, 100, 100)),
    ],
)
def test_the_formulas(numbers: dict[str, int], expected: tuple[float, ...]) -> None:
    assert quality(counted(**numbers), NOW, SILENCE_NS) == pytest.approx(expected)


FIELDS = [name for name in Counters.__struct_fields__ if name not in ("last_delay_ns", "least_delay_ns")]


@given(st.lists(st.integers(0, 2**40), min_size=len(FIELDS), max_size=len(FIELDS)))
def test_never_below_0_nor_above_100(numbers: list[int]) -> None:
    for score in quality(Counters(**dict(zip(FIELDS, numbers, strict=True))), NOW, SILENCE_NS):
        assert 0 <= score <= 100


def test_the_whole_is_as_good_as_the_worst() -> None:
    assert Quality(90.0, 80.0, 100.0, 85.0).overall == 80.0


def test_punctual_is_measured_against_the_quickest() -> None:
    """The venue's clock is 1.3 s ahead: what counts is the difference to the best."""
    one = Counters()
    ahead = 1_300_000_000
    for delay in (50, 80, 50 + LATE_NS, 51 + LATE_NS):
        one.arrived(NOW + delay, NOW + ahead)
    one.arrived(NOW, 0)
    assert (one.events, one.timed, one.punctual) == (5, 4, 3)
    assert one.least_delay_ns == 50 - ahead
    assert one.last_delay_ns == 51 + LATE_NS - ahead


def test_a_stretch_of_time_and_a_venue_of_symbols() -> None:
    before = counted(gaps=2)
    after = counted(gaps=5, frames=150, least_delay_ns=7)
    stretch = after.since(before)
    assert (stretch.gaps, stretch.frames, stretch.events, stretch.least_delay_ns) == (3, 50, 0, 7)
    assert stretch.last_arrival_ns == NOW
    total = together([before, after])
    assert (total.gaps, total.frames, total.least_delay_ns) == (7, 250, 7)


def delta(last: int, first: int = 0, previous: int = -1) -> BookDelta:
    return BookDelta("S", 5, [], [], first or last, last, previous)


def trade(number: int) -> Trade:
    return Trade("S", 5, str(number), 1, 1, True)


def whole(venue_ns: int, bid: int = 1, seq: int = 0) -> BookSnapshot:
    return BookSnapshot("S", venue_ns, [(bid, 1)], [], seq)


def quote(venue_ns: int, bid: int = 1) -> Quote:
    return Quote("S", venue_ns, bid, 1, bid + 1, 1)


def candle(close: int, closed: bool = False) -> Candle:
    return Candle("S", 0, 0, 60, 1, 9, 1, close, 5, closed)


@pytest.mark.parametrize(
    ("events", "verdicts"),
    [
        ([trade(1), trade(2), trade(1), trade(3)], [NEW, NEW, DUPLICATE, NEW]),
        ([delta(5), delta(6), delta(6), delta(5), delta(7)], [NEW, NEW, DUPLICATE, DUPLICATE, NEW]),
        ([delta(5), delta(5, previous=5), delta(3, previous=5), delta(4, previous=3)], [NEW, NEW, NEW, NEW]),
        ([delta(5), delta(1), delta(2)], [NEW, NEW, NEW]),
        ([delta(-1), delta(-1)], [NEW, NEW]),
        ([whole(10), whole(10, 2), whole(10, 2), whole(9), whole(11)], [NEW, NEW, DUPLICATE, LATE, NEW]),
        ([whole(10 + CLOCK_STEP_NS), whole(10)], [NEW, NEW]),
        ([whole(0), whole(0, 2), whole(0, 2)], [NEW, NEW, DUPLICATE]),
        ([whole(5, seq=9), whole(5, seq=9), delta(9), delta(10)], [NEW, NEW, DUPLICATE, NEW]),
        ([quote(5), quote(5), quote(6), quote(5), quote(6, 2)], [NEW, DUPLICATE, NEW, LATE, NEW]),
        ([quote(0), quote(0, 2), quote(0)], [NEW, NEW, NEW]),
        ([candle(1), candle(1), candle(2)], [NEW, DUPLICATE, NEW]),
        ([Status("S", 0, "error"), Status("S", 0, "error")], [NEW, NEW]),
    ],
)
def test_what_is_new(events: list[Event], verdicts: list[Verdict]) -> None:
    seen = Continuity()
    assert [seen.judge(event, k) for k, event in enumerate(events)] == verdicts


def test_symbols_are_apart() -> None:
    seen = Continuity()
    other = Trade("T", 5, "1", 1, 1, True)
    assert [seen.judge(one, 0) for one in (trade(1), other, other)] == [NEW, NEW, DUPLICATE]


def test_after_a_hand_over_what_lies_behind_is_left_out() -> None:
    seen = Continuity()
    passed: list[Event] = [delta(20), quote(0, 7)]
    for event in passed:
        assert seen.judge(event, 100) is NEW
    seen.hand_over()
    held: list[Event] = [whole(5, seq=15), delta(16), delta(20), quote(0, 6), delta(21), whole(5, seq=21)]
    assert [seen.judge(event, 90) for event in held] == [DUPLICATE, DUPLICATE, DUPLICATE, LATE, NEW, NEW]


def test_after_a_hand_over_a_newer_snapshot_passes() -> None:
    seen = Continuity()
    seen.judge(delta(20), 0)
    seen.hand_over()
    assert [seen.judge(event, 1) for event in (whole(5, seq=25), delta(24), delta(26))] == [NEW, DUPLICATE, NEW]


def test_forgotten_books_begin_anew_and_trades_stay_known() -> None:
    seen = Continuity()
    passed: list[Event] = [trade(1), delta(20), quote(5)]
    for event in passed:
        seen.judge(event, 0)
    seen.forget_books()
    assert [seen.judge(one, 0) for one in (trade(1), delta(3), quote(5))] == [DUPLICATE, NEW, NEW]


def test_what_is_remembered_of_trades_has_an_end() -> None:
    seen = Continuity()
    for number in range(TRADES_REMEMBERED + 1):
        seen.judge(trade(number), 0)
    assert [seen.judge(trade(0), 0), seen.judge(trade(TRADES_REMEMBERED), 0)] == [NEW, DUPLICATE]
