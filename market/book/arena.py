"""Making arenas: a fresh one, a larger one with the same content; and an instrument's filters in its header.

Growth doubles and depends on nothing but the numbers of orders and of commands to come. Unused room is never
written, so the operating system does not back it with memory.

Must not know: commands, events, rules.
"""

from typing import NamedTuple

import numpy as np

from market.book import layout as L
from market.book.layout import WordArray
from market.book.views import index_and_audit
from market.instrument import INT_LIMIT, Instrument

_FIRST_ORDERS = 256
_FIRST_PAGES = 64
_STORES = tuple(L.BIDS + store * L.SIDE_WORDS for store in range(L.STORES))

_LARGEST_MULTIPLIER_PPM = 10**12
"""Keeps `refusals.set_bands` inside 64 bits; a million times the last price."""


class Capacity(NamedTuple):
    orders: int
    pages: int

    @property
    def ids(self) -> int:
        """Table entries: at most half of them are ever in use."""
        return 1 << (2 * self.orders - 1).bit_length()


class Content(NamedTuple):
    """What of an arena is in use, section by section, each a copy or a view. The ids follow from it."""

    header: WordArray
    bids: WordArray
    asks: WordArray
    falls: WordArray
    rises: WordArray
    tracking: WordArray
    line: WordArray
    eaten_bids: WordArray
    eaten_asks: WordArray
    orders: WordArray
    pages: WordArray
    asides: WordArray


def _zeros(words: int) -> WordArray:
    """Zeroed words that start on a pair of cache lines."""
    raw = np.zeros(words + L.CACHE_LINE_WORDS, np.int64)
    address: int = raw.__array_interface__["data"][0]
    skip = -address // L.WORD_BYTES % L.CACHE_LINE_WORDS
    return raw[skip : skip + words]


def _aligned(words: int) -> int:
    return -(-words // L.CACHE_LINE_WORDS) * L.CACHE_LINE_WORDS


def _lengths(header: WordArray) -> list[int]:
    """Words in use of each section, by the counters of the header."""
    return [
        L.HEADER_WORDS,
        *(int(header[at + L.DIRECTORY_COUNT]) * L.DIRECTORY_ENTRY_WORDS for at in _STORES),
        (int(header[L.ORDERS_USED]) + 1) * L.ORDER_WORDS,
        (int(header[L.PAGES_USED]) + 1) * L.PAGE_WORDS,
        int(header[L.ASIDES_USED]),
    ]


def content_of(arena: WordArray) -> Content:
    header = arena[: L.HEADER_WORDS]
    places = (*(at + L.DIRECTORY_AT for at in _STORES), L.ORDERS_AT, L.PAGES_AT)
    starts = [0, *(int(header[place]) for place in places), int(header[L.ORDERS_AT] + header[L.ASIDE])]
    return Content(*(arena[start : start + words] for start, words in zip(starts, _lengths(header), strict=True)))


def assembled(content: Content, capacity: Capacity) -> WordArray:
    """An arena of that capacity with that content. Raises ValueError when the content contradicts itself."""
    directory = _aligned(capacity.pages * L.DIRECTORY_ENTRY_WORDS)
    ids_at = L.HEADER_WORDS
    directories = [ids_at + _aligned(capacity.ids) + store * directory for store in range(L.STORES)]
    orders_at = directories[-1] + directory
    pages_at = orders_at + _aligned((capacity.orders + 1) * L.ORDER_WORDS)
    asides_at = pages_at + _aligned((capacity.pages + 1) * L.PAGE_WORDS)
    arena = _zeros(asides_at + (capacity.orders + 1) * L.ASIDE_WORDS)

    places = zip((0, *directories, orders_at, pages_at, asides_at), content, strict=True)
    for at, section in places:
        arena[at : at + len(section)] = section
    arena[L.IDS_AT] = ids_at
    arena[L.IDS_MASK] = capacity.ids - 1
    arena[L.IDS_SHIFT] = 31 - (capacity.ids.bit_length() - 1)
    for store, directory_at in zip(_STORES, directories, strict=True):
        arena[store + L.DIRECTORY_AT] = directory_at
    arena[L.ORDERS_AT], arena[L.ORDERS_CAPACITY] = orders_at, capacity.orders
    arena[L.PAGES_AT], arena[L.PAGES_CAPACITY] = pages_at, capacity.pages
    arena[L.ASIDE] = asides_at - orders_at
    if not index_and_audit(arena):
        raise ValueError("the orders, levels and counters of the book contradict each other")
    return arena


def fresh(symbol_id: int, max_live_orders: int) -> WordArray:
    header = np.zeros(L.HEADER_WORDS, np.int64)
    header[L.SYMBOL] = symbol_id
    header[L.MAX_LIVE] = max_live_orders
    for store in _STORES:
        header[store + L.BEST_KEY] = L.NO_KEY
    empty = Content(header, *(np.zeros(words, np.int64) for words in _lengths(header)[1:]))
    return assembled(empty, Capacity(_FIRST_ORDERS, _FIRST_PAGES))


def restored(content: Content) -> WordArray:
    """Raises ValueError when the content contradicts itself."""
    header = content.header
    if len(header) != L.HEADER_WORDS or [len(section) for section in content] != _lengths(header):
        raise ValueError("the sections of the book are not as long as its counters say")
    orders, pages = int(header[L.ORDERS_USED]), int(header[L.PAGES_USED])
    if int(header[L.ASIDES_USED]) > (orders + 1) * L.ASIDE_WORDS:
        raise ValueError("the book has more asides than orders")
    return assembled(content, Capacity(_doubled(_FIRST_ORDERS, orders), _doubled(_FIRST_PAGES, pages)))


def capacity_of(arena: WordArray) -> Capacity:
    return Capacity(int(arena[L.ORDERS_CAPACITY]), int(arena[L.PAGES_CAPACITY]))


def pages_in_use(arena: WordArray) -> int:
    return int(sum(arena[store + L.DIRECTORY_COUNT] for store in _STORES))


def most_pages(arena: WordArray) -> int:
    """Pages in use when every order that waits, and every outside level, has moved into one of its own."""
    return pages_in_use(arena) + int(arena[L.STOPS]) + int(arena[L.OUTSIDE])


def most_orders(arena: WordArray, commands: int) -> int:
    """How many records can be in use during the next `commands` commands."""
    return records_in_use(arena) + commands


def records_in_use(arena: WordArray) -> int:
    """Live orders and outside levels."""
    return int(arena[L.LIVE]) + int(arena[L.OUTSIDE])


def capacity_for(arena: WordArray, commands: int) -> Capacity:
    """Enough for `commands` more commands, each of which may wait in a page of its own and then rest in another."""
    orders = most_orders(arena, commands)
    pages = min(most_pages(arena) + L.PAGES_PER_COMMAND * commands, orders)
    now = capacity_of(arena)
    return Capacity(_doubled(now.orders, orders), _doubled(now.pages, pages))


def _doubled(capacity: int, needed: int) -> int:
    while capacity < needed:
        capacity *= 2
    return capacity


def set_filters(arena: WordArray, instrument: Instrument, largest_leaves: int = 0, most_parts: int = 0) -> None:
    """The filters as the kernel reads them; `largest_leaves` and `most_parts` of the orders that live already.

    A minimum of 0 (the venue's "no limit") means 1: nothing trades at a price or in a quantity of 0.
    """
    largest = INT_LIMIT - 1
    units = instrument.quote_units_per_tick_lot
    multipliers = (
        instrument.bid_multiplier_up_ppm,
        instrument.bid_multiplier_down_ppm,
        instrument.ask_multiplier_up_ppm,
        instrument.ask_multiplier_down_ppm,
    )
    percent = (instrument.percent_multiplier_up_ppm, instrument.percent_multiplier_down_ppm)
    deltas = (
        instrument.min_trailing_below_bips,
        instrument.max_trailing_below_bips,
        instrument.min_trailing_above_bips,
        instrument.max_trailing_above_bips,
    )
    if not all(0 <= ppm <= _LARGEST_MULTIPLIER_PPM for ppm in (*multipliers, *percent)):
        raise ValueError(f"{instrument.symbol}: a price multiplier is outside [0, {_LARGEST_MULTIPLIER_PPM}] ppm")
    words = {
        L.MIN_PRICE: max(1, instrument.min_price_ticks),
        L.MAX_PRICE: min(largest, instrument.max_price_ticks),
        L.MIN_QTY: max(1, instrument.min_qty_lots),
        L.MAX_QTY: min(largest, instrument.max_qty_lots),
        L.MARKET_MIN_QTY: instrument.market_min_qty_lots,
        L.MARKET_MAX_QTY: min(largest, instrument.market_max_qty_lots),
        L.MIN_NOTIONAL: instrument.min_notional_units,
        L.MAX_NOTIONAL: instrument.max_notional_units,
        L.MIN_TICK_LOTS: -(-instrument.min_notional_units // units),
        L.MAX_TICK_LOTS: instrument.max_notional_units // units,
        L.UNITS: units,
        L.ICEBERG_PARTS: instrument.iceberg_parts,
        L.MOST_PARTS: max(instrument.iceberg_parts, most_parts),
        L.MAX_AMENDS: instrument.max_num_order_amends,
    }
    for word, value in words.items():
        arena[word] = min(value, INT_LIMIT)
    arena[L.MULTIPLIERS : L.MULTIPLIERS + len(multipliers)] = multipliers
    arena[L.PERCENT : L.PERCENT + len(percent)] = percent
    arena[L.DELTAS : L.DELTAS + len(deltas)] = deltas
    arena[L.BAND_PRICE] = -1  # so that the next batch computes the bands
    most_at_once = max(int(arena[L.MAX_LIVE]), int(arena[L.LIVE]))
    arena[L.TOTALS_FIT] = max(int(arena[L.MAX_QTY]), largest_leaves) * most_at_once < INT_LIMIT
