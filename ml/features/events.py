"""What features are made of: trades, quotes and depth of one symbol, one by one or as columns. Pure.

Prices in ticks, quantities in lots; `ts_ns` is when we knew it (market time, nanoseconds since the Unix epoch): the
arrival of what a venue sent, never the venue's own time, which we could not have known then.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from market.enums import Side
from market.venues.events import Level
from market.venues.events import Quote as VenueQuote
from market.venues.events import Trade as VenueTrade

Records = npt.NDArray[np.void]

DEPTH_LEVELS: Final = 5
"""Levels of each side that are looked at; deeper ones are mostly noise at these horizons."""

TRADE: Final = np.dtype([("ts_ns", "<i8"), ("price_ticks", "<i8"), ("qty_lots", "<i8"), ("taker_side", "<i8")])
QUOTE: Final = np.dtype(
    [("ts_ns", "<i8"), ("bid_ticks", "<i8"), ("bid_lots", "<i8"), ("ask_ticks", "<i8"), ("ask_lots", "<i8")]
)
DEPTH: Final = np.dtype(
    [
        ("ts_ns", "<i8"),
        ("bid_lots", "<i8"),  # of the levels looked at together
        ("ask_lots", "<i8"),
        ("best_bid_ticks", "<i8"),  # 0: the side is empty
        ("best_ask_ticks", "<i8"),
        ("last_bid_ticks", "<i8"),  # of the deepest level looked at
        ("last_ask_ticks", "<i8"),
    ]
)


class Trade(NamedTuple):
    ts_ns: int
    price_ticks: int
    qty_lots: int
    taker_side: Side


class Quote(NamedTuple):
    """Best bid and ask. A side that is empty, or not known any more, has 0 lots."""

    ts_ns: int
    bid_ticks: int
    bid_lots: int
    ask_ticks: int
    ask_lots: int


class Depth(NamedTuple):
    """The best `DEPTH_LEVELS` levels of each side, added up."""

    ts_ns: int
    bid_lots: int
    ask_lots: int
    best_bid_ticks: int
    best_ask_ticks: int
    last_bid_ticks: int
    last_ask_ticks: int

    @classmethod
    def of(cls, ts_ns: int, bids: Sequence[Level], asks: Sequence[Level]) -> "Depth":
        """Of levels (ticks, lots), best first; what is deeper than `DEPTH_LEVELS` is left out."""
        bids, asks = bids[:DEPTH_LEVELS], asks[:DEPTH_LEVELS]
        return cls(
            ts_ns,
            sum(lots for _, lots in bids),
            sum(lots for _, lots in asks),
            bids[0][0] if bids else 0,
            asks[0][0] if asks else 0,
            bids[-1][0] if bids else 0,
            asks[-1][0] if asks else 0,
        )


Event = Trade | Quote | Depth


class Events(NamedTuple):
    """The same as columns, each in order of `ts_ns`; how kinds are mixed within a nanosecond changes no feature."""

    trades: Records
    """TRADE[n]"""
    quotes: Records
    """QUOTE[n]"""
    depths: Records
    """DEPTH[n]"""


def packed(events: Iterable[Event]) -> Events:
    """Events in order, as columns."""
    trades: list[tuple[Any, ...]] = []
    quotes: list[tuple[Any, ...]] = []
    depths: list[tuple[Any, ...]] = []
    for event in events:
        match event:
            case Trade():
                trades.append(tuple(event))
            case Quote():
                quotes.append(tuple(event))
            case Depth():
                depths.append(tuple(event))
    return Events(np.array(trades, TRADE), np.array(quotes, QUOTE), np.array(depths, DEPTH))


def until(events: Events, ts_ns: int) -> Events:
    """What was known at `ts_ns`."""
    return Events(*(one[: int(np.searchsorted(one["ts_ns"], ts_ns, "right"))] for one in events))


def trade_of(event: VenueTrade, arrival_ns: int) -> Trade:
    return Trade(arrival_ns, event.price, event.qty, Side.SELL if event.is_buyer_maker else Side.BUY)


def quote_of(event: VenueQuote, arrival_ns: int) -> Quote:
    return Quote(arrival_ns, event.bid, event.bid_qty, event.ask, event.ask_qty)
