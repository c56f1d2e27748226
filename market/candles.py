"""Candles of one minute and the rolling 24-hour statistics over them. Pure; integers (ticks, lots, quote units)."""

from collections import deque
from typing import Final

import msgspec

MINUTE_NS: Final = 60_000_000_000
DAY_MINUTES: Final = 1440


class Candle(msgspec.Struct):
    """Trades of [open_ns, open_ns + 1 min). Prices in ticks, volume in lots, quote volume in quote units."""

    open_ns: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    quote: int
    trades: int
    taker_buy: int
    first_trade_id: int
    last_trade_id: int


class DayWindow:
    """The newest candle and what the last 24 hours add up to."""

    def __init__(self) -> None:
        self.candles: deque[Candle] = deque()
        self.volume = 0
        self.quote = 0
        self.trades = 0

    def load(self, candles: list[Candle]) -> None:
        for one in candles:
            self._append(one)

    def trade(self, ts_ns: int, trade_id: int, price: int, qty: int, quote: int, taker_buys: bool) -> Candle:
        """Add a trade; returns the candle it fell into."""
        open_ns = ts_ns - ts_ns % MINUTE_NS
        last = self.candles[-1] if self.candles else None
        if last is None or last.open_ns < open_ns:
            last = Candle(open_ns, price, price, price, price, 0, 0, 0, 0, trade_id, trade_id)
            self._append(last)
            self.expire(ts_ns)
        last.high = max(last.high, price)
        last.low = min(last.low, price)
        last.close = price
        last.volume += qty
        last.quote += quote
        last.trades += 1
        last.taker_buy += qty if taker_buys else 0
        last.last_trade_id = trade_id
        self.volume += qty
        self.quote += quote
        self.trades += 1
        return last

    def expire(self, ts_ns: int) -> None:
        """Forget candles that closed more than 24 hours ago."""
        oldest = ts_ns - DAY_MINUTES * MINUTE_NS
        while self.candles and self.candles[0].open_ns + MINUTE_NS <= oldest:
            gone = self.candles.popleft()
            self.volume -= gone.volume
            self.quote -= gone.quote
            self.trades -= gone.trades

    @property
    def open(self) -> int:
        return self.candles[0].open if self.candles else 0

    @property
    def close(self) -> int:
        return self.candles[-1].close if self.candles else 0

    @property
    def high(self) -> int:
        return max((one.high for one in self.candles), default=0)

    @property
    def low(self) -> int:
        return min((one.low for one in self.candles), default=0)

    def _append(self, candle: Candle) -> None:
        self.candles.append(candle)
        self.volume += candle.volume
        self.quote += candle.quote
        self.trades += candle.trades
