"""A gradient-boosted model of noise: as large and as fast as one of a market, and good for nothing else."""

import numpy as np

from market.intervals import MINUTE_NS
from ml.dataset import DataSet, Labels
from ml.features import CANDLE_FEATURES
from ml.forecast import Manifest
from ml.live_scores import DRIFT_KEY, distribution
from ml.models.trees import Trees

HORIZON_NS = 15 * MINUTE_NS


def synthetic_model(rounds: int, seed: int = 1, rows: int = 2000) -> Trees:
    """Three boosters of so many trees each (quantiles three times as many), depth 4; trained in a second or some."""
    made = np.random.default_rng(seed)
    features = made.standard_normal((rows, len(CANDLE_FEATURES))) * 1e-3
    features[:, [CANDLE_FEATURES.index(f"volatility_{n}") for n in (15, 60, 240)]] = np.abs(
        made.standard_normal((rows, 3)) * 1e-3 + 2e-3
    )
    returns = made.standard_normal(rows) * 1e-3
    labels = Labels(returns, (returns > 0).astype(np.float64), np.abs(returns) + 1e-4)
    times = np.arange(rows, dtype=np.int64) * MINUTE_NS
    data = DataSet(CANDLE_FEATURES, features, times, times + HORIZON_NS, labels, np.zeros(rows, np.int64))
    manifest = Manifest(
        name="xgboost-15m",
        kind="xgboost",
        horizon_ns=HORIZON_NS,
        source="candles",
        width_ns=MINUTE_NS,
        features=CANDLE_FEATURES,
        symbols=(),
        from_ns=0,
        to_ns=int(times[-1]),
        seed=seed,
        metrics={"better_than_naive": False, DRIFT_KEY: distribution(CANDLE_FEATURES, features)},
    )
    last = rows * 4 // 5
    train, valid = data.rows(np.arange(last)), data.rows(np.arange(last, rows))
    return Trees.fit(manifest, train, valid, {"rounds": rounds, "patience": 0, "min_child_weight": 1.0})
