"""`/ws/orders`: order entry and the private stream on one socket, in JSON, MessagePack or packed records.

Frames do not wait for each other: each is answered when its last order is durable, with the request's `id`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any, Final

import msgspec
import structlog

from actors.wire import ReportRow
from serve.amounts import Amount, float_hook
from serve.auth.principal import TRADERS
from serve.errors import ApiError, Code
from serve.gateway import Gateway, Refusals, Rows
from serve.orders import OrderName, client_key, refused
from serve.packed import is_packed
from serve.schema import MAX_BATCH, Order, OrderId, OrderKey, OrderResult, Request, Symbol, TifName
from serve.sockets.packed import PackedFrames
from serve.sockets.session import CLOSE_TRY_LATER, RequestId, Session, decode, problem

log = structlog.get_logger()

IN_FLIGHT_LIMIT: Final = 64
"""Frames of one socket that wait for their answer, times the account's rate limit."""
FRAMES_MOST: Final = 4_096
"""The same whatever the rate limit."""
WAITING_LIMIT: Final = 100_000
"""More than the reports kept for a resume (`actors.history`): all of them may come at once."""


class Place(Request, tag_field="op", tag="place", kw_only=True):
    id: RequestId = None
    orders: Annotated[list[Order], msgspec.Meta(min_length=1, max_length=MAX_BATCH)]


class Named(Request, kw_only=True):
    """An open order by one of its ids."""

    order_id: OrderId = 0
    client_order_id: OrderKey | None = None


class Cancel(Request, tag_field="op", tag="cancel", kw_only=True):
    id: RequestId = None
    orders: Annotated[list[Named], msgspec.Meta(min_length=1, max_length=MAX_BATCH)]


class Reduced(Request, kw_only=True):
    order_id: OrderId
    quantity: Amount


class AmendFrame(Request, tag_field="op", tag="amend", kw_only=True):
    id: RequestId = None
    orders: Annotated[list[Reduced], msgspec.Meta(min_length=1, max_length=MAX_BATCH)]


class ReplaceFrame(Request, tag_field="op", tag="replace", kw_only=True):
    id: RequestId = None
    order_id: OrderId
    quantity: Amount
    price: Amount
    time_in_force: TifName = TifName.GTC
    client_order_id: OrderKey | None = None


class CancelAll(Request, tag_field="op", tag="cancel_all", kw_only=True):
    id: RequestId = None
    symbol: Symbol | None = None


class SubscribeFrame(Request, tag_field="op", tag="subscribe", kw_only=True):
    id: RequestId = None
    from_seq: Annotated[int, msgspec.Meta(ge=-1, le=(1 << 62) - 1)] = -1
    """Resume after this sequence number; -1: only what comes from now on."""


class Ping(Request, tag_field="op", tag="ping", kw_only=True):
    id: RequestId = None


class Echo(Request, tag_field="op", tag="echo", kw_only=True):
    """The no-op that the benchmark measures orders against."""

    id: RequestId = None
    orders: list[Order] = msgspec.field(default_factory=list)


Frame = Place | Cancel | AmendFrame | ReplaceFrame | CancelAll | SubscribeFrame | Ping | Echo

_decode_json = msgspec.json.Decoder(Frame, float_hook=float_hook)
_decode_msgpack = msgspec.msgpack.Decoder(Frame)


class OrdersSession(Session):
    channel = "orders"
    needs_user = True
    waiting_limit = WAITING_LIMIT

    def __init__(self, gateway: Gateway, *args: Any) -> None:
        super().__init__(*args)
        self._gateway = gateway
        self._tasks: set[asyncio.Task[None]] = set()
        self.unanswered = 0
        """Frames sent on whose answer has not come."""
        self._packed = PackedFrames(gateway, self)
        self._listening = False
        self.account = 0
        self._handlers: dict[type, Callable[[Any], Awaitable[dict[str, Any]]]] = {
            AmendFrame: self._amend,
            ReplaceFrame: self._replace,
            CancelAll: self._cancel_all,
            SubscribeFrame: self._subscribe,
        }

    async def on_open(self) -> None:
        assert self.principal is not None
        self.account = self._gateway.account_of(self.principal.user_id)
        self.send({"op": "welcome", "account": self.account})

    def on_frame(self, frame: str | bytes, binary: bool) -> None:
        self.binary = binary
        if isinstance(frame, bytes) and is_packed(frame):
            self._packed.on_frame(frame)
            return
        request = decode(_decode_msgpack if binary else _decode_json, frame, "MessagePack" if binary else "JSON")
        kind = type(request)
        if kind is Ping:
            self.send({"id": request.id, "ok": True, "op": "pong"})
            return
        if kind is Echo:
            self.send({"id": request.id, "ok": True, "orders": len(request.orders)})
            return
        self.check_may_send(trading=kind is not SubscribeFrame)
        if kind is Place:
            self._send_commands(request.id, *self._gateway.pack(self.account, request.orders))
            return
        if kind is Cancel:
            packed, named = self._cancels(request)
            self._send_commands(request.id, packed, {}, named)
            return
        task = asyncio.create_task(self._answer(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def check_may_send(self, trading: bool = True) -> None:
        """ApiError when nothing more may wait for an answer, or for who may only look."""
        assert self.principal is not None
        if trading and self.principal.role not in TRADERS:
            raise ApiError(Code.FORBIDDEN, "A viewer cannot trade.")
        times = self._gateway.profile_of(self.account).rate_limit
        limit = min(FRAMES_MOST, max(1, int(IN_FLIGHT_LIMIT * times)) if times else FRAMES_MOST)
        if len(self._tasks) + self.unanswered >= limit:
            raise ApiError(Code.OVERLOADED, f"More than {limit} frames wait for their answer; nothing was done.")

    async def _answer(self, request: Any) -> None:
        try:
            answer = await self._handlers[type(request)](request)
            self.send({"id": request.id, "ok": True, **answer})
        except ApiError as error:
            self.send(problem(request.id, error))
        except Exception:
            log.exception("frame failed", op=type(request).__name__)
            self.send(problem(request.id, ApiError(Code.INTERNAL)))

    def _send_commands(
        self, request_id: RequestId, packed: list[bytes], refusals: Refusals, named: list[OrderName] | None = None
    ) -> None:
        """Placing and canceling need no task of their own: sent at once, answered when the last one is durable."""
        if not packed:
            self._tell(request_id, [], refusals, None)
            return
        self._gateway.send(self.account, packed, partial(self._answered, request_id, refusals, named))
        self.unanswered += 1

    def _answered(
        self, request_id: RequestId, refusals: Refusals, named: list[OrderName] | None, rows: Rows | None
    ) -> None:
        self.unanswered -= 1
        if rows is None:
            self.send(problem(request_id, ApiError(Code.STATUS_UNKNOWN)))
        else:
            self._tell(request_id, rows, refusals, named)

    def _tell(self, request_id: RequestId, rows: Rows, refusals: Refusals, named: list[OrderName] | None) -> None:
        self.send({"id": request_id, "ok": True, "results": self._gateway.results(rows, refusals, named)})

    def _cancels(self, request: Cancel) -> tuple[list[bytes], list[OrderName]]:
        """The commands, and what each of them names."""
        desk, account = self._gateway.desk, self.account
        packed: list[bytes] = []
        named: list[OrderName] = []
        for k, one in enumerate(request.orders):
            if (one.order_id == 0) == (one.client_order_id is None):
                raise ApiError(Code.VALIDATION, "Give either order_id or client_order_id.", f"orders[{k}].order_id")
            packed.append(desk.cancel(account, one.order_id, one.client_order_id))
            named.append(one.order_id if one.client_order_id is None else client_key(one.client_order_id))
        return packed, named

    async def _amend(self, request: AmendFrame) -> dict[str, Any]:
        results = []
        for one in request.orders:
            try:
                results.append(OrderResult(order=await self._gateway.amend(self.account, one.order_id, one.quantity)))
            except ApiError as error:
                results.append(refused(error))
        return {"results": results}

    async def _replace(self, request: ReplaceFrame) -> dict[str, Any]:
        return {"results": [OrderResult(order=await self._gateway.replace(self.account, request.order_id, request))]}

    async def _cancel_all(self, request: CancelAll) -> dict[str, Any]:
        symbol = None if request.symbol is None else self._gateway.desk.terms_of(request.symbol).symbol_id
        canceled = await self._gateway.cancel_all(self.account, symbol)
        return {"results": [OrderResult(order=one) for one in canceled]}

    async def _subscribe(self, request: SubscribeFrame) -> dict[str, Any]:
        if self._listening:
            raise ApiError(Code.VALIDATION, "This socket is subscribed already.", "op")
        self._listening = True
        try:
            return await self._gateway.listen(self.account, request.from_seq, self.report)
        except ApiError:
            self._listening = False
            raise

    def report(self, row: ReportRow) -> None:
        self.send(self._gateway.desk.event(row))

    def restart(self) -> None:
        """The account actor was started anew: resume by sequence number on a new socket."""
        self.outbox.close(CLOSE_TRY_LATER, "restarting; reconnect and resume from your last seq")

    def on_close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._listening:
            self._gateway.forget(self.account, self.report)
