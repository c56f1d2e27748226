"""How many attempts a key (an account, an address) has within a window: kept in memory, bounded.

Every gateway process counts for itself: with n of them behind a balancer an attacker has n times the
attempts. With one process, as shipped, the figures hold exactly; they start anew with the process.
"""

import math
from collections import OrderedDict
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from serve.errors import ApiError, Code

MAX_KEYS: Final = 50_000
"""The least recently used goes first. To push one out takes as many others, and each costs an attempt."""


class AttemptLimit:
    """At most `limit` attempts per key in any `window_s` seconds (a sliding window, not a bucket)."""

    def __init__(self, limit: int, window_s: float, max_keys: int = MAX_KEYS) -> None:
        self._limit = limit
        self._window_s = window_s
        self._max_keys = max_keys
        self._stamps: OrderedDict[str, list[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._stamps)

    def check(self, key: str | None, now: float) -> None:
        """Raises TOO_MANY_ATTEMPTS. A key of None is not limited."""
        stamps = self._stamps.get(key) if key is not None else None
        if stamps is None:
            return
        recent = [stamp for stamp in stamps if now - stamp < self._window_s]
        if len(recent) >= self._limit:
            wait_s = recent[-self._limit] + self._window_s - now
            raise ApiError(Code.TOO_MANY_ATTEMPTS, retry_after_s=max(1, math.ceil(wait_s)))

    def add(self, key: str | None, now: float) -> None:
        if key is None:
            return
        stamps = self._stamps.setdefault(key, [])
        stamps[:] = [stamp for stamp in stamps if now - stamp < self._window_s]
        stamps.append(now)
        self._stamps.move_to_end(key)
        if len(self._stamps) > self._max_keys:
            self._stamps.popitem(last=False)

    def forgive(self, key: str | None, stamp: float) -> None:
        """The attempt made at `stamp` was no failure."""
        stamps = self._stamps.get(key, []) if key is not None else []
        if stamp in stamps:
            stamps.remove(stamp)


def address_key(address: str | None) -> str | None:
    """One key for all that one subscriber can choose from: an IPv6 address counts as its /64."""
    if address is None:
        return None
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ip_network((parsed, 64), strict=False))
    return address
