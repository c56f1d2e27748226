"""Placing and canceling order lists: OCO, OTO, OTOCO, OPO, OPOCO. All orders of a list are taken, or none."""

import asyncio
import contextlib
import time
from itertools import groupby
from operator import attrgetter
from typing import Final

from actors.wire import ReportRow
from market.enums import Contingency, ListRole, ListStatus, OrdType, Side, TimeInForce
from market.reasons import Reason
from serve.binance.context import Context
from serve.binance.errors import (
    NEW_ORDER,
    BinanceError,
    cancel_rejected,
    missing,
    missing_both,
    not_required,
    refusal,
    rejected,
)
from serve.binance.list_params import (
    CancelList,
    ListParams,
    OcoParams,
    OldOcoParams,
    OpocoParams,
    OpoParams,
    OtocoParams,
    OtoParams,
    WorkingParams,
    leg,
)
from serve.binance.list_views import FoundList, canceled_list, live_list, order_list
from serve.binance.new_order import LIMITED, STOPS, Leg, new_command
from serve.binance.numbers import Scale
from serve.binance.order_structs import OrderList
from serve.binance.order_views import DONE, answer, canceled, client_order_id, is_refusal, of_orders
from serve.binance.orders import CancelRefused, makers_of, send_cancel

_BUY: Final = int(Side.BUY)
_LIMIT, _MAKER = int(OrdType.LIMIT), int(OrdType.LIMIT_MAKER)
_STOP_LOSSES: Final = frozenset({int(OrdType.STOP_LOSS), int(OrdType.STOP_LOSS_LIMIT)})
_TAKE_PROFITS: Final = frozenset({int(OrdType.TAKE_PROFIT), int(OrdType.TAKE_PROFIT_LIMIT)})
_OCO_TYPES: Final = STOPS | {_MAKER}
_GTC: Final = int(TimeInForce.GTC)
_FIRST, _SECOND, _MEMBER = int(ListRole.OCO_FIRST), int(ListRole.OCO_SECOND), int(ListRole.MEMBER)
_DONE, _EXECUTING = int(ListStatus.ALL_DONE), int(ListStatus.EXECUTING)
_FOR_ANOTHER: Final = frozenset((int(Reason.OCO_PAIR_REFUSED), int(Reason.PENDING_NEVER_PLACED)))
"""Reasons that say nothing but that another order of the list was refused."""
_PENDING: Final = int(Reason.ORDER_PENDING)
PENDING_WAIT_S: Final = 2.0
"""How long a cancel waits for the book to have a list's pending orders."""
_WRONG_SIDE: Final = frozenset((int(Reason.WOULD_TAKE), int(Reason.STOP_WOULD_TRIGGER)))
"""Of an order of a pair: its price is not on its side of the last price."""
_token = attrgetter("token")

OPO_WORKING_MUST_BE_BUY: Final = (-1222, "Working order in an OPO list must be a bid.")
OPO_PENDING_MUST_BE_SELL: Final = (-1223, "Pending orders in an OPO list must be asks.")
BAD_OCO_TYPE: Final = (-1158, "Order type not supported in OCO.")

Cast = list[tuple[Leg, int]]
"""The orders of a list and their roles."""


# -- which orders go together -----------------------------------------------------------------------------------------


def check_oco(above: Leg, below: Leg) -> None:
    """The venue's rules about the types of a pair and which stands above."""
    for one in (above, below):
        if one.type not in _OCO_TYPES:
            raise BinanceError(*BAD_OCO_TYPE)
        if one.iceberg and one.type in LIMITED and (one.tif or _GTC) != _GTC:
            name = one.name("icebergQty")
            raise BinanceError(-1160, f"Parameter '{name}' is not supported if `{one.name('timeInForce')}` is not GTC.")
    types = {above.type, below.type}
    if not types & STOPS:
        raise BinanceError(-1168, "At least one OCO order must be contingent.")
    buys = above.side == _BUY
    if buys and above.type == _MAKER:
        raise BinanceError(-1165, "A limit order in a buy OCO must be below.")
    if not buys and below.type == _MAKER:
        raise BinanceError(-1166, "A limit order in a sell OCO must be above.")
    if buys and below.type in _STOP_LOSSES:
        raise BinanceError(-1196, "A stop loss order in a buy OCO must be above.")
    if not buys and above.type in _STOP_LOSSES:
        raise BinanceError(-1197, "A stop loss order in a sell OCO must be below.")
    if buys and above.type in _TAKE_PROFITS:
        raise BinanceError(-1198, "A take profit order in a buy OCO must be below.")
    if not buys and below.type in _TAKE_PROFITS:
        raise BinanceError(-1199, "A take profit order in a sell OCO must be above.")


def check_working(working: Leg) -> None:
    if working.type not in (_LIMIT, _MAKER):
        raise rejected("Unsupported order combination")


def check_opo(p: WorkingParams) -> None:
    if p.workingSide != _BUY:
        raise BinanceError(*OPO_WORKING_MUST_BE_BUY)
    if p.pendingSide == _BUY:
        raise BinanceError(*OPO_PENDING_MUST_BE_SELL)


def pair(above: Leg, below: Leg) -> Cast:
    """Checked; the stop loss first, as the venue tells them."""
    check_oco(above, below)
    stop, far = (above, below) if above.type in _STOP_LOSSES else (below, above)
    return [(stop, _FIRST), (far, _SECOND)]


def _working(p: WorkingParams) -> Leg:
    working = leg(p, "working", p.workingSide, p.workingQuantity)
    check_working(working)
    return working


def _pending_pair(p: OpocoParams, quantity: int | None) -> Cast:
    above, below = (leg(p, f"pending{one}", p.pendingSide, quantity) for one in ("Above", "Below"))
    return pair(above, below)


# -- placing ----------------------------------------------------------------------------------------------------------


async def oco(ctx: Context, p: OcoParams) -> OrderList:
    above, below = (leg(p, prefix, p.side, p.quantity) for prefix in ("above", "below"))
    return await _place(ctx, p, Contingency.OCO, pair(above, below))


async def old_oco(ctx: Context, p: OldOcoParams) -> OrderList:
    """As `orderList/oco`: for a SELL the limit order is above, for a BUY below."""
    limit, stop = _old_legs(p)
    return await _place(ctx, p, Contingency.OCO, pair(*((stop, limit) if p.side == _BUY else (limit, stop))))


def _old_legs(p: OldOcoParams) -> tuple[Leg, Leg]:
    stop_type = OrdType.STOP_LOSS if p.stopLimitPrice is None else OrdType.STOP_LOSS_LIMIT
    if p.stopPrice is None and p.trailingDelta is None:
        raise missing_both("stopPrice", "trailingDelta")
    if p.stopLimitPrice is None and p.stopLimitTimeInForce is not None:
        raise not_required("stopLimitTimeInForce")
    if p.stopLimitPrice is not None and p.stopLimitTimeInForce is None:
        raise missing("stopLimitTimeInForce")
    stp = p.selfTradePreventionMode or 0
    limit = Leg(
        side=p.side, type=_MAKER, quantity=p.quantity, price=p.price, client_id=p.limitClientOrderId,
        strategy_id=p.limitStrategyId, strategy_type=p.limitStrategyType, iceberg=p.limitIcebergQty, stp=stp,
        prefix="limit",
    )  # fmt: skip
    stop = Leg(
        side=p.side, type=int(stop_type), quantity=p.quantity, price=p.stopLimitPrice, tif=p.stopLimitTimeInForce,
        client_id=p.stopClientOrderId, strategy_id=p.stopStrategyId, strategy_type=p.stopStrategyType,
        stop_price=p.stopPrice, trailing=p.trailingDelta, iceberg=p.stopIcebergQty, stp=stp, prefix="stop",
    )  # fmt: skip
    return limit, stop


async def oto(ctx: Context, p: OtoParams) -> OrderList:
    pending = leg(p, "pending", p.pendingSide, p.pendingQuantity)
    return await _place(ctx, p, Contingency.OTO, [(_working(p), _MEMBER), (pending, _MEMBER)])


async def otoco(ctx: Context, p: OtocoParams) -> OrderList:
    return await _place(ctx, p, Contingency.OTO, [(_working(p), _MEMBER), *_pending_pair(p, p.pendingQuantity)])


async def opo(ctx: Context, p: OpoParams) -> OrderList:
    check_opo(p)
    pending = leg(p, "pending", p.pendingSide, None)
    return await _place(ctx, p, Contingency.OTO, [(_working(p), _MEMBER), (pending, _MEMBER)])


async def opoco(ctx: Context, p: OpocoParams) -> OrderList:
    check_opo(p)
    return await _place(ctx, p, Contingency.OTO, [(_working(p), _MEMBER), *_pending_pair(p, None)])


async def _place(ctx: Context, p: ListParams, contingency: Contingency, cast: Cast) -> OrderList:
    venue, now = ctx.venue, time.time()
    gateway, scale = venue.gateway, venue.scale_of(p.symbol)
    packed = [
        new_command(scale, ctx.account, one, gateway.new_client_order_id(one.client_id), (0, role))
        for one, role in cast
    ]
    venue.limits.check_orders(ctx.account, len(cast), now)
    name = gateway.new_client_order_id(p.listClientOrderId)
    answers = by_command(await gateway.submit_list(ctx.account, name, packed))
    ends = [rows[-1] for rows in answers]
    _raise_refusal(ends, contingency)
    ctx.order_counts = venue.count_orders(ctx.account, sum(not end.cum_qty_lots for end in ends), now)
    resp_type = p.newOrderRespType or "RESULT"
    reports = [
        answer(ctx, scale, rows, one, resp_type, gateway.assets, await makers_of(ctx, rows))
        for rows, (one, _) in zip(answers, cast, strict=True)
    ]
    return order_list(ctx, _placed(scale.symbol, contingency, name, ends), reports)


def by_command(rows: list[ReportRow]) -> list[list[ReportRow]]:
    """The reports of each order's command, in the order of the commands."""
    return [list(told) for _, told in groupby(of_orders(rows), key=_token)]


def _raise_refusal(ends: list[ReportRow], contingency: Contingency) -> None:
    """With the reason that tells most, when the list was refused."""
    refused = [row.reason for row in ends if is_refusal(row)]
    if not refused:
        return
    reason = next((one for one in refused if one not in _FOR_ANOTHER), refused[0])
    if contingency is Contingency.OCO and reason in _WRONG_SIDE:
        reason = int(Reason.OCO_PRICES)
    raise refusal(NEW_ORDER, reason)


def _placed(symbol: str, contingency: Contingency, name: bytes, ends: list[ReportRow]) -> FoundList:
    done = all(row.ord_status in DONE for row in ends)
    return FoundList(
        ends[0].list_id, symbol, int(contingency), name.decode("ascii"), _DONE if done else _EXECUTING, ends[0].ts_ns,
        [(row.order_id, client_order_id(row)) for row in ends], [],
    )  # fmt: skip


# -- canceling --------------------------------------------------------------------------------------------------------


async def cancel_list(ctx: Context, p: CancelList) -> OrderList:
    """When both ids are given, they have to be of one list."""
    if p.orderListId is None and p.listClientOrderId is None:
        raise missing_both("orderListId", "listClientOrderId")
    venue, scale = ctx.venue, ctx.venue.scale_of(p.symbol)
    found = await live_list(ctx, p.orderListId, p.listClientOrderId)
    if found is None or found.symbol != scale.symbol or not found.open_ids:
        raise cancel_rejected("Unknown order sent.")
    if p.listClientOrderId not in (None, found.name):
        raise cancel_rejected("Unknown order sent.")
    cancel_id = p.newClientOrderId or venue.gateway.new_client_order_id(None).decode("ascii")
    for order_id in found.open_ids:
        venue.cancel_names.give(ctx.account, order_id, cancel_id)
    try:
        rows = await _cancel(ctx, scale, found)
    except BinanceError:
        for order_id in found.open_ids:
            venue.cancel_names.forget(ctx.account, order_id, cancel_id)
        raise
    ended = {row.order_id: row for row in rows}
    found.updated_ns = rows[-1].ts_ns
    reports = [canceled(ctx, scale, ended[one], cancel_id) for one, _ in found.orders if one in ended]
    return canceled_list(ctx, found, reports)


async def _cancel(ctx: Context, scale: Scale, found: FoundList) -> list[ReportRow]:
    """By the last of its orders, which lives longest: a working order may be filled while the cancel is on its way.

    Between that fill and the book's word that it has the pending orders they cannot be canceled: that word is waited for.
    """
    order_id, gateway = found.open_ids[-1], ctx.venue.gateway
    with contextlib.suppress(StillPending):
        return await _cancel_now(ctx, scale, order_id)
    heard = asyncio.Event()

    def listen(row: ReportRow) -> None:
        if row.list_id == found.list_id:
            heard.set()

    await gateway.listen(ctx.account, -1, listen)
    try:
        async with asyncio.timeout(PENDING_WAIT_S):
            while True:
                heard.clear()
                with contextlib.suppress(StillPending):
                    return await _cancel_now(ctx, scale, order_id)
                await heard.wait()
    except TimeoutError:
        raise cancel_rejected("Unknown order sent.") from None
    finally:
        gateway.forget(ctx.account, listen)


async def _cancel_now(ctx: Context, scale: Scale, order_id: int) -> list[ReportRow]:
    try:
        return await send_cancel(ctx, scale, order_id, b"")
    except CancelRefused as error:
        if error.reason == _PENDING:
            raise StillPending from None
        raise


class StillPending(Exception):
    """The order is on its way to the book."""
