"""How good what venues send is, over the last minute: for `status()` and for Prometheus."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from actors.feed_tally import VENUE
from actors.metrics import VenueMetrics
from actors.venue_shards import VenueShards
from market.quality import Counters, Quality, quality, together

SILENCE_NS: Final = 60_000_000_000
"""A symbol may be quiet for so long and count as timely."""
READ_EVERY_S: Final = 5.0
READINGS: Final = 13
"""The oldest is a minute old."""
NAMED: Final = 20
"""Stale symbols that `status()` names."""


class _Reading(NamedTuple):
    at_ns: int
    counters: Mapping[str, Counters]


class VenueQuality:
    """Of one venue."""

    def __init__(self, shards: VenueShards, metrics: VenueMetrics, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._shards = shards
        self._metrics = metrics
        self._clock_ns = clock_ns
        self._readings: deque[_Reading] = deque(maxlen=READINGS)

    def read(self) -> None:
        """Every `READ_EVERY_S`."""
        self._readings.append(_Reading(self._clock_ns(), self._shards.counters()))
        venue, metrics = self._shards.venue, self._metrics
        for symbol, scores in self.scores().items():
            metrics.score(venue, symbol, scores)
        stale = len(self._shards.stale)
        last = self._readings[-1].counters
        counted = together(list(last.values()))
        metrics.venue(venue, self._shards.connected, len(self._shards.symbols) - stale, stale, counted)

    def _lately(self) -> dict[str, Counters]:
        """By symbol, what was counted between the oldest reading and the newest."""
        if not self._readings:
            return {}
        first, last = self._readings[0].counters, self._readings[-1].counters
        if len(self._readings) == 1:
            return dict(last)
        return {symbol: counted.since(first[symbol]) for symbol, counted in last.items()}

    def scores(self) -> dict[str, Quality]:
        now_ns = self._clock_ns()
        lately = self._lately()
        return {name: quality(one, now_ns, SILENCE_NS) for name, one in lately.items() if name != VENUE}

    def status(self) -> dict[str, Any]:
        shards = self._shards
        lately = self._lately()
        counted = together(list(lately.values()))
        symbols = {name: one for name, one in lately.items() if name != VENUE}
        stale = sorted(shards.stale)
        return {
            "venue": shards.venue,
            "connected": shards.connected == len(shards.shards),
            "connections": len(shards.shards),
            "symbols": len(shards.symbols),
            "live": len(shards.symbols) - len(stale),
            "stale": len(stale),
            "stale_symbols": stale[:NAMED],
            "messages_per_s": round(counted.frames / self._seconds(), 1),
            "delay_ms": round(counted.last_delay_ns / 1e6, 3) if counted.timed else None,
            "last_arrival_ns": counted.last_arrival_ns,
            "gaps": counted.gaps,
            "reconnects": counted.reconnects,
            "quality": _told(quality(together(list(symbols.values())), self._clock_ns(), SILENCE_NS)),
            "worst": self._worst(symbols),
        }

    def _worst(self, symbols: Mapping[str, Counters], most: int = 5) -> list[dict[str, Any]]:
        now_ns = self._clock_ns()
        scored = sorted((quality(one, now_ns, SILENCE_NS).overall, name) for name, one in symbols.items())
        return [{"symbol": name, "overall": round(score, 1)} for score, name in scored[:most] if score < 100]

    def _seconds(self) -> float:
        if len(self._readings) < 2:
            return READ_EVERY_S
        return max(1e-3, (self._readings[-1].at_ns - self._readings[0].at_ns) / 1e9)


def _told(scores: Quality) -> dict[str, float]:
    return {
        **{name: round(score, 1) for name, score in zip(Quality._fields, scores, strict=True)},
        "overall": round(scores.overall, 1),
    }
