"""binance-sdk-spot over REST: every answer fits the models that were generated from the venue's documents."""

import contextlib
from decimal import Decimal
from typing import Any

import pytest
from binance_common.errors import BadRequestError, UnauthorizedError

from tests.conformance.matrix import SDK_REST, Area, row
from tests.conformance.pointed import new_account
from tests.conformance.sdk import plain
from tests.conformance.told import INITIAL, VENUE_SYMBOL, assert_money_moved_by, dec, total
from tests.system.client import eventually
from tests.system.conftest import Exchange

pytestmark = pytest.mark.system


def bid(sdk: Any) -> Decimal:
    return dec(plain(sdk.rest_api.ticker_book_ticker(VENUE_SYMBOL))["bidPrice"])


def times(sdk: Any, factor: str) -> float:
    return float(round(bid(sdk) * dec(factor), 2))


def order(sdk: Any, kind: str = "LIMIT", **params: Any) -> Any:
    """A limit order that rests at half the price, or what is asked for."""
    if kind == "LIMIT":
        params = {"time_in_force": "GTC", "quantity": 0.01, "price": times(sdk, "0.5")} | params
    return plain(sdk.rest_api.new_order(VENUE_SYMBOL, params.pop("side", "BUY"), kind, **params))


def balances(sdk: Any) -> dict[str, tuple[Decimal, Decimal]]:
    return {
        one["asset"]: (dec(one["free"]), dec(one["locked"])) for one in plain(sdk.rest_api.get_account())["balances"]
    }


def opened(sdk: Any) -> list[Any]:
    return list(plain(sdk.rest_api.get_open_orders(VENUE_SYMBOL)))


def status(sdk: Any, order_id: int) -> str:
    return str(plain(sdk.rest_api.get_order(VENUE_SYMBOL, order_id=order_id))["status"])


# -- market data ------------------------------------------------------------------------------------------------------


@row(SDK_REST, Area.MARKET, "ping, time", "the clock; used weight in the headers")
async def test_time(sdk: Any) -> None:
    sdk.rest_api.ping()
    answer = sdk.rest_api.time()
    assert plain(answer)["serverTime"] > 1_600_000_000_000
    assert answer.rate_limits[0].count > 0


@row(SDK_REST, Area.MARKET, "exchange_info, execution_rules", "every symbol, and the one asked for")
async def test_exchange_info(sdk: Any) -> None:
    names = [one["symbol"] for one in plain(sdk.rest_api.exchange_info())["symbols"]]
    assert VENUE_SYMBOL in names
    [one] = plain(sdk.rest_api.exchange_info(symbol=VENUE_SYMBOL))["symbols"]
    assert (one["symbol"], one["status"], one["baseAssetPrecision"]) == (VENUE_SYMBOL, "TRADING", 8)
    assert [one["symbol"] for one in plain(sdk.rest_api.execution_rules(symbol=VENUE_SYMBOL))["symbolRules"]] == [
        VENUE_SYMBOL
    ]


@row(SDK_REST, Area.MARKET, "depth", "as deep as asked, sorted, not crossed")
async def test_depth(sdk: Any) -> None:
    book = plain(sdk.rest_api.depth(VENUE_SYMBOL, limit=10))
    bids, asks = [dec(price) for price, _ in book["bids"]], [dec(price) for price, _ in book["asks"]]
    assert (len(bids), len(asks)) == (10, 10)
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert bids[0] < asks[0]


@row(SDK_REST, Area.MARKET, "get_trades, historical_trades, agg_trades", "the same tape three times")
async def test_trades(sdk: Any) -> None:
    recent = plain(sdk.rest_api.get_trades(VENUE_SYMBOL, limit=20))
    again = plain(sdk.rest_api.historical_trades(VENUE_SYMBOL, limit=20, from_id=recent[0]["id"]))
    assert again == recent
    aggregated = plain(sdk.rest_api.agg_trades(VENUE_SYMBOL, limit=1))[0]
    n = aggregated["l"] - aggregated["f"] + 1
    parts = plain(sdk.rest_api.historical_trades(VENUE_SYMBOL, limit=n, from_id=aggregated["f"]))
    assert total(one["qty"] for one in parts) == dec(aggregated["q"])


@row(SDK_REST, Area.MARKET, "klines, ui_klines", "a second's candle is exactly the trades of that second")
async def test_klines(sdk: Any) -> None:
    async def ask() -> Any:
        return plain(sdk.rest_api.get_trades(VENUE_SYMBOL, limit=200))

    def seconds(trades: Any) -> list[int]:
        return sorted({one["time"] // 1000 * 1000 for one in trades})

    trades = await eventually(ask, lambda found: len(seconds(found)) > 2, "a whole second is over")
    second = seconds(trades)[1]
    mine = [one for one in trades if one["time"] // 1000 * 1000 == second]
    [candle] = plain(sdk.rest_api.klines(VENUE_SYMBOL, "1s", start_time=second, limit=1))
    assert candle[:2] == [second, mine[0]["price"]]
    assert (candle[4], candle[8], dec(candle[5])) == (mine[-1]["price"], len(mine), total(one["qty"] for one in mine))
    assert plain(sdk.rest_api.ui_klines(VENUE_SYMBOL, "1s", start_time=second, limit=1)) == [candle]


@row(
    SDK_REST,
    Area.MARKET,
    "ticker24hr, ticker, ticker_trading_day, ticker_price, ticker_book_ticker, avg_price",
    "consistent",
)
async def test_tickers(sdk: Any) -> None:
    hour = plain(sdk.rest_api.ticker(symbol=VENUE_SYMBOL, window_size="1h"))
    average = plain(sdk.rest_api.avg_price(VENUE_SYMBOL))
    day = plain(sdk.rest_api.ticker24hr(symbol=VENUE_SYMBOL))  # last: it has what the others have
    assert dec(day["lowPrice"]) <= dec(hour["lowPrice"]) <= dec(hour["highPrice"]) <= dec(day["highPrice"])
    today = plain(sdk.rest_api.ticker_trading_day(symbol=VENUE_SYMBOL))
    assert dec(today["lowPrice"]) <= dec(today["lastPrice"]) <= dec(today["highPrice"])
    price = dec(plain(sdk.rest_api.ticker_price(symbol=VENUE_SYMBOL))["price"])
    assert dec(day["lowPrice"]) * dec("0.9") < price < dec(day["highPrice"]) * dec("1.1")
    best = plain(sdk.rest_api.ticker_book_ticker(symbol=VENUE_SYMBOL))
    assert dec(best["bidPrice"]) < dec(best["askPrice"])
    assert dec(day["lowPrice"]) <= dec(average["price"]) <= dec(day["highPrice"])
    assert {one["symbol"] for one in plain(sdk.rest_api.ticker24hr())} == {
        one["symbol"] for one in plain(sdk.rest_api.ticker_price())
    }


# -- orders -----------------------------------------------------------------------------------------------------------


@row(SDK_REST, Area.ORDERS, "new_order MARKET by quantity", "fills = my_trades; balances add up to the last unit")
async def test_market_by_base(sdk: Any) -> None:
    made = order(sdk, "MARKET", quantity=0.01)
    trades = plain(sdk.rest_api.my_trades(VENUE_SYMBOL))
    assert made["status"] == "FILLED"
    assert [(one["id"], one["price"], one["qty"], one["commission"]) for one in trades] == [
        (one["tradeId"], one["price"], one["qty"], one["commission"]) for one in made["fills"]
    ]
    order(sdk, "MARKET", side="SELL", quantity=0.004)
    assert_money_moved_by(plain(sdk.rest_api.my_trades(VENUE_SYMBOL)), balances(sdk))


@row(SDK_REST, Area.ORDERS, "new_order MARKET by quote_order_qty", "spends no more than that")
async def test_market_by_quote(sdk: Any) -> None:
    made = order(sdk, "MARKET", quote_order_qty=300)
    assert dec("295") < dec(made["cummulativeQuoteQty"]) <= 300


@row(SDK_REST, Area.ORDERS, "new_order LIMIT, get_order, delete_order", "rests and locks; canceled it gives all back")
async def test_limit(sdk: Any) -> None:
    made = order(sdk)
    cost = dec(made["price"]) * dec("0.01")
    assert balances(sdk)["USDT"] == (INITIAL - cost, cost)
    assert status(sdk, made["orderId"]) == "NEW"
    canceled = plain(sdk.rest_api.delete_order(VENUE_SYMBOL, order_id=made["orderId"]))
    assert (canceled["status"], canceled["orderId"]) == ("CANCELED", made["orderId"])
    assert balances(sdk)["USDT"] == (INITIAL, 0)


@row(SDK_REST, Area.ORDERS, "new_order LIMIT_MAKER", "open")
async def test_limit_maker(sdk: Any) -> None:
    made = order(sdk, "LIMIT_MAKER", quantity=0.01, price=times(sdk, "0.5"))
    assert [(one["orderId"], one["type"]) for one in opened(sdk)] == [(made["orderId"], "LIMIT_MAKER")]


@row(SDK_REST, Area.ORDERS, "new_order IOC, FOK", "expire unfilled")
async def test_ioc_fok(sdk: Any) -> None:
    assert [order(sdk, time_in_force=one)["status"] for one in ("IOC", "FOK")] == ["EXPIRED", "EXPIRED"]


def conditional(sdk: Any, kind: str, **params: Any) -> Any:
    order(sdk, "MARKET", quantity=0.01)
    made = order(sdk, kind, side="SELL", quantity=0.005, **params)
    asked = plain(sdk.rest_api.get_order(VENUE_SYMBOL, order_id=made["orderId"]))
    assert (asked["type"], asked["status"], asked["isWorking"]) == (kind, "NEW", False)
    assert balances(sdk)["BTC"][1] == dec("0.005")
    return asked


@row(SDK_REST, Area.ORDERS, "new_order STOP_LOSS, STOP_LOSS_LIMIT", "wait for their stop price")
async def test_stop_losses(sdk: Any) -> None:
    stop, price = times(sdk, "0.8"), times(sdk, "0.79")
    asked = conditional(sdk, "STOP_LOSS_LIMIT", stop_price=stop, price=price, time_in_force="GTC")
    assert (dec(asked["stopPrice"]), dec(asked["price"])) == (dec(stop), dec(price))
    sdk.rest_api.delete_order(VENUE_SYMBOL, order_id=asked["orderId"])
    assert dec(conditional(sdk, "STOP_LOSS", stop_price=stop)["stopPrice"]) == dec(stop)


@row(SDK_REST, Area.ORDERS, "new_order TAKE_PROFIT, TAKE_PROFIT_LIMIT", "wait for their stop price")
async def test_take_profits(sdk: Any) -> None:
    stop, price = times(sdk, "1.2"), times(sdk, "1.19")
    asked = conditional(sdk, "TAKE_PROFIT_LIMIT", stop_price=stop, price=price, time_in_force="GTC")
    assert (dec(asked["stopPrice"]), dec(asked["price"])) == (dec(stop), dec(price))
    sdk.rest_api.delete_order(VENUE_SYMBOL, order_id=asked["orderId"])
    assert dec(conditional(sdk, "TAKE_PROFIT", stop_price=stop)["stopPrice"]) == dec(stop)


@row(SDK_REST, Area.ORDERS, "new_order with trailing_delta", "trails the market")
async def test_trailing(sdk: Any) -> None:
    assert conditional(sdk, "STOP_LOSS", trailing_delta=500)["trailingDelta"] == 500


@row(SDK_REST, Area.ORDERS, "new_order with iceberg_qty", "shows only a part of itself")
async def test_iceberg(sdk: Any) -> None:
    made = order(sdk, quantity=0.02, iceberg_qty=0.005)
    assert dec(plain(sdk.rest_api.get_order(VENUE_SYMBOL, order_id=made["orderId"]))["icebergQty"]) == dec("0.005")


@row(SDK_REST, Area.ORDERS, "order_test", "checked, not placed; rates on request")
async def test_order_test(sdk: Any) -> None:
    sdk.rest_api.order_test(VENUE_SYMBOL, "BUY", "MARKET", quantity=0.01)
    rates = plain(sdk.rest_api.order_test(VENUE_SYMBOL, "BUY", "MARKET", quantity=0.01, compute_commission_rates=True))
    assert dec(rates["standardCommissionForOrder"]["taker"]) == dec("0.001")
    assert plain(sdk.rest_api.all_orders(VENUE_SYMBOL)) == []


@row(SDK_REST, Area.ORDERS, "order_cancel_replace", "the old one canceled, the new one open")
async def test_cancel_replace(sdk: Any) -> None:
    old = order(sdk)
    found = plain(
        sdk.rest_api.order_cancel_replace(
            VENUE_SYMBOL,
            "BUY",
            "LIMIT",
            "STOP_ON_FAILURE",
            time_in_force="GTC",
            quantity=0.02,
            price=float(old["price"]),
            cancel_order_id=old["orderId"],
        )
    )
    assert (found["cancelResult"], found["newOrderResult"]) == ("SUCCESS", "SUCCESS")
    assert [one["orderId"] for one in opened(sdk)] == [found["newOrderResponse"]["orderId"]]


@row(SDK_REST, Area.ORDERS, "order_amend_keep_priority, order_amendments", "fewer lots, same order, told")
async def test_amend(sdk: Any) -> None:
    made = order(sdk, quantity=0.02)
    amended = plain(sdk.rest_api.order_amend_keep_priority(VENUE_SYMBOL, 0.01, order_id=made["orderId"]))
    assert (amended["amendedOrder"]["orderId"], dec(amended["amendedOrder"]["qty"])) == (made["orderId"], dec("0.01"))
    assert balances(sdk)["USDT"][1] == dec("0.01") * dec(made["price"])


@row(SDK_REST, Area.ORDERS, "delete_open_orders", "all of them, all money free")
async def test_cancel_all(sdk: Any) -> None:
    placed = {order(sdk)["orderId"] for _ in range(2)}
    assert {one["orderId"] for one in plain(sdk.rest_api.delete_open_orders(VENUE_SYMBOL))} == placed
    assert balances(sdk)["USDT"] == (INITIAL, 0)


@row(SDK_REST, Area.ORDERS, "get_open_orders, all_orders", "each where it belongs")
async def test_lists_of_orders(sdk: Any) -> None:
    resting, filled = order(sdk)["orderId"], order(sdk, "MARKET", quantity=0.001)["orderId"]
    assert [one["orderId"] for one in opened(sdk)] == [resting]
    every = plain(sdk.rest_api.all_orders(VENUE_SYMBOL))
    assert {one["orderId"]: one["status"] for one in every} == {resting: "NEW", filled: "FILLED"}


# -- order lists ------------------------------------------------------------------------------------------------------


def orders_of(made: Any) -> set[int]:
    return {one["orderId"] for one in made["orders"]}


@row(
    SDK_REST,
    Area.LISTS,
    "order_list_oco, get_order_list, open_order_list, delete_order_list",
    "a pair; canceled together",
)
async def test_oco(sdk: Any) -> None:
    order(sdk, "MARKET", quantity=0.01)
    made = plain(
        sdk.rest_api.order_list_oco(
            VENUE_SYMBOL,
            "SELL",
            0.005,
            "LIMIT_MAKER",
            "STOP_LOSS",
            above_price=times(sdk, "1.5"),
            below_stop_price=times(sdk, "0.5"),
        )
    )
    assert (made["contingencyType"], made["listOrderStatus"]) == ("OCO", "EXECUTING")
    assert {one["orderId"] for one in opened(sdk)} == orders_of(made)
    asked = plain(sdk.rest_api.get_order_list(order_list_id=made["orderListId"]))
    assert (orders_of(asked), asked["listStatusType"]) == (orders_of(made), "EXEC_STARTED")
    assert [one["orderListId"] for one in plain(sdk.rest_api.open_order_list())] == [made["orderListId"]]
    ended = plain(sdk.rest_api.delete_order_list(VENUE_SYMBOL, order_list_id=made["orderListId"]))
    assert (ended["listStatusType"], ended["listOrderStatus"]) == ("ALL_DONE", "ALL_DONE")
    assert balances(sdk)["BTC"][1] == 0
    assert {status(sdk, one) for one in orders_of(made)} == {"CANCELED"}


@row(SDK_REST, Area.LISTS, "order_list_oco, one leg filled", "the other leg expires")
async def test_oco_fills(sdk: Any) -> None:
    made = None
    while made is None:
        ask = order(sdk, "MARKET", quantity=0.01)["fills"][-1]["price"]
        with contextlib.suppress(BadRequestError):  # another trade came first: it would trigger at once
            made = plain(
                sdk.rest_api.order_list_oco(
                    VENUE_SYMBOL,
                    "SELL",
                    0.005,
                    "LIMIT_MAKER",
                    "STOP_LOSS",
                    above_price=times(sdk, "1.5"),
                    below_stop_price=float(dec(ask) - dec("0.01")),
                )
            )
    while plain(sdk.rest_api.get_order_list(order_list_id=made["orderListId"]))["listOrderStatus"] != "ALL_DONE":
        order(sdk, "MARKET", side="SELL", quantity=0.001)  # at the bid, below the last price: the stop is reached
    assert sorted(status(sdk, one) for one in orders_of(made)) == ["EXPIRED", "FILLED"]


@row(SDK_REST, Area.LISTS, "order_list_oto", "the pending order is placed when the working one has filled")
async def test_oto(sdk: Any) -> None:
    made = plain(
        sdk.rest_api.order_list_oto(
            VENUE_SYMBOL,
            "LIMIT",
            "BUY",
            times(sdk, "1.01"),
            0.01,
            "LIMIT_MAKER",
            "SELL",
            0.005,
            working_time_in_force="GTC",
            pending_price=times(sdk, "1.5"),
        )
    )
    assert made["contingencyType"] == "OTO"
    [pending] = opened(sdk)
    assert (pending["side"], pending["type"], pending["orderListId"]) == ("SELL", "LIMIT_MAKER", made["orderListId"])
    assert balances(sdk)["BTC"][1] == dec("0.005")


@row(SDK_REST, Area.LISTS, "order_list_otoco", "a pending pair; all canceled with the working order")
async def test_otoco(sdk: Any) -> None:
    made = plain(
        sdk.rest_api.order_list_otoco(
            VENUE_SYMBOL,
            "LIMIT",
            "BUY",
            times(sdk, "0.5"),
            0.01,
            "SELL",
            0.005,
            "LIMIT_MAKER",
            working_time_in_force="GTC",
            pending_above_price=times(sdk, "1.5"),
            pending_below_type="STOP_LOSS",
            pending_below_stop_price=times(sdk, "0.3"),
        )
    )
    assert (made["contingencyType"], len(made["orders"])) == ("OTO", 3)
    plain(sdk.rest_api.delete_order_list(VENUE_SYMBOL, order_list_id=made["orderListId"]))
    assert opened(sdk) == []
    assert balances(sdk)["USDT"] == (INITIAL, 0)


@row(SDK_REST, Area.LISTS, "order_list_opo", "sells what the working order bought")
async def test_opo(sdk: Any) -> None:
    made = plain(
        sdk.rest_api.order_list_opo(
            VENUE_SYMBOL,
            "LIMIT",
            "BUY",
            times(sdk, "1.01"),
            0.01,
            "LIMIT_MAKER",
            "SELL",
            working_time_in_force="GTC",
            pending_price=times(sdk, "1.5"),
        )
    )

    async def in_the_book() -> list[Any]:
        return [one for one in opened(sdk) if one["status"] == "NEW"]

    [pending] = await eventually(in_the_book, lambda found: len(found) == 1, "the pending order placed")
    assert (pending["side"], pending["orderListId"]) == ("SELL", made["orderListId"])
    assert dec(pending["origQty"]) == dec("0.00999")


# -- account ----------------------------------------------------------------------------------------------------------


@row(
    SDK_REST,
    Area.ACCOUNT,
    "get_account, account_commission, rate_limit_order, my_filters",
    "money, fees, counts, limits",
)
async def test_account(sdk: Any) -> None:
    assert balances(sdk)["USDT"] == (INITIAL, 0)
    assert dec(plain(sdk.rest_api.account_commission(VENUE_SYMBOL))["standardCommission"]["taker"]) == dec("0.001")

    async def counts() -> Any:
        order(sdk)
        return {one["interval"]: one["count"] for one in plain(sdk.rest_api.rate_limit_order())}

    # A window of ten seconds may end between the order and the question.
    counted = await eventually(counts, lambda found: found["SECOND"] > 0, "the order is counted")
    assert counted["SECOND"] <= counted["DAY"] == len(opened(sdk))
    assert plain(sdk.rest_api.my_filters(VENUE_SYMBOL))["symbolFilters"]


@row(SDK_REST, Area.ACCOUNT, "my_prevented_matches, my_allocations", "none")
async def test_nothing_prevented(sdk: Any) -> None:
    made = order(sdk)
    assert plain(sdk.rest_api.my_prevented_matches(VENUE_SYMBOL, order_id=made["orderId"])) == []
    assert plain(sdk.rest_api.my_allocations(VENUE_SYMBOL)) == []


# -- errors -----------------------------------------------------------------------------------------------------------


def refused(kind: type[Exception], code: int, text: str, call: Any, *args: Any, **params: Any) -> None:
    with pytest.raises(kind) as found:
        call(*args, **params)
    assert (found.value.status_code, found.value.error_message) == (code, text)  # type: ignore[attr-defined]


@row(SDK_REST, Area.ERRORS, "new_order without funds, against a filter", "BadRequestError -2010, -1013", refused=True)
async def test_refused_orders(sdk: Any) -> None:
    text = "Account has insufficient balance for requested action."
    refused(BadRequestError, -2010, text, order, sdk, "MARKET", quantity=50)
    refused(BadRequestError, -1013, "Filter failure: NOTIONAL", order, sdk, quantity=0.0001)


@row(SDK_REST, Area.ERRORS, "new_order with quantity 0.00006", "-1100: the client sends 6e-05", refused=True)
async def test_exponent(sdk: Any) -> None:
    with pytest.raises(BadRequestError) as found:
        order(sdk, "MARKET", quantity=0.00006)
    assert found.value.status_code == -1100
    assert "'quantity'" in str(found.value.error_message)


@row(SDK_REST, Area.ERRORS, "get_order, delete_order of an unknown order", "BadRequestError -2013, -2011", refused=True)
async def test_unknown_order(sdk: Any) -> None:
    api = sdk.rest_api
    refused(BadRequestError, -2013, "Order does not exist.", api.get_order, VENUE_SYMBOL, order_id=999999999)
    refused(BadRequestError, -2011, "Unknown order sent.", api.delete_order, VENUE_SYMBOL, order_id=999999999)


@row(SDK_REST, Area.ERRORS, "an unknown symbol", "BadRequestError -1121", refused=True)
async def test_unknown_symbol(sdk: Any) -> None:
    refused(BadRequestError, -1121, "Invalid symbol.", sdk.rest_api.depth, "NOSUCH")


@row(SDK_REST, Area.ERRORS, "new_order with a key that may only read", "UnauthorizedError -2015", refused=True)
async def test_read_only(sdk: Any, exchange: Exchange) -> None:
    reader = new_account(exchange, can_trade=False)
    configuration = sdk._rest_api_config
    configuration.api_key, configuration.api_secret = reader.api_key, reader.secret
    configuration.base_headers["X-MBX-APIKEY"] = reader.api_key
    text = "Invalid API-key, IP, or permissions for action."
    refused(UnauthorizedError, -2015, text, sdk.rest_api.new_order, VENUE_SYMBOL, "BUY", "MARKET", quantity=0.01)


@row(SDK_REST, Area.ERRORS, "sor_order", "refused: the symbol has no smart order routing", refused=True)
async def test_sor(sdk: Any) -> None:
    with pytest.raises(BadRequestError) as found:
        sdk.rest_api.sor_order(VENUE_SYMBOL, "BUY", "MARKET", 0.01)
    assert found.value.status_code == -2010
