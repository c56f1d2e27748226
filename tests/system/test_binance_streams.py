"""The venue's market streams over the wire, by its documentation (web-socket-streams.md)."""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Final

import aiohttp
import msgspec
import pytest

from actors.journal import Journal
from actors.wire import decode_batch
from market.book import Book
from market.decimals import Grid
from market.enums import Side
from market.universe import instruments
from tests.system.addresses import ManyAddresses
from tests.system.client import Client, Closed, Json, Socket, eventually
from tests.system.conftest import Exchange, User
from tests.system.depth_follower import Follower

pytestmark = pytest.mark.system


@pytest.fixture
async def anyone(exchange: Exchange) -> AsyncIterator[Client]:
    async with ManyAddresses(exchange.url) as client:
        yield client


BTC: Final = "BTCUSDT"
TICKER: Final = "e E s p P w x c Q b B a A o h l v q O C F L n"
MINI: Final = "e E s c o h l v q"
WINDOW: Final = "e E s p P o h l c w v q O C F L n"
KLINE: Final = "e E s k"
FIELDS: Final = {
    "btcusdt@trade": "e E s t p q T m M",
    "btcusdt@aggTrade": "e E s a p q f l T m M",
    "btcusdt@bookTicker": "u s b B a A",
    "btcusdt@depth": "e E s U u b a",
    "btcusdt@depth@100ms": "e E s U u b a",
    "btcusdt@depth5": "lastUpdateId bids asks",
    "btcusdt@depth10@100ms": "lastUpdateId bids asks",
    "btcusdt@depth20": "lastUpdateId bids asks",
    "btcusdt@miniTicker": MINI,
    "!miniTicker@arr": MINI,
    "btcusdt@ticker": TICKER,
    "!ticker@arr": TICKER,
    "btcusdt@ticker_1h": WINDOW,
    "btcusdt@ticker_4h": WINDOW,
    "btcusdt@ticker_1d": WINDOW,
    "!ticker_1h@arr": WINDOW,
    "!ticker_4h@arr": WINDOW,
    "!ticker_1d@arr": WINDOW,
    "btcusdt@avgPrice": "e E s i w T",
    "btcusdt@kline_1s": KLINE,
    "btcusdt@kline_1m": KLINE,
    "btcusdt@kline_1M": KLINE,
    "btcusdt@kline_1d@+08:00": KLINE,
}  # fmt: skip
EVENTS: Final = {
    "trade": "trade", "aggTrade": "aggTrade", "depth": "depthUpdate", "miniTicker": "24hrMiniTicker",
    "ticker": "24hrTicker", "ticker_1h": "1hTicker", "ticker_4h": "4hTicker", "ticker_1d": "1dTicker",
    "avgPrice": "avgPrice", "kline_1s": "kline", "kline_1m": "kline", "kline_1M": "kline", "kline_1d": "kline",
}  # fmt: skip
KLINE_BODY: Final = "t T s i f L o c h l v n x q V Q B"
NUMBERS: Final = frozenset("ETOCFLntaUuf") | {"lastUpdateId"}
BOOLEANS: Final = frozenset("mM")


@asynccontextmanager
async def streams(client: Client, path: str, *names: str, **query: str) -> AsyncIterator[Socket]:
    """A socket that is subscribed to more than its path asks for."""
    async with client.socket(path, **query) as socket:
        if names:
            await socket.send({"method": "SUBSCRIBE", "params": list(names), "id": 1})
            assert await result(socket, 1) is None
        yield socket


async def result(socket: Socket, request_id: Any) -> Any:
    """Of a request; events in between are let be."""
    while True:
        found = await socket.receive()
        if isinstance(found, dict) and "id" in found and "result" in found:
            assert found["id"] == request_id
            return found["result"]


async def closing(socket: Socket) -> tuple[int | None, str]:
    """Code and reason of the close that comes; what comes before it is let be."""
    while True:
        try:
            await socket.receive()
        except Closed as ended:
            return ended.code, ended.reason


def check_fields(event: Json, fields: str, unit_digits: int = 13) -> None:
    assert " ".join(event) == fields
    for name, value in event.items():
        if name in ("k", "bids", "asks") or isinstance(value, list):
            continue
        if name in BOOLEANS and isinstance(value, bool):
            continue
        if name in NUMBERS and name != "l":
            if isinstance(value, str):  # a and T are prices elsewhere
                assert Decimal(value) >= 0
            else:
                assert isinstance(value, int), (name, value)
        elif name not in ("e", "s", "i"):
            if name in ("f", "l", "u") and isinstance(value, int):
                continue
            assert isinstance(value, str), (name, value)
            assert len(value.partition(".")[2]) == (3 if name == "P" else 8), (name, value)
    for name in ("E", "T", "C", "O"):
        if isinstance(event.get(name), int):
            assert len(str(event[name])) == unit_digits, (name, event[name])


async def test_every_stream_delivers_the_documented_fields(anyone: Client) -> None:
    async with streams(anyone, "/stream", *FIELDS) as socket:
        waiting = dict(FIELDS)
        while waiting:
            found = await socket.receive()
            assert list(found) == ["stream", "data"]
            fields = waiting.pop(found["stream"], None)
            if fields is None:
                continue
            events = found["data"]
            assert isinstance(events, list) is found["stream"].startswith("!")
            for event in events if isinstance(events, list) else [events]:
                check_fields(event, fields)
                if fields == KLINE:
                    assert " ".join(event["k"]) == KLINE_BODY
                    assert event["k"]["i"] == found["stream"].partition("kline_")[2].partition("@")[0]
                if "e" in event:
                    channel = found["stream"].partition("@")[2].partition("@")[0]
                    assert event["e"] == EVENTS[channel if channel != "arr" else found["stream"][1:].partition("@")[0]]


async def test_streams_may_be_in_the_path_or_the_parameter(anyone: Client) -> None:
    async with anyone.socket("/ws/btcusdt@ticker") as socket:
        assert (await socket.receive())["e"] == "24hrTicker"
    async with anyone.socket("/ws/btcusdt@ticker/ethusdt@miniTicker") as socket:
        seen: set[str] = set()
        while seen != {"24hrTicker BTCUSDT", "24hrMiniTicker ETHUSDT"}:
            event = await socket.receive()
            seen.add(f"{event['e']} {event['s']}")
    async with anyone.socket("/stream", streams="btcusdt@ticker/!miniTicker@arr") as socket:
        named: set[str] = set()
        while named != {"btcusdt@ticker", "!miniTicker@arr"}:
            named.add((await socket.receive())["stream"])
    # As browsers and some clients send it: a plus that is not escaped.
    async with anyone.session.ws_connect("/stream?streams=btcusdt@kline_1d@+08:00") as raw:
        assert (await raw.receive_json(timeout=10))["stream"] == "btcusdt@kline_1d@+08:00"


@pytest.mark.parametrize(
    "path", ["/ws", "/ws/0", "/ws/17", "/stream", "/stream/ws", "/stream/ws/3", "/ws/some-listen-key"]
)
async def test_a_path_without_streams_asks_for_nothing(anyone: Client, path: str) -> None:
    async with anyone.socket(path) as socket:
        await socket.send({"method": "LIST_SUBSCRIPTIONS", "id": 3})
        assert await socket.receive() == {"result": [], "id": 3}
        await socket.send({"method": "SUBSCRIBE", "params": ["btcusdt@ticker"], "id": "abc"})
        assert await socket.receive() == {"result": None, "id": "abc"}
        event = await socket.receive()
        assert ("stream" in event) is path.startswith("/stream")


async def test_subscriptions_are_changed_and_told(anyone: Client) -> None:
    async with anyone.socket("/ws/btcusdt@depth5") as socket:
        await socket.send({"method": "SUBSCRIBE", "params": ["ethusdt@aggTrade", "btcusdt@depth5"], "id": 1})
        assert await result(socket, 1) is None
        await socket.send({"method": "LIST_SUBSCRIPTIONS", "id": -5})
        assert await result(socket, -5) == ["btcusdt@depth5", "ethusdt@aggTrade"]
        await socket.send({"method": "UNSUBSCRIBE", "params": ["btcusdt@depth5", "never@trade"], "id": None})
        assert await result(socket, None) is None
        await socket.send({"method": "LIST_SUBSCRIPTIONS", "id": 0})
        assert await result(socket, 0) == ["ethusdt@aggTrade"]
        assert (await socket.receive())["e"] == "aggTrade", "what was left comes on"


async def test_the_wrapper_is_a_property(anyone: Client) -> None:
    async with anyone.socket("/ws/btcusdt@ticker") as socket:
        await socket.send({"method": "GET_PROPERTY", "params": ["combined"], "id": 2})
        assert await result(socket, 2) is False
        await socket.send({"method": "SET_PROPERTY", "params": ["combined", True], "id": 3})
        assert await result(socket, 3) is None
        assert list(await socket.receive()) == ["stream", "data"]
        await socket.send({"method": "GET_PROPERTY", "params": ["combined"], "id": 4})
        assert await result(socket, 4) is True


SUBSCRIBE_UNKNOWN: Final = '{"method":"subscribe","params":[],"id":1}'


@pytest.mark.parametrize(
    ("frame", "code", "msg", "request_id"),
    [
        ('{"method":"SET_PROPERTY","params":["speed",true],"id":1}', 0, "Unknown property", 1),
        ('{"method":"GET_PROPERTY","params":["speed"],"id":1}', 0, "Unknown property", 1),
        ('{"method":"SET_PROPERTY","params":["combined","yes"],"id":1}', 1, "Invalid value type: expected Boolean", 1),
        ('{"method":"SET_PROPERTY","params":["combined"],"id":1}', 1, "Invalid value type: expected Boolean", 1),
        ('{"method":"SET_PROPERTY","params":[7,true],"id":1}', 2,
         "Invalid request: property name must be a string", 1),
        ('{"method":"GET_PROPERTY","id":1}', 2, "Invalid request: property name must be a string", 1),
        ('{"method":"GET_PROPERTY","params":["combined",1],"id":1}', 2, "Invalid request: too many parameters", 1),
        ('{"method":"LIST_SUBSCRIPTIONS","params":["x"],"id":1}', 2, "Invalid request: too many parameters", 1),
        ('{"method":"LIST_SUBSCRIPTIONS"}', 2, "Invalid request: request ID must be an unsigned integer", None),
        ('{"method":"LIST_SUBSCRIPTIONS","id":1.5}', 2, "Invalid request: request ID must be an unsigned integer", None),
        ('{"method":"LIST_SUBSCRIPTIONS","id":[1]}', 2, "Invalid request: request ID must be an unsigned integer", None),
        ('{"params":[],"id":1}', 2, "Invalid request: missing field `method` at line 1 column 20", 1),
        (SUBSCRIBE_UNKNOWN, 2, "Invalid request: unknown variant `subscribe`, expected one of `SUBSCRIBE`, "
         "`UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY` at line 1 column 21", 1),
        ("nonsense", 3, "Invalid JSON: expected value at line 1 column 1", None),
        ('{"method":\n"SUBSCRIBE",}', 3, "Invalid JSON: expected value at line 2 column 13", None),
        ("[1]", 2, "Invalid request: expected an object at line 1 column 1", None),
        ('{"method":"SUBSCRIBE","params":"btcusdt@trade","id":1}', 2, "Invalid request: params must be an array", 1),
    ],
)  # fmt: skip
async def test_requests_that_are_refused(anyone: Client, frame: str, code: int, msg: str, request_id: Any) -> None:
    async with anyone.socket("/ws") as socket:
        await socket.send_raw(frame)
        told: Json = {"error": {"code": code, "msg": msg}}
        if request_id is not None:
            told["id"] = request_id
        assert await socket.receive() == told
        await socket.send({"method": "LIST_SUBSCRIPTIONS", "id": 9})
        assert await socket.receive() == {"result": [], "id": 9}, "the connection lives on"


@pytest.mark.parametrize("params", [["@@@x###"], ["btcusdt"], [5], [""], ["btcusdt@trade", None]])
async def test_what_is_no_stream_ends_the_connection(anyone: Client, params: list[Any]) -> None:
    async with anyone.socket("/ws") as socket:
        await socket.send({"method": "SUBSCRIBE", "params": params, "id": 1})
        assert await socket.receive() == {"error": {"code": 2, "msg": "Invalid request: invalid stream"}, "id": 1}
        assert (await closing(socket))[0] == 1008


async def test_bytes_are_read_as_text(anyone: Client) -> None:
    async with anyone.socket("/ws") as socket:
        await socket.send_raw(b'{"method":"LIST_SUBSCRIPTIONS","id":1}')
        assert await socket.receive() == {"result": [], "id": 1}
        await socket.send_raw(b"\xff\xfe")
        assert (await socket.receive())["error"]["code"] == 3


async def test_at_most_1024_streams(anyone: Client) -> None:
    silent = [f"none{k}@trade" for k in range(1024)]
    async with streams(anyone, "/ws", *silent) as socket:
        await socket.send({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 2})
        assert await socket.receive() == {"error": {"code": 4, "msg": "Too many subscriptions"}, "id": 2}
        await socket.send({"method": "UNSUBSCRIBE", "params": silent[:1], "id": 3})
        assert await result(socket, 3) is None
        await socket.send({"method": "SUBSCRIBE", "params": ["btcusdt@ticker"], "id": 4})
        assert await result(socket, 4) is None
        assert (await socket.receive())["s"] == BTC


async def test_at_most_five_messages_a_second(anyone: Client) -> None:
    async with anyone.socket("/ws") as socket:
        for k in range(6):
            await socket.send({"method": "LIST_SUBSCRIPTIONS", "id": k})
        assert await closing(socket) == (1008, "too many messages per second")


@pytest.mark.parametrize("unit", ["MICROSECOND", "microsecond"])
async def test_times_in_microseconds(anyone: Client, unit: str) -> None:
    async with anyone.socket(
        "/stream", streams="btcusdt@trade/btcusdt@kline_1s/btcusdt@ticker", timeUnit=unit
    ) as socket:
        seen = set()
        while len(seen) < 3:
            found = await socket.receive()
            event = found["data"]
            seen.add(found["stream"])
            assert len(str(event["E"])) == 16
            if "k" in event:
                assert event["k"]["T"] - event["k"]["t"] == 999_999
    async with anyone.session.get("/ws?timeUnit=YEAR", headers=_UPGRADE) as answer:
        assert answer.status == 403


_UPGRADE: Final = {
    "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}  # fmt: skip


# -- the tape -------------------------------------------------------------------------------------------------------


async def test_trades_and_aggregates_tell_the_tape_without_a_gap(anyone: Client, trader: Client) -> None:
    async with streams(anyone, "/stream", "btcusdt@trade", "btcusdt@aggTrade", "btcusdt@bookTicker") as socket:
        assert "stream" in await socket.receive()
        trades: list[Json] = []
        aggregates: list[Json] = []
        # Takes several levels of the book: several trades of one order.
        await trader.buy(BTC, type="MARKET", quote_quantity="60000")
        while len(trades) < 15:
            found = await socket.receive()
            if found["stream"] == "btcusdt@trade":
                trades.append(found["data"])
            elif found["stream"] == "btcusdt@aggTrade":
                aggregates.append(found["data"])
    first, last = trades[0]["t"], trades[-1]["t"]
    assert [one["t"] for one in trades] == list(range(first, last + 1))

    async def stored() -> list[Json]:
        found: list[Json] = await anyone.get("/api/v3/historicalTrades", symbol=BTC, fromId=first, limit=len(trades))
        return found

    rows = await eventually(stored, lambda found: len(found) == len(trades), "the trades are stored")
    for row, event in zip(rows, trades, strict=True):
        assert (row["id"], row["price"], row["qty"], row["time"], row["isBuyerMaker"]) == (
            event["t"], event["p"], event["q"], event["T"], event["m"],
        )  # fmt: skip
    whole = [one for one in aggregates if one["f"] >= first and one["l"] <= last]
    by_id = {one["t"]: one for one in trades}
    for before, after in itertools.pairwise(whole):
        assert (after["a"], after["f"]) == (before["a"] + 1, before["l"] + 1)
    for one in whole:
        parts = [by_id[k] for k in range(one["f"], one["l"] + 1)]
        assert {part["p"] for part in parts} == {one["p"]}
        assert sum(Decimal(part["q"]) for part in parts) == Decimal(one["q"])
        assert {(part["T"], part["m"]) for part in parts} == {(one["T"], one["m"])}
    told = await anyone.get("/api/v3/aggTrades", symbol=BTC, fromId=whole[0]["a"], limit=len(whole))
    assert told == [{name: one[name] for name in "apqflTmM"} for one in whole]


async def test_one_taker_at_one_price_is_one_aggregate(
    anyone: Client, trader: Client, other: Client, exchange: Exchange, new_user: User
) -> None:
    """Two makers at one price: two trades, one aggregate. Tried again when somebody else was faster."""
    async with streams(anyone, "/ws", "btcusdt@aggTrade") as socket, exchange.client(new_user) as taker:
        assert (await socket.receive())["s"] == BTC
        for maker in (trader, other):
            await maker.buy(BTC, type="MARKET", quantity="0.02")

        async def meet() -> list[Json]:
            bid, ask = await trader.top_of_book(BTC)
            price = str(ask - Decimal("0.01"))
            if ask - bid < Decimal("0.02"):
                return []
            for maker in (trader, other):
                await maker.sell(BTC, type="LIMIT", price=price, quantity="0.001")
            order = await taker.buy(BTC, type="LIMIT", price=price, quantity="0.002", time_in_force="IOC")
            for maker in (trader, other):
                await maker.cancel_all()
            return [fill for fill in order["fills"] if Decimal(fill["price"]) == Decimal(price)]

        fills = await eventually(meet, lambda found: len(found) == 2, "two makers at one price")
        first, last = sorted(fill["trade_id"] for fill in fills)
        while True:
            event = await socket.receive()
            if event["f"] <= first <= event["l"]:
                break
        assert (event["f"], event["l"], event["m"]) == (first, last, False)
        assert Decimal(event["q"]) == Decimal("0.002")


async def test_seconds_close_one_after_another_and_are_what_rest_tells(anyone: Client) -> None:
    async with streams(anyone, "/ws", "btcusdt@kline_1s") as socket:
        closed: list[Json] = []
        while len(closed) < 5:
            event = await socket.receive()
            body = event["k"]
            assert body["T"] - body["t"] == 999
            assert event["E"] >= body["t"]
            if body["x"]:
                closed.append(body)
    for before, after in itertools.pairwise(closed):
        assert after["t"] == before["t"] + 1000
        if after["n"] == 0:
            assert {after[name] for name in "ohlc"} == {before["c"]}
    expected = [
        [
            one["t"],
            one["o"],
            one["h"],
            one["l"],
            one["c"],
            one["v"],
            one["T"],
            one["q"],
            one["n"],
            one["V"],
            one["Q"],
            "0",
        ]
        for one in closed
    ]

    async def stored() -> Any:
        return await anyone.get("/api/v3/klines", symbol=BTC, interval="1s", startTime=closed[0]["t"], limit=5)

    await eventually(stored, lambda found: found == expected, "the same klines")


# -- depth ----------------------------------------------------------------------------------------------------------


class Load:
    """Orders of several users on many prices, away from the market: the book changes at thousands of levels a second."""

    def __init__(self, exchange: Exchange, users: Iterable[User]) -> None:
        self._exchange = exchange
        self._users = list(users)
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Load":
        self._tasks = [asyncio.create_task(self._trade(k, user)) for k, user in enumerate(self._users)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        for outcome in await asyncio.gather(*self._tasks, return_exceptions=True):
            assert isinstance(outcome, asyncio.CancelledError), outcome

    async def _trade(self, number: int, user: User) -> None:
        async with self._exchange.client(user) as client, client.trading_socket() as socket:
            for turn in itertools.count():
                orders = [
                    {
                        "symbol": BTC, "side": "BUY", "type": "LIMIT", "quantity": f"0.000{1 + turn % 9}",
                        "price": str(60_000 + 1_000 * number + k),
                    }
                    for k in range(190)
                ]  # fmt: skip
                answer = await socket.ask("place", orders=orders)
                assert all(one["error"] is None for one in answer["results"]), answer["results"][0]
                await asyncio.sleep(0.11)  # longer than the streams conflate: each of these levels is told
                await socket.ask("cancel_all", symbol=BTC)
                await asyncio.sleep(0.11)


LEVELS: Final = 100_000


async def test_a_follower_has_the_servers_book_over_100_000_updates_and_after_reconnects(exchange: Exchange) -> None:
    """By the venue's recipe, under load; compared with GET depth whenever both are at the same update."""
    users = [exchange.register("load") for _ in range(6)]
    async with ManyAddresses(exchange.url) as client, Load(exchange, users):

        async def snapshot() -> Any:
            return await client.get("/api/v3/depth", symbol=BTC, limit=5000)

        followed = compared = 0
        while followed < LEVELS:
            async with client.session.ws_connect("/ws/btcusdt@depth@100ms", max_msg_size=0) as socket:
                follower = Follower(socket, snapshot)
                await follower.synchronise()
                while followed + follower.book.applied < LEVELS and follower.book.applied < LEVELS // 4:
                    await follower.step()
                    if follower.events % 4 == 0:
                        compared += await _compare(follower, snapshot)
                followed += follower.book.applied
                assert follower.book.sides(0) == await _journaled(exchange, follower.book.update_id)
        assert compared >= 10, "the book was compared often enough"


async def _compare(follower: Follower, snapshot: Any) -> bool:
    """Whether both were at the same update; they are then equal to the last level."""
    told = await snapshot()
    while follower.book.update_id < told["lastUpdateId"]:
        await follower.step()
    if follower.book.update_id != told["lastUpdateId"]:
        return False
    bids, asks = follower.book.sides(5000)
    assert [list(level) for level in bids] == told["bids"]
    assert [list(level) for level in asks] == told["asks"]
    return True


async def _journaled(exchange: Exchange, update_id: int) -> tuple[Any, Any]:
    """All levels of the book after an update: the journal, matched anew."""
    instrument = instruments(1)[0]
    grid, book = Grid.of(instrument), Book(instrument, 0)
    journal = Journal(exchange.pg_dsn, "book-0")
    async for row in journal.read(0):
        commands = decode_batch(row.payload).commands
        book.apply(commands[commands["symbol"] == 0])
        if book.exec_id >= update_id:
            break
    await journal.close()
    assert book.exec_id == update_id
    bids, asks = (
        [(grid.price(int(row["price_ticks"])), grid.quantity(int(row["qty_lots"]))) for row in book.depth(side)]
        for side in (Side.BUY, Side.SELL)
    )
    return bids, asks


async def test_slow_and_fast_diffs_and_partial_depth_end_in_the_same_book(anyone: Client) -> None:
    names = ("ethusdt@depth", "ethusdt@depth@100ms", "ethusdt@depth20", "ethusdt@depth5@100ms")
    async with streams(anyone, "/stream", *names) as socket:
        last: dict[str, Json] = {}
        for _ in range(60):
            found = await socket.receive()
            name, event = found["stream"], found["data"]
            if "U" in event and name in last:
                assert event["U"] == last[name]["u"] + 1
            if "bids" in event:
                assert [Decimal(level[0]) for level in event["bids"]] == sorted(
                    (Decimal(level[0]) for level in event["bids"]), reverse=True
                )
                assert len(event["bids"]) <= (20 if name == "ethusdt@depth20" else 5)
            last[name] = event
        assert set(last) == set(names)


async def test_the_top_of_the_book_is_told_at_every_change(anyone: Client) -> None:
    async with streams(anyone, "/ws", "btcusdt@bookTicker") as socket:
        events = [await socket.receive() for _ in range(10)]
    for before, after in itertools.pairwise(events):
        assert after["u"] > before["u"]
        assert [after[name] for name in "bBaA"] != [before[name] for name in "bBaA"]
        assert Decimal(after["b"]) < Decimal(after["a"])


async def test_tickers_tell_what_rest_tells(anyone: Client) -> None:
    """The stream's window and REST's hold the same trades: an exchange under test is younger than a day."""
    async with streams(anyone, "/ws", "ethusdt@ticker") as socket:
        event = await socket.receive()
    trades = await anyone.get("/api/v3/historicalTrades", symbol="ETHUSDT", fromId=event["F"], limit=1000)
    inside = [one for one in trades if one["id"] <= event["L"]]
    if len(inside) < event["n"]:
        pytest.skip("more trades than one request tells")
    prices = [Decimal(one["price"]) for one in inside]
    volume = sum(Decimal(one["qty"]) for one in inside)
    quote = sum(Decimal(one["quoteQty"]) for one in inside)
    assert (Decimal(event["o"]), Decimal(event["c"])) == (prices[0], prices[-1])
    assert (Decimal(event["h"]), Decimal(event["l"])) == (max(prices), min(prices))
    assert (Decimal(event["v"]), Decimal(event["q"])) == (volume, quote)
    assert abs(Decimal(event["w"]) - quote / volume) <= Decimal("5e-9")
    assert Decimal(event["p"]) == prices[-1] - prices[0]
    assert event["Q"] == inside[-1]["qty"]


async def test_our_own_sockets_under_ws_are_still_there(anyone: Client) -> None:
    async with anyone.socket("/ws/prices", channels="ticker", symbols=BTC) as socket:
        assert (await socket.receive())["channel"] == "ticker"


async def test_after_the_projector_was_killed_nothing_is_missing_or_told_twice(exchange: Exchange) -> None:
    """Those who were promised every event are cut; what is built anew goes on where it stopped."""
    command = [sys.executable, "-m", "deploy.cli", "status", "--json", "--data", str(exchange.data)]
    told = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True)
    pid = msgspec.json.decode(told.stdout)["actors"]["projector"]["pid"]
    async with ManyAddresses(exchange.url) as client:

        async def snapshot() -> Any:
            return await client.get("/api/v3/depth", symbol=BTC, limit=5000)

        async with client.session.ws_connect("/ws/btcusdt@depth@100ms", max_msg_size=0) as socket:
            follower = Follower(socket, snapshot)
            await follower.synchronise()
            before = follower.book.update_id
            os.kill(pid, signal.SIGKILL)
            while (message := await socket.receive(timeout=60)).type is aiohttp.WSMsgType.TEXT:
                pass
            assert socket.close_code == 1013, message
        async with client.session.ws_connect("/ws/btcusdt@depth@100ms", max_msg_size=0) as socket:
            follower = Follower(socket, snapshot)
            await follower.synchronise()
            while follower.book.update_id <= before + 10:
                await follower.step()
            assert follower.book.sides(0) == await _journaled(exchange, follower.book.update_id)
        for symbol in (BTC, "ETHUSDT"):
            (newest,) = await client.get("/api/v3/trades", symbol=symbol, limit=1)

            async def counted(symbol: str = symbol, last: int = newest["id"]) -> tuple[int, int]:
                klines = await client.get("/api/v3/klines", symbol=symbol, interval="1m", startTime=0, limit=1000)
                (trade,) = await client.get("/api/v3/trades", symbol=symbol, limit=1)
                return sum(one[8] for one in klines), trade["id"]

            # Trades go on between the two questions: some time they fit.
            await eventually(counted, lambda pair: pair[0] == pair[1], "candles hold every trade once")
            aggregates = await client.get("/api/v3/aggTrades", symbol=symbol, limit=1000)
            for one, other in itertools.pairwise(aggregates):
                assert (other["a"], other["f"]) == (one["a"] + 1, one["l"] + 1)
