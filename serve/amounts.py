"""Decimals as clients may write them, and how the decoders take them.

`Decimal` alone reads more than the contract says: `1_000`, ` 1 `, digits of any script. A client that sends such a thing
means something else or has a broken formatter: it is told.
"""

from decimal import Decimal
from typing import Any


class Amount(Decimal):
    """A request's number, from a JSON number or a decimal string."""

    __slots__ = ()


def float_hook(literal: str) -> Decimal | str:
    """For JSON decoders: every digit of a number counts. What no Decimal can hold is left for `dec_hook` to refuse."""
    try:
        return Decimal(literal)
    except ArithmeticError:
        return ""


def dec_hook(kind: type, value: Any) -> Any:
    """For msgspec decoders of structs with an Amount. ValueError becomes msgspec's ValidationError with the path."""
    if kind is not Amount:
        raise NotImplementedError(kind)
    if type(value) is str:
        if value.isascii() and "_" not in value and value.strip() is value:
            try:
                return Amount(value)
            except ArithmeticError:
                pass
        raise ValueError("Invalid decimal string")
    if type(value) is int:
        return Amount(value)
    if type(value) is float:  # MessagePack's; JSON's numbers come as Decimal
        return Amount(repr(value))
    if isinstance(value, Decimal):
        return Amount(value)
    raise ValueError(f"Expected a decimal, got `{type(value).__name__}`")
