"""The hybrid book tells what the oracle tells, event for event, while a venue's levels come, go, cross and print.

Case ids are those of market/book/SEMANTICS.md.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from market.book import Book
from market.enums import (
    CommandKind,
    EventKind,
    FillModel,
    ListRole,
    OrdType,
    PegType,
    Side,
    StpMode,
    TimeInForce,
)
from market.records import COMMAND
from tests.property.test_book_against_oracle import assert_same_events, assert_same_state, both, splits
from tests.reference.build import (
    EXTREME,
    SYMBOL_ID,
    TINY,
    amend,
    by_quote,
    cancel,
    cancel_all,
    commands,
    difference,
    fill_model,
    limit,
    maker_only,
    market,
    outside_clear,
    outside_level,
    outside_quote,
    outside_status,
    outside_trade,
    pair,
    replace,
    stop_limit,
    stop_market,
)
from tests.reference.hybrid import OPEN, PRICES, QUANTITIES, hybrid_flow
from tests.reference.naive_book import Event, NaiveBook

Row = dict[str, Any]
BUY, SELL = Side

LARGE_PRICES, LARGE_QUANTITIES = [1, 2, 3, 1 << 31, 1 << 60, (1 << 61) - 1], [1, 2, 3, 1 << 31, 1 << 57, 1 << 58]

WORLDS = {
    "narrow": (OPEN, PRICES, QUANTITIES, 0.0),
    "hostile": (OPEN, PRICES, QUANTITIES, 0.2),
    "filters": (TINY, PRICES, [2, 3, 5, 8], 0.05),
    "extreme": (EXTREME, LARGE_PRICES, LARGE_QUANTITIES, 0.05),
}
worlds = pytest.mark.parametrize("world", WORLDS)


def flow_of(world: str, seed: int, count: int, outside: float = 0.5) -> np.ndarray:
    return hybrid_flow(seed, count, *WORLDS[world], outside)


@pytest.mark.parametrize("outside", [0.2, 0.6])
@worlds
def test_random_worlds_in_random_batches(world: str, outside: float) -> None:
    book, oracle = both(WORLDS[world][0], 30)
    rng = np.random.default_rng(3)
    for batch in splits(rng, flow_of(world, 17, 8000, outside)):
        assert_same_events(book, oracle, batch)
        assert_same_state(book, oracle)
        if rng.random() < 0.1:
            restored = Book.restore(WORLDS[world][0], SYMBOL_ID, book.snapshot())
            assert restored.digest() == book.digest()
            book = restored
    assert oracle.trade_id > 100


@worlds
def test_batches_cut_differently_end_the_same(world: str) -> None:
    flow = flow_of(world, 5, 2000)
    whole, pieces = (Book(WORLDS[world][0], SYMBOL_ID, max_live_orders=30) for _ in range(2))
    expected = whole.apply(flow)
    got = np.concatenate([pieces.apply(part) for part in splits(np.random.default_rng(1), flow)])
    expected["command_index"] = got["command_index"] = 0
    assert not difference(flow, got, expected)
    assert pieces.digest() == whole.digest()


def test_every_cut_point_goes_on_the_same() -> None:
    flow = flow_of("narrow", 9, 300)
    live, whole = (Book(OPEN, SYMBOL_ID, max_live_orders=30) for _ in range(2))
    expected = whole.apply(flow)
    for cut in range(len(flow)):
        if flow["list_role"][cut] != ListRole.OCO_SECOND:
            restored = Book.restore(OPEN, SYMBOL_ID, live.snapshot())
            assert restored.digest() == live.digest()
            tail = expected[expected["command_index"] >= cut].copy()
            tail["command_index"] -= cut
            wrong = difference(flow[cut:], restored.apply(flow[cut:]), tail)
            assert not wrong, f"restored before command {cut}: {wrong}"
            assert restored.digest() == whole.digest()
            step = 2 if flow["list_role"][cut] == ListRole.OCO_FIRST else 1
            live.apply(flow[cut : cut + step])


# -- what must hold, of the oracle alone --------------------------------------------------------------------


def assert_sound(oracle: NaiveBook) -> None:
    """O1: nothing is taken that was not shown, no queue is longer than what is there; G5."""
    levels = {(level.side, level.price_ticks): level for level in oracle.outside()}
    for level in levels.values():
        assert 0 <= level.taken_lots <= level.shown_lots > 0
        assert min(level.printed_lots, level.unclaimed_lots) >= 0
    for order in oracle.orders():
        assert order.ahead_lots >= -1
        assert min(order.by_trades_lots, order.by_cancels_lots) >= 0
        at = levels.get((order.side, order.price_ticks)) if not order.waits else None
        if at is not None:
            assert 0 <= order.ahead_lots <= at.shown_lots - at.taken_lots
    bids, asks = oracle.depth(BUY), oracle.depth(SELL)
    assert not bids or not asks or bids[0][0] < asks[0][0]


def assert_prints_give_what_they_have(command: np.void, events: Sequence[Event]) -> None:
    """O4: the fills of a print, and what is told of its rest, are its quantity; nobody is filled beyond its price."""
    if command["kind"] != CommandKind.OUTSIDE_TRADE or any(one.kind == EventKind.REJECTED for one in events):
        return
    fills = [one for one in events if one.kind == EventKind.TRADE and one.order_id == 0]
    assert sum(one.qty_lots for one in fills) == command["qty_lots"]
    for one in fills:
        gain = one.price_ticks - int(command["price_ticks"])
        assert gain <= 0 if command["side"] == BUY else gain >= 0


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("world", ["narrow", "hostile", "extreme"])
def test_invariants(world: str, seed: int) -> None:
    _, oracle = both(WORLDS[world][0], 30)
    flow = flow_of(world, 100 + seed, 2000)
    flow["list_role"] = 0
    for place in range(len(flow)):
        events = oracle.apply(flow[place : place + 1])
        assert_prints_give_what_they_have(flow[place], events)
        assert_sound(oracle)


# -- worlds that hypothesis finds ---------------------------------------------------------------------------

sides, prices, quantities = st.sampled_from(Side), st.integers(9, 12), st.integers(1, 6)
accounts, back = st.integers(1, 3), st.integers(0, 6)
models = st.sampled_from([fill_model(model) for model in FillModel])

venue = st.one_of(
    st.builds(outside_level, sides, st.integers(0, 8), prices, st.booleans()),
    st.builds(outside_level, sides, quantities, prices),
    st.builds(outside_quote, sides, quantities, prices),
    st.sampled_from([outside_quote(side, 0, 0) for side in Side]),
    st.builds(outside_trade, sides, st.integers(1, 12), prices),
    st.sampled_from([outside_clear(), outside_status(1), outside_status(0)]),
)
placed = st.one_of(
    st.builds(
        lambda *terms, mode, flags: limit(0, *terms, stp_mode=mode, flags=flags),
        accounts,
        sides,
        quantities,
        prices,
        st.sampled_from(TimeInForce),
        mode=st.sampled_from(StpMode),
        flags=models,
    ),
    st.builds(
        lambda *terms, show, flags: limit(0, *terms, display_lots=show, flags=flags),
        accounts,
        sides,
        quantities,
        prices,
        show=st.integers(1, 2),
        flags=models,
    ),
    st.builds(
        lambda *terms, flags: maker_only(0, *terms, flags=flags), accounts, sides, quantities, prices, flags=models
    ),
    st.builds(lambda *terms: market(0, *terms), accounts, sides, quantities, st.sampled_from([0, 0, 250])),
    st.builds(lambda *terms: by_quote(0, *terms), accounts, sides, st.integers(1, 600)),
    st.builds(lambda *terms: stop_market(0, *terms), accounts, sides, quantities, prices),
    st.builds(lambda *terms: stop_limit(0, *terms), accounts, sides, quantities, prices, prices),
    st.builds(
        lambda account, side, qty, peg: limit(0, account, side, qty, 0, peg_type=peg, peg_offset=qty % 2),
        accounts,
        sides,
        quantities,
        st.sampled_from([PegType.PRIMARY_PEG, PegType.MARKET_PEG]),
    ),
)
pairs_placed = st.builds(
    lambda account, side, qty, far, stop: pair(
        maker_only(0, account, side, qty, far), stop_limit(0, account, side, qty, stop, stop)
    ),
    accounts,
    sides,
    quantities,
    prices,
    prices,
)
steps = st.one_of(
    venue,
    venue,
    placed,
    placed,
    pairs_placed,
    st.tuples(st.just("replace"), back, placed),
    st.tuples(st.just("cancel"), back, accounts),
    st.tuples(st.just("amend"), back, accounts, quantities),
    st.builds(cancel_all, accounts),
)


def written(drawn: Sequence[Any]) -> list[list[Row]]:
    """Order ids count up; what names an order names a young one. A pair stays together."""
    groups: list[list[Row]] = []
    last = 0
    for step in drawn:
        if isinstance(step, tuple) and isinstance(step[0], str):
            named = max(1, last - step[1])
            if step[0] == "cancel":
                groups.append([cancel(named, step[2])])
            elif step[0] == "amend":
                groups.append([amend(named, step[2], step[3])])
            else:
                last += 1
                groups.append([replace(named, step[2] | {"order_id": last})])
            continue
        group = []
        for row in step if isinstance(step, tuple) else (step,):
            if "order_id" in row:
                last += 1
                row = row | {"order_id": last}
            group.append(row)
        groups.append(group)
    return groups


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(drawn=st.lists(steps, max_size=40), cuts=st.sets(st.integers(0, 40)))
def test_found_worlds(drawn: list[Any], cuts: set[int]) -> None:
    """`cuts`: after these steps the batch ends, and the book goes on from its snapshot."""
    book, oracle = both(OPEN, 12)
    gathered: list[Row] = []
    groups = written(drawn)
    for place, group in enumerate(groups):
        gathered += group
        if place in cuts or place == len(groups) - 1:
            batch, gathered = commands(gathered), []
            assert_same_events(book, oracle, batch)
            assert_same_state(book, oracle)
            assert_sound(oracle)
            restored = Book.restore(OPEN, SYMBOL_ID, book.snapshot())
            assert restored.digest() == book.digest()
            book = restored


def test_a_flow_holds_what_it_means_to() -> None:
    flow = flow_of("narrow", 17, 4000)
    assert flow.dtype == COMMAND
    assert set(flow["kind"].tolist()) == set(CommandKind)
    assert {OrdType.STOP_LOSS, OrdType.LIMIT_MAKER} <= set(flow["ord_type"].tolist())
