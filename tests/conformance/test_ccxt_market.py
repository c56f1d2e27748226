"""ccxt, sync and async: markets, tickers, books, trades, candles."""

from typing import Any

import pytest

from tests.conformance.matrix import CCXT, CCXT_ASYNC, Area, row
from tests.conformance.told import SYMBOL, by_id, dec, told, total
from tests.system.client import eventually

pytestmark = pytest.mark.system
BOTH = (CCXT, CCXT_ASYNC)


@row(BOTH, Area.MARKET, "load_markets", "spot markets with the venue's precision and limits")
async def test_markets(bot: Any) -> None:
    markets = await told(bot.load_markets(True))
    btc = markets[SYMBOL]
    assert (btc["id"], btc["base"], btc["quote"], btc["spot"], btc["active"]) == ("BTCUSDT", "BTC", "USDT", True, True)
    assert dec(btc["precision"]["price"]) == dec("0.01")
    assert dec(btc["precision"]["amount"]) == dec("0.00001")
    assert btc["limits"]["cost"]["min"] == 5
    assert {one["type"] for one in markets.values()} == {"spot"}
    assert (
        bot.price_to_precision(SYMBOL, 95000.129) == "95000.12"
        or bot.price_to_precision(SYMBOL, 95000.129) == "95000.13"
    )
    assert bot.amount_to_precision(SYMBOL, 0.123456789) == "0.12345"


@row(BOTH, Area.MARKET, "fetch_time", "within a second of our clock")
async def test_time(bot: Any) -> None:
    before = bot.milliseconds()
    there = await told(bot.fetch_time())
    assert before - 1000 < there < bot.milliseconds() + 1000


@row(BOTH, Area.MARKET, "fetch_currencies", "none: they are of another product, and switched off")
async def test_currencies(bot: Any) -> None:
    assert await told(bot.fetch_currencies()) in (None, {})


@row(BOTH, Area.MARKET, "fetch_order_book", "as many levels as asked, sorted, not crossed; deeper holds shallower")
async def test_order_book(bot: Any) -> None:
    book = await told(bot.fetch_order_book(SYMBOL, 20))
    assert len(book["bids"]) == len(book["asks"]) == 20
    bids, asks = [price for price, _ in book["bids"]], [price for price, _ in book["asks"]]
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert bids[0] < asks[0]
    assert book["nonce"] > 0
    later = await told(bot.fetch_order_book(SYMBOL, 5))
    assert len(later["bids"]) == 5
    assert later["nonce"] >= book["nonce"]


@row(BOTH, Area.MARKET, "fetch_ticker", "last price inside low and high, change adds up")
async def test_ticker(bot: Any) -> None:
    ticker = await told(bot.fetch_ticker(SYMBOL))
    raw = ticker["info"]
    assert ticker["symbol"] == SYMBOL
    assert ticker["low"] <= ticker["last"] <= ticker["high"]
    assert dec(raw["lastPrice"]) - dec(raw["openPrice"]) == dec(raw["priceChange"])
    assert int(raw["lastId"]) - int(raw["firstId"]) + 1 == int(raw["count"])


@row(BOTH, Area.MARKET, "fetch_tickers", "every market, and only those asked for")
async def test_tickers(bot: Any) -> None:
    assert set(await told(bot.fetch_tickers())) == set(bot.markets)
    assert set(await told(bot.fetch_tickers([SYMBOL, "ETH/USDT"]))) == {SYMBOL, "ETH/USDT"}


@row(BOTH, Area.MARKET, "fetch_bids_asks", "best prices of every market, not crossed")
async def test_bids_asks(bot: Any) -> None:
    found = await told(bot.fetch_bids_asks())
    assert set(found) == set(bot.markets)
    assert all(one["bid"] < one["ask"] for one in found.values())


@row(BOTH, Area.MARKET, "fetch_last_prices", "one for every market")
async def test_last_prices(bot: Any) -> None:
    found = await told(bot.fetch_last_prices())
    assert set(found) == set(bot.markets)
    assert all(one["price"] > 0 for one in found.values())


@row(BOTH, Area.MARKET, "fetch_trades", "trades without a gap, oldest first")
async def test_trades(bot: Any) -> None:
    trades = await told(bot.fetch_trades(SYMBOL, None, 50, {"fetchTradesMethod": "publicGetTrades"}))
    times = [one["timestamp"] for one in trades]
    assert times == sorted(times)
    assert times == [one["timestamp"] for one in by_id(trades)], "later ids are not of earlier times"
    ids = sorted(int(one["id"]) for one in trades)
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    for one in trades:
        assert dec(one["info"]["price"]) * dec(one["info"]["qty"]) == dec(one["info"]["quoteQty"])


@row(BOTH, Area.MARKET, "fetch_trades (aggregated)", "aggregates of exactly the trades they name")
async def test_aggregated_trades(bot: Any) -> None:
    aggregated = await told(bot.fetch_trades(SYMBOL, None, 20, {"fetchTradesMethod": "publicGetAggTrades"}))
    singles = await told(bot.fetch_trades(SYMBOL, None, 500, {"fetchTradesMethod": "publicGetTrades"}))
    by_id = {int(one["id"]): one["info"] for one in singles}
    for one in aggregated:
        raw = one["info"]
        parts = [by_id[i] for i in range(int(raw["f"]), int(raw["l"]) + 1) if i in by_id]
        if len(parts) == int(raw["l"]) - int(raw["f"]) + 1:
            assert total(part["qty"] for part in parts) == dec(raw["q"])
            assert {dec(part["price"]) for part in parts} == {dec(raw["p"])}


@row(BOTH, Area.MARKET, "fetch_ohlcv", "a second's candle is exactly the trades of that second")
async def test_candles(bot: Any) -> None:
    def second_of(trade: Any) -> int:
        return int(trade["timestamp"] // 1000 * 1000)

    async def ask() -> Any:
        return by_id(await told(bot.fetch_trades(SYMBOL, None, 200, {"fetchTradesMethod": "publicGetTrades"})))

    trades = await eventually(ask, lambda found: len({second_of(one) for one in found}) > 2, "a whole second is over")
    second = sorted({second_of(one) for one in trades})[1]
    mine = [one for one in trades if second_of(one) == second]
    [candle] = await told(bot.fetch_ohlcv(SYMBOL, "1s", second, 1))
    prices = [one["price"] for one in mine]
    assert candle[:5] == [second, prices[0], max(prices), min(prices), prices[-1]]
    assert dec(candle[5]) == total(one["info"]["qty"] for one in mine)


@row(BOTH, Area.MARKET, "fetch_ohlcv 1m … 1M", "every interval; the newest candle ends at the last price")
async def test_intervals(bot: Any) -> None:
    for interval in bot.timeframes:
        candles = await told(bot.fetch_ohlcv(SYMBOL, interval, None, 2))
        assert candles, interval
        for _, opened, high, low, close, _ in candles:
            assert low <= min(opened, close) <= max(opened, close) <= high


@row(BOTH, Area.ACCOUNT, "fetch_trading_fee(s)", "the venue's 0.1 %, for every market")
async def test_fees(bot: Any) -> None:
    fee = await told(bot.fetch_trading_fee(SYMBOL))
    assert (fee["maker"], fee["taker"]) == (0.001, 0.001)
    assert set(await told(bot.fetch_trading_fees())) == set(bot.markets)
