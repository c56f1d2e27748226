"""The oracle of the matching engine: market/book/SEMANTICS.md in plain Python, each branch quoting its case.

Written from that page and nothing else; it must never import the engine. Clarity before speed.
"""

from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from market.enums import CommandFlag, CommandKind, EventKind, OrdType, Side, StpMode, TimeInForce
from market.instrument import PPM, Instrument
from market.reasons import Reason
from market.records import COMMAND, EVENT

SIDES, TIMES_IN_FORCE = map(set, (Side, TimeInForce))
ORD_TYPES, STP_MODES = set(list(OrdType)[:3]), set(list(StpMode)[:5])


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
    # Only while it takes:
    taker_fee_ppm: int
    by_quote: bool
    quote_left: int | None
    """What is left of a BUY's budget (N7) or of the amount (N8); None: not limited by money."""

    @property
    def without_cap(self) -> bool:
        """N9: MARKET BY_QUOTE that limits no quantity."""
        return self.by_quote and self.qty_lots == 0


class NaiveBook:
    def __init__(self, instrument: Instrument, symbol_id: int, max_live_orders: int = 1 << 20) -> None:
        self.instrument = instrument
        self.symbol_id = symbol_id
        self.max_live_orders = max_live_orders
        self.halted = False
        self.last_price = 0  # G7
        self._units = instrument.quote_units_per_tick_lot
        self._resting: dict[int, Order] = {}
        self._queues: dict[int, list[Order]] = {Side.BUY: [], Side.SELL: []}  # G6: in order of priority
        self._exec_id = 0  # G2
        self._trade_id = 0
        self._events: list[Event] = []

    def apply(self, commands: np.ndarray) -> list[Event]:
        cases: dict[int, Callable[[Command], None]] = {
            CommandKind.NEW: self._new,
            CommandKind.CANCEL: self._cancel,
            CommandKind.REPLACE: self._replace,
            CommandKind.AMEND: self._amend,
            CommandKind.CANCEL_ALL: self._cancel_all,
        }
        self._events = []
        for self._index, row in enumerate(commands.tolist()):
            command = Command._make(row)
            self._kind = command.kind
            cases.get(command.kind, self._unknown_kind)(command)
        return self._events

    def depth(self, side: int) -> list[tuple[int, int, int]]:
        """(price_ticks, qty_lots, orders) of every level, best first."""
        levels: dict[int, tuple[int, int]] = {}
        for order in self._queues[side]:
            qty, count = levels.get(order.price_ticks, (0, 0))
            levels[order.price_ticks] = (qty + order.leaves_lots, count + 1)
        return [(price, qty, count) for price, (qty, count) in levels.items()]

    def orders(self) -> list[Order]:
        """Bids, then asks, each by priority."""
        return self._queues[Side.BUY] + self._queues[Side.SELL]

    # -- the kinds of command -------------------------------------------------------------------------------

    def _unknown_kind(self, command: Command) -> None:  # R2
        self._refuse_named(command, Reason.INVALID_COMMAND)

    def _new(self, command: Command) -> None:
        reason = self._if_halted() or self._if_invalid(command) or self._if_filtered(command, gone=None)
        if reason:
            self._refuse_order(command, reason)
        else:
            self._place(command)

    def _replace(self, command: Command) -> None:
        target = self._owned(command, command.target_id)
        reason = (  # P1
            self._if_halted()
            or self._if_invalid(command)
            or self._if_target_differs(command, target)
            or self._if_filtered(command, gone=target)
        )
        if reason:
            self._refuse_order(command, reason)
        else:  # P2
            assert target is not None
            self._end(target, EventKind.CANCELED, Reason.REPLACED)
            self._place(command)

    def _cancel(self, command: Command) -> None:
        order = self._owned(command, command.order_id)
        if order is None:  # C2
            self._refuse_named(command, Reason.UNKNOWN_ORDER)
        else:  # C1
            self._end(order, EventKind.CANCELED, Reason.USER_CANCELED)

    def _cancel_all(self, command: Command) -> None:
        own = [order for order in self.orders() if order.account == command.account]
        if not own:  # G1
            self._refuse_named(command, Reason.UNKNOWN_ORDER)
        for order in own:  # C3
            self._end(order, EventKind.CANCELED, Reason.USER_CANCELED)

    def _amend(self, command: Command) -> None:
        order, limits, total = self._owned(command, command.order_id), self.instrument, command.qty_lots
        if self.halted:  # A2, in this precedence
            self._refuse_named(command, Reason.SYMBOL_HALTED)
        elif order is None:
            self._refuse_named(command, Reason.UNKNOWN_ORDER)
        elif not order.qty_lots - order.leaves_lots < total < order.qty_lots:
            self._refuse_named(command, Reason.AMEND_NOT_REDUCED)
        elif not limits.min_qty_lots <= total <= limits.max_qty_lots:
            self._refuse_named(command, Reason.LOT_SIZE)
        elif self._notional(order.price_ticks, total) < limits.min_notional_units:
            self._refuse_named(command, Reason.NOTIONAL)
        else:  # A1
            order.leaves_lots -= order.qty_lots - total
            order.qty_lots = total
            self._tell_order(EventKind.AMENDED, order)

    # -- refusals of NEW and REPLACE ------------------------------------------------------------------------

    def _if_halted(self) -> Reason:  # R1
        return Reason.SYMBOL_HALTED if self.halted else Reason.NONE

    def _if_invalid(self, command: Command) -> Reason:  # R2
        by_quote = bool(command.flags & CommandFlag.BY_QUOTE)
        market = command.ord_type == OrdType.MARKET
        fees = (command.maker_fee_ppm, command.taker_fee_ppm)
        invalid = (
            command.side not in SIDES
            or command.ord_type not in ORD_TYPES
            or command.time_in_force not in TIMES_IN_FORCE
            or command.stp_mode not in STP_MODES
            or min(command.price_ticks, command.qty_lots, command.quote_units) < 0
            or not all(0 <= fee < PPM for fee in fees)
            or command.order_id <= 0
            or command.order_id in self._resting
            or (by_quote and not market)
            or (market and command.qty_lots == 0 and not (by_quote and command.quote_units > 0))
        )
        return Reason.INVALID_COMMAND if invalid else Reason.NONE

    def _if_target_differs(self, command: Command, target: Order | None) -> Reason:  # P1
        if target is None:
            return Reason.UNKNOWN_ORDER
        if command.expected_leaves >= 0 and command.expected_leaves != target.leaves_lots:
            return Reason.ORDER_CHANGED
        return Reason.NONE

    def _if_filtered(self, command: Command, gone: Order | None) -> Reason:
        """R3 - R9; `gone` is the target of a REPLACE, which R8 and R9 do not see (P1)."""
        limits, price, qty = self.instrument, command.price_ticks, command.qty_lots
        by_quote = bool(command.flags & CommandFlag.BY_QUOTE)
        limited = command.ord_type in (OrdType.LIMIT, OrdType.LIMIT_MAKER)
        if limited and not limits.min_price_ticks <= price <= limits.max_price_ticks:
            return Reason.PRICE_FILTER  # R3
        if limited and not limits.min_qty_lots <= qty <= limits.max_qty_lots:
            return Reason.LOT_SIZE  # R4
        if not limited and not by_quote and not limits.market_min_qty_lots <= qty <= limits.market_max_qty_lots:
            return Reason.MARKET_LOT_SIZE  # R5
        if limited:  # R6
            notional = self._notional(price, qty)
        else:
            notional = command.quote_units if by_quote else self._notional(self.last_price, qty)
        looked_at = limited or by_quote or self.last_price > 0
        if looked_at and not limits.min_notional_units <= notional <= limits.max_notional_units:
            return Reason.NOTIONAL
        if limited and self.last_price > 0:  # R7
            low, high = limits.bid_multiplier_down_ppm, limits.bid_multiplier_up_ppm
            if command.side == Side.SELL:
                low, high = limits.ask_multiplier_down_ppm, limits.ask_multiplier_up_ppm
            if not self.last_price * low <= price * PPM <= self.last_price * high:
                return Reason.PERCENT_PRICE_BY_SIDE
        others = (order for order in self._queues[1 - command.side] if order is not gone)
        best = next(others, None)
        maker_only = command.ord_type == OrdType.LIMIT_MAKER
        if maker_only and best is not None and crosses(command.side, price, best.price_ticks):
            return Reason.WOULD_TAKE  # R8
        may_rest = maker_only or (limited and command.time_in_force == TimeInForce.GTC)  # N4
        if may_rest and len(self._resting) - (gone is not None) >= self.max_live_orders:
            return Reason.BOOK_FULL  # R9
        return Reason.NONE

    # -- matching -------------------------------------------------------------------------------------------

    def _place(self, command: Command) -> None:
        market, limit = command.ord_type == OrdType.MARKET, command.ord_type == OrdType.LIMIT
        by_quote = bool(command.flags & CommandFlag.BY_QUOTE)
        has_budget = market and command.side == Side.BUY and command.quote_units > 0  # N7
        taker = Order(
            order_id=command.order_id,
            account=command.account,
            side=command.side,
            ord_type=command.ord_type,
            time_in_force=command.time_in_force if limit else TimeInForce.GTC,  # N4, N10
            stp_mode=command.stp_mode,
            flags=command.flags,
            price_ticks=0 if market else command.price_ticks,  # N10
            qty_lots=command.qty_lots,
            leaves_lots=command.qty_lots,
            maker_fee_ppm=command.maker_fee_ppm,
            taker_fee_ppm=command.taker_fee_ppm,
            by_quote=by_quote,
            quote_left=command.quote_units if by_quote or has_budget else None,
        )
        self._tell_order(EventKind.ACCEPTED, taker, quote_units=command.quote_units if market else 0)  # N1
        makers = self._queues[1 - taker.side]
        ended = None
        if taker.time_in_force == TimeInForce.FOK and not self._fills_whole(taker, makers):
            ended = Reason.FOK_UNFILLED  # N6
        while ended is None:
            ended = self._end_before(taker, makers[0] if makers else None)
            if ended is None:
                ended = self._meet(taker, makers[0])
        if ended:
            self._tell_order(EventKind.EXPIRED, taker, reason=ended)
        elif taker.leaves_lots > 0:  # N4
            self._resting[taker.order_id] = taker
            insort(self._queues[taker.side], taker, key=distance)

    def _fills_whole(self, taker: Order, makers: list[Order]) -> bool:  # N6, S6
        found = 0
        for maker in makers:
            if found >= taker.leaves_lots or not crosses(taker.side, taker.price_ticks, maker.price_ticks):
                break
            if not self_trade(taker, maker):
                found += maker.leaves_lots
            elif taker.stp_mode != StpMode.EXPIRE_MAKER:
                return False
        return found >= taker.leaves_lots

    def _end_before(self, taker: Order, maker: Order | None) -> Reason | None:
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
        if taker.ord_type == OrdType.MARKET:  # N7
            if maker is None:
                return Reason.INSUFFICIENT_LIQUIDITY
            if taker.quote_left is not None and self._affordable(taker, maker) == 0:
                return Reason.BUDGET_EXHAUSTED
            return None
        if maker is not None and crosses(taker.side, taker.price_ticks, maker.price_ticks):  # N2
            return None
        return Reason.IOC_UNFILLED if taker.time_in_force == TimeInForce.IOC else Reason.NONE  # N5, N4

    def _meet(self, taker: Order, maker: Order) -> Reason | None:
        """One TRADE, or self-trade prevention; tells why the taker ends, None: it goes on."""
        mode = taker.stp_mode
        if not self_trade(taker, maker):  # N2, S0
            self._trade(taker, maker)
            return None
        if mode == StpMode.DECREMENT and not taker.without_cap:  # S4
            self._decrement(taker, maker)
            return None if taker.leaves_lots > 0 else Reason.SELF_TRADE_PREVENTION
        if mode in (StpMode.EXPIRE_MAKER, StpMode.EXPIRE_BOTH):  # S2, S3
            self._end(maker, EventKind.EXPIRED, Reason.SELF_TRADE_PREVENTION)
        return None if mode == StpMode.EXPIRE_MAKER else Reason.SELF_TRADE_PREVENTION  # S1, S3

    def _trade(self, taker: Order, maker: Order) -> None:  # N2
        qty = self._tradable(taker, maker)
        notional = self._notional(maker.price_ticks, qty)
        self._take_off(qty, taker, maker)
        if taker.quote_left is not None:
            taker.quote_left -= notional
        self.last_price = maker.price_ticks  # G7
        self._trade_id += 1
        self._tell_both(
            EventKind.TRADE,
            taker,
            maker,
            qty,
            quote_units=notional,
            trade_id=self._trade_id,
            maker_fee_ppm=maker.maker_fee_ppm,
            taker_fee_ppm=taker.taker_fee_ppm,
        )
        if maker.leaves_lots == 0:  # N3
            self._remove(maker)

    def _decrement(self, taker: Order, maker: Order) -> None:  # S4
        qty = min(taker.leaves_lots, maker.leaves_lots)
        self._take_off(qty, taker, maker)
        self._tell_both(EventKind.PREVENTED, taker, maker, qty)
        if maker.leaves_lots == 0:
            self._end(maker, EventKind.EXPIRED, Reason.SELF_TRADE_PREVENTION)

    def _tradable(self, taker: Order, maker: Order) -> int:  # N2, N7, N8
        most = [maker.leaves_lots]
        if not taker.without_cap:
            most.append(taker.leaves_lots)
        if taker.quote_left is not None:
            most.append(self._affordable(taker, maker))
        return min(most)

    def _affordable(self, taker: Order, maker: Order) -> int:
        assert taker.quote_left is not None
        return taker.quote_left // self._notional(maker.price_ticks, 1)

    def _notional(self, price: int, qty: int) -> int:
        return price * qty * self._units

    def _take_off(self, qty: int, taker: Order, maker: Order) -> None:
        assert qty > 0
        maker.leaves_lots -= qty
        if not taker.without_cap:  # N9
            taker.leaves_lots -= qty

    # -- the resting orders ---------------------------------------------------------------------------------

    def _owned(self, command: Command, order_id: int) -> Order | None:
        order = self._resting.get(order_id)
        return order if order is not None and order.account == command.account else None

    def _remove(self, order: Order) -> None:
        del self._resting[order.order_id]
        self._queues[order.side].remove(order)

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
        """An event about one order: its own price, its total quantity, its leaves."""
        fields |= {"price_ticks": order.price_ticks, "qty_lots": order.qty_lots}
        self._tell(kind, order, leaves_lots=order.leaves_lots, **fields)

    def _tell_both(self, kind: EventKind, taker: Order, maker: Order, qty: int, **fields: int) -> None:
        self._tell(
            kind,
            taker,
            price_ticks=maker.price_ticks,
            qty_lots=qty,
            leaves_lots=taker.leaves_lots,
            maker_order_id=maker.order_id,
            maker_account=maker.account,
            maker_leaves_lots=maker.leaves_lots,
            **fields,
        )

    def _refuse_order(self, command: Command, reason: Reason) -> None:
        """Of NEW and REPLACE: told as the command has it."""
        price, qty = command.price_ticks, command.qty_lots
        self._tell(EventKind.REJECTED, command, price_ticks=price, qty_lots=qty, reason=reason)

    def _refuse_named(self, command: Command, reason: Reason) -> None:
        """Of the kinds that place no order (G3, C2): nothing is told of it but what it names."""
        self._tell(EventKind.REJECTED, None, account=command.account, order_id=command.order_id, reason=reason)


def crosses(side: int, limit: int, price: int) -> bool:
    return price <= limit if side == Side.BUY else price >= limit


def self_trade(taker: Order, maker: Order) -> bool:
    return taker.account == maker.account and taker.stp_mode != StpMode.NONE


def distance(order: Order) -> int:
    """G6: smaller is better."""
    return -order.price_ticks if order.side == Side.BUY else order.price_ticks
