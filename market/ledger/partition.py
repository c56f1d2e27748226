"""The arrays of one partition of accounts with what every question and command needs of them: rows, orders, room.

Must not know: what is asked or commanded.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from market.instrument import Instrument, assets_of
from market.ledger import arrays as arrays_of
from market.ledger import layout as L
from market.ledger.kernel import kernels
from market.ledger.lists import OrderLists
from market.ledger.tables import Array, Arrays, Records
from market.records import CLIENT_ORDER_ID_BYTES, REPORT

_FIRST_REPORTS: Final = 512
NO_CLIENT_ID: Final[Array] = np.zeros(L.CLIENT_ID_WORDS, np.int64)


class UnknownAccount(KeyError):
    """The account is not of this partition or was never opened."""


class Partition:
    """`account = row * partitions + partition`."""

    def __init__(self, arrays: Arrays, lists: OrderLists, instruments: Sequence[Instrument]) -> None:
        self.instruments = list(instruments)
        self.assets = assets_of(instruments)
        self.asset_ids = {asset.name: k for k, asset in enumerate(self.assets)}
        self.partition, self.partitions = arrays_of.partition_of(arrays)
        self.lists = lists
        self._arrays = arrays
        self._orders_fit, self._names_fit = arrays_of.orders_that_fit(arrays)
        self._make_report_room(_FIRST_REPORTS)

    def open_order(self, account: int, order_id: int = 0, client_order_id: bytes = b"") -> Records:
        """REPORT[0 or 1] of one open order, by either id."""
        row = self._row(account)
        words = NO_CLIENT_ID
        if not order_id:
            words = words_of_name(client_order_id)
        slot = kernels.find(self._arrays.header, row, order_id, words)
        return self._tell(np.array([slot] if slot else [], np.int64))

    def _row(self, account: int) -> int:
        row = account // self.partitions
        rows = self._arrays.rows
        inside = account >= 0 and account % self.partitions == self.partition and row < len(rows)
        if not inside or not rows[row, L.R_STATE] & L.R_OPEN:
            raise UnknownAccount(account)
        return int(row)

    def _tell(self, slots: Array) -> Records:
        reports = np.empty(len(slots), REPORT)
        kernels.tell_orders(self._arrays.header, slots, reports)
        return reports

    def _refusals(self, commands: Records, reasons: Array, ts_ns: int) -> Records:
        reports = np.empty(len(commands), REPORT)
        kernels.refuse(commands, reasons, reports)
        reports["ts_ns"] = ts_ns
        reports["partition"] = self.partition
        return reports

    # -- entries ----------------------------------------------------------------------------------------------

    def _balance(self, row: int, asset: int) -> Array:
        """An account's entry of an asset, zeros when it has none: to be read."""
        entry: Array = self._arrays.entries[kernels.find_entry(self._arrays.header, row, _key_of(asset))]
        return entry

    def _kept_balance(self, row: int, asset: int) -> Array:
        """As `_balance`, to be written: it is made when there is none."""
        self._make_entry_room()
        entry: Array = self._arrays.entries[kernels.keep_entry(self._arrays.header, row, _key_of(asset))]
        return entry

    def _block(self, row: int) -> tuple[Array, Array]:
        """What an account has: keys (0: an empty entry) and the entries, to be changed in place."""
        block = int(self._arrays.rows[row, L.R_BLOCK])
        entries = self._arrays.entries[block >> 32 : (block >> 32) + (block & L.LOW_HALF)]
        return entries[:, L.E_KEY] & L.KEY_MASK, entries

    # -- room -------------------------------------------------------------------------------------------------

    def _make_entry_room(self) -> None:
        """For what any two accounts may come to have to do with."""
        header = self._arrays.header
        spare = arrays_of.entries_to_spare(len(self.instruments), len(self.assets))
        if int(header[L.H_ENTRIES] - header[L.H_ENTRIES_USED]) <= spare // 2:
            self._arrays = arrays_of.with_entries(self._arrays)

    def _make_order_room(self, more: int) -> None:
        orders = int(self._arrays.header[L.H_LIVE]) + more
        named = int(self._arrays.header[L.H_NAMED]) + more
        if orders > self._orders_fit or named > self._names_fit:
            self._arrays = arrays_of.with_room(self._arrays, orders, named)
            self._orders_fit, self._names_fit = arrays_of.orders_that_fit(self._arrays)

    def _make_report_room(self, rows: int) -> None:
        self._reports: Records = np.zeros(2 * rows, REPORT)
        self._report_bytes = self._reports.view(np.uint8).data


def words_of_name(client_order_id: bytes) -> Array:
    return np.frombuffer(bytearray(client_order_id.ljust(CLIENT_ORDER_ID_BYTES, b"\0")), np.int64)


def _key_of(asset: int) -> int:
    """As `blocks.asset_key`."""
    return 2 * asset + 1
