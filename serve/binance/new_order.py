"""From an order's parameters to a command: what must and must not be sent with each type, and the symbol's static filters.

Pure. An order of an order list is the same with prefixed parameter names (`aboveStopPrice`), a `Leg`.
"""

from typing import Final

import msgspec

from actors.wire import pack_command
from market.enums import MAX_PEG_OFFSET, CommandFlag, CommandKind, OrdType, PegType, Side, StpMode, TimeInForce
from market.instrument import INT_LIMIT
from serve.binance.errors import (
    UNSUPPORTED_COMBINATION,
    BinanceError,
    filter_failure,
    missing,
    missing_both,
    not_required,
    overflowed,
    rejected,
    together,
    too_large,
)
from serve.binance.numbers import Scale
from serve.binance.params import (
    Decimal8,
    Long,
    NewClientId,
    Params,
    PegOf,
    PegOffsetTypeOf,
    RespTypeOf,
    SideOf,
    StpOf,
    StrategyType,
    Symbol,
    TifOf,
    TypeOf,
)

_LIMIT, _MARKET, _MAKER = int(OrdType.LIMIT), int(OrdType.MARKET), int(OrdType.LIMIT_MAKER)
_STOP_LOSS, _TAKE_PROFIT = int(OrdType.STOP_LOSS), int(OrdType.TAKE_PROFIT)
_STOP_LOSS_LIMIT, _TAKE_PROFIT_LIMIT = int(OrdType.STOP_LOSS_LIMIT), int(OrdType.TAKE_PROFIT_LIMIT)
_GTC: Final = int(TimeInForce.GTC)
_BUY: Final = int(Side.BUY)
LIMITED: Final = frozenset({_LIMIT, _MAKER, _STOP_LOSS_LIMIT, _TAKE_PROFIT_LIMIT})
STOPS: Final = frozenset({_STOP_LOSS, _STOP_LOSS_LIMIT, _TAKE_PROFIT, _TAKE_PROFIT_LIMIT})
_TIMED: Final = frozenset({_LIMIT, _STOP_LOSS_LIMIT, _TAKE_PROFIT_LIMIT})
_STOP_LOSSES: Final = frozenset({_STOP_LOSS, _STOP_LOSS_LIMIT})
FULL_BY_DEFAULT: Final = frozenset({_LIMIT, _MARKET})
"""Types whose placement is told in full unless asked otherwise; the others are acknowledged."""
_NEW: Final = int(CommandKind.NEW)
_BY_QUOTE: Final = int(CommandFlag.BY_QUOTE)
NO_LIST: Final = (0, 0)
"""Order list and role of an order that belongs to none."""


class NewOrder(Params, kw_only=True):
    symbol: Symbol
    side: SideOf
    type: TypeOf
    timeInForce: TifOf | None = None
    quantity: Decimal8 | None = None
    quoteOrderQty: Decimal8 | None = None
    price: Decimal8 | None = None
    newClientOrderId: NewClientId | None = None
    strategyId: Long | None = None
    strategyType: StrategyType | None = None
    stopPrice: Decimal8 | None = None
    trailingDelta: Long | None = None
    icebergQty: Decimal8 | None = None
    newOrderRespType: RespTypeOf | None = None
    selfTradePreventionMode: StpOf | None = None
    pegPriceType: PegOf | None = None
    pegOffsetType: PegOffsetTypeOf | None = None
    pegOffsetValue: Long | None = None


class Leg(msgspec.Struct, kw_only=True, gc=False):
    """One order, whatever its parameters are called; decimals are whole numbers of 10^-8."""

    side: int
    type: int
    quantity: int | None
    price: int | None = None
    tif: int | None = None
    quote: int | None = None
    client_id: str | None = None
    strategy_id: int | None = None
    strategy_type: int | None = None
    stop_price: int | None = None
    trailing: int | None = None
    iceberg: int | None = None
    peg_type: int | None = None
    peg_offset_type: str | None = None
    peg_offset: int | None = None
    stp: int = int(StpMode.NONE)
    prefix: str = ""
    sized_later: bool = False
    """It is to sell what another order of its list buys: it has no quantity yet."""

    def name(self, parameter: str) -> str:
        """`stopPrice` of the leg `above` is `aboveStopPrice`."""
        return f"{self.prefix}{parameter[0].upper()}{parameter[1:]}" if self.prefix else parameter


def leg_of(p: NewOrder) -> Leg:
    return Leg(
        side=p.side, type=p.type, quantity=p.quantity, price=p.price, tif=p.timeInForce, quote=p.quoteOrderQty,
        client_id=p.newClientOrderId, strategy_id=p.strategyId, strategy_type=p.strategyType, stop_price=p.stopPrice,
        trailing=p.trailingDelta, iceberg=p.icebergQty, peg_type=p.pegPriceType, peg_offset_type=p.pegOffsetType,
        peg_offset=p.pegOffsetValue, stp=p.selfTradePreventionMode or 0,
    )  # fmt: skip


def new_command(
    scale: Scale, account: int, leg: Leg, client_order_id: bytes, in_list: tuple[int, int] = NO_LIST
) -> bytes:
    """A NEW command (packed); raises BinanceError naming the parameter or the filter."""
    check_combination(leg)
    price, qty, quote, stop, display = _amounts(scale, leg)
    return pack_command(
        _NEW, leg.side, leg.type, leg.tif or 0, leg.stp, _BY_QUOTE if leg.quote is not None else 0, 0,
        scale.symbol_id, account, 0, 0, price, qty, quote, -1, 0, 0, 0, 0, stop, display, in_list[0],
        leg.trailing or 0, leg.peg_type or 0, leg.peg_offset or 0, in_list[1], 0, client_order_id,
    )  # fmt: skip


# -- which parameters go together -------------------------------------------------------------------------------------


def check_combination(leg: Leg) -> None:
    if leg.type == _LIMIT:  # the most frequent first, and short
        if leg.tif is None:
            raise missing(leg.name("timeInForce"))
        if leg.quantity is None and not leg.sized_later:
            raise missing(leg.name("quantity"))
        if leg.price is None and leg.peg_type is None:
            raise missing(leg.name("price"))
        if leg.quote is not None or leg.stop_price is not None or leg.trailing is not None:
            _forbid(leg, quoteOrderQty=leg.quote, stopPrice=leg.stop_price, trailingDelta=leg.trailing)
    elif leg.type == _MARKET:
        _check_market(leg)
    else:
        _check_others(leg)
    if leg.iceberg:
        if leg.type not in LIMITED:
            raise not_required(leg.name("icebergQty"))
        if (leg.tif or _GTC) != _GTC:
            raise BinanceError(*UNSUPPORTED_COMBINATION)
    if leg.peg_type is not None or leg.peg_offset is not None or leg.peg_offset_type is not None:
        _check_peg(leg)


def _check_market(leg: Leg) -> None:
    _forbid(
        leg, price=leg.price, timeInForce=leg.tif, stopPrice=leg.stop_price, trailingDelta=leg.trailing,
        icebergQty=leg.iceberg,
    )  # fmt: skip
    if leg.quantity is None and leg.quote is None and not leg.sized_later:
        raise missing_both(leg.name("quantity"), leg.name("quoteOrderQty"))
    if leg.quantity is not None:
        _forbid(leg, quoteOrderQty=leg.quote)


def _check_others(leg: Leg) -> None:
    _forbid(leg, quoteOrderQty=leg.quote)
    if leg.type in _TIMED:
        if leg.tif is None:
            raise missing(leg.name("timeInForce"))
    else:
        _forbid(leg, timeInForce=leg.tif)
    if leg.quantity is None and not leg.sized_later:
        raise missing(leg.name("quantity"))
    if leg.type not in LIMITED:
        _forbid(leg, price=leg.price)
    elif leg.price is None and leg.peg_type is None:
        raise missing(leg.name("price"))
    if leg.type not in STOPS:
        _forbid(leg, stopPrice=leg.stop_price, trailingDelta=leg.trailing)
        return
    if leg.stop_price is None and leg.trailing is None:
        raise missing_both(leg.name("stopPrice"), leg.name("trailingDelta"))


def _check_peg(leg: Leg) -> None:
    if leg.peg_type is None:
        raise missing(leg.name("pegPriceType"))
    if (leg.peg_offset is None) != (leg.peg_offset_type is None):
        raise together(f"{leg.name('pegOffsetType')}, {leg.name('pegOffsetValue')}")
    if leg.type not in LIMITED:
        raise rejected("This order type may not use pegged price.")
    market = leg.peg_type == PegType.MARKET_PEG
    if market and leg.type == _MAKER:
        raise rejected("This price peg cannot be used with this order type.")
    if not market and leg.type == _LIMIT and leg.tif != _GTC:
        raise BinanceError(*UNSUPPORTED_COMBINATION)
    if leg.peg_offset is not None and leg.peg_offset > MAX_PEG_OFFSET:
        raise too_large(leg.name("pegOffsetValue"), MAX_PEG_OFFSET)


def _forbid(leg: Leg, **given: int | None) -> None:
    for name, value in given.items():
        if value is not None:
            raise not_required(leg.name(name))


# -- filters ----------------------------------------------------------------------------------------------------------


def _amounts(scale: Scale, leg: Leg) -> tuple[int, int, int, int, int]:
    """Price (ticks), quantity (lots), quote amount (units), stop price (ticks), what an iceberg shows (lots)."""
    one = scale.instrument
    if leg.type == _MARKET and leg.quote is not None:
        quote = leg.quote // scale.quote_unit
        if not one.min_notional_units <= quote <= one.max_notional_units:
            raise filter_failure("NOTIONAL")
        return 0, 0, quote, 0, 0
    price = 0 if leg.price is None else _ticks(scale, leg.price, "price")
    stop = 0 if leg.stop_price is None else _ticks(scale, leg.stop_price, "stopPrice")
    if leg.quantity is None:
        qty, display = 0, lots_of(scale, leg.iceberg, "icebergQty") if leg.iceberg else 0
    else:
        qty = lots_of(scale, leg.quantity)
        if leg.type not in LIMITED and not one.market_min_qty_lots <= qty <= one.market_max_qty_lots:
            raise filter_failure("MARKET_LOT_SIZE")
        display = _display(scale, leg.iceberg, qty) if leg.iceberg else 0
    if price and qty:
        notional = price * qty * scale.terms.per_tick_lot
        if not one.min_notional_units <= notional <= one.max_notional_units:
            raise filter_failure("NOTIONAL")
    if leg.trailing is not None:
        _check_trailing(scale, leg)
    return price, qty, 0, stop, display


def _ticks(scale: Scale, value: int, name: str) -> int:
    if not value:
        raise BinanceError(-1013, f"Invalid {name}.")
    ticks, rest = divmod(value, scale.tick)
    one = scale.instrument
    if rest or not one.min_price_ticks <= ticks <= one.max_price_ticks:
        raise filter_failure("PRICE_FILTER")
    return ticks


def lots_of(scale: Scale, value: int, name: str = "quantity") -> int:
    """Raises -1013, -1108."""
    if not value:
        raise BinanceError(-1013, f"Invalid {name}.")
    lots, rest = divmod(value, scale.lot)
    one = scale.instrument
    if rest or not one.min_qty_lots <= lots <= one.max_qty_lots:
        raise filter_failure("LOT_SIZE")
    if lots >= INT_LIMIT:
        raise overflowed(name)
    return lots


def _display(scale: Scale, iceberg: int, qty: int) -> int:
    shown = lots_of(scale, iceberg, "icebergQty")
    if shown >= qty:
        raise rejected("IcebergQty exceeds QTY.")
    if -(-qty // shown) > scale.instrument.iceberg_parts:
        raise filter_failure("ICEBERG_PARTS")
    return shown


def _check_trailing(scale: Scale, leg: Leg) -> None:
    assert leg.trailing is not None
    one = scale.instrument
    above = (leg.side == _BUY) == (leg.type in _STOP_LOSSES)
    least = one.min_trailing_above_bips if above else one.min_trailing_below_bips
    most = one.max_trailing_above_bips if above else one.max_trailing_below_bips
    if not least <= leg.trailing <= most:
        raise filter_failure("TRAILING_DELTA")
