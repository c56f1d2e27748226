"""What of a venue's events is new: nothing passes twice, whatever connection it came by and however often. Pure.

Trades are known by their ids; numbered books by the highest number passed; whole books without numbers and quotes by the
venue's time and their content. Whether a book has a gap is not decided here, but by what assembles it.
"""

from collections import deque
from enum import Enum
from typing import Final

from market.venues.events import BookDelta, BookSnapshot, Candle, Event, Quote, Trade

TRADES_REMEMBERED: Final = 4096
"""Per symbol: more than a venue repeats after a reconnect, and minutes of the busiest symbol."""
CLOCK_STEP_NS: Final = 60 * 1_000_000_000
"""A book older than the last by more than this is no late frame, but a venue that set its clock back."""


class Verdict(Enum):
    NEW = "new"
    DUPLICATE = "duplicate"
    LATE = "late"
    """Not seen before, but something younger was."""


class _Seen:
    __slots__ = ("book", "candle", "candle_ns", "catching_up", "last_seq", "order", "quote", "quote_ns", "trades")

    def __init__(self) -> None:
        self.trades: set[str] = set()
        self.order: deque[str] = deque()
        self.last_seq = 0
        self.book: BookSnapshot | None = None
        """The last whole book, where they are not numbered."""
        self.catching_up = False
        self.quote: Quote | None = None
        self.quote_ns = 0
        self.candle: Candle | None = None
        self.candle_ns = 0


class Continuity:
    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def judge(self, event: Event, arrival_ns: int) -> Verdict:
        """Whether to pass it on: only if NEW, and then it is remembered."""
        if isinstance(event, Quote):
            return self._quote(event, arrival_ns)
        if isinstance(event, Trade):
            return self._trade(event)
        if isinstance(event, BookDelta):
            return self._delta(event)
        if isinstance(event, BookSnapshot):
            return self._snapshot(event)
        if isinstance(event, Candle):
            return self._candle(event, arrival_ns)
        return Verdict.NEW

    def forget_books(self, symbol: str = "") -> None:
        """The next book begins anew (a gap, a new connection); of one symbol or of all. Trades stay known."""
        for seen in [self._at(symbol)] if symbol else self._seen.values():
            seen.last_seq = 0
            seen.book = seen.quote = seen.candle = None
            seen.catching_up = False

    def hand_over(self) -> None:
        """Another connection goes on from here: its books may lie behind what already passed."""
        for seen in self._seen.values():
            seen.catching_up = True

    def _at(self, symbol: str) -> _Seen:
        seen = self._seen.get(symbol)
        if seen is None:
            seen = self._seen[symbol] = _Seen()
        return seen

    def _trade(self, trade: Trade) -> Verdict:
        seen = self._at(trade.symbol)
        if trade.trade_id in seen.trades:
            return Verdict.DUPLICATE
        seen.trades.add(trade.trade_id)
        seen.order.append(trade.trade_id)
        if len(seen.order) > TRADES_REMEMBERED:
            seen.trades.discard(seen.order.popleft())
        return Verdict.NEW

    def _delta(self, delta: BookDelta) -> Verdict:
        seen = self._at(delta.symbol)
        if 0 < delta.last_seq <= seen.last_seq and not _restarts(delta, seen.last_seq):
            return Verdict.DUPLICATE
        seen.last_seq = delta.last_seq
        seen.catching_up = False
        return Verdict.NEW

    def _snapshot(self, book: BookSnapshot) -> Verdict:
        seen = self._at(book.symbol)
        if book.seq:
            if seen.catching_up and 0 < book.seq <= seen.last_seq:
                return Verdict.DUPLICATE
        elif seen.book is not None:
            if book == seen.book or (seen.catching_up and 0 < book.venue_ns == seen.book.venue_ns):
                return Verdict.DUPLICATE
            if _is_late(book.venue_ns, seen.book.venue_ns):
                return Verdict.LATE
        seen.last_seq = book.seq
        seen.book = None if book.seq else book
        seen.catching_up = False
        return Verdict.NEW

    def _quote(self, quote: Quote, arrival_ns: int) -> Verdict:
        seen = self._at(quote.symbol)
        if seen.quote is not None:
            if quote == seen.quote:
                return Verdict.DUPLICATE
            if arrival_ns < seen.quote_ns or _is_late(quote.venue_ns, seen.quote.venue_ns):
                return Verdict.LATE
        seen.quote, seen.quote_ns = quote, arrival_ns
        return Verdict.NEW

    def _candle(self, candle: Candle, arrival_ns: int) -> Verdict:
        seen = self._at(candle.symbol)
        if candle == seen.candle:
            return Verdict.DUPLICATE
        if arrival_ns < seen.candle_ns and not candle.closed:
            return Verdict.LATE
        seen.candle, seen.candle_ns = candle, arrival_ns
        return Verdict.NEW


def _is_late(venue_ns: int, last_ns: int) -> bool:
    return 0 < venue_ns < last_ns < venue_ns + CLOCK_STEP_NS


def _restarts(delta: BookDelta, last_seq: int) -> bool:
    """The venue numbers from low again (maintenance), or says nothing happened (same number as before)."""
    return delta.prev_seq == last_seq or (delta.prev_seq < 0 and delta.last_seq == 1 and last_seq > 1)
