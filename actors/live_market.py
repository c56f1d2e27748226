"""The public side of the market as of the newest committed batch: books by level, the tape, what traded lately.

A fold of the journal: started from snapshots and read models, then moved on batch by batch. Knows no bus.
"""

from collections.abc import Sequence, Set
from typing import Any, Final, NamedTuple

import numpy as np

from actors.batches import run_of
from actors.market_now import MarketNow
from actors.tape_store import TapeStore
from actors.wire import Batch
from market.book import Book, Books
from market.candles import CANDLE, folded, seconds_of
from market.enums import Side
from market.instrument import Instrument
from market.intervals import MINUTE_NS, SECOND_NS
from market.records import COMMAND, Records, joined
from market.stream_events import Top
from market.tape import TapeEnds, tape_of
from market.windows import MINUTES_NS, SECONDS_NS, RecentTrades, by_symbol

_CANDLE_COLUMNS: Final = (
    "open_ns, open_ticks, high_ticks, low_ticks, close_ticks, volume_lots, quote_units, trades, taker_buy_lots, "
    "taker_buy_quote_units, first_trade_id, last_trade_id"
)


class TopChange(NamedTuple):
    symbol: int
    top: Top


class LiveMarket:
    def __init__(self, instruments: Sequence[Instrument], now_ns: MarketNow | None = None) -> None:
        self.instruments = instruments
        self.books = Books({k: Book(one, k) for k, one in enumerate(instruments)})
        self.recent = [RecentTrades() for _ in instruments]
        self.tops = [Top(0, 0, 0, 0, 0) for _ in instruments]
        """As of the last time that a symbol's top was looked at."""
        self.now_ns = MarketNow() if now_ns is None else now_ns
        self._ends = TapeEnds.of(len(instruments))

    @property
    def ts_ns(self) -> int:
        """Of the newest batch."""
        return self.now_ns.newest_ns

    async def load(self, connection: Any, now_ns: int | None = None) -> None:
        """Number aggregates on, and take what traded lately from the read models. `now_ns`: None: market time."""
        store = TapeStore(connection)
        last = await store.last_trades([one.symbol for one in self.instruments])
        for row in last.values():
            self.now_ns.saw(row["ts_ns"])
        now_ns = self.now_ns() if now_ns is None else now_ns
        for k, one in enumerate(self.instruments):
            row = last.get(one.symbol)
            if row is None:
                continue
            self._ends.agg_ids[k], self._ends.ts_ns[k] = row["agg_id"], row["ts_ns"]
            recent = self.recent[k]
            for sliding, span_ns in ((recent.minutes, MINUTES_NS), (recent.seconds, SECONDS_NS)):
                since = (now_ns - span_ns) // MINUTE_NS * MINUTE_NS
                sliding.close_before = await store.close_before(one.symbol, since)
                sliding.add(await _stored(connection, one.symbol, k, sliding.width_ns, since))
            recent.last_price, recent.last_qty = row["price_ticks"], row["qty_lots"]
            recent.last_trade_id, recent.last_ts_ns = row["trade_id"], row["ts_ns"]

    def restore_book(self, symbol: int, snapshot: bytes) -> None:
        self.books[symbol] = Book.restore(self.instruments[symbol], symbol, snapshot)

    def apply(self, batches: Sequence[Batch], watched: Set[int]) -> tuple[set[int], list[TopChange]]:
        """Bring the books up to the newest batch; returns the symbols touched, and of those `watched` each new top.

        Between batches nothing is visible: a batch is committed as one, so a top is what a batch leaves.
        """
        touched: set[int] = set()
        tops: list[TopChange] = []
        waiting: list[Records] = []
        for batch in batches:
            self.now_ns.saw(batch.ts_ns)
            if watched and not watched.isdisjoint(np.unique(batch.commands["symbol"]).tolist()):
                touched |= self._apply(waiting)
                waiting = []
                here = self._apply([batch.commands])
                touched |= here
                tops += [change for k in sorted(here & watched) if (change := self._look(k)) is not None]
            else:
                waiting.append(batch.commands)
        return touched | self._apply(waiting), tops

    def _apply(self, parts: list[Records]) -> set[int]:
        parts = [one for one in parts if len(one)]
        if not parts:
            return set()
        commands = joined(parts, COMMAND) if len(parts) > 1 else parts[0]
        self.books.apply(commands)
        return set(np.unique(commands["symbol"]).tolist())

    def _look(self, symbol: int) -> TopChange | None:
        old, new = self.tops[symbol], self.top(symbol)
        same = (old.bid, old.bid_qty, old.ask, old.ask_qty) == (new.bid, new.bid_qty, new.ask, new.ask_qty)
        return None if same else TopChange(symbol, new)

    def top(self, symbol: int) -> Top:
        book = self.books[symbol]
        bid, ask = book.depth(Side.BUY, 1), book.depth(Side.SELL, 1)
        top = self.tops[symbol] = Top(
            book.exec_id,
            int(bid["price_ticks"][0]) if len(bid) else 0,
            int(bid["qty_lots"][0]) if len(bid) else 0,
            int(ask["price_ticks"][0]) if len(ask) else 0,
            int(ask["qty_lots"][0]) if len(ask) else 0,
        )
        return top

    def follow_tape(self, batches: Sequence[Batch]) -> Records:
        """Trades of batches never seen before: TAPE[n] by symbol and then in order."""
        events, commands, ts_ns = run_of(batches)
        tape = tape_of(events, commands, ts_ns, self._ends)
        seconds = seconds_of(tape)
        columns = (by_symbol(tape), by_symbol(seconds), by_symbol(folded(seconds, MINUTE_NS)))
        for (symbol, part), (_, in_seconds), (_, in_minutes) in zip(*columns, strict=True):
            self.recent[symbol].add(part, in_seconds, in_minutes)
        return tape


async def _stored(connection: Any, symbol: str, number: int, width_ns: int, since_ns: int) -> Records:
    rows = await connection.fetch(
        f"SELECT {_CANDLE_COLUMNS} FROM candles WHERE symbol = $1 AND width_s = $2 AND open_ns >= $3 ORDER BY open_ns",  # noqa: S608
        symbol,
        width_ns // SECOND_NS,
        since_ns,
    )
    return np.array([(number, *map(int, row)) for row in rows], CANDLE)
