"""The book by level as columns, and what changed between two states of it. Pure."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from market.book import Book
from market.enums import Side

Column = npt.NDArray[Any]


class Levels(NamedTuple):
    """One side, prices in ticks ascending, quantities in lots."""

    prices: Column
    lots: Column


class DepthState(NamedTuple):
    """All levels after the event numbered `update_id` of the symbol."""

    update_id: int
    bids: Levels
    asks: Levels


def depth_of(book: Book) -> DepthState:
    return DepthState(book.exec_id, _levels(book, Side.BUY), _levels(book, Side.SELL))


def _levels(book: Book, side: Side) -> Levels:
    found = book.depth(side)
    if side is Side.BUY:
        found = found[::-1]
    return Levels(found["price_ticks"].copy(), found["qty_lots"].copy())


def changed(old: Levels, new: Levels) -> Levels:
    """Levels of `new` that are not so in `old`; levels that are gone have quantity 0."""
    at = np.searchsorted(old.prices, new.prices)
    inside = at < len(old.prices)
    same = np.zeros(len(new.prices), np.bool_)
    same[inside] = (old.prices[at[inside]] == new.prices[inside]) & (old.lots[at[inside]] == new.lots[inside])
    gone = old.prices[~np.isin(old.prices, new.prices, assume_unique=True)]
    prices = np.concatenate((new.prices[~same], gone))
    lots = np.concatenate((new.lots[~same], np.zeros(len(gone), new.lots.dtype)))
    order = np.argsort(prices)
    return Levels(prices[order], lots[order])
