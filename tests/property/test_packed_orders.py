"""A packed frame is the JSON frame: the same commands, the same refusals, the same answers."""

from decimal import Decimal
from typing import Any, Final

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.wire import decode_reports
from market.enums import CommandFlag, ExecType, OrdStatus, OrdType, Side, StpMode, TimeInForce
from market.instrument import INT_LIMIT, assets_of, from_steps, from_units
from market.reasons import Reason
from market.records import COMMAND, REPORT, Records
from market.universe import instruments
from serve import packed_kernel
from serve.errors import ApiError, Code
from serve.orders import OrderDesk, client_key
from serve.packed import CANCEL, FIELD_NUMBERS, FIELDS, PLACE, REASON_VALIDATION, reason_number
from serve.packed_orders import Checked, PackedDesk, Refused
from serve.schema import Order, OrderResult

VENUE: Final = instruments(3)
DESK: Final = OrderDesk(VENUE, assets_of(VENUE))
PACKED: Final = PackedDesk(DESK)
ACCOUNT: Final = 9


def near(*edges: int) -> st.SearchStrategy[int]:
    """Mostly at the edges and beside them."""
    beside = [edge + step for edge in edges for step in (-1, 0, 1)]
    return st.sampled_from([e for e in beside if -(1 << 63) <= e < 1 << 63]) | st.integers(-2, INT_LIMIT + 2)


@st.composite
def orders(draw: st.DrawFn) -> dict[str, Any]:
    """Fields of a PLACE record; most are an order that somebody might mean."""
    symbol = draw(st.integers(0, len(VENUE) - 1))
    one = VENUE[symbol]
    least, most = one.min_notional_units, one.max_notional_units
    price = draw(near(one.min_price_ticks, one.max_price_ticks, one.start_price_ticks, 0))
    per = one.quote_units_per_tick_lot * max(1, price)
    lots = draw(
        near(one.min_qty_lots, one.max_qty_lots, one.market_max_qty_lots, 0, -(-least // per), most // per, 500)
    )
    rarely = st.sampled_from([0] * 6 + [1])
    return {
        "symbol_id": symbol if not draw(rarely) else draw(st.sampled_from([3, 1 << 31, (1 << 32) - 1])),
        "side": draw(st.sampled_from([0, 1, 0, 1, 0, 1, 2, 255])),
        "type": draw(st.sampled_from([0, 0, 0, 1, 1, 2, *range(7), 7])),
        "time_in_force": draw(st.sampled_from([0, 0, 0, 1, 2, 3])),
        "stp_mode": draw(st.sampled_from([0, 0, 1, 5, 6])),
        "price_ticks": price if not draw(rarely) else 0,
        "qty_lots": lots,
        "quote_units": 0 if not draw(rarely) else draw(near(least, most, 0)),
        "stop_price_ticks": 0 if not draw(rarely) else draw(near(1, price % INT_LIMIT)),
        "display_lots": 0 if not draw(rarely) else draw(near(1, lots % INT_LIMIT)),
        "trailing_bips": 0 if not draw(rarely) else draw(st.sampled_from([-1, 1, 50, 9_999, 10_000])),
        "zero": 0,
        "client_order_id": draw(NAMES),
    }


NAMES: Final = st.sampled_from(
    [b"", b"a", b"grid-7.buy", b"!~" * 18, b"x" * 37, b"x" * 40, b"a b", b"\x7f", b"\xc3\xa9"]
)


def records(rows: list[dict[str, Any]], dtype: np.dtype[np.void]) -> Records:
    made = np.zeros(len(rows), dtype)
    for k, row in enumerate(rows):
        for name, value in row.items():
            made[name][k] = value
    return made


def in_json(row: dict[str, Any]) -> dict[str, Any]:
    """What a client would write that means the same."""
    one = VENUE[row["symbol_id"]]

    def text(field: str, step: Decimal) -> str | None:
        return from_steps(row[field], step) if row[field] else None

    return {
        "symbol": one.symbol,
        "side": Side(row["side"]).name,
        "type": OrdType(row["type"]).name,
        "time_in_force": TimeInForce(row["time_in_force"]).name,
        "stp_mode": StpMode(row["stp_mode"]).name,
        "price": text("price_ticks", one.tick),
        "quantity": text("qty_lots", one.lot),
        "quote_quantity": from_units(row["quote_units"], one.quote.scale) if row["quote_units"] else None,
        "stop_price": text("stop_price_ticks", one.tick),
        "display_quantity": text("display_lots", one.lot),
        "trailing_bips": row["trailing_bips"] or None,
        "client_order_id": row["client_order_id"].decode("latin-1") or None,
    }


def by_json(row: dict[str, Any]) -> bytes | tuple[int, str | None]:
    """The command, or reason and field of the refusal: as the JSON frame has them."""
    try:
        order = msgspec.convert(in_json(row), Order, strict=False)
    except (ValueError, IndexError, msgspec.ValidationError):
        return REASON_VALIDATION, "cannot be decoded"
    try:
        name = b"made-up" if order.client_order_id is None else client_key(order.client_order_id)
        return DESK.place(ACCOUNT, order, order.side.code, name)
    except ApiError as error:
        return reason_number(error.code), error.field


def outcomes(checked: Checked) -> list[bytes | tuple[int, str | None]]:
    found: dict[int, bytes | tuple[int, str | None]] = {
        one.place: (one.reason, FIELDS[one.field]) for one in checked.refused
    }
    places = range(checked.size) if checked.places is None else checked.places.tolist()
    found |= {place: one.tobytes() for place, one in zip(places, checked.commands, strict=True)}
    return [found[k] for k in range(checked.size)]


@settings(max_examples=400, deadline=None)
@given(st.lists(orders(), min_size=1, max_size=8))
def test_placing(rows: list[dict[str, Any]]) -> None:
    found = outcomes(PACKED.place(ACCOUNT, records(rows, PLACE), lambda: b"made-up"))
    for got, row in zip(found, rows, strict=True):
        expected = by_json(row)
        if expected == (REASON_VALIDATION, "cannot be decoded"):
            # JSON refuses the whole frame for it, and a symbol's number names a symbol or none.
            assert isinstance(got, tuple)
            assert got[0] in (REASON_VALIDATION, Reason.UNKNOWN_SYMBOL)
        else:
            assert got == expected, row


@given(st.lists(st.tuples(near(0, 1, INT_LIMIT), NAMES), min_size=1, max_size=8))
def test_canceling(named: list[tuple[int, bytes]]) -> None:
    rows = [{"order_id": order_id, "client_order_id": name} for order_id, name in named]
    found = outcomes(PACKED.cancel(ACCOUNT, records(rows, CANCEL)))
    for got, (order_id, name) in zip(found, named, strict=True):
        if isinstance(got, bytes):
            assert got == DESK.cancel(ACCOUNT, order_id, name.decode() or None)
        else:
            bad_name = len(name) > 36 or any(not 32 < one < 127 for one in name)
            assert got == (REASON_VALIDATION, "client_order_id" if bad_name else "order_id")
            assert bad_name or bool(name) == bool(order_id) or not 0 < order_id < INT_LIMIT


def test_a_name_with_a_gap_is_none() -> None:
    raw = bytearray(
        records([{"symbol_id": 0, "price_ticks": 9_000_000, "qty_lots": 100, "client_order_id": b"a"}], PLACE)
    )
    for at in (-39 + 1, -1):  # after the first zero
        gapped = raw.copy()
        gapped[at] = ord("b")
        checked = PACKED.place(ACCOUNT, np.frombuffer(gapped, PLACE), lambda: b"made-up")
        assert [(one.reason, FIELDS[one.field]) for one in checked.refused] == [(REASON_VALIDATION, "client_order_id")]


# -- answers ----------------------------------------------------------------------------------------------------------

ENDS: Final = {
    ExecType.NEW: OrdStatus.NEW, ExecType.TRADE: OrdStatus.PARTIALLY_FILLED, ExecType.CANCELED: OrdStatus.CANCELED,
    ExecType.EXPIRED: OrdStatus.EXPIRED, ExecType.REJECTED: OrdStatus.REJECTED,
    ExecType.CANCEL_REJECTED: OrdStatus.REJECTED,
}  # fmt: skip
REASONS: Final = [
    Reason.NONE,
    Reason.UNKNOWN_ORDER,
    Reason.INSUFFICIENT_BALANCE,
    Reason.IOC_UNFILLED,
    Reason.PEG_BUDGET,
]


@st.composite
def answers(draw: st.DrawFn) -> Records:
    """The reports of one command: fills, then how it ended."""
    fills, end = draw(st.integers(0, 3)), draw(st.sampled_from(list(ENDS)))
    reports = np.zeros(fills + 1, REPORT)
    reports["exec_type"], reports["ord_status"] = ExecType.TRADE, OrdStatus.PARTIALLY_FILLED
    reports["exec_type"][-1], reports["ord_status"][-1], reports["last"][-1] = end, ENDS[end], 1
    reports["symbol"], reports["order_id"] = draw(st.integers(0, 2)), draw(st.integers(1, INT_LIMIT - 1))
    reports["reason"][-1] = draw(st.sampled_from(REASONS))
    reports["flags"] = draw(st.sampled_from([0, int(CommandFlag.BY_CLIENT_ORDER_ID)]))
    for field in (
        "leaves_lots",
        "created_ns",
        "ts_ns",
        "last_qty_lots",
        "last_price_ticks",
        "commission_units",
        "trade_id",
    ):
        reports[field] = draw(st.integers(0, 1000))
    reports["cum_qty_lots"] = reports["cum_quote_units"] = 5 if (reports["exec_type"] == ExecType.TRADE).any() else 0
    symbol = VENUE[reports["symbol"][0]]
    asset = draw(st.sampled_from([symbol.base.name, symbol.quote.name]))
    reports["commission_asset"] = DESK.asset_ids[asset]
    return reports


@given(st.lists(answers() | st.none(), min_size=1, max_size=8), st.booleans())
def test_answers(frame: list[Records | None], canceling: bool) -> None:
    """None: an order that no account was asked about."""
    at = [k for k, one in enumerate(frame) if one is None]
    answered = [one[-1:] if canceling else one for one in frame if one is not None]
    canceling = canceling and not any((one["exec_type"] == ExecType.TRADE).any() for one in answered)
    size, refused = len(frame), [Refused(k, int(Reason.PRICE_FILTER), FIELD_NUMBERS["price"]) for k in at]
    places = np.array([k for k in range(size) if k not in at], np.int64)
    reports = np.concatenate(answered) if answered else np.zeros(0, REPORT)
    checked = Checked(size, np.zeros(len(answered), COMMAND), places, refused)
    results, fills = PACKED.results(checked, reports, named(reports) if canceling else None)
    for place, one in zip(places.tolist(), answered, strict=True):
        expect(DESK.result(decode_reports(one.tobytes())), results[place], fills[fills["result"] == place], one)
    for k, reason, field in refused:
        assert (results["status"][k], results["reason"][k], results["field"][k]) == (OrdStatus.REJECTED, reason, field)
        assert results["order_id"][k] == results["cum_qty_lots"][k] == results["fills"][k] == 0
    assert results["fills"].sum() == len(fills)


def named(reports: Records) -> Records:
    made = np.zeros(len(reports), CANCEL)
    made["order_id"] = reports["order_id"]
    return made


def expect(told: OrderResult, result: Any, fills: Records, reports: Records) -> None:
    terms = DESK.terms[int(reports["symbol"][-1])]
    if told.error is not None:
        assert result["status"] == OrdStatus.REJECTED
        reason = Reason(int(result["reason"]))
        assert told.error.code == (reason.name if reason.name in Code.__members__ else Code.ORDER_REJECTED)
        assert told.error.field == FIELDS[result["field"]]
        assert result["order_id"] == result["cum_qty_lots"] == result["ts_ns"] == 0
        return
    assert told.order is not None
    order = told.order
    assert (order.order_id, order.status) == (result["order_id"], OrdStatus(int(result["status"])).name)
    assert order.executed_quantity == terms.lots[int(result["cum_qty_lots"])]
    assert order.remaining_quantity == terms.lots[int(result["leaves_lots"])]
    assert order.executed_quote == terms.quotes[int(result["cum_quote_units"])]
    assert (order.updated_ns, order.reason or "NONE") == (result["ts_ns"], Reason(int(result["reason"])).name)
    assert len(order.fills) == result["fills"] == len(fills)
    for mine, theirs in zip(fills, order.fills, strict=True):
        asset = terms.quote if mine["in_quote"] else terms.base
        assert (mine["trade_id"], terms.ticks[int(mine["price_ticks"])]) == (theirs.trade_id, theirs.price)
        assert (terms.lots[int(mine["qty_lots"])], asset.name) == (theirs.quantity, theirs.commission_asset)
        assert from_units(int(mine["commission_units"]), asset.scale) == theirs.commission


def test_a_cancel_is_answered_with_the_order_it_names() -> None:
    """Whatever else of its list it ended."""
    reports = np.zeros(5, REPORT)
    reports["exec_type"], reports["ord_status"] = ExecType.CANCELED, OrdStatus.CANCELED
    reports["order_id"], reports["last"] = [5, 6, 7, 8, 0], [0, 1, 0, 0, 1]
    reports["client_order_id"] = [b"order-%d" % k for k in (5, 6, 7, 8, 0)]
    reports["exec_type"][4] = ExecType.LIST
    asked = records([{"order_id": 5}, {"client_order_id": b"order-7"}], CANCEL)
    results, _ = PACKED.results(PACKED.cancel(ACCOUNT, asked), reports, asked)
    assert results["order_id"].tolist() == [5, 7]


def test_what_was_compiled_is_found_again() -> None:
    """By every process that starts: else each of them compiles, seconds of a start."""
    packed_kernel.warm()
    again = packed_kernel.compiled()
    packed_kernel.warm(again)
    assert [sum(kernel.stats.cache_misses.values()) for kernel in again] == [0, 0, 0]  # type: ignore[union-attr]
