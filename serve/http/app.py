"""Puts the HTTP side together: operations, pages, probes and errors in one Starlette application."""

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Lifespan

from serve.docs import docs_routes
from serve.errors import ApiError, Code
from serve.health import HealthResponder, Readiness
from serve.http.address import ClientAddresses
from serve.http.endpoint import Authenticator, Endpoint
from serve.http.gate import MAX_REQUESTS_IN_FLIGHT, REQUEST_ID_KEY, Gate, ResponseHook, Served, problem_reply
from serve.http.operation import Operation, Reply

_CODE_OF_STATUS = {
    400: Code.MALFORMED_BODY,
    401: Code.UNAUTHENTICATED,
    403: Code.FORBIDDEN,
    404: Code.NOT_FOUND,
    405: Code.METHOD_NOT_ALLOWED,
    413: Code.BODY_TOO_LARGE,
    415: Code.UNSUPPORTED_MEDIA_TYPE,
    429: Code.RATE_LIMITED,
    503: Code.UNAVAILABLE,
}


def build_app(
    endpoints: Sequence[Endpoint],
    *,
    authenticator: Authenticator | None = None,
    extra_routes: Sequence[BaseRoute] = (),
    extra_operations: Sequence[Served] = (),
    readiness: Readiness | None = None,
    addresses: ClientAddresses | None = None,
    cors_origins: Sequence[str] = (),
    on_response: ResponseHook | None = None,
    max_in_flight: int = MAX_REQUESTS_IN_FLIGHT,
    lifespan: Lifespan[Starlette] | None = None,
    version: str = "0.1.0",
) -> Starlette:
    """The application. `extra_routes` (sockets, pages, mounts) come after the endpoints, before the docs.

    `extra_operations` stand in the table of operations and are not documented here: another API's.
    """
    operations = [Operation(endpoint, path, authenticator) for endpoint in endpoints for path in endpoint.paths]
    middleware = []
    if cors_origins:
        # Tokens travel in a header, never in a cookie: an origin gets no more than it can ask for by itself.
        origins = list(cors_origins)
        exposed = ["x-request-id", "retry-after"]
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=origins,
                allow_methods=["*"],
                allow_headers=["*"],
                expose_headers=exposed,
            )
        )
    middleware.append(
        Middleware(
            Gate,
            operations=[*operations, *extra_operations],
            health=HealthResponder(readiness),
            addresses=addresses or ClientAddresses(),
            on_response=on_response,
            max_in_flight=max_in_flight,
        )
    )
    app = Starlette(
        routes=[*extra_routes, *docs_routes(endpoints, version)],
        middleware=middleware,
        exception_handlers={HTTPException: _http_error, ApiError: _api_error},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return app


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = tuple((error.headers or {}).items())
    code = _CODE_OF_STATUS.get(error.status_code)
    if code is None:
        return Response(status_code=error.status_code, headers=error.headers)
    return _response(request, ApiError(code, headers=headers))


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return _response(request, error)


def _response(request: Request, error: ApiError) -> Response:
    reply: Reply = problem_reply(error, request.scope.get(REQUEST_ID_KEY, ""))
    content = b"" if request.method == "HEAD" else reply.content
    response = Response(content, reply.status, media_type=reply.media_type.decode("ascii"))
    response.headers["content-length"] = str(len(reply.content))
    for name, value in reply.headers:
        response.headers[name.decode("latin-1")] = value.decode("latin-1")
    return response
