"""Walk-forward splits that keep what is tested out of what is learned (Lopez de Prado 2018, chapter 7). Pure."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]


class Split(NamedTuple):
    """Row numbers, ascending."""

    train: Integers
    test: Integers


def walk_forward(
    ts_ns: Integers, ends_ns: Integers, folds: int, embargo_ns: int = 0, train_ns: int | None = None
) -> Iterator[Split]:
    """`folds` tests, each trained on the past alone. Row k is of the time ts_ns[k], its label is known at ends_ns[k].

    The rows' times are cut into `folds` + 1 parts of about the same number of rows; all but the first are tests.
    Purged: a row whose label was not known when the test began is not trained on. Embargoed: nor one whose label became
    known within `embargo_ns` before that. `train_ns`: train only on rows of so long before the test; None: on all.
    Rows may be in any order and share times (several symbols): a time is never on both sides.
    Raises ValueError naming what is wrong, an empty side included.
    """
    if folds < 1:
        raise ValueError(f"folds: {folds} is less than 1")
    if embargo_ns < 0:
        raise ValueError(f"embargo_ns: {embargo_ns} is less than 0")
    if ts_ns.shape != ends_ns.shape or (ends_ns < ts_ns).any():
        raise ValueError("ends_ns: one for each of ts_ns, and none before it")
    ordered = np.sort(ts_ns)
    edges = [int(ordered[len(ordered) * k // (folds + 1)]) for k in range(1, folds + 1)] if len(ordered) else []
    if len(set(edges)) < folds:
        raise ValueError(f"folds: {len(np.unique(ts_ns))} times are too few for {folds}")
    for k, edge in enumerate(edges):
        tested = ts_ns >= edge
        if k + 1 < folds:
            tested &= ts_ns < edges[k + 1]
        trained = (ts_ns < edge) & (ends_ns < edge - embargo_ns)
        if train_ns is not None:
            trained &= ts_ns >= edge - train_ns
        split = Split(np.flatnonzero(trained), np.flatnonzero(tested))
        if not len(split.train) or not len(split.test):
            raise ValueError(f"folds: nothing is left to train on or to test in fold {k + 1} of {folds}; take fewer")
        yield split
