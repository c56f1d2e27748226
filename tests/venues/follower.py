"""What listens to a feed in tests: believes every event, and keeps what was promised under watch."""

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal

from market.venues.events import BookDelta, BookSnapshot, Event, Level, Quote, Status, Trade
from tests.venues.tapes import OwnBook

WITHIN_S = 5.0


class Follower:
    """A sink. Broken promises are collected in `broken`, to be looked at by the test."""

    def __init__(self) -> None:
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.live = False
        self.seq = 0
        self.trades: list[str] = []
        self.quotes: list[Quote] = []
        self.kinds: list[str] = []
        """Of the statuses, in order."""
        self.texts: list[str] = []
        self.frames: list[bytes] = []
        self.snapshots: list[bytes] = []
        self.broken: list[str] = []
        self.block = asyncio.Event()
        self.block.set()
        self._arrival_ns = 0
        self._changed = asyncio.Event()

    def on_frame(self, venue: str, arrival_ns: int, frame: bytes) -> None:
        self._arrived(arrival_ns)
        self.frames.append(frame)
        self._changed.set()

    def on_snapshot(self, venue: str, arrival_ns: int, symbol: str, body: bytes) -> None:
        self._arrived(arrival_ns)
        self.snapshots.append(body)
        self._changed.set()

    def on_events(self, venue: str, arrival_ns: int, events: Sequence[Event]) -> None:
        self._arrived(arrival_ns)
        for event in events:
            self._take(event)
        self._changed.set()

    @property
    def full(self) -> bool:
        return not self.block.is_set()

    async def room(self) -> None:
        await self.block.wait()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Looks again after everything that arrives."""
        async with asyncio.timeout(WITHIN_S):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    def has(self, book: OwnBook, tick: str, lot: str) -> bool:
        return self.live and (self.bids, self.asks) == steps_of(book, tick, lot)

    def _arrived(self, arrival_ns: int) -> None:
        if arrival_ns < self._arrival_ns:
            self.broken.append(f"time went back from {self._arrival_ns} to {arrival_ns}")
        self._arrival_ns = arrival_ns

    def _take(self, event: Event) -> None:
        if isinstance(event, BookSnapshot):
            if self.live and 0 < event.seq <= self.seq:
                self.broken.append(f"the book went back from {self.seq} to {event.seq}")
            self.seq = event.seq
            self.bids, self.asks = dict(event.bids), dict(event.asks)
        elif isinstance(event, BookDelta):
            if not self.live:
                self.broken.append(f"a delta of a book that is not live: {event.last_seq}")
            if event.last_seq <= self.seq and event.prev_seq != self.seq:
                self.broken.append(f"delta {event.last_seq} after {self.seq}")
            self.seq = event.last_seq
            _apply(self.bids, event.bids)
            _apply(self.asks, event.asks)
        elif isinstance(event, Trade):
            if event.trade_id in self.trades:
                self.broken.append(f"trade {event.trade_id} came twice")
            self.trades.append(event.trade_id)
        elif isinstance(event, Quote):
            self.quotes.append(event)
        elif isinstance(event, Status):
            self.kinds.append(event.kind)
            self.texts.append(event.text)
            if event.kind in ("gap", "stale"):
                self.live = False
            elif event.kind == "live":
                self.live = True
        if self.live and self.bids and self.asks and max(self.bids) >= min(self.asks):
            self.broken.append(f"crossed: {max(self.bids)} {min(self.asks)}")


def _apply(side: dict[int, int], levels: Sequence[Level]) -> None:
    for price, qty in levels:
        if qty:
            side[price] = qty
        else:
            side.pop(price, None)


def steps_of(book: OwnBook, tick: str, lot: str) -> tuple[dict[int, int], dict[int, int]]:
    """In whole ticks and lots."""
    bids, asks = (
        {int(price / Decimal(tick)): int(qty / Decimal(lot)) for price, qty in side.items()}
        for side in (book.bids, book.asks)
    )
    return bids, asks
