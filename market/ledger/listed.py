"""`ListedOrders`: the part of a `Ledger` that is asked about order lists. The rules of lists are in `lists.py`.

Must not know: events.
"""

from typing import Final

import numpy as np

from market.enums import ListRole
from market.ledger import layout as L
from market.ledger.kernel import kernels
from market.ledger.lists import OrderList
from market.ledger.partition import NO_CLIENT_ID, Partition, words_of_name
from market.ledger.tables import Array, Records
from market.reasons import Reason
from market.records import REPORT, joined

EXEC_IDS_OF_LISTS: Final = 1 << 52
"""Plus the report's own number: executions that no book knows, above all of a book's and exact in a float."""
_BALANCE: Final = slice(L.B_FREE, L.B_LOCKED + 1)
_NO_REPORTS: Records = np.zeros(0, REPORT)


class ListedOrders(Partition):
    """Order lists of one partition: admitted, placed, amended, ended."""

    def admit_list(self, name: bytes, commands: Records, ts_ns: int) -> Records:
        """Reserve for an order list, all of it or nothing: REPORT[0], or REPORT[n] that refuse each of its orders.

        `name`: its client order id. `commands`: COMMAND[n], writable, the working order first; completed in place.
        What was admitted is on its way only after `place_list`.
        """
        self._make_order_room(len(commands))
        self._make_entry_room()
        reasons = np.zeros(len(commands), np.int64)
        first = commands[0]
        account, symbol = int(first["account"]), int(first["symbol"])
        if not kernels.admit_list(self._arrays.header, commands, ts_ns, reasons):
            return self._refusals(commands, reasons, ts_ns)
        reason = Reason.NONE
        if self.lists.is_named(account, name.rstrip(b"\0")):
            reason = Reason.DUPLICATE_LIST_CLIENT_ORDER_ID
        elif self.lists.count(account, symbol) >= self.instruments[symbol].max_num_order_lists:
            reason = Reason.MAX_NUM_ORDER_LISTS
        if reason == Reason.NONE:
            return _NO_REPORTS
        for order_id in commands["order_id"].tolist():
            self.end(account, order_id)
        return self._refusals(commands, np.full(len(commands), int(reason), np.int64), ts_ns)

    def place_list(self, name: bytes, commands: Records, ts_ns: int) -> None:
        """A journaled list: it is followed from now on, and its pending orders wait."""
        self._make_order_room(len(commands))
        self._make_entry_room()
        if commands[0]["list_role"] != ListRole.OCO_FIRST:
            kernels.hold_pending(self._arrays.header, commands, ts_ns)
        self.lists.place(name, commands, ts_ns)

    def place_pending(self, one: OrderList) -> tuple[Records, Reason]:
        """The turn of a list's pending orders: COMMAND[n] for the book, or why they cannot be placed.

        COMMAND[0] when they no longer wait.
        """
        commands = one.commands()
        commands["token"] = commands["gateway"] = 0
        row = self._row(one.account)
        slot = self._held(row, one.order_ids[1])
        if not slot:
            return commands[:0], Reason.NONE
        if not commands["qty_lots"][0]:
            commands["qty_lots"] = self._lots_brought(one, slot)
        return commands, Reason(kernels.place_pending(self._arrays.header, commands))

    def _lots_brought(self, one: OrderList, slot: int) -> int:
        """What the working order bought; without its commission, unless other funds cover that."""
        arrays, instrument = self._arrays, self.instruments[one.symbol]
        brought = int(self._aside(slot)[L.A_BROUGHT])
        base = int(arrays.instruments[one.symbol, L.I_BASE])
        free = int(self._balance(self._row(one.account), base)[L.B_FREE])
        whole = one.filled_lots * instrument.base_units_per_lot <= brought + free
        return one.filled_lots if whole else brought // instrument.base_units_per_lot

    def why_not_amended(self, command: Records) -> Reason:
        """AMEND[1] of a pending order of a list that waits: NONE, or why it cannot be."""
        row, order_id = self._row(int(command["account"][0])), int(command["order_id"][0])
        slot = self._held(row, order_id)
        if not slot:
            return Reason.ORDER_PENDING
        namesake = self._find(row, 0, _name_of(command))
        if namesake and namesake != slot:
            return Reason.DUPLICATE_CLIENT_ORDER_ID
        lots, total = int(command["qty_lots"][0]), int(self._arrays.orders[slot, L.O_QTY])
        if not 0 < lots < total:
            return Reason.AMEND_NOT_REDUCED
        one = self.instruments[(int(self._arrays.orders[slot, L.O_META]) >> L.SYMBOL_BIT) & L.SYMBOL_MASK]
        return Reason.NONE if lots >= one.min_qty_lots else Reason.LOT_SIZE

    def amend_pending(self, command: Records, ts_ns: int) -> Records:
        """A journaled AMEND[1] of a pending order: both of a pair get the new quantity. REPORT[m]."""
        account, order_id = int(command["account"][0]), int(command["order_id"][0])
        row, orders = self._row(account), self._arrays.orders
        slot = self._find(row, order_id)
        one = self.lists.get(int(self._aside(slot)[L.A_LIST])) if slot else None
        if one is None:
            return _NO_REPORTS
        for member in one.amended_with(order_id):
            at = self._find(row, member)
            orders[at, [L.O_QTY, L.O_LEAVES]] = command["qty_lots"][0]
            aside = self._aside(at)
            aside[L.A_DISPLAY] = min(aside[L.A_DISPLAY], command["qty_lots"][0])
        if command["client_order_id"][0]:
            kernels.rename_order(self._arrays.header, slot, _name_of(command))
        return joined(self.lists.amend(one, command, self, ts_ns), REPORT)

    def end_list(self, list_id: int, reason: int, ts_ns: int) -> Records:
        """Journaled: its pending orders cannot be placed, or no book ever saw its first order; REPORT[m]."""
        told = self.lists.end(list_id, reason, self, ts_ns)
        return joined(told, REPORT) if told else _NO_REPORTS

    def told(self, account: int, order_id: int) -> Records:
        """REPORT[1] of an open order, without number and balances."""
        reports = self.open_order(account, order_id)
        reports["partition"] = self.partition
        return reports

    def end(self, account: int, order_id: int) -> None:
        """Of an order that no book has."""
        kernels.end_order(self._arrays.header, self._find(self._row(account), order_id))

    def sign(self, account: int, symbol: int, reports: Records, ts_ns: int) -> None:
        """Number REPORT[n] on the account's private stream and tell its balances."""
        row, arrays = self._row(account), self._arrays
        first = int(arrays.rows[row, L.R_SEQ]) + 1
        arrays.rows[row, L.R_SEQ] += len(reports)
        reports["seq"] = np.arange(first, first + len(reports))
        reports["account"], reports["partition"], reports["ts_ns"] = account, self.partition, ts_ns
        reports["exec_id"] = EXEC_IDS_OF_LISTS + reports["seq"]
        base, quote = arrays.instruments[symbol, [L.I_BASE, L.I_QUOTE]]
        reports["base_free"], reports["base_locked"] = self._balance(row, int(base))[_BALANCE]
        reports["quote_free"], reports["quote_locked"] = self._balance(row, int(quote))[_BALANCE]

    def _held(self, row: int, order_id: int) -> int:
        """Slot of a pending order that waits for its leader, or 0."""
        slot = self._find(row, order_id)
        status = int(self._arrays.orders[slot, L.O_META]) >> L.STATUS_BIT & L.STATUS_MASK
        return slot if slot and status == L.HELD else 0

    def _find(self, row: int, order_id: int, name: Array = NO_CLIENT_ID) -> int:
        """Slot of an open order by order id or, when that is 0, by client order id; 0: none."""
        return int(kernels.find(self._arrays.header, row, order_id, name))

    def _aside(self, slot: int) -> Array:
        """Of an order of a list: what it is more than a plain one."""
        aside: Array = self._arrays.asides[self._arrays.orders[slot, L.O_OWNER] >> 32]
        return aside


def _name_of(command: Records) -> Array:
    """The words of the client order id of COMMAND[1]."""
    return words_of_name(bytes(command["client_order_id"][0]))
