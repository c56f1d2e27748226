"""Candles of the time before we were there: asked of the venues, kept in `venue_candles`, for charts and klines alone.

    symbol -> what is missing before our own first trade -> pages of 1,000 minutes, newest first -> one transaction

Our own candles are never touched, and whoever reads both leaves out what the venue told of a minute that is ours or later.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import structlog

from actors.dialing import Budget
from actors.feed_limits import Limits
from actors.scheduler import Run
from actors.venue_rest import Refused, fetch
from market.feed_spec import Venues, VenueSpec
from market.instrument import INT_LIMIT
from market.intervals import MINUTE_NS, SECOND_NS
from market.listing import Listed, Listing
from market.venues import ADAPTERS
from market.venues.adapter import Adapter, AdapterFactory, VenueError
from market.venues.events import Candle

log = structlog.get_logger()

WIDTH_S: Final = 60
PAGE: Final = 1000
"""Minutes asked for at once; a venue's own cap may be lower, to `SHORTEST_PAGE`."""
SHORTEST_PAGE: Final = 100
TIMES: Final = 3
"""That one request is tried."""
BODY_BYTES: Final = 4 << 20

_KNOWN: Final = """
SELECT name, from_ns, to_ns,
       (SELECT open_ns FROM candles WHERE symbol = name AND width_s = 60 ORDER BY open_ns LIMIT 1) AS ours_ns
FROM unnest($1::text[]) AS names (name) LEFT JOIN venue_candle_spans ON symbol = name
"""
_INSERT: Final = """
INSERT INTO venue_candles SELECT $1, * FROM unnest(
    $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::numeric[])
ON CONFLICT DO NOTHING
"""
_COVER: Final = """
INSERT INTO venue_candle_spans VALUES ($1, $2, $3)
ON CONFLICT (symbol) DO UPDATE SET from_ns = excluded.from_ns, to_ns = excluded.to_ns
"""


class BackfillError(RuntimeError):
    """A venue told nothing; names it and says why."""


@dataclass(frozen=True, slots=True)
class Part:
    """What is missing of a symbol: spans to ask for, and the span that is known afterwards."""

    one: Listed
    missing: tuple[tuple[int, int], ...]
    known: tuple[int, int]


def missing_of(
    span_ns: int, now_ns: int, ours_ns: int | None, known: tuple[int, int] | None
) -> tuple[tuple[tuple[int, int], ...], tuple[int, int]]:
    """Whole minutes to ask for, and what is known then. `ours_ns`: our own first minute, where there is one."""
    end = now_ns - now_ns % MINUTE_NS
    if ours_ns is not None:
        end = min(end, ours_ns)
    start = end - -(-span_ns // MINUTE_NS) * MINUTE_NS
    if known is None or known[1] < start or known[0] > end:
        return ((start, end),), (start, end)
    found = [(known[1], end)] if known[1] < end else []
    found += [(start, known[0])] if start < known[0] else []
    return tuple(found), (min(start, known[0]), max(end, known[1]))


class Backfill:
    """Of all venues of a feed."""

    def __init__(
        self,
        spec: Venues,
        listing: Listing,
        span_ns: int,
        *,
        limits: Limits | None = None,
        adapters: Mapping[str, AdapterFactory] = ADAPTERS,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._spec = spec
        self._listing = listing
        self._span_ns = span_ns
        self._limits = limits or Limits()
        self._adapters = adapters
        self._clock_ns = clock_ns
        self._not_before = time.monotonic() + self._limits.backfill_after_s

    async def run(self, run: Run) -> dict[str, Any]:
        """What is missing of every symbol, each in a transaction of its own. Raises `BackfillError`."""
        await asyncio.sleep(max(0.0, self._not_before - time.monotonic()))
        todo = [(spec, await self._parts(run.connection, spec)) for spec in self._spec.venues]
        total = sum(len(parts) for _, parts in todo)
        done = 0

        def told() -> None:
            nonlocal done
            done += 1
            run.progress = done / total

        writing = asyncio.Lock()
        async with aiohttp.ClientSession() as session:
            works = []
            for spec, parts in todo:
                adapter = self._adapters[spec.venue](
                    self._listing.steps(spec.venue), ws_url=spec.ws_url, rest_url=spec.rest_url
                )
                works.append(_Venue(adapter, session, self._limits, run.connection, writing, told).run(parts))
            results = await asyncio.gather(*works)
        mute = [one["error"] for one in results if one["error"] and not one["symbols"]]
        if mute:
            raise BackfillError("; ".join(mute))
        made = {name: sum(one[name] for one in results) for name in ("symbols", "candles", "failed")}
        errors = [one["error"] for one in results if one["error"]]
        return {**made, "error": errors[0]} if errors else made

    async def _parts(self, connection: Any, spec: VenueSpec) -> list[Part]:
        here = {one.instrument.symbol: one for one in self._listing.listed if one.venue == spec.venue and one.is_open}
        found = []
        for row in await connection.fetch(_KNOWN, list(here)):
            known = None if row["from_ns"] is None else (row["from_ns"], row["to_ns"])
            missing, then = missing_of(self._span_ns, self._clock_ns(), row["ours_ns"], known)
            if missing:
                found.append(Part(here[row["name"]], missing, then))
        return found


class _Venue:
    """One venue's part of a run."""

    def __init__(
        self,
        adapter: Adapter,
        session: aiohttp.ClientSession,
        limits: Limits,
        connection: Any,
        writing: asyncio.Lock,
        told: Callable[[], None],
    ) -> None:
        self._adapter = adapter
        self._session = session
        self._limits = limits
        self._connection = connection
        self._writing = writing
        self._told = told
        self._budget = Budget(limits.backfills_per_minute)
        self._calm_at = 0.0
        """Loop time until which the venue wants to be left alone."""
        self._symbols = self._candles = self._failed = 0
        self._error = ""

    async def run(self, parts: Sequence[Part]) -> dict[str, Any]:
        waiting = iter(parts)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._limits.backfills_at_once):
                tasks.create_task(self._work(waiting))
        return {"symbols": self._symbols, "candles": self._candles, "failed": self._failed, "error": self._error}

    async def _work(self, waiting: Any) -> None:
        for part in waiting:
            try:
                candles = [one for start, end in part.missing for one in await self._between(part.one, start, end)]
            except VenueError as error:
                self._failed += 1
                self._error = self._error or f"{part.one.instrument.symbol}: {error}"
                log.warning("no candles of the past", venue=self._adapter.name, error=str(error))
            else:
                await self._store(part, candles)
            self._told()

    async def _between(self, one: Listed, start: int, end: int) -> list[Candle]:
        found: dict[int, Candle] = {}
        until = end
        for _ in range(2 + (end - start) // (SHORTEST_PAGE * MINUTE_NS)):
            page = await self._page(one, until)
            found |= {candle.open_ns: candle for candle in page if start <= candle.open_ns < end and is_sound(candle)}
            # A venue may answer by time: an empty page need not be the end.
            oldest = min((candle.open_ns for candle in page), default=until)
            until = oldest if oldest < until else until - PAGE * MINUTE_NS
            if until <= start:
                return list(found.values())
        raise VenueError(f"{self._adapter.name}: it tells fewer than {SHORTEST_PAGE} candles at a time")

    async def _page(self, one: Listed, until: int) -> list[Candle]:
        url = self._adapter.candles_url(one.venue_symbol, WIDTH_S, until, PAGE)
        now = asyncio.get_running_loop().time
        reason = ""
        for _ in range(TIMES):
            await asyncio.sleep(max(0.0, self._calm_at - now()))
            await self._budget.take()
            answer = await fetch(self._session, url, self._limits.snapshot_s, BODY_BYTES)
            if not isinstance(answer, Refused):
                return self._adapter.decode_candles(one.venue_symbol, WIDTH_S, answer.body)
            reason = answer.reason
            self._calm_at = max(self._calm_at, now() + answer.retry_after_s)
        raise VenueError(f"{self._adapter.name}: {reason}")

    async def _store(self, part: Part, candles: Sequence[Candle]) -> None:
        symbol, per_tick_lot = part.one.instrument.symbol, part.one.instrument.quote_units_per_tick_lot
        names = ("open_ns", "open", "high", "low", "close", "volume")
        columns = [[getattr(one, name) for one in candles] for name in names]
        quotes = [one.close * one.volume * per_tick_lot for one in candles]
        async with self._writing, self._connection.transaction():
            await self._connection.execute(_INSERT, symbol, *columns, quotes)
            await self._connection.execute(_COVER, symbol, *part.known)
        self._symbols += 1
        self._candles += len(candles)


def is_sound(one: Candle) -> bool:
    """A minute in which something traded, and such that the exchange can tell it."""
    low, high = min(one.open, one.close), max(one.open, one.close)
    return (
        one.open_ns % MINUTE_NS == 0
        and one.width_s * SECOND_NS == MINUTE_NS
        and 0 < one.low <= low <= high <= one.high < INT_LIMIT
        and 0 < one.volume < INT_LIMIT
    )
