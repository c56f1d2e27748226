"""Writes how order lists and their pending orders stand to their read models, beside the hot path."""

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import asyncpg
import structlog

from actors.config import Settings
from market.enums import OrdStatus
from market.ledger.lists import OrderList
from market.reasons import Reason

if TYPE_CHECKING:
    from actors.account_actor import AccountService

log = structlog.get_logger()

FLUSH_EVERY_S: Final = 0.5
_UPSERT: Final = (
    "INSERT INTO order_lists (account, list_id, symbol, contingency, list_client_order_id, list_status, created_ns, "
    "updated_ns, order_ids, client_order_ids) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) "
    "ON CONFLICT (account, list_id) DO UPDATE SET list_status = excluded.list_status, "
    "updated_ns = excluded.updated_ns, client_order_ids = excluded.client_order_ids "
    "WHERE order_lists.updated_ns <= excluded.updated_ns"
)
_COPIED: Final = (
    "order_id", "side", "ord_type", "time_in_force", "stp_mode", "flags", "price_ticks", "qty_lots", "stop_price_ticks",
    "display_lots", "trailing_bips", "peg_type", "peg_offset", "list_id", "list_role",
)  # fmt: skip
"""Of a pending order, as its command says: $8 to $22."""
_UPSERT_PENDING: Final = (
    "INSERT INTO pending_orders (account, symbol, client_order_id, ord_status, reason, created_ns, updated_ns, "
    "order_id, side, ord_type, time_in_force, stp_mode, flags, price_ticks, qty_lots, stop_price_ticks, display_lots, "
    "trailing_bips, peg_type, peg_offset, list_id, list_role, leaves_lots, cum_qty_lots, cum_quote_units, working_ns, "
    "tracking_ns) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, "
    "$21, $22, $15, 0, 0, 0, 0) ON CONFLICT (order_id) DO UPDATE SET client_order_id = excluded.client_order_id, "
    "ord_status = excluded.ord_status, reason = excluded.reason, updated_ns = excluded.updated_ns"
)


class ListWriter:
    """After a recovery the lists that the journal told of are written again; the newest state of each stays."""

    def __init__(self, settings: Settings, service: "AccountService") -> None:
        self._settings = settings
        self._service = service
        self._waiting: dict[int, OrderList] = {}

    async def run(self) -> None:
        connection: asyncpg.Connection | None = None
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            self._waiting |= {one.list_id: one for one in self._service.ledger.lists.take_changed()}
            if not self._waiting:
                continue
            try:
                if connection is None or connection.is_closed():
                    connection = await asyncpg.connect(self._settings.pg_dsn, timeout=5, command_timeout=30)
                written = list(self._waiting.values())
                await connection.executemany(_UPSERT, [self._row(one) for one in written])
                await connection.executemany(_UPSERT_PENDING, [row for one in written for row in self._pending(one)])
                self._waiting.clear()
            except Exception as error:
                log.warning("order lists not written, will be", error=repr(error))
                if connection is not None:
                    with contextlib.suppress(Exception):
                        connection.terminate()
                connection = None

    def _row(self, one: OrderList) -> tuple[object, ...]:
        return (
            one.account, one.list_id, self._service.ledger.instruments[one.symbol].symbol, int(one.contingency),
            one.name.decode("latin-1"), int(one.status), one.created_ns, one.updated_ns, one.order_ids,
            [name.decode("latin-1") for name in one.names],
        )  # fmt: skip

    def _pending(self, one: OrderList) -> list[tuple[object, ...]]:
        """As long as no book knows the order, this is how it stands."""
        symbol = self._service.ledger.instruments[one.symbol].symbol
        rows = []
        for place, command in enumerate(one.commands(), 1):
            status, reason = one.ends.get(one.order_ids[place], (int(OrdStatus.PENDING_NEW), int(Reason.NONE)))
            name = one.names[place].decode("latin-1")
            copied = [0 if field == "price_ticks" and command["peg_type"] else int(command[field]) for field in _COPIED]
            rows.append((one.account, symbol, name, status, reason, one.created_ns, one.updated_ns, *copied))
        return rows
