"""A local order book kept by the venue's recipe: buffered diff events, a snapshot, then event after event.

Written against the venue's documentation only.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import msgspec

Side = dict[str, str]
"""Quantity by price, as told."""
Snapshot = Callable[[], Awaitable[Any]]


class Gap(Exception):
    """An event was missed: the book has to be built anew."""


class LocalBook:
    def __init__(self) -> None:
        self.update_id = -1
        self.bids: Side = {}
        self.asks: Side = {}
        self.applied = 0
        """Levels told by events so far."""

    def start(self, snapshot: Any) -> None:
        self.update_id = snapshot["lastUpdateId"]
        self.bids, self.asks = dict(snapshot["bids"]), dict(snapshot["asks"])

    def apply(self, event: Any) -> None:
        if event["u"] <= self.update_id:
            return
        if event["U"] > self.update_id + 1:
            raise Gap(f"at {self.update_id} came {event['U']}..{event['u']}")
        for side, levels in ((self.bids, event["b"]), (self.asks, event["a"])):
            for price, quantity in levels:
                if float(quantity) == 0:
                    side.pop(price, None)
                else:
                    side[price] = quantity
        self.update_id = event["u"]
        self.applied += len(event["b"]) + len(event["a"])

    def sides(self, limit: int) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """As a snapshot would tell it: best first; 0: all levels."""
        bids = sorted(self.bids.items(), key=lambda level: -float(level[0]))
        asks = sorted(self.asks.items(), key=lambda level: float(level[0]))
        return bids[: limit or None], asks[: limit or None]


class Follower:
    """Steps 1 to 7 of the recipe over one socket of `<symbol>@depth[@100ms]`."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, snapshot: Snapshot) -> None:
        self.book = LocalBook()
        self.events = 0
        self._socket = socket
        self._snapshot = snapshot
        self._last_u: int | None = None

    async def event(self) -> Any:
        """The next event; each begins where the one before ended."""
        message = await self._socket.receive(timeout=20)
        assert message.type is aiohttp.WSMsgType.TEXT, message
        event = msgspec.json.decode(message.data)
        assert event["e"] == "depthUpdate"
        assert event["U"] <= event["u"]
        if self._last_u is not None:
            assert event["U"] == self._last_u + 1, (self._last_u, event["U"])
        self._last_u = event["u"]
        self.events += 1
        return event

    async def synchronise(self) -> None:
        buffered = deque([await self.event()])
        while True:
            asking = asyncio.ensure_future(self._snapshot())
            while not asking.done():
                with_event = asyncio.ensure_future(self.event())
                await asyncio.wait({asking, with_event}, return_when=asyncio.FIRST_COMPLETED)
                buffered.append(await with_event)
            snapshot = asking.result()
            if snapshot["lastUpdateId"] >= buffered[0]["U"]:
                break
        self.book.start(snapshot)
        while buffered and buffered[0]["u"] <= self.book.update_id:
            buffered.popleft()
        if buffered:
            assert buffered[0]["U"] <= self.book.update_id + 1 <= buffered[0]["u"]
        for event in buffered:
            self.book.apply(event)

    async def step(self) -> None:
        self.book.apply(await self.event())
