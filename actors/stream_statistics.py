"""The streams that are told once a second or two: tickers, windows, average prices, klines.

What lies further back than the sliding candles reach comes from the read models, which by then hold it for good.
"""

from collections.abc import Callable
from typing import Any, Final

import asyncpg
import msgspec
import structlog

from actors.config import Settings
from actors.live_market import LiveMarket
from actors.stream_demand import Demand, Wanted
from actors.tape_store import TapeStore
from market.candles import Candle, empty_candle, joined, total_of
from market.intervals import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS, Interval
from market.stream_events import AvgPriceEvent, Told, Top, quiet_window
from market.stream_names import Channel

log = structlog.get_logger()

WINDOWS_NS: Final = {"1h": HOUR_NS, "4h": 4 * HOUR_NS, "1d": DAY_NS}
_FAR_REFRESH_NS: Final = 5 * MINUTE_NS
"""The far part of a long kline is read again so often; the sliding minutes reach back longer than a day by more."""
_BEFORE_REFRESH_NS: Final = MINUTE_NS
"""What a venue tells of the time before us is looked for so often, until it is there."""
_LATE_NS: Final = 10 * SECOND_NS
"""So long after it closed a kline may still get trades, of a batch whose commit took its time."""
_MOST_AT_ONCE: Final = 300
"""Klines told in one go after a pause, or when a replay is fast: as many seconds as the sliding ones reach back for sure."""
_CHANNELS: Final = (Channel.TICKER, Channel.MINI_TICKER, Channel.WINDOW_TICKER)

_encode = msgspec.json.Encoder().encode


class Statistics:
    def __init__(self, settings: Settings, market: LiveMarket, told: Callable[[int, int], Told]) -> None:
        self._dsn = settings.pg_dsn
        self._market = market
        self._told = told
        self._connection: asyncpg.Connection[Any] | None = None
        self._edges: dict[int, tuple[int, Candle | None]] = {}
        """By symbol: the minute that the 24-hour window begins in, and what of it is still inside."""
        self._backfills = settings.backfill_ns > 0
        self._told_before: dict[tuple[int, Interval], tuple[int, int, Candle | None]] = {}
        """By symbol and interval, of the newest kline: open time, when it was read, what a venue told of before us."""
        self._far: dict[tuple[int, Interval], dict[int, tuple[int, Candle | None]]] = {}
        """By symbol and long interval, by open time: until when, and what traded until then."""

    async def due(self, demand: Demand, now_ns: int, odd: bool) -> list[tuple[Wanted, bytes]]:
        made: list[tuple[Wanted, bytes]] = []
        tickers = [one for channel in _CHANNELS for one in demand.by_channel.get(channel, ())]
        if tickers:
            await self._learn_edges(tickers, now_ns)
        shared: dict[tuple[Any, ...], bytes] = {}
        for wanted in tickers:
            event = self._array(wanted, now_ns, shared) if wanted.symbol is None else None
            if wanted.symbol is not None:
                event = self._ticker(wanted, wanted.symbol, now_ns, shared)
            if event is not None:
                made.append((wanted, event))
        averages = ((wanted, self._average(wanted, now_ns)) for wanted in demand.by_channel.get(Channel.AVG_PRICE, ()))
        made += [(wanted, event) for wanted, event in averages if event is not None]
        for wanted in demand.by_channel.get(Channel.KLINE, ()):
            if not (odd and wanted.stream.period_ms > 1000):
                made += [(wanted, event) for event in await self._klines(wanted, now_ns)]
        return made

    # -- tickers --------------------------------------------------------------------------------------------------

    def _array(self, wanted: Wanted, now_ns: int, shared: dict[tuple[Any, ...], bytes]) -> bytes | None:
        """Of all symbols those that changed since the array was told last; None when none did."""
        old: dict[int, object] = wanted.signature if isinstance(wanted.signature, dict) else {}
        new: dict[int, object] = {}
        for symbol in range(len(self._market.instruments)):
            recent = self._market.recent[symbol]
            top = self._market.books[symbol].exec_id if wanted.stream.channel is Channel.TICKER else 0
            window = self._window(wanted, symbol, now_ns)[1]
            new[symbol] = (recent.last_trade_id, top, window and window.first_trade_id)
        wanted.signature = new
        events = [
            self._ticker(wanted, symbol, now_ns, shared)
            for symbol in new
            if new[symbol] != old.get(symbol) and self._market.recent[symbol].last_trade_id
        ]
        return b"[%b]" % b",".join(events) if events else None

    def _window(self, wanted: Wanted, symbol: int, now_ns: int) -> tuple[int, Candle | None]:
        """Open time and contents of the window that a ticker stream tells."""
        recent = self._market.recent[symbol]
        if wanted.stream.channel is Channel.WINDOW_TICKER:
            start_ns = _minute(now_ns - WINDOWS_NS[wanted.stream.window])
            return start_ns, recent.window(start_ns, now_ns + SECOND_NS)
        start_ns = now_ns - DAY_NS
        edge_ns = _minute(start_ns)
        at, inside = self._edges.get(symbol, (0, None))
        if at != edge_ns:
            return start_ns, recent.window(edge_ns, now_ns + SECOND_NS)
        return start_ns, joined((inside, recent.window(edge_ns + MINUTE_NS, now_ns + SECOND_NS)), start_ns)

    def _ticker(self, wanted: Wanted, symbol: int, now_ns: int, shared: dict[tuple[Any, ...], bytes]) -> bytes:
        key = (wanted.stream.channel, wanted.stream.window, symbol, wanted.unit_ns)
        if key in shared:
            return shared[key]
        told, recent = self._told(symbol, wanted.unit_ns), self._market.recent[symbol]
        start_ns, found = self._window(wanted, symbol, now_ns)
        window = found or quiet_window(recent.last_price)
        event: msgspec.Struct
        if wanted.stream.channel is Channel.MINI_TICKER:
            event = told.mini_ticker(now_ns, window)
        elif wanted.stream.channel is Channel.WINDOW_TICKER:
            event = told.window_ticker(now_ns, start_ns, wanted.stream.window, window)
        else:
            before = recent.minutes.price_at(_minute(start_ns)) or 0
            top: Top = self._market.top(symbol)
            event = told.ticker(now_ns, start_ns, window, before, recent.last_qty if found else 0, top)
        shared[key] = _encode(event)
        return shared[key]

    async def _learn_edges(self, tickers: list[Wanted], now_ns: int) -> None:
        """What still counts of the minute in which the 24-hour window begins, to the second."""
        start_ns = now_ns - DAY_NS
        edge_ns = _minute(start_ns)
        symbols = set()
        for wanted in tickers:
            if wanted.stream.channel is not Channel.WINDOW_TICKER:
                symbols |= {wanted.symbol} if wanted.symbol is not None else set(range(len(self._market.recent)))
        # Most often nothing at all traded in that minute, and the sliding minutes know.
        live = [
            k for k in symbols if k is not None and len(self._market.recent[k].minutes.between(edge_ns, edge_ns + 1))
        ]
        self._edges = {k: (edge_ns, None) for k in symbols if k is not None}
        if not live:
            return
        names = {self._market.instruments[k].symbol: k for k in live}
        found = await self._ask(lambda store: store.totals(list(names), start_ns, edge_ns + MINUTE_NS))
        if found is None:
            self._edges = {k: one for k, one in self._edges.items() if k not in live}
            return
        for name, candle in found.items():
            self._edges[names[name]] = (edge_ns, candle)

    def _average(self, wanted: Wanted, now_ns: int) -> bytes | None:
        assert wanted.symbol is not None
        recent = self._market.recent[wanted.symbol]
        if not recent.last_trade_id:
            return None
        told = self._told(wanted.symbol, wanted.unit_ns)
        quote, lots = recent.average(now_ns)
        price = told.grid.average(quote, lots) if lots else told.grid.price(recent.last_price)
        signature = (price, recent.last_trade_id)
        if wanted.signature == signature:
            return None
        wanted.signature = signature
        last = told.time(recent.last_ts_ns)
        return _encode(AvgPriceEvent(told.time(now_ns), told.symbol, "5m", price, last))

    # -- klines ---------------------------------------------------------------------------------------------------

    async def _klines(self, wanted: Wanted, now_ns: int) -> list[bytes]:
        """The kline under way when it moved, and those that closed since; one whose last trades came late, again."""
        symbol, interval = wanted.symbol, wanted.stream.interval
        assert symbol is not None
        assert interval is not None
        known: dict[int, object] = wanted.signature if isinstance(wanted.signature, dict) else {}
        told = self._told(symbol, wanted.unit_ns)
        signatures: dict[int, object] = {}
        made: list[bytes] = []
        for open_ns in _to_tell(interval, list(known), now_ns):
            end_ns = interval.next_open(open_ns)
            candle = await self._candle(symbol, interval, open_ns, end_ns, now_ns)
            if candle is None:
                continue
            closed = end_ns <= now_ns
            signatures[open_ns] = (candle.last_trade_id, closed)
            if known.get(open_ns) != signatures[open_ns]:
                made.append(_encode(told.kline(now_ns, interval.name, candle, end_ns, closed)))
        wanted.signature = signatures
        return made

    async def _candle(self, symbol: int, interval: Interval, open_ns: int, end_ns: int, now_ns: int) -> Candle | None:
        """What traded in an interval so far, the last price where nothing did; None when that is not known now."""
        recent = self._market.recent[symbol]
        sliding = recent.seconds if interval.name == "1s" else recent.minutes
        near_ns = open_ns
        far: Candle | None = None
        if open_ns < now_ns - DAY_NS:
            known = await self._learn_far(symbol, interval, open_ns, min(end_ns, _minute(now_ns - DAY_NS)))
            if known is None:
                return None
            near_ns, far = known
        ours = joined((far, total_of(sliding.between(near_ns, end_ns), open_ns)), open_ns)
        before = await self._learn_before(symbol, interval, open_ns, end_ns, now_ns)
        found = joined((before, ours), open_ns)
        if found is not None:
            if ours is not None:
                found.first_trade_id = ours.first_trade_id
            return found
        price = sliding.price_at(open_ns)
        return None if price is None else empty_candle(open_ns, price)

    async def _learn_before(
        self, symbol: int, interval: Interval, open_ns: int, end_ns: int, now_ns: int
    ) -> Candle | None:
        """What a venue told of a kline in which we began; it may come late."""
        began_before = self._market.recent[symbol].minutes.price_at(open_ns) is not None
        if not self._backfills or began_before or end_ns - open_ns <= MINUTE_NS:
            return None
        key = (symbol, interval)
        at, read_ns, known = self._told_before.get(key, (0, 0, None))
        if at == open_ns and (known is not None or now_ns - read_ns < _BEFORE_REFRESH_NS):
            return known
        name = self._market.instruments[symbol].symbol
        found = await self._ask(lambda store: store.told(name, open_ns, end_ns))
        made = None if found is None else found.get(name)
        self._told_before[key] = (open_ns, now_ns, made)
        return made

    async def _learn_far(
        self, symbol: int, interval: Interval, open_ns: int, until_ns: int
    ) -> tuple[int, Candle | None] | None:
        """The part of a long kline that the read models know: until when, and what; None when they do not answer."""
        known = self._far.setdefault((symbol, interval), {})
        far = known.get(open_ns)
        if far is not None and until_ns - far[0] < _FAR_REFRESH_NS:
            return far
        until_ns = max(open_ns, until_ns)
        name = self._market.instruments[symbol].symbol
        found = await self._ask(lambda store: store.totals([name], open_ns, until_ns))
        if found is None:
            return None
        for old in sorted(known)[:-1]:
            del known[old]
        known[open_ns] = (until_ns, found.get(name))
        return known[open_ns]

    # -- the read models ------------------------------------------------------------------------------------------

    async def _ask(self, question: Callable[[TapeStore], Any]) -> dict[str, Candle] | None:
        """None when the database does not answer: what is told then is a minute less exact, or waits."""
        try:
            if self._connection is None or self._connection.is_closed():
                self._connection = await asyncpg.connect(self._dsn, timeout=2, command_timeout=2)
            answer: dict[str, Candle] = await question(TapeStore(self._connection))
        except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("statistics without the read models", error=repr(error))
            if self._connection is not None:
                self._connection.terminate()
            self._connection = None
            return None
        return answer

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()


def _to_tell(interval: Interval, known: list[int], now_ns: int) -> list[int]:
    """Open times, from those told last to the present one; those that closed long ago are let be."""
    opened = interval.open_of(now_ns)
    opens = sorted(known) or [opened]
    while opens[-1] < opened:
        opens.append(interval.next_open(opens[-1]))
    # Of those told before only the last can be unfinished: the one before it is looked at for late trades.
    return [at for at in opens if at not in known or at == known[-1] or interval.next_open(at) > now_ns - _LATE_NS][
        -_MOST_AT_ONCE:
    ]


def _minute(ts_ns: int) -> int:
    return ts_ns - ts_ns % MINUTE_NS
