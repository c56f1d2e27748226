"""Lets a process of this machine give way to others that want the processor. Linux; elsewhere nothing happens."""

import contextlib
import os
from pathlib import Path
from typing import Any, Final

READ_MODELS_NICE: Final = 5
"""Of what writes read models: it lags when the machine is full, and the order path does not."""
_PROC: Final = Path("/proc")


def server_gives_way(connection: Any, dsn: str, nice: int = READ_MODELS_NICE) -> None:
    """The PostgreSQL process that serves the connection, if it is on this machine and may be told so."""
    if "host=%2F" not in dsn:  # only a Unix socket's server is here
        return
    pid = connection.get_server_pid()
    with contextlib.suppress(OSError):
        if not (_PROC / str(pid) / "cmdline").read_bytes().startswith(b"postgres:"):
            return
        os.setpriority(os.PRIO_PROCESS, pid, nice)
        # Each server process is a session of its own: where sessions are scheduled as groups, the group's nice counts.
        (_PROC / str(pid) / "autogroup").write_text(str(nice))
