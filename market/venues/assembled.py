"""The books of one venue: what a connection may publish of each book event."""

from collections.abc import Sequence

from market.venues.adapter import BookRule
from market.venues.books import VenueBook
from market.venues.events import BookDelta, BookEvent, Event


class AssembledBooks:
    def __init__(self, rule: BookRule) -> None:
        self._rule = rule
        self._books: dict[str, VenueBook] = {}

    def of(self, symbol: str) -> VenueBook:
        found = self._books.get(symbol)
        if found is None:
            found = self._books[symbol] = VenueBook(symbol, self._rule)
        return found

    def apply(self, event: BookEvent) -> Sequence[Event]:
        """The event, if it was applied; the whole book and `Status` live when it became whole; `Status` gap when it is lost."""
        book = self.of(event.symbol)
        version = book.version
        status = book.apply(event)
        if status is not None:
            return (book.snapshot(), status) if status.kind == "live" else (status,)
        if book.version == version:
            return ()
        if isinstance(event, BookDelta) and self._rule is BookRule.RESTARTING and event.last_seq == 1:
            return (book.snapshot(),)
        return (event,)

    def drop(self, symbol: str) -> None:
        """Forget one book, or all for the empty name: they take no delta until a snapshot comes."""
        for book in [self.of(symbol)] if symbol else list(self._books.values()):
            book.drop("forgotten")
