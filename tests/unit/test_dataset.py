"""Data sets of candles, their labels, and splits in which nothing tested was learned."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from market.intervals import MINUTE_NS
from ml.candle_files import read_feather
from ml.dataset import data_set, labels_of, together
from ml.features.candles import CANDLE_FEATURES, LOOKBACK, Candles
from ml.splits import walk_forward
from tests.unit.venue_recordings import recording

START_NS: Final = 29_000_000 * MINUTE_NS

Column = np.ndarray[Any, Any]


def candles(n: int = LOOKBACK + 60, hole: int | None = None, seed: int = 1) -> Candles:
    random = np.random.default_rng(seed)
    number = np.arange(n)
    if hole is not None:
        number[hole:] += 1
    close = (1000 + np.cumsum(random.integers(-3, 4, n))).astype(np.float64)
    volume = random.integers(0, 9, n).astype(np.float64)
    return Candles(START_NS + number * MINUTE_NS, close, close + 2, close - 2, close, volume)


def test_labels_are_what_came_after() -> None:
    given_ = candles(20)
    labels = labels_of(given_, MINUTE_NS, 3)
    close = given_.close
    for k in range(17):
        assert labels.returns[k] == close[k + 3] / close[k] - 1
        assert labels.direction[k] == (close[k + 3] > close[k])
        squares = [(close[j + 1] / close[j] - 1) ** 2 for j in range(k, k + 3)]
        assert labels.volatility[k] == pytest.approx(np.sqrt(sum(squares)))
    for column in labels:
        assert np.isnan(column[17:]).all()


def test_no_label_reaches_over_a_hole() -> None:
    labels = labels_of(candles(20, hole=10), MINUTE_NS, 3)
    assert np.flatnonzero(np.isnan(labels.returns)).tolist() == [7, 8, 9, 17, 18, 19]


@pytest.mark.parametrize("n", [0, 1, 3])
def test_a_history_shorter_than_the_horizon_has_no_labels(n: int) -> None:
    assert np.isnan(labels_of(candles(n), MINUTE_NS, 3).volatility).all()


def test_a_data_set_has_only_whole_rows() -> None:
    made = data_set(candles(), MINUTE_NS, 5)
    assert made.names == CANDLE_FEATURES
    assert made.features.shape == (60 - 5 + 1, len(CANDLE_FEATURES))
    assert np.isfinite(made.features).all()
    assert made.ts_ns[0] == START_NS + LOOKBACK * MINUTE_NS
    assert (made.ends_ns - made.ts_ns == 5 * MINUTE_NS).all()


def test_symbols_together_are_in_order_of_time() -> None:
    parts = [data_set(candles(seed=seed), MINUTE_NS, 5) for seed in (1, 2)]
    both = together(parts)
    assert len(both.ts_ns) == 2 * len(parts[0].ts_ns)
    assert (np.diff(both.ts_ns) >= 0).all()
    with pytest.raises(ValueError, match="parts"):
        together([])


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 8)), min_size=1, max_size=80),
    st.integers(1, 5), st.integers(0, 6), st.none() | st.integers(1, 60),
)  # fmt: skip
def test_nothing_tested_was_learned(
    rows: list[tuple[int, int]], folds: int, embargo: int, train_ns: int | None
) -> None:
    ts_ns = np.array([ts for ts, _ in rows], np.int64)
    ends_ns = ts_ns + np.array([after for _, after in rows], np.int64)
    try:
        splits = list(walk_forward(ts_ns, ends_ns, folds, embargo, train_ns))
    except ValueError:
        assume(False)
    assert len(splits) == folds
    for train, test in splits:
        begins = ts_ns[test].min()
        assert ends_ns[train].max() + embargo < begins
        assert ts_ns[train].max() < begins
        if train_ns is not None:
            assert ts_ns[train].min() >= begins - train_ns
    tested = np.concatenate([test for _, test in splits])
    assert len(np.unique(tested)) == len(tested)
    assert set(tested) == set(np.flatnonzero(ts_ns >= ts_ns[splits[0].test].min()))


def test_purge_and_embargo_take_no_more_than_they_must() -> None:
    ts_ns = np.arange(100, dtype=np.int64)
    splits = list(walk_forward(ts_ns, ts_ns + 5, folds=4, embargo_ns=10))
    assert [one.test.tolist() for one in splits] == [list(range(k, k + 20)) for k in (20, 40, 60, 80)]
    assert [one.train.tolist() for one in splits] == [list(range(k - 15)) for k in (20, 40, 60, 80)]


@pytest.mark.parametrize(
    ("named", "ends_after", "folds", "embargo_ns"),
    [("folds", 1, 0, 0), ("embargo_ns", 1, 2, -1), ("ends_ns", -1, 2, 0)],
)
def test_splits_that_make_no_sense_are_refused(named: str, ends_after: int, folds: int, embargo_ns: int) -> None:
    ts_ns = np.arange(50, dtype=np.int64)
    with pytest.raises(ValueError, match=f"^{named}: "):
        list(walk_forward(ts_ns, ts_ns + ends_after, folds, embargo_ns))


def written(folder: Path, columns: dict[str, Any]) -> Path:
    import pyarrow as pa
    from pyarrow import feather

    feather.write_feather(pa.table(columns), folder / "some.feather")
    return folder / "some.feather"


def columns_of(given_: Candles) -> dict[str, Any]:
    return {
        "date": given_.open_ns.astype("datetime64[ns]"),
        **{name: getattr(given_, name) for name in given_._fields[1:]},
    }


def test_a_feather_file_is_read_as_it_is(tmp_path: Path) -> None:
    given_ = candles(30)
    read = read_feather(written(tmp_path, columns_of(given_)), first=10, count=5)
    for ours, theirs in zip(read, given_.part(10, 15), strict=True):
        assert ours.tolist() == theirs.tolist()


@pytest.mark.parametrize("wrong", ["volume", "date", "low"])
def test_a_bad_feather_file_is_refused(tmp_path: Path, wrong: str) -> None:
    columns = columns_of(candles(30))
    if wrong == "volume":
        del columns[wrong]
    else:
        columns[wrong] = columns[wrong][::-1] if wrong == "date" else -columns[wrong]
    with pytest.raises(ValueError, match=f"^{wrong}: "):
        read_feather(written(tmp_path, columns))


def test_real_minutes() -> None:
    path = recording("dcatp_binance_1m/BTC_USDT_USDT-1m-futures.feather")
    made = data_set(read_feather(path, first=10_000, count=1000), MINUTE_NS, 15)
    assert made.features.shape == (1000 - LOOKBACK + 1 - 15, len(CANDLE_FEATURES))
    assert 0.3 < made.labels.direction.mean() < 0.7
    bounded = [made.names.index(name) for name in ("rsi_14", "mfi_14", "stoch_k", "adx_14")]
    assert (made.features[:, bounded] >= 0).all()
    assert (made.features[:, bounded] <= 1 + 1e-9).all()
    splits = list(walk_forward(made.ts_ns, made.ends_ns, folds=3, embargo_ns=15 * MINUTE_NS))
    assert all(made.ends_ns[train].max() < made.ts_ns[test].min() for train, test in splits)
