"""Parts of the predictor by themselves: batches, the hot swap, scores, drift, the state of a market, own models."""

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import numpy as np
import pytest
from ray.serve.config import AutoscalingContext

from actors.config import Settings
from actors.event_feed import EventFeed
from actors.micro_batches import INLINE_ROWS, LONE_ROWS, PIECE_ROWS, WAITING_ROWS, MicroBatcher, TooManyRows
from actors.model_registry import ModelRow, NoSuchModel
from actors.model_shelf import DEFAULT_HORIZONS, Entry, ModelShelf, ensure_default, untrained
from actors.stream_demand import channel_of
from bench.synthetic_model import synthetic_model
from market.enums import Side
from market.intervals import MINUTE_NS, SECOND_NS
from market.universe import instruments
from ml import bundle
from ml.features import CANDLE_FEATURES, Candles, Depth, FeatureSpec, FeatureStream, Quote, Trade, candle_rows
from ml.features.candles import LOOKBACK
from ml.forecast import Floats, Forecast, Manifest, SavedModel
from ml.live_scores import DRIFT_KEY, SCORES, Drift, distribution, score_sums
from ml.local_model import LocalModel
from ml.market_state import LEAST_CANDLES, correlation, market_state
from serve.predictor import replicas_wanted

WIDTH: Final = len(CANDLE_FEATURES)


def rows_of(n: int, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).standard_normal((n, WIDTH)) * 1e-3


# -- batches ----------------------------------------------------------------------------------------------------------


class Counting:
    """Says of each row its first figure; keeps the sizes of its batches, and waits while it is held."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.go = threading.Event()
        self.go.set()
        self.manifest = untrained(MINUTE_NS).manifest

    def predict(self, rows: Floats) -> Forecast:
        self.go.wait(10)
        self.sizes.append(len(rows))
        if rows.shape[1] != WIDTH:
            raise ValueError("rows: of another shape")
        return Forecast(*(rows[:, 0] + k for k in range(5)))


@pytest.fixture
async def batcher() -> AsyncIterator[MicroBatcher]:
    with ThreadPoolExecutor(1) as executor:
        made = MicroBatcher(executor)
        running = asyncio.create_task(made.run())
        yield made
        running.cancel()


async def test_what_came_meanwhile_is_one_batch_and_bulk_does_not_hold_it_up(batcher: MicroBatcher) -> None:
    model = Counting()
    model.go.clear()
    bulk = asyncio.create_task(batcher.ask(model, rows_of(2 * PIECE_ROWS + 1)))
    await asyncio.sleep(0)  # its first piece is being computed
    lone = [asyncio.create_task(batcher.ask(model, rows_of(INLINE_ROWS // 2, seed))) for seed in range(5)]
    await asyncio.sleep(0)
    model.go.set()
    for seed, found in enumerate(await asyncio.gather(*lone)):
        assert found.high.tolist() == (rows_of(INLINE_ROWS // 2, seed)[:, 0] + 3).tolist()
    assert not bulk.done(), "small ones go between its pieces"
    assert (await bulk).up.tolist() == rows_of(2 * PIECE_ROWS + 1)[:, 0].tolist()
    together = 5 * (INLINE_ROWS // 2)
    assert sorted(model.sizes) == [1, together, PIECE_ROWS, PIECE_ROWS]
    assert model.sizes.index(together) <= 1
    assert batcher.waiting == 0


async def test_a_failure_is_told_to_those_it_concerns(batcher: MicroBatcher) -> None:
    model = Counting()
    for rows in (np.zeros((1, 2)), np.zeros((LONE_ROWS + 1, 2))):
        with pytest.raises(ValueError, match="another shape"):
            await batcher.ask(model, rows)
    assert len((await batcher.ask(model, rows_of(1))).up) == 1
    with pytest.raises(TooManyRows):
        await batcher.ask(model, np.zeros((WAITING_ROWS + 1, WIDTH)))


# -- the hot swap -----------------------------------------------------------------------------------------------------


class Shelves:
    """A registry in memory over real folders."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: dict[int, ModelRow] = {}
        self.chosen: dict[int, int] = {}

    async def register(self, model: SavedModel, report_path: str | Path | None = None) -> int:
        version = len(self.rows) + 1
        manifest = bundle.save(model, self.folder / str(version))
        self.rows[version] = ModelRow(version, manifest, 0, None, str(self.folder / str(version)))
        return version

    async def promote(self, version: int) -> ModelRow:
        row = self.rows[version]
        self.chosen[row.manifest.horizon_ns] = version
        return row

    async def promoted(self) -> list[ModelRow]:
        return [self.rows[version] for _, version in sorted(self.chosen.items())]

    async def get(self, version: int) -> ModelRow:
        if version not in self.rows:
            raise NoSuchModel(f"version: there is no model {version}")
        return self.rows[version]

    async def models(self) -> list[ModelRow]:
        return list(self.rows.values())


async def test_a_version_takes_the_place_of_another_and_a_broken_one_does_not(tmp_path: Path) -> None:
    registry, prepared = Shelves(tmp_path), list[Entry]()
    await ensure_default(registry)
    await ensure_default(registry)
    assert [row.manifest.horizon_ns for row in await registry.models()] == list(DEFAULT_HORIZONS)
    shelf = ModelShelf(registry, prepared.append)
    assert await shelf.poll()
    assert not await shelf.poll()
    assert [one.version for one in shelf.promoted] == [one.version for one in prepared] == [1, 2, 3]
    assert (await shelf.find(None, None, 2)).model is shelf.promoted[1].model

    good = await registry.register(synthetic_model(2))
    assert (await shelf.find(None, None, good)).version == good, "by its number, promoted or not"
    await registry.promote(good)
    assert await shelf.poll()
    found = await shelf.find(15 * MINUTE_NS, None, None)
    assert (found.version, (await shelf.find(None, "xgboost", None)).version) == (good, good)

    broken = await registry.register(synthetic_model(2, seed=9))
    (tmp_path / str(broken) / "up.ubj").write_bytes(b"something else")
    await registry.promote(broken)
    assert not await shelf.poll()
    assert (await shelf.find(15 * MINUTE_NS, None, None)).version == good
    assert "up.ubj" in shelf.failed[broken]
    for which, text in (((SECOND_NS, None, None), "naive-1m"), ((None, "lstm", None), "xgboost-15m"),
                        ((None, None, 77), "no model 77"), ((None, None, broken), "cannot be loaded")):  # fmt: skip
        with pytest.raises(LookupError, match=text):
            await shelf.find(*which)


async def test_a_baseline_does_not_take_the_place_of_a_model(tmp_path: Path) -> None:
    registry = Shelves(tmp_path)
    trained = await registry.register(synthetic_model(1))
    await registry.promote(trained)
    await ensure_default(registry)
    kinds = [row.manifest.kind for row in await registry.promoted()]
    assert kinds == ["naive", "xgboost", "naive"]
    assert len(await registry.models()) == 4


# -- scores and drift -------------------------------------------------------------------------------------------------


def test_scores_are_what_the_books_say() -> None:
    forecast = Forecast(*(np.array(one) for one in ([0.9, 0.5, 0.2], [-0.1] * 3, [0.0] * 3, [0.1] * 3, [0.1] * 3)))
    sums = dict(zip(SCORES, score_sums(forecast, np.array([0.2, -0.2, np.nan])), strict=True))
    assert sums["count"] == 2
    assert sums["brier"] == pytest.approx(0.1**2 + 0.5**2)
    assert sums["log_loss"] == pytest.approx(-np.log(0.9) - np.log(0.5))
    assert sums["hits"] == 1.5, "even odds hit half of the time"
    # Rose by 0.2: 0.1 * 0.3, 0.5 * 0.2, 0.9 * 0.1; fell by 0.2: the same mirrored.
    assert sums["pinball"] == pytest.approx(2 * (0.03 + 0.1 + 0.09) / 3)
    certain = forecast._replace(up=np.array([0.0, 1.0, 0.0]))
    assert np.isfinite(score_sums(certain, np.array([1.0, -1.0, 1.0]))).all()


def test_drift_tells_the_feature_that_moved() -> None:
    dice = np.random.default_rng(3)
    learned = np.column_stack((dice.standard_normal(5000), dice.integers(0, 2, 5000), np.full(5000, np.nan)))
    names = ("calm", "even", "unknown")
    metrics = {DRIFT_KEY: distribution(names, learned)}
    assert set(metrics[DRIFT_KEY]) == {"calm", "even"}
    same, moved = Drift(names, metrics), Drift(names, metrics)
    live = np.column_stack((dice.standard_normal(3000), dice.integers(0, 2, 3000), np.zeros(3000)))
    same.add(live)
    assert max(same.index().values()) < 0.02
    moved.add(live + np.array([1.0, 0.0, 0.0]))
    assert next(iter(moved.index())) == "calm"
    assert moved.index()["calm"] > 0.25
    assert moved.index()["even"] == same.index()["even"]
    for _ in range(10):
        moved.add(live)
    assert moved.index()["calm"] < 0.1, "what is old fades"
    assert Drift(names, {}).index() == {}


# -- the state of a market --------------------------------------------------------------------------------------------


def candles(n: int, drift: float = 0.0, seed: int = 1) -> Candles:
    dice = np.random.default_rng(seed)
    close = 1e4 * np.exp(np.cumsum(dice.standard_normal(n) * 1e-3 + drift))
    opened = np.concatenate((close[:1], close[:-1]))
    high, low = np.maximum(opened, close) * 1.0002, np.minimum(opened, close) * 0.9998
    return Candles(np.arange(1, n + 1) * MINUTE_NS, opened, high, low, close, dice.random(n) + 1)


def test_trends_volatility_and_signals_have_reasons() -> None:
    up, down = market_state(candles(300, 0.002)), market_state(candles(300, -0.002))
    assert up.trend is not None
    assert down.trend is not None
    assert (up.trend.state, down.trend.state) == ("up", "down")
    assert "ADX" in up.trend.reason
    sides = {one.indicator: one.side for one in up.signals}
    assert (sides["sma_200"], sides["rsi_14"]) == ("BUY", "SELL")
    assert all(one.reason and 0 <= one.strength <= 1 for one in up.signals)
    assert -1 <= up.score <= 1
    wild = candles(300)
    wild.close[-15:] *= 1 + 0.02 * np.array([1, -1] * 7 + [1])
    assert market_state(wild).volatility.regime == "extreme"
    few = market_state(candles(LEAST_CANDLES - 1))
    assert (few.trend, few.indicators, few.signals, few.volatility.regime) == (None, {}, [], "unknown")
    assert market_state(candles(0)).candles == 0


def test_correlations_are_of_what_all_have() -> None:
    first = candles(200)
    mirrored = first._replace(close=1e8 / first.close)
    still = first._replace(close=np.full(200, 5.0))
    found = correlation({"A": first, "B": mirrored.part(50, 200), "C": still})
    assert found.candles == 150
    assert found.matrix[0][0] == 1.0
    assert found.matrix[0][1] == pytest.approx(-1, abs=1e-3)
    assert found.matrix[2] == [None, None, None]
    assert correlation({"A": first.part(0, 3)}).matrix == []


# -- in process -------------------------------------------------------------------------------------------------------


def test_a_strategy_has_the_booster_in_its_own_process(tmp_path: Path) -> None:
    trained = synthetic_model(3)
    bundle.save(trained, tmp_path / "1")
    model, history = LocalModel(tmp_path / "1"), candles(LOOKBACK)
    for k in range(LOOKBACK):
        assert model.forecast() is None
        model.add_candle(int(history.open_ns[k]), *(float(column[k]) for column in history[1:]))
    said = model.forecast()
    expected = trained.predict(candle_rows(history, MINUTE_NS)[-1:])
    assert said == tuple(float(column[0]) for column in expected)
    with pytest.raises(ValueError, match="add_candle"):
        model.add(Quote(1, 1, 1, 2, 1))
    other = LocalModel(tmp_path, of_events(FeatureSpec(SECOND_NS, (SECOND_NS,))))
    with pytest.raises(ValueError, match="takes events"):
        other.add_candle(1, 1, 1, 1, 1, 1)
    assert other.forecast(5) is None


class _OfEvents:
    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest

    def predict(self, rows: Floats) -> Forecast:
        return Forecast(*(rows[:, 0],) * 5)


def of_events(spec: FeatureSpec) -> Any:
    return _OfEvents(Manifest(name="events-10s", kind="xgboost", horizon_ns=10 * SECOND_NS, source="events", spec=spec,
                              features=spec.names, symbols=(), from_ns=0, to_ns=0))  # fmt: skip


def test_events_of_the_streams_are_the_features_of_training() -> None:
    """As the bus tells them: trades, tops and depth in decimals."""
    btc, spec, now = instruments(1)[0], FeatureSpec(SECOND_NS, (SECOND_NS,)), [MINUTE_NS]
    settings = Settings(data_dir="/x", run_dir="/", pg_dsn="", redis_url="redis://nowhere")
    feed, own = EventFeed(settings, [btc], lambda: now[0]), FeatureStream(spec)
    feed.follow([btc.symbol, "NOTHING"], spec)
    assert feed.is_followed(btc.symbol, spec)
    assert not feed.is_followed("NOTHING", spec)
    tick, lot = btc.tick, btc.lot

    def tell(kind: str, *lines: str) -> None:
        channel = channel_of(settings.prefix, "us", f"{btc.symbol.lower()}@{kind}")
        feed._take(*feed._by_channel[channel], "\n".join(lines).encode())

    def decimal(steps: int, step: Any) -> str:
        return format(steps * step, ".8f")

    for k in range(5):
        now[0] += SECOND_NS // 2
        bid, ask = 9000 + k, 9003 + k
        tell("bookTicker", f'{{"u":1,"s":"BTCUSDT","b":"{decimal(bid, tick)}","B":"{decimal(5 + k, lot)}",'
             f'"a":"{decimal(ask, tick)}","A":"{decimal(7, lot)}"}}')  # fmt: skip
        tell("depth5@100ms", f'{{"lastUpdateId":1,"bids":[["{decimal(bid, tick)}","{decimal(5 + k, lot)}"]],'
             f'"asks":[["{decimal(ask, tick)}","{decimal(7, lot)}"]]}}')  # fmt: skip
        tell(
            "trade",
            f'{{"e":"trade","E":1,"s":"BTCUSDT","t":1,"p":"{decimal(ask, tick)}","q":"{decimal(3, lot)}","T":1,"m":true}}',
        )
        for event in (Quote(now[0], bid, 5 + k, ask, 7), Depth.of(now[0], [(bid, 5 + k)], [(ask, 7)]),
                      Trade(now[0], ask, 3, Side.SELL)):  # fmt: skip
            own.add(event)
    found = feed.rows(spec)[btc.symbol]
    assert found.row.tobytes() == own.row(now[0]).tobytes()
    assert (found.as_of_ns, found.price_ticks) == (now[0], 9007)
    feed._begin_anew()
    assert feed.rows(spec) == {}, "after a gap its windows are filled anew"


# -- how many ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("busy", "wanted"), [({}, 2), ({"a": 0.1}, 1), ({"a": 0.9}, 2), ({"a": 0.9, "b": 0.8}, 3), ({"a": 9.0}, 4)]
)
def test_replicas_follow_how_busy_they_are(busy: dict[str, float], wanted: int) -> None:
    context = SimpleNamespace(
        aggregated_metrics={"busy": busy}, current_num_replicas=2, capacity_adjusted_min_replicas=1,
        capacity_adjusted_max_replicas=4,
    )  # fmt: skip
    assert replicas_wanted(cast(AutoscalingContext, context)) == (wanted, {})
