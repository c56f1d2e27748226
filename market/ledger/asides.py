"""Asides: what an order is more than a plain one, from when on it is.

Must not know: why an order opens or ends.
"""

from market.book.machine import inlined, routine, signed
from market.enums import CommandFlag, CommandKind, OrdType
from market.ledger import layout as L
from market.ledger.locks import reserved_of
from market.ledger.records import CommandRecord
from market.ledger.tables import Tables, aside_of, instrument_at, symbol_of
from market.ledger.terms import is_pending, is_plain

_LIMIT = int(OrdType.LIMIT)
_LIMIT_MAKER = int(OrdType.LIMIT_MAKER)
_REPLACE = int(CommandKind.REPLACE)
_BY_QUOTE = int(CommandFlag.BY_QUOTE)


@inlined
def _terms_of(command: CommandRecord) -> int:
    return (
        signed(command.peg_type)
        | signed(command.peg_offset) << L.PEG_OFFSET_BIT
        | signed(command.list_role) << L.LIST_ROLE_BIT
        | signed(command.trailing_bips) << L.TRAILING_BIT
    )


@inlined
def cum_of(t: Tables, order: int) -> int:
    """Lots traded."""
    if is_plain(t, order):
        return t.orders[order + L.O_QTY] - t.orders[order + L.O_LEAVES]
    return t.asides[aside_of(t, order) + L.A_CUM]


@inlined
def units_at_own_price(t: Tables, order: int, lots: int) -> int:
    """Quote units that so many lots of a plain order trade for."""
    instrument = instrument_at(symbol_of(t, order))
    return lots * t.orders[order + L.O_PRICE] * t.instruments[instrument + L.I_QUOTE_PER_TICK_LOT]


@routine
def open_aside(t: Tables, order: int) -> int:
    """Of a plain order: all that followed from its row, and zeros. The place of the aside."""
    cum = cum_of(t, order)
    cum_quote, reserved = units_at_own_price(t, order, cum), reserved_of(t, order)
    slot = t.header[L.H_FREE_ASIDE]
    if slot == 0:
        t.header[L.H_ASIDES_USED] += 1
        slot = t.header[L.H_ASIDES_USED]
    else:
        t.header[L.H_FREE_ASIDE] = t.asides[slot * L.ASIDE_WORDS + L.A_CUM]
    aside = slot * L.ASIDE_WORDS
    for k in range(L.ASIDE_WORDS):
        t.asides[aside + k] = 0
    t.asides[aside + L.A_CUM] = cum
    t.asides[aside + L.A_CUM_QUOTE] = cum_quote
    t.asides[aside + L.A_RESERVED] = reserved
    t.asides[aside + L.A_WORKING] = 0 if is_pending(t, order) else t.orders[order + L.O_CREATED]
    t.orders[order + L.O_OWNER] |= slot << 32
    return aside


@inlined
def close_aside(t: Tables, order: int) -> None:
    slot = t.orders[order + L.O_OWNER] >> 32
    t.asides[slot * L.ASIDE_WORDS + L.A_CUM] = t.header[L.H_FREE_ASIDE]
    t.header[L.H_FREE_ASIDE] = slot


@inlined
def is_plain_command(command: CommandRecord) -> bool:
    """A LIMIT order and no more: what replaces another or is of a list is not, nor a stop, an iceberg, a pegged one."""
    if command.ord_type != _LIMIT and command.ord_type != _LIMIT_MAKER:
        return False
    extra = _terms_of(command) | command.stop_price_ticks | command.display_lots | command.list_id
    return extra == 0 and command.kind != _REPLACE and command.price_ticks > 0


@inlined
def _given(command: CommandRecord) -> int:
    if command.peg_type != 0:
        return command.price_ticks
    return command.quote_units if command.flags & _BY_QUOTE else signed(0)


@routine
def write_aside(t: Tables, order: int, command: CommandRecord, borrowed: int) -> None:
    """All that is known of an order that comes."""
    aside = open_aside(t, order)
    t.asides[aside + L.A_CUM] = 0
    t.asides[aside + L.A_CUM_QUOTE] = 0
    t.asides[aside + L.A_RESERVED] = 0
    t.asides[aside + L.A_BORROW] = borrowed
    t.asides[aside + L.A_ORIG] = command.target_id if command.kind == _REPLACE else 0
    t.asides[aside + L.A_TERMS] = _terms_of(command)
    t.asides[aside + L.A_STOP] = command.stop_price_ticks
    t.asides[aside + L.A_DISPLAY] = command.display_lots
    t.asides[aside + L.A_LIST] = command.list_id
    t.asides[aside + L.A_BUDGET] = command.quote_units
    t.asides[aside + L.A_GIVEN] = _given(command)
