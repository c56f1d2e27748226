"""The forecasts of the promoted models, of every symbol, made once when there is something new: a candle has closed, or, for
models of events, a second has passed. What is asked for lies ready; it is published, and logged to be scored.
"""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import structlog

from actors.candle_feed import CandleFeed, LiveRow
from actors.config import Settings
from actors.event_feed import EventFeed
from actors.market_now import MarketNow
from actors.model_shelf import Entry
from actors.prediction_log import COLUMNS, PredictionLog
from actors.redis_batch import RedisBatch
from market.instrument import from_steps
from market.intervals import MINUTE_NS, SECOND_NS
from ml.features.candles import LOOKBACK
from ml.forecast import Floats, Forecast, Manifest
from ml.live_scores import Drift
from ml.models.scale import volatility_windows

log = structlog.get_logger()

SYMBOLS_AT_ONCE: Final = 16
"""Rows of so many are made in one go, ~5 ms; then a question may come in between."""
UNUSED_S: Final = 120.0
"""Candles of a width that no promoted model takes and nobody asked about for so long are no longer followed."""
CHANNEL: Final = "prediction"
_encode: Final = msgspec.json.Encoder().encode


class Told(NamedTuple):
    """A forecast of one symbol."""

    as_of_ns: int
    price_ticks: int
    """0: not known."""
    figures: tuple[float, float, float, float, float]
    """Of `Forecast`."""


class LiveForecasts:
    def __init__(
        self, settings: Settings, pool: Any, redis: Any, now_ns: MarketNow, executor: Executor, keeps: PredictionLog
    ) -> None:
        self.leads = False
        self._instruments = settings.instruments()
        self._ticks = {one.symbol: one.tick for one in self._instruments}
        self.events = EventFeed(settings, self._instruments, now_ns)
        self._prefix = settings.prefix
        self._pool = pool
        self._batch = RedisBatch(redis)
        self._now_ns = now_ns
        self._executor = executor
        self._log = keeps
        self._feeds: dict[int, CandleFeed] = {}
        self._used_at: dict[int, float] = {}
        """By width, on the loop's clock."""
        self._filling: dict[int, asyncio.Lock] = {}
        self._current: dict[int, dict[str, Told]] = {}
        """By version; of those that are promoted or were a moment ago."""
        self._drifts: dict[int, Drift] = {}
        self._second = 0

    @property
    def symbols(self) -> list[str]:
        return [one.symbol for one in self._instruments]

    def forget(self, entry: Entry) -> None:
        """A version about to be promoted begins anew."""
        self._drifts[entry.version] = Drift(entry.manifest.features, entry.manifest.metrics)

    def drift_of(self, entry: Entry) -> dict[str, float]:
        found = self._drifts.get(entry.version)
        return {} if found is None else found.index()

    def count(self, version: int) -> int:
        """Symbols that it says something of."""
        return len(self._current.get(version, ()))

    def current(self, version: int, symbol: str) -> Told | None:
        return self._current.get(version, {}).get(symbol)

    # -- features -------------------------------------------------------------------------------------------------

    async def feed(self, width_ns: int) -> CandleFeed:
        """Of a width; the first time it is filled from the store."""
        self._used_at[width_ns] = asyncio.get_running_loop().time()
        lock = self._filling.setdefault(width_ns, asyncio.Lock())
        async with lock:
            if width_ns not in self._feeds:
                made = CandleFeed(self._pool, self.symbols, width_ns)
                await made.fill(self._now_ns())
                await self._make_rows(made)
                self._feeds[width_ns] = made
        return self._feeds[width_ns]

    async def _make_rows(self, feed: CandleFeed) -> None:
        rows: dict[str, LiveRow] = {}
        loop = asyncio.get_running_loop()
        for first in range(0, len(feed.symbols), SYMBOLS_AT_ONCE):
            part = feed.symbols[first : first + SYMBOLS_AT_ONCE]
            rows |= await loop.run_in_executor(self._executor, feed.make_rows, part)
        feed.rows = rows

    async def rows_for(self, manifest: Manifest) -> Mapping[str, LiveRow]:
        """What the model takes, of every symbol that it is known of. ValueError: it takes what nobody makes here."""
        if manifest.source == "events":
            if manifest.spec is None:
                raise ValueError(f"spec: {manifest.name} is of events and has none")
            self.events.follow(manifest.symbols or self.symbols, manifest.spec)
            return self.events.rows(manifest.spec)
        return (await self.feed(manifest.width_ns)).rows

    async def missing(self, manifest: Manifest, symbol: str) -> str:
        """Why there is no row of a symbol, for people."""
        if manifest.source == "events":
            longest_s = max(manifest.spec.windows_ns, default=0) // SECOND_NS if manifest.spec else 0
            return f"{manifest.name} needs {longest_s} s of live quotes, trades and depth of {symbol}; ask again later."
        known = (await self.feed(manifest.width_ns)).known(symbol)
        width = f"{manifest.width_ns // SECOND_NS} s"
        return (
            f"{manifest.name} needs {LOOKBACK} candles of {width} of {symbol}, and {known} are there; ask again later."
        )

    # -- forecasts ------------------------------------------------------------------------------------------------

    async def begin(self, promoted: Sequence[Entry]) -> None:
        """What is promoted has changed."""
        await self.feed(MINUTE_NS)
        for entry in promoted:
            if entry.version not in self._current:
                await self._forecast([entry])
        kept = {one.version for one in promoted}
        for version in self._current.keys() - kept:
            del self._current[version]
            self._drifts.pop(version, None)
        await self._publish(promoted, self.symbols)

    async def tick(self, promoted: Sequence[Entry]) -> None:
        now_ns = self._now_ns()
        due = [one for one in promoted if one.manifest.source == "events" and now_ns // SECOND_NS != self._second]
        self._second = now_ns // SECOND_NS
        for width_ns, feed in list(self._feeds.items()):
            if feed.due(now_ns) and await feed.advance(now_ns):
                await self._make_rows(feed)
                due += [
                    one for one in promoted if (one.manifest.source, one.manifest.width_ns) == ("candles", width_ns)
                ]
        self._drop_unused(promoted)
        if due:
            await self._forecast(due)
            await self._publish(promoted, {name for one in due for name in self._current[one.version]})

    def _drop_unused(self, promoted: Sequence[Entry]) -> None:
        needed = {MINUTE_NS} | {one.manifest.width_ns for one in promoted}
        too_old = asyncio.get_running_loop().time() - UNUSED_S
        for width_ns in [one for one in self._feeds if one not in needed and self._used_at[one] < too_old]:
            del self._feeds[width_ns]

    async def _forecast(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._current.setdefault(entry.version, {})
            try:
                rows = self.usable(entry.manifest, await self.rows_for(entry.manifest))
                if rows:
                    await self._forecast_one(entry, rows)
            except Exception as error:
                log.warning("no forecasts", version=entry.version, error=repr(error))

    def usable(self, manifest: Manifest, rows: Mapping[str, LiveRow]) -> dict[str, LiveRow]:
        """A baseline that learned nothing of the features says the same without them."""
        found = dict(rows)
        if manifest.kind == "naive" and manifest.source == "candles" and manifest.width_ns in self._feeds:
            feed, unknown = self._feeds[manifest.width_ns], np.full(len(manifest.features), np.nan)
            for symbol in self.symbols:
                if symbol not in found:
                    found[symbol] = LiveRow(*(feed.price(symbol) or (self._now_ns(), 0)), unknown)
        return found

    async def _forecast_one(self, entry: Entry, rows: Mapping[str, LiveRow]) -> None:
        columns = np.stack([one.row for one in rows.values()])
        loop = asyncio.get_running_loop()
        forecast = await loop.run_in_executor(self._executor, entry.model.predict, columns)
        told = {
            symbol: Told(one.as_of_ns, one.price_ticks, figures)
            for (symbol, one), figures in zip(rows.items(), figures_of(forecast), strict=True)
        }
        self._current[entry.version] = told
        drift = self._drifts.setdefault(entry.version, Drift(entry.manifest.features, entry.manifest.metrics))
        drift.add(columns[np.isfinite(columns).all(axis=1)])
        if self.leads:
            await self._keep(entry, rows, forecast, columns)

    async def _keep(self, entry: Entry, rows: Mapping[str, LiveRow], forecast: Forecast, columns: Floats) -> None:
        """One row of the log for each moment: symbols that stand at an older one were kept then."""
        as_of_ns = max((one.as_of_ns for one in rows.values() if one.price_ticks), default=0)
        new = np.array([one.as_of_ns == as_of_ns and one.price_ticks > 0 for one in rows.values()])
        if not new.any():
            return
        prices = np.array([one.price_ticks for one in rows.values()], np.float64)
        naive = naive_volatility(entry.manifest, columns)
        figures = np.column_stack((prices, *forecast, np.where(np.isfinite(naive), naive, forecast.volatility)))[new]
        assert figures.shape[1] == len(COLUMNS)
        symbols = [name for name, kept in zip(rows, new, strict=True) if kept]
        await self._log.add(entry.version, as_of_ns, as_of_ns + entry.manifest.horizon_ns, symbols, figures)

    async def _publish(self, promoted: Sequence[Entry], symbols: Any) -> None:
        if not self.leads:
            return
        for symbol in symbols:
            message = self.message(promoted, symbol)
            if message is not None:
                self._batch.add("PUBLISH", f"{self._prefix}:bus:{CHANNEL}:{symbol}", message)
                self._batch.add("SET", f"{self._prefix}:{CHANNEL}:{symbol}", message)
        await self._batch.run()

    def message(self, promoted: Sequence[Entry], symbol: str) -> bytes | None:
        """As `/ws/prices` sends it on: what every promoted model says of the symbol."""
        said = []
        for entry in promoted:
            told = self.current(entry.version, symbol)
            if told is not None:
                names = zip(Forecast._fields, told.figures, strict=True)
                price = from_steps(told.price_ticks, self._ticks[symbol]) if told.price_ticks else None
                said.append(
                    {"model": entry.manifest.name, "version": entry.version, "horizon": entry.manifest.horizon,
                     "as_of_ns": told.as_of_ns, "price": price, **dict(names)}
                )  # fmt: skip
        return _encode({"channel": CHANNEL, "symbol": symbol, "predictions": said}) if said else None


def figures_of(forecast: Forecast) -> list[Any]:
    """A tuple of each row."""
    return list(zip(*(column.tolist() for column in forecast), strict=True))


def naive_volatility(manifest: Manifest, rows: Floats) -> Floats:
    """The last volatility that a row knows, brought to the horizon by the square root of time."""
    windows = volatility_windows(manifest)
    column, window_ns = min(windows, key=lambda one: abs(np.log(one[1] / manifest.horizon_ns)))
    scaled: Floats = rows[:, column] * np.sqrt(manifest.horizon_ns / window_ns)
    return scaled
