"""What needs no model: the base rate, the empirical quantiles, the last volatility. All others are compared with it."""

from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np

from ml.dataset import DataSet
from ml.forecast import LEVELS, Floats, Forecast, Manifest, checked
from ml.models.scale import Scale, scale_of

_FILE: Final = "naive.json"


class Parameters(msgspec.Struct, frozen=True):
    base_rate: float
    quantiles: tuple[float, float, float]
    scale: Scale


class Naive:
    """Says the same of every row, but for the volatility: that stays what it was last."""

    def __init__(self, manifest: Manifest, parameters: Parameters) -> None:
        self.manifest = manifest
        self.parameters: Final = parameters

    @classmethod
    def of(cls, manifest: Manifest, files: Mapping[str, bytes]) -> "Naive":
        return cls(manifest, msgspec.json.decode(files[_FILE], type=Parameters))

    @classmethod
    def fit(cls, manifest: Manifest, train: DataSet) -> "Naive":
        low, median, high = np.quantile(train.labels.returns, LEVELS).tolist()
        rate = float(train.labels.direction.mean())
        return cls(manifest, Parameters(rate, (low, median, high), scale_of(manifest, train.features)))

    def files(self) -> dict[str, bytes]:
        return {_FILE: msgspec.json.format(msgspec.json.encode(self.parameters))}

    def predict(self, rows: Floats) -> Forecast:
        rows = checked(rows, self.manifest)
        n, known = len(rows), self.parameters
        low, median, high = (np.full(n, one) for one in known.quantiles)
        return Forecast(np.full(n, known.base_rate), low, median, high, known.scale.of(rows))
