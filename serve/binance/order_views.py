"""From reports and stored rows to the venue's words about orders. Pure."""

from typing import Any, Final

from msgspec import UNSET, UnsetType

from actors.wire import ReportRow
from market.enums import ExecType, OrdStatus, OrdType, PegType
from market.instrument import Asset
from market.reasons import Reason
from serve.binance.context import Context
from serve.binance.new_order import STOPS, Leg
from serve.binance.numbers import ZERO, Scale, amount
from serve.binance.order_structs import Ack, Canceled, OptInt, OrderFill, OrderResult, OrderStatus
from serve.orders import ORD_TYPES, SIDES, STATUSES, TIFS

STPS: Final = ["NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT", "TRANSFER"]
_TRADE: Final = int(ExecType.TRADE)
_MARKET: Final = int(OrdType.MARKET)
_PENDING: Final = int(OrdStatus.PENDING_NEW)
_REFUSALS: Final = frozenset((int(ExecType.REJECTED), int(ExecType.CANCEL_REJECTED)))
_EXPIRY: Final = {
    int(Reason.IOC_UNFILLED): "UNFILLED_IOC_QUANTITY_EXPIRED",
    int(Reason.FOK_UNFILLED): "UNFILLED_FOK_ORDER_EXPIRED",
    int(Reason.INSUFFICIENT_LIQUIDITY): "INSUFFICIENT_LIQUIDITY",
    int(Reason.BUDGET_EXHAUSTED): "INSUFFICIENT_LIQUIDITY",
    int(Reason.OCO_TRIGGER): "OCO_TRIGGER",
    int(Reason.PENDING_NEVER_PLACED): "OTO_PHASE_ONE_EXPIRED",
}
_EXPIRED: Final = int(OrdStatus.EXPIRED)


def is_refusal(row: ReportRow) -> bool:
    return row.exec_type in _REFUSALS


def client_order_id(row: Any) -> str:
    return str(row.client_order_id.rstrip(b"\0").decode("latin-1"))


def list_id(value: int) -> int:
    """-1 unless it is part of an order list."""
    return value or -1


def expiry_reason(status: int, reason: int) -> str | UnsetType:
    return _EXPIRY.get(reason, UNSET) if status == _EXPIRED else UNSET


def working_ns(ord_type: int, status: int, created_ns: int) -> int:
    """When it entered the book; -1: it waits."""
    return -1 if status == _PENDING or (ord_type in STOPS and status == OrdStatus.NEW) else created_ns


def ack(ctx: Context, scale: Scale, row: ReportRow) -> Ack:
    return Ack(scale.symbol, row.order_id, -1, client_order_id(row), ctx.told(row.ts_ns))


def placed(ctx: Context, scale: Scale, rows: list[ReportRow], leg: Leg, full: bool, assets: list[Asset]) -> OrderResult:
    """After the reports of its placement; RESULT, or FULL with the fills."""
    last = rows[-1]
    quantity, price = scale.quantity, scale.price
    fills: list[OrderFill] | UnsetType = UNSET
    if full:
        fills = [_fill(scale, row, assets) for row in rows if row.exec_type == _TRADE]
    pegged = leg.peg_type is not None
    since = working_ns(last.ord_type, last.ord_status, last.created_ns or last.ts_ns)
    return OrderResult(
        scale.symbol,
        last.order_id,
        -1,
        client_order_id(last),
        ctx.told(last.ts_ns),
        ZERO if leg.price is None else price[leg.price // scale.tick],
        PegType(leg.peg_type).name if leg.peg_type is not None else UNSET,
        leg.peg_offset_type or UNSET,
        _given(leg.peg_offset),
        price[last.price_ticks] if pegged else UNSET,
        quantity[last.qty_lots if leg.quote is None else last.cum_qty_lots],
        quantity[last.cum_qty_lots],
        ZERO if leg.quote is None else scale.quote[leg.quote // scale.quote_unit],
        scale.quote[last.cum_quote_units],
        STATUSES[last.ord_status],
        TIFS[last.time_in_force],
        ORD_TYPES[last.ord_type],
        SIDES[last.side],
        UNSET if leg.type not in STOPS else price[(leg.stop_price or 0) // scale.tick],
        _given(leg.trailing),
        UNSET if leg.trailing is None else -1,
        _given(leg.strategy_id),
        _given(leg.strategy_type),
        since if since < 0 else ctx.told(since),
        UNSET if not leg.iceberg else quantity[leg.iceberg // scale.lot],
        fills,
        STPS[last.stp_mode],
        expiryReason=expiry_reason(last.ord_status, last.reason),
    )


def _given(value: int | None) -> OptInt:
    return UNSET if value is None else value


def _fill(scale: Scale, row: ReportRow, assets: list[Asset]) -> OrderFill:
    asset = assets[row.commission_asset]
    return OrderFill(
        scale.price[row.last_price_ticks], scale.quantity[row.last_qty_lots],
        amount(row.commission_units, asset.scale), asset.name, row.trade_id,
    )  # fmt: skip


def canceled(ctx: Context, scale: Scale, row: ReportRow, cancel_id: str) -> Canceled:
    return Canceled(
        scale.symbol, client_order_id(row), row.order_id, -1, cancel_id, ctx.told(row.ts_ns),
        scale.price[row.price_ticks], scale.quantity[row.qty_lots], scale.quantity[row.cum_qty_lots], ZERO,
        scale.quote[row.cum_quote_units], STATUSES[row.ord_status], TIFS[row.time_in_force], ORD_TYPES[row.ord_type],
        SIDES[row.side], STPS[row.stp_mode],
    )  # fmt: skip


def standing(ctx: Context, scale: Scale, row: Any, named: str) -> OrderStatus:
    """How an order stands, from a report (`ReportRow`) or a row of the `orders` table."""
    created, status, ord_type = row.created_ns, row.ord_status, row.ord_type
    updated = getattr(row, "updated_ns", 0) or getattr(row, "ts_ns", 0) or created
    cum = row.cum_qty_lots
    qty = row.qty_lots or cum  # a MARKET order by quote amount: what it got
    since = working_ns(ord_type, status, created)
    return OrderStatus(
        scale.symbol,
        row.order_id,
        -1,
        named,
        ZERO if ord_type == _MARKET else scale.price[row.price_ticks],
        scale.quantity[qty],
        scale.quantity[cum],
        scale.quote[int(row.cum_quote_units)],
        STATUSES[status],
        TIFS[row.time_in_force],
        ORD_TYPES[ord_type],
        SIDES[row.side],
        ZERO,
        ZERO,
        ctx.told(created),
        ctx.told(updated),
        since >= 0,
        since if since < 0 else ctx.told(since),
        ZERO,
        STPS[row.stp_mode],
        expiry_reason(status, row.reason),
    )
