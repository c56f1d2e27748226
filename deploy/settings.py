"""What `raypit up` can be told: flags over environment (RAYPIT_*) over a TOML file over defaults."""

import math
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from actors.retraining_plan import horizons_of
from market.clock import SPEED_LEAST, SPEED_MOST
from market.feed_spec import FeedSpec, Replay, parse
from market.intervals import DAY_NS
from market.spans import span_ns

MAX_SYMBOLS = 1000
MAX_ACTORS = 64
MAX_KEEP_DAYS = 36_500
MAX_BACKFILL_DAYS = 31
"""A request tells 200 to 1,000 minutes of one symbol."""


class SettingsError(ValueError):
    """Names the setting and where it came from."""


class Options(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8000
    """0: a free one."""
    data_port: Annotated[int, Meta(ge=0, le=65535)] | None = None
    """Of WebSockets straight to the gateway; 0: a free one. Left out: the one after `port`, or a free one."""
    data: str = "raypit-data"
    feed: str = "simulated"
    """Where the market comes from, in the words of `market.feed_spec`."""
    speed: str = "1"
    """Market seconds per second of a replay, or `max`."""
    loop: bool = False
    """A replay begins again when it ended."""
    rate: Annotated[float, Meta(ge=0, le=100_000)] = 100.0
    """Commands per second of the simulated market, all symbols together."""
    seed: int = 1
    symbols: Annotated[int, Meta(ge=1, le=MAX_SYMBOLS)] = 8
    book_actors: Annotated[int, Meta(ge=1, le=MAX_ACTORS)] = 1
    account_actors: Annotated[int, Meta(ge=1, le=MAX_ACTORS)] = 1
    binance_limits: Annotated[float, Meta(ge=0, le=1_000_000)] = 1.0
    """Request and order limits of the Binance API times this; 0: nobody is refused."""
    binance_strict: bool = True
    """Refuse parameters that a route of the Binance API does not know."""
    keep_ticks: Annotated[int, Meta(ge=0, le=MAX_KEEP_DAYS)] = 30
    """Days of market time that trades are kept; 0: for ever."""
    keep_seconds: Annotated[int, Meta(ge=0, le=MAX_KEEP_DAYS)] = 30
    """Days of market time that candles of a second are kept; 0: for ever. Minutes and hours always are."""
    backfill: str = "24h"
    """Candles of so long before our own first trade are asked of venues; 0: none."""
    export_dir: str | None = None
    """Each whole day is exported there as Parquet before its trades are given up."""
    retrain: str = "1m,15m,1h"
    """Horizons that are trained daily on the stored minutes, and promoted by the rule; `none`."""
    assistant_url: str | None = None
    """Of an OpenAI-compatible API (`https://.../v1`) whose model gives the assistant its words; its key is in RAYPIT_ASSISTANT_KEY."""
    assistant_model: str | None = None
    """Its name there."""
    pg: str | None = None
    """DSN of a PostgreSQL to use instead of the embedded one."""
    redis: str | None = None
    """URL of a Redis or Valkey to use instead of the embedded one."""
    ray: str | None = None
    """Address of a Ray cluster to use instead of one of our own."""
    dashboard: bool = True
    """Ray's dashboard."""

    def __post_init__(self) -> None:
        spec = self.feed_spec
        _ = self.replay_speed, self.backfill_ns, self.horizons
        self._check_assistant()
        replays = isinstance(spec, Replay)
        for name, given in (("speed", self.speed != "1"), ("loop", self.loop)):
            if given and not replays:
                raise ValueError(f"{name} is for recordings: it needs --feed replay:FILE, not --feed {spec}")
        if self.keep_seconds and (self.keep_seconds < self.keep_ticks or not self.keep_ticks):
            raise ValueError(
                "keep_seconds must be at least keep_ticks, for trades are found by their second; raise --keep-seconds "
                "(0: for ever) or lower --keep-ticks"
            )

    def _check_assistant(self) -> None:
        if (self.assistant_url is None) != (self.assistant_model is None):
            missing = "assistant_model" if self.assistant_model is None else "assistant_url"
            raise ValueError(f"{missing} is missing: --assistant-url and --assistant-model go together")
        if self.assistant_url is not None:
            parts = urlsplit(self.assistant_url)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
                raise ValueError(
                    "assistant_url must be http://... or https://... without a user, a password or a query"
                )

    @property
    def feed_spec(self) -> FeedSpec:
        """Raises `BadFeed`."""
        return parse(self.feed)

    @property
    def backfill_ns(self) -> int:
        if self.backfill.strip() == "0":
            return 0
        try:
            asked = span_ns(self.backfill)
        except ValueError as error:
            raise ValueError(f"backfill: {error}; 0 for none") from None
        if asked > MAX_BACKFILL_DAYS * DAY_NS:
            raise ValueError(f"backfill must be at most {MAX_BACKFILL_DAYS}d, not {self.backfill}")
        return asked

    @property
    def horizons(self) -> tuple[str, ...]:
        try:
            return horizons_of(self.retrain)
        except ValueError as error:
            raise ValueError(f"retrain: {error}") from None

    @property
    def replay_speed(self) -> float:
        """Infinity for `max`."""
        if self.speed.strip().lower() == "max":
            return math.inf
        try:
            speed = float(self.speed)
        except ValueError:
            speed = 0.0
        if not SPEED_LEAST <= speed <= SPEED_MOST:
            raise ValueError(f"speed must be {SPEED_LEAST} to {SPEED_MOST:,.0f}, or `max`, not {self.speed!r}")
        return speed


ASSISTANT_KEY = "RAYPIT_ASSISTANT_KEY"
"""In the environment: the key of the assistant's language model. Never an option: command lines and files are read by others."""


def load(flags: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> Options:
    """Options from all sources; `flags` that are None were not given. SettingsError names a bad one."""
    merged: dict[str, Any] = {}
    given = flags.get("config") or environment.get("RAYPIT_CONFIG")
    if given:
        merged |= _from_file(Path(given))
    for name in Options.__struct_fields__:
        value = environment.get(f"RAYPIT_{name.upper()}")
        if value is not None:
            merged[name] = value
    merged |= {name: value for name, value in flags.items() if value is not None and name != "config"}
    for name in ("speed", "backfill"):
        if isinstance(merged.get(name), (int, float)):  # of TOML
            merged[name] = str(merged[name])
    try:
        options = msgspec.convert(merged, Options, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{str(error).removesuffix('.')}. See `raypit up --help`.") from None
    folder = None if options.export_dir is None else _absolute(options.export_dir)
    feed = str(_placed(options.feed_spec))
    return msgspec.structs.replace(options, data=_absolute(options.data), feed=feed, export_dir=folder)


def _placed(feed: FeedSpec) -> FeedSpec:
    """Actors work in folders of their own."""
    return Replay(tuple(map(_absolute, feed.files))) if isinstance(feed, Replay) else feed


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not TOML: {error}") from None
