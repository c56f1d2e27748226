"""What a session needs of the socket beneath it, whoever speaks the protocol there.

Two do: `asgi` (the ingress, through Serve and uvicorn) and `data_port` (picows, without anybody between).
"""

import struct
from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol, TypeAlias

from starlette.datastructures import QueryParams

_TEXT_HEAD: Final = 0x81
"""A whole text message, not masked (RFC 6455, 5.2)."""
_BINARY_HEAD: Final = 0x82
_SHORT: Final = struct.Struct("!BB").pack
_MEDIUM: Final = struct.Struct("!BBH").pack
_LONG: Final = struct.Struct("!BBQ").pack


class Shared:
    """A text message that is told to many: its bytes on the wire are made once."""

    __slots__ = ("_frame", "payload", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.payload = text.encode()
        self._frame: bytes | None = None

    def __len__(self) -> int:
        return len(self.text)

    @property
    def frame(self) -> bytes:
        if self._frame is None:
            self._frame = _framed(_TEXT_HEAD, self.payload)
        return self._frame


Message: TypeAlias = str | bytes | Shared
"""Of text, of bytes, of text for many."""


def frame_of(message: Message) -> bytes:
    """A server's whole frame."""
    if type(message) is Shared:
        return message.frame
    if isinstance(message, str):
        return _framed(_TEXT_HEAD, message.encode())
    assert isinstance(message, bytes)
    return _framed(_BINARY_HEAD, message)


def _framed(head: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return _SHORT(head, size) + payload
    if size < 1 << 16:
        return _MEDIUM(head, 126, size) + payload
    return _LONG(head, 127, size) + payload


class Handshake(NamedTuple):
    """What a client asked for when it connected."""

    path: str
    query: str
    """As it was sent, without the question mark."""
    headers: Mapping[str, str]
    """Names in any case."""
    address: str | None
    """Of the client; None: of this machine, or not known."""

    @property
    def query_params(self) -> QueryParams:
        return QueryParams(self.query)


class Denied(Exception):
    """Not let in. The ingress answers the handshake with `status`; where it was accepted already it closes with `code`."""

    def __init__(self, status: int, code: int, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.code = code
        self.reason = reason
        self.retry_after_s = retry_after_s


class Transport(Protocol):
    """A socket as its session sees it: nothing here waits."""

    @property
    def handshake(self) -> Handshake: ...

    def wake(self) -> None:
        """The outbox has something: take it as soon as the peer can take more."""

    def pause(self) -> None:
        """Read no more than what has been read already."""

    def resume(self) -> None: ...
