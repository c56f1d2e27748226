"""The matching engine by market tables: what rests, what comes in, what is told, what rests then.

Case ids are those of market/book/SEMANTICS.md. `told` writes an event as `KIND order REASON qty@price leaves
n`, a TRADE or PREVENTED as `KIND taker x maker qty@price leaves taker's/maker's`; here a resting order is
`leaves@price#id`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pytest

from market.book import BATCH_COMMANDS, Book, views
from market.book import kernel as compiled
from market.book.build import source_digest
from market.enums import CommandFlag, CommandKind, EventKind, OrdType, Side, StpMode, TimeInForce
from market.instrument import INT_LIMIT, PPM
from market.reasons import Reason
from market.records import COMMAND, EVENT
from tests.reference.build import (
    SYMBOL_ID,
    TINY,
    amend,
    by_quote,
    cancel,
    cancel_all,
    commands,
    limit,
    maker_only,
    market,
    replace,
    told,
)

Row = dict[str, Any]
BUY, SELL = Side
GTC, IOC, FOK = TimeInForce
ALICE, BOB, CAROL = 1, 2, 3
UNITS = 10
"""Quote units of one tick x lot in TINY and WIDE."""

WIDE = msgspec.structs.replace(
    TINY,
    max_price_ticks=INT_LIMIT - 1,
    min_qty_lots=1,
    max_qty_lots=1 << 40,
    market_max_qty_lots=1 << 40,
    min_notional_units=0,
    max_notional_units=INT_LIMIT - 1,
    bid_multiplier_up_ppm=PPM * PPM,
    bid_multiplier_down_ppm=0,
    ask_multiplier_up_ppm=PPM * PPM,
    ask_multiplier_down_ppm=0,
)
"""TINY without filters that matching would meet."""


def play(book: Book, *rows: Row) -> list[str]:
    return [told(event) for event in book.apply(commands(rows))]


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


def resting(book: Book) -> tuple[str, str]:
    """Bids and asks, each best first."""
    shown: list[list[str]] = [[], []]
    for one in book.orders():
        shown[one["side"]].append(f"{one['leaves_lots']}@{one['price_ticks']}#{one['order_id']}")
    return " ".join(shown[BUY]), " ".join(shown[SELL])


@dataclass(frozen=True)
class Case:
    ids: str
    rests: list[Row]
    comes: list[Row]
    events: str
    bids: str = ""
    asks: str = ""


def run(case: Case) -> None:
    book = Book(WIDE, SYMBOL_ID)
    play(book, *case.rests)
    assert play(book, *case.comes) == lines(case.events)
    assert resting(book) == (case.bids, case.asks)


ASKS = [limit(1, ALICE, SELL, 4, 100), limit(2, BOB, SELL, 3, 100), limit(3, ALICE, SELL, 5, 101)]
ALL_ASKS = "4@100#1 3@100#2 5@101#3"
BIDS = [limit(1, ALICE, BUY, 4, 100), limit(2, BOB, BUY, 3, 100), limit(3, ALICE, BUY, 5, 99)]
MATCHING = [
    Case("N1 N4 rests", [], [limit(1, ALICE, BUY, 4, 100)], "ACCEPTED 1 4@100 leaves 4", bids="4@100#1"),
    Case(
        "N2 N3 N4 G6 sweeps a level in order of time and rests with what is left",
        ASKS,
        [limit(9, CAROL, BUY, 9, 100)],
        """ACCEPTED 9 9@100 leaves 9
        TRADE 9 x 1 4@100 leaves 5/0
        TRADE 9 x 2 3@100 leaves 2/0""",
        bids="2@100#9",
        asks="5@101#3",
    ),
    Case(
        "N2 N3 G6 at the maker's price, the last maker partly",
        BIDS,
        [limit(9, CAROL, SELL, 8, 98)],
        """ACCEPTED 9 8@98 leaves 8
        TRADE 9 x 1 4@100 leaves 4/0
        TRADE 9 x 2 3@100 leaves 1/0
        TRADE 9 x 3 1@99 leaves 0/4""",
        bids="4@99#3",
    ),
    Case(
        "G5 a limit that only touches the other side trades; one tick away rests",
        ASKS,
        [limit(9, CAROL, BUY, 1, 100), limit(10, CAROL, BUY, 1, 99)],
        """ACCEPTED 9 1@100 leaves 1
        TRADE 9 x 1 1@100 leaves 0/3
        ACCEPTED 10 1@99 leaves 1""",
        bids="1@99#10",
        asks="3@100#1 3@100#2 5@101#3",
    ),
    Case(
        "N4 LIMIT_MAKER rests whatever its time in force",
        ASKS,
        [maker_only(9, CAROL, BUY, 1, 99, tif=IOC), maker_only(10, CAROL, BUY, 1, 99, tif=FOK)],
        """ACCEPTED 9 1@99 leaves 1
        ACCEPTED 10 1@99 leaves 1""",
        bids="1@99#9 1@99#10",
        asks=ALL_ASKS,
    ),
    Case(
        "N5 IOC",
        ASKS,
        [limit(9, CAROL, BUY, 9, 100, IOC)],
        """ACCEPTED 9 9@100 leaves 9
        TRADE 9 x 1 4@100 leaves 5/0
        TRADE 9 x 2 3@100 leaves 2/0
        EXPIRED 9 IOC_UNFILLED 9@100 leaves 2""",
        asks="5@101#3",
    ),
    Case(
        "N5 IOC filled whole tells no end",
        ASKS,
        [limit(9, CAROL, BUY, 4, 100, IOC)],
        """ACCEPTED 9 4@100 leaves 4
        TRADE 9 x 1 4@100 leaves 0/0""",
        asks="3@100#2 5@101#3",
    ),
    Case(
        "N6 FOK one lot too large for its limit",
        ASKS,
        [limit(9, CAROL, BUY, 8, 100, FOK)],
        """ACCEPTED 9 8@100 leaves 8
        EXPIRED 9 FOK_UNFILLED 8@100 leaves 8""",
        asks=ALL_ASKS,
    ),
    Case(
        "N6 FOK over two levels",
        ASKS,
        [limit(9, CAROL, BUY, 8, 101, FOK)],
        """ACCEPTED 9 8@101 leaves 8
        TRADE 9 x 1 4@100 leaves 4/0
        TRADE 9 x 2 3@100 leaves 1/0
        TRADE 9 x 3 1@101 leaves 0/4""",
        asks="4@101#3",
    ),
    Case(
        "N6 FOK against nothing",
        [],
        [limit(9, CAROL, SELL, 1, 1, FOK)],
        """ACCEPTED 9 1@1 leaves 1
        EXPIRED 9 FOK_UNFILLED 1@1 leaves 1""",
    ),
    Case(
        "N7 N10 MARKET at any price; the other side empties",
        ASKS,
        [market(9, CAROL, BUY, 13) | {"price_ticks": 1, "time_in_force": FOK}],
        """ACCEPTED 9 13@0 leaves 13
        TRADE 9 x 1 4@100 leaves 9/0
        TRADE 9 x 2 3@100 leaves 6/0
        TRADE 9 x 3 5@101 leaves 1/0
        EXPIRED 9 INSUFFICIENT_LIQUIDITY 13@0 leaves 1""",
    ),
    Case(
        "N7 MARKET filled",
        BIDS,
        [market(9, CAROL, SELL, 4)],
        """ACCEPTED 9 4@0 leaves 4
        TRADE 9 x 1 4@100 leaves 0/0""",
        bids="3@100#2 5@99#3",
    ),
    Case(
        "N7 a budget of 7 lots and a bit",
        ASKS,
        [market(9, CAROL, BUY, 9, budget=7 * 100 * UNITS + 101 * UNITS - 1)],
        """ACCEPTED 9 9@0 leaves 9
        TRADE 9 x 1 4@100 leaves 5/0
        TRADE 9 x 2 3@100 leaves 2/0
        EXPIRED 9 BUDGET_EXHAUSTED 9@0 leaves 2""",
        asks="5@101#3",
    ),
    Case(
        "N7 an empty side comes before an empty purse; a quantity that is done before both",
        ASKS[:1],
        [market(9, CAROL, BUY, 5, budget=400 * UNITS), market(10, CAROL, BUY, 5, budget=1)],
        """ACCEPTED 9 5@0 leaves 5
        TRADE 9 x 1 4@100 leaves 1/0
        EXPIRED 9 INSUFFICIENT_LIQUIDITY 5@0 leaves 1
        ACCEPTED 10 5@0 leaves 5
        EXPIRED 10 INSUFFICIENT_LIQUIDITY 5@0 leaves 5""",
    ),
    Case(
        "N7 a budget that is spent with the last lot tells no end",
        ASKS,
        [market(9, CAROL, BUY, 4, budget=400 * UNITS)],
        """ACCEPTED 9 4@0 leaves 4
        TRADE 9 x 1 4@100 leaves 0/0""",
        asks="3@100#2 5@101#3",
    ),
    Case(
        "N7 a SELL has no budget",
        BIDS,
        [market(9, CAROL, SELL, 4, budget=1)],
        """ACCEPTED 9 4@0 leaves 4
        TRADE 9 x 1 4@100 leaves 0/0""",
        bids="3@100#2 5@99#3",
    ),
    Case(
        "N8 N9 BY_QUOTE buys whole lots; what is left does not make one",
        ASKS,
        [by_quote(9, CAROL, BUY, 6 * 100 * UNITS + 1)],
        """ACCEPTED 9 0@0 leaves 0
        TRADE 9 x 1 4@100 leaves 0/0
        TRADE 9 x 2 2@100 leaves 0/1
        EXPIRED 9 QUOTE_SPENT 0@0 leaves 0""",
        asks="1@100#2 5@101#3",
    ),
    Case(
        "N8 BY_QUOTE sells until it has the amount",
        BIDS,
        [by_quote(9, CAROL, SELL, 5 * 100 * UNITS)],
        """ACCEPTED 9 0@0 leaves 0
        TRADE 9 x 1 4@100 leaves 0/0
        TRADE 9 x 2 1@100 leaves 0/2
        EXPIRED 9 QUOTE_SPENT 0@0 leaves 0""",
        bids="2@100#2 5@99#3",
    ),
    Case(
        "N8 quote of 0 left is looked at before the empty side",
        ASKS[:1],
        [by_quote(9, CAROL, BUY, 4 * 100 * UNITS)],
        """ACCEPTED 9 0@0 leaves 0
        TRADE 9 x 1 4@100 leaves 0/0
        EXPIRED 9 QUOTE_SPENT 0@0 leaves 0""",
    ),
    Case(
        "N8 the empty side before the used-up cap",
        ASKS[:1],
        [by_quote(9, CAROL, BUY, 1 << 40, cap=4)],
        """ACCEPTED 9 4@0 leaves 4
        TRADE 9 x 1 4@100 leaves 0/0
        EXPIRED 9 INSUFFICIENT_LIQUIDITY 4@0 leaves 0""",
    ),
    Case(
        "N8 less than a lot before the used-up cap",
        ASKS,
        [by_quote(9, CAROL, BUY, 4 * 100 * UNITS + 1, cap=4)],
        """ACCEPTED 9 4@0 leaves 4
        TRADE 9 x 1 4@100 leaves 0/0
        EXPIRED 9 QUOTE_SPENT 4@0 leaves 0""",
        asks="3@100#2 5@101#3",
    ),
    Case(
        "N8 N9 the cap",
        ASKS,
        [by_quote(9, CAROL, BUY, 1 << 40, cap=6)],
        """ACCEPTED 9 6@0 leaves 6
        TRADE 9 x 1 4@100 leaves 2/0
        TRADE 9 x 2 2@100 leaves 0/1
        EXPIRED 9 BUDGET_EXHAUSTED 6@0 leaves 0""",
        asks="1@100#2 5@101#3",
    ),
]


def own(mode: StpMode, qty: int = 9, price: int = 101, tif: TimeInForce = GTC) -> Row:
    """BOB's order that meets ALICE's 4, his own 3, then ALICE's 5."""
    return limit(9, BOB, BUY, qty, price, tif, stp_mode=mode)


SELF_TRADES = [
    Case(
        "S0 NONE",
        ASKS,
        [own(StpMode.NONE, 7)],
        """ACCEPTED 9 7@101 leaves 7
        TRADE 9 x 1 4@100 leaves 3/0
        TRADE 9 x 2 3@100 leaves 0/0""",
        asks="5@101#3",
    ),
    Case(
        "S1 EXPIRE_TAKER",
        ASKS,
        [own(StpMode.EXPIRE_TAKER)],
        """ACCEPTED 9 9@101 leaves 9
        TRADE 9 x 1 4@100 leaves 5/0
        PREVENTED 9 x 2 0@100 leaves 5/3
        EXPIRED 9 SELF_TRADE_PREVENTION 9@101 leaves 5""",
        asks="3@100#2 5@101#3",
    ),
    Case(
        "S1 N9 EXPIRE_TAKER by quote",
        ASKS,
        [by_quote(9, BOB, BUY, 1 << 40, stp_mode=StpMode.EXPIRE_TAKER)],
        """ACCEPTED 9 0@0 leaves 0
        TRADE 9 x 1 4@100 leaves 0/0
        PREVENTED 9 x 2 0@100 leaves 0/3
        EXPIRED 9 SELF_TRADE_PREVENTION 0@0 leaves 0""",
        asks="3@100#2 5@101#3",
    ),
    Case(
        "S2 EXPIRE_MAKER: the taker goes on",
        ASKS,
        [own(StpMode.EXPIRE_MAKER)],
        """ACCEPTED 9 9@101 leaves 9
        TRADE 9 x 1 4@100 leaves 5/0
        PREVENTED 9 x 2 0@100 leaves 5/3
        EXPIRED 2 SELF_TRADE_PREVENTION 3@100 leaves 3
        TRADE 9 x 3 5@101 leaves 0/0""",
    ),
    Case(
        "S2 with money",
        ASKS,
        [market(9, BOB, BUY, 5, budget=1 << 40, stp_mode=StpMode.EXPIRE_MAKER)],
        """ACCEPTED 9 5@0 leaves 5
        TRADE 9 x 1 4@100 leaves 1/0
        PREVENTED 9 x 2 0@100 leaves 1/3
        EXPIRED 2 SELF_TRADE_PREVENTION 3@100 leaves 3
        TRADE 9 x 3 1@101 leaves 0/4""",
        asks="4@101#3",
    ),
    Case(
        "S3 EXPIRE_BOTH: the maker first",
        ASKS,
        [own(StpMode.EXPIRE_BOTH)],
        """ACCEPTED 9 9@101 leaves 9
        TRADE 9 x 1 4@100 leaves 5/0
        PREVENTED 9 x 2 0@100 leaves 5/3
        EXPIRED 2 SELF_TRADE_PREVENTION 3@100 leaves 3
        EXPIRED 9 SELF_TRADE_PREVENTION 9@101 leaves 5""",
        asks="5@101#3",
    ),
    Case(
        "S4 the maker reaches 0, the taker goes on and rests; S5 with its original total",
        ASKS,
        [own(StpMode.DECREMENT, 14), cancel(9, BOB)],
        """ACCEPTED 9 14@101 leaves 14
        TRADE 9 x 1 4@100 leaves 10/0
        PREVENTED 9 x 2 3@100 leaves 7/0
        EXPIRED 2 SELF_TRADE_PREVENTION 3@100 leaves 0
        TRADE 9 x 3 5@101 leaves 2/0
        CANCELED 9 USER_CANCELED 14@101 leaves 2""",
    ),
    Case(
        "S4 the taker reaches 0; S5 the maker keeps its original total",
        ASKS,
        [own(StpMode.DECREMENT, 5), cancel(2, BOB)],
        """ACCEPTED 9 5@101 leaves 5
        TRADE 9 x 1 4@100 leaves 1/0
        PREVENTED 9 x 2 1@100 leaves 0/2
        EXPIRED 9 SELF_TRADE_PREVENTION 5@101 leaves 0
        CANCELED 2 USER_CANCELED 3@100 leaves 2""",
        asks="5@101#3",
    ),
    Case(
        "S4 both reach 0, the maker is told first",
        ASKS,
        [own(StpMode.DECREMENT, 7, tif=IOC)],
        """ACCEPTED 9 7@101 leaves 7
        TRADE 9 x 1 4@100 leaves 3/0
        PREVENTED 9 x 2 3@100 leaves 0/0
        EXPIRED 2 SELF_TRADE_PREVENTION 3@100 leaves 0
        EXPIRED 9 SELF_TRADE_PREVENTION 7@101 leaves 0""",
        asks="5@101#3",
    ),
    Case(
        "S4 consumes no budget",
        ASKS,
        [market(9, BOB, BUY, 9, budget=(400 + 2 * 101) * UNITS, stp_mode=StpMode.DECREMENT)],
        """ACCEPTED 9 9@0 leaves 9
        TRADE 9 x 1 4@100 leaves 5/0
        PREVENTED 9 x 2 3@100 leaves 2/0
        EXPIRED 2 SELF_TRADE_PREVENTION 3@100 leaves 0
        TRADE 9 x 3 2@101 leaves 0/3""",
        asks="3@101#3",
    ),
    Case(
        "S4 by quote lowers the cap; at 0 it has ended",
        ASKS,
        [by_quote(9, BOB, BUY, 1 << 40, cap=6, stp_mode=StpMode.DECREMENT)],
        """ACCEPTED 9 6@0 leaves 6
        TRADE 9 x 1 4@100 leaves 2/0
        PREVENTED 9 x 2 2@100 leaves 0/1
        EXPIRED 9 SELF_TRADE_PREVENTION 6@0 leaves 0""",
        asks="1@100#2 5@101#3",
    ),
    Case(
        "S4 by quote without a cap as S1",
        ASKS,
        [by_quote(9, BOB, BUY, 1 << 40, stp_mode=StpMode.DECREMENT)],
        """ACCEPTED 9 0@0 leaves 0
        TRADE 9 x 1 4@100 leaves 0/0
        PREVENTED 9 x 2 0@100 leaves 0/3
        EXPIRED 9 SELF_TRADE_PREVENTION 0@0 leaves 0""",
        asks="3@100#2 5@101#3",
    ),
    Case(
        "S4 money for one lot: the quantities meet at once, in one event",
        [limit(1, BOB, SELL, 1000, 100)],
        [market(9, BOB, BUY, 600, budget=100 * UNITS, stp_mode=StpMode.DECREMENT)],
        """ACCEPTED 9 600@0 leaves 600
        PREVENTED 9 x 1 600@100 leaves 0/400
        EXPIRED 9 SELF_TRADE_PREVENTION 600@0 leaves 0""",
        asks="400@100#1",
    ),
    Case(
        "N7 before S3: money for no lot is no self-trade",
        [limit(1, BOB, SELL, 5, 100)],
        [market(9, BOB, BUY, 5, budget=100 * UNITS - 1, stp_mode=StpMode.EXPIRE_BOTH)],
        """ACCEPTED 9 5@0 leaves 5
        EXPIRED 9 BUDGET_EXHAUSTED 5@0 leaves 5""",
        asks="5@100#1",
    ),
    Case(
        "S6 EXPIRE_MAKER skips own orders: 9 of others are there",
        ASKS,
        [own(StpMode.EXPIRE_MAKER, 9, tif=FOK)],
        """ACCEPTED 9 9@101 leaves 9
        TRADE 9 x 1 4@100 leaves 5/0
        PREVENTED 9 x 2 0@100 leaves 5/3
        EXPIRED 2 SELF_TRADE_PREVENTION 3@100 leaves 3
        TRADE 9 x 3 5@101 leaves 0/0""",
    ),
    Case(
        "S6 EXPIRE_MAKER skips own orders: 10 of others are not",
        ASKS,
        [own(StpMode.EXPIRE_MAKER, 10, tif=FOK)],
        """ACCEPTED 9 10@101 leaves 10
        EXPIRED 9 FOK_UNFILLED 10@101 leaves 10""",
        asks=ALL_ASKS,
    ),
    *(
        Case(
            f"S6 {mode.name}: an own order in the way, and one that is not",
            ASKS,
            [own(mode, 5, tif=FOK), own(mode, 4, tif=FOK)],
            """ACCEPTED 9 5@101 leaves 5
            EXPIRED 9 FOK_UNFILLED 5@101 leaves 5
            ACCEPTED 9 4@101 leaves 4
            TRADE 9 x 1 4@100 leaves 0/0""",
            asks="3@100#2 5@101#3",
        )
        for mode in (StpMode.EXPIRE_TAKER, StpMode.EXPIRE_BOTH, StpMode.DECREMENT)
    ),
    Case(
        "S6 NONE counts own orders",
        ASKS,
        [own(StpMode.NONE, 7, tif=FOK)],
        """ACCEPTED 9 7@101 leaves 7
        TRADE 9 x 1 4@100 leaves 3/0
        TRADE 9 x 2 3@100 leaves 0/0""",
        asks="5@101#3",
    ),
]

MIRROR = [
    limit(place, ALICE, side, 4, price)
    for place, (side, price) in enumerate([(SELL, 111), (BUY, 89), (SELL, 110), (BUY, 90), (BUY, 90)], 1)
]
OTHER_COMMANDS = [
    Case(
        "C1 with what is left",
        [*ASKS, limit(8, CAROL, BUY, 1, 100)],
        [cancel(1, ALICE)],
        "CANCELED 1 USER_CANCELED 4@100 leaves 3",
        asks="3@100#2 5@101#3",
    ),
    Case(
        "C2 unknown, another account's, gone, impossible",
        ASKS,
        [cancel(4, ALICE), cancel(1, BOB), cancel(1, ALICE), cancel(1, ALICE), cancel(0, 0), cancel(-1, 0)],
        """REJECTED 4 UNKNOWN_ORDER 0@0 leaves 0
        REJECTED 1 UNKNOWN_ORDER 0@0 leaves 0
        CANCELED 1 USER_CANCELED 4@100 leaves 4
        REJECTED 1 UNKNOWN_ORDER 0@0 leaves 0
        REJECTED 0 UNKNOWN_ORDER 0@0 leaves 0
        REJECTED -1 UNKNOWN_ORDER 0@0 leaves 0""",
        asks="3@100#2 5@101#3",
    ),
    Case(
        "C3 bids from the best down, then asks from the best up, by time; others stay",
        [*MIRROR, limit(6, BOB, BUY, 1, 90)],
        [cancel_all(ALICE)],
        """CANCELED 4 USER_CANCELED 4@90 leaves 4
        CANCELED 5 USER_CANCELED 4@90 leaves 4
        CANCELED 2 USER_CANCELED 4@89 leaves 4
        CANCELED 3 USER_CANCELED 4@110 leaves 4
        CANCELED 1 USER_CANCELED 4@111 leaves 4""",
        bids="1@90#6",
    ),
    Case(
        "G1 C3 nothing to cancel",
        ASKS,
        [cancel_all(CAROL)],
        "REJECTED 0 UNKNOWN_ORDER 0@0 leaves 0",
        asks=ALL_ASKS,
    ),
    Case(
        "A1 keeps its place in the queue",
        ASKS,
        [amend(1, ALICE, 2), limit(9, CAROL, BUY, 3, 100)],
        """AMENDED 1 2@100 leaves 2
        ACCEPTED 9 3@100 leaves 3
        TRADE 9 x 1 2@100 leaves 1/0
        TRADE 9 x 2 1@100 leaves 0/2""",
        asks="2@100#2 5@101#3",
    ),
    Case(
        "A1 A2 3 of 4 are filled or decremented: only a total above 3 and below 4 would do, after S4 too",
        [*ASKS, limit(8, CAROL, BUY, 2, 100), limit(9, ALICE, BUY, 1, 100, stp_mode=StpMode.DECREMENT)],
        [amend(1, ALICE, 3), amend(1, ALICE, 4), amend(1, ALICE, 5), amend(1, ALICE, -1), amend(3, ALICE, 4)],
        """REJECTED 1 AMEND_NOT_REDUCED 0@0 leaves 0
        REJECTED 1 AMEND_NOT_REDUCED 0@0 leaves 0
        REJECTED 1 AMEND_NOT_REDUCED 0@0 leaves 0
        REJECTED 1 AMEND_NOT_REDUCED 0@0 leaves 0
        AMENDED 3 4@101 leaves 4""",
        asks="1@100#1 3@100#2 4@101#3",
    ),
    Case(
        "A2 unknown, another account's",
        ASKS,
        [amend(7, ALICE, 1), amend(1, BOB, 1)],
        """REJECTED 7 UNKNOWN_ORDER 0@0 leaves 0
        REJECTED 1 UNKNOWN_ORDER 0@0 leaves 0""",
        asks=ALL_ASKS,
    ),
    Case(
        "P2 loses its place, even at the same price",
        ASKS,
        [replace(1, limit(9, ALICE, SELL, 4, 100))],
        """CANCELED 1 REPLACED 4@100 leaves 4
        ACCEPTED 9 4@100 leaves 4""",
        asks="3@100#2 4@100#9 5@101#3",
    ),
    Case(
        "P2 the new order trades like any other, the target is out of its way",
        ASKS,
        [replace(1, limit(9, ALICE, BUY, 4, 100), expected_leaves=4)],
        """CANCELED 1 REPLACED 4@100 leaves 4
        ACCEPTED 9 4@100 leaves 4
        TRADE 9 x 2 3@100 leaves 1/0""",
        bids="1@100#9",
        asks="5@101#3",
    ),
    Case(
        "P1 target unknown, another account's, changed; fields are those of the new order",
        ASKS,
        [
            replace(7, limit(9, ALICE, SELL, 6, 105)),
            replace(1, limit(9, BOB, SELL, 6, 105)),
            replace(1, limit(9, ALICE, SELL, 6, 105), expected_leaves=3),
            replace(1, limit(9, ALICE, SELL, 6, 105), expected_leaves=0),
        ],
        """REJECTED 9 UNKNOWN_ORDER 6@105 leaves 0
        REJECTED 9 UNKNOWN_ORDER 6@105 leaves 0
        REJECTED 9 ORDER_CHANGED 6@105 leaves 0
        REJECTED 9 ORDER_CHANGED 6@105 leaves 0""",
        asks=ALL_ASKS,
    ),
    Case(
        "P1 R2 the target's own id is taken; R2 comes before the target",
        ASKS,
        [replace(1, limit(1, ALICE, SELL, 4, 100)), replace(7, limit(0, ALICE, SELL, 4, 100))],
        """REJECTED 1 INVALID_COMMAND 4@100 leaves 0
        REJECTED 0 INVALID_COMMAND 4@100 leaves 0""",
        asks=ALL_ASKS,
    ),
    Case(
        "P1 R8 as if the target, alone at the best price, were gone; the next level counts",
        [limit(1, ALICE, SELL, 4, 100), limit(2, BOB, SELL, 4, 300)],
        [replace(1, maker_only(9, ALICE, BUY, 4, 300)), replace(1, maker_only(9, ALICE, BUY, 4, 299))],
        """REJECTED 9 WOULD_TAKE 4@300 leaves 0
        CANCELED 1 REPLACED 4@100 leaves 4
        ACCEPTED 9 4@299 leaves 4""",
        bids="4@299#9",
        asks="4@300#2",
    ),
    Case(
        "P1 R8 another order beside the target at the best price",
        ASKS,
        [replace(1, maker_only(9, ALICE, BUY, 4, 100))],
        "REJECTED 9 WOULD_TAKE 4@100 leaves 0",
        asks=ALL_ASKS,
    ),
    Case(
        "R8 at or through; one tick away rests",
        ASKS,
        [
            maker_only(9, CAROL, BUY, 1, 100),
            maker_only(9, CAROL, BUY, 1, 105),
            maker_only(9, CAROL, BUY, 1, 99),
        ],
        """REJECTED 9 WOULD_TAKE 1@100 leaves 0
        REJECTED 9 WOULD_TAKE 1@105 leaves 0
        ACCEPTED 9 1@99 leaves 1""",
        bids="1@99#9",
        asks=ALL_ASKS,
    ),
]


@pytest.mark.parametrize("case", MATCHING + SELF_TRADES + OTHER_COMMANDS, ids=lambda case: case.ids)
def test_market_table(case: Case) -> None:
    run(case)


def mirrored(row: Row) -> Row:
    """The same market seen from the other side: prices around 100 swapped, BUY for SELL."""
    priced = row.get("ord_type") != OrdType.MARKET and "price_ticks" in row
    return row | {"side": 1 - row["side"]} | ({"price_ticks": 200 - row["price_ticks"]} if priced else {})


@pytest.mark.parametrize(
    "case",
    [case for case in MATCHING if "N5" in case.ids or "N6" in case.ids] + SELF_TRADES[4:8],
    ids=lambda case: case.ids,
)
def test_both_sides_are_alike(case: Case) -> None:
    there, mirror = Book(WIDE, SYMBOL_ID), Book(WIDE, SYMBOL_ID)
    rows = [row for row in case.rests + case.comes if row.get("quote_units", 0) == 0 and "side" in row]
    events, swapped = there.apply(commands(rows)), mirror.apply(commands(mirrored(row) for row in rows))
    names = ["kind", "reason", "order_id", "qty_lots", "leaves_lots", "maker_order_id", "maker_leaves_lots"]
    assert swapped[names].tolist() == events[names].tolist()


# --- fields of events -----------------------------------------------------------------------------------
def fields(event: np.void) -> Row:
    """Those that are not 0."""
    return {name: int(event[name]) for name in EVENT.names or () if event[name]}


def of_batch(events: np.ndarray, **fixed: int) -> list[Row]:
    """`fields` of each, without what G2 and G3 say of all and this checks."""
    shown = [fields(event) for event in events]
    for row in shown:
        for name, value in (fixed | {"symbol": SYMBOL_ID}).items():
            assert row.pop(name, 0) == value
    return shown


def test_fields_of_accepted_and_trade() -> None:
    """G2, G3, G4, N1, N2, G7."""
    book = Book(WIDE, SYMBOL_ID)
    maker = limit(1, ALICE, SELL, 5, 100, stp_mode=StpMode.DECREMENT, flags=CommandFlag.BY_CLIENT_ORDER_ID)
    taker = limit(2, BOB, BUY, 3, 103, IOC, stp_mode=StpMode.EXPIRE_TAKER)
    assert book.last_price_ticks == 0
    assert of_batch(book.apply(commands([maker]))) == [
        {
            "side": SELL,
            "stp_mode": StpMode.DECREMENT,
            "flags": CommandFlag.BY_CLIENT_ORDER_ID,
            "account": ALICE,
            "order_id": 1,
            "price_ticks": 100,
            "qty_lots": 5,
            "leaves_lots": 5,
            "exec_id": 1,
        }
    ]
    of_taker = {"time_in_force": IOC, "stp_mode": StpMode.EXPIRE_TAKER, "account": BOB, "order_id": 2}
    assert of_batch(book.apply(commands([taker]))) == [
        of_taker | {"price_ticks": 103, "qty_lots": 3, "leaves_lots": 3, "exec_id": 2},
        of_taker
        | {
            "kind": EventKind.TRADE,
            "price_ticks": 100,
            "qty_lots": 3,
            "quote_units": 3 * 100 * UNITS,
            "maker_order_id": 1,
            "maker_account": ALICE,
            "maker_leaves_lots": 2,
            "exec_id": 3,
            "trade_id": 1,
            "maker_fee_ppm": 100 * ALICE,
            "taker_fee_ppm": 1000 * BOB,
        },
    ]
    assert (book.exec_id, book.trade_id, book.last_price_ticks) == (3, 1, 100)


def test_fields_of_the_ends() -> None:
    """G3, G4: CANCELED, EXPIRED, AMENDED, PREVENTED tell the order's own fields."""
    book = Book(WIDE, SYMBOL_ID)
    order = {"stp_mode": StpMode.EXPIRE_BOTH, "flags": CommandFlag.BY_CLIENT_ORDER_ID}
    play(book, limit(1, ALICE, SELL, 5, 100, **order), limit(2, ALICE, SELL, 5, 101, **order))
    told_of = order | {"side": SELL, "account": ALICE}
    events = book.apply(commands([cancel(9, BOB), amend(1, ALICE, 4), cancel(1, ALICE)]))
    assert of_batch(events[1:2], command_kind=CommandKind.AMEND, command_index=1) == [
        told_of
        | {"kind": EventKind.AMENDED, "order_id": 1, "price_ticks": 100, "qty_lots": 4}
        | {"leaves_lots": 4, "exec_id": 4}
    ]
    assert of_batch(events[2:], command_kind=CommandKind.CANCEL, command_index=2) == [
        told_of
        | {"kind": EventKind.CANCELED, "reason": Reason.USER_CANCELED, "order_id": 1, "price_ticks": 100}
        | {"qty_lots": 4, "leaves_lots": 4, "exec_id": 5}
    ]
    taker = limit(3, ALICE, BUY, 7, 105, stp_mode=StpMode.DECREMENT)
    assert of_batch(book.apply(commands([taker]))[1:]) == [
        {"kind": EventKind.PREVENTED, "stp_mode": StpMode.DECREMENT, "account": ALICE, "order_id": 3}
        | {"price_ticks": 101, "qty_lots": 5, "leaves_lots": 2, "exec_id": 7}
        | {"maker_order_id": 2, "maker_account": ALICE, "trade_id": 1},
        told_of
        | {"kind": EventKind.EXPIRED, "reason": Reason.SELF_TRADE_PREVENTION, "order_id": 2}
        | {"price_ticks": 101, "qty_lots": 5, "exec_id": 8, "trade_id": 1},
    ]


def test_fields_of_market_and_maker_only() -> None:
    """N1, N4, N10: GTC is told, MARKET's price is not, its money is; a LIMIT's `quote_units` are not."""
    book = Book(WIDE, SYMBOL_ID)
    rows = [
        market(1, ALICE, BUY, 5, budget=77) | {"price_ticks": 9, "time_in_force": FOK},
        by_quote(2, ALICE, SELL, 99, cap=3, tif=IOC),
        maker_only(3, ALICE, BUY, 5, 100, tif=IOC, quote_units=5),
        limit(4, ALICE, BUY, 5, 100, quote_units=5),
    ]
    accepted = [event for event in book.apply(commands(rows)) if event["kind"] == EventKind.ACCEPTED]
    names = ["ord_type", "time_in_force", "flags", "price_ticks", "qty_lots", "leaves_lots", "quote_units"]
    assert [tuple(event[names].tolist()) for event in accepted] == [
        (OrdType.MARKET, GTC, 0, 0, 5, 5, 77),
        (OrdType.MARKET, GTC, CommandFlag.BY_QUOTE, 0, 3, 3, 99),
        (OrdType.LIMIT_MAKER, GTC, 0, 100, 5, 5, 0),
        (OrdType.LIMIT, GTC, 0, 100, 5, 5, 0),
    ]


def test_fields_of_refusals() -> None:
    """G3, G4, C2, N10: NEW and REPLACE tell the command's fields as they are, other kinds who and what."""
    book = Book(TINY, SYMBOL_ID)
    order = market(9, BOB, SELL, 100, budget=3, stp_mode=StpMode.EXPIRE_MAKER) | {"time_in_force": FOK}
    order |= {"price_ticks": 4}
    copied = {"side": SELL, "ord_type": OrdType.MARKET, "time_in_force": FOK, "account": BOB, "order_id": 9}
    copied |= {"stp_mode": StpMode.EXPIRE_MAKER, "price_ticks": 4, "qty_lots": 100}
    refused = {"kind": EventKind.REJECTED, "reason": Reason.UNKNOWN_ORDER}
    events = book.apply(commands([order, replace(5, order), amend(9, BOB, 4) | {"side": SELL, "flags": 2}]))
    assert of_batch(events[:1]) == [copied | refused | {"reason": Reason.MARKET_LOT_SIZE, "exec_id": 1}]
    assert of_batch(events[1:2], command_kind=CommandKind.REPLACE, command_index=1) == [
        copied | refused | {"exec_id": 2}
    ]
    assert of_batch(events[2:], command_kind=CommandKind.AMEND, command_index=2) == [
        refused | {"account": BOB, "order_id": 9, "exec_id": 3}
    ]


def test_accounts_and_ids_of_any_sign_and_size() -> None:
    book = Book(WIDE, (1 << 31) - 1)
    largest = (1 << 63) - 1
    maker = limit(largest, -(1 << 31), SELL, 5, 100) | {"maker_fee_ppm": PPM - 1, "taker_fee_ppm": 0}
    taker = limit(largest - 1, (1 << 31) - 1, BUY, 5, 100) | {"maker_fee_ppm": 0, "taker_fee_ppm": PPM - 1}
    trade = book.apply(commands([maker, taker]))[-1]
    names = [
        "symbol",
        "account",
        "order_id",
        "maker_account",
        "maker_order_id",
        "maker_fee_ppm",
        "taker_fee_ppm",
    ]
    assert tuple(trade[names].tolist()) == (
        (1 << 31) - 1,
        (1 << 31) - 1,
        largest - 1,
        -(1 << 31),
        largest,
        PPM - 1,
        PPM - 1,
    )


# --- refusals -------------------------------------------------------------------------------------------
def reason_for(book: Book, row: Row) -> Reason:
    events = book.apply(commands([row]))
    assert len(events) == 1 or events[0]["kind"] != EventKind.REJECTED
    return Reason(events[0]["reason"]) if events[0]["kind"] == EventKind.REJECTED else Reason.NONE


def test_halted() -> None:
    """R1: CANCEL and CANCEL_ALL are allowed; NEW, REPLACE, AMEND are not, whatever else is wrong."""
    book = Book(WIDE, SYMBOL_ID)
    play(book, *ASKS)
    book.halted = True
    halted = [
        limit(9, BOB, BUY, 1, 1),
        limit(0, BOB, BUY, -1, -1) | {"side": 9},
        replace(1, limit(9, ALICE, SELL, 1, 100)),
        replace(7, limit(0, ALICE, SELL, 1, 100)),
        amend(1, ALICE, 1),
        amend(7, ALICE, 1),
    ]
    assert [reason_for(book, row) for row in halted] == [Reason.SYMBOL_HALTED] * len(halted)
    assert reason_for(book, {"kind": 5}) == Reason.INVALID_COMMAND
    assert play(book, cancel(2, BOB), cancel_all(ALICE)) == [
        "CANCELED 2 USER_CANCELED 3@100 leaves 3",
        "CANCELED 1 USER_CANCELED 4@100 leaves 4",
        "CANCELED 3 USER_CANCELED 5@101 leaves 5",
    ]
    book.halted = False
    assert reason_for(book, limit(9, BOB, BUY, 1, 1)) == Reason.NONE


@pytest.mark.parametrize(
    "wrong",
    [
        {"side": 2},
        {"side": 255},
        {"ord_type": 3},
        {"time_in_force": 3},
        {"stp_mode": 6},
        {"price_ticks": -1},
        {"qty_lots": -1},
        {"qty_lots": -(1 << 63)},
        {"quote_units": -1},
        {"maker_fee_ppm": -1},
        {"taker_fee_ppm": -1},
        {"maker_fee_ppm": PPM},
        {"taker_fee_ppm": PPM},
        {"order_id": 0},
        {"order_id": -5},
        {"order_id": 2},
        {"flags": CommandFlag.BY_QUOTE},
        {"ord_type": OrdType.LIMIT_MAKER, "flags": CommandFlag.BY_QUOTE},
        {"ord_type": OrdType.MARKET, "qty_lots": 0},
        {"ord_type": OrdType.MARKET, "qty_lots": 0, "quote_units": 5},
        {"ord_type": OrdType.MARKET, "qty_lots": 0, "flags": CommandFlag.BY_QUOTE},
        {"ord_type": OrdType.MARKET, "time_in_force": 3},
        {"ord_type": OrdType.MARKET, "price_ticks": -1},
    ],
    ids=str,
)
def test_invalid(wrong: Row) -> None:
    """R2, before every filter (TINY's are all broken by the rest of the order), for NEW and REPLACE."""
    book = Book(TINY, SYMBOL_ID)
    play(book, limit(1, ALICE, BUY, 10, 10), limit(2, ALICE, BUY, 10, 10))
    order = limit(9, ALICE, BUY, 1 << 62, 1 << 62) | wrong
    assert reason_for(book, order) == Reason.INVALID_COMMAND
    assert reason_for(book, replace(1, order)) == Reason.INVALID_COMMAND
    assert resting(book) == ("10@10#1 10@10#2", "")


@pytest.mark.parametrize("kind", [10, 127, 128, 255])
def test_unknown_kind(kind: int) -> None:
    """R2."""
    book = Book(WIDE, SYMBOL_ID)
    events = book.apply(commands([limit(9, BOB, SELL, 1, 100, IOC, kind=kind, flags=2)]))
    assert of_batch(events, command_kind=kind) == [
        {"kind": EventKind.REJECTED, "reason": Reason.INVALID_COMMAND} | {"account": BOB, "order_id": 9, "exec_id": 1}
    ]


def after_trade_at(price: int) -> Callable[[], Book]:
    """An empty book of TINY whose last price is `price`."""

    def make() -> Book:
        book = Book(WIDE, SYMBOL_ID)
        play(book, limit(1, ALICE, SELL, 1, price), limit(2, BOB, BUY, 1, price))
        return Book.restore(TINY, SYMBOL_ID, book.snapshot())

    return make


def new_book() -> Book:
    return Book(TINY, SYMBOL_ID)


@pytest.mark.parametrize(
    ("ids", "make", "order", "reason"),
    [
        ("R3 min", new_book, limit(9, BOB, BUY, 10, 0), Reason.PRICE_FILTER),
        ("R3 max", new_book, limit(9, BOB, BUY, 2, 21), Reason.PRICE_FILTER),
        ("R3 ok", new_book, limit(9, BOB, BUY, 2, 20), Reason.NONE),
        ("R3 LIMIT_MAKER", new_book, maker_only(9, BOB, BUY, 2, 21), Reason.PRICE_FILTER),
        ("R3 before R4", new_book, limit(9, BOB, BUY, 0, 21), Reason.PRICE_FILTER),
        ("R3 hostile", new_book, limit(9, BOB, BUY, 1 << 62, (1 << 63) - 1), Reason.PRICE_FILTER),
        ("R4 min", new_book, limit(9, BOB, BUY, 1, 20), Reason.LOT_SIZE),
        ("R4 max", new_book, limit(9, BOB, BUY, 11, 10), Reason.LOT_SIZE),
        ("R4 ok", new_book, limit(9, BOB, BUY, 10, 10), Reason.NONE),
        ("R4 LIMIT_MAKER", new_book, maker_only(9, BOB, BUY, 11, 10), Reason.LOT_SIZE),
        ("R4 before R6", new_book, limit(9, BOB, BUY, (1 << 63) - 1, 20), Reason.LOT_SIZE),
        ("R5 max", new_book, market(9, BOB, BUY, 9), Reason.MARKET_LOT_SIZE),
        ("R5 ok", new_book, market(9, BOB, BUY, 8), Reason.NONE),
        ("R5 not BY_QUOTE", new_book, by_quote(9, BOB, BUY, 50, cap=1 << 62), Reason.NONE),
        ("R6 49 units too few", new_book, limit(9, BOB, BUY, 2, 2), Reason.NOTIONAL),
        ("R6 50 ok", new_book, limit(9, BOB, BUY, 5, 1), Reason.NONE),
        ("R6 1500 ok", new_book, limit(9, BOB, BUY, 10, 15), Reason.NONE),
        ("R6 1600 too many", new_book, limit(9, BOB, BUY, 10, 16), Reason.NOTIONAL),
        ("R6 BY_QUOTE few", new_book, by_quote(9, BOB, BUY, 49), Reason.NOTIONAL),
        ("R6 BY_QUOTE least", new_book, by_quote(9, BOB, BUY, 50), Reason.NONE),
        ("R6 BY_QUOTE most", new_book, by_quote(9, BOB, BUY, 1500), Reason.NONE),
        ("R6 BY_QUOTE many", new_book, by_quote(9, BOB, BUY, 1501), Reason.NOTIONAL),
        ("R2 R6 BY_QUOTE 0, cap", new_book, by_quote(9, BOB, BUY, 0, cap=3), Reason.NOTIONAL),
        ("R6 MARKET at last 1: 4", after_trade_at(1), market(9, BOB, BUY, 4), Reason.NOTIONAL),
        ("R6 MARKET at last 1: 5", after_trade_at(1), market(9, BOB, BUY, 5), Reason.NONE),
        ("R6 MARKET at last 30: 5", after_trade_at(30), market(9, BOB, BUY, 5), Reason.NONE),
        ("R6 MARKET at last 30: 6", after_trade_at(30), market(9, BOB, BUY, 6), Reason.NOTIONAL),
        ("R7 bid up", after_trade_at(5), limit(9, BOB, BUY, 5, 16), Reason.PERCENT_PRICE_BY_SIDE),
        ("R7 bid up ok", after_trade_at(5), limit(9, BOB, BUY, 5, 15), Reason.NONE),
        ("R7 bid down", after_trade_at(10), limit(9, BOB, BUY, 5, 3), Reason.PERCENT_PRICE_BY_SIDE),
        ("R7 bid down ok", after_trade_at(10), limit(9, BOB, BUY, 5, 4), Reason.NONE),
        ("R7 bid down 333333 ppm", after_trade_at(12), limit(9, BOB, BUY, 5, 4), Reason.NONE),
        ("R7 ask up", after_trade_at(5), limit(9, BOB, SELL, 5, 11), Reason.PERCENT_PRICE_BY_SIDE),
        ("R7 ask up ok", after_trade_at(5), limit(9, BOB, SELL, 5, 10), Reason.NONE),
        ("R7 ask down", after_trade_at(5), limit(9, BOB, SELL, 5, 2), Reason.PERCENT_PRICE_BY_SIDE),
        ("R7 ask down ok", after_trade_at(5), limit(9, BOB, SELL, 5, 3), Reason.NONE),
        ("R7 not MARKET", after_trade_at(5), market(9, BOB, SELL, 5), Reason.NONE),
        ("R7 not before a trade", new_book, limit(9, BOB, SELL, 5, 1), Reason.NONE),
        ("R6 before R7", after_trade_at(1), limit(9, BOB, BUY, 10, 16), Reason.NOTIONAL),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_filters(ids: str, make: Callable[[], Book], order: Row, reason: Reason) -> None:
    assert reason_for(make(), order) == reason, ids


def test_filters_of_amend() -> None:
    """A2: AMEND_NOT_REDUCED, LOT_SIZE, NOTIONAL in this order; of NOTIONAL only the minimum."""
    book = Book(TINY, SYMBOL_ID)
    play(book, limit(1, ALICE, BUY, 10, 2), limit(2, ALICE, BUY, 10, 15))
    assert [reason_for(book, amend(1, ALICE, total)) for total in (11, 10, 1, 2, 3)] == [
        Reason.AMEND_NOT_REDUCED,
        Reason.AMEND_NOT_REDUCED,
        Reason.LOT_SIZE,
        Reason.NOTIONAL,
        Reason.NONE,
    ]
    lower_max = msgspec.structs.replace(TINY, max_notional_units=100, max_qty_lots=4)
    book = Book.restore(lower_max, SYMBOL_ID, book.snapshot())
    assert [reason_for(book, amend(2, ALICE, total)) for total in (5, 4)] == [Reason.LOT_SIZE, Reason.NONE]


def test_bands_of_prices_that_leave_64_bits() -> None:
    """R7 is exact where price x 10^6 and last x ppm are not int64."""
    last, up, down = (1 << 56) + 1_234_567, 3 * PPM + 1, 333_333
    instrument = msgspec.structs.replace(WIDE, bid_multiplier_up_ppm=up, bid_multiplier_down_ppm=down)
    book = Book(instrument, SYMBOL_ID)
    play(book, limit(1, ALICE, SELL, 1, last), limit(2, BOB, BUY, 1, last))
    lowest, highest = -(-last * down // PPM), last * up // PPM
    reasons = [
        reason_for(book, limit(9, BOB, BUY, 1, price, IOC)) for price in (lowest - 1, lowest, highest, highest + 1)
    ]
    refused = Reason.PERCENT_PRICE_BY_SIDE
    assert reasons == [refused, Reason.NONE, Reason.NONE, refused]


def test_bands_beyond_every_price() -> None:
    """R7: last x 10^12 ppm is past 62 bits: every bid is under it, and no ask reaches it."""
    instrument = msgspec.structs.replace(WIDE, ask_multiplier_down_ppm=PPM * PPM)
    book = Book(instrument, SYMBOL_ID)
    last = 1 << 58
    play(book, limit(1, ALICE, SELL, 1, last), limit(2, BOB, BUY, 1, last))
    assert reason_for(book, limit(9, BOB, BUY, 1, last)) == Reason.NONE
    assert reason_for(book, limit(10, ALICE, SELL, 1, last)) == Reason.PERCENT_PRICE_BY_SIDE


@pytest.mark.parametrize(
    ("price", "qty"), [(1 << 61, 1 << 40), (1 << 35, 1 << 35), (1 << 32, 1 << 32), (INT_LIMIT - 1, 2)]
)
def test_notionals_that_leave_64_bits(price: int, qty: int) -> None:
    """R6."""
    assert reason_for(Book(WIDE, SYMBOL_ID), limit(9, BOB, BUY, qty, price)) == Reason.NOTIONAL


def test_book_full() -> None:
    """R9: LIMIT GTC that would trade and LIMIT_MAKER too; not IOC, FOK, MARKET, REPLACE (P1); after R8."""
    book = Book(WIDE, SYMBOL_ID, max_live_orders=3)
    play(book, *ASKS)
    refused = [
        limit(9, BOB, BUY, 1, 1),
        limit(9, CAROL, BUY, 1, 100),
        maker_only(9, BOB, BUY, 1, 99, tif=IOC),
    ]
    assert [reason_for(book, row) for row in refused] == [Reason.BOOK_FULL] * 3
    assert reason_for(book, maker_only(9, BOB, BUY, 1, 100)) == Reason.WOULD_TAKE
    allowed = [
        limit(9, CAROL, BUY, 1, 100, IOC),
        limit(9, CAROL, BUY, 1, 100, FOK),
        market(9, CAROL, BUY, 1),
        replace(1, limit(9, ALICE, SELL, 1, 102)),
    ]
    assert [reason_for(book, row) for row in allowed] == [Reason.NONE] * 4
    assert resting(book) == ("", "3@100#2 5@101#3 1@102#9")


# --- the book as an object ------------------------------------------------------------------------------
def scattered(count: int, stride: int) -> list[Row]:
    """Orders that do not cross, `stride` ticks apart, in an order that is neither rising nor falling."""
    order = np.random.default_rng(1).permutation(count)
    middle = count * stride + 100
    return [
        limit(
            1 + int(i) * 7_919,
            ALICE + i % 3,
            SELL if i % 2 else BUY,
            1 + i % 5,
            middle + (i if i % 2 else -i - 1) * stride,
        )
        for i in order.tolist()
    ]


def test_depth() -> None:
    book = Book(WIDE, SYMBOL_ID)
    assert (book.best_bid, book.best_ask, book.live_orders) == (None, None, 0)
    assert book.depth(BUY, 0).tolist() == []
    play(book, *ASKS, limit(4, CAROL, BUY, 6, 98), limit(5, CAROL, BUY, 6, 97), limit(6, CAROL, BUY, 1, 98))
    assert book.depth(SELL, 0).tolist() == [(100, 7, 2), (101, 5, 1)]
    assert book.depth(BUY, 0).tolist() == [(98, 7, 2), (97, 6, 1)]
    assert book.depth(BUY, 1).tolist() == [(98, 7, 2)]
    assert book.depth(BUY, 5).tolist() == [(98, 7, 2), (97, 6, 1)]
    assert (book.best_bid, book.best_ask, book.live_orders) == (98, 100, 6)


@pytest.mark.parametrize("stride", [1, 64, 1_000_003])
def test_levels_far_apart(stride: int) -> None:
    """Pages come and go in the middle, at the best and at the far end; the best price is always right."""
    book = Book(WIDE, SYMBOL_ID)
    rows = scattered(300, stride)
    play(book, *rows)
    for _ in range(2):
        prices = [sorted(row["price_ticks"] for row in rows if row["side"] == side) for side in Side]
        assert book.depth(BUY, 0)["price_ticks"].tolist() == prices[BUY][::-1]
        assert book.depth(SELL, 0)["price_ticks"].tolist() == prices[SELL]
        assert (book.best_bid, book.best_ask) == (prices[BUY][-1], prices[SELL][0])
        gone, rows = rows[::3], [row for place, row in enumerate(rows) if place % 3]
        play(book, *(cancel(row["order_id"], row["account"]) for row in gone))
    play(book, *(cancel_all(account) for account in (ALICE, BOB, CAROL)))
    assert (book.best_bid, book.best_ask, book.live_orders) == (None, None, 0)


def test_orders_tell_everything_that_rests() -> None:
    book = Book(WIDE, SYMBOL_ID)
    order = {"stp_mode": StpMode.DECREMENT, "flags": 130}
    play(book, limit(1, ALICE, SELL, 5, 100, **order), maker_only(2, BOB, BUY, 5, 99, tif=FOK))
    play(book, limit(3, CAROL, BUY, 2, 100))
    names = ["order_id", "account", "side", "price_ticks", "qty_lots", "leaves_lots", "maker_fee_ppm"]
    names += ["ord_type", "time_in_force", "stp_mode", "flags"]
    assert book.orders()[names].tolist() == [
        (2, BOB, BUY, 99, 5, 5, 100 * BOB, OrdType.LIMIT_MAKER, GTC, StpMode.NONE, 0),
        (1, ALICE, SELL, 100, 5, 3, 100 * ALICE, OrdType.LIMIT, GTC, StpMode.DECREMENT, 130),
    ]


def flow(count: int) -> np.ndarray:
    rng = np.random.default_rng(5)
    rows = []
    for order_id in range(1, count + 1):
        kind = rng.integers(10)
        account, side, price = (
            int(rng.integers(1, 5)),
            Side(int(rng.integers(2))),
            int(rng.integers(950, 1050)),
        )
        named = int(rng.integers(1, order_id + 1))
        if kind < 6:
            rows.append(limit(order_id, account, side, int(rng.integers(1, 50)), price, stp_mode=int(rng.integers(5))))
        elif kind < 9:
            rows.append(cancel(named, int(rng.integers(1, 5))))
        else:
            rows.append(replace(named, limit(order_id, account, side, 7, price)))
    return commands(rows)


def test_growth_and_batches_change_nothing() -> None:
    """G2: any division into batches gives the same events (but `command_index`) and the same book."""
    batch = flow(3 * BATCH_COMMANDS)
    whole = Book(WIDE, SYMBOL_ID)
    expected = whole.apply(batch)
    assert expected["command_index"].max() == len(batch) - 1
    pieces = Book(WIDE, SYMBOL_ID)
    got = np.concatenate([pieces.apply(part) for part in np.array_split(batch, 777)])
    names = [name for name in EVENT.names or () if name != "command_index"]
    assert got[names].tolist() == expected[names].tolist()
    assert pieces.digest() == whole.digest()
    assert expected["exec_id"].tolist() == list(range(1, len(expected) + 1))
    trades = expected[expected["kind"] == EventKind.TRADE]
    assert trades["trade_id"].tolist() == list(range(1, len(trades) + 1))


def test_events_belong_to_the_caller() -> None:
    book = Book(WIDE, SYMBOL_ID)
    first = book.apply(commands(ASKS))
    kept = first.copy()
    first_bytes = first.tobytes()
    book.apply(commands([cancel_all(ALICE)]))
    assert first.tobytes() == first_bytes
    first["qty_lots"] = 0
    assert kept.tobytes() == first_bytes


def test_commands_of_any_making_and_one_compilation() -> None:
    """Frames are read-only; none of these may start the compiler under an order."""
    batch = commands(ASKS)
    frame = b"x" + batch.tobytes()
    spread = np.zeros(2 * len(batch), COMMAND)
    spread[::2] = batch
    makings = [
        batch,
        np.frombuffer(frame, COMMAND, offset=1),
        spread[::2],
        np.frombuffer(bytearray(frame[1:]), COMMAND),
    ]
    books = [Book(WIDE, SYMBOL_ID) for _ in makings]
    events = [book.apply(making).tobytes() for book, making in zip(books, makings, strict=True)]
    assert len(set(events)) == len({book.digest() for book in books}) == 1
    assert batch.flags.writeable
    assert len(compiled.match.signatures) == 1  # type: ignore[attr-defined]


def test_kernels_know_their_sources() -> None:
    """The digest is in what numba's cache looks at; without it a changed helper's old code would run."""
    kernels: list[Any] = [compiled.match, views.write_depth, views.write_orders, views.index_and_audit]
    for kernel in kernels:
        cells = kernel.py_func.__closure__
        assert source_digest() in [cell.cell_contents for cell in cells]


def test_no_commands() -> None:
    book = Book(WIDE, SYMBOL_ID)
    before = book.digest()
    assert book.apply(np.zeros(0, COMMAND)).tolist() == []
    assert book.digest() == before


@pytest.mark.parametrize("wrong", [np.zeros(1, EVENT), np.zeros((1, 1), COMMAND), np.zeros(1, np.int64)])
def test_only_commands(wrong: Any) -> None:
    with pytest.raises(TypeError, match="expected COMMAND"):
        Book(WIDE, SYMBOL_ID).apply(wrong)


@pytest.mark.parametrize(("symbol_id", "orders"), [(-1, 1), (1 << 31, 1), (1, 0), (1, 1 << 30)])
def test_numbers_outside_their_domain(symbol_id: int, orders: int) -> None:
    with pytest.raises(ValueError, match="max_live_orders"):
        Book(WIDE, symbol_id, orders)


def test_multiplier_outside_its_domain() -> None:
    with pytest.raises(ValueError, match="multiplier"):
        Book(msgspec.structs.replace(WIDE, ask_multiplier_up_ppm=PPM * PPM + 1), SYMBOL_ID)


def test_digest_is_of_the_logical_state() -> None:
    """Neither slots, nor pages, nor room, nor the way there; but everything that later events depend on."""
    there, other = Book(WIDE, SYMBOL_ID), Book(WIDE, SYMBOL_ID)
    play(there, limit(1, ALICE, BUY, 1, 9), cancel(1, ALICE), *ASKS[1:])
    play(other, ASKS[1], limit(1, BOB, BUY, 1, 50, IOC), ASKS[2])
    assert there.digest() == other.digest()
    other.halted = True
    assert there.digest() != other.digest()
    other.halted = False
    play(other, amend(3, ALICE, 4))
    play(there, cancel(77, ALICE))
    assert there.exec_id == other.exec_id
    assert there.digest() != other.digest()


# --- snapshots ------------------------------------------------------------------------------------------
def test_restored_book_goes_on() -> None:
    """G2 and the queue go on; every cut gives the same end."""
    batch = flow(2_000)
    live = Book(WIDE, SYMBOL_ID)
    for part in np.array_split(batch, 7):
        restored = Book.restore(WIDE, SYMBOL_ID, live.snapshot())
        assert restored.digest() == live.digest()
        assert restored.apply(part).tobytes() == live.apply(part).tobytes()
        assert restored.digest() == live.digest()
    live.halted = True
    assert Book.restore(WIDE, SYMBOL_ID, live.snapshot()).halted


def test_restored_book_has_the_filters_it_is_given() -> None:
    book = Book(WIDE, SYMBOL_ID, max_live_orders=4)
    play(book, *ASKS, limit(9, CAROL, BUY, 1, 100))
    stricter = msgspec.structs.replace(WIDE, max_qty_lots=5, bid_multiplier_down_ppm=PPM)
    restored = Book.restore(stricter, SYMBOL_ID, book.snapshot())
    reasons = [reason_for(restored, limit(10, BOB, BUY, qty, price)) for qty, price in ((6, 99), (5, 99), (5, 100))]
    assert reasons == [Reason.LOT_SIZE, Reason.PERCENT_PRICE_BY_SIDE, Reason.NONE]
    assert [reason_for(restored, limit(i, BOB, SELL, 1, 200)) for i in (11, 12, 13)][-1] == Reason.BOOK_FULL


def test_snapshot_refused() -> None:
    book = Book(WIDE, SYMBOL_ID)
    play(book, *ASKS)
    good = book.snapshot()
    other_tick = msgspec.structs.replace(WIDE, tick=WIDE.tick * 2)
    for data, instrument, symbol_id, text in [
        (b"", WIDE, SYMBOL_ID, "not a snapshot"),
        (good[:30], WIDE, SYMBOL_ID, "not a snapshot"),
        (b"x" + good[1:], WIDE, SYMBOL_ID, "not a snapshot"),
        (good[:8] + b"\xff" + good[9:], WIDE, SYMBOL_ID, "version 255"),
        (good[:-1], WIDE, SYMBOL_ID, "damaged"),
        (good, WIDE, SYMBOL_ID + 1, "snapshot of symbol 7"),
        (good, msgspec.structs.replace(WIDE, symbol="ELSE"), SYMBOL_ID, "TNYQ"),
        (good, other_tick, SYMBOL_ID, "tick"),
    ]:
        with pytest.raises(ValueError, match=text):
            Book.restore(instrument, symbol_id, data)


def test_every_flipped_byte_is_noticed() -> None:
    book = Book(WIDE, SYMBOL_ID)
    play(book, *ASKS)
    good = book.snapshot()
    for place in range(0, len(good), 97):
        damaged = bytearray(good)
        damaged[place] ^= 1
        with pytest.raises(ValueError, match=r"damaged|version|not a snapshot"):
            Book.restore(WIDE, SYMBOL_ID, bytes(damaged))


def test_largest_orders_in_one_level() -> None:
    """N6 looks at orders, not at level totals, where filters let totals pass 64 bits."""
    huge = (1 << 58) - 1
    instrument = msgspec.structs.replace(WIDE, max_qty_lots=INT_LIMIT - 1)
    book = Book(instrument, SYMBOL_ID)
    play(book, *(limit(place, ALICE, SELL, huge, 1) for place in range(1, 65)))
    assert play(book, limit(99, BOB, BUY, huge, 1, FOK))[1:] == [f"TRADE 99 x 1 {huge}@1 leaves 0/0"]
