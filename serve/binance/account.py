"""The account itself: balances, rates, limits."""

from typing import Final

import msgspec

from serve.binance.context import Context
from serve.binance.errors import NO_LISTEN_KEY, BinanceError
from serve.binance.exchange_info import AnyFilter, symbol_filters
from serve.binance.limits import RateLimitCount
from serve.binance.numbers import ZERO, amount
from serve.binance.order_structs import Commission, Nothing, SideRates
from serve.binance.orders import fees_of, no_discount, rate
from serve.binance.params import Bool, Params, Symbol, Text
from serve.binance.route import NoParams

PPM_IN_BIPS: Final = 100


class AccountParams(Params, kw_only=True):
    omitZeroBalances: Bool = False


class OneSymbol(Params, kw_only=True):
    symbol: Symbol


class ListenKeyParams(Params, kw_only=True):
    listenKey: Text


class Balance(msgspec.Struct):
    asset: str
    free: str
    locked: str


class Account(msgspec.Struct):
    makerCommission: int
    takerCommission: int
    buyerCommission: int
    sellerCommission: int
    commissionRates: SideRates
    canTrade: bool
    canWithdraw: bool
    canDeposit: bool
    brokered: bool
    requireSelfTradePrevention: bool
    preventSor: bool
    updateTime: int
    accountType: str
    balances: list[Balance]
    permissions: list[str]
    uid: int


class MyFilters(msgspec.Struct):
    exchangeFilters: list[AnyFilter]
    symbolFilters: list[AnyFilter]
    assetFilters: list[AnyFilter]


class ListenKey(msgspec.Struct):
    listenKey: str


async def account(ctx: Context, p: AccountParams) -> Account:
    assert ctx.key is not None
    gateway = ctx.venue.gateway
    found = await gateway.ask(ctx.account, "account", ctx.account)
    held = {asset_id: (free, locked) for asset_id, free, locked in found["balances"]}
    balances = []
    for asset_id, asset in enumerate(gateway.assets):
        free, locked = held.get(asset_id, (0, 0))
        if free or locked or not p.omitZeroBalances:
            balances.append(Balance(asset.name, amount(free, asset.scale), amount(locked, asset.scale)))
    maker, taker = await fees_of(ctx)
    return Account(
        maker // PPM_IN_BIPS, taker // PPM_IN_BIPS, 0, 0, _rates(maker, taker),
        ctx.key.can_trade and not found["paused"], False, False, False, False, True, ctx.told(found["updated_ns"]),
        "SPOT", balances, ["SPOT"], ctx.key.user_id,
    )  # fmt: skip


def _rates(maker_ppm: int, taker_ppm: int) -> SideRates:
    return SideRates(rate(maker_ppm), rate(taker_ppm), ZERO, ZERO)


async def commission(ctx: Context, p: OneSymbol) -> Commission:
    return Commission(p.symbol.symbol, _rates(*await fees_of(ctx)), SideRates(ZERO, ZERO, ZERO, ZERO), no_discount())


class TradeFeeParams(Params, kw_only=True):
    symbol: Symbol | None = None


class TradeFee(msgspec.Struct):
    symbol: str
    makerCommission: str
    takerCommission: str


async def trade_fees(ctx: Context, p: TradeFeeParams) -> list[TradeFee]:
    """Of another product's address (`/sapi/v1/asset/tradeFee`), which clients ask for spot fees."""
    wanted = ctx.venue.desk.terms if p.symbol is None else [p.symbol]
    maker, taker = await fees_of(ctx)
    return [TradeFee(terms.symbol, rate(maker), rate(taker)) for terms in wanted]


async def order_counts(ctx: Context, p: NoParams) -> list[RateLimitCount]:
    return ctx.venue.limits.told_orders(ctx.account, ctx.now * ctx.unit_ns / 1e9)


async def my_filters(ctx: Context, p: OneSymbol) -> MyFilters:
    """The filters that concern the account: how much it may have open, and hold."""
    return MyFilters([], [one for one in symbol_filters(p.symbol) if "MAX_" in one.filterType], [])


# -- listen keys ------------------------------------------------------------------------------------------------------


async def open_stream(ctx: Context, p: NoParams) -> ListenKey:
    return ListenKey(ctx.venue.listen_keys.open(ctx.account))


async def keep_stream(ctx: Context, p: ListenKeyParams) -> Nothing:
    if not ctx.venue.listen_keys.keep(p.listenKey, ctx.account):
        raise BinanceError(*NO_LISTEN_KEY)
    return Nothing()


async def close_stream(ctx: Context, p: ListenKeyParams) -> Nothing:
    if not ctx.venue.listen_keys.close(p.listenKey, ctx.account):
        raise BinanceError(*NO_LISTEN_KEY)
    return Nothing()
