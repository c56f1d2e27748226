"""`Book`: one symbol's order book behind arrays; Python touches it once per batch, never per order.

Not safe for two threads at once. Must not know: accounts' balances, journals, time, other symbols.
"""

import struct
from decimal import Decimal
from hashlib import blake2b

import numpy as np

from market.book import arena as arenas
from market.book import call as C
from market.book import layout as L
from market.book import snapshot
from market.book.applying import Applying
from market.book.layout import Records, WordArray
from market.book.views import write_depth, write_orders, write_outside
from market.enums import Side
from market.instrument import PPM, Asset, Instrument
from market.records import COMMAND

MAX_LIVE_ORDERS = 1_000_000
"""Resting orders of one symbol; 64 bytes each, as many again for one that is not plain, 16 to 32 in the table of ids, and
up to 2 KB for a level alone in its page."""


class Book(Applying):
    def __init__(self, instrument: Instrument, symbol_id: int, max_live_orders: int = MAX_LIVE_ORDERS) -> None:
        """Empty, trading. Raises ValueError for numbers outside their domain."""
        if not 0 <= symbol_id < 1 << 31 or not 0 < max_live_orders < 1 << 30:
            raise ValueError(f"symbol {symbol_id}, max_live_orders {max_live_orders}")
        self._take_over(arenas.fresh(symbol_id, max_live_orders), instrument)

    def _take_over(self, arena: WordArray, instrument: Instrument) -> None:
        super().__init__()
        self.instrument = instrument
        self._tables: list[WordArray] = []
        self._lie_at(arena)
        live = self.orders()
        display = live["display_lots"][live["display_lots"] > 0]
        parts = -(-live["qty_lots"][live["display_lots"] > 0] // display)
        leaves = live["leaves_lots"]
        arenas.set_filters(arena, instrument, int(leaves.max(initial=0)), int(parts.max(initial=0)))

    # --- where it lies ----------------------------------------------------------------------------------
    def enter(self, table: WordArray) -> None:
        """Keep the address of its arena in the table, by its symbol, until it leaves."""
        table[self._arena[L.SYMBOL]] = self._call[C.ARENA]
        self._tables.append(table)

    def leave(self, table: WordArray) -> None:
        table[self._arena[L.SYMBOL]] = 0
        self._tables = [one for one in self._tables if one is not table]

    def _lie_at(self, arena: WordArray) -> None:
        self._arena = arena
        self._call[C.ARENA] = C.address_of(arena)
        for table in self._tables:
            table[arena[L.SYMBOL]] = self._call[C.ARENA]

    def make_room(self, count: int) -> None:
        """For `count` commands more."""
        capacity = arenas.capacity_for(self._arena, count)
        self._lie_at(arenas.assembled(arenas.content_of(self._arena), capacity))

    def _make_room(self, place: int, count: int) -> None:
        self.make_room(count)

    # --- state ------------------------------------------------------------------------------------------
    @property
    def symbol_id(self) -> int:
        return int(self._arena[L.SYMBOL])

    @property
    def halted(self) -> bool:
        return bool(self._arena[L.HALTED])

    @halted.setter
    def halted(self, halted: bool) -> None:
        self._arena[L.HALTED] = halted

    @property
    def best_bid(self) -> int | None:
        return self._best(L.BIDS, Side.BUY)

    @property
    def best_ask(self) -> int | None:
        return self._best(L.ASKS, Side.SELL)

    def _best(self, side_words: int, side: Side) -> int | None:
        key = int(self._arena[side_words + L.BEST_KEY])
        return None if key == L.NO_KEY else key ^ -int(side)

    @property
    def last_price_ticks(self) -> int:
        """0 before the first trade."""
        return int(self._arena[L.LAST_PRICE])

    @property
    def live_orders(self) -> int:
        return int(self._arena[L.LIVE])

    @property
    def exec_id(self) -> int:
        """Of the newest event; 0 before the first."""
        return int(self._arena[L.EXEC_ID])

    @property
    def trade_id(self) -> int:
        """Of the newest trade; 0 before the first."""
        return int(self._arena[L.TRADE_ID])

    @property
    def prevented_id(self) -> int:
        """Of the newest prevented match; 0 before the first."""
        return int(self._arena[L.PREVENTED_ID])

    def depth(self, side: Side, limit: int = 0) -> Records:
        """DEPTH[levels], best first; at most `limit` levels, 0 for all.

        A level's `qty_lots` wraps past 2^63 - 1, which only filters without bounds allow.
        """
        levels = int(self._arena[(L.ASKS if side else L.BIDS) + L.LEVELS])
        count = min(limit, levels) if limit > 0 else levels
        rows = np.empty(count * L.DEPTH_WORDS, np.int64)
        write_depth(self._arena, int(side), count, rows)
        return rows.view(L.DEPTH)

    def orders(self) -> Records:
        """RESTING[live_orders] in priority order: bids from the best down, then asks from the best up; then those that
        wait and those that track, as C3 orders them."""
        rows = np.empty(self.live_orders * L.RESTING_WORDS, np.int64)
        write_orders(self._arena, rows)
        return rows.view(L.RESTING)

    def outside(self) -> Records:
        """OUTSIDE_LEVEL[n]: what a venue shows, standing or eaten; bids best first, then asks best first."""
        rows = np.empty(int(self._arena[L.OUTSIDE]) * L.OUTSIDE_LEVEL_WORDS, np.int64)
        write_outside(self._arena, rows)
        levels = rows.view(L.OUTSIDE_LEVEL)
        key = np.where(levels["side"] == Side.BUY, -levels["price_ticks"], levels["price_ticks"])
        return levels[np.lexsort((key, levels["side"]))]

    def digest(self) -> str:
        """Of what the book holds, whatever way it came there: equal books give equal digests."""
        scalars = (self.last_price_ticks, self.exec_id, self.trade_id, self.prevented_id, self.halted)
        state = blake2b(self.orders().tobytes(), digest_size=16)
        state.update(self.outside().tobytes())
        state.update(struct.pack("<5q", *scalars))
        return state.hexdigest()

    # --- snapshots --------------------------------------------------------------------------------------
    def snapshot(self) -> bytes:
        return snapshot.encode(arenas.content_of(self._arena), self.instrument, self.symbol_id)

    @classmethod
    def restore(cls, instrument: Instrument, symbol_id: int, data: bytes) -> "Book":
        """The book of a snapshot under the filters of `instrument`.

        Raises ValueError for a snapshot that is damaged, of another version, symbol, tick or lot.
        """
        content = snapshot.decode(data, instrument, symbol_id)
        book = cls.__new__(cls)
        book._take_over(arenas.restored(content), instrument)
        return book


def warm() -> None:
    """Compile (or load from numba's cache) everything a book runs, so that no order waits for a compiler."""
    wide = 1 << 20
    book = Book(
        Instrument(
            symbol="WARM",
            base=Asset("A", 0),
            quote=Asset("B", 0),
            tick=Decimal(1),
            lot=Decimal(1),
            min_price_ticks=1,
            max_price_ticks=wide,
            min_qty_lots=1,
            max_qty_lots=wide,
            market_min_qty_lots=1,
            market_max_qty_lots=wide,
            min_notional_units=1,
            max_notional_units=wide * wide,
            bid_multiplier_up_ppm=2 * PPM,
            bid_multiplier_down_ppm=0,
            ask_multiplier_up_ppm=2 * PPM,
            ask_multiplier_down_ppm=0,
            max_num_orders=1,
            start_price_ticks=1,
        ),
        symbol_id=0,
    )
    book.apply(np.zeros(1, COMMAND))
    book.depth(Side.BUY)
    Book.restore(book.instrument, 0, book.snapshot())
