"""Why an order was refused or ended: one enum. Which reason is told when several apply is said where they are found:
`market/book/SEMANTICS.md` and `market/ledger/admit.py`.

Values are journaled: never renumber, only append. `serve` maps them to public codes and texts.
"""

from enum import IntEnum


class Reason(IntEnum):
    NONE = 0

    # Refusals by the account (before the book sees the command).
    UNKNOWN_ACCOUNT = 1
    ACCOUNT_PAUSED = 2
    UNKNOWN_SYMBOL = 3
    DUPLICATE_CLIENT_ORDER_ID = 4
    MAX_NUM_ORDERS = 5
    INSUFFICIENT_BALANCE = 6
    ORDER_PENDING = 7
    """The order named is still on its way to the book (or already being canceled)."""
    BOOK_UNAVAILABLE = 8
    """The book does not answer now; the order was not accepted and may be sent again."""
    OVERLOADED = 9
    """Too many commands under way; not accepted, may be sent again."""
    MAX_NUM_ALGO_ORDERS = 10
    MAX_NUM_ICEBERG_ORDERS = 11
    MAX_NUM_ORDER_LISTS = 12
    MAX_POSITION = 13
    MAX_ASSET = 14
    EXCHANGE_MAX_NUM_ORDERS = 15
    EXCHANGE_MAX_NUM_ALGO_ORDERS = 16
    EXCHANGE_MAX_NUM_ICEBERG_ORDERS = 17
    EXCHANGE_MAX_NUM_ORDER_LISTS = 18

    # Refusals by the book.
    SYMBOL_HALTED = 20
    INVALID_COMMAND = 21
    """A field outside its domain (kind, side, type, time in force, negative number, duplicate order id)."""
    UNKNOWN_ORDER = 22
    PRICE_FILTER = 23
    LOT_SIZE = 24
    MARKET_LOT_SIZE = 25
    NOTIONAL = 26
    PERCENT_PRICE_BY_SIDE = 27
    WOULD_TAKE = 28
    """LIMIT_MAKER would trade at once."""
    BOOK_FULL = 29
    ORDER_CHANGED = 30
    """REPLACE named the leaves it expected of the old order and they differ (it was filled meanwhile)."""
    AMEND_NOT_REDUCED = 31
    """AMEND must name a total quantity below the present one and above what is already filled."""
    PERCENT_PRICE = 32
    TRAILING_DELTA = 33
    ICEBERG_PARTS = 34
    STOP_WOULD_TRIGGER = 35
    """The last price has already reached the stop price."""
    OCO_PRICES = 36
    """The prices of a pair are not on the two sides of the last price."""
    OCO_PAIR_REFUSED = 37
    """Nothing is wrong with this order, but with the other one of its pair."""
    PEG_UNAVAILABLE = 38
    """The book has no such price level to peg to."""
    CANCEL_RESTRICTED = 39
    """CANCEL and REPLACE: the order is, or is not, partly filled, and the command forbids to cancel it then."""

    # Ends of accepted orders.
    USER_CANCELED = 40
    REPLACED = 41
    IOC_UNFILLED = 42
    FOK_UNFILLED = 43
    INSUFFICIENT_LIQUIDITY = 44
    """MARKET: the other side of the book is empty."""
    BUDGET_EXHAUSTED = 45
    """MARKET: the reserved amount does not buy (or the cap does not sell) another lot."""
    QUOTE_SPENT = 46
    """MARKET by quote amount: done; what is left does not buy one more lot. A normal completion."""
    SELF_TRADE_PREVENTION = 47
    NEVER_ACCEPTED = 48
    """The account had reserved for it, but the book never journaled it (a crash between the two)."""
    OCO_TRIGGER = 49
    """The other order of its pair triggered, was filled in part, or ended."""
    OCO_CANCELED = 50
    """The other order of its pair was canceled by its owner."""
    PENDING_NEVER_PLACED = 51
    """The order it waited for ended without being filled (the venue's OTO_PHASE_ONE_EXPIRED); told by the account."""

    # Refusals by the book that found no room above.
    MAX_NUM_ORDER_AMENDS = 60
    PEG_BUDGET = 61
    """At the price chosen, a pegged BUY costs more than its `quote_units`."""

    DUPLICATE_LIST_CLIENT_ORDER_ID = 62
    """Told by the account: a list of that name is open."""
