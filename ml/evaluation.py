"""How good forecasts are, beside naive ones of the same rows, with intervals. Pure.

Intervals are of a moving-block bootstrap over blocks of time: rows of one hour are no independent witnesses. Three
targets are judged, each by a proper loss: direction by log-loss, returns by pinball loss of the three quantiles,
volatility by absolute error. Each has an interval of 98.3 %, so that the three together hold with 95 %; of the direction the AUC must be above 0.5 too.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ml.dataset import DataSet
from ml.forecast import LEVELS, Floats, Forecast

RESAMPLES: Final = 1000
ALPHA: Final = 0.05 / 3
BLOCKS: Final = 40
"""About so many, unless the horizon asks for longer ones."""
BLOCK_HORIZONS: Final = 3
LEAST_BLOCKS: Final = 8
"""With fewer nothing is called better."""
BINS: Final = 10
_RANKS: Final = 256
TARGETS: Final = ("direction", "returns", "volatility")


class Interval(NamedTuple):
    value: float
    low: float
    high: float


def losses(forecast: Forecast, data: DataSet) -> dict[str, Floats]:
    """Per row. Returns and volatility in basis points."""
    labels = data.labels
    up = np.clip(forecast.up, 1e-9, 1 - 1e-9)
    pinball = np.zeros(len(up))
    for level, quantile in zip(LEVELS, forecast[1:4], strict=True):
        error = (labels.returns - quantile) * 1e4
        pinball += np.maximum(level * error, (level - 1) * error) / len(LEVELS)
    return {
        "direction": -(labels.direction * np.log(up) + (1 - labels.direction) * np.log(1 - up)),
        "returns": pinball,
        "volatility": np.abs(labels.volatility - forecast.volatility) * 1e4,
    }


class Blocks:
    """Resampled blocks of time, the same for everything that is compared."""

    def __init__(self, ts_ns: npt.NDArray[np.int64], horizon_ns: int, seed: int = 0) -> None:
        span = int(ts_ns.max() - ts_ns.min()) + 1 if len(ts_ns) else 1
        length = max(span // BLOCKS, BLOCK_HORIZONS * horizon_ns, 1)
        _, self.of_row = np.unique((ts_ns - ts_ns.min()) // length if len(ts_ns) else ts_ns, return_inverse=True)
        self.count: Final = int(self.of_row.max()) + 1 if len(ts_ns) else 0
        dice = np.random.default_rng(seed)
        draws = dice.integers(0, max(self.count, 1), (RESAMPLES, max(self.count, 1)))
        self.times: Final = np.stack([np.bincount(one, minlength=max(self.count, 1)) for one in draws]).astype(float)
        """[resamples, blocks]: how often each was drawn."""

    def mean(self, values: Floats) -> Interval:
        sums = np.bincount(self.of_row, values, self.count)
        rows = np.bincount(self.of_row, minlength=self.count)
        return self._interval(float(values.mean()), (self.times @ sums) / (self.times @ rows))

    def auc(self, score: Floats, risen: Floats) -> Interval:
        """By ranks in `_RANKS` classes: exact but for ties within one."""
        edges = np.unique(np.quantile(score, np.linspace(0, 1, _RANKS + 1)[1:-1]))
        bins = np.searchsorted(edges, score, "right")
        shape = (self.count, len(edges) + 1)
        places = self.of_row * shape[1] + bins
        high = np.bincount(places, risen, shape[0] * shape[1]).reshape(shape)
        low = np.bincount(places, 1 - risen, shape[0] * shape[1]).reshape(shape)
        whole = _area(high.sum(0)[None], low.sum(0)[None])[0]
        return self._interval(float(whole), _area(self.times @ high, self.times @ low))

    def rank_ic(self, score: Floats, returns: Floats) -> Interval:
        """Spearman's correlation within each block, averaged; 0 where nothing varies."""
        each = np.array([_spearman(score[self.of_row == k], returns[self.of_row == k]) for k in range(self.count)])
        return self._interval(float(each.mean()), self.times @ each / self.count)

    def _interval(self, value: float, drawn: Floats) -> Interval:
        if self.count < 2:
            return Interval(value, float("-inf"), float("inf"))
        low, high = np.nanquantile(drawn, [ALPHA / 2, 1 - ALPHA / 2]).tolist()
        return Interval(value, low, high)


def _area(high: Floats, low: Floats) -> Floats:
    below = np.cumsum(low, axis=1) - low
    pairs = high.sum(1) * low.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        made: Floats = np.where(pairs > 0, (high * (below + low / 2)).sum(1) / pairs, 0.5)
    return made


def _spearman(x: Floats, y: Floats) -> float:
    from scipy.stats import rankdata

    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])


def reliability(up: Floats, risen: Floats) -> tuple[list[tuple[float, float, int]], float]:
    """Mean forecast, share that rose, rows, of each tenth of the probabilities; and the expected calibration error."""
    bins = np.minimum((up * BINS).astype(np.int64), BINS - 1)
    curve = []
    for k in np.unique(bins):
        inside = bins == k
        curve.append((float(up[inside].mean()), float(risen[inside].mean()), int(inside.sum())))
    return curve, sum(abs(said - was) * count for said, was, count in curve) / max(len(up), 1)


def compared(losses_: dict[str, Floats], against: dict[str, Floats], blocks: Blocks) -> dict[str, Any]:
    """Differences of losses (below 0: better) and what they mean."""
    differences = {name: blocks.mean(losses_[name] - against[name]) for name in TARGETS}
    enough = blocks.count >= LEAST_BLOCKS
    better_at = [name for name, one in differences.items() if enough and one.high < 0]
    worse_at = [name for name, one in differences.items() if one.low > 0 or (not enough and one.value > 0)]
    return {
        "difference": {name: list(one) for name, one in differences.items()},
        "better_at": better_at, "worse_at": worse_at, "better": bool(better_at) and not worse_at,
    }  # fmt: skip


def evaluated(forecast: Forecast, naive: Forecast, data: DataSet, horizon_ns: int) -> dict[str, Any]:
    """Metrics of forecasts of rows that were not learned: plain data, for the manifest and the report."""
    blocks = Blocks(data.ts_ns, horizon_ns)
    own, base = losses(forecast, data), losses(naive, data)
    labels = data.labels
    curve, error = reliability(forecast.up, labels.direction)
    against = compared(own, base, blocks)
    auc = blocks.auc(forecast.up, labels.direction)
    if auc.low <= 0.5 and "direction" in against["better_at"]:  # a luckier base rate is no knowledge
        against["better_at"].remove("direction")
        against["better"] = bool(against["better_at"]) and not against["worse_at"]
    return {
        "rows": len(data.ts_ns), "blocks": blocks.count,
        "log_loss": list(blocks.mean(own["direction"])), "naive_log_loss": float(base["direction"].mean()),
        "brier": list(blocks.mean((forecast.up - labels.direction) ** 2)),
        "naive_brier": float(((naive.up - labels.direction) ** 2).mean()),
        "auc": list(auc),
        "rank_ic": list(blocks.rank_ic(forecast.up, labels.returns)),
        "pinball_bp": list(blocks.mean(own["returns"])), "naive_pinball_bp": float(base["returns"].mean()),
        "volatility_error_bp": list(blocks.mean(own["volatility"])),
        "naive_volatility_error_bp": float(base["volatility"].mean()),
        "coverage": [float((labels.returns <= quantile).mean()) for quantile in forecast[1:4]],
        "ece": error, "reliability": curve,
        "against_naive": against["difference"], "better_at": against["better_at"], "worse_at": against["worse_at"],
        "better_than_naive": against["better"],
    }  # fmt: skip
