"""What a job's own process does around its work (`job_process` is the other end): reads the request, tells how far it is."""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol, TypeVar

import msgspec

NICE: Final = 10
TELL_EVERY_S: Final = 0.5


class HowFar(Protocol):
    @property
    def fraction(self) -> float: ...


R = TypeVar("R")


def work(request: type[R], do: Callable[[R, Callable[[HowFar], None]], Coroutine[Any, Any, object]]) -> None:
    """Do what standard input asks for, at low priority whatever the parent's is; lines of how far it is on the output."""
    os.setpriority(os.PRIO_PROCESS, 0, max(NICE, os.getpriority(os.PRIO_PROCESS, 0)))
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=request)
    told_at = 0.0

    def tell(told: HowFar) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= TELL_EVERY_S or told.fraction >= 1.0:
            told_at = time.monotonic()
            sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
            sys.stdout.buffer.flush()

    asyncio.run(do(asked, tell))
