"""What an export writes: which files, of which days, with which symbols. Knows no Parquet.

Files lie as readers of data sets expect it, a folder per table, width and day, in it a file per quote asset:
`trades/date=2024-08-08/USDT.parquet`, `candles/width=1m/date=2024-08-08/USDT.parquet`. Symbols that were named get a file
each. A part of a day says in its name which.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from actors.day_partitions import date_text, day_of
from market.instrument import Instrument
from market.intervals import DAY_NS, SECOND_NS

TABLES: Final = ("trades", "candles")
WIDTHS: Final = {"1s": 1, "1m": 60, "1h": 3600}
"""Candles that are stored."""
DONE: Final = "_SUCCESS"
"""In a day's folder when all of its files are there. Readers of data sets pass over such names."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    dsn: str
    instruments: list[Instrument]
    out: str
    tables: tuple[str, ...] = ("trades",)
    width: str = "1m"
    """Of candles."""
    symbols: tuple[str, ...] = ()
    """Empty: all."""
    from_ns: int | None = None
    to_ns: int | None = None
    """Not in it."""
    until_day: int | None = None
    """Not in it: days under way are not whole."""
    only_new: bool = False
    """Days that were exported whole are passed over."""


class Told(msgspec.Struct):
    """How far an export is, and at its end what it did."""

    fraction: float = 0.0
    files: int = 0
    rows: int = 0
    bytes: int = 0
    file: str = ""
    """The one under way."""


class Part(msgspec.Struct, frozen=True):
    """One file."""

    table: str
    width: str | None
    """Of candles."""
    day: int
    from_ns: int
    to_ns: int
    group: str
    symbols: tuple[str, ...]

    @property
    def path(self) -> Path:
        """Relative to the export's folder."""
        return folder_of(self.table, self.width, self.day) / f"{self.group}{self._piece}.parquet"

    @property
    def whole(self) -> bool:
        return self.to_ns - self.from_ns == DAY_NS

    @property
    def _piece(self) -> str:
        if self.whole:
            return ""
        end = "240000" if self.to_ns == (self.day + 1) * DAY_NS else _clock(self.to_ns)
        return f".{_clock(self.from_ns)}-{end}"


def folder_of(table: str, width: str | None, day: int) -> Path:
    date = f"date={date_text(day)}"
    return Path(table, date) if width is None else Path(table, f"width={width}", date)


def is_exported(out: Path, table: str, width: str | None, day: int) -> bool:
    return (out / folder_of(table, width, day) / DONE).exists()


def groups_of(request: Request) -> dict[str, tuple[str, ...]]:
    """File name -> symbols, sorted. ValueError names a symbol that is not there."""
    known = {one.symbol: one for one in request.instruments}
    for name in request.symbols:
        if name not in known:
            raise ValueError(
                f"symbols: {name} is not traded here; `raypit status` and GET /api/market/symbols tell which are."
            )
    if request.symbols:
        return {name: (name,) for name in sorted(request.symbols)}
    groups: dict[str, list[str]] = {}
    for one in sorted(known):
        groups.setdefault(known[one].quote.name, []).append(one)
    return {name: tuple(symbols) for name, symbols in sorted(groups.items())}


def parts_of(request: Request, table: str, days: Sequence[int]) -> Iterator[Part]:
    """`days`: those that may have rows."""
    groups = groups_of(request)
    width = request.width if table == "candles" else None
    first_ns = 0 if request.from_ns is None else request.from_ns
    last_ns = (1 << 62) if request.to_ns is None else request.to_ns
    if request.until_day is not None:
        last_ns = min(last_ns, request.until_day * DAY_NS)
    for day in days:
        from_ns, to_ns = max(first_ns, day * DAY_NS), min(last_ns, (day + 1) * DAY_NS)
        if from_ns >= to_ns or (request.only_new and is_exported(Path(request.out), table, width, day)):
            continue
        for group, symbols in groups.items():
            yield Part(table, width, day, from_ns, to_ns, group, symbols)


def _clock(ts_ns: int) -> str:
    """`103000`, with nine more digits where it is not on a second."""
    at = datetime.fromtimestamp(ts_ns // SECOND_NS, UTC).strftime("%H%M%S")
    rest = ts_ns % SECOND_NS
    return f"{at}.{rest:09d}" if rest else at


def check(request: Request) -> None:
    """ValueError names the field and what is possible."""
    for table in request.tables:
        if table not in TABLES:
            raise ValueError(f"table: {table!r} is not exported; choose {' or '.join(TABLES)}.")
    if request.width not in WIDTHS:
        raise ValueError(f"width: candles of {request.width!r} are not stored; choose {', '.join(WIDTHS)}.")
    if request.from_ns is not None and request.to_ns is not None and request.from_ns >= request.to_ns:
        raise ValueError("from, to: nothing lies between them; `to` is later than `from` and not in it.")
    groups_of(request)


def days_between(first_ns: int | None, last_ns: int | None) -> range:
    return range(0) if first_ns is None or last_ns is None else range(day_of(first_ns), day_of(last_ns) + 1)
