"""ccxt.pro: what is watched is what is fetched; the account's own stream; orders over the WebSocket API."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import ccxt
import pytest

from tests.conformance.matrix import CCXT_PRO, Area, row
from tests.conformance.told import INITIAL, SYMBOL, by_id, dec, total
from tests.system.client import eventually

pytestmark = pytest.mark.system
OTHER = "ETH/USDT"


async def until(watch: Callable[[], Awaitable[Any]], enough: Callable[[Any], bool]) -> Any:
    """The first answer that is enough."""
    async with asyncio.timeout(30):
        while not enough(found := await watch()):
            pass
    return found


async def fetched_up_to(watcher: Any, trade_id: str, method: str) -> Any:
    """The tape over REST; it is told a moment after the stream."""

    async def fetch() -> Any:
        return await watcher.fetch_trades(SYMBOL, None, 500, {"fetchTradesMethod": method})

    return await eventually(fetch, lambda found: any(int(one["id"]) >= int(trade_id) for one in found), "the trade")


async def far_price(watcher: Any) -> float:
    book = await watcher.fetch_order_book(SYMBOL, 5)
    return float(watcher.price_to_precision(SYMBOL, book["bids"][0][0] / 2))


# -- market streams ---------------------------------------------------------------------------------------------------


@row(CCXT_PRO, Area.STREAMS, "watch_order_book", "equals the fetched book at the same update")
async def test_order_book(watcher: Any) -> None:
    watched: dict[int, Any] = {}
    fetched: dict[int, Any] = {}

    def note(book: Any, found: dict[int, Any]) -> None:
        found[book["nonce"]] = [[list(level) for level in book[side][:20]] for side in ("bids", "asks")]

    async with asyncio.timeout(60):
        while len(both := watched.keys() & fetched.keys()) < 3:
            note(await watcher.watch_order_book(SYMBOL), watched)
            note(await watcher.fetch_order_book(SYMBOL, 20), fetched)
            note(watcher.orderbooks[SYMBOL], watched)
    assert [watched[one] for one in both] == [fetched[one] for one in both]


@row(CCXT_PRO, Area.STREAMS, "watch_order_book_for_symbols", "several books on one connection, each not crossed")
async def test_order_books(watcher: Any) -> None:
    symbols = set()
    async with asyncio.timeout(30):
        while symbols != {SYMBOL, OTHER}:
            book = await watcher.watch_order_book_for_symbols([SYMBOL, OTHER])
            assert book["bids"][0][0] < book["asks"][0][0]
            symbols.add(book["symbol"])


@row(CCXT_PRO, Area.STREAMS, "watch_trades", "every trade, equal to the fetched ones")
async def test_trades(watcher: Any) -> None:
    watcher.options["watchTrades"] = {"name": "trade"}
    trades = await until(lambda: watcher.watch_trades(SYMBOL), lambda found: len(watcher.trades[SYMBOL]) >= 5)
    assert trades
    watched = {one["id"]: one for one in watcher.trades[SYMBOL]}
    fetched = await fetched_up_to(watcher, max(watched, key=int), "publicGetTrades")
    ids = [int(one) for one in watched]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    same = [one for one in fetched if one["id"] in watched]
    assert len(same) == len(watched)
    for one in same:
        for name in ("price", "amount", "timestamp", "side"):
            assert watched[one["id"]][name] == one[name], name


@row(CCXT_PRO, Area.STREAMS, "watch_trades (aggregated)", "equal to the fetched aggregates")
async def test_aggregated_trades(watcher: Any) -> None:
    watcher.options["watchTrades"] = {"name": "aggTrade"}
    await until(lambda: watcher.watch_trades(SYMBOL), lambda found: len(watcher.trades[SYMBOL]) >= 3)
    watched = {one["id"]: (one["price"], one["amount"]) for one in watcher.trades[SYMBOL]}
    fetched = await fetched_up_to(watcher, max(watched, key=int), "publicGetAggTrades")
    assert {one["id"]: (one["price"], one["amount"]) for one in fetched if one["id"] in watched} == watched


@row(CCXT_PRO, Area.STREAMS, "watch_ticker, watch_tickers", "the fields of the fetched ticker")
async def test_ticker(watcher: Any) -> None:
    ticker = await watcher.watch_ticker(SYMBOL)
    assert ticker["low"] <= ticker["last"] <= ticker["high"]

    async def fetch() -> Any:
        return await watcher.fetch_ticker(SYMBOL)

    fetched = await eventually(fetch, lambda found: found["baseVolume"] >= ticker["baseVolume"], "as much traded")
    assert fetched["low"] <= ticker["low"]
    assert fetched["high"] >= ticker["high"]
    several = await until(lambda: watcher.watch_tickers([SYMBOL, OTHER]), lambda found: OTHER in watcher.tickers)
    assert set(several) <= {SYMBOL, OTHER}


@row(CCXT_PRO, Area.STREAMS, "watch_bids_asks", "best prices, not crossed")
async def test_bids_asks(watcher: Any) -> None:
    found = await watcher.watch_bids_asks([SYMBOL])
    assert found[SYMBOL]["bid"] < found[SYMBOL]["ask"]


@row(CCXT_PRO, Area.STREAMS, "watch_ohlcv", "once closed, equal to the fetched candle")
async def test_candles(watcher: Any) -> None:
    seen = await until(lambda: watcher.watch_ohlcv(SYMBOL, "1s"), lambda found: len(watcher.ohlcvs[SYMBOL]["1s"]) >= 3)
    assert seen
    second = list(watcher.ohlcvs[SYMBOL]["1s"])[1][0]

    async def ask() -> Any:
        await watcher.watch_ohlcv(SYMBOL, "1s")  # one whose last trades came late is told again
        [watched] = [one for one in watcher.ohlcvs[SYMBOL]["1s"] if one[0] == second]
        return watched, *await watcher.fetch_ohlcv(SYMBOL, "1s", second, 1)

    await eventually(ask, lambda both: both[0] == both[1], "the same candle")


@row(CCXT_PRO, Area.STREAMS, "un_watch_trades", "unsubscribed, the connection lives on")
async def test_unwatch(watcher: Any) -> None:
    await watcher.watch_trades(SYMBOL)
    await watcher.un_watch_trades(SYMBOL)
    assert SYMBOL not in watcher.trades
    assert (await watcher.watch_ticker(SYMBOL))["symbol"] == SYMBOL


# -- user data --------------------------------------------------------------------------------------------------------


async def subscribed(watcher: Any, watch: Callable[[], Awaitable[Any]]) -> "asyncio.Task[Any]":
    """The wait for the first event, once the server has confirmed the subscription: only then the client waits for it."""

    async def awaited() -> list[str]:
        assert not waiting.done(), waiting
        hashes = [str(one) for client in watcher.clients.values() for one in client.futures]
        return [one for one in hashes if one.startswith(("orders", "myTrades", "spot:balance", "balance"))]

    waiting = asyncio.ensure_future(watch())
    await eventually(awaited, bool, "the client waits for events")
    return waiting


@row(CCXT_PRO, Area.USER, "watch_orders", "placed, then canceled, as fetched")
async def test_orders(watcher: Any) -> None:
    waiting = await subscribed(watcher, lambda: watcher.watch_orders(SYMBOL))
    made = await watcher.create_order(SYMBOL, "limit", "buy", 0.01, await far_price(watcher))
    [seen] = await asyncio.wait_for(waiting, 30)
    assert (seen["id"], seen["status"], seen["amount"], seen["price"]) == (made["id"], "open", 0.01, made["price"])
    await watcher.cancel_order(made["id"], SYMBOL)
    found = await until(lambda: watcher.watch_orders(SYMBOL), lambda orders: orders[-1]["status"] == "canceled")
    assert found[-1]["id"] == made["id"]


@row(CCXT_PRO, Area.USER, "watch_my_trades", "equal to the fetched ones")
async def test_my_trades(watcher: Any) -> None:
    waiting = await subscribed(watcher, lambda: watcher.watch_my_trades(SYMBOL))
    await watcher.create_order(SYMBOL, "market", "buy", 0.01)
    await asyncio.wait_for(waiting, 30)
    fetched = await watcher.fetch_my_trades(SYMBOL)
    if len(watcher.myTrades) < len(fetched):
        await until(lambda: watcher.watch_my_trades(SYMBOL), lambda found: len(watcher.myTrades) >= len(fetched))
    for watched, one in zip(by_id(watcher.myTrades), by_id(fetched), strict=True):
        for name in ("id", "order", "price", "amount", "side", "takerOrMaker", "fee", "timestamp"):
            assert watched[name] == one[name], name


@row(CCXT_PRO, Area.USER, "watch_balance", "equal to the fetched balance")
async def test_balance(watcher: Any) -> None:
    waiting = await subscribed(watcher, lambda: watcher.watch_balance())
    price = await far_price(watcher)
    await watcher.create_order(SYMBOL, "limit", "buy", 0.01, price)
    watched = await asyncio.wait_for(waiting, 30)
    fetched = await watcher.fetch_balance()
    assert watched["USDT"] == fetched["USDT"]
    assert dec(fetched["USDT"]["used"]) == dec(price) * dec("0.01")
    assert dec(fetched["USDT"]["total"]) == INITIAL


# -- WebSocket API ----------------------------------------------------------------------------------------------------


@row(CCXT_PRO, Area.WS_API, "create_order_ws market", "filled; the fills are my trades")
async def test_create_order_ws(watcher: Any) -> None:
    order = await watcher.create_order_ws(SYMBOL, "market", "buy", 0.01)
    assert (order["status"], order["filled"]) == ("closed", 0.01)
    trades = await watcher.fetch_my_trades_ws(SYMBOL)
    assert {one["order"] for one in trades} == {order["id"]}
    assert total(one["info"]["qty"] for one in trades) == dec("0.01")


@row(CCXT_PRO, Area.WS_API, "create_order_ws limit, fetch_order_ws, cancel_order_ws", "open, the same, canceled")
async def test_cancel_order_ws(watcher: Any) -> None:
    order = await watcher.create_order_ws(SYMBOL, "limit", "buy", 0.01, await far_price(watcher))
    fetched = await watcher.fetch_order_ws(order["id"], SYMBOL)
    assert (fetched["status"], fetched["clientOrderId"]) == ("open", order["clientOrderId"])
    assert [one["id"] for one in await watcher.fetch_open_orders_ws(SYMBOL)] == [order["id"]]
    canceled = await watcher.cancel_order_ws(order["id"], SYMBOL)
    assert (canceled["id"], canceled["status"]) == (order["id"], "canceled")
    assert [one["status"] for one in await watcher.fetch_orders_ws(SYMBOL)] == ["canceled"]


@row(CCXT_PRO, Area.WS_API, "edit_order_ws", "replaced")
async def test_edit_order_ws(watcher: Any) -> None:
    price = await far_price(watcher)
    order = await watcher.create_order_ws(SYMBOL, "limit", "buy", 0.01, price)
    edited = await watcher.edit_order_ws(order["id"], SYMBOL, "limit", "buy", 0.02, price)
    assert (edited["amount"], edited["status"]) == (0.02, "open")
    assert [one["id"] for one in await watcher.fetch_open_orders(SYMBOL)] == [edited["id"]]


@row(CCXT_PRO, Area.WS_API, "cancel_all_orders_ws", "nothing left open")
async def test_cancel_all_ws(watcher: Any) -> None:
    price = await far_price(watcher)
    for _ in range(2):
        await watcher.create_order_ws(SYMBOL, "limit", "buy", 0.01, price)
    await watcher.cancel_all_orders_ws(SYMBOL)
    assert await watcher.fetch_open_orders(SYMBOL) == []


@row(CCXT_PRO, Area.WS_API, "fetch_balance_ws", "equal to the REST answer")
async def test_balance_ws(watcher: Any) -> None:
    over_socket, over_rest = await watcher.fetch_balance_ws(), await watcher.fetch_balance()
    assert over_socket["info"]["balances"] == over_rest["info"]["balances"]


@row(CCXT_PRO, Area.WS_API, "fetch_trades_ws, fetch_ohlcv_ws", "as over REST")
async def test_market_ws(watcher: Any) -> None:
    trades = await watcher.fetch_trades_ws(SYMBOL, None, 10)
    times = [one["timestamp"] for one in by_id(trades)]
    assert times == sorted(times) == [one["timestamp"] for one in trades]
    ids = [int(one["id"]) for one in by_id(trades)]
    assert ids == list(range(ids[0], ids[0] + 10))

    async def ask() -> Any:
        candles = await watcher.fetch_ohlcv_ws(SYMBOL, "1s", None, 3)
        return candles[0], (await watcher.fetch_ohlcv(SYMBOL, "1s", candles[0][0], 1))[0]

    # Trades are told a moment later than they happened: the newest candles may still grow.
    await eventually(ask, lambda both: both[0] == both[1], "the same candle")


@row(CCXT_PRO, Area.ERRORS, "create_order_ws without funds", "InsufficientFunds", refused=True)
async def test_insufficient_funds_ws(watcher: Any) -> None:
    with pytest.raises(ccxt.InsufficientFunds):
        await watcher.create_order_ws(SYMBOL, "market", "buy", 50)


@row(CCXT_PRO, Area.ERRORS, "cancel_order_ws of an unknown order", "OrderNotFound", refused=True)
async def test_unknown_order_ws(watcher: Any) -> None:
    with pytest.raises(ccxt.OrderNotFound):
        await watcher.cancel_order_ws("999999999", SYMBOL)


@row(CCXT_PRO, Area.ERRORS, "watch_balance with a wrong secret", "AuthenticationError", refused=True)
async def test_wrong_secret_ws(watcher: Any) -> None:
    watcher.secret = "wrong"
    with pytest.raises(KeyError) as found:  # ccxt 4.5.90 stumbles while it tidies up after the refusal
        await asyncio.wait_for(watcher.watch_balance(), 30)
    assert isinstance(found.value.__context__, ccxt.AuthenticationError)
    assert "-1022" in str(found.value.__context__)
