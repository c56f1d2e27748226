"""Asks a venue for its symbol list from time to time: what halted there, what trades again. A list that cannot be had is
logged and counted; the feed goes on by the one before.
"""

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

import aiohttp
import structlog

from actors.dialing import Budget
from actors.feed_limits import Limits
from actors.metrics import VenueMetrics
from actors.venue_rest import Refused, fetch
from market.venues.adapter import Adapter, VenueError
from market.venues.events import Status
from market.venues.halts import Halts

log = structlog.get_logger()

NAMED: Final = 20
"""Halted symbols that `status()` names."""


class HaltWatch:
    """Of one venue."""

    def __init__(
        self,
        adapter: Adapter,
        symbols: Sequence[str],
        session: aiohttp.ClientSession,
        tell: Callable[[Status], None],
        metrics: VenueMetrics,
        *,
        requests: Budget,
        limits: Limits,
        random: Random | None = None,
    ) -> None:
        """`adapter` knows all `symbols`; `tell` hears of each that halted, or trades again."""
        self.venue = adapter.name
        self.lists = 0
        """That were read."""
        self.errors = 0
        self._adapter = adapter
        self._session = session
        self._tell = tell
        self._metrics = metrics
        self._requests = requests
        self._limits = limits
        self._random = random or Random()  # noqa: S311  # spreads requests in time
        self._halts = Halts({adapter.code(symbol): symbol for symbol in symbols})

    @property
    def halted(self) -> frozenset[str]:
        return self._halts.halted

    async def run(self) -> None:
        """Until canceled. The list as it was at the start is what the market was listed by."""
        wait_s = 0.0
        while True:
            await asyncio.sleep(max(wait_s, self._limits.symbols_every_s * self._random.uniform(0.8, 1.2)))
            wait_s = await self._read()

    async def _read(self) -> float:
        """One list; returns how many seconds the venue wants to be left alone."""
        await self._requests.take()
        limits = self._limits
        answer = await fetch(self._session, self._adapter.symbols_url(), limits.symbols_s, limits.symbols_bytes)
        if isinstance(answer, Refused):
            self._failed(answer.reason)
            return answer.retry_after_s
        try:
            told = self._halts.read(self._adapter.decode_symbols(answer.body))
        except VenueError as error:
            self._failed(str(error))
            return 0.0
        self.lists += 1
        for status in told:
            log.info("a symbol halted or trades again", venue=self.venue, symbol=status.symbol, now=status.kind)
            self._tell(status)
        self._metrics.halted(self.venue, len(self.halted), self.errors)
        return 0.0

    def _failed(self, reason: str) -> None:
        self.errors += 1
        log.warning("no symbol list", venue=self.venue, error=reason)
        self._metrics.halted(self.venue, len(self.halted), self.errors)

    def status(self) -> dict[str, Any]:
        return {
            "halted": len(self.halted),
            "halted_symbols": sorted(self.halted)[:NAMED],
            "symbol_lists": self.lists,
            "symbol_list_errors": self.errors,
        }
