"""`raypit record`, `import` and `recording`: options in, tables out; the work is done in modules of their own."""

import asyncio
import contextlib
import re
import signal
import sys
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from deploy.cli_common import err, fail, out

if TYPE_CHECKING:
    from deploy.recording_report import Report
    from deploy.venue_recorder import Reading
    from market.quality import Counters

SILENCE_NS: Final = 60_000_000_000
"""A symbol that says nothing for so long is not timely."""
SCORES: Final = "quality: completeness, accuracy, consistency, timeliness, of 100; yellow: book not whole"
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d|)")
_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}

Step = Annotated[
    str | None, typer.Option(help="Price step, where the source tells none; else 0.00000001 (lobster: 0.01).")
]
Lot = Annotated[
    str | None, typer.Option(help="Quantity step, where the source tells none; else 0.00000001 (lobster: 1).")
]
Out = Annotated[Path, typer.Option("--out", help="The recording to make; must not exist.")]


def record(
    venue: Annotated[str, typer.Argument(help="binance, okx, upbit, coinone, bithumb, bybit, gate ...")],
    into: Out,
    symbols: Annotated[str | None, typer.Option(help="BTCUSDT,ETHUSDT, or the venue's own codes.")] = None,
    quote: Annotated[str | None, typer.Option(help="All that trade against this asset.")] = None,
    channels: Annotated[str | None, typer.Option(help="Of trade, quote, book, candle; the first three.")] = None,
    for_: Annotated[str | None, typer.Option("--for", help="How long: 90s, 10m, 2h, 1d; until Ctrl-C.")] = None,
    url_ws: Annotated[str, typer.Option(help="Another address of the venue's WebSocket.")] = "",
    url_rest: Annotated[str, typer.Option(help="Another address of its REST side.")] = "",
    tick: Step = None,
    lot: Lot = None,
) -> None:
    """Record what a venue sends, byte for byte, until Ctrl-C. Exit status 1 when nothing came or writing failed."""
    if (symbols is None) == (quote is None):
        raise fail("say what to record: either --symbols BTCUSDT,ETHUSDT or --quote USDC.", 2)
    from deploy import venue_recorder as recorder

    wanted = recorder.Wanted(
        venue=venue.lower(),
        out=into,
        symbols=tuple(dict.fromkeys(_split((symbols or "").upper()))),
        quote=(quote or "").upper(),
        channels=_channels(channels),
        for_s=None if for_ is None else _seconds(for_),
        url_ws=url_ws,
        url_rest=url_rest,
        tick=_step("--tick", tick) or recorder.FINEST,
        lot=_step("--lot", lot) or recorder.FINEST,
    )
    try:
        with _shown() as show:
            last = asyncio.run(_until_told(wanted, show))
    except recorder.RecordError as error:
        raise fail(str(error)) from None
    out.print(recording_table(last))
    if not last.frames:
        raise fail("nothing was heard, and no file is left. Try again, longer, or with other --symbols.")
    ratio = last.bytes_in / last.bytes_out
    out.print(f"{into}: {last.bytes_out:,} bytes, 1/{ratio:.1f} of what came", highlight=False, soft_wrap=True)


async def _until_told(wanted: Any, show: Any) -> "Reading":
    from deploy.venue_recorder import record as work

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return await work(wanted, stop, show)


@contextlib.contextmanager
def _shown() -> Iterator[Any]:
    """A table that lives, on a terminal; the connection's own words above it, and alone where there is no terminal."""
    import structlog

    before = structlog.get_config()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(colors=False),
        ],
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    try:
        if not err.is_terminal:
            yield lambda reading: None
            return
        with Live(Text("asking the venue for its symbols"), console=err, auto_refresh=False, transient=True) as live:
            yield lambda reading: live.update(recording_table(reading, max(5, err.height - 8)), refresh=True)
    finally:
        structlog.configure(**before)


def recording_table(reading: "Reading", most: int = 1 << 30) -> Group:
    from actors.feed_tally import VENUE
    from deploy.venue_recorder import symbols_in
    from market.quality import together

    found = symbols_in(reading)
    table = Table(title=reading.venue + ("" if reading.connected else ": not connected"))
    table.add_column("symbol", no_wrap=True)
    for column in ("frames", "events", "trades", "gaps", "quality", "delay"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, one in found[:most]:
        table.add_row(Text(name, style="yellow" if name in reading.stale else ""), *_cells(one))
    if len(found) > 1:
        hidden = f" ({len(found) - most} not shown)" if len(found) > most else ""
        table.add_row(f"all {len(found)}{hidden}", *_cells(together([one for _, one in found])), style="bold")
    venue = reading.counters[VENUE]
    words = (
        f"{reading.seconds:.0f} s · {reading.entries:,} entries · {reading.bytes_out / 1e6:,.1f} MB written · "
        f"{venue.reconnects} reconnects · {venue.rolls} replaced connections · {venue.errors} complaints"
    )
    return Group(table, Text(words), Text(SCORES, style="dim"))


def _cells(one: "Counters") -> list[str]:
    import time

    from market.quality import quality

    scores = " ".join(f"{score:.0f}" for score in quality(one, time.time_ns(), SILENCE_NS))
    delay = f"{one.last_delay_ns / 1e6:,.0f} ms" if one.timed else "-"
    return [f"{one.frames:,}", f"{one.events:,}", f"{one.trades:,}", f"{one.gaps:,}", scores, delay]


def import_(
    format: Annotated[
        str, typer.Argument(help="binance-trades, binance-aggtrades, binance-klines, hftbacktest or lobster.")
    ],
    inputs: Annotated[list[Path], typer.Argument(help="Files; plain, gzipped or zipped. Merged in order of time.")],
    into: Out,
    symbol: Annotated[str, typer.Option(help="Instead of the one that the files tell.")] = "",
    venue: Annotated[str, typer.Option(help="Instead of binance, binance_usdm, nasdaq.")] = "",
    tick: Step = None,
    lot: Lot = None,
) -> None:
    """Make a recording of files of Binance's public archives, hftbacktest or LOBSTER. Exit status 1 for bad input."""
    from deploy import importing

    if format not in list(importing.Format):
        raise fail(f"there is no format {format!r}. Known are: {', '.join(importing.Format)}.", 2)
    order = importing.Order(
        format=importing.Format(format),
        inputs=tuple(inputs),
        out=into,
        symbol=symbol.upper(),
        venue=venue.lower(),
        tick=_step("--tick", tick),
        lot=_step("--lot", lot),
    )
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=err, transient=True) as shown:
            task = shown.add_task("importing", total=importing.size_of(order))
            done = importing.run(order, lambda at: shown.update(task, completed=at))
    except importing.ImportFailed as error:
        raise fail(str(error)) from None
    told = f"{into}: {', '.join(done.symbols)}, {done.entries:,} entries, {done.bytes_out:,} bytes"
    out.print(f"{told}, 1/{done.bytes_in / done.bytes_out:.1f} of what is in it", highlight=False, soft_wrap=True)


def recording(
    file: Annotated[Path, typer.Argument(help="A recording.")],
    json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """What is in a recording; every checksum is verified. Exit status 1 when a part of it is damaged."""
    from deploy.recording_report import ReportError, report

    try:
        with err.status("reading") as shown:
            found = report(file, lambda at, of: shown.update(f"reading block {at} of {of}"))
    except ReportError as error:
        raise fail(str(error)) from None
    if json:
        import msgspec

        sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
    else:
        _show_report(found)
    if not found.ok:
        raise typer.Exit(1)


def _show_report(found: "Report") -> None:
    from deploy.recording_report import when

    table = Table(box=None, show_header=False)
    kinds = ", ".join(f"{count:,} {name}" for name, count in found.kinds.items() if count)
    end = "regular" if found.ended else f"[yellow]cut: {found.torn_bytes:,} bytes of a last block are lost[/]"
    for name, text in (
        ("venue", found.venue),
        ("source", found.source),
        ("made", when(found.created_ns)),
        ("from", when(found.first_ns)),
        ("to", when(found.last_ns)),
        ("entries", f"{found.entries:,}: {kinds}" if kinds else "0"),
        ("size", f"{found.bytes:,} bytes, 1/{found.ratio:.1f} of {found.bytes_unpacked:,}; {found.blocks:,} blocks"),
        ("gaps", f"{found.gaps:,}; connection lost or ended {found.stale:,} times; {found.errors:,} errors"),
        ("end", end),
        ("checksums", f"[red]{found.damaged_blocks} damaged blocks[/]" if found.damaged else "good"),
    ):
        table.add_row(name, text)
    out.print(table)
    for damage in found.damaged:
        err.print(damage, markup=False, highlight=False)
    symbols = Table()
    for column in ("symbol", "tick", "lot", "events", "trades", "books", "gaps", "errors"):
        symbols.add_column(column, justify="left" if column == "symbol" else "right")
    for name, one in found.symbols.items():
        counts = (one.events, one.trades, one.books, one.gaps, one.errors)
        symbols.add_row(name, one.tick, one.lot, *(f"{count:,}" for count in counts))
    out.print(symbols)


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _channels(text: str | None) -> tuple[Any, ...]:
    from market.venues.adapter import Channel

    known = {one.value: one for one in Channel}
    names = _split((text or "").lower())
    for name in names:
        if name not in known:
            raise fail(f"there is no channel {name!r}. Known are: {', '.join(known)}.", 2)
    return tuple(known[name] for name in dict.fromkeys(names))


def _seconds(text: str) -> float:
    found = _DURATION.fullmatch(text.strip().lower())
    if found is None or not float(found[1]):
        raise fail(f"--for {text}: a time is wanted, as 90s, 10m, 2h or 1d.", 2)
    return float(found[1]) * _UNITS[found[2]]


def _step(name: str, text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal(0)
    if not value.is_finite() or value <= 0:
        raise fail(f"{name} {text}: a positive decimal is wanted, as 0.01.", 2)
    return value
