"""`/api/ai`: predictions, the models that make them, the state of a market. Public, as market data."""

import asyncio
import math
from typing import Any, Final

import msgspec
import numpy as np

from actors.errors import LinkDown, Refused
from actors.model_registry import ModelRegistry, ModelRow
from actors.prediction_log import scores
from ml.live_scores import DRIFT_KEY
from serve.errors import ApiError, Code
from serve.gateway import Gateway
from serve.http import Context, Endpoint
from serve.prediction_schema import (
    AnalysisQuery,
    AnalysisView,
    LiveScore,
    ModelList,
    ModelsQuery,
    ModelView,
    PredictionView,
    PredictRequest,
)
from serve.predictions import Predictions
from serve.system_schema import FeatureDrift, PredictorModel, PredictorStatus

_ODDS: Final = 0.5
_PREDICTOR: Final = (Code.NO_MODEL, Code.PREDICTOR_UNAVAILABLE)


def endpoints(gateway: Gateway, predictions: Predictions) -> list[Endpoint]:
    api = AiApi(gateway, predictions)
    tags = ("ai",)
    return [
        Endpoint("POST", "ai/predict", api.predict, request=PredictRequest, response=PredictionView, tags=tags,
                 summary="What a model expects of a symbol, or of your own rows of features",
                 description="Of the promoted model for the horizon, another promoted one by its name, or any version. The "
                 "answer names the version that made it.",
                 errors=(*_PREDICTOR, Code.UNKNOWN_SYMBOL, Code.FEATURES_UNAVAILABLE),
                 example=PredictRequest(symbol="BTCUSDT")),
        Endpoint("GET", "ai/models", api.models, query=ModelsQuery, response=ModelList, tags=tags,
                 summary="The models there are, and how good they are", errors=(Code.UNAVAILABLE,)),
        Endpoint("GET", "ai/analysis", api.analysis, query=AnalysisQuery, response=AnalysisView, tags=tags,
                 summary="The state of a market: trend, volatility, indicators, signals, correlations, predictions",
                 errors=(Code.UNKNOWN_SYMBOL, Code.PREDICTOR_UNAVAILABLE)),
    ]  # fmt: skip


class AiApi:
    def __init__(self, gateway: Gateway, predictions: Predictions) -> None:
        self._gateway = gateway
        self._predictions = predictions

    async def predict(self, ctx: Context) -> PredictionView:
        asked: PredictRequest = ctx.body
        if (asked.symbol is None) == (asked.features is None):
            raise ApiError(Code.VALIDATION, "Give either a symbol or features.", "symbol")
        which = (None if asked.horizon is None else asked.horizon.value, asked.model, asked.version)
        if asked.symbol is not None:
            return await self._predictions.predict(asked.symbol, *which)
        assert asked.features is not None
        return await self._predictions.predict_rows(rows_of(asked.features), *which)

    async def models(self, ctx: Context) -> ModelList:
        query: ModelsQuery = ctx.query
        registry = ModelRegistry(self._gateway.pool, self._gateway.settings.data_dir)
        found = await (registry.promoted() if query.promoted else registry.models())
        live = await scores(self._gateway.pool, self._gateway.now_ns())
        return ModelList([_model(row, live.get(row.version)) for row in found[: query.limit]])

    async def analysis(self, ctx: Context) -> AnalysisView:
        query: AnalysisQuery = ctx.query
        return await self._predictions.analysis(query.symbol, query.interval.value)


def rows_of(features: list[list[float | None]]) -> Any:
    """float64[n, columns]; ApiError names the row that is not as long as the first, or holds no finite number."""
    columns = len(features[0])
    for k, row in enumerate(features):
        if len(row) != columns:
            raise ApiError(
                Code.VALIDATION, f"The row has {len(row)} features, the first one {columns}.", f"features[{k}]"
            )
    rows = np.array(features, np.float64)  # None becomes NaN
    if np.isinf(rows).any():
        k, column = (int(one[0]) for one in np.nonzero(np.isinf(rows)))
        raise ApiError(Code.VALIDATION, "A feature is finite, or null when not known.", f"features[{k}][{column}]")
    return rows


def _model(row: ModelRow, live: dict[str, float] | None) -> ModelView:
    manifest = row.manifest
    return ModelView(
        version=row.version,
        model=manifest.name,
        kind=manifest.kind,
        horizon=manifest.horizon,
        promoted=row.promoted_ns is not None,
        created_ns=row.created_ns,
        promoted_ns=row.promoted_ns,
        source=manifest.source,
        width_ns=manifest.width_ns,
        features=list(manifest.features),
        symbols=list(manifest.symbols),
        from_ns=manifest.from_ns,
        to_ns=manifest.to_ns,
        metrics={name: value for name, value in manifest.metrics.items() if name != DRIFT_KEY},
        live=live_score(live),
    )


def live_score(found: dict[str, float] | None) -> LiveScore | None:
    if not found:
        return None
    return LiveScore(
        predictions=int(found["count"]),
        brier=found["brier"],
        brier_naive=_ODDS**2,
        log_loss=found["log_loss"],
        log_loss_naive=-math.log(_ODDS),
        hit_rate=found["hits"],
        pinball=found["pinball"],
        pinball_naive=found["naive_pinball"],
    )


async def predictor_status(predictions: Predictions) -> PredictorStatus:
    """Of all replicas; the leader knows the scores."""
    links = predictions.links
    told = await asyncio.gather(*(link.call("status") for link in links), return_exceptions=True)
    answers = [one for one in told if isinstance(one, dict)]
    for failed in told:
        if isinstance(failed, BaseException) and not isinstance(failed, LinkDown | Refused):
            raise failed
    answers.sort(key=lambda one: not one["leads"])
    models = [_predictor_model(one) for one in answers[0]["models"]] if answers else []
    return PredictorStatus(answers=bool(answers), replicas=len(answers), models=models)


def _predictor_model(told: dict[str, Any]) -> PredictorModel:
    drift = told["drift"]
    return PredictorModel(
        model=told["model"],
        version=told["version"],
        horizon=told["horizon"],
        symbols=told["symbols"],
        live=live_score(told["score"]),
        drift=None if drift is None else msgspec.convert(drift, FeatureDrift),
    )
