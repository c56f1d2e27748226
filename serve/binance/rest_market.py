"""`/api/v3`: the public market-data routes, each with its weight, its parameters and its answer.

A route knows nothing of HTTP: it is given parameters as strings and the unit of times, and returns what is told as
JSON, or raises VenueError with the venue's code and words. Whoever serves it counts weights and refuses the unknown.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

from market.intervals import INTERVALS, offset_of, window_of
from serve.binance.market_queries import MarketQueries, TimeUnit
from serve.binance.market_structs import mini

Given = Mapping[str, str]

_SYMBOL: Final = re.compile(r"[A-Z0-9\-_.]{1,20}", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]{1,20}", re.ASCII)
_SYMBOL_RANGE: Final = "^[A-Z0-9-_.]{1,20}$"
_SYMBOLS_RANGE: Final = '^\\[("[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}){0,1}\\]$'
_NUMBER_RANGE: Final = "^[0-9]{1,20}$"
_MICROSECONDS_FROM: Final = 10**14
"""A larger time is in microseconds: as milliseconds it would be in the year 5138."""
_FAR_NS: Final = 1 << 62
MAX_SYMBOLS: Final = 100
"""Of `ticker` and `ticker/tradingDay` in one request."""
STATUSES: Final = ("TRADING", "HALT", "BREAK")
_STATUS: Final = "TRADING"
"""Of all our symbols."""


class VenueError(Exception):
    """An answer of status 400."""

    def __init__(self, code: int, msg: str) -> None:
        super().__init__(msg)
        self.code = code
        self.msg = msg


def missing(name: str) -> VenueError:
    return VenueError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def illegal(name: str, legal: str) -> VenueError:
    return VenueError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")


def not_valid(name: str) -> VenueError:
    return VenueError(-1130, f"Data sent for parameter '{name}' is not valid.")


def bad_combination() -> VenueError:
    return VenueError(-1128, "Combination of optional parameters invalid.")


class MarketRoute(msgspec.Struct, frozen=True):
    path: str
    """Below /api/v3/."""
    parameters: tuple[str, ...]
    weight: Callable[[Given], int]
    answer: Callable[[Given, TimeUnit], Awaitable[Any]]


def _always(weight: int) -> Callable[[Given], int]:
    return lambda _: weight


def _by_symbols(one: int, everything: int) -> Callable[[Given], int]:
    return lambda given: one if "symbol" in given else everything


def depth_weight(given: Given) -> int:
    text = given.get("limit", "100")
    limit = int(text) if _NUMBER.fullmatch(text) else 100
    return next((weight for most, weight in ((100, 5), (500, 25), (1000, 50)) if limit <= most), 250)


def day_weight(given: Given) -> int:
    if "symbol" in given:
        return 2
    if "symbols" not in given:
        return 80
    count = given["symbols"].count(",") + 1
    return next((weight for most, weight in ((20, 2), (100, 40)) if count <= most), 80)


def window_weight(given: Given) -> int:
    """4 for each symbol, 200 at most."""
    return min(200, 4 * (given.get("symbols", "").count(",") + 1))


def market_routes(queries: MarketQueries, names: list[str]) -> list[MarketRoute]:
    """`names`: of all symbols."""
    asked = MarketAnswers(queries, names)
    several = ("symbol", "symbols", "symbolStatus")
    ranged = ("symbol", "interval", "startTime", "endTime", "timeZone", "limit")
    return [
        MarketRoute("depth", ("symbol", "limit", "symbolStatus"), depth_weight, asked.depth),
        MarketRoute("trades", ("symbol", "limit"), _always(25), asked.trades),
        MarketRoute("historicalTrades", ("symbol", "limit", "fromId"), _always(25), asked.trades),
        MarketRoute("historicalBlockTrades", ("symbol", "limit", "fromId"), _always(25), asked.block_trades),
        MarketRoute(
            "aggTrades", ("symbol", "fromId", "startTime", "endTime", "limit"), _always(4), asked.aggregates
        ),
        MarketRoute("klines", ranged, _always(2), asked.klines),
        MarketRoute("uiKlines", ranged, _always(2), asked.klines),
        MarketRoute("avgPrice", ("symbol",), _always(2), asked.average),
        MarketRoute("ticker/24hr", (*several, "type"), day_weight, asked.day),
        MarketRoute("ticker/tradingDay", (*several, "timeZone", "type"), window_weight, asked.trading_day),
        MarketRoute("ticker", (*several, "windowSize", "type"), window_weight, asked.rolling),
        MarketRoute("ticker/price", several, _by_symbols(2, 4), asked.price),
        MarketRoute("ticker/bookTicker", several, _by_symbols(2, 4), asked.book_ticker),
        MarketRoute("referencePrice", ("symbol",), _always(2), asked.reference_price),
        MarketRoute("referencePrice/calculation", ("symbol", "symbolStatus"), _always(2), asked.reference_price),
    ]  # fmt: skip


class MarketAnswers:
    def __init__(self, queries: MarketQueries, names: list[str]) -> None:
        self._queries = queries
        self._names = names
        self._known = frozenset(names)

    # -- of one symbol --------------------------------------------------------------------------------------------

    async def depth(self, given: Given, _: TimeUnit) -> Any:
        symbol = self._symbol(given)
        self._must_have_status(given)
        return await self._queries.depth(symbol, _limited(given, 100, 5000))

    async def trades(self, given: Given, unit: TimeUnit) -> Any:
        return await self._queries.trades(
            self._symbol(given), _limited(given, 500, 1000), _number(given, "fromId"), unit
        )

    async def block_trades(self, given: Given, _: TimeUnit) -> Any:
        """There are none."""
        self._symbol(given)
        if _number(given, "fromId") is None:
            raise missing("fromId")
        _limited(given, 500, 1000)
        return []

    async def aggregates(self, given: Given, unit: TimeUnit) -> Any:
        symbol = self._symbol(given)
        from_id, start_ns, end_ns = _number(given, "fromId"), _start(given), _end(given)
        if from_id is not None and (start_ns is not None or end_ns is not None):
            raise bad_combination()
        return await self._queries.agg_trades(symbol, from_id, start_ns, end_ns, _limited(given, 500, 1000), unit)

    async def klines(self, given: Given, unit: TimeUnit) -> Any:
        symbol = self._symbol(given)
        interval = given.get("interval", "")
        if not interval:
            raise missing("interval")
        if interval not in INTERVALS:
            raise VenueError(-1120, "Invalid interval.")
        return await self._queries.klines(
            symbol, interval, _start(given), _end(given), _limited(given, 500, 1000), _zone(given), unit
        )

    async def average(self, given: Given, unit: TimeUnit) -> Any:
        return await self._queries.avg_price(self._symbol(given), unit)

    async def reference_price(self, given: Given, _: TimeUnit) -> Any:
        """No symbol has one."""
        self._symbol(given)
        raise VenueError(-2043, "This symbol doesn't have a reference price.")

    # -- of several -----------------------------------------------------------------------------------------------

    async def day(self, given: Given, unit: TimeUnit) -> Any:
        small = _is_mini(given)
        tickers = await self._queries.ticker_24hr(self._symbols(given), unit)
        return _one_or_all(given, [mini(one) for one in tickers] if small else tickers)

    async def trading_day(self, given: Given, unit: TimeUnit) -> Any:
        small, zone = _is_mini(given), _zone(given)
        tickers = await self._queries.trading_day(self._some_symbols(given), zone, unit)
        return _one_or_all(given, [mini(one) for one in tickers] if small else tickers)

    async def rolling(self, given: Given, unit: TimeUnit) -> Any:
        small, window_ns = _is_mini(given), window_of(given.get("windowSize", "1d"))
        if window_ns is None:
            raise not_valid("windowSize")
        tickers = await self._queries.rolling(self._some_symbols(given), window_ns, unit)
        return _one_or_all(given, [mini(one) for one in tickers] if small else tickers)

    async def price(self, given: Given, _: TimeUnit) -> Any:
        return _one_or_all(given, await self._queries.price(self._symbols(given)))

    async def book_ticker(self, given: Given, _: TimeUnit) -> Any:
        return _one_or_all(given, await self._queries.book_ticker(self._symbols(given)))

    # -- parameters -----------------------------------------------------------------------------------------------

    def _symbol(self, given: Given) -> str:
        symbol = given.get("symbol", "")
        if not symbol:
            raise missing("symbol")
        return self._checked(symbol)

    def _checked(self, symbol: str) -> str:
        if _SYMBOL.fullmatch(symbol) is None:
            raise illegal("symbol", _SYMBOL_RANGE)
        if symbol not in self._known:
            raise VenueError(-1121, "Invalid symbol.")
        return symbol

    def _symbols(self, given: Given) -> list[str]:
        """Those asked for, without the ones of another status; all when none is named."""
        if "symbol" in given and "symbols" in given:
            raise bad_combination()
        if "symbol" in given:
            found = [self._symbol(given)]
            self._must_have_status(given)
            return found
        found = self._names
        if "symbols" in given:
            try:
                found = msgspec.json.decode(given["symbols"], type=list[str])
            except (msgspec.DecodeError, RecursionError):
                raise illegal("symbols", _SYMBOLS_RANGE) from None
            if not all(_SYMBOL.fullmatch(one) for one in found):
                raise illegal("symbols", _SYMBOLS_RANGE)
            found = [self._checked(one) for one in dict.fromkeys(found)]
        return found if _status(given) == _STATUS else []

    def _some_symbols(self, given: Given) -> list[str]:
        """For routes that do not tell of all symbols at once."""
        if "symbol" not in given and "symbols" not in given:
            raise bad_combination()
        found = self._symbols(given)
        if len(found) > MAX_SYMBOLS:
            raise VenueError(
                -1101, f"Too many values sent for parameter 'symbols', maximum allowed up to {MAX_SYMBOLS}."
            )
        return found

    @staticmethod
    def _must_have_status(given: Given) -> None:
        if _status(given) != _STATUS:
            raise VenueError(-1220, "The symbol's status does not match the requested symbolStatus.")


def _one_or_all(given: Given, answers: list[Any]) -> Any:
    return answers[0] if "symbol" in given else answers


def _status(given: Given) -> str:
    status = given.get("symbolStatus", _STATUS)
    if status not in STATUSES:
        raise VenueError(-1122, "Invalid symbolStatus.")
    return status


def _is_mini(given: Given) -> bool:
    kind = given.get("type", "FULL")
    if kind not in ("FULL", "MINI"):
        raise VenueError(-1139, "Invalid ticker type.")
    return kind == "MINI"


def _zone(given: Given) -> int:
    offset = offset_of(given.get("timeZone", "0"))
    if offset is None:
        raise not_valid("timeZone")
    return offset


def _number(given: Given, name: str) -> int | None:
    text = given.get(name)
    if text is None:
        return None
    if not text:
        raise VenueError(-1105, f"Parameter '{name}' was empty.")
    if _NUMBER.fullmatch(text) is None:
        raise illegal(name, _NUMBER_RANGE)
    if int(text) >= _FAR_NS:
        raise not_valid(name)
    return int(text)


def _limited(given: Given, usual: int, most: int) -> int:
    """More than the most is the most, as the venue has it."""
    limit = _number(given, "limit")
    if limit == 0:
        raise not_valid("limit")
    return min(most, limit or usual)


def _start(given: Given) -> int | None:
    told = _number(given, "startTime")
    return None if told is None else min(_FAR_NS, told * _unit_of(told))


def _end(given: Given) -> int | None:
    """The last nanosecond of the time given."""
    told = _number(given, "endTime")
    return None if told is None else min(_FAR_NS, (told + 1) * _unit_of(told) - 1)


def _unit_of(told: int) -> int:
    return TimeUnit.MICROSECOND if told >= _MICROSECONDS_FROM else TimeUnit.MILLISECOND
