"""How long each step of a recovery took, for the log: from the start of the process on."""

import os
import time
from pathlib import Path


def process_age_s() -> float:
    """Since the kernel started this process; 0.0 where there is no /proc."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        up_s = float(Path("/proc/uptime").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0.0
    return up_s - ticks / os.sysconf("SC_CLK_TCK")


class Phases:
    """`process`: until this was made, the interpreter and the imports included; then what `done` names."""

    def __init__(self) -> None:
        self.seconds = {"process": round(process_age_s(), 3)}
        self._at = time.monotonic()

    def done(self, name: str) -> None:
        now = time.monotonic()
        self.seconds[name] = round(now - self._at, 3)
        self._at = now
