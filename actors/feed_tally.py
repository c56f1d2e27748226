"""What a feed counts, and which of its symbols can be trusted now."""

from collections.abc import Callable, Iterable
from typing import Final

from market.quality import Counters
from market.venues.events import Status

VENUE: Final = ""
"""Key of the counters of what belongs to no symbol."""


class Tally:
    """Time is counted per symbol: how long it was watched, and how long live."""

    def __init__(self, symbols: Iterable[str], clock_ns: Callable[[], int]) -> None:
        self.venue = Counters()
        self.stale = set(symbols)
        self._counters = {symbol: Counters() for symbol in self.stale}
        self._clock_ns = clock_ns
        self._counted_ns = clock_ns()

    def of(self, symbol: str) -> Counters:
        """The venue's own for what is no symbol of the feed."""
        return self._counters.get(symbol, self.venue)

    def known(self, symbol: str) -> Counters | None:
        return self._counters.get(symbol)

    def live(self, symbol: str) -> Status:
        self._count_time()
        self.stale.discard(symbol)
        return Status(symbol, 0, "live")

    def lose(self, symbols: Iterable[str]) -> None:
        self._count_time()
        self.stale.update(symbols)

    def read(self) -> dict[str, Counters]:
        self._count_time()
        return {VENUE: self.venue.copy(), **{symbol: one.copy() for symbol, one in self._counters.items()}}

    def _count_time(self) -> None:
        now = max(self._counted_ns, self._clock_ns())
        passed, self._counted_ns = now - self._counted_ns, now
        for symbol, counters in self._counters.items():
            counters.watched_ns += passed
            if symbol not in self.stale:
                counters.live_ns += passed
