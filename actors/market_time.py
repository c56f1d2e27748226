"""What an administrator may ask of market time, checked: errors name the field and say what to do next."""

import math
from enum import StrEnum
from typing import NamedTuple

from market.clock import SPEED_LEAST, SPEED_MOST


class Action(StrEnum):
    PAUSE = "pause"
    RESUME = "resume"
    STEP = "step"
    """By `span_ns`, or to the next event; then the market stands."""
    SPEED = "speed"
    RUN_UNTIL = "run_until"
    """At the present speed to `at_ns`; then the market stands."""
    JUMP = "jump"
    """As fast as possible to `at_ns`; then it goes on as before."""
    LOOP_ON = "loop_on"
    LOOP_OFF = "loop_off"


class Goal(NamedTuple):
    """A time to come to."""

    until_ns: int
    fast: bool
    """As fast as possible, whatever the speed."""
    stands: bool
    """There the market stands still."""


def action_of(text: str) -> Action:
    name = text.strip().lower().replace(" ", "_").replace("-", "_")
    try:
        return Action(name)
    except ValueError:
        raise ValueError(f"action: {text!r} is none; choose one of {', '.join(Action)}") from None


def speed_of(speed: float | None) -> float:
    if speed is None:
        raise ValueError("speed: tell a number above 0, or inf for as fast as possible")
    if speed == math.inf or SPEED_LEAST <= speed <= SPEED_MOST:
        return float(speed)
    raise ValueError(f"speed: {speed} is not from {SPEED_LEAST:g} to {SPEED_MOST:,.0f} or inf; to stand still, pause")


def later(at_ns: int | None, now_ns: int) -> int:
    """`at_ns`, which must not be past."""
    if at_ns is None:
        raise ValueError("at_ns: tell a market time, in nanoseconds since 1970")
    if at_ns < now_ns:
        raise ValueError(f"at_ns: {at_ns} is past, market time is {now_ns} and does not go back; start another replay")
    return at_ns


def positive(span_ns: int) -> int:
    if span_ns <= 0:
        raise ValueError(f"span_ns: {span_ns} is not above 0; leave it out to step to the next event")
    return span_ns
