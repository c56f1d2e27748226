"""Decimals as clients may write them: from text straight to a whole number of steps, without a Decimal between.

`Decimal` alone reads more than the contract says: `1_000`, ` 1 `, digits of any script. A client that sends such a thing
means something else or has a broken formatter: it is told.
"""

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Final

from msgspec import Meta

from market.instrument import INT_LIMIT, Grid, NotAMultiple, OutOfRange, to_steps
from serve.errors import ApiError, Code

Amount = Annotated[
    Any,
    Meta(
        description="A decimal as a string or a number: ASCII digits, no spaces, no underscores.",
        examples=["0.01"],
        extra_json_schema={"type": ["string", "number"], "format": "decimal"},
    ),
]
"""In a request: str, int, Decimal (a JSON number, see `float_hook`), float (MessagePack's). `steps_of` refuses others."""

_TENS: Final = [10**k for k in range(20)]


def float_hook(literal: str) -> Decimal | str:
    """For JSON decoders: every digit of a number counts. What no Decimal can hold is left for `steps_of` to refuse."""
    try:
        return Decimal(literal)
    except ArithmeticError:
        return ""


def steps_of(value: Any, grid: Grid, field: str, code: Code, what: str) -> int:
    """An amount as a whole number of the grid's steps above zero, or ApiError naming the field."""
    if type(value) is str:
        known = grid.steps.get(value)
        if known is not None:
            return known
        if steps := _digits(value, grid):
            grid.remember(value, steps)
            return steps
    return _steps_of_decimal(_decimal(value, field), grid.step, field, code, what)


def _digits(text: str, grid: Grid) -> int:
    """Plain digits with or without a point as steps; 0 for everything else."""
    whole, _, part = text.partition(".")
    if len(part) > grid.places:
        part = part.rstrip("0")
    digits = whole + part
    missing = grid.places - len(part)
    if missing < 0 or len(digits) >= len(_TENS) or not digits.isdigit() or not digits.isascii():
        return 0
    steps, rest = divmod(int(digits) * _TENS[missing], grid.per_step)
    return 0 if rest or steps >= INT_LIMIT else steps


def _decimal(value: Any, field: str) -> Decimal:
    if value is None:
        raise ApiError(Code.VALIDATION, f"The order needs a {field}.", field)
    if isinstance(value, Decimal):
        return value
    if isinstance(value, float):
        value = repr(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    if not isinstance(value, str):
        raise ApiError(Code.VALIDATION, f"The {field} must be a decimal, as a string or a number.", field)
    if value.isascii() and "_" not in value and value.strip() == value:
        try:
            return Decimal(value)
        except ArithmeticError:
            pass
    raise ApiError(Code.VALIDATION, f"The {field} is not a decimal.", field)


def _steps_of_decimal(value: Decimal, step: Decimal, field: str, code: Code, what: str) -> int:
    try:
        steps = to_steps(value, step)
    except NotAMultiple:
        raise ApiError(code, f"The {field} must be a multiple of the {what}, {step.normalize():f}.", field) from None
    except (OutOfRange, InvalidOperation):  # the quotient has more digits than a division keeps
        raise ApiError(Code.VALIDATION, f"The {field} must be a finite, positive, reasonable number.", field) from None
    if steps <= 0:
        raise ApiError(Code.VALIDATION, f"The {field} must be above zero.", field)
    return steps
