"""What clients send wrongly, over HTTP and WebSocket: the documented code, status and field; nothing changes by it."""

import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import jwt
import msgspec
import pytest

from tests.system.client import Client, Json, Socket
from tests.system.conftest import Exchange, User

pytestmark = pytest.mark.system

STATUS: Final = {
    "MALFORMED_BODY": 400, "VALIDATION": 422, "BODY_TOO_LARGE": 413, "UNSUPPORTED_MEDIA_TYPE": 415, "NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405, "UNAUTHENTICATED": 401, "TOKEN_EXPIRED": 401, "UNKNOWN_SYMBOL": 404,
    "DUPLICATE_CLIENT_ORDER_ID": 409, "MAX_NUM_ORDERS": 422, "INSUFFICIENT_BALANCE": 422, "UNKNOWN_ORDER": 404,
    "PRICE_FILTER": 422, "LOT_SIZE": 422, "MARKET_LOT_SIZE": 422, "NOTIONAL": 422, "PERCENT_PRICE_BY_SIDE": 422,
    "WOULD_TAKE": 422, "AMEND_NOT_REDUCED": 422,
}  # fmt: skip
LIMIT: Final = {"symbol": '"BTCUSDT"', "type": '"LIMIT"', "quantity": '"0.0002"', "price": '"50000"'}
MARKET: Final = {"symbol": '"BTCUSDT"', "quote_quantity": '"20"'}
"""Orders as raw JSON literals, good as they stand."""
HUGE: Final = 1 << 20
"""The largest body and frame."""


def raw(fields: dict[str, str]) -> str:
    return "{" + ",".join(f'"{name}":{literal}' for name, literal in fields.items()) + "}"


@asynccontextmanager
async def unchanged(trader: Client, reports: int = 0) -> AsyncIterator[None]:
    """Balances stay; the private stream goes on by `reports` (refusals of the book are told there)."""
    seq, balances = await trader.standing()
    yield
    assert await trader.standing() == (seq + reports, balances)


async def refused_order(trader: Client, fields: dict[str, str], side: str = "buy") -> tuple[str, str | None]:
    """Code and field that /api/trading/buy or sell answers to raw literals."""
    reply = await trader.call("POST", f"/api/trading/{side}", body=raw(fields).encode())
    status, code, field = reply.refusal
    assert status == STATUS[code], reply
    return code, field


async def refused_frame(socket: Socket, fields: dict[str, str], side: str = "BUY") -> tuple[str, str, str | None]:
    """("frame" or "order", code, field): whether the whole frame was refused or the order in it."""
    order = raw({**fields, "side": f'"{side}"'})
    await socket.send_raw(f'{{"op":"place","id":1,"orders":[{order}]}}')
    answer = await socket.answer()
    error = answer["error"] if not answer["ok"] else answer["results"][0]["error"]
    assert error, answer
    assert answer["id"] == (None if error["code"] == "MALFORMED_BODY" else 1)
    return ("order" if answer["ok"] else "frame"), error["code"], error["field"]


# -- numbers --------------------------------------------------------------------------------------------------------


class Number(NamedTuple):
    literal: str
    level: str
    """frame: seen by the decoder, the whole frame is refused; order: seen with the order, as its own result."""
    code: str
    """STEP: LOT_SIZE, PRICE_FILTER or NOTIONAL, by the field."""


NUMBERS: Final = [
    Number(literal, level, code)
    for level, code, literals in (
        ("frame", "MALFORMED_BODY", ("NaN", "Infinity", "-Infinity", "01", "1.", "+1", "0x1")),
        ("order", "VALIDATION", ("true", "[]", "{}", '""', '"abc"', '"0x10"', '"1,5"', '"1\\u0000"')),
        (
            "order",
            "VALIDATION",
            ('"1_000"', '"_1"', '"1_"', '" 1"', '"1 "', '"1\\n"', '"\\u00a01"', '"\\u0661"', '"\uff11"'),
        ),
        ("order", "VALIDATION", ("1e99999999999999999999", '"1e-99999999999999999999"')),
        ("order", "VALIDATION", ('"NaN"', '"-NaN"', '"sNaN"', '"Infinity"', '"-Infinity"')),
        ("order", "VALIDATION", ("1e400", '"1e400"', '"1' + "0" * 400 + '"', "1e25", "1e29", "9" * 4000)),
        ("order", "VALIDATION", ("-1", '"-0.01"', "-1e400", "-0", '"-0"', "0", '"0.000"', "0e400")),
        ("order", "STEP", ("1e-400", '"1e-400"', '"0.' + "0" * 50 + '1"', "0.0000000001")),
    )
    for literal in literals
]


@pytest.mark.parametrize("field", ["quantity", "price", "quote_quantity"])
async def test_numbers_of_an_order(trader: Client, field: str) -> None:
    """HT-E02: one field after the other, over both."""
    order = MARKET if field == "quote_quantity" else LIMIT
    step = {"quantity": "LOT_SIZE", "price": "PRICE_FILTER", "quote_quantity": "NOTIONAL"}[field]
    async with unchanged(trader), trader.trading_socket() as socket:
        for number in NUMBERS:
            code = step if number.code == "STEP" else number.code
            named = None if code == "MALFORMED_BODY" else field
            fields = {**order, field: number.literal}
            assert await refused_order(trader, fields) == (code, named), number
            path = f"orders[0].{field}" if named and number.level == "frame" else named
            assert await refused_frame(socket, fields) == (number.level, code, path), number


async def test_numbers_of_the_other_requests(trader: Client) -> None:
    placed = await trader.buy("BTCUSDT", type="LIMIT", quantity="0.01", price="50000")
    path = f"/api/trading/orders/{placed['order_id']}"
    async with unchanged(trader), trader.trading_socket() as socket:
        for number in NUMBERS:
            for method, where, body, field, step in (
                ("PATCH", path, '{"quantity":%s}', "quantity", "LOT_SIZE"),
                ("PUT", path, '{"quantity":"0.01","price":%s}', "price", "PRICE_FILTER"),
                ("POST", "/api/portfolio/top-up", '{"asset":"BTC","amount":%s}', "amount", "VALIDATION"),
            ):
                code = step if number.code == "STEP" else number.code
                reply = await trader.call(method, where, body=(body % number.literal).encode())
                named = None if code == "MALFORMED_BODY" else field
                assert reply.refusal == (STATUS[code], code, named), (method, number)
            amend = (
                f'{{"op":"amend","id":1,"orders":[{{"order_id":{placed["order_id"]},"quantity":{number.literal}}}]}}'
            )
            await socket.send_raw(amend)
            answer = await socket.answer()
            error = answer.get("error") or answer["results"][0]["error"]
            assert error["code"] == ("LOT_SIZE" if number.code == "STEP" else number.code), number
    top = {"asset": "USDT", "amount": "10000000.00000001"}
    assert (await trader.call("POST", "/api/portfolio/top-up", top)).refusal == (422, "VALIDATION", "amount")


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (float("nan"), "VALIDATION"), (float("inf"), "VALIDATION"), (-float("inf"), "VALIDATION"), (-1, "VALIDATION"),
        (-0.0, "VALIDATION"), (0, "VALIDATION"), (1e300, "VALIDATION"), (1e-300, "LOT_SIZE"), (1 << 63, "VALIDATION"),
        ((1 << 64) - 1, "VALIDATION"), (True, "VALIDATION"), (b"1", "VALIDATION"), ([1], "VALIDATION"),
    ],
    ids=repr,
)  # fmt: skip
async def test_numbers_in_messagepack(trader: Client, value: Any, code: str) -> None:
    order = {"symbol": "BTCUSDT", "type": "LIMIT", "quantity": value, "price": "50000"}
    async with unchanged(trader), trader.trading_socket(binary=True) as socket:
        body = msgspec.msgpack.encode(order)
        reply = await trader.call(
            "POST", "/api/trading/buy", body=body, headers={"Content-Type": "application/msgpack"}
        )
        assert reply.refusal == (422, code, "quantity")
        answer = await socket.ask("place", orders=[{**order, "side": "BUY"}])
        error = answer.get("error") or answer["results"][0]["error"]
        assert error["code"] == code


# -- orders ---------------------------------------------------------------------------------------------------------


class Order(NamedTuple):
    name: str
    fields: dict[str, str]
    code: str
    field: str | None
    level: str = "order"
    side: str = "buy"


CLIENT_ORDER_IDS: Final = {
    "frame": ('""', f'"{"x" * 37}"', "5"),
    "order": ('" "', '"a b"', '"a\\n"', '"\\n"', '"\\u0000"', '"\\u007f"', '"é"', '"😀"'),
}
"""By what is refused: what the schema forbids spoils its frame, the rest only its order."""
ORDERS: Final = [
    *(
        Order(f"client_order_id {one[:9]}", {**LIMIT, "client_order_id": one}, "VALIDATION", "client_order_id", level)
        for level, ids in CLIENT_ORDER_IDS.items()
        for one in ids
    ),
    Order("unknown symbol", {**LIMIT, "symbol": '"NOPEUSDT"'}, "UNKNOWN_SYMBOL", "symbol"),
    Order("lower case", {**LIMIT, "symbol": '"btcusdt"'}, "UNKNOWN_SYMBOL", "symbol"),
    Order("symbol with a line feed", {**LIMIT, "symbol": '"BTCUSDT\\n"'}, "UNKNOWN_SYMBOL", "symbol"),
    Order("empty symbol", {**LIMIT, "symbol": '""'}, "VALIDATION", "symbol", "frame"),
    Order("long symbol", {**LIMIT, "symbol": f'"{"A" * 25}"'}, "VALIDATION", "symbol", "frame"),
    Order("no symbol", {"quantity": "1"}, "VALIDATION", "symbol", "frame"),
    Order("price off the tick", {**LIMIT, "price": '"50000.001"'}, "PRICE_FILTER", "price"),
    Order("price too high", {**LIMIT, "price": '"1000000.01"'}, "PRICE_FILTER", "price"),
    Order("quantity off the lot", {**LIMIT, "quantity": '"0.000201"'}, "LOT_SIZE", "quantity"),
    Order("quantity too large", {**LIMIT, "quantity": '"900.00001"'}, "LOT_SIZE", "quantity"),
    Order("market quantity too large", {"symbol": '"BTCUSDT"', "quantity": "90.00001"}, "MARKET_LOT_SIZE", "quantity"),
    Order("notional too small", {**LIMIT, "quantity": '"0.00009"'}, "NOTIONAL", "quantity"),
    Order("notional too large", {**LIMIT, "quantity": '"181"'}, "NOTIONAL", "quantity"),
    Order("quote too small", {**MARKET, "quote_quantity": '"4.99999999"'}, "NOTIONAL", "quote_quantity"),
    Order("quote too large", {**MARKET, "quote_quantity": '"9000000.00000001"'}, "NOTIONAL", "quote_quantity"),
    Order("quote and quantity", {**MARKET, "quantity": '"1"'}, "VALIDATION", "quantity"),
    Order("neither", {"symbol": '"BTCUSDT"'}, "VALIDATION", "quantity"),
    Order("limit without a price", {k: v for k, v in LIMIT.items() if k != "price"}, "VALIDATION", "price"),
    Order("limit without a quantity", {k: v for k, v in LIMIT.items() if k != "quantity"}, "VALIDATION", "quantity"),
    Order("limit by quote", {**LIMIT, "quote_quantity": "10"}, "VALIDATION", "quote_quantity"),
    Order("market with a price", {**MARKET, "price": '"50000"'}, "VALIDATION", "price"),
    Order("market with a time in force", {**MARKET, "time_in_force": '"IOC"'}, "VALIDATION", "time_in_force"),
    Order("post-only IOC", {**LIMIT, "type": '"LIMIT_MAKER"', "time_in_force": '"IOC"'}, "VALIDATION", "time_in_force"),
    Order("unknown type", {**LIMIT, "type": '"STOP"'}, "VALIDATION", "type", "frame"),
    Order("unknown time in force", {**LIMIT, "time_in_force": '"GTD"'}, "VALIDATION", "time_in_force", "frame"),
    Order("unknown stp mode", {**LIMIT, "stp_mode": "1"}, "VALIDATION", "stp_mode", "frame"),
    Order("unknown field", {**LIMIT, "quantitiy": '"1"'}, "VALIDATION", "quantitiy", "frame"),
    Order("not enough to buy", {**LIMIT, "quantity": '"2.1"'}, "INSUFFICIENT_BALANCE", None),
    Order("not enough to sell", LIMIT, "INSUFFICIENT_BALANCE", None, side="sell"),
    Order("not enough to buy by quote", {**MARKET, "quote_quantity": "100001"}, "INSUFFICIENT_BALANCE", None),
    Order("the second of a double key counts", {**LIMIT, 'price":"50000","price': "0"}, "VALIDATION", "price"),
    Order("lone surrogate", {**LIMIT, "client_order_id": '"\\ud800"'}, "MALFORMED_BODY", None, "frame"),
]  # fmt: skip


@pytest.mark.parametrize("order", ORDERS, ids=[order.name for order in ORDERS])
async def test_orders(trader: Client, order: Order) -> None:
    """HT-E03."""
    async with unchanged(trader), trader.trading_socket() as socket:
        assert await refused_order(trader, order.fields, order.side) == (order.code, order.field)
        path = f"orders[0].{order.field}" if order.field and order.level == "frame" else order.field
        found = await refused_frame(socket, order.fields, order.side.upper())
        assert found == (order.level, order.code, path)
        body = f'{{"orders":[{raw({**order.fields, "side": chr(34) + order.side.upper() + chr(34)})}]}}'
        reply = await trader.call("POST", "/api/trading/orders", body=body.encode())
        if order.level == "frame":
            assert reply.refusal == (STATUS[order.code], order.code, path)
        else:
            (result,) = reply.ok()["results"]
            assert (result["error"]["code"], result["error"]["field"]) == (order.code, order.field)


async def test_refusals_of_the_book_are_told_on_the_stream_and_change_no_balance(trader: Client) -> None:
    placed = await trader.buy("BTCUSDT", type="LIMIT", quantity="0.01", price="50000", client_order_id="mine")
    _, ask = await trader.top_of_book("BTCUSDT")
    path = f"/api/trading/orders/{placed['order_id']}"
    async with unchanged(trader, reports=5):
        far = {**LIMIT, "price": "1000", "quantity": "0.01"}
        assert await refused_order(trader, far) == ("PERCENT_PRICE_BY_SIDE", "price")
        taking = {**LIMIT, "type": '"LIMIT_MAKER"', "price": f'"{ask + 100}"'}
        assert await refused_order(trader, taking) == ("WOULD_TAKE", None)
        for quantity, code, field in (
            ("0.01", "AMEND_NOT_REDUCED", "quantity"),
            ("0.02", "AMEND_NOT_REDUCED", "quantity"),
            ("0.00009", "NOTIONAL", None),
        ):
            reply = await trader.call("PATCH", path, {"quantity": quantity})
            assert reply.refusal == (422, code, field), quantity
    async with unchanged(trader):
        duplicate = {**LIMIT, "client_order_id": '"mine"'}
        assert await refused_order(trader, duplicate) == ("DUPLICATE_CLIENT_ORDER_ID", "client_order_id")
        replacing = {"quantity": "0.01", "price": "50000.001"}
        assert (await trader.call("PUT", path, replacing)).refusal == (422, "PRICE_FILTER", "price")
        replacing = {"quantity": "3", "price": "50000"}
        assert (await trader.call("PUT", path, replacing)).refusal == (422, "INSUFFICIENT_BALANCE", None)
        assert await trader.order(placed["order_id"]) == placed


async def test_no_more_than_so_many_open_orders(trader: Client) -> None:
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "0.0002", "price": "50000"}
    await trader.post("/api/trading/orders", {"orders": [order] * 200})
    async with unchanged(trader):
        assert await refused_order(trader, LIMIT) == ("MAX_NUM_ORDERS", None)


# -- bodies and frames ----------------------------------------------------------------------------------------------

GOOD: Final = raw(LIMIT).encode()
BODIES: Final[list[tuple[str, bytes, str, str | None]]] = [
    ("empty", b"", "MALFORMED_BODY", None),
    ("truncated", GOOD[:-1], "MALFORMED_BODY", None),
    ("trailing", GOOD + b"x", "MALFORMED_BODY", None),
    ("two", GOOD + GOOD, "MALFORMED_BODY", None),
    ("not UTF-8", GOOD.replace(b"LIMIT", b"\xff"), "MALFORMED_BODY", None),
    ("a byte order mark", b"\xef\xbb\xbf" + GOOD, "MALFORMED_BODY", None),
    ("NUL", b"\0", "MALFORMED_BODY", None),
    ("single quotes", GOOD.replace(b'"', b"'"), "MALFORMED_BODY", None),
    ("a comment", GOOD + b"// good", "MALFORMED_BODY", None),
    ("null", b"null", "VALIDATION", None),
    ("a list", b"[" + GOOD + b"]", "VALIDATION", None),
    ("a number", b"1", "VALIDATION", None),
    ("deep lists", b"[" * 100_000, "VALIDATION", None),
    ("deep lists in a field", b'{"symbol":' + b"[" * 100_000, "VALIDATION", "symbol"),
    ("deep objects", b'{"a":' * 100_000, "VALIDATION", "a"),
    ("one byte too large", GOOD + b" " * (HUGE + 1 - len(GOOD)), "BODY_TOO_LARGE", None),
    ("three times too large", GOOD + b" " * 3 * HUGE, "BODY_TOO_LARGE", None),
]


@pytest.mark.parametrize(("body", "code", "field"), [case[1:] for case in BODIES], ids=[case[0] for case in BODIES])
async def test_bodies(trader: Client, body: bytes, code: str, field: str | None) -> None:
    """HT-E04."""
    async with unchanged(trader):
        reply = await trader.call("POST", "/api/trading/buy", body=body)
        assert reply.refusal == (STATUS[code], code, field)


async def test_the_largest_body_and_one_without_a_length(trader: Client) -> None:
    """HT-E04."""
    largest = GOOD + b" " * (HUGE - len(GOOD))
    assert (await trader.call("POST", "/api/trading/buy", body=largest)).ok()["status"] == "NEW"

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(300):
            yield b" " * 10_000

    async with unchanged(trader):
        reply = await trader.call("POST", "/api/trading/buy", body=endless())
        assert reply.refusal == (413, "BODY_TOO_LARGE", None)


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml", "json", "\xff"]
)
async def test_media_types(trader: Client, media_type: str) -> None:
    """HT-E05."""
    async with unchanged(trader):
        reply = await trader.call("POST", "/api/trading/buy", body=GOOD, headers={"Content-Type": media_type})
        assert reply.refusal == (415, "UNSUPPORTED_MEDIA_TYPE", None)
    as_msgpack = {"Content-Type": "application/msgpack"}
    for body, code in (
        (GOOD, "VALIDATION"),
        (b"\x81", "MALFORMED_BODY"),
        (b"\x81", "MALFORMED_BODY"),
        (b"\x91" * 9999, "VALIDATION"),
    ):
        reply = await trader.call("POST", "/api/trading/buy", body=body, headers=as_msgpack)
        assert reply.refusal == (STATUS[code], code, None)


FRAMES: Final[list[tuple[str | bytes, str, str | None, int | None]]] = [
    ("", "MALFORMED_BODY", None, None),
    ("{", "MALFORMED_BODY", None, None),
    ('{"op":"ping","id":3', "MALFORMED_BODY", None, None),
    ('{"op":"ping","id":3}{"op":"ping"}', "MALFORMED_BODY", None, None),
    ("[" * 100_000, "VALIDATION", None, None),
    ('{"op":"place","orders":' + "[" * 100_000, "VALIDATION", "orders[0]", None),
    ("[]", "VALIDATION", None, None),
    ('"place"', "VALIDATION", None, None),
    ('{"id":3}', "VALIDATION", "op", 3),
    ('{"op":"nope","id":3}', "VALIDATION", "op", 3),
    ('{"op":5,"id":3}', "VALIDATION", "op", 3),
    ('{"op":"ping","id":3,"x":1}', "VALIDATION", "x", 3),
    ('{"op":"place","id":3}', "VALIDATION", "orders", 3),
    ('{"op":"place","id":3,"orders":[]}', "VALIDATION", "orders", 3),
    ('{"op":"place","id":3,"orders":[5]}', "VALIDATION", "orders[0]", 3),
    ('{"op":"place","id":3,"orders":[{}]}', "VALIDATION", "orders[0].symbol", 3),
    ('{"op":"cancel","id":3,"orders":[{}]}', "VALIDATION", "orders[0].order_id", 3),
    ('{"op":"cancel","id":3,"orders":[{"order_id":1,"client_order_id":"a"}]}', "VALIDATION", "orders[0].order_id", 3),
    ('{"op":"cancel","id":3,"orders":[{"order_id":0}]}', "VALIDATION", "orders[0].order_id", 3),
    ('{"op":"cancel","id":3,"orders":[{"order_id":"1"}]}', "VALIDATION", "orders[0].order_id", 3),
    ('{"op":"cancel","id":3,"orders":[{"order_id":1.5}]}', "VALIDATION", "orders[0].order_id", 3),
    ('{"op":"cancel","id":3,"orders":[{"order_id":9223372036854775808}]}', "VALIDATION", "orders[0].order_id", 3),
    ('{"op":"cancel","id":3,"orders":[{"order_id":4611686018427387904}]}', "VALIDATION", "orders[0].order_id", 3),
    ('{"op":"amend","id":3,"orders":[{"order_id":1}]}', "VALIDATION", "orders[0].quantity", 3),
    ('{"op":"replace","id":3,"order_id":1,"quantity":1}', "VALIDATION", "price", 3),
    ('{"op":"replace","id":3,"order_id":1,"quantity":1,"price":1}', "UNKNOWN_ORDER", "order_id", 3),
    ('{"op":"cancel_all","id":3,"symbol":"NOPE"}', "UNKNOWN_SYMBOL", "symbol", 3),
    ('{"op":"cancel_all","id":3,"symbol":"nope"}', "VALIDATION", "symbol", 3),
    ('{"op":"subscribe","id":3,"from_seq":-2}', "VALIDATION", "from_seq", 3),
    ('{"op":"subscribe","id":3,"from_seq":4611686018427387904}', "VALIDATION", "from_seq", 3),
    ('{"op":"subscribe","id":3,"from_seq":"1"}', "VALIDATION", "from_seq", 3),
    (b"", "MALFORMED_BODY", None, None),
    (b"\x81", "MALFORMED_BODY", None, None),
    (b"\x81\xa2op", "MALFORMED_BODY", None, None),
    (b"\x82\xa2op\xa4ping\xa2id", "MALFORMED_BODY", None, None),
    (b"\x91" * 100_000, "VALIDATION", None, None),
    (b"\x82\xa2op\xa4nope\xa2id\x03", "VALIDATION", "op", 3),
    (b"\x82\xa2op\xa2\xff\xff\xa2id\x03", "MALFORMED_BODY", None, 3),
]  # fmt: skip


async def test_frames(trader: Client) -> None:
    """WS-F02, WS-F03: the socket stays open through all of them."""
    async with unchanged(trader), trader.trading_socket() as socket:
        for frame, code, field, name in FRAMES:
            await socket.send_raw(frame)
            told = await socket.answer()
            found = (told["id"], told["ok"], told["error"]["code"], told["error"]["field"])
            assert found == (name, False, code, field), frame[:100]
            assert len(told["error"]["detail"]) <= 300
        await socket.send_raw('{"op":"ping","id":1,"id":2}')
        assert (await socket.answer())["id"] == 2, "of a key that comes twice the last counts"
        long_name = "n" * 100_000
        await socket.send({"op": "ping", "id": 4, long_name: 1})
        told = await socket.answer()
        assert (told["id"], len(told["error"]["detail"]) <= 300, len(told["error"]["field"]) <= 100) == (4, True, True)


@pytest.mark.parametrize("path", ["/ws/prices", "/ws/portfolio"])
async def test_frames_of_the_other_sockets(trader: Client, path: str) -> None:
    """WS-F02, WS-F03."""
    async with trader.socket(path) as socket:
        for frame, code, field, name in FRAMES:
            if code == "MALFORMED_BODY" or field in ("op", "x"):
                await socket.send_raw(frame)
                told = await socket.answer()
                assert (told["id"], told["error"]["code"], told["error"]["field"]) == (name, code, field), frame[:100]


# -- addresses ------------------------------------------------------------------------------------------------------

IDS: Final = ["abc", "0", "-1", "+1", "1.5", "0x10", "1_0", "true", "null", "%201", "%00", "٣", "1;2", str(1 << 62),
              str(1 << 63), "9" * 30, "9" * 5000]  # fmt: skip


@pytest.mark.parametrize("order_id", IDS, ids=[one[:20] for one in IDS])
async def test_path_ids(trader: Client, order_id: str) -> None:
    """HT-E06."""
    async with unchanged(trader):
        for method, body in (
            ("GET", None), ("DELETE", None), ("PATCH", {"quantity": "1"}), ("PUT", {"quantity": "1", "price": "1"}),
        ):  # fmt: skip
            reply = await trader.call(method, f"/api/trading/orders/{order_id}", body)
            assert reply.refusal == (422, "VALIDATION", "order_id"), method


async def test_an_order_that_never_was(trader: Client) -> None:
    async with unchanged(trader):
        for order_id in (1, (1 << 62) - 1):
            for method, body in (
                ("GET", None), ("DELETE", None), ("PATCH", {"quantity": "1"}), ("PUT", {"quantity": "1", "price": "1"}),
            ):  # fmt: skip
                reply = await trader.call(method, f"/api/trading/orders/{order_id}", body)
                assert reply.refusal == (404, "UNKNOWN_ORDER", "order_id"), method


QUERIES: Final[list[tuple[str, str, str, str | None]]] = [
    ("/api/trading/orders", "limit=0", "VALIDATION", "limit"),
    ("/api/trading/orders", "limit=1001", "VALIDATION", "limit"),
    ("/api/trading/orders", "limit=ten", "VALIDATION", "limit"),
    ("/api/trading/orders", "limit=", "VALIDATION", "limit"),
    ("/api/trading/orders", "limit=99999999999999999999999", "VALIDATION", "limit"),
    ("/api/trading/orders", "before_id=0", "VALIDATION", "before_id"),
    ("/api/trading/orders", "open=perhaps", "VALIDATION", "open"),
    ("/api/trading/orders", "symbol=NOPE", "UNKNOWN_SYMBOL", "symbol"),
    ("/api/trading/orders", "symbol=", "VALIDATION", "symbol"),
    ("/api/trading/orders", "symbol=BTCUSDT&symbol=ETHUSDT", "VALIDATION", "symbol"),
    ("/api/trading/orders", "client_order_id=%00", "VALIDATION", "client_order_id"),
    ("/api/trading/orders", "client_order_id=a%0a", "VALIDATION", "client_order_id"),
    ("/api/trading/orders", "client_order_id=%ff", "VALIDATION", None),
    ("/api/trading/orders", "sort=asc", "VALIDATION", "sort"),
    ("/api/trading/orders", "a" * 9000, "VALIDATION", None),
    ("/api/trading/orders", "&".join(f"a{k}=1" for k in range(65)), "VALIDATION", None),
    ("/api/trading/history", "symbol=NOPE", "UNKNOWN_SYMBOL", "symbol"),
    ("/api/trading/history", "before_ns=-1", "VALIDATION", "before_ns"),
    ("/api/portfolio", "x=1", "VALIDATION", "x"),
    ("/api/portfolio/history", "start_ms=-1", "VALIDATION", "start_ms"),
    ("/api/portfolio/history", "limit=10001", "VALIDATION", "limit"),
    ("/api/market/symbols", "symbol=NOPE", "UNKNOWN_SYMBOL", "symbol"),
    ("/api/market/prices", "symbol=NOPE", "UNKNOWN_SYMBOL", "symbol"),
    ("/api/market/depth", "", "VALIDATION", "symbol"),
    ("/api/market/depth", "symbol=BTCUSDT&limit=1001", "VALIDATION", "limit"),
    ("/api/market/trades", "symbol=BTCUSDT&from_id=0", "VALIDATION", "from_id"),
    ("/api/market/trades", "symbol=NOPE", "UNKNOWN_SYMBOL", "symbol"),
    ("/api/market/history", "symbol=BTCUSDT&interval=7m", "VALIDATION", "interval"),
    ("/api/market/history", "symbol=BTCUSDT&start_ms=9999999999999999", "VALIDATION", "start_ms"),
]  # fmt: skip


async def test_queries(trader: Client) -> None:
    """HT-E07."""
    for path, query, code, field in QUERIES:
        reply = await trader.call("GET", f"{path}?{query}")
        assert reply.refusal == (STATUS[code], code, field), (path, query[:80])
    for query in (
        "symbol=BTCUSDT&start_ms=8796093022208&end_ms=8796093022208",
        "symbol=BTCUSDT&interval=1d&start_ms=0",
    ):
        await trader.get(f"/api/market/history?{query}")
    await trader.get("/api/portfolio/history?start_ms=9007199254740991")


async def test_methods_and_addresses(trader: Client) -> None:
    """HT-E08."""
    for method, path, allowed in (
        ("GET", "/api/trading/buy", "OPTIONS, POST"),
        ("PUT", "/api/trading/orders", "DELETE, GET, HEAD, OPTIONS, POST"),
        ("POST", "/api/trading/orders/1", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
        ("TRACE", "/api/portfolio", "GET, HEAD, OPTIONS"),
    ):
        reply = await trader.call(method, path)
        assert (reply.refusal, reply.headers["allow"]) == ((405, "METHOD_NOT_ALLOWED", None), allowed)
    for path in ("/api/nope", "/nope", "/api/trading/orders/", "/api//portfolio", "/api/v2/portfolio", "/ws/orders"):
        assert (await trader.call("GET", path)).refusal == (404, "NOT_FOUND", None), path


# -- tokens ---------------------------------------------------------------------------------------------------------


def forgeries(exchange: Exchange, user: User) -> dict[str, tuple[str, str]]:
    """Name -> (token, code)."""
    text = (exchange.data / "secrets" / "token").read_text().strip()
    secret = hashlib.sha256(text.encode()).digest()
    good: Json = jwt.decode(user.access_token, options={"verify_signature": False})
    head, claims, signature = user.access_token.split(".")
    past = {**good, "iat": int(time.time()) - 1000, "exp": int(time.time()) - 100}

    def signed(**changed: Any) -> str:
        return jwt.encode({**good, **changed}, secret, "HS256")

    return {
        "expired": (jwt.encode(past, secret, "HS256"), "TOKEN_EXPIRED"),
        "signed with another secret": (jwt.encode(good, "x" * 40, "HS256"), "UNAUTHENTICATED"),
        "not signed": (jwt.encode(good, "", "none"), "UNAUTHENTICATED"),
        "signature cut off": (f"{head}.{claims}.", "UNAUTHENTICATED"),
        "signature of another": (f"{head}.{claims[:-4]}AAAA.{signature}", "UNAUTHENTICATED"),
        "longer than a quarter of an hour": (signed(exp=good["exp"] + 86_400), "UNAUTHENTICATED"),
        "from the future": (signed(iat=good["iat"] + 3600, exp=good["exp"] + 3600), "UNAUTHENTICATED"),
        "of another session": (signed(sid="999999999"), "UNAUTHENTICATED"),
        "of another user": (signed(sub=str(user.user_id + 1)), "UNAUTHENTICATED"),
        "for another audience": (signed(aud="elsewhere"), "UNAUTHENTICATED"),
        "not a token": ("abc", "UNAUTHENTICATED"),
        "long": ("a" * 8000, "UNAUTHENTICATED"),
        "the refresh token": (user.refresh_token, "UNAUTHENTICATED"),
    }


async def test_tokens(exchange: Exchange, alice: User, trader: Client) -> None:
    """HT-A01, HT-A02, WS-A04."""
    async with unchanged(trader), exchange.client() as client:
        for method, path, body in (
            ("GET", "/api/portfolio", None),
            ("POST", "/api/trading/buy", {"symbol": "BTCUSDT", "quantity": "1"}),
            ("DELETE", "/api/trading/orders", None),
        ):
            bare = await client.call(method, path, body)
            assert bare.refusal == (401, "UNAUTHENTICATED", None)
            assert bare.headers["www-authenticate"].startswith("Bearer")
            for header in ("Basic abc", "Bearer", "Bearer  ", alice.access_token):
                reply = await client.call(method, path, body, headers={"Authorization": header})
                assert reply.refusal == (401, "UNAUTHENTICATED", None), header
        for name, (token, code) in forgeries(exchange, alice).items():
            client.token = token
            assert (await client.call("GET", "/api/portfolio")).refusal == (401, code, None), name
            reply = await client.call("POST", "/api/trading/buy", body=b"not even JSON")
            assert reply.refusal == (401, code, None), f"{name}: who asks comes before what is asked"
        for name, (token, code) in forgeries(exchange, alice).items():
            client.token = token
            async with client.socket("/ws/orders") as socket:
                assert (await socket.receive())["error"]["code"] == code, name
    assert (await trader.call("GET", "/api/portfolio", headers={"Authorization": f"bearer {alice.access_token}"})).ok()
