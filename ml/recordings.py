"""Recordings as events that features are made of. Pure over file objects."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final, NamedTuple

from market.intervals import SECOND_NS
from market.recording import Damaged, Reader
from market.replay import Recorded, Replay
from market.venues.books import VenueBook
from market.venues.events import BookDelta, BookSnapshot, Status
from market.venues.events import Event as VenueEvent
from market.venues.events import Quote as VenueQuote
from market.venues.events import Trade as VenueTrade
from ml.features.events import DEPTH_LEVELS, Depth, Event, Events, Quote, packed, quote_of, trade_of
from ml.features.spec import FeatureSpec

WINDOWS_IN_SPAN: Final = 4
"""No window is longer than this part of a recording, or hardly a row would be left."""


class RecordedMarket(NamedTuple):
    events: dict[str, Events]
    """By symbol; `VENUE:SYMBOL` when there are several venues."""
    errors: int
    """Entries that could not be read."""
    damage: str
    """What kept a recording from being read to its end; empty: nothing."""


class _Listener:
    """Best prices are what the venue tells as such; where it never does, those of its book."""

    def __init__(self) -> None:
        self.told: Final[dict[tuple[str, str], list[Event]]] = defaultdict(list)
        self._quoting: Final[set[tuple[str, str]]] = set()
        self._newest: Final[dict[tuple[str, str], tuple[int, ...]]] = {}

    def __call__(self, venue: str, event: VenueEvent, book: VenueBook, market_ns: int) -> None:
        key = venue, event.symbol
        match event:
            case VenueTrade():
                self.told[key].append(trade_of(event, market_ns))
            case VenueQuote():
                self._quoting.add(key)
                self.told[key].append(quote_of(event, market_ns))
            case BookDelta() | BookSnapshot():
                self._add_book(key, book, market_ns)
            case Status():
                self.told[key] += [Quote(market_ns, 0, 0, 0, 0), Depth.of(market_ns, (), ())]

    def _add_book(self, key: tuple[str, str], book: VenueBook, market_ns: int) -> None:
        if not book.live:
            return
        bids, asks = book.top(DEPTH_LEVELS)
        self.told[key].append(Depth.of(market_ns, bids, asks))
        best = (*(bids[0] if bids else (0, 0)), *(asks[0] if asks else (0, 0)))
        if key not in self._quoting and self._newest.get(key) != best:
            self._newest[key] = best
            self.told[key].append(Quote(market_ns, *best))


def read_recordings(readers: Sequence[Reader], symbols: Sequence[str] = ()) -> RecordedMarket:
    """Of `symbols`, or all. Raises ValueError where recordings do not fit together, or a symbol is in none of them."""
    names = list(dict.fromkeys(name for one in readers for name in one.header.symbols))
    for name in symbols:
        if name not in names:
            raise ValueError(f"symbols: {name} is not recorded; there are {', '.join(names)}")
    numbers = {name: k for k, name in enumerate(names) if not symbols or name in symbols}
    wanted = [Recorded({name: numbers[name] for name in one.header.symbols if name in numbers}, one) for one in readers]
    listener, damage = _Listener(), ""
    replay = Replay(wanted, listener)
    try:
        while not replay.at_end:
            replay.read()
    except Damaged as error:
        damage = str(error)
    several = len({one.header.venue for one in readers}) > 1
    events = {f"{venue}:{name}" if several else name: packed(told) for (venue, name), told in listener.told.items()}
    return RecordedMarket(events, replay.errors, damage)


def spec_for(span_ns: int) -> FeatureSpec:
    """The usual windows, as far as a recording of `span_ns` can fill them."""
    usual = FeatureSpec()
    fitting = tuple(one for one in usual.windows_ns if one * WINDOWS_IN_SPAN <= span_ns)
    if not fitting:
        raise ValueError(f"from: {span_ns / SECOND_NS:.1f} s are too short a recording; record some minutes")
    return FeatureSpec(usual.step_ns, fitting)
