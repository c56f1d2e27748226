"""Features of candles: by stream as by array, as TA-Lib has them of a long history, and none looks ahead."""

from typing import Any

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from market.candles import CANDLE
from market.intervals import MINUTE_NS
from ml.features import CANDLE_FEATURES, Candles, CandleStream, candle_rows, candles_of
from ml.features.candles import LOOKBACK
from ml.leaks import assert_no_leak, leaks

START_NS = 29_000_000 * MINUTE_NS

Matrix = np.ndarray[Any, Any]


def walk(n: int, seed: int, flat: float = 0.0, holes: tuple[int, ...] = ()) -> Candles:
    """A random walk in ticks; a share `flat` of the candles do not move; before those in `holes` one is missing."""
    random = np.random.default_rng(seed)
    moves = np.where(random.random(n) < flat, 0, random.integers(-40, 41, n))
    close = 100_000 + np.cumsum(moves)
    open_ = close - moves
    wide = np.where(moves == 0, 0, random.integers(0, 30, n))
    volume = np.where(moves == 0, 0, random.integers(0, 10_000, n))
    number = np.arange(n)
    for hole in holes:
        number[hole:] += 1
    prices = (open_, np.maximum(open_, close) + wide, np.minimum(open_, close) - wide, close, volume)
    return Candles(START_NS + number * MINUTE_NS, *(one.astype(np.float64) for one in prices))


def streamed(candles: Candles) -> Matrix:
    stream = CandleStream(MINUTE_NS)
    rows = []
    for open_ns, *others in zip(*candles, strict=True):
        stream.add(int(open_ns), *(float(one) for one in others))
        rows.append(stream.row())
    return np.array(rows)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(LOOKBACK, 3 * LOOKBACK), st.integers(0, 1000), st.sampled_from((0.0, 0.5, 1.0)),
    st.lists(st.integers(1, 3 * LOOKBACK), max_size=2),
)  # fmt: skip
def test_stream_and_batch_agree_to_the_last_bit(n: int, seed: int, flat: float, holes: list[int]) -> None:
    candles = walk(n, seed, flat, tuple(holes))
    rows = candle_rows(candles, MINUTE_NS)
    assert streamed(candles).tobytes() == rows.tobytes()
    whole = np.asarray(np.isfinite(rows).any(axis=1))
    assert np.isfinite(rows[whole]).all()
    assert whole[LOOKBACK - 1] or any(hole < LOOKBACK for hole in holes)


def test_a_row_is_the_same_wherever_the_history_begins() -> None:
    candles = walk(2 * LOOKBACK, 3)
    later = candle_rows(candles.part(100, 2 * LOOKBACK), MINUTE_NS)
    assert later[LOOKBACK - 1 :].tobytes() == candle_rows(candles, MINUTE_NS)[100 + LOOKBACK - 1 :].tobytes()


def test_no_feature_looks_ahead() -> None:
    candles = walk(LOOKBACK + 40, 5)
    assert_no_leak(at_close, candles, known_at, closes(candles)[LOOKBACK - 2 :: 4], CANDLE_FEATURES)


def test_a_feature_that_looks_ahead_is_found() -> None:
    def with_ahead(candles: Candles, at_ns: Matrix) -> Matrix:
        following = np.append(candles.close[1:], candles.close[-1])
        return np.column_stack((at_close(candles, at_ns), following[np.searchsorted(closes(candles), at_ns)]))

    candles = walk(LOOKBACK + 10, 5)
    found = leaks(with_ahead, candles, known_at, closes(candles)[LOOKBACK:], (*CANDLE_FEATURES, "ahead"))
    assert [one.name for one in found] == ["ahead"]


def closes(candles: Candles) -> Matrix:
    return candles.open_ns + MINUTE_NS


def at_close(candles: Candles, at_ns: Matrix) -> Matrix:
    return candle_rows(candles, MINUTE_NS)[np.searchsorted(closes(candles), at_ns)]


def known_at(candles: Candles, ts_ns: int) -> Candles:
    return candles.part(0, int(np.searchsorted(closes(candles), ts_ns, "right")))


def test_indicators_are_those_of_a_long_history() -> None:
    candles = walk(4 * LOOKBACK, 11)
    row = dict(zip(CANDLE_FEATURES, candle_rows(candles, MINUTE_NS)[-1], strict=True))
    _, open_, high, low, close, volume = candles
    assert open_[0] > 0
    assert row["rsi_14"] == pytest.approx(talib.RSI(close, 14)[-1] / 100, abs=1e-6)
    assert row["natr_14"] == pytest.approx(talib.NATR(high, low, close, 14)[-1] / 100, rel=1e-6)
    assert row["adx_14"] == pytest.approx(talib.ADX(high, low, close, 14)[-1] / 100, abs=1e-5)
    assert row["mfi_14"] == pytest.approx(talib.MFI(high, low, close, volume, 14)[-1] / 100)
    assert row["ema_50"] == pytest.approx(close[-1] / talib.EMA(close, 50)[-1] - 1, abs=1e-5)
    assert row["return_15"] == pytest.approx(close[-1] / close[-16] - 1)
    assert row["volume_ratio_60"] == pytest.approx(volume[-1] / volume[-60:].mean())
    moves = np.diff(close[-61:]) / close[-61:-1]
    assert row["volatility_60"] == pytest.approx(np.sqrt((moves**2).sum()))


def test_candles_of_the_exchange() -> None:
    rows = np.zeros(3, CANDLE)
    rows["open_ns"] = START_NS + np.arange(3) * MINUTE_NS
    rows["close"], rows["volume"] = 7, 9
    candles = candles_of(rows)
    assert candles.close.tolist() == [7.0] * 3
    assert candles.volume.tolist() == [9.0] * 3
    assert np.isnan(candle_rows(candles, MINUTE_NS)).all()


def test_a_candle_that_is_not_later_is_refused() -> None:
    stream = CandleStream(MINUTE_NS)
    stream.add(START_NS, 1, 1, 1, 1, 0)
    with pytest.raises(ValueError, match="open_ns"):
        stream.add(START_NS, 1, 1, 1, 1, 0)
