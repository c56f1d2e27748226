"""Gathers what committed batches mean for the queryable tables, and writes it in one transaction with the cursor.

Exactly once: rows and the stream positions they come from are committed together. Whole columns at a time: a flush may
hold tens of thousands of events, and Python that touches each of them costs more than matching them did.
"""

from typing import Final

import asyncpg
import numpy as np

from actors.batches import run_of
from actors.day_partitions import make_days
from actors.order_queues import INSERT_QUEUES, QUEUES, queues_of
from actors.order_rows import Column, executions_of
from actors.order_tables import STAGINGS, OrderTables
from actors.staging import Staging
from actors.wire import Batch
from market.candles import CANDLE, STORED_WIDTHS_NS, folded, seconds_of
from market.enums import EventKind
from market.instrument import Instrument
from market.intervals import DAY_NS, SECOND_NS
from market.records import Records
from market.tape import TAPE

_TRADES: Final = Staging(
    "new_trades",
    {
        "symbol": "bigint", "trade_id": "bigint", "price_ticks": "bigint", "qty_lots": "bigint",
        "quote_units": "bigint", "taker_side": "smallint", "ts_ns": "bigint", "agg_id": "bigint", "is_outside": "boolean",
        "is_venues": "boolean", "venue_trade_id": "bigint", "venue_ns": "bigint",
    },
)  # fmt: skip
_CANDLES: Final = Staging("new_candles", {"width_s": "bigint", **dict.fromkeys(CANDLE.names or (), "bigint")})
_EXECUTIONS: Final = Staging(
    "new_executions",
    {
        "account": "bigint", "symbol": "bigint", "trade_id": "bigint", "order_id": "bigint", "side": "smallint",
        "is_maker": "boolean", "price_ticks": "bigint", "qty_lots": "bigint", "quote_units": "bigint",
        "commission_units": "bigint", "ts_ns": "bigint", "counterparty": "smallint",
    },
)  # fmt: skip
# Staged rows carry the symbol's number; $1 is the list of names.
_INSERT_TRADES: Final = (
    "INSERT INTO trades (symbol, trade_id, price_ticks, qty_lots, quote_units, taker_side, ts_ns, agg_id, is_outside, "
    "venue_trade_id, venue_ns) SELECT name, trade_id, price_ticks, qty_lots, quote_units, taker_side, ts_ns, agg_id, "
    "is_outside, CASE WHEN is_venues THEN venue_trade_id END, CASE WHEN is_venues THEN nullif(venue_ns, 0) END "
    "FROM new_trades JOIN unnest($1::text[]) WITH ORDINALITY AS names (name, number) ON number = symbol + 1 "
    "ON CONFLICT DO NOTHING"
)
_INSERT_EXECUTIONS: Final = (
    "INSERT INTO executions (account, symbol, trade_id, order_id, side, is_maker, price_ticks, qty_lots, quote_units, "
    "commission_units, ts_ns, counterparty) SELECT account, name, trade_id, order_id, side, is_maker, price_ticks, "
    "qty_lots, quote_units, commission_units, ts_ns, counterparty FROM new_executions "
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
_POSITION: Final = "SELECT seq FROM projection WHERE name = $1 AND stream = $2"
_UPSERT_POSITIONS: Final = (
    "INSERT INTO projection (name, stream, seq) VALUES ($1, $2, $3) "
    "ON CONFLICT (name, stream) DO UPDATE SET seq = excluded.seq"
)


async def prepare(connection: asyncpg.Connection) -> None:
    """Once on every connection that `ReadModels.write` is given."""
    for staging in (*STAGINGS, QUEUES, _TRADES, _EXECUTIONS, _CANDLES):
        await connection.execute(staging.create)


class ReadModels:
    """What is not yet written. Quiet accounts (simulated participants) get no rows but in the tape."""

    def __init__(self, instruments: list[Instrument], quiet: set[int]) -> None:
        self.quiet = quiet
        self.positions: dict[str, int] = {}
        self._names = [one.symbol for one in instruments]
        self._base_per_lot = np.array([one.base_units_per_lot for one in instruments], np.int64)
        self._batches: list[Batch] = []
        self._tapes: list[Records] = []
        self._events = 0
        self._anew = True
        """False: some orders are in the table, against all that is known, and are left there as they are."""

    def __len__(self) -> int:
        return self._events

    def add(self, batch: Batch) -> None:
        if len(batch.events):
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
        """Write everything and the stream positions in one transaction; returns the number of rows.

        Again after an error, whose outcome is not known: what was written then is not written twice.
        """
        events, commands, ts_ns = run_of(self._batches)
        async with connection.transaction():
            if await self._is_written(connection, projection):
                return 0
            orders = OrderTables(connection, self._names, self.quiet, self._anew)
            try:
                rows = await orders.write(events, commands, ts_ns)
            except asyncpg.UniqueViolationError:
                self._anew = False
                raise
            rows += await self._write_trades(connection, events, ts_ns)
            rows += await self._write_queues(connection, events, ts_ns)
            rows += await self._write_tape(connection)
            positions = [(projection, stream, seq) for stream, seq in self.positions.items()]
            await connection.executemany(_UPSERT_POSITIONS, positions)
        return rows

    async def _is_written(self, connection: asyncpg.Connection, projection: str) -> bool:
        stream, seq = next(iter(self.positions.items()))
        found = await connection.fetchval(_POSITION, projection, stream)
        return found is not None and found >= seq

    async def _write_trades(self, connection: asyncpg.Connection, events: Records, ts_ns: Column) -> int:
        is_trade = events["kind"] == EventKind.TRADE
        trades, ts_ns = events[is_trade], ts_ns[is_trade]
        if not len(trades):
            return 0
        made = executions_of(trades, ts_ns, self.quiet, self._base_per_lot)
        await _EXECUTIONS.fill(connection, made._asdict())
        await connection.execute(_INSERT_EXECUTIONS, self._names)
        return len(made.account)

    async def _write_queues(self, connection: asyncpg.Connection, events: Records, ts_ns: Column) -> int:
        made = queues_of(events, ts_ns, self.quiet)
        if made is None:
            return 0
        await QUEUES.fill(connection, made._asdict())
        await connection.execute(INSERT_QUEUES, self._names)
        return len(made.order_id)

    async def _write_tape(self, connection: asyncpg.Connection) -> int:
        if not self._tapes:
            return 0
        tape = np.concatenate(self._tapes)
        tape = tape[np.argsort(tape["symbol"], kind="stable")]
        await make_days(connection, np.unique(tape["ts_ns"] // DAY_NS).tolist())
        await _TRADES.fill(connection, {name: tape[name] for name in TAPE.names or ()})
        await connection.execute(_INSERT_TRADES, self._names)
        seconds = seconds_of(tape)
        made = [folded(seconds, width_ns) for width_ns in STORED_WIDTHS_NS]
        candles = np.concatenate(made)
        widths = np.repeat([width_ns // SECOND_NS for width_ns in STORED_WIDTHS_NS], [len(one) for one in made])
        await _CANDLES.fill(connection, {name: candles[name] for name in CANDLE.names or ()} | {"width_s": widths})
        await connection.execute(_ADD_TO_CANDLES, self._names)
        return len(tape) + len(candles)
