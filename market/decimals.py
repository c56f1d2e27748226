"""Decimal strings of the Binance surface: prices, quantities and amounts with eight places, whatever tick and lot are."""

from typing import Final, NamedTuple

from market.instrument import Instrument, from_units, places

PLACES: Final = 8
"""The venue's `baseAssetPrecision` and `quotePrecision`."""
_ONE: Final = 10**PLACES


def fixed(units: int) -> str:
    """The decimal string of `units` x 10^-8."""
    if units < 0:
        return "-" + fixed(-units)
    return f"{units // _ONE}.{units % _ONE:08d}"


def rounded(numerator: int, denominator: int) -> int:
    """The nearest integer to a fraction, halves away from zero; 0 when the denominator is 0."""
    if denominator == 0:
        return 0
    if denominator < 0:
        numerator, denominator = -numerator, -denominator
    size = (2 * abs(numerator) + denominator) // (2 * denominator)
    return -size if numerator < 0 else size


def percent(change: int, base: int) -> str:
    """`change / base` in percent with the venue's three places; 0.000 for a base of 0."""
    return from_units(rounded(change * 100_000, base), 3)


class Grid(NamedTuple):
    """Units of 10^-8 in a tick, in a lot, and in 10^-scale of the quote asset."""

    tick: int
    lot: int
    quote_numerator: int
    quote_denominator: int

    @classmethod
    def of(cls, one: Instrument) -> "Grid":
        if max(places(one.tick), places(one.lot)) > PLACES:
            raise ValueError(f"{one.symbol}: tick and lot must not be finer than 10^-{PLACES}")
        finer = one.quote.scale - PLACES
        return cls(int(one.tick * _ONE), int(one.lot * _ONE), 10 ** max(0, -finer), 10 ** max(0, finer))

    def price(self, ticks: int) -> str:
        return fixed(ticks * self.tick)

    def quantity(self, lots: int) -> str:
        return fixed(lots * self.lot)

    def quote(self, units: int) -> str:
        return fixed(self.quote_in_units(units))

    def quote_in_units(self, units: int) -> int:
        """Units of 10^-8 for units of 10^-scale."""
        return units * self.quote_numerator // self.quote_denominator

    def average(self, quote_units: int, lots: int) -> str:
        """Price per base asset: quote amount over quantity, rounded to eight places; 0 for nothing."""
        return fixed(rounded(self.quote_in_units(quote_units) * _ONE, lots * self.lot))
