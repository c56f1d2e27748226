"""All books of the exchange, as the feed speaks to them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import numpy as np

from actors import directory
from actors.config import Settings
from actors.outside_link import OutsideLink
from market.records import COMMAND, Records, picked

NOTHING: Final = np.zeros(0, COMMAND)


class OutsideBooks:
    def __init__(
        self,
        settings: Settings,
        epoch: int,
        *,
        from_start: bool = False,
        resolve: Callable[[str], Awaitable[str]] = directory.endpoint,
    ) -> None:
        """As `OutsideLink`."""
        self.links = [
            OutsideLink(settings, p, epoch, from_start=from_start, resolve=resolve) for p in range(settings.book_actors)
        ]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(link.run()) for link in self.links]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def ready(self) -> None:
        for link in self.links:
            await link.ready()

    async def room(self) -> None:
        for link in self.links:
            await link.room()

    async def drained(self) -> None:
        for link in self.links:
            await link.drained()

    @property
    def behind(self) -> bool:
        """Some book knows more than was sent in this life of the feed."""
        return any(link.numbered < link.journaled for link in self.links)

    def send(self, commands: Records, ts_ns: int, pace: float) -> None:
        """To each book what is its own; the time to all."""
        if len(self.links) == 1:
            self.links[0].send(commands, ts_ns, pace)
            return
        owners = commands["symbol"] % len(self.links)
        for partition, link in enumerate(self.links):
            link.send(picked(commands, owners == partition), ts_ns, pace)

    def tell(self, ts_ns: int, pace: float) -> None:
        for link in self.links:
            link.send(NOTHING, ts_ns, pace)

    def status(self) -> list[dict[str, object]]:
        return [link.status() for link in self.links]
