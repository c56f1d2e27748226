"""From a run of committed events to how users' orders stood in the queues at a venue's prices. Pure; numpy only."""

from collections.abc import Collection
from typing import Final, NamedTuple

import numpy as np

from actors.order_rows import Column, is_user
from actors.staging import Staging
from market.enums import EventKind
from market.records import Records, picked

QUEUES: Final = Staging(
    "new_queues",
    {
        "order_id": "bigint", "symbol": "bigint", "exec_id": "bigint", "ts_ns": "bigint", "price_ticks": "bigint",
        "leaves_lots": "bigint", "ahead_lots": "bigint", "by_trades_lots": "bigint", "by_cancels_lots": "bigint",
        "trade_id": "bigint",
    },
)  # fmt: skip
# Staged rows carry the symbol's number; $1 is the list of names. No trade has the number 0.
INSERT_QUEUES: Final = (
    "INSERT INTO order_queue (order_id, symbol, exec_id, ts_ns, price_ticks, leaves_lots, ahead_lots, by_trades_lots, "
    "by_cancels_lots, trade_id) SELECT order_id, name, exec_id, ts_ns, price_ticks, leaves_lots, ahead_lots, "
    "by_trades_lots, by_cancels_lots, nullif(trade_id, 0) FROM new_queues "
    "JOIN unnest($1::text[]) WITH ORDINALITY AS names (name, number) ON number = symbol + 1 "
    "ON CONFLICT DO NOTHING"
)


class Queues(NamedTuple):
    """Columns of the `order_queue` table; `symbol` is the instrument's number."""

    order_id: Column
    symbol: Column
    exec_id: Column
    ts_ns: Column
    price_ticks: Column
    leaves_lots: Column
    ahead_lots: Column
    by_trades_lots: Column
    by_cancels_lots: Column
    trade_id: Column
    """Of the fill that follows; 0: none does."""


def queues_of(events: Records, ts_ns: Column, quiet: Collection[int]) -> Queues | None:
    """EVENT[m] in journal order with their times; None: no order's place was told."""
    at = np.flatnonzero((events["kind"] == EventKind.QUEUED) & is_user(events["account"], quiet))
    if not len(at):
        return None
    told = picked(events, at)
    next_at = np.minimum(at + 1, len(events) - 1)
    after = picked(events, next_at)
    filled = (after["kind"] == EventKind.TRADE) & (after["maker_order_id"] == told["order_id"]) & (next_at > at)
    by_trades = told["maker_leaves_lots"]
    return Queues(
        told["order_id"], told["symbol"], told["exec_id"], ts_ns[at], told["price_ticks"], told["leaves_lots"],
        told["quote_units"], by_trades, told["qty_lots"] - told["quote_units"] - by_trades,
        np.where(filled & (after["symbol"] == told["symbol"]), after["trade_id"], 0),
    )  # fmt: skip
