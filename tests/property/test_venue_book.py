"""Any sequence of deltas applied to a venue's book equals a dictionary per side."""

from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from market.venues.adapter import BookRule
from market.venues.books import VenueBook
from market.venues.events import BookDelta, BookSnapshot, Level, Status, Steps
from market.venues.numbers import BadNumber, FloatGrid, Listed, TextGrid

LEVELS = st.lists(st.tuples(st.integers(1, 12), st.integers(0, 3)), max_size=6)
DELTAS = st.lists(st.tuples(LEVELS, LEVELS), max_size=25)


def applied(side: dict[int, int], levels: list[Level]) -> dict[int, int]:
    found = side | dict(levels)
    return {price: qty for price, qty in found.items() if qty}


@settings(deadline=None)
@given(LEVELS, LEVELS, DELTAS, st.sampled_from([1, 2, 4, 256]))
def test_a_book_equals_two_dictionaries(
    bids: list[Level], asks: list[Level], deltas: list[tuple[list[Level], list[Level]]], window: int
) -> None:
    book = VenueBook("X", BookRule.NEXT, window)
    book.apply(BookSnapshot("X", 0, bids, asks, 0))
    naive_bids, naive_asks = applied({}, bids), applied({}, asks)
    states = {book.version: (naive_bids, naive_asks)}
    for seq, (more_bids, more_asks) in enumerate(deltas, 1):
        assert book.apply(BookDelta("X", 0, more_bids, more_asks, seq, seq, -1)) is None
        naive_bids, naive_asks = applied(naive_bids, more_bids), applied(naive_asks, more_asks)
        states[book.version] = naive_bids, naive_asks
        best_bids = sorted(naive_bids.items(), reverse=True)
        best_asks = sorted(naive_asks.items())
        assert book.top(3) == (best_bids[:3], best_asks[:3])
        assert book.top(99) == (best_bids, best_asks)
        assert (book.best().bid, book.best().bid_qty) == (best_bids[0] if best_bids else (0, 0))
        assert (book.best().ask, book.best().ask_qty) == (best_asks[0] if best_asks else (0, 0))
    for version, (old_bids, old_asks) in states.items():
        changes = book.changes_since(version)
        assert changes is not None
        assert applied(old_bids, changes[0]) == naive_bids
        assert applied(old_asks, changes[1]) == naive_asks


SPANS = st.lists(st.integers(1, 3), min_size=1, max_size=12)


@settings(deadline=None)
@given(SPANS, st.data())
def test_wherever_the_snapshot_falls_the_book_is_the_same(spans: list[int], data: st.DataObject) -> None:
    """The venue's deltas, a snapshot taken at any of its numbers and come at any moment: whole again, or not shown."""
    deltas, last = [], 0
    for span in spans:
        level = data.draw(st.tuples(st.integers(1, 5), st.integers(0, 3)))
        deltas.append(BookDelta("X", 0, [level], [], last + 1, last + span, last))
        last += span
    for rule in (BookRule.REST_NEXT, BookRule.REST_PREVIOUS):
        taken = data.draw(st.integers(0, len(deltas)))
        comes = data.draw(st.integers(0, len(deltas)))
        truth: dict[int, int] = {}
        for delta in deltas[:taken]:
            truth = applied(truth, delta.bids)
        snapshot = BookSnapshot("X", 0, list(truth.items()), [], deltas[taken - 1].last_seq if taken else 0)
        book = VenueBook("X", rule)
        statuses: list[Status | None] = [book.apply(delta) for delta in deltas[:comes]]
        statuses.append(book.apply(snapshot))
        statuses += [book.apply(delta) for delta in deltas[comes:]]
        assert not [one for one in statuses if one and one.kind == "gap"]
        for delta in deltas[taken:]:
            truth = applied(truth, delta.bids)
        assert book.top(99)[0] == sorted(truth.items(), reverse=True)


@settings(deadline=None)
@given(SPANS, st.data())
def test_a_lost_delta_is_always_noticed(spans: list[int], data: st.DataObject) -> None:
    deltas, last = [], 0
    for span in [*spans, 1]:
        deltas.append(BookDelta("X", 0, [(1, 1)], [], last + 1, last + span, last))
        last += span
    lost = data.draw(st.integers(0, len(spans) - 1))
    for rule in (BookRule.NEXT, BookRule.PREVIOUS, BookRule.REST_NEXT, BookRule.REST_PREVIOUS):
        book = VenueBook("X", rule)
        book.apply(BookSnapshot("X", 0, [], [], 0))
        statuses = [book.apply(delta) for number, delta in enumerate(deltas) if number != lost]
        assert [one.kind for one in statuses if one] == ["gap"]
        assert not book.live
        assert book.top(9) == ([], [])


STEPS = st.sampled_from(
    [Decimal(one) for one in ("1000", "1", "5", "0.5", "0.25", "0.1", "0.01", "0.00001", "1E-8", "0.0003")]
)
NUMBERS = st.decimals(min_value=0, max_value=10**9, places=10) | st.decimals(min_value=0, max_value=10**6, places=2)


@settings(deadline=None)
@given(STEPS, NUMBERS, st.booleans())
def test_texts_become_steps_exactly(step: Decimal, value: Decimal, nearest: bool) -> None:
    grid = TextGrid(step, "price", nearest)
    ratio = value / step
    want = int(ratio.to_integral_value(ROUND_HALF_UP if nearest else ROUND_FLOOR))
    for text in (format(value, "f"), str(value), f"{value:E}"):
        assert grid[text] == want
    assert grid.off_grid == (0 if ratio == int(ratio) else 3)


FIFTEEN = st.tuples(st.integers(0, 10**15 - 1), st.integers(0, 10)).map(lambda one: Decimal(one[0]).scaleb(-one[1]))
"""Numbers of fifteen digits survive a double."""


def read(grid: TextGrid | FloatGrid, number: str | float) -> int | None:
    try:
        return grid[number]  # type: ignore[index]
    except BadNumber:
        return None


@settings(deadline=None)
@given(STEPS, STEPS, st.lists(FIFTEEN, min_size=1), st.booleans())
def test_doubles_become_the_steps_that_their_digits_say(
    tick: Decimal, lot: Decimal, values: list[Decimal], on_grid: bool
) -> None:
    one, other = (Listed("X", "X", Steps(tick, lot)) for _ in range(2))
    for value in values:
        texts = (
            format(value // tick * tick if on_grid else value, "f"),
            format(value // lot * lot if on_grid else value, "f"),
        )
        if any(len(Decimal(text).normalize().as_tuple().digits) > 15 for text in texts):
            continue  # a multiple of the step may need more digits than the number had
        want = read(one.ticks, texts[0]), read(one.lots, texts[1])
        assert (read(other.ticks_of, float(texts[0])), read(other.lots_of, float(texts[1]))) == want
        if None not in want:
            pair = float(texts[0]), float(texts[1])
            assert Listed("X", "X", Steps(tick, lot)).levels_of([pair]) == [want]
    assert (one.ticks.off_grid, one.lots.off_grid) == (other.ticks.off_grid, other.lots.off_grid)


@settings(deadline=None)
@given(st.integers(0, 10**15), st.integers(0, 10))
def test_every_step_below_the_limit_is_found_again(steps: int, digits: int) -> None:
    """Whatever the number of digits: the double next to n steps is n steps."""
    step = Decimal(1).scaleb(-digits)
    texts = TextGrid(step, "price", nearest=True)
    assert FloatGrid(texts)[float(steps * step)] == steps
    assert texts.off_grid == 0
