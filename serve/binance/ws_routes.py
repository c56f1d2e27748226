"""The WebSocket API's address: what a connection asks for by its URL, and who is let in."""

import time
from typing import Final
from urllib.parse import parse_qsl

from starlette.responses import Response
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from serve.auth.identity import Identity
from serve.binance.context import MICROSECOND_NS, MILLISECOND_NS
from serve.binance.endpoint import LOCAL
from serve.binance.errors import BinanceError
from serve.binance.streams import ConnectLimit
from serve.binance.ws_api import Caller, WsApi
from serve.binance.ws_session import WsApiSession
from serve.http import ClientAddresses
from serve.sockets.session import SocketCount

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


def ws_api_routes(
    api: WsApi, identity: Identity, sockets: SocketCount, addresses: ClientAddresses
) -> list[BaseRoute]:  # fmt: skip
    connects = ConnectLimit()

    async def serve(socket: WebSocket) -> None:
        client_address = addresses.of(socket.scope)
        try:
            asked = WsAddress(socket.scope["query_string"].decode("latin-1"))
            if not connects.allow(client_address, time.monotonic()):
                await _deny(socket, 429)
                return
            api.venue.limits.charge(client_address or LOCAL, CONNECT_WEIGHT, time.time())
        except BadAddress:
            await _deny(socket, 400)
            return
        except BinanceError as error:
            await _deny(socket, error.status, error.retry_after_s)
            return
        caller = Caller(client_address or LOCAL, asked.unit_ns)
        await WsApiSession(api, caller, asked.return_rate_limits, socket, identity, sockets).run()

    return [WebSocketRoute(PATH, serve)]


async def _deny(socket: WebSocket, status: int, retry_after_s: float | None = None) -> None:
    """Before it is accepted: the handshake fails with a status, where the server can say so."""
    headers = {} if retry_after_s is None else {"retry-after": str(int(retry_after_s) + 1)}
    try:
        await socket.send_denial_response(Response(b"", status, headers))
    except RuntimeError:
        await socket.close()
