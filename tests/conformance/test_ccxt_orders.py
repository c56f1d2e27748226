"""ccxt, sync and async: placing, editing, canceling, asking; money to the last unit."""

from decimal import Decimal
from typing import Any

import pytest

from tests.conformance.matrix import CCXT, CCXT_ASYNC, Area, row
from tests.conformance.told import INITIAL, SYMBOL, assert_money_moved_by, by_id, dec, told, total

pytestmark = pytest.mark.system
BOTH = (CCXT, CCXT_ASYNC)


async def best(bot: Any) -> tuple[Decimal, Decimal]:
    book = await told(bot.fetch_order_book(SYMBOL, 5))
    return dec(book["bids"][0][0]), dec(book["asks"][0][0])


async def far_bid(bot: Any, amount: str = "0.01", **params: Any) -> Any:
    """A limit order that rests at half the price."""
    price = bot.price_to_precision(SYMBOL, float((await best(bot))[0] / 2))
    return await told(bot.create_order(SYMBOL, "limit", "buy", float(amount), float(price), params))


async def held(bot: Any) -> dict[str, tuple[Decimal, Decimal]]:
    """asset -> free, locked; exact."""
    account = (await told(bot.fetch_balance()))["info"]
    return {one["asset"]: (dec(one["free"]), dec(one["locked"])) for one in account["balances"]}


async def assert_balances_add_up(bot: Any) -> None:
    assert_money_moved_by([one["info"] for one in await told(bot.fetch_my_trades(SYMBOL))], await held(bot))


@row(BOTH, Area.ACCOUNT, "fetch_balance", "the initial money, free")
async def test_balance(bot: Any) -> None:
    balance = await told(bot.fetch_balance())
    assert balance["USDT"] == {"free": 100_000.0, "used": 0.0, "total": 100_000.0}
    assert balance["BTC"]["total"] == 0


@row(BOTH, Area.ORDERS, "create_order market by base", "filled; fills = my trades; balances add up to the last unit")
async def test_market_by_base(bot: Any) -> None:
    order = await told(bot.create_order(SYMBOL, "market", "buy", 0.05))
    assert (order["status"], order["filled"], order["remaining"]) == ("closed", 0.05, 0)
    raw = order["info"]
    trades = by_id(await told(bot.fetch_my_trades(SYMBOL)))
    assert [one["id"] for one in trades] == [str(fill["tradeId"]) for fill in raw["fills"]]
    assert total(one["info"]["qty"] for one in trades) == dec("0.05")
    assert total(one["info"]["quoteQty"] for one in trades) == dec(raw["cummulativeQuoteQty"])
    assert [one["info"]["commission"] for one in trades] == [fill["commission"] for fill in raw["fills"]]
    await assert_balances_add_up(bot)
    sold = await told(bot.create_order(SYMBOL, "market", "sell", 0.03))
    assert sold["filled"] == 0.03
    await assert_balances_add_up(bot)


@row(BOTH, Area.ORDERS, "create_market_buy_order_with_cost", "spends at most the cost, all but less than a lot of it")
async def test_market_by_quote(bot: Any) -> None:
    order = await told(bot.create_market_buy_order_with_cost(SYMBOL, 1000))
    spent = dec(order["info"]["cummulativeQuoteQty"])
    worst = max(dec(fill["price"]) for fill in order["info"]["fills"])
    assert 1000 - worst * dec("0.00001") <= spent <= 1000
    assert order["status"] == "closed"
    await assert_balances_add_up(bot)


@row(BOTH, Area.ORDERS, "create_order limit", "rests, locks its cost; canceled it gives all back")
async def test_limit(bot: Any) -> None:
    order = await far_bid(bot)
    assert (order["status"], order["filled"], order["timeInForce"]) == ("open", 0, "GTC")
    cost = dec(order["info"]["price"]) * dec("0.01")
    assert (await held(bot))["USDT"] == (INITIAL - cost, cost)
    canceled = await told(bot.cancel_order(order["id"], SYMBOL))
    assert (canceled["status"], canceled["id"]) == ("canceled", order["id"])
    assert (await held(bot))["USDT"] == (INITIAL, 0)


@row(BOTH, Area.ORDERS, "create_order limit, crossing", "fills at the book's prices, never above its own")
async def test_crossing_limit(bot: Any) -> None:
    _, ask = await best(bot)
    order = await told(bot.create_order(SYMBOL, "limit", "buy", 0.001, float(round(ask * dec("1.01"), 2))))
    assert order["status"] == "closed"
    assert dec(order["info"]["fills"][0]["price"]) <= dec(order["info"]["price"])
    await assert_balances_add_up(bot)


@row(BOTH, Area.ORDERS, "create_order limit IOC", "what does not fill expires at once")
async def test_ioc(bot: Any) -> None:
    order = await far_bid(bot, timeInForce="IOC")
    assert (order["status"], order["filled"]) == ("expired", 0)
    assert (await held(bot))["USDT"] == (INITIAL, 0)


@row(BOTH, Area.ORDERS, "create_order limit FOK", "expires whole when the book has too little")
async def test_fok(bot: Any) -> None:
    order = await far_bid(bot, timeInForce="FOK")
    assert (order["status"], order["filled"]) == ("expired", 0)
    _, ask = await best(bot)
    filled = await told(
        bot.create_order(SYMBOL, "limit", "buy", 0.0001, float(round(ask * dec("1.01"), 2)), {"timeInForce": "FOK"})
    )
    assert (filled["status"], filled["filled"]) == ("closed", 0.0001)


@row(BOTH, Area.ORDERS, "create_order post-only (LIMIT_MAKER)", "rests as a maker")
async def test_limit_maker(bot: Any) -> None:
    order = await far_bid(bot, postOnly=True)
    fetched = await told(bot.fetch_order(order["id"], SYMBOL))
    assert (fetched["status"], fetched["info"]["type"], fetched["postOnly"]) == ("open", "LIMIT_MAKER", True)


@row(BOTH, Area.ORDERS, "create_order stop-loss", "waits as a STOP_LOSS order, canceled it gives all back")
async def test_stop_loss(bot: Any) -> None:
    bid, _ = await best(bot)
    await told(bot.create_order(SYMBOL, "market", "buy", 0.01))
    stop = float(round(bid * dec("0.8"), 2))
    order = await told(bot.create_order(SYMBOL, "market", "sell", 0.005, None, {"stopLossPrice": stop}))
    fetched = await told(bot.fetch_order(order["id"], SYMBOL))
    assert (fetched["status"], fetched["info"]["type"], fetched["stopPrice"]) == ("open", "STOP_LOSS", stop)
    assert (await held(bot))["BTC"][1] == dec("0.005")
    await told(bot.cancel_order(order["id"], SYMBOL))
    await assert_balances_add_up(bot)
    assert (await held(bot))["BTC"][1] == 0


@row(BOTH, Area.ORDERS, "create_order stop-loss-limit", "waits as a STOP_LOSS_LIMIT order at its two prices")
async def test_stop_loss_limit(bot: Any) -> None:
    await told(bot.create_order(SYMBOL, "market", "buy", 0.01))
    bid, _ = await best(bot)
    stop, price = float(round(bid * dec("0.8"), 2)), float(round(bid * dec("0.79"), 2))
    order = await told(bot.create_order(SYMBOL, "limit", "sell", 0.005, price, {"stopLossPrice": stop}))
    fetched = await told(bot.fetch_order(order["id"], SYMBOL))
    assert (fetched["info"]["type"], fetched["stopPrice"], fetched["price"]) == ("STOP_LOSS_LIMIT", stop, price)


@row(BOTH, Area.ORDERS, "create_order take-profit", "waits as a TAKE_PROFIT order")
async def test_take_profit(bot: Any) -> None:
    await told(bot.create_order(SYMBOL, "market", "buy", 0.01))
    bid, _ = await best(bot)
    target = float(round(bid * dec("1.3"), 2))
    order = await told(bot.create_order(SYMBOL, "market", "sell", 0.005, None, {"takeProfitPrice": target}))
    fetched = await told(bot.fetch_order(order["id"], SYMBOL))
    assert (fetched["status"], fetched["info"]["type"], fetched["stopPrice"]) == ("open", "TAKE_PROFIT", target)


@row(BOTH, Area.ORDERS, "create_order take-profit-limit", "waits as a TAKE_PROFIT_LIMIT order at its two prices")
async def test_take_profit_limit(bot: Any) -> None:
    await told(bot.create_order(SYMBOL, "market", "buy", 0.01))
    bid, _ = await best(bot)
    target, price = float(round(bid * dec("1.3"), 2)), float(round(bid * dec("1.29"), 2))
    order = await told(bot.create_order(SYMBOL, "limit", "sell", 0.005, price, {"takeProfitPrice": target}))
    fetched = await told(bot.fetch_order(order["id"], SYMBOL))
    assert (fetched["info"]["type"], fetched["stopPrice"], fetched["price"]) == ("TAKE_PROFIT_LIMIT", target, price)


@row(BOTH, Area.ORDERS, "create_order trailing percent", "a STOP_LOSS that trails the market by 5 %")
async def test_trailing(bot: Any) -> None:
    await told(bot.create_order(SYMBOL, "market", "buy", 0.01))
    order = await told(
        bot.create_order(
            SYMBOL, "market", "sell", 0.005, None, {"trailingPercent": 5, "stopLossOrTakeProfit": "stopLoss"}
        )
    )
    fetched = await told(bot.fetch_order(order["id"], SYMBOL))
    assert fetched["status"] == "open"
    assert (fetched["info"]["type"], str(fetched["info"]["trailingDelta"])) == ("STOP_LOSS", "500")


@row(BOTH, Area.ORDERS, "create_order iceberg", "shows only a part of itself")
async def test_iceberg(bot: Any) -> None:
    order = await far_bid(bot, "0.02", icebergQty="0.005")
    fetched = await told(bot.fetch_order(order["id"], SYMBOL))
    assert dec(fetched["info"]["icebergQty"]) == dec("0.005")
    assert fetched["remaining"] == 0.02


@row(BOTH, Area.ORDERS, "create_order with clientOrderId", "is found by it")
async def test_client_order_id(bot: Any) -> None:
    order = await far_bid(bot, clientOrderId="my-order-1")
    fetched = await told(bot.fetch_order(None, SYMBOL, {"clientOrderId": "my-order-1"}))
    assert (fetched["id"], fetched["clientOrderId"]) == (order["id"], "my-order-1")


@row(BOTH, Area.ORDERS, "create_order test", "checked, not placed")
async def test_test_order(bot: Any) -> None:
    await far_bid(bot, test=True)
    assert await told(bot.fetch_orders(SYMBOL)) == []


@row(BOTH, Area.ORDERS, "edit_order (cancelReplace)", "the old one canceled, the new one in its place")
async def test_edit(bot: Any) -> None:
    order = await far_bid(bot)
    price = float(round(dec(order["price"]) - 100, 2))
    edited = await told(bot.edit_order(order["id"], SYMBOL, "limit", "buy", 0.02, price))
    assert edited["id"] != order["id"]
    assert (edited["amount"], edited["price"], edited["status"]) == (0.02, price, "open")
    assert (await told(bot.fetch_order(order["id"], SYMBOL)))["status"] == "canceled"
    assert (await held(bot))["USDT"][1] == dec("0.02") * dec(price)


@row(BOTH, Area.ORDERS, "private_put_order_amend_keeppriority", "fewer lots, same order, the rest given back")
async def test_amend(bot: Any) -> None:
    order = await far_bid(bot, "0.02")
    request = {"symbol": "BTCUSDT", "orderId": order["id"], "newQty": "0.01"}
    amended = (await told(bot.request("order/amend/keepPriority", ["private"], "PUT", request)))["amendedOrder"]
    assert (str(amended["orderId"]), dec(amended["qty"])) == (order["id"], dec("0.01"))
    assert (await held(bot))["USDT"][1] == dec("0.01") * dec(order["info"]["price"])


@row(BOTH, Area.ORDERS, "cancel_all_orders", "nothing left open, all free again")
async def test_cancel_all(bot: Any) -> None:
    placed = {(await far_bid(bot))["id"] for _ in range(3)}
    assert {one["id"] for one in await told(bot.cancel_all_orders(SYMBOL))} == placed
    assert await told(bot.fetch_open_orders(SYMBOL)) == []
    assert (await held(bot))["USDT"] == (INITIAL, 0)


@row(BOTH, Area.ORDERS, "fetch_open_orders, fetch_closed_orders, fetch_orders", "each order in the lists it belongs to")
async def test_lists_of_orders(bot: Any) -> None:
    resting = (await far_bid(bot))["id"]
    canceled = (await far_bid(bot))["id"]
    await told(bot.cancel_order(canceled, SYMBOL))
    filled = (await told(bot.create_order(SYMBOL, "market", "buy", 0.001)))["id"]
    assert [one["id"] for one in await told(bot.fetch_open_orders(SYMBOL))] == [resting]
    assert [one["id"] for one in await told(bot.fetch_closed_orders(SYMBOL))] == [filled]
    assert [one["id"] for one in await told(bot.fetch_canceled_orders(SYMBOL))] == [canceled]
    assert {one["id"]: one["status"] for one in await told(bot.fetch_orders(SYMBOL))} == {
        resting: "open", canceled: "canceled", filled: "closed",
    }  # fmt: skip


@row(BOTH, Area.ORDERS, "fetch_order", "the same as when it was placed")
async def test_fetch_order(bot: Any) -> None:
    order = await told(bot.create_order(SYMBOL, "market", "buy", 0.002))
    fetched = await told(bot.fetch_order(order["id"], SYMBOL))
    for name in ("id", "clientOrderId", "status", "filled", "cost", "average", "side", "amount"):
        assert fetched[name] == order[name], name


@row(BOTH, Area.ORDERS, "fetch_order_trades", "the trades of that order and no other")
async def test_order_trades(bot: Any) -> None:
    await told(bot.create_order(SYMBOL, "market", "buy", 0.002))
    order = await told(bot.create_order(SYMBOL, "market", "buy", 0.003))
    trades = await told(bot.fetch_order_trades(order["id"], SYMBOL))
    assert {one["order"] for one in trades} == {order["id"]}
    assert total(one["info"]["qty"] for one in trades) == dec("0.003")
    assert {one["takerOrMaker"] for one in trades} == {"taker"}


@row(BOTH, Area.LISTS, "private_post_orderlist_oco, private_delete_orderlist", "a pair; canceled together")
async def test_oco(bot: Any) -> None:
    await told(bot.create_order(SYMBOL, "market", "buy", 0.01))
    bid, _ = await best(bot)
    made = await told(
        bot.private_post_orderlist_oco(
            {
                "symbol": "BTCUSDT", "side": "SELL", "quantity": "0.005", "aboveType": "LIMIT_MAKER",
                "abovePrice": str(round(bid * 2, 2)), "belowType": "STOP_LOSS", "belowStopPrice": str(round(bid / 2, 2)),
            }
        )
    )  # fmt: skip
    opened = await told(bot.fetch_open_orders(SYMBOL))
    assert {one["id"] for one in opened} == {str(one["orderId"]) for one in made["orders"]}
    await told(bot.private_delete_orderlist({"symbol": "BTCUSDT", "orderListId": made["orderListId"]}))
    assert await told(bot.fetch_open_orders(SYMBOL)) == []
    await assert_balances_add_up(bot)
