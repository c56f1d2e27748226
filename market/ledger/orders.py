"""Open orders: taking a slot, giving it back; orders that wait for another.

Must not know: why an order opens or ends.
"""

from market.book.machine import Words, inlined, routine, signed
from market.enums import ListRole, OrdStatus, OrdType, TimeInForce
from market.ledger import layout as L
from market.ledger.asides import close_aside, is_plain_command, write_aside
from market.ledger.blocks import keep_entries, position_at
from market.ledger.ids import find_id, forget_id, forget_name, remember_id, remember_name
from market.ledger.locks import fit_lock, lock, part, partner_of, reserved_of
from market.ledger.records import CommandRecord
from market.ledger.tables import Tables, aside_of, is_named, name_at, order_at, row_at, row_of, slot_of, symbol_of
from market.ledger.terms import has_no_limit, is_pending, is_plain, is_timed, leader_of, list_role_of, set_status

_LIMIT = int(OrdType.LIMIT)
_MARKET = int(OrdType.MARKET)
_MEMBER = int(ListRole.MEMBER)
_GTC = int(TimeInForce.GTC)
_PENDING = int(OrdStatus.PENDING_NEW)
_BYTE = 255


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
        | signed(command.symbol) << L.SYMBOL_BIT
    )


@inlined
def _weight(meta: int) -> int:
    """What the order adds to its count. A MARKET, IOC or FOK order is only ever on its way."""
    ord_type, time_in_force = (meta >> L.ORD_TYPE_BIT) & _BYTE, (meta >> L.TIME_IN_FORCE_BIT) & _BYTE
    never_rests = ord_type == _MARKET or (ord_type == _LIMIT and time_in_force != _GTC)
    return signed(1 << L.COUNT_BIT) + (signed(1) << L.NEVER_RESTS_BIT if never_rests else signed(0))


@inlined
def previous_of(links: int) -> int:
    return links & L.LOW_HALF


@inlined
def next_of(links: int) -> int:
    return links >> 32


@inlined
def _set_previous(t: Tables, order: int, slot: int) -> None:
    t.orders[order + L.O_LINKS] = next_of(t.orders[order + L.O_LINKS]) << 32 | slot


@inlined
def _set_next(t: Tables, order: int, slot: int) -> None:
    t.orders[order + L.O_LINKS] = previous_of(t.orders[order + L.O_LINKS]) | slot << 32


@inlined
def _link(t: Tables, order: int) -> None:
    """Make the order its account's newest."""
    row = row_at(row_of(t, order))
    head = t.rows[row + L.R_HEAD]
    t.orders[order + L.O_LINKS] = head << 32
    if head != 0:
        _set_previous(t, order_at(head), slot_of(order))
    t.rows[row + L.R_HEAD] = slot_of(order)
    t.rows[row + L.R_OPEN_ORDERS] += 1
    position = position_at(t, row_of(t, order), symbol_of(t, order))
    t.entries[position + L.E_KEY] += _weight(t.orders[order + L.O_META])
    t.header[L.H_LIVE] += 1


@inlined
def _unlink(t: Tables, order: int) -> None:
    row = row_at(row_of(t, order))
    links = t.orders[order + L.O_LINKS]
    before, after = previous_of(links), next_of(links)
    if before != 0:
        _set_next(t, order_at(before), after)
    else:
        t.rows[row + L.R_HEAD] = after
    if after != 0:
        _set_previous(t, order_at(after), before)
    t.rows[row + L.R_OPEN_ORDERS] -= 1
    position = position_at(t, row_of(t, order), symbol_of(t, order))
    t.entries[position + L.E_KEY] -= _weight(t.orders[order + L.O_META])
    t.header[L.H_LIVE] -= 1


@inlined
def _take_slot(t: Tables) -> int:
    """Place of a free order. The wrapper made room."""
    slot = t.header[L.H_FREE]
    if slot == 0:
        t.header[L.H_USED] += 1
        return order_at(t.header[L.H_USED])
    t.header[L.H_FREE] = t.orders[order_at(slot) + L.O_LINKS]
    return order_at(slot)


@inlined
def _name(t: Tables, order: int, words: Words, client_id: int) -> None:
    """Its client order id, if there is one."""
    some = signed(0)
    for k in range(L.CLIENT_ID_WORDS):
        some |= words[client_id + k]
    if some == 0:
        return
    t.orders[order + L.O_META] |= L.NAMED
    for k in range(L.CLIENT_ID_WORDS):
        t.names[name_at(order) + k] = words[client_id + k]
    remember_name(t, order)


@routine
def enter(
    t: Tables, command: CommandRecord, words: Words, client_id: int, row: int, reserved: int, borrowed: int, ts_ns: int
) -> int:
    """An order on its way: into a free slot, `reserved` locked. Its place."""
    order = _take_slot(t)
    keep_entries(t, row, command.symbol)
    unpriced = has_no_limit(signed(command.ord_type)) or command.peg_type != 0
    t.orders[order + L.O_ID] = command.order_id
    t.orders[order + L.O_OWNER] = row
    t.orders[order + L.O_META] = _meta_of(command)
    t.orders[order + L.O_PRICE] = 0 if unpriced else command.price_ticks
    t.orders[order + L.O_QTY] = command.qty_lots
    t.orders[order + L.O_LEAVES] = command.qty_lots
    t.orders[order + L.O_CREATED] = ts_ns
    if not is_plain_command(command):
        write_aside(t, order, command, borrowed)
    lock(t, order, reserved)
    _link(t, order)
    remember_id(t, order)
    _name(t, order, words, client_id)
    return order


@routine
def rename(t: Tables, order: int, words: Words, client_id: int) -> None:
    """Its client order id anew."""
    if is_named(t, order):
        forget_name(t, order)
        t.orders[order + L.O_META] &= ~L.NAMED
    _name(t, order, words, client_id)


@routine
def remove(t: Tables, order: int) -> None:
    """Free what the order still locks, and its slot."""
    if t.asides[aside_of(t, order) + L.A_PARTNER] != 0:
        part(t, partner_of(t, order))
    locked = reserved_of(t, order)
    if locked != 0:
        lock(t, order, -locked)
    forget_id(t, order)
    if is_named(t, order):
        forget_name(t, order)
    _unlink(t, order)
    if not is_plain(t, order):
        close_aside(t, order)
    t.orders[order + L.O_ID] = 0
    t.orders[order + L.O_LINKS] = t.header[L.H_FREE]
    t.header[L.H_FREE] = slot_of(order)


@routine
def release_pending(t: Tables) -> int:
    """Remove every order on its way, or hold it again; how many."""
    count = 0
    for slot in range(1, t.header[L.H_USED] + 1):
        order = order_at(slot)
        if t.orders[order + L.O_ID] != 0 and is_pending(t, order):
            if leader_of(t, order) != 0:
                hold(t, order)
            else:
                remove(t, order)
            count += 1
    return count


@inlined
def hold(t: Tables, order: int) -> None:
    """Nothing was placed: it waits (again), with nothing locked but what its leader brought it."""
    set_status(t, order, L.HELD)
    aside = aside_of(t, order)
    t.asides[aside + L.A_BUDGET] = 0
    lock(t, order, t.asides[aside + L.A_BROUGHT] - t.asides[aside + L.A_RESERVED])


@routine
def pays_for(t: Tables, order: int) -> int:
    """The pending order that sells what this one buys; 0: none. Its id is the next one (`admit_list`)."""
    if is_plain(t, order) or list_role_of(t, order) != _MEMBER or leader_of(t, order) != 0:
        return 0
    order_id = t.orders[order + L.O_ID]
    payee = order_at(find_id(t, order_id + t.header[L.H_PARTITIONS]))
    if payee == 0 or leader_of(t, payee) != order_id or t.orders[payee + L.O_QTY] != 0:
        return 0
    return payee


@routine
def take_up(t: Tables, order: int, command: CommandRecord) -> None:
    """The book has the pending order, as the command says; an order that is to sell what was bought learns its size."""
    t.orders[order + L.O_QTY] = command.qty_lots
    t.orders[order + L.O_LEAVES] = command.qty_lots
    t.asides[aside_of(t, order) + L.A_BUDGET] = command.quote_units
    fit_lock(t, order)


@routine
def link_orders(t: Tables) -> None:
    """Link the orders of a pool whose accounts list none; the newest in the highest slot. There is room for their entries."""
    for slot in range(1, t.header[L.H_USED] + 1):
        order = order_at(slot)
        if t.orders[order + L.O_ID] != 0:
            keep_entries(t, row_of(t, order), symbol_of(t, order))
            _link(t, order)
