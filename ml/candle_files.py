"""Candles from files of others. The one place under `ml` that reads files for training."""

import csv
import gzip
import re
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from ml.features.candles import Candles

_COLUMNS: Final = ("open", "high", "low", "close", "volume")


class CandleFile(NamedTuple):
    symbol: str
    """Of the file's name: what is before the first `-` or `_NHRS`, without `_`; a futures' settlement asset left out."""
    candles: Candles
    width_ns: int


def read_candles(path: Path) -> CandleFile:
    """A Feather file of freqtrade or a CSV of CoinAPI, plain or gzipped. ValueError, OSError."""
    if path.suffix == ".feather":
        candles = read_feather(path)
        base, quote = (*path.name.split("-")[0].split("_"), "")[:2]
        symbol = base + quote
    elif path.name.endswith((".csv", ".csv.gz")):
        candles = read_coinapi(path)
        symbol = path.name.split("_")[0].split(".")[0]
    else:
        raise ValueError(f"from: {path.name} is no file of candles; such end in .feather, .csv or .csv.gz")
    if len(candles.open_ns) < 2:
        raise ValueError(f"from: {path.name} holds {len(candles.open_ns)} candles; more are needed")
    if not re.fullmatch(r"[A-Z0-9]{2,24}", symbol):
        raise ValueError(f"from: {path.name} does not begin with a symbol; name it like BTC_USDT-1m.feather")
    return CandleFile(symbol, candles, int(np.diff(candles.open_ns).min()))


def read_coinapi(path: Path) -> Candles:
    """Columns `Period Start`, `Price open`, ..., `Volume traded`; periods without a trade are not in it."""
    names = ("Period Start", "Price open", "Price high", "Price low", "Price close", "Volume traded")
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        rows = list(csv.DictReader(file))
    for name in names:
        if rows and name not in rows[0]:
            raise ValueError(f"{name}: {path.name} has no such column")
    opens = np.array([row[names[0]].rstrip("Z") for row in rows], "datetime64[ns]").astype(np.int64)
    return _checked(path, Candles(opens, *(np.array([row[name] for row in rows], np.float64) for name in names[1:])))


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
    columns = (np.ascontiguousarray(table[name].to_numpy(), np.float64) for name in _COLUMNS)
    return _checked(path, Candles(dates, *columns))


def _checked(path: Path, candles: Candles) -> Candles:
    if (np.diff(candles.open_ns) <= 0).any():
        raise ValueError(f"date: {path.name} is not in ascending order; sort it")
    for name in _COLUMNS[:-1]:
        if not (getattr(candles, name) > 0).all():
            raise ValueError(f"{name}: {path.name} has a price that is not above 0")
    return candles
