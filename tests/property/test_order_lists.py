"""Order lists in one ledger and its books, as the account actor drives them: nothing is lost, paid twice or left over.

`Venue` journals what an account partition and a book partition journal, in one order, and can be killed at any moment.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from actors.account_actor import to_book
from actors.account_ops import Op, apply_ops
from market.book import Book
from market.enums import CommandKind, ExecType, ListRole, ListStatus, OrdStatus, OrdType, Side, TimeInForce
from market.ledger import Ledger
from market.ledger.layout import SYSTEM_ROWS
from market.reasons import Reason
from market.records import COMMAND
from tests.property.test_ledger import ENOUGH, MARKET

ALICE, BOB, MAKER = (SYSTEM_ROWS + k for k in range(3))
PRICES = range(7, 14)


@dataclass
class Venue:
    ledger: Ledger = field(default_factory=lambda: Ledger(MARKET))
    books: list[Book] = field(
        default_factory=lambda: [Book(one, k, max_live_orders=200) for k, one in enumerate(MARKET)]
    )
    journal: list[Any] = field(default_factory=list)
    """Ops with their time, or commands with their events and time."""
    in_flight: list[np.ndarray] = field(default_factory=list)
    ts_ns: int = 0
    token: int = 0
    sent: set[int] = field(default_factory=set)
    answers: Counter[int] = field(default_factory=Counter)
    reports: list[np.void] = field(default_factory=list)
    saved: tuple[bytes, int] = (b"", 0)
    """A snapshot, and how much of the journal is in it."""

    def __post_init__(self) -> None:
        ops = [Op("open", account, maker_fee_ppm=1000, taker_fee_ppm=2000) for account in (ALICE, BOB, MAKER)]
        for account in (ALICE, BOB, MAKER):
            ops += [Op("post", account, k, 10 * ENOUGH[one.name]) for k, one in enumerate(self.ledger.assets)]
        self.write(ops)

    def write(self, ops: list[Op]) -> None:
        self.ts_ns += 1
        self.journal.append((ops, self.ts_ns))
        for reports in apply_ops(self.ledger, ops, self.ts_ns):
            self.note(reports)

    def note(self, reports: np.ndarray) -> None:
        self.reports += list(reports)
        for row in reports:
            if row["token"] and row["last"]:
                self.answers[int(row["token"])] += 1
        assert self.ledger.faults() == []

    def numbered(self, rows: list[dict[str, Any]]) -> np.ndarray:
        commands = np.zeros(len(rows), COMMAND)
        commands["expected_leaves"] = -1
        for k, row in enumerate(rows):
            self.token += 1
            for name, value in ({"token": self.token} | row).items():
                commands[name][k] = value
        self.sent |= set(commands["token"].tolist())
        return commands

    def send(self, *rows: dict[str, Any]) -> np.ndarray:
        accepted, refused = self.ledger.admit(self.numbered(list(rows)), self.ts_ns)
        self.note(refused)
        if len(accepted):
            self.in_flight.append(accepted)
        return refused["reason"]

    def place(self, name: bytes, *rows: dict[str, Any]) -> list[Reason]:
        """An order list; why each order was refused, or nothing."""
        commands = self.numbered(list(rows))
        refused = self.ledger.admit_list(name, commands, self.ts_ns)
        self.note(refused)
        if not len(refused):
            self.write([Op("list", ALICE, units=int(commands["list_id"][0]), name=name, commands=commands.tobytes())])
            self.in_flight.append(to_book(commands))
        return [Reason(one) for one in refused["reason"]]

    def commit(self, frames: int = 1 << 30) -> None:
        taken, self.in_flight = self.in_flight[:frames], self.in_flight[frames:]
        if not taken:
            return
        self.ts_ns += 1
        commands = np.concatenate(taken)
        parts = []
        for symbol in np.unique(commands["symbol"]):
            at = np.flatnonzero(commands["symbol"] == symbol)
            events = self.books[symbol].apply(commands[at])
            events["command_index"] = at[events["command_index"]]
            parts.append(events)
        self.journal.append((commands, np.concatenate(parts), self.ts_ns))
        self.settle(*self.journal[-1])

    def settle(self, commands: np.ndarray, events: np.ndarray, ts_ns: int) -> None:
        self.note(self.ledger.settle(commands, events, ts_ns))
        self.place_filled()

    def place_filled(self) -> None:
        for one in self.ledger.lists.take_filled():
            commands, reason = self.ledger.place_pending(one)
            if reason:
                self.write([Op("unlist", one.account, int(reason), one.list_id)])
            elif len(commands):
                self.in_flight.append(commands)

    def replayed(self, start: Ledger | None = None, after: int = 0) -> Ledger:
        ledger = Ledger(MARKET) if start is None else start
        for row in self.journal[after:]:
            if len(row) == 2:
                apply_ops(ledger, *row)
            else:
                ledger.settle(*row)
        return ledger

    def crash(self) -> None:
        """What was on its way and not journaled is lost, with all that the account actor remembered."""
        digest = self.ledger.digest()
        snapshot, after = self.saved
        self.ledger = self.replayed(Ledger.restore(MARKET, snapshot), after) if after else self.replayed()
        assert self.ledger.digest() == digest
        lost = {int(token) for frame in self.in_flight for token in frame["token"]}
        self.sent -= lost
        self.in_flight = []
        self.ledger.drop_pending()
        assert self.ledger.digest() == digest
        self.place_filled()
        for list_id in self.ledger.lists.never_started():
            one = self.ledger.lists.get(list_id)
            assert one is not None
            self.sent -= {int(token) for token in one.commands()["token"]}
            self.write([Op("unlist", one.account, int(Reason.NEVER_ACCEPTED), list_id)])

    def check(self) -> None:
        assert self.replayed().digest() == self.ledger.digest()
        self.saved = self.ledger.snapshot(), len(self.journal)
        assert Ledger.restore(MARKET, self.saved[0]).digest() == self.ledger.digest()
        resting = {int(row["order_id"]) for book in self.books for row in book.orders()}
        live, held = set(), set()
        settled = self.ledger.settled()
        for account in (ALICE, BOB, MAKER):
            for row in settled.open_orders(account):
                (held if row["ord_status"] == OrdStatus.PENDING_NEW else live).add(int(row["order_id"]))
        assert live == resting
        assert held <= {order_id for one in self.ledger.lists for order_id in one.order_ids[1:]}

    def told(self, order_id: int) -> list[tuple[str, str]]:
        return [
            (ExecType(row["exec_type"]).name, OrdStatus(row["ord_status"]).name)
            for row in self.reports
            if row["order_id"] == order_id and row["exec_type"] != ExecType.LIST
        ]

    def lists(self) -> list[str]:
        """How lists were told of."""
        return [
            ListStatus(row["ord_status"]).name
            for row in self.reports
            if row["exec_type"] == ExecType.LIST and not row["order_id"]
        ]


def order(side: Side, qty: int, price: int = 0, symbol: int = 0, account: int = ALICE, **more: Any) -> dict[str, Any]:
    kind = {"kind": CommandKind.NEW, "ord_type": OrdType.LIMIT}
    return kind | {"account": account, "symbol": symbol, "side": side, "qty_lots": qty, "price_ticks": price} | more


def stop(side: Side, qty: int, at: int, **more: Any) -> dict[str, Any]:
    return order(side, qty, ord_type=OrdType.STOP_LOSS, stop_price_ticks=at, **more)


WORKS = {"list_role": ListRole.MEMBER}
FIRST, SECOND = {"list_role": ListRole.OCO_FIRST}, {"list_role": ListRole.OCO_SECOND}


def bracket(side: Side, qty: int, far: int, near: int, **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    return (
        order(side, qty, far, ord_type=OrdType.LIMIT_MAKER, **FIRST, **more),
        stop(side, qty, near, **SECOND, **more),
    )


@pytest.fixture
def venue() -> Venue:
    """The last price is 10, and somebody buys at 9 and sells at 11."""
    made = Venue()
    made.send(order(Side.BUY, 1, 10, account=MAKER), order(Side.SELL, 1, 10, account=BOB))
    made.send(order(Side.BUY, 20, 9, account=MAKER), order(Side.SELL, 20, 11, account=MAKER))
    made.commit()
    made.reports.clear()
    return made


def held(venue: Venue, asset: int, account: int = ALICE) -> tuple[int, int]:
    free, locked = venue.ledger.balances(account)[asset].tolist()
    return free, locked


BASE, QUOTE = 1, 0
"""Assets of symbol 0, in the order of `assets_of`."""


def test_a_pair_locks_once_what_the_dearer_order_needs(venue: Venue) -> None:
    before = held(venue, BASE)
    assert venue.place(b"exit", *bracket(Side.SELL, 5, 13, 8)) == []
    lot = MARKET[0].base_units_per_lot
    assert held(venue, BASE) == (before[0] - 5 * lot, 5 * lot)
    venue.commit()
    assert venue.lists() == ["EXECUTING"]
    first = venue.ledger.open_orders(ALICE)["order_id"].min()
    venue.send({"kind": CommandKind.CANCEL, "account": ALICE, "order_id": first, "symbol": 0})
    venue.commit()
    assert held(venue, BASE) == before
    assert venue.lists() == ["EXECUTING", "ALL_DONE"]
    venue.check()


def test_a_pair_that_fills_ends_its_other_order_and_its_list(venue: Venue) -> None:
    venue.place(b"exit", *bracket(Side.SELL, 5, 12, 8))
    venue.commit()
    first, second = sorted(venue.ledger.open_orders(ALICE)["order_id"].tolist())
    venue.send(order(Side.BUY, 25, 12, account=MAKER, stp_mode=2))
    venue.commit()
    assert venue.told(first)[-1] == ("TRADE", "FILLED")
    assert venue.told(second) == [("NEW", "NEW"), ("EXPIRED", "EXPIRED")]
    assert venue.lists() == ["EXECUTING", "ALL_DONE"]
    assert held(venue, BASE)[1] == 0
    venue.check()


def test_pending_orders_wait_are_placed_when_the_working_one_is_filled_and_then_trade(venue: Venue) -> None:
    assert venue.place(b"", order(Side.BUY, 4, 9, **WORKS), *bracket(Side.SELL, 4, 12, 8)) == []
    venue.commit()
    working, far, near = sorted(venue.ledger.open_orders(ALICE)["order_id"].tolist())
    assert venue.told(far) == venue.told(near) == [("NEW", "PENDING_NEW")]
    assert held(venue, BASE)[1] == 0
    venue.check()
    venue.send(order(Side.SELL, 24, 9, account=BOB))
    venue.commit()
    assert venue.told(working)[-1] == ("TRADE", "FILLED")
    assert held(venue, BASE)[1] == 4 * MARKET[0].base_units_per_lot
    venue.commit()
    assert venue.told(far)[-1] == venue.told(near)[-1] == ("NEW", "NEW")
    venue.send(order(Side.SELL, 1, 8, account=BOB), order(Side.BUY, 1, 8, account=MAKER))
    venue.send(order(Side.BUY, 9, 8, account=MAKER))
    venue.commit()
    assert venue.told(near)[-1][1] in ("FILLED", "EXPIRED")
    assert ("TRIGGERED", "NEW") in venue.told(near)
    assert venue.told(far)[-1] == ("EXPIRED", "EXPIRED")
    assert venue.lists() == ["EXECUTING", "ALL_DONE"]
    venue.check()


@pytest.mark.parametrize("canceled", ["working", "pending"])
def test_canceling_either_order_ends_both_and_answers_for_both(venue: Venue, canceled: str) -> None:
    venue.place(b"", order(Side.BUY, 4, 8, **WORKS), order(Side.SELL, 4, 12, **WORKS))
    venue.commit()
    working, pending = sorted(venue.ledger.open_orders(ALICE)["order_id"].tolist())
    named = {"working": working, "pending": pending}[canceled]
    venue.send({"kind": CommandKind.CANCEL, "account": ALICE, "order_id": named, "symbol": 0})
    token = venue.token
    venue.commit()
    assert [int(row["order_id"]) for row in venue.reports if row["token"] == token] == [working, pending]
    assert venue.told(working)[-1] == venue.told(pending)[-1] == ("CANCELED", "CANCELED")
    assert venue.answers[token] == 1
    assert venue.lists() == ["EXECUTING", "ALL_DONE"]
    venue.check()


def test_pending_orders_end_with_a_working_order_that_expires(venue: Venue) -> None:
    venue.place(b"", order(Side.BUY, 4, 10, time_in_force=TimeInForce.IOC, **WORKS), *bracket(Side.SELL, 4, 13, 8))
    venue.commit()
    expired = [row for row in venue.reports if row["exec_type"] == ExecType.EXPIRED]
    reasons = [Reason(row["reason"]).name for row in expired]
    assert reasons == ["IOC_UNFILLED", "PENDING_NEVER_PLACED", "PENDING_NEVER_PLACED"]
    last = [row["ord_status"] for row in venue.reports if row["last"]]
    assert last == [OrdStatus.EXPIRED] * 3, "who placed the list is answered when all of this is known"
    assert venue.lists() == ["EXECUTING", "ALL_DONE"]
    venue.check()


def test_a_pending_order_that_cannot_be_paid_expires(venue: Venue) -> None:
    venue.write([Op("post", ALICE, BASE, -held(venue, BASE)[0])])
    venue.place(b"", order(Side.BUY, 1, 9, **WORKS), order(Side.SELL, 2, 12, **WORKS))
    venue.commit()
    venue.send(order(Side.SELL, 21, 9, account=BOB))
    venue.commit()
    last = venue.reports[-4]
    assert (Reason(last["reason"]).name, OrdStatus(last["ord_status"]).name) == ("INSUFFICIENT_BALANCE", "EXPIRED")
    assert venue.lists() == ["EXECUTING", "ALL_DONE"]
    venue.check()


def test_what_a_working_order_brings_pays_its_pending_order(venue: Venue) -> None:
    """OPO: no quantity of its own; the proceeds are locked fill by fill, at last the commission from what else is free."""
    assert venue.place(b"", order(Side.BUY, 4, 9, **WORKS), order(Side.SELL, 0, 12, **WORKS)) == []
    venue.commit()
    lot = MARKET[0].base_units_per_lot
    venue.send(order(Side.SELL, 21, 9, account=BOB))
    venue.commit()
    assert held(venue, BASE)[1] == lot
    venue.check()
    venue.send(order(Side.SELL, 3, 9, account=BOB))
    venue.commit()
    venue.commit()
    placed = venue.ledger.open_orders(ALICE)
    assert placed["qty_lots"].tolist() == [4]
    assert held(venue, BASE)[1] == 4 * lot
    venue.check()


def test_what_is_on_its_way_does_not_change_what_a_fill_brings(venue: Venue) -> None:
    """Live, a sell of all that is free is reserved for before the working order's fill is settled; a replay sees it later."""
    venue.write([Op("post", ALICE, BASE, -held(venue, BASE)[0] + 3 * MARKET[0].base_units_per_lot)])
    venue.place(b"", order(Side.BUY, 4, 9, **WORKS), order(Side.SELL, 0, 12, **WORKS))
    venue.commit()
    venue.send(order(Side.SELL, 22, 9, account=BOB))
    filled, venue.in_flight = venue.in_flight, []
    venue.send(order(Side.SELL, 3, 13))
    on_its_way, venue.in_flight = venue.in_flight, filled
    venue.commit()
    venue.in_flight += on_its_way
    venue.check()
    venue.crash()
    venue.check()
    assert min(held(venue, BASE)) >= 0


def test_amending_a_stop_that_buys_gives_back_its_part_of_the_budget(venue: Venue) -> None:
    before = held(venue, QUOTE)
    venue.send(stop(Side.BUY, 10, 12))
    venue.commit()
    locked = held(venue, QUOTE)[1]
    (order_id,) = venue.ledger.open_orders(ALICE)["order_id"]
    venue.send({"kind": CommandKind.AMEND, "account": ALICE, "order_id": order_id, "symbol": 0, "qty_lots": 1})
    venue.commit()
    assert held(venue, QUOTE) == (before[0] - (locked + 9) // 10, (locked + 9) // 10)
    venue.check()


def test_canceling_one_order_of_a_pair_answers_for_both(venue: Venue) -> None:
    venue.place(b"", *bracket(Side.SELL, 1, 13, 8))
    venue.commit()
    first, second = sorted(venue.ledger.open_orders(ALICE)["order_id"].tolist())
    venue.send({"kind": CommandKind.CANCEL, "account": ALICE, "order_id": second, "symbol": 0})
    token = venue.token
    venue.commit()
    assert {int(row["order_id"]) for row in venue.reports if row["token"] == token} == {first, second}
    assert venue.answers[token] == 1


def test_a_list_is_told_anew_when_one_of_its_orders_gets_another_name(venue: Venue) -> None:
    venue.place(b"", *bracket(Side.SELL, 4, 13, 8))
    venue.commit()
    first, _ = sorted(venue.ledger.open_orders(ALICE)["order_id"].tolist())
    amend = {"kind": CommandKind.AMEND, "account": ALICE, "order_id": first, "symbol": 0}
    venue.send(amend | {"qty_lots": 3})
    venue.commit()
    assert venue.lists() == ["EXECUTING"]
    venue.send(amend | {"qty_lots": 2, "client_order_id": b"renamed"})
    venue.commit()
    assert venue.lists() == ["EXECUTING", "EXECUTING"]
    venue.check()


def test_a_list_of_a_name_in_use_and_one_too_many_are_refused(venue: Venue) -> None:
    one = MARKET[0]
    assert venue.place(b"a", *bracket(Side.SELL, 1, 13, 8)) == []
    assert venue.place(b"a", *bracket(Side.SELL, 1, 13, 8))[0] == Reason.DUPLICATE_LIST_CLIENT_ORDER_ID
    venue.commit()
    refused = [venue.place(b"%d" % k, *bracket(Side.SELL, 1, 13, 8)) for k in range(one.max_num_orders)]
    assert refused[-1]
    venue.commit()
    venue.check()


def test_a_refusal_by_the_book_refuses_the_whole_list_and_leaves_nothing(venue: Venue) -> None:
    before = held(venue, QUOTE)
    working = order(Side.BUY, 4, 11, ord_type=OrdType.LIMIT_MAKER, **WORKS)
    venue.place(b"", working, *bracket(Side.SELL, 4, 13, 8))
    venue.commit()
    assert [row["ord_status"] for row in venue.reports if row["order_id"]] == [OrdStatus.REJECTED] * 3
    assert venue.lists() == []
    assert len(venue.ledger.lists) == 0
    assert held(venue, QUOTE) == before
    venue.check()


@dataclass
class Crowd:
    venue: Venue
    rng: np.random.Generator

    def pick(self, values: Any) -> Any:
        return values[self.rng.integers(len(values))]

    def act(self) -> None:
        draw, venue = self.rng.random(), self.venue
        if draw < 0.3:
            symbol, side = int(self.rng.integers(3)), Side(self.rng.integers(2))
            account = self.pick((BOB, MAKER))
            venue.send(order(side, int(self.rng.integers(1, 9)), self.pick(PRICES), symbol, account))
        elif draw < 0.5:
            self.place()
        elif draw < 0.6:
            self.cancel()
        elif draw < 0.62:
            venue.send({"kind": CommandKind.CANCEL_ALL, "account": ALICE, "symbol": int(self.rng.integers(3))})
        elif draw < 0.64:
            venue.crash()
        elif draw < 0.7:
            venue.check()
        else:
            venue.commit(int(self.rng.integers(1, 5)))

    def place(self) -> None:
        rng = self.rng
        symbol, side, qty = int(rng.integers(3)), Side(rng.integers(2)), int(rng.integers(1, 6))
        exits = Side(1 - side)
        kind = self.pick(("OCO", "OTO", "OTOCO", "OPO", "OPOCO"))
        far, near = self.pick((12, 13)), self.pick((7, 8))
        if (side if kind == "OCO" else exits) == Side.BUY:
            far, near = near, far
        if kind == "OCO":
            self.venue.place(self.pick((b"a", b"b", b"c", b"d")), *bracket(side, qty, far, near, symbol=symbol))
            return
        tif = self.pick((TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK))
        working = order(side, qty, self.pick(PRICES), symbol, time_in_force=tif, **WORKS)
        size = 0 if kind.startswith("OPO") else int(rng.integers(1, 9))
        if kind in ("OTO", "OPO"):
            single = self.pick((order(exits, size, far, symbol), stop(exits, size, near, symbol=symbol)))
            pending = [single | WORKS]
        else:
            pending = list(bracket(exits, size, far, near, symbol=symbol))
        name = b"list-%d" % self.venue.token
        self.venue.place(name, working, *pending)

    def cancel(self) -> None:
        orders = self.venue.ledger.open_orders(ALICE)["order_id"]
        if len(orders):
            cancel = {"kind": CommandKind.CANCEL, "account": ALICE, "order_id": self.pick(orders), "symbol": -1}
            self.venue.send(cancel)


@pytest.mark.parametrize("seed", range(6))
def test_a_crowd_of_lists_leaves_nothing_behind(seed: int) -> None:
    venue = Venue()
    crowd = Crowd(venue, np.random.default_rng(seed))
    for _ in range(700):
        crowd.act()
    while venue.in_flight:
        venue.commit()
    venue.check()
    for symbol in range(3):
        venue.send({"kind": CommandKind.CANCEL_ALL, "account": ALICE, "symbol": symbol})
    while venue.in_flight:
        venue.commit()
    venue.check()
    assert len(venue.ledger.lists) == 0
    assert not len(venue.ledger.open_orders(ALICE))
    assert not venue.ledger.balances(ALICE)[:, 1].any()
    assert all(venue.answers[token] <= 1 for token in venue.answers)
    assert venue.sent <= set(venue.answers), "a command that was not lost is answered"
    told = Counter(venue.lists())
    assert told["ALL_DONE"] == told["EXECUTING"] > 20
