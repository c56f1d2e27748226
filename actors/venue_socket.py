"""One WebSocket connection to a venue: reads, pings, notices when the other side is gone. Knows nothing of markets."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import aiohttp
import structlog
from aiohttp import WSMsgType

log = structlog.get_logger()

YIELD_EVERY: Final = 64
"""Frames read in one go when they wait in the buffer: pings and other feeds must get their turn."""

Heard = Callable[["VenueSocket", bytes], Awaitable[None] | None]
"""Takes a frame; what it returns, if anything, is waited for before the next one is read."""


class VenueSocket:
    """`closed` is done, with the reason, when the connection is of no more use."""

    def __init__(
        self,
        ws: aiohttp.ClientWebSocketResponse[bool],
        heard: Heard,
        *,
        ping_frame: Callable[[], str | bytes | None],
        ping_every_s: float,
        silence_limit_s: float,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._ws = ws
        self._heard = heard
        self._ping_frame = ping_frame
        self._ping_every_s = ping_every_s
        self._silence_limit_s = silence_limit_s
        self._now = loop.time
        self.born = self._last_heard = loop.time()
        self._holds_back = False
        self.symbols: set[str] = set()
        """That were heard of."""
        self.subscribed = asyncio.Event()
        self.closed: asyncio.Future[str] = loop.create_future()
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._keep_alive())]

    @property
    def age_s(self) -> float:
        return self._now() - self.born

    def fail(self, reason: str) -> None:
        if not self.closed.done():
            self.closed.set_result(reason)

    async def send(self, frame: str | bytes) -> None:
        try:
            async with asyncio.timeout(self._silence_limit_s):
                if isinstance(frame, str):
                    await self._ws.send_str(frame)
                else:
                    await self._ws.send_bytes(frame)
        except (OSError, TimeoutError, aiohttp.ClientError) as error:
            self.fail(f"sending: {error or type(error).__name__}")

    async def send_paced(self, frames: Sequence[str | bytes], burst: int, per_s: float) -> None:
        for number, frame in enumerate(frames):
            if number >= burst:
                await asyncio.sleep(1 / per_s)
            if self.closed.done():
                return
            await self.send(frame)

    async def close(self) -> None:
        self.fail("closed by us")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._ws.close()

    async def _read(self) -> None:
        try:
            self.fail(await self._read_all())
        except Exception as error:
            log.exception("a frame could not be taken")
            self.fail(f"{type(error).__name__}: {error}")

    async def _read_all(self) -> str:
        """Why there is nothing more to read."""
        ws = self._ws
        number = 0
        while not self.closed.done():
            message = await ws.receive()
            self._last_heard = self._now()
            if self.closed.done():
                break
            kind = message.type
            if kind in (WSMsgType.TEXT, WSMsgType.BINARY):
                waits = self._heard(self, message.data)
                if waits is not None:
                    await self._hold_back(waits)
            elif kind == WSMsgType.PING:
                await ws.pong(message.data)
            elif kind == WSMsgType.ERROR:
                return f"{type(message.data).__name__}: {message.data}"
            elif kind != WSMsgType.PONG:
                return f"closed by the venue ({ws.close_code})"
            number += 1
            if number % YIELD_EVERY == 0:
                await asyncio.sleep(0)
        return "closed"

    async def _hold_back(self, waits: Awaitable[None]) -> None:
        self._holds_back = True
        try:
            await waits
        finally:
            self._holds_back = False
            self._last_heard = self._now()

    async def _keep_alive(self) -> None:
        next_ping = self.born + self._ping_every_s
        tick = self._silence_limit_s / 4
        while not self.closed.done():
            await asyncio.sleep(min(tick, max(0.0, next_ping - self._now())))
            now = self._now()
            if not self._holds_back and now - self._last_heard > self._silence_limit_s:
                self.fail(f"silent for {now - self._last_heard:.1f} s, pongs included")
            elif now >= next_ping:
                next_ping = now + self._ping_every_s
                await self._ping()

    async def _ping(self) -> None:
        frame = self._ping_frame()
        if frame is not None:
            await self.send(frame)
            return
        try:
            async with asyncio.timeout(self._silence_limit_s):
                await self._ws.ping()
        except (OSError, TimeoutError, aiohttp.ClientError) as error:
            self.fail(f"ping: {error or type(error).__name__}")
