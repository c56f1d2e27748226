"""Parameters by declaration: a struct per request whose fields name, type and demand them as the venue does.

A field's annotation says how its text is read; without a default it is mandatory. What comes out is a typed struct:
symbols as their terms, decimals as whole numbers of 10^-8, enums as the exchange's own numbers, times in nanoseconds.
"""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Generic, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from market.enums import CancelRestriction, OrdType, PegType, Side, StpMode, TimeInForce
from serve.binance.errors import (
    BAD_STRATEGY_TYPE,
    DUPLICATE_SYMBOLS,
    EMPTY_NEW_ID,
    EMPTY_ORIG_ID,
    INVALID_ORDER_TYPE,
    INVALID_PEG_OFFSET_TYPE,
    INVALID_PEG_TYPE,
    INVALID_RESTRICTIONS,
    INVALID_SIDE,
    INVALID_SYMBOL,
    INVALID_TIF,
    BinanceError,
    empty,
    illegal,
    invalid_data,
    missing,
    overflowed,
    too_large,
    too_many,
    too_precise,
    unread,
)
from serve.binance.signing import LONG_RANGE, microseconds
from serve.orders import OrderDesk, Terms

DECIMAL_RANGE: Final = "^([0-9]{1,20})(\\.[0-9]{1,20})?$"
SYMBOL_RANGE: Final = "^[A-Z0-9-_.]{1,20}$"
SYMBOLS_RANGE: Final = '^\\[("[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}){0,1}\\]$'
CLIENT_ID_RANGE: Final = "^[a-zA-Z0-9-_]{1,36}$"
PLACES: Final = 8
ONE: Final = 10**PLACES
"""Decimals are read as whole numbers of 10^-8."""
LARGEST: Final = 2**63 - 1
MAX_LIMIT: Final = 1000
MIN_STRATEGY_TYPE: Final = 1_000_000
LARGEST_OFFSET: Final = 2**31 - 1

_SYMBOL: Final = re.compile(SYMBOL_RANGE)
_SYMBOLS: Final = re.compile(SYMBOLS_RANGE)
_CLIENT_ID: Final = re.compile(CLIENT_ID_RANGE)

Read = Callable[[str, str], Any]
"""(name, text) -> value; raises BinanceError."""


class Kind:
    """How a text is read, once the symbols of the exchange are known."""

    def __init__(self, bind: Callable[[OrderDesk], Read], on_empty: tuple[int, str] | None = None) -> None:
        self.bind = bind
        self.on_empty = on_empty


def kind(read: Read, on_empty: tuple[int, str] | None = None) -> Kind:
    return Kind(lambda _: read, on_empty)


def _words(words: Mapping[str, Any], error: tuple[int, str] | None = None) -> Kind:
    def read(name: str, text: str) -> Any:
        try:
            return words[text]
        except KeyError:
            raise (invalid_data(name) if error is None else BinanceError(*error)) from None

    return kind(read)


def decimal(name: str, text: str) -> int:
    whole, point, part = text.partition(".")
    if not (whole.isdigit() and text.isascii() and len(whole) <= 20) or (
        point and not (part.isdigit() and len(part) <= 20)
    ):
        raise illegal(name, DECIMAL_RANGE)
    if len(part) > PLACES:
        part = part.rstrip("0")
        if len(part) > PLACES:
            raise too_precise(name)
    value = int(whole) * ONE + (int(part.ljust(PLACES, "0")) if part else 0)
    if value > LARGEST:
        raise overflowed(name)
    return value


def whole(name: str, text: str) -> int:
    if not (text.isdigit() and text.isascii() and len(text) <= 20):
        raise illegal(name, LONG_RANGE)
    value = int(text)
    if value > LARGEST:
        raise overflowed(name)
    return value


def boolean(name: str, text: str) -> bool:
    lowered = text.lower()
    if lowered not in ("true", "false"):
        raise illegal(name, "^(true|false)$")
    return lowered == "true"


def nanoseconds(name: str, text: str) -> int:
    value = microseconds(name, text) * 1000
    if value > LARGEST:
        raise overflowed(name)
    return value


def client_id(name: str, text: str) -> str:
    if not _CLIENT_ID.fullmatch(text):
        raise illegal(name, CLIENT_ID_RANGE)
    return text


def _limit(most: int, cut: bool) -> Read:
    def read(name: str, text: str) -> int:
        value = whole(name, text)
        if not value:
            raise invalid_data(name)
        if value > most and not cut:
            raise too_large(name, most)
        return min(value, most)

    return read


def _strategy_type(name: str, text: str) -> int:
    value = whole(name, text)
    if value < MIN_STRATEGY_TYPE:
        raise BinanceError(*BAD_STRATEGY_TYPE)
    if value > LARGEST_OFFSET:
        raise overflowed(name)
    return value


def symbol_names(name: str, text: str) -> list[str]:
    """From a JSON array of names; whether they are traded is not looked at."""
    if not _SYMBOLS.fullmatch(text):
        raise illegal(name, SYMBOLS_RANGE)
    found = [one.strip('"') for one in text[1:-1].split(",") if one]
    if len(set(found)) != len(found):
        raise BinanceError(*DUPLICATE_SYMBOLS)
    return found


def _symbol(desk: OrderDesk) -> Read:
    by_name = desk.by_name

    def read(name: str, text: str) -> Terms:
        found = by_name.get(text)
        if found is None:
            if not _SYMBOL.fullmatch(text):
                raise illegal(name, SYMBOL_RANGE)
            raise BinanceError(*INVALID_SYMBOL)
        return found

    return read


def _symbols(desk: OrderDesk) -> Read:
    read_one = _symbol(desk)

    def read(name: str, text: str) -> list[Terms]:
        return [read_one(name, one) for one in symbol_names(name, text)]

    return read


def free_text(name: str, text: str) -> str:
    return text


Symbol = Annotated[Terms, Kind(_symbol)]
Symbols = Annotated[list[Terms], Kind(_symbols)]
Decimal8 = Annotated[int, kind(decimal)]
"""A whole number of 10^-8."""
Long = Annotated[int, kind(whole)]
Bool = Annotated[bool, kind(boolean)]
TimeNs = Annotated[int, kind(nanoseconds)]
ClientId = Annotated[str, kind(client_id)]
NewClientId = Annotated[str, kind(client_id, EMPTY_NEW_ID)]
OrigClientId = Annotated[str, kind(client_id, EMPTY_ORIG_ID)]
Limit1000 = Annotated[int, kind(_limit(MAX_LIMIT, cut=True))]
DepthLimit = Annotated[int, kind(_limit(5000, cut=True))]
Text = Annotated[str, kind(free_text)]
StrategyType = Annotated[int, kind(_strategy_type)]
SideOf = Annotated[int, _words({one.name: int(one) for one in Side}, INVALID_SIDE)]
TypeOf = Annotated[int, _words({one.name: int(one) for one in OrdType}, INVALID_ORDER_TYPE)]
TifOf = Annotated[int, _words({one.name: int(one) for one in TimeInForce}, INVALID_TIF)]
StpOf = Annotated[int, _words({one.name: int(one) for one in StpMode})]
PegOf = Annotated[int, _words({one.name: int(one) for one in PegType if one}, INVALID_PEG_TYPE)]
PegOffsetTypeOf = Annotated[str, _words({"PRICE_LEVEL": "PRICE_LEVEL"}, INVALID_PEG_OFFSET_TYPE)]
RestrictionOf = Annotated[int, _words({one.name: int(one) for one in CancelRestriction if one}, INVALID_RESTRICTIONS)]
RespTypeOf = Annotated[str, _words({one: one for one in ("ACK", "RESULT", "FULL")})]


def words(*allowed: str, error: tuple[int, str] | None = None) -> Kind:
    return _words({one: one for one in allowed}, error)


class Params(msgspec.Struct, kw_only=True, gc=False):
    """A request's parameters beyond `timestamp`, `recvWindow` and `signature`."""


P = TypeVar("P", bound=Params)


class Reading(Generic[P]):
    """Of one struct, made once."""

    __slots__ = ("_fields", "_mandatory", "_struct")

    def __init__(self, struct: type[P], desk: OrderDesk) -> None:
        self._struct = struct
        hints = get_type_hints(struct, include_extras=True)
        self._fields: dict[str, tuple[Read, tuple[int, str] | None]] = {}
        for field in msgspec.structs.fields(struct):
            one = _kind_of(hints[field.name])
            self._fields[field.name] = one.bind(desk), one.on_empty
        self._mandatory = [field.name for field in msgspec.structs.fields(struct) if field.required]

    def read(self, values: dict[str, str], apart: int, strict: bool) -> P:
        """`apart`: parameters sent and read beyond these values. Raises BinanceError.

        Over what was sent, not over what could be: an order has a third of its parameters.
        """
        found = {}
        fields = self._fields
        for name, text in values.items():
            field = fields.get(name)
            if field is None:
                continue
            if not text:
                raise empty(name) if field[1] is None else BinanceError(*field[1])
            found[name] = field[0](name, text)
        for name in self._mandatory:
            if name not in found:
                raise missing(name)
        if strict and len(found) != len(values):
            sent = len(values) + apart
            raise unread(len(found) + apart, sent) if fields or apart else too_many(0, sent)
        return self._struct(**found)


class RawReading:
    """For handlers that read their parameters themselves: looks only for those nobody reads."""

    __slots__ = ("_names",)

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = frozenset(names)

    def read(self, values: dict[str, str], apart: int, strict: bool) -> dict[str, str]:
        if strict and not values.keys() <= self._names:
            raise unread(len(values.keys() & self._names) + apart, len(values) + apart)
        for name, text in values.items():
            if not text:
                raise empty(name)
        return values


def _kind_of(hint: Any) -> Kind:
    for one in (hint, *get_args(hint)):
        if get_origin(one) is Annotated:
            for extra in one.__metadata__:
                if isinstance(extra, Kind):
                    return extra
    raise TypeError(f"{hint} does not say how it is read")
