"""The venue's REST API over the wire: what is answered, and with which words what is refused."""

import asyncio
import base64
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.system.binance import Sign, Venue, hmac_signer, refusal, rest_of_window
from tests.system.client import eventually
from tests.system.conftest import Exchange, User

SYMBOL = "BTCUSDT"


async def make_key(exchange: Exchange, user: User, **body: Any) -> dict[str, Any]:
    async with exchange.client(user) as client:
        made: dict[str, Any] = await client.post("/api/auth/keys", body, status=201)
        return made


@pytest.fixture
async def venue(exchange: Exchange) -> AsyncIterator[Venue]:
    """A new user with the initial money and an HMAC key; limits of its own."""
    user = exchange.register("rest")
    made = await make_key(exchange, user)
    address = f"203.0.{user.user_id // 250 % 250}.{user.user_id % 250 + 1}"
    async with Venue(exchange.url, made["api_key"], hmac_signer(made["secret"]), address) as one:
        yield one


@pytest.fixture
async def price(venue: Venue) -> Decimal:
    """The last price."""
    reply = await eventually(
        lambda: venue.ask("GET", "ticker/price", symbol=SYMBOL), lambda r: r.status == 200, "there is a price"
    )
    return Decimal(reply.json["price"])


def limit(price: Decimal, share: str = "0.5", **more: Any) -> dict[str, Any]:
    """A LIMIT BUY that rests."""
    text = format((price * Decimal(share)).quantize(Decimal("0.01")), "f")
    return {
        "symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.001", "price": text, **more,
    }  # fmt: skip


# -- general ----------------------------------------------------------------------------------------------------------


async def test_general(exchange: Exchange, venue: Venue) -> None:
    assert (await venue.ask("GET", "ping")).ok() == {}
    told = (await venue.ask("GET", "time")).ok()["serverTime"]
    assert abs(told - time.time() * 1000) < 5000
    micros = (await venue.raw("GET", "time", X_MBX_TIME_UNIT="MICROSECOND")).ok()["serverTime"]
    assert abs(micros - time.time() * 1_000_000) < 5_000_000
    info = (await venue.ask("GET", "exchangeInfo")).ok()
    async with exchange.client() as native:
        symbols = (await native.get("/api/market/symbols"))["symbols"]
    assert [one["symbol"] for one in info["symbols"]] == [one["symbol"] for one in symbols]
    for told_one, own in zip(info["symbols"], symbols, strict=True):
        filters = {one["filterType"]: one for one in told_one["filters"]}
        assert Decimal(filters["PRICE_FILTER"]["tickSize"]) == Decimal(own["tick_size"])
        assert Decimal(filters["LOT_SIZE"]["stepSize"]) == Decimal(own["lot_size"])
        assert {"LIMIT", "LIMIT_MAKER", "MARKET"} <= set(told_one["orderTypes"])
        assert told_one["permissionSets"] == [["SPOT"]]
        assert told_one["isSpotTradingAllowed"] is True
    kinds = {(one["rateLimitType"], one["interval"], one["intervalNum"]) for one in info["rateLimits"]}
    assert ("REQUEST_WEIGHT", "MINUTE", 1) in kinds
    one = (
        await venue.ask(
            "GET",
            "exchangeInfo",
            symbols='["ETHUSDT","BTCUSDT"]',
        )
    ).ok()
    assert [found["symbol"] for found in one["symbols"]] == ["ETHUSDT", "BTCUSDT"]
    hidden = (await venue.ask("GET", "exchangeInfo", symbol=SYMBOL, showPermissionSets="false")).ok()
    assert hidden["symbols"][0]["permissionSets"] == []
    assert (await venue.ask("GET", "exchangeInfo", symbolStatus="HALT")).ok()["symbols"] == []
    assert (await venue.ask("GET", "exchangeInfo", permissions="MARGIN")).ok()["symbols"] == []
    rules = (await venue.ask("GET", "executionRules", symbol=SYMBOL)).ok()
    assert rules == {"symbolRules": [{"symbol": SYMBOL, "rules": []}]}


async def test_weights_are_told(venue: Venue) -> None:
    """Each request's own weight; what places or cancels an order costs nothing when it succeeds."""
    await rest_of_window(60, 10)
    used = 0
    for path, parameters, weight in (
        ("ping", {}, 1),
        ("exchangeInfo", {}, 20),
        ("depth", {"symbol": SYMBOL}, 5),
        ("depth", {"symbol": SYMBOL, "limit": 1000}, 50),
        ("trades", {"symbol": SYMBOL}, 25),
        ("ticker/24hr", {}, 80),
        ("ticker/price", {}, 4),
    ):
        reply = await venue.ask("GET", path, **parameters)
        used += weight
        assert reply.headers["x-mbx-used-weight-1m"] == reply.headers["x-mbx-used-weight"] == str(used), path
    assert (await venue.signed("GET", "openOrders")).headers["x-mbx-used-weight-1m"] == str(used + 80)
    assert (await venue.signed("GET", "openOrders", symbol=SYMBOL)).headers["x-mbx-used-weight-1m"] == str(used + 86)


async def test_other_products_have_nothing(venue: Venue) -> None:
    for path, content in (
        ("/sapi/v1/capital/config/getall", []),
        ("/sapi/v1/margin/allPairs", []),
        ("/fapi/v1/exchangeInfo", {"symbols": []}),
        ("/dapi/v1/exchangeInfo", {"symbols": []}),
    ):
        assert (await venue.ask("GET", path, timestamp=1)).ok() == content
    fees = (await venue.signed("GET", "/sapi/v1/asset/tradeFee", symbol=SYMBOL)).ok()
    assert fees == [{"symbol": SYMBOL, "makerCommission": "0.00100000", "takerCommission": "0.00100000"}]


# -- orders -----------------------------------------------------------------------------------------------------------


async def test_an_order_and_its_three_answers(venue: Venue, price: Decimal) -> None:
    for kind, fields in (
        ("ACK", ["symbol", "orderId", "orderListId", "clientOrderId", "transactTime"]),
        ("RESULT", None),
        ("FULL", None),
    ):
        made = (
            await venue.signed("POST", "order", **limit(price), newOrderRespType=kind, newClientOrderId=f"my-{kind}")
        ).ok()
        assert made["clientOrderId"] == f"my-{kind}"
        assert made["orderListId"] == -1
        if fields is not None:
            assert list(made) == fields
            continue
        assert (made["status"], made["executedQty"], made["origQty"]) == ("NEW", "0.00000000", "0.00100000")
        assert made["selfTradePreventionMode"] == "NONE"
        assert ("fills" in made) == (kind == "FULL")
        asked = (await venue.signed("GET", "order", symbol=SYMBOL, orderId=made["orderId"])).ok()
        assert (asked["status"], asked["price"], asked["clientOrderId"]) == ("NEW", made["price"], f"my-{kind}")
        assert asked["time"] == made["workingTime"] == asked["workingTime"]
    assert len((await venue.signed("GET", "openOrders")).ok()) == 3
    gone = (await venue.signed("DELETE", "openOrders", symbol=SYMBOL)).ok()
    assert {one["status"] for one in gone} == {"CANCELED"}
    assert {one["origClientOrderId"] for one in gone} == {"my-ACK", "my-RESULT", "my-FULL"}
    assert (await venue.signed("GET", "openOrders", symbol=SYMBOL)).ok() == []


async def test_a_fill_is_seen_at_once_everywhere(venue: Venue, price: Decimal) -> None:
    made = (await venue.signed("POST", "order", True, symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.002")).ok()
    assert made["status"] == "FILLED"
    paid = sum(Decimal(one["price"]) * Decimal(one["qty"]) for one in made["fills"])
    assert Decimal(made["cummulativeQuoteQty"]) == paid
    assert {one["commissionAsset"] for one in made["fills"]} == {"BTC"}
    asked = (await venue.signed("GET", "order", symbol=SYMBOL, origClientOrderId=made["clientOrderId"])).ok()
    assert (asked["status"], asked["executedQty"], asked["price"]) == ("FILLED", "0.00200000", "0.00000000")
    trades = (await venue.signed("GET", "myTrades", symbol=SYMBOL)).ok()
    assert [one["id"] for one in trades] == [one["tradeId"] for one in made["fills"]]
    assert sum(Decimal(one["quoteQty"]) for one in trades) == paid
    assert all(one["isBuyer"] and not one["isMaker"] and one["orderId"] == made["orderId"] for one in trades)
    assert [one["orderId"] for one in (await venue.signed("GET", "allOrders", symbol=SYMBOL)).ok()] == [made["orderId"]]
    account = (await venue.signed("GET", "account", omitZeroBalances="true")).ok()
    held = {one["asset"]: Decimal(one["free"]) for one in account["balances"]}
    fees = sum(Decimal(one["commission"]) for one in trades)
    assert held == {"BTC": Decimal("0.002") - fees, "USDT": Decimal(100_000) - paid}
    sold = (await venue.signed("POST", "order", symbol=SYMBOL, side="SELL", type="MARKET", quoteOrderQty="50")).ok()
    assert sold["status"] == "FILLED"
    assert sold["origQuoteOrderQty"] == "50.00000000"
    assert Decimal(sold["cummulativeQuoteQty"]) <= 50
    assert sold["origQty"] == sold["executedQty"]


async def test_history_stays_when_the_newest_are_forgotten(venue: Venue, price: Decimal) -> None:
    """From the read models: by ids, by times, a page at a time."""
    ids = [(await venue.signed("POST", "order", **limit(price))).ok()["orderId"] for _ in range(4)]
    await venue.signed("DELETE", "order", symbol=SYMBOL, orderId=ids[0])

    async def ask(**parameters: Any) -> list[int]:
        found = (await venue.signed("GET", "allOrders", symbol=SYMBOL, **parameters)).ok()
        return [one["orderId"] for one in found]

    assert await ask() == ids
    assert await ask(limit=2) == ids[2:], "the newest"
    assert await ask(orderId=ids[1], limit=2) == ids[1:3], "from an id on"
    now = int(time.time() * 1000)
    assert await ask(startTime=now - 60_000, endTime=now + 1000) == ids
    assert await ask(startTime=(now - 60_000) * 1000) == ids, "microseconds"
    assert await ask(endTime=now - 3_600_000) == []
    await venue.signed("DELETE", "openOrders", symbol=SYMBOL)


async def test_expiry(venue: Venue, price: Decimal) -> None:
    for tif, reason in (("IOC", "UNFILLED_IOC_QUANTITY_EXPIRED"), ("FOK", "UNFILLED_FOK_ORDER_EXPIRED")):
        made = (await venue.signed("POST", "order", **limit(price, timeInForce=tif))).ok()
        assert (made["status"], made["expiryReason"], made["executedQty"]) == ("EXPIRED", reason, "0.00000000")
        asked = (await venue.signed("GET", "order", symbol=SYMBOL, orderId=made["orderId"])).ok()
        assert (asked["status"], asked["expiryReason"]) == ("EXPIRED", reason)


async def test_testing_an_order(venue: Venue, price: Decimal) -> None:
    assert (await venue.signed("POST", "order/test", **limit(price))).ok() == {}
    told = (await venue.signed("POST", "order/test", **limit(price), computeCommissionRates="true")).ok()
    assert told["standardCommissionForOrder"] == {"maker": "0.00100000", "taker": "0.00100000"}
    assert refusal(await venue.signed("POST", "order/test", **limit(price, quantity="0.0000001")))[1] == -1013
    assert (await venue.signed("GET", "openOrders")).ok() == []


async def test_canceling(venue: Venue, price: Decimal) -> None:
    one = (await venue.signed("POST", "order", **limit(price), newClientOrderId="first")).ok()
    two = (await venue.signed("POST", "order", **limit(price), newClientOrderId="second")).ok()
    wrong = await venue.signed("DELETE", "order", symbol=SYMBOL, orderId=one["orderId"], origClientOrderId="second")
    assert refusal(wrong) == (400, -2039, "Client order ID is not correct for this order ID.")
    other = await venue.signed("DELETE", "order", symbol="ETHUSDT", orderId=one["orderId"])
    assert refusal(other) == (400, -2011, "Unknown order sent.")
    partly = await venue.signed(
        "DELETE", "order", symbol=SYMBOL, orderId=one["orderId"], cancelRestrictions="ONLY_PARTIALLY_FILLED"
    )
    assert refusal(partly) == (400, -2011, "Order was not canceled due to cancel restrictions.")
    gone = (
        await venue.signed(
            "DELETE", "order", symbol=SYMBOL, orderId=one["orderId"], origClientOrderId="first",
            newClientOrderId="bye", cancelRestrictions="ONLY_NEW",
        )
    ).ok()  # fmt: skip
    assert (gone["status"], gone["origClientOrderId"], gone["clientOrderId"]) == ("CANCELED", "first", "bye")
    named = (await venue.signed("DELETE", "order", symbol=SYMBOL, origClientOrderId="second")).ok()
    assert named["orderId"] == two["orderId"]
    again = await venue.signed("DELETE", "order", symbol=SYMBOL, orderId=one["orderId"])
    assert refusal(again) == (400, -2011, "Unknown order sent.")
    both = await venue.signed("GET", "order", symbol=SYMBOL, orderId=one["orderId"], origClientOrderId="second")
    assert refusal(both) == (400, -2039, "Client order ID is not correct for this order ID.")


async def test_cancel_replace(venue: Venue, price: Decimal) -> None:
    first = (await venue.signed("POST", "order", **limit(price))).ok()["orderId"]

    async def ask(order_id: int, mode: str, **more: Any) -> Any:
        return await venue.signed(
            "POST", "order/cancelReplace", **limit(price, "0.6") | more, cancelReplaceMode=mode, cancelOrderId=order_id
        )

    done = (await ask(first, "STOP_ON_FAILURE")).ok()
    assert (done["cancelResult"], done["newOrderResult"]) == ("SUCCESS", "SUCCESS")
    assert done["cancelResponse"]["orderId"] == first
    second = done["newOrderResponse"]["orderId"]
    stopped = await ask(first, "STOP_ON_FAILURE")
    assert refusal(stopped) == (400, -2022, "Order cancel-replace failed.")
    assert stopped.json["data"] == {
        "cancelResult": "FAILURE", "newOrderResult": "NOT_ATTEMPTED",
        "cancelResponse": {"code": -2011, "msg": "Unknown order sent."}, "newOrderResponse": None,
    }  # fmt: skip
    allowed = await ask(first, "ALLOW_FAILURE")
    assert refusal(allowed) == (409, -2021, "Order cancel-replace partially failed.")
    third = allowed.json["data"]["newOrderResponse"]["orderId"]
    poor = await ask(second, "STOP_ON_FAILURE", quantity="10")
    assert refusal(poor) == (409, -2021, "Order cancel-replace partially failed.")
    assert poor.json["data"]["cancelResult"] == "SUCCESS"
    assert poor.json["data"]["newOrderResponse"] == {
        "code": -2010, "msg": "Account has insufficient balance for requested action.",
    }  # fmt: skip
    neither = await ask(first, "ALLOW_FAILURE", quantity="10")
    assert refusal(neither) == (400, -2022, "Order cancel-replace failed.")
    assert neither.json["data"]["newOrderResult"] == "FAILURE"
    filtered = await ask(third, "STOP_ON_FAILURE", quantity="0.0000001")
    assert refusal(filtered) == (400, -1013, "Filter failure: LOT_SIZE")
    open_now = (await venue.signed("GET", "openOrders", symbol=SYMBOL)).ok()
    assert [one["orderId"] for one in open_now] == [third], "a bad order does not cancel the old one"


async def test_amending(venue: Venue, price: Decimal) -> None:
    order_id = (await venue.signed("POST", "order", **limit(price, quantity="0.003"))).ok()["orderId"]
    done = (await venue.signed("PUT", "order/amend/keepPriority", symbol=SYMBOL, orderId=order_id, newQty="0.002")).ok()
    assert (done["amendedOrder"]["qty"], done["amendedOrder"]["orderId"]) == ("0.00200000", order_id)
    for quantity, text in (
        ("0.002", "The requested action would change no state; rejecting."),
        ("0.003", "Order amend (quantity increase) is not supported."),
    ):
        reply = await venue.signed("PUT", "order/amend/keepPriority", symbol=SYMBOL, orderId=order_id, newQty=quantity)
        assert refusal(reply) == (400, -2038, text)
    unknown = await venue.signed("PUT", "order/amend/keepPriority", symbol=SYMBOL, orderId=1, newQty="0.002")
    assert refusal(unknown) == (400, -2013, "Order does not exist.")
    (change,) = (await venue.signed("GET", "order/amendments", symbol=SYMBOL, orderId=order_id)).ok()
    assert (change["origQty"], change["newQty"]) == ("0.00300000", "0.00200000")
    assert change["executionId"] == done["executionId"]


async def test_account(exchange: Exchange, venue: Venue) -> None:
    told = (await venue.signed("GET", "account")).ok()
    assert (told["canTrade"], told["accountType"], told["permissions"]) == (True, "SPOT", ["SPOT"])
    balances = {one["asset"]: one["free"] for one in told["balances"]}
    assert balances["USDT"] == "100000.00000000"
    assert balances["BTC"] == "0.00000000", "all assets are told"
    rates = (await venue.signed("GET", "account/commission", symbol=SYMBOL)).ok()
    assert rates["standardCommission"]["taker"] == told["commissionRates"]["taker"] == "0.00100000"
    filters = (await venue.signed("GET", "myFilters", symbol=SYMBOL)).ok()
    assert {"MAX_NUM_ORDERS"} <= {one["filterType"] for one in filters["symbolFilters"]}
    for path, parameters in (
        ("myAllocations", {"symbol": SYMBOL}),
        ("myPreventedMatches", {"symbol": SYMBOL, "orderId": 1}),
        ("openOrderList", {}),
        ("allOrderList", {}),
    ):
        assert (await venue.signed("GET", path, **parameters)).ok() == []


async def test_listen_keys(venue: Venue) -> None:
    made = (await venue.ask("POST", "userDataStream")).ok()["listenKey"]
    assert (await venue.ask("POST", "userDataStream")).ok()["listenKey"] == made
    assert (await venue.ask("PUT", "userDataStream", listenKey=made)).ok() == {}
    assert (await venue.ask("DELETE", "userDataStream", listenKey=made)).ok() == {}
    for method in ("PUT", "DELETE"):
        reply = await venue.ask(method, "userDataStream", listenKey=made)
        assert refusal(reply) == (400, -1125, "This listenKey does not exist.")


# -- refusals ---------------------------------------------------------------------------------------------------------

DECIMAL = "^([0-9]{1,20})(\\.[0-9]{1,20})?$"
MISSING = "Mandatory parameter '{}' was not sent, was empty/null, or malformed."
BOTH = "Param '{}' or '{}' must be sent, but both were empty/null!"

REFUSED_ORDERS: list[tuple[dict[str, Any], int, str]] = [
    ({"symbol": None}, -1102, MISSING.format("symbol")),
    ({"price": None}, -1102, MISSING.format("price")),
    ({"symbol": "NOPEUSDT"}, -1121, "Invalid symbol."),
    ({"symbol": "btcusdt"}, -1100,
     "Illegal characters found in parameter 'symbol'; legal range is '^[A-Z0-9-_.]{1,20}$'."),
    ({"quantity": "-1"}, -1100, f"Illegal characters found in parameter 'quantity'; legal range is '{DECIMAL}'."),
    ({"quantity": "99999999999999999999"}, -1108, "Parameter 'quantity' overflowed."),
    ({"quantity": ""}, -1105, "Parameter 'quantity' was empty."),
    ({"stopPrice": "1"}, -1106, "Parameter 'stopPrice' sent when not required."),
    ({"quantity": "0.000000001"}, -1111, "Parameter 'quantity' has too much precision."),
    ({"timeInForce": "GTX"}, -1115, "Invalid timeInForce."),
    ({"type": "LIMITED"}, -1116, "Invalid orderType."),
    ({"side": "buy"}, -1117, "Invalid side."),
    ({"newClientOrderId": ""}, -1118, "New client order ID was empty."),
    ({"newOrderRespType": "X"}, -1130, "Data sent for parameter 'newOrderRespType' is not valid."),
    ({"strategyType": "1"}, -1134, "strategyType was less than 1000000."),
    ({"colour": "blue"}, -1104, "Not all sent parameters were read; read '8' parameter(s) but was sent '9'."),
    ({"pegPriceType": "BEST"}, -1210, "Invalid pegPriceType."),
    ({"pegPriceType": "PRIMARY_PEG", "pegOffsetType": "TICKS"}, -1211, "Invalid pegOffsetType."),
    ({"pegPriceType": "PRIMARY_PEG", "pegOffsetValue": "1"}, -1128,
     "Fields [pegOffsetType, pegOffsetValue] must be sent together or omitted entirely."),
    ({"icebergQty": "0.0001", "timeInForce": "IOC"}, -1014, "Unsupported order combination."),
    ({"type": "STOP_LOSS", "price": None, "timeInForce": None}, -1102, BOTH.format("stopPrice", "trailingDelta")),
    ({"type": "STOP_LOSS_LIMIT", "stopPrice": "1000000", "trailingDelta": "5"}, -1013, "Filter failure: TRAILING_DELTA"),
    ({"type": "MARKET", "price": None, "timeInForce": None, "pegPriceType": "MARKET_PEG"}, -2010,
     "This order type may not use pegged price."),
    ({"type": "LIMIT_MAKER", "timeInForce": None, "pegPriceType": "MARKET_PEG"}, -2010,
     "This price peg cannot be used with this order type."),
    ({"pegPriceType": "PRIMARY_PEG", "pegOffsetType": "PRICE_LEVEL", "pegOffsetValue": "101"}, -1102,
     "'pegOffsetValue' contains unexpected value. Cannot be greater than 100."),
    ({"price": None, "pegPriceType": "PRIMARY_PEG", "timeInForce": "IOC"}, -1014, "Unsupported order combination."),
    ({"icebergQty": "0.002"}, -2010, "IcebergQty exceeds QTY."),
    ({"icebergQty": "0.001"}, -2010, "IcebergQty exceeds QTY."),
    ({"quantity": "1", "icebergQty": "0.00001"}, -1013, "Filter failure: ICEBERG_PARTS"),
    ({"quantity": "0"}, -1013, "Invalid quantity."),
    ({"price": "0"}, -1013, "Invalid price."),
    ({"price": "50000.001"}, -1013, "Filter failure: PRICE_FILTER"),
    ({"quantity": "0.0000011"}, -1013, "Filter failure: LOT_SIZE"),
    ({"quantity": "0.00001"}, -1013, "Filter failure: NOTIONAL"),
    ({"price": "1.00", "quantity": "100"}, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
    ({"quantity": "50"}, -2010, "Account has insufficient balance for requested action."),
]  # fmt: skip


@pytest.mark.parametrize(("change", "code", "text"), REFUSED_ORDERS)
async def test_refused_orders(venue: Venue, price: Decimal, change: dict[str, Any], code: int, text: str) -> None:
    reply = await venue.signed("POST", "order", **limit(price) | change)
    assert refusal(reply) == (400, code, text)
    assert (await venue.signed("GET", "openOrders")).ok() == []


async def test_refusals_by_the_book_and_the_account(exchange: Exchange, venue: Venue, price: Decimal) -> None:
    taking = {
        "symbol": SYMBOL, "side": "BUY", "type": "LIMIT_MAKER", "quantity": "0.001",
        "price": format((price * 2).quantize(Decimal("0.01")), "f"),
    }  # fmt: skip
    reply = await venue.signed("POST", "order", **taking)
    assert refusal(reply) == (400, -2010, "Order would immediately match and take.")
    (await venue.signed("POST", "order", **limit(price), newClientOrderId="same")).ok()
    reply = await venue.signed("POST", "order", **limit(price), newClientOrderId="same")
    assert refusal(reply) == (400, -2010, "Duplicate order sent.")
    reply = await venue.signed("POST", "order", symbol=SYMBOL, side="SELL", type="MARKET", quantity="1")
    assert refusal(reply) == (400, -2010, "Account has insufficient balance for requested action.")
    reply = await venue.signed("POST", "order", symbol=SYMBOL, side="SELL", type="MARKET", quantity="90.1")
    assert refusal(reply) == (400, -1013, "Filter failure: MARKET_LOT_SIZE")


def priced(price: Decimal, share: str) -> str:
    return format((price * Decimal(share)).quantize(Decimal("0.01")), "f")


async def test_stop_orders(venue: Venue, price: Decimal) -> None:
    """They wait, are told so everywhere, and are refused where the venue refuses them."""
    await venue.signed("POST", "order", symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.01")
    stop = {"symbol": SYMBOL, "side": "SELL", "type": "STOP_LOSS", "quantity": "0.001"}
    made = (await venue.signed("POST", "order", **stop, stopPrice=priced(price, "0.7"), newOrderRespType="RESULT")).ok()
    assert (made["status"], made["workingTime"], Decimal(made["stopPrice"])) == (
        "NEW", -1, Decimal(priced(price, "0.7")),
    )  # fmt: skip
    asked = (await venue.signed("GET", "order", symbol=SYMBOL, orderId=made["orderId"])).ok()
    assert (asked["isWorking"], asked["workingTime"], asked["stopPrice"]) == (False, -1, made["stopPrice"])
    reply = await venue.signed("POST", "order", **stop, stopPrice=priced(price, "1.3"))
    assert refusal(reply) == (400, -2010, "Order would trigger immediately.")
    trailing = (await venue.signed("POST", "order", **stop, trailingDelta="500", newOrderRespType="RESULT")).ok()
    assert trailing["trailingDelta"] == 500
    for _ in range(3):
        (await venue.signed("POST", "order", **stop, stopPrice=priced(price, "0.7"))).ok()
    reply = await venue.signed("POST", "order", **stop, stopPrice=priced(price, "0.7"))
    assert refusal(reply) == (400, -1013, "Filter failure: MAX_NUM_ALGO_ORDERS")
    gone = (await venue.signed("DELETE", "order", symbol=SYMBOL, orderId=made["orderId"])).ok()
    assert (gone["status"], gone["stopPrice"]) == ("CANCELED", made["stopPrice"])
    assert len((await venue.signed("DELETE", "openOrders", symbol=SYMBOL)).ok()) == 4
    account = (await venue.signed("GET", "account", omitZeroBalances="true")).ok()
    assert {one["locked"] for one in account["balances"]} == {"0.00000000"}


async def test_icebergs_and_pegged_orders(venue: Venue, price: Decimal) -> None:
    made = (await venue.signed("POST", "order", **limit(price, icebergQty="0.0001"))).ok()
    assert made["icebergQty"] == "0.00010000"
    unpriced = {name: text for name, text in limit(price).items() if name != "price"}
    pegged = (await venue.signed("POST", "order", **unpriced, pegPriceType="PRIMARY_PEG")).ok()
    assert pegged["price"] == "0.00000000"
    assert Decimal(pegged["peggedPrice"]) > 0
    asked = (await venue.signed("GET", "order", symbol=SYMBOL, orderId=pegged["orderId"])).ok()
    assert (asked["pegPriceType"], asked["peggedPrice"]) == ("PRIMARY_PEG", pegged["peggedPrice"])
    await venue.signed("DELETE", "openOrders", symbol=SYMBOL)


async def test_filters_that_count(venue: Venue, price: Decimal) -> None:
    iceberg = limit(price, "0.9", icebergQty="0.0005", newOrderRespType="ACK")
    for _ in range(10):
        (await venue.signed("POST", "order", **iceberg)).ok()
    reply = await venue.signed("POST", "order", **iceberg)
    assert refusal(reply) == (400, -1013, "Filter failure: MAX_NUM_ICEBERG_ORDERS")
    order_id = (await venue.signed("POST", "order", **limit(price, "0.9", quantity="0.005"))).ok()["orderId"]
    for k in range(10):
        amend = {"symbol": SYMBOL, "orderId": order_id, "newQty": f"0.00{49 - k}"}
        (await venue.signed("PUT", "order/amend/keepPriority", **amend)).ok()
    reply = await venue.signed("PUT", "order/amend/keepPriority", symbol=SYMBOL, orderId=order_id, newQty="0.0031")
    assert refusal(reply) == (400, -2038, "Filter failure: MAX_NUM_ORDER_AMENDS")
    (await venue.signed("DELETE", "openOrders", symbol=SYMBOL)).ok()
    oto = {
        "symbol": SYMBOL, "workingType": "LIMIT", "workingSide": "BUY", "workingPrice": priced(price, "0.9"),
        "workingTimeInForce": "GTC", "workingQuantity": "0.001", "pendingType": "LIMIT_MAKER", "pendingSide": "SELL",
        "pendingPrice": priced(price, "1.5"), "pendingQuantity": "0.0005",
    }  # fmt: skip
    for _ in range(20):
        (await venue.signed("POST", "orderList/oto", **oto)).ok()
    reply = await venue.signed("POST", "orderList/oto", **oto)
    assert refusal(reply) == (400, -1013, "Filter failure: MAX_NUM_ORDER_LISTS")
    (await venue.signed("DELETE", "openOrders", symbol=SYMBOL)).ok()


async def test_refusals_that_only_special_orders_meet(venue: Venue, price: Decimal) -> None:
    unpriced = {name: text for name, text in limit(price).items() if name != "price"}
    deep = {"pegPriceType": "PRIMARY_PEG", "pegOffsetType": "PRICE_LEVEL", "pegOffsetValue": "100"}
    reply = await venue.signed("POST", "order", **unpriced, **deep)
    assert refusal(reply) == (400, -2010, "Order book liquidity is too low for this pegged order.")
    oto = {
        "symbol": SYMBOL, "workingType": "STOP_LOSS", "workingSide": "BUY", "workingQuantity": "0.001",
        "pendingType": "MARKET", "pendingSide": "SELL", "pendingQuantity": "0.0005",
    }  # fmt: skip
    reply = await venue.signed("POST", "orderList/oto", **oto)
    assert refusal(reply) == (400, -2010, "Unsupported order combination")
    reply = await venue.ask("GET", "depth", symbol=SYMBOL, **{f"x{k}": 1 for k in range(600)})
    assert refusal(reply) == (400, -1100, "Illegal characters found in a parameter.")


async def test_renamed_orders_are_found_by_their_new_name(venue: Venue, price: Decimal) -> None:
    made = (await venue.signed("POST", "order", **limit(price), newClientOrderId="older")).ok()
    amend = {"symbol": SYMBOL, "orderId": made["orderId"], "newQty": "0.0009", "newClientOrderId": "newer"}
    (await venue.signed("PUT", "order/amend/keepPriority", **amend)).ok()
    for _ in range(2):
        gone = await venue.signed("GET", "order", symbol=SYMBOL, origClientOrderId="older")
        assert refusal(gone) == (400, -2013, "Order does not exist.")
        asked = (await venue.signed("GET", "order", symbol=SYMBOL, origClientOrderId="newer")).ok()
        assert asked["orderId"] == made["orderId"]
        await venue.signed("DELETE", "order", symbol=SYMBOL, orderId=made["orderId"])


async def test_order_lists(venue: Venue, price: Decimal) -> None:
    await venue.signed("POST", "order", symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.01")
    oco = {
        "symbol": SYMBOL, "side": "SELL", "quantity": "0.001", "aboveType": "LIMIT_MAKER",
        "abovePrice": priced(price, "1.5"), "belowType": "STOP_LOSS", "belowStopPrice": priced(price, "0.7"),
        "listClientOrderId": "pair",
    }  # fmt: skip
    made = (await venue.signed("POST", "orderList/oco", **oco)).ok()
    assert (made["listStatusType"], made["listOrderStatus"], made["listClientOrderId"]) == (
        "EXEC_STARTED", "EXECUTING", "pair",
    )  # fmt: skip
    assert [one["type"] for one in made["orderReports"]] == ["STOP_LOSS", "LIMIT_MAKER"]
    reply = await venue.signed("POST", "orderList/oco", **oco)
    assert refusal(reply) == (400, -2010, "Duplicate order sent.")
    asked = (await venue.signed("GET", "orderList", orderListId=made["orderListId"])).ok()
    assert asked["orders"] == made["orders"]
    assert [one["orderListId"] for one in (await venue.signed("GET", "openOrderList")).ok()] == [made["orderListId"]]
    wrong = await venue.signed("DELETE", "orderList", symbol="ETHUSDT", orderListId=made["orderListId"])
    assert refusal(wrong) == (400, -2011, "Unknown order sent.")
    gone = (
        await venue.signed("DELETE", "orderList", symbol=SYMBOL, listClientOrderId="pair", newClientOrderId="bye")
    ).ok()
    assert (gone["listStatusType"], gone["listOrderStatus"]) == ("ALL_DONE", "ALL_DONE")
    assert [(one["orderId"], one["status"], one["clientOrderId"]) for one in gone["orderReports"]] == [
        (one["orderId"], "CANCELED", "bye") for one in made["orders"]
    ]
    again = await venue.signed("DELETE", "orderList", symbol=SYMBOL, listClientOrderId="pair")
    assert refusal(again) == (400, -2011, "Unknown order sent.")
    one_leg = (await venue.signed("POST", "orderList/oco", **oco)).ok()
    leg = one_leg["orders"][0]["orderId"]
    assert (await venue.signed("DELETE", "order", symbol=SYMBOL, orderId=leg)).ok()["orderId"] == leg
    assert (await venue.signed("GET", "openOrders", symbol=SYMBOL)).ok() == [], "the other one went with it"
    both = [made["orderListId"], one_leg["orderListId"]]
    await eventually(
        lambda: venue.signed("GET", "allOrderList"),
        lambda reply: [(one["orderListId"], one["listOrderStatus"]) for one in reply.ok()]
        == [(one, "ALL_DONE") for one in both],
        "both lists are in history",
    )  # fmt: skip


async def test_lists_whose_orders_trigger_others(venue: Venue, price: Decimal) -> None:
    otoco = {
        "symbol": SYMBOL, "workingType": "LIMIT", "workingSide": "BUY", "workingPrice": priced(price, "0.5"),
        "workingTimeInForce": "GTC", "workingQuantity": "0.001", "pendingSide": "SELL", "pendingQuantity": "0.0005",
        "pendingAboveType": "LIMIT_MAKER", "pendingAbovePrice": priced(price, "1.5"), "pendingBelowType": "STOP_LOSS",
        "pendingBelowStopPrice": priced(price, "0.4"),
    }  # fmt: skip
    made = (await venue.signed("POST", "orderList/otoco", **otoco)).ok()
    assert [one["status"] for one in made["orderReports"]] == ["NEW", "PENDING_NEW", "PENDING_NEW"]
    assert {one["orderListId"] for one in (await venue.signed("GET", "openOrders", symbol=SYMBOL)).ok()} == {
        made["orderListId"]
    }
    (gone,) = (await venue.signed("DELETE", "openOrders", symbol=SYMBOL)).ok()
    assert (gone["orderListId"], gone["listOrderStatus"]) == (made["orderListId"], "ALL_DONE")
    opo = {name: text for name, text in otoco.items() if not name.startswith("pending")} | {
        "pendingType": "LIMIT_MAKER", "pendingSide": "SELL", "pendingPrice": priced(price, "1.5"),
    }  # fmt: skip
    made = (await venue.signed("POST", "orderList/opo", **opo)).ok()
    pending = made["orders"][1]["orderId"]
    reply = await venue.signed("PUT", "order/amend/keepPriority", symbol=SYMBOL, orderId=pending, newQty="0.0001")
    assert refusal(reply) == (400, -2038, "Order amend (pending OPO order) is not supported.")
    (await venue.signed("DELETE", "orderList", symbol=SYMBOL, orderListId=made["orderListId"])).ok()
    killed = opo | {"workingTimeInForce": "FOK"}
    made = (await venue.signed("POST", "orderList/opo", **killed)).ok()
    assert [one["expiryReason"] for one in made["orderReports"]] == [
        "UNFILLED_FOK_ORDER_EXPIRED", "OTO_PHASE_ONE_EXPIRED",
    ]  # fmt: skip
    assert made["listOrderStatus"] == "ALL_DONE"


async def test_why_orders_of_lists_expire(venue: Venue, price: Decimal) -> None:
    async def ended(order_id: int) -> str | None:
        asked = (await venue.signed("GET", "order", symbol=SYMBOL, orderId=order_id)).ok()
        reason: str | None = asked.get("expiryReason")
        return reason

    oto = {
        "symbol": SYMBOL, "workingType": "LIMIT", "workingSide": "BUY", "workingPrice": priced(price, "1.02"),
        "workingTimeInForce": "GTC", "workingQuantity": "0.002", "pendingType": "LIMIT_MAKER", "pendingSide": "SELL",
        "pendingPrice": priced(price, "0.95"), "pendingQuantity": "0.001",
    }  # fmt: skip
    made = (await venue.signed("POST", "orderList/oto", **oto)).ok()
    refused = made["orders"][1]["orderId"]
    assert (
        await eventually(lambda: ended(refused), bool, "its price is on the wrong side when its turn comes")
        == "REJECTED"
    )

    async def triggered() -> str | None:
        book = (await venue.ask("GET", "ticker/bookTicker", symbol=SYMBOL)).ok()
        pair = {
            "symbol": SYMBOL, "side": "BUY", "quantity": "0.001", "belowType": "LIMIT_MAKER",
            "belowPrice": priced(price, "0.5"), "aboveType": "STOP_LOSS",
            "aboveStopPrice": format(Decimal(book["askPrice"]) + Decimal("0.01"), "f"),
        }  # fmt: skip
        reply = await venue.signed("POST", "orderList/oco", **pair)
        if reply.status != 200:
            return None  # the price has just reached it
        await venue.signed("POST", "order", symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.05")
        stop, far = (one["orderId"] for one in reply.json["orders"])
        reason = await ended(far)
        await venue.signed("DELETE", "openOrders", symbol=SYMBOL)
        await venue.signed("POST", "order", symbol=SYMBOL, side="SELL", type="MARKET", quantity="0.05")
        assert stop != far
        return reason

    assert await eventually(triggered, bool, "the stop order triggers") == "OCO_TRIGGER"


async def test_pairs_refused_by_their_prices(venue: Venue, price: Decimal) -> None:
    await venue.signed("POST", "order", symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.01")
    oco = {
        "symbol": SYMBOL, "side": "SELL", "quantity": "0.001", "aboveType": "TAKE_PROFIT_LIMIT",
        "aboveStopPrice": priced(price, "1.3"), "abovePrice": priced(price, "0.9"), "aboveTimeInForce": "GTC",
        "belowType": "STOP_LOSS", "belowStopPrice": priced(price, "0.7"),
    }  # fmt: skip
    reply = await venue.signed("POST", "orderList/oco", **oco)
    assert refusal(reply) == (400, -2010, "The relationship of the prices for the orders is not correct.")
    taking = {name: text for name, text in oco.items() if name not in ("aboveStopPrice", "aboveTimeInForce")}
    reply = await venue.signed("POST", "orderList/oco", **taking | {"aboveType": "LIMIT_MAKER"})
    assert refusal(reply) == (400, -2010, "The relationship of the prices for the orders is not correct.")
    triggering = oco | {"abovePrice": priced(price, "1.4"), "belowStopPrice": priced(price, "1.1")}
    reply = await venue.signed("POST", "orderList/oco", **triggering)
    assert refusal(reply) == (400, -2010, "The relationship of the prices for the orders is not correct.")
    poor = oco | {"abovePrice": priced(price, "1.4"), "quantity": "1"}
    reply = await venue.signed("POST", "orderList/oco", **poor)
    assert refusal(reply) == (400, -2010, "Account has insufficient balance for requested action.")
    assert (await venue.signed("GET", "openOrderList")).ok() == []


async def test_a_paused_account(exchange: Exchange, new_user: User) -> None:
    made = await make_key(exchange, new_user)
    async with (
        exchange.client(new_user) as client,
        Venue(exchange.url, made["api_key"], hmac_signer(made["secret"])) as venue,
    ):
        await client.post("/api/v1/trading/control", {"action": "pause"})
        reply = await venue.signed("POST", "order", **limit(Decimal(50_000), "1"))
        assert refusal(reply) == (400, -2010, "This account may not place or cancel orders.")
        assert (await venue.signed("GET", "account")).ok()["canTrade"] is False


REFUSED: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("GET", "order", {"symbol": SYMBOL}, -1102, BOTH.format("origClientOrderId", "orderId")),
    ("GET", "order", {"symbol": SYMBOL, "orderId": 1}, -2013, "Order does not exist."),
    ("GET", "order", {"symbol": SYMBOL, "origClientOrderId": "nobody"}, -2013, "Order does not exist."),
    ("GET", "order", {"symbol": SYMBOL, "origClientOrderId": ""}, -1119, "Original client order ID was empty."),
    ("GET", "order", {"symbol": SYMBOL, "orderId": "x"}, -1100,
     "Illegal characters found in parameter 'orderId'; legal range is '^[0-9]{1,20}$'."),
    ("DELETE", "order", {"symbol": SYMBOL}, -1102, BOTH.format("origClientOrderId", "orderId")),
    ("DELETE", "order", {"symbol": SYMBOL, "orderId": 1}, -2011, "Unknown order sent."),
    ("DELETE", "order", {"symbol": SYMBOL, "orderId": 1, "cancelRestrictions": "ONLY_OLD"}, -1145,
     "Invalid cancelRestrictions"),
    ("DELETE", "openOrders", {"symbol": SYMBOL}, -2011, "Unknown order sent."),
    ("DELETE", "orderList", {"symbol": SYMBOL}, -1102, BOTH.format("orderListId", "listClientOrderId")),
    ("DELETE", "orderList", {"symbol": SYMBOL, "orderListId": 1}, -2011, "Unknown order sent."),
    ("GET", "orderList", {}, -1102, BOTH.format("orderListId", "origClientOrderId")),
    ("GET", "orderList", {"orderListId": 1}, -2013, "Order list does not exist."),
    ("GET", "allOrderList", {"fromId": 1, "startTime": 1}, -1106, "Parameter 'startTime' sent when not required."),
    ("GET", "allOrders", {"symbol": SYMBOL, "startTime": 1, "endTime": 86_400_002}, -1127,
     "More than 24 hours between startTime and endTime."),
    ("GET", "allOrders", {"symbol": SYMBOL, "limit": 0}, -1130, "Data sent for parameter 'limit' is not valid."),
    ("GET", "myTrades", {"symbol": SYMBOL, "fromId": 1, "startTime": 1}, -1128,
     "Combination of optional parameters invalid."),
    ("GET", "myPreventedMatches", {"symbol": SYMBOL}, -1128, "Combination of optional parameters invalid."),
    ("GET", "account", {"omitZeroBalances": "yes"}, -1100,
     "Illegal characters found in parameter 'omitZeroBalances'; legal range is '^(true|false)$'."),
    ("POST", "sor/order", {"symbol": SYMBOL, "side": "BUY", "type": "MARKET", "quantity": "1"}, -2010,
     "SOR is not supported for this symbol."),
    ("POST", "order/cancelReplace",
     {"symbol": SYMBOL, "side": "BUY", "type": "MARKET", "quantity": "1", "cancelReplaceMode": "STOP_ON_FAILURE"},
     -1102, BOTH.format("cancelOrigClientOrderId", "cancelOrderId")),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "parameters", "code", "text"), REFUSED)
async def test_refused_questions(
    venue: Venue, method: str, path: str, parameters: dict[str, Any], code: int, text: str
) -> None:
    assert refusal(await venue.signed(method, path, **parameters)) == (400, code, text)


PUBLIC: list[tuple[str, dict[str, Any], int, str]] = [
    ("ping", {"x": 1}, -1101, "Too many parameters; expected '0' and received '1'."),
    ("depth", {}, -1102, MISSING.format("symbol")),
    ("depth", {"symbol": "NOPEUSDT"}, -1121, "Invalid symbol."),
    ("depth", {"symbol": SYMBOL, "limit": "x"}, -1100,
     "Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'."),
    ("depth", {"symbol": SYMBOL, "x": 1}, -1104, "Not all sent parameters were read; read '1' parameter(s) but was sent '2'."),
    ("depth", {"symbol": SYMBOL, "symbolStatus": "HALT"}, -1220,
     "The symbol's status does not match the requested symbolStatus."),
    ("ticker/24hr", {"symbol": SYMBOL, "type": "TINY"}, -1139, "Invalid ticker type."),
    ("klines", {"symbol": SYMBOL, "interval": "7m"}, -1120, "Invalid interval."),
    ("exchangeInfo", {"symbol": SYMBOL, "symbols": '["BTCUSDT"]'}, -1128, "Combination of optional parameters invalid."),
    ("exchangeInfo", {"symbolStatus": "OPEN"}, -1122, "Invalid symbolStatus."),
    ("exchangeInfo", {"symbols": '["BTCUSDT","BTCUSDT"]'}, -1151, "Symbol is present multiple times in the list."),
    ("exchangeInfo", {"symbols": "BTCUSDT"}, -1100,
     "Illegal characters found in parameter 'symbols'; legal range is "
     "'^\\[(\"[A-Z0-9-_.]{1,20}\"(,\"[A-Z0-9-_.]{1,20}\"){0,}){0,1}\\]$'."),
    ("aggTrades", {"symbol": SYMBOL, "fromId": 1, "startTime": 1}, -1128, "Combination of optional parameters invalid."),
    ("referencePrice", {"symbol": SYMBOL}, -2043, "This symbol doesn't have a reference price."),
]  # fmt: skip


@pytest.mark.parametrize(("path", "parameters", "code", "text"), PUBLIC)
async def test_refused_public_questions(
    venue: Venue, path: str, parameters: dict[str, Any], code: int, text: str
) -> None:
    assert refusal(await venue.ask("GET", path, **parameters)) == (400, code, text)


OCO = {
    "symbol": SYMBOL, "side": "SELL", "quantity": "0.001", "aboveType": "LIMIT_MAKER", "abovePrice": "120000",
    "belowType": "STOP_LOSS", "belowStopPrice": "80000",
}  # fmt: skip
OTO = {
    "symbol": SYMBOL, "workingType": "LIMIT", "workingSide": "BUY", "workingPrice": "80000",
    "workingTimeInForce": "GTC", "workingQuantity": "0.001", "pendingSide": "SELL",
}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "parameters", "code", "text"),
    [
        ("oco", OCO | {"belowType": "MARKET"}, -1158, "Order type not supported in OCO."),
        ("oco", OCO | {"side": "BUY"}, -1165, "A limit order in a buy OCO must be below."),
        ("oco", OCO | {"aboveType": "STOP_LOSS", "belowType": "LIMIT_MAKER"}, -1166,
         "A limit order in a sell OCO must be above."),
        ("oco", OCO | {"belowType": "LIMIT_MAKER"}, -1168, "At least one OCO order must be contingent."),
        ("oco", OCO | {"side": "BUY", "aboveType": "STOP_LOSS"}, -1196, "A stop loss order in a buy OCO must be above."),
        ("oco", OCO | {"aboveType": "STOP_LOSS", "belowType": "STOP_LOSS"}, -1197,
         "A stop loss order in a sell OCO must be below."),
        ("oco", OCO | {"side": "BUY", "aboveType": "TAKE_PROFIT", "belowType": "TAKE_PROFIT"}, -1198,
         "A take profit order in a buy OCO must be below."),
        ("oco", OCO | {"aboveType": "TAKE_PROFIT", "belowType": "TAKE_PROFIT"}, -1199,
         "A take profit order in a sell OCO must be above."),
        ("opo", OTO | {"pendingType": "MARKET", "workingSide": "SELL"}, -1222,
         "Working order in an OPO list must be a bid."),
        ("opo", OTO | {"pendingType": "MARKET", "pendingSide": "BUY"}, -1223,
         "Pending orders in an OPO list must be asks."),
        ("oto", OTO | {"pendingType": "MARKET"}, -1102, MISSING.format("pendingQuantity")),
        ("oco", OCO | {"belowType": "STOP_LOSS_LIMIT", "belowPrice": "79000", "belowTimeInForce": "IOC",
                       "belowIcebergQty": "0.0001"}, -1160,
         "Parameter 'belowIcebergQty' is not supported if `belowTimeInForce` is not GTC."),
        ("oto", OTO | {"pendingType": "STOP_LOSS", "pendingQuantity": "0.001"}, -1102,
         BOTH.format("pendingStopPrice", "pendingTrailingDelta")),
        ("oto", OTO | {"pendingType": "LIMIT", "pendingQuantity": "0.001", "pendingPrice": "1"}, -1102,
         MISSING.format("pendingTimeInForce")),
    ],
)  # fmt: skip
async def test_refused_lists(venue: Venue, path: str, parameters: dict[str, Any], code: int, text: str) -> None:
    assert refusal(await venue.signed("POST", f"orderList/{path}", **parameters)) == (400, code, text)


# -- who asks ---------------------------------------------------------------------------------------------------------


async def test_keys_and_signatures(exchange: Exchange, venue: Venue) -> None:
    now = str(int(time.time() * 1000))
    bad_key = (401, -2015, "Invalid API-key, IP, or permissions for action.")
    bad_format = (401, -2014, "API-key format invalid.")
    async with Venue(exchange.url, address=venue.address) as nobody:
        assert refusal(await nobody.ask("GET", "account", timestamp=now)) == bad_format
        assert refusal(await nobody.ask("POST", "userDataStream")) == bad_format
        assert refusal(await nobody.raw("GET", "account", X_MBX_APIKEY="short")) == bad_format
        assert refusal(await nobody.raw("GET", "account", X_MBX_APIKEY="A" * 64)) == bad_key
    assert refusal(await venue.ask("GET", "account")) == (400, -1102, MISSING.format("timestamp"))
    assert refusal(await venue.ask("GET", "account", timestamp=now)) == (400, -1102, MISSING.format("signature"))
    reply = await venue.ask("GET", "account", timestamp=now, signature="0" * 64)
    assert refusal(reply) == (400, -1022, "Signature for this request is not valid.")
    text = "Illegal characters found in parameter 'signature'; legal range is '^[A-Fa-f0-9]{64}$'."
    assert refusal(await venue.ask("GET", "account", timestamp=now, signature="nonsense")) == (400, -1100, text)
    reply = await venue.signed("GET", "account", timestamp=str(int(now) - 5100))
    assert refusal(reply) == (400, -1021, "Timestamp for this request is outside of the recvWindow.")
    assert (await venue.signed("GET", "account", timestamp=str(int(now) - 5100), recvWindow="30000")).ok()
    reply = await venue.signed("GET", "account", timestamp=str(int(now) + 30_000))
    assert refusal(reply) == (400, -1021, "Timestamp for this request was 1000ms ahead of the server's time.")
    reply = await venue.signed("GET", "account", recvWindow="60001")
    assert refusal(reply) == (400, -1131, "recvWindow must be less than 60000")
    assert (await venue.signed("GET", "account", timestamp=str(time.time_ns() // 1000))).ok(), "microseconds"
    reply = await venue.raw("GET", "time", X_MBX_TIME_UNIT="HOUR")
    text = "Invalid value for time unit; expected either MICROSECOND or MILLISECOND."
    assert refusal(reply) == (400, -1194, text)
    reply = await venue.raw("GET", "time", X_MBX_SBE="3:1")
    assert refusal(reply) == (400, -1155, "SBE is not enabled.")
    reply = await venue.raw("GET", "time", X_MBX_SBE="three")
    text = "Invalid `X-MBX-SBE` header; expected `<SCHEMA_ID>:<VERSION>`."
    assert refusal(reply) == (400, -1152, text)
    reply = await venue.raw("GET", "depth", "symbol=BTCUSDT&symbol=BTCUSDT")
    assert refusal(reply) == (400, -1101, "Duplicate values for a parameter detected.")


async def test_parameters_in_query_and_body(venue: Venue, price: Decimal) -> None:
    """The signature is over both as sent, and may stand in either; the query string wins."""
    order = limit(price)
    query = f"symbol={SYMBOL}&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.001"
    body = f"price={order['price']}&quantity=7&timestamp={int(time.time() * 1000)}"
    assert venue._sign is not None
    signature = venue._sign((query + body).encode()).upper()
    made = (await venue.raw("POST", "order", query, f"{body}&signature={signature}".encode())).ok()
    assert made["origQty"] == "0.00100000"
    body = body.replace("timestamp", "newClientOrderId=two&timestamp")
    signature = venue._sign((query + body).encode())
    made = (await venue.raw("POST", "order", f"{query}&signature={signature}", body.encode())).ok()
    assert made["clientOrderId"] == "two"


@pytest.mark.parametrize("kind", ["RSA", "ED25519"])
async def test_asymmetric_keys(exchange: Exchange, alice: User, kind: str) -> None:
    private: Any
    sign: Sign
    if kind == "RSA":
        private = rsa.generate_private_key(65537, 2048)
        sign = lambda payload: base64.b64encode(private.sign(payload, padding.PKCS1v15(), SHA256())).decode()  # noqa: E731
    else:
        private = ed25519.Ed25519PrivateKey.generate()
        sign = lambda payload: base64.b64encode(private.sign(payload)).decode()  # noqa: E731
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    made = await make_key(exchange, alice, public_key=pem)
    assert (made["kind"], made["secret"]) == (kind, None)
    async with Venue(exchange.url, made["api_key"], sign) as venue:
        assert (await venue.signed("GET", "account")).ok()["uid"] == alice.user_id
        assert (await venue.signed("POST", "order/test", True, **limit(Decimal(50_000), "1"))).ok() == {}
        reply = await venue.ask("GET", "account", timestamp=int(time.time() * 1000), signature="AAAA")
        assert refusal(reply) == (400, -1022, "Signature for this request is not valid.")


async def test_what_a_key_may(exchange: Exchange, alice: User) -> None:
    bad_key = (401, -2015, "Invalid API-key, IP, or permissions for action.")
    for rights, may_read, may_trade in (
        ({"can_trade": False}, True, False),
        ({"can_read": False}, False, True),
        ({"addresses": ["198.51.100.7"]}, True, True),
    ):
        made = await make_key(exchange, alice, **rights)
        async with Venue(exchange.url, made["api_key"], hmac_signer(made["secret"]), "198.51.100.7") as venue:
            account = await venue.signed("GET", "account")
            trial = await venue.signed("POST", "order/test", **limit(Decimal(50_000), "1"))
            assert (account.status == 200, trial.status == 200) == (may_read, may_trade)
            for reply in (account, trial):
                assert reply.status == 200 or refusal(reply) == bad_key
            venue.address = "198.51.100.8"
            elsewhere = await venue.signed("GET", "account")
            assert (elsewhere.status == 200) == (may_read and "addresses" not in rights)


async def test_a_revoked_key_ends_at_once(exchange: Exchange, alice: User) -> None:
    made = await make_key(exchange, alice)
    async with (
        exchange.client(alice) as client,
        Venue(exchange.url, made["api_key"], hmac_signer(made["secret"])) as venue,
    ):
        assert (await venue.signed("GET", "account")).status == 200
        (await client.call("DELETE", f"/api/auth/keys/{made['api_key']}")).ok(204)
        assert refusal(await venue.signed("GET", "account"))[:2] == (401, -2015)


def raypit(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-m", "deploy.cli", "keys", *arguments], capture_output=True, text=True)


async def test_keys_from_the_command_line(exchange: Exchange, alice: User) -> None:
    data = ("--data", str(exchange.data))
    done = await asyncio.to_thread(raypit, "new", "--user", "nobody-of-that-name", *data)
    assert done.returncode == 1
    assert "no user nobody-of-that-name" in done.stderr
    assert "--create" in " ".join(done.stderr.split())
    done = await asyncio.to_thread(raypit, "new", "--user", alice.username, "--json", *data)
    made = json.loads(done.stdout)
    assert set(made) == {"api_key", "secret", "base_url", "ws_url"}
    async with Venue(made["base_url"], made["api_key"], hmac_signer(made["secret"])) as venue:
        assert (await venue.signed("GET", "account")).ok()["uid"] == alice.user_id
        done = await asyncio.to_thread(raypit, "list", "--user", alice.username, "--json", *data)
        assert made["api_key"] in [one["api_key"] for one in json.loads(done.stdout)]
        assert made["secret"] not in done.stdout
        done = await asyncio.to_thread(raypit, "revoke", made["api_key"], *data)
        assert done.returncode == 0, done.stderr
        await eventually(lambda: venue.signed("GET", "account"), lambda reply: reply.status == 401, "the key ended")
    bot = f"bot-{made['api_key'][:8]}"
    done = await asyncio.to_thread(raypit, "new", "--user", bot, "--create", *data)
    for client in ("ccxt", "python-binance", "binance-sdk-spot", "freqtrade"):
        assert f"# {client}" in done.stdout
    assert exchange.url in done.stdout


# -- how much, and what else ------------------------------------------------------------------------------------------


async def test_unfilled_orders_are_limited(venue: Venue, price: Decimal) -> None:
    """100 in ten seconds; orders that trade do not count; cancel-replace may cancel all the same."""
    await rest_of_window(10, 5)

    async def place(orders: int) -> Any:
        """The one that was counted last."""
        asked = (venue.signed("POST", "order", **limit(price), newOrderRespType="ACK") for _ in range(orders))
        replies = await asyncio.gather(*asked)
        assert all(reply.ok()["orderId"] for reply in replies)
        return max(replies, key=lambda reply: int(reply.headers["x-mbx-order-count-1d"]))

    newest = await place(1)
    assert newest.headers["x-mbx-order-count-1d"] == "1"
    first = newest.json["orderId"]
    while (counted := int(newest.headers["x-mbx-order-count-10s"])) < 100:  # again, where a window ended meanwhile
        newest = await place(100 - counted)
    placed = int(newest.headers["x-mbx-order-count-1d"])
    text = "Too many new orders; current limit is 100 orders per 10 SECOND."
    reply = await venue.signed("POST", "order", **limit(price))
    assert refusal(reply) == (429, -1015, text)
    assert "retry-after" not in reply.headers
    replace = {**limit(price), "cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrderId": first}
    assert refusal(await venue.signed("POST", "order/cancelReplace", **replace)) == (429, -1015, text)
    reply = await venue.signed("POST", "order/cancelReplace", **replace, orderRateLimitExceededMode="CANCEL_ONLY")
    assert refusal(reply) == (429, -2021, "Order cancel-replace partially failed.")
    assert reply.json["data"]["cancelResult"] == "SUCCESS"
    assert reply.json["data"]["newOrderResponse"] == {"code": -1015, "msg": text}
    counts = (await venue.signed("GET", "rateLimit/order")).ok()
    assert [one["limit"] for one in counts] == [100, 200_000]
    assert counts[1]["count"] == placed
    (await venue.signed("DELETE", "openOrders", symbol=SYMBOL)).ok()


async def test_too_much_weight_and_bans(exchange: Exchange) -> None:
    address = f"192.0.2.{int(time.time()) % 250 + 1}"
    async with Venue(exchange.url, address=address) as venue:
        await rest_of_window(60, 10)
        replies = [await venue.ask("GET", "ticker/24hr", symbols="[]") for _ in range(2)]
        reply = replies[-1]
        while reply.status != 429:
            reply = await venue.ask("GET", "depth", symbol=SYMBOL, limit=5000)
            assert reply.status in (200, 429)
        status, code, text = refusal(reply)
        assert (status, code) == (429, -1003)
        assert text == (
            "Too much request weight used; current limit is 6000 request weight per 1 MINUTE. "
            "Please use WebSocket Streams for live updates to avoid polling the API."
        )
        assert 1 <= int(reply.headers["retry-after"]) <= 61
        for _ in range(250):
            reply = await venue.ask("GET", "ping")
            if reply.status == 418:
                break
        status, code, text = refusal(reply)
        assert (status, code) == (418, -1003)
        assert text.startswith("Way too much request weight used; IP banned until ")
        assert 60 < int(reply.headers["retry-after"]) <= 121
        venue.address = "192.0.2.251"
        assert (await venue.ask("GET", "ping")).status == 200, "nobody else suffers"


ROUTES = [
    ("GET", "ping"), ("GET", "time"), ("GET", "exchangeInfo"), ("GET", "executionRules"), ("GET", "depth"),
    ("GET", "trades"), ("GET", "historicalTrades"), ("GET", "historicalBlockTrades"), ("GET", "aggTrades"),
    ("GET", "klines"), ("GET", "uiKlines"), ("GET", "avgPrice"), ("GET", "ticker/24hr"),
    ("GET", "ticker/tradingDay"), ("GET", "ticker/price"), ("GET", "ticker/bookTicker"), ("GET", "ticker"),
    ("GET", "referencePrice"), ("GET", "referencePrice/calculation"), ("POST", "order"), ("POST", "order/test"),
    ("DELETE", "order"), ("DELETE", "openOrders"), ("POST", "order/cancelReplace"),
    ("PUT", "order/amend/keepPriority"), ("POST", "order/oco"), ("POST", "orderList/oco"), ("POST", "orderList/oto"),
    ("POST", "orderList/otoco"), ("POST", "orderList/opo"), ("POST", "orderList/opoco"), ("DELETE", "orderList"),
    ("POST", "sor/order"), ("POST", "sor/order/test"), ("GET", "account"), ("GET", "order"), ("GET", "openOrders"),
    ("GET", "allOrders"), ("GET", "orderList"), ("GET", "allOrderList"), ("GET", "openOrderList"),
    ("GET", "myTrades"), ("GET", "rateLimit/order"), ("GET", "myPreventedMatches"), ("GET", "myAllocations"),
    ("GET", "account/commission"), ("GET", "order/amendments"), ("GET", "myFilters"), ("POST", "userDataStream"),
    ("PUT", "userDataStream"), ("DELETE", "userDataStream"),
]  # fmt: skip
HOSTILE = [
    "", "0", "-1", "1e309", "null", "[]", "{}", "\x00", "é", "A" * 3000, "9" * 20, "9223372036854775807", "NaN", "'--",
    "BTCUSDT", "1795258260274",
]  # fmt: skip
NAMES = [
    "symbol", "symbols", "orderId", "limit", "startTime", "endTime", "fromId", "quantity", "price", "interval", "type",
    "side", "origClientOrderId", "newQty", "listenKey", "orderListId", "timeZone", "windowSize", "permissions",
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_every_route_answers_and_nothing_breaks_it(
    exchange: Exchange, venue: Venue, method: str, path: str
) -> None:
    """Whatever is sent: an answer of the venue's form, never a 500."""
    venue.address = f"198.18.{len(path) % 250}.{sum(map(ord, method + path)) % 250 + 1}"
    for k, text in enumerate(HOSTILE):
        given = {"symbol": SYMBOL} | {NAMES[(k + n) % len(NAMES)]: text for n in range(3)}
        reply = await venue.signed(method, path, k % 2 == 1 and method != "GET", **given)
        assert reply.status in (200, 400, 409, 429), (reply.status, reply.body)
        assert reply.headers["content-type"] == "application/json;charset=UTF-8"
        if reply.status != 200:
            refusal(reply)


async def test_addresses_that_do_not_exist(venue: Venue) -> None:
    for path in ("nope", "order/nope", "/sapi/v1/nope", "/fapi/v1/ping"):
        reply = await venue.ask("GET", path)
        assert (reply.status, reply.body) == (404, b""), path
    reply = await venue.ask("POST", "ping")
    assert (reply.status, reply.body, reply.headers["allow"]) == (405, b"", "GET")
    assert (await venue.ask("PATCH", "order")).headers["allow"] == "DELETE, GET, POST"
