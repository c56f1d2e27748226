"""Making the ledger's arrays: fresh ones, and larger ones with the same content.

Must not know: commands, events, rules.
"""

import mmap
from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from market.instrument import Instrument, assets_of
from market.ledger import layout as L
from market.ledger.kernel import kernels
from market.ledger.tables import Array, Arrays, addressed

FIRST_ROWS = 64
FIRST_SLOTS = 1024
_FIRST_ENTRIES = 1024
_POOL_PER_ENTRY = 3
"""A block has up to 8/3 entries for one in use; the smaller ones that it left behind the next account grows into."""
_WORD_BYTES = 8
_OWN_PAGES_WORDS = 1 << 13
"""64 KB. Below, an order may lie on two cache lines, but all of them are in the cache."""
_HUGE_PAGES_WORDS = 1 << 19
"""4 MB, as numpy: fewer and larger pages, so that the processor finds them faster."""


def _zeros(*shape: int) -> Array:
    """What is never written takes no memory, and what is let go is given back.

    A large numpy array may come from malloc's heap instead: written when it is made, kept when it is let go.
    """
    words = prod(shape)
    if words < _OWN_PAGES_WORDS:
        return np.zeros(shape, np.int64)
    pages = mmap.mmap(-1, words * _WORD_BYTES, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if words >= _HUGE_PAGES_WORDS and hasattr(mmap, "MADV_HUGEPAGE"):
        pages.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(pages, np.int64).reshape(shape)


def power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()


class Room(NamedTuple):
    """For how many of each there is to be room."""

    rows: int = 0
    orders: int = 0
    entries: int = 0
    """Of accounts, each of as many assets and symbols as it has to do with."""
    named: int = 0
    """Orders with a client order id."""


_NO_ROOM = Room()


def fresh(instruments: Sequence[Instrument], partition: int, partitions: int, room: Room = _NO_ROOM) -> Arrays:
    """No accounts, no orders."""
    symbols, assets = len(instruments), len(assets_of(instruments))
    if symbols > L.MAX_SYMBOLS:
        raise ValueError(f"{symbols} instruments; a ledger has at most {L.MAX_SYMBOLS}")
    rows, slots = power_of_two(max(room.rows, FIRST_ROWS)), power_of_two(max(room.orders + 1, FIRST_SLOTS))
    arrays = Arrays(
        header=_zeros(L.HEADER_WORDS),
        rows=_zeros(rows, L.ROW_WORDS),
        house=_zeros(L.SYSTEM_ROWS, assets),
        entries=_zeros(
            _FIRST_ENTRIES + _POOL_PER_ENTRY * room.entries + entries_to_spare(symbols, assets), L.ENTRY_WORDS
        ),
        instruments=_table_of(instruments),
        orders=_zeros(slots, L.ORDER_WORDS),
        asides=_zeros(slots, L.ASIDE_WORDS),
        names=_zeros(slots, L.CLIENT_ID_WORDS),
        ids=_zeros(entries_for(room.orders)),
        client_ids=_zeros(entries_for(room.named)),
    )
    arrays.header[L.H_NEXT_ORDER] = 1
    arrays.header[L.H_PARTITION], arrays.header[L.H_PARTITIONS] = partition, partitions
    arrays.header[L.H_ROWS] = L.SYSTEM_ROWS
    arrays.header[L.H_ASSETS], arrays.header[L.H_SYMBOLS] = assets, symbols
    arrays.header[L.H_ENTRIES], arrays.header[L.H_ENTRIES_USED] = len(arrays.entries), 1  # blocks begin on cache lines
    arrays.header[L.H_IDS], arrays.header[L.H_CLIENT_IDS] = len(arrays.ids), len(arrays.client_ids)
    return addressed(arrays)


def _table_of(instruments: Sequence[Instrument]) -> Array:
    names = [asset.name for asset in assets_of(instruments)]
    table = _zeros(len(instruments), L.INSTRUMENT_WORDS)
    for k, one in enumerate(instruments):
        table[k, L.I_BASE] = names.index(one.base.name)
        table[k, L.I_QUOTE] = names.index(one.quote.name)
        table[k, L.I_QUOTE_PER_TICK_LOT] = one.quote_units_per_tick_lot
        table[k, L.I_BASE_PER_LOT] = one.base_units_per_lot
        table[k, L.I_MAX_NUM_ORDERS] = one.max_num_orders
        table[k, L.I_AVAILABLE] = 1
        table[k, L.I_MAX_NUM_ALGO] = one.max_num_algo_orders
        table[k, L.I_MAX_NUM_ICEBERG] = one.max_num_iceberg_orders
        table[k, L.I_MAX_POSITION] = one.max_position_lots
    return table


def entries_to_spare(symbols: int, assets: int) -> int:
    """More than two accounts can ask for at once (`blocks.has_room`)."""
    return 64 * (symbols + assets)


# -- growth -------------------------------------------------------------------------------------------------


def entries_for(orders: int) -> int:
    """Of a hash table: three quarters of them are in use at most."""
    return max(_FIRST_ENTRIES, orders * 4 // 3 + 2)


def orders_that_fit(arrays: Arrays) -> tuple[int, int]:
    """So many open orders, and so many of them with client order ids."""
    ids, named = ((len(table) - 2) * 3 // 4 for table in (arrays.ids, arrays.client_ids))
    return min(len(arrays.orders) - 1, ids), named


def with_room(arrays: Arrays, orders: int, named: int) -> Arrays:
    """Room for so many orders, so many of them with client order ids."""
    if orders >= len(arrays.orders):
        arrays = _with_slots(arrays, power_of_two(orders + 1))
    if entries_for(orders) > len(arrays.ids):
        arrays = arrays._replace(ids=_larger(arrays.ids, orders))
    if entries_for(named) > len(arrays.client_ids):
        arrays = arrays._replace(client_ids=_larger(arrays.client_ids, named))
    arrays.header[L.H_IDS], arrays.header[L.H_CLIENT_IDS] = len(arrays.ids), len(arrays.client_ids)
    return addressed(arrays)


def _larger(table: Array, orders: int) -> Array:
    """A hash table with the same entries in more room: a third more at least, little of which is then idle."""
    larger = _zeros(entries_for(max(orders, len(table))))
    kernels.refill(table, larger)
    return larger


def _with_slots(arrays: Arrays, slots: int) -> Arrays:
    used, asides = int(arrays.header[L.H_USED]) + 1, int(arrays.header[L.H_ASIDES_USED]) + 1
    return arrays._replace(
        orders=_longer(arrays.orders, slots, used),
        asides=_longer(arrays.asides, slots, asides if asides > 1 else 0),
        names=_longer_names(arrays, slots),
    )


def _longer_names(arrays: Arrays, slots: int) -> Array:
    """Where no order has one nothing is written."""
    longer = _zeros(slots, L.CLIENT_ID_WORDS)
    named = np.flatnonzero(arrays.orders[: int(arrays.header[L.H_USED]) + 1, L.O_META] & L.NAMED)
    longer[named] = arrays.names[named]
    return longer


def with_entries(arrays: Arrays) -> Arrays:
    """Twice as large a pool for the accounts' blocks, for any two accounts at least."""
    header = arrays.header
    size = 2 * len(arrays.entries) + entries_to_spare(int(header[L.H_SYMBOLS]), int(header[L.H_ASSETS]))
    header[L.H_ENTRIES] = size
    return addressed(arrays._replace(entries=_longer(arrays.entries, size, int(header[L.H_ENTRIES_USED]) + 1)))


def with_rows(arrays: Arrays, least: int) -> Arrays:
    """Room for `least` accounts, the house's rows included."""
    return addressed(arrays._replace(rows=_longer(arrays.rows, power_of_two(least), int(arrays.header[L.H_ROWS]))))


def _longer(array: Array, count: int, used: int) -> Array:
    """With the first `used` of the elements."""
    longer = _zeros(count, *array.shape[1:])
    longer[:used] = array[:used]
    return longer


def copied(arrays: Arrays) -> Arrays:
    header = arrays.header
    twin = _with_slots(arrays, len(arrays.orders))
    rest = ("header", "house", "instruments", "ids", "client_ids")
    return addressed(
        twin._replace(
            rows=_longer(arrays.rows, len(arrays.rows), int(header[L.H_ROWS])),
            entries=_longer(arrays.entries, len(arrays.entries), int(header[L.H_ENTRIES_USED]) + 1),
            **{name: getattr(arrays, name).copy() for name in rest},
        )
    )


def partition_of(arrays: Arrays) -> tuple[int, int]:
    """Its index and the number of partitions."""
    return int(arrays.header[L.H_PARTITION]), int(arrays.header[L.H_PARTITIONS])
