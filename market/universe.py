"""The venue's list of instruments: real USDT pairs first, synthetic ones after them.

A symbol id is a position in this list, so the table below never changes its order and a longer list begins
with every shorter one. Filters have the shape and order of magnitude of the Binance Spot API's
(`exchangeInfo`); prices are of January 2025. Must not know who trades these instruments or how.
"""

from decimal import Decimal

from market.instrument import INT_LIMIT, PPM, Asset, Instrument, to_steps

USDT = Asset("USDT", 8)

MIN_NOTIONAL_USDT = 5
MAX_NOTIONAL_USDT = 9_000_000
MAX_NUM_ORDERS = 200
MAX_NUM_ALGO_ORDERS = 5
MAX_NUM_ICEBERG_ORDERS = 10
MAX_NUM_ORDER_LISTS = 20
MAX_NUM_ORDER_AMENDS = 10
ICEBERG_PARTS = 100
TRAILING_DELTA_BIPS = (10, 2000)
MULTIPLIER_UP_PPM = 5 * PPM
MULTIPLIER_DOWN_PPM = PPM // 5

LARGEST_ORDER_USDT = 400_000_000
"""LOT_SIZE maxQty at the start price. With prices up to 100 times that, the largest price times the largest
quantity stays below `INT_LIMIT` units of 10^-8 USDT (46 billion USDT)."""
MARKET_LOT_DIVISOR = 10
"""MARKET_LOT_SIZE maxQty is this part of LOT_SIZE maxQty."""

# Base asset, its scale, tick, lot, start price. The scale leaves the whole supply room in 62 bits.
_LISTED: tuple[tuple[str, int, str, str, str], ...] = (
    ("BTC", 8, "0.01", "0.00001", "95000.00"),
    ("ETH", 8, "0.01", "0.0001", "3300.00"),
    ("BNB", 8, "0.01", "0.001", "650.00"),
    ("SOL", 8, "0.01", "0.001", "190.00"),
    ("XRP", 6, "0.0001", "0.1", "2.2000"),
    ("DOGE", 6, "0.00001", "1", "0.32000"),
    ("ADA", 6, "0.0001", "0.1", "0.9000"),
    ("LTC", 8, "0.01", "0.001", "105.00"),
    ("TRX", 6, "0.0001", "0.1", "0.2500"),
    ("AVAX", 8, "0.01", "0.01", "37.00"),
    ("LINK", 8, "0.01", "0.01", "20.00"),
    ("DOT", 8, "0.001", "0.01", "7.000"),
    ("TON", 8, "0.001", "0.01", "5.500"),
    ("SHIB", 2, "0.00000001", "1", "0.00002150"),
    ("BCH", 8, "0.1", "0.001", "440.0"),
    ("NEAR", 8, "0.001", "0.1", "5.000"),
    ("UNI", 8, "0.001", "0.01", "13.000"),
    ("APT", 8, "0.001", "0.01", "9.000"),
    ("ICP", 8, "0.001", "0.01", "10.000"),
    ("ETC", 8, "0.01", "0.01", "26.00"),
    ("XLM", 6, "0.0001", "1", "0.4000"),
    ("ATOM", 8, "0.001", "0.01", "6.500"),
    ("FIL", 8, "0.001", "0.01", "5.200"),
    ("HBAR", 6, "0.00001", "1", "0.28000"),
    ("VET", 6, "0.00001", "0.1", "0.04500"),
    ("ARB", 8, "0.0001", "0.1", "0.7500"),
    ("OP", 8, "0.001", "0.01", "1.800"),
    ("INJ", 8, "0.01", "0.01", "20.00"),
    ("SUI", 8, "0.0001", "0.1", "4.5000"),
    ("AAVE", 8, "0.01", "0.001", "310.00"),
    ("ALGO", 6, "0.0001", "1", "0.3500"),
    ("GRT", 6, "0.0001", "1", "0.2000"),
    ("SAND", 6, "0.0001", "1", "0.5500"),
    ("MANA", 6, "0.0001", "1", "0.5000"),
    ("XTZ", 8, "0.001", "0.1", "1.300"),
    ("THETA", 8, "0.001", "0.1", "2.200"),
    ("AXS", 8, "0.001", "0.01", "6.200"),
    ("PEPE", 2, "0.00000001", "1", "0.00001800"),
    ("RUNE", 8, "0.001", "0.1", "4.800"),
    ("SEI", 6, "0.0001", "0.1", "0.4200"),
    ("TIA", 8, "0.0001", "0.01", "4.8000"),
    ("IMX", 8, "0.001", "0.01", "1.300"),
    ("LDO", 8, "0.001", "0.01", "1.800"),
    ("QNT", 8, "0.1", "0.001", "105.0"),
)

# A synthetic price has five digits; its first stands at one of these powers of ten.
_EXPONENTS = (2, 0, -1, 1, -2)
_FEWEST_TICKS, _TICK_SPAN, _TICK_STRIDE = 10_000, 90_000, 55_603


def instruments(n: int = 8) -> list[Instrument]:
    """The first `n` instruments of the venue (n >= 1); `instruments(n)[i]` is the same for every n > i."""
    if n < 1:
        raise ValueError(f"a venue lists at least one instrument, got {n}")
    return [_listed(*_LISTED[i]) if i < len(_LISTED) else _synthetic(i - len(_LISTED)) for i in range(n)]


def _listed(base: str, scale: int, tick: str, lot: str, price: str) -> Instrument:
    return _instrument(Asset(base, scale), Decimal(tick), Decimal(lot), Decimal(price))


def _synthetic(k: int) -> Instrument:
    """SIM001USDT, SIM002USDT, ...: integer arithmetic on the number alone, the same on every machine."""
    exponent = _EXPONENTS[k % len(_EXPONENTS)]
    tick = Decimal(1).scaleb(exponent - 4)
    lot = Decimal(1).scaleb(-max(exponent + 1, 0))
    ticks = _FEWEST_TICKS + k * _TICK_STRIDE % _TICK_SPAN
    return _instrument(Asset(f"SIM{k + 1:03d}", 8 if exponent >= 0 else 6), tick, lot, ticks * tick)


def _instrument(base: Asset, tick: Decimal, lot: Decimal, price: Decimal) -> Instrument:
    unit = Decimal(1).scaleb(USDT.scale)
    ceiling = Decimal(1).scaleb(price.adjusted() + 2)
    max_qty = 9 * Decimal(1).scaleb((LARGEST_ORDER_USDT / (9 * price)).adjusted())
    max_qty_lots = to_steps(max_qty, lot)
    made = Instrument(
        symbol=base.name + USDT.name,
        base=base,
        quote=USDT,
        tick=tick,
        lot=lot,
        min_price_ticks=1,
        max_price_ticks=to_steps(ceiling, tick),
        min_qty_lots=1,
        max_qty_lots=max_qty_lots,
        market_min_qty_lots=1,
        market_max_qty_lots=max_qty_lots // MARKET_LOT_DIVISOR,
        min_notional_units=int(MIN_NOTIONAL_USDT * unit),
        max_notional_units=int(MAX_NOTIONAL_USDT * unit),
        bid_multiplier_up_ppm=MULTIPLIER_UP_PPM,
        bid_multiplier_down_ppm=MULTIPLIER_DOWN_PPM,
        ask_multiplier_up_ppm=MULTIPLIER_UP_PPM,
        ask_multiplier_down_ppm=MULTIPLIER_DOWN_PPM,
        max_num_orders=MAX_NUM_ORDERS,
        start_price_ticks=to_steps(price, tick),
        iceberg_parts=ICEBERG_PARTS,
        min_trailing_above_bips=TRAILING_DELTA_BIPS[0],
        max_trailing_above_bips=TRAILING_DELTA_BIPS[1],
        min_trailing_below_bips=TRAILING_DELTA_BIPS[0],
        max_trailing_below_bips=TRAILING_DELTA_BIPS[1],
        max_num_order_amends=MAX_NUM_ORDER_AMENDS,
        max_num_algo_orders=MAX_NUM_ALGO_ORDERS,
        max_num_iceberg_orders=MAX_NUM_ICEBERG_ORDERS,
        max_num_order_lists=MAX_NUM_ORDER_LISTS,
    )
    assert made.max_price_ticks * made.max_qty_lots * made.quote_units_per_tick_lot < INT_LIMIT
    return made
