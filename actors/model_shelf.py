"""The models that answer now, and their change without a gap: a new version is loaded beside the old one, then they are
swapped by one assignment. What is being computed ends with the model that it began with, and each answer names its own.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import structlog

from actors.model_registry import ModelRow, NoSuchModel, refuse_sequences
from market.intervals import HOUR_NS, MINUTE_NS, SECOND_NS
from ml import bundle
from ml.features import CANDLE_FEATURES
from ml.forecast import Manifest, Model, SavedModel, horizon_name
from ml.models.naive import Naive, Parameters
from ml.models.scale import Scale

log = structlog.get_logger()

MAX_ASKED: Final = 8
"""Versions beside the promoted ones that are kept in memory because somebody asked for them by number."""
DEFAULT_HORIZONS: Final = (MINUTE_NS, 15 * MINUTE_NS, HOUR_NS)
_USUAL_VOLATILITY: Final = 0.6
"""Per root of a year: what a large coin has in a usual year. Said only until a symbol's own is known."""
_YEAR_NS: Final = 365 * 24 * 60 * 60 * SECOND_NS
_Z_10: Final = 1.2815515655446004
"""Of the normal distribution, the quantile 0.9."""


class Entry(NamedTuple):
    version: int
    model: Model

    @property
    def manifest(self) -> Manifest:
        return self.model.manifest


class Registry(Protocol):
    """What is asked of `ModelRegistry`."""

    async def promoted(self) -> list[ModelRow]: ...
    async def get(self, version: int) -> ModelRow: ...
    async def models(self) -> list[ModelRow]: ...
    async def register(self, model: SavedModel, report_path: str | Path | None = None) -> int: ...
    async def promote(self, version: int) -> ModelRow: ...


class ModelShelf:
    def __init__(self, registry: Registry, prepare: Callable[[Entry], object] = lambda entry: None) -> None:
        """`prepare` is called with each promoted entry before it answers."""
        self.promoted: tuple[Entry, ...] = ()
        """By horizon, the shortest first. Replaced as a whole, never changed."""
        self.swaps = 0
        self.failed: dict[int, str] = {}
        """Versions that could not be loaded, and why."""
        self._registry = registry
        self._prepare = prepare
        self._asked: OrderedDict[int, Entry] = OrderedDict()
        self._baselines: dict[int, int] = {}
        """Versions by horizon."""

    async def poll(self) -> bool:
        """Take what is promoted now; True when something changed. What cannot be loaded leaves the old one in place."""
        rows = await self._registry.promoted()
        if [row.version for row in rows] == [one.version for one in self.promoted]:
            return False
        old = {one.version: one for one in self.promoted}
        by_horizon = {one.manifest.horizon_ns: one for one in self.promoted}
        made = []
        for row in rows:
            entry = old.get(row.version) or await self._loaded(row) or by_horizon.get(row.manifest.horizon_ns)
            if entry is not None:
                made.append(entry)
        changed = [one for one in made if one.version not in old]
        for entry in changed:
            self._prepare(entry)
        if not changed and len(made) == len(self.promoted):
            return False
        self.promoted = tuple(made)
        self.swaps += 1
        log.info("models swapped", versions=[one.version for one in made])
        return True

    async def find(self, horizon_ns: int | None, name: str | None, version: int | None) -> Entry:
        """LookupError says what there is instead. Without a version only promoted ones."""
        if version is not None:
            return await self._by_version(version)
        found = [one for one in self.promoted if horizon_ns is None or one.manifest.horizon_ns == horizon_ns]
        if name is not None:
            found = [one for one in found if name in (one.manifest.name, one.manifest.kind)]
        if not found:
            there = ", ".join(one.manifest.name for one in self.promoted) or "none"
            raise LookupError(f"No promoted model is so. Promoted are: {there}. Others answer by their version.")
        return found[0]

    async def baseline(self, horizon_ns: int) -> Entry | None:
        """The untrained one, which answers before anything is known of a symbol; None: that horizon has none."""
        if horizon_ns not in self._baselines:
            for row in await self._registry.models():
                if row.manifest.metrics.get("trained") is False:
                    self._baselines.setdefault(row.manifest.horizon_ns, row.version)
        version = self._baselines.get(horizon_ns)
        return None if version is None else await self._by_version(version)

    async def _by_version(self, version: int) -> Entry:
        for one in self.promoted:
            if one.version == version:
                return one
        if version in self._asked:
            self._asked.move_to_end(version)
            return self._asked[version]
        entry = await self._loaded(await self._registry.get(version))
        if entry is None:
            raise LookupError(f"Version {version} cannot be loaded: {self.failed[version]}.")
        self._asked[version] = entry
        while len(self._asked) > MAX_ASKED:
            self._asked.popitem(last=False)
        return entry

    async def _loaded(self, row: ModelRow) -> Entry | None:
        try:
            refuse_sequences(row.manifest, row.version)
            model = await asyncio.to_thread(bundle.load, Path(row.folder))
        except Exception as error:  # files of anybody: a broken one must not end the others
            if self.failed.get(row.version) != str(error):
                log.error("model not loaded", version=row.version, error=repr(error))
            self.failed[row.version] = str(error)
            return None
        self.failed.pop(row.version, None)
        return Entry(row.version, model)


async def ensure_default(registry: Registry) -> None:
    """Baselines that say they are no more: kept from the start, and promoted where nothing is, so that there is an answer."""
    untold = {
        row.manifest.horizon_ns for row in await registry.models() if row.manifest.metrics.get("trained") is False
    }
    for horizon_ns in DEFAULT_HORIZONS:
        if horizon_ns not in untold:
            version = await registry.register(untrained(horizon_ns))
            if horizon_ns not in {row.manifest.horizon_ns for row in await registry.promoted()}:
                await registry.promote(version)


def untrained(horizon_ns: int) -> Naive:
    """Even odds, no drift, the volatility of the last hour."""
    usual = _USUAL_VOLATILITY * float(horizon_ns / _YEAR_NS) ** 0.5
    column = CANDLE_FEATURES.index("volatility_60")
    scale = Scale(column, float(horizon_ns / HOUR_NS) ** 0.5, usual / 100, usual)
    manifest = Manifest(
        name=f"naive-{horizon_name(horizon_ns)}",
        kind="naive",
        horizon_ns=horizon_ns,
        source="candles",
        width_ns=MINUTE_NS,
        features=CANDLE_FEATURES,
        symbols=(),
        from_ns=0,
        to_ns=0,
        metrics={"trained": False, "better_than_naive": False, "note": "even odds; nothing was learned"},
    )
    return Naive(manifest, Parameters(0.5, (-_Z_10 * usual, 0.0, _Z_10 * usual), scale))


__all__ = ["Entry", "ModelShelf", "NoSuchModel", "Registry", "ensure_default", "untrained"]
