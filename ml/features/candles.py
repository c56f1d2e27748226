"""Features of candles: returns, volatilities and indicators of the newest `LOOKBACK` ones. Pure.

A row is a function of exactly so many candles that follow one another, and of nothing else: it is the same wherever a
history begins, in training and in serving, although indicators with memory (Wilder's, exponential averages) would
otherwise depend on that for ever. What came before the window would weigh less than 1e-6 in those of Wilder (14), 3e-4
in the EMA of 50.

| column | unit | meaning |
|---|---|---|
| return_N | of the close then | close / close N candles ago - 1 |
| volatility_N | per N candles | root of the sum of squared one-candle returns |
| parkinson_60 | per candle | from high and low (Parkinson 1980) |
| volume_ratio_60 | 1 | volume / its mean over 60; 0 when nothing traded |
| rsi_14, mfi_14, stoch_k, stoch_d, adx_14 | 0 to 1 | TA-Lib RSI, MFI, STOCH(14,3,3), ADX; by 100 |
| di_14 | -1 to 1 | TA-Lib (PLUS_DI - MINUS_DI) / 100 |
| macd_hist | of the close | TA-Lib MACD(12,26,9), histogram |
| natr_14 | of the close | TA-Lib NATR / 100 |
| bollinger_b, bollinger_width | 1; of the middle | TA-Lib BBANDS(20,2): place of the close in the band (0.5 when it is flat); its width |
| cci_20 | 1 | TA-Lib CCI / 100 |
| willr_14 | -1 to 0 | TA-Lib WILLR / 100 |
| ema_50, sma_200 | of the average | close / TA-Lib EMA, SMA - 1 |
| day_sin, day_cos | -1 to 1 | minute of the day of the close, UTC, on a circle |
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import talib

from market.intervals import DAY_NS, MINUTE_NS
from ml.features.formulas import CIRCLE

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Records = npt.NDArray[np.void]

LOOKBACK: Final = 256
_RETURNS: Final = (1, 5, 15, 60, 240)
_VOLATILITIES: Final = (15, 60, 240)
_SPAN: Final = 60

CANDLE_FEATURES: Final = (
    *(f"return_{n}" for n in _RETURNS),
    *(f"volatility_{n}" for n in _VOLATILITIES),
    "parkinson_60", "volume_ratio_60",
    "rsi_14", "mfi_14", "stoch_k", "stoch_d", "adx_14", "di_14", "macd_hist", "natr_14",
    "bollinger_b", "bollinger_width", "cci_20", "willr_14", "ema_50", "sma_200",
    "day_sin", "day_cos",
)  # fmt: skip


class Candles(NamedTuple):
    """Closed candles of one symbol and width in order of time; prices and volumes in any unit, every price above 0.

    Ticks and lots are best: TA-Lib takes differences below 1e-14 for none.
    """

    open_ns: Integers
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def part(self, start: int, end: int) -> "Candles":
        opens, *others = self
        return Candles(opens[start:end], *(column[start:end] for column in others))


def candles_of(rows: Records) -> Candles:
    """CANDLE[n] of one symbol (`market.candles`), in ticks and lots."""
    names = Candles._fields[1:]
    return Candles(rows["open_ns"].astype(np.int64), *(rows[name].astype(np.float64) for name in names))


def candle_rows(candles: Candles, width_ns: int) -> Floats:
    """float64[n, len(CANDLE_FEATURES)]: row k is what is known when candle k closes (open_ns + width_ns).

    NaN where the `LOOKBACK` candles that end there do not follow one another without a hole.
    """
    n = len(candles.open_ns)
    rows = np.full((n, len(CANDLE_FEATURES)), np.nan)
    if n < LOOKBACK:
        return rows
    spans = candles.open_ns[LOOKBACK - 1 :] - candles.open_ns[: n - LOOKBACK + 1]
    for start in np.flatnonzero(spans == (LOOKBACK - 1) * width_ns):
        end = int(start) + LOOKBACK
        rows[end - 1] = _row(candles.part(int(start), end), width_ns)
    return rows


class CandleStream:
    """One symbol's features as its candles close."""

    def __init__(self, width_ns: int) -> None:
        self.width_ns: Final = width_ns
        self._kept: Final = np.zeros((len(Candles._fields) - 1, 2 * LOOKBACK), np.float64)
        self._opens: Final = np.zeros(2 * LOOKBACK, np.int64)
        self._end = 0
        """Candles [.., _end) are there."""
        self._run = 0
        """So many of them follow one another."""

    def add(self, open_ns: int, open_: float, high: float, low: float, close: float, volume: float) -> None:
        """A closed candle. ValueError when it is not after the last one; a hole between begins anew."""
        if self._end:
            since = open_ns - int(self._opens[self._end - 1])
            if since < self.width_ns:
                raise ValueError(f"open_ns: {open_ns} is less than a width after the last candle")
            self._run = self._run if since == self.width_ns else 0
        if self._end == 2 * LOOKBACK:
            self._kept[:, :LOOKBACK] = self._kept[:, LOOKBACK:]
            self._opens[:LOOKBACK] = self._opens[LOOKBACK:]
            self._end = LOOKBACK
        self._kept[:, self._end] = (open_, high, low, close, volume)
        self._opens[self._end] = open_ns
        self._end += 1
        self._run += 1

    @property
    def newest_ns(self) -> int:
        """When the newest candle opened; 0: there is none."""
        return int(self._opens[self._end - 1]) if self._end else 0

    @property
    def run(self) -> int:
        """So many candles follow one another until the newest."""
        return self._run

    def window(self) -> Candles:
        """The newest ones that follow one another: `LOOKBACK` to twice as many, once there are."""
        part = slice(self._end - min(self._run, self._end), self._end)
        return Candles(self._opens[part].copy(), *self._kept[:, part].copy())

    def row(self) -> Floats:
        """float64[len(CANDLE_FEATURES)] as of the newest candle's close; NaN before `LOOKBACK` follow one another."""
        if self._run < LOOKBACK:
            return np.full(len(CANDLE_FEATURES), np.nan)
        part = slice(self._end - LOOKBACK, self._end)
        return _row(Candles(self._opens[part], *self._kept[:, part]), self.width_ns)


def _row(window: Candles, width_ns: int) -> Floats:
    close, volume = window.close, window.volume
    last = close[-1]
    steps = close[1:] / close[:-1] - 1
    squares = steps * steps
    ranges = np.log(window.high[-_SPAN:] / window.low[-_SPAN:])
    mean_volume = volume[-_SPAN:].sum() / _SPAN
    minute = int(window.open_ns[-1] + width_ns) % DAY_NS // MINUTE_NS
    return np.array(
        (
            *(last / close[-1 - n] - 1 for n in _RETURNS),
            *(np.sqrt(squares[-n:].sum()) for n in _VOLATILITIES),
            np.sqrt((ranges * ranges).sum() / (_SPAN * 4 * np.log(2.0))),
            volume[-1] / mean_volume if mean_volume > 0 else 0.0,
            *_indicators(window),
            *CIRCLE[minute],
        )
    )


def _indicators(window: Candles) -> tuple[float, ...]:
    _, _, high, low, close, volume = window
    last = close[-1]
    stoch_k, stoch_d = talib.STOCH(high, low, close, fastk_period=14, slowk_period=3, slowd_period=3)
    _, _, histogram = talib.MACD(close, 12, 26, 9)
    upper, middle, lower = talib.BBANDS(close, 20, 2.0, 2.0)
    band = upper[-1] - lower[-1]
    return (
        talib.RSI(close, 14)[-1] / 100,
        talib.MFI(high, low, close, volume, 14)[-1] / 100,
        stoch_k[-1] / 100,
        stoch_d[-1] / 100,
        talib.ADX(high, low, close, 14)[-1] / 100,
        (talib.PLUS_DI(high, low, close, 14)[-1] - talib.MINUS_DI(high, low, close, 14)[-1]) / 100,
        histogram[-1] / last,
        talib.NATR(high, low, close, 14)[-1] / 100,
        (last - lower[-1]) / band if band > 0 else 0.5,
        band / middle[-1],
        talib.CCI(high, low, close, 20)[-1] / 100,
        talib.WILLR(high, low, close, 14)[-1] / 100,
        last / talib.EMA(close, 50)[-1] - 1,
        last / talib.SMA(close, 200)[-1] - 1,
    )
