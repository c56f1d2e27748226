"""What each open order locks, alone or with the other of its pair.

Must not know: why an order opens or ends.
"""

from market.book.machine import inlined, routine, signed
from market.enums import ListRole, Side
from market.ledger import layout as L
from market.ledger.blocks import balance_at
from market.ledger.ids import find_id
from market.ledger.tables import Tables, aside_of, instrument_at, order_at, row_of, symbol_of
from market.ledger.terms import is_budgeted, is_buy, is_plain, list_role_of

_BUY = int(Side.BUY)
_OCO_SECOND = int(ListRole.OCO_SECOND)


@inlined
def given_asset(t: Tables, symbol: int, side: int) -> int:
    """The asset that an order of this side pays with."""
    return t.instruments[instrument_at(symbol) + (L.I_QUOTE if side == _BUY else L.I_BASE)]


@inlined
def lock(t: Tables, order: int, units: int) -> None:
    """From free to locked; `units` < 0: back. Of a plain order it has to be what a change of its leaves makes."""
    asset = given_asset(t, symbol_of(t, order), t.orders[order + L.O_META] & L.SIDE_MASK)
    balance = balance_at(t, row_of(t, order), asset)
    t.entries[balance + L.B_FREE] -= units
    t.entries[balance + L.B_LOCKED] += units
    _reserve(t, order, units)


@inlined
def _reserve(t: Tables, order: int, units: int) -> None:
    if not is_plain(t, order):
        t.asides[aside_of(t, order) + L.A_RESERVED] += units


@inlined
def give_locked(t: Tables, order: int, asset: int, units: int) -> None:
    """A trade took them."""
    t.entries[balance_at(t, row_of(t, order), asset) + L.B_LOCKED] -= units
    _reserve(t, order, -units)


@inlined
def units_to_lock(t: Tables, order: int, lots: int) -> int:
    """What so many lots of a LIMIT order, or of any SELL, reserve."""
    instrument = instrument_at(symbol_of(t, order))
    if is_buy(t, order):
        return lots * t.orders[order + L.O_PRICE] * t.instruments[instrument + L.I_QUOTE_PER_TICK_LOT]
    return lots * t.instruments[instrument + L.I_BASE_PER_LOT]


@inlined
def reserved_of(t: Tables, order: int) -> int:
    """Locked for this order now."""
    if is_plain(t, order):
        return units_to_lock(t, order, t.orders[order + L.O_LEAVES])
    return t.asides[aside_of(t, order) + L.A_RESERVED]


@inlined
def release_lots(t: Tables, order: int, lots: int) -> None:
    """Free what lots that will not trade reserve; a budget is not per lot, it stays to the end."""
    if not is_budgeted(t, order):
        lock(t, order, -units_to_lock(t, order, lots))


@inlined
def units_needed(t: Tables, order: int) -> int:
    """What the order as it stands has to have locked."""
    if is_budgeted(t, order):
        return t.asides[aside_of(t, order) + L.A_BUDGET]
    return units_to_lock(t, order, t.orders[order + L.O_LEAVES])


@inlined
def partner_of(t: Tables, order: int) -> int:
    """0: none."""
    partner = t.asides[aside_of(t, order) + L.A_PARTNER]
    return order_at(find_id(t, partner)) if partner != 0 else signed(0)


@inlined
def units_locked(t: Tables, order: int) -> int:
    """For the order, or for the pair that it is of."""
    partner = partner_of(t, order)
    return reserved_of(t, order) + (reserved_of(t, partner) if partner != 0 else signed(0))


@routine
def fit_lock(t: Tables, order: int) -> None:
    """Lock just what the order needs; of a pair, what the dearer one does, all of it for the first. Not of a plain one."""
    needed, partner, locks = units_needed(t, order), partner_of(t, order), order
    if partner != 0:
        needed = max(needed, units_needed(t, partner))
        locks = partner if list_role_of(t, order) == _OCO_SECOND else order
    lock(t, locks, needed - units_locked(t, order))


@inlined
def pair_up(t: Tables, first: int, second: int) -> None:
    """From now on they lock together."""
    t.asides[aside_of(t, first) + L.A_PARTNER] = t.orders[second + L.O_ID]
    t.asides[aside_of(t, second) + L.A_PARTNER] = t.orders[first + L.O_ID]


@routine
def part(t: Tables, order: int) -> None:
    """The order, one of a pair, is on its own, and what the pair locks is its own."""
    own, other = aside_of(t, order), aside_of(t, partner_of(t, order))
    t.asides[own + L.A_PARTNER] = 0
    t.asides[own + L.A_RESERVED] += t.asides[other + L.A_RESERVED]
    t.asides[other + L.A_RESERVED] = 0
    t.asides[other + L.A_PARTNER] = 0
