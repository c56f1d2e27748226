"""How much a client may ask: request weight and raw requests per address, unfilled orders per account, bans.

Windows begin at whole multiples of their length, as the venue's do. Counted in this process; with several gateways
each counts for itself. Pure but for the counts: the time is given.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import msgspec

from serve.binance.errors import banned, too_many_orders, too_many_requests, too_much_weight

MAX_KEYS: Final = 50_000
"""Addresses and accounts remembered; the least recently seen go first."""
BAN_AFTER: Final = 200
"""Requests that were told 429 within a minute, then the address is banned."""
FIRST_BAN_S: Final = 120
LONGEST_BAN_S: Final = 3 * 24 * 3600
MAKER_CREDIT: Final = 5
"""So many orders an order gives back that trades after it has rested; one that trades at once gives back itself."""

_LETTERS: Final = {"SECOND": "S", "MINUTE": "M", "HOUR": "H", "DAY": "D"}
_SECONDS: Final = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86_400}


class RateLimit(msgspec.Struct, frozen=True):
    rateLimitType: str
    interval: str
    intervalNum: int
    limit: int

    @property
    def seconds(self) -> int:
        return _SECONDS[self.interval] * self.intervalNum

    @property
    def letter(self) -> str:
        return f"{self.intervalNum}{_LETTERS[self.interval]}"

    @property
    def text(self) -> str:
        return f"{self.intervalNum} {self.interval}"


class RateLimitCount(msgspec.Struct, frozen=True):
    rateLimitType: str
    interval: str
    intervalNum: int
    limit: int
    count: int


def rate_limits(scale: float) -> list[RateLimit]:
    """The venue's times `scale`; 0: the venue's, counted and told, but nobody is refused."""

    def scaled(limit: int) -> int:
        return max(1, int(limit * scale)) if scale else limit

    return [
        RateLimit("REQUEST_WEIGHT", "MINUTE", 1, scaled(6000)),
        RateLimit("ORDERS", "SECOND", 10, scaled(100)),
        RateLimit("ORDERS", "DAY", 1, scaled(200_000)),
        RateLimit("RAW_REQUESTS", "MINUTE", 5, scaled(300_000)),
    ]


class _Address:
    __slots__ = ("ban_s", "banned_until", "minute", "raw", "raw_window", "refused", "weight")

    def __init__(self) -> None:
        self.minute = 0
        self.weight = 0
        self.raw_window = 0
        self.raw = 0
        self.refused = 0
        self.banned_until = 0.0
        self.ban_s = 0


class _Orders:
    __slots__ = ("counts", "windows")

    def __init__(self, n: int) -> None:
        self.windows = [0] * n
        self.counts = [0] * n


class Limits:
    def __init__(self, scale: float, times: Callable[[int], float] = lambda account: 1.0) -> None:
        """`times`: an account's own share of the order limits; 0: it has none. Requests are counted by address, for all alike."""
        self.enforced = scale > 0
        self._times = times
        self.all = rate_limits(scale)
        self.weight, *self.orders, self.raw = self.all
        self.weight_header: Final = f"x-mbx-used-weight-{self.weight.letter}".lower().encode("ascii")
        self.order_headers: Final = [f"x-mbx-order-count-{one.letter}".lower().encode("ascii") for one in self.orders]
        self._order_seconds: Final = [one.seconds for one in self.orders]
        self._addresses: OrderedDict[str, _Address] = OrderedDict()
        self._accounts: OrderedDict[int, _Orders] = OrderedDict()

    # -- requests -------------------------------------------------------------------------------------------------

    def charge(self, address: str, weight: int, now: float) -> int:
        """Count a request; the weight used in this minute. Raises -1003 (429, or 418 while banned)."""
        one = self._address(address)
        if one.banned_until > now:
            raise banned(int(one.banned_until * 1000), one.banned_until - now)
        self._turn(one, now)
        one.weight += weight
        one.raw += 1
        if not self.enforced or (one.weight <= self.weight.limit and one.raw <= self.raw.limit):
            return one.weight
        one.refused += 1
        if one.refused >= BAN_AFTER:
            self._ban(one, now)
        if one.weight > self.weight.limit:
            raise too_much_weight(self.weight.limit, self.weight.text, 60 - now % 60)
        raise too_many_requests(self.raw.seconds - now % self.raw.seconds)

    def refund(self, address: str, weight: int) -> int:
        """What the venue does not charge for when it succeeds; the weight used in this minute."""
        one = self._address(address)
        one.weight = max(0, one.weight - weight)
        return one.weight

    def used(self, address: str, now: float) -> int:
        one = self._address(address)
        self._turn(one, now)
        return one.weight

    def _turn(self, one: _Address, now: float) -> None:
        minute = int(now // 60)
        if one.minute != minute:
            one.minute, one.weight, one.refused = minute, 0, 0
        window = int(now // self.raw.seconds)
        if one.raw_window != window:
            one.raw_window, one.raw = window, 0

    def _ban(self, one: _Address, now: float) -> None:
        """Twice as long each time; forgotten after the longest ban's time in peace."""
        again = one.ban_s and now - one.banned_until < LONGEST_BAN_S
        one.ban_s = min(LONGEST_BAN_S, one.ban_s * 2) if again else FIRST_BAN_S
        one.banned_until = now + one.ban_s
        one.refused = 0
        raise banned(int(one.banned_until * 1000), one.ban_s)

    def _address(self, address: str) -> _Address:
        found = self._addresses.get(address)
        if found is None:
            found = self._addresses[address] = _Address()
            if len(self._addresses) > MAX_KEYS:
                self._addresses.popitem(last=False)
        else:
            self._addresses.move_to_end(address)
        return found

    # -- orders ---------------------------------------------------------------------------------------------------

    def orders_of(self, account: int) -> list[RateLimit]:
        """The order limits that the account is told."""
        times = self._times(account)
        if times in (0.0, 1.0):
            return self.orders
        scaled = [max(1, int(one.limit * times)) for one in self.orders]
        return [msgspec.structs.replace(one, limit=n) for one, n in zip(self.orders, scaled, strict=True)]

    def check_orders(self, account: int, n: int, now: float) -> None:
        """Raises -1015 when `n` more orders are too many."""
        if not self.enforced or not self._times(account):
            return
        counts = self.order_counts(account, now)
        for limit, count in zip(self.orders_of(account), counts, strict=True):
            if count + n > limit.limit:
                raise too_many_orders(limit.limit, limit.text)

    def count_orders(self, account: int, n: int, now: float) -> list[int]:
        """`n` may be negative: orders that traded. The counts after it, one for each of `orders`."""
        counts = self.order_counts(account, now)
        for k in range(len(counts)):
            counts[k] = max(0, counts[k] + n)
        return counts

    def order_counts(self, account: int, now: float) -> list[int]:
        found = self._accounts.get(account)
        if found is None:
            found = self._accounts[account] = _Orders(len(self.orders))
            if len(self._accounts) > MAX_KEYS:
                self._accounts.popitem(last=False)
        else:
            self._accounts.move_to_end(account)
        for k, seconds in enumerate(self._order_seconds):
            window = int(now // seconds)
            if found.windows[k] != window:
                found.windows[k], found.counts[k] = window, 0
        return found.counts

    def told_orders(self, account: int, now: float) -> list[RateLimitCount]:
        counts = self.order_counts(account, now)
        return [_counted(one, count) for one, count in zip(self.orders_of(account), counts, strict=True)]

    def told(self, address: str, account: int | None, now: float) -> list[RateLimitCount]:
        """`rateLimits` of the WebSocket API's answers; with `account`, of a request that places orders."""
        weight = _counted(self.weight, self.used(address, now))
        return [weight] if account is None else [*self.told_orders(account, now), weight]


def _counted(one: RateLimit, count: int) -> RateLimitCount:
    return RateLimitCount(one.rateLimitType, one.interval, one.intervalNum, one.limit, count)
