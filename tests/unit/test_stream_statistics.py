"""Tickers and klines of the streams as time goes on: when what is told, with the time in the test's hand."""

from typing import Any

import msgspec
import numpy as np

from actors.config import Settings
from actors.live_market import LiveMarket
from actors.stream_demand import Demand, channel_of
from actors.stream_statistics import Statistics
from actors.wire import Batch
from market.decimals import Grid
from market.enums import EventKind
from market.intervals import DAY_NS, MINUTE_NS, SECOND_NS
from market.records import COMMAND, EVENT
from market.stream_events import Told
from market.universe import instruments

SYMBOLS = instruments(2)
GRIDS = [Grid.of(one) for one in SYMBOLS]
START_NS = 1_780_000_000 * SECOND_NS // MINUTE_NS * MINUTE_NS


class World:
    def __init__(self) -> None:
        self.market = LiveMarket(SYMBOLS)
        self.demand = Demand({one.symbol: k for k, one in enumerate(SYMBOLS)})
        # No database: what the sliding candles do not know is left out or waits.
        settings = Settings(data_dir="/", run_dir="/", pg_dsn="postgresql:///none?host=/nonexistent", redis_url="")
        self.statistics = Statistics(settings, self.market, lambda k, unit: Told(SYMBOLS[k].symbol, GRIDS[k], unit))
        self._trade_ids = [0, 0]

    def listen(self, *names: str) -> None:
        self.demand.update([*self.demand.wanted, *(channel_of("x", "ms", name) for name in names)])

    def trade(self, at_ns: int, price: int, symbol: int = 0, qty: int = 100_000) -> None:
        self._trade_ids[symbol] += 1
        row = np.zeros(1, EVENT)
        row["kind"], row["symbol"], row["price_ticks"], row["qty_lots"] = EventKind.TRADE, symbol, price, qty
        row["quote_units"] = price * qty * SYMBOLS[symbol].quote_units_per_tick_lot
        row["trade_id"] = row["order_id"] = self._trade_ids[symbol]
        self.market.follow_tape([Batch(0, 1, 1, at_ns, np.zeros(1, COMMAND), row)])

    async def told(self, now_ns: int, odd: bool = False) -> dict[str, list[Any]]:
        """Events by stream."""
        found: dict[str, list[Any]] = {}
        for wanted, event in await self.statistics.due(self.demand, now_ns, odd):
            found.setdefault(wanted.channel.partition(":ms:")[2], []).append(msgspec.json.decode(event))
        return found


def bodies(events: list[Any]) -> list[tuple[int, bool, int, str]]:
    """(seconds after the start, closed, trades, close) of klines."""
    start_ms = START_NS // 1_000_000
    return [((one["k"]["t"] - start_ms) // 1000, one["k"]["x"], one["k"]["n"], one["k"]["c"]) for one in events]


async def test_klines_are_told_when_they_move_and_when_they_close() -> None:
    world = World()
    world.listen("btcusdt@kline_1m")
    assert await world.told(START_NS) == {}, "nothing ever traded"
    world.trade(START_NS + SECOND_NS, 100)
    told = await world.told(START_NS + 2 * SECOND_NS)
    assert bodies(told["btcusdt@kline_1m"]) == [(0, False, 1, "1.00000000")]
    assert await world.told(START_NS + 4 * SECOND_NS) == {}, "nothing moved"
    world.trade(START_NS + 59 * SECOND_NS, 200)
    assert await world.told(START_NS + 59 * SECOND_NS + 5, odd=True) == {}, "every two seconds"
    told = await world.told(START_NS + 60 * SECOND_NS + 1)
    assert bodies(told["btcusdt@kline_1m"]) == [(0, True, 2, "2.00000000"), (60, False, 0, "2.00000000")]
    # A batch that took its time: the kline is told again.
    world.trade(START_NS + 60 * SECOND_NS - 1, 300)
    told = await world.told(START_NS + 62 * SECOND_NS)
    assert bodies(told["btcusdt@kline_1m"]) == [(0, True, 3, "3.00000000")]
    told = await world.told(START_NS + 120 * SECOND_NS)
    assert bodies(told["btcusdt@kline_1m"]) == [(60, True, 0, "3.00000000"), (120, False, 0, "3.00000000")]


async def test_after_a_pause_every_second_that_closed_is_told() -> None:
    world = World()
    world.listen("btcusdt@kline_1s")
    world.trade(START_NS, 100)
    assert bodies((await world.told(START_NS + 5))["btcusdt@kline_1s"]) == [(0, False, 1, "1.00000000")]
    world.trade(START_NS + 2 * SECOND_NS, 500)
    told = (await world.told(START_NS + 4 * SECOND_NS))["btcusdt@kline_1s"]
    assert bodies(told) == [
        (0, True, 1, "1.00000000"), (1, True, 0, "1.00000000"), (2, True, 1, "5.00000000"),
        (3, True, 0, "5.00000000"), (4, False, 0, "5.00000000"),
    ]  # fmt: skip
    assert told[1]["k"]["f"] == told[1]["k"]["L"] == -1


async def test_arrays_tell_only_what_changed() -> None:
    world = World()
    world.listen("!miniTicker@arr", "!ticker_1h@arr")
    assert await world.told(START_NS) == {}
    world.trade(START_NS, 100)
    world.trade(START_NS, 100, symbol=1)
    told = await world.told(START_NS + SECOND_NS)
    assert [one["s"] for one in told["!miniTicker@arr"][0]] == ["BTCUSDT", "ETHUSDT"]
    assert [one["s"] for one in told["!ticker_1h@arr"][0]] == ["BTCUSDT", "ETHUSDT"]
    assert await world.told(START_NS + 2 * SECOND_NS) == {}
    world.trade(START_NS + 2 * SECOND_NS, 300, symbol=1)
    told = await world.told(START_NS + 3 * SECOND_NS)
    assert [(one["s"], one["c"]) for one in told["!miniTicker@arr"][0]] == [("ETHUSDT", "3.00000000")]
    # What leaves the window is a change too.
    told = await world.told(START_NS + 61 * MINUTE_NS)
    assert {one["s"]: one["n"] for one in told["!ticker_1h@arr"][0]} == {"BTCUSDT": 0, "ETHUSDT": 0}
    assert "!miniTicker@arr" not in told


async def test_a_ticker_is_told_every_second_and_forgets_what_is_older_than_a_day() -> None:
    world = World()
    world.listen("btcusdt@ticker", "btcusdt@ticker_1h")
    world.trade(START_NS, 100)
    world.trade(START_NS + 30 * MINUTE_NS, 150)
    now_ns = START_NS + 50 * MINUTE_NS
    told = (await world.told(now_ns))["btcusdt@ticker"][0]
    assert (told["o"], told["c"], told["p"], told["P"]) == ("1.00000000", "1.50000000", "0.50000000", "50.000")
    assert (told["w"], told["x"], told["Q"], told["n"]) == ("1.25000000", "0.00000000", "1.00000000", 2)
    assert (told["C"], told["C"] - told["O"]) == (now_ns // 1_000_000, 86_400_000)
    hour = (await world.told(START_NS + 80 * MINUTE_NS + 5 * SECOND_NS))["btcusdt@ticker_1h"][0]
    assert (hour["n"], hour["F"], hour["O"] % 60_000) == (1, 2, 0)
    day = (await world.told(START_NS + DAY_NS + 2 * MINUTE_NS))["btcusdt@ticker"][0]
    assert (day["n"], day["F"], day["x"], day["o"]) == (1, 2, "1.00000000", "1.50000000")
    quiet = (await world.told(START_NS + DAY_NS + 40 * MINUTE_NS))["btcusdt@ticker"][0]
    assert (quiet["n"], quiet["F"], quiet["L"], quiet["c"], quiet["o"], quiet["p"], quiet["Q"]) == (
        0, -1, -1, "1.50000000", "0.00000000", "0.00000000", "0.00000000",
    )  # fmt: skip


async def test_the_average_price_is_told_when_it_changes() -> None:
    world = World()
    world.listen("btcusdt@avgPrice")
    assert await world.told(START_NS) == {}
    world.trade(START_NS, 100)
    world.trade(START_NS + SECOND_NS, 400, qty=200_000)
    told = (await world.told(START_NS + 2 * SECOND_NS))["btcusdt@avgPrice"][0]
    assert (told["w"], told["i"], told["T"]) == ("3.00000000", "5m", START_NS // 1_000_000 + 1000)
    assert await world.told(START_NS + 3 * SECOND_NS) == {}
    (later,) = (await world.told(START_NS + 10 * MINUTE_NS))["btcusdt@avgPrice"]
    assert later["w"] == "4.00000000", "nothing traded: the last price"


async def test_long_klines_wait_for_the_read_models() -> None:
    """Their database is away in this test: what is not known is not told wrongly."""
    world = World()
    world.listen("btcusdt@kline_1M", "btcusdt@kline_1m")
    world.trade(START_NS, 100)
    told = await world.told(START_NS + SECOND_NS)
    assert list(told) == ["btcusdt@kline_1m"]
