"""A small client of the public API, written against its documentation only.

Every HTTP answer is checked against /openapi.json.
Knows nothing of the server's code.
"""

import asyncio
import io
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Final, Self, TypeVar

import aiohttp
import msgspec
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

ANSWER_WITHIN_S: Final = 20.0
"""Longer than anything takes on a busy machine; a test that waits so long has failed."""

LARGE: Final = 1 << 19
PROBLEM_FIELDS: Final = {"type", "title", "status", "code", "detail", "field", "request_id"}

T = TypeVar("T")
Json = dict[str, Any]


async def eventually(ask: Callable[[], Awaitable[T]], good: Callable[[T], bool], what: str) -> T:
    """The first answer that is good; asks again until then."""
    deadline = time.monotonic() + ANSWER_WITHIN_S
    while True:
        found = await ask()
        if good(found):
            return found
        assert time.monotonic() < deadline, f"still not so: {what}; last seen: {found!r}"
        await asyncio.sleep(0.02)


class Reply(msgspec.Struct):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def code(self) -> str:
        """Of a problem."""
        return str(self.json["code"])

    @property
    def refusal(self) -> tuple[int, str, str | None]:
        """Status, code and field of a problem."""
        told = self.json
        return self.status, told["code"], told["field"]

    def ok(self, status: int = 200) -> Any:
        """The decoded body of a success."""
        assert self.status == status, f"{self.status} instead of {status}: {self.body[:500]!r}"
        return self.json if self.body else None


class Contract:
    """/openapi.json: which answers an operation may give, and their shape."""

    def __init__(self, document: Json) -> None:
        self.document = document
        self._registry: Registry[Any] = Registry().with_resource("urn:openapi", DRAFT202012.create_resource(document))
        self._validators: dict[str, Draft202012Validator] = {}
        self.seen: set[tuple[str, str, int]] = set()
        """(method, path template, status) of every answer that was checked."""

    def template_of(self, path: str) -> str | None:
        """The documented path of a request; `/api/...` is `/api/v1/...`."""
        if path.startswith("/api/") and not path.startswith("/api/v1/"):
            path = "/api/v1/" + path.removeprefix("/api/")
        paths: Json = self.document["paths"]
        if path in paths:
            return path
        parts = path.split("/")
        for template in paths:
            named = template.split("/")
            if len(named) == len(parts) and all(
                n == p or (n.startswith("{") and p) for n, p in zip(named, parts, strict=True)
            ):
                return str(template)
        return None

    def check(self, method: str, path: str, reply: Reply) -> None:
        template = self.template_of(path)
        operation = None if template is None else self.document["paths"][template].get(method.lower())
        if operation is None or reply.headers.get("content-type") == "application/msgpack":
            return
        assert template is not None
        self.seen.add((method, template, reply.status))
        described = operation["responses"].get(str(reply.status))
        assert described, f"{method} {template} does not document status {reply.status}: {reply.body[:300]!r}"
        media_type = reply.headers.get("content-type", "")
        if not reply.body and "content" not in described:
            return
        found = described["content"][media_type]
        if media_type == "application/problem+json":
            assert reply.code in found["examples"], f"{method} {template} does not document {reply.code}"
            assert set(reply.json) == PROBLEM_FIELDS
            assert reply.json["request_id"] == reply.headers["x-request-id"]
        pointer = "/".join(
            part.replace("~", "~0").replace("/", "~1")
            for part in (
                "paths",
                template,
                method.lower(),
                "responses",
                str(reply.status),
                "content",
                media_type,
            )
        )
        self._validator(f"urn:openapi#/{pointer}/schema").validate(reply.json)

    def _validator(self, reference: str) -> Draft202012Validator:
        found = self._validators.get(reference)
        if found is None:
            found = Draft202012Validator({"$ref": reference}, registry=self._registry)
            self._validators[reference] = found
        return found


class Client:
    """One user (or nobody) over HTTP and WebSocket. Use as a context manager."""

    def __init__(
        self, url: str, token: str | None = None, contract: Contract | None = None, data_url: str = ""
    ) -> None:
        self.url = url
        self.data_url = data_url
        self.token = token
        self.contract = contract
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
        self._session = aiohttp.ClientSession(self.url, timeout=timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        assert self._session is not None, "use the client as a context manager"
        return self._session

    def _headers(self, given: Mapping[str, str] | None) -> dict[str, str]:
        headers = dict(given or {})
        if self.token is not None:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        return headers

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
        """`json` is encoded; `body` is sent as it is, by default under the name of JSON."""
        sent = self._headers(headers)
        if json is not None:
            body = msgspec.json.encode(json)
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        if isinstance(body, bytes) and len(body) > LARGE:
            body = io.BytesIO(body)  # aiohttp warns of large bytes
        params = {name: str(value) for name, value in query.items()}
        async with self.session.request(method, path, data=body, headers=sent, params=params) as answer:
            found = {name.lower(): value for name, value in answer.headers.items()}
            reply = Reply(answer.status, found, await answer.read())
        if self.contract is not None:
            self.contract.check(method, path, reply)
        return reply

    async def get(self, path: str, **query: Any) -> Any:
        return (await self.call("GET", path, **query)).ok()

    async def post(self, path: str, json: Any = None, status: int = 200) -> Any:
        return (await self.call("POST", path, json)).ok(status)

    # -- trading ---------------------------------------------------------------------------------------------

    async def buy(self, symbol: str, **order: Any) -> Json:
        found: Json = await self.post("/api/trading/buy", {"symbol": symbol, **order})
        return found

    async def sell(self, symbol: str, **order: Any) -> Json:
        found: Json = await self.post("/api/trading/sell", {"symbol": symbol, **order})
        return found

    async def order(self, order_id: int) -> Json:
        found: Json = await self.get(f"/api/trading/orders/{order_id}")
        return found

    async def cancel_all(self) -> list[Json]:
        found: list[Json] = (await self.call("DELETE", "/api/trading/orders")).ok()["canceled"]
        return found

    async def portfolio(self) -> Json:
        found: Json = await self.get("/api/portfolio")
        return found

    async def standing(self) -> tuple[int, dict[str, tuple[str, str]]]:
        """The private stream's number and every balance: what a refused request must not change."""
        found = await self.portfolio()
        return found["seq"], {one["asset"]: (one["free"], one["locked"]) for one in found["balances"]}

    async def held(self) -> dict[str, Decimal]:
        """Free and locked together, by asset."""
        _, balances = await self.standing()
        return {asset: Decimal(free) + Decimal(locked) for asset, (free, locked) in balances.items()}

    async def top_of_book(self, symbol: str) -> tuple[Decimal, Decimal]:
        """Best bid and ask, once there are both."""

        async def ask() -> tuple[Any, Any]:
            found = (await self.get("/api/market/prices", symbol=symbol))["prices"][0]
            return found["bid"], found["ask"]

        bid, offer = await eventually(ask, lambda pair: None not in pair, f"{symbol} has two sides")
        return Decimal(bid), Decimal(offer)

    # -- sockets ---------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def socket(
        self, path: str, *, binary: bool = False, data_port: bool | None = None, **query: str
    ) -> AsyncIterator["Socket"]:
        """The token goes into the header. MessagePack goes over the data port and JSON over the ingress, unless told."""
        straight = binary if data_port is None else data_port
        async with self.session.ws_connect(
            (self.data_url if straight else "") + path,
            headers=self._headers(None),
            params=query,
            max_msg_size=0,
            timeout=_CLOSE_WITHIN,
        ) as opened:
            yield Socket(opened, binary)

    @asynccontextmanager
    async def trading_socket(self, *, binary: bool = False, data_port: bool | None = None) -> AsyncIterator["Socket"]:
        """/ws/orders after its welcome."""
        async with self.socket("/ws/orders", binary=binary, data_port=data_port) as socket:
            assert (await socket.receive())["op"] == "welcome"
            yield socket


_CLOSE_WITHIN: Final = aiohttp.ClientWSTimeout(ws_close=ANSWER_WITHIN_S)


class Closed(Exception):
    """The server ended the socket."""

    def __init__(self, code: int | None, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


class Socket:
    """Frames as objects. What is not the awaited answer is kept in `events`."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, binary: bool) -> None:
        self._socket = socket
        self._binary = binary
        self._ids = 0
        self.events: list[Json] = []

    async def send(self, frame: Json) -> None:
        if self._binary:
            await self._socket.send_bytes(msgspec.msgpack.encode(frame))
        else:
            await self._socket.send_str(msgspec.json.encode(frame).decode())

    async def send_raw(self, frame: str | bytes) -> None:
        if isinstance(frame, str):
            await self._socket.send_str(frame)
        else:
            await self._socket.send_bytes(frame)

    async def receive(self) -> Json:
        """The next frame; Closed when there is none."""
        message = await self.receive_message()
        if message.type is aiohttp.WSMsgType.TEXT:
            found: Json = msgspec.json.decode(message.data)
        elif message.type is aiohttp.WSMsgType.BINARY:
            found = msgspec.msgpack.decode(message.data)
        else:
            reason = message.extra if message.type is aiohttp.WSMsgType.CLOSE else ""
            raise Closed(self._socket.close_code, str(reason))
        return found

    async def receive_message(self) -> aiohttp.WSMessage:
        """As it came over the wire."""
        return await self._socket.receive(timeout=ANSWER_WITHIN_S)

    async def answer(self) -> Json:
        """The next frame that is no event."""
        while "channel" in (found := await self.receive()):
            self.events.append(found)
        return found

    async def ask(self, op: str, **fields: Any) -> Json:
        """Send one frame and return its answer, by its id."""
        self._ids += 1
        sent = f"{op}-{self._ids}"
        await self.send({"op": op, "id": sent, **fields})
        found = await self.answer()
        assert found["id"] == sent, found
        return found

    async def event(self, good: Callable[[Json], bool] = lambda _: True) -> Json:
        """The first event that is good, from those kept on; the ones before it are dropped."""
        while True:
            event = self.events.pop(0) if self.events else await self.receive()
            if "channel" in event and good(event):
                return event

    async def until_seq(self, seq: int) -> list[Json]:
        """Events of a private stream up to this number."""
        while not self.events or self.events[-1]["seq"] < seq:
            event = await self.receive()
            assert "channel" in event, event
            self.events.append(event)
        taken, self.events = self.events, []
        return taken
