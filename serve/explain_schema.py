"""Why an order was filled as it was: the public structures of `trading/orders/{order_id}/explain`.

As in `serve.schema`: prices and quantities are decimal strings, times are nanoseconds since the Unix epoch.
"""

import msgspec


class QueueFigures(msgspec.Struct):
    """How an order stood in the queue at a real venue's price."""

    at_ns: int | None
    """Null: now."""
    ahead: str
    """Quantity at the venue that is filled before the order."""
    gone_by_trades: str
    """What was ahead and has traded since the order entered."""
    gone_by_cancels: str
    """What was ahead and was canceled since the order entered."""


class VenuePrint(msgspec.Struct):
    """A trade at the real venue, or the part of it that our tape numbers on its own."""

    trade_id: int
    venue_trade_id: int
    """As the venue numbers it, or a running number where it does not."""
    quantity: str
    at_ns: int
    venue_ns: int | None
    """The venue's own time."""
    filled_a_user: bool


class ExplainedFill(msgspec.Struct):
    trade_id: int
    at_ns: int
    price: str
    quantity: str
    liquidity: str
    """MAKER, TAKER"""
    counterparty: str
    """USER, OUTSIDE_LIQUIDITY, VENUE_PRINT, VENUE_QUOTE"""
    text: str
    """The counterparty in words."""
    queue: QueueFigures | None
    """Right before the fill."""
    prints: list[VenuePrint]
    """The venue's trades at the order's price since it entered, or since its fill before; the newest 20, newest last."""


class Explanation(msgspec.Struct):
    order_id: int
    symbol: str
    side: str
    price: str
    status: str
    fill_model: str
    """PROPORTIONAL, BACK, TOUCH, THROUGH"""
    fill_model_text: str
    entry: str
    """QUEUED, NOTHING_SHOWN, NO_OUTSIDE_LIQUIDITY, NOT_RESTED"""
    entry_text: str
    entered_ns: int | None
    """When it came to the book to trade; null: it waits."""
    queue_on_entry: QueueFigures | None
    queue_now: QueueFigures | None
    """While it rests."""
    fills: list[ExplainedFill]
    """The newest 100, newest last."""
    latency_ns: int | None = None
    """How long the order waited for its account's latency; null: not at all, or it was too long ago."""
