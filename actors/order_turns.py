"""From a run of committed events to what few orders have: terms beside the plain ones, a start, a loss to self-trade
prevention, an amendment. Pure; numpy only.

A run without such events costs one look at their kinds.
"""

from collections.abc import Collection
from typing import Any, Final, NamedTuple

import numpy as np

from actors.order_rows import UNCHANGED, Column, is_user, last_of, legs_of
from market.enums import CommandFlag, EventKind, OrdType
from market.reasons import Reason
from market.records import Records, picked

_TERMS: Final = (
    "stop_price_ticks", "display_lots", "trailing_bips", "peg_type", "peg_offset", "list_id", "list_role",
)  # fmt: skip
_WAITS: Final = np.array([one for one in OrdType if one >= OrdType.STOP_LOSS])
_UNNAMED: Final = b""


class Terms(NamedTuple):
    """Columns, one entry per new order that is not plain."""

    order_id: Column
    stop_price_ticks: Column
    display_lots: Column
    trailing_bips: Column
    peg_type: Column
    peg_offset: Column
    list_id: Column
    list_role: Column
    working_ns: Column
    tracking_ns: Column


class Turns(NamedTuple):
    """Columns, one entry per order, by order id."""

    order_id: Column
    account: Column
    client_order_id: Column
    """Its newest name; empty: it was not renamed."""
    price_ticks: Column
    """UNCHANGED unless it was chosen when the order triggered."""
    prevented_lots: Column
    """Lost to self-trade prevention within the run."""
    prevented_match_id: Column
    """The newest that cost it something, or UNCHANGED."""
    working_ns: Column
    """UNCHANGED unless it triggered."""
    tracking_ns: Column
    """UNCHANGED unless it began to track."""


class Amendments(NamedTuple):
    """Columns, one entry per AMENDED; `symbol` is the instrument's number."""

    account: Column
    symbol: Column
    order_id: Column
    exec_id: Column
    orig_client_order_id: Column
    """Empty: as before the run."""
    new_client_order_id: Column
    """Empty: as before the run."""
    orig_qty_lots: Column
    """UNCHANGED: as before the run."""
    new_qty_lots: Column
    ts_ns: Column


class PreventedMatches(NamedTuple):
    """Columns of the `prevented_matches` table; `symbol` is the instrument's number."""

    account: Column
    symbol: Column
    prevented_match_id: Column
    taker_order_id: Column
    maker_order_id: Column
    stp_mode: Column
    price_ticks: Column
    taker_prevented_lots: Column
    maker_prevented_lots: Column
    ts_ns: Column


class Rare(NamedTuple):
    """The events of a run that plain orders do not have, and the commands and times of each."""

    events: Records
    commands: Records
    ts_ns: Column


def rare_of(events: Records, commands: Records, ts_ns: Column) -> Rare | None:
    """EVENT[m] with `command_index` into COMMAND[n]; None: there are none."""
    kind = events["kind"]
    turns = (kind >= EventKind.AMENDED) & (kind != EventKind.QUEUED)
    at = np.flatnonzero(turns | (events["reason"] == Reason.SELF_TRADE_PREVENTION))
    if not len(at):
        return None
    rare = picked(events, at)
    return Rare(rare, picked(commands, rare["command_index"].astype(np.int64)), ts_ns[at])


def terms_of(born: Records, commands: Records, created_ns: Column) -> Terms | None:
    """ACCEPTED events, the COMMAND of each and their times; None: all orders are plain."""
    terms = {name: commands[name] for name in _TERMS}
    has = np.logical_or.reduce([column != 0 for column in terms.values()])
    if not has.any():
        return None
    kept = {name: column[has] for name, column in terms.items()}
    created_ns = created_ns[has]
    tracks = (kept["trailing_bips"] != 0) & (kept["stop_price_ticks"] == 0)
    return Terms(
        order_id=born["order_id"][has],
        working_ns=np.where(np.isin(born["ord_type"][has], _WAITS), 0, created_ns),
        tracking_ns=np.where(tracks, created_ns, 0),
        **kept,
    )


def turns_of(rare: Rare, quiet: Collection[int]) -> Turns:
    legs = legs_of(rare.events, quiet)
    told, starts = picked(rare.events, legs.at), legs.starts
    if not len(starts):
        return Turns(*(np.zeros(0, np.int64) for _ in Turns._fields))
    kind, ts_ns = told["kind"], rare.ts_ns[legs.at]
    triggered = kind == EventKind.TRIGGERED
    lost = _lost(told)
    cost = (lost > 0) | (kind == EventKind.EXPIRED)
    renamed = last_of(legs.at, _renames(rare)[legs.at], starts)
    return Turns(
        legs.order_id[starts],
        np.where(legs.is_own, told["account"], told["maker_account"])[starts],
        np.where(renamed >= 0, rare.commands["client_order_id"][renamed], _UNNAMED),
        last_of(told["price_ticks"], triggered, starts),
        np.add.reduceat(lost, starts),
        last_of(told["trade_id"], cost, starts),
        last_of(ts_ns, triggered, starts),
        last_of(ts_ns, kind == EventKind.TRACKING, starts),
    )


def _lost(told: Records) -> Column:
    """To self-trade prevention, by each event."""
    kind = told["kind"]
    prevented, expired = kind == EventKind.PREVENTED, kind == EventKind.EXPIRED
    return np.where(prevented, told["qty_lots"], np.where(expired, told["leaves_lots"], 0))


def _renames(rare: Rare) -> Column:
    """Whether the command gives the event's order a name. The other leg of a pair is amended as well, and keeps its."""
    commands = rare.commands
    named = (commands["client_order_id"] != _UNNAMED) & (commands["flags"] & CommandFlag.BY_CLIENT_ORDER_ID == 0)
    own = (rare.events["kind"] == EventKind.AMENDED) & (commands["order_id"] == rare.events["order_id"])
    renames: Column = named & own
    return renames


def amendments_of(rare: Rare, born: Records, born_names: Column, quiet: Collection[int]) -> Amendments:
    """`born`: ACCEPTED events of the run, with their orders' names."""
    at = np.flatnonzero((rare.events["kind"] == EventKind.AMENDED) & is_user(rare.events["account"], quiet))
    amended = picked(rare.events, at)
    new = np.flatnonzero(np.isin(born["order_id"], amended["order_id"]))
    names = np.where(_renames(rare)[at], rare.commands["client_order_id"][at], _UNNAMED)
    order_id = np.concatenate((born["order_id"][new], amended["order_id"]))
    by_order = np.argsort(order_id, kind="stable")
    starts = np.diff(order_id[by_order], prepend=UNCHANGED) != 0
    qty = np.concatenate((born["qty_lots"][new], amended["qty_lots"]))[by_order]
    names = _carried(np.concatenate((born_names[new], names))[by_order], starts)
    orig_qty, orig_names = np.roll(qty, 1), np.roll(names, 1)
    orig_qty[starts], orig_names[starts] = UNCHANGED, _UNNAMED
    is_row = by_order >= len(new)
    told = picked(amended, by_order[is_row] - len(new))
    return Amendments(
        told["account"], told["symbol"], told["order_id"], told["exec_id"], orig_names[is_row], names[is_row],
        orig_qty[is_row], qty[is_row], rare.ts_ns[at][by_order[is_row] - len(new)],
    )  # fmt: skip


def _carried(names: Column, starts: Column) -> Column:
    """Each empty name is the one before it of the same order, if there is one."""
    named = np.maximum.accumulate(np.where((names != _UNNAMED) | starts, np.arange(len(names)), 0))
    return names[named]


def prevented_of(rare: Rare, quiet: Collection[int]) -> PreventedMatches:
    """The EXPIREDs that a PREVENTED causes come before the next one."""
    events, kind = rare.events, rare.events["kind"]
    at = np.flatnonzero(kind == EventKind.PREVENTED)
    ends = np.flatnonzero(kind == EventKind.EXPIRED)
    of = np.searchsorted(at, ends) - 1
    matches = picked(events, at)
    is_taker = events["order_id"][ends] == matches["order_id"][of]
    lost = events["leaves_lots"][ends]
    users = is_user(matches["account"], quiet)
    columns: tuple[Any, ...] = (
        matches["account"], matches["symbol"], matches["trade_id"], matches["order_id"], matches["maker_order_id"],
        matches["stp_mode"], matches["price_ticks"], matches["qty_lots"] + _summed(lost, is_taker, of, len(at)),
        matches["qty_lots"] + _summed(lost, ~is_taker, of, len(at)), rare.ts_ns[at],
    )  # fmt: skip
    return PreventedMatches(*(column[users] for column in columns))


def _summed(lots: Column, counts: Column, of: Column, size: int) -> Column:
    """The lots that count, by the match they are of."""
    sums = np.zeros(size, np.int64)
    np.add.at(sums, of[counts], lots[counts])
    return sums
