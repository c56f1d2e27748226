"""LOBSTER (lobsterdata.com): NASDAQ's reconstructed book, a message file and an order book file with a row per message.

Prices are dollars times 10,000, times are seconds after midnight of New York. The rows after the first become differences;
executions (of visible and hidden orders) become trades, halts and crosses notices.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import zip_longest
from typing import BinaryIO, Final, NamedTuple
from zoneinfo import ZoneInfo

from market.imports.text import BadInput, Row, lines
from market.venues.events import BookDelta, BookSnapshot, Event, Level, Status, StatusKind, Steps, Trade

TICK: Final = Decimal("0.01")
STEPS: Final = Steps(TICK, Decimal(1))
PRICE_UNITS: Final = 10_000
MESSAGE: Final = ("time", "type", "order_id", "size", "price", "direction")
EMPTY: Final = 9_999_999_999
"""Price of a level that is not there, negative for bids."""

VISIBLE, HIDDEN, CROSS, HALT = 4, 5, 6, 7
SUBMITTED_TO_DELETED: Final = range(1, 4)
_HALTS: Final[dict[int, tuple[StatusKind, str]]] = {
    -1: ("halted", "halted"),
    0: ("notice", "quoting resumed"),
    1: ("trading", "trading resumed"),
}

_NAME: Final = re.compile(r"([A-Z.]+)_(\d{4}-\d{2}-\d{2})_\d+_\d+_(?:message|orderbook)_(\d+)\.csv(?:\.gz)?")
_TIME: Final = re.compile(r"(\d{1,5})(?:\.(\d{1,9}))?", re.ASCII)


class Day(NamedTuple):
    symbol: str
    midnight_ns: int
    levels: int


def named(name: str) -> Day:
    """What `AAPL_2012-06-21_34200000_57600000_message_10.csv` tells of itself. Raises `BadInput`."""
    found = _NAME.fullmatch(name.rpartition("/")[2])
    if found is None:
        raise BadInput(name, 0, "name", "not SYMBOL_DATE_START_END_message|orderbook_LEVELS.csv")
    try:
        day = date.fromisoformat(found[2])
    except ValueError as error:
        raise BadInput(name, 0, "name", str(error)) from error
    midnight = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo("America/New_York"))
    return Day(found[1], int(midnight.timestamp()) * 1_000_000_000, int(found[3]))


def events(
    messages_name: str,
    messages: BinaryIO,
    books_name: str,
    books: BinaryIO,
    steps: Steps = STEPS,
    day: Day | None = None,
) -> Iterator[Event]:
    """A snapshot, then differences numbered 2, 3 …, each trade before the difference it made. Raises `BadInput`."""
    symbol, midnight_ns, levels = day or named(messages_name)
    message = Row(messages_name, MESSAGE)
    book = _Book(books_name, symbol, levels, _units_per_tick(books_name, steps))
    pairs = zip_longest(lines(messages_name, messages), lines(books_name, books))
    for pair in pairs:
        if pair[0] is None or pair[1] is None:
            short, longer = (messages_name, pair[1]) if pair[0] is None else (books_name, pair[0])
            assert longer is not None
            raise BadInput(short, longer[0], "", "ends here, the other file goes on")
        message.read(*pair[0])
        venue_ns = midnight_ns + _after_midnight(message)
        told = _told(message, symbol, venue_ns, book.units_per_tick)
        if told is not None:
            yield told
        changed = book.next(pair[1][0], pair[1][1], venue_ns)
        if changed is not None:
            yield changed


def _units_per_tick(name: str, steps: Steps) -> int:
    units = steps.tick * PRICE_UNITS
    if units != int(units) or units < 1 or steps.lot != 1:
        raise BadInput(name, 0, "steps", f"tick {steps.tick}, lot {steps.lot}: a multiple of 0.0001 and 1 are wanted")
    return int(units)


def _after_midnight(message: Row) -> int:
    found = _TIME.fullmatch(message.cells[0])
    if found is None:
        raise message.bad("time", f"{message.cells[0]!r} is not seconds after midnight")
    return int(found[1]) * 1_000_000_000 + int((found[2] or "0").ljust(9, "0"))


def _told(message: Row, symbol: str, venue_ns: int, units_per_tick: int) -> Event | None:
    kind = message.whole(1)
    if kind in SUBMITTED_TO_DELETED:
        return None
    if kind in (VISIBLE, HIDDEN):
        price, rest = divmod(message.whole(4), units_per_tick)
        direction = message.signed(5)
        if rest:
            raise message.bad("price", f"{message.cells[4]} is no multiple of {units_per_tick}")
        if direction not in (-1, 1):
            raise message.bad("direction", f"{direction} is neither 1 nor -1")
        return Trade(symbol, venue_ns, str(message.line), price, message.whole(3), direction == 1)
    if kind == CROSS:
        return Status(symbol, venue_ns, "notice", f"cross of {message.whole(3)} at {message.whole(4)}/{PRICE_UNITS}")
    if kind == HALT:
        price = message.signed(4)
        return Status(symbol, venue_ns, *_HALTS.get(price, ("notice", f"halt message {price}")))
    raise message.bad("type", f"{kind} is not 1 to 7")


class _Book:
    """The rows of the order book file and what changed from one to the next."""

    def __init__(self, name: str, symbol: str, levels: int, units_per_tick: int) -> None:
        self._row = Row(name, _columns(levels))
        self._symbol = symbol
        self._levels = levels
        self.units_per_tick = units_per_tick
        self._seq = 0
        self._text = b""
        self._bids: dict[int, int] = {}
        self._asks: dict[int, int] = {}

    def next(self, line: int, text: bytes, venue_ns: int) -> BookSnapshot | BookDelta | None:
        if text == self._text:
            return None
        self._text = text
        self._row.read(line, text)
        asks, bids = self._side(0, 1), self._side(2, -1)
        before = self._bids, self._asks
        self._bids, self._asks = dict(bids), dict(asks)
        self._seq += 1
        if self._seq == 1:
            return BookSnapshot(self._symbol, venue_ns, bids, asks, self._seq)
        changes = _changes(before[0], self._bids), _changes(before[1], self._asks)
        return BookDelta(self._symbol, venue_ns, *changes, self._seq, self._seq, self._seq - 1)

    def _side(self, offset: int, sign: int) -> list[Level]:
        row = self._row
        side: list[Level] = []
        for at in range(offset, 4 * self._levels, 4):
            units = row.signed(at)
            if units == sign * EMPTY:
                continue
            price, rest = divmod(units, self.units_per_tick)
            if rest or units <= 0:
                raise row.bad(_columns(self._levels)[at], f"{units} is no positive multiple of {self.units_per_tick}")
            if side and (price - side[-1][0]) * sign <= 0:
                raise row.bad(_columns(self._levels)[at], f"{units} is not worse than the level before")
            side.append((price, row.whole(at + 1)))
        return side


def _columns(levels: int) -> tuple[str, ...]:
    kinds: Sequence[str] = ("ask_price", "ask_size", "bid_price", "bid_size")
    return tuple(f"{kind}_{level}" for level in range(1, levels + 1) for kind in kinds)


def _changes(before: dict[int, int], now: dict[int, int]) -> list[Level]:
    """What is new or different, and with quantity 0 what is gone or out of view."""
    changed = [(price, qty) for price, qty in now.items() if before.get(price) != qty]
    return changed + [(price, 0) for price in before if price not in now]
