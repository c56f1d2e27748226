"""One socket of the market streams: its subscriptions, its requests, its limits."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from market.stream_events import ServerShutdown
from market.stream_names import UNSKIPPABLE, Channel
from serve.auth.identity import Identity
from serve.auth.key_material import is_identifier as looks_like_listen_key
from serve.binance.listen_streams import ListenStreams
from serve.binance.stream_hub import Feed, StreamHub
from serve.binance.stream_requests import Request, StreamError, answer, parse, refusal, too_many_streams
from serve.binance.user_data import UserData
from serve.sockets.session import CLOSE_POLICY, CLOSE_TRY_LATER, Session, SocketCount
from serve.sockets.transport import Shared, Transport

CLOSE_LIFE_OVER: Final = 1001
_CLOSED_KLINE: Final = '"x":true'


class StreamLimits(msgspec.Struct, frozen=True):
    """The venue's numbers."""

    messages_per_s: int = 5
    streams: int = 1024
    """Of one connection."""
    life_s: float = 24 * 3600.0
    notice_s: float = 600.0
    """So long before its life ends a connection is told so."""


class StreamSession(Session):
    channel = "streams"
    urgent = False

    def __init__(
        self,
        hub: StreamHub,
        limits: StreamLimits,
        transport: Transport,
        identity: Identity,
        count: SocketCount,
        *,
        names: Sequence[str] = (),
        combined: bool = False,
        unit: str = "ms",
        user_data: UserData | None = None,
    ) -> None:
        super().__init__(transport, identity, count)
        self.combined = combined
        self._hub = hub
        self._limits = limits
        self._unit = unit
        self._first_names = names
        self._names: dict[str, None] = {}
        """Streams subscribed to, in order."""
        self._arrivals: deque[float] = deque(maxlen=limits.messages_per_s)
        self._timers: list[asyncio.TimerHandle] = []
        self._confirming: set[asyncio.Task[None]] = set()
        self._unconfirmed: dict[str, list[tuple[Feed, list[Shared]]]] = {}
        """Events of streams whose subscription is not answered yet: clients drop what comes before the answer."""
        self._listen_keys = None if user_data is None else ListenStreams(user_data, unit, self.tell_user, self.cut)

    async def _authenticated(self) -> bool:
        return True  # public: an Authorization header that is sent along means nothing here

    async def on_open(self) -> None:
        limits, loop = self._limits, asyncio.get_running_loop()
        self._timers = [
            loop.call_later(max(0.0, limits.life_s - limits.notice_s), self._announce_end),
            loop.call_later(limits.life_s, self.outbox.close, CLOSE_LIFE_OVER, "24 hours are over; reconnect"),
        ]
        try:
            self._subscribe(self._first_names)
        except StreamError as error:
            self.send(refusal(error))
            self.outbox.close(CLOSE_POLICY, error.msg)

    def _announce_end(self) -> None:
        event = ServerShutdown(time.time_ns() // (1_000 if self._unit == "us" else 1_000_000))
        self.send({"stream": "!serverShutdown", "data": event} if self.combined else event)

    # -- requests -------------------------------------------------------------------------------------------------

    def on_frame(self, frame: str | bytes, binary: bool) -> None:
        now = time.monotonic()
        if len(self._arrivals) == self._arrivals.maxlen and now - self._arrivals[0] < 1.0:
            self.outbox.close(CLOSE_POLICY, "too many messages per second", at_once=True)
            return
        self._arrivals.append(now)
        text = frame if isinstance(frame, str) else frame.decode(errors="replace")
        try:
            request = parse(text)
            try:
                result = self._done(request)
                if request.method == "SUBSCRIBE" and self._hub.beginning(self._unit, request.streams):
                    for name in request.streams:
                        self._unconfirmed.setdefault(name, [])
                    self._confirming.add(task := asyncio.create_task(self._confirm(request)))
                    task.add_done_callback(self._confirming.discard)
                else:
                    self.send(answer(result, request.id))
            except StreamError as error:
                error.request_id = request.id
                raise
        except StreamError as error:
            self.send(refusal(error))
            if error.fatal:
                self.outbox.close(CLOSE_POLICY, error.msg)

    async def _confirm(self, request: Request) -> None:
        await self._hub.begin(self._unit, request.streams)
        self.send(answer(None, request.id))
        for name in request.streams:
            for feed, events in self._unconfirmed.pop(name, ()):
                self.tell(feed, events)

    def _done(self, request: Request) -> Any:
        """Do as asked; returns the result that is told."""
        match request.method:
            case "SUBSCRIBE":
                self._subscribe(request.streams)
            case "UNSUBSCRIBE":
                for name in request.streams:
                    if name in self._names:
                        del self._names[name]
                        self._unconfirmed.pop(name, None)
                        self._drop(name)
            case "LIST_SUBSCRIPTIONS":
                return list(self._names)
            case "SET_PROPERTY":
                self.combined = request.value
            case "GET_PROPERTY":
                return self.combined
        return None

    def _subscribe(self, names: Sequence[str]) -> None:
        new = dict.fromkeys(name for name in names if name not in self._names)
        if len(self._names) + len(new) > self._limits.streams:
            raise too_many_streams()
        self._names |= new
        for name in new:
            if not looks_like_listen_key(name):
                self._hub.add(self._unit, name, self)
            elif self._listen_keys is not None:
                self._listen_keys.add(name)

    def _drop(self, name: str) -> None:
        if not looks_like_listen_key(name):
            self._hub.drop(self._unit, name, self)
        elif self._listen_keys is not None:
            self._listen_keys.drop(name)

    # -- events ---------------------------------------------------------------------------------------------------

    def tell(self, feed: Feed, events: list[Shared]) -> None:
        if (waiting := self._unconfirmed.get(feed.name)) is not None:
            waiting.append((feed, events))
            return
        channel = feed.stream.channel
        if channel in UNSKIPPABLE:
            for event in events:
                self.outbox.send(event)
        elif channel is Channel.BOOK_TICKER:
            for event in events:
                self.outbox.offer(feed.name, event)
        else:
            for event in events:
                if channel is Channel.KLINE and _CLOSED_KLINE in event.text:
                    self.outbox.send(event, feed.name)
                else:
                    self.outbox.replace(feed.name, event)

    def tell_user(self, listen_key: str, event: str) -> None:
        self.outbox.send(f'{{"stream":"{listen_key}","data":{event}}}' if self.combined else event)

    def cut(self) -> None:
        self.outbox.close(CLOSE_TRY_LATER, "events may have been lost; reconnect")

    def on_close(self) -> None:
        for timer in self._timers:
            timer.cancel()
        for task in self._confirming:
            task.cancel()
        for name in self._names:
            self._drop(name)
        if self._listen_keys is not None:
            self._listen_keys.close()
