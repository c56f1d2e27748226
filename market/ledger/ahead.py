"""Asking for the memory that the next commands and events will need, while others are dealt with.

Each order touches its account's row, count, balances and position, its own row, those of its neighbours in the account's
list, its entries of the hash tables: in a large partition all of them lie in memory, far apart, and each takes longer to
come than the order itself. For a group of orders these lines are asked for together. Nothing here changes what happens.

Must not know: rules.
"""

from market.book.machine import Words, constant, inlined, prefetch, routine, signed
from market.enums import CommandKind, EventKind
from market.ledger import layout as L
from market.ledger.blocks import entry_at
from market.ledger.ids import client_id_home, id_home, likely_slot, name_home
from market.ledger.orders import next_of, previous_of
from market.ledger.records import CommandRecord, EventRecord
from market.ledger.tables import Records, Tables, is_mine, is_named, name_at, order_at, row_at

GROUP = constant(16)
"""Commands or events: enough that one group's lines come while another is dealt with, few enough that they are still there."""

_NEW = constant(CommandKind.NEW)
_REPLACE = constant(CommandKind.REPLACE)
_TRADE = constant(EventKind.TRADE)
_PREVENTED = constant(EventKind.PREVENTED)
_CANCELED = constant(EventKind.CANCELED)
_EXPIRED = constant(EventKind.EXPIRED)


@inlined
def _row_of_account(t: Tables, account: int) -> int:
    """Within the table, whether there is such an account or not."""
    row = account // t.header[L.H_PARTITIONS]
    return row if 0 <= row < t.header[L.H_ROWS] else signed(0)


@inlined
def _ask_for_block(t: Tables, row: int) -> None:
    """Of an account of few assets: two lines. Of others the rest comes when it is looked for."""
    at = entry_at(t.rows[row_at(row) + L.R_BLOCK] >> 32)
    prefetch(t.entries, at)
    prefetch(t.entries, at + L.LINE_WORDS)


# -- commands -----------------------------------------------------------------------------------------------


@inlined
def _ask_for_commander(t: Tables, command: CommandRecord, words: Words, client_id: int, later: int) -> None:
    """What can be told from the command alone; `later`: how many may get an order id before."""
    row, kind = _row_of_account(t, signed(command.account)), signed(command.kind)
    prefetch(t.rows, row_at(row))
    if kind in (_NEW, _REPLACE):
        order_id = (t.header[L.H_NEXT_ORDER] + later) * t.header[L.H_PARTITIONS] + t.header[L.H_PARTITION]
        prefetch(t.ids, id_home(t, order_id))
    if kind != _NEW:
        prefetch(t.ids, id_home(t, command.target_id if kind == _REPLACE else command.order_id))
    if words[client_id] != 0:
        prefetch(t.client_ids, client_id_home(t, row, words, client_id))


@inlined
def _ask_for_named_orders(t: Tables, command: CommandRecord) -> None:
    """The order that it names, and the newest of the account, before which a new one is linked."""
    kind = signed(command.kind)
    if kind != _NEW:
        prefetch(t.orders, order_at(likely_slot(t, command.target_id if kind == _REPLACE else command.order_id)))
    if kind in (_NEW, _REPLACE):
        row = _row_of_account(t, signed(command.account))
        prefetch(t.orders, order_at(t.rows[row_at(row) + L.R_HEAD]))
        _ask_for_block(t, row)


@routine
def ask_ahead_of_commands(t: Tables, commands: Records, words: Words, start: int) -> None:
    """For the GROUP of commands from `start`, which come next, and the one after it."""
    end = min(start + GROUP, len(commands))
    for k in range(end if start else start, min(end + GROUP, len(commands))):
        _ask_for_commander(t, commands[k], words, k * L.COMMAND_WORDS + L.COMMAND_CLIENT_ID, k - start)
    for k in range(start, end):
        _ask_for_named_orders(t, commands[k])


# -- events -------------------------------------------------------------------------------------------------


@inlined
def _has_maker(event: EventRecord) -> bool:
    return event.kind == _TRADE or event.kind == _PREVENTED


@inlined
def _ask_for_owner(t: Tables, event: EventRecord, account: int, order_id: int) -> None:
    if not is_mine(t, account):
        return
    prefetch(t.ids, id_home(t, order_id))
    prefetch(t.rows, row_at(_row_of_account(t, account)))


@inlined
def _ask_for_owners(t: Tables, event: EventRecord) -> None:
    _ask_for_owner(t, event, signed(event.account), event.order_id)
    if _has_maker(event):
        _ask_for_owner(t, event, signed(event.maker_account), event.maker_order_id)


@inlined
def _ask_for_order(t: Tables, slot: int, account: int) -> None:
    prefetch(t.orders, order_at(slot))
    prefetch(t.names, name_at(order_at(slot)))
    if is_mine(t, account):
        _ask_for_block(t, _row_of_account(t, account))


@inlined
def _ask_for_neighbours(t: Tables, slot: int) -> None:
    """Of an order that ends."""
    order = order_at(slot)
    links = t.orders[order + L.O_LINKS]
    prefetch(t.orders, order_at(previous_of(links)))
    prefetch(t.orders, order_at(next_of(links)))
    if is_named(t, order):
        prefetch(t.client_ids, name_home(t, order))


@inlined
def _ends_taker(event: EventRecord) -> bool:
    kind = signed(event.kind)
    return kind in (_CANCELED, _EXPIRED) or (kind == _TRADE and event.leaves_lots == 0)


@routine
def ask_ahead_of_events(t: Tables, events: Records, start: int) -> None:
    """For the GROUP of events from `start`, which come next, and the one after it."""
    end = min(start + GROUP, len(events))
    for k in range(end if start else start, min(end + GROUP, len(events))):
        _ask_for_owners(t, events[k])
    for k in range(start, end):
        event: EventRecord = events[k]
        taker, maker = likely_slot(t, event.order_id), signed(0)
        _ask_for_order(t, taker, signed(event.account))
        if _has_maker(event):
            maker = likely_slot(t, event.maker_order_id)
            _ask_for_order(t, maker, signed(event.maker_account))
        scratch = L.H_SCRATCH + 2 * (k - start)
        t.header[scratch] = taker if _ends_taker(event) else 0
        t.header[scratch + 1] = maker if event.maker_leaves_lots == 0 else 0
    for word in range(L.H_SCRATCH, L.H_SCRATCH + 2 * (end - start)):
        if t.header[word] != 0:
            _ask_for_neighbours(t, t.header[word])
