"""One side of the outside book as our commands have made it, beside the venue's book that it shall become. Pure."""

from collections.abc import Iterable
from typing import Final

from market.enums import Side
from market.venues.books import Side as VenueSide
from market.venues.events import Level

BEYOND: Final = 1 << 70
"""Above every price that a decoder lets through."""

Rows = tuple[list[int], list[int]]
"""Prices and quantities."""


class Shown:
    """Prices times `sign` rise towards the best."""

    __slots__ = ("best", "code", "differs", "limit", "limit_lots", "sign", "told", "venue")

    def __init__(self, code: Side, venue: VenueSide) -> None:
        self.code: Final = int(code)
        self.sign: Final = -1 if code else 1
        self.venue: Final = venue
        self.told: dict[int, int] = {}
        self.differs: set[int] = set()
        """Prices where it is not, or may not be, what the venue's book has."""
        self.best = -BEYOND
        """Of `told`, times sign."""
        self.limit = BEYOND
        """Price of a newer quote, times sign; -BEYOND: it says that the side is empty."""
        self.limit_lots = 0

    def forget(self) -> None:
        self.told = {}
        self.differs = set()
        self.best = -BEYOND

    def overlay(self, price: int, lots: int) -> None:
        self.limit = price * self.sign if price else -BEYOND
        self.limit_lots = lots

    def lift(self) -> None:
        self.limit = BEYOND

    def quoted(self, price: int, lots: int) -> bool:
        """Take the venue's best of this side; False: it was so already."""
        self.overlay(price, lots)
        told, key = self.told, self.limit
        if key == self.best and told.get(price) == lots:
            return False
        if key < self.best:
            self._fall(price, key)
        if price:
            told[price] = lots
            self.differs.add(price)
        changed = bool(price) or self.best != key
        self.best = key
        return changed

    def _fall(self, price: int, key: int) -> None:
        """Levels better than the quote are gone."""
        told, sign = self.told, self.sign
        gone = set(self.venue.better_than(price)) if price else set(told)
        gone.update(one for one in self.differs if one * sign > key)
        for one in gone:
            if told.pop(one, 0):
                self.differs.add(one)

    def follow(self, levels: Iterable[Level]) -> tuple[Rows, Rows]:
        """The venue's book changed there: what shrinks, and what grows."""
        changes = dict(levels)
        told, sign, limit = self.told, self.sign, self.limit
        if self.differs:
            get = self.venue.get
            for price in self.differs:
                changes[price] = get(price)
            self.differs = set()
        less: Rows = ([], [])
        more: Rows = ([], [])
        less_price, less_lots = less[0].append, less[1].append
        more_price, more_lots = more[0].append, more[1].append
        for price, lots in changes.items():
            if price * sign >= limit:
                lots = self._overlaid(price, lots)
            old = told.get(price, 0)
            if lots == old:
                continue
            if lots < old:
                less_price(price)
                less_lots(lots)
            else:
                more_price(price)
                more_lots(lots)
            if lots:
                told[price] = lots
            else:
                del told[price]
        self._set_best()
        return less, more

    def _overlaid(self, price: int, lots: int) -> int:
        wanted = self.limit_lots if price * self.sign == self.limit else 0
        if wanted != lots:
            self.differs.add(price)
        return wanted

    def _set_best(self) -> None:
        if self.limit < BEYOND:
            self.best = self.limit
        else:
            price, lots = self.venue.best()
            self.best = price * self.sign if lots else -BEYOND

    def start(self) -> Rows:
        """The whole of it, best first, as if nothing was told."""
        self.forget()
        sign, limit = self.sign, self.limit
        levels = self.venue.levels()
        if limit < BEYOND:
            self.differs = {price for price, _ in levels if price * sign >= limit}
            levels = [level for level in levels if level[0] * sign < limit]
            if limit > -BEYOND:
                levels.insert(0, (limit * sign, self.limit_lots))
                self.differs.add(limit * sign)
        self.told = dict(levels)
        self._set_best()
        return list(self.told), list(self.told.values())

    def crossed_by(self, grown: list[int], kept: list[int]) -> None:
        """The levels of the other side in `grown` came and took away what they cross here, but for those in `kept`."""
        if not grown:
            return
        edge = min(one * self.sign for one in grown)
        for price in [one for one in self.told if one * self.sign >= edge]:
            if price not in kept:
                del self.told[price]
                self.differs.add(price)
        self.best = max((one * self.sign for one in self.told), default=-BEYOND)
