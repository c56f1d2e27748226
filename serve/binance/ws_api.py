"""`/ws-api/v3`: the venue's API over one WebSocket, with the handlers, limits and errors of its REST API."""

import time
import traceback
from collections.abc import Sequence
from typing import Any, Final

import structlog

from serve.auth.api_keys import Key
from serve.binance.context import Context
from serve.binance.endpoint import Engine
from serve.binance.errors import BAD_SIGNATURE, BinanceError, missing, translated, unknown_error
from serve.binance.params import Params, RawReading, Reading
from serve.binance.route import Route, Security
from serve.binance.signing import check_signature, check_time
from serve.binance.user_data import UserData
from serve.binance.ws_request import WsRequest, check_limits_wanted, encoded_payload_of, payload_of
from serve.errors import ApiError

log = structlog.get_logger("raypit.binance")

_PLACES_ORDERS: Final = ("order.place", "order.cancelReplace", "orderList.place", "sor.order.place")


class Method:
    """A route by its name in this API, ready to run."""

    __slots__ = ("counts_orders", "name", "reading", "route")

    def __init__(self, route: Route, reading: Reading[Params] | RawReading) -> None:
        assert route.ws_method is not None
        self.name = route.ws_method
        self.route = route
        self.reading = reading
        self.counts_orders = self.name.startswith(_PLACES_ORDERS)

    def weight_of(self, values: dict[str, str]) -> int:
        weight = self.route.weight
        return weight if isinstance(weight, int) else weight(values)


class Caller:
    """Who asks: an address, and the key that the connection was logged on with."""

    __slots__ = ("address", "key", "unit_ns")

    def __init__(self, address: str, unit_ns: int) -> None:
        self.address = address
        self.unit_ns = unit_ns
        self.key: Key | None = None


class LoggedOut(BinanceError):
    """The key that the connection was logged on with is not good any more."""


class WsApi:
    """All methods, without a connection."""

    def __init__(self, engine: Engine, table: Sequence[Route]) -> None:
        self.venue = engine.venue
        self.user_data = UserData(engine.venue)
        self.methods = {
            route.ws_method: Method(route, engine.reading(route)) for route in table if route.ws_method is not None
        }
        self._engine = engine

    # -- who asks -------------------------------------------------------------------------------------------------

    def must_wait_for_key(self, caller: Caller, request: WsRequest) -> bool:
        """Whether the key has to be looked up: then what came before it must be sent on first."""
        name = request.values.get("apiKey") or (caller.key.api_key if caller.key is not None else "")
        return bool(name) and self.venue.keys.known(name) is None

    async def look_up_key(self, caller: Caller, request: WsRequest) -> None:
        """So that it is known, if there is such a key."""
        name = request.values.get("apiKey") or (caller.key.api_key if caller.key is not None else "")
        await self.venue.keys.find(name)

    async def signer(
        self, caller: Caller, request: WsRequest, security: Security | None, *, always: bool = False
    ) -> Key:
        """The key that a signed request comes with: its own, or the connection's, which needs no signature.

        Takes what proves it out of the values. `security` None: a key that may do anything at all; `always`: a
        signature there must be.
        """
        values = request.values
        payload = payload_of(values)
        given = values.pop("apiKey", None)
        if given is not None:
            request.apart += 1
        if given == "" or (given is None and caller.key is None):
            raise missing("apiKey")
        own = caller.key is not None and given in (None, caller.key.api_key)
        key = await (self.session_key(caller, security) if own else self._key(given or "", caller, security))
        if "timestamp" not in values:
            raise missing("timestamp")
        if request.signature or not own or always:
            if not request.signature:
                raise missing("signature")
            self._check_signature(key, request, payload, given)
        request.apart += check_time(values, time.time_ns() // 1000)
        return key

    async def session_key(self, caller: Caller, security: Security | None) -> Key:
        """The key that the connection was logged on with. Raises LoggedOut when it is good for nothing any more."""
        assert caller.key is not None
        name = caller.key.api_key
        try:
            return await self._key(name, caller, security)
        except BinanceError as error:
            key = await self.venue.keys.find(name)
            if key is None or not key.may_come_from(caller.address):
                raise LoggedOut(error.code, error.msg, error.status) from None
            raise

    async def _key(self, name: str, caller: Caller, security: Security | None) -> Key:
        if security is None:
            key = await self.venue.keys.find(name)
            security = Security.TRADE if key is not None and key.can_trade else Security.KEY
        return await self._engine.key_of(name, security, caller.address)

    @staticmethod
    def _check_signature(key: Key, request: WsRequest, payload: bytes, given: str | None) -> None:
        assert request.signature is not None
        try:
            check_signature(key, payload, request.signature)
        except BinanceError as error:
            if error.code != BAD_SIGNATURE[0]:
                raise
            values = request.values if given is None else request.values | {"apiKey": given}
            encoded = encoded_payload_of(values)
            if encoded == payload:
                raise
            check_signature(key, encoded, request.signature)

    # -- what is asked --------------------------------------------------------------------------------------------

    async def call(self, method: Method, caller: Caller, request: WsRequest) -> tuple[Context, Any]:
        """Raises BinanceError, ApiError and whatever the handler raises."""
        route, key = method.route, None
        if route.security is not Security.NONE:
            key = await self.signer(caller, request, route.security)
        check_limits_wanted(request)
        context = Context(self.venue, caller.address, caller.unit_ns, key)
        params = method.reading.read(request.values, request.apart, self.venue.strict)
        return context, await route.handler(context, params)


def failure_of(error: Exception, method: str) -> BinanceError:
    """Every failure in the venue's words."""
    if isinstance(error, BinanceError):
        return error
    if isinstance(error, ApiError):
        return translated(error)
    log.error("request_failed", method=method, traceback="".join(traceback.format_exception(error)))
    return unknown_error()
