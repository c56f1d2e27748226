"""Which of the venue's streams somebody listens to: the channels that gateways have subscribed to on the bus.

A gateway subscribes to `<prefix>:stream:<unit>:<name>`; nothing else tells the projector what to compute. When the
last listener goes, or its gateway dies, the channel is gone from the bus by itself.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from market.stream_events import MICROSECOND_NS, MILLISECOND_NS
from market.stream_names import Channel, Stream, stream_of

UNITS_NS: Final = {"ms": MILLISECOND_NS, "us": MICROSECOND_NS}
CONTROL: Final = "control"
"""Beside the units: what concerns every listener."""
LOOK: Final = "look"
"""Beside the units: a gateway says that it has subscribed to something new."""
BROKEN: Final = b"broken"
"""On the control channel: events may have been lost. Streams that never skip must be cut."""


def channel_of(prefix: str, unit: str, name: str) -> str:
    return f"{prefix}:stream:{unit}:{name}"


def control_channel(prefix: str) -> str:
    return f"{prefix}:stream:{CONTROL}"


def look_channel(prefix: str) -> str:
    return f"{prefix}:stream:{LOOK}"


class Wanted:
    """A channel of the bus, and what is to be told on it."""

    __slots__ = ("channel", "fresh", "signature", "stream", "symbol", "unit_ns")

    def __init__(self, channel: str, stream: Stream, symbol: int | None, unit_ns: int) -> None:
        self.channel = channel
        self.stream = stream
        self.symbol = symbol
        """Number of the instrument; None: all."""
        self.unit_ns = unit_ns
        self.fresh = True
        """Nothing was told on it yet."""
        self.signature: object = None
        """Of what was told last, to tell nothing twice."""


class Demand:
    def __init__(self, numbers: Mapping[str, int]) -> None:
        self._numbers = numbers
        self.wanted: dict[str, Wanted] = {}
        self.by_channel: dict[Channel, list[Wanted]] = {}
        self.trades: dict[int, list[Wanted]] = {}
        """Of TRADE and AGG_TRADE, by symbol."""
        self.tops: dict[int, list[Wanted]] = {}
        """Of BOOK_TICKER, by symbol."""

    def update(self, channels: Iterable[str]) -> None:
        """The channels that have listeners now."""
        names = set(channels)
        if names == self.wanted.keys():
            return
        kept = {name: one for name, one in self.wanted.items() if name in names}
        for name in names - kept.keys():
            if (made := self._made(name)) is not None:
                kept[name] = made
        self.wanted = kept
        self.by_channel, self.trades, self.tops = {}, {}, {}
        for one in kept.values():
            channel = one.stream.channel
            self.by_channel.setdefault(channel, []).append(one)
            if one.symbol is None:
                continue
            if channel in (Channel.TRADE, Channel.AGG_TRADE):
                self.trades.setdefault(one.symbol, []).append(one)
            elif channel is Channel.BOOK_TICKER:
                self.tops.setdefault(one.symbol, []).append(one)

    def _made(self, channel: str) -> Wanted | None:
        _, _, rest = channel.rpartition(":stream:")
        unit, _, name = rest.partition(":")
        if unit not in UNITS_NS:
            return None
        stream = stream_of(name)
        symbol = None if stream.symbol is None else self._numbers.get(stream.symbol)
        if stream.channel is Channel.SILENT or (stream.symbol is not None and symbol is None):
            # Kept as known, so that it is not looked at again each time.
            stream, symbol = stream_of("none@none"), None
        return Wanted(channel, stream, symbol, UNITS_NS[unit])

    @property
    def realtime(self) -> bool:
        return bool(self.trades or self.tops)
