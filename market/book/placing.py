"""An order that was not refused enters: it trades, and then it rests, waits or ends (N1 to N11, T2, T4, I1).

Must not know: commands of other kinds, what triggers.
"""

from market.book import layout as L
from market.book.conditions import awaits_rise, is_market_type, is_stop, refused_at_trigger
from market.book.filters import set_bands
from market.book.ids import aside, open_aside, order_at
from market.book.layout import CommandRecord
from market.book.levels import key_of, store_at
from market.book.linked import expire_other
from market.book.machine import ZERO, Words, constant, inlined, routine, signed
from market.book.pegs import peg_price
from market.book.queues import append_order, free_record, join_queue, leave_store, leaves_of, new_record, show, stand
from market.book.taking import can_fill, spend, take
from market.book.tell import (
    ACCEPTED,
    EXPIRED,
    TRIGGERED,
    Cause,
    Taker,
    meta_of_head,
    taker_of,
    tell,
    tell_queue,
    tell_resting,
    tell_taker_expired,
)
from market.enums import CommandFlag, OrdType, Side, StpMode, TimeInForce
from market.reasons import Reason

_BUY = constant(Side.BUY)
_LIMIT = constant(OrdType.LIMIT)
_GTC = constant(TimeInForce.GTC)
_FOK = constant(TimeInForce.FOK)
_IOC = constant(TimeInForce.IOC)
_BY_QUOTE = constant(CommandFlag.BY_QUOTE)
_DECREMENT = constant(StpMode.DECREMENT)

_NONE = constant(Reason.NONE)
_IOC_UNFILLED = constant(Reason.IOC_UNFILLED)
_FOK_UNFILLED = constant(Reason.FOK_UNFILLED)
_INSUFFICIENT_LIQUIDITY = constant(Reason.INSUFFICIENT_LIQUIDITY)

_BYTE = 0xFF


# -- trading ------------------------------------------------------------------------------------------------


@inlined
def _note_taker_prevented(arena: Words, order: int) -> None:
    """C4, of an order that rests with what S4 left of it."""
    if arena[L.TAKER_PREVENTED] != 0:
        arena[order + L.META] |= L.WAS_PREVENTED
        open_aside(arena, order)
        arena[aside(arena, order) + L.PREVENTED] = arena[L.TAKER_PREVENTED]
        arena[L.TAKER_PREVENTED] = 0


# -- new orders ---------------------------------------------------------------------------------------------


@inlined
def working_price(arena: Words, command: CommandRecord, gone: int) -> int:
    """The limit it would enter the book with; pegged stops: 0 (K1, K3)."""
    if command.peg_type == 0:
        return command.price_ticks
    if is_stop(command.ord_type):
        return ZERO
    side, offset = signed(command.side), signed(command.peg_offset)
    return peg_price(arena, side, signed(command.peg_type), offset, gone)


@routine
def _rest_iceberg(arena: Words, taker: Taker, leaves: int, fee_ppm: int, display: int) -> int:
    """I1. Its slot."""
    slot = new_record(arena, taker.order_id)
    order = order_at(arena, slot)
    arena[order + L.PRICE] = taker.price
    arena[order + L.QTY] = taker.qty
    arena[order + L.META] = taker.meta | L.ICEBERG
    arena[order + L.OWNER] = taker.account << 32 | fee_ppm
    arena[aside(arena, order) + L.DISPLAY] = display
    arena[L.ICEBERGS] += 1
    show(arena, order, leaves)
    stand(arena, slot, taker.side)
    return slot


@routine
def _wait(arena: Words, taker: Taker, command: CommandRecord) -> int:
    """T2, T6. Its slot."""
    slot = new_record(arena, taker.order_id)
    order = order_at(arena, slot)
    stop, delta, display = command.stop_price_ticks, signed(command.trailing_bips), command.display_lots
    arena[order + L.PRICE] = taker.price
    arena[order + L.LEAVES] = taker.qty
    arena[order + L.QTY] = taker.qty
    arena[order + L.META] = taker.meta | (L.ICEBERG if display > 0 else 0)
    arena[order + L.OWNER] = taker.account << 32 | signed(command.maker_fee_ppm)
    arena[aside(arena, order) + L.STOP_PRICE] = stop
    arena[aside(arena, order) + L.HIDDEN] = 0
    arena[aside(arena, order) + L.DISPLAY] = display
    arena[aside(arena, order) + L.BUDGET] = command.quote_units
    peg = signed(command.peg_offset) << L.PEG_OFFSET_BIT | signed(command.peg_type)
    arena[aside(arena, order) + L.TERMS] = taker.fee_ppm << 32 | delta << L.DELTA_BIT | peg
    arena[aside(arena, order) + L.EXTREME] = arena[L.LAST_PRICE] if stop == 0 else 0
    arena[L.STOPS] += 1
    if display > 0:
        arena[L.ICEBERGS] += 1
    store = L.RISES if awaits_rise(signed(command.ord_type), taker.side) else L.FALLS
    stand(arena, slot, L.TRACKING if stop == 0 else store)
    return slot


@inlined
def _rest(arena: Words, taker: Taker, leaves: int, command: CommandRecord) -> int:
    """N4. Its slot."""
    fee_ppm = signed(command.maker_fee_ppm)
    if command.display_lots > 0:
        slot = _rest_iceberg(arena, taker, leaves, fee_ppm, command.display_lots)
    else:
        owner = taker.account << 32 | fee_ppm
        slot = append_order(arena, taker.order_id, taker.side, taker.price, leaves, taker.qty, taker.meta, owner)
    if taker.stp >= _DECREMENT:
        _note_taker_prevented(arena, order_at(arena, slot))
    return slot


@inlined
def _accept(
    events: Words, told: int, arena: Words, cause: Cause, taker: Taker, command: CommandRecord, at_market: bool
) -> int:
    """N1."""
    quote = command.quote_units if at_market or command.peg_type != 0 else ZERO
    account, price, qty = taker.account, taker.price, taker.qty
    return tell(events, told, arena, cause, taker.meta | ACCEPTED, account, taker.order_id, price, qty, qty, quote)


@routine
def place_aside(
    events: Words, told: int, arena: Words, cause: Cause, command: CommandRecord, price: int
) -> tuple[int, int]:
    """A leg, which cannot trade at once (L3): events told, and its slot."""
    at_market = is_market_type(command.ord_type)
    taker = taker_of(command, ZERO if at_market else price)
    told = _accept(events, told, arena, cause, taker, command, at_market)
    if is_stop(command.ord_type):
        return told, _wait(arena, taker, command)
    arena[L.TAKER_PREVENTED] = 0
    slot = _rest(arena, taker, taker.qty, command)
    return _tell_joined(events, told, arena, cause, slot), slot


@inlined
def _tell_joined(events: Words, told: int, arena: Words, cause: Cause, slot: int) -> int:
    """O8, of an order that has come to rest."""
    if arena[L.OUTSIDE] == 0 or not join_queue(arena, slot):
        return told
    return tell_queue(events, told, arena, cause, order_at(arena, slot))


@inlined
def rests_at_once(arena: Words, command: CommandRecord) -> bool:
    """Whether a plain order that was not refused trades with nothing and stays: half of all commands, mostly."""
    opposite = 1 - signed(command.side)
    if command.ord_type != _LIMIT or command.time_in_force != _GTC or arena[L.OUTSIDE] != 0:
        return False
    return arena[store_at(opposite) + L.BEST_KEY] < key_of(command.price_ticks, opposite)


@inlined
def rest_at_once(events: Words, told: int, arena: Words, cause: Cause, command: CommandRecord, head: int) -> int:
    """What `place` comes to then (N1, N4)."""
    meta, account, order_id = meta_of_head(head), signed(command.account), command.order_id
    price, qty = command.price_ticks, command.qty_lots
    told = tell(events, told, arena, cause, meta | ACCEPTED, account, order_id, price, qty, qty, ZERO)
    owner = account << 32 | signed(command.maker_fee_ppm)
    append_order(arena, order_id, signed(command.side), price, qty, qty, meta, owner)
    return told


# -- triggered orders ---------------------------------------------------------------------------------------


@inlined
def _taker_from(arena: Words, order: int) -> Taker:
    """A triggered order."""
    meta = arena[order + L.META] & L.TOLD
    return Taker(
        arena[order + L.ID],
        arena[order + L.OWNER] >> 32,
        meta,
        (meta >> L.SIDE_BIT) & 1,
        arena[order + L.PRICE],
        leaves_of(arena, order),
        (meta >> L.STP_MODE_BIT) & _BYTE,
        arena[aside(arena, order) + L.TERMS] >> 32,
    )


@inlined
def _choose_price(arena: Words, order: int, terms: int) -> int:
    """K4: sets the price; the reason against it."""
    side = (arena[order + L.META] >> L.SIDE_BIT) & 1
    offset = (terms >> L.PEG_OFFSET_BIT) & _BYTE
    price = peg_price(arena, side, terms & _BYTE, offset, ZERO)
    arena[order + L.PRICE] = price
    return refused_at_trigger(arena, side, price, arena[order + L.QTY], arena[aside(arena, order) + L.BUDGET])


@routine
def enter(events: Words, told: int, arena: Words, cause: Cause, slot: int) -> tuple[int, int]:
    """T4, for the first in line: TRIGGERED, L5, K4. Events told, and its slot, or 0: it has ended."""
    order = order_at(arena, slot)
    terms = arena[aside(arena, order) + L.TERMS]
    leave_store(arena, slot)
    arena[L.STOPS] -= 1
    arena[L.TAKER_PREVENTED] = 0
    if arena[L.LAST_PRICE] != arena[L.BAND_PRICE]:
        set_bands(arena)
    reason = _choose_price(arena, order, terms) if terms & _BYTE else _NONE
    told = tell_resting(events, told, arena, cause, order, TRIGGERED, _NONE)
    told = expire_other(events, told, arena, cause, order)
    if reason == _NONE:
        return told, slot
    told = tell_resting(events, told, arena, cause, order, EXPIRED, reason)
    free_record(arena, slot)
    return told, 0


@routine
def _rest_triggered(arena: Words, slot: int, leaves: int) -> None:
    """T4, after it has traded: it rests with `leaves`, or is gone."""
    order = order_at(arena, slot)
    if leaves == 0:
        free_record(arena, slot)
        return
    arena[order + L.LEAVES] = leaves
    if arena[order + L.META] & L.ICEBERG:
        show(arena, order, leaves)
    stand(arena, slot, (arena[order + L.META] >> L.SIDE_BIT) & 1)
    _note_taker_prevented(arena, order)


# -- both ---------------------------------------------------------------------------------------------------


@inlined
def _work(
    events: Words, told: int, arena: Words, cause: Cause, taker: Taker, money: int, by_quote: bool
) -> tuple[int, int]:
    """N2 to N9: it trades, and ends or does not; `money`: of a market type, a BUY's budget (0: none) or the amount.

    Events told, and what is to rest.
    """
    at_market = is_market_type((taker.meta >> L.ORD_TYPE_BIT) & _BYTE)
    if at_market and (by_quote or money > 0):
        return spend(events, told, arena, cause, taker, money, by_quote), 0
    limit_key = L.ANY_KEY if at_market else key_of(taker.price, 1 - taker.side)
    time_in_force = (taker.meta >> L.TIME_IN_FORCE_BIT) & _BYTE
    if time_in_force == _FOK and not can_fill(arena, taker, limit_key):
        return tell_taker_expired(events, told, arena, cause, taker, taker.qty, _FOK_UNFILLED), 0
    told, leaves, ended = take(events, told, arena, cause, taker, limit_key)
    if leaves == 0 or ended:
        return told, 0
    if at_market:
        return tell_taker_expired(events, told, arena, cause, taker, leaves, _INSUFFICIENT_LIQUIDITY), 0
    if time_in_force == _IOC:
        return tell_taker_expired(events, told, arena, cause, taker, leaves, _IOC_UNFILLED), 0
    return told, leaves


@routine
def place(events: Words, told: int, arena: Words, cause: Cause, command: CommandRecord, price: int, slot: int) -> int:
    """The order of a command that was not refused, at its working price (N1 and what follows); or, with a `slot`, the
    triggered order in it (T4 after `enter`), whatever the command. It trades, and then it rests or ends.

    One function for both, because it is large: what trades stands in it once.
    """
    if slot != 0:
        order = order_at(arena, slot)
        taker = _taker_from(arena, order)
        quote, by_quote = arena[aside(arena, order) + L.BUDGET], False
    else:
        at_market = is_market_type(command.ord_type)
        taker = taker_of(command, ZERO if at_market else price)
        told = _accept(events, told, arena, cause, taker, command, at_market)
        if is_stop(command.ord_type):
            _wait(arena, taker, command)
            return told
        quote, by_quote = command.quote_units, (command.flags & _BY_QUOTE) != 0
    if taker.stp >= _DECREMENT:
        arena[L.TAKER_PREVENTED] = 0
    money = quote if by_quote or taker.side == _BUY else ZERO
    told, leaves = _work(events, told, arena, cause, taker, money, by_quote)
    if slot != 0:
        _rest_triggered(arena, slot, leaves)
    elif leaves > 0:
        slot = _rest(arena, taker, leaves, command)
    if leaves > 0:
        told = _tell_joined(events, told, arena, cause, slot)
    if arena[L.LAST_PRICE] != arena[L.BAND_PRICE]:
        set_bands(arena)
    return told
