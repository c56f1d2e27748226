"""A light client: one connection, one outstanding request, bytes that were encoded beforehand.

Sans-library on purpose: `websockets` and `aiohttp` cost the load generator several times what an asyncio protocol does, and
the load shares its cores with the exchange. Knows nothing of orders.
"""

import asyncio
import base64
import os
import secrets
import struct
from collections.abc import Callable
from typing import Final, cast

OnMessage = Callable[[bytes], None]

_TEXT: Final = 1
_BINARY: Final = 2
_CLOSE: Final = 8
_PING: Final = 9
_PONG: Final = 10
_FIN: Final = 128
_MASKED: Final = 128
CONNECT_LIMIT_S: Final = 10.0


class ConnectionBroken(Exception):
    """The exchange closed or refused the connection, or sent what no client understands."""


class Connection(asyncio.Protocol):
    """Hands every whole message to `on_message`; when it breaks, `broken` is set."""

    def __init__(self) -> None:
        self.on_message: OnMessage = lambda _: None
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def send(self, encoded: bytes) -> None:
        assert self._transport is not None
        self._transport.write(encoded)

    def close(self) -> None:
        if not self.broken.done():
            self.broken.cancel()
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._break(f"the exchange closed the connection ({exc or 'no reason given'})")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            while self._take():
                pass
        except ConnectionBroken as error:
            self._break(str(error))

    def _take(self) -> bool:
        """Hand on one message if there is a whole one."""
        raise NotImplementedError

    def _cut(self, start: int, stop: int) -> bytes:
        message = bytes(memoryview(self._buffer)[start:stop])
        del self._buffer[:stop]
        return message

    def _break(self, reason: str) -> None:
        if not self.broken.done():
            self.broken.set_exception(ConnectionBroken(reason))
        if self._transport is not None:
            self._transport.abort()


class HttpConnection(Connection):
    """HTTP/1.1, kept alive. A message is a whole response, head and body."""

    def _take(self) -> bool:
        buffer = self._buffer
        head = buffer.find(b"\r\n\r\n")
        if head < 0:
            return False
        at = buffer.find(b"content-length: ", 0, head)
        if at < 0:
            raise ConnectionBroken(f"a response without Content-Length: {bytes(buffer[:head])!r}")
        stop = head + 4 + int(buffer[at + 16 : buffer.find(b"\r\n", at)])
        if len(buffer) < stop:
            return False
        self.on_message(self._cut(0, stop))
        return True


class WebSocketConnection(Connection):
    """A message is one frame's payload. Pings are answered."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def _take(self) -> bool:
        if not self.opened.done():
            return self._take_handshake()
        buffer = self._buffer
        have = len(buffer)
        if have < 2:
            return False
        size, start = buffer[1], 2
        if size == 126:
            size, start = int.from_bytes(buffer[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(buffer[2:10], "big"), 10
        if have < start + size:
            return False
        head = buffer[0]
        payload = self._cut(start, start + size)
        if head in (_FIN | _TEXT, _FIN | _BINARY):
            self.on_message(payload)
        elif head == _FIN | _PING:
            self.send(_frame(_PONG, payload))
        elif head == _FIN | _CLOSE:
            raise ConnectionBroken(
                f"the exchange closed the socket: {payload[2:].decode(errors='replace') or 'no reason'}"
            )
        elif head != _FIN | _PONG:
            raise ConnectionBroken(f"an unexpected frame: {head:#x}")
        return True

    def _take_handshake(self) -> bool:
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return False
        answer = self._cut(0, head + 4)
        if not answer.startswith(b"HTTP/1.1 101 "):
            status = answer.partition(b"\r\n")[0].decode(errors="replace")
            raise ConnectionBroken(f"the upgrade was refused: {status}")
        self.opened.set_result(None)
        return True

    def _break(self, reason: str) -> None:
        if not self.opened.done():
            self.opened.set_exception(ConnectionBroken(reason))
        super()._break(reason)


def text_frame(payload: bytes) -> bytes:
    return _frame(_TEXT, payload)


def binary_frame(payload: bytes) -> bytes:
    return _frame(_BINARY, payload)


def _frame(opcode: int, payload: bytes) -> bytes:
    """A client's frame: masked, as RFC 6455 demands."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", _FIN | opcode, _MASKED | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", _FIN | opcode, _MASKED | 126, size)
    else:
        head = struct.pack("!BBQ", _FIN | opcode, _MASKED | 127, size)
    mask = secrets.token_bytes(4)
    pad = (mask * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")
    return head + mask + masked.to_bytes(size, "big")


async def open_http(host: str, port: int) -> HttpConnection:
    async with asyncio.timeout(CONNECT_LIMIT_S):
        _, connection = await asyncio.get_running_loop().create_connection(HttpConnection, host, port)
    return connection


async def open_websocket(host: str, port: int, path: str, token: str) -> WebSocketConnection:
    """Connected, upgraded, authenticated: the exchange's first frame, its welcome, was read."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(CONNECT_LIMIT_S):
        _, connection = await loop.create_connection(WebSocketConnection, host, port)
        welcome: asyncio.Future[None] = loop.create_future()
        connection.on_message = lambda _: None if welcome.done() else welcome.set_result(None)
        key = base64.b64encode(os.urandom(16)).decode()
        connection.send(
            f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        )
        await connection.opened
        await asyncio.wait({welcome, connection.broken}, return_when=asyncio.FIRST_COMPLETED)
        if connection.broken.done():
            connection.broken.result()
    return connection
