"""How often Ray Serve looks: often while it starts something, seldom when everything stands. Tied to the Ray version that is pinned.

Serve's controller goes through its states in a loop with a pause, and a start needs some five turns of it: at the second that
suits a standing exchange these are five seconds of waiting, at the default of 0.1 s a tenth of a core for nothing.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

STARTING_S: Final = 0.1
STANDING_S: Final = 1.0
STARTS_FOR_S: Final = 20.0
"""Of a controller's life; later changes (a replica that died, a larger number of them) go at the slow pace."""

HAPROXY_STARTS_S: Final = 0.5
HAPROXY_STEP_S: Final = 0.02


def controller() -> None:
    """Called by a starting controller, in its event loop: RAY_SERVE_CONTROLLER_CALLBACK_IMPORT_PATH."""
    from ray.serve._private import controller as serve_controller

    def paced(seconds: float) -> None:
        serve_controller.CONTROL_LOOP_INTERVAL_S = seconds

    standing_s = serve_controller.CONTROL_LOOP_INTERVAL_S
    paced(min(STARTING_S, standing_s))
    asyncio.get_running_loop().call_later(STARTS_FOR_S, paced, standing_s)


def driver() -> None:
    """In the process that deploys: it asks once a second whether the application runs."""
    from ray.serve._private import client

    client.CLIENT_POLLING_INTERVAL_S = STARTING_S


def haproxy() -> None:
    """In the process that looks after HAProxy: half a second passes there before it looks whether a new HAProxy has taken over."""
    from ray.serve._private.haproxy import HAProxyApi

    wait = HAProxyApi._wait_for_hap_availability

    async def look_sooner(self: Any, proc: Any, *args: Any, **named: Any) -> None:
        deadline = time.monotonic() + HAPROXY_STARTS_S
        while proc.returncode is None and time.monotonic() < deadline:
            if await self._get_running_pid() == proc.pid:
                break
            await asyncio.sleep(HAPROXY_STEP_S)
        await wait(self, proc, *args, **named)

    HAProxyApi._wait_for_hap_availability = look_sooner


@contextlib.contextmanager
def without_pandas() -> Iterator[None]:
    """To import in what needs no pandas: where it can be had, Serve and ta-lib load it, and pyarrow with it, to be given tables."""
    if "pandas" in sys.modules:
        yield
        return
    sys.modules["pandas"] = None  # type: ignore[assignment]  # what Python itself puts there for "there is none"
    try:
        yield
    finally:
        del sys.modules["pandas"]
