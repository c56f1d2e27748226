"""Bithumb, v1 socket: Upbit's language with its own habits.

Source: the venue's API documents (WebSocket v1: basics, trade, orderbook; candles) and probes of 2026-09. Times of
books are microseconds; 15 levels; sizes have four places, so that some are 0 at a live price. No candles on the socket.
"""

from datetime import datetime, timedelta
from typing import ClassVar

from market.venues.adapter import Channel
from market.venues.upbit import Upbit


class Bithumb(Upbit):
    name: ClassVar[str] = "bithumb"
    channels: ClassVar[frozenset[Channel]] = frozenset({Channel.TRADE, Channel.QUOTE, Channel.BOOK})
    dials_per_minute: ClassVar[float] = 60.0
    """10 a second and address; too many: blocked for ten minutes."""
    WS_URLS: ClassVar[tuple[str, ...]] = ("wss://ws-api.bithumb.com/websocket/v1",)
    REST_URL: ClassVar[str] = "https://api.bithumb.com"
    FORMAT: ClassVar[str] = "DEFAULT"
    ONLY_REALTIME: ClassVar[str] = "isOnlyRealtime"
    CANDLES_UNTIL: ClassVar[timedelta] = timedelta(hours=9)

    def symbols_url(self) -> str:
        return f"{self._rest}/v1/market/all?isDetails=true"

    @staticmethod
    def _until(time: datetime) -> str:
        return f"{time:%Y-%m-%dT%H:%M:%S}"
