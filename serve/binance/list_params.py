"""The parameters of order lists: each order's begin with what it is in its list (`aboveStopPrice`)."""

from typing import Any

from serve.binance.new_order import Leg
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
from serve.binance.queries import DEFAULT_LIMIT


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


def leg(p: Any, prefix: str, side: int, quantity: int | None) -> Leg:
    """The parameters that begin with `prefix` as an order; without a quantity it gets one later."""

    def get(name: str) -> Any:
        return getattr(p, prefix + name, None)

    return Leg(
        side=side, type=get("Type"), quantity=quantity, price=get("Price"), tif=get("TimeInForce"),
        client_id=get("ClientOrderId"), strategy_id=get("StrategyId"), strategy_type=get("StrategyType"),
        stop_price=get("StopPrice"), trailing=get("TrailingDelta"), iceberg=get("IcebergQty"),
        peg_type=get("PegPriceType"), peg_offset_type=get("PegOffsetType"), peg_offset=get("PegOffsetValue"),
        stp=p.selfTradePreventionMode or 0, prefix=prefix, sized_later=quantity is None,
    )  # fmt: skip
