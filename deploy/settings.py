"""What `raypit up` can be told: flags over environment (RAYPIT_*) over a TOML file over defaults."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

MAX_SYMBOLS = 1000
MAX_ACTORS = 64
MAX_KEEP_DAYS = 36_500


class SettingsError(ValueError):
    """Names the setting and where it came from."""


class Options(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8000
    """0: a free one."""
    data: str = "raypit-data"
    feed: str = "simulated"
    """`simulated`, or `none` for a market with nobody in it but you."""
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
    export_dir: str | None = None
    """Each whole day is exported there as Parquet before its trades are given up."""
    pg: str | None = None
    """DSN of a PostgreSQL to use instead of the embedded one."""
    redis: str | None = None
    """URL of a Redis or Valkey to use instead of the embedded one."""
    ray: str | None = None
    """Address of a Ray cluster to use instead of one of our own."""
    dashboard: bool = True
    """Ray's dashboard."""

    def __post_init__(self) -> None:
        if self.feed not in ("simulated", "none"):
            raise ValueError(f"feed must be `simulated` or `none`, not {self.feed!r}")
        if self.keep_seconds and (self.keep_seconds < self.keep_ticks or not self.keep_ticks):
            raise ValueError(
                "keep_seconds must be at least keep_ticks, for trades are found by their second; raise --keep-seconds "
                "(0: for ever) or lower --keep-ticks"
            )


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
    try:
        options = msgspec.convert(merged, Options, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{error}. See `raypit up --help`.") from None
    folder = None if options.export_dir is None else _absolute(options.export_dir)
    return msgspec.structs.replace(options, data=_absolute(options.data), export_dir=folder)


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not TOML: {error}") from None
