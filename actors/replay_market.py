"""The market of recordings: plays their commands to the books at a speed, and is the master of market time.

One task sends; whoever controls time only leaves word and waits. Whatever the speed, a book never gets to a time before it
has all that happened until then. The k-th command to a book has the number k whenever the files are read, so after a crash
of the feed they are read from the start and what the books have journaled is left out. Speed and loop begin then as the
settings say.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable
from typing import Any, Final

import structlog

from actors.config import Settings
from actors.market_time import Action, Goal, action_of, later, positive, speed_of
from actors.metrics import ReplayMetrics
from actors.outside_books import OutsideBooks
from actors.replay_tape import Tape
from market.clock import pace_within
from market.records import COMMAND, Records, joined

log = structlog.get_logger()

FRAME: Final = 2000
"""Commands sent to the books at a time, at most."""
SLICE: Final = 200
"""Commands read at a time: some milliseconds, then others have their turn."""
TICK_S: Final = 0.005
"""What is due goes out that often."""
HEARTBEAT_S: Final = 0.05
"""The time is told at least that often: several times within `market.clock.LEASE_NS`."""
WAIT_S: Final = 20.0
"""Who asked for a time that lies further away is answered before it is reached."""


class ReplayMarket:
    kind = "replay"

    def __init__(
        self,
        settings: Settings,
        tape: Tape,
        books: OutsideBooks,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.books = books
        self.speed = settings.replay_speed
        self.loop = settings.replay_loop
        self.paused = False
        self.ended = False
        self.commands = 0
        self._tape = tape
        self._wall_ns = now_ns
        self._at_ns = 0
        """Everything up to here went out."""
        self._from = (0, 0)
        """Market time, and the wall's, from which the speed counts."""
        self._is_behind = False
        """More is due than could be sent yet."""
        self._goal: Goal | None = None
        self._reached: asyncio.Future[bool] | None = None
        self._wake = asyncio.Event()
        self.metrics = ReplayMetrics("feed")

    async def start(self) -> None:
        self.books.start()

    async def run(self) -> None:
        await self.books.ready()
        self._at_ns = self._tape.first_ns
        await self._catch_up()
        self._reanchor()
        self.books.tell(self._at_ns, 0.0)
        while True:
            if self._stands:
                await self._stand()
            else:
                await self._advance()

    async def stop(self) -> None:
        await self.books.stop()

    # -- playing --------------------------------------------------------------------------------------------------

    @property
    def _stands(self) -> bool:
        return self._goal is None and (self.paused or self.ended)

    @property
    def _is_fast(self) -> bool:
        return self.speed == math.inf if self._goal is None else self._goal.fast or self.speed == math.inf

    async def _catch_up(self) -> None:
        """Read on until every book gets what it does not know."""
        while self.books.behind:
            await asyncio.sleep(0)
            if self._tape.next_ns() is None:
                if not self.commands:
                    raise ValueError(
                        "feed: the recordings move no book, but books were moved; name the files of before"
                    )
                self._tape.rewind()
            commands, at_ns = self._tape.take(None, SLICE)
            self._at_ns = max(self._at_ns, at_ns)
            self._send(commands, 0.0)
            await self.books.room()

    async def _stand(self) -> None:
        self.books.tell(self._at_ns, 0.0)
        await self.books.drained()
        self._wake.clear()
        if self._stands:
            await self._wake.wait()

    async def _advance(self) -> None:
        """Send what is due, tell the time, and wait until more is due."""
        self._wake.clear()
        limit_ns = self._limit_ns()
        commands = await self._due(limit_ns)
        await self.books.room()
        next_ns = self._tape.next_ns()
        self._is_behind = next_ns is not None and (limit_ns is None or next_ns <= limit_ns)
        if self._is_behind:
            self._send(commands, 0.0)
            return
        if limit_ns is not None and next_ns is not None:
            self._at_ns = max(self._at_ns, limit_ns)
        self._send(commands, 0.0 if self._is_fast or next_ns is None else self._pace())
        if next_ns is None:
            await self._end()
        elif self._goal is not None and self._at_ns >= self._goal.until_ns:
            await self._arrive(self._goal)
        elif not self._is_fast:
            await self._sleep(next_ns)

    async def _due(self, limit_ns: int | None) -> Records:
        """At most a frame of it."""
        parts: list[Records] = []
        count = 0
        while count < FRAME:
            await asyncio.sleep(0)
            commands, at_ns = self._tape.take(limit_ns, SLICE)
            self._at_ns = max(self._at_ns, at_ns)
            parts.append(commands)
            count += len(commands)
            next_ns = self._tape.next_ns()
            if next_ns is None or (limit_ns is not None and next_ns > limit_ns):
                break
        return parts[0] if len(parts) == 1 else joined(parts, COMMAND)

    def _limit_ns(self) -> int | None:
        """Up to where everything may go out now; None: as far as there is."""
        goal = self._goal
        if self._is_fast:
            return None if goal is None else max(goal.until_ns, self._at_ns)
        due_ns = self._due_ns()
        return due_ns if goal is None else max(self._at_ns, min(due_ns, goal.until_ns))

    def _due_ns(self) -> int:
        market_ns, wall_ns = self._from
        return market_ns + int((self._wall_ns() - wall_ns) * self.speed)

    def _pace(self) -> float:
        stops = (self._tape.next_ns(), None if self._goal is None else self._goal.until_ns)
        return pace_within(self._at_ns, self.speed, min((one for one in stops if one is not None), default=None))

    async def _sleep(self, next_ns: int) -> None:
        """Until the next entry is due, or somebody wants something else."""
        if self._goal is not None:
            next_ns = min(next_ns, self._goal.until_ns)
        wait_s = (next_ns - self._due_ns()) / self.speed / 1e9
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(HEARTBEAT_S, max(TICK_S, wait_s))):
                await self._wake.wait()

    async def _end(self) -> None:
        """The tape is."""
        goal = self._goal
        if goal is not None and goal.until_ns <= self._at_ns:
            await self._arrive(goal)
        elif not self.loop:
            await self._stop_at_end(goal)
        if self.loop and self._tape.next_ns() is None:
            self._tape.rewind()

    async def _stop_at_end(self, goal: Goal | None) -> None:
        self.books.tell(self._at_ns, 0.0)
        await self.books.drained()
        if self.loop:
            return  # asked for meanwhile
        if not self.ended:
            self.ended = True
            log.info("the recording is at its end", market_ns=self._at_ns, commands=self.commands)
        if self._goal is goal:
            self._settle(reached=False)

    async def _arrive(self, goal: Goal) -> None:
        self.paused = goal.stands
        self.books.tell(self._at_ns, 0.0)
        await self.books.drained()
        self._from = (self._at_ns, self._wall_ns())
        if self._goal is goal:
            self._settle(reached=True)

    def _settle(self, reached: bool) -> None:
        """Whoever waits for the goal is answered."""
        self._goal = None
        told, self._reached = self._reached, None
        if told is not None and not told.done():
            told.set_result(reached)

    def _reanchor(self) -> None:
        self._from = (self.now_ns(), self._wall_ns())

    def _send(self, commands: Records, pace: float) -> None:
        self.commands += len(commands)
        self.metrics.commands.inc(len(commands))
        self.books.send(commands, self._at_ns, pace)

    # -- control --------------------------------------------------------------------------------------------------

    def now_ns(self) -> int:
        """Market time of the feed."""
        if self._at_ns == 0 or self._stands or self._is_fast or self._is_behind:
            return self._at_ns
        goal_ns = self._due_ns() if self._goal is None else min(self._due_ns(), self._goal.until_ns)
        return max(self._at_ns, min(goal_ns, self._tape.end_ns))

    async def control(
        self, action: str, at_ns: int | None = None, speed: float | None = None, span_ns: int | None = None
    ) -> dict[str, Any]:
        """ValueError names the field. What comes to a time is answered when the books stand there, at most `WAIT_S`
        later: `reached` says whether they do."""
        asked = action_of(action)
        if asked is Action.SPEED:
            wanted = speed_of(speed)
            self._reanchor()
            self.speed = wanted
        elif asked is Action.RESUME:
            self._resume()
        elif asked in (Action.LOOP_ON, Action.LOOP_OFF):
            self._set_loop(asked is Action.LOOP_ON)
        else:
            return await self._come_to(self._goal_of(asked, at_ns, span_ns))
        self._wake.set()
        return self.time_status()

    def _goal_of(self, asked: Action, at_ns: int | None, span_ns: int | None) -> Goal:
        now_ns = self.now_ns()
        if asked is Action.PAUSE:
            return Goal(now_ns, fast=True, stands=True)
        if asked is Action.STEP:
            next_ns = self._tape.next_ns() if span_ns is None else now_ns + positive(span_ns)
            return Goal(max(now_ns, next_ns or now_ns), fast=True, stands=True)
        if asked is Action.RUN_UNTIL:
            return Goal(later(at_ns, now_ns), fast=False, stands=True)
        return Goal(later(at_ns, now_ns), fast=True, stands=self.paused)

    def _resume(self) -> None:
        self._leave_goal()
        if self.paused:
            self._reanchor()
            self.paused = False

    def _set_loop(self, loop: bool) -> None:
        self.loop = loop
        if loop and self.ended:
            self._reanchor()
            self._tape.rewind()
            self.ended = False

    def _leave_goal(self) -> None:
        """Before it is reached: the speed counts from where a jump has got."""
        if self._goal is not None and self._goal.fast:
            self._reanchor()
        self._settle(reached=False)

    async def _come_to(self, goal: Goal) -> dict[str, Any]:
        self._leave_goal()
        if self.paused:
            self._from = (self._at_ns, self._wall_ns())
        self._goal = goal
        reached = self._reached = asyncio.get_running_loop().create_future()
        self._wake.set()
        done, _ = await asyncio.wait({reached}, timeout=WAIT_S)
        return {**self.time_status(), "reached": bool(done) and reached.result()}

    def time_status(self) -> dict[str, Any]:
        goal = self._goal
        return {
            "mode": "replay",
            "market_ns": self.now_ns(),
            "first_ns": self._tape.first_ns,
            "last_ns": self._tape.end_ns,
            "speed": "max" if self.speed == math.inf else self.speed,
            "paused": self.paused,
            "ended": self.ended,
            "loop": self.loop,
            "passes": self._tape.passes,
            "until_ns": None if goal is None else goal.until_ns,
        }

    def status(self) -> dict[str, Any]:
        behind_ns = self._due_ns() - self._at_ns if self._is_behind and not self._is_fast else 0
        self.metrics.behind_s.set(behind_ns / 1e9)
        return {
            "time": self.time_status(),
            "behind_s": round(behind_ns / 1e9, 3),
            "commands": self.commands,
            "errors": self._tape.errors,
            "damage": self._tape.damage,
            "books": self.books.status(),
        }
