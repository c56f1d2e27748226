"""Asking for the memory that the next commands will need, while others are matched.

A large book lies far from the processor: an order is found by a line of the table of ids, then its record, then
those of its neighbours in the queue, each of which takes longer to come than the command takes to run. So do the
books themselves where a batch names many. For a group of commands these lines are asked for together. Nothing here
changes what a command does.

Must not know: rules, events.
"""

from market.book import call as C
from market.book import layout as L
from market.book.commands import command_at
from market.book.ids import home_of, likely_slot, order_at
from market.book.levels import key_of, last_page, likely_level
from market.book.machine import Words, constant, inlined, prefetch, routine, signed, words_at
from market.enums import CommandKind

GROUP = constant(16)
"""Commands: enough that one group's lines come while another is matched, few enough that they are still there."""

_NEW = constant(CommandKind.NEW)
_REPLACE = constant(CommandKind.REPLACE)
_BOOK_WORDS = constant(L.BIDS + 2 * L.SIDE_WORDS)
"""Of the header, what plain orders need."""
_LINE_WORDS = constant(8)


@inlined
def _ask_for_books(arenas: Words, order: Words, start: int, stop: int) -> None:
    for at in range(start, stop):
        arena = words_at(arenas[order[at] >> 32])
        for word in range(0, _BOOK_WORDS, _LINE_WORDS):
            prefetch(arena, word)
        prefetch(arena, L.OUTSIDE)


@inlined
def _ask_for_pages(arenas: Words, order: Words, start: int, stop: int) -> None:
    """The best ends of their directories."""
    for at in range(start, stop):
        arena = words_at(arenas[order[at] >> 32])
        for side in range(L.ASKS_STORE + 1):
            prefetch(arena, last_page(arena, side))


@inlined
def _ask_for_ids(arenas: Words, commands: Words, order: Words, start: int, stop: int) -> None:
    """Where the table would have them."""
    for at in range(start, stop):
        arena = words_at(arenas[order[at] >> 32])
        prefetch(arena, home_of(arena, command_at(commands, order[at] & L.LOW_HALF).order_id))


@inlined
def _ask_for_places(arenas: Words, commands: Words, order: Words, start: int, stop: int, call: Words) -> None:
    """The orders that commands name, and the levels that orders come to. Into SCRATCH a slot, or minus a level."""
    for at in range(start, stop):
        arena, command = words_at(arenas[order[at] >> 32]), command_at(commands, order[at] & L.LOW_HALF)
        kind, side, place = signed(command.kind), signed(command.side), signed(0)
        if kind != _NEW:
            place = likely_slot(arena, command.target_id if kind == _REPLACE else command.order_id)
            prefetch(arena, order_at(arena, place))
        elif side <= L.ASKS_STORE:
            place = -likely_level(arena, side, key_of(command.price_ticks, side))
            prefetch(arena, -place)
        call[C.SCRATCH + at - start] = place


@inlined
def _ask_for_neighbours(arenas: Words, order: Words, start: int, stop: int, call: Words) -> None:
    for at in range(start, stop):
        arena, place = words_at(arenas[order[at] >> 32]), call[C.SCRATCH + at - start]
        if place > 0:
            order_place = order_at(arena, place)
            links = arena[order_place + L.LINKS]
            prefetch(arena, arena[L.PAGES_AT] + arena[order_place + L.LEVEL])
            prefetch(arena, order_at(arena, links >> 32))
            prefetch(arena, order_at(arena, links & L.LOW_HALF))
        elif place < 0:
            prefetch(arena, order_at(arena, arena[L.TAIL - place]))


@routine
def ask_ahead(arenas: Words, commands: Words, count: int, order: Words, start: int, call: Words, many: bool) -> None:
    """For the GROUP of commands from place `start`, which come next, and the groups after it. `many`: books."""
    end = min(start + GROUP, count)
    next_end = min(end + GROUP, count)
    if many:
        after = min(next_end + GROUP, count)
        _ask_for_books(arenas, order, after, min(after + GROUP, count))
        _ask_for_pages(arenas, order, next_end, after)
    _ask_for_ids(arenas, commands, order, end, next_end)
    _ask_for_places(arenas, commands, order, start, end, call)
    _ask_for_neighbours(arenas, order, start, end, call)
