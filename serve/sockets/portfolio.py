"""`/ws/portfolio`: the portfolio after every change of it, and its value at the market's pace."""

import asyncio
from typing import Any, Final, Literal

import msgspec
import structlog

from actors.wire import ReportRow
from serve.api.portfolio import portfolio_of
from serve.errors import ApiError, Code
from serve.gateway import Gateway
from serve.sockets.session import (
    CLOSE_TRY_LATER,
    RequestId,
    Session,
    decode,
    json_encode,
    msgpack_encode,
    problem,
)

log = structlog.get_logger()

CONFLATE_S: Final = 0.1
"""Changes within it become one message: a portfolio is a state, not a list of events."""
REVALUE_S: Final = 1.0
"""Without a change of its own the portfolio is valued anew this often."""


class Ping(msgspec.Struct, forbid_unknown_fields=True):
    op: Literal["ping"]
    id: RequestId = None


_decode_json = msgspec.json.Decoder(Ping)
_decode_msgpack = msgspec.msgpack.Decoder(Ping)


class PortfolioSession(Session):
    channel = "portfolio"
    needs_user = True

    def __init__(self, gateway: Gateway, *args: Any) -> None:
        super().__init__(*args)
        self._gateway = gateway
        self._account = 0
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def on_open(self) -> None:
        assert self.principal is not None
        self._account = self._gateway.account_of(self.principal.user_id)
        try:
            await self._gateway.listen(self._account, -1, self.report)
        except ApiError as error:
            self.send(problem(None, error))
            self.outbox.close(CLOSE_TRY_LATER, "the account does not answer now")
            return
        self._task = asyncio.create_task(self._tell())

    async def _tell(self) -> None:
        while not self.outbox.closed:
            self._changed.clear()
            try:
                portfolio = await portfolio_of(self._gateway, self._account)
                message = {"channel": "portfolio", "seq": portfolio.seq, "portfolio": portfolio}
                encoded = msgpack_encode(message) if self.binary else json_encode(message).decode()
                self.outbox.replace("portfolio", encoded)
            except ApiError as error:
                self.send(problem(None, error))
            except Exception:
                log.exception("portfolio not told", account=self._account)
                self.send(problem(None, ApiError(Code.INTERNAL)))
            await asyncio.sleep(CONFLATE_S)
            try:
                async with asyncio.timeout(REVALUE_S - CONFLATE_S):
                    await self._changed.wait()
            except TimeoutError:
                pass

    def report(self, row: ReportRow) -> None:
        self._changed.set()

    def on_frame(self, frame: str | bytes, binary: bool) -> None:
        self.binary = binary
        request = decode(_decode_msgpack if binary else _decode_json, frame, "MessagePack" if binary else "JSON")
        self.send({"id": request.id, "ok": True, "op": "pong"})

    def restart(self) -> None:
        self.outbox.close(CLOSE_TRY_LATER, "restarting; reconnect")

    def on_close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._gateway.forget(self._account, self.report)
