"""Open orders: taking a slot, giving it back, and what each order locks.

Must not know: why an order opens or ends.
"""

from market.book.machine import Words, inlined, routine, signed
from market.enums import CommandFlag, CommandKind, ListRole, OrdStatus, OrdType, Side, TimeInForce
from market.ledger import layout as L
from market.ledger.records import CommandRecord
from market.ledger.tables import (
    Tables,
    balance_at,
    count_at,
    find_id,
    forget_order,
    instrument_at,
    order_at,
    remember_order,
    row_at,
)

_BUY = int(Side.BUY)
_LIMIT = int(OrdType.LIMIT)
_MARKET = int(OrdType.MARKET)
_STOP_LOSS = int(OrdType.STOP_LOSS)
_STOP_LOSS_LIMIT = int(OrdType.STOP_LOSS_LIMIT)
_TAKE_PROFIT = int(OrdType.TAKE_PROFIT)
_TAKE_PROFIT_LIMIT = int(OrdType.TAKE_PROFIT_LIMIT)
_MEMBER = int(ListRole.MEMBER)
_OCO_SECOND = int(ListRole.OCO_SECOND)
_GTC = int(TimeInForce.GTC)
_REPLACE = int(CommandKind.REPLACE)
_BY_QUOTE = int(CommandFlag.BY_QUOTE)
_PENDING = int(OrdStatus.PENDING_NEW)
_BYTE = 255
_STATUS_MASK = ~(_BYTE << L.STATUS_BIT)


# -- what an order is ---------------------------------------------------------------------------------------


@inlined
def is_buy(t: Tables, order: int) -> bool:
    return t.orders[order + L.O_META] & L.SIDE_MASK == _BUY


@inlined
def ord_type_of(t: Tables, order: int) -> int:
    return (t.orders[order + L.O_META] >> L.ORD_TYPE_BIT) & _BYTE


@inlined
def has_no_limit(ord_type: int) -> bool:
    return ord_type in (_MARKET, _STOP_LOSS, _TAKE_PROFIT)


@inlined
def is_stop(ord_type: int) -> bool:
    return ord_type >= _STOP_LOSS


@inlined
def is_budgeted(t: Tables, order: int) -> bool:
    """A BUY without a price yet: what it locks is not per lot."""
    if not is_buy(t, order):
        return False
    pegged = t.orders[order + L.O_TERMS] & _BYTE != 0
    return has_no_limit(ord_type_of(t, order)) or (pegged and t.orders[order + L.O_PRICE] == 0)


@inlined
def list_role_of(t: Tables, order: int) -> int:
    return (t.orders[order + L.O_TERMS] >> L.LIST_ROLE_BIT) & _BYTE


@inlined
def is_by_quote(t: Tables, order: int) -> bool:
    return (t.orders[order + L.O_META] >> L.FLAGS_BIT) & _BY_QUOTE != 0


@inlined
def is_pending(t: Tables, order: int) -> bool:
    """On its way to the book."""
    return t.orders[order + L.O_META] >> L.STATUS_BIT == _PENDING


@inlined
def is_held(t: Tables, order: int) -> bool:
    """A pending order of a list that waits for its leader."""
    return t.orders[order + L.O_META] >> L.STATUS_BIT == L.HELD


@inlined
def set_status(t: Tables, order: int, status: int) -> None:
    t.orders[order + L.O_META] = t.orders[order + L.O_META] & _STATUS_MASK | signed(status) << L.STATUS_BIT


@inlined
def is_timed(ord_type: int) -> bool:
    """Whether the time in force means something; all other types are taken as GTC."""
    return ord_type in (_LIMIT, _STOP_LOSS_LIMIT, _TAKE_PROFIT_LIMIT)


@inlined
def _terms_of(command: CommandRecord) -> int:
    return (
        signed(command.peg_type)
        | signed(command.peg_offset) << L.PEG_OFFSET_BIT
        | signed(command.list_role) << L.LIST_ROLE_BIT
        | signed(command.trailing_bips) << L.TRAILING_BIT
    )


@inlined
def _meta_of(command: CommandRecord) -> int:
    time_in_force = signed(command.time_in_force) if is_timed(signed(command.ord_type)) else signed(0)
    return (
        signed(command.side)
        | signed(command.ord_type) << L.ORD_TYPE_BIT
        | time_in_force << L.TIME_IN_FORCE_BIT
        | signed(command.stp_mode) << L.STP_MODE_BIT
        | signed(command.flags) << L.FLAGS_BIT
        | signed(_PENDING) << L.STATUS_BIT
    )


# -- what it locks ------------------------------------------------------------------------------------------


@inlined
def given_asset(t: Tables, symbol: int, side: int) -> int:
    """The asset that an order of this side pays with."""
    return t.instruments[instrument_at(symbol) + (L.I_QUOTE if side == _BUY else L.I_BASE)]


@inlined
def lock(t: Tables, order: int, units: int) -> None:
    """From free to locked; `units` < 0: back."""
    asset = given_asset(t, t.orders[order + L.O_SYMBOL], t.orders[order + L.O_META] & L.SIDE_MASK)
    balance = balance_at(t, t.orders[order + L.O_ROW], asset)
    t.balances[balance + L.B_FREE] -= units
    t.balances[balance + L.B_LOCKED] += units
    t.orders[order + L.O_RESERVED] += units


@inlined
def units_to_lock(t: Tables, order: int, lots: int) -> int:
    """What so many lots of a LIMIT order, or of any SELL, reserve."""
    instrument = instrument_at(t.orders[order + L.O_SYMBOL])
    if is_buy(t, order):
        return lots * t.orders[order + L.O_PRICE] * t.instruments[instrument + L.I_QUOTE_PER_TICK_LOT]
    return lots * t.instruments[instrument + L.I_BASE_PER_LOT]


@inlined
def release_lots(t: Tables, order: int, lots: int) -> None:
    """Free what lots that will not trade reserve; a budget is not per lot, it stays to the end."""
    if not is_budgeted(t, order):
        lock(t, order, -units_to_lock(t, order, lots))


@inlined
def units_needed(t: Tables, order: int) -> int:
    """What the order as it stands has to have locked."""
    if is_budgeted(t, order):
        return t.orders[order + L.O_BUDGET]
    return units_to_lock(t, order, t.orders[order + L.O_LEAVES])


@inlined
def partner_of(t: Tables, order: int) -> int:
    """0: none."""
    partner = t.orders[order + L.O_PARTNER]
    return order_at(find_id(t, partner)) if partner != 0 else signed(0)


@inlined
def units_locked(t: Tables, order: int) -> int:
    """For the order, or for the pair that it is of; 0 for the order 0."""
    partner = partner_of(t, order)
    return t.orders[order + L.O_RESERVED] + (t.orders[partner + L.O_RESERVED] if partner != 0 else signed(0))


@routine
def fit_lock(t: Tables, order: int) -> None:
    """Lock just what the order needs; of a pair, what the dearer one does, all of it for the first."""
    needed, partner, locks = units_needed(t, order), partner_of(t, order), order
    if partner != 0:
        needed = max(needed, units_needed(t, partner))
        locks = partner if list_role_of(t, order) == _OCO_SECOND else order
    lock(t, locks, needed - units_locked(t, order))


@inlined
def pair_up(t: Tables, first: int, second: int) -> None:
    """From now on they lock together."""
    t.orders[first + L.O_PARTNER] = t.orders[second + L.O_ID]
    t.orders[second + L.O_PARTNER] = t.orders[first + L.O_ID]


@routine
def part(t: Tables, order: int) -> None:
    """The order is on its own, and what the pair locks is its own."""
    partner = partner_of(t, order)
    t.orders[order + L.O_PARTNER] = 0
    t.orders[order + L.O_RESERVED] += t.orders[partner + L.O_RESERVED]
    t.orders[partner + L.O_RESERVED] = 0
    t.orders[partner + L.O_PARTNER] = 0


# -- coming and going ---------------------------------------------------------------------------------------


@inlined
def _weight(meta: int) -> int:
    """What the order adds to its count. A MARKET, IOC or FOK order is only ever on its way."""
    ord_type, time_in_force = (meta >> L.ORD_TYPE_BIT) & _BYTE, (meta >> L.TIME_IN_FORCE_BIT) & _BYTE
    never_rests = ord_type == _MARKET or (ord_type == _LIMIT and time_in_force != _GTC)
    return signed(1) + (signed(1) << L.NEVER_RESTS_BIT if never_rests else signed(0))


@inlined
def _link(t: Tables, slot: int) -> None:
    """Make the order its account's newest."""
    order = order_at(slot)
    row = row_at(t.orders[order + L.O_ROW])
    head = t.rows[row + L.R_HEAD]
    t.orders[order + L.O_NEXT] = head
    t.orders[order + L.O_PREV] = 0
    if head != 0:
        t.orders[order_at(head) + L.O_PREV] = slot
    t.rows[row + L.R_HEAD] = slot
    t.rows[row + L.R_OPEN_ORDERS] += 1
    t.counts[count_at(t, t.orders[order + L.O_ROW], t.orders[order + L.O_SYMBOL])] += _weight(
        t.orders[order + L.O_META]
    )
    t.header[L.H_LIVE] += 1


@inlined
def _unlink(t: Tables, slot: int) -> None:
    order = order_at(slot)
    row = row_at(t.orders[order + L.O_ROW])
    before, after = t.orders[order + L.O_PREV], t.orders[order + L.O_NEXT]
    if before != 0:
        t.orders[order_at(before) + L.O_NEXT] = after
    else:
        t.rows[row + L.R_HEAD] = after
    if after != 0:
        t.orders[order_at(after) + L.O_PREV] = before
    t.rows[row + L.R_OPEN_ORDERS] -= 1
    t.counts[count_at(t, t.orders[order + L.O_ROW], t.orders[order + L.O_SYMBOL])] -= _weight(
        t.orders[order + L.O_META]
    )
    t.header[L.H_LIVE] -= 1


@inlined
def _given(command: CommandRecord) -> int:
    if command.peg_type != 0:
        return command.price_ticks
    return command.quote_units if command.flags & _BY_QUOTE else signed(0)


@routine
def enter(
    t: Tables, command: CommandRecord, words: Words, client_id: int, row: int, reserved: int, borrowed: int, ts_ns: int
) -> int:
    """An order on its way: into a free slot, `reserved` locked. Its place. The wrapper made room."""
    slot = t.header[L.H_FREE]
    order = order_at(slot)
    t.header[L.H_FREE] = t.orders[order + L.O_NEXT]
    unpriced = has_no_limit(signed(command.ord_type)) or command.peg_type != 0
    t.orders[order + L.O_ID] = command.order_id
    t.orders[order + L.O_ROW] = row
    t.orders[order + L.O_SYMBOL] = command.symbol
    t.orders[order + L.O_META] = _meta_of(command)
    t.orders[order + L.O_PRICE] = 0 if unpriced else command.price_ticks
    t.orders[order + L.O_QTY] = command.qty_lots
    t.orders[order + L.O_LEAVES] = command.qty_lots
    t.orders[order + L.O_CUM] = 0
    t.orders[order + L.O_CUM_QUOTE] = 0
    t.orders[order + L.O_RESERVED] = 0
    t.orders[order + L.O_BORROW] = borrowed
    t.orders[order + L.O_CREATED] = ts_ns
    t.orders[order + L.O_ORIG] = command.target_id if command.kind == _REPLACE else 0
    t.orders[order + L.O_TERMS] = _terms_of(command)
    t.orders[order + L.O_STOP] = command.stop_price_ticks
    t.orders[order + L.O_DISPLAY] = command.display_lots
    t.orders[order + L.O_LIST] = command.list_id
    t.orders[order + L.O_BUDGET] = command.quote_units
    for k in range(L.O_WORKING, L.O_GIVEN):
        t.orders[order + k] = 0
    t.orders[order + L.O_GIVEN] = _given(command)
    for k in range(L.O_PARTNER, L.O_BUDGET):
        t.orders[order + k] = 0
    for k in range(L.CLIENT_ID_WORDS):
        t.orders[order + L.O_CID + k] = words[client_id + k]
    lock(t, order, reserved)
    _link(t, slot)
    remember_order(t, slot)
    return order


@routine
def rename(t: Tables, order: int, words: Words, client_id: int) -> None:
    """Its client order id anew."""
    slot = order // L.ORDER_WORDS
    forget_order(t, slot)
    for k in range(L.CLIENT_ID_WORDS):
        t.orders[order + L.O_CID + k] = words[client_id + k]
    remember_order(t, slot)


@routine
def remove(t: Tables, order: int) -> None:
    """Free what the order still locks, and its slot."""
    slot = order // L.ORDER_WORDS
    if t.orders[order + L.O_PARTNER] != 0:
        part(t, partner_of(t, order))
    lock(t, order, -t.orders[order + L.O_RESERVED])
    forget_order(t, slot)
    _unlink(t, slot)
    t.orders[order + L.O_ID] = 0
    t.orders[order + L.O_NEXT] = t.header[L.H_FREE]
    t.header[L.H_FREE] = slot


@routine
def release_pending(t: Tables) -> int:
    """Remove every order on its way, or hold it again; how many."""
    count = 0
    for slot in range(1, t.header[L.H_SLOTS]):
        order = order_at(slot)
        if t.orders[order + L.O_ID] != 0 and is_pending(t, order):
            if t.orders[order + L.O_LEADER] != 0:
                hold(t, order)
            else:
                remove(t, order)
            count += 1
    return count


# -- pending orders of a list -------------------------------------------------------------------------------


@inlined
def hold(t: Tables, order: int) -> None:
    """Nothing was placed: it waits (again), with nothing locked but what its leader brought it."""
    set_status(t, order, L.HELD)
    t.orders[order + L.O_BUDGET] = 0
    lock(t, order, t.orders[order + L.O_BROUGHT] - t.orders[order + L.O_RESERVED])


@routine
def pays_for(t: Tables, order: int) -> int:
    """The pending order that sells what this one buys; 0: none. Its id is the next one (`admit_list`)."""
    if list_role_of(t, order) != _MEMBER or t.orders[order + L.O_LEADER] != 0:
        return 0
    order_id = t.orders[order + L.O_ID]
    payee = order_at(find_id(t, order_id + t.header[L.H_PARTITIONS]))
    if payee == 0 or t.orders[payee + L.O_LEADER] != order_id or t.orders[payee + L.O_QTY] != 0:
        return 0
    return payee


@routine
def take_up(t: Tables, order: int, command: CommandRecord) -> None:
    """The book has the pending order, as the command says; an order that is to sell what was bought learns its size."""
    t.orders[order + L.O_QTY] = command.qty_lots
    t.orders[order + L.O_LEAVES] = command.qty_lots
    t.orders[order + L.O_BUDGET] = command.quote_units
    fit_lock(t, order)


@routine
def link_orders(t: Tables) -> None:
    """Link the orders of a pool whose accounts list none; the newest in the highest slot."""
    for slot in range(1, t.header[L.H_SLOTS]):
        if t.orders[order_at(slot) + L.O_ID] != 0:
            _link(t, slot)
