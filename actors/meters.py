"""Counters and histograms for what happens thousands of times a second: plain numbers, made into metrics when asked.

One writer, the service's event loop; prometheus-client's own take a lock for each bucket and sum.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class Counter(Collector):
    def __init__(self, name: str, text: str, actor: str) -> None:
        self._name, self._text, self._actor = name, text, actor
        self._count = 0

    def inc(self, amount: int = 1) -> None:
        self._count += amount

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(self._name, self._text, labels=["actor"])
        family.add_metric([self._actor], self._count)
        yield family


class Histogram(Collector):
    """`bounds`: upper ends of the buckets, ascending; one without an end is added."""

    def __init__(self, name: str, text: str, actor: str, bounds: Sequence[float]) -> None:
        self._name, self._text, self._actor = name, text, actor
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def collect(self) -> Iterator[Metric]:
        family = HistogramMetricFamily(self._name, self._text, labels=["actor"])
        ends = [*map(floatToGoString, self._bounds), "+Inf"]
        family.add_metric([self._actor], list(zip(ends, accumulate(self._counts), strict=True)), self._sum)
        yield family
