"""New rows of `orders` straight into the table: numpy lays out the binary COPY format, texts of any length included.

An INSERT from a staged table costs PostgreSQL twice as much a row. COPY knows no ON CONFLICT: for rows that nobody wrote
before. Knows nothing of what the rows mean.
"""

import io
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

import asyncpg
import numpy as np

from actors.staging import COPY_BEGIN, COPY_END, Column

_FIXED: Final = {
    "order_id": ">i8", "account": ">i8", "side": ">i2", "ord_type": ">i2", "time_in_force": ">i2", "stp_mode": ">i2",
    "flags": ">i2", "price_ticks": ">i8", "qty_lots": ">i8", "leaves_lots": ">i8", "cum_qty_lots": ">i8",
    "cum_quote_units": ">i8", "ord_status": ">i2", "reason": ">i2", "created_ns": ">i8", "updated_ns": ">i8",
}  # fmt: skip
_COLUMNS: Final = ("client_order_id", "symbol", *_FIXED)


def _rest() -> np.dtype[np.void]:
    fields: list[tuple[str, Any]] = []
    for name, kind in _FIXED.items():
        fields += [(f"size of {name}", ">i4"), (name, kind)]
    return np.dtype(fields)


_REST: Final = _rest()
"""A row from its first column that has the same size in all rows."""


@cache
def _row(name: int, symbol: int) -> np.dtype[np.void]:
    """A whole row whose texts have so many bytes."""
    return np.dtype(
        [
            ("fields", ">i2"), ("name size", ">i4"), ("name", "V", name), ("symbol size", ">i4"), ("symbol", "V", symbol),
            ("rest", "V", _REST.itemsize),
        ]
    )  # fmt: skip


async def copy_orders(connection: asyncpg.Connection, columns: Mapping[str, Column], names: Sequence[str]) -> None:
    """Inside a transaction. `symbol` is the number of a name, `client_order_id` S40."""
    source = io.BytesIO(encode_orders(columns, names))
    await connection.copy_to_table("orders", source=source, columns=_COLUMNS, format="binary")


def encode_orders(columns: Mapping[str, Column], names: Sequence[str]) -> bytes:
    rest = _rest_of(columns)
    texts = np.ascontiguousarray(columns["client_order_id"])
    letters = texts.view(np.uint8).reshape(len(texts), texts.itemsize)
    sizes = np.count_nonzero(letters, axis=1)
    symbols = columns["symbol"].astype(np.int64)
    alike = symbols * (texts.itemsize + 1) + sizes
    order = np.argsort(alike, kind="stable")
    starts = np.flatnonzero(np.diff(alike[order], prepend=-1))
    parts = []
    for group in np.split(order, starts[1:]):
        symbol, size = names[symbols[group[0]]].encode(), int(sizes[group[0]])
        rows = np.zeros(len(group), _row(size, len(symbol)))
        rows["fields"], rows["name size"], rows["symbol size"] = len(_COLUMNS), size, len(symbol)
        raw = rows.view(np.uint8).reshape(len(rows), rows.itemsize)
        raw[:, 6 : 6 + size] = letters[group, :size]
        raw[:, 10 + size : 10 + size + len(symbol)] = np.frombuffer(symbol, np.uint8)
        rows["rest"] = rest[group]
        parts.append(rows.tobytes())
    return b"".join((COPY_BEGIN, *parts, COPY_END))


def _rest_of(columns: Mapping[str, Column]) -> Column:
    rest = np.zeros(len(columns["order_id"]), _REST)
    for name, kind in _FIXED.items():
        rest[f"size of {name}"] = np.dtype(kind).itemsize
        rest[name] = columns[name]
    return rest.view(np.dtype(("V", _REST.itemsize)))
