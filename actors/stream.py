"""The data plane: length-prefixed frames over Unix sockets (same node) or TCP (other nodes).

A `Link` is one connection, a sans-queue asyncio protocol: frames are handed to `on_frame` as they arrive, in order.
Knows nothing of what frames mean.
"""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, cast

import structlog

from actors.wire import FRAME, MAX_FRAME, Kind

log = structlog.get_logger()

WRITE_LIMIT: Final = 64 * 1024 * 1024
"""Bytes a peer may leave unread before it is cut off: it recovers from the journal, we do not run out of memory."""
ROOM: Final = 256 * 1024
"""Bytes read at once; more while a larger frame comes."""
MOST_ROOM: Final = 4 * 1024 * 1024
"""Bytes that are kept for the next frame."""
JOINED: Final = 4096
"""Bytes of a body: from there on it is not copied behind its head."""

FrameHandler = Callable[["Link", int, bytes], None]
CloseHandler = Callable[["Link"], None]


class Link(asyncio.BufferedProtocol):
    def __init__(self, on_frame: FrameHandler, on_close: CloseHandler | None = None) -> None:
        self._on_frame = on_frame
        self._on_close = on_close
        self._transport: asyncio.Transport | None = None
        self._room = memoryview(bytearray(ROOM))
        self._filled = 0
        """Bytes of `_room` that were read and are no whole frame yet."""
        self.closed = asyncio.get_running_loop().create_future()

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def send(self, kind: Kind, body: bytes) -> None:
        """Queue a frame. A peer that reads too slowly is cut off (`WRITE_LIMIT`)."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        head = FRAME.pack(len(body) + 1, kind)
        if len(body) < JOINED:
            transport.write(head + body)
        else:
            transport.writelines((head, body))
        if transport.get_write_buffer_size() > WRITE_LIMIT:
            log.warning("peer reads too slowly, cut off", unread=transport.get_write_buffer_size())
            transport.abort()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def pause(self) -> None:
        """Stop reading: back-pressure on the peer."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit from it

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._room[self._filled :] if self._filled else self._room

    def buffer_updated(self, nbytes: int) -> None:
        room, at, end = self._room, 0, self._filled + nbytes
        try:
            while end - at >= FRAME.size:
                size, kind = FRAME.unpack_from(room, at)
                if size > MAX_FRAME:
                    raise ValueError(f"frame of {size} bytes")
                stop = at + 4 + size
                if stop > end:
                    break
                body = room[at + FRAME.size : stop].tobytes()
                at = stop
                self._on_frame(self, kind, body)
        except Exception:
            log.exception("bad frame: closing the link")
            self.close()
            at = end
        self._filled = end - at
        if at < end:
            self._keep(room[at:end])

    def _keep(self, rest: memoryview) -> None:
        """The beginning of a frame goes to the front of a room that has place for the whole of it."""
        whole = 4 + FRAME.unpack_from(rest)[0] if len(rest) >= FRAME.size else FRAME.size
        if not whole <= len(self._room) <= max(whole, MOST_ROOM):
            self._room = memoryview(bytearray(max(whole, ROOM)))
        self._room[: len(rest)] = rest

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)
        if self._on_close is not None:
            self._on_close(self)


async def listen(path: str, on_frame: FrameHandler, on_close: CloseHandler) -> asyncio.AbstractServer:
    """Serve links on a Unix socket; a stale socket file of an earlier incarnation is replaced."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    loop = asyncio.get_running_loop()
    return await loop.create_unix_server(lambda: Link(on_frame, on_close), path)


async def connect(path: str, on_frame: FrameHandler, on_close: CloseHandler | None = None) -> Link:
    loop = asyncio.get_running_loop()
    _, link = await loop.create_unix_connection(lambda: Link(on_frame, on_close), path)
    return link


async def with_backoff(attempt: Callable[[], Awaitable[None]], what: str, most_s: float = 2.0) -> None:
    """Run `attempt` until it returns without an OSError, waiting longer each time (at most `most_s`)."""
    delay = 0.02
    while True:
        try:
            return await attempt()
        except OSError as error:
            log.info("retrying", what=what, error=str(error), delay_s=round(delay, 3))
            await asyncio.sleep(delay)
            delay = min(most_s, delay * 2)
