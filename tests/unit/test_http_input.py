"""What clients send: bodies and query strings, the good ones and all the others. Never a 500."""

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse

from serve.errors import MAX_DETAIL_CHARS, MAX_FIELD_CHARS, Code
from serve.http import decode
from serve.http.decode import MAX_BODY_BYTES, MAX_QUERY_BYTES, split_validation_message
from tests.unit.asgi import call
from tests.unit.http_example import assert_problem, example_app


@pytest.fixture
def app() -> Starlette:
    return example_app()


# --- Bodies -------------------------------------------------------------------------------------------------

LEG = b'{"price":"1","quantity":1}'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"name":"a",}',
        b'{"name":"a"} x',
        b"\xef\xbb\xbf{}",
        b'{"name":"\xff\xfe"}',
        b'{"\xff":1}',
        b'{"name":"\\ud800"}',
        b'{"name":"a","weight":NaN}',
        b'{"name":"a","weight":-Infinity}',
        b'{"name":"a","anything":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"name":"a","anything":' + b'{"a":' * 100_000,
    ],
    ids=lambda body: repr(body[:30]),
)
async def test_malformed_bodies(app: Starlette, body: bytes) -> None:
    assert_problem(await call(app, "POST", "/api/tickets", body=body), Code.MALFORMED_BODY)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"[" * 500_000, None),
        (b"null", None),
        (b"[]", None),
        (b'"text"', None),
        (b"{}", "name"),
        (b'{"name":1}', "name"),
        (b'{"name":null}', "name"),
        (b'{"name":""}', "name"),
        (b'{"name":"' + b"a" * 21 + b'"}', "name"),
        (b'{"name":"a","weight":1e400}', "weight"),
        (b'{"name":"a","weight":1' + b"0" * 400 + b"}", "weight"),
        (b'{"name":"a","count":1' + b"0" * 5_000 + b"}", "count"),
        (b'{"name":"a","count":1.5}', "count"),
        (b'{"name":"a","count":"1"}', "count"),
        (b'{"name":"a","count":true}', "count"),
        (b'{"name":"a","nmae":"b"}', "nmae"),
        (b'{"name":"a","legs":[%s,{"price":"1","quantity":0}]}' % LEG, "legs[1].quantity"),
        (b'{"name":"a","legs":[{"price":"1"}]}', "legs[0].quantity"),
        (b'{"name":"a","legs":[%s,{"price":"1","quantity":1,"x":1}]}' % LEG, "legs[1].x"),
        (b'{"name":"a","legs":{}}', "legs"),
    ],
    ids=lambda part: repr(part[:40]) if part else "",
)
async def test_invalid_bodies(app: Starlette, body: bytes, field: str | None) -> None:
    assert_problem(await call(app, "POST", "/api/tickets", body=body), Code.VALIDATION, field)


async def test_a_huge_integer_is_a_number_like_any_other(app: Starlette) -> None:
    body = b'{"name":"a","count":1' + b"0" * 400 + b"}"
    assert (await call(app, "POST", "/api/tickets", body=body)).status == 201


async def test_malformed_json_tells_the_position(app: Starlette) -> None:
    answer = await call(app, "POST", "/api/tickets", body=b'{"name":"a",}')
    assert "byte 12" in answer.json()["detail"]


async def test_what_the_client_sent_is_quoted_only_in_part(app: Starlette) -> None:
    answer = await call(app, "POST", "/api/tickets", json={"name": "a", "x" * 100_000: 1})
    problem = answer.json()
    assert len(problem["detail"]) == MAX_DETAIL_CHARS
    assert len(problem["field"]) == MAX_FIELD_CHARS


@given(body=st.binary(max_size=200) | st.text(alphabet='{}[]":,\\ue019nameNInf-.', max_size=80).map(str.encode))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_body_breaks_it(app: Starlette, body: bytes) -> None:
    for media_type in ("application/json", "application/msgpack"):
        headers = {"content-type": media_type}
        answer = asyncio.run(call(app, "POST", "/api/tickets", body=body, headers=headers))
        assert answer.status in (201, 400, 422), answer.body


async def test_oversized_bodies(app: Starlette) -> None:
    answer = await call(app, "POST", "/api/tickets", body=b" " * (MAX_BODY_BYTES + 1))
    assert_problem(answer, Code.BODY_TOO_LARGE)
    for claimed in (str(MAX_BODY_BYTES + 1), "9" * 10_000):
        answer = await call(app, "POST", "/api/tickets", body=b"{}", headers={"content-length": claimed})
        assert_problem(answer, Code.BODY_TOO_LARGE)
    answer = await call(app, "POST", "/api/tickets", body=b"{}", headers={"content-length": "-1"})
    assert_problem(answer, Code.MALFORMED_BODY)


async def test_an_endless_stream_is_cut_off_at_the_limit(app: Starlette) -> None:
    taken = 0

    async def receive() -> dict[str, Any]:
        nonlocal taken
        taken += 65_536
        return {"type": "http.request", "body": b" " * 65_536, "more_body": True}

    async def endless(scope: Any, _: Any, send: Any) -> None:
        await app(scope, receive, send)

    assert_problem(await call(endless, "POST", "/api/tickets"), Code.BODY_TOO_LARGE)
    assert taken <= MAX_BODY_BYTES + 65_536


async def test_a_body_in_pieces_and_of_exactly_the_limit(app: Starlette) -> None:
    whole = b'{"name":"a"}' + b" " * (MAX_BODY_BYTES - 12)
    for size in (MAX_BODY_BYTES, 100_000):
        pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
        assert (await call(app, "POST", "/api/tickets", body=pieces)).status == 201


async def test_a_body_that_does_not_come(app: Starlette, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "BODY_TIMEOUT_S", 0.01)

    async def silent(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await app(scope, receive, send)

    assert_problem(await call(silent, "POST", "/api/tickets", body=b"{}"), Code.REQUEST_TIMEOUT)


async def test_a_client_that_leaves_gets_no_answer(app: Starlette) -> None:
    sent = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    async def left(scope: Any, _: Any, answer: Any) -> None:
        await app(scope, receive, send)
        await PlainTextResponse("")(scope, receive, answer)

    await call(left, "POST", "/api/tickets")
    assert sent == []


async def test_media_types(app: Starlette) -> None:
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", "", "x" * 999):
        answer = await call(app, "POST", "/api/tickets", body=b"{}", headers={"content-type": media_type})
        assert_problem(answer, Code.UNSUPPORTED_MEDIA_TYPE)
    for media_type in ("application/json; charset=utf-8", "Application/JSON"):
        headers = {"content-type": media_type}
        assert (await call(app, "POST", "/api/tickets", json={"name": "a"}, headers=headers)).status == 201


async def test_messagepack_both_ways(app: Starlette) -> None:
    packed = {"content-type": "application/msgpack", "accept": "application/msgpack"}
    body = msgspec.msgpack.encode({"name": "a"})
    answer = await call(app, "POST", "/api/tickets", body=body, headers=packed)
    assert answer.headers["content-type"] == "application/msgpack"
    assert msgspec.msgpack.decode(answer.body) == {"what": "a", "user": None}
    for body, code, field in [
        (msgspec.msgpack.encode({"name": 1}), Code.VALIDATION, "name"),
        (b"\xc1", Code.MALFORMED_BODY, None),
        (b"\x82\xa4name\xa1a\xa8anything" + b"\x91" * 100_000, Code.MALFORMED_BODY, None),
        (b"\x81\xa4name\xa1\xff", Code.MALFORMED_BODY, None),
    ]:
        assert_problem(await call(app, "POST", "/api/tickets", body=body, headers=packed), code, field)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Expected `int`, got `str` - at `$.a.b[1]`", ("Expected `int`, got `str`", "a.b[1]")),
        ("Expected `object`, got `array`", ("Expected `object`, got `array`", None)),
        ("Object missing required field `a` - at `$.s[1]`", ("Object missing required field `a`", "s[1].a")),
        ("Object contains unknown field `y`", ("Object contains unknown field `y`", "y")),
        ("Expected `str`, got `bytes` - at `key` in `$`", ("Expected `str`, got `bytes`", None)),
        ("Expected `int`, got `str` - at `$[0]`", ("Expected `int`, got `str`", "[0]")),
    ],
)
def test_validation_messages(message: str, expected: tuple[str, str | None]) -> None:
    assert split_validation_message(message) == expected


# --- Query strings ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "100 None False"),
        ("limit=7&open=true", "7 None True"),
        ("symbol=BTC%2DUSDT&limit=1", "1 BTC-USDT False"),
        ("symbol=a+b", "100 a b False"),
        ("symbol=%C3%A9&", "100 é False"),
    ],
)
async def test_queries(app: Starlette, query: str, expected: str) -> None:
    assert (await call(app, "GET", f"/api/tickets?{query}")).json()["what"] == expected


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("limit=1&limit=1", "limit"),
        ("limit=1&%6cimit=2", "limit"),
        ("limit=" + "9" * 5_000, "limit"),
        ("open=perhaps", "open"),
        ("lmiit=5", "lmiit"),
        ("symbol=%ff", None),
        ("symbol=" + "a" * MAX_QUERY_BYTES, None),
        ("&".join(f"a{number}=1" for number in range(65)), None),
    ],
    ids=lambda part: repr(part[:30]) if part else "",
)
async def test_bad_queries(app: Starlette, query: str, field: str | None) -> None:
    assert_problem(await call(app, "GET", f"/api/tickets?{query}"), Code.VALIDATION, field)


async def test_an_endpoint_without_parameters_refuses_them(app: Starlette) -> None:
    assert_problem(await call(app, "GET", "/api/refusing?x=1"), Code.VALIDATION, "x")


@given(query=st.text(alphabet="limtsyboe=&%+0aF9\x00é;", max_size=60))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_query_breaks_it(app: Starlette, query: str) -> None:
    assert asyncio.run(call(app, "GET", f"/api/tickets?{query}")).status in (200, 422)
