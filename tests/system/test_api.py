"""Everything the HTTP API promises, from registering to the last unit of the portfolio.

Answers are checked against /openapi.json as they come (`tests.system.client.Contract`).
"""

import asyncio
import re
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any, Final
from urllib.parse import urljoin

import aiohttp
import asyncpg
import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from prometheus_client.parser import text_string_to_metric_families

from deploy import demo
from tests.system.client import PROBLEM_FIELDS, Client, Json, eventually
from tests.system.conftest import PASSWORD, Exchange, User

pytestmark = pytest.mark.system

INITIAL: Final = Decimal(100_000)
BTC, ETH = "BTCUSDT", "ETHUSDT"
FAR: Final = {
    "BTCUSDT": ("50000", "0.0002"), "ETHUSDT": ("2000", "0.005"), "BNBUSDT": ("400", "0.02"),
    "SOLUSDT": ("100", "0.1"), "XRPUSDT": ("1.2", "5"), "DOGEUSDT": ("0.2", "30"), "ADAUSDT": ("0.5", "12"),
    "LTCUSDT": ("60", "0.1"),
}  # fmt: skip
"""A price far below the market and a small quantity, by symbol: an order that rests."""


def resting(symbol: str = BTC, **more: Any) -> Json:
    price, quantity = FAR[symbol]
    return {"symbol": symbol, "type": "LIMIT", "price": price, "quantity": quantity, **more}


# -- identity ------------------------------------------------------------------------------------------------


async def test_register_login_refresh_logout_me(exchange: Exchange, anyone: Client, new_user: User) -> None:
    """HT-A01, HT-A02."""
    async with exchange.client(new_user) as client:
        me = await client.get("/api/auth/me")
        assert (me["user_id"], me["username"], me["role"]) == (new_user.user_id, new_user.username, "user")

        signed_in = await anyone.post("/api/auth/login", {"username": new_user.username.upper(), "password": PASSWORD})
        renewed = await anyone.post("/api/auth/refresh", {"refresh_token": signed_in["refresh_token"]})
        assert renewed["user"] == signed_in["user"] == me
        again = await anyone.call("POST", "/api/auth/refresh", {"refresh_token": signed_in["refresh_token"]})
        assert again.refusal == (401, "SESSION_REVOKED", None), "a refresh token is good once"

        assert (await client.call("POST", "/api/auth/logout")).status == 204
        assert (await client.call("GET", "/api/auth/me")).refusal == (401, "SESSION_REVOKED", None)
        assert (await anyone.call("GET", "/api/auth/me")).refusal == (401, "UNAUTHENTICATED", None)


async def test_names_are_taken_once_and_wrong_passwords_refused(anyone: Client, alice: User) -> None:
    taken = await anyone.call("POST", "/api/auth/register", {"username": alice.username, "password": PASSWORD})
    assert taken.refusal == (409, "USERNAME_TAKEN", "username")
    weak = await anyone.call("POST", "/api/auth/register", {"username": "somebody", "password": "1234567890"})
    assert weak.refusal == (422, "WEAK_PASSWORD", "password")
    wrong = await anyone.call("POST", "/api/auth/login", {"username": alice.username, "password": "wrong horse"})
    assert wrong.refusal == (401, "INVALID_CREDENTIALS", None)


# -- market data ---------------------------------------------------------------------------------------------


async def test_symbols_tell_their_filters(anyone: Client) -> None:
    listed = (await anyone.get("/api/market/symbols"))["symbols"]
    assert [one["symbol"] for one in listed] == list(FAR)
    one = (await anyone.get("/api/market/symbols", symbol=BTC))["symbols"][0]
    assert (one["base_asset"], one["quote_asset"], one["tick_size"], one["lot_size"]) == (
        "BTC", "USDT", "0.01", "0.00001",
    )  # fmt: skip
    assert one["order_types"] == [
        "LIMIT", "MARKET", "LIMIT_MAKER", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT",
    ]  # fmt: skip
    assert one["maker_fee"] == one["taker_fee"] == "0.001"


async def test_prices_depth_trades_and_candles_tell_the_same_market(anyone: Client) -> None:
    await anyone.top_of_book(BTC)

    async def trades() -> list[Json]:
        found: list[Json] = (await anyone.get("/api/market/trades", symbol=BTC, limit=5))["trades"]
        return found

    newest = await eventually(trades, lambda found: len(found) == 5, "five trades on the tape")
    ids = [one["trade_id"] for one in newest]
    assert ids == list(range(ids[0], ids[0] + 5)), "the tape has no holes and is oldest first"
    from_there = await anyone.get("/api/market/trades", symbol=BTC, from_id=ids[1], limit=2)
    assert from_there["trades"] == newest[1:3]
    assert all(Decimal(t["quote"]) == Decimal(t["price"]) * Decimal(t["quantity"]) for t in newest)

    depth = await anyone.get("/api/market/depth", symbol=BTC, limit=5)
    bids, asks = ([Decimal(price) for price, _ in depth[side]] for side in ("bids", "asks"))
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert len(bids) == len(asks) == 5
    assert bids[0] < asks[0]

    ticker = (await anyone.get("/api/market/prices", symbol=BTC))["prices"][0]
    assert Decimal(ticker["low"]) <= Decimal(ticker["last_price"]) <= Decimal(ticker["high"])
    assert len((await anyone.get("/api/market/prices"))["prices"]) == len(FAR)

    for interval, minutes in (("1m", 1), ("1h", 60), ("1d", 1440)):
        found = await anyone.get("/api/market/history", symbol=BTC, interval=interval)
        for candle in found["candles"]:
            assert candle["open_ms"] % (minutes * 60_000) == 0
            low, high = Decimal(candle["low"]), Decimal(candle["high"])
            assert low <= Decimal(candle["open"]) <= high
            assert low <= Decimal(candle["close"]) <= high
    later = newest[-1]["ts_ns"] // 1_000_000 + 86_400_000
    assert (await anyone.get("/api/market/history", symbol=BTC, start_ms=later))["candles"] == []


# -- placing -------------------------------------------------------------------------------------------------


async def test_market_orders_by_quantity_and_by_quote(trader: Client) -> None:
    bought = await trader.buy(BTC, quantity="0.01")
    assert (bought["status"], bought["executed_quantity"], bought["remaining_quantity"]) == (
        "FILLED", "0.01000", "0.00000",
    )  # fmt: skip
    assert sum(Decimal(f["quantity"]) for f in bought["fills"]) == Decimal("0.01")
    spent = sum(Decimal(f["price"]) * Decimal(f["quantity"]) for f in bought["fills"])
    assert Decimal(bought["executed_quote"]) == spent
    assert [Decimal(f["commission"]) for f in bought["fills"]] == [
        Decimal(f["quantity"]) / 1000 for f in bought["fills"]
    ]
    assert {f["commission_asset"] for f in bought["fills"]} == {"BTC"}

    by_quote = await trader.buy(BTC, quote_quantity="500")
    assert by_quote["status"] == "FILLED"
    unspent = Decimal(500) - Decimal(by_quote["executed_quote"])
    assert 0 <= unspent < Decimal("0.00001") * Decimal(by_quote["average_price"]) * 2, "less than one lot is left"

    sold = await trader.sell(BTC, quantity="0.005")
    assert sold["status"] == "FILLED"
    assert {f["commission_asset"] for f in sold["fills"]} == {"USDT"}
    by_quote = await trader.sell(BTC, quote_quantity="100")
    assert by_quote["status"] == "FILLED"
    assert Decimal(by_quote["executed_quote"]) <= 100


async def test_a_limit_order_rests_is_amended_replaced_and_canceled(trader: Client) -> None:
    placed = await trader.buy(**resting(quantity="0.01", client_order_id="first"))
    assert (placed["status"], placed["client_order_id"], placed["fills"]) == ("NEW", "first", [])
    _, balances = await trader.standing()
    assert balances["USDT"] == ("99500.00000000", "500.00000000")
    path = f"/api/trading/orders/{placed['order_id']}"

    amended = (await trader.call("PATCH", path, {"quantity": "0.008"})).ok()
    assert (amended["order_id"], amended["quantity"], amended["status"]) == (
        placed["order_id"],
        "0.00800",
        "NEW",
    )
    assert amended["updated_ns"] > placed["updated_ns"]
    assert await trader.order(placed["order_id"]) == amended
    assert (await trader.get("/api/trading/orders", open="true"))["orders"] == [amended]
    more = await trader.call("PATCH", path, {"quantity": "0.008"})
    assert more.refusal == (422, "AMEND_NOT_REDUCED", "quantity")
    _, balances = await trader.standing()
    assert balances["USDT"] == ("99600.00000000", "400.00000000"), "what the amendment freed is free"

    replaced = (
        await trader.call("PUT", path, {"quantity": "0.009", "price": "50001", "client_order_id": "second"})
    ).ok()
    assert replaced["order_id"] != placed["order_id"]
    assert (replaced["price"], replaced["quantity"], replaced["status"]) == ("50001.00", "0.00900", "NEW")
    opened = (await trader.get("/api/trading/orders", open="true"))["orders"]
    assert opened == [replaced]

    canceled = (await trader.call("DELETE", f"/api/trading/orders/{replaced['order_id']}")).ok()
    assert (canceled["status"], canceled["reason"]) == ("CANCELED", "USER_CANCELED")
    again = await trader.call("DELETE", f"/api/trading/orders/{replaced['order_id']}")
    assert again.refusal == (404, "UNKNOWN_ORDER", "order_id")
    assert await trader.held() == {"USDT": INITIAL}

    async def first() -> list[Json]:
        found: list[Json] = (await trader.get("/api/trading/orders", client_order_id="first"))["orders"]
        return found

    ended = await eventually(first, lambda found: bool(found) and found[0]["status"] == "CANCELED", "history knows it")
    assert (ended[0]["order_id"], ended[0]["reason"]) == (placed["order_id"], "REPLACED")


async def test_time_in_force(trader: Client) -> None:
    killed = await trader.buy(**resting(time_in_force="FOK"))
    assert (killed["status"], killed["reason"]) == ("EXPIRED", "FOK_UNFILLED")
    unfilled = await trader.buy(**resting(time_in_force="IOC"))
    assert (unfilled["status"], unfilled["reason"]) == ("EXPIRED", "IOC_UNFILLED")
    _, ask = await trader.top_of_book(BTC)
    maker = await trader.call("POST", "/api/trading/buy", resting(type="LIMIT_MAKER", price=str(ask + 100)))
    assert maker.refusal == (422, "WOULD_TAKE", None)
    taken = await trader.buy(**resting(price=str(ask + 100), time_in_force="FOK"))
    assert taken["status"] == "FILLED"
    assert (await trader.get("/api/trading/orders", open="true"))["orders"] == []


async def test_cancel_all_of_one_symbol_and_of_all(trader: Client) -> None:
    for symbol in (BTC, BTC, ETH):
        await trader.buy(**resting(symbol))
    one = (await trader.call("DELETE", "/api/trading/orders", symbol=BTC)).ok()["canceled"]
    assert [(o["symbol"], o["status"]) for o in one] == [(BTC, "CANCELED")] * 2
    assert [o["symbol"] for o in await trader.cancel_all()] == [ETH]
    assert await trader.post("/api/v1/trading/echo", resting()) == {"symbol": BTC}
    assert await trader.cancel_all() == []
    assert await trader.held() == {"USDT": INITIAL}


async def test_a_thousand_orders_in_one_request_have_their_results_in_order(trader: Client) -> None:
    symbols = list(FAR)
    orders = [{"side": "BUY", **resting(symbols[k % 8], client_order_id=f"n-{k}")} for k in range(1000)]
    for k in range(7, 1000, 40):
        orders[k]["quantity"] = "0.000000001"
    for k in range(11, 1000, 40):
        orders[k]["client_order_id"] = "n-0"
    for k in range(13, 1000, 40):
        orders[k]["symbol"] = "NOPEUSDT"
    results = (await trader.post("/api/trading/orders", {"orders": orders}))["results"]
    assert len(results) == 1000
    wrong = {7: "LOT_SIZE", 11: "DUPLICATE_CLIENT_ORDER_ID", 13: "UNKNOWN_SYMBOL"}
    for k, result in enumerate(results):
        if k >= 7 and k % 40 in wrong:
            assert result["order"] is None
            assert result["error"]["code"] == wrong[k % 40], (k, result)
        else:
            assert result["error"] is None, (k, result)
            assert (result["order"]["client_order_id"], result["order"]["status"]) == (f"n-{k}", "NEW")
    assert len(await trader.cancel_all()) == 1000 - 75
    assert await trader.held() == {"USDT": INITIAL}


async def test_an_order_is_found_by_its_client_order_id_open_or_ended(trader: Client) -> None:
    """HT-I01, HT-I02."""
    placed = await trader.buy(**resting(client_order_id="mine"))
    opened = await trader.get("/api/trading/orders", client_order_id="mine", open="true")
    assert opened["orders"] == [placed]
    twice = await trader.call("POST", "/api/trading/buy", resting(client_order_id="mine"))
    assert twice.refusal == (409, "DUPLICATE_CLIENT_ORDER_ID", "client_order_id")
    canceled = (await trader.call("DELETE", f"/api/trading/orders/{placed['order_id']}")).ok()

    async def mine() -> Any:
        found = await trader.get("/api/trading/orders", client_order_id="mine", limit=1)
        return found["orders"][0] if found["orders"] else None

    await eventually(mine, lambda found: found == canceled, "history has the order as it ended")
    reused = await trader.buy(**resting(client_order_id="mine"))
    assert reused["order_id"] != placed["order_id"], "unique while open"


async def test_orders_are_listed_newest_first_page_by_page(trader: Client) -> None:
    placed = [(await trader.buy(**resting(BTC if k % 2 else ETH)))["order_id"] for k in range(6)]

    async def stored() -> list[int]:
        found = await trader.get("/api/trading/orders", limit=6)
        return [one["order_id"] for one in found["orders"]]

    await eventually(stored, lambda found: found == placed[::-1], "history has them all")
    for more in ({}, {"open": "true"}):
        page = await trader.get("/api/trading/orders", before_id=placed[4], limit=2, **more)
        assert [one["order_id"] for one in page["orders"]] == [placed[3], placed[2]]
        page = await trader.get("/api/trading/orders", before_id=placed[5], limit=2, symbol=BTC, **more)
        assert [one["order_id"] for one in page["orders"]] == [placed[3], placed[1]]


async def test_a_stored_order_tells_the_same_as_its_answer(trader: Client) -> None:
    """Ended orders come from the projection, open ones from the live account: no client sees which."""
    answers = [
        await trader.buy(**resting()),
        await trader.buy(BTC, quantity="0.001"),
        await trader.buy(BTC, quote_quantity="50"),
        await trader.buy(**resting(time_in_force="IOC")),
        await trader.sell(BTC, quantity="0.0005"),
    ]

    told = [{**one, "fills": []} for one in answers]
    for one in told:
        assert await trader.order(one["order_id"]) == one, "at once"

    async def stored() -> list[Json]:
        found: list[Json] = (await trader.get("/api/trading/orders", limit=5))["orders"][::-1]
        return found

    await eventually(stored, lambda found: found == told, f"history tells {told}")


async def test_an_order_that_just_ended_is_found_at_once_by_both_ids(trader: Client) -> None:
    """HT-I02, HT-I03: never 404, never an older status."""
    for turn in range(40):
        name = f"turn-{turn % 3}"
        if turn % 4 == 0:
            told = await trader.buy(BTC, quantity="0.001", client_order_id=name)
        elif turn % 4 == 1:
            told = await trader.buy(**resting(time_in_force="IOC", client_order_id=name))
        elif turn % 4 == 2:
            told = await trader.sell(BTC, quantity="0.0004", client_order_id=name)
        else:
            placed = await trader.buy(**resting(client_order_id=name))
            assert await trader.order(placed["order_id"]) == placed
            told = (await trader.call("DELETE", f"/api/trading/orders/{placed['order_id']}")).ok()
        assert told["status"] in ("FILLED", "EXPIRED", "CANCELED")
        told = {**told, "fills": []}
        assert await trader.order(told["order_id"]) == told
        listed = (await trader.get("/api/trading/orders", client_order_id=name))["orders"]
        assert listed[0] == told
        ids = [one["order_id"] for one in listed]
        assert ids == sorted(set(ids), reverse=True)
        assert len(ids) == turn // 3 + 1, "every order of that name"
        assert all(one["status"] not in ("NEW", "PARTIALLY_FILLED") for one in listed)
        assert (await trader.get("/api/trading/orders", client_order_id=name, open="true"))["orders"] == []
        assert (await trader.get("/api/trading/orders", client_order_id=name, symbol=ETH))["orders"] == []
        older = await trader.get("/api/trading/orders", client_order_id=name, before_id=ids[0], limit=2)
        assert [one["order_id"] for one in older["orders"]] == ids[1:3]


async def test_history_knows_an_order_amended_at_once(trader: Client) -> None:
    """Accepted and amended within one flush of the projection."""
    placed = await trader.buy(**resting())
    path = f"/api/trading/orders/{placed['order_id']}"
    amended = (await trader.call("PATCH", path, {"quantity": "0.00015"})).ok()

    async def newest() -> list[Json]:
        found: list[Json] = (await trader.get("/api/trading/orders", limit=1))["orders"]
        return found

    await eventually(newest, lambda found: found == [amended], f"history tells {amended}")


# -- money ---------------------------------------------------------------------------------------------------


async def test_the_portfolio_adds_up_with_the_executions_to_the_last_unit(exchange: Exchange, new_user: User) -> None:
    async with exchange.client(new_user) as trader:
        answers = [
            await trader.buy(BTC, quantity="0.0317"),
            await trader.buy(ETH, quote_quantity="1234.56789012"),
            await trader.sell(BTC, quantity="0.01234"),
            await trader.buy("XRPUSDT", quantity="777.7"),
            await trader.sell(ETH, quote_quantity="321.09876543"),
            await trader.buy(BTC, quote_quantity="99.99"),
            await trader.sell("XRPUSDT", quantity="123.4"),
        ]
        bid, _ = await trader.top_of_book(BTC)
        answers.append(await trader.sell(**resting(price=str(bid), quantity="0.01", time_in_force="IOC")))
        await trader.buy(**resting())
        fills = sum(len(one["fills"]) for one in answers)

        async def executions() -> list[Json]:
            found: list[Json] = (await trader.get("/api/trading/history"))["executions"]
            return found

        done = await eventually(executions, lambda found: len(found) >= fills, f"{fills} executions in history")
        assert len(done) == fills
        assert sorted((e["order_id"], e["trade_id"]) for e in done) == sorted(
            (one["order_id"], fill["trade_id"]) for one in answers for fill in one["fills"]
        )
        expected = {"USDT": INITIAL}
        for e in done:
            base = e["symbol"].removesuffix("USDT")
            quantity, quote, fee = (Decimal(e[name]) for name in ("quantity", "quote", "commission"))
            assert quote == quantity * Decimal(e["price"])
            assert e["commission_asset"] == (base if e["side"] == "BUY" else "USDT")
            sign = 1 if e["side"] == "BUY" else -1
            expected[base] = expected.get(base, Decimal(0)) + sign * quantity
            expected["USDT"] -= sign * quote
            expected[e["commission_asset"]] -= fee
        assert await trader.held() == expected

        # Values are by the cache's last prices; what it does not tell in time has none.
        found = await eventually(trader.portfolio, lambda told: told["equity"] is not None, "the portfolio is valued")
        cost = realised = Decimal(0)
        for position in found["positions"]:
            assert Decimal(position["quantity"]) == expected[position["symbol"].removesuffix("USDT")]
            cost += Decimal(position["cost"])
            realised += Decimal(position["realised_profit"])
        assert Decimal(found["realised_profit"]) == realised
        assert expected["USDT"] - INITIAL == realised - cost, "cash changed by what was realised less what is held"
        values = [Decimal(one["value"]) for one in found["balances"]]
        assert Decimal(found["equity"]) == sum(values)
        assert abs(sum(one["share"] for one in found["balances"]) - 1) < 1e-5
        assert Decimal(found["unrealised_profit"]) == sum(values) - expected["USDT"] - cost


async def test_reset_and_top_up(trader: Client) -> None:
    await trader.buy(BTC, quantity="0.01")
    await trader.buy(**resting())
    after = await trader.post("/api/portfolio/top-up", {"asset": "BTC", "amount": "1.00000001"})
    assert Decimal(after["positions"][0]["quantity"]) == Decimal("0.00999"), "a gift is no position"
    assert (await trader.held())["BTC"] == Decimal("1.00999001")
    clean = await trader.post("/api/portfolio/reset")
    assert [(b["asset"], b["free"], b["locked"]) for b in clean["balances"]] == [
        ("USDT", "100000.00000000", "0.00000000")
    ]
    assert (clean["positions"], clean["realised_profit"], clean["equity"]) == ([], "0", "100000.00000000")
    assert (await trader.get("/api/trading/orders", open="true"))["orders"] == []
    topped = await trader.post("/api/portfolio/top-up", {"asset": "USDT", "amount": "0.00000001"})
    assert topped["balances"][0]["free"] == "100000.00000001"
    await trader.get("/api/portfolio/history")


async def test_pause_and_resume(trader: Client) -> None:
    resting_one = await trader.buy(**resting())
    path = f"/api/trading/orders/{resting_one['order_id']}"
    paused = await trader.post("/api/v1/trading/control", {"action": "pause"})
    assert paused == {"paused": True, "canceled": 0} == await trader.get("/api/v1/trading/control")
    try:
        assert (await trader.portfolio())["paused"] is True
        for method, where, body in (
            ("POST", "/api/trading/buy", resting()),
            ("PATCH", path, {"quantity": "0.00015"}),
            ("PUT", path, {"quantity": "0.0002", "price": "50001"}),
        ):
            assert (await trader.call(method, where, body)).refusal == (409, "ACCOUNT_PAUSED", None)
        emptied = await trader.post("/api/v1/trading/control", {"action": "cancel_all"})
        assert emptied == {"paused": True, "canceled": 1}, "cancels are possible while paused"
    finally:
        resumed = await trader.post("/api/v1/trading/control", {"action": "resume"})
    assert resumed == {"paused": False, "canceled": 0}
    assert (await trader.buy(**resting()))["status"] == "NEW"


# -- who may -------------------------------------------------------------------------------------------------


async def test_a_viewer_sees_and_does_not_trade(exchange: Exchange, new_user: User) -> None:
    """HT-A03, WS-O10."""
    connection = await asyncpg.connect(exchange.pg_dsn)
    try:
        await connection.execute("UPDATE users SET role = 'viewer' WHERE user_id = $1", new_user.user_id)
    finally:
        await connection.close()
    async with exchange.client(exchange.log_in(new_user.username)) as viewer:
        assert (await viewer.get("/api/auth/me"))["role"] == "viewer"
        before = await viewer.standing()
        for path in ("trading/orders", "trading/history", "portfolio/history", "auth/me"):
            await viewer.get(f"/api/{path}")
        await viewer.get("/api/v1/trading/control")
        for method, path, body in (
            ("POST", "/api/trading/buy", resting()),
            ("POST", "/api/trading/sell", resting()),
            ("POST", "/api/v1/trading/echo", resting()),
            ("POST", "/api/trading/orders", {"orders": [resting(side="BUY")]}),
            ("DELETE", "/api/trading/orders", None),
            ("DELETE", "/api/trading/orders/1", None),
            ("PATCH", "/api/trading/orders/1", {"quantity": "1"}),
            ("PUT", "/api/trading/orders/1", {"quantity": "1", "price": "1"}),
            ("POST", "/api/portfolio/reset", None),
            ("POST", "/api/portfolio/top-up", {"asset": "USDT", "amount": "1"}),
            ("POST", "/api/v1/trading/control", {"action": "pause"}),
        ):
            assert (await viewer.call(method, path, body)).refusal == (403, "FORBIDDEN", None)
        async with viewer.trading_socket() as socket:
            answer = await socket.ask("place", orders=[resting(side="BUY")])
            assert answer["error"]["code"] == "FORBIDDEN"
            assert (await socket.ask("subscribe"))["ok"]
        assert await viewer.standing() == before


async def test_the_order_of_another_user_does_not_exist(trader: Client, other: Client) -> None:
    """HT-A04."""
    order = await trader.buy(**resting(client_order_id="alices"))
    path = f"/api/trading/orders/{order['order_id']}"
    for method, body in (
        ("GET", None),
        ("DELETE", None),
        ("PATCH", {"quantity": "0.00015"}),
        ("PUT", {"quantity": "0.0002", "price": "50001"}),
    ):
        assert (await other.call(method, path, body)).refusal == (404, "UNKNOWN_ORDER", "order_id")
    assert (await other.get("/api/trading/orders", client_order_id="alices"))["orders"] == []
    assert (await other.get("/api/trading/orders", client_order_id="alices", open="true"))["orders"] == []
    async with other.trading_socket() as socket:
        for frame in (
            {"op": "cancel", "orders": [{"order_id": order["order_id"]}]},
            {"op": "cancel", "orders": [{"client_order_id": "alices"}]},
            {"op": "amend", "orders": [{"order_id": order["order_id"], "quantity": "0.00015"}]},
        ):
            (result,) = (await socket.ask(**frame))["results"]  # type: ignore[arg-type]
            assert result["error"]["code"] == "UNKNOWN_ORDER"
        refused = await socket.ask("replace", order_id=order["order_id"], quantity="0.0002", price="50001")
        assert refused["error"]["code"] == "UNKNOWN_ORDER"
        assert (await socket.ask("cancel_all"))["results"] == []
    assert await other.cancel_all() == []
    assert await trader.order(order["order_id"]) == order


# -- the form of it ------------------------------------------------------------------------------------------


async def test_every_path_is_served_under_both_prefixes(exchange: Exchange, trader: Client) -> None:
    """HT-F01."""
    old = {p.removeprefix("/api/v1/") for p in exchange.contract.document["paths"] if p.startswith("/api/v1/")}
    only_v1 = {
        p for p in old if p in ("trading/control", "trading/echo", "system/status", "system/actors", "system/jobs")
    }
    for path in sorted(old):
        filled = path.replace("{order_id}", "1")
        probes = {prefix: await trader.call("OPTIONS", f"{prefix}/{filled}") for prefix in ("/api", "/api/v1")}
        assert probes["/api/v1"].status == 204
        assert probes["/api"].status == (404 if path in only_v1 else 204), path
    assert await trader.get("/api/v1/portfolio") == await trader.portfolio()


async def test_messagepack_in_and_out(trader: Client) -> None:
    """HT-F02."""
    headers = {"Content-Type": "application/msgpack", "Accept": "application/msgpack"}
    body = msgspec.msgpack.encode(resting())
    reply = await trader.call("POST", "/api/trading/buy", body=body, headers=headers)
    assert (reply.status, reply.headers["content-type"]) == (200, "application/msgpack")
    assert msgspec.msgpack.decode(reply.body)["price"] == "50000.00"


async def test_the_description_is_valid_and_its_operations_were_exercised(exchange: Exchange, anyone: Client) -> None:
    document = await anyone.get("/openapi.json")
    OpenAPIV31SpecValidator(document).validate()
    described = {(method.upper(), path) for path, operations in document["paths"].items() for method in operations}
    by_tag = {operation["tags"][0] for path in document["paths"].values() for operation in path.values()}
    assert by_tag >= {"auth", "market", "trading", "portfolio", "system", "health"}
    if len(exchange.contract.seen) > 60:  # not when a few tests were picked
        exercised = {(method, path) for method, path, status in exchange.contract.seen if status < 300}
        system = {
            ("GET", "/api/v1/system/status"), ("GET", "/api/v1/system/actors"), ("POST", "/api/v1/admin/time"),
        }  # fmt: skip
        assert described - exercised <= system, "an operation without a test"


async def test_every_error_has_one_shape_and_names_the_request(trader: Client) -> None:
    """HT-E01."""
    for method, path, body in (
        ("POST", "/api/trading/buy", {"symbol": BTC, "type": "LIMIT", "quantity": "1", "price": "50000.001"}),
        ("GET", "/api/nothing", None),
        ("PUT", "/api/portfolio", None),
    ):
        reply = await trader.call(method, path, body, headers={"X-Request-Id": "my-request.7"})
        assert reply.headers["content-type"] == "application/problem+json"
        assert set(reply.json) == PROBLEM_FIELDS
        assert reply.json["request_id"] == reply.headers["x-request-id"] == "my-request.7"
        assert reply.json["type"] == f"/docs#error-{reply.code}"
        assert reply.json["status"] == reply.status


class _References(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href", "action", "srcset", "poster", "data") and value:
                self.found.append(value)
                if tag in ("script", "link", "img"):
                    self.loaded.append(value)


@pytest.mark.parametrize("page", ["/docs", "/docs/protocol"])
async def test_the_pages_load_nothing_from_elsewhere(anyone: Client, page: str) -> None:
    waiting, seen = [page], set()
    while waiting:
        path = waiting.pop()
        seen.add(path)
        reply = await anyone.call("GET", path)
        assert reply.status == 200, path
        assert reply.body, f"{path} is empty"
        assert "default-src 'none'" in reply.headers["content-security-policy"]
        text = reply.body.decode()
        assert not re.search(r"""(?:url\(|@import|import\s|from\s|importScripts\()\s*["']?(?:https?:)?//""", text), path
        if reply.headers["content-type"].startswith("text/html"):
            references = _References()
            references.feed(text)
            assert not [one for one in references.found if re.match(r"(https?:)?//", one)]
            inside = [one for one in references.loaded if not one.startswith("data:")]
            waiting += {urljoin(path, one) for one in inside} - seen
    assert len(seen) > 1, "the page has scripts or styles of its own"
    told = await anyone.call("GET", "/docs/protocol.md")
    assert told.body.startswith(b"# The wire protocol")


async def test_metrics_have_the_promised_series_and_money_is_conserved(anyone: Client) -> None:
    async def series() -> dict[str, dict[str, float]]:
        reply = await anyone.call("GET", "/metrics")
        assert reply.status == 200
        found: dict[str, dict[str, float]] = {}
        for family in text_string_to_metric_families(reply.body.decode()):
            for sample in family.samples:
                found.setdefault(sample.name, {})[sample.labels.get("actor", "")] = sample.value
        return found

    found = await eventually(series, lambda s: s.get("raypit_ticks_total", {}).get("projector", 0) > 0, "ticks")
    promised = {
        "raypit_accounts", "raypit_admit_seconds_bucket", "raypit_book_seconds_bucket",
        "raypit_bus_messages", "raypit_cache_errors_total", "raypit_commands_total",
        "raypit_commit_seconds_bucket", "raypit_feed_commands_total", "raypit_fills_total",
        "raypit_gateway_links", "raypit_http_request_seconds_bucket", "raypit_http_requests_total",
        "raypit_journal_batches_total", "raypit_match_seconds_bucket", "raypit_open_orders",
        "raypit_orders_admitted_total", "raypit_orders_refused_total", "raypit_projected_rows_total",
        "raypit_projection_lag_seconds", "raypit_refusals_total", "raypit_reports_total",
        "raypit_settle_seconds_bucket",
    }  # fmt: skip
    assert promised <= set(found), promised - set(found)
    assert found["raypit_actor_up"] == {"book-0": 1, "account-0": 1, "projector": 1, "feed": 1}
    assert found["raypit_conservation_drift_units"] == {"account-0": 0}
    assert found["raypit_commands_total"]["book-0"] > 0


async def test_health(anyone: Client) -> None:
    assert await anyone.get("/health/live") == {"status": "live"}
    ready = await anyone.get("/health/ready")
    assert ready["status"] == "ready"
    assert {name: one["ok"] for name, one in ready["components"].items()} == {
        "accounts": True,
        "database": True,
    }


async def test_everybody_sees_how_the_exchange_is_and_administrators_see_its_parts(
    exchange: Exchange, anyone: Client, new_user: User
) -> None:
    """HT-Y01, HT-Y02, HT-Y03, HT-Y04."""
    status = await anyone.get("/api/v1/system/status")
    assert set(status) == {
        "status", "version", "symbols", "uptime_s", "market_data_age_ms", "market_time", "feed", "predictor", "data_port",
    }  # fmt: skip
    assert (status["status"], status["symbols"]) == ("ok", len(FAR))
    assert status["market_data_age_ms"] < 10_000
    assert (status["feed"]["kind"], status["feed"]["answers"]) == ("simulated", True)
    now = await anyone.get("/api/market/time")
    assert (now["mode"], now["state"], now["market_time"]) == ("wall", "running", now["wall_time"])

    path = "/api/v1/system/actors"
    assert (await anyone.call("GET", path)).refusal == (401, "UNAUTHENTICATED", None)
    async with exchange.client(new_user) as client:
        assert (await client.call("GET", path)).refusal == (403, "FORBIDDEN", None)
    await make_admin(exchange, new_user)
    async with exchange.client(exchange.log_in(new_user.username)) as admin:
        told = await admin.get(path)
        refused = await admin.call("POST", "/api/admin/time", json={"action": "pause"})
    assert refused.refusal == (409, "MARKET_TIME_IS_WALL", None)
    assert {one["name"]: one["ok"] for one in told["actors"]} == {
        "book-0": True, "account-0": True, "projector": True, "feed": True,
    }  # fmt: skip


async def make_admin(exchange: Exchange, user: User) -> None:
    connection = await asyncpg.connect(exchange.pg_dsn)
    try:
        await connection.execute("UPDATE users SET role = 'admin' WHERE user_id = $1", user.user_id)
    finally:
        await connection.close()


async def test_administrators_see_scheduled_work_and_have_it_run(
    exchange: Exchange, anyone: Client, new_user: User
) -> None:
    """HT-Y05."""
    path, run = "/api/v1/system/jobs", "/api/admin/jobs/quality/run"
    assert (await anyone.call("GET", path)).refusal == (401, "UNAUTHENTICATED", None)
    async with exchange.client(new_user) as client:
        assert (await client.call("GET", path)).refusal == (403, "FORBIDDEN", None)
        assert (await client.call("POST", run)).refusal == (403, "FORBIDDEN", None)
    await make_admin(exchange, new_user)
    async with exchange.client(exchange.log_in(new_user.username)) as admin:
        assert (await admin.call("POST", "/api/admin/jobs/nothing/run")).refusal == (404, "NOT_FOUND", "name")
        before = await admin.get(path)
        assert [one["name"] for one in before["jobs"]] == ["analyze", "partitions", "quality", "retention", "retrain"]
        asked = await admin.call("POST", run)
        assert (asked.status, asked.json["name"], asked.json["error"]) == (202, "quality", None)
        async with asyncio.timeout(30):
            while True:
                found = {one["name"]: one for one in (await admin.get(path))["jobs"]}
                if found["quality"]["finished_at"] != before["jobs"][2]["finished_at"]:
                    break
        assert (found["quality"]["state"], found["quality"]["result"]["score"]) == ("waiting", 100.0)
        assert (found["partitions"]["failures"], found["partitions"]["schedule"]) == (0, "every 10 min")


async def test_a_connection_is_kept_for_the_next_request(exchange: Exchange) -> None:
    connections = 0

    async def counted(*_: object) -> None:
        nonlocal connections
        connections += 1

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(counted)
    async with aiohttp.ClientSession(exchange.url, trace_configs=[trace]) as session:
        for _ in range(5):
            async with session.get("/health/live") as answer:
                await answer.read()
    assert connections == 1


# -- the demo ------------------------------------------------------------------------------------------------


async def test_the_demos_order_is_moved_when_the_market_leaves_it_behind(exchange: Exchange, new_user: User) -> None:
    async with aiohttp.ClientSession(exchange.url) as session:
        user = demo.Client(session)
        user.token = new_user.access_token
        async with user.private() as ws:
            await user.quote()
            await user.call("POST", "/api/trading/buy", {"symbol": demo.SYMBOL, "quantity": "0.01"})
            _, ask = await user.quote()
            price = (ask * Decimal("1.02")).quantize(Decimal("0.01"))
            order = {"symbol": demo.SYMBOL, "type": "LIMIT", "quantity": "0.005", "price": str(price)}
            behind = await user.call("POST", "/api/trading/sell", order)
            filled = await demo._await_fill(user, ws, behind)
    assert (filled["status"], filled["remaining_quantity"]) == ("FILLED", "0.00000")
    assert filled["order_id"] != behind["order_id"]
    assert Decimal(filled["price"]) < price
