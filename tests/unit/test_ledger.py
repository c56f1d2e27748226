"""The ledger by market tables: who has what, what comes, what is told, who has what then.

One lot is one unit of A, one tick x lot one unit of Q, so a BUY of 5@10 reserves 50 Q. `Desk` is a ledger and its
book; `funds` writes free+locked of each asset, `say` a report as `TYPE order REASON qty@price leaves n`, a trade as
`TRADE order last_qty@last_price leaves n`.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pytest

from market.book import Book
from market.enums import (
    CommandFlag,
    CommandKind,
    EventKind,
    ExecType,
    ListRole,
    OrdStatus,
    OrdType,
    PegType,
    Side,
    StpMode,
    TimeInForce,
)
from market.instrument import INT_LIMIT, PPM, Asset, Instrument
from market.ledger import Ledger, UnknownAccount, warm
from market.ledger.build import source_digest
from market.ledger.kernel import kernels
from market.ledger.layout import ENTRY_WORDS, H_ASIDES_USED, H_ENTRIES_USED, P_QTY, SYSTEM_ROWS
from market.numbering import OUTSIDE_ACCOUNT
from market.reasons import Reason
from market.records import COMMAND, EVENT, REPORT_MAKER
from tests.reference.build import amend as amended
from tests.reference.build import cancel, cancel_all, commands, replace

Row = dict[str, Any]
BUY, SELL = Side
GTC, IOC, FOK = TimeInForce
ALICE, BOB, CAROL = SYSTEM_ROWS, SYSTEM_ROWS + 1, SYSTEM_ROWS + 2
NAMES = {"alice": ALICE, "bob": BOB, "carol": CAROL}
Q, A = 0, 1

PAIR = Instrument(
    symbol="AQ",
    base=Asset("A", 0),
    quote=Asset("Q", 0),
    tick=Decimal(1),
    lot=Decimal(1),
    min_price_ticks=1,
    max_price_ticks=INT_LIMIT - 1,
    min_qty_lots=1,
    max_qty_lots=INT_LIMIT - 1,
    market_min_qty_lots=1,
    market_max_qty_lots=INT_LIMIT - 1,
    min_notional_units=0,
    max_notional_units=INT_LIMIT - 1,
    bid_multiplier_up_ppm=PPM * PPM,
    bid_multiplier_down_ppm=0,
    ask_multiplier_up_ppm=PPM * PPM,
    ask_multiplier_down_ppm=0,
    max_num_orders=4,
    start_price_ticks=10,
)
OTHER = msgspec.structs.replace(PAIR, symbol="BQ", base=Asset("B", 0))


class Desk:
    """A ledger with Alice, Bob and Carol, and the books of its symbols."""

    def __init__(self, instruments: Sequence[Instrument] = (PAIR,), fees: tuple[int, int] = (0, 0)) -> None:
        self.ledger = Ledger(instruments)
        self.books = [Book(one, k) for k, one in enumerate(instruments)]
        for account in NAMES.values():
            self.ledger.open(account, *fees)

    def has(self, **funds: dict[int, int]) -> "Desk":
        """Deposits by name: `alice={Q: 100}`."""
        for name, amounts in funds.items():
            for asset, units in amounts.items():
                self.ledger.post(NAMES[name], asset, units, 0)
        return self

    def admit(self, *rows: Row) -> tuple[np.ndarray, np.ndarray]:
        """Admitted, on their way; and the refusals."""
        return self.ledger.admit(commands([{"symbol": 0} | row for row in rows]), 1)

    def refused(self, *rows: Row) -> list[str]:
        """Reasons, none for what was admitted."""
        return [Reason(reason).name for reason in self.admit(*rows)[1]["reason"]]

    def settle(self, accepted: np.ndarray) -> list[str]:
        """The book applies them, the ledger settles: the reports."""
        told = []
        for symbol in np.unique(accepted["symbol"]):
            own = accepted[accepted["symbol"] == symbol]
            told += [say(report) for report in self.ledger.settle(own, self.books[symbol].apply(own), 2)]
        assert self.ledger.faults() == []
        return told

    def play(self, *rows: Row) -> list[str]:
        """All the way: refusals first, then what was told."""
        accepted, refused = self.admit(*rows)
        return [say(report) for report in refused] + self.settle(accepted)

    def funds(self, name: str) -> str:
        balances = self.ledger.balances(NAMES[name])
        named = zip(self.ledger.assets, balances.tolist(), strict=True)
        return " ".join(f"{asset.name} {free}+{locked}" for asset, (free, locked) in named)

    def fees(self) -> list[int]:
        return [int(units) for units in self.ledger.totals()["fees"]]


def say(report: np.void) -> str:
    kind = ExecType(report["exec_type"])
    reason = f" {Reason(report['reason']).name}" if report["reason"] else ""
    if kind in (ExecType.TRADE, ExecType.TRADE_PREVENTION):
        reason, at = "", f"{report['last_qty_lots']}@{report['last_price_ticks']}"
    else:
        at = f"{report['qty_lots']}@{report['price_ticks']}"
    return f"{kind.name} {report['order_id']}{reason} {at} leaves {report['leaves_lots']}"


def order(account: int, side: int, qty: int, price: int, **more: Any) -> Row:
    return {"account": account, "side": side, "qty_lots": qty, "price_ticks": price} | more


def market(account: int, side: int, qty: int = 0, **more: Any) -> Row:
    return order(account, side, qty, 0, ord_type=OrdType.MARKET, **more)


def by_quote(account: int, side: int, amount: int, cap: int = 0, **more: Any) -> Row:
    return market(account, side, cap, quote_units=amount, flags=CommandFlag.BY_QUOTE, **more)


def replaced(target: int, new: Row, **more: Any) -> Row:
    return replace(target, new) | more


def named(kind: CommandKind, account: int, client_id: bytes, **more: Any) -> Row:
    flags = CommandFlag.BY_CLIENT_ORDER_ID
    return {"kind": kind, "account": account, "flags": flags, "client_order_id": client_id, "symbol": -1} | more


# -- reserving ----------------------------------------------------------------------------------------------


def test_a_limit_order_reserves_what_it_can_cost() -> None:
    desk = Desk().has(alice={Q: 100, A: 9})
    assert desk.play(order(ALICE, BUY, 5, 10), order(ALICE, SELL, 4, 20)) == [
        "NEW 1 5@10 leaves 5",
        "NEW 2 4@20 leaves 4",
    ]
    assert desk.funds("alice") == "Q 50+50 A 5+4"
    assert desk.refused(order(ALICE, BUY, 51, 1), order(ALICE, SELL, 6, 20)) == ["INSUFFICIENT_BALANCE"] * 2
    assert desk.play(order(ALICE, BUY, 50, 1)) == ["NEW 3 50@1 leaves 50"]
    assert desk.funds("alice") == "Q 0+100 A 5+4"


def test_funds_are_reserved_at_admission_and_come_back_with_the_end() -> None:
    desk = Desk().has(alice={Q: 100})
    accepted, _ = desk.admit(order(ALICE, BUY, 5, 10))
    assert desk.funds("alice") == "Q 50+50 A 0+0"
    desk.settle(accepted)
    assert desk.play(cancel(1, ALICE)) == ["CANCELED 1 USER_CANCELED 5@10 leaves 5"]
    assert desk.funds("alice") == "Q 100+0 A 0+0"


def test_what_the_book_refuses_reserves_nothing() -> None:
    desk = Desk().has(alice={Q: 100}, bob={A: 5})
    desk.play(order(BOB, SELL, 5, 10))
    assert desk.play(order(ALICE, BUY, 5, 10, ord_type=OrdType.LIMIT_MAKER)) == ["REJECTED 2 WOULD_TAKE 5@10 leaves 0"]
    assert desk.funds("alice") == "Q 100+0 A 0+0"
    assert desk.ledger.live_orders == 1


def test_price_improvement_is_released() -> None:
    desk = Desk().has(alice={Q: 100}, bob={A: 9})
    desk.play(order(BOB, SELL, 3, 6))
    assert desk.play(order(ALICE, BUY, 5, 10)) == [
        "NEW 2 5@10 leaves 5",
        "TRADE 2 3@6 leaves 2",
        "TRADE 1 3@6 leaves 0",
    ]
    assert desk.funds("alice") == "Q 62+20 A 3+0"
    assert desk.funds("bob") == "Q 18+0 A 6+0"


def test_ioc_and_fok_release_what_they_did_not_fill() -> None:
    desk = Desk().has(alice={Q: 100}, bob={A: 9})
    desk.play(order(BOB, SELL, 3, 10))
    assert desk.play(order(ALICE, BUY, 5, 10, time_in_force=FOK))[-1] == "EXPIRED 2 FOK_UNFILLED 5@10 leaves 5"
    assert desk.funds("alice") == "Q 100+0 A 0+0"
    assert desk.play(order(ALICE, BUY, 5, 10, time_in_force=IOC))[-1] == "EXPIRED 3 IOC_UNFILLED 5@10 leaves 2"
    assert desk.funds("alice") == "Q 70+0 A 3+0"


def test_amend_releases_what_it_takes_off() -> None:
    desk = Desk().has(alice={Q: 100, A: 8})
    desk.play(order(ALICE, BUY, 5, 10), order(ALICE, SELL, 8, 20))
    assert desk.play(amended(1, ALICE, 2), amended(2, ALICE, 3)) == [
        "REPLACED 1 2@10 leaves 2",
        "REPLACED 2 3@20 leaves 3",
    ]
    assert desk.funds("alice") == "Q 80+20 A 5+3"


# -- market orders ------------------------------------------------------------------------------------------


def test_a_market_buy_may_spend_a_tenth_more_than_the_last_price_and_gets_the_rest_back() -> None:
    desk = Desk().has(alice={Q: 1000}, bob={A: 9})
    desk.ledger.set_last_price(0, 50)
    desk.play(order(BOB, SELL, 4, 50))
    accepted, _ = desk.admit(market(ALICE, BUY, 4))
    assert accepted["quote_units"] == 220
    assert desk.funds("alice") == "Q 780+220 A 0+0"
    assert desk.settle(accepted)[1:] == ["TRADE 2 4@50 leaves 0", "TRADE 1 4@50 leaves 0"]
    assert desk.funds("alice") == "Q 800+0 A 4+0"


def test_a_market_buy_stops_at_its_budget() -> None:
    desk = Desk().has(alice={Q: 1000}, bob={A: 9})
    desk.ledger.set_last_price(0, 50)
    desk.play(order(BOB, SELL, 1, 50), order(BOB, SELL, 3, 90))
    assert desk.play(market(ALICE, BUY, 4))[-1] == "EXPIRED 3 BUDGET_EXHAUSTED 4@0 leaves 2"
    assert desk.funds("alice") == "Q 860+0 A 2+0"


@pytest.mark.parametrize(
    ("free", "last", "given", "budget"),
    [
        (1000, 50, 0, 220),
        (219, 50, 0, 219),  # less than a tenth more: all of it
        (200, 50, 0, 200),
        (1000, 0, 0, 1000),  # no price yet: all that is free
        (1000, 50, 210, 210),  # the trader's own budget
        (1000, 50, 900, 220),
        (1000, 0, 30, 30),
    ],
)
def test_budget_of_a_market_buy(free: int, last: int, given: int, budget: int) -> None:
    desk = Desk().has(alice={Q: free})
    desk.ledger.set_last_price(0, last)
    accepted, _ = desk.admit(market(ALICE, BUY, 4, quote_units=given))
    assert accepted["quote_units"] == budget
    assert desk.funds("alice") == f"Q {free - budget}+{budget} A 0+0"


def test_a_market_buy_needs_its_least_cost() -> None:
    desk = Desk().has(alice={Q: 199})
    desk.ledger.set_last_price(0, 50)
    assert desk.refused(market(ALICE, BUY, 4), market(BOB, BUY, 4)) == ["INSUFFICIENT_BALANCE"] * 2


def test_a_market_sell_reserves_its_lots() -> None:
    desk = Desk().has(alice={A: 5}, bob={Q: 100})
    desk.play(order(BOB, BUY, 3, 10))
    accepted, _ = desk.admit(market(ALICE, SELL, 5, quote_units=7))
    assert (accepted["quote_units"], desk.funds("alice")) == (0, "Q 0+0 A 0+5")
    assert desk.settle(accepted)[-1] == "EXPIRED 2 INSUFFICIENT_LIQUIDITY 5@0 leaves 2"
    assert desk.funds("alice") == "Q 30+0 A 2+0"


def test_a_buy_by_quote_reserves_the_amount() -> None:
    desk = Desk().has(alice={Q: 100}, bob={A: 9})
    desk.play(order(BOB, SELL, 9, 15))
    accepted, _ = desk.admit(by_quote(ALICE, BUY, 70))
    assert desk.funds("alice") == "Q 30+70 A 0+0"
    reports = desk.ledger.settle(accepted, desk.books[0].apply(accepted), 1)
    mine = reports[reports["account"] == ALICE]
    statuses = [OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED, OrdStatus.FILLED]
    assert mine["ord_status"].tolist() == statuses  # QUOTE_SPENT is its normal end
    assert desk.funds("alice") == "Q 40+0 A 4+0"
    assert desk.refused(by_quote(ALICE, BUY, 41)) == ["INSUFFICIENT_BALANCE"]


@pytest.mark.parametrize(
    ("held", "last", "amount", "given", "cap"),
    [
        (100, 10, 200, 0, 23),  # 20 lots at the last price, a tenth and one more
        (22, 10, 200, 0, 22),
        (20, 10, 200, 0, 20),
        (19, 10, 200, 0, 0),
        (100, 0, 200, 0, 100),  # no price yet: all there is
        (100, 10, 200, 5, 5),  # the trader's own cap
        (6, 10, 200, 5, 5),  # which needs no more than itself
        (4, 10, 200, 5, 0),
        (100, 10, INT_LIMIT, 5, 5),
        (100, 1, (1 << 63) - 1, 5, 5),
        (0, 10, 200, 0, 0),
        (0, 0, 200, 0, 0),
    ],
)
def test_cap_of_a_sell_by_quote(held: int, last: int, amount: int, given: int, cap: int) -> None:
    desk = Desk().has(alice={A: held})
    desk.ledger.set_last_price(0, last)
    accepted, refused = desk.admit(by_quote(ALICE, SELL, amount, given))
    assert accepted["qty_lots"].tolist() == [cap] * (cap > 0)
    assert refused["reason"].tolist() == [Reason.INSUFFICIENT_BALANCE] * (cap == 0)
    assert desk.funds("alice") == f"Q 0+0 A {held - cap}+{cap}"


def test_a_sell_by_quote_gives_back_what_its_cap_did_not_sell() -> None:
    desk = Desk().has(alice={A: 50}, bob={Q: 500})
    desk.ledger.set_last_price(0, 10)
    desk.play(order(BOB, BUY, 50, 10))
    assert desk.play(by_quote(ALICE, SELL, 95))[-1] == "EXPIRED 2 QUOTE_SPENT 10@0 leaves 1"
    assert desk.funds("alice") == "Q 90+0 A 41+0"


# -- fees ---------------------------------------------------------------------------------------------------


def test_fees_are_taken_from_what_is_received_and_rounded_down() -> None:
    desk = Desk(fees=(100_000, 290_000)).has(alice={Q: 1000}, bob={A: 19})
    desk.play(order(BOB, SELL, 19, 11))
    accepted, _ = desk.admit(order(ALICE, BUY, 9, 11))
    reports = desk.ledger.settle(accepted, desk.books[0].apply(accepted), 1)
    taker, maker = reports[1], reports[2]
    assert (taker["commission_units"], taker["commission_asset"]) == (2, A)  # 9 x 0.29
    assert (maker["commission_units"], maker["commission_asset"]) == (9, Q)  # 99 x 0.1
    assert maker["flags"] & REPORT_MAKER
    assert not taker["flags"] & REPORT_MAKER
    assert desk.fees() == [9, 2]
    assert (desk.funds("alice"), desk.funds("bob")) == ("Q 901+0 A 7+0", "Q 90+0 A 0+10")
    assert desk.ledger.drift().tolist() == [0, 0]


# -- REPLACE ------------------------------------------------------------------------------------------------


def test_replace_with_funds_enough_for_both() -> None:
    desk = Desk().has(alice={Q: 100})
    desk.play(order(ALICE, BUY, 4, 10))
    accepted, _ = desk.admit(replaced(1, order(ALICE, BUY, 5, 10)))
    assert (accepted["expected_leaves"], desk.funds("alice")) == (-1, "Q 10+90 A 0+0")
    assert desk.settle(accepted) == ["CANCELED 1 REPLACED 4@10 leaves 4", "NEW 2 5@10 leaves 5"]
    assert desk.funds("alice") == "Q 50+50 A 0+0"


def test_replace_borrows_what_the_replaced_order_locks() -> None:
    desk = Desk().has(alice={Q: 100})
    desk.play(order(ALICE, BUY, 8, 10))
    accepted, _ = desk.admit(replaced(1, order(ALICE, BUY, 10, 10)))
    assert (accepted["expected_leaves"], desk.funds("alice")) == (8, "Q 0+100 A 0+0")
    assert desk.settle(accepted) == ["CANCELED 1 REPLACED 8@10 leaves 8", "NEW 2 10@10 leaves 10"]
    assert desk.funds("alice") == "Q 0+100 A 0+0"
    assert desk.play(cancel(2, ALICE))
    assert desk.funds("alice") == "Q 100+0 A 0+0"


def test_replace_needs_what_both_together_do_not_have() -> None:
    desk = Desk().has(alice={Q: 100})
    desk.play(order(ALICE, BUY, 8, 10))
    assert desk.refused(replaced(1, order(ALICE, BUY, 101, 1))) == ["INSUFFICIENT_BALANCE"]
    assert desk.funds("alice") == "Q 20+80 A 0+0"


def test_an_order_of_the_other_side_lends_nothing() -> None:
    desk = Desk().has(alice={Q: 100})
    desk.play(order(ALICE, BUY, 10, 10))
    assert desk.refused(replaced(1, order(ALICE, SELL, 1, 20))) == ["INSUFFICIENT_BALANCE"]


def test_a_loan_is_off_when_the_target_was_filled_meanwhile() -> None:
    desk = Desk().has(alice={Q: 100}, bob={A: 3})
    desk.play(order(ALICE, BUY, 8, 10))
    sale, _ = desk.admit(order(BOB, SELL, 3, 10))
    change, _ = desk.admit(replaced(1, order(ALICE, BUY, 10, 10)))
    assert desk.settle(np.concatenate([sale, change])) == [
        "NEW 2 3@10 leaves 3",
        "TRADE 2 3@10 leaves 0",
        "TRADE 1 3@10 leaves 5",
        "CANCEL_REJECTED 3 ORDER_CHANGED 10@10 leaves 0",
    ]
    assert desk.funds("alice") == "Q 20+50 A 3+0"
    assert desk.play(cancel(1, ALICE))
    assert desk.funds("alice") == "Q 70+0 A 3+0"


def test_a_loan_is_off_when_the_target_is_gone() -> None:
    desk = Desk().has(alice={Q: 100})
    desk.play(order(ALICE, BUY, 8, 10))
    both, _ = desk.admit(cancel(1, ALICE), replaced(1, order(ALICE, BUY, 10, 10)))
    assert desk.settle(both) == [
        "CANCELED 1 USER_CANCELED 8@10 leaves 8",
        "CANCEL_REJECTED 2 UNKNOWN_ORDER 10@10 leaves 0",
    ]
    assert desk.funds("alice") == "Q 100+0 A 0+0"


def test_two_loans_from_one_order_and_only_one_is_granted() -> None:
    desk = Desk().has(alice={Q: 100})
    desk.play(order(ALICE, BUY, 8, 10))
    both, _ = desk.admit(replaced(1, order(ALICE, BUY, 10, 10)), replaced(1, order(ALICE, BUY, 5, 16)))
    assert desk.settle(both) == [
        "CANCELED 1 REPLACED 8@10 leaves 8",
        "NEW 2 10@10 leaves 10",
        "CANCEL_REJECTED 3 UNKNOWN_ORDER 5@16 leaves 0",
    ]
    assert desk.funds("alice") == "Q 0+100 A 0+0"


def test_an_order_on_its_way_cannot_be_replaced_but_canceled() -> None:
    desk = Desk().has(alice={Q: 100})
    accepted, _ = desk.admit(order(ALICE, BUY, 8, 10))
    assert desk.refused(replaced(1, order(ALICE, BUY, 1, 1))) == ["ORDER_PENDING"]
    more, _ = desk.admit(cancel(1, ALICE))
    assert desk.settle(np.concatenate([accepted, more]))[-1] == "CANCELED 1 USER_CANCELED 8@10 leaves 8"


def test_replace_names_an_own_open_order_of_the_symbol() -> None:
    desk = Desk((PAIR, OTHER)).has(alice={Q: 100}, bob={Q: 100})
    desk.play(order(ALICE, BUY, 1, 10))
    new = order(ALICE, BUY, 1, 10)
    strangers = [replaced(1, order(BOB, BUY, 1, 10)), replaced(1, new, symbol=1), replaced(9, new), replaced(0, new)]
    assert desk.refused(*strangers) == ["UNKNOWN_ORDER"] * 4


def test_the_leaves_that_the_trader_expects_are_looked_at() -> None:
    desk = Desk().has(alice={Q: 100})
    desk.play(order(ALICE, BUY, 5, 10))
    assert desk.refused(replaced(1, order(ALICE, BUY, 1, 10), expected_leaves=4)) == ["ORDER_CHANGED"]
    accepted, _ = desk.admit(replaced(1, order(ALICE, BUY, 1, 10), expected_leaves=5))
    assert accepted["expected_leaves"] == 5


def test_a_refused_replace_leaves_its_target_and_is_told_so() -> None:
    """`ExecType.CANCEL_REJECTED`: the order named is unchanged; at the door and by the book."""
    desk = Desk().has(alice={Q: 100})
    desk.play(order(ALICE, BUY, 5, 10))
    at_the_door = desk.admit(replaced(1, order(ALICE, BUY, 500, 10)))[1]
    accepted, _ = desk.admit(replaced(1, order(ALICE, BUY, 0, 10)))
    by_the_book = desk.ledger.settle(accepted, desk.books[0].apply(accepted), 1)
    for report in (at_the_door[0], by_the_book[0]):
        assert (report["exec_type"], report["ord_status"]) == (ExecType.CANCEL_REJECTED, OrdStatus.REJECTED)
        assert (report["orig_order_id"], report["last"]) == (1, 1)
    assert desk.funds("alice") == "Q 50+50 A 0+0"


# -- who may do what ----------------------------------------------------------------------------------------


def test_a_paused_account_may_only_cancel() -> None:
    desk = Desk().has(alice={Q: 100})
    desk.play(order(ALICE, BUY, 1, 10), order(ALICE, BUY, 2, 9), order(ALICE, BUY, 2, 8))
    desk.ledger.pause(ALICE, True)
    assert desk.ledger.is_paused(ALICE)
    tried = [order(ALICE, BUY, 1, 10), replaced(1, order(ALICE, BUY, 1, 9)), amended(2, ALICE, 1)]
    assert desk.refused(*tried) == ["ACCOUNT_PAUSED"] * 3
    assert desk.play(cancel(1, ALICE), cancel_all(ALICE)) == [
        "CANCELED 1 USER_CANCELED 1@10 leaves 1",
        "CANCELED 2 USER_CANCELED 2@9 leaves 2",
        "CANCELED 3 USER_CANCELED 2@8 leaves 2",
    ]
    desk.ledger.pause(ALICE, False)
    assert desk.play(order(ALICE, BUY, 1, 10)) == ["NEW 4 1@10 leaves 1"]


def test_max_num_orders() -> None:
    desk = Desk((PAIR, OTHER)).has(alice={Q: 100})
    one = order(ALICE, BUY, 1, 1)
    accepted, refused = desk.admit(*[one] * 5)
    assert [Reason(r) for r in refused["reason"]] == [Reason.MAX_NUM_ORDERS]  # those on their way count
    desk.settle(accepted)
    assert desk.refused(one, one | {"symbol": 1}) == ["MAX_NUM_ORDERS"]
    assert desk.play(replaced(1, one))[-1] == "NEW 6 1@1 leaves 1"
    desk.play(cancel(2, ALICE))
    assert desk.play(one) == ["NEW 7 1@1 leaves 1"]
    assert desk.ledger.open_symbols(ALICE) == [0, 1]


def test_what_never_rests_is_not_limited_in_number_and_takes_no_place() -> None:
    desk = Desk().has(alice={Q: 1000}, bob={A: 100})
    desk.play(order(BOB, SELL, 1, 50))
    rest = order(ALICE, BUY, 1, 1)
    fleeting = [order(ALICE, BUY, 1, 1, time_in_force=tif) for tif in (IOC, FOK)]
    fleeting.append(by_quote(ALICE, BUY, 1))
    accepted, refused = desk.admit(*fleeting * 3, *[rest] * 5, *fleeting)
    assert [Reason(r) for r in refused["reason"]] == [Reason.MAX_NUM_ORDERS]
    assert len(accepted) == 16
    assert not desk.ledger.faults()
    assert desk.ledger.open_symbols(ALICE) == [0]
    desk.settle(accepted)
    assert not desk.ledger.faults()
    assert len(desk.ledger.open_orders(ALICE)) == 4
    assert desk.refused(rest, *fleeting) == ["MAX_NUM_ORDERS"]


def test_a_client_order_id_is_unique_while_its_order_is_open() -> None:
    desk = Desk((PAIR, OTHER)).has(alice={Q: 100}, bob={Q: 100})
    one = order(ALICE, BUY, 1, 10, client_order_id=b"mine")
    accepted, _ = desk.admit(one)
    assert desk.refused(one) == ["DUPLICATE_CLIENT_ORDER_ID"]
    desk.settle(accepted)
    again = [one, one | {"symbol": 1}, replaced(1, one)]
    assert desk.refused(*again) == ["DUPLICATE_CLIENT_ORDER_ID"] * 3
    assert desk.play(one | {"account": BOB}) == ["NEW 2 1@10 leaves 1"]
    assert desk.play(named(CommandKind.CANCEL, ALICE, b"mine")) == ["CANCELED 1 USER_CANCELED 1@10 leaves 1"]
    assert desk.play(one) == ["NEW 3 1@10 leaves 1"]
    assert desk.play(order(ALICE, BUY, 1, 5), order(ALICE, BUY, 1, 5)) == ["NEW 4 1@5 leaves 1", "NEW 5 1@5 leaves 1"]


def test_cancel_and_amend_by_client_order_id() -> None:
    desk = Desk().has(alice={Q: 100})
    desk.play(order(ALICE, BUY, 5, 10, client_order_id=b"x"))
    assert desk.play(named(CommandKind.AMEND, ALICE, b"x", qty_lots=4)) == ["REPLACED 1 4@10 leaves 4"]
    nobody = [named(CommandKind.CANCEL, BOB, b"x"), named(CommandKind.CANCEL, ALICE, b"y")]
    assert desk.refused(*nobody, named(CommandKind.CANCEL, ALICE, b"")) == ["UNKNOWN_ORDER"] * 3
    assert desk.play(named(CommandKind.CANCEL, ALICE, b"x", order_id=77)) == ["CANCELED 1 USER_CANCELED 4@10 leaves 4"]
    assert desk.funds("alice") == "Q 100+0 A 0+0"


def test_only_open_accounts_of_the_partition() -> None:
    ledger = Ledger([PAIR], 1, 3)
    mine = SYSTEM_ROWS * 3 + 1
    assert ledger.open(mine, 0, 0)
    assert not ledger.open(mine, 5, 5)
    for account in (mine + 1, 1, -2, 3 * (1 << 40) + 1):
        with pytest.raises(UnknownAccount):
            ledger.open(account, 0, 0)
    for account in (mine + 1, mine + 3, 1, -2, -(1 << 31), (1 << 31) - 1):
        _, refused = ledger.admit(commands([{"symbol": 0, "account": account}]), 0)
        assert refused["reason"].tolist() == [Reason.UNKNOWN_ACCOUNT]
        assert not ledger.is_open(account)
        with pytest.raises(UnknownAccount):
            ledger.balances(account)


def test_while_the_book_is_away() -> None:
    desk = Desk((PAIR, OTHER)).has(alice={Q: 100})
    desk.play(order(ALICE, BUY, 5, 10))
    desk.ledger.set_available(0, False)
    away = [order(ALICE, BUY, 1, 1), cancel(1, ALICE), amended(1, ALICE, 1), cancel_all(ALICE)]
    assert desk.refused(*away, replaced(1, order(ALICE, BUY, 1, 1))) == ["BOOK_UNAVAILABLE"] * 5
    assert desk.play(order(ALICE, BUY, 1, 1, symbol=1)) == ["NEW 2 1@1 leaves 1"]
    desk.ledger.set_available(0, True)
    assert desk.play(cancel(1, ALICE)) == ["CANCELED 1 USER_CANCELED 5@10 leaves 5"]


def test_the_first_reason_is_told() -> None:
    """In the order of `Reason`; money is looked at last."""
    desk = Desk().has(alice={Q: 40})
    desk.play(*[order(ALICE, BUY, 1, 10, client_order_id=b"%d" % k) for k in range(3)])
    pending, _ = desk.admit(order(ALICE, BUY, 1, 10, client_order_id=b"3"))
    desk.ledger.pause(ALICE, True)
    desk.ledger.set_available(0, False)
    bad = order(ALICE, BUY, 100, -1, client_order_id=b"1", symbol=5)
    change = replaced(int(pending["order_id"][0]), order(ALICE, BUY, 100, -1))

    def told(row: Row) -> str:
        return desk.refused(row)[0]

    assert told(bad | {"account": 3}) == "UNKNOWN_ACCOUNT"
    assert told(bad) == "ACCOUNT_PAUSED"
    desk.ledger.pause(ALICE, False)
    assert told(bad) == "UNKNOWN_SYMBOL"
    assert told(bad | {"symbol": 0}) == "DUPLICATE_CLIENT_ORDER_ID"
    bad |= {"symbol": 0, "client_order_id": b""}
    assert told(bad) == "MAX_NUM_ORDERS"
    assert told(change) == "ORDER_PENDING"
    assert told(replaced(99, order(ALICE, BUY, 1, -1))) == "BOOK_UNAVAILABLE"
    desk.ledger.set_available(0, True)
    assert told(replaced(99, order(ALICE, BUY, 1, -1))) == "INVALID_COMMAND"
    assert told(replaced(99, order(ALICE, BUY, 100, 1))) == "UNKNOWN_ORDER"
    assert told(replaced(1, order(ALICE, BUY, 100, 1), expected_leaves=3)) == "ORDER_CHANGED"
    assert told(replaced(1, order(ALICE, BUY, 100, 1))) == "INSUFFICIENT_BALANCE"


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": 5},
        {"side": 2},
        {"ord_type": 7},
        {"time_in_force": 3},
        {"stp_mode": 6},
        {"flags": 4},
        {"flags": REPORT_MAKER},  # would tell each of its trades as a maker's
        {"flags": CommandFlag.BY_QUOTE},
        {"price_ticks": -1},
        {"qty_lots": -1},
        {"quote_units": -1},
        {"stop_price_ticks": -1},
        {"display_lots": -1},
        {"trailing_bips": -1},
        {"list_id": 1},
        {"list_role": ListRole.MEMBER},
        {"list_id": 1, "list_role": ListRole.OCO_FIRST},
        {"ord_type": OrdType.MARKET, "peg_type": PegType.PRIMARY_PEG},
    ],
    ids=str,
)
def test_a_malformed_order_is_refused(fields: Row) -> None:
    desk = Desk().has(alice={Q: 1000, A: 1000})
    assert desk.refused(order(ALICE, BUY, 1, 10) | fields) == ["INVALID_COMMAND"]
    assert desk.funds("alice") == "Q 1000+0 A 1000+0"


# -- self-trade prevention ----------------------------------------------------------------------------------


def test_decrement_releases_both_orders() -> None:
    desk = Desk().has(alice={Q: 1000, A: 50})
    desk.play(order(ALICE, SELL, 5, 10))
    assert desk.play(order(ALICE, BUY, 8, 12, stp_mode=StpMode.DECREMENT)) == [
        "NEW 2 8@12 leaves 8",
        "TRADE_PREVENTION 2 5@10 leaves 3",
        "TRADE_PREVENTION 1 5@10 leaves 0",
        "EXPIRED 1 SELF_TRADE_PREVENTION 5@10 leaves 0",
    ]
    assert desk.funds("alice") == "Q 964+36 A 50+0"
    assert desk.play(market(ALICE, SELL, 2, stp_mode=StpMode.DECREMENT))[-1].startswith("EXPIRED 3 SELF_TRADE")
    assert desk.funds("alice") == "Q 988+12 A 50+0"


def test_decrement_keeps_the_budget_of_a_market_buy_to_its_end() -> None:
    desk = Desk().has(alice={Q: 1000, A: 50}, bob={A: 5})
    desk.ledger.set_last_price(0, 10)
    desk.play(order(ALICE, SELL, 5, 10), order(BOB, SELL, 5, 10))
    told = desk.play(market(ALICE, BUY, 8, stp_mode=StpMode.DECREMENT))
    assert told[1:3] == ["TRADE_PREVENTION 3 5@10 leaves 3", "TRADE_PREVENTION 1 5@10 leaves 0"]
    assert told[-1] == "TRADE 2 3@10 leaves 2"
    assert desk.funds("alice") == "Q 970+0 A 53+0"


@pytest.mark.parametrize(
    ("mode", "funds"),
    [
        (StpMode.NONE, "Q 100+0 A 10+0"),
        (StpMode.EXPIRE_TAKER, "Q 100+0 A 5+5"),
        (StpMode.EXPIRE_MAKER, "Q 50+50 A 10+0"),
        (StpMode.EXPIRE_BOTH, "Q 100+0 A 10+0"),
        (StpMode.DECREMENT, "Q 100+0 A 10+0"),
    ],
)
def test_every_mode_leaves_the_money_where_it_belongs(mode: StpMode, funds: str) -> None:
    desk = Desk().has(alice={Q: 100, A: 10})
    desk.play(order(ALICE, SELL, 5, 10))
    desk.play(order(ALICE, BUY, 5, 10, stp_mode=mode))
    assert desk.funds("alice") == funds


# -- overflow -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (order(ALICE, BUY, 1 << 31, 1 << 31), "NOTIONAL"),
        (order(ALICE, BUY, 1, INT_LIMIT), "NOTIONAL"),
        (order(ALICE, BUY, 2, (1 << 63) - 1), "NOTIONAL"),
        (order(ALICE, BUY, 1, INT_LIMIT - 1), "INSUFFICIENT_BALANCE"),  # the largest that fits, to the unit
        (order(ALICE, SELL, 1 << 31, 1 << 31), "NOTIONAL"),
        (order(ALICE, SELL, INT_LIMIT, 0), "LOT_SIZE"),
        (order(ALICE, SELL, (1 << 63) - 1, 1), "LOT_SIZE"),
        (order(ALICE, SELL, INT_LIMIT - 1, 1), "INSUFFICIENT_BALANCE"),
        (market(ALICE, BUY, 1 << 58), "NOTIONAL"),  # the last price is 10
        (market(ALICE, BUY, 1 << 57), "INSUFFICIENT_BALANCE"),
        (market(ALICE, SELL, (1 << 63) - 1), "LOT_SIZE"),
        (by_quote(ALICE, BUY, (1 << 63) - 1), "INSUFFICIENT_BALANCE"),
        (by_quote(ALICE, SELL, (1 << 63) - 1), "INSUFFICIENT_BALANCE"),
        (by_quote(ALICE, SELL, 1, (1 << 63) - 1), "LOT_SIZE"),
    ],
)
def test_what_does_not_fit_is_refused_at_the_door(row: Row, reason: str) -> None:
    desk = Desk().has(alice={Q: 1000, A: 1000})
    desk.ledger.set_last_price(0, 10)
    assert desk.refused(row) == [reason]
    assert desk.funds("alice") == "Q 1000+0 A 1000+0"


def test_the_hostile_id_of_a_cancel_all_gives_no_order_its_number() -> None:
    """The journal's REJECTED names it as told; the counter of order ids must not follow it."""
    desk = Desk().has(alice={Q: 100})
    assert desk.play(cancel_all(ALICE) | {"order_id": 1 << 62}) == [
        f"CANCEL_REJECTED {1 << 62} UNKNOWN_ORDER 0@0 leaves 0"
    ]
    assert desk.play(order(ALICE, BUY, 1, 10)) == ["NEW 1 1@10 leaves 1"]


def test_positions_stop_before_they_overflow() -> None:
    """Nothing bounds what an account may have bought in all, when it takes the bought units elsewhere."""
    desk = Desk().has(alice={Q: 1000}, bob={A: 1000})
    desk.play(order(ALICE, BUY, 1, 1), cancel(ALICE, 1))  # there is something to be changed
    keys, entries = desk.ledger._block(ALICE)
    entries[keys == 2, P_QTY:] = INT_LIMIT - 5
    desk.play(order(BOB, SELL, 100, 1), order(ALICE, BUY, 100, 1))
    assert desk.ledger.positions(ALICE).tolist() == [[INT_LIMIT - 1, INT_LIMIT - 1, INT_LIMIT - 5]]
    desk.play(order(BOB, BUY, 10, 10), order(ALICE, SELL, 10, 10))
    assert desk.ledger.positions(ALICE).tolist() == [[INT_LIMIT - 11, INT_LIMIT - 11, INT_LIMIT - 1]]


# -- memory -------------------------------------------------------------------------------------------------


def test_what_accounts_have_grows_in_the_middle_of_a_batch() -> None:
    """300 accounts meet 40 symbols at once, admitted here, settled there; a snapshot has it all."""
    market = [msgspec.structs.replace(PAIR, symbol=f"X{k}Q", base=Asset(f"X{k}", 0)) for k in range(40)]
    accounts = range(SYSTEM_ROWS, SYSTEM_ROWS + 300)
    here, there = Ledger(market), Ledger(market)
    for ledger in (here, there):
        for account in accounts:
            ledger.open(account, 0, 0)
            ledger.post(account, 0, 1000, 0)
    rows = [order(account, BUY, 1, 10, symbol=symbol) for symbol in range(40) for account in accounts]
    accepted, refused = here.admit(commands(rows), 1)
    assert len(refused) == 0
    for symbol, own in enumerate(np.split(accepted, 40)):
        events = Book(market[symbol], symbol).apply(own)
        for ledger in (here, there):
            ledger.settle(own, events, 2)
    again = Ledger.restore(market, here.snapshot())
    for ledger in (here, there, again):
        assert ledger.faults() == []
        assert ledger.digest() == here.digest()
        assert ledger.balances(accounts[7]).tolist() == [[600, 400]] + [[0, 0]] * 40
        assert ledger.open_symbols(accounts[7]) == list(range(40))


def test_what_an_account_does_not_have_takes_no_memory() -> None:
    market = [msgspec.structs.replace(PAIR, symbol=f"X{k}Q", base=Asset(f"X{k}", 0)) for k in range(1000)]
    ledger = Ledger(market)
    for account in range(SYSTEM_ROWS, SYSTEM_ROWS + 100):
        ledger.open(account, 0, 0)
        ledger.post(account, 7, 5, 0)
    used = int(ledger._arrays.header[H_ENTRIES_USED])
    assert used * ENTRY_WORDS * 8 <= 100 * 160
    assert ledger.balances(SYSTEM_ROWS + 3).sum() == 5


def test_an_order_that_is_no_longer_plain_gives_its_aside_back() -> None:
    desk = Desk().has(alice={Q: 1000}, bob={A: 100})
    for _ in range(3):
        desk.play(order(BOB, SELL, 2, 9), order(ALICE, BUY, 5, 10), order(BOB, SELL, 3, 10))
        assert desk.ledger.live_orders == 0
    assert desk.ledger._arrays.header[H_ASIDES_USED] == 1
    assert desk.funds("alice") == "Q 856+0 A 15+0"


# -- a real venue -------------------------------------------------------------------------------------------


def venue(kind: str, side: int = 0, price: int = 0, qty: int = 0, at_ns: int = 70, **more: Any) -> Row:
    fields = {"kind": CommandKind["OUTSIDE_" + kind], "account": OUTSIDE_ACCOUNT, "side": side, "price_ticks": price}
    return fields | {"qty_lots": qty, "target_id": at_ns, "token": 5, "symbol": 0} | more


def house(desk: Desk) -> dict[str, list[int]]:
    return {name: units.tolist() for name, units in desk.ledger.totals().items() if name != "accounts"}


def test_what_is_taken_of_a_venue_comes_from_the_outside_market() -> None:
    desk = Desk(fees=(100_000, 100_000)).has(alice={Q: 100})
    assert desk.settle(commands([venue("LEVEL", SELL, 10, 8)])) == []
    assert desk.play(order(ALICE, BUY, 5, 12)) == ["NEW 1 5@12 leaves 5", "TRADE 1 5@10 leaves 0"]
    assert desk.funds("alice") == "Q 50+0 A 5+0"
    assert house(desk) == {"fees": [0, 0], "external": [-100, 0], "outside_market": [50, -5], "clearing": [0, 0]}


def test_a_print_fills_at_the_venues_time_and_answers_nobody() -> None:
    desk = Desk(fees=(100_000, 0)).has(alice={A: 30})
    desk.play(order(ALICE, SELL, 20, 10))
    rows = commands([venue("TRADE", BUY, 10, 15, at_ns=777)])
    (report,) = desk.ledger.settle(rows, desk.books[0].apply(rows), 2_000)
    assert (report["ts_ns"], report["token"], report["last"], report["gateway"]) == (777, 0, 0, 0)
    assert say(report) == f"TRADE {report['order_id']} 15@10 leaves 5"
    assert report["flags"] & REPORT_MAKER
    assert desk.funds("alice") == "Q 135+0 A 10+5"
    assert house(desk) == {"fees": [15, 0], "external": [0, -30], "outside_market": [-150, 15], "clearing": [0, 0]}
    assert desk.ledger.faults() == []


def test_a_venue_among_itself_only_moves_the_last_price() -> None:
    desk = Desk().has(alice={Q: 1_000})
    assert desk.settle(commands([venue("TRADE", BUY, 9, 15)])) == []
    assert desk.ledger.last_prices() == {0: 9}
    assert house(desk)["outside_market"] == [0, 0]


def test_a_stop_that_a_venue_triggers_works_since_the_venues_time() -> None:
    desk = Desk().has(alice={Q: 1_000})
    desk.settle(commands([venue("TRADE", BUY, 10, 1)]))
    desk.play(order(ALICE, BUY, 5, 20, ord_type=OrdType.STOP_LOSS_LIMIT, stop_price_ticks=15))
    rows = commands([venue("TRADE", BUY, 15, 1, at_ns=888)])
    (report,) = desk.ledger.settle(rows, desk.books[0].apply(rows), 2_000)
    assert (ExecType(report["exec_type"]), report["working_ns"], report["ts_ns"]) == (ExecType.TRIGGERED, 888, 888)
    assert report["token"] == 0


def test_refusals_of_a_feed_are_nobodys() -> None:
    """Whatever account they name, one that nobody opened too."""
    desk = Desk()
    for account in (OUTSIDE_ACCOUNT, ALICE, 23_456):
        rows = commands([venue("LEVEL", SELL, 10, -1, account=account), venue("TRADE", account=account)])
        events = desk.books[0].apply(rows)
        assert (events["kind"] == EventKind.REJECTED).all()
        assert len(desk.ledger.settle(rows, events, 1)) == 0


def test_nobody_may_speak_for_a_venue() -> None:
    desk = Desk()
    assert desk.refused(venue("LEVEL", SELL, 10, 5)) == ["UNKNOWN_ACCOUNT"]
    assert desk.refused(venue("LEVEL", SELL, 10, 5, account=ALICE)) == ["INVALID_COMMAND"]


# -- deposits -----------------------------------------------------------------------------------------------


def test_post() -> None:
    desk = Desk()
    report = desk.ledger.post(ALICE, Q, 70, ts_ns=5)[0]
    names = ("exec_type", "account", "asset", "symbol", "last_quote_units", "seq", "ts_ns", "base_free")
    assert [int(report[name]) for name in names] == [ExecType.BALANCE, ALICE, Q, -1, 70, 1, 5, 70]
    assert desk.ledger.post(ALICE, Q, -30, 6)[0]["seq"] == 2
    assert desk.funds("alice") == "Q 40+0 A 0+0"
    assert desk.ledger.totals()["external"].tolist() == [-40, 0]


def test_a_withdrawal_takes_only_what_is_free() -> None:
    desk = Desk().has(alice={Q: 100})
    desk.play(order(ALICE, BUY, 4, 10))
    with pytest.raises(ValueError, match="60 free units of Q, 61 asked for"):
        desk.ledger.post(ALICE, Q, -61, 0)
    assert desk.funds("alice") == "Q 60+40 A 0+0"
    desk.ledger.post(ALICE, Q, -60, 0)
    assert desk.funds("alice") == "Q 0+40 A 0+0"


@pytest.mark.parametrize("partitions", [1, 3])
def test_the_money_of_all_partitions_together_stays_in_62_bits(partitions: int) -> None:
    """Trades can bring all of it to one account: a partition may only let in its share."""
    share = INT_LIMIT // partitions
    ledger, account = Ledger([PAIR], 0, partitions), SYSTEM_ROWS * partitions
    ledger.open(account, 0, 0)
    for units in (share, INT_LIMIT, 1 << 63, 1 << 80):
        with pytest.raises(ValueError, match="would not fit"):
            ledger.post(account, Q, units, 0)
    ledger.post(account, Q, share - 1, 0)
    with pytest.raises(ValueError, match="would not fit"):
        ledger.post(account, Q, 1, 0)
    assert ledger.faults() == []


@pytest.mark.parametrize("asset", [-1, 2])
def test_post_of_no_asset(asset: int) -> None:
    with pytest.raises(ValueError, match="no asset"):
        Desk().ledger.post(ALICE, asset, 1, 0)


def test_a_post_can_be_checked_before() -> None:
    ledger = Desk().has(alice={Q: 5}).ledger
    ledger.check_post(ALICE, Q, -5)
    ledger.check_post(99, Q, 5, new=True)
    with pytest.raises(ValueError, match="free units"):
        ledger.check_post(99, Q, -5, new=True)
    with pytest.raises(UnknownAccount):
        ledger.check_post(99, Q, 5)
    assert ledger.balances(ALICE).tolist() == [[5, 0], [0, 0]]


# -- positions ----------------------------------------------------------------------------------------------


def test_average_cost() -> None:
    desk = Desk().has(alice={Q: 1000}, bob={A: 100, Q: 1000})
    desk.play(order(BOB, SELL, 10, 10), order(BOB, SELL, 5, 25), order(ALICE, BUY, 15, 25))
    assert desk.ledger.positions(ALICE).tolist() == [[15, 225, 0]]
    desk.play(order(BOB, BUY, 4, 20), order(ALICE, SELL, 4, 20))
    assert desk.ledger.positions(ALICE).tolist() == [[11, 165, 20]]
    # Bob sold what he never bought here: no cost, nothing realised.
    assert desk.ledger.positions(BOB).tolist() == [[4, 80, 0]]
    desk.ledger.forget_positions(ALICE)
    assert desk.ledger.positions(ALICE).tolist() == [[0, 0, 0]]
    desk.play(order(BOB, BUY, 1, 20), order(ALICE, SELL, 1, 20))
    assert desk.ledger.positions(ALICE).tolist() == [[0, 0, 0]]


def test_selling_more_than_was_bought_here_realises_its_part() -> None:
    desk = Desk().has(alice={Q: 1000, A: 100}, bob={A: 100, Q: 1000})
    desk.play(order(BOB, SELL, 3, 10), order(ALICE, BUY, 3, 10))
    desk.play(order(BOB, BUY, 10, 20), order(ALICE, SELL, 10, 20))
    assert desk.ledger.positions(ALICE).tolist() == [[0, 0, 30]]


# -- answers ------------------------------------------------------------------------------------------------


def test_the_last_report_that_answers_is_marked() -> None:
    desk = Desk().has(alice={Q: 1000, A: 50}, bob={A: 50})
    desk.play(order(ALICE, SELL, 5, 10), order(BOB, SELL, 5, 10), order(ALICE, BUY, 1, 1))
    rows = [order(ALICE, BUY, 20, 10, token=7, gateway=3), replaced(3, order(ALICE, BUY, 2, 1), token=8)]
    rows += [cancel_all(ALICE) | {"token": 9}]
    accepted, _ = desk.admit(*rows)
    reports = desk.ledger.settle(accepted, desk.books[0].apply(accepted), 1)
    answers = [(r["token"], r["last"], say(r)) for r in reports if r["token"]]
    assert [(int(token), int(last)) for token, last, _ in answers] == [
        *[(7, 0), (7, 0), (7, 1)],  # NEW, and its two trades, one of them with an own order: its leg answers nobody
        *[(8, 0), (8, 1)],
        *[(9, 0), (9, 1)],
    ]
    assert answers[2][2] == "TRADE 4 5@10 leaves 10"
    assert {int(r["gateway"]) for r in reports if r["token"] == 7} == {3}
    assert not [r for r in reports if r["last"] and not r["token"]]


def test_open_orders_newest_first_and_by_either_id() -> None:
    desk = Desk((PAIR, OTHER)).has(alice={Q: 100}, bob={Q: 100})
    desk.play(order(ALICE, BUY, 1, 10, client_order_id=b"x"), order(BOB, BUY, 1, 10), order(ALICE, BUY, 2, 9, symbol=1))
    desk.admit(order(ALICE, BUY, 3, 8))
    ledger = desk.ledger
    told = ledger.open_orders(ALICE)
    assert told["order_id"].tolist() == [4, 3, 1]
    assert told["ord_status"].tolist() == [OrdStatus.PENDING_NEW, OrdStatus.NEW, OrdStatus.NEW]
    assert (told["account"] == ALICE).all()
    assert told["client_order_id"].tolist() == [b"", b"", b"x"]
    assert ledger.open_orders(ALICE, symbol=1)["order_id"].tolist() == [3]
    assert ledger.open_order(ALICE, 1)["order_id"].tolist() == [1]
    assert ledger.open_order(ALICE, client_order_id=b"x")["order_id"].tolist() == [1]
    assert not len(ledger.open_order(BOB, 1))
    assert not len(ledger.open_order(BOB, client_order_id=b"x"))
    assert not len(ledger.open_order(ALICE, 99))
    assert not len(ledger.open_order(ALICE))


def test_refuse_answers_every_command() -> None:
    rows = commands([order(ALICE, BUY, 2, 10, token=5, client_order_id=b"x"), cancel(7, ALICE)])
    reports = Desk().ledger.refuse(rows, Reason.OVERLOADED, 4)
    assert [say(report) for report in reports] == [
        "REJECTED 0 OVERLOADED 2@10 leaves 0",
        "CANCEL_REJECTED 7 OVERLOADED 0@0 leaves 0",
    ]
    assert reports["token"].tolist() == [5, 0]
    assert reports["last"].tolist() == [1, 1]
    assert reports["client_order_id"].tolist() == [b"x", b""]
    assert (reports["ts_ns"] == 4).all()


# -- journals and snapshots ---------------------------------------------------------------------------------


def test_what_no_book_journaled_is_released() -> None:
    desk = Desk().has(alice={Q: 100})
    desk.play(order(ALICE, BUY, 8, 10))
    digest = desk.ledger.digest()
    desk.admit(order(ALICE, BUY, 1, 10), replaced(1, order(ALICE, BUY, 9, 10)))
    assert desk.funds("alice") == "Q 0+100 A 0+0"
    assert desk.ledger.digest() == desk.ledger.settled().digest() == digest
    assert desk.ledger.drop_pending() == 2
    assert desk.funds("alice") == "Q 20+80 A 0+0"
    assert desk.ledger.faults() == []


def test_a_dropped_order_that_a_book_journaled_after_all() -> None:
    desk = Desk().has(alice={Q: 100})
    accepted, _ = desk.admit(order(ALICE, BUY, 8, 10, client_order_id=b"x"))
    assert desk.ledger.drop_pending() == 1
    assert desk.settle(accepted) == ["NEW 1 8@10 leaves 8"]
    assert desk.funds("alice") == "Q 20+80 A 0+0"
    assert len(desk.ledger.open_order(ALICE, client_order_id=b"x")) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"symbol": 1},
        {"symbol": -1},
        {"command_index": 1},
        {"command_index": -1},
        {"account": CAROL + 1},
        {"account": BOB},
        {"order_id": 9, "kind": EventKind.CANCELED},
        {"maker_order_id": 9, "maker_account": BOB, "kind": EventKind.TRADE},
    ],
    ids=str,
)
def test_a_batch_that_does_not_follow_halts(wrong: Row) -> None:
    desk = Desk().has(alice={Q: 100}, bob={A: 10})
    desk.play(order(ALICE, BUY, 1, 10))
    batch, _ = desk.admit(cancel(1, ALICE))
    events = desk.books[0].apply(batch)
    for name, value in wrong.items():
        events[name] = value
    with pytest.raises(ValueError, match="event 0 of the batch"):
        desk.ledger.settle(batch, events, 1)


def lively(fees: tuple[int, int] = (1000, 2000)) -> Desk:
    desk = Desk((PAIR, OTHER), fees).has(alice={Q: 9000, A: 50}, bob={A: 5000, Q: 100})
    desk.play(order(BOB, SELL, 500, 10, client_order_id=b"s"), order(ALICE, BUY, 700, 10), order(ALICE, BUY, 5, 9))
    desk.play(order(ALICE, BUY, 5, 9, symbol=1, client_order_id=b"t"))
    return desk


def test_a_snapshot_of_other_instruments_is_refused() -> None:
    data = lively().ledger.snapshot()
    finer = msgspec.structs.replace(PAIR, tick=Decimal("0.1"), quote=Asset("Q", 1))
    for others in ([PAIR], [OTHER, PAIR], [finer, msgspec.structs.replace(OTHER, quote=Asset("Q", 1))]):
        with pytest.raises(ValueError, match="of other instruments"):
            Ledger.restore(others, data)


def test_instruments_may_be_appended_and_filters_changed() -> None:
    desk = lively()
    third = msgspec.structs.replace(PAIR, symbol="CQ", base=Asset("C", 0))
    data = desk.ledger.snapshot()
    for instruments in ([PAIR, OTHER, third], [msgspec.structs.replace(PAIR, max_num_orders=9), OTHER]):
        more = Ledger.restore(instruments, data)
        assert more.faults() == []
        assert more.balances(ALICE)[:3].tolist() == desk.ledger.balances(ALICE).tolist()
        assert more.open_orders(ALICE).tobytes() == desk.ledger.open_orders(ALICE).tobytes()
        assert more.last_prices() == desk.ledger.last_prices() == {0: 10}
        assert Ledger.restore(instruments, more.snapshot()).digest() == more.digest()
    with pytest.raises(ValueError, match="damaged"):
        Ledger.restore([PAIR, OTHER, third], data[:-8] + bytes(8 - 1) + b"\1")


def test_the_digest_sees_every_difference() -> None:
    states = {
        "nothing": lively(),
        "another deposit": lively().has(carol={Q: 1}),
        "another order": lively(),
        "a cancel": lively(),
        "paused": lively(),
        "one account more": lively(),
        "other fees": lively((1000, 2001)),
        "forgotten": lively(),
        "refused by the book": lively(),
    }
    states["another order"].play(order(ALICE, BUY, 1, 1))
    states["a cancel"].play(cancel(3, ALICE))
    states["paused"].ledger.pause(CAROL, True)
    states["one account more"].ledger.open(CAROL + 1, 0, 0)
    states["forgotten"].ledger.forget_positions(ALICE)
    states["refused by the book"].play(cancel_all(CAROL))
    assert len({desk.ledger.digest() for desk in states.values()}) == len(states)


def test_slots_and_room_do_not_change_the_digest() -> None:
    there, other = lively(), lively()
    other.admit(order(ALICE, BUY, 1, 1))
    assert other.ledger.drop_pending() == 1
    other.admit(*[order(CAROL, BUY, 1, 1)] * 5000)
    assert other.ledger.digest() == there.ledger.digest()
    assert other.ledger.faults() == []


def test_growth_of_accounts_and_orders() -> None:
    roomy = msgspec.structs.replace(PAIR, max_num_orders=1000)
    ledger, book = Ledger([roomy]), Book(roomy, 0)
    accounts = range(SYSTEM_ROWS, SYSTEM_ROWS + 300)
    for account in accounts:
        ledger.open(account, 0, 0)
        ledger.post(account, Q, 10**6, 0)
    rng = np.random.default_rng(1)
    for turn in range(4):
        rows = np.zeros(5000, COMMAND)
        rows["account"] = rng.choice(accounts, 5000)
        rows["price_ticks"] = rng.integers(1, 30, 5000)
        rows["qty_lots"] = 1
        rows["client_order_id"] = [b"%d-%d" % (turn, k) for k in range(5000)]
        accepted, refused = ledger.admit(rows, turn)
        assert not len(refused)
        ledger.settle(accepted, book.apply(accepted), turn)
    assert ledger.live_orders == book.live_orders == 20_000
    assert ledger.faults() == []
    assert len(ledger.open_order(int(accepted["account"][77]), client_order_id=b"3-77")) == 1
    restored = Ledger.restore([roomy], ledger.snapshot())
    assert restored.digest() == ledger.digest()
    assert restored.faults() == []
    ends = commands([cancel_all(account) | {"symbol": 0} for account in accounts])
    ledger.settle(ends, book.apply(ends), 9)
    assert ledger.live_orders == 0
    assert ledger.faults() == []


# -- compiled code ------------------------------------------------------------------------------------------


def test_kernels_know_their_sources() -> None:
    """The digest is in what numba's cache looks at; without it a changed helper's old code would run."""
    for kernel in kernels:
        cells = kernel.py_func.__closure__  # type: ignore[attr-defined]
        assert source_digest() in [cell.cell_contents for cell in cells]


def test_records_of_any_making_and_one_compilation() -> None:
    """Frames are read-only; nothing may start the compiler under an order."""
    warm([PAIR])
    desks = [lively() for _ in range(3)]
    accepted, _ = desks[0].admit(order(ALICE, BUY, 1, 10))
    events = desks[0].books[0].apply(accepted)
    spread = np.zeros(2 * len(events), EVENT)
    spread[::2] = events
    makings = [events, np.frombuffer(events.tobytes(), EVENT), spread[::2]]
    told = [desk.ledger.settle(accepted, making, 1) for desk, making in zip(desks, makings, strict=True)]
    assert len({reports.tobytes() for reports in told[1:]}) == 1
    assert [len(kernel.signatures) for kernel in kernels] == [1] * len(kernels)  # type: ignore[attr-defined]
    with pytest.raises(AssertionError):
        desks[0].ledger.admit(np.frombuffer(accepted.tobytes(), COMMAND), 1)


def test_reports_belong_to_the_caller() -> None:
    desk = lively()
    accepted, _ = desk.admit(order(ALICE, BUY, 1, 10))
    first = desk.ledger.settle(accepted, desk.books[0].apply(accepted), 1)
    kept = first.tobytes()
    desk.play(cancel_all(ALICE))
    assert first.tobytes() == kept
    first["qty_lots"] = 0  # writable
