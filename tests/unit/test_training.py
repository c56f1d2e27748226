"""Training from data to a registered model, on small histories with something to learn in them."""

import functools
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import asyncpg
import numpy as np
import pytest

from actors.model_registry import REPORT, ModelRegistry
from actors.training import Registered, register
from market.intervals import MINUTE_NS, SECOND_NS
from ml import bundle
from ml.dataset import DataSet, Labels
from ml.evaluation import Blocks, evaluated, losses
from ml.features import Candles, candle_rows
from ml.forecast import LEVELS, Floats, Forecast
from ml.leaks import LookAhead
from ml.money import replay
from ml.report import report
from ml.sources import Learned, check_candles, of_candles, of_files
from ml.training import TRAINED, Outcome, Wanted, fitted, named, train
from tests.unit.stored_world import database, served
from tests.unit.test_dataset import START_NS, candles

KINDS: Final = (*TRAINED, "stack")
HORIZON_NS: Final = 5 * MINUTE_NS


def wavy(n: int = 4000, seed: int = 1) -> Candles:
    """A market whose returns follow their own past, at volatilities that come in spells."""
    dice = np.random.default_rng(seed)
    volatility = 1e-3 * np.exp(0.8 * np.sin(np.arange(n) / 150))
    steps = volatility * dice.standard_normal(n)
    for k in range(1, n):
        steps[k] += 0.6 * steps[k - 1]
    close = 1000 * np.exp(np.cumsum(steps))
    wide = close * (1 + volatility)
    return Candles(START_NS + np.arange(n) * MINUTE_NS, close, wide, close / (1 + volatility), close, np.ones(n))


@functools.cache
def learned() -> Learned:
    return of_candles({"BTCUSDT": wavy(), "ETHUSDT": wavy(seed=2)}, MINUTE_NS, HORIZON_NS)


@functools.cache
def outcome() -> Outcome:
    return train(learned().data, Wanted(manifest=learned().manifest, folds=2, seed=7))


@pytest.mark.parametrize("kind", KINDS)
def test_what_can_be_learned_is_learned_and_kept(kind: str, tmp_path: Path) -> None:
    one = outcome().models[kind]
    assert one.metrics["better_than_naive"] == (kind != "naive"), one.metrics["against_naive"]
    if kind not in ("naive", "garch"):
        assert one.metrics["auc"][1] > 0.55
        assert "returns" in one.metrics["better_at"]
    if kind in ("xgboost", "forest", "stack"):
        assert "direction" in one.metrics["better_at"]
    bundle.save(one.model, tmp_path / "1")
    loaded = bundle.load(tmp_path / "1")
    rows = learned().data.features[:50].copy()
    rows[3, 2] = np.nan
    for ours, theirs in zip(one.model.predict(rows), loaded.predict(rows), strict=True):
        assert ours.tobytes() == theirs.tobytes()
        assert np.isfinite(ours).all()
    forecast = loaded.predict(rows)
    assert (forecast.low <= forecast.median).all()
    assert (forecast.median <= forecast.high).all()
    assert len(loaded.predict(rows[:0]).up) == 0


@pytest.mark.parametrize("kind", TRAINED)
def test_the_same_training_gives_the_same_bytes(kind: str) -> None:
    data, wanted = learned().data, Wanted(manifest=learned().manifest, seed=7)
    again = fitted(data, named(wanted, kind), np.arange(len(data.ts_ns)), {})
    assert again.files() == outcome().models[kind].model.files()


def test_search_sees_nothing_that_is_tested() -> None:
    data = learned().data
    seen: list[int] = []

    def runner(rows: DataSet, tasks: Any) -> Any:
        for number, (words, work, arguments) in enumerate(tasks):
            if words.endswith("search"):
                seen.append(int(rows.ends_ns[arguments[1].test].max()))
            yield number, work(rows, *arguments)

    found = train(data, Wanted(manifest=learned().manifest, kinds=("linear",), folds=2, search=2), runner)
    assert len(seen) == 3
    assert max(seen) < found.tested.ts_ns.min()
    assert set(found.models["linear"].metrics["parameters"]) <= {"penalty"}


def test_noise_is_not_called_knowledge() -> None:
    """Returns drawn after the fact: no model may say it is better at the direction."""
    data = learned().data
    dice = np.random.default_rng(3)
    returns = dice.permutation(data.labels.returns)
    labels = Labels(returns, (returns > 0).astype(float), dice.permutation(data.labels.volatility))
    wanted = Wanted(manifest=learned().manifest, kinds=("xgboost",), folds=2)
    found = train(data._replace(labels=labels), wanted)
    for kind in ("naive", "xgboost"):
        assert "direction" not in found.models[kind].metrics["better_at"]
        assert "returns" not in found.models[kind].metrics["better_at"]


def test_a_feature_that_looks_ahead_is_found() -> None:
    def ahead(known: Candles, width_ns: int) -> Floats:
        rows = candle_rows(known, width_ns)
        rows[:-1, 0] = known.close[1:] / known.close[:-1] - 1  # the next minute's return
        return rows

    check_candles(wavy(700))
    with pytest.raises(LookAhead, match="return_1"):
        check_candles(wavy(700), rows=ahead)


def test_training_looks_for_look_ahead_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def centred(known: Candles, width_ns: int) -> Floats:
        return candle_rows(known, width_ns) - np.nanmean(candle_rows(known, width_ns), axis=0)

    monkeypatch.setattr(check_candles, "__defaults__", (MINUTE_NS, centred))
    with pytest.raises(LookAhead):
        of_candles({"BTCUSDT": wavy(700)}, MINUTE_NS, HORIZON_NS)


def test_losses_and_intervals_are_those_of_the_textbook() -> None:
    n = 4000
    dice = np.random.default_rng(1)
    returns = dice.standard_normal(n) / 1e4
    labels = Labels(returns, (returns > 0).astype(float), np.abs(returns))
    ts_ns = START_NS + np.arange(n) * MINUTE_NS
    data = DataSet(("volatility_1",), np.ones((n, 1)), ts_ns, ts_ns + MINUTE_NS, labels, np.zeros(n, np.int64))
    low, median, high = (np.full(n, one) for one in np.quantile(returns, LEVELS))
    fair = Forecast(np.full(n, 0.5), low, median, high, np.full(n, 1e-4))
    knows = fair._replace(up=np.where(returns > 0, 0.8, 0.2))
    found = evaluated(knows, fair, data, MINUTE_NS)
    assert found["log_loss"][0] == pytest.approx(-np.log(0.8))
    assert found["brier"][0] == pytest.approx(0.04)
    assert found["auc"][0] == 1.0
    assert found["coverage"] == pytest.approx(LEVELS, abs=1e-3)
    assert found["ece"] == pytest.approx(0.2, abs=0.02)
    assert found["better_at"] == ["direction"]
    assert found["better_than_naive"]
    assert losses(fair, data)["direction"][0] == pytest.approx(np.log(2))
    interval = Blocks(ts_ns, MINUTE_NS).mean(returns * 1e4)
    assert interval.high - interval.low == pytest.approx(2 * 2.394 / np.sqrt(n), rel=0.4)


def test_money_pays_fees() -> None:
    n = 10
    returns = np.full(n, 0.01)
    ts_ns = START_NS + np.arange(n) * MINUTE_NS
    labels = Labels(returns, np.ones(n), returns)
    data = DataSet(("spread",), np.full((n, 1), 2e-3), ts_ns, ts_ns + MINUTE_NS, labels, np.zeros(n, np.int64))
    sure = Forecast(np.ones(n), returns, returns, returns, returns)
    curves = replay(sure, data, MINUTE_NS)
    for name in ("careful", "eager", "buy and hold"):
        assert curves[name].trades == 1
        assert curves[name].equity[-1] == pytest.approx(1.01**9 * (1 - 2e-3) ** 2)  # the tenth ends after the curve
    timid = sure._replace(median=np.full(n, 0.003))
    assert replay(timid, data, MINUTE_NS)["careful"].trades == 0, "less than a round trip costs"


def test_the_report_stands_alone() -> None:
    page = report(outcome(), learned().manifest)
    assert page.count("<svg") == 4
    assert not re.search(r"(src|href)=\"?http", page)
    assert "<script" not in page
    assert all(kind in page for kind in KINDS)


def test_short_histories_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^from: no row"):
        of_candles({"BTCUSDT": candles(200)}, MINUTE_NS, HORIZON_NS)
    with pytest.raises(ValueError, match=r"^horizon: "):
        of_candles({"BTCUSDT": candles(400)}, MINUTE_NS, 10 * SECOND_NS)
    with pytest.raises(ValueError, match=r"^from: "):
        of_files([tmp_path], HORIZON_NS)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from served(tmp_path_factory.mktemp("training"))


@pytest.fixture
async def registry(server: str, tmp_path: Path) -> AsyncIterator[ModelRegistry]:
    pool = await asyncpg.create_pool(await database(server), min_size=1, max_size=2)
    yield ModelRegistry(pool, tmp_path)
    await pool.close()


async def test_the_better_one_is_promoted_and_the_next_must_beat_it(registry: ModelRegistry) -> None:
    first: Registered = await register(registry, outcome(), learned())
    assert first.promoted is not None
    row = await registry.get(first.promoted)
    assert row.manifest.kind != "naive"
    assert (Path(row.folder) / REPORT).read_text().startswith("<!doctype html>")
    second = await register(registry, outcome(), learned())
    assert second.promoted is None
    assert "too few to compare" in second.reason, "it had learned every row"
    assert [one.version for one in await registry.promoted()] == [first.promoted]
