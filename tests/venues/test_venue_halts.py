"""A symbol that halts at a venue stands halted here, and trades again when it does there."""

import asyncio
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pytest

from actors.wire import Hello, Kind
from market.enums import CommandKind, EventKind, OrdType, Side
from market.listing import listing, recorded
from market.reasons import Reason
from market.records import COMMAND, Records, joined
from market.venues.events import Steps
from tests.unit.outside_world import books, postgres
from tests.unit.test_outside_link import Peer
from tests.venues.fake_venue import FakeVenue
from tests.venues.tapes import TAPES
from tests.venues.test_connection import QUICK
from tests.venues.test_venue_market import World

POLLED = msgspec.structs.replace(QUICK, symbols_every_s=0.01, symbols_s=0.5)
LIST = "/api/v5/public/instruments"
ACCOUNT = 7


@pytest.fixture(scope="module")
def dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from postgres(tmp_path_factory.mktemp("halts"))


def told(state: str, code: str = "BTC-USDT") -> bytes:
    one = {"instId": code, "baseCcy": "BTC", "quoteCcy": "USDT", "tickSz": "0.1", "lotSz": "0.00000001", "state": state}
    return json.dumps({"code": "0", "msg": "", "data": [one]}).encode()


class User:
    """Sends commands to the book as an account actor does."""

    def __init__(self, world: World, peer: Peer) -> None:
        self._world, self._peer, self._id = world, peer, 0

    async def send(self, **fields: Any) -> Any:
        """Its first event."""
        self._id += 1
        one: Records = np.zeros(1, COMMAND)
        one["account"], one["command_id"] = ACCOUNT, self._id
        for name, value in fields.items():
            one[name] = value
        self._peer.link.send(Kind.COMMANDS, one.tobytes())
        while True:
            for batch in await self._world.books.batches():
                own = np.flatnonzero(
                    (batch.commands["account"] == ACCOUNT) & (batch.commands["command_id"] == self._id)
                )
                if len(own):
                    return batch.events[batch.events["command_index"] == own[0]][0]
            await asyncio.sleep(0.002)

    async def buy(self, order_id: int) -> Any:
        """A hundredth of a coin, below the market."""
        best = max(price for side, price in self._world.books.levels(0) if side == Side.BUY)
        return await self.send(
            kind=CommandKind.NEW,
            side=Side.BUY,
            ord_type=OrdType.LIMIT,
            order_id=order_id,
            price_ticks=best * 99 // 100,
            qty_lots=10**6,
            expected_leaves=-1,
        )


async def until(world: World, **wanted: Any) -> None:
    while True:
        (venue,) = world.market.status()["venues"] or [{}]
        if all(venue.get(name) == value for name, value in wanted.items()):
            return
        await asyncio.sleep(0.002)


async def more_lists(world: World) -> None:
    """Whole polls that began after now."""
    watch = world.market._halts[0]
    before = watch.lists + watch.errors
    while watch.lists + watch.errors < before + 2:  # noqa: ASYNC110
        await asyncio.sleep(0.002)


@pytest.fixture
async def world(dsn: str) -> Any:
    tape = TAPES["okx"]()
    listed = listing("venues", [recorded("okx", tape.symbol, Steps(Decimal(tape.tick), Decimal(tape.lot)))])
    async with FakeVenue(tape).running() as played, books(dsn, listing=listed, symbols=1) as found:
        played.answers[LIST] = told("live")
        one = World(played, found)
        one.limits = POLLED
        await one.start()
        await played.until_subscribed()
        await played.play(50)
        await one.equal()
        try:
            yield one
        finally:
            await one.stop()


async def test_a_halted_symbol_refuses_orders_until_it_trades_again(world: World) -> None:
    peer = await Peer.of(world.books, Hello("account", "account-0", 0, 1))
    await peer.welcome()
    user = User(world, peer)
    assert (await user.buy(1))["kind"] == EventKind.ACCEPTED
    await more_lists(world)
    assert (await user.buy(2))["kind"] == EventKind.ACCEPTED, "a list that says nothing new changes nothing"
    world.venue.answers[LIST] = told("suspend")
    await until(world, halted=1, halted_symbols=["BTCUSDT"])
    await halted_in_the_book(world, 1)
    refused = await user.buy(3)
    assert (refused["kind"], refused["reason"]) == (EventKind.REJECTED, Reason.SYMBOL_HALTED)
    assert (await user.send(kind=CommandKind.CANCEL, order_id=1))["kind"] == EventKind.CANCELED
    world.venue.answers[LIST] = told("live")
    await until(world, halted=0, halted_symbols=[])
    await halted_in_the_book(world, 2)
    assert (await user.buy(4))["kind"] == EventKind.ACCEPTED
    await world.venue.play()
    await world.equal()
    peer.link.close()


async def halted_in_the_book(world: World, changes: int) -> None:
    """So many changes of the symbol's state are in the book's journal, after the one that every feed begins with."""
    while True:
        commands = joined([one.commands for one in await world.books.batches()], COMMAND)
        if (commands["kind"] == CommandKind.OUTSIDE_STATUS).sum() == changes + 1:
            return
        await asyncio.sleep(0.002)


async def test_lists_that_cannot_be_had_are_counted_and_change_nothing(world: World) -> None:
    world.venue.answers[LIST] = told("suspend")
    await until(world, halted=1)
    for answer in (b"nothing of the kind", b'{"code": "50011", "msg": "slow down"}', told("live")[:-1]):
        world.venue.answers[LIST] = answer
        await more_lists(world)
    world.venue.faults.snapshot_status = [500, 429, 503]
    await more_lists(world)
    errors = world.market.status()["venues"][0]["symbol_list_errors"]
    assert errors >= 5
    await until(world, halted=1)
    world.venue.answers[LIST] = told("live", "ETH-USDT")
    await more_lists(world)
    await until(world, halted=1)
    world.venue.answers[LIST] = told("live")
    await until(world, halted=0)
    await world.venue.play()
    await world.equal()
    values = {sample.name: sample.value for metric in world.market.metrics.collect() for sample in metric.samples}
    assert values["raypit_feed_halted_symbols"] == 0
    assert values["raypit_feed_symbol_list_errors"] >= 5


async def test_a_halt_while_the_book_is_away_is_told_when_it_is_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.outside_outlet.WINDOW", 100)
    await world.books.kill(0)
    await world.venue.play(200)
    while not world.market.status()["behind"]:  # noqa: ASYNC110
        await asyncio.sleep(0.002)
    world.venue.answers[LIST] = told("suspend")
    await until(world, halted=1)
    await world.books.revive(0)
    await world.equal()
    commands = joined([one.commands for one in await world.books.batches()], COMMAND)
    states = commands[commands["kind"] == CommandKind.OUTSIDE_STATUS]
    assert states["qty_lots"][-1] == 0
