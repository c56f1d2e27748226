"""Market data of an account whose profile has latency: told later, in its order, in market time.

In a replay market time is looked up every `LOOK_S`: what is due waits while the market stands still.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from actors.delays import Clock
from market.profile import Latency, Path, delay_ns
from serve.sockets.transport import Message

LIMIT: Final = 65_536
"""Messages of one socket that wait."""
LOOK_S: Final = 0.02

Key = tuple[str, str]


class LateData:
    def __init__(self, now_ns: Clock, latency: Latency, account: int, tell: Callable[[Key, Message], None]) -> None:
        self._now_ns = now_ns
        self._latency = latency
        self._account = account
        self._tell = tell
        self._waiting: deque[tuple[int, Key, Message]] = deque()
        self._drawn = 0
        self._last_ns = 0
        self._timer: asyncio.TimerHandle | None = None

    def put(self, key: Key, message: Message) -> bool:
        """False: too many wait."""
        if len(self._waiting) >= LIMIT:
            return False
        due_ns = self._now_ns() + delay_ns(self._latency, self._account, Path.DATA, self._drawn)
        self._drawn += 1
        self._last_ns = max(self._last_ns, due_ns)
        self._waiting.append((self._last_ns, key, message))
        if self._timer is None:
            self._set_timer()
        return True

    def look(self) -> None:
        """Tell what is due."""
        self._timer = None
        now_ns = self._now_ns()
        while self._waiting and self._waiting[0][0] <= now_ns:
            _, key, message = self._waiting.popleft()
            self._tell(key, message)
        if self._waiting:
            self._set_timer()

    def _set_timer(self) -> None:
        wait_s = LOOK_S if self._now_ns.replay else max(0.0005, (self._waiting[0][0] - self._now_ns()) / 1e9)
        self._timer = asyncio.get_running_loop().call_later(wait_s, self.look)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._waiting.clear()
