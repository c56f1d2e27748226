"""Candles from files of others. The one place under `ml` that reads files for training."""

from pathlib import Path
from typing import Final

import numpy as np

from ml.features.candles import Candles

_COLUMNS: Final = ("open", "high", "low", "close", "volume")


def read_feather(path: Path, first: int = 0, count: int | None = None) -> Candles:
    """Candles `first` to `first + count` of a Feather file as freqtrade keeps them: date, open, high, low, close, volume.

    Prices in the quote asset, volume as the file has it. ValueError names the column that is missing or out of order.
    """
    from pyarrow import feather

    table = feather.read_table(path, memory_map=True)
    for name in ("date", *_COLUMNS):
        if name not in table.column_names:
            raise ValueError(f"{name}: {path.name} has no such column; it has {', '.join(table.column_names)}")
    table = table.slice(first, count)
    dates = table["date"].to_numpy().astype("datetime64[ns]").astype(np.int64)
    if len(dates) > 1 and (np.diff(dates) <= 0).any():
        raise ValueError(f"date: {path.name} is not in ascending order; sort it")
    columns = (np.ascontiguousarray(table[name].to_numpy(), np.float64) for name in _COLUMNS)
    candles = Candles(dates, *columns)
    for name in _COLUMNS[:-1]:
        if not (getattr(candles, name) > 0).all():
            raise ValueError(f"{name}: {path.name} has a price that is not above 0")
    return candles
