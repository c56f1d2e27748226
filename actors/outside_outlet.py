"""What a live feed has for one book: what comes after a while of silence leaves when the event loop's turn ends; while the
book is busy with the last frame, or less than GATHER_S after it, more is gathered. What cannot be kept is told anew, symbol by symbol, when there is room.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from actors.outside_link import WINDOW, OutsideLink
from market.outside_commands import CommandBuilder

GATHER_S: Final = 0.008
"""A frame is a batch of the book and a row of its journal, whose costs hardly depend on what is in it."""
RETOLD: Final = WINDOW // 4
"""Commands gathered, after which no further symbol is told anew for now."""


class Outlet:
    def __init__(self, link: OutsideLink, retell: Callable[[int], None], observe_s: Callable[[float], None]) -> None:
        """`retell`: put all that is known of a symbol into `out`; `observe_s`: seconds from an event's arrival until the
        book has it in its journal."""
        self.link = link
        self.out = CommandBuilder()
        """Commands gathered."""
        self.behind: set[int] = set()
        """Symbols that nothing is told of until they are told anew."""
        self.sent = 0
        self._retell = retell
        self._observe_s = observe_s
        self._oldest_ns = 0
        self._newest_ns = 0
        self._on_its_way_ns = 0
        """Arrival of the oldest event in what was sent."""
        self._flushes = False
        self._not_before = 0.0
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        link.on_change = self._link_changed

    @property
    def full(self) -> bool:
        """The book listens and does not keep up: whoever brings more should wait."""
        return self.link.up and len(self.out) + self.link.waiting >= WINDOW // 2

    async def room(self) -> None:
        while self.full:
            self._changed.clear()
            await self._changed.wait()

    def takes(self, symbol: int) -> bool:
        """Whether commands of the symbol may be put into `out` now; else it is told anew later."""
        if symbol in self.behind:
            return False
        if len(self.out) + self.link.waiting < WINDOW:
            return True
        self.behind.add(symbol)
        return False

    def put(self, arrival_ns: int) -> None:
        """Something that arrived then was put into `out`, or maybe nothing."""
        if not len(self.out):
            return
        self._oldest_ns = self._oldest_ns or arrival_ns
        self._newest_ns = arrival_ns
        if not self._flushes and self.link.idle:
            self._flush_soon()

    def _flush_soon(self) -> None:
        self._flushes = True
        if self._loop.time() >= self._not_before:
            self._loop.call_soon(self._flush)
        else:
            self._loop.call_at(self._not_before, self._flush)

    def _flush(self) -> None:
        self._flushes = False
        if not len(self.out) or not self.link.idle:
            return
        self._not_before = self._loop.time() + GATHER_S
        commands = self.out.take()
        self.sent += len(commands)
        self._on_its_way_ns, self._oldest_ns = self._oldest_ns, 0
        self.link.send(commands, self._newest_ns, 1.0)

    def _link_changed(self) -> None:
        self._changed.set()
        if not self.link.idle:
            return
        now_ns = time.time_ns()
        if self._on_its_way_ns:
            self._observe_s((now_ns - self._on_its_way_ns) / 1e9)
            self._on_its_way_ns = 0
        while self.behind and len(self.out) < RETOLD:
            self._retell(self.behind.pop())
            self.put(now_ns)
        if len(self.out) and not self._flushes:
            self._flush_soon()
