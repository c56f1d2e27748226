"""Which commands go to a book, and what is reserved for them.

A command is refused with the first reason that applies, in the order of `Reason`; money is looked at last,
because only a well-formed order has a price. No product is formed that could leave 62 bits.

A REPLACE may borrow what its target of the same side locks: it reserves what is free and takes the rest over when
the book has canceled the target; the book refuses it when the target's leaves are no longer those that the loan
was computed from.

A BUY whose price is not known when it is placed (MARKET, STOP_LOSS, TAKE_PROFIT, pegged) gets a budget: a tenth more
than it would cost at its stop price, or at the last one.

Must not know: events.
"""

from typing import NamedTuple

from market.book.machine import Words, inlined, routine, signed
from market.enums import (
    FILL_MODEL_BIT,
    FILL_MODEL_MASK,
    CommandFlag,
    CommandKind,
    ListRole,
    OrdStatus,
    OrdType,
    Side,
    StpMode,
    TimeInForce,
)
from market.instrument import BIPS, INT_LIMIT
from market.ledger import layout as L
from market.ledger.blocks import balance_at, count_in
from market.ledger.ids import find_client_id, find_id
from market.ledger.locks import given_asset, units_locked
from market.ledger.orders import enter, next_of
from market.ledger.records import CommandRecord
from market.ledger.tables import (
    Tables,
    aside_of,
    instrument_at,
    is_symbol,
    open_row,
    order_at,
    row_at,
    row_of,
    symbol_of,
)
from market.ledger.terms import has_no_limit, is_held, is_pending, is_stop, leader_of, ord_type_of
from market.reasons import Reason

_NEW = int(CommandKind.NEW)
_CANCEL = int(CommandKind.CANCEL)
_REPLACE = int(CommandKind.REPLACE)
_AMEND = int(CommandKind.AMEND)
_CANCEL_ALL = int(CommandKind.CANCEL_ALL)
_BUY = int(Side.BUY)
_LIMIT = int(OrdType.LIMIT)
_MARKET = int(OrdType.MARKET)
_GTC = int(TimeInForce.GTC)
_BY_QUOTE = int(CommandFlag.BY_QUOTE)
_BY_CLIENT_ORDER_ID = int(CommandFlag.BY_CLIENT_ORDER_ID)
_KNOWN_FLAGS = int(CommandFlag.BY_QUOTE | CommandFlag.BY_CLIENT_ORDER_ID) | FILL_MODEL_MASK << FILL_MODEL_BIT
_LAST_SIDE = int(max(Side))
_LAST_ORD_TYPE = int(max(OrdType))
_LAST_TIME_IN_FORCE = int(max(TimeInForce))
_LAST_STP_MODE = int(max(StpMode))
_FIRST_STOP = int(OrdType.STOP_LOSS)
_LIMIT_MAKER = int(OrdType.LIMIT_MAKER)
_MEMBER, _OCO_FIRST, _OCO_SECOND = int(ListRole.MEMBER), int(ListRole.OCO_FIRST), int(ListRole.OCO_SECOND)

_NONE = int(Reason.NONE)
_UNKNOWN_ACCOUNT = int(Reason.UNKNOWN_ACCOUNT)
_ACCOUNT_PAUSED = int(Reason.ACCOUNT_PAUSED)
_UNKNOWN_SYMBOL = int(Reason.UNKNOWN_SYMBOL)
_DUPLICATE_CLIENT_ORDER_ID = int(Reason.DUPLICATE_CLIENT_ORDER_ID)
_MAX_NUM_ORDERS = int(Reason.MAX_NUM_ORDERS)
_MAX_NUM_ALGO_ORDERS = int(Reason.MAX_NUM_ALGO_ORDERS)
_MAX_NUM_ICEBERG_ORDERS = int(Reason.MAX_NUM_ICEBERG_ORDERS)
_MAX_POSITION = int(Reason.MAX_POSITION)
_CANCEL_RESTRICTED = int(Reason.CANCEL_RESTRICTED)
_OCO_PAIR_REFUSED = int(Reason.OCO_PAIR_REFUSED)
_INSUFFICIENT_BALANCE = int(Reason.INSUFFICIENT_BALANCE)
_ORDER_PENDING = int(Reason.ORDER_PENDING)
_BOOK_UNAVAILABLE = int(Reason.BOOK_UNAVAILABLE)
_INVALID_COMMAND = int(Reason.INVALID_COMMAND)
_UNKNOWN_ORDER = int(Reason.UNKNOWN_ORDER)
_LOT_SIZE = int(Reason.LOT_SIZE)
_NOTIONAL = int(Reason.NOTIONAL)
_ORDER_CHANGED = int(Reason.ORDER_CHANGED)

_LARGEST = INT_LIMIT - 1
_PENDING = int(OrdStatus.PENDING_NEW)


# -- money --------------------------------------------------------------------------------------------------


class Need(NamedTuple):
    units: int
    """To reserve."""
    reason: int


@inlined
def _need(units: int, free: int) -> Need:
    return Need(units, _INSUFFICIENT_BALANCE if units > free else _NONE)


@inlined
def _refused(reason: int) -> Need:
    return Need(signed(0), reason)


@inlined
def _exceeds(a: int, b: int, c: int) -> bool:
    """a x b x c >= 2^62, for a, b >= 0 and c > 0."""
    if a == 0 or b == 0:
        return False
    return a > _LARGEST // b or a * b > _LARGEST // c


@inlined
def _sell_by_quote(command: CommandRecord, last: int, units: int, lot: int, free: int) -> Need:
    """Completes the cap: what the amount makes at the last price and a tenth more, at most what is there."""
    held = free // lot
    wanted = command.qty_lots if command.qty_lots > 0 else _LARGEST
    if last > 0:
        lots = command.quote_units // (last * units)
        if min(lots, wanted) > held:
            return _refused(_INSUFFICIENT_BALANCE)
        if lots < wanted:
            wanted = min(wanted, lots + lots // 10 + 1)
    cap = min(held, wanted)
    if cap == 0:
        return _refused(_INSUFFICIENT_BALANCE)
    command.qty_lots = cap
    return Need(cap * lot, _NONE)


@inlined
def _buy_by_quantity(command: CommandRecord, last: int, units: int, free: int) -> Need:
    """Completes the budget: a tenth above the price `last`; all that is free when there is none or not so much."""
    if _exceeds(last, command.qty_lots, 2 * units):
        return _refused(_NOTIONAL)
    least = last * command.qty_lots * units
    if least > free or free <= 0:
        return _refused(_INSUFFICIENT_BALANCE)
    budget = least // 100 * L.MARKET_BUDGET_PERCENT
    if budget > free or budget == 0:
        budget = free
    if 0 < command.quote_units < budget:
        budget = command.quote_units
    command.quote_units = budget
    return Need(budget, _NONE)


@inlined
def _expected_price(command: CommandRecord, last: int) -> int:
    """At which a BUY without a limit will trade, as far as one can tell; 0: one cannot."""
    price = command.stop_price_ticks if command.stop_price_ticks > 0 else last
    delta = min(signed(command.trailing_bips), signed(BIPS))
    return min(price + price // BIPS * delta + price % BIPS * delta // BIPS, signed(_LARGEST))


@routine
def need_of(t: Tables, command: CommandRecord, free: int) -> Need:
    """What a well-formed NEW or REPLACE may cost at most; completes a market order in place."""
    instrument = instrument_at(command.symbol)
    units, lot = t.instruments[instrument + L.I_QUOTE_PER_TICK_LOT], t.instruments[instrument + L.I_BASE_PER_LOT]
    last, qty, buys = t.instruments[instrument + L.I_LAST], command.qty_lots, command.side == _BUY
    if _exceeds(qty, lot, 1):
        return _refused(_LOT_SIZE)
    ord_type = signed(command.ord_type)
    if ord_type != _MARKET:
        if _exceeds(command.price_ticks, qty, units):
            return _refused(_NOTIONAL)
        if not buys:
            return _need(qty * lot, free)
        if has_no_limit(ord_type) or command.peg_type != 0:
            return _buy_by_quantity(command, _expected_price(command, last), units, free)
        command.quote_units = 0
        return _need(command.price_ticks * qty * units, free)
    if command.flags & _BY_QUOTE:
        if buys:
            return _need(command.quote_units, free)
        return _sell_by_quote(command, last, units, lot, free)
    if buys:
        return _buy_by_quantity(command, last, units, free)
    command.quote_units = 0
    return _need(qty * lot, free)


# -- orders -------------------------------------------------------------------------------------------------


@inlined
def _is_malformed(command: CommandRecord) -> bool:
    if (
        command.side > _LAST_SIDE
        or command.ord_type > _LAST_ORD_TYPE
        or command.time_in_force > _LAST_TIME_IN_FORCE
        or command.stp_mode > _LAST_STP_MODE
        or signed(command.flags) & ~_KNOWN_FLAGS != 0
    ):
        return True
    if command.flags & _BY_QUOTE and command.ord_type != _MARKET:
        return True
    if command.ord_type == _MARKET and command.peg_type != 0:
        return True
    # The sign bit of the union: one of them is negative.
    amounts = command.price_ticks | command.qty_lots | command.quote_units | command.stop_price_ticks
    return (amounts | command.display_lots | signed(command.trailing_bips)) < 0


@inlined
def _rests(command: CommandRecord) -> bool:
    """Whether it may stay in the book: what never does is not limited in number."""
    return command.ord_type != _MARKET and (command.ord_type != _LIMIT or command.time_in_force == _GTC)


@routine
def _why_too_many(t: Tables, command: CommandRecord, row: int) -> int:
    """The limits that few orders are subject to: they are counted when such an order comes."""
    instrument, algos, icebergs, lots = instrument_at(command.symbol), signed(0), signed(0), signed(0)
    slot = t.rows[row_at(row) + L.R_HEAD]
    while slot != 0:
        order = order_at(slot)
        if symbol_of(t, order) == command.symbol:
            aside = aside_of(t, order)
            algos += is_stop(ord_type_of(t, order)) and t.asides[aside + L.A_WORKING] == 0
            icebergs += t.asides[aside + L.A_DISPLAY] != 0
            if t.orders[order + L.O_META] & L.SIDE_MASK == _BUY:
                lots = min(lots + t.orders[order + L.O_LEAVES], signed(_LARGEST))
        slot = next_of(t.orders[order + L.O_LINKS])
    if is_stop(signed(command.ord_type)) and algos >= t.instruments[instrument + L.I_MAX_NUM_ALGO]:
        return _MAX_NUM_ALGO_ORDERS
    if command.display_lots != 0 and icebergs >= t.instruments[instrument + L.I_MAX_NUM_ICEBERG]:
        return _MAX_NUM_ICEBERG_ORDERS
    most = t.instruments[instrument + L.I_MAX_POSITION]
    if most != 0 and command.side == _BUY:
        held = balance_at(t, row, t.instruments[instrument + L.I_BASE])
        lots += (t.entries[held + L.B_FREE] + t.entries[held + L.B_LOCKED]) // t.instruments[
            instrument + L.I_BASE_PER_LOT
        ]
        if command.qty_lots > most or lots > most - command.qty_lots:
            return _MAX_POSITION
    return _NONE


@inlined
def _is_special(t: Tables, command: CommandRecord) -> bool:
    """Whether a limit of `_why_too_many` may be against it."""
    limited = t.instruments[instrument_at(command.symbol) + L.I_MAX_POSITION] != 0
    return command.ord_type >= _FIRST_STOP or command.display_lots != 0 or limited


@inlined
def _own_order(t: Tables, row: int, order_id: int) -> int:
    """Slot of the account's open order, or 0."""
    slot = find_id(t, order_id)
    return slot if slot != 0 and row_of(t, order_at(slot)) == row else 0


@inlined
def _target_of(t: Tables, command: CommandRecord, row: int) -> int:
    """Slot of the order that a REPLACE names, or 0."""
    slot = _own_order(t, row, command.target_id)
    return slot if slot != 0 and symbol_of(t, order_at(slot)) == command.symbol else 0


@routine
def why_refused(
    t: Tables, command: CommandRecord, words: Words, client_id: int, row: int, target: int, listed: bool
) -> int:
    """The first reason against a NEW or REPLACE that does not look at money, or NONE."""
    replaces = command.kind == _REPLACE
    if t.rows[row_at(row) + L.R_STATE] & L.R_PAUSED:
        return _ACCOUNT_PAUSED
    if not is_symbol(t, command.symbol):
        return _UNKNOWN_SYMBOL
    instrument = instrument_at(command.symbol)
    if find_client_id(t, row, words, client_id) != 0:
        return _DUPLICATE_CLIENT_ORDER_ID
    limit = t.instruments[instrument + L.I_MAX_NUM_ORDERS]
    if not replaces and _rests(command) and count_in(t, row, command.symbol) >= limit:
        return _MAX_NUM_ORDERS
    if not replaces and _is_special(t, command):
        reason = _why_too_many(t, command, row)
        if reason != _NONE:
            return reason
    if target != 0 and (is_pending(t, order_at(target)) or is_held(t, order_at(target))):
        return _ORDER_PENDING
    if t.instruments[instrument + L.I_AVAILABLE] == 0:
        return _BOOK_UNAVAILABLE
    if _is_malformed(command) or (not listed and (command.list_role != 0 or command.list_id != 0)):
        return _INVALID_COMMAND
    if replaces and target == 0:
        return _UNKNOWN_ORDER
    expected = command.expected_leaves
    if target != 0 and expected >= 0 and expected != t.orders[order_at(target) + L.O_LEAVES]:
        return _ORDER_CHANGED
    return _NONE


@inlined
def sign(t: Tables, command: CommandRecord, row: int) -> None:
    """What only the account knows: the next order id, its fees and its fill model."""
    command.order_id = t.header[L.H_NEXT_ORDER] * t.header[L.H_PARTITIONS] + t.header[L.H_PARTITION]
    t.header[L.H_NEXT_ORDER] += 1
    command.maker_fee_ppm = t.rows[row_at(row) + L.R_MAKER_FEE]
    command.taker_fee_ppm = t.rows[row_at(row) + L.R_TAKER_FEE]
    command.flags = signed(command.flags) | t.rows[row_at(row) + L.R_FLAGS]


@inlined
def _admit_order(t: Tables, command: CommandRecord, words: Words, client_id: int, row: int, ts_ns: int) -> int:
    """Reserve for a NEW or REPLACE and give it its order id; the reason it is refused for, or NONE."""
    target = _target_of(t, command, row) if command.kind == _REPLACE else 0
    reason = why_refused(t, command, words, client_id, row, target, False)
    if reason != _NONE:
        return reason
    replaced = order_at(target)
    free = t.entries[balance_at(t, row, given_asset(t, command.symbol, command.side)) + L.B_FREE]
    same_side = target != 0 and t.orders[replaced + L.O_META] & L.SIDE_MASK == command.side
    need = need_of(t, command, free + units_locked(t, replaced) if same_side else free)
    if need.reason != _NONE:
        return need.reason
    borrowed = max(signed(0), need.units - free)
    if borrowed > 0:
        command.expected_leaves = t.orders[replaced + L.O_LEAVES]
    elif target != 0 and command.expected_leaves < 0:
        command.expected_leaves = -1
    sign(t, command, row)
    enter(t, command, words, client_id, row, need.units - borrowed, borrowed, ts_ns)
    return _NONE


@inlined
def _admit_change(t: Tables, command: CommandRecord, words: Words, client_id: int, row: int) -> int:
    """Resolve the order that a CANCEL or AMEND names; the reason it is refused for, or NONE."""
    if command.kind == _AMEND and t.rows[row_at(row) + L.R_STATE] & L.R_PAUSED:
        return _ACCOUNT_PAUSED
    by_client_id = command.flags & _BY_CLIENT_ORDER_ID != 0
    slot = find_client_id(t, row, words, client_id) if by_client_id else _own_order(t, row, command.order_id)
    order = order_at(slot)
    if slot == 0 or (command.symbol >= 0 and symbol_of(t, order) != command.symbol):
        return _UNKNOWN_ORDER
    if command.kind == _AMEND and not by_client_id:
        namesake = find_client_id(t, row, words, client_id)
        if namesake != 0 and namesake != slot:
            return _DUPLICATE_CLIENT_ORDER_ID
    if is_held(t, order):
        # It is not in the book; canceling its leader ends it too. When the leader is filled it is about to be placed.
        slot = find_id(t, leader_of(t, order))
        if command.kind == _AMEND or slot == 0:
            return _ORDER_PENDING
        if command.cancel_restriction != 0:
            return _CANCEL_RESTRICTED
        order = order_at(slot)
    command.order_id = t.orders[order + L.O_ID]
    command.symbol = symbol_of(t, order)
    available = t.instruments[instrument_at(command.symbol) + L.I_AVAILABLE] != 0
    return _NONE if available else _BOOK_UNAVAILABLE


@inlined
def _admit_cancel_all(t: Tables, command: CommandRecord) -> int:
    if not is_symbol(t, command.symbol):
        return _UNKNOWN_SYMBOL
    available = t.instruments[instrument_at(command.symbol) + L.I_AVAILABLE] != 0
    return _NONE if available else _BOOK_UNAVAILABLE


@inlined
def admit_command(t: Tables, command: CommandRecord, words: Words, place: int, ts_ns: int) -> int:
    """The reason it is refused for, or NONE; `words`: the COMMAND[n] that it is element `place` of."""
    client_id = place * L.COMMAND_WORDS + L.COMMAND_CLIENT_ID
    row = open_row(t, command.account)
    if row < 0:
        return _UNKNOWN_ACCOUNT
    if command.kind == _NEW or command.kind == _REPLACE:
        return _admit_order(t, command, words, client_id, row, ts_ns)
    if command.kind == _CANCEL or command.kind == _AMEND:
        return _admit_change(t, command, words, client_id, row)
    if command.kind == _CANCEL_ALL:
        return _admit_cancel_all(t, command)
    return _INVALID_COMMAND
