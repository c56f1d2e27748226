"""Which orders are refused, and why: the R-rules of SEMANTICS.md.

The rules of plain orders (LIMIT, MARKET, LIMIT_MAKER) stand here, in the way of every command; what only stops,
icebergs and pegs need is in `conditions.py`.

Must not know: events; changes nothing.
"""

from market.book import layout as L
from market.book.conditions import is_badly_conditioned, refused_conditional
from market.book.filters import is_notional_outside, outside_band
from market.book.ids import is_live
from market.book.layout import CommandRecord
from market.book.levels import key_of, next_key, store_at
from market.book.machine import ZERO, Words, constant, inlined, routine, signed
from market.book.pegs import is_alone_at
from market.enums import CancelRestriction, CommandFlag, ListRole, OrdType, Side, StpMode, TimeInForce
from market.instrument import PPM
from market.numbering import OUTSIDE_ACCOUNT
from market.reasons import Reason

_MARKET = constant(OrdType.MARKET)
_LIMIT_MAKER = constant(OrdType.LIMIT_MAKER)
_GTC = constant(TimeInForce.GTC)
_BY_QUOTE = constant(CommandFlag.BY_QUOTE)
_LAST_SIDE = constant(max(Side))
_LAST_ORD_TYPE = constant(max(OrdType))
_LAST_TIME_IN_FORCE = constant(max(TimeInForce))
_LAST_STP_MODE = constant(max(StpMode))
_LAST_LIST_ROLE = constant(max(ListRole))
_LAST_RESTRICTION = constant(max(CancelRestriction))

_NONE = constant(Reason.NONE)
_PRICE_FILTER = constant(Reason.PRICE_FILTER)
_LOT_SIZE = constant(Reason.LOT_SIZE)
_MARKET_LOT_SIZE = constant(Reason.MARKET_LOT_SIZE)
_NOTIONAL = constant(Reason.NOTIONAL)
_WOULD_TAKE = constant(Reason.WOULD_TAKE)
_BOOK_FULL = constant(Reason.BOOK_FULL)


@inlined
def is_plain(command: CommandRecord) -> bool:
    """An order of the first three types that asks for nothing more: almost every one."""
    terms = command.stop_price_ticks | command.display_lots | signed(command.trailing_bips)
    rest = command.peg_type | command.peg_offset | command.list_role | command.cancel_restriction
    return command.ord_type <= _LIMIT_MAKER and terms == 0 and rest == 0


@inlined
def is_plainly_malformed(arena: Words, command: CommandRecord) -> bool:
    """R2, without what only orders that are not plain can get wrong."""
    maker_fee, taker_fee = signed(command.maker_fee_ppm), signed(command.taker_fee_ppm)
    if (
        command.side > _LAST_SIDE
        or command.ord_type > _LAST_ORD_TYPE
        or command.time_in_force > _LAST_TIME_IN_FORCE
        or command.stp_mode > _LAST_STP_MODE
    ):
        return True
    # The sign bit of the union: one of them is negative.
    amounts = command.price_ticks | command.qty_lots | command.quote_units
    if (amounts | maker_fee | taker_fee) < 0 or command.account == OUTSIDE_ACCOUNT:
        return True
    if maker_fee >= PPM or taker_fee >= PPM:
        return True
    by_quote = (command.flags & _BY_QUOTE) != 0
    if command.ord_type != _MARKET:
        if by_quote:
            return True
    elif command.qty_lots == 0 and not (by_quote and command.quote_units > 0):
        return True
    return command.order_id <= 0 or is_live(arena, command.order_id)


@routine
def is_malformed(arena: Words, command: CommandRecord) -> bool:
    """R2, for NEW and REPLACE."""
    if command.list_role > _LAST_LIST_ROLE or command.cancel_restriction > _LAST_RESTRICTION:
        return True
    return is_plainly_malformed(arena, command) or is_badly_conditioned(command)


@routine
def would_take(arena: Words, side: int, price: int, gone: int) -> bool:
    """R8, as if the order in slot `gone` (0: none) were not there."""
    opposite = 1 - side
    best = arena[store_at(opposite) + L.BEST_KEY]
    if best == L.NO_KEY:
        return False
    if is_alone_at(arena, gone, opposite, best):
        best = next_key(arena, opposite, best)
    return best >= key_of(price, opposite)


@inlined
def _refused_market(arena: Words, command: CommandRecord) -> int:
    """R5, R6."""
    qty = signed(command.qty_lots)
    if (command.flags & _BY_QUOTE) != 0:
        quote = command.quote_units
        return _NOTIONAL if quote < arena[L.MIN_NOTIONAL] or quote > arena[L.MAX_NOTIONAL] else _NONE
    if qty < arena[L.MARKET_MIN_QTY] or qty > arena[L.MARKET_MAX_QTY]:
        return _MARKET_LOT_SIZE
    last = arena[L.LAST_PRICE]
    return _NOTIONAL if last > 0 and is_notional_outside(arena, last, qty) else _NONE


@inlined
def _refused_place(arena: Words, command: CommandRecord, price: int, gone: int, live: int) -> int:
    """R8, R9."""
    if command.ord_type == _LIMIT_MAKER and would_take(arena, signed(command.side), price, gone):
        return _WOULD_TAKE
    rests = command.ord_type >= _LIMIT_MAKER or command.time_in_force == _GTC
    return _BOOK_FULL if rests and live >= arena[L.MAX_LIVE] else _NONE


@inlined
def plainly_refused(arena: Words, command: CommandRecord) -> int:
    """The first of R3 to R9 that applies to a well-formed plain NEW, or NONE."""
    if command.ord_type == _MARKET:
        return _refused_market(arena, command)
    side, price, qty = signed(command.side), signed(command.price_ticks), signed(command.qty_lots)
    if price < arena[L.MIN_PRICE] or price > arena[L.MAX_PRICE]:
        return _PRICE_FILTER
    if qty < arena[L.MIN_QTY] or qty > arena[L.MAX_QTY]:
        return _LOT_SIZE
    if is_notional_outside(arena, price, qty):
        return _NOTIONAL
    reason = outside_band(arena, side, price)
    return reason if reason != _NONE else _refused_place(arena, command, price, ZERO, arena[L.LIVE])


@routine
def refused(arena: Words, command: CommandRecord, price: int, gone: int, live: int) -> int:
    """The first of R2e to R9 that applies to a well-formed NEW or REPLACE, or NONE.

    `price`: its limit, which of a pegged order is the one chosen. `gone`: slot of a resting order that a REPLACE
    takes away, which R8 does not see, or 0. `live`: orders that R9 counts.
    """
    if command.ord_type == _MARKET:
        return _refused_market(arena, command)
    reason = refused_conditional(arena, command, price)
    return reason if reason != _NONE else _refused_place(arena, command, price, gone, live)
