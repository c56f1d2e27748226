"""Features event by event, for serving. Pure; the memory is bounded by the longest window."""

from typing import Final

import numpy as np
import numpy.typing as npt

from market.enums import Side
from ml.features.events import Depth, Event, Quote, Trade
from ml.features.formulas import TOTALS, Floats, Sums, finish, squared_return
from ml.features.spec import FeatureSpec

_MASK: Final = (1 << 64) - 1
"""Running totals wrap; differences of them do not care."""


class FeatureStream:
    """One symbol's features as its events come.

    `add` and `row` together never go back in time: ValueError. What is added after a row with the row's own time is
    not in that row, though `feature_rows` would count it: ask when a batch is over.
    """

    def __init__(self, spec: FeatureSpec | None = None) -> None:
        self.spec: Final = spec or FeatureSpec()
        self.ts_ns = 0
        """The newest time told."""
        self._lengths: Final = np.array(self.spec.steps, np.int64)
        self._kept: Final = self.spec.steps[-1]
        self._ends: Final = np.zeros((self._kept, len(TOTALS)), np.uint64)
        """Running totals at the end of each step that is over, by number of the step modulo `_kept`."""
        self._mids: Final = np.zeros(self._kept, np.int64)
        self._first_step = -1
        """-1: nothing was told yet."""
        self._step = 0
        """The one under way."""
        self._mid_before = 0
        """At the end of the step before; times two, as all mids."""
        self._mid = 0
        self._quote = Quote(0, 0, 0, 0, 0)
        self._depth = Depth(0, 0, 0, 0, 0, 0, 0)
        self._trade_ns = 0
        self._trades = self._bought = self._sold = 0
        self._quotes = self._best_lots = self._flow = self._churn = self._squares = 0

    def add(self, event: Event) -> None:
        self._go_to(event.ts_ns)
        if self._first_step < 0:
            self._first_step = self._step
        match event:
            case Quote():
                self._add_quote(event)
            case Trade():
                self._add_trade(event)
            case Depth():
                self._depth = event

    def row(self, ts_ns: int) -> Floats:
        """float64[len(spec.names)]: what is known at `ts_ns`, which is not before anything told."""
        self._go_to(ts_ns)
        row: Floats = finish(self._sums(ts_ns), self.spec)[0]
        return row

    def _add_trade(self, trade: Trade) -> None:
        self._trade_ns = trade.ts_ns
        self._trades += 1
        if trade.taker_side == Side.BUY:
            self._bought += trade.qty_lots
        else:
            self._sold += trade.qty_lots

    def _add_quote(self, quote: Quote) -> None:
        _, bid, bid_lots, ask, ask_lots = quote
        mid = bid + ask if bid_lots > 0 and ask_lots > 0 else 0
        if mid:
            self._quotes += 1
            self._best_lots += bid_lots + ask_lots
            if self._mid:
                _, old_bid, old_bid_lots, old_ask, old_ask_lots = self._quote
                of_bids = (bid_lots if bid >= old_bid else 0) - (old_bid_lots if bid <= old_bid else 0)
                of_asks = (ask_lots if ask <= old_ask else 0) - (old_ask_lots if ask >= old_ask else 0)
                self._flow += of_bids - of_asks
                self._churn += abs(of_bids) + abs(of_asks)
        self._mid, self._quote = mid, quote

    def _totals(self) -> tuple[int, ...]:
        return (
            self._trades,
            self._bought,
            self._sold,
            self._quotes,
            self._best_lots,
            self._flow & _MASK,
            self._churn,
            self._squares,
        )

    def _go_to(self, ts_ns: int) -> None:
        if ts_ns < self.ts_ns:
            raise ValueError(f"ts_ns: {ts_ns} is before {self.ts_ns}, which was told already; sort by time of arrival")
        self.ts_ns = ts_ns
        step = self.spec.step_of(ts_ns)
        if step > self._step:
            self._end_steps(step)

    def _end_steps(self, step: int) -> None:
        """Everything before `step` is over."""
        self._squares += squared_return(self._mid_before, self._mid)
        self._mid_before = self._mid
        totals = np.array([one & _MASK for one in self._totals()], np.uint64)
        ended = np.arange(max(self._step, step - self._kept), step) % self._kept
        self._ends[ended] = totals
        self._mids[ended] = self._mid
        self._step = step

    def _sums(self, ts_ns: int) -> Sums:
        begun = self._step - self._lengths
        at = begun % self._kept
        now = [one & _MASK for one in self._totals()]
        now[-1] = (self._squares + squared_return(self._mid_before, self._mid)) & _MASK
        whole = (begun >= self._first_step) & (self._first_step >= 0)
        totals: npt.NDArray[np.int64] = (np.array(now, np.uint64) - self._ends[at]).view(np.int64)
        state = np.array([[*self._quote[1:], *self._depth[1:], self._quote.ts_ns, self._trade_ns]], np.int64)
        mids = np.where(whole, self._mids[at], 0)
        return Sums(np.array([ts_ns], np.int64), state, totals[None], mids[None], whole[None])
