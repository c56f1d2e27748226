"""Candles, windows and aggregates made by columns against the same made trade by trade."""

from itertools import groupby
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.candles import CANDLE, STORED_WIDTHS_NS, Candle, empty_candle, filled, folded, joined, seconds_of, total_of
from market.enums import EventKind, Side
from market.intervals import DAY_NS, MINUTE_NS, SECOND_NS, Interval
from market.records import COMMAND, EVENT
from market.tape import TAPE, TapeEnds, tape_of
from market.windows import RecentTrades, Sliding, by_symbol

START_NS = 1_760_000_000 * SECOND_NS


@st.composite
def tapes(draw: st.DrawFn, symbols: int = 3, span_ns: int = 200 * MINUTE_NS) -> np.ndarray[Any, Any]:
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(0, symbols - 1), st.integers(0, span_ns), st.integers(1, 9), st.integers(1, 1 << 40),
                st.sampled_from(Side),
            ),
            max_size=60,
        )
    )  # fmt: skip
    rows.sort(key=lambda row: (row[0], row[1]))
    tape = np.zeros(len(rows), TAPE)
    ids = [0] * symbols
    for k, (symbol, after, price, qty, side) in enumerate(rows):
        ids[symbol] += 1
        tape[k] = (
            symbol,
            ids[symbol],
            ids[symbol],
            price,
            qty,
            price * qty,
            side,
            START_NS + after,
            False,
            False,
            0,
            0,
        )
    return tape


def naive(trades: Any, open_ns: int) -> Candle | None:
    """One candle of TAPE rows, trade by trade."""
    made: Candle | None = None
    for one in trades:
        price, qty, quote = int(one["price_ticks"]), int(one["qty_lots"]), int(one["quote_units"])
        if made is None:
            made = empty_candle(open_ns, price)
            made.first_trade_id = int(one["trade_id"])
        made.high, made.low, made.close = max(made.high, price), min(made.low, price), price
        made.volume += qty
        made.quote += quote
        made.trades += 1
        if one["taker_side"] == Side.BUY:
            made.taker_buy += qty
            made.taker_buy_quote += quote
        made.last_trade_id = int(one["trade_id"])
    return made


def as_candle(row: Any) -> Candle:
    return Candle(*row.tolist()[1:])


@given(tapes(), st.sampled_from(STORED_WIDTHS_NS))
def test_stored_candles_are_those_made_trade_by_trade(tape: Any, width_ns: int) -> None:
    made = folded(seconds_of(tape), width_ns)
    expected = []
    for (symbol, open_ns), trades in groupby(tape, lambda one: (one["symbol"], one["ts_ns"] // width_ns * width_ns)):
        candle = naive(trades, int(open_ns))
        assert candle is not None
        expected.append((int(symbol), candle))
    assert [(int(row["symbol"]), as_candle(row)) for row in made] == expected


@given(tapes(symbols=1), st.sampled_from(["1m", "3m", "15m", "1h", "1d"]), st.integers(-5, 5))
def test_klines_of_any_interval_and_their_gaps(tape: Any, name: str, hours: int) -> None:
    """By the venue's rule: every interval since the first trade has a kline; where nothing traded the close repeats."""
    interval = Interval(name, hours * 60 * MINUTE_NS)
    seconds = seconds_of(tape)
    opens = interval.opens_until(START_NS + 200 * MINUTE_NS, START_NS - interval.width_ns, 10_000)
    made = []
    for open_ns in opens:
        part = seconds[(seconds["open_ns"] >= open_ns) & (seconds["open_ns"] < interval.next_open(open_ns))]
        if (total := total_of(part, open_ns)) is not None:
            made.append(total)
    expected = []
    close: int | None = None
    for open_ns in opens:
        own = naive((one for one in tape if interval.open_of(int(one["ts_ns"])) == open_ns), open_ns)
        if own is None and close is not None:
            own = empty_candle(open_ns, close)
        if own is not None:
            close = own.close
            expected.append(own)
    assert list(filled(made, opens, None)) == expected


@settings(deadline=None)
@given(tapes(symbols=1), st.lists(st.integers(0, 60), max_size=5), st.integers(0, 220), st.integers(0, 230))
def test_windows_slide_over_a_tape_that_comes_in_parts(tape: Any, cuts: list[int], start: int, end: int) -> None:
    recent = RecentTrades()
    for part in np.split(tape, sorted(min(cut, len(tape)) for cut in cuts)):
        for _, own in by_symbol(part):
            recent.add(own, seconds_of(own), folded(seconds_of(own), MINUTE_NS))
    from_ns, to_ns = (START_NS // MINUTE_NS + start) * MINUTE_NS, (START_NS // MINUTE_NS + end) * MINUTE_NS
    inside = [one for one in tape if from_ns <= one["ts_ns"] < to_ns]
    assert recent.window(from_ns, to_ns) == naive(inside, from_ns)
    before = [int(one["price_ticks"]) for one in tape if one["ts_ns"] < from_ns]
    assert recent.minutes.price_at(from_ns) == (before[-1] if before else None)
    assert recent.last_trade_id == len(tape)


@settings(deadline=None)
@given(tapes(symbols=1, span_ns=30 * MINUTE_NS), st.integers(0, 29))
def test_the_average_price_weighs_the_last_five_minutes(tape: Any, minute: int) -> None:
    now_ns = (START_NS // SECOND_NS + 60 * minute) * SECOND_NS
    past = tape[tape["ts_ns"] < now_ns]
    recent = RecentTrades()
    for _, own in by_symbol(past):
        recent.add(own, seconds_of(own), folded(seconds_of(own), MINUTE_NS))
    inside = past[past["ts_ns"] >= now_ns - 5 * MINUTE_NS]
    assert recent.average(now_ns) == (int(inside["quote_units"].sum()), int(inside["qty_lots"].sum()))


def test_what_is_too_old_is_forgotten_but_its_close_is_not() -> None:
    sliding = Sliding(MINUTE_NS, DAY_NS)
    for k in range(5000):
        row = np.zeros(1, CANDLE)
        row["open_ns"] = START_NS // MINUTE_NS * MINUTE_NS + k * MINUTE_NS
        row["close"] = k
        sliding.add(row)
    newest = int(sliding.rows["open_ns"][-1])
    assert 1440 < len(sliding.rows) <= 3 * 1440
    assert sliding.rows["close"].tolist() == list(range(5000 - len(sliding.rows), 5000))
    oldest = int(sliding.rows["open_ns"][0])
    assert sliding.price_at(oldest) == 5000 - len(sliding.rows) - 1
    assert len(sliding.between(newest - DAY_NS, newest + 1)) == 1441


def test_sums_of_a_window_pass_64_bits() -> None:
    rows = np.zeros(4, CANDLE)
    rows["volume"] = (1 << 62) + 3
    rows["quote"] = (1 << 62) + (1 << 31)
    total = total_of(rows, 0)
    assert total is not None
    assert (total.volume, total.quote) == (4 * ((1 << 62) + 3), 4 * ((1 << 62) + (1 << 31)))
    both = joined((total, None, total), 7)
    assert both is not None
    assert (both.open_ns, both.volume) == (7, 8 * ((1 << 62) + 3))


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3), st.integers(1, 2), st.booleans()), max_size=8),
        max_size=6,
    )
)
def test_aggregates_are_runs_of_one_taker_at_one_price(batches: list[list[tuple[int, int, int, bool]]]) -> None:
    """Batch by batch and all at once give the same numbers, dense from 1, and those of a naive pass."""
    made, expected = [], []
    last: dict[int, tuple[int, tuple[int, ...]]] = {}
    ends = TapeEnds.of(3)
    trade_ids = [0, 0, 0]
    for k, batch in enumerate(batches):
        events = np.zeros(len(batch), EVENT)
        for row, (symbol, price, order, is_trade) in zip(events, sorted(batch, key=lambda one: one[0]), strict=True):
            row["kind"] = EventKind.TRADE if is_trade else EventKind.ACCEPTED
            row["symbol"], row["price_ticks"], row["order_id"] = symbol, price, 100 * k + order
            if not is_trade:
                continue
            trade_ids[symbol] += 1
            row["trade_id"] = trade_ids[symbol]
            run = (100 * k + order, price)
            number, before = last.get(symbol, (0, (0, 0)))
            last[symbol] = (number if run == before else number + 1, run)
            expected.append((symbol, trade_ids[symbol], last[symbol][0]))
        made += tape_of(events, np.zeros(1, COMMAND), np.full(len(events), k), ends)[
            ["symbol", "trade_id", "agg_id"]
        ].tolist()
    assert sorted(made) == sorted(expected)
    assert ends.agg_ids.tolist() == [last.get(symbol, (0, ()))[0] for symbol in range(3)]


@given(st.lists(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 20)), max_size=8), max_size=6))
def test_a_tape_does_not_go_back_in_time(batches: list[list[tuple[int, int]]]) -> None:
    ends, newest = TapeEnds.of(3), [0, 0, 0]
    for batch in batches:
        batch.sort(key=lambda one: one[0])
        events = np.zeros(len(batch), EVENT)
        events["kind"], events["symbol"] = EventKind.TRADE, [symbol for symbol, _ in batch]
        tape = tape_of(events, np.zeros(1, COMMAND), np.array([at for _, at in batch], np.int64), ends)
        expected = []
        for symbol, at in batch:
            newest[symbol] = max(newest[symbol], at)
            expected.append(newest[symbol])
        assert tape["ts_ns"].tolist() == expected
        assert ends.ts_ns.tolist() == newest


def test_no_trades_no_candles() -> None:
    assert len(seconds_of(np.zeros(0, TAPE))) == 0
    assert total_of(np.zeros(0, CANDLE), 0) is None
    assert joined((None, None), 0) is None
    with pytest.raises(StopIteration):
        next(filled([], [1, 2], None))
