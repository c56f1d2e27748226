"""Predictions of a running exchange: over HTTP and the socket, through a hot swap, without a predictor. Case ids: PROTOCOL.md."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec
import numpy as np
import pytest

from actors.model_registry import ModelRegistry
from bench.processes import pids_of
from bench.synthetic_model import synthetic_model
from market.intervals import SECOND_NS
from ml import bundle
from ml.features import CANDLE_FEATURES, FeatureSpec
from ml.forecast import Manifest, horizon_name
from ml.models.naive import Naive, Parameters
from ml.models.scale import Scale
from tests.system.client import Client, Json, eventually
from tests.system.conftest import Exchange

pytestmark = pytest.mark.system

BTC: Final = "BTCUSDT"
BACK_WITHIN_S: Final = 90.0
"""A killed replica: Serve starts another process, which imports everything anew."""
ROWS: Final = np.random.default_rng(5).standard_normal((3, len(CANDLE_FEATURES))) * 1e-3


@pytest.fixture
async def registry(exchange: Exchange) -> AsyncIterator[ModelRegistry]:
    pool = await asyncpg.create_pool(exchange.pg_dsn, min_size=1, max_size=2)
    yield ModelRegistry(pool, exchange.data)
    await pool.close()


async def answered(client: Client, body: Json) -> Json:
    """Once there is a predictor, and a minute has closed."""
    reply = await eventually(
        lambda: client.call("POST", "/api/ai/predict", body), lambda one: one.status == 200, "a prediction"
    )
    found: Json = reply.json
    return found


async def serves(client: Client, version: int, horizon: str = "15m") -> None:
    row = {"features": ROWS[:1].tolist(), "horizon": horizon}
    await eventually(
        lambda: client.call("POST", "/api/ai/predict", row),
        lambda one: one.status == 200 and one.json["version"] == version,
        f"version {version} answers",
    )


async def test_a_fresh_exchange_answers_by_a_baseline_that_says_so(anyone: Client) -> None:
    """HT-P01, HT-P03."""
    found = await answered(anyone, {"symbol": BTC})
    assert (found["symbol"], found["horizon"], found["better_than_naive"]) == (BTC, "15m", False)
    (forecast,) = found["forecasts"]
    assert 0 < forecast["up"] < 1
    assert forecast["low"] <= forecast["median"] <= forecast["high"]
    assert forecast["volatility"] > 0
    assert await answered(anyone, {"symbol": BTC, "version": found["version"]}) == found | {
        key: (await answered(anyone, {"symbol": BTC}))[key] for key in ("as_of_ns", "price", "forecasts")
    }
    listed = {one["version"]: one for one in (await anyone.get("/api/ai/models"))["models"]}
    assert listed[found["version"]]["promoted"]
    assert {one["horizon"] for one in (await anyone.get("/api/ai/models", promoted="true"))["models"]} >= {
        "1m",
        "15m",
        "1h",
    }
    told = (await anyone.get("/api/v1/system/status"))["predictor"]
    assert told["answers"]
    assert {one["version"] for one in told["models"]} >= {found["version"]}


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({}, (422, "VALIDATION", "symbol")),
        ({"symbol": BTC, "features": [[1.0]]}, (422, "VALIDATION", "symbol")),
        ({"symbol": BTC, "horizon": "2m"}, (422, "VALIDATION", "horizon")),
        ({"symbol": BTC, "model": 7}, (422, "VALIDATION", "model")),
        ({"symbol": BTC, "leverage": 3}, (422, "VALIDATION", "leverage")),
        ({"symbol": BTC, "version": 0}, (422, "VALIDATION", "version")),
        ({"features": []}, (422, "VALIDATION", "features")),
        ({"features": [[1.0, 2.0], [1.0]]}, (422, "VALIDATION", "features[1]")),
        ({"features": [[1.0, "x"]]}, (422, "VALIDATION", "features[0][1]")),
        ({"features": [[1.0]]}, (422, "VALIDATION", "features")),
        ({"symbol": "NOTHING"}, (404, "UNKNOWN_SYMBOL", "symbol")),
        ({"symbol": BTC, "horizon": "10s"}, (404, "NO_MODEL", None)),
        ({"symbol": BTC, "model": "lstm"}, (404, "NO_MODEL", None)),
        ({"symbol": BTC, "version": 10**9}, (404, "NO_MODEL", None)),
    ],
)
async def test_what_cannot_be_answered_names_the_field(anyone: Client, body: Json, refusal: Any) -> None:
    """HT-P02."""
    assert (await anyone.call("POST", "/api/ai/predict", body)).refusal == refusal


async def test_the_state_of_a_market(anyone: Client) -> None:
    """HT-P04."""
    await answered(anyone, {"symbol": BTC})

    async def ask() -> Json:
        found: Json = await anyone.get("/api/ai/analysis", symbol=BTC, interval="1s")
        return found

    found = await eventually(ask, lambda one: one["candles"] > 0, "seconds have closed")
    assert found["volatility"]["regime"] in ("unknown", "low", "normal", "high", "extreme")
    assert {one["horizon"] for one in found["predictions"]} >= {"1m", "15m", "1h"}
    assert BTC in found["correlation"]["symbols"]
    reply = await anyone.call("GET", "/api/ai/analysis", symbol="NOTHING")
    assert reply.refusal == (404, "UNKNOWN_SYMBOL", "symbol")


async def test_predictions_are_pushed(anyone: Client) -> None:
    """WS-M08: the newest at once; those of every promoted model."""
    await answered(anyone, {"symbol": BTC})
    async with anyone.socket("/ws/prices") as socket:
        assert (await socket.ask("subscribe", channels=["prediction"], symbols=[BTC]))["subscriptions"] == 1
        told = await socket.event()
        assert (told["channel"], told["symbol"]) == ("prediction", BTC)
        assert {one["horizon"] for one in told["predictions"]} >= {"1m", "1h"}
        assert {"version", "model", "as_of_ns", "up", "low", "median", "high", "volatility"} <= told["predictions"][
            0
        ].keys()
        assert (await socket.ask("unsubscribe"))["subscriptions"] == 0


async def test_a_thousand_requests_run_through_a_hot_swap(anyone: Client, registry: ModelRegistry) -> None:
    """HT-P05: none fails, each names the version that answered, and what it says is that version's."""
    before = (await registry.promoted_for(synthetic_model(1).manifest.horizon_ns)).version  # type: ignore[union-attr]
    models = [synthetic_model(5, seed) for seed in (1, 2)]
    old, new = [await registry.register(one) for one in models]
    await registry.promote(old)
    await serves(anyone, old)
    said = {version: model.predict(ROWS).up.tolist() for version, model in zip((old, new), models, strict=True)}
    body = msgspec.json.encode({"features": ROWS.tolist()})
    seen: list[int] = []

    async def ask_on() -> None:
        while len(seen) < 1000 or new not in seen:
            found = (await anyone.call("POST", "/api/ai/predict", body=body)).ok()
            assert [one["up"] for one in found["forecasts"]] == said[found["version"]]
            seen.append(found["version"])
            if len(seen) == 300:
                await registry.promote(new)

    await asyncio.gather(*(ask_on() for _ in range(8)))
    assert set(seen) == {old, new}
    assert seen[-1] == new
    reply = await anyone.call("POST", "/api/ai/predict", {"symbol": BTC, "version": old})
    assert reply.refusal == (503, "FEATURES_UNAVAILABLE", "symbol"), "HT-P02: 256 minutes are not there yet"
    horizon = synthetic_model(1).manifest.horizon_ns
    found = (await anyone.call("POST", "/api/ai/predict", {"symbol": BTC, "horizon": horizon_name(horizon)})).ok()
    assert (found["kind"], found["better_than_naive"]) == ("naive", False), "HT-P02: the baseline meanwhile"
    await registry.promote(before)
    await serves(anyone, before)


async def test_own_rows_by_messagepack(anyone: Client, registry: ModelRegistry) -> None:
    """HT-P06."""
    version = await registry.register(synthetic_model(5, 3))
    body = {"features": [*ROWS.tolist(), [None] * len(CANDLE_FEATURES)], "version": version}
    kinds = {"Content-Type": "application/msgpack", "Accept": "application/msgpack"}
    reply = await anyone.call("POST", "/api/ai/predict", body=msgspec.msgpack.encode(body), headers=kinds)
    assert reply.status == 200, reply.body
    found = msgspec.msgpack.decode(reply.body)
    unknown = np.full((1, len(CANDLE_FEATURES)), np.nan)
    expected = bundle.load(Path((await registry.get(version)).folder)).predict(np.vstack((ROWS, unknown)))
    assert [one["median"] for one in found["forecasts"]] == expected.median.tolist()
    assert found["symbol"] is None


async def test_a_model_of_events_follows_the_streams(
    anyone: Client, registry: ModelRegistry, exchange: Exchange
) -> None:
    """HT-P01: something new every second, of what the exchange's own market does."""
    spec = FeatureSpec(SECOND_NS, (SECOND_NS,))
    manifest = Manifest(
        name="naive-10s", kind="naive", horizon_ns=10 * SECOND_NS, source="events", spec=spec, features=spec.names,
        symbols=(BTC,), from_ns=0, to_ns=0,
    )  # fmt: skip
    scale = Scale(spec.names.index("volatility_1s"), 1.0, 1e-9, 1e-4)
    version = await registry.register(Naive(manifest, Parameters(0.5, (-1e-4, 0.0, 1e-4), scale)))
    await registry.promote(version)
    try:
        first = await answered(anyone, {"symbol": BTC, "horizon": "10s"})
        assert first["version"] == version
        assert Decimal(first["price"]) > 0
        async with anyone.socket("/ws/prices", channels="prediction", symbols=BTC) as socket:
            later = first["as_of_ns"] + 2 * SECOND_NS
            await socket.event(
                lambda one: any(p["version"] == version and p["as_of_ns"] > later for p in one["predictions"])
            )
    finally:
        connection = await asyncpg.connect(exchange.pg_dsn)
        await connection.execute("UPDATE models SET promoted_ns = NULL WHERE version = $1", version)
        await connection.close()


async def test_trading_does_not_notice_that_the_predictor_was_killed(
    exchange: Exchange, anyone: Client, trader: Client
) -> None:
    """HT-P07: 503 with a code until it is back, which nobody has to see to."""
    await answered(anyone, {"symbol": BTC})
    for pid in pids_of(exchange.pid, "predictor"):
        os.kill(pid, signal.SIGKILL)
    reply = await eventually(
        lambda: anyone.call("POST", "/api/ai/predict", {"symbol": BTC}), lambda one: one.status != 200, "it is away"
    )
    assert reply.refusal == (503, "PREDICTOR_UNAVAILABLE", None)
    assert reply.headers["retry-after"] == "1"
    assert not (await anyone.get("/api/v1/system/status"))["predictor"]["answers"]
    order = await trader.buy(BTC, quantity="0.001")
    assert order["status"] == "FILLED"
    assert (await anyone.get("/api/v1/system/status"))["status"] == "ok"
    deadline = time.monotonic() + BACK_WITHIN_S
    while (reply := await anyone.call("POST", "/api/ai/predict", {"symbol": BTC})).status != 200:
        assert reply.code == "PREDICTOR_UNAVAILABLE"
        assert time.monotonic() < deadline, "it is not back"
        await asyncio.sleep(0.1)
