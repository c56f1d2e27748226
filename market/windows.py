"""What one symbol traded lately: candles of seconds and minutes that slide along, and the windows over them.

The minutes reach back a day, the seconds five minutes. Fed with the tape's seconds in order; time is always given.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from market.candles import CANDLE, Candle, Records, extend, total_of
from market.intervals import DAY_NS, MINUTE_NS, SECOND_NS

MINUTES_NS: Final = DAY_NS + 10 * MINUTE_NS
"""How far back the minutes reach at least."""
SECONDS_NS: Final = 6 * MINUTE_NS
"""How far back the seconds reach at least."""
AVERAGE_NS: Final = 5 * MINUTE_NS
"""The venue's average price is of so long."""


class Sliding:
    """Candles of one symbol and width in order; those older than `span_ns` may be forgotten."""

    def __init__(self, width_ns: int, span_ns: int) -> None:
        self.width_ns = width_ns
        self._span_ns = span_ns
        self._rows = np.zeros(16, CANDLE)
        self._count = 0
        self.close_before: int | None = None
        """Close of the newest candle that is no longer there."""

    @property
    def rows(self) -> Records:
        return self._rows[: self._count]

    def add(self, fresh: Records) -> None:
        """CANDLE[n] of this width; the first may go on where the newest one stopped."""
        if self._count and len(fresh) and self._rows[self._count - 1]["open_ns"] == fresh[0]["open_ns"]:
            extend(self._rows[self._count - 1], fresh[0])
            fresh = fresh[1:]
        if not len(fresh):
            return
        if self._count + len(fresh) > len(self._rows):
            self._make_room(fresh)
        self._rows[self._count : self._count + len(fresh)] = fresh
        self._count += len(fresh)

    def _make_room(self, fresh: Records) -> None:
        kept = self._rows[np.searchsorted(self.rows["open_ns"], fresh[-1]["open_ns"] - self._span_ns) : self._count]
        if len(kept) < self._count:
            self.close_before = int(self._rows[self._count - len(kept) - 1]["close"])
        rows = np.zeros(2 * (len(kept) + len(fresh)), CANDLE)
        rows[: len(kept)] = kept
        self._rows, self._count = rows, len(kept)

    def between(self, start_ns: int, end_ns: int) -> Records:
        """Candles that open in [start_ns, end_ns)."""
        opens = self.rows["open_ns"]
        first, last = np.searchsorted(opens, np.array((start_ns, end_ns), np.int64))
        return self.rows[first:last]

    def price_at(self, ts_ns: int) -> int | None:
        """The close before `ts_ns`; None when nothing had traded."""
        at = int(np.searchsorted(self.rows["open_ns"], ts_ns))
        return int(self.rows[at - 1]["close"]) if at else self.close_before


class RecentTrades:
    """One symbol's sliding candles and its last trade."""

    def __init__(self) -> None:
        self.seconds = Sliding(SECOND_NS, SECONDS_NS)
        self.minutes = Sliding(MINUTE_NS, MINUTES_NS)
        self.last_price = 0
        """Ticks; 0 before the first trade. So are the next three."""
        self.last_qty = 0
        self.last_trade_id = 0
        self.last_ts_ns = 0

    def add(self, tape: Records, seconds: Records, minutes: Records) -> None:
        """Trades of this symbol, and the same folded into seconds and minutes."""
        self.seconds.add(seconds)
        self.minutes.add(minutes)
        newest = tape[-1]
        self.last_price = int(newest["price_ticks"])
        self.last_qty = int(newest["qty_lots"])
        self.last_trade_id = int(newest["trade_id"])
        self.last_ts_ns = int(newest["ts_ns"])

    def window(self, start_ns: int, end_ns: int) -> Candle | None:
        """What traded in the minutes that open in [start_ns, end_ns)."""
        return total_of(self.minutes.between(start_ns, end_ns), start_ns)

    def average(self, now_ns: int) -> tuple[int, int]:
        """(quote units, lots) of the last five minutes, by whole seconds; the last trade when there was none."""
        found = total_of(self.seconds.between(now_ns - AVERAGE_NS, now_ns + SECOND_NS), 0)
        return (0, 0) if found is None else (found.quote, found.volume)


def by_symbol(rows: npt.NDArray[np.void]) -> list[tuple[int, npt.NDArray[np.void]]]:
    """Rows that are sorted by symbol, cut into those of each."""
    starts = np.flatnonzero(np.diff(rows["symbol"], prepend=-1))
    return [(int(part["symbol"][0]), part) for part in np.split(rows, starts[1:]) if len(part)]
