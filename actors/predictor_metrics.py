"""Figures of a predictor: its answers, its models' live scores, the drift of what they see."""

from typing import TYPE_CHECKING, Final

from prometheus_client import Counter, Gauge, generate_latest

from actors.metrics import ActorMetrics

if TYPE_CHECKING:
    from actors.live_forecasts import LiveForecasts
    from actors.micro_batches import MicroBatcher
    from actors.model_shelf import ModelShelf
    from actors.prediction_log import PredictionLog

SCORED: Final = ("brier", "log_loss", "pinball", "hits", "naive_pinball")


class PredictorMetrics(ActorMetrics):
    def __init__(self, actor: str) -> None:
        super().__init__(actor)
        self.scores: dict[int, dict[str, float]] = {}
        """By version, over the last day: `count` and means."""
        self._seconds = self.histogram("raypit_predictor_seconds", "Answering a question")
        labels = ["actor", "method"]
        self._questions = Counter("raypit_predictor_questions", "Questions answered", labels, registry=self.registry)
        self._rows = self.gauge("raypit_predictor_rows", "Rows forecast since the start")
        self._batches = self.gauge("raypit_predictor_batches", "Calls of a model since the start")
        self._waiting = self.gauge("raypit_predictor_waiting_rows", "Rows that wait")
        self._swaps = self.gauge("raypit_model_swaps", "Times that other models were promoted, since the start")
        self._failed = self.gauge("raypit_models_failed", "Promoted versions that cannot be loaded")
        self._leads = self.gauge("raypit_predictor_leads", "1: this one publishes and scores")
        by_model = ["actor", "model", "version"]
        self._score = Gauge(
            "raypit_prediction_score", "Mean over a day; hits: share of right directions", [*by_model, "score"],
            registry=self.registry,
        )  # fmt: skip
        self._count = Gauge(
            "raypit_predictions_scored", "Predictions scored in a day", by_model, registry=self.registry
        )
        self._drift = Gauge(
            "raypit_feature_drift_psi", "Population stability index; above 0.25: not what was learned",
            [*by_model, "feature"], registry=self.registry,
        )  # fmt: skip

    def answered(self, method: str, seconds: float) -> None:
        self._questions.labels(self.actor, method).inc()
        self._seconds.observe(seconds)

    def update(
        self,
        shelf: "ModelShelf",
        live: "LiveForecasts",
        batcher: "MicroBatcher",
        log: "PredictionLog",
        scores: dict[int, dict[str, float]],
    ) -> None:
        self.scores = scores
        self._rows.set(batcher.rows)
        self._batches.set(batcher.batches)
        self._waiting.set(batcher.waiting)
        self._swaps.set(shelf.swaps)
        self._failed.set(len(shelf.failed))
        self._leads.set(live.leads)
        for family in (self._score, self._count, self._drift):
            family.clear()
        for entry in shelf.promoted:
            labels = (self.actor, entry.manifest.name, str(entry.version))
            if found := scores.get(entry.version):
                self._count.labels(*labels).set(found["count"])
                for name in SCORED:
                    self._score.labels(*labels, name).set(found[name])
            for feature, psi in live.drift_of(entry).items():
                self._drift.labels(*labels, feature).set(psi)

    def exposed(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)
