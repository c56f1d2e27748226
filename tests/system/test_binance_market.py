"""The venue's public market-data routes over the wire, by its documentation (rest-api.md, market data endpoints)."""

import itertools
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any, Final

import pytest

from tests.system.addresses import ManyAddresses
from tests.system.client import Client, Json, eventually
from tests.system.conftest import Exchange

pytestmark = pytest.mark.system


@pytest.fixture
async def anyone(exchange: Exchange) -> AsyncIterator[Client]:
    async with ManyAddresses(exchange.url) as client:
        yield client


BTC: Final = "BTCUSDT"
DAY: Final = (
    "symbol priceChange priceChangePercent weightedAvgPrice prevClosePrice lastPrice lastQty bidPrice bidQty askPrice "
    "askQty openPrice highPrice lowPrice volume quoteVolume openTime closeTime firstId lastId count"
)
WINDOW: Final = (
    "symbol priceChange priceChangePercent weightedAvgPrice openPrice highPrice lowPrice lastPrice volume quoteVolume "
    "openTime closeTime firstId lastId count"
)
MINI: Final = "symbol openPrice highPrice lowPrice lastPrice volume quoteVolume openTime closeTime firstId lastId count"
MINUTE_MS: Final = 60_000
DAY_MS: Final = 86_400_000


async def traded(client: Client, symbol: str = BTC, least: int = 5) -> list[Json]:
    """The newest trades, once there are some."""

    async def ask() -> list[Json]:
        found: list[Json] = await client.get("/api/v3/trades", symbol=symbol, limit=1000)
        return found

    return await eventually(ask, lambda found: len(found) >= least, f"{symbol} trades")


@pytest.mark.parametrize(
    ("path", "query", "fields"),
    [
        ("depth", {"symbol": BTC, "limit": 5}, "lastUpdateId bids asks"),
        ("trades", {"symbol": BTC}, "id price qty quoteQty time isBuyerMaker isBestMatch"),
        ("historicalTrades", {"symbol": BTC, "fromId": 1}, "id price qty quoteQty time isBuyerMaker isBestMatch"),
        ("aggTrades", {"symbol": BTC}, "a p q f l T m M"),
        ("avgPrice", {"symbol": BTC}, "mins price closeTime"),
        ("ticker/24hr", {"symbol": BTC}, DAY),
        ("ticker/24hr", {"symbol": BTC, "type": "FULL"}, DAY),
        ("ticker/24hr", {"type": "MINI"}, MINI),
        ("ticker/tradingDay", {"symbol": BTC, "timeZone": "-1:00"}, WINDOW),
        ("ticker/tradingDay", {"symbols": '["BTCUSDT","ETHUSDT"]', "type": "MINI"}, MINI),
        ("ticker", {"symbol": BTC}, WINDOW),
        ("ticker", {"symbols": '["BTCUSDT"]', "windowSize": "59m", "type": "MINI"}, MINI),
        ("ticker/price", {"symbol": BTC}, "symbol price"),
        ("ticker/price", {}, "symbol price"),
        ("ticker/bookTicker", {"symbol": BTC}, "symbol bidPrice bidQty askPrice askQty"),
        ("ticker/bookTicker", {"symbols": '["ETHUSDT","BTCUSDT"]'}, "symbol bidPrice bidQty askPrice askQty"),
    ],
)
async def test_fields_are_those_of_the_documentation(
    anyone: Client, path: str, query: dict[str, Any], fields: str
) -> None:
    await traded(anyone)
    found = await anyone.get(f"/api/v3/{path}", **query)
    alone = "symbol" in query and path not in ("trades", "historicalTrades", "aggTrades")
    assert isinstance(found, dict) is alone
    for one in [found] if alone else found:
        assert " ".join(one) == fields
        for name, value in one.items():
            if isinstance(value, str) and name != "symbol":
                assert len(value.partition(".")[2]) == (3 if name.endswith("Percent") else 8), (name, value)


async def test_depth_is_cut_where_asked(anyone: Client) -> None:
    whole = await anyone.get("/api/v3/depth", symbol=BTC, limit=5000)
    assert len(whole["bids"]) > 10
    for limit in (1, 7):
        found = await anyone.get("/api/v3/depth", symbol=BTC, limit=limit)
        assert len(found["bids"]) == len(found["asks"]) == limit
    beyond = await anyone.get("/api/v3/depth", symbol=BTC, limit=999_999)
    assert len(beyond["bids"]) > 10
    for side, order in (("bids", -1), ("asks", 1)):
        prices = [order * Decimal(price) for price, _ in whole[side]]
        assert prices == sorted(prices)
        assert all(Decimal(quantity) > 0 for _, quantity in whole[side])


async def test_trades_by_id_and_the_newest(anyone: Client) -> None:
    newest = await traded(anyone)
    again = await anyone.get("/api/v3/historicalTrades", symbol=BTC, fromId=newest[0]["id"], limit=3)
    assert again == newest[:3]
    assert [one["id"] for one in newest] == list(range(newest[0]["id"], newest[0]["id"] + len(newest)))
    for one in newest:
        assert Decimal(one["quoteQty"]) == Decimal(one["price"]) * Decimal(one["qty"])
    assert len(await anyone.get("/api/v3/trades", symbol=BTC, limit=2)) == 2
    assert await anyone.get("/api/v3/historicalTrades", symbol=BTC, fromId=10**15) == []


async def test_aggregates_by_id_and_by_time(anyone: Client) -> None:
    await traded(anyone, least=10)
    some = await anyone.get("/api/v3/aggTrades", symbol=BTC, fromId=1, limit=8)
    assert [one["a"] for one in some] == list(range(1, 9))
    every = await anyone.get("/api/v3/aggTrades", symbol=BTC, fromId=1, limit=1000)
    for before, after in itertools.pairwise(some):
        assert after["f"] == before["l"] + 1
    start, end = some[2]["T"], some[5]["T"]
    inside = await anyone.get("/api/v3/aggTrades", symbol=BTC, startTime=start, endTime=end)
    assert inside == [one for one in every if start <= one["T"] <= end], "those of the same millisecond too"
    assert await anyone.get("/api/v3/aggTrades", symbol=BTC, startTime=start, limit=2) == inside[:2]
    until = await anyone.get("/api/v3/aggTrades", symbol=BTC, endTime=end, limit=2)
    assert until == inside[-2:]
    assert await anyone.get("/api/v3/aggTrades", symbol=BTC, endTime=some[0]["T"] - 1) == []
    assert await anyone.get("/api/v3/aggTrades", symbol=BTC, startTime=start * 1000, endTime=end * 1000 + 999) == inside


async def test_klines_are_made_of_the_trades(anyone: Client) -> None:
    """Every second from the first trade on: those without a trade repeat the close."""
    await traded(anyone, least=30)
    trades = await anyone.get("/api/v3/historicalTrades", symbol=BTC, fromId=1, limit=1000)
    last = trades[-1]["time"] // 1000 * 1000
    klines = await anyone.get("/api/v3/klines", symbol=BTC, interval="1s", startTime=0, limit=1000)
    klines = [one for one in klines if one[0] < last]
    assert klines[0][0] == trades[0]["time"] // 1000 * 1000
    for before, after in itertools.pairwise(klines):
        assert after[0] == before[0] + 1000
    close = None
    for one in klines:
        own = [trade for trade in trades if trade["time"] // 1000 * 1000 == one[0]]
        prices = [Decimal(trade["price"]) for trade in own] or [close]
        assert [Decimal(value) for value in one[1:5]] == [prices[0], max(prices), min(prices), prices[-1]]
        bought = [trade for trade in own if not trade["isBuyerMaker"]]
        assert Decimal(one[5]) == sum(Decimal(trade["qty"]) for trade in own)
        assert one[6] == one[0] + 999
        assert Decimal(one[7]) == sum(Decimal(trade["quoteQty"]) for trade in own)
        assert one[8] == len(own)
        assert Decimal(one[9]) == sum(Decimal(trade["qty"]) for trade in bought)
        assert Decimal(one[10]) == sum(Decimal(trade["quoteQty"]) for trade in bought)
        assert one[11] == "0"
        close = prices[-1]


INTERVALS: Final = ["1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"]


@pytest.mark.parametrize("path", ["klines", "uiKlines"])
@pytest.mark.parametrize("interval", INTERVALS)
async def test_the_newest_kline_is_under_way(anyone: Client, path: str, interval: str) -> None:
    await traded(anyone)
    now = (await anyone.get("/api/v3/time"))["serverTime"]

    async def newest() -> Any:
        (kline,) = await anyone.get(f"/api/v3/{path}", symbol=BTC, interval=interval, limit=1)
        return kline

    kline = await eventually(newest, lambda found: now <= found[6], "it has not ended")
    later = (await anyone.get("/api/v3/time"))["serverTime"]
    assert kline[0] <= later
    shifted = await anyone.get(f"/api/v3/{path}", symbol=BTC, interval=interval, limit=1, timeZone="5:45")
    if interval in ("1d", "3d", "1w", "1M"):
        assert (shifted[0][0] + (5 * 60 + 45) * MINUTE_MS) % DAY_MS == 0


async def test_windows_and_averages_are_made_of_the_trades(anyone: Client) -> None:
    symbol = "LTCUSDT"
    await traded(anyone, symbol)
    for path, query in (("ticker/24hr", {}), ("ticker", {"windowSize": "7d"}), ("ticker", {"windowSize": "1m"})):
        found = await anyone.get(f"/api/v3/{path}", symbol=symbol, **query)
        if not found["count"]:
            continue
        trades = await anyone.get("/api/v3/historicalTrades", symbol=symbol, fromId=found["firstId"], limit=1000)
        own = [one for one in trades if one["id"] <= found["lastId"]]
        if len(own) < found["count"]:
            continue  # more than one answer holds
        prices = [Decimal(one["price"]) for one in own]
        volume, quote = (sum(Decimal(one[name]) for one in own) for name in ("qty", "quoteQty"))
        assert found["count"] == len(own)
        assert all(found["openTime"] <= one["time"] <= found["closeTime"] for one in own)
        assert (Decimal(found["openPrice"]), Decimal(found["lastPrice"])) == (prices[0], prices[-1])
        assert (Decimal(found["highPrice"]), Decimal(found["lowPrice"])) == (max(prices), min(prices))
        assert (Decimal(found["volume"]), Decimal(found["quoteVolume"])) == (volume, quote)
        assert abs(Decimal(found["weightedAvgPrice"]) - quote / volume) <= Decimal("5e-9")
        change = prices[-1] - prices[0]
        assert Decimal(found["priceChange"]) == change
        assert abs(Decimal(found["priceChangePercent"]) - change / prices[0] * 100) <= Decimal("0.0005")
        if path == "ticker":
            assert found["openTime"] % MINUTE_MS == 0
    average = await anyone.get("/api/v3/avgPrice", symbol=symbol)
    assert average["mins"] == 5
    assert Decimal(average["price"]) > 0


async def test_a_trading_day_begins_at_midnight_of_the_zone(anyone: Client) -> None:
    for zone, minutes in (("0", 0), ("8", 480), ("-1:00", -60)):
        found = await anyone.get("/api/v3/ticker/tradingDay", symbol=BTC, timeZone=zone)
        assert (found["openTime"] + minutes * MINUTE_MS) % DAY_MS == 0
        assert found["closeTime"] == found["openTime"] + DAY_MS - 1


async def test_times_in_microseconds(anyone: Client) -> None:
    await traded(anyone)
    reply = await anyone.call("GET", "/api/v3/trades", symbol=BTC, limit=1, headers={"X-MBX-TIME-UNIT": "MICROSECOND"})
    assert len(str(reply.ok()[0]["time"])) == 16
    reply = await anyone.call(
        "GET", "/api/v3/klines", symbol=BTC, interval="1m", limit=1, headers={"X-MBX-TIME-UNIT": "microsecond"}
    )
    assert reply.ok()[0][6] - reply.ok()[0][0] == 60_000_000 - 1


def _missing(name: str) -> tuple[int, str]:
    return -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."


def _not_valid(name: str) -> tuple[int, str]:
    return -1130, f"Data sent for parameter '{name}' is not valid."


_BAD_SYMBOL: Final = (-1121, "Invalid symbol.")
_COMBINATION: Final = (-1128, "Combination of optional parameters invalid.")


@pytest.mark.parametrize(
    ("path", "query", "refusal"),
    [
        ("depth", {}, _missing("symbol")),
        ("depth", {"symbol": "NONEUSDT"}, _BAD_SYMBOL),
        ("depth", {"symbol": BTC, "limit": 0}, _not_valid("limit")),
        ("depth", {"symbol": BTC, "limit": "x"},
         (-1100, "Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'.")),
        ("depth", {"symbol": "btcusdt!"},
         (-1100, "Illegal characters found in parameter 'symbol'; legal range is '^[A-Z0-9-_.]{1,20}$'.")),
        ("depth", {"symbol": BTC, "symbolStatus": "HALT"},
         (-1220, "The symbol's status does not match the requested symbolStatus.")),
        ("depth", {"symbol": BTC, "symbolStatus": "SLEEPING"}, (-1122, "Invalid symbolStatus.")),
        ("trades", {"symbol": BTC, "limit": 10**19}, _not_valid("limit")),
        ("historicalBlockTrades", {"symbol": BTC}, _missing("fromId")),
        ("aggTrades", {"symbol": BTC, "fromId": 1, "startTime": 1}, _COMBINATION),
        ("klines", {"symbol": BTC}, _missing("interval")),
        ("klines", {"symbol": BTC, "interval": "2m"}, (-1120, "Invalid interval.")),
        ("klines", {"symbol": BTC, "interval": "1m", "timeZone": "15"}, _not_valid("timeZone")),
        ("ticker/24hr", {"symbol": BTC, "symbols": '["ETHUSDT"]'}, _COMBINATION),
        ("ticker/24hr", {"symbols": '["NONEUSDT"]'}, _BAD_SYMBOL),
        ("ticker/24hr", {"symbol": BTC, "type": "SMALL"}, (-1139, "Invalid ticker type.")),
        ("ticker/price", {"symbols": "BTCUSDT"},
         (-1100, "Illegal characters found in parameter 'symbols'; legal range is "
          "'^\\[(\"[A-Z0-9-_.]{1,20}\"(,\"[A-Z0-9-_.]{1,20}\"){0,}){0,1}\\]$'.")),
        ("ticker", {}, _COMBINATION),
        ("ticker", {"symbol": BTC, "windowSize": "24h"}, _not_valid("windowSize")),
        ("ticker/tradingDay", {"symbol": BTC, "timeZone": "x"}, _not_valid("timeZone")),
        ("referencePrice", {"symbol": BTC}, (-2043, "This symbol doesn't have a reference price.")),
        ("referencePrice/calculation", {"symbol": BTC}, (-2043, "This symbol doesn't have a reference price.")),
    ],
)  # fmt: skip
async def test_refusals(anyone: Client, path: str, query: dict[str, Any], refusal: tuple[int, str]) -> None:
    reply = await anyone.call("GET", f"/api/v3/{path}", **query)
    assert (reply.status, reply.json) == (400, {"code": refusal[0], "msg": refusal[1]})


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        ("historicalBlockTrades", {"symbol": BTC, "fromId": 0}, lambda found: found == []),
        ("ticker/price", {"symbols": "[]"}, lambda found: found == []),
        ("ticker/24hr", {"symbolStatus": "HALT"}, lambda found: found == []),
        ("ticker/bookTicker", {"symbolStatus": "TRADING"}, lambda found: len(found) >= 8),
        ("klines", {"symbol": BTC, "interval": "1m", "startTime": 5, "endTime": 4}, lambda found: found == []),
        ("klines", {"symbol": BTC, "interval": "1m", "endTime": 1}, lambda found: found == []),
    ],
)
async def test_answers_at_the_edges(
    anyone: Client, path: str, query: dict[str, Any], expected: Callable[[Any], bool]
) -> None:
    assert expected(await anyone.get(f"/api/v3/{path}", **query))
