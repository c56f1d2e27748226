"""The oracle of the matching engine: market/book/SEMANTICS.md in plain Python, each branch quoting its case.

Written from that page and nothing else; it must never import the engine. Clarity before speed.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from market.enums import (
    MAX_PEG_OFFSET,
    OUTSIDE_EDGE,
    CancelRestriction,
    CommandFlag,
    CommandKind,
    EventKind,
    FillModel,
    ListRole,
    OrdType,
    PegType,
    Side,
    StpMode,
    TimeInForce,
)
from market.instrument import BIPS, PPM, Instrument
from market.numbering import OUTSIDE_ACCOUNT
from market.reasons import Reason
from market.records import COMMAND, EVENT
from tests.reference.naive_outside import (
    NO_FIGURES,
    OutsideLevel,
    OutsideLevels,
    OutsideRow,
    model_of,
    trade_ahead,
)

SIDES, ORD_TYPES, TIMES_IN_FORCE, STP_MODES = map(set, (Side, OrdType, TimeInForce, StpMode))
PEG_TYPES, LIST_ROLES, RESTRICTIONS = map(set, (PegType, ListRole, CancelRestriction))

STOP_LOSSES = {OrdType.STOP_LOSS, OrdType.STOP_LOSS_LIMIT}
TAKE_PROFITS = {OrdType.TAKE_PROFIT, OrdType.TAKE_PROFIT_LIMIT}
STOP_FAMILY = STOP_LOSSES | TAKE_PROFITS
MARKET_TYPES = {OrdType.MARKET, OrdType.STOP_LOSS, OrdType.TAKE_PROFIT}
DECREMENTS = {StpMode.DECREMENT, StpMode.TRANSFER}
PAIRED = {ListRole.OCO_FIRST, ListRole.OCO_SECOND}
OUTSIDE_KINDS = {kind for kind in CommandKind if kind >= CommandKind.OUTSIDE_LEVEL}

OUTSIDE_PRICES = 1 << 61
OUTSIDE_NOTIONALS = 1 << 62


class Command(NamedTuple):
    """A COMMAND."""

    kind: int
    side: int
    ord_type: int
    time_in_force: int
    stp_mode: int
    flags: int
    gateway: int
    symbol: int
    account: int
    order_id: int
    target_id: int
    price_ticks: int
    qty_lots: int
    quote_units: int
    expected_leaves: int
    maker_fee_ppm: int
    taker_fee_ppm: int
    token: int
    command_id: int
    stop_price_ticks: int
    display_lots: int
    list_id: int
    trailing_bips: int
    peg_type: int
    peg_offset: int
    list_role: int
    cancel_restriction: int
    client_order_id: bytes


class Event(NamedTuple):
    """An EVENT: 0 is what a kind does not use (G4)."""

    kind: int = 0
    side: int = 0
    ord_type: int = 0
    time_in_force: int = 0
    reason: int = 0
    stp_mode: int = 0
    flags: int = 0
    command_kind: int = 0
    symbol: int = 0
    account: int = 0
    order_id: int = 0
    price_ticks: int = 0
    qty_lots: int = 0
    leaves_lots: int = 0
    quote_units: int = 0
    maker_order_id: int = 0
    maker_account: int = 0
    command_index: int = 0
    maker_leaves_lots: int = 0
    exec_id: int = 0
    trade_id: int = 0
    maker_fee_ppm: int = 0
    taker_fee_ppm: int = 0


assert (Command._fields, Event._fields) == (COMMAND.names, EVENT.names)


@dataclass(eq=False, slots=True)
class Order:
    order_id: int
    account: int
    side: int
    ord_type: int
    time_in_force: int
    stp_mode: int
    flags: int
    price_ticks: int
    qty_lots: int
    leaves_lots: int
    maker_fee_ppm: int
    taker_fee_ppm: int
    by_quote: bool
    quote_left: int | None
    """What is left of a BUY's budget (N7) or of the amount (N8); None: not limited by money."""
    budget_units: int = 0
    """The command's `quote_units`."""
    stop_price_ticks: int = 0
    trailing_bips: int = 0
    peg_type: int = 0
    peg_offset: int = 0
    display_lots: int = 0
    shown: int = 0
    """What an iceberg shows (I1)."""
    extreme_ticks: int = 0
    """T6; 0: it does not track, or has not met a price yet."""
    tracks: bool = False
    waits: bool = False
    other: "Order | None" = None
    """Of its pair (L1)."""
    prevented_lots: int = 0
    amends: int = 0
    ahead_lots: int = NO_FIGURES
    """A of its queue figures."""
    by_trades_lots: int = 0
    by_cancels_lots: int = 0

    @property
    def without_cap(self) -> bool:
        """N9: MARKET BY_QUOTE that limits no quantity."""
        return self.by_quote and self.qty_lots == 0

    @property
    def visible_lots(self) -> int:
        return self.shown if self.display_lots else self.leaves_lots

    @property
    def other_id(self) -> int:
        return self.other.order_id if self.other else 0

    @property
    def awaits_rise(self) -> bool:
        return awaits_rise(self.ord_type, self.side)

    def reached_by(self, price: int) -> bool:  # T1
        return price >= self.stop_price_ticks if self.awaits_rise else price <= self.stop_price_ticks

    def show(self) -> None:  # I1, I2
        self.shown = min(self.display_lots, self.leaves_lots)

    @property
    def is_queued(self) -> bool:
        """It has queue figures."""
        return self.ahead_lots != NO_FIGURES


@dataclass(slots=True)
class Met:
    """A maker as a FOK's look (N6) would meet it."""

    order: Order
    shown: int
    leaves: int
    ahead: int


class NaiveBook:
    def __init__(self, instrument: Instrument, symbol_id: int, max_live_orders: int = 1 << 20) -> None:
        self.instrument = instrument
        self.symbol_id = symbol_id
        self.max_live_orders = max_live_orders
        self.halted = False
        self.last_price = 0  # G7
        self._units = instrument.quote_units_per_tick_lot
        self._live: dict[int, Order] = {}
        self._queues: dict[int, list[Order]] = {Side.BUY: [], Side.SELL: []}  # G6: in order of priority
        self._outside = OutsideLevels()  # O1
        self._waiting: list[Order] = []  # by time of arrival
        self._tracking: list[Order] = []  # by the time since which they do
        self._line: list[Order] = []  # T3
        self._exec_id = 0  # G2
        self._trade_id = 0
        self._prevented_id = 0
        self._events: list[Event] = []

    def apply(self, commands: np.ndarray) -> list[Event]:
        cases: dict[int, Callable[[Command], None]] = {
            CommandKind.NEW: self._new,
            CommandKind.CANCEL: self._cancel,
            CommandKind.REPLACE: self._replace,
            CommandKind.AMEND: self._amend,
            CommandKind.CANCEL_ALL: self._cancel_all,
            CommandKind.OUTSIDE_LEVEL: self._outside_level,
            CommandKind.OUTSIDE_QUOTE: self._outside_quote,
            CommandKind.OUTSIDE_TRADE: self._outside_trade,
            CommandKind.OUTSIDE_CLEAR: self._outside_clear,
            CommandKind.OUTSIDE_STATUS: self._outside_status,
        }
        self._events = []
        batch = [Command._make(row) for row in commands.tolist()]
        for self._index, command in enumerate(batch):
            self._kind = command.kind
            looked_at = len(self._events)
            if command.kind in OUTSIDE_KINDS:
                self._exec_id += 1  # O0
            if command.kind in OUTSIDE_KINDS and self._outside_is_malformed(command):
                self._refuse_named(command, Reason.INVALID_COMMAND)  # O0
            elif command.kind == CommandKind.NEW and command.list_role in PAIRED:
                self._paired(batch)
            else:
                cases.get(command.kind, self._unknown_kind)(command)
            self._trigger(looked_at)
        return self._events

    def depth(self, side: int) -> list[tuple[int, int, int]]:
        """(price_ticks, qty_lots, orders) of every level, best first."""
        rows = [(order.price_ticks, order.visible_lots) for order in self._queues[side]]
        rows += [(level.price_ticks, level.available_lots) for level in self._outside.standing(side)]  # O1
        levels: dict[int, list[int]] = {}
        for price, lots in rows:
            levels.setdefault(price, []).append(lots)
        return [(price, sum(lots), len(lots)) for price, lots in sorted(levels.items(), reverse=side == Side.BUY)]

    def outside(self) -> list[OutsideRow]:
        """What the venue shows, standing or eaten: bids best first, then asks best first."""
        return self._outside.rows()

    @property
    def exec_id(self) -> int:
        return self._exec_id

    @property
    def trade_id(self) -> int:
        return self._trade_id

    @property
    def prevented_id(self) -> int:
        return self._prevented_id

    def orders(self) -> list[Order]:
        """In the order of C3."""
        falls = [order for order in self._waiting if not order.awaits_rise]
        rises = [order for order in self._waiting if order.awaits_rise]
        return [
            *self._queues[Side.BUY],
            *self._queues[Side.SELL],
            *sorted(falls, key=lambda order: -order.stop_price_ticks),
            *sorted(rises, key=lambda order: order.stop_price_ticks),
            *self._tracking,
        ]

    # -- the kinds of command -------------------------------------------------------------------------------

    def _unknown_kind(self, command: Command) -> None:  # R2
        self._refuse_named(command, Reason.INVALID_COMMAND)

    def _new(self, command: Command) -> None:
        self._place_unless(command, self._if_halted() or self._if_invalid(command))

    def _place_unless(self, command: Command, refused: Reason) -> None:
        reason = refused or self._if_filtered(command, ())
        if reason:
            self._refuse_order(command, reason)
        else:
            self._place(command)

    def _paired(self, batch: list[Command]) -> None:  # L1, L2
        k = self._index
        if k > 0 and is_pair(batch[k - 1], batch[k]):
            return  # told with its first
        if k + 1 == len(batch) or not is_pair(batch[k], batch[k + 1]):
            self._refuse_order(batch[k], self._if_halted() or Reason.INVALID_COMMAND)
            return
        legs = batch[k : k + 2]
        reasons = [
            self._if_halted() or self._if_invalid(leg) or self._if_filtered(leg, (), ahead=place)
            for place, leg in enumerate(legs)
        ]
        if not any(reasons) and not self._prices_fit(legs):
            reasons = [Reason.OCO_PRICES, Reason.OCO_PRICES]
        orders: list[Order] = []
        for leg, reason in zip(legs, reasons, strict=True):
            if any(reasons):
                self._refuse_order(leg, reason or Reason.OCO_PAIR_REFUSED)
            else:  # L3
                orders.append(self._place(leg))
            self._index += 1
        self._index = k
        if orders:
            orders[0].other, orders[1].other = orders[1], orders[0]

    def _prices_fit(self, legs: list[Command]) -> bool:  # L2
        far, stop = sorted(legs, key=lambda leg: leg.ord_type in STOP_LOSSES)
        price = 0 if far.ord_type in MARKET_TYPES else self._limit_of(far, ())
        bounds = [self.last_price, stop.stop_price_ticks]
        bounds = [bound for bound in bounds if bound > 0]
        price = price or far.stop_price_ticks
        if price == 0:
            return True
        return all(price > bound if far.side == Side.SELL else price < bound for bound in bounds)

    def _replace(self, command: Command) -> None:
        target = self._owned(command, command.target_id)
        allow = bool(command.flags & CommandFlag.ALLOW_FAILURE)
        atomic = not allow and not command.flags & CommandFlag.STOP_ON_FAILURE
        malformed = self._if_halted() or self._if_invalid(command)
        failure = self._if_target_differs(command, target)
        if malformed or (failure and not allow):  # P1, P3
            self._refuse_order(command, malformed or failure)
            return
        if failure:  # P4
            self._tell_refusal(command, command.target_id, failure)
        else:
            assert target is not None
            gone = (target, target.other) if target.other else (target,)
            if atomic and (reason := self._if_filtered(command, gone)):  # P1
                self._refuse_order(command, reason)
                return
            self._cancel_with_pair(target, Reason.REPLACED)  # P2
        self._place_unless(command, Reason.NONE)

    def _cancel(self, command: Command) -> None:
        order = self._owned(command, command.order_id)
        if is_outsider(command) or command.cancel_restriction not in RESTRICTIONS:  # O0, C4
            self._refuse_named(command, Reason.INVALID_COMMAND)
        elif order is None:  # C2
            self._refuse_named(command, Reason.UNKNOWN_ORDER)
        elif restricted(order, command.cancel_restriction):  # C4
            self._refuse_named(command, Reason.CANCEL_RESTRICTED)
        else:  # C1
            self._cancel_with_pair(order, Reason.USER_CANCELED)

    def _cancel_with_pair(self, order: Order, reason: Reason) -> None:  # L6
        if order.other is not None:
            self._end(order.other, EventKind.CANCELED, Reason.OCO_CANCELED)
        self._end(order, EventKind.CANCELED, reason)

    def _cancel_all(self, command: Command) -> None:
        own = [order for order in self.orders() if order.account == command.account]
        if is_outsider(command):  # O0
            self._refuse_named(command, Reason.INVALID_COMMAND)
        elif not own:  # G1
            self._refuse_named(command, Reason.UNKNOWN_ORDER)
        for order in own:  # C3
            self._end(order, EventKind.CANCELED, Reason.USER_CANCELED)

    def _amend(self, command: Command) -> None:
        order, limits, total = self._owned(command, command.order_id), self.instrument, command.qty_lots
        if self.halted:  # A2, in this precedence
            self._refuse_named(command, Reason.SYMBOL_HALTED)
        elif is_outsider(command):  # O0
            self._refuse_named(command, Reason.INVALID_COMMAND)
        elif order is None:
            self._refuse_named(command, Reason.UNKNOWN_ORDER)
        elif not order.qty_lots - order.leaves_lots < total < order.qty_lots:
            self._refuse_named(command, Reason.AMEND_NOT_REDUCED)
        elif order.ord_type not in MARKET_TYPES and not limits.min_qty_lots <= total <= limits.max_qty_lots:
            self._refuse_named(command, Reason.LOT_SIZE)
        elif order.ord_type in MARKET_TYPES and not (limits.market_min_qty_lots <= total <= limits.market_max_qty_lots):
            self._refuse_named(command, Reason.MARKET_LOT_SIZE)
        elif any(self._too_little(one, total) for one in with_pair(order)):  # L8
            self._refuse_named(command, Reason.NOTIONAL)
        elif order.amends >= limits.max_num_order_amends:
            self._refuse_named(command, Reason.MAX_NUM_ORDER_AMENDS)
        else:  # A1, L8
            for one in with_pair(order):
                one.leaves_lots -= one.qty_lots - total
                one.qty_lots = total
                one.shown = min(one.shown, one.leaves_lots)  # I5
                one.amends += 1
                self._tell_order(EventKind.AMENDED, one)

    def _too_little(self, order: Order, total: int) -> bool:  # A2
        price = order.price_ticks
        if order.ord_type in MARKET_TYPES:
            price = order.stop_price_ticks or self.last_price
        return price > 0 and self._notional(price, total) < self.instrument.min_notional_units

    # -- refusals of NEW and REPLACE ------------------------------------------------------------------------

    def _if_halted(self) -> Reason:  # R1
        return Reason.SYMBOL_HALTED if self.halted else Reason.NONE

    def _if_invalid(self, command: Command) -> Reason:  # R2
        by_quote = bool(command.flags & CommandFlag.BY_QUOTE)
        market = command.ord_type == OrdType.MARKET
        stops = command.ord_type in STOP_FAMILY
        gtc = command.ord_type == OrdType.LIMIT_MAKER or command.time_in_force == TimeInForce.GTC
        fees = (command.maker_fee_ppm, command.taker_fee_ppm)
        terms = (command.stop_price_ticks, command.display_lots, command.trailing_bips)
        invalid = (
            is_outsider(command)  # O0
            or command.side not in SIDES
            or command.ord_type not in ORD_TYPES
            or command.time_in_force not in TIMES_IN_FORCE
            or command.stp_mode not in STP_MODES
            or command.peg_type not in PEG_TYPES
            or command.list_role not in LIST_ROLES
            or command.cancel_restriction not in RESTRICTIONS
            or min(command.price_ticks, command.qty_lots, command.quote_units, *terms) < 0
            or not all(0 <= fee < PPM for fee in fees)
            or command.order_id <= 0
            or command.order_id in self._live
            or (by_quote and not market)
            or (market and command.qty_lots == 0 and not (by_quote and command.quote_units > 0))
            or (command.ord_type in MARKET_TYPES - {OrdType.MARKET} and command.qty_lots == 0)
            or stops != bool(command.stop_price_ticks or command.trailing_bips)  # R2a
            or (command.display_lots > 0 and (command.ord_type in MARKET_TYPES or not gtc))  # R2b
            or self._peg_is_malformed(command, gtc)
            or (command.kind == CommandKind.REPLACE and command.list_role in PAIRED)  # R2d
        )
        return Reason.INVALID_COMMAND if invalid else Reason.NONE

    def _peg_is_malformed(self, command: Command, gtc: bool) -> bool:  # R2c
        peg, ord_type = command.peg_type, command.ord_type
        if peg == PegType.NONE:
            return command.peg_offset > 0
        return (
            command.peg_offset > MAX_PEG_OFFSET
            or ord_type in MARKET_TYPES
            or (ord_type == OrdType.LIMIT_MAKER and peg != PegType.PRIMARY_PEG)
            or (ord_type == OrdType.LIMIT and peg == PegType.PRIMARY_PEG and not gtc)
        )

    def _if_target_differs(self, command: Command, target: Order | None) -> Reason:  # P1
        if target is None:
            return Reason.UNKNOWN_ORDER
        if command.expected_leaves >= 0 and command.expected_leaves != target.leaves_lots:
            return Reason.ORDER_CHANGED
        if restricted(target, command.cancel_restriction):
            return Reason.CANCEL_RESTRICTED
        return Reason.NONE

    def _limit_of(self, command: Command, gone: tuple[Order, ...]) -> int:
        """The limit it would enter the book with; 0: it has none (yet)."""
        if command.peg_type == PegType.NONE:
            return command.price_ticks
        if command.ord_type in STOP_FAMILY:  # K3
            return 0
        return self._peg_price(command.side, command.peg_type, command.peg_offset, gone)

    def _peg_price(self, side: int, peg_type: int, offset: int, gone: tuple[Order, ...]) -> int:  # K1
        from_side = side if peg_type == PegType.PRIMARY_PEG else 1 - side
        levels = self._prices(from_side, gone)
        return levels[offset] if offset < len(levels) else 0

    def _prices(self, side: int, gone: tuple[Order, ...]) -> list[int]:
        """Of the levels that exist, without the orders in `gone`, best first."""
        prices = {order.price_ticks for order in self._queues[side] if order not in gone}
        prices |= {level.price_ticks for level in self._outside.standing(side)}  # O1
        return sorted(prices, reverse=side == Side.BUY)

    def _if_filtered(self, command: Command, gone: tuple[Order, ...], ahead: int = 0) -> Reason:
        """R2e - R9; `gone`: what a REPLACE takes away (P1); `ahead`: orders placed just before it (L2)."""
        limits, qty, ord_type = self.instrument, command.qty_lots, command.ord_type
        by_quote = bool(command.flags & CommandFlag.BY_QUOTE)
        limited = ord_type not in MARKET_TYPES
        limit = self._limit_of(command, gone) if limited else 0
        if limited and command.peg_type and ord_type not in STOP_FAMILY and limit == 0:
            return Reason.PEG_UNAVAILABLE  # R2e
        prices = [limit] if limited else []
        if limited and command.peg_type:  # K2
            prices = [price for price in (command.price_ticks, limit) if price > 0]
        stop = command.stop_price_ticks
        for price in [*prices, stop] if stop else prices:  # R3
            if not limits.min_price_ticks <= price <= limits.max_price_ticks:
                return Reason.PRICE_FILTER
        for lots in (qty, command.display_lots) if command.display_lots else (qty,):  # R4
            if limited and not limits.min_qty_lots <= lots <= limits.max_qty_lots:
                return Reason.LOT_SIZE
        if not limited and not by_quote and not limits.market_min_qty_lots <= qty <= limits.market_max_qty_lots:
            return Reason.MARKET_LOT_SIZE  # R5
        if command.display_lots and -(-qty // command.display_lots) > limits.iceberg_parts:
            return Reason.ICEBERG_PARTS  # R5a
        if limited:  # R6
            notionals = [self._notional(price, qty) for price in prices]
        elif by_quote:
            notionals = [command.quote_units]
        else:
            price = stop or self.last_price
            notionals = [self._notional(price, qty)] if price else []
        if not all(limits.min_notional_units <= one <= limits.max_notional_units for one in notionals):
            return Reason.NOTIONAL
        if not all(self._in_band_of_side(command.side, price) for price in prices):
            return Reason.PERCENT_PRICE_BY_SIDE  # R7
        if not all(self._in_band(price) for price in prices):
            return Reason.PERCENT_PRICE  # R7a
        return self._if_conditions_fail(command) or self._if_no_room(command, limit, gone, ahead)

    def _in_band_of_side(self, side: int, price: int) -> bool:  # R7
        limits = self.instrument
        low, high = limits.bid_multiplier_down_ppm, limits.bid_multiplier_up_ppm
        if side == Side.SELL:
            low, high = limits.ask_multiplier_down_ppm, limits.ask_multiplier_up_ppm
        return self.last_price == 0 or self.last_price * low <= price * PPM <= self.last_price * high

    def _in_band(self, price: int) -> bool:  # R7a
        low, high = self.instrument.percent_multiplier_down_ppm, self.instrument.percent_multiplier_up_ppm
        return self.last_price == 0 or high == 0 or self.last_price * low <= price * PPM <= self.last_price * high

    def _if_conditions_fail(self, command: Command) -> Reason:
        limits, delta, stop = self.instrument, command.trailing_bips, command.stop_price_ticks
        rise = awaits_rise(command.ord_type, command.side)
        least, most = limits.min_trailing_below_bips, limits.max_trailing_below_bips
        if rise:
            least, most = limits.min_trailing_above_bips, limits.max_trailing_above_bips
        if delta and not least <= delta <= most:
            return Reason.TRAILING_DELTA  # R7b
        reached = self.last_price >= stop if rise else self.last_price <= stop
        if stop and self.last_price and reached:
            return Reason.STOP_WOULD_TRIGGER  # R7c
        return Reason.NONE

    def _if_no_room(self, command: Command, limit: int, gone: tuple[Order, ...], ahead: int) -> Reason:
        maker_only, stops = command.ord_type == OrdType.LIMIT_MAKER, command.ord_type in STOP_FAMILY
        if (
            command.peg_type
            and not stops
            and self._over_budget(command.side, command.quote_units, limit, command.qty_lots)
        ):
            return Reason.PEG_BUDGET  # R7d
        others = self._prices(1 - command.side, gone) if maker_only else []
        if others and crosses(command.side, limit, others[0]):
            return Reason.WOULD_TAKE  # R8
        gtc = command.ord_type == OrdType.LIMIT and command.time_in_force == TimeInForce.GTC
        if (maker_only or gtc or stops) and len(self._live) - len(gone) + ahead >= self.max_live_orders:
            return Reason.BOOK_FULL  # R9
        return Reason.NONE

    def _over_budget(self, side: int, budget: int, price: int, qty: int) -> bool:
        return side == Side.BUY and budget > 0 and self._notional(price, qty) > budget

    # -- the stop family ------------------------------------------------------------------------------------

    def _trigger(self, looked_at: int) -> None:  # T3, T4
        while self._waiting or self._tracking or self._line:
            trades = [event for event in self._events[looked_at:] if event.kind == EventKind.TRADE]
            looked_at = len(self._events)
            for event in trades:
                self._look_at(event.price_ticks)
            if not self._line:
                return
            self._enter(self._line.pop(0))

    def _look_at(self, price: int) -> None:  # T3
        tracking = list(self._tracking)
        for order in self.orders():
            if not order.waits or order.tracks or not order.reached_by(price):
                continue
            self._waiting.remove(order)
            if order.trailing_bips:  # T6
                order.tracks, order.extreme_ticks = True, price
                self._tracking.append(order)
                self._tell_order(EventKind.TRACKING, order, told_price=price)
            else:
                self._line.append(order)
        for order in tracking:  # T7
            turn = BIPS - order.trailing_bips if order.side == Side.SELL else BIPS + order.trailing_bips
            edge, now = order.extreme_ticks * turn, price * BIPS
            if order.extreme_ticks and (now <= edge if order.side == Side.SELL else now >= edge):
                self._tracking.remove(order)
                self._line.append(order)
            else:
                better = max if order.side == Side.SELL else min
                order.extreme_ticks = better(order.extreme_ticks, price) if order.extreme_ticks else price

    def _enter(self, order: Order) -> None:  # T4
        order.waits = False
        refused = self._choose_price(order) if order.peg_type else Reason.NONE
        self._tell_order(EventKind.TRIGGERED, order)
        self._end_other(order)  # L5
        if refused:  # K4
            del self._live[order.order_id]
            self._tell_order(EventKind.EXPIRED, order, reason=refused)
            return
        if order.ord_type in MARKET_TYPES and order.side == Side.BUY and order.budget_units > 0:
            order.quote_left = order.budget_units
        self._work(order)

    def _choose_price(self, order: Order) -> Reason:  # K4
        limits = self.instrument
        order.price_ticks = price = self._peg_price(order.side, order.peg_type, order.peg_offset, ())
        if price == 0:
            return Reason.PEG_UNAVAILABLE
        if not limits.min_price_ticks <= price <= limits.max_price_ticks:
            return Reason.PRICE_FILTER
        if not limits.min_notional_units <= self._notional(price, order.qty_lots) <= limits.max_notional_units:
            return Reason.NOTIONAL
        if not self._in_band_of_side(order.side, price):
            return Reason.PERCENT_PRICE_BY_SIDE
        if not self._in_band(price):
            return Reason.PERCENT_PRICE
        if self._over_budget(order.side, order.budget_units, price, order.qty_lots):
            return Reason.PEG_BUDGET
        return Reason.NONE

    # -- matching -------------------------------------------------------------------------------------------

    def _place(self, command: Command) -> Order:
        market, limit = command.ord_type in MARKET_TYPES, command.ord_type == OrdType.LIMIT_MAKER
        by_quote = bool(command.flags & CommandFlag.BY_QUOTE)
        stops = command.ord_type in STOP_FAMILY
        has_budget = command.ord_type == OrdType.MARKET and command.side == Side.BUY and command.quote_units > 0  # N7
        order = Order(
            order_id=command.order_id,
            account=command.account,
            side=command.side,
            ord_type=command.ord_type,
            time_in_force=TimeInForce.GTC if market or limit else command.time_in_force,  # N4, N10
            stp_mode=command.stp_mode,
            flags=command.flags,
            price_ticks=0 if market else self._limit_of(command, ()),  # N10, K3
            qty_lots=command.qty_lots,
            leaves_lots=command.qty_lots,
            maker_fee_ppm=command.maker_fee_ppm,
            taker_fee_ppm=command.taker_fee_ppm,
            by_quote=by_quote,
            quote_left=command.quote_units if by_quote or has_budget else None,
            budget_units=command.quote_units,
            stop_price_ticks=command.stop_price_ticks,
            trailing_bips=command.trailing_bips,
            peg_type=command.peg_type,
            peg_offset=command.peg_offset,
            display_lots=command.display_lots,
            waits=stops,
        )
        order.show()
        quote = command.quote_units if market or command.peg_type else 0
        self._tell_order(EventKind.ACCEPTED, order, quote_units=quote)  # N1
        self._live[order.order_id] = order
        if not stops:
            self._work(order)
        elif order.trailing_bips and not order.stop_price_ticks:  # T6
            order.tracks, order.extreme_ticks = True, self.last_price
            self._tracking.append(order)
        else:  # T2
            self._waiting.append(order)
        return order

    def _work(self, taker: Order) -> None:
        """It trades, then it rests or ends."""
        ended = None
        if taker.time_in_force == TimeInForce.FOK and not self._fills_whole(taker):
            ended = Reason.FOK_UNFILLED  # N6
        while ended is None:
            maker = self._next_maker(1 - taker.side)
            ended = self._end_before(taker, maker)
            if ended is None:
                assert maker is not None
                ended = self._meet(taker, maker)
        if ended != Reason.NONE or taker.leaves_lots == 0:
            del self._live[taker.order_id]
        if ended:
            match_id = self._prevented_id if ended == Reason.SELF_TRADE_PREVENTION else 0
            self._tell_order(EventKind.EXPIRED, taker, reason=ended, trade_id=match_id)
        elif taker.leaves_lots > 0:  # N4
            taker.show()
            insort(self._queues[taker.side], taker, key=distance)
            if self._outside.join(taker.side, taker.price_ticks, taker):  # O8
                self._tell_queued(taker)

    def _next_maker(self, side: int) -> "Order | OutsideLevel | None":  # G6, O7
        order = next(iter(self._queues[side]), None)
        level = next(iter(self._outside.standing(side)), None)
        if order is None or level is None:
            return order or level
        if order.price_ticks == level.price_ticks:
            return level if order.ahead_lots > 0 else order
        return order if distance(order) < distance(level) else level

    def _fills_whole(self, taker: Order) -> bool:  # N6, S6
        missing = taker.leaves_lots
        for maker, lots in self._as_met(taker):
            if missing <= 0:
                break
            if maker is None or not self_trade(taker, maker):
                missing -= lots
            elif taker.stp_mode != StpMode.EXPIRE_MAKER:
                return False
        return missing <= 0

    def _as_met(self, taker: Order) -> Iterator[tuple[Order | None, int]]:
        """Makers with what each shows, in the order in which a taker meets them; an iceberg again and again (I2).

        None: the outside (O7).
        """
        side = 1 - taker.side
        for price in self._prices(side, ()):
            if not crosses(taker.side, taker.price_ticks, price):
                return
            level = self._outside.at(side, price)
            available = level.available_lots if level else 0
            queue = [Met(one, one.visible_lots, one.leaves_lots, one.ahead_lots) for one in self._standing(side, price)]
            while queue or available:
                if available and (not queue or queue[0].ahead > 0):
                    lots = min(available, queue[0].ahead) if queue else available
                    yield None, lots
                    available -= lots
                    for met in queue:
                        met.ahead = max(0, met.ahead - lots)
                    continue
                met = queue.pop(0)
                yield met.order, met.shown
                if met.leaves > met.shown and not self_trade(taker, met.order):
                    left = met.leaves - met.shown
                    ahead = 0 if model_of(met.order) == FillModel.TOUCH else available  # O8
                    queue.append(Met(met.order, min(met.order.display_lots, left), left, ahead))

    def _end_before(self, taker: Order, maker: Order | OutsideLevel | None) -> Reason | None:
        """Why the taker ends before it meets `maker`, the best (NONE: with no event); None: it goes on."""
        if taker.by_quote:  # N8, in this order
            if taker.quote_left == 0:
                return Reason.QUOTE_SPENT
            if maker is None:
                return Reason.INSUFFICIENT_LIQUIDITY
            if self._affordable(taker, maker) == 0:
                return Reason.QUOTE_SPENT
            if taker.leaves_lots == 0 and not taker.without_cap:
                return Reason.BUDGET_EXHAUSTED
            return None
        if taker.leaves_lots == 0:  # N3
            return Reason.NONE
        if taker.ord_type in MARKET_TYPES:  # N7
            if maker is None:
                return Reason.INSUFFICIENT_LIQUIDITY
            if taker.quote_left is not None and self._affordable(taker, maker) == 0:
                return Reason.BUDGET_EXHAUSTED
            return None
        if maker is not None and crosses(taker.side, taker.price_ticks, maker.price_ticks):  # N2
            return None
        return Reason.IOC_UNFILLED if taker.time_in_force == TimeInForce.IOC else Reason.NONE  # N5, N4

    def _meet(self, taker: Order, maker: Order | OutsideLevel) -> Reason | None:
        """One TRADE, or self-trade prevention; tells why the taker ends, None: it goes on."""
        mode = taker.stp_mode
        if isinstance(maker, OutsideLevel):  # O7
            self._take_outside(taker, maker)
            return None
        if not self_trade(taker, maker):  # N2, S0
            self._trade(taker, maker)
            return None
        self._prevented_id += 1
        if mode in DECREMENTS and not taker.without_cap:  # S4
            self._decrement(taker, maker)
            return None if taker.leaves_lots > 0 else Reason.SELF_TRADE_PREVENTION
        self._tell_both(EventKind.PREVENTED, taker, maker, 0, maker.leaves_lots, trade_id=self._prevented_id)
        if mode in (StpMode.EXPIRE_MAKER, StpMode.EXPIRE_BOTH):  # S2, S3
            self._expire_maker(maker)
        return None if mode == StpMode.EXPIRE_MAKER else Reason.SELF_TRADE_PREVENTION  # S1, S3

    def _trade(self, taker: Order, maker: Order) -> None:  # N2
        self._tell_queued(maker)
        qty = self._tradable(taker, maker, maker.visible_lots)
        self._take_off(qty, taker, maker)
        self._tell_trade(taker, maker, qty, maker.leaves_lots, maker.maker_fee_ppm)
        self._after_trade(maker)

    def _tell_trade(self, taker: Order, maker: Order | OutsideLevel, qty: int, left: int, fee: int) -> None:
        """`left`: the maker's leaves after it."""
        notional = self._notional(maker.price_ticks, qty)
        if taker.quote_left is not None:
            taker.quote_left -= notional
        self._tell_both(
            EventKind.TRADE,
            taker,
            maker,
            qty,
            left,
            quote_units=notional,
            trade_id=self._next_trade_id(maker.price_ticks),
            maker_fee_ppm=fee,
            taker_fee_ppm=taker.taker_fee_ppm,
        )

    def _next_trade_id(self, price: int) -> int:
        self.last_price = price  # G7
        self._trade_id += 1
        return self._trade_id

    def _after_trade(self, maker: Order) -> None:
        self._end_other(maker)  # L4
        if maker.leaves_lots == 0:  # N3
            self._remove(maker)
        else:
            self._show_anew(maker)

    def _decrement(self, taker: Order, maker: Order) -> None:  # S4
        qty = min(taker.leaves_lots, maker.visible_lots)
        self._take_off(qty, taker, maker)
        taker.prevented_lots += qty
        maker.prevented_lots += qty
        self._tell_both(EventKind.PREVENTED, taker, maker, qty, maker.leaves_lots, trade_id=self._prevented_id)
        if maker.leaves_lots == 0:
            self._expire_maker(maker)
        else:
            self._end_other(maker)  # L4
            self._show_anew(maker)

    def _expire_maker(self, maker: Order) -> None:  # S2, S3, S4, L4
        self._remove(maker)
        reason, match_id = Reason.SELF_TRADE_PREVENTION, self._prevented_id
        self._tell_order(EventKind.EXPIRED, maker, reason=reason, trade_id=match_id)
        self._end_other(maker)

    def _end_other(self, order: Order) -> None:  # L4, L5
        if order.other is not None:
            self._end(order.other, EventKind.EXPIRED, Reason.OCO_TRIGGER)

    def _show_anew(self, maker: Order) -> None:  # I2
        if maker.display_lots and maker.shown == 0:
            queue = self._queues[maker.side]
            queue.remove(maker)
            maker.show()
            insort(queue, maker, key=distance)
            self._outside.join(maker.side, maker.price_ticks, maker)  # O8, untold

    def _tradable(self, taker: Order, maker: Order | OutsideLevel, offered: int) -> int:  # N2, N7, N8
        most = [offered]
        if not taker.without_cap:
            most.append(taker.leaves_lots)
        if taker.quote_left is not None:
            most.append(self._affordable(taker, maker))
        return min(most)

    def _affordable(self, taker: Order, maker: Order | OutsideLevel) -> int:
        assert taker.quote_left is not None
        return taker.quote_left // self._notional(maker.price_ticks, 1)

    def _notional(self, price: int, qty: int) -> int:
        return price * qty * self._units

    def _take_off(self, qty: int, taker: Order, maker: Order) -> None:
        self._take_off_maker(qty, maker)
        if not taker.without_cap:  # N9
            taker.leaves_lots -= qty

    def _take_off_maker(self, qty: int, maker: Order) -> None:
        assert qty > 0
        maker.leaves_lots -= qty
        maker.shown -= qty if maker.display_lots else 0

    # -- outside liquidity ----------------------------------------------------------------------------------

    def _outside_is_malformed(self, command: Command) -> bool:  # O0
        kind, flags, price, qty = command.kind, command.flags, command.price_ticks, command.qty_lots
        bounded = self._notional(price, qty) < OUTSIDE_NOTIONALS
        shows = command.side in SIDES and 0 < price < OUTSIDE_PRICES and bounded
        well_formed = {
            CommandKind.OUTSIDE_LEVEL: shows and qty >= 0 and flags in (0, OUTSIDE_EDGE),  # O2
            CommandKind.OUTSIDE_QUOTE: ((shows and qty > 0) or (command.side in SIDES and price == qty == 0))
            and flags == 0,  # O3
            CommandKind.OUTSIDE_TRADE: shows and qty > 0 and flags == 0,  # O4
            CommandKind.OUTSIDE_CLEAR: flags == 0,  # O5
            CommandKind.OUTSIDE_STATUS: qty in (0, 1) and flags == 0,  # O6
        }
        return not (is_outsider(command) and well_formed[CommandKind(kind)])

    def _outside_level(self, command: Command) -> None:  # O2
        side, price, shown = command.side, command.price_ticks, command.qty_lots
        edge = command.flags == OUTSIDE_EDGE
        if shown == 0:
            self._outside_goes(side, price, edge)
            return
        for other in self._outside.of(1 - side):  # O2b
            if crosses(side, price, other.price_ticks):
                self._outside_goes(other.side, other.price_ticks, edge=False)
        queue = self._standing(side, price)
        level = self._outside.at(side, price)
        if level is not None:
            self._outside.change(level, shown, queue)
        else:
            level = OutsideLevel(side, price, shown)
            got = self._outside.come(level, queue, edge)
            for order in queue:
                if order in got:
                    self._tell_queued(order)
        self._take_crossed(level)

    def _outside_goes(self, side: int, price: int, edge: bool) -> None:  # O2a
        self._outside.go(side, price, self._standing(side, price), edge)

    def _take_crossed(self, level: OutsideLevel) -> None:  # O2e
        makers = self._queues[1 - level.side]
        while level.available_lots > 0 and makers and crosses(level.side, level.price_ticks, makers[0].price_ticks):
            maker = makers[0]
            self._tell_queued(maker)
            qty = min(level.available_lots, maker.visible_lots)
            level.take(qty)
            self._outside_takes(maker, qty, level.available_lots, level.order_id)

    def _outside_quote(self, command: Command) -> None:  # O3
        side, price = command.side, command.price_ticks
        for level in self._outside.of(side):
            if price == 0 or better(side, level.price_ticks, price):
                self._outside_goes(side, level.price_ticks, edge=False)
        if price > 0:
            self._outside_level(command)

    def _outside_trade(self, command: Command) -> None:  # O4
        price, left = command.price_ticks, command.qty_lots
        makers = self._queues[1 - command.side]
        while left > 0 and makers and better(1 - command.side, makers[0].price_ticks, price):  # O4a
            maker = makers[0]
            if maker.is_queued:
                trade_ahead(maker, maker.ahead_lots)
            qty = min(left, maker.visible_lots)
            left -= qty
            self._tell_queued(maker)
            self._outside_takes(maker, qty, left, order_id=0)
        if left > 0:
            left -= self._print_at(command, left)
        if left > 0:  # O4c
            self._tell(
                EventKind.TRADE,
                None,
                side=command.side,
                account=OUTSIDE_ACCOUNT,
                price_ticks=price,
                qty_lots=left,
                quote_units=self._notional(price, left),
                maker_account=OUTSIDE_ACCOUNT,
                trade_id=self._next_trade_id(price),
            )

    def _print_at(self, command: Command, printed: int) -> int:  # O4b
        """What the users' orders at the price of the print get of it."""
        side, price = 1 - command.side, command.price_ticks
        level = self._outside.at(side, price)
        known_gone = 0
        if level is not None:
            known_gone = min(printed, level.unclaimed_lots)
            level.unclaimed_lots -= known_gone
            level.printed_lots += printed - known_gone
        filled = 0
        for order in self._standing(side, price):
            open_lots = printed - filled
            if open_lots == 0:
                break
            ahead = order.ahead_lots if order.is_queued else 0
            known = 0
            if level is not None and ahead > 0 and model_of(order) == FillModel.PROPORTIONAL:
                most = min(known_gone, open_lots)
                known = most * ahead // max(level.shown_lots + most, ahead)
            passed = min(ahead, open_lots - known)
            visible = order.visible_lots
            fill = 0 if model_of(order) == FillModel.THROUGH else min(open_lots - known - passed, visible)
            if passed > 0:
                trade_ahead(order, passed)
            if fill > 0:
                filled += fill
                self._tell_queued(order)
                self._outside_takes(order, fill, printed - filled, order_id=0)
            if 0 < fill < visible:
                break
        return filled

    def _outside_clear(self, command: Command) -> None:  # O5
        for side in Side:
            for level in self._outside.of(side):
                self._outside_goes(side, level.price_ticks, edge=True)

    def _outside_status(self, command: Command) -> None:  # O6
        self.halted = command.qty_lots == 0

    def _outside_takes(self, maker: Order, qty: int, left: int, order_id: int) -> None:  # O2e, O4a
        """The outside, with `left` lots after it, is the taker of a user's order."""
        self._take_off_maker(qty, maker)
        self._tell(
            EventKind.TRADE,
            None,
            side=1 - maker.side,
            account=OUTSIDE_ACCOUNT,
            order_id=order_id,
            price_ticks=maker.price_ticks,
            qty_lots=qty,
            leaves_lots=left,
            quote_units=self._notional(maker.price_ticks, qty),
            maker_order_id=maker.order_id,
            maker_account=maker.account,
            maker_leaves_lots=maker.leaves_lots,
            trade_id=self._next_trade_id(maker.price_ticks),
            maker_fee_ppm=maker.maker_fee_ppm,
        )
        self._after_trade(maker)

    def _take_outside(self, taker: Order, level: OutsideLevel) -> None:  # O7
        queue = self._standing(level.side, level.price_ticks)
        offered = min(level.available_lots, queue[0].ahead_lots) if queue else level.available_lots
        qty = self._tradable(taker, level, offered)
        if not taker.without_cap:  # N9
            taker.leaves_lots -= qty
        level.take(qty)
        for order in queue:
            if order.is_queued:
                trade_ahead(order, min(order.ahead_lots, qty))
        self._tell_trade(taker, level, qty, level.available_lots, fee=0)

    def _standing(self, side: int, price: int) -> list[Order]:
        """The users' orders in the book at a price, by time."""
        return [order for order in self._queues[side] if order.price_ticks == price]

    # -- the live orders ------------------------------------------------------------------------------------

    def _owned(self, command: Command, order_id: int) -> Order | None:
        order = self._live.get(order_id)
        return order if order is not None and order.account == command.account else None

    def _remove(self, order: Order) -> None:
        """From wherever it stands."""
        del self._live[order.order_id]
        queue = self._queues[order.side]
        at = place_in(queue, order)
        if at is not None:
            del queue[at]
        for place in (self._waiting, self._tracking, self._line):
            if order in place:
                place.remove(order)
        if order.other is not None:  # L9
            order.other.other = None

    def _end(self, order: Order, kind: EventKind, reason: Reason) -> None:
        self._remove(order)
        self._tell_order(kind, order, reason=reason)

    # -- events ---------------------------------------------------------------------------------------------

    def _tell(self, kind: EventKind, of: Order | Command | None, **fields: int) -> None:
        if of is not None:  # G3
            fields |= {
                "side": of.side,
                "ord_type": of.ord_type,
                "time_in_force": of.time_in_force,
                "stp_mode": of.stp_mode,
                "flags": of.flags,
                "account": of.account,
                "order_id": of.order_id,
            }
        self._exec_id += 1  # G2
        self._events.append(
            Event(
                kind=kind,
                symbol=self.symbol_id,
                command_index=self._index,
                command_kind=self._kind,
                exec_id=self._exec_id,
                **fields,
            )
        )

    def _tell_order(self, kind: EventKind, order: Order, **fields: int) -> None:
        """An event about one order: its own price (or `told_price`), its total quantity, its leaves."""
        price = fields.pop("told_price", order.price_ticks)
        fields |= {"price_ticks": price, "qty_lots": order.qty_lots}
        self._tell(kind, order, leaves_lots=order.leaves_lots, **fields)

    def _tell_queued(self, order: Order) -> None:  # O9
        if not order.is_queued:
            return
        queue = order.ahead_lots + order.by_trades_lots + order.by_cancels_lots
        self._tell(
            EventKind.QUEUED,
            order,
            price_ticks=order.price_ticks,
            qty_lots=queue,
            leaves_lots=order.leaves_lots,
            quote_units=order.ahead_lots,
            maker_leaves_lots=order.by_trades_lots,
        )

    def _tell_both(
        self, kind: EventKind, taker: Order, maker: Order | OutsideLevel, qty: int, left: int, **fields: int
    ) -> None:
        self._tell(
            kind,
            taker,
            price_ticks=maker.price_ticks,
            qty_lots=qty,
            leaves_lots=taker.leaves_lots,
            maker_order_id=maker.order_id,
            maker_account=maker.account,
            maker_leaves_lots=left,
            **fields,
        )

    def _refuse_order(self, command: Command, reason: Reason) -> None:
        """Of NEW and REPLACE: told as the command has it."""
        price, qty = command.price_ticks, command.qty_lots
        self._tell(EventKind.REJECTED, command, price_ticks=price, qty_lots=qty, reason=reason)

    def _refuse_named(self, command: Command, reason: Reason) -> None:
        """Of the kinds that place no order (G3, C2): nothing is told of it but what it names."""
        self._tell_refusal(command, command.order_id, reason)

    def _tell_refusal(self, command: Command, order_id: int, reason: Reason) -> None:
        self._tell(EventKind.REJECTED, None, account=command.account, order_id=order_id, reason=reason)


def awaits_rise(ord_type: int, side: int) -> bool:
    if ord_type in STOP_LOSSES:
        return side == Side.BUY
    return ord_type in TAKE_PROFITS and side == Side.SELL


def restricted(order: Order, restriction: int) -> bool:  # C4
    filled = order.qty_lots - order.leaves_lots - order.prevented_lots
    if restriction == CancelRestriction.ONLY_NEW:
        return filled > 0
    return restriction == CancelRestriction.ONLY_PARTIALLY_FILLED and filled == 0


def is_pair(first: Command, second: Command) -> bool:  # L1
    legs = (first, second)
    stops = [leg for leg in legs if leg.ord_type in STOP_LOSSES]
    far = [leg for leg in legs if leg.ord_type in TAKE_PROFITS | {OrdType.LIMIT_MAKER}]
    same = ("kind", "list_id", "account", "side", "qty_lots")
    return (
        (first.list_role, second.list_role) == (ListRole.OCO_FIRST, ListRole.OCO_SECOND)
        and first.kind == CommandKind.NEW
        and first.list_id > 0
        and all(getattr(first, name) == getattr(second, name) for name in same)
        and first.order_id != second.order_id
        and len(stops) == len(far) == 1
    )


def with_pair(order: Order) -> list[Order]:  # L8
    return [order.other, order] if order.other else [order]


def is_outsider(command: Command) -> bool:  # O0
    return command.account == OUTSIDE_ACCOUNT


def better(side: int, price: int, than: int) -> bool:
    """G6: of two orders of a side."""
    return price > than if side == Side.BUY else price < than


def crosses(side: int, limit: int, price: int) -> bool:
    return price <= limit if side == Side.BUY else price >= limit


def self_trade(taker: Order, maker: Order) -> bool:
    return taker.account == maker.account and taker.stp_mode != StpMode.NONE


def place_in(queue: list[Order], order: Order) -> int | None:
    """Of an order in its queue; None: it does not stand there."""
    at = bisect_left(queue, distance(order), key=distance)
    while at < len(queue) and queue[at].price_ticks == order.price_ticks:
        if queue[at] is order:
            return at
        at += 1
    return None


def distance(order: Order | OutsideLevel) -> int:
    """G6: smaller is better."""
    return -order.price_ticks if order.side == Side.BUY else order.price_ticks
