"""When what is published: trades and tops of the book as they happen where somebody listens, depth ten times a second,
statistics every second.

Nothing is published before the books have caught up: a follower of a depth stream never sees the past.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from itertools import islice
from typing import Final

import structlog

from actors.config import Settings
from actors.live_market import LiveMarket, TopChange
from actors.market_bus import MarketBus
from actors.metrics import ProjectorMetrics
from actors.stream_bus import StreamBus
from market.intervals import SECOND_NS
from market.records import Records
from market.windows import by_symbol

log = structlog.get_logger()

REALTIME_EVERY_S: Final = 0.005
"""What happens within it goes in one message of the bus; only while somebody listens."""
PUBLISH_EVERY_S: Final = 0.1
"""Depth and tickers are conflated to this, and so is everything that nobody is listening to."""
LOOK_EVERY_S: Final = 0.2
"""A new listener is noticed within so long."""
TOLD_AT_ONCE: Final = 32
"""Symbols whose depth and ticker are told natively in one such step; with more that change, each is told less often."""
TOLD_IN_ONE_GO: Final = 16
"""After so many of them, about 2 ms, what is told as it happens goes first again."""
SECOND_LAG_S: Final = 0.1
"""Seconds are told so long after they end: their last trades are still on the way."""


class MarketPublisher:
    def __init__(
        self, settings: Settings, market: LiveMarket, metrics: ProjectorMetrics, absorb: Callable[[], None]
    ) -> None:
        self.wake = asyncio.Event()
        """Something new can be absorbed."""
        self.bus = MarketBus(settings, market.instruments, metrics)
        self.streams = StreamBus(settings, market, metrics)
        self.open = False
        """Set when the books have caught up."""
        self._market = market
        self._absorb = absorb
        self._dirty = dict.fromkeys(range(len(market.instruments)))
        """Symbols to tell of, those that wait longest first."""
        self._published_at = self._looked_at = self._second_at = self._told_at = 0.0
        self._told_second = 0
        """Of a replay's market time, that statistics were last told in."""

    @property
    def watched(self) -> set[int]:
        """Symbols whose best prices are told at every change."""
        return set(self.streams.demand.tops) if self.open else set()

    def note(self, touched: set[int], tops: list[TopChange], tape: Records) -> None:
        """What was absorbed."""
        self._dirty |= dict.fromkeys(touched - self._dirty.keys())
        for symbol, part in by_symbol(tape):
            self.bus.add_trades(symbol, part)
        if self.open:
            self.streams.tops(tops)
            self.streams.trades(tape)

    async def start(self) -> None:
        await self.bus.start()

    async def run(self) -> None:
        seconds = self._replayed_seconds if self._market.now_ns.replay else self._tell_seconds
        await asyncio.gather(self._publish(), seconds(), self.streams.follow_looks())

    async def _publish(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.wake.wait(), LOOK_EVERY_S)
            self.wake.clear()
            self._absorb()
            if self.open:
                await self._tell()
            left_s = self._published_at + PUBLISH_EVERY_S - time.monotonic()
            await asyncio.sleep(min(REALTIME_EVERY_S, left_s) if self.streams.demand.realtime else max(0.0, left_s))

    async def _tell(self) -> None:
        now = time.monotonic()
        due = now - self._published_at >= PUBLISH_EVERY_S
        if due:
            self._published_at = now
            self.streams.books(100)
            if now - self._second_at >= 1.0:
                self._second_at = now
                self.streams.books(1000)
        look = now - self._looked_at >= LOOK_EVERY_S
        if look:
            self._looked_at = now
        await self._flush_streams(look)
        if due:
            await self._tell_natively()

    async def _flush_streams(self, look: bool) -> None:
        if await self.streams.flush(look):
            # The cache may have come back empty.
            self._dirty |= dict.fromkeys(range(len(self._market.instruments)))

    async def _tell_natively(self) -> None:
        await self.bus.flush_trades()
        dirty = sorted(islice(self._dirty, TOLD_AT_ONCE))
        for symbol in dirty:
            del self._dirty[symbol]
        for first in range(0, max(1, len(dirty)), TOLD_IN_ONE_GO):
            for symbol in dirty[first : first + TOLD_IN_ONE_GO]:
                book, now_ns = self._market.books[symbol], self._market.now_ns()
                self.bus.add_depth(symbol, book, now_ns)
                self.bus.add_ticker(symbol, book, self._market.recent[symbol], now_ns)
            if self._market.now_ns.replay and first + TOLD_IN_ONE_GO >= len(dirty):
                self.bus.add_time(self._market.now_ns())
            await self.bus.flush()
            if self.streams.demand.realtime:
                self._absorb()
                await self._flush_streams(False)

    async def _tell_seconds(self) -> None:
        while True:
            now = time.time() - SECOND_LAG_S
            await asyncio.sleep(1.0 - now % 1.0)
            self.wake.set()
            await asyncio.sleep(0)
            if not self.open:
                continue
            await self._statistics(time.time_ns(), odd=round(time.time() - SECOND_LAG_S) % 2 == 1)

    async def _replayed_seconds(self) -> None:
        """A replay's seconds pass as it plays. Those that pass at once are told at once; while it stands, new listeners
        get what there is."""
        while True:
            await asyncio.sleep(PUBLISH_EVERY_S)
            self.wake.set()
            await asyncio.sleep(0)
            if self.open:
                await self._replayed(time.monotonic())

    async def _replayed(self, now: float) -> None:
        """`now`: the wall's, in seconds."""
        now_ns = self._market.now_ns()
        passed = now_ns // SECOND_NS - self._told_second
        if not now_ns or (not passed and now - self._told_at < 1.0):
            return
        self._told_second, self._told_at = self._told_second + passed, now
        if passed:
            self.streams.books(1000)
        await self._statistics(now_ns, odd=passed == 1 and self._told_second % 2 == 1)

    async def _statistics(self, now_ns: int, odd: bool) -> None:
        try:
            await self.streams.seconds(now_ns, odd=odd)
        except Exception:
            log.exception("statistics of a second failed")
        self.wake.set()

    async def close(self) -> None:
        await self.bus.close()
        await self.streams.close()
