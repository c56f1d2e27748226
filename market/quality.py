"""How good a feed is, per venue and symbol, 0 to 100, from counters. Pure.

With c = what was counted in a stretch of time (`since` gives the difference of two readings):

    completeness  100 · live_ns / watched_ns · events / (events + missed)
                  the share of time its book could be used, less what the venue's numbering shows to be missing
    accuracy      100 · (frames - errors - off_grid) / frames, at least 0
                  the share of frames that could be read, and whose numbers lie on the symbol's grid
    consistency   100 · (events - gaps - disordered - crossed) / events, at least 0
                  the share of events that followed from the one before and left bid below ask
    timeliness    100 · punctual / timed, 0 when nothing arrived within `silence_ns`
                  the share of events with a venue time that came at most `LATE_NS` later than the quickest one of
                  the venue: clocks of venues are seconds off, so only the difference to the best tells anything

Nothing counted gives 100 where nothing was wrong, and 0 for a symbol that never spoke.
"""

from typing import Final, NamedTuple

import msgspec

LATE_NS: Final = 1_000_000_000
"""A book channel is a picture every 0.1 s, the way across the world 0.3 s."""


class Counters(msgspec.Struct):
    """Of one symbol at one venue, since the start."""

    frames: int = 0
    events: int = 0
    trades: int = 0
    errors: int = 0
    """Frames that could not be read, refused subscriptions, bad answers to REST requests."""
    off_grid: int = 0
    duplicates: int = 0
    """Left out, as promised; they are no fault of the feed that is passed on."""
    disordered: int = 0
    """Events that came after younger ones and were left out."""
    gaps: int = 0
    missed: int = 0
    """Messages that never came: one per gap, since venues number changes and not messages."""
    crossed: int = 0
    snapshots: int = 0
    snapshot_failures: int = 0
    reconnects: int = 0
    rolls: int = 0
    held_dropped: int = 0
    """Frames of a second connection that were left to the first."""
    silent: int = 0
    """How often nothing came within the limit after subscribing."""
    slow_sink_ns: int = 0
    """How long reading stood still because someone downstream was full."""
    watched_ns: int = 0
    live_ns: int = 0
    timed: int = 0
    """Events with a time of the venue."""
    punctual: int = 0
    last_arrival_ns: int = 0
    last_delay_ns: int = 0
    """Arrival minus the venue's time: the way, and the difference of the clocks."""
    least_delay_ns: int = 1 << 62

    def since(self, earlier: "Counters") -> "Counters":
        """What was counted between two readings; the newest arrival and delays stay as they are."""
        counted = Counters()
        for name in self.__struct_fields__:
            now = getattr(self, name)
            setattr(counted, name, now if name in _LATEST else now - getattr(earlier, name))
        return counted

    def copy(self) -> "Counters":
        return msgspec.structs.replace(self)

    def arrived(self, arrival_ns: int, venue_ns: int) -> None:
        """Count an event's time; `venue_ns` 0: the venue gave none."""
        self.events += 1
        if venue_ns <= 0:
            return
        delay = self.last_delay_ns = arrival_ns - venue_ns
        if delay < self.least_delay_ns:
            self.least_delay_ns = delay
        self.timed += 1
        if delay - self.least_delay_ns <= LATE_NS:
            self.punctual += 1


_LATEST: Final = frozenset({"last_arrival_ns", "last_delay_ns", "least_delay_ns"})


class Quality(NamedTuple):
    completeness: float
    accuracy: float
    consistency: float
    timeliness: float

    @property
    def overall(self) -> float:
        """The worst of them: a feed is as good as that."""
        return min(self)


NOTHING: Final = Quality(0.0, 0.0, 0.0, 0.0)


def quality(counted: Counters, now_ns: int, silence_ns: int) -> Quality:
    """Of a stretch of time that ends `now_ns`; `silence_ns`: how long a symbol may be quiet and count as timely."""
    if not counted.last_arrival_ns:
        return NOTHING
    silent = now_ns - counted.last_arrival_ns > silence_ns
    return Quality(
        _share(counted.live_ns, counted.watched_ns) * _share(counted.events, counted.events + counted.missed) / 100,
        _share(counted.frames - counted.errors - counted.off_grid, counted.frames),
        _share(counted.events - counted.gaps - counted.disordered - counted.crossed, counted.events),
        0.0 if silent else _share(counted.punctual, counted.timed),
    )


def together(parts: list[Counters]) -> Counters:
    """A venue's counters from those of its symbols."""
    total = Counters()
    for one in parts:
        for name in one.__struct_fields__:
            if name not in _LATEST:
                setattr(total, name, getattr(total, name) + getattr(one, name))
        if one.last_arrival_ns > total.last_arrival_ns:
            total.last_arrival_ns, total.last_delay_ns = one.last_arrival_ns, one.last_delay_ns
        total.least_delay_ns = min(total.least_delay_ns, one.least_delay_ns)
    return total


def _share(part: int, whole: int) -> float:
    if whole <= 0:
        return 100.0 if part >= 0 else 0.0
    return 100.0 * max(0, min(part, whole)) / whole
