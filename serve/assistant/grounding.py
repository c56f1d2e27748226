"""Whether the figures of a text are figures that a tool told, so that a language model cannot make up numbers. Pure."""

import re
from collections.abc import Iterable
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from typing import Any, Final

_NUMBER: Final = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?|(?<=[A-Za-z])-?\d+(?:\.\d+)?")
SMALL: Final = 31
"""Whole numbers up to it are counts, days, ranks: words rather than figures, unless an amount of something."""
_AMOUNT: Final = re.compile(
    r" ?(%|percent|[A-Z]{2,10}\b|dollars?|coins?|k\b|thousand|[mb]illion|퍼센트|개|달러|원|천|만|억)"
)
MOST_FIGURES: Final = 20_000


def figures_of(value: Any) -> set[Decimal]:
    """Every number within a result, those in its texts included."""
    found: set[Decimal] = set()
    ahead: list[Any] = [value]
    while ahead and len(found) < MOST_FIGURES:
        one = ahead.pop()
        if isinstance(one, dict):
            ahead.extend(one.values())
        elif isinstance(one, (list, tuple)):
            ahead.extend(one)
            found.add(Decimal(len(one)))
        elif isinstance(one, str):
            found.update(numbers_in(one))
        elif isinstance(one, (int, float)) and not isinstance(one, bool):
            found.add(Decimal(repr(one)))
    return found


def numbers_in(text: str) -> list[Decimal]:
    return [Decimal(match[0].replace(",", "")) for match in _NUMBER.finditer(text)]


def ungrounded(text: str, figures: Iterable[Decimal]) -> list[str]:
    """Numbers of the text that are none of the figures, neither as they are, nor rounded, nor as a percentage."""
    known = {abs(one) for one in figures if one.is_finite()}
    known |= {one * 100 for one in known if one <= 1}
    bad = []
    for match in _NUMBER.finditer(text):
        shown = Decimal(match[0].replace(",", ""))
        value = abs(shown)
        amount = _AMOUNT.match(text, match.end()) or text[: match.start()].rstrip().endswith("$")
        if not amount and value <= SMALL and value == value.to_integral_value():
            continue
        if value not in known and not any(_rounds_to(one, value) for one in known):
            bad.append(str(shown))
    return bad


def _rounds_to(figure: Decimal, shown: Decimal) -> bool:
    if abs(figure - shown) > 1 or figure.adjusted() > 24:
        return False
    exponent = Decimal(1).scaleb(int(shown.as_tuple().exponent))
    return shown in (figure.quantize(exponent, ROUND_HALF_UP), figure.quantize(exponent, ROUND_DOWN))
