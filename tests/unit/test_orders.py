"""Our own API's orders of every kind: as commands, as views, and on the private stream."""

from typing import Any

import msgspec
import pytest

from actors.wire import ReportRow, commands_of
from market.enums import Contingency, ExecType, ListStatus, OrdStatus, OrdType, PegType, Side
from market.instrument import assets_of
from market.reasons import Reason
from market.universe import instruments
from serve.amounts import float_hook
from serve.errors import ApiError, Code
from serve.gateway import Gateway
from serve.orders import OrderDesk
from serve.schema import Order, OrderView, Replace
from serve.stored_views import order_view
from tests.unit.list_world import SETTINGS
from tests.unit.test_user_events import report

VENUE = instruments(2)
DESK = OrderDesk(VENUE, assets_of(VENUE))
STOP = {"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_LOSS", "quantity": "0.001", "stop_price": "80000"}
STOP_LIMIT = STOP | {"type": "STOP_LOSS_LIMIT", "price": "79000"}
LIMIT = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "0.001", "price": "50000"}
CONDITIONAL = {"stop_price", "trailing_bips", "is_working", "display_quantity", "peg_type", "peg_offset", "list_id"}


def command(**fields: Any) -> Any:
    order = msgspec.convert(fields, Order, strict=False)
    return commands_of([DESK.place(7, order, Side[fields["side"]], b"mine")])[0]


def seen(row: ReportRow) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(DESK.view([row]))
    return told


def test_stop_orders_become_commands() -> None:
    stop = command(**STOP)
    assert (stop["ord_type"], stop["stop_price_ticks"], stop["qty_lots"]) == (OrdType.STOP_LOSS, 8_000_000, 100)
    assert (stop["price_ticks"], stop["quote_units"]) == (0, 0), "the account finds the budget"
    trailing = command(**(STOP_LIMIT | {"trailing_bips": 50, "time_in_force": "IOC"}))
    assert (trailing["price_ticks"], trailing["trailing_bips"], trailing["time_in_force"]) == (7_900_000, 50, 1)
    assert command(**LIMIT, display_quantity="0.0001")["display_lots"] == 10


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        (STOP | {"stop_price": None}, Code.VALIDATION, "stop_price"),
        (STOP | {"price": "1"}, Code.VALIDATION, "price"),
        (STOP | {"stop_price": "80000.001"}, Code.PRICE_FILTER, "stop_price"),
        (STOP | {"quantity": None, "quote_quantity": "10"}, Code.VALIDATION, "quote_quantity"),
        (STOP | {"display_quantity": "0.0001"}, Code.VALIDATION, "display_quantity"),
        (STOP_LIMIT | {"time_in_force": "FOK", "display_quantity": "0.0001"}, Code.VALIDATION, "display_quantity"),
        (LIMIT | {"stop_price": "1"}, Code.VALIDATION, "stop_price"),
        (LIMIT | {"trailing_bips": 5}, Code.VALIDATION, "trailing_bips"),
        (LIMIT | {"display_quantity": "0.002"}, Code.ICEBERG_PARTS, "display_quantity"),
        (LIMIT | {"display_quantity": "0.000001"}, Code.LOT_SIZE, "display_quantity"),
    ],
)
def test_what_does_not_go_together(fields: dict[str, Any], code: Code, field: str) -> None:
    with pytest.raises(ApiError) as raised:
        command(**fields)
    assert (raised.value.code, raised.value.field) == (code, field)


def test_views_of_every_kind() -> None:
    assert CONDITIONAL.isdisjoint(seen(report(ExecType.NEW, OrdStatus.NEW)))
    stop = report(
        ExecType.NEW, OrdStatus.NEW, ord_type=int(OrdType.TAKE_PROFIT_LIMIT), stop_price_ticks=8_000_000,
        trailing_bips=50, display_lots=10, working_ns=0, list_id=4,
    )  # fmt: skip
    expected = {
        "stop_price": "80000.00", "trailing_bips": 50, "is_working": False, "display_quantity": "0.00010", "list_id": 4,
    }  # fmt: skip
    told = seen(stop)
    assert {name: told[name] for name in CONDITIONAL & set(told)} == expected
    assert told["type"] == "TAKE_PROFIT_LIMIT"
    assert seen(stop._replace(working_ns=1))["is_working"] is True
    pegged = seen(report(ExecType.NEW, OrdStatus.NEW, peg_type=int(PegType.MARKET_PEG)))
    assert (pegged["peg_type"], pegged["peg_offset"], pegged["price"]) == ("MARKET_PEG", 0, "90000.00")
    pending = seen(report(ExecType.NEW, OrdStatus.PENDING_NEW, list_id=4))
    assert pending["status"] == "PENDING_NEW"


def test_a_stored_order_is_told_as_a_live_one() -> None:
    row = report(ExecType.NEW, OrdStatus.NEW, ord_type=int(OrdType.STOP_LOSS), stop_price_ticks=8_000_000, working_ns=0)
    stored = row._asdict() | {"client_order_id": "mine", "updated_ns": row.ts_ns}
    assert order_view(DESK.terms[0], stored) == DESK.view([row])
    old = {name: value for name, value in stored.items() if name not in ("stop_price_ticks", "working_ns", "list_id")}
    assert isinstance(order_view(DESK.terms[0], old), OrderView), "from before there were such orders"


@pytest.mark.parametrize("exec_type", [ExecType.TRIGGERED, ExecType.TRACKING])
def test_what_becomes_of_stop_orders_is_told(exec_type: ExecType) -> None:
    row = report(exec_type, OrdStatus.NEW, ord_type=int(OrdType.STOP_LOSS), stop_price_ticks=8_000_000, seq=3)
    told = DESK.event(row)
    assert (told["exec_type"], told["seq"], told["order"].stop_price) == (exec_type.name, 3, "80000.00")


def test_lists_are_told_in_parts() -> None:
    head = report(
        ExecType.LIST, OrdStatus(int(ListStatus.ALL_DONE)), list_id=5, order_id=0, ord_type=int(Contingency.OTO),
        qty_lots=2, client_order_id=b"list".ljust(40, b"\0"), seq=8,
    )  # fmt: skip
    assert DESK.event(head) == {
        "channel": "orders", "seq": 8, "exec_type": "LIST", "ts_ns": head.ts_ns, "list_id": 5, "symbol": "BTCUSDT",
        "client_order_id": "list", "contingency": "OTO", "status": "ALL_DONE", "orders": 2,
    }  # fmt: skip
    one = report(ExecType.LIST, OrdStatus.NEW, list_id=5, order_id=6, leaves_lots=1, seq=9)
    assert DESK.event(one) == {
        "channel": "orders", "seq": 9, "exec_type": "LIST", "ts_ns": one.ts_ns, "list_id": 5, "symbol": "BTCUSDT",
        "client_order_id": "mine", "order_id": 6, "is_open": True,
    }  # fmt: skip


async def test_a_cancel_is_answered_with_the_order_it_names() -> None:
    """Whatever else of its list it ended, and in whatever order that is told."""
    gateway = Gateway(SETTINGS)

    def gone(order_id: int, last: int) -> ReportRow:
        return report(
            ExecType.CANCELED, OrdStatus.CANCELED, order_id=order_id, last=last, list_id=5,
            client_order_id=(b"order-%d" % order_id).ljust(40, b"\0"),
        )  # fmt: skip

    unknown = report(ExecType.CANCEL_REJECTED, OrdStatus.REJECTED, last=1, reason=int(Reason.UNKNOWN_ORDER))
    rows = [gone(5, 0), gone(6, 1), unknown, gone(7, 0), gone(8, 1)]
    results = gateway.results(rows, {}, [5, 9, b"order-7"])
    assert [one.order and one.order.order_id for one in results] == [5, None, 7]
    refusal = results[1].error
    assert refusal is not None
    assert refusal.code == "UNKNOWN_ORDER"


def test_amendments_keep_the_name_and_only_plain_orders_are_replaced() -> None:
    target = report(ExecType.NEW, OrdStatus.NEW)
    (amend,) = commands_of([DESK.amend(7, target, float_hook("0.0005"))])
    assert amend["client_order_id"] == b"mine"
    wanted = msgspec.convert({"quantity": "0.001", "price": "50000"}, Replace, strict=False)
    assert len(DESK.replace(7, target, wanted, b"new"))
    for fields in ({"ord_type": int(OrdType.STOP_LOSS)}, {"display_lots": 5}, {"peg_type": 1}, {"list_id": 4}):
        with pytest.raises(ApiError) as raised:
            DESK.replace(7, target._replace(**fields), wanted, b"new")
        assert (raised.value.code, raised.value.field) == (Code.VALIDATION, "order_id")
