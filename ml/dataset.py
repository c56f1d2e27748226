"""Rows to learn from: features of candles, and labels of what came after. Pure."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ml.features.candles import CANDLE_FEATURES, Candles, candle_rows

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class Labels(NamedTuple):
    """What came in the `horizon` candles after a row; NaN where a candle is missing, or the history has ended."""

    returns: Floats
    """Close then / close at the row - 1."""
    direction: Floats
    """1: it rose; 0: it fell or stayed."""
    volatility: Floats
    """Root of the sum of squared one-candle returns."""


class DataSet(NamedTuple):
    """n rows in order of time; every feature window and every label is whole."""

    names: tuple[str, ...]
    """Of the columns."""
    features: Floats
    """[n, len(names)]"""
    ts_ns: Integers
    """When the row was known: its candle's close."""
    ends_ns: Integers
    """When its labels were known."""
    labels: Labels

    def rows(self, which: npt.NDArray[Any]) -> "DataSet":
        """Some of them, by number or by mask."""
        labels = Labels(*(column[which] for column in self.labels))
        return DataSet(self.names, self.features[which], self.ts_ns[which], self.ends_ns[which], labels)


def labels_of(candles: Candles, width_ns: int, horizon: int) -> Labels:
    """[n] of n candles. ValueError when `horizon` (candles) is not at least 1."""
    if horizon < 1:
        raise ValueError(f"horizon: {horizon} candles is less than 1")
    n = len(candles.close)
    returns, direction, volatility = (np.full(n, np.nan) for _ in Labels._fields)
    at = np.arange(max(n - horizon, 0))
    at = at[candles.open_ns[at + horizon] - candles.open_ns[at] == horizon * width_ns]
    returns[at] = candles.close[at + horizon] / candles.close[at] - 1
    direction[at] = returns[at] > 0
    if len(at):
        steps = candles.close[1:] / candles.close[:-1] - 1
        windows = np.lib.stride_tricks.sliding_window_view(steps * steps, horizon)
        volatility[at] = np.sqrt(windows[at].sum(axis=1))
    return Labels(returns, direction, volatility)


def data_set(candles: Candles, width_ns: int, horizon: int) -> DataSet:
    """Of one symbol; without the rows whose features or labels are not whole."""
    features = candle_rows(candles, width_ns)
    labels = labels_of(candles, width_ns, horizon)
    ts_ns = candles.open_ns + width_ns
    made = DataSet(CANDLE_FEATURES, features, ts_ns, ts_ns + horizon * width_ns, labels)
    return made.rows(np.isfinite(features).all(axis=1) & np.isfinite(labels.returns))


def together(parts: Sequence[DataSet]) -> DataSet:
    """Several symbols' rows as one data set, by time; the features have no unit. ValueError of none, or other names."""
    if not parts or any(one.names != parts[0].names for one in parts):
        raise ValueError("parts: at least one data set, and all of the same features")
    labels = Labels(*(np.concatenate(columns) for columns in zip(*(one.labels for one in parts), strict=True)))
    features, ts_ns, ends_ns = (
        np.concatenate([getattr(one, name) for one in parts]) for name in ("features", "ts_ns", "ends_ns")
    )
    joined = DataSet(parts[0].names, features, ts_ns, ends_ns, labels)
    return joined.rows(np.argsort(ts_ns, kind="stable"))
