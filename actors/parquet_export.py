"""Writes stored trades and candles into Parquet files, in bounded memory: rows come by a server's cursor.

Prices, quantities and amounts stay the integers that the exchange counts in (ticks, lots, units of 10^-scale): exact,
eight bytes, sortable, and a decimal string would be twice as large and have to be read again. What a step is worth stands in
the file's metadata, for each symbol: `price = price_ticks * tick`, `quantity = qty_lots * lot`, `quote = quote_units /
10^quote_scale`. A file appears whole or not at all.
"""

import os
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from actors.day_partitions import SECONDS, TICKS, days_of
from actors.export_plan import DONE, WIDTHS, Part, Request, Told, check, days_between, folder_of, is_exported, parts_of
from market.instrument import Instrument

ROWS_AT_ONCE: Final = 50_000
"""One row group, and all that is in memory."""
LEVEL: Final = 6
"""Of zstd."""
COMMAND_LIMIT_S: Final = 900.0
_TYPES: Final[dict[str, Any]] = {
    "int8": pa.int64(),
    "int4": pa.int32(),
    "int2": pa.int16(),
    "bool": pa.bool_(),
    "float8": pa.float64(),
    "text": pa.string(),
    "bytea": pa.binary(),
    "numeric": pa.decimal128(38, 0),
}
"""Sums in candles may pass 64 bits, so they are decimals without places."""

Tell = Callable[[Told], None]


async def export(request: Request, tell: Tell) -> Told:
    """Write all files; `tell` hears of each step. ValueError: the request names what is not there."""
    check(request)
    connection = await asyncpg.connect(request.dsn, timeout=10, command_timeout=COMMAND_LIMIT_S)
    try:
        return await _Export(connection, request, tell).run()
    finally:
        await connection.close()


class _Export:
    def __init__(self, connection: Any, request: Request, tell: Tell) -> None:
        self._connection = connection
        self._request = request
        self._out = Path(request.out)
        self._tell = tell
        self._told = Told()
        self._expected = 0

    async def run(self) -> Told:
        parts = [part for table in self._request.tables for part in await self._parts(table)]
        counts = [await self._count(part) for part in parts]
        self._expected = sum(counts)
        for part, count in zip(parts, counts, strict=True):
            if count:
                await self._write(part)
        self._mark_whole_days(parts)
        self._told.fraction, self._told.file = 1.0, ""
        self._tell(self._told)
        return self._told

    async def _parts(self, table: str) -> list[Part]:
        days: Sequence[int]
        if table == "trades" or self._request.width == "1s":
            days = list(await days_of(self._connection, TICKS if table == "trades" else SECONDS))
        else:
            row = await self._connection.fetchrow(
                "SELECT min(open_ns) AS first, max(open_ns) AS last FROM candles WHERE width_s = 3600"
            )
            days = days_between(row["first"], row["last"])
        return list(parts_of(self._request, table, days))

    async def _count(self, part: Part) -> int:
        found: int = await self._connection.fetchval(
            f"SELECT count(*) FROM {_FROM[part.table]}",  # noqa: S608
            *_arguments(part),
        )
        return found

    async def _write(self, part: Part) -> None:
        path = self._out / part.path
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.part")
        self._told.file = str(part.path)
        try:
            async with self._connection.transaction(isolation="repeatable_read", readonly=True):
                statement = await self._connection.prepare(
                    f"SELECT * FROM {_FROM[part.table]} ORDER BY {_ORDER[part.table]}"  # noqa: S608
                )
                schema = _schema(statement.get_attributes(), part, self._request.instruments)
                with pq.ParquetWriter(fresh, schema, **_options(schema)) as writer:
                    async for rows in _chunks(statement, part):
                        writer.write_table(_table(rows, schema))
                        self._told.rows += len(rows)
                        self._told.fraction = min(1.0, self._told.rows / max(1, self._expected))
                        self._tell(self._told)
            _keep(fresh, path)
        finally:
            fresh.unlink(missing_ok=True)
        self._told.files += 1
        self._told.bytes += path.stat().st_size

    def _mark_whole_days(self, parts: Sequence[Part]) -> None:
        """Only when all symbols were asked for: a day is whole when nothing of it is missing."""
        if self._request.symbols:
            return
        for table, width, day in {(part.table, part.width, part.day) for part in parts if part.whole}:
            if is_exported(self._out, table, width, day):
                continue
            if self._request.until_day is not None and day < self._request.until_day:
                folder = self._out / folder_of(table, width, day)
                folder.mkdir(parents=True, exist_ok=True)
                (folder / DONE).touch()


_FROM: Final = {
    "trades": "trades WHERE symbol = ANY($1::text[]) AND ts_ns >= $2 AND ts_ns < $3",
    "candles": "candles WHERE symbol = ANY($1::text[]) AND open_ns >= $2 AND open_ns < $3 AND width_s = $4",
}
_ORDER: Final = {"trades": "symbol, trade_id", "candles": "symbol, open_ns"}


def _arguments(part: Part) -> tuple[Any, ...]:
    found = (list(part.symbols), part.from_ns, part.to_ns)
    return found if part.width is None else (*found, WIDTHS[part.width])


async def _chunks(statement: Any, part: Part) -> AsyncIterator[list[Any]]:
    cursor = await statement.cursor(*_arguments(part))
    while rows := await cursor.fetch(ROWS_AT_ONCE):
        yield rows


def _schema(columns: Sequence[Any], part: Part, instruments: Sequence[Instrument]) -> Any:
    fields = []
    for column in columns:
        if column.type.name not in _TYPES:
            raise ValueError(
                f"column {column.name} of {part.table} has type {column.type.name}, which has no Parquet type here."
            )
        fields.append(pa.field(column.name, _TYPES[column.type.name]))
    steps = {
        one.symbol: {
            "tick": str(one.tick), "lot": str(one.lot), "base": one.base.name, "base_scale": one.base.scale,
            "quote": one.quote.name, "quote_scale": one.quote.scale,
        }
        for one in instruments if one.symbol in part.symbols
    }  # fmt: skip
    return pa.schema(
        fields,
        metadata={
            "raypit.table": part.table,
            "raypit.width": part.width or "",
            "raypit.from_ns": str(part.from_ns),
            "raypit.to_ns": str(part.to_ns),
            "raypit.instruments": msgspec.json.encode(steps).decode(),
            "raypit.units": "price = price_ticks * tick; quantity = qty_lots * lot; quote = quote_units / 10^quote_scale; "
            "taker_side 0 = BUY, 1 = SELL; *_ns = nanoseconds since 1970-01-01 UTC",
        },
    )


def _options(schema: Any) -> dict[str, Any]:
    """Numbers that hardly change from row to row as differences; symbols as a dictionary."""
    numbers = [field.name for field in schema if field.type == pa.int64()]
    return {
        "compression": "zstd",
        "compression_level": LEVEL,
        "use_dictionary": [field.name for field in schema if field.type == pa.string()],
        "column_encoding": dict.fromkeys(numbers, "DELTA_BINARY_PACKED"),
    }


def _table(rows: Sequence[Any], schema: Any) -> Any:
    columns = zip(*rows, strict=True)
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )


def _keep(fresh: Path, path: Path) -> None:
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
    fresh.replace(path)
