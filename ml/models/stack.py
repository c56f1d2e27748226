"""Several models as one: weights learned from forecasts of rows that none of them had seen (Wolpert 1992)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from ml.dataset import Labels
from ml.forecast import LEVELS, Floats, Forecast, Manifest, SavedModel, checked, in_order
from ml.models.inputs import logistic, logit

_FILE: Final = "stack.json"
_MOST_ROWS: Final = 20_000
_SHRINK: Final = 1e-3
"""Towards equal weights: of the squared distance."""


class Weights(msgspec.Struct, frozen=True):
    """Each of one number a base model; of returns and volatility they are 0 or more, and sum to 1."""

    intercept: float
    up: list[float]
    """Of log odds."""
    returns: list[float]
    volatility: list[float]


class _Kept(msgspec.Struct, frozen=True):
    weights: Weights
    bases: list[Manifest]


class Stack:
    def __init__(self, manifest: Manifest, bases: Sequence[SavedModel], weights: Weights) -> None:
        self.manifest = manifest
        self.bases: Final = tuple(bases)
        self.weights: Final = weights

    @classmethod
    def of(cls, manifest: Manifest, files: Mapping[str, bytes]) -> "Stack":
        from ml.bundle import model_of

        kept = msgspec.json.decode(files[_FILE], type=_Kept)
        bases = []
        for base in kept.bases:
            mark = f"{base.kind}."
            own = {name.removeprefix(mark): content for name, content in files.items() if name.startswith(mark)}
            bases.append(model_of(base, own))
        return cls(manifest, bases, kept.weights)

    def files(self) -> dict[str, bytes]:
        kept = _Kept(self.weights, [one.manifest for one in self.bases])
        made = {_FILE: msgspec.json.format(msgspec.json.encode(kept))}
        for one in self.bases:
            made |= {f"{one.manifest.kind}.{name}": content for name, content in one.files().items()}
        return made

    def predict(self, rows: Floats) -> Forecast:
        rows = checked(rows, self.manifest)
        return stacked([one.predict(rows) for one in self.bases], self.weights)


def stacked(forecasts: Sequence[Forecast], weights: Weights) -> Forecast:
    odds = np.stack([logit(one.up) for one in forecasts])
    up = logistic(weights.intercept + np.array(weights.up) @ odds)
    returns = np.array(weights.returns)
    quantiles = (returns @ np.stack([getattr(one, name) for one in forecasts]) for name in ("low", "median", "high"))
    low, median, high = in_order(*quantiles)
    return Forecast(
        up, low, median, high, np.array(weights.volatility) @ np.stack([one.volatility for one in forecasts])
    )


def equal_weights(count: int) -> Weights:
    same = [1.0 / count] * count
    return Weights(0.0, same, same, same)


def learned_weights(forecasts: Sequence[Forecast], labels: Labels) -> Weights:
    """Of forecasts out of fold. Deterministic."""
    n, count = len(labels.returns), len(forecasts)
    some = np.unique(np.linspace(0, n - 1, min(n, _MOST_ROWS)).astype(np.int64))
    odds = np.stack([logit(one.up[some]) for one in forecasts])
    risen = labels.direction[some]
    returns, volatility = labels.returns[some], labels.volatility[some]
    unit = float(np.abs(returns).mean()) or 1.0
    quantiles = np.stack([np.stack((one.low[some], one.median[some], one.high[some])) for one in forecasts]) / unit
    volatilities = np.stack([one.volatility[some] for one in forecasts]) / unit

    def pinball(weights: Floats) -> float:
        error = returns / unit - np.tensordot(weights, quantiles, 1)
        levels = np.array(LEVELS)[:, None]
        return float(np.maximum(levels * error, (levels - 1) * error).mean())

    def absolute(weights: Floats) -> float:
        return float(np.abs(volatility / unit - weights @ volatilities).mean())

    intercept, up = _odds_weights(odds, risen)
    return Weights(intercept, up, _simplex(pinball, count), _simplex(absolute, count))


def _odds_weights(odds: Floats, risen: Floats) -> tuple[float, list[float]]:
    """Weights from 0 to 1: what the bases say together is made no bolder than they are."""
    from scipy.optimize import minimize

    count = len(odds)

    def loss(given: Floats) -> tuple[float, Floats]:
        chance = logistic(given[0] + given[1:] @ odds)
        inside = np.clip(chance, 1e-9, 1 - 1e-9)
        value = -np.mean(risen * np.log(inside) + (1 - risen) * np.log(1 - inside))
        off = given[1:] - 1 / count
        slope = np.concatenate(([np.mean(chance - risen)], odds @ (chance - risen) / len(risen) + 2 * _SHRINK * off))
        return float(value + _SHRINK * off @ off), slope

    start = np.concatenate(([0.0], np.full(count, 1 / count)))
    bounds = [(-1.0, 1.0)] + [(0.0, 1.0)] * count
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return float(found[0]), found[1:].tolist()


def _simplex(loss: Callable[[Floats], float], count: int) -> list[float]:
    from scipy.optimize import minimize

    def weights_of(given: Floats) -> Floats:
        raised = np.exp(given - given.max())
        made: Floats = raised / raised.sum()
        return made

    def penalized(given: Floats) -> float:
        weights = weights_of(given)
        return loss(weights) + _SHRINK * float(((weights - 1 / count) ** 2).sum())

    corners = np.vstack((np.zeros(count), np.eye(count)))  # the default ones are 0.00025 apart: no way to go
    options = {"maxiter": 60 * count, "xatol": 1e-3, "initial_simplex": corners}
    found = minimize(penalized, np.zeros(count), method="Nelder-Mead", options=options)
    made: list[float] = weights_of(found.x).tolist()
    return made
