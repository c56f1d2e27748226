"""Elements of COMMAND[n], EVENT[n] and REPORT[n] as compiled code sees them.

Fields are attributes, each of its own width: what is computed with goes through `signed` first. Types only.
"""

from typing import Protocol


class CommandRecord(Protocol):
    kind: int
    side: int
    ord_type: int
    time_in_force: int
    stp_mode: int
    flags: int
    gateway: int
    symbol: int
    account: int
    order_id: int
    target_id: int
    price_ticks: int
    qty_lots: int
    quote_units: int
    expected_leaves: int
    maker_fee_ppm: int
    taker_fee_ppm: int
    token: int
    stop_price_ticks: int
    display_lots: int
    list_id: int
    trailing_bips: int
    peg_type: int
    peg_offset: int
    list_role: int
    cancel_restriction: int


class EventRecord(Protocol):
    kind: int
    side: int
    ord_type: int
    time_in_force: int
    reason: int
    stp_mode: int
    flags: int
    command_kind: int
    symbol: int
    account: int
    order_id: int
    price_ticks: int
    qty_lots: int
    leaves_lots: int
    quote_units: int
    maker_order_id: int
    maker_account: int
    command_index: int
    maker_leaves_lots: int
    exec_id: int
    trade_id: int
    maker_fee_ppm: int
    taker_fee_ppm: int


class ReportRecord(Protocol):
    exec_type: int
    ord_status: int
    side: int
    ord_type: int
    time_in_force: int
    reason: int
    stp_mode: int
    flags: int
    symbol: int
    account: int
    order_id: int
    price_ticks: int
    qty_lots: int
    cum_qty_lots: int
    leaves_lots: int
    cum_quote_units: int
    last_qty_lots: int
    last_price_ticks: int
    last_quote_units: int
    commission_units: int
    commission_asset: int
    asset: int
    trade_id: int
    exec_id: int
    seq: int
    ts_ns: int
    created_ns: int
    token: int
    gateway: int
    last: int
    command_kind: int
    partition: int
    orig_order_id: int
    stop_price_ticks: int
    display_lots: int
    prevented_lots: int
    list_id: int
    working_ns: int
    tracking_ns: int
    given: int
    trailing_bips: int
    peg_type: int
    peg_offset: int
    list_role: int
    base_free: int
    base_locked: int
    quote_free: int
    quote_locked: int
