"""The field's closed vocabularies (FIX and Binance words). Values are journaled: never renumber, only append."""

from enum import IntEnum


class Side(IntEnum):
    BUY = 0
    SELL = 1


class OrdType(IntEnum):
    LIMIT = 0
    MARKET = 1
    LIMIT_MAKER = 2
    STOP_LOSS = 3
    """Waits until the last price reaches the stop price from the better side; then a MARKET order."""
    STOP_LOSS_LIMIT = 4
    TAKE_PROFIT = 5
    """Waits until the last price reaches the stop price from the worse side; then a MARKET order."""
    TAKE_PROFIT_LIMIT = 6


class TimeInForce(IntEnum):
    GTC = 0
    IOC = 1
    FOK = 2


class StpMode(IntEnum):
    """Self-trade prevention; the taker's mode rules."""

    NONE = 0
    EXPIRE_TAKER = 1
    EXPIRE_MAKER = 2
    EXPIRE_BOTH = 3
    DECREMENT = 4
    TRANSFER = 5
    """Between orders of one account, and there are no trade groups here, the same as DECREMENT."""


class PegType(IntEnum):
    """Where a pegged order takes its price from, when it enters the book."""

    NONE = 0
    PRIMARY_PEG = 1
    """The best price of its own side."""
    MARKET_PEG = 2
    """The best price of the other side."""


MAX_PEG_OFFSET = 100
"""Price levels behind the best one (the venue's limit)."""


class ListRole(IntEnum):
    """What an order is in its order list; the book knows pairs of which one cancels the other, and nothing else."""

    NONE = 0
    OCO_FIRST = 1
    """The very next command is its pair's OCO_SECOND, with the same list id."""
    OCO_SECOND = 2
    MEMBER = 3
    """Of a list whose orders depend on each other by the account's doing alone."""


class Contingency(IntEnum):
    """How the orders of a list depend on each other."""

    OCO = 0
    """One cancels the other: two orders."""
    OTO = 1
    """One triggers the others: a working order, and one or a pair that is placed when it is filled."""


class ListStatus(IntEnum):
    EXECUTING = 0
    ALL_DONE = 1


class CancelRestriction(IntEnum):
    """When a CANCEL, or the cancel of a REPLACE, is refused."""

    NONE = 0
    ONLY_NEW = 1
    """Unless the order has no fill."""
    ONLY_PARTIALLY_FILLED = 2
    """Unless it has one."""


class CommandKind(IntEnum):
    NEW = 0
    CANCEL = 1
    REPLACE = 2
    """Cancel `target_id` and place a new order, atomically, or change nothing; two flags make it the venue's."""
    AMEND = 3
    """Reduce the total quantity of an order; it keeps its priority."""
    CANCEL_ALL = 4
    """Cancel every resting order of one account in one symbol."""
    OUTSIDE_LEVEL = 5
    """A real venue shows so much at a price (`market/book/SEMANTICS.md`, O2)."""
    OUTSIDE_QUOTE = 6
    """A real venue's best price of a side."""
    OUTSIDE_TRADE = 7
    """A trade at a real venue."""
    OUTSIDE_CLEAR = 8
    """What the venue shows is not known any more."""
    OUTSIDE_STATUS = 9
    """The venue halts the symbol, or trades it again."""


OUTSIDE_EDGE = 1
"""`COMMAND.flags` of OUTSIDE_LEVEL: the price came into sight, or went out of it, at the end of a book of limited depth."""


class FillModel(IntEnum):
    """What a resting order assumes of the venue's queue before it; bits 4 and 5 of `COMMAND.flags`."""

    PROPORTIONAL = 0
    """What is canceled at its price was ahead of it in proportion to what stood ahead."""
    BACK = 1
    """What is canceled stood behind it, as long as that is possible."""
    TOUCH = 2
    """Nobody is ahead: any trade at its price fills it."""
    THROUGH = 3
    """Only a trade through its price, or a venue's quote that crosses it, fills it."""


FILL_MODEL_BIT = 4
FILL_MODEL_MASK = 3


class CommandFlag(IntEnum):
    """Bits of `COMMAND.flags`."""

    BY_QUOTE = 1
    """A MARKET order sized by `quote_units`; `qty_lots` is then only a cap (0: none)."""
    BY_CLIENT_ORDER_ID = 2
    """CANCEL and AMEND name the order by `client_order_id`; resolved by the account, unused by the book."""
    STOP_ON_FAILURE = 4
    """REPLACE: a cancel that succeeds stays when the new order is refused; when it fails, nothing is placed."""
    ALLOW_FAILURE = 8
    """REPLACE: the new order is placed whether the cancel succeeds or not."""


class EventKind(IntEnum):
    ACCEPTED = 0
    REJECTED = 1
    TRADE = 2
    CANCELED = 3
    EXPIRED = 4
    AMENDED = 5
    PREVENTED = 6
    """Self-trade prevention: a match that did not become a trade. It took `qty_lots` off both orders, or it is 0 and
    EXPIREDs with the same `trade_id` follow."""
    TRIGGERED = 7
    """A stop order goes to the book, as a taker first."""
    TRACKING = 8
    """A trailing stop order met its activation price, `price_ticks`, and follows the market from there."""
    QUEUED = 9
    """How an order stands in the queue at a real venue's price (`market/book/SEMANTICS.md`, O9)."""


class Counterparty(IntEnum):
    """Whom a user's order traded with."""

    USER = 0
    OUTSIDE_LIQUIDITY = 1
    """It took what a real venue showed."""
    VENUE_PRINT = 2
    """It rested, and a trade at a real venue reached it."""
    VENUE_QUOTE = 3
    """It rested, and a real venue's quote crossed it."""


class OrdStatus(IntEnum):
    PENDING_NEW = 0
    NEW = 1
    PARTIALLY_FILLED = 2
    FILLED = 3
    CANCELED = 4
    REJECTED = 5
    EXPIRED = 6
    EXPIRED_IN_MATCH = 7


class ExecType(IntEnum):
    """What a report on a private stream tells (FIX 150)."""

    NEW = 0
    REJECTED = 1
    TRADE = 2
    CANCELED = 3
    EXPIRED = 4
    REPLACED = 5
    """The order was amended and kept its priority."""
    TRADE_PREVENTION = 6
    BALANCE = 7
    """No order: a posting to the account (deposit, withdrawal, reset)."""
    CANCEL_REJECTED = 8
    """A CANCEL, AMEND, REPLACE or CANCEL_ALL was refused; the order it named is unchanged."""
    TRIGGERED = 9
    """A stop order met its price and went to the book."""
    TRACKING = 10
    """A trailing stop order met its activation price and follows the market from there."""
    LIST = 11
    """No order: how a list of orders stands (`market.records` says how it is told)."""
