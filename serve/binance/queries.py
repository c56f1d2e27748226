"""Questions about own orders and trades: the account knows the newest, the read models all the rest."""

import itertools
import time
from typing import Any, Final, NamedTuple

from actors.wire import ReportRow, decode_reports
from market.enums import ExecType, Side
from market.records import REPORT_MAKER
from serve.binance.context import Context
from serve.binance.errors import (
    NO_SUCH_ORDER,
    WRONG_CLIENT_ID,
    BinanceError,
    bad_combination,
    missing_both,
    too_long_a_time,
)
from serve.binance.numbers import Scale, amount
from serve.binance.order_structs import Amendment, MyTrade, OrderStatus, PreventedMatch
from serve.binance.order_views import client_order_id, standing
from serve.binance.params import Limit1000, Long, OrigClientId, Params, Symbol, TimeNs

DEFAULT_LIMIT: Final = 500
DAY_NS: Final = 86_400 * 10**9
RECENT_NS: Final = 30 * 10**9
"""How far the read models may lag: what is newer is asked of the account as well."""
FOREVER_NS: Final = (1 << 62) - 1
_BUY: Final = int(Side.BUY)
_REPLACED: Final = int(ExecType.REPLACED)


class Stored(NamedTuple):
    """A row of the `orders` table; names as in a report."""

    order_id: int
    named: str
    side: int
    ord_type: int
    time_in_force: int
    stp_mode: int
    price_ticks: int
    qty_lots: int
    cum_qty_lots: int
    cum_quote_units: int
    ord_status: int
    reason: int
    created_ns: int
    updated_ns: int


_ORDERS: Final = (
    "SELECT order_id, client_order_id, side, ord_type, time_in_force, stp_mode, price_ticks, qty_lots, cum_qty_lots, "
    "cum_quote_units, ord_status, reason, created_ns, updated_ns FROM orders WHERE account = $1 AND symbol = $2 "
)
_EXECUTIONS: Final = (
    "SELECT trade_id, order_id, side, is_maker, price_ticks, qty_lots, quote_units, commission_units, ts_ns "
    "FROM executions WHERE account = $1 AND symbol = $2 "
)


class QueryOrder(Params, kw_only=True):
    symbol: Symbol
    orderId: Long | None = None
    origClientOrderId: OrigClientId | None = None


class OpenOrders(Params, kw_only=True):
    symbol: Symbol | None = None


class AllOrders(Params, kw_only=True):
    symbol: Symbol
    orderId: Long | None = None
    startTime: TimeNs | None = None
    endTime: TimeNs | None = None
    limit: Limit1000 = DEFAULT_LIMIT


class MyTrades(Params, kw_only=True):
    symbol: Symbol
    orderId: Long | None = None
    startTime: TimeNs | None = None
    endTime: TimeNs | None = None
    fromId: Long | None = None
    limit: Limit1000 = DEFAULT_LIMIT


class Amendments(Params, kw_only=True):
    symbol: Symbol
    orderId: Long
    fromExecutionId: Long | None = None
    limit: Limit1000 = DEFAULT_LIMIT


class PreventedMatches(Params, kw_only=True):
    symbol: Symbol
    preventedMatchId: Long | None = None
    orderId: Long | None = None
    fromPreventedMatchId: Long | None = None
    limit: Limit1000 = DEFAULT_LIMIT


class Allocations(Params, kw_only=True):
    symbol: Symbol
    startTime: TimeNs | None = None
    endTime: TimeNs | None = None
    fromAllocationId: Long | None = None
    limit: Limit1000 = DEFAULT_LIMIT
    orderId: Long | None = None


# -- orders -----------------------------------------------------------------------------------------------------------


async def order(ctx: Context, p: QueryOrder) -> OrderStatus:
    if p.orderId is None and p.origClientOrderId is None:
        raise missing_both("origClientOrderId", "orderId")
    scale = ctx.venue.scale_of(p.symbol)
    found = await _live_order(ctx, scale, p) or await _stored_order(ctx, scale, p)
    if found is None:
        raise BinanceError(*NO_SUCH_ORDER)
    if p.origClientOrderId is not None and found.clientOrderId != p.origClientOrderId:
        raise BinanceError(*WRONG_CLIENT_ID)
    return found


async def _live_order(ctx: Context, scale: Scale, p: QueryOrder) -> OrderStatus | None:
    gateway = ctx.venue.gateway
    if p.orderId is not None:
        rows = decode_reports(await gateway.ask(ctx.account, "order", ctx.account, p.orderId, b""))
    else:
        named = (p.origClientOrderId or "").encode("ascii")
        rows = decode_reports(await gateway.ask(ctx.account, "named_orders", ctx.account, named))
    own = [row for row in rows if row.symbol == scale.symbol_id]
    return standing(ctx, scale, own[-1], client_order_id(own[-1])) if own else None


async def _stored_order(ctx: Context, scale: Scale, p: QueryOrder) -> OrderStatus | None:
    pool, account = ctx.venue.gateway.pool, ctx.account
    if p.orderId is not None:
        row = await pool.fetchrow(_ORDERS + "AND order_id = $3", account, scale.symbol, p.orderId)
    else:
        row = await pool.fetchrow(
            _ORDERS + "AND client_order_id = $3 ORDER BY order_id DESC LIMIT 1", account, scale.symbol,
            p.origClientOrderId,
        )  # fmt: skip
    return None if row is None else _told(ctx, scale, Stored(*row))


def _told(ctx: Context, scale: Scale, one: Stored) -> OrderStatus:
    return standing(ctx, scale, one, one.named)


async def open_orders(ctx: Context, p: OpenOrders) -> list[OrderStatus]:
    venue = ctx.venue
    symbol = -1 if p.symbol is None else p.symbol.symbol_id
    rows = decode_reports(await venue.gateway.ask(ctx.account, "open_orders", ctx.account, symbol))
    rows.sort(key=lambda row: row.order_id)
    return [standing(ctx, venue.scales[row.symbol], row, client_order_id(row)) for row in rows]


async def all_orders(ctx: Context, p: AllOrders) -> list[OrderStatus]:
    """Ascending. From `orderId` on, or within the times, or the newest."""
    _check_times(p.startTime, p.endTime)
    scale, gateway = ctx.venue.scale_of(p.symbol), ctx.venue.gateway
    start, end = p.startTime or 0, FOREVER_NS if p.endTime is None else p.endTime
    from_id = p.orderId or 0
    ascending = p.orderId is not None or p.startTime is not None
    rows = await gateway.pool.fetch(
        _ORDERS + "AND order_id >= $3 AND created_ns BETWEEN $4 AND $5 "
        f"ORDER BY order_id {'ASC' if ascending else 'DESC'} LIMIT $6",
        ctx.account, scale.symbol, from_id, start, end, p.limit,
    )  # fmt: skip
    found = {row["order_id"]: _told(ctx, scale, Stored(*row)) for row in rows}
    full = ascending and len(rows) == p.limit
    for row in await _recent(ctx, "recent_orders"):
        inside = row.symbol == scale.symbol_id and row.order_id >= from_id and start <= row.created_ns <= end
        if inside and (row.order_id in found or not full):
            found[row.order_id] = standing(ctx, scale, row, client_order_id(row))
    return _cut([found[order_id] for order_id in sorted(found)], p.limit, ascending)


async def _recent(ctx: Context, question: str) -> list[ReportRow]:
    since = time.time_ns() - RECENT_NS
    return decode_reports(await ctx.venue.gateway.ask(ctx.account, question, ctx.account, since))


def _cut(found: list[Any], limit: int, ascending: bool) -> list[Any]:
    return found[:limit] if ascending else found[-limit:]


def _check_times(start: int | None, end: int | None) -> None:
    if start is not None and end is not None and end - start > DAY_NS:
        raise too_long_a_time(24)


# -- trades -----------------------------------------------------------------------------------------------------------


async def my_trades(ctx: Context, p: MyTrades) -> list[MyTrade]:
    """Ascending. From `fromId` on, or within the times, or the newest; of one order with `orderId`."""
    timed = p.startTime is not None or p.endTime is not None
    if timed and (p.fromId is not None or p.orderId is not None):
        raise bad_combination()
    _check_times(p.startTime, p.endTime)
    scale = ctx.venue.scale_of(p.symbol)
    start, end = p.startTime or 0, FOREVER_NS if p.endTime is None else p.endTime
    ascending = p.fromId is not None or p.startTime is not None
    rows = await ctx.venue.gateway.pool.fetch(
        _EXECUTIONS + "AND ($3::bigint IS NULL OR order_id = $3) AND trade_id >= $4 AND ts_ns BETWEEN $5 AND $6 "
        f"ORDER BY trade_id {'ASC' if ascending else 'DESC'} LIMIT $7",
        ctx.account, scale.symbol, p.orderId, p.fromId or 0, start, end, p.limit,
    )  # fmt: skip
    found = {(row["trade_id"], row["is_maker"]): _trade(ctx, scale, *row) for row in rows}
    for row in await _recent(ctx, "recent_trades"):
        inside = row.symbol == scale.symbol_id and row.trade_id >= (p.fromId or 0) and start <= row.ts_ns <= end
        if inside and (p.orderId is None or row.order_id == p.orderId):
            is_maker = bool(row.flags & REPORT_MAKER)
            found[row.trade_id, is_maker] = _trade(
                ctx, scale, row.trade_id, row.order_id, row.side, is_maker, row.last_price_ticks, row.last_qty_lots,
                row.last_quote_units, row.commission_units, row.ts_ns,
            )  # fmt: skip
    return _cut([found[one] for one in sorted(found)], p.limit, ascending)


def _trade(
    ctx: Context, scale: Scale, trade_id: int, order_id: int, side: int, is_maker: bool, price: int, qty: int,
    quote: int, commission: int, ts_ns: int,
) -> MyTrade:  # fmt: skip
    asset = scale.terms.base if side == _BUY else scale.terms.quote
    return MyTrade(
        scale.symbol, trade_id, order_id, -1, scale.price[price], scale.quantity[qty], scale.quote[quote],
        amount(commission, asset.scale), asset.name, ctx.told(ts_ns), side == _BUY, is_maker, True,
    )  # fmt: skip


# -- amendments, prevented matches, allocations -----------------------------------------------------------------------


async def amendments(ctx: Context, p: Amendments) -> list[Amendment]:
    """As far as the account keeps its reports."""
    scale = ctx.venue.scale_of(p.symbol)
    rows = decode_reports(await ctx.venue.gateway.ask(ctx.account, "reports_of", ctx.account, p.orderId))
    found = [
        _amendment(ctx, scale, before, row)
        for before, row in itertools.pairwise(rows)
        if row.exec_type == _REPLACED and row.symbol == scale.symbol_id and row.exec_id >= (p.fromExecutionId or 0)
    ]
    return found[: p.limit]


def _amendment(ctx: Context, scale: Scale, before: ReportRow, row: ReportRow) -> Amendment:
    return Amendment(
        scale.symbol, row.order_id, row.exec_id, client_order_id(before), client_order_id(row),
        scale.quantity[before.qty_lots], scale.quantity[row.qty_lots], ctx.told(row.ts_ns),
    )  # fmt: skip


async def prevented_matches(ctx: Context, p: PreventedMatches) -> list[PreventedMatch]:
    if (p.preventedMatchId is None) == (p.orderId is None):
        raise bad_combination()
    if p.preventedMatchId is not None and p.fromPreventedMatchId is not None:
        raise bad_combination()
    return []


async def allocations(ctx: Context, p: Allocations) -> list[MyTrade]:
    """There is no smart order routing here, so nothing was ever allocated."""
    _check_times(p.startTime, p.endTime)
    return []


def open_orders_weight(values: Any) -> int:
    return 6 if "symbol" in values else 80


def my_trades_weight(values: Any) -> int:
    return 5 if "orderId" in values else 20


def prevented_weight(values: Any) -> int:
    return 20 if "orderId" in values else 2
