"""Features by events against features by arrays, and against the same counted by hand; and none looks ahead."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.enums import Side
from market.intervals import SECOND_NS
from ml.features import Depth, Event, Events, FeatureSpec, FeatureStream, Quote, Trade, feature_rows, packed, until
from ml.leaks import LookAhead, assert_no_leak, leaks

START_NS = 1_760_000_000 * SECOND_NS
SPEC = FeatureSpec(step_ns=10, windows_ns=(10, 30, 200))
"""Few steps, so that small histories go far beyond the longest window."""
GAPS = st.sampled_from((0, 0, 1, 3, 9, 10, 11, 50, 400))
LOTS = st.sampled_from((0, 1, 2, 7, 1 << 40))

Matrix = np.ndarray[Any, Any]


@st.composite
def events(draw: st.DrawFn) -> Event:
    kind = draw(st.sampled_from((Trade, Quote, Depth)))
    if kind is Trade:
        return Trade(0, draw(st.integers(90, 110)), draw(LOTS) + 1, draw(st.sampled_from(Side)))
    bid = draw(st.integers(90, 110))
    ask = bid + draw(st.integers(-1, 5))
    if kind is Quote:
        return Quote(0, bid, draw(LOTS), ask, draw(LOTS))
    levels = draw(st.integers(0, 7))
    return Depth.of(0, [(bid - k, k + 1) for k in range(levels)], [(ask + k, 2 * k + 1) for k in range(levels)])


@st.composite
def histories(draw: st.DrawFn) -> list[Event | int]:
    """Events, and times at which a row is asked for, in order; a row comes after all events of its time."""
    ts_ns = START_NS + draw(st.integers(0, 20))
    told: list[Event | int] = []
    asked = False
    for _ in range(draw(st.integers(0, 40))):
        gap = draw(GAPS)
        ts_ns += max(gap, 1) if asked else gap
        asked = draw(st.integers(0, 3)) == 0
        told.append(ts_ns if asked else draw(events())._replace(ts_ns=ts_ns))
    return [*told, ts_ns + draw(GAPS)]


def streamed(history: list[Event | int], spec: FeatureSpec) -> Matrix:
    stream = FeatureStream(spec)
    rows = []
    for one in history:
        if isinstance(one, int):
            rows.append(stream.row(one))
        else:
            stream.add(one)
    return np.array(rows)


def split(history: list[Event | int]) -> tuple[Events, list[int]]:
    return packed(one for one in history if not isinstance(one, int)), [one for one in history if isinstance(one, int)]


@settings(max_examples=300, deadline=None)
@given(histories())
def test_stream_and_batch_agree_to_the_last_bit(history: list[Event | int]) -> None:
    told, at_ns = split(history)
    assert streamed(history, SPEC).tobytes() == feature_rows(told, at_ns, SPEC).tobytes()


@settings(max_examples=100, deadline=None)
@given(histories())
def test_no_feature_looks_ahead(history: list[Event | int]) -> None:
    told, at_ns = split(history)
    assert_no_leak(lambda known, times: feature_rows(known, times, SPEC), told, until, at_ns, SPEC.names)


def a_minute(seed: int = 7) -> tuple[Events, Matrix]:
    """Some minutes of a random market with the spec's own windows, and times to ask at."""
    random = np.random.default_rng(seed)
    ts_ns, bid, told = START_NS, 100_000, list[Event]()
    for _ in range(3000):
        ts_ns += int(random.exponential(0.02 * SECOND_NS))
        bid += int(random.integers(-3, 4))
        lots = [int(one) for one in random.integers(1, 1000, 4)]
        told.append(Quote(ts_ns, bid, lots[0], bid + 1 + lots[1] % 3, lots[2]))
        if lots[3] < 300:
            told.append(Trade(ts_ns, bid, lots[3], Side(lots[3] % 2)))
            told.append(Depth.of(ts_ns, [(bid - k, lots[0] + k) for k in range(9)], [(bid + 3, lots[2])]))
    return packed(told), np.arange(START_NS, ts_ns, SECOND_NS // 2)


def test_rows_are_what_they_are_said_to_be() -> None:
    spec = FeatureSpec()
    told, at_ns = a_minute()
    at = int(at_ns[-1]) // SECOND_NS * SECOND_NS
    row = dict(zip(spec.names, feature_rows(told, [at], spec)[0], strict=True))
    trades = told.trades[(told.trades["ts_ns"] > at - 5 * SECOND_NS) & (told.trades["ts_ns"] <= at)]
    known = told.quotes[told.quotes["ts_ns"] <= at]
    mids = (known["bid_ticks"] + known["ask_ticks"]) / 2
    before = int(np.searchsorted(known["ts_ns"], at - 5 * SECOND_NS, "right")) - 1
    bought = trades["qty_lots"][trades["taker_side"] == Side.BUY].sum()
    sold = trades["qty_lots"].sum() - bought
    assert row["trade_rate_5s"] == len(trades) / 5
    assert row["trade_imbalance_5s"] == pytest.approx((bought - sold) / (bought + sold))
    assert row["return_5s"] == pytest.approx(mids[-1] / mids[before] - 1)
    assert row["spread_ticks"] == known["ask_ticks"][-1] - known["bid_ticks"][-1]
    flow, churn, queue = by_hand(known, before)
    assert row["order_flow_imbalance_5s"] == pytest.approx(flow / queue)
    assert row["queue_rate_5s"] == pytest.approx(churn / queue / 5)
    ends = at - 5 * SECOND_NS + np.arange(26) * spec.step_ns
    sampled = mids[np.searchsorted(known["ts_ns"], ends, "right") - 1]
    assert row["volatility_5s"] == pytest.approx(np.sqrt(((sampled[1:] / sampled[:-1] - 1) ** 2).sum()), rel=1e-4)


def by_hand(quotes: Any, before: int) -> tuple[int, int, float]:
    """e_n of Cont, Kukanov, Stoikov quote by quote."""
    flow = churn = 0
    for old, new in zip(quotes[before:-1].tolist(), quotes[before + 1 :].tolist(), strict=True):
        _, bid, bid_lots, ask, ask_lots = new
        _, old_bid, old_bid_lots, old_ask, old_ask_lots = old
        of_bids = bid_lots * (bid >= old_bid) - old_bid_lots * (bid <= old_bid)
        of_asks = ask_lots * (ask <= old_ask) - old_ask_lots * (ask >= old_ask)
        flow += of_bids - of_asks
        churn += abs(of_bids) + abs(of_asks)
    later = quotes[before + 1 :]
    return flow, churn, float((later["bid_lots"] + later["ask_lots"]).mean() / 2)


def test_nothing_is_known_before_anything_is_told() -> None:
    row = FeatureStream(SPEC).row(START_NS)
    assert [name for name, one in zip(SPEC.names, row, strict=True) if not np.isnan(one)] == ["day_sin", "day_cos"]


def test_time_does_not_go_back() -> None:
    stream = FeatureStream(SPEC)
    stream.row(START_NS)
    with pytest.raises(ValueError, match="ts_ns"):
        stream.add(Trade(START_NS - 1, 100, 1, Side.BUY))


def test_unsorted_events_are_refused() -> None:
    told = packed([Trade(START_NS, 100, 1, Side.BUY), Trade(START_NS - 1, 100, 1, Side.BUY)])
    with pytest.raises(ValueError, match="trades"):
        feature_rows(told, [START_NS], SPEC)


@pytest.mark.parametrize(
    ("step_ns", "windows_ns"), [(0, (1,)), (10, ()), (10, (15,)), (10, (20, 10)), (1, (SECOND_NS,))]
)
def test_a_spec_that_cannot_be_counted_is_refused(step_ns: int, windows_ns: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="_ns: "):
        FeatureSpec(step_ns=step_ns, windows_ns=windows_ns)


# Features that look ahead, as they are written by mistake: each must be found, and found alone.


def scaled_by_the_whole_sample(told: Events, at_ns: Matrix) -> Matrix:
    rows = feature_rows(told, at_ns)
    return np.column_stack((rows, rows[:, 0] - told.quotes["ask_ticks"].mean()))


def centred(told: Events, at_ns: Matrix) -> Matrix:
    near = np.searchsorted(told.quotes["ts_ns"], at_ns + SECOND_NS) - 1
    return np.column_stack((feature_rows(told, at_ns), told.quotes["bid_ticks"][near]))


def back_filled(told: Events, at_ns: Matrix) -> Matrix:
    near = np.searchsorted(told.trades["ts_ns"], at_ns)
    prices = np.append(told.trades["price_ticks"], 0)
    return np.column_stack((feature_rows(told, at_ns), prices[near]))


@pytest.mark.parametrize("compute", [scaled_by_the_whole_sample, centred, back_filled])
def test_a_feature_that_looks_ahead_is_found(compute: Any) -> None:
    told, at_ns = a_minute()
    names = (*FeatureSpec().names, "ahead")
    found = leaks(compute, told, until, at_ns[2::20], names)
    assert [one.name for one in found] == ["ahead"]
    with pytest.raises(LookAhead, match="features: ahead at"):
        assert_no_leak(compute, told, until, at_ns[2::20], names)
