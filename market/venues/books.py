"""A venue's book, put together from snapshots and deltas by the venue's rule of numbering. Pure.

A gap, a checksum that differs or a lost connection drops the book: it is empty and takes no delta until a snapshot
comes. A book that may be wrong is never shown.
"""

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final
from zlib import crc32

from market.venues.adapter import BookRule
from market.venues.events import BookDelta, BookEvent, BookSnapshot, Check, Level, Quote, Status

REMEMBERED: Final = 1024
"""Deltas kept for `changes_since`: 100 s of a book that changes ten times a second."""
WAITING: Final = 4096
"""Deltas kept until the REST snapshot comes: minutes; then the oldest go, and the snapshot will not reach them."""
LEVELS: Final = 50_000
"""Of a side: beyond it the venue has forgotten to take levels away; the book is dropped."""
WINDOW: Final = 256
"""Levels of each side that are kept sorted."""
CHECKED: Final = 25
"""Levels of each side that a checksum covers."""
_NONE: Final = -(1 << 62)
"""Below every price."""


class Side:
    """Quantities by price, and the best prices sorted so that the best is the last.

    `sign` is 1 for bids and -1 for asks: prices are kept times sign, rising towards the best. Only the best are kept
    sorted, between a quarter of `window` and twice as many: most changes are behind them and cost a dictionary's.
    """

    __slots__ = ("_edge", "_keys", "_qty", "_sign", "_window", "texts")

    def __init__(self, sign: int, window: int) -> None:
        self._sign = sign
        self._window = window
        self._qty: dict[int, int] = {}
        self._keys: list[int] = []
        self._edge = _NONE
        """Every price from here to the best is in `_keys`."""
        self.texts: dict[int, tuple[str, str]] | None = None
        """The venue's digits by price, while its checksums are looked at."""

    def __len__(self) -> int:
        return len(self._qty)

    def replace(self, levels: Iterable[Level]) -> None:
        self._qty = {price: qty for price, qty in dict(levels).items() if qty}
        self._sort()

    def apply(self, levels: Sequence[Level]) -> None:
        found, keys, sign, edge = self._qty, self._keys, self._sign, self._edge
        for price, qty in levels:
            if qty:
                if price not in found and price * sign >= edge:
                    insort(keys, price * sign)
                found[price] = qty
            elif found.pop(price, 0) and price * sign >= edge:
                del keys[bisect_left(keys, price * sign)]
        if len(keys) > 2 * self._window:
            del keys[: -self._window]
            self._edge = keys[0]
        elif 4 * len(keys) < self._window and len(keys) < len(found):
            self._sort()

    def best(self) -> Level:
        """(0, 0): empty."""
        if not self._keys:
            return 0, 0
        price = self._keys[-1] * self._sign
        return price, self._qty[price]

    def top(self, count: int) -> list[Level]:
        """Best first."""
        found, sign, keys = self._qty, self._sign, self._keys
        if count <= 0:
            return []
        if len(keys) < min(count, len(found)):
            keys = self._sorted()
        return [(key * sign, found[key * sign]) for key in keys[: -count - 1 : -1]]

    def get(self, price: int) -> int:
        """Quantity; 0: no such level."""
        return self._qty.get(price, 0)

    def better_than(self, price: int) -> list[int]:
        """Prices of levels, in no order worth knowing."""
        sign = self._sign
        key = price * sign
        if key < self._edge:
            return [one for one in self._qty if one * sign > key]
        return [one * sign for one in self._keys[bisect_right(self._keys, key) :]]

    def levels(self) -> list[Level]:
        return self.top(len(self._qty))

    def of(self, prices: Iterable[int]) -> list[Level]:
        """As they are now, best first; quantity 0: gone."""
        found = self._qty
        return [(price, found.get(price, 0)) for price in sorted(prices, reverse=self._sign > 0)]

    def _sort(self) -> None:
        keys = self._sorted()
        whole = len(keys) <= self._window
        self._keys = keys if whole else keys[-self._window :]
        self._edge = _NONE if whole else self._keys[0]

    def _sorted(self) -> list[int]:
        return sorted(self._qty) if self._sign > 0 else sorted([-price for price in self._qty])


class VenueBook:
    """One symbol at one venue."""

    def __init__(self, symbol: str, rule: BookRule, window: int = WINDOW) -> None:
        self.symbol: Final = symbol
        self.rule: Final = rule
        self.live = False
        self.seq = 0
        """The venue's number of the last change."""
        self.venue_ns = 0
        self.version = 0
        """Ours: counts what was applied, never falls."""
        self.gaps = 0
        self.jumps = 0
        """RESTARTING: numbers that rose by more than one, which that venue does not rule out."""
        self.checks = 0
        """Checksums that were right."""
        self.bids: Final = Side(1, window)
        self.asks: Final = Side(-1, window)
        self._by_rest = rule in (BookRule.REST_NEXT, BookRule.REST_PREVIOUS)
        self._fresh = False
        """No delta since the snapshot."""
        self._waiting: deque[BookDelta] = deque(maxlen=WAITING)
        self._applied: deque[BookEvent] = deque(maxlen=REMEMBERED)
        """The newest is that of `version`."""

    def apply(self, event: BookEvent) -> Status | None:
        """Status "live" when the book becomes whole, "gap" when it is lost; None: all is as it was."""
        if isinstance(event, BookSnapshot):
            return self._reset(event)
        if not self.live:
            if self._by_rest:
                self._waiting.append(event)
            elif self.rule is BookRule.RESTARTING and event.last_seq == 1:
                return self._reset(_as_snapshot(event))
            return None
        return self._change(event)

    def drop(self, text: str) -> Status:
        """The connection is lost, or somebody else knows that the book is wrong."""
        return self._lose(text)

    def best(self) -> Quote:
        bid, bid_qty = self.bids.best()
        ask, ask_qty = self.asks.best()
        return Quote(self.symbol, self.venue_ns, bid, bid_qty, ask, ask_qty)

    def top(self, count: int) -> tuple[list[Level], list[Level]]:
        """Bids and asks, best first; empty while the book is not live."""
        return self.bids.top(count), self.asks.top(count)

    def snapshot(self) -> BookSnapshot:
        return BookSnapshot(self.symbol, self.venue_ns, self.bids.levels(), self.asks.levels(), self.seq)

    def changes_since(self, version: int) -> tuple[list[Level], list[Level]] | None:
        """Levels that may differ from those of `version`, as they are now; None: too much changed, take the whole."""
        back = self.version - version
        if not self.live or not 0 <= back <= len(self._applied):
            return None
        bids: set[int] = set()
        asks: set[int] = set()
        for number in range(len(self._applied) - back, len(self._applied)):
            event = self._applied[number]
            if isinstance(event, BookSnapshot):
                return None
            bids.update([level[0] for level in event.bids])
            asks.update([level[0] for level in event.asks])
        return self.bids.of(bids), self.asks.of(asks)

    def _reset(self, event: BookSnapshot) -> Status | None:
        was_live = self.live
        if was_live and event.seq < self.seq and self._is_old():
            return None
        self.bids.replace(event.bids)
        self.asks.replace(event.asks)
        self._keep_texts(event)
        self.seq, self.venue_ns = event.seq, event.venue_ns
        self.live = self._fresh = True
        self._count(event)
        lost = self._wrong(event.check) or self._catch_up()
        if lost is not None:
            return lost
        return None if was_live else Status(self.symbol, event.venue_ns, "live")

    def _is_old(self) -> bool:
        """Of a snapshot with a smaller number than the book's: one that was under way, or a venue that starts again."""
        return self.rule is BookRule.WHOLE or self._by_rest

    def _catch_up(self) -> Status | None:
        """What was heard while the REST snapshot was under way."""
        while self._waiting:
            delta = self._waiting.popleft()
            if delta.last_seq <= self.seq:
                continue
            if self._fresh and not self._follows(delta):
                self._waiting.appendleft(delta)
                heard = list(self._waiting)
                lost = self._lose(f"the snapshot ends at {self.seq}, the deltas heard begin at {delta.first_seq}")
                self._waiting.extend(heard)
                return lost
            gap = self._change(delta)
            if gap is not None:
                return gap
        return None

    def _change(self, delta: BookDelta) -> Status | None:
        rule = self.rule
        if rule is BookRule.RESTARTING and delta.last_seq == 1:
            return self._reset(_as_snapshot(delta))
        if self._fresh and self._by_rest and delta.last_seq <= self.seq:
            return None
        if not self._follows(delta):
            lost = self._lose(_gap_text(self.seq, delta))
            if self._by_rest:
                self._waiting.append(delta)
            return lost
        self._fresh = False
        self.bids.apply(delta.bids)
        self.asks.apply(delta.asks)
        self.seq, self.venue_ns = delta.last_seq, delta.venue_ns
        self._count(delta)
        if self.bids.texts is None and len(self.bids) < LEVELS and len(self.asks) < LEVELS:
            return None
        return self._examine(delta)

    def _follows(self, delta: BookDelta) -> bool:
        last, rule = self.seq, self.rule
        if rule is BookRule.NEXT:
            return delta.first_seq == last + 1
        if rule is BookRule.REST_NEXT:
            if self._fresh:
                return delta.first_seq <= last + 1 <= delta.last_seq
            return delta.first_seq == last + 1
        if rule is BookRule.REST_PREVIOUS:
            # The venue asks U <= id <= u of the first; nothing happens between pu and U, so pu <= id will do.
            if self._fresh:
                return delta.prev_seq <= last <= delta.last_seq
            return delta.prev_seq == last
        if rule is BookRule.PREVIOUS:
            return delta.prev_seq in (last, -1)
        if rule is BookRule.RESTARTING:
            self.jumps += delta.last_seq > last + 1
            return delta.last_seq > last
        return False

    def _examine(self, delta: BookDelta) -> Status | None:
        """The rare things: checksums, and a side without end."""
        if len(self.bids) >= LEVELS or len(self.asks) >= LEVELS:
            return self._lose(f"more than {LEVELS} levels")
        check = delta.check
        if check is None or self.bids.texts is None or self.asks.texts is None:
            self.bids.texts = self.asks.texts = None
            return None
        _retell(self.bids.texts, delta.bids, check.bids)
        _retell(self.asks.texts, delta.asks, check.asks)
        return self._wrong(check)

    def _keep_texts(self, event: BookSnapshot) -> None:
        self.bids.texts = self.asks.texts = None
        if event.check is not None:
            self.bids.texts, self.asks.texts = {}, {}
            _retell(self.bids.texts, event.bids, event.check.bids)
            _retell(self.asks.texts, event.asks, event.check.asks)

    def _wrong(self, check: Check | None) -> Status | None:
        if check is None or self.bids.texts is None or self.asks.texts is None:
            return None
        found = checksum(_told(self.bids), _told(self.asks))
        if found == check.crc32:
            self.checks += 1
            return None
        return self._lose(f"checksum {found}, the venue says {check.crc32}")

    def _count(self, event: BookEvent) -> None:
        self.version += 1
        self._applied.append(event)

    def _lose(self, text: str) -> Status:
        self.gaps += 1
        self.live = self._fresh = False
        self.bids.replace(())
        self.asks.replace(())
        self.bids.texts = self.asks.texts = None
        self._waiting.clear()
        self._applied.clear()
        self.version += 1
        return Status(self.symbol, self.venue_ns, "gap", text)


def checksum(bids: Sequence[tuple[str, str]], asks: Sequence[tuple[str, str]]) -> int:
    """CRC32 of price:quantity of bids and asks in turn, in the venue's digits; the longer side goes on alone."""
    parts: list[str] = []
    for number in range(max(len(bids), len(asks))):
        for side in (bids, asks):
            if number < len(side):
                parts += side[number]
    return crc32(":".join(parts).encode())


def _told(side: Side) -> list[tuple[str, str]]:
    texts = side.texts
    assert texts is not None
    return [texts[price] for price, _ in side.top(CHECKED)]


def _retell(texts: dict[int, tuple[str, str]], levels: Sequence[Level], told: Sequence[tuple[str, str]]) -> None:
    for (price, qty), text in zip(levels, told, strict=True):
        if qty:
            texts[price] = text
        else:
            texts.pop(price, None)


def _as_snapshot(delta: BookDelta) -> BookSnapshot:
    return BookSnapshot(delta.symbol, delta.venue_ns, delta.bids, delta.asks, delta.last_seq)


def _gap_text(last: int, delta: BookDelta) -> str:
    came = f"{delta.prev_seq} before {delta.last_seq}" if delta.prev_seq >= 0 else f"{delta.first_seq}"
    return f"after {last} came {came}"
