"""Variable-length integers, seven bits to a byte, lowest first, whole columns at a time."""

from typing import Final

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

_MOST: Final = 10
"""Bytes of the longest: 64 bits at seven to a byte."""
_SHIFTS: Final = np.arange(0, 7 * _MOST, 7, dtype=np.uint64)
_PLACES: Final = np.arange(_MOST)


class BadVarints(ValueError):
    """The bytes are not the integers they are said to be."""


def zigzag(values: Integers) -> Integers:
    """Signed to unsigned, small stays small; the 64 bits are to be read as unsigned."""
    return (values << 1) ^ (values >> 63)


def unzigzag(values: Integers) -> Integers:
    bits = values.view(np.uint64)
    return (bits >> np.uint64(1)).view(np.int64) ^ -(values & 1)


def encode(values: Integers) -> bytes:
    """Each value read as 64 unsigned bits."""
    groups = (values.view(np.uint64)[:, None] >> _SHIFTS) & np.uint64(127)
    used = np.maximum(1, ((groups != 0) * (_PLACES + 1)).max(axis=1, initial=0))
    more = used[:, None] - 1 > _PLACES
    coded = groups.astype(np.uint8) | (more.astype(np.uint8) << 7)
    chosen: bytes = coded[used[:, None] > _PLACES].tobytes()
    return chosen


def decode(raw: bytes, at: int, count: int) -> tuple[Integers, int]:
    """`count` integers from byte `at` on, and where they end; raises `BadVarints`."""
    coded = np.frombuffer(raw, np.uint8, offset=at)[: count * _MOST]
    ends = np.flatnonzero(coded < 128)[:count]
    if len(ends) < count:
        raise BadVarints(f"{len(ends)} integers from byte {at} on, expected {count}")
    if not count:
        return np.zeros(0, np.int64), at
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1] + 1))
    sizes = ends - starts + 1
    if sizes.max() > _MOST:
        raise BadVarints(f"an integer of {sizes.max()} bytes from byte {at} on")
    size = int(ends[-1]) + 1
    places = np.arange(size) - np.repeat(starts, sizes)
    parts = (coded[:size] & 127).astype(np.uint64) << (7 * places).astype(np.uint64)
    return np.bitwise_or.reduceat(parts, starts).view(np.int64), at + size
