"""One socket of the data port: frames come by callback and answers leave in one write per turn of the event loop.

picows (Cython) reads and writes the frames; messages, pings, closing and limits are ours.
"""

import asyncio
from typing import Any, Final, Protocol

import structlog
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from serve.sockets import outbox as outboxes
from serve.sockets.routes import SocketRoute
from serve.sockets.session import CLOSE_INTERNAL, CLOSE_PROTOCOL, Session
from serve.sockets.transport import Denied, Handshake, Shared, frame_of
from serve.uvicorn_defaults import MAX_FRAME_BYTES, PONG_WITHIN_S

log = structlog.get_logger()

CLOSE_INVALID_TEXT: Final = 1007
CLOSE_TOO_BIG: Final = 1009
CLOSE_WITHIN_S: Final = 5.0
"""For a peer to answer the close frame; who does not is cut."""
WRITE_BYTES: Final = 256 << 10
"""Handed to the system at a time; what it does not take waits in the outbox, where states are conflated."""
REASON_BYTES: Final = 123
"""Of a close frame (RFC 6455, 5.5)."""

# As names of this module: looked up for each frame.
_TEXT: Final = WSMsgType.TEXT
_BINARY: Final = WSMsgType.BINARY
_CONTINUATION: Final = WSMsgType.CONTINUATION
_PING: Final = WSMsgType.PING
_PONG: Final = WSMsgType.PONG


class Port(Protocol):
    """Where a socket was accepted."""

    def admit(self, socket: "DataSocket") -> None:
        """Raises Denied."""

    def left(self, socket: "DataSocket") -> None: ...

    def flush_soon(self, socket: "DataSocket", urgent: bool) -> None:
        """Call its `flush` before this turn of the event loop ends, or soon after."""


class DataSocket(WSListener):
    """A `Transport` for its session."""

    def __init__(self, port: Port, route: SocketRoute, handshake: Handshake) -> None:
        super().__init__()
        self.handshake = handshake
        self._port = port
        self._route = route
        self._session: Session | None = None
        self._ws: WSTransport | None = None
        self._raw: asyncio.Transport | None = None
        self._parts: list[bytes] = []
        """Of a message that comes in fragments."""
        self._parts_text = False
        self._parts_bytes = 0
        self._full = False
        """The system takes no more now."""
        self._marked = False
        self._ended = False
        self._timer: asyncio.TimerHandle | None = None
        self._pinged_at = 0.0

    # -- from the network -----------------------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._ws = transport
        self._raw = transport.underlying_transport
        peer = self._raw.get_extra_info("peername")
        self.handshake = self.handshake._replace(address=address_of(peer))
        try:
            self._port.admit(self)
            self._session = session = self._route.open(self)
        except Denied as denied:
            self._end(denied.code, denied.reason)
            return
        except Exception:
            log.exception("socket not opened", path=self.handshake.path)
            self._end(CLOSE_INTERNAL, "the server failed; try again")
            return
        session.connected()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if (kind is _TEXT or kind is _BINARY) and frame.fin and not self._parts:
            if self._session is None or self._ended:
                return
            if kind is _BINARY:
                self._session.received(frame.get_payload_as_bytes())
                return
            try:
                text = frame.get_payload_as_utf8_text()
            except UnicodeDecodeError:
                self._end(CLOSE_INVALID_TEXT, "a text frame is not UTF-8")
                return
            self._session.received(text)
        elif kind is _PING:
            if not self._full:
                transport.send_pong(frame.get_payload_as_bytes())
        elif kind is _PONG:
            self._pinged_at = 0.0
        elif kind in (_TEXT, _BINARY, _CONTINUATION):
            self._gather(kind, frame)
        else:
            self._peer_closes(frame)

    def _gather(self, kind: WSMsgType, frame: WSFrame) -> None:
        """A fragment. Nobody needs them, but they are allowed."""
        if self._session is None or self._ended:
            return
        if (kind is _CONTINUATION) != bool(self._parts):
            self._end(CLOSE_PROTOCOL, "fragments of two messages are mixed")
            return
        if not self._parts:
            self._parts_text, self._parts_bytes = kind is _TEXT, 0
        self._parts.append(frame.get_payload_as_bytes())
        self._parts_bytes += frame.payload_size
        if self._parts_bytes > MAX_FRAME_BYTES or len(self._parts) > MAX_FRAME_BYTES >> 6:
            self._end(CLOSE_TOO_BIG, f"a message has at most {MAX_FRAME_BYTES} bytes")
        elif frame.fin:
            whole, self._parts = b"".join(self._parts), []
            try:
                self._session.received(whole.decode() if self._parts_text else whole)
            except UnicodeDecodeError:
                self._end(CLOSE_INVALID_TEXT, "a text message is not UTF-8")

    def _peer_closes(self, frame: WSFrame) -> None:
        assert self._ws is not None
        if not self._ws.is_close_frame_sent:
            code = frame.get_close_code()
            self._ws.send_close(WSCloseCode.OK if code is WSCloseCode.NO_INFO else code)
        self._ended = True
        self._ws.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
        self._port.left(self)
        if self._session is not None:
            self._session.lost()

    def pause_writing(self) -> None:
        self._full = True
        if not self._ended:
            self._cut_after(outboxes.SEND_TIMEOUT_S)

    def resume_writing(self) -> None:
        self._full = False
        if self._timer is not None and not self._ended:
            self._timer.cancel()
        self.flush()

    # -- the session's transport ----------------------------------------------------------------------------------

    def wake(self) -> None:
        if not self._marked and not self._full:
            self._marked = True
            self._port.flush_soon(self, self._session is None or self._session.urgent)

    def pause(self) -> None:
        if self._raw is not None and not self._raw.is_closing():
            self._raw.pause_reading()

    def resume(self) -> None:
        if self._raw is not None and not self._raw.is_closing():
            self._raw.resume_reading()

    # -- to the network -------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Send what waits, as far as the system takes it."""
        self._marked = False
        session, ws = self._session, self._ws
        if session is None or ws is None or self._ended:
            return
        outbox = session.outbox
        if not self._full and (only := outbox.take_only()) is not None:
            if isinstance(only, Shared):  # first: what is told to a thousand
                ws.send(_TEXT, only.payload)
            else:
                ws.send(_TEXT if isinstance(only, str) else _BINARY, only)
            if outbox.closing is None:
                return
        while outbox.waits and not self._full:
            messages = outbox.take_many(WRITE_BYTES)
            if len(messages) > 1:
                assert self._raw is not None
                self._raw.write(b"".join(map(frame_of, messages)))
                continue
            message = messages[0]
            if isinstance(message, Shared):
                ws.send(_TEXT, message.payload)
            else:
                ws.send(_TEXT if isinstance(message, str) else _BINARY, message)
        if outbox.closing is not None and not outbox.waits:
            self._end(*outbox.closing)

    def _end(self, code: int, reason: str) -> None:
        """Close with a reason; the connection ends with the peer's answer to it, or without."""
        if self._ended or self._ws is None:
            return
        self._ended = True
        told: Any = code  # of the venue's own there are more than picows names
        self._ws.send_close(told, reason.encode()[:REASON_BYTES].decode(errors="ignore"))
        self._cut_after(CLOSE_WITHIN_S)

    def _cut_after(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._cut)

    def _cut(self) -> None:
        if not self._ended:
            log.info("socket reads too slowly, cut off")
        if self._ws is not None:
            self._ws.disconnect(False)

    def beat(self, now_s: float) -> None:
        """Ping a peer, or give up one that did not answer the last ping."""
        if self._ws is None or self._ended:
            return
        if not self._pinged_at:
            self._pinged_at = now_s
        elif now_s - self._pinged_at > PONG_WITHIN_S:
            self._end(CLOSE_INTERNAL, "no pong came")
            return
        if not self._full:
            self._ws.send_ping()


def address_of(peer: Any) -> str | None:
    """Of a client that connects to us itself; None: from this machine, as the ingress sees it."""
    host = str(peer[0]) if peer else ""
    return None if host in ("", "::1") or host.startswith(("127.", "::ffff:127.")) else host
