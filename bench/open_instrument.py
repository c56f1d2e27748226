"""An instrument whose filters let everything pass: what is measured is the engine."""

from decimal import Decimal

from market.instrument import PPM, Asset, Instrument

_WIDE = 1 << 40


def open_instrument(
    symbol: str = "BENCH", tick: Decimal = Decimal(1), lot: Decimal = Decimal(1), scale: int = 0
) -> Instrument:
    """`scale`: of the quote asset, such that tick times lot is whole."""
    return Instrument(
        symbol=symbol, base=Asset("A", scale), quote=Asset("B", scale), tick=tick, lot=lot, min_price_ticks=1,
        max_price_ticks=_WIDE, min_qty_lots=1, max_qty_lots=_WIDE, market_min_qty_lots=1, market_max_qty_lots=_WIDE,
        min_notional_units=1, max_notional_units=1 << 60, bid_multiplier_up_ppm=1000 * PPM, bid_multiplier_down_ppm=0,
        ask_multiplier_up_ppm=1000 * PPM, ask_multiplier_down_ppm=0, max_num_orders=1 << 30, max_num_order_amends=4095,
        start_price_ticks=1,
    )  # fmt: skip
