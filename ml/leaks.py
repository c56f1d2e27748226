"""Does a feature look ahead? Cut the future away and see whether the past changes. Pure.

What is computed at a time t of a whole history must be, to the last bit, what is computed of the history that ends at t.
Centred windows, statistics of the whole sample, back-filled gaps and labels among the features all fail that.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]
History = TypeVar("History")


class Leak(NamedTuple):
    """One column that knew the future."""

    name: str
    ts_ns: int
    """The first time found."""
    with_future: float
    without: float


class LookAhead(ValueError):
    """Features that cannot be had when they are needed."""

    def __init__(self, leaks: Sequence[Leak]) -> None:
        told = "; ".join(
            f"{one.name} at {one.ts_ns} is {one.without!r}, but {one.with_future!r} once the future is there"
            for one in leaks
        )
        super().__init__(f"features: {told}. Use only what is known at the row's time")
        self.leaks = tuple(leaks)


def leaks(
    compute: Callable[[History, Times], Floats],
    history: History,
    cut: Callable[[History, int], History],
    at_ns: npt.ArrayLike,
    names: Sequence[str] = (),
) -> list[Leak]:
    """Columns of `compute(history, times)`, float64[n, columns], that differ when only `cut(history, t)` is known at t.

    The history is cut at each of `at_ns`, and every row until then is compared. NaN equals NaN.
    """
    times = np.unique(np.asarray(at_ns, np.int64))
    whole = compute(history, times)
    found: dict[int, Leak] = {}
    for k, ts_ns in enumerate(times):
        part = compute(cut(history, int(ts_ns)), times[: k + 1])
        if part.shape != whole[: k + 1].shape:
            raise ValueError(f"compute: gives {part.shape} for {k + 1} times, not {whole[: k + 1].shape}")
        wrong = (part != whole[: k + 1]) & ~(np.isnan(part) & np.isnan(whole[: k + 1]))
        for column in np.flatnonzero(wrong.any(axis=0)).tolist():
            row = int(np.argmax(wrong[:, column]))
            name = names[column] if names else f"column {column}"
            leak = Leak(name, int(times[row]), float(whole[row, column]), float(part[row, column]))
            found.setdefault(column, leak)
    return [found[column] for column in sorted(found)]


def assert_no_leak(
    compute: Callable[[History, Times], Floats],
    history: History,
    cut: Callable[[History, int], History],
    at_ns: npt.ArrayLike,
    names: Sequence[str] = (),
) -> None:
    """Raises LookAhead that names each feature that looks ahead."""
    found = leaks(compute, history, cut, at_ns, names)
    if found:
        raise LookAhead(found)
