"""Events of `market.venues.events` as bytes, for recordings of what never was a venue's frame."""

from typing import Any, Final

import msgspec

from market.venues.events import BookDelta, BookSnapshot, Candle, Event, Quote, Status, Trade

TYPES: Final = (Trade, Quote, BookSnapshot, BookDelta, Candle, Status)
"""The first byte of an event is its place here: only ever append."""

_NUMBERS: Final = {kind: bytes([number]) for number, kind in enumerate(TYPES)}
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODERS: Final[tuple[msgspec.msgpack.Decoder[Any], ...]] = tuple(msgspec.msgpack.Decoder(kind) for kind in TYPES)


def encode_event(event: Event) -> bytes:
    return _NUMBERS[type(event)] + _ENCODER.encode(event)


def decode_event(body: bytes) -> Event:
    """Raises ValueError (`msgspec.DecodeError` is one) for what is no event."""
    if not body or body[0] >= len(TYPES):
        raise ValueError(f"no event begins with {body[:1]!r}")
    event: Event = _DECODERS[body[0]].decode(memoryview(body)[1:])
    return event
