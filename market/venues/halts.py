"""Which symbols a venue trades, by its symbol lists read one after another: what halted, what trades again. Pure.

Streams seldom tell it. A symbol that is not listed any more is halted; one that is listed anew trades.
"""

from collections.abc import Iterable, Sequence

from market.venues.adapter import VenueSymbol
from market.venues.events import Status


class Halts:
    def __init__(self, codes: dict[str, str]) -> None:
        """`codes`: our symbol by the venue's code, of those that matter. All trade until a list says otherwise."""
        self._codes = codes
        self._halted: set[str] = set()

    @property
    def halted(self) -> frozenset[str]:
        return frozenset(self._halted)

    def read(self, listed: Iterable[VenueSymbol], venue_ns: int = 0) -> Sequence[Status]:
        """Status halted or trading of what changed since the last list, by symbol. An empty list says nothing."""
        states = {one.code: one for one in listed}
        if not states:
            return ()
        told: list[Status] = []
        for code, symbol in sorted(self._codes.items(), key=lambda pair: pair[1]):
            one = states.get(code)
            trading = one is not None and one.trading
            if trading == (symbol not in self._halted):
                continue
            text = one.status if one is not None else "not listed"
            told.append(Status(symbol, venue_ns, "trading" if trading else "halted", text))
            (self._halted.discard if trading else self._halted.add)(symbol)
        return told
