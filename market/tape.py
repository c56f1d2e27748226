"""The public tape: trades in the order they happened, with the numbers of their aggregates. Pure; whole columns.

An aggregate is a run of consecutive trades of one command's taker order at one price; each trade of a real venue is one
of its own. Aggregates never reach across batches, and numbering goes on from the last number given, after a restart too.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from market.enums import CommandKind, EventKind
from market.numbering import OUTSIDE_ACCOUNT

Records = npt.NDArray[np.void]
Column = npt.NDArray[Any]

TAPE = np.dtype(
    [
        ("symbol", "<i8"),
        ("trade_id", "<i8"),
        ("agg_id", "<i8"),  # dense per symbol from 1
        ("price_ticks", "<i8"),
        ("qty_lots", "<i8"),
        ("quote_units", "<i8"),
        ("taker_side", "<i8"),
        ("ts_ns", "<i8"),
        ("is_outside", "?"),  # both sides are a real venue's
        ("is_venues", "?"),  # a real venue's trade, which may have filled a user's order
        ("venue_trade_id", "<i8"),  # of those
        ("venue_ns", "<i8"),  # of those, the venue's own time; 0: unknown
    ]
)


def tape_of(events: Records, commands: Records, ts_ns: Column, last_agg_ids: npt.NDArray[np.int64]) -> Records:
    """EVENT[m] with their times and `command_index` into COMMAND[k] -> TAPE[n], by symbol and then in journal order.

    `last_agg_ids`, by symbol, is moved on. The events are whole batches.
    """
    at = np.flatnonzero(events["kind"] == EventKind.TRADE)
    if not len(at):
        return np.zeros(0, TAPE)
    at = at[np.argsort(events["symbol"][at], kind="stable")]
    trades = events[at]
    tape = np.zeros(len(at), TAPE)
    for name in ("symbol", "trade_id", "price_ticks", "qty_lots", "quote_units"):
        tape[name] = trades[name]
    tape["taker_side"] = trades["side"]
    tape["ts_ns"] = ts_ns[at]
    _tell_venue(tape, trades, commands)
    new_symbol = np.diff(tape["symbol"], prepend=-1) != 0
    new = new_symbol.copy()
    for column in (trades["order_id"], tape["price_ticks"], trades["command_index"]):
        new[1:] |= np.diff(column) != 0
    count = np.cumsum(new)
    starts = np.flatnonzero(new_symbol)
    symbols = tape["symbol"][starts]
    before = np.repeat(count[starts] - 1 - last_agg_ids[symbols], np.diff(np.append(starts, len(tape))))
    tape["agg_id"] = count - before
    last_agg_ids[symbols] = tape["agg_id"][np.append(starts[1:], len(tape)) - 1]
    return tape


def _tell_venue(tape: Records, trades: Records, commands: Records) -> None:
    taken = trades["account"] == OUTSIDE_ACCOUNT
    at = np.flatnonzero(taken)
    if not len(at):
        return
    causes = commands[trades["command_index"][at]]
    venues = causes["kind"] == CommandKind.OUTSIDE_TRADE
    at, causes = at[venues], causes[venues]
    tape["is_outside"] = taken & (trades["maker_account"] == OUTSIDE_ACCOUNT)
    tape["is_venues"][at] = True
    tape["venue_trade_id"][at] = causes["token"].view(np.int64)
    tape["venue_ns"][at] = causes["quote_units"]
