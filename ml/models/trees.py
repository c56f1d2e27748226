"""Gradient-boosted trees and random forests of XGBoost (Chen and Guestrin 2016), kept as UBJ.

Three boosters: direction by log-loss, three return quantiles by pinball loss, log volatility by squared error. Returns
and volatility are learned as multiples of the row's last volatility, so that one tree serves calm and wild hours.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np
import xgboost

from ml.dataset import DataSet
from ml.forecast import LEVELS, Floats, Forecast, Manifest, checked, in_order
from ml.models.scale import Scale, scale_of

_SCALE: Final = "scale.json"
_TARGETS: Final = ("up", "quantiles", "volatility")
_OBJECTIVES: Final[dict[str, dict[str, Any]]] = {
    "up": {"objective": "binary:logistic", "eval_metric": "logloss"},
    "quantiles": {"objective": "reg:quantileerror", "quantile_alpha": list(LEVELS), "eval_metric": "quantile"},
    "volatility": {"objective": "reg:squarederror", "eval_metric": "rmse"},
}
BOOSTED: Final[dict[str, Any]] = {
    "rounds": 400, "patience": 25, "eta": 0.05, "max_depth": 4, "min_child_weight": 50.0, "subsample": 0.7,
    "colsample_bytree": 0.7, "lambda": 5.0,
}  # fmt: skip
"""Trained until `patience` rounds brought the validation part nothing, at most `rounds`."""
FOREST: Final[dict[str, Any]] = {
    "rounds": 1, "patience": 0, "eta": 1.0, "num_parallel_tree": 100, "max_depth": 8, "min_child_weight": 50.0,
    "subsample": 0.63, "colsample_bynode": 0.3, "lambda": 1.0,
}  # fmt: skip
_CLIP: Final = 20.0
"""Last volatilities; a return beyond that teaches a tree nothing but itself."""


class Trees:
    def __init__(self, manifest: Manifest, scale: Scale, boosters: Mapping[str, xgboost.Booster]) -> None:
        self.manifest = manifest
        self.scale: Final = scale
        self._boosters: Final = dict(boosters)
        for booster in self._boosters.values():
            booster.set_param({"nthread": 1})

    @classmethod
    def of(cls, manifest: Manifest, files: Mapping[str, bytes]) -> "Trees":
        boosters = {name: xgboost.Booster(model_file=bytearray(files[f"{name}.ubj"])) for name in _TARGETS}
        return cls(manifest, msgspec.json.decode(files[_SCALE], type=Scale), boosters)

    @classmethod
    def fit(
        cls, manifest: Manifest, train: DataSet, valid: DataSet, parameters: Mapping[str, Any] | None = None
    ) -> "Trees":
        """`valid` says when to stop, and comes after `train`."""
        given = (FOREST if manifest.kind == "forest" else BOOSTED) | dict(parameters or {})
        scale = scale_of(manifest, train.features)
        learned, checked_ = _targets(train, scale), _targets(valid, scale)
        boosters = {}
        for name in _TARGETS:
            matrix = xgboost.QuantileDMatrix(train.features, learned[name], nthread=1)
            against = xgboost.QuantileDMatrix(valid.features, checked_[name], ref=matrix, nthread=1)
            boosters[name] = _boosted(_OBJECTIVES[name], given, manifest.seed, matrix, against)
        return cls(manifest, scale, boosters)

    def files(self) -> dict[str, bytes]:
        kept = {f"{name}.ubj": bytes(one.save_raw("ubj")) for name, one in self._boosters.items()}
        return {**kept, _SCALE: msgspec.json.format(msgspec.json.encode(self.scale))}

    def predict(self, rows: Floats) -> Forecast:
        rows = checked(rows, self.manifest)
        if not len(rows):
            return Forecast(*np.empty((len(Forecast._fields), 0)))
        up, quantiles, volatility = (
            np.asarray(self._boosters[name].inplace_predict(rows), np.float64) for name in _TARGETS
        )
        scale = self.scale.of(rows)
        low, median, high = in_order(*(quantiles.T * scale))
        return Forecast(up, low, median, high, np.exp(volatility) * scale)


def _targets(data: DataSet, scale: Scale) -> dict[str, Floats]:
    sigma = scale.of(data.features)
    volatility = np.maximum(data.labels.volatility, scale.floor)
    return {
        "up": data.labels.direction,
        "quantiles": np.clip(data.labels.returns / sigma, -_CLIP, _CLIP),
        "volatility": np.log(volatility / sigma),
    }


def _boosted(
    objective: Mapping[str, Any],
    given: Mapping[str, Any],
    seed: int,
    train: xgboost.DMatrix,
    valid: xgboost.DMatrix,
) -> xgboost.Booster:
    own = {name: value for name, value in given.items() if name not in ("rounds", "patience")}
    # One thread: sums of floats in another order are other trees.
    parameters = {**objective, **own, "tree_method": "hist", "seed": seed, "nthread": 1, "verbosity": 0}
    patience = int(given["patience"])
    booster = xgboost.train(
        parameters, train, num_boost_round=int(given["rounds"]), evals=[(valid, "valid")],
        early_stopping_rounds=patience or None, verbose_eval=False,
    )  # fmt: skip
    return booster[: booster.best_iteration + 1] if patience else booster
