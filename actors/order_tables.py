"""The tables about users' orders: how a run of committed events gets into them. Knows no batches and no positions."""

from collections.abc import Collection, Sequence
from typing import Final

import asyncpg
import numpy as np

from actors.order_copy import copy_orders
from actors.order_rows import Column, changes_of
from actors.order_turns import Rare, amendments_of, prevented_of, rare_of, terms_of, turns_of
from actors.staging import Staging
from market.records import Records, picked

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
_CHANGES: Final = Staging("order_changes", {"order_id": "bigint", "account": "bigint", **_STATE})
# What plain orders do not have is staged apart: most rows would carry zeros.
_TERMS: Final = Staging(
    "order_terms",
    {
        "order_id": "bigint", "stop_price_ticks": "bigint", "display_lots": "bigint", "trailing_bips": "bigint",
        "peg_type": "smallint", "peg_offset": "smallint", "list_id": "bigint", "list_role": "smallint",
        "working_ns": "bigint", "tracking_ns": "bigint",
    },
)  # fmt: skip
_TURNS: Final = Staging(
    "order_turns",
    {
        "order_id": "bigint", "account": "bigint", "client_order_id": "bytea", "price_ticks": "bigint",
        "prevented_lots": "bigint", "prevented_match_id": "bigint", "working_ns": "bigint", "tracking_ns": "bigint",
    },
)  # fmt: skip
_AMENDMENTS: Final = Staging(
    "new_amendments",
    {
        "account": "bigint", "symbol": "bigint", "order_id": "bigint", "exec_id": "bigint",
        "orig_client_order_id": "bytea", "new_client_order_id": "bytea", "orig_qty_lots": "bigint",
        "new_qty_lots": "bigint", "ts_ns": "bigint",
    },
)  # fmt: skip
_PREVENTED: Final = Staging(
    "new_prevented",
    {
        "account": "bigint", "symbol": "bigint", "prevented_match_id": "bigint", "taker_order_id": "bigint",
        "maker_order_id": "bigint", "stp_mode": "smallint", "price_ticks": "bigint", "taker_prevented_lots": "bigint",
        "maker_prevented_lots": "bigint", "ts_ns": "bigint",
    },
)  # fmt: skip
STAGINGS: Final = (_NEW_ORDERS, _CHANGES, _TERMS, _TURNS, _AMENDMENTS, _PREVENTED)

# Staged rows carry the symbol's number; $1 is the list of names.
# Any byte is a LATIN1 character, and the first 128 are ASCII, which is all that the API lets in.
_INSERT_ORDERS: Final = (
    "INSERT INTO orders (order_id, account, symbol, client_order_id, side, ord_type, time_in_force, stp_mode, flags, "
    "price_ticks, qty_lots, leaves_lots, cum_qty_lots, cum_quote_units, ord_status, reason, created_ns, updated_ns, "
    "working_ns, stop_price_ticks, display_lots, trailing_bips, peg_type, peg_offset, list_id, list_role, tracking_ns) "
    "SELECT order_id, account, name, convert_from(rtrim(client_order_id, '\\x00'), 'LATIN1'), side, ord_type, "
    "time_in_force, stp_mode, flags, price_ticks, qty_lots, leaves_lots, cum_qty_lots, cum_quote_units, ord_status, "
    "reason, created_ns, updated_ns, working_ns, stop_price_ticks, display_lots, trailing_bips, peg_type, peg_offset, "
    "list_id, list_role, tracking_ns FROM new_orders LEFT JOIN order_terms USING (order_id) "
    "JOIN unnest($1::text[]) WITH ORDINALITY AS names (name, number) ON number = symbol + 1 "
    "ON CONFLICT DO NOTHING"
)
_UPDATE_ORDERS: Final = (
    "UPDATE orders AS o SET qty_lots = CASE WHEN c.qty_lots < 0 THEN o.qty_lots ELSE c.qty_lots END, "
    "leaves_lots = c.leaves_lots, cum_qty_lots = o.cum_qty_lots + c.cum_qty_lots, "
    "cum_quote_units = o.cum_quote_units + c.cum_quote_units, "
    "ord_status = CASE WHEN c.ord_status < 0 THEN o.ord_status ELSE c.ord_status END, reason = c.reason, "
    "updated_ns = c.updated_ns FROM order_changes AS c WHERE o.account = c.account AND o.order_id = c.order_id"
)
_TURN_ORDERS: Final = (
    "UPDATE orders AS o SET client_order_id = coalesce("
    "nullif(convert_from(rtrim(c.client_order_id, '\\x00'), 'LATIN1'), ''), o.client_order_id), "
    "price_ticks = CASE WHEN c.price_ticks < 0 THEN o.price_ticks ELSE c.price_ticks END, "
    "prevented_lots = coalesce(o.prevented_lots, 0) + c.prevented_lots, "
    "prevented_match_id = greatest(o.prevented_match_id, c.prevented_match_id, 0), "
    "working_ns = CASE WHEN c.working_ns < 0 THEN o.working_ns ELSE c.working_ns END, "
    "tracking_ns = CASE WHEN c.tracking_ns < 0 THEN o.tracking_ns ELSE c.tracking_ns END "
    "FROM order_turns AS c WHERE o.account = c.account AND o.order_id = c.order_id"
)
# An order that is older than the run stands in `orders` as it was before.
_INSERT_AMENDMENTS: Final = (
    "INSERT INTO amendments (account, symbol, order_id, exec_id, orig_client_order_id, new_client_order_id, "
    "orig_qty_lots, new_qty_lots, ts_ns) SELECT c.account, name, c.order_id, c.exec_id, "
    "coalesce(nullif(convert_from(rtrim(c.orig_client_order_id, '\\x00'), 'LATIN1'), ''), o.client_order_id, ''), "
    "coalesce(nullif(convert_from(rtrim(c.new_client_order_id, '\\x00'), 'LATIN1'), ''), o.client_order_id, ''), "
    "CASE WHEN c.orig_qty_lots < 0 THEN o.qty_lots ELSE c.orig_qty_lots END, c.new_qty_lots, c.ts_ns "
    "FROM new_amendments AS c LEFT JOIN orders AS o ON o.account = c.account AND o.order_id = c.order_id "
    "JOIN unnest($1::text[]) WITH ORDINALITY AS names (name, number) ON number = c.symbol + 1 "
    "WHERE c.orig_qty_lots >= 0 OR o.order_id IS NOT NULL ON CONFLICT DO NOTHING"
)
_INSERT_PREVENTED: Final = (
    "INSERT INTO prevented_matches (account, symbol, prevented_match_id, taker_order_id, maker_order_id, stp_mode, "
    "price_ticks, taker_prevented_lots, maker_prevented_lots, ts_ns) SELECT account, name, prevented_match_id, "
    "taker_order_id, maker_order_id, stp_mode, price_ticks, taker_prevented_lots, maker_prevented_lots, ts_ns "
    "FROM new_prevented JOIN unnest($1::text[]) WITH ORDINALITY AS names (name, number) ON number = symbol + 1 "
    "ON CONFLICT DO NOTHING"
)


class OrderTables:
    """A run of events on its way into the tables; inside a transaction. EVENT[m] have `command_index` into COMMAND[n].

    `anew`: none of the run's new orders is in the tables already.
    """

    def __init__(
        self, connection: asyncpg.Connection, names: Sequence[str], quiet: Collection[int], anew: bool = True
    ) -> None:
        self._anew = anew
        self._connection = connection
        self._names = names
        self._quiet = quiet

    async def write(self, events: Records, commands: Records, ts_ns: Column) -> int:
        """Returns the number of rows."""
        changes = changes_of(events, ts_ns, self._quiet)
        is_new = changes.accepted_at >= 0
        born_at = changes.accepted_at[is_new]
        born = picked(events, born_at)
        born_by = picked(commands, born["command_index"].astype(np.int64))
        rare = rare_of(events, commands, ts_ns)
        rows = len(is_new)
        if rare is not None:
            rows += await self._write_amendments(rare, born, born_by)
            rows += await self._write_prevented(rare)
        if len(born_at):
            columns = {name: column[is_new] for name, column in changes._asdict().items()}
            await self._write_new(columns, born, born_by, ts_ns[born_at])
        if len(born_at) < len(is_new):
            await _CHANGES.fill(self._connection, {name: column[~is_new] for name, column in changes._asdict().items()})
            await self._connection.execute(_UPDATE_ORDERS)
        if rare is not None:
            await self._write_turns(rare)
        return rows

    async def _write_new(self, columns: dict[str, Column], born: Records, born_by: Records, created_ns: Column) -> None:
        columns |= {name: born[name] for name in ("symbol", "side", "ord_type", "time_in_force")}
        columns |= {name: born[name] for name in ("stp_mode", "flags", "price_ticks")}
        columns |= {"client_order_id": born_by["client_order_id"], "created_ns": created_ns}
        terms = terms_of(born, born_by, created_ns)
        if self._anew:
            plain = np.ones(len(born), np.bool_) if terms is None else ~np.isin(columns["order_id"], terms.order_id)
            if plain.any():
                taken = {name: column[plain] for name, column in columns.items()}
                await copy_orders(self._connection, columns if terms is None else taken, self._names)
            if terms is None:
                return
            columns = {name: column[~plain] for name, column in columns.items()}
        await _NEW_ORDERS.fill(self._connection, columns)
        if terms is not None:
            await _TERMS.fill(self._connection, terms._asdict())
        await self._connection.execute(_INSERT_ORDERS, self._names)

    async def _write_amendments(self, rare: Rare, born: Records, born_by: Records) -> int:
        """Before the orders change: they tell what older ones were."""
        made = amendments_of(rare, born, born_by["client_order_id"], self._quiet)
        if len(made.order_id):
            await _AMENDMENTS.fill(self._connection, made._asdict())
            await self._connection.execute(_INSERT_AMENDMENTS, self._names)
        return len(made.order_id)

    async def _write_prevented(self, rare: Rare) -> int:
        made = prevented_of(rare, self._quiet)
        if len(made.account):
            await _PREVENTED.fill(self._connection, made._asdict())
            await self._connection.execute(_INSERT_PREVENTED, self._names)
        return len(made.account)

    async def _write_turns(self, rare: Rare) -> None:
        turns = turns_of(rare, self._quiet)
        if len(turns.order_id):
            await _TURNS.fill(self._connection, turns._asdict())
            await self._connection.execute(_TURN_ORDERS)
