"""Market time as its master tells it, for who must stamp what happens between two tellings. Pure: the wall's time is told.

The master (the feed of a replay) says "it is T, and goes on at pace P" whenever it sends something, and often enough
meanwhile. In between time goes on at that pace, but no longer than `LEASE_NS`: when the master is gone, time stands
still. So the master knows how far time can get without it, T + P x `LEASE_NS`, and tells a lower pace where that would be
beyond what it has sent (`pace_within`).
"""

from typing import Final

LEASE_NS: Final = 200_000_000
"""Of the wall: several tellings long, and short to whoever watches."""
SPEED_LEAST: Final = 0.01
SPEED_MOST: Final = 10_000.0
"""Market seconds in one of the wall that can be asked for; beyond it nothing is paced any more: that is `max`."""


class MarketClock:
    """Never goes back. `wall_ns` is of any clock that does not go back either."""

    def __init__(self, ts_ns: int = 0) -> None:
        """`ts_ns`: 0 before the first telling."""
        self._least_ns = ts_ns
        self._told_ns = ts_ns
        self._pace = 0.0
        self._told_at = 0

    @property
    def known(self) -> bool:
        return self._least_ns > 0

    def told(self, ts_ns: int, pace: float, wall_ns: int) -> int:
        """The master says what time it is and how many seconds of it go by in one of the wall; the time now."""
        self._told_ns, self._pace, self._told_at = ts_ns, pace, wall_ns
        return self.now(wall_ns)

    def now(self, wall_ns: int, until_ns: int | None = None) -> int:
        """`until_ns`: it does not get further by itself."""
        passed_ns = min(max(0, wall_ns - self._told_at), LEASE_NS)
        now_ns = self._told_ns + int(self._pace * passed_ns)
        self._least_ns = max(self._least_ns, now_ns if until_ns is None else min(now_ns, until_ns))
        return self._least_ns


def pace_within(ts_ns: int, pace: float, until_ns: int | None) -> float:
    """The pace to tell at `ts_ns`: at most `pace`, and such that the time told cannot reach `until_ns` by itself."""
    if until_ns is None:
        return pace
    return min(pace, max(0, until_ns - ts_ns) / LEASE_NS)
