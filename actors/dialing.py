"""When to try again: back-off with jitter, and the budgets that venues give for dials and requests."""

import asyncio
from random import Random
from typing import Final

JITTER: Final = 0.5
"""A delay is between this share of it and all of it: what broke together does not come back together."""


class Backoff:
    """Seconds to wait before the next attempt, doubling from `first_s` to `most_s`."""

    def __init__(self, first_s: float, most_s: float, random: Random) -> None:
        self._first_s, self._most_s, self._random = first_s, most_s, random
        self.failures = 0

    def next_s(self) -> float:
        whole: float = min(self._most_s, self._first_s * 2 ** min(self.failures, 32))
        self.failures += 1
        return whole * self._random.uniform(JITTER, 1.0)

    def reset(self) -> None:
        self.failures = 0


class Budget:
    """A token bucket, shared by all that use up the same allowance of a venue. First come, first served."""

    def __init__(self, per_minute: float, burst: float | None = None) -> None:
        if per_minute <= 0:
            raise ValueError(f"a budget of {per_minute} per minute")
        self._per_s = per_minute / 60
        self._burst = burst or max(1.0, per_minute / 12)
        self._tokens = self._burst
        self._at: float | None = None
        self._turn = asyncio.Lock()

    def wait_s(self, now: float) -> float:
        """Take a token if there is one (0), else how long until there is."""
        if self._at is not None:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_s)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._per_s

    async def take(self) -> None:
        now = asyncio.get_running_loop().time
        async with self._turn:
            wait_s = self.wait_s(now())
            while wait_s > 0:  # nobody tells when a token is there: time does
                await asyncio.sleep(wait_s)
                wait_s = self.wait_s(now())
