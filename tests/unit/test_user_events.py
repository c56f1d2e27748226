"""What the venue's user data tells of an account's reports."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from actors.wire import ReportRow
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
)
from market.instrument import assets_of
from market.reasons import Reason
from market.records import REPORT_MAKER
from market.universe import instruments
from serve.binance.cancel_names import CancelNames
from serve.binance.numbers import Scale
from serve.binance.user_events import AccountEvents
from serve.orders import OrderDesk

INSTRUMENTS = instruments(2)
ASSETS = assets_of(INSTRUMENTS)
SCALES = [Scale(terms) for terms in OrderDesk(INSTRUMENTS, ASSETS).terms]
ACCOUNT = 7
CREATED, NOW = 1_700_000_000_000_000_000, 1_700_000_000_500_000_000


def report(exec_type: ExecType, status: OrdStatus, **fields: Any) -> ReportRow:
    """Of a LIMIT BUY of 100 lots, its balances different each time."""
    blank: dict[str, Any] = dict.fromkeys(ReportRow._fields, 0)
    whole = blank | {
        "exec_type": int(exec_type), "ord_status": int(status), "account": ACCOUNT, "order_id": 5, "price_ticks": 9_000_000,
        "qty_lots": 100, "leaves_lots": 100, "commission_asset": -1, "asset": -1, "created_ns": CREATED, "ts_ns": CREATED,
        "client_order_id": b"mine".ljust(40, b"\0"), "exec_id": 11, "quote_free": next(_free), "working_ns": CREATED,
    }  # fmt: skip
    return ReportRow(**(whole | fields))


_free = iter(range(1, 1_000_000))


class Listener:
    def __init__(self) -> None:
        self.events = AccountEvents(SCALES, ASSETS)
        self.names = CancelNames()

    def tell(self, *rows: ReportRow, unit_ns: int = 1_000_000) -> list[dict[str, Any]]:
        told = self.events.of(rows, self.names.of)
        return [msgspec.to_builtins(self.events.event(one, unit_ns, NOW)) for one in told]

    def reports(self, *rows: ReportRow) -> list[dict[str, Any]]:
        return [one for one in self.tell(*rows) if one["e"] == "executionReport"]


@pytest.fixture
def listener() -> Listener:
    return Listener()


def test_a_new_order(listener: Listener) -> None:
    report_, position = listener.tell(report(ExecType.NEW, OrdStatus.NEW, base_free=3, quote_free=5, quote_locked=7))
    assert report_ == {
        "e": "executionReport", "E": 1_700_000_000_500, "s": "BTCUSDT", "c": "mine", "S": "BUY", "o": "LIMIT",
        "f": "GTC", "q": "0.00100000", "p": "90000.00000000", "P": "0.00000000", "F": "0.00000000", "g": -1, "C": "",
        "x": "NEW", "X": "NEW", "r": "NONE", "i": 5, "l": "0.00000000", "z": "0.00000000", "L": "0.00000000",
        "n": "0", "N": None, "T": 1_700_000_000_000, "t": -1, "I": 11, "w": True, "m": False, "M": False,
        "O": 1_700_000_000_000, "Z": "0.00000000", "Y": "0.00000000", "Q": "0.00000000", "W": 1_700_000_000_000,
        "V": "NONE",
    }  # fmt: skip
    assert position == {
        "e": "outboundAccountPosition", "E": 1_700_000_000_500, "u": 1_700_000_000_000,
        "B": [{"a": "BTC", "f": "0.00000003", "l": "0.00000000"}, {"a": "USDT", "f": "0.00000005", "l": "0.00000007"}],
    }  # fmt: skip


def test_balances_are_told_when_they_changed(listener: Listener) -> None:
    same = {"base_free": 3, "quote_free": 5}
    kinds = [one["e"] for one in listener.tell(report(ExecType.NEW, OrdStatus.NEW, **same))]
    assert kinds == ["executionReport", "outboundAccountPosition"]
    kinds = [one["e"] for one in listener.tell(report(ExecType.EXPIRED, OrdStatus.EXPIRED, **same))]
    assert kinds == ["executionReport"]


@pytest.mark.parametrize(("flags", "maker"), [(0, False), (REPORT_MAKER, True)])
def test_a_fill(listener: Listener, flags: int, maker: bool) -> None:
    (told,) = listener.reports(
        report(
            ExecType.TRADE, OrdStatus.PARTIALLY_FILLED, flags=flags, cum_qty_lots=40, leaves_lots=60, last_qty_lots=30,
            last_price_ticks=8_999_900, last_quote_units=26_999_700_000 // 10**2, cum_quote_units=360_000_000,
            commission_units=30, commission_asset=ASSETS.index(SCALES[0].terms.base), trade_id=77,
        )
    )  # fmt: skip
    assert (told["x"], told["X"], told["m"], told["w"], told["t"]) == ("TRADE", "PARTIALLY_FILLED", maker, True, 77)
    assert (told["l"], told["z"], told["L"]) == ("0.00030000", "0.00040000", "89999.00000000")
    assert (told["n"], told["N"]) == ("0.00000030", "BTC")
    assert Decimal(told["Z"]) == Decimal("3.6")


@pytest.mark.parametrize(
    ("reason", "told_reason"),
    [
        (Reason.IOC_UNFILLED, "UNFILLED_IOC_QUANTITY_EXPIRED"),
        (Reason.FOK_UNFILLED, "UNFILLED_FOK_ORDER_EXPIRED"),
        (Reason.INSUFFICIENT_LIQUIDITY, "INSUFFICIENT_LIQUIDITY"),
    ],
)
def test_an_expiry_says_why(listener: Listener, reason: Reason, told_reason: str) -> None:
    (told,) = listener.reports(report(ExecType.EXPIRED, OrdStatus.EXPIRED, reason=int(reason)))
    assert (told["x"], told["X"], told["w"], told["eR"]) == ("EXPIRED", "EXPIRED", False, told_reason)


def test_a_canceled_order_is_told_with_the_name_of_its_cancel(listener: Listener) -> None:
    gone = report(ExecType.CANCELED, OrdStatus.CANCELED, command_kind=int(CommandKind.CANCEL))
    (told,) = listener.reports(gone)
    assert (told["c"], told["C"]) == ("rpc-0-11", "mine"), "nobody named the cancel"
    listener.names.give(ACCOUNT, 5, "one")
    listener.names.give(ACCOUNT, 5, "two")
    listener.names.forget(ACCOUNT, 5, "two")
    (told,) = listener.reports(gone)
    assert (told["c"], told["C"]) == ("one", "mine")
    (told,) = listener.reports(gone._replace(order_id=6))
    assert told["c"] == "rpc-0-11", "another order of the same client order id"
    (told,) = listener.reports(gone._replace(command_kind=int(CommandKind.CANCEL_ALL)))
    assert told["c"] == "rpc-0-11", "it was not this cancel that ended it"
    listener.names.forget(ACCOUNT, 5, "one")
    (told,) = listener.reports(gone)
    assert told["c"] == "rpc-0-11", "it was refused"


def test_an_order_by_quote_amount_is_filled_by_its_last_trade(listener: Listener) -> None:
    flags = int(CommandFlag.BY_QUOTE)
    market = {"ord_type": int(OrdType.MARKET), "qty_lots": 0, "leaves_lots": 0, "flags": flags, "price_ticks": 0}
    trades = [
        report(ExecType.TRADE, OrdStatus.PARTIALLY_FILLED, **market, cum_qty_lots=lots, last_qty_lots=10,
               commission_asset=0, trade_id=lots)
        for lots in (10, 20)
    ]  # fmt: skip
    end = report(
        ExecType.EXPIRED, OrdStatus.FILLED, **market, cum_qty_lots=20, reason=int(Reason.QUOTE_SPENT), quote_free=999
    )  # fmt: skip
    told = listener.tell(report(ExecType.NEW, OrdStatus.NEW, **market), *trades, end)
    reports = [(one["x"], one["X"], one["q"], one["z"]) for one in told if one["e"] == "executionReport"]
    assert reports == [
        ("NEW", "NEW", "0.00000000", "0.00000000"),
        ("TRADE", "PARTIALLY_FILLED", "0.00010000", "0.00010000"),
        ("TRADE", "FILLED", "0.00020000", "0.00020000"),
    ]
    assert told[-1]["B"][1]["f"] == "0.00000999", "what was left of the amount is back"


def test_what_only_the_sender_is_told(listener: Listener) -> None:
    assert listener.tell(report(ExecType.REJECTED, OrdStatus.REJECTED, command_kind=int(CommandKind.NEW))) == []
    assert listener.tell(report(ExecType.CANCEL_REJECTED, OrdStatus.REJECTED)) == []
    (told,) = listener.tell(
        report(
            ExecType.REJECTED, OrdStatus.REJECTED, command_kind=int(CommandKind.REPLACE),
            reason=int(Reason.INSUFFICIENT_BALANCE),
        )
    )  # fmt: skip
    assert (told["x"], told["X"], told["r"]) == ("REJECTED", "REJECTED", "INSUFFICIENT_BALANCES")
    assert "W" not in told


def match(order_id: int, lots: int, leaves: int, **fields: Any) -> ReportRow:
    """Order 6 takes, order 5 rests."""
    return report(
        ExecType.TRADE_PREVENTION, OrdStatus.NEW, order_id=order_id, orig_order_id=11 - order_id, trade_id=3, last_qty_lots=lots, leaves_lots=leaves,
        last_price_ticks=9_000_000, stp_mode=int(StpMode.EXPIRE_TAKER), **fields,
    )  # fmt: skip


def test_an_order_that_would_have_met_its_own_is_expired_in_match(listener: Listener) -> None:
    expiry = report(
        ExecType.EXPIRED, OrdStatus.EXPIRED_IN_MATCH, order_id=6, trade_id=3, side=int(Side.SELL),
        reason=int(Reason.SELF_TRADE_PREVENTION), stp_mode=int(StpMode.EXPIRE_TAKER), cum_qty_lots=50,
    )  # fmt: skip
    (told,) = listener.reports(match(6, 0, 50), match(5, 0, 100), expiry)
    assert (told["x"], told["X"], told["i"], told["V"]) == ("TRADE_PREVENTION", "EXPIRED_IN_MATCH", 6, "EXPIRE_TAKER")
    assert (told["v"], told["U"], told["u"], told["Cs"]) == (3, 5, -1, "BTCUSDT")
    assert told["A"] == told["B"] == told["pl"] == "0.00050000"
    assert (told["pL"], told["pY"]) == ("90000.00000000", "45.00000000")
    assert "eR" not in told


def test_orders_that_were_decremented_live_on(listener: Listener) -> None:
    taker, maker = listener.reports(match(6, 20, 30), match(5, 20, 80))
    assert [(one["x"], one["X"], one["i"], one["pl"]) for one in (taker, maker)] == [
        ("TRADE_PREVENTION", "NEW", 6, "0.00020000"), ("TRADE_PREVENTION", "NEW", 5, "0.00020000"),
    ]  # fmt: skip


def test_an_order_that_was_decremented_to_nothing_is_told_of_the_match_once(listener: Listener) -> None:
    expiry = report(
        ExecType.EXPIRED, OrdStatus.EXPIRED_IN_MATCH, order_id=6, trade_id=3, prevented_lots=100, leaves_lots=0,
        reason=int(Reason.SELF_TRADE_PREVENTION), stp_mode=int(StpMode.DECREMENT),
    )  # fmt: skip
    told = listener.reports(match(6, 100, 0, prevented_lots=100), match(5, 100, 20, prevented_lots=100), expiry)
    assert [(one["i"], one["X"], one["v"], one["U"], one["u"], one["B"]) for one in told] == [
        (5, "NEW", 3, 6, -1, "0.00100000"), (6, "EXPIRED_IN_MATCH", 3, 5, -1, "0.00100000"),
    ]  # fmt: skip


def test_what_is_prevented_adds_up(listener: Listener) -> None:
    listener.reports(match(6, 20, 80, prevented_lots=20), match(5, 20, 80, prevented_lots=20))
    again = match(6, 30, 50, prevented_lots=50)._replace(trade_id=4)
    (told,) = listener.reports(again)
    assert (told["A"], told["B"], told["v"]) == ("0.00050000", "0.00030000", 4)


STOP = {
    "ord_type": int(OrdType.STOP_LOSS_LIMIT), "side": int(Side.SELL), "stop_price_ticks": 8_000_000,
    "price_ticks": 7_900_000, "trailing_bips": 50, "display_lots": 10,
}  # fmt: skip
LATER = CREATED + 5_000_000


def test_a_stop_order_from_its_placing_to_the_book(listener: Listener) -> None:
    waiting, tracking, triggered = listener.reports(
        report(ExecType.NEW, OrdStatus.NEW, **STOP, working_ns=0),
        report(ExecType.TRACKING, OrdStatus.NEW, **STOP, working_ns=0, tracking_ns=CREATED, ts_ns=CREATED),
        report(ExecType.TRIGGERED, OrdStatus.NEW, **STOP, tracking_ns=CREATED, working_ns=LATER, ts_ns=LATER),
    )
    for told in (waiting, tracking, triggered):
        assert (told["x"], told["X"], told["o"], told["d"]) == ("NEW", "NEW", "STOP_LOSS_LIMIT", 50)
        assert (told["P"], told["p"], told["F"]) == ("80000.00000000", "79000.00000000", "0.00010000")
    assert [one["w"] for one in (waiting, tracking, triggered)] == [False, False, True]
    assert "W" not in waiting
    assert "D" not in waiting
    assert tracking["D"] == triggered["D"] == CREATED // 1_000_000
    assert triggered["W"] == triggered["T"] == LATER // 1_000_000


@pytest.mark.parametrize(
    ("exec_type", "status", "reason", "told_reason"),
    [
        (ExecType.EXPIRED, OrdStatus.EXPIRED, Reason.OCO_TRIGGER, "OCO_TRIGGER"),
        (ExecType.EXPIRED, OrdStatus.EXPIRED, Reason.PENDING_NEVER_PLACED, "OTO_PHASE_ONE_EXPIRED"),
        (ExecType.EXPIRED, OrdStatus.EXPIRED, Reason.INSUFFICIENT_BALANCE, "REJECTED"),
        (ExecType.EXPIRED, OrdStatus.EXPIRED, Reason.PEG_UNAVAILABLE, "REJECTED"),
        (ExecType.EXPIRED, OrdStatus.EXPIRED, Reason.PEG_BUDGET, "REJECTED"),
        (ExecType.EXPIRED, OrdStatus.EXPIRED, Reason.NEVER_ACCEPTED, "EXCHANGE_CANCELED"),
        (ExecType.CANCELED, OrdStatus.CANCELED, Reason.OCO_CANCELED, None),
    ],
)
def test_how_orders_of_lists_end(
    listener: Listener, exec_type: ExecType, status: OrdStatus, reason: Reason, told_reason: str | None
) -> None:
    (told,) = listener.reports(report(exec_type, status, reason=int(reason), list_id=5, working_ns=0))
    assert (told["x"], told["X"], told["g"], told["w"]) == (exec_type.name, status.name, 5, False)
    assert told.get("eR") == told_reason


def test_a_pegged_order(listener: Listener) -> None:
    pegged = {"peg_type": int(PegType.PRIMARY_PEG), "peg_offset": 2}
    at_once, later = listener.reports(
        report(ExecType.NEW, OrdStatus.NEW, **pegged),
        report(ExecType.NEW, OrdStatus.NEW, **(STOP | pegged | {"price_ticks": 0, "working_ns": 0})),
    )
    for told in (at_once, later):
        assert (told["gP"], told["gOT"], told["gOV"], told["p"]) == ("PRIMARY_PEG", "PRICE_LEVEL", 2, "0.00000000")
    assert at_once["gp"] == "90000.00000000"
    assert "gp" not in later


def test_what_a_pegged_order_and_one_by_amount_came_with(listener: Listener) -> None:
    (pegged,) = listener.reports(
        report(ExecType.NEW, OrdStatus.NEW, peg_type=int(PegType.PRIMARY_PEG), given=9_100_000)
    )
    assert (pegged["p"], pegged["gp"]) == ("91000.00000000", "90000.00000000")
    market = {"ord_type": int(OrdType.MARKET), "flags": int(CommandFlag.BY_QUOTE), "price_ticks": 0, "qty_lots": 0}
    (by_amount,) = listener.reports(report(ExecType.NEW, OrdStatus.NEW, **market, given=5_000_000_000))
    assert by_amount["Q"] == "50.00000000"


def list_reports(status: ListStatus, **fields: Any) -> list[ReportRow]:
    """Of a list of two orders."""
    named = {"list_id": 5, "working_ns": 0, **fields}
    head = report(
        ExecType.LIST, OrdStatus(int(status)), **named, order_id=0, ord_type=int(Contingency.OTO), qty_lots=2,
        client_order_id=b"list".ljust(40, b"\0"),
    )  # fmt: skip
    return [
        head, report(ExecType.LIST, OrdStatus.NEW, **named, leaves_lots=1),
        report(ExecType.LIST, OrdStatus.NEW, **named, order_id=6, client_order_id=b"other".ljust(40, b"\0")),
    ]  # fmt: skip


def test_a_list_and_its_orders(listener: Listener) -> None:
    pending = report(ExecType.NEW, OrdStatus.PENDING_NEW, order_id=6, list_id=5, working_ns=0, quote_free=0)
    told = listener.tell(*list_reports(ListStatus.EXECUTING), pending)
    assert [one["e"] for one in told] == ["listStatus", "executionReport", "outboundAccountPosition"]
    assert told[0] == {
        "e": "listStatus", "E": 1_700_000_000_500, "s": "BTCUSDT", "g": 5, "c": "OTO", "l": "EXEC_STARTED",
        "L": "EXECUTING", "r": "NONE", "C": "list", "T": 1_700_000_000_000,
        "O": [{"s": "BTCUSDT", "i": 5, "c": "mine"}, {"s": "BTCUSDT", "i": 6, "c": "other"}],
    }  # fmt: skip
    assert (told[1]["x"], told[1]["X"], told[1]["w"], told[1]["g"]) == ("NEW", "PENDING_NEW", False, 5)
    (done,) = listener.tell(*list_reports(ListStatus.ALL_DONE))
    assert (done["l"], done["L"]) == ("ALL_DONE", "ALL_DONE")
    (renamed,) = listener.tell(*list_reports(ListStatus.EXECUTING, command_kind=int(CommandKind.AMEND)))
    assert (renamed["l"], renamed["L"]) == ("UPDATED", "EXECUTING")


@pytest.mark.parametrize(("units", "told_delta"), [(500_000_000, "5.00000000"), (-1, "-0.00000001")])
def test_a_posting(listener: Listener, units: int, told_delta: str) -> None:
    usdt = [one.name for one in ASSETS].index("USDT")
    position, update = listener.tell(
        report(ExecType.BALANCE, OrdStatus.NEW, symbol=-1, asset=usdt, last_quote_units=units, base_free=10)
    )
    assert position["B"] == [{"a": "USDT", "f": "0.00000010", "l": "0.00000000"}]
    assert update == {
        "e": "balanceUpdate", "E": 1_700_000_000_500, "a": "USDT", "d": told_delta, "T": 1_700_000_000_000,
    }  # fmt: skip


def test_microseconds(listener: Listener) -> None:
    told = listener.tell(report(ExecType.NEW, OrdStatus.NEW), unit_ns=1_000)
    assert told[0]["E"] == NOW // 1_000
    assert told[0]["T"] == told[0]["O"] == told[0]["W"] == told[1]["u"] == CREATED // 1_000
