"""`raypit import`: files of other programs into one recording, in order of time.

Several inputs are merged as they are read; nothing is held but a line of each. The recording takes its name only when it
is whole.
"""

import contextlib
import enum
import heapq
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from deploy.errors import DeployError
from market.event_codec import encode_event
from market.imports import binance_archive, hftbacktest, lobster
from market.imports.text import BadInput, lines
from market.intervals import INTERVALS
from market.recording import Entry, Header, Kind, Writer
from market.venues import ADAPTERS
from market.venues.events import Event, Steps

FINEST: Final = Decimal("0.00000001")
"""Tick and lot of archives, which do not tell them: whatever Binance writes is on it."""
LOOKED_AT: Final = 2000
"""Lines of a feed file in which its symbol must have been named."""
TOLD_EVERY: Final = 2000
"""Entries between two reports of progress."""

_STREAM: Final = re.compile(rb'"stream":"([a-z0-9_]+)@')
_FUTURES: Final = b'"pu":'
"""Only books of Binance's futures number the change before."""

Progress = Callable[[int], None]
"""Bytes of the inputs that were read so far, of the sum of their sizes."""


class Format(enum.StrEnum):
    BINANCE_TRADES = "binance-trades"
    BINANCE_AGGTRADES = "binance-aggtrades"
    BINANCE_KLINES = "binance-klines"
    HFTBACKTEST = "hftbacktest"
    LOBSTER = "lobster"


class ImportFailed(DeployError):
    """Says what is wrong and what to do."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    format: Format
    inputs: tuple[Path, ...]
    out: Path
    symbol: str = ""
    """For files whose name or content does not tell it."""
    venue: str = ""
    tick: Decimal | None = None
    lot: Decimal | None = None


class Imported(msgspec.Struct, frozen=True):
    symbols: list[str]
    entries: int
    bytes_in: int
    bytes_out: int


class _Source(msgspec.Struct, frozen=True):
    venue: str
    symbol: str
    steps: Steps
    entries: Iterator[Entry]


def size_of(order: Order) -> int:
    """Of all inputs, in bytes. Raises `ImportFailed` where one is not there."""
    total = 0
    for path in order.inputs:
        if not path.is_file():
            raise ImportFailed(f"there is no file {path}.")
        total += path.stat().st_size
    return total


def run(order: Order, progress: Progress) -> Imported:
    """Raises `ImportFailed`; then nothing is left of it."""
    total = size_of(order)
    if order.out.exists():
        raise ImportFailed(f"{order.out} exists already. Choose another --out, or remove it.")
    part = order.out.with_name(order.out.name + ".part")
    try:
        with contextlib.ExitStack() as files:
            opened = [files.enter_context(path.open("rb")) for path in order.inputs]
            sources = _SOURCES[order.format](order, opened)
            with part.open("wb") as file:
                done = _write(order, sources, file, lambda: progress(sum(one.tell() for one in opened)))
        part.rename(order.out)
    except BadInput as error:
        raise ImportFailed(f"{error}.{_advice(error)}") from None
    except OSError as error:
        raise ImportFailed(f"{error.filename or order.out}: {error.strerror or error}.") from None
    finally:
        part.unlink(missing_ok=True)
    progress(total)
    return done


def _write(order: Order, sources: Sequence[_Source], file: BinaryIO, told: Callable[[], None]) -> Imported:
    symbols = {one.symbol: one.steps for one in sources}
    names = ", ".join(path.name for path in order.inputs)
    writer = Writer.create(
        file, Header(venue=_one_venue(sources), symbols=symbols, created_ns=time.time_ns(), source=names)
    )
    count = bytes_in = 0
    for count, entry in enumerate(heapq.merge(*(one.entries for one in sources), key=_arrival), 1):
        writer.entry(entry)
        bytes_in += len(entry.body)
        if count % TOLD_EVERY == 0:
            told()
    if not count:
        raise BadInput(names, 0, "", "there is nothing in it")
    writer.close()
    file.flush()
    os.fsync(file.fileno())
    return Imported(sorted(symbols), count, bytes_in, writer.bytes_out)


def _arrival(entry: Entry) -> int:
    return entry.arrival_ns


def _one_venue(sources: Sequence[_Source]) -> str:
    venues = sorted({one.venue for one in sources})
    if len(venues) > 1:
        raise ImportFailed(f"the inputs are of {' and '.join(venues)}: a recording holds one venue. Import them apart.")
    return venues[0]


def _advice(error: BadInput) -> str:
    text = str(error)
    if "is no multiple of" in text:
        return " A finer --tick (price) or --lot (quantity) takes it."
    if "is too large" in text:
        return " A coarser --tick (price) or --lot (quantity) takes it."
    if error.field == "name":
        return " Keep the names the files were published with."
    return ""


def _steps(order: Order, tick: Decimal = FINEST, lot: Decimal = FINEST) -> Steps:
    return Steps(order.tick or tick, order.lot or lot)


def _as_entries(events: Iterator[Event]) -> Iterator[Entry]:
    """They arrived when they happened: nobody knows better."""
    for event in events:
        yield Entry(event.venue_ns, Kind.EVENT, "", encode_event(event))


# Binance's archives


def _archives(order: Order, files: Sequence[BinaryIO]) -> list[_Source]:
    steps = _steps(order)
    found = []
    for path, file in zip(order.inputs, files, strict=True):
        archive = binance_archive.named(path.name)
        if not _is_of(order.format, archive.content):
            raise ImportFailed(
                f"{path.name} has {archive.content}, not what {order.format} reads: see `raypit import --help`."
            )
        symbol = order.symbol or archive.symbol
        events = binance_archive.events(path.name, file, steps, archive._replace(symbol=symbol))
        found.append(_Source(order.venue or "binance", symbol, steps, _as_entries(events)))
    return found


def _is_of(wanted: Format, content: str) -> bool:
    plain = {Format.BINANCE_TRADES: "trades", Format.BINANCE_AGGTRADES: "aggTrades"}.get(wanted)
    return content in INTERVALS if plain is None else content == plain


# hftbacktest's feeds


def _feeds(order: Order, files: Sequence[BinaryIO]) -> list[_Source]:
    if order.venue and order.venue not in ADAPTERS:
        raise ImportFailed(f"there is no venue {order.venue!r}. Known are: {', '.join(sorted(ADAPTERS))}.")
    found = []
    for path, file in zip(order.inputs, files, strict=True):
        symbol, venue = _look(path.name, file)
        symbol = order.symbol or symbol
        if not symbol:
            raise ImportFailed(f"{path.name} names no stream in its first {LOOKED_AT} lines. Give --symbol.")
        steps = _steps(order)
        found.append(_Source(order.venue or venue, symbol, steps, hftbacktest.entries(path.name, file, symbol)))
    return found


def _look(name: str, file: BinaryIO) -> tuple[str, str]:
    """The symbol of a feed's first stream, or nothing, and its venue. The file is at its start again."""
    symbol, venue = "", "binance"
    for number, line in lines(name, file):
        if not symbol and (stream := _STREAM.search(line, 0, 100)):
            symbol = stream[1].decode().upper()
        if _FUTURES in line[:300]:
            venue = "binance_usdm"
            break
        if number >= LOOKED_AT:
            break
    file.seek(0)
    return symbol, venue


# LOBSTER's days


def _days(order: Order, files: Sequence[BinaryIO]) -> list[_Source]:
    by_name = dict(zip((path.name for path in order.inputs), files, strict=True))
    messages = sorted(name for name in by_name if "_message_" in name)
    pairs = [(name, name.replace("_message_", "_orderbook_")) for name in messages]
    alone = set(by_name).symmetric_difference(name for pair in pairs for name in pair)
    if alone or not pairs:
        raise ImportFailed(
            f"a day of LOBSTER is two files, ..._message_N.csv and ..._orderbook_N.csv; without its other: "
            f"{', '.join(sorted(alone)) or 'all'}. Give both."
        )
    steps = _steps(order, lobster.TICK, Decimal(1))
    found = []
    for message, book in pairs:
        day = lobster.named(message)
        day = day._replace(symbol=order.symbol or day.symbol)
        events = lobster.events(message, by_name[message], book, by_name[book], steps, day)
        found.append(_Source(order.venue or "nasdaq", day.symbol, steps, _as_entries(events)))
    return found


_SOURCES: Final[dict[Format, Callable[[Order, Sequence[BinaryIO]], list[_Source]]]] = {
    Format.BINANCE_TRADES: _archives,
    Format.BINANCE_AGGTRADES: _archives,
    Format.BINANCE_KLINES: _archives,
    Format.HFTBACKTEST: _feeds,
    Format.LOBSTER: _days,
}
