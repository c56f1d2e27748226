"""Computes the venue's streams that somebody listens to, and publishes each event once per channel and unit of time.

A message of the bus holds events, one per line, in order; the first one of a diff stream may hold none and says that
the stream has begun. What nobody listens to costs nothing.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec
import redis.asyncio as aioredis
import structlog
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from actors.cached_depth import cached_entry
from actors.config import Settings
from actors.live_market import LiveMarket, TopChange
from actors.metrics import ProjectorMetrics
from actors.redis_batch import RedisBatch
from actors.stream_demand import BROKEN, Demand, Wanted, channel_of, control_channel, look_channel
from actors.stream_statistics import Statistics
from market.decimals import Grid
from market.depth import DepthState, Levels, changed, depth_of
from market.enums import Side
from market.records import Records
from market.stream_events import AggTradeEvent, DepthUpdate, Level, PartialDepth, Told, TradeEvent
from market.stream_names import Channel
from market.windows import by_symbol

log = structlog.get_logger()

_encode = msgspec.json.Encoder().encode
_TRADE_COLUMNS: Final = ("trade_id", "agg_id", "price_ticks", "qty_lots", "taker_side", "ts_ns")


class StreamBus:
    def __init__(self, settings: Settings, market: LiveMarket, metrics: ProjectorMetrics) -> None:
        self._prefix = settings.prefix
        self._market = market
        self._metrics = metrics
        self._names = [one.symbol for one in market.instruments]
        self._grids = [Grid.of(one) for one in market.instruments]
        self._redis = aioredis.Redis.from_url(
            settings.redis_url, socket_timeout=2, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0)
        )
        self._batch = RedisBatch(self._redis)
        self.demand = Demand({name: k for k, name in enumerate(self._names)})
        self.statistics = Statistics(settings, market, self._told)
        self._out: dict[str, list[bytes]] = {}
        self._changed: set[int] = set()
        """Symbols whose diff streams tell something new, or begin."""
        self._lost = True
        """Listeners have to be told that events may be missing: at the start, and after the bus was away."""

    def _told(self, symbol: int, unit_ns: int) -> Told:
        return Told(self._names[symbol], self._grids[symbol], unit_ns)

    def _put(self, wanted: Wanted, event: bytes) -> None:
        self._out.setdefault(wanted.channel, []).append(event)

    # -- as it happens --------------------------------------------------------------------------------------------

    def trades(self, tape: Records) -> None:
        """TAPE[n] by symbol and then in order."""
        if not self.demand.trades:
            return
        for symbol, part in by_symbol(tape):
            for wanted in self.demand.trades.get(symbol, ()):
                told = self._told(symbol, wanted.unit_ns)
                single = wanted.stream.channel is Channel.TRADE
                for event in _trades(told, part) if single else _aggregates(told, part):
                    self._put(wanted, _encode(event))

    def tops(self, changes: Sequence[TopChange]) -> None:
        for symbol, top in changes:
            for wanted in self.demand.tops.get(symbol, ()):
                wanted.fresh = False
                self._put(wanted, _encode(self._told(symbol, wanted.unit_ns).book_ticker(top)))

    # -- by period ------------------------------------------------------------------------------------------------

    def books(self, period_ms: int) -> None:
        """Depth streams of this period; and the first top of a new listener."""
        states: dict[int, DepthState] = {}
        for wanted in self.demand.by_channel.get(Channel.DIFF, ()):
            if wanted.signature is None or wanted.stream.period_ms == period_ms:
                self._diff(wanted, states)
        for wanted in self.demand.by_channel.get(Channel.PARTIAL, ()):
            if wanted.stream.period_ms == period_ms:
                self._partial(wanted)
        for wanted in self.demand.by_channel.get(Channel.BOOK_TICKER, ()):
            if wanted.fresh and wanted.symbol is not None:
                self.tops([TopChange(wanted.symbol, self._market.top(wanted.symbol))])

    def _diff(self, wanted: Wanted, states: dict[int, DepthState]) -> None:
        symbol, old = wanted.symbol, wanted.signature
        assert symbol is not None
        if isinstance(old, DepthState) and old.update_id == self._market.books[symbol].exec_id:
            return
        if symbol not in states:
            states[symbol] = depth_of(self._market.books[symbol])
        new = states[symbol]
        if isinstance(old, DepthState):
            bids, asks = changed(old.bids, new.bids), changed(old.asks, new.asks)
            if not len(bids.prices) and not len(asks.prices):
                return
            grid = self._grids[symbol]
            event = DepthUpdate(
                self._market.ts_ns // wanted.unit_ns, self._names[symbol], old.update_id + 1, new.update_id,
                _shown(grid, bids)[::-1], _shown(grid, asks),
            )  # fmt: skip
            self._put(wanted, _encode(event))
        else:
            self._out.setdefault(wanted.channel, [])  # changes begin here
        self._changed.add(symbol)
        wanted.signature = new

    def _partial(self, wanted: Wanted) -> None:
        assert wanted.symbol is not None
        book = self._market.books[wanted.symbol]
        if wanted.signature == book.exec_id:
            return
        wanted.signature = book.exec_id
        grid = self._grids[wanted.symbol]
        bids, asks = (
            _shown(grid, Levels(found["price_ticks"], found["qty_lots"]))
            for found in (book.depth(side, wanted.stream.levels) for side in (Side.BUY, Side.SELL))
        )
        self._put(wanted, _encode(PartialDepth(book.exec_id, bids, asks)))

    async def seconds(self, now_ns: int, odd: bool) -> None:
        """Once a second: tickers, averages, klines; `odd` seconds leave out what is told every two."""
        for wanted, event in await self.statistics.due(self.demand, now_ns, odd):
            self._put(wanted, event)

    # -- the bus --------------------------------------------------------------------------------------------------

    async def flush(self, look: bool) -> bool:
        """Publish; with `look`, learn who listens in the same round trip. True when the bus is back after a pause."""
        if not self._out and not look:
            return False
        taken, self._out, now_ns = self._out, {}, self._market.now_ns()
        if self._lost:
            self._batch.add("PUBLISH", control_channel(self._prefix), BROKEN)
        # First: a snapshot asked for after a message must not be older, or changes are missing between the two.
        for symbol in self._changed:
            self._batch.add("SET", *cached_entry(self._prefix, self._names[symbol], self._market.books[symbol], now_ns))
        self._changed.clear()
        for channel, events in taken.items():
            self._batch.add("PUBLISH", channel, b"\n".join(events))
        try:
            await self._batch.run()
            listened = await self._listened() if look else []
        except Exception as error:
            self._metrics.cache_errors.inc()
            if not self._lost:
                log.warning("stream bus away", error=repr(error))
            self._lost = True
            return False
        back, self._lost = self._lost, False
        if look:
            self.demand.update(listened)
        return back

    async def follow_looks(self) -> None:
        """Learn at once of new listeners; without it they are noticed when the channels are looked at anyway."""
        while True:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=True) as bus:
                    await bus.subscribe(look_channel(self._prefix))
                    while True:
                        if await bus.get_message(timeout=None) is not None:
                            self.demand.update(await self._listened())
            except Exception as error:
                log.info("not told of new listeners", error=repr(error))
                await asyncio.sleep(1.0)

    async def _listened(self) -> list[str]:
        found = await self._redis.pubsub_channels(channel_of(self._prefix, "?s", "*"))
        return [name.decode() if isinstance(name, bytes) else name for name in found]

    async def close(self) -> None:
        await self.statistics.close()
        await self._redis.aclose()


def _trades(told: Told, tape: Records) -> list[TradeEvent]:
    grid = told.grid
    made = []
    for trade_id, _, price, qty, side, ts_ns in zip(*(tape[one].tolist() for one in _TRADE_COLUMNS), strict=True):
        at = told.time(ts_ns)
        made.append(TradeEvent(at, told.symbol, trade_id, grid.price(price), grid.quantity(qty), at, side == Side.SELL))
    return made


def _aggregates(told: Told, tape: Records) -> list[AggTradeEvent]:
    grid = told.grid
    made: list[AggTradeEvent] = []
    total = 0
    for trade_id, agg_id, price, qty, side, ts_ns in zip(*(tape[one].tolist() for one in _TRADE_COLUMNS), strict=True):
        if made and made[-1].a == agg_id:
            total += qty
            made[-1].q, made[-1].l = grid.quantity(total), trade_id
            continue
        total, at = qty, told.time(ts_ns)
        made.append(
            AggTradeEvent(
                at, told.symbol, agg_id, grid.price(price), grid.quantity(qty), trade_id, trade_id, at,
                side == Side.SELL,
            )
        )  # fmt: skip
    return made


def _shown(grid: Grid, levels: Levels) -> list[Level]:
    return [
        (grid.price(price), grid.quantity(lots))
        for price, lots in zip(levels.prices.tolist(), levels.lots.tolist(), strict=True)
    ]
