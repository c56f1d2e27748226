"""How many deliveries a second does one gateway make to a thousand sockets, and how soon does news reach them?

Public: updates are published on the exchange's bus as the projector publishes trades (which are never skipped), and every
socket takes every one: first as many as go through (a window of updates is under way), then `--rate` a second.
Private: one user's order is hit by another's; from the book's stamp of the match, and from the commit, to the owner's socket.
"""

import argparse
import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import redis
from rich.table import Table

from actors.config import Settings
from bench import fanout_fills
from bench.exchange import Exchange, attached_or_started
from bench.fanout_load import Listeners
from bench.machine import Machine, describe
from bench.processes import cpu_seconds
from bench.report import BenchError, err, out, write_json
from deploy import state_file
from serve.sockets.transport import frame_of

SYMBOL: Final = "BTCUSDT"
WINDOW: Final = 32
"""Updates under way at full speed."""
WARM_S: Final = 0.5
STALL_S: Final = 30.0
LEAST_DELIVERIES: Final = 120_000.0
MOST_P99_MS: Final = 60.0
MOST_FILL_MS: Final = 2.0


class Public(msgspec.Struct, frozen=True):
    """Of one way in."""

    way: str
    sockets: int
    update_bytes: int
    deliveries_per_s: float
    """At full speed."""
    gateway_us: float
    """Processor time of the gateway for a delivery at full speed; 0: not known."""
    rate: float
    """Updates a second, of the latencies."""
    p50_ms: float
    p99_ms: float
    most_ms: float
    """From before the publishing to the socket."""


class Report(msgspec.Struct, frozen=True):
    machine: Machine
    public: list[Public]
    fills: list[fanout_fills.Fills]


class Bus:
    """Publishes as the projector does."""

    def __init__(self, redis_url: str, prefix: str) -> None:
        self._redis = redis.Redis.from_url(redis_url)
        self._channel = f"{prefix}:bus:trades:{SYMBOL}"
        self.published = 0

    def message(self) -> str:
        """All of one length."""
        self.published += 1
        return (
            f'{{"channel":"trades","symbol":"{SYMBOL}","trades":[{{"trade_id":{1_000_000_000 + self.published},'
            f'"price":"94974.06","quantity":"0.01000","taker_side":"BUY","ts_ns":{time.time_ns()}}}]}}'
        )

    def publish(self) -> None:
        self._redis.publish(self._channel, self.message())

    def close(self) -> None:
        self._redis.close()


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    machine = describe()
    with attached_or_started(None, options.data) as exchange:
        ways = {"data port": exchange.data_port, "ingress": exchange.port}
        public = [_public(exchange, name, port, options) for name, port in ways.items() if options.way in (None, name)]
        with err.status("fills"):
            fills = [
                asyncio.run(fanout_fills.measure(exchange, name, port, options.fills))
                for name, port in ways.items()
                if options.way in (None, name)
            ]
    _show(public, fills)
    if options.json is not None:
        write_json(options.json, Report(machine, public, fills))
    return 0


def _public(exchange: Exchange, way: str, port: int, options: argparse.Namespace) -> Public:
    bus = _bus_of(exchange)
    frame = frame_of(bus.message())
    path = f"/ws/prices?channels=trades&symbols={SYMBOL}"
    count = options.sockets
    try:
        with err.status(f"{count} sockets over the {way}"):
            listeners = Listeners(exchange.host, port, path, count, len(frame), frame.rindex(b":") + 1)
        with err.status(f"at full speed over the {way}"):
            per_s, gateway_us = _full_speed(exchange, bus, listeners, count, options.seconds)
        with err.status(f"{options.rate:g} updates a second over the {way}"):
            _paced(bus, listeners, count, options.rate, options.seconds)
        latencies, _ = listeners.end()
    except (ConnectionError, TimeoutError, EOFError) as error:
        raise BenchError(f"{way}: {error or type(error).__name__}. See the exchange's logs.") from None
    finally:
        bus.close()
    p50, p99, most = np.percentile(latencies, (50, 99, 100)) / 1e6
    return Public(
        way, count, len(frame), per_s, gateway_us, options.rate, float(p50), float(p99), float(most)
    )  # fmt: skip


def _full_speed(exchange: Exchange, bus: Bus, listeners: Listeners, count: int, seconds: float) -> tuple[float, float]:
    """Deliveries a second, and processor time of the gateway for each in microseconds."""
    bus.published = 0
    _push(bus, listeners, count, time.monotonic() + WARM_S)
    began, before, cpu = time.monotonic(), listeners.delivered, _gateway_s(exchange)
    _push(bus, listeners, count, began + seconds)
    took, made = time.monotonic() - began, listeners.delivered - before
    used = _gateway_s(exchange) - cpu
    _await(listeners, bus.published * count)
    return made / took, used / made * 1e6


def _push(bus: Bus, listeners: Listeners, count: int, until: float) -> None:
    """Publish as fast as the window allows."""
    progress, looked = listeners.delivered, time.monotonic()
    while (now := time.monotonic()) < until:
        if bus.published * count - listeners.delivered < WINDOW * count:
            bus.publish()
            continue
        if listeners.delivered != progress:
            progress, looked = listeners.delivered, now
        elif now - looked > STALL_S:
            raise TimeoutError("nothing is delivered any more")
        time.sleep(0.0005)


def _paced(bus: Bus, listeners: Listeners, count: int, rate: float, seconds: float) -> None:
    listeners.time(True)
    due = time.monotonic()
    end = due + seconds
    while due < end:
        if (wait := due - time.monotonic()) > 0:
            time.sleep(wait)
        bus.publish()
        due += 1 / rate
    _await(listeners, bus.published * count)
    listeners.time(False)


def _await(listeners: Listeners, wanted: int) -> None:
    deadline = time.monotonic() + STALL_S
    while listeners.delivered < wanted:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{wanted - listeners.delivered} deliveries are missing")
        time.sleep(0.005)


def _gateway_s(exchange: Exchange) -> float:
    return cpu_seconds(exchange.pid).get("gateway", 0.0) if exchange.pid else 0.0


def _bus_of(exchange: Exchange) -> Bus:
    state = None if exchange.data is None else state_file.read(exchange.data.expanduser().absolute())
    if state is None or exchange.data is None:
        raise BenchError("the updates go through the exchange's bus: name its data folder with --data.")
    folder = str(exchange.data.expanduser().absolute())
    return Bus(state.redis_url, Settings(data_dir=folder, run_dir="", pg_dsn="", redis_url="").prefix)


def _show(public: list[Public], fills: list[fanout_fills.Fills]) -> None:
    table = Table(title="public updates, every one to every socket", title_justify="left")
    for name in ("way in", "sockets", "deliveries/s", "gateway us each", "updates/s", "p50 ms", "p99 ms", "most ms"):
        table.add_column(name, justify="left" if name == "way in" else "right")
    for one in public:
        table.add_row(
            one.way, f"{one.sockets:,}", f"{one.deliveries_per_s:,.0f}", f"{one.gateway_us:.2f}", f"{one.rate:g}",
            f"{one.p50_ms:.2f}", f"{one.p99_ms:.2f}", f"{one.most_ms:.2f}",
        )  # fmt: skip
    out.print(table)
    fanout_fills.show(fills)
    for text, wanted, found, met in _targets(public, fills):
        out.print(f"{'[green]met[/]' if met else '[red]missed[/]'}  {text}: {found:,.2f} (target {wanted:,g})")


def _targets(public: list[Public], fills: list[fanout_fills.Fills]) -> Iterator[tuple[str, float, float, bool]]:
    fastest = max(one.deliveries_per_s for one in public)
    yield "deliveries/s on one gateway", LEAST_DELIVERIES, fastest, fastest >= LEAST_DELIVERIES
    soonest = min(one.p99_ms for one in public)
    yield "p99 in ms at the paced rate", MOST_P99_MS, soonest, soonest <= MOST_P99_MS
    fill = min(one.after_commit_p50_ms for one in fills)
    yield "a fill report after the commit: p50 in ms", MOST_FILL_MS, fill, fill <= MOST_FILL_MS


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench fanout", description=__doc__)
    parser.add_argument("--sockets", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement (default 5)")
    parser.add_argument("--rate", type=float, default=100.0, help="updates a second, of the latencies (default 100)")
    parser.add_argument("--fills", type=int, default=300, help="fills of the private part (default 300)")
    parser.add_argument("--way", choices=("data port", "ingress"), help="only this way in")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured to this file")
    parser.add_argument("--data", metavar="DIR", help="data folder of a running exchange in which nobody trades")
    return parser.parse_args(arguments)
