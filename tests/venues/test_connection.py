"""Every way a venue misbehaves is survived, and the book that is published equals the venue's own in the end."""

import asyncio
import io
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from random import Random
from typing import Any, Final

import aiohttp
import msgspec
import pytest

from actors.feed_limits import Limits
from actors.feed_sinks import RecordingSink, Sink
from actors.feed_tally import VENUE
from actors.venue_connection import VenueFeed
from actors.venue_rest import Answered, fetch
from market.continuity import Continuity, Verdict
from market.recording import Header, Kind, Reader, Writer
from market.venues.adapter import Adapter, Channel
from market.venues.assembled import AssembledBooks
from market.venues.binance import BinanceSpot
from market.venues.events import BookDelta, BookSnapshot, Status, Steps
from market.venues.gate import GateSpot
from market.venues.okx import Okx
from market.venues.upbit import Upbit
from market.venues.wire import VenueAdapter
from tests.venues.fake_venue import FakeVenue
from tests.venues.follower import WITHIN_S, Follower
from tests.venues.tapes import TAPES, binance_written, gate_written, okx_written, recording, upbit_written

ADAPTERS: Final[dict[str, type[VenueAdapter]]] = {"binance": BinanceSpot, "okx": Okx, "gate": GateSpot, "upbit": Upbit}
WRITTEN: Final = ("binance", "okx", "gate", "upbit")
NUMBERED: Final = ("binance", "okx", "gate")
"""Whose gaps are seen."""
CHANNELS: Final = (Channel.BOOK, Channel.TRADE)
QUICK: Final = Limits(
    backoff_first_s=0.002,
    backoff_most_s=0.02,
    healthy_s=0.05,
    dial_s=2.0,
    close_s=0.02,
    overlap_s=0.3,
    subscribe_burst=100,
    subscribe_per_s=1000.0,
    silent_symbol_s=0.1,
    resync_s=0.3,
    snapshot_s=2.0,
    snapshots_per_minute=1e6,
)


class World:
    """A fake venue, a feed that listens to it, and who follows the feed."""

    def __init__(self, venue: FakeVenue, feed: VenueFeed, follower: Follower, adapter: Adapter) -> None:
        self.venue, self.feed, self.follower, self.adapter = venue, feed, follower, adapter

    async def live(self) -> None:
        await self.follower.until(lambda: self.follower.live)
        await self.venue.until_subscribed()

    async def equal(self) -> None:
        """The published book is the venue's."""
        tape = self.venue.tape
        await self.follower.until(lambda: self.follower.has(tape.book, tape.tick, tape.lot))

    async def play(self, count: int | None = None) -> None:
        await self.venue.play(count)

    def count(self, name: str, symbol: str | None = None) -> int:
        counters = self.feed.counters()[self.venue.tape.symbol if symbol is None else symbol]
        return int(getattr(counters, name))


def adapter_of(venue: FakeVenue, name: str, **attributes: Any) -> Adapter:
    made = type(name, (ADAPTERS[name],), {"dials_per_minute": 1e6, **attributes})
    tape = venue.tape
    steps = {tape.symbol: Steps(Decimal(tape.tick), Decimal(tape.lot))}
    adapter: Adapter = made(steps, ws_url=venue.ws_url, rest_url=venue.url)
    return adapter


@asynccontextmanager
async def world(
    tape: str, *, sinks: tuple[Sink, ...] = (), limits: Limits = QUICK, symbols: tuple[str, ...] = (), **adapter: Any
) -> AsyncIterator[World]:
    """`adapter`: attributes that differ from the venue's."""
    async with FakeVenue(TAPES[tape]()).running() as venue, aiohttp.ClientSession() as session:
        spoken = adapter_of(venue, tape.partition(" ")[0], **adapter)
        follower = Follower()
        feed = VenueFeed(
            spoken,
            [venue.tape.symbol, *symbols],
            CHANNELS,
            [follower, *sinks],
            AssembledBooks(spoken.book_rule),
            session,
            limits=limits,
            random=Random(1),
        )
        task = asyncio.create_task(feed.run())
        try:
            async with asyncio.timeout(WITHIN_S):
                yield World(venue, feed, follower, spoken)
            assert not follower.broken
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled(), task


def trades_of(one: World, start: int = 0, end: int | None = None) -> list[str]:
    """What the tape trades between two positions."""
    keys = {"binance": ("data", "t"), "gate": ("result", "id"), "okx": ("data", 0, "tradeId"), "upbit": ("sid",)}[
        one.adapter.name
    ]
    found = []
    for said in one.venue.tape.frames[start:end]:
        if "trade" in said.topic:
            value = json.loads(said.frame)
            for key in keys:
                value = value[key]
            found.append(str(value))
    return found


@pytest.mark.parametrize("tape", TAPES)
async def test_a_tape_is_followed_to_its_end(tape: str) -> None:
    async with world(tape) as one:
        await one.venue.until_subscribed()
        await one.play(5)
        await one.live()
        start = one.venue.at
        await one.play()
        await one.equal()
        await one.follower.until(lambda: one.follower.trades[-1:] == trades_of(one)[-1:])
        after = trades_of(one, start)
        assert one.follower.trades[-len(after) :] == after
        assert [kind for kind in one.follower.kinds if kind != "notice"] == ["live"]
        assert one.count("gaps") == one.count("errors") == one.count("reconnects", VENUE) == 0


@pytest.mark.parametrize("tape", WRITTEN)
async def test_a_lost_frame_is_a_gap_and_the_book_comes_back(tape: str) -> None:
    async with world(tape) as one:
        await one.venue.until_subscribed()
        await one.play(40)
        await one.live()
        one.venue.faults.drop = {one.venue.at + 3, one.venue.at + 4, one.venue.at + 5}
        await one.play(40)
        if tape in NUMBERED:
            await one.follower.until(lambda: "gap" in one.follower.kinds)
            assert one.count("gaps") >= 1
        await one.live()
        await one.play()
        await one.equal()
        assert one.count("reconnects", VENUE) == 0
        assert one.follower.kinds[-1] == "live"


@pytest.mark.parametrize("tape", WRITTEN)
async def test_a_frame_that_comes_twice_passes_once(tape: str) -> None:
    async with world(tape) as one:
        await one.venue.until_subscribed()
        await one.play(30)
        await one.live()
        one.venue.faults.duplicate = set(range(one.venue.at, one.venue.at + 40))
        await one.play()
        await one.equal()
        assert one.follower.kinds == ["live"]
        assert one.count("duplicates") >= 30


@pytest.mark.parametrize("tape", WRITTEN)
async def test_frames_in_the_wrong_order(tape: str) -> None:
    async with world(tape) as one:
        await one.venue.until_subscribed()
        await one.play(30)
        await one.live()
        one.venue.faults.reorder = {one.venue.at + 4, one.venue.at + 11}
        await one.play(20)
        await one.live()
        await one.play()
        await one.equal()
        if tape == "upbit":
            assert one.follower.kinds == ["live"]


@pytest.mark.parametrize("tape", WRITTEN)
async def test_a_connection_that_breaks_is_replaced(tape: str) -> None:
    async with world(tape) as one:
        await one.venue.until_subscribed()
        await one.play(30)
        await one.live()
        one.venue.faults.close_at = {one.venue.at + 5}
        await one.play(10)
        await one.follower.until(lambda: "stale" in one.follower.kinds)
        await one.venue.until_subscribed()
        await one.play(10)
        await one.live()
        await one.play()
        await one.equal()
        assert one.follower.kinds == ["live", "stale", "live"]
        assert one.count("reconnects", VENUE) == 1
        assert one.venue.dials == 2


@pytest.mark.parametrize("tape", WRITTEN)
async def test_a_connection_that_breaks_again_and_again(tape: str) -> None:
    async with world(tape) as one:
        for _ in range(4):
            await one.venue.until_subscribed()
            await one.play(10)
            await one.live()
            one.venue.faults.close_at = {one.venue.at}
            await one.play(1)
            await one.follower.until(lambda: not one.follower.live)
        await one.venue.until_subscribed()
        await one.play()
        await one.equal()


@pytest.mark.parametrize("tape", WRITTEN)
async def test_a_half_open_connection_is_given_up(tape: str) -> None:
    """Nothing comes and nothing is said: only the unanswered ping tells."""
    async with world(tape, ping_every_s=0.02, silence_limit_s=0.15) as one:
        await one.venue.until_subscribed()
        await one.play(30)
        await one.live()
        one.venue.faults.half_open_at = {one.venue.at}
        await one.play(5)
        await one.follower.until(lambda: "stale" in one.follower.kinds)
        assert "silent" in one.follower.texts[one.follower.kinds.index("stale")]
        await one.venue.until_subscribed(2 if len(one.venue.peers) > 1 else 1)
        await one.play(10)
        await one.live()
        await one.play()
        await one.equal()


@pytest.mark.parametrize("tape", WRITTEN)
async def test_a_quiet_market_is_no_dead_connection(tape: str) -> None:
    """No market data for many times the limit, but every ping is answered."""
    async with world(tape, ping_every_s=0.02, silence_limit_s=1.0) as one:
        await one.venue.until_subscribed()
        await one.play(30)
        await one.live()
        await one.venue.until_pings(one.venue.pings + 150)
        await one.play()
        await one.equal()
        assert one.venue.dials == 1
        assert one.follower.kinds == ["live"]


@pytest.mark.parametrize("tape", WRITTEN)
async def test_refused_dials_are_repeated_with_growing_delays(tape: str) -> None:
    async with FakeVenue(TAPES[tape]()).running() as venue:
        venue.faults.refuse_dials = 5
        async with aiohttp.ClientSession() as session:
            spoken = adapter_of(venue, tape)
            follower = Follower()
            books = AssembledBooks(spoken.book_rule)
            feed = VenueFeed(spoken, [venue.tape.symbol], CHANNELS, [follower], books, session, limits=QUICK)
            task = asyncio.create_task(feed.run())
            one = World(venue, feed, follower, spoken)
            async with asyncio.timeout(WITHIN_S):
                await venue.until_subscribed()
                await one.play()
                await one.equal()
            assert venue.dials == 6
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_an_address_that_does_not_answer_is_left_for_the_other() -> None:
    async with FakeVenue(binance_written()).running() as venue, aiohttp.ClientSession() as session:
        spoken = adapter_of(venue, "binance", urls=lambda _: ["ws://127.0.0.1:9/ws", venue.ws_url])
        follower = Follower()
        books = AssembledBooks(spoken.book_rule)
        feed = VenueFeed(spoken, ["BTCUSDT"], CHANNELS, [follower], books, session, limits=QUICK)
        task = asyncio.create_task(feed.run())
        await follower.until(lambda: follower.live)
        assert venue.dials == 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_snapshots_that_fail_are_asked_for_again() -> None:
    async with world("binance") as one:
        one.venue.faults.snapshot_status = [500, 429, 418, 503, 404]
        await one.venue.until_subscribed()
        await one.play(30)
        await one.live()
        await one.play()
        await one.equal()
        assert one.count("snapshot_failures") == 5
        assert one.count("snapshots") == 1


async def test_a_snapshot_older_than_the_deltas_is_asked_for_again() -> None:
    async with world("binance") as one:
        one.venue.faults.old_snapshots = 2
        await one.venue.until_subscribed()
        one.venue.at = 0
        one.venue.faults.drop = set(range(20))
        await one.play(40)
        await one.live()
        await one.play()
        await one.equal()
        assert one.count("snapshots") == 3
        assert one.follower.kinds == ["live"]


async def test_a_quiet_book_is_fetched_though_nothing_changes() -> None:
    async with world("binance") as one:
        await one.live()
        await one.equal()
        assert one.venue.at == 0


@pytest.mark.parametrize("tape", ["okx", "gate", "upbit"])
async def test_deltas_before_the_snapshot_are_not_believed(tape: str) -> None:
    async with world(tape) as one:
        one.venue.faults.frames_before_opening = 5
        await one.venue.until_subscribed()
        await one.play()
        await one.equal()
        assert one.follower.kinds[0] == "live"


async def test_a_snapshot_that_never_comes_costs_the_connection() -> None:
    async with world("okx") as one:
        one.venue.faults.no_opening = 1
        await one.venue.until_subscribed()
        await one.play(10)
        await one.follower.until(lambda: "stale" in one.follower.kinds)
        assert "not whole" in one.follower.texts[0]
        await one.live()
        await one.play()
        await one.equal()


@pytest.mark.parametrize("tape", WRITTEN)
async def test_a_frame_that_cannot_be_read_is_told_and_survived(tape: str) -> None:
    async with world(tape) as one:
        await one.venue.until_subscribed()
        await one.play(30)
        await one.live()
        one.venue.faults.bad_frame_at = {one.venue.at + 2}
        await one.play()
        await one.equal()
        assert one.follower.kinds.count("error") == 1
        assert one.count("errors", VENUE) == 1
        assert one.venue.dials == 1


@pytest.mark.parametrize("tape", TAPES)
async def test_a_roll_loses_nothing_and_doubles_nothing(tape: str) -> None:
    async with world(tape) as one:
        await one.venue.until_subscribed()
        await one.play(5)
        await one.live()
        start = one.venue.at
        step = max(1, (len(one.venue.tape.frames) - start) // 40)
        for _ in range(3):
            rolls = one.count("rolls", VENUE)
            one.feed.roll()
            while one.count("rolls", VENUE) == rolls:
                await one.play(step) if len(one.venue.tape.frames) - one.venue.at > 20 else await asyncio.sleep(0.01)
        await one.play()
        await one.equal()
        await one.follower.until(lambda: one.follower.trades[-1:] == trades_of(one)[-1:])
        after = trades_of(one, start)
        assert one.follower.trades[-len(after) :] == after
        assert "stale" not in one.follower.kinds
        assert one.count("gaps") == one.count("reconnects", VENUE) == 0
        assert one.venue.dials == 4


@pytest.mark.parametrize("tape", WRITTEN)
async def test_a_connection_is_replaced_before_the_venue_cuts_it(tape: str) -> None:
    async with world(tape, max_life_s=0.4) as one:
        await one.venue.until_subscribed()
        await one.play(30)
        await one.live()
        while one.count("rolls", VENUE) < 2:
            await one.play(1)
            await asyncio.sleep(0.005)
        await one.play()
        await one.equal()
        assert "stale" not in one.follower.kinds
        assert one.count("reconnects", VENUE) == 0


async def test_a_notice_of_the_venue_replaces_the_connection() -> None:
    async with world("okx") as one:
        await one.venue.until_subscribed()
        await one.play(30)
        await one.live()
        await asyncio.sleep(QUICK.healthy_s)
        one.venue.faults.notice = b'{"event":"notice","code":"64008","msg":"service upgrade in 60 s","connId":"a"}'
        await one.play(5)
        await one.follower.until(lambda: "notice" in one.follower.kinds)
        while not one.count("rolls", VENUE):
            await one.play(1)
            await asyncio.sleep(0.005)
        await one.play()
        await one.equal()
        assert "stale" not in one.follower.kinds


async def test_the_first_connection_breaks_while_the_second_is_made() -> None:
    async with world("okx") as one:
        await one.venue.until_subscribed()
        await one.play(30)
        await one.live()
        one.venue.faults.refuse_dials = 3
        one.feed.roll()
        async with one.venue.changed:
            await one.venue.changed.wait_for(lambda: True)
        one.venue.faults.close_at = {one.venue.at}
        await one.play(1)
        await one.follower.until(lambda: "stale" in one.follower.kinds)
        await one.live()
        await one.play()
        await one.equal()


@pytest.mark.parametrize("broken", [1, 2])
async def test_connections_break_while_one_hands_over_to_the_other(broken: int) -> None:
    """The second one has heard nothing yet: what it has is not trusted to go on where the first one ended."""
    async with world("binance", limits=msgspec.structs.replace(QUICK, overlap_s=10.0)) as one:
        await one.venue.until_subscribed()
        await one.play(30)
        await one.live()
        one.feed.roll()
        await one.venue.until_subscribed(2)
        for peer in list(one.venue.peers)[:broken]:
            await one.venue.cut(peer)
        await one.follower.until(lambda: "stale" in one.follower.kinds)
        await one.live()
        await one.play()
        await one.equal()
        assert [kind for kind in one.follower.kinds if kind != "notice"] == ["live", "stale", "live"]
        assert one.venue.dials == 1 + broken


async def test_a_second_connection_that_breaks_is_made_again() -> None:
    async with world("binance", limits=msgspec.structs.replace(QUICK, overlap_s=10.0)) as one:
        await one.venue.until_subscribed()
        await one.play(30)
        await one.live()
        one.feed.roll()
        await one.venue.until_subscribed(2)
        await one.venue.cut(one.venue.peers[1])
        async with one.venue.changed:
            await one.venue.changed.wait_for(lambda: one.venue.dials == 3)
        await one.venue.until_subscribed(2)
        await one.play()
        await one.equal()
        assert "stale" not in one.follower.kinds


async def test_more_than_may_be_held_is_left_to_the_first_connection() -> None:
    slow = msgspec.structs.replace(QUICK, held_most=5, subscribe_burst=1, subscribe_per_s=4.0, overlap_s=10.0)
    async with world("gate", limits=slow) as one:  # two frames to subscribe
        await one.follower.until(lambda: bool(one.venue.asked[1:]) or one.follower.live)
        await one.play(30)
        await one.live()
        one.feed.roll()
        await one.venue.until_subscribed(2)
        await one.play(100)
        await one.follower.until(lambda: one.count("held_dropped", VENUE) > 0)
        while not one.count("rolls", VENUE):
            await one.play(1)
            await asyncio.sleep(0.005)
        await one.play()
        await one.equal()
        assert one.follower.kinds == ["live"]


async def test_a_symbol_that_is_never_heard_of_is_told() -> None:
    async with FakeVenue(binance_written()).running() as venue, aiohttp.ClientSession() as session:
        steps = Steps(Decimal("0.01"), Decimal("0.00001"))
        made = type("binance", (BinanceSpot,), {"dials_per_minute": 1e6})
        spoken: Adapter = made({"BTCUSDT": steps, "NIXUSDT": steps}, ws_url=venue.ws_url, rest_url=venue.url)
        follower = Follower()
        books = AssembledBooks(spoken.book_rule)
        feed = VenueFeed(spoken, ["BTCUSDT", "NIXUSDT"], [Channel.TRADE], [follower], books, session, limits=QUICK)
        task = asyncio.create_task(feed.run())
        await venue.until_subscribed()
        await venue.play(30)
        await follower.until(lambda: "notice" in follower.kinds)
        counters = feed.counters()
        assert (counters["BTCUSDT"].silent, counters["NIXUSDT"].silent) == (0, 1)
        assert "nothing heard" in follower.texts[follower.kinds.index("notice")]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_upbit_is_asked_for_everything_in_one_frame() -> None:
    """A second frame would replace the first."""
    async with world("upbit") as one:
        await one.venue.until_subscribed()
        await one.play(20)
        await one.live()
        asked = [text for text in one.venue.asked if text != b"PING"]
        assert len(asked) == 1
        assert {part.get("type") for part in json.loads(asked[0])} >= {"trade", "orderbook"}


@pytest.mark.parametrize("tape", WRITTEN)
async def test_a_slow_sink_stops_the_reading_and_loses_nothing(tape: str) -> None:
    async with world(tape, ping_every_s=0.02, silence_limit_s=0.2) as one:
        await one.venue.until_subscribed()
        await one.play(10)
        await one.live()
        one.follower.block.clear()
        playing = asyncio.create_task(one.play())
        await asyncio.sleep(0.5)  # longer than the silence limit: not reading is not silence
        seen = len(one.follower.frames)
        await asyncio.sleep(0.05)
        assert len(one.follower.frames) == seen
        one.follower.block.set()
        await playing
        await one.equal()
        assert one.follower.kinds == ["live"]
        assert one.count("slow_sink_ns", VENUE) > 0.4e9


@pytest.mark.parametrize("tape", WRITTEN)
async def test_what_is_recorded_through_faults_gives_the_same_books_again(tape: str) -> None:
    """The recording alone: decoded, judged and assembled anew."""
    file = io.BytesIO()
    writer = Writer.create(file, Header(venue=tape, symbols={}, created_ns=0))
    async with world(tape, sinks=(RecordingSink(file, writer),)) as one:
        await one.venue.until_subscribed()
        await one.play(40)
        await one.live()
        at = one.venue.at
        one.venue.faults.drop = {at + 3}
        one.venue.faults.duplicate = {at + 9}
        one.venue.faults.close_at = {at + 30}
        await one.play(20)
        await one.live()
        await one.play(20)
        await one.follower.until(lambda: "stale" in one.follower.kinds)
        await one.venue.until_subscribed()
        await one.play(10)
        await one.live()
        one.feed.roll()
        while not one.count("rolls", VENUE):
            await one.play(1)
            await asyncio.sleep(0.005)
        await one.play()
        await one.equal()
        writer.close()
        tape_end, adapter, trades = one.venue.tape, one.adapter, list(one.follower.trades)
    written = Counter(entry.body for entry in Reader(file).entries())
    twice = [number for number, said in enumerate(tape_end.frames) if written[said.frame] > 1]
    again_and_again = {number for number, said in enumerate(tape_end.frames) if b'"bids":[]' in said.frame}
    assert set(twice) - again_and_again <= {at + 9}
    again = replayed(Reader(file), adapter)
    assert not again.broken
    assert again.has(tape_end.book, tape_end.tick, tape_end.lot)
    assert again.trades == trades


@pytest.mark.parametrize("tape", WRITTEN)
async def test_the_symbols_are_listed(tape: str) -> None:
    recording("cryptofeed_v2")  # the venues' own lists
    async with world(tape) as one, aiohttp.ClientSession() as session:
        answer = await fetch(session, one.adapter.symbols_url(), 5.0, 64 << 20)
        assert isinstance(answer, Answered)
        listed = one.adapter.decode_symbols(answer.body)
        assert {"binance": "BTCUSDT", "okx": "BTCUSDT", "gate": "BTCUSDT", "upbit": "BTCKRW"}[tape] in {
            each.symbol for each in listed
        }


def replayed(reader: Reader, adapter: Adapter) -> Follower:
    follower, books, continuity = Follower(), AssembledBooks(adapter.book_rule), Continuity()
    for entry in reader.entries():
        if entry.kind == Kind.STATUS:
            continuity.forget_books()
            books.drop("")
            follower.on_events(adapter.name, entry.arrival_ns, [Status("", 0, "stale")])
        elif entry.kind == Kind.SNAPSHOT:
            told = books.apply(adapter.decode_snapshot(entry.symbol, entry.body))
            follower.on_events(adapter.name, entry.arrival_ns, told)
        else:
            for event in adapter.decode(entry.body):
                if continuity.judge(event, entry.arrival_ns) is not Verdict.NEW:
                    continue
                told = books.apply(event) if isinstance(event, (BookDelta, BookSnapshot)) else [event]
                for each in told:
                    if isinstance(each, Status) and each.kind == "gap":
                        continuity.forget_books(each.symbol)
                follower.on_events(adapter.name, entry.arrival_ns, told)
    return follower


def test_written_tapes_are_what_the_adapters_read() -> None:
    for tape, name in (
        (binance_written(), "binance"),
        (okx_written(), "okx"),
        (gate_written(), "gate"),
        (upbit_written(), "upbit"),
    ):
        adapter = ADAPTERS[name]({tape.symbol: Steps(Decimal(tape.tick), Decimal(tape.lot))})
        kinds = [event for said in tape.frames for event in adapter.decode(said.frame)]
        assert not [event for event in kinds if getattr(event, "kind", "") == "error"]
        assert adapter.off_grid == 0
