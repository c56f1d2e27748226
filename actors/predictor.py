"""`predictor`: answers for the promoted models, keeps every symbol's features live, publishes and scores predictions.

Beside the trading path and unknown to it: it reads the database, the cache and the public streams, and nobody waits for it
but who asks for a prediction. Any number of them may run; one at a time, the leader, publishes and keeps the log.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import asyncpg
import redis.asyncio as aioredis
import structlog

from actors.config import Settings
from actors.errors import Refused
from actors.live_forecasts import LiveForecasts
from actors.market_bus import time_key
from actors.market_now import MarketNow
from actors.micro_batches import MicroBatcher
from actors.model_registry import ModelRegistry
from actors.model_shelf import Entry, ModelShelf, ensure_default
from actors.prediction_answers import Answers
from actors.prediction_log import LOCK, PredictionLog
from actors.predictor_metrics import PredictorMetrics
from actors.stream import Link, listen
from actors.wire import Kind, Reply, call_decoder, encoder

log = structlog.get_logger()

TICK_S: Final = 0.25
"""How often it is looked whether a candle has closed."""
MODELS_EVERY_S: Final = 0.5
"""How often it is looked what is promoted."""
SCORE_EVERY_S: Final = 5.0
LEAD_EVERY_S: Final = 2.0
POOL_MAX: Final = 4


class PredictorService:
    def __init__(self, settings: Settings, name: str) -> None:
        self.name = name
        self.settings = settings
        self.metrics = PredictorMetrics(name)
        self.now_ns = MarketNow.of(settings)
        self._executor = ThreadPoolExecutor(1, "booster")
        self.batcher = MicroBatcher(self._executor)
        self.asked = 0
        self._tasks: list[asyncio.Task[Any]] = []
        self._calls: set[asyncio.Task[None]] = set()
        self._lock: asyncpg.Connection | None = None
        self._server: asyncio.AbstractServer | None = None

    async def start(self) -> None:
        s = self.settings
        self._pool = await asyncpg.create_pool(s.pg_dsn, min_size=1, max_size=POOL_MAX, command_timeout=30, timeout=5)
        self._redis = aioredis.Redis.from_url(s.redis_url, socket_timeout=2, socket_connect_timeout=2)
        self.log = PredictionLog(self._pool)
        self.live = LiveForecasts(s, self._pool, self._redis, self.now_ns, self._executor, self.log)
        self.registry = ModelRegistry(self._pool, s.data_dir)
        self.shelf = ModelShelf(self.registry, self.live.forget)
        self.answers = Answers(self.shelf, self.live, self.batcher)
        await self._lead()
        await self._see_time()
        await self.shelf.poll()
        await self.live.begin(self.shelf.promoted)
        self._server = await listen(s.socket(self.name), self._on_frame, lambda link: None)

    async def run(self) -> None:
        works = (
            self.batcher.run(),
            self.live.events.run(),
            _always(self._tick, TICK_S, "a look at the candles"),
            _always(self._follow_models, MODELS_EVERY_S, "a look at the models"),
            _always(self._lead, LEAD_EVERY_S, "leading"),
            _always(self._score, SCORE_EVERY_S, "scoring"),
        )
        self._tasks = [asyncio.create_task(work) for work in works]
        await asyncio.gather(*self._tasks)

    async def _tick(self) -> None:
        await self._see_time()
        await self.live.tick(self.shelf.promoted)

    async def _see_time(self) -> None:
        if self.now_ns.replay:
            self.now_ns.saw(int(await self._redis.get(time_key(self.settings.prefix)) or 0))

    async def _follow_models(self) -> None:
        if await self.shelf.poll():
            await self.live.begin(self.shelf.promoted)

    async def _score(self) -> None:
        more = self.live.leads
        while more:
            more = await self.log.score(self.now_ns()) > 0
        self.metrics.update(self.shelf, self.live, self.batcher, self.log, await self.log.scores(self.now_ns()))

    async def _lead(self) -> None:
        """The lock goes with its connection: whoever dies leads no longer."""
        if self._lock is None or self._lock.is_closed():
            self.live.leads = False
            self._lock = await asyncpg.connect(self.settings.pg_dsn, timeout=5, command_timeout=10)
        if not self.live.leads and await self._lock.fetchval("SELECT pg_try_advisory_lock($1, $2)", *LOCK):
            await ensure_default(self.registry)
            self.live.leads = True

    # -- questions ------------------------------------------------------------------------------------------------

    def _on_frame(self, link: Link, kind: int, body: bytes) -> None:
        if kind != Kind.CALL:
            raise ValueError(f"unexpected frame {kind}")
        task = asyncio.create_task(self._answer(link, body))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _answer(self, link: Link, body: bytes) -> None:
        call = call_decoder.decode(body)
        began = time.perf_counter()
        error, result = None, None
        try:
            result = await self._methods()[call.method](*call.args)
        except Refused as refused:
            error = (refused.code, refused.text)
        except Exception as failed:
            log.exception("a question failed", method=call.method)
            error = ("INTERNAL", type(failed).__name__)
        link.send(Kind.REPLY, encoder.encode(Reply(call.id, error, result)))
        self.asked += 1
        self.metrics.answered(call.method, time.perf_counter() - began)

    def _methods(self) -> dict[str, Callable[..., Awaitable[Any]]]:
        return {
            "predict": self.answers.predict,
            "rows": self.answers.rows,
            "analysis": self.answers.analysis,
            "status": self._status,
            "metrics": self._exposed,
        }

    async def _status(self) -> dict[str, object]:
        return self.status()

    async def _exposed(self) -> bytes:
        return self.metrics.exposed()

    def status(self) -> dict[str, object]:
        return {
            "name": self.name,
            "leads": self.live.leads,
            "swaps": self.shelf.swaps,
            "failed": {str(version): text for version, text in self.shelf.failed.items()},
            "waiting_rows": self.batcher.waiting,
            "models": [self._told(one) for one in self.shelf.promoted],
        }

    def _told(self, entry: Entry) -> dict[str, object]:
        score = self.metrics.scores.get(entry.version)
        drift = self.live.drift_of(entry)
        worst = next(iter(drift.items()), None)
        return {
            "version": entry.version,
            "model": entry.manifest.name,
            "horizon": entry.manifest.horizon,
            "symbols": self.live.count(entry.version),
            "score": score,
            "drift": worst and {"feature": worst[0], "psi": round(worst[1], 4)},
        }

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in (*self._tasks, *self._calls):
            task.cancel()
        if self._lock is not None:
            with contextlib.suppress(Exception):
                await self._lock.close()
        await self._pool.close()
        await self._redis.aclose()
        self._executor.shutdown(wait=False, cancel_futures=True)


async def _always(work: Callable[[], Awaitable[None]], every_s: float, what: str) -> None:
    """Again and again; a failure is told once in a row and tried again."""
    failing = False
    while True:
        try:
            await work()
            failing = False
        except Exception as error:
            if not failing:
                log.warning(f"{what} failed, will be tried again", error=repr(error))
            failing = True
        await asyncio.sleep(every_s)
