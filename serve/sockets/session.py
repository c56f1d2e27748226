"""What all sockets share: authenticating, reading frames, the limits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection
from typing import Annotated, Any, Final, TypeAlias

import msgspec
import structlog

from serve.auth.principal import Principal
from serve.errors import ApiError, Code
from serve.http import Authenticator
from serve.sockets.outbox import WAITING_LIMIT, Outbox
from serve.sockets.transport import Denied, Transport

log = structlog.get_logger()

MAX_SOCKETS: Final = 4096
"""Open sockets of one gateway replica."""
AUTH_TIMEOUT_S: Final = 10.0
"""A socket that must authenticate and does not is closed."""

_NumberId: TypeAlias = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
_TextId: TypeAlias = Annotated[str, msgspec.Meta(max_length=64)]
RequestId: TypeAlias = _NumberId | _TextId | None
"""The client's own name of a frame; its answer carries it back."""

CLOSE_GOING_AWAY: Final = 1001
CLOSE_PROTOCOL: Final = 1002
CLOSE_POLICY: Final = 1008
CLOSE_INTERNAL: Final = 1011
CLOSE_TRY_LATER: Final = 1013

GOING_AWAY: Final = "the server is ending; reconnect and resume from your last seq"

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a decoder raises for a frame that is not JSON or MessagePack."""

json_encode = msgspec.json.Encoder().encode
msgpack_encode = msgspec.msgpack.Encoder().encode


class SocketCount:
    """Open sockets: for the limit, the metrics, and to end those of revoked sessions."""

    def __init__(self) -> None:
        self.open: dict[str, int] = {}
        self.sessions: set[Session] = set()
        self.retired = False
        """The server is ending: nobody comes in any more."""

    @property
    def total(self) -> int:
        return len(self.sessions)

    def admit(self) -> None:
        """Raises Denied when nobody else can come in."""
        if self.total >= MAX_SOCKETS:
            raise Denied(503, CLOSE_TRY_LATER, "too many sockets; try later")
        if self.retired:
            raise Denied(503, CLOSE_GOING_AWAY, GOING_AWAY)

    def end_revoked(self, session_ids: Collection[int]) -> None:
        for session in self.sessions:
            if session.principal is not None and session.principal.session_id in session_ids:
                session.outbox.close(CLOSE_POLICY, "the session was ended; log in again")

    async def retire(self, within_s: float) -> int:
        """End every socket with 1001 and wait until they are gone; how many there were."""
        self.retired = True
        sessions = tuple(self.sessions)
        for session in sessions:
            session.outbox.close(CLOSE_GOING_AWAY, GOING_AWAY)
        gone = [session.gone for session in sessions]
        if gone:
            await asyncio.wait(gone, timeout=within_s)
        return len(gone)


class Session:
    """One socket. Subclasses answer frames in `on_frame` and clean up in `on_close`; neither awaits.

    The transport tells when it is connected, each frame in order, and when it is gone.
    """

    channel = ""
    needs_user = False
    urgent = True
    """What it is sent goes before what others are sent at the same time."""
    waiting_limit = WAITING_LIMIT

    def __init__(self, transport: Transport, authenticator: Authenticator, count: SocketCount) -> None:
        self.transport = transport
        self.outbox = Outbox(transport, self.waiting_limit)
        self.principal: Principal | None = None
        self.binary = False
        """The peer speaks MessagePack: it gets MessagePack."""
        self._authenticator = authenticator
        self._count = count
        self._early: deque[str | bytes] = deque()
        """Frames that came before the session was ready for them."""
        self._came = asyncio.Event()
        self._ready = False
        self.beginning: asyncio.Task[None] | None = None
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # -- told by the transport ------------------------------------------------------------------------------------

    def connected(self) -> None:
        self._count.sessions.add(self)
        self._count.open[self.channel] = self._count.open.get(self.channel, 0) + 1
        self.beginning = asyncio.create_task(self._begin())

    def received(self, frame: str | bytes) -> None:
        """A whole message: text, or bytes."""
        if self._ready:
            self._take(frame)
            return
        self._early.append(frame)
        self._came.set()
        self.transport.pause()

    def lost(self) -> None:
        if self.gone.done():
            return
        self._count.sessions.discard(self)
        self._count.open[self.channel] -= 1
        if self.beginning is not None:
            self.beginning.cancel()
        self.outbox.closed = True
        try:
            self.on_close()
        finally:
            self.gone.set_result(None)

    # -- from here on, ours ---------------------------------------------------------------------------------------

    async def _begin(self) -> None:
        try:
            if await self._authenticated():
                await self.on_open()
            else:
                self.outbox.close(CLOSE_POLICY, "authenticate with a valid access token")
        except Exception:
            log.exception("socket not opened", channel=self.channel)
            self.outbox.close(CLOSE_INTERNAL, "the server failed; try again")
        self._ready = True
        while self._early:
            self._take(self._early.popleft())
        self.transport.resume()

    def _take(self, frame: str | bytes) -> None:
        if self.outbox.closing is not None:
            return
        try:
            self.on_frame(frame, not isinstance(frame, str))
        except ApiError as error:
            self.send(problem(_id_of(frame), error))
        except Exception:
            log.exception("frame failed", channel=self.channel)
            self.send(problem(_id_of(frame), ApiError(Code.INTERNAL)))

    async def _authenticated(self) -> bool:
        """From the Authorization header, the `token` query parameter, or a first frame `{"op":"auth","token":...}`."""
        asked = self.transport.handshake
        header = asked.headers.get("authorization", "")
        token = header[7:] if header[:7].lower() == "bearer " else asked.query_params.get("token")
        if token is None and self.needs_user:
            token = await self._token_frame()
        if token is None:
            return not self.needs_user
        try:
            self.principal = await self._authenticator.authenticate(token)
        except ApiError as error:
            self.send(problem(None, error))
            if error.code is Code.UNAVAILABLE:
                self.outbox.close(CLOSE_TRY_LATER, "nobody can be authenticated now; try later")
            return False
        return True

    async def _token_frame(self) -> str | None:
        try:
            async with asyncio.timeout(AUTH_TIMEOUT_S):
                await self._came.wait()
            frame = self._early.popleft()
            self.binary = not isinstance(frame, str)
            codec: Any = msgspec.msgpack if self.binary else msgspec.json
            decoded = codec.decode(frame)
            token = decoded["token"] if decoded.get("op") == "auth" else None
            return token if isinstance(token, str) else None
        except (TimeoutError, KeyError, AttributeError, TypeError, *UNREADABLE):
            return None

    def send(self, message: Any) -> None:
        """Encode and queue a message that must not be skipped."""
        self.outbox.send(msgpack_encode(message) if self.binary else json_encode(message).decode())

    async def on_open(self) -> None:
        """After authentication, before the first frame."""

    def on_frame(self, frame: str | bytes, binary: bool) -> None:
        raise NotImplementedError

    def on_close(self) -> None:
        """The socket is gone."""


class _Numbered(msgspec.Struct):
    id: RequestId = None


_json_id = msgspec.json.Decoder(_Numbered)
_msgpack_id = msgspec.msgpack.Decoder(_Numbered)


def _id_of(frame: str | bytes) -> int | str | None:
    """The name of a refused frame, so that its sender knows which one it was; None when it has none."""
    try:
        return _json_id.decode(frame).id if isinstance(frame, str) else _msgpack_id.decode(frame).id
    except UNREADABLE:
        return None


def problem(request_id: Any, error: ApiError) -> dict[str, Any]:
    told = error.problem("")  # clips what the client sent itself
    return {
        "id": request_id,
        "ok": False,
        "error": {"code": str(told.code), "detail": told.detail, "field": told.field},
    }


def decode(decoder: Any, frame: str | bytes, what: str) -> Any:
    """A typed frame, or ApiError naming the field."""
    try:
        return decoder.decode(frame)
    except msgspec.ValidationError as error:
        from serve.http.decode import invalid

        raise invalid(error) from None
    except UNREADABLE as error:
        raise ApiError(Code.MALFORMED_BODY, f"The frame is not valid {what}: {error}.") from None
