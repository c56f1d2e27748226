"""The operations of the HTTP API, called in process: the same handlers, with the same roles and the same errors."""

from collections.abc import Iterable
from typing import Any, Final

from serve.auth.principal import Principal
from serve.errors import ApiError, Code
from serve.http import Context, Endpoint

REQUEST_ID: Final = "assistant"


class Api:
    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._by_name = {one.name: one for one in endpoints}

    def allows(self, name: str, principal: Principal) -> bool:
        roles = self._by_name[name].roles
        return roles is None or principal.role in roles

    async def call(
        self, name: str, principal: Principal, *, query: Any = None, params: Any = None, body: Any = None
    ) -> Any:
        """By an endpoint's name (`GET market/prices`); raises what it raises, and FORBIDDEN where it would be."""
        endpoint = self._by_name[name]
        if not self.allows(name, principal):
            raise ApiError(Code.FORBIDDEN)
        if query is None and endpoint.query is not None:
            query = endpoint.query()
        context = Context(
            request_id=REQUEST_ID, client_address=None, headers={}, principal=principal, params=params, query=query,
            body=body,
        )  # fmt: skip
        return await endpoint.handler(context)
