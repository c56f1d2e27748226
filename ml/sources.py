"""What models learn from: files of candles or recordings as data sets, each looked at for look-ahead first."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from market.intervals import MINUTE_NS, SECOND_NS
from market.recording import Reader
from ml.candle_files import read_candles
from ml.dataset import DataSet, data_set, event_set, together
from ml.features import CANDLE_FEATURES, Candles, Events, FeatureSpec, candle_rows, feature_rows, until
from ml.forecast import Manifest
from ml.leaks import Floats, Times, assert_no_leak
from ml.models.inputs import window_of
from ml.recordings import read_recordings, spec_for

CHECKED_CUTS: Final = 4
"""Times at which the future is cut away, of each training."""
CHECKED_CANDLES: Final = 600
ROWS_PER_HORIZON: Final = 3
"""Rows are at most so dense: labels of one horizon tell hardly more than one."""

CandleRows = Callable[[Candles, int], Floats]


class Learned(NamedTuple):
    data: DataSet
    manifest: Manifest
    """Without name and kind."""
    notes: tuple[str, ...]


def of_files(paths: Sequence[Path], horizon_ns: int, symbols: Sequence[str] = ()) -> Learned:
    """Candle files (a folder: all in it) or recordings. ValueError, OSError."""
    found = [one for path in paths for one in (sorted(path.iterdir()) if path.is_dir() else [path])]
    candles = [one for one in found if one.name.endswith((".feather", ".csv", ".csv.gz"))]
    if candles:
        read = [read_candles(one) for one in candles]
        widths = {one.width_ns for one in read}
        if len(widths) > 1:
            raise ValueError(f"from: candles of {sorted(w // SECOND_NS for w in widths)} s; give files of one width")
        given = {one.symbol: one.candles for one in read}
        return of_candles(_chosen(given, symbols), widths.pop(), horizon_ns)
    if not found or not all(one.is_file() for one in found):
        raise ValueError(f"from: nothing to learn from in {', '.join(map(str, paths))}")
    with ExitStack() as opened:
        market = read_recordings([Reader(opened.enter_context(one.open("rb"))) for one in found], symbols)
    notes = (f"a recording is damaged: {market.damage}",) if market.damage else ()
    return of_events(market.events, horizon_ns, notes)


def _chosen(given: dict[str, Candles], symbols: Sequence[str]) -> dict[str, Candles]:
    for name in symbols:
        if name not in given:
            raise ValueError(f"symbols: there is no {name}; there are {', '.join(given)}")
    return {name: one for name, one in given.items() if not symbols or name in symbols}


def of_candles(given: dict[str, Candles], width_ns: int, horizon_ns: int) -> Learned:
    """By symbol. ValueError when the horizon is no whole number of candles, or nothing is left."""
    if horizon_ns < width_ns or horizon_ns % width_ns:
        raise ValueError(
            f"horizon: {horizon_ns // SECOND_NS} s is no whole number of candles of {width_ns // SECOND_NS} s; "
            "10s needs a recording (`raypit record`)"
        )
    every_ns = _every(CANDLE_FEATURES, width_ns, horizon_ns)
    parts: dict[str, DataSet] = {}
    for symbol, candles in given.items():
        check_candles(candles, width_ns)
        made = data_set(candles, width_ns, horizon_ns // width_ns)
        made = made.rows(made.ts_ns % every_ns == 0)
        if len(made.ts_ns):
            parts[symbol] = made
    return _learned(parts, horizon_ns, "candles", width_ns, None, ())


def of_events(given: dict[str, Events], horizon_ns: int, notes: tuple[str, ...] = ()) -> Learned:
    spans = [int(c["ts_ns"][-1] - c["ts_ns"][0]) for events in given.values() for c in events if len(c)]
    spec = spec_for(max(spans, default=0) - horizon_ns)
    every_ns = _every(spec.names, SECOND_NS, horizon_ns)
    parts: dict[str, DataSet] = {}
    for symbol, events in given.items():
        made = event_set(events, spec, horizon_ns, every_ns)
        if len(made.ts_ns):
            check_events(events, spec, made.ts_ns)
            parts[symbol] = made
    return _learned(parts, horizon_ns, "events", 0, spec, notes)


def _every(names: Sequence[str], unit_ns: int, horizon_ns: int) -> int:
    """The longest return's window of which `ROWS_PER_HORIZON` fit into a horizon, else the shortest."""
    windows = sorted(round(one[1] * unit_ns) for name in names if (one := window_of(name)) and one[0] == "return")
    return max((one for one in windows if one * ROWS_PER_HORIZON <= horizon_ns), default=windows[0])


def _learned(
    parts: dict[str, DataSet],
    horizon_ns: int,
    source: str,
    width_ns: int,
    spec: FeatureSpec | None,
    notes: tuple[str, ...],
) -> Learned:
    if not parts:
        raise ValueError("from: no row is left whose windows and horizon are whole; give a longer history")
    data = together(list(parts.values()))
    manifest = Manifest(
        name="", kind="", horizon_ns=horizon_ns, source=source, width_ns=width_ns, spec=spec, features=data.names,
        symbols=tuple(parts), from_ns=int(data.ts_ns[0]), to_ns=int(data.ts_ns[-1]),
    )  # fmt: skip
    return Learned(data, manifest, notes)


def check_candles(candles: Candles, width_ns: int = MINUTE_NS, rows: CandleRows = candle_rows) -> None:
    """LookAhead when a feature knew the future, looked at in the newest `CHECKED_CANDLES`."""
    some = candles.part(max(len(candles.open_ns) - CHECKED_CANDLES, 0), len(candles.open_ns))
    closes = some.open_ns + width_ns

    def compute(known: Candles, times: Times) -> Floats:
        made = rows(known, width_ns)
        return made[np.searchsorted(known.open_ns + width_ns, times)]

    def cut(known: Candles, ts_ns: int) -> Candles:
        return known.part(0, int(np.searchsorted(known.open_ns + width_ns, ts_ns, "right")))

    assert_no_leak(compute, some, cut, _some(closes), CANDLE_FEATURES)


def check_events(events: Events, spec: FeatureSpec, ts_ns: Times) -> None:
    """LookAhead when a feature knew the future."""
    assert_no_leak(lambda known, at: feature_rows(known, at, spec), events, until, _some(ts_ns), spec.names)


def _some(ts_ns: Times) -> Times:
    return ts_ns[np.linspace(len(ts_ns) // 2, len(ts_ns) - 1, CHECKED_CUTS).astype(np.int64)] if len(ts_ns) else ts_ns
