"""What the clients of a benchmark send, encoded before the clock starts. Pure: knows no socket.

Orders are LIMIT orders of 6 to 12 USDT, both sides, each with a client_order_id. Three of four rest (GTC, 10 to 40 % away
from the market) and are canceled one by one later; one of four is IOC, finds nothing and expires. So nothing is refused:
no account ever has more than 200 open orders in a symbol.
"""

import hmac
import random
import time
from collections.abc import Callable
from decimal import ROUND_HALF_UP, ROUND_UP, Decimal
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from bench import packed_frames
from bench.client import binary_frame, text_frame
from bench.exchange import Terms

RESTING_OF_FOUR: Final = 3
MOST_RESTING: Final = 150
"""Open orders of one client; an account may have 200 in a symbol."""
HTTP_RESTING: Final = 100
"""Orders between two cancel-all requests of an HTTP client."""


class Plan(msgspec.Struct, frozen=True):
    """One client: where it trades and as whom (two tokens: it trades with itself under two names)."""

    number: int
    tokens: list[str]
    terms: Terms
    api_key: str = ""
    secret: str = ""


class Step(msgspec.Struct, frozen=True):
    """One request and how a good answer looks: `needle` occurs `expects` times; without one it is a packed answer."""

    payload: bytes
    needle: bytes
    expects: int
    connection: int = 0
    orders: int = 0
    cancels: int = 0
    fills: int = 0
    timed: bool = True
    undoes: int = -1
    """Of a cancel, the place of the step whose orders it cancels; -1: whatever rests."""


class Codec(msgspec.Struct, frozen=True):
    name: str
    request: Callable[[Terms, str, list[dict[str, str]]], bytes]
    """The whole WebSocket frame of an op with orders, all of one symbol."""
    decode: Callable[[bytes], Any]
    """Of a frame's payload."""
    ok: bytes
    accepted: bytes
    """What stands in the answer once for each command that was not refused."""
    fill: bytes


def _frame_of(op: str, orders: list[dict[str, str]]) -> dict[str, Any]:
    return {"op": op, "id": 1, "orders": orders}


JSON: Final = Codec(
    "JSON",
    lambda _, op, orders: text_frame(msgspec.json.encode(_frame_of(op, orders))),
    msgspec.json.decode,
    b'"ok":true',
    b'"error":null',
    b'"trade_id"',
)
MSGPACK: Final = Codec(
    "MessagePack",
    lambda _, op, orders: binary_frame(msgspec.msgpack.encode(_frame_of(op, orders))),
    msgspec.msgpack.decode,
    b"\xa2ok\xc3",
    b"\xa5error\xc0",
    b"\xa8trade_id",
)
PACKED: Final = Codec(
    "packed",
    lambda terms, op, orders: binary_frame(packed_frames.encode(terms, op, orders)),
    packed_frames.decode,
    b"",
    b"",
    b"",
)
CODECS: Final = {codec.name: codec for codec in (JSON, MSGPACK, PACKED)}


# -- WebSocket ----------------------------------------------------------------------------------------------------


def echo(plan: Plan, codec: Codec, size: int) -> list[Step]:
    """The frames of `place`, as no-ops: decoded, answered, nothing else."""
    frames = _places(plan, size, slots=4)
    return [Step(codec.request(plan.terms, "echo", orders), codec.ok, 1) for slot in frames for orders in slot]


def place(plan: Plan, codec: Codec, size: int) -> list[Step]:
    """Frames of `size` orders, and frames that cancel those that rest, some frames later."""
    per_slot = max(size, 4) * RESTING_OF_FOUR // 4
    lag = max(1, min(16, MOST_RESTING // per_slot))
    slots = _places(plan, size, slots=2 * lag)
    steps: list[Step] = []
    placed: list[list[int]] = []
    """By slot, where its frames stand."""
    for k, frames in enumerate([*slots, *([[]] * lag)]):
        if k >= lag:
            due = zip(slots[k - lag], placed[k - lag], strict=True)
            steps += [_cancel(plan, codec, orders, at) for orders, at in due if _resting(orders)]
        placed.append([len(steps) + n for n in range(len(frames))])
        steps += [
            Step(codec.request(plan.terms, "place", one), codec.accepted, len(one), orders=len(one)) for one in frames
        ]
    return steps


def ioc(plan: Plan, codec: Codec, size: int) -> list[Step]:
    """The orders of `place`, but all of them IOC: accepted, journaled, expired; nothing to cancel."""
    frames = [frame for slot in _places(plan, size, slots=4) for frame in slot]
    return [
        Step(
            codec.request(plan.terms, "place", [one | {"time_in_force": "IOC"} for one in orders]),
            codec.accepted,
            size,
            orders=size,
        )
        for orders in frames
    ]


def cross(plan: Plan, codec: Codec, size: int) -> list[Step]:
    """One name sells at the market and the other buys all of it, then the other way round: a fill for every two orders."""
    steps = []
    for maker, taker in ((0, 1), (1, 0)):
        sells = [_order(plan, "SELL", plan.terms.price + k % 10 * plan.terms.tick, f"s{k}") for k in range(size)]
        buys = [
            _order(plan, "BUY", plan.terms.price + 10 * plan.terms.tick, f"b{k}", "IOC") | {"quantity": one["quantity"]}
            for k, one in enumerate(sells)
        ]
        steps.append(
            Step(
                codec.request(plan.terms, "place", sells),
                codec.accepted,
                size,
                connection=maker,
                orders=size,
                timed=False,
            )
        )
        steps.append(
            Step(
                codec.request(plan.terms, "place", buys),
                codec.accepted,
                size,
                connection=taker,
                orders=size,
                fills=size,
            )
        )
    return steps


def _places(plan: Plan, size: int, slots: int) -> list[list[list[dict[str, str]]]]:
    """Slots of frames of orders. A slot has whole fours of them: `size` is 1 or a multiple of 4."""
    assert size == 1 or size % 4 == 0
    chance = random.Random(plan.number)
    frames_per_slot = max(1, 4 // size)
    return [
        [
            [_varied(plan, chance, f"{s}-{f}-{k}", (f * size + k) % 4) for k in range(size)]
            for f in range(frames_per_slot)
        ]
        for s in range(slots)
    ]


def _varied(plan: Plan, chance: random.Random, name: str, place_in_four: int) -> dict[str, str]:
    side = chance.choice(("BUY", "SELL"))
    away = Decimal(chance.randrange(100, 400)) / 1000
    price = plan.terms.price * (1 - away if side == "BUY" else 1 + away)
    return _order(plan, side, price, name, "GTC" if place_in_four < RESTING_OF_FOUR else "IOC")


def _order(plan: Plan, side: str, price: Decimal, name: str, time_in_force: str = "GTC") -> dict[str, str]:
    terms = plan.terms
    price = (price / terms.tick).quantize(Decimal(1), ROUND_HALF_UP) * terms.tick
    quantity = (Decimal(6) / price / terms.lot).quantize(Decimal(1), ROUND_UP) * terms.lot
    return {
        "symbol": terms.symbol,
        "side": side,
        "type": "LIMIT",
        "quantity": format(quantity, "f"),
        "price": format(price, "f"),
        "time_in_force": time_in_force,
        "client_order_id": f"b{plan.number}-{name}",
    }


def _resting(orders: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{"client_order_id": one["client_order_id"]} for one in orders if one["time_in_force"] == "GTC"]


def _cancel(plan: Plan, codec: Codec, orders: list[dict[str, str]], at: int) -> Step:
    named = _resting(orders)
    frame = codec.request(plan.terms, "cancel", named)
    return Step(frame, codec.accepted, len(named), cancels=len(named), timed=False, undoes=at)


# -- HTTP ---------------------------------------------------------------------------------------------------------

_HTTP_OK: Final = b"HTTP/1.1 200 "


def live(plan: Plan) -> list[Step]:
    return [Step(_http(plan, "GET", "/health/live"), _HTTP_OK, 1)]


def noop(plan: Plan) -> list[Step]:
    """The orders of `buy`, authenticated and decoded, and nothing done with them."""
    return [Step(_http(plan, "POST", "/api/v1/trading/echo", order), _HTTP_OK, 1) for order in _buys(plan)]


def buy(plan: Plan) -> list[Step]:
    """Orders that rest far below the market; a cancel-all after HTTP_RESTING of them."""
    steps = [Step(_http(plan, "POST", "/api/trading/buy", order), _HTTP_OK, 1, orders=1) for order in _buys(plan)]
    path = f"/api/trading/orders?symbol={plan.terms.symbol}"
    return [*steps, Step(_http(plan, "DELETE", path), _HTTP_OK, 1, cancels=1, timed=False)]


def rest_buy(plan: Plan) -> list[Step]:
    """The same orders over the venue's API, signed: one form body each."""
    steps = []
    for order in _buys(plan):
        named = {
            "symbol": order["symbol"], "side": "BUY", "type": "LIMIT", "timeInForce": order["time_in_force"],
            "quantity": order["quantity"], "price": order["price"], "newClientOrderId": order["client_order_id"],
        }  # fmt: skip
        steps.append(Step(_signed(plan, "POST", "/api/v3/order", named), _HTTP_OK, 1, orders=1))
    gone = _signed(plan, "DELETE", "/api/v3/openOrders", {"symbol": plan.terms.symbol})
    return [*steps, Step(gone, _HTTP_OK, 1, cancels=1, timed=False)]


def _buys(plan: Plan) -> list[dict[str, str]]:
    chance = random.Random(plan.number)
    orders = []
    for k in range(HTTP_RESTING):
        away = Decimal(chance.randrange(600, 900)) / 1000
        order = _order(plan, "BUY", plan.terms.price * away, str(k))
        del order["side"]
        orders.append(order)
    return orders


def _signed(plan: Plan, method: str, path: str, parameters: dict[str, str]) -> bytes:
    """Good for a minute: the longest window there is. A measurement is shorter."""
    stamped = parameters | {"recvWindow": "60000", "timestamp": str(time.time_ns() // 1_000_000)}
    payload = urlencode(stamped).encode()
    content = payload + b"&signature=" + hmac.digest(plan.secret.encode(), payload, "sha256").hex().encode()
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-MBX-APIKEY: {plan.api_key}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def _http(plan: Plan, method: str, path: str, body: dict[str, str] | None = None) -> bytes:
    content = b"" if body is None else msgspec.json.encode(body)
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {plan.tokens[0]}\r\n"
    if body is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
    return head.encode() + b"\r\n" + content


HTTP: Final = {"live": live, "noop": noop, "buy": buy, "rest_buy": rest_buy}
SOCKET: Final = {"echo": echo, "place": place, "ioc": ioc, "cross": cross}
