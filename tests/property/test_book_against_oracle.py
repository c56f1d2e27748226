"""The optimised book tells, event for event, what the oracle tells: small cases all, large ones at random.

Case ids are those of market/book/SEMANTICS.md.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from market.book import Book
from market.enums import (
    CancelRestriction,
    CommandFlag,
    CommandKind,
    EventKind,
    ListRole,
    OrdType,
    PegType,
    Side,
    StpMode,
    TimeInForce,
)
from market.instrument import PPM, Instrument
from market.reasons import Reason
from market.records import COMMAND
from tests.reference.build import (
    EXTREME,
    HOSTILE_BYTES,
    HOSTILE_FEES,
    HOSTILE_INTS,
    REALISTIC,
    SYMBOL_ID,
    TINY,
    amend,
    by_quote,
    cancel,
    cancel_all,
    commands,
    difference,
    edges,
    event_array,
    limit,
    maker_only,
    market,
    pair,
    random_flow,
    replace,
    stop_limit,
    stop_market,
)
from tests.reference.naive_book import Event, NaiveBook, Order

Row = dict[str, Any]
BUY, SELL = Side
GTC, IOC, FOK = TimeInForce

OPEN = msgspec.structs.replace(
    TINY,
    min_qty_lots=1,
    min_notional_units=1,
    bid_multiplier_up_ppm=20 * PPM,
    bid_multiplier_down_ppm=0,
    ask_multiplier_up_ppm=20 * PPM,
    ask_multiplier_down_ppm=0,
)
"""`TINY` without the filters that most alphabets do not mean to meet."""


def assert_same_state(book: Book, oracle: NaiveBook) -> None:
    for side in Side:
        levels = oracle.depth(side)
        assert book.depth(side, 0).tolist() == levels
        assert book.depth(side, 2).tolist() == levels[:2]
    live = book.orders()
    names = [name for name in live.dtype.names or () if name != "store"]
    assert live[names].tolist() == [tuple(state_of(one)[name] for name in names) for one in oracle.orders()]
    assert book.outside().tolist() == oracle.outside()
    ids = (oracle.exec_id, oracle.trade_id, oracle.prevented_id, oracle.last_price)
    assert (book.exec_id, book.trade_id, book.prevented_id, book.last_price_ticks) == ids
    assert book.halted == oracle.halted


def state_of(order: Order) -> dict[str, int]:
    """As RESTING tells it: what only a waiting order needs is 0 once it has triggered."""
    state = {field.name: getattr(order, field.name) for field in fields(Order) if field.name != "other"}
    waiting = ("stop_price_ticks", "budget_units", "peg_type", "peg_offset", "trailing_bips", "taker_fee_ppm")
    state |= {name: state[name] if order.waits else 0 for name in waiting}
    state["extreme_ticks"] = order.extreme_ticks if order.waits else 0
    state["hidden_lots"] = 0 if order.waits else order.leaves_lots - order.visible_lots
    state["other_id"] = order.other_id
    return state


def assert_same_events(book: Book, oracle: NaiveBook, batch: np.ndarray) -> np.ndarray:
    got = book.apply(batch)
    wrong = difference(batch, got, event_array(oracle.apply(batch)))
    assert not wrong, wrong
    return got


def both(instrument: Instrument, max_live_orders: int = 1000) -> tuple[Book, NaiveBook]:
    return (
        Book(instrument, SYMBOL_ID, max_live_orders=max_live_orders),
        NaiveBook(instrument, SYMBOL_ID, max_live_orders=max_live_orders),
    )


# -- every short sequence -----------------------------------------------------------------------------------
#
# A letter is a command. NEW and REPLACE get fresh order ids; a negative order_id or target_id names the order
# of that command of the sequence (-1: the first). All sequences of an alphabet run one after the other in one
# book: CANCEL_ALL of both accounts ends each, which also tells every resting order, its place and its leaves.

LENGTH = 4
ACCOUNTS = (1, 2)
CHUNK = 1 << 14
ID_STRIDE = 16


@dataclass(frozen=True)
class Alphabet:
    name: str
    letters: list[Row]
    instrument: Instrument = OPEN
    max_live_orders: int = 1000
    length: int = LENGTH
    opening: Sequence[Row] = ()

    @property
    def sequences(self) -> int:
        return int(len(self.letters) ** self.length)


def traded_at(price: int) -> list[Row]:
    """Sets the last price, from whatever it was, and leaves an empty book."""
    return [limit(0, 3, SELL, 1, price), limit(0, 4, BUY, 1, price, IOC)]


def new(account: int, side: Side, qty: int, price: int, tif: TimeInForce = GTC, **more: Any) -> Row:
    return limit(0, account, side, qty, price, tif, **more)


LADDER = [new(1, SELL, 1, 10), new(1, SELL, 2, 10), new(1, SELL, 2, 11), new(1, BUY, 2, 10)]
TYPES = [
    *LADDER,
    new(2, BUY, 2, 10, IOC),
    new(2, BUY, 3, 11, IOC),
    new(2, BUY, 3, 10, FOK),
    new(2, BUY, 3, 11, FOK),
    maker_only(0, 2, BUY, 2, 10, time_in_force=IOC),
    maker_only(0, 2, SELL, 1, 10),
    market(0, 2, BUY, 3, time_in_force=FOK),
    market(0, 2, SELL, 2),
]
BY_QUOTE = [
    *LADDER,
    by_quote(0, 2, BUY, 100),
    by_quote(0, 2, BUY, 320),
    by_quote(0, 2, BUY, 320, cap=2),
    by_quote(0, 2, BUY, 99, cap=1),
    by_quote(0, 2, SELL, 209),
    market(0, 2, BUY, 3, budget=209),
    market(0, 2, BUY, 2, budget=200),
    market(0, 2, SELL, 2, budget=1),
]
CANCELS = [
    *(new(account, side, 2, 10) for account in ACCOUNTS for side in Side),
    new(1, SELL, 1, 11),
    cancel(-1, 1),
    cancel(-1, 2),
    cancel(-2, 1),
    cancel(-3, 2),
    cancel_all(1),
    cancel_all(2),
    limit(-1, 2, SELL, 1, 10),
]
AMENDS = [
    new(1, SELL, 3, 10),
    new(1, SELL, 2, 10),
    new(2, SELL, 3, 10),
    new(2, BUY, 1, 10),
    new(2, BUY, 4, 10, IOC),
    new(1, BUY, 1, 11, stp_mode=StpMode.DECREMENT),
    *(amend(-1, 1, total) for total in (0, 1, 2, 3)),
    amend(-2, 1, 1),
    amend(-2, 2, 2),
]
REPLACES = [
    new(1, SELL, 2, 10),
    new(2, SELL, 1, 10),
    new(2, BUY, 1, 11),
    replace(-1, new(1, SELL, 2, 10)),
    replace(-1, new(1, SELL, 3, 11), 2),
    replace(-1, new(1, BUY, 2, 10), 1),
    replace(-2, new(2, BUY, 2, 10, IOC)),
    replace(-1, new(1, BUY, 2, 10, FOK)),
    replace(-1, maker_only(0, 1, BUY, 1, 11)),
    replace(-1, market(0, 1, BUY, 2)),
    replace(-1, limit(-1, 1, SELL, 1, 10)),
    replace(-2, new(1, SELL, 11, 10, stp_mode=StpMode.EXPIRE_BOTH)),
]
FULL = [
    new(1, SELL, 1, 10),
    new(1, SELL, 1, 11),
    new(2, SELL, 2, 10),
    new(2, BUY, 2, 10),
    new(2, BUY, 3, 10, IOC),
    maker_only(0, 2, BUY, 1, 9),
    market(0, 2, BUY, 1),
    replace(-1, new(1, SELL, 2, 11)),
    replace(-1, maker_only(0, 1, BUY, 1, 9, time_in_force=FOK)),
    cancel(-1, 1),
]
FILTERS = [
    *(new(1, SELL, qty, price) for qty, price in ((4, 5), (3, 10), (4, 11), (4, 2))),
    *(new(2, BUY, qty, price) for qty, price in ((4, 5), (3, 15), (4, 16), (1, 2), (10, 15))),
    market(0, 2, BUY, 1),
    by_quote(0, 2, BUY, 49),
    amend(-1, 1, 2),
    amend(-1, 1, 1),
]


def self_trades(mode: StpMode) -> list[Row]:
    """A taker of account 1 in `mode` meets orders of its own and of account 2."""
    return [
        new(1, SELL, 2, 10),
        new(2, SELL, 1, 10),
        new(1, SELL, 1, 11),
        new(2, BUY, 2, 10),
        new(1, BUY, 3, 11, stp_mode=mode),
        new(1, BUY, 2, 10, IOC, stp_mode=mode),
        new(1, BUY, 2, 11, FOK, stp_mode=mode),
        market(0, 1, BUY, 3, stp_mode=mode),
        market(0, 1, BUY, 3, budget=100, stp_mode=mode),
        by_quote(0, 1, BUY, 210, stp_mode=mode),
        by_quote(0, 1, BUY, 210, cap=3, stp_mode=mode),
    ]


STOPS = [
    new(2, SELL, 2, 11),
    new(2, BUY, 1, 11),
    new(2, BUY, 1, 9),
    new(2, SELL, 2, 9),
    stop_market(0, 1, BUY, 2, 11),
    stop_market(0, 1, SELL, 1, 9),
    stop_market(0, 1, BUY, 1, 9, profit=True, quote_units=100),
    stop_limit(0, 1, SELL, 2, 10, 11, profit=True),
    stop_limit(0, 2, BUY, 2, 11, 11, time_in_force=FOK),
]
STOP_COMMANDS = [
    new(2, SELL, 2, 11),
    new(2, BUY, 1, 11),
    stop_limit(0, 1, BUY, 3, 12, 11),
    stop_limit(0, 1, SELL, 3, 10, 11, profit=True, time_in_force=IOC),
    amend(-1, 1, 1),
    cancel(-2, 1),
    cancel_all(1),
    replace(-1, stop_market(0, 1, BUY, 1, 11)),
    replace(-1, new(1, SELL, 1, 11), flags=CommandFlag.STOP_ON_FAILURE),
]
TRAILING_MARKET = msgspec.structs.replace(OPEN, max_trailing_above_bips=9999, max_trailing_below_bips=9999)
TRAILING = [
    new(2, SELL, 1, 13),
    new(2, BUY, 1, 13),
    new(2, BUY, 1, 11),
    new(2, SELL, 1, 11),
    stop_market(0, 1, SELL, 1, 0, trailing_bips=1500),
    stop_market(0, 1, BUY, 1, 0, trailing_bips=1000),
    stop_limit(0, 1, SELL, 1, 10, 12, profit=True, trailing_bips=1000),
    stop_limit(0, 1, BUY, 1, 13, 11, trailing_bips=1000),
]
ICEBERGS = [
    new(1, SELL, 4, 10, display_lots=1),
    new(1, SELL, 3, 10, display_lots=2),
    new(2, SELL, 1, 10),
    new(2, BUY, 3, 10),
    new(2, BUY, 5, 10, FOK),
    market(0, 2, BUY, 4, budget=300),
    new(1, BUY, 2, 10, IOC, stp_mode=StpMode.DECREMENT),
    new(2, BUY, 2, 10, FOK, stp_mode=StpMode.EXPIRE_TAKER),
    amend(-1, 1, 2),
    cancel(-2, 1),
]
_SELL_PAIR = pair(maker_only(0, 1, SELL, 2, 12), stop_limit(0, 1, SELL, 2, 9, 9))
_BUY_PAIR = pair(stop_market(0, 1, BUY, 2, 11), stop_limit(0, 1, BUY, 2, 9, 9, profit=True))
PAIRS = [
    *_SELL_PAIR,
    new(2, BUY, 1, 12),
    new(2, SELL, 1, 9),
    new(2, BUY, 1, 9),
    new(1, BUY, 3, 12, IOC, stp_mode=StpMode.DECREMENT),
    new(1, BUY, 1, 12, stp_mode=StpMode.EXPIRE_MAKER),
]
PAIR_COMMANDS = [
    *_SELL_PAIR,
    cancel(-1, 1),
    cancel(-2, 1, cancel_restriction=CancelRestriction.ONLY_NEW),
    amend(-2, 1, 1),
    replace(-1, new(1, SELL, 1, 12), flags=CommandFlag.ALLOW_FAILURE),
    replace(-2, maker_only(0, 1, BUY, 1, 12)),
]
PAIRS_OF_STOPS = [
    *_BUY_PAIR,
    new(2, SELL, 1, 11),
    new(2, BUY, 1, 11),
    new(2, SELL, 1, 9),
    new(2, BUY, 1, 9),
    cancel_all(1),
]
PEGS = [
    new(1, SELL, 2, 11),
    new(1, SELL, 1, 12),
    new(2, BUY, 2, 10),
    new(2, BUY, 1, 0, peg_type=PegType.PRIMARY_PEG),
    new(2, BUY, 2, 13, peg_type=PegType.MARKET_PEG, peg_offset=1, quote_units=230),
    maker_only(0, 1, SELL, 1, 0, peg_type=PegType.PRIMARY_PEG, peg_offset=1),
    stop_limit(0, 1, SELL, 1, 0, 11, profit=True, peg_type=PegType.MARKET_PEG),
    new(2, BUY, 1, 11),
    replace(-1, new(1, SELL, 1, 0, peg_type=PegType.PRIMARY_PEG)),
]
RESTRICTED = [
    new(1, SELL, 3, 10),
    new(1, SELL, 2, 10, stp_mode=StpMode.DECREMENT),
    new(1, BUY, 1, 10, stp_mode=StpMode.DECREMENT),
    new(2, BUY, 1, 10),
    cancel(-1, 1, cancel_restriction=CancelRestriction.ONLY_NEW),
    cancel(-1, 1, cancel_restriction=CancelRestriction.ONLY_PARTIALLY_FILLED),
    *(
        replace(-1, new(1, BUY, 1, 9), flags=flags, cancel_restriction=CancelRestriction.ONLY_NEW)
        for flags in (0, CommandFlag.STOP_ON_FAILURE, CommandFlag.ALLOW_FAILURE)
    ),
    replace(-1, maker_only(0, 1, BUY, 1, 10), flags=CommandFlag.STOP_ON_FAILURE),
]

ALPHABETS = [
    Alphabet("stops", STOPS, opening=traded_at(10)),
    Alphabet("stop_commands", STOP_COMMANDS, opening=traded_at(10)),
    Alphabet("trailing", TRAILING, TRAILING_MARKET, length=5, opening=traded_at(12)),
    Alphabet("icebergs", ICEBERGS),
    Alphabet("pairs", PAIRS, length=5, opening=traded_at(10)),
    Alphabet("pair_commands", PAIR_COMMANDS, opening=traded_at(10)),
    Alphabet("pairs_of_stops", PAIRS_OF_STOPS, length=5, opening=traded_at(10)),
    Alphabet("pegs", PEGS, opening=traded_at(10)),
    Alphabet("restricted", RESTRICTED),
    Alphabet(
        "limit",
        [new(a, s, q, p) for a in ACCOUNTS for s in Side for q in (1, 2) for p in (10, 11)],
    ),
    Alphabet("types", TYPES),
    Alphabet("by_quote", BY_QUOTE),
    Alphabet("cancel", CANCELS),
    Alphabet("amend", AMENDS),
    Alphabet("replace", REPLACES),
    Alphabet("full", FULL, max_live_orders=2),
    Alphabet("filters", FILTERS, instrument=TINY),
    *(Alphabet(f"stp_{mode.name.lower()}", self_trades(mode)) for mode in StpMode if mode != StpMode.TRANSFER),
    Alphabet("stp_transfer", self_trades(StpMode.TRANSFER), length=3),
]


def written_out(letters: np.ndarray, chosen: np.ndarray, base: int, opening: Sequence[Row] = ()) -> np.ndarray:
    """The commands of the sequences `chosen` (a row of places in `letters` each), order ids above `base`.

    Before each go the orders of `opening`, of other accounts, which leave nothing but a last price.
    """
    count, length = chosen.shape
    batch = np.zeros((count, len(opening) + length + len(ACCOUNTS)), COMMAND)
    batch[:, : len(opening)] = commands(opening)
    batch[:, len(opening) : len(opening) + length] = letters[chosen]
    batch[:, len(opening) + length :] = commands(cancel_all(account) for account in ACCOUNTS)
    first = base + np.arange(count)[:, None] * ID_STRIDE
    places = np.arange(len(opening) + length + len(ACCOUNTS)) - len(opening) + 1
    places[: len(opening)] += ID_STRIDE - 1
    for name in ("order_id", "target_id"):
        batch[name] = np.where(batch[name] < 0, first - batch[name], batch[name])
    placing = (batch["kind"] == CommandKind.NEW) | (batch["kind"] == CommandKind.REPLACE)
    batch["order_id"] = np.where(placing & (batch["order_id"] == 0), first + places, batch["order_id"])
    return batch.reshape(-1)


def every(letters: int, length: int) -> np.ndarray:
    return np.indices((letters,) * length).reshape(length, -1).T


@pytest.mark.parametrize("alphabet", ALPHABETS, ids=lambda a: f"{a.name}-{a.sequences}")
def test_every_sequence_of_four(alphabet: Alphabet) -> None:
    """Each sequence of four commands begins with every shorter one."""
    book, oracle = both(alphabet.instrument, alphabet.max_live_orders)
    letters = commands(alphabet.letters)
    sequences = every(len(letters), alphabet.length)
    for start in range(0, len(sequences), CHUNK):
        batch = written_out(letters, sequences[start : start + CHUNK], start * ID_STRIDE, alphabet.opening)
        assert_same_events(book, oracle, batch)
    assert_same_state(book, oracle)


def test_the_number_of_sequences() -> None:
    assert sum(alphabet.sequences for alphabet in ALPHABETS) == 390_779


@pytest.mark.parametrize("alphabet", ALPHABETS, ids=lambda a: a.name)
def test_every_pair_in_a_new_book_and_halted_between(alphabet: Alphabet) -> None:
    """R1; and the first commands of a book, which no other sequence went before (G7: last_price 0)."""
    letters = commands(alphabet.letters)
    for two in every(len(letters), 2):
        batch = written_out(letters, two[None, :], 0)[:2]
        book, oracle = both(alphabet.instrument, alphabet.max_live_orders)
        assert_same_events(book, oracle, batch[:1])
        assert_same_state(book, oracle)
        book.halted = oracle.halted = bool((two[0] + two[1]) % 2)
        assert_same_events(book, oracle, batch[1:])
        assert_same_state(book, oracle)


# -- large random sequences ---------------------------------------------------------------------------------


class Tally:
    """What events alone say of the open orders; checks that they add up. It knows nothing of matching."""

    def __init__(self) -> None:
        self.open: dict[int, dict[str, int]] = {}
        self.exec_id = 0
        self.trade_id = 0
        self.prevented_id = 0

    def add(self, events: np.ndarray) -> None:
        for one in (Event._make(row)._asdict() for row in events.tolist()):
            # A command of the outside takes a number that no event carries (O0).
            assert one["exec_id"] > self.exec_id
            self.exec_id = one["exec_id"]
            kind = one["kind"]
            if kind == EventKind.ACCEPTED:
                assert one["order_id"] not in self.open
                assert one["leaves_lots"] == one["qty_lots"]
                self.open[one["order_id"]] = one | {"total": one["qty_lots"], "gone": 0}
            elif kind in (EventKind.TRADE, EventKind.PREVENTED):
                self._add_match(one)
            elif kind in (EventKind.TRIGGERED, EventKind.TRACKING):
                self._add_step(one)
            elif kind != EventKind.REJECTED:
                self._add_own(one)

    def _add_match(self, one: dict[str, int]) -> None:
        taker, maker = self.open[one["order_id"]], self.open[one["maker_order_id"]]
        trade = one["kind"] == EventKind.TRADE
        self.trade_id += trade
        self.prevented_id += not trade
        assert one["trade_id"] == (self.trade_id if trade else self.prevented_id)
        assert one["qty_lots"] > 0 or not trade
        assert (taker["account"], maker["account"]) == (one["account"], one["maker_account"])
        assert one["price_ticks"] == maker["price_ticks"]
        assert taker["side"] == one["side"] != maker["side"]
        if taker["ord_type"] in (OrdType.LIMIT, OrdType.STOP_LOSS_LIMIT, OrdType.TAKE_PROFIT_LIMIT):
            gain = taker["price_ticks"] - one["price_ticks"]
            assert gain >= 0 if taker["side"] == BUY else gain <= 0
        for order, leaves in ((taker, one["leaves_lots"]), (maker, one["maker_leaves_lots"])):
            by_quote = order["flags"] & CommandFlag.BY_QUOTE
            if by_quote and order["total"] == 0:
                assert leaves == 0
                continue
            order["gone"] += one["qty_lots"]
            assert order["gone"] + leaves == order["total"]
            order["leaves_lots"] = leaves
            if trade and leaves == 0 and not by_quote:
                del self.open[order["order_id"]]

    def _add_step(self, one: dict[str, int]) -> None:
        order = self.open[one["order_id"]]
        assert order["ord_type"] >= OrdType.STOP_LOSS
        assert (one["qty_lots"], one["leaves_lots"]) == (order["total"], order["leaves_lots"])
        assert order["gone"] == 0
        assert not order.get("triggered")
        if one["kind"] == EventKind.TRIGGERED:
            order["triggered"], order["price_ticks"] = 1, one["price_ticks"]

    def _add_own(self, one: dict[str, int]) -> None:
        order = self.open[one["order_id"]]
        copied = ("account", "side", "ord_type", "time_in_force", "stp_mode", "flags", "price_ticks")
        assert {name: one[name] for name in copied} == {name: order[name] for name in copied}
        if one["kind"] == EventKind.AMENDED:
            assert order["gone"] < one["qty_lots"] < order["total"]
            order["total"], order["leaves_lots"] = one["qty_lots"], one["qty_lots"] - order["gone"]
        else:
            del self.open[one["order_id"]]
        assert one["qty_lots"] == order["total"]
        assert one["leaves_lots"] == order["leaves_lots"]
        assert one["trade_id"] == (self.prevented_id if one["reason"] == Reason.SELF_TRADE_PREVENTION else 0)

    def check(self, book: Book) -> None:
        """G5; ids unique; a level is the sum of its orders."""
        resting = book.orders()
        assert sorted(resting["order_id"].tolist()) == sorted(self.open)
        for row in resting:
            order = self.open[int(row["order_id"])]
            assert all(row[name] == order[name] for name in ("account", "side", "price_ticks"))
            assert order["leaves_lots"] > 0
        for side in Side:
            levels: dict[int, list[int]] = {}
            for row in resting[resting["store"] == side]:
                assert self.open[int(row["order_id"])]["leaves_lots"] == row["leaves_lots"]
                shown = int(row["leaves_lots"] - row["hidden_lots"])
                levels.setdefault(int(row["price_ticks"]), []).append(shown)
            expected = [(price, sum(leaves), len(leaves)) for price, leaves in levels.items()]
            assert book.depth(side, 0).tolist() == sorted(expected, reverse=side == BUY)
        bids, asks = book.depth(BUY, 1), book.depth(SELL, 1)
        assert not len(bids) or not len(asks) or bids[0]["price_ticks"] < asks[0]["price_ticks"]


@dataclass(frozen=True)
class Market:
    name: str
    instrument: Instrument
    prices: list[int]
    quantities: list[int]
    max_live_orders: int = 1000

    def flow(self, seed: int, count: int, hostile: float, special: float = 0.3, pairs: float = 0.0) -> np.ndarray:
        """Without `pairs` it may be cut anywhere."""
        return random_flow(
            seed,
            count,
            self.instrument,
            self.prices,
            self.quantities,
            hostile,
            special=special,
            pairs=pairs,
        )


MARKETS = [
    Market("tiny", TINY, list(range(1, 21)), list(range(1, 11))),
    Market("narrow", OPEN, [9, 10, 11, 12], [1, 2, 3], max_live_orders=12),
    Market("realistic", REALISTIC, list(range(6_499_900, 6_500_100)), [100, 500, 1000, 1001, 5000]),
    Market("wide", REALISTIC, list(range(3_000_000, 9_000_000, 4999)), [200, 1000, 100_000]),
    Market(
        "extreme",
        EXTREME,
        [1, 2, 3, 1 << 31, 1 << 32, 1 << 60, (1 << 61) - 1, 1 << 61],
        [1, 2, 3, 1 << 31, 1 << 57, (1 << 58) - 1, 1 << 58],
        max_live_orders=16,
    ),
]


def splits(rng: np.random.Generator, batch: np.ndarray) -> list[np.ndarray]:
    """The same commands in batches of random sizes, small and large."""
    sizes = rng.choice((0, 1, 2, 7, 64, 500), len(batch))
    edges = [at for at in np.cumsum(sizes) if at < len(batch)]
    return np.split(batch, [at + int(batch["list_role"][at - 1] == ListRole.OCO_FIRST) for at in edges])


@pytest.mark.parametrize("hostile", [0.0, 0.25])
@pytest.mark.parametrize("at", MARKETS, ids=lambda at: at.name)
def test_random_flows_in_random_batches(at: Market, hostile: float) -> None:
    book, oracle = both(at.instrument, at.max_live_orders)
    tally = Tally()
    rng = np.random.default_rng(7)
    for number, batch in enumerate(splits(rng, at.flow(11, 20_000, hostile, pairs=0.05))):
        tally.add(assert_same_events(book, oracle, batch))
        if number % 5 == 0:
            assert_same_state(book, oracle)
            tally.check(book)
        if number % 50 == 49:
            book.halted = oracle.halted = not book.halted and bool(rng.random() < 0.2)
    assert_same_state(book, oracle)
    assert tally.trade_id > 100


@pytest.mark.parametrize("at", MARKETS, ids=lambda at: at.name)
def test_batches_of_one_tell_the_same(at: Market) -> None:
    flow = at.flow(5, 3000, 0.1)
    whole, _ = both(at.instrument, at.max_live_orders)
    pieces, _ = both(at.instrument, at.max_live_orders)

    expected = whole.apply(flow)
    got = np.concatenate([pieces.apply(flow[i : i + 1]) for i in range(len(flow))])

    assert not got["command_index"].any()
    got["command_index"] = expected["command_index"]
    assert not difference(flow, got, expected)
    assert pieces.digest() == whole.digest()


TERMS: list[Row] = [
    *({"ord_type": ord_type} for ord_type in OrdType if ord_type >= OrdType.STOP_LOSS),
    {"ord_type": OrdType.STOP_LOSS, "trailing_bips": 1000},
    {"ord_type": OrdType.TAKE_PROFIT_LIMIT, "trailing_bips": 2000},
    {"ord_type": OrdType.STOP_LOSS_LIMIT, "peg_type": PegType.MARKET_PEG},
    {"display_lots": 2, "time_in_force": GTC},
    {"peg_type": PegType.PRIMARY_PEG, "time_in_force": GTC},
    {"peg_type": PegType.MARKET_PEG, "peg_offset": 1},
    {"flags": CommandFlag.ALLOW_FAILURE},
    {"flags": CommandFlag.STOP_ON_FAILURE, "cancel_restriction": CancelRestriction.ONLY_NEW},
]


class BookAgainstOracle(RuleBasedStateMachine):
    """Rules write commands; `apply` gives what has gathered to both, so that batches split anywhere."""

    instrument = TINY

    def __init__(self) -> None:
        super().__init__()
        self.book, self.oracle = both(self.instrument, 6)
        self.tally = Tally()
        self.rows: list[Row] = []
        self.last_id = 0

    sides = st.sampled_from(Side)
    accounts = st.integers(1, 3)
    prices = st.integers(8, 12)
    quantities = st.integers(3, 6)
    modes = st.sampled_from(StpMode)
    back = st.integers(0, 8)
    overrides = st.one_of(
        st.tuples(
            st.sampled_from(("kind", "side", "ord_type", "time_in_force", "stp_mode", "flags")),
            st.sampled_from(HOSTILE_BYTES),
        ),
        st.tuples(st.sampled_from(("maker_fee_ppm", "taker_fee_ppm")), st.sampled_from(HOSTILE_FEES)),
        st.tuples(
            st.sampled_from(("order_id", "target_id", "price_ticks", "qty_lots", "quote_units", "expected_leaves")),
            st.sampled_from((*HOSTILE_INTS, *edges(TINY))),
        ),
    )

    def next_id(self) -> int:
        self.last_id += 1
        return self.last_id

    def named(self, back: int) -> int:
        return max(1, self.last_id - back)

    @initialize(halted=st.sampled_from((False, False, False, True)))
    def open_or_halted(self, halted: bool) -> None:
        self.book.halted = self.oracle.halted = halted

    @rule(
        account=accounts,
        side=sides,
        qty=quantities,
        price=prices,
        tif=st.sampled_from(TimeInForce),
        mode=modes,
    )
    def place(self, account: int, side: Side, qty: int, price: int, tif: int, mode: int) -> None:
        self.rows.append(limit(self.next_id(), account, side, qty, price, tif, stp_mode=mode))

    @rule(account=accounts, side=sides, qty=quantities, price=prices)
    def place_maker_only(self, account: int, side: Side, qty: int, price: int) -> None:
        self.rows.append(maker_only(self.next_id(), account, side, qty, price))

    @rule(
        account=accounts,
        side=sides,
        qty=quantities,
        budget=st.integers(0, 500),
        mode=modes,
        quote=st.booleans(),
    )
    def take(self, account: int, side: Side, qty: int, budget: int, mode: int, quote: bool) -> None:
        order = by_quote if quote else market
        sizes = (budget, qty) if quote else (qty, budget)
        self.rows.append(order(self.next_id(), account, side, *sizes, stp_mode=mode))

    @rule(account=accounts, side=sides, amount=st.integers(0, 1600), mode=modes)
    def take_by_quote(self, account: int, side: Side, amount: int, mode: int) -> None:
        self.rows.append(by_quote(self.next_id(), account, side, amount, stp_mode=mode))

    @rule(account=accounts, back=back)
    def cancel(self, account: int, back: int) -> None:
        self.rows.append(cancel(self.named(back), account))

    @rule(account=accounts, back=back, total=st.integers(0, 6))
    def amend(self, account: int, back: int, total: int) -> None:
        self.rows.append(amend(self.named(back), account, total))

    @rule(account=accounts)
    def cancel_all(self, account: int) -> None:
        self.rows.append(cancel_all(account))

    @rule(back=back, expected=st.integers(-1, 6))
    def make_last_a_replace(self, back: int, expected: int) -> None:
        if self.rows and "price_ticks" in self.rows[-1]:  # it places an order
            target = max(1, self.last_id - 1 - back)
            self.rows[-1] = replace(target, self.rows[-1], expected)

    @rule(terms=st.sampled_from(TERMS), stop=st.integers(0, 12))
    def make_last_special(self, terms: Row, stop: int) -> None:
        if self.rows and "price_ticks" in self.rows[-1]:
            is_stop = terms.get("ord_type", 0) >= OrdType.STOP_LOSS
            self.rows[-1] = self.rows[-1] | terms | ({"stop_price_ticks": stop} if is_stop else {})

    @rule(account=accounts, side=sides, qty=quantities, far=prices, stop=prices, swapped=st.booleans())
    def place_pair(self, account: int, side: Side, qty: int, far: int, stop: int, swapped: bool) -> None:
        legs = (
            maker_only(self.next_id(), account, side, qty, far),
            stop_limit(self.next_id(), account, side, qty, stop, stop),
        )
        self.rows += pair(*(legs[::-1] if swapped else legs))

    @rule(override=overrides)
    def make_last_hostile(self, override: tuple[str, int]) -> None:
        if self.rows:
            self.rows[-1] = self.rows[-1] | dict([override])

    @rule()
    def apply(self) -> None:
        batch, self.rows = commands(self.rows), []
        self.tally.add(assert_same_events(self.book, self.oracle, batch))
        assert_same_state(self.book, self.oracle)
        self.tally.check(self.book)

    @rule()
    def restart(self) -> None:
        digest = self.book.digest()
        self.book = Book.restore(self.instrument, SYMBOL_ID, self.book.snapshot())
        assert self.book.digest() == digest

    @rule()
    def halt_or_resume(self) -> None:
        self.apply()
        self.book.halted = self.oracle.halted = not self.oracle.halted

    def teardown(self) -> None:
        self.apply()


TestBookAgainstOracle = BookAgainstOracle.TestCase
TestBookAgainstOracle.settings = settings(
    max_examples=100,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


# -- snapshot, digest, growth -------------------------------------------------------------------------------


@pytest.mark.parametrize("at", MARKETS, ids=lambda at: at.name)
def test_every_cut_point_goes_on_the_same(at: Market) -> None:
    flow = at.flow(3, 250, 0.05)
    live, _ = both(at.instrument, at.max_live_orders)
    whole, _ = both(at.instrument, at.max_live_orders)
    expected = whole.apply(flow)
    for cut in range(len(flow) + 1):
        restored = Book.restore(at.instrument, SYMBOL_ID, live.snapshot())
        assert restored.digest() == live.digest()
        tail = expected[expected["command_index"] >= cut].copy()
        tail["command_index"] -= cut
        wrong = difference(flow[cut:], restored.apply(flow[cut:]), tail)
        assert not wrong, f"restored before command {cut}: {wrong}"
        assert restored.digest() == whole.digest()
        live.apply(flow[cut : cut + 1])


def test_a_snapshot_keeps_the_halt() -> None:
    book, _ = both(TINY)
    resumed = book.digest()
    book.halted = True
    assert Book.restore(TINY, SYMBOL_ID, book.snapshot()).halted
    assert book.digest() != resumed


def test_the_digest_sees_every_command_that_changes_the_book() -> None:
    """Two books that would tell different events later must not look equal."""
    states: dict[str, str] = {}
    prelude = [limit(1, 1, SELL, 4, 10), limit(2, 2, SELL, 4, 10)]
    cases: dict[str, Sequence[Row]] = {
        "nothing": [],
        "another order": [limit(3, 1, SELL, 4, 10)],
        "another price": [limit(3, 1, SELL, 4, 11)],
        "another quantity": [limit(3, 1, SELL, 5, 10)],
        "another owner": [limit(3, 2, SELL, 4, 10)],
        "another id": [limit(4, 1, SELL, 4, 10)],
        "another side": [limit(3, 1, BUY, 4, 9)],
        "another mode": [limit(3, 1, SELL, 4, 10, stp_mode=StpMode.DECREMENT)],
        "other flags": [limit(3, 1, SELL, 4, 10, flags=CommandFlag.BY_CLIENT_ORDER_ID)],
        "another fee": [limit(3, 1, SELL, 4, 10, maker_fee_ppm=1)],
        "another type": [maker_only(3, 1, SELL, 4, 10)],
        "amended": [amend(1, 1, 3)],
        "another place": [cancel(1, 1), limit(1, 1, SELL, 4, 10)],
        "refused (G2)": [cancel(9, 1)],
        "traded": [limit(3, 3, BUY, 2, 10)],
        "an iceberg": [limit(3, 1, SELL, 4, 10, display_lots=2)],
        "another iceberg": [limit(3, 1, SELL, 4, 10, display_lots=3)],
        "a stop": [stop_market(3, 1, SELL, 4, 10)],
        "another stop": [stop_market(3, 1, SELL, 4, 11)],
        "another taker fee": [stop_market(3, 1, SELL, 4, 10, taker_fee_ppm=1)],
        "a budget": [stop_market(3, 1, BUY, 4, 10, quote_units=100)],
        "a trailing stop": [stop_market(3, 1, SELL, 4, 10, trailing_bips=100)],
        "another delta": [stop_market(3, 1, SELL, 4, 10, trailing_bips=200)],
        "tracking": [stop_market(3, 1, SELL, 4, 0, trailing_bips=200)],
        "a pegged stop": [stop_limit(3, 1, SELL, 4, 0, 10, peg_type=PegType.PRIMARY_PEG)],
        "another peg": [stop_limit(3, 1, SELL, 4, 0, 10, peg_type=PegType.MARKET_PEG)],
        "a pair": pair(maker_only(3, 1, SELL, 4, 11), stop_limit(4, 1, SELL, 4, 10, 9)),
        "two orders": [maker_only(3, 1, SELL, 4, 11), stop_limit(4, 1, SELL, 4, 10, 9)],
        "prevented": [limit(3, 1, BUY, 2, 10, stp_mode=StpMode.DECREMENT)],
    }
    for name, more in cases.items():
        book, _ = both(TINY)
        book.apply(commands([*prelude, *more]))
        states[name] = book.digest()
    assert len(set(states.values())) == len(states)


DIGEST_OF_A_FLOW = """
import zlib
from tests.property.test_book_against_oracle import MARKETS, both
for at in MARKETS:
    book, _ = both(at.instrument, at.max_live_orders)
    events = book.apply(at.flow(1, 4000, 0.05))
    print(book.digest(), zlib.crc32(events.tobytes()))
"""


def test_the_digest_does_not_depend_on_the_hash_seed() -> None:
    root = Path(__file__).parents[2]
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", DIGEST_OF_A_FLOW],
            cwd=root,
            env=os.environ | {"PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "4242")
    ]
    first, second = (run.communicate(timeout=120)[0] for run in runs)
    assert [run.returncode for run in runs] == [0, 0]
    assert first == second
    assert len(first.split()) == 2 * len(MARKETS)


def test_growth_to_many_orders_and_far_prices() -> None:
    """Thousands of live orders at thousands of prices far apart, then taken, canceled and placed again."""
    count = 6000
    flat = msgspec.structs.replace(
        REALISTIC,
        min_notional_units=1,
        bid_multiplier_up_ppm=10**9,
        bid_multiplier_down_ppm=0,
        ask_multiplier_up_ppm=10**9,
        ask_multiplier_down_ppm=0,
    )
    rng = np.random.default_rng(1)
    rows = np.zeros(count, COMMAND)
    rows["expected_leaves"] = -1
    rows["account"] = rng.integers(1, 50, count)
    rows["side"] = np.arange(count) % 2
    rows["qty_lots"] = rng.integers(1, 100, count)
    prices = 50_000_000 + np.where(rows["side"] == BUY, -1, 1) * rng.permutation(count) * 8009
    rows["price_ticks"] = prices
    book, oracle = both(flat, 1 << 20)
    empty = book.digest()
    for generation in range(3):
        rows["order_id"] = np.arange(count) + 1 + generation * count
        assert_same_events(book, oracle, rows)
        assert len(book.orders()) == count
        assert_same_state(book, oracle)
        restored = Book.restore(flat, SYMBOL_ID, book.snapshot())
        assert restored.digest() == book.digest() != empty
        book = restored
        sweeps = [market(10**9 + generation, 99, side, qty=12_000) for side in Side]
        tail = [cancel(int(i), int(a)) for i, a in rng.permutation(rows[["order_id", "account"]])[:2000]]
        ends = [cancel_all(account) for account in range(1, 50)]
        assert_same_events(book, oracle, commands(sweeps))
        assert_same_events(book, oracle, commands(tail))
        assert_same_state(book, oracle)
        assert_same_events(book, oracle, commands(ends))
        assert_same_state(book, oracle)
    assert len(book.orders()) == 0
