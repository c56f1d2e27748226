"""Commands that an account actor has sent to the books and not yet seen committed: numbered densely per book, kept until a
batch holds them, and sent again to a book that came back without them.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

import numpy as np

from actors.follower import BookFollower
from actors.wire import Batch, Kind
from market.numbering import OUTSIDE_ACCOUNT
from market.records import Records, picked


class SentCommands:
    def __init__(self, books: Sequence[BookFollower], partition: int, partitions: int) -> None:
        """`books`: by partition; `partition` of so many `partitions` of accounts is the sender."""
        self._books: Final = books
        self._partition: Final = partition
        self._partitions: Final = partitions
        self._sent: Final[list[deque[Records]]] = [deque() for _ in books]
        self._in_flight: Final = [0] * len(books)
        self._newest_id: Final = [0] * len(books)

    @property
    def in_flight(self) -> list[int]:
        """Commands by book."""
        return self._in_flight

    def to(self, book: int) -> Sequence[Records]:
        """What one book has not committed, oldest first."""
        return self._sent[book]

    def send(self, commands: Records) -> None:
        """Number the commands per book and put them on its stream; a book that is away gets them when it is back."""
        n_b = len(self._books)
        owners = commands["symbol"] % n_b if n_b > 1 else None
        for book in range(n_b):
            own = commands if owners is None else picked(commands, owners == book)
            if not len(own):
                continue
            first = self._newest_id[book] + 1
            self._newest_id[book] += len(own)
            own["command_id"] = np.arange(first, first + len(own))
            self._sent[book].append(own)
            self._in_flight[book] += len(own)
            link = self._books[book].link
            if link is not None:
                link.send(Kind.COMMANDS, own.tobytes())

    def confirm(self, batch: Batch) -> None:
        """Forget what the batch holds."""
        sent = self._sent[batch.partition]
        if not sent:
            return
        accounts, ids = batch.commands["account"], batch.commands["command_id"]
        if not len(ids) or accounts[0] == OUTSIDE_ACCOUNT:  # what the feed sends is a batch of its own
            return
        if self._partitions > 1:
            ids = ids[accounts % self._partitions == self._partition]
            if not len(ids):
                return
        newest = int(ids[-1])
        while sent and int(sent[0]["command_id"][-1]) <= newest:
            self._in_flight[batch.partition] -= len(sent.popleft())

    def go_on_after(self, book: int, command_id: int) -> None:
        """A new process numbers on after the newest that the book knows of an older one."""
        self._newest_id[book] = command_id

    def send_again(self, book: int, known: int) -> None:
        """To a book that is back what comes after the newest command that it knows."""
        link = self._books[book].link
        assert link is not None
        for commands in self._sent[book]:
            fresh = picked(commands, commands["command_id"] > known)
            if len(fresh):
                link.send(Kind.COMMANDS, fresh.tobytes())
