"""Asking for the memory that the next commands will need, while others are matched.

A large book lies far from the processor: an order is found by a line of the table of ids, then its record, then
those of its neighbours in the queue, each of which takes longer to come than the command takes to run. For a group
of commands these lines are asked for together. Nothing here changes what a command does.

Must not know: rules, events.
"""

from market.book import layout as L
from market.book.ids import home_of, likely_slot, order_at
from market.book.layout import Records
from market.book.levels import key_of, likely_level
from market.book.machine import Words, constant, inlined, prefetch, routine, signed
from market.enums import CommandKind

GROUP = constant(16)
"""Commands: enough that one group's lines come while another is matched, few enough that they are still there."""

_NEW = constant(CommandKind.NEW)
_REPLACE = constant(CommandKind.REPLACE)


@inlined
def _ask_for_ids(arena: Words, commands: Records, start: int, stop: int) -> None:
    """Where the table would have them."""
    for index in range(start, stop):
        prefetch(arena, home_of(arena, commands[index].order_id))


@inlined
def _ask_for_places(arena: Words, commands: Records, start: int, stop: int, scratch: Words, at: int) -> None:
    """The orders that commands name, and the levels that orders come to. Into `scratch` a slot, or minus a level."""
    for index in range(start, stop):
        command = commands[index]
        kind, side, place = signed(command.kind), signed(command.side), signed(0)
        if kind != _NEW:
            place = likely_slot(arena, command.target_id if kind == _REPLACE else command.order_id)
            prefetch(arena, order_at(arena, place))
        elif side <= L.ASKS_STORE:
            place = -likely_level(arena, side, key_of(command.price_ticks, side))
            prefetch(arena, -place)
        scratch[at + index - start] = place


@inlined
def _ask_for_neighbours(arena: Words, count: int, scratch: Words, at: int) -> None:
    for index in range(count):
        place = scratch[at + index]
        if place > 0:
            links = arena[order_at(arena, place) + L.LINKS]
            prefetch(arena, order_at(arena, links >> 32))
            prefetch(arena, order_at(arena, links & L.LOW_HALF))
        elif place < 0:
            prefetch(arena, order_at(arena, arena[L.TAIL - place]))


@routine
def ask_ahead(arena: Words, commands: Records, start: int, stop: int, scratch: Words, at: int) -> None:
    """For the GROUP of commands from `start`, which come next, and the two after it. `scratch`: GROUP words from `at`."""
    end = min(start + GROUP, stop)
    next_end = min(end + GROUP, stop)
    _ask_for_ids(arena, commands, end, next_end)
    _ask_for_places(arena, commands, start, end, scratch, at)
    _ask_for_neighbours(arena, end - start, scratch, at)
