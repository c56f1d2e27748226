"""The loops over a packed frame's records, compiled: one call a frame, some ten nanoseconds a record.

Records are rows of int64 words (`words`). What a loop does not know to be plain and right it leaves to `serve.packed_orders`.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from market.book.machine import entry, routine
from market.enums import CommandFlag, CommandKind, ExecType, OrdStatus, OrdType, StpMode, TimeInForce
from market.instrument import INT_LIMIT
from market.reasons import Reason
from market.records import COMMAND, REPORT, Records
from serve.orders import ENDED
from serve.packed import CANCEL, CLIENT_ORDER_ID_CHARS, FIELD_NUMBERS, PLACE, RESULT

Words = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

LEFT: Final = 0
FINE: Final = 1
UNNAMED: Final = 2
"""As FINE, but for a client_order_id that is still to be made up."""


def words(records: Records) -> Words:
    """int64[n, size / 8]: the same memory."""
    return records.view(np.int64).reshape(len(records), records.itemsize // 8)


def read_only(records: Records) -> Words:
    """The same; a kernel is compiled for arrays that may be written to, or for those that may not."""
    made = words(records)
    made.flags.writeable = False
    return made


def _word(dtype: np.dtype[np.void], field: str) -> int:
    offset: int = dtype.fields[field][1]  # type: ignore[index]
    assert offset % 8 == 0, field
    return offset // 8


def _bit(dtype: np.dtype[np.void], field: str) -> int:
    """Where in its word a smaller field begins."""
    offset: int = dtype.fields[field][1]  # type: ignore[index]
    return offset % 8 * 8


def _at(dtype: np.dtype[np.void], field: str) -> tuple[int, int]:
    return dtype.fields[field][1] // 8, _bit(dtype, field)  # type: ignore[index]


class Kernels(NamedTuple):
    """The columns of the limits are those of `packed_orders._limits_of`."""

    place: Callable[[Words, Words, Words, int, Bytes], int]
    cancel: Callable[[Words, Words, int, Bytes], int]
    tell: Callable[[Words, Words, Words, Bytes], int]


_NAME_WORDS: Final = COMMAND.itemsize // 8 - _word(COMMAND, "client_order_id")


# Not within `_compile`: a routine in an entry's closure is another one in every process, and nothing is found in the cache.
@routine
def _name_length(row: Words, at: int) -> int:
    """Of visible ASCII characters followed by zeros; -1: it is not like that, or too long."""
    length, ended = 0, False
    for k in range(_NAME_WORDS):
        word = row[at + k]
        if ended and word != 0:
            return -1
        for shift in range(0, 64, 8):
            one = (word >> shift) & 255
            if one == 0:
                if word >> shift != 0:
                    return -1
                ended = True
                break
            if one < 33 or one > 126:
                return -1
            length += 1
    return length if length <= CLIENT_ORDER_ID_CHARS else -1


def _compile(sources: str) -> Kernels:
    # `sources` is in each closure, hence in the key of numba's cache: see `market/book/build.py`.
    name_of_place, name_of_cancel, name_of_command = (_word(one, "client_order_id") for one in (PLACE, CANCEL, COMMAND))
    name_words = _NAME_WORDS
    c_order_id, c_price, c_lots = (_word(COMMAND, name) for name in ("order_id", "price_ticks", "qty_lots"))
    c_quote, c_expected = (_word(COMMAND, name) for name in ("quote_units", "expected_leaves"))
    c_side, c_type, c_tif = (_bit(COMMAND, name) for name in ("side", "ord_type", "time_in_force"))
    c_stp, c_flags = _bit(COMMAND, "stp_mode"), _bit(COMMAND, "flags")
    r_order_id, r_cum, r_leaves = (_word(REPORT, name) for name in ("order_id", "cum_qty_lots", "leaves_lots"))
    r_quote, r_ts, r_created = (_word(REPORT, name) for name in ("cum_quote_units", "ts_ns", "created_ns"))
    (r_last, r_last_bit), r_status = _at(REPORT, "last"), _bit(REPORT, "ord_status")
    r_reason, r_flags = _bit(REPORT, "reason"), _bit(REPORT, "flags")
    (t_reason_word, t_reason), t_status, t_field = _at(RESULT, "reason"), _bit(RESULT, "status"), _bit(RESULT, "field")
    limit, market, maker = int(OrdType.LIMIT), int(OrdType.MARKET), int(OrdType.LIMIT_MAKER)
    tifs, stps = len(TimeInForce), len(StpMode)
    by_quote, by_name = int(CommandFlag.BY_QUOTE), int(CommandFlag.BY_CLIENT_ORDER_ID)
    kind_cancel, refused_status, unknown = int(CommandKind.CANCEL), int(OrdStatus.REJECTED), int(Reason.UNKNOWN_ORDER)
    rejected, cancel_rejected, traded = int(ExecType.REJECTED), int(ExecType.CANCEL_REJECTED), int(ExecType.TRADE)
    last_open = min(ENDED) - 1
    assert {*range(last_open + 1, len(OrdStatus))} == ENDED
    field_of_name, field_of_id = FIELD_NUMBERS["client_order_id"], FIELD_NUMBERS["order_id"]
    int_limit = INT_LIMIT

    @entry
    def place(orders: Words, commands: Words, limits: Words, account: int, state: Bytes) -> int:
        """Into the rows of zeros: NEW of each plain order that passes every filter. How many are not FINE."""
        _ = sources
        left = 0
        for k in range(len(orders)):
            row, made = orders[k], commands[k]
            head, price, lots, quote = row[0], row[1], row[2], row[3]
            symbol, side, kind = head & 0xFFFFFFFF, (head >> 32) & 255, (head >> 40) & 255
            tif, stp = (head >> 48) & 255, (head >> 56) & 255
            state[k] = 0
            left += 1
            if (row[4] | row[5] | row[6]) != 0 or symbol >= len(limits) or side > 1 or tif >= tifs or stp >= stps:
                continue
            most = limits[symbol]
            if kind == limit or (kind == maker and tif == 0):
                if quote != 0 or price < most[0] or price > most[1] or lots < most[2] or lots > most[3] or lots < 1:
                    continue
                # The product may not fit 64 bits until it is known to be at most the largest.
                if price > most[5] // lots or price * lots < most[4]:
                    continue
            elif kind == market and tif == 0 and price == 0:
                if quote != 0:
                    if lots != 0 or quote < most[8] or quote > most[9]:
                        continue
                elif lots < most[6] or lots > most[7]:
                    continue
            else:
                continue
            length = _name_length(row, name_of_place)
            if length < 0:
                continue
            flags = by_quote if quote != 0 else 0
            made[0] = side << c_side | kind << c_type | tif << c_tif | stp << c_stp | flags << c_flags
            made[1] = symbol | account << 32
            made[c_price], made[c_lots], made[c_quote], made[c_expected] = price, lots, quote, -1
            for word in range(name_words):
                made[name_of_command + word] = row[name_of_place + word]
            if length > 0:
                state[k] = 1
                left -= 1
            else:
                state[k] = 2
        return left

    @entry
    def cancel(orders: Words, commands: Words, account: int, state: Bytes) -> int:
        """Into the rows of zeros: CANCEL of each. How many are not FINE."""
        _ = sources
        left = 0
        for k in range(len(orders)):
            row, made = orders[k], commands[k]
            length = _name_length(row, name_of_cancel)
            if length < 0 or (length > 0) != (row[0] == 0) or row[0] < 0 or row[0] >= int_limit:
                state[k] = 2 if length < 0 else 0
                left += 1
                continue
            state[k] = 1
            flags = by_name if length > 0 else 0
            made[0] = kind_cancel | flags << c_flags
            made[1] = 0xFFFFFFFF | account << 32
            made[c_order_id], made[c_expected] = row[0], -1
            for word in range(name_words):
                made[name_of_command + word] = row[name_of_cancel + word]
        return left

    @entry
    def tell(reports: Words, places: Words, results: Words, fields: Bytes) -> int:
        """Each command's last report into its place of `results`; how many reports are of trades."""
        _ = sources
        trades, command = 0, 0
        for k in range(len(reports)):
            row = reports[k]
            kind, status = row[0] & 255, (row[0] >> r_status) & 255
            trades += kind == traded
            if (row[r_last] >> r_last_bit) & 255 == 0:
                continue
            made = results[places[command]]
            command += 1
            reason = (row[0] >> r_reason) & 255
            if kind in (rejected, cancel_rejected):
                field = fields[reason] + 0
                if reason == unknown:
                    field = field_of_name if (row[0] >> r_flags) & by_name else field_of_id
                made[t_reason_word] = reason << t_reason | refused_status << t_status | field << t_field
                continue
            made[0], made[1], made[3] = row[r_order_id], row[r_cum], row[r_quote]
            made[2] = row[r_leaves] if status <= last_open else 0
            made[4] = row[r_ts] if row[r_ts] != 0 else row[r_created]
            made[t_reason_word] = reason << t_reason | status << t_status
        return trades

    return Kernels(place, cancel, tell)


_SOURCES: Final[list[Any]] = [
    PLACE, CANCEL, RESULT, COMMAND, REPORT, FIELD_NUMBERS, list(Reason), list(CommandFlag), CLIENT_ORDER_ID_CHARS,
]  # fmt: skip


def compiled() -> Kernels:
    """Each when it is first called, or read from numba's cache."""
    return _compile(repr(_SOURCES))


kernels = compiled()


def warm(kernels: Kernels = kernels) -> None:
    """Compile, or read what was compiled."""
    limits, state = np.ones((1, 10), np.int64), np.zeros(1, np.uint8)
    commands, results = words(np.zeros(1, COMMAND)), words(np.zeros(1, RESULT))
    kernels.place(read_only(np.zeros(1, PLACE)), commands, limits, 0, state)
    kernels.cancel(read_only(np.zeros(1, CANCEL)), commands, 0, state)
    kernels.tell(read_only(np.zeros(1, REPORT)), np.zeros(1, np.int64), results, np.zeros(256, np.uint8))
