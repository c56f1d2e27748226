"""Processes that an exchange of this data folder left behind: found by a mark in their environment, and ended.

Ray's and HAProxy's children outlive a supervisor that was killed outright. Only the holder of the data folder's lock
may call this: whoever carries the mark then belongs to a dead exchange.
"""

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Final

MARK: Final = "RAYPIT_INSTANCE"
TERM_LIMIT_S: Final = 3.0


def marked(mark: str) -> list[int]:
    """Pids of living processes that carry the mark, this one excepted. Empty where there is no /proc."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        pid = int(entry.parent.name)
        with contextlib.suppress(OSError):
            if pid != os.getpid() and wanted in entry.read_bytes().split(b"\0"):
                found.append(pid)
    return found


def end(mark: str) -> int:
    """End them, by force after TERM_LIMIT_S; returns how many there were."""
    first = marked(mark)
    for number, limit_s in ((signal.SIGTERM, TERM_LIMIT_S), (signal.SIGKILL, TERM_LIMIT_S)):
        for pid in marked(mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + limit_s
        while marked(mark) and time.monotonic() < deadline:
            time.sleep(0.02)
    return len(first)
