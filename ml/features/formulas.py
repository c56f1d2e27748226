"""From integers to features: the one place where a number of a row is made. Pure.

Only +, -, *, / and square roots of float64, which IEEE 754 rounds the same way everywhere: a row has the same bytes on
every machine, made alone or among a million. Shapes: n rows, w windows.

| column | unit | meaning |
|---|---|---|
| spread | of the mid | (ask - bid) / mid |
| spread_ticks | ticks | ask - bid |
| book_imbalance | -1 to 1 | (bid lots - ask lots) / both, at the best prices (Gould and Bonart 2016) |
| microprice | of the mid | mid weighted by the other side's lots, less the mid (Stoikov 2018 calls it the weighted mid) |
| depth_imbalance | -1 to 1 | as book_imbalance, over `DEPTH_LEVELS` levels |
| depth_width | of the mid | from the deepest bid to the deepest ask of those levels |
| quote_age_s, trade_age_s | seconds | since the last one, at most the longest window |
| day_sin, day_cos | -1 to 1 | minute of the day, UTC, on a circle |
| return_W | of the mid then | mid / mid when the window began - 1 |
| volatility_W | per window | root of the sum of squared returns of the mid by step (Andersen, Bollerslev, Diebold, Labys 2003) |
| order_flow_imbalance_W | mean best queues | e_n of Cont, Kukanov, Stoikov 2014 summed, by the mean lots at a best price |
| queue_rate_W | mean best queues / s | lots that came to and left the best prices |
| quote_rate_W, trade_rate_W | 1 / s | events |
| trade_imbalance_W | -1 to 1 | (lots bought by takers - sold) / both; 0 without trades |
| traded_W | mean best queues | lots traded |

NaN is what is not known: a window that began before the first event, or (of quotes) when no quote of both sides stood; a
state without its quote, depth or trade; `traded_W` where lots were traded and no quote came to measure them by.
"""

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from market.intervals import DAY_NS, MINUTE_NS, SECOND_NS
from ml.features.spec import CLIP, STATE_NAMES, WINDOW_NAMES, FeatureSpec

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

TOTALS: Final = ("trades", "bought", "sold", "quotes", "best_lots", "flow", "churn", "squares")
"""What is summed in a window: counts, lots, lots at the best prices per quote, e_n, |e_n| by side, squared returns."""
STATE: Final = (
    "bid_ticks", "bid_lots", "ask_ticks", "ask_lots",
    "depth_bid_lots", "depth_ask_lots", "best_bid_ticks", "best_ask_ticks", "last_bid_ticks", "last_ask_ticks",
    "quote_ns", "trade_ns",
)  # fmt: skip
"""The newest quote, depth and times; 0: none yet."""

CIRCLE: Final = np.array(
    [(math.sin(2 * math.pi * k / 1440), math.cos(2 * math.pi * k / 1440)) for k in range(1440)], np.float64
)
RETURN_SCALE: Final = 1e9


class Sums(NamedTuple):
    """All that the rows are made of."""

    ts_ns: Integers
    """[n]"""
    state: Integers
    """[n, len(STATE)]"""
    totals: Integers
    """[n, w, len(TOTALS)]"""
    mid2_before: Integers
    """[n, w]: bid + ask in ticks when the window began; 0: no quote of both sides."""
    whole: npt.NDArray[np.bool_]
    """[n, w]: something was known when the window began."""


def squared_returns(before: Integers, after: Integers) -> Integers:
    """Of mids (times two), in 1e-18, clipped; 0 where one of them is not known."""
    known = (before != 0) & (after != 0)
    base = np.where(known, before, 1).astype(np.float64)
    moved = np.where(known, after - before, 0).astype(np.float64)
    steps = np.rint(np.clip(moved / base * RETURN_SCALE, -CLIP, CLIP)).astype(np.int64)
    return steps * steps


def squared_return(before: int, after: int) -> int:
    """The same of one."""
    if not before or not after:
        return 0
    moved = float(after - before) / float(before) * RETURN_SCALE
    return round(min(max(moved, -CLIP), CLIP)) ** 2


def finish(sums: Sums, spec: FeatureSpec) -> Floats:
    """float64[n, len(spec.names)]"""
    n, w = sums.whole.shape
    rows = np.empty((n, len(STATE_NAMES) + w * len(WINDOW_NAMES)), np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        rows[:, : len(STATE_NAMES)] = _state_columns(sums, spec)
        rows[:, len(STATE_NAMES) :] = _window_columns(sums, spec).reshape(n, -1)
    return rows


def _ratio(part: Floats, whole: Floats, known: npt.NDArray[np.bool_], otherwise: float = np.nan) -> Floats:
    return np.where(known, part / whole, otherwise)


def _age_s(sums: Sums, name: str, spec: FeatureSpec) -> Floats:
    then = sums.state[:, STATE.index(name)]
    age = np.minimum(sums.ts_ns - then, spec.windows_ns[-1]).astype(np.float64)
    return np.where(then != 0, age / SECOND_NS, np.nan)


def _state_columns(sums: Sums, spec: FeatureSpec) -> Floats:
    of = dict(zip(STATE, sums.state.T.astype(np.float64), strict=True))
    quoted = (of["bid_lots"] > 0) & (of["ask_lots"] > 0)
    deep = (of["depth_bid_lots"] > 0) & (of["depth_ask_lots"] > 0)
    gap = of["ask_ticks"] - of["bid_ticks"]
    mid2 = of["ask_ticks"] + of["bid_ticks"]
    imbalance = _ratio(of["bid_lots"] - of["ask_lots"], of["bid_lots"] + of["ask_lots"], quoted)
    minute = sums.ts_ns % DAY_NS // MINUTE_NS
    return np.column_stack(
        (
            _ratio(2 * gap, mid2, quoted),
            np.where(quoted, gap, np.nan),
            imbalance,
            imbalance * gap / mid2,
            _ratio(of["depth_bid_lots"] - of["depth_ask_lots"], of["depth_bid_lots"] + of["depth_ask_lots"], deep),
            _ratio(
                2 * (of["last_ask_ticks"] - of["last_bid_ticks"]), of["best_ask_ticks"] + of["best_bid_ticks"], deep
            ),
            _age_s(sums, "quote_ns", spec),
            _age_s(sums, "trade_ns", spec),
            CIRCLE[minute],
        )
    )


def _window_columns(sums: Sums, spec: FeatureSpec) -> Floats:
    """float64[n, w, len(WINDOW_NAMES)]"""
    of = dict(zip(TOTALS, np.moveaxis(sums.totals.astype(np.float64), 2, 0), strict=True))
    seconds = np.array(spec.windows_ns, np.float64) / SECOND_NS
    state = dict(zip(STATE, sums.state.T, strict=True))
    two_sided = (state["bid_lots"] > 0) & (state["ask_lots"] > 0)
    mid2 = np.where(two_sided, state["bid_ticks"] + state["ask_ticks"], 0)[:, None]
    before = sums.mid2_before
    quoted = sums.whole & (before != 0)
    moved = (mid2 - before).astype(np.float64)
    queue = of["best_lots"] / (2 * of["quotes"])
    none = np.where(quoted, 0.0, np.nan)
    busy = quoted & (of["quotes"] > 0)
    traded = of["bought"] + of["sold"]
    return np.stack(
        (
            _ratio(moved, before.astype(np.float64), quoted & (mid2 != 0)),
            np.where(quoted, np.sqrt(of["squares"]) / RETURN_SCALE, np.nan),
            np.where(busy, of["flow"] / queue, none),
            np.where(busy, of["churn"] / queue / seconds, none),
            np.where(quoted, of["quotes"] / seconds, np.nan),
            np.where(sums.whole, of["trades"] / seconds, np.nan),
            np.where(sums.whole, np.where(traded > 0, (of["bought"] - of["sold"]) / traded, 0.0), np.nan),
            np.where(busy, traded / queue, np.where(quoted & (traded == 0), 0.0, np.nan)),
        ),
        axis=2,
    )
