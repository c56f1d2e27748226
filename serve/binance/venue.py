"""What the handlers of the venue's API share: the gateway behind them, the symbols, limits, keys, listen keys."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, Final

import structlog

from actors.wire import ReportRow
from market.enums import ExecType
from market.records import REPORT_MAKER
from serve.auth.api_keys import ApiKeys
from serve.binance.cancel_names import CancelNames
from serve.binance.limits import MAKER_CREDIT, Limits
from serve.binance.listen_keys import ListenKeys
from serve.binance.numbers import Scale
from serve.errors import ApiError
from serve.gateway import Gateway
from serve.orders import Terms

log = structlog.get_logger()

WATCH_FROM: Final = 2
"""Of an account that has used one part in so many of an order limit, fills are listened for: they give orders back."""
_TRADE: Final = int(ExecType.TRADE)


class Venue:
    def __init__(self, gateway: Gateway, keys: ApiKeys) -> None:
        settings = gateway.settings
        self.gateway = gateway
        self.desk = gateway.desk
        self.keys = keys
        self.strict = settings.binance_strict
        self.limits = Limits(settings.binance_limits, lambda account: gateway.profile_of(account).rate_limit)
        self.listen_keys = ListenKeys()
        self.cancel_names = CancelNames()
        self.scales = [Scale(terms) for terms in gateway.desk.terms]
        self._watched: set[int] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    def scale_of(self, terms: Terms) -> Scale:
        return self.scales[terms.symbol_id]

    # -- unfilled orders ------------------------------------------------------------------------------------------

    def count_orders(self, account: int, n: int, now: float) -> list[int]:
        counts = self.limits.count_orders(account, n, now)
        if (
            self.limits.enforced
            and account not in self._watched
            and any(
                count * WATCH_FROM >= limit.limit
                for count, limit in zip(counts, self.limits.orders_of(account), strict=True)
            )
        ):
            self._watched.add(account)
            self._spawn(self._watch(account))
        return counts

    async def _watch(self, account: int) -> None:
        try:
            await self.gateway.listen(account, -1, self.on_report)
        except ApiError:
            self._watched.discard(account)

    def on_report(self, row: ReportRow) -> None:
        """An order that trades for the first time after it has rested gives back more than itself."""
        first = row.exec_type == _TRADE and row.cum_qty_lots == row.last_qty_lots
        if first and row.flags & REPORT_MAKER:
            now = time.time() if self.gateway.now_ns.replay else row.ts_ns / 1e9
            self.limits.count_orders(row.account, -MAKER_CREDIT, now)

    def restart(self) -> None:
        """The account actor came back and knows no listeners any more."""
        self._watched.clear()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
