"""Candles of before our own first trade, over a fake venue's REST side and in a real PostgreSQL."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import asyncpg
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.backfill import Backfill, BackfillError, missing_of
from actors.config import Settings
from actors.jobs import Housekeeping
from actors.live_market import LiveMarket
from actors.metrics import ActorMetrics, JobMetrics
from actors.read_models import ReadModels, prepare
from actors.scheduler import Run
from actors.stored_quality import quality_of
from actors.stream_demand import Demand, channel_of
from actors.stream_statistics import Statistics
from actors.tape_store import MINUTES, TapeStore
from actors.wire import Batch
from market.candles import NO_TRADE_ID, Candle
from market.decimals import Grid
from market.feed_spec import Venues, VenueSpec
from market.intervals import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS, Interval
from market.listing import Listing, listing, recorded
from market.records import COMMAND, EVENT
from market.stream_events import Told as StreamTold
from market.tape import TAPE
from market.venues.events import Steps
from serve.binance.market_queries import MarketQueries
from tests.unit.stored_world import database, served
from tests.venues.fake_venue import FakeVenue
from tests.venues.tapes import TAPES
from tests.venues.test_connection import QUICK

KLINES = "/api/v3/klines"
LIMITS = msgspec.structs.replace(QUICK, backfill_after_s=0.0, backfills_per_minute=1e6)
FIRST_NS = 20_000 * DAY_NS + 13 * HOUR_NS + 37 * MINUTE_NS
"""The minute in which we first traded; before it a venue traded, but for every seventh minute."""
NOW_NS = FIRST_NS + 2 * HOUR_NS + 17 * SECOND_NS
LISTED: Listing = listing(
    "venues", [recorded("binance", name, Steps(Decimal("0.01"), Decimal("0.00001"))) for name in ("BTCUSDT", "ETHUSDT")]
)
NAMES = [one.symbol for one in LISTED.instruments()]
PER_TICK_LOT = LISTED.instruments()[0].quote_units_per_tick_lot
STORED = "SELECT * FROM candles ORDER BY symbol, width_s, open_ns"
TOLD = "SELECT * FROM venue_candles WHERE symbol = $1 ORDER BY open_ns"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from served(tmp_path_factory.mktemp("backfill"))


class World:
    def __init__(self, venue: FakeVenue, dsn: str, connection: Any) -> None:
        self.venue, self.dsn, self.connection = venue, dsn, connection
        self.store = TapeStore(connection)
        self.now_ns = NOW_NS

    def job(self, span_ns: int = DAY_NS) -> Backfill:
        spec = VenueSpec("binance", ws_url=self.venue.ws_url, rest_url=self.venue.url)
        return Backfill(Venues((spec,)), LISTED, span_ns, limits=LIMITS, clock_ns=lambda: self.now_ns)

    async def fill(self, span_ns: int = DAY_NS) -> tuple[dict[str, Any], list[str]]:
        """What the job tells, and what it asked for."""
        self.venue.paths.clear()
        run = Run(self.connection)
        told = await self.job(span_ns).run(run)
        assert run.progress in (0.0, 1.0)
        return told, list(self.venue.paths)

    async def trade(self, times: list[int], symbol: int = 0, first_id: int = 1) -> None:
        rows = [
            (symbol, k, k, 700 + k, 3, (700 + k) * 3 * PER_TICK_LOT, 0, at, True, True, k, 0)
            for k, at in enumerate(times, first_id)
        ]
        tape = np.array(rows, TAPE)
        models = ReadModels(LISTED.instruments(), set())
        models.add(Batch(0, 1, first_id, times[-1], np.zeros(1, COMMAND), np.zeros(0, EVENT)))
        models.add_tape(tape)
        models.positions["book-0"] = first_id
        await prepare(self.connection)
        await models.write(self.connection, "test")
        for name in ("new_trades", "new_candles"):
            await self.connection.execute(f"DROP TABLE IF EXISTS {name}")


def traded(minute_ns: int) -> tuple[int, int, int, int, int] | None:
    """Open, high, low, close in ticks and lots of a minute at the venue; None: nothing traded."""
    k = minute_ns // MINUTE_NS
    if k % 7 == 0:
        return None
    first, last = 500 + k % 50, 500 + (k + 1) % 50
    return first, max(first, last) + 2, min(first, last) - 2, last, 10 + k % 9


def klines(query: Mapping[str, str]) -> bytes:
    """As Binance answers: the newest `limit` that opened by `endTime`; a minute without a trade repeats the price."""
    end_ns, limit = int(query["endTime"]) * 1_000_000, int(query["limit"])
    assert (query["interval"], limit) == ("1m", 1000)
    last = end_ns // MINUTE_NS
    rows = []
    for k in range(last - limit + 1, last + 1):
        prices = traded(k * MINUTE_NS) or (600, 600, 600, 600, 0)
        texts = [str(Decimal(one) / 100) for one in prices[:4]]
        volume = str(Decimal(prices[4]) / 100_000)
        opened = k * 60_000
        rows.append([opened, *texts, volume, opened + 59_999, "1.5", 7, "0.1", "0.2", "0"])
    return json.dumps(rows).encode()


@pytest.fixture
async def world(server: str) -> AsyncIterator[World]:
    dsn = await database(server)
    connection = await asyncpg.connect(dsn)
    async with FakeVenue(TAPES["binance"]()).running() as venue:
        venue.answers[KLINES] = klines
        yield World(venue, dsn, connection)
    await connection.close()


def expected(start_ns: int, end_ns: int, width_ns: int = MINUTE_NS) -> list[tuple[int, int, int, int, int, int, int]]:
    """Open time, open, high, low, close, lots and quote units of what the venue traded."""
    made: dict[int, tuple[int, int, int, int, int, int, int]] = {}
    for at in range(start_ns, end_ns, MINUTE_NS):
        found = traded(at)
        if found is None:
            continue
        first, high, low, last, lots = found
        quote = last * lots * PER_TICK_LOT
        key = at // width_ns * width_ns
        old = made.get(key)
        if old is not None:
            first, high, low = old[1], max(high, old[2]), min(low, old[3])
            lots, quote = lots + old[5], quote + old[6]
        made[key] = (key, first, high, low, last, lots, quote)
    return list(made.values())


def figures(one: Candle) -> tuple[int, ...]:
    return one.open_ns, one.open, one.high, one.low, one.close, one.volume, one.quote


async def test_a_day_of_before_and_our_own_candles_untouched(world: World) -> None:
    await world.trade([FIRST_NS + 5, FIRST_NS + 70 * SECOND_NS, FIRST_NS + 90 * MINUTE_NS, NOW_NS - 1])
    ours = await world.connection.fetch(STORED)
    day = await world.store.totals(NAMES, NOW_NS - DAY_NS)
    told, asked = await world.fill()
    assert (told["symbols"], told["failed"], len(asked)) == (2, 0, 4)
    assert await world.connection.fetch(STORED) == ours
    rows = await world.connection.fetch(TOLD, NAMES[0])
    assert [(*map(int, list(row.values())[1:]),) for row in rows] == expected(FIRST_NS - DAY_NS, FIRST_NS)
    # Readers of our own tape hear nothing of it.
    assert await world.store.totals(NAMES, NOW_NS - DAY_NS) == day
    assert day[NAMES[0]].first_trade_id == 1
    assert await world.store.first_trade_ns(NAMES[0]) == FIRST_NS + 5
    assert await world.store.close_before(NAMES[0], FIRST_NS) is None
    found = await quality_of(world.connection, NAMES[0], FIRST_NS // DAY_NS)
    assert (found.score, found.trades) == (100, 4)
    # Asked again there is nothing to ask.
    again, asked = await world.fill()
    assert (again["symbols"], asked) == (0, [])


@pytest.mark.parametrize("name", ["1m", "3m", "15m", "1h", "4h", "1d"])
async def test_candles_go_over_from_the_venues_to_ours(world: World, name: str) -> None:
    await world.trade([FIRST_NS + 5, FIRST_NS + 70 * SECOND_NS, NOW_NS - 1])
    await world.fill()
    interval = Interval(name, 0)
    opens = interval.opens_until(NOW_NS, interval.open_of(FIRST_NS - DAY_NS), 5000)
    found = await world.store.candles(NAMES[0], opens, interval.next_open(opens[-1]))
    width_ns = interval.next_open(opens[0]) - opens[0]
    before = [one for one in expected(FIRST_NS - DAY_NS, FIRST_NS, width_ns) if one[0] + width_ns <= FIRST_NS]
    assert [figures(one) for one in found[: len(before)]] == before
    assert {(one.trades, one.first_trade_id, one.last_trade_id) for one in found[: len(before)]} == {
        (0, NO_TRADE_ID, NO_TRADE_ID)
    }
    mixed, later = found[len(before)], found[len(before) :]
    assert (mixed.open_ns, mixed.first_trade_id) == (FIRST_NS // width_ns * width_ns, 1)
    parts = expected(mixed.open_ns, FIRST_NS, width_ns)
    assert mixed.open == (parts[0][1] if parts else 701)
    assert sum(one.trades for one in later) == 3
    assert sum(one.volume for one in later) == 9 + sum(one[5] for one in parts)
    assert later[-1].close == 703


async def test_seconds_are_ours_alone(world: World) -> None:
    await world.trade([FIRST_NS + 5])
    await world.fill()
    opens = list(range(FIRST_NS - 120 * SECOND_NS, FIRST_NS + 2 * SECOND_NS, SECOND_NS))
    (only,) = await world.store.candles(NAMES[0], opens, opens[-1] + SECOND_NS)
    assert (only.open_ns, only.trades) == (FIRST_NS, 1)


async def test_minutes_are_each_there_once(world: World) -> None:
    """A minute in which we traded is ours, though the venue tells of it as well."""
    await world.fill()  # nothing is ours yet
    await world.trade([FIRST_NS + 5, FIRST_NS + 70 * SECOND_NS])
    rows = await world.connection.fetch(f"SELECT * FROM ({MINUTES}) AS m ORDER BY open_ns", NAMES[0])
    times = [row["open_ns"] for row in rows]
    assert len(set(times)) == len(times)
    start = NOW_NS // MINUTE_NS * MINUTE_NS - DAY_NS
    assert times == [one[0] for one in expected(start, FIRST_NS)] + [FIRST_NS, FIRST_NS + MINUTE_NS]


async def test_klines_as_binance_tells_them(world: World) -> None:
    async with asyncpg.create_pool(world.dsn, min_size=1) as pool:
        gateway: Any = SimpleNamespace(
            instruments=LISTED.instruments(), pool=pool, now_ns=lambda: world.now_ns, settings=None, redis=None
        )
        queries = MarketQueries(gateway)
        assert await queries.klines(NAMES[1], "1m", None, None, 10) == []
        await world.trade([FIRST_NS + 5])
        await world.fill()
        found = await queries.klines(NAMES[0], "1m", None, None, 1000)
        assert len(found) == 1000, "quiet minutes repeat the close"
        whole = await queries.klines(NAMES[0], "1m", FIRST_NS - 10 * MINUTE_NS, FIRST_NS, 1000)
        assert len(whole) == 11
        # Nothing is ours of the second symbol: the venue's candles, and its last price from then on.
        other = await queries.klines(NAMES[1], "1h", None, None, 1000)
        assert len(other) == 25
        quiet_ns = next(at for at in range(FIRST_NS - HOUR_NS, FIRST_NS, MINUTE_NS) if traded(at) is None)
        (quiet,) = await queries.klines(NAMES[1], "1m", quiet_ns, quiet_ns, 1)
        before = traded(quiet_ns - MINUTE_NS)
        assert before is not None
        assert Decimal(msgspec.to_builtins(quiet)[4]) == Decimal(before[3]) / 100


@pytest.mark.parametrize("name", ["15m", "1h", "4h", "1d"])
async def test_the_kline_in_which_we_began_is_the_same_in_streams(world: World, name: str) -> None:
    at_ns = FIRST_NS + 2 * MINUTE_NS
    world.now_ns = at_ns
    await world.trade([FIRST_NS + 5, FIRST_NS + 70 * SECOND_NS])
    await world.fill()
    market = LiveMarket(LISTED.instruments())
    await market.load(world.connection, at_ns)
    settings = Settings(data_dir="/", run_dir="/", pg_dsn=world.dsn, redis_url="", backfill_ns=DAY_NS)
    grid = Grid.of(LISTED.instruments()[0])
    statistics = Statistics(settings, market, lambda symbol, unit: StreamTold(NAMES[symbol], grid, unit))
    demand = Demand({one: k for k, one in enumerate(NAMES)})
    demand.update([channel_of("x", "ms", f"btcusdt@kline_{name}")])
    ((_, event),) = await statistics.due(demand, at_ns, odd=False)
    told = json.loads(event)["k"]
    interval = Interval(name, 0)
    open_ns = interval.open_of(at_ns)
    (candle,) = await world.store.candles(NAMES[0], [open_ns], interval.next_open(open_ns))
    assert (
        (told["f"], told["L"], told["n"]) == (candle.first_trade_id, candle.last_trade_id, candle.trades) == (1, 2, 2)
    )
    prices = (candle.open, candle.high, candle.low, candle.close)
    assert [told[key] for key in "ohlc"] == [grid.price(one) for one in prices]
    assert (told["v"], told["q"]) == (grid.quantity(candle.volume), grid.quote(candle.quote))
    assert candle.open == expected(open_ns, FIRST_NS)[0][1]
    await statistics.close()


async def test_what_lay_between_is_asked_for_later(world: World) -> None:
    world.now_ns = FIRST_NS - 3 * MINUTE_NS + 1
    await world.fill()
    await world.trade([FIRST_NS + 5])
    world.now_ns = NOW_NS
    told, asked = await world.fill()
    assert len(asked) == 2
    rows = await world.connection.fetch(TOLD, NAMES[0])
    assert [row["open_ns"] for row in rows] == [one[0] for one in expected(FIRST_NS - DAY_NS - 3 * MINUTE_NS, FIRST_NS)]
    longer, asked = await world.fill(3 * DAY_NS)
    rows = await world.connection.fetch(TOLD, NAMES[0])
    assert [row["open_ns"] for row in rows] == [one[0] for one in expected(FIRST_NS - 3 * DAY_NS, FIRST_NS)]
    assert (told["failed"], longer["failed"]) == (0, 0)


async def test_a_venue_that_stumbles(world: World) -> None:
    world.venue.faults.snapshot_status = [500, 429]
    told, _ = await world.fill()
    assert (told["symbols"], told["failed"]) == (2, 0)


@pytest.mark.parametrize("answer", [b"[]x", b'{"code": -1121, "msg": "Invalid symbol."}'])
async def test_a_venue_that_tells_nothing_fails_the_job(world: World, answer: bytes) -> None:
    world.venue.answers[KLINES] = answer
    with pytest.raises(BackfillError, match="binance"):
        await world.fill()
    assert not await world.connection.fetch("SELECT * FROM venue_candle_spans")
    world.venue.answers[KLINES] = klines
    assert (await world.fill())[0]["symbols"] == 2


async def test_one_symbol_that_fails_is_told_and_tried_again(world: World) -> None:
    world.venue.answers[KLINES] = lambda query: b"{}" if query["symbol"] == "ETHUSDT" else klines(query)
    told, _ = await world.fill()
    assert (told["symbols"], told["failed"]) == (1, 1)
    assert "ETHUSDT" in told["error"]
    world.venue.answers[KLINES] = klines
    told, asked = await world.fill()
    assert (told["symbols"], {"ETHUSDT" in one for one in asked}) == (1, {True})


async def test_odd_candles_are_left_out(world: World) -> None:
    def odd(query: Mapping[str, str]) -> bytes:
        rows = json.loads(klines(query))
        rows[-1][2] = "0.01"  # the highest below the lowest
        rows[-2][5] = "0"
        rows[-3][0] += 1
        return json.dumps(rows).encode()

    world.venue.answers[KLINES] = odd
    told, _ = await world.fill()
    assert told["failed"] == 0
    minutes = [row["open_ns"] for row in await world.connection.fetch(TOLD, NAMES[0])]
    assert all(at % MINUTE_NS == 0 for at in minutes)


@pytest.mark.parametrize(("feed", "backfill_ns", "there"), [
    ("binance", DAY_NS, True), ("binance", 0, False), ("none", DAY_NS, False), ("simulated", DAY_NS, False),
])  # fmt: skip
def test_only_a_live_feed_has_the_job(tmp_path: Any, feed: str, backfill_ns: int, there: bool) -> None:
    from actors import instruments_file

    instruments_file.write(str(tmp_path), LISTED)
    settings = Settings(data_dir=str(tmp_path), run_dir="", pg_dsn="", redis_url="", feed=feed, backfill_ns=backfill_ns)
    chores = Housekeeping(settings, LISTED.instruments(), lambda: 0, JobMetrics(ActorMetrics("projector")))
    assert ("backfill" in [one.name for one in chores.jobs()]) == there


@given(st.integers(1, 3000), st.integers(0, 10_000), st.none() | st.integers(0, 200),
       st.none() | st.tuples(st.integers(0, 200), st.integers(0, 200)))  # fmt: skip
def test_what_is_missing(span: int, now: int, ours: int | None, known: tuple[int, int] | None) -> None:
    minutes = None if known is None else (min(known) * MINUTE_NS, max(known) * MINUTE_NS)
    ours_ns = None if ours is None else ours * MINUTE_NS
    missing, then = missing_of(span * SECOND_NS, now * SECOND_NS, ours_ns, minutes)
    end = min(now * SECOND_NS // MINUTE_NS * MINUTE_NS, ours_ns if ours_ns is not None else 1 << 62)
    wanted = set(range(end - -(-span // 60) * MINUTE_NS, end, MINUTE_NS))
    asked = {at for start, stop in missing for at in range(start, stop, MINUTE_NS)}
    had = set() if minutes is None else set(range(*minutes, MINUTE_NS))
    assert wanted <= asked | had
    assert asked <= wanted
    assert set(range(*then, MINUTE_NS)) <= asked | had
    assert wanted <= set(range(*then, MINUTE_NS))
