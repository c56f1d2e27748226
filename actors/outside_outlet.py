"""What a live feed has for one book: it leaves when the event loop's turn ends, or, while something is not acknowledged
yet, when that is. What cannot be kept is told anew, symbol by symbol, when there is room.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from actors.outside_link import WINDOW, OutsideLink
from market.records import COMMAND, Records, joined

RETOLD: Final = WINDOW // 4
"""Commands gathered, after which no further symbol is told anew for now."""


class Outlet:
    def __init__(self, link: OutsideLink, retell: Callable[[int], Records], observe_s: Callable[[float], None]) -> None:
        """`retell`: all that a symbol's book must be told to be right; `observe_s`: seconds from an event's arrival until
        the book has it in its journal."""
        self.link = link
        self.behind: set[int] = set()
        """Symbols whose commands are left out until they are told anew."""
        self._retell = retell
        self._observe_s = observe_s
        self._gathered: list[Records] = []
        self._count = 0
        self._oldest_ns = 0
        self._newest_ns = 0
        self._on_its_way_ns = 0
        """Arrival of the oldest event in what was sent."""
        self._flushes = False
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        link.on_change = self._link_changed

    @property
    def full(self) -> bool:
        """The book listens and does not keep up: whoever brings more should wait."""
        return self.link.up and self._count + self.link.waiting >= WINDOW // 2

    async def room(self) -> None:
        while self.full:
            self._changed.clear()
            await self._changed.wait()

    def add(self, symbol: int, commands: Records, arrival_ns: int) -> None:
        """Commands of one symbol."""
        if symbol in self.behind or not len(commands):
            return
        if self._count + self.link.waiting + len(commands) > WINDOW:
            self.behind.add(symbol)
            return
        self._gather(commands, arrival_ns)

    def _gather(self, commands: Records, arrival_ns: int) -> None:
        self._gathered.append(commands)
        self._count += len(commands)
        self._oldest_ns = self._oldest_ns or arrival_ns
        self._newest_ns = arrival_ns
        if not self._flushes and self.link.idle:
            self._flushes = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushes = False
        if not self._count or not self.link.idle:
            return
        gathered, self._gathered, self._count = self._gathered, [], 0
        self._on_its_way_ns, self._oldest_ns = self._oldest_ns, 0
        self.link.send(joined(gathered, COMMAND), self._newest_ns, 1.0)

    def _link_changed(self) -> None:
        self._changed.set()
        if not self.link.idle:
            return
        if self._on_its_way_ns:
            self._observe_s((time.time_ns() - self._on_its_way_ns) / 1e9)
            self._on_its_way_ns = 0
        now_ns = time.time_ns()
        while self.behind and self._count < RETOLD:
            self._gather(self._retell(self.behind.pop()), now_ns)
        self._flush()
