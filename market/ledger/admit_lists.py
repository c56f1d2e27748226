"""Which order lists are taken, all of one or nothing of it; and the way of its pending orders to their book.

Must not know: events, what the end of one order means for the others.
"""

from market.book.machine import Words, inlined, routine, signed
from market.enums import FILL_MODEL_BIT, FILL_MODEL_MASK, CommandKind, ListRole, OrdStatus, OrdType, Side
from market.ledger import layout as L
from market.ledger.admit import need_of, sign, why_refused
from market.ledger.blocks import balance_at
from market.ledger.ids import find_id
from market.ledger.locks import fit_lock, given_asset, lock, pair_up, reserved_of
from market.ledger.orders import enter, hold, remove
from market.ledger.records import CommandRecord
from market.ledger.tables import Array, Records, Tables, aside_of, count_order_id, open_row, order_at, row_of
from market.ledger.terms import set_status
from market.reasons import Reason

_NEW = int(CommandKind.NEW)
_BUY = int(Side.BUY)
_LIMIT, _MARKET, _LIMIT_MAKER = int(OrdType.LIMIT), int(OrdType.MARKET), int(OrdType.LIMIT_MAKER)
_MEMBER, _OCO_FIRST, _OCO_SECOND = int(ListRole.MEMBER), int(ListRole.OCO_FIRST), int(ListRole.OCO_SECOND)
_PENDING = int(OrdStatus.PENDING_NEW)
_FILL_MODEL = FILL_MODEL_MASK << FILL_MODEL_BIT
_NONE = int(Reason.NONE)
_UNKNOWN_ACCOUNT = int(Reason.UNKNOWN_ACCOUNT)
_INVALID_COMMAND = int(Reason.INVALID_COMMAND)
_OCO_PAIR_REFUSED = int(Reason.OCO_PAIR_REFUSED)


@inlined
def _are_a_list(commands: Records) -> bool:
    """OCO: a pair. OTO: a working order and a pending one, or a pending pair."""
    n = len(commands)
    first: CommandRecord = commands[0]
    last: CommandRecord = commands[n - 1]
    for k in range(n):
        one: CommandRecord = commands[k]
        if one.kind != _NEW or one.account != first.account or one.symbol != first.symbol or one.list_id != 0:
            return False
        if signed(one.flags) & ~_FILL_MODEL != 0 or one.target_id != 0:
            return False
    if n == 3 or (n == 2 and first.list_role == _OCO_FIRST):
        other: CommandRecord = commands[n - 2]
        if other.list_role != _OCO_FIRST or last.list_role != _OCO_SECOND:
            return False
        if other.side != last.side or other.qty_lots != last.qty_lots:
            return False
        if other.ord_type == _MARKET or last.ord_type == _MARKET:
            return False
        return n == 2 or _leads(first, other)
    return n == 2 and last.list_role == _MEMBER and _leads(first, last)


@inlined
def _leads(working: CommandRecord, pending: CommandRecord) -> bool:
    """What is to be filled from the working order's proceeds sells what that one buys."""
    if working.list_role != _MEMBER or (working.ord_type != _LIMIT and working.ord_type != _LIMIT_MAKER):
        return False
    return pending.qty_lots != 0 or (working.side == _BUY and pending.side != _BUY)


@routine
def admit_list(t: Tables, commands: Records, words: Words, ts_ns: int, reasons: Array) -> bool:
    """All of a list or nothing; `reasons[k]` says why command k is refused. Pending orders wait with nothing locked.

    Completes the commands: order ids, and the first one's as the list's.
    """
    n, refused = len(commands), signed(-1)
    for k in range(n):
        reasons[k] = _OCO_PAIR_REFUSED
    head: CommandRecord = commands[0]
    row = open_row(t, head.account)
    if row < 0 or n < 2 or not _are_a_list(commands):
        reasons[0] = _UNKNOWN_ACCOUNT if row < 0 else _INVALID_COMMAND
        return False
    pair = head.list_role == _OCO_FIRST
    list_id, partition = t.header[L.H_NEXT_ORDER] * t.header[L.H_PARTITIONS], t.header[L.H_PARTITION]
    for k in range(n):
        command: CommandRecord = commands[k]
        command.list_id = list_id + partition
        client_id = k * L.COMMAND_WORDS + L.COMMAND_CLIENT_ID
        reasons[k] = why_refused(t, command, words, client_id, row, signed(0), True)
        units = signed(0)
        if reasons[k] == _NONE and (pair or k == 0):
            balance = balance_at(t, row, given_asset(t, command.symbol, command.side))
            shared = reserved_of(t, order_at(find_id(t, head.order_id))) if k == 1 else signed(0)
            need = need_of(t, command, t.entries[balance + L.B_FREE] + shared)
            reasons[k], units = need.reason, signed(0) if k == 1 else need.units
        if reasons[k] != _NONE:
            refused = signed(k)
            break
        sign(t, command, row)
        order = enter(t, command, words, client_id, row, units, signed(0), ts_ns)
        if k == 1 and pair:
            pair_up(t, order_at(find_id(t, head.order_id)), order)
            fit_lock(t, order)
    if refused < 0:
        return True
    for k in range(refused):
        entered: CommandRecord = commands[k]
        remove(t, order_at(find_id(t, entered.order_id)))
        reasons[k] = _OCO_PAIR_REFUSED
    return False


@routine
def hold_pending(t: Tables, commands: Records, words: Words, ts_ns: int) -> None:
    """Of a list that was journaled: its pending orders wait, entered now unless they were admitted here."""
    head: CommandRecord = commands[0]
    row, n = open_row(t, head.account), len(commands)
    for k in range(1, n):
        command: CommandRecord = commands[k]
        count_order_id(t, command.order_id)
        slot = find_id(t, command.order_id)
        if slot == 0:
            client_id = k * L.COMMAND_WORDS + L.COMMAND_CLIENT_ID
            enter(t, command, words, client_id, row, signed(0), signed(0), ts_ns)
            slot = find_id(t, command.order_id)
        t.asides[aside_of(t, order_at(slot)) + L.A_LEADER] = head.order_id
        t.orders[order_at(slot) + L.O_CREATED] = ts_ns
        hold(t, order_at(slot))
    if n == 3:
        second: CommandRecord = commands[2]
        first: CommandRecord = commands[1]
        pair_up(t, order_at(find_id(t, first.order_id)), order_at(find_id(t, second.order_id)))


@routine
def place_pending(t: Tables, commands: Records) -> int:
    """It is the turn of a list's pending orders: reserve and put them on their way; why not, or NONE."""
    n = len(commands)
    head: CommandRecord = commands[0]
    first = order_at(find_id(t, head.order_id))
    balance = balance_at(t, row_of(t, first), given_asset(t, head.symbol, head.side))
    free, needed = t.entries[balance + L.B_FREE] + reserved_of(t, first), signed(0)
    for k in range(n):
        command: CommandRecord = commands[k]
        need = need_of(t, command, free)
        if need.reason != _NONE:
            return need.reason
        needed = max(needed, need.units)
    # What is too much, of what the working order brought, is given back when the book has the orders.
    lock(t, first, max(signed(0), needed - reserved_of(t, first)))
    for k in range(n):
        placed: CommandRecord = commands[k]
        order = order_at(find_id(t, placed.order_id))
        set_status(t, order, _PENDING)
        t.asides[aside_of(t, order) + L.A_BUDGET] = placed.quote_units
    return _NONE
