"""Where a feed's frames and events go. A sink never drops: when it is full, the feed stops reading its socket."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import BinaryIO, Final, NamedTuple, Protocol

from market.recording import Writer
from market.venues.events import Event, Status

QUEUED_MOST: Final = 100_000
"""Events: a second of the busiest feed there is, some 30 MB."""


class Sink(Protocol):
    def on_frame(self, venue: str, arrival_ns: int, frame: bytes) -> None:
        """What a venue sent, before `on_events` of the same frame; arrival times never go back."""

    def on_snapshot(self, venue: str, arrival_ns: int, symbol: str, body: bytes) -> None:
        """The answer to a REST request for a book."""

    def on_events(self, venue: str, arrival_ns: int, events: Sequence[Event]) -> None:
        """What is new in it: never doubled, and books without gaps between `Status` live and gap or stale."""

    @property
    def full(self) -> bool:
        """Asked after every frame."""

    async def room(self) -> None:
        """Returns when it is not full any more."""


class Arrived(NamedTuple):
    venue: str
    arrival_ns: int
    events: Sequence[Event]


class QueuedSink:
    """Events for an asynchronous consumer, in batches as they gathered; `run` delivers them."""

    def __init__(self, deliver: Callable[[list[Arrived]], Awaitable[None]], most: int = QUEUED_MOST) -> None:
        self._deliver = deliver
        self._most = most
        self._queue: deque[Arrived] = deque()
        self._queued = 0
        self._some = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def on_frame(self, venue: str, arrival_ns: int, frame: bytes) -> None:
        pass

    def on_snapshot(self, venue: str, arrival_ns: int, symbol: str, body: bytes) -> None:
        pass

    def on_events(self, venue: str, arrival_ns: int, events: Sequence[Event]) -> None:
        self._queue.append(Arrived(venue, arrival_ns, events))
        self._queued += len(events)
        self._some.set()
        if self._queued >= self._most:
            self._room.clear()

    @property
    def queued(self) -> int:
        return self._queued

    @property
    def full(self) -> bool:
        return self._queued >= self._most

    async def room(self) -> None:
        await self._room.wait()

    async def run(self) -> None:
        """Until canceled. What the consumer raises ends it: nothing may be lost unnoticed."""
        while True:
            await self._some.wait()
            self._some.clear()
            batch = list(self._queue)
            self._queue.clear()
            await self._deliver(batch)
            self._queued -= sum(len(one.events) for one in batch)
            if self._queued < self._most:
                self._room.set()


class RecordingSink:
    """Everything of one venue into a recording; `flush` regularly, `close` at the end."""

    def __init__(self, file: BinaryIO, writer: Writer) -> None:
        self._file = file
        self._writer = writer

    def on_frame(self, venue: str, arrival_ns: int, frame: bytes) -> None:
        self._writer.frame(arrival_ns, frame)

    def on_snapshot(self, venue: str, arrival_ns: int, symbol: str, body: bytes) -> None:
        self._writer.snapshot(arrival_ns, symbol, body)

    def on_events(self, venue: str, arrival_ns: int, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, Status) and event.kind == "stale":
                self._writer.status(arrival_ns, event.symbol, event.kind)

    @property
    def full(self) -> bool:
        return False

    async def room(self) -> None:
        return

    def flush(self) -> None:
        self._writer.flush()
        self._file.flush()

    def close(self) -> None:
        self._writer.close()
        self._file.flush()
