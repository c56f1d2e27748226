"""What the order path should reach on two cores, aim and must, and what was found. Pure."""

from collections.abc import Iterator
from typing import Final

import msgspec

from bench.measure import DATA_PORT, Finding
from bench.order_rows import INGRESS

SHARE: Final = (0.70, 0.50)
"""Aim and must, here and below."""
PACKED_ORDERS: Final = (300_000.0, 150_000.0)
HTTP_SHARE: Final = (0.90, 0.75)
LONE_P50_MS: Final = (0.7, 1.2)
LONE_P99_MS: Final = (2.0, 5.0)
HALF_P99_MS: Final = (5.0, 15.0)


class Target(msgspec.Struct, frozen=True):
    text: str
    found: float
    aim: float
    must: float

    @property
    def met(self) -> bool:
        """The must."""
        return self._reaches(self.must)

    @property
    def verdict(self) -> str:
        return "aim met" if self._reaches(self.aim) else "met" if self.met else "missed"

    def _reaches(self, wanted: float) -> bool:
        """The aim tells which way is better."""
        return self.found >= wanted if self.aim > self.must else self.found <= wanted


def targets(findings: list[Finding]) -> list[Target]:
    """As far as they were measured; of several rows the best counts."""
    return [*_single(findings), *_frames(findings), *_http(findings), *_latencies(findings)]


def _single(findings: list[Finding]) -> Iterator[Target]:
    """Against the echo through the ingress: the limit of Serve's own WebSockets. The data port's echo is four times that."""
    rows = [one for one in findings if one.question.transport in (INGRESS, DATA_PORT) and _is(one, "place", 64, 1)]
    echoes = [one.noop.requests / one.noop.seconds for one in rows if one.question.transport == INGRESS]
    if echoes:
        share = max(one.order.requests / one.order.seconds for one in rows) / max(echoes)
        yield Target("WebSocket, 64 clients, one order a frame: share of the ingress' echo", share, *SHARE)


def _frames(findings: list[Finding]) -> Iterator[Target]:
    rows = [one for work in ("ioc", "place") for one in findings if _is(one, work, 16, 100)]
    if rates := [one.order.orders / one.order.seconds for one in rows]:
        yield Target("WebSocket, frames of 100 on 16 sockets: durable orders/s", max(rates), *PACKED_ORDERS)


def _http(findings: list[Finding]) -> Iterator[Target]:
    if shares := [one.ratio for one in findings if one.question.noop == "noop" and one.question.clients > 1]:
        yield Target("HTTP, one order a request: share of the no-op request", max(shares), *HTTP_SHARE)


def _latencies(findings: list[Finding]) -> Iterator[Target]:
    direct = [one for one in findings if one.question.transport == DATA_PORT]
    if lone := [one.order for one in direct if _is(one, "place", 1, 1)]:
        best = min(lone, key=lambda one: one.p50_ms)
        yield Target("a lone WebSocket order: p50 in ms", best.p50_ms, *LONE_P50_MS)
        yield Target("a lone WebSocket order: p99 in ms", best.p99_ms, *LONE_P99_MS)
    if halves := [one.half.p99_ms for one in direct if one.half is not None]:
        yield Target("64 clients at half of the highest rate: p99 in ms", min(halves), *HALF_P99_MS)


def _is(one: Finding, work: str, clients: int, size: int) -> bool:
    asked = one.question
    return (asked.order, asked.clients, asked.orders_per_frame) == (work, clients, size)
