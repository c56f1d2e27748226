"""A book as bytes: the parts of its arena that are in use, behind a header that says whose they are.

    magic, version, record sizes, symbol | blake2b of all the rest | name, tick, lot | lengths | sections

Must not know: commands, events, rules, files.
"""

import struct
from hashlib import blake2b
from itertools import accumulate, pairwise

import numpy as np

from market.book import layout as L
from market.book.arena import Content
from market.instrument import Instrument
from market.records import COMMAND, EVENT

_MAGIC = b"RAYPBOOK"
_VERSION = 4
_SIZES = (COMMAND.itemsize, EVENT.itemsize, L.HEADER_WORDS, L.ORDER_WORDS + L.ASIDE_WORDS, L.PAGE_WORDS)
_HEADER = struct.Struct("<8sI5IiI")
_CHECKSUM_BYTES = 16
_LENGTHS = struct.Struct(f"<{len(Content._fields)}Q")


def _identity(instrument: Instrument) -> bytes:
    """What prices and quantities in the snapshot are multiples of; filters may change, these may not."""
    tick, lot = instrument.tick.normalize(), instrument.lot.normalize()
    return f"{instrument.symbol}, tick {tick}, lot {lot}, unit 10^-{instrument.quote.scale}".encode()


def _checksum(*parts: bytes) -> bytes:
    digest = blake2b(digest_size=_CHECKSUM_BYTES)
    for part in parts:
        digest.update(part)
    return digest.digest()


def encode(content: Content, instrument: Instrument, symbol_id: int) -> bytes:
    identity = _identity(instrument)
    header = _HEADER.pack(_MAGIC, _VERSION, *_SIZES, symbol_id, len(identity))
    sections = [section.tobytes() for section in content]
    body = b"".join([identity, _LENGTHS.pack(*map(len, sections)), *sections])
    return b"".join([header, _checksum(header, body), body])


def decode(data: bytes, instrument: Instrument, symbol_id: int) -> Content:
    """Raises ValueError, saying why, unless `data` is a whole snapshot of this instrument in this version."""
    body_at = _HEADER.size + _CHECKSUM_BYTES
    if len(data) < body_at or not data.startswith(_MAGIC):
        raise ValueError("not a snapshot of a book")
    header, body = data[: _HEADER.size], data[body_at:]
    _, version, *sizes, symbol, identity_bytes = _HEADER.unpack(header)
    if version != _VERSION or tuple(sizes) != _SIZES:
        raise ValueError(
            f"the snapshot is of version {version} with sizes {sizes}, and only version {_VERSION} with sizes "
            f"{list(_SIZES)} can be read; start from the journal or with a new data folder"
        )
    if _checksum(header, body) != data[_HEADER.size : body_at]:
        raise ValueError("the snapshot is damaged: its checksum differs")
    identity = body[:identity_bytes]
    if symbol != symbol_id or identity != _identity(instrument):
        here = _identity(instrument).decode()
        raise ValueError(f"snapshot of symbol {symbol} ({identity.decode()}), not of {symbol_id} ({here})")
    lengths = _LENGTHS.unpack_from(body, identity_bytes)
    edges = accumulate(lengths, initial=identity_bytes + _LENGTHS.size)
    return Content(*(np.frombuffer(body[start:end], np.int64) for start, end in pairwise(edges)))
