"""The WebSocket routes of the market streams: what their paths and parameters ask for.

`/ws/<stream>[/<stream>...]` tells bare events, `/stream?streams=<stream>/<stream>` wrapped ones. A tail that names no
stream (clients number their connections so) is accepted and asks for nothing.
"""

import time
from collections import deque
from typing import Final
from urllib.parse import unquote

import msgspec

from market.stream_names import looks_like_stream
from serve.auth.identity import Identity
from serve.auth.key_material import is_identifier as looks_like_listen_key
from serve.binance.stream_hub import StreamHub
from serve.binance.stream_session import StreamLimits, StreamSession
from serve.binance.user_data import UserData
from serve.sockets.routes import SocketRoute
from serve.sockets.session import CLOSE_POLICY, CLOSE_TRY_LATER, SocketCount
from serve.sockets.transport import Denied, Transport

CONNECTS: Final = 300
CONNECTS_WITHIN_S: Final = 300.0
ADDRESSES_KNOWN: Final = 100_000
"""Addresses that connects are counted of; beyond it the oldest are forgotten."""
_UNITS: Final = {"MILLISECOND": "ms", "millisecond": "ms", "MICROSECOND": "us", "microsecond": "us"}


class StreamAddress(msgspec.Struct, frozen=True):
    """What a connection asks for by its URL."""

    names: list[str]
    combined: bool
    unit: str
    """`ms` or `us`."""

    @classmethod
    def of(cls, path: str, query: str) -> "StreamAddress":
        """ValueError names a parameter that is not understood. A plus in the query is a plus: `@+08:00`."""
        _, root, *tail = path.split("/")
        combined = root == "stream"
        if combined and tail[:1] == ["ws"]:
            tail = tail[1:]
        names = [one for one in tail if _is_name(one)]
        unit = "ms"
        for part in query.split("&"):
            key, _, value = part.partition("=")
            value = unquote(value)
            if key == "streams":
                given = [one for one in value.split("/") if one]
                if not all(_is_name(one) for one in given):
                    raise ValueError("streams")
                names += given
            elif key == "timeUnit":
                if value not in _UNITS:
                    raise ValueError("timeUnit")
                unit = _UNITS[value]
        return cls(names, combined, unit)


def _is_name(text: str) -> bool:
    return looks_like_stream(text) or looks_like_listen_key(text)


class ConnectLimit:
    """Connections of one address within five minutes. Addresses that are not known are not limited."""

    def __init__(self, most: int = CONNECTS, within_s: float = CONNECTS_WITHIN_S) -> None:
        self._most = most
        self._within_s = within_s
        self._made: dict[str, deque[float]] = {}

    def allow(self, address: str | None, now_s: float) -> bool:
        if address is None:
            return True
        made = self._made.pop(address, None)
        if made is None:
            made = deque(maxlen=self._most)
        self._made[address] = made
        if len(self._made) > ADDRESSES_KNOWN:
            del self._made[next(iter(self._made))]
        if len(made) == self._most and now_s - made[0] < self._within_s:
            return False
        made.append(now_s)
        return True


def stream_routes(
    hub: StreamHub,
    identity: Identity,
    sockets: SocketCount,
    limits: StreamLimits | None = None,
    user_data: UserData | None = None,
) -> list[SocketRoute]:
    """Behind the routes of our own sockets under /ws."""
    limits = limits or StreamLimits()
    connects = ConnectLimit()

    def opened(transport: Transport) -> StreamSession:
        handshake = transport.handshake
        if not connects.allow(handshake.address, time.monotonic()):
            raise Denied(403, CLOSE_TRY_LATER, "too many connections; try later")
        try:
            asked = StreamAddress.of(handshake.path, handshake.query)
        except ValueError as error:
            raise Denied(403, CLOSE_POLICY, f"the parameter {error} is not understood") from None
        return StreamSession(
            hub,
            limits,
            transport,
            identity,
            sockets,
            names=asked.names,
            combined=asked.combined,
            unit=asked.unit,
            user_data=user_data,
        )

    paths = (("/ws", False), ("/ws/", True), ("/stream", False), ("/stream/", True))
    return [SocketRoute(path, opened, below) for path, below in paths]
