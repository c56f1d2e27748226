"""An operation of the HTTP API as a declaration, from which its routing and its documentation are made."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from serve.auth.principal import Principal, Role
from serve.errors import ApiError, Code

JSON: Final = "application/json"
MSGPACK: Final = "application/msgpack"

METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
PREFIX: Final = "/api"
PREFIX_V1: Final = "/api/v1"

_BODY_CODES: Final = (
    Code.MALFORMED_BODY,
    Code.BODY_TOO_LARGE,
    Code.UNSUPPORTED_MEDIA_TYPE,
    Code.REQUEST_TIMEOUT,
)
_AUTH_CODES: Final = (Code.UNAUTHENTICATED, Code.TOKEN_EXPIRED, Code.SESSION_REVOKED, Code.UNAVAILABLE)


class Context:
    """One request, as a handler sees it. `body`, `query`, `params` have the types the endpoint declares."""

    __slots__ = (
        "body",
        "client_address",
        "headers",
        "params",
        "principal",
        "query",
        "reply_headers",
        "reply_status",
        "request_id",
    )

    def __init__(
        self,
        *,
        request_id: str,
        client_address: str | None,
        headers: Mapping[bytes, bytes],
        principal: Principal | None,
        params: Any,
        query: Any,
        body: Any,
    ) -> None:
        self.request_id = request_id
        self.client_address = client_address
        """None: not known (a proxy that does not tell stands before us)."""
        self.headers = headers
        """Names in lower case; of repeated ones the last."""
        self.principal = principal
        self.params = params
        self.query = query
        self.body = body
        self.reply_headers: list[tuple[bytes, bytes]] = []
        """What the handler wants to add to the answer."""
        self.reply_status = 0
        """One of the endpoint's `also`, when the answer is that and not its `status`."""

    @property
    def user(self) -> Principal:
        """The principal of an endpoint that has roles."""
        if self.principal is None:
            raise ApiError(Code.UNAUTHENTICATED)
        return self.principal


Handler = Callable[[Context], Awaitable[Any]]


class Authenticator(Protocol):
    async def authenticate(self, token: str) -> Principal:
        """Raises ApiError: UNAUTHENTICATED, TOKEN_EXPIRED, SESSION_REVOKED, UNAVAILABLE."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`path` is relative: `auth/login` is served as /api/v1/auth/login and, unless `v1_only`, as
    /api/auth/login.

    `request`, `query` and `params` are msgspec Structs that forbid unknown fields. `params` has one field
    for each `{name}` in the path. A `response` of None means no content (status 204). With a `media_type`
    other than JSON the handler returns the bytes themselves.
    """

    method: str
    path: str
    handler: Handler
    request: type[msgspec.Struct] | None = None
    query: type[msgspec.Struct] | None = None
    params: type[msgspec.Struct] | None = None
    response: Any = None
    status: int = 200
    also: tuple[int, ...] = ()
    """Other statuses of an answer that is no error."""
    roles: frozenset[Role] | None = None
    """None: anyone, also without a token."""
    knows_user: bool = False
    """Without roles: whoever sends a token is known by it, and it must hold."""
    summary: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    errors: tuple[Code, ...] = ()
    """Beyond those that follow from the declaration, see `all_errors`."""
    v1_only: bool = False
    media_type: str = JSON
    example: Any = None
    """Of the request's body, for the documentation: a struct or what it is encoded to."""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"{self.name}: unknown method")
        if self.path != self.path.strip("/"):
            raise ValueError(f"{self.name}: the path is relative")
        for struct in (self.request, self.query, self.params):
            if struct is not None and not struct.__struct_config__.forbid_unknown_fields:
                raise ValueError(f"{self.name}: {struct.__name__} must forbid unknown fields")
        declared = set(self.params.__struct_encode_fields__) if self.params else set()
        if declared != set(self.param_names):
            raise ValueError(f"{self.name}: params must declare exactly {self.param_names}")
        if (self.response is None) != (self.status == 204):
            raise ValueError(f"{self.name}: 204 and only 204 has no response")

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def param_names(self) -> tuple[str, ...]:
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))

    @property
    def paths(self) -> tuple[str, ...]:
        """The canonical one first."""
        canonical = f"{PREFIX_V1}/{self.path}"
        return (canonical,) if self.v1_only else (canonical, f"{PREFIX}/{self.path}")

    @property
    def all_errors(self) -> tuple[Code, ...]:
        """What this operation can answer, in the catalogue's order."""
        found = {*self.errors, Code.INTERNAL, Code.OVERLOADED}
        if self.request is not None:
            found.update(_BODY_CODES)
        if self.roles is not None or self.knows_user:
            found.update(_AUTH_CODES)
        if self.roles is not None:
            found.add(Code.FORBIDDEN)
        found.add(Code.VALIDATION)  # an unknown query parameter at least
        return tuple(code for code in Code if code in found)
