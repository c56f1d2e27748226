"""The plainest translation there is of a venue's events into commands: what a book shows must come out the same."""

import numpy as np

from market.enums import CommandKind, Side
from market.numbering import OUTSIDE_ACCOUNT
from market.records import COMMAND, Records, joined
from market.venues.events import BookDelta, BookSnapshot, Event, Level, Status, Trade


class NaiveReference:
    def __init__(self, symbol: int) -> None:
        self._symbol = symbol

    def apply(self, arrival_ns: int, event: Event) -> Records:
        if isinstance(event, BookSnapshot):
            parts = [self._made(CommandKind.OUTSIDE_CLEAR, 1), *self._levels(event.bids, event.asks)]
        elif isinstance(event, BookDelta):
            parts = self._levels(event.bids, event.asks)
        elif isinstance(event, Trade):
            parts = [self._trade(event)]
        elif isinstance(event, Status) and event.kind in ("stale", "gap"):
            parts = [self._made(CommandKind.OUTSIDE_CLEAR, 1)]
        else:
            parts = []
        commands = joined(parts, COMMAND)
        commands["target_id"] = arrival_ns
        return commands

    def _levels(self, bids: list[Level], asks: list[Level]) -> list[Records]:
        parts = []
        for side, levels in ((Side.BUY, bids), (Side.SELL, asks)):
            made = self._made(CommandKind.OUTSIDE_LEVEL, len(levels))
            made["side"] = side
            for row, (price, qty) in zip(made, levels, strict=True):
                row["price_ticks"], row["qty_lots"] = price, qty
            parts.append(made)
        return parts

    def _trade(self, event: Trade) -> Records:
        made = self._made(CommandKind.OUTSIDE_TRADE, 1)
        made["side"] = Side.SELL if event.is_buyer_maker else Side.BUY
        made["price_ticks"], made["qty_lots"] = event.price, event.qty
        return made

    def _made(self, kind: CommandKind, count: int) -> Records:
        made = np.zeros(count, COMMAND)
        made["kind"], made["symbol"], made["account"] = kind, self._symbol, OUTSIDE_ACCOUNT
        return made
