"""A route made ready to run: limits, keys, signatures and parameters before its handler, the venue's answer after it.

`Engine` knows no HTTP and serves the WebSocket API as well; `RestOperation` is its face in the table of operations.
"""

import re
import time
import traceback
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import structlog
from starlette.types import Receive, Scope

from serve.auth.api_keys import Key
from serve.auth.key_material import is_identifier
from serve.binance.context import MICROSECOND_NS, MILLISECOND_NS, Context
from serve.binance.errors import (
    BAD_KEY,
    BAD_KEY_FORMAT,
    INVALID_SBE_HEADER,
    INVALID_TIME_UNIT,
    SBE_DISABLED,
    BinanceError,
    missing,
    translated,
    unknown_error,
)
from serve.binance.params import Params, RawReading, Reading
from serve.binance.route import Route, Security
from serve.binance.sent import Sent, sent
from serve.binance.signing import check_signature, check_time
from serve.binance.venue import Venue
from serve.errors import ApiError
from serve.http.decode import ClientGone, read_body
from serve.http.operation import Reply

log = structlog.get_logger("raypit.binance")

MEDIA_TYPE: Final = b"application/json;charset=UTF-8"
LOCAL: Final = "127.0.0.1"
"""Who comes through our proxy from the proxy's own machine."""
_UNITS: Final = {
    b"MILLISECOND": MILLISECOND_NS, b"millisecond": MILLISECOND_NS,
    b"MICROSECOND": MICROSECOND_NS, b"microsecond": MICROSECOND_NS,
}  # fmt: skip
_SBE: Final = re.compile(rb"[0-9]{1,5}:[0-9]{1,5}")
_encode: Final = msgspec.json.Encoder().encode


class Engine:
    """Every route with its reader, and what they need."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue

    def reading(self, route: Route) -> Reading[Params] | RawReading:
        if route.accepts is not None:
            return RawReading(route.accepts)
        return Reading(route.params, self.venue.desk)

    async def key_of(self, text: str, security: Security, address: str) -> Key:
        """Raises -2014, -2015."""
        if not is_identifier(text):
            raise BinanceError(*BAD_KEY_FORMAT)
        keys = self.venue.keys
        key = keys.known(text) or await keys.find(text)
        if key is None or not key.may_come_from(address):
            raise BinanceError(*BAD_KEY)
        if not (key.can_trade if security is Security.TRADE else key.can_read):
            raise BinanceError(*BAD_KEY)
        return key

    @staticmethod
    def check_signed(key: Key, one: Sent) -> int:
        """How many parameters proved who sent it and when; `timestamp` and `recvWindow` leave the values."""
        values = one.values
        if "timestamp" not in values:
            raise missing("timestamp")
        if not one.signature:
            raise missing("signature")
        check_signature(key, one.payload, one.signature)
        return 1 + check_time(values, time.time_ns() // 1000)


class RestOperation:
    """One method at one path. Never raises: every failure is an answer of the venue's form."""

    __slots__ = ("_engine", "_reading", "_weight", "method", "path", "route")

    def __init__(self, engine: Engine, route: Route) -> None:
        self.route = route
        self.method = route.method
        self.path = route.full_path
        self._engine = engine
        self._reading = engine.reading(route)
        self._weight = route.weight

    async def run(
        self, scope: Scope, receive: Receive, headers: Mapping[bytes, bytes], request_id: str,
        client_address: str | None, params: dict[str, str],
    ) -> Reply:  # fmt: skip
        route, limits = self.route, self._engine.venue.limits
        address = client_address or LOCAL
        weight = used = 0
        try:
            body = b"" if route.method == "GET" else await read_body(receive, headers)
            one, weight, used = self._charged(scope["query_string"], body, address)
            context, value = await self._called(one, headers, address)
            if route.free:
                used = limits.refund(address, weight)
            told = self._headers(used)
            if context.order_counts is not None:
                told += [
                    (name, b"%d" % count)
                    for name, count in zip(limits.order_headers, context.order_counts, strict=True)
                ]
            return Reply(200, MEDIA_TYPE, _encode(value), told)
        except ClientGone:
            raise
        except BinanceError as error:
            failure = error
        except ApiError as error:
            failure = translated(error)
        except Exception as error:
            text = "".join(traceback.format_exception(error))
            log.error("request_failed", path=self.path, method=self.method, request_id=request_id, traceback=text)
            failure = unknown_error()
        return failed(failure, self._headers(used or limits.used(address, time.time())))

    def _charged(self, query: bytes, body: bytes, address: str) -> tuple[Sent, int, int]:
        """The request with its weight and the weight used; what cannot be read costs as well."""
        limits, now = self._engine.venue.limits, time.time()
        try:
            one = sent(query, body)
        except BinanceError:
            limits.charge(address, 1, now)
            raise
        weight = self._weight if isinstance(self._weight, int) else self._weight(one.values)
        return one, weight, limits.charge(address, weight, now)

    async def _called(self, one: Sent, headers: Mapping[bytes, bytes], address: str) -> tuple[Context, Any]:
        route, engine = self.route, self._engine
        unit = MILLISECOND_NS
        if asked := headers.get(b"x-mbx-time-unit"):
            if asked not in _UNITS:
                raise BinanceError(*INVALID_TIME_UNIT)
            unit = _UNITS[asked]
        if schema := headers.get(b"x-mbx-sbe"):
            raise BinanceError(*(SBE_DISABLED if _SBE.fullmatch(schema) else INVALID_SBE_HEADER))
        key, apart = None, 0
        if route.security is not Security.NONE:
            key = await engine.key_of(headers.get(b"x-mbx-apikey", b"").decode("latin-1"), route.security, address)
            if route.security.signed:
                apart = engine.check_signed(key, one)
            key.used_at, key.used_from = time.time(), address
        context = Context(engine.venue, address, unit, key)
        return context, await route.handler(context, self._reading.read(one.values, apart, engine.venue.strict))

    def _headers(self, used: int) -> list[tuple[bytes, bytes]]:
        told = b"%d" % used
        return [(b"x-mbx-used-weight", told), (self._engine.venue.limits.weight_header, told)]


def failed(error: BinanceError, headers: list[tuple[bytes, bytes]]) -> Reply:
    if error.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % (int(error.retry_after_s) + 1)))
    return Reply(error.status, MEDIA_TYPE, _encode(error.body), headers)


class NoSuchMethod:
    """Where a path exists, but not with this method: told without a body, as the venue does."""

    def __init__(self, method: str, path: str, known: list[str]) -> None:
        self.method = method
        self.path = path
        self._headers = [(b"allow", ", ".join(known).encode("ascii"))]

    async def run(
        self, scope: Scope, receive: Receive, headers: Mapping[bytes, bytes], request_id: str,
        client_address: str | None, params: dict[str, str],
    ) -> Reply:  # fmt: skip
        return Reply(405, MEDIA_TYPE, b"", list(self._headers))
