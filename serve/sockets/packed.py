"""Packed frames of `/ws/orders`: from a frame's bytes to its answer's, in columns (`serve.packed`)."""

from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
import structlog

from market.records import Records
from serve.errors import ApiError, Code
from serve.gateway import Gateway
from serve.packed import CANCEL, HEAD, PLACE, VERSION, Op, encode_answer, encode_problem
from serve.packed_orders import Checked
from serve.schema import MAX_BATCH

if TYPE_CHECKING:
    from serve.sockets.orders import OrdersSession

log = structlog.get_logger()

_RECORDS: Final = {int(Op.PLACE): PLACE, int(Op.CANCEL): CANCEL, int(Op.ECHO): PLACE}
_NO_REPORTS: Final[Records] = np.zeros(0, [("last", "u1")])
_NOTHING: Final[Records] = np.zeros(0, PLACE)


class PackedFrames:
    """Of one socket."""

    def __init__(self, gateway: Gateway, session: "OrdersSession") -> None:
        self._gateway = gateway
        self._session = session

    def on_frame(self, frame: bytes) -> None:
        """Every outcome is answered in the packed form."""
        op = request_id = 0
        try:
            if len(frame) < HEAD.size:
                raise ApiError(Code.MALFORMED_BODY, f"A packed frame begins with a head of {HEAD.size} bytes.")
            _, version, op, _, count, request_id = HEAD.unpack_from(frame)
            self._take(op, request_id, _orders_of(frame, version, op, count))
        except ApiError as error:
            self._refuse(op, request_id, error)
        except Exception:
            log.exception("packed frame failed", op=op)
            self._refuse(op, request_id, ApiError(Code.INTERNAL))

    def _take(self, op: int, request_id: int, orders: Records) -> None:
        session, desk = self._session, self._gateway.packed_desk
        if op == Op.ECHO:
            session.outbox.send(encode_answer(op, request_id, _NOTHING, _NOTHING))
            return
        session.check_may_send()
        if op == Op.PLACE:
            named = None
            checked = desk.place(session.account, orders, self._gateway.new_client_order_id)
        else:
            named = orders
            checked = desk.cancel(session.account, orders)
        if not len(checked.commands):
            self._tell(op, request_id, checked, named, _NO_REPORTS)
            return
        answered = partial(self._answered, op, request_id, checked, named)
        self._gateway.send_records(session.account, checked.commands, answered)
        session.unanswered += 1

    def _answered(
        self, op: int, request_id: int, checked: Checked, named: Records | None, reports: Records | None
    ) -> None:
        self._session.unanswered -= 1
        if reports is None:
            self._refuse(op, request_id, ApiError(Code.STATUS_UNKNOWN))
        else:
            self._tell(op, request_id, checked, named, reports)

    def _tell(self, op: int, request_id: int, checked: Checked, named: Records | None, reports: Records) -> None:
        results, fills = self._gateway.packed_desk.results(checked, reports, named)
        self._session.outbox.send(encode_answer(op, request_id, results, fills))

    def _refuse(self, op: int, request_id: int, error: ApiError) -> None:
        self._session.outbox.send(encode_problem(op, request_id, error))


def _orders_of(frame: bytes, version: int, op: int, count: int) -> Records:
    """The frame's records, or ApiError naming what is wrong with the head."""
    if version != VERSION:
        raise ApiError(Code.VALIDATION, f"Version {version} is not known; this server reads {VERSION}.", "version")
    layout = _RECORDS.get(op)
    if layout is None:
        raise ApiError(Code.VALIDATION, f"There is no packed op {op}; place 1, cancel 2, echo 3.", "op")
    if not 0 < count <= MAX_BATCH:
        raise ApiError(Code.VALIDATION, f"A frame has 1 to {MAX_BATCH} records, not {count}.", "count")
    size = HEAD.size + count * layout.itemsize
    if len(frame) != size:
        raise ApiError(Code.VALIDATION, f"{count} records make {size} bytes; the frame has {len(frame)}.", "count")
    return np.frombuffer(frame, layout, offset=HEAD.size)
