"""The WebSocket API's address: what a connection asks for by its URL, and who is let in."""

import time
from typing import Final
from urllib.parse import parse_qsl

from serve.auth.identity import Identity
from serve.binance.context import MICROSECOND_NS, MILLISECOND_NS
from serve.binance.endpoint import LOCAL
from serve.binance.errors import BinanceError
from serve.binance.streams import ConnectLimit
from serve.binance.ws_api import Caller, WsApi
from serve.binance.ws_session import WsApiSession
from serve.sockets.routes import SocketRoute
from serve.sockets.session import CLOSE_POLICY, CLOSE_TRY_LATER, SocketCount
from serve.sockets.transport import Denied, Transport

PATH: Final = "/ws-api/v3"
CONNECT_WEIGHT: Final = 2
_UNITS: Final = {
    "MILLISECOND": MILLISECOND_NS, "millisecond": MILLISECOND_NS,
    "MICROSECOND": MICROSECOND_NS, "microsecond": MICROSECOND_NS,
}  # fmt: skip


class BadAddress(Exception):
    """The URL asks for something that does not exist."""


class WsAddress:
    """What a connection asks for by its URL."""

    __slots__ = ("return_rate_limits", "unit_ns")

    def __init__(self, query: str) -> None:
        self.return_rate_limits = True
        self.unit_ns = MILLISECOND_NS
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name == "returnRateLimits":
                if value not in ("true", "false"):
                    raise BadAddress(name)
                self.return_rate_limits = value == "true"
            elif name == "timeUnit":
                if value not in _UNITS:
                    raise BadAddress(name)
                self.unit_ns = _UNITS[value]
            elif name == "responseFormat" and value != "json":
                raise BadAddress(name)  # SBE is not spoken here


def ws_api_routes(api: WsApi, identity: Identity, sockets: SocketCount) -> list[SocketRoute]:
    connects = ConnectLimit()

    def opened(transport: Transport) -> WsApiSession:
        handshake = transport.handshake
        try:
            asked = WsAddress(handshake.query)
            if not connects.allow(handshake.address, time.monotonic()):
                raise Denied(429, CLOSE_TRY_LATER, "too many connections; try later")
            api.venue.limits.charge(handshake.address or LOCAL, CONNECT_WEIGHT, time.time())
        except BadAddress as error:
            raise Denied(400, CLOSE_POLICY, f"the parameter {error} is not understood") from None
        except BinanceError as error:
            raise Denied(error.status, CLOSE_TRY_LATER, error.msg[:120], error.retry_after_s) from None
        caller = Caller(handshake.address or LOCAL, asked.unit_ns)
        return WsApiSession(api, caller, asked.return_rate_limits, transport, identity, sockets)

    return [SocketRoute(PATH, opened)]
