"""When candles open and close, time zones, window sizes: the venue's rules as tables."""

from datetime import UTC, datetime, timedelta

import pytest

from market.intervals import DAY_NS, HOUR_NS, INTERVALS, MINUTE_NS, SECOND_NS, Interval, offset_of, window_of


def at(text: str) -> int:
    """Nanoseconds of an ISO time in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND_NS


@pytest.mark.parametrize(
    ("name", "opened", "ended"),
    [
        ("1s", "2026-03-04T05:06:07", "2026-03-04T05:06:08"),
        ("1m", "2026-03-04T05:06:00", "2026-03-04T05:07:00"),
        ("3m", "2026-03-04T05:06:00", "2026-03-04T05:09:00"),
        ("5m", "2026-03-04T05:05:00", "2026-03-04T05:10:00"),
        ("15m", "2026-03-04T05:00:00", "2026-03-04T05:15:00"),
        ("30m", "2026-03-04T05:00:00", "2026-03-04T05:30:00"),
        ("1h", "2026-03-04T05:00:00", "2026-03-04T06:00:00"),
        ("2h", "2026-03-04T04:00:00", "2026-03-04T06:00:00"),
        ("4h", "2026-03-04T04:00:00", "2026-03-04T08:00:00"),
        ("6h", "2026-03-04T00:00:00", "2026-03-04T06:00:00"),
        ("8h", "2026-03-04T00:00:00", "2026-03-04T08:00:00"),
        ("12h", "2026-03-04T00:00:00", "2026-03-04T12:00:00"),
        ("1d", "2026-03-04T00:00:00", "2026-03-05T00:00:00"),
        ("1w", "2026-03-02T00:00:00", "2026-03-09T00:00:00"),  # a Monday
        ("1M", "2026-03-01T00:00:00", "2026-04-01T00:00:00"),
    ],
)
def test_a_moment_is_in_one_interval(name: str, opened: str, ended: str) -> None:
    interval = Interval(name)
    moment = at("2026-03-04T05:06:07") + 123_456_789
    assert interval.open_of(moment) == at(opened)
    assert interval.next_open(at(opened)) == at(ended)


def test_three_days_count_from_the_epoch() -> None:
    interval = Interval("3d")
    for day in range(20_500, 20_506):
        assert interval.open_of(day * DAY_NS + 5) == day // 3 * 3 * DAY_NS


def test_an_offset_moves_the_day() -> None:
    shanghai = Interval("1d", 8 * HOUR_NS)
    assert shanghai.open_of(at("2026-03-04T15:59:59")) == at("2026-03-03T16:00:00")
    assert shanghai.open_of(at("2026-03-04T16:00:00")) == at("2026-03-04T16:00:00")
    month = Interval("1M", -5 * HOUR_NS)
    assert month.open_of(at("2026-03-01T04:00:00")) == at("2026-02-01T05:00:00")
    assert month.next_open(at("2026-02-01T05:00:00")) == at("2026-03-01T05:00:00")


@pytest.mark.parametrize("name", INTERVALS)
@pytest.mark.parametrize("offset_minutes", [0, 480, -210, 840, -720])
def test_intervals_touch_and_do_not_overlap(name: str, offset_minutes: int) -> None:
    interval = Interval(name, offset_minutes * MINUTE_NS)
    opened = interval.open_of(at("2024-02-27T12:34:56"))
    for _ in range(40):
        ended = interval.next_open(opened)
        assert interval.open_of(opened) == opened
        assert interval.open_of(ended - 1) == opened
        assert interval.open_of(ended) == ended
        assert interval.previous_open(ended) == opened
        opened = ended


def test_months_have_their_lengths() -> None:
    interval = Interval("1M")
    opened = at("2024-01-01T00:00:00")
    lengths = []
    for _ in range(12):
        ended = interval.next_open(opened)
        lengths.append(timedelta(seconds=(ended - opened) // SECOND_NS).days)
        opened = ended
    assert lengths == [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]


def test_opens_from_a_start_and_until_an_end() -> None:
    minute = Interval("1m")
    start = at("2026-03-04T05:06:00")
    assert minute.opens_from(start, start + 2 * MINUTE_NS, 10) == [start + k * MINUTE_NS for k in range(3)]
    assert minute.opens_from(start + 1, start + 2 * MINUTE_NS, 10) == [start + MINUTE_NS, start + 2 * MINUTE_NS]
    assert minute.opens_from(start, start + HOUR_NS, 2) == [start, start + MINUTE_NS]
    assert minute.opens_from(start, start - 1, 2) == []
    assert minute.opens_until(start + 5, 0, 2) == [start - MINUTE_NS, start]
    assert minute.opens_until(start, start - MINUTE_NS, 9) == [start - MINUTE_NS, start]
    assert minute.opens_until(start - 1, start, 9) == []


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("0", 0), ("8", 480), ("+8", 480), ("-1:00", -60), ("05:45", 345), ("14", 840), ("14:00", 840), ("-12", -720),
     ("14:01", None), ("-12:01", None), ("15", None), ("", None), ("a", None), ("5:60", None), ("5:5", None),
     ("1:00:00", None), ("٣", None), ("--1", None)],
)  # fmt: skip
def test_time_zones(text: str, minutes: int | None) -> None:
    assert offset_of(text) == minutes


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("1m", MINUTE_NS), ("59m", 59 * MINUTE_NS), ("60m", None), ("0m", None), ("1h", HOUR_NS), ("23h", 23 * HOUR_NS),
     ("24h", None), ("1d", DAY_NS), ("7d", 7 * DAY_NS), ("8d", None), ("01d", None), ("1w", None), ("1", None),
     ("", None), ("m", None), ("1M", None)],
)  # fmt: skip
def test_window_sizes(text: str, nanoseconds: int | None) -> None:
    assert window_of(text) == nanoseconds
