"""The client's end of an account actor's stream: gateways and feeds submit commands and ask questions through it.

Commands of one event-loop turn leave in one frame. Each command is answered by the report that carries its token;
when the account actor goes away or does not answer in time, waiting commands fail with `OutcomeUnknown`, and
new ones with `LinkDown` until it is back.
"""

import asyncio
import itertools
import secrets
import struct
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

import numpy as np
import structlog

from actors import directory
from actors.config import Settings, account_name
from actors.errors import LinkDown, OutcomeUnknown, Refused
from actors.stream import Link, connect
from actors.wire import (
    Call,
    Hello,
    Kind,
    Records,
    ReportRow,
    decode_reports,
    encoder,
    reply_decoder,
    welcome_decoder,
)
from market.records import COMMAND, REPORT

log = structlog.get_logger()

CALL_TIMEOUT_S: Final = 5.0
COMMAND_TIMEOUT_S: Final = 10.0
"""After that the outcome is unknown; the command may still be executed."""
OVERDUE_EVERY_S: Final = 1.0
"""One look at all of them: a timer for each command would cost more than sending it."""
WAITING_LIMIT: Final = 100_000
"""Commands of this process that wait for an answer."""
_RETRY_MOST_S: Final = 0.5
_TOKEN: Final = struct.Struct("<Q")
_TOKEN_AT: Final = sum(COMMAND[name].itemsize for name in (COMMAND.names or ())[: (COMMAND.names or ()).index("token")])


class _Waiting:
    __slots__ = ("answers", "future", "left")

    def __init__(self, answers: list[list[ReportRow]], future: asyncio.Future[Any], left: int) -> None:
        self.answers = answers
        self.future = future
        self.left = left


class AccountClient:
    """One account partition. `on_reports(REPORT[n])` gets every frame; answers also reach who submitted."""

    def __init__(
        self,
        settings: Settings,
        partition: int,
        name: str,
        on_reports: Callable[[Records], None] | None = None,
        on_rows: Callable[[list[ReportRow]], None] | None = None,
        on_up: Callable[[], Awaitable[None]] | None = None,
        resolve: Callable[[str], Awaitable[str]] = directory.endpoint,
    ) -> None:
        self.settings = settings
        self.partition = partition
        self._name = name
        self._on_reports = on_reports
        self._on_rows = on_rows
        self._on_up = on_up
        self._resolve = resolve
        self._link: Link | None = None
        self._welcomed = asyncio.Event()
        self._next_token = secrets.randbits(48) << 14 | 1
        self._waiting: dict[int, tuple[_Waiting, int]] = {}
        self._deadlines: deque[tuple[float, _Waiting]] = deque()
        self._out: list[bytearray] = []
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._call_ids = itertools.count(1)
        self._loop = asyncio.get_running_loop()

    @property
    def up(self) -> bool:
        return self._welcomed.is_set()

    async def run(self) -> None:
        delay = 0.02
        while True:
            try:
                address = await self._resolve(account_name(self.partition))
                self._link = link = await connect(address, self._on_frame)
                link.send(Kind.HELLO, encoder.encode(Hello("gateway", self._name)))
                await asyncio.wait(
                    {asyncio.ensure_future(self._welcomed.wait()), link.closed},
                    return_when=asyncio.FIRST_COMPLETED,
                )
                delay = 0.02
                if self.up and self._on_up is not None:
                    await self._on_up()
                await link.closed
            except (LinkDown, OSError) as error:
                log.info("account actor not reached", partition=self.partition, error=str(error))
            except Exception:
                log.exception("account link failed")
            self._went_down()
            await asyncio.sleep(delay)
            delay = min(_RETRY_MOST_S, delay * 2)

    def _went_down(self) -> None:
        self._welcomed.clear()
        if self._link is not None:
            self._link.close()
            self._link = None
        self._out.clear()
        waiting, self._waiting = self._waiting, {}
        for group, _ in waiting.values():
            if not group.future.done():
                group.future.set_exception(
                    OutcomeUnknown("the account actor went away; ask for the order before resending")
                )
        calls, self._calls = self._calls, {}
        for call in calls.values():
            if not call.done():
                call.set_exception(LinkDown("the account actor went away"))

    # -- commands -------------------------------------------------------------------------------------------------

    def send(self, commands: Records) -> None:
        """Fire and forget (feeds): tokens are the caller's."""
        if self._link is not None and self.up:
            self._link.send(Kind.COMMANDS, commands.tobytes())

    def submit(self, commands: Records | bytes) -> asyncio.Future[list[list[ReportRow]]]:
        """Send COMMAND[n], or n packed ones.

        Resolves to n lists of reports, in the commands' order, the last report of each last.
        """
        if not self.up:
            raise LinkDown("the account actor does not answer now")
        frame = bytearray(commands)
        n = len(frame) // COMMAND.itemsize
        if len(self._waiting) + n > WAITING_LIMIT:
            raise Refused("OVERLOADED", "too many orders wait for an answer")
        tokens = range(self._next_token, self._next_token + n)
        self._next_token += n
        future: asyncio.Future[list[list[ReportRow]]] = self._loop.create_future()
        answers: list[list[ReportRow]] = [[] for _ in tokens]
        entry = _Waiting(answers, future, n)
        for k, token in enumerate(tokens):
            self._waiting[token] = (entry, k)
            _TOKEN.pack_into(frame, k * COMMAND.itemsize + _TOKEN_AT, token)
        if not self._deadlines:
            self._loop.call_later(OVERDUE_EVERY_S, self._give_up)
        self._deadlines.append((self._loop.time() + COMMAND_TIMEOUT_S, entry))
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(frame)
        return future

    def _flush(self) -> None:
        out, self._out = self._out, []
        if out and self._link is not None:
            self._link.send(Kind.COMMANDS, b"".join(out))

    def _give_up(self) -> None:
        """On commands that wait too long."""
        now, deadlines = self._loop.time(), self._deadlines
        while deadlines and (deadlines[0][1].future.done() or deadlines[0][0] <= now):
            future = deadlines.popleft()[1].future
            if not future.done():
                future.set_exception(OutcomeUnknown(f"no answer in {COMMAND_TIMEOUT_S:.0f} s"))
        if deadlines:
            self._loop.call_later(OVERDUE_EVERY_S, self._give_up)

    # -- questions ------------------------------------------------------------------------------------------------

    async def call(self, method: str, *args: Any) -> Any:
        """Ask the account actor; `Refused` when it says no, `LinkDown` when it cannot be reached."""
        if not self.up or self._link is None:
            raise LinkDown("the account actor does not answer now")
        call_id = next(self._call_ids)
        future: asyncio.Future[Any] = self._loop.create_future()
        self._calls[call_id] = future
        self._link.send(Kind.CALL, encoder.encode(Call(call_id, method, list(args))))
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                return await future
        except TimeoutError as error:
            raise LinkDown(f"no answer to {method} in {CALL_TIMEOUT_S} s") from error
        finally:
            self._calls.pop(call_id, None)

    # -- frames ---------------------------------------------------------------------------------------------------

    def _on_frame(self, link: Link, kind: int, body: bytes) -> None:
        if kind == Kind.REPORTS:
            if self._on_reports is not None:
                self._on_reports(np.frombuffer(body, REPORT))
            if self._waiting or self._on_rows is not None:
                rows = decode_reports(body)
                self._answer(rows)
                if self._on_rows is not None:
                    self._on_rows(rows)
        elif kind == Kind.REPLY:
            reply = reply_decoder.decode(body)
            future = self._calls.get(reply.id)
            if future is not None and not future.done():
                if reply.error is not None:
                    future.set_exception(Refused(*reply.error))
                else:
                    future.set_result(reply.result)
        elif kind == Kind.WELCOME:
            welcome_decoder.decode(body)
            self._welcomed.set()
        else:
            raise ValueError(f"unexpected frame {kind}")

    def _answer(self, rows: list[ReportRow]) -> None:
        waiting = self._waiting
        for row in rows:
            if not row.token:
                continue
            entry = waiting.get(row.token)
            if entry is None:
                continue
            group, at = entry
            group.answers[at].append(row)
            if row.last:
                del waiting[row.token]
                group.left -= 1
                if not group.left and not group.future.done():
                    group.future.set_result(group.answers)
