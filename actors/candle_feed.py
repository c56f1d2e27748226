"""Features of candles as they close, of all symbols: filled from the stored candles, then followed.

A minute without a trade is a candle of the last price without volume, as a chart shows it, unless more than `MOST_FILLED` follow.
What a candle holds is what the projector stored: training on the store (`stored_candles`) and serving see the same.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import structlog

from actors.stored_candles import MOST_FILLED
from actors.tape_store import MINUTES, Fetches
from market.candles import STORED_WIDTHS_NS
from market.intervals import MINUTE_NS, SECOND_NS
from ml.features.candles import LOOKBACK, Candles, CandleStream, Floats

log = structlog.get_logger()

PATIENCE_NS: Final = 5 * SECOND_NS
"""So long after its end a candle is taken as it is stored, although nothing later was."""
REFILLED_AT_ONCE: Final = 16
"""Symbols filled anew in one step after a venue has told their past; the others follow in the next ones."""
_COLUMNS: Final = "open_ns, open_ticks, high_ticks, low_ticks, close_ticks, volume_lots"


class LiveRow(NamedTuple):
    """What a model of candles takes, of one symbol."""

    as_of_ns: int
    """The close of its newest candle."""
    price_ticks: int
    row: Floats


class CandleFeed:
    """One width. `fill` once, then `advance` again and again."""

    def __init__(self, database: Fetches, symbols: Sequence[str], width_ns: int) -> None:
        if width_ns not in STORED_WIDTHS_NS:
            raise ValueError(f"width_ns: {width_ns} is not one of the stored {STORED_WIDTHS_NS}")
        self.width_ns: Final = width_ns
        self.symbols: Final = list(symbols)
        self.rows: dict[str, LiveRow] = {}
        """By symbol; those whose `LOOKBACK` candles are there. Replaced as a whole, never changed."""
        self.until_ns = 0
        """Candles that ended by then are in."""
        self._database = database
        self._streams = {name: CandleStream(width_ns) for name in symbols}
        self._closes: dict[str, float] = {}
        self._traded_ns: dict[str, int] = {}
        """When the newest candle with a trade in it opened."""
        self._told: dict[str, tuple[int, int]] = {}
        """By symbol: from and to of what a venue told of its past, and is in."""

    async def fill(self, now_ns: int) -> None:
        """The past. Of a market without any yet: nothing."""
        until_ns = now_ns // self.width_ns * self.width_ns
        self._told = await self._told_by_venues()
        for symbol in self.symbols:
            await self._fill(symbol, until_ns)
        self.until_ns = until_ns

    async def _fill(self, symbol: str, until_ns: int) -> None:
        from_ns = until_ns - 2 * LOOKBACK * self.width_ns
        width_s = self.width_ns // SECOND_NS
        stored = f"SELECT * FROM candles WHERE symbol = $1 AND width_s = {width_s}"  # noqa: S608
        source = MINUTES if self.width_ns == MINUTE_NS else stored
        query = f"SELECT {_COLUMNS} FROM ({source}) AS found WHERE open_ns >= $2 AND open_ns < $3 ORDER BY open_ns"  # noqa: S608
        rows = await self._database.fetch(query, symbol, from_ns, until_ns)
        self._streams[symbol] = CandleStream(self.width_ns)
        for row in rows:
            self._add(symbol, row)
        self._add_empty(symbol, until_ns)

    async def _told_by_venues(self) -> dict[str, tuple[int, int]]:
        """Venues tell whole minutes."""
        if self.width_ns != MINUTE_NS:
            return {}
        rows = await self._database.fetch("SELECT symbol, from_ns, to_ns FROM venue_candle_spans")
        return {row["symbol"]: (row["from_ns"], row["to_ns"]) for row in rows}

    async def _fill_told(self) -> None:
        """Anew, what a venue has told the past of since."""
        spans = await self._told_by_venues()
        new = [name for name, span in spans.items() if name in self._streams and self._told.get(name) != span]
        for symbol in new[:REFILLED_AT_ONCE]:
            await self._fill(symbol, self.until_ns)
            self._told[symbol] = spans[symbol]

    def due(self, now_ns: int) -> bool:
        return now_ns >= self.until_ns + self.width_ns

    async def advance(self, now_ns: int) -> bool:
        """Take in what has closed; True when something has. `make_rows` is what comes after."""
        until_ns = now_ns // self.width_ns * self.width_ns
        if until_ns <= self.until_ns or not await self._is_stored(until_ns, now_ns):
            return False
        if until_ns - self.until_ns > 2 * LOOKBACK * self.width_ns:
            await self.fill(now_ns)
            return True
        rows = await self._database.fetch(
            f"SELECT symbol, {_COLUMNS} FROM candles WHERE width_s = $1 AND symbol = ANY($2) AND open_ns >= $3 "  # noqa: S608
            "AND open_ns < $4 ORDER BY open_ns",
            self.width_ns // SECOND_NS, self.symbols, self.until_ns, until_ns,
        )  # fmt: skip
        for row in rows:
            self._add(row["symbol"], row)
        for symbol in self.symbols:
            self._add_empty(symbol, until_ns)
        self.until_ns = until_ns
        await self._fill_told()
        return True

    async def _is_stored(self, until_ns: int, now_ns: int) -> bool:
        """The projector writes in the order of time: when something later is stored, all of it is."""
        if now_ns >= until_ns + PATIENCE_NS:
            return True
        found = await self._database.fetch(
            "SELECT 1 FROM candles WHERE width_s = 1 AND symbol = ANY($1) AND open_ns >= $2 LIMIT 1",
            self.symbols,
            until_ns,
        )
        return bool(found)

    def _add(self, symbol: str, row: Any) -> None:
        opened = row["open_ns"]
        self._add_empty(symbol, opened)
        stream = self._streams[symbol]
        if opened <= stream.newest_ns:
            return
        figures = (float(row[name]) for name in _COLUMNS.split(", ")[1:])
        stream.add(opened, *figures)
        self._closes[symbol], self._traded_ns[symbol] = float(row["close_ticks"]), opened

    def _add_empty(self, symbol: str, until_ns: int) -> None:
        """Candles without a trade, up to the one that opens at `until_ns`."""
        stream = self._streams[symbol]
        if not stream.newest_ns:
            return
        close, at = self._closes[symbol], stream.newest_ns + self.width_ns
        until_ns = min(until_ns, self._traded_ns[symbol] + (MOST_FILLED + 1) * self.width_ns)
        while at < until_ns:
            stream.add(at, close, close, close, close, 0.0)
            at += self.width_ns

    def make_rows(self, symbols: Sequence[str]) -> dict[str, LiveRow]:
        """Of some symbols, so that it can be done in parts; ~0.3 ms each."""
        made = {}
        for symbol in symbols:
            stream = self._streams[symbol]
            if stream.run < LOOKBACK or stream.newest_ns + self.width_ns < self.until_ns:
                continue
            row = stream.row()
            if np.isfinite(row).all():
                made[symbol] = LiveRow(stream.newest_ns + self.width_ns, round(self._closes[symbol]), row)
        return made

    def known(self, symbol: str) -> int:
        """Candles that follow one another until the newest."""
        return self._streams[symbol].run

    def price(self, symbol: str) -> tuple[int, int] | None:
        """End of the newest candle, and its close in ticks."""
        newest = self._streams[symbol].newest_ns
        return (newest + self.width_ns, round(self._closes[symbol])) if newest else None

    def window(self, symbol: str) -> Candles:
        return self._streams[symbol].window()
