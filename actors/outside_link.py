"""The feed's end of its stream to one book: nothing is lost or doubled, whatever happens to the link or to the book.

Commands are numbered densely per book. What the book has not journaled is kept and sent again after a reconnect; the
book's watermark says what that is. Every frame is acknowledged once, in order.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import numpy as np
import structlog

from actors import directory
from actors.book_inbox import OUTSIDE
from actors.config import Settings, book_name
from actors.errors import LinkDown
from actors.stream import Link, connect
from actors.wire import ACK_BODY, OUTSIDE_HEAD, Hello, Kind, Welcome, encoder, welcome_decoder
from market.records import Records, picked

log = structlog.get_logger()

WINDOW: Final = 65_536
"""Commands that may wait for their acknowledgement: 10 MB, and as many as a book keeps waiting."""
FRAME_LIMIT: Final = 8192
"""Commands in a frame: a journal row of 2 MB."""
_RETRY_S: Final = 0.02
_RETRY_MOST_S: Final = 1.0


class _Frame(NamedTuple):
    ts_ns: int
    pace: float
    commands: Records | None
    """None: it only tells the time."""

    @property
    def size(self) -> int:
        return 0 if self.commands is None else len(self.commands)


class OutsideLink:
    def __init__(
        self,
        settings: Settings,
        partition: int,
        epoch: int,
        *,
        from_start: bool = False,
        resolve: Callable[[str], Awaitable[str]] = directory.endpoint,
    ) -> None:
        """`from_start`: the first command ever sent is number 1 and what the book knows is left out; else numbers go on
        after what the book knows. `epoch`: of the feed; a book listens to the highest."""
        self.partition = partition
        self.reconnects = 0
        self._name = book_name(partition)
        self._hello = Hello("outside", f"feed-{settings.run_dir}", OUTSIDE, epoch)
        self._from_start = from_start
        self._resolve = resolve
        self.on_change: Callable[[], None] | None = None
        """Called after every acknowledgement, and when the link comes and goes."""
        self._link: Link | None = None
        self._journaled = 0
        """command_id of the newest that is known to be in the book's journal."""
        self._numbered = 0
        self._frames: deque[_Frame] = deque()
        """Not acknowledged, in order."""
        self._waiting = 0
        """Commands in them."""
        self._told = asyncio.Event()
        self._up = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._empty = asyncio.Event()
        self._empty.set()

    # -- for the feed ---------------------------------------------------------------------------------------------

    @property
    def up(self) -> bool:
        return self._link is not None

    @property
    def journaled(self) -> int:
        return self._journaled

    @property
    def numbered(self) -> int:
        """command_id of the newest command that was sent, or would have been."""
        return self._numbered

    @property
    def waiting(self) -> int:
        """Commands that are not acknowledged."""
        return self._waiting

    @property
    def idle(self) -> bool:
        """Everything sent is acknowledged."""
        return not self._frames

    @property
    def full(self) -> bool:
        return self._waiting >= WINDOW

    async def ready(self) -> None:
        """Returns when the book has told what it knows."""
        await self._told.wait()

    async def connected(self) -> None:
        while self._link is None:
            await self._up.wait()

    async def room(self) -> None:
        while self.full:
            await self._room.wait()

    async def drained(self) -> None:
        """Returns when all is journaled, and the book's clock stands where it was told."""
        while self._frames:
            await self._empty.wait()

    def send(self, commands: Records, ts_ns: int, pace: float) -> None:
        """Batches of the book's; after `ready`. The command_ids of the commands are written.

        `ts_ns`, `pace`: market time after them (`market.clock`). Without commands only time is told.
        """
        assert self._told.is_set()
        if not len(commands):
            self._put(_Frame(ts_ns, pace, None))
        for start in range(0, len(commands), FRAME_LIMIT):
            piece = commands[start : start + FRAME_LIMIT]
            is_last = start + FRAME_LIMIT >= len(commands)
            self._send(piece, ts_ns, pace if is_last else 0.0)

    def _send(self, commands: Records, ts_ns: int, pace: float) -> None:
        first = self._numbered + 1
        self._numbered += len(commands)
        if self._numbered <= self._journaled:
            return
        commands["command_id"] = np.arange(first, first + len(commands))
        if first <= self._journaled:
            commands = picked(commands, commands["command_id"] > self._journaled)
        self._put(_Frame(ts_ns, pace, commands))

    def _put(self, frame: _Frame) -> None:
        link = self._link
        if link is None and frame.commands is None and self._frames and self._frames[-1].commands is None:
            self._frames.pop()  # only the newest time is of interest to who hears it later
        self._frames.append(frame)
        self._count(frame.size)
        if link is not None:
            _write(link, frame)

    def _count(self, commands: int) -> None:
        self._waiting += commands
        _show(self._room, not self.full)
        _show(self._empty, not self._frames)

    def status(self) -> dict[str, object]:
        return {
            "book": self._name,
            "up": self.up,
            "sent": self._numbered,
            "journaled": self._journaled,
            "reconnects": self.reconnects,
        }

    # -- the link -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until canceled."""
        delay_s = _RETRY_S
        try:
            while True:
                try:
                    if await self._stay_connected():
                        delay_s = _RETRY_S
                except (LinkDown, OSError) as error:
                    log.info("book not reached", book=self.partition, error=str(error))
                except Exception:
                    log.exception("the link to a book failed", book=self.partition)
                await asyncio.sleep(delay_s)
                delay_s = min(_RETRY_MOST_S, delay_s * 2)
        finally:
            self._down()

    async def _stay_connected(self) -> bool:
        """Whether the book took us in."""
        link = await connect(await self._resolve(self._name), self._on_frame)
        try:
            link.send(Kind.HELLO, encoder.encode(self._hello))
            await link.closed
            return link is self._link
        finally:
            link.close()
            self._down()

    def _down(self) -> None:
        link, self._link = self._link, None
        self._up.clear()
        if link is not None:
            self.reconnects += 1
            link.close()
            self._changed()

    def _on_frame(self, link: Link, kind: int, body: bytes) -> None:
        if kind == Kind.ACK:
            if link is self._link:
                self._acknowledged(ACK_BODY.unpack(body)[0])
        elif kind == Kind.WELCOME:
            self._welcomed(link, welcome_decoder.decode(body))
        else:
            raise ValueError(f"unexpected frame {kind}")

    def _acknowledged(self, command_id: int) -> None:
        frame = self._frames.popleft()
        if frame.commands is not None and int(frame.commands["command_id"][-1]) > command_id:
            self._frames.appendleft(frame)
            raise ValueError(f"acknowledged up to {command_id}, but not what that frame was")
        self._journaled = max(self._journaled, command_id)
        self._count(-frame.size)
        self._changed()

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change()

    def _welcomed(self, link: Link, welcome: Welcome) -> None:
        self._journaled = welcome.last_command_id
        if not self._told.is_set() and not self._from_start:
            self._numbered = self._journaled
        unknown, self._frames = self._frames, deque()
        self._link = link
        self._count(-self._waiting)
        for frame in unknown:
            again = _after(frame, self._journaled)
            if again is not None:
                self._put(again)
        self._told.set()
        self._up.set()
        self._changed()


def _after(frame: _Frame, journaled: int) -> _Frame | None:
    """What of a frame the book does not know."""
    commands = frame.commands
    if commands is None:
        return frame
    ids = commands["command_id"]
    if ids[-1] <= journaled:
        return None
    return frame if ids[0] > journaled else frame._replace(commands=picked(commands, ids > journaled))


def _write(link: Link, frame: _Frame) -> None:
    head = OUTSIDE_HEAD.pack(frame.ts_ns, frame.pace)
    link.send(Kind.OUTSIDE, head if frame.commands is None else head + frame.commands.tobytes())


def _show(event: asyncio.Event, holds: bool) -> None:
    if holds:
        event.set()
    else:
        event.clear()
