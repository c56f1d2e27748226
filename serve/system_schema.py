"""What the exchange tells of itself: market time, the feed and how good it is. What is not known is null or left empty."""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from serve.prediction_schema import LiveScore
from serve.schema import Request


class TimeAction(StrEnum):
    PAUSE = "pause"
    RESUME = "resume"
    STEP = "step"
    SPEED = "speed"
    RUN_UNTIL = "run_until"
    JUMP = "jump"
    LOOP = "loop"


class TimeControl(Request, kw_only=True):
    """What is to become of the market time of a replay."""

    action: Annotated[
        TimeAction,
        Meta(
            description="`pause`, `resume`, `speed`, `loop`; `step`: by `span`, or to the next event, then stand; `run_until`: "
            "on at the present speed to `at`, then stand; `jump`: as fast as possible to `at`, then on as before."
        ),
    ]
    at: Annotated[str, Meta(max_length=40, examples=["2026-11-01T09:30:00Z"])] | int | None = None
    """run_until, jump: market time, as ISO 8601 or milliseconds since the Unix epoch; not past."""
    span: Annotated[str, Meta(max_length=24, examples=["1s"])] | int | None = None
    """step: `250ms`, `1s`, `5m`, `1h`, `1d`, or milliseconds. Left out: to the next event."""
    speed: float | Annotated[str, Meta(max_length=8, examples=["max"])] | None = None
    """speed: market seconds in one of the wall, 0.01 to 10,000, or `max`: as fast as possible."""
    loop: bool | None = None
    """loop: whether the recording begins again at its end."""


class MarketTime(msgspec.Struct, kw_only=True):
    wall_time: str
    """UTC, ISO 8601; so are all times here."""
    market_time: str | None
    """Null: no replay has begun."""
    mode: str
    """`wall`: market time is the wall's. `replay`: it is that of the recording that is played."""
    speed: float | str
    """Market seconds in one of the wall, or `max`."""
    state: str
    """`running`, `paused`, `ended`; `unknown`: the feed does not answer now."""
    loop: bool = False
    from_time: str | None = msgspec.field(default=None, name="from")
    """Where the recording begins."""
    to_time: str | None = msgspec.field(default=None, name="to")
    position: float | None = None
    """How much of the recording was played, 0 to 1."""
    until: str | None = None
    """The time that it is on its way to."""


class FeedQuality(msgspec.Struct, kw_only=True):
    """0 to 100, over the last minute."""

    completeness: float | None = None
    accuracy: float | None = None
    consistency: float | None = None
    timeliness: float | None = None
    overall: float | None = None


class WorstSymbol(msgspec.Struct, kw_only=True):
    symbol: str
    overall: float | None = None


class VenueStatus(msgspec.Struct, kw_only=True):
    venue: str
    connected: bool | None = None
    connections: int | None = None
    symbols: int | None = None
    live: int | None = None
    """Symbols whose book is known now."""
    stale: int | None = None
    """Symbols whose book is not; they have no outside liquidity."""
    stale_symbols: list[str] = []
    messages_per_s: float | None = None
    delay_ms: float | None = None
    """From the venue's clock to ours, of the newest message."""
    gaps: int | None = None
    reconnects: int | None = None
    quality: FeedQuality | None = None
    worst: list[WorstSymbol] = []


class FeedStatus(msgspec.Struct, kw_only=True):
    kind: str
    """`simulated`, `venues`, `replay`, `none`."""
    answers: bool
    """Null facts of a feed that does not answer are unknown."""
    behind_s: float | None = None
    """A replay: how much more is due than could be played."""
    venues: list[VenueStatus] = []


class FeatureDrift(msgspec.Struct, kw_only=True):
    feature: str
    psi: float
    """Population stability index of what is seen live against what was learned from: below 0.1 the same, above 0.25 not."""


class PredictorModel(msgspec.Struct, kw_only=True):
    model: str
    version: int
    horizon: str
    symbols: int
    """That it says something of now."""
    live: LiveScore | None
    drift: FeatureDrift | None
    """Of the feature that has moved most; null: what it learned from is not known, or nothing was seen yet."""


class PredictorStatus(msgspec.Struct, kw_only=True):
    answers: bool
    """False: predictions answer 503 `PREDICTOR_UNAVAILABLE`; trading is not concerned."""
    replicas: int = 0
    models: list[PredictorModel] = []
    """That are promoted."""


class SystemStatus(msgspec.Struct, kw_only=True):
    status: str
    """`ok`, or `degraded`: an account actor or the feed is away, all venues are, or the market is silent."""
    version: str
    symbols: int
    uptime_s: float
    """Of the gateway that answers."""
    market_data_age_ms: int | None
    """Since the newest ticker of all symbols, in market time."""
    market_time: MarketTime
    feed: FeedStatus
    predictor: PredictorStatus
    data_port: int | None = None
    """The same WebSockets without a proxy between: at this port of the host; null: there is none."""


class ActorStatus(msgspec.Struct):
    name: str
    ok: bool
    detail: dict[str, object]


class JobView(msgspec.Struct):
    """Scheduled work. Times are UTC, ISO 8601."""

    name: str
    schedule: str
    state: str
    """`waiting`, `running`, or `failed`: it waits to be tried again."""
    progress: float | None
    """Of the run under way, 0 to 1."""
    started_at: str | None
    finished_at: str | None
    succeeded_at: str | None
    duration_s: float | None
    result: dict[str, object] | None
    """Of the last run that went well."""
    error: str | None
    """Of the last run when it failed."""
    failures: int
    """In a row."""
    next_run_at: str | None
    asked_at: str | None
    """It was asked for and has not begun."""


class JobList(msgspec.Struct):
    jobs: list[JobView]


class ActorList(msgspec.Struct):
    actors: list[ActorStatus]
