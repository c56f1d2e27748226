"""The symbols of recordings, with the grid and the price that their first entries show."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from deploy.errors import FeedUnusable
from market.event_codec import decode_event
from market.listing import FINEST, Offer, recorded, seen
from market.recording import Damaged, Entry, Kind, Reader
from market.venues import ADAPTERS
from market.venues.adapter import Adapter, VenueError
from market.venues.events import BookDelta, BookSnapshot, Event, Quote, Steps, Trade

LOOKED_AT: Final = 20_000
"""Entries, at most."""
ENOUGH: Final = 300
"""Numbers of a symbol."""


def recorded_offers(files: Sequence[str]) -> list[Offer]:
    """In the order of files and headers; of a symbol in several, the first. Raises `FeedUnusable`."""
    found: dict[tuple[str, str], Offer] = {}
    for name in files:
        for one in _offers(Path(name)):
            found.setdefault((one.venue, one.symbol), one)
    return list(found.values())


def _offers(path: Path) -> list[Offer]:
    try:
        with path.open("rb") as file:
            reader = Reader(file)
            header = reader.header
            samples = _Samples(header.venue, header.symbols)
            samples.read(reader)
    except Damaged as error:
        raise FeedUnusable(f"feed: {path}: {error}. `raypit recording {path}` tells what is in it.") from None
    except OSError as error:
        raise FeedUnusable(f"feed: {path}: {error.strerror}. `raypit record` and `raypit import` make one.") from None
    if not header.symbols:
        raise FeedUnusable(f"feed: {path} names no symbol.")
    return [samples.offer(symbol) for symbol in header.symbols]


class _Samples:
    def __init__(self, venue: str, symbols: dict[str, Steps]) -> None:
        self._venue, self._symbols = venue, symbols
        self._prices: dict[str, list[int]] = {name: [] for name in symbols}
        self._qtys: dict[str, list[int]] = {name: [] for name in symbols}
        factory = ADAPTERS.get(venue)
        self._adapter: Adapter | None = None if factory is None else factory(symbols)
        self._missing = set(symbols)

    def read(self, reader: Reader) -> None:
        """Until enough is known of every symbol, or `LOOKED_AT` entries."""
        count = 0
        for block in reader.blocks:
            for entry in reader.entries_of(block):
                count += 1
                self._take(self._events(entry))
                if not self._missing or count >= LOOKED_AT:
                    return

    def offer(self, symbol: str) -> Offer:
        steps = self._symbols[symbol]
        fit, price = seen(steps, self._prices[symbol], self._qtys[symbol])
        return recorded(self._venue, symbol, fit if FINEST in (steps.tick, steps.lot) else steps, price)

    def _events(self, entry: Entry) -> Iterable[Event]:
        try:
            if entry.kind == Kind.EVENT:
                return (decode_event(entry.body),)
            if self._adapter is None or entry.kind == Kind.STATUS:
                return ()
            if entry.kind == Kind.SNAPSHOT:
                return (self._adapter.decode_snapshot(entry.symbol, entry.body),)
            return self._adapter.decode(entry.body)
        except (ValueError, VenueError):
            return ()

    def _take(self, events: Iterable[Event]) -> None:
        for event in events:
            match event:
                case BookSnapshot() | BookDelta():
                    self._note(event.symbol, [*event.bids, *event.asks])
                case Trade():
                    self._note(event.symbol, [(event.price, event.qty)])
                case Quote():
                    self._note(event.symbol, [(event.bid, event.bid_qty), (event.ask, event.ask_qty)])

    def _note(self, symbol: str, levels: list[tuple[int, int]]) -> None:
        if symbol not in self._missing:
            return
        self._prices[symbol] += [price for price, qty in levels if price and qty]
        self._qtys[symbol] += [qty for price, qty in levels if price and qty]
        if len(self._prices[symbol]) >= ENOUGH:
            self._missing.discard(symbol)
