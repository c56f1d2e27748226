"""What waits to be sent on one socket: one writer, bounded, with a time limit.

Messages with a key replace the one of the same key that still waits (depth, tickers: only the newest matters). Others
are never skipped: a listener that lets too many wait is cut off with a reason instead.
"""

import asyncio
from collections import deque
from typing import Any, Final

import structlog
from starlette.websockets import WebSocket

log = structlog.get_logger()

WAITING_LIMIT: Final = 4096
"""Messages that may not be skipped."""
WAITING_BYTES: Final = 128 << 20
"""Of the same: an answer to 1,000 orders has half a megabyte."""
SOON: Final = 64
"""Messages ahead of one that should not be skipped while its reader keeps up."""
SEND_TIMEOUT_S: Final = 10.0
"""A peer that does not take a message for so long is cut off."""
CLOSE_SLOW: Final = 1013


class Outbox:
    def __init__(self, socket: WebSocket, waiting_limit: int = WAITING_LIMIT) -> None:
        self._socket = socket
        self._waiting_limit = waiting_limit
        self._waiting_bytes = 0
        self._queue: deque[bytes | str] = deque()
        self._newest: dict[Any, bytes | str] = {}
        self._wake = asyncio.Event()
        self._close: tuple[int, str] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._sending_since = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self._stuck = False
        self.closed = False

    def send(self, message: bytes | str, key: Any = None) -> None:
        """Queue a message that must not be skipped; with a key, what waits under that key is not sent any more."""
        if self._close is not None:
            return
        if key is not None:
            self._newest.pop(key, None)
        self._waiting_bytes += len(message)
        if len(self._queue) >= self._waiting_limit or self._waiting_bytes > WAITING_BYTES:
            self.close(CLOSE_SLOW, "reads too slowly; reconnect and resume", at_once=True)
            return
        self._queue.append(message)
        self._wake.set()

    def replace(self, key: Any, message: bytes | str) -> None:
        """Queue a message, or put it in the place of an older one of the same key."""
        if self._close is not None:
            return
        self._newest[key] = message
        self._wake.set()

    def offer(self, key: Any, message: bytes | str) -> None:
        """`send` while the reader keeps up, else `replace`."""
        if key in self._newest or len(self._queue) >= SOON:
            self.replace(key, message)
        else:
            self.send(message)

    @property
    def closing(self) -> bool:
        return self._close is not None

    def close(self, code: int, reason: str, at_once: bool = False) -> None:
        """End the socket, once what was queued before is sent or at once; nothing is queued any more."""
        if self._close is None:
            self._close = (code, reason)
            if at_once:
                self._queue.clear()
                self._newest.clear()
            self._wake.set()

    async def run(self) -> None:
        """Send until closed. Ends when the peer does not take a message within SEND_TIMEOUT_S."""
        self._writer = asyncio.current_task()
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._queue or self._newest:
                    await self._send_one()
                if self._close is not None:
                    async with asyncio.timeout(SEND_TIMEOUT_S):
                        await self._socket.close(*self._close)
                    return
        except asyncio.CancelledError:
            if not self._stuck:
                raise
            log.info("socket reads too slowly, cut off")
        except (TimeoutError, RuntimeError):
            pass  # the peer closed first, or does not take the close
        finally:
            self.closed = True
            if self._alarm is not None:
                self._alarm.cancel()

    async def _send_one(self) -> None:
        if self._queue:
            message = self._queue.popleft()
            self._waiting_bytes -= len(message)
        else:
            message = self._newest.pop(next(iter(self._newest)))
        loop = asyncio.get_running_loop()
        self._sending_since = loop.time()
        if self._alarm is None:
            self._alarm = loop.call_later(SEND_TIMEOUT_S, self._look)
        if isinstance(message, str):
            await self._socket.send({"type": "websocket.send", "text": message})
        else:
            await self._socket.send({"type": "websocket.send", "bytes": message})
        self._sending_since = 0.0

    def _look(self) -> None:
        """One alarm for the messages of some seconds: one for each would cost more than sending it."""
        self._alarm = None
        if not self._sending_since:
            return
        loop = asyncio.get_running_loop()
        left_s = self._sending_since + SEND_TIMEOUT_S - loop.time()
        if left_s > 0:
            self._alarm = loop.call_later(left_s, self._look)
        elif self._writer is not None:
            self._stuck = True
            self._writer.cancel()
