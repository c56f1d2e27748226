"""`raypit.json` in the data folder: where a running exchange is. Readable by its owner only."""

import contextlib
import os
from pathlib import Path

import msgspec
import orjson

NAME = "raypit.json"


class RunningState(msgspec.Struct):
    pid: int
    url: str
    dashboard: str | None
    control: str
    """Unix socket of the supervisor."""
    pg_dsn: str
    redis_url: str
    started_at: float
    data_url: str = ""
    """Of the WebSocket data port, without a path."""


def write(data: Path, state: RunningState) -> None:
    path = data / NAME
    fresh = path.with_suffix(".new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(orjson.dumps(msgspec.to_builtins(state), option=orjson.OPT_INDENT_2))
    fresh.replace(path)


def read(data: Path) -> RunningState | None:
    """None when nothing was started there, or it did not end in good order and is gone."""
    try:
        state = msgspec.json.decode((data / NAME).read_bytes(), type=RunningState)
    except (OSError, msgspec.DecodeError):
        return None
    try:
        os.kill(state.pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return state


def remove(data: Path) -> None:
    """What this process wrote: a start that was refused because another one runs must not hide that one."""
    with contextlib.suppress(OSError, msgspec.DecodeError):
        if msgspec.json.decode((data / NAME).read_bytes(), type=RunningState).pid != os.getpid():
            return
    (data / NAME).unlink(missing_ok=True)
