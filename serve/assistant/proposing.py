"""Proposals: an order checked as the exchange would check it, with what it would cost by the book as it stands. Places nothing."""

import secrets
from decimal import ROUND_FLOOR, ROUND_UP, Decimal
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import Meta

from market.instrument import from_units, places
from serve.assistant.api import Api
from serve.assistant.confirmation import Action, Confirmations
from serve.assistant.names import Names
from serve.assistant.schema import Estimate, Proposal
from serve.auth.principal import Principal
from serve.errors import ApiError, Code
from serve.gateway import Gateway
from serve.market_schema import DepthQuery
from serve.orders import Terms
from serve.schema import OrderPath, OrderView, OrdTypeName, Request, SideName, SideOrder, SymbolQuery, TifName

PLACE: Final = {SideName.BUY: "POST trading/buy", SideName.SELL: "POST trading/sell"}
CANCEL: Final = "DELETE trading/orders/{order_id}"
CANCEL_ALL: Final = "DELETE trading/orders"
LEVELS: Final = 1000
_BY_MARKET: Final = (OrdTypeName.MARKET, OrdTypeName.STOP_LOSS, OrdTypeName.TAKE_PROFIT)
Text = Annotated[str, Meta(min_length=1, max_length=40)]


class ProposeOrder(Request, kw_only=True):
    """An order to propose. Amounts and prices are decimal strings."""

    side: SideName
    symbol: Text
    type: OrdTypeName = OrdTypeName.MARKET
    quantity: Text | None = None
    """In the base asset."""
    quote_quantity: Text | None = None
    """MARKET: the amount of the quote asset to spend or receive, instead of `quantity`."""
    share: Annotated[float, Meta(gt=0, le=1)] | None = None
    """Instead of either: this part of what is free (1: all of it)."""
    price: Text | None = None
    stop_price: Text | None = None
    trailing_bips: Annotated[int, Meta(ge=1, lt=10_000)] | None = None
    display_quantity: Text | None = None
    time_in_force: TifName = TifName.GTC


class ProposeCancel(Request, kw_only=True):
    """One order by its id, or all open ones, or all of a symbol."""

    order_id: Annotated[int, Meta(ge=1, le=(1 << 62) - 1)] | None = None
    symbol: Text | None = None


class Fill(NamedTuple):
    """What the book would give now."""

    price: Decimal | None
    quantity: Decimal
    value: Decimal
    complete: bool


class Proposing:
    def __init__(self, gateway: Gateway, api: Api, names: Names, confirmations: Confirmations) -> None:
        self._gateway = gateway
        self._api = api
        self._names = names
        self._confirmations = confirmations

    async def order(self, who: Principal, asked: ProposeOrder) -> Proposal:
        """ApiError where the exchange would refuse it, FORBIDDEN for who may not trade."""
        if not self._api.allows(PLACE[asked.side], who):
            raise ApiError(Code.FORBIDDEN, "Your role may look, not trade.")
        gateway = self._gateway
        terms = gateway.desk.terms_of(self._names.symbol(asked.symbol))
        portfolio = await self._api.call("GET portfolio", who)
        if portfolio.paused:
            raise ApiError(Code.ACCOUNT_PAUSED, "Trading is paused for this account; resume it with trading/control.")
        free = {one.asset: Decimal(one.free) for one in portfolio.balances}
        body = await self._body(who, terms, asked, free)
        account = gateway.account_of(who.user_id)
        gateway.desk.place(account, body, asked.side.code, b"-")  # type: ignore[arg-type]  # refuses what the filters forbid
        estimate = await self._estimate(who, terms, asked.side, body, free)
        if estimate.uses is not None and Decimal(estimate.uses) > Decimal(estimate.free):
            raise ApiError(
                Code.INSUFFICIENT_BALANCE,
                f"The order needs {estimate.uses} {estimate.uses_asset}; {estimate.free} {estimate.uses_asset} is free.",
            )
        document = _document(body)
        action = Action("place", side="BUY" if asked.side is SideName.BUY else "SELL", order=document)
        told = {name: value for name, value in document.items() if name != "client_order_id"}
        return self._proposed(who, action, told, estimate)

    async def cancel(self, who: Principal, asked: ProposeCancel) -> Proposal:
        if not self._api.allows(CANCEL_ALL, who):
            raise ApiError(Code.FORBIDDEN, "Your role may look, not trade.")
        if asked.order_id is None:
            symbol = None if asked.symbol is None else self._names.symbol(asked.symbol)
            if symbol is not None:
                self._gateway.desk.terms_of(symbol)
            return self._proposed(who, Action("cancel_all", symbol=symbol), None, None)
        order: OrderView = await self._api.call(
            "GET trading/orders/{order_id}", who, params=OrderPath(order_id=asked.order_id)
        )
        if order.status not in ("NEW", "PARTIALLY_FILLED", "PENDING_NEW"):
            raise ApiError(Code.UNKNOWN_ORDER, f"Order {asked.order_id} is not open: it is {order.status}.", "order_id")
        return self._proposed(who, Action("cancel", order_id=asked.order_id, symbol=order.symbol), None, None)

    def _proposed(
        self, who: Principal, action: Action, told: dict[str, Any] | None, estimate: Estimate | None
    ) -> Proposal:
        token, expires_ms = self._confirmations.issue(who.user_id, action)
        symbol = action.symbol if told is None else str(told["symbol"])
        named = None if action.order is None else action.order["client_order_id"]
        return Proposal(action.kind, action.side, told, named, action.order_id, symbol, estimate, token, expires_ms)

    # -- figures --------------------------------------------------------------------------------------------------

    async def _body(self, who: Principal, terms: Terms, asked: ProposeOrder, free: dict[str, Decimal]) -> SideOrder:
        quantity, quote = asked.quantity, asked.quote_quantity
        if asked.share is not None:
            if quantity is not None or quote is not None:
                raise ApiError(Code.VALIDATION, "Give a quantity, a quote_quantity or a share.", "share")
            quantity, quote = await self._part(who, terms, asked, free)
        elif quote is not None and asked.type is not OrdTypeName.MARKET and asked.price is not None:
            quantity, quote = (
                _floored(_decimal(quote, "quote_quantity") / _decimal(asked.price, "price"), terms.lot),
                None,
            )
        return SideOrder(
            symbol=terms.symbol, type=asked.type, quantity=quantity, quote_quantity=quote, price=asked.price,
            time_in_force=asked.time_in_force, stop_price=asked.stop_price, trailing_bips=asked.trailing_bips,
            display_quantity=asked.display_quantity, client_order_id=f"ai-{secrets.token_hex(10)}",
        )  # fmt: skip

    async def _part(
        self, who: Principal, terms: Terms, asked: ProposeOrder, free: dict[str, Decimal]
    ) -> tuple[str | None, str | None]:
        """Quantity, or quote quantity, of a share of what is free."""
        share = Decimal(str(asked.share))
        if asked.side is SideName.SELL:
            return _floored(free.get(terms.base.name, Decimal(0)) * share, terms.lot), None
        budget = free.get(terms.quote.name, Decimal(0)) * share
        if asked.type is OrdTypeName.MARKET:
            return None, _floored(budget, Decimal(1).scaleb(-terms.quote.scale))
        at = asked.price or asked.stop_price or await self._last(who, terms.symbol)
        price = _decimal(at, "price")
        if asked.type in _BY_MARKET:
            price *= Decimal("1.1")  # so much is locked of a BUY without a price
        return _floored(budget / price, terms.lot), None

    async def _last(self, who: Principal, symbol: str) -> str:
        found = await self._api.call("GET market/prices", who, query=SymbolQuery(symbol=symbol))
        return str(found.prices[0].last_price)

    async def _estimate(
        self, who: Principal, terms: Terms, side: SideName, body: SideOrder, free: dict[str, Decimal]
    ) -> Estimate:
        buys = side is SideName.BUY
        (info,) = (await self._api.call("GET market/symbols", who, query=SymbolQuery(symbol=terms.symbol))).symbols
        depth = await self._api.call("GET market/depth", who, query=DepthQuery(symbol=terms.symbol, limit=LEVELS))
        levels = [(Decimal(p), Decimal(q)) for p, q in (depth.asks if buys else depth.bids)]
        own = body.price if body.price is not None else body.stop_price
        if own is None:
            fill = _walked(levels, _maybe(body.quantity), _maybe(body.quote_quantity))
        else:
            price, quantity = _decimal(own, "price"), _decimal(body.quantity, "quantity")
            fill = Fill(price, quantity, price * quantity, True)
        crosses = body.stop_price is None and body.trailing_bips is None and _crosses(body, levels, buys)
        received, asset = (fill.quantity, terms.base) if buys else (fill.value, terms.quote)
        used = terms.quote if buys else terms.base
        uses = (_maybe(body.quote_quantity) or fill.value) if buys else fill.quantity
        return Estimate(
            price=None if fill.price is None else _told(fill.price, max(8, places(terms.tick))),
            value=None if fill.price is None else _told(fill.value, terms.quote.scale),
            fee=None if fill.price is None else _told(received * Decimal(info.taker_fee), asset.scale),
            fee_asset=asset.name,
            uses_asset=used.name,
            uses=None if fill.price is None else _told(uses, used.scale),
            free=format(free.get(used.name, Decimal(0)), "f") if used.name in free else from_units(0, used.scale),
            trades_at_once=crosses,
            enough_liquidity=fill.complete,
        )


def _document(body: SideOrder) -> dict[str, Any]:
    """Without what was not said."""
    kept = {"time_in_force": TifName.GTC, "stp_mode": "NONE"}
    found: dict[str, Any] = msgspec.to_builtins(body)
    return {name: value for name, value in found.items() if value is not None and kept.get(name) != value}


def _walked(levels: list[tuple[Decimal, Decimal]], quantity: Decimal | None, quote: Decimal | None) -> Fill:
    """A market order of a quantity, or of an amount of the quote asset, along the levels of the other side."""
    got, value = Decimal(0), Decimal(0)
    for price, offered in levels:
        left = quantity - got if quantity is not None else ((quote or Decimal(0)) - value) / price
        taken = min(offered, left)
        got, value = got + taken, value + taken * price
        if taken == left:
            break
    complete = got == quantity if quantity is not None else quote is not None and quote - value <= Decimal("1e-8")
    return Fill(value / got if got else None, got, value, complete)


def _crosses(body: SideOrder, levels: list[tuple[Decimal, Decimal]], buys: bool) -> bool:
    if body.price is None:
        return True
    if not levels:
        return False
    price = Decimal(str(body.price))
    return price >= levels[0][0] if buys else price <= levels[0][0]


def _decimal(text: Any, field: str) -> Decimal:
    try:
        value = Decimal(str(text))
    except ArithmeticError:
        raise ApiError(Code.VALIDATION, f"The {field} is not a decimal.", field) from None
    if not value.is_finite() or not 0 < value < Decimal("1e30"):
        raise ApiError(Code.VALIDATION, f"The {field} must be a finite, positive, reasonable number.", field)
    return value


def _maybe(text: Any) -> Decimal | None:
    return None if text is None else _decimal(text, "quantity")


def _floored(value: Decimal, step: Decimal) -> str:
    return format((value / step).to_integral_value(ROUND_FLOOR) * step, f".{places(step)}f")


def _told(value: Decimal, digits: int) -> str:
    return format(value.quantize(Decimal(1).scaleb(-digits), ROUND_UP), "f")
