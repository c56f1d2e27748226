"""From processor time of processes and samples of their stacks to microseconds a command. Pure."""

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from bench.load import LOAD, Figures
from bench.processes import OTHER
from bench.profile.sampling import Seen
from bench.profile.stages import functions_of, order_of, stages_of

ORDER: Final = ("gateway", "haproxy", "account", "book", "postgres", "projector", "valkey", "feed", OTHER, LOAD)
LEAST_US: Final = 0.005
"""Of a command, below which a row is not told."""


class Process(msgspec.Struct):
    part: str
    pid: int
    role: str
    """Of several processes of one part."""
    user_s: float = 0.0
    system_s: float = 0.0


class Stage(msgspec.Struct, frozen=True):
    name: str
    us: float


class Part(msgspec.Struct, frozen=True):
    name: str
    us: float
    """Of processor time a command."""
    system_us: float
    """Of it in the kernel: system calls, wake-ups."""
    samples: int
    stages: list[Stage]
    """Of the Python parts by samples, of PostgreSQL by process."""
    functions: list[Stage]
    """The costliest first, without what they call in Python."""


class LoadProfile(msgspec.Struct, frozen=True):
    name: str
    commands_per_s: float
    p50_ms: float
    p99_ms: float
    parts: list[Part]

    @property
    def us(self) -> float:
        return sum(one.us for one in self.parts)


def processes_of(figures: Figures, roles: dict[int, str]) -> list[Process]:
    """What `used_by_process` told of them; `roles` of those that one part has several of."""
    found: dict[int, Process] = {}
    for name, seconds in figures.cpu_s.items():
        if name == LOAD:
            found[0] = Process(LOAD, 0, "", seconds)
            continue
        part, pid, kind = name.rsplit(" ", 2)
        one = found.setdefault(int(pid), Process(part, int(pid), roles.get(int(pid), "other backends")))
        if kind == "user":
            one.user_s = seconds
        else:
            one.system_s = seconds
    return list(found.values())


def folded(name: str, figures: Figures, processes: list[Process], seen: dict[int, Seen]) -> LoadProfile:
    done = figures.commands or figures.requests
    parts = []
    for part in ORDER:
        own = [one for one in processes if one.part == part]
        each = 1e6 / done
        us = sum(one.user_s + one.system_s for one in own) * each
        if us < LEAST_US:
            continue
        looked = [seen[one.pid] for one in own if one.pid in seen]
        stages = _by_role(own, each) if part == "postgres" else _shared(us, looked, partial(stages_of, part))
        parts.append(
            Part(
                part, us, sum(one.system_s for one in own) * each,
                sum(stacks.total() for one in looked for stacks in one.threads.values()),
                sorted(stages, key=lambda one: (order_of(part, one.name), -one.us)),
                _shared(us, looked, partial(functions_of, part)),
            )
        )  # fmt: skip
    return LoadProfile(name, done / figures.seconds, figures.p50_ms, figures.p99_ms, parts)


def _by_role(processes: list[Process], each: float) -> list[Stage]:
    found: defaultdict[str, float] = defaultdict(float)
    for one in processes:
        found[one.role] += (one.user_s + one.system_s) * each
    return [Stage(role, us) for role, us in found.items() if us >= LEAST_US]


def _shared(us: float, looked: list[Seen], seconds: Callable[[Seen], dict[str, float]]) -> list[Stage]:
    """A part's time by what it was seen at, the most first."""
    whole = sum(sum(one.cpu_s.values()) for one in looked)
    found: defaultdict[str, float] = defaultdict(float)
    for one in looked:
        for name, spent in seconds(one).items():
            found[name] += us * spent / whole
    return sorted((Stage(*one) for one in found.items() if one[1] >= LEAST_US), key=lambda one: -one.us)
