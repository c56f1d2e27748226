"""What a real venue shows, level by level, and what its moves mean for the users' queues: O1 - O5, O7 and O8.

The oracle's side of it, written from market/book/SEMANTICS.md and nothing else. Must not know: trades, events.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from market.enums import FILL_MODEL_BIT, FILL_MODEL_MASK, FillModel, Side
from market.numbering import OUTSIDE_ACCOUNT

NO_FIGURES = -1


class Resting(Protocol):
    """What is to be known of a user's order here; `ahead_lots` NO_FIGURES: it has no queue figures."""

    flags: int
    ahead_lots: int
    by_trades_lots: int
    by_cancels_lots: int


class OutsideRow(NamedTuple):
    """As `Book.outside()` tells a level."""

    side: int
    price_ticks: int
    shown_lots: int
    taken_lots: int
    printed_lots: int
    unclaimed_lots: int


@dataclass(eq=False, slots=True)
class OutsideLevel:  # O1
    side: int
    price_ticks: int
    shown_lots: int
    """V."""
    taken_lots: int = 0
    """T."""
    printed_lots: int = 0
    """P."""
    unclaimed_lots: int = 0
    """D."""

    @property
    def available_lots(self) -> int:
        """O."""
        return self.shown_lots - self.taken_lots

    @property
    def order_id(self) -> int:
        return -(2 * self.price_ticks + self.side)

    @property
    def account(self) -> int:
        return OUTSIDE_ACCOUNT

    def take(self, lots: int) -> None:  # O2e, O7
        assert 0 < lots <= self.available_lots
        self.taken_lots += lots


class OutsideLevels:
    """All of a symbol's, standing or eaten. `queue`: the user orders at a level's price and side, by time."""

    def __init__(self) -> None:
        self._levels: dict[tuple[int, int], OutsideLevel] = {}

    def at(self, side: int, price: int) -> OutsideLevel | None:
        return self._levels.get((side, price))

    def of(self, side: int) -> list[OutsideLevel]:
        """Best first."""
        return sorted((level for level in self._levels.values() if level.side == side), key=distance)

    def standing(self, side: int) -> list[OutsideLevel]:
        """Best first."""
        return [level for level in self.of(side) if level.available_lots > 0]

    def rows(self) -> list[OutsideRow]:
        """Bids, best first, then asks, best first."""
        levels = self.of(Side.BUY) + self.of(Side.SELL)
        return [
            OutsideRow(
                level.side,
                level.price_ticks,
                level.shown_lots,
                level.taken_lots,
                level.printed_lots,
                level.unclaimed_lots,
            )
            for level in levels
        ]

    def go(self, side: int, price: int, queue: Iterable[Resting], edge: bool) -> None:  # O2a
        self._levels.pop((side, price), None)
        for order in having_figures(queue):
            if not edge:
                cancel_ahead(order, order.ahead_lots)

    def come(self, level: OutsideLevel, queue: Iterable[Resting], edge: bool) -> list[Resting]:
        """O2c. Gives the orders that got queue figures."""
        self._levels[level.side, level.price_ticks] = level
        got = []
        for order in queue:
            if order.ahead_lots == NO_FIGURES:
                start_figures(order, level.shown_lots if edge else 0)
                got.append(order)
            else:
                cancel_ahead(order, order.ahead_lots - min(order.ahead_lots, level.shown_lots))
        return got

    def change(self, level: OutsideLevel, shown: int, queue: Iterable[Resting]) -> None:  # O2d
        shown_before, printed = level.shown_lots, level.printed_lots
        level.shown_lots, level.printed_lots, level.unclaimed_lots = shown, 0, 0
        gone = shown_before - shown
        if gone <= 0:
            return
        explained = min(gone, printed)
        canceled = gone - explained
        level.taken_lots = min(level.taken_lots, shown)
        level.unclaimed_lots = canceled
        for order in having_figures(queue):
            if model_of(order) == FillModel.PROPORTIONAL and order.ahead_lots > 0:
                base = max(shown_before - explained, order.ahead_lots)
                cancel_ahead(order, canceled * order.ahead_lots // base)
            cancel_ahead(order, order.ahead_lots - min(order.ahead_lots, level.available_lots))

    def join(self, side: int, price: int, order: Resting) -> bool:
        """O8: the order comes to rest, or shows anew. Whether it has queue figures now."""
        level = self.at(side, price)
        if level is not None:
            start_figures(order, level.available_lots)
        return level is not None


def model_of(order: Resting) -> int:
    return order.flags >> FILL_MODEL_BIT & FILL_MODEL_MASK


def having_figures(queue: Iterable[Resting]) -> list[Resting]:
    """Each queue."""
    return [order for order in queue if order.ahead_lots != NO_FIGURES]


def start_figures(order: Resting, ahead: int) -> None:
    order.ahead_lots = 0 if model_of(order) == FillModel.TOUCH else ahead
    order.by_trades_lots = order.by_cancels_lots = 0


def cancel_ahead(order: Resting, lots: int) -> None:
    order.ahead_lots -= lots
    order.by_cancels_lots += lots


def trade_ahead(order: Resting, lots: int) -> None:
    order.ahead_lots -= lots
    order.by_trades_lots += lots


def distance(level: OutsideLevel) -> int:
    """G6: smaller is better."""
    return -level.price_ticks if level.side == Side.BUY else level.price_ticks
