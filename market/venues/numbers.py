"""Decimal numbers of the wire to whole ticks and lots, exact, without a Decimal for most of them.

A number that is no multiple of its step is rounded (price to the nearest, halves up; quantity down) and counted.
Texts and floats that were seen are remembered: most prices and quantities come again.
"""

from decimal import Decimal, InvalidOperation
from math import gcd
from typing import Final

from market.instrument import INT_LIMIT, places
from market.venues.events import Level, Steps

REMEMBERED: Final = 16_384
"""Numbers kept per grid: some 2 MB for a busy symbol; then it starts again from nothing."""
MAX_DIGITS: Final = 40
"""Of a number on the wire: longer ones are refused before arithmetic on them costs anything."""


class BadNumber(ValueError):
    """Not a number, negative, or beyond INT_LIMIT steps."""


class TextGrid(dict[str, int]):
    """Decimal strings to steps: `grid["61837.63"]`."""

    def __init__(self, step: Decimal, what: str, nearest: bool) -> None:
        if not (step.is_finite() and step > 0):
            raise ValueError(f"{what} step must be positive, got {step}")
        self.step: Final = step
        self.what: Final = what
        self.nearest: Final = nearest
        self.off_grid = 0
        per_step = int(step.scaleb(places(step)))
        self._ratios = [_ratio(10 ** places(step), 10**digits * per_step) for digits in range(MAX_DIGITS + 1)]
        """By digits after the point: a number without its point times first, through second, is steps."""

    def __missing__(self, text: str) -> int:
        whole, _, part = text.partition(".")
        digits = whole + part
        if len(digits) > MAX_DIGITS or not digits.isdecimal():
            return self._odd(text)
        times, through = self._ratios[len(part)]
        steps, rest = divmod(int(digits) * times, through)
        if steps >= INT_LIMIT:
            raise BadNumber(f"{self.what} {text!r} is beyond the limit")
        if rest:
            return self._off(steps, 2 * rest >= through)
        if len(self) >= REMEMBERED:
            self.clear()
        self[text] = steps
        return steps

    def _odd(self, text: str) -> int:
        """Scientific notation, which some venues write, and everything that is wrong."""
        if len(text) > MAX_DIGITS:
            raise BadNumber(f"{self.what} has {len(text)} characters")
        try:
            value = Decimal(text)
        except InvalidOperation:
            raise BadNumber(f"{self.what} {text!r} is no number") from None
        if not value.is_finite() or value < 0 or value.adjusted() > MAX_DIGITS:
            raise BadNumber(f"{self.what} {text!r} is out of range")
        if value.adjusted() < -MAX_DIGITS:
            return self._off(0, False) if value else 0
        steps, rest = divmod(value, self.step)
        if steps >= INT_LIMIT:
            raise BadNumber(f"{self.what} {text!r} is beyond the limit")
        return self._off(int(steps), 2 * rest >= self.step) if rest else int(steps)

    def _off(self, steps: int, above_half: bool) -> int:
        self.off_grid += 1
        return steps + 1 if self.nearest and above_half else steps


class FloatGrid(dict[float, int]):
    """JSON numbers to steps, by the shortest digits that name the float: what a venue that computes in doubles wrote.

    Exact up to 15 digits whatever it wrote; more than 17 it cannot mean.
    """

    def __init__(self, texts: TextGrid) -> None:
        self._texts = texts

    def __missing__(self, value: float) -> int:
        before = self._texts.off_grid
        text = repr(value)
        steps = self._texts[text.removesuffix(".0")]
        if self._texts.off_grid == before:
            if len(self) >= REMEMBERED:
                self.clear()
            self[value] = steps
        return steps


class Listed:
    """One symbol of an adapter: its two names and its grids."""

    __slots__ = ("code", "lots", "lots_of", "symbol", "ticks", "ticks_of")

    def __init__(self, symbol: str, code: str, steps: Steps) -> None:
        self.symbol = symbol
        self.code = code
        self.ticks = TextGrid(steps.tick, "price", nearest=True)
        self.lots = TextGrid(steps.lot, "quantity", nearest=False)
        self.ticks_of = FloatGrid(self.ticks)
        self.lots_of = FloatGrid(self.lots)

    @property
    def off_grid(self) -> int:
        return self.ticks.off_grid + self.lots.off_grid

    def levels(self, pairs: list[tuple[str, str]]) -> list[Level]:
        ticks, lots = self.ticks, self.lots
        return [(ticks[price], lots[qty]) for price, qty in pairs]


def _ratio(numerator: int, denominator: int) -> tuple[int, int]:
    common = gcd(numerator, denominator)
    return numerator // common, denominator // common
