"""What the feed sends is in a book's journal once and in order, whatever happens on the way; and what time that is."""

import asyncio
from collections.abc import Iterator
from random import Random

import numpy as np
import pytest

from actors.outside_link import FRAME_LIMIT, WINDOW, OutsideLink
from actors.stream import Link, connect
from actors.wire import OUTSIDE_HEAD, Batch, Hello, Kind, Welcome, decode_batch, encoder, welcome_decoder
from market.clock import LEASE_NS
from market.enums import CommandKind
from market.numbering import OUTSIDE_ACCOUNT
from market.records import COMMAND, Records
from tests.unit.outside_world import START_NS, Books, books, levels, postgres

SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from postgres(tmp_path_factory.mktemp("outside"))


class Running:
    """A link with its task."""

    def __init__(self, world: Books, partition: int = 0, epoch: int = 1, from_start: bool = False) -> None:
        self.link = OutsideLink(world.settings, partition, epoch, from_start=from_start, resolve=world.resolve)

    async def __aenter__(self) -> OutsideLink:
        self._task = asyncio.create_task(self.link.run())
        await self.link.ready()
        return self.link

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class Peer:
    """Somebody who speaks the frames by hand."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        self.link: Link

    @classmethod
    async def of(cls, world: Books, hello: Hello) -> "Peer":
        peer = cls()
        peer.link = await connect(
            await world.resolve("book-0"), lambda _, kind, body: peer.heard.put_nowait((kind, body))
        )
        peer.link.send(Kind.HELLO, encoder.encode(hello))
        return peer

    async def welcome(self) -> Welcome:
        kind, body = await self.heard.get()
        assert kind == Kind.WELCOME
        return welcome_decoder.decode(body)

    async def batch(self) -> Batch:
        """The next one with something in it."""
        while True:
            kind, body = await self.heard.get()
            assert kind == Kind.BATCH
            if len((told := decode_batch(body)).commands):
                return told


def cancels(*command_ids: int) -> Records:
    """Of an account's orders that do not exist: a book refuses and journals them."""
    made = np.zeros(len(command_ids), COMMAND)
    made["kind"], made["account"], made["command_id"] = CommandKind.CANCEL, 9, command_ids
    return made


async def prices(world: Books, partition: int = 0) -> list[int]:
    return [
        int(one["price_ticks"])
        for batch in await world.batches(partition)
        for one in batch.commands
        if one["account"] == OUTSIDE_ACCOUNT
    ]


async def test_a_frame_is_a_batch(dsn: str) -> None:
    async with books(dsn) as world, Running(world) as link:
        for start in (10, 20, 30):
            link.send(levels(0, range(start, start + 3)), START_NS, 1.0)
        link.send(levels(0, []), START_NS, 1.0)
        await link.drained()
        found = await world.batches()
        assert [one.commands["price_ticks"].tolist() for one in found] == [[10, 11, 12], [20, 21, 22], [30, 31, 32]]
        assert [one.commands["command_id"].tolist() for one in found] == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
        assert link.journaled == link.numbered == 9
        assert link.waiting == 0


async def test_what_is_too_much_for_a_frame_is_several(dsn: str) -> None:
    async with books(dsn) as world, Running(world) as link:
        link.send(levels(0, range(1, 2 * FRAME_LIMIT)), START_NS, 1.0)
        await link.drained()
        assert [len(one.commands) for one in await world.batches()] == [FRAME_LIMIT, FRAME_LIMIT - 1]


async def test_nothing_is_lost_or_doubled_when_the_wire_is_cut(dsn: str) -> None:
    random = Random(3)
    async with books(dsn) as world, Running(world) as link:
        sent = 0
        for _ in range(60):
            count = random.randrange(1, 40)
            link.send(levels(0, range(sent + 1, sent + 1 + count)), START_NS, 1.0)
            sent += count
            for _ in range(random.randrange(4)):
                await asyncio.sleep(0)
            if link.up and random.random() < 0.2:
                world.wires[0].cut()
            if not link.up:
                await link.connected()
        await link.drained()
        assert link.reconnects > 2
        assert await prices(world) == list(range(1, sent + 1))


async def test_a_book_that_comes_back_is_told_what_it_does_not_know(dsn: str) -> None:
    async with books(dsn) as world, Running(world) as link:
        link.send(levels(0, range(1, 101)), START_NS, 1.0)
        await link.drained()
        link.send(levels(0, range(101, 201)), START_NS, 1.0)
        await world.kill(0)
        link.send(levels(0, range(201, 301)), START_NS, 1.0)
        for _ in range(5):
            link.send(levels(0, []), START_NS, 1.0)
        assert link.waiting >= 100
        await world.revive(0)
        await link.drained()
        assert await prices(world) == list(range(1, 301))


async def test_a_new_feed_goes_on_after_what_the_book_knows(dsn: str) -> None:
    async with books(dsn) as world:
        async with Running(world) as link:
            link.send(levels(0, [7, 8]), START_NS, 1.0)
            await link.drained()
        async with Running(world, epoch=2) as link:
            link.send(levels(0, [9]), START_NS, 1.0)
            await link.drained()
            assert link.journaled == 3
        assert await prices(world) == [7, 8, 9]


async def test_a_feed_that_begins_anew_leaves_out_what_the_book_knows(dsn: str) -> None:
    async with books(dsn) as world:
        async with Running(world, from_start=True) as link:
            link.send(levels(0, range(1, 6)), START_NS, 1.0)
            await link.drained()
        async with Running(world, epoch=2, from_start=True) as link:
            for start in range(1, 13, 3):
                link.send(levels(0, range(start, start + 3)), START_NS, 1.0)
            await link.drained()
        assert await prices(world) == list(range(1, 13))


async def test_the_window_bounds_what_waits(dsn: str) -> None:
    async with books(dsn) as world, Running(world) as link:
        await world.kill(0)
        while not link.full:
            link.send(levels(0, range(1, 4001)), START_NS, 1.0)
        assert link.waiting < WINDOW + 4001
        waits = asyncio.create_task(link.room())
        await asyncio.sleep(0)
        assert not waits.done()
        await world.revive(0)
        await waits
        await link.drained()


async def test_the_younger_feed_is_heard(dsn: str) -> None:
    async with books(dsn) as world:
        young = await Peer.of(world, Hello("outside", "young", -1, 5))
        await young.welcome()
        old = await Peer.of(world, Hello("outside", "old", -1, 4))
        await old.link.closed
        assert young.link.is_open
        younger = await Peer.of(world, Hello("outside", "younger", -1, 6))
        await younger.welcome()
        await young.link.closed
        younger.link.close()


@pytest.mark.parametrize("wrong", ["account", "kind", "symbol", "gap", "torn", "role"])
async def test_a_bad_frame_ends_the_link(dsn: str, wrong: str) -> None:
    async with books(dsn) as world:
        hello = Hello("outside", "bad", -1, 1) if wrong != "role" else Hello("account", "bad", 0, 1)
        peer = await Peer.of(world, hello)
        await peer.welcome()
        commands = levels(0, [1, 2])
        commands["command_id"] = 1, 2
        if wrong == "gap":
            commands["command_id"] = 1, 3
        elif wrong == "account":
            commands["account"][1] = 0
        elif wrong == "kind":
            commands["kind"][0] = CommandKind.NEW
        elif wrong == "symbol":
            commands["symbol"] = 1000
        body = OUTSIDE_HEAD.pack(START_NS, 1.0) + commands.tobytes()
        peer.link.send(Kind.OUTSIDE, body[:-1] if wrong == "torn" else body)
        await peer.link.closed
        assert not await world.batches()


async def test_commands_of_accounts_are_not_taken_into_a_frame_of_the_feed(dsn: str) -> None:
    async with books(dsn) as world, Running(world) as link:
        account = await Peer.of(world, Hello("account", "account-0", 0, 1))
        await account.welcome()
        for k in range(1, 40):
            account.link.send(Kind.COMMANDS, cancels(k).tobytes())
            link.send(levels(0, [k]), START_NS, 1.0)
        await link.drained()
        found = await world.batches()
        assert all(len(set(one.commands["account"].tolist())) == 1 for one in found)
        assert await prices(world) == list(range(1, 40))
        account.link.close()


# Market time


async def test_batches_have_the_time_that_the_feed_tells(dsn: str) -> None:
    async with books(dsn, market_time="replay") as world, Running(world) as link:
        for k in (1, 1, 2, 5):
            link.send(levels(0, [k], at_ns=START_NS + k), START_NS + k * SECOND, 0.0)
        await link.drained()
        assert [one.ts_ns - START_NS for one in await world.batches()] == [SECOND, SECOND, 2 * SECOND, 5 * SECOND]


async def test_orders_wait_until_there_is_a_time(dsn: str) -> None:
    async with books(dsn, market_time="replay") as world:
        account = await Peer.of(world, Hello("account", "account-0", 0, 1))
        await account.welcome()
        account.link.send(Kind.COMMANDS, cancels(1, 2).tobytes())
        async with Running(world) as link:
            link.send(levels(0, []), START_NS, 0.0)
            assert (await account.batch()).ts_ns == START_NS
            assert len(await world.batches()) == 1
        account.link.close()


async def test_orders_between_two_frames_have_a_time_between(dsn: str) -> None:
    async with books(dsn, market_time="replay") as world, Running(world) as link:
        account = await Peer.of(world, Hello("account", "account-0", 0, 1))
        await account.welcome()
        link.send(levels(0, []), START_NS, 1000.0)
        await link.drained()
        account.link.send(Kind.COMMANDS, cancels(1).tobytes())
        await account.batch()
        link.send(levels(0, []), START_NS + 1000 * SECOND, 0.0)
        await link.drained()
        account.link.send(Kind.COMMANDS, cancels(2).tobytes())
        await account.batch()
        first, second = await world.batches()
        assert START_NS < first.ts_ns <= START_NS + 1000 * LEASE_NS
        assert second.ts_ns == START_NS + 1000 * SECOND
        account.link.close()


async def test_a_book_that_comes_back_does_not_go_back_in_time(dsn: str) -> None:
    async with books(dsn, market_time="replay") as world, Running(world) as link:
        link.send(levels(0, [1]), START_NS + SECOND, 0.0)
        await link.drained()
        await world.services[0].snapshot()
        await world.kill(0)
        await world.revive(0)
        link.send(levels(0, [2]), START_NS, 0.0)
        await link.drained()
        assert [one.ts_ns for one in await world.batches()] == [START_NS + SECOND] * 2


async def test_what_a_venue_showed_is_withdrawn_when_the_feed_stays_away(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a feed that comes goes on numbering where the last one stopped."""
    monkeypatch.setattr("actors.book_actor.VENUE_GRACE_S", 0.05)
    async with books(dsn) as world:
        async with Running(world) as link:
            link.send(levels(0, (10, 11, 12)), START_NS, 1.0)
            await link.drained()
            await asyncio.sleep(0.1)  # longer than the grace: a feed that is there is not missed
            assert len(world.services[0].books[0].outside()) == 3
        async with asyncio.timeout(5):
            while (await world.batches())[-1].commands["kind"].tolist() != [CommandKind.OUTSIDE_CLEAR]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert len(world.services[0].books[0].outside()) == 0
        async with Running(world, epoch=2) as link:
            link.send(levels(0, (20,)), START_NS, 1.0)
            await link.drained()
            assert link.journaled == 4
            assert world.services[0].books[0].outside()["price_ticks"].tolist() == [20]
