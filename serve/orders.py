"""Between the API's orders and the exchange's records: decimals to integers and back, refusals to errors.

Pure. Everything that the symbol's static filters forbid is refused here, naming the field.
"""

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from actors.wire import ReportRow, pack_command
from market.enums import (
    CommandFlag,
    CommandKind,
    Contingency,
    ExecType,
    ListStatus,
    OrdStatus,
    OrdType,
    PegType,
    Side,
    StpMode,
    TimeInForce,
)
from market.instrument import (
    Asset,
    Grid,
    Instrument,
    from_steps,
    from_units,
)
from market.reasons import Reason
from market.records import REPORT_MAKER
from serve.amounts import steps_of
from serve.errors import REFUSALS, ApiError, Code, reason_error
from serve.schema import (
    Fill,
    Order,
    OrderResult,
    OrderView,
    OrdTypeName,
    Refusal,
    Replace,
    SideOrder,
    StpName,
    TifName,
)

SIDES: Final = [one.name for one in Side]
ORD_TYPES: Final = [one.name for one in OrdType]
TIFS: Final = [one.name for one in TimeInForce]
STATUSES: Final = [one.name for one in OrdStatus]
EXEC_TYPES: Final = [one.name for one in ExecType]
_PEGS: Final = [one.name for one in PegType]
_PLAIN: Final = (0, 0, 0, 0, 0, 0, 0, 0)
"""No stop price, iceberg, list, trailing delta, peg (type, offset), role or restriction."""
_VISIBLE: Final = bytes(range(33, 127))
_PRICE_PLACES: Final = Decimal("1e-8")

# Plain integers: an enum's member costs more to look up than all else that is done with it, and this runs per order.
_NEW: Final = int(CommandKind.NEW)
_MARKET: Final = int(OrdType.MARKET)
_TRADE, _LIST = int(ExecType.TRADE), int(ExecType.LIST)
_STOPS: Final = frozenset(
    int(one) for one in (OrdType.STOP_LOSS, OrdType.STOP_LOSS_LIMIT, OrdType.TAKE_PROFIT, OrdType.TAKE_PROFIT_LIMIT)
)
_BY_MARKET: Final = frozenset((int(OrdType.MARKET), int(OrdType.STOP_LOSS), int(OrdType.TAKE_PROFIT)))
_REPLACEABLE: Final = frozenset((int(OrdType.LIMIT), int(OrdType.LIMIT_MAKER)))
_REFUSALS: Final = frozenset((int(ExecType.REJECTED), int(ExecType.CANCEL_REJECTED)))
REASON_NAMES: Final[dict[int, str | None]] = {int(one): one.name for one in Reason} | {int(Reason.NONE): None}
REFUSAL_CODES: Final = {code: int(reason) for reason, code in REFUSALS.items()}
CLOSING: Final = frozenset((int(ExecType.CANCELED), int(ExecType.EXPIRED)))
ENDED: Final = frozenset(
    int(one) for one in (OrdStatus.CANCELED, OrdStatus.REJECTED, OrdStatus.EXPIRED, OrdStatus.EXPIRED_IN_MATCH)
)


OrderName = int | bytes
"""An order by its id, or by its client order id."""


class Terms:
    """One instrument with everything the conversion needs at hand."""

    __slots__ = (
        "base", "instrument", "lot", "lots", "per_tick_lot", "quote", "quotes", "symbol", "symbol_id", "tick", "ticks",
    )  # fmt: skip

    def __init__(self, symbol_id: int, instrument: Instrument) -> None:
        self.symbol_id = symbol_id
        self.instrument = instrument
        self.symbol = instrument.symbol
        self.tick = instrument.tick
        self.lot = instrument.lot
        self.base = instrument.base
        self.quote = instrument.quote
        self.per_tick_lot = instrument.quote_units_per_tick_lot
        self.ticks = Grid(self.tick)
        self.lots = Grid(self.lot)
        self.quotes = Grid(Decimal(1).scaleb(-self.quote.scale))


class OrderDesk:
    """Converts for one list of instruments."""

    def __init__(self, instruments: Sequence[Instrument], assets: Sequence[Asset]) -> None:
        self.terms = [Terms(k, one) for k, one in enumerate(instruments)]
        self.by_name = {one.symbol: self.terms[k] for k, one in enumerate(instruments)}
        self.assets = list(assets)
        self.asset_ids = {one.name: k for k, one in enumerate(assets)}

    def terms_of(self, symbol: str) -> Terms:
        terms = self.by_name.get(symbol)
        if terms is None:
            raise ApiError(Code.UNKNOWN_SYMBOL, f"{symbol} is not traded here; see /api/market/symbols.", "symbol")
        return terms

    # -- commands -------------------------------------------------------------------------------------------------

    def place(self, account: int, order: Order, side: int, client_order_id: bytes) -> bytes:
        """A NEW command (packed), or ApiError naming the field."""
        return self._new(_NEW, account, order, side, client_order_id, 0)

    def replace(self, account: int, target: ReportRow, order: Replace, client_order_id: bytes) -> bytes:
        """A REPLACE of an open LIMIT or LIMIT_MAKER order with one of the same kind and side."""
        if target.ord_type not in _REPLACEABLE or target.display_lots or target.peg_type or target.list_id:
            raise ApiError(Code.VALIDATION, "Only a plain LIMIT or LIMIT_MAKER order can be replaced.", "order_id")
        one = self.terms[target.symbol].instrument
        wanted = SideOrder(
            symbol=one.symbol,
            type=OrdTypeName(ORD_TYPES[target.ord_type]),
            quantity=order.quantity,
            price=order.price,
            time_in_force=order.time_in_force,
            stp_mode=StpName(StpMode(target.stp_mode).name),
        )
        return self._new(CommandKind.REPLACE, account, wanted, target.side, client_order_id, target.order_id)

    def _new(self, kind: int, account: int, order: SideOrder, side: int, client_order_id: bytes, target: int) -> bytes:
        terms = self.by_name.get(order.symbol) or self.terms_of(order.symbol)
        price = qty = quote = flags = tif = stop = display = bips = 0
        ord_type = order.type.code
        if ord_type in _BY_MARKET:
            qty, quote, flags = self._market(terms, order)
        else:
            price, qty = self._limit(terms, order)
            tif = order.time_in_force.code
            if tif and ord_type == OrdType.LIMIT_MAKER:
                raise ApiError(Code.VALIDATION, "A LIMIT_MAKER order is always GTC.", "time_in_force")
        if order.stop_price is not None or order.trailing_bips is not None or ord_type in _STOPS:
            stop, bips = self._stop(terms, order, ord_type)
        if order.display_quantity is not None:
            display = self._display(terms, order, ord_type, tif, qty)
        return pack_command(
            kind, side, ord_type, tif, order.stp_mode.code, flags, 0, terms.symbol_id, account, 0, target,
            price, qty, quote, -1, 0, 0, 0, 0, stop, display, 0, bips, 0, 0, 0, 0, client_order_id,
        )  # fmt: skip

    def _stop(self, terms: Terms, order: SideOrder, ord_type: int) -> tuple[int, int]:
        """Stop price and trailing delta."""
        if ord_type not in _STOPS:
            field = "trailing_bips" if order.stop_price is None else "stop_price"
            raise ApiError(Code.VALIDATION, f"A {order.type} order has no {field}.", field)
        if order.stop_price is None and order.trailing_bips is None:
            raise ApiError(Code.VALIDATION, "Give stop_price, trailing_bips, or both.", "stop_price")
        if order.quote_quantity is not None:
            raise ApiError(Code.VALIDATION, "Only a MARKET order has a quote_quantity.", "quote_quantity")
        if order.stop_price is None:
            return 0, order.trailing_bips or 0
        stop = steps_of(order.stop_price, terms.ticks, "stop_price", Code.PRICE_FILTER, "tick size")
        return stop, order.trailing_bips or 0

    def _display(self, terms: Terms, order: SideOrder, ord_type: int, tif: int, qty: int) -> int:
        if ord_type in _BY_MARKET or tif:
            raise ApiError(Code.VALIDATION, "Only a GTC order with a price may hide a part.", "display_quantity")
        shown = steps_of(order.display_quantity, terms.lots, "display_quantity", Code.LOT_SIZE, "lot size")
        if shown > qty:
            raise ApiError(Code.ICEBERG_PARTS, "An order cannot show more than it has.", "display_quantity")
        return shown

    def _limit(self, terms: Terms, order: SideOrder) -> tuple[int, int]:
        one = terms.instrument
        if order.quote_quantity is not None:
            raise ApiError(Code.VALIDATION, "Only a MARKET order has a quote_quantity.", "quote_quantity")
        price = steps_of(order.price, terms.ticks, "price", Code.PRICE_FILTER, "tick size")
        qty = steps_of(order.quantity, terms.lots, "quantity", Code.LOT_SIZE, "lot size")
        if not one.min_price_ticks <= price <= one.max_price_ticks:
            low, high = from_steps(one.min_price_ticks, one.tick), from_steps(one.max_price_ticks, one.tick)
            raise ApiError(Code.PRICE_FILTER, f"The price must be between {low} and {high}.", "price")
        if not one.min_qty_lots <= qty <= one.max_qty_lots:
            low, high = from_steps(one.min_qty_lots, one.lot), from_steps(one.max_qty_lots, one.lot)
            raise ApiError(Code.LOT_SIZE, f"The quantity must be between {low} and {high}.", "quantity")
        self._check_notional(one, price * qty * terms.per_tick_lot, "quantity")
        return price, qty

    def _market(self, terms: Terms, order: SideOrder) -> tuple[int, int, int]:
        one = terms.instrument
        if order.price is not None:
            raise ApiError(Code.VALIDATION, f"A {order.type} order has no price.", "price")
        if order.time_in_force is not TifName.GTC:
            raise ApiError(Code.VALIDATION, f"A {order.type} order has no time_in_force.", "time_in_force")
        if (order.quantity is None) == (order.quote_quantity is None):
            raise ApiError(Code.VALIDATION, "Give either quantity or quote_quantity.", "quantity")
        if order.quote_quantity is not None:
            quote = steps_of(order.quote_quantity, terms.quotes, "quote_quantity", Code.NOTIONAL, "smallest unit")
            self._check_notional(one, quote, "quote_quantity")
            return 0, quote, CommandFlag.BY_QUOTE
        qty = steps_of(order.quantity, terms.lots, "quantity", Code.LOT_SIZE, "lot size")
        if not one.market_min_qty_lots <= qty <= one.market_max_qty_lots:
            low, high = (
                from_steps(one.market_min_qty_lots, one.lot),
                from_steps(one.market_max_qty_lots, one.lot),
            )
            raise ApiError(
                Code.MARKET_LOT_SIZE,
                f"The quantity of a {order.type} order must be between {low} and {high}.",
                "quantity",
            )
        return qty, 0, 0

    def _check_notional(self, one: Instrument, units: int, field: str) -> None:
        if not one.min_notional_units <= units <= one.max_notional_units:
            low = from_units(one.min_notional_units, one.quote.scale)
            high = from_units(one.max_notional_units, one.quote.scale)
            raise ApiError(
                Code.NOTIONAL, f"The order's value must be between {low} and {high} {one.quote.name}.", field
            )

    def cancel(self, account: int, order_id: int, client_order_id: str | None = None) -> bytes:
        flags = 0 if client_order_id is None else CommandFlag.BY_CLIENT_ORDER_ID
        named = b"" if client_order_id is None else client_key(client_order_id)
        return pack_command(
            CommandKind.CANCEL, 0, 0, 0, 0, flags, 0, -1, account, order_id, 0, 0, 0, 0, -1, 0, 0, 0, 0, *_PLAIN, named
        )  # fmt: skip

    def cancel_all(self, account: int, symbol: int) -> bytes:
        return pack_command(
            CommandKind.CANCEL_ALL, 0, 0, 0, 0, 0, 0, symbol, account, 0, 0, 0, 0, 0, -1, 0, 0, 0, 0, *_PLAIN, b""
        )  # fmt: skip

    def amend(self, account: int, target: ReportRow, quantity: Any) -> bytes:
        qty = steps_of(quantity, self.terms[target.symbol].lots, "quantity", Code.LOT_SIZE, "lot size")
        return pack_command(
            CommandKind.AMEND, 0, 0, 0, 0, 0, 0, target.symbol, account, target.order_id, 0, 0, qty, 0, -1, 0, 0, 0,
            0, *_PLAIN, target.client_order_id,
        )  # fmt: skip

    # -- answers --------------------------------------------------------------------------------------------------

    def refusal(self, row: ReportRow) -> ApiError | None:
        """The error that a final report tells, if it tells one."""
        if row.exec_type in _REFUSALS:
            return reason_error(Reason(row.reason), field=_field_of(row))
        return None

    def result(self, rows: Sequence[ReportRow], named: OrderName | None = None) -> OrderResult:
        """What became of one command; `named`: of a cancel, whose answer tells of every order that it ended."""
        if rows[-1].exec_type not in _REFUSALS:
            return OrderResult(self.view(rows if named is None else [_row_of(rows, named)]))
        error = self.refusal(rows[-1])
        assert error is not None
        return refused(error)

    def view(self, rows: Sequence[ReportRow], order_id: int = 0) -> OrderView:
        """The order after the reports of one command; `order_id` where they tell of several orders."""
        if order_id:
            rows = [row for row in rows if row.order_id == order_id and row.exec_type != _LIST]
        last = rows[-1]
        terms = self.terms[last.symbol]
        lots, cum, status = terms.lots, last.cum_qty_lots, last.ord_status
        told = OrderView(
            last.order_id,
            last.client_order_id.rstrip(b"\0").decode("ascii"),
            terms.symbol,
            SIDES[last.side],
            ORD_TYPES[last.ord_type],
            TIFS[last.time_in_force],
            STATUSES[status],
            terms.ticks[last.price_ticks],
            lots[last.qty_lots],
            lots[cum],
            lots[0 if status in ENDED else last.leaves_lots],
            terms.quotes[last.cum_quote_units],
            average_price(terms, cum, last.cum_quote_units) if cum else None,
            REASON_NAMES[last.reason],
            last.created_ns or last.ts_ns,
            last.ts_ns or last.created_ns,
            [self._fill(row) for row in rows if row.exec_type == _TRADE] if cum else [],
        )
        if last.ord_type in _STOPS or last.display_lots or last.peg_type or last.list_id:
            tell_conditions(told, terms, last)
        return told

    def _fill(self, row: ReportRow) -> Fill:
        terms = self.terms[row.symbol]
        asset = self.assets[row.commission_asset]
        return Fill(
            row.trade_id,
            terms.ticks[row.last_price_ticks],
            terms.lots[row.last_qty_lots],
            from_units(row.commission_units, asset.scale),
            asset.name,
        )

    def event(self, row: ReportRow) -> dict[str, Any]:
        """A report as it goes out on a private stream."""
        if row.exec_type == ExecType.BALANCE:
            asset = self.assets[row.asset]
            return {
                "channel": "orders", "seq": row.seq, "exec_type": "BALANCE", "ts_ns": row.ts_ns, "asset": asset.name,
                "change": from_units(row.last_quote_units, asset.scale),
                "balances": [_held(asset, row.base_free, row.base_locked)],
            }  # fmt: skip
        terms = self.terms[row.symbol]
        told: dict[str, Any] = {
            "channel": "orders",
            "seq": row.seq,
            "exec_type": EXEC_TYPES[row.exec_type],
            "ts_ns": row.ts_ns,
        }
        if row.exec_type == _LIST:
            return told | _listed(terms, row)
        if row.exec_type == ExecType.CANCEL_REJECTED:
            # The order it names is as it was, and the report does not say how that is.
            told["symbol"] = terms.instrument.symbol
            told["order_id"] = row.order_id or None
            told["reason"] = Reason(row.reason).name
        else:
            told["order"] = self.view([row])
        told["balances"] = [
            _held(terms.base, row.base_free, row.base_locked),
            _held(terms.quote, row.quote_free, row.quote_locked),
        ]
        if row.exec_type == ExecType.TRADE:
            told["is_maker"] = bool(row.flags & REPORT_MAKER)
        return told


def _row_of(rows: Sequence[ReportRow], named: OrderName) -> ReportRow:
    """The newest report of the order named by its id or its client order id."""
    for row in reversed(rows):
        own = row.order_id if isinstance(named, int) else row.client_order_id.rstrip(b"\0")
        if own == named and row.exec_type != _LIST:
            return row
    return rows[-1]


def tell_conditions(told: OrderView, terms: Terms, row: Any) -> None:
    """The fields that only some orders have; `row` has a report's."""
    if row.ord_type in _STOPS:
        if row.stop_price_ticks:
            told.stop_price = terms.ticks[row.stop_price_ticks]
        if row.trailing_bips:
            told.trailing_bips = row.trailing_bips
        told.is_working = bool(row.working_ns)
    if row.display_lots:
        told.display_quantity = terms.lots[row.display_lots]
    if row.peg_type:
        told.peg_type, told.peg_offset = _PEGS[row.peg_type], row.peg_offset
    if row.list_id:
        told.list_id = row.list_id


def _listed(terms: Terms, row: ReportRow) -> dict[str, Any]:
    """Of an order list's reports: the list, or one of its orders."""
    told: dict[str, Any] = {
        "list_id": row.list_id,
        "symbol": terms.symbol,
        "client_order_id": row.client_order_id.rstrip(b"\0").decode("ascii"),
    }
    if row.order_id:
        return told | {"order_id": row.order_id, "is_open": bool(row.leaves_lots)}
    contingency, status = Contingency(row.ord_type).name, ListStatus(row.ord_status).name
    return told | {"contingency": contingency, "status": status, "orders": row.qty_lots}


def refused(error: ApiError) -> OrderResult:
    return OrderResult(error=Refusal(str(error.code), error.message, error.field))


def _held(asset: Asset, free: int, locked: int) -> list[str]:
    """[name, free, locked]"""
    return [asset.name, from_units(free, asset.scale), from_units(locked, asset.scale)]


def _field_of(row: ReportRow) -> str | None:
    """What a refusal is about, where the reason alone does not tell."""
    if row.reason != Reason.UNKNOWN_ORDER:
        return None
    return "client_order_id" if row.flags & CommandFlag.BY_CLIENT_ORDER_ID else "order_id"


def client_key(client_order_id: str) -> bytes:
    """As the records hold it, or ApiError."""
    try:
        key = client_order_id.encode("ascii")
    except UnicodeEncodeError:
        key = b" "
    if key.translate(None, _VISIBLE):
        raise ApiError(Code.VALIDATION, "A client_order_id has visible ASCII characters only.", "client_order_id")
    return key


def average_price(terms: Terms, lots: int, quote_units: int) -> str | None:
    """Quote per base of what was filled, to 8 places."""
    if not lots:
        return None
    exact = Decimal(quote_units).scaleb(-terms.quote.scale) / (lots * terms.lot)
    return format(exact.quantize(_PRICE_PLACES, ROUND_HALF_EVEN), "f")
