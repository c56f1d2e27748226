"""Features live from the stored candles, the log of predictions and its scores: against a real PostgreSQL."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import asyncpg
import numpy as np
import pytest

from actors.candle_feed import PATIENCE_NS, CandleFeed
from actors.prediction_log import GIVEN_UP_NS, GRACE_NS, NAMES, PredictionLog, sums_of
from market.intervals import HOUR_NS, MINUTE_NS, SECOND_NS
from ml.features import candle_rows
from ml.features.candles import LOOKBACK, Candles
from tests.unit.stored_world import database, served

START: Final = 30_000_000 * MINUTE_NS
BTC, ETH, QUIET = "BTCUSDT", "ETHUSDT", "XRPUSDT"
_CANDLE: Final = (
    "INSERT INTO candles (symbol, width_s, open_ns, open_ticks, high_ticks, low_ticks, close_ticks, volume_lots, quote_units, "
    "trades, taker_buy_lots, taker_buy_quote_units, first_trade_id, last_trade_id) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, 1, 0, 0, 1, 1)"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from served(tmp_path_factory.mktemp("predictions"))


@pytest.fixture
async def pool(server: str) -> AsyncIterator[Any]:
    made = await asyncpg.create_pool(await database(server), min_size=1, max_size=2)
    yield made
    await made.close()


def history(minutes: int, seed: int = 1) -> Candles:
    dice = np.random.default_rng(seed)
    close = 50_000 + np.cumsum(dice.integers(-20, 21, minutes)).astype(np.float64)
    opened = np.concatenate((close[:1], close[:-1]))
    high, low = np.maximum(opened, close) + 3, np.minimum(opened, close) - 2
    return Candles(
        START + np.arange(minutes) * MINUTE_NS, opened, high, low, close, dice.integers(1, 99, minutes) * 1.0
    )


async def store(pool: Any, symbol: str, candles: Candles, width_s: int = 60) -> None:
    rows = zip(*(column.astype(np.int64).tolist() for column in candles), strict=True)
    await pool.executemany(_CANDLE, [(symbol, width_s, *row) for row in rows])


async def second(pool: Any, symbol: str, open_ns: int, close: int) -> None:
    await pool.execute("SELECT make_day_partition('candles_1', $1)", open_ns // (24 * HOUR_NS))
    await pool.execute(_CANDLE, symbol, 1, open_ns, close, close, close, close, 1)


async def test_rows_are_those_of_training_to_the_last_bit(pool: Any) -> None:
    """Filled from the store, then followed candle by candle; minutes without a trade are filled as charts fill them."""
    n = LOOKBACK + 6
    candles = history(n)
    silent = [n - 4, n - 3]
    for k in silent:
        for column in candles[1:5]:
            column[k] = candles.close[n - 5]
        candles.volume[k] = 0
    candles.open[n - 2] = candles.close[n - 5]
    traded = np.array([k not in silent for k in range(n)])
    await store(pool, BTC, Candles(*(column[traded] for column in candles)))
    feed = CandleFeed(pool, [BTC, QUIET], MINUTE_NS)
    await feed.fill(START + (n - 5) * MINUTE_NS + 1)
    expected = candle_rows(candles, MINUTE_NS)
    for k in range(n - 6, n):
        until = START + (k + 1) * MINUTE_NS
        if k > n - 6:
            assert feed.due(until)
            assert not await feed.advance(until), "nothing later is stored: it may still be on its way"
            assert await feed.advance(until + PATIENCE_NS)
        made = feed.make_rows(feed.symbols)
        assert made.keys() == {BTC}
        assert made[BTC].as_of_ns == until
        assert made[BTC].price_ticks == candles.close[k]
        assert made[BTC].row.tobytes() == expected[k].tobytes()
    assert feed.price(QUIET) is None
    window = feed.window(BTC)
    assert window.close.tolist() == candles.close[-len(window.close) :].tolist()


async def test_a_candle_is_taken_as_soon_as_something_later_is_stored(pool: Any) -> None:
    await store(pool, BTC, history(3))
    feed = CandleFeed(pool, [BTC, ETH], MINUTE_NS)
    await feed.fill(START + 2 * MINUTE_NS)
    end = START + 3 * MINUTE_NS
    assert not await feed.advance(end)
    await second(pool, ETH, end, 7)
    assert await feed.advance(end + SECOND_NS)
    assert feed.known(BTC) == 3
    with pytest.raises(ValueError, match="width_ns"):
        CandleFeed(pool, [BTC], 5 * MINUTE_NS)


async def test_after_a_long_absence_the_feed_is_filled_anew(pool: Any) -> None:
    await store(pool, BTC, history(3))
    feed = CandleFeed(pool, [BTC], MINUTE_NS)
    await feed.fill(START + 3 * MINUTE_NS)
    later = history(LOOKBACK, seed=2)
    later = later._replace(open_ns=later.open_ns + 5 * LOOKBACK * MINUTE_NS)
    await store(pool, BTC, later)
    end = int(later.open_ns[-1]) + MINUTE_NS
    assert await feed.advance(end + PATIENCE_NS)
    row = feed.make_rows([BTC])[BTC]
    assert row.as_of_ns == end
    assert row.row.tobytes() == candle_rows(later, MINUTE_NS)[-1].tobytes()


async def test_minutes_that_a_venue_tells_later_are_taken_in(pool: Any) -> None:
    n = LOOKBACK + 3
    candles = history(n)
    await store(pool, BTC, Candles(*(column[-3:] for column in candles)))
    feed = CandleFeed(pool, [BTC], MINUTE_NS)
    await feed.fill(START + (n - 1) * MINUTE_NS)
    assert (feed.known(BTC), feed.make_rows([BTC])) == (2, {})
    rows = zip(*(column[:-3].astype(np.int64).tolist() for column in candles), strict=True)
    told = "INSERT INTO venue_candles VALUES ($1, $2, $3, $4, $5, $6, $7, 0)"
    await pool.executemany(told, [(BTC, *row) for row in rows])
    await pool.execute("INSERT INTO venue_candle_spans VALUES ($1, $2, $3)", BTC, START, START + (n - 3) * MINUTE_NS)
    assert await feed.advance(START + n * MINUTE_NS + PATIENCE_NS)
    assert feed.known(BTC) == n
    assert feed.make_rows([BTC])[BTC].row.tolist() == candle_rows(candles, MINUTE_NS)[-1].tolist()


async def test_predictions_are_scored_when_their_horizon_has_passed(pool: Any) -> None:
    log = PredictionLog(pool)
    due = START + MINUTE_NS
    # price, up, low, median, high, volatility, the baseline's
    figures = np.array([[100.0, 0.8, -0.01, 0.0, 0.01, 0.01, 0.01], [200.0, 0.4, -0.02, 0.0, 0.02, 0.02, 0.03],
                        [300.0, 0.9, -0.01, 0.0, 0.01, 0.01, 0.01]])  # fmt: skip
    for _ in range(2):
        await log.add(7, START, due, [BTC, ETH, QUIET], figures)
    for symbol, at, close in ((BTC, due - SECOND_NS, 101), (BTC, due, 500), (ETH, due - 9 * SECOND_NS, 198)):
        await second(pool, symbol, at, close)
    assert await log.score(due + GRACE_NS - 1) == 0
    assert await log.score(due + GRACE_NS) == 1
    assert await log.score(due + GRACE_NS) == 0
    found = (await log.scores(due))[7]
    assert found["count"] == 2, "nobody knows how the quiet one went"
    assert found["brier"] == pytest.approx((0.2**2 + 0.4**2) / 2)
    assert found["hits"] == 1.0
    assert found["log_loss"] == pytest.approx(-(np.log(0.8) + np.log(0.6)) / 2)
    assert found["pinball"] < found["naive_pinball"]
    expected = sums_of(figures, np.array([0.01, -0.01, np.nan]))
    assert [found["count"], *(found[name] * 2 for name in NAMES[1:])] == pytest.approx(expected.tolist())


async def test_what_fell_due_while_nobody_scored_is_dropped(pool: Any) -> None:
    log = PredictionLog(pool)
    await log.add(7, START, START + MINUTE_NS, [BTC], np.ones((1, 7)))
    assert await log.score(START + MINUTE_NS + GIVEN_UP_NS) == 1
    assert await log.scores(START + GIVEN_UP_NS) == {}
    assert await pool.fetchval("SELECT count(*) FROM predictions") == 0
