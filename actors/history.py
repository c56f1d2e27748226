"""The newest private reports of a partition's accounts, for clients that resume from a sequence number."""

from typing import Final

import numpy as np

from market.records import REPORT, Records, opaque

KEPT: Final = 65_536
"""Reports in memory (16 MB), all accounts together."""
SAVED: Final = 8_192
"""Reports in a snapshot (2 MB)."""


class ReportHistory:
    def __init__(self) -> None:
        self._ring = np.zeros(KEPT, REPORT)
        self._count = 0

    def add(self, reports: Records) -> None:
        rows, ring = opaque(reports[-KEPT:]), opaque(self._ring)
        at = self._count % KEPT
        first = min(len(rows), KEPT - at)
        ring[at : at + first] = rows[:first]
        ring[: len(rows) - first] = rows[first:]
        self._count += len(rows)

    def after(self, account: int, seq: int) -> Records:
        """The account's kept reports numbered above `seq`, oldest first."""
        kept = self._in_order()
        found: Records = kept[(kept["account"] == account) & (kept["seq"] > seq)]
        return found

    def save(self) -> bytes:
        return self._in_order()[-SAVED:].tobytes()

    def load(self, data: bytes) -> None:
        self._count = 0
        self.add(np.frombuffer(data, REPORT))

    def _in_order(self) -> Records:
        if self._count <= KEPT:
            return self._ring[: self._count]
        at = self._count % KEPT
        return np.concatenate((self._ring[at:], self._ring[:at]))
