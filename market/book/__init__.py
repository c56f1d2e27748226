"""One symbol's order book: a function from (state, commands) to (state, events). The rules: SEMANTICS.md."""

from market.book.engine import BATCH_COMMANDS, MAX_LIVE_ORDERS, Book, warm
from market.book.layout import DEPTH, RESTING

__all__ = ["BATCH_COMMANDS", "DEPTH", "MAX_LIVE_ORDERS", "RESTING", "Book", "warm"]
