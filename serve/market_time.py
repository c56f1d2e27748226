"""Market time as people see and control it, over the feed's own word. Knows no HTTP: the command line asks here too."""

import math
import time
from datetime import UTC, datetime
from typing import Any, Final

import ray

from actors.config import Settings, book_name
from actors.remote import ask, has_feed
from market.clock import SPEED_LEAST, SPEED_MOST
from market.spans import MILLISECOND_NS, instant_ns, span_ns
from serve.errors import ApiError, Code
from serve.system_schema import MarketTime, TimeAction, TimeControl

ANSWER_S: Final = 3.0
CONTROL_S: Final = 30.0
"""The feed itself answers sooner, when a time that is to be reached takes long."""
WALL: Final[dict[str, Any]] = {"mode": "wall"}
NOT_PLAYED: Final = "No recording is played now: time stands. Start the exchange with `--feed replay:FILE` to go on."

_NEEDS: Final = {
    TimeAction.RUN_UNTIL: "at", TimeAction.JUMP: "at", TimeAction.SPEED: "speed", TimeAction.LOOP: "loop",
}  # fmt: skip
_TAKES: Final = {**_NEEDS, TimeAction.STEP: "span"}
_FIELDS: Final = {"at_ns": "at", "span_ns": "span"}


def status(settings: Settings) -> MarketTime:
    """Waits for the feed."""
    return seen(_feed_says(settings))


def control(settings: Settings, asked: TimeControl) -> tuple[MarketTime, bool]:
    """Do it; the time then, and False when it is still on its way there. Waits; ApiError names the field."""
    args = arguments(asked)
    if settings.market_time != "replay":
        raise ApiError(Code.MARKET_TIME_IS_WALL)
    if not has_feed(settings):
        raise ApiError(Code.MARKET_TIME_IS_WALL, NOT_PLAYED)
    try:
        found: dict[str, Any] = ask("feed", "time_control", CONTROL_S, *args)
    except ray.exceptions.GetTimeoutError:
        return status(settings), False
    except ray.exceptions.RayTaskError as error:
        raise _refused(error) from None
    except (ValueError, ray.exceptions.RayError):
        raise ApiError(Code.UNAVAILABLE, "The feed does not answer now; try again.") from None
    return seen(found), bool(found.get("reached", True)) or bool(found.get("ended"))


def _refused(error: Exception) -> Exception:
    cause = getattr(error, "cause", None)
    if not isinstance(cause, ValueError):
        return error
    field, colon, text = str(cause).partition(": ")
    return ApiError(Code.VALIDATION, text if colon else field, _FIELDS.get(field, field) if colon else None)


def arguments(asked: TimeControl) -> tuple[str, int | None, float | None, int | None]:
    """Of the feed's `time_control`: action, at_ns, speed, span_ns. ApiError names the field that is missing or wrong."""
    for name in ("at", "span", "speed", "loop"):
        given = getattr(asked, name) is not None
        if given and _TAKES.get(asked.action) != name:
            raise ApiError(Code.VALIDATION, f"`{asked.action}` takes no `{name}`; leave it out.", name)
        if not given and _NEEDS.get(asked.action) == name:
            raise ApiError(Code.VALIDATION, f"`{asked.action}` needs `{name}`.", name)
    if asked.action is TimeAction.LOOP:
        return ("loop_on" if asked.loop else "loop_off", None, None, None)
    return asked.action.value, _at_ns(asked.at), _speed(asked.speed), _span_ns(asked.span)


def _at_ns(at: str | int | None) -> int | None:
    if at is None:
        return None
    try:
        return instant_ns(str(at))
    except ValueError as error:
        raise ApiError(Code.VALIDATION, f"{error}.", "at") from None


def _span_ns(span: str | int | None) -> int | None:
    if span is None:
        return None
    try:
        return span_ns(f"{span}ms" if isinstance(span, int) else span)
    except ValueError as error:
        raise ApiError(Code.VALIDATION, f"{error}.", "span") from None


def _speed(speed: float | str | None) -> float | None:
    if speed is None or speed == "max":
        return None if speed is None else math.inf
    if isinstance(speed, str) or not SPEED_LEAST <= speed <= SPEED_MOST:
        raise ApiError(
            Code.VALIDATION, f"{speed} is not from {SPEED_LEAST:g} to {SPEED_MOST:,.0f} or `max`; to stand still, pause.",
            "speed",
        )  # fmt: skip
    return float(speed)


def _feed_says(settings: Settings) -> dict[str, Any]:
    if settings.market_time != "replay":
        return WALL
    try:
        if not has_feed(settings):
            return {"mode": "replay", "paused": True, "market_ns": _newest_ns(settings)}
        found: dict[str, Any] = ask("feed", "time_status", ANSWER_S)
    except (ValueError, ray.exceptions.RayError):
        return {"mode": "replay", "unknown": True}
    return found


def _newest_ns(settings: Settings) -> int:
    """Of the books, whose recording is not played."""
    return max(int(ask(book_name(k), "status", ANSWER_S)["ts_ns"]) for k in range(settings.book_actors))


def seen(found: dict[str, Any]) -> MarketTime:
    """The feed's `time_status` as it is told; parts of it may be missing."""
    wall_ns = time.time_ns()
    if found.get("mode") != "replay":
        return MarketTime(
            wall_time=told(wall_ns), market_time=told(wall_ns), mode="wall", speed=1.0, state="running"
        )  # fmt: skip
    now, first, last = (found.get(name) or None for name in ("market_ns", "first_ns", "last_ns"))
    position = None
    if now and first and last and last > first:
        position = round(min(1.0, max(0.0, (now - first) / (last - first))), 6)
    until = found.get("until_ns")
    return MarketTime(
        wall_time=told(wall_ns),
        market_time=None if now is None else told(now),
        mode="replay",
        speed=found.get("speed", 1.0),
        state=_state(found),
        loop=bool(found.get("loop")),
        from_time=None if first is None else told(first),
        to_time=None if last is None else told(last),
        position=position,
        until=None if until is None else told(until),
    )


def _state(found: dict[str, Any]) -> str:
    if found.get("unknown"):
        return "unknown"
    if found.get("ended"):
        return "ended"
    return "paused" if found.get("paused") and found.get("until_ns") is None else "running"


def told(ns: int) -> str:
    """Rounded down to milliseconds: no time is told before it has come."""
    at = datetime.fromtimestamp(ns // 1_000_000_000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{ns % 1_000_000_000 // MILLISECOND_NS:03d}Z"
