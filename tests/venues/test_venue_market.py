"""A venue over real sockets feeds books with a journal: whatever misbehaves, in the end they show what the venue shows."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Final

import pytest

from actors import outside_outlet
from actors.outside_books import OutsideBooks
from actors.venue_market import VenueMarket
from actors.venue_shards import even
from market.enums import EventKind
from market.feed_spec import Venues, VenueSpec
from market.listing import listing, recorded
from market.venues.events import Steps
from tests.unit.outside_world import Books, books, postgres
from tests.venues.fake_venue import FakeVenue, Faults
from tests.venues.tapes import TAPES, Tape, steps_in
from tests.venues.test_connection import ADAPTERS, QUICK, WRITTEN

CALM: Final[dict[str, dict[str, Any]]] = {"half_open_at": {"ping_every_s": 0.05, "silence_limit_s": 0.3}}
"""Attributes of the adapter that a fault needs."""
FAULTS: Final[dict[str, Faults]] = {
    "none": Faults(),
    "drop": Faults(drop={40, 41, 90}),
    "duplicate": Faults(duplicate=set(range(20, 120, 7))),
    "reorder": Faults(reorder={30, 60, 61, 100}),
    "close_at": Faults(close_at={35, 80}),
    "half_open_at": Faults(half_open_at={50}),
    "bad_frame_at": Faults(bad_frame_at={25, 26, 70}),
    "refuse_dials": Faults(refuse_dials=3),
    "snapshot_status": Faults(snapshot_status=[500, 429, 500]),
    "old_snapshots": Faults(old_snapshots=2, drop={33}),
    "frames_before_opening": Faults(frames_before_opening=3),
    "no_opening": Faults(no_opening=1),
}


@pytest.fixture(scope="module")
def dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from postgres(tmp_path_factory.mktemp("venue"))


class World:
    def __init__(self, venue: FakeVenue, books: Books) -> None:
        self.venue, self.books = venue, books
        self.limits = QUICK
        self.market: VenueMarket
        self._task: asyncio.Task[None]

    async def start(self, epoch: int = 1, **attributes: Any) -> None:
        name = self.books.listing.listed[0].venue
        adapter: Any = type(name, (ADAPTERS[name],), {"dials_per_minute": 1e6, **attributes})
        spec = VenueSpec(name, ws_url=self.venue.ws_url, rest_url=self.venue.url)
        self.market = VenueMarket(
            self.books.settings,
            Venues((spec,)),
            self.books.listing,
            OutsideBooks(self.books.settings, epoch, resolve=self.books.resolve),
            limits=self.limits,
            adapters={name: adapter},
        )
        await self.market.start()
        self._task = asyncio.create_task(self.market.run())

    async def stop(self) -> None:
        assert not self._task.done(), self._task
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.market.stop()

    async def crash(self) -> None:
        """Nothing more reaches the books."""
        await self.market.books.stop()
        await self.stop()

    def is_equal(self) -> bool:
        tape = self.venue.tape
        steps = self.books.listing.listed[0].steps
        return self.books.levels(0) == steps_in(tape.book, steps.tick, steps.lot)

    async def equal(self) -> None:
        while not self.is_equal():  # noqa: ASYNC110  the book tells nobody that it is done
            await asyncio.sleep(0.002)

    async def live(self) -> None:
        await self.venue.until_subscribed()
        while self.market.shards[0].stale:  # noqa: ASYNC110
            await asyncio.sleep(0.002)


@asynccontextmanager
async def world(
    dsn: str, tape: Tape, venue: str, faults: Faults | None = None, **attributes: Any
) -> AsyncIterator[World]:
    steps = Steps(Decimal(tape.tick), Decimal(tape.lot))
    listed = listing("venues", [recorded(venue, tape.symbol, steps)])
    async with FakeVenue(tape).running() as played, books(dsn, listing=listed, symbols=1) as found:
        played.faults = faults or Faults()
        one = World(played, found)
        await one.start(**attributes)
        try:
            yield one
        finally:
            await one.stop()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("venue", WRITTEN)
async def test_after_every_fault_the_book_is_the_venues(dsn: str, venue: str, fault: str) -> None:
    async with world(dsn, TAPES[venue](), venue, FAULTS[fault], **CALM.get(fault, {})) as one:
        await one.venue.until_subscribed()
        for _ in range(20):
            await one.venue.play(10)
            await asyncio.sleep(0.002)
        await one.live()
        await one.venue.play()
        await one.equal()
        assert one.market.shards[0].connected == 1


async def test_a_book_that_was_away_catches_up(dsn: str) -> None:
    async with world(dsn, TAPES["okx"](), "okx") as one:
        await one.venue.until_subscribed()
        await one.venue.play(50)
        await one.equal()
        await one.books.kill(0)
        await one.venue.play(100)
        await one.books.revive(0)
        await one.equal()
        one.books.wires[0].cut()
        await one.venue.play()
        await one.equal()


async def test_what_cannot_be_kept_is_told_anew(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world(dsn, TAPES["okx"](), "okx") as one:
        await one.venue.until_subscribed()
        await one.venue.play(50)
        await one.equal()
        monkeypatch.setattr(outside_outlet, "WINDOW", 100)
        await one.books.kill(0)
        await one.venue.play(200)
        while not one.market.status()["behind"]:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        await one.books.revive(0)
        await one.equal()
        assert one.market.status()["behind"] == 0
        await one.venue.play()
        await one.equal()


async def test_a_lost_venue_leaves_nothing_in_the_book(dsn: str) -> None:
    async with world(dsn, TAPES["gate"](), "gate") as one:
        await one.venue.until_subscribed()
        await one.venue.play(50)
        await one.equal()
        one.venue.faults.refuse_dials = 1_000_000
        await one.venue.cut(one.venue.peers[0])
        while one.books.levels(0):  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        assert one.market.shards[0].connected == 0
        one.venue.faults.refuse_dials = 0
        await one.equal()


async def test_a_new_feed_begins_with_empty_books(dsn: str) -> None:
    async with world(dsn, TAPES["binance"](), "binance") as one:
        await one.venue.until_subscribed()
        await one.venue.play(50)
        await one.live()
        await one.equal()
        await one.crash()
        assert one.books.levels(0)
        await one.venue.play(100)
        await one.start(epoch=2)
        await one.live()
        await one.venue.play()
        await one.equal()


async def test_every_trade_of_the_venue_is_told_once(dsn: str) -> None:
    async with world(dsn, TAPES["okx"](), "okx", FAULTS["duplicate"]) as one:
        await one.venue.until_subscribed()
        await one.venue.play()
        await one.equal()
        expected = sum("trade" in said.topic for said in one.venue.tape.frames)
        batches = await one.books.batches()
        assert sum(int((batch.events["kind"] == EventKind.TRADE).sum()) for batch in batches) == expected


async def test_how_the_feed_is(dsn: str) -> None:
    async with world(dsn, TAPES["okx"](), "okx") as one:
        await one.venue.until_subscribed()
        await one.venue.play()
        await one.equal()
        for quality in one.market._quality:
            quality.read()
        status = one.market.status()
        (venue,) = status["venues"]
        assert (venue["venue"], venue["connected"], venue["live"], venue["stale"]) == ("okx", True, 1, 0)
        assert venue["quality"]["accuracy"] == venue["quality"]["consistency"] == 100
        assert venue["messages_per_s"] > 0
        names = {sample.name for metric in one.market.metrics.collect() for sample in metric.samples}
        assert {"raypit_feed_quality", "raypit_feed_symbols", "raypit_feed_outside_commands_total"} <= names


@pytest.mark.parametrize(("count", "most", "sizes"), [(0, 3, []), (3, 3, [3]), (4, 3, [2, 2]), (10, 4, [3, 3, 4])])
def test_symbols_are_parted_evenly(count: int, most: int, sizes: list[int]) -> None:
    symbols = [str(k) for k in range(count)]
    parts = even(symbols, most)
    assert [len(one) for one in parts] == sizes
    assert [symbol for one in parts for symbol in one] == symbols
