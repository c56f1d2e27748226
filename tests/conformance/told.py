"""What the tests of all clients use to read answers: values are compared, never only looked at."""

import inspect
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

SYMBOL: Final = "BTC/USDT"
VENUE_SYMBOL: Final = "BTCUSDT"
INITIAL: Final = Decimal(100_000)
TAKER_FEE: Final = Decimal("0.001")
UNIT: Final = Decimal("0.00000001")


def by_id(trades: Iterable[Any]) -> list[Any]:
    """As they happened: of one millisecond's trades ccxt leaves '10' before '9'."""
    return sorted(trades, key=lambda one: int(one["id"]))


async def told(value: Any) -> Any:
    """The answer of a client of either kind."""
    return await value if inspect.isawaitable(value) else value


def dec(value: Any) -> Decimal:
    return Decimal(str(value))


def total(values: Iterable[Any]) -> Decimal:
    return sum((dec(one) for one in values), Decimal())


def assert_money_moved_by(trades: Iterable[Mapping[str, Any]], held: Mapping[str, tuple[Decimal, Decimal]]) -> None:
    """What is held (asset -> free, locked) is the initial money and all that these trades of BTCUSDT moved."""
    base, quote = Decimal(), INITIAL
    for one in trades:
        sign = 1 if one["isBuyer"] else -1
        base += sign * dec(one["qty"])
        quote -= sign * dec(one["quoteQty"])
        assert one["commissionAsset"] == ("BTC" if one["isBuyer"] else "USDT")
        exact = (dec(one["qty"]) if one["isBuyer"] else dec(one["quoteQty"])) * TAKER_FEE
        assert abs(dec(one["commission"]) - exact) < UNIT, "rounded to the asset's smallest unit"
        base -= dec(one["commission"]) if one["isBuyer"] else 0
        quote -= 0 if one["isBuyer"] else dec(one["commission"])
    assert sum(held["BTC"]) == base
    assert sum(held["USDT"]) == quote
