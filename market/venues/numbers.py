"""Numbers of the wire to whole ticks and lots, exact, without a Decimal for most of them.

Two ways. `FloatGrid` takes doubles, which msgspec reads off the wire in C, whether the venue writes a JSON number or a
text: n steps of 10^-k are the double n / 10^k, rounded once, and so are found again exactly below 10^15. `TextGrid`
takes the digits themselves and is exact to INT_LIMIT: for venues that write more digits than a double has.
A number that is no multiple of its step is rounded (price to the nearest, halves up; quantity down) and counted.
"""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from math import gcd
from typing import Final

from market.instrument import INT_LIMIT, places
from market.venues.events import Level, Steps

REMEMBERED: Final = 4096
"""Texts kept per grid, half a megabyte; then it starts again from nothing. Most prices and quantities come again."""
EXACT: Final = 10**15
"""Below it every whole number of units has digits of its own among the doubles."""
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


class FloatGrid:
    """Doubles to steps. What is not plainly on the grid is read again by the shortest digits that name the double."""

    __slots__ = ("_texts", "per_step", "per_unit")

    def __init__(self, texts: TextGrid) -> None:
        self._texts = texts
        self.per_unit: Final = float(10 ** places(texts.step))
        self.per_step: Final = int(texts.step.scaleb(places(texts.step)))

    def __getitem__(self, value: float) -> int:
        try:
            units = int(value * self.per_unit + 0.5)
        except (ValueError, OverflowError):
            raise BadNumber(f"{self._texts.what} {value} is no number") from None
        if units / self.per_unit != value or units > EXACT:
            return self.odd(value)
        if self.per_step == 1:
            return units
        steps, rest = divmod(units, self.per_step)
        return self.odd(value) if rest else steps

    def odd(self, value: float) -> int:
        return self._texts[repr(value).removesuffix(".0")]


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

    def levels(self, pairs: Sequence[tuple[str, str]]) -> list[Level]:
        ticks, lots = self.ticks, self.lots
        return [(ticks[price], lots[qty]) for price, qty in pairs]

    def levels_of(self, pairs: Sequence[tuple[float, float]]) -> list[Level]:
        """`ticks_of` and `lots_of` written out: a call a number would double what a book costs."""
        ticks, lots = self.ticks_of, self.lots_of
        per_price, price_step, per_qty, qty_step = ticks.per_unit, ticks.per_step, lots.per_unit, lots.per_step
        found = []
        try:
            for price, qty in pairs:
                tick, lot = int(price * per_price + 0.5), int(qty * per_qty + 0.5)
                if tick / per_price != price or tick > EXACT:
                    tick = ticks[price]
                elif price_step != 1:
                    tick = ticks[price] if tick % price_step else tick // price_step
                if lot / per_qty != qty or lot > EXACT:
                    lot = lots[qty]
                elif qty_step != 1:
                    lot = lots[qty] if lot % qty_step else lot // qty_step
                found.append((tick, lot))
        except BadNumber:
            raise
        except (ValueError, OverflowError):
            raise BadNumber("a level that is no number") from None
        return found


def _ratio(numerator: int, denominator: int) -> tuple[int, int]:
    common = gcd(numerator, denominator)
    return numerator // common, denominator // common
