"""The venue's WebSocket API and user data over the wire, by its documentation."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Any, Final

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.system.binance import Sign, Venue, hmac_signer, rest_of_window
from tests.system.client import Closed, Json, eventually
from tests.system.conftest import Exchange, User
from tests.system.ws_venue import WsVenue, refused, ws_venue

SYMBOL: Final = "BTCUSDT"
REPORT: Final = "e E s c S o f q p P F g C x X r i l z L n N T t I w m M O Z Y Q W V"
WEIGHT: Final = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000}
BAD_KEY: Final = (401, -2015, "Invalid API-key, IP, or permissions for action.")
Connect = Callable[..., AbstractAsyncContextManager[WsVenue]]


class Trader:
    """A user with the initial money and an HMAC key, and an address with limits of its own."""

    def __init__(self, exchange: Exchange, user: User, made: Json) -> None:
        self.exchange = exchange
        self.user = user
        self.api_key: str = made["api_key"]
        self.sign: Sign = hmac_signer(made["secret"])
        self.address = f"203.1.{user.user_id // 250 % 250}.{user.user_id % 250 + 1}"

    def connect(self, query: str = "") -> AbstractAsyncContextManager[WsVenue]:
        return ws_venue(self.exchange.url, self.api_key, self.sign, self.address, query)

    def rest(self) -> Venue:
        return Venue(self.exchange.url, self.api_key, self.sign, self.address)

    async def new_key(self, **body: Any) -> Json:
        async with self.exchange.client(self.user) as client:
            made: Json = await client.post("/api/auth/keys", body, status=201)
            return made


async def new_trader(exchange: Exchange, name: str) -> Trader:
    user = exchange.register(name)
    async with exchange.client(user) as client:
        return Trader(exchange, user, await client.post("/api/auth/keys", {}, status=201))


@pytest.fixture
async def trader(exchange: Exchange) -> Trader:
    return await new_trader(exchange, "wsapi")


@pytest.fixture
async def ws(trader: Trader) -> AsyncIterator[WsVenue]:
    async with trader.connect() as one:
        yield one


@pytest.fixture
async def price(ws: WsVenue) -> Decimal:
    """The last price."""
    found = await eventually(lambda: ws.ask("ticker.price", symbol=SYMBOL), lambda r: r["status"] == 200, "a price")
    return Decimal(found["result"]["price"])


def ed25519_key() -> tuple[str, Sign]:
    private = ed25519.Ed25519PrivateKey.generate()
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return pem, lambda payload: base64.b64encode(private.sign(payload)).decode()


def rsa_key() -> tuple[str, Sign]:
    private = rsa.generate_private_key(65537, 2048)
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return pem, lambda payload: base64.b64encode(private.sign(payload, padding.PKCS1v15(), SHA256())).decode()


def limit(price: Decimal, share: str = "0.5", **more: Any) -> Json:
    """A LIMIT BUY that rests."""
    text = format((price * Decimal(share)).quantize(Decimal("0.01")), "f")
    return {
        "symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.001", "price": text, **more,
    }  # fmt: skip


# -- the envelope -----------------------------------------------------------------------------------------------------


async def test_answers_carry_the_id_and_the_rate_limits(trader: Trader) -> None:
    """Connecting costs 2, a ping 1."""
    await rest_of_window(60, 10)
    async with trader.connect() as ws:
        for k, request_id in enumerate((7, -3, "a-b_9", None)):
            await ws.socket.send_json({"id": request_id, "method": "ping"})
            assert await ws.receive() == {
                "id": request_id, "status": 200, "result": {}, "rateLimits": [{**WEIGHT, "count": 3 + k}],
            }  # fmt: skip
        assert list(await ws.ask("time", returnRateLimits=False)) == ["id", "status", "result"]
        assert list(await ws.ask("v3/time")) == ["id", "status", "result", "rateLimits"]
    async with trader.connect("?returnRateLimits=false") as ws:
        assert list(await ws.ask("time")) == ["id", "status", "result"]
        assert list(await ws.ask("time", returnRateLimits=True)) == ["id", "status", "result", "rateLimits"]
        assert (await ws.ask("session.status"))["result"]["returnRateLimits"] is False
    async with trader.connect("?timeUnit=MICROSECOND") as ws:
        assert abs((await ws.ask("time"))["result"]["serverTime"] - time.time() * 1_000_000) < 5_000_000


async def test_frames_that_are_no_request_are_answered(ws: WsVenue) -> None:
    for frame, request_id, text in (
        ("nonsense", None, "Invalid JSON Request"),
        ('{"method":"ping"}', None, "Invalid 'id' in JSON request; expected an integer, a string matching "
         "'^[a-zA-Z0-9-_]{1,36}$', or null."),
        ('{"id":"a"}', "a", "Invalid 'method' in JSON request; expected a string."),
        ('{"id":"a","method":"ping","params":[]}', "a", "Invalid 'params' in JSON request; expected an object."),
    ):  # fmt: skip
        await ws.socket.send_str(frame)
        found = await ws.receive()
        assert found == {"id": request_id, "status": 400, "error": {"code": -1135, "msg": text}}
    await ws.socket.send_bytes(b"\xff")
    assert refused(await ws.receive())[1] == -1135
    assert refused(await ws.ask("no.such")) == (400, -1020, "This operation is not supported.")
    assert (await ws.ask("ping"))["status"] == 200, "the connection lives on"


@pytest.mark.parametrize("query", ["?timeUnit=SECOND", "?returnRateLimits=maybe", "?responseFormat=sbe"])
async def test_urls_that_ask_for_what_there_is_not_are_refused(trader: Trader, query: str) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
        async with trader.connect(query):
            pass
    assert raised.value.status in (400, 403)


async def test_parameters_are_checked_as_over_rest(ws: WsVenue, price: Decimal) -> None:
    for method, params, want in (
        ("depth", {}, (400, -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")),
        ("depth", {"symbol": "NOPE"}, (400, -1121, "Invalid symbol.")),
        ("depth", {"symbol": None}, (400, -1105, "Parameter 'symbol' was empty.")),
        ("ping", {"x": 1}, (400, -1101, "Too many parameters; expected '0' and received '1'.")),
        ("time", {"returnRateLimits": "maybe"}, (400, -1100, "Illegal characters found in parameter 'returnRateLimits'; "
         "legal range is '^(true|false)$'.")),
        ("session.status", {"x": 1}, (400, -1101, "Too many parameters; expected '0' and received '1'.")),
    ):  # fmt: skip
        assert refused(await ws.ask(method, **params)) == want, method
    for params, want in (
        ({"side": "UP"}, (400, -1117, "Invalid side.")),
        ({"type": "NOPE"}, (400, -1116, "Invalid orderType.")),
        ({"quantity": 0.00000001}, None),
        ({"quantity": "1e9"}, (400, -1100, "Illegal characters found in parameter 'quantity'; legal range is "
         "'^([0-9]{1,20})(\\.[0-9]{1,20})?$'.")),
        ({"quantity": "0.0000015"}, (400, -1013, "Filter failure: LOT_SIZE")),
        ({"quantity": "100"}, (400, -2010, "Account has insufficient balance for requested action.")),
        ({"bogus": 1}, (400, -1104, "Not all sent parameters were read; read '9' parameter(s) but was sent '10'.")),
    ):  # fmt: skip
        found = refused(await ws.signed("order.place", **limit(price, **params)))
        assert found == want if want else found[0] == 400
    assert refused(await ws.signed("order.cancel", symbol=SYMBOL, orderId=1)) == (400, -2011, "Unknown order sent.")
    assert refused(await ws.signed("order.status", symbol=SYMBOL, orderId=1)) == (400, -2013, "Order does not exist.")
    assert refused(await ws.signed("sor.order.place", **limit(price)))[:2] == (400, -2010)


# -- who asks ---------------------------------------------------------------------------------------------------------


async def test_signed_requests(trader: Trader, ws: WsVenue) -> None:
    params = {"symbol": SYMBOL}
    good = ws.stamped(**params)
    assert (await ws.ask("openOrders.status", **good))["result"] == []
    assert (await ws.ask("openOrders.status", **(good | {"signature": good["signature"].upper()})))["status"] == 200
    without = {name: value for name, value in good.items() if name != "signature"}
    missing = "Mandatory parameter '{}' was not sent, was empty/null, or malformed."
    assert refused(await ws.ask("openOrders.status", **without)) == (400, -1102, missing.format("signature"))
    assert refused(await ws.signed("openOrders.status", apiKey=None)) == (400, -1102, missing.format("apiKey"))
    assert refused(await ws.signed("openOrders.status", timestamp=None)) == (400, -1102, missing.format("timestamp"))
    assert refused(await ws.ask("openOrders.status", **(good | {"symbol": "ETHUSDT"}))) == (
        400, -1022, "Signature for this request is not valid.",
    )  # fmt: skip
    assert refused(await ws.signed("openOrders.status", apiKey="short")) == (401, -2014, "API-key format invalid.")
    assert refused(await ws.signed("openOrders.status", apiKey="x" * 64)) == BAD_KEY
    late = time.time_ns() // 1_000_000 - 6_000
    assert refused(await ws.signed("openOrders.status", timestamp=late))[:2] == (400, -1021)
    assert (await ws.signed("openOrders.status", timestamp=late, recvWindow=60_000))["status"] == 200
    assert (await ws.signed("openOrders.status", timestamp=time.time_ns() // 1000))["status"] == 200, "microseconds"
    reader = await trader.new_key(can_trade=False)
    ws.api_key, ws.sign = reader["api_key"], hmac_signer(reader["secret"])
    assert (await ws.signed("openOrders.status"))["status"] == 200
    assert refused(await ws.signed("order.cancel", **params, orderId=1)) == BAD_KEY


async def test_rsa_and_ed25519_keys_sign_too(trader: Trader, ws: WsVenue) -> None:
    for pem, sign in (rsa_key(), ed25519_key()):
        made = await trader.new_key(public_key=pem)
        ws.api_key, ws.sign = made["api_key"], sign
        assert (await ws.signed("account.status"))["status"] == 200
        ws.sign = lambda payload, sign=sign: sign(payload + b"x")  # type: ignore[misc]
        assert refused(await ws.signed("account.status"))[1] == -1022


async def test_a_session_may_be_logged_on(trader: Trader, ws: WsVenue, price: Decimal) -> None:
    status = (await ws.ask("session.status"))["result"]
    assert list(status) == [
        "apiKey", "authorizedSince", "connectedSince", "returnRateLimits", "serverTime", "userDataStream",
    ]  # fmt: skip
    assert (status["apiKey"], status["authorizedSince"], status["userDataStream"]) == (None, None, False)
    assert refused(await ws.signed("session.logon")) == (400, -4056, "HMAC_SHA256 API key is not supported.")
    pem, sign = rsa_key()
    made = await trader.new_key(public_key=pem)
    of_rsa = WsVenue(ws.socket, made["api_key"], sign)
    assert refused(await of_rsa.signed("session.logon")) == (400, -4056, "RSA API key is not supported.")
    pem, sign = ed25519_key()
    key = await trader.new_key(public_key=pem)
    own = WsVenue(ws.socket, key["api_key"], sign)
    logged = await own.ok("session.logon")
    assert (logged["apiKey"], logged["connectedSince"]) == (key["api_key"], status["connectedSince"])
    assert logged["authorizedSince"] >= logged["connectedSince"]
    stamp = {"timestamp": time.time_ns() // 1_000_000}
    assert (await ws.ask("account.status", **stamp))["status"] == 200
    placed = await ws.ask("order.place", **limit(price), **stamp)
    assert placed["status"] == 200
    assert (await ws.ask("order.cancel", symbol=SYMBOL, orderId=placed["result"]["orderId"], **stamp))["status"] == 200
    assert refused(await ws.ask("account.status"))[1] == -1102, "the timestamp stays mandatory"
    assert (await ws.signed("account.status"))["status"] == 200, "another key for one request"
    assert refused(await ws.ask("account.status", **stamp, signature="AAAA"))[1] == -1022
    assert (await ws.ask("userDataStream.subscribe"))["result"] == {"subscriptionId": 0}
    assert refused(await ws.ask("userDataStream.subscribe")) == (
        400, -2035, "User Data Stream subscription already active.",
    )  # fmt: skip
    out = (await ws.ask("session.logout"))["result"]
    assert (out["apiKey"], out["authorizedSince"], out["userDataStream"]) == (None, None, False)
    await ws.event("eventStreamTerminated")
    assert refused(await ws.ask("account.status", **stamp))[1] == -1102
    assert refused(await ws.ask("userDataStream.subscribe")) == BAD_KEY


async def test_a_revoked_key_ends_the_session_and_its_stream(trader: Trader, ws: WsVenue) -> None:
    pem, sign = ed25519_key()
    key = await trader.new_key(public_key=pem)
    own = WsVenue(ws.socket, key["api_key"], sign)
    await own.ok("session.logon")
    assert (await own.ask("userDataStream.subscribe"))["status"] == 200
    async with trader.exchange.client(trader.user) as client:
        assert (await client.call("DELETE", f"/api/auth/keys/{key['api_key']}")).status == 204
    await own.event("eventStreamTerminated")
    await ws.send("account.status", timestamp=time.time_ns() // 1_000_000)
    assert await ws.receive() == {"id": None, "status": 401, "error": {"code": BAD_KEY[1], "msg": BAD_KEY[2]}}
    assert (await ws.ask("session.status"))["result"]["apiKey"] is None


# -- every method -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("ping", {}), ("time", {}), ("exchangeInfo", {"symbols": ["BTCUSDT", "ETHUSDT"]}),
        ("exchangeInfo", {"symbol": SYMBOL, "showPermissionSets": False}), ("executionRules", {"symbol": SYMBOL}),
        ("depth", {"symbol": SYMBOL, "limit": 5}), ("trades.recent", {"symbol": SYMBOL, "limit": 2}),
        ("trades.historical", {"symbol": SYMBOL, "limit": 2}), ("blockTrades.historical", {"symbol": SYMBOL, "fromId": 0}),
        ("trades.aggregate", {"symbol": SYMBOL}), ("klines", {"symbol": SYMBOL, "interval": "1m"}),
        ("uiKlines", {"symbol": SYMBOL, "interval": "1m"}), ("avgPrice", {"symbol": SYMBOL}),
        ("ticker", {"symbol": SYMBOL}), ("ticker", {"symbols": ["BTCUSDT", "ETHUSDT"], "windowSize": "1h"}),
        ("ticker.24hr", {"symbol": SYMBOL}), ("ticker.tradingDay", {"symbol": SYMBOL}),
        ("ticker.price", {"symbols": ["BTCUSDT"]}), ("ticker.book", {}),
    ],
)  # fmt: skip
async def test_public_methods_answer_as_rest_does(
    trader: Trader, ws: WsVenue, price: Decimal, method: str, params: Json
) -> None:
    found = await ws.ask(method, **params)
    assert found["status"] == 200, found
    paths = {
        "trades.recent": "trades", "trades.historical": "historicalTrades",
        "blockTrades.historical": "historicalBlockTrades", "trades.aggregate": "aggTrades", "ticker.book": "ticker/bookTicker",
    }  # fmt: skip
    texts = {
        name: str(value).lower() if isinstance(value, bool) else str(value).replace("'", '"').replace(" ", "")
        for name, value in params.items()
    }
    async with trader.rest() as rest:
        other = (await rest.ask("GET", paths.get(method, method.replace(".", "/")), **texts)).ok()
    assert _shape(found["result"]) == _shape(other)


def _shape(value: Any) -> Any:
    """Names and kinds; of lists what their first member is."""
    if isinstance(value, dict):
        return {name: _shape(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_shape(one) for one in value[:1]]
    return type(value).__name__


async def test_reference_prices_do_not_exist_here(ws: WsVenue) -> None:
    assert refused(await ws.ask("referencePrice", symbol=SYMBOL))[1] == -2043
    assert (await ws.ask("referencePrice.calculation", symbol=SYMBOL))["status"] in (200, 400)


async def test_account_methods(ws: WsVenue, price: Decimal) -> None:
    account = await ws.ok("account.status", omitZeroBalances="true")
    assert [one["asset"] for one in account["balances"]] == ["USDT"]
    for method, params in (
        ("allOrders", {"symbol": SYMBOL}), ("openOrderLists.status", {}), ("allOrderLists", {}),
        ("myTrades", {"symbol": SYMBOL}), ("myPreventedMatches", {"symbol": SYMBOL, "orderId": 1}),
        ("myAllocations", {"symbol": SYMBOL}), ("openOrders.status", {}),
    ):  # fmt: skip
        assert await ws.ok(method, **params) == [], method
    assert [one["interval"] for one in await ws.ok("account.rateLimits.orders")] == ["SECOND", "DAY"]
    assert (await ws.ok("account.commission", symbol=SYMBOL))["symbol"] == SYMBOL
    assert set(await ws.ok("myFilters", symbol=SYMBOL)) == {"exchangeFilters", "symbolFilters", "assetFilters"}
    missing = (400, -2013, "Order list does not exist.")
    assert refused(await ws.signed("orderList.status", orderListId=1)) == missing


async def test_order_methods(ws: WsVenue, price: Decimal) -> None:
    assert await ws.ok("order.test", **limit(price)) == {}
    found = await ws.signed("order.place", **limit(price, newClientOrderId="one"))
    assert [(one["rateLimitType"], one["interval"], one["count"]) for one in found["rateLimits"]][:2] == [
        ("ORDERS", "SECOND", 1), ("ORDERS", "DAY", 1),
    ]  # fmt: skip
    placed = found["result"]
    assert (placed["clientOrderId"], placed["status"]) == ("one", "NEW")
    asked = await ws.ok("order.status", symbol=SYMBOL, origClientOrderId="one")
    assert (asked["orderId"], asked["status"], asked["isWorking"]) == (placed["orderId"], "NEW", True)
    assert [one["orderId"] for one in await ws.ok("openOrders.status", symbol=SYMBOL)] == [placed["orderId"]]
    amended = await ws.ok("order.amend.keepPriority", symbol=SYMBOL, orderId=placed["orderId"], newQty="0.0005")
    assert amended["amendedOrder"]["qty"] == "0.00050000"
    replaced = await ws.ok(
        "order.cancelReplace",
        **limit(price, "0.49"),
        cancelReplaceMode="STOP_ON_FAILURE",
        cancelOrderId=placed["orderId"],
    )
    assert (replaced["cancelResult"], replaced["newOrderResult"]) == ("SUCCESS", "SUCCESS")
    failed = await ws.signed(
        "order.cancelReplace", **limit(price), cancelReplaceMode="ALLOW_FAILURE", cancelOrderId=placed["orderId"]
    )
    assert refused(failed) == (409, -2021, "Order cancel-replace partially failed.")
    assert failed["error"]["data"]["newOrderResult"] == "SUCCESS"
    canceled = await ws.ok("openOrders.cancelAll", symbol=SYMBOL)
    assert {one["status"] for one in canceled} == {"CANCELED"}
    assert len(canceled) == 2


async def test_orders_reach_the_book_in_the_order_they_were_sent(trader: Trader, ws: WsVenue, price: Decimal) -> None:
    """With a key nobody has used yet, whose look-up takes time; answered as they finish."""
    fresh = await trader.new_key()
    first = WsVenue(ws.socket, fresh["api_key"], hmac_signer(fresh["secret"]))
    for k in range(40):
        one = first if k % 2 == 0 else ws
        order = one.stamped(**limit(price, newClientOrderId=f"n{k:02}"))
        await ws.socket.send_json({"id": k, "method": "order.place", "params": order})
    found = [await ws.answer() for _ in range(40)]
    by_id = {one["id"]: one["result"]["orderId"] for one in found}
    assert [by_id[k] for k in range(40)] == sorted(by_id.values())


async def test_weight_is_shared_with_rest(trader: Trader, ws: WsVenue, price: Decimal) -> None:
    await rest_of_window(60, 10)
    await rest_of_window(10, 5)
    async with trader.rest() as rest:
        used = int((await rest.ask("GET", "ping")).headers["x-mbx-used-weight-1m"])
        found = await ws.ask("exchangeInfo", symbol=SYMBOL)
        assert found["rateLimits"][0]["count"] == used + 20
        placed = await ws.signed("order.place", **limit(price))
        assert placed["rateLimits"][-1]["count"] == used + 20, "what places an order costs nothing"
        headers = (await rest.signed("GET", "order", symbol=SYMBOL, orderId=placed["result"]["orderId"])).headers
        assert int(headers["x-mbx-used-weight-1m"]) == used + 24
        told = (await rest.signed("GET", "rateLimit/order")).ok()
        assert [one["count"] for one in told] == [1, 1]


async def test_too_much_weight_is_refused_with_the_time_to_come_again(exchange: Exchange) -> None:
    crowd = await new_trader(exchange, "crowd")
    async with crowd.connect() as ws:
        await rest_of_window(60, 10)
        for _ in range(75):
            await ws.send("ticker.24hr")
        found = [await ws.answer() for _ in range(75)]
        first = await ws.ask("ping")
        assert refused(first)[:2] == (429, -1003)
        data = first["error"]["data"]
        assert data["serverTime"] < data["retryAfter"] <= data["serverTime"] + 60_001
        assert {one["status"] for one in found} <= {200, 429}


# -- user data --------------------------------------------------------------------------------------------------------


async def test_subscriptions(trader: Trader, ws: WsVenue) -> None:
    assert (await ws.ask("session.subscriptions"))["result"] == []
    assert refused(await ws.ask("userDataStream.unsubscribe")) == (
        400, -2036, "User Data Stream subscription not active.",
    )  # fmt: skip
    assert await ws.ok("userDataStream.subscribe.signature") == {"subscriptionId": 0}
    assert refused(await ws.signed("userDataStream.subscribe.signature"))[1] == -2035
    second = await new_trader(trader.exchange, "second")
    other = WsVenue(ws.socket, second.api_key, second.sign)
    assert await other.ok("userDataStream.subscribe.signature") == {"subscriptionId": 1}
    assert (await ws.ask("session.subscriptions"))["result"] == [{"subscriptionId": 0}, {"subscriptionId": 1}]
    assert (await ws.ask("session.status"))["result"]["userDataStream"] is True
    await ws.send("userDataStream.unsubscribe", subscriptionId=0)
    frames = [await ws.receive(), await ws.receive()]
    event = next(one for one in frames if "event" in one)
    assert list(event) == ["subscriptionId", "event"]
    assert (event["subscriptionId"], list(event["event"])) == (0, ["e", "E"])
    assert refused(await ws.ask("userDataStream.unsubscribe", subscriptionId=0))[1] == -2036
    assert (await ws.ask("session.subscriptions"))["result"] == [{"subscriptionId": 1}]
    assert (await ws.ask("userDataStream.unsubscribe"))["result"] == {}
    assert await ws.ok("userDataStream.subscribe.signature") == {"subscriptionId": 2}


async def test_the_life_of_an_order_is_told(trader: Trader, ws: WsVenue, price: Decimal) -> None:
    await ws.ok("userDataStream.subscribe.signature")
    placed = await ws.ok("order.place", **limit(price, newClientOrderId="mine"))
    new = await ws.event("executionReport")
    assert " ".join(new) == REPORT
    assert (new["x"], new["X"], new["c"], new["C"], new["i"]) == ("NEW", "NEW", "mine", "", placed["orderId"])
    assert (new["s"], new["S"], new["o"], new["f"], new["q"]) == (SYMBOL, "BUY", "LIMIT", "GTC", "0.00100000")
    assert (new["w"], new["m"], new["r"], new["t"], new["N"], new["n"], new["g"]) == (
        True, False, "NONE", -1, None, "0", -1,
    )  # fmt: skip
    assert new["T"] == placed["transactTime"] == new["O"] == new["W"]
    position = await ws.event("outboundAccountPosition")
    assert list(position) == ["e", "E", "u", "B"]
    held = {one["a"]: one for one in position["B"]}
    assert [list(one) for one in position["B"]] == [["a", "f", "l"]] * 2
    assert Decimal(held["USDT"]["l"]) == Decimal(new["p"]) * Decimal("0.001")
    await ws.ok("order.amend.keepPriority", symbol=SYMBOL, orderId=placed["orderId"], newQty="0.0005")
    amended = await ws.event("executionReport")
    assert (amended["x"], amended["X"], amended["q"]) == ("REPLACED", "NEW", "0.00050000")
    done = await ws.ok("order.cancel", symbol=SYMBOL, orderId=placed["orderId"], newClientOrderId="away")
    canceled = await ws.event("executionReport")
    assert (canceled["x"], canceled["X"], canceled["c"], canceled["w"]) == ("CANCELED", "CANCELED", "away", False)
    assert canceled["C"] == amended["c"] == done["origClientOrderId"]
    await ws.ok("order.place", **limit(price))
    assert (await ws.event("executionReport"))["x"] == "NEW"
    (gone,) = await ws.ok("openOrders.cancelAll", symbol=SYMBOL)
    canceled = await ws.event("executionReport")
    assert (canceled["x"], canceled["c"], canceled["C"]) == (
        "CANCELED",
        gone["clientOrderId"],
        gone["origClientOrderId"],
    )


async def test_fills_and_expiries_are_told(ws: WsVenue, price: Decimal) -> None:
    await ws.ok("userDataStream.subscribe.signature")
    placed = await ws.ok("order.place", symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.001")
    assert (await ws.event("executionReport"))["x"] == "NEW"
    bought = await ws.event("executionReport", lambda one: one["X"] == "FILLED")
    assert " ".join(bought) == REPORT
    fill = placed["fills"][-1]
    assert (bought["x"], bought["l"], bought["L"], bought["t"]) == (
        "TRADE",
        fill["qty"],
        fill["price"],
        fill["tradeId"],
    )
    assert (bought["n"], bought["N"], bought["z"], bought["m"]) == (
        fill["commission"], "BTC", "0.00100000", False,
    )  # fmt: skip
    assert Decimal(bought["Y"]) == Decimal(fill["price"]) * Decimal(fill["qty"])
    assert bought["Z"] == placed["cummulativeQuoteQty"]
    position = await ws.event("outboundAccountPosition")
    account = await ws.ok("account.status", omitZeroBalances="true")
    own = {one["asset"]: (one["free"], one["locked"]) for one in account["balances"]}
    assert {one["a"]: (one["f"], one["l"]) for one in position["B"]} == own
    ws.events.clear()
    await ws.ok("order.place", **limit(price, timeInForce="IOC"))
    assert (await ws.event("executionReport"))["x"] == "NEW"
    expired = await ws.event("executionReport")
    assert (expired["x"], expired["X"], expired["eR"], expired["w"]) == (
        "EXPIRED", "EXPIRED", "UNFILLED_IOC_QUANTITY_EXPIRED", False,
    )  # fmt: skip
    ws.events.clear()
    await ws.ok("order.place", symbol=SYMBOL, side="BUY", type="MARKET", quoteOrderQty="500")
    assert (await ws.event("executionReport"))["x"] == "NEW"
    last = await ws.event("executionReport", lambda one: one["x"] == "TRADE" and one["X"] == "FILLED")
    assert last["q"] == last["z"]
    assert not [one for one in ws.events if one["event"]["e"] == "executionReport"], "nothing after the last fill"


async def test_the_maker_is_told_of_its_fills(trader: Trader, ws: WsVenue, price: Decimal) -> None:
    """Two accounts on one connection: each event under its own subscription."""
    second = await new_trader(trader.exchange, "taker")
    taker = WsVenue(ws.socket, second.api_key, second.sign)
    taker.events = ws.events
    await ws.ok("userDataStream.subscribe.signature")
    await taker.ok("userDataStream.subscribe.signature")
    await taker.ok("order.place", symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.002")

    async def meet() -> Json:
        """Rest inside the spread and be hit; the market may be quicker."""
        ws.events.clear()
        book = (await ws.ask("ticker.book", symbol=SYMBOL))["result"]
        mine = await ws.ok("order.place", **limit(Decimal(book["askPrice"]) - Decimal("0.01"), "1"))
        await taker.ok("order.place", symbol=SYMBOL, side="SELL", type="MARKET", quantity="0.0004")
        await ws.signed("order.cancel", symbol=SYMBOL, orderId=mine["orderId"])
        trades = [one for one in ws.events if one["event"].get("x") == "TRADE" and one["event"]["i"] == mine["orderId"]]
        return trades[0] if trades and trades[0]["event"]["m"] else {}

    found = await eventually(meet, bool, "a resting order is hit")
    trade = found["event"]
    assert (found["subscriptionId"], trade["m"], trade["w"], trade["x"]) == (0, True, trade["X"] != "FILLED", "TRADE")
    assert trade["X"] in ("PARTIALLY_FILLED", "FILLED")


@pytest.mark.parametrize(
    ("mode", "states"),
    [
        ("EXPIRE_TAKER", [("TRADE_PREVENTION", "EXPIRED_IN_MATCH", "taker")]),
        ("EXPIRE_MAKER", [("TRADE_PREVENTION", "EXPIRED_IN_MATCH", "maker")]),
        ("EXPIRE_BOTH", [("TRADE_PREVENTION", "EXPIRED_IN_MATCH", "taker"), ("TRADE_PREVENTION", "EXPIRED_IN_MATCH", "maker")]),
        ("DECREMENT", [("TRADE_PREVENTION", "EXPIRED_IN_MATCH", "taker"), ("TRADE_PREVENTION", "NEW", "maker")]),
    ],
)  # fmt: skip
async def test_prevented_self_trades_are_told(
    ws: WsVenue, price: Decimal, mode: str, states: list[tuple[str, str, str]]
) -> None:
    await ws.ok("order.place", symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.002")
    await ws.ok("userDataStream.subscribe.signature")

    async def meet() -> list[Json]:
        ws.events.clear()
        book = (await ws.ask("ticker.book", symbol=SYMBOL))["result"]
        top = format(Decimal(book["askPrice"]) - Decimal("0.01"), "f")
        maker = limit(Decimal(top), "1", newClientOrderId="maker")
        resting = await ws.ok("order.place", **maker)
        taker = await ws.ok(
            "order.place", symbol=SYMBOL, side="SELL", type="LIMIT", timeInForce="GTC", quantity="0.0005", price=top,
            newClientOrderId="taker", selfTradePreventionMode=mode,
        )  # fmt: skip
        if matches := taker.get("preventedMatches"):
            await _check_prevented(ws, mode, resting["orderId"], taker, matches)
        await ws.signed("openOrders.cancelAll", symbol=SYMBOL)
        reports = [one["event"] for one in ws.events if one["event"]["e"] == "executionReport"]
        return [one for one in reports if one["x"] == "TRADE_PREVENTION"]

    found = await eventually(meet, bool, "an order meets one of the same account")
    assert sorted((one["x"], one["X"], one["c"]) for one in found) == sorted(states)
    for one in found:
        assert one["v"] > 0
        assert one["U"] not in (0, one["i"])
        assert one["u"] == -1, "no trade group"
        assert (one["Cs"], one["A"], one["B"]) == (SYMBOL, one["pl"], one["pl"])
        assert Decimal(one["pY"]) == Decimal(one["pl"]) * Decimal(one["pL"])
        assert one["V"] == (mode if one["c"] == "taker" else "NONE")


async def _check_prevented(ws: WsVenue, mode: str, maker_id: int, taker: Json, matches: list[Json]) -> None:
    """The answer to the order that took, and what both orders are told as."""
    (one,) = [one for one in matches if one["makerOrderId"] == maker_id]
    assert ("takerPreventedQuantity" in one) == (mode != "EXPIRE_MAKER")
    assert ("makerPreventedQuantity" in one) == (mode != "EXPIRE_TAKER")
    for order_id, costs in ((taker["orderId"], "EXPIRE_MAKER"), (maker_id, "EXPIRE_TAKER")):
        asked = await ws.ok("order.status", symbol=SYMBOL, orderId=order_id)
        assert asked.get("preventedMatchId") == (None if mode == costs else one["preventedMatchId"])


async def test_a_pair_is_told_from_its_placing_to_its_end(ws: WsVenue, price: Decimal) -> None:
    await ws.ok("order.place", symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.002")
    await ws.ok("userDataStream.subscribe.signature")
    above, below = (format((price * Decimal(one)).quantize(Decimal("0.01")), "f") for one in ("1.5", "0.7"))
    found = await ws.signed(
        "orderList.place.oco", symbol=SYMBOL, side="SELL", quantity="0.001", aboveType="LIMIT_MAKER", abovePrice=above,
        belowType="STOP_LOSS", belowStopPrice=below, listClientOrderId="pair",
    )  # fmt: skip
    made = found["result"]
    assert found["rateLimits"][0]["count"] == 2, "two unfilled orders"
    ids = [one["orderId"] for one in made["orders"]]
    events = [await _told_of_lists(ws) for _ in range(3)]
    (listed,) = [one for one in events if one["e"] == "listStatus"]
    assert " ".join(listed) == "e E s g c l L r C T O"
    assert (listed["c"], listed["l"], listed["L"], listed["C"]) == ("OCO", "EXEC_STARTED", "EXECUTING", "pair")
    assert [one["i"] for one in listed["O"]] == ids
    reports = {one["i"]: one for one in events if one["e"] == "executionReport"}
    assert {(one["x"], one["X"], one["g"]) for one in reports.values()} == {("NEW", "NEW", made["orderListId"])}
    stop, far = (reports[one] for one in ids)
    assert (stop["w"], Decimal(stop["P"]), far["w"]) == (False, Decimal(below), True)
    assert "W" not in stop
    gone = await ws.ok("orderList.cancel", symbol=SYMBOL, orderListId=made["orderListId"], newClientOrderId="bye")
    assert gone["listOrderStatus"] == "ALL_DONE"
    events = [await _told_of_lists(ws) for _ in range(3)]
    (listed,) = [one for one in events if one["e"] == "listStatus"]
    assert (listed["l"], listed["L"]) == ("ALL_DONE", "ALL_DONE")
    assert {(one["x"], one["c"]) for one in events if one["e"] == "executionReport"} == {("CANCELED", "bye")}
    asked = await ws.ok("orderList.status", origClientOrderId="pair")
    assert (asked["listOrderStatus"], asked["orders"]) == ("ALL_DONE", made["orders"])
    assert await ws.ok("openOrderLists.status") == []


async def _told_of_lists(ws: WsVenue) -> Json:
    """The next event that is not about balances."""
    while True:
        found = ws.events.pop(0) if ws.events else await ws.receive()
        event: Json = found["event"]
        if event["e"] in ("executionReport", "listStatus"):
            return event


async def test_a_pending_order_is_placed_when_the_working_one_has_filled(ws: WsVenue, price: Decimal) -> None:
    await ws.ok("userDataStream.subscribe.signature")
    share = {one: format((price * Decimal(one)).quantize(Decimal("0.01")), "f") for one in ("1.02", "1.5")}
    made = await ws.ok(
        "orderList.place.oto", symbol=SYMBOL, workingType="LIMIT", workingSide="BUY", workingPrice=share["1.02"],
        workingQuantity="0.001", workingTimeInForce="GTC", pendingType="LIMIT_MAKER", pendingSide="SELL",
        pendingPrice=share["1.5"], pendingQuantity="0.0005",
    )  # fmt: skip
    assert [one["status"] for one in made["orderReports"]] == ["FILLED", "PENDING_NEW"]
    pending = made["orders"][1]["orderId"]
    waits = await ws.event("executionReport", lambda one: one["i"] == pending)
    assert (waits["x"], waits["X"], waits["w"]) == ("NEW", "PENDING_NEW", False)
    works = await ws.event("executionReport", lambda one: one["i"] == pending)
    assert (works["x"], works["X"], works["w"]) == ("NEW", "NEW", True)
    await ws.ok("order.cancel", symbol=SYMBOL, orderId=pending)


async def test_a_list_on_our_own_private_stream(trader: Trader, ws: WsVenue, price: Decimal) -> None:
    """WS-S09, and WS-O06: canceling one of its orders ends them all."""
    far = format((price * Decimal("0.5")).quantize(Decimal("0.01")), "f")
    async with trader.exchange.client(trader.user) as client, client.trading_socket() as socket:
        await socket.ask("subscribe")
        made = await ws.ok(
            "orderList.place.oto", symbol=SYMBOL, workingType="LIMIT", workingSide="BUY", workingPrice=far,
            workingQuantity="0.001", workingTimeInForce="GTC", pendingType="MARKET", pendingSide="SELL",
            pendingQuantity="0.0005", listClientOrderId="mine",
        )  # fmt: skip
        working, pending = (one["orderId"] for one in made["orders"])
        gone = await socket.ask("cancel", orders=[{"order_id": working}])
        assert gone["results"][0]["order"]["order_id"] == working
        last, _ = await client.standing()
        events = await socket.until_seq(last)
    told = [one for one in events if one["exec_type"] == "LIST"]
    heads = [one for one in told if "status" in one]
    assert [(one["client_order_id"], one["contingency"], one["orders"]) for one in heads] == [("mine", "OTO", 2)] * 2
    assert [one["status"] for one in heads] == ["EXECUTING", "ALL_DONE"]
    members = [(one["order_id"], one["is_open"]) for one in told if "is_open" in one]
    assert members == [(working, True), (pending, True), (working, False), (pending, False)]
    assert {one["list_id"] for one in told} == {made["orderListId"]}


async def test_deposits_are_told(trader: Trader, ws: WsVenue) -> None:
    await ws.ok("userDataStream.subscribe.signature")
    async with trader.exchange.client(trader.user) as client:
        await client.post("/api/portfolio/top-up", {"asset": "USDT", "amount": "5"})
    position = await ws.event("outboundAccountPosition")
    assert [one["a"] for one in position["B"]] == ["USDT"]
    update = await ws.event("balanceUpdate")
    assert list(update) == ["e", "E", "a", "d", "T"]
    assert (update["a"], update["d"]) == ("USDT", "5.00000000")


async def test_times_are_told_in_the_connections_unit(trader: Trader, price: Decimal) -> None:
    async with trader.connect("?timeUnit=MICROSECOND") as ws, trader.connect() as other:
        await ws.ok("userDataStream.subscribe.signature")
        await other.ok("userDataStream.subscribe.signature")
        await ws.ok("order.place", **limit(price))
        one, two = await ws.event("executionReport"), await other.event("executionReport")
        assert [one[name] // 1000 for name in "ETOW"] == [two[name] for name in "ETOW"]
        assert {**one, "E": 0, "T": 0, "O": 0, "W": 0} == {**two, "E": 0, "T": 0, "O": 0, "W": 0}


# -- listen keys ------------------------------------------------------------------------------------------------------


async def test_listen_keys_open_user_data_on_the_stream_sockets(trader: Trader, ws: WsVenue, price: Decimal) -> None:
    url = trader.exchange.url
    async with trader.rest() as rest, aiohttp.ClientSession() as session:
        listen_key = (await rest.raw("POST", "userDataStream")).ok()["listenKey"]
        assert (await rest.raw("POST", "userDataStream")).ok()["listenKey"] == listen_key
        async with (
            session.ws_connect(f"{url}/ws/{listen_key}") as bare,
            session.ws_connect(f"{url}/stream?streams={listen_key}/btcusdt@ticker") as combined,
            session.ws_connect(f"{url}/ws") as later,
        ):
            await later.send_json({"method": "SUBSCRIBE", "params": [listen_key], "id": 1})
            assert await later.receive_json(timeout=20) == {"result": None, "id": 1}
            placed = await _place_until_told(ws, price, bare)
            told = await bare_report(bare, placed)
            wrapped = await _wrapped_report(combined, listen_key, placed)
            assert told == wrapped == await bare_report(later, placed)
            assert (await rest.raw("PUT", "userDataStream", f"listenKey={listen_key}")).ok() == {}
            assert (await rest.raw("DELETE", "userDataStream", f"listenKey={listen_key}")).ok() == {}
            await ws.ok("openOrders.cancelAll", symbol=SYMBOL)
            await later.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 2})
            while (found := await later.receive_json(timeout=20)).get("id") != 2:
                assert found.get("x") != "CANCELED", "nothing comes once the key is closed"


async def _place_until_told(ws: WsVenue, price: Decimal, bare: aiohttp.ClientWebSocketResponse) -> int:
    """Streams by listen key open after the handshake, without a word; so place until one is told. The last order's id."""
    task = asyncio.create_task(bare.receive_json(timeout=20))
    while not task.done():
        await ws.ok("order.place", **limit(price))
        await asyncio.wait({task}, timeout=0.2)
    await task
    placed: int = (await ws.ok("order.place", **limit(price)))["orderId"]
    return placed


async def bare_report(socket: aiohttp.ClientWebSocketResponse, order_id: int) -> Json:
    while (found := await socket.receive_json(timeout=20)).get("i") != order_id:
        pass
    told: Json = found
    return told


async def _wrapped_report(socket: aiohttp.ClientWebSocketResponse, listen_key: str, order_id: int) -> Json:
    while (found := await socket.receive_json(timeout=20))["stream"] != listen_key or found["data"].get(
        "i"
    ) != order_id:
        pass
    told: Json = found["data"]
    return told


async def test_a_socket_is_not_closed_by_bad_frames(ws: WsVenue) -> None:
    for _ in range(5):
        await ws.socket.send_str("x" * 100_000)
        assert refused(await ws.receive())[1] == -1135
    try:
        assert (await ws.ask("ping"))["status"] == 200
    except Closed as closed:
        raise AssertionError("the connection was closed") from closed
