"""A process that trains on the stored minutes, registers, promotes by the rule, and ends.

A request on its standard input, lines of how far it is on its output. What it takes is bounded: so many candles, cheap
kinds of models, one thread, and where memory runs out the kernel ends it before anything of the exchange.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import asyncpg

from actors import job_child
from actors.model_registry import ModelRegistry
from actors.retraining_plan import Request, Told, Turn
from actors.training import of_store, register
from market.intervals import DAY_NS, MINUTE_NS
from ml.dataset import DataSet
from ml.forecast import HORIZONS
from ml.sources import Learned
from ml.training import Runner, Task, Wanted, in_process, train

KINDS: Final = ("linear", "xgboost")
"""Beside the naive forecast and the stack; `raypit train` knows more, which take longer."""
MOST_NS: Final = 30 * DAY_NS
MOST_SYMBOLS: Final = 20
"""Those with the most minutes."""
MOST_CANDLES: Final = 150_000
"""Of all symbols; older ones are left out."""
LEAST_HORIZONS: Final = 100
"""So many, one after another, must be stored."""
LEAST_ROWS: Final = 500

Tell = Callable[[Told], None]

_STORED: Final = """
SELECT symbol, count(*) AS minutes, max(open_ns) AS newest_ns FROM (
    SELECT symbol, open_ns FROM candles WHERE width_s = 60 UNION SELECT symbol, open_ns FROM venue_candles
) AS known WHERE open_ns >= coalesce((SELECT max(open_ns) FROM candles WHERE width_s = 60), 0) - $1
GROUP BY symbol ORDER BY minutes DESC, symbol LIMIT $2
"""


async def retrain(request: Request, tell: Tell) -> Told:
    """Horizons with too few candles, or none since the last training, are passed over and say so."""
    told = Told()
    async with asyncpg.create_pool(request.dsn, min_size=1, max_size=2, command_timeout=300) as pool:
        registry = ModelRegistry(pool, request.data_dir)
        rows = await pool.fetch(_STORED, MOST_NS, MOST_SYMBOLS)
        symbols = [row["symbol"] for row in rows]
        newest_ns = max((row["newest_ns"] for row in rows), default=0)
        from_ns = newest_ns - min(MOST_NS, MOST_CANDLES // max(len(rows), 1) * MINUTE_NS)
        for k, name in enumerate(request.horizons):

            def done(fraction: float, k: int = k) -> None:
                told.fraction = (k + fraction) / len(request.horizons)
                tell(told)

            told.done[name] = await _turn(registry, pool, symbols, HORIZONS[name], from_ns, done)
            done(1.0)
        told.pruned = await registry.prune()
    return told


async def _turn(
    registry: ModelRegistry,
    pool: Any,
    symbols: Sequence[str],
    horizon_ns: int,
    from_ns: int,
    done: Callable[[float], None],
) -> Turn:
    try:
        learned = await of_store(pool, symbols, horizon_ns, from_ns)
    except ValueError:  # no row is whole
        return Turn(reason=_too_few(0, 0, horizon_ns))
    rows = len(learned.data.ts_ns)
    span_ns = learned.manifest.to_ns - learned.manifest.from_ns
    if rows < LEAST_ROWS or span_ns < LEAST_HORIZONS * horizon_ns:
        return Turn(reason=_too_few(rows, span_ns, horizon_ns))
    if (known := await _of_the_same(registry, learned)) is not None:
        return Turn(reason=f"nothing was stored since version {known} was trained")
    wanted = Wanted(manifest=learned.manifest, kinds=KINDS)
    outcome = await asyncio.to_thread(train, learned.data, wanted, _telling(done))
    registered = await register(registry, outcome, learned)
    return Turn(rows=rows, versions=registered.versions, promoted=registered.promoted, reason=registered.reason)


def _too_few(rows: int, span_ns: int, horizon_ns: int) -> str:
    return (
        f"too few candles are stored: {rows} rows over {span_ns // MINUTE_NS} min; needed are {LEAST_ROWS} over "
        f"{LEAST_HORIZONS * horizon_ns // MINUTE_NS} min. Let the market run on, or train on files: `raypit train --from`"
    )


async def _of_the_same(registry: ModelRegistry, learned: Learned) -> int | None:
    """The version that has learned these rows already."""
    ours = learned.manifest
    for row in await registry.models():
        one = row.manifest
        if (one.horizon_ns, one.source, one.symbols) == (ours.horizon_ns, ours.source, ours.symbols):
            return row.version if one.to_ns >= ours.to_ns else None
    return None


def _telling(done: Callable[[float], None]) -> Runner:
    def run(data: DataSet, tasks: Sequence[Task]) -> Iterable[tuple[int, Any]]:
        for k, result in enumerate(in_process(data, tasks), 1):
            done(0.95 * k / len(tasks))
            yield result

    return run


def main() -> None:
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    job_child.work(Request, retrain)


if __name__ == "__main__":
    main()
