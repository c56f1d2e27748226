"""The fixed-size records that cross every boundary: frames, journal rows and kernels share these bytes.

All integers are little-endian. Prices are in ticks, quantities in lots, amounts in units of 10^-scale of the
asset; times in nanoseconds since the Unix epoch travel once per batch, not per record. A record is never
partly valid: fields a kind does not use are zero.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Records = npt.NDArray[np.void]

CLIENT_ORDER_ID_BYTES = 40
"""ASCII, zero-padded; the API allows 36 characters."""

COMMAND = np.dtype(
    [
        ("kind", "u1"),  # CommandKind
        ("side", "u1"),  # Side
        ("ord_type", "u1"),  # OrdType
        ("time_in_force", "u1"),  # TimeInForce; MARKET: ignored
        ("stp_mode", "u1"),  # StpMode
        ("flags", "u1"),  # CommandFlag bits
        ("gateway", "<u2"),  # connection that waits for the answer; not looked at by kernels
        ("symbol", "<i4"),  # index of the instrument in the venue's list
        ("account", "<i4"),
        (
            "order_id",
            "<i8",
        ),  # NEW, REPLACE: of the new order; CANCEL, AMEND: of the order named; CANCEL_ALL: 0
        ("target_id", "<i8"),  # REPLACE: the order to cancel; OUTSIDE_*: market time, in ns
        ("price_ticks", "<i8"),  # types with a limit; pegged: what the user gave as his price, or 0
        ("qty_lots", "<i8"),  # NEW, REPLACE: order quantity; AMEND: the new total; MARKET by quote: cap or 0
        # MARKET: BY_QUOTE the amount; else the budget of a BUY (0: none). STOP_LOSS, TAKE_PROFIT and pegged orders:
        # the budget of a BUY (0: none). OUTSIDE_TRADE: the venue's own time, in ns (0: unknown).
        ("quote_units", "<i8"),
        ("expected_leaves", "<i8"),  # REPLACE: refuse unless the target's leaves equal this; -1: do not look
        ("maker_fee_ppm", "<i4"),
        ("taker_fee_ppm", "<i4"),
        (
            "token",
            "<u8",
        ),  # the gateway's own correlation id (OUTSIDE_TRADE: the venue's trade id); no kernel looks at it
        ("command_id", "<i8"),  # dense per (account partition, book partition): the second arrival is dropped
        ("stop_price_ticks", "<i8"),  # stop family: what the last price must reach; trailing: activation price or 0
        ("display_lots", "<i8"),  # iceberg: what the book shows at a time; 0: everything
        ("list_id", "<i8"),  # order list it belongs to, named by the account; 0: none
        ("trailing_bips", "<i4"),  # stop family: trailing delta in 1/10000; 0: a fixed stop price
        ("peg_type", "u1"),  # PegType
        ("peg_offset", "u1"),  # so many price levels behind the best; at most MAX_PEG_OFFSET
        ("list_role", "u1"),  # ListRole
        ("cancel_restriction", "u1"),  # CancelRestriction; CANCEL, REPLACE
        ("client_order_id", f"S{CLIENT_ORDER_ID_BYTES}"),  # AMEND: the new one, unless BY_CLIENT_ORDER_ID names by it
    ]
)

EVENT = np.dtype(
    [
        ("kind", "u1"),  # EventKind
        ("side", "u1"),  # of order_id (TRADE: the taker's side)
        ("ord_type", "u1"),
        ("time_in_force", "u1"),
        ("reason", "u1"),  # Reason
        ("stp_mode", "u1"),
        ("flags", "u1"),  # CommandFlag bits of the order
        ("command_kind", "u1"),  # CommandKind of the command that caused it
        ("symbol", "<i4"),
        ("account", "<i4"),  # owner of order_id
        ("order_id", "<i8"),  # TRADE, PREVENTED: the taker's
        # TRADE, PREVENTED: the maker's price; TRACKING: the trade's price; others: the order's working limit, which of
        # a pegged order is the price chosen (without a limit, or before a pegged stop order triggers: 0).
        ("price_ticks", "<i8"),
        ("qty_lots", "<i8"),  # TRADE: last_qty; PREVENTED: taken off both (0: EXPIREDs follow); others: order quantity
        ("leaves_lots", "<i8"),  # of order_id after the event (MARKET by quote without a cap: 0)
        # TRADE: notional; ACCEPTED: budget or amount of an order without a fixed limit; QUEUED: lots ahead; others 0
        ("quote_units", "<i8"),
        ("maker_order_id", "<i8"),  # TRADE, PREVENTED
        ("maker_account", "<i4"),  # TRADE, PREVENTED
        ("command_index", "<i4"),  # place of the causing command in the batch
        ("maker_leaves_lots", "<i8"),  # after the event; what an iceberg hides is in it
        ("exec_id", "<i8"),  # dense per symbol from 1: numbers the symbol's events
        # TRADE: the trade's number. PREVENTED, and the EXPIREDs it causes: the prevented match's. Each dense per
        # symbol from 1; others 0.
        ("trade_id", "<i8"),
        ("maker_fee_ppm", "<i4"),  # TRADE
        ("taker_fee_ppm", "<i4"),  # TRADE
    ]
)

REPORT = np.dtype(
    [
        ("exec_type", "u1"),  # ExecType
        ("ord_status", "u1"),  # OrdStatus
        ("side", "u1"),
        ("ord_type", "u1"),
        ("time_in_force", "u1"),
        ("reason", "u1"),
        ("stp_mode", "u1"),
        ("flags", "u1"),  # CommandFlag bits of the order | REPORT_MAKER
        ("symbol", "<i4"),  # -1: none (BALANCE)
        ("account", "<i4"),
        ("order_id", "<i8"),
        ("price_ticks", "<i8"),
        ("qty_lots", "<i8"),  # order quantity
        ("cum_qty_lots", "<i8"),
        ("leaves_lots", "<i8"),
        ("cum_quote_units", "<i8"),
        ("last_qty_lots", "<i8"),
        ("last_price_ticks", "<i8"),
        ("last_quote_units", "<i8"),
        ("commission_units", "<i8"),
        ("commission_asset", "<i4"),  # -1: none
        ("asset", "<i4"),  # BALANCE: the asset posted to; else -1
        ("trade_id", "<i8"),
        ("exec_id", "<i8"),
        (
            "seq",
            "<i8",
        ),  # dense per account from 1; 0: not part of the private stream (refused by the account)
        ("ts_ns", "<i8"),
        ("created_ns", "<i8"),  # when the order was accepted
        ("token", "<u8"),  # of the command this answers; 0: answers none
        ("gateway", "<u2"),
        ("last", "u1"),  # 1: the last report that this command causes for the commander: answer now
        ("command_kind", "u1"),
        ("partition", "<i4"),  # account partition
        ("orig_order_id", "<i8"),  # REPLACE: of the order replaced; TRADE_PREVENTION: the other order
        ("stop_price_ticks", "<i8"),  # stop family: as commanded
        ("display_lots", "<i8"),  # iceberg: as commanded
        ("prevented_lots", "<i8"),  # what self-trade prevention took off the order so far
        ("list_id", "<i8"),  # of the order list it belongs to; 0: none
        ("working_ns", "<i8"),  # when it entered the book to trade; 0: it waits (stop family, pending orders of a list)
        ("tracking_ns", "<i8"),  # trailing stop: since when it follows the market; 0: not yet
        ("given", "<i8"),  # pegged: the price (ticks) that came with it, or 0; BY_QUOTE: the amount (quote units)
        ("trailing_bips", "<i4"),
        ("peg_type", "u1"),  # PegType
        ("peg_offset", "u1"),
        ("list_role", "u1"),  # ListRole
        ("unused", "u1"),
        # Balances after the report: of the symbol's base and quote asset (BALANCE: base_* are the asset's).
        ("base_free", "<i8"),
        ("base_locked", "<i8"),
        ("quote_free", "<i8"),
        ("quote_locked", "<i8"),
        ("client_order_id", f"S{CLIENT_ORDER_ID_BYTES}"),
    ]
)

# A list of orders is told by 1 + n reports with exec_type LIST: of the list (order_id 0, client_order_id its own,
# ord_type its Contingency, ord_status its ListStatus, qty_lots n), then of each of its n orders (order_id,
# client_order_id, leaves_lots 1 while it is open).

REPORT_MAKER = 128
"""Bit of `REPORT.flags`: this execution was on the maker's side."""

assert COMMAND.itemsize == 160
assert EVENT.itemsize == 104
assert REPORT.itemsize == 304


# numpy copies records field by field, some microseconds a call; as plain bytes they move at the speed of memory.


def copied(data: bytes | memoryview, dtype: np.dtype[np.void]) -> Records:
    """The records in `data`, writable."""
    return np.frombuffer(bytearray(data), dtype)


def joined(parts: Sequence[Records], dtype: np.dtype[np.void]) -> Records:
    """As `np.concatenate`."""
    return np.frombuffer(bytearray().join([part.tobytes() for part in parts]), dtype)


def picked(records: Records, which: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Records:
    """As `records[which]` for contiguous records."""
    return opaque(records)[which].view(records.dtype)


def opaque(records: Records) -> npt.NDArray[np.void]:
    """The same memory, its fields hidden."""
    return records.view(np.dtype((np.void, records.itemsize)))


def same(one: Records, other: Records) -> bool:
    """Whether all their bytes are equal; contiguous records of whole words."""
    return one.shape == other.shape and bool((one.view(np.uint64) == other.view(np.uint64)).all())
