"""Questions about own orders and trades: the account knows the newest, the read models all the rest."""

import itertools
from typing import Any, Final, NamedTuple

import asyncpg
from msgspec import UNSET, UnsetType

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
from serve.binance.order_views import NO_TRADE_GROUP, STPS, client_order_id, costs, prevented_lots, standing
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
    stop_price_ticks: int
    display_lots: int
    trailing_bips: int
    peg_type: int
    peg_offset: int
    list_id: int
    list_role: int
    prevented_lots: int
    prevented_match_id: int
    """The newest that cost it something; 0: none."""
    working_ns: int
    tracking_ns: int


class StoredList(NamedTuple):
    """A row of the `order_lists` table."""

    list_id: int
    symbol: str
    contingency: int
    list_client_order_id: str
    list_status: int
    created_ns: int
    updated_ns: int
    orders: list[tuple[int, str]]
    """(order_id, client_order_id), the working order first."""


_ORDERS: Final = (
    "SELECT order_id, client_order_id, side, ord_type, time_in_force, stp_mode, price_ticks, qty_lots, cum_qty_lots, "
    "cum_quote_units, ord_status, reason, created_ns, updated_ns, coalesce(stop_price_ticks, 0), "
    "coalesce(display_lots, 0), coalesce(trailing_bips, 0), coalesce(peg_type, 0), coalesce(peg_offset, 0), "
    "coalesce(list_id, 0), coalesce(list_role, 0), coalesce(prevented_lots, 0), coalesce(prevented_match_id, 0), "
    "coalesce(working_ns, created_ns), coalesce(tracking_ns, 0) FROM all_orders WHERE account = $1 AND symbol = $2 "
)
_EXECUTIONS: Final = (
    "SELECT trade_id, order_id, coalesce((SELECT list_id FROM orders AS o "
    "WHERE o.account = e.account AND o.order_id = e.order_id), 0), side, is_maker, price_ticks, qty_lots, quote_units, commission_units, ts_ns "
    "FROM executions AS e WHERE account = $1 AND symbol = $2 "
)
_AMENDMENTS: Final = (
    "SELECT order_id, exec_id, orig_client_order_id, new_client_order_id, orig_qty_lots, new_qty_lots, ts_ns "
    "FROM amendments WHERE order_id = $3 AND account = $1 AND symbol = $2 AND exec_id >= $4 ORDER BY exec_id LIMIT $5"
)
# The mode in effect: TRANSFER (5) is DECREMENT (4) unless both orders say it.
_PREVENTED: Final = (
    "SELECT prevented_match_id, taker_order_id, maker_order_id, "
    "CASE WHEN stp_mode = 5 AND 5 <> (SELECT o.stp_mode FROM orders AS o "
    "WHERE o.account = prevented_matches.account AND o.order_id = maker_order_id) THEN 4 "
    "ELSE stp_mode END AS stp_mode, price_ticks, taker_prevented_lots, maker_prevented_lots, ts_ns "
    "FROM prevented_matches WHERE account = $1 AND symbol = $2 "
)
_MATCHES_OF: Final = (
    "SELECT order_id, prevented_match_id FROM orders "
    "WHERE account = $1 AND order_id = ANY($2) AND prevented_match_id > 0"
)
_LISTS: Final = (
    "SELECT list_id, symbol, contingency, list_client_order_id, list_status, created_ns, updated_ns, order_ids, "
    "client_order_ids FROM order_lists WHERE account = $1 "
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
    own = [row for row in rows if row.symbol == scale.symbol_id][-1:]
    return (await _standing(ctx, own))[0] if own else None


async def _standing(ctx: Context, rows: list[ReportRow]) -> list[OrderStatus]:
    """Of orders that the account told of."""
    matches = await _matches(ctx, [row.order_id for row in rows if prevented_lots(row)])
    scales = ctx.venue.scales
    return [standing(ctx, scales[row.symbol], row, client_order_id(row), matches.get(row.order_id, 0)) for row in rows]


async def _matches(ctx: Context, order_ids: list[int]) -> dict[int, int]:
    """The newest prevented match of each order: the account knows it when it is new, the read models when it is not."""
    found: dict[int, int] = {}
    for order_id in order_ids:
        told = decode_reports(await ctx.venue.gateway.ask(ctx.account, "reports_of", ctx.account, order_id))
        if made := [row.trade_id for row in told if costs(row)]:
            found[order_id] = made[-1]
    if missing := [order_id for order_id in order_ids if order_id not in found]:
        rows = await ctx.venue.gateway.pool.fetch(_MATCHES_OF, ctx.account, missing)
        found |= {row["order_id"]: row["prevented_match_id"] for row in rows}
    return found


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
    return standing(ctx, scale, one, one.named, one.prevented_match_id)


async def open_orders(ctx: Context, p: OpenOrders) -> list[OrderStatus]:
    symbol = -1 if p.symbol is None else p.symbol.symbol_id
    rows = decode_reports(await ctx.venue.gateway.ask(ctx.account, "open_orders", ctx.account, symbol))
    rows.sort(key=lambda row: row.order_id)
    return await _standing(ctx, rows)


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
    newer = []
    for row in await _recent(ctx, "recent_orders"):
        inside = row.symbol == scale.symbol_id and row.order_id >= from_id and start <= row.created_ns <= end
        if inside and (row.order_id in found or not full):
            newer.append(row)
    found |= {one.orderId: one for one in await _standing(ctx, newer)}
    return _cut([found[order_id] for order_id in sorted(found)], p.limit, ascending)


async def _recent(ctx: Context, question: str) -> list[ReportRow]:
    since = ctx.venue.gateway.now_ns() - RECENT_NS
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
                ctx, scale, row.trade_id, row.order_id, row.list_id, row.side, is_maker, row.last_price_ticks,
                row.last_qty_lots, row.last_quote_units, row.commission_units, row.ts_ns,
            )  # fmt: skip
    return _cut([found[one] for one in sorted(found)], p.limit, ascending)


def _trade(
    ctx: Context, scale: Scale, trade_id: int, order_id: int, part_of: int, side: int, is_maker: bool, price: int,
    qty: int, quote: int, commission: int, ts_ns: int,
) -> MyTrade:  # fmt: skip
    asset = scale.terms.base if side == _BUY else scale.terms.quote
    return MyTrade(
        scale.symbol, trade_id, order_id, part_of or -1, scale.price[price], scale.quantity[qty], scale.quote[quote],
        amount(commission, asset.scale), asset.name, ctx.told(ts_ns), side == _BUY, is_maker, True,
    )  # fmt: skip


# -- amendments, prevented matches, allocations -----------------------------------------------------------------------


async def amendments(ctx: Context, p: Amendments) -> list[Amendment]:
    """Ascending, from `fromExecutionId` or the first on; what the table does not have yet is told by the account."""
    scale, gateway, from_id = ctx.venue.scale_of(p.symbol), ctx.venue.gateway, p.fromExecutionId or 0
    rows = await gateway.pool.fetch(_AMENDMENTS, ctx.account, scale.symbol, p.orderId, from_id, p.limit)
    found = {row["exec_id"]: _amendment(ctx, scale, *row) for row in rows}
    told = decode_reports(await gateway.ask(ctx.account, "reports_of", ctx.account, p.orderId))
    for before, row in itertools.pairwise(told):
        if row.exec_type == _REPLACED and row.symbol == scale.symbol_id and row.exec_id >= from_id:
            found[row.exec_id] = _amendment(
                ctx, scale, row.order_id, row.exec_id, client_order_id(before), client_order_id(row), before.qty_lots,
                row.qty_lots, row.ts_ns,
            )  # fmt: skip
    return [found[exec_id] for exec_id in sorted(found)][: p.limit]


def _amendment(
    ctx: Context, scale: Scale, order_id: int, exec_id: int, orig_name: str, new_name: str, orig_qty: int, new_qty: int,
    ts_ns: int,
) -> Amendment:  # fmt: skip
    return Amendment(
        scale.symbol, order_id, exec_id, orig_name, new_name, scale.quantity[orig_qty], scale.quantity[new_qty],
        ctx.told(ts_ns),
    )  # fmt: skip


async def prevented_matches(ctx: Context, p: PreventedMatches) -> list[PreventedMatch]:
    """One, or ascending those of an order, on either side of them."""
    if (p.preventedMatchId is None) == (p.orderId is None):
        raise bad_combination()
    if p.preventedMatchId is not None and p.fromPreventedMatchId is not None:
        raise bad_combination()
    scale, pool = ctx.venue.scale_of(p.symbol), ctx.venue.gateway.pool
    if p.preventedMatchId is not None:
        rows = await pool.fetch(
            _PREVENTED + "AND prevented_match_id = $3", ctx.account, scale.symbol, p.preventedMatchId
        )
    else:
        rows = await pool.fetch(
            _PREVENTED + "AND (taker_order_id = $3 OR maker_order_id = $3) AND prevented_match_id >= $4 "
            "ORDER BY prevented_match_id LIMIT $5",
            ctx.account, scale.symbol, p.orderId, p.fromPreventedMatchId or 0, p.limit,
        )  # fmt: skip
    return [_prevented(ctx, scale, *row) for row in rows]


def _prevented(
    ctx: Context, scale: Scale, match_id: int, taker: int, maker: int, mode: int, price: int, taker_lots: int,
    maker_lots: int, ts_ns: int,
) -> PreventedMatch:  # fmt: skip
    return PreventedMatch(
        scale.symbol, match_id, taker, scale.symbol, maker, NO_TRADE_GROUP, STPS[mode], scale.price[price],
        _lost(scale, taker_lots), _lost(scale, maker_lots), ctx.told(ts_ns),
    )  # fmt: skip


def _lost(scale: Scale, lots: int) -> str | UnsetType:
    """The venue tells it of the orders that the match cost something."""
    return scale.quantity[lots] if lots else UNSET


async def allocations(ctx: Context, p: Allocations) -> list[MyTrade]:
    """There is no smart order routing here, so nothing was ever allocated."""
    _check_times(p.startTime, p.endTime)
    return []


# -- order lists ------------------------------------------------------------------------------------------------------


async def stored_list(pool: asyncpg.Pool, account: int, named: int | str) -> StoredList | None:
    """By its id, or the newest of a client order id. The table may lag behind the account."""
    if isinstance(named, int):
        row = await pool.fetchrow(_LISTS + "AND list_id = $2", account, named)
    else:
        row = await pool.fetchrow(
            _LISTS + "AND list_client_order_id = $2 ORDER BY list_id DESC LIMIT 1", account, named
        )  # fmt: skip
    return None if row is None else _list(*row)


async def stored_lists(
    pool: asyncpg.Pool, account: int, from_id: int | None, start_ns: int | None, end_ns: int | None, limit: int
) -> list[StoredList]:
    """Ascending. From `from_id` on, or created within the times, or the newest."""
    ascending = from_id is not None or start_ns is not None
    rows = await pool.fetch(
        _LISTS + "AND list_id >= $2 AND created_ns BETWEEN $3 AND $4 "
        f"ORDER BY list_id {'ASC' if ascending else 'DESC'} LIMIT $5",
        account, from_id or 0, start_ns or 0, FOREVER_NS if end_ns is None else end_ns, limit,
    )  # fmt: skip
    found = [_list(*row) for row in rows]
    return found if ascending else found[::-1]


def _list(
    one: int, symbol: str, contingency: int, name: str, status: int, created_ns: int, updated_ns: int,
    order_ids: list[int], client_order_ids: list[str],
) -> StoredList:  # fmt: skip
    orders = list(zip(order_ids, client_order_ids, strict=True))
    return StoredList(one, symbol, contingency, name, status, created_ns, updated_ns, orders)


# -- weights ----------------------------------------------------------------------------------------------------------


def open_orders_weight(values: Any) -> int:
    return 6 if "symbol" in values else 80


def my_trades_weight(values: Any) -> int:
    return 5 if "orderId" in values else 20


def prevented_weight(values: Any) -> int:
    return 20 if "orderId" in values else 2
