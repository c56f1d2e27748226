"""Frames between actors: what the bytes on a stream mean. Pure encoding; no sockets.

A frame is `u32 length | u8 kind | body`. Commands, batches and reports are the raw records of `market.records`; the
rare rest is MessagePack. A BATCH body is exactly the journal row's payload.
"""

import struct
from enum import IntEnum
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from market.numbering import OUTSIDE_ACCOUNT
from market.records import COMMAND, EVENT, REPORT, Records, copied

FRAME: Final = struct.Struct("<IB")
MAX_FRAME: Final = 256 * 1024 * 1024
"""Bytes; larger than any batch can be. A longer length means a broken peer."""

_BATCH: Final = struct.Struct("<HHIQQII")
BATCH_VERSION: Final = 2


class Kind(IntEnum):
    HELLO = 1
    WELCOME = 2
    COMMANDS = 3
    BATCH = 4
    REPORTS = 5
    CALL = 6
    REPLY = 7
    LIST = 8
    """One order list to an account actor: its client order id (40 bytes, zero-padded), then its commands, the working
    order first. What a pending order is to be filled from the working one's proceeds has `qty_lots` 0."""
    OUTSIDE = 9
    """The feed to a book: `OUTSIDE_HEAD`, then its commands, maybe none. They are one batch."""
    ACK = 10
    """A book to the feed: `ACK_BODY`, one for each OUTSIDE frame in turn, when what it holds is journaled; one without
    commands has moved the clock by then."""
    SEEN = 11
    """An account actor to a book of a replay: `SEEN_BODY`, what `actors.responders.Seen` says."""


OUTSIDE_HEAD: Final = struct.Struct("<qd")
"""Market time (ns) after these commands; its pace, in market seconds per second of the wall (0: it stands still)."""
ACK_BODY: Final = struct.Struct("<q")
"""command_id of the feed's newest journaled command."""
SEEN_BODY: Final = struct.Struct("<qq?")
NEVER: Final = (1 << 63) - 1
"""No market time."""


class Hello(msgspec.Struct):
    """First frame of a client."""

    role: str
    """account, outside (the feed), follower (to a book); gateway (to an account actor)."""
    name: str
    partition: int = 0
    epoch: int = 0
    after_seq: int = 0
    """Followers: the last batch they have."""


class Welcome(msgspec.Struct):
    epoch: int
    seq: int
    """Newest committed sequence number when the hello was read."""
    behind: bool = False
    """The batches after `after_seq` are no longer at hand: read the journal and come again."""
    last_command_id: int = 0
    """To an account actor: the newest of its commands that is in the journal."""
    link_id: int = 0


class Call(msgspec.Struct, array_like=True):
    id: int
    method: str
    args: list[Any]


class Reply(msgspec.Struct, array_like=True):
    id: int
    error: tuple[str, str] | None
    result: Any


encoder = msgspec.msgpack.Encoder()
hello_decoder = msgspec.msgpack.Decoder(Hello)
welcome_decoder = msgspec.msgpack.Decoder(Welcome)
call_decoder = msgspec.msgpack.Decoder(Call)
reply_decoder = msgspec.msgpack.Decoder(Reply)


class Batch(msgspec.Struct):
    """One committed step of a book partition."""

    partition: int
    epoch: int
    seq: int
    ts_ns: int
    commands: Records
    """COMMAND[n]"""
    events: Records
    """EVENT[m]; `command_index` points into `commands`."""


def event_times(batch: Batch) -> npt.NDArray[np.int64]:
    """int64[m]: when each event happened, in market time (ns): what a venue caused has its command's time."""
    causes = batch.events["command_index"]
    outside = batch.commands["account"][causes] == OUTSIDE_ACCOUNT
    return np.where(outside, batch.commands["target_id"][causes], batch.ts_ns)


def encode_batch(batch: Batch) -> bytes:
    head = _BATCH.pack(
        BATCH_VERSION, batch.partition, batch.epoch, batch.seq, batch.ts_ns, len(batch.commands), len(batch.events)
    )  # fmt: skip
    return b"".join((head, batch.commands.tobytes(), batch.events.tobytes()))


def decode_batch(payload: bytes | memoryview, *, writable: bool = True) -> Batch:
    """Inverse of `encode_batch`; not `writable`: views of the payload. ValueError when the bytes are not a batch."""
    version, partition, epoch, seq, ts_ns, n, m = _BATCH.unpack_from(payload)
    if version != BATCH_VERSION or len(payload) != _BATCH.size + n * COMMAND.itemsize + m * EVENT.itemsize:
        raise ValueError(f"version {version}, {len(payload)} bytes: not a whole batch of version {BATCH_VERSION}")
    end = _BATCH.size + n * COMMAND.itemsize
    if not writable:
        commands, events = np.frombuffer(payload, COMMAND, n, _BATCH.size), np.frombuffer(payload, EVENT, m, end)
        return Batch(partition, epoch, seq, ts_ns, commands, events)
    commands, events = copied(payload[_BATCH.size : end], COMMAND), copied(payload[end:], EVENT)
    return Batch(partition, epoch, seq, ts_ns, commands, events)


class ReportRow(NamedTuple):
    """One REPORT as Python values: the fields of `market.records.REPORT`, in order."""

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
    unused: int
    base_free: int
    base_locked: int
    quote_free: int
    quote_locked: int
    client_order_id: bytes
    """Zero-padded."""


_REPORT: Final = struct.Struct("<8B2i10q2i5qQH2Bi8qi4B4q40s")
assert _REPORT.size == REPORT.itemsize
assert ReportRow._fields == REPORT.names


_row: Final = partial(tuple.__new__, ReportRow)  # as ReportRow._make, without its call of a Python function


def decode_reports(body: bytes) -> list[ReportRow]:
    return list(map(_row, _REPORT.iter_unpack(body)))


_COMMAND: Final = struct.Struct("<6BH2i6q2iQq3qi4B40s")
assert _COMMAND.size == COMMAND.itemsize
pack_command: Final = _COMMAND.pack
"""The fields of `market.records.COMMAND`, in order -> bytes."""


def commands_of(packed: list[bytes]) -> Records:
    """COMMAND[n], writable, from packed commands."""
    return np.frombuffer(bytearray().join(packed), COMMAND)
