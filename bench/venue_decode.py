"""What does a frame of a venue cost until it is an event, and until it is in the book?

Recorded frames (`--data`, hftbacktest's and cryptofeed's), one thread, processor time. Beside it in the same run: orjson
into dictionaries, and msgspec into the same typed structs with nothing made of them (bare). Every round starts with
cold caches; of each thousand frames the quickest round counts, for other work on the machine only ever adds.
"""

import ast
import gzip
import re
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
from rich.table import Table

from bench.report import BenchError, out
from market.venues import ADAPTERS, binance, gate, okx, upbit
from market.venues.adapter import BookRule
from market.venues.books import VenueBook
from market.venues.events import BookDelta, BookSnapshot, Steps

CHUNK: Final = 1000
"""Frames timed together."""
FINEST: Final = Decimal("1E-8")

Decode = Callable[[bytes], Any]


class Case(NamedTuple):
    name: str
    adapter: str
    steps: dict[str, Steps]
    frames: list[bytes]
    bare: Sequence[tuple[bytes, Decode]]
    """By what the frame contains."""
    snapshots: dict[str, bytes]
    rule: BookRule


class Cost(NamedTuple):
    """Microseconds a frame."""

    frames: int
    orjson: float
    bare: float
    decode: float
    book: float


BINANCE: Final[Sequence[tuple[bytes, Decode]]] = (
    (b"@bookTicker", binance._ticker),
    (b"@depth", binance._depth),
    (b"@trade", binance._trade),
    (b"@aggTrade", binance._agg_trade),
)
OKX: Final[Sequence[tuple[bytes, Decode]]] = (
    (b'"books"', okx._books),
    (b'"trades"', okx._trades),
    (b'"tickers"', okx._tickers),
)
GATE: Final[Sequence[tuple[bytes, Decode]]] = ((b"order_book_update", gate._book), (b"spot.trades", gate._trade))
UPBIT: Final[Sequence[tuple[bytes, Decode]]] = ((b'"ty":"orderbook"', upbit._short), (b'"ty":"trade"', upbit._short))


def main(arguments: list[str]) -> int:
    parser = ArgumentParser(prog="python -m bench venue_decode", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the recordings")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    if not options.data.is_dir():
        raise BenchError(f"{options.data} is no folder; --data names that of the recordings")
    table = Table(title="microseconds of processor time a frame", title_justify="left")
    for column in ("venue and kind", "frames", "orjson", "bare", "decode", "decode + book", "decode / bare"):
        table.add_column(column, justify="left" if column == "venue and kind" else "right")
    for case in cases(options.data):
        for name, cost in costs(case, options.rounds):
            figures = [f"{one:.2f}" for one in (cost.orjson, cost.bare, cost.decode, cost.book)]
            table.add_row(name, f"{cost.frames:,}", *figures, f"{cost.decode / cost.bare:.2f}")
    out.print(table)
    return 0


def costs(case: Case, rounds: int) -> Iterator[tuple[str, Cost]]:
    yield case.name, _cost(case, case.frames, rounds)
    for mark, _ in case.bare:
        frames = [frame for frame in case.frames if mark in frame]
        if len(frames) >= 20:
            yield f"  {mark.decode().strip('@').replace(chr(34), '')}", _cost(case, frames, rounds)


def _cost(case: Case, frames: list[bytes], rounds: int) -> Cost:
    told = [(next((decode for mark, decode in case.bare if mark in frame), orjson.loads), frame) for frame in frames]
    best: dict[str, dict[int, int]] = {}
    for _ in range(rounds):
        adapter = ADAPTERS[case.adapter](case.steps)
        again = ADAPTERS[case.adapter](case.steps)
        books = {symbol: VenueBook(symbol, case.rule) for symbol in case.steps}
        waiting = dict(case.snapshots)

        def bare(one: tuple[Decode, bytes]) -> None:
            one[0](one[1])

        def decode_and_apply(frame: bytes, again: Any = again, books: Any = books, waiting: Any = waiting) -> None:
            for event in again.decode(frame):
                if isinstance(event, BookDelta | BookSnapshot):
                    book = books[event.symbol]
                    book.apply(event)
                    if not book.live and event.symbol in waiting:
                        book.apply(again.decode_snapshot(event.symbol, waiting.pop(event.symbol)))

        for start in range(0, len(frames), CHUNK):
            some, pairs = frames[start : start + CHUNK], told[start : start + CHUNK]
            for what, run, items in (
                ("orjson", orjson.loads, some),
                ("bare", bare, pairs),
                ("decode", adapter.decode, some),
                ("book", decode_and_apply, some),
            ):
                spent = _spent(run, items)
                kept = best.setdefault(what, {})
                kept[start] = min(spent, kept.get(start, spent))
    return Cost(
        len(frames), *(sum(best[what].values()) / len(frames) / 1000 for what in ("orjson", "bare", "decode", "book"))
    )


def _spent(run: Callable[[Any], Any], items: Sequence[Any]) -> int:
    start = time.thread_time_ns()
    for item in items:
        run(item)
    return time.thread_time_ns() - start


def cases(data: Path) -> Iterator[Case]:
    for name, adapter, file, steps in (
        ("Binance spot", "binance", "spot_btcusdt_20240808.gz", Steps(Decimal("0.01"), Decimal("0.00001"))),
        ("Binance USD-M", "binance_usdm", "usdm_btcusdt_20240808.gz", Steps(Decimal("0.1"), Decimal("0.001"))),
    ):
        lines = _lines(data / "hftbacktest" / file)
        frames = [line.split(b" ", 1)[1].rstrip() for line in lines]
        snapshot = next(frame for frame in frames if frame.startswith(b'{"lastUpdateId"'))
        frames.remove(snapshot)
        rule = ADAPTERS[adapter]({}).book_rule
        yield Case(name, adapter, {"BTCUSDT": steps}, frames, BINANCE, {"BTCUSDT": snapshot}, rule)
    okx_case = _captured(data, "OKX", "okx", "OKX.ws.1.0.gz", OKX, {
        "BTC-USDT": Steps(Decimal("0.1"), FINEST, "BTC-USDT"),
        "BTC-USD-220527": Steps(Decimal("0.1"), Decimal(1), "BTC-USD-220527"),
        "UNI-USD-SWAP": Steps(Decimal("0.001"), Decimal(1), "UNI-USD-SWAP"),
    })  # fmt: skip
    yield okx_case
    yield okx_case._replace(
        name="OKX, checksum 0 as of 2026",
        frames=[re.sub(rb'"checksum":-?\d+', b'"checksum":0', frame) for frame in okx_case.frames],
    )
    codes = (
        "INK_USDT",
        "HAI_ETH",
        "BTC_USDC",
        "NANO_USDT",
        "QTUM3S_USDT",
        "DIS_USDT",
        "NEO_BTC",
        "FAST_USDT",
        "ZKS_ETH",
        "OMG_USDT",
    )
    snapshots = {code: _answer(data, "GATEIO.http.0.0.gz", f"={code}&") for code in codes}
    yield _captured(
        data, "Gate spot", "gate", "GATEIO.ws.1.0.gz", GATE,
        {code: Steps(FINEST, FINEST, code) for code in codes}, snapshots, BookRule.REST_NEXT,
    )  # fmt: skip
    codes = (
        "BTC-ARK",
        "BTC-FCT2",
        "BTC-STPT",
        "BTC-ITAM",
        "BTC-MARO",
        "KRW-WAVES",
        "BTC-AQT",
        "BTC-XTZ",
        "KRW-LAMB",
        "BTC-PAX",
    )
    yield _captured(
        data, "Upbit", "upbit", "UPBIT.ws.62.0.gz", UPBIT, {code: Steps(FINEST, FINEST, code) for code in codes}
    )


def _captured(
    data: Path,
    name: str,
    adapter: str,
    file: str,
    bare: Sequence[tuple[bytes, Decode]],
    steps: dict[str, Steps],
    snapshots: dict[str, bytes] | None = None,
    rule: BookRule | None = None,
) -> Case:
    frames = []
    for line in _lines(data / "cryptofeed_v2" / file):
        when, _, frame = line.rstrip().partition(b": ")
        if when.replace(b".", b"").isdigit() and any(mark in frame for mark, _ in bare) and b"subscribe" not in frame:
            frames.append(ast.literal_eval(frame.decode()) if frame.startswith(b"b'") else frame)
    return Case(name, adapter, steps, frames, bare, snapshots or {}, rule or ADAPTERS[adapter]({}).book_rule)


def _answer(data: Path, file: str, mark: str) -> bytes:
    lines = _lines(data / "cryptofeed_v2" / file)
    return next(line.partition(b" -> ")[2].partition(b": ")[2] for line in lines if mark.encode() in line[:200])


def _lines(path: Path) -> list[bytes]:
    try:
        with gzip.open(path) as lines:
            return list(lines)
    except OSError as error:
        raise BenchError(f"{path}: {error}") from None
