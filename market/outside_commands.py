"""Commands of the outside market gathered as columns, over many events and symbols, and made COMMAND[n] at once. Pure.

Rows come in runs, which have kind, side, flags, symbol and time in common. Numbers that no book takes become no command
and are counted in `refused`.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from market.enums import CommandKind
from market.numbering import OUTSIDE_ACCOUNT
from market.records import COMMAND, Records, picked

LIMIT: Final = 1 << 61
"""Prices, quantities and times stay below it (O2)."""
TOKEN_LIMIT: Final = 1 << 64


class CommandBuilder:
    def __init__(self) -> None:
        self.refused = 0
        """Levels, quotes and trades so far whose numbers are no price or quantity."""
        self._prices: list[int] = []
        self._lots: list[int] = []
        self._counts: list[int] = []
        self._heads: list[int] = []
        self._symbols: list[int] = []
        self._times: list[int] = []
        self._prints: list[tuple[int, int, int]] = []
        """Row, the venue's id and time of each trade."""

    def __len__(self) -> int:
        return len(self._prices)

    def levels(self, symbol: int, market_ns: int, side: int, flags: int, prices: list[int], lots: list[int]) -> None:
        """OUTSIDE_LEVEL of each price."""
        self._prices += prices
        self._lots += lots
        self._counts.append(len(prices))
        self._heads.append(CommandKind.OUTSIDE_LEVEL | side << 8 | flags << 16)
        self._symbols.append(symbol)
        self._times.append(market_ns)

    def quote(self, symbol: int, market_ns: int, side: int, price: int, lots: int) -> None:
        self._row(CommandKind.OUTSIDE_QUOTE | side << 8, symbol, market_ns, price, lots)

    def trade(
        self, symbol: int, market_ns: int, side: int, price: int, lots: int, token: int = 0, venue_ns: int = 0
    ) -> None:
        """`side` is the taker's."""
        self._prints.append((len(self._prices), token % TOKEN_LIMIT, venue_ns if 0 <= venue_ns < LIMIT else 0))
        self._row(CommandKind.OUTSIDE_TRADE | side << 8, symbol, market_ns, price, lots)

    def clear(self, symbol: int, market_ns: int) -> None:
        self._row(CommandKind.OUTSIDE_CLEAR, symbol, market_ns, 0, 0)

    def status(self, symbol: int, market_ns: int, trading: bool) -> None:
        self._row(CommandKind.OUTSIDE_STATUS, symbol, market_ns, 0, int(trading))

    def _row(self, head: int, symbol: int, market_ns: int, price: int, lots: int) -> None:
        self._prices.append(price)
        self._lots.append(lots)
        self._counts.append(1)
        self._heads.append(head)
        self._symbols.append(symbol)
        self._times.append(market_ns)

    def take(self) -> Records:
        """COMMAND[n] of all that was gathered, `command_id` 0; it begins anew."""
        rows = np.zeros(len(self._prices), COMMAND)
        if len(rows):
            rows = self._filled(rows)
        for column in (self._prices, self._lots, self._counts, self._heads, self._symbols, self._times, self._prints):
            column.clear()
        return rows

    def _filled(self, rows: Records) -> Records:
        counts = np.array(self._counts, np.int64)
        heads = np.repeat(np.array(self._heads, np.int64), counts)
        prices, lots = _column(self._prices), _column(self._lots)
        kinds = heads & 0xFF
        rows["kind"] = kinds
        rows["side"] = heads >> 8 & 0xFF
        rows["flags"] = heads >> 16
        rows["symbol"] = np.repeat(np.array(self._symbols, np.int32), counts)
        rows["account"] = OUTSIDE_ACCOUNT
        rows["target_id"] = np.repeat(np.array(self._times, np.int64), counts)
        rows["price_ticks"] = prices
        rows["qty_lots"] = lots
        if self._prints:
            at, tokens, times = zip(*self._prints, strict=True)
            where = np.array(at, np.int64)
            rows["token"][where] = np.array(tokens, np.uint64)
            rows["quote_units"][where] = np.array(times, np.int64)
        wrong = (prices <= 0) | (prices >= LIMIT) | (lots < 0) | (lots >= LIMIT)
        wrong &= kinds == CommandKind.OUTSIDE_LEVEL
        if not wrong.any():
            return rows
        self.refused += int(wrong.sum())
        return picked(rows, ~wrong)


def _column(values: Sequence[int]) -> npt.NDArray[np.int64]:
    try:
        return np.array(values, np.int64)
    except OverflowError:
        return np.array([min(max(value, -1), LIMIT) for value in values], np.int64)
