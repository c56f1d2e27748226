"""Placing, testing, canceling, replacing and amending orders."""

import contextlib
import time
from typing import Annotated, Final

from actors.wire import ReportRow, decode_reports, pack_command
from market.decimals import fixed
from market.enums import CommandFlag, CommandKind, OrdStatus
from serve.binance.context import Context
from serve.binance.errors import (
    AMEND,
    CANCEL,
    NEW_ORDER,
    NO_SUCH_ORDER,
    WRONG_CLIENT_ID,
    BinanceError,
    cancel_rejected,
    missing_both,
    refusal,
    translated,
)
from serve.binance.list_views import canceled_list, list_standing, live_list
from serve.binance.new_order import FULL_BY_DEFAULT, Leg, NewOrder, leg_of, lots_of, new_command
from serve.binance.numbers import ZERO, Scale
from serve.binance.order_structs import (
    Ack,
    Amended,
    Canceled,
    CancelReplaced,
    Discount,
    Nothing,
    OrderCommission,
    OrderList,
    OrderResult,
    Rates,
)
from serve.binance.order_views import amended, answer, canceled, client_order_id, is_refusal, matches_of, of_orders
from serve.binance.params import (
    Bool,
    Decimal8,
    Long,
    NewClientId,
    OrigClientId,
    Params,
    RestrictionOf,
    Symbol,
    words,
)
from serve.errors import ApiError, Code
from serve.orders import ENDED

PPM_IN_UNITS: Final = 100
"""10^-8 in a millionth."""
_CANCEL: Final = int(CommandKind.CANCEL)
_CANCEL_ALL: Final = int(CommandKind.CANCEL_ALL)
_AMEND: Final = int(CommandKind.AMEND)
_BY_CLIENT_ORDER_ID: Final = int(CommandFlag.BY_CLIENT_ORDER_ID)
_FILLED, _PENDING = int(OrdStatus.FILLED), int(OrdStatus.PENDING_NEW)

Placed = Ack | OrderResult
ReplaceMode = Annotated[str, words("STOP_ON_FAILURE", "ALLOW_FAILURE")]
ExceededMode = Annotated[str, words("DO_NOTHING", "CANCEL_ONLY")]


class TestOrder(NewOrder, kw_only=True):
    __test__ = False
    computeCommissionRates: Bool = False


class CancelOrder(Params, kw_only=True):
    symbol: Symbol
    orderId: Long | None = None
    origClientOrderId: OrigClientId | None = None
    newClientOrderId: NewClientId | None = None
    cancelRestrictions: RestrictionOf | None = None


class CancelOpenOrders(Params, kw_only=True):
    symbol: Symbol


class CancelReplace(NewOrder, kw_only=True):
    cancelReplaceMode: ReplaceMode
    cancelNewClientOrderId: NewClientId | None = None
    cancelOrigClientOrderId: OrigClientId | None = None
    cancelOrderId: Long | None = None
    cancelRestrictions: RestrictionOf | None = None
    orderRateLimitExceededMode: ExceededMode = "DO_NOTHING"


class AmendOrder(Params, kw_only=True):
    symbol: Symbol
    orderId: Long | None = None
    origClientOrderId: OrigClientId | None = None
    newClientOrderId: NewClientId | None = None
    newQty: Decimal8


# -- placing ----------------------------------------------------------------------------------------------------------


async def place(ctx: Context, p: NewOrder) -> Placed:
    return await place_leg(ctx, ctx.venue.scales[p.symbol.symbol_id], leg_of(p), p.newOrderRespType)


async def place_leg(ctx: Context, scale: Scale, leg: Leg, resp_type: str | None, checked: bool = False) -> Placed:
    """`checked`: the order limits were looked at."""
    venue, now = ctx.venue, time.time()
    gateway = venue.gateway
    packed = new_command(scale, ctx.account, leg, gateway.new_client_order_id(leg.client_id))
    if not checked:
        venue.limits.check_orders(ctx.account, 1, now)
    rows = await gateway.submit(ctx.account, [packed])
    last = rows[-1]
    if is_refusal(last):
        raise refusal(NEW_ORDER, last.reason)
    # An order that trades at once gives back its place.
    ctx.order_counts = venue.count_orders(ctx.account, 0 if last.cum_qty_lots else 1, now)
    if resp_type is None:
        resp_type = "FULL" if leg.type in FULL_BY_DEFAULT else "ACK"
    return answer(ctx, scale, rows, leg, resp_type, gateway.assets, await makers_of(ctx, rows))


async def makers_of(ctx: Context, rows: list[ReportRow]) -> dict[int, ReportRow]:
    """By prevented match that the reports of a placed order tell of: the report of the order that rested."""
    found: dict[int, ReportRow] = {}
    with contextlib.suppress(ApiError):  # the order is placed whether or not this is known
        for maker_id in {row.orig_order_id for row in matches_of(rows)}:
            told = decode_reports(await ctx.venue.gateway.ask(ctx.account, "reports_of", ctx.account, maker_id))
            found |= {row.trade_id: row for row in matches_of(told)}
    return found


async def test(ctx: Context, p: TestOrder) -> Nothing | OrderCommission:
    new_command(ctx.venue.scale_of(p.symbol), ctx.account, leg_of(p), b"")
    if not p.computeCommissionRates:
        return Nothing()
    none = Rates(ZERO, ZERO)
    maker, taker = await fees_of(ctx)
    return OrderCommission(Rates(rate(maker), rate(taker)), none, no_discount())


async def fees_of(ctx: Context) -> tuple[int, int]:
    """Of the account's later orders: maker's and taker's, in ppm."""
    maker, taker = await ctx.venue.gateway.ask(ctx.account, "fees", ctx.account)
    return maker, taker


def rate(ppm: int) -> str:
    return fixed(ppm * PPM_IN_UNITS)


def no_discount() -> Discount:
    """Nobody pays fees in BNB here."""
    return Discount(False, False, "BNB", ZERO)


# -- canceling --------------------------------------------------------------------------------------------------------


async def cancel(ctx: Context, p: CancelOrder) -> Canceled:
    if p.orderId is None and p.origClientOrderId is None:
        raise missing_both("origClientOrderId", "orderId")
    return await cancel_one(
        ctx, ctx.venue.scale_of(p.symbol), p.orderId, p.origClientOrderId, p.newClientOrderId, p.cancelRestrictions
    )


async def cancel_one(
    ctx: Context, scale: Scale, order_id: int | None, client_id: str | None, cancel_id: str | None,
    restriction: int | None,
) -> Canceled:  # fmt: skip
    if client_id is not None and (order_id is not None or cancel_id is not None):
        target = await open_order(ctx, scale, order_id, client_id)
        if target is None:
            raise cancel_rejected("Unknown order sent.")
        order_id = target.order_id  # the cancel's name belongs to the order, not to what it is called
    names = ctx.venue.cancel_names
    if order_id is not None and cancel_id is not None:
        names.give(ctx.account, order_id, cancel_id)
    key = b"" if order_id is not None else (client_id or "").encode("ascii")
    try:
        rows = await send_cancel(ctx, scale, order_id or 0, key, restriction or 0)
    except BinanceError:
        if order_id is not None and cancel_id is not None:
            names.forget(ctx.account, order_id, cancel_id)
        raise
    own = _row_of(rows, order_id or 0, key)
    return canceled(ctx, scale, own, names.of(own) or "")


class CancelRefused(BinanceError):
    def __init__(self, reason: int) -> None:
        told = refusal(CANCEL, reason)
        super().__init__(told.code, told.msg, told.status, retry_after_s=told.retry_after_s)
        self.reason = reason


async def send_cancel(ctx: Context, scale: Scale, order_id: int, key: bytes, restriction: int = 0) -> list[ReportRow]:
    """By `order_id`, else by the client order id `key`. Reports of all orders that it ended: of a whole list."""
    packed = pack_command(
        _CANCEL, 0, 0, 0, 0, _BY_CLIENT_ORDER_ID if key else 0, 0, scale.symbol_id, ctx.account, order_id, 0, 0,
        0, 0, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, restriction, key,
    )  # fmt: skip
    rows = of_orders(await ctx.venue.gateway.submit(ctx.account, [packed]))
    if is_refusal(rows[-1]):
        raise CancelRefused(rows[-1].reason)
    return rows


def _row_of(rows: list[ReportRow], order_id: int, key: bytes = b"") -> ReportRow:
    """The newest report of the order that was named."""
    for row in reversed(rows):
        if row.order_id == order_id if order_id else row.client_order_id.rstrip(b"\0") == key:
            return row
    return rows[-1]


async def open_order(ctx: Context, scale: Scale, order_id: int | None, client_id: str | None) -> ReportRow | None:
    """The account's open order of the symbol. Raises -2039 when id and client id are not of one order."""
    asked = order_id or 0, b"" if client_id is None or order_id is not None else client_id.encode("ascii")
    found = decode_reports(await ctx.venue.gateway.ask(ctx.account, "order", ctx.account, *asked))
    if not found or found[0].symbol != scale.symbol_id or found[0].ord_status in (*ENDED, _FILLED):
        return None
    if client_id is not None and client_order_id(found[0]) != client_id:
        raise BinanceError(*WRONG_CLIENT_ID)
    return found[0]


async def cancel_all(ctx: Context, p: CancelOpenOrders) -> list[Canceled | OrderList]:
    """Single orders, then order lists."""
    gateway, scale = ctx.venue.gateway, ctx.venue.scale_of(p.symbol)
    packed = pack_command(
        _CANCEL_ALL, 0, 0, 0, 0, 0, 0, scale.symbol_id, ctx.account, 0, 0, 0, 0, 0, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, b"",
    )  # fmt: skip
    rows = of_orders(await gateway.submit(ctx.account, [packed]))
    if not rows:
        raise cancel_rejected("Unknown order sent.")
    if is_refusal(rows[-1]):
        raise refusal(CANCEL, rows[-1].reason)
    gone = [row for row in rows if row.order_id]
    if not gone:
        raise cancel_rejected("Unknown order sent.")
    name_of = ctx.venue.cancel_names.of
    told: list[Canceled | OrderList] = []
    listed: dict[int, list[Canceled]] = {}
    for row in gone:
        one = canceled(ctx, scale, row, name_of(row) or "")
        (listed.setdefault(row.list_id, []) if row.list_id else told).append(one)
    for list_id, reports in listed.items():
        found = await live_list(ctx, list_id, None)
        told += reports if found is None else [canceled_list(ctx, found, reports)]
    return told


# -- cancel-replace ---------------------------------------------------------------------------------------------------


async def cancel_replace(ctx: Context, p: CancelReplace) -> CancelReplaced:
    """Cancel, then place. Each half answers for itself; together -2021, -2022 unless both succeed."""
    if p.cancelOrderId is None and p.cancelOrigClientOrderId is None:
        raise missing_both("cancelOrigClientOrderId", "cancelOrderId")
    scale, leg = ctx.venue.scale_of(p.symbol), leg_of(p)
    new_command(scale, ctx.account, leg, b"")  # filters are looked at before anything is canceled
    too_many: BinanceError | None = None
    try:
        ctx.venue.limits.check_orders(ctx.account, 1, time.time())
    except BinanceError as error:
        if p.orderRateLimitExceededMode != "CANCEL_ONLY":
            raise
        too_many = error
    cancel_result: Canceled | BinanceError
    try:
        cancel_result = await cancel_one(
            ctx, scale, p.cancelOrderId, p.cancelOrigClientOrderId, p.cancelNewClientOrderId, p.cancelRestrictions
        )
    except BinanceError as error:
        if error.status != 400:
            raise
        cancel_result = error
    placed_result: Placed | BinanceError | None = None
    if isinstance(cancel_result, BinanceError) and p.cancelReplaceMode == "STOP_ON_FAILURE":
        ctx.venue.count_orders(ctx.account, 1, time.time())  # not attempted counts all the same
    elif too_many is not None:
        placed_result = too_many
    else:
        try:
            placed_result = await place_leg(ctx, scale, leg, p.newOrderRespType, checked=True)
        except BinanceError as error:
            placed_result = error
        except ApiError as error:
            if error.code is Code.STATUS_UNKNOWN:  # neither a success nor a failure
                raise
            placed_result = translated(error)
    return _both(cancel_result, placed_result, too_many)


def _both(
    one: Canceled | BinanceError, other: Placed | BinanceError | None, too_many: BinanceError | None
) -> CancelReplaced:
    cancel_failed = isinstance(one, BinanceError)
    place_failed = isinstance(other, BinanceError)
    told = CancelReplaced(
        "FAILURE" if cancel_failed else "SUCCESS",
        "NOT_ATTEMPTED" if other is None else "FAILURE" if place_failed else "SUCCESS",
        one.body if isinstance(one, BinanceError) else one,
        other.body if isinstance(other, BinanceError) else other,
    )
    if not cancel_failed and not place_failed:
        return told
    if cancel_failed and (place_failed or other is None):
        raise BinanceError(-2022, "Order cancel-replace failed.", 429 if too_many and other is None else 400, data=told)
    raise BinanceError(-2021, "Order cancel-replace partially failed.", 429 if too_many else 409, data=told)


# -- amending ---------------------------------------------------------------------------------------------------------


async def amend(ctx: Context, p: AmendOrder) -> Amended:
    """The quantity down; the order keeps its id and its place in the queue."""
    if p.orderId is None and p.origClientOrderId is None:
        raise missing_both("origClientOrderId", "orderId")
    gateway, scale = ctx.venue.gateway, ctx.venue.scale_of(p.symbol)
    lots = lots_of(scale, p.newQty, "newQty")
    target = await open_order(ctx, scale, p.orderId, p.origClientOrderId)
    if target is None:
        raise BinanceError(*NO_SUCH_ORDER)
    _check_amendment(target, lots)
    named = gateway.new_client_order_id(p.newClientOrderId)
    packed = pack_command(
        _AMEND, 0, 0, 0, 0, 0, 0, scale.symbol_id, ctx.account, target.order_id, 0, 0, lots, 0, -1, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, named,
    )  # fmt: skip
    rows = of_orders(await gateway.submit(ctx.account, [packed]))
    if is_refusal(rows[-1]):
        raise refusal(AMEND, rows[-1].reason)
    own = _row_of(rows, target.order_id)
    told = Amended(ctx.told(own.ts_ns), own.exec_id, amended(ctx, scale, own, client_order_id(target)))
    if own.list_id:
        found = await live_list(ctx, own.list_id, None)
        if found is not None:
            told.listStatus = list_standing(ctx, found)
    return told


def _check_amendment(target: ReportRow, lots: int) -> None:
    if target.ord_status == _PENDING and not target.qty_lots:
        raise BinanceError(AMEND, "Order amend (pending OPO order) is not supported.")
    if lots == target.qty_lots:
        raise BinanceError(AMEND, "The requested action would change no state; rejecting.")
    if lots > target.qty_lots:
        raise BinanceError(AMEND, "Order amend (quantity increase) is not supported.")
