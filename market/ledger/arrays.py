"""Making the ledger's arrays: fresh ones, and larger ones with the same content.

Must not know: commands, events, rules.
"""

from collections.abc import Sequence

import numpy as np

from market.instrument import Instrument, assets_of
from market.ledger import layout as L
from market.ledger.kernel import kernels
from market.ledger.tables import Array, Arrays

FIRST_ROWS = 64
FIRST_SLOTS = 1024
_TABLE_ENTRIES_PER_SLOT = 4


def _zeros(*shape: int) -> Array:
    return np.zeros(shape, np.int64)


def power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()


def fresh(instruments: Sequence[Instrument], partition: int, partitions: int, rows: int = 0, slots: int = 0) -> Arrays:
    """No accounts, no orders, room for so many."""
    symbols, assets = len(instruments), len(assets_of(instruments))
    rows, slots = power_of_two(max(rows, FIRST_ROWS)), power_of_two(max(slots, FIRST_SLOTS))
    arrays = Arrays(
        header=_zeros(L.HEADER_WORDS),
        rows=_zeros(rows, L.ROW_WORDS),
        counts=_zeros(rows, symbols),
        balances=_zeros(rows, assets, L.BALANCE_WORDS),
        positions=_zeros(rows, symbols, L.POSITION_WORDS),
        instruments=_table_of(instruments),
        orders=_zeros(slots, L.ORDER_WORDS),
        ids=_zeros(0),
        client_ids=_zeros(0),
    )
    arrays.header[L.H_NEXT_ORDER] = 1
    arrays.header[L.H_PARTITION], arrays.header[L.H_PARTITIONS] = partition, partitions
    arrays.header[L.H_ROWS] = L.SYSTEM_ROWS
    arrays.header[L.H_ASSETS], arrays.header[L.H_SYMBOLS] = assets, symbols
    return indexed(arrays)


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


def indexed(arrays: Arrays) -> Arrays:
    """Hash tables and the list of free slots anew, for the present pool of orders."""
    entries = _TABLE_ENTRIES_PER_SLOT * len(arrays.orders)
    arrays.header[L.H_SLOTS], arrays.header[L.H_TABLE_MASK] = len(arrays.orders), entries - 1
    arrays = arrays._replace(ids=_zeros(entries), client_ids=_zeros(entries))
    kernels.build_index(arrays)
    return arrays


def with_slots(arrays: Arrays, least: int) -> Arrays:
    """Room for `least` orders (slot 0 is never used), at least twice the present."""
    orders = _zeros(power_of_two(max(least + 1, 2 * len(arrays.orders))), L.ORDER_WORDS)
    orders[: len(arrays.orders)] = arrays.orders
    return indexed(arrays._replace(orders=orders))


def with_rows(arrays: Arrays, least: int) -> Arrays:
    """Room for `least` accounts, the house's rows included."""
    size = power_of_two(least)
    by_row = {name: getattr(arrays, name) for name in ("rows", "counts", "balances", "positions")}
    return arrays._replace(**{name: _longer(array, size) for name, array in by_row.items()})


def _longer(array: Array, rows: int) -> Array:
    longer = _zeros(rows, *array.shape[1:])
    longer[: len(array)] = array
    return longer


def copied(arrays: Arrays) -> Arrays:
    return Arrays(*(array.copy() for array in arrays))


def partition_of(arrays: Arrays) -> tuple[int, int]:
    """Its index and the number of partitions."""
    return int(arrays.header[L.H_PARTITION]), int(arrays.header[L.H_PARTITIONS])
