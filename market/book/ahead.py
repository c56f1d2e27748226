"""Asking for the memory that the next commands will need, while others are matched.

A large book lies far from the processor: an order is found by a line of the table of ids, then its record, then
those of its neighbours in the queue, each of which takes longer to come than the command takes to run. For a group
of commands these lines are asked for together. Nothing here changes what a command does.

Must not know: rules, events.
"""

from market.book import layout as L
from market.book.ids import home_of, likely_slot, order_at
from market.book.layout import Records
from market.book.machine import Words, constant, inlined, prefetch, routine, signed
from market.enums import CommandKind

GROUP = constant(16)
"""Commands: enough that one group's lines come while another is matched, few enough that they are still there."""

_NEW = constant(CommandKind.NEW)
_REPLACE = constant(CommandKind.REPLACE)


@inlined
def ask_for_ids(arena: Words, commands: Records, start: int, stop: int) -> None:
    """Of commands[start:stop]: where the table would have them."""
    for index in range(start, stop):
        prefetch(arena, home_of(arena, commands[index].order_id))


@routine
def ask_for_orders(arena: Words, commands: Records, start: int, stop: int, scratch: Words, at: int) -> None:
    """Of the live orders that commands[start:stop] name, and of their neighbours.

    `scratch`: GROUP words from `at`, free to write.
    """
    for index in range(start, stop):
        command = commands[index]
        kind, slot = signed(command.kind), signed(0)
        if kind != _NEW:
            slot = likely_slot(arena, command.target_id if kind == _REPLACE else command.order_id)
        prefetch(arena, order_at(arena, slot))
        scratch[at + index - start] = slot
    for index in range(start, stop):
        slot = scratch[at + index - start]
        if slot != 0:
            links = arena[order_at(arena, slot) + L.LINKS]
            prefetch(arena, order_at(arena, links >> 32))
            prefetch(arena, order_at(arena, links & L.LOW_HALF))
