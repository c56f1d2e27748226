"""python-binance: market and user sockets, and the ws_ methods over the WebSocket API."""

import asyncio
import itertools
from typing import Any

import pytest
from binance import BinanceSocketManager, DepthCacheManager
from binance.exceptions import BinanceAPIException

from tests.conformance.matrix import PB_SOCKETS, Area, row
from tests.conformance.told import INITIAL, VENUE_SYMBOL, dec, total
from tests.system.client import eventually

pytestmark = pytest.mark.system
WAIT_S = 30


async def received(socket: Any) -> Any:
    return await asyncio.wait_for(socket.recv(), WAIT_S)


async def fetched_trades(pb_async: Any, first: int, n: int) -> Any:
    """Over REST; they are told a moment after the stream."""

    async def ask() -> Any:
        return await pb_async.get_historical_trades(symbol=VENUE_SYMBOL, fromId=first, limit=n)

    return await eventually(ask, lambda found: len(found) == n, "the trades")


async def event(socket: Any) -> Any:
    """Of the user's stream."""
    told = await received(socket)
    return told.get("event", told)


async def far_price(pb_async: Any) -> str:
    ticker = await pb_async.get_orderbook_ticker(symbol=VENUE_SYMBOL)
    return str(round(dec(ticker["bidPrice"]) / 2, 2))


# -- market streams ---------------------------------------------------------------------------------------------------


@row(PB_SOCKETS, Area.STREAMS, "trade_socket", "every trade, as fetched")
async def test_trades(pb_async: Any) -> None:
    async with BinanceSocketManager(pb_async).trade_socket(VENUE_SYMBOL) as socket:
        told = [await received(socket) for _ in range(3)]
    first = told[0]["t"]
    assert [one["t"] for one in told] == [first, first + 1, first + 2]
    fetched = await fetched_trades(pb_async, first, 3)
    assert [(one["p"], one["q"], one["T"], one["m"]) for one in told] == [
        (one["price"], one["qty"], one["time"], one["isBuyerMaker"]) for one in fetched
    ]


@row(PB_SOCKETS, Area.STREAMS, "aggtrade_socket", "names the trades it sums up")
async def test_aggregated(pb_async: Any) -> None:
    async with BinanceSocketManager(pb_async).aggtrade_socket(VENUE_SYMBOL) as socket:
        one = await received(socket)
    n = one["l"] - one["f"] + 1
    parts = await fetched_trades(pb_async, one["f"], n)
    assert total(part["qty"] for part in parts) == dec(one["q"])


@row(PB_SOCKETS, Area.STREAMS, "depth_socket, diffs", "each begins where the last one ended")
async def test_diffs(pb_async: Any) -> None:
    async with BinanceSocketManager(pb_async).depth_socket(VENUE_SYMBOL, interval=100) as socket:
        told = [await received(socket) for _ in range(4)]
    for before, after in itertools.pairwise(told):
        assert after["U"] == before["u"] + 1


@row(PB_SOCKETS, Area.STREAMS, "depth_socket, 5 levels", "the top of the book, not crossed")
async def test_levels(pb_async: Any) -> None:
    async with BinanceSocketManager(pb_async).depth_socket(VENUE_SYMBOL, depth="5") as socket:
        told = await received(socket)
    assert (len(told["bids"]), len(told["asks"])) == (5, 5)
    assert dec(told["bids"][0][0]) < dec(told["asks"][0][0])


@row(PB_SOCKETS, Area.STREAMS, "DepthCacheManager", "equals the fetched book at the same update")
async def test_depth_cache(pb_async: Any) -> None:
    compared = 0
    seen: dict[int, tuple[Any, Any]] = {}
    async with asyncio.timeout(60), DepthCacheManager(pb_async, VENUE_SYMBOL, ws_interval=100) as manager:
        while compared < 2:
            cache = await manager.recv()
            seen[manager._last_update_id] = cache.get_bids()[:10], cache.get_asks()[:10]
            fetched = await pb_async.get_order_book(symbol=VENUE_SYMBOL, limit=10)
            found = seen.get(fetched["lastUpdateId"])
            if found is not None:
                sides = [[[float(one) for one in level] for level in fetched[side]] for side in ("bids", "asks")]
                assert list(found) == sides
                compared += 1


@row(PB_SOCKETS, Area.STREAMS, "kline_socket", "the current candle; closed it is the fetched one")
async def test_klines(pb_async: Any) -> None:
    closed: dict[int, Any] = {}
    async with BinanceSocketManager(pb_async).kline_socket(VENUE_SYMBOL, "1s") as socket:

        async def ask() -> Any:
            told = (await received(socket))["k"]  # one whose last trades came late is told again
            if told["x"]:
                closed[told["t"]] = told
            if not closed:
                return None, []
            second = min(closed)
            [candle] = await pb_async.get_klines(symbol=VENUE_SYMBOL, interval="1s", startTime=second, limit=1)
            return [closed[second][one] for one in "tohlcvqn"], [*candle[:6], *candle[7:9]]

        await eventually(ask, lambda both: both[0] == both[1], "the same candle")


@row(
    PB_SOCKETS,
    Area.STREAMS,
    "symbol_ticker_socket, symbol_miniticker_socket, symbol_book_ticker_socket",
    "the symbol's",
)
async def test_tickers(pb_async: Any) -> None:
    manager = BinanceSocketManager(pb_async)
    async with manager.symbol_ticker_socket(VENUE_SYMBOL) as socket:
        day = await received(socket)
    assert (day["e"], day["s"], day["L"] - day["F"] + 1) == ("24hrTicker", VENUE_SYMBOL, day["n"])
    async with manager.symbol_miniticker_socket(VENUE_SYMBOL) as socket:
        mini = await received(socket)
    assert dec(mini["l"]) <= dec(mini["c"]) <= dec(mini["h"])
    async with manager.symbol_book_ticker_socket(VENUE_SYMBOL) as socket:
        top = await received(socket)
    assert dec(top["b"]) < dec(top["a"])


@row(PB_SOCKETS, Area.STREAMS, "miniticker_socket, ticker_socket", "arrays of what changed")
async def test_arrays(pb_async: Any) -> None:
    manager = BinanceSocketManager(pb_async)
    for socket_of, event in ((manager.miniticker_socket, "24hrMiniTicker"), (manager.ticker_socket, "24hrTicker")):
        async with socket_of() as socket:
            assert {one["e"] for one in await received(socket)} == {event}


@row(PB_SOCKETS, Area.STREAMS, "multiplex_socket", "several streams, each under its name")
async def test_multiplex(pb_async: Any) -> None:
    names = {"btcusdt@trade", "ethusdt@bookTicker", "btcusdt@miniTicker"}
    seen = set()
    async with BinanceSocketManager(pb_async).multiplex_socket(sorted(names)) as socket, asyncio.timeout(WAIT_S):
        while seen != names:
            told = await received(socket)
            assert told["data"]["s"].lower() == told["stream"].partition("@")[0]
            seen.add(told["stream"])


# -- user data --------------------------------------------------------------------------------------------------------


@row(PB_SOCKETS, Area.USER, "user_socket, a filled order", "a report per fill, equal to my trades; then the balances")
async def test_user_fills(pb_async: Any) -> None:
    reports: list[Any] = []
    held = ""
    async with BinanceSocketManager(pb_async).user_socket() as socket:
        order = await pb_async.order_market_buy(symbol=VENUE_SYMBOL, quantity="0.01")
        async with asyncio.timeout(WAIT_S):
            while len(reports) < len(order["fills"]) + 1 or held != "0.00999000":
                told = await event(socket)
                if told["e"] == "executionReport":
                    reports.append(told)
                else:
                    held = {one["a"]: one["f"] for one in told["B"]}["BTC"]
    assert [one["x"] for one in reports] == ["NEW"] + ["TRADE"] * len(order["fills"])
    trades = await pb_async.get_my_trades(symbol=VENUE_SYMBOL)
    assert [(one["t"], one["L"], one["l"], one["n"]) for one in reports[1:]] == [
        (one["id"], one["price"], one["qty"], one["commission"]) for one in trades
    ]
    assert (await pb_async.get_asset_balance(asset="BTC"))["free"] == held


@row(PB_SOCKETS, Area.USER, "user_socket, an order placed and canceled", "NEW, then CANCELED with both client ids")
async def test_user_cancel(pb_async: Any) -> None:
    async with BinanceSocketManager(pb_async).user_socket() as socket:
        order = await pb_async.order_limit_buy(symbol=VENUE_SYMBOL, quantity="0.01", price=await far_price(pb_async))
        await pb_async.cancel_order(symbol=VENUE_SYMBOL, orderId=order["orderId"])
        reports: list[Any] = []
        async with asyncio.timeout(WAIT_S):
            while len(reports) < 2:
                told = await event(socket)
                if told["e"] == "executionReport":
                    reports.append(told)
    assert [(one["x"], one["i"]) for one in reports] == [("NEW", order["orderId"]), ("CANCELED", order["orderId"])]
    assert reports[0]["c"] == reports[1]["C"] == order["clientOrderId"]


# -- WebSocket API ----------------------------------------------------------------------------------------------------


@row(PB_SOCKETS, Area.WS_API, "ws_ping, ws_get_time, ws_get_exchange_info", "as over REST")
async def test_ws_general(pb_async: Any) -> None:
    await pb_async.ws_ping()
    over_rest = (await pb_async.get_server_time())["serverTime"]
    assert over_rest <= (await pb_async.ws_get_time())["serverTime"] < over_rest + 10_000
    info = await pb_async.ws_get_exchange_info(symbol=VENUE_SYMBOL)
    assert info["symbols"] == [await pb_async.get_symbol_info(VENUE_SYMBOL)]


@row(
    PB_SOCKETS, Area.WS_API, "ws_get_order_book, ws_get_recent_trades, ws_get_klines, ws_get_ticker, …", "as over REST"
)
async def test_ws_market(pb_async: Any) -> None:
    book = await pb_async.ws_get_order_book(symbol=VENUE_SYMBOL, limit=5)
    assert dec(book["bids"][0][0]) < dec(book["asks"][0][0])
    trades = await pb_async.ws_get_recent_trades(symbol=VENUE_SYMBOL, limit=5)
    ids = {"symbol": VENUE_SYMBOL, "fromId": trades[0]["id"], "limit": 5}
    assert trades == await pb_async.get_historical_trades(**ids) == await pb_async.ws_get_historical_trades(**ids)
    second = {
        "symbol": VENUE_SYMBOL,
        "interval": "1s",
        "startTime": trades[0]["time"] // 1000 * 1000 - 5000,
        "limit": 2,
    }
    assert await pb_async.ws_get_klines(**second) == await pb_async.get_klines(**second)
    assert await pb_async.ws_get_uiKlines(**second) == await pb_async.get_klines(**second)
    average = await pb_async.ws_get_avg_price(symbol=VENUE_SYMBOL)
    day = await pb_async.ws_get_ticker(symbol=VENUE_SYMBOL)
    assert dec(day["lowPrice"]) <= dec(average["price"]) <= dec(day["highPrice"])
    assert (await pb_async.ws_get_symbol_ticker(symbol=VENUE_SYMBOL))["symbol"] == VENUE_SYMBOL
    assert (await pb_async.ws_get_orderbook_ticker(symbol=VENUE_SYMBOL))["symbol"] == VENUE_SYMBOL
    assert (await pb_async.ws_get_aggregate_trades(symbol=VENUE_SYMBOL, limit=1))[0]["a"] >= 0


@row(PB_SOCKETS, Area.WS_API, "ws_order_market_buy", "filled; the fills are my trades")
async def test_ws_market_order(pb_async: Any) -> None:
    order = await pb_async.ws_order_market_buy(symbol=VENUE_SYMBOL, quantity="0.01")
    assert order["status"] == "FILLED"
    trades = await pb_async.ws_get_my_trades(symbol=VENUE_SYMBOL)
    assert [(one["id"], one["qty"]) for one in trades] == [(one["tradeId"], one["qty"]) for one in order["fills"]]
    assert trades == await pb_async.get_my_trades(symbol=VENUE_SYMBOL)


@row(
    PB_SOCKETS,
    Area.WS_API,
    "ws_order_limit_buy, ws_get_order, ws_get_open_orders, ws_cancel_order",
    "open, the same, canceled",
)
async def test_ws_limit_order(pb_async: Any) -> None:
    order = await pb_async.ws_order_limit_buy(symbol=VENUE_SYMBOL, quantity="0.01", price=await far_price(pb_async))
    named = {"symbol": VENUE_SYMBOL, "orderId": order["orderId"]}
    asked = await pb_async.ws_get_order(**named)
    assert asked == await pb_async.get_order(**named)
    assert [one["orderId"] for one in await pb_async.ws_get_open_orders(symbol=VENUE_SYMBOL)] == [order["orderId"]]
    assert (await pb_async.ws_cancel_order(**named))["status"] == "CANCELED"
    assert [one["status"] for one in await pb_async.ws_get_all_orders(symbol=VENUE_SYMBOL)] == ["CANCELED"]


@row(
    PB_SOCKETS,
    Area.WS_API,
    "ws_cancel_and_replace_order, ws_cancel_all_open_orders",
    "replaced; then none open, all money free",
)
async def test_ws_replace(pb_async: Any) -> None:
    price = await far_price(pb_async)
    old = await pb_async.ws_order_limit_buy(symbol=VENUE_SYMBOL, quantity="0.01", price=price)
    found = await pb_async.ws_cancel_and_replace_order(
        symbol=VENUE_SYMBOL,
        side="BUY",
        type="LIMIT",
        timeInForce="GTC",
        quantity="0.02",
        price=price,
        cancelReplaceMode="STOP_ON_FAILURE",
        cancelOrderId=old["orderId"],
    )
    assert found["newOrderResponse"]["status"] == "NEW"
    [canceled] = await pb_async.ws_cancel_all_open_orders(symbol=VENUE_SYMBOL)
    assert canceled["orderId"] == found["newOrderResponse"]["orderId"]
    balance = await pb_async.get_asset_balance(asset="USDT")
    assert (dec(balance["free"]), dec(balance["locked"])) == (INITIAL, 0)


@row(PB_SOCKETS, Area.WS_API, "ws_create_test_order", "checked, not placed")
async def test_ws_test_order(pb_async: Any) -> None:
    await pb_async.ws_create_test_order(symbol=VENUE_SYMBOL, side="BUY", type="MARKET", quantity="0.01")
    assert await pb_async.get_all_orders(symbol=VENUE_SYMBOL) == []


@row(
    PB_SOCKETS,
    Area.WS_API,
    "ws_get_account, ws_get_commission_rates, ws_get_account_rate_limits_orders",
    "as over REST",
)
async def test_ws_account(pb_async: Any) -> None:
    assert await pb_async.ws_get_account() == await pb_async.get_account()
    assert dec((await pb_async.ws_get_commission_rates(symbol=VENUE_SYMBOL))["standardCommission"]["taker"]) == dec(
        "0.001"
    )
    assert {one["count"] for one in await pb_async.ws_get_account_rate_limits_orders()} == {0}


@row(PB_SOCKETS, Area.LISTS, "ws_create_oco_order, ws_get_oco_order, ws_cancel_oco_order", "a pair; canceled together")
async def test_ws_oco(pb_async: Any) -> None:
    await pb_async.ws_order_market_buy(symbol=VENUE_SYMBOL, quantity="0.01")
    price = dec(await far_price(pb_async)) * 2
    made = await pb_async.ws_create_oco_order(
        symbol=VENUE_SYMBOL,
        side="SELL",
        quantity="0.005",
        aboveType="LIMIT_MAKER",
        abovePrice=str(price * 2),
        belowType="STOP_LOSS",
        belowStopPrice=str(round(price / 2, 2)),
    )
    named = {"orderListId": made["orderListId"]}
    assert (await pb_async.ws_get_oco_order(**named))["orders"] == made["orders"]
    ended = await pb_async.ws_cancel_oco_order(symbol=VENUE_SYMBOL, **named)
    assert ended["listOrderStatus"] == "ALL_DONE"
    assert await pb_async.get_open_orders(symbol=VENUE_SYMBOL) == []


# -- errors -----------------------------------------------------------------------------------------------------------


@row(
    PB_SOCKETS,
    Area.ERRORS,
    "ws_create_order without funds; ws_cancel_order, ws_get_order of an unknown order",
    "-2010, -2011, -2013",
    refused=True,
)
async def test_ws_errors(pb_async: Any) -> None:
    for code, call, params in (
        (-2010, pb_async.ws_order_market_buy, {"quantity": "50"}),
        (-2011, pb_async.ws_cancel_order, {"orderId": 999999999}),
        (-2013, pb_async.ws_get_order, {"orderId": 999999999}),
    ):
        with pytest.raises(BinanceAPIException) as found:
            await call(symbol=VENUE_SYMBOL, **params)
        assert found.value.code == code
