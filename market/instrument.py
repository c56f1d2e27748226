"""Assets, instruments and their filters, and the exact conversion between decimal strings and integers.

An amount of an asset is an integer number of units of 10^-scale. A price is an integer number of ticks, a quantity
an integer number of lots. `quote_units_per_tick_lot` makes notionals exact integers: price_ticks x qty_lots x that.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import msgspec

INT_LIMIT = 1 << 62
"""No price, quantity, notional or balance may reach it: sums of two stay inside 64 bits."""

PPM = 1_000_000
BIPS = 10_000

MAX_ICEBERG_PARTS = 100
"""Bounds what one command can cause: an iceberg trades at most so many times with one taker."""
MAX_ORDER_AMENDS = 4095
"""Counted in twelve bits."""


class Asset(msgspec.Struct, frozen=True):
    name: str
    scale: int
    """Decimal places; immutable once a balance exists."""


class Instrument(msgspec.Struct, frozen=True):
    """A trading pair. Filter names and meanings are the venue's (Binance Spot API, filters)."""

    symbol: str
    base: Asset
    quote: Asset
    tick: Decimal
    """PRICE_FILTER tickSize."""
    lot: Decimal
    """LOT_SIZE stepSize."""
    min_price_ticks: int
    max_price_ticks: int
    min_qty_lots: int
    max_qty_lots: int
    market_min_qty_lots: int
    market_max_qty_lots: int
    min_notional_units: int
    max_notional_units: int
    bid_multiplier_up_ppm: int
    bid_multiplier_down_ppm: int
    ask_multiplier_up_ppm: int
    ask_multiplier_down_ppm: int
    max_num_orders: int
    """Open orders per account in this symbol."""
    start_price_ticks: int
    """Where the simulated market opens when the symbol never traded. At a venue: about its price when it was listed, 0 where
    that was not known."""
    # What the filters below are compared with is the last price: the venue's avgPriceMins is 0 here.
    percent_multiplier_up_ppm: int = 0
    """PERCENT_PRICE, for both sides; 0: the symbol has no such filter."""
    percent_multiplier_down_ppm: int = 0
    iceberg_parts: int = 100
    min_trailing_above_bips: int = 10
    """TRAILING_DELTA of STOP_LOSS BUY and TAKE_PROFIT SELL; below: of the other two."""
    max_trailing_above_bips: int = 2000
    min_trailing_below_bips: int = 10
    max_trailing_below_bips: int = 2000
    max_num_order_amends: int = 10
    # Per account and symbol, counted by the account's side.
    max_num_algo_orders: int = 5
    max_num_iceberg_orders: int = 10
    max_num_order_lists: int = 20
    max_position_lots: int = 0
    """MAX_POSITION; 0: the symbol has no such filter."""

    @property
    def quote_units_per_tick_lot(self) -> int:
        return _exact(self.tick * self.lot * 10**self.quote.scale, f"{self.symbol}: tick x lot in quote units")

    @property
    def base_units_per_lot(self) -> int:
        return _exact(self.lot * 10**self.base.scale, f"{self.symbol}: lot in base units")

    def __post_init__(self) -> None:
        if self.max_price_ticks * self.max_qty_lots <= 0:
            raise ValueError(f"{self.symbol}: filters must be positive")
        if self.max_notional_units >= INT_LIMIT or self.max_qty_lots * self.base_units_per_lot >= INT_LIMIT:
            raise ValueError(f"{self.symbol}: the largest order does not fit 62 bits; lower the filter maxima")
        if not 0 < self.iceberg_parts <= MAX_ICEBERG_PARTS:
            raise ValueError(f"{self.symbol}: iceberg_parts must be 1 to {MAX_ICEBERG_PARTS}")
        if not 0 <= self.max_num_order_amends <= MAX_ORDER_AMENDS:
            raise ValueError(f"{self.symbol}: max_num_order_amends must be 0 to {MAX_ORDER_AMENDS}")
        deltas = (self.max_trailing_above_bips, self.max_trailing_below_bips)
        if not all(0 < most < BIPS for most in deltas):
            raise ValueError(f"{self.symbol}: a trailing delta must stay below {BIPS} bips")
        _ = self.quote_units_per_tick_lot


class NotAMultiple(ValueError):
    """A decimal is not a whole number of ticks, lots or units."""


class OutOfRange(ValueError):
    """A decimal is negative, not finite or beyond INT_LIMIT."""


def _exact(value: Decimal, what: str) -> int:
    whole = int(value)
    if whole != value or whole < 1:
        raise ValueError(f"{what} must be a whole number, got {value}")
    return whole


def to_steps(value: Decimal, step: Decimal) -> int:
    """`value / step` as an exact integer >= 0; raises `OutOfRange` or `NotAMultiple`."""
    if not value.is_finite() or (value.is_signed() and value != 0) or value.adjusted() > 30:
        raise OutOfRange(str(value))
    if value.adjusted() < -30 and value != 0:
        raise NotAMultiple(str(value))
    steps, rest = divmod(value, step)
    if rest:
        raise NotAMultiple(str(value))
    if steps >= INT_LIMIT:
        raise OutOfRange(str(value))
    return int(steps)


def places(step: Decimal) -> int:
    """Decimal places that a multiple of `step` needs."""
    exponent = step.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return max(0, -exponent)


def from_steps(steps: int, step: Decimal) -> str:
    """The decimal string of `steps * step` with the fixed places of the step; exact, never scientific."""
    return format(steps * step, f".{places(step)}f")


def from_units(units: int, scale: int) -> str:
    """The decimal string of `units * 10^-scale`, exact."""
    if scale == 0:
        return str(units)
    sign, units = ("-", -units) if units < 0 else ("", units)
    whole, part = divmod(units, 10**scale)
    return f"{sign}{whole}.{part:0{scale}d}"


class Grid(dict[int, str]):
    """Multiples of a step (tick, lot, smallest unit) as decimal strings, exact as `from_steps`; steps >= 0.

    Remembers some, both ways: most prices and quantities come again, at least when their order is canceled.
    """

    REMEMBERED: Final = 4096

    def __init__(self, step: Decimal) -> None:
        self.step = step
        self.places = places(step)
        self.per_step = int(step.scaleb(self.places))
        """One step in units of 10^-places."""
        self.steps: dict[str, int] = {}
        """What was read."""
        self._per_unit = 10**self.places
        self._format = f"%d.%0{self.places}d" if self.places else "%d%.0s"

    def __missing__(self, steps: int) -> str:
        if len(self) >= self.REMEMBERED:
            self.clear()
        text: str = self._format % divmod(steps * self.per_step, self._per_unit)
        self[steps] = text
        return text

    def remember(self, text: str, steps: int) -> None:
        if len(self.steps) >= self.REMEMBERED:
            self.steps.clear()
        self.steps[text] = steps


def assets_of(instruments: Sequence[Instrument]) -> list[Asset]:
    """Every asset of the instruments, each once, in order of first appearance (quote before base)."""
    found: dict[str, Asset] = {}
    for one in instruments:
        for asset in (one.quote, one.base):
            if found.setdefault(asset.name, asset) != asset:
                raise ValueError(f"asset {asset.name} appears with two scales")
    return list(found.values())
