"""Liveness and readiness: two answers that are ready before anyone asks.

Both are given before any queue, limit, authentication or route look-up, from bytes that a background task
refreshes: a gateway that refuses everything else for overload still answers its probes. Liveness says that
the event loop turns, nothing else; it comes from the loop itself on purpose, since a loop that hangs is to
be restarted.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
from starlette.types import Send

LIVE_PATH: Final = "/health/live"
READY_PATH: Final = "/health/ready"

CHECK_INTERVAL_S: Final = 1.0
NOT_READY_S: Final = 0.1
"""Between checks until all is well: somebody waits for it."""
CHECK_TIMEOUT_S: Final = 2.0
STALE_AFTER_S: Final = 10.0
"""A readiness nobody refreshed for so long is not believed: the refresher itself may be stuck."""

Check = Callable[[], Awaitable[str]]
"""Returns a short detail when all is well and raises otherwise."""


class Live(msgspec.Struct, frozen=True):
    status: str
    """`live`."""


class Component(msgspec.Struct, frozen=True):
    ok: bool
    detail: str


class Ready(msgspec.Struct, frozen=True):
    status: str
    """`ready`, `not_ready`, `draining`, or `stale` when the checks themselves have stopped."""
    components: dict[str, Component]


_LIVE_BODY: Final = msgspec.json.encode(Live("live"))
_READY_BODY: Final = msgspec.json.encode(Ready("ready", {}))


class Readiness:
    """What `/health/ready` tells. Run `run()` as a task beside the app; call `drain()` before a shutdown."""

    def __init__(
        self,
        checks: Mapping[str, Check],
        *,
        interval_s: float = CHECK_INTERVAL_S,
        timeout_s: float = CHECK_TIMEOUT_S,
        stale_after_s: float = STALE_AFTER_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._checks = dict(checks)
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._stale_after_s = stale_after_s
        self._monotonic = monotonic
        self._refreshed_at = monotonic()
        self._draining = False
        self._set({name: Component(False, "not checked yet") for name in self._checks})

    def _set(self, components: dict[str, Component]) -> None:
        self._components = components
        self._ok = all(component.ok for component in components.values())
        self._body = self._encoded("ready" if self._ok else "not_ready")

    def _encoded(self, status: str) -> bytes:
        return msgspec.json.encode(Ready(status, self._components))

    @property
    def components(self) -> Mapping[str, Component]:
        return self._components

    def answer(self) -> tuple[int, bytes]:
        """The HTTP status and the body."""
        if self._draining:
            return 503, self._encoded("draining")
        if self._monotonic() - self._refreshed_at > self._stale_after_s:
            return 503, self._encoded("stale")
        return (200 if self._ok else 503), self._body

    def drain(self) -> None:
        """From now on not ready, so that a balancer sends nobody new; those under way are still served."""
        self._draining = True

    async def refresh(self) -> None:
        found = await asyncio.gather(*(self._checked(check) for check in self._checks.values()))
        self._set(dict(zip(self._checks, found, strict=True)))
        self._refreshed_at = self._monotonic()

    async def run(self) -> None:
        """Refreshes until canceled."""
        while True:
            await self.refresh()
            await asyncio.sleep(self._interval_s if self._ok else min(self._interval_s, NOT_READY_S))

    async def _checked(self, check: Check) -> Component:
        try:
            async with asyncio.timeout(self._timeout_s):
                return Component(True, await check())
        except Exception as error:
            # The text may name hosts or users, and anyone may ask: the kind of the failure must do.
            return Component(False, type(error).__name__)


class HealthResponder:
    """The two answers as ASGI messages."""

    def __init__(self, readiness: Readiness | None) -> None:
        self._readiness = readiness

    def knows(self, path: str) -> bool:
        return path in (LIVE_PATH, READY_PATH)

    async def respond(self, path: str, method: str, send: Send) -> None:
        status, body = 200, _LIVE_BODY
        if path == READY_PATH:
            status, body = self._readiness.answer() if self._readiness else (200, _READY_BODY)
        if method not in ("GET", "HEAD"):
            status, body = 405, b""
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
        ]
        if status == 405:
            headers.append((b"allow", b"GET, HEAD"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})
