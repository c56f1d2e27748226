"""Candles of a running exchange's store, as models learn from them."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from actors.tape_store import MINUTES, Fetches
from market.intervals import MINUTE_NS
from ml.features.candles import Candles

MOST_FILLED: Final = 60
"""Minutes without a trade that count as a quiet market, not as one that was away."""


async def minute_candles(database: Fetches, symbol: str, from_ns: int = 0) -> Candles:
    """Whole minutes since `from_ns`, in ticks and lots; the newest is left out, it may still change.

    Minutes without a trade stand at the close before, as klines tell them, unless more than `MOST_FILLED` follow.
    """
    rows: Sequence[Any] = await database.fetch(
        f"SELECT * FROM ({MINUTES}) AS minutes WHERE open_ns >= $2 ORDER BY open_ns", symbol, from_ns  # noqa: S608
    )  # fmt: skip
    rows = rows[:-1]
    opens = np.array([row["open_ns"] for row in rows], np.int64)
    columns = ("open_ticks", "high_ticks", "low_ticks", "close_ticks", "volume_lots")
    return filled(Candles(opens, *(np.array([float(row[name]) for row in rows], np.float64) for name in columns)))


def filled(candles: Candles) -> Candles:
    opens = candles.open_ns
    if len(opens) < 2:
        return candles
    holes = np.diff(opens) // MINUTE_NS - 1
    missing = np.where(holes <= MOST_FILLED, holes, 0)
    source = np.repeat(np.arange(len(opens)), np.append(missing, 0) + 1)
    since: npt.NDArray[np.int64] = np.arange(len(source)) - np.searchsorted(source, source)
    real = since == 0
    close = candles.close[source]
    at = np.where(real, candles.open[source], close), np.where(real, candles.high[source], close)
    low = np.where(real, candles.low[source], close)
    volume = np.where(real, candles.volume[source], 0.0)
    return Candles(opens[source] + since * MINUTE_NS, *at, low, close, volume)
