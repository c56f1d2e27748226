"""The tools that look at the asker's own account."""

from typing import Any, Final

from serve.assistant import arguments as a
from serve.assistant.api import Api
from serve.assistant.figures import EquityChange, Risk, TradeSummary, change_of, risk_of, summary_of
from serve.assistant.names import Names
from serve.assistant.proposing import ProposeCancel, ProposeOrder, Proposing
from serve.assistant.toolbox import Asker, Tool
from serve.schema import EquityHistory, EquityPoint, EquityQuery, Execution, HistoryQuery, OrderPath, OrderQuery

MILLISECOND_NS: Final = 1_000_000
PAGE: Final = 1000
MOST_PAGES: Final = 10
MOST_POINTS: Final = 10_000
MOST_SHOWN: Final = 100
DAY_MS: Final = 86_400_000


class AccountTools:
    def __init__(self, api: Api, names: Names, proposing: Proposing) -> None:
        self._api = api
        self._names = names
        self._proposing = proposing

    def tools(self) -> list[Tool]:
        return [
            Tool("portfolio", "Own balances, positions, equity and profit now.", a.Nothing, self.portfolio),
            Tool("orders", "Own orders, newest first; with open=true those that wait now.", a.Orders, self.orders),
            Tool("order", "One of the own orders by its id.", a.OneOrder, self.order),
            Tool("explain_order", "Why an own order was filled as it was.", a.OneOrder, self.explain),
            Tool("executions", "Own executions (fills), newest first, with fees.", a.Executions, self.executions),
            Tool("trade_summary", "Own trading in a span: bought, sold and fees by asset.", a.MaybeSymbolInSpan, self.summary),
            Tool("equity_change", "How own equity changed since a time.", a.Since, self.equity_change),
            Tool("equity_history", "Own equity by the minute since a time.", a.Since, self.equity_history),
            Tool("risk", "Own exposure, concentration, largest holding, volatility and drawdown.", a.Nothing, self.risk),
            Tool("profile", "Own fees, fill model, latency and rate limit.", a.Nothing, self.profile),
            Tool("whoami", "Who the user is, and the role.", a.Nothing, self.whoami),
            Tool("propose_order", "Check an order and propose it. It is placed only when the user confirms it.",
                 ProposeOrder, self.propose_order),
            Tool("propose_cancel", "Propose to cancel orders. Done only when the user confirms it.",
                 ProposeCancel, self.propose_cancel),
        ]  # fmt: skip

    async def portfolio(self, who: Asker, _: Any) -> Any:
        return await self._api.call("GET portfolio", who.principal)

    async def orders(self, who: Asker, given: a.Orders) -> Any:
        query = OrderQuery(symbol=self._named(given.symbol), open=given.open, limit=given.limit)
        return await self._api.call("GET trading/orders", who.principal, query=query)

    async def order(self, who: Asker, given: a.OneOrder) -> Any:
        path = OrderPath(order_id=given.order_id)
        return await self._api.call("GET trading/orders/{order_id}", who.principal, params=path)

    async def explain(self, who: Asker, given: a.OneOrder) -> Any:
        path = OrderPath(order_id=given.order_id)
        return await self._api.call("GET trading/orders/{order_id}/explain", who.principal, params=path)

    async def executions(self, who: Asker, given: a.Executions) -> Any:
        query = HistoryQuery(symbol=self._named(given.symbol), limit=given.limit)
        return await self._api.call("GET trading/history", who.principal, query=query)

    async def summary(self, who: Asker, given: a.MaybeSymbolInSpan) -> TradeSummary:
        symbol = self._named(given.symbol)
        found, complete = await self._all_executions(who, symbol, given.from_ms, given.to_ms)
        with_quotes = [(one, self._names.symbols[one.symbol].quote.name) for one in found]
        return summary_of(with_quotes, given.from_ms, given.to_ms, symbol, complete)

    async def _all_executions(
        self, who: Asker, symbol: str | None, from_ms: int, to_ms: int
    ) -> tuple[list[Execution], bool]:
        """Of a span. A page begins with the instant that the one before ended with: one instant may have several."""
        found: dict[tuple[str, int], Execution] = {}
        before_ns = to_ms * MILLISECOND_NS + MILLISECOND_NS
        for _ in range(MOST_PAGES):
            query = HistoryQuery(symbol=symbol, before_ns=before_ns, limit=PAGE)
            page = (await self._api.call("GET trading/history", who.principal, query=query)).executions
            # Of a trade with oneself there are two.
            fresh = {(f"{one.symbol} {one.side}", one.trade_id): one for one in page}
            found |= {key: one for key, one in fresh.items() if one.ts_ns >= from_ms * MILLISECOND_NS}
            if len(page) < PAGE or page[-1].ts_ns < from_ms * MILLISECOND_NS:
                return list(found.values()), True
            if page[-1].ts_ns + 1 >= before_ns:
                break
            before_ns = page[-1].ts_ns + 1
        return list(found.values()), False

    async def equity_change(self, who: Asker, given: a.Since) -> EquityChange:
        points = await self._points(who, given)
        portfolio = await self._api.call("GET portfolio", who.principal)
        after, to_ms = portfolio.equity, who.now_ns // MILLISECOND_NS
        if given.to_ms is not None and given.to_ms < to_ms:
            after, to_ms = (points[-1].equity, points[-1].at_ms) if points else (None, given.to_ms)
        return change_of(points[0] if points else None, after, portfolio.reference_asset, given.from_ms, to_ms)

    async def equity_history(self, who: Asker, given: a.Since) -> EquityHistory:
        points = await self._points(who, given)
        step = -(-len(points) // MOST_SHOWN) or 1
        return EquityHistory(points[::step])

    async def risk(self, who: Asker, _: Any) -> Risk:
        points = await self._points(who, a.Since(from_ms=max(0, who.now_ns // MILLISECOND_NS - DAY_MS)))
        return risk_of(await self._api.call("GET portfolio", who.principal), points)

    async def _points(self, who: Asker, given: a.Since) -> list[EquityPoint]:
        """Of a span; of one longer than `MOST_POINTS` minutes the newest."""
        query = EquityQuery(start_ms=given.from_ms, limit=MOST_POINTS)
        found: EquityHistory = await self._api.call("GET portfolio/history", who.principal, query=query)
        return [one for one in found.points if given.to_ms is None or one.at_ms <= given.to_ms]

    async def profile(self, who: Asker, _: Any) -> Any:
        return await self._api.call("GET account/profile", who.principal)

    async def whoami(self, who: Asker, _: Any) -> Any:
        return await self._api.call("GET auth/me", who.principal)

    async def propose_order(self, who: Asker, given: ProposeOrder) -> Any:
        return await self._proposing.order(who.principal, given)

    async def propose_cancel(self, who: Asker, given: ProposeCancel) -> Any:
        return await self._proposing.cancel(who.principal, given)

    def _named(self, symbol: str | None) -> str | None:
        return None if symbol is None else self._names.symbol(symbol)
