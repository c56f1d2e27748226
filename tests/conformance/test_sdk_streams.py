"""binance-sdk-spot: market streams; every event fits the client's models."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.conformance.matrix import SDK_STREAMS, Area, row
from tests.conformance.sdk import plain
from tests.conformance.told import VENUE_SYMBOL, dec, total
from tests.system.client import eventually

pytestmark = pytest.mark.system
NAME = VENUE_SYMBOL.lower()
WAIT_S = 30


@pytest.fixture
async def streams(sdk: Any) -> AsyncIterator[Any]:
    connection = await sdk.websocket_streams.create_connection()
    yield connection
    await connection.close_connection(close_session=True)


def listening(stream: Any) -> "asyncio.Queue[Any]":
    """The messages of a stream from now on, as the client hands them on."""
    arrived: asyncio.Queue[Any] = asyncio.Queue()
    stream.on("message", arrived.put_nowait)
    return arrived


async def events(stream: Any, n: int = 1) -> list[Any]:
    """The next n of them."""
    arrived = listening(stream)
    async with asyncio.timeout(WAIT_S):
        return [plain(await arrived.get()) for _ in range(n)]


async def fetched(sdk: Any, first: int, n: int) -> list[Any]:
    """Trades over REST; they are told a moment after the stream."""

    async def ask() -> Any:
        return plain(await asyncio.to_thread(sdk.rest_api.historical_trades, VENUE_SYMBOL, from_id=first, limit=n))

    return list(await eventually(ask, lambda found: len(found) == n, "the trades"))


@row(SDK_STREAMS, Area.STREAMS, "trade", "every trade, as fetched")
async def test_trade(sdk: Any, streams: Any) -> None:
    told = await events(await streams.trade(symbol=NAME), 3)
    assert [(one["t"], one["p"], one["q"]) for one in told] == [
        (one["id"], one["price"], one["qty"]) for one in await fetched(sdk, told[0]["t"], 3)
    ]


@row(SDK_STREAMS, Area.STREAMS, "agg_trade", "exactly the trades it names")
async def test_agg_trade(sdk: Any, streams: Any) -> None:
    [one] = await events(await streams.agg_trade(symbol=NAME))
    parts = await fetched(sdk, one["f"], one["l"] - one["f"] + 1)
    assert total(part["qty"] for part in parts) == dec(one["q"])


@row(
    SDK_STREAMS,
    Area.STREAMS,
    "diff_book_depth",
    "each begins where the last one ended; none is missing after a snapshot",
)
async def test_diffs(sdk: Any, streams: Any) -> None:
    stream = await streams.diff_book_depth(symbol=NAME, update_speed="100ms")
    [first] = await events(stream)  # the client does not wait for the confirmation
    snapshot = plain(sdk.rest_api.depth(VENUE_SYMBOL))["lastUpdateId"]
    told = [first, *await events(stream, 3)]
    assert first["U"] <= snapshot + 1
    for before, after in itertools.pairwise(told):
        assert after["U"] == before["u"] + 1


@row(SDK_STREAMS, Area.STREAMS, "partial_book_depth", "the top of the book, not crossed")
async def test_partial(streams: Any) -> None:
    [book] = await events(await streams.partial_book_depth(symbol=NAME, levels="10"))
    assert (len(book["bids"]), len(book["asks"])) == (10, 10)
    assert dec(book["bids"][0][0]) < dec(book["asks"][0][0])


@row(SDK_STREAMS, Area.STREAMS, "kline", "closed it is the fetched candle")
async def test_kline(sdk: Any, streams: Any) -> None:
    arrived = listening(await streams.kline(symbol=NAME, interval="1s"))
    closed: dict[int, Any] = {}

    async def ask() -> Any:
        while not closed or not arrived.empty():  # one whose last trades came late is told again
            candle = plain(await asyncio.wait_for(arrived.get(), WAIT_S))["k"]
            if candle["x"]:
                closed[candle["t"]] = candle
        second = min(closed)
        [over_rest] = plain(
            await asyncio.to_thread(sdk.rest_api.klines, VENUE_SYMBOL, "1s", start_time=second, limit=1)
        )
        return [closed[second][one] for one in "tohlcv"], over_rest[:6]

    await eventually(ask, lambda both: both[0] == both[1], "the same candle")


@row(SDK_STREAMS, Area.STREAMS, "ticker, mini_ticker, book_ticker, avg_price, rolling_window_ticker", "the symbol's")
async def test_tickers(streams: Any) -> None:
    [mini] = await events(await streams.mini_ticker(symbol=NAME))
    assert dec(mini["l"]) <= dec(mini["c"]) <= dec(mini["h"])
    [top] = await events(await streams.book_ticker(symbol=NAME))
    assert dec(top["b"]) < dec(top["a"])
    [average] = await events(await streams.avg_price(symbol=NAME))
    [day] = await events(await streams.ticker(symbol=NAME))
    assert (day["s"], day["L"] - day["F"] + 1) == (VENUE_SYMBOL, day["n"])
    assert dec(day["l"]) <= dec(average["w"]) <= dec(day["h"])
    [hour] = await events(await streams.rolling_window_ticker(symbol=NAME, window_size="1h"))
    assert (hour["e"], hour["s"]) == ("1hTicker", VENUE_SYMBOL)


@row(SDK_STREAMS, Area.STREAMS, "all_mini_ticker, all_market_rolling_window_ticker", "arrays of what changed")
async def test_arrays(streams: Any) -> None:
    [minis] = await events(await streams.all_mini_ticker())
    assert {one["e"] for one in minis} == {"24hrMiniTicker"}
    [hours] = await events(await streams.all_market_rolling_window_ticker(window_size="1h"))
    assert {one["e"] for one in hours} == {"1hTicker"}


@row(SDK_STREAMS, Area.STREAMS, "unsubscribe", "nothing more of it comes, the connection lives on")
async def test_unsubscribe(streams: Any) -> None:
    stream = await streams.book_ticker(symbol=NAME)
    await events(stream)
    await stream.unsubscribe()
    [mini] = await events(await streams.mini_ticker(symbol=NAME))
    assert mini["s"] == VENUE_SYMBOL
