"""What the venue's user data tells of an account's reports."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from actors.wire import ReportRow
from market.enums import CommandFlag, CommandKind, ExecType, OrdStatus, OrdType, Side, StpMode
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
        "client_order_id": b"mine".ljust(40, b"\0"), "exec_id": 11, "quote_free": next(_free),
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
    for order in (5, "mine"):
        listener.names.give(ACCOUNT, order, f"by-{order}")
        (told,) = listener.reports(gone)
        assert (told["c"], told["C"]) == (f"by-{order}", "mine")
        listener.names.give(ACCOUNT, order, None)
    listener.names.give(ACCOUNT, 5, "one")
    (told,) = listener.reports(gone._replace(command_kind=int(CommandKind.CANCEL_ALL)))
    assert told["c"] == "rpc-0-11", "it was not this cancel that ended it"


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
    return report(
        ExecType.TRADE_PREVENTION, OrdStatus.NEW, order_id=order_id, trade_id=3, last_qty_lots=lots, leaves_lots=leaves,
        last_price_ticks=9_000_000, stp_mode=int(StpMode.EXPIRE_TAKER), **fields,
    )  # fmt: skip


def test_an_order_that_would_have_met_its_own_is_expired_in_match(listener: Listener) -> None:
    expiry = report(
        ExecType.EXPIRED, OrdStatus.EXPIRED_IN_MATCH, order_id=6, trade_id=3, side=int(Side.SELL),
        reason=int(Reason.SELF_TRADE_PREVENTION), stp_mode=int(StpMode.EXPIRE_TAKER),
    )  # fmt: skip
    (told,) = listener.reports(match(6, 0, 50), match(5, 0, 100), expiry)
    assert (told["x"], told["X"], told["i"], told["V"]) == ("TRADE_PREVENTION", "EXPIRED_IN_MATCH", 6, "EXPIRE_TAKER")
    assert (told["v"], told["U"], told["u"], told["Cs"]) == (3, 5, ACCOUNT, "BTCUSDT")
    assert told["A"] == told["B"] == told["pl"] == "0.00050000"
    assert (told["pL"], told["pY"]) == ("90000.00000000", "45.00000000")
    assert "eR" not in told


def test_orders_that_were_decremented_live_on(listener: Listener) -> None:
    taker, maker = listener.reports(match(6, 20, 30), match(5, 20, 80))
    assert [(one["x"], one["X"], one["i"], one["pl"]) for one in (taker, maker)] == [
        ("TRADE_PREVENTION", "NEW", 6, "0.00020000"), ("TRADE_PREVENTION", "NEW", 5, "0.00020000"),
    ]  # fmt: skip


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
