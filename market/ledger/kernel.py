"""The ledger's kernels: what Python calls, once per batch or question. Compiled; the rules are in the other files.

`header` is that of `Arrays`, which the caller keeps (`tables.py`). The caller has made room (`arrays.py`): no order
slot, hash table or report row can run out in here.

Must not know: Python objects, time, how arrays grow.
"""

from collections.abc import Callable
from typing import NamedTuple

from market.book.machine import constant, entry, record_words, words_of
from market.ledger import layout as L
from market.ledger.admit import admit_command
from market.ledger.admit_lists import admit_list, hold_pending, place_pending
from market.ledger.ahead import GROUP, ask_ahead_of_commands, ask_ahead_of_events
from market.ledger.blocks import add_balances, entry_at, find_entry, has_room, keep_entries, keep_entry, symbol_of_key
from market.ledger.build import source_digest
from market.ledger.ids import count_lost_orders, find_client_id, find_id, index_orders, refill_table
from market.ledger.orders import link_orders, release_pending, remove, rename
from market.ledger.reports import tell_open_order, tell_refusal, write_open_slots
from market.ledger.settle import mark_answers, settle_event
from market.ledger.tables import Array, Records, order_at, row_of, tables_of

_LEGS = constant(2)


class Kernels(NamedTuple):
    admit: Callable[[Array, Records, int, Array, int], int]
    refuse: Callable[[Records, Array, Records], None]
    settle: Callable[[Array, Records, Records, int, Records, Array, int], int]
    drop_pending: Callable[[Array], int]
    admit_list: Callable[[Array, Records, int, Array], bool]
    hold_pending: Callable[[Array, Records, int], None]
    place_pending: Callable[[Array, Records], int]
    end_order: Callable[[Array, int], None]
    rename_order: Callable[[Array, int, Array], None]
    find: Callable[[Array, int, int, Array], int]
    open_slots: Callable[[Array, int, int, Array], int]
    tell_orders: Callable[[Array, Array, Records], None]
    refill: Callable[[Array, Array], None]
    build_index: Callable[[Array], None]
    link: Callable[[Array], None]
    count_lost: Callable[[Array], int]
    find_entry: Callable[[Array, int, int], int]
    keep_entry: Callable[[Array, int, int], int]
    fill_entries: Callable[[Array, Array, Array], None]
    add_balances: Callable[[Array, Array], None]


def _compile(sources: str) -> Kernels:
    # `sources` is in each closure, hence in the key of numba's cache: see `market/book/build.py`.

    @entry
    def admit(header: Array, commands: Records, ts_ns: int, reasons: Array, start: int) -> int:
        """Decide each command from `start` on, in order: `reasons[k]` 0, it goes to its book, or why not. Where it stopped.

        Before the end it does when the pool of entries has to grow.
        """
        _ = sources
        t, words = tables_of(header), record_words(commands)
        for k in range(start, len(commands)):
            if not has_room(t, 1):
                return k
            if k % GROUP == 0 and len(commands) > 1:
                ask_ahead_of_commands(t, commands, words, k)
            reasons[k] = admit_command(t, commands[k], words, k, ts_ns)
        return len(commands)

    @entry
    def refuse(commands: Records, reasons: Array, reports: Records) -> None:
        """Write the refusal of every command."""
        _ = sources
        command_words, report_words = record_words(commands), record_words(reports)
        for k in range(len(commands)):
            tell_refusal(reports[k], report_words, k, commands[k], command_words, reasons[k])

    @entry
    def settle(
        header: Array, commands: Records, events: Records, ts_ns: int, reports: Records, answered: Array, told: int
    ) -> int:
        """Post one committed batch from H_DONE on; the number of reports, `told` of them before; -1 - k: event k is foreign.

        Before the end (H_DONE) it stops when the pool of entries has to grow.
        """
        _ = sources
        t = tables_of(header)
        for k in range(t.header[L.H_DONE], len(events)):
            t.header[L.H_DONE] = k
            if not has_room(t, _LEGS):
                return told
            if k % GROUP == 0 and len(events) > 1:
                ask_ahead_of_events(t, events, k)
            after = settle_event(t, events[k], commands, ts_ns, reports, told, answered)
            if after < 0:
                return -1 - k
            told = after
        t.header[L.H_DONE] = len(events)
        mark_answers(reports, answered)
        return told

    @entry
    def drop_pending(header: Array) -> int:
        """Release every order that no book has told of; how many."""
        _ = sources
        return release_pending(tables_of(header))

    @entry
    def admit_a_list(header: Array, commands: Records, ts_ns: int, reasons: Array) -> bool:
        """Decide one order list, all of it or nothing."""
        _ = sources
        return admit_list(tables_of(header), commands, record_words(commands), ts_ns, reasons)

    @entry
    def hold(header: Array, commands: Records, ts_ns: int) -> None:
        """A journaled list: its pending orders wait."""
        _ = sources
        hold_pending(tables_of(header), commands, record_words(commands), ts_ns)

    @entry
    def place(header: Array, commands: Records) -> int:
        """The pending orders of a list are on their way, or why not."""
        _ = sources
        return place_pending(tables_of(header), commands)

    @entry
    def end_order(header: Array, slot: int) -> None:
        _ = sources
        remove(tables_of(header), order_at(slot))

    @entry
    def rename_order(header: Array, slot: int, client_id: Array) -> None:
        _ = sources
        rename(tables_of(header), order_at(slot), words_of(client_id), 0)

    @entry
    def find(header: Array, row: int, order_id: int, client_id: Array) -> int:
        """Slot of the account's open order by order id, or by the words of its client order id; 0: none."""
        _ = sources
        t = tables_of(header)
        if order_id == 0:
            return find_client_id(t, row, words_of(client_id), 0)
        slot = find_id(t, order_id)
        return slot if row_of(t, order_at(slot)) == row else 0

    @entry
    def open_slots(header: Array, row: int, symbol: int, slots: Array) -> int:
        """The account's open orders in one symbol (-1: in any), newest first; how many."""
        _ = sources
        return write_open_slots(tables_of(header), row, symbol, words_of(slots))

    @entry
    def tell_orders(header: Array, slots: Array, reports: Records) -> None:
        _ = sources
        t, words = tables_of(header), record_words(reports)
        for k in range(len(slots)):
            tell_open_order(t, reports[k], words, k, slots[k])

    @entry
    def refill(smaller: Array, table: Array) -> None:
        """Into an empty hash table what a smaller one holds."""
        _ = sources
        refill_table(words_of(smaller), len(smaller), words_of(table), len(table))

    @entry
    def build_index(header: Array) -> None:
        """Fill empty hash tables."""
        _ = sources
        index_orders(tables_of(header))

    @entry
    def link(header: Array) -> None:
        """Link and count the orders of accounts that list none."""
        _ = sources
        link_orders(tables_of(header))

    @entry
    def count_lost(header: Array) -> int:
        """Open orders that the hash tables do not lead to."""
        _ = sources
        return count_lost_orders(tables_of(header))

    @entry
    def find_an_entry(header: Array, row: int, key: int) -> int:
        """Number of an account's entry, 0: it has none."""
        _ = sources
        return find_entry(tables_of(header), row, key) // L.ENTRY_WORDS

    @entry
    def keep_an_entry(header: Array, row: int, key: int) -> int:
        """Number of an account's entry, made when it has none."""
        _ = sources
        return keep_entry(tables_of(header), row, key) // L.ENTRY_WORDS

    @entry
    def fill_entries(header: Array, rows: Array, entries: Array) -> None:
        """Of accounts that have none: entry k is of row k."""
        _ = sources
        t, words = tables_of(header), words_of(entries)
        for k in range(len(rows)):
            key = words[entry_at(k) + L.E_KEY]
            if key & 1 == 0:
                keep_entries(t, rows[k], symbol_of_key(key))
            at = keep_entry(t, rows[k], key)
            for word in range(1, L.ENTRY_WORDS):
                t.entries[at + word] = words[entry_at(k) + word]

    @entry
    def add_all(header: Array, sums: Array) -> None:
        """What all accounts together have, to `sums` by asset."""
        _ = sources
        add_balances(tables_of(header), words_of(sums))

    return Kernels(
        admit, refuse, settle, drop_pending, admit_a_list, hold, place, end_order, rename_order, find, open_slots,
        tell_orders, refill, build_index, link, count_lost, find_an_entry, keep_an_entry,
        fill_entries, add_all,
    )  # fmt: skip


kernels = _compile(source_digest())
