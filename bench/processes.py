"""Processor time of every part of a running exchange: where the microseconds of an order go. Linux; elsewhere nothing."""

import contextlib
import os
from pathlib import Path
from typing import Final, NamedTuple

_PARTS: Final = (
    ("ServeReplica:raypit-predictor", "predictor"),
    ("ServeReplica", "gateway"),
    ("AccountActor", "account"),
    ("BookActor", "book"),
    ("ProjectorActor", "projector"),
    ("FeedActor", "feed"),
    ("bin/haproxy", "haproxy"),
    ("raypit-postgres", "postgres"),
    ("bin/postgres", "postgres"),
    ("raypit-valkey", "valkey"),
    ("deploy.fork_server", "fork server"),
)
"""What stands in a command line, and how the part is called here."""
OTHER: Final = "other"
"""Ray itself, its dashboard, the supervisor."""
_PROC: Final = Path("/proc")


class Used(NamedTuple):
    """Processor time in seconds."""

    user: float
    system: float


class _Process(NamedTuple):
    parent: int
    used: Used
    of_ended: float
    """Seconds of children that ended and were waited for."""


def cpu_seconds(supervisor_pid: int) -> dict[str, float]:
    """CPU seconds, user and system, that each part has used so far."""
    processes = _processes()
    found: dict[str, float] = {}
    for pid, process in processes.items():
        if _descends(pid, supervisor_pid, processes):
            part = _part_of(_command(pid))
            found[part] = found.get(part, 0.0) + sum(process.used)
    return found


def used_by_process(supervisor_pid: int) -> dict[str, float]:
    """The same for each process: `part pid user` and `part pid system`."""
    processes = _processes()
    found = {}
    for pid, process in processes.items():
        if _descends(pid, supervisor_pid, processes):
            for name, seconds in process.used._asdict().items():
                found[f"{_part_of(_command(pid))} {pid} {name}"] = seconds
    return found


def ended_cpu_seconds(supervisor_pid: int) -> float:
    """CPU seconds of its processes that have ended, as far as somebody waited for them."""
    processes = _processes()
    return sum(one.of_ended for pid, one in processes.items() if _descends(pid, supervisor_pid, processes))


def pids_of(supervisor_pid: int, part: str) -> list[int]:
    """Processes of a part of a running exchange."""
    processes = _processes()
    return [pid for pid in processes if _descends(pid, supervisor_pid, processes) and _part_of(_command(pid)) == part]


def own_cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system


def _processes() -> dict[int, _Process]:
    if not _PROC.is_dir():
        return {}
    tick = os.sysconf("SC_CLK_TCK")
    found = {}
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                used = Used(int(fields[11]) / tick, int(fields[12]) / tick)
                ended = (int(fields[13]) + int(fields[14])) / tick
                found[int(folder.name)] = _Process(int(fields[1]), used, ended)
    return found


def _descends(pid: int, ancestor: int, processes: dict[int, _Process]) -> bool:
    while pid in processes:
        if pid == ancestor:
            return True
        pid = processes[pid].parent
    return False


def _command(pid: int) -> str:
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _part_of(command: str) -> str:
    return next((part for mark, part in _PARTS if mark in command), OTHER)
