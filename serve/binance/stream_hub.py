"""Brings the venue's streams from the bus to the sockets of this gateway: one subscription per stream and unit of time,
each event made into text once, however many listen.

What the gateway subscribes to is what the projector computes.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any, Final, Protocol

import redis.asyncio as aioredis
import structlog
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from actors.config import Settings
from actors.stream_demand import channel_of, control_channel, look_channel
from market.stream_names import UNSKIPPABLE, Channel, Stream, stream_of
from serve.sockets.transport import Shared

log = structlog.get_logger()

RETRY_S: Final = 0.5
BEGIN_WITHIN_S: Final = 1.0
"""A subscription is confirmed after so long even if nothing was heard: the projector may be away."""


class Feed:
    """One stream in one unit of time, and who listens."""

    __slots__ = ("begun", "channel", "listeners", "name", "newest", "stream", "wrapping")

    def __init__(self, channel: str, name: str, stream: Stream) -> None:
        self.channel = channel
        self.name = name
        self.stream = stream
        self.wrapping = f'{{"stream":"{name}","data":'
        self.listeners: set[Listener] = set()
        self.begun = asyncio.Event()
        self.newest: Shared | None = None
        """What a new listener is told at once, of streams that tell a state."""

    def wrapped(self, event: Shared) -> Shared:
        return Shared(f"{self.wrapping}{event.text}}}")


class Listener(Protocol):
    combined: bool

    def tell(self, feed: Feed, events: list[Shared]) -> None:
        """Events of a feed in order, wrapped when `combined`."""

    def cut(self) -> None:
        """Events may have been lost."""


_STATES: Final = frozenset(Channel) - UNSKIPPABLE - {Channel.SILENT}


class StreamHub:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._feeds: dict[str, Feed] = {}
        self._changed = asyncio.Event()
        self._bus: Any = None
        """That is subscribed on now."""
        self.received = 0

    def add(self, unit: str, name: str, listener: Listener) -> None:
        """`name` has the shape of a stream."""
        channel = channel_of(self._settings.prefix, unit, name)
        feed = self._feeds.get(channel)
        if feed is None:
            feed = self._feeds[channel] = Feed(channel, name, stream_of(name))
            self._changed.set()
        feed.listeners.add(listener)
        if feed.newest is not None:
            listener.tell(feed, [feed.wrapped(feed.newest) if listener.combined else feed.newest])

    async def begin(self, unit: str, names: Iterable[str]) -> None:
        """Until the diff streams among these have begun: whoever then asks for a snapshot misses nothing between."""
        feeds = [self._feeds.get(channel_of(self._settings.prefix, unit, name)) for name in names]
        waiting = [feed.begun.wait() for feed in feeds if feed is not None and feed.stream.channel is Channel.DIFF]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*waiting), BEGIN_WITHIN_S)

    def beginning(self, unit: str, names: Iterable[str]) -> bool:
        """Some of these diff streams have not begun."""
        feeds = [self._feeds.get(channel_of(self._settings.prefix, unit, name)) for name in names]
        return any(feed and feed.stream.channel is Channel.DIFF and not feed.begun.is_set() for feed in feeds)

    def drop(self, unit: str, name: str, listener: Listener) -> None:
        channel = channel_of(self._settings.prefix, unit, name)
        feed = self._feeds.get(channel)
        if feed is None:
            return
        feed.listeners.discard(listener)
        if not feed.listeners:
            del self._feeds[channel]
            self._changed.set()

    async def run(self) -> None:
        while True:
            try:
                redis = aioredis.Redis.from_url(
                    self._settings.redis_url, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0)
                )
                async with redis, redis.pubsub(ignore_subscribe_messages=True) as bus:
                    await bus.subscribe(control_channel(self._settings.prefix))
                    await self._follow(redis, bus)
            except Exception as error:
                log.warning("stream bus away, retrying", error=repr(error))
            self._cut()
            await asyncio.sleep(RETRY_S)

    async def _follow(self, redis: Any, bus: Any) -> None:
        self._bus = bus
        tasks = {asyncio.create_task(self._read(bus)), asyncio.create_task(self._ask(redis, bus))}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            # The client can swallow a cancellation while it writes: the tasks are told to end as well.
            self._bus = None
            self._changed.set()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=1)

    async def _read(self, bus: Any) -> None:
        async for message in bus.listen():
            self._forward(message["channel"].decode(), message["data"])

    async def _ask(self, redis: Any, bus: Any) -> None:
        """Keep what is subscribed to equal to what is listened to."""
        subscribed: set[str] = set()
        self._changed.set()
        while self._bus is bus:
            await self._changed.wait()
            self._changed.clear()
            wanted = {channel for channel, feed in self._feeds.items() if feed.stream.channel is not Channel.SILENT}
            if new := wanted - subscribed:
                await bus.subscribe(*new)
                await redis.publish(look_channel(self._settings.prefix), b"")
            if gone := subscribed - wanted:
                await bus.unsubscribe(*gone)
            subscribed = wanted

    def _forward(self, channel: str, data: bytes) -> None:
        feed = self._feeds.get(channel)
        if feed is None:
            if channel == control_channel(self._settings.prefix):
                self._cut()
            return
        self.received += 1
        feed.begun.set()
        if not data:
            return
        events = [Shared(event) for event in data.decode().split("\n")]
        if feed.stream.channel in _STATES:
            feed.newest = events[-1]
        wrapped: list[Shared] | None = None
        for listener in tuple(feed.listeners):
            if not listener.combined:
                listener.tell(feed, events)
                continue
            if wrapped is None:
                wrapped = [feed.wrapped(event) for event in events]
            listener.tell(feed, wrapped)

    def _cut(self) -> None:
        """End the sockets of those who were promised every event; forget states that may be old."""
        for feed in tuple(self._feeds.values()):
            feed.newest = None
            if feed.stream.channel in UNSKIPPABLE:
                for listener in tuple(feed.listeners):
                    listener.cut()
