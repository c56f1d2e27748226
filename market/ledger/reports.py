"""Writing reports: every REPORT of the ledger but that of a deposit is made here.

Must not know: how money moves.
"""

from market.book.machine import Words, inlined, record_words, routine, signed
from market.enums import CommandKind, EventKind, ExecType, OrdStatus
from market.ledger import layout as L
from market.ledger.asides import cum_of, units_at_own_price
from market.ledger.blocks import balance_at
from market.ledger.orders import next_of
from market.ledger.records import CommandRecord, EventRecord, ReportRecord
from market.ledger.tables import (
    Records,
    Tables,
    aside_of,
    instrument_at,
    is_named,
    name_at,
    order_at,
    row_at,
    row_of,
    symbol_of,
)
from market.ledger.terms import is_pending, is_plain, status_of
from market.records import REPORT_MAKER

_NEW = int(CommandKind.NEW)
_PREVENTED = int(EventKind.PREVENTED)
_X_REJECTED = int(ExecType.REJECTED)
_X_CANCEL_REJECTED = int(ExecType.CANCEL_REJECTED)
_X_EXPIRED = int(ExecType.EXPIRED)
_S_REJECTED = int(OrdStatus.REJECTED)
_S_EXPIRED = int(OrdStatus.EXPIRED)
_S_PENDING = int(OrdStatus.PENDING_NEW)
_BYTE = 255


@inlined
def refusal_type(command_kind: int) -> int:
    """Only a NEW leaves nothing behind; the order that another kind named is unchanged."""
    return _X_REJECTED if command_kind == _NEW else _X_CANCEL_REJECTED


@inlined
def clear(report: ReportRecord, words: Words, place: int) -> None:
    """Report `place` of REPORT[n] `words` with nothing told."""
    at = place * L.REPORT_WORDS
    for k in range(L.REPORT_WORDS):
        words[at + k] = 0
    report.commission_asset = -1
    report.asset = -1


@inlined
def copy_client_id(words: Words, place: int, source: Words, at: int) -> None:
    to = place * L.REPORT_WORDS + L.REPORT_CLIENT_ID
    for k in range(L.CLIENT_ID_WORDS):
        words[to + k] = source[at + k]


@inlined
def _tell_plain(t: Tables, report: ReportRecord, order: int) -> None:
    """What follows from the row of a plain order."""
    cum = cum_of(t, order)
    report.cum_qty_lots = cum
    report.cum_quote_units = units_at_own_price(t, order, cum)
    report.working_ns = signed(0) if is_pending(t, order) else t.orders[order + L.O_CREATED]


@inlined
def _tell_aside(t: Tables, report: ReportRecord, order: int) -> None:
    aside = aside_of(t, order)
    report.cum_qty_lots = t.asides[aside + L.A_CUM]
    report.cum_quote_units = t.asides[aside + L.A_CUM_QUOTE]
    report.working_ns = t.asides[aside + L.A_WORKING]
    report.orig_order_id = t.asides[aside + L.A_ORIG]
    terms = t.asides[aside + L.A_TERMS]
    report.peg_type = terms & _BYTE
    report.peg_offset = (terms >> L.PEG_OFFSET_BIT) & _BYTE
    report.list_role = (terms >> L.LIST_ROLE_BIT) & _BYTE
    report.trailing_bips = terms >> L.TRAILING_BIT
    report.stop_price_ticks = t.asides[aside + L.A_STOP]
    report.display_lots = t.asides[aside + L.A_DISPLAY]
    report.prevented_lots = t.asides[aside + L.A_PREVENTED]
    report.list_id = t.asides[aside + L.A_LIST]
    report.tracking_ns = t.asides[aside + L.A_TRACKING]
    report.given = t.asides[aside + L.A_GIVEN]


@inlined
def tell_order(t: Tables, report: ReportRecord, words: Words, place: int, order: int) -> None:
    """The fields of an order, as it now stands; the report is clear."""
    meta = t.orders[order + L.O_META]
    report.side = meta & L.SIDE_MASK
    report.ord_type = (meta >> L.ORD_TYPE_BIT) & _BYTE
    report.time_in_force = (meta >> L.TIME_IN_FORCE_BIT) & _BYTE
    report.stp_mode = (meta >> L.STP_MODE_BIT) & _BYTE
    report.flags = (meta >> L.FLAGS_BIT) & _BYTE
    status = status_of(t, order)
    report.ord_status = _S_PENDING if status == L.HELD else status
    report.symbol = symbol_of(t, order)
    report.order_id = t.orders[order + L.O_ID]
    report.price_ticks = t.orders[order + L.O_PRICE]
    report.qty_lots = t.orders[order + L.O_QTY]
    report.leaves_lots = t.orders[order + L.O_LEAVES]
    report.created_ns = t.orders[order + L.O_CREATED]
    if is_plain(t, order):
        _tell_plain(t, report, order)
    else:
        _tell_aside(t, report, order)
    if is_named(t, order):
        copy_client_id(words, place, t.names, name_at(order))


@inlined
def tell_execution(report: ReportRecord, event: EventRecord, fee: int, fee_asset: int, maker: bool) -> None:
    """What a TRADE or PREVENTED tells beside the order."""
    if event.kind == _PREVENTED:
        report.orig_order_id = event.order_id if maker else event.maker_order_id
    report.last_qty_lots = event.qty_lots
    report.last_price_ticks = event.price_ticks
    report.last_quote_units = event.quote_units
    report.commission_units = fee
    report.commission_asset = fee_asset
    if maker:
        report.flags |= REPORT_MAKER


@inlined
def tell_not_placed(t: Tables, report: ReportRecord, words: Words, place: int, order: int) -> None:
    """A pending order of a list that the book refused when it was its turn."""
    tell_order(t, report, words, place, order)
    report.exec_type = _X_EXPIRED
    report.ord_status = _S_EXPIRED


@inlined
def _tell_terms(report: ReportRecord, command: CommandRecord) -> None:
    report.stop_price_ticks = command.stop_price_ticks
    report.display_lots = command.display_lots
    report.list_id = command.list_id
    report.trailing_bips = command.trailing_bips
    report.peg_type = command.peg_type
    report.peg_offset = command.peg_offset
    report.list_role = command.list_role


@inlined
def tell_refused_event(report: ReportRecord, words: Words, place: int, event: EventRecord, commands: Records) -> None:
    """The fields of REJECTED: the book refused a command."""
    report.exec_type = refusal_type(signed(event.command_kind))
    report.ord_status = _S_REJECTED
    report.side = event.side
    report.ord_type = event.ord_type
    report.time_in_force = event.time_in_force
    report.stp_mode = event.stp_mode
    report.flags = event.flags
    report.symbol = event.symbol
    report.order_id = event.order_id
    command: CommandRecord = commands[event.command_index]
    report.orig_order_id = command.target_id
    _tell_terms(report, command)
    report.price_ticks = event.price_ticks
    report.qty_lots = event.qty_lots
    copy_client_id(words, place, record_words(commands), event.command_index * L.COMMAND_WORDS + L.COMMAND_CLIENT_ID)


@inlined
def tell_account(t: Tables, report: ReportRecord, event: EventRecord, row: int, ts_ns: int) -> None:
    """The next number of the account's private stream, and its balances now."""
    t.rows[row_at(row) + L.R_SEQ] += 1
    instrument = instrument_at(event.symbol)
    base = balance_at(t, row, t.instruments[instrument + L.I_BASE])
    quote = balance_at(t, row, t.instruments[instrument + L.I_QUOTE])
    report.seq = t.rows[row_at(row) + L.R_SEQ]
    report.account = row * t.header[L.H_PARTITIONS] + t.header[L.H_PARTITION]
    report.partition = t.header[L.H_PARTITION]
    report.ts_ns = ts_ns
    report.base_free = t.entries[base + L.B_FREE]
    report.base_locked = t.entries[base + L.B_LOCKED]
    report.quote_free = t.entries[quote + L.B_FREE]
    report.quote_locked = t.entries[quote + L.B_LOCKED]
    report.reason = event.reason
    report.exec_id = event.exec_id
    report.command_kind = event.command_kind


@inlined
def tell_refusal(
    report: ReportRecord, words: Words, place: int, command: CommandRecord, commands: Words, reason: int
) -> None:
    """The account itself refuses the command at `place` of COMMAND[n] `commands`."""
    clear(report, words, place)
    report.exec_type = refusal_type(signed(command.kind))
    report.ord_status = _S_REJECTED
    report.side = command.side
    report.ord_type = command.ord_type
    report.time_in_force = command.time_in_force
    report.reason = reason
    report.stp_mode = command.stp_mode
    report.flags = command.flags
    report.symbol = command.symbol
    report.account = command.account
    report.order_id = command.order_id
    report.price_ticks = command.price_ticks
    report.qty_lots = command.qty_lots
    report.token = command.token
    report.gateway = command.gateway
    report.last = 1
    report.command_kind = command.kind
    report.orig_order_id = command.target_id
    _tell_terms(report, command)
    copy_client_id(words, place, commands, place * L.COMMAND_WORDS + L.COMMAND_CLIENT_ID)


@routine
def tell_open_order(t: Tables, report: ReportRecord, words: Words, place: int, slot: int) -> None:
    """An open order, asked for: only its own fields."""
    order = order_at(slot)
    clear(report, words, place)
    tell_order(t, report, words, place, order)
    report.account = row_of(t, order) * t.header[L.H_PARTITIONS] + t.header[L.H_PARTITION]


@routine
def write_open_slots(t: Tables, row: int, symbol: int, slots: Words) -> int:
    """Slots of the account's open orders in one symbol (-1: in any), newest first; how many."""
    slot, count = t.rows[row_at(row) + L.R_HEAD], 0
    while slot != 0:
        order = order_at(slot)
        if symbol < 0 or symbol_of(t, order) == symbol:
            slots[count] = slot
            count += 1
        slot = next_of(t.orders[order + L.O_LINKS])
    return count
