"""Calls an ASGI application in process: a request in, status, headers and body out. No sockets, no server."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from starlette.types import ASGIApp, Message, Scope


class Answer(msgspec.Struct):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def code(self) -> str:
        """Of a problem."""
        return str(self.json()["code"])


async def call(
    app: ASGIApp,
    method: str,
    target: str,
    *,
    json: Any = None,
    body: bytes | Iterable[bytes] | None = None,
    headers: Mapping[str, str] | None = None,
    token: str | None = None,
    client: tuple[str, int] | None = ("192.0.2.1", 40_000),
) -> Answer:
    """`json` is encoded; `body` is sent as it is, an iterable in pieces without a Content-Length."""
    path, _, query = target.partition("?")
    sent = {"host": "raypit.test", **(headers or {})}
    content = msgspec.json.encode(json) if json is not None else body
    pieces = [content] if isinstance(content, bytes) else list(content or [b""])
    if isinstance(content, bytes):
        sent = {"content-type": "application/json", "content-length": str(len(content)), **sent}
    if token is not None:
        sent["authorization"] = f"Bearer {token}"
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in sent.items()],
        "client": client,
        "server": ("raypit.test", 80),
    }
    messages = iter(
        {"type": "http.request", "body": piece, "more_body": number < len(pieces)}
        for number, piece in enumerate(pieces, 1)
    )
    told: list[Message] = []

    async def receive() -> Message:
        message = next(messages, None)
        if message is None:
            await asyncio.Event().wait()
        return message or {}

    async def send(message: Message) -> None:
        told.append(message)

    await app(scope, receive, send)
    start, *rest = told
    found = {name.decode("latin-1"): value.decode("latin-1") for name, value in start["headers"]}
    return Answer(start["status"], found, b"".join(message.get("body", b"") for message in rest))
