"""Features of whole arrays, for training. Pure; the same rows as `FeatureStream` gives, to the last bit."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from market.enums import Side
from ml.features.events import Events
from ml.features.formulas import STATE, TOTALS, Floats, Integers, Sums, finish, squared_returns
from ml.features.spec import FeatureSpec

Column = npt.NDArray[Any]
_OF_TRADES: Final = 3
"""So many of TOTALS are of trades, the last is of steps, the others are of quotes."""


def feature_rows(events: Events, at_ns: npt.ArrayLike, spec: FeatureSpec | None = None) -> Floats:
    """float64[n, len(spec.names)]: row k is what was known at `at_ns[k]` (any order) by the events until then.

    Raises ValueError where events are not in order of time.
    """
    spec = spec or FeatureSpec()
    at = np.asarray(at_ns, np.int64)
    for name, column in zip(Events._fields, events, strict=True):
        if len(column) > 1 and (np.diff(column["ts_ns"]) < 0).any():
            raise ValueError(f"{name}: not in order of ts_ns; sort by time of arrival")
    return finish(_Tape(events, spec).sums(at), spec)


def mids_of(events: Events, at_ns: npt.ArrayLike, spec: FeatureSpec | None = None) -> tuple[Floats, Integers]:
    """Mids (times two, NaN: unknown) and running sums of squared returns by step (1e-18), as of `at_ns` on the grid."""
    spec = spec or FeatureSpec()
    at = np.asarray(at_ns, np.int64)
    if (at % spec.step_ns).any():
        raise ValueError(f"at_ns: not whole steps of {spec.step_ns} ns")
    tape = _Tape(events, spec)
    mids = tape.mids_at(at)
    return np.where(mids != 0, mids, np.nan), tape.squares_until(at // spec.step_ns)


class _Tape:
    """Running totals of the events, to be looked up by time."""

    def __init__(self, events: Events, spec: FeatureSpec) -> None:
        self.events: Final = events
        self.spec: Final = spec
        self.mids: Final = _mids(events)
        """[q + 1]: after so many quotes, times two; 0: unknown."""
        self.of_trades: Final = _running(_of_trades(events))
        self.of_quotes: Final = _running(_of_quotes(events, self.mids))
        steps = -(-events.quotes["ts_ns"] // spec.step_ns)
        last = np.flatnonzero(np.diff(steps, append=np.iinfo(np.int64).max))
        self.steps: Final = steps[last]
        """Those in which quotes came."""
        ends = np.concatenate((np.zeros(1, np.int64), self.mids[1:][last]))
        self.squares: Final = _running(squared_returns(ends[:-1], ends[1:])[:, None])[:, 0]
        firsts = [-(-int(one["ts_ns"][0]) // spec.step_ns) for one in events if len(one)]
        self.first_step: Final = min(firsts, default=np.iinfo(np.int64).max)

    def sums(self, at: Integers) -> Sums:
        step = -(-at // self.spec.step_ns)
        begun = step[:, None] - np.array(self.spec.steps, np.int64)
        begun_ns = begun * self.spec.step_ns
        before, now = self._totals_at(begun_ns), self._totals_at(at)
        before[..., -1] = self.squares_until(begun)
        last_mids = self.mids_at((step - 1) * self.spec.step_ns)
        now[..., -1] = self.squares_until(step - 1) + squared_returns(last_mids, self.mids_at(at))
        return Sums(at, self._state(at), now[:, None] - before, self.mids_at(begun_ns), begun >= self.first_step)

    def _totals_at(self, ts_ns: Integers) -> Integers:
        totals = np.zeros((*ts_ns.shape, len(TOTALS)), np.int64)
        totals[..., :_OF_TRADES] = self.of_trades[_until(self.events.trades, ts_ns)]
        totals[..., _OF_TRADES:-1] = self.of_quotes[_until(self.events.quotes, ts_ns)]
        return totals

    def squares_until(self, step: Integers) -> Integers:
        return self.squares[np.searchsorted(self.steps, step, "right")]

    def mids_at(self, ts_ns: Integers) -> Integers:
        return self.mids[_until(self.events.quotes, ts_ns)]

    def _state(self, at: Integers) -> Integers:
        trades, quotes, depths = self.events
        columns = [*_newest(quotes, at, quotes.dtype.names[1:])] if quotes.dtype.names else []
        columns += _newest(depths, at, depths.dtype.names[1:] if depths.dtype.names else ())
        columns += [*_newest(quotes, at, ("ts_ns",)), *_newest(trades, at, ("ts_ns",))]
        assert len(columns) == len(STATE)
        return np.column_stack(columns)


def _until(column: Column, ts_ns: Integers) -> Integers:
    return np.searchsorted(column["ts_ns"], ts_ns, "right")


def _newest(column: Column, at: Integers, names: tuple[str, ...]) -> list[Integers]:
    found = _until(column, at)
    return [np.concatenate((np.zeros(1, np.int64), column[name]))[found] for name in names]


def _running(columns: Integers) -> Integers:
    """[n, c] -> [n + 1, c]: totals of the first k rows. They may wrap; differences of them do not care."""
    totals = np.zeros((len(columns) + 1, columns.shape[1]), np.int64)
    np.cumsum(columns, axis=0, out=totals[1:])
    return totals


def _mids(events: Events) -> Integers:
    quotes = events.quotes
    two_sided = (quotes["bid_lots"] > 0) & (quotes["ask_lots"] > 0)
    mids = np.where(two_sided, quotes["bid_ticks"] + quotes["ask_ticks"], 0)
    return np.concatenate((np.zeros(1, np.int64), mids))


def _of_trades(events: Events) -> Integers:
    lots = events.trades["qty_lots"]
    bought = events.trades["taker_side"] == Side.BUY
    return np.column_stack((np.ones(len(lots), np.int64), np.where(bought, lots, 0), np.where(bought, 0, lots)))


def _of_quotes(events: Events, mids: Integers) -> Integers:
    """[q, 4]: two-sided, lots at the best prices, e_n (Cont, Kukanov, Stoikov 2014, equation 2), its parts without sign."""
    quotes = events.quotes
    known = mids[1:] != 0
    made = np.zeros((len(quotes), 4), np.int64)
    made[:, 0] = known
    made[:, 1] = np.where(known, quotes["bid_lots"] + quotes["ask_lots"], 0)
    if len(quotes) > 1:
        now, old = quotes[1:], quotes[:-1]
        bids = np.where(now["bid_ticks"] >= old["bid_ticks"], now["bid_lots"], 0)
        bids -= np.where(now["bid_ticks"] <= old["bid_ticks"], old["bid_lots"], 0)
        asks = np.where(now["ask_ticks"] <= old["ask_ticks"], now["ask_lots"], 0)
        asks -= np.where(now["ask_ticks"] >= old["ask_ticks"], old["ask_lots"], 0)
        both = known[1:] & known[:-1]
        made[1:, 2] = np.where(both, bids - asks, 0)
        made[1:, 3] = np.where(both, abs(bids) + abs(asks), 0)
    return made
