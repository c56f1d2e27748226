"""What a venue's events mean for our book, as tables: events in, commands out."""

from collections.abc import Sequence

import numpy as np
import pytest

from market.enums import OUTSIDE_EDGE, CommandKind, Side
from market.numbering import OUTSIDE_ACCOUNT
from market.outside_commands import LIMIT, CommandBuilder
from market.records import Records
from market.reference import Reference
from market.venues.adapter import BookRule
from market.venues.books import VenueBook
from market.venues.events import BookDelta, BookSnapshot, Event, Level, Quote, Status, StatusKind, Trade

SYMBOL = 7


def told(rows: Records) -> list[str]:
    """`bid 5@100`, `ask 0@101 edge`, `quote bid 5@100`, `print BUY 3@101 #9`, `clear`, `halted`."""
    return [line(row) for row in rows]


def line(row: np.void) -> str:
    assert row["symbol"] == SYMBOL
    assert row["account"] == OUTSIDE_ACCOUNT
    side, at = ("bid", "ask")[row["side"]], f"{row['qty_lots']}@{row['price_ticks']}"
    match CommandKind(row["kind"]):
        case CommandKind.OUTSIDE_LEVEL:
            return f"{side} {at}" + (" edge" if row["flags"] == OUTSIDE_EDGE else "")
        case CommandKind.OUTSIDE_QUOTE:
            return f"quote {side} {at}"
        case CommandKind.OUTSIDE_TRADE:
            return f"print {Side(row['side']).name} {at} #{row['token']} at {row['quote_units']}"
        case CommandKind.OUTSIDE_CLEAR:
            return "clear"
        case CommandKind.OUTSIDE_STATUS:
            return "trading" if row["qty_lots"] else "halted"
    raise AssertionError(row)


class Market:
    """A venue's book and its reference; `hear` gives what each event says."""

    def __init__(self, rule: BookRule = BookRule.NEXT) -> None:
        self.out = CommandBuilder()
        self.book = VenueBook("S", rule)
        self.reference = Reference(SYMBOL, self.book, self.out)
        self.now = 0

    def hear(self, event: Event) -> list[str]:
        self.now += 1
        if isinstance(event, BookDelta | BookSnapshot):
            self.book.apply(event)
        self.reference.take(event, self.now)
        rows = self.out.take()
        assert (rows["target_id"] == self.now).all()
        return told(rows)


def book(bids: Sequence[Level], asks: Sequence[Level], seq: int = 1, venue_ns: int = 0) -> BookSnapshot:
    return BookSnapshot("S", venue_ns, list(bids), list(asks), seq)


def delta(seq: int, bids: Sequence[Level] = (), asks: Sequence[Level] = (), venue_ns: int = 0) -> BookDelta:
    return BookDelta("S", venue_ns, list(bids), list(asks), seq, seq, seq - 1)


def quote(bid: Level, ask: Level, seq: int = 0, venue_ns: int = 0) -> Quote:
    return Quote("S", venue_ns, *bid, *ask, seq)


def status(kind: StatusKind) -> Status:
    return Status("S", 0, kind)


START = book([(100, 5), (99, 7)], [(101, 4), (103, 2)])


@pytest.fixture
def market() -> Market:
    """bids 5@100 7@99 | asks 4@101 2@103, numbered 1."""
    market = Market()
    assert market.hear(START) == ["clear", "bid 5@100 edge", "bid 7@99 edge", "ask 4@101 edge", "ask 2@103 edge"]
    return market


def test_levels_that_shrink_or_go_come_before_those_that_grow(market: Market) -> None:
    change = delta(2, [(101, 3), (100, 5), (99, 6)], [(101, 0), (102, 9), (103, 1)])
    assert market.hear(change) == ["bid 6@99", "ask 0@101", "ask 1@103", "bid 3@101", "ask 9@102"]


def test_what_did_not_change_is_not_told(market: Market) -> None:
    assert market.hear(delta(2, [(100, 5), (98, 0)], [(103, 2)])) == []
    assert market.hear(delta(3)) == []


def test_of_a_price_told_twice_the_last_counts(market: Market) -> None:
    assert market.hear(delta(2, [(100, 9), (100, 6)])) == ["bid 6@100"]


def test_a_new_book_begins_from_nothing(market: Market) -> None:
    assert market.hear(book([(99, 1)], [], 9)) == ["clear", "bid 1@99 edge"]
    assert market.hear(delta(10, [(99, 2)])) == ["bid 2@99"]


def test_a_gap_clears_until_the_next_book(market: Market) -> None:
    assert market.hear(delta(3, [(100, 6)])) == ["clear"]
    assert market.hear(status("gap")) == []
    assert market.hear(delta(4, [(100, 6)])) == []
    assert market.hear(quote((100, 6), (101, 4), 5)) == []
    assert market.hear(book([(100, 6)], [], 8)) == ["clear", "bid 6@100 edge"]


def test_a_lost_venue_clears(market: Market) -> None:
    market.book.drop("lost")
    assert market.hear(status("stale")) == ["clear"]
    assert market.hear(status("stale")) == []
    assert market.hear(status("live")) == []


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (quote((100, 5), (101, 4), 2), []),
        (quote((100, 6), (101, 4), 2), ["quote bid 6@100"]),
        (quote((100, 5), (102, 1), 2), ["quote ask 1@102"]),
        (quote((99, 7), (100, 1), 2), ["quote bid 7@99", "quote ask 1@100"]),
        (quote((102, 7), (103, 2), 2), ["quote ask 2@103", "quote bid 7@102"]),
        (quote((0, 0), (101, 4), 2), ["quote bid 0@0"]),
        (quote((100, 6), (101, 4), 1), []),
    ],
    ids=["the same", "quantity", "ask falls back", "down", "up", "empty side", "older than the book"],
)
def test_quotes_tell_the_sides_that_changed(market: Market, said: Quote, expected: list[str]) -> None:
    """The side that falls back first."""
    assert market.hear(said) == expected
    assert market.hear(said) == []


def test_a_book_after_a_quote_puts_right_what_was_quoted(market: Market) -> None:
    """It goes down to 98 and comes back; the book of that time has 100 again."""
    assert market.hear(quote((98, 3), (99, 1), 3)) == ["quote bid 3@98", "quote ask 1@99"]
    assert market.hear(quote((100, 5), (101, 4), 4)) == ["quote ask 4@101", "quote bid 5@100"]
    assert market.hear(delta(2, [], [(103, 3)])) == ["bid 0@98", "bid 7@99", "ask 3@103"]
    assert shown(market) == ({100: 5, 99: 7}, {101: 4, 103: 3})


def test_a_newer_quote_stays_on_top_of_an_older_book(market: Market) -> None:
    assert market.hear(quote((102, 2), (103, 2), 9)) == ["quote ask 2@103", "quote bid 2@102"]
    assert market.hear(delta(2, [(100, 6), (101, 1)], [(101, 0), (102, 8)])) == ["bid 6@100", "bid 1@101"]
    assert shown(market) == ({102: 2, 101: 1, 100: 6, 99: 7}, {103: 2})


def test_a_quote_as_old_as_the_book_gives_way_to_it(market: Market) -> None:
    assert market.hear(quote((102, 2), (103, 2), 2)) == ["quote ask 2@103", "quote bid 2@102"]
    assert market.hear(delta(2, [], [(102, 8), (101, 0)])) == ["bid 0@102", "ask 8@102"]
    assert shown(market) == ({100: 5, 99: 7}, {102: 8, 103: 2})


def test_without_numbers_the_venues_time_decides() -> None:
    market = Market()
    market.hear(book([(100, 5)], [(102, 4)], 1, venue_ns=1000))
    assert market.hear(quote((101, 1), (102, 4), venue_ns=999)) == []
    assert market.hear(quote((101, 1), (102, 4), venue_ns=1100)) == ["quote bid 1@101"]
    assert market.hear(delta(2, [(100, 6)], venue_ns=1050)) == ["bid 6@100"]
    assert market.hear(delta(3, [(100, 7)], venue_ns=1100)) == ["bid 0@101", "bid 7@100"]
    assert market.reference.late_quotes == 1


def test_without_numbers_and_times_the_newer_arrival_counts() -> None:
    market = Market()
    market.hear(book([(100, 5)], [(102, 4)], 1))
    assert market.hear(quote((101, 1), (102, 4))) == ["quote bid 1@101"]
    assert market.hear(delta(2, [(100, 6)])) == ["bid 0@101", "bid 6@100"]


def test_a_new_book_is_overlaid_too(market: Market) -> None:
    market.hear(quote((102, 2), (103, 2), 9))
    assert market.hear(book([(100, 5)], [(101, 4), (104, 1)], 5)) == [
        "clear",
        "bid 2@102 edge",
        "bid 5@100 edge",
        "ask 2@103 edge",
        "ask 1@104 edge",
    ]
    assert market.hear(delta(6)) == []
    assert market.hear(delta(7, [], [(103, 5)])) == []
    assert market.hear(delta(8)) == []
    assert market.hear(delta(9)) == ["bid 0@102", "ask 4@101", "ask 5@103"]
    assert shown(market) == ({100: 5}, {101: 4, 103: 5, 104: 1})


def test_crossed_quotes_say_nothing(market: Market) -> None:
    assert market.hear(quote((101, 2), (101, 2), 2)) == []
    assert market.out.refused == 1


def test_a_book_that_crosses_itself_is_put_right_when_it_can_be(market: Market) -> None:
    """The newer level takes the other side's away (O2b); it comes back when the venue is not crossed any more."""
    assert market.hear(delta(2, [(101, 1)])) == ["bid 1@101"]
    assert market.hear(delta(3, [(101, 0)])) == ["bid 0@101", "ask 4@101"]
    assert shown(market) == ({100: 5, 99: 7}, {101: 4, 103: 2})


def shown(market: Market) -> tuple[dict[int, int], dict[int, int]]:
    """What the outside book shows if it did as it was told."""
    reference = market.reference
    return dict(reference._bids.told), dict(reference._asks.told)


WHOLE = [
    ("the same", [(100, 5), (99, 7)], [(101, 4)], []),
    ("a quantity", [(100, 5), (99, 6)], [(101, 5)], ["bid 6@99", "ask 5@101"]),
    ("the end went out of sight", [(101, 2), (100, 5)], [(102, 4)], ["bid 0@99 edge", "ask 0@101", "bid 2@101", "ask 4@102 edge"]),
    ("one came into sight", [(99, 7), (98, 3)], [(101, 4)], ["bid 0@100", "bid 3@98 edge"]),
    ("empty", [], [], ["bid 0@100", "bid 0@99", "ask 0@101"]),
]  # fmt: skip


@pytest.mark.parametrize(("bids", "asks", "expected"), [one[1:] for one in WHOLE], ids=[one[0] for one in WHOLE])
def test_whole_books_are_told_by_their_differences(bids: list[Level], asks: list[Level], expected: list[str]) -> None:
    market = Market(BookRule.WHOLE)
    market.hear(book([(100, 5), (99, 7)], [(101, 4)], 0, venue_ns=1))
    assert market.hear(quote((1, 1), (2, 2), venue_ns=2)) == []
    assert market.hear(book(bids, asks, 0, venue_ns=2)) == expected
    assert shown(market) == (dict(bids), dict(asks))


def trade(number: str, qty: int = 3, price: int = 101, sold: bool = False) -> Trade:
    return Trade("S", 55, number, price, qty, sold)


def test_trades_have_the_takers_side_and_the_venues_number(market: Market) -> None:
    assert market.hear(trade("900719925474099")) == ["print BUY 3@101 #900719925474099 at 55"]
    assert market.hear(trade("9", sold=True)) == ["print SELL 3@101 #9 at 55"]
    assert market.hear(trade("a-1")) == ["print BUY 3@101 #1 at 55"]
    assert market.hear(trade("a-2")) == ["print BUY 3@101 #2 at 55"]


def test_halts_are_told_once(market: Market) -> None:
    assert market.hear(status("trading")) == []
    assert market.hear(status("halted")) == ["halted"]
    assert market.hear(status("halted")) == []
    assert market.hear(status("trading")) == ["trading"]


def test_everything_can_be_told_again(market: Market) -> None:
    market.hear(quote((100, 6), (101, 4), 9))
    market.hear(status("halted"))
    market.reference.retell(99)
    assert told(market.out.take()) == [
        "halted", "clear", "bid 6@100 edge", "bid 7@99 edge", "ask 4@101 edge", "ask 2@103 edge",
    ]  # fmt: skip
    market.book.drop("lost")
    market.reference.retell(100)
    assert told(market.out.take()) == ["halted", "clear"]


@pytest.mark.parametrize(
    "event",
    [
        trade("1", qty=0),
        trade("1", price=0),
        trade("1", price=-5),
        trade("1", qty=LIMIT),
        quote((-1, 5), (101, 4), 2),
        quote((100, 0), (101, 4), 2),
        quote((100, 5), (LIMIT, 4), 2),
        delta(2, [(0, 5)]),
        delta(2, [], [(1 << 70, 5)]),
        delta(2, [], [(104, LIMIT)]),
        delta(2, [(98, -4)]),
    ],
)
def test_numbers_that_no_book_takes_are_counted(market: Market, event: Event) -> None:
    assert market.hear(event) == []
    assert market.out.refused == 1


def test_several_symbols_share_a_batch() -> None:
    out = CommandBuilder()
    books = [VenueBook("S", BookRule.NEXT) for _ in range(2)]
    references = [Reference(number, one, out) for number, one in enumerate(books)]
    for number, (one, reference) in enumerate(zip(books, references, strict=True)):
        one.apply(START)
        reference.take(START, number)
    rows = out.take()
    assert rows["symbol"].tolist() == [0] * 5 + [1] * 5
    assert rows["target_id"].tolist() == [0] * 5 + [1] * 5
    assert len(out.take()) == 0
