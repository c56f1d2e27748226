"""Metrics of each actor, by prometheus-client in the actor's own registry; the gateway merges them for a scrape."""

import time
from typing import Final

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client import Counter as LabelledCounter
from prometheus_client.metrics_core import Metric

from actors.meters import Counter, Histogram
from market.enums import EventKind
from market.quality import Counters, Quality
from market.records import Records

SECONDS: Final = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0, 10.0)
_TRADE: Final = bytes([EventKind.TRADE])
_REJECTED: Final = bytes([EventKind.REJECTED])


class ActorMetrics:
    def __init__(self, actor: str) -> None:
        self.registry = CollectorRegistry()
        self.actor = actor
        self._labels = {"actor": actor}

    def counter(self, name: str, text: str) -> Counter:
        made = Counter(name, text, self.actor)
        self.registry.register(made)
        return made

    def gauge(self, name: str, text: str) -> Gauge:
        made = Gauge(name, text, ["actor"], registry=self.registry).labels(self.actor)
        assert isinstance(made, Gauge)
        return made

    def histogram(self, name: str, text: str) -> Histogram:
        made = Histogram(name, text, self.actor, SECONDS)
        self.registry.register(made)
        return made

    def collect(self) -> list[Metric]:
        """Plain data that crosses process borders."""
        return list(self.registry.collect())


class BookMetrics(ActorMetrics):
    def __init__(self, actor: str) -> None:
        super().__init__(actor)
        self._orders = self.counter("raypit_commands", "Commands matched")
        self._fills = self.counter("raypit_fills", "Trades")
        self._refused = self.counter("raypit_refusals", "Commands refused by the book")
        self._batches = self.counter("raypit_journal_batches", "Journal rows committed")
        self._match = self.histogram("raypit_match_seconds", "Matching one batch")
        self._commit = self.histogram("raypit_commit_seconds", "Committing one batch to the journal")
        self._wait = self.histogram("raypit_book_seconds", "From arrival of a batch's oldest command to its commit")

    def batch(self, commands: int, events: Records, match_s: float, commit_s: float, oldest: float) -> None:
        kinds = events["kind"].tobytes()
        self._orders.inc(commands)
        self._fills.inc(kinds.count(_TRADE))
        self._refused.inc(kinds.count(_REJECTED))
        self._batches.inc()
        self._match.observe(match_s)
        self._commit.observe(commit_s)
        self._wait.observe(time.perf_counter() - oldest)


class AccountMetrics(ActorMetrics):
    def __init__(self, actor: str) -> None:
        super().__init__(actor)
        self.admitted = self.counter("raypit_orders_admitted", "Commands sent on to a book")
        self.refused = self.counter("raypit_orders_refused", "Commands refused by the account")
        self.reports = self.counter("raypit_reports", "Execution reports")
        self.batches = self.counter("raypit_account_journal_batches", "Journal rows of the account stream")
        self.open_orders = self.gauge("raypit_open_orders", "Open orders")
        self.accounts = self.gauge("raypit_accounts", "Open accounts")
        self.drift = self.gauge(
            "raypit_conservation_drift_units", "Largest sum of postings over assets, as of the last snapshot; must be 0"
        )
        self.links = self.gauge("raypit_gateway_links", "Connected gateways and feeds")
        self.admit_s = self.histogram("raypit_admit_seconds", "Admitting one frame of commands")
        self.settle_s = self.histogram("raypit_settle_seconds", "Settling one batch")


class ProjectorMetrics(ActorMetrics):
    def __init__(self, actor: str) -> None:
        super().__init__(actor)
        self.ticks = self.counter("raypit_ticks", "Public trades put on the tape")
        self.rows = self.counter("raypit_projected_rows", "Rows written to read models")
        self.lag_s = self.gauge("raypit_projection_lag_seconds", "Age of the newest batch when it was projected")
        self.cache_errors = self.counter("raypit_cache_errors", "Failed writes to the hot cache")


class JobMetrics:
    """Of scheduled work, in the registry of the actor that runs it."""

    def __init__(self, of: ActorMetrics) -> None:
        self._actor = of.actor
        labels, registry = ["actor", "job"], of.registry
        self._runs = LabelledCounter(
            "raypit_job_runs", "Runs of scheduled work", [*labels, "outcome"], registry=registry
        )
        self._seconds = Gauge("raypit_job_seconds", "Length of the last run", labels, registry=registry)
        self._succeeded = Gauge("raypit_job_success_time_seconds", "When it last went well", labels, registry=registry)
        self.quality = of.gauge("raypit_stored_quality_score", "Of the day of stored data checked last, 0 to 100")
        self.tick_days = of.gauge("raypit_tick_days", "Days of ticks that are stored")

    def ran(self, job: str, seconds: float, succeeded_at_s: float | None) -> None:
        """`succeeded_at_s` None: it failed."""
        self._runs.labels(self._actor, job, "failed" if succeeded_at_s is None else "done").inc()
        self._seconds.labels(self._actor, job).set(seconds)
        if succeeded_at_s is not None:
            self._succeeded.labels(self._actor, job).set(succeeded_at_s)


class SimulatedMetrics(ActorMetrics):
    def __init__(self, actor: str) -> None:
        super().__init__(actor)
        self.commands = self.counter("raypit_feed_commands", "Commands of simulated participants")
        self.step_s = self.histogram("raypit_feed_step_seconds", "One step of the simulated market")


class ReplayMetrics(ActorMetrics):
    def __init__(self, actor: str) -> None:
        super().__init__(actor)
        self.commands = self.counter("raypit_feed_outside_commands", "Commands of outside markets sent to the books")
        self.behind_s = self.gauge("raypit_feed_behind_seconds", "Market time that is due and was not sent yet")


class VenueMetrics(ActorMetrics):
    def __init__(self, actor: str) -> None:
        super().__init__(actor)
        self.commands = self.counter("raypit_feed_outside_commands", "Commands of outside markets sent to the books")
        self.book_s = self.histogram("raypit_feed_book_seconds", "From an event's arrival until its book journaled it")
        self.left_out = self.counter("raypit_feed_retold", "Times that a symbol had to be told anew to its book")
        self._quality = self._by_venue("raypit_feed_quality", "0 to 100, over the last minute", "symbol", "score")
        self._connections = self._by_venue("raypit_feed_connections", "Connections that stand")
        self._symbols = self._by_venue("raypit_feed_symbols", "Symbols by state of their book", "state")
        self._frames = self._by_venue("raypit_feed_frames", "Frames that arrived")
        self._halted = self._by_venue("raypit_feed_halted_symbols", "Symbols that stand halted at the venue")
        self._list_errors = self._by_venue("raypit_feed_symbol_list_errors", "Symbol lists that could not be had")
        self._delay_s = self._by_venue("raypit_feed_delay_seconds", "Arrival minus the venue's time, of the last event")

    def _by_venue(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, ["actor", "venue", *labels], registry=self.registry)

    def score(self, venue: str, symbol: str, scores: Quality) -> None:
        for name, score in zip(Quality._fields, scores, strict=True):
            self._quality.labels(self.actor, venue, symbol, name).set(score)

    def halted(self, venue: str, symbols: int, list_errors: int) -> None:
        self._halted.labels(self.actor, venue).set(symbols)
        self._list_errors.labels(self.actor, venue).set(list_errors)

    def venue(self, venue: str, connected: int, live: int, stale: int, counted: Counters) -> None:
        self._connections.labels(self.actor, venue).set(connected)
        self._symbols.labels(self.actor, venue, "live").set(live)
        self._symbols.labels(self.actor, venue, "stale").set(stale)
        self._frames.labels(self.actor, venue).set(counted.frames)
        self._delay_s.labels(self.actor, venue).set(counted.last_delay_ns / 1e9)
