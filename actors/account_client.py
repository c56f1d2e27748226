"""The client's end of an account actor's stream: gateways and feeds submit commands and ask questions through it.

Commands of one event-loop turn leave in one frame. Each command is answered by the report that carries its token;
when the account actor goes away or does not answer in time, waiting commands fail with `OutcomeUnknown`, and
new ones with `LinkDown` until it is back.
"""

import asyncio
import secrets
import struct
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import numpy as np
import structlog

from actors import directory
from actors.config import Settings, account_name
from actors.errors import LinkDown, OutcomeUnknown, Refused
from actors.questions import Questions
from actors.stream import Link, connect
from actors.wire import (
    Hello,
    Kind,
    ReportRow,
    decode_reports,
    encoder,
    welcome_decoder,
)
from market.records import CLIENT_ORDER_ID_BYTES, COMMAND, REPORT, Records, picked

log = structlog.get_logger()

COMMAND_TIMEOUT_S: Final = 10.0
"""After that the outcome is unknown; the command may still be executed."""
OVERDUE_EVERY_S: Final = 1.0
"""One look at all of them: a timer for each command would cost more than sending it."""
WAITING_LIMIT: Final = 100_000
"""Commands of this process that wait for an answer."""
GROUP_LIMIT: Final = 1 << 12
"""Commands sent together."""
_RETRY_MOST_S: Final = 0.5
_PLACE_BITS: Final = 12
"""A token is the group's number and, in these bits, the command's place in it."""
_TOKEN: Final = struct.Struct("<Q")
_TOKEN_AT: Final = dict(COMMAND.fields or {})["token"][1]

Answered = Callable[[list[ReportRow] | None], None]
"""Called once with all reports that answer a group, by the place of their commands; None: the outcome is not known."""
AnsweredRecords = Callable[[Records | None], None]
"""The same with REPORT[k]."""
_FEW: Final = 32
"""Reports of a frame that are sooner looked at one by one than by numpy."""


class _Group:
    """Commands that were sent together and are answered together."""

    __slots__ = ("answered", "count", "deadline", "left", "number", "parts")

    def __init__(self, number: int, count: int, deadline: float, answered: AnsweredRecords) -> None:
        self.number = number
        self.count = self.left = count
        self.deadline = deadline
        self.answered = answered
        self.parts: list[memoryview] = []
        """REPORT records, as they came."""

    def reports(self) -> Records:
        """REPORT[k] by the place of their commands; each command's stay in their order."""
        data = self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)
        reports = np.frombuffer(data, REPORT)
        if self.count > 1:
            tokens = reports["token"]
            if (tokens[1:] < tokens[:-1]).any():
                return picked(reports, np.argsort(tokens, kind="stable"))
        return reports


class AccountClient:
    """One account partition. `on_reports` gets every frame; answers also reach who submitted."""

    def __init__(
        self,
        settings: Settings,
        partition: int,
        name: str,
        on_reports: Callable[[Records], None] | None = None,
        on_up: Callable[[], Awaitable[None]] | None = None,
        resolve: Callable[[str], Awaitable[str]] = directory.endpoint,
    ) -> None:
        self.settings = settings
        self.partition = partition
        self._name = name
        self._on_reports = on_reports
        self._on_up = on_up
        self._resolve = resolve
        self._link: Link | None = None
        self._welcomed = asyncio.Event()
        self._next_group = secrets.randbits(31) << 20 | 1
        self._groups: dict[int, _Group] = {}
        """By their numbers, in the order sent: the first has the earliest deadline."""
        self._waiting = 0
        """Commands in all groups."""
        self._looks: asyncio.TimerHandle | None = None
        self._out: list[bytearray] = []
        self._questions = Questions("the account actor")
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
        for group in list(self._groups.values()):
            self._finish(group, None)
        self._questions.lost()

    # -- commands -------------------------------------------------------------------------------------------------

    def send(self, commands: Records) -> None:
        """Fire and forget (feeds): tokens are the caller's."""
        if self._link is not None and self.up:
            self._link.send(Kind.COMMANDS, commands.tobytes())

    def submit(self, commands: Records | bytes | bytearray, answered: Answered, list_name: bytes | None = None) -> None:
        """Send COMMAND[n], or n packed ones; nothing was sent when it raises `LinkDown` or `Refused`.

        `list_name`: they are the orders of one order list that is called so, and nothing else goes with them.
        """

        def decoded(reports: Records | None) -> None:
            answered(None if reports is None else decode_reports(reports.tobytes()))

        self.submit_records(commands, decoded, list_name)

    def submit_records(
        self, commands: Records | bytes | bytearray, answered: AnsweredRecords, list_name: bytes | None = None
    ) -> None:
        """`submit` for who wants the reports as they are."""
        if not self.up:
            raise LinkDown("the account actor does not answer now")
        frame = bytearray(commands)
        n = len(frame) // COMMAND.itemsize
        if self._waiting + n > WAITING_LIMIT:
            raise Refused("OVERLOADED", "too many orders wait for an answer")
        assert 0 < n <= GROUP_LIMIT
        number = self._next_group
        self._next_group += 1
        first = number << _PLACE_BITS
        if n == 1:
            _TOKEN.pack_into(frame, _TOKEN_AT, first)
        else:
            np.frombuffer(frame, COMMAND)["token"] = np.arange(first, first + n, dtype=np.uint64)
        self._groups[number] = _Group(number, n, self._loop.time() + COMMAND_TIMEOUT_S, answered)
        self._waiting += n
        if self._looks is None:
            self._looks = self._loop.call_later(OVERDUE_EVERY_S, self._give_up)
        if list_name is not None:
            self._send_list(list_name, frame)
            return
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(frame)

    def _send_list(self, name: bytes, commands: bytearray) -> None:
        self._flush()  # what was submitted before it goes before it
        if self._link is not None:
            self._link.send(Kind.LIST, name.ljust(CLIENT_ORDER_ID_BYTES, b"\0") + commands)

    async def ask_for(self, commands: Records | bytes | bytearray, list_name: bytes | None = None) -> list[ReportRow]:
        """`submit` and wait for the answer; `OutcomeUnknown` when it is not known."""
        answer: asyncio.Future[list[ReportRow] | None] = self._loop.create_future()
        self.submit(commands, lambda rows: None if answer.done() else answer.set_result(rows), list_name)
        rows = await answer
        if rows is None:
            raise OutcomeUnknown("the account actor did not answer; ask for the order before resending")
        return rows

    def _flush(self) -> None:
        out, self._out = self._out, []
        if out and self._link is not None:
            self._link.send(Kind.COMMANDS, b"".join(out))

    def _give_up(self) -> None:
        """On commands that wait too long."""
        self._looks = None
        now = self._loop.time()
        for group in list(self._groups.values()):
            if group.deadline > now:
                self._looks = self._loop.call_later(OVERDUE_EVERY_S, self._give_up)
                return
            self._finish(group, None)

    def _finish(self, group: _Group, reports: Records | None) -> None:
        del self._groups[group.number]
        self._waiting -= group.count
        try:
            group.answered(reports)
        except Exception:
            log.exception("an answer was not taken")

    # -- questions ------------------------------------------------------------------------------------------------

    async def call(self, method: str, *args: Any) -> Any:
        """Ask the account actor; `Refused` when it says no, `LinkDown` when it cannot be reached."""
        if not self.up or self._link is None:
            raise LinkDown("the account actor does not answer now")
        return await self._questions.ask(self._link, method, args)

    # -- frames ---------------------------------------------------------------------------------------------------

    def _on_frame(self, link: Link, kind: int, body: bytes) -> None:
        if kind == Kind.REPORTS:
            reports = np.frombuffer(body, REPORT)
            if self._on_reports is not None:
                self._on_reports(reports)  # first: who is told of an order's events reads them before the answer
            if self._groups:
                self._answer(memoryview(body), reports)
        elif kind == Kind.REPLY:
            self._questions.answered(body)
        elif kind == Kind.WELCOME:
            welcome_decoder.decode(body)
            self._welcomed.set()
        else:
            raise ValueError(f"unexpected frame {kind}")

    def _answer(self, body: memoryview, reports: Records) -> None:
        """Each group gets its part of a frame's reports."""
        size = REPORT.itemsize
        for start, stop, number, lasts in _runs_of(reports):
            group = self._groups.get(number)
            if group is None:
                continue
            group.parts.append(body[start * size : stop * size])
            group.left -= lasts
            if not group.left:
                self._finish(group, group.reports())


def _runs_of(reports: Records) -> Iterable[tuple[int, int, int, int]]:
    """Of REPORT[n] those that stand together and answer the same group: start, stop, its number, how many are a last one."""
    n = len(reports)
    if n <= _FEW:
        numbers = [token >> _PLACE_BITS for token in reports["token"].tolist()]
        return zip(range(n), range(1, n + 1), numbers, reports["last"].tolist(), strict=True)
    of = reports["token"] >> _PLACE_BITS
    starts = np.append(0, np.flatnonzero(of[1:] != of[:-1]) + 1)
    lasts = np.add.reduceat(reports["last"], starts, dtype=np.int64)
    stops = [*starts[1:].tolist(), n]
    return zip(starts.tolist(), stops, of[starts].tolist(), lasts.tolist(), strict=True)
