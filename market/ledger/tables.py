"""The ledger's arrays as compiled code sees them, and the two hash tables over the open orders.

Inside a kernel each array is a bare pointer (`market/book/machine.py` says why). A hash table is open addressing
with linear probing and no tombstones; an entry is 31 bits of hash over 32 bits of order slot, so that a walk and
the shift back on removal stay inside the table. The load never passes one quarter (`arrays.py`).

Must not know: commands, events, money.
"""

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from market.book.machine import Words, inlined, routine, words_of
from market.ledger import layout as L
from market.numbering import OUTSIDE_ACCOUNT

Array: TypeAlias = NDArray[np.int64]
Records: TypeAlias = NDArray[np.void]
"""A structured array of one dimension."""


_OUTSIDE = int(OUTSIDE_ACCOUNT)


class Arrays(NamedTuple):
    """The whole state of one partition; each contiguous."""

    header: Array
    """int64[HEADER_WORDS]"""
    rows: Array
    """int64[accounts, ROW_WORDS]"""
    counts: Array
    """int64[accounts, symbols]: open orders, those on their way included; above `COUNT_MASK` those that never rest."""
    balances: Array
    """int64[accounts, assets, BALANCE_WORDS]"""
    positions: Array
    """int64[accounts, symbols, POSITION_WORDS]"""
    instruments: Array
    """int64[symbols, INSTRUMENT_WORDS]"""
    orders: Array
    """int64[slots, ORDER_WORDS]"""
    ids: Array
    """int64[4 x slots]: by order id."""
    client_ids: Array
    """int64[4 x slots]: by account and client order id."""


class Tables(NamedTuple):
    """`Arrays` as pointers."""

    header: Words
    rows: Words
    counts: Words
    balances: Words
    positions: Words
    instruments: Words
    orders: Words
    ids: Words
    client_ids: Words


@inlined
def tables_of(arrays: Arrays) -> Tables:
    return Tables(
        words_of(arrays.header),
        words_of(arrays.rows),
        words_of(arrays.counts),
        words_of(arrays.balances),
        words_of(arrays.positions),
        words_of(arrays.instruments),
        words_of(arrays.orders),
        words_of(arrays.ids),
        words_of(arrays.client_ids),
    )


# -- places -------------------------------------------------------------------------------------------------


@inlined
def row_at(row: int) -> int:
    return row * L.ROW_WORDS


@inlined
def order_at(slot: int) -> int:
    return slot * L.ORDER_WORDS


@inlined
def instrument_at(symbol: int) -> int:
    return symbol * L.INSTRUMENT_WORDS


@inlined
def balance_at(t: Tables, row: int, asset: int) -> int:
    return (row * t.header[L.H_ASSETS] + asset) * L.BALANCE_WORDS


@inlined
def position_at(t: Tables, row: int, symbol: int) -> int:
    return (row * t.header[L.H_SYMBOLS] + symbol) * L.POSITION_WORDS


@inlined
def count_at(t: Tables, row: int, symbol: int) -> int:
    return row * t.header[L.H_SYMBOLS] + symbol


@inlined
def is_symbol(t: Tables, symbol: int) -> bool:
    return 0 <= symbol < t.header[L.H_SYMBOLS]


@inlined
def is_mine(t: Tables, account: int) -> bool:
    """Whether the account, open or not, belongs to this partition; the outside's belongs to none."""
    partitions = t.header[L.H_PARTITIONS]
    return account != _OUTSIDE and (partitions == 1 or account % partitions == t.header[L.H_PARTITION])


@inlined
def open_row(t: Tables, account: int) -> int:
    """Row of an open account of this partition, or -1."""
    row = account // t.header[L.H_PARTITIONS]
    if account < 0 or not is_mine(t, account) or row >= t.header[L.H_ROWS]:
        return -1
    return row if t.rows[row_at(row) + L.R_STATE] & L.R_OPEN else -1


@inlined
def count_order_id(t: Tables, order_id: int) -> None:
    """A replay learns from the journal which order ids were given."""
    t.header[L.H_NEXT_ORDER] = max(t.header[L.H_NEXT_ORDER], order_id // t.header[L.H_PARTITIONS] + 1)


# -- hash tables --------------------------------------------------------------------------------------------

_GOLDEN = -7046029254386353131
"""2^64 / golden ratio, odd, as int64."""
_MULTIPLIER = -4417276706812531889
"""The second prime of XXH64, as int64."""
_HASH_SHIFT = 33
_HASH_MASK = 0x7FFF_FFFF
_LOW_HALF = 0xFFFF_FFFF


@inlined
def _id_hash(order_id: int) -> int:
    return ((order_id * _GOLDEN) >> _HASH_SHIFT) & _HASH_MASK


@inlined
def _client_id_hash(row: int, words: Words, at: int) -> int:
    hashed = row * _GOLDEN
    for k in range(L.CLIENT_ID_WORDS):
        hashed = (hashed ^ words[at + k]) * _MULTIPLIER
        hashed ^= (hashed >> 32) & _LOW_HALF
    return hashed & _HASH_MASK


@inlined
def _remember(table: Words, mask: int, hashed: int, slot: int) -> None:
    place = hashed & mask
    while table[place] != 0:
        place = (place + 1) & mask
    table[place] = hashed << 32 | slot


@routine
def _forget(table: Words, mask: int, hashed: int, slot: int) -> None:
    """Remove an entry that is there, and close the gap."""
    sought = hashed << 32 | slot
    gap = hashed & mask
    while table[gap] != sought:
        gap = (gap + 1) & mask
    place = gap
    while True:
        place = (place + 1) & mask
        entry = table[place]
        if entry == 0:
            break
        home = (entry >> 32) & mask
        if (place - home) & mask >= (place - gap) & mask:
            table[gap] = entry
            gap = place
    table[gap] = 0


@inlined
def find_id(t: Tables, order_id: int) -> int:
    """Slot of an open order, or 0."""
    hashed, mask = _id_hash(order_id), t.header[L.H_TABLE_MASK]
    place = hashed & mask
    while True:
        entry = t.ids[place]
        if entry == 0:
            return 0
        slot = entry & _LOW_HALF
        if entry >> 32 == hashed and t.orders[order_at(slot) + L.O_ID] == order_id:
            return slot
        place = (place + 1) & mask


@inlined
def _has_client_id(t: Tables, slot: int, row: int, words: Words, at: int) -> bool:
    order = order_at(slot)
    if t.orders[order + L.O_ROW] != row:
        return False
    differing = 0
    for k in range(L.CLIENT_ID_WORDS):
        differing |= t.orders[order + L.O_CID + k] ^ words[at + k]
    return differing == 0


@routine
def find_client_id(t: Tables, row: int, words: Words, at: int) -> int:
    """Slot of an account's open order by client order id (its words from `at`), or 0."""
    if words[at] == 0:
        return 0
    hashed, mask = _client_id_hash(row, words, at), t.header[L.H_TABLE_MASK]
    place = hashed & mask
    while True:
        entry = t.client_ids[place]
        if entry == 0:
            return 0
        slot = entry & _LOW_HALF
        if entry >> 32 == hashed and _has_client_id(t, slot, row, words, at):
            return slot
        place = (place + 1) & mask


@inlined
def remember_order(t: Tables, slot: int) -> None:
    order, mask = order_at(slot), t.header[L.H_TABLE_MASK]
    _remember(t.ids, mask, _id_hash(t.orders[order + L.O_ID]), slot)
    if t.orders[order + L.O_CID] != 0:
        hashed = _client_id_hash(t.orders[order + L.O_ROW], t.orders, order + L.O_CID)
        _remember(t.client_ids, mask, hashed, slot)


@inlined
def forget_order(t: Tables, slot: int) -> None:
    order, mask = order_at(slot), t.header[L.H_TABLE_MASK]
    _forget(t.ids, mask, _id_hash(t.orders[order + L.O_ID]), slot)
    if t.orders[order + L.O_CID] != 0:
        hashed = _client_id_hash(t.orders[order + L.O_ROW], t.orders, order + L.O_CID)
        _forget(t.client_ids, mask, hashed, slot)


@routine
def index_orders(t: Tables) -> None:
    """Fill empty hash tables and the list of free slots from the order pool."""
    t.header[L.H_FREE] = 0
    for slot in range(t.header[L.H_SLOTS] - 1, 0, -1):
        order = order_at(slot)
        if t.orders[order + L.O_ID] != 0:
            remember_order(t, slot)
        else:
            t.orders[order + L.O_NEXT] = t.header[L.H_FREE]
            t.header[L.H_FREE] = slot


@routine
def count_lost_orders(t: Tables) -> int:
    """Open orders that the hash tables do not lead to."""
    lost = 0
    for slot in range(1, t.header[L.H_SLOTS]):
        order = order_at(slot)
        if t.orders[order + L.O_ID] == 0:
            continue
        named = t.orders[order + L.O_CID] != 0
        if find_id(t, t.orders[order + L.O_ID]) != slot or (
            named and find_client_id(t, t.orders[order + L.O_ROW], t.orders, order + L.O_CID) == 0
        ):
            lost += 1
    return lost
