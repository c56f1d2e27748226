"""The documentation pages: /openapi.json, and /docs that renders it without any foreign script or build."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from importlib.resources import files
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serve.errors import ApiError, Code
from serve.http.endpoint import Endpoint
from serve.openapi import build_openapi

DOCS_CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_FILES: Final = {
    "/docs": ("docs.html", "text/html"),
    "/docs/protocol": ("protocol.html", "text/html"),
    "/docs/docs.css": ("docs.css", "text/css"),
    **{
        f"/docs/{name}.js": (f"{name}.js", "text/javascript")
        for name in ("docs", "page", "protocol", "schema", "session", "try")
    },
}

Page = Callable[[Request], Awaitable[Response]]


def docs_routes(endpoints: Sequence[Endpoint], version: str) -> list[Route]:
    made: list[bytes] = []

    def description() -> bytes:
        # Made when first asked for: a start does not wait for it.
        if not made:
            made.append(msgspec.json.encode(build_openapi(endpoints, version)))
        return made[0]

    def protocol() -> bytes:
        text = files("serve") / "PROTOCOL.md"
        if not text.is_file():
            raise ApiError(Code.NOT_FOUND)
        return text.read_bytes()

    routes = [Route(path, _page(_web_file(name), media_type)) for path, (name, media_type) in _FILES.items()]
    return [
        Route("/openapi.json", _page(description, "application/json")),
        Route("/docs/protocol.md", _page(protocol, "text/markdown")),
        *routes,
    ]


def _web_file(name: str) -> Callable[[], bytes]:
    return lambda: (files("serve") / "web" / name).read_bytes()


def _page(content: Callable[[], bytes], media_type: str) -> Page:
    """Read once, kept in memory; a browser asks again each time and is mostly told that nothing changed."""
    kept: list[tuple[bytes, str]] = []

    async def page(request: Request) -> Response:
        if not kept:
            body = content()
            kept.append((body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'))
        body, etag = kept[0]
        headers = {"etag": etag, "cache-control": "no-cache", "content-security-policy": DOCS_CSP}
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type=media_type, headers=headers)

    return page
