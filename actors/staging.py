"""Columns of numbers into PostgreSQL at the speed of memory: numpy lays out the binary COPY format.

The rows land in temporary tables, from which one statement puts them where they belong. Parameters would cost a Python
call for each value. Knows nothing of what the rows mean.
"""

import io
from collections.abc import Mapping
from typing import Any, Final

import asyncpg
import numpy as np
import numpy.typing as npt

Column = npt.NDArray[Any]

COPY_BEGIN: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_END: Final = b"\xff\xff"
_TYPES: Final[dict[str, np.dtype[Any]]] = {
    "bigint": np.dtype(">i8"),
    "smallint": np.dtype(">i2"),
    "boolean": np.dtype("?"),
    "bytea": np.dtype("S40"),
}
"""`bytea` has the 40 bytes of a client_order_id, zeros at its end included."""


class Staging:
    """One temporary table: names and types of its columns, in order."""

    def __init__(self, table: str, columns: Mapping[str, str]) -> None:
        self.table = table
        self.create = "CREATE TEMPORARY TABLE {} ({}) ON COMMIT DELETE ROWS".format(
            table, ", ".join(f"{name} {kind}" for name, kind in columns.items())
        )
        fields: list[tuple[str, Any]] = [("fields", ">i2")]
        for name, kind in columns.items():
            fields += [(f"size of {name}", ">i4"), (name, _TYPES[kind])]
        self._row = np.dtype(fields)
        self._columns = {name: _TYPES[kind].itemsize for name, kind in columns.items()}

    async def fill(self, connection: asyncpg.Connection, columns: Mapping[str, Column]) -> None:
        """Replace what the table holds; inside a transaction."""
        source = io.BytesIO(self.encode(columns))
        await connection.copy_to_table(self.table, source=source, format="binary")

    def encode(self, columns: Mapping[str, Column]) -> bytes:
        rows = np.zeros(len(next(iter(columns.values()))), self._row)
        rows["fields"] = len(self._columns)
        for name, size in self._columns.items():
            rows[f"size of {name}"] = size
            rows[name] = columns[name]
        return b"".join((COPY_BEGIN, rows.tobytes(), COPY_END))
