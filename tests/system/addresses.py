"""A client whose every request seems to come from another address: the venue's limits are not what it tests."""

import itertools
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Final

from tests.system.client import Client, Reply

_NUMBERS: Final = itertools.count(int(ip_address("10.0.0.1")))


class ManyAddresses(Client):
    async def call(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        **query: Any,
    ) -> Reply:
        sent = {"X-Forwarded-For": str(ip_address(next(_NUMBERS))), **(headers or {})}
        return await super().call(method, path, json, body=body, headers=sent, **query)
