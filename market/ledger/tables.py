"""The ledger's arrays as compiled code sees them, and where in them what stands.

Inside a kernel each array is a bare pointer (`market/book/machine.py` says why).

Must not know: commands, events, money.
"""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from market.book.machine import Words, inlined, words_of
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
    house: Array
    """int64[SYSTEM_ROWS, assets]: balances of the rows of the house."""
    entries: Array
    """int64[entries, ENTRY_WORDS]: the accounts' blocks."""
    instruments: Array
    """int64[symbols, INSTRUMENT_WORDS]"""
    orders: Array
    """int64[slots, ORDER_WORDS]"""
    asides: Array
    """int64[slots, ASIDE_WORDS], allotted from the lowest on; 0 is never used and all zeros."""
    names: Array
    """int64[slots, CLIENT_ID_WORDS]: client order ids of NAMED orders, by order slot."""
    ids: Array
    """By order id."""
    client_ids: Array
    """By account and client order id."""


class Tables(NamedTuple):
    """`Arrays` as pointers."""

    header: Words
    rows: Words
    house: Words
    entries: Words
    instruments: Words
    orders: Words
    asides: Words
    names: Words
    ids: Words
    client_ids: Words


def addressed(arrays: Arrays) -> Arrays:
    """The same, its header telling where each table lies: of every array a call would cost 0.1 us to look at."""
    addresses = [array.__array_interface__["data"][0] for array in arrays[1:]]
    arrays.header[L.H_ADDRESSES : L.H_ADDRESSES + len(addresses)] = addresses
    return arrays


@intrinsic
def _words_from(_context: Any, _header: Any, _at: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = builder.load(builder.gep(arguments[0], [arguments[1]]))
        return builder.inttoptr(address, context.get_value_type(signature.return_type))

    return types.CPointer(types.int64)(_header, _at), generate


@inlined
def _table(header: Words, number: int) -> Words:
    """Table `number` of those that the header has the addresses of."""
    words: Words = _words_from(header, L.H_ADDRESSES + number)
    return words


@inlined
def tables_of(header: Array) -> Tables:
    """`header`: of `Arrays` that live for as long as the tables are used."""
    words = words_of(header)
    return Tables(
        words,
        _table(words, 0),
        _table(words, 1),
        _table(words, 2),
        _table(words, 3),
        _table(words, 4),
        _table(words, 5),
        _table(words, 6),
        _table(words, 7),
        _table(words, 8),
    )


# -- places -------------------------------------------------------------------------------------------------


@inlined
def row_at(row: int) -> int:
    return row * L.ROW_WORDS


@inlined
def order_at(slot: int) -> int:
    return slot * L.ORDER_WORDS


@inlined
def slot_of(order: int) -> int:
    return order // L.ORDER_WORDS


@inlined
def row_of(t: Tables, order: int) -> int:
    return t.orders[order + L.O_OWNER] & L.LOW_HALF


@inlined
def symbol_of(t: Tables, order: int) -> int:
    return (t.orders[order + L.O_META] >> L.SYMBOL_BIT) & L.SYMBOL_MASK


@inlined
def aside_of(t: Tables, order: int) -> int:
    """Place of the order's aside; of a plain one that of the zeros."""
    return (t.orders[order + L.O_OWNER] >> 32) * L.ASIDE_WORDS


@inlined
def is_named(t: Tables, order: int) -> bool:
    return t.orders[order + L.O_META] & L.NAMED != 0


@inlined
def name_at(order: int) -> int:
    """Place of its client order id."""
    return slot_of(order) * L.CLIENT_ID_WORDS


@inlined
def instrument_at(symbol: int) -> int:
    return symbol * L.INSTRUMENT_WORDS


@inlined
def house_at(t: Tables, row: int, asset: int) -> int:
    return row * t.header[L.H_ASSETS] + asset


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
