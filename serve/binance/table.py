"""Every route of the venue's API in one table, and the operations that serve it over HTTP."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.routing import Route as PageRoute

from serve.auth.api_keys import ApiKeys
from serve.binance import account, list_params, list_queries, lists, orders, queries
from serve.binance.context import Context
from serve.binance.endpoint import Engine, NoSuchMethod, RestOperation
from serve.binance.errors import rejected
from serve.binance.exchange_info import ExchangeInfoParams, ExecutionRulesParams, exchange_info, execution_rules
from serve.binance.market_adapter import market
from serve.binance.new_order import NewOrder
from serve.binance.order_structs import Nothing
from serve.binance.orders import TestOrder
from serve.binance.params import Params
from serve.binance.route import NoParams, Route, Security
from serve.binance.venue import Venue
from serve.binance.ws_api import WsApi
from serve.gateway import Gateway
from serve.http.endpoint import METHODS

_TRADE, _DATA, _KEY = Security.TRADE, Security.USER_DATA, Security.KEY


class ServerTime(msgspec.Struct):
    serverTime: int


class SorOrder(NewOrder, kw_only=True):
    pass


class SorTestOrder(TestOrder, kw_only=True):
    pass


async def ping(ctx: Context, p: NoParams) -> Nothing:
    return Nothing()


async def server_time(ctx: Context, p: NoParams) -> ServerTime:
    return ServerTime(ctx.now)


async def sor(ctx: Context, p: NewOrder) -> Any:
    """A venue that has no smart order routing for the symbol."""
    raise rejected("SOR is not supported for this symbol.")


def _test_weight(values: Any) -> int:
    return 20 if values.get("computeCommissionRates", "").lower() == "true" else 1


def _rules_weight(values: Any) -> int:
    return min(40, 2 * (values["symbols"].count(",") + 1)) if "symbols" in values else 2 if "symbol" in values else 40


def routes(gateway: Gateway) -> list[Route]:
    general = [
        Route("GET", "ping", "ping", ping),
        Route("GET", "time", "time", server_time),
        Route("GET", "exchangeInfo", "exchangeInfo", exchange_info, ExchangeInfoParams, weight=20),
        Route("GET", "executionRules", "executionRules", execution_rules, ExecutionRulesParams, weight=_rules_weight),
    ]
    return [*general, *market(gateway), *_trading(), *_account(), *_legacy()]


def _trading() -> list[Route]:
    def trade(method: str, path: str, ws: str, handler: Any, params: type[Params], weight: int = 1) -> Route:
        return Route(method, path, ws, handler, params, weight=weight, security=_TRADE, free=True)

    return [
        trade("POST", "order", "order.place", orders.place, NewOrder),
        Route("POST", "order/test", "order.test", orders.test, TestOrder, weight=_test_weight, security=_TRADE),
        trade("DELETE", "order", "order.cancel", orders.cancel, orders.CancelOrder),
        trade("DELETE", "openOrders", "openOrders.cancelAll", orders.cancel_all, orders.CancelOpenOrders),
        trade("POST", "order/cancelReplace", "order.cancelReplace", orders.cancel_replace, orders.CancelReplace),
        trade("PUT", "order/amend/keepPriority", "order.amend.keepPriority", orders.amend, orders.AmendOrder, 4),
        trade("POST", "order/oco", "orderList.place", lists.old_oco, list_params.OldOcoParams, 2),
        trade("POST", "orderList/oco", "orderList.place.oco", lists.oco, list_params.OcoParams, 2),
        trade("POST", "orderList/oto", "orderList.place.oto", lists.oto, list_params.OtoParams, 2),
        trade("POST", "orderList/otoco", "orderList.place.otoco", lists.otoco, list_params.OtocoParams, 3),
        trade("POST", "orderList/opo", "orderList.place.opo", lists.opo, list_params.OpoParams, 2),
        trade("POST", "orderList/opoco", "orderList.place.opoco", lists.opoco, list_params.OpocoParams, 3),
        trade("DELETE", "orderList", "orderList.cancel", lists.cancel_list, list_params.CancelList),
        trade("POST", "sor/order", "sor.order.place", sor, SorOrder),
        Route("POST", "sor/order/test", "sor.order.test", sor, SorTestOrder, weight=_test_weight, security=_TRADE),
    ]


def _account() -> list[Route]:
    def data(path: str, ws: str, handler: Any, params: type[Params], weight: Any) -> Route:
        return Route("GET", path, ws, handler, params, weight=weight, security=_DATA)

    return [
        data("account", "account.status", account.account, account.AccountParams, 20),
        data("order", "order.status", queries.order, queries.QueryOrder, 4),
        data("openOrders", "openOrders.status", queries.open_orders, queries.OpenOrders, queries.open_orders_weight),
        data("allOrders", "allOrders", queries.all_orders, queries.AllOrders, 20),
        data("orderList", "orderList.status", list_queries.query_list, list_params.QueryList, 4),
        data("allOrderList", "allOrderLists", list_queries.all_lists, list_params.AllLists, 20),
        data("openOrderList", "openOrderLists.status", list_queries.all_open_lists, NoParams, 6),
        data("myTrades", "myTrades", queries.my_trades, queries.MyTrades, queries.my_trades_weight),
        data("rateLimit/order", "account.rateLimits.orders", account.order_counts, NoParams, 40),
        data("myPreventedMatches", "myPreventedMatches", queries.prevented_matches, queries.PreventedMatches,
             queries.prevented_weight),
        data("myAllocations", "myAllocations", queries.allocations, queries.Allocations, 20),
        data("account/commission", "account.commission", account.commission, account.OneSymbol, 20),
        data("order/amendments", "order.amendments", queries.amendments, queries.Amendments, 4),
        data("myFilters", "myFilters", account.my_filters, account.OneSymbol, 40),
    ]  # fmt: skip


def _legacy() -> list[Route]:
    """Listen keys, which the venue removed in 2026 and older clients still ask for; another product's address."""
    return [
        Route("GET", "/sapi/v1/asset/tradeFee", None, account.trade_fees, account.TradeFeeParams, security=_DATA),
        Route("POST", "userDataStream", None, account.open_stream, weight=2, security=_KEY),
        Route("PUT", "userDataStream", None, account.keep_stream, account.ListenKeyParams, weight=2, security=_KEY),
        Route("DELETE", "userDataStream", None, account.close_stream, account.ListenKeyParams, weight=2, security=_KEY),
    ]


# -- over HTTP --------------------------------------------------------------------------------------------------------

ABSENT: Final[dict[str, bytes]] = {
    "/sapi/v1/capital/config/getall": b"[]",
    "/sapi/v1/margin/allPairs": b"[]",
    "/sapi/v1/margin/isolated/allPairs": b"[]",
    "/fapi/v1/exchangeInfo": b'{"symbols":[]}',
    "/dapi/v1/exchangeInfo": b'{"symbols":[]}',
}
"""Other products' lists that clients load beside the spot market's: there is nothing in them."""


def rest_operations(engine: Engine, table: Sequence[Route]) -> list[RestOperation | NoSuchMethod]:
    found: list[RestOperation | NoSuchMethod] = [RestOperation(engine, route) for route in table]
    methods: dict[str, list[str]] = {}
    for route in table:
        methods.setdefault(route.full_path, []).append(route.method)
    for path, known in methods.items():
        found += [NoSuchMethod(method, path, sorted(known)) for method in sorted(METHODS - set(known))]
    return found


def other_pages() -> list[BaseRoute]:
    """Addresses the table does not know: empty lists of other products, and the venue's empty 404."""

    def fixed(content: bytes) -> Any:
        async def page(_: Request) -> Response:
            return Response(content, media_type="application/json;charset=UTF-8")

        return page

    async def unknown(_: Request) -> Response:
        return Response(b"", 404)

    pages: list[BaseRoute] = [PageRoute(path, fixed(content), methods=["GET"]) for path, content in ABSENT.items()]
    every = sorted(METHODS)
    return [
        *pages,
        *(PageRoute(f"/{one}/{{rest:path}}", unknown, methods=every) for one in ("api/v3", "sapi", "fapi", "dapi")),
    ]


class BinanceApi:
    """The venue's API over one gateway."""

    def __init__(self, gateway: Gateway, keys: ApiKeys) -> None:
        self.venue = Venue(gateway, keys)
        self.engine = Engine(self.venue)
        self.routes = routes(gateway)
        self.operations = rest_operations(self.engine, self.routes)
        self.pages = other_pages()
        self.ws_api = WsApi(self.engine, self.routes)
