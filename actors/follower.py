"""Follows the committed batches of one book, from any sequence number on, for ever, without a gap.

First the journal, then the live stream; after every break the same again. Account actors and projectors are followers.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from actors import directory
from actors.config import book_name
from actors.errors import LinkDown
from actors.journal import Journal, Row
from actors.stream import Link, connect
from actors.wire import Batch, Hello, Kind, Welcome, decode_batch, encoder, welcome_decoder

log = structlog.get_logger()

_RETRY_S: Final = 0.05
_RETRY_MOST_S: Final = 1.0


class BookFollower:
    """`on_batch(batch, payload)` gets every batch once and in order; `on_live(welcome)` is told when it caught up."""

    def __init__(
        self,
        pg_dsn: str,
        partition: int,
        hello: Callable[[], Hello],
        on_batch: Callable[[Batch], None],
        on_live: Callable[[Welcome], None] | None = None,
        on_down: Callable[[], None] | None = None,
        resolve: Callable[[str], Awaitable[str]] = directory.endpoint,
        room: asyncio.Event | None = None,
    ) -> None:
        """`room`: while it is cleared the journal is not read on."""
        self.partition = partition
        self.seq = 0
        self.link: Link | None = None
        self.live = asyncio.Event()
        self._journal = Journal(pg_dsn, book_name(partition))
        self._ahead: deque[Row] = deque()
        self._hello = hello
        self._on_batch = on_batch
        self._on_live = on_live
        self._on_down = on_down
        self._resolve = resolve
        self._room = room
        self._welcomed: asyncio.Future[Welcome] | None = None

    async def read(self, until_seq: int | None = None) -> None:
        """Catch up from the journal. Rows read ahead are kept: a recovery asks for them a few at a time."""
        try:
            while True:
                while self._ahead and (until_seq is None or self._ahead[0].seq <= until_seq):
                    self._take(self._ahead.popleft().payload)
                    if self._room is not None and not self._room.is_set():
                        await self._room.wait()
                if self._ahead or (until_seq is not None and self.seq >= until_seq):
                    return
                self._ahead.extend(await self._journal.chunk(self.seq))
                if not self._ahead:
                    return
        except BaseException:
            self._ahead.clear()
            raise

    async def run(self) -> None:
        delay = _RETRY_S
        while True:
            try:
                await self.read()
                await self._follow()
                delay = _RETRY_S
            except (LinkDown, OSError) as error:
                log.info("book not reached", book=self.partition, error=str(error))
            except Exception:
                log.exception("following a book failed, starting over", book=self.partition)
            self._went_down()
            await asyncio.sleep(delay)
            delay = min(_RETRY_MOST_S, delay * 2)

    async def _follow(self) -> None:
        address = await self._resolve(book_name(self.partition))
        self._welcomed = asyncio.get_running_loop().create_future()
        link = await connect(address, self._on_frame)
        try:
            hello = self._hello()
            hello.after_seq = self.seq
            link.send(Kind.HELLO, encoder.encode(hello))
            done, _ = await asyncio.wait({self._welcomed, link.closed}, return_when=asyncio.FIRST_COMPLETED)
            if self._welcomed not in done:
                raise LinkDown("the book hung up")
            welcome = self._welcomed.result()
            if welcome.behind:
                return
            self.link = link
            while self.seq < welcome.seq and link.is_open:
                await asyncio.sleep(0)  # the ring's batches are on their way behind the welcome
                await asyncio.wait({link.closed}, timeout=0.005)
            if not link.is_open:
                return
            if self._on_live is not None:
                self._on_live(welcome)
            self.live.set()
            await link.closed
        finally:
            link.close()

    def _on_frame(self, link: Link, kind: int, body: bytes) -> None:
        if kind == Kind.BATCH:
            self._take(body)
        elif kind == Kind.WELCOME:
            assert self._welcomed is not None
            self._welcomed.set_result(welcome_decoder.decode(body))
        else:
            raise ValueError(f"unexpected frame {kind}")

    def _take(self, payload: bytes | memoryview) -> None:
        batch = decode_batch(payload)
        if batch.seq <= self.seq:
            return
        if batch.seq != self.seq + 1:
            raise ValueError(f"book {self.partition}: after seq {self.seq} came {batch.seq}")
        self.seq = batch.seq
        self._on_batch(batch)

    def _went_down(self) -> None:
        self.link = None
        if self.live.is_set():
            self.live.clear()
            if self._on_down is not None:
                self._on_down()
