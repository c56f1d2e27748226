"""Linear models of statsmodels, kept as coefficients: logistic and ridge regression, quantile regression (Koenker 1978)."""

import warnings
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np

from ml.dataset import DataSet
from ml.forecast import LEVELS, Floats, Forecast, Manifest, checked, in_order
from ml.models.inputs import Standard, logistic
from ml.models.scale import Scale, scale_of

LINEAR: Final[dict[str, Any]] = {"penalty": 1e-3}
"""Of the squared coefficients, per row."""
_FILE: Final = "linear.json"
_MOST_ROWS: Final = 20_000
"""Of quantile regression, which solves anew for each step."""
_CLIP: Final = 10.0
_VOLATILITY_CLIP: Final = 2.0
"""Of the log of the forecast by the last volatility."""
_SHRINK: Final = 0.1
"""More penalty where columns are many for the rows."""
_ROWS_PER_COLUMN: Final = 20
"""With fewer, quantiles depend on the last volatility alone."""


class Coefficients(msgspec.Struct, frozen=True):
    """Intercept first, then one a column."""

    standard: Standard
    scale: Scale
    up: list[float]
    quantiles: list[list[float]]
    volatility: list[float]


class Linear:
    def __init__(self, manifest: Manifest, coefficients: Coefficients) -> None:
        self.manifest = manifest
        self.coefficients: Final = coefficients

    @classmethod
    def of(cls, manifest: Manifest, files: Mapping[str, bytes]) -> "Linear":
        return cls(manifest, msgspec.json.decode(files[_FILE], type=Coefficients))

    @classmethod
    def fit(cls, manifest: Manifest, train: DataSet, parameters: Mapping[str, Any] | None = None) -> "Linear":
        import statsmodels.api as sm

        penalty = float((LINEAR | dict(parameters or {}))["penalty"])
        scale, standard = scale_of(manifest, train.features), Standard.of(train.features)
        sigma = scale.of(train.features)
        x = _design(standard, train.features)
        shrunk = np.full(x.shape[1], penalty + _SHRINK * x.shape[1] / len(x))
        shrunk[0] = 0.0
        log_volatility = np.log(np.maximum(train.labels.volatility, scale.floor) / sigma)
        returns = np.clip(train.labels.returns / sigma, -_CLIP, _CLIP)
        some = np.unique(np.linspace(0, len(x) - 1, min(len(x), _MOST_ROWS)).astype(np.int64))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            up = sm.GLM(train.labels.direction, x, family=sm.families.Binomial()).fit_regularized(
                alpha=shrunk, L1_wt=0.0
            )
            volatility = sm.OLS(log_volatility, x).fit_regularized(alpha=shrunk, L1_wt=0.0)
            wide = len(some) < _ROWS_PER_COLUMN * x.shape[1]
            regression = sm.QuantReg(returns[some], x[some, :1] if wide else x[some])
            quantiles = [regression.fit(q=level, max_iter=200).params.tolist() for level in LEVELS]
        missing = [0.0] * (x.shape[1] - len(quantiles[0]))
        quantiles = [one + missing for one in quantiles]
        made = Coefficients(standard, scale, up.params.tolist(), quantiles, volatility.params.tolist())
        return cls(manifest, made)

    def files(self) -> dict[str, bytes]:
        return {_FILE: msgspec.json.format(msgspec.json.encode(self.coefficients))}

    def predict(self, rows: Floats) -> Forecast:
        rows, known = checked(rows, self.manifest), self.coefficients
        x, sigma = _design(known.standard, rows), known.scale.of(rows)
        low, median, high = in_order(*(x @ np.array(one) * sigma for one in known.quantiles))
        volatility = np.exp(np.clip(x @ np.array(known.volatility), -_VOLATILITY_CLIP, _VOLATILITY_CLIP)) * sigma
        return Forecast(logistic(x @ np.array(known.up)), low, median, high, volatility)


def _design(standard: Standard, rows: Floats) -> Floats:
    return np.column_stack((np.ones(len(rows)), standard.apply(rows)))
