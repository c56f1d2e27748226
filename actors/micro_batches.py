"""Forecasts by the batch, without making anybody wait for one: what came while one batch was computed is the next one.

Lone rows go before bulk: a large request is cut, and between two pieces of it everything small is answered.
"""

import asyncio
from collections import deque
from concurrent.futures import Executor
from typing import Final

import numpy as np

from ml.forecast import Floats, Forecast, Model

INLINE_ROWS: Final = 16
"""So few are computed on the loop itself, in less than two milliseconds: to go through a thread costs a third of that again."""
LONE_ROWS: Final = 64
"""A request of more is bulk."""
PIECE_ROWS: Final = 512
"""Of bulk at a time: some milliseconds."""
WAITING_ROWS: Final = 200_000
"""Of all requests that wait; beyond it new ones are refused."""


class TooManyRows(Exception):
    """More waits than `WAITING_ROWS`."""


class _Asked:
    __slots__ = ("answer", "done", "model", "rows")

    def __init__(self, model: Model, rows: Floats, answer: "asyncio.Future[Forecast]") -> None:
        self.model = model
        self.rows = rows
        self.answer = answer
        self.done: list[Forecast] = []
        """Pieces, of bulk."""


class MicroBatcher:
    """`ask`, while `run` runs. The executor has one thread: one booster, one core."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._lone: deque[_Asked] = deque()
        self._bulk: deque[_Asked] = deque()
        self._wake = asyncio.Event()
        self.waiting = 0
        """Rows."""
        self.batches = self.rows = 0

    async def ask(self, model: Model, rows: Floats) -> Forecast:
        """ValueError of a wrong shape, `TooManyRows`; and what `model` raises."""
        if self.waiting + len(rows) > WAITING_ROWS:
            raise TooManyRows(f"{self.waiting} rows wait already")
        asked = _Asked(model, rows, asyncio.get_running_loop().create_future())
        (self._lone if len(rows) <= LONE_ROWS else self._bulk).append(asked)
        self.waiting += len(rows)
        self._wake.set()
        try:
            return await asked.answer
        finally:
            self.waiting -= len(rows)

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._lone or self._bulk:
                await self._answer_lone()
                await self._advance_bulk()

    async def _answer_lone(self) -> None:
        groups: dict[int, list[_Asked]] = {}
        while self._lone:
            one = self._lone.popleft()
            groups.setdefault(id(one.model), []).append(one)
        for group in groups.values():
            try:
                found = await self._predict(group[0].model, np.concatenate([one.rows for one in group]))
            except Exception as error:
                for one in group:
                    _fail(one, error)
                continue
            at = 0
            for one in group:
                end = at + len(one.rows)
                if not one.answer.done():
                    one.answer.set_result(Forecast(*(column[at:end] for column in found)))
                at = end

    async def _advance_bulk(self) -> None:
        if not self._bulk:
            return
        one = self._bulk[0]
        at = len(one.done) * PIECE_ROWS
        try:
            one.done.append(await self._predict(one.model, one.rows[at : at + PIECE_ROWS]))
        except Exception as error:
            self._bulk.popleft()
            _fail(one, error)
            return
        if at + PIECE_ROWS >= len(one.rows) or one.answer.done():
            self._bulk.popleft()
            if not one.answer.done():
                one.answer.set_result(Forecast(*map(np.concatenate, zip(*one.done, strict=True))))

    async def _predict(self, model: Model, rows: Floats) -> Forecast:
        self.batches += 1
        self.rows += len(rows)
        if len(rows) <= INLINE_ROWS:
            return model.predict(rows)
        return await asyncio.get_running_loop().run_in_executor(self._executor, model.predict, rows)


def _fail(one: _Asked, error: Exception) -> None:
    if not one.answer.done():
        one.answer.set_exception(error)
