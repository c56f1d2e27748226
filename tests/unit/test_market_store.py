"""The tape in a real PostgreSQL: written in parts as the projector does, read as the venue tells it, against naive sums."""

import asyncio
import itertools
import random
import shutil
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import numpy as np
import pytest

from actors.live_market import LiveMarket
from actors.read_models import ReadModels, prepare
from actors.tape_store import Span, TapeStore
from actors.wire import Batch
from deploy.migrate import migrate
from deploy.postgres import EmbeddedPostgres
from market.candles import Candle, empty_candle, filled
from market.enums import EventKind, Side
from market.intervals import DAY_NS, HOUR_NS, INTERVALS, MINUTE_NS, SECOND_NS, Interval
from market.records import COMMAND, EVENT
from market.universe import instruments

NOW_NS = 1_780_000_000 * SECOND_NS + 123_456_789
FIRST_NS = NOW_NS - 70 * DAY_NS
SYMBOLS = instruments(2)
NAMES = [one.symbol for one in SYMBOLS]
Trade = tuple[int, int, int, int, int, int]
"""Symbol, time, trade id, price, quantity, side."""


def story() -> tuple[list[Batch], list[Trade]]:
    """Two months of batches: bursts, gaps of days, the last days and minutes dense; and the trades in them."""
    dice = random.Random(7)
    times = {FIRST_NS + dice.randrange(70 * DAY_NS) for _ in range(300)}
    times |= {NOW_NS - dice.randrange(2 * DAY_NS) for _ in range(400)}
    times |= {NOW_NS - dice.randrange(10 * MINUTE_NS) for _ in range(200)}
    times |= {NOW_NS - DAY_NS + dice.randrange(-90, 90) * SECOND_NS for _ in range(60)}
    batches, trades = [], []
    ids, orders = [0, 0], 0
    for seq, ts_ns in enumerate(sorted(times), 1):
        rows = []
        for symbol in sorted(dice.randrange(2) for _ in range(dice.randrange(1, 4))):
            orders += 1
            price, side = dice.randrange(1, 500), dice.choice((Side.BUY, Side.SELL))
            for _ in range(dice.randrange(1, 4)):
                ids[symbol] += 1
                qty = dice.randrange(1, 1 << 34)
                row = np.zeros(1, EVENT)
                row["kind"], row["symbol"], row["order_id"], row["side"] = EventKind.TRADE, symbol, orders, side
                row["price_ticks"], row["qty_lots"], row["quote_units"] = price, qty, price * qty
                row["trade_id"] = row["exec_id"] = ids[symbol]
                rows.append(row)
                trades.append((symbol, ts_ns, ids[symbol], price, qty, int(side)))
                price += dice.choice((0, 0, 1))
        events = np.concatenate(rows)
        batches.append(Batch(0, 1, seq, ts_ns, np.zeros(1, COMMAND), events))
    return batches, trades


BATCHES, TRADES = story()


def naive(symbol: int, start_ns: int, end_ns: int) -> Candle | None:
    made: Candle | None = None
    for k, ts_ns, trade_id, price, qty, side in TRADES:
        if k != symbol or not start_ns <= ts_ns < end_ns:
            continue
        if made is None:
            made = empty_candle(start_ns, price)
            made.first_trade_id = trade_id
        made.high, made.low, made.close = max(made.high, price), min(made.low, price), price
        made.volume, made.quote, made.trades = made.volume + qty, made.quote + price * qty, made.trades + 1
        if side == Side.BUY:
            made.taker_buy, made.taker_buy_quote = made.taker_buy + qty, made.taker_buy_quote + price * qty
        made.last_trade_id = trade_id
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("store")
    server = EmbeddedPostgres(folder / "data")
    try:
        yield server.start()
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def written(server: str) -> str:
    asyncio.run(write(server))
    return server


async def write(server: str) -> None:
    """All batches, in flushes of changing size, with a projector that starts anew now and then."""
    await migrate(server)
    connection = await asyncpg.connect(server)
    await prepare(connection)
    dice = random.Random(1)
    market, waiting = LiveMarket(SYMBOLS), list(BATCHES)
    while waiting:
        if dice.random() < 0.1:
            market = LiveMarket(SYMBOLS)
            await market.load(connection, waiting[0].ts_ns)
        taken, waiting = waiting[: (size := dice.randrange(1, 90))], waiting[size:]
        models = ReadModels(SYMBOLS, set())
        models.add_tape(market.follow_tape(taken))
        for batch in taken:
            models.add(batch)
        models.positions["book-0"] = taken[-1].seq
        await models.write(connection, "test")
    await connection.close()


@pytest.fixture
async def connection(written: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(written)
    yield connection
    await connection.close()


async def test_aggregates_are_dense_over_restarts(connection: Any) -> None:
    for name in NAMES:
        rows = await connection.fetch("SELECT agg_id, trade_id FROM trades WHERE symbol = $1 ORDER BY trade_id", name)
        ids = [row["agg_id"] for row in rows]
        assert [row["trade_id"] for row in rows] == list(range(1, len(rows) + 1))
        assert sorted(set(ids)) == list(range(1, ids[-1] + 1))
        assert ids == sorted(ids)
        assert ids[-1] < len(ids), "some trades are of one aggregate"


async def test_candles_of_all_widths_hold_all_trades(connection: Any) -> None:
    sums = await connection.fetch("SELECT symbol, width_s, sum(trades) AS n FROM candles GROUP BY 1, 2")
    counted = {name: sum(one[0] == k for one in TRADES) for k, name in enumerate(NAMES)}
    assert {(row["symbol"], row["width_s"]): int(row["n"]) for row in sums} == {
        (name, width): counted[name] for name in NAMES for width in (1, 60, 3600)
    }


SPANS = [
    (NOW_NS - DAY_NS, NOW_NS + 1),
    (NOW_NS - 1, NOW_NS + 1),
    (NOW_NS - 90 * MINUTE_NS, NOW_NS - 30 * MINUTE_NS),
    (NOW_NS - 5 * MINUTE_NS, NOW_NS + SECOND_NS),
    (NOW_NS // DAY_NS * DAY_NS, NOW_NS + 1),
    ((NOW_NS - 7 * DAY_NS) // MINUTE_NS * MINUTE_NS, NOW_NS),
    (FIRST_NS - DAY_NS, NOW_NS + HOUR_NS),
    (NOW_NS - DAY_NS, NOW_NS - DAY_NS + SECOND_NS),
    (NOW_NS - 3 * SECOND_NS, NOW_NS - SECOND_NS),
    (FIRST_NS - DAY_NS, FIRST_NS - 2),
]


@pytest.mark.parametrize(("start_ns", "end_ns"), SPANS)
async def test_totals_are_exact_to_the_nanosecond(connection: Any, start_ns: int, end_ns: int) -> None:
    found = await TapeStore(connection).totals(NAMES, start_ns, end_ns)
    assert [found.get(name) for name in NAMES] == [naive(k, start_ns, end_ns) for k in range(2)]


async def test_totals_of_random_spans(connection: Any) -> None:
    dice = random.Random(3)
    store = TapeStore(connection)
    marks = [one[1] for one in TRADES]
    for _ in range(150):
        start_ns = dice.choice(marks) + dice.choice((-1, 0, 1, -dice.randrange(2 * HOUR_NS)))
        end_ns = dice.choice(marks) + dice.choice((0, 1))
        if end_ns <= start_ns:
            continue
        found = await store.totals(NAMES, start_ns, end_ns)
        assert [found.get(name) for name in NAMES] == [naive(k, start_ns, end_ns) for k in range(2)]


def test_a_span_is_cut_without_a_gap_or_an_overlap() -> None:
    dice = random.Random(5)
    for _ in range(500):
        start_ns = dice.randrange(3 * HOUR_NS)
        end_ns = start_ns + dice.choice(
            (1, dice.randrange(1, SECOND_NS), dice.randrange(1, MINUTE_NS), dice.randrange(1, DAY_NS))
        )
        span = Span(start_ns, end_ns)
        parts = sorted([(first, last) for _, first, last in span.pieces] + span.trades)
        assert parts[0][0] == start_ns
        assert parts[-1][1] == end_ns
        assert all(before[1] == after[0] for before, after in itertools.pairwise(parts))
        for width_s, first, last in span.pieces:
            assert first % (width_s * SECOND_NS) == 0
            assert last % (width_s * SECOND_NS) == 0


@pytest.mark.parametrize("name", INTERVALS)
@pytest.mark.parametrize("offset_minutes", [0, 480, 345])
async def test_klines_of_every_interval(connection: Any, name: str, offset_minutes: int) -> None:
    """The last ones, with those in which nothing traded; and some in the middle of the story."""
    store = TapeStore(connection)
    interval = Interval(name, offset_minutes * MINUTE_NS)
    first = await store.first_trade_ns(NAMES[0])
    assert first == min(one[1] for one in TRADES if one[0] == 0)
    for until_ns in (NOW_NS, NOW_NS - 20 * DAY_NS):
        opens = interval.opens_until(until_ns, interval.open_of(first), 50)
        traded = await store.candles(NAMES[0], opens, interval.next_open(opens[-1]))
        close = await store.close_before(NAMES[0], opens[0])
        expected = []
        before = [one[3] for one in TRADES if one[0] == 0 and one[1] < opens[0]]
        last = before[-1] if before else None
        assert close == last
        for open_ns in opens:
            candle = naive(0, open_ns, interval.next_open(open_ns))
            if candle is None and last is not None:
                candle = empty_candle(open_ns, last)
            if candle is not None:
                last = candle.close
                expected.append(candle)
        assert list(filled(traded, opens, close)) == expected


async def test_a_projector_that_starts_knows_what_traded_lately(connection: Any) -> None:
    market = LiveMarket(SYMBOLS)
    await market.load(connection, NOW_NS)
    for k in range(2):
        recent = market.recent[k]
        own = [one for one in TRADES if one[0] == k]
        assert (recent.last_ts_ns, recent.last_trade_id, recent.last_price, recent.last_qty) == own[-1][1:5]
        day = (NOW_NS - DAY_NS) // MINUTE_NS * MINUTE_NS
        assert recent.window(day, NOW_NS + SECOND_NS) == naive(k, day, NOW_NS + SECOND_NS)
        assert recent.minutes.price_at(day) == [one[3] for one in own if one[1] < day][-1]
        from_ns = (NOW_NS - 5 * MINUTE_NS) // SECOND_NS * SECOND_NS
        inside = [one for one in own if one[1] >= from_ns]
        assert recent.average(from_ns + 5 * MINUTE_NS) == (
            sum(one[3] * one[4] for one in inside),
            sum(one[4] for one in inside),
        )
