"""When candles open and close, and which windows the venue knows. Pure; nanoseconds since the Unix epoch, UTC.

Weeks open on Monday, months on the first, all in local time of the offset asked for; three-day candles count from the
epoch. An interval contains its open time and not its end.
"""

import re
from datetime import UTC, datetime
from typing import Final

import msgspec

SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS
HOUR_NS: Final = 60 * MINUTE_NS
DAY_NS: Final = 24 * HOUR_NS
_MONDAY_NS: Final = 4 * DAY_NS
"""The epoch was a Thursday: the first Monday after it."""

_UNITS: Final = {"s": SECOND_NS, "m": MINUTE_NS, "h": HOUR_NS, "d": DAY_NS, "w": 7 * DAY_NS}

INTERVALS: Final = (
    "1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M",
)  # fmt: skip

MIN_OFFSET_MINUTES: Final = -12 * 60
MAX_OFFSET_MINUTES: Final = 14 * 60

_OFFSET: Final = re.compile(r"([+-]?)(\d{1,2})(?::(\d{2}))?", re.ASCII)
_WINDOW: Final = re.compile(r"(\d{1,2})([mhd])", re.ASCII)
_MOST: Final = {"m": 59, "h": 23, "d": 7}


class Interval(msgspec.Struct, frozen=True):
    """A kline interval in a time zone."""

    name: str
    offset_ns: int = 0
    """Local time minus UTC."""

    @property
    def width_ns(self) -> int:
        """Its length; of a month the longest."""
        if self.name == "1M":
            return 31 * DAY_NS
        return int(self.name[:-1]) * _UNITS[self.name[-1]]

    def open_of(self, ts_ns: int) -> int:
        """When the interval that contains `ts_ns` opened."""
        local = ts_ns + self.offset_ns
        if self.name == "1M":
            opened = _month_of(local)
        else:
            anchor = _MONDAY_NS if self.name == "1w" else 0
            opened = local - (local - anchor) % self.width_ns
        return opened - self.offset_ns

    def next_open(self, open_ns: int) -> int:
        """When the interval that opened at `open_ns` ends and the next one opens."""
        if self.name == "1M":
            return _month_of(open_ns + self.offset_ns + 32 * DAY_NS) - self.offset_ns
        return open_ns + self.width_ns

    def previous_open(self, open_ns: int) -> int:
        return self.open_of(open_ns - 1)

    def opens_from(self, start_ns: int, end_ns: int, limit: int) -> list[int]:
        """Open times in [start_ns, end_ns], the first `limit`."""
        opened = self.open_of(start_ns)
        if opened < start_ns:
            opened = self.next_open(opened)
        opens: list[int] = []
        while opened <= end_ns and len(opens) < limit:
            opens.append(opened)
            opened = self.next_open(opened)
        return opens

    def opens_until(self, end_ns: int, first_ns: int, limit: int) -> list[int]:
        """Open times in [first_ns, end_ns], the last `limit`, in ascending order."""
        opens: list[int] = []
        opened = self.open_of(end_ns)
        while opened >= first_ns and len(opens) < limit:
            opens.append(opened)
            opened = self.previous_open(opened)
        return opens[::-1]


def _month_of(local_ns: int) -> int:
    day = datetime.fromtimestamp(local_ns // SECOND_NS, UTC)
    return int(datetime(day.year, day.month, 1, tzinfo=UTC).timestamp()) * SECOND_NS


def offset_of(text: str) -> int | None:
    """A `timeZone` (`8`, `-1:00`, `05:45`) in minutes; None when it is none or out of the accepted range."""
    found = _OFFSET.fullmatch(text)
    if found is None:
        return None
    sign, hours, minutes = found.groups()
    if int(minutes or 0) > 59:
        return None
    total = int(hours) * 60 + int(minutes or 0)
    if sign == "-":
        total = -total
    return total if MIN_OFFSET_MINUTES <= total <= MAX_OFFSET_MINUTES else None


def window_of(text: str) -> int | None:
    """A `windowSize` (1m..59m, 1h..23h, 1d..7d) in nanoseconds; None when it is none."""
    found = _WINDOW.fullmatch(text)
    if found is None:
        return None
    count, unit = int(found[1]), found[2]
    if found[1].startswith("0") or count > _MOST[unit]:
        return None
    return count * _UNITS[unit]
