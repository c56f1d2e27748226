"""The oracle itself, by market tables: a book, commands, and the events that SEMANTICS.md promises."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from market.enums import CommandFlag, CommandKind, Side, StpMode, TimeInForce
from tests.reference.build import (
    SYMBOL_ID,
    TINY,
    amend,
    by_quote,
    cancel,
    cancel_all,
    commands,
    difference,
    event_array,
    limit,
    maker_only,
    market,
    replace,
    told,
)
from tests.reference.naive_book import NaiveBook

BUY, SELL = Side
IOC, FOK = TimeInForce.IOC, TimeInForce.FOK
ALICE, BOB, CAROL = 1, 2, 3
ASKS = [limit(1, ALICE, SELL, 4, 10), limit(2, BOB, SELL, 3, 10), limit(3, ALICE, SELL, 5, 11)]

MIRROR = [limit(i, ALICE, side, 4, p) for i, side, p in ((1, SELL, 11), (2, SELL, 10), (3, BUY, 8), (4, BUY, 9))]


def stp(mode: StpMode) -> dict[str, Any]:
    return {"stp_mode": mode}


@dataclass(frozen=True)
class Case:
    ids: str
    book: list[dict[str, Any]]
    then: list[dict[str, Any]]
    events: str
    bids: str = "-"
    asks: str = "-"


FULL = "4@10 3@10 5@11"
CASES = [
    Case("N1 N4", [], [limit(1, ALICE, BUY, 4, 10)], "ACCEPTED 1 4@10 leaves 4", bids="4@10"),
    Case(
        "N2 N3 N4 G6",
        ASKS,
        [limit(9, CAROL, BUY, 9, 10)],
        """ACCEPTED 9 9@10 leaves 9
        TRADE 9 x 1 4@10 leaves 5/0
        TRADE 9 x 2 3@10 leaves 2/0""",
        bids="2@10",
        asks="5@11",
    ),
    Case(
        "N5",
        ASKS,
        [limit(9, CAROL, BUY, 9, 10, IOC)],
        """ACCEPTED 9 9@10 leaves 9
        TRADE 9 x 1 4@10 leaves 5/0
        TRADE 9 x 2 3@10 leaves 2/0
        EXPIRED 9 IOC_UNFILLED 9@10 leaves 2""",
        asks="5@11",
    ),
    Case(
        "N6 not fillable",
        ASKS,
        [limit(9, CAROL, BUY, 8, 10, FOK)],
        """ACCEPTED 9 8@10 leaves 8
        EXPIRED 9 FOK_UNFILLED 8@10 leaves 8""",
        asks=FULL,
    ),
    Case(
        "N6 fillable",
        ASKS,
        [limit(9, CAROL, BUY, 5, 10, FOK)],
        """ACCEPTED 9 5@10 leaves 5
        TRADE 9 x 1 4@10 leaves 1/0
        TRADE 9 x 2 1@10 leaves 0/2""",
        asks="2@10 5@11",
    ),
    Case(
        "N7 INSUFFICIENT_LIQUIDITY",
        ASKS[:1],
        [market(9, CAROL, BUY, 5)],
        """ACCEPTED 9 5@0 leaves 5
        TRADE 9 x 1 4@10 leaves 1/0
        EXPIRED 9 INSUFFICIENT_LIQUIDITY 5@0 leaves 1""",
    ),
    Case(
        "N7 BUDGET_EXHAUSTED: 250 units buy 2 lots at 100",
        ASKS,
        [market(9, CAROL, BUY, 5, budget=250)],
        """ACCEPTED 9 5@0 leaves 5
        TRADE 9 x 1 2@10 leaves 3/2
        EXPIRED 9 BUDGET_EXHAUSTED 5@0 leaves 3""",
        asks="2@10 3@10 5@11",
    ),
    Case(
        "N7 a SELL has no budget",
        [limit(1, ALICE, BUY, 4, 10)],
        [market(9, CAROL, SELL, 4, budget=1)],
        """ACCEPTED 9 4@0 leaves 4
        TRADE 9 x 1 4@10 leaves 0/0""",
    ),
    Case(
        "N8 N9 QUOTE_SPENT",
        ASKS,
        [by_quote(9, CAROL, BUY, 850)],
        """ACCEPTED 9 0@0 leaves 0
        TRADE 9 x 1 4@10 leaves 0/0
        TRADE 9 x 2 3@10 leaves 0/0
        TRADE 9 x 3 1@11 leaves 0/4
        EXPIRED 9 QUOTE_SPENT 0@0 leaves 0""",
        asks="4@11",
    ),
    Case(
        "N8 cap used up, amount not",
        ASKS,
        [by_quote(9, CAROL, BUY, 850, cap=5)],
        """ACCEPTED 9 5@0 leaves 5
        TRADE 9 x 1 4@10 leaves 1/0
        TRADE 9 x 2 1@10 leaves 0/2
        EXPIRED 9 BUDGET_EXHAUSTED 5@0 leaves 0""",
        asks="2@10 5@11",
    ),
    Case(
        "N8 nothing left to spend is told before an empty side",
        ASKS[:1],
        [by_quote(9, CAROL, BUY, 400, cap=4)],
        """ACCEPTED 9 4@0 leaves 4
        TRADE 9 x 1 4@10 leaves 0/0
        EXPIRED 9 QUOTE_SPENT 4@0 leaves 0""",
    ),
    Case(
        "S0",
        ASKS[:1],
        [limit(9, ALICE, BUY, 4, 10)],
        """ACCEPTED 9 4@10 leaves 4
        TRADE 9 x 1 4@10 leaves 0/0""",
    ),
    Case(
        "S1",
        ASKS,
        [limit(9, BOB, BUY, 6, 10, **stp(StpMode.EXPIRE_TAKER))],
        """ACCEPTED 9 6@10 leaves 6
        TRADE 9 x 1 4@10 leaves 2/0
        PREVENTED 9 x 2 0@10 leaves 2/3
        EXPIRED 9 SELF_TRADE_PREVENTION 6@10 leaves 2""",
        asks="3@10 5@11",
    ),
    Case(
        "S2",
        ASKS,
        [limit(9, ALICE, BUY, 6, 10, **stp(StpMode.EXPIRE_MAKER))],
        """ACCEPTED 9 6@10 leaves 6
        PREVENTED 9 x 1 0@10 leaves 6/4
        EXPIRED 1 SELF_TRADE_PREVENTION 4@10 leaves 4
        TRADE 9 x 2 3@10 leaves 3/0""",
        bids="3@10",
        asks="5@11",
    ),
    Case(
        "S3",
        ASKS,
        [limit(9, ALICE, BUY, 6, 10, **stp(StpMode.EXPIRE_BOTH))],
        """ACCEPTED 9 6@10 leaves 6
        PREVENTED 9 x 1 0@10 leaves 6/4
        EXPIRED 1 SELF_TRADE_PREVENTION 4@10 leaves 4
        EXPIRED 9 SELF_TRADE_PREVENTION 6@10 leaves 6""",
        asks="3@10 5@11",
    ),
    Case(
        "S4 S5 the maker goes, the taker trades on",
        ASKS,
        [limit(9, ALICE, BUY, 6, 10, **stp(StpMode.DECREMENT))],
        """ACCEPTED 9 6@10 leaves 6
        PREVENTED 9 x 1 4@10 leaves 2/0
        EXPIRED 1 SELF_TRADE_PREVENTION 4@10 leaves 0
        TRADE 9 x 2 2@10 leaves 0/1""",
        asks="1@10 5@11",
    ),
    Case(
        "S4 both reach 0",
        ASKS[:1],
        [limit(9, ALICE, BUY, 4, 10, **stp(StpMode.DECREMENT))],
        """ACCEPTED 9 4@10 leaves 4
        PREVENTED 9 x 1 4@10 leaves 0/0
        EXPIRED 1 SELF_TRADE_PREVENTION 4@10 leaves 0
        EXPIRED 9 SELF_TRADE_PREVENTION 4@10 leaves 0""",
    ),
    Case(
        "S4 by quote without a cap: as S1",
        ASKS[:1],
        [by_quote(9, ALICE, BUY, 400, **stp(StpMode.DECREMENT))],
        """ACCEPTED 9 0@0 leaves 0
        PREVENTED 9 x 1 0@10 leaves 0/4
        EXPIRED 9 SELF_TRADE_PREVENTION 0@0 leaves 0""",
        asks="4@10",
    ),
    Case(
        "S6 own orders do not count",
        ASKS,
        [limit(9, ALICE, BUY, 4, 10, FOK, **stp(StpMode.EXPIRE_MAKER))],
        """ACCEPTED 9 4@10 leaves 4
        EXPIRED 9 FOK_UNFILLED 4@10 leaves 4""",
        asks=FULL,
    ),
    Case(
        "S6 an own order behind the complete quantity does not hurt",
        ASKS,
        [limit(9, BOB, BUY, 4, 10, FOK, **stp(StpMode.EXPIRE_BOTH))],
        """ACCEPTED 9 4@10 leaves 4
        TRADE 9 x 1 4@10 leaves 0/0""",
        asks="3@10 5@11",
    ),
    Case("C1", ASKS, [cancel(2, BOB)], "CANCELED 2 USER_CANCELED 3@10 leaves 3", asks="4@10 5@11"),
    Case("C2 another's", ASKS, [cancel(2, ALICE)], "REJECTED 2 UNKNOWN_ORDER 0@0 leaves 0", asks=FULL),
    Case(
        "C3",
        [*MIRROR, limit(5, BOB, BUY, 4, 9)],
        [cancel_all(ALICE), cancel_all(CAROL)],
        """CANCELED 4 USER_CANCELED 4@9 leaves 4
        CANCELED 3 USER_CANCELED 4@8 leaves 4
        CANCELED 2 USER_CANCELED 4@10 leaves 4
        CANCELED 1 USER_CANCELED 4@11 leaves 4
        REJECTED 0 UNKNOWN_ORDER 0@0 leaves 0""",
        bids="4@9",
    ),
    Case(
        "A1 keeps its place, counts what is filled",
        [*ASKS, market(8, CAROL, BUY, 1)],
        [amend(1, ALICE, 3), amend(1, ALICE, 1), amend(1, ALICE, 3), market(9, CAROL, BUY, 2)],
        """AMENDED 1 3@10 leaves 2
        REJECTED 1 AMEND_NOT_REDUCED 0@0 leaves 0
        REJECTED 1 AMEND_NOT_REDUCED 0@0 leaves 0
        ACCEPTED 9 2@0 leaves 2
        TRADE 9 x 1 2@10 leaves 0/0""",
        asks="3@10 5@11",
    ),
    Case(
        "A2 LOT_SIZE, NOTIONAL",
        [limit(1, ALICE, BUY, 4, 2)],
        [amend(1, ALICE, 0), amend(1, ALICE, 1), amend(1, ALICE, 2), amend(1, ALICE, 3)],
        """REJECTED 1 AMEND_NOT_REDUCED 0@0 leaves 0
        REJECTED 1 LOT_SIZE 0@0 leaves 0
        REJECTED 1 NOTIONAL 0@0 leaves 0
        AMENDED 1 3@2 leaves 3""",
        bids="3@2",
    ),
    Case(
        "P1 ORDER_CHANGED",
        ASKS,
        [replace(1, limit(9, ALICE, SELL, 4, 12), 3)],
        "REJECTED 9 ORDER_CHANGED 4@12 leaves 0",
        asks=FULL,
    ),
    Case(
        "P1 R8 does not see the target; P2",
        [limit(1, ALICE, SELL, 4, 10)],
        [replace(1, maker_only(9, ALICE, BUY, 4, 12), 4)],
        """CANCELED 1 REPLACED 4@10 leaves 4
        ACCEPTED 9 4@12 leaves 4""",
        bids="4@12",
    ),
    Case(
        "R2 an unknown kind",
        [],
        [{"kind": 10, "order_id": 5, "qty_lots": 3}],
        "REJECTED 5 INVALID_COMMAND 0@0 leaves 0",
    ),
    Case("R2 over R3", [], [limit(1, ALICE, BUY, 4, -1)], "REJECTED 1 INVALID_COMMAND 4@-1 leaves 0"),
    Case("R3 over R4", [], [limit(1, ALICE, BUY, 11, 21)], "REJECTED 1 PRICE_FILTER 11@21 leaves 0"),
    Case("R4 over R6", [], [limit(1, ALICE, BUY, 11, 20)], "REJECTED 1 LOT_SIZE 11@20 leaves 0"),
    Case("R5", [], [market(1, ALICE, BUY, 9)], "REJECTED 1 MARKET_LOT_SIZE 9@0 leaves 0"),
    Case("R6", [], [limit(1, ALICE, BUY, 4, 1)], "REJECTED 1 NOTIONAL 4@1 leaves 0"),
    Case(
        "R6 market by quantity is not looked at before the first trade",
        [],
        [market(1, ALICE, BUY, 1)],
        """ACCEPTED 1 1@0 leaves 1
        EXPIRED 1 INSUFFICIENT_LIQUIDITY 1@0 leaves 1""",
    ),
    Case(
        "R7 last 5: BUY within [5/3, 15], SELL within [2.5, 10]",
        [limit(1, ALICE, SELL, 4, 5), limit(2, BOB, BUY, 4, 5)],
        [limit(i, ALICE, BUY, 5, p) for i, p in ((3, 1), (4, 2))]
        + [limit(i, ALICE, SELL, 4, p) for i, p in ((5, 11), (6, 10))],
        """REJECTED 3 PERCENT_PRICE_BY_SIDE 5@1 leaves 0
        ACCEPTED 4 5@2 leaves 5
        REJECTED 5 PERCENT_PRICE_BY_SIDE 4@11 leaves 0
        ACCEPTED 6 4@10 leaves 4""",
        bids="5@2",
        asks="4@10",
    ),
    Case("R8", ASKS, [maker_only(9, CAROL, BUY, 4, 10)], "REJECTED 9 WOULD_TAKE 4@10 leaves 0", asks=FULL),
    Case(
        "R9 but IOC passes, REPLACE does not see its target",
        [*ASKS, limit(4, BOB, SELL, 5, 12), limit(5, BOB, SELL, 5, 13)],
        [
            limit(9, CAROL, BUY, 4, 10),
            limit(9, CAROL, BUY, 2, 3, IOC),
            replace(4, limit(9, BOB, SELL, 6, 12)),
        ],
        """REJECTED 9 BOOK_FULL 4@10 leaves 0
        ACCEPTED 9 2@3 leaves 2
        EXPIRED 9 IOC_UNFILLED 2@3 leaves 2
        CANCELED 4 REPLACED 5@12 leaves 5
        ACCEPTED 9 6@12 leaves 6""",
        asks=FULL + " 6@12 5@13",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.ids)
def test_market_table(case: Case) -> None:
    book = NaiveBook(TINY, SYMBOL_ID, max_live_orders=5)
    book.apply(commands(case.book))

    events = book.apply(commands(case.then))

    assert [told(event) for event in events] == [line.strip() for line in case.events.splitlines()]
    resting = {
        side: " ".join(f"{o.leaves_lots}@{o.price_ticks}" for o in book.orders() if o.side == side) for side in Side
    }
    assert (resting[BUY] or "-", resting[SELL] or "-") == (case.bids, case.asks)


def test_r1_halted_refuses_all_but_cancels() -> None:
    book = NaiveBook(TINY, SYMBOL_ID)
    book.apply(commands(ASKS))
    book.halted = True

    events = book.apply(
        commands(
            [
                limit(9, CAROL, BUY, -4, 10, time_in_force=7),
                replace(99, limit(9, CAROL, BUY, 4, 10)),
                amend(99, ALICE, 3),
            ]
        )
    )
    assert [told(event) for event in events] == [
        "REJECTED 9 SYMBOL_HALTED -4@10 leaves 0",
        "REJECTED 9 SYMBOL_HALTED 4@10 leaves 0",
        "REJECTED 99 SYMBOL_HALTED 0@0 leaves 0",
    ]
    assert len(book.apply(commands([cancel(2, BOB), cancel_all(ALICE)]))) == 3


def test_every_field_of_a_trade() -> None:
    """N2, G2, G3."""
    book = NaiveBook(TINY, SYMBOL_ID)
    taker = limit(9, BOB, BUY, 6, 12, stp_mode=StpMode.DECREMENT, flags=CommandFlag.BY_CLIENT_ORDER_ID)

    events = event_array(book.apply(commands([limit(1, ALICE, SELL, 4, 10), taker])))

    trade = events[2]
    assert {name: trade[name] for name in trade.dtype.names if trade[name]} == {
        "kind": 2,
        "stp_mode": StpMode.DECREMENT,
        "flags": CommandFlag.BY_CLIENT_ORDER_ID,
        "symbol": SYMBOL_ID,
        "account": BOB,
        "order_id": 9,
        "price_ticks": 10,
        "qty_lots": 4,
        "leaves_lots": 2,
        "quote_units": 400,
        "maker_order_id": 1,
        "maker_account": ALICE,
        "command_index": 1,
        "exec_id": 3,
        "trade_id": 1,
        "maker_fee_ppm": 100,
        "taker_fee_ppm": 2000,
    }


def test_ids_go_on_through_batches() -> None:
    """G2."""
    book = NaiveBook(TINY, SYMBOL_ID)
    first = book.apply(commands([limit(1, ALICE, SELL, 4, 10), limit(2, BOB, BUY, 2, 10)]))
    second = book.apply(commands([limit(3, BOB, BUY, 2, 10), cancel(3, BOB)]))
    assert [e.exec_id for e in first + second] == [1, 2, 3, 4, 5, 6]
    assert [e.trade_id for e in first + second] == [0, 0, 1, 0, 2, 0]
    assert second[-1].command_kind == CommandKind.CANCEL
    assert second[-1].command_index == 1


def test_difference_names_the_field_and_the_command() -> None:
    batch = commands([limit(1, ALICE, SELL, 4, 10)])
    expected = event_array(NaiveBook(TINY, SYMBOL_ID).apply(batch))
    assert difference(batch, expected, expected) == ""
    got = expected.copy()
    got["leaves_lots"] = 3
    assert "leaves_lots: 3, oracle 4" in difference(batch, got, expected)
    assert "'order_id': 1" in difference(batch, got, expected)
    assert "1 events, the oracle tells 0" in difference(batch, got, np.empty(0, got.dtype))
