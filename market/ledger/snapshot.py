"""A settled ledger as bytes: what follows from nothing else, in one order, behind a checksum.

    magic | blake2b of all the rest | length of head | head (MessagePack) | sections

Equal states give equal bytes, whatever the slots, capacities and hash seeds. Must not know: files, rules.
"""

from collections.abc import Sequence
from hashlib import blake2b
from math import prod
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from market.instrument import Instrument
from market.ledger import layout as L
from market.ledger.arrays import Room, fresh
from market.ledger.audit import owned
from market.ledger.kernel import kernels
from market.ledger.lists import OrderList, OrderLists
from market.ledger.tables import Array, Arrays

_MAGIC = b"RAYPLGR5"
_CHECKSUM_BYTES = 16
_LENGTH_BYTES = 4
_ENTRIES_OF_A_SYMBOL = 3
"""Its own and those of its two assets, which stand beside it even with nothing in them."""


class _Head(msgspec.Struct):
    partition: int
    partitions: int
    instruments: list[str]
    next_order: int
    rows: int
    assets: int
    entries: int
    orders: int
    asides: int
    named: int
    lists: list[OrderList]


def _identity(one: Instrument) -> str:
    """What the units in a snapshot are multiples of; filters may change, these may not."""
    tick, lot = one.tick.normalize(), one.lot.normalize()
    return f"{one.symbol}, tick {tick}, lot {lot}, units 10^-{one.base.scale} and 10^-{one.quote.scale}"


class _Orders(NamedTuple):
    """Open orders from the oldest on: rows that name their asides by number, the asides, the client order ids."""

    rows: Array
    asides: Array
    names: Array


def _orders(arrays: Arrays) -> _Orders:
    slots = 1 + np.flatnonzero(arrays.orders[1 : 1 + int(arrays.header[L.H_USED]), L.O_ID])
    slots = slots[np.lexsort((arrays.orders[slots, L.O_ID], arrays.orders[slots, L.O_CREATED]))]
    rows = arrays.orders[slots]
    aside = rows[:, L.O_OWNER] >> 32
    more = aside != 0
    number = np.where(more, np.cumsum(more), 0)
    rows[:, L.O_OWNER] = (rows[:, L.O_OWNER] & L.LOW_HALF) | number << 32
    rows[:, L.O_LINKS] = 0
    return _Orders(rows, arrays.asides[aside[more]], arrays.names[slots[_are_named(rows)]])


def _are_named(rows: Array) -> NDArray[np.bool_]:
    named: NDArray[np.bool_] = rows[:, L.O_META] & L.NAMED != 0
    return named


def _sections(arrays: Arrays) -> list[Array]:
    """Rows, the house, whose entries, entries, last prices; orders, asides, client order ids."""
    count = int(arrays.header[L.H_ROWS])
    rows = arrays.rows[:count].copy()
    rows[:, [L.R_HEAD, L.R_OPEN_ORDERS, L.R_BLOCK]] = 0
    last = np.ascontiguousarray(arrays.instruments[:, L.I_LAST])
    return [rows, arrays.house, *_entries(arrays), last, *_orders(arrays)]


def _entries(arrays: Arrays) -> tuple[Array, Array]:
    """Whose each is, and the entries that say something, without counts, which follow from the orders."""
    own = owned(arrays)
    entries = arrays.entries[own.places]
    entries[:, L.E_KEY] &= L.KEY_MASK
    some = entries[:, L.E_KEY + 1 :].any(axis=1)
    return own.rows[some], entries[some]


def digest(arrays: Arrays, lists: OrderLists) -> str:
    """Hex digest of the settled state."""
    state = blake2b(digest_size=16)
    for section in _sections(arrays):
        state.update(section.tobytes())
    state.update(lists.encode())
    return state.hexdigest()


def encode(arrays: Arrays, lists: OrderLists, instruments: Sequence[Instrument]) -> bytes:
    """`arrays` without orders on their way."""
    sections = _sections(arrays)
    header = arrays.header
    head = msgspec.msgpack.encode(
        _Head(
            partition=int(header[L.H_PARTITION]),
            partitions=int(header[L.H_PARTITIONS]),
            instruments=[_identity(one) for one in instruments],
            next_order=int(header[L.H_NEXT_ORDER]),
            rows=int(header[L.H_ROWS]),
            assets=arrays.house.shape[1],
            entries=len(sections[3]),
            orders=len(sections[-3]),
            asides=len(sections[-2]),
            named=len(sections[-1]),
            lists=list(lists),
        )
    )
    body = b"".join([len(head).to_bytes(_LENGTH_BYTES, "little"), head, *(one.tobytes() for one in sections)])
    return b"".join([_MAGIC, _checksum(body), body])


def _checksum(body: bytes) -> bytes:
    return blake2b(body, digest_size=_CHECKSUM_BYTES).digest()


def decode(data: bytes, instruments: Sequence[Instrument]) -> tuple[Arrays, OrderLists]:
    """Raises ValueError unless `data` is a whole snapshot of these instruments; later ones may have been added."""
    body_at = len(_MAGIC) + _CHECKSUM_BYTES
    if not data.startswith(_MAGIC):
        raise ValueError("not a snapshot of a ledger, or of another version")
    if _checksum(data[body_at:]) != data[len(_MAGIC) : body_at]:
        raise ValueError("the ledger's snapshot is damaged: its checksum differs")
    head_at = body_at + _LENGTH_BYTES
    sections_at = head_at + int.from_bytes(data[body_at:head_at], "little")
    head = msgspec.msgpack.decode(data[head_at:sections_at], type=_Head)
    known = [_identity(one) for one in instruments[: len(head.instruments)]]
    if known != head.instruments:
        raise ValueError("the ledger's snapshot is of other instruments")
    return _assembled(head, data[sections_at:], instruments), OrderLists(head.lists)


def _assembled(head: _Head, data: bytes, instruments: Sequence[Instrument]) -> Arrays:
    symbols = len(head.instruments)
    shapes = [
        (head.rows, L.ROW_WORDS),
        (L.SYSTEM_ROWS, head.assets),
        (head.entries,),
        (head.entries, L.ENTRY_WORDS),
        (symbols,),
        (head.orders, L.ORDER_WORDS),
        (head.asides, L.ASIDE_WORDS),
        (head.named, L.CLIENT_ID_WORDS),
    ]
    words, sections, at = np.frombuffer(data, np.int64), [], 0
    for shape in shapes:
        sections.append(words[at : at + prod(shape)].reshape(shape))
        at += prod(shape)
    rows, house, owners, entries, last, orders, asides, names = sections
    room = Room(head.rows, head.orders, _ENTRIES_OF_A_SYMBOL * (head.entries + head.orders), head.named)
    arrays = fresh(instruments, head.partition, head.partitions, room)
    arrays.header[L.H_NEXT_ORDER], arrays.header[L.H_ROWS] = head.next_order, head.rows
    arrays.rows[: head.rows] = rows
    arrays.header[L.H_OPEN] = np.count_nonzero(rows[:, L.R_STATE])
    arrays.house[:, : head.assets] = house
    kernels.fill_entries(arrays.header, owners.copy(), entries.copy())
    arrays.instruments[:symbols, L.I_LAST] = last
    arrays.orders[1 : 1 + head.orders] = orders
    arrays.asides[1 : 1 + head.asides] = asides
    arrays.names[1 + np.flatnonzero(_are_named(orders))] = names
    arrays.header[L.H_USED], arrays.header[L.H_ASIDES_USED] = head.orders, head.asides
    kernels.link(arrays.header)
    kernels.build_index(arrays.header)
    return arrays
