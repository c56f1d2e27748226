"""Packed frames of `/ws/orders` as a client makes and reads them. Pure."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import numpy as np

from bench.exchange import Terms
from market.enums import OrdStatus, OrdType, Side, TimeInForce
from serve.packed import CANCEL, FILL, HEAD, MAGIC, PLACE, RESULT, VERSION, Op

_OPS: Final = {"place": Op.PLACE, "cancel": Op.CANCEL, "echo": Op.ECHO}


def encode(terms: Terms, op: str, orders: Sequence[dict[str, str]]) -> bytes:
    """The frame of orders as the JSON form has them, all of one symbol."""
    records = np.zeros(len(orders), CANCEL if op == "cancel" else PLACE)
    records["client_order_id"] = [one["client_order_id"] for one in orders]
    if op != "cancel":
        records["symbol_id"] = terms.symbol_id
        records["side"] = [Side[one["side"]] for one in orders]
        records["type"] = [OrdType[one["type"]] for one in orders]
        records["time_in_force"] = [TimeInForce[one["time_in_force"]] for one in orders]
        records["price_ticks"] = [int(Decimal(one["price"]) / terms.tick) for one in orders]
        records["qty_lots"] = [int(Decimal(one["quantity"]) / terms.lot) for one in orders]
    return HEAD.pack(MAGIC, VERSION, _OPS[op], 0, len(records), 1) + records.tobytes()


def decode(payload: bytes) -> dict[str, Any]:
    """A frame as a map, its orders as PLACE[n] or CANCEL[n]."""
    _, _, number, _, count, request_id = HEAD.unpack_from(payload)
    op = next(name for name, one in _OPS.items() if one == number)
    orders = np.frombuffer(payload, CANCEL if op == "cancel" else PLACE, count, HEAD.size)
    return {"op": op, "id": request_id, "orders": orders}


def accepted(message: bytes) -> int:
    """Commands that were not refused; of an answered echo 1."""
    op, failed, count = message[2] & 0x7F, message[3], int.from_bytes(message[4:8], "little")
    if failed:
        return 0
    if op == Op.ECHO:
        return 1
    results = np.frombuffer(message, RESULT, count, HEAD.size)
    return count - int(np.count_nonzero(results["status"] == OrdStatus.REJECTED))


def fills(message: bytes) -> int:
    count = int.from_bytes(message[4:8], "little")
    return max(0, len(message) - HEAD.size - count * RESULT.itemsize) // FILL.itemsize


def reason(message: bytes) -> str | None:
    """The number of the first refusal; None: that is no packed answer with one."""
    if message[:1] != bytes([MAGIC]):
        return None
    if message[3]:
        return message[HEAD.size :].decode(errors="replace")
    count = int.from_bytes(message[4:8], "little")
    results = np.frombuffer(message, RESULT, count, HEAD.size)
    refused = results["reason"][results["status"] == OrdStatus.REJECTED]
    return f"reason {refused[0]}" if len(refused) else None
