"""GARCH(1,1) with Student's t of the arch library (Bollerslev 1986), forecast from a row alone.

The conditional variance is an exponentially weighted mean of past squared returns; a row tells them as realised
volatilities of several windows, so the weights of each window's part are summed, and the variance reverts to that of the
longest window. Quantiles are those of returns by forecast volatility in training (filtered historical simulation,
Barone-Adesi, Giannopoulos, Vosper 1999). Of the direction it knows the base rate alone.
"""

import warnings
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np

from ml.dataset import DataSet
from ml.forecast import LEVELS, Floats, Forecast, Manifest, checked
from ml.models.inputs import window_of
from ml.models.scale import Scale, scale_of, volatility_windows

_FILE: Final = "garch.json"
_LEAST_RETURNS: Final = 250
"""Of a symbol, to be fitted."""
_USUAL: Final = (0.08, 0.9, 4.0)
"""Alpha, beta and degrees of freedom where too few returns are there."""
_MOST_PERSISTENT: Final = 0.999


class Parameters(msgspec.Struct, frozen=True):
    alpha: float
    beta: float
    degrees: float
    """Of freedom; told, not used: quantiles are empirical."""
    step_ns: int
    """The returns that were fitted are of so long."""
    base_rate: float
    ratio: float
    """Median of realised by forecast volatility in training."""
    quantiles: tuple[float, float, float]
    """Of returns, in forecast volatilities."""
    scale: Scale


class Garch:
    def __init__(self, manifest: Manifest, parameters: Parameters) -> None:
        self.manifest = manifest
        self.parameters: Final = parameters
        self._windows: Final = sorted(volatility_windows(manifest), key=lambda one: one[1])

    @classmethod
    def of(cls, manifest: Manifest, files: Mapping[str, bytes]) -> "Garch":
        return cls(manifest, msgspec.json.decode(files[_FILE], type=Parameters))

    @classmethod
    def fit(cls, manifest: Manifest, train: DataSet) -> "Garch":
        column, step_ns = _returns_column(manifest, train)
        alpha, beta, degrees = _fitted(train, column, step_ns)
        rate = float(train.labels.direction.mean())
        first = Parameters(
            alpha, beta, degrees, step_ns, rate, 1.0, (-1.0, 0.0, 1.0), scale_of(manifest, train.features)
        )
        forecast = cls(manifest, first)._volatility(train.features)
        low, median, high = np.quantile(train.labels.returns / forecast, LEVELS).tolist()
        ratio = float(np.median(train.labels.volatility / forecast)) or 1.0
        return cls(manifest, msgspec.structs.replace(first, ratio=ratio, quantiles=(low, median, high)))

    def files(self) -> dict[str, bytes]:
        return {_FILE: msgspec.json.format(msgspec.json.encode(self.parameters))}

    def predict(self, rows: Floats) -> Forecast:
        rows, known = checked(rows, self.manifest), self.parameters
        forecast = self._volatility(rows)
        low, median, high = (one * forecast for one in known.quantiles)
        return Forecast(np.full(len(rows), known.base_rate), low, median, high, forecast * known.ratio)

    def _volatility(self, rows: Floats) -> Floats:
        """Over the horizon."""
        known = self.parameters
        typical = known.scale.of(rows) ** 2 * known.step_ns / self.manifest.horizon_ns
        variance, weights = np.zeros(len(rows)), 0.0
        squares, start = np.zeros(len(rows)), 0.0
        long_run = typical
        for column, window_ns in self._windows:
            total = np.where(np.isfinite(rows[:, column]), rows[:, column] ** 2, np.nan)
            end = max(window_ns / known.step_ns, start + 1e-9)
            part = np.maximum(total - squares, 0.0) / (end - start)
            weight = known.beta**start - known.beta**end
            variance += weight * np.where(np.isfinite(part), part, typical)
            weights += weight
            long_run = np.where(np.isfinite(total), total / end, long_run)
            squares, start = np.where(np.isfinite(total), total, typical * end), end
        long_run = np.maximum(long_run, (known.scale.floor**2) * known.step_ns / self.manifest.horizon_ns)
        persistence = known.alpha + known.beta
        recent = variance + (1 - weights) * long_run
        # omega / (1 - beta) + alpha / (1 - beta) * the weighted mean, with omega by the long-run variance
        now = ((1 - persistence) * long_run + known.alpha * recent) / (1 - known.beta)
        steps = max(self.manifest.horizon_ns / known.step_ns, 1.0)
        reverted = (1 - persistence**steps) / (1 - persistence)
        made: Floats = np.sqrt(np.maximum(steps * long_run + reverted * (now - long_run), 1e-18))
        return made


def _returns_column(manifest: Manifest, train: DataSet) -> tuple[int, int]:
    """The return whose window is the distance between rows: then no return is counted twice."""
    of_one = train.ts_ns[train.symbol == train.symbol[0]]
    every_ns = int(np.median(np.diff(of_one))) if len(of_one) > 1 else manifest.horizon_ns
    unit = manifest.width_ns or 1_000_000_000
    found = []
    for column, name in enumerate(manifest.features):
        windowed = window_of(name)
        if windowed is not None and windowed[0] == "return":
            found.append((abs(np.log(windowed[1] * unit / every_ns)), column, round(windowed[1] * unit)))
    if not found:
        raise ValueError("features: no return_N among them; GARCH is fitted to one")
    _, column, step_ns = min(found)
    return column, step_ns


def _fitted(train: DataSet, column: int, step_ns: int) -> tuple[float, float, float]:
    """Medians over the symbols."""
    from arch import arch_model

    found = []
    for number in np.unique(train.symbol):
        returns = train.features[train.symbol == number, column]
        returns = returns[np.isfinite(returns)]
        spread = returns.std() if len(returns) else 0.0
        if len(returns) < _LEAST_RETURNS or spread <= 0:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model: Any = arch_model(returns / spread, mean="Zero", vol="GARCH", p=1, q=1, dist="t", rescale=False)
            fitted = model.fit(disp="off", show_warning=False).params
        found.append((float(fitted["alpha[1]"]), float(fitted["beta[1]"]), float(fitted["nu"])))
    alpha, beta, degrees = np.median(found, axis=0).tolist() if found else _USUAL
    over = max((alpha + beta) / _MOST_PERSISTENT, 1.0)
    return alpha / over, beta / over, degrees
