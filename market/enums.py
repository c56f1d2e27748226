"""The field's closed vocabularies (FIX and Binance words). Values are journaled: never renumber, only append."""

from enum import IntEnum


class Side(IntEnum):
    BUY = 0
    SELL = 1


class OrdType(IntEnum):
    LIMIT = 0
    MARKET = 1
    LIMIT_MAKER = 2


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


class CommandKind(IntEnum):
    NEW = 0
    CANCEL = 1
    REPLACE = 2
    """Cancel `target_id` and place a new order, atomically, or change nothing."""
    AMEND = 3
    """Reduce the total quantity of an order; it keeps its priority."""
    CANCEL_ALL = 4
    """Cancel every resting order of one account in one symbol."""


class CommandFlag(IntEnum):
    """Bits of `COMMAND.flags`."""

    BY_QUOTE = 1
    """A MARKET order sized by `quote_units`; `qty_lots` is then only a cap (0: none)."""
    BY_CLIENT_ORDER_ID = 2
    """CANCEL and AMEND name the order by `client_order_id`; resolved by the account, unused by the book."""


class EventKind(IntEnum):
    ACCEPTED = 0
    REJECTED = 1
    TRADE = 2
    CANCELED = 3
    EXPIRED = 4
    AMENDED = 5
    DECREMENTED = 6
    """Self-trade prevention took `qty_lots` off both orders without a trade."""


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
