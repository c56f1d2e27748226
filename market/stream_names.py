"""The grammar of the venue's stream names: `<symbol>@<channel>...` and `!<channel>@arr`. Pure.

A name that has the form of a stream but names no channel, symbol or interval of ours is accepted as the venue does, and
nothing ever comes on it.
"""

import re
from enum import StrEnum
from typing import Final

import msgspec

from market.intervals import HOUR_NS, INTERVALS, Interval

SHAPE: Final = re.compile(r"(?:[a-z0-9_.\-]{1,64}|!)?[A-Za-z0-9_!]{0,32}(?:@[A-Za-z0-9_+:\-]{1,32}){1,3}", re.ASCII)
"""What a stream name looks like, known or not."""
_PERIODS_MS: Final = {"100ms": 100, "1000ms": 1000}
_WINDOWS: Final = ("1h", "4h", "1d")
_KLINE_ZONES: Final = {"+08:00": 8 * HOUR_NS}


class Channel(StrEnum):
    TRADE = "trade"
    AGG_TRADE = "aggTrade"
    BOOK_TICKER = "bookTicker"
    DIFF = "diff"
    PARTIAL = "partial"
    KLINE = "kline"
    MINI_TICKER = "miniTicker"
    TICKER = "ticker"
    WINDOW_TICKER = "windowTicker"
    AVG_PRICE = "avgPrice"
    SILENT = "silent"
    """blockTrade and referencePrice, of which there are none here, and names we do not know."""


REALTIME: Final = frozenset({Channel.TRADE, Channel.AGG_TRADE, Channel.BOOK_TICKER})
"""Told when it happens; the others when their period is over."""
UNSKIPPABLE: Final = frozenset({Channel.TRADE, Channel.AGG_TRADE, Channel.DIFF})
"""A listener gets every event of these or is cut off; of the others a slow one gets the newest."""


class Stream(msgspec.Struct, frozen=True):
    """What a stream name asks for."""

    channel: Channel
    symbol: str | None = None
    """None: all symbols in one array."""
    period_ms: int = 1000
    levels: int = 0
    """Of PARTIAL."""
    interval: Interval | None = None
    """Of KLINE."""
    window: str = ""
    """Of WINDOW_TICKER: 1h, 4h, 1d."""


SILENT: Final = Stream(Channel.SILENT)


def looks_like_stream(name: str) -> bool:
    return SHAPE.fullmatch(name) is not None


def stream_of(name: str) -> Stream:
    """What a name of the right shape asks for; SILENT when nothing ever comes on it."""
    head, *rest = name.split("@")
    if head.startswith("!"):
        # Some clients ask for a pace (`@arr@1000ms`), which the venue once had.
        paced = len(rest) == 2 and rest[1] in ("1000ms", "3000ms") and head in ("!miniTicker", "!ticker")
        return _array(head[1:]) if rest[:1] == ["arr"] and (paced or len(rest) == 1) else SILENT
    if head != head.lower() or not rest:
        return SILENT
    return _single(head.upper(), rest[0], rest[1:])


def _array(channel: str) -> Stream:
    if channel == "miniTicker":
        return Stream(Channel.MINI_TICKER)
    if channel == "ticker":
        return Stream(Channel.TICKER)
    window = channel.removeprefix("ticker_")
    return Stream(Channel.WINDOW_TICKER, window=window) if window in _WINDOWS else SILENT


def _single(symbol: str, channel: str, suffix: list[str]) -> Stream:
    if channel.startswith("kline_"):
        return _kline(symbol, channel.removeprefix("kline_"), suffix)
    if channel.startswith("depth"):
        return _depth(symbol, channel.removeprefix("depth"), suffix)
    if suffix:
        return SILENT
    if channel.startswith("ticker_"):
        window = channel.removeprefix("ticker_")
        return Stream(Channel.WINDOW_TICKER, symbol, window=window) if window in _WINDOWS else SILENT
    if channel in ("trade", "aggTrade", "bookTicker", "miniTicker", "ticker", "avgPrice"):
        return Stream(Channel(channel), symbol)
    return SILENT


def _kline(symbol: str, name: str, suffix: list[str]) -> Stream:
    offset_ns = 0
    if suffix:
        if len(suffix) > 1 or suffix[0] not in _KLINE_ZONES:
            return SILENT
        offset_ns = _KLINE_ZONES[suffix[0]]
    if name not in INTERVALS:
        return SILENT
    return Stream(Channel.KLINE, symbol, 1000 if name == "1s" else 2000, interval=Interval(name, offset_ns))


def _depth(symbol: str, levels: str, suffix: list[str]) -> Stream:
    period_ms = 1000
    if suffix:
        if len(suffix) > 1 or suffix[0] not in _PERIODS_MS:
            return SILENT
        period_ms = _PERIODS_MS[suffix[0]]
    if levels == "":
        return Stream(Channel.DIFF, symbol, period_ms)
    return Stream(Channel.PARTIAL, symbol, period_ms, int(levels)) if levels in ("5", "10", "20") else SILENT
