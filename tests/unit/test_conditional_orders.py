"""Stops, icebergs, pegs, pairs and cancel restrictions by market tables, told by the engine and by the oracle alike.

Case ids are those of market/book/SEMANTICS.md; events are written as `told` writes them.
"""

from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from market.book import Book
from market.enums import CancelRestriction, CommandFlag, EventKind, OrdType, PegType, Side, StpMode, TimeInForce
from market.instrument import BIPS, PPM, Instrument
from market.reasons import Reason
from tests.reference.build import (
    SYMBOL_ID,
    TINY,
    amend,
    cancel,
    cancel_all,
    commands,
    limit,
    maker_only,
    market,
    pair,
    replace,
    stop_limit,
    stop_market,
    told,
)
from tests.reference.naive_book import NaiveBook

Row = dict[str, Any]
BUY, SELL = Side
IOC = TimeInForce.IOC
ALICE, BOB, CAROL = 1, 2, 3

WIDE = msgspec.structs.replace(
    TINY,
    max_price_ticks=1 << 40,
    min_qty_lots=1,
    max_qty_lots=1 << 20,
    market_max_qty_lots=1 << 20,
    min_notional_units=1,
    max_notional_units=1 << 60,
    bid_multiplier_up_ppm=PPM * PPM,
    bid_multiplier_down_ppm=0,
    ask_multiplier_up_ppm=PPM * PPM,
    ask_multiplier_down_ppm=0,
    max_trailing_above_bips=BIPS - 1,
    max_trailing_below_bips=BIPS - 1,
)


def trade(at: int, order_id: int) -> list[Row]:
    """A trade of one lot between two bystanders; leaves nothing in the book."""
    return [limit(order_id, 8, SELL, 1, at), limit(order_id + 1, 9, BUY, 1, at, IOC)]


def path(*prices: int) -> list[Row]:
    """Trades at these prices, one after the other."""
    return [row for k, price in enumerate(prices) for row in trade(price, 1000 + 2 * k)]


@dataclass(frozen=True)
class Case:
    ids: str
    rests: list[Row]
    comes: list[Row]
    events: str
    """Of all orders but those of bystanders (`trade`)."""
    filters: Instrument = field(default=WIDE)


def play(case: Case, book: Book | NaiveBook) -> list[str]:
    book.apply(commands([*path(100), *case.rests]))
    events = book.apply(commands(case.comes))
    return [told(event) for event in events if int(event[10] if isinstance(event, tuple) else event["order_id"]) < 1000]


SELL_PAIR = pair(maker_only(1, ALICE, SELL, 5, 110), stop_limit(2, ALICE, SELL, 5, 89, 90))
STOPS = [
    Case(
        "T1 T2 T4 STOP_LOSS BUY waits for a rise and takes what is there",
        [limit(1, BOB, SELL, 3, 112)],
        [stop_market(2, ALICE, BUY, 5, 110), *path(109, 110)],
        """ACCEPTED 2 5@0 leaves 5
        TRIGGERED 2 5@0 leaves 5
        TRADE 2 x 1 3@112 leaves 2/0
        EXPIRED 2 INSUFFICIENT_LIQUIDITY 5@0 leaves 2""",
    ),
    Case(
        "T1 T4 TAKE_PROFIT_LIMIT BUY waits for a fall and rests",
        [],
        [stop_limit(1, ALICE, BUY, 5, 91, 90, profit=True), *path(91, 90)],
        """ACCEPTED 1 5@91 leaves 5
        TRIGGERED 1 5@91 leaves 5""",
    ),
    Case(
        "T4 N7 the budget of a triggered BUY",
        [limit(1, BOB, SELL, 3, 112)],
        [stop_market(2, ALICE, BUY, 3, 110, quote_units=112 * 10 * 2), *path(110)],
        """ACCEPTED 2 3@0 leaves 3
        TRIGGERED 2 3@0 leaves 3
        TRADE 2 x 1 2@112 leaves 1/1
        EXPIRED 2 BUDGET_EXHAUSTED 3@0 leaves 1""",
    ),
    Case(
        "T3 the nearest stop price first, then time",
        [
            stop_market(1, ALICE, BUY, 1, 112),
            stop_market(2, ALICE, BUY, 1, 111),
            stop_market(3, BOB, BUY, 1, 111),
        ],
        path(112),
        """TRIGGERED 2 1@0 leaves 1
        EXPIRED 2 INSUFFICIENT_LIQUIDITY 1@0 leaves 1
        TRIGGERED 3 1@0 leaves 1
        EXPIRED 3 INSUFFICIENT_LIQUIDITY 1@0 leaves 1
        TRIGGERED 1 1@0 leaves 1
        EXPIRED 1 INSUFFICIENT_LIQUIDITY 1@0 leaves 1""",
    ),
    Case(
        "T3 T4 a cascade inside one command",
        [
            stop_market(1, ALICE, SELL, 1, 95),
            stop_market(2, ALICE, SELL, 1, 90),
            limit(3, BOB, BUY, 1, 94),
            limit(4, BOB, BUY, 1, 89),
            limit(5, BOB, BUY, 5, 80),
        ],
        [limit(6, CAROL, SELL, 1, 94)],
        """ACCEPTED 6 1@94 leaves 1
        TRADE 6 x 3 1@94 leaves 0/0
        TRIGGERED 1 1@0 leaves 1
        TRADE 1 x 4 1@89 leaves 0/0
        TRIGGERED 2 1@0 leaves 1
        TRADE 2 x 5 1@80 leaves 0/4""",
    ),
    Case(
        "R7c reached already, from either side; R7b; R2a",
        [],
        [
            stop_market(1, ALICE, BUY, 1, 100),
            stop_market(2, ALICE, SELL, 1, 100),
            stop_market(3, ALICE, SELL, 1, 100, profit=True),
            stop_market(4, ALICE, SELL, 1, 90, trailing_bips=9),
            stop_market(5, ALICE, SELL, 1, 0),
            limit(6, ALICE, SELL, 1, 120, stop_price_ticks=90),
        ],
        """REJECTED 1 STOP_WOULD_TRIGGER 1@0 leaves 0
        REJECTED 2 STOP_WOULD_TRIGGER 1@0 leaves 0
        REJECTED 3 STOP_WOULD_TRIGGER 1@0 leaves 0
        REJECTED 4 TRAILING_DELTA 1@0 leaves 0
        REJECTED 5 INVALID_COMMAND 1@0 leaves 0
        REJECTED 6 INVALID_COMMAND 1@120 leaves 0""",
    ),
    Case(
        "T8 waiting orders are amended, canceled and replaced",
        [
            stop_market(1, ALICE, BUY, 5, 110),
            stop_limit(2, ALICE, SELL, 5, 90, 91),
            stop_market(3, ALICE, SELL, 5, 0, trailing_bips=100),
        ],
        [amend(1, ALICE, 4), cancel(1, ALICE), replace(2, limit(4, ALICE, SELL, 5, 120)), cancel_all(ALICE)],
        """AMENDED 1 4@0 leaves 4
        CANCELED 1 USER_CANCELED 4@0 leaves 4
        CANCELED 2 REPLACED 5@90 leaves 5
        ACCEPTED 4 5@120 leaves 5
        CANCELED 4 USER_CANCELED 5@120 leaves 5
        CANCELED 3 USER_CANCELED 5@0 leaves 5""",
    ),
]
# The venue's own scenarios of trailing stops, prices in thousands.
TRAILING = [
    Case(
        "T6 T7 STOP_LOSS_LIMIT BUY with an activation price",
        path(40_000),
        [
            stop_limit(1, ALICE, BUY, 1, 45_000, 44_000, trailing_bips=500),
            *path(37_000, 44_000, 45_000, 46_000, 42_000, 44_099, 44_100),
        ],
        """ACCEPTED 1 1@45000 leaves 1
        TRACKING 1 from 44000
        TRIGGERED 1 1@45000 leaves 1""",
    ),
    Case(
        "T6 T7 STOP_LOSS_LIMIT SELL with an activation price",
        path(40_000),
        [
            stop_limit(1, ALICE, SELL, 1, 38_000, 39_000, trailing_bips=1000),
            *path(41_500, 39_000, 37_000, 41_000, 36_901, 36_900),
        ],
        """ACCEPTED 1 1@38000 leaves 1
        TRACKING 1 from 39000
        TRIGGERED 1 1@38000 leaves 1""",
    ),
    Case(
        "T6 T7 TAKE_PROFIT_LIMIT BUY with an activation price",
        path(40_000),
        [
            stop_limit(1, ALICE, BUY, 1, 38_500, 38_000, profit=True, trailing_bips=850),
            *path(42_000, 38_000, 37_000, 39_000, 38_000, 40_144, 40_145),
        ],
        """ACCEPTED 1 1@38500 leaves 1
        TRACKING 1 from 38000
        TRIGGERED 1 1@38500 leaves 1""",
    ),
    Case(
        "T6 T7 TAKE_PROFIT_LIMIT SELL with an activation price",
        path(40_000),
        [
            stop_limit(1, ALICE, SELL, 1, 41_000, 42_000, profit=True, trailing_bips=750),
            *path(41_500, 39_000, 42_000, 45_000, 44_000, 46_500, 43_013, 43_012),
        ],
        """ACCEPTED 1 1@41000 leaves 1
        TRACKING 1 from 42000
        TRIGGERED 1 1@41000 leaves 1""",
    ),
    Case(
        "T6 without an activation price it tracks from the last price on",
        path(40_000),
        [
            stop_limit(1, ALICE, SELL, 1, 39_000, 0, trailing_bips=700),
            *path(42_000, 39_500, 45_500, 42_316, 42_315),
        ],
        """ACCEPTED 1 1@39000 leaves 1
        TRIGGERED 1 1@39000 leaves 1""",
    ),
]
ICEBERGS = [
    Case(
        "I1 I2 shows anew at the tail",
        [limit(1, ALICE, SELL, 5, 110, display_lots=2), limit(2, BOB, SELL, 1, 110)],
        [limit(3, CAROL, BUY, 4, 110)],
        """ACCEPTED 3 4@110 leaves 4
        TRADE 3 x 1 2@110 leaves 2/3
        TRADE 3 x 2 1@110 leaves 1/0
        TRADE 3 x 1 1@110 leaves 0/2""",
    ),
    Case(
        "R2b R4 R5a",
        [],
        [
            limit(1, ALICE, SELL, 5, 110, IOC, display_lots=2),
            market(2, ALICE, SELL, 5, display_lots=2),
            limit(3, ALICE, SELL, 301, 110, display_lots=3),
            limit(4, ALICE, SELL, 300, 110, display_lots=3),
        ],
        """REJECTED 1 INVALID_COMMAND 5@110 leaves 0
        REJECTED 2 INVALID_COMMAND 5@0 leaves 0
        REJECTED 3 ICEBERG_PARTS 301@110 leaves 0
        ACCEPTED 4 300@110 leaves 300""",
    ),
    Case(
        "I4 S4 meets what is shown",
        [limit(1, ALICE, SELL, 5, 110, display_lots=2), limit(2, BOB, SELL, 1, 110)],
        [limit(3, ALICE, BUY, 3, 110, stp_mode=StpMode.DECREMENT)],
        """ACCEPTED 3 3@110 leaves 3
        PREVENTED 3 x 1 2@110 leaves 1/3
        TRADE 3 x 2 1@110 leaves 0/0""",
    ),
]
PEGS = [
    Case(
        "K1 K3 K5 the best and the level behind it, of either side",
        [
            limit(1, BOB, BUY, 5, 90),
            limit(2, BOB, BUY, 5, 80),
            limit(3, BOB, SELL, 1, 110),
            limit(4, BOB, SELL, 1, 111),
        ],
        [
            limit(5, ALICE, BUY, 1, 0, peg_type=PegType.PRIMARY_PEG),
            limit(6, ALICE, BUY, 1, 0, peg_type=PegType.PRIMARY_PEG, peg_offset=1),
            limit(7, ALICE, BUY, 2, 0, IOC, peg_type=PegType.MARKET_PEG, peg_offset=1),
            limit(8, ALICE, SELL, 1, 0, peg_type=PegType.PRIMARY_PEG),
        ],
        """ACCEPTED 5 1@90 leaves 1
        ACCEPTED 6 1@80 leaves 1
        ACCEPTED 7 2@111 leaves 2
        TRADE 7 x 3 1@110 leaves 1/0
        TRADE 7 x 4 1@111 leaves 0/0
        REJECTED 8 PEG_UNAVAILABLE 1@0 leaves 0""",
    ),
    Case(
        "K3 K4 a stop order chooses when it triggers",
        [limit(1, BOB, BUY, 5, 90), stop_limit(2, ALICE, BUY, 1, 0, 110, peg_type=PegType.PRIMARY_PEG)],
        [limit(3, BOB, BUY, 1, 95), *path(110), cancel(2, ALICE)],
        """ACCEPTED 3 1@95 leaves 1
        TRIGGERED 2 1@95 leaves 1
        CANCELED 2 USER_CANCELED 1@95 leaves 1""",
    ),
    Case(
        "K4 nothing to peg to, or too dear",
        [
            stop_limit(1, ALICE, SELL, 1, 0, 110, profit=True, peg_type=PegType.MARKET_PEG),
            stop_limit(2, ALICE, BUY, 2, 0, 110, peg_type=PegType.MARKET_PEG, quote_units=2399),
        ],
        [limit(3, BOB, SELL, 1, 120), *path(110)],
        """ACCEPTED 3 1@120 leaves 1
        TRIGGERED 1 1@0 leaves 1
        EXPIRED 1 PEG_UNAVAILABLE 1@0 leaves 1
        TRIGGERED 2 2@120 leaves 2
        EXPIRED 2 PEG_BUDGET 2@120 leaves 2""",
    ),
]
PAIRS = [
    Case(
        "L3 L4 the limit leg trades, the stop leg goes",
        [*SELL_PAIR],
        [limit(3, BOB, BUY, 2, 110)],
        """ACCEPTED 3 2@110 leaves 2
        TRADE 3 x 1 2@110 leaves 0/3
        EXPIRED 2 OCO_TRIGGER 5@89 leaves 5""",
    ),
    Case(
        "L5 the stop leg triggers, the limit leg goes before anything is matched",
        [*SELL_PAIR, limit(3, BOB, BUY, 2, 89)],
        path(90),
        """TRIGGERED 2 5@89 leaves 5
        EXPIRED 1 OCO_TRIGGER 5@110 leaves 5
        TRADE 2 x 3 2@89 leaves 3/0""",
    ),
    Case(
        "L6 L8 L9 amended and canceled together",
        [*SELL_PAIR],
        [amend(2, ALICE, 4), cancel(1, ALICE), cancel(2, ALICE)],
        """AMENDED 1 4@110 leaves 4
        AMENDED 2 4@89 leaves 4
        CANCELED 2 OCO_CANCELED 4@89 leaves 4
        CANCELED 1 USER_CANCELED 4@110 leaves 4
        REJECTED 2 UNKNOWN_ORDER 0@0 leaves 0""",
    ),
    Case(
        "L1 L2 both or neither",
        [limit(9, BOB, BUY, 1, 95)],
        [
            *pair(maker_only(1, ALICE, SELL, 5, 95), stop_limit(2, ALICE, SELL, 5, 89, 90)),
            *pair(stop_limit(3, ALICE, SELL, 5, 89, 100), maker_only(4, ALICE, SELL, 5, 110)),
            *pair(maker_only(5, ALICE, SELL, 5, 99), stop_limit(6, ALICE, SELL, 5, 89, 90)),
            *pair(maker_only(7, ALICE, SELL, 5, 110), stop_limit(8, ALICE, SELL, 4, 89, 90)),
        ],
        """REJECTED 1 WOULD_TAKE 5@95 leaves 0
        REJECTED 2 OCO_PAIR_REFUSED 5@89 leaves 0
        REJECTED 3 STOP_WOULD_TRIGGER 5@89 leaves 0
        REJECTED 4 OCO_PAIR_REFUSED 5@110 leaves 0
        REJECTED 5 OCO_PRICES 5@99 leaves 0
        REJECTED 6 OCO_PRICES 5@89 leaves 0
        REJECTED 7 INVALID_COMMAND 5@110 leaves 0
        REJECTED 8 INVALID_COMMAND 4@89 leaves 0""",
    ),
]
ONLY_NEW = {"cancel_restriction": CancelRestriction.ONLY_NEW}
ONLY_FILLED = {"cancel_restriction": CancelRestriction.ONLY_PARTIALLY_FILLED}
COMMANDS = [
    Case(
        "C4 what was prevented is not filled",
        [limit(1, ALICE, SELL, 5, 110), limit(2, ALICE, BUY, 1, 110, IOC, stp_mode=StpMode.DECREMENT)],
        [
            cancel(1, ALICE, **ONLY_FILLED),
            limit(3, BOB, BUY, 1, 110),
            cancel(1, ALICE, **ONLY_NEW),
            cancel(1, ALICE, **ONLY_FILLED),
        ],
        """REJECTED 1 CANCEL_RESTRICTED 0@0 leaves 0
        ACCEPTED 3 1@110 leaves 1
        TRADE 3 x 1 1@110 leaves 0/3
        REJECTED 1 CANCEL_RESTRICTED 0@0 leaves 0
        CANCELED 1 USER_CANCELED 5@110 leaves 3""",
    ),
    Case(
        "P1 P3 P4 the three modes when the new order is refused, or the cancel is",
        [limit(1, ALICE, SELL, 5, 110), limit(2, ALICE, SELL, 5, 110), limit(9, BOB, BUY, 1, 90)],
        [
            replace(1, maker_only(3, ALICE, SELL, 5, 90)),
            replace(1, maker_only(4, ALICE, SELL, 5, 90), flags=CommandFlag.STOP_ON_FAILURE),
            replace(1, limit(5, ALICE, SELL, 5, 111), flags=CommandFlag.STOP_ON_FAILURE),
            replace(1, limit(6, ALICE, SELL, 5, 111), flags=CommandFlag.ALLOW_FAILURE),
            replace(2, limit(7, ALICE, SELL, 5, 111), **ONLY_FILLED, flags=CommandFlag.ALLOW_FAILURE),
        ],
        """REJECTED 3 WOULD_TAKE 5@90 leaves 0
        CANCELED 1 REPLACED 5@110 leaves 5
        REJECTED 4 WOULD_TAKE 5@90 leaves 0
        REJECTED 5 UNKNOWN_ORDER 5@111 leaves 0
        REJECTED 1 UNKNOWN_ORDER 0@0 leaves 0
        ACCEPTED 6 5@111 leaves 5
        REJECTED 2 CANCEL_RESTRICTED 0@0 leaves 0
        ACCEPTED 7 5@111 leaves 5""",
    ),
    Case(
        "A2 MAX_NUM_ORDER_AMENDS",
        [limit(1, ALICE, SELL, 5, 110)],
        [amend(1, ALICE, 4), amend(1, ALICE, 3), amend(1, ALICE, 2)],
        """AMENDED 1 4@110 leaves 4
        AMENDED 1 3@110 leaves 3
        REJECTED 1 MAX_NUM_ORDER_AMENDS 0@0 leaves 0""",
        msgspec.structs.replace(WIDE, max_num_order_amends=2),
    ),
    Case(
        "R7 R7a PERCENT_PRICE stands beside the filter by side",
        [],
        [limit(1, ALICE, SELL, 1, 131), limit(2, ALICE, BUY, 1, 69), limit(3, ALICE, BUY, 1, 70)],
        """REJECTED 1 PERCENT_PRICE 1@131 leaves 0
        REJECTED 2 PERCENT_PRICE_BY_SIDE 1@69 leaves 0
        ACCEPTED 3 1@70 leaves 1""",
        msgspec.structs.replace(
            WIDE,
            percent_multiplier_up_ppm=1_300_000,
            percent_multiplier_down_ppm=700_000,
            bid_multiplier_down_ppm=695_000,
        ),
    ),
]
CASES = [*STOPS, *TRAILING, *ICEBERGS, *PEGS, *PAIRS, *COMMANDS]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.ids)
@pytest.mark.parametrize("make", [Book, NaiveBook])
def test_market_table(case: Case, make: type[Book] | type[NaiveBook]) -> None:
    assert play(case, make(case.filters, SYMBOL_ID)) == [line.strip() for line in case.events.splitlines()]


def test_depth_shows_what_an_iceberg_shows() -> None:
    """I1, I5."""
    book = Book(WIDE, SYMBOL_ID)
    book.apply(commands([limit(1, ALICE, SELL, 50, 110, display_lots=5), limit(2, BOB, BUY, 2, 110)]))
    assert book.depth(SELL).tolist() == [(110, 3, 1)]
    book.apply(commands([amend(1, ALICE, 10)]))
    assert book.depth(SELL).tolist() == [(110, 3, 1)]
    book.apply(commands([amend(1, ALICE, 4)]))
    assert book.depth(SELL).tolist() == [(110, 2, 1)]


def test_waiting_orders_are_not_in_the_depth() -> None:
    """T2; a restart keeps them waiting."""
    book = Book(WIDE, SYMBOL_ID)
    book.apply(commands([*path(100), *SELL_PAIR, stop_market(3, BOB, BUY, 1, 0, trailing_bips=100)]))
    assert book.depth(SELL).tolist() == [(110, 5, 1)]
    assert not len(book.depth(BUY))
    assert book.live_orders == 3
    book = Book.restore(WIDE, SYMBOL_ID, book.snapshot())
    events = book.apply(commands(trade(90, 500)))
    assert [event["order_id"] for event in events if event["kind"] == EventKind.TRIGGERED] == [2]


def test_prevented_matches_are_numbered() -> None:
    """G2: in a count of their own, the EXPIREDs they cause with them."""
    book = Book(WIDE, SYMBOL_ID)
    book.apply(commands([limit(1, ALICE, SELL, 1, 110), limit(2, ALICE, SELL, 9, 111)]))
    events = book.apply(commands([limit(3, ALICE, BUY, 5, 111, stp_mode=StpMode.DECREMENT)]))
    assert [(EventKind(one["kind"]).name, one["order_id"], one["trade_id"]) for one in events] == [
        ("ACCEPTED", 3, 0),
        ("PREVENTED", 3, 1),
        ("EXPIRED", 1, 1),
        ("PREVENTED", 3, 2),
        ("EXPIRED", 3, 2),
    ]
    assert book.prevented_id == 2


@pytest.mark.parametrize("ord_type", [one for one in OrdType if one >= OrdType.STOP_LOSS])
def test_a_halted_book_keeps_its_stops(ord_type: OrdType) -> None:
    """R1, T9."""
    book = Book(WIDE, SYMBOL_ID)
    stop = stop_limit(1, ALICE, BUY, 1, 120, 110) | {"ord_type": ord_type}
    book.apply(commands([stop]))
    book.halted = True
    (refused,) = book.apply(commands([stop | {"order_id": 2}]))
    assert refused["reason"] == Reason.SYMBOL_HALTED
    assert book.live_orders == 1
