"""The hybrid book by market tables, told by the engine and by the oracle alike: what a real venue shows and trades
between the users' orders, and what becomes of their queues.

Case ids are those of market/book/SEMANTICS.md; events are written as `told` writes them. The outside is written level by
level, bids first, each best first: `bid 8@100`, with what is taken, printed and unclaimed: `ask 8-3@101 p2 d1`. Queues are
written `order:ahead/by_trades/by_cancels`.
"""

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pytest

from market.book import Book
from market.enums import CommandKind, EventKind, FillModel, PegType, Side, StpMode, TimeInForce
from market.instrument import PPM
from market.numbering import OUTSIDE_ACCOUNT
from market.reasons import Reason
from tests.reference.build import (
    SYMBOL_ID,
    TINY,
    amend,
    by_quote,
    cancel,
    cancel_all,
    commands,
    event_array,
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
    told,
)
from tests.reference.naive_book import NaiveBook

Row = dict[str, Any]
BUY, SELL = Side
IOC, FOK = TimeInForce.IOC, TimeInForce.FOK
ALICE, BOB, CAROL, DAVE = 1, 2, 3, 4
UNITS = 10
"""Quote units of one tick x lot."""

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
)
BACK, TOUCH, THROUGH = ({"flags": fill_model(model)} for model in (FillModel.BACK, FillModel.TOUCH, FillModel.THROUGH))

both = pytest.mark.parametrize("make", [NaiveBook, Book])
Make = type[Book] | type[NaiveBook]


def play(book: Book | NaiveBook, *rows: Row) -> list[str]:
    return [told(event) for event in apply(book, *rows)]


def apply(book: Book | NaiveBook, *rows: Row) -> np.ndarray:
    events = book.apply(commands(rows))
    return event_array(events) if isinstance(events, list) else events


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


def rows_of(levels: Any) -> list[tuple[int, ...]]:
    return [tuple(level) for level in levels]


def outside_of(book: Book | NaiveBook) -> str:
    levels = []
    for side, price, shown, taken, printed, unclaimed in rows_of(book.outside()):
        marks = [f"-{taken}" if taken else "", f" p{printed}" if printed else "", f" d{unclaimed}" if unclaimed else ""]
        levels.append(f"{'ask' if side else 'bid'} {shown}{marks[0]}@{price}{marks[1]}{marks[2]}")
    return ", ".join(levels)


def queues_of(book: Book | NaiveBook) -> str:
    """Of the orders that have figures, in order of their ids."""
    names = ("order_id", "ahead_lots", "by_trades_lots", "by_cancels_lots")
    if isinstance(book, NaiveBook):
        rows = [tuple(getattr(order, name) for name in names) for order in book.orders()]
    else:
        rows = [tuple(row[name] for name in names) for row in book.orders()]
    return " ".join(f"{who}:{a}/{t}/{c}" for who, a, t, c in sorted(rows) if a >= 0)


@dataclass(frozen=True)
class Case:
    ids: str
    rests: list[Row]
    comes: list[Row]
    events: str = ""
    outside: str = ""
    queues: str = ""


bid_8 = outside_level(BUY, 8, 100)
ask_5 = outside_level(SELL, 5, 100)
first = limit(1, ALICE, BUY, 4, 100)
seller = limit(1, ALICE, SELL, 2, 100)

LEVELS = [
    Case("O2 O2c a level comes", [], [bid_8], outside="bid 8@100"),
    Case("O2a it goes", [bid_8], [outside_level(BUY, 0, 100)]),
    Case("O2a what is not there cannot go", [bid_8], [outside_level(BUY, 0, 99)], outside="bid 8@100"),
    Case(
        "O2a with it what stood ahead, as canceled",
        [bid_8, first],
        [outside_level(BUY, 0, 100)],
        queues="1:0/0/8",
    ),
    Case(
        "O2a out of sight: the queue stays as it was",
        [bid_8, first],
        [outside_level(BUY, 0, 100, edge=True)],
        queues="1:8/0/0",
    ),
    Case(
        "O2a a level out of sight is told to be gone",
        [bid_8, first, outside_level(BUY, 0, 100, edge=True)],
        [outside_level(BUY, 0, 100)],
        queues="1:0/0/8",
    ),
    Case(
        "O2b the newer news is right: what crosses or locks goes, with its queues",
        [outside_level(SELL, 5, price) for price in (100, 101, 102)]
        + [limit(1, ALICE, SELL, 2, 101), limit(2, BOB, SELL, 2, 102)],
        [outside_level(BUY, 1, 101)],
        """QUEUED 1 ahead 0 trades 0 cancels 5 @101 leaves 2
        TRADE bid:101 x 1 1@101 leaves 0/1""",
        outside="bid 1-1@101, ask 5@102",
        queues="1:0/0/5 2:5/0/0",
    ),
    Case(
        "O2b bids too",
        [outside_level(BUY, 5, price) for price in (98, 99, 100)],
        [outside_level(SELL, 1, 99)],
        outside="bid 5@98, ask 1@99",
    ),
    Case(
        "O2b eaten levels too",
        [ask_5, market(9, BOB, BUY, 5)],
        [outside_level(BUY, 1, 100)],
        outside="bid 1@100",
    ),
    Case(
        "O2a O2b nothing crosses a level that goes",
        [ask_5],
        [outside_level(BUY, 0, 101), outside_quote(BUY, 0, 0)],
        outside="ask 5@100",
    ),
    Case(
        "O2c it comes behind the orders that are there",
        [first, limit(2, BOB, BUY, 1, 100), limit(3, BOB, BUY, 1, 99)],
        [outside_level(BUY, 6, 100)],
        """QUEUED 1 ahead 0 trades 0 cancels 0 @100 leaves 4
        QUEUED 2 ahead 0 trades 0 cancels 0 @100 leaves 1""",
        outside="bid 6@100",
        queues="1:0/0/0 2:0/0/0",
    ),
    Case(
        "O2c it came into sight: it was there before them",
        [limit(k, ALICE, BUY, 1, 100, flags=fill_model(model)) for k, model in enumerate(FillModel, 1)],
        [outside_level(BUY, 6, 100, edge=True)],
        """QUEUED 1 ahead 6 trades 0 cancels 0 @100 leaves 1
        QUEUED 2 ahead 6 trades 0 cancels 0 @100 leaves 1
        QUEUED 3 ahead 0 trades 0 cancels 0 @100 leaves 1
        QUEUED 4 ahead 6 trades 0 cancels 0 @100 leaves 1""",
        outside="bid 6@100",
        queues="1:6/0/0 2:6/0/0 3:0/0/0 4:6/0/0",
    ),
    Case(
        "O2c back in sight with less: who has figures keeps them",
        [bid_8, first, outside_level(BUY, 0, 100, edge=True), limit(2, BOB, BUY, 1, 100)],
        [outside_level(BUY, 5, 100, edge=True)],
        "QUEUED 2 ahead 5 trades 0 cancels 0 @100 leaves 1",
        outside="bid 5@100",
        queues="1:5/0/3 2:5/0/0",
    ),
    Case(
        "O2c back in sight with more",
        [bid_8, first, outside_clear()],
        [outside_level(BUY, 9, 100)],
        outside="bid 9@100",
        queues="1:8/0/0",
    ),
    Case(
        "O2d more is shown: behind",
        [bid_8, first],
        [outside_level(BUY, 11, 100)],
        outside="bid 11@100",
        queues="1:8/0/0",
    ),
    Case(
        "O2d cancels, in proportion: 4 of 12 are gone, of the 8 ahead two and a bit",
        [bid_8, first, outside_level(BUY, 12, 100)],
        [outside_level(BUY, 8, 100)],
        outside="bid 8@100 d4",
        queues="1:6/0/2",
    ),
    Case(
        "O2d cancels, from the back as long as that is possible",
        [bid_8, first | BACK, outside_level(BUY, 12, 100)],
        [outside_level(BUY, 8, 100), outside_level(BUY, 7, 100)],
        outside="bid 7@100 d1",
        queues="1:7/0/1",
    ),
    Case(
        "O2d THROUGH has a queue as BACK has; TOUCH has none",
        [bid_8, first | THROUGH, limit(2, BOB, BUY, 1, 100, **TOUCH), outside_level(BUY, 12, 100)],
        [outside_level(BUY, 6, 100)],
        outside="bid 6@100 d6",
        queues="1:6/0/2 2:0/0/0",
    ),
    Case(
        "O2d what prints explain is no cancel",
        [bid_8, first, outside_trade(SELL, 3, 100)],
        [outside_level(BUY, 5, 100)],
        outside="bid 5@100",
        queues="1:5/3/0",
    ),
    Case(
        "O2d what prints explain in part: 1 of 9 - 3 was canceled, of the 5 ahead less than one",
        [bid_8, first, outside_level(BUY, 9, 100), outside_trade(SELL, 3, 100)],
        [outside_level(BUY, 5, 100)],
        outside="bid 5@100 d1",
        queues="1:5/3/0",
    ),
    Case(
        "O2d a print that the quantity does not show is forgotten",
        [bid_8, outside_trade(SELL, 3, 100)],
        [bid_8],
        outside="bid 8@100",
    ),
    Case(
        "O2d O1 what is taken stays taken, until less is shown",
        [outside_level(SELL, 10, 100), market(9, BOB, BUY, 4)],
        [outside_level(SELL, 6, 100), outside_level(SELL, 3, 100), outside_level(SELL, 5, 100)],
        outside="ask 5-3@100",
    ),
    Case(
        "O2d nobody has more ahead than there is",
        [outside_level(SELL, 10, 100), seller, market(9, BOB, BUY, 4)],
        [outside_level(SELL, 9, 100)],
        outside="ask 9-4@100 d1",
        queues="1:5/4/1",
    ),
]

CROSSINGS = [
    Case(
        "O2e at the users' prices, by price and time",
        [limit(1, ALICE, SELL, 4, 100), limit(2, BOB, SELL, 2, 99), limit(3, CAROL, SELL, 1, 100)],
        [outside_level(BUY, 5, 100)],
        """TRADE bid:100 x 2 2@99 leaves 3/0
        TRADE bid:100 x 1 3@100 leaves 0/1""",
        outside="bid 5-5@100",
    ),
    Case(
        "O2e a bid crossed by an ask",
        [limit(1, ALICE, BUY, 4, 101), limit(2, BOB, BUY, 2, 99)],
        [outside_level(SELL, 5, 100)],
        "TRADE ask:100 x 1 4@101 leaves 1/0",
        outside="ask 5-4@100",
    ),
    Case(
        "O2e what it shows more goes on",
        [limit(1, ALICE, SELL, 6, 100), outside_level(BUY, 5, 100)],
        [outside_level(BUY, 5, 100), outside_level(BUY, 7, 100)],
        "TRADE bid:100 x 1 1@100 leaves 1/0",
        outside="bid 7-6@100",
    ),
    Case(
        "O2e less is shown: what is eaten does not come again",
        [limit(1, ALICE, SELL, 6, 100), outside_level(BUY, 5, 100)],
        [outside_level(BUY, 3, 100), outside_level(BUY, 4, 100)],
        "TRADE bid:100 x 1 1@100 leaves 0/0",
        outside="bid 4-4@100",
    ),
    Case(
        "O2e whatever the model and the queue that had gone out of sight",
        [ask_5, seller | THROUGH, outside_clear()],
        [outside_quote(BUY, 3, 100)],
        """QUEUED 1 ahead 5 trades 0 cancels 0 @100 leaves 2
        TRADE bid:100 x 1 2@100 leaves 1/0""",
        outside="bid 3-2@100",
    ),
    Case(
        "O2e I2 icebergs",
        [limit(1, ALICE, SELL, 5, 100, display_lots=2), limit(2, BOB, SELL, 1, 100)],
        [outside_level(BUY, 4, 101)],
        """TRADE bid:101 x 1 2@100 leaves 2/3
        TRADE bid:101 x 2 1@100 leaves 1/0
        TRADE bid:101 x 1 1@100 leaves 0/2""",
        outside="bid 4-4@101",
    ),
    Case(
        "O2e L4 the leg of a pair",
        [*pair(maker_only(1, ALICE, SELL, 2, 105), stop_limit(2, ALICE, SELL, 2, 95, 95))],
        [outside_level(BUY, 1, 105)],
        """TRADE bid:105 x 1 1@105 leaves 0/1
        EXPIRED 2 OCO_TRIGGER 2@95 leaves 2""",
        outside="bid 1-1@105",
    ),
    Case(
        "O2e T3 it triggers stops, which meet what it leaves",
        [limit(1, ALICE, SELL, 1, 100), stop_market(2, BOB, SELL, 3, 100)],
        [outside_level(BUY, 2, 100)],
        """TRADE bid:100 x 1 1@100 leaves 1/0
        TRIGGERED 2 3@0 leaves 3
        TRADE 2 x bid:100 1@100 leaves 2/0
        EXPIRED 2 INSUFFICIENT_LIQUIDITY 3@0 leaves 2""",
        outside="bid 2-2@100",
    ),
    Case(
        "O3 the venue's best: what is better is gone",
        [outside_level(BUY, k, 99 + k) for k in (1, 2, 3)] + [limit(1, ALICE, BUY, 1, 102)],
        [outside_quote(BUY, 5, 101)],
        outside="bid 5@101, bid 1@100",
        queues="1:0/0/3",
    ),
    Case(
        "O3 of an ask, eaten ones as well",
        [outside_level(SELL, 2, 100), market(9, BOB, BUY, 2), outside_level(SELL, 2, 101)],
        [outside_quote(SELL, 5, 102)],
        outside="ask 5@102",
    ),
    Case(
        "O3 both 0: the side is empty",
        [outside_level(SELL, 2, 100), market(9, BOB, BUY, 2), outside_level(SELL, 2, 101), outside_level(BUY, 1, 99)],
        [outside_quote(SELL, 0, 0)],
        outside="bid 1@99",
    ),
    Case(
        "O3 O2b O2d O2e",
        [bid_8, first, limit(2, BOB, BUY, 2, 99), outside_level(BUY, 4, 99)],
        [outside_quote(SELL, 5, 100)],
        """QUEUED 1 ahead 0 trades 0 cancels 8 @100 leaves 4
        TRADE ask:100 x 1 4@100 leaves 1/0""",
        outside="bid 4@99, ask 5-4@100",
        queues="2:0/0/0",
    ),
]

PRINTS = [
    Case("O4c nobody was there", [], [outside_trade(BUY, 3, 100)], "TRADE print x print 3@100 leaves 0/0"),
    Case(
        "O4a through prices, whatever stands there and whatever the model",
        [
            outside_level(BUY, 5, 101),
            limit(1, ALICE, BUY, 2, 101),
            limit(2, BOB, BUY, 2, 100, **THROUGH),
            limit(3, CAROL, BUY, 3, 99),
            limit(4, CAROL, BUY, 3, 98),
        ],
        [outside_trade(SELL, 6, 99)],
        """QUEUED 1 ahead 0 trades 5 cancels 0 @101 leaves 2
        TRADE print x 1 2@101 leaves 4/0
        TRADE print x 2 2@100 leaves 2/0
        TRADE print x 3 2@99 leaves 0/1""",
        outside="bid 5@101",
    ),
    Case(
        "O4a a buyer of the venue, used up before its price",
        [limit(1, ALICE, SELL, 2, 100), limit(2, BOB, SELL, 2, 99), limit(3, BOB, SELL, 2, 102)],
        [outside_trade(BUY, 3, 101)],
        """TRADE print x 2 2@99 leaves 1/0
        TRADE print x 1 1@100 leaves 0/1""",
    ),
    Case(
        "O4a I2 icebergs",
        [limit(1, ALICE, BUY, 5, 101, display_lots=2), limit(2, BOB, BUY, 1, 101)],
        [outside_trade(SELL, 4, 100)],
        """TRADE print x 1 2@101 leaves 2/3
        TRADE print x 2 1@101 leaves 1/0
        TRADE print x 1 1@101 leaves 0/2""",
    ),
    Case(
        "O4a O8 an iceberg shows anew behind what stands there, and is traded through again",
        [outside_level(BUY, 5, 101), limit(1, ALICE, BUY, 3, 101, display_lots=2)],
        [outside_trade(SELL, 3, 100)],
        """QUEUED 1 ahead 0 trades 5 cancels 0 @101 leaves 3
        TRADE print x 1 2@101 leaves 1/1
        QUEUED 1 ahead 0 trades 5 cancels 0 @101 leaves 1
        TRADE print x 1 1@101 leaves 0/0""",
        outside="bid 5@101",
    ),
    Case(
        "O4b the queue first, then the order, in part",
        [bid_8, first],
        [outside_trade(SELL, 5, 100), outside_trade(SELL, 5, 100)],
        """TRADE print x print 5@100 leaves 0/0
        QUEUED 1 ahead 0 trades 8 cancels 0 @100 leaves 4
        TRADE print x 1 2@100 leaves 3/2
        TRADE print x print 3@100 leaves 0/0""",
        outside="bid 8@100 p10",
        queues="1:0/8/0",
    ),
    Case(
        "O4b two orders: each waits for the same queue",
        [bid_8, limit(1, ALICE, BUY, 2, 100), limit(2, BOB, BUY, 3, 100)],
        [outside_trade(SELL, 11, 100)],
        """QUEUED 1 ahead 0 trades 8 cancels 0 @100 leaves 2
        TRADE print x 1 2@100 leaves 9/0
        QUEUED 2 ahead 0 trades 8 cancels 0 @100 leaves 3
        TRADE print x 2 1@100 leaves 8/2
        TRADE print x print 8@100 leaves 0/0""",
        outside="bid 8@100 p11",
        queues="2:0/8/0",
    ),
    Case(
        "O4b who got a part ends it",
        [bid_8, limit(1, ALICE, BUY, 3, 100), limit(2, BOB, BUY, 3, 100, **TOUCH)],
        [outside_trade(SELL, 9, 100)],
        """QUEUED 1 ahead 0 trades 8 cancels 0 @100 leaves 3
        TRADE print x 1 1@100 leaves 8/2
        TRADE print x print 8@100 leaves 0/0""",
        outside="bid 8@100 p9",
        queues="1:0/8/0 2:0/0/0",
    ),
    Case(
        "O4b TOUCH: at once, before one who waits",
        [bid_8, first, limit(2, BOB, BUY, 3, 100, **TOUCH)],
        [outside_trade(SELL, 4, 100)],
        """QUEUED 2 ahead 0 trades 0 cancels 0 @100 leaves 3
        TRADE print x 2 3@100 leaves 1/0
        TRADE print x print 1@100 leaves 0/0""",
        outside="bid 8@100 p4",
        queues="1:4/4/0",
    ),
    Case(
        "O4b THROUGH: never at its price",
        [bid_8, first | THROUGH, limit(2, BOB, BUY, 1, 100)],
        [outside_trade(SELL, 12, 100)],
        """QUEUED 2 ahead 0 trades 8 cancels 0 @100 leaves 1
        TRADE print x 2 1@100 leaves 11/0
        TRADE print x print 11@100 leaves 0/0""",
        outside="bid 8@100 p12",
        queues="1:0/8/0",
    ),
    Case(
        "O4b no level, no queue",
        [first, limit(2, BOB, BUY, 1, 100)],
        [outside_trade(SELL, 7, 100)],
        """TRADE print x 1 4@100 leaves 3/0
        TRADE print x 2 1@100 leaves 2/0
        TRADE print x print 2@100 leaves 0/0""",
    ),
    Case(
        "O4b a queue at a level that is out of sight is waited for",
        [bid_8, first, outside_clear()],
        [outside_trade(SELL, 7, 100), outside_trade(SELL, 2, 100)],
        """TRADE print x print 7@100 leaves 0/0
        QUEUED 1 ahead 0 trades 8 cancels 0 @100 leaves 4
        TRADE print x 1 1@100 leaves 1/3
        TRADE print x print 1@100 leaves 0/0""",
        queues="1:0/8/0",
    ),
    Case(
        "O4b I2 an iceberg once",
        [limit(1, ALICE, BUY, 5, 100, display_lots=2), limit(2, BOB, BUY, 2, 100)],
        [outside_trade(SELL, 8, 100)],
        """TRADE print x 1 2@100 leaves 6/3
        TRADE print x 2 2@100 leaves 4/0
        TRADE print x print 4@100 leaves 0/0""",
    ),
    Case(
        "O4b O8 it shows anew at the end of what stands there",
        [outside_level(BUY, 3, 100), limit(1, ALICE, BUY, 5, 100, display_lots=2)],
        [outside_trade(SELL, 5, 100)],
        """QUEUED 1 ahead 0 trades 3 cancels 0 @100 leaves 5
        TRADE print x 1 2@100 leaves 3/3
        TRADE print x print 3@100 leaves 0/0""",
        outside="bid 3@100 p5",
        queues="1:3/0/0",
    ),
    Case(
        "O4b L4 the leg of a pair",
        [*pair(stop_limit(1, ALICE, BUY, 2, 105, 105), maker_only(2, ALICE, BUY, 2, 95))],
        [outside_trade(SELL, 1, 95)],
        """TRADE print x 2 1@95 leaves 0/1
        EXPIRED 1 OCO_TRIGGER 2@105 leaves 2""",
    ),
    Case(
        "O4b the print comes late: 4 were seen to go, 2 of them ahead",
        [bid_8, first, outside_level(BUY, 12, 100), outside_level(BUY, 8, 100)],
        [outside_trade(SELL, 4, 100)],
        "TRADE print x print 4@100 leaves 0/0",
        outside="bid 8@100",
        queues="1:4/2/2",
    ),
    Case(
        "O4b the print comes late, and is larger",
        [bid_8, first, outside_level(BUY, 12, 100), outside_level(BUY, 8, 100)],
        [outside_trade(SELL, 10, 100)],
        """QUEUED 1 ahead 0 trades 6 cancels 2 @100 leaves 4
        TRADE print x 1 2@100 leaves 8/2
        TRADE print x print 8@100 leaves 0/0""",
        outside="bid 8@100 p6",
        queues="1:0/6/2",
    ),
    Case(
        "O4b the print comes late: of BACK nothing was known",
        [bid_8, first | BACK, outside_level(BUY, 12, 100), outside_level(BUY, 8, 100)],
        [outside_trade(SELL, 4, 100)],
        "TRADE print x print 4@100 leaves 0/0",
        outside="bid 8@100",
        queues="1:4/4/0",
    ),
    Case(
        "O4b at an eaten level",
        [ask_5, market(9, BOB, BUY, 5), seller],
        [outside_trade(BUY, 3, 100)],
        """QUEUED 1 ahead 0 trades 0 cancels 0 @100 leaves 2
        TRADE print x 1 2@100 leaves 1/0
        TRADE print x print 1@100 leaves 0/0""",
        outside="ask 5-5@100 p3",
    ),
    Case(
        "O4c T3 it triggers stops; their orders meet the book",
        [outside_level(BUY, 2, 99), stop_market(1, ALICE, SELL, 1, 99), stop_limit(2, BOB, BUY, 1, 103, 101)],
        [outside_trade(SELL, 1, 99), outside_trade(BUY, 1, 101)],
        """TRADE print x print 1@99 leaves 0/0
        TRIGGERED 1 1@0 leaves 1
        TRADE 1 x bid:99 1@99 leaves 0/1
        TRADE print x print 1@101 leaves 0/0
        TRIGGERED 2 1@103 leaves 1""",
        outside="bid 2-1@99 p1",
    ),
]

TAKING = [
    Case(
        "O7 the outside up to the first order's queue, the order, the outside again",
        [ask_5, seller, outside_level(SELL, 7, 100), limit(2, BOB, SELL, 2, 101)],
        [limit(9, CAROL, BUY, 8, 100)],
        """ACCEPTED 9 8@100 leaves 8
        TRADE 9 x ask:100 5@100 leaves 3/2
        QUEUED 1 ahead 0 trades 5 cancels 0 @100 leaves 2
        TRADE 9 x 1 2@100 leaves 1/0
        TRADE 9 x ask:100 1@100 leaves 0/1""",
        outside="ask 7-6@100",
    ),
    Case(
        "O7 orders that were there first",
        [limit(1, ALICE, SELL, 2, 100), ask_5, limit(2, BOB, SELL, 2, 100)],
        [limit(9, CAROL, BUY, 4, 101)],
        """ACCEPTED 9 4@101 leaves 4
        QUEUED 1 ahead 0 trades 0 cancels 0 @100 leaves 2
        TRADE 9 x 1 2@100 leaves 2/0
        TRADE 9 x ask:100 2@100 leaves 0/3""",
        outside="ask 5-2@100",
        queues="2:3/2/0",
    ),
    Case(
        "O7 each queue loses what was taken; TOUCH stands first only if its time says so",
        [ask_5, limit(1, ALICE, SELL, 2, 100, **BACK), limit(2, BOB, SELL, 2, 100, **TOUCH)],
        [market(9, CAROL, BUY, 2)],
        """ACCEPTED 9 2@0 leaves 2
        TRADE 9 x ask:100 2@100 leaves 0/3""",
        outside="ask 5-2@100",
        queues="1:3/2/0 2:0/0/0",
    ),
    Case(
        "O7 price by price; the rest rests",
        [ask_5, outside_level(SELL, 2, 102), limit(1, ALICE, SELL, 1, 101), outside_level(BUY, 3, 99)],
        [limit(9, CAROL, BUY, 10, 102), limit(10, BOB, SELL, 4, 99)],
        """ACCEPTED 9 10@102 leaves 10
        TRADE 9 x ask:100 5@100 leaves 5/0
        TRADE 9 x 1 1@101 leaves 4/0
        TRADE 9 x ask:102 2@102 leaves 2/0
        ACCEPTED 10 4@99 leaves 4
        TRADE 10 x 9 2@102 leaves 2/0
        TRADE 10 x bid:99 2@99 leaves 0/1""",
        outside="bid 3-2@99, ask 5-5@100, ask 2-2@102",
    ),
    Case(
        "O7 N5 N7 eaten liquidity is eaten",
        [ask_5, market(9, BOB, BUY, 5)],
        [limit(10, CAROL, BUY, 1, 100, IOC), market(11, CAROL, BUY, 1)],
        """ACCEPTED 10 1@100 leaves 1
        EXPIRED 10 IOC_UNFILLED 1@100 leaves 1
        ACCEPTED 11 1@0 leaves 1
        EXPIRED 11 INSUFFICIENT_LIQUIDITY 1@0 leaves 1""",
        outside="ask 5-5@100",
    ),
    Case(
        "O7 N7 a budget, N8 an amount, N8 a cap",
        [outside_level(SELL, 20, 100)],
        [
            market(9, BOB, BUY, 5, budget=3 * 100 * UNITS - 1),
            by_quote(10, BOB, BUY, 3 * 100 * UNITS + 1),
            by_quote(11, BOB, BUY, 1 << 30, cap=4),
        ],
        """ACCEPTED 9 5@0 leaves 5
        TRADE 9 x ask:100 2@100 leaves 3/18
        EXPIRED 9 BUDGET_EXHAUSTED 5@0 leaves 3
        ACCEPTED 10 0@0 leaves 0
        TRADE 10 x ask:100 3@100 leaves 0/15
        EXPIRED 10 QUOTE_SPENT 0@0 leaves 0
        ACCEPTED 11 4@0 leaves 4
        TRADE 11 x ask:100 4@100 leaves 0/11
        EXPIRED 11 BUDGET_EXHAUSTED 4@0 leaves 0""",
        outside="ask 20-9@100",
    ),
    Case(
        "O7 O8 I2 an iceberg shows anew behind the outside",
        [outside_level(SELL, 2, 100), limit(1, ALICE, SELL, 5, 100, display_lots=2), outside_level(SELL, 3, 100)],
        [limit(9, CAROL, BUY, 6, 100)],
        """ACCEPTED 9 6@100 leaves 6
        TRADE 9 x ask:100 2@100 leaves 4/1
        QUEUED 1 ahead 0 trades 2 cancels 0 @100 leaves 5
        TRADE 9 x 1 2@100 leaves 2/3
        TRADE 9 x ask:100 1@100 leaves 1/0
        QUEUED 1 ahead 0 trades 1 cancels 0 @100 leaves 3
        TRADE 9 x 1 1@100 leaves 0/2""",
        outside="ask 3-3@100",
        queues="1:0/1/0",
    ),
    Case(
        "O8 I2 of TOUCH, before the outside",
        [ask_5, limit(1, ALICE, SELL, 3, 100, display_lots=1, **TOUCH)],
        [limit(9, CAROL, BUY, 4, 100)],
        """ACCEPTED 9 4@100 leaves 4
        QUEUED 1 ahead 0 trades 0 cancels 0 @100 leaves 3
        TRADE 9 x 1 1@100 leaves 3/2
        QUEUED 1 ahead 0 trades 0 cancels 0 @100 leaves 2
        TRADE 9 x 1 1@100 leaves 2/1
        QUEUED 1 ahead 0 trades 0 cancels 0 @100 leaves 1
        TRADE 9 x 1 1@100 leaves 1/0
        TRADE 9 x ask:100 1@100 leaves 0/4""",
        outside="ask 5-1@100",
    ),
    Case(
        "O8 S4 I2 shows anew by a prevented match",
        [limit(1, ALICE, SELL, 3, 100, display_lots=1), ask_5],
        [limit(9, ALICE, BUY, 1, 100, stp_mode=StpMode.DECREMENT)],
        """ACCEPTED 9 1@100 leaves 1
        PREVENTED 9 x 1 1@100 leaves 0/2
        EXPIRED 9 SELF_TRADE_PREVENTION 1@100 leaves 0""",
        outside="ask 5@100",
        queues="1:5/0/0",
    ),
    Case(
        "O1 no self-trade: every mode takes the outside",
        [outside_level(SELL, 20, 100)],
        [limit(9 + mode, BOB, BUY, 1, 100, stp_mode=mode) for mode in StpMode if mode],
        "\n".join(
            f"ACCEPTED {9 + mode} 1@100 leaves 1\nTRADE {9 + mode} x ask:100 1@100 leaves 0/{20 - mode}"
            for mode in StpMode
            if mode
        ),
        outside="ask 20-5@100",
    ),
    Case(
        "O7 S1 own order behind the outside",
        [ask_5, limit(1, BOB, SELL, 2, 100)],
        [limit(9, BOB, BUY, 7, 100, stp_mode=StpMode.EXPIRE_TAKER)],
        """ACCEPTED 9 7@100 leaves 7
        TRADE 9 x ask:100 5@100 leaves 2/0
        PREVENTED 9 x 1 0@100 leaves 2/2
        EXPIRED 9 SELF_TRADE_PREVENTION 7@100 leaves 2""",
        outside="ask 5-5@100",
        queues="1:0/5/0",
    ),
    Case(
        "N6 O1 FOK: outside and users' orders together",
        [ask_5, seller, outside_level(SELL, 2, 101)],
        [
            limit(9, CAROL, BUY, 8, 100, FOK),
            limit(10, CAROL, BUY, 10, 101, FOK),
            limit(11, CAROL, BUY, 9, 101, FOK),
        ],
        """ACCEPTED 9 8@100 leaves 8
        EXPIRED 9 FOK_UNFILLED 8@100 leaves 8
        ACCEPTED 10 10@101 leaves 10
        EXPIRED 10 FOK_UNFILLED 10@101 leaves 10
        ACCEPTED 11 9@101 leaves 9
        TRADE 11 x ask:100 5@100 leaves 4/0
        QUEUED 1 ahead 0 trades 5 cancels 0 @100 leaves 2
        TRADE 11 x 1 2@100 leaves 2/0
        TRADE 11 x ask:101 2@101 leaves 0/0""",
        outside="ask 5-5@100, ask 2-2@101",
    ),
    Case(
        "N6 S6 FOK: an own order behind enough of the outside, and one before it",
        [ask_5, limit(1, BOB, SELL, 2, 100), outside_level(SELL, 9, 100)],
        [limit(9 + k, BOB, BUY, qty, 100, FOK, stp_mode=StpMode.EXPIRE_TAKER) for k, qty in enumerate((6, 5, 1))],
        """ACCEPTED 9 6@100 leaves 6
        EXPIRED 9 FOK_UNFILLED 6@100 leaves 6
        ACCEPTED 10 5@100 leaves 5
        TRADE 10 x ask:100 5@100 leaves 0/4
        ACCEPTED 11 1@100 leaves 1
        EXPIRED 11 FOK_UNFILLED 1@100 leaves 1""",
        outside="ask 9-5@100",
        queues="1:0/5/0",
    ),
    Case(
        "N6 S6 FOK: own orders are skipped, icebergs show anew",
        [limit(1, BOB, SELL, 9, 100), limit(2, ALICE, SELL, 4, 100, display_lots=1), ask_5],
        [
            limit(9, BOB, BUY, 10, 100, FOK, stp_mode=StpMode.EXPIRE_MAKER),
            limit(10, BOB, BUY, 7, 100, FOK, stp_mode=StpMode.EXPIRE_MAKER),
        ],
        """ACCEPTED 9 10@100 leaves 10
        EXPIRED 9 FOK_UNFILLED 10@100 leaves 10
        ACCEPTED 10 7@100 leaves 7
        PREVENTED 10 x 1 0@100 leaves 7/9
        EXPIRED 1 SELF_TRADE_PREVENTION 9@100 leaves 9
        QUEUED 2 ahead 0 trades 0 cancels 0 @100 leaves 4
        TRADE 10 x 2 1@100 leaves 6/3
        TRADE 10 x ask:100 5@100 leaves 1/0
        QUEUED 2 ahead 0 trades 5 cancels 0 @100 leaves 3
        TRADE 10 x 2 1@100 leaves 0/2""",
        outside="ask 5-5@100",
        queues="2:0/0/0",
    ),
    Case(
        "N6 FOK: not what is eaten",
        [ask_5, market(9, BOB, BUY, 3)],
        [limit(10, BOB, BUY, 3, 100, FOK)],
        """ACCEPTED 10 3@100 leaves 3
        EXPIRED 10 FOK_UNFILLED 3@100 leaves 3""",
        outside="ask 5-3@100",
    ),
]

RESTING = [
    Case(
        "O8 behind what is available, by model",
        [bid_8, market(9, BOB, SELL, 2)],
        [limit(k, ALICE, BUY, 1, 100, flags=fill_model(model)) for k, model in enumerate(FillModel, 1)],
        """ACCEPTED 1 1@100 leaves 1
        QUEUED 1 ahead 6 trades 0 cancels 0 @100 leaves 1
        ACCEPTED 2 1@100 leaves 1
        QUEUED 2 ahead 6 trades 0 cancels 0 @100 leaves 1
        ACCEPTED 3 1@100 leaves 1
        QUEUED 3 ahead 0 trades 0 cancels 0 @100 leaves 1
        ACCEPTED 4 1@100 leaves 1
        QUEUED 4 ahead 6 trades 0 cancels 0 @100 leaves 1""",
        outside="bid 8-2@100",
        queues="1:6/0/0 2:6/0/0 3:0/0/0 4:6/0/0",
    ),
    Case(
        "O8 at an eaten level; at none",
        [ask_5, market(9, BOB, BUY, 5)],
        [seller, limit(2, ALICE, SELL, 2, 101), limit(3, ALICE, BUY, 1, 99)],
        """ACCEPTED 1 2@100 leaves 2
        QUEUED 1 ahead 0 trades 0 cancels 0 @100 leaves 2
        ACCEPTED 2 2@101 leaves 2
        ACCEPTED 3 1@99 leaves 1""",
        outside="ask 5-5@100",
        queues="1:0/0/0",
    ),
    Case(
        "O8 told after the order's trades",
        [outside_level(BUY, 1, 100), limit(1, ALICE, SELL, 3, 100)],
        [limit(2, BOB, BUY, 3, 100)],
        """ACCEPTED 2 3@100 leaves 3
        TRADE 2 x 1 2@100 leaves 1/0
        QUEUED 2 ahead 0 trades 0 cancels 0 @100 leaves 1""",
        outside="bid 1-1@100",
        queues="2:0/0/0",
    ),
    Case(
        "O8 T4 a triggered order, after what triggered it",
        [bid_8, stop_limit(1, ALICE, BUY, 2, 100, 105)],
        [limit(2, BOB, SELL, 1, 106), limit(3, CAROL, BUY, 1, 106)],
        """ACCEPTED 2 1@106 leaves 1
        ACCEPTED 3 1@106 leaves 1
        TRADE 3 x 2 1@106 leaves 0/0
        TRIGGERED 1 2@100 leaves 2
        QUEUED 1 ahead 8 trades 0 cancels 0 @100 leaves 2""",
        outside="bid 8@100",
        queues="1:8/0/0",
    ),
    Case(
        "O8 L3 the leg of a pair, before the other is told",
        [outside_level(SELL, 5, 105)],
        [*pair(maker_only(1, ALICE, SELL, 2, 105), stop_limit(2, ALICE, SELL, 2, 95, 95))],
        """ACCEPTED 1 2@105 leaves 2
        QUEUED 1 ahead 5 trades 0 cancels 0 @105 leaves 2
        ACCEPTED 2 2@95 leaves 2""",
        outside="ask 5@105",
        queues="1:5/0/0",
    ),
    Case(
        "O1 R8 LIMIT_MAKER: what stands, not what is eaten",
        [ask_5, outside_level(SELL, 5, 101), market(9, BOB, BUY, 5)],
        [maker_only(10, BOB, BUY, 1, 101), maker_only(11, BOB, BUY, 1, 100)],
        """REJECTED 10 WOULD_TAKE 1@101 leaves 0
        ACCEPTED 11 1@100 leaves 1""",
        outside="ask 5-5@100, ask 5@101",
    ),
    Case(
        "O1 K1 pegs count outside levels",
        [bid_8, limit(1, ALICE, BUY, 1, 99), outside_level(BUY, 2, 98), outside_level(SELL, 4, 103)],
        [limit(2 + k, BOB, BUY, 1, 0, peg_type=PegType.PRIMARY_PEG, peg_offset=k) for k in range(4)]
        + [limit(9, BOB, BUY, 1, 0, peg_type=PegType.MARKET_PEG)],
        """ACCEPTED 2 1@100 leaves 1
        QUEUED 2 ahead 8 trades 0 cancels 0 @100 leaves 1
        ACCEPTED 3 1@99 leaves 1
        ACCEPTED 4 1@98 leaves 1
        QUEUED 4 ahead 2 trades 0 cancels 0 @98 leaves 1
        REJECTED 5 PEG_UNAVAILABLE 1@0 leaves 0
        ACCEPTED 9 1@103 leaves 1
        TRADE 9 x ask:103 1@103 leaves 0/3""",
        outside="bid 8@100, bid 2@98, ask 4-1@103",
        queues="2:8/0/0 4:2/0/0",
    ),
    Case(
        "A1 AMEND keeps the queue",
        [bid_8, first, outside_trade(SELL, 2, 100)],
        [amend(1, ALICE, 2)],
        "AMENDED 1 2@100 leaves 2",
        outside="bid 8@100 p2",
        queues="1:6/2/0",
    ),
    Case(
        "P2 O8 REPLACE goes to the end",
        [bid_8, first, outside_level(BUY, 12, 100)],
        [replace(1, limit(2, ALICE, BUY, 2, 100))],
        """CANCELED 1 REPLACED 4@100 leaves 4
        ACCEPTED 2 2@100 leaves 2
        QUEUED 2 ahead 12 trades 0 cancels 0 @100 leaves 2""",
        outside="bid 12@100",
        queues="2:12/0/0",
    ),
    Case(
        "P1 O1 REPLACE: the outside is in its way, not its target",
        [bid_8, limit(1, ALICE, SELL, 1, 101)],
        [
            replace(1, maker_only(2, ALICE, SELL, 1, 100)),
            replace(1, limit(2, ALICE, SELL, 1, 0, peg_type=PegType.PRIMARY_PEG)),
            replace(1, limit(2, ALICE, SELL, 1, 100)),
        ],
        """REJECTED 2 WOULD_TAKE 1@100 leaves 0
        REJECTED 2 PEG_UNAVAILABLE 1@0 leaves 0
        CANCELED 1 REPLACED 1@101 leaves 1
        ACCEPTED 2 1@100 leaves 1
        TRADE 2 x bid:100 1@100 leaves 0/7""",
        outside="bid 8-1@100",
    ),
    Case(
        "C1 C3 O1 cancels: no queue moves, no outside level is found",
        [bid_8, first, limit(2, BOB, BUY, 1, 100), limit(3, CAROL, BUY, 1, 100)],
        [cancel(1, ALICE), cancel_all(BOB), cancel(-200, CAROL), cancel_all(DAVE)],
        """CANCELED 1 USER_CANCELED 4@100 leaves 4
        CANCELED 2 USER_CANCELED 1@100 leaves 1
        REJECTED -200 UNKNOWN_ORDER 0@0 leaves 0
        REJECTED 0 UNKNOWN_ORDER 0@0 leaves 0""",
        outside="bid 8@100",
        queues="3:8/0/0",
    ),
]

VENUE = [
    Case(
        "O5 all goes, the queues stay; who takes finds nothing",
        [bid_8, first, outside_level(BUY, 2, 99), ask_5 | {"price_ticks": 101}, market(9, BOB, BUY, 5)],
        [outside_clear(), market(10, BOB, BUY, 1), limit(11, BOB, SELL, 5, 100)],
        """ACCEPTED 10 1@0 leaves 1
        EXPIRED 10 INSUFFICIENT_LIQUIDITY 1@0 leaves 1
        ACCEPTED 11 5@100 leaves 5
        QUEUED 1 ahead 8 trades 0 cancels 0 @100 leaves 4
        TRADE 11 x 1 4@100 leaves 1/0""",
    ),
    Case("O5 nothing to clear", [], [outside_clear()]),
    Case(
        "O6 R1 halted: the venue's news still count, users cancel only",
        [bid_8, first],
        [
            outside_status(0),
            limit(9, BOB, SELL, 1, 100),
            outside_trade(SELL, 9, 100),
            outside_level(BUY, 3, 100),
            amend(1, ALICE, 2),
            cancel(1, ALICE),
            outside_status(1),
            limit(10, BOB, SELL, 1, 100),
        ],
        """REJECTED 9 SYMBOL_HALTED 1@100 leaves 0
        QUEUED 1 ahead 0 trades 8 cancels 0 @100 leaves 4
        TRADE print x 1 1@100 leaves 8/3
        TRADE print x print 8@100 leaves 0/0
        REJECTED 1 SYMBOL_HALTED 0@0 leaves 0
        CANCELED 1 USER_CANCELED 4@100 leaves 3
        ACCEPTED 10 1@100 leaves 1
        TRADE 10 x bid:100 1@100 leaves 0/2""",
        outside="bid 3-1@100",
    ),
]


@both
@pytest.mark.parametrize(
    "case",
    [*LEVELS, *CROSSINGS, *PRINTS, *TAKING, *RESTING, *VENUE],
    ids=lambda case: case.ids,
)
def test_market_table(case: Case, make: Make) -> None:
    book = make(WIDE, SYMBOL_ID)
    play(book, *case.rests)
    assert play(book, *case.comes) == lines(case.events)
    assert (outside_of(book), queues_of(book)) == (case.outside, case.queues)


WRONG = [
    *(
        row | {"account": account}
        for account in (DAVE, ALICE, -2)
        for row in (bid_8, outside_clear(), outside_status(0))
    ),
    *(row | {"side": 2} for row in (bid_8, outside_quote(BUY, 1, 100), outside_quote(BUY, 0, 0))),
    outside_trade(BUY, 1, 100) | {"side": 255},
    *(outside_level(BUY, 1, price) for price in (0, -1, 1 << 61, (1 << 63) - 1, -(1 << 63))),
    *(outside_level(BUY, 0, price) for price in (0, 1 << 61)),
    *(outside_level(BUY, qty, 100) for qty in (-1, -(1 << 63), (1 << 63) - 1)),
    outside_level(BUY, -(-(1 << 62) // (100 * UNITS)), 100),
    *(outside_level(BUY, 1, 100, flags=flags) for flags in (2, 3, 16, 255)),
    *(outside_quote(BUY, qty, price) for qty, price in ((0, 100), (1, 0), (-1, 100), (1, -1), (-1, -1), (1, 1 << 61))),
    outside_quote(BUY, -(-(1 << 62) // (100 * UNITS)), 100),
    *(outside_quote(BUY, 1, 100, flags=flags) for flags in (1, 16)),
    *(outside_trade(BUY, qty, price) for qty, price in ((0, 100), (1, 0), (-1, 100), (1, -1), (-1, -1), (0, 0))),
    outside_trade(BUY, -(-(1 << 62) // (100 * UNITS)), 100),
    outside_trade(BUY, 1 << 32, 1 << 32),
    *(outside_trade(BUY, 1, 100, flags=flags) for flags in (1, 16)),
    *(outside_status(trades) for trades in (-1, 2, 1 << 62)),
    *(row | {"flags": 1} for row in (outside_clear(), outside_status(0))),
]


@both
@pytest.mark.parametrize("wrong", WRONG, ids=lambda row: " ".join(str(int(value)) for value in row.values()))
def test_o0_refused(wrong: Row, make: Make) -> None:
    book = make(WIDE, SYMBOL_ID)
    play(book, ask_5 | {"price_ticks": 103}, limit(1, ALICE, BUY, 1, 90))
    before = (outside_of(book), book.exec_id, book.trade_id)
    events = apply(book, wrong | {"token": 5, "target_id": 6, "order_id": 7})
    assert set_fields(events[0]) == {
        "kind": EventKind.REJECTED,
        "reason": Reason.INVALID_COMMAND,
        "command_kind": wrong["kind"],
        "symbol": SYMBOL_ID,
        "account": wrong["account"],
        "order_id": 7,
        "exec_id": before[1] + 2,
    }
    assert len(events) == 1
    assert (outside_of(book), book.exec_id - 2, book.trade_id) == before
    assert not book.halted


@both
def test_o2_o4_largest_numbers(make: Make) -> None:
    """One tick and one lot below what is refused."""
    most = (1 << 62) // (100 * UNITS)
    book = make(WIDE, SYMBOL_ID)
    assert play(book, outside_level(BUY, most, 100), first, outside_level(SELL, 1, (1 << 58) - 1)) == [
        "ACCEPTED 1 4@100 leaves 4",
        f"QUEUED 1 ahead {most} trades 0 cancels 0 @100 leaves 4",
    ]
    play(book, outside_level(BUY, most - 1, 100))
    assert queues_of(book) == f"1:{most - 1}/0/1"
    assert play(book, outside_trade(SELL, most, 100)) == [
        f"QUEUED 1 ahead 0 trades {most - 1} cancels 1 @100 leaves 4",
        f"TRADE print x 1 1@100 leaves {most - 1}/3",
        f"TRADE print x print {most - 1}@100 leaves 0/0",
    ]


@both
@pytest.mark.parametrize(
    "row",
    [
        limit(9, OUTSIDE_ACCOUNT, BUY, 1, 100) | {"maker_fee_ppm": 0, "taker_fee_ppm": 0},
        replace(1, limit(9, OUTSIDE_ACCOUNT, BUY, 1, 100) | {"maker_fee_ppm": 0, "taker_fee_ppm": 0}),
        cancel(1, OUTSIDE_ACCOUNT),
        cancel(-200, OUTSIDE_ACCOUNT),
        amend(1, OUTSIDE_ACCOUNT, 1),
        cancel_all(OUTSIDE_ACCOUNT),
    ],
    ids=lambda row: CommandKind(row.get("kind", 0)).name,
)
def test_o0_no_user_is_the_outside(row: Row, make: Make) -> None:
    book = make(WIDE, SYMBOL_ID)
    play(book, bid_8, first)
    events = apply(book, row)
    assert [Reason(one["reason"]) for one in events] == [Reason.INVALID_COMMAND]
    assert queues_of(book) == "1:8/0/0"


@both
def test_o0_every_outside_command_takes_an_exec_id(make: Make) -> None:
    book = make(WIDE, SYMBOL_ID)
    events = apply(
        book,
        bid_8,
        outside_level(BUY, -1, 100),
        first,
        outside_clear(),
        outside_status(1),
        outside_quote(BUY, 0, 0),
        outside_trade(SELL, 6, 100),
    )
    assert [(told(one).split()[0], one["exec_id"], one["command_index"]) for one in events] == [
        ("REJECTED", 3, 1),
        ("ACCEPTED", 4, 2),
        ("QUEUED", 5, 2),
        ("TRADE", 10, 6),
    ]
    assert book.exec_id == events[-1]["exec_id"]


@both
def test_o1_depth(make: Make) -> None:
    """Depth counts what is available, as one order."""
    book = make(WIDE, SYMBOL_ID)
    play(book, bid_8, limit(1, ALICE, BUY, 4, 100, display_lots=3), limit(2, ALICE, BUY, 1, 101))
    play(book, ask_5 | {"price_ticks": 102}, outside_level(SELL, 6, 103), market(9, BOB, BUY, 5))
    play(book, market(10, BOB, SELL, 3), outside_level(BUY, 2, 98))
    depth = [rows_of(book.depth(side)) for side in Side]
    assert depth == [[(100, 9, 2), (98, 2, 1)], [(103, 6, 1)]]


@both
def test_o1_outside_levels_are_not_live_orders(make: Make) -> None:
    """R9 counts users' orders only."""
    book = make(WIDE, SYMBOL_ID, max_live_orders=2)
    play(book, *(outside_level(BUY, 1, 90 + k) for k in range(10)), first)
    assert len(book.orders()) == 1
    assert play(book, limit(2, BOB, BUY, 1, 91), limit(3, BOB, BUY, 1, 92)) == [
        "ACCEPTED 2 1@91 leaves 1",
        "QUEUED 2 ahead 1 trades 0 cancels 0 @91 leaves 1",
        "REJECTED 3 BOOK_FULL 1@92 leaves 0",
    ]


def set_fields(event: np.void) -> dict[str, int]:
    return {name: int(event[name]) for name in event.dtype.names or () if event[name]}


@both
def test_every_field_of_a_crossing(make: Make) -> None:
    """O2e, O9."""
    book = make(WIDE, SYMBOL_ID)
    order = limit(1, ALICE, SELL, 4, 100, stp_mode=StpMode.DECREMENT, **BACK)
    play(book, outside_level(SELL, 3, 100), order, outside_trade(BUY, 1, 100))
    queued, trade = apply(book, outside_level(BUY, 3, 101))
    assert set_fields(queued) == {
        "kind": EventKind.QUEUED,
        "side": SELL,
        "stp_mode": StpMode.DECREMENT,
        "flags": fill_model(FillModel.BACK),
        "command_kind": CommandKind.OUTSIDE_LEVEL,
        "symbol": SYMBOL_ID,
        "account": ALICE,
        "order_id": 1,
        "price_ticks": 100,
        "qty_lots": 3,
        "leaves_lots": 4,
        "maker_leaves_lots": 1,
        "exec_id": 7,
    }
    assert set_fields(trade) == {
        "kind": EventKind.TRADE,
        "command_kind": CommandKind.OUTSIDE_LEVEL,
        "symbol": SYMBOL_ID,
        "account": OUTSIDE_ACCOUNT,
        "order_id": -202,
        "price_ticks": 100,
        "qty_lots": 3,
        "quote_units": 3 * 100 * UNITS,
        "maker_order_id": 1,
        "maker_account": ALICE,
        "maker_leaves_lots": 1,
        "exec_id": 8,
        "trade_id": 2,
        "maker_fee_ppm": 100 * ALICE,
    }


@both
def test_every_field_of_a_print(make: Make) -> None:
    """O4b, O4c."""
    book = make(WIDE, SYMBOL_ID)
    play(book, limit(1, ALICE, BUY, 2, 100, stp_mode=StpMode.DECREMENT, **BACK))
    row = outside_trade(SELL, 5, 100, token=77, target_id=1 << 60, quote_units=(1 << 60) - 5)
    fill, rest = apply(book, row)
    printed = {
        "kind": EventKind.TRADE,
        "side": SELL,
        "command_kind": CommandKind.OUTSIDE_TRADE,
        "symbol": SYMBOL_ID,
        "account": OUTSIDE_ACCOUNT,
        "price_ticks": 100,
    }
    assert set_fields(fill) == printed | {
        "qty_lots": 2,
        "leaves_lots": 3,
        "quote_units": 2 * 100 * UNITS,
        "maker_order_id": 1,
        "maker_account": ALICE,
        "exec_id": 3,
        "trade_id": 1,
        "maker_fee_ppm": 100 * ALICE,
    }
    assert set_fields(rest) == printed | {
        "qty_lots": 3,
        "quote_units": 3 * 100 * UNITS,
        "maker_account": OUTSIDE_ACCOUNT,
        "exec_id": 4,
        "trade_id": 2,
    }


@both
def test_every_field_of_taking_and_of_joining(make: Make) -> None:
    """O7, O8: a part trades with the outside, the rest joins a level of its own side that was eaten."""
    book = make(WIDE, SYMBOL_ID)
    play(book, outside_level(SELL, 2, 100))
    accepted, trade = apply(book, limit(1, BOB, BUY, 3, 100, stp_mode=StpMode.EXPIRE_BOTH, **THROUGH))
    assert accepted["exec_id"] == 2
    assert set_fields(trade) == {
        "kind": EventKind.TRADE,
        "stp_mode": StpMode.EXPIRE_BOTH,
        "flags": fill_model(FillModel.THROUGH),
        "symbol": SYMBOL_ID,
        "account": BOB,
        "order_id": 1,
        "price_ticks": 100,
        "qty_lots": 2,
        "leaves_lots": 1,
        "quote_units": 2 * 100 * UNITS,
        "maker_order_id": -201,
        "maker_account": OUTSIDE_ACCOUNT,
        "exec_id": 3,
        "trade_id": 1,
        "taker_fee_ppm": 1000 * BOB,
    }
    (joined,) = apply(book, outside_level(BUY, 4, 100))
    assert set_fields(joined) == {
        "kind": EventKind.QUEUED,
        "stp_mode": StpMode.EXPIRE_BOTH,
        "flags": fill_model(FillModel.THROUGH),
        "command_kind": CommandKind.OUTSIDE_LEVEL,
        "symbol": SYMBOL_ID,
        "account": BOB,
        "order_id": 1,
        "price_ticks": 100,
        "leaves_lots": 1,
        "exec_id": 5,
    }


@both
def test_g7_every_trade_of_the_outside_sets_the_last_price(make: Make) -> None:
    """R7 looks at it: last 100, a BUY within [50, 200]."""
    narrow = msgspec.structs.replace(WIDE, bid_multiplier_up_ppm=2 * PPM, bid_multiplier_down_ppm=PPM // 2)
    for rows in (
        [outside_trade(BUY, 1, 100)],
        [limit(1, ALICE, SELL, 1, 100), outside_level(BUY, 1, 101)],
        [outside_level(BUY, 1, 100), market(1, ALICE, SELL, 1)],
        [limit(1, ALICE, BUY, 1, 100), outside_trade(SELL, 1, 90)],
    ):
        book = make(narrow, SYMBOL_ID)
        play(book, *rows)
        assert [line.split()[0] for line in play(book, limit(8, BOB, BUY, 1, 201), limit(9, BOB, BUY, 1, 200))] == [
            "REJECTED",
            "ACCEPTED",
        ]


@both
def test_stop_triggered_by_a_print_joins_the_venues_queue(make: Make) -> None:
    """O4c, T3, T4, O8."""
    book = make(WIDE, SYMBOL_ID)
    play(book, bid_8, stop_limit(1, ALICE, BUY, 2, 100, 101), by_quote(2, BOB, SELL, 1000))
    assert play(book, outside_trade(BUY, 1, 101)) == [
        "TRADE print x print 1@101 leaves 0/0",
        "TRIGGERED 1 2@100 leaves 2",
        "QUEUED 1 ahead 7 trades 0 cancels 0 @100 leaves 2",
    ]
