"""What is asked of models and what they answer. Figures of predictions and indicators are floats: estimates, not money."""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from serve.schema import Request, Symbol

MAX_ROWS = 1000
"""Of own features in one request."""
MAX_FEATURES = 512


class Horizon(StrEnum):
    TEN_SECONDS = "10s"
    MINUTE = "1m"
    QUARTER = "15m"
    HOUR = "1h"


class AnalysisInterval(StrEnum):
    SECOND = "1s"
    MINUTE = "1m"
    HOUR = "1h"


_ModelName = Annotated[str, Meta(min_length=1, max_length=64, examples=["xgboost-15m"])]
_Feature = float | None
_Row = Annotated[list[_Feature], Meta(min_length=1, max_length=MAX_FEATURES)]


class PredictRequest(Request, kw_only=True):
    """Of a symbol as it stands, or of own rows of features: one of the two."""

    symbol: Annotated[Symbol | None, Meta(examples=["BTCUSDT"])] = None
    horizon: Horizon | None = None
    """Left out: that of the model named, else `15m`."""
    model: _ModelName | None = None
    """A promoted model's name or kind. Left out: the one that is promoted for the horizon."""
    version: Annotated[int, Meta(ge=1)] | None = None
    """This version, promoted or not, instead of `horizon` and `model`."""
    features: Annotated[list[_Row], Meta(min_length=1, max_length=MAX_ROWS)] | None = None
    """Rows as the model takes them: its features in the order that `GET ai/models` tells. Null: not known."""


class ForecastView(msgspec.Struct):
    up: float
    """Probability that the price is higher when the horizon has passed."""
    low: float
    """Return that is not reached in one of ten cases."""
    median: float
    high: float
    """Return that is exceeded in one of ten cases."""
    volatility: float
    """Root of the sum of squared returns until then."""


class PredictionView(msgspec.Struct, kw_only=True):
    model: str
    version: int
    """That answered."""
    kind: str
    """`naive` has learned nothing: even odds, or the base rate."""
    horizon: str
    better_than_naive: bool | None
    """In its evaluation, against the baselines; null: it was not evaluated."""
    symbol: str | None
    """Null, with `as_of_ns` and `price`: of own features."""
    as_of_ns: int | None
    """Market time of the newest that the model has seen."""
    price: str | None
    """The last price then; returns count from it."""
    forecasts: list[ForecastView]
    """One; of own features one for each row."""


class TrendView(msgspec.Struct):
    state: str
    """`up`, `down`, `range`."""
    strength: float | None
    """ADX(14), 0 to 100."""
    reason: str


class VolatilityView(msgspec.Struct):
    regime: str
    """`low`, `normal`, `high`, `extreme` by `percentile`; `unknown`: below 61 candles."""
    per_candle: float | None
    """Of one candle's return, over the last 30."""
    percentile: float | None
    """Share of the symbol's own history of up to 512 candles that was calmer, 0 to 1."""


class SignalView(msgspec.Struct):
    indicator: str
    side: str
    """`BUY`, `SELL`: what textbooks read off the indicator; no advice."""
    strength: float
    """0 to 1."""
    reason: str


class CorrelationView(msgspec.Struct):
    """Of one-candle returns."""

    symbols: list[str]
    candles: int
    """That all of them have."""
    matrix: list[list[float | None]]
    """Empty below 35 candles."""


class AnalysisView(msgspec.Struct, kw_only=True):
    symbol: str
    interval: str
    """Width of the candles."""
    as_of_ns: int
    """Close of the newest candle, market time."""
    candles: int
    """Closed ones without a hole that it is read off; below 35 there are neither trend nor indicators nor signals."""
    trend: TrendView | None
    volatility: VolatilityView
    indicators: dict[str, float]
    """Of TA-Lib, with their usual lengths; those that need more candles than there are, are left out."""
    signals: list[SignalView]
    signal_score: float
    """Of all signals by their strength: -1 all sell, 1 all buy."""
    correlation: CorrelationView
    predictions: list[PredictionView]
    """Of the promoted models that know enough of the symbol."""


class AnalysisQuery(msgspec.Struct, forbid_unknown_fields=True):
    symbol: Symbol
    interval: AnalysisInterval = AnalysisInterval.MINUTE


class LiveScore(msgspec.Struct, kw_only=True):
    """Of predictions whose horizon passed within the last day of market time."""

    predictions: int
    brier: float
    brier_naive: float
    """Of even odds."""
    log_loss: float
    log_loss_naive: float
    hit_rate: float
    """Share of right directions."""
    pinball: float
    pinball_naive: float
    """Of no drift and the last volatility."""


class ModelView(msgspec.Struct, kw_only=True):
    version: int
    model: str
    kind: str
    horizon: str
    promoted: bool
    created_ns: int
    """By the wall's clock, as `promoted_ns`."""
    promoted_ns: int | None
    source: str
    """`candles` or `events`."""
    width_ns: int
    """Of the candles."""
    features: list[str]
    """Of a row, in order."""
    symbols: list[str]
    """Learned from."""
    from_ns: int
    to_ns: int
    """Span of market time that it learned from; 0: it learned nothing."""
    metrics: dict[str, object]
    """Of its evaluation."""
    live: LiveScore | None
    """Null: nothing of it was scored lately."""


class ModelList(msgspec.Struct):
    models: list[ModelView]
    """The newest first."""


class ModelsQuery(msgspec.Struct, forbid_unknown_fields=True):
    promoted: bool = False
    """Only those that answer now."""
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
