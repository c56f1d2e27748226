"""An endpoint made ready to run: its decoders, its checks, the way from a request to the encoded answer."""

from collections.abc import Mapping
from typing import Final

import msgspec
from starlette.types import Receive, Scope

from serve.auth.principal import Principal
from serve.errors import ApiError, Code
from serve.http.decode import BodyDecoder, convert, parse_query, read_body, refuse_parameters
from serve.http.endpoint import JSON, MSGPACK, Authenticator, Context, Endpoint

_JSON: Final = msgspec.json.Encoder()
_MSGPACK: Final = msgspec.msgpack.Encoder()

MAX_TOKEN_BYTES: Final = 4_096


class Reply(msgspec.Struct, frozen=True, gc=False):
    status: int
    media_type: bytes
    content: bytes
    headers: list[tuple[bytes, bytes]]


class Operation:
    __slots__ = ("_authenticator", "_body", "_media_type", "endpoint", "method", "path")

    def __init__(self, endpoint: Endpoint, path: str, authenticator: Authenticator | None) -> None:
        if (endpoint.roles is not None or endpoint.knows_user) and authenticator is None:
            raise ValueError(f"{endpoint.name} has users, but there is nobody to tell who asks")
        self.endpoint = endpoint
        self.method = endpoint.method
        self.path = path
        self._authenticator = authenticator
        self._body = BodyDecoder(endpoint.request) if endpoint.request else None
        self._media_type = endpoint.media_type.encode()

    async def run(
        self,
        scope: Scope,
        receive: Receive,
        headers: Mapping[bytes, bytes],
        request_id: str,
        client_address: str | None,
        params: dict[str, str],
    ) -> Reply:
        """Who asks comes before what is asked: a stranger learns nothing from validation errors."""
        endpoint = self.endpoint
        principal = None
        if endpoint.roles is not None:
            principal = await self._authenticated(headers)
            if principal.role not in endpoint.roles:
                raise ApiError(Code.FORBIDDEN)
        elif endpoint.knows_user and b"authorization" in headers:
            principal = await self._authenticated(headers)
        context = Context(
            request_id=request_id,
            client_address=client_address,
            headers=headers,
            principal=principal,
            params=convert(params, endpoint.params) if endpoint.params else None,
            query=self._query(scope),
            body=None,
        )
        if self._body is not None:
            content = await read_body(receive, headers)
            context.body = self._body.decode(content, headers.get(b"content-type"))
        value = await endpoint.handler(context)
        return self._reply(value, headers, context)

    def _query(self, scope: Scope) -> object:
        raw = scope["query_string"]
        if self.endpoint.query is not None:
            return convert(parse_query(raw), self.endpoint.query)
        if raw:
            refuse_parameters(raw)
        return None

    async def _authenticated(self, headers: Mapping[bytes, bytes]) -> Principal:
        assert self._authenticator is not None
        return await self._authenticator.authenticate(bearer_token(headers))

    def _reply(self, value: object, headers: Mapping[bytes, bytes], context: Context) -> Reply:
        status, extra = context.reply_status or self.endpoint.status, context.reply_headers
        if self.endpoint.response is None:
            return Reply(status, b"", b"", extra)
        if self.endpoint.media_type != JSON:
            assert isinstance(value, bytes)
            return Reply(status, self._media_type, value, extra)
        if MSGPACK.encode() in headers.get(b"accept", b""):
            return Reply(status, MSGPACK.encode(), _MSGPACK.encode(value), extra)
        return Reply(status, self._media_type, _JSON.encode(value), extra)


def bearer_token(headers: Mapping[bytes, bytes]) -> str:
    """Raises UNAUTHENTICATED when there is none."""
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    token = token.strip()
    if scheme.lower() != b"bearer" or not token or len(token) > MAX_TOKEN_BYTES or not token.isascii():
        raise ApiError(Code.UNAUTHENTICATED)
    return token.decode("ascii")
