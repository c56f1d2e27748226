"""The first thing every HTTP request meets: probes, the table of operations, and one shape for every error.

What the table does not know goes on to Starlette's routes (pages, mounted apps), with the same request id,
headers and errors around it. WebSockets pass through untouched.
"""

import itertools
import math
import re
import secrets
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec
import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.errors import PROBLEM_MEDIA_TYPE, ApiError, Code
from serve.health import HealthResponder
from serve.http.address import ClientAddresses
from serve.http.decode import ClientGone
from serve.http.operation import Reply
from serve.http.table import RouteTable

MAX_REQUESTS_IN_FLIGHT: Final = 2_048
"""Bodies under way and handlers that wait for an actor; past it a request is told OVERLOADED at once."""

REQUEST_ID_KEY: Final = "raypit.request_id"
"""In the scope, for routes outside the table."""

OTHER_ROUTES: Final = "other"
"""How requests outside the table are called in `ResponseHook`."""

ResponseHook = Callable[[str, str, int, float], None]
"""(path template or OTHER_ROUTES, method, status, seconds)."""

Header = tuple[bytes, bytes]

_NOSNIFF: Final[Header] = (b"x-content-type-options", b"nosniff")
_REFERRER: Final[Header] = (b"referrer-policy", b"no-referrer")
_FRAMES: Final[Header] = (b"x-frame-options", b"DENY")
API_HEADERS: Final[list[Header]] = [
    _NOSNIFF,
    _REFERRER,
    _FRAMES,
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]
PAGE_HEADERS: Final[list[Header]] = [
    _NOSNIFF,
    _REFERRER,
    _FRAMES,
    (b"cross-origin-opener-policy", b"same-origin"),
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
        b"form-action 'self'; frame-ancestors 'none'",
    ),
]
"""For routes outside the table, unless they set their own."""

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_CHALLENGED: Final = frozenset({Code.UNAUTHENTICATED, Code.TOKEN_EXPIRED, Code.SESSION_REVOKED})

log = structlog.get_logger("raypit.http")


class Served(Protocol):
    """One method at one path: an `Operation`, or another API's of its own form of answers and errors."""

    @property
    def method(self) -> str: ...

    @property
    def path(self) -> str: ...

    async def run(
        self,
        scope: Scope,
        receive: Receive,
        headers: Mapping[bytes, bytes],
        request_id: str,
        client_address: str | None,
        params: dict[str, str],
    ) -> Reply: ...


class Gate:
    def __init__(
        self,
        app: ASGIApp,
        *,
        operations: Sequence[Served],
        health: HealthResponder,
        addresses: ClientAddresses,
        on_response: ResponseHook | None,
        max_in_flight: int = MAX_REQUESTS_IN_FLIGHT,
    ) -> None:
        self._app = app
        self._health = health
        self._addresses = addresses
        self._on_response = on_response
        self._max_in_flight = max_in_flight
        self._in_flight = 0
        self._id_prefix = secrets.token_hex(6)
        self._id_number = itertools.count(1)
        self._table: RouteTable[Served] = RouteTable()
        for operation in operations:
            self._table.add(operation.method, operation.path, operation)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        root: str = scope.get("root_path", "")
        if root and path.startswith(root):
            path = path[len(root) :]
        if self._health.knows(path):
            await self._health.respond(path, scope["method"], send)
            return
        started = time.perf_counter()
        headers = dict(scope["headers"])
        request_id = self._request_id(headers.get(b"x-request-id"))
        found = self._table.find(path)
        if found is None:
            status = await self._other(scope, receive, send, request_id)
            name = OTHER_ROUTES
        else:
            methods, params = found
            name, reply = await self._answer(methods, params, scope, receive, headers, request_id)
            if reply is None:
                return
            await self._send(reply, scope["method"], request_id, send)
            status = reply.status
        if self._on_response is not None:
            self._on_response(name, scope["method"], status, time.perf_counter() - started)

    def _request_id(self, offered: bytes | None) -> str:
        if offered is not None and _REQUEST_ID.fullmatch(offered):
            return offered.decode("ascii")
        return f"{self._id_prefix}-{next(self._id_number):x}"

    async def _answer(
        self,
        methods: dict[str, Served],
        params: dict[str, str],
        scope: Scope,
        receive: Receive,
        headers: Mapping[bytes, bytes],
        request_id: str,
    ) -> tuple[str, Reply | None]:
        """The path template and the answer; no answer when the client has gone."""
        method = scope["method"]
        operation = methods.get("GET" if method == "HEAD" else method)
        if operation is None:
            return next(iter(methods.values())).path, _unknown_method(method, methods, request_id)
        if self._in_flight >= self._max_in_flight:
            return operation.path, problem_reply(ApiError(Code.OVERLOADED), request_id)
        self._in_flight += 1
        try:
            address = self._addresses.of(scope)
            reply = await operation.run(scope, receive, headers, request_id, address, params)
        except ApiError as error:
            reply = problem_reply(error, request_id)
        except ClientGone:
            return operation.path, None
        except Exception as error:
            _log_failure(error, operation.path, method, request_id)
            reply = problem_reply(ApiError(Code.INTERNAL), request_id)
        finally:
            self._in_flight -= 1
        return operation.path, reply

    async def _send(self, reply: Reply, method: str, request_id: str, send: Send) -> None:
        headers = [(b"x-request-id", request_id.encode("ascii")), *API_HEADERS, *reply.headers]
        if reply.media_type:
            headers.append((b"content-type", reply.media_type))
            headers.append((b"content-length", b"%d" % len(reply.content)))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else reply.content})

    async def _other(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> int:
        scope[REQUEST_ID_KEY] = request_id
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": _completed(message.get("headers", ()), request_id)}
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception as error:
            _log_failure(error, scope["path"], scope["method"], request_id)
            if status:
                raise
            status = 500
            await self._send(problem_reply(ApiError(Code.INTERNAL), request_id), scope["method"], request_id, send)
        return status


def _completed(headers: Any, request_id: str) -> list[Header]:
    given: list[Header] = list(headers)
    names = {name.lower() for name, _ in given}
    added = [header for header in PAGE_HEADERS if header[0] not in names]
    return [*given, (b"x-request-id", request_id.encode("ascii")), *added]


def _unknown_method(method: str, methods: Mapping[str, Served], request_id: str) -> Reply:
    known = {*methods, "OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
    allow = ", ".join(sorted(known))
    if method == "OPTIONS":
        return Reply(204, b"", b"", [(b"allow", allow.encode("ascii"))])
    return problem_reply(ApiError(Code.METHOD_NOT_ALLOWED, headers=(("allow", allow),)), request_id)


def problem_reply(error: ApiError, request_id: str) -> Reply:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in error.headers]
    if error.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % math.ceil(error.retry_after_s)))
    if error.code in _CHALLENGED:
        headers.append((b"www-authenticate", b'Bearer realm="raypit"'))
    content = msgspec.json.encode(error.problem(request_id))
    return Reply(error.status, PROBLEM_MEDIA_TYPE.encode(), content, headers)


def _log_failure(error: Exception, path: str, method: str, request_id: str) -> None:
    # As text: a logger that prints local variables would write passwords and tokens down.
    text = "".join(traceback.format_exception(error))
    log.error(
        "request_failed",
        path=path,
        method=method,
        request_id=request_id,
        error=type(error).__name__,
        traceback=text,
    )
