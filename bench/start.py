"""How long does `raypit up` take on a data folder that was used before, until it is ready and until the first trade?

A simulated market of 8 symbols, `--rounds` starts of one folder after a first one that makes it; the phases are the supervisor's own (its
log tells them at every start): `process` is the interpreter and the imports until it begins, `ready` the last wait for the gateway.
Compiled kernels and bytecode are there, the page cache is warm. A minute for three rounds.
"""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from rich.table import Table

from bench import machine
from bench.exchange import Exchange
from bench.processes import cpu_seconds, ended_cpu_seconds
from bench.report import BenchError, err, out, write_json
from deploy import state_file

LIMIT_S: Final = 240.0
STOP_LIMIT_S: Final = 60.0
LOOK_EVERY_S: Final = 0.02
MUST_READY_S: Final = 20.0
MUST_TRADE_S: Final = 22.0


class Start(msgspec.Struct, frozen=True):
    """Seconds from the start of the process."""

    ready_s: float
    trade_s: float
    cpu_s: float
    """Processor time of all its processes until it is ready: what the start costs, whatever else runs. The figure to compare."""
    cpu_by_part: dict[str, float]
    """Of those that live then."""
    phases: dict[str, float]


class Report(msgspec.Struct, frozen=True):
    machine: machine.Machine
    workload: str
    first: Start
    warm: list[Start]


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    on = machine.describe()
    out.print(machine.line(on), highlight=False)
    folder = Path(tempfile.mkdtemp(prefix="raypit-bench-"))
    try:
        starts = []
        for k in range(options.rounds + 1):
            with err.status(f"start {k + 1} of {options.rounds + 1}"):
                starts.append(_start(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    out.print(_table(starts))
    out.print("cpu of the last one: " + ", ".join(f"{part} {seconds:.1f}" for part, seconds in _largest(starts[-1])))
    best = min(starts[1:], key=lambda one: one.ready_s)
    for what, found, must in (("ready", best.ready_s, MUST_READY_S), ("first trade", best.trade_s, MUST_TRADE_S)):
        verdict = "[green]met[/]" if found <= must else "[red]missed[/]"
        out.print(f"{verdict}  warm to {what}: {found:.1f} s (must {must:.0f} s)", highlight=False)
    if options.json is not None:
        write_json(options.json, Report(on, __doc__ or "", starts[0], starts[1:]))
    return 0


def _start(folder: Path) -> Start:
    with _up(folder) as (process, began):
        state = None
        while state is None:
            if process.poll() is not None or time.monotonic() - began > LIMIT_S:
                said = (folder / "up.log").read_text(errors="replace")[-1500:]
                raise BenchError(f"`raypit up` did not come up:\n{said}")
            time.sleep(LOOK_EVERY_S)
            state = state_file.read(folder / "data")
        ready_s = time.monotonic() - began
        by_part = cpu_seconds(process.pid)
        used = sum(by_part.values()) + ended_cpu_seconds(process.pid)
        exchange = Exchange(state.url, folder / "data", process.pid)
        _await_trade(exchange, time.time() - ready_s, began)
        phases = _phases(folder / "data" / "logs" / "supervisor.log")
        return Start(ready_s, time.monotonic() - began, used, by_part, phases)


def _await_trade(exchange: Exchange, since: float, began: float) -> None:
    symbols = [one["symbol"] for one in exchange.ask("GET", "/api/market/symbols")["symbols"]]
    while time.monotonic() - began < LIMIT_S:
        for symbol in symbols:
            trades = exchange.ask("GET", f"/api/v3/trades?symbol={symbol}&limit=1")
            if trades and trades[-1]["time"] >= since * 1000:
                return
        time.sleep(LOOK_EVERY_S)
    raise BenchError(f"no trade within {LIMIT_S:.0f} s; see the logs of the feed")


def _phases(log: Path) -> dict[str, float]:
    lines = [msgspec.json.decode(line) for line in log.read_bytes().splitlines() if b'"exchange ready"' in line]
    if not lines:
        raise BenchError(f"{log} tells of no start; a bug, please tell")
    seconds: dict[str, float] = lines[-1]["seconds"]
    return seconds


@contextlib.contextmanager
def _up(folder: Path) -> Iterator[tuple["subprocess.Popen[bytes]", float]]:
    command = [sys.executable, "-m", "deploy.cli", "up", "--data", str(folder / "data"), "--port", "0"]
    command += ["--binance-limits", "0"]  # who looks for the first trade twenty times a second would have to wait
    began = time.monotonic()
    with (folder / "up.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        yield process, began
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)  # what it started dies with it
            process.wait()


def _largest(start: Start) -> list[tuple[str, float]]:
    return sorted(start.cpu_by_part.items(), key=lambda one: -one[1])


def _table(starts: list[Start]) -> Table:
    table = Table(title="`raypit up`, seconds", title_justify="left")
    table.add_column("start")
    names = list(starts[0].phases)
    for name in (*names, "ready", "first trade", "cpu"):
        table.add_column(name, justify="right")
    for k, one in enumerate(starts):
        cells = [*(one.phases.get(name, 0.0) for name in names), one.ready_s, one.trade_s, one.cpu_s]
        table.add_row("first" if not k else f"warm {k}", *(f"{value:.2f}" for value in cells))
    return table


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench start", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="warm starts (default 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured to this file")
    return parser.parse_args(arguments)
