"""What of a venue's events is new: nothing passes twice, whatever connection it came by and however often. Pure.

Trades are known by their ids; numbered books by the highest number passed; whole books without numbers by the
venue's time. Whether a book has a gap is not decided here, but by what assembles it.
"""

from collections import deque
from typing import Final

from market.venues.events import BookDelta, BookSnapshot, Event, Trade

TRADES_REMEMBERED: Final = 4096
"""Per symbol: more than a venue repeats after a reconnect (Bithumb and Upbit one, OKX and Gate none, REST 1,000)."""
CLOCK_STEP_NS: Final = 60 * 1_000_000_000
"""A whole book older than the last by more than this is no late frame, but a venue that set its clock back."""


class _Seen:
    __slots__ = ("catching_up", "last_seq", "newest_ns", "order", "trades")

    def __init__(self) -> None:
        self.trades: set[str] = set()
        self.order: deque[str] = deque()
        self.last_seq = 0
        self.newest_ns = 0
        self.catching_up = False


class Continuity:
    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def is_new(self, event: Event) -> bool:
        """Whether to pass it on; remembers it if so."""
        if isinstance(event, Trade):
            return self._new_trade(event)
        if isinstance(event, BookDelta):
            return self._new_delta(event)
        if isinstance(event, BookSnapshot):
            return self._new_snapshot(event)
        return True

    def forget_books(self, symbol: str = "") -> None:
        """The next book begins anew (a gap, a new connection); of one symbol or of all. Trades stay known."""
        for seen in self._of(symbol):
            seen.last_seq = 0
            seen.newest_ns = 0
            seen.catching_up = False

    def hand_over(self) -> None:
        """Another connection goes on from here: its books may lie behind what already passed."""
        for seen in self._seen.values():
            seen.catching_up = True

    def handed_over(self) -> None:
        for seen in self._seen.values():
            seen.catching_up = False

    def _of(self, symbol: str) -> list[_Seen]:
        if not symbol:
            return list(self._seen.values())
        return [self._at(symbol)]

    def _at(self, symbol: str) -> _Seen:
        seen = self._seen.get(symbol)
        if seen is None:
            seen = self._seen[symbol] = _Seen()
        return seen

    def _new_trade(self, trade: Trade) -> bool:
        seen = self._at(trade.symbol)
        if trade.trade_id in seen.trades:
            return False
        seen.trades.add(trade.trade_id)
        seen.order.append(trade.trade_id)
        if len(seen.order) > TRADES_REMEMBERED:
            seen.trades.discard(seen.order.popleft())
        return True

    def _new_delta(self, delta: BookDelta) -> bool:
        seen = self._at(delta.symbol)
        if 0 < delta.last_seq <= seen.last_seq and not _restarts(delta, seen.last_seq):
            return False
        seen.last_seq = delta.last_seq
        seen.catching_up = False
        return True

    def _new_snapshot(self, book: BookSnapshot) -> bool:
        seen = self._at(book.symbol)
        if seen.catching_up and 0 < book.seq <= seen.last_seq:
            return False
        late_ns = seen.newest_ns - book.venue_ns
        if book.seq == 0 < book.venue_ns and (0 < late_ns < CLOCK_STEP_NS or (seen.catching_up and not late_ns)):
            return False
        seen.last_seq = book.seq
        seen.newest_ns = book.venue_ns
        seen.catching_up = False
        return True


def _restarts(delta: BookDelta, last_seq: int) -> bool:
    """The venue numbers from low again (maintenance), or says nothing happened (same number as before)."""
    return delta.prev_seq == last_seq or (delta.prev_seq < 0 and delta.last_seq == 1 and last_seq > 1)
