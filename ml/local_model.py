"""A model inside the process that uses it, for a strategy that decides at every event and cannot ask anybody.

    model = LocalModel(Path("models/7"))
    for event in market:                    # ml.features.Trade, Quote, Depth; or closed candles, by `add_candle`
        model.add(event)
        said = model.forecast(event.ts_ns)
        if said is not None and said.up > 0.55: ...

One booster, one thread, no copy of the history: features are those of the training, computed as events come. A version that
is promoted later is not noticed: make another one.
"""

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from ml import bundle
from ml.features import CandleStream, Event, FeatureStream
from ml.forecast import Floats, Forecast, Manifest, Model


class Said(NamedTuple):
    """A `Forecast` of one row, in numbers."""

    up: float
    low: float
    median: float
    high: float
    volatility: float


class LocalModel:
    """One symbol's. `ml.bundle.BadBundle` when the folder holds no whole model."""

    def __init__(self, folder: Path, model: Model | None = None) -> None:
        """`model`: already loaded, to be shared by several symbols of one process."""
        self.model: Final = bundle.load(folder) if model is None else model
        manifest = self.manifest
        self._events: Final = FeatureStream(manifest.spec) if manifest.source == "events" else None
        self._candles: Final = CandleStream(manifest.width_ns) if manifest.source == "candles" else None

    @property
    def manifest(self) -> Manifest:
        return self.model.manifest

    def add(self, event: Event) -> None:
        """To a model of events; ValueError to one of candles, or back in time."""
        if self._events is None:
            raise ValueError(
                f"event: {self.manifest.name} takes candles of {self.manifest.width_ns} ns; use add_candle"
            )
        self._events.add(event)

    def add_candle(self, open_ns: int, open_: float, high: float, low: float, close: float, volume: float) -> None:
        """A closed one, in ticks and lots, to a model of candles; ValueError to one of events, or back in time."""
        if self._candles is None:
            raise ValueError(f"candle: {self.manifest.name} takes events; use add")
        self._candles.add(open_ns, open_, high, low, close, volume)

    def forecast(self, ts_ns: int = 0) -> Said | None:
        """As of `ts_ns`, of a model of events; as of the newest candle. None while its longest window is not whole."""
        row = self._row(ts_ns)
        spec = self.manifest.spec
        if not np.isfinite(row if spec is None else row[spec.whole_column]).all():
            return None
        found: Forecast = self.model.predict(row[None])
        return Said(*(float(column[0]) for column in found))

    def _row(self, ts_ns: int) -> Floats:
        if self._events is not None:
            return self._events.row(ts_ns)
        assert self._candles is not None
        return self._candles.row()
