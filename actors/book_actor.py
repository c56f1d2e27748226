"""A book partition: matches for the symbols it owns, journals each batch, then tells its followers.

One loop, no timer: while one batch is being committed the next one gathers. Account actors send commands; account
actors and projectors follow the committed batches.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Final, TypeVar

import msgspec
import numpy as np
import structlog

from actors.config import Settings, book_name
from actors.errors import JournalCorrupt
from actors.journal import Journal, SnapshotStore
from actors.metrics import BookMetrics
from actors.stream import Link, listen
from actors.wire import (
    Batch,
    Hello,
    Kind,
    Welcome,
    decode_batch,
    encode_batch,
    encoder,
    hello_decoder,
)
from market.book import Book
from market.records import COMMAND, EVENT, Records, joined, picked

log = structlog.get_logger()
T = TypeVar("T")

BATCH_LIMIT: Final = 8192
"""Commands in one journal row: about 2 MB, commits in some milliseconds."""
QUEUE_LIMIT: Final = 65_536
"""Commands waiting; beyond it the senders are no longer read."""
RING_BYTES: Final = 64 * 1024 * 1024
"""Committed batches kept at hand for followers that come back."""
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
        self.books = {k: Book(self.instruments[k], k) for k in settings.symbols_of(partition)}
        self._owned = np.zeros(settings.symbols, np.bool_)
        self._owned[list(self.books)] = True
        self.journal = Journal(settings.pg_dsn, self.name)
        self.seq = 0
        self.ts_ns = 0
        self.metrics = BookMetrics(self.name)
        self._watermarks: dict[int, int] = {}
        self._account_links: dict[int, tuple[int, Link]] = {}
        self._followers: list[Link] = []
        self._at_rest: deque[Callable[[], None]] = deque()
        self._paused = False
        self._pending: deque[tuple[Link, int, Records, float]] = deque()
        self._pending_count = 0
        self._ring: deque[tuple[int, bytes]] = deque()
        self._ring_bytes = 0
        self._wake = asyncio.Event()
        self._snapshots = SnapshotStore(settings.pg_dsn, self.name)
        self._snapshot_at = time.monotonic()
        self._snapshot_seq = 0
        self._snapshot_task: asyncio.Task[int] | None = None
        self._partition_of: dict[Link, int] = {}

    # -- recovery: a first start is a recovery of nothing ---------------------------------------------------------

    async def start(self) -> None:
        await self.journal.activate()
        if found := await self.journal.newest_snapshot():
            self.seq, payload = found
            snapshot = msgspec.msgpack.decode(payload, type=BookSnapshot)
            self.ts_ns = snapshot.ts_ns
            self._watermarks = snapshot.watermarks
            for symbol, data in snapshot.books.items():
                self.books[symbol] = Book.restore(self.instruments[symbol], symbol, data)
        from_seq = self.seq
        await self._replay()
        # The first row of an epoch is an empty batch: what an older epoch still has under way now collides.
        await self._commit(np.zeros(0, COMMAND), np.zeros(0, EVENT))
        log.info("book recovered", name=self.name, epoch=self.journal.epoch, seq=self.seq, from_snapshot=from_seq)
        self._server = await listen(self.settings.socket(self.name), self._on_frame, self._on_close)

    async def _replay(self) -> None:
        async for row in self.journal.read(self.seq):
            if row.seq != self.seq + 1:
                raise JournalCorrupt(f"{self.name}: after seq {self.seq} comes {row.seq}")
            batch = decode_batch(row.payload)
            self._note(batch.commands)
            events = match(self.books, batch.commands)
            if events.tobytes() != batch.events.tobytes():
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
            commands, oldest = self._gather()
            if len(commands):
                began = time.perf_counter()
                events = match(self.books, commands)
                matched = time.perf_counter()
                payload = await self._commit(commands, events)
                self._publish(payload)
                self.metrics.batch(len(commands), events, matched - began, time.perf_counter() - matched, oldest)
            if self._pending or self._at_rest:
                self._wake.set()
            if time.monotonic() - self._snapshot_at > SNAPSHOT_EVERY_S and self.seq != self._snapshot_seq:
                self._snapshot_task = asyncio.create_task(self._save(*self._copy()))

    def _gather(self) -> tuple[Records, float]:
        """Commands waiting, at most a batch, without those seen before; and when the oldest arrived."""
        taken: list[Records] = []
        count = 0
        oldest = 0.0
        while self._pending and count < BATCH_LIMIT:
            link, partition, commands, arrived = self._pending.popleft()
            self._pending_count -= len(commands)
            current = self._account_links.get(partition)
            if current is None or current[1] is not link:
                continue  # an older incarnation of the account actor
            ids, known = commands["command_id"], self._watermarks.get(partition, 0)
            if ids[0] <= known:  # some were sent again
                commands = picked(commands, ids > known)
            if len(commands):
                self._watermarks[partition] = int(commands["command_id"][-1])
                oldest = oldest or arrived
                taken.append(commands)
                count += len(commands)
        if self._paused and self._pending_count <= QUEUE_LIMIT // 2:
            self._paused = False
            for _, link in self._account_links.values():
                link.resume()
        if not taken:
            return np.zeros(0, COMMAND), 0.0
        return (taken[0] if len(taken) == 1 else joined(taken, COMMAND)), oldest

    def _note(self, commands: Records) -> None:
        """Remember how far each account partition got."""
        owners = commands["account"] % self.settings.account_actors
        for partition in np.unique(owners):
            self._watermarks[int(partition)] = int(commands["command_id"][owners == partition][-1])

    async def _commit(self, commands: Records, events: Records) -> bytes:
        self.seq += 1
        self.ts_ns = max(self.ts_ns + 1, time.time_ns())
        payload = encode_batch(Batch(self.partition, self.journal.epoch, self.seq, self.ts_ns, commands, events))
        await self.journal.append(self.seq, self.ts_ns, payload)
        self._ring.append((self.seq, payload))
        self._ring_bytes += len(payload)
        while self._ring_bytes > RING_BYTES:
            self._ring_bytes -= len(self._ring.popleft()[1])
        return payload

    def _publish(self, payload: bytes) -> None:
        for link in self._followers:
            link.send(Kind.BATCH, payload)

    # -- links ----------------------------------------------------------------------------------------------------

    def _on_frame(self, link: Link, kind: int, body: bytes) -> None:
        if kind == Kind.COMMANDS:
            partition = self._partition_of[link]
            commands = np.frombuffer(body, COMMAND)
            self._check_owned(commands)
            self._pending.append((link, partition, commands, time.perf_counter()))
            self._pending_count += len(commands)
            if self._pending_count > QUEUE_LIMIT:
                self._paused = True
                link.pause()
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
        if hello.role == "account":
            held = self._account_links.get(hello.partition)
            if held is not None and held[0] > hello.epoch:
                link.close()
                return
            if held is not None and held[1] is not link:
                held[1].close()
            self._account_links[hello.partition] = (hello.epoch, link)
            self._partition_of[link] = hello.partition
        oldest = self._ring[0][0] if self._ring else self.seq + 1
        behind = hello.after_seq + 1 < oldest
        link.send(
            Kind.WELCOME,
            encoder.encode(Welcome(self.journal.epoch, self.seq, behind, self._watermarks.get(hello.partition, 0))),
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
        self._partition_of.pop(link, None)

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
        state = BookSnapshot(self.ts_ns, dict(self._watermarks), {k: b.snapshot() for k, b in self.books.items()})
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
            "queued": self._pending_count,
            "live_orders": sum(book.live_orders for book in self.books.values()),
        }

    async def stop(self) -> None:
        await self.snapshot()
        await self.journal.close()


def match(books: dict[int, Book], commands: Records) -> Records:
    """Apply a batch to the books of its symbols, symbol by symbol; `command_index` points into `commands`."""
    if len(commands) <= 1:
        return books[int(commands["symbol"][0])].apply(commands) if len(commands) else np.zeros(0, EVENT)
    symbols = commands["symbol"]
    order = np.argsort(symbols, kind="stable")
    symbols = symbols[order]
    starts = [0, *(np.flatnonzero(symbols[1:] != symbols[:-1]) + 1).tolist(), len(commands)]
    if len(starts) == 2:
        return books[int(symbols[0])].apply(commands)
    by_symbol = picked(commands, order)
    by_symbol.flags.writeable = False  # else each book makes its own view that is not
    parts = [books[int(symbols[a])].apply(by_symbol[a:b]) for a, b in pairwise(starts)]
    told = joined(parts, EVENT)
    at = told["command_index"]
    at += np.repeat(starts[:-1], [len(part) for part in parts]).astype(np.int32)
    at[:] = order[at]
    return told
