"""A training's end: its models into the registry, and the best one into service if the rule says so."""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from actors.model_registry import ModelRegistry, ModelRow
from actors.stored_candles import minute_candles
from market.intervals import MINUTE_NS
from ml import bundle
from ml.evaluation import TARGETS, Blocks, compared, losses
from ml.forecast import Manifest
from ml.report import report
from ml.sources import Learned, of_candles
from ml.training import Outcome

LEAST_ROWS: Final = 200
"""That neither model has learned, for one to take the other's place."""


class Registered(msgspec.Struct):
    versions: dict[str, int]
    """By kind."""
    promoted: int | None
    """The version that was put into service."""
    reason: str
    """Why that one, or why none."""


async def of_store(database: Any, symbols: Sequence[str], horizon_ns: int, from_ns: int = 0) -> Learned:
    """Minutes of a running exchange. ValueError where they are too few."""
    given = {symbol: await minute_candles(database, symbol, from_ns) for symbol in symbols}
    given = {symbol: one for symbol, one in given.items() if len(one.open_ns)}
    return await asyncio.to_thread(of_candles, given, MINUTE_NS, horizon_ns)


async def register(registry: ModelRegistry, outcome: Outcome, learned: Learned, *, promote: bool = True) -> Registered:
    """All models of a training, with one report; `promote`: the best, by the rule."""
    page = await asyncio.to_thread(report, outcome, learned.manifest, learned.notes)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        path.write_text(page)
        versions = {kind: await registry.register(one.model, path) for kind, one in outcome.models.items()}
    if not promote:
        return Registered(versions, None, "not asked to promote")
    kind, reason = _best(outcome)
    if kind is not None:
        holder = await registry.promoted_for(learned.manifest.horizon_ns)
        better, reason = await asyncio.to_thread(_beats, outcome, kind, holder)
        if better:
            await registry.promote(versions[kind])
            return Registered(versions, versions[kind], reason)
    return Registered(versions, None, reason)


def _best(outcome: Outcome) -> tuple[str | None, str]:
    """The kind with the least loss, in parts of the naive one's, of those that are better than it and can be served."""
    base = losses(outcome.models["naive"].forecast, outcome.tested)
    scores = {}
    for kind, one in outcome.models.items():
        if one.metrics["better_than_naive"] and kind not in bundle.OF_SEQUENCES:
            own = losses(one.forecast, outcome.tested)
            scores[kind] = float(np.mean([own[name].mean() / max(base[name].mean(), 1e-12) for name in TARGETS]))
    if not scores:
        return None, "no model that can be served is better than the naive forecast"
    return min(scores, key=lambda kind: scores[kind]), ""


def _beats(outcome: Outcome, kind: str, holder: ModelRow | None) -> tuple[bool, str]:
    """Better than the naive forecast alone is enough where none is in service; else on rows neither had learned."""
    if holder is None:
        return True, f"{kind} is better than the naive forecast, and no other is in service"
    theirs = holder.manifest
    ours: Manifest = outcome.models[kind].model.manifest
    name = f"version {holder.version} ({theirs.name})"
    if (theirs.features, theirs.source, theirs.width_ns, theirs.spec) != (
        ours.features, ours.source, ours.width_ns, ours.spec,
    ):  # fmt: skip
        return False, f"{name} takes other features; promote by hand: `raypit models promote VERSION`"
    unseen = outcome.tested.ts_ns > theirs.to_ns + theirs.horizon_ns
    if unseen.sum() < LEAST_ROWS:
        return False, f"{name} stays: {int(unseen.sum())} rows it had not learned are too few to compare"
    rows = outcome.tested.rows(unseen)
    forecast = outcome.models[kind].forecast
    own = {name: loss[unseen] for name, loss in losses(forecast, outcome.tested).items()}
    found = compared(
        own, losses(bundle.load(Path(holder.folder)).predict(rows.features), rows), Blocks(rows.ts_ns, ours.horizon_ns)
    )
    if found["better"]:
        return True, f"{kind} is better than {name} at {', '.join(found['better_at'])}"
    return False, f"{name} stays: {kind} is not better by the interval"
