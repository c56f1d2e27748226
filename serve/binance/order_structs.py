"""The venue's answers about orders, field by field in the venue's order. What is UNSET is left out."""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

Opt = str | UnsetType
OptInt = int | UnsetType


class Ack(msgspec.Struct, gc=False):
    symbol: str
    orderId: int
    orderListId: int
    clientOrderId: str
    transactTime: int


class OrderFill(msgspec.Struct, gc=False):
    price: str
    qty: str
    commission: str
    commissionAsset: str
    tradeId: int


class Prevented(msgspec.Struct, gc=False):
    """A match that self-trade prevention kept from being a trade, as the taker's answer tells it."""

    preventedMatchId: int
    makerOrderId: int
    price: str
    takerPreventedQuantity: Opt = UNSET
    makerPreventedQuantity: Opt = UNSET


class OrderResult(msgspec.Struct):
    """RESULT, and with `fills` FULL."""

    symbol: str
    orderId: int
    orderListId: int
    clientOrderId: str
    transactTime: int
    price: str
    pegPriceType: Opt
    pegOffsetType: Opt
    pegOffsetValue: OptInt
    peggedPrice: Opt
    origQty: str
    executedQty: str
    origQuoteOrderQty: str
    cummulativeQuoteQty: str
    status: str
    timeInForce: str
    type: str
    side: str
    stopPrice: Opt
    trailingDelta: OptInt
    trailingTime: OptInt
    strategyId: OptInt
    strategyType: OptInt
    workingTime: int
    icebergQty: Opt
    fills: list[OrderFill] | UnsetType
    preventedMatches: list[Prevented] | UnsetType
    selfTradePreventionMode: str
    preventedMatchId: OptInt = UNSET
    preventedQuantity: Opt = UNSET
    expiryReason: Opt = UNSET


class OrderStatus(msgspec.Struct):
    symbol: str
    orderId: int
    orderListId: int
    clientOrderId: str
    price: str
    origQty: str
    executedQty: str
    cummulativeQuoteQty: str
    status: str
    timeInForce: str
    type: str
    side: str
    stopPrice: str
    icebergQty: str
    time: int
    updateTime: int
    isWorking: bool
    workingTime: int
    origQuoteOrderQty: str
    selfTradePreventionMode: str
    expiryReason: Opt = UNSET
    trailingDelta: OptInt = UNSET
    trailingTime: OptInt = UNSET
    pegPriceType: Opt = UNSET
    pegOffsetType: Opt = UNSET
    pegOffsetValue: OptInt = UNSET
    peggedPrice: Opt = UNSET
    preventedMatchId: OptInt = UNSET
    preventedQuantity: Opt = UNSET


class Canceled(msgspec.Struct):
    symbol: str
    origClientOrderId: str
    orderId: int
    orderListId: int
    clientOrderId: str
    transactTime: int
    price: str
    origQty: str
    executedQty: str
    origQuoteOrderQty: str
    cummulativeQuoteQty: str
    status: str
    timeInForce: str
    type: str
    side: str
    selfTradePreventionMode: str
    stopPrice: Opt = UNSET
    trailingDelta: OptInt = UNSET
    trailingTime: OptInt = UNSET
    icebergQty: Opt = UNSET
    pegPriceType: Opt = UNSET
    pegOffsetType: Opt = UNSET
    pegOffsetValue: OptInt = UNSET
    peggedPrice: Opt = UNSET
    preventedQuantity: Opt = UNSET
    expiryReason: Opt = UNSET


class CancelReplaced(msgspec.Struct):
    cancelResult: str
    newOrderResult: str
    cancelResponse: Any
    newOrderResponse: Any


class AmendedOrder(msgspec.Struct):
    symbol: str
    orderId: int
    orderListId: int
    origClientOrderId: str
    clientOrderId: str
    price: str
    qty: str
    executedQty: str
    preventedQty: str
    quoteOrderQty: str
    cumulativeQuoteQty: str
    status: str
    timeInForce: str
    type: str
    side: str
    workingTime: OptInt
    selfTradePreventionMode: str
    stopPrice: Opt = UNSET
    trailingDelta: OptInt = UNSET
    trailingTime: OptInt = UNSET
    icebergQty: Opt = UNSET
    pegPriceType: Opt = UNSET
    pegOffsetType: Opt = UNSET
    pegOffsetValue: OptInt = UNSET
    peggedPrice: Opt = UNSET
    preventedQuantity: Opt = UNSET


ConditionalFields = OrderResult | OrderStatus | Canceled | AmendedOrder
"""The answers with fields that only some orders have."""


class ListOrder(msgspec.Struct):
    symbol: str
    orderId: int
    clientOrderId: str


class ListStanding(msgspec.Struct):
    """How the list of an amended order stands."""

    orderListId: int
    contingencyType: str
    listOrderStatus: str
    listClientOrderId: str
    symbol: str
    orders: list[ListOrder]


class OrderList(msgspec.Struct):
    orderListId: int
    contingencyType: str
    listStatusType: str
    listOrderStatus: str
    listClientOrderId: str
    transactionTime: int
    symbol: str
    orders: list[ListOrder]
    orderReports: list[Any] | UnsetType = UNSET
    """Of a list that was just placed or canceled: of each of its orders."""


class Amended(msgspec.Struct):
    transactTime: int
    executionId: int
    amendedOrder: AmendedOrder
    listStatus: ListStanding | UnsetType = UNSET


class Amendment(msgspec.Struct):
    symbol: str
    orderId: int
    executionId: int
    origClientOrderId: str
    newClientOrderId: str
    origQty: str
    newQty: str
    time: int


class MyTrade(msgspec.Struct):
    symbol: str
    id: int
    orderId: int
    orderListId: int
    price: str
    qty: str
    quoteQty: str
    commission: str
    commissionAsset: str
    time: int
    isBuyer: bool
    isMaker: bool
    isBestMatch: bool


class PreventedMatch(msgspec.Struct):
    symbol: str
    preventedMatchId: int
    takerOrderId: int
    makerSymbol: str
    makerOrderId: int
    tradeGroupId: int
    selfTradePreventionMode: str
    price: str
    takerPreventedQuantity: Opt
    makerPreventedQuantity: Opt
    transactTime: int


class Rates(msgspec.Struct):
    maker: str
    taker: str


class SideRates(msgspec.Struct):
    maker: str
    taker: str
    buyer: str
    seller: str


class Discount(msgspec.Struct):
    enabledForAccount: bool
    enabledForSymbol: bool
    discountAsset: str
    discount: str


class OrderCommission(msgspec.Struct):
    """`order/test` with computeCommissionRates."""

    standardCommissionForOrder: Rates
    taxCommissionForOrder: Rates
    discount: Discount


class Commission(msgspec.Struct):
    symbol: str
    standardCommission: SideRates
    taxCommission: SideRates
    discount: Discount


class Nothing(msgspec.Struct):
    """{}"""
