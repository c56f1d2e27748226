"""Open orders: taking a slot, giving it back, and what each order locks.

Must not know: why an order opens or ends.
"""

from market.book.machine import Words, inlined, routine, signed
from market.enums import CommandFlag, CommandKind, OrdStatus, OrdType, Side, TimeInForce
from market.ledger import layout as L
from market.ledger.records import CommandRecord
from market.ledger.tables import (
    Tables,
    balance_at,
    count_at,
    forget_order,
    instrument_at,
    order_at,
    remember_order,
    row_at,
)

_BUY = int(Side.BUY)
_LIMIT = int(OrdType.LIMIT)
_MARKET = int(OrdType.MARKET)
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
def is_market(t: Tables, order: int) -> bool:
    return (t.orders[order + L.O_META] >> L.ORD_TYPE_BIT) & _BYTE == _MARKET


@inlined
def is_by_quote(t: Tables, order: int) -> bool:
    return (t.orders[order + L.O_META] >> L.FLAGS_BIT) & _BY_QUOTE != 0


@inlined
def is_pending(t: Tables, order: int) -> bool:
    """On its way to the book."""
    return t.orders[order + L.O_META] >> L.STATUS_BIT == _PENDING


@inlined
def set_status(t: Tables, order: int, status: int) -> None:
    t.orders[order + L.O_META] = t.orders[order + L.O_META] & _STATUS_MASK | signed(status) << L.STATUS_BIT


@inlined
def _meta_of(command: CommandRecord) -> int:
    time_in_force = signed(command.time_in_force) if command.ord_type == _LIMIT else signed(0)
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
    """Free what lots that will not trade reserve; the budget of a market BUY is not per lot, it stays to the end."""
    if not (is_market(t, order) and is_buy(t, order)):
        lock(t, order, -units_to_lock(t, order, lots))


# -- coming and going ---------------------------------------------------------------------------------------


@inlined
def _weight(meta: int) -> int:
    """What the order adds to its count. A MARKET, IOC or FOK order is only ever on its way."""
    ord_type, time_in_force = (meta >> L.ORD_TYPE_BIT) & _BYTE, (meta >> L.TIME_IN_FORCE_BIT) & _BYTE
    return signed(1) + (signed(1) << L.NEVER_RESTS_BIT if ord_type == _MARKET or time_in_force != _GTC else signed(0))


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


@routine
def enter(
    t: Tables, command: CommandRecord, words: Words, client_id: int, row: int, reserved: int, borrowed: int, ts_ns: int
) -> int:
    """An order on its way: into a free slot, `reserved` locked. Its place. The wrapper made room."""
    slot = t.header[L.H_FREE]
    order = order_at(slot)
    t.header[L.H_FREE] = t.orders[order + L.O_NEXT]
    market = command.ord_type == _MARKET
    t.orders[order + L.O_ID] = command.order_id
    t.orders[order + L.O_ROW] = row
    t.orders[order + L.O_SYMBOL] = command.symbol
    t.orders[order + L.O_META] = _meta_of(command)
    t.orders[order + L.O_PRICE] = 0 if market else command.price_ticks
    t.orders[order + L.O_QTY] = command.qty_lots
    t.orders[order + L.O_LEAVES] = command.qty_lots
    t.orders[order + L.O_CUM] = 0
    t.orders[order + L.O_CUM_QUOTE] = 0
    t.orders[order + L.O_RESERVED] = 0
    t.orders[order + L.O_BORROW] = borrowed
    t.orders[order + L.O_CREATED] = ts_ns
    t.orders[order + L.O_ORIG] = command.target_id if command.kind == _REPLACE else 0
    for k in range(L.CLIENT_ID_WORDS):
        t.orders[order + L.O_CID + k] = words[client_id + k]
    lock(t, order, reserved)
    _link(t, slot)
    remember_order(t, slot)
    return order


@routine
def remove(t: Tables, order: int) -> None:
    """Free what the order still locks, and its slot."""
    slot = order // L.ORDER_WORDS
    lock(t, order, -t.orders[order + L.O_RESERVED])
    forget_order(t, slot)
    _unlink(t, slot)
    t.orders[order + L.O_ID] = 0
    t.orders[order + L.O_NEXT] = t.header[L.H_FREE]
    t.header[L.H_FREE] = slot


@routine
def release_pending(t: Tables) -> int:
    """Remove every order on its way; how many."""
    count = 0
    for slot in range(1, t.header[L.H_SLOTS]):
        order = order_at(slot)
        if t.orders[order + L.O_ID] != 0 and is_pending(t, order):
            remove(t, order)
            count += 1
    return count


@routine
def link_orders(t: Tables) -> None:
    """Link the orders of a pool whose accounts list none; the newest in the highest slot."""
    for slot in range(1, t.header[L.H_SLOTS]):
        if t.orders[order_at(slot) + L.O_ID] != 0:
            _link(t, slot)
