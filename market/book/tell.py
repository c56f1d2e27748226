"""Writing events: every EVENT of the book is made here, 13 words at a time.

`told` is the number of events written so far in this batch; each function returns the new one. EXEC_ID of the
header stays that of before the batch until `match` ends: an event's own is EXEC_ID + told + 1.

Must not know: levels, rules.
"""

from typing import NamedTuple

from market.book import layout as L
from market.book.conditions import is_market_type
from market.book.ids import aside
from market.book.layout import CommandRecord
from market.book.machine import ZERO, Words, constant, inlined, routine, signed
from market.book.queues import is_outside, leaves_of
from market.enums import EventKind, OrdType

ACCEPTED = constant(EventKind.ACCEPTED)
REJECTED = constant(EventKind.REJECTED)
TRADE = constant(EventKind.TRADE)
CANCELED = constant(EventKind.CANCELED)
EXPIRED = constant(EventKind.EXPIRED)
AMENDED = constant(EventKind.AMENDED)
PREVENTED = constant(EventKind.PREVENTED)
TRIGGERED = constant(EventKind.TRIGGERED)
TRACKING = constant(EventKind.TRACKING)
QUEUED = constant(EventKind.QUEUED)

_LIMIT_MAKER = constant(OrdType.LIMIT_MAKER)
_KINDS = 0xFFFFFF00
"""Side, type and time in force, which stand in a command where they stand in an event."""
_STP_MODE_BIT = 32
_TWO_BYTES = 0xFFFF


class Cause(NamedTuple):
    """The command that causes the events now being written."""

    place: int
    """In the batch, << 32: the upper half of an event word."""
    kind: int
    """Its kind, << COMMAND_KIND_BIT."""


class Taker(NamedTuple):
    """An incoming order as its events and its matching need it; only its leaves, apart from this, change."""

    order_id: int
    account: int
    meta: int
    side: int
    price: int
    """As its events tell it: 0 for MARKET."""
    qty: int
    stp: int
    fee_ppm: int


@inlined
def meta_of(command: CommandRecord) -> int:
    """The order's own bytes of an event's first word, as the command names them."""
    return (
        signed(command.side) << L.SIDE_BIT
        | signed(command.ord_type) << L.ORD_TYPE_BIT
        | signed(command.time_in_force) << L.TIME_IN_FORCE_BIT
        | signed(command.stp_mode) << L.STP_MODE_BIT
        | signed(command.flags) << L.FLAGS_BIT
    )


@inlined
def meta_of_head(head: int) -> int:
    """As `meta_of`, from the first word of the command."""
    return head & _KINDS | (head >> _STP_MODE_BIT & _TWO_BYTES) << L.STP_MODE_BIT


@inlined
def taker_of(command: CommandRecord, price: int) -> Taker:
    """A command that was not refused, as an order at `price`: market types and LIMIT_MAKER are always GTC (N4, N10)."""
    meta = meta_of(command)
    if is_market_type(command.ord_type) or command.ord_type == _LIMIT_MAKER:
        meta &= ~(0xFF << L.TIME_IN_FORCE_BIT)
    return Taker(
        signed(command.order_id),
        signed(command.account),
        meta,
        signed(command.side),
        price,
        signed(command.qty_lots),
        signed(command.stp_mode),
        signed(command.taker_fee_ppm),
    )


@inlined
def tell(
    events: Words,
    told: int,
    arena: Words,
    cause: Cause,
    word: int,
    account: int,
    order_id: int,
    price: int,
    qty: int,
    leaves: int,
    quote: int,
) -> int:
    """An event of one order; `word` is its meta with kind and reason."""
    at = told * L.EVENT_WORDS
    events[at] = word | cause.kind
    events[at + L.E_SYMBOL_ACCOUNT] = account << 32 | arena[L.SYMBOL]
    events[at + L.E_ORDER_ID] = order_id
    events[at + L.E_PRICE] = price
    events[at + L.E_QTY] = qty
    events[at + L.E_LEAVES] = leaves
    events[at + L.E_QUOTE] = quote
    events[at + L.E_MAKER_ORDER_ID] = 0
    events[at + L.E_MAKER_ACCOUNT_INDEX] = cause.place
    events[at + L.E_MAKER_LEAVES] = 0
    told += 1
    events[at + L.E_EXEC_ID] = arena[L.EXEC_ID] + told
    events[at + L.E_TRADE_ID] = 0
    events[at + L.E_FEES] = 0
    return told


@inlined
def tell_plain(events: Words, told: int, arena: Words, cause: Cause, order: int, kind: int, reason: int) -> int:
    """An event of the live order whose record starts at `order`, which hides nothing."""
    word = arena[order + L.META] & L.TOLD | kind | reason << L.REASON_BIT
    account = arena[order + L.OWNER] >> 32
    price, qty, leaves = arena[order + L.PRICE], arena[order + L.QTY], arena[order + L.LEAVES]
    return tell(events, told, arena, cause, word, account, arena[order + L.ID], price, qty, leaves, ZERO)


@routine
def tell_resting(events: Words, told: int, arena: Words, cause: Cause, order: int, kind: int, reason: int) -> int:
    """An event of the live order whose record starts at `order`."""
    word = arena[order + L.META] & L.TOLD | kind | reason << L.REASON_BIT
    account = arena[order + L.OWNER] >> 32
    price, qty, leaves = arena[order + L.PRICE], arena[order + L.QTY], leaves_of(arena, order)
    return tell(events, told, arena, cause, word, account, arena[order + L.ID], price, qty, leaves, ZERO)


@routine
def tell_taker_expired(
    events: Words, told: int, arena: Words, cause: Cause, taker: Taker, leaves: int, reason: int
) -> int:
    word = taker.meta | EXPIRED | reason << L.REASON_BIT
    return tell(events, told, arena, cause, word, taker.account, taker.order_id, taker.price, taker.qty, leaves, ZERO)


@inlined
def tell_pair(
    events: Words,
    told: int,
    arena: Words,
    cause: Cause,
    kind: int,
    taker: Taker,
    leaves: int,
    maker: int,
    maker_leaves: int,
    quantity: int,
) -> int:
    """TRADE or PREVENTED; to be told before the maker's record (at `maker`) is freed.

    `leaves` and `maker_leaves` are those after the event.
    """
    at = told * L.EVENT_WORDS
    price, owner = arena[maker + L.PRICE], arena[maker + L.OWNER]
    quote, trade_id, fees = 0, 0, 0
    if kind == TRADE:
        quote = price * quantity * arena[L.UNITS]
        arena[L.TRADE_ID] += 1
        trade_id = arena[L.TRADE_ID]
        fees = taker.fee_ppm << 32 | owner & L.FEE_MASK
    else:
        arena[L.PREVENTED_ID] += 1
        trade_id = arena[L.PREVENTED_ID]
    events[at] = taker.meta | kind | cause.kind
    events[at + L.E_SYMBOL_ACCOUNT] = taker.account << 32 | arena[L.SYMBOL]
    events[at + L.E_ORDER_ID] = taker.order_id
    events[at + L.E_PRICE] = price
    events[at + L.E_QTY] = quantity
    events[at + L.E_LEAVES] = leaves
    events[at + L.E_QUOTE] = quote
    events[at + L.E_MAKER_ORDER_ID] = arena[maker + L.ID]
    events[at + L.E_MAKER_ACCOUNT_INDEX] = cause.place | (owner >> 32) & L.LOW_HALF
    events[at + L.E_MAKER_LEAVES] = maker_leaves
    told += 1
    events[at + L.E_EXEC_ID] = arena[L.EXEC_ID] + told
    events[at + L.E_TRADE_ID] = trade_id
    events[at + L.E_FEES] = fees
    return told


@routine
def tell_queue(events: Words, told: int, arena: Words, cause: Cause, order: int) -> int:
    """QUEUED of the order at `order`, which has queue figures (O9); of an outside level nothing."""
    if is_outside(arena, order):
        return told
    word = arena[order + L.META] & L.TOLD | QUEUED
    account, more = arena[order + L.OWNER] >> 32, aside(arena, order)
    ahead, by_trades = arena[more + L.AHEAD], arena[more + L.BY_TRADES]
    entry = ahead + by_trades + arena[more + L.BY_CANCELS]
    price, leaves = arena[order + L.PRICE], leaves_of(arena, order)
    told = tell(events, told, arena, cause, word, account, arena[order + L.ID], price, entry, leaves, ahead)
    events[(told - 1) * L.EVENT_WORDS + L.E_MAKER_LEAVES] = by_trades
    return told


@inlined
def number_prevented(events: Words, told: int, arena: Words) -> None:
    """The newest event belongs to the newest prevented match."""
    events[(told - 1) * L.EVENT_WORDS + L.E_TRADE_ID] = arena[L.PREVENTED_ID]


@routine
def tell_not_changed(
    events: Words, told: int, arena: Words, cause: Cause, command: CommandRecord, order_id: int, reason: int
) -> int:
    """REJECTED of a command about the order `order_id` (C2, P4)."""
    word, account = signed(REJECTED | reason << L.REASON_BIT), signed(command.account)
    return tell(events, told, arena, cause, word, account, order_id, ZERO, ZERO, ZERO, ZERO)


@routine
def tell_refused(
    events: Words,
    told: int,
    arena: Words,
    cause: Cause,
    command: CommandRecord,
    reason: int,
    is_new_order: bool,
) -> int:
    """REJECTED; of a NEW or REPLACE with the order's fields as the command names them."""
    if not is_new_order:
        return tell_not_changed(events, told, arena, cause, command, command.order_id, reason)
    word = signed(REJECTED | reason << L.REASON_BIT) | meta_of(command)
    account, order_id = signed(command.account), signed(command.order_id)
    price, qty = signed(command.price_ticks), signed(command.qty_lots)
    return tell(events, told, arena, cause, word, account, order_id, price, qty, ZERO, ZERO)
