"""A recorded market through the hybrid book, and a trader in it: what he gets is what the venue had.

Everything is checked against plain bookkeeping kept here from the recorded frames, with neither decoder nor `Reference`.
"""

import io
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import groupby
from random import Random
from typing import Any, Final

import msgspec
import numpy as np
import pytest

from market.book import Book
from market.enums import FILL_MODEL_BIT, CommandKind, EventKind, FillModel, OrdType, Side, TimeInForce
from market.imports import hftbacktest
from market.numbering import OUTSIDE_ACCOUNT
from market.recording import Entry, Header, Reader, Writer
from market.replay import Recorded, Replay
from market.venues.events import Steps
from tests.reference.build import REALISTIC, SYMBOL_ID, cancel, commands, limit, market
from tests.unit.venue_recordings import recording

NAMES: Final = ("spot_btcusdt_20240808.gz", "spot_btcusdt_20240809.gz")
STEPS: Final = Steps(Decimal("0.01"), Decimal("0.00001"))
EVERYTHING: Final = 1 << 40
RESTING, TAKING = 1, 2
"""Accounts of the trader."""
MOST_OPEN: Final = 60


def reader_of(name: str) -> Reader:
    file = io.BytesIO()
    writer = Writer.create(file, Header(venue="binance", symbols={"BTCUSDT": STEPS}, created_ns=0, source=name))
    with recording(f"hftbacktest/{name}").open("rb") as packed:
        for entry in hftbacktest.entries(name, packed, "BTCUSDT"):
            writer.entry(entry)
    writer.close()
    return Reader(file)


@pytest.fixture(scope="module")
def readers() -> list[Reader]:
    return [reader_of(name) for name in NAMES]


def steps(text: str, digits: int) -> int:
    """Of the venue's texts, which have eight places; a few quantities are no whole lots and are rounded down."""
    assert text[-9] == "."
    return int(int(text.replace(".", "")) // 10 ** (8 - digits))


def levels(pairs: list[list[str]]) -> dict[int, int]:
    return {steps(price, 2): steps(lots, 5) for price, lots in pairs}


Print = tuple[Side, int, int]
"""The taker's side, price, quantity."""


class VenueTruth:
    """The venue's book by the recorded frames: the depth, and every best bid and ask told since."""

    def __init__(self) -> None:
        self.depth: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.shown: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.best = [0, 0]
        self.seq = 0
        self.quote: Any = None
        self.waiting: list[Any] = []
        self.updated = False

    def hear(self, entry: Entry) -> Print | None:
        said = msgspec.json.decode(entry.body)
        if "lastUpdateId" in said:
            self.depth, self.seq = (levels(said["bids"]), levels(said["asks"])), said["lastUpdateId"]
            waiting, self.waiting = self.waiting, []
            for one in waiting:
                self._change(one)
            self._show()
            return None
        told = said["data"]
        if said["stream"].endswith("@trade"):
            return Side.SELL if told["m"] else Side.BUY, steps(told["p"], 2), steps(told["q"], 5)
        if said["stream"].endswith("@bookTicker"):
            if self.seq and told["u"] > self.seq:
                self.quote = told
                self._overlay()
        elif self.seq:
            self._change(told)
            self._show()
        else:
            self.waiting.append(told)
        return None

    def _change(self, told: Any) -> None:
        if told["u"] <= self.seq:
            return
        for side, pairs in zip(self.depth, (told["b"], told["a"]), strict=True):
            side.update(levels(pairs))
            for price in [price for price, lots in side.items() if not lots]:
                del side[price]
        self.seq = told["u"]

    def _show(self) -> None:
        self.updated = True
        self.shown = (dict(self.depth[0]), dict(self.depth[1]))
        self.best = [max(self.depth[0]), min(self.depth[1])]
        if self.quote is not None and self.quote["u"] > self.seq:
            self._overlay()

    def _overlay(self) -> None:
        for side, price, lots in ((Side.BUY, "b", "B"), (Side.SELL, "a", "A")):
            best, shown = steps(self.quote[price], 2), self.shown[side]
            if is_worse(side, best, self.best[side]):
                for one in [one for one in shown if is_worse(side, best, one)]:
                    del shown[one]
            shown[best] = steps(self.quote[lots], 5)
            self.best[side] = best

    def lots_at(self, side: Side, price: int) -> int:
        return self.shown[side].get(price, 0)

    def touch(self, side: Side) -> int:
        return self.best[side]


def is_worse(side: Side, price: int, than: int) -> bool:
    return price < than if side is Side.BUY else price > than


def other(side: Side) -> Side:
    return Side.SELL if side is Side.BUY else Side.BUY


@dataclass
class Order:
    side: Side
    price: int
    model: FillModel
    ahead: int = 0
    """On entry."""
    printed: int = 0
    """At its price since, and what the trader took there."""
    canceled: int = 0
    """By so much the venue's quantity there fell since."""
    figures: tuple[int, int, int] = (0, 0, 0)
    """Ahead, by trades, by cancels, as told last."""


@dataclass
class Trader:
    """Orders at and behind the touch of both sides, and orders that take."""

    random: Random
    open: dict[int, Order] = field(default_factory=dict)
    last_id: int = 0

    def act(self, venue: VenueTruth) -> dict[str, Any]:
        side = self.random.choice((Side.BUY, Side.SELL))
        lots = int(10 ** self.random.uniform(3, 5.6))
        if len(self.open) >= MOST_OPEN:
            return cancel(self.random.choice(list(self.open)), RESTING)
        self.last_id += 1
        kind = self.random.random()
        if kind < 0.15:
            return market(self.last_id, TAKING, side, lots)
        if kind < 0.3:
            price = venue.touch(other(side)) + self.random.randint(-1, 60) * (1 if side is Side.BUY else -1)
            return limit(self.last_id, TAKING, side, lots, price, TimeInForce.IOC)
        model = self.random.choice(list(FillModel))
        price = self.price(venue, side)
        self.open[self.last_id] = Order(side, price, model)
        return limit(self.last_id, RESTING, side, lots, price, flags=model << FILL_MODEL_BIT)

    def price(self, venue: VenueTruth, side: Side) -> int:
        """The touch, or a level not far behind it."""
        touch = venue.touch(side)
        if self.random.random() < 0.5:
            return touch
        behind = sorted(
            (one for one in venue.shown[side] if is_worse(side, one, touch)), key=lambda one: abs(one - touch)
        )
        return self.random.choice(behind[:5])


class Checked:
    """A trader's run and what must hold in it."""

    def __init__(self, readers: list[Reader], trader: Trader | None, every: int = 40) -> None:
        self.readers = readers
        self.book = Book(REALISTIC, SYMBOL_ID)
        self.replay = Replay([Recorded({"BTCUSDT": SYMBOL_ID}, one) for one in readers])
        self.venue = VenueTruth()
        self.trader = trader
        self.every = every
        self.taken: dict[tuple[Side, int], int] = defaultdict(int)
        """Of what the venue shows there now."""
        self.lots: dict[tuple[Side, int], int] = {}
        """Shown before, at the prices where something depends on it."""
        self.updates = 0
        self.counts: dict[str, int] = defaultdict(int)

    def run(self) -> None:
        entries = (entry for reader in self.readers for entry in reader.entries())
        for number, (arrival_ns, group) in enumerate(groupby(entries, key=lambda one: one.arrival_ns)):
            self._hear(arrival_ns, list(group))
            if self.trader is not None and self.venue.seq and number % self.every == 0:
                self._act(self.trader)
        assert self.replay.at_end

    def _hear(self, arrival_ns: int, group: list[Entry]) -> None:
        self.venue.updated = False
        prints = [told for entry in group if (told := self.venue.hear(entry)) is not None]
        rows = self.replay.read(arrival_ns, EVERYTHING)
        if self.trader is None:
            assert not any(self.book.apply(rows)["kind"] == EventKind.REJECTED)
        else:
            # One after another: the venue's book is known after each group alone, its prints one by one.
            printed = iter(prints)
            self._note_levels()
            for at in range(len(rows)):
                row = rows[at : at + 1]
                told = next(printed) if row["kind"][0] == CommandKind.OUTSIDE_TRADE else None
                self._venue_event(row[0], told, self.book.apply(row))
            self._forget_taken()
        if self.venue.updated:
            self.updates += 1
            if self.trader is None or self.updates % 20 == 0:
                self._compare()

    def _compare(self) -> None:
        """The outside book is the recorded one, at every level."""
        self.counts["compared"] += 1
        outside = self.book.outside()
        for side in Side:
            of_side = outside[outside["side"] == side]
            found = dict(zip(of_side["price_ticks"].tolist(), of_side["shown_lots"].tolist(), strict=True))
            assert found == self.venue.shown[side]
        assert (outside["taken_lots"] <= outside["shown_lots"]).all()
        if self.trader is None:
            assert not outside["taken_lots"].any()

    # What the trader had before: quantities at his prices, so that what went from there is known

    def _watched(self) -> Iterator[tuple[Side, int]]:
        assert self.trader is not None
        yield from {(one.side, one.price) for one in self.trader.open.values()} | set(self.taken)

    def _note_levels(self) -> None:
        for place in self._watched():
            now = self.venue.lots_at(*place)
            gone = self.lots.get(place, now) - now
            self.lots[place] = now
            if gone > 0 and self.trader is not None:
                for order in self.trader.open.values():
                    if (order.side, order.price) == place:
                        order.canceled += gone

    def _forget_taken(self) -> None:
        for place in list(self.taken):
            shown = self.venue.lots_at(*place)
            self.taken[place] = min(self.taken[place], shown)
            if not self.taken[place]:
                del self.taken[place]

    # What the venue's commands cause

    def _venue_event(self, row: np.void, told: Print | None, events: np.ndarray) -> None:
        trader = self.trader
        assert trader is not None
        if told is not None:
            assert (row["side"], row["price_ticks"], row["qty_lots"]) == told
            for order in trader.open.values():
                if order.price == told[1] and order.side is other(told[0]):
                    order.printed += told[2]
                elif order.side is other(told[0]) and is_worse(order.side, told[1], order.price):
                    order.printed += order.ahead  # through its price: whatever stood before it was met
        else:
            place = (Side(int(row["side"])), int(row["price_ticks"]))
            if place in self.taken:
                self.taken[place] = min(self.taken[place], int(row["qty_lots"]))
        filled = 0
        for event in events:
            assert event["kind"] != EventKind.REJECTED
            if event["kind"] == EventKind.QUEUED:
                self._queued(event)
            elif event["kind"] == EventKind.TRADE and event["maker_order_id"] > 0:
                filled += self._made(event, row, told)
            elif event["kind"] == EventKind.TRADE and event["order_id"] > 0:  # O2e is told with the outside as taker
                raise AssertionError("nobody took")
        if told is not None:
            assert filled <= told[2]

    def _queued(self, event: np.void) -> None:
        assert self.trader is not None
        order = self.trader.open[int(event["order_id"])]
        ahead, by_trades = int(event["quote_units"]), int(event["maker_leaves_lots"])
        order.figures = (ahead, by_trades, int(event["qty_lots"]) - ahead - by_trades)

    def _made(self, event: np.void, row: np.void, told: Print | None) -> int:
        """A resting order of the trader's was filled by the venue."""
        assert self.trader is not None
        number, lots, price = int(event["maker_order_id"]), int(event["qty_lots"]), int(event["price_ticks"])
        order = self.trader.open[number]
        assert price == order.price
        if told is None:
            self._met(order, lots, int(event["order_id"]), int(row["qty_lots"]))
        else:
            taker, at, _ = told
            assert taker is other(order.side)
            assert at == price or is_worse(order.side, at, price)
            if at == price:
                self._consumed(order)
            self.counts["by a print at the price" if at == price else "by a print through"] += 1
        if event["maker_leaves_lots"] == 0:
            del self.trader.open[number]
        return lots

    def _met(self, order: Order, lots: int, level_id: int, shown: int) -> None:
        """The venue's other side came to it, with no more than it shows."""
        self.counts["by a quote"] += 1
        price, code = divmod(-level_id, 2)
        side = other(order.side)
        assert code == side
        assert not is_worse(side, price, order.price)
        assert self.venue.lots_at(side, price) == shown
        self.taken[side, price] += lots
        self.lots[side, price] = shown
        assert self.taken[side, price] <= shown

    def _consumed(self, order: Order) -> None:
        """No fill before the queue ahead was consumed, by prints and cancels that there were."""
        ahead, by_trades, by_cancels = order.figures
        assert order.model is not FillModel.THROUGH
        assert ahead == 0
        assert by_trades + by_cancels == order.ahead
        assert by_trades <= order.printed
        assert by_cancels <= order.canceled
        self.counts["had waited"] += order.ahead > 0

    # What the trader's commands cause

    def _act(self, trader: Trader) -> None:
        row = trader.act(self.venue)
        is_cancel = row.get("kind") == CommandKind.CANCEL
        shown_before = {side: self.venue.touch(side) for side in Side}
        events = self.book.apply(commands([row]))
        number = int(row["order_id"])
        if not is_cancel and number in trader.open:
            order = trader.open[number]
            self.lots[order.side, order.price] = self.venue.lots_at(order.side, order.price)
        for event in events:
            if event["kind"] == EventKind.TRADE and event["maker_account"] == OUTSIDE_ACCOUNT:
                self._took(event, shown_before)
            elif event["kind"] == EventKind.TRADE and event["maker_leaves_lots"] == 0:
                del trader.open[int(event["maker_order_id"])]
            elif event["kind"] == EventKind.QUEUED and event["order_id"] == number:
                self._joined(event, trader.open[number])
            elif event["kind"] == EventKind.QUEUED:
                self._queued(event)
        rests = row.get("ord_type", OrdType.LIMIT) == OrdType.LIMIT and not row.get("time_in_force")
        leaves = int(events[-1]["leaves_lots"]) if not is_cancel else 0
        if is_cancel or not rests or leaves == 0 or events[-1]["kind"] == EventKind.REJECTED:
            trader.open.pop(number, None)

    def _took(self, event: np.void, touch: dict[Side, int]) -> None:
        """No better than the venue's best, and never more than it shows."""
        side, price, lots = other(Side(int(event["side"]))), int(event["price_ticks"]), int(event["qty_lots"])
        assert price == touch[side] or is_worse(side, price, touch[side])
        self.taken[side, price] += lots
        self.lots[side, price] = self.venue.lots_at(side, price)
        assert self.taken[side, price] <= self.venue.lots_at(side, price)
        self.counts["taken"] += 1
        assert self.trader is not None
        for order in self.trader.open.values():
            if (order.side, order.price) == (side, price):
                order.printed += lots

    def _joined(self, event: np.void, order: Order) -> None:
        """Behind all that stands there."""
        self._queued(event)
        order.ahead = int(event["qty_lots"])
        place = (order.side, order.price)
        stands = self.venue.lots_at(*place) - self.taken.get(place, 0)
        assert order.ahead == (0 if order.model is FillModel.TOUCH else stands)
        self.counts["joined"] += 1


def test_the_outside_book_is_the_recorded_one(readers: list[Reader]) -> None:
    checked = Checked(readers, None)
    checked.run()
    assert checked.counts["compared"] > 5_000


@pytest.mark.parametrize("seed", [1, 2])
def test_fills_are_what_the_venue_had(readers: list[Reader], seed: int) -> None:
    checked = Checked(readers, Trader(Random(seed)))
    checked.run()
    assert min(checked.counts[one] for one in ("taken", "joined", "by a print at the price", "by a print through")) > 50
    assert checked.counts["by a quote"] > 10
    assert checked.counts["had waited"] > 20
