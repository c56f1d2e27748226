"""The book by level as it lies in the hot cache: numbers, so that writing it ten times a second costs next to nothing."""

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from market.book.layout import DEPTH
from market.enums import Side
from market.records import Records
from market.stream_events import Top

if TYPE_CHECKING:
    from market.book.engine import Book  # with its kernels, which readers of the cache do not need

DEPTH_CACHED: Final = 5000
"""Levels per side: the most that the venue's `GET depth` gives."""

_HEAD: Final = struct.Struct("<qqqq")
_TOP: Final = struct.Struct("<6q")


class CachedDepth(NamedTuple):
    update_id: int
    """Of the newest event of the symbol: the numbering of the depth streams."""
    ts_ns: int
    bids: Records
    """DEPTH[n], best first."""
    asks: Records


def encode_depth(depth: CachedDepth) -> bytes:
    head = _HEAD.pack(depth.update_id, depth.ts_ns, len(depth.bids), len(depth.asks))
    return b"".join((head, depth.bids.tobytes(), depth.asks.tobytes()))


def decode_depth(data: bytes) -> CachedDepth:
    update_id, ts_ns, bids, asks = _HEAD.unpack_from(data)
    levels = np.frombuffer(data, DEPTH, bids + asks, _HEAD.size)
    return CachedDepth(update_id, ts_ns, levels[:bids], levels[bids:])


def encode_top(depth: CachedDepth, last_price_ticks: int) -> bytes:
    best = [0, 0, 0, 0]
    for k, levels in enumerate((depth.bids, depth.asks)):
        if len(levels):
            best[2 * k : 2 * k + 2] = int(levels["price_ticks"][0]), int(levels["qty_lots"][0])
    return _TOP.pack(depth.update_id, *best, last_price_ticks)


def decode_top(data: bytes) -> tuple[Top, int]:
    """The top of the book, and the last price in ticks, 0 before the first trade."""
    update_id, bid, bid_qty, ask, ask_qty, last = _TOP.unpack(data)
    return Top(update_id, bid, bid_qty, ask, ask_qty), last


def depth_key(prefix: str, symbol: str) -> str:
    return f"{prefix}:levels:{symbol}"


def cached_entry(prefix: str, symbol: str, book: "Book", ts_ns: int) -> tuple[str, bytes]:
    """Key and value of the book as it stands."""
    bids, asks = (book.depth(side, DEPTH_CACHED) for side in (Side.BUY, Side.SELL))
    return depth_key(prefix, symbol), encode_depth(CachedDepth(book.exec_id, ts_ns, bids, asks))
