"""A small client of the venue's WebSocket API, written against its documents only."""

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.system.binance import Sign
from tests.system.client import ANSWER_WITHIN_S, Closed, Json


class WsVenue:
    """One connection. Events are kept apart from answers."""

    def __init__(
        self, socket: "aiohttp.ClientWebSocketResponse", api_key: str | None = None, sign: Sign | None = None
    ) -> None:
        self.socket = socket
        self.api_key = api_key
        self.sign = sign
        self.events: list[Json] = []
        """As they came, with their wrapping."""
        self._ids = 0

    async def receive(self) -> Json:
        message = await self.socket.receive(timeout=ANSWER_WITHIN_S)
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise Closed(self.socket.close_code, str(message.extra))
        found: Json = json.loads(message.data)
        return found

    async def answer(self) -> Json:
        """The next frame that is no event."""
        while "status" not in (found := await self.receive()):
            self.events.append(found)
        return found

    async def send(self, method: str, **params: Any) -> int:
        self._ids += 1
        await self.socket.send_str(json.dumps({"id": self._ids, "method": method, "params": params}))
        return self._ids

    async def ask(self, method: str, **params: Any) -> Json:
        """The whole answer."""
        sent = await self.send(method, **params)
        found = await self.answer()
        assert found["id"] == sent, found
        return found

    def stamped(self, **params: Any) -> Json:
        """With this connection's key, a timestamp and a signature; what is None is left out."""
        assert self.sign is not None
        whole = {"apiKey": self.api_key, "timestamp": time.time_ns() // 1_000_000, **params}
        whole = {name: value for name, value in whole.items() if value is not None}
        payload = "&".join(f"{name}={whole[name]}" for name in sorted(whole))
        return {**whole, "signature": self.sign(payload.encode())}

    async def signed(self, method: str, **params: Any) -> Json:
        return await self.ask(method, **self.stamped(**params))

    async def ok(self, method: str, **params: Any) -> Any:
        """The result of a signed request that succeeds."""
        found = await self.signed(method, **params)
        assert found["status"] == 200, found
        return found["result"]

    async def event(self, kind: str, good: Callable[[Json], bool] = lambda _: True) -> Json:
        """The first event of this kind that is good, without its wrapping; the ones before it are dropped."""
        while True:
            found = self.events.pop(0) if self.events else await self.receive()
            event: Json = found["event"]
            if event["e"] == kind and good(event):
                return event


@asynccontextmanager
async def ws_venue(
    url: str, api_key: str | None = None, sign: Sign | None = None, address: str | None = None, query: str = ""
) -> AsyncIterator[WsVenue]:
    headers = {} if address is None else {"X-Forwarded-For": address}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{url}/ws-api/v3{query}", headers=headers, max_msg_size=0) as socket,
    ):
        yield WsVenue(socket, api_key, sign)


def refused(found: Json) -> tuple[int, int, str]:
    """Status, code and text of a refusal."""
    error = found["error"]
    assert list(error)[:2] == ["code", "msg"]
    assert "result" not in found
    return found["status"], error["code"], error["msg"]
