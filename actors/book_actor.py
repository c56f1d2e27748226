"""A book partition: matches for the symbols it owns, journals each batch, then tells its followers.

One loop, no timer: while one batch is being committed the next one gathers. Account actors send commands, the feed what
a real venue shows; account actors and projectors follow the committed batches.

A batch has the time of the wall, or, where a recording is replayed, the time that the feed tells (`market.clock`): several
batches may then have the same.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

import msgspec
import numpy as np
import structlog

from actors.book_inbox import OUTSIDE, Inbox, Taken, Told
from actors.config import Settings, book_name
from actors.errors import JournalCorrupt
from actors.journal import Journal, SnapshotStore
from actors.metrics import BookMetrics
from actors.responders import Seen, apply_until_answered
from actors.stream import Link, listen
from actors.wire import (
    OUTSIDE_HEAD,
    SEEN_BODY,
    Batch,
    Hello,
    Kind,
    Welcome,
    decode_batch,
    encode_batch,
    encoder,
    hello_decoder,
)
from market.book import Book, Books
from market.clock import MarketClock
from market.records import COMMAND, EVENT, Records, same

log = structlog.get_logger()
T = TypeVar("T")

RING_BYTES: Final = 64 * 1024 * 1024
"""Committed batches kept at hand for followers that come back."""
VENUE_GRACE_S: Final = 10.0
"""A feed that died is back after some seconds; without one for so long, what the venue showed is withdrawn."""
SNAPSHOT_EVERY_S: Final = 60.0


class BookSnapshot(msgspec.Struct):
    ts_ns: int
    watermarks: dict[int, int]
    books: dict[int, bytes]


class BookService:
    def __init__(self, settings: Settings, partition: int) -> None:
        self.name = book_name(partition)
        self.settings = settings
        self.partition = partition
        self.instruments = settings.instruments()
        self.books = Books({k: Book(self.instruments[k], k) for k in settings.symbols_of(partition)})
        self._owned = np.zeros(settings.symbols, np.bool_)
        self._owned[list(self.books)] = True
        self.journal = Journal(settings.pg_dsn, self.name)
        self.seq = 0
        self.ts_ns = 0
        self.metrics = BookMetrics(self.name)
        self._inbox = Inbox(settings.account_actors, MarketClock() if settings.market_time == "replay" else None)
        self._followers: list[Link] = []
        self._at_rest: deque[Callable[[], None]] = deque()
        self._ring: deque[tuple[int, bytes]] = deque()
        self._ring_bytes = 0
        self._wake = asyncio.Event()
        self._snapshots = SnapshotStore(settings.pg_dsn, self.name)
        self._snapshot_at = time.monotonic()
        self._snapshot_seq = 0
        self._snapshot_task: asyncio.Task[int] | None = None

    # -- recovery: a first start is a recovery of nothing ---------------------------------------------------------

    async def start(self) -> None:
        await self.journal.activate()
        if found := await self.journal.newest_snapshot():
            self.seq, payload = found
            snapshot = msgspec.msgpack.decode(payload, type=BookSnapshot)
            self.ts_ns = snapshot.ts_ns
            self._inbox.watermarks = snapshot.watermarks
            for symbol, data in snapshot.books.items():
                self.books[symbol] = Book.restore(self.instruments[symbol], symbol, data)
        from_seq = self.seq
        await self._replay()
        if self._inbox.clock is not None:
            self._inbox.clock = MarketClock(self.ts_ns)
        # The first row of an epoch is an empty batch: what an older epoch still has under way now collides.
        await self._commit(np.zeros(0, COMMAND), np.zeros(0, EVENT), self._now_ns())
        log.info("book recovered", name=self.name, epoch=self.journal.epoch, seq=self.seq, from_snapshot=from_seq)
        self._server = await listen(self.settings.socket(self.name), self._on_frame, self._on_close)
        self._withdraw_soon()

    def _withdraw_soon(self) -> None:
        """Of a live venue, unless the feed comes (again); a replay stands still meanwhile."""
        if self._inbox.clock is None:
            asyncio.get_running_loop().call_later(VENUE_GRACE_S, self._withdraw)

    def _withdraw(self) -> None:
        shown = [] if self._inbox.hears_a_venue else [k for k, book in self.books.items() if len(book.outside())]
        if shown:
            log.warning("no feed: what the venue showed is withdrawn", name=self.name, symbols=len(shown))
            self._inbox.withdraw(shown)
            self._wake.set()

    async def _replay(self) -> None:
        async for row in self.journal.read(self.seq):
            if row.seq != self.seq + 1:
                raise JournalCorrupt(f"{self.name}: after seq {self.seq} comes {row.seq}")
            batch = decode_batch(row.payload, writable=False)
            self._inbox.note(batch.commands)
            events = self.books.apply(batch.commands)
            if not same(events, batch.events):
                raise JournalCorrupt(f"{self.name}: seq {row.seq} matches to other events than it was journaled with")
            self.seq = row.seq
            self.ts_ns = batch.ts_ns

    # -- the loop -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._at_rest:
                self._at_rest.popleft()()
            await self._step(self._inbox.take(self.seq, self.ts_ns))
            if self._at_rest or self._inbox.has_next(self.seq):
                self._wake.set()
            if time.monotonic() - self._snapshot_at > SNAPSHOT_EVERY_S and self.seq != self._snapshot_seq:
                self._snapshot_task = asyncio.create_task(self._save(*self._copy()))

    async def _step(self, taken: Taken) -> None:
        began = time.perf_counter()
        if taken.feed is not None and self._inbox.responders.answer:
            n, events = apply_until_answered(self.books, taken.commands)
        else:
            n, events = len(taken.commands), self.books.apply(taken.commands)
        matched = time.perf_counter()
        feed = self._inbox.took(taken, n)
        if n or taken.wakes:
            payload = await self._commit(taken.commands[:n], events, self._now_ns())
            self._publish(payload)
            self.metrics.batch(n, events, matched - began, time.perf_counter() - matched, taken.oldest)
        if feed is not None:
            self._inbox.acknowledge(feed)

    async def _commit(self, commands: Records, events: Records, ts_ns: int) -> bytes:
        self.seq += 1
        self.ts_ns = ts_ns
        payload = encode_batch(Batch(self.partition, self.journal.epoch, self.seq, self.ts_ns, commands, events))
        await self.journal.append(self.seq, self.ts_ns, payload)
        self._ring.append((self.seq, payload))
        self._ring_bytes += len(payload)
        while self._ring_bytes > RING_BYTES:
            self._ring_bytes -= len(self._ring.popleft()[1])
        return payload

    def _now_ns(self) -> int:
        clock = self._inbox.clock
        if clock is None:
            return max(self.ts_ns + 1, time.time_ns())
        return clock.now(time.monotonic_ns(), self._inbox.responders.due_ns(self.ts_ns))

    def _publish(self, payload: bytes) -> None:
        for link in self._followers:
            link.send(Kind.BATCH, payload)

    # -- links ----------------------------------------------------------------------------------------------------

    def _on_frame(self, link: Link, kind: int, body: bytes) -> None:
        if kind == Kind.COMMANDS:
            commands = np.frombuffer(body, COMMAND)
            self._check_owned(commands)
            self._inbox.put(link, commands)
        elif kind == Kind.OUTSIDE:
            commands = np.frombuffer(body, COMMAND, offset=OUTSIDE_HEAD.size)
            self._check_owned(commands)
            self._inbox.put(link, commands, Told(*OUTSIDE_HEAD.unpack_from(body)))
        elif kind == Kind.SEEN:
            self._inbox.saw(link, Seen(*SEEN_BODY.unpack(body)))
        elif kind == Kind.HELLO:
            self._at_rest.append(partial(self._welcome, link, hello_decoder.decode(body)))
        else:
            raise ValueError(f"unexpected frame {kind}")
        self._wake.set()

    def _check_owned(self, commands: Records) -> None:
        try:
            owned = (
                self._owned[commands["symbol"].view(np.uint32)].all().item()
            )  # unsigned: a negative one is out of range
        except IndexError:
            owned = False
        if not owned:
            raise ValueError(f"{self.name} does not own all of these symbols")

    def _welcome(self, link: Link, hello: Hello) -> None:
        """Between batches, so that the sequence number told is exact."""
        if not link.is_open:
            return
        if hello.role in ("account", "outside") and not self._inbox.admit(link, hello):
            link.close()
            return
        known = self._inbox.watermarks.get(hello.partition, 0)
        if hello.role == "outside":
            link.send(Kind.WELCOME, encoder.encode(Welcome(self.journal.epoch, self.seq, last_command_id=known)))
            return
        oldest = self._ring[0][0] if self._ring else self.seq + 1
        behind = hello.after_seq + 1 < oldest
        link.send(
            Kind.WELCOME,
            encoder.encode(Welcome(self.journal.epoch, self.seq, behind, known)),
        )
        if behind:
            return
        for seq, payload in self._ring:
            if seq > hello.after_seq:
                link.send(Kind.BATCH, payload)
        self._followers.append(link)

    def _on_close(self, link: Link) -> None:
        if link in self._followers:
            self._followers.remove(link)
        if self._inbox.left(link):
            self._withdraw_soon()

    # -- snapshots and questions ----------------------------------------------------------------------------------

    async def between_batches(self, ask: Callable[[], T]) -> T:
        """Run `ask` when everything matched is also committed."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._at_rest.append(lambda: answer.set_result(ask()))
        self._wake.set()
        return await answer

    def _copy(self) -> tuple[int, bytes]:
        self._snapshot_at = time.monotonic()
        self._snapshot_seq = self.seq
        state = BookSnapshot(self.ts_ns, dict(self._inbox.watermarks), {k: b.snapshot() for k, b in self.books.items()})
        return self.seq, msgspec.msgpack.encode(state)

    async def _save(self, seq: int, payload: bytes) -> int:
        await self._snapshots.save(seq, payload)
        return seq

    async def snapshot(self) -> int:
        """Save the present state; returns its sequence number."""
        return await self._save(*await self.between_batches(self._copy))

    async def digest(self) -> tuple[int, dict[str, str]]:
        """(seq, digest per symbol) of the committed state."""
        return await self.between_batches(
            lambda: (self.seq, {self.instruments[k].symbol: book.digest() for k, book in self.books.items()})
        )

    def status(self) -> dict[str, object]:
        return {
            "name": self.name,
            "epoch": self.journal.epoch,
            "seq": self.seq,
            "stalled": self.journal.stalled,
            "queued": len(self._inbox),
            "outside_command_id": self._inbox.watermarks.get(OUTSIDE, 0),
            "ts_ns": self.ts_ns,
            "live_orders": sum(book.live_orders for book in self.books.values()),
        }

    async def stop(self) -> None:
        await self.snapshot()
        await self.journal.close()
