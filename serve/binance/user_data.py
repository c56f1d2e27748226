"""User data of accounts on their way to sockets: one private stream and one encoding per account, however many listen.

An account's events are followed from the first listener to the last. When its actor comes back after it was away, what
happened in between is not known: every listener is told that its stream ended, and asks anew.
"""

import asyncio
import time
from functools import partial
from typing import Final, Protocol

import msgspec

from actors.wire import ReportRow
from serve.binance.context import MILLISECOND_NS
from serve.binance.user_events import AccountEvents, StreamEnded
from serve.binance.venue import Venue

_encode: Final = msgspec.json.Encoder().encode


class UserListener(Protocol):
    unit_ns: int

    def user_event(self, account: int, event: str) -> None:
        """The next one of an account that it listens to."""

    def user_stream_ended(self, account: int) -> None:
        """Nothing comes any more of this account; it is not listened to any more."""


class AccountFeed:
    """One account's private stream."""

    def __init__(self, hub: "UserData", account: int) -> None:
        self.account = account
        self.listeners: dict[UserListener, None] = {}
        self.ready: asyncio.Task[None] | None = None
        self.waiting = 0
        """Who wants to listen once it is ready."""
        self._hub = hub
        self._rows: list[ReportRow] = []
        self._events = AccountEvents(hub.venue.scales, hub.venue.gateway.assets)

    def report(self, row: ReportRow) -> None:
        """Told with the others of its frame: what an order came to may be in the next report."""
        if not self.listeners:
            return
        if not self._rows:
            asyncio.get_running_loop().call_soon(self._tell)
        self._rows.append(row)

    def _tell(self) -> None:
        rows, self._rows = self._rows, []
        told = self._events.of(rows, self._hub.venue.cancel_names.of)
        if not told:
            return
        now_ns = max(self._hub.venue.gateway.now_ns(), rows[-1].ts_ns)
        texts: dict[int, list[str]] = {}
        for listener in tuple(self.listeners):
            unit_ns = listener.unit_ns
            if unit_ns not in texts:
                texts[unit_ns] = [_encode(self._events.event(one, unit_ns, now_ns)).decode() for one in told]
            for text in texts[unit_ns]:
                listener.user_event(self.account, text)

    def restart(self) -> None:
        """The account's actor came back and knows no listeners any more."""
        self._tell()
        self._hub.end(self)


class UserData:
    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self._feeds: dict[int, AccountFeed] = {}

    async def listen(self, account: int, listener: UserListener) -> None:
        """Every event after it returns is told. Raises ApiError."""
        while True:
            feed = self._feeds.get(account)
            if feed is None:
                feed = self._feeds[account] = AccountFeed(self, account)
                feed.ready = asyncio.create_task(self._open(feed))
            assert feed.ready is not None
            feed.waiting += 1
            try:
                await asyncio.shield(feed.ready)
            except asyncio.CancelledError:
                feed.ready.add_done_callback(partial(self._dropped_if_unused, feed))
                raise
            finally:
                feed.waiting -= 1
            if self._feeds.get(account) is feed:  # it may have ended meanwhile
                break
        feed.listeners[listener] = None

    async def _open(self, feed: AccountFeed) -> None:
        try:
            await self.venue.gateway.listen(feed.account, -1, feed.report)
        except BaseException:
            self.end(feed)
            raise

    def forget(self, account: int, listener: UserListener) -> None:
        feed = self._feeds.get(account)
        if feed is None or listener not in feed.listeners:
            return
        del feed.listeners[listener]
        self._drop_if_unused(feed)

    def _dropped_if_unused(self, feed: AccountFeed, _: object) -> None:
        self._drop_if_unused(feed)

    def _drop_if_unused(self, feed: AccountFeed) -> None:
        if not feed.listeners and not feed.waiting and self._feeds.get(feed.account) is feed:
            del self._feeds[feed.account]
            self.venue.gateway.forget(feed.account, feed.report)

    def end(self, feed: AccountFeed) -> None:
        if self._feeds.get(feed.account) is feed:
            del self._feeds[feed.account]
        listeners = tuple(feed.listeners)
        feed.listeners.clear()
        for listener in listeners:
            listener.user_stream_ended(feed.account)


def stream_ended(unit_ns: int = MILLISECOND_NS) -> str:
    return _encode(StreamEnded("eventStreamTerminated", time.time_ns() // unit_ns)).decode()
