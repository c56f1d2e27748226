"""Sockets behind the ingress: a session over Starlette's WebSocket, with one reader and one writer task."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from starlette.responses import Response
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from serve.http import ClientAddresses
from serve.sockets import outbox as outboxes
from serve.sockets.routes import SocketRoute
from serve.sockets.session import Session, SocketCount
from serve.sockets.transport import Denied, Handshake, Message, Shared, Transport

log = structlog.get_logger()

CLOSE_WITHIN_S: Final = 5.0
"""For a peer to take what was queued before the close."""


class AsgiSocket:
    """One socket: a `Transport`."""

    def __init__(self, socket: WebSocket, handshake: Handshake) -> None:
        self.handshake = handshake
        self._socket = socket
        self._work = asyncio.Event()
        self._sending_since = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self._stuck = False

    def wake(self) -> None:
        self._work.set()

    def pause(self) -> None:
        """Nothing is read while the session begins, see `_read`."""

    def resume(self) -> None: ...

    async def run(self, session: Session) -> None:
        """From the accepted handshake to the end."""
        session.connected()
        writer = asyncio.create_task(self.write(session.outbox))
        reader = asyncio.create_task(self._read(session))
        try:
            await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
            if reader.done():
                reader.result()
                if session.outbox.closing is not None:
                    await asyncio.wait({writer}, timeout=CLOSE_WITHIN_S)
        finally:
            reader.cancel()
            writer.cancel()
            session.lost()

    async def _read(self, session: Session) -> None:
        while session.outbox.closing is None:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            session.received(message["bytes"] if text is None else text)
            if session.beginning is not None and not session.beginning.done():
                await asyncio.wait({session.beginning})

    async def write(self, outbox: outboxes.Outbox) -> None:
        """Send until closed. Ends when the peer does not take a message within SEND_TIMEOUT_S."""
        writer = asyncio.current_task()
        assert writer is not None
        try:
            while True:
                await self._work.wait()
                self._work.clear()
                while outbox.waits:
                    await self._send(outbox.take(), writer)
                if outbox.closing is not None:
                    async with asyncio.timeout(outboxes.SEND_TIMEOUT_S):
                        await self._socket.close(*outbox.closing)
                    return
        except asyncio.CancelledError:
            if not self._stuck:
                raise
            log.info("socket reads too slowly, cut off")
        except (TimeoutError, RuntimeError):
            pass  # the peer closed first, or does not take the close
        finally:
            outbox.closed = True
            if self._alarm is not None:
                self._alarm.cancel()

    async def _send(self, message: Message, writer: asyncio.Task[None]) -> None:
        loop = asyncio.get_running_loop()
        self._sending_since = loop.time()
        if self._alarm is None:
            self._alarm = loop.call_later(outboxes.SEND_TIMEOUT_S, self._look, writer)
        if isinstance(message, bytes):
            await self._socket.send({"type": "websocket.send", "bytes": message})
        else:
            text = message.text if isinstance(message, Shared) else message
            await self._socket.send({"type": "websocket.send", "text": text})
        self._sending_since = 0.0

    def _look(self, writer: asyncio.Task[None]) -> None:
        """One alarm for the messages of some seconds: one for each would cost more than sending it."""
        self._alarm = None
        if not self._sending_since:
            return
        loop = asyncio.get_running_loop()
        left_s = self._sending_since + outboxes.SEND_TIMEOUT_S - loop.time()
        if left_s > 0:
            self._alarm = loop.call_later(left_s, self._look, writer)
        else:
            self._stuck = True
            writer.cancel()


def asgi_routes(table: Sequence[SocketRoute], addresses: ClientAddresses, count: SocketCount) -> list[BaseRoute]:
    """The table's sockets for a Starlette application."""
    return [
        WebSocketRoute(f"{one.path}{{tail:path}}" if one.below else one.path, _endpoint(one.open, addresses, count))
        for one in table
    ]


def _endpoint(
    opened: Callable[[Transport], Session], addresses: ClientAddresses, count: SocketCount
) -> Callable[[WebSocket], object]:
    async def serve(socket: WebSocket) -> None:
        scope = socket.scope
        query = scope["query_string"].decode("latin-1")
        transport = AsgiSocket(socket, Handshake(scope["path"], query, socket.headers, addresses.of(scope)))
        try:
            count.admit()
            session = opened(transport)
        except Denied as denied:
            await _deny(socket, denied)
            return
        await socket.accept()
        await transport.run(session)

    return serve


async def _deny(socket: WebSocket, denied: Denied) -> None:
    """Before it is accepted: the handshake fails with a status, where the server can say so."""
    headers = {} if denied.retry_after_s is None else {"retry-after": str(int(denied.retry_after_s) + 1)}
    try:
        await socket.send_denial_response(Response(b"", denied.status, headers))
    except RuntimeError:
        await socket.close()
