"""What waits for a book: who sent it, in what order, and what of it was seen before.

A frame of the feed is a batch of its own; commands of accounts gather. Of a live venue they come in the order in which they
were sent. In a replay, which may be far ahead, what accounts send goes first, and where accounts answer what happens
(`actors.responders`) a frame of the feed is taken in pieces.
"""

import time
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from actors.responders import Responders, Seen
from actors.stream import Link
from actors.wire import ACK_BODY, Hello, Kind
from market.clock import MarketClock
from market.enums import CommandKind
from market.numbering import OUTSIDE_ACCOUNT
from market.records import COMMAND, Records, joined, picked

OUTSIDE: Final = -1
"""The partition number of the feed, which is no account's."""
BATCH_LIMIT: Final = 8192
"""Commands in one journal row: about 2 MB, commits in some milliseconds."""
QUEUE_LIMIT: Final = 65_536
"""Commands waiting; beyond it the senders are no longer read."""
PATIENCE: Final = 16
"""Batches of accounts, one after another, that the feed of a replay waits for: more than any order list has parts. Who floods
the book cannot stop the market."""

_OUTSIDE_KINDS: Final = (CommandKind.OUTSIDE_LEVEL, CommandKind.OUTSIDE_STATUS)


class Told(NamedTuple):
    """Of market time, by a frame of the feed."""

    ts_ns: int
    pace: float


class Taken(NamedTuple):
    """A batch to match, maybe empty."""

    commands: Records
    oldest: float
    """`perf_counter` when the oldest of them came."""
    feed: Link | None = None
    told: Told | None = None
    """By the feed: market time after them."""
    wakes: bool = False
    """It is a batch although nothing may be in it: somebody waits for its time, or the market comes to stand there."""


class _Waiting(NamedTuple):
    link: Link
    partition: int
    commands: Records
    arrived: float
    told: Told | None


NOTHING: Final = Taken(np.zeros(0, COMMAND), 0.0)


class Inbox:
    def __init__(self, partitions: int, clock: MarketClock | None) -> None:
        """`partitions` of accounts; `clock`: where the feed is the master of market time."""
        self.watermarks: dict[int, int] = {}
        """Newest command_id by partition of the sender."""
        self.clock = clock
        self._partitions = partitions
        self._senders: dict[int, tuple[int, Link]] = {}
        self._partition_of: dict[Link, int] = {}
        self.responders = Responders()
        self._waiting: deque[_Waiting] = deque()
        self._feed: deque[_Waiting] = deque()
        """Frames of a replay; of the first the rest that was not taken yet."""
        self._in_a_row = 0
        """Batches of accounts since the last one of the feed."""
        self._clears: Records = np.zeros(0, COMMAND)
        self._count = 0
        self._paused = False

    def __len__(self) -> int:
        return self._count

    def has_next(self, seq: int) -> bool:
        """Something can be taken when `seq` is the newest batch."""
        return bool(self._waiting) or len(self._clears) > 0 or self._is_feeds_turn(seq)

    @property
    def hears_a_venue(self) -> bool:
        """A feed is connected."""
        held = self._senders.get(OUTSIDE)
        return held is not None and held[1].is_open

    def withdraw(self, symbols: Sequence[int]) -> None:
        """Nobody knows any more what the venue shows of them: as the feed would say it, under no number of its own."""
        clears = np.zeros(len(symbols), COMMAND)
        clears["kind"], clears["account"], clears["symbol"] = CommandKind.OUTSIDE_CLEAR, OUTSIDE_ACCOUNT, symbols
        clears["target_id"], clears["command_id"] = time.time_ns(), self.watermarks.get(OUTSIDE, 0)
        self._clears = clears

    # -- senders --------------------------------------------------------------------------------------------------

    def admit(self, link: Link, hello: Hello) -> bool:
        """A sender; False where a younger incarnation of it is connected, or where it is none."""
        if (hello.role == "outside") != (hello.partition == OUTSIDE):
            return False
        held = self._senders.get(hello.partition)
        if held is not None and held[0] > hello.epoch:
            return False
        if held is not None and held[1] is not link:
            held[1].close()
        self._senders[hello.partition] = (hello.epoch, link)
        self._partition_of[link] = hello.partition
        if self.clock is not None and not self.clock.known and hello.partition != OUTSIDE:
            link.pause()  # there is no time yet at which something could happen
        return True

    def left(self, link: Link) -> bool:
        """Whether it was the feed's."""
        partition = self._partition_of.pop(link, None)
        if partition is not None and self._senders[partition][1] is link:
            self.responders.left(partition)
        return partition == OUTSIDE

    def saw(self, link: Link, seen: Seen) -> None:
        """An account actor tells of itself."""
        partition = self._partition_of[link]
        if self._senders[partition][1] is link:
            self.responders.told(partition, seen)

    def put(self, link: Link, commands: Records, told: Told | None = None) -> None:
        """What a sender sent; ValueError when it is not for it to send."""
        partition = self._partition_of[link]
        if (partition == OUTSIDE) != (told is not None):
            raise ValueError(f"a frame that partition {partition} does not send")
        if told is not None:
            _check_outside(commands)
            self._first_time(told)
        queue = self._waiting if told is None or self.clock is None else self._feed
        queue.append(_Waiting(link, partition, commands, time.perf_counter(), told))
        self._count += len(commands)
        if self._count > QUEUE_LIMIT:
            self._paused = True
            link.pause()

    def _first_time(self, told: Told) -> None:
        if self.clock is not None and not self.clock.known:
            self.clock.told(*told, time.monotonic_ns())
            self._resume()

    def _resume(self) -> None:
        self._paused = False
        for _, link in self._senders.values():
            link.resume()

    # -- batches --------------------------------------------------------------------------------------------------

    def take(self, seq: int, ts_ns: int) -> Taken:
        """The next batch, without commands that were seen before; `seq`, `ts_ns`: of the newest one. Of the feed's commands
        the book says how many it took (`took`)."""
        taken = self._next(seq, ts_ns)
        if self._paused and self._count <= QUEUE_LIMIT // 2:
            self._resume()
        return taken

    def _next(self, seq: int, ts_ns: int) -> Taken:
        if len(self._clears):
            clears, self._clears = self._clears, self._clears[:0]
            return Taken(clears, time.perf_counter())
        if self._is_feeds_turn(seq):
            self._in_a_row = 0
            return self._of_feed(ts_ns)
        taken = self._of_accounts()
        self._in_a_row += len(taken.commands) > 0
        return taken

    def _is_feeds_turn(self, seq: int) -> bool:
        """Of a replay's. In turns with the accounts; but where they answer what happens, all that they send goes first."""
        if not self._feed:
            return False
        if not self.responders:
            return not self._waiting or self._in_a_row > 0
        if self._waiting:
            return self._in_a_row >= PATIENCE
        return self.responders.have_seen(seq)

    def _of_accounts(self) -> Taken:
        """What gathered; of a live venue a frame of the feed when its turn has come."""
        parts: list[Records] = []
        count, oldest = 0, 0.0
        while self._waiting and count < BATCH_LIMIT:
            if parts and self._waiting[0].told is not None:
                break
            one = self._waiting.popleft()
            self._count -= len(one.commands)
            commands = self._fresh(one)
            if commands is None:
                continue
            if one.told is not None:
                return Taken(commands, one.arrived, one.link, one.told)
            if len(commands):
                self._remember(one.partition, commands)
                oldest = oldest or one.arrived
                parts.append(commands)
                count += len(commands)
        if not parts:
            return NOTHING
        return Taken(parts[0] if len(parts) == 1 else joined(parts, COMMAND), oldest)

    def _of_feed(self, ts_ns: int) -> Taken:
        """The first frame or the rest of it, as far as nobody waits for a time within."""
        one = self._feed[0]
        assert one.told is not None
        commands = self._fresh(one)
        if commands is None:
            self._feed.popleft()
            self._count -= len(one.commands)
            return NOTHING
        due_ns = self.responders.due_ns(ts_ns)
        if due_ns > one.told.ts_ns:
            stands = not one.told.pace and one.told.ts_ns > ts_ns  # who follows the book is told at what time
            return Taken(commands, one.arrived, one.link, one.told, wakes=stands)
        before = int(np.searchsorted(commands["target_id"], due_ns))
        return Taken(commands[:before], one.arrived, one.link, Told(due_ns, 0.0), wakes=True)

    def took(self, taken: Taken, n: int) -> Link | None:
        """The first `n` commands of a batch were matched, all but where it is of the feed; what is left comes again. Who is to
        be told when they are journaled."""
        if taken.feed is None or taken.told is None:
            return None
        if n:
            self._remember(OUTSIDE, taken.commands[:n])
        if self.clock is None:
            return taken.feed
        one = self._feed.popleft()
        self._count -= len(one.commands)
        if n == len(taken.commands) and taken.told is one.told:
            self.clock.told(*taken.told, time.monotonic_ns())
            return one.link
        until = taken.told if n == len(taken.commands) else Told(int(taken.commands["target_id"][n - 1]), 0.0)
        self.clock.told(*until, time.monotonic_ns())
        rest = one.commands[one.commands["command_id"] > self.watermarks.get(OUTSIDE, 0)]
        self._feed.appendleft(one._replace(commands=rest))
        self._count += len(rest)
        return None

    def _fresh(self, one: _Waiting) -> Records | None:
        """What was not seen before; None: an older incarnation of the sender sent it."""
        current = self._senders.get(one.partition)
        if current is None or current[1] is not one.link:
            return None
        commands = one.commands
        known = self.watermarks.get(one.partition, 0)
        if len(commands) and commands["command_id"][0] <= known:  # some were sent again
            commands = picked(commands, commands["command_id"] > known)
        return commands

    def _remember(self, partition: int, commands: Records) -> None:
        self.watermarks[partition] = int(commands["command_id"][-1])

    def acknowledge(self, feed: Link) -> None:
        """All that was taken is journaled."""
        feed.send(Kind.ACK, ACK_BODY.pack(self.watermarks.get(OUTSIDE, 0)))

    def note(self, commands: Records) -> None:
        """A journaled batch: remember how far each sender got."""
        accounts = commands["account"]
        outside = accounts == OUTSIDE_ACCOUNT
        if self._partitions == 1 and len(commands) and not outside.any():
            self.watermarks[0] = int(commands["command_id"][-1])
            return
        owners = np.where(outside, OUTSIDE, accounts % self._partitions)
        for partition in np.unique(owners):
            self.watermarks[int(partition)] = int(commands["command_id"][owners == partition][-1])


def _check_outside(commands: Records) -> None:
    if not len(commands):
        return
    first, last = _OUTSIDE_KINDS
    kinds, ids = commands["kind"], commands["command_id"]
    if not ((commands["account"] == OUTSIDE_ACCOUNT).all() and (kinds >= first).all() and (kinds <= last).all()):
        raise ValueError("the feed sends outside commands of the outside account, and no others")
    if ids[0] < 1 or int(ids[-1]) - int(ids[0]) + 1 != len(ids) or not (ids[1:] > ids[:-1]).all():
        raise ValueError("command ids of the feed are not dense")
