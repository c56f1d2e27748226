"""From a data set to models and how good they are: folds, search, early stopping. Pure; work is given out by a runner.

What is tested was never learned: tests are walk-forward, purged and embargoed by a horizon; parameters are searched on
rows before the first test; boosting stops by the last part of its own training rows, purged too.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, cast

import msgspec
import numpy as np

from ml.bundle import OF_SEQUENCES
from ml.dataset import DataSet
from ml.evaluation import evaluated, losses
from ml.forecast import Forecast, Manifest, SavedModel
from ml.live_scores import DRIFT_KEY, distribution
from ml.models.stack import Stack, Weights, equal_weights, learned_weights, stacked
from ml.money import Curve, replay, told
from ml.splits import Split, walk_forward

VALIDATION: Final = 0.2
"""Of the training rows, the newest: when to stop."""
TRAINED: Final = ("naive", "linear", "garch", "forest", "xgboost")
"""Unless others are asked for; a stack of them is made besides."""
OFFERED: Final = (*TRAINED, "lstm")
SEARCHED: Final[dict[str, dict[str, tuple[float, ...]]]] = {
    "xgboost": {
        "max_depth": (2, 3, 4, 5, 6), "eta": (0.02, 0.05, 0.1), "min_child_weight": (20, 50, 100, 300),
        "subsample": (0.5, 0.7, 0.9), "colsample_bytree": (0.4, 0.7, 1.0), "lambda": (1, 5, 20, 100),
    },
    "forest": {"max_depth": (4, 6, 8, 10), "min_child_weight": (20, 50, 150, 400), "colsample_bynode": (0.2, 0.3, 0.5)},
    "linear": {"penalty": (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)},
}  # fmt: skip

Task = tuple[str, Callable[..., Any], tuple[Any, ...]]
"""Words for progress, function, arguments."""
Runner = Callable[[DataSet, Sequence[Task]], Iterable[tuple[int, Any]]]
"""Calls each function with the data set and its arguments; yields number and result as they are done."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    manifest: Manifest
    """Without name and kind."""
    kinds: tuple[str, ...] = TRAINED
    folds: int = 4
    search: int = 0
    """Sets of parameters tried of each kind; 0: the usual ones."""
    seed: int = 1


class Trained(msgspec.Struct):
    model: Any
    metrics: dict[str, Any]
    forecast: Forecast
    """Of the tested rows, by models that had not seen them."""
    curves: dict[str, Curve]


class Outcome(msgspec.Struct):
    tested: DataSet
    models: dict[str, Trained]


def in_process(data: DataSet, tasks: Sequence[Task]) -> Iterable[tuple[int, Any]]:
    for number, (_, work, arguments) in enumerate(tasks):
        yield number, work(data, *arguments)


def fitted(data: DataSet, manifest: Manifest, rows: Any, parameters: Mapping[str, Any]) -> SavedModel:
    """A model of `manifest.kind`, of some rows. ValueError when they are too few."""
    part = data.rows(rows)
    if manifest.kind == "naive":
        from ml.models.naive import Naive

        return Naive.fit(manifest, part)
    if manifest.kind == "garch":
        from ml.models.garch import Garch

        return Garch.fit(manifest, part)
    if manifest.kind == "linear":
        from ml.models.linear import Linear

        return Linear.fit(manifest, part, parameters)
    if manifest.kind == "lstm":
        from ml.models.lstm import Lstm

        numbers = np.arange(len(data.ts_ns))[rows]
        learned, checked = _halves(part)
        return Lstm.fit(manifest, data, numbers[learned], numbers[checked], parameters)
    train, valid = validation(part)
    from ml.models.trees import Trees

    return Trees.fit(manifest, train, valid, parameters)


def validation(part: DataSet) -> tuple[DataSet, DataSet]:
    """The newest fifth, and what was known before it began."""
    train, valid = _halves(part)
    return part.rows(train), part.rows(valid)


def _halves(part: DataSet) -> tuple[Any, Any]:
    """Masks of the rows to learn from, and to validate by."""
    begins = int(np.quantile(part.ts_ns, 1 - VALIDATION))
    train, valid = part.ends_ns < begins, part.ts_ns >= begins
    if not train.any() or not valid.any():
        raise ValueError(
            f"folds: {len(part.ts_ns)} rows are too few to train and to validate; take fewer folds or more data"
        )
    return train, valid


def _forecast(data: DataSet, manifest: Manifest, split: Split, parameters: Mapping[str, Any]) -> Forecast:
    model: Any = fitted(data, manifest, split.train, parameters)
    if manifest.kind in OF_SEQUENCES:
        return cast(Forecast, model.predict_rows(data, split.test))
    return cast(Forecast, model.predict(data.features[split.test]))


def _tried(data: DataSet, manifest: Manifest, split: Split, parameters: Mapping[str, Any]) -> float:
    """Loss in parts of the naive model's, all targets together."""
    tested = data.rows(split.test)
    own = losses(_forecast(data, manifest, split, parameters), tested)
    base = losses(_forecast(data, msgspec.structs.replace(manifest, kind="naive"), split, {}), tested)
    return float(np.mean([own[name].mean() / max(base[name].mean(), 1e-12) for name in own]))


def named(wanted: Wanted, kind: str) -> Manifest:
    base = wanted.manifest
    return msgspec.structs.replace(base, kind=kind, name=f"{kind}-{base.horizon}", seed=wanted.seed)


def train(data: DataSet, wanted: Wanted, runner: Runner = in_process) -> Outcome:
    """Every kind asked for, `naive` among them, and a stack when there are several others that take a row each."""
    kinds = tuple(dict.fromkeys(("naive", *wanted.kinds)))
    if "lstm" in kinds:
        from ml.models.lstm import require_torch

        require_torch()
    splits = list(walk_forward(data.ts_ns, data.ends_ns, wanted.folds, wanted.manifest.horizon_ns))
    parameters = _searched(data, wanted, kinds, splits[0].train, runner)
    everything = np.arange(len(data.ts_ns))
    tasks: list[Task] = [
        (f"{kind}, fold {k}", _forecast, (named(wanted, kind), split, parameters.get(kind, {})))
        for kind in kinds for k, split in enumerate(splits, 1)
    ]  # fmt: skip
    tasks += [(f"{kind}, whole", fitted, (named(wanted, kind), everything, parameters.get(kind, {}))) for kind in kinds]
    done = dict(runner(data, tasks))
    folds = {
        kind: [done[j * len(splits) + k] for k in range(len(splits))] for j, kind in enumerate(kinds)
    }  # fmt: skip
    models = {kind: done[len(kinds) * len(splits) + j] for j, kind in enumerate(kinds)}
    bases = [kind for kind in kinds if kind not in ("naive", *OF_SEQUENCES)]
    tested = data.rows(np.concatenate([one.test for one in splits]))
    if len(bases) > 1:
        folds["stack"], weights = _stacked([folds[kind] for kind in bases], data, splits)
        models["stack"] = Stack(named(wanted, "stack"), [models[kind] for kind in bases], weights)
    outcome = Outcome(tested, {})
    naive = _joined(folds["naive"])
    for kind, model in models.items():
        forecast = _joined(folds[kind])
        curves = replay(forecast, tested, wanted.manifest.horizon_ns)
        metrics = evaluated(forecast, naive, tested, wanted.manifest.horizon_ns)
        metrics |= {"money": told(curves), "folds": wanted.folds, "parameters": parameters.get(kind, {})}
        _tell(model, metrics | {DRIFT_KEY: distribution(data.names, data.features)})
        outcome.models[kind] = Trained(model, metrics, forecast, curves)
    return outcome


def _tell(model: Any, metrics: dict[str, Any]) -> None:
    model.manifest = msgspec.structs.replace(model.manifest, metrics=metrics)


def _joined(parts: Sequence[Forecast]) -> Forecast:
    return Forecast(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _stacked(bases: list[list[Forecast]], data: DataSet, splits: Sequence[Split]) -> tuple[list[Forecast], Weights]:
    """Each fold by weights learned of the folds before it, the first by equal ones; and the weights of all folds."""
    made, weights = [], equal_weights(len(bases))
    for k in range(len(splits)):
        made.append(stacked([one[k] for one in bases], weights))
        seen = data.rows(np.concatenate([one.test for one in splits[: k + 1]]))
        known = _known(seen, splits[k + 1].test if k + 1 < len(splits) else None, data)
        joined = [_joined(one[: k + 1]) for one in bases]
        weights = learned_weights([Forecast(*(c[known] for c in one)) for one in joined], seen.rows(known).labels)
    return made, weights


def _known(seen: DataSet, following: Any, data: DataSet) -> Any:
    """Rows whose labels were known when the next test began."""
    if following is None:
        return np.ones(len(seen.ts_ns), bool)
    return seen.ends_ns < data.ts_ns[following].min()


def _searched(
    data: DataSet, wanted: Wanted, kinds: Sequence[str], rows: Any, runner: Runner
) -> dict[str, dict[str, Any]]:
    """The best parameters of each kind, by rows before the first test alone."""
    if not wanted.search:
        return {}
    inner = data.rows(rows)
    (split,) = walk_forward(inner.ts_ns, inner.ends_ns, 1, wanted.manifest.horizon_ns)
    split = Split(rows[split.train], rows[split.test])
    dice = np.random.default_rng(wanted.seed)
    tries: list[tuple[str, dict[str, Any]]] = []
    for kind in kinds:
        choices = SEARCHED.get(kind, {})
        drawn = [
            {name: values[int(dice.integers(len(values)))] for name, values in choices.items()}
            for _ in range(wanted.search)
        ]
        tries += [(kind, one) for one in ([{}, *drawn] if choices else [])]
    tasks: list[Task] = [(f"{kind}, search", _tried, (named(wanted, kind), split, one)) for kind, one in tries]
    scores = dict(runner(data, tasks))
    best: dict[str, tuple[float, dict[str, Any]]] = {}
    for k, (kind, given) in enumerate(tries):
        if kind not in best or scores[k] < best[kind][0]:
            best[kind] = (scores[k], given)
    return {kind: given for kind, (_, given) in best.items()}
