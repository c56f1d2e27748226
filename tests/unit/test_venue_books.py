"""Rules of numbering as market tables: snapshots and deltas in, what the book says of itself out."""

import zlib

import pytest

from market.venues.adapter import BookRule
from market.venues.books import LEVELS, VenueBook, checksum
from market.venues.events import BookDelta, BookEvent, BookSnapshot, Check, Level, Status


def whole(seq: int, bids: str = "5@100", asks: str = "5@101") -> BookSnapshot:
    return BookSnapshot("BTCUSDT", seq, levels(bids), levels(asks), seq)


def delta(first: int, last: int, previous: int = -1, bids: str = "", asks: str = "") -> BookDelta:
    return BookDelta("BTCUSDT", last, levels(bids), levels(asks), first, last, previous)


def levels(text: str) -> list[Level]:
    return [(int(price), int(qty)) for qty, price in (one.split("@") for one in text.split())]


def said(status: Status | None) -> str:
    return "" if status is None else f"{status.kind}: {status.text}" if status.text else status.kind


def told(rule: BookRule, events: list[BookEvent]) -> list[str]:
    book = VenueBook("BTCUSDT", rule)
    return [said(book.apply(event)) for event in events]


N = BookRule.NEXT
P = BookRule.PREVIOUS
RN = BookRule.REST_NEXT
RP = BookRule.REST_PREVIOUS
R = BookRule.RESTARTING
W = BookRule.WHOLE


@pytest.mark.parametrize(
    ("rule", "table"),
    [
        # U == u + 1
        (N, [(delta(1, 2), ""), (whole(5), "live"), (delta(6, 8), ""), (delta(9, 9), "")]),
        (N, [(whole(5), "live"), (delta(7, 8), "gap: after 5 came 7"), (delta(9, 9), ""), (whole(9), "live")]),
        (N, [(whole(5), "live"), (delta(6, 6), ""), (delta(6, 6), "gap: after 6 came 6")]),
        (N, [(whole(5), "live"), (whole(3), ""), (delta(4, 4), "")]),
        # prevSeqId == seqId; maintenance starts the numbers again
        (P, [(whole(5), "live"), (delta(9, 9, 5), ""), (delta(9, 9, 9), ""), (delta(2, 2, 9), ""), (delta(4, 4, 2), "")]),
        (P, [(whole(5), "live"), (delta(9, 9, 6), "gap: after 5 came 6 before 9"), (delta(10, 10, 9), "")]),
        # deltas wait for the REST snapshot, the old ones are dropped, the first reaches over it
        (RN, [(delta(1, 3), ""), (delta(4, 6), ""), (delta(7, 9), ""), (whole(5), "live"), (delta(10, 10), "")]),
        (RN, [(delta(4, 6), ""), (whole(6), "live"), (delta(5, 6), ""), (delta(7, 7), "")]),
        (RN, [(whole(6), "live"), (delta(5, 7), ""), (delta(7, 8), "gap: after 7 came 7")]),
        (
            RN,
            [
                (delta(7, 8), ""),
                (whole(5), "gap: the snapshot ends at 5, the deltas heard begin at 7"),
                (delta(9, 9), ""),
                (whole(8), "live"),
                (delta(10, 10), ""),
            ],
        ),
        (RN, [(delta(1, 2), ""), (whole(2), "live"), (delta(4, 5), "gap: after 2 came 4"), (whole(5), "live")]),
        (RN, [(delta(4, 6), ""), (delta(8, 9), ""), (whole(5), "gap: after 6 came 8"), (whole(9), "live")]),
        (RN, [(whole(6), "live"), (delta(7, 7), ""), (whole(6), ""), (delta(8, 8), "")]),
        # U <= id <= u, then pu == u
        (RP, [(delta(10, 14, 8), ""), (delta(20, 24, 14), ""), (whole(12), "live"), (delta(30, 31, 24), "")]),
        (RP, [(delta(10, 14, 8), ""), (whole(14), "live"), (delta(20, 24, 14), ""), (delta(30, 31, 24), "")]),
        (RP, [(delta(10, 14, 8), ""), (whole(14), "live"), (delta(20, 24, 15), "gap: after 14 came 15 before 24")]),
        (RP, [(whole(9), "live"), (delta(10, 14, 8), ""), (delta(20, 24, 13), "gap: after 14 came 13 before 24")]),
        # rising; 1 is a snapshot; repeated or falling is a gap
        (R, [(delta(3, 3), ""), (whole(5), "live"), (delta(6, 6), ""), (delta(9, 9), ""), (delta(1, 1), ""), (delta(2, 2), "")]),
        (R, [(whole(5), "live"), (delta(5, 5), "gap: after 5 came 5"), (delta(6, 6), ""), (delta(1, 1), "live")]),
        # no deltas at all; older books are not news
        (W, [(whole(0), "live"), (whole(0), ""), (delta(1, 1), "gap: after 0 came 1")]),
        (W, [(whole(5), "live"), (whole(4), ""), (whole(5), ""), (whole(6), "")]),
    ],
)  # fmt: skip
def test_sequences(rule: BookRule, table: list[tuple[BookEvent, str]]) -> None:
    assert told(rule, [event for event, _ in table]) == [line for _, line in table]


def test_a_book_of_levels() -> None:
    book = VenueBook("BTCUSDT", N)
    book.apply(whole(1, "5@100 4@99 3@98", "5@101 4@102"))
    assert book.top(2) == ([(100, 5), (99, 4)], [(101, 5), (102, 4)])
    book.apply(delta(2, 2, bids="0@100 7@97 1@99 0@55", asks="9@101 1@100"))
    assert book.top(9) == ([(99, 1), (98, 3), (97, 7)], [(100, 1), (101, 9), (102, 4)])
    assert book.best() == book.best()
    assert (book.best().bid, book.best().ask_qty) == (99, 1)
    assert book.snapshot() == BookSnapshot("BTCUSDT", 2, *book.top(9), 2)
    assert book.top(0) == ([], [])


def test_a_gapped_book_is_never_shown() -> None:
    book = VenueBook("BTCUSDT", N)
    book.apply(whole(1))
    version = book.version
    book.apply(delta(3, 3, bids="7@100"))
    assert (book.live, book.top(5), book.changes_since(version)) == (False, ([], []), None)
    assert book.best().bid_qty == 0
    book.apply(delta(4, 4, bids="7@100"))
    assert (book.live, book.top(5)) == (False, ([], []))
    assert said(book.apply(whole(4))) == "live"
    assert book.top(5) == ([(100, 5)], [(101, 5)])
    assert said(book.drop("connection lost")) == "gap: connection lost"
    assert (book.top(5), book.gaps) == (([], []), 2)


def test_what_changed_since_a_version() -> None:
    book = VenueBook("BTCUSDT", N)
    book.apply(whole(1, "5@100 4@99", "5@101"))
    version = book.version
    assert book.changes_since(version) == ([], [])
    book.apply(delta(2, 2, bids="0@100 7@97"))
    book.apply(delta(3, 3, bids="6@100 0@99", asks="0@101"))
    assert book.changes_since(version) == ([(100, 6), (99, 0), (97, 7)], [(101, 0)])
    assert book.changes_since(version + 1) == ([(100, 6), (99, 0)], [(101, 0)])
    assert book.changes_since(version - 1) is None, "the snapshot came after it"
    assert book.changes_since(version + 3) is None, "there is no such version"


def test_a_side_without_end_is_dropped() -> None:
    book = VenueBook("BTCUSDT", N)
    book.apply(whole(1))
    many = [(price, 1) for price in range(1, LEVELS + 1)]
    status = book.apply(BookDelta("BTCUSDT", 2, many, [], 2, 2, -1))
    assert said(status) == f"gap: more than {LEVELS} levels"


def check(crc32: int, bids: str, asks: str = "") -> Check:
    pairs = [[(price, qty) for qty, price in (one.split("@") for one in text.split())] for text in (bids, asks)]
    return Check(crc32, *pairs)


def test_the_checksum_is_over_both_sides_in_turn() -> None:
    # The venue's own example, and the one where a side is shorter.
    bids, asks = [("3366.1", "7"), ("3366", "6")], [("3366.8", "9"), ("3368", "8")]
    assert checksum(bids, asks) == zlib_of("3366.1:7:3366.8:9:3366:6:3368:8")
    assert checksum(bids[:1], [*asks, ("3372", "8")]) == zlib_of("3366.1:7:3366.8:9:3368:8:3372:8")


def zlib_of(text: str) -> int:
    return zlib.crc32(text.encode())


def test_a_wrong_checksum_drops_the_book() -> None:
    book = VenueBook("BTCUSDT", P)
    right = zlib_of("10.0:5:10.1:5")
    snapshot = BookSnapshot("BTCUSDT", 1, [(100, 5)], [(101, 5)], 1, check(right, "5@10.0", "5@10.1"))
    assert said(book.apply(snapshot)) == "live"
    better = zlib_of("10.0:5:10.1:5:9.90:3")
    event = BookDelta("BTCUSDT", 2, [(99, 3)], [], 2, 2, 1, check(better, "3@9.90"))
    assert said(book.apply(event)) == ""
    assert book.checks == 2
    event = BookDelta("BTCUSDT", 3, [(99, 0)], [], 3, 3, 2, check(better, "0@9.90"))
    assert said(book.apply(event)) == f"gap: checksum {right}, the venue says {better}"
    assert (book.live, book.top(5), book.checks) == (False, ([], []), 2)


def test_a_venue_that_stops_its_checksums_is_believed() -> None:
    book = VenueBook("BTCUSDT", P)
    right = zlib_of("10.0:5:10.1:5")
    book.apply(BookSnapshot("BTCUSDT", 1, [(100, 5)], [(101, 5)], 1, check(right, "5@10.0", "5@10.1")))
    assert said(book.apply(delta(2, 2, 1, "3@99"))) == ""
    event = BookDelta("BTCUSDT", 3, [(98, 3)], [], 3, 3, 2, check(1, "3@9.8"))
    assert said(book.apply(event)) == "", "its digits are not known any more"
