"""The public structures of the trading API: what clients send and get. From these OpenAPI is generated.

Prices, quantities and amounts are decimal strings in answers; requests take strings or JSON
numbers. Times are integers: nanoseconds since the Unix epoch (`*_ns`) or milliseconds (`*_ms`).
"""

from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from market.enums import OrdType, Side, StpMode, TimeInForce
from serve.amounts import Amount

MAX_BATCH: Final = 1000
"""Orders in one request or frame."""


class Request(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a client sends: unknown fields are errors, so that a misspelled option is not silently lost."""


class SideName(StrEnum):
    code: int
    BUY = "BUY"
    SELL = "SELL"


class OrdTypeName(StrEnum):
    code: int
    LIMIT = "LIMIT"
    MARKET = "MARKET"
    LIMIT_MAKER = "LIMIT_MAKER"
    STOP_LOSS = "STOP_LOSS"
    STOP_LOSS_LIMIT = "STOP_LOSS_LIMIT"
    TAKE_PROFIT = "TAKE_PROFIT"
    TAKE_PROFIT_LIMIT = "TAKE_PROFIT_LIMIT"


class TifName(StrEnum):
    code: int
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class StpName(StrEnum):
    code: int
    NONE = "NONE"
    EXPIRE_TAKER = "EXPIRE_TAKER"
    EXPIRE_MAKER = "EXPIRE_MAKER"
    EXPIRE_BOTH = "EXPIRE_BOTH"
    DECREMENT = "DECREMENT"
    TRANSFER = "TRANSFER"


# As the records have it. To look a member up in a dict costs more than all else that is done with it, per order.
for _one in SideName:
    _one.code = int(Side[_one.name])
for _type in OrdTypeName:
    _type.code = int(OrdType[_type.name])
for _tif in TifName:
    _tif.code = int(TimeInForce[_tif.name])
for _mode in StpName:
    _mode.code = int(StpMode[_mode.name])

# Orders come by the thousand, and a pattern costs 0.4 us each time: theirs are only told in the schema. A look-up finds
# symbols that are none, `serve.orders.client_key` refuses what may not be in a client_order_id.
_SYMBOL: Final = r"^[A-Z0-9_.\-]+$"
Symbol = Annotated[str, Meta(min_length=1, max_length=24, pattern=_SYMBOL, examples=["BTCUSDT"])]
OrderSymbol = Annotated[
    str, Meta(min_length=1, max_length=24, extra_json_schema={"pattern": _SYMBOL}, examples=["BTCUSDT"])
]
_KEY: Final = r"^[!-~]+(?!\n)$"  # `$` alone lets a final line feed pass
_KEY_TOLD: Final = "Your own key, unique while open: visible ASCII characters."
ClientOrderId = Annotated[
    str, Meta(min_length=1, max_length=36, pattern=_KEY, description=_KEY_TOLD, examples=["grid-7.buy"])
]
OrderKey = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=36,
        extra_json_schema={"pattern": _KEY},
        description=_KEY_TOLD,
        examples=["grid-7.buy"],
    ),
]
OrderId = Annotated[int, Meta(ge=1, le=(1 << 62) - 1)]
Limit = Annotated[int, Meta(ge=1, le=1000)]


class SideOrder(Request, kw_only=True):
    """An order whose side the address tells (`trading/buy`, `trading/sell`)."""

    symbol: OrderSymbol
    type: OrdTypeName = OrdTypeName.MARKET
    quantity: Amount | None = None
    """In the base asset, a multiple of the symbol's lot."""
    quote_quantity: Amount | None = None
    """MARKET: the amount of the quote asset to spend or receive, instead of `quantity`."""
    price: Amount | None = None
    """LIMIT, LIMIT_MAKER, STOP_LOSS_LIMIT and TAKE_PROFIT_LIMIT: a multiple of the symbol's tick."""
    time_in_force: TifName = TifName.GTC
    client_order_id: OrderKey | None = None
    stp_mode: StpName = StpName.NONE
    stop_price: Amount | None = None
    """Stop orders: what the last price must reach before the order goes to the book."""
    trailing_bips: Annotated[int, Meta(ge=1, lt=10_000)] | None = None
    """Stop orders: so many 1/10000 the last price must turn back; with `stop_price`, after it was reached."""
    display_quantity: Amount | None = None
    """GTC orders with a price: so much of the order the book shows at a time."""


class Order(SideOrder, kw_only=True):
    side: SideName


class OrderBatch(Request, kw_only=True):
    orders: Annotated[list[Order], Meta(min_length=1, max_length=MAX_BATCH)]


class Amend(Request, kw_only=True):
    """Reduce the total quantity; the order keeps its priority."""

    quantity: Amount


class Replace(Request, kw_only=True):
    """Cancel the order and place this one instead, atomically."""

    quantity: Amount
    price: Amount
    time_in_force: TifName = TifName.GTC
    client_order_id: OrderKey | None = None


class Fill(msgspec.Struct, gc=False):
    trade_id: int
    price: str
    quantity: str
    commission: str
    commission_asset: str


class OrderView(msgspec.Struct, gc=False):
    """An order as it stands."""

    order_id: int
    client_order_id: str
    symbol: str
    side: str
    type: str
    time_in_force: str
    status: str
    """PENDING_NEW, NEW, PARTIALLY_FILLED, FILLED, CANCELED, EXPIRED, EXPIRED_IN_MATCH"""
    price: str
    quantity: str
    executed_quantity: str
    remaining_quantity: str
    executed_quote: str
    average_price: str | None
    reason: str | None
    """Why it ended, when not by being filled."""
    created_ns: int
    updated_ns: int
    fills: list[Fill] = []
    """Executions that the answered request caused at once."""
    stop_price: str | UnsetType = UNSET
    """Of stop orders that have one."""
    trailing_bips: int | UnsetType = UNSET
    """Of trailing stop orders."""
    is_working: bool | UnsetType = UNSET
    """Of stop orders: whether it went to the book."""
    display_quantity: str | UnsetType = UNSET
    """Of iceberg orders."""
    peg_type: str | UnsetType = UNSET
    """Of pegged orders; `price` is the one taken from the book, 0 while a stop order waits."""
    peg_offset: int | UnsetType = UNSET
    list_id: int | UnsetType = UNSET
    """Of orders that belong to an order list."""


class Refusal(msgspec.Struct, gc=False):
    """Why one order of several was refused."""

    code: str
    detail: str
    field: str | None


class OrderResult(msgspec.Struct, gc=False):
    """Either `order` or `error`."""

    order: OrderView | None = None
    error: Refusal | None = None


class BatchResult(msgspec.Struct):
    results: list[OrderResult]
    """In the order of the request."""


class OrderList(msgspec.Struct):
    orders: list[OrderView]


class Echoed(msgspec.Struct):
    symbol: str


class OrderPath(Request, kw_only=True):
    order_id: OrderId


class OrderQuery(Request, kw_only=True):
    symbol: Symbol | None = None
    client_order_id: ClientOrderId | None = None
    """Only this one, open or ended."""
    open: bool = False
    """Only open orders (from the live account, not from history)."""
    before_id: OrderId | None = None
    limit: Limit = 100


class SymbolQuery(Request, kw_only=True):
    symbol: Symbol | None = None


class CanceledAll(msgspec.Struct):
    canceled: list[OrderView]


class Execution(msgspec.Struct):
    trade_id: int
    order_id: int
    symbol: str
    side: str
    is_maker: bool
    price: str
    quantity: str
    quote: str
    commission: str
    commission_asset: str
    ts_ns: int


class ExecutionList(msgspec.Struct):
    executions: list[Execution]


class HistoryQuery(Request, kw_only=True):
    symbol: Symbol | None = None
    before_ns: Annotated[int, Meta(ge=0, le=(1 << 62) - 1)] | None = None
    limit: Limit = 100


class ControlAction(StrEnum):
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL_ALL = "cancel_all"


class Control(Request, kw_only=True):
    action: ControlAction


class ControlState(msgspec.Struct):
    paused: bool
    canceled: int = 0
    """Orders that this request canceled."""


class TopUp(Request, kw_only=True):
    asset: Annotated[str, Meta(min_length=1, max_length=16, pattern="^[A-Z0-9]+$", examples=["USDT"])]
    amount: Amount


class Balance(msgspec.Struct):
    asset: str
    free: str
    locked: str
    value: str | None
    """In the reference asset; null while there is no price."""
    share: float | None
    """Of the portfolio's value, 0 - 1."""


class Position(msgspec.Struct):
    symbol: str
    quantity: str
    average_price: str | None
    cost: str
    last_price: str | None
    value: str | None
    unrealised_profit: str | None
    realised_profit: str


class Portfolio(msgspec.Struct):
    account: int
    seq: int
    """Number of the newest report on the private stream."""
    paused: bool
    reference_asset: str
    equity: str | None
    realised_profit: str
    unrealised_profit: str | None
    balances: list[Balance]
    positions: list[Position]


class EquityPoint(msgspec.Struct):
    at_ms: int
    equity: str


class EquityHistory(msgspec.Struct):
    points: list[EquityPoint]


class EquityQuery(Request, kw_only=True):
    start_ms: Annotated[int, Meta(ge=0, le=(1 << 53) - 1)] = 0
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 1440
