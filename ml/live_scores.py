"""How good forecasts were, and how far the market has moved away from what a model learned. Pure.

Sums rather than means: those of many batches add up. Brier 1950; pinball loss as Koenker and Bassett 1978; the population
stability index as used for credit scores: below 0.1 nothing moved, above 0.25 the model sees another world.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ml.forecast import LEVELS, Forecast

Floats = npt.NDArray[np.float64]

SCORES: Final = ("count", "brier", "log_loss", "pinball", "hits")
_SURE: Final = 1e-6
"""A probability nearer to 0 or 1 counts as this: one mistake must not be infinitely bad."""
DRIFT_KEY: Final = "distribution"
"""In a manifest's metrics: what `distribution` says of the training rows."""
_LEAST_SHARE: Final = 1e-4
"""An empty bin counts as this, for the logarithm."""


def score_sums(forecast: Forecast, returns: Floats) -> Floats:
    """float64[len(SCORES)]: sums over the rows. `returns` are those that came; rows without one (NaN) are left out.

    A forecast of exactly one half hits half of the time: it says nothing of direction.
    """
    known = np.isfinite(returns)
    up, low, median, high, _ = (column[known] for column in forecast)
    came = returns[known]
    rose = (came > 0).astype(np.float64)
    sure = np.clip(up, _SURE, 1 - _SURE)
    pinball = np.zeros(len(came))
    for level, quantile in zip(LEVELS, (low, median, high), strict=True):
        off = came - quantile
        pinball += np.maximum(level * off, (level - 1) * off)
    hits = np.where(up == 0.5, 0.5, (up > 0.5) == (rose == 1))
    log_loss = -(rose * np.log(sure) + (1 - rose) * np.log(1 - sure))
    columns = (np.ones(len(came)), (up - rose) ** 2, log_loss, pinball / len(LEVELS), hits)
    return np.array([column.sum() for column in columns], np.float64)


def distribution(names: Sequence[str], rows: Floats) -> dict[str, dict[str, list[float]]]:
    """Of training rows, by feature: deciles (equal ones once) and the share of the rows in each bin that they cut.

    For a manifest's metrics. A feature that is nowhere known is left out.
    """
    found = {}
    for name, column in zip(names, rows.T, strict=True):
        known = column[np.isfinite(column)]
        if len(known):
            edges = np.unique(np.quantile(known, np.arange(1, 10) / 10))
            shares = _counts(known, edges) / len(known)
            found[name] = {"edges": edges.tolist(), "shares": shares.tolist()}
    return found


def _counts(values: Floats, edges: Floats) -> Floats:
    bins = np.searchsorted(edges, values[np.isfinite(values)], "right")
    return np.bincount(bins, minlength=len(edges) + 1).astype(np.float64)


class Drift:
    """Counts live rows by the bins of the training rows; what is older than about `memory` rows fades."""

    def __init__(self, features: Sequence[str], metrics: Mapping[str, Any], memory: int = 10_000) -> None:
        learned: Mapping[str, Any] = metrics.get(DRIFT_KEY) or {}
        self.names: Final = tuple(name for name in features if name in learned)
        self._columns: Final = [features.index(name) for name in self.names]
        self._edges: Final = [np.asarray(learned[name]["edges"], np.float64) for name in self.names]
        self._shares: Final = [np.asarray(learned[name]["shares"], np.float64) for name in self.names]
        self._seen: Final = [np.zeros(len(one)) for one in self._shares]
        self._memory: Final = memory
        self.rows = 0.0

    def add(self, rows: Floats) -> None:
        """Rows as the model takes them."""
        if not len(rows):
            return
        keep = max(0.0, 1 - len(rows) / self._memory)
        self.rows = self.rows * keep + len(rows)
        for seen, edges, column in zip(self._seen, self._edges, self._columns, strict=True):
            seen *= keep
            seen += _counts(rows[:, column], edges)

    def index(self) -> dict[str, float]:
        """Feature -> population stability index, the largest first; features not seen yet are left out."""
        found = {}
        for name, seen, shares in zip(self.names, self._seen, self._shares, strict=True):
            if total := seen.sum():
                now, then = np.maximum(seen / total, _LEAST_SHARE), np.maximum(shares, _LEAST_SHARE)
                found[name] = float(((now - then) * np.log(now / then)).sum())
        return dict(sorted(found.items(), key=lambda one: -one[1]))
