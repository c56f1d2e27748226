"""Requests of the baseline and the checks that need no database: the symbol filters, as in Raypit. Pure."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel

from market.instrument import PPM, Instrument, NotAMultiple, OutOfRange, assets_of, to_steps

FEE_PPM = 1_000


class OrderRequest(BaseModel):
    symbol: str
    side: Literal["BUY", "SELL"]
    type: Literal["LIMIT"] = "LIMIT"
    quantity: str
    price: str
    time_in_force: Literal["GTC", "IOC"] = "GTC"
    client_order_id: str


class CancelRequest(BaseModel):
    client_order_id: str


class Frame(BaseModel):
    """What comes over the WebSocket."""

    op: Literal["place", "cancel", "echo", "subscribe"]
    id: int
    orders: list[dict[str, Any]] = []


class Refusal(Exception):
    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class Order(NamedTuple):
    """A request in whole numbers, past the filters."""

    market: int
    side: int
    """0: BUY, 1: SELL"""
    price: int
    qty: int
    immediate: bool
    client_order_id: str
    pays: int
    """The asset that it is paid in."""
    cost: int
    """Units of it to be locked."""


class Market(NamedTuple):
    number: int
    instrument: Instrument
    base: int
    """Place of the asset in `assets`."""
    quote: int

    def notional(self, price: int, qty: int) -> int:
        return price * qty * self.instrument.quote_units_per_tick_lot

    def base_units(self, qty: int) -> int:
        return qty * self.instrument.base_units_per_lot


def markets_of(instruments: Sequence[Instrument]) -> dict[str, Market]:
    names = [asset.name for asset in assets_of(instruments)]
    return {
        one.symbol: Market(k, one, names.index(one.base.name), names.index(one.quote.name))
        for k, one in enumerate(instruments)
    }


def checked(request: OrderRequest, markets: dict[str, Market], last_prices: Sequence[int]) -> Order:
    """Raises Refusal."""
    market = markets.get(request.symbol)
    if market is None:
        raise Refusal("UNKNOWN_SYMBOL", f"There is no symbol {request.symbol!r}.")
    one = market.instrument
    price = _steps(request.price, one.tick, "PRICE_FILTER")
    qty = _steps(request.quantity, one.lot, "LOT_SIZE")
    side = 0 if request.side == "BUY" else 1
    if not one.min_price_ticks <= price <= one.max_price_ticks:
        raise Refusal("PRICE_FILTER", "The price is out of range.")
    if not one.min_qty_lots <= qty <= one.max_qty_lots:
        raise Refusal("LOT_SIZE", "The quantity is out of range.")
    up = one.ask_multiplier_up_ppm if side else one.bid_multiplier_up_ppm
    down = one.ask_multiplier_down_ppm if side else one.bid_multiplier_down_ppm
    reference = last_prices[market.number]
    if not reference * down <= price * PPM <= reference * up:
        raise Refusal("PERCENT_PRICE_BY_SIDE", "The price is too far from the last one.")
    notional = market.notional(price, qty)
    if not one.min_notional_units <= notional <= one.max_notional_units:
        raise Refusal("NOTIONAL", "The order's value is out of range.")
    pays, cost = (market.base, market.base_units(qty)) if side else (market.quote, notional)
    immediate = request.time_in_force == "IOC"
    return Order(market.number, side, price, qty, immediate, request.client_order_id, pays, cost)


def _steps(text: str, step: Decimal, code: str) -> int:
    try:
        return to_steps(Decimal(text), step)
    except InvalidOperation:
        raise Refusal("VALIDATION", f"{text!r} is not a decimal.") from None
    except (NotAMultiple, OutOfRange):
        raise Refusal(code, f"{text} is not a multiple of {step}.") from None
