"""The feed: drives the market as `--feed` says. It only chooses; what feeds is one of the modules named below.

simulated            actors.simulated_feed   participants who trade as users do
VENUE[,VENUE...]     actors.venue_market     what real venues show and trade, now
replay:FILE[,...]    actors.replay_market    what they showed and traded then; the master of market time
"""

import time
from typing import Any, Final, Protocol

import structlog

from actors.config import Settings
from actors.journal import Journal
from actors.metrics import ActorMetrics
from actors.outside_books import OutsideBooks
from market.feed_spec import Nobody, Replay, Simulated, Venues, parse
from market.listing import Listing

log = structlog.get_logger()

NAME: Final = "feed"


class Feed(Protocol):
    @property
    def kind(self) -> str: ...

    @property
    def metrics(self) -> ActorMetrics: ...

    async def start(self) -> None: ...

    async def run(self) -> None: ...

    async def stop(self) -> None: ...

    def status(self) -> dict[str, Any]: ...


class TimedFeed(Feed, Protocol):
    """The master of market time."""

    def time_status(self) -> dict[str, Any]: ...

    async def control(
        self, action: str, at_ns: int | None, speed: float | None, span_ns: int | None
    ) -> dict[str, Any]: ...


class FeedService:
    def __init__(self, settings: Settings) -> None:
        self.name = NAME
        self.settings = settings
        self.metrics = ActorMetrics(NAME)
        self._feed: Feed | None = None
        self._timed: TimedFeed | None = None

    async def start(self) -> None:
        spec = parse(self.settings.feed)
        if isinstance(spec, Nobody):
            raise ValueError("feed: with `none` there is no feed to start")
        if isinstance(spec, Simulated):
            from actors.simulated_feed import SimulatedFeed

            self._feed = SimulatedFeed(self.settings)
        elif isinstance(spec, Venues):
            from actors.venue_market import VenueMarket

            books = await self._books(from_start=False)
            self._feed = VenueMarket(self.settings, spec, self._listing(), books)
        else:
            self._feed = self._timed = await self._replay(spec)
        self.metrics = self._feed.metrics
        await self._feed.start()

    async def _replay(self, spec: Replay) -> TimedFeed:
        from actors.replay_market import ReplayMarket
        from actors.replay_tape import RecordedTape

        tape = RecordedTape(spec.files, self._listing())
        return ReplayMarket(self.settings, tape, await self._books(from_start=True))

    def _listing(self) -> Listing:
        found = self.settings.listing()
        if found is None:
            raise ValueError(f"feed: no symbols are listed in {self.settings.data_dir}; start with `raypit up` again")
        return found

    async def _books(self, from_start: bool) -> OutsideBooks:
        """Books listen to the youngest incarnation of the feed: its epoch is the highest."""
        journal = Journal(self.settings.pg_dsn, NAME)
        try:
            epoch = await journal.activate()
        finally:
            await journal.close()
        return OutsideBooks(self.settings, epoch, from_start=from_start)

    async def run(self) -> None:
        assert self._feed is not None
        await self._feed.run()

    async def stop(self) -> None:
        if self._feed is not None:
            await self._feed.stop()

    def status(self) -> dict[str, object]:
        feed = self._feed
        return {"name": NAME, **({} if feed is None else {"kind": feed.kind, **feed.status()})}

    def time_status(self) -> dict[str, Any]:
        """`ReplayMarket.time_status`; without a replay market time is the wall's."""
        if self._timed is not None:
            return self._timed.time_status()
        return {"mode": "wall", "market_ns": time.time_ns(), "speed": 1.0, "paused": False, "ended": False}

    async def time_control(
        self, action: str, at_ns: int | None = None, speed: float | None = None, span_ns: int | None = None
    ) -> dict[str, Any]:
        """`ReplayMarket.control`."""
        if self._timed is None:
            raise ValueError("action: market time is the wall's here; start with `--feed replay:FILE` to control it")
        return await self._timed.control(action, at_ns, speed, span_ns)
