"""Order lists: OCO, OTO, OTOCO, OPO, OPOCO. Parameters are read and checked as a whole before anything is placed."""

from typing import Any, Final

import msgspec

from market.enums import OrdType, Side, TimeInForce
from serve.binance.context import Context
from serve.binance.errors import (
    BinanceError,
    cancel_rejected,
    missing_both,
    not_required,
    rejected,
    too_long_a_time,
)
from serve.binance.new_order import LIMITED, STOPS, Leg
from serve.binance.params import (
    Decimal8,
    Limit1000,
    Long,
    NewClientId,
    OrigClientId,
    Params,
    PegOf,
    PegOffsetTypeOf,
    RespTypeOf,
    SideOf,
    StpOf,
    StrategyType,
    Symbol,
    TifOf,
    TimeNs,
    TypeOf,
)
from serve.binance.queries import DAY_NS, DEFAULT_LIMIT
from serve.binance.route import NoParams

_BUY: Final = int(Side.BUY)
_LIMIT, _MAKER = int(OrdType.LIMIT), int(OrdType.LIMIT_MAKER)
_STOP_LOSSES: Final = frozenset({int(OrdType.STOP_LOSS), int(OrdType.STOP_LOSS_LIMIT)})
_TAKE_PROFITS: Final = frozenset({int(OrdType.TAKE_PROFIT), int(OrdType.TAKE_PROFIT_LIMIT)})
_OCO_TYPES: Final = STOPS | {_MAKER}
_GTC: Final = int(TimeInForce.GTC)

OPO_WORKING_MUST_BE_BUY: Final = (-1222, "Working order in an OPO list must be a bid.")
OPO_PENDING_MUST_BE_SELL: Final = (-1223, "Pending orders in an OPO list must be asks.")
BAD_OCO_TYPE: Final = (-1158, "Order type not supported in OCO.")
NO_SUCH_LIST: Final = (-2013, "Order list does not exist.")


class ListOrder(msgspec.Struct):
    symbol: str
    orderId: int
    clientOrderId: str


class OrderList(msgspec.Struct):
    orderListId: int
    contingencyType: str
    listStatusType: str
    listOrderStatus: str
    listClientOrderId: str
    transactionTime: int
    symbol: str
    orders: list[ListOrder]


class ListParams(Params, kw_only=True):
    symbol: Symbol
    listClientOrderId: NewClientId | None = None
    newOrderRespType: RespTypeOf | None = None
    selfTradePreventionMode: StpOf | None = None


class OcoParams(ListParams, kw_only=True):
    side: SideOf
    quantity: Decimal8
    aboveType: TypeOf
    aboveClientOrderId: NewClientId | None = None
    aboveIcebergQty: Decimal8 | None = None
    abovePrice: Decimal8 | None = None
    aboveStopPrice: Decimal8 | None = None
    aboveTrailingDelta: Long | None = None
    aboveTimeInForce: TifOf | None = None
    aboveStrategyId: Long | None = None
    aboveStrategyType: StrategyType | None = None
    abovePegPriceType: PegOf | None = None
    abovePegOffsetType: PegOffsetTypeOf | None = None
    abovePegOffsetValue: Long | None = None
    belowType: TypeOf
    belowClientOrderId: NewClientId | None = None
    belowIcebergQty: Decimal8 | None = None
    belowPrice: Decimal8 | None = None
    belowStopPrice: Decimal8 | None = None
    belowTrailingDelta: Long | None = None
    belowTimeInForce: TifOf | None = None
    belowStrategyId: Long | None = None
    belowStrategyType: StrategyType | None = None
    belowPegPriceType: PegOf | None = None
    belowPegOffsetType: PegOffsetTypeOf | None = None
    belowPegOffsetValue: Long | None = None


class OldOcoParams(ListParams, kw_only=True):
    """`order/oco`: a limit order and a stop loss, named by what they are."""

    side: SideOf
    quantity: Decimal8
    limitClientOrderId: NewClientId | None = None
    limitStrategyId: Long | None = None
    limitStrategyType: StrategyType | None = None
    price: Decimal8
    limitIcebergQty: Decimal8 | None = None
    trailingDelta: Long | None = None
    stopClientOrderId: NewClientId | None = None
    stopPrice: Decimal8 | None = None
    stopStrategyId: Long | None = None
    stopStrategyType: StrategyType | None = None
    stopLimitPrice: Decimal8 | None = None
    stopIcebergQty: Decimal8 | None = None
    stopLimitTimeInForce: TifOf | None = None


class WorkingParams(ListParams, kw_only=True):
    workingType: TypeOf
    workingSide: SideOf
    workingClientOrderId: NewClientId | None = None
    workingPrice: Decimal8 | None = None
    workingQuantity: Decimal8
    workingIcebergQty: Decimal8 | None = None
    workingTimeInForce: TifOf | None = None
    workingStrategyId: Long | None = None
    workingStrategyType: StrategyType | None = None
    workingPegPriceType: PegOf | None = None
    workingPegOffsetType: PegOffsetTypeOf | None = None
    workingPegOffsetValue: Long | None = None
    pendingSide: SideOf


class OpoParams(WorkingParams, kw_only=True):
    pendingType: TypeOf
    pendingClientOrderId: NewClientId | None = None
    pendingPrice: Decimal8 | None = None
    pendingStopPrice: Decimal8 | None = None
    pendingTrailingDelta: Long | None = None
    pendingIcebergQty: Decimal8 | None = None
    pendingTimeInForce: TifOf | None = None
    pendingStrategyId: Long | None = None
    pendingStrategyType: StrategyType | None = None
    pendingPegPriceType: PegOf | None = None
    pendingPegOffsetType: PegOffsetTypeOf | None = None
    pendingPegOffsetValue: Long | None = None


class OtoParams(OpoParams, kw_only=True):
    pendingQuantity: Decimal8


class OpocoParams(WorkingParams, kw_only=True):
    pendingAboveType: TypeOf
    pendingAboveClientOrderId: NewClientId | None = None
    pendingAbovePrice: Decimal8 | None = None
    pendingAboveStopPrice: Decimal8 | None = None
    pendingAboveTrailingDelta: Long | None = None
    pendingAboveIcebergQty: Decimal8 | None = None
    pendingAboveTimeInForce: TifOf | None = None
    pendingAboveStrategyId: Long | None = None
    pendingAboveStrategyType: StrategyType | None = None
    pendingAbovePegPriceType: PegOf | None = None
    pendingAbovePegOffsetType: PegOffsetTypeOf | None = None
    pendingAbovePegOffsetValue: Long | None = None
    pendingBelowType: TypeOf
    pendingBelowClientOrderId: NewClientId | None = None
    pendingBelowPrice: Decimal8 | None = None
    pendingBelowStopPrice: Decimal8 | None = None
    pendingBelowTrailingDelta: Long | None = None
    pendingBelowIcebergQty: Decimal8 | None = None
    pendingBelowTimeInForce: TifOf | None = None
    pendingBelowStrategyId: Long | None = None
    pendingBelowStrategyType: StrategyType | None = None
    pendingBelowPegPriceType: PegOf | None = None
    pendingBelowPegOffsetType: PegOffsetTypeOf | None = None
    pendingBelowPegOffsetValue: Long | None = None


class OtocoParams(OpocoParams, kw_only=True):
    pendingQuantity: Decimal8


class CancelList(Params, kw_only=True):
    symbol: Symbol
    orderListId: Long | None = None
    listClientOrderId: NewClientId | None = None
    newClientOrderId: NewClientId | None = None


class QueryList(Params, kw_only=True):
    orderListId: Long | None = None
    origClientOrderId: OrigClientId | None = None


class AllLists(Params, kw_only=True):
    fromId: Long | None = None
    startTime: TimeNs | None = None
    endTime: TimeNs | None = None
    limit: Limit1000 = DEFAULT_LIMIT


# -- legs -------------------------------------------------------------------------------------------------------------


def leg(p: Any, prefix: str, side: int, quantity: int | None) -> Leg:
    """The parameters that begin with `prefix` as an order."""

    def get(name: str) -> Any:
        return getattr(p, prefix + name, None)

    return Leg(
        side=side, type=get("Type"), quantity=quantity, price=get("Price"), tif=get("TimeInForce"),
        client_id=get("ClientOrderId"), strategy_id=get("StrategyId"), strategy_type=get("StrategyType"),
        stop_price=get("StopPrice"), trailing=get("TrailingDelta"), iceberg=get("IcebergQty"),
        peg_type=get("PegPriceType"), peg_offset_type=get("PegOffsetType"), peg_offset=get("PegOffsetValue"),
        stp=p.selfTradePreventionMode or 0, prefix=prefix,
    )  # fmt: skip


def check_oco(above: Leg, below: Leg) -> None:
    """The venue's rules about the types of a pair and which stands above."""
    for one in (above, below):
        if one.type not in _OCO_TYPES:
            raise BinanceError(*BAD_OCO_TYPE)
        if one.iceberg and one.type in LIMITED and (one.tif or _GTC) != _GTC:
            name = one.name("icebergQty")
            raise BinanceError(-1160, f"Parameter '{name}' is not supported if `{one.name('timeInForce')}` is not GTC.")
    types = {above.type, below.type}
    if not types & STOPS:
        raise BinanceError(-1168, "At least one OCO order must be contingent.")
    buys = above.side == _BUY
    if buys and above.type == _MAKER:
        raise BinanceError(-1165, "A limit order in a buy OCO must be below.")
    if not buys and below.type == _MAKER:
        raise BinanceError(-1166, "A limit order in a sell OCO must be above.")
    if buys and below.type in _STOP_LOSSES:
        raise BinanceError(-1196, "A stop loss order in a buy OCO must be above.")
    if not buys and above.type in _STOP_LOSSES:
        raise BinanceError(-1197, "A stop loss order in a sell OCO must be below.")
    if buys and above.type in _TAKE_PROFITS:
        raise BinanceError(-1198, "A take profit order in a buy OCO must be below.")
    if not buys and below.type in _TAKE_PROFITS:
        raise BinanceError(-1199, "A take profit order in a sell OCO must be above.")


def check_working(working: Leg) -> None:
    if working.type not in (_LIMIT, _MAKER):
        raise rejected("Unsupported order combination")


def check_opo(p: WorkingParams) -> None:
    if p.workingSide != _BUY:
        raise BinanceError(*OPO_WORKING_MUST_BE_BUY)
    if p.pendingSide == _BUY:
        raise BinanceError(*OPO_PENDING_MUST_BE_SELL)


async def oco(ctx: Context, p: OcoParams) -> OrderList:
    above, below = leg(p, "above", p.side, p.quantity), leg(p, "below", p.side, p.quantity)
    return await place_oco(ctx, p, above, below)


async def old_oco(ctx: Context, p: OldOcoParams) -> OrderList:
    """As `orderList/oco`: for a SELL the limit order is above, for a BUY below."""
    stop_type = OrdType.STOP_LOSS if p.stopLimitPrice is None else OrdType.STOP_LOSS_LIMIT
    if p.stopPrice is None and p.trailingDelta is None:
        raise missing_both("stopPrice", "trailingDelta")
    if p.stopLimitPrice is None and p.stopLimitTimeInForce is not None:
        raise not_required("stopLimitTimeInForce")
    limit = Leg(
        side=p.side, type=_MAKER, quantity=p.quantity, price=p.price, client_id=p.limitClientOrderId,
        strategy_id=p.limitStrategyId, strategy_type=p.limitStrategyType, iceberg=p.limitIcebergQty,
        stp=p.selfTradePreventionMode or 0,
    )  # fmt: skip
    stop = Leg(
        side=p.side, type=int(stop_type), quantity=p.quantity, price=p.stopLimitPrice, tif=p.stopLimitTimeInForce,
        client_id=p.stopClientOrderId, strategy_id=p.stopStrategyId, strategy_type=p.stopStrategyType,
        stop_price=p.stopPrice, trailing=p.trailingDelta, iceberg=p.stopIcebergQty, stp=p.selfTradePreventionMode or 0,
    )  # fmt: skip
    return await place_oco(ctx, p, *((stop, limit) if p.side == _BUY else (limit, stop)))


async def place_oco(ctx: Context, p: ListParams, above: Leg, below: Leg) -> OrderList:
    check_oco(above, below)
    raise rejected("OCO orders are not supported for this symbol")


async def oto(ctx: Context, p: OtoParams) -> OrderList:
    check_working(leg(p, "working", p.workingSide, p.workingQuantity))
    raise rejected("OTO orders are not supported for this symbol.")


async def otoco(ctx: Context, p: OtocoParams) -> OrderList:
    check_working(leg(p, "working", p.workingSide, p.workingQuantity))
    _check_pending_pair(p, p.pendingQuantity)
    raise rejected("OTO orders are not supported for this symbol.")


async def opo(ctx: Context, p: OpoParams) -> OrderList:
    check_working(leg(p, "working", p.workingSide, p.workingQuantity))
    check_opo(p)
    raise rejected("OPO orders are not supported for this symbol.")


async def opoco(ctx: Context, p: OpocoParams) -> OrderList:
    check_working(leg(p, "working", p.workingSide, p.workingQuantity))
    check_opo(p)
    _check_pending_pair(p, None)
    raise rejected("OPO orders are not supported for this symbol.")


def _check_pending_pair(p: OpocoParams, quantity: int | None) -> None:
    check_oco(leg(p, "pendingAbove", p.pendingSide, quantity), leg(p, "pendingBelow", p.pendingSide, quantity))


# -- canceling, asking ------------------------------------------------------------------------------------------------


async def cancel_list(ctx: Context, p: CancelList) -> OrderList:
    if p.orderListId is None and p.listClientOrderId is None:
        raise missing_both("orderListId", "listClientOrderId")
    raise cancel_rejected("Unknown order sent.")


async def query_list(ctx: Context, p: QueryList) -> OrderList:
    if p.orderListId is None and p.origClientOrderId is None:
        raise missing_both("orderListId", "origClientOrderId")
    raise BinanceError(*NO_SUCH_LIST)


async def all_lists(ctx: Context, p: AllLists) -> list[OrderList]:
    if p.fromId is not None and p.startTime is not None:
        raise not_required("startTime")
    if p.fromId is not None and p.endTime is not None:
        raise not_required("endTime")
    if p.startTime is not None and p.endTime is not None and p.endTime - p.startTime > DAY_NS:
        raise too_long_a_time(24)
    return []


async def open_lists(ctx: Context, p: NoParams) -> list[OrderList]:
    return []
