"""Sockets of the market streams over a real bus: what listeners get, how they end, what is asked of the projector."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final

import msgspec
import pytest
import redis.asyncio as aioredis

from actors.config import Settings
from actors.stream_demand import BROKEN, channel_of, control_channel
from deploy.valkey import EmbeddedValkey
from serve.binance.stream_hub import StreamHub
from serve.binance.stream_session import StreamLimits, StreamSession
from serve.binance.streams import ConnectLimit, StreamAddress
from serve.sockets.asgi import AsgiSocket
from serve.sockets.outbox import SOON, WAITING_LIMIT
from serve.sockets.session import SocketCount
from serve.sockets.transport import Handshake

WITHIN_S: Final = 10.0


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    folder = tmp_path_factory.mktemp("streams")
    server = EmbeddedValkey(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


class World:
    """A hub on a real bus, and sockets that take what they are sent when they are told to."""

    def __init__(self, url: str) -> None:
        self.settings = Settings(data_dir="/streams", run_dir="/", pg_dsn="", redis_url=url)
        self.hub = StreamHub(self.settings)
        self.bus = aioredis.Redis.from_url(url)

    async def publish(self, unit: str, name: str, *events: str) -> None:
        """Once the hub has subscribed."""
        channel = channel_of(self.settings.prefix, unit, name)
        message = "\n".join(events).encode()
        await until(lambda: self.bus.publish(channel, message), lambda count: count == 1)

    async def channels(self) -> set[str]:
        pattern = channel_of(self.settings.prefix, "?s", "*")
        return {name.decode().rpartition(":stream:")[2] for name in await self.bus.pubsub_channels(pattern)}

    def open(self, *names: str, **options: Any) -> "Socket":
        return Socket(self.hub, names, options)


class Socket:
    """The far end of one session."""

    def __init__(self, hub: StreamHub, names: tuple[str, ...], options: dict[str, Any]) -> None:
        self.reading = asyncio.Event()
        self.reading.set()
        self.taken: list[str] = []
        self.closed: tuple[int, str] | None = None
        self._arrived = asyncio.Condition()
        limits = options.pop("limits", StreamLimits())
        self._incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        transport = AsgiSocket(self, Handshake("/stream", "", {}, None))  # type: ignore[arg-type]
        self.session = StreamSession(hub, limits, transport, None, SocketCount(), names=names, **options)  # type: ignore[arg-type]
        self.running = asyncio.create_task(transport.run(self.session))

    async def receive(self) -> dict[str, Any]:
        return await self._incoming.get()

    async def send(self, message: dict[str, Any]) -> None:
        await self.reading.wait()
        async with self._arrived:
            self.taken.append(message["text"])
            self._arrived.notify_all()

    async def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)

    def ask(self, **frame: Any) -> None:
        self._incoming.put_nowait({"type": "websocket.receive", "text": msgspec.json.encode(frame).decode()})

    async def gets(self, count: int) -> list[str]:
        """What was taken, once there are so many."""
        async with asyncio.timeout(WITHIN_S), self._arrived:
            await self._arrived.wait_for(lambda: len(self.taken) >= count)
        return self.taken

    async def ended(self) -> tuple[int, str] | None:
        async with asyncio.timeout(WITHIN_S):
            await self.running
        return self.closed

    async def leave(self) -> None:
        self._incoming.put_nowait({"type": "websocket.disconnect"})
        async with asyncio.timeout(WITHIN_S):
            await self.running


async def until(ask: Callable[[], Awaitable[Any]], good: Callable[[Any], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not good(found := await ask()):
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.01)


@pytest.fixture
async def world(valkey: EmbeddedValkey) -> AsyncIterator[World]:
    world = World(valkey.start())
    running = asyncio.create_task(world.hub.run())
    yield world
    running.cancel()
    await asyncio.wait({running})
    await world.bus.aclose()


async def test_what_is_listened_to_is_what_is_asked_for(world: World) -> None:
    """And no longer than that; names that nothing ever comes on are not asked for."""
    assert await world.channels() == set()
    one = world.open("btcusdt@trade", "btcusdt@blockTrade", "nonsense@nothing")
    two = world.open("btcusdt@trade", "btcusdt@depth", unit="us")
    await until(world.channels, lambda found: found == {"ms:btcusdt@trade", "us:btcusdt@trade", "us:btcusdt@depth"})
    two.ask(method="UNSUBSCRIBE", params=["btcusdt@depth"], id=1)
    await until(world.channels, lambda found: found == {"ms:btcusdt@trade", "us:btcusdt@trade"})
    await two.leave()
    await until(world.channels, lambda found: found == {"ms:btcusdt@trade"})
    await one.leave()
    await until(world.channels, lambda found: found == set())


async def test_bare_and_wrapped_listeners_get_the_same_event(world: World) -> None:
    bare, wrapped = world.open("btcusdt@trade"), world.open("btcusdt@trade", combined=True)
    await world.publish("ms", "btcusdt@trade", '{"t":1}', '{"t":2}')
    assert await bare.gets(2) == ['{"t":1}', '{"t":2}']
    assert await wrapped.gets(2) == [
        '{"stream":"btcusdt@trade","data":{"t":1}}',
        '{"stream":"btcusdt@trade","data":{"t":2}}',
    ]
    await bare.leave()
    await wrapped.leave()


async def test_a_late_listener_is_told_the_state_but_no_old_trades(world: World) -> None:
    first = world.open("btcusdt@ticker", "btcusdt@trade")
    await world.publish("ms", "btcusdt@ticker", '{"c":"1"}')
    await world.publish("ms", "btcusdt@trade", '{"t":1}')
    await first.gets(2)
    late = world.open("btcusdt@trade", "btcusdt@ticker", combined=True)
    assert await late.gets(1) == ['{"stream":"btcusdt@ticker","data":{"c":"1"}}']
    await world.publish("ms", "btcusdt@trade", '{"t":2}')
    assert (await late.gets(2))[1] == '{"stream":"btcusdt@trade","data":{"t":2}}'
    await first.leave()
    await late.leave()


async def test_changes_of_a_book_are_confirmed_when_they_have_begun(world: World) -> None:
    """Else a snapshot that is asked for at once could be older than where they begin."""
    one = world.open()
    one.ask(method="SUBSCRIBE", params=["btcusdt@depth"], id=1)
    one.ask(method="LIST_SUBSCRIPTIONS", id=2)
    assert await one.gets(1) == ['{"result":["btcusdt@depth"],"id":2}']
    await world.publish("ms", "btcusdt@depth")
    assert (await one.gets(2))[1] == '{"result":null,"id":1}'
    await world.publish("ms", "btcusdt@depth", '{"U":1}')
    assert (await one.gets(3))[2] == '{"U":1}'
    two = world.open()
    two.ask(method="SUBSCRIBE", params=["btcusdt@depth"], id=1)
    assert await two.gets(1) == ['{"result":null,"id":1}']
    await one.leave()
    await two.leave()


async def test_changes_of_a_book_are_confirmed_though_nobody_computes_them(world: World) -> None:
    one = world.open()
    one.ask(method="SUBSCRIBE", params=["btcusdt@depth"], id=1)
    assert await one.gets(1) == ['{"result":null,"id":1}']
    await one.leave()


async def test_when_events_may_be_lost_those_who_were_promised_all_are_cut(world: World) -> None:
    trades, tickers = world.open("btcusdt@trade"), world.open("btcusdt@ticker")
    await world.publish("ms", "btcusdt@ticker", "{}")
    await world.publish("ms", "btcusdt@trade", "{}")
    await trades.gets(1)
    assert await world.bus.publish(control_channel(world.settings.prefix), BROKEN) == 1
    assert await trades.ended() == (1013, "events may have been lost; reconnect")
    await tickers.gets(1)
    assert tickers.closed is None
    await tickers.leave()


async def test_when_the_bus_goes_away_the_same_and_it_is_found_again(world: World, valkey: EmbeddedValkey) -> None:
    depth, tickers = world.open("btcusdt@depth@100ms"), world.open("btcusdt@ticker")
    await world.publish("ms", "btcusdt@depth@100ms", "{}")
    await depth.gets(1)
    valkey.stop()
    assert await depth.ended() == (1013, "events may have been lost; reconnect")
    valkey.start()
    await world.publish("ms", "btcusdt@ticker", '{"c":"2"}')
    assert await tickers.gets(1) == ['{"c":"2"}']
    await tickers.leave()


async def test_a_slow_reader_gets_the_newest_of_states_and_every_trade(world: World) -> None:
    names = ("btcusdt@ticker", "btcusdt@trade", "btcusdt@kline_1m", "btcusdt@depth5")
    slow = world.open(*names)
    slow.reading.clear()
    for k in range(5):
        for name in ("btcusdt@ticker", "btcusdt@trade", "btcusdt@depth5"):
            await world.publish("ms", name, f'{{"{name}":{k}}}')
    await world.publish("ms", "btcusdt@kline_1m", '{"x":false,"v":1}')
    await world.publish("ms", "btcusdt@kline_1m", '{"x":false,"v":2}', '{"x":true,"v":3}', '{"x":false,"v":4}')
    await until(_received(world), lambda count: count == 17)
    slow.reading.set()
    taken = await slow.gets(9)
    assert [one for one in taken if "trade" in one] == [f'{{"btcusdt@trade":{k}}}' for k in range(5)]
    assert [one for one in taken if "ticker" in one][-1] == '{"btcusdt@ticker":4}'
    assert [one for one in taken if "depth5" in one][-1] == '{"btcusdt@depth5":4}'
    assert [one for one in taken if "x" in one and "v" in one] == ['{"x":true,"v":3}', '{"x":false,"v":4}']
    assert len(taken) <= 10
    await slow.leave()


def _received(world: World) -> Callable[[], Awaitable[int]]:
    async def ask() -> int:
        return world.hub.received

    return ask


async def test_tops_are_all_told_to_who_keeps_up_and_the_newest_to_others(world: World) -> None:
    quick, slow = world.open("btcusdt@bookTicker"), world.open("btcusdt@bookTicker")
    slow.reading.clear()
    told = [f'{{"u":{k}}}' for k in range(2 * SOON)]
    for event in told:
        await world.publish("ms", "btcusdt@bookTicker", event)
    assert await quick.gets(len(told)) == told
    slow.reading.set()
    await until(_received(world), lambda count: count == len(told))
    taken = await slow.gets(SOON + 1)
    assert taken[:SOON] == told[:SOON]
    assert taken[-1] == told[-1]
    assert taken == sorted(taken, key=told.index), "never back in time"
    assert len(taken) < len(told)
    await quick.leave()
    await slow.leave()


async def test_who_lets_too_many_trades_wait_is_cut(world: World) -> None:
    slow = world.open("btcusdt@aggTrade")
    slow.reading.clear()
    await world.publish("ms", "btcusdt@aggTrade", *(f'{{"a":{k}}}' for k in range(WAITING_LIMIT + 10)))
    await until(_received(world), lambda count: count == 1)
    assert slow.session.outbox.closing
    slow.reading.set()
    assert await slow.ended() == (1013, "reads too slowly; reconnect and resume")
    assert len(slow.taken) <= 1


async def test_a_connection_lives_24_hours_and_is_told_before_it_ends(world: World) -> None:
    assert StreamLimits().life_s == 24 * 3600
    short = StreamLimits(life_s=0.3, notice_s=0.2)
    for combined in (False, True):
        socket = world.open("btcusdt@ticker", limits=short, combined=combined)
        assert await socket.ended() == (1001, "24 hours are over; reconnect")
        (event,) = [msgspec.json.decode(one) for one in socket.taken]
        if combined:
            assert event["stream"] == "!serverShutdown"
            event = event["data"]
        assert event["e"] == "serverShutdown"
        assert abs(event["E"] - time.time() * 1000) < 60_000
    await until(world.channels, lambda found: found == set())


def test_what_an_address_asks_for() -> None:
    assert StreamAddress.of("/ws/btcusdt@trade/0/ethusdt@depth", "") == StreamAddress(
        ["btcusdt@trade", "ethusdt@depth"], False, "ms"
    )
    assert StreamAddress.of(
        "/stream", "streams=btcusdt@kline_1m@+08:00/%21ticker@arr&timeUnit=MICROSECOND"
    ) == StreamAddress(["btcusdt@kline_1m@+08:00", "!ticker@arr"], True, "us")
    assert StreamAddress.of("/stream/ws/1", "") == StreamAddress([], True, "ms")
    for query in ("streams=btcusdt", "timeUnit=SECOND", "streams=a@b/%20"):
        with pytest.raises(ValueError, match=r"streams|timeUnit"):
            StreamAddress.of("/stream", query)


def test_connections_of_one_address_are_limited() -> None:
    limit = ConnectLimit(most=3, within_s=10)
    assert [limit.allow("1.2.3.4", at) for at in (0, 1, 2, 3)] == [True, True, True, False]
    assert limit.allow("1.2.3.5", 3)
    assert limit.allow(None, 3)
    assert limit.allow("1.2.3.4", 10)
    assert not limit.allow("1.2.3.4", 10.5)
