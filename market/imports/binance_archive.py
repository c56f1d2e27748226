"""Binance's public archives (data.binance.vision): trades, aggTrades and klines, spot and futures, CSV or zip.

Columns: github.com/binance/binance-public-data. Times are milliseconds, since 2025 microseconds for spot; futures files
have a heading line, spot files none.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

from market.imports.text import BadInput, Grid, Row, lines, nanoseconds
from market.intervals import INTERVALS, Interval
from market.venues.events import Candle, Steps, Trade

TRADES: Final = ("id", "price", "qty", "quote_qty", "time", "is_buyer_maker")
AGG_TRADES: Final = (
    "agg_trade_id",
    "price",
    "quantity",
    "first_trade_id",
    "last_trade_id",
    "transact_time",
    "is_buyer_maker",
)
KLINES: Final = ("open_time", "open", "high", "low", "close", "volume", "close_time")

_NAME: Final = re.compile(
    r"([A-Z0-9_]+)-(trades|aggTrades|\d{1,2}(?:s|m|h|d|w|mo|M))-\d{4}-\d{2}(?:-\d{2})?\.(?:csv|zip)"
)


class Archive(NamedTuple):
    symbol: str
    content: str
    """`trades`, `aggTrades`, or an interval of klines."""


def named(name: str) -> Archive:
    """What `BTCUSDT-aggTrades-2024-08-08.zip` tells of itself. Raises `BadInput`."""
    found = _NAME.fullmatch(name.rpartition("/")[2])
    if found is None:
        raise BadInput(name, 0, "name", "not SYMBOL-trades|aggTrades|INTERVAL-DATE.csv|zip")
    return Archive(found[1], found[2].replace("mo", "M"))


def events(name: str, file: BinaryIO, steps: Steps, archive: Archive | None = None) -> Iterator[Trade | Candle]:
    """In the file's order. Raises `BadInput` for the first line that is not as documented."""
    symbol, content = archive or named(name)
    if content == "trades":
        return _trades(name, file, symbol, steps, Row(name, TRADES), time=4, maker=5)
    if content == "aggTrades":
        return _trades(name, file, symbol, steps, Row(name, AGG_TRADES), time=5, maker=6)
    if content not in INTERVALS:
        raise BadInput(name, 0, "name", f"{content!r} is no content that can be read")
    return _candles(name, file, symbol, steps, Interval(content))


def _rows(name: str, file: BinaryIO, row: Row) -> Iterator[None]:
    """`row` holds one line after the other; a heading is left out."""
    for number, text in lines(name, file):
        if number == 1 and not text[:1].isdigit():
            continue
        row.read(number, text)
        yield


def _trades(
    name: str, file: BinaryIO, symbol: str, steps: Steps, row: Row, *, time: int, maker: int
) -> Iterator[Trade | Candle]:
    ticks, lots = Grid(steps.tick), Grid(steps.lot)
    for _ in _rows(name, file, row):
        yield Trade(
            symbol,
            nanoseconds(row.whole(time)),
            str(row.whole(0)),
            row.steps(1, ticks),
            row.steps(2, lots),
            row.flag(maker),
        )


def _candles(name: str, file: BinaryIO, symbol: str, steps: Steps, interval: Interval) -> Iterator[Trade | Candle]:
    ticks, lots = Grid(steps.tick), Grid(steps.lot, rounded_down=True)
    row = Row(name, KLINES)
    for _ in _rows(name, file, row):
        open_ns = nanoseconds(row.whole(0))
        next_ns = interval.next_open(open_ns)
        opened, high, low, closed = (row.steps(at, ticks) for at in range(1, 5))
        if not low <= min(opened, closed) <= max(opened, closed) <= high:
            raise row.bad("high", "open and close are not between low and high")
        width_s = (next_ns - open_ns) // 1_000_000_000
        yield Candle(symbol, next_ns - 1, open_ns, width_s, opened, high, low, closed, row.steps(5, lots), True)
