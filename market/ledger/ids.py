"""The two hash tables over the open orders: by order id, and by account and client order id.

Open addressing with linear probing and no tombstones; an entry is 31 bits of hash over 32 bits of order slot, so that
a walk and the shift back on removal stay inside the table. The load never passes three quarters (`arrays.py`).

Must not know: commands, events, money.
"""

from market.book.machine import Words, inlined, routine
from market.ledger import layout as L
from market.ledger.tables import Tables, is_named, name_at, order_at, row_of, slot_of

_GOLDEN = -7046029254386353131
"""2^64 / golden ratio, odd, as int64."""
_MULTIPLIER = -4417276706812531889
"""The second prime of XXH64, as int64."""
_HASH_SHIFT = 33
_HASH_MASK = 0x7FFF_FFFF
_HASH_BITS = 31
_LOW_HALF = L.LOW_HALF


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
def _name_hash(t: Tables, order: int) -> int:
    return _client_id_hash(row_of(t, order), t.names, name_at(order))


@inlined
def _home(hashed: int, entries: int) -> int:
    """Ascending with the hash, so that a larger table takes the entries in the same order."""
    return (hashed * entries) >> _HASH_BITS


@inlined
def _after(place: int, entries: int) -> int:
    return place + 1 if place + 1 < entries else 0


@inlined
def _remember(table: Words, entries: int, hashed: int, slot: int) -> None:
    place = _home(hashed, entries)
    while table[place] != 0:
        place = _after(place, entries)
    table[place] = hashed << 32 | slot


@routine
def _forget(table: Words, entries: int, hashed: int, slot: int) -> None:
    """Remove an entry that is there, and close the gap."""
    sought = hashed << 32 | slot
    gap = _home(hashed, entries)
    while table[gap] != sought:
        gap = _after(gap, entries)
    place, away = gap, 0
    while True:
        place, away = _after(place, entries), away + 1
        entry = table[place]
        if entry == 0:
            break
        beyond_home = place - _home(entry >> 32, entries)
        if beyond_home < 0:
            beyond_home += entries
        if beyond_home >= away:
            table[gap] = entry
            gap, away = place, 0
    table[gap] = 0


@inlined
def find_id(t: Tables, order_id: int) -> int:
    """Slot of an open order, or 0."""
    hashed, entries = _id_hash(order_id), t.header[L.H_IDS]
    place = _home(hashed, entries)
    while True:
        entry = t.ids[place]
        if entry == 0:
            return 0
        slot = entry & _LOW_HALF
        if entry >> 32 == hashed and t.orders[order_at(slot) + L.O_ID] == order_id:
            return slot
        place = _after(place, entries)


@inlined
def _has_client_id(t: Tables, slot: int, row: int, words: Words, at: int) -> bool:
    order = order_at(slot)
    if row_of(t, order) != row:
        return False
    differing, name = 0, name_at(order)
    for k in range(L.CLIENT_ID_WORDS):
        differing |= t.names[name + k] ^ words[at + k]
    return differing == 0


@routine
def find_client_id(t: Tables, row: int, words: Words, at: int) -> int:
    """Slot of an account's open order by client order id (its words from `at`), or 0."""
    if words[at] == 0:
        return 0
    hashed, entries = _client_id_hash(row, words, at), t.header[L.H_CLIENT_IDS]
    place = _home(hashed, entries)
    while True:
        entry = t.client_ids[place]
        if entry == 0:
            return 0
        slot = entry & _LOW_HALF
        if entry >> 32 == hashed and _has_client_id(t, slot, row, words, at):
            return slot
        place = _after(place, entries)


# -- where they would be ------------------------------------------------------------------------------------


@inlined
def id_home(t: Tables, order_id: int) -> int:
    """Place of the entry at which a search for it begins."""
    return _home(_id_hash(order_id), t.header[L.H_IDS])


@inlined
def client_id_home(t: Tables, row: int, words: Words, at: int) -> int:
    return _home(_client_id_hash(row, words, at), t.header[L.H_CLIENT_IDS])


@inlined
def name_home(t: Tables, order: int) -> int:
    return _home(_name_hash(t, order), t.header[L.H_CLIENT_IDS])


@inlined
def likely_slot(t: Tables, order_id: int) -> int:
    """As `find_id` without a look at the order: another's of the same hash, now and then."""
    hashed, entries = _id_hash(order_id), t.header[L.H_IDS]
    place = _home(hashed, entries)
    while True:
        entry = t.ids[place]
        if entry == 0 or entry >> 32 == hashed:
            return entry & _LOW_HALF
        place = _after(place, entries)


# -- coming and going ---------------------------------------------------------------------------------------


@inlined
def remember_id(t: Tables, order: int) -> None:
    _remember(t.ids, t.header[L.H_IDS], _id_hash(t.orders[order + L.O_ID]), slot_of(order))


@inlined
def forget_id(t: Tables, order: int) -> None:
    _forget(t.ids, t.header[L.H_IDS], _id_hash(t.orders[order + L.O_ID]), slot_of(order))


@inlined
def _is_sought(t: Tables, order: int) -> bool:
    """Whether one can ask for it by its client order id: not by one that begins with zeros."""
    return t.names[name_at(order)] != 0


@inlined
def remember_name(t: Tables, order: int) -> None:
    """Of a NAMED order."""
    t.header[L.H_NAMED] += 1
    if _is_sought(t, order):
        _remember(t.client_ids, t.header[L.H_CLIENT_IDS], _name_hash(t, order), slot_of(order))


@inlined
def forget_name(t: Tables, order: int) -> None:
    t.header[L.H_NAMED] -= 1
    if _is_sought(t, order):
        _forget(t.client_ids, t.header[L.H_CLIENT_IDS], _name_hash(t, order), slot_of(order))


@routine
def refill_table(smaller: Words, entries: int, table: Words, more_entries: int) -> None:
    """Into an empty table what a smaller one holds: both are read and written from one end to the other, almost."""
    for place in range(entries):
        entry = smaller[place]
        if entry != 0:
            _remember(table, more_entries, entry >> 32, entry & _LOW_HALF)


@routine
def index_orders(t: Tables) -> None:
    """Fill empty hash tables from the order pool."""
    t.header[L.H_NAMED] = 0
    for slot in range(1, t.header[L.H_USED] + 1):
        order = order_at(slot)
        if t.orders[order + L.O_ID] != 0:
            remember_id(t, order)
            if is_named(t, order):
                remember_name(t, order)


@routine
def count_lost_orders(t: Tables) -> int:
    """Open orders that the hash tables do not lead to."""
    lost = 0
    for slot in range(1, t.header[L.H_USED] + 1):
        order = order_at(slot)
        if t.orders[order + L.O_ID] == 0:
            continue
        if find_id(t, t.orders[order + L.O_ID]) != slot or (
            is_named(t, order)
            and _is_sought(t, order)
            and find_client_id(t, row_of(t, order), t.names, name_at(order)) == 0
        ):
            lost += 1
    return lost
