"""`Books`: the books of many symbols, to which a batch is applied in one call.

Not safe for two threads at once; nor may one of its books be applied to meanwhile.
"""

from collections.abc import Iterator, Mapping, MutableMapping

import numpy as np

from market.book import call as C
from market.book.applying import Applying
from market.book.engine import Book
from market.book.layout import Records, WordArray


class Books(Applying, MutableMapping[int, Book]):
    """By symbol, ascending by when they came."""

    def __init__(self, books: Mapping[int, Book]) -> None:
        super().__init__()
        self._books: dict[int, Book] = {}
        self._arenas: WordArray = np.zeros(0, np.int64)
        self._widen(max(books, default=0) + 1)
        self.update(books)

    def apply(self, commands: Records) -> Records:
        """COMMAND[n] of any of these symbols -> EVENT[m]: symbol after symbol, and those of one in order.

        `command_index` points into `commands`. KeyError for a symbol that is not here: nothing is then done.
        """
        return super().apply(commands)

    def _make_room(self, place: int, count: int) -> None:
        self._books[place].make_room(count)

    def _order_of(self, count: int) -> WordArray:
        return np.empty(count, np.int64)

    def _widen(self, symbols: int) -> None:
        """A table for so many symbols, and counts and a bit for each."""
        for book in self._books.values():
            book.leave(self._arenas)
        self._arenas = np.zeros(symbols, np.int64)
        self._counts = np.zeros(symbols + -(-symbols // 64), np.int64)
        self._call[C.SYMBOLS] = symbols
        self._call[C.ARENAS], self._call[C.COUNTS] = C.address_of(self._arenas), C.address_of(self._counts)
        for book in self._books.values():
            book.enter(self._arenas)

    # -- by symbol ------------------------------------------------------------------------------------------------

    def __getitem__(self, symbol: int) -> Book:
        return self._books[symbol]

    def __setitem__(self, symbol: int, book: Book) -> None:
        if symbol != book.symbol_id:
            raise ValueError(f"symbol {symbol}: this is the book of symbol {book.symbol_id}")
        if symbol >= len(self._arenas):
            self._widen(symbol + 1)
        if symbol in self._books:
            del self[symbol]
        self._books[symbol] = book
        book.enter(self._arenas)

    def __delitem__(self, symbol: int) -> None:
        self._books.pop(symbol).leave(self._arenas)

    def __iter__(self) -> Iterator[int]:
        return iter(self._books)

    def __len__(self) -> int:
        return len(self._books)
