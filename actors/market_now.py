"""What time it is on the market, as far as who asks has seen it.

On the wall's time that is this machine's clock. In a replay it is the time of the newest batch seen: it stands still while
nothing happens, and never goes back.
"""

import time

from actors.config import Settings


class MarketNow:
    def __init__(self, replay: bool = False) -> None:
        self.replay = replay
        self.newest_ns = 0
        """Of what was seen; 0: nothing was."""

    @classmethod
    def of(cls, settings: Settings) -> "MarketNow":
        return cls(settings.market_time == "replay")

    def saw(self, ts_ns: int) -> None:
        self.newest_ns = max(self.newest_ns, ts_ns)

    def __call__(self) -> int:
        """Nanoseconds; in a replay 0 before anything was seen."""
        return self.newest_ns if self.replay else time.time_ns()
