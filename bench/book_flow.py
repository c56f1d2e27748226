"""Seeded flows of orders for one symbol, and the plain Python book they are made with, which is measured too.

A flow never names an order that is gone: what each operation finds is known while it is made.
"""

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from market.enums import CommandKind, Side, TimeInForce
from market.records import COMMAND, Records

ADD: Final = 0
CANCEL: Final = 1
TAKE: Final = 2
REDUCE: Final = 3
ACCOUNTS: Final = 1000
MIDDLE: Final = 1_000_000
"""Ticks."""

FLOW = np.dtype([("kind", "<i8"), ("side", "<i8"), ("price", "<i8"), ("qty", "<i8"), ("order_id", "<i8")])


class Mix(NamedTuple):
    """Shares of the operations; what is missing to 1 are orders that rest."""

    name: str
    cancels: float
    takes: float
    reduces: float
    live: int
    """Orders that rest before the operations begin."""
    spread: float
    """Mean distance of a resting order from the middle, in ticks."""
    sweep: float
    """Mean quantity of a taking order, in mean resting orders."""


MIXES: Final = (
    Mix("mixed", 0.40, 0.10, 0.0, 10_000, 12.5, 1.0),
    Mix("deep", 0.40, 0.10, 0.0, 300_000, 1200.0, 1.0),
    Mix("cancels", 0.49, 0.01, 0.0, 10_000, 12.5, 1.0),
    Mix("sweeps", 0.10, 0.10, 0.0, 10_000, 12.5, 8.0),
    Mix("reduces", 0.25, 0.05, 0.40, 10_000, 12.5, 1.0),
)


class DictBook:
    """What everybody writes first: a dictionary of dictionaries, and heaps for the best prices."""

    def __init__(self) -> None:
        self.levels: tuple[dict[int, dict[int, int]], dict[int, dict[int, int]]] = ({}, {})
        self._heaps: tuple[list[int], list[int]] = ([], [])
        self.orders: dict[int, tuple[int, int]] = {}
        """Side and price."""
        self.fills = 0

    def best(self, side: int) -> int | None:
        heap, levels = self._heaps[side], self.levels[side]
        while heap:
            price = heap[0] if side else -heap[0]
            if price in levels:
                return price
            heappop(heap)
        return None

    def add(self, side: int, price: int, qty: int, order_id: int) -> None:
        levels = self.levels[side]
        level = levels.get(price)
        if level is None:
            level = levels[price] = {}
            heappush(self._heaps[side], price if side else -price)
        level[order_id] = qty
        self.orders[order_id] = (side, price)

    def cancel(self, order_id: int) -> None:
        side, price = self.orders.pop(order_id)
        level = self.levels[side][price]
        del level[order_id]
        if not level:
            del self.levels[side][price]

    def reduce(self, order_id: int, qty: int) -> None:
        side, price = self.orders[order_id]
        self.levels[side][price][order_id] = qty

    def take(self, side: int, limit: int, qty: int) -> list[int]:
        """Immediate or cancel; the ids of orders that are gone."""
        gone: list[int] = []
        opposite = 1 - side
        while qty > 0 and (price := self.best(opposite)) is not None:
            if price > limit if side == Side.BUY else price < limit:
                break
            level = self.levels[opposite][price]
            for maker, left in list(level.items()):
                self.fills += 1
                if left > qty:
                    level[maker] = left - qty
                    return gone
                qty -= left
                del level[maker], self.orders[maker]
                gone.append(maker)
                if qty == 0:
                    break
            if not level:
                del self.levels[opposite][price]
        return gone

    def run(self, flow: Records) -> None:
        for kind, side, price, qty, order_id in flow.tolist():
            if kind == ADD:
                self.add(side, price, qty, order_id)
            elif kind == CANCEL:
                self.cancel(order_id)
            elif kind == TAKE:
                self.take(side, price, qty)
            else:
                self.reduce(order_id, qty)


class _Live:
    """Order ids to choose from at random."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self._place: dict[int, int] = {}

    def add(self, order_id: int) -> None:
        self._place[order_id] = len(self.ids)
        self.ids.append(order_id)

    def drop(self, order_id: int) -> None:
        place, last = self._place.pop(order_id), self.ids.pop()
        if last != order_id:
            self.ids[place] = last
            self._place[last] = place


def make(mix: Mix, operations: int, seed: int = 1) -> tuple[Records, Records]:
    """FLOW[mix.live] that fills the book, then FLOW[operations]."""
    rng = np.random.default_rng(seed)
    total = mix.live + operations
    chosen = rng.random(total)
    kinds = np.select(
        [chosen < mix.cancels, chosen < mix.cancels + mix.takes, chosen < mix.cancels + mix.takes + mix.reduces],
        [CANCEL, TAKE, REDUCE],
        ADD,
    )
    kinds[: mix.live] = ADD
    rows = list(_operations(mix, kinds, rng))
    flow = np.array(rows, np.int64).view(FLOW).reshape(-1)
    return flow[: mix.live], flow[mix.live :]


def _operations(mix: Mix, kinds: npt.NDArray[np.int64], rng: np.random.Generator) -> Iterator[tuple[int, ...]]:
    n = len(kinds)
    sides = rng.integers(0, 2, n).tolist()
    away = (1 + rng.geometric(1 / mix.spread, n)).tolist()
    sizes = rng.integers(1, 101, n).tolist()
    taken = rng.geometric(1 / (50.5 * mix.sweep), n).tolist()
    picks = rng.random(n).tolist()
    book, live = DictBook(), _Live()
    for k, kind in enumerate(kinds.tolist()):
        side, qty = sides[k], sizes[k]
        best = book.best(1 - side)
        if kind == TAKE and best is not None and len(live.ids) > mix.live // 2:
            reach = 400 if side == Side.BUY else -400
            for order_id in book.take(side, best + reach, taken[k]):
                live.drop(order_id)
            yield TAKE, side, best + reach, taken[k], k + 1
            continue
        if kind in (CANCEL, REDUCE) and live.ids:
            order_id = live.ids[int(picks[k] * len(live.ids))]
            own_side, price = book.orders[order_id]
            left = book.levels[own_side][price][order_id]
            if kind == CANCEL:
                book.cancel(order_id)
                live.drop(order_id)
                yield CANCEL, own_side, price, left, order_id
                continue
            if left > 1:
                book.reduce(order_id, left - 1)
                yield REDUCE, own_side, price, left - 1, order_id
                continue
        price = MIDDLE - away[k] if side == Side.BUY else MIDDLE + away[k]
        if best is not None:
            price = min(price, best - 1) if side == Side.BUY else max(price, best + 1)
        book.add(side, price, qty, k + 1)
        live.add(k + 1)
        yield ADD, side, price, qty, k + 1


def commands_of(flow: Records, totals: dict[int, int]) -> Records:
    """COMMAND[n] of a flow. `totals`, quantities by order id, is moved on: AMEND names the new total."""
    made = np.zeros(len(flow), COMMAND)
    kind = flow["kind"]
    made["kind"] = np.array([CommandKind.NEW, CommandKind.CANCEL, CommandKind.NEW, CommandKind.AMEND])[kind]
    made["account"] = 8 + flow["order_id"] % ACCOUNTS
    made["order_id"] = flow["order_id"]
    made["side"] = flow["side"]
    new = (kind == ADD) | (kind == TAKE)
    made["price_ticks"] = np.where(new, flow["price"], 0)
    made["qty_lots"] = np.where(new, flow["qty"], 0)
    made["time_in_force"][kind == TAKE] = TimeInForce.IOC
    totals.update(zip(flow["order_id"][kind == ADD].tolist(), flow["qty"][kind == ADD].tolist(), strict=True))
    for at in np.flatnonzero(kind == REDUCE).tolist():
        order_id = int(flow["order_id"][at])
        totals[order_id] -= 1
        made["qty_lots"][at] = totals[order_id]
    made.flags.writeable = False
    return made
