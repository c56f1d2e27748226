"""Gathers what committed batches mean for the queryable tables, and writes it in one transaction with the cursor.

Exactly once: rows and the stream positions they come from are committed together.
"""

from collections.abc import Iterable
from typing import Any

import asyncpg
import msgspec
import numpy as np

from actors.wire import Batch
from market.candles import Candle
from market.enums import EventKind, OrdStatus
from market.instrument import PPM, Instrument
from market.reasons import Reason


class OrderRow(msgspec.Struct):
    """An order's row when it was accepted within this flush (`created_ns` > 0), else a change to it."""

    order_id: int
    account: int = 0
    symbol: str = ""
    client_order_id: str = ""
    side: int = 0
    ord_type: int = 0
    time_in_force: int = 0
    stp_mode: int = 0
    flags: int = 0
    price_ticks: int = 0
    qty_lots: int = -1
    leaves_lots: int = 0
    cum_qty_lots: int = 0
    cum_quote_units: int = 0
    ord_status: int = OrdStatus.NEW
    reason: int = 0
    created_ns: int = 0
    updated_ns: int = 0


class ReadModels:
    """What is not yet written. Quiet accounts (simulated participants) get no orders and executions."""

    def __init__(self, instruments: list[Instrument], quiet: set[int]) -> None:
        self._instruments = instruments
        self.quiet = quiet
        self.clear()

    def clear(self) -> None:
        self.orders: dict[int, OrderRow] = {}
        self.trades: list[tuple[Any, ...]] = []
        self.executions: list[tuple[Any, ...]] = []
        self.candles: dict[tuple[str, int], Candle] = {}
        self.positions: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.orders) + len(self.trades) + len(self.executions) + len(self.candles)

    def add_orders(self, batch: Batch) -> None:
        """Order changes and executions of users. Loops over users' events only: simulated ones are masked out."""
        events = batch.events
        quiet = np.fromiter(self.quiet, np.int64, len(self.quiet))
        two_legged = np.isin(events["kind"], (EventKind.TRADE, EventKind.DECREMENTED))
        loud = ~np.isin(events["account"], quiet) & (events["kind"] != EventKind.REJECTED)
        loud_maker = two_legged & ~np.isin(events["maker_account"], quiet)
        for k in np.flatnonzero(loud | loud_maker):
            e = events[k]
            kind = int(e["kind"])
            if loud[k]:
                self._order(batch, e, kind)
                if kind == EventKind.TRADE:
                    self._execution(batch, e, taker=True)
            if loud_maker[k]:
                self._maker(batch, e, kind)
                if kind == EventKind.TRADE:
                    self._execution(batch, e, taker=False)

    def _order(self, batch: Batch, e: Any, kind: int) -> None:
        order_id = int(e["order_id"])
        if kind == EventKind.ACCEPTED:
            client_order_id = batch.commands[int(e["command_index"])]["client_order_id"].decode("ascii", "replace")
            self.orders[order_id] = OrderRow(
                order_id,
                int(e["account"]),
                self._instruments[int(e["symbol"])].symbol,
                client_order_id,
                int(e["side"]),
                int(e["ord_type"]),
                int(e["time_in_force"]),
                int(e["stp_mode"]),
                int(e["flags"]),
                int(e["price_ticks"]),
                int(e["qty_lots"]),
                int(e["leaves_lots"]),
                created_ns=batch.ts_ns,
                updated_ns=batch.ts_ns,
            )
            return
        row = self.orders.setdefault(order_id, OrderRow(order_id))
        row.updated_ns = batch.ts_ns
        row.leaves_lots = int(e["leaves_lots"])
        if kind == EventKind.TRADE:
            row.cum_qty_lots += int(e["qty_lots"])
            row.cum_quote_units += int(e["quote_units"])
            by_quote = int(e["flags"]) & 1
            row.ord_status = OrdStatus.PARTIALLY_FILLED if row.leaves_lots or by_quote else OrdStatus.FILLED
        elif kind == EventKind.CANCELED:
            row.ord_status = OrdStatus.CANCELED
            row.reason = int(e["reason"])
        elif kind == EventKind.EXPIRED:
            row.reason = int(e["reason"])
            row.ord_status = {
                Reason.SELF_TRADE_PREVENTION: OrdStatus.EXPIRED_IN_MATCH,
                Reason.QUOTE_SPENT: OrdStatus.FILLED,
            }.get(Reason(row.reason), OrdStatus.EXPIRED)
        elif kind == EventKind.AMENDED:
            row.qty_lots = int(e["qty_lots"])
            row.ord_status = -1  # unchanged

    def _maker(self, batch: Batch, e: Any, kind: int) -> None:
        order_id = int(e["maker_order_id"])
        row = self.orders.setdefault(order_id, OrderRow(order_id))
        row.updated_ns = batch.ts_ns
        row.leaves_lots = int(e["maker_leaves_lots"])
        if kind == EventKind.TRADE:
            row.cum_qty_lots += int(e["qty_lots"])
            row.cum_quote_units += int(e["quote_units"])
            row.ord_status = OrdStatus.PARTIALLY_FILLED if row.leaves_lots else OrdStatus.FILLED
        else:
            row.ord_status = -1

    def _execution(self, batch: Batch, e: Any, taker: bool) -> None:
        one = self._instruments[int(e["symbol"])]
        side = int(e["side"]) if taker else 1 - int(e["side"])
        ppm = int(e["taker_fee_ppm" if taker else "maker_fee_ppm"])
        received = int(e["qty_lots"]) * one.base_units_per_lot if side == 0 else int(e["quote_units"])
        self.executions.append(
            (
                int(e["account" if taker else "maker_account"]),
                one.symbol,
                int(e["trade_id"]),
                int(e["order_id" if taker else "maker_order_id"]),
                side,
                not taker,
                int(e["price_ticks"]),
                int(e["qty_lots"]),
                int(e["quote_units"]),
                received * ppm // PPM,
                batch.ts_ns,
            )
        )

    async def write(self, connection: asyncpg.Connection, projection: str) -> int:
        """Write everything and the stream positions in one transaction; returns the number of rows."""
        rows = len(self)
        async with connection.transaction():
            await self._write_orders(connection)
            await _insert(connection, "trades", 7, self.trades)
            await _insert(connection, "executions", 11, self.executions)
            candles = [(symbol, *msgspec.structs.astuple(one)) for (symbol, _), one in self.candles.items()]
            if candles:
                await connection.executemany(
                    "INSERT INTO candles VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12) "
                    "ON CONFLICT (symbol, open_ns) DO UPDATE SET high_ticks = excluded.high_ticks, "
                    "low_ticks = excluded.low_ticks, close_ticks = excluded.close_ticks, "
                    "volume_lots = excluded.volume_lots, quote_units = excluded.quote_units, "
                    "trades = excluded.trades, taker_buy_lots = excluded.taker_buy_lots, "
                    "last_trade_id = excluded.last_trade_id",
                    candles,
                )
            await connection.executemany(
                "INSERT INTO projection (name, stream, seq) VALUES ($1, $2, $3) "
                "ON CONFLICT (name, stream) DO UPDATE SET seq = excluded.seq",
                [(projection, stream, seq) for stream, seq in self.positions.items()],
            )
        return rows

    async def _write_orders(self, connection: asyncpg.Connection) -> None:
        new = [msgspec.structs.astuple(row) for row in self.orders.values() if row.created_ns]
        if new:
            await _insert(connection, "orders", 18, new)
        changed = [
            (
                r.order_id,
                r.qty_lots,
                r.leaves_lots,
                r.cum_qty_lots,
                r.cum_quote_units,
                int(r.ord_status),
                r.reason,
                r.updated_ns,
            )
            for r in self.orders.values()
            if not r.created_ns
        ]
        if changed:
            await connection.executemany(
                "UPDATE orders SET qty_lots = CASE WHEN $2::bigint < 0 THEN qty_lots ELSE $2 END, leaves_lots = $3, "
                "cum_qty_lots = cum_qty_lots + $4, cum_quote_units = cum_quote_units + $5, "
                "ord_status = CASE WHEN $6::smallint < 0 THEN ord_status ELSE $6 END, reason = $7, updated_ns = $8 "
                "WHERE order_id = $1",
                changed,
            )


async def _insert(connection: asyncpg.Connection, table: str, columns: int, rows: Iterable[tuple[Any, ...]]) -> None:
    rows = list(rows)
    if not rows:
        return
    marks = ",".join(f"${k}" for k in range(1, columns + 1))
    await connection.executemany(f"INSERT INTO {table} VALUES ({marks}) ON CONFLICT DO NOTHING", rows)  # noqa: S608
