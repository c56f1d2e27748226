"""The oracle of the ledger: one partition of accounts in plain ints and Fractions. Clarity before speed.

It is told what the optimised ledger is told (commands to admit, committed batches to settle) and says what must
come of it: refusals and the commands as they go to the book, the private reports, balances, average-cost
positions. It must never import the ledger. The rules it is written from:

Admission. Refused with the first that applies, in the order of `Reason`; money is looked at last, because only
a well-formed order has a price.
- UNKNOWN_ACCOUNT every kind; INVALID_COMMAND an unknown kind.
- CANCEL, AMEND: ACCOUNT_PAUSED (AMEND), UNKNOWN_ORDER unless it names (by either id; a symbol given must match)
  an open order of the account, BOOK_UNAVAILABLE. The command gets the order's id and symbol.
- CANCEL_ALL: UNKNOWN_SYMBOL, BOOK_UNAVAILABLE.
- NEW, REPLACE: ACCOUNT_PAUSED, UNKNOWN_SYMBOL, DUPLICATE_CLIENT_ORDER_ID (of an order that has not ended),
  MAX_NUM_ORDERS (NEW; orders on their way count), MAX_NUM_ALGO_ORDERS (NEW; stop orders that have not triggered),
  MAX_NUM_ICEBERG_ORDERS, MAX_POSITION (NEW, BUY: what is held and what open BUY orders may bring),
  ORDER_PENDING (the target is on its way), BOOK_UNAVAILABLE,
  INVALID_COMMAND (enums, unknown flags, negative numbers, BY_QUOTE that is not MARKET, a peg that is MARKET, an order
  list in a frame of single orders), UNKNOWN_ORDER (the target),
  ORDER_CHANGED (the target's leaves are not those the command expects), then money (`_price`).
- An order reserves what it can cost at most. A BUY whose price is not known (MARKET, STOP_LOSS, TAKE_PROFIT, pegged)
  reserves a budget: a tenth more than it costs at its stop price, or without one at the last price, a trailing
  delta further; all that is free when that is less or there is no price. A pegged order reserves as any other as soon
  as the book tells its price. A pair of which one cancels the other reserves what the dearer of the two does.
- A REPLACE may borrow what its target of the same side locks: it
  reserves what is free and takes the rest over when the book has canceled the target; the book is told to
  refuse when the target's leaves are no longer those that the loan was computed from.

Settlement. Per event and side of it: what a trade costs is taken from locked, price improvement goes back to free,
the fee is floor(received x ppm / 10^6) of the asset received; an order that ends frees what it still locks. What a
pair locks belongs to the order that trades, is prevented from it or triggers; the other one ends right after.

The outside (account -1, a real venue) has no account here. What users trade with it is posted to the outside market and
not to clearing; what its commands cause has their own time, and answers nobody. How orders stand in queues (QUEUED) and
refusals of its commands move nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor
from typing import NamedTuple

import numpy as np

from market.enums import (
    FILL_MODEL_BIT,
    FILL_MODEL_MASK,
    CommandFlag,
    CommandKind,
    EventKind,
    ExecType,
    OrdStatus,
    OrdType,
    Side,
    StpMode,
    TimeInForce,
)
from market.instrument import BIPS, INT_LIMIT, PPM, Instrument, assets_of
from market.numbering import OUTSIDE_ACCOUNT
from market.reasons import Reason
from market.records import REPORT, REPORT_MAKER
from tests.reference.naive_book import Command, Event

FREE, LOCKED = 0, 1
FEES, EXTERNAL, CLEARING, OUTSIDE = "fees", "external", "clearing", "outside market"
"""The house's accounts."""

KNOWN_FLAGS = CommandFlag.BY_QUOTE | CommandFlag.BY_CLIENT_ORDER_ID | FILL_MODEL_MASK << FILL_MODEL_BIT
VENUE_KINDS = range(CommandKind.OUTSIDE_LEVEL, CommandKind.OUTSIDE_STATUS + 1)
NO_LIMIT = (OrdType.MARKET, OrdType.STOP_LOSS, OrdType.TAKE_PROFIT)
TIMED = (OrdType.LIMIT, OrdType.STOP_LOSS_LIMIT, OrdType.TAKE_PROFIT_LIMIT)
PLACING = (CommandKind.NEW, CommandKind.REPLACE)
NO_ID = b"\0" * 8
"""A client order id that begins so is none."""


class Told(NamedTuple):
    """What a report must say; the rest of REPORT is constant, time or routing."""

    exec_type: int
    ord_status: int
    reason: int
    symbol: int
    account: int
    order_id: int
    side: int
    ord_type: int
    time_in_force: int
    stp_mode: int
    flags: int
    price_ticks: int
    qty_lots: int
    cum_qty_lots: int
    leaves_lots: int
    cum_quote_units: int
    last_qty_lots: int
    last_price_ticks: int
    last_quote_units: int
    commission_units: int
    commission_asset: int
    trade_id: int
    exec_id: int
    seq: int
    ts_ns: int
    token: int
    last: int
    command_kind: int
    orig_order_id: int
    stop_price_ticks: int
    display_lots: int
    prevented_lots: int
    list_id: int
    working_ns: int
    tracking_ns: int
    given: int
    trailing_bips: int
    peg_type: int
    peg_offset: int
    list_role: int
    base_free: int
    base_locked: int
    quote_free: int
    quote_locked: int
    client_order_id: bytes


assert set(Told._fields) <= set(REPORT.names or ())


@dataclass
class Account:
    maker_fee_ppm: int
    taker_fee_ppm: int
    flags: int = 0
    """Or-ed into those of its orders."""
    paused: bool = False
    seq: int = 0


@dataclass
class Lock:
    """Units locked; a pair of which one cancels the other has one together."""

    units: int = 0


@dataclass
class Order:
    order_id: int
    account: int
    symbol: int
    side: int
    ord_type: int
    time_in_force: int
    stp_mode: int
    flags: int
    price: int
    qty: int
    leaves: int
    client_order_id: bytes
    orig_order_id: int
    command: Command
    """As it was placed."""
    lock: Lock
    borrowed: int = 0
    partner: "Order | None" = None
    working_ns: int = 0
    tracking_ns: int = 0
    prevented: int = 0
    given: int = 0
    cum_qty: int = 0
    cum_quote: int = 0
    status: OrdStatus = OrdStatus.PENDING_NEW

    @property
    def pending(self) -> bool:
        return self.status == OrdStatus.PENDING_NEW

    @property
    def stop(self) -> bool:
        return self.ord_type >= OrdType.STOP_LOSS

    @property
    def waits(self) -> bool:
        return self.stop and not self.working_ns

    @property
    def budgeted(self) -> bool:
        unpriced = self.ord_type in NO_LIMIT or (self.command.peg_type != 0 and self.price == 0)
        return self.side == Side.BUY and unpriced


@dataclass
class Position:
    qty: int = 0
    cost: int = 0
    realised: int = 0

    def buy(self, units: int, quote: int) -> None:
        self.qty = min(self.qty + units, INT_LIMIT - 1)
        self.cost = min(self.cost + quote, INT_LIMIT - 1)

    def sell(self, units: int, quote: int) -> None:
        """Only what was bought in this symbol has a cost; the rest of `units` is not looked at."""
        part = min(units, self.qty)
        if part == 0:
            return
        cost = floor(Fraction(self.cost * part, self.qty))
        gain = floor(Fraction(quote * part, units)) - cost
        self.realised = max(1 - INT_LIMIT, min(INT_LIMIT - 1, self.realised + gain))
        self.qty -= part
        self.cost -= cost

    def as_list(self) -> list[int]:
        return [self.qty, self.cost, self.realised]


@dataclass
class NaiveLedger:
    instruments: Sequence[Instrument]
    partition: int = 0
    partitions: int = 1
    accounts: dict[int, Account] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    last_price: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    unavailable: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        names = [asset.name for asset in assets_of(self.instruments)]
        self.base = [names.index(one.base.name) for one in self.instruments]
        self.quote = [names.index(one.quote.name) for one in self.instruments]
        self.assets = len(names)
        self.held: dict[object, list[list[int]]] = defaultdict(lambda: [[0, 0] for _ in names])
        """Free and locked units, by account and asset."""
        self.positions: dict[tuple[int, int], Position] = defaultdict(Position)
        self._next_order = 1

    # -- accounts -------------------------------------------------------------------------------------------

    def open(self, account: int, maker_fee_ppm: int, taker_fee_ppm: int) -> None:
        self.accounts.setdefault(account, Account(maker_fee_ppm, taker_fee_ppm))

    def post(self, account: int, asset: int, units: int) -> None:
        self.held[account][asset][FREE] += units
        self.held[EXTERNAL][asset][FREE] -= units
        self.accounts[account].seq += 1

    def drop_pending(self, next_order: int) -> None:
        """After a recovery: what no book journaled never was."""
        for order in [order for order in self.orders.values() if order.pending]:
            self._end(order)
        self._next_order = next_order

    # -- admission ------------------------------------------------------------------------------------------

    def admit(self, command: Command) -> tuple[Reason, Command]:
        """Why it is refused (NONE: it is not) and the command as it goes to the book."""
        if command.account not in self.accounts:
            return Reason.UNKNOWN_ACCOUNT, command
        if command.kind in PLACING:
            return self._admit_order(command)
        if command.kind in (CommandKind.CANCEL, CommandKind.AMEND):
            return self._admit_change(command)
        if command.kind == CommandKind.CANCEL_ALL:
            if not 0 <= command.symbol < len(self.instruments):
                return Reason.UNKNOWN_SYMBOL, command
            return self._if_unavailable(command.symbol), command
        return Reason.INVALID_COMMAND, command

    def _if_unavailable(self, symbol: int) -> Reason:
        return Reason.BOOK_UNAVAILABLE if symbol in self.unavailable else Reason.NONE

    def _admit_change(self, command: Command) -> tuple[Reason, Command]:
        if command.kind == CommandKind.AMEND and self.accounts[command.account].paused:
            return Reason.ACCOUNT_PAUSED, command
        if command.flags & CommandFlag.BY_CLIENT_ORDER_ID:
            order = self._by_client_id(command)
        else:
            order = self._own(command.account, command.order_id)
        if order is None or (command.symbol >= 0 and command.symbol != order.symbol):
            return Reason.UNKNOWN_ORDER, command
        if command.kind == CommandKind.AMEND and not command.flags & CommandFlag.BY_CLIENT_ORDER_ID:
            namesake = self._by_client_id(command)
            if namesake is not None and namesake is not order:
                return Reason.DUPLICATE_CLIENT_ORDER_ID, command
        named = command._replace(order_id=order.order_id, symbol=order.symbol)
        return self._if_unavailable(order.symbol), named

    def _own(self, account: int, order_id: int) -> Order | None:
        order = self.orders.get(order_id)
        return order if order is not None and order.account == account else None

    def _by_client_id(self, command: Command) -> Order | None:
        sought = command.client_order_id
        if sought.ljust(8, b"\0").startswith(NO_ID):
            return None
        for order in self.orders.values():
            if order.account == command.account and order.client_order_id == sought:
                return order
        return None

    def admit_pair(self, pair: Sequence[Command]) -> tuple[list[Reason], list[Command]]:
        """Both or neither."""
        refused = [Reason.OCO_PAIR_REFUSED, Reason.OCO_PAIR_REFUSED]
        first, second = pair
        if first.account not in self.accounts:
            return [Reason.UNKNOWN_ACCOUNT, refused[1]], []
        alike = all(getattr(first, name) == getattr(second, name) for name in ("account", "symbol", "side", "qty_lots"))
        odd = any(one.kind != CommandKind.NEW or one.flags or one.target_id or one.list_id for one in pair)
        if not alike or odd or OrdType.MARKET in (first.ord_type, second.ord_type):
            return [Reason.INVALID_COMMAND, refused[1]], []
        list_id = self._next_order * self.partitions + self.partition
        reason, one = self._admit_order(first._replace(list_id=list_id), listed=True)
        if reason:
            return [reason, refused[1]], []
        held = self.orders[one.order_id]
        reason, other = self._admit_order(second._replace(list_id=list_id), listed=True, partner=held)
        if reason:
            self._end(held)
            return [refused[0], reason], []
        return [Reason.NONE, Reason.NONE], [one, other]

    def _too_many(self, command: Command) -> Reason:
        one = self.instruments[command.symbol]
        mine = [o for o in self.orders.values() if (o.account, o.symbol) == (command.account, command.symbol)]
        if command.ord_type >= OrdType.STOP_LOSS and sum(o.waits for o in mine) >= one.max_num_algo_orders:
            return Reason.MAX_NUM_ALGO_ORDERS
        icebergs = sum(o.command.display_lots != 0 for o in mine)
        if command.display_lots and icebergs >= one.max_num_iceberg_orders:
            return Reason.MAX_NUM_ICEBERG_ORDERS
        if one.max_position_lots and command.side == Side.BUY:
            held = sum(self.held[command.account][self.base[command.symbol]]) // one.base_units_per_lot
            coming = sum(o.leaves for o in mine if o.side == Side.BUY)
            if held + coming + command.qty_lots > one.max_position_lots:
                return Reason.MAX_POSITION
        return Reason.NONE

    def _admit_order(
        self, command: Command, listed: bool = False, partner: Order | None = None
    ) -> tuple[Reason, Command]:
        account = self.accounts[command.account]
        replaces = command.kind == CommandKind.REPLACE
        if account.paused:
            return Reason.ACCOUNT_PAUSED, command
        if not 0 <= command.symbol < len(self.instruments):
            return Reason.UNKNOWN_SYMBOL, command
        if self._by_client_id(command) is not None:
            return Reason.DUPLICATE_CLIENT_ORDER_ID, command
        same = [
            o
            for o in self.orders.values()
            if (o.account, o.symbol) == (command.account, command.symbol) and rests(o.ord_type, o.time_in_force)
        ]
        counted = not replaces and rests(command.ord_type, command.time_in_force)
        if counted and len(same) >= self.instruments[command.symbol].max_num_orders:
            return Reason.MAX_NUM_ORDERS, command
        if not replaces and (reason := self._too_many(command)):
            return reason, command
        target = self._own(command.account, command.target_id) if replaces else None
        if target is not None and target.symbol != command.symbol:
            target = None
        if target is not None and target.pending:
            return Reason.ORDER_PENDING, command
        if command.symbol in self.unavailable:
            return Reason.BOOK_UNAVAILABLE, command
        if malformed(command) or (not listed and (command.list_id or command.list_role)):
            return Reason.INVALID_COMMAND, command
        if replaces and target is None:
            return Reason.UNKNOWN_ORDER, command
        expected = command.expected_leaves
        if target is not None and expected >= 0 and expected != target.leaves:
            return Reason.ORDER_CHANGED, command
        free = self._free_for(command.account, command.symbol, command.side)[FREE]
        loan = target.lock.units if target is not None and target.side == command.side else 0
        if partner is not None:
            loan = partner.lock.units
        reason, need, command = self._price(command, free + loan)
        if reason:
            return reason, command
        if replaces and expected < 0:
            expected = -1
        borrowed = max(0, need - free) if partner is None else 0
        if borrowed:
            assert target is not None
            expected = target.leaves
        accepted = command._replace(
            order_id=self._next_order * self.partitions + self.partition,
            maker_fee_ppm=account.maker_fee_ppm,
            taker_fee_ppm=account.taker_fee_ppm,
            flags=command.flags | account.flags,
            expected_leaves=expected,
        )
        self._next_order += 1
        self._enter(accepted, need - borrowed, borrowed, partner)
        return Reason.NONE, accepted

    def _price(self, command: Command, free: int) -> tuple[Reason, int, Command]:
        """Refusal or NONE, the units to reserve, and the command with its budget (BUY) or cap (SELL BY_QUOTE)."""
        one = self.instruments[command.symbol]
        units, lot, qty = one.quote_units_per_tick_lot, one.base_units_per_lot, command.qty_lots
        buy, last = command.side == Side.BUY, self.last_price[command.symbol]
        budgeted = command.ord_type in NO_LIMIT or command.peg_type
        if qty * lot >= INT_LIMIT:
            return Reason.LOT_SIZE, 0, command
        if command.ord_type != OrdType.MARKET and command.price_ticks * qty * units >= INT_LIMIT:
            return Reason.NOTIONAL, 0, command
        if command.ord_type != OrdType.MARKET and not buy:
            need = qty * lot
        elif not budgeted:
            command = command._replace(quote_units=0)
            need = command.price_ticks * qty * units
        elif command.flags & CommandFlag.BY_QUOTE and buy:
            need = command.quote_units
        elif command.flags & CommandFlag.BY_QUOTE:
            held, wanted = free // lot, qty or INT_LIMIT
            if last > 0:
                lots = command.quote_units // (last * units)
                if min(lots, wanted) > held:
                    return Reason.INSUFFICIENT_BALANCE, 0, command
                wanted = min(wanted, lots + lots // 10 + 1)
            cap = min(held, wanted)
            if cap == 0:
                return Reason.INSUFFICIENT_BALANCE, 0, command
            return Reason.NONE, cap * lot, command._replace(qty_lots=cap)
        elif not buy:
            command = command._replace(quote_units=0)
            need = qty * lot
        else:
            price = last
            if command.ord_type != OrdType.MARKET:
                price = command.stop_price_ticks or last
                delta = min(command.trailing_bips, BIPS)
                price = min(price + price * delta // BIPS, INT_LIMIT - 1)
            least = price * qty * units
            if 2 * least >= INT_LIMIT:
                return Reason.NOTIONAL, 0, command
            if least > free or free <= 0:
                return Reason.INSUFFICIENT_BALANCE, 0, command
            need = min(least // 100 * 110 or free, free, command.quote_units or free)
            command = command._replace(quote_units=need)
        return (Reason.INSUFFICIENT_BALANCE if need > free else Reason.NONE), need, command

    def _enter(self, command: Command, reserved: int, borrowed: int, partner: Order | None = None) -> Order:
        unpriced = command.ord_type in NO_LIMIT or command.peg_type
        by_quote = bool(command.flags & CommandFlag.BY_QUOTE)
        order = Order(
            order_id=command.order_id,
            account=command.account,
            symbol=command.symbol,
            side=command.side,
            ord_type=command.ord_type,
            time_in_force=command.time_in_force if command.ord_type in TIMED else TimeInForce.GTC,
            stp_mode=command.stp_mode,
            flags=command.flags,
            price=0 if unpriced else command.price_ticks,
            qty=command.qty_lots,
            leaves=command.qty_lots,
            client_order_id=command.client_order_id,
            orig_order_id=command.target_id if command.kind == CommandKind.REPLACE else 0,
            command=command,
            lock=Lock() if partner is None else partner.lock,
            borrowed=borrowed,
            partner=partner,
            given=command.price_ticks if command.peg_type else by_quote * command.quote_units,
        )
        self.orders[order.order_id] = order
        if partner is None:
            self._lock(order, reserved)
        else:
            partner.partner = order
            self._fit(order)
        return order

    def _needs(self, order: Order) -> int:
        one = self.instruments[order.symbol]
        if order.side == Side.SELL:
            return order.leaves * one.base_units_per_lot
        if order.budgeted:
            return order.command.quote_units
        return order.leaves * order.price * one.quote_units_per_tick_lot

    def _fit(self, order: Order) -> None:
        """Lock what is needed, of a pair what the dearer one needs."""
        needed = max([self._needs(order)] + ([self._needs(order.partner)] if order.partner else []))
        self._lock(order, needed - order.lock.units)

    def _part(self, order: Order) -> None:
        """The pair's lock is this order's."""
        assert order.partner is not None
        order.partner.lock, order.partner.partner, order.partner = Lock(), None, None

    def _end(self, order: Order) -> None:
        if order.partner is not None:
            self._part(order.partner)
        self._lock(order, -order.lock.units)
        del self.orders[order.order_id]

    # -- settlement -----------------------------------------------------------------------------------------

    def settle(self, commands: Sequence[Command], events: Iterable[Event], ts_ns: int) -> list[Told]:
        told: list[Told] = []
        newest: dict[int, int] = {}
        for event in events:
            command = commands[event.command_index]
            self._ts_ns = command.target_id if command.account == OUTSIDE_ACCOUNT else ts_ns
            if event.kind == EventKind.QUEUED or (event.kind == EventKind.REJECTED and command.kind in VENUE_KINDS):
                continue
            if event.kind == EventKind.TRADE:
                self.last_price[event.symbol] = event.price_ticks
            if event.account in self.accounts:
                told.append(self._side_of(event, command, maker=False))
                if told[-1].token:
                    newest[event.command_index] = len(told) - 1
            if event.maker_order_id and event.maker_account in self.accounts:
                told.append(self._side_of(event, command, maker=True))
        for place in newest.values():
            told[place] = told[place]._replace(last=1)
        return told

    def _side_of(self, event: Event, command: Command, maker: bool) -> Told:
        order_id = event.maker_order_id if maker else event.order_id
        leaves = event.maker_leaves_lots if maker else event.leaves_lots
        if event.kind == EventKind.REJECTED:
            return self._rejected(event, command)
        order = self.orders.get(order_id)
        if order is None:  # the ledger did not admit it itself: a replay
            assert event.kind == EventKind.ACCEPTED
            order = self._enter(command, self._reserves(command), 0)
        fee, fee_asset = 0, -1
        traded = event.kind in (EventKind.TRADE, EventKind.TRIGGERED)
        if order.partner is not None and (traded or (event.kind == EventKind.PREVENTED and event.qty_lots)):
            self._part(order)
            self._fit(order)
        if event.kind == EventKind.ACCEPTED:
            self._lock(order, order.borrowed)
            order.borrowed = 0
            if not order.stop:
                order.working_ns = self._ts_ns
            elif not command.stop_price_ticks:
                order.tracking_ns = self._ts_ns
            self._learn_price(order, event.price_ticks)
            exec_type, order.status = ExecType.NEW, OrdStatus.NEW
        elif event.kind == EventKind.TRIGGERED:
            order.working_ns = self._ts_ns
            self._learn_price(order, event.price_ticks)
            exec_type, order.status = ExecType.TRIGGERED, OrdStatus.NEW
        elif event.kind == EventKind.TRACKING:
            order.tracking_ns = self._ts_ns
            exec_type, order.status = ExecType.TRACKING, OrdStatus.NEW
        elif event.kind == EventKind.TRADE:
            fee, fee_asset = self._fill(order, event, event.maker_fee_ppm if maker else event.taker_fee_ppm)
            order.leaves = leaves
            done = leaves == 0 and not order.flags & CommandFlag.BY_QUOTE
            exec_type = ExecType.TRADE
            order.status = OrdStatus.FILLED if done else OrdStatus.PARTIALLY_FILLED
        elif event.kind == EventKind.PREVENTED:
            self._unlock_lots(order, event.qty_lots)
            order.leaves = leaves
            order.prevented += event.qty_lots
            exec_type, order.status = ExecType.TRADE_PREVENTION, working(order)
        elif event.kind == EventKind.AMENDED:
            command_of, before = order.command, order.leaves
            order.qty, order.leaves = event.qty_lots, leaves
            budget = -(-command_of.quote_units * leaves // before) if order.budgeted else command_of.quote_units
            display = min(command_of.display_lots, leaves)
            order.command = command_of._replace(quote_units=budget, display_lots=display)
            self._fit(order)
            given = command.client_order_id.ljust(8, b"\0")
            if order_id == command.order_id and not command.flags & CommandFlag.BY_CLIENT_ORDER_ID:
                order.client_order_id = order.client_order_id if given.startswith(NO_ID) else command.client_order_id
            exec_type, order.status = ExecType.REPLACED, working(order)
        elif event.kind == EventKind.CANCELED:
            exec_type, order.status = ExecType.CANCELED, OrdStatus.CANCELED
        else:
            exec_type, order.status = ExecType.EXPIRED, how_expired(order, event.reason)
            order.prevented += order.leaves if order.status == OrdStatus.EXPIRED_IN_MATCH else 0
        assert order.leaves == leaves, (order, event)
        if order.status not in (OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED):
            self._end(order)
        executed = event.kind in (EventKind.TRADE, EventKind.PREVENTED)
        users = command.account != OUTSIDE_ACCOUNT
        answers = (users and not maker) and (
            command.kind == CommandKind.CANCEL_ALL
            or command.kind == CommandKind.CANCEL
            or order_id == command.order_id
            or (command.kind == CommandKind.REPLACE and order_id == command.target_id)
        )
        return self._told(
            event,
            order.account,
            exec_type=exec_type,
            ord_status=order.status,
            order_id=order_id,
            side=order.side,
            ord_type=order.ord_type,
            time_in_force=order.time_in_force,
            stp_mode=order.stp_mode,
            flags=order.flags | (REPORT_MAKER if maker else 0),
            price_ticks=order.price,
            qty_lots=order.qty,
            cum_qty_lots=order.cum_qty,
            leaves_lots=order.leaves,
            cum_quote_units=order.cum_quote,
            last_qty_lots=event.qty_lots if executed else 0,
            last_price_ticks=event.price_ticks if executed else 0,
            last_quote_units=event.quote_units if executed else 0,
            commission_units=fee,
            commission_asset=fee_asset,
            trade_id=event.trade_id,
            token=command.token if answers else 0,
            orig_order_id=order.orig_order_id if event.kind != EventKind.PREVENTED else other_of(event, maker),
            given=order.given,
            client_order_id=order.client_order_id,
            prevented_lots=order.prevented,
            working_ns=order.working_ns,
            tracking_ns=order.tracking_ns,
            **terms_of(order.command),
        )

    def _learn_price(self, order: Order, price_ticks: int) -> None:
        """Of a pegged order: the book chose it."""
        if order.price == 0 and price_ticks:
            order.price = price_ticks
            self._fit(order)

    def _rejected(self, event: Event, command: Command) -> Told:
        if command.kind in PLACING and (order := self.orders.get(event.order_id)) is not None:
            self._end(order)
        new = command.kind == CommandKind.NEW
        return self._told(
            event,
            event.account,
            exec_type=ExecType.REJECTED if new else ExecType.CANCEL_REJECTED,
            ord_status=OrdStatus.REJECTED,
            order_id=event.order_id,
            side=event.side,
            ord_type=event.ord_type,
            time_in_force=event.time_in_force,
            stp_mode=event.stp_mode,
            flags=event.flags,
            price_ticks=event.price_ticks,
            qty_lots=event.qty_lots,
            token=command.token,
            orig_order_id=command.target_id,
            client_order_id=command.client_order_id,
            **terms_of(command),
        )

    def _told(self, event: Event, account: int, **fields: int | bytes) -> Told:
        self.accounts[account].seq += 1
        base, quote = self.held[account][self.base[event.symbol]], self.held[account][self.quote[event.symbol]]
        unused = dict.fromkeys(Told._fields, 0) | {"commission_asset": -1}
        return Told(
            **unused  # type: ignore[arg-type]
            | {
                "reason": event.reason,
                "symbol": event.symbol,
                "account": account,
                "exec_id": event.exec_id,
                "seq": self.accounts[account].seq,
                "ts_ns": self._ts_ns,
                "command_kind": event.command_kind,
                "base_free": base[FREE],
                "base_locked": base[LOCKED],
                "quote_free": quote[FREE],
                "quote_locked": quote[LOCKED],
            }
            | fields
        )

    # -- money ----------------------------------------------------------------------------------------------

    def _free_for(self, account: int, symbol: int, side: int) -> list[int]:
        """Free and locked units of the asset that an order of this side gives."""
        return self.held[account][self.quote[symbol] if side == Side.BUY else self.base[symbol]]

    def _lock(self, order: Order, units: int) -> None:
        balance = self._free_for(order.account, order.symbol, order.side)
        balance[FREE] -= units
        balance[LOCKED] += units
        order.lock.units += units

    def _reserves(self, command: Command) -> int:
        """Of an admitted command: its budget or cap is in it."""
        one = self.instruments[command.symbol]
        if command.side == Side.SELL:
            return command.qty_lots * one.base_units_per_lot
        if command.ord_type in NO_LIMIT or command.peg_type:
            return command.quote_units
        return command.price_ticks * command.qty_lots * one.quote_units_per_tick_lot

    def _unlock_lots(self, order: Order, lots: int) -> None:
        """Lots that will not trade. A budget is not per lot: it stays until the end."""
        one = self.instruments[order.symbol]
        if order.side == Side.SELL:
            self._lock(order, -lots * one.base_units_per_lot)
        elif not order.budgeted:
            self._lock(order, -lots * order.price * one.quote_units_per_tick_lot)

    def _fill(self, order: Order, event: Event, ppm: int) -> tuple[int, int]:
        """Commission and its asset."""
        one = self.instruments[order.symbol]
        lots, quote_units = event.qty_lots, event.quote_units
        base_units = lots * one.base_units_per_lot
        assert quote_units == event.price_ticks * lots * one.quote_units_per_tick_lot
        base, quote = self.base[order.symbol], self.quote[order.symbol]
        buy = order.side == Side.BUY
        given, paid, got, received = (
            (quote, quote_units, base, base_units) if buy else (base, base_units, quote, quote_units)
        )
        if buy and not order.budgeted:
            self._lock(order, quote_units - lots * order.price * one.quote_units_per_tick_lot)
        order.lock.units -= paid
        self.held[order.account][given][LOCKED] -= paid
        fee = floor(Fraction(received * ppm, PPM))
        self.held[order.account][got][FREE] += received - fee
        self.held[FEES][got][FREE] += fee
        # A venue's side of a trade is settled by nobody else: it does not go through clearing.
        house = OUTSIDE if OUTSIDE_ACCOUNT in (event.account, event.maker_account) else CLEARING
        self.held[house][given][FREE] += paid
        self.held[house][got][FREE] -= received
        order.cum_qty += lots
        order.cum_quote += quote_units
        position = self.positions[order.account, order.symbol]
        if buy:
            position.buy(base_units - fee, quote_units)
        else:
            position.sell(base_units, quote_units - fee)
        return fee, got

    # -- comparisons ----------------------------------------------------------------------------------------

    def balances(self, account: object) -> list[list[int]]:
        return self.held[account]

    def position(self, account: int) -> list[list[int]]:
        return [self.positions[account, symbol].as_list() for symbol in range(len(self.instruments))]

    def difference(self, reports: np.ndarray, expected: Sequence[Told]) -> str:
        """'' when the reports say what they must; else the first that does not, field by field."""
        got = [Told._make(row) for row in reports[list(Told._fields)].tolist()]
        for k, (one, must) in enumerate(zip(got, expected, strict=False)):
            if one != must:
                wrong = [f for f in Told._fields if getattr(one, f) != getattr(must, f)]
                lines = [f"  {f}: {getattr(one, f)}, oracle {getattr(must, f)}" for f in wrong]
                return "\n".join([f"report {k} ({ExecType(must.exec_type).name}) differs", *lines])
        return "" if len(got) == len(expected) else f"{len(got)} reports, the oracle tells {len(expected)}"


TERMS = ("stop_price_ticks", "display_lots", "list_id", "trailing_bips", "peg_type", "peg_offset", "list_role")
AMOUNTS = ("price_ticks", "qty_lots", "quote_units", "stop_price_ticks", "display_lots", "trailing_bips")


def other_of(event: Event, maker: bool) -> int:
    return event.order_id if maker else event.maker_order_id


def terms_of(command: Command) -> dict[str, int]:
    return {name: getattr(command, name) for name in TERMS}


def malformed(command: Command) -> bool:
    return (
        command.side not in set(Side)
        or command.ord_type not in set(OrdType)
        or command.time_in_force not in set(TimeInForce)
        or command.stp_mode not in set(StpMode)
        or command.flags & ~KNOWN_FLAGS != 0
        or (bool(command.flags & CommandFlag.BY_QUOTE) and command.ord_type != OrdType.MARKET)
        or (command.ord_type == OrdType.MARKET and command.peg_type != 0)
        or min(getattr(command, name) for name in AMOUNTS) < 0
    )


def rests(ord_type: int, time_in_force: int) -> bool:
    """Whether such an order may stay in the book; no other counts towards MAX_NUM_ORDERS."""
    if ord_type == OrdType.LIMIT:
        return time_in_force == TimeInForce.GTC
    return ord_type != OrdType.MARKET


def working(order: Order) -> OrdStatus:
    return OrdStatus.PARTIALLY_FILLED if order.cum_qty else OrdStatus.NEW


def how_expired(order: Order, reason: int) -> OrdStatus:
    if reason == Reason.SELF_TRADE_PREVENTION:
        return OrdStatus.EXPIRED_IN_MATCH
    if reason == Reason.QUOTE_SPENT and order.cum_qty:
        return OrdStatus.FILLED
    return OrdStatus.EXPIRED
