"""The kept reports: resuming, and how an order stands that has just ended."""

import time
from typing import Any

import numpy as np
import pytest

from actors.history import KEPT, ReportHistory
from market.enums import ExecType, OrdStatus
from market.records import REPORT, REPORT_MAKER, Records

ALICE, BOB = 2, 3
NEW, PARTIAL, FILLED, CANCELED = OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED, OrdStatus.FILLED, OrdStatus.CANCELED


def report(seq: int, order_id: int, status: OrdStatus, account: int = ALICE, **more: Any) -> Records:
    made = np.zeros(1, REPORT)
    fields = {
        "exec_type": ExecType.TRADE if status in (PARTIAL, FILLED) else ExecType.NEW, "ts_ns": 1000 + seq,
        "created_ns": 1000, "client_order_id": b"mine", **more,
    }  # fmt: skip
    for name, value in fields.items() | {("seq", seq), ("order_id", order_id), ("account", account)}:
        made[name] = value
    made["ord_status"] = status
    return made


def history(*reports: Records, before: int = 0) -> ReportHistory:
    """`before`: reports of somebody else that came first."""
    made = ReportHistory()
    for at in range(0, before, 1000):
        made.add(np.concatenate([report(k, 10**9 + k, NEW, BOB) for k in range(at, min(at + 1000, before))]))
    for one in reports:
        made.add(one)
    return made


@pytest.mark.parametrize("before", [0, KEPT - 2, KEPT + 7])
def test_an_order_stands_as_its_newest_report_tells(before: int) -> None:
    kept = history(
        report(1, 5, NEW),
        report(2, 6, NEW, client_order_id=b"other"),
        report(3, 5, PARTIAL, cum_qty_lots=2, flags=REPORT_MAKER | 1, last_qty_lots=2, trade_id=9),
        report(4, 5, FILLED, cum_qty_lots=3, flags=REPORT_MAKER | 1, last_qty_lots=1, trade_id=10),
        before=before,
    )
    (order,) = kept.order(ALICE, 5)
    assert (order["ord_status"], order["cum_qty_lots"], order["ts_ns"], order["created_ns"]) == (FILLED, 3, 1004, 1000)
    assert (order["flags"], order["exec_type"], order["trade_id"], order["last_qty_lots"]) == (1, 0, 0, 0)
    assert kept.named(ALICE, b"mine")["order_id"].tolist() == [5]
    assert kept.after(ALICE, 2)["seq"].tolist() == [3, 4]


def test_nobody_sees_the_order_of_another() -> None:
    kept = history(report(1, 5, FILLED))
    assert not len(kept.order(BOB, 5))
    assert not len(kept.named(BOB, b"mine"))


def test_a_client_order_id_names_several_orders_one_after_the_other() -> None:
    kept = history(report(1, 5, NEW), report(2, 5, CANCELED), report(3, 9, NEW), report(4, 7, NEW, account=BOB))
    assert [(int(one["order_id"]), int(one["ord_status"])) for one in kept.named(ALICE, b"mine")] == [
        (5, CANCELED), (9, NEW),
    ]  # fmt: skip


def test_an_order_that_was_renamed_has_only_its_new_name() -> None:
    renamed = report(2, 5, NEW, exec_type=ExecType.REPLACED, client_order_id=b"newer")
    kept = history(report(1, 5, NEW), renamed)
    assert not len(kept.named(ALICE, b"mine"))
    assert kept.named(ALICE, b"newer")["order_id"].tolist() == [5]
    kept.add(report(3, 5, CANCELED, client_order_id=b"newer"))
    kept.add(report(4, 9, NEW))
    kept.add(report(5, 7, CANCELED))
    assert kept.named(ALICE, b"mine")["order_id"].tolist() == [7, 9]
    assert kept.named(ALICE, b"newer")["ord_status"].tolist() == [CANCELED]


@pytest.mark.parametrize("exec_type", [ExecType.REJECTED, ExecType.CANCEL_REJECTED, ExecType.BALANCE])
def test_a_refusal_or_a_posting_says_nothing_about_an_order(exec_type: ExecType) -> None:
    refused = report(2, 5, OrdStatus.REJECTED, exec_type=exec_type)
    kept = history(report(1, 5, NEW), refused)
    assert kept.order(ALICE, 5)["ord_status"].tolist() == [NEW]
    only = history(report(1, 0, OrdStatus.PENDING_NEW, exec_type=ExecType.BALANCE), refused)
    assert not len(only.order(ALICE, 5))
    assert not len(only.order(ALICE, 0))
    assert not len(only.named(ALICE, b"mine"))


def test_open_orders_tell_when_they_were_last_changed() -> None:
    kept = history(report(1, 5, NEW), report(2, 8, NEW), report(3, 5, NEW, exec_type=ExecType.REPLACED))
    orders = np.zeros(4, REPORT)
    orders["order_id"], orders["ts_ns"] = [8, 5, 4, 9], 7
    kept.updated_ns(ALICE, orders)
    assert orders["ts_ns"].tolist() == [1002, 1003, 7, 7], "older than what is kept: as it was"


def test_a_saved_history_answers_the_same() -> None:
    kept, loaded = history(report(1, 5, NEW), report(2, 5, FILLED)), history(report(1, 4, NEW, account=BOB))
    loaded.load(kept.save())
    assert loaded.order(ALICE, 5).tobytes() == kept.order(ALICE, 5).tobytes()
    assert loaded.named(ALICE, b"mine").tobytes() == kept.named(ALICE, b"mine").tobytes()
    assert not len(loaded.order(BOB, 4))


def test_a_full_history_is_searched_in_no_time() -> None:
    kept = history(report(1, 5, FILLED), before=KEPT)
    times = []
    for _ in range(20):
        began = time.perf_counter()
        assert len(kept.order(ALICE, 5)) == 1
        times.append(time.perf_counter() - began)
    assert min(times) < 0.002, "it is asked on the loop that settles"
