"""A small client of the venue's REST API, written against its documents only: signs, sends, asserts on codes and texts."""

import asyncio
import hmac
import time
from collections.abc import Callable
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
import msgspec

from tests.system.client import Reply

Sign = Callable[[bytes], str]


def hmac_signer(secret: str) -> Sign:
    return lambda payload: hmac.digest(secret.encode(), payload, "sha256").hex()


async def rest_of_window(window_s: float, least_s: float) -> None:
    """Limits count from one multiple of `window_s` to the next: wait until at least `least_s` are left of one."""
    left = window_s - time.time() % window_s
    if left < least_s:
        await asyncio.sleep(left)


class Venue:
    """One key (or none) over HTTP. `address`: where the requests seem to come from, for limits of their own."""

    def __init__(
        self, url: str, api_key: str | None = None, sign: Sign | None = None, address: str | None = None
    ) -> None:
        self._url = url
        self.api_key = api_key
        self._sign = sign
        self.address = address

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def raw(self, method: str, path: str, query: str = "", body: bytes | None = None, **headers: str) -> Reply:
        """What is given, as it is."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        if self.api_key is not None:
            named.setdefault("X-MBX-APIKEY", self.api_key)
        if self.address is not None:
            named["X-Forwarded-For"] = self.address
        if body is not None:
            named.setdefault("Content-Type", "application/x-www-form-urlencoded")
        path = path if path.startswith("/") else f"/api/v3/{path}"
        target = f"{self._url}{path}" + (f"?{query}" if query else "")
        async with self._session.request(
            method, aiohttp.client.URL(target, encoded=True), data=body, headers=named
        ) as answer:
            return Reply(answer.status, {k.lower(): v for k, v in answer.headers.items()}, await answer.read())

    async def ask(self, method: str, path: str, **parameters: Any) -> Reply:
        """Without a signature."""
        return await self.raw(method, path, urlencode(parameters))

    async def signed(self, method: str, path: str, _in_body: bool = False, **parameters: Any) -> Reply:
        assert self._sign is not None
        stamped = {"timestamp": str(time.time_ns() // 1_000_000), **parameters}
        payload = urlencode({name: text for name, text in stamped.items() if text is not None})
        whole = f"{payload}&{urlencode({'signature': self._sign(payload.encode())})}"
        return await self.raw(method, path, body=whole.encode()) if _in_body else await self.raw(method, path, whole)


def refusal(reply: Reply) -> tuple[int, int, str]:
    """Status, code and text of an error."""
    told = msgspec.json.decode(reply.body)
    assert isinstance(told, dict), told
    assert {"code", "msg"} <= set(told) <= {"code", "msg", "data"}
    return reply.status, told["code"], told["msg"]
