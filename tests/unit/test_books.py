"""Many books in one call: each does what it does alone, and what is told points into the batch."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from market.book import BATCH_COMMANDS, Book, Books
from market.enums import CommandKind
from market.records import COMMAND, EVENT, Records, joined, picked
from tests.reference.build import difference, random_flow
from tests.reference.hybrid import OPEN, PRICES, QUANTITIES, hybrid_flow

SYMBOLS = (0, 3, 63, 64, 130)


def mixed(seed: int, each: Sequence[int]) -> Records:
    """Flows of every symbol, thrown together; a pair of one symbol may have others' commands between its legs."""
    flows = []
    for symbol, count in zip(SYMBOLS, each, strict=True):
        if symbol == 3:
            flow = hybrid_flow(seed, count, OPEN, PRICES, QUANTITIES, 0.02)
        else:
            flow = random_flow(seed + symbol, count, OPEN, PRICES, QUANTITIES, 0.01, special=0.3, pairs=0.03)
        flow["symbol"] = symbol
        flows.append(flow)
    turns = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(flows)), [len(one) for one in flows]))
    at = np.empty(len(turns), np.int64)
    at[np.argsort(turns, kind="stable")] = np.arange(len(turns))
    return picked(joined(flows, COMMAND), at)


def alone(books: dict[int, Book], batch: Records) -> Records:
    parts = []
    for symbol in sorted(set(batch["symbol"].tolist())):
        own = np.flatnonzero(batch["symbol"] == symbol)
        told = books[symbol].apply(picked(batch, own))
        told["command_index"] = own[told["command_index"]]
        parts.append(told)
    return joined(parts, EVENT)


def fresh() -> dict[int, Book]:
    return {symbol: Book(OPEN, symbol) for symbol in SYMBOLS}


@pytest.mark.parametrize("longest", [1, 7, 300, 4_000])
def test_many_books_do_what_each_does_alone(longest: int) -> None:
    flow = mixed(longest, [3_000, 1_500, 1_000, 30, 200])
    single, many = fresh(), Books(fresh())
    cuts = np.unique(np.random.default_rng(1).integers(0, len(flow), len(flow) // longest))
    for start, stop in pairwise([0, *cuts.tolist(), len(flow)]):
        batch = flow[start:stop]
        if len(batch):
            assert difference(batch, many.apply(batch), alone(single, batch)) == ""
    assert [book.digest() for book in many.values()] == [book.digest() for book in single.values()]
    restored = Books({k: Book.restore(OPEN, k, book.snapshot()) for k, book in many.items()})
    again = mixed(longest + 1, [100] * len(SYMBOLS))
    assert difference(again, restored.apply(again), many.apply(again)) == ""


def test_a_batch_longer_than_a_piece_of_each_book() -> None:
    """Rows for the worst case run out between two books; the order stays, and so do the pairs at the edges of pieces."""
    flow = mixed(5, [2 * BATCH_COMMANDS + 1, 10, BATCH_COMMANDS, BATCH_COMMANDS + 1, 300])
    many, single = Books(fresh()), fresh()
    told = many.apply(flow)
    assert difference(flow, told, alone(single, flow)) == ""
    symbols = flow["symbol"][told["command_index"]]
    assert (symbols == told["symbol"]).all()
    assert (np.diff(symbols) >= 0).all()


def test_a_symbol_without_a_book() -> None:
    """Nothing is done then, and the next batch finds all as it was."""
    many, single = Books(fresh()), fresh()
    flow = mixed(9, [50] * len(SYMBOLS))
    for stranger in (1, 131, 1 << 30, -1):
        wrong = flow.copy()
        wrong["symbol"][-1] = stranger
        with pytest.raises(KeyError, match=str(stranger)):
            many.apply(wrong)
    assert difference(flow, many.apply(flow), alone(single, flow)) == ""


def test_a_book_is_replaced_and_grows_by_itself() -> None:
    """A restored book takes the place of an empty one; the old one no longer matters, wherever it goes."""
    old, books = Book(OPEN, 3), Books({0: Book(OPEN, 0)})
    books[3] = old
    books[3] = new = Book(OPEN, 3)
    with pytest.raises(ValueError, match="symbol 4"):
        books[4] = Book(OPEN, 3)
    flow = random_flow(1, 2_000, OPEN, PRICES, QUANTITIES)
    flow["symbol"] = 3
    old.apply(flow)  # it grows, and its arena moves
    expected = Book(OPEN, 3).apply(flow)
    half = len(flow) // 2
    told = [books[3].apply(flow[:half]), books.apply(flow[half:])]
    told[1]["command_index"] += half
    assert difference(flow, joined(told, EVENT), expected) == ""
    assert books[3] is new
    assert new.digest() == old.digest()
    cancel = np.zeros(1, COMMAND)
    cancel["kind"], cancel["symbol"] = CommandKind.CANCEL, 3
    del books[3]
    with pytest.raises(KeyError, match="3"):
        books.apply(cancel)
