"""What the predictor is asked, and answers: predictions of a symbol or of own rows, the state of a market. Plain data."""

from typing import Any, Final

import msgspec
import numpy as np

from actors.candle_feed import LiveRow
from actors.errors import Refused
from actors.live_forecasts import LiveForecasts, figures_of
from actors.micro_batches import MicroBatcher, TooManyRows
from actors.model_shelf import Entry, ModelShelf
from ml.market_state import correlation, market_state

MOST_CORRELATED: Final = 24
"""Symbols of a correlation matrix: the one asked for and the first others."""


class Answers:
    def __init__(self, shelf: ModelShelf, live: LiveForecasts, batcher: MicroBatcher) -> None:
        self._shelf = shelf
        self._live = live
        self._batcher = batcher

    async def predict(self, symbol: str, horizon_ns: int | None, name: str | None, version: int | None) -> list[Any]:
        """[head, as_of_ns, price_ticks, figures]. Refused: NO_MODEL, FEATURES_UNAVAILABLE.

        Who names no model is answered by the baseline while too little is known of the symbol for what is promoted.
        """
        entry = await self._find(horizon_ns, name, version)
        told = self._live.current(entry.version, symbol)
        if told is not None:
            return [_head(entry), *told]
        found = await self._row_for(entry, symbol)
        if found is None and name is None and version is None:
            baseline = await self._shelf.baseline(entry.manifest.horizon_ns)
            if baseline is not None:
                entry, found = baseline, await self._row_for(baseline, symbol)
        if found is None:
            raise Refused("FEATURES_UNAVAILABLE", await self._live.missing(entry.manifest, symbol))
        forecast = await self._batcher.ask(entry.model, found.row[None])
        return [_head(entry), found.as_of_ns, found.price_ticks, figures_of(forecast)[0]]

    async def _row_for(self, entry: Entry, symbol: str) -> LiveRow | None:
        rows = self._live.usable(entry.manifest, await self._live.rows_for(entry.manifest))
        return rows.get(symbol)

    async def rows(
        self, horizon_ns: int | None, name: str | None, version: int | None, columns: int, data: bytes
    ) -> Any:
        """`data`: float64 rows of so many columns. [head, float64[5, n] as bytes]. Refused: NO_MODEL, VALIDATION, OVERLOADED."""
        entry = await self._find(horizon_ns, name, version)
        wanted = len(entry.manifest.features)
        if columns != wanted:
            raise Refused("VALIDATION", f"{entry.manifest.name} takes {wanted} features a row, not {columns}")
        try:
            forecast = await self._batcher.ask(entry.model, np.frombuffer(data, np.float64).reshape(-1, columns))
        except TooManyRows as error:
            raise Refused("OVERLOADED", str(error)) from None
        return [_head(entry), np.stack(forecast).tobytes()]

    async def analysis(self, symbol: str, width_ns: int) -> dict[str, Any]:
        feed = await self._live.feed(width_ns)
        state = market_state(feed.window(symbol))
        others = [name for name in feed.symbols if name != symbol][: MOST_CORRELATED - 1]
        windows = {name: feed.window(name) for name in (symbol, *others)}
        known = {name: one for name, one in windows.items() if len(one.close) >= min(state.candles, 60) > 0}
        predictions = []
        for entry in self._shelf.promoted:
            told = self._live.current(entry.version, symbol)
            if told is not None:
                predictions.append([_head(entry), *told])
        return {
            "as_of_ns": feed.until_ns,
            "state": msgspec.to_builtins(state),
            "correlation": msgspec.to_builtins(correlation(known)),
            "predictions": predictions,
        }

    async def _find(self, horizon_ns: int | None, name: str | None, version: int | None) -> Entry:
        try:
            return await self._shelf.find(horizon_ns, name, version)
        except LookupError as error:
            raise Refused("NO_MODEL", str(error.args[0])) from None


def _head(entry: Entry) -> list[Any]:
    manifest = entry.manifest
    better = manifest.metrics.get("better_than_naive")
    return [
        entry.version,
        manifest.name,
        manifest.kind,
        manifest.horizon_ns,
        better if isinstance(better, bool) else None,
    ]
