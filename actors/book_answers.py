"""Tells the books of a replay how far an account actor is, as long as something may follow from what they tell (`actors.responders`)."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from actors.follower import BookFollower
from actors.responders import Seen
from actors.wire import NEVER, SEEN_BODY, Kind


class BookAnswers:
    def __init__(
        self,
        books: Sequence[BookFollower],
        state: Callable[[], tuple[int | None, bool]],
        settled: Callable[[], list[int] | None],
    ) -> None:
        """`state`: the market time at which a command is due by itself, and whether orders' fates may be answered. `settled`: by
        book the newest batch with all that follows from it sent; None while something is under way."""
        self._books: Final = books
        self._state = state
        self._settled = settled
        self._told = [Seen(0, NEVER, False)] * len(books)
        self._is_coming = False

    def soon(self) -> None:
        """Batches were settled. What follows from them is sent in this turn of the event loop, or `settled` says not yet."""
        if not self._is_coming:
            self._is_coming = True
            asyncio.get_running_loop().call_soon(self._tell_settled)

    def _tell_settled(self) -> None:
        self._is_coming = False
        seqs = self._settled()
        if seqs is not None:
            state = self._state_now()
            for book, seq in enumerate(seqs):
                self._tell(book, Seen(seq, *state))

    def changed(self) -> None:
        """More may follow from now on: said before the commands that make it so are sent. That less does is said when all that
        followed is sent."""
        due_ns, answers = self._state_now()
        for book, told in enumerate(self._told):
            self._tell(book, Seen(told.seq, min(due_ns, told.due_ns), answers or told.answers))
        self.soon()  # a book that did not need to hear of us does not know what we have seen

    def connected(self, book: int, seq: int) -> None:
        """A book that is new to us, or came back, knows nothing of us."""
        self._told[book] = Seen(seq, NEVER, False)
        self._tell(book, Seen(seq, *self._state_now()))

    def _state_now(self) -> tuple[int, bool]:
        due_ns, answers = self._state()
        return NEVER if due_ns is None else due_ns, answers

    def _tell(self, book: int, seen: Seen) -> None:
        told, link = self._told[book], self._books[book].link
        quiet = not (seen.answers or told.answers) and seen.due_ns == told.due_ns == NEVER
        if link is None or seen == told or quiet:
            return
        self._told[book] = seen
        link.send(Kind.SEEN, SEEN_BODY.pack(*seen))
