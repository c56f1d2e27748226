"""The LSTM of the extra `raypit[lstm]`: what only a memory can know, on a small made-up history."""

import functools
import sys
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import pytest

from actors.model_registry import ModelRow, NotServed, refuse_sequences
from actors.model_shelf import ModelShelf, Registry
from market.intervals import MINUTE_NS
from ml import bundle
from ml.dataset import DataSet, Labels, together
from ml.forecast import Manifest
from ml.models.lstm import LstmUnavailable
from ml.sequences import NONE, gathered, last_rows
from ml.training import Wanted, fitted, train

LAG: Final = 3
"""Rows ago that the market told what it will do."""
SMALL: Final[dict[str, Any]] = {"length": 8, "hidden": 12, "eta": 2e-2, "epochs": 12, "batch": 64, "patience": 6}
MANIFEST: Final = Manifest(
    name="lstm-1m", kind="lstm", horizon_ns=MINUTE_NS, source="candles", width_ns=MINUTE_NS,
    features=("return_1", "volatility_1"), symbols=("BTCUSDT", "ETHUSDT"), from_ns=1, to_ns=2, seed=3,
)  # fmt: skip


@pytest.fixture
def extra() -> None:
    for name in ("torch", "safetensors"):
        pytest.importorskip(name, reason="needs raypit[lstm]")


def one_symbol(seed: int, n: int = 1500) -> DataSet:
    dice = np.random.default_rng(seed)
    told = dice.standard_normal(n)
    risen = np.r_[np.zeros(LAG), told[:-LAG]] > 0
    returns = 1e-3 * np.where(risen, 1.0, -1.0) * (1 + np.abs(dice.standard_normal(n)))
    ts_ns = (1 + np.arange(n)) * MINUTE_NS
    features = np.column_stack((1e-3 * told, np.full(n, 1e-3) * np.exp(0.1 * dice.standard_normal(n))))
    labels = Labels(returns, risen.astype(np.float64), np.abs(returns))
    return DataSet(MANIFEST.features, features, ts_ns, ts_ns + MINUTE_NS, labels, np.zeros(n, np.int64))


@functools.cache
def history() -> DataSet:
    return together([one_symbol(1), one_symbol(2)])


def learned() -> Any:
    return fitted(history(), MANIFEST, np.arange(2000), SMALL)


@functools.cache
def first() -> Any:
    return learned()


TESTED: Final = np.arange(2100, 3000)


def test_sequences_stay_with_their_symbol_and_end_at_holes() -> None:
    data = together([one_symbol(1, 6), one_symbol(2, 6)])
    assert last_rows(data, 3)[[0, 1, 4, 5]].tolist() == [[NONE, NONE, 0], [NONE, NONE, 1], [0, 2, 4], [1, 3, 5]]
    holed = data.rows(np.array([0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11]))  # row 6 is away: of the first symbol
    assert last_rows(holed, 3)[7].tolist() == [NONE, NONE, 7]
    assert last_rows(holed, 3)[8].tolist() == [4 + 1, 6, 8]
    found = gathered(holed.features, last_rows(holed, 3))
    assert np.isnan(found[7, :2]).all()
    assert found[7, 2].tolist() == holed.features[7].tolist()


@pytest.mark.usefixtures("extra")
def test_it_learns_what_was_told_some_rows_ago() -> None:
    tested = history().rows(TESTED)
    said = first().predict_rows(history(), TESTED)
    assert ((said.up > 0.5) == (tested.labels.direction > 0.5)).mean() > 0.9
    assert np.corrcoef(said.median, tested.labels.returns)[0, 1] > 0.6
    assert (said.low <= said.median).all()
    assert (said.median <= said.high).all()
    assert (said.volatility > 0).all()


@pytest.mark.usefixtures("extra")
def test_the_future_changes_nothing() -> None:
    spoiled = history()._replace(features=history().features.copy())
    spoiled.features[2500:] = 1.0
    before = np.arange(2400, 2500)
    for ours, theirs in zip(
        first().predict_rows(history(), before), first().predict_rows(spoiled, before), strict=True
    ):
        assert ours.tobytes() == theirs.tobytes()


@pytest.mark.usefixtures("extra")
def test_what_is_loaded_forecasts_the_same(tmp_path: Path) -> None:
    bundle.save(first(), tmp_path / "1")
    assert sorted(one.name for one in (tmp_path / "1").iterdir()) == ["lstm.json", "lstm.safetensors", bundle.MANIFEST]
    loaded: Any = bundle.load(tmp_path / "1")
    rows = gathered(history().features, last_rows(history(), 8)[:50])
    flat = rows.reshape(50, -1)
    for ours, theirs, same in zip(first().predict(rows), loaded.predict(rows), loaded.predict(flat), strict=True):
        assert np.isfinite(ours).all()
        assert ours.tobytes() == theirs.tobytes() == same.tobytes()
    assert len(loaded.predict(rows[:0]).up) == 0
    with pytest.raises(ValueError, match=r"takes the last 8 rows of each symbol: \[n, 8, 2\]"):
        loaded.predict(history().features[:3])
    files = first().files()
    for broken in (b"no weights", files["lstm.safetensors"][:-8]):
        with pytest.raises(ValueError, match=r"safetensors: .*train or restore"):
            bundle.model_of(MANIFEST, files | {"lstm.safetensors": broken})


@pytest.mark.usefixtures("extra")
def test_the_same_seed_gives_the_same_bytes() -> None:
    assert learned().files() == first().files()


@pytest.mark.usefixtures("extra")
def test_it_is_trained_beside_others_and_no_part_of_their_stack() -> None:
    few = history().rows(np.arange(400))
    outcome = train(few, Wanted(manifest=MANIFEST, kinds=("forest", "lstm"), folds=1, seed=3))
    assert list(outcome.models) == ["naive", "forest", "lstm"]
    assert np.isfinite(outcome.models["lstm"].metrics["log_loss"]).all()


async def test_it_is_not_served(tmp_path: Path) -> None:
    with pytest.raises(NotServed, match=r"7 \(lstm-1m\) takes a sequence of rows.*promote another"):
        refuse_sequences(MANIFEST, 7)

    class Kept:
        async def promoted(self) -> list[ModelRow]:
            return [ModelRow(7, MANIFEST, 1, 2, str(tmp_path))]

    shelf = ModelShelf(cast(Registry, Kept()))
    await shelf.poll()
    assert shelf.promoted == ()
    assert "takes a sequence of rows" in shelf.failed[7]


def test_without_torch_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(LstmUnavailable, match=r"lstm: \w+ is not installed; `pip install 'raypit\[lstm\]'`"):
        train(history(), Wanted(manifest=MANIFEST, kinds=("lstm",), folds=1))
