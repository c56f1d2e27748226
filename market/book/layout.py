"""Where every word of a book lies: one 1-D int64 array, the arena, holds the whole state of one symbol.

    header | ids | a directory per store | orders | pages | asides

- ids: open addressing, order_id -> order slot; an entry is one word, 31 bits of hash over 32 bits of slot.
- stores: where live orders stand. Bids, asks; orders that wait for a fall or for a rise, at their stop prices; tracking
  ones and the line of T3, all at one price of 0, for the sake of their order alone; outside bids and asks that are eaten.
  All eight are built alike.
- an outside level (O1) is one record with an id below 0, the first of its level while it stands.
- orders: records of ORDER_WORDS, one cache line: all that a plain order is.
- asides: a second line for orders that are more, in the same sequence. Where none was written the operating system
  keeps no memory.
- pages: 64 neighbouring price levels each, with one word telling which of them hold orders.
- directory: per store, the pages in use as (page number, page slot), ascending, the best LAST.

Slots count from 1; 0 is "none". Levels are ordered by *key*: the price in even stores (bids, falls), ~price in odd
ones (asks, rises). So the best level has the highest key in each of them, and one code serves all.

Must not know: numba, the rules of matching.
"""

from typing import Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from market.records import COMMAND, EVENT

WordArray: TypeAlias = NDArray[np.int64]
"""int64[n]."""

Records: TypeAlias = np.ndarray[tuple[int], np.dtype[np.void]]
"""A structured array of one dimension."""


class CommandRecord(Protocol):
    """One element of COMMAND[n] as compiled code sees it: fields are attributes, each of its own width."""

    kind: int
    side: int
    ord_type: int
    time_in_force: int
    stp_mode: int
    flags: int
    symbol: int
    account: int
    order_id: int
    target_id: int
    price_ticks: int
    qty_lots: int
    quote_units: int
    expected_leaves: int
    maker_fee_ppm: int
    taker_fee_ppm: int
    stop_price_ticks: int
    display_lots: int
    list_id: int
    trailing_bips: int
    peg_type: int
    peg_offset: int
    list_role: int
    cancel_restriction: int


WORD_BYTES: Final = 8
CACHE_LINE_WORDS: Final = 16
"""Two 64-byte lines: sections start on their boundary, so an order never straddles."""

# --- header ---------------------------------------------------------------------------------------------
SYMBOL: Final = 0
LIVE: Final = 1
MAX_LIVE: Final = 2
EXEC_ID: Final = 3
TRADE_ID: Final = 4
LAST_PRICE: Final = 5
HALTED: Final = 6
PREVENTED_ID: Final = 7

IDS_AT: Final = 8
IDS_MASK: Final = 9
IDS_SHIFT: Final = 10
"""Right shift that turns a 31-bit hash into its home place."""
ORDERS_AT: Final = 11
ORDERS_CAPACITY: Final = 12
ORDERS_USED: Final = 13
"""Highest slot ever taken; slots below it that are free hang on FREE_ORDER."""
FREE_ORDER: Final = 14
PAGES_AT: Final = 15
PAGES_CAPACITY: Final = 16
PAGES_USED: Final = 17
FREE_PAGE: Final = 18
ICEBERGS: Final = 19
"""Live orders with a display quantity."""

MIN_PRICE: Final = 20
MAX_PRICE: Final = 21
MIN_QTY: Final = 22
MAX_QTY: Final = 23
MARKET_MIN_QTY: Final = 24
MARKET_MAX_QTY: Final = 25
MIN_NOTIONAL: Final = 26
MAX_NOTIONAL: Final = 27
MIN_TICK_LOTS: Final = 28
"""MIN_NOTIONAL and MAX_NOTIONAL as price x qty, exact: rounded inwards."""
MAX_TICK_LOTS: Final = 29
UNITS: Final = 30
"""Quote units per tick and lot."""
TOTALS_FIT: Final = 31
"""1: no level's total quantity can pass 64 bits under these filters."""
MULTIPLIERS: Final = 32
"""4 words, in ppm: bid up, bid down, ask up, ask down."""
BANDS: Final = 36
"""4 words: the prices R7 and R7a allow: lowest bid, highest bid, lowest ask, highest ask."""
BAND_PRICE: Final = 40
"""The last price BANDS were computed for."""
STOPS: Final = 41
"""Orders in the stores behind the asks: those that have not triggered."""
TAKER_PREVENTED: Final = 42
"""While a command is applied: lots that S4 took off the taker."""
MOST_PARTS: Final = 43
"""So often can an iceberg, live or to come, show anew."""

BIDS: Final = 44
ASKS: Final = 48
BEST_KEY: Final = 0
DIRECTORY_AT: Final = 1
DIRECTORY_COUNT: Final = 2
LEVELS: Final = 3
SIDE_WORDS: Final = ASKS - BIDS

# Stores; the side's number is that of its store.
ASKS_STORE: Final = 1
"""The last of the two in which orders rest."""
FALLS: Final = 2
RISES: Final = 3
TRACKING: Final = 4
LINE: Final = 5
EATEN: Final = 6
"""Of bids; that of asks follows."""
STORES: Final = 8

ICEBERG_PARTS: Final = 76
DELTAS: Final = 77
"""4 words, in bips: least and most of an order that waits for a fall, then for a rise."""
MAX_AMENDS: Final = 81
PERCENT: Final = 82
"""2 words, in ppm: multiplier up (0: no such filter), multiplier down."""
OUTSIDE: Final = 84
"""Outside levels, standing or eaten; LIVE does not count them."""
ASIDE: Final = 85
"""Words from an order to its aside."""
ASIDES_USED: Final = 86
"""Words from the first aside to the end of the last one ever written."""
HIGHEST_ID: Final = 87
"""No order that lives has a higher id."""

HEADER_WORDS: Final = 96

# --- order record ---------------------------------------------------------------------------------------
ID: Final = 0
PRICE: Final = 1
LEAVES: Final = 2
QTY: Final = 3
LINKS: Final = 4
"""Next slot in the level << 32 | previous slot. Of a free record: the next free slot."""
META: Final = 5
"""Side, type, time in force, STP mode and flags, placed as in the first 8 bytes of EVENT; above them its store and
the bits that follow."""
OWNER: Final = 6
"""Account << 32 | times amended << AMENDS_BIT | maker_fee_ppm."""
LEVEL: Final = 7
"""Place of its level, in words from PAGES_AT."""
ORDER_WORDS: Final = 8

# --- aside ----------------------------------------------------------------------------------------------
# Which of its words mean something is told by META: a plain order has none.
STOP_PRICE: Final = 0
"""Waiting: 0, it tracks from the start."""
HIDDEN: Final = 1
"""ICEBERG: leaves beyond LEAVES; 0 while it waits."""
DISPLAY: Final = 2
"""ICEBERG."""
PREVENTED: Final = 3
"""WAS_PREVENTED: lots that S4 took off."""
OTHER: Final = 4
"""PAIRED: slot of the other leg."""
BUDGET: Final = 5
"""Waiting: quote_units of the command."""
TERMS: Final = 6
"""Waiting: taker_fee_ppm << 32 | trailing_bips << 16 | peg_offset << 8 | peg_type."""
EXTREME: Final = 7
"""Tracking: 0, no price met yet."""
# An order that rests needs none of the last three any more; QUEUED says that they are its queue figures, in lots.
AHEAD: Final = 5
BY_TRADES: Final = 6
BY_CANCELS: Final = 7
# Of an outside level: LEAVES is what is available, QTY what is shown.
PRINTED: Final = 5
UNCLAIMED: Final = 6
ASIDE_WORDS: Final = ORDER_WORDS

STORE_BIT: Final = 56
STORE_MASK: Final = 7
ICEBERG: Final = 1 << 59
PAIRED: Final = 1 << 60
WAS_PREVENTED: Final = 1 << 61
QUEUED: Final = 1 << 62
"""Has queue figures, or is an outside level."""
SPECIAL: Final = ICEBERG | PAIRED | QUEUED
"""A maker with one of these needs more than a plain one when it trades."""
TOLD: Final = (1 << STORE_BIT) - 1
"""What of META goes into events."""

AMENDS_BIT: Final = 20
FEE_MASK: Final = (1 << AMENDS_BIT) - 1
"""A fee stays below 1,000,000 ppm."""
AMENDS_MASK: Final = 0xFFF
DELTA_BIT: Final = 16
PEG_OFFSET_BIT: Final = 8

# --- page -----------------------------------------------------------------------------------------------
PAGE_BITS: Final = 6
PAGE_LEVELS: Final = 1 << PAGE_BITS
OCCUPIED: Final = 0
"""Bit t: level t holds orders."""
NEXT_FREE_PAGE: Final = 1
FIRST_LEVEL: Final = 8
HEAD: Final = 0
TAIL: Final = 1
TOTAL: Final = 2
COUNT: Final = 3
LEVEL_WORDS: Final = 4
PAGE_WORDS: Final = FIRST_LEVEL + PAGE_LEVELS * LEVEL_WORDS

DIRECTORY_ENTRY_WORDS: Final = 2

PAGES_PER_COMMAND: Final = 2
"""A command may wait in a page of its own and then rest in another."""

COMMAND_WORDS: Final = COMMAND.itemsize // WORD_BYTES

# --- keys -----------------------------------------------------------------------------------------------
NO_KEY: Final = -(1 << 63)
"""Best key of an empty side: below every key."""
ANY_KEY: Final = NO_KEY + 1
"""The limit of a MARKET order: every key is at or above it."""

LOW_HALF: Final = 0xFFFF_FFFF

# --- EVENT as words -------------------------------------------------------------------------------------
EVENT_WORDS: Final = EVENT.itemsize // WORD_BYTES
E_SYMBOL_ACCOUNT: Final = 1
E_ORDER_ID: Final = 2
E_PRICE: Final = 3
E_QTY: Final = 4
E_LEAVES: Final = 5
E_QUOTE: Final = 6
E_MAKER_ORDER_ID: Final = 7
E_MAKER_ACCOUNT_INDEX: Final = 8
E_MAKER_LEAVES: Final = 9
E_EXEC_ID: Final = 10
E_TRADE_ID: Final = 11
E_FEES: Final = 12

SIDE_BIT: Final = 8
ORD_TYPE_BIT: Final = 16
TIME_IN_FORCE_BIT: Final = 24
REASON_BIT: Final = 32
STP_MODE_BIT: Final = 40
FLAGS_BIT: Final = 48
COMMAND_KIND_BIT: Final = 56

# --- what the book tells beside events ------------------------------------------------------------------
DEPTH = np.dtype([("price_ticks", "<i8"), ("qty_lots", "<i8"), ("orders", "<i8")])
DEPTH_WORDS: Final = 3

RESTING = np.dtype(
    [
        ("side", "u1"),
        ("ord_type", "u1"),
        ("time_in_force", "u1"),
        ("stp_mode", "u1"),
        ("flags", "u1"),
        ("store", "u1"),  # BUY, SELL: it rests; FALLS, RISES: it waits; TRACKING
        ("amends", "<u2"),
        ("order_id", "<i8"),
        ("account", "<i4"),
        ("maker_fee_ppm", "<i4"),
        ("price_ticks", "<i8"),
        ("qty_lots", "<i8"),
        ("leaves_lots", "<i8"),  # what an iceberg hides is in it
        # What plain resting orders do not have; where it has no meaning any more it is 0.
        ("hidden_lots", "<i8"),
        ("display_lots", "<i8"),
        ("prevented_lots", "<i8"),
        ("other_id", "<i8"),  # order id of the other leg of its pair
        ("stop_price_ticks", "<i8"),
        ("budget_units", "<i8"),
        ("peg_type", "u1"),
        ("peg_offset", "u1"),
        ("trailing_bips", "<u2"),
        ("taker_fee_ppm", "<i4"),
        ("extreme_ticks", "<i8"),
        ("ahead_lots", "<i8"),  # -1: no queue figures
        ("by_trades_lots", "<i8"),
        ("by_cancels_lots", "<i8"),
    ]
)
"""One live order; `qty_lots` is its total."""
RESTING_WORDS: Final = 17

OUTSIDE_LEVEL = np.dtype(
    [
        ("side", "<i8"),
        ("price_ticks", "<i8"),
        ("shown_lots", "<i8"),
        ("taken_lots", "<i8"),  # what of it is available is the rest
        ("printed_lots", "<i8"),
        ("unclaimed_lots", "<i8"),
    ]
)
"""One outside level: V, T, P and D of O1."""
OUTSIDE_LEVEL_WORDS: Final = 6


def _offsets(record: "np.dtype[np.void]") -> dict[str, int]:
    assert record.fields is not None
    return {name: field[1] for name, field in record.fields.items()}


def _check() -> None:
    """The word constants above restate `market.records`; a change there must fail here, not in a market."""
    event = _offsets(EVENT)
    words = {
        "account": E_SYMBOL_ACCOUNT * WORD_BYTES + 4,
        "order_id": E_ORDER_ID * WORD_BYTES,
        "price_ticks": E_PRICE * WORD_BYTES,
        "qty_lots": E_QTY * WORD_BYTES,
        "leaves_lots": E_LEAVES * WORD_BYTES,
        "quote_units": E_QUOTE * WORD_BYTES,
        "maker_order_id": E_MAKER_ORDER_ID * WORD_BYTES,
        "command_index": E_MAKER_ACCOUNT_INDEX * WORD_BYTES + 4,
        "maker_leaves_lots": E_MAKER_LEAVES * WORD_BYTES,
        "exec_id": E_EXEC_ID * WORD_BYTES,
        "trade_id": E_TRADE_ID * WORD_BYTES,
        "taker_fee_ppm": E_FEES * WORD_BYTES + 4,
        "kind": 0,
        "side": SIDE_BIT // 8,
        "ord_type": ORD_TYPE_BIT // 8,
        "time_in_force": TIME_IN_FORCE_BIT // 8,
        "reason": REASON_BIT // 8,
        "stp_mode": STP_MODE_BIT // 8,
        "flags": FLAGS_BIT // 8,
        "command_kind": COMMAND_KIND_BIT // 8,
    }
    assert all(event[name] == at for name, at in words.items())
    command = _offsets(COMMAND)
    assert all(command[name] == event[name] for name in ("kind", "side", "ord_type", "time_in_force"))
    assert (command["stp_mode"], command["flags"]) == (4, 5)
    assert EVENT_WORDS == E_FEES + 1
    assert COMMAND.itemsize % WORD_BYTES == 0
    assert RESTING.itemsize == RESTING_WORDS * WORD_BYTES
    assert OUTSIDE_LEVEL.itemsize == OUTSIDE_LEVEL_WORDS * WORD_BYTES
    assert DEPTH.itemsize == DEPTH_WORDS * WORD_BYTES


_check()
