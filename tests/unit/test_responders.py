"""A replay's book waits for the accounts that answer what happens, and stops where one waits for a time."""

from typing import Any, Final

import numpy as np

from actors.book_inbox import OUTSIDE, PATIENCE, Inbox, Told
from actors.responders import Seen, apply_until_answered
from actors.wire import NEVER, Hello
from market.book import Book, Books
from market.clock import MarketClock
from market.enums import CommandKind, EventKind, OrdType, Side, TimeInForce
from market.numbering import OUTSIDE_ACCOUNT
from market.records import COMMAND, Records
from market.universe import instruments

START: Final = 1_780_000_000_000_000_000
PAIR: Final = instruments(1)[0]
PRICE: Final = PAIR.start_price_ticks
USER: Final = 40
LOTS: Final = 1000


class Link:
    is_open = True

    def __init__(self) -> None:
        self.told: list[Any] = []

    def send(self, kind: int, body: bytes) -> None:
        self.told.append((kind, body))

    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def close(self) -> None: ...


class Replay:
    """A book's inbox between a feed and an account partition, and the batches taken from it."""

    def __init__(self) -> None:
        self.inbox = Inbox(1, MarketClock())
        self.feed: Any = Link()
        self.account: Any = Link()
        self.inbox.admit(self.feed, Hello("outside", "feed", OUTSIDE, 1))
        self.inbox.admit(self.account, Hello("account", "account-0", 0, 1))
        self.seq = 0
        self.ts_ns = START
        self._ids = {OUTSIDE: 0, 0: 0}
        self.hear()
        self.step()
        self.feed.told.clear()

    def hear(self, *at: int, until: int = 0) -> None:
        """One command of the venue at each time after the start, and the time after them."""
        self.inbox.put(self.feed, self._numbered(OUTSIDE, levels(*at)), Told(START + max((*at, until)), 0.0))

    def send(self, n: int = 1) -> None:
        rows = np.zeros(n, COMMAND)
        rows["account"], rows["kind"] = USER, CommandKind.CANCEL
        self.inbox.put(self.account, self._numbered(0, rows))

    def see(self, due: int | None = None, answers: bool = False) -> None:
        self.inbox.saw(self.account, Seen(self.seq, NEVER if due is None else START + due, answers))

    def _numbered(self, sender: int, rows: Records) -> Records:
        first = self._ids[sender] + 1
        self._ids[sender] += len(rows)
        rows["command_id"] = np.arange(first, first + len(rows))
        return rows

    def step(self, n: int | None = None) -> tuple[list[int], int] | None:
        """What is taken next: the venue's times in it (0: an account's command), and what time it is then; None: nothing is.

        `n`: only so many of its commands are matched."""
        if not self.inbox.has_next(self.seq):
            return None
        taken = self.inbox.take(self.seq, self.ts_ns)
        n = len(taken.commands) if n is None else n
        feed = self.inbox.took(taken, n)
        assert self.inbox.clock is not None
        now_ns = self.inbox.clock.now(0)
        if n or taken.wakes:
            self.seq += 1
            self.ts_ns = now_ns
        if feed is not None:
            self.inbox.acknowledge(feed)
        times = [int(one["target_id"] - START) if one["target_id"] else 0 for one in taken.commands[:n]]
        return times, now_ns - START


def levels(*at: int, price: int = PRICE, side: Side = Side.BUY, qty: int = 5 * LOTS) -> Records:
    rows = np.zeros(len(at), COMMAND)
    rows["kind"], rows["account"], rows["side"] = CommandKind.OUTSIDE_LEVEL, OUTSIDE_ACCOUNT, side
    rows["price_ticks"], rows["qty_lots"], rows["target_id"] = price, qty, START + np.array(at, np.int64)
    return rows


def test_where_nobody_answers_the_market_does_not_wait() -> None:
    world = Replay()
    world.hear(1, 2, 3)
    world.hear(4)
    world.send()
    assert [world.step() for _ in range(4)] == [([0], 0), ([1, 2, 3], 3), ([4], 4), None]
    assert len(world.feed.told) == 2
    assert len(world.inbox) == 0


def test_the_market_waits_until_who_answers_has_seen_what_was_told() -> None:
    world = Replay()
    world.see(answers=True)
    world.hear(1, 2, 3, 4)
    assert world.step(2) == ([1, 2], 2), "the second touched a user"
    assert world.step() is None
    assert world.feed.told == []
    world.send()
    world.see(answers=True)
    assert world.step() == ([0], 2), "its answer is of the time of what it answers"
    assert world.step() is None
    world.see()
    assert world.step() == ([3, 4], 4)
    assert len(world.feed.told) == 1
    assert world.inbox.watermarks == {OUTSIDE: 4, 0: 1}


def test_a_frame_is_cut_at_the_times_that_somebody_waits_for() -> None:
    world = Replay()
    world.see(due=25)
    world.hear(10, 20, 30, 40)
    world.hear(until=100)
    assert world.step() == ([10, 20], 25)
    assert world.step() is None
    assert len(world.inbox.take(world.seq, world.ts_ns).commands) == 0, "somebody else woke the book"
    world.send()
    world.see(due=50)
    assert world.step() == ([0], 25)
    world.see(due=50)
    assert world.step() == ([30, 40], 40)
    world.see(due=50)
    assert world.step() == ([], 50), "a batch without commands: nothing but the time"
    world.see()
    assert world.step() == ([], 100)
    assert world.step() is None
    assert len(world.feed.told) == 2


def test_followers_are_told_where_the_market_comes_to_stand() -> None:
    world = Replay()
    world.hear(10)
    world.hear(until=50)
    world.hear(until=50)
    seqs = []
    while world.step() is not None:
        seqs.append((world.seq, world.ts_ns - START))
    assert seqs == [(1, 10), (2, 50), (2, 50)]


def test_who_answered_for_the_last_time_is_heard_first() -> None:
    world = Replay()
    world.see(due=25)
    world.hear(10, 30)
    assert world.step() == ([10], 25)
    assert len(world.inbox.take(world.seq, world.ts_ns).commands) == 0, "somebody else woke the book"
    world.send()
    world.see()
    assert [world.step() for _ in range(3)] == [([0], 25), ([30], 30), None]


def test_who_is_gone_is_not_waited_for() -> None:
    world = Replay()
    world.see(due=25, answers=True)
    world.hear(10, 30)
    assert world.step() == ([10], 25)
    assert world.step() is None
    world.inbox.left(world.account)
    assert world.step() == ([30], 30)


def test_a_flood_of_commands_does_not_stop_the_market() -> None:
    world = Replay()
    world.see(answers=True)
    world.hear(10)
    taken = []
    while not taken or taken[-1] != ([10], 10):
        world.send()
        taken.append(world.step())
        assert len(taken) <= PATIENCE + 1
    assert len(taken) == PATIENCE + 1


def test_a_new_feed_goes_on_after_the_piece_that_was_taken() -> None:
    world = Replay()
    world.see(answers=True)
    world.hear(1, 2, 3)
    assert world.step(1) == ([1], 1)
    world.see()
    world.feed = Link()
    world.inbox.admit(world.feed, Hello("outside", "feed", OUTSIDE, 2))
    rest = levels(2, 3)
    rest["command_id"] = (2, 3)
    world.inbox.put(world.feed, rest, Told(START + 3, 0.0))
    assert world.step() == ([], 1), "of the old one"
    assert world.step() == ([2, 3], 3)
    assert len(world.inbox) == 0


def test_matching_stops_after_the_message_that_touched_a_user() -> None:
    book = Book(PAIR, 0)
    order = np.zeros(1, COMMAND)
    order["kind"], order["account"], order["order_id"] = CommandKind.NEW, USER, 7
    order["side"], order["price_ticks"], order["qty_lots"] = Side.BUY, PRICE, LOTS
    order["ord_type"], order["time_in_force"] = OrdType.LIMIT, TimeInForce.GTC
    book.apply(order)
    heard = np.concatenate(
        (
            levels(1, 1, price=PRICE + 5, side=Side.SELL),
            levels(2, price=PRICE, side=Side.SELL),
            levels(2, price=PRICE + 3, side=Side.SELL),
            levels(3, price=PRICE + 2, side=Side.SELL),
        )
    )
    n, events = apply_until_answered(Books({0: book}), heard)
    assert n == 4
    trades = events[events["kind"] == EventKind.TRADE]
    assert trades[["maker_order_id", "command_index"]].tolist() == [(7, 2)]
    n, _ = apply_until_answered(Books({0: book}), heard[4:])
    assert n == 1
