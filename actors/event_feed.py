"""Features of trades, quotes and depth as they happen, of the symbols that a model of events is for.

Subscribes to the exchange's own streams (`<symbol>@trade`, `@bookTicker`, `@depth5@100ms`) on the bus: the projector computes
them because somebody listens, and the books know nothing of it. Events count at the market time of their arrival.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import redis.asyncio as aioredis
import structlog

from actors.candle_feed import LiveRow
from actors.config import Settings
from actors.stream_demand import channel_of, control_channel, look_channel
from market.decimals import Grid
from market.enums import Side
from market.instrument import Instrument
from ml.features import Depth, FeatureSpec, FeatureStream, Quote, Trade

log = structlog.get_logger()

MAX_FOLLOWED: Final = 64
"""Symbols; each costs the projector and us some milliseconds of every second."""
RETRY_S: Final = 0.5
_UNIT: Final = "us"
_KINDS: Final = ("trade", "bookTicker", "depth5@100ms")


class _Event(msgspec.Struct):
    """Of any of the three streams."""

    p: str = ""
    q: str = ""
    m: bool = False
    b: str = ""
    B: str = ""
    a: str = ""
    A: str = ""
    bids: Sequence[tuple[str, str]] = ()
    asks: Sequence[tuple[str, str]] = ()


_decode: Final = msgspec.json.Decoder(_Event).decode


class _Followed(NamedTuple):
    symbol: str
    grid: Grid
    streams: dict[FeatureSpec, FeatureStream]
    last: list[int]
    """The last price in ticks; empty before the first trade."""

    def steps(self, text: str, step: int) -> int:
        """A decimal string of eight places as ticks or lots."""
        return int(text.replace(".", "")) // step

    def event_of(self, kind: str, line: bytes, ts_ns: int) -> Trade | Quote | Depth:
        found, (tick, lot, *_) = _decode(line), self.grid
        if kind == "trade":
            side = Side.SELL if found.m else Side.BUY
            return Trade(ts_ns, self.steps(found.p, tick), self.steps(found.q, lot), side)
        if kind == "bookTicker":
            figures = ((found.b, tick), (found.B, lot), (found.a, tick), (found.A, lot))
            return Quote(ts_ns, *(self.steps(text, step) for text, step in figures))
        sides = (
            [(self.steps(price, tick), self.steps(qty, lot)) for price, qty in one] for one in (found.bids, found.asks)
        )
        return Depth.of(ts_ns, *sides)


class EventFeed:
    def __init__(self, settings: Settings, instruments: Sequence[Instrument], now_ns: Callable[[], int]) -> None:
        self._settings = settings
        self._instruments = {one.symbol: one for one in instruments}
        self._now_ns = now_ns
        self._followed: dict[str, _Followed] = {}
        self._by_channel: dict[str, tuple[_Followed, str]] = {}
        self._changed = asyncio.Event()

    def follow(self, symbols: Iterable[str], spec: FeatureSpec) -> None:
        """From now on; of those already followed the other specs go on. Past `MAX_FOLLOWED` symbols: not."""
        for symbol in symbols:
            instrument = self._instruments.get(symbol)
            if instrument is None:
                continue
            if symbol not in self._followed:
                if len(self._followed) >= MAX_FOLLOWED:
                    log.warning("too many symbols of event models, not followed", symbol=symbol, limit=MAX_FOLLOWED)
                    continue
                made = self._followed[symbol] = _Followed(symbol, Grid.of(instrument), {}, [])
                for kind in _KINDS:
                    channel = channel_of(self._settings.prefix, _UNIT, f"{symbol.lower()}@{kind}")
                    self._by_channel[channel] = (made, kind.partition("@")[0])
                self._changed.set()
            self._followed[symbol].streams.setdefault(spec, FeatureStream(spec))

    def is_followed(self, symbol: str, spec: FeatureSpec) -> bool:
        return symbol in self._followed and spec in self._followed[symbol].streams

    def rows(self, spec: FeatureSpec) -> dict[str, LiveRow]:
        """As of now; of symbols whose longest window is whole."""
        found = {}
        for symbol, one in self._followed.items():
            stream = one.streams.get(spec)
            if stream is None:
                continue
            now_ns = max(self._now_ns(), stream.ts_ns)
            row = stream.row(now_ns)
            if one.last and np.isfinite(row[spec.whole_column]):
                found[symbol] = LiveRow(now_ns, one.last[0], row)
        return found

    async def run(self) -> None:
        while True:
            try:
                redis = aioredis.Redis.from_url(self._settings.redis_url, socket_connect_timeout=2)
                async with redis, redis.pubsub(ignore_subscribe_messages=True) as bus:
                    await bus.subscribe(control_channel(self._settings.prefix))
                    await self._read(redis, bus)
            except Exception as error:
                log.warning("stream bus away, retrying", error=repr(error))
            self._begin_anew()
            await asyncio.sleep(RETRY_S)

    async def _read(self, redis: Any, bus: Any) -> None:
        subscribed: set[str] = set()
        self._changed.set()
        while True:
            if self._changed.is_set():
                self._changed.clear()
                new = self._by_channel.keys() - subscribed
                if new:
                    await bus.subscribe(*new)
                    await redis.publish(look_channel(self._settings.prefix), b"")
                    subscribed |= new
            message = await bus.get_message(timeout=0.2)
            if message is None:
                continue
            channel = message["channel"].decode()
            found = self._by_channel.get(channel)
            if found is None:
                self._begin_anew()  # the control channel: events may have been lost
                continue
            self._take(*found, message["data"])

    def _take(self, followed: _Followed, kind: str, data: bytes) -> None:
        now_ns = max(self._now_ns(), *(stream.ts_ns for stream in followed.streams.values()))
        for line in data.split(b"\n"):
            if line:
                event = followed.event_of(kind, line, now_ns)
                if isinstance(event, Trade):
                    followed.last[:] = [event.price_ticks]
                for stream in followed.streams.values():
                    stream.add(event)

    def _begin_anew(self) -> None:
        """Windows with a gap in them are not what a model learned."""
        for one in self._followed.values():
            for spec in one.streams:
                one.streams[spec] = FeatureStream(spec)
