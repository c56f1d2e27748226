"""What a symbol's candles say of its market now: trend, volatility, indicators, signals with reasons, correlations. Pure.

Indicators are TA-Lib's with their usual lengths, in the unit of the prices given. A signal is what a textbook reads off an
indicator, not advice and no forecast: those are the models'.
"""

from collections.abc import Mapping
from typing import Final, Protocol

import msgspec
import numpy as np
import numpy.typing as npt
import talib

from ml.features.candles import Candles

Floats = npt.NDArray[np.float64]

LEAST_CANDLES: Final = 35
"""For the slowest of the indicators that are always told (MACD 26 + 9)."""
_VOLATILITY_SPAN: Final = 30
_TREND_ADX: Final = 25.0
"""Wilder 1978: above it there is a trend, below 20 none."""


class Trend(msgspec.Struct, frozen=True):
    state: str
    """`up`, `down`, `range`."""
    strength: float | None
    """ADX(14), 0 to 100."""
    reason: str


class Volatility(msgspec.Struct, frozen=True):
    regime: str
    """`low`, `normal`, `high`, `extreme`: by `percentile`; `unknown`: too few candles."""
    per_candle: float | None
    """Realised over the last 30 candles: standard deviation of one candle's return around zero."""
    percentile: float | None
    """Share of its own history, as far as it is known here, that was calmer; 0 to 1."""


class Signal(msgspec.Struct, frozen=True):
    indicator: str
    side: str
    """`BUY`, `SELL`."""
    strength: float
    """0 to 1."""
    reason: str


class Correlation(msgspec.Struct, frozen=True):
    """Of one-candle returns, over the candles that all of them have."""

    symbols: list[str]
    candles: int
    matrix: list[list[float | None]]
    """Null where a price did not move."""


class MarketState(msgspec.Struct, frozen=True):
    candles: int
    """That it was read off."""
    trend: Trend | None
    """Null, as all else, below 35 candles."""
    volatility: Volatility
    indicators: dict[str, float]
    signals: list[Signal]
    score: float
    """Of all signals: -1 all sell, 1 all buy, 0 none or as many of both."""


class Tell(Protocol):
    """Takes a signal: indicator, side, strength, reason."""

    def __call__(self, indicator: str, side: str, strength: float, reason: str) -> None: ...


def market_state(candles: Candles) -> MarketState:
    """Of closed candles that follow one another."""
    n = len(candles.close)
    if n < LEAST_CANDLES:
        return MarketState(n, None, _volatility(candles.close), {}, [], 0.0)
    found = indicators(candles)
    told = signals(found, float(candles.close[-1]))
    weight = sum(one.strength for one in told)
    score = sum(one.strength if one.side == "BUY" else -one.strength for one in told) / weight if weight else 0.0
    return MarketState(n, _trend(found), _volatility(candles.close), found, told, round(score, 4))


def indicators(candles: Candles) -> dict[str, float]:
    """The newest value of each; those that need more candles are left out."""
    _, _, high, low, close, volume = candles
    macd, macd_signal, macd_hist = talib.MACD(close, 12, 26, 9)
    upper, middle, lower = talib.BBANDS(close, 20, 2.0, 2.0)
    stoch_k, stoch_d = talib.STOCH(high, low, close, fastk_period=14, slowk_period=3, slowd_period=3)
    columns = {
        "close": close,
        "sma_20": talib.SMA(close, 20),
        "ema_12": talib.EMA(close, 12),
        "ema_26": talib.EMA(close, 26),
        "ema_50": talib.EMA(close, 50),
        "sma_200": talib.SMA(close, 200),
        "rsi_14": talib.RSI(close, 14),
        "macd": macd,
        "macd_signal": macd_signal,
        "macd_hist": macd_hist,
        "bollinger_upper": upper,
        "bollinger_middle": middle,
        "bollinger_lower": lower,
        "atr_14": talib.ATR(high, low, close, 14),
        "adx_14": talib.ADX(high, low, close, 14),
        "plus_di_14": talib.PLUS_DI(high, low, close, 14),
        "minus_di_14": talib.MINUS_DI(high, low, close, 14),
        "stoch_k": stoch_k,
        "stoch_d": stoch_d,
        "mfi_14": talib.MFI(high, low, close, volume, 14),
        "cci_20": talib.CCI(high, low, close, 20),
        "willr_14": talib.WILLR(high, low, close, 14),
        "roc_10": talib.ROC(close, 10),
    }
    return {name: float(column[-1]) for name, column in columns.items() if np.isfinite(column[-1])}


def _trend(found: Mapping[str, float]) -> Trend | None:
    adx, fast, slow = found.get("adx_14"), found["ema_12"], found["ema_26"]
    if adx is None:
        return None
    plus, minus = found["plus_di_14"], found["minus_di_14"]
    if adx < _TREND_ADX:
        return Trend("range", adx, f"ADX {adx:.1f} is below {_TREND_ADX:.0f}: no direction lasts")
    if plus > minus and fast > slow:
        return Trend("up", adx, f"ADX {adx:.1f}, +DI {plus:.1f} above -DI {minus:.1f}, EMA 12 above EMA 26")
    if minus > plus and fast < slow:
        return Trend("down", adx, f"ADX {adx:.1f}, -DI {minus:.1f} above +DI {plus:.1f}, EMA 12 below EMA 26")
    return Trend("range", adx, f"ADX {adx:.1f}, but directional movement and averages disagree: it is turning")


def _volatility(close: Floats) -> Volatility:
    if len(close) < 2 * _VOLATILITY_SPAN + 1:
        return Volatility("unknown", None, None)
    steps = close[1:] / close[:-1] - 1
    squares = np.concatenate((np.zeros(1), np.cumsum(steps * steps)))
    history = np.sqrt((squares[_VOLATILITY_SPAN:] - squares[:-_VOLATILITY_SPAN]).clip(0) / _VOLATILITY_SPAN)
    now = float(history[-1])
    percentile = float((history[:-1] < now).mean())
    regime = next(
        name for name, most in (("low", 0.25), ("normal", 0.75), ("high", 0.95), ("extreme", 2)) if percentile <= most
    )
    return Volatility(regime, now, round(percentile, 4))


def signals(found: Mapping[str, float], close: float) -> list[Signal]:
    """What the indicators' textbooks say; nothing of those that say nothing."""
    told: list[Signal] = []

    def tell(indicator: str, side: str, strength: float, reason: str) -> None:
        told.append(Signal(indicator, side, round(min(max(strength, 0.0), 1.0), 4), reason))

    rsi = found.get("rsi_14")
    if rsi is not None and not 30 <= rsi <= 70:
        side, word = ("BUY", "below 30: oversold") if rsi < 30 else ("SELL", "above 70: overbought")
        tell("rsi_14", side, abs(rsi - 50) / 50, f"RSI {rsi:.1f} is {word}")
    if "macd_hist" in found and (unit := found.get("atr_14", 0.0)) > 0 and found["macd_hist"]:
        up = found["macd_hist"] > 0
        told_of = "above" if up else "below"
        tell("macd", "BUY" if up else "SELL", abs(found["macd_hist"]) / unit, f"MACD is {told_of} its signal line")
    if "bollinger_upper" in found:
        if close > found["bollinger_upper"]:
            tell("bollinger", "SELL", 0.5, "the close is above the upper Bollinger band")
        elif close < found["bollinger_lower"]:
            tell("bollinger", "BUY", 0.5, "the close is below the lower Bollinger band")
    _oscillators(found, tell)
    if "sma_200" in found and close != found["sma_200"]:
        above = close > found["sma_200"]
        where = "above" if above else "below"
        tell("sma_200", "BUY" if above else "SELL", 0.3, f"the close is {where} its average of 200 candles")
    return told


def _oscillators(found: Mapping[str, float], tell: Tell) -> None:
    for name, low, high, words in (
        ("stoch_k", 20, 80, "Stochastic %K"),
        ("mfi_14", 20, 80, "Money flow index"),
        ("cci_20", -100, 100, "CCI"),
    ):
        value = found.get(name)
        if value is not None and not low <= value <= high:
            side, word = ("BUY", f"below {low}") if value < low else ("SELL", f"above {high}")
            tell(name, side, 0.4, f"{words} {value:.1f} is {word}")


def correlation(windows: Mapping[str, Candles]) -> Correlation:
    """Of symbols whose candles end at the same time; the newest that all have."""
    n = min((len(one.close) for one in windows.values()), default=0)
    names = list(windows)
    if n < LEAST_CANDLES or not names:
        return Correlation(names, n, [])
    closes = np.stack([windows[name].close[-n:] for name in names])
    steps = closes[:, 1:] / closes[:, :-1] - 1
    steps = steps - steps.mean(axis=1, keepdims=True)
    norms = np.sqrt((steps * steps).sum(axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        matrix = (steps @ steps.T) / np.outer(norms, norms)
    return Correlation(
        names,
        n,
        [[round(one, 4) if np.isfinite(one) else None for one in row] for row in np.clip(matrix, -1, 1).tolist()],
    )
