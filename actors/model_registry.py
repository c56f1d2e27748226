"""The registry of models: rows in PostgreSQL, files in the data folder, models/VERSION/."""

import asyncio
import shutil
import time
from pathlib import Path
from typing import Any, Final

import msgspec

from ml import bundle
from ml.forecast import Manifest, SavedModel

CHANNEL: Final = "models"
"""NOTIFY with the version when one is promoted."""
REPORT: Final = "report.html"
KEPT: Final = 10
"""The newest versions of each name that pruning leaves, beside those in service and the untrained baselines."""
_COLUMNS: Final = "version, manifest, created_ns, promoted_ns"
_PRUNE: Final = """
DELETE FROM models WHERE promoted_ns IS NULL AND manifest #> '{metrics,trained}' IS DISTINCT FROM 'false' AND version IN (
    SELECT version FROM (SELECT version, row_number() OVER (PARTITION BY name ORDER BY version DESC) AS age FROM models) AS aged
    WHERE age > $1
) RETURNING version
"""


class NoSuchModel(LookupError):
    """Names the version, and how to see which there are."""


class NotServed(ValueError):
    """Names the version, and why its kind cannot be in service."""


class ModelRow(msgspec.Struct, frozen=True):
    version: int
    manifest: Manifest
    created_ns: int
    promoted_ns: int | None
    """Since when it answers for its horizon; None: it does not."""
    folder: str
    """With `ml.bundle.load`."""


class ModelRegistry:
    """`pool`: of asyncpg. A version is never written twice and never changed, but for being promoted."""

    def __init__(self, pool: Any, data_dir: str | Path) -> None:
        self._pool: Final = pool
        self.folder: Final = Path(data_dir) / "models"

    async def register(self, model: SavedModel, report_path: str | Path | None = None) -> int:
        """Its version, when files and row are there. The report is copied beside the files."""
        async with self._pool.acquire() as connection, connection.transaction():
            version: int = await connection.fetchval("SELECT nextval(pg_get_serial_sequence('models', 'version'))")
            folder = self._folder(version)
            manifest = await asyncio.to_thread(_saved, model, folder, report_path)
            await connection.execute(
                "INSERT INTO models (version, name, horizon_ns, manifest, created_ns) OVERRIDING SYSTEM VALUE "
                "VALUES ($1, $2, $3, $4, $5)",
                version, manifest.name, manifest.horizon_ns, msgspec.json.encode(manifest).decode(), time.time_ns(),
            )  # fmt: skip
        return version

    async def promote(self, version: int) -> ModelRow:
        """From now on it answers for its horizon, in place of the one that did. Listeners on CHANNEL are told.

        NoSuchModel, NotServed.
        """
        refuse_sequences((await self.get(version)).manifest, version)
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("LOCK TABLE models IN SHARE ROW EXCLUSIVE MODE")
            await connection.execute(
                "UPDATE models SET promoted_ns = NULL WHERE promoted_ns IS NOT NULL AND version <> $1 "
                "AND horizon_ns = (SELECT horizon_ns FROM models WHERE version = $1)", version,
            )  # fmt: skip
            row = await connection.fetchrow(
                "UPDATE models SET promoted_ns = coalesce(promoted_ns, $2) WHERE version = $1 "  # noqa: S608
                f"RETURNING {_COLUMNS}", version, time.time_ns(),
            )  # fmt: skip
            await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, str(version))
        return self._row(row, version)

    async def prune(self, kept: int = KEPT) -> list[int]:
        """Remove old versions, rows and files; those removed. What a removed one had said stays in log and scores."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("LOCK TABLE models IN SHARE ROW EXCLUSIVE MODE")
            rows = await connection.fetch(_PRUNE, kept)
        gone: list[int] = [row["version"] for row in rows]
        for version in gone:
            await asyncio.to_thread(shutil.rmtree, self._folder(version), ignore_errors=True)
        return sorted(gone)

    async def promoted(self) -> list[ModelRow]:
        """One for each horizon that has any, the shortest first."""
        return await self._rows("WHERE promoted_ns IS NOT NULL ORDER BY horizon_ns")

    async def promoted_for(self, horizon_ns: int) -> ModelRow | None:
        found = await self._rows("WHERE promoted_ns IS NOT NULL AND horizon_ns = $1", horizon_ns)
        return found[0] if found else None

    async def get(self, version: int) -> ModelRow:
        """NoSuchModel."""
        row = await self._pool.fetchrow(f"SELECT {_COLUMNS} FROM models WHERE version = $1", version)  # noqa: S608
        return self._row(row, version)

    async def models(self) -> list[ModelRow]:
        """The newest first."""
        return await self._rows("ORDER BY version DESC")

    async def _rows(self, condition: str, *args: Any) -> list[ModelRow]:
        rows = await self._pool.fetch(f"SELECT {_COLUMNS} FROM models {condition}", *args)  # noqa: S608
        return [self._row(row, 0) for row in rows]

    def _row(self, row: Any, version: int) -> ModelRow:
        if row is None:
            raise NoSuchModel(f"version: there is no model {version}; see `raypit models`")
        manifest = msgspec.json.decode(row["manifest"], type=Manifest)
        folder = str(self._folder(row["version"]))
        return ModelRow(row["version"], manifest, row["created_ns"], row["promoted_ns"], folder)

    def _folder(self, version: int) -> Path:
        return self.folder / str(version)


def refuse_sequences(manifest: Manifest, version: int) -> None:
    """NotServed for a kind that takes the last rows of a symbol: what serves has the newest one alone."""
    if manifest.kind in bundle.OF_SEQUENCES:
        raise NotServed(
            f"version: {version} ({manifest.name}) takes a sequence of rows, and only models of one row are served; "
            "its figures are in its report, promote another version"
        )


def _saved(model: SavedModel, folder: Path, report_path: str | Path | None) -> Manifest:
    shutil.rmtree(folder, ignore_errors=True)  # of a registration that died before its row was there
    manifest = bundle.save(model, folder)
    if report_path is not None:
        shutil.copyfile(report_path, folder / REPORT)
    return manifest
