"""What accounts have, of assets and in symbols: entries in a block per account, which grows with them.

A block is open addressing with linear probing, small ones full at most, so that an account of few assets and symbols is a line or two
of memory, and one that never met an asset keeps nothing of it. Entries stay where they are until their block grows, which
`keep_entry` alone does: what an order needs is there when it is entered.

Must not know: orders, what is posted.
"""

from market.book.machine import Words, inlined, routine, signed
from market.ledger import layout as L
from market.ledger.tables import Tables, instrument_at, row_at


@inlined
def asset_key(asset: int) -> int:
    return 2 * asset + 1


@inlined
def symbol_key(symbol: int) -> int:
    return 2 * symbol + 2


@inlined
def symbol_of_key(key: int) -> int:
    return (key >> 1) - 1


@inlined
def entry_at(entry: int) -> int:
    return entry * L.ENTRY_WORDS


@inlined
def find_entry(t: Tables, row: int, key: int) -> int:
    """Place of an account's entry; 0, the place of zeros, when it has none."""
    block = t.rows[row_at(row) + L.R_BLOCK]
    size, first = block & L.LOW_HALF, block >> 32
    if size == 0:
        return 0
    at = entry_at(first + (key & (size - 1)))
    if t.entries[at + L.E_KEY] & L.KEY_MASK == key:
        return at
    return _find_further(t, first, size, key)


@routine
def _find_further(t: Tables, first: int, size: int, key: int) -> int:
    for k in range(1, size):
        at = entry_at(first + ((key + k) & (size - 1)))
        found = t.entries[at + L.E_KEY] & L.KEY_MASK
        if found == key:
            return at
        if found == 0:
            return 0
    return 0


@inlined
def balance_at(t: Tables, row: int, asset: int) -> int:
    """Of an account, not of a row of the house."""
    return find_entry(t, row, asset_key(asset))


@inlined
def position_at(t: Tables, row: int, symbol: int) -> int:
    return find_entry(t, row, symbol_key(symbol))


@routine
def keep_entries(t: Tables, row: int, symbol: int) -> None:
    """All that an order in the symbol needs. Where that of the symbol is, the others are."""
    if find_entry(t, row, symbol_key(symbol)) != 0:
        return
    instrument = instrument_at(symbol)
    keep_entry(t, row, asset_key(t.instruments[instrument + L.I_BASE]))
    keep_entry(t, row, asset_key(t.instruments[instrument + L.I_QUOTE]))
    keep_entry(t, row, symbol_key(symbol))


@inlined
def count_in(t: Tables, row: int, symbol: int) -> int:
    """Open orders of the account in the symbol, those on their way included, without those that never rest."""
    word = t.entries[position_at(t, row, symbol) + L.E_KEY]
    return ((word >> L.COUNT_BIT) & L.COUNT_MASK) - (word >> L.NEVER_RESTS_BIT)


# -- growth -------------------------------------------------------------------------------------------------


@inlined
def has_room(t: Tables, accounts: int) -> bool:
    """Whether each of so many accounts can get three entries more: a block four times the largest, at worst."""
    most = 4 * (t.header[L.H_ASSETS] + t.header[L.H_SYMBOLS])
    return t.header[L.H_ENTRIES] - t.header[L.H_ENTRIES_USED] > 4 * accounts * most


@inlined
def _exponent(size: int) -> int:
    exponent = 0
    while size > 1 << exponent:
        exponent += 1
    return exponent


@inlined
def _take_block(t: Tables, size: int) -> int:
    """First entry of a free block, all empty."""
    head = L.H_FREE_BLOCKS + _exponent(size)
    first = t.header[head]
    if first == 0:
        first = t.header[L.H_ENTRIES_USED] + 1
        t.header[L.H_ENTRIES_USED] += size
        return first
    t.header[head] = t.entries[entry_at(first) + 1]
    t.entries[entry_at(first) + 1] = 0
    return first


@inlined
def _free_block(t: Tables, first: int, size: int) -> None:
    for word in range(entry_at(first), entry_at(first + size)):
        t.entries[word] = 0
    head = L.H_FREE_BLOCKS + _exponent(size)
    t.entries[entry_at(first) + 1] = t.header[head]
    t.header[head] = first


@inlined
def _empty_place(entries: Words, first: int, size: int, key: int) -> int:
    """Where an entry that is not there belongs, or 0: the block is full."""
    for k in range(size):
        at = entry_at(first + ((key + k) & (size - 1)))
        if entries[at + L.E_KEY] == 0:
            return at
    return 0


@inlined
def _is_crowded(entries: Words, first: int, size: int, key: int, at: int) -> bool:
    """Whether a large block has more than three quarters of its entries in use: walks in it would become long.

    They are counted only where the walk to the new entry is long: all of them for each one would be most of an order's time.
    """
    walk = (at // L.ENTRY_WORDS - first - key) & (size - 1)
    if size < L.LARGE_BLOCK or walk <= L.LONG_WALK:
        return False
    used = 0
    for k in range(size):
        used += entries[entry_at(first + k) + L.E_KEY] != 0
    return 4 * used > 3 * size


@routine
def _grow(t: Tables, row: int) -> None:
    block = t.rows[row_at(row) + L.R_BLOCK]
    size, first = block & L.LOW_HALF, block >> 32
    larger = max(2 * size, signed(L.FIRST_ENTRIES))
    to = _take_block(t, larger)
    for k in range(size):
        at = entry_at(first + k)
        new = _empty_place(t.entries, to, larger, t.entries[at + L.E_KEY] & L.KEY_MASK)
        for word in range(L.ENTRY_WORDS):
            t.entries[new + word] = t.entries[at + word]
    if size != 0:
        _free_block(t, first, size)
    t.rows[row_at(row) + L.R_BLOCK] = to << 32 | larger


@routine
def keep_entry(t: Tables, row: int, key: int) -> int:
    """Place of an account's entry, made when it has none. There `has_room`."""
    at = find_entry(t, row, key)
    if at != 0:
        return at
    block = t.rows[row_at(row) + L.R_BLOCK]
    at = _empty_place(t.entries, block >> 32, block & L.LOW_HALF, key)
    if at == 0 or _is_crowded(t.entries, block >> 32, block & L.LOW_HALF, key, at):
        _grow(t, row)
        block = t.rows[row_at(row) + L.R_BLOCK]
        at = _empty_place(t.entries, block >> 32, block & L.LOW_HALF, key)
    t.entries[at + L.E_KEY] = key
    return at


# -- sums ---------------------------------------------------------------------------------------------------


@routine
def add_balances(t: Tables, sums: Words) -> None:
    """What all accounts together have, to `sums` by asset."""
    for entry in range(1, t.header[L.H_ENTRIES_USED] + 1):
        at = entry_at(entry)
        key = t.entries[at + L.E_KEY] & L.KEY_MASK
        if key & 1:
            sums[key >> 1] += t.entries[at + L.B_FREE] + t.entries[at + L.B_LOCKED]
