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
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from numba import njit

from market.book import Book
from market.book.arithmetic import mul_div
from market.enums import (
    FILL_MODEL_BIT,
    FILL_MODEL_MASK,
    OUTSIDE_EDGE,
    CommandFlag,
    CommandKind,
    EventKind,
    ListRole,
    OrdStatus,
    OrdType,
    Side,
    StpMode,
    TimeInForce,
)
from market.instrument import INT_LIMIT, PPM, Asset, Instrument
from market.ledger import Ledger
from market.ledger.layout import H_NEXT_ORDER, SYSTEM_ROWS
from market.numbering import OUTSIDE_ACCOUNT
from market.reasons import Reason
from market.records import COMMAND
from tests.reference.build import EXTREME, HOSTILE_BYTES, HOSTILE_INTS
from tests.reference.naive_book import Command, Event
from tests.reference.naive_ledger import EXTERNAL, OUTSIDE, NaiveLedger

A, B, Q = Asset("A", 2), Asset("B", 1), Asset("Q", 3)
PRICES = range(6, 15)
QUANTITIES = range(1, 7)


def pair(base: Asset, quote: Asset, step: str, max_position_lots: int = 0) -> Instrument:
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
        max_num_algo_orders=3,
        max_num_iceberg_orders=2,
        max_position_lots=max_position_lots,
    )


MARKET = [pair(A, Q, "0.1"), pair(B, Q, "1", max_position_lots=120), pair(A, B, "1")]
"""Two symbols share their quote asset; what one trades as base is the quote of another."""
ENOUGH = {"Q": 80_000, "A": 1_200, "B": 900}
"""A few orders' worth of each asset."""

HUGE = [msgspec.structs.replace(EXTREME, max_num_orders=6)]
"""Everything up to the last of 62 bits."""
HUGE_PRICES = [1, 2, 3, 1 << 31, 1 << 32, 1 << 50, (1 << 61) - 1, 1 << 61]
HUGE_QUANTITIES = [1, 2, 3, 1 << 11, 1 << 28, 1 << 31, (1 << 58) - 1, 1 << 58]

Op = Callable[[Ledger], np.ndarray | bool | None]
Merge = Callable[[list[int]], Iterator[int]]
"""So many batches of each book -> the books in the order in which theirs are read."""


@dataclass(frozen=True)
class Batch:
    """What a book committed."""

    commands: np.ndarray
    events: np.ndarray
    ts_ns: int


@dataclass(frozen=True)
class Saved:
    """A snapshot and where in the journals it stands."""

    snapshot: bytes
    settled: list[int]
    own: int
    """Ops of the accounts' own journal that it holds."""


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
        self.replaced: Counter[Reason] = Counter()
        """What books made of the REPLACEs that looked at their target's leaves."""
        self.saved: list[Saved | None] = [None] * partitions
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
        self.set_profile(account, maker_fee_ppm, taker_fee_ppm, k % 4 << FILL_MODEL_BIT)
        return account

    def set_profile(self, account: int, maker_fee_ppm: int, taker_fee_ppm: int, flags: int) -> None:
        self.own_op(account, lambda ledger: ledger.set_profile(account, maker_fee_ppm, taker_fee_ppm, flags))
        own = self.oracles[account % self.partitions].accounts[account]
        own.maker_fee_ppm, own.taker_fee_ppm, own.flags = maker_fee_ppm, taker_fee_ppm, flags

    def post(self, account: int, asset: int, units: int) -> None:
        """A withdrawal of more than is free must be refused and change nothing."""
        oracle, ledger = self.oracles[account % self.partitions], self.ledgers[account % self.partitions]
        if oracle.balances(account)[asset][0] + units < 0:
            before = ledger.digest()
            with pytest.raises(ValueError, match="free units"):
                ledger.post(account, asset, units, 0)
            assert ledger.digest() == before
            return
        if abs(oracle.balances(EXTERNAL)[asset][0] - units) >= INT_LIMIT // self.partitions:
            with pytest.raises(ValueError, match="would not fit"):
                ledger.post(account, asset, units, 0)
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
        if self.in_flight[book][most - 1 : most] and self.in_flight[book][most - 1]["list_role"] == ListRole.OCO_FIRST:
            most += 1  # a pair is never torn apart
        taken, self.in_flight[book] = self.in_flight[book][:most], self.in_flight[book][most:]
        if not taken:
            return
        self._journal(book, np.array(taken, COMMAND))

    def hear(self, book: int, commands: np.ndarray) -> None:
        """A frame of the feed is a batch of its own."""
        self._journal(book, commands)

    def _journal(self, book: int, commands: np.ndarray) -> None:
        self.ts_ns += 1
        parts = []
        for symbol in np.unique(commands["symbol"]):
            at = np.flatnonzero(commands["symbol"] == symbol)
            events = self.books[symbol].apply(commands[at])
            events["command_index"] = at[events["command_index"]]
            parts.append(events)
        self.journal[book].append(Batch(commands, np.concatenate(parts), self.ts_ns))
        self.note_events(self.journal[book][-1])

    def note_events(self, batch: Batch) -> None:
        self.kinds.update(EventKind(kind) for kind in batch.events["kind"])
        for event in batch.events:
            command = batch.commands[event["command_index"]]
            first = event["order_id"] == command["target_id"] or event["kind"] == EventKind.REJECTED
            if command["kind"] == CommandKind.REPLACE and command["expected_leaves"] >= 0 and first:
                self.replaced[Reason(event["reason"])] += 1

    def follow(self, p: int, book: int) -> bool:
        """Ledger p settles the next batch of the book; False when there is none."""
        at = self.settled[p][book]
        if at == len(self.journal[book]):
            return False
        batch = self.journal[book][at]
        reports = self.ledgers[p].settle(batch.commands, batch.events, batch.ts_ns)
        rows = [Command._make(row) for row in batch.commands.tolist()]
        must = self.oracles[p].settle(rows, (Event._make(row) for row in batch.events.tolist()), batch.ts_ns)
        wrong = self.oracles[p].difference(reports, must)
        assert not wrong, wrong
        self.settled[p][book] += 1
        self.note(reports)
        assert (reports["partition"] == p).all()
        for token, last in reports[["token", "last"]].tolist():
            self.answered[token] += bool(token and last)
            assert token or not last
        self.check_ledger(p)
        return True

    def catch_up(self) -> None:
        """Everything committed is settled everywhere; then the partitions together are looked at."""
        while any(self.follow(p, b) for p in range(self.partitions) for b in range(len(self.journal))):
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

    def send_pair(self, rows: np.ndarray) -> None:
        """COMMAND[2] of which one cancels the other; what is accepted is in flight."""
        self.ts_ns += 1
        rows["token"] = self.token + 1 + np.arange(2)
        self.token += 2
        p = int(rows["account"][0]) % self.partitions
        sent = [Command._make(row) for row in rows.tolist()]
        refused = self.ledgers[p].admit_list(b"", rows, self.ts_ns)
        reasons, accepted = self.oracles[p].admit_pair(sent)
        self.reasons.update(reasons)
        if accepted:
            assert not len(refused)
            assert [Command._make(row) for row in rows.tolist()] == accepted
            self.accepted |= {one.token for one in accepted}
            self.order_ids += [(one.order_id, one.account, one.symbol) for one in accepted]
            self.in_flight[accepted[0].symbol % len(self.in_flight)] += list(rows)
        else:
            assert refused["reason"].tolist() == reasons
        self.check_ledger(p)

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
        assert [[units, 0] for units in totals["outside_market"].tolist()] == oracle.balances(OUTSIDE)

    def check_together(self) -> None:
        assert not sum(ledger.clearing() for ledger in self.ledgers).any()
        totals = [ledger.totals() for ledger in self.ledgers]
        held = sum(one["accounts"] + one["fees"] + one["outside_market"] for one in totals)
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

    # -- recovery -------------------------------------------------------------------------------------------

    def replay(self, p: int, merge: Merge, start: "Saved | None" = None) -> Ledger:
        """A ledger from the journals alone, or from a snapshot and the rest of the journals."""
        if start is None:
            ledger, done, own = Ledger(self.instruments, p, self.partitions), [0] * len(self.journal), 0
        else:
            ledger = Ledger.restore(self.instruments, start.snapshot)
            done, own = list(start.settled), start.own

        def read(until: list[int]) -> None:
            for book in merge([most - at for most, at in zip(until, done, strict=True)]):
                batch = self.journal[book][done[book]]
                ledger.settle(batch.commands, batch.events, batch.ts_ns)
                done[book] += 1

        for positions, op in self.own[p][own:]:
            read(positions)
            op(ledger)
        read(self.settled[p])
        assert done == self.settled[p]
        return ledger

    def save(self, p: int) -> None:
        ledger = self.ledgers[p]
        self.saved[p] = Saved(ledger.snapshot(), list(self.settled[p]), len(self.own[p]))

    def check_replay(self, p: int, *merges: Merge) -> None:
        """However batches of different books interleave, and with commands in flight: the same state."""
        live = self.ledgers[p]
        for merge in merges:
            replayed = self.replay(p, merge)
            assert replayed.digest() == live.digest() == live.settled().digest()
            assert replayed.faults() == []

    def crash(self, p: int, merge: Merge) -> None:
        """The account actor dies with its ledger and what it had sent; another recovers, from a snapshot if any.

        It admits nothing before it has settled everything committed.
        """
        while any(self.follow(p, book) for book in range(len(self.journal))):
            pass
        digest = self.ledgers[p].settled().digest()
        recovered = self.replay(p, merge, self.saved[p])
        assert recovered.digest() == digest
        assert recovered.faults() == []
        assert recovered.drop_pending() == 0
        for queue in self.in_flight:
            lost = [one for one in queue if one["account"] % self.partitions == p]
            queue[:] = [one for one in queue if one["account"] % self.partitions != p]
            self.accepted -= {int(one["token"]) for one in lost}
        self.ledgers[p] = recovered
        self.oracles[p].drop_pending(next_order=int(recovered._arrays.header[H_NEXT_ORDER]))
        for symbol in self.oracles[p].unavailable:
            recovered.set_available(symbol, False)
        self.check_ledger(p)


def one_after_the_other(counts: list[int]) -> Iterator[int]:
    for book, count in enumerate(counts):
        yield from [book] * count


def shuffled(rng: np.random.Generator) -> Merge:
    return lambda counts: iter(rng.permutation(list(one_after_the_other(counts))).tolist())


# -- a crowd of users ---------------------------------------------------------------------------------------

STOPS = (OrdType.STOP_LOSS, OrdType.STOP_LOSS_LIMIT, OrdType.TAKE_PROFIT, OrdType.TAKE_PROFIT_LIMIT)
NO_LIMIT = (OrdType.MARKET, OrdType.STOP_LOSS, OrdType.TAKE_PROFIT)
KIND_SHARES = (0.5, 0.08, 0.3, 0.1, 0.02)
CLIENT_IDS = [b"", b"", b"a", b"b", b"c", b"d", b"a-rather-long-one-0123456789-0123456789", b"\0" * 8 + b"x"]
HOSTILE: dict[str, Sequence[int]] = {
    **dict.fromkeys(("kind", "side", "ord_type", "time_in_force", "stp_mode", "flags"), HOSTILE_BYTES),
    **dict.fromkeys(
        ("order_id", "target_id", "price_ticks", "qty_lots", "quote_units", "expected_leaves"), HOSTILE_INTS
    ),
    **dict.fromkeys(("peg_type", "peg_offset", "list_role", "cancel_restriction"), HOSTILE_BYTES),
    **dict.fromkeys(("stop_price_ticks", "display_lots", "list_id"), HOSTILE_INTS),
    "trailing_bips": (-(1 << 31), -1, 1, 9_999, 10_000, 10_001, (1 << 31) - 1),
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
    venue: float = 0.0
    """How often a real venue is heard instead."""

    def pick(self, values: Sequence[Any]) -> Any:
        return values[self.rng.integers(len(values))]

    def named(self) -> tuple[int, int, int]:
        """An order, mostly one that has not ended; sometimes named by another account or in another symbol."""
        known = [one for oracle in self.world.oracles for one in list(oracle.orders.values())[-10:]]
        if self.rng.random() < 0.8:
            known = [one for one in known if not one.pending]
        if known and self.rng.random() < 0.8:
            one = self.pick(known)
            order_id, account, symbol = one.order_id, one.account, one.symbol
        else:
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
        row["ord_type"] = rng.choice(7, p=(0.5, 0.16, 0.1, 0.06, 0.06, 0.06, 0.06))
        row["time_in_force"] = rng.choice(3, p=(0.7, 0.2, 0.1))
        row["stp_mode"] = rng.integers(6)
        if self.venue:
            row["flags"] = rng.integers(FILL_MODEL_MASK + 1) << FILL_MODEL_BIT
        drawn = sorted(rng.integers(0, len(self.prices), 2))
        row["price_ticks"] = self.prices[drawn[0] if row["side"] == Side.BUY else drawn[1]]
        row["qty_lots"] = self.pick(self.quantities)
        row["client_order_id"] = self.pick(CLIENT_IDS) if rng.random() < 0.5 else b""
        if row["ord_type"] in STOPS:
            row["stop_price_ticks"] = self.pick(self.prices) if rng.random() < 0.8 else 0
            row["trailing_bips"] = self.pick((0, 0, 500, 2000)) if row["stop_price_ticks"] else 1000
        if rng.random() < 0.1:
            row["display_lots"] = min(int(row["qty_lots"]), 1 + int(row["qty_lots"]) // 3)
            row["time_in_force"] = TimeInForce.GTC
        if rng.random() < 0.1:
            row["peg_type"], row["peg_offset"] = 1 + rng.integers(2), rng.integers(2)
            row["price_ticks"] *= rng.integers(2)
        if rng.random() < 0.2:
            self.go_all_in(row)
        if kind == CommandKind.REPLACE:
            row["target_id"] = target
            row["expected_leaves"] = self.pick((-1, -1, -1, -1, 0, *self.quantities))
            order = self.world.oracles[int(row["account"]) % self.world.partitions].orders.get(target)
            if order is not None and rng.random() < 0.7:  # like its target, whose funds it may then borrow
                row["side"], row["ord_type"], row["price_ticks"] = order.side, OrdType.LIMIT, order.price
                row["qty_lots"] = min(order.qty + self.pick((-1, 0, 1)), INT_LIMIT)
        if row["ord_type"] == OrdType.MARKET:
            one = self.world.instruments[int(row["symbol"])]
            amount = int(row["price_ticks"]) * int(row["qty_lots"]) * one.quote_units_per_tick_lot
            row["quote_units"] = min(amount, INT_LIMIT) if rng.random() < 0.5 else 0
            if rng.random() < 0.5:
                row["flags"] |= CommandFlag.BY_QUOTE
                row["qty_lots"] = 0 if rng.random() < 0.6 else row["qty_lots"]

    def go_all_in(self, row: Any) -> None:
        """A limit order for everything that is free."""
        symbol, price = int(row["symbol"]), max(int(row["price_ticks"]), 1)
        oracle, one = self.world.oracles[int(row["account"]) % self.world.partitions], self.world.instruments[symbol]
        buys = row["side"] == Side.BUY
        free = oracle.balances(int(row["account"]))[(oracle.quote if buys else oracle.base)[symbol]][0]
        lots = free // (price * one.quote_units_per_tick_lot if buys else one.base_units_per_lot)
        row["price_ticks"] = price
        row["ord_type"], row["qty_lots"] = OrdType.LIMIT, min(max(lots, 1), one.max_qty_lots)
        row["stop_price_ticks"] = row["trailing_bips"] = row["peg_type"] = row["peg_offset"] = row["display_lots"] = 0

    def pair(self) -> np.ndarray:
        """A far leg and a stop leg, mostly on the right sides of the last price."""
        rng, world = self.rng, self.world
        rows = np.zeros(2, COMMAND)
        symbol = int(rng.integers(len(world.instruments)))
        rows["account"], rows["symbol"], rows["expected_leaves"] = self.pick(world.accounts), symbol, -1
        rows["side"], rows["qty_lots"] = rng.integers(2), self.pick(self.quantities)
        rows["list_role"] = ListRole.OCO_FIRST, ListRole.OCO_SECOND
        last = world.oracles[0].last_price[symbol]
        below = [one for one in self.prices if one < last] or self.prices
        above = [one for one in self.prices if one > last] or self.prices
        far, near = (above, below) if rows["side"][0] == Side.SELL else (below, above)
        rows["ord_type"][0] = self.pick((OrdType.LIMIT_MAKER, OrdType.TAKE_PROFIT, OrdType.TAKE_PROFIT_LIMIT))
        rows["ord_type"][1] = self.pick((OrdType.STOP_LOSS, OrdType.STOP_LOSS_LIMIT))
        rows["price_ticks"] = self.pick(far), self.pick(near)
        rows["stop_price_ticks"] = rows["price_ticks"]
        rows["stop_price_ticks"][0] *= rows["ord_type"][0] != OrdType.LIMIT_MAKER
        rows["price_ticks"] *= np.isin(rows["ord_type"], NO_LIMIT, invert=True)
        for row in rows:
            row["client_order_id"] = self.pick(CLIENT_IDS) if rng.random() < 0.3 else b""
            if rng.random() < 0.2:
                row["peg_type"] = 1 + rng.integers(2)
            if row["ord_type"] in STOPS and rng.random() < 0.2:
                row["trailing_bips"] = 1000
        if rng.random() < self.hostile / 2:
            name = self.pick([one for one in HOSTILE if one != "list_role"])
            rows[name][rng.integers(2)] = self.pick(HOSTILE[name])
        return rows

    def heard(self, symbol: int) -> np.ndarray:
        """What a real venue shows and trades, and times of its own."""
        rng = self.rng
        row = np.zeros(1, COMMAND)[0]
        kinds = range(CommandKind.OUTSIDE_LEVEL, CommandKind.OUTSIDE_STATUS + 1)
        row["kind"] = rng.choice(kinds, p=(0.45, 0.1, 0.41, 0.01, 0.03))
        row["account"], row["symbol"], row["target_id"] = OUTSIDE_ACCOUNT, symbol, 10_000 + rng.integers(1000)
        row["token"] = 1 + rng.integers(5)
        if row["kind"] == CommandKind.OUTSIDE_STATUS:
            row["qty_lots"] = rng.random() < 0.9
        elif row["kind"] != CommandKind.OUTSIDE_CLEAR:
            row["side"] = rng.integers(2)
            drawn = sorted(rng.integers(0, len(self.prices), 2))
            low = (row["side"] == Side.BUY) == (row["kind"] != CommandKind.OUTSIDE_TRADE)
            row["price_ticks"] = self.prices[drawn[0] if low else drawn[1]]
            row["qty_lots"] = 3 * self.pick(self.quantities)
        if row["kind"] == CommandKind.OUTSIDE_LEVEL:
            row["qty_lots"] *= rng.random() < 0.8
            row["flags"] = OUTSIDE_EDGE * (rng.random() < 0.2)
        if rng.random() < self.hostile / 2:
            name = self.pick(("account", "side", "flags", "price_ticks", "qty_lots"))
            row[name] = self.pick(HOSTILE[name])
        return row

    def listen(self) -> None:
        book = int(self.rng.integers(len(self.world.journal)))
        symbols = range(book, len(self.world.instruments), len(self.world.journal))
        rows = [self.heard(self.pick(symbols)) for _ in range(self.rng.integers(1, 9))]
        self.world.hear(book, np.array(rows, COMMAND))

    def commands(self, count: int) -> np.ndarray:
        return np.array([self.command() for _ in range(count)], COMMAND)

    def act(self) -> None:
        """One step of the exchange: mostly commands, sometimes a batch, a deposit, a pause, an outage."""
        rng, world = self.rng, self.world
        draw = rng.random()
        if self.venue and rng.random() < self.venue:
            self.listen()
        elif draw < 0.44:
            world.send(self.commands(int(rng.integers(1, 9))))
        elif draw < 0.5:
            world.send_pair(self.pair())
        elif draw < 0.68:
            world.commit(int(rng.integers(len(world.journal))), int(rng.integers(1, 30)))
        elif draw < 0.88:
            world.follow(int(rng.integers(world.partitions)), int(rng.integers(len(world.journal))))
        elif draw < 0.92:
            self.post()
        elif draw < 0.93:
            world.pause(self.pick(world.accounts), bool(rng.random() < 0.05))
        elif draw < 0.94:
            self.outage(int(rng.integers(len(world.instruments))), bool(rng.random() < 0.05))
        elif draw < 0.942:
            world.crash(int(rng.integers(world.partitions)), shuffled(rng))
        elif draw < 0.944:
            world.save(int(rng.integers(world.partitions)))
        else:
            world.catch_up()

    def post(self) -> None:
        """A deposit or a withdrawal, sometimes of all there is and one more."""
        rng, world = self.rng, self.world
        account, asset = self.pick(world.accounts), int(rng.integers(len(world.ledgers[0].assets)))
        name = world.ledgers[0].assets[asset].name
        largest = ENOUGH[name] // 10 if world.instruments == MARKET else 1 << 50
        units = int(rng.integers(-largest, largest))
        if rng.random() < 0.1:
            units = self.pick((-INT_LIMIT, INT_LIMIT, 1 - INT_LIMIT, -(1 << 63), (1 << 63) - 1, 1 << 70))
        world.post(account, asset, units)

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


def crowd_of(world: World, seed: int, hostile: float = 0.1, venue: float = 0.0) -> Crowd:
    rng = np.random.default_rng(seed)
    if world.instruments == HUGE:
        return Crowd(world, rng, HUGE_PRICES, HUGE_QUANTITIES, hostile)
    return Crowd(world, rng, hostile=hostile, venue=venue)


BY_ACCOUNT = (
    *(Reason(value) for value in range(Reason.UNKNOWN_ACCOUNT, Reason.BOOK_UNAVAILABLE + 1)),
    Reason.MAX_NUM_ALGO_ORDERS,
    Reason.MAX_NUM_ICEBERG_ORDERS,
    Reason.OCO_PAIR_REFUSED,
    Reason.INVALID_COMMAND,
    Reason.UNKNOWN_ORDER,
    Reason.LOT_SIZE,
    Reason.NOTIONAL,
    Reason.ORDER_CHANGED,
)
"""What the ledger refuses commands for."""
TOO_LARGE = (Reason.LOT_SIZE, Reason.NOTIONAL)
TOO_MANY = (Reason.MAX_NUM_ALGO_ORDERS, Reason.MAX_NUM_ICEBERG_ORDERS)

WORLDS = pytest.mark.parametrize(
    ("build", "partitions"), [(market_world, 1), (market_world, 3), (huge_world, 1), (huge_world, 3)]
)


@WORLDS
def test_a_crowd_trades_and_every_law_holds(build: Callable[[int], World], partitions: int) -> None:
    world = build(partitions)
    crowd = crowd_of(world, seed=partitions)
    for _ in range(4000):
        crowd.act()
    world.finish()
    assert all(world.kinds[kind] > 2 for kind in set(EventKind) - {EventKind.QUEUED}), world.kinds
    loans = (Reason.REPLACED, Reason.ORDER_CHANGED, Reason.UNKNOWN_ORDER)
    assert all(world.replaced[reason] > 1 for reason in loans), world.replaced
    rare = {Reason.BOOK_UNAVAILABLE, *(TOO_MANY if build is huge_world else TOO_LARGE)}
    assert set(BY_ACCOUNT) - rare <= set(world.reasons), world.reasons


@pytest.mark.parametrize("partitions", [1, 3])
def test_a_crowd_trades_with_a_venue(partitions: int) -> None:
    """What is traded with the outside is conserved, told at its own time, replayed to the same state."""
    world = market_world(partitions)
    crowd = crowd_of(world, seed=40 + partitions, venue=0.25)
    for step in range(1, 2501):
        crowd.act()
        if step % 250 == 0:
            world.check_replay(step % partitions, one_after_the_other, shuffled(crowd.rng))
    world.finish()
    for p in range(partitions):
        world.check_replay(p, one_after_the_other, shuffled(crowd.rng))
    assert all(world.kinds[kind] > 2 for kind in EventKind), world.kinds
    batches = [batch for journal in world.journal for batch in journal]
    trades = np.concatenate([one.events[one.events["kind"] == EventKind.TRADE] for one in batches])
    taker, maker = (trades[name] == OUTSIDE_ACCOUNT for name in ("account", "maker_account"))
    crossed = taker & ~maker & (trades["order_id"] < 0)
    for kind in (taker & maker, maker & ~taker, crossed, taker & ~maker & ~crossed, ~taker & ~maker):
        assert kind.sum() > 5
    assert sum(ledger.totals()["outside_market"] for ledger in world.ledgers).any()


@WORLDS
def test_a_replay_of_the_journals_is_exact(build: Callable[[int], World], partitions: int) -> None:
    world = build(partitions)
    crowd = crowd_of(world, seed=70 + partitions)
    for step in range(1, 801):
        crowd.act()
        if step % 40 == 0:
            world.check_replay(step % partitions, one_after_the_other, shuffled(crowd.rng))
    world.finish()
    for p in range(partitions):
        world.check_replay(p, one_after_the_other, shuffled(crowd.rng))


class LedgersAndBooks(RuleBasedStateMachine):
    """The same by rules, so that what fails becomes a short story."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(MARKET, 1)

    accounts = st.integers(0, 2)
    sides = st.sampled_from(Side)
    symbols = st.integers(0, 2)
    back = st.integers(1, 6)
    numbers = st.sampled_from((*QUANTITIES, *HOSTILE_INTS))

    @initialize(partitions=st.sampled_from((1, 3)))
    def begin(self, partitions: int) -> None:
        self.world = market_world(partitions, users=3)
        self.rows: list[Any] = []

    def row(self, kind: CommandKind, account: int, symbol: int, **fields: Any) -> None:
        row = np.zeros(1, COMMAND)[0]
        given = {"kind": kind, "account": self.world.accounts[account], "symbol": symbol, "expected_leaves": -1}
        for name, value in (given | fields).items():
            row[name] = value
        self.rows.append(row)

    def named(self, back: int) -> int:
        known = self.world.order_ids[-back:]
        return known[0][0] if known else 1

    @rule(
        account=accounts,
        side=sides,
        symbol=symbols,
        price=st.integers(8, 12),
        qty=st.integers(1, 30),
        ord_type=st.sampled_from(OrdType),
        tif=st.sampled_from(TimeInForce),
        stp=st.sampled_from(StpMode),
        client_id=st.sampled_from(CLIENT_IDS),
    )
    def place(
        self,
        account: int,
        side: int,
        symbol: int,
        price: int,
        qty: int,
        ord_type: int,
        tif: int,
        stp: int,
        client_id: bytes,
    ) -> None:
        self.row(
            CommandKind.NEW,
            account,
            symbol,
            side=side,
            price_ticks=price,
            qty_lots=qty,
            ord_type=ord_type,
            time_in_force=tif,
            stp_mode=stp,
            client_order_id=client_id,
        )

    @rule(account=accounts, side=sides, symbol=symbols, far=st.integers(6, 14), stop=st.integers(6, 14),
          qty=st.integers(1, 30), limited=st.booleans())  # fmt: skip
    def place_pair(self, account: int, side: int, symbol: int, far: int, stop: int, qty: int, limited: bool) -> None:
        self.send()
        types = OrdType.LIMIT_MAKER, OrdType.STOP_LOSS_LIMIT if limited else OrdType.STOP_LOSS
        for role, ord_type, price in zip((ListRole.OCO_FIRST, ListRole.OCO_SECOND), types, (far, stop), strict=True):
            self.row(
                CommandKind.NEW, account, symbol, side=side, ord_type=ord_type, qty_lots=qty, list_role=role,
                price_ticks=price if limited or role == ListRole.OCO_FIRST else 0,
                stop_price_ticks=stop if role == ListRole.OCO_SECOND else 0,
            )  # fmt: skip
        rows, self.rows = self.rows, []
        self.world.send_pair(np.array(rows, COMMAND))

    @rule(stop=st.integers(6, 14), bips=st.sampled_from((0, 0, 10, 2000)), peg=st.sampled_from((0, 0, 1, 2)))
    def make_last_a_stop(self, stop: int, bips: int, peg: int) -> None:
        if self.rows and self.rows[-1]["ord_type"] in STOPS:
            self.rows[-1]["stop_price_ticks"], self.rows[-1]["trailing_bips"] = stop, bips
            self.rows[-1]["peg_type"] = peg

    @rule(back=back, expected=st.sampled_from((-1, -1, 1, 2, 6)))
    def make_last_a_replace(self, back: int, expected: int) -> None:
        if self.rows and self.rows[-1]["kind"] == CommandKind.NEW:
            self.rows[-1]["kind"] = CommandKind.REPLACE
            self.rows[-1]["target_id"] = self.named(back)
            self.rows[-1]["expected_leaves"] = expected

    @rule(amount=st.integers(0, 40_000), capped=st.booleans())
    def make_last_by_quote(self, amount: int, capped: bool) -> None:
        if self.rows and self.rows[-1]["ord_type"] == OrdType.MARKET:
            self.rows[-1]["flags"] = CommandFlag.BY_QUOTE
            self.rows[-1]["quote_units"] = amount
            self.rows[-1]["qty_lots"] *= capped

    @rule(name=st.sampled_from(list(HOSTILE)), at=st.integers(0, 10))
    def make_last_hostile(self, name: str, at: int) -> None:
        if self.rows:
            self.rows[-1][name] = HOSTILE[name][at % len(HOSTILE[name])]

    @rule(account=accounts, symbol=st.integers(-1, 2), back=back)
    def cancel(self, account: int, symbol: int, back: int) -> None:
        self.row(CommandKind.CANCEL, account, symbol, order_id=self.named(back))

    @rule(account=accounts, back=back, total=numbers)
    def amend(self, account: int, back: int, total: int) -> None:
        self.row(CommandKind.AMEND, account, -1, order_id=self.named(back), qty_lots=total)

    @rule(account=accounts, client_id=st.sampled_from(CLIENT_IDS))
    def cancel_by_client_id(self, account: int, client_id: bytes) -> None:
        flags = CommandFlag.BY_CLIENT_ORDER_ID
        self.row(CommandKind.CANCEL, account, -1, flags=flags, client_order_id=client_id)

    @rule(account=accounts, symbol=symbols, order_id=numbers)
    def cancel_all(self, account: int, symbol: int, order_id: int) -> None:
        self.row(CommandKind.CANCEL_ALL, account, symbol, order_id=order_id)

    @rule()
    def send(self) -> None:
        rows, self.rows = self.rows, []
        if rows:
            self.world.send(np.array(rows, COMMAND))

    @rule(book=st.integers(0, 1), most=st.integers(1, 4))
    def commit(self, book: int, most: int) -> None:
        self.send()
        self.world.commit(book, most)

    @rule(p=st.integers(0, 2), book=st.integers(0, 1))
    def follow(self, p: int, book: int) -> None:
        self.world.follow(p % self.world.partitions, book)

    @rule()
    def catch_up(self) -> None:
        self.world.catch_up()

    @rule(account=accounts, asset=st.integers(0, 2), part=st.integers(-4, 4))
    def post(self, account: int, asset: int, part: int) -> None:
        held = int(self.world.oracles[0].balances(self.world.accounts[0])[asset][0])
        self.world.post(self.world.accounts[account], asset, held * part // 4)

    @rule(account=accounts, paused=st.booleans())
    def pause(self, account: int, paused: bool) -> None:
        self.world.pause(self.world.accounts[account], paused)

    @rule(p=st.integers(0, 2))
    def save(self, p: int) -> None:
        self.world.save(p % self.world.partitions)

    @rule(p=st.integers(0, 2))
    def crash(self, p: int) -> None:
        self.world.crash(p % self.world.partitions, one_after_the_other)

    def teardown(self) -> None:
        self.send()
        self.world.finish()
        for p in range(self.world.partitions):
            self.world.check_replay(p, one_after_the_other)


TestLedgersAndBooks = LedgersAndBooks.TestCase
TestLedgersAndBooks.settings = settings(
    max_examples=60,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


# -- snapshots ----------------------------------------------------------------------------------------------


def lively_world(partitions: int, seed: int, steps: int = 300) -> tuple[World, Crowd]:
    world = market_world(partitions)
    crowd = crowd_of(world, seed)
    for _ in range(steps):
        crowd.act()
    world.finish()
    return world, crowd


@pytest.mark.parametrize("partitions", [1, 3])
def test_a_restored_ledger_goes_on_the_same(partitions: int) -> None:
    """Restored when nothing is in flight, it answers every later command and batch with the same bytes."""
    world, crowd = lively_world(partitions, seed=5)
    for p in range(partitions):
        live, restored = world.ledgers[p], Ledger.restore(MARKET, world.ledgers[p].snapshot())
        restored_books = [Book.restore(book.instrument, k, book.snapshot()) for k, book in enumerate(world.books)]
        assert restored.digest() == live.digest()
        assert restored.snapshot() == live.snapshot()
        assert restored.faults() == []
        for symbol in world.oracles[p].unavailable:
            restored.set_available(symbol, False)
        for ts_ns in range(60):
            rows = crowd.commands(6)
            told = [
                round_trip(ledger, books, rows, ts_ns)
                for ledger, books in ((live, world.books), (restored, restored_books))
            ]
            assert told[0] == told[1]
            assert restored.digest() == live.digest()
        for account in live.accounts():
            assert restored.open_orders(account).tobytes() == live.open_orders(account).tobytes()
            assert restored.open_symbols(account) == live.open_symbols(account)


def round_trip(ledger: Ledger, books: list[Book], rows: np.ndarray, ts_ns: int) -> list[bytes]:
    """Everything one ledger says of commands and of their events."""
    accepted, refused = ledger.admit(rows.copy(), ts_ns)
    said = [accepted.tobytes(), refused.tobytes()]
    for symbol in np.unique(accepted["symbol"]):
        own = accepted[accepted["symbol"] == symbol]
        said.append(ledger.settle(own, books[symbol].apply(own), ts_ns).tobytes())
    return said


SNAPSHOT_HEAD = 500
"""Bytes; what a snapshot says of itself is shorter."""


def test_a_damaged_snapshot_is_refused() -> None:
    world, _ = lively_world(1, seed=6, steps=120)
    data = world.ledgers[0].snapshot()
    rng = np.random.default_rng(3)
    for at in [*range(SNAPSHOT_HEAD), *rng.integers(0, len(data), 300).tolist()]:
        damaged = bytearray(data)
        damaged[at] ^= 1 << int(rng.integers(8))
        with pytest.raises(ValueError, match="snapshot"):
            Ledger.restore(MARKET, bytes(damaged))
    for length in [*range(SNAPSHOT_HEAD), *rng.integers(0, len(data), 50).tolist(), len(data) - 1]:
        with pytest.raises(ValueError, match="snapshot"):
            Ledger.restore(MARKET, data[:length])
    with pytest.raises(ValueError, match="snapshot"):
        Ledger.restore(MARKET, data + b"\0")
    assert Ledger.restore(MARKET, data).digest() == world.ledgers[0].digest()


DIGEST_OF_A_CROWD = """
import zlib
from tests.property.test_ledger import crowd_of, huge_world, market_world
for build in (market_world, huge_world):
    world = build(3)
    crowd = crowd_of(world, seed=9)
    for _ in range(300):
        crowd.act()
    for ledger in world.ledgers:
        print(ledger.digest(), zlib.crc32(ledger.snapshot()), ledger.live_orders)
"""


def test_the_digest_does_not_depend_on_the_hash_seed() -> None:
    root = Path(__file__).parents[2]
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", DIGEST_OF_A_CROWD],
            cwd=root,
            env=os.environ | {"PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "4242")
    ]
    first, second = (run.communicate(timeout=120)[0] for run in runs)
    assert [run.returncode for run in runs] == [0, 0]
    assert first == second
    assert len(first.split()) == 3 * 6


# -- arithmetic ---------------------------------------------------------------------------------------------


@njit
def compiled_mul_div(a: int, b: int, c: int) -> int:
    return mul_div(a, b, c)


def test_mul_div_is_exact() -> None:
    rng = np.random.default_rng(1)
    edges = [0, 1, 2, 3, (1 << 31) - 1, 1 << 31, 1 << 32, (1 << 32) + 1, (1 << 61) + 1, INT_LIMIT - 2, INT_LIMIT - 1]
    cases = [(a, b, c) for a in edges for b in edges for c in edges if 0 < c >= b]
    for _ in range(3000):
        c = 1 + int(rng.integers(INT_LIMIT >> int(rng.integers(60))))
        cases.append((int(rng.integers(INT_LIMIT >> int(rng.integers(60)))), int(rng.integers(c + 1)), c))
    for a, b, c in cases:
        assert compiled_mul_div(a, b, c) == a * b // c
