"""Ledgers and books together, as the actors drive them: money is conserved, the oracle agrees, replay is exact.

`World` is the exchange without its processes: commands are admitted while others are in flight, books commit
batches, each ledger settles them when it gets to it. Every step is compared with `NaiveLedger`.
"""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from market.book import Book
from market.enums import CommandFlag, CommandKind, EventKind, ExecType, OrdStatus, OrdType, Side, StpMode
from market.enums import TimeInForce
from market.instrument import INT_LIMIT, PPM, Asset, Instrument
from market.ledger import Ledger
from market.ledger.layout import SYSTEM_ROWS
from market.reasons import Reason
from market.records import COMMAND, EVENT, REPORT
from tests.reference.build import EXTREME, HOSTILE_BYTES, HOSTILE_INTS
from tests.reference.naive_book import Command, Event
from tests.reference.naive_ledger import NaiveLedger

A, B, Q = Asset("A", 2), Asset("B", 1), Asset("Q", 3)
PRICES = range(6, 15)
QUANTITIES = range(1, 7)


def pair(base: Asset, quote: Asset, step: str) -> Instrument:
    return Instrument(
        symbol=base.name + quote.name,
        base=base,
        quote=quote,
        tick=Decimal(step),
        lot=Decimal(step),
        min_price_ticks=1,
        max_price_ticks=40,
        min_qty_lots=1,
        max_qty_lots=50,
        market_min_qty_lots=1,
        market_max_qty_lots=40,
        min_notional_units=20,
        max_notional_units=1_000_000,
        bid_multiplier_up_ppm=4 * PPM,
        bid_multiplier_down_ppm=PPM // 4,
        ask_multiplier_up_ppm=4 * PPM,
        ask_multiplier_down_ppm=PPM // 4,
        max_num_orders=6,
        start_price_ticks=10,
    )


MARKET = [pair(A, Q, "0.1"), pair(B, Q, "1"), pair(A, B, "1")]
"""Two symbols share their quote asset; what one trades as base is the quote of another."""
ENOUGH = {"Q": 150_000, "A": 6_000, "B": 1_500}
"""A few orders' worth of each asset."""

HUGE = [msgspec.structs.replace(EXTREME, max_num_orders=6)]
"""Everything up to the last of 62 bits."""
HUGE_PRICES = [1, 2, 3, 1 << 31, 1 << 32, 1 << 50, (1 << 61) - 1, 1 << 61]
HUGE_QUANTITIES = [1, 2, 3, 1 << 11, 1 << 28, 1 << 31, (1 << 58) - 1, 1 << 58]

Op = Callable[[Ledger], np.ndarray | bool | None]


@dataclass(frozen=True)
class Batch:
    """What a book committed."""

    commands: np.ndarray
    events: np.ndarray
    ts_ns: int


class World:
    """P ledgers and the books of all symbols in B partitions, with commands in flight between them."""

    def __init__(self, instruments: Sequence[Instrument], partitions: int = 1, book_partitions: int = 2) -> None:
        self.instruments = list(instruments)
        self.ledgers = [Ledger(instruments, p, partitions) for p in range(partitions)]
        self.oracles = [NaiveLedger(instruments, p, partitions) for p in range(partitions)]
        self.books = [Book(one, k, max_live_orders=60) for k, one in enumerate(instruments)]
        self.in_flight: list[list[np.ndarray]] = [[] for _ in range(book_partitions)]
        self.journal: list[list[Batch]] = [[] for _ in range(book_partitions)]
        self.settled = [[0] * book_partitions for _ in range(partitions)]
        """Batches settled, by ledger and book."""
        self.own: list[list[tuple[list[int], Op]]] = [[] for _ in range(partitions)]
        """What only the accounts' own journal knows, and the batches settled before it."""
        self.reports: list[np.ndarray] = []
        self.seq: Counter[int] = Counter()
        self.deposited: Counter[int] = Counter()
        self.accounts: list[int] = []
        self.order_ids: list[tuple[int, int, int]] = []
        """Order id, account and symbol of every order that went to a book."""
        self.accepted: set[int] = set()
        self.answered: Counter[int] = Counter()
        self.reasons: Counter[Reason] = Counter()
        self.kinds: Counter[EventKind] = Counter()
        self.token = 0
        self.ts_ns = 0

    @property
    def partitions(self) -> int:
        return len(self.ledgers)

    # -- what only the accounts' journal knows --------------------------------------------------------------

    def own_op(self, account: int, op: Op) -> np.ndarray | bool | None:
        p = account % self.partitions
        done = op(self.ledgers[p])
        self.own[p].append((list(self.settled[p]), op))
        if isinstance(done, np.ndarray):
            self.note(done)
        return done

    def open(self, k: int, maker_fee_ppm: int = 0, taker_fee_ppm: int = 0) -> int:
        account = SYSTEM_ROWS * self.partitions + k
        self.own_op(account, lambda ledger: ledger.open(account, maker_fee_ppm, taker_fee_ppm))
        self.oracles[account % self.partitions].open(account, maker_fee_ppm, taker_fee_ppm)
        self.accounts.append(account)
        return account

    def post(self, account: int, asset: int, units: int) -> None:
        """A withdrawal of more than is free must be refused and change nothing."""
        oracle, ledger = self.oracles[account % self.partitions], self.ledgers[account % self.partitions]
        if oracle.balances(account)[asset][0] + units < 0:
            before = ledger.digest()
            with pytest.raises(ValueError, match="free units"):
                ledger.post(account, asset, units, 0)
            assert ledger.digest() == before
            return
        ts_ns = self.ts_ns
        self.own_op(account, lambda ledger: ledger.post(account, asset, units, ts_ns))
        oracle.post(account, asset, units)
        self.deposited[asset] += units

    def pause(self, account: int, paused: bool) -> None:
        self.own_op(account, lambda ledger: ledger.pause(account, paused))
        self.oracles[account % self.partitions].accounts[account].paused = paused

    # -- commands -------------------------------------------------------------------------------------------

    def send(self, rows: np.ndarray) -> None:
        """Admit; what is accepted is in flight."""
        rows = rows.copy()
        self.ts_ns += 1
        rows["token"] = self.token + 1 + np.arange(len(rows))
        self.token += len(rows)
        for p in range(self.partitions):
            own = rows[rows["account"] % self.partitions == p]
            accepted, refused = self.ledgers[p].admit(own.copy(), self.ts_ns)
            self._check_admission(p, own, accepted, refused)
            for command in accepted:
                self.in_flight[command["symbol"] % len(self.in_flight)].append(command)

    def _check_admission(self, p: int, sent: np.ndarray, accepted: np.ndarray, refused: np.ndarray) -> None:
        must_accept, must_refuse = [], []
        for row in sent.tolist():
            reason, command = self.oracles[p].admit(Command._make(row))
            if reason:
                must_refuse.append((command.token, reason))
            else:
                must_accept.append(command)
            self.reasons[reason] += 1
        assert list(zip(refused["token"].tolist(), refused["reason"].tolist(), strict=True)) == must_refuse
        assert [Command._make(row) for row in accepted.tolist()] == must_accept
        assert not refused["seq"].any()
        assert (refused["last"] == 1).all()
        assert (refused["ord_status"] == OrdStatus.REJECTED).all()
        self.accepted |= {command.token for command in must_accept}
        placed = [one for one in must_accept if one.kind in (CommandKind.NEW, CommandKind.REPLACE)]
        self.order_ids += [(one.order_id, one.account, one.symbol) for one in placed]
        self.check_ledger(p)

    def commit(self, book: int, most: int = 1 << 30) -> None:
        """The book partition takes what has arrived, at most `most` commands, and journals it."""
        taken, self.in_flight[book] = self.in_flight[book][:most], self.in_flight[book][most:]
        if not taken:
            return
        self.ts_ns += 1
        commands = np.array(taken, COMMAND)
        parts = []
        for symbol in np.unique(commands["symbol"]):
            at = np.flatnonzero(commands["symbol"] == symbol)
            events = self.books[symbol].apply(commands[at])
            events["command_index"] = at[events["command_index"]]
            parts.append(events)
        self.journal[book].append(Batch(commands, np.concatenate(parts), self.ts_ns))
        self.kinds.update(EventKind(kind) for kind in self.journal[book][-1].events["kind"])

    def follow(self, p: int, book: int) -> bool:
        """Ledger p settles the next batch of the book; False when there is none."""
        at = self.settled[p][book]
        if at == len(self.journal[book]):
            return False
        batch = self.journal[book][at]
        reports = self.ledgers[p].settle(batch.commands, batch.events, batch.ts_ns)
        rows = [Command._make(row) for row in batch.commands.tolist()]
        must = self.oracles[p].settle(rows, (Event._make(row) for row in batch.events.tolist()))
        wrong = self.oracles[p].difference(reports, must)
        assert not wrong, wrong
        self.settled[p][book] += 1
        self.note(reports)
        assert (reports["ts_ns"] == batch.ts_ns).all()
        assert (reports["partition"] == p).all()
        for token, last in reports[["token", "last"]].tolist():
            self.answered[token] += bool(token and last)
            assert token or not last
        self.check_ledger(p)
        return True

    def catch_up(self) -> None:
        """Everything committed is settled everywhere; then the partitions together are looked at."""
        while any([self.follow(p, b) for p in range(self.partitions) for b in range(len(self.journal))]):
            pass
        self.check_together()

    def finish(self) -> None:
        """Nothing is in flight."""
        while any(self.in_flight):
            for book in range(len(self.in_flight)):
                self.commit(book)
        self.catch_up()
        assert set(self.answered) - {0} == self.accepted
        assert all(self.answered[token] == 1 for token in self.accepted)

    # -- what must hold -------------------------------------------------------------------------------------

    def note(self, reports: np.ndarray) -> None:
        """Private streams are dense."""
        for account, seq in reports[["account", "seq"]].tolist():
            self.seq[account] += 1
            assert seq == self.seq[account]
        self.reports.append(reports)

    def check_ledger(self, p: int) -> None:
        ledger, oracle = self.ledgers[p], self.oracles[p]
        assert ledger.faults() == []
        assert ledger.live_orders == len(oracle.orders)
        for account in oracle.accounts:
            assert ledger.balances(account).tolist() == oracle.balances(account)
            assert ledger.positions(account).tolist() == oracle.position(account)
            assert ledger.seq(account) == self.seq[account]
        totals = ledger.totals()
        assert [[units, 0] for units in totals["fees"].tolist()] == oracle.balances("fees")
        assert [[units, 0] for units in totals["clearing"].tolist()] == oracle.balances("clearing")

    def check_together(self) -> None:
        assert not sum(ledger.clearing() for ledger in self.ledgers).any()
        totals = [ledger.totals() for ledger in self.ledgers]
        held = sum(one["accounts"] + one["fees"] for one in totals)
        assert held.tolist() == [self.deposited[k] for k in range(len(held))]
        self.check_books()

    def check_books(self) -> None:
        """What rests in the books is what is open in the ledgers; they hold nothing more than what is on its way."""
        resting = [row for book in self.books for row in book.orders()]
        fields = ("order_id", "account", "side", "price_ticks", "qty_lots", "leaves_lots")
        told = {int(row["order_id"]): tuple(int(row[name]) for name in fields) for row in resting}
        open_, pending = {}, set()
        for account in self.accounts:
            for one in self.ledgers[account % self.partitions].open_orders(account):
                if one["ord_status"] == OrdStatus.PENDING_NEW:
                    pending.add(int(one["order_id"]))
                else:
                    open_[int(one["order_id"])] = tuple(int(one[name]) for name in fields)
        assert open_ == told
        placing = (CommandKind.NEW, CommandKind.REPLACE)
        sent = {int(c["order_id"]) for queue in self.in_flight for c in queue if c["kind"] in placing}
        assert pending == sent

    def replay(self, p: int, merge: Callable[[list[int]], Iterator[int]]) -> Ledger:
        """A fresh ledger from the journals alone; `merge` interleaves so many batches of each book."""
        ledger = Ledger(self.instruments, p, self.partitions)
        done = [0] * len(self.journal)

        def read(until: list[int]) -> None:
            for book in merge([most - at for most, at in zip(until, done, strict=True)]):
                batch = self.journal[book][done[book]]
                ledger.settle(batch.commands, batch.events, batch.ts_ns)
                done[book] += 1

        for positions, op in self.own[p]:
            read(positions)
            op(ledger)
        read(self.settled[p])
        assert done == self.settled[p]
        return ledger


def one_after_the_other(counts: list[int]) -> Iterator[int]:
    for book, count in enumerate(counts):
        yield from [book] * count


def shuffled(rng: np.random.Generator) -> Callable[[list[int]], Iterator[int]]:
    return lambda counts: iter(rng.permutation(list(one_after_the_other(counts))).tolist())


# -- a crowd of users ---------------------------------------------------------------------------------------

KIND_SHARES = (0.6, 0.1, 0.16, 0.1, 0.04)
CLIENT_IDS = [b"", b"", b"a", b"b", b"c", b"d", b"a-rather-long-one-0123456789-0123456789", b"\0" * 8 + b"x"]
HOSTILE: dict[str, Sequence[int]] = {
    **dict.fromkeys(("kind", "side", "ord_type", "time_in_force", "stp_mode", "flags"), HOSTILE_BYTES),
    **dict.fromkeys(
        ("order_id", "target_id", "price_ticks", "qty_lots", "quote_units", "expected_leaves"), HOSTILE_INTS
    ),
    "symbol": (-(1 << 31), -1, 3, 1000, (1 << 31) - 1),
    "account": (-(1 << 31), -1, 0, 1, 7, 24, 23_456, (1 << 31) - 1),
    "maker_fee_ppm": (-1, PPM, (1 << 31) - 1),
    "taker_fee_ppm": (-1, PPM, (1 << 31) - 1),
}


@dataclass
class Crowd:
    """Random commands of the accounts of a world."""

    world: World
    rng: np.random.Generator
    prices: Sequence[int] = PRICES
    quantities: Sequence[int] = QUANTITIES
    hostile: float = 0.1

    def pick(self, values: Sequence[Any]) -> Any:
        return values[self.rng.integers(len(values))]

    def named(self) -> tuple[int, int, int]:
        """An order, rather a young one; sometimes named by another account or in another symbol."""
        recent = self.world.order_ids[-12:]
        order_id, account, symbol = self.pick(recent) if recent else (1, self.world.accounts[0], 0)
        if self.rng.random() < 0.05:
            account = self.pick(self.world.accounts)
        if self.rng.random() < 0.05:
            symbol = int(self.rng.integers(len(self.world.instruments)))
        return order_id, account, symbol

    def command(self) -> np.ndarray:
        rng = self.rng
        row = np.zeros(1, COMMAND)[0]
        kind = CommandKind(rng.choice(5, p=KIND_SHARES))
        order_id, account, symbol = self.named()
        if kind in (CommandKind.NEW, CommandKind.CANCEL_ALL):
            account, symbol = self.pick(self.world.accounts), rng.integers(len(self.world.instruments))
        row["kind"], row["account"], row["symbol"], row["expected_leaves"] = kind, account, symbol, -1
        if kind in (CommandKind.NEW, CommandKind.REPLACE):
            self.describe(row, kind, order_id)
        elif kind != CommandKind.CANCEL_ALL:
            row["order_id"] = order_id
            row["qty_lots"] = self.pick(self.quantities)
            row["symbol"] = -1 if rng.random() < 0.3 else symbol
            if rng.random() < 0.3:
                row["flags"] = CommandFlag.BY_CLIENT_ORDER_ID
                row["client_order_id"] = self.pick(CLIENT_IDS)
        if rng.random() < self.hostile:
            name = self.pick(list(HOSTILE))
            row[name] = self.pick(HOSTILE[name])
        return row

    def describe(self, row: Any, kind: CommandKind, target: int) -> None:
        rng = self.rng
        row["side"] = rng.integers(2)
        row["ord_type"] = rng.choice(3, p=(0.7, 0.2, 0.1))
        row["time_in_force"] = rng.choice(3, p=(0.7, 0.2, 0.1))
        row["stp_mode"] = rng.integers(5)
        drawn = sorted(rng.integers(0, len(self.prices), 2))
        row["price_ticks"] = self.prices[drawn[0] if row["side"] == Side.BUY else drawn[1]]
        row["qty_lots"] = self.pick(self.quantities)
        row["client_order_id"] = self.pick(CLIENT_IDS) if rng.random() < 0.5 else b""
        if kind == CommandKind.REPLACE:
            row["target_id"] = target
            row["expected_leaves"] = self.pick((-1, -1, -1, 0, *self.quantities))
            if rng.random() < 0.7:  # like its target, which it may borrow from
                row["qty_lots"] = min(int(row["qty_lots"]) + self.pick((0, 1, 20)), INT_LIMIT)
        if row["ord_type"] == OrdType.MARKET:
            one = self.world.instruments[int(row["symbol"])]
            amount = int(row["price_ticks"]) * int(row["qty_lots"]) * one.quote_units_per_tick_lot
            row["quote_units"] = min(amount, INT_LIMIT) if rng.random() < 0.5 else 0
            if rng.random() < 0.5:
                row["flags"] = CommandFlag.BY_QUOTE
                row["qty_lots"] = 0 if rng.random() < 0.6 else row["qty_lots"]

    def commands(self, count: int) -> np.ndarray:
        return np.array([self.command() for _ in range(count)], COMMAND)

    def act(self) -> None:
        """One step of the exchange: mostly commands, sometimes a batch, a deposit, a pause, an outage."""
        rng, world = self.rng, self.world
        draw = rng.random()
        if draw < 0.5:
            world.send(self.commands(int(rng.integers(1, 9))))
        elif draw < 0.68:
            world.commit(int(rng.integers(len(world.journal))), int(rng.integers(1, 30)))
        elif draw < 0.88:
            world.follow(int(rng.integers(world.partitions)), int(rng.integers(len(world.journal))))
        elif draw < 0.92:
            account, asset = self.pick(world.accounts), int(rng.integers(len(world.ledgers[0].assets)))
            largest = ENOUGH[world.ledgers[0].assets[asset].name] // 10 if self.prices is PRICES else 1 << 50
            world.post(account, asset, int(rng.integers(-largest, largest)))
        elif draw < 0.94:
            world.pause(self.pick(world.accounts), bool(rng.random() < 0.3))
        elif draw < 0.95:
            self.outage(int(rng.integers(len(world.instruments))), bool(rng.random() < 0.3))
        else:
            world.catch_up()

    def outage(self, symbol: int, away: bool) -> None:
        for ledger, oracle in zip(self.world.ledgers, self.world.oracles, strict=True):
            ledger.set_available(symbol, not away)
            (oracle.unavailable.add if away else oracle.unavailable.discard)(symbol)


def market_world(partitions: int, users: int = 5) -> World:
    world = World(MARKET, partitions)
    for k in range(users):
        account = world.open(k, maker_fee_ppm=100 * k, taker_fee_ppm=777 * k)
        for asset, one in enumerate(world.ledgers[0].assets):
            world.post(account, asset, ENOUGH[one.name])
    return world


def huge_world(partitions: int) -> World:
    world = World(HUGE, partitions, book_partitions=1)
    for k in range(4):
        account = world.open(k, maker_fee_ppm=100 * k, taker_fee_ppm=(PPM - 1) * k // 3)
        for asset in range(2):
            world.post(account, asset, (INT_LIMIT - 1) // (4 * partitions))
    return world


def crowd_of(world: World, seed: int, hostile: float = 0.1) -> Crowd:
    rng = np.random.default_rng(seed)
    if world.instruments == HUGE:
        return Crowd(world, rng, HUGE_PRICES, HUGE_QUANTITIES, hostile)
    return Crowd(world, rng, hostile=hostile)


@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.parametrize("build", [market_world, huge_world])
def test_a_crowd_trades_and_every_law_holds(build: Callable[[int], World], partitions: int) -> None:
    world = build(partitions)
    crowd = crowd_of(world, seed=partitions)
    for _ in range(1200):
        crowd.act()
    world.finish()
    print(world.reasons, world.kinds)


# XXX
