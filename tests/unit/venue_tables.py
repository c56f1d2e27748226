"""Events of venues as lines of a table."""

from collections.abc import Sequence
from decimal import Decimal

from market.venues import ADAPTERS
from market.venues.adapter import Adapter
from market.venues.events import BookDelta, BookSnapshot, Candle, Event, Level, Quote, Status, Steps, Trade

TENTH = Steps(Decimal("0.1"), Decimal("0.001"))
"""A tick of 0.1 and a lot of 0.001: 100.5 is 1005, 2 is 2000."""


def adapter(name: str, *symbols: str, steps: Steps = TENTH) -> Adapter:
    return ADAPTERS[name](dict.fromkeys(symbols or ("BTCUSDT",), steps))


def told(events: Sequence[Event]) -> list[str]:
    return [line(event) for event in events]


def line(event: Event) -> str:
    match event:
        case Trade(symbol, at, number, price, qty, is_buyer_maker):
            return f"{symbol} {'SELL' if is_buyer_maker else 'BUY'} {qty}@{price} #{number} at {at}"
        case Quote(symbol, at, bid, bid_qty, ask, ask_qty):
            return f"{symbol} quote {bid_qty}@{bid} | {ask_qty}@{ask} at {at}"
        case BookSnapshot(symbol, at, bids, asks, seq):
            return f"{symbol} book {seq}: {side(bids)} | {side(asks)} at {at}"
        case BookDelta(symbol, at, bids, asks, first, last, previous):
            return f"{symbol} delta {first}-{last} after {previous}: {side(bids)} | {side(asks)} at {at}"
        case Candle(symbol, _, opened, width, first, high, low, last, volume, closed):
            state = "closed" if closed else "open"
            return f"{symbol} candle {opened // 10**9}+{width}: {first} {high} {low} {last} volume {volume} {state}"
        case Status(symbol, _, kind, text):
            return f"{symbol or '*'} {kind}: {text}" if text else f"{symbol or '*'} {kind}"
    raise AssertionError(event)


def side(levels: Sequence[Level]) -> str:
    return " ".join(f"{qty}@{price}" for price, qty in levels) or "-"
