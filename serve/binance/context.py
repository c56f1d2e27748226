"""What a handler knows of the request besides its parameters. Knows no HTTP."""

import time
from typing import TYPE_CHECKING, Final

from serve.auth.api_keys import Key

if TYPE_CHECKING:
    from serve.binance.venue import Venue

MILLISECOND_NS: Final = 1_000_000
MICROSECOND_NS: Final = 1_000


class Context:
    __slots__ = ("account", "address", "key", "order_counts", "unit_ns", "venue")

    def __init__(self, venue: "Venue", address: str, unit_ns: int, key: Key | None = None) -> None:
        self.venue = venue
        self.address = address
        self.unit_ns = unit_ns
        """Of the times told: milliseconds, or microseconds where the client asked for them."""
        self.key = key
        self.account = -1 if key is None else venue.gateway.account_of(key.user_id)
        self.order_counts: list[int] | None = None
        """Set by what places orders: unfilled orders after it, by interval."""

    def told(self, ns: int) -> int:
        return ns // self.unit_ns

    @property
    def now(self) -> int:
        """Wall-clock time, in the client's unit."""
        return time.time_ns() // self.unit_ns
