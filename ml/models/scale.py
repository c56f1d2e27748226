"""How much a row's own past says a return may be: what targets are measured by. Pure."""

import re
from typing import Final

import msgspec
import numpy as np

from market.intervals import SECOND_NS
from ml.forecast import Floats, Manifest

_VOLATILITY: Final = re.compile(r"volatility_([0-9.]+)(s?)")


class Scale(msgspec.Struct, frozen=True):
    """The newest realised volatility, brought to the horizon by the square root of time."""

    column: int
    """Of the row: a realised volatility."""
    factor: float
    """Root of horizon / window."""
    floor: float
    """Returns per horizon; below it nothing is measured."""
    typical: float
    """Where the row does not know."""

    def of(self, rows: Floats) -> Floats:
        last = rows[:, self.column] * self.factor
        return np.where(np.isfinite(last), np.maximum(last, self.floor), self.typical)


def scale_of(manifest: Manifest, rows: Floats) -> Scale:
    """Of training rows: the volatility whose window is nearest to the horizon, in ratio."""
    column, window_ns = min(volatility_windows(manifest), key=lambda one: abs(np.log(one[1] / manifest.horizon_ns)))
    factor = float(np.sqrt(manifest.horizon_ns / window_ns))
    last = rows[:, column] * factor
    known = last[np.isfinite(last) & (last > 0)]
    typical = float(np.median(known)) if len(known) else 1e-6
    return Scale(column, factor, typical / 10, typical)


def volatility_windows(manifest: Manifest) -> list[tuple[int, int]]:
    """Column and window in nanoseconds, of each realised volatility in a row. ValueError when there is none."""
    found = []
    for column, name in enumerate(manifest.features):
        matched = _VOLATILITY.fullmatch(name)
        if matched is not None:
            unit = SECOND_NS if matched[2] else manifest.width_ns
            found.append((column, round(float(matched[1]) * unit)))
    if not found:
        raise ValueError("features: no volatility_N among them; a model measures returns by one")
    return found
