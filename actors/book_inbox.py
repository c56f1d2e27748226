"""What waits for a book: who sent it, in what order, and what of it was seen before.

A frame of the feed is a batch of its own, in its place among what others sent; commands of accounts gather.
"""

import time
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

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
    """Who is told when it is journaled."""


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
        self._waiting: deque[_Waiting] = deque()
        self._clears: Records = np.zeros(0, COMMAND)
        self._count = 0
        self._paused = False

    def __len__(self) -> int:
        return self._count

    @property
    def empty(self) -> bool:
        return not self._waiting and not len(self._clears)

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
        return self._partition_of.pop(link, None) == OUTSIDE

    def put(self, link: Link, commands: Records, told: Told | None = None) -> None:
        """What a sender sent; ValueError when it is not for it to send."""
        partition = self._partition_of[link]
        if (partition == OUTSIDE) != (told is not None):
            raise ValueError(f"a frame that partition {partition} does not send")
        if told is not None:
            _check_outside(commands)
            self._first_time(told)
        self._waiting.append(_Waiting(link, partition, commands, time.perf_counter(), told))
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

    def take(self) -> Taken:
        """The next batch, without commands that were seen before."""
        taken = self._next()
        if self._paused and self._count <= QUEUE_LIMIT // 2:
            self._resume()
        return taken

    def _next(self) -> Taken:
        if len(self._clears):
            clears, self._clears = self._clears, self._clears[:0]
            return Taken(clears, time.perf_counter())
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
                if self.clock is not None:
                    self.clock.told(*one.told, time.monotonic_ns())
                if len(commands):
                    return Taken(commands, one.arrived, one.link)
                self.acknowledge(one.link)
            elif len(commands):
                oldest = oldest or one.arrived
                parts.append(commands)
                count += len(commands)
        if not parts:
            return NOTHING
        return Taken(parts[0] if len(parts) == 1 else joined(parts, COMMAND), oldest)

    def _fresh(self, one: _Waiting) -> Records | None:
        """What was not seen before; None: an older incarnation of the sender sent it."""
        current = self._senders.get(one.partition)
        if current is None or current[1] is not one.link:
            return None
        commands = one.commands
        if not len(commands):
            return commands
        ids, known = commands["command_id"], self.watermarks.get(one.partition, 0)
        if ids[0] <= known:  # some were sent again
            commands = picked(commands, ids > known)
        if len(commands):
            self.watermarks[one.partition] = int(commands["command_id"][-1])
        return commands

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
