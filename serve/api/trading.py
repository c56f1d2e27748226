"""`/api/trading`: place, change and cancel orders; what became of them."""

import asyncio
from typing import Any, Final

from serve.auth.principal import SIGNED_IN, TRADERS
from serve.errors import ApiError, Code
from serve.explain import explanation
from serve.explain_schema import Explanation
from serve.gateway import Gateway
from serve.http import Context, Endpoint
from serve.schema import (
    Amend,
    BatchResult,
    CanceledAll,
    Control,
    ControlAction,
    ControlState,
    Echoed,
    ExecutionList,
    HistoryQuery,
    OrderBatch,
    OrderList,
    OrderPath,
    OrderQuery,
    OrderView,
    Replace,
    SideOrder,
    SymbolQuery,
)
from serve.stored_views import execution_view, order_view

HISTORY_LAG_S: Final = 1.0
"""An order that just ended is in history after a fraction of it."""
HISTORY_RETRY_S: Final = 0.05
EXPLAIN_ATTEMPTS: Final = 3
"""For an order that is filled while it is read."""

PLACE_ERRORS = (
    Code.UNKNOWN_SYMBOL, Code.ACCOUNT_PAUSED, Code.DUPLICATE_CLIENT_ORDER_ID, Code.MAX_NUM_ORDERS,
    Code.INSUFFICIENT_BALANCE, Code.PRICE_FILTER, Code.LOT_SIZE, Code.MARKET_LOT_SIZE, Code.NOTIONAL,
    Code.PERCENT_PRICE_BY_SIDE, Code.PERCENT_PRICE, Code.WOULD_TAKE, Code.STOP_WOULD_TRIGGER, Code.TRAILING_DELTA,
    Code.ICEBERG_PARTS, Code.MAX_NUM_ALGO_ORDERS, Code.MAX_NUM_ICEBERG_ORDERS, Code.MAX_POSITION, Code.BOOK_UNAVAILABLE, Code.BOOK_FULL, Code.OVERLOADED,
    Code.STATUS_UNKNOWN, Code.UNKNOWN_ACCOUNT,
)  # fmt: skip
CHANGE_ERRORS = (Code.UNKNOWN_ORDER, Code.ORDER_PENDING, Code.BOOK_UNAVAILABLE, Code.OVERLOADED, Code.STATUS_UNKNOWN,
           Code.UNKNOWN_ACCOUNT)  # fmt: skip
_READ = (Code.UNAVAILABLE, Code.UNKNOWN_ACCOUNT)


def endpoints(gateway: Gateway) -> list[Endpoint]:
    api = TradingApi(gateway)
    tags = ("trading",)
    return [
        Endpoint("POST", "trading/buy", api.buy, request=SideOrder, response=OrderView, roles=TRADERS, tags=tags,
                 summary="Buy", errors=PLACE_ERRORS,
                 description="Answers when the order is durable, with the fills it caused at once."),
        Endpoint("POST", "trading/sell", api.sell, request=SideOrder, response=OrderView, roles=TRADERS, tags=tags,
                 summary="Sell", errors=PLACE_ERRORS,
                 description="Answers when the order is durable, with the fills it caused at once."),
        Endpoint("POST", "trading/echo", api.echo, request=SideOrder, response=Echoed, roles=TRADERS, tags=tags,
                 v1_only=True, summary="Do nothing",
                 description="Authenticated and decoded like an order; what the benchmark measures orders against."),
        Endpoint("POST", "trading/orders", api.place_many, request=OrderBatch, response=BatchResult, roles=TRADERS,
                 tags=tags, summary="Place up to 1,000 orders",
                 description="Each order has its own result, in order; one that is refused does not touch the others.",
                 errors=(Code.STATUS_UNKNOWN, Code.OVERLOADED, Code.BOOK_UNAVAILABLE)),
        Endpoint("GET", "trading/orders", api.orders, query=OrderQuery, response=OrderList, roles=SIGNED_IN, tags=tags,
                 summary="Own orders, newest first", errors=(Code.UNKNOWN_SYMBOL, *_READ),
                 description="The list lags the live account by milliseconds; with `open=true` or a `client_order_id` "
                 "it does not."),
        Endpoint("DELETE", "trading/orders", api.cancel_all, query=SymbolQuery, response=CanceledAll, roles=TRADERS,
                 tags=tags, summary="Cancel all open orders, or those of one symbol",
                 errors=(Code.UNKNOWN_SYMBOL, *CHANGE_ERRORS)),
        Endpoint("GET", "trading/orders/{order_id}", api.order, params=OrderPath, response=OrderView, roles=SIGNED_IN,
                 tags=tags, summary="One order", errors=(Code.UNKNOWN_ORDER, *_READ)),
        Endpoint("GET", "trading/orders/{order_id}/explain", api.explain, params=OrderPath, response=Explanation,
                 roles=SIGNED_IN, tags=tags, summary="Why an order was filled as it was",
                 description="Its place in the real venue's queue on entry, now and before each fill, and the trades of "
                 "the venue that brought it there. It lags the live account by a fraction of a second.",
                 errors=(Code.UNKNOWN_ORDER, *_READ)),
        Endpoint("DELETE", "trading/orders/{order_id}", api.cancel, params=OrderPath, response=OrderView,
                 roles=TRADERS, tags=tags, summary="Cancel an order", errors=CHANGE_ERRORS),
        Endpoint("PATCH", "trading/orders/{order_id}", api.amend, params=OrderPath, request=Amend, response=OrderView,
                 roles=TRADERS, tags=tags, summary="Reduce an order's quantity, keeping its priority",
                 errors=(Code.AMEND_NOT_REDUCED, Code.LOT_SIZE, Code.NOTIONAL, Code.ACCOUNT_PAUSED, *CHANGE_ERRORS)),
        Endpoint("PUT", "trading/orders/{order_id}", api.replace, params=OrderPath, request=Replace,
                 response=OrderView, roles=TRADERS, tags=tags, summary="Cancel an order and place another, atomically",
                 errors=(Code.ORDER_CHANGED, Code.UNKNOWN_ORDER, Code.ORDER_PENDING, *PLACE_ERRORS)),
        Endpoint("GET", "trading/history", api.history, query=HistoryQuery, response=ExecutionList, roles=SIGNED_IN,
                 tags=tags, summary="Own executions, newest first", errors=(Code.UNKNOWN_SYMBOL, *_READ)),
        Endpoint("GET", "trading/control", api.state, response=ControlState, roles=SIGNED_IN, tags=tags, v1_only=True,
                 summary="Whether own trading is paused", errors=_READ),
        Endpoint("POST", "trading/control", api.control, request=Control, response=ControlState, roles=TRADERS,
                 tags=tags, v1_only=True, summary="Pause or resume own trading, or cancel all own orders",
                 description="While paused, new orders, amendments and replacements are refused; cancels are not.",
                 errors=CHANGE_ERRORS),
    ]  # fmt: skip


class TradingApi:
    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    def _account(self, ctx: Context) -> int:
        return self.gateway.account_of(ctx.user.user_id)

    async def buy(self, ctx: Context) -> OrderView:
        return await self.gateway.place(self._account(ctx), ctx.body, "BUY")

    async def sell(self, ctx: Context) -> OrderView:
        return await self.gateway.place(self._account(ctx), ctx.body, "SELL")

    async def echo(self, ctx: Context) -> Echoed:
        return Echoed(ctx.body.symbol)

    async def place_many(self, ctx: Context) -> BatchResult:
        return BatchResult(await self.gateway.place_many(self._account(ctx), ctx.body.orders))

    async def orders(self, ctx: Context) -> OrderList:
        query: OrderQuery = ctx.query
        account = self._account(ctx)
        symbol = -1 if query.symbol is None else self.gateway.desk.terms_of(query.symbol).symbol_id
        if query.open:
            found = await self.gateway.open_orders(account, symbol)
            named, before = query.client_order_id, query.before_id
            wanted = [
                one
                for one in found
                if (named is None or one.client_order_id == named) and (before is None or one.order_id < before)
            ]
            return OrderList(wanted[: query.limit])
        rows = await self.gateway.pool.fetch(
            "SELECT * FROM all_orders WHERE account = $1 AND ($2::text IS NULL OR symbol = $2) "
            "AND ($3::text IS NULL OR client_order_id = $3) AND ($4::bigint IS NULL OR order_id < $4) "
            "ORDER BY order_id DESC LIMIT $5",
            account, query.symbol, query.client_order_id, query.before_id, query.limit,
        )  # fmt: skip
        stored = [self._stored(row) for row in rows]
        if query.client_order_id is None:
            return OrderList(stored)
        return OrderList(await self._with_newest(account, query, stored))

    async def _with_newest(self, account: int, query: OrderQuery, stored: list[OrderView]) -> list[OrderView]:
        """The account knows what history does not know yet."""
        assert query.client_order_id is not None
        newest = {
            one.order_id: one
            for one in await self.gateway.orders_named(account, query.client_order_id)
            if query.symbol in (None, one.symbol) and (query.before_id is None or one.order_id < query.before_id)
        }
        known = {one.order_id: one for one in stored} | newest
        return [known[order_id] for order_id in sorted(known, reverse=True)][: query.limit]

    async def order(self, ctx: Context) -> OrderView:
        account, order_id = self._account(ctx), ctx.params.order_id
        found = await self.gateway.order(account, order_id)
        return self._stored(await self._ended(account, order_id)) if found is None else self.gateway.desk.view([found])

    async def explain(self, ctx: Context) -> Explanation:
        account, order_id = self._account(ctx), ctx.params.order_id
        row = await self._ended(account, order_id)
        for _ in range(EXPLAIN_ATTEMPTS):
            told = await explanation(self.gateway, self.gateway.desk.terms_of(row["symbol"]), row)
            before, row = row, await self._ended(account, order_id)
            if all(row[name] == before[name] for name in ("ord_status", "cum_qty_lots")):
                break  # else its fills were read after more had been written than the order says
        return told

    async def _ended(self, account: int, order_id: int) -> Any:
        """From the read models, a moment behind the account: an order newer than all they know is waited for."""
        waited = 0.0
        while True:
            row = await self.gateway.pool.fetchrow(
                "SELECT * FROM all_orders WHERE account = $1 AND order_id >= $2 ORDER BY order_id LIMIT 1",
                account,
                order_id,
            )
            if row is not None and row["order_id"] == order_id:
                return row
            if row is not None or waited >= HISTORY_LAG_S:
                raise ApiError(Code.UNKNOWN_ORDER, "There is no such order of yours.", "order_id")
            await asyncio.sleep(HISTORY_RETRY_S)
            waited += HISTORY_RETRY_S

    def _stored(self, row: Any) -> OrderView:
        return order_view(self.gateway.desk.terms_of(row["symbol"]), row)

    async def cancel(self, ctx: Context) -> OrderView:
        return await self.gateway.cancel(self._account(ctx), ctx.params.order_id)

    async def amend(self, ctx: Context) -> OrderView:
        return await self.gateway.amend(self._account(ctx), ctx.params.order_id, ctx.body.quantity)

    async def replace(self, ctx: Context) -> OrderView:
        return await self.gateway.replace(self._account(ctx), ctx.params.order_id, ctx.body)

    async def cancel_all(self, ctx: Context) -> CanceledAll:
        query: SymbolQuery = ctx.query
        symbol = None if query.symbol is None else self.gateway.desk.terms_of(query.symbol).symbol_id
        return CanceledAll(await self.gateway.cancel_all(self._account(ctx), symbol))

    async def history(self, ctx: Context) -> ExecutionList:
        query: HistoryQuery = ctx.query
        desk = self.gateway.desk
        if query.symbol is not None:
            desk.terms_of(query.symbol)
        rows = await self.gateway.pool.fetch(
            "SELECT * FROM executions WHERE account = $1 AND ($2::text IS NULL OR symbol = $2) "
            "AND ($3::bigint IS NULL OR ts_ns < $3) ORDER BY ts_ns DESC, trade_id DESC LIMIT $4",
            self._account(ctx), query.symbol, query.before_ns, query.limit,
        )  # fmt: skip
        return ExecutionList([execution_view(desk.terms_of(row["symbol"]), row) for row in rows])

    async def state(self, ctx: Context) -> ControlState:
        account = self._account(ctx)
        found = await self.gateway.ask(account, "account", account)
        return ControlState(found["paused"])

    async def control(self, ctx: Context) -> ControlState:
        account = self._account(ctx)
        action = ctx.body.action
        canceled = 0
        if action is ControlAction.CANCEL_ALL:
            canceled = len(await self.gateway.cancel_all(account))
        else:
            await self.gateway.ask(account, "pause", account, action is ControlAction.PAUSE)
        found = await self.gateway.ask(account, "account", account)
        return ControlState(found["paused"], canceled)
