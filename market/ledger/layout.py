"""Where things stand in the ledger's arrays: constants only, shared by kernels and their wrapper.

One partition owns the accounts whose id is congruent to its index modulo the number of partitions. An account's
row is `account // partitions`; rows below `SYSTEM_ROWS` are the house's own.
"""

from typing import Final

from market.numbering import SYSTEM_ROWS as SYSTEM_ROWS
from market.records import COMMAND, REPORT

# Rows of the house. Every posting sums to zero per asset over all rows.
ROW_FEES: Final = 0
"""Commissions collected."""
ROW_EXTERNAL: Final = 1
"""Minus what was deposited and not withdrawn."""
ROW_CLEARING: Final = 2
"""The counterparts of trades; zero once all partitions have settled the same book batches."""
ROW_OUTSIDE: Final = 3
"""What users traded with a real venue's liquidity: the other side of it."""

# Columns of the row table.
R_STATE: Final = 0
"""0: no account, 1: open, 3: open and paused (R_OPEN | R_PAUSED)."""
R_SEQ: Final = 1
"""Reports numbered so far on the account's private stream."""
R_HEAD: Final = 2
"""Newest open order (slot), 0: none."""
R_OPEN_ORDERS: Final = 3
R_MAKER_FEE: Final = 4
R_TAKER_FEE: Final = 5
R_FLAGS: Final = 6
"""Or-ed into the flags of each new order: the account's fill model."""
R_BLOCK: Final = 7
"""Where its block of the pool begins (entry) << 32 | its entries, a power of two; 0: it has none."""
ROW_WORDS: Final = 8

R_OPEN: Final = 1
R_PAUSED: Final = 2

# Columns of an open order. Slot 0 is never used, so 0 means "none" in links.
O_ID: Final = 0
"""0: the slot is free."""
O_OWNER: Final = 1
"""Row | slot of its aside << 32; 0: it has none, it is plain."""
O_META: Final = 2
"""side | ord_type << 8 | time_in_force << 16 | stp_mode << 24 | flags << 32 | status << 40 | NAMED | symbol << 48."""
O_PRICE: Final = 3
O_QTY: Final = 4
O_LEAVES: Final = 5
O_CREATED: Final = 6
O_LINKS: Final = 7
"""Of the account's list: next << 32 | previous. Of a free slot: the next free one."""
ORDER_WORDS: Final = 8
"""One cache line."""

SIDE_MASK: Final = 255
ORD_TYPE_BIT: Final = 8
TIME_IN_FORCE_BIT: Final = 16
STP_MODE_BIT: Final = 24
FLAGS_BIT: Final = 32
STATUS_BIT: Final = 40
STATUS_MASK: Final = 15
HELD: Final = 15
"""Status of a pending order of a list while it waits for its leader; told as PENDING_NEW."""
NAMED: Final = 1 << 44
"""It has a client order id, `CLIENT_ID_WORDS` words of the same slot in a table of their own."""
SYMBOL_BIT: Final = 48
SYMBOL_MASK: Final = 0xFFFF
MAX_SYMBOLS: Final = SYMBOL_MASK + 1
"""Of a ledger; 16 bits of an order's row."""
LOW_HALF: Final = 0xFFFF_FFFF

# Columns of an aside: what an order is more than a plain one. Of a plain order all of it follows from its row, or is 0.
A_CUM: Final = 0
"""Lots traded. Plain: quantity less leaves. Of a free aside: the next free one."""
A_CUM_QUOTE: Final = 1
"""Plain: everything traded at the order's own price."""
A_RESERVED: Final = 2
"""Locked for this order now: quote units (BUY) or base units (SELL). Plain: what its leaves cost."""
A_WORKING: Final = 3
"""When it entered the book to trade; 0: not yet. Plain: when it was accepted."""
A_BORROW: Final = 4
"""REPLACE on its way: what the replaced order still locks and this one will take over."""
A_ORIG: Final = 5
"""The order this one replaced."""
A_TERMS: Final = 6
"""peg_type | peg_offset << 8 | list_role << 16 | trailing_bips << 32."""
A_STOP: Final = 7
A_DISPLAY: Final = 8
A_LIST: Final = 9
A_PARTNER: Final = 10
"""Id of the other order of a pair of which one cancels the other; what they lock, they lock together. 0: none."""
A_LEADER: Final = 11
"""Of a pending order of a list: id of the order by whose fill it is placed. 0: it waits, or waited, for none."""
A_BROUGHT: Final = 12
"""Of a pending order that sells what its leader buys: base units received for it so far, locked."""
A_BUDGET: Final = 13
"""Quote units that a BUY without a price may spend."""
A_TRACKING: Final = 14
"""Trailing stop: since when it follows the market; 0: not yet."""
A_PREVENTED: Final = 15
"""Lots that self-trade prevention took off."""
A_GIVEN: Final = 16
"""Pegged: the price that came with it; by quote amount: the amount."""
ASIDE_WORDS: Final = 17

PEG_OFFSET_BIT: Final = 8
LIST_ROLE_BIT: Final = 16
TRAILING_BIT: Final = 32

# An entry of an account's block: what it has of one asset, or in one symbol. Entry 0 of the pool is all zeros, for what an
# account does not have.
ENTRY_WORDS: Final = 4
LINE_WORDS: Final = 8
E_KEY: Final = 0
"""2 x asset + 1 or 2 x symbol + 2, 0: empty. Of a symbol, above it: open orders, and above them those that never rest."""
KEY_MASK: Final = (1 << 20) - 1
COUNT_BIT: Final = 20
COUNT_MASK: Final = (1 << 22) - 1
NEVER_RESTS_BIT: Final = 42
B_FREE: Final = 1
B_LOCKED: Final = 2
# A position. All stop at 2^62: they inform, no balance follows from them.
P_QTY: Final = 1
"""Base units held through trades in this symbol, commission deducted."""
P_COST: Final = 2
"""Quote units paid for them."""
P_REALISED: Final = 3
"""Realised profit in quote units, commission deducted."""
FIRST_ENTRIES: Final = 4
"""Of an account's first block: one symbol and its two assets, so that most never grow."""
LARGE_BLOCK: Final = 16
LONG_WALK: Final = 8
"""Entries passed on the way to a free one, from which on it is looked whether a large block is too full."""

# Columns of the instrument table.
I_BASE: Final = 0
I_QUOTE: Final = 1
I_QUOTE_PER_TICK_LOT: Final = 2
I_BASE_PER_LOT: Final = 3
I_MAX_NUM_ORDERS: Final = 4
I_LAST: Final = 5
"""Newest trade price (ticks), 0: none. Sizes the budget of a market order."""
I_AVAILABLE: Final = 6
"""1: the symbol's book can be reached."""
I_MAX_NUM_ALGO: Final = 7
I_MAX_NUM_ICEBERG: Final = 8
I_MAX_POSITION: Final = 9
"""Lots of the base asset, open BUY orders included; 0: no limit."""
INSTRUMENT_WORDS: Final = 10

# Header.
H_NEXT_ORDER: Final = 0
"""Counter of order ids; the id is counter x partitions + partition."""
H_FREE: Final = 1
"""Head of the list of free order slots (linked by O_LINKS)."""
H_LIVE: Final = 2
H_PARTITION: Final = 3
H_PARTITIONS: Final = 4
H_ROWS: Final = 5
"""Rows in use (highest opened row + 1)."""
H_ASSETS: Final = 6
H_SYMBOLS: Final = 7
H_USED: Final = 8
"""Highest order slot ever taken: memory above it was never touched."""
H_IDS: Final = 9
"""Entries of the table of order ids."""
H_OPEN: Final = 10
"""Open accounts."""
H_NAMED: Final = 11
"""Open orders with a client order id."""
H_CLIENT_IDS: Final = 12
"""Entries of the table of client order ids."""
H_FREE_ASIDE: Final = 13
"""Head of the list of free asides (linked by A_CUM)."""
H_ASIDES_USED: Final = 14
"""Highest aside ever taken."""
H_ENTRIES: Final = 15
"""Entries of the pool of blocks."""
H_ENTRIES_USED: Final = 16
"""Highest entry ever taken."""
H_DONE: Final = 17
"""Commands or events that the last call dealt with: fewer than it was given when the pool has to grow."""
H_ADDRESSES: Final = 18
"""From here on: where the other tables lie, in the order of `tables.Tables`."""
H_SCRATCH: Final = 32
"""32 words that mean nothing between two calls (`ahead.py`)."""
H_FREE_BLOCKS: Final = 64
"""24 words: by the exponent of their size, heads of the lists of free blocks, linked by their second word."""
HEADER_WORDS: Final = 88

# COMMAND and REPORT as words.
CLIENT_ID_WORDS: Final = 5
COMMAND_WORDS: Final = 20
COMMAND_CLIENT_ID: Final = 15
REPORT_WORDS: Final = 38
REPORT_CLIENT_ID: Final = 33

MARKET_BUDGET_PERCENT: Final = 110
"""A market order sized by quantity may spend this much of quantity x last price; the rest stays free."""


def _check() -> None:
    """The word constants restate `market.records`; a change there must fail here, not in an account."""
    assert COMMAND.fields is not None
    assert REPORT.fields is not None
    for record, words, client_id in (
        (COMMAND, COMMAND_WORDS, COMMAND_CLIENT_ID),
        (REPORT, REPORT_WORDS, REPORT_CLIENT_ID),
    ):
        assert record.fields is not None
        field, at = record.fields["client_order_id"][:2]
        assert (record.itemsize, at, field.itemsize) == (words * 8, client_id * 8, CLIENT_ID_WORDS * 8)


_check()
