"""Stored rows of a journal unpacked by a thread of their own, a group ahead of who applies them.

One C call a group: it needs the interpreter's lock only at its ends, so it runs beside the kernels. A group is small enough to stay in
the processor's cache, a whole chunk would not.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any, Final

import zstandard

GROUP_BYTES: Final = 512 * 1024
"""Packed; unpacked some 4 MB."""


class Group:
    """Rows that are unpacked together. Each payload is given once."""

    def __init__(self, packed: list[bytes]) -> None:
        self._packed = packed
        self._payloads: list[memoryview | None] = []
        self._coming: Future[list[memoryview | None]] | None = None
        self.next: Group | None = None

    def __len__(self) -> int:
        return len(self._packed)

    def begin(self) -> None:
        if self._coming is None:
            self._coming = _thread().submit(_unpack, self._packed)

    def take(self, k: int) -> memoryview:
        """The payload of row k; the next group is begun meanwhile."""
        if not self._payloads:
            self.begin()
            assert self._coming is not None
            self._payloads = self._coming.result()
            if self.next is not None:
                self.next.begin()
        payload, self._payloads[k] = self._payloads[k], None
        assert payload is not None, "a payload is given once"
        return payload


def groups_of(packed: Sequence[bytes]) -> list[Group]:
    """All rows, in order, in groups that know the one after them."""
    groups: list[Group] = []
    part: list[bytes] = []
    size = 0
    for one in packed:
        if part and size + len(one) > GROUP_BYTES:
            groups.append(Group(part))
            part, size = [], 0
        part.append(one)
        size += len(one)
    if part:
        groups.append(Group(part))
    for this, after in pairwise(groups):
        this.next = after
    return groups


@cache
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "unpack")


@cache
def _decompressor() -> zstandard.ZstdDecompressor:
    """Only that thread's."""
    return zstandard.ZstdDecompressor()


def _unpack(packed: list[bytes]) -> list[memoryview | None]:
    found: Any = _decompressor().multi_decompress_to_buffer([*packed], threads=1)
    return [memoryview(found[k]) for k in range(len(packed))]
