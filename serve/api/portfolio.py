"""`/api/portfolio`: balances, positions, profit, performance over time; reset and top-up of the virtual money."""

from collections.abc import Awaitable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

from market.instrument import Grid, from_steps, from_units
from serve.amounts import steps_of
from serve.auth.principal import SIGNED_IN, TRADERS
from serve.errors import ApiError, Code
from serve.gateway import Gateway
from serve.http import Context, Endpoint
from serve.schema import Balance, EquityHistory, EquityPoint, EquityQuery, Portfolio, Position, TopUp

MAX_TOP_UP: int = 10_000_000
"""Whole units of an asset in one request."""


def endpoints(gateway: Gateway) -> list[Endpoint]:
    api = PortfolioApi(gateway)
    tags = ("portfolio",)
    errors = (Code.UNAVAILABLE, Code.UNKNOWN_ACCOUNT)
    return [
        Endpoint("GET", "portfolio", api.portfolio, response=Portfolio, roles=SIGNED_IN, tags=tags, errors=errors,
                 summary="Balances, positions, profit and allocation"),
        Endpoint("GET", "portfolio/history", api.history, query=EquityQuery, response=EquityHistory, roles=SIGNED_IN,
                 tags=tags, summary="Equity by the minute", errors=errors),
        Endpoint("POST", "portfolio/reset", api.reset, response=Portfolio, roles=TRADERS, tags=tags,
                 summary="Cancel all orders and start anew with the initial virtual money",
                 errors=(Code.STATUS_UNKNOWN, Code.BOOK_UNAVAILABLE, Code.OVERLOADED, Code.ORDER_REJECTED, *errors)),
        Endpoint("POST", "portfolio/top-up", api.top_up, request=TopUp, response=Portfolio, roles=TRADERS, tags=tags,
                 summary="Add virtual money", errors=(Code.ORDER_REJECTED, *errors)),
    ]  # fmt: skip


class PortfolioApi:
    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def portfolio(self, ctx: Context) -> Portfolio:
        return await portfolio_of(self.gateway, self.gateway.account_of(ctx.user.user_id))

    async def reset(self, ctx: Context) -> Portfolio:
        gateway = self.gateway
        account = gateway.account_of(ctx.user.user_id)
        await gateway.cancel_all(account)
        await gateway.ask(account, "reset", account, gateway.reference_id, gateway.initial_units)
        return await portfolio_of(gateway, account)

    async def top_up(self, ctx: Context) -> Portfolio:
        gateway = self.gateway
        account = gateway.account_of(ctx.user.user_id)
        body: TopUp = ctx.body
        asset = gateway.desk.asset_ids.get(body.asset)
        if asset is None:
            raise ApiError(Code.VALIDATION, f"{body.asset} is not an asset of this exchange.", "asset")
        scale = gateway.assets[asset].scale
        units = steps_of(body.amount, Grid(Decimal(1).scaleb(-scale)), "amount", Code.VALIDATION, "smallest unit")
        if units > MAX_TOP_UP * 10**scale:
            raise ApiError(Code.VALIDATION, f"At most {MAX_TOP_UP} at once.", "amount")
        await gateway.ask(account, "post", account, asset, units)
        return await portfolio_of(gateway, account)

    async def history(self, ctx: Context) -> EquityHistory:
        query: EquityQuery = ctx.query
        since = datetime.fromtimestamp(min(query.start_ms / 1000, 32_503_680_000), UTC)
        rows = await self.gateway.pool.fetch(
            "SELECT at, quote_units FROM (SELECT at, quote_units FROM equity WHERE account = $1 AND at >= $2 "
            "ORDER BY at DESC LIMIT $3) AS newest ORDER BY at",
            self.gateway.account_of(ctx.user.user_id), since, query.limit,
        )  # fmt: skip
        scale = self.gateway.reference.scale
        return EquityHistory(
            [EquityPoint(int(row["at"].timestamp() * 1000), from_units(int(row["quote_units"]), scale)) for row in rows]
        )


async def portfolio_of(gateway: Gateway, account: int) -> Portfolio:
    """Everything at one moment; values by the last prices of the hot cache."""
    found = await gateway.ask(account, "account", account)
    prices = await _prices(gateway)
    reference = gateway.reference
    worth: dict[int, int | None] = {}
    for asset_id, free, locked in found["balances"]:
        worth[asset_id] = _value(gateway, gateway.assets[asset_id].name, free + locked, prices)
    known = [v for v in worth.values() if v is not None]
    equity = sum(known) if len(known) == len(worth) else None
    positions = [_position(gateway, row, prices) for row in found["positions"]]
    unrealised = [p.unrealised_profit for p in positions]
    return Portfolio(
        account=account,
        seq=found["seq"],
        paused=found["paused"],
        reference_asset=reference.name,
        equity=None if equity is None else from_units(equity, reference.scale),
        realised_profit=_total(p.realised_profit for p in positions),
        unrealised_profit=None if None in unrealised else _total(u for u in unrealised if u is not None),
        balances=[
            _balance(gateway, asset_id, free, locked, worth[asset_id], equity)
            for asset_id, free, locked in found["balances"]
        ],
        positions=positions,
    )


def _total(amounts: Any) -> str:
    return format(sum((Decimal(a) for a in amounts), Decimal(0)), "f")


def _balance(gateway: Gateway, asset_id: int, free: int, locked: int, value: int | None, equity: int | None) -> Balance:
    asset = gateway.assets[asset_id]
    reference = gateway.reference
    return Balance(
        asset.name,
        from_units(free, asset.scale),
        from_units(locked, asset.scale),
        None if value is None else from_units(value, reference.scale),
        None if value is None or not equity else round(value / equity, 6),
    )


def _position(gateway: Gateway, row: tuple[int, int, int, int], prices: dict[str, int]) -> Position:
    symbol_id, units, cost, realised = row
    terms = gateway.desk.terms[symbol_id]
    scale = terms.quote.scale
    last = prices.get(terms.instrument.symbol)
    value = None if last is None else _value(gateway, terms.base.name, units, prices)
    average = None
    if units:
        exact = Decimal(cost).scaleb(-scale) / Decimal(units).scaleb(-terms.base.scale)
        average = format(exact.quantize(Decimal("1e-8")), "f")
    return Position(
        terms.instrument.symbol,
        from_units(units, terms.base.scale),
        average,
        from_units(cost, scale),
        None if last is None else from_steps(last, terms.tick),
        None if value is None else from_units(value, scale),
        None if value is None else from_units(value - cost, scale),
        from_units(realised, scale),
    )


def _value(gateway: Gateway, asset: str, units: int, prices: dict[str, int]) -> int | None:
    """Units of an asset in units of the reference asset, by the last price; None without a price."""
    if asset == gateway.reference.name or units == 0:
        return units
    terms = gateway.desk.by_name.get(asset + gateway.reference.name)
    last = None if terms is None else prices.get(terms.instrument.symbol)
    if terms is None or last is None:
        return None
    return units * last * terms.per_tick_lot // terms.instrument.base_units_per_lot


async def _prices(gateway: Gateway) -> dict[str, int]:
    """Last prices in ticks; of symbols the cache knows."""
    try:
        found: Any = await cast(Awaitable[Any], gateway.redis.hgetall(f"{gateway.settings.prefix}:prices"))
    except Exception:
        return {}
    out = {}
    for name, price in found.items():
        terms = gateway.desk.by_name.get(name.decode())
        if terms is not None:
            out[name.decode()] = int(Decimal(price.decode()) / terms.tick)
    return {name: price for name, price in out.items() if price}
