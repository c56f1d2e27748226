"""A little application that uses every feature of the HTTP layer, and what its errors look like."""

from typing import Annotated, Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from market.reasons import Reason
from serve.auth.principal import SIGNED_IN, TRADERS, Principal, Role
from serve.errors import CATALOGUE, ApiError, Code, reason_error
from serve.http import Context, Endpoint, build_app
from tests.unit.asgi import Answer


class Leg(msgspec.Struct, forbid_unknown_fields=True):
    price: str
    quantity: Annotated[int, msgspec.Meta(ge=1, le=1_000)]


class Ticket(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=20)]
    count: int = 0
    weight: float = 0.0
    legs: list[Leg] = []
    anything: Any = None


class Paging(msgspec.Struct, forbid_unknown_fields=True):
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100
    symbol: str | None = None
    open: bool = False


class ById(msgspec.Struct, forbid_unknown_fields=True):
    ticket_id: Annotated[int, msgspec.Meta(ge=1)]


class Seen(msgspec.Struct):
    what: str
    user: str | None = None


ALICE = Principal(1, "alice", Role.USER, 1)
VERA = Principal(2, "vera", Role.VIEWER, 2)


class Doorkeeper:
    """Knows three tokens."""

    async def authenticate(self, token: str) -> Principal:
        if token == "late":
            raise ApiError(Code.TOKEN_EXPIRED)
        try:
            return {"alice": ALICE, "vera": VERA}[token]
        except KeyError:
            raise ApiError(Code.UNAUTHENTICATED) from None


async def take(context: Context) -> Seen:
    ticket: Ticket = context.body
    return Seen(ticket.name, context.principal.username if context.principal else None)


async def page(context: Context) -> Seen:
    query: Paging = context.query
    return Seen(f"{query.limit} {query.symbol} {query.open}")


async def one(context: Context) -> Seen:
    return Seen(str(context.params.ticket_id))


async def remove(context: Context) -> None:
    context.reply_headers.append((b"x-removed", b"%d" % context.params.ticket_id))


async def broken(context: Context) -> Seen:
    secret = "hunter2"
    raise RuntimeError(f"the password is {secret}")


async def refusing(context: Context) -> Seen:
    raise reason_error(Reason.BOOK_UNAVAILABLE)


async def address(context: Context) -> Seen:
    return Seen(str(context.client_address))


async def table_csv(context: Context) -> bytes:
    return b"a,b\n1,2\n"


ENDPOINTS = [
    Endpoint("POST", "tickets", take, request=Ticket, response=Seen, status=201),
    Endpoint("GET", "tickets", page, query=Paging, response=Seen),
    Endpoint("GET", "tickets/{ticket_id}", one, params=ById, response=Seen),
    Endpoint("DELETE", "tickets/{ticket_id}", remove, params=ById, status=204),
    Endpoint("POST", "orders", take, request=Ticket, response=Seen, roles=TRADERS),
    Endpoint("GET", "orders", one, response=Seen, roles=SIGNED_IN),
    Endpoint("GET", "broken", broken, response=Seen),
    Endpoint("GET", "refusing", refusing, response=Seen),
    Endpoint("GET", "address", address, response=Seen, v1_only=True),
    Endpoint("GET", "table.csv", table_csv, response=bytes, media_type="text/csv"),
]


async def plain(request: Request) -> Response:
    return PlainTextResponse("page")


async def plain_broken(request: Request) -> Response:
    raise RuntimeError("the password is hunter2")


async def plain_refused(request: Request) -> Response:
    raise ApiError(Code.RATE_LIMITED)


ROUTES = [Route("/page", plain), Route("/page/broken", plain_broken), Route("/page/refused", plain_refused)]


def example_app() -> Starlette:
    return build_app(ENDPOINTS, authenticator=Doorkeeper(), extra_routes=ROUTES)


PROBLEM_FIELDS = {"type", "title", "status", "code", "detail", "field", "request_id"}


def assert_problem(answer: Answer, code: Code, field: str | None = None) -> None:
    problem = answer.json()
    assert problem["code"] == code
    assert set(problem) == PROBLEM_FIELDS
    assert problem["status"] == answer.status == CATALOGUE[code].status
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["type"] == f"/docs#error-{code}"
    assert problem["field"] == field
