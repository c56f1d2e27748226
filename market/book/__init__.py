"""Order books: a function from (state, commands) to (state, events), for one symbol and for many. The rules: SEMANTICS.md."""

from market.book.arranging import BATCH_COMMANDS
from market.book.books import Books
from market.book.engine import MAX_LIVE_ORDERS, Book, warm
from market.book.layout import DEPTH, RESTING

__all__ = ["BATCH_COMMANDS", "DEPTH", "MAX_LIVE_ORDERS", "RESTING", "Book", "Books", "warm"]
