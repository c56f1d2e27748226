"""binance-sdk-spot: the WebSocket API and the account's own stream on it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from binance_common.configuration import ConfigurationWebSocketAPI
from binance_sdk_spot.spot import Spot
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.conformance.matrix import SDK_WS, Area, row
from tests.conformance.pointed import new_account
from tests.conformance.sdk import plain
from tests.conformance.told import INITIAL, VENUE_SYMBOL, dec
from tests.system.conftest import Exchange

pytestmark = pytest.mark.system


@pytest.fixture
async def ws(sdk: Any) -> AsyncIterator[Any]:
    connection = await sdk.websocket_api.create_connection()
    yield connection
    await connection.close_connection(close_session=True)


async def price(ws: Any, factor: str = "0.5") -> float:
    best = plain(await ws.ticker_book(symbol=VENUE_SYMBOL))
    return float(round(dec(best["bidPrice"]) * dec(factor), 2))


async def far_bid(ws: Any, **params: Any) -> Any:
    return plain(
        await ws.order_place(
            VENUE_SYMBOL, "BUY", "LIMIT", time_in_force="GTC", quantity=0.01, price=await price(ws), **params
        )
    )


@row(SDK_WS, Area.WS_API, "ping, time, exchange_info", "as over REST; rate limits in each answer")
async def test_general(sdk: Any, ws: Any) -> None:
    await ws.ping()
    answer = await ws.time()
    assert plain(answer)["serverTime"] >= plain(sdk.rest_api.time())["serverTime"] - 10_000
    assert answer.rate_limits[0].count > 0
    assert (
        plain(await ws.exchange_info(symbol=VENUE_SYMBOL))["symbols"]
        == plain(sdk.rest_api.exchange_info(symbol=VENUE_SYMBOL))["symbols"]
    )


@row(SDK_WS, Area.WS_API, "depth, trades_recent, trades_historical, trades_aggregate, klines, ticker…", "as over REST")
async def test_market(sdk: Any, ws: Any) -> None:
    book = plain(await ws.depth(VENUE_SYMBOL, limit=5))
    assert dec(book["bids"][0][0]) < dec(book["asks"][0][0])
    trades = plain(await ws.trades_recent(VENUE_SYMBOL, limit=5))
    assert trades == plain(sdk.rest_api.historical_trades(VENUE_SYMBOL, limit=5, from_id=trades[0]["id"]))
    assert trades == plain(await ws.trades_historical(VENUE_SYMBOL, limit=5, from_id=trades[0]["id"]))
    second = {"start_time": trades[0]["time"] // 1000 * 1000 - 5000, "limit": 2}
    candles = plain(await ws.klines(VENUE_SYMBOL, "1s", **second))
    assert candles == plain(sdk.rest_api.klines(VENUE_SYMBOL, "1s", **second))
    average = plain(await ws.avg_price(VENUE_SYMBOL))
    day = plain(await ws.ticker24hr(symbol=VENUE_SYMBOL))
    assert dec(day["lowPrice"]) <= dec(average["price"]) <= dec(day["highPrice"])


@row(SDK_WS, Area.WS_API, "order_place MARKET, my_trades", "filled; the fills are my trades")
async def test_market_order(sdk: Any, ws: Any) -> None:
    order = plain(await ws.order_place(VENUE_SYMBOL, "BUY", "MARKET", quantity=0.01))
    trades = plain(await ws.my_trades(VENUE_SYMBOL))
    assert [(one["id"], one["qty"]) for one in trades] == [(one["tradeId"], one["qty"]) for one in order["fills"]]
    assert trades == plain(sdk.rest_api.my_trades(VENUE_SYMBOL))


@row(
    SDK_WS,
    Area.WS_API,
    "order_place LIMIT, order_status, open_orders_status, order_cancel, all_orders",
    "open, the same, canceled",
)
async def test_limit_order(sdk: Any, ws: Any) -> None:
    order_id = (await far_bid(ws))["orderId"]
    assert plain(await ws.order_status(VENUE_SYMBOL, order_id=order_id)) == plain(
        sdk.rest_api.get_order(VENUE_SYMBOL, order_id=order_id)
    )
    assert [one["orderId"] for one in plain(await ws.open_orders_status(symbol=VENUE_SYMBOL))] == [order_id]
    assert plain(await ws.order_cancel(VENUE_SYMBOL, order_id=order_id))["status"] == "CANCELED"
    assert [one["status"] for one in plain(await ws.all_orders(VENUE_SYMBOL))] == ["CANCELED"]


@row(
    SDK_WS,
    Area.WS_API,
    "order_cancel_replace, order_amend_keep_priority, open_orders_cancel_all",
    "replaced, reduced, canceled; all money free",
)
async def test_replace(ws: Any) -> None:
    old = await far_bid(ws)
    found = plain(
        await ws.order_cancel_replace(
            VENUE_SYMBOL,
            "STOP_ON_FAILURE",
            "BUY",
            "LIMIT",
            cancel_order_id=old["orderId"],
            time_in_force="GTC",
            price=float(old["price"]),
            quantity=0.02,
        )
    )
    new_id = found["newOrderResponse"]["orderId"]
    amended = plain(await ws.order_amend_keep_priority(VENUE_SYMBOL, 0.01, order_id=new_id))
    assert dec(amended["amendedOrder"]["qty"]) == dec("0.01")
    await ws.open_orders_cancel_all(VENUE_SYMBOL)
    balances = {one["asset"]: one for one in plain(await ws.account_status())["balances"]}
    assert (dec(balances["USDT"]["free"]), dec(balances["USDT"]["locked"])) == (INITIAL, 0)


@row(SDK_WS, Area.WS_API, "account_status, account_commission, account_rate_limits_orders", "as over REST")
async def test_account(sdk: Any, ws: Any) -> None:
    assert plain(await ws.account_status()) == plain(sdk.rest_api.get_account())
    assert plain(await ws.account_commission(VENUE_SYMBOL)) == plain(sdk.rest_api.account_commission(VENUE_SYMBOL))
    assert {one["count"] for one in plain(await ws.account_rate_limits_orders())} == {0}


@row(
    SDK_WS,
    Area.WS_API,
    "session_logon by Ed25519, session_status, session_logout",
    "logged on requests need no signature",
)
async def test_session(exchange: Exchange) -> None:
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    made = new_account(exchange, public_key=public)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    configuration = ConfigurationWebSocketAPI(
        api_key=made.api_key, private_key=pem, stream_url=f"{made.ws_url}/ws-api/v3"
    )
    ws = await Spot(config_ws_api=configuration).websocket_api.create_connection()
    try:
        logged_on = plain(await ws.session_logon())
        assert logged_on["apiKey"] == made.api_key
        assert plain(await ws.session_status())["apiKey"] == made.api_key
        assert {one["asset"] for one in plain(await ws.account_status())["balances"]} >= {"USDT", "BTC"}
        await ws.session_logout()
    finally:
        await ws.close_connection(close_session=True)


@row(SDK_WS, Area.USER, "user_data_stream_subscribe_signature", "a report per change of an order, then the balances")
async def test_user_data(ws: Any) -> None:
    subscribed = await ws.user_data_stream_subscribe_signature()
    arrived: asyncio.Queue[Any] = asyncio.Queue()
    subscribed.stream.on("message", arrived.put_nowait)
    order = await far_bid(ws)
    await ws.order_cancel(VENUE_SYMBOL, order_id=order["orderId"])
    reports: list[Any] = []
    positions: list[Any] = []
    async with asyncio.timeout(30):
        while len(reports) < 2 or len(positions) < 2:
            event = (await arrived.get()).actual_instance
            {"ExecutionReport": reports, "OutboundAccountPosition": positions}[type(event).__name__].append(
                plain(event)
            )
    assert [(one["x"], one["i"]) for one in reports] == [("NEW", order["orderId"]), ("CANCELED", order["orderId"])]
    held = [{one["a"]: (dec(one["f"]), dec(one["l"])) for one in told["B"]}["USDT"] for told in positions]
    cost = dec(order["price"]) * dec("0.01")
    assert held == [(INITIAL - cost, cost), (INITIAL, 0)]


@row(SDK_WS, Area.LISTS, "order_list_place_oco, order_list_status, order_list_cancel", "a pair; canceled together")
async def test_oco(ws: Any) -> None:
    await ws.order_place(VENUE_SYMBOL, "BUY", "MARKET", quantity=0.01)
    made = plain(
        await ws.order_list_place_oco(
            VENUE_SYMBOL,
            "SELL",
            0.005,
            "LIMIT_MAKER",
            "STOP_LOSS",
            above_price=await price(ws, "1.5"),
            below_stop_price=await price(ws),
        )
    )
    asked = plain(await ws.order_list_status(order_list_id=made["orderListId"]))
    assert asked["orders"] == made["orders"]
    ended = plain(await ws.order_list_cancel(VENUE_SYMBOL, order_list_id=made["orderListId"]))
    assert ended["listOrderStatus"] == "ALL_DONE"
    assert plain(await ws.open_orders_status(symbol=VENUE_SYMBOL)) == []


@row(
    SDK_WS,
    Area.ERRORS,
    "order_place without funds; order_cancel, order_status of an unknown order",
    "-2010, -2011, -2013",
    refused=True,
)
async def test_errors(ws: Any) -> None:
    for code, asked in (
        (-2010, ws.order_place(VENUE_SYMBOL, "BUY", "MARKET", quantity=50)),
        (-2011, ws.order_cancel(VENUE_SYMBOL, order_id=999999999)),
        (-2013, ws.order_status(VENUE_SYMBOL, order_id=999999999)),
    ):
        assert plain(await asked)["error"]["code"] == code  # the client hands errors on, it does not raise them
