"""The least exchange that simulated participants can trade on: books, order ids and reports; no money, no
refusals of its own, no storage. For tests and for looking at the market; the clock is the caller's.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from market.agents import SimulatedMarket
from market.enums import CommandKind, EventKind, ExecType, OrdStatus, Side
from market.instrument import Instrument
from market.records import COMMAND, EVENT, REPORT, REPORT_MAKER

Records = npt.NDArray[np.void]

EXEC_TYPE = {
    EventKind.ACCEPTED: ExecType.NEW,
    EventKind.REJECTED: ExecType.REJECTED,
    EventKind.TRADE: ExecType.TRADE,
    EventKind.CANCELED: ExecType.CANCELED,
    EventKind.EXPIRED: ExecType.EXPIRED,
    EventKind.AMENDED: ExecType.REPLACED,
    EventKind.PREVENTED: ExecType.TRADE_PREVENTION,
}
_EXEC_TYPE = np.array([EXEC_TYPE[kind] for kind in list(EventKind)[: len(EXEC_TYPE)]], np.uint8)

_STATUS = np.full(len(ExecType), OrdStatus.NEW, np.uint8)
_STATUS[ExecType.REJECTED] = OrdStatus.REJECTED
_STATUS[ExecType.TRADE] = OrdStatus.PARTIALLY_FILLED
_STATUS[ExecType.CANCELED] = OrdStatus.CANCELED
_STATUS[ExecType.EXPIRED] = OrdStatus.EXPIRED


class MatchingEngine(Protocol):
    def apply(self, commands: Any) -> Any:
        """COMMAND[n] of one symbol -> its events."""


@dataclass
class Depth:
    """The resting orders of one symbol, rebuilt from events."""

    orders: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    """order id -> side, price, leaves."""
    levels: tuple[dict[int, int], dict[int, int]] = field(default_factory=lambda: ({}, {}))
    """price -> lots, of bids and asks."""
    trades: int = 0
    last_price: int = 0

    def follow(self, events: Records) -> None:
        names = ("kind", "side", "time_in_force", "order_id", "price_ticks", "leaves_lots", "maker_order_id")
        columns = [events[name].tolist() for name in (*names, "maker_leaves_lots")]
        for kind, side, _, order_id, price, leaves, maker, maker_leaves in zip(*columns, strict=True):
            if kind == EventKind.ACCEPTED:
                self._set(order_id, side, price, leaves)
            elif kind in (EventKind.TRADE, EventKind.PREVENTED):
                self._set(order_id, side, None, leaves)
                self._set(maker, 1 - side, price, maker_leaves)
                if kind == EventKind.TRADE:
                    self.trades += 1
                    self.last_price = price
            elif kind in (EventKind.CANCELED, EventKind.EXPIRED):
                self._set(order_id, side, None, 0)

    def _set(self, order_id: int, side: int, price: int | None, leaves: int) -> None:
        was = self.orders.pop(order_id, None)
        if was is not None:
            levels = self.levels[was[0]]
            levels[was[1]] -= was[2]
            if levels[was[1]] == 0:
                del levels[was[1]]
            price = was[1]
        if leaves > 0 and price:
            self.orders[order_id] = (side, price, leaves)
            self.levels[side][price] = self.levels[side].get(price, 0) + leaves

    @property
    def best_bid(self) -> int | None:
        return max(self.levels[Side.BUY], default=None)

    @property
    def best_ask(self) -> int | None:
        return min(self.levels[Side.SELL], default=None)


class ToyExchange:
    """Books of all symbols and the participants; `step` lets them trade, `submit` lets others."""

    def __init__(
        self,
        instruments: Sequence[Instrument],
        market: SimulatedMarket,
        book: Callable[[Instrument, int], MatchingEngine],
    ) -> None:
        self.market = market
        self.books = [book(one, i) for i, one in enumerate(instruments)]
        self.depths = [Depth() for _ in instruments]
        self._next_order_id = 1
        self._reports: list[Records] = []
        self.commands = np.zeros(0, COMMAND)
        """What the participants sent in the newest step."""
        self.events: list[Records] = []
        """What it caused, by symbol."""

    def step(self, ts_ns: int) -> None:
        reports = np.concatenate([np.zeros(0, REPORT), *self._reports])
        self._reports = []
        self.commands = self.market.step(ts_ns, reports)
        self.events = self.submit(self.commands)

    def submit(self, commands: Records) -> list[Records]:
        """COMMAND[n] of anybody, order ids still to be given -> EVENT arrays, one per symbol touched."""
        commands = commands.copy()
        placing = np.isin(commands["kind"], (CommandKind.NEW, CommandKind.REPLACE))
        commands["order_id"][placing] = self._next_order_id + np.arange(placing.sum())
        self._next_order_id += int(placing.sum())
        told = []
        for symbol in np.unique(commands["symbol"]).tolist():
            batch = commands[commands["symbol"] == symbol]
            events = _event_array(self.books[symbol].apply(batch))
            self.depths[symbol].follow(events)
            self._reports.append(reports_of(batch, events))
            told.append(events)
        return told


def _event_array(events: Records | Iterable[Any]) -> Records:
    if isinstance(events, np.ndarray):
        return events
    return np.array([tuple(one) for one in events], EVENT)


def reports_of(commands: Records, events: Records) -> Records:
    """REPORT of every event to the owner of its order, then of every trade to the maker.

    Makers' reports follow all the others: an account learns of its order before its fills either way.
    """
    takers = np.zeros(len(events), REPORT)
    takers["exec_type"] = _EXEC_TYPE[events["kind"]]
    for name in ("side", "ord_type", "time_in_force", "reason", "stp_mode", "flags", "symbol", "account"):
        takers[name] = events[name]
    for name in ("order_id", "price_ticks", "qty_lots", "leaves_lots", "exec_id", "trade_id", "command_kind"):
        takers[name] = events[name]
    cause = commands[events["command_index"]]
    placing = np.isin(events["command_kind"], (CommandKind.NEW, CommandKind.REPLACE))
    of_cause = (cause["order_id"] == events["order_id"]) | ~placing
    takers["token"] = np.where(of_cause & (cause["account"] == events["account"]), cause["token"], 0)
    refused = (events["kind"] == EventKind.REJECTED) & (events["command_kind"] != CommandKind.NEW)
    takers["exec_type"][refused] = ExecType.CANCEL_REJECTED
    traded = np.isin(events["kind"], (EventKind.TRADE, EventKind.PREVENTED))
    takers["last_qty_lots"][traded] = events["qty_lots"][traded]
    takers["last_price_ticks"][traded] = events["price_ticks"][traded]
    makers = takers[traded]
    makers["side"] = 1 - makers["side"]
    makers["flags"] = REPORT_MAKER
    makers["token"] = 0
    makers["account"] = events["maker_account"][traded]
    makers["order_id"] = events["maker_order_id"][traded]
    makers["leaves_lots"] = events["maker_leaves_lots"][traded]
    for reports in (takers, makers):
        reports["ord_status"] = _status(reports)
    return np.concatenate([takers, makers])


def _status(reports: Records) -> npt.NDArray[np.uint8]:
    told = _STATUS[reports["exec_type"]]
    told[(reports["exec_type"] == ExecType.TRADE) & (reports["leaves_lots"] == 0)] = OrdStatus.FILLED
    return np.asarray(told, np.uint8)
