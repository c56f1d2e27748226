"""`/metrics`: the gateway's own figures and those of every actor, in one Prometheus exposition."""

import asyncio
from collections.abc import Iterator
from typing import Final

import ray
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from starlette.requests import Request
from starlette.responses import Response

from actors.config import Settings
from actors.errors import LinkDown, Refused
from actors.remote import ask, names
from serve.predictions import Predictions, PredictorLink
from serve.sockets.prices import PriceBus
from serve.sockets.session import SocketCount

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
ASK_TIMEOUT_S: Final = 3.0


class GatewayMetrics:
    def __init__(self, settings: Settings, sockets: SocketCount, bus: PriceBus, predictions: Predictions) -> None:
        self._settings = settings
        self._sockets = sockets
        self._bus = bus
        self._predictions = predictions
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "raypit_http_requests", "Answered requests", ["path", "method", "status"], registry=self.registry
        )
        self._seconds = Histogram("raypit_http_request_seconds", "Time to answer", registry=self.registry)
        self._open = Gauge("raypit_sockets", "Open WebSockets", ["channel"], registry=self.registry)
        self._bus_messages = Gauge("raypit_bus_messages", "Messages from the bus", registry=self.registry)

    def on_response(self, path: str, method: str, status: int, seconds: float) -> None:
        self._requests.labels(path, method, str(status)).inc()
        self._seconds.observe(seconds)

    async def expose(self, _: Request) -> Response:
        for channel, count in self._sockets.open.items():
            self._open.labels(channel).set(count)
        self._bus_messages.set(self._bus.received)
        found = await asyncio.gather(*(asyncio.to_thread(_collect, name) for name in names(self._settings)))
        found += await asyncio.gather(*(_collect_predictor(link) for link in self._predictions.links))
        merged = CollectorRegistry()
        merged.register(_Merged([metric for group in found for metric in group]))
        return Response(generate_latest(self.registry) + generate_latest(merged), media_type=CONTENT_TYPE)


class _Merged:
    """Families of several actors, those of one name together."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._families: dict[str, Metric] = {}
        for one in metrics:
            family = self._families.setdefault(one.name, Metric(one.name, one.documentation, one.type))
            family.samples.extend(one.samples)

    def collect(self) -> Iterator[Metric]:
        yield from self._families.values()


def _collect(name: str) -> list[Metric]:
    up = Metric("raypit_actor_up", "1: the actor answers", "gauge")
    try:
        found: list[Metric] = ask(name, "collect", ASK_TIMEOUT_S)
        up.add_sample("raypit_actor_up", {"actor": name}, 1.0)
    except (ValueError, ray.exceptions.RayError):
        found = []
        up.add_sample("raypit_actor_up", {"actor": name}, 0.0)
    return [*found, up]


async def _collect_predictor(link: PredictorLink) -> list[Metric]:
    try:
        return list(text_string_to_metric_families((await link.call("metrics")).decode()))
    except (LinkDown, Refused):
        return []
