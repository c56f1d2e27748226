"""The public tape: trades in the order they happened, with the numbers of their aggregates. Pure; whole columns.

An aggregate is a run of consecutive trades of one command's taker order at one price; each trade of a real venue is one
of its own. Aggregates never reach across batches, and numbering goes on from the last number given, after a restart too.
"""

from typing import Any, NamedTuple

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


class TapeEnds(NamedTuple):
    """Where the tape of each symbol stands."""

    agg_ids: npt.NDArray[np.int64]
    ts_ns: npt.NDArray[np.int64]

    @classmethod
    def of(cls, symbols: int) -> "TapeEnds":
        return cls(np.zeros(symbols, np.int64), np.zeros(symbols, np.int64))


def tape_of(events: Records, commands: Records, ts_ns: Column, ends: TapeEnds) -> Records:
    """EVENT[m] with their times and `command_index` into COMMAND[k] -> TAPE[n], by symbol and then in journal order.

    `ends` are moved on. The events are whole batches. A symbol's tape never goes back in time: what a venue caused may
    reach the book after users' trades that are later, and is then as late as they are.
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
    before = np.repeat(count[starts] - 1 - ends.agg_ids[symbols], np.diff(np.append(starts, len(tape))))
    tape["agg_id"] = count - before
    last = np.append(starts[1:], len(tape)) - 1
    _keep_time(tape, starts, ends.ts_ns)
    ends.agg_ids[symbols], ends.ts_ns[symbols] = tape["agg_id"][last], tape["ts_ns"][last]
    return tape


def _keep_time(tape: Records, starts: Column, last_ns: npt.NDArray[np.int64]) -> None:
    ts_ns = tape["ts_ns"]
    since = np.concatenate(([0], ts_ns[:-1]))
    since[starts] = last_ns[tape["symbol"][starts]]
    if (ts_ns >= since).all():
        return
    ts_ns[starts] = np.maximum(ts_ns[starts], since[starts])
    for part in np.split(ts_ns, starts[1:]):
        np.maximum.accumulate(part, out=part)


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
