"""Accounts followed for many listeners: one private stream each, its end, and listen keys that run out."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from actors.errors import LinkDown
from actors.market_now import MarketNow
from actors.wire import ReportRow
from market.enums import ExecType, OrdStatus
from market.instrument import assets_of
from market.universe import instruments
from serve.binance.cancel_names import CancelNames
from serve.binance.listen_keys import LIFETIME_S, ListenKeys
from serve.binance.listen_streams import ListenStreams
from serve.binance.numbers import Scale
from serve.binance.user_data import UserData
from serve.errors import ApiError, Code
from serve.orders import OrderDesk
from tests.unit.test_user_events import ACCOUNT, report

INSTRUMENTS = instruments(2)


class Accounts:
    """In the place of the gateway: who follows which account, and what they are told."""

    now_ns = MarketNow()

    def __init__(self) -> None:
        self.assets = assets_of(INSTRUMENTS)
        self.followed: dict[int, Callable[[ReportRow], None]] = {}
        self.opened = 0
        self.open = asyncio.Event()
        self.open.set()
        self.down = False

    async def listen(self, account: int, from_seq: int, listener: Callable[[ReportRow], None]) -> dict[str, Any]:
        assert from_seq == -1
        self.opened += 1
        await self.open.wait()
        if self.down:
            raise ApiError(Code.UNAVAILABLE) from LinkDown("away")
        self.followed[account] = listener
        return {"seq": 0}

    def forget(self, account: int, listener: Callable[[ReportRow], None]) -> None:
        if self.followed.get(account) == listener:
            del self.followed[account]


class World:
    """What `UserData` knows of the venue."""

    def __init__(self) -> None:
        self.gateway = Accounts()
        self.scales = [Scale(terms) for terms in OrderDesk(INSTRUMENTS, self.gateway.assets).terms]
        self.cancel_names = CancelNames()
        self.now = 0.0
        self.listen_keys = ListenKeys(lambda: self.now)
        self.user_data = UserData(self)  # type: ignore[arg-type]

    async def tell(self, *rows: ReportRow) -> None:
        for row in rows:
            self.gateway.followed[row.account](row)
        await asyncio.sleep(0)


class Listener:
    def __init__(self, unit_ns: int = 1_000_000) -> None:
        self.unit_ns = unit_ns
        self.told: list[str] = []
        self.ended: list[int] = []

    def user_event(self, account: int, event: str) -> None:
        self.told.append(event)

    def user_stream_ended(self, account: int) -> None:
        self.ended.append(account)


@pytest.fixture
async def world() -> World:
    return World()


async def test_many_listeners_share_one_stream_and_one_encoding(world: World) -> None:
    one, two, micro = Listener(), Listener(), Listener(1_000)
    await asyncio.gather(*(world.user_data.listen(ACCOUNT, listener) for listener in (one, two, micro)))
    assert world.gateway.opened == 1
    await world.tell(report(ExecType.NEW, OrdStatus.NEW))
    assert [json.loads(text)["e"] for text in one.told] == ["executionReport", "outboundAccountPosition"]
    assert [id(text) for text in one.told] == [id(text) for text in two.told]
    assert json.loads(micro.told[0])["T"] == json.loads(one.told[0])["T"] * 1000
    world.user_data.forget(ACCOUNT, one)
    world.user_data.forget(ACCOUNT, micro)
    assert ACCOUNT in world.gateway.followed
    world.user_data.forget(ACCOUNT, two)
    assert not world.gateway.followed
    await world.user_data.listen(ACCOUNT, one)
    assert world.gateway.opened == 2


async def test_everyone_hears_the_end_and_may_ask_anew(world: World) -> None:
    one, two = Listener(), Listener()
    await world.user_data.listen(ACCOUNT, one)
    await world.user_data.listen(ACCOUNT, two)
    followed: Any = world.gateway.followed[ACCOUNT]
    followed(report(ExecType.NEW, OrdStatus.NEW))
    followed.__self__.restart()
    assert (one.ended, two.ended) == ([ACCOUNT], [ACCOUNT])
    assert len(one.told) == 2, "what came before is told"
    await world.user_data.listen(ACCOUNT, one)
    await world.tell(report(ExecType.NEW, OrdStatus.NEW))
    assert len(one.told) == 4
    assert len(two.told) == 2


async def test_an_account_that_does_not_answer_is_not_followed(world: World) -> None:
    world.gateway.down = True
    with pytest.raises(ApiError):
        await world.user_data.listen(ACCOUNT, Listener())
    world.gateway.down = False
    listener = Listener()
    await world.user_data.listen(ACCOUNT, listener)
    await world.tell(report(ExecType.NEW, OrdStatus.NEW))
    assert listener.told


async def test_who_goes_before_it_began_leaves_nothing_behind(world: World) -> None:
    world.gateway.open.clear()
    task = asyncio.create_task(world.user_data.listen(ACCOUNT, Listener()))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    world.gateway.open.set()
    await turns()
    assert not world.gateway.followed


# -- listen keys ------------------------------------------------------------------------------------------------------


class Socket:
    def __init__(self, world: World) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.cut = 0
        self.streams = ListenStreams(world.user_data, "ms", self._tell, self._cut)

    def _tell(self, listen_key: str, event: str) -> None:
        self.told.append((listen_key, json.loads(event)))

    def _cut(self) -> None:
        self.cut += 1


async def turns() -> None:
    """So that what was begun and waits for nothing is done."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_listen_key_brings_its_accounts_events_until_it_runs_out(world: World) -> None:
    listen_key = world.listen_keys.open(ACCOUNT)
    socket = Socket(world)
    socket.streams.add(listen_key)
    socket.streams.add(listen_key)
    socket.streams.add("x" * 64)
    await turns()
    await world.tell(report(ExecType.NEW, OrdStatus.NEW))
    assert [(key, event["e"]) for key, event in socket.told] == [
        (listen_key, "executionReport"), (listen_key, "outboundAccountPosition"),
    ]  # fmt: skip
    socket.told.clear()
    world.now = LIFETIME_S - 1
    assert world.listen_keys.keep(listen_key, ACCOUNT)
    world.now = LIFETIME_S + 1
    socket.streams._look(listen_key)
    assert socket.told == [], "it was kept"
    world.now = 2 * LIFETIME_S
    socket.streams._look(listen_key)
    ((key, event),) = socket.told
    assert (key, event["e"], event["listenKey"]) == (listen_key, "listenKeyExpired", listen_key)
    assert list(event) == ["e", "E", "listenKey"]
    assert isinstance(event["E"], str)
    assert not world.gateway.followed


async def test_a_closed_listen_key_is_silent(world: World) -> None:
    listen_key = world.listen_keys.open(ACCOUNT)
    socket = Socket(world)
    socket.streams.add(listen_key)
    await turns()
    assert world.listen_keys.close(listen_key, ACCOUNT)
    assert not world.gateway.followed
    assert socket.told == []
    assert world.listen_keys.on_closed == []


async def test_sockets_are_cut_when_events_may_be_lost(world: World) -> None:
    listen_key = world.listen_keys.open(ACCOUNT)
    socket = Socket(world)
    socket.streams.add(listen_key)
    await turns()
    followed: Any = world.gateway.followed[ACCOUNT]
    followed.__self__.restart()
    assert socket.cut == 1
    socket.streams.close()
