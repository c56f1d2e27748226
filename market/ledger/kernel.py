"""The ledger's kernels: what Python calls, once per batch or question. Compiled; the rules are in the other files.

The caller has made room (`arrays.py`): no order slot, hash table or report row can run out in here.

Must not know: Python objects, time, how arrays grow.
"""

from collections.abc import Callable
from typing import NamedTuple

from market.book.machine import entry, record_words, words_of
from market.ledger import layout as L
from market.ledger.admit import admit_command
from market.ledger.admit_lists import admit_list, hold_pending, place_pending
from market.ledger.build import source_digest
from market.ledger.orders import link_orders, release_pending, remove, rename
from market.ledger.reports import tell_open_order, tell_refusal, write_open_slots
from market.ledger.settle import mark_answers, settle_event
from market.ledger.tables import (
    Array,
    Arrays,
    Records,
    count_lost_orders,
    find_client_id,
    find_id,
    index_orders,
    order_at,
    tables_of,
)


class Kernels(NamedTuple):
    admit: Callable[[Arrays, Records, int, Array], int]
    refuse: Callable[[Records, Array, Records], None]
    settle: Callable[[Arrays, Records, Records, int, Records, Array], int]
    drop_pending: Callable[[Arrays], int]
    admit_list: Callable[[Arrays, Records, int, Array], bool]
    hold_pending: Callable[[Arrays, Records, int], None]
    place_pending: Callable[[Arrays, Records], int]
    end_order: Callable[[Arrays, int], None]
    rename_order: Callable[[Arrays, int, Array], None]
    find: Callable[[Arrays, int, int, Array], int]
    open_slots: Callable[[Arrays, int, int, Array], int]
    tell_orders: Callable[[Arrays, Array, Records], None]
    build_index: Callable[[Arrays], None]
    link: Callable[[Arrays], None]
    count_lost: Callable[[Arrays], int]


def _compile(sources: str) -> Kernels:
    # `sources` is in each closure, hence in the key of numba's cache: see `market/book/build.py`.

    @entry
    def admit(arrays: Arrays, commands: Records, ts_ns: int, reasons: Array) -> int:
        """Decide each command in order: `reasons[k]` 0, it goes to its book, or why not. How many are refused."""
        _ = sources
        t, words, refused = tables_of(arrays), record_words(commands), 0
        for k in range(len(commands)):
            reason = admit_command(t, commands[k], words, k, ts_ns)
            reasons[k] = reason
            refused += reason != 0
        return refused

    @entry
    def refuse(commands: Records, reasons: Array, reports: Records) -> None:
        """Write the refusal of every command."""
        _ = sources
        command_words, report_words = record_words(commands), record_words(reports)
        for k in range(len(commands)):
            tell_refusal(reports[k], report_words, k, commands[k], command_words, reasons[k])

    @entry
    def settle(
        arrays: Arrays, commands: Records, events: Records, ts_ns: int, reports: Records, answered: Array
    ) -> int:
        """Post one committed batch; the number of reports, or -1 - k when event k is not of this venue."""
        _ = sources
        t, told = tables_of(arrays), 0
        for k in range(len(events)):
            after = settle_event(t, events[k], commands, ts_ns, reports, told, answered)
            if after < 0:
                return -1 - k
            told = after
        mark_answers(reports, answered)
        return told

    @entry
    def drop_pending(arrays: Arrays) -> int:
        """Release every order that no book has told of; how many."""
        _ = sources
        return release_pending(tables_of(arrays))

    @entry
    def admit_a_list(arrays: Arrays, commands: Records, ts_ns: int, reasons: Array) -> bool:
        """Decide one order list, all of it or nothing."""
        _ = sources
        return admit_list(tables_of(arrays), commands, record_words(commands), ts_ns, reasons)

    @entry
    def hold(arrays: Arrays, commands: Records, ts_ns: int) -> None:
        """A journaled list: its pending orders wait."""
        _ = sources
        hold_pending(tables_of(arrays), commands, record_words(commands), ts_ns)

    @entry
    def place(arrays: Arrays, commands: Records) -> int:
        """The pending orders of a list are on their way, or why not."""
        _ = sources
        return place_pending(tables_of(arrays), commands)

    @entry
    def end_order(arrays: Arrays, slot: int) -> None:
        _ = sources
        remove(tables_of(arrays), order_at(slot))

    @entry
    def rename_order(arrays: Arrays, slot: int, client_id: Array) -> None:
        _ = sources
        rename(tables_of(arrays), order_at(slot), words_of(client_id), 0)

    @entry
    def find(arrays: Arrays, row: int, order_id: int, client_id: Array) -> int:
        """Slot of the account's open order by order id, or by the words of its client order id; 0: none."""
        _ = sources
        t = tables_of(arrays)
        if order_id == 0:
            return find_client_id(t, row, words_of(client_id), 0)
        slot = find_id(t, order_id)
        return slot if t.orders[order_at(slot) + L.O_ROW] == row else 0

    @entry
    def open_slots(arrays: Arrays, row: int, symbol: int, slots: Array) -> int:
        """The account's open orders in one symbol (-1: in any), newest first; how many."""
        _ = sources
        return write_open_slots(tables_of(arrays), row, symbol, words_of(slots))

    @entry
    def tell_orders(arrays: Arrays, slots: Array, reports: Records) -> None:
        _ = sources
        t, words = tables_of(arrays), record_words(reports)
        for k in range(len(slots)):
            tell_open_order(t, reports[k], words, k, slots[k])

    @entry
    def build_index(arrays: Arrays) -> None:
        """Fill empty hash tables and the list of free slots."""
        _ = sources
        index_orders(tables_of(arrays))

    @entry
    def link(arrays: Arrays) -> None:
        """Link and count the orders of accounts that list none."""
        _ = sources
        link_orders(tables_of(arrays))

    @entry
    def count_lost(arrays: Arrays) -> int:
        """Open orders that the hash tables do not lead to."""
        _ = sources
        return count_lost_orders(tables_of(arrays))

    return Kernels(
        admit, refuse, settle, drop_pending, admit_a_list, hold, place, end_order, rename_order, find, open_slots,
        tell_orders, build_index, link, count_lost,
    )  # fmt: skip


kernels = _compile(source_digest())
