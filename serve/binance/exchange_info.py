"""`exchangeInfo`: limits, symbols, their filters and what may be done with each; execution rules beside it."""

from functools import lru_cache
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, UnsetType

from market.decimals import fixed
from market.enums import OrdType
from market.instrument import PPM, Instrument
from serve.binance.context import Context
from serve.binance.errors import (
    INVALID_SYMBOL_STATUS,
    bad_combination,
    invalid_data,
)
from serve.binance.limits import RateLimit
from serve.binance.numbers import Scale, amount
from serve.binance.params import Bool, Kind, Params, Symbol, Symbols, kind, words
from serve.orders import Terms

PERMISSIONS: Final = ("SPOT", "MARGIN", "LEVERAGED")
STATUSES: Final = ("TRADING", "HALT", "BREAK")
SymbolStatus = Annotated[str, words(*STATUSES, error=INVALID_SYMBOL_STATUS)]
ORDER_TYPES: Final = sorted(one.name for one in OrdType)
STP_MODES: Final = ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT", "TRANSFER"]
RATIO_PLACES: Final = 4


def _permissions(name: str, text: str) -> list[str]:
    found = text.strip("[]").replace('"', "").split(",")
    if not all(one and one.replace("_", "").isalnum() for one in found):
        raise invalid_data(name)
    return found


PermissionList: Final[Kind] = kind(_permissions)


class ExchangeInfoParams(Params, kw_only=True):
    symbol: Symbol | None = None
    symbols: Symbols | None = None
    permissions: Annotated[list[str], PermissionList] | None = None
    showPermissionSets: Bool = True
    symbolStatus: SymbolStatus | None = None


class ExecutionRulesParams(Params, kw_only=True):
    symbol: Symbol | None = None
    symbols: Symbols | None = None
    symbolStatus: SymbolStatus | None = None


# -- filters, each with its fields in the venue's order ---------------------------------------------------------------


class Filter(msgspec.Struct):
    filterType: str


class PriceFilter(Filter):
    minPrice: str
    maxPrice: str
    tickSize: str


class LotFilter(Filter):
    minQty: str
    maxQty: str
    stepSize: str


class NumberFilter(Filter):
    limit: int | UnsetType = UNSET
    maxNumOrders: int | UnsetType = UNSET
    maxNumAlgoOrders: int | UnsetType = UNSET
    maxNumIcebergOrders: int | UnsetType = UNSET
    maxNumOrderAmends: int | UnsetType = UNSET
    maxNumOrderLists: int | UnsetType = UNSET
    maxPosition: str | UnsetType = UNSET


class TrailingFilter(Filter):
    minTrailingAboveDelta: int
    maxTrailingAboveDelta: int
    minTrailingBelowDelta: int
    maxTrailingBelowDelta: int


class PercentFilter(Filter):
    multiplierUp: str
    multiplierDown: str
    avgPriceMins: int


class PercentBySideFilter(Filter):
    bidMultiplierUp: str
    bidMultiplierDown: str
    askMultiplierUp: str
    askMultiplierDown: str
    avgPriceMins: int


class NotionalFilter(Filter):
    minNotional: str
    applyMinToMarket: bool
    maxNotional: str
    applyMaxToMarket: bool
    avgPriceMins: int


AnyFilter = (
    PriceFilter | LotFilter | NumberFilter | TrailingFilter | PercentFilter | PercentBySideFilter | NotionalFilter
)


def _ratio(ppm: int) -> str:
    whole, part = divmod(ppm, PPM)
    text = f"{part:06d}".rstrip("0").ljust(RATIO_PLACES, "0")
    return f"{whole}.{text}"


def symbol_filters(terms: Terms) -> list[AnyFilter]:
    one, scale = terms.instrument, Scale(terms)
    found: list[AnyFilter] = [
        PriceFilter(
            "PRICE_FILTER", scale.price[one.min_price_ticks], scale.price[one.max_price_ticks], fixed(scale.tick)
        ),
        LotFilter("LOT_SIZE", scale.quantity[one.min_qty_lots], scale.quantity[one.max_qty_lots], fixed(scale.lot)),
        NumberFilter("ICEBERG_PARTS", limit=one.iceberg_parts),
        LotFilter(
            "MARKET_LOT_SIZE", scale.quantity[one.market_min_qty_lots], scale.quantity[one.market_max_qty_lots],
            fixed(scale.lot),
        ),
        TrailingFilter(
            "TRAILING_DELTA", one.min_trailing_above_bips, one.max_trailing_above_bips, one.min_trailing_below_bips,
            one.max_trailing_below_bips,
        ),
        PercentBySideFilter(
            "PERCENT_PRICE_BY_SIDE", _ratio(one.bid_multiplier_up_ppm), _ratio(one.bid_multiplier_down_ppm),
            _ratio(one.ask_multiplier_up_ppm), _ratio(one.ask_multiplier_down_ppm), 0,
        ),
        NotionalFilter(
            "NOTIONAL", amount(one.min_notional_units, one.quote.scale), True,
            amount(one.max_notional_units, one.quote.scale), False, 0,
        ),
        NumberFilter("MAX_NUM_ORDERS", maxNumOrders=one.max_num_orders),
        NumberFilter("MAX_NUM_ORDER_LISTS", maxNumOrderLists=one.max_num_order_lists),
        NumberFilter("MAX_NUM_ALGO_ORDERS", maxNumAlgoOrders=one.max_num_algo_orders),
        NumberFilter("MAX_NUM_ICEBERG_ORDERS", maxNumIcebergOrders=one.max_num_iceberg_orders),
        NumberFilter("MAX_NUM_ORDER_AMENDS", maxNumOrderAmends=one.max_num_order_amends),
    ]  # fmt: skip
    if one.percent_multiplier_up_ppm:
        up, down = _ratio(one.percent_multiplier_up_ppm), _ratio(one.percent_multiplier_down_ppm)
        found.append(PercentFilter("PERCENT_PRICE", up, down, 0))
    if one.max_position_lots:
        found.append(NumberFilter("MAX_POSITION", maxPosition=scale.quantity[one.max_position_lots]))
    return found


# -- symbols ----------------------------------------------------------------------------------------------------------


class SymbolInfo(msgspec.Struct):
    symbol: str
    status: str
    baseAsset: str
    baseAssetPrecision: int
    quoteAsset: str
    quotePrecision: int
    quoteAssetPrecision: int
    baseCommissionPrecision: int
    quoteCommissionPrecision: int
    orderTypes: list[str]
    icebergAllowed: bool
    ocoAllowed: bool
    otoAllowed: bool
    opoAllowed: bool
    quoteOrderQtyMarketAllowed: bool
    allowTrailingStop: bool
    cancelReplaceAllowed: bool
    amendAllowed: bool
    pegInstructionsAllowed: bool
    isSpotTradingAllowed: bool
    isMarginTradingAllowed: bool
    filters: list[AnyFilter]
    permissions: list[str]
    permissionSets: list[list[str]]
    defaultSelfTradePreventionMode: str
    allowedSelfTradePreventionModes: list[str]


class ExchangeInfo(msgspec.Struct):
    timezone: str
    serverTime: int
    rateLimits: list[RateLimit]
    exchangeFilters: list[AnyFilter]
    symbols: list[SymbolInfo]


class SymbolRules(msgspec.Struct):
    symbol: str
    rules: list[dict[str, str]]


class ExecutionRules(msgspec.Struct):
    symbolRules: list[SymbolRules]


@lru_cache(maxsize=4096)
def symbol_info(terms: Terms, show_permissions: bool) -> SymbolInfo:
    one: Instrument = terms.instrument
    return SymbolInfo(
        one.symbol, "TRADING", one.base.name, 8, one.quote.name, 8, 8, 8, 8, ORDER_TYPES, True, True, True, True,
        True, True, True, True, True, True, False, symbol_filters(terms), [],
        [["SPOT"]] if show_permissions else [], "NONE", ["NONE", *STP_MODES],
    )  # fmt: skip


async def exchange_info(ctx: Context, p: ExchangeInfoParams) -> ExchangeInfo:
    named = p.symbol is not None or p.symbols is not None
    if (p.symbol is not None and p.symbols is not None) or (named and (p.permissions or p.symbolStatus)):
        raise bad_combination()
    return ExchangeInfo("UTC", ctx.now, ctx.venue.limits.all, [], await _symbols(ctx, p))


async def _symbols(ctx: Context, p: ExchangeInfoParams) -> list[SymbolInfo]:
    if p.symbolStatus not in (None, "TRADING"):
        return []
    if p.permissions is not None and "SPOT" not in p.permissions:
        return []
    return [symbol_info(terms, p.showPermissionSets) for terms in asked(ctx, p.symbol, p.symbols)]


def asked(ctx: Context, symbol: Terms | None, symbols: list[Terms] | None) -> list[Terms]:
    """The one, the several, or all."""
    if symbol is not None:
        return [symbol]
    return ctx.venue.desk.terms if symbols is None else symbols


async def execution_rules(ctx: Context, p: ExecutionRulesParams) -> ExecutionRules:
    """No symbol has a price range: there are no reference prices here."""
    if sum(one is not None for one in (p.symbol, p.symbols, p.symbolStatus)) > 1:
        raise bad_combination()
    if p.symbolStatus not in (None, "TRADING"):
        return ExecutionRules([])
    return ExecutionRules([SymbolRules(terms.symbol, []) for terms in asked(ctx, p.symbol, p.symbols)])
