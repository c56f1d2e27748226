"""A symbol's integers as the venue's decimal strings (eight places, always), and back. Pure."""

from typing import Final

from market.decimals import PLACES, Grid, fixed
from serve.orders import Terms

ZERO: Final = fixed(0)


class Texts(dict[int, str]):
    """Multiples of a step as strings; remembers some, for most prices and quantities come again."""

    REMEMBERED: Final = 4096

    def __init__(self, units: int) -> None:
        self._units = units

    def __missing__(self, steps: int) -> str:
        if len(self) >= self.REMEMBERED:
            self.clear()
        text = self[steps] = fixed(steps * self._units)
        return text


class Scale:
    """One symbol with all that its numbers need at hand. Units are 10^-8."""

    __slots__ = (
        "instrument",
        "lot",
        "price",
        "quantity",
        "quote",
        "quote_unit",
        "symbol",
        "symbol_id",
        "terms",
        "tick",
    )

    def __init__(self, terms: Terms) -> None:
        grid = Grid.of(terms.instrument)
        self.terms = terms
        self.instrument = terms.instrument
        self.symbol = terms.symbol
        self.symbol_id = terms.symbol_id
        self.tick = grid.tick
        self.lot = grid.lot
        if grid.quote_denominator != 1:
            raise ValueError(f"{self.symbol}: {terms.quote.name} has more than {PLACES} places")
        self.quote_unit = grid.quote_numerator
        self.price = Texts(self.tick)
        self.quantity = Texts(self.lot)
        self.quote = Texts(self.quote_unit)


def amount(units: int, scale: int) -> str:
    """Units of 10^-scale of an asset, scale at most 8."""
    return fixed(units * 10 ** (PLACES - scale))
