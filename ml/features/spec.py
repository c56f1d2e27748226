"""Which features of trades, quotes and depth: the grid of time, the windows, the names. Pure."""

from typing import Final

import msgspec

from market.intervals import SECOND_NS

CLIP: Final = 40_000_000
"""Returns of one step, in 1e-9, count as this at most (4 %) in the realised volatility."""
MAX_STEPS: Final = (1 << 63) // CLIP**2 - 1
"""Of a window: more could overflow the sum of squares."""

STATE_NAMES: Final = (
    "spread",
    "spread_ticks",
    "book_imbalance",
    "microprice",
    "depth_imbalance",
    "depth_width",
    "quote_age_s",
    "trade_age_s",
    "day_sin",
    "day_cos",
)
WINDOW_NAMES: Final = (
    "return",
    "volatility",
    "order_flow_imbalance",
    "queue_rate",
    "quote_rate",
    "trade_rate",
    "trade_imbalance",
    "traded",
)


class FeatureSpec(msgspec.Struct, frozen=True):
    """The grid that windows are counted in, and how long they are; saved with a model.

    Step k is the time ((k - 1) · step_ns, k · step_ns]. A window of w steps, asked for at a time inside of step k, holds
    the steps k - w + 1 to k as far as they are known: exactly w steps at a time on the grid, up to one less between.
    """

    step_ns: int = SECOND_NS // 5
    windows_ns: tuple[int, ...] = (SECOND_NS, 5 * SECOND_NS, 15 * SECOND_NS, 60 * SECOND_NS, 300 * SECOND_NS,
                                   900 * SECOND_NS)  # fmt: skip
    """Ascending."""

    def __post_init__(self) -> None:
        if self.step_ns <= 0:
            raise ValueError(f"step_ns: {self.step_ns} is not above 0")
        if not self.windows_ns or list(self.windows_ns) != sorted(set(self.windows_ns)):
            raise ValueError(f"windows_ns: {self.windows_ns} is empty or not ascending")
        for one in self.windows_ns:
            if one % self.step_ns or not 0 < one // self.step_ns <= MAX_STEPS:
                raise ValueError(f"windows_ns: {one} is not 1 to {MAX_STEPS} steps of {self.step_ns} ns")

    @property
    def steps(self) -> tuple[int, ...]:
        """Lengths of the windows."""
        return tuple(one // self.step_ns for one in self.windows_ns)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns of a row: the state, then window by window, as `return_5s`."""
        return STATE_NAMES + tuple(f"{name}_{one / SECOND_NS:g}s" for one in self.windows_ns for name in WINDOW_NAMES)

    @property
    def whole_column(self) -> int:
        """Of a row: the longest window's return, known when its window is whole and both mids are. A row that a model may
        be asked of has it; other columns may be NaN, as they were in training."""
        return len(STATE_NAMES) + (len(self.windows_ns) - 1) * len(WINDOW_NAMES) + WINDOW_NAMES.index("return")

    def step_of(self, ts_ns: int) -> int:
        return -(-ts_ns // self.step_ns)
