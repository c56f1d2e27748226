"""The HTTP layer: paths and methods, who may ask what, one shape for every error, the headers around it."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from starlette.applications import Starlette

from market.reasons import Reason
from serve.auth.principal import SIGNED_IN
from serve.errors import CATALOGUE, Code, error_table, reason_error
from serve.http import ClientAddresses, Endpoint, build_app
from serve.http.table import RouteTable
from tests.unit.asgi import call
from tests.unit.http_example import (
    ENDPOINTS,
    ById,
    Doorkeeper,
    Seen,
    address,
    assert_problem,
    example_app,
    one,
)


@pytest.fixture
def app() -> Starlette:
    return example_app()


# --- Paths and methods --------------------------------------------------------------------------------------


async def test_an_endpoint_answers_under_both_prefixes(app: Starlette) -> None:
    for prefix in ("/api", "/api/v1"):
        answer = await call(app, "POST", f"{prefix}/tickets", json={"name": "a"})
        assert (answer.status, answer.json()) == (201, {"what": "a", "user": None})


async def test_v1_only(app: Starlette) -> None:
    assert (await call(app, "GET", "/api/v1/address")).status == 200
    assert_problem(await call(app, "GET", "/api/address"), Code.NOT_FOUND)


@pytest.mark.parametrize("path", ["/", "/api", "/api/", "/api/tickets/", "/api/tickets/1/x", "/apix", "/api//tickets"])
async def test_unknown_paths(app: Starlette, path: str) -> None:
    for method in ("GET", "POST", "OPTIONS", "BREW"):
        assert_problem(await call(app, method, path), Code.NOT_FOUND)


async def test_unknown_methods_name_the_known_ones(app: Starlette) -> None:
    answer = await call(app, "PATCH", "/api/tickets")
    assert_problem(answer, Code.METHOD_NOT_ALLOWED)
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    answer = await call(app, "POST", "/page")
    assert_problem(answer, Code.METHOD_NOT_ALLOWED)
    assert "GET" in answer.headers["allow"]


async def test_options_and_head(app: Starlette) -> None:
    answer = await call(app, "OPTIONS", "/api/tickets/5")
    assert (answer.status, answer.headers["allow"], answer.body) == (204, "DELETE, GET, HEAD, OPTIONS", b"")
    got = await call(app, "GET", "/api/tickets")
    head = await call(app, "HEAD", "/api/tickets")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"] == str(len(got.body))
    head = await call(app, "HEAD", "/nowhere")
    assert (head.status, head.body) == (404, b"")


async def test_no_content(app: Starlette) -> None:
    answer = await call(app, "DELETE", "/api/tickets/7")
    assert (answer.status, answer.body, answer.headers["x-removed"]) == (204, b"", "7")
    assert "content-type" not in answer.headers


async def test_bytes_of_another_media_type(app: Starlette) -> None:
    answer = await call(app, "GET", "/api/table.csv")
    assert (answer.headers["content-type"], answer.body) == ("text/csv", b"a,b\n1,2\n")


@pytest.mark.parametrize("given_id", ["0", "x", "-1", "1.5", "9" * 5_000, "%00"])
async def test_path_parameters_are_typed(app: Starlette, given_id: str) -> None:
    assert_problem(await call(app, "GET", f"/api/tickets/{given_id}"), Code.VALIDATION, "ticket_id")


async def test_a_mounted_app_knows_its_root(app: Starlette) -> None:
    async def beneath(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "root_path": "/exchange"}, receive, send)

    assert (await call(beneath, "GET", "/exchange/api/tickets/3")).json()["what"] == "3"


def test_route_table() -> None:
    table: RouteTable[int] = RouteTable()
    for number, path in enumerate(["/a/b", "/a/{x}", "/a/{x}/c", "/{y}/b/c", "/a/b/{z}"]):
        table.add("GET", path, number)
    paths = ("/a/b", "/a/q", "/a/q/c", "/r/b/c", "/a/b/c", "/a/b/d", "/a", "/a/")
    assert {path: table.find(path) for path in paths} == {
        "/a/b": ({"GET": 0}, {}),
        "/a/q": ({"GET": 1}, {"x": "q"}),
        "/a/q/c": ({"GET": 2}, {"x": "q"}),
        "/r/b/c": ({"GET": 3}, {"y": "r"}),
        "/a/b/c": ({"GET": 4}, {"z": "c"}),
        "/a/b/d": ({"GET": 4}, {"z": "d"}),
        "/a": None,
        "/a/": None,
    }
    with pytest.raises(ValueError, match="twice"):
        table.add("GET", "/a/b", 9)
    with pytest.raises(ValueError, match="other parameter names"):
        table.add("POST", "/a/{other}", 9)


def test_declarations_are_checked() -> None:
    class Loose(msgspec.Struct):
        a: int

    wrong: list[Callable[[], object]] = [
        lambda: Endpoint("FETCH", "a", one, response=Seen),
        lambda: Endpoint("GET", "/a", one, response=Seen),
        lambda: Endpoint("GET", "a", one, query=Loose, response=Seen),
        lambda: Endpoint("GET", "a/{id}", one, response=Seen),
        lambda: Endpoint("GET", "a/{id}", one, params=ById, response=Seen),
        lambda: Endpoint("GET", "a", one),
        lambda: Endpoint("GET", "a", one, response=Seen, status=204),
        lambda: build_app([Endpoint("GET", "a", one, response=Seen, roles=SIGNED_IN)]),
    ]
    for make in wrong:
        with pytest.raises(ValueError, match=r"."):
            make()


# --- Who asks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (None, Code.UNAUTHENTICATED),
        ("", Code.UNAUTHENTICATED),
        ("Bearer", Code.UNAUTHENTICATED),
        ("Bearer ", Code.UNAUTHENTICATED),
        ("Basic YTpi", Code.UNAUTHENTICATED),
        ("Bearer nobody", Code.UNAUTHENTICATED),
        ("Bearer \xe9", Code.UNAUTHENTICATED),
        ("Bearer " + "a" * 5_000, Code.UNAUTHENTICATED),
        ("Bearer late", Code.TOKEN_EXPIRED),
        ("Bearer vera", Code.FORBIDDEN),
    ],
)
async def test_strangers(app: Starlette, authorization: str | None, code: Code) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    # A stranger learns nothing about the body either.
    answer = await call(app, "POST", "/api/orders", body=b"{", headers=headers)
    assert_problem(answer, code)
    assert ("www-authenticate" in answer.headers) == (answer.status == 401)


async def test_the_principal_reaches_the_handler(app: Starlette) -> None:
    for authorization in ("Bearer alice", "bearer  alice "):
        headers = {"authorization": authorization}
        answer = await call(app, "POST", "/api/v1/orders", json={"name": "a"}, headers=headers)
        assert answer.json() == {"what": "a", "user": "alice"}


# --- Errors -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/broken", "/page/broken"])
async def test_a_bug_is_told_without_its_text(app: Starlette, path: str, capsys: pytest.CaptureFixture[str]) -> None:
    answer = await call(app, "GET", path, headers={"x-request-id": "find-me"})
    assert_problem(answer, Code.INTERNAL)
    assert b"hunter2" not in answer.body
    captured = capsys.readouterr()
    logged = captured.out + captured.err
    assert "find-me" in logged
    assert "RuntimeError" in logged


async def test_refusals_say_when_to_come_again(app: Starlette) -> None:
    answer = await call(app, "GET", "/api/refusing")
    assert_problem(answer, Code.BOOK_UNAVAILABLE)
    assert answer.headers["retry-after"] == "1"
    answer = await call(app, "GET", "/page/refused")
    assert_problem(answer, Code.RATE_LIMITED)
    assert answer.headers["retry-after"] == "1"


def test_every_code_has_an_entry_and_every_refusal_a_code() -> None:
    assert set(CATALOGUE) == set(Code)
    assert all(400 <= spec.status <= 599 for spec in CATALOGUE.values())
    refusals = [reason for reason in Reason if 0 < reason < Reason.USER_CANCELED]
    assert [str(reason_error(reason).code) for reason in refusals] == [reason.name for reason in refusals]
    assert reason_error(Reason.FOK_UNFILLED).code is Code.ORDER_REJECTED
    assert all(f"`{code}`" in error_table() for code in Code)


# --- Headers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/tickets", "/page", "/nowhere"])
async def test_request_ids(app: Starlette, path: str) -> None:
    kept = await call(app, "GET", path, headers={"x-request-id": "a-B.9:_"})
    assert kept.headers["x-request-id"] == "a-B.9:_"
    made = {(await call(app, "GET", path)).headers["x-request-id"] for _ in range(3)}
    for bad in ("", "a b", "é", "a" * 129, "<script>"):
        made.add((await call(app, "GET", path, headers={"x-request-id": bad})).headers["x-request-id"])
    assert len(made) == 8


@pytest.mark.parametrize("path", ["/api/tickets", "/page", "/nowhere", "/api/broken", "/health/live"])
async def test_security_headers(app: Starlette, path: str) -> None:
    headers = (await call(app, "GET", path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    if path != "/health/live":
        assert headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]


async def test_cross_origin_only_when_named() -> None:
    ask = {"origin": "https://ui.test", "access-control-request-method": "POST"}
    closed = example_app()
    opened = build_app(ENDPOINTS, authenticator=Doorkeeper(), cors_origins=["https://ui.test"])
    answer = await call(closed, "OPTIONS", "/api/tickets", headers=ask)
    assert "access-control-allow-origin" not in answer.headers
    answer = await call(opened, "OPTIONS", "/api/tickets", headers=ask)
    assert answer.headers["access-control-allow-origin"] == "https://ui.test"
    refused = await call(opened, "GET", "/api/tickets", headers={"origin": "https://evil.test"})
    assert "access-control-allow-origin" not in refused.headers


PROXIES = frozenset({"127.0.0.1", "10.0.0.2"})


@pytest.mark.parametrize(
    ("policy", "peer", "forwarded", "expected"),
    [
        (ClientAddresses(), "192.0.2.1", "8.8.8.8", "192.0.2.1"),
        (ClientAddresses(PROXIES), "192.0.2.1", "8.8.8.8", "192.0.2.1"),
        (ClientAddresses(PROXIES), "127.0.0.1", "8.8.8.8", "None"),
        (ClientAddresses(PROXIES, forwarded=True), "127.0.0.1", "8.8.8.8", "8.8.8.8"),
        (ClientAddresses(PROXIES, forwarded=True), "127.0.0.1", "1.1.1.1, 8.8.8.8, 10.0.0.2", "8.8.8.8"),
        (ClientAddresses(PROXIES, forwarded=True), "127.0.0.1", "8.8.8.8, junk", "None"),
        (ClientAddresses(PROXIES, forwarded=True), "127.0.0.1", "", "None"),
        (ClientAddresses(PROXIES, forwarded=True), "192.0.2.1", "8.8.8.8", "192.0.2.1"),
    ],
)
async def test_client_addresses(policy: ClientAddresses, peer: str, forwarded: str, expected: str) -> None:
    app = build_app([Endpoint("GET", "address", address, response=Seen)], addresses=policy)
    headers = {"x-forwarded-for": forwarded}
    answer = await call(app, "GET", "/api/address", client=(peer, 1), headers=headers)
    assert answer.json()["what"] == expected


async def test_the_response_hook_sees_templates_not_paths() -> None:
    seen: list[tuple[str, str, int]] = []
    app = build_app(
        ENDPOINTS,
        authenticator=Doorkeeper(),
        on_response=lambda path, method, status, seconds: seen.append((path, method, status)),
    )
    for method, path in (
        ("GET", "/api/v1/tickets/5"),
        ("GET", "/api/tickets/x"),
        ("PUT", "/api/tickets"),
        ("GET", "/nowhere"),
        ("GET", "/health/live"),
    ):
        await call(app, method, path)
    assert seen == [
        ("/api/v1/tickets/{ticket_id}", "GET", 200),
        ("/api/tickets/{ticket_id}", "GET", 422),
        ("/api/tickets", "PUT", 405),
        ("other", "GET", 404),
    ]
