"""Gathers what committed batches mean for the queryable tables, and writes it in one transaction with the cursor.

Exactly once: rows and the stream positions they come from are committed together. Whole columns at a time: a flush may
hold tens of thousands of events, and Python that touches each of them costs more than matching them did.
"""

from typing import Final

import asyncpg
import numpy as np

from actors.order_rows import Column, changes_of, executions_of
from actors.staging import Staging
from actors.wire import Batch
from market.candles import CANDLE, STORED_WIDTHS_NS, folded, seconds_of
from market.enums import EventKind
from market.instrument import Instrument
from market.intervals import SECOND_NS
from market.records import COMMAND, EVENT, Records, joined
from market.tape import TAPE

_STATE: Final = {
    "qty_lots": "bigint", "leaves_lots": "bigint", "cum_qty_lots": "bigint", "cum_quote_units": "bigint",
    "ord_status": "smallint", "reason": "smallint", "updated_ns": "bigint",
}  # fmt: skip
_NEW_ORDERS: Final = Staging(
    "new_orders",
    {
        "order_id": "bigint", "account": "bigint", "symbol": "bigint", "client_order_id": "bytea", "side": "smallint",
        "ord_type": "smallint", "time_in_force": "smallint", "stp_mode": "smallint", "flags": "smallint",
        "price_ticks": "bigint", "created_ns": "bigint", **_STATE,
    },
)  # fmt: skip
_CHANGES: Final = Staging("order_changes", {"order_id": "bigint", **_STATE})
_TRADES: Final = Staging(
    "new_trades",
    {
        "symbol": "bigint", "trade_id": "bigint", "price_ticks": "bigint", "qty_lots": "bigint",
        "quote_units": "bigint", "taker_side": "smallint", "ts_ns": "bigint", "agg_id": "bigint",
    },
)  # fmt: skip
_CANDLES: Final = Staging("new_candles", {"width_s": "bigint", **dict.fromkeys(CANDLE.names or (), "bigint")})
_EXECUTIONS: Final = Staging(
    "new_executions",
    {
        "account": "bigint", "symbol": "bigint", "trade_id": "bigint", "order_id": "bigint", "side": "smallint",
        "is_maker": "boolean", "price_ticks": "bigint", "qty_lots": "bigint", "quote_units": "bigint",
        "commission_units": "bigint", "ts_ns": "bigint",
    },
)  # fmt: skip
# Staged rows carry the symbol's number; $1 is the list of names.
# Any byte is a LATIN1 character, and the first 128 are ASCII, which is all that the API lets in.
_INSERT_ORDERS: Final = (
    "INSERT INTO orders SELECT order_id, account, name, convert_from(rtrim(client_order_id, '\\x00'), 'LATIN1'), side, "
    "ord_type, time_in_force, stp_mode, flags, price_ticks, qty_lots, leaves_lots, cum_qty_lots, cum_quote_units, "
    "ord_status, reason, created_ns, updated_ns FROM new_orders "
    "JOIN unnest($1::text[]) WITH ORDINALITY AS names (name, number) ON number = symbol + 1 "
    "ON CONFLICT DO NOTHING"
)
_UPDATE_ORDERS: Final = (
    "UPDATE orders AS o SET qty_lots = CASE WHEN c.qty_lots < 0 THEN o.qty_lots ELSE c.qty_lots END, "
    "leaves_lots = c.leaves_lots, cum_qty_lots = o.cum_qty_lots + c.cum_qty_lots, "
    "cum_quote_units = o.cum_quote_units + c.cum_quote_units, "
    "ord_status = CASE WHEN c.ord_status < 0 THEN o.ord_status ELSE c.ord_status END, reason = c.reason, "
    "updated_ns = c.updated_ns FROM order_changes AS c WHERE o.order_id = c.order_id"
)
_INSERT_TRADES: Final = (
    "INSERT INTO trades SELECT name, trade_id, price_ticks, qty_lots, quote_units, taker_side, ts_ns, agg_id "
    "FROM new_trades JOIN unnest($1::text[]) WITH ORDINALITY AS names (name, number) ON number = symbol + 1 "
    "ON CONFLICT DO NOTHING"
)
_INSERT_EXECUTIONS: Final = (
    "INSERT INTO executions SELECT account, name, trade_id, order_id, side, is_maker, price_ticks, qty_lots, "
    "quote_units, commission_units, ts_ns FROM new_executions "
    "JOIN unnest($1::text[]) WITH ORDINALITY AS names (name, number) ON number = symbol + 1 "
    "ON CONFLICT DO NOTHING"
)
# Exactly once: what a flush adds to a candle can be added to what is there.
_ADD_TO_CANDLES: Final = (
    "INSERT INTO candles AS old SELECT name, width_s, open_ns, open, high, low, close, volume, quote, trades, taker_buy, "
    "taker_buy_quote, first_trade_id, last_trade_id FROM new_candles "
    "JOIN unnest($1::text[]) WITH ORDINALITY AS names (name, number) ON number = symbol + 1 "
    "ON CONFLICT (symbol, width_s, open_ns) DO UPDATE SET high_ticks = greatest(old.high_ticks, excluded.high_ticks), "
    "low_ticks = least(old.low_ticks, excluded.low_ticks), close_ticks = excluded.close_ticks, "
    "volume_lots = old.volume_lots + excluded.volume_lots, quote_units = old.quote_units + excluded.quote_units, "
    "trades = old.trades + excluded.trades, taker_buy_lots = old.taker_buy_lots + excluded.taker_buy_lots, "
    "taker_buy_quote_units = old.taker_buy_quote_units + excluded.taker_buy_quote_units, "
    "last_trade_id = excluded.last_trade_id"
)
_UPSERT_POSITIONS: Final = (
    "INSERT INTO projection (name, stream, seq) VALUES ($1, $2, $3) "
    "ON CONFLICT (name, stream) DO UPDATE SET seq = excluded.seq"
)


async def prepare(connection: asyncpg.Connection) -> None:
    """Once on every connection that `ReadModels.write` is given."""
    for staging in (_NEW_ORDERS, _CHANGES, _TRADES, _EXECUTIONS, _CANDLES):
        await connection.execute(staging.create)


class ReadModels:
    """What is not yet written. Quiet accounts (simulated participants) get no orders and executions."""

    def __init__(self, instruments: list[Instrument], quiet: set[int]) -> None:
        self.quiet = quiet
        self.positions: dict[str, int] = {}
        self._names = [one.symbol for one in instruments]
        self._base_per_lot = np.array([one.base_units_per_lot for one in instruments], np.int64)
        self._batches: list[Batch] = []
        self._tapes: list[Records] = []
        self._events = 0

    def __len__(self) -> int:
        return self._events

    def add(self, batch: Batch) -> None:
        self._batches.append(batch)
        self._events += len(batch.events)

    def add_tape(self, tape: Records) -> None:
        """TAPE[n] of batches that were added, each part by symbol and then in order."""
        if len(tape):
            self._tapes.append(tape)

    def accounts(self) -> set[int]:
        """Every account with an event in it, quiet or not."""
        found: set[int] = set()
        for batch in self._batches:
            found.update(np.unique(batch.events["account"]).tolist())
        return found

    async def write(self, connection: asyncpg.Connection, projection: str) -> int:
        """Write everything and the stream positions in one transaction; returns the number of rows."""
        events, commands, ts_ns = self._gathered()
        async with connection.transaction():
            rows = await self._write_orders(connection, events, commands, ts_ns)
            rows += await self._write_trades(connection, events, ts_ns)
            rows += await self._write_tape(connection)
            positions = [(projection, stream, seq) for stream, seq in self.positions.items()]
            await connection.executemany(_UPSERT_POSITIONS, positions)
        return rows

    def _gathered(self) -> tuple[Records, Records, Column]:
        """All events, with `command_index` into all commands, and each event's time."""
        empty = Batch(0, 0, 0, 0, np.zeros(0, COMMAND), np.zeros(0, EVENT))
        batches = self._batches or [empty]
        commands = joined([one.commands for one in batches], COMMAND)
        events = joined([one.events for one in batches], EVENT)
        counts = [len(one.events) for one in batches]
        first_command = np.cumsum([0, *(len(one.commands) for one in batches[:-1])])
        events["command_index"] += np.repeat(first_command, counts).astype(np.int32)
        return events, commands, np.repeat([one.ts_ns for one in batches], counts)

    async def _write_orders(
        self, connection: asyncpg.Connection, events: Records, commands: Records, ts_ns: Column
    ) -> int:
        changes = changes_of(events, ts_ns, self.quiet)
        is_new = changes.accepted_at >= 0
        born_at = changes.accepted_at[is_new]
        if len(born_at):
            born = events[born_at]
            columns = {name: column[is_new] for name, column in changes._asdict().items()}
            columns |= {name: born[name] for name in ("account", "symbol", "side", "ord_type", "time_in_force")}
            columns |= {name: born[name] for name in ("stp_mode", "flags", "price_ticks")}
            columns["client_order_id"] = commands["client_order_id"][born["command_index"]]
            columns["created_ns"] = ts_ns[born_at]
            await _NEW_ORDERS.fill(connection, columns)
            await connection.execute(_INSERT_ORDERS, self._names)
        if len(born_at) < len(is_new):
            await _CHANGES.fill(connection, {name: column[~is_new] for name, column in changes._asdict().items()})
            await connection.execute(_UPDATE_ORDERS)
        return len(is_new)

    async def _write_trades(self, connection: asyncpg.Connection, events: Records, ts_ns: Column) -> int:
        is_trade = events["kind"] == EventKind.TRADE
        trades, ts_ns = events[is_trade], ts_ns[is_trade]
        if not len(trades):
            return 0
        made = executions_of(trades, ts_ns, self.quiet, self._base_per_lot)
        await _EXECUTIONS.fill(connection, made._asdict())
        await connection.execute(_INSERT_EXECUTIONS, self._names)
        return len(made.account)

    async def _write_tape(self, connection: asyncpg.Connection) -> int:
        if not self._tapes:
            return 0
        tape = np.concatenate(self._tapes)
        tape = tape[np.argsort(tape["symbol"], kind="stable")]
        await _TRADES.fill(connection, {name: tape[name] for name in TAPE.names or ()})
        await connection.execute(_INSERT_TRADES, self._names)
        seconds = seconds_of(tape)
        made = [folded(seconds, width_ns) for width_ns in STORED_WIDTHS_NS]
        candles = np.concatenate(made)
        widths = np.repeat([width_ns // SECOND_NS for width_ns in STORED_WIDTHS_NS], [len(one) for one in made])
        await _CANDLES.fill(connection, {name: candles[name] for name in CANDLE.names or ()} | {"width_s": widths})
        await connection.execute(_ADD_TO_CANDLES, self._names)
        return len(tape) + len(candles)
