"""What a model says, and what is known of a model: the contract between training, registry and serving. Pure."""

from typing import Any, Final, NamedTuple, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from market.intervals import HOUR_NS, MINUTE_NS, SECOND_NS
from ml.features.spec import FeatureSpec

Floats = npt.NDArray[np.float64]

LEVELS: Final = (0.1, 0.5, 0.9)
"""Of the return quantiles `low`, `median`, `high`."""
HORIZONS: Final = {"10s": 10 * SECOND_NS, "1m": MINUTE_NS, "15m": 15 * MINUTE_NS, "1h": HOUR_NS}
"""What is forecast; 10 s of events alone."""


class Forecast(NamedTuple):
    """n rows."""

    up: Floats
    """Probability that the price rises."""
    low: Floats
    """Return quantile 0.1; low <= median <= high."""
    median: Floats
    high: Floats
    volatility: Floats
    """Root of the sum of squared returns over the horizon."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a model is and how it came to be. No time of training in it: the same training gives the same bytes."""

    name: str
    """Kind and horizon: `xgboost-15m`."""
    kind: str
    horizon_ns: int
    source: str
    """`candles` or `events`: where the rows come from."""
    width_ns: int = 0
    """Of the candles; 0 for events."""
    spec: FeatureSpec | None = None
    """Of events; None for candles."""
    features: tuple[str, ...]
    """Of the columns of a row, in order."""
    symbols: tuple[str, ...]
    """Learned from."""
    from_ns: int
    to_ns: int
    """Span of the rows that the saved model was trained on."""
    seed: int = 0
    metrics: dict[str, Any] = msgspec.field(default_factory=dict)
    """Of the evaluation: `better_than_naive` (bool) among them."""
    files: dict[str, str] = msgspec.field(default_factory=dict)
    """Name -> SHA-256 in hex; filled in by `bundle.save`."""

    @property
    def horizon(self) -> str:
        """`15m`; in nanoseconds when it is none of HORIZONS."""
        return horizon_name(self.horizon_ns)


class Model(Protocol):
    @property
    def manifest(self) -> Manifest: ...

    def predict(self, rows: Floats) -> Forecast:
        """Of rows [n, len(manifest.features)]; NaN is what is not known. ValueError of another shape."""
        ...


class SavedModel(Model, Protocol):
    """A model that can be kept as files."""

    def files(self) -> dict[str, bytes]:
        """JSON, UBJ and safetensors only."""
        ...


def horizon_name(horizon_ns: int) -> str:
    return next((name for name, ns in HORIZONS.items() if ns == horizon_ns), f"{horizon_ns}ns")


def checked(rows: Floats, manifest: Manifest) -> Floats:
    """`rows` as they must be. ValueError says how they are not."""
    rows = np.ascontiguousarray(rows, np.float64)
    columns = len(manifest.features)
    if rows.ndim != 2 or rows.shape[1] != columns:
        raise ValueError(f"rows: shape {rows.shape}, but {manifest.name} takes [n, {columns}]; see its features")
    return rows


def in_order(low: Floats, median: Floats, high: Floats) -> tuple[Floats, Floats, Floats]:
    """Quantiles that do not cross (Chernozhukov, Fernandez-Val, Galichon 2010: sorting brings them nearer)."""
    low, median, high = np.sort(np.stack((low, median, high)), axis=0)
    return low, median, high
