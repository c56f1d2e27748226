"""The list of instruments: valid, stable, and with room in 64 bits."""

from decimal import Decimal

import pytest

from market.instrument import INT_LIMIT, Instrument, assets_of
from market.universe import instruments

EVERY = instruments(300)
DEFAULT = ["BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT", "ADAUSDT", "LTCUSDT"]

LARGEST_SUPPLY_COINS = {
    "SHIB": 6 * 10**14,
    "PEPE": 5 * 10**14,
    "DOGE": 2 * 10**11,
    "XRP": 10**11,
    "VET": 9 * 10**10,
}


def test_the_default_list_is_the_eight_majors() -> None:
    assert [one.symbol for one in instruments()] == DEFAULT


@pytest.mark.parametrize("n", [1, 8, 9, 44, 45, 100, 299])
def test_a_symbol_id_means_the_same_in_every_longer_list(n: int) -> None:
    assert instruments(n) == EVERY[:n]


def test_names_and_assets_are_unique() -> None:
    assert len({one.symbol for one in EVERY}) == len(EVERY)
    assert len(assets_of(EVERY)) == len(EVERY) + 1


def test_after_the_real_pairs_come_synthetic_ones() -> None:
    assert [one.symbol for one in EVERY[43:46]] == ["QNTUSDT", "SIM001USDT", "SIM002USDT"]


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        instruments(0)


@pytest.mark.parametrize("one", EVERY, ids=lambda one: one.symbol)
def test_filters_make_sense_together(one: Instrument) -> None:
    assert one.quote.name == "USDT"
    assert one.quote.scale == 8
    assert one.min_price_ticks < one.start_price_ticks < one.max_price_ticks
    assert one.max_price_ticks >= 10 * one.start_price_ticks
    assert 1 <= one.min_qty_lots < one.market_max_qty_lots <= one.max_qty_lots
    # One tick is at most 0.2 % of the price, one lot at most 5 USDT.
    assert one.start_price_ticks >= 500
    assert one.start_price_ticks * one.tick * one.lot <= 5
    assert one.min_notional_units == 5 * 10**8
    assert one.max_num_orders == 200
    assert one.bid_multiplier_up_ppm == one.ask_multiplier_up_ppm == 5_000_000
    assert one.bid_multiplier_down_ppm == one.ask_multiplier_down_ppm == 200_000


@pytest.mark.parametrize("one", EVERY, ids=lambda one: one.symbol)
def test_the_largest_order_at_the_largest_price_fits(one: Instrument) -> None:
    assert one.max_price_ticks * one.max_qty_lots * one.quote_units_per_tick_lot < INT_LIMIT
    assert one.max_qty_lots * one.base_units_per_lot < INT_LIMIT
    largest_in_a_market_order = one.market_max_qty_lots * one.start_price_ticks * one.tick * one.lot
    assert largest_in_a_market_order >= Decimal(1_000_000)


def test_whole_supplies_fit_the_scales() -> None:
    scales = {one.base.name: one.base.scale for one in EVERY}
    for name, coins in LARGEST_SUPPLY_COINS.items():
        assert coins * 10 ** scales[name] < INT_LIMIT, name
