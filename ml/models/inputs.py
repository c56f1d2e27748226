"""Columns as a linear model or a network takes them: measured by their spread in training, nothing far out, no NaN. Pure."""

import re
from typing import Final

import msgspec
import numpy as np

from ml.forecast import Floats

_CLIP: Final = 5.0
"""Standard deviations."""
_WINDOWED: Final = re.compile(r"(.+?)_([0-9.]+)(s?)")


class Standard(msgspec.Struct, frozen=True):
    means: list[float]
    deviations: list[float]
    """Of a column that never changes: 1."""

    @classmethod
    def of(cls, rows: Floats) -> "Standard":
        known = np.where(np.isfinite(rows), rows, np.nan)
        never = ~np.isfinite(known).any(axis=0)
        known[:, never] = 0.0
        low, high = np.nanquantile(known, [0.005, 0.995], axis=0)
        inside = np.clip(known, low, high)
        deviations = np.nanstd(inside, axis=0)
        means = np.nanmean(inside, axis=0)
        return cls(means.tolist(), np.where(deviations > 1e-12, deviations, 1.0).tolist())

    def apply(self, rows: Floats) -> Floats:
        """What is not known counts as the mean."""
        scaled = (rows - np.array(self.means)) / np.array(self.deviations)
        made: Floats = np.clip(np.nan_to_num(scaled, nan=0.0, posinf=_CLIP, neginf=-_CLIP), -_CLIP, _CLIP)
        return made


def window_of(name: str) -> tuple[str, float] | None:
    """Stem and window of `return_15`, in candles, or of `volatility_5s`, in seconds."""
    found = _WINDOWED.fullmatch(name)
    return None if found is None else (found[1], float(found[2]))


def logistic(values: Floats) -> Floats:
    return 1.0 / (1.0 + np.exp(-np.clip(values, -30, 30)))


def logit(probabilities: Floats) -> Floats:
    inside = np.clip(probabilities, 1e-6, 1 - 1e-6)
    made: Floats = np.log(inside / (1 - inside))
    return made
