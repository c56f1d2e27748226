"""python-binance, sync and async, over REST."""

from decimal import Decimal
from typing import Any

import pytest
from binance.exceptions import BinanceAPIException

from deploy.keys import Made
from tests.conformance.matrix import PB, PB_ASYNC, Area, row
from tests.conformance.pointed import new_account
from tests.conformance.told import INITIAL, VENUE_SYMBOL, assert_money_moved_by, dec, told, total
from tests.system.client import eventually
from tests.system.conftest import Exchange

pytestmark = pytest.mark.system
BOTH = (PB, PB_ASYNC)


async def far_price(client: Any) -> str:
    ticker = await told(client.get_orderbook_ticker(symbol=VENUE_SYMBOL))
    return str(round(dec(ticker["bidPrice"]) / 2, 2))


async def far_bid(client: Any, **changed: Any) -> Any:
    """A limit order that rests at half the price."""
    params = {"symbol": VENUE_SYMBOL, "quantity": "0.01", "price": await far_price(client)} | changed
    return await told(client.order_limit_buy(**params))


async def balances(client: Any) -> dict[str, tuple[Decimal, Decimal]]:
    account = await told(client.get_account())
    return {one["asset"]: (dec(one["free"]), dec(one["locked"])) for one in account["balances"]}


async def refused(code: int, status: int, call: Any, **params: Any) -> str:
    with pytest.raises(BinanceAPIException) as found:
        await told(call(**params))
    assert (found.value.code, found.value.status_code) == (code, status), str(found.value)
    return str(found.value.message)


# -- market data ------------------------------------------------------------------------------------------------------


@row(BOTH, Area.MARKET, "ping, get_server_time", "alive, our clock")
async def test_time(pb: Any) -> None:
    assert await told(pb.ping()) == {}
    first = (await told(pb.get_server_time()))["serverTime"]
    assert first <= (await told(pb.get_server_time()))["serverTime"]


@row(BOTH, Area.MARKET, "get_exchange_info, get_symbol_info", "the symbol with all its filters")
async def test_exchange_info(pb: Any) -> None:
    info = await told(pb.get_exchange_info())
    assert {one["rateLimitType"] for one in info["rateLimits"]} == {"REQUEST_WEIGHT", "ORDERS", "RAW_REQUESTS"}
    symbol = await told(pb.get_symbol_info(VENUE_SYMBOL))
    assert symbol in info["symbols"]
    assert {"PRICE_FILTER", "LOT_SIZE", "NOTIONAL"} <= {one["filterType"] for one in symbol["filters"]}
    assert await told(pb.get_symbol_info("NOSUCH")) is None


@row(BOTH, Area.MARKET, "get_order_book", "as deep as asked, sorted, not crossed")
async def test_order_book(pb: Any) -> None:
    book = await told(pb.get_order_book(symbol=VENUE_SYMBOL, limit=10))
    bids, asks = [dec(price) for price, _ in book["bids"]], [dec(price) for price, _ in book["asks"]]
    assert len(bids) == len(asks) == 10
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert bids[0] < asks[0]


@row(BOTH, Area.MARKET, "get_recent_trades, get_historical_trades", "the same trades by either call")
async def test_trades(pb: Any) -> None:
    recent = await told(pb.get_recent_trades(symbol=VENUE_SYMBOL, limit=10))
    again = await told(pb.get_historical_trades(symbol=VENUE_SYMBOL, limit=10, fromId=recent[0]["id"]))
    assert again == recent


@row(BOTH, Area.MARKET, "get_aggregate_trades", "each holds exactly the trades it names")
async def test_aggregated(pb: Any) -> None:
    for one in (await told(pb.get_aggregate_trades(symbol=VENUE_SYMBOL, limit=5)))[:2]:
        n = one["l"] - one["f"] + 1
        parts = await told(pb.get_historical_trades(symbol=VENUE_SYMBOL, fromId=one["f"], limit=n))
        assert [part["id"] for part in parts] == list(range(one["f"], one["l"] + 1))
        assert total(part["qty"] for part in parts) == dec(one["q"])


@row(BOTH, Area.MARKET, "get_klines, get_ui_klines", "a second's candle is exactly the trades of that second")
async def test_klines(pb: Any) -> None:
    async def ask() -> Any:
        return await told(pb.get_recent_trades(symbol=VENUE_SYMBOL, limit=200))

    def seconds(trades: Any) -> list[int]:
        return sorted({one["time"] // 1000 * 1000 for one in trades})

    trades = await eventually(ask, lambda found: len(seconds(found)) > 2, "a whole second is over")
    second = seconds(trades)[1]
    mine = [one for one in trades if one["time"] // 1000 * 1000 == second]
    params = {"symbol": VENUE_SYMBOL, "interval": "1s", "startTime": second, "limit": 1}
    [candle] = await told(pb.get_klines(**params))
    assert [candle[0], candle[1], candle[4], candle[8]] == [second, mine[0]["price"], mine[-1]["price"], len(mine)]
    assert dec(candle[5]) == total(one["qty"] for one in mine)
    assert dec(candle[7]) == total(one["quoteQty"] for one in mine)
    assert await told(pb.get_ui_klines(**params)) == [candle]


@row(BOTH, Area.MARKET, "get_historical_klines", "every candle from a time to now, without a gap")
async def test_historical_klines(pb: Any) -> None:
    [newest] = await told(pb.get_klines(symbol=VENUE_SYMBOL, interval="1s", limit=1))
    start = newest[0] - 30_000
    candles = await told(pb.get_historical_klines(VENUE_SYMBOL, "1s", start))
    opens = [one[0] for one in candles]
    assert opens == list(range(opens[0], opens[-1] + 1, 1000))
    assert opens[0] >= start
    assert opens[-1] >= newest[0]


@row(
    BOTH,
    Area.MARKET,
    "get_ticker, get_symbol_ticker, get_orderbook_ticker(s), get_all_tickers",
    "all symbols, consistent",
)
async def test_tickers(pb: Any) -> None:
    prices = {one["symbol"] for one in await told(pb.get_all_tickers())}
    assert {one["symbol"] for one in await told(pb.get_orderbook_tickers())} == prices
    assert {one["symbol"] for one in await told(pb.get_ticker())} == prices
    day = await told(pb.get_ticker(symbol=VENUE_SYMBOL))
    price = await told(pb.get_symbol_ticker(symbol=VENUE_SYMBOL))
    assert dec(day["lowPrice"]) * dec("0.9") < dec(price["price"]) < dec(day["highPrice"]) * dec("1.1")
    assert day["lastId"] - day["firstId"] + 1 == day["count"]


@row(BOTH, Area.MARKET, "get_symbol_ticker_window, get_avg_price", "within the day's range")
async def test_window(pb: Any) -> None:
    hour = await told(pb.get_symbol_ticker_window(symbol=VENUE_SYMBOL, windowSize="1h"))
    average = await told(pb.get_avg_price(symbol=VENUE_SYMBOL))
    day = await told(pb.get_ticker(symbol=VENUE_SYMBOL))
    assert dec(day["lowPrice"]) <= dec(hour["lowPrice"]) <= dec(hour["highPrice"]) <= dec(day["highPrice"])
    assert dec(day["lowPrice"]) <= dec(average["price"]) <= dec(day["highPrice"])
    assert average["mins"] == 5


# -- orders -----------------------------------------------------------------------------------------------------------


@row(BOTH, Area.ORDERS, "order_market_buy by quantity", "fills = my trades; balances add up to the last unit")
async def test_market_by_base(pb: Any) -> None:
    order = await told(pb.order_market_buy(symbol=VENUE_SYMBOL, quantity="0.02"))
    assert (order["status"], dec(order["executedQty"])) == ("FILLED", dec("0.02"))
    assert total(one["qty"] for one in order["fills"]) == dec("0.02")
    trades = await told(pb.get_my_trades(symbol=VENUE_SYMBOL))
    assert [(one["id"], one["price"], one["qty"], one["commission"]) for one in trades] == [
        (one["tradeId"], one["price"], one["qty"], one["commission"]) for one in order["fills"]
    ]
    assert_money_moved_by(trades, await balances(pb))


@row(BOTH, Area.ORDERS, "order_market_buy by quoteOrderQty", "spends no more than that")
async def test_market_by_quote(pb: Any) -> None:
    order = await told(pb.order_market_buy(symbol=VENUE_SYMBOL, quoteOrderQty="500"))
    assert order["status"] == "FILLED"
    assert dec("495") < dec(order["cummulativeQuoteQty"]) <= 500
    assert_money_moved_by(await told(pb.get_my_trades(symbol=VENUE_SYMBOL)), await balances(pb))


@row(BOTH, Area.ORDERS, "order_market_sell", "sells what was bought; balances add up")
async def test_market_sell(pb: Any) -> None:
    await told(pb.order_market_buy(symbol=VENUE_SYMBOL, quantity="0.02"))
    order = await told(pb.order_market_sell(symbol=VENUE_SYMBOL, quantity="0.01"))
    assert (order["status"], order["side"]) == ("FILLED", "SELL")
    assert_money_moved_by(await told(pb.get_my_trades(symbol=VENUE_SYMBOL)), await balances(pb))


@row(BOTH, Area.ORDERS, "order_limit_buy, get_order, cancel_order", "rests and locks; canceled it gives all back")
async def test_limit(pb: Any) -> None:
    order = await far_bid(pb)
    cost = dec(order["price"]) * dec("0.01")
    assert (await balances(pb))["USDT"] == (INITIAL - cost, cost)
    asked = await told(pb.get_order(symbol=VENUE_SYMBOL, orderId=order["orderId"]))
    assert (asked["status"], asked["clientOrderId"]) == ("NEW", order["clientOrderId"])
    canceled = await told(pb.cancel_order(symbol=VENUE_SYMBOL, orderId=order["orderId"]))
    assert (canceled["status"], canceled["origClientOrderId"]) == ("CANCELED", order["clientOrderId"])
    assert (await balances(pb))["USDT"] == (INITIAL, 0)


@row(BOTH, Area.ORDERS, "create_order LIMIT_MAKER", "acknowledged and open")
async def test_limit_maker(pb: Any) -> None:
    price = await far_price(pb)
    made = await told(
        pb.create_order(symbol=VENUE_SYMBOL, side="BUY", type="LIMIT_MAKER", quantity="0.01", price=price)
    )
    [opened] = await told(pb.get_open_orders(symbol=VENUE_SYMBOL))
    assert (opened["orderId"], opened["type"], dec(opened["price"])) == (made["orderId"], "LIMIT_MAKER", dec(price))


@row(BOTH, Area.ORDERS, "create_order with timeInForce IOC, FOK", "expire unfilled")
async def test_ioc_fok(pb: Any) -> None:
    for tif in ("IOC", "FOK"):
        order = await far_bid(pb, timeInForce=tif)
        assert (order["status"], dec(order["executedQty"])) == ("EXPIRED", 0)
    assert (await balances(pb))["USDT"] == (INITIAL, 0)


async def conditional(pb: Any, kind: str, **params: Any) -> Any:
    """A sell order of this type for bought base; as it is asked for."""
    await told(pb.order_market_buy(symbol=VENUE_SYMBOL, quantity="0.01"))
    made = await told(pb.create_order(symbol=VENUE_SYMBOL, side="SELL", type=kind, quantity="0.005", **params))
    order = await told(pb.get_order(symbol=VENUE_SYMBOL, orderId=made["orderId"]))
    assert (order["type"], order["status"], order["isWorking"]) == (kind, "NEW", False)
    assert (await balances(pb))["BTC"][1] == dec("0.005")
    return order


async def times(pb: Any, factor: str) -> str:
    ticker = await told(pb.get_orderbook_ticker(symbol=VENUE_SYMBOL))
    return str(round(dec(ticker["bidPrice"]) * dec(factor), 2))


@row(BOTH, Area.ORDERS, "create_order STOP_LOSS", "waits for its stop price")
async def test_stop_loss(pb: Any) -> None:
    stop = await times(pb, "0.8")
    assert dec((await conditional(pb, "STOP_LOSS", stopPrice=stop))["stopPrice"]) == dec(stop)


@row(BOTH, Area.ORDERS, "create_order STOP_LOSS_LIMIT", "waits for its stop price, with a limit")
async def test_stop_loss_limit(pb: Any) -> None:
    stop, price = await times(pb, "0.8"), await times(pb, "0.79")
    order = await conditional(pb, "STOP_LOSS_LIMIT", stopPrice=stop, price=price, timeInForce="GTC")
    assert (dec(order["stopPrice"]), dec(order["price"])) == (dec(stop), dec(price))


@row(BOTH, Area.ORDERS, "create_order TAKE_PROFIT", "waits for its stop price")
async def test_take_profit(pb: Any) -> None:
    stop = await times(pb, "1.2")
    assert dec((await conditional(pb, "TAKE_PROFIT", stopPrice=stop))["stopPrice"]) == dec(stop)


@row(BOTH, Area.ORDERS, "create_order TAKE_PROFIT_LIMIT", "waits for its stop price, with a limit")
async def test_take_profit_limit(pb: Any) -> None:
    stop, price = await times(pb, "1.2"), await times(pb, "1.19")
    order = await conditional(pb, "TAKE_PROFIT_LIMIT", stopPrice=stop, price=price, timeInForce="GTC")
    assert (dec(order["stopPrice"]), dec(order["price"])) == (dec(stop), dec(price))


@row(BOTH, Area.ORDERS, "create_order with trailingDelta", "trails the market")
async def test_trailing(pb: Any) -> None:
    assert (await conditional(pb, "STOP_LOSS", trailingDelta=500))["trailingDelta"] == 500


@row(BOTH, Area.ORDERS, "create_order with icebergQty", "shows only a part of itself in the book")
async def test_iceberg(pb: Any) -> None:
    order = await far_bid(pb, quantity="0.02", icebergQty="0.005")
    asked = await told(pb.get_order(symbol=VENUE_SYMBOL, orderId=order["orderId"]))
    assert (dec(asked["icebergQty"]), dec(asked["origQty"])) == (dec("0.005"), dec("0.02"))


@row(BOTH, Area.ORDERS, "create_test_order", "checked, not placed")
async def test_test_order(pb: Any) -> None:
    params = {"symbol": VENUE_SYMBOL, "side": "BUY", "type": "MARKET", "quantity": "0.01"}
    assert await told(pb.create_test_order(**params)) == {}
    assert await told(pb.get_all_orders(symbol=VENUE_SYMBOL)) == []


@row(BOTH, Area.ORDERS, "cancel_replace_order", "the old one canceled, the new one open")
async def test_cancel_replace(pb: Any) -> None:
    old = await far_bid(pb)
    found = await told(
        pb.cancel_replace_order(
            symbol=VENUE_SYMBOL,
            side="BUY",
            type="LIMIT",
            timeInForce="GTC",
            quantity="0.02",
            price=old["price"],
            cancelReplaceMode="STOP_ON_FAILURE",
            cancelOrderId=old["orderId"],
        )
    )
    assert (found["cancelResult"], found["newOrderResult"]) == ("SUCCESS", "SUCCESS")
    assert found["cancelResponse"]["orderId"] == old["orderId"]
    [opened] = await told(pb.get_open_orders(symbol=VENUE_SYMBOL))
    assert (opened["orderId"], dec(opened["origQty"])) == (found["newOrderResponse"]["orderId"], dec("0.02"))


@row(BOTH, Area.ORDERS, "cancel_all_open_orders", "all of them, all money free")
async def test_cancel_all(pb: Any) -> None:
    placed = {(await far_bid(pb))["orderId"] for _ in range(2)}
    assert {one["orderId"] for one in await told(pb.cancel_all_open_orders(symbol=VENUE_SYMBOL))} == placed
    assert (await balances(pb))["USDT"] == (INITIAL, 0)


@row(BOTH, Area.ORDERS, "get_open_orders, get_all_orders, get_my_trades", "each where it belongs")
async def test_lists_of_orders(pb: Any) -> None:
    resting = (await far_bid(pb))["orderId"]
    filled = (await told(pb.order_market_buy(symbol=VENUE_SYMBOL, quantity="0.001")))["orderId"]
    assert [one["orderId"] for one in await told(pb.get_open_orders())] == [resting]
    every = await told(pb.get_all_orders(symbol=VENUE_SYMBOL))
    assert {one["orderId"]: one["status"] for one in every} == {resting: "NEW", filled: "FILLED"}
    assert {one["orderId"] for one in await told(pb.get_my_trades(symbol=VENUE_SYMBOL))} == {filled}


# -- order lists ------------------------------------------------------------------------------------------------------


@row(BOTH, Area.LISTS, "create_oco_order", "two orders, one reservation; both are open and in the list")
async def test_oco(pb: Any) -> None:
    await told(pb.order_market_buy(symbol=VENUE_SYMBOL, quantity="0.01"))
    made = await told(
        pb.create_oco_order(
            symbol=VENUE_SYMBOL,
            side="SELL",
            quantity="0.005",
            aboveType="LIMIT_MAKER",
            abovePrice=await times(pb, "1.5"),
            belowType="STOP_LOSS",
            belowStopPrice=await times(pb, "0.5"),
        )
    )
    assert (made["contingencyType"], made["listOrderStatus"], len(made["orders"])) == ("OCO", "EXECUTING", 2)
    opened = await told(pb.get_open_orders(symbol=VENUE_SYMBOL))
    assert {one["orderId"] for one in opened} == {one["orderId"] for one in made["orders"]}
    assert {one["orderListId"] for one in opened} == {made["orderListId"]}
    assert [one["orderListId"] for one in await told(pb.get_open_oco_orders())] == [made["orderListId"]]
    assert (await balances(pb))["BTC"][1] == dec("0.005")


# -- account ----------------------------------------------------------------------------------------------------------


@row(BOTH, Area.ACCOUNT, "get_account, get_asset_balance", "the initial money, free")
async def test_account(pb: Any) -> None:
    account = await told(pb.get_account())
    assert (account["canTrade"], account["accountType"]) == (True, "SPOT")
    balance = await told(pb.get_asset_balance(asset="USDT"))
    assert balance == {"asset": "USDT", "free": "100000.00000000", "locked": "0.00000000"}


@row(BOTH, Area.ACCOUNT, "get_trade_fee, get_current_order_count", "0.1 %; orders are counted")
async def test_fees_and_counts(pb: Any) -> None:
    [fee] = await told(pb.get_trade_fee(symbol=VENUE_SYMBOL))
    assert dec(fee["takerCommission"]) == dec("0.001")
    await far_bid(pb)
    counts = await told(pb.get_current_order_count())
    assert {one["interval"]: one["count"] for one in counts} == {"SECOND": 1, "DAY": 1}


@row(
    BOTH,
    Area.ACCOUNT,
    "stream_get_listen_key, stream_keepalive, stream_close",
    "kept as an option; once closed it is unknown",
)
async def test_listen_key(pb: Any) -> None:
    listen_key = await told(pb.stream_get_listen_key())
    assert len(listen_key) >= 60
    assert await told(pb.stream_keepalive(listen_key)) == {}
    assert await told(pb.stream_close(listen_key)) == {}
    await refused(-1125, 400, pb.stream_keepalive, listenKey=listen_key)


# -- errors -----------------------------------------------------------------------------------------------------------


@row(BOTH, Area.ERRORS, "create_order without funds", "-2010", refused=True)
async def test_insufficient(pb: Any) -> None:
    text = await refused(-2010, 400, pb.order_market_buy, symbol=VENUE_SYMBOL, quantity="50")
    assert text == "Account has insufficient balance for requested action."


@row(BOTH, Area.ERRORS, "create_order LIMIT_MAKER that takes", "-2010", refused=True)
async def test_would_take(pb: Any) -> None:
    params = {"symbol": VENUE_SYMBOL, "side": "BUY", "type": "LIMIT_MAKER", "quantity": "0.001"}
    text = await refused(-2010, 400, pb.create_order, **params, price=await times(pb, "1.1"))
    assert text == "Order would immediately match and take."


@row(BOTH, Area.ERRORS, "create_order against a filter", "-1013 with the filter's name", refused=True)
async def test_filters(pb: Any) -> None:
    price = await far_price(pb)
    limit = {"symbol": VENUE_SYMBOL}
    for quantity, at, name in (
        ("0.00001", "20000", "NOTIONAL"), ("0.0000001", price, "LOT_SIZE"), ("0.01", "20000.001", "PRICE_FILTER"),
        ("0.1", "100", "PERCENT_PRICE_BY_SIDE"),
    ):  # fmt: skip
        text = await refused(-1013, 400, pb.order_limit_buy, **limit, quantity=quantity, price=at)
        assert text == f"Filter failure: {name}"


@row(BOTH, Area.ERRORS, "create_order without a parameter", "-1102 with its name", refused=True)
async def test_missing(pb: Any) -> None:
    text = await refused(-1102, 400, pb.create_order, symbol=VENUE_SYMBOL, side="BUY", type="MARKET")
    assert "quantity" in text or "quoteOrderQty" in text


@row(BOTH, Area.ERRORS, "an unknown symbol, side, type, interval", "-1121, -1117, -1116, -1120", refused=True)
async def test_enums(pb: Any) -> None:
    await refused(-1121, 400, pb.get_order_book, symbol="NOSUCH")
    await refused(-1117, 400, pb.create_order, symbol=VENUE_SYMBOL, side="HOLD", type="MARKET", quantity="1")
    await refused(-1116, 400, pb.create_order, symbol=VENUE_SYMBOL, side="BUY", type="WISH", quantity="1")
    await refused(-1120, 400, pb.get_klines, symbol=VENUE_SYMBOL, interval="7m")


@row(BOTH, Area.ERRORS, "cancel_order, get_order of an unknown order", "-2011, -2013", refused=True)
async def test_unknown_order(pb: Any) -> None:
    assert await refused(-2011, 400, pb.cancel_order, symbol=VENUE_SYMBOL, orderId=999999999) == "Unknown order sent."
    assert await refused(-2013, 400, pb.get_order, symbol=VENUE_SYMBOL, orderId=999999999) == "Order does not exist."


@row(BOTH, Area.ERRORS, "an unread parameter", "-1104", refused=True)
async def test_unread(pb: Any) -> None:
    await refused(-1104, 400, pb.get_account, noSuchParameter="1")


@row(BOTH, Area.ERRORS, "a wrong secret, an unknown key, a read-only key", "-1022, -2015", refused=True)
async def test_authentication(pb: Any, exchange: Exchange) -> None:
    secret = pb.API_SECRET
    pb.API_SECRET = "wrong"
    await refused(-1022, 400, pb.get_account)
    pb.API_SECRET = secret
    pb.session.headers["X-MBX-APIKEY"] = "y" * 64
    await refused(-2015, 401, pb.get_account)
    reader: Made = new_account(exchange, can_trade=False)
    pb.session.headers["X-MBX-APIKEY"], pb.API_SECRET = reader.api_key, reader.secret
    assert (await told(pb.get_account()))["canTrade"] is False
    await refused(-2015, 401, pb.order_market_buy, symbol=VENUE_SYMBOL, quantity="0.001")


@row(BOTH, Area.ERRORS, "a request from too long ago", "-1021", refused=True)
async def test_late(pb: Any) -> None:
    pb.timestamp_offset = -120_000
    await refused(-1021, 400, pb.get_account)
