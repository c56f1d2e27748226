"""What a forecast would have earned: a replay of the rows it had not learned, after taker fees and spread. Pure.

The rule, stated before any result: whoever is flat buys when the forecast's median return is above what a round trip costs
(two fees and the spread); whoever holds sells when the median is below 0. Decisions are a horizon apart; each symbol has
an equal part of the money; no short sales, as on a spot market. `eager` is the same without regard to cost: in while
a rise is likelier than not. Buy and hold pays one round trip.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ml.dataset import DataSet
from ml.forecast import Floats, Forecast

TAKER_FEE: Final = 1e-3
"""The venue's base tier, 0.1 %."""
HALF_SPREAD: Final = 5e-5
"""Of the price, where rows tell no spread."""


class Curve(NamedTuple):
    ts_ns: npt.NDArray[np.int64]
    equity: Floats
    """1 at the start."""
    trades: int
    """Round trips."""


def replay(forecast: Forecast, data: DataSet, horizon_ns: int, fee: float = TAKER_FEE) -> dict[str, Curve]:
    """By strategy: `careful`, `eager`, `eager before costs`, `buy and hold`."""
    spread = data.features[:, data.names.index("spread")] / 2 if "spread" in data.names else None
    half = np.full(len(data.ts_ns), HALF_SPREAD) if spread is None else np.nan_to_num(spread, nan=HALF_SPREAD)
    cost = fee + half
    strategies = {
        "careful": (forecast.median > 2 * cost, forecast.median < 0, cost),
        "eager": (forecast.up > 0.5, forecast.up <= 0.5, cost),
        "eager before costs": (forecast.up > 0.5, forecast.up <= 0.5, np.zeros(len(cost))),
        "buy and hold": (np.ones(len(cost), bool), np.zeros(len(cost), bool), cost),
    }
    return {name: _curve(data, horizon_ns, *rule) for name, rule in strategies.items()}


def told(curves: dict[str, Curve]) -> dict[str, Any]:
    return {name: {"return": float(one.equity[-1] - 1), "trades": one.trades} for name, one in curves.items()}


def _curve(data: DataSet, horizon_ns: int, enter: Any, leave: Any, cost: Floats) -> Curve:
    times = np.unique(data.ts_ns)
    numbers = np.unique(data.symbol)
    total, trades = np.zeros(len(times)), 0
    for number in numbers:
        at = _apart(np.flatnonzero(data.symbol == number), data.ts_ns, horizon_ns)
        growth, count = _grown(enter[at], leave[at], cost[at], data.labels.returns[at])
        trades += count
        place = np.searchsorted(data.ends_ns[at], times, "right")
        total += np.concatenate(([1.0], growth))[place]
    return Curve(times, total / len(numbers), trades)


def _apart(rows: npt.NDArray[np.int64], ts_ns: npt.NDArray[np.int64], horizon_ns: int) -> npt.NDArray[np.int64]:
    """Rows at least a horizon apart, the first one first."""
    kept, free_ns = [], -(1 << 62)
    for row, at in zip(rows.tolist(), ts_ns[rows].tolist(), strict=True):
        if at >= free_ns:
            kept.append(row)
            free_ns = at + horizon_ns
    return np.array(kept, np.int64)


def _grown(enter: Any, leave: Any, cost: Floats, returns: Floats) -> tuple[Floats, int]:
    """Equity after each decision's horizon, as if sold then; and the round trips."""
    equity, holding, trades = 1.0, False, 0
    grown = np.empty(len(returns))
    for k in range(len(returns)):
        if holding and leave[k]:
            equity, holding = equity * (1 - cost[k]), False
        elif not holding and enter[k]:
            equity, holding, trades = equity * (1 - cost[k]), True, trades + 1
        if holding:
            equity *= 1 + returns[k]
        grown[k] = equity * (1 - cost[k]) if holding else equity
    return grown, trades
