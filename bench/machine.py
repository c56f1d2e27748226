"""What a figure was measured on; without it no figure means anything."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

import msgspec


class Machine(msgspec.Struct, frozen=True):
    cores: int
    cpu: str
    memory_gib: float
    system: str
    python: str
    versions: dict[str, str]
    load_before: float
    """Runnable processes, mean of the last minute, before the benchmark began: above 0.5, others use the machine."""


def describe() -> Machine:
    packages = ("ray", "uvicorn", "websockets", "uvloop", "msgspec", "numpy", "numba", "asyncpg")
    return Machine(
        cores=cores(),
        cpu=_cpu(),
        memory_gib=round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        versions={name: version(name) for name in packages},
        load_before=round(os.getloadavg()[0], 2),
    )


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
