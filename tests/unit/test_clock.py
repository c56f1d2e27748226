"""Market time between two tellings of its master."""

import pytest

from market.clock import LEASE_NS, MarketClock, pace_within

T0 = 1_700_000_000_000_000_000
MS = 1_000_000


def test_before_the_first_telling_there_is_no_time() -> None:
    clock = MarketClock()
    assert not clock.known
    assert clock.now(5) == 0
    clock.told(T0, 0.0, 6)
    assert clock.known


def test_time_stands_where_it_was_told_without_pace() -> None:
    clock = MarketClock()
    assert clock.told(T0, 0.0, 0) == T0
    assert clock.now(10_000 * MS) == T0


@pytest.mark.parametrize("pace", [0.1, 1.0, 10.0, 1000.0])
def test_time_goes_on_at_its_pace(pace: float) -> None:
    clock = MarketClock()
    clock.told(T0, pace, 100 * MS)
    assert clock.now(103 * MS) == T0 + int(pace * 3 * MS)
    assert clock.now(150 * MS) == T0 + int(pace * 50 * MS)


def test_without_its_master_time_stands_still_after_a_while() -> None:
    clock = MarketClock()
    clock.told(T0, 2.0, 0)
    assert clock.now(LEASE_NS) == clock.now(50 * LEASE_NS) == T0 + 2 * LEASE_NS


def test_time_never_goes_back() -> None:
    clock = MarketClock()
    clock.told(T0, 1.0, 0)
    ahead = clock.now(80 * MS)
    assert clock.told(T0 + 10 * MS, 0.0, 81 * MS) == ahead, "the master is behind"
    assert clock.now(70 * MS) == ahead, "the wall went back"
    assert clock.told(T0 + 90 * MS, 0.0, 82 * MS) == T0 + 90 * MS


def test_it_goes_on_from_where_a_journal_ends() -> None:
    clock = MarketClock(T0)
    assert clock.known
    assert clock.now(123) == T0
    assert clock.told(T0 - 1, 0.0, 124) == T0


@pytest.mark.parametrize(
    ("until_ns", "told"),
    [
        (None, 10.0),
        (T0 + 100 * LEASE_NS, 10.0),
        (T0 + 10 * LEASE_NS, 10.0),
        (T0 + LEASE_NS, 1.0),
        (T0 + LEASE_NS // 4, 0.25),
        (T0, 0.0),
        (T0 - 1, 0.0),
    ],
)
def test_the_pace_told_stays_behind_what_was_not_sent(until_ns: int | None, told: float) -> None:
    pace = pace_within(T0, 10.0, until_ns)
    assert pace == told
    clock = MarketClock()
    clock.told(T0, pace, 0)
    if until_ns is not None:
        assert clock.now(1000 * LEASE_NS) <= max(T0, until_ns)
