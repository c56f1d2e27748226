"""Versions of models against a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import numpy as np
import pytest

from actors.model_registry import REPORT, ModelRegistry, NoSuchModel, NotServed
from market.intervals import MINUTE_NS
from ml import bundle
from ml.forecast import Manifest
from ml.models.naive import Naive, Parameters
from ml.models.scale import Scale
from tests.unit.stored_world import database, served


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from served(tmp_path_factory.mktemp("registry"))


@pytest.fixture
async def registry(server: str, tmp_path: Path) -> AsyncIterator[ModelRegistry]:
    pool = await asyncpg.create_pool(await database(server), min_size=1, max_size=4)
    yield ModelRegistry(pool, tmp_path)
    await pool.close()


def naive(rate: float = 0.5, horizon_ns: int = 15 * MINUTE_NS) -> Naive:
    manifest = Manifest(
        name="naive-15m", kind="naive", horizon_ns=horizon_ns, source="candles", width_ns=MINUTE_NS,
        features=("volatility_15",), symbols=("BTCUSDT",), from_ns=1, to_ns=2, metrics={"better_than_naive": False},
    )  # fmt: skip
    return Naive(manifest, Parameters(rate, (-1e-3, 0.0, 1e-3), Scale(0, 1.0, 1e-6, 1e-3)))


async def test_a_version_is_kept_with_its_report(registry: ModelRegistry, tmp_path: Path) -> None:
    (tmp_path / "told.html").write_text("<p>so good</p>")
    version = await registry.register(naive(0.25), tmp_path / "told.html")
    row = await registry.get(version)
    assert (row.manifest.name, row.manifest.horizon, row.promoted_ns) == ("naive-15m", "15m", None)
    assert (Path(row.folder) / REPORT).read_text() == "<p>so good</p>"
    forecast = bundle.load(Path(row.folder)).predict(np.array([[2e-3], [np.nan]]))
    assert forecast.up.tolist() == [0.25, 0.25]
    assert forecast.volatility.tolist() == [2e-3, 1e-3]
    with pytest.raises(NoSuchModel, match="version"):
        await registry.get(version + 1)


async def test_a_model_of_sequences_is_kept_and_not_promoted(registry: ModelRegistry) -> None:
    holder, other = naive(), naive()
    other.manifest = msgspec.structs.replace(other.manifest, kind="lstm", name="lstm-15m")
    first, second = [await registry.register(one) for one in (holder, other)]
    await registry.promote(first)
    with pytest.raises(NotServed, match=rf"version: {second} \(lstm-15m\) takes a sequence of rows"):
        await registry.promote(second)
    assert [row.version for row in await registry.promoted()] == [first]


async def test_one_model_answers_for_a_horizon(registry: ModelRegistry) -> None:
    first, second = [await registry.register(naive()) for _ in range(2)]
    other = await registry.register(naive(horizon_ns=MINUTE_NS))
    assert await registry.promoted() == []
    for version in (first, other, second, second):
        await registry.promote(version)
    assert [row.version for row in await registry.promoted()] == [other, second]
    assert [row.version for row in await registry.models()] == [other, second, first]
    found = await registry.promoted_for(15 * MINUTE_NS)
    assert found is not None
    assert found.version == second
    with pytest.raises(NoSuchModel):
        await registry.promote(99)
    assert len(await registry.promoted()) == 2


async def test_promotions_at_once_leave_one(registry: ModelRegistry) -> None:
    versions = [await registry.register(naive()) for _ in range(4)]
    await asyncio.gather(*(registry.promote(one) for one in versions))
    assert len(await registry.promoted()) == 1


@pytest.mark.parametrize("harm", ["changed", "missing", "kind", "name"])
def test_a_folder_that_was_tampered_with_is_refused(tmp_path: Path, harm: str) -> None:
    folder = tmp_path / "1"
    bundle.save(naive(), folder)
    manifest = folder / bundle.MANIFEST
    changes: dict[str, Any] = {
        "changed": lambda: (folder / "naive.json").write_bytes(b"{}"),
        "missing": lambda: (folder / "naive.json").unlink(),
        "kind": lambda: manifest.write_text(manifest.read_text().replace('"naive"', '"oracle"')),
        "name": lambda: manifest.write_text(manifest.read_text().replace("naive.json", "../naive.json")),
    }
    changes[harm]()
    with pytest.raises(bundle.BadBundle):
        bundle.load(folder)


def test_a_version_is_never_written_twice(tmp_path: Path) -> None:
    bundle.save(naive(), tmp_path / "1")
    with pytest.raises(FileExistsError):
        bundle.save(naive(), tmp_path / "1")
    assert [one.name for one in tmp_path.iterdir()] == ["1"]


def test_rows_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="rows: shape"):
        naive().predict(np.zeros((3, 2)))


async def test_old_versions_are_pruned_but_not_those_in_service_nor_the_untrained(registry: ModelRegistry) -> None:
    untrained, other = naive(), naive()
    untrained.manifest = msgspec.structs.replace(untrained.manifest, metrics={"trained": False})
    other.manifest = msgspec.structs.replace(other.manifest, name="xgboost-15m")
    given = [untrained, naive(), naive(), naive(), other, naive(), naive()]
    versions = [await registry.register(one) for one in given]
    await registry.promote(versions[1])
    folders = {one: Path((await registry.get(one)).folder) for one in versions}
    assert await registry.prune(2) == [versions[2], versions[3]]
    left = [versions[k] for k in (6, 5, 4, 1, 0)]
    assert [row.version for row in await registry.models()] == left
    assert [one for one in reversed(versions) if folders[one].exists()] == left
    assert await registry.prune(2) == []
