"""The second half of `bench feed`: a synthetic venue's market through a whole exchange to a subscriber's socket."""

import asyncio
import subprocess
import sys
import time
from typing import Final

import aiohttp
import msgspec
import numpy as np
import orjson
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from bench.exchange import Exchange, started
from bench.processes import cpu_seconds
from bench.report import BenchError, err
from bench.synthetic_venue import QUOTE

LIVE_WITHIN_S: Final = 300.0
"""All books have come from their snapshots, of which a venue gives so many a minute."""
DRAIN_S: Final = 10.0
"""Without a trade for so long: what is missing then is lost."""


class Live(msgspec.Struct, frozen=True):
    symbols: int
    rate: float
    """Messages a second asked for."""
    seconds: float
    sent: dict[str, int]
    trades_received: int
    repeated_or_skipped: int
    """Trade ids of a symbol that did not follow."""
    p50_ms: float
    p99_ms: float
    max_ms: float
    """From arrival at the feed's socket to the subscriber's."""
    venue_late_ms: float
    """How far the synthetic venue fell behind its own schedule at worst."""
    cpu_us: dict[str, float]
    """Processor time of each part of the exchange, microseconds a message."""


def table(live: Live) -> Table:
    """For people."""
    made = Table(title="a venue's market, from its socket to a subscriber's", title_justify="left")
    made.add_column("")
    made.add_column("", justify="right")
    messages = sum(live.sent.values())
    sent, lost = live.sent["trade"], live.sent["trade"] - live.trades_received
    for name, text in (
        ("symbols", f"{live.symbols}"),
        ("messages", f"{messages:,} in {live.seconds:g} s ({messages / live.seconds:,.0f}/s)"),
        (
            "trades sent, received, lost, out of order",
            f"{sent:,}, {live.trades_received:,}, {lost}, {live.repeated_or_skipped}",
        ),
        (
            "arrival to subscriber's socket, p50, p99, most",
            f"{live.p50_ms:.1f}, {live.p99_ms:.1f}, {live.max_ms:.1f} ms",
        ),
        ("the venue late by at most", f"{live.venue_late_ms:.1f} ms"),
        *(
            (f"processor time: {part}", f"{us:.1f} us a message")
            for part, us in sorted(live.cpu_us.items(), key=lambda x: -x[1])
        ),
    ):
        made.add_row(name, text)
    return made


def measure(symbols: int, rate: float, seconds: float) -> Live:
    venue = subprocess.Popen(
        [sys.executable, "-m", "bench.synthetic_venue", "--symbols", str(symbols)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert venue.stdout is not None
    assert venue.stdin is not None
    try:
        host = f"127.0.0.1:{int(venue.stdout.readline())}"
        with started(f"binance:quote={QUOTE}:ws=ws://{host}/stream:rest=http://{host}") as exchange:
            return asyncio.run(_run(exchange, f"http://{host}", symbols, rate, seconds))
    finally:
        venue.stdin.close()
        venue.wait(10)


async def _run(exchange: Exchange, venue: str, symbols: int, rate: float, seconds: float) -> Live:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
        names = [one["symbol"] for one in exchange.ask("GET", "/api/market/symbols")["symbols"]]
        if len(names) != symbols:
            raise BenchError(f"the exchange lists {len(names)} symbols, the venue has {symbols}. See its logs.")
        await _books_are_there(exchange, names)
        watch = _Watch()
        listening = asyncio.create_task(watch.listen(session, exchange, names))
        await watch.ready.wait()
        before = cpu_seconds(exchange.pid)
        going = asyncio.create_task(_go(session, venue, rate, seconds))
        await _show(going, seconds)
        sent = await going
        await watch.drained(sent["trade"])
        after = cpu_seconds(exchange.pid)
        listening.cancel()
        late = np.array(watch.late_ms) if watch.late_ms else np.zeros(1)
        total = sent["trade"] + sent["bookTicker"] + sent["depth"]
        return Live(
            symbols=symbols,
            rate=rate,
            seconds=seconds,
            sent={name: int(sent[name]) for name in ("trade", "bookTicker", "depth")},
            trades_received=watch.trades,
            repeated_or_skipped=watch.out_of_order,
            p50_ms=float(np.percentile(late, 50)),
            p99_ms=float(np.percentile(late, 99)),
            max_ms=float(late.max()),
            venue_late_ms=1000 * float(sent["late_s"]),
            cpu_us={name: 1e6 * (after[name] - before.get(name, 0.0)) / total for name in after},
        )


async def _books_are_there(exchange: Exchange, names: list[str]) -> None:
    deadline = time.monotonic() + LIVE_WITHIN_S
    missing = list(names)
    while missing:
        missing = [name for name in missing if not exchange.ask("GET", f"/api/v3/depth?symbol={name}&limit=5")["bids"]]
        if missing and time.monotonic() > deadline:
            raise BenchError(f"no book of {', '.join(missing[:5])} and {len(missing)} in all. See the exchange's logs.")
        await asyncio.sleep(0.5 if missing else 0)


async def _go(session: aiohttp.ClientSession, venue: str, rate: float, seconds: float) -> dict[str, float]:
    async with session.post(f"{venue}/go?rate={rate}&seconds={seconds}") as answer:
        answer.raise_for_status()
        found: dict[str, float] = await answer.json()
        return found


async def _show(going: "asyncio.Task[dict[str, float]]", seconds: float) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        task, began = progress.add_task("live feed", total=seconds), time.monotonic()
        while not going.done():
            progress.update(task, completed=time.monotonic() - began)
            await asyncio.wait([going], timeout=0.5)


class _Watch:
    """A subscriber to the trades of all symbols."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        self.trades = 0
        self.out_of_order = 0
        self.late_ms: list[float] = []
        self._last: dict[str, int] = {}

    async def listen(self, session: aiohttp.ClientSession, exchange: Exchange, names: list[str]) -> None:
        url = exchange.url.replace("http", "ws", 1) + "/stream"
        async with session.ws_connect(url, max_msg_size=0) as socket:
            asked = {"method": "SUBSCRIBE", "params": [f"{name.lower()}@trade" for name in names], "id": 1}
            await socket.send_str(orjson.dumps(asked).decode())
            async for message in socket:
                now_ms = time.time_ns() / 1e6
                said = orjson.loads(message.data)
                if "stream" not in said:
                    if said.get("error"):
                        raise BenchError(f"the subscription was refused: {said}")
                    self.ready.set()
                    continue
                self._hear(said["data"], now_ms)

    def _hear(self, trade: dict[str, object], now_ms: float) -> None:
        self.trades += 1
        symbol, number, at_ms = str(trade["s"]), int(str(trade["t"])), float(str(trade["T"]))
        last = self._last.get(symbol)
        if last is not None and number != last + 1:
            self.out_of_order += 1
        self._last[symbol] = number
        self.late_ms.append(now_ms - at_ms)

    async def drained(self, expected: float) -> None:
        """All have come, or nothing more comes."""
        before, since = -1, time.monotonic()
        while self.trades < expected and time.monotonic() - since < DRAIN_S:
            if self.trades != before:
                before, since = self.trades, time.monotonic()
            await asyncio.sleep(0.1)
