"""One committed event of a book: its legs of this partition, and the reports that tell of them.

Must not know: how money moves, what other partitions own.
"""

from market.book.machine import Words, inlined, record_words, routine, signed
from market.enums import CommandFlag, CommandKind, EventKind, ListRole, Side
from market.ledger import layout as L
from market.ledger.changes import Leg, change
from market.ledger.ids import find_id
from market.ledger.locks import fit_lock, pair_up
from market.ledger.orders import enter, remove, take_up
from market.ledger.records import CommandRecord, EventRecord, ReportRecord
from market.ledger.reports import (
    clear,
    tell_account,
    tell_execution,
    tell_not_placed,
    tell_order,
    tell_refused_event,
)
from market.ledger.tables import (
    Array,
    Records,
    Tables,
    count_order_id,
    instrument_at,
    is_mine,
    is_symbol,
    open_row,
    order_at,
    row_of,
)
from market.ledger.terms import has_no_limit, is_held, is_pending, leader_of, set_status
from market.numbering import OUTSIDE_ACCOUNT

_NEW = int(CommandKind.NEW)
_REPLACE = int(CommandKind.REPLACE)
_CANCEL = int(CommandKind.CANCEL)
_CANCEL_ALL = int(CommandKind.CANCEL_ALL)
_BUY = int(Side.BUY)
_AMEND = int(CommandKind.AMEND)
_BY_CLIENT_ORDER_ID = int(CommandFlag.BY_CLIENT_ORDER_ID)
_OCO_SECOND = int(ListRole.OCO_SECOND)

_ACCEPTED = int(EventKind.ACCEPTED)
_REJECTED = int(EventKind.REJECTED)
_TRADE = int(EventKind.TRADE)
_PREVENTED = int(EventKind.PREVENTED)
_QUEUED = int(EventKind.QUEUED)
_FIRST_OUTSIDE = int(CommandKind.OUTSIDE_LEVEL)
_LAST_OUTSIDE = int(CommandKind.OUTSIDE_STATUS)
_OUTSIDE = int(OUTSIDE_ACCOUNT)


# -- legs ---------------------------------------------------------------------------------------------------


@inlined
def _house_of(counterparty: int) -> int:
    """Where the other side of a trade is posted: another partition may own it, and the outside is nobody's."""
    return signed(L.ROW_OUTSIDE) if counterparty == _OUTSIDE else signed(L.ROW_CLEARING)


@inlined
def _taker_leg(event: EventRecord) -> Leg:
    """Of the order that the event is about; a TRADE's or PREVENTED's taker."""
    fee_ppm, house = signed(event.taker_fee_ppm), _house_of(signed(event.maker_account))
    return Leg(signed(event.account), event.order_id, event.leaves_lots, fee_ppm, False, house)


@inlined
def _maker_leg(event: EventRecord) -> Leg:
    fee_ppm, house = signed(event.maker_fee_ppm), _house_of(signed(event.account))
    return Leg(signed(event.maker_account), event.maker_order_id, event.maker_leaves_lots, fee_ppm, True, house)


@inlined
def _has_maker(event: EventRecord) -> bool:
    return event.kind == _TRADE or event.kind == _PREVENTED


@inlined
def _units_of(t: Tables, command: CommandRecord) -> int:
    """What a command that was admitted reserves: a budget or cap is in it."""
    instrument = instrument_at(command.symbol)
    if command.side != _BUY:
        return command.qty_lots * t.instruments[instrument + L.I_BASE_PER_LOT]
    if has_no_limit(signed(command.ord_type)) or command.peg_type != 0:
        return command.quote_units
    return command.price_ticks * command.qty_lots * t.instruments[instrument + L.I_QUOTE_PER_TICK_LOT]


@inlined
def _order_of(t: Tables, event: EventRecord, leg: Leg, row: int, commands: Records, ts_ns: int) -> int:
    """Place of the leg's order; reserves for it when this ledger did not admit it (a replay). 0: not known."""
    slot = find_id(t, leg.order_id)
    if event.kind != _ACCEPTED:
        return order_at(slot)
    count_order_id(t, leg.order_id)
    command: CommandRecord = commands[event.command_index]
    if slot != 0:
        if leader_of(t, order_at(slot)) != 0:
            take_up(t, order_at(slot), command)
        return order_at(slot)
    client_id = event.command_index * L.COMMAND_WORDS + L.COMMAND_CLIENT_ID
    second = command.list_role == _OCO_SECOND
    units = signed(0) if second else _units_of(t, command)
    order = enter(t, command, record_words(commands), client_id, row, units, signed(0), ts_ns)
    if second:
        first: CommandRecord = commands[event.command_index - 1]
        pair_up(t, order_at(find_id(t, first.order_id)), order)
        fit_lock(t, order)
    return order


@inlined
def _refuse(
    t: Tables, event: EventRecord, report: ReportRecord, reports: Records, place: int, commands: Records
) -> None:
    """Tell of a command that the book refused; free what was reserved for a NEW or REPLACE."""
    slot = signed(0)
    if event.command_kind == _NEW or event.command_kind == _REPLACE:
        count_order_id(t, event.order_id)
        slot = find_id(t, event.order_id)
        if slot != 0 and not (is_pending(t, order_at(slot)) or is_held(t, order_at(slot))):
            slot = signed(0)
    if slot != 0 and leader_of(t, order_at(slot)) != 0:
        tell_not_placed(t, report, record_words(reports), place, order_at(slot))
    else:
        tell_refused_event(report, record_words(reports), place, event, commands)
    if slot != 0:
        remove(t, order_at(slot))


@inlined
def _new_name(event: EventRecord, leg: Leg, command: CommandRecord, words: Words) -> int:
    """Where in the words of the commands the new client order id stands that an AMEND gives its order; -1: none."""
    if command.kind != _AMEND or leg.order_id != command.order_id or command.flags & _BY_CLIENT_ORDER_ID:
        return -1
    at = event.command_index * L.COMMAND_WORDS + L.COMMAND_CLIENT_ID
    return at if words[at] != 0 else -1


@inlined
def _settle_order(
    t: Tables, event: EventRecord, leg: Leg, order: int, commands: Records, ts_ns: int, reports: Records, place: int
) -> None:
    report = reports[place]
    words = record_words(commands)
    name = _new_name(event, leg, commands[event.command_index], words)
    outcome = change(t, order, event, leg, ts_ns, words, name)
    set_status(t, order, outcome.status)
    tell_order(t, report, record_words(reports), place, order)
    report.exec_type = outcome.exec_type
    report.trade_id = event.trade_id
    if _has_maker(event):
        tell_execution(report, event, outcome.fee, outcome.fee_asset, leg.maker)
    if outcome.ends:
        remove(t, order)


@routine
def _settle_leg(
    t: Tables, event: EventRecord, leg: Leg, commands: Records, ts_ns: int, reports: Records, place: int
) -> bool:
    """Post the leg and write its report at `place`. False: the account or the order is not known here."""
    row = open_row(t, leg.account)
    if row < 0:
        return False
    report = reports[place]
    clear(report, record_words(reports), place)
    if event.kind == _REJECTED:
        _refuse(t, event, report, reports, place, commands)
    else:
        order = _order_of(t, event, leg, row, commands, ts_ns)
        if order == 0 or row_of(t, order) != row:
            return False
        _settle_order(t, event, leg, order, commands, ts_ns, reports, place)
    tell_account(t, report, event, row, ts_ns)
    return True


# -- events -------------------------------------------------------------------------------------------------


@inlined
def _answers(event: EventRecord, command: CommandRecord) -> bool:
    """Whether the event, in its taker's leg, tells the commander about an order that was commanded or canceled."""
    kind, order_id = signed(command.kind), event.order_id
    if kind in (_CANCEL, _CANCEL_ALL) or order_id == command.order_id:
        return True
    return kind == _REPLACE and order_id == command.target_id


@inlined
def _moves_no_money(event: EventRecord) -> bool:
    """How an order stands in a queue; or a refusal of what the feed sent, whatever account it names."""
    if event.kind == _QUEUED:
        return True
    return event.kind == _REJECTED and _FIRST_OUTSIDE <= event.command_kind <= _LAST_OUTSIDE


@inlined
def _note_price(t: Tables, event: EventRecord) -> None:
    """Every partition sizes its market orders by the newest trade of anybody."""
    if event.kind == _TRADE:
        t.instruments[instrument_at(event.symbol) + L.I_LAST] = event.price_ticks


@inlined
def settle_event(
    t: Tables, event: EventRecord, commands: Records, ts_ns: int, reports: Records, told: int, answered: Array
) -> int:
    """Post the legs of this partition; the number of reports then, or -1: the event is not of this venue.

    `answered[k]`: 1 + place of the newest report that answers command k.
    """
    if not is_symbol(t, event.symbol) or not 0 <= event.command_index < len(commands):
        return -1
    if _moves_no_money(event):
        return told
    _note_price(t, event)
    cause: CommandRecord = commands[event.command_index]
    if cause.account == _OUTSIDE:  # what a venue caused happened when it did, not when the batch was made
        ts_ns = cause.target_id
    if is_mine(t, event.account):
        if not _settle_leg(t, event, _taker_leg(event), commands, ts_ns, reports, told):
            return -1
        if cause.account != _OUTSIDE and _answers(event, cause):
            answered[event.command_index] = told + 1
            reports[told].token = cause.token
            reports[told].gateway = cause.gateway
        told += 1
    if _has_maker(event) and is_mine(t, event.maker_account):
        if not _settle_leg(t, event, _maker_leg(event), commands, ts_ns, reports, told):
            return -1
        told += 1
    return told


@inlined
def mark_answers(reports: Records, answered: Array) -> None:
    """The commander is answered by the last report that tells of the command."""
    for k in range(len(answered)):
        if answered[k] != 0:
            reports[answered[k] - 1].last = 1
