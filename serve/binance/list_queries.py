"""Questions about own order lists: the account knows the open and the newest, the read models all the rest."""

import asyncio

from actors.wire import decode_reports
from serve.binance import queries
from serve.binance.context import Context
from serve.binance.errors import BinanceError, missing_both, not_required, too_long_a_time
from serve.binance.list_params import AllLists, QueryList
from serve.binance.list_views import FoundList, from_stored, live_list, open_lists, order_list
from serve.binance.order_structs import OrderList
from serve.binance.queries import DAY_NS, FOREVER_NS, RECENT_NS
from serve.binance.route import NoParams

NO_SUCH_LIST = (-2013, "Order list does not exist.")


async def query_list(ctx: Context, p: QueryList) -> OrderList:
    """When both ids are given, they have to be of one list."""
    if p.orderListId is None and p.origClientOrderId is None:
        raise missing_both("orderListId", "origClientOrderId")
    found = await live_list(ctx, p.orderListId, p.origClientOrderId)
    if found is None:
        found = await _stored_list(ctx, p)
    if found is None or (p.origClientOrderId is not None and found.name != p.origClientOrderId):
        raise BinanceError(*NO_SUCH_LIST)
    return order_list(ctx, found)


async def _stored_list(ctx: Context, p: QueryList) -> FoundList | None:
    named = p.orderListId if p.orderListId is not None else p.origClientOrderId
    assert named is not None
    row = await queries.stored_list(ctx.venue.gateway.pool, ctx.account, named)
    return None if row is None else from_stored(row)


async def all_lists(ctx: Context, p: AllLists) -> list[OrderList]:
    """Ascending. From `fromId` on, or within the times, or the newest."""
    if p.fromId is not None and p.startTime is not None:
        raise not_required("startTime")
    if p.fromId is not None and p.endTime is not None:
        raise not_required("endTime")
    if p.startTime is not None and p.endTime is not None and p.endTime - p.startTime > DAY_NS:
        raise too_long_a_time(24)
    rows = await queries.stored_lists(ctx.venue.gateway.pool, ctx.account, p.fromId, p.startTime, p.endTime, p.limit)
    found = {row.list_id: from_stored(row) for row in rows}
    ascending = p.fromId is not None or p.startTime is not None
    full = ascending and len(rows) == p.limit
    for one, created_ns in await _newest(ctx):
        inside = one.list_id >= (p.fromId or 0) and (p.startTime or 0) <= created_ns <= (p.endTime or FOREVER_NS)
        if one.list_id in found or (inside and not full):
            found[one.list_id] = one
    lists = [order_list(ctx, found[list_id]) for list_id in sorted(found)]
    return lists[: p.limit] if ascending else lists[-p.limit :]


async def _newest(ctx: Context) -> list[tuple[FoundList, int]]:
    """Those that the read models may not know as they are, and when they were placed."""
    gateway = ctx.venue.gateway
    since = gateway.now_ns() - RECENT_NS
    rows = decode_reports(await gateway.ask(ctx.account, "recent_orders", ctx.account, since))
    created = {row.list_id: row.created_ns for row in rows if row.list_id}
    lists = await asyncio.gather(*(live_list(ctx, list_id, None) for list_id in created))
    return [(one, created[one.list_id]) for one in lists if one is not None]


async def all_open_lists(ctx: Context, p: NoParams) -> list[OrderList]:
    return [order_list(ctx, one) for one in sorted(await open_lists(ctx), key=lambda one: one.list_id)]
