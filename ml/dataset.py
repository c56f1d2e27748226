"""Rows to learn from: features of candles or events, and labels of what came after. Pure."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ml.features.batch import feature_rows, mids_of
from ml.features.candles import CANDLE_FEATURES, Candles, candle_rows
from ml.features.events import Events
from ml.features.formulas import RETURN_SCALE
from ml.features.spec import FeatureSpec

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class Labels(NamedTuple):
    """What came in the horizon after a row; NaN where a candle is missing, or the history has ended."""

    returns: Floats
    """Price then / price at the row - 1: of closes, or of mids."""
    direction: Floats
    """1: it rose; 0: it fell or stayed."""
    volatility: Floats
    """Root of the sum of squared returns, candle by candle or step by step."""


class DataSet(NamedTuple):
    """n rows in order of time; every label is whole."""

    names: tuple[str, ...]
    """Of the columns."""
    features: Floats
    """[n, len(names)]"""
    ts_ns: Integers
    """When the row was known."""
    ends_ns: Integers
    """When its labels were known."""
    labels: Labels
    symbol: Integers
    """Number of the row's symbol, in the order they were given to `together`."""

    def rows(self, which: npt.NDArray[Any]) -> "DataSet":
        """Some of them, by number or by mask."""
        labels = Labels(*(column[which] for column in self.labels))
        return DataSet(
            self.names, self.features[which], self.ts_ns[which], self.ends_ns[which], labels, self.symbol[which]
        )  # fmt: skip


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
    made = DataSet(
        CANDLE_FEATURES, features, ts_ns, ts_ns + horizon * width_ns, labels, np.zeros(len(ts_ns), np.int64)
    )  # fmt: skip
    return made.rows(np.isfinite(features).all(axis=1) & np.isfinite(labels.returns))


def event_set(events: Events, spec: FeatureSpec, horizon_ns: int, every_ns: int) -> DataSet:
    """Of one symbol, a row at each whole multiple of `every_ns`; prices are mids, volatility is by step of `spec`.

    Without the rows whose longest window or horizon is not whole, or whose mids are not known; of what a row says NaN
    may be left. ValueError where `horizon_ns` or `every_ns` are not whole steps.
    """
    for name, given in (("horizon_ns", horizon_ns), ("every_ns", every_ns)):
        if given <= 0 or given % spec.step_ns:
            raise ValueError(f"{name}: {given} is not a whole number of steps of {spec.step_ns} ns")
    known = [one["ts_ns"] for one in events if len(one)]
    first_ns = max((int(one[0]) for one in known), default=0) + spec.windows_ns[-1]
    last_ns = max((int(one[-1]) for one in known), default=0) - horizon_ns
    at = np.arange(-(-first_ns // every_ns), last_ns // every_ns + 1, dtype=np.int64) * every_ns
    mids, squares = mids_of(events, np.concatenate((at, at + horizon_ns)), spec)
    now, then = mids[: len(at)], mids[len(at) :]
    with np.errstate(invalid="ignore"):
        returns = then / now - 1
    volatility = np.sqrt((squares[len(at) :] - squares[: len(at)]).astype(np.float64)) / RETURN_SCALE
    labels = Labels(returns, (returns > 0).astype(np.float64), volatility)
    made = DataSet(spec.names, feature_rows(events, at, spec), at, at + horizon_ns, labels, np.zeros(len(at), np.int64))
    return made.rows(np.isfinite(returns))


def together(parts: Sequence[DataSet]) -> DataSet:
    """Several symbols' rows as one data set, by time; the features have no unit. ValueError of none, or other names."""
    if not parts or any(one.names != parts[0].names for one in parts):
        raise ValueError("parts: at least one data set, and all of the same features")
    labels = Labels(*(np.concatenate(columns) for columns in zip(*(one.labels for one in parts), strict=True)))
    features, ts_ns, ends_ns = (
        np.concatenate([getattr(one, name) for one in parts]) for name in ("features", "ts_ns", "ends_ns")
    )
    symbol = np.repeat(np.arange(len(parts)), [len(one.ts_ns) for one in parts])
    joined = DataSet(parts[0].names, features, ts_ns, ends_ns, labels, symbol)
    return joined.rows(np.argsort(ts_ns, kind="stable"))
