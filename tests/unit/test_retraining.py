"""The job `retrain`: from stored candles to a registered version, in a process of its own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from actors.config import Settings
from actors.job_process import JobError, in_a_process
from actors.jobs import Housekeeping
from actors.metrics import ActorMetrics, JobMetrics
from actors.model_registry import REPORT, ModelRegistry
from actors.retraining_plan import Request, Told, horizons_of
from actors.scheduler import Run
from deploy.settings import SettingsError, load
from market.intervals import MINUTE_NS
from ml import bundle
from ml.features import Candles
from tests.unit.stored_world import SYMBOLS, database, served
from tests.unit.test_training import wavy

TICKS = 1000
"""In a unit of a history's price."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from served(tmp_path_factory.mktemp("retraining"))


@pytest.fixture
async def dsn(server: str) -> str:
    return await database(server)


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


def chores(dsn: str, folder: Path, *horizons: str) -> Housekeeping:
    configured = Settings(data_dir=str(folder), run_dir="", pg_dsn=dsn, redis_url="", symbols=2, retrain=horizons)
    return Housekeeping(configured, SYMBOLS, lambda: 0, JobMetrics(ActorMetrics("projector")))


async def store(connection: Any, table: str, symbol: str, given: Candles) -> None:
    prices = [[int(value * TICKS) for value in column] for column in (given.open, given.high, given.low, given.close)]
    rows = [
        (symbol, int(open_ns), *ticks, int(volume), int(volume) * ticks[3])
        for open_ns, volume, *ticks in zip(given.open_ns, given.volume, *prices, strict=True)
    ]
    columns = [
        "symbol",
        "open_ns",
        "open_ticks",
        "high_ticks",
        "low_ticks",
        "close_ticks",
        "volume_lots",
        "quote_units",
    ]
    if table == "candles":
        rows = [(*row, 60, 1, 0, 0, k, k) for k, row in enumerate(rows)]
        columns += ["width_s", "trades", "taker_buy_lots", "taker_buy_quote_units", "first_trade_id", "last_trade_id"]
    await connection.copy_records_to_table(table, records=rows, columns=columns)


async def test_stored_candles_become_a_version_in_service(dsn: str, connection: Any, tmp_path: Path) -> None:
    """One symbol traded here for all of the time, of the other the venue told the first part."""
    mixed = wavy(1500, seed=2)
    await store(connection, "candles", "BTCUSDT", wavy(1500))
    await store(connection, "venue_candles", "ETHUSDT", mixed.part(0, 900))
    await store(connection, "candles", "ETHUSDT", mixed.part(900, 1500))
    run, jobs = Run(connection), chores(dsn, tmp_path, "1m", "1h")
    found = await jobs.retrain(run)
    assert run.progress == 1.0
    done = found["1m"]
    assert sorted(done["versions"]) == ["linear", "naive", "stack", "xgboost"]
    assert done["promoted"] in done["versions"].values(), done["reason"]
    assert found["1h"]["versions"] == {}
    assert found["1h"]["reason"].startswith("too few candles are stored")
    async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
        (row,) = await ModelRegistry(pool, tmp_path).promoted()
    assert (row.version, row.manifest.horizon, row.manifest.symbols) == (done["promoted"], "1m", ("BTCUSDT", "ETHUSDT"))
    assert row.manifest.to_ns - row.manifest.from_ns > 1200 * MINUTE_NS
    assert bundle.load(Path(row.folder)).manifest.name == row.manifest.name
    assert (Path(row.folder) / REPORT).stat().st_size > 10_000
    again = (await jobs.retrain(Run(connection)))["1m"]
    assert again["versions"] == {}
    assert again["reason"].startswith("nothing was stored since version")


async def test_an_empty_store_trains_nothing(dsn: str, connection: Any, tmp_path: Path) -> None:
    found = await chores(dsn, tmp_path, "15m").retrain(Run(connection))
    assert (found["15m"]["rows"], found["15m"]["promoted"]) == (0, None)
    assert "needed are 500 over 1500 min" in found["15m"]["reason"]


async def test_a_training_that_takes_too_long_is_ended(dsn: str, connection: Any, tmp_path: Path) -> None:
    request = Request(dsn=dsn, data_dir=str(tmp_path), horizons=("15m",))
    with pytest.raises(JobError, match="the retraining took longer than"):
        await in_a_process("actors.retraining", request, Told, Run(connection), limit_s=0.05)


def test_it_is_a_job_where_horizons_are_given(tmp_path: Path) -> None:
    for horizons, there in ((("1m",), True), ((), False)):
        assert ("retrain" in [one.name for one in chores("", tmp_path, *horizons).jobs()]) == there


def test_horizons_are_read_from_words() -> None:
    assert horizons_of("none") == ()
    assert horizons_of("15m, 1h,15m") == ("15m", "1h")
    with pytest.raises(ValueError, match="'10s' cannot be trained on stored minutes; choose of 1m"):
        horizons_of("10s")
    assert load({"retrain": "none"}, {}).horizons == ()
    with pytest.raises(SettingsError, match="retrain: '10s' cannot"):
        load({"retrain": "10s"}, {})
