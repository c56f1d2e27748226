"""Figures that no single operation tells: sums, spans and risk, made of what the operations tell. Pure.

Money is added as decimals; statistics are floats, told as such.
"""

import math
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Final

import msgspec

from serve.market_schema import CandleView, Ticker
from serve.schema import EquityPoint, Execution, Portfolio

MINUTES_A_DAY: Final = 1440
PLACES: Final = 6


class AssetAmount(msgspec.Struct):
    asset: str
    amount: str


class TradeSummary(msgspec.Struct):
    """Of one's own executions in a span."""

    from_ms: int
    to_ms: int
    symbol: str | None
    executions: int
    bought: list[AssetAmount]
    """Quote assets spent."""
    sold: list[AssetAmount]
    """Quote assets received."""
    fees: list[AssetAmount]
    complete: bool
    """false: there are more executions than were read."""


class EquityChange(msgspec.Struct):
    from_ms: int
    """Of the first figure: it may be later than asked for."""
    to_ms: int
    asset: str
    before: str | None
    """null: nothing is known so far back."""
    after: str | None
    change: str | None
    change_percent: float | None


class PriceRange(msgspec.Struct):
    symbol: str
    from_ms: int
    to_ms: int
    candles: int
    """Minutes (wider candles for a long span) with a trade."""
    open: str | None
    high: str | None
    low: str | None
    close: str | None
    volume: str
    change_percent: float | None
    volatility_percent: float | None
    """Standard deviation of the returns from minute to minute, times the root of the minutes of a day; null: too long a span."""


class Spread(msgspec.Struct):
    symbol: str
    bid: str | None
    ask: str | None
    mid: str | None
    spread: str | None
    spread_bips: float | None
    last_price: str


class Risk(msgspec.Struct):
    asset: str
    equity: str | None
    cash: str
    """Free and locked of the reference asset."""
    exposure: str | None
    """Value of everything else."""
    exposure_share: float | None
    largest_holding: str | None
    largest_value: str | None
    largest_share: float | None
    concentration: float | None
    """Herfindahl index of the holdings other than cash: 1 is one single coin."""
    locked_share: float | None
    """Value in open orders."""
    volatility_percent: float | None
    """Of the equity, a day: from its minutes of the last day."""
    max_drawdown_percent: float | None
    """Largest fall from a peak, in the last day."""
    minutes: int
    """Of equity that were known."""


def amounts(totals: dict[str, Decimal]) -> list[AssetAmount]:
    return [AssetAmount(asset, format(total, "f")) for asset, total in sorted(totals.items())]


def summary_of(
    executions: Sequence[tuple[Execution, str]], from_ms: int, to_ms: int, symbol: str | None, complete: bool
) -> TradeSummary:
    """`executions` with their quote assets."""
    bought: dict[str, Decimal] = {}
    sold: dict[str, Decimal] = {}
    fees: dict[str, Decimal] = {}
    for one, quote in executions:
        side = bought if one.side == "BUY" else sold
        side[quote] = side.get(quote, Decimal(0)) + Decimal(one.quote)
        fees[one.commission_asset] = fees.get(one.commission_asset, Decimal(0)) + Decimal(one.commission)
    return TradeSummary(
        from_ms, to_ms, symbol, len(executions), amounts(bought), amounts(sold), amounts(fees), complete
    )


def change_of(before: EquityPoint | None, after: str | None, asset: str, from_ms: int, to_ms: int) -> EquityChange:
    then, at = (None, from_ms) if before is None else (before.equity, before.at_ms)
    if after is None or then is None:
        return EquityChange(at, to_ms, asset, then, after, None, None)
    change = Decimal(after) - Decimal(then)
    return EquityChange(at, to_ms, asset, then, after, format(change, "f"), percent(Decimal(after), Decimal(then)))


def percent(now: Decimal, then: Decimal) -> float | None:
    return None if not then else round(float((now / then - 1) * 100), 4)


def range_of(
    symbol: str, from_ms: int, to_ms: int, candles: Sequence[CandleView], *, by_minute: bool = True
) -> PriceRange:
    """`by_minute`: the candles are of a minute, so that their returns are those of minutes."""
    if not candles:
        return PriceRange(symbol, from_ms, to_ms, 0, None, None, None, None, "0", None, None)
    first, last = candles[0], candles[-1]
    return PriceRange(
        symbol, from_ms, to_ms, len(candles), first.open,
        max((one.high for one in candles), key=Decimal), min((one.low for one in candles), key=Decimal), last.close,
        format(sum((Decimal(one.volume) for one in candles), Decimal(0)), "f"),
        percent(Decimal(last.close), Decimal(first.open)), _volatility([float(one.close) for one in candles]) if by_minute else None,
    )  # fmt: skip


def spread_of(ticker: Ticker) -> Spread:
    if ticker.bid is None or ticker.ask is None:
        return Spread(ticker.symbol, ticker.bid, ticker.ask, None, None, None, ticker.last_price)
    bid, ask = Decimal(ticker.bid), Decimal(ticker.ask)
    mid = (bid + ask) / 2
    return Spread(
        ticker.symbol, ticker.bid, ticker.ask, format(mid, "f"), format(ask - bid, "f"),
        round(float((ask - bid) / mid * 10_000), 4), ticker.last_price,
    )  # fmt: skip


def risk_of(portfolio: Portfolio, points: Sequence[EquityPoint]) -> Risk:
    reference = portfolio.reference_asset
    held = {one.asset: one for one in portfolio.balances}
    cash = Decimal(held[reference].free) + Decimal(held[reference].locked) if reference in held else Decimal(0)
    values = {one.asset: Decimal(one.value) for one in portfolio.balances if one.asset != reference and one.value}
    values = {asset: value for asset, value in values.items() if value}
    total = sum(values.values(), Decimal(0))
    equity = None if portfolio.equity is None else Decimal(portfolio.equity)
    largest = max(values, key=values.__getitem__) if values else None
    series = [float(one.equity) for one in points]
    return Risk(
        asset=reference,
        equity=portfolio.equity,
        cash=format(cash, "f"),
        exposure=None if equity is None else format(total, "f"),
        exposure_share=_part(total, equity),
        largest_holding=largest,
        largest_value=None if largest is None else format(values[largest], "f"),
        largest_share=None if largest is None else _part(values[largest], equity),
        concentration=round(float(sum((value / total) ** 2 for value in values.values())), PLACES) if total else None,
        locked_share=_part(_locked(portfolio), equity),
        volatility_percent=_volatility(series),
        max_drawdown_percent=_drawdown(series),
        minutes=len(series),
    )


def _locked(portfolio: Portfolio) -> Decimal:
    total = Decimal(0)
    for one in portfolio.balances:
        held = Decimal(one.free) + Decimal(one.locked)
        if one.value is not None and held:
            total += Decimal(one.value) * Decimal(one.locked) / held
    return total


def _part(value: Decimal, whole: Decimal | None) -> float | None:
    return None if not whole else round(float(value / whole), PLACES)


def _volatility(series: Sequence[float]) -> float | None:
    """Percent a day, of a series by the minute."""
    returns = [math.log(b / a) for a, b in pairwise(series) if a > 0 and b > 0]
    if len(returns) < 2:
        return None
    mean = sum(returns) / len(returns)
    variance = sum((one - mean) ** 2 for one in returns) / (len(returns) - 1)
    return round(100 * math.sqrt(variance * MINUTES_A_DAY), 4)


def _drawdown(series: Sequence[float]) -> float | None:
    if not series:
        return None
    peak, worst = series[0], 0.0
    for one in series:
        peak = max(peak, one)
        if peak > 0:
            worst = max(worst, 1 - one / peak)
    return round(100 * worst, 4)
