"""Where things stand in the ledger's arrays. Shared by the kernel and its wrapper; knows neither.

One partition owns the accounts whose id is congruent to its index modulo the number of partitions. An account's
row is `account // partitions`; rows below `SYSTEM_ROWS` are the house's own.
"""

from typing import Final

from market.numbering import SYSTEM_ROWS as SYSTEM_ROWS

# Rows of the house. Every posting sums to zero per asset over all rows.
ROW_FEES: Final = 0
"""Commissions collected."""
ROW_EXTERNAL: Final = 1
"""Minus what was deposited and not withdrawn."""
ROW_CLEARING: Final = 2
"""The counterparts of trades; zero once all partitions have settled the same book batches."""

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
ROW_WORDS: Final = 8

R_OPEN: Final = 1
R_PAUSED: Final = 2

# Columns of an open order. Slot 0 is never used, so 0 means "none" in links.
O_ID: Final = 0
O_ROW: Final = 1
O_SYMBOL: Final = 2
O_META: Final = 3
"""side | ord_type << 8 | time_in_force << 16 | stp_mode << 24 | flags << 32 | status << 40."""
O_PRICE: Final = 4
O_QTY: Final = 5
O_LEAVES: Final = 6
O_CUM: Final = 7
O_CUM_QUOTE: Final = 8
O_RESERVED: Final = 9
"""Locked for this order now: quote units (BUY) or base units (SELL)."""
O_BORROW: Final = 10
"""REPLACE on its way: what the replaced order still locks and this one will take over."""
O_CREATED: Final = 11
O_NEXT: Final = 12
O_PREV: Final = 13
O_CID: Final = 14
"""Five words: the client order id."""
O_ORIG: Final = 19
"""The order this one replaced."""
ORDER_WORDS: Final = 20

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
INSTRUMENT_WORDS: Final = 8

# Columns of a position (per account and symbol).
P_QTY: Final = 0
"""Base units held through trades in this symbol, commission deducted."""
P_COST: Final = 1
"""Quote units paid for them."""
P_REALISED: Final = 2
"""Realised profit in quote units, commission deducted."""
POSITION_WORDS: Final = 3

# Header.
H_NEXT_ORDER: Final = 0
"""Counter of order ids; the id is counter x partitions + partition."""
H_FREE: Final = 1
"""Head of the list of free order slots (linked by O_NEXT)."""
H_LIVE: Final = 2
H_PARTITION: Final = 3
H_PARTITIONS: Final = 4
H_ROWS: Final = 5
"""Rows in use (highest opened row + 1)."""
HEADER_WORDS: Final = 8

MARKET_BUDGET_PERCENT: Final = 110
"""A market order sized by quantity may spend this much of quantity x last price; the rest stays free."""
