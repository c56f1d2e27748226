"""Rows as sequences: each with the rows of its symbol that came before it, for models with memory. Pure."""

from typing import Final

import numpy as np
import numpy.typing as npt

from ml.dataset import DataSet
from ml.forecast import Floats

Integers = npt.NDArray[np.int64]

NONE: Final = -1
"""In place of a row's number: the history begins later, or has a hole there."""
_HOLE: Final = 1.5
"""Usual distances between two rows; what comes after more begins anew."""


def last_rows(data: DataSet, length: int) -> Integers:
    """[n, length]: the numbers of each row and of those of its symbol before it, itself last."""
    found = np.full((len(data.ts_ns), length), NONE, np.int64)
    for symbol in np.unique(data.symbol):
        of_one = np.flatnonzero(data.symbol == symbol)
        apart = np.diff(data.ts_ns[of_one])
        begins = np.zeros(len(of_one), np.int64)
        if len(apart):
            holes = np.flatnonzero(apart > _HOLE * np.median(apart)) + 1
            begins[holes] = holes
        at = np.arange(len(of_one))[:, None] - np.arange(length - 1, -1, -1)
        there = at >= np.maximum.accumulate(begins)[:, None]
        found[of_one] = np.where(there, of_one[np.maximum(at, 0)], NONE)
    return found


def gathered(features: Floats, numbers: Integers) -> Floats:
    """[n, length, columns] of numbers [n, length]; NaN where there is no row."""
    made: Floats = features[numbers]
    made[numbers == NONE] = np.nan
    return made
