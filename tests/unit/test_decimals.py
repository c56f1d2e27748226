"""Eight places for everything."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.decimals import Grid, fixed, percent, rounded
from market.universe import instruments


@given(st.integers(-(1 << 80), 1 << 80))
def test_fixed_has_eight_places(units: int) -> None:
    text = fixed(units)
    assert len(text.partition(".")[2]) == 8
    assert Decimal(text) == Decimal(units).scaleb(-8)


@given(st.integers(-(10**20), 10**20), st.integers(-(10**10), 10**10))
def test_rounded_is_nearest(numerator: int, denominator: int) -> None:
    found = rounded(numerator, denominator)
    if denominator == 0:
        assert found == 0
    else:
        assert abs(found * denominator - numerator) * 2 <= abs(denominator)


@pytest.mark.parametrize(
    ("change", "base", "text"),
    [
        (-2, 3, "-66.667"),
        (1, 4, "25.000"),
        (0, 5, "0.000"),
        (5, 0, "0.000"),
        (-1, 200_000, "-0.001"),
        (15, 6, "250.000"),
    ],
)
def test_percent(change: int, base: int, text: str) -> None:
    assert percent(change, base) == text


def test_every_instrument_is_told_exactly() -> None:
    for one in instruments(60):
        grid = Grid.of(one)
        assert Decimal(grid.price(12_345)) == 12_345 * one.tick
        assert Decimal(grid.quantity(67)) == 67 * one.lot
        notional = 12_345 * 67 * one.quote_units_per_tick_lot
        assert Decimal(grid.quote(notional)) == 12_345 * one.tick * 67 * one.lot
        average = Decimal(grid.average(notional, 67))
        assert average == (12_345 * one.tick).quantize(Decimal("1e-8"))
    assert Grid.of(instruments(1)[0]).average(0, 0) == "0.00000000"
