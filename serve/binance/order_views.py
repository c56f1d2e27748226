"""From reports and stored rows to the venue's words about orders. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import UNSET, UnsetType

from actors.wire import ReportRow
from market.enums import ExecType, OrdStatus, OrdType, PegType, StpMode
from market.instrument import Asset
from market.reasons import Reason
from serve.binance.context import Context
from serve.binance.new_order import STOPS, Leg
from serve.binance.numbers import ZERO, Scale, amount
from serve.binance.order_structs import (
    Ack,
    AmendedOrder,
    Canceled,
    ConditionalFields,
    OptInt,
    OrderFill,
    OrderResult,
    OrderStatus,
    Prevented,
)
from serve.orders import ENDED, ORD_TYPES, SIDES, STATUSES, TIFS

STPS: Final = ["NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT", "TRANSFER"]
PEGS: Final = [one.name for one in PegType]
NO_TRADE_GROUP: Final = -1
"""Every account is on its own here."""
PRICE_LEVEL: Final = "PRICE_LEVEL"
_TRADE, _LIST, _PREVENTION = int(ExecType.TRADE), int(ExecType.LIST), int(ExecType.TRADE_PREVENTION)
_MARKET: Final = int(OrdType.MARKET)
_TRANSFER, _DECREMENT = int(StpMode.TRANSFER), int(StpMode.DECREMENT)
_COSTS_TAKER: Final = frozenset((*map(int, (StpMode.EXPIRE_TAKER, StpMode.EXPIRE_BOTH)), _DECREMENT, _TRANSFER))
_COSTS_MAKER: Final = frozenset((*map(int, (StpMode.EXPIRE_MAKER, StpMode.EXPIRE_BOTH)), _DECREMENT, _TRANSFER))
_EXPIRED, _IN_MATCH = int(OrdStatus.EXPIRED), int(OrdStatus.EXPIRED_IN_MATCH)
_REFUSALS: Final = frozenset((int(ExecType.REJECTED), int(ExecType.CANCEL_REJECTED)))
Makers = Mapping[int, ReportRow]
"""By prevented match: the report of the order that rested."""
DONE: Final = ENDED | {int(OrdStatus.FILLED)}
_REFUSING: Final = [one for one in Reason if 0 < one < Reason.USER_CANCELED or one >= Reason.MAX_NUM_ORDER_AMENDS]
_EXPIRY: Final = dict.fromkeys(map(int, _REFUSING), "REJECTED") | {
    int(Reason.IOC_UNFILLED): "UNFILLED_IOC_QUANTITY_EXPIRED",
    int(Reason.FOK_UNFILLED): "UNFILLED_FOK_ORDER_EXPIRED",
    int(Reason.INSUFFICIENT_LIQUIDITY): "INSUFFICIENT_LIQUIDITY",
    int(Reason.BUDGET_EXHAUSTED): "INSUFFICIENT_LIQUIDITY",
    int(Reason.NEVER_ACCEPTED): "EXCHANGE_CANCELED",
    int(Reason.OCO_TRIGGER): "OCO_TRIGGER",
    int(Reason.PENDING_NEVER_PLACED): "OTO_PHASE_ONE_EXPIRED",
}
"""An order that had been accepted and ends with a refusal's reason could not be placed when its time came."""


def is_refusal(row: ReportRow) -> bool:
    return row.exec_type in _REFUSALS


def of_orders(rows: list[ReportRow]) -> list[ReportRow]:
    """Without those that tell how an order list stands."""
    return [row for row in rows if row.exec_type != _LIST]


def client_order_id(row: Any) -> str:
    return str(row.client_order_id.rstrip(b"\0").decode("latin-1"))


def expiry_reason(status: int, reason: int) -> str | UnsetType:
    return _EXPIRY.get(reason, UNSET) if status == _EXPIRED else UNSET


def working_time(ctx: Context, row: Any) -> int:
    """When it entered the book; -1: it waits."""
    return ctx.told(row.working_ns) if row.working_ns else -1


def prevented_lots(row: Any) -> int:
    """Of an order that ended in it, all that was not filled; of others what was taken off them so far."""
    return max(0, row.qty_lots - row.cum_qty_lots) if row.ord_status == _IN_MATCH else int(row.prevented_lots)


def matches_of(rows: list[ReportRow]) -> list[ReportRow]:
    """The prevented matches that one order's reports tell of."""
    return [row for row in rows if row.exec_type == _PREVENTION]


def lost_in(match: ReportRow) -> int:
    """What a prevented match takes off the order whose report it is, if it does: lots."""
    return match.last_qty_lots or match.leaves_lots


def costs(row: ReportRow) -> bool:
    """It tells of a prevented match that takes something off its order."""
    return (row.exec_type == _PREVENTION and row.last_qty_lots > 0) or row.ord_status == _IN_MATCH


def _prevented(scale: Scale, row: ReportRow, maker: ReportRow | None) -> Prevented:
    """`row` is the taker's report of the match."""
    told = Prevented(row.trade_id, row.orig_order_id, scale.price[row.last_price_ticks])
    if row.stp_mode in _COSTS_TAKER:
        told.takerPreventedQuantity = scale.quantity[lost_in(row)]
    if row.stp_mode in _COSTS_MAKER and maker is not None:
        told.makerPreventedQuantity = scale.quantity[lost_in(maker)]
    return told


def ack(ctx: Context, scale: Scale, row: ReportRow) -> Ack:
    return Ack(scale.symbol, row.order_id, row.list_id or -1, client_order_id(row), ctx.told(row.ts_ns))


def answer(
    ctx: Context, scale: Scale, rows: list[ReportRow], leg: Leg, resp_type: str, assets: list[Asset], makers: Makers
) -> Ack | OrderResult:
    """After the reports of its placement: ACK, RESULT, or FULL with the fills."""
    if resp_type == "ACK":
        return ack(ctx, scale, rows[-1])
    return placed(ctx, scale, rows, leg, resp_type == "FULL", assets, makers)


def placed(
    ctx: Context, scale: Scale, rows: list[ReportRow], leg: Leg, full: bool, assets: list[Asset], makers: Makers
) -> OrderResult:
    last = rows[-1]
    quantity = scale.quantity
    fills: list[OrderFill] | UnsetType = UNSET
    if full:
        fills = [_fill(scale, row, assets) for row in rows if row.exec_type == _TRADE]
    matches = [_prevented(scale, row, makers.get(row.trade_id)) for row in matches_of(rows)]
    told = OrderResult(
        scale.symbol,
        last.order_id,
        last.list_id or -1,
        client_order_id(last),
        ctx.told(last.ts_ns),
        ZERO if leg.price is None else scale.price[leg.price // scale.tick],
        UNSET,
        UNSET,
        UNSET,
        UNSET,
        quantity[last.qty_lots if leg.quote is None else last.cum_qty_lots],
        quantity[last.cum_qty_lots],
        ZERO if leg.quote is None else scale.quote[leg.quote // scale.quote_unit],
        scale.quote[last.cum_quote_units],
        STATUSES[last.ord_status],
        TIFS[last.time_in_force],
        ORD_TYPES[last.ord_type],
        SIDES[last.side],
        UNSET,
        UNSET,
        UNSET,
        _given(leg.strategy_id),
        _given(leg.strategy_type),
        working_time(ctx, last),
        UNSET,
        fills,
        matches or UNSET,
        STPS[last.stp_mode],
        expiryReason=expiry_reason(last.ord_status, last.reason),
    )
    tell_conditions(told, ctx, scale, last)
    if last.ord_status == _IN_MATCH:
        told.preventedMatchId = last.trade_id
    return told


def _given(value: int | None) -> OptInt:
    return UNSET if value is None else value


def _fill(scale: Scale, row: ReportRow, assets: list[Asset]) -> OrderFill:
    asset = assets[row.commission_asset]
    return OrderFill(
        scale.price[row.last_price_ticks], scale.quantity[row.last_qty_lots],
        amount(row.commission_units, asset.scale), asset.name, row.trade_id,
    )  # fmt: skip


def tell_conditions(told: ConditionalFields, ctx: Context, scale: Scale, row: Any) -> None:
    """The fields that only some orders have."""
    if row.ord_type in STOPS:
        told.stopPrice = scale.price[row.stop_price_ticks]
        if row.trailing_bips:
            told.trailingDelta = row.trailing_bips
            told.trailingTime = ctx.told(row.tracking_ns) if row.tracking_ns else -1
    if row.display_lots:
        told.icebergQty = scale.quantity[row.display_lots]
    if row.peg_type:
        _tell_peg(told, scale, row)
    if row.prevented_lots or row.ord_status == _IN_MATCH:
        told.preventedQuantity = scale.quantity[prevented_lots(row)]


def _tell_peg(told: ConditionalFields, scale: Scale, row: Any) -> None:
    told.pegPriceType = PEGS[row.peg_type]
    if row.peg_offset:
        told.pegOffsetType, told.pegOffsetValue = PRICE_LEVEL, row.peg_offset
    if row.price_ticks:
        told.peggedPrice = scale.price[row.price_ticks]


def own_price(scale: Scale, row: Any) -> str:
    """The price that the user gave; a pegged order's price is another."""
    return scale.price[getattr(row, "given", 0) if row.peg_type else row.price_ticks]


def quote_order_qty(scale: Scale, row: Any) -> str:
    """The amount of a MARKET order by quote amount."""
    return scale.quote[int(getattr(row, "given", 0))] if row.ord_type == _MARKET else ZERO


def canceled(ctx: Context, scale: Scale, row: ReportRow, cancel_id: str) -> Canceled:
    told = Canceled(
        scale.symbol, client_order_id(row), row.order_id, row.list_id or -1, cancel_id, ctx.told(row.ts_ns),
        own_price(scale, row), scale.quantity[row.qty_lots], scale.quantity[row.cum_qty_lots],
        quote_order_qty(scale, row), scale.quote[row.cum_quote_units], STATUSES[row.ord_status],
        TIFS[row.time_in_force], ORD_TYPES[row.ord_type], SIDES[row.side], STPS[row.stp_mode], expiryReason=expiry_reason(row.ord_status, row.reason),
    )  # fmt: skip
    tell_conditions(told, ctx, scale, row)
    return told


def amended(ctx: Context, scale: Scale, row: ReportRow, named_before: str) -> AmendedOrder:
    told = AmendedOrder(
        scale.symbol, row.order_id, row.list_id or -1, named_before, client_order_id(row), own_price(scale, row),
        scale.quantity[row.qty_lots], scale.quantity[row.cum_qty_lots], scale.quantity[row.prevented_lots], ZERO,
        scale.quote[row.cum_quote_units], STATUSES[row.ord_status], TIFS[row.time_in_force], ORD_TYPES[row.ord_type],
        SIDES[row.side], ctx.told(row.working_ns) if row.working_ns else UNSET, STPS[row.stp_mode],
    )  # fmt: skip
    tell_conditions(told, ctx, scale, row)
    return told


def standing(ctx: Context, scale: Scale, row: Any, named: str, match_id: int = 0) -> OrderStatus:
    """How an order stands, from a report (`ReportRow`) or a row of the `orders` table.

    `match_id`: the newest prevented match that cost it something.
    """
    created, status = row.created_ns, row.ord_status
    updated = getattr(row, "updated_ns", 0) or getattr(row, "ts_ns", 0) or created
    cum = row.cum_qty_lots
    qty = row.qty_lots or cum  # a MARKET order by quote amount: what it got
    told = OrderStatus(
        scale.symbol,
        row.order_id,
        row.list_id or -1,
        named,
        own_price(scale, row),
        scale.quantity[qty],
        scale.quantity[cum],
        scale.quote[int(row.cum_quote_units)],
        STATUSES[status],
        TIFS[row.time_in_force],
        ORD_TYPES[row.ord_type],
        SIDES[row.side],
        ZERO,
        ZERO,
        ctx.told(created),
        ctx.told(updated),
        bool(row.working_ns),
        working_time(ctx, row),
        quote_order_qty(scale, row),
        STPS[row.stp_mode],
        expiry_reason(status, row.reason),
    )
    tell_conditions(told, ctx, scale, row)
    if match_id:
        told.preventedMatchId = match_id
    return told
