"""The packed form of `/ws/orders`: frames of fixed-size little-endian records, laid out for C structs and numpy.

Only the layout and its bytes; the rules are in `serve.packed_orders`, the contract in `serve/PROTOCOL.md`. No offset
may change: a new layout is a new version.
"""

import struct
from enum import IntEnum
from typing import Final

import msgspec
import numpy as np

from market.records import CLIENT_ORDER_ID_BYTES, Records
from serve.errors import ApiError, Code
from serve.orders import REFUSAL_CODES

MAGIC: Final = 0xC1
"""The first byte of a packed frame. No MessagePack value begins with it, and no JSON text."""
VERSION: Final = 1
HEAD: Final = struct.Struct("<BBBBIQ")
"""magic, version, op, 0 (answers: 1 when the frame as a whole was refused), count, id"""
CLIENT_ORDER_ID_CHARS: Final = 36


class Op(IntEnum):
    PLACE = 1
    CANCEL = 2
    ECHO = 3
    """PLACE records that are read and not placed."""


ANSWER: Final = 0x80
"""Added to the op of what is answered."""

PLACE: Final = np.dtype(
    [
        ("symbol_id", "<u4"),
        ("side", "u1"),  # Side
        ("type", "u1"),  # OrdType
        ("time_in_force", "u1"),  # TimeInForce
        ("stp_mode", "u1"),  # StpMode
        ("price_ticks", "<i8"),
        ("qty_lots", "<i8"),
        ("quote_units", "<i8"),
        ("stop_price_ticks", "<i8"),
        ("display_lots", "<i8"),
        ("trailing_bips", "<i4"),
        ("zero", "<u4"),
        ("client_order_id", f"S{CLIENT_ORDER_ID_BYTES}"),
    ]
)
"""A field that JSON would leave out is zero."""

CANCEL: Final = np.dtype([("order_id", "<i8"), ("client_order_id", f"S{CLIENT_ORDER_ID_BYTES}")])

RESULT: Final = np.dtype(
    [
        ("order_id", "<i8"),
        ("cum_qty_lots", "<i8"),
        ("leaves_lots", "<i8"),
        ("cum_quote_units", "<i8"),
        ("ts_ns", "<i8"),
        ("fills", "<u4"),
        ("reason", "<u2"),  # why it was refused, or ended
        ("status", "u1"),  # OrdStatus; REJECTED: this command was refused, and only reason and field are told
        ("field", "u1"),  # place in FIELDS
    ]
)

FILL: Final = np.dtype(
    [
        ("trade_id", "<i8"),
        ("price_ticks", "<i8"),
        ("qty_lots", "<i8"),
        ("commission_units", "<i8"),
        ("result", "<u4"),  # place of the order's RESULT
        ("in_quote", "<u4"),  # the commission: 0 in the base asset, 1 in the quote asset
    ]
)

assert (PLACE.itemsize, CANCEL.itemsize, RESULT.itemsize, FILL.itemsize) == (96, 48, 48, 40)

REASON_VALIDATION: Final = 256
"""`RESULT.reason` of VALIDATION. Below are the numbers of `market.reasons.Reason`, each refusal's code by its own name."""
FIELDS: Final = (
    None, "symbol", "side", "type", "time_in_force", "stp_mode", "price", "quantity", "quote_quantity", "stop_price",
    "display_quantity", "trailing_bips", "client_order_id", "order_id", "peg_offset",
)  # fmt: skip
"""Only ever appended to."""
FIELD_NUMBERS: Final = {name: k for k, name in enumerate(FIELDS)}


def is_packed(frame: bytes) -> bool:
    return frame[:1] == b"\xc1"


def reason_number(code: Code) -> int:
    """What RESULT tells of a refusal by the gateway."""
    return REFUSAL_CODES.get(code, REASON_VALIDATION)


def encode_answer(op: int, request_id: int, results: Records, fills: Records) -> bytes:
    """RESULT[n], then FILL[m] of all of them."""
    head = HEAD.pack(MAGIC, VERSION, op | ANSWER, 0, len(results), request_id)
    return head + results.tobytes() + fills.tobytes() if len(fills) else head + results.tobytes()


def encode_problem(op: int, request_id: int, error: ApiError) -> bytes:
    """After the head: the error as the JSON form has it."""
    told = error.problem("")
    body = msgspec.json.encode({"code": str(told.code), "detail": told.detail, "field": told.field})
    return HEAD.pack(MAGIC, VERSION, op | ANSWER, 1, 0, request_id) + body
