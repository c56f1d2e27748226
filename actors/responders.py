"""Account actors that answer what happens in a replay's market with commands of their own, as a book knows of them.

A replay may play an hour in a second, so a book that only went on would be far away when such a command comes: the second part
of an order list after its first was filled, an order that is late by its account's latency. While anybody may answer, a book
goes on message by message; after one that touched a user, and at a time that somebody waits for, the venue's next message
waits until they all have seen what the book told, and have sent what they had to send.
"""

from typing import Final, NamedTuple

import numpy as np

from actors.wire import NEVER
from market.book import Books
from market.numbering import OUTSIDE_ACCOUNT
from market.records import EVENT, Records, joined, picked


class Seen(NamedTuple):
    """What an account actor tells of itself."""

    seq: int
    """Newest batch of the book that it has settled; the commands that follow from it were sent before."""
    due_ns: int
    """Market time at which it has something to send whatever happens; `NEVER`: nothing waits."""
    answers: bool
    """Something may follow from what happens to users' orders."""


class Responders:
    """By partition of accounts; only those that may send something by themselves are kept."""

    def __init__(self) -> None:
        self._seen: Final[dict[int, Seen]] = {}

    def __bool__(self) -> bool:
        return bool(self._seen)

    def told(self, partition: int, seen: Seen) -> None:
        if seen.answers or seen.due_ns != NEVER:
            self._seen[partition] = seen
        else:
            self._seen.pop(partition, None)

    def left(self, partition: int) -> None:
        """Nobody waits for who is gone; what it has to send comes when it is back."""
        self._seen.pop(partition, None)

    @property
    def answer(self) -> bool:
        """Somebody may answer what happens to an order."""
        return any(one.answers for one in self._seen.values())

    def have_seen(self, seq: int) -> bool:
        """Whether all of them have settled that batch."""
        return all(one.seq >= seq for one in self._seen.values())

    def due_ns(self, after_ns: int) -> int:
        """The next market time later than `after_ns` that somebody waits for."""
        return min((one.due_ns for one in self._seen.values() if one.due_ns > after_ns), default=NEVER)


def apply_until_answered(books: Books, commands: Records) -> tuple[int, Records]:
    """Apply a venue's commands message by message, up to the first one that touched a user, whose account may answer.

    How many were applied, and the events as `Books.apply` tells them.
    """
    times, n = commands["target_id"], len(commands)
    ends = [*(np.flatnonzero(times[1:] != times[:-1]) + 1).tolist(), n] if n else []
    parts: list[Records] = []
    start = 0
    for end in ends:
        events = books.apply(commands[start:end])
        if len(events):
            events["command_index"] += start
            parts.append(events)
        start = end
        if (events["account"] != OUTSIDE_ACCOUNT).any() or (events["maker_order_id"] > 0).any():
            break
    told = joined(parts, EVENT) if parts else np.zeros(0, EVENT)
    return start, picked(told, np.argsort(told["symbol"], kind="stable"))
