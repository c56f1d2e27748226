"""From a run of committed events to what they change: one row per order, one row per side of a trade. Pure; numpy only.

The same order may be accepted, filled and canceled within the run: its row tells how it stands at the end.
"""

from collections.abc import Collection
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from market.enums import CommandFlag, Counterparty, EventKind, OrdStatus, Side
from market.instrument import PPM
from market.numbering import OUTSIDE_ACCOUNT
from market.reasons import Reason
from market.records import Records, picked

Column = npt.NDArray[Any]

UNCHANGED: Final = -1


class Changes(NamedTuple):
    """Columns, one entry per order, by order id."""

    order_id: Column
    account: Column
    accepted_at: Column
    """Index of its ACCEPTED event; UNCHANGED when it is older than the run."""
    qty_lots: Column
    """The order's total; UNCHANGED when it is older and was not amended."""
    leaves_lots: Column
    cum_qty_lots: Column
    """Filled within the run."""
    cum_quote_units: Column
    ord_status: Column
    """UNCHANGED when nothing happened to it."""
    reason: Column
    updated_ns: Column


class Legs(NamedTuple):
    """Columns, one entry per side of an event that is a user's; those of an order stand together, in journal order."""

    order_id: Column
    at: Column
    """Index of the event."""
    is_own: Column
    """The order is the event's `order_id`, not its `maker_order_id`."""
    starts: Column
    """Where each order begins."""


class Executions(NamedTuple):
    """Columns of the `executions` table; `symbol` is the instrument's number."""

    account: Column
    symbol: Column
    trade_id: Column
    order_id: Column
    side: Column
    is_maker: Column
    price_ticks: Column
    qty_lots: Column
    quote_units: Column
    commission_units: Column
    ts_ns: Column
    counterparty: Column
    """`Counterparty`"""


def is_user(accounts: Column, quiet: Collection[int]) -> Column:
    """Neither quiet nor a real venue's."""
    users: Column = ~np.isin(accounts, np.fromiter(quiet, np.int64, len(quiet))) & (accounts != OUTSIDE_ACCOUNT)
    return users


def legs_of(events: Records, quiet: Collection[int]) -> Legs:
    """EVENT[m] in journal order, by the orders that they are about."""
    kind = events["kind"]
    two_legged = (kind == EventKind.TRADE) | (kind == EventKind.PREVENTED)
    changes = (kind != EventKind.REJECTED) & (kind != EventKind.QUEUED)
    own = np.flatnonzero(is_user(events["account"], quiet) & changes)
    made = np.flatnonzero(two_legged & is_user(events["maker_account"], quiet))
    order_id = np.concatenate((events["order_id"][own], events["maker_order_id"][made]))
    at = np.concatenate((own, made))
    by_order = np.lexsort((at, order_id))
    order_id = order_id[by_order]
    return Legs(order_id, at[by_order], by_order < len(own), np.flatnonzero(np.diff(order_id, prepend=-1)))


def changes_of(events: Records, ts_ns: Column, quiet: Collection[int]) -> Changes:
    """EVENT[m] in journal order with their times -> what users' orders became."""
    order_id, at, is_own, starts = legs_of(events, quiet)
    if not len(starts):
        return Changes(*(np.zeros(0, np.int64) for _ in Changes._fields))
    told = picked(events, at)
    kind = told["kind"]
    leaves = np.where(is_own, told["leaves_lots"], told["maker_leaves_lots"])
    filled = kind == EventKind.TRADE
    ended = (kind == EventKind.CANCELED) | (kind == EventKind.EXPIRED)
    accepted = kind == EventKind.ACCEPTED
    ends = np.append(starts[1:], len(order_id)) - 1
    return Changes(
        order_id[starts],
        np.where(is_own, told["account"], told["maker_account"])[starts],
        last_of(at, accepted, starts),
        last_of(told["qty_lots"], accepted | (kind == EventKind.AMENDED), starts),
        leaves[ends],
        np.add.reduceat(np.where(filled, told["qty_lots"], 0), starts),
        np.add.reduceat(np.where(filled, told["quote_units"], 0), starts),
        last_of(_status(told, kind, is_own, leaves), accepted | filled | ended, starts),
        np.where(ended[ends], told["reason"][ends], 0),
        ts_ns[at[ends]],
    )


def _status(told: Records, kind: Column, is_own: Column, leaves: Column) -> Column:
    """What each event makes of its order; meaningless for events that leave the status as it is."""
    # A MARKET order by quote amount is filled when it says so itself, whatever it leaves.
    open_ended = is_own & (told["flags"] & CommandFlag.BY_QUOTE != 0)
    partly = (leaves > 0) | open_ended
    expired = np.full(len(told), int(OrdStatus.EXPIRED))
    expired[told["reason"] == Reason.SELF_TRADE_PREVENTION] = OrdStatus.EXPIRED_IN_MATCH
    expired[told["reason"] == Reason.QUOTE_SPENT] = OrdStatus.FILLED
    return np.select(
        [kind == EventKind.TRADE, kind == EventKind.CANCELED, kind == EventKind.EXPIRED],
        [
            np.where(partly, int(OrdStatus.PARTIALLY_FILLED), int(OrdStatus.FILLED)),
            np.full(len(told), int(OrdStatus.CANCELED)),
            expired,
        ],
        int(OrdStatus.NEW),
    )


def last_of(values: Column, counts: Column, starts: Column) -> Column:
    """Of each group the last value that counts; UNCHANGED where none does."""
    at = np.maximum.reduceat(np.where(counts, np.arange(len(values)), UNCHANGED), starts)
    return np.where(at >= 0, values[at].astype(np.int64), UNCHANGED)


def executions_of(trades: Records, ts_ns: Column, quiet: Collection[int], base_units_per_lot: Column) -> Executions:
    """TRADE events -> a row for each side that is a user's. `base_units_per_lot`: by symbol."""
    taker = np.flatnonzero(is_user(trades["account"], quiet))
    maker = np.flatnonzero(is_user(trades["maker_account"], quiet))
    at = np.concatenate((taker, maker))
    is_maker = np.arange(len(at)) >= len(taker)
    told = picked(trades, at)
    side = np.where(is_maker, 1 - told["side"], told["side"])
    received = np.where(side == Side.BUY, told["qty_lots"] * base_units_per_lot[told["symbol"]], told["quote_units"])
    ppm = np.where(is_maker, told["maker_fee_ppm"], told["taker_fee_ppm"])
    # received * ppm does not fit 64 bits.
    commission = received // PPM * ppm + received % PPM * ppm // PPM
    return Executions(
        np.where(is_maker, told["maker_account"], told["account"]),
        told["symbol"],
        told["trade_id"],
        np.where(is_maker, told["maker_order_id"], told["order_id"]),
        side,
        is_maker,
        told["price_ticks"],
        told["qty_lots"],
        told["quote_units"],
        commission,
        ts_ns[at],
        _counterparties(told, is_maker),
    )


def _counterparties(told: Records, is_maker: Column) -> Column:
    other = np.where(is_maker, told["account"], told["maker_account"])
    return np.select(
        [other != OUTSIDE_ACCOUNT, ~is_maker, told["order_id"] == 0],
        [int(Counterparty.USER), int(Counterparty.OUTSIDE_LIQUIDITY), int(Counterparty.VENUE_PRINT)],
        int(Counterparty.VENUE_QUOTE),
    )
