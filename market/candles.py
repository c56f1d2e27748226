"""Candles as columns: from the tape to seconds, from seconds to anything longer. Pure; ticks, lots, quote units.

A candle is only there when something traded in it; `filled` adds the others as the venue does.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from market.enums import Side
from market.intervals import HOUR_NS, MINUTE_NS, SECOND_NS

Records = npt.NDArray[np.void]
Column = npt.NDArray[Any]

CANDLE = np.dtype(
    [
        ("symbol", "<i8"),
        ("open_ns", "<i8"),
        ("open", "<i8"),
        ("high", "<i8"),
        ("low", "<i8"),
        ("close", "<i8"),
        ("volume", "<i8"),
        ("quote", "<i8"),
        ("trades", "<i8"),
        ("taker_buy", "<i8"),  # lots bought by takers
        ("taker_buy_quote", "<i8"),
        ("first_trade_id", "<i8"),
        ("last_trade_id", "<i8"),
    ]
)

STORED_WIDTHS_NS: Final = (SECOND_NS, MINUTE_NS, HOUR_NS)
"""Candles that are kept; all others are made of them."""

_FIRSTS: Final = ("symbol", "open", "first_trade_id")
_LASTS: Final = ("close", "last_trade_id")
_SUMS: Final = ("volume", "quote", "trades", "taker_buy", "taker_buy_quote")
_LOW_32: Final = 0xFFFF_FFFF


class Candle(msgspec.Struct):
    """One candle as Python integers, without bounds. `trades` 0 and no volume: nothing traded, the prices repeat the last
    close. `trades` 0 with volume: told by a venue, which does not say how many they were."""

    open_ns: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    quote: int
    trades: int
    taker_buy: int
    taker_buy_quote: int
    first_trade_id: int
    last_trade_id: int


NO_TRADE_ID: Final = -1


def empty_candle(open_ns: int, price: int) -> Candle:
    return Candle(open_ns, price, price, price, price, 0, 0, 0, 0, 0, NO_TRADE_ID, NO_TRADE_ID)


def seconds_of(tape: Records) -> Records:
    """TAPE[n], by symbol and then in order -> CANDLE[m] of one second, likewise."""
    rows = np.zeros(len(tape), CANDLE)
    rows["symbol"] = tape["symbol"]
    rows["open_ns"] = tape["ts_ns"]
    for name in ("open", "high", "low", "close"):
        rows[name] = tape["price_ticks"]
    rows["volume"] = tape["qty_lots"]
    rows["quote"] = tape["quote_units"]
    rows["trades"] = 1
    bought = tape["taker_side"] == Side.BUY
    rows["taker_buy"] = np.where(bought, tape["qty_lots"], 0)
    rows["taker_buy_quote"] = np.where(bought, tape["quote_units"], 0)
    rows["first_trade_id"] = rows["last_trade_id"] = tape["trade_id"]
    return folded(rows, SECOND_NS)


def folded(rows: Records, width_ns: int) -> Records:
    """Candles of `width_ns`, counted from the epoch, made of shorter ones; by symbol and then by time, as `rows` are."""
    opens = rows["open_ns"] - rows["open_ns"] % width_ns
    new = (np.diff(rows["symbol"], prepend=-1) != 0) | (np.diff(opens, prepend=-1) != 0)
    starts = np.flatnonzero(new)
    made = np.zeros(len(starts), CANDLE)
    if not len(starts):
        return made
    ends = np.append(starts[1:], len(rows)) - 1
    made["open_ns"] = opens[starts]
    for name in _FIRSTS:
        made[name] = rows[name][starts]
    for name in _LASTS:
        made[name] = rows[name][ends]
    made["high"] = np.maximum.reduceat(rows["high"], starts)
    made["low"] = np.minimum.reduceat(rows["low"], starts)
    for name in _SUMS:
        made[name] = np.add.reduceat(rows[name], starts)
    return made


def extend(candle: np.void, later: np.void) -> None:
    """One candle goes on with what traded in it afterwards, in place."""
    for name in _LASTS:
        candle[name] = later[name]
    candle["high"] = max(candle["high"], later["high"])
    candle["low"] = min(candle["low"], later["low"])
    for name in _SUMS:
        candle[name] += later[name]


def candle_of(row: np.void) -> Candle:
    """One row of CANDLE."""
    return Candle(*row.item()[1:])


def total_of(rows: Records, open_ns: int) -> Candle | None:
    """All candles of one symbol as one that opens at `open_ns`; None of none. Sums do not overflow."""
    if not len(rows):
        return None
    first, last = rows[0], rows[-1]
    volume, quote, trades, taker_buy, taker_buy_quote = (_sum(rows[name]) for name in _SUMS)
    return Candle(
        open_ns,
        int(first["open"]),
        int(rows["high"].max()),
        int(rows["low"].min()),
        int(last["close"]),
        volume,
        quote,
        trades,
        taker_buy,
        taker_buy_quote,
        int(first["first_trade_id"]),
        int(last["last_trade_id"]),
    )


def _sum(column: Column) -> int:
    return (int((column >> 32).sum()) << 32) + int((column & _LOW_32).sum())


def joined(parts: Iterable[Candle | None], open_ns: int) -> Candle | None:
    """Candles that follow one another as one; None when none is there."""
    made: Candle | None = None
    for part in parts:
        if part is None:
            continue
        if made is None:
            made = msgspec.structs.replace(part, open_ns=open_ns)
            continue
        made.high = max(made.high, part.high)
        made.low = min(made.low, part.low)
        made.close = part.close
        made.last_trade_id = part.last_trade_id
        for name in _SUMS:
            setattr(made, name, getattr(made, name) + getattr(part, name))
    return made


def filled(traded: Iterable[Candle], opens: Sequence[int], close_before: int | None) -> Iterator[Candle]:
    """A candle for each open time: where nothing traded the last close is repeated, with no volume.

    `close_before`: the close before the first; None when nothing had traded yet, and then nothing is told until it has.
    """
    by_open = {one.open_ns: one for one in traded}
    close = close_before
    for open_ns in opens:
        candle = by_open.get(open_ns)
        if candle is not None:
            close = candle.close
            yield candle
        elif close is not None:
            yield empty_candle(open_ns, close)
