"""The exchange's scheduled work: days of ticks made ahead and given up, stored data checked, exported, learned from.

It runs beside the projector, in its process: nearly all of it is work of the database. Parquet is written and
models are trained by processes of their own, which are there only meanwhile.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import structlog
from msgspec import to_builtins

from actors import export_plan, retraining_plan
from actors.backfill import Backfill
from actors.config import Settings
from actors.day_partitions import (
    SECONDS,
    TICKS,
    date_text,
    day_of,
    days_of,
    drop_day,
    has_rows,
    make_days,
    newest_day,
)  # fmt: skip
from actors.export_plan import is_exported
from actors.job_process import in_a_process
from actors.metrics import JobMetrics
from actors.scheduler import Job, Run, Schedule
from actors.stored_quality import check_day, together
from market.feed_spec import Venues, parse
from market.instrument import Instrument

log = structlog.get_logger()

WORST_TOLD: Final = 5
"""Symbols that a quality report names."""
TRAINING_LIMIT_S: Final = 1800.0
"""All horizons together; the other heavy jobs wait meanwhile."""


class Housekeeping:
    """`market_ns`: the newest market time known, 0 when none is."""

    def __init__(
        self, settings: Settings, instruments: list[Instrument], market_ns: Callable[[], int], metrics: JobMetrics
    ) -> None:
        self._settings = settings
        self._instruments = instruments
        self._market_ns = market_ns
        self._metrics = metrics

    def jobs(self) -> list[Job]:
        made = [
            Job("partitions", Schedule(600), self.make_partitions, at_first=True),
            Job("retention", Schedule(3600, 600), self.drop_old_days, heavy=True),
            Job("quality", Schedule(86_400, 1200), self.check_quality, heavy=True),
            Job("analyze", Schedule(86_400, 2400), self.analyze, heavy=True),
        ]
        spec, listing = parse(self._settings.feed), self._settings.listing()
        if self._settings.backfill_ns and isinstance(spec, Venues) and listing is not None:
            backfill = Backfill(spec, listing, self._settings.backfill_ns)
            made.append(Job("backfill", Schedule(3600, 300), backfill.run, at_first=True))
        if self._settings.export_dir is not None:
            made.append(Job("export", Schedule(86_400, 1800), self.export_new_days, heavy=True))
        if self._settings.retrain:
            made.append(Job("retrain", Schedule(86_400, 3 * 3600), self.retrain, heavy=True))
        return made

    async def today(self, connection: Any) -> int | None:
        """The day of the market; None: nothing ever traded."""
        stored = await newest_day(connection)
        now_ns = self._market_ns()
        known = [day for day in (stored, day_of(now_ns) if now_ns else None) if day is not None]
        return max(known, default=None)

    async def make_partitions(self, run: Run) -> dict[str, Any]:
        """Today and tomorrow: the first trade of a day shall not have to make its partition."""
        day = await self.today(run.connection)
        made = 0 if day is None else await make_days(run.connection, (day, day + 1))
        days = await days_of(run.connection, TICKS)
        self._metrics.tick_days.set(len(days))
        return {"made": made, "days": len(days), "bytes": sum(days.values())}

    async def drop_old_days(self, run: Run) -> dict[str, Any]:
        today = await self.today(run.connection)
        dropped, waiting, freed = [], [], 0
        if today is not None:
            for parent, keep in ((TICKS, self._settings.keep_ticks), (SECONDS, self._settings.keep_seconds)):
                days = await days_of(run.connection, parent) if keep else {}
                for day in [one for one in days if one <= today - keep]:
                    if parent == TICKS and await self._waits_for_export(run.connection, day):
                        waiting.append(date_text(day))
                        continue
                    await drop_day(run.connection, parent, day)
                    freed += days[day]
                    dropped.append(f"{parent} {date_text(day)}")
                    log.info("a day was given up", table=parent, day=date_text(day), bytes=days[day])
        return {"dropped": dropped, "waiting_for_export": waiting, "bytes": freed}

    async def _waits_for_export(self, connection: Any, day: int) -> bool:
        folder = self._settings.export_dir
        if folder is None or is_exported(Path(folder), "trades", None, day):
            return False
        return await has_rows(connection, TICKS, day)

    async def check_quality(self, run: Run) -> dict[str, Any]:
        """The newest whole day; while there is none, what is stored of today."""
        today = await self.today(run.connection)
        stored = [day for day in await days_of(run.connection, TICKS) if await has_rows(run.connection, TICKS, day)]
        if not stored or today is None:
            return {"day": None, "score": None}
        day = max((one for one in stored if one < today), default=stored[-1])

        def told(fraction: float) -> None:
            run.progress = fraction

        names = [one.symbol for one in self._instruments]
        keep = self._settings.keep_seconds
        parts = await check_day(run.connection, names, day, told, seconds=not keep or day > today - keep)
        whole = together("", parts)
        self._metrics.quality.set(whole.score)
        worst = sorted((one for one in parts if one.score < 100), key=lambda one: one.score)
        return {
            "day": date_text(day), "score": whole.score, "trades": whole.trades,
            "missing_trades": whole.missing_trades, "candles": whole.candles, "wrong_candles": whole.wrong_candles,
            "worst": {one.symbol: one.score for one in worst[:WORST_TOLD]},
        }  # fmt: skip

    async def analyze(self, run: Run) -> dict[str, Any]:
        """The planner's statistics of whole partitioned tables, which autovacuum does not make."""
        for k, table in enumerate(("trades", "candles"), 1):
            await run.connection.execute(f"ANALYZE {table}")
            run.progress = k / 2
        return {}

    async def export_new_days(self, run: Run) -> dict[str, Any]:
        assert self._settings.export_dir is not None
        today = await newest_day(run.connection)  # as stored: what is before it has been written
        if today is None:
            return {"files": 0, "rows": 0, "bytes": 0}
        request = export_plan.Request(
            dsn=self._settings.pg_dsn, instruments=self._instruments, out=self._settings.export_dir,
            tables=("trades", "candles"), until_day=today, only_new=True,
        )  # fmt: skip
        told = await in_a_process("actors.export_process", request, export_plan.Told, run)
        return {"files": told.files, "rows": told.rows, "bytes": told.bytes}

    async def retrain(self, run: Run) -> dict[str, Any]:
        """By horizon what was learned, registered and promoted, or why not."""
        request = retraining_plan.Request(
            dsn=self._settings.pg_dsn, data_dir=self._settings.data_dir, horizons=self._settings.retrain
        )
        told = await in_a_process("actors.retraining", request, retraining_plan.Told, run, TRAINING_LIMIT_S)
        pruned = {"pruned": told.pruned} if told.pruned else {}
        return {name: to_builtins(turn) for name, turn in told.done.items()} | pruned
