"""The data port: the gateway's WebSockets without Serve's proxy, uvicorn and Starlette between.

Each replica listens on the same port (SO_REUSEPORT): the system spreads connections over them, and a replica that is
started anew takes its place again. Paths, sessions and limits are those of the ingress.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote

import structlog
from picows import WSListener, WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener, ws_create_server

from serve.sockets.data_socket import DataSocket
from serve.sockets.routes import SocketRoute, found
from serve.sockets.session import SocketCount
from serve.sockets.transport import Denied, Handshake
from serve.uvicorn_defaults import MAX_FRAME_BYTES, PING_EVERY_S

log = structlog.get_logger()

HANDSHAKE_WITHIN_S: Final = 5.0
BACKLOG: Final = 2048
"""Connections that wait to be accepted: a thousand clients may come at once."""
READ_BUFFER_BYTES: Final = 8 << 10
"""Of each socket at first; it grows with the frames."""
SLICE: Final = 64
"""Sockets written to in one turn of the event loop: some 0.4 ms, then orders that came meanwhile are looked at."""


class DataPort:
    def __init__(self, table: Sequence[SocketRoute], count: SocketCount) -> None:
        self._table = table
        self._count = count
        self.open: set[DataSocket] = set()
        self._urgent: list[DataSocket] = []
        self._others: deque[DataSocket] = deque()
        self._scheduled = False
        self._server: asyncio.Server | None = None
        self._beats: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def serving(self) -> bool:
        return self._server is not None and self._server.is_serving()

    async def start(self, host: str, port: int) -> None:
        quiet = logging.getLogger("raypit.data_port")  # what clients do wrong is told to them
        quiet.setLevel(logging.CRITICAL)
        self._server = await ws_create_server(
            self._listener,
            host,
            port,
            websocket_handshake_timeout=HANDSHAKE_WITHIN_S,
            logger_name=quiet,
            enable_auto_pong=False,
            max_frame_size=MAX_FRAME_BYTES,
            read_buffer_init_size=READ_BUFFER_BYTES,
            reuse_port=True,
            backlog=BACKLOG,
        )
        self._beats = asyncio.create_task(self._beat())

    def stop_listening(self) -> None:
        """Sockets that are open stay."""
        if self._server is not None:
            self._server.close()

    async def stop(self) -> None:
        """For good, once the sockets are closed."""
        self.stop_listening()
        if self._beats is not None:
            self._beats.cancel()
            await asyncio.wait({self._beats})

    def _listener(self, request: WSUpgradeRequest) -> WSListener | WSUpgradeResponseWithListener:
        target, _, query = request.path.decode("latin-1").partition("?")
        path = unquote(target)
        route = found(self._table, path)
        status = 404
        if route is not None:
            try:
                self._count.admit()
            except Denied as denied:
                status = denied.status
            else:
                _tidy(request)
                return DataSocket(self, route, Handshake(path, query, request.headers, None))
        return WSUpgradeResponseWithListener(WSUpgradeResponse.create_error_response(status), None)

    # -- what sockets need ----------------------------------------------------------------------------------------

    def admit(self, socket: DataSocket) -> None:
        self._count.admit()
        self.open.add(socket)

    def left(self, socket: DataSocket) -> None:
        self.open.discard(socket)

    def flush_soon(self, socket: DataSocket, urgent: bool) -> None:
        (self._urgent if urgent else self._others).append(socket)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        urgent, self._urgent = self._urgent, []
        others = self._others
        for socket in urgent:
            self._flush_one(socket)
        for _ in range(min(SLICE, len(others))):
            self._flush_one(others.popleft())
        self._scheduled = bool(others or self._urgent)
        if self._scheduled:
            self._loop.call_soon(self._flush)

    def _flush_one(self, socket: DataSocket) -> None:
        try:
            socket.flush()
        except Exception:
            log.exception("socket not written")

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(PING_EVERY_S)
            now_s = self._loop.time()
            for socket in tuple(self.open):
                socket.beat(now_s)


def _tidy(request: WSUpgradeRequest) -> None:
    """picows wants `Connection: upgrade` and nothing else; Firefox sends `keep-alive, Upgrade`, which is as good."""
    tokens = ",".join(request.headers.getall("connection", [])).lower().split(",")
    if "upgrade" in map(str.strip, tokens):
        request.headers["connection"] = "upgrade"
