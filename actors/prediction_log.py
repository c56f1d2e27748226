"""What was said, and how it went: predictions wait in PostgreSQL until their horizon has passed, and are scored then.

One replica does this at a time: who holds the advisory lock. Scores are sums by version and hour of market time.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import structlog

from market.intervals import HOUR_NS, SECOND_NS
from ml.forecast import LEVELS, Floats, Forecast
from ml.live_scores import SCORES, score_sums

log = structlog.get_logger()

LOCK: Final = (0x52795074, 13)
"""Of the database, for the replica that logs and publishes."""
COLUMNS: Final = ("price", "up", "low", "median", "high", "volatility", "naive_volatility")
GRACE_NS: Final = 2 * SECOND_NS
"""After the horizon, until the last trades of it are stored."""
GIVEN_UP_NS: Final = 2 * HOUR_NS
"""Predictions that fell due so long ago, while nobody scored, are dropped: their prices may be gone."""
SCORED_AT_ONCE: Final = 200
WINDOW_NS: Final = 24 * HOUR_NS
"""Of the scores that are told."""
_Z_10: Final = 1.2815515655446004
NAMES: Final = (*SCORES, "naive_pinball")

_PRICES: Final = """
SELECT w.symbol, last.close_ticks FROM unnest($1::text[]) AS w (symbol) CROSS JOIN LATERAL (
    SELECT close_ticks FROM candles WHERE symbol = w.symbol AND width_s = 1 AND open_ns < $2 AND open_ns >= $3
    ORDER BY open_ns DESC LIMIT 1
) AS last
"""
_OLDEST_PRICE_NS: Final = HOUR_NS
"""The last trade before the end of a horizon counts if it is not older."""


class PredictionLog:
    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self.logged = self.scored = 0

    async def add(self, version: int, as_of_ns: int, due_ns: int, symbols: Sequence[str], figures: Floats) -> None:
        """float64[len(symbols), len(COLUMNS)]. What is there already stays."""
        await self._pool.execute(
            "INSERT INTO predictions (version, as_of_ns, due_ns, symbols, forecasts) VALUES ($1, $2, $3, $4, $5) "
            "ON CONFLICT DO NOTHING",
            version, as_of_ns, due_ns, list(symbols), figures.astype("<f8").tobytes(),
        )  # fmt: skip
        self.logged += len(symbols)

    async def score(self, now_ns: int) -> int:
        """Of what fell due, at most `SCORED_AT_ONCE` rows; how many there were."""
        rows = await self._pool.fetch(
            "SELECT * FROM predictions WHERE due_ns <= $1 ORDER BY due_ns LIMIT $2", now_ns - GRACE_NS, SCORED_AT_ONCE
        )
        for row in rows:
            sums = None
            if row["due_ns"] > now_ns - GIVEN_UP_NS:
                figures = np.frombuffer(row["forecasts"], "<f8").reshape(-1, len(COLUMNS))
                returns = await self._returns(row["symbols"], row["due_ns"], figures[:, 0])
                sums = sums_of(figures, returns)
                self.scored += int(sums[0])
            await self._close(row, sums)
        return len(rows)

    async def _returns(self, symbols: list[str], due_ns: int, prices: Floats) -> Floats:
        found = await self._pool.fetch(_PRICES, symbols, due_ns, due_ns - _OLDEST_PRICE_NS)
        then = {row["symbol"]: float(row["close_ticks"]) for row in found}
        return np.array([then.get(symbol, np.nan) for symbol in symbols]) / prices - 1

    async def _close(self, row: Any, sums: Floats | None) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            key = row["version"], row["as_of_ns"]
            gone = await connection.fetchval(
                "DELETE FROM predictions WHERE version = $1 AND as_of_ns = $2 RETURNING 1", *key
            )
            if gone is None or sums is None:
                return
            names = ", ".join(NAMES)
            added = ", ".join(f"{name} = s.{name} + excluded.{name}" for name in NAMES)
            places = ", ".join(f"${k}" for k in range(3, 3 + len(NAMES)))
            await connection.execute(
                f"INSERT INTO prediction_scores AS s (version, hour_ns, {names}) VALUES ($1, $2, {places}) "  # noqa: S608
                f"ON CONFLICT (version, hour_ns) DO UPDATE SET {added}",
                key[0], row["due_ns"] // HOUR_NS * HOUR_NS, int(sums[0]), *map(float, sums[1:]),
            )  # fmt: skip

    async def scores(self, now_ns: int) -> dict[int, dict[str, float]]:
        """By version, of the last `WINDOW_NS` hours: means, and `count`."""
        return await scores(self._pool, now_ns)


async def scores(pool: Any, now_ns: int) -> dict[int, dict[str, float]]:
    """By version, of the last 24 hours of market time: `count`, and means of the others of `NAMES`."""
    columns = ", ".join(f"sum({name})::float8 AS {name}" for name in NAMES)
    rows = await pool.fetch(
        f"SELECT version, {columns} FROM prediction_scores WHERE hour_ns > $1 GROUP BY version",  # noqa: S608
        now_ns - WINDOW_NS,
    )
    found = {}
    for row in rows:
        count = row["count"]
        if count:
            found[row["version"]] = {"count": count} | {name: row[name] / count for name in NAMES[1:]}
    return found


def sums_of(figures: Floats, returns: Floats) -> Floats:
    """float64[len(NAMES)]: a forecast's sums, and those of the baseline: no drift, the last volatility, normal."""
    forecast = Forecast(*(figures[:, k] for k in range(1, 6)))
    width = figures[:, -1] * _Z_10
    naive = forecast._replace(low=-width, median=np.zeros(len(figures)), high=width)
    assert len(LEVELS) == 3
    pinball = score_sums(naive, returns)[SCORES.index("pinball")]
    return np.append(score_sums(forecast, returns), pinball)
