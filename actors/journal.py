"""The durable journal in PostgreSQL: one row per committed batch, primary key (stream, seq).

`append` returns only when the row is on disk. Any exception from a write means "outcome unknown": reconnect, look
for the row, decide. The primary key is the fence: a writer whose sequence number is taken by another epoch must end.

Payloads are kept as zstd frames. Records are mostly zeros: a batch of hundreds shrinks to a tenth, and what PostgreSQL
does with the other nine costs more processor time than compressing them.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator
from typing import Final

import asyncpg
import structlog
import zstandard

from actors.errors import Fenced
from actors.unpacking import Group, groups_of

log = structlog.get_logger()

WRITE_TIMEOUT_S: Final = 10.0
READ_CHUNK: Final = 256
_RETRY_MOST_S: Final = 1.0
_LEVEL: Final = 1
_FAST_LEVEL: Final = -1
_FEW_BYTES: Final = 16 * 1024
"""Of a payload: below, the faster level takes half the time for hardly more bytes; above, it takes longer."""
# One row: a prepared INSERT is one round trip, COPY is two.
_INSERT: Final = "INSERT INTO journal (stream, seq, epoch, ts_ns, payload) VALUES ($1, $2, $3, $4, $5)"


class Row:
    """`payload` is unpacked when it is asked for, and given once: a chunk of them at once would be hundreds of MB."""

    __slots__ = ("_group", "_place", "epoch", "seq", "ts_ns")

    def __init__(self, seq: int, epoch: int, ts_ns: int, group: Group, place: int) -> None:
        self.seq = seq
        self.epoch = epoch
        self.ts_ns = ts_ns
        self._group = group
        self._place = place

    @property
    def payload(self) -> memoryview:
        return self._group.take(self._place)


class Journal:
    """One stream, one writer. Not safe for concurrent appends: the caller commits one batch at a time."""

    def __init__(self, dsn: str, stream: str) -> None:
        self.stream = stream
        self.epoch = 0
        self.stalled = False
        """True while a write is being retried: accept nothing new."""
        self._dsn = dsn
        self._connection: asyncpg.Connection | None = None
        self._pack = zstandard.ZstdCompressor(_LEVEL).compress
        self._pack_few = zstandard.ZstdCompressor(_FAST_LEVEL).compress
        self._unpack = zstandard.ZstdDecompressor().decompress

    async def activate(self) -> int:
        """Take the stream over: the next epoch."""
        connection = await self._connected()
        self.epoch = await connection.fetchval(
            "INSERT INTO journal_stream (stream, epoch) VALUES ($1, 1) "
            "ON CONFLICT (stream) DO UPDATE SET epoch = journal_stream.epoch + 1, activated_at = now() "
            "RETURNING epoch",
            self.stream,
        )
        return self.epoch

    async def append(self, seq: int, ts_ns: int, payload: bytes) -> None:
        """Commit one row. Raises `Fenced` when another epoch holds this sequence number."""
        try:
            connection = self._connection
            if connection is None or connection.is_closed():
                connection = await self._connected()
            await self._insert(connection, seq, ts_ns, payload)
        except Exception as error:
            log.warning("journal write failed, outcome unknown", stream=self.stream, seq=seq, error=repr(error))
            self.stalled = True
            await self._resolve(seq, ts_ns, payload)
            self.stalled = False

    async def _insert(self, connection: asyncpg.Connection, seq: int, ts_ns: int, payload: bytes) -> None:
        pack = self._pack_few if len(payload) < _FEW_BYTES else self._pack
        await connection.execute(
            _INSERT, self.stream, seq, self.epoch, ts_ns, pack(payload), timeout=WRITE_TIMEOUT_S
        )  # fmt: skip

    async def _resolve(self, seq: int, ts_ns: int, payload: bytes) -> None:
        delay = 0.02
        while True:
            self._drop()
            try:
                connection = await self._connected()
                epoch = await connection.fetchval(
                    "SELECT epoch FROM journal WHERE stream = $1 AND seq = $2", self.stream, seq
                )
                if epoch == self.epoch:
                    return
                if epoch is not None:
                    raise Fenced(f"{self.stream} seq {seq} was written by epoch {epoch}, this is {self.epoch}")
                await self._insert(connection, seq, ts_ns, payload)
                return
            except Fenced:
                raise
            except Exception as error:
                log.warning("journal still down", stream=self.stream, seq=seq, error=repr(error))
                await asyncio.sleep(delay)
                delay = min(_RETRY_MOST_S, delay * 2)

    async def read(self, after_seq: int, until_seq: int | None = None) -> AsyncGenerator[Row]:
        """Rows with after_seq < seq <= until_seq in order, read in chunks."""
        while until_seq is None or after_seq < until_seq:
            rows = await self.chunk(after_seq)
            for row in rows:
                if until_seq is not None and row.seq > until_seq:
                    return
                yield row
                after_seq = row.seq
            if len(rows) < READ_CHUNK:
                return

    async def chunk(self, after_seq: int) -> list[Row]:
        """The next rows, at most READ_CHUNK; none: that was all."""
        connection = await self._connected()
        rows = await connection.fetch(
            "SELECT seq, epoch, ts_ns, payload FROM journal WHERE stream = $1 AND seq > $2 ORDER BY seq LIMIT $3",
            self.stream,
            after_seq,
            READ_CHUNK,
        )
        places = [(group, k) for group in groups_of([row[3] for row in rows]) for k in range(len(group))]
        return [Row(row[0], row[1], row[2], *place) for row, place in zip(rows, places, strict=True)]

    async def newest_snapshot(self, before_seq: int | None = None) -> tuple[int, bytes] | None:
        """(seq, payload) of the newest snapshot, at or before a sequence number."""
        connection = await self._connected()
        row = await connection.fetchrow(
            "SELECT seq, payload FROM snapshot WHERE stream = $1 AND ($2::bigint IS NULL OR seq <= $2) "
            "ORDER BY seq DESC LIMIT 1",
            self.stream,
            before_seq,
        )
        return None if row is None else (row["seq"], self._unpack(row["payload"]))

    async def close(self) -> None:
        if self._connection is not None and not self._connection.is_closed():
            with contextlib.suppress(Exception):
                await self._connection.close(timeout=2)

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                self._dsn,
                timeout=5,
                command_timeout=WRITE_TIMEOUT_S,
                server_settings={"application_name": f"raypit-{self.stream}-{os.getpid()}"},
            )
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(Exception):
                self._connection.terminate()
            self._connection = None


class SnapshotStore:
    """Writes snapshots beside the journal, on its own connection, and forgets old ones."""

    KEPT: Final = 2

    def __init__(self, dsn: str, stream: str) -> None:
        self._dsn = dsn
        self._stream = stream

    async def save(self, seq: int, payload: bytes) -> None:
        """Raises nothing: a snapshot is a cache, the journal is the truth."""
        try:
            packed = await asyncio.to_thread(
                zstandard.ZstdCompressor(_LEVEL).compress, payload
            )  # orders go on meanwhile
            connection = await asyncpg.connect(self._dsn, timeout=5, command_timeout=60)
            try:
                async with connection.transaction():
                    await connection.execute(
                        "INSERT INTO snapshot (stream, seq, payload) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                        self._stream,
                        seq,
                        packed,
                    )
                    await connection.execute(
                        "DELETE FROM snapshot WHERE stream = $1 AND seq < (SELECT min(seq) FROM (SELECT seq FROM "
                        "snapshot WHERE stream = $1 ORDER BY seq DESC LIMIT $2) AS kept)",
                        self._stream,
                        self.KEPT,
                    )
            finally:
                await connection.close(timeout=2)
        except Exception as error:
            log.warning("snapshot not saved", stream=self._stream, seq=seq, error=repr(error))
