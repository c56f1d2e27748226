"""What a venue's events mean for our book: `market.venues.events` in, outside commands out. Pure.

`Reference` remembers what the outside book shows after the commands so far (`market/book/SEMANTICS.md`, O2 to O6), and
tells only what differs. After every change of the venue's book it shows that book, overlaid by the venue's last quote
if that is newer:

    levels from the book | the quote's level | nothing better than the quote

A quote is newer than the book by its number, where the venue numbers both alike (`Quote.seq`), else by the venue's
time; where there is neither, by arrival. A quote that is older than the book says nothing, nor does one of a venue whose
quotes are read off its whole books.
"""

from typing import Final

from market.enums import OUTSIDE_EDGE, Side
from market.outside_commands import LIMIT, CommandBuilder
from market.shown import BEYOND, Rows, Shown
from market.venues.adapter import BookRule
from market.venues.books import VenueBook
from market.venues.events import BookDelta, BookSnapshot, Event, Level, Quote, Status, Trade

MAX_TOKEN_DIGITS: Final = 19


class Reference:
    """One symbol at one venue, whose book `venue` is; the commands gather in `out`, which others may share.

    Events come in order, judged new (`market.continuity`), after `venue` has applied them. Times of arrival in ns become the
    commands' market time.
    """

    def __init__(self, symbol: int, venue: VenueBook, out: CommandBuilder) -> None:
        self.symbol: Final = symbol
        self.venue: Final = venue
        self.late_quotes = 0
        """Older than the book."""
        self.trading = True
        self._out = out
        self._bids = Shown(Side.BUY, venue.bids)
        self._asks = Shown(Side.SELL, venue.asks)
        self._live = False
        self._version = -1
        self._quote: Quote | None = None
        """The last one, while it may be newer than the book."""
        self._trades = 0

    @property
    def live(self) -> bool:
        """Whether the outside book shows anything that may be believed."""
        return self._live

    def take(self, event: Event, arrival_ns: int) -> None:
        kind = type(event)
        if kind is Quote:
            self._take_quote(event, arrival_ns)  # type: ignore[arg-type]
        elif kind is Trade:
            self._take_trade(event, arrival_ns)  # type: ignore[arg-type]
        elif kind is BookDelta or kind is BookSnapshot:
            self._take_book(event, arrival_ns)  # type: ignore[arg-type]
        elif kind is Status:
            self._take_status(event, arrival_ns)  # type: ignore[arg-type]

    def note(self, status: Status) -> None:
        """Of a symbol that will be told anew: whether it trades is not lost meanwhile."""
        if status.kind in ("halted", "trading"):
            self.trading = status.kind == "trading"

    def retell(self, market_ns: int) -> None:
        """Everything that is known, for a book that knows nothing, or the wrong."""
        self._out.status(self.symbol, market_ns, self.trading)
        if self.venue.live:
            self._tell_whole(market_ns)
        else:
            self._forget()
            self._out.clear(self.symbol, market_ns)

    # Quotes and trades

    def _take_quote(self, quote: Quote, market_ns: int) -> None:
        venue = self.venue
        if not self._live or venue.rule is BookRule.WHOLE:
            return
        if self._is_older(quote):
            self.late_quotes += 1
            return
        if not _is_sound(quote):
            self._out.refused += 1
            return
        self._quote = quote
        # The side that falls back goes first: they do not cross in between.
        if quote.bid < self._bids.best:
            self._quote_side(self._bids, quote.bid, quote.bid_qty, market_ns)
            self._quote_side(self._asks, quote.ask, quote.ask_qty, market_ns)
        else:
            self._quote_side(self._asks, quote.ask, quote.ask_qty, market_ns)
            self._quote_side(self._bids, quote.bid, quote.bid_qty, market_ns)

    def _quote_side(self, side: Shown, price: int, lots: int, market_ns: int) -> None:
        if side.quoted(price, lots):
            self._out.quote(self.symbol, market_ns, side.code, price, lots)

    def _is_older(self, quote: Quote) -> bool:
        """Than the book, or just as old."""
        if quote.seq and self.venue.seq:
            return quote.seq <= self.venue.seq
        return 0 < quote.venue_ns < self.venue.venue_ns

    def _is_newer(self, quote: Quote) -> bool:
        """Than the book, now that the book has come after it."""
        if quote.seq and self.venue.seq:
            return quote.seq > self.venue.seq
        return quote.venue_ns > self.venue.venue_ns > 0

    def _take_trade(self, trade: Trade, market_ns: int) -> None:
        if not (0 < trade.price < LIMIT and 0 < trade.qty < LIMIT):
            self._out.refused += 1
            return
        number = trade.trade_id
        if number.isdecimal() and number.isascii() and len(number) <= MAX_TOKEN_DIGITS:
            token = int(number)
        else:
            self._trades += 1
            token = self._trades
        side = Side.SELL if trade.is_buyer_maker else Side.BUY
        self._out.trade(self.symbol, market_ns, side, trade.price, trade.qty, token, trade.venue_ns)

    # Books

    def _take_book(self, event: BookDelta | BookSnapshot, market_ns: int) -> None:
        venue = self.venue
        if not venue.live:
            self._clear(market_ns)
            return
        back = venue.version - self._version
        if back == 0 and self._live:
            return
        quote = self._quote
        if quote is not None and not self._is_newer(quote):
            self._quote = None
            self._bids.lift()
            self._asks.lift()
        if self._live and venue.rule is BookRule.WHOLE:
            self._tell_difference(market_ns)
            return
        changes: tuple[list[Level], list[Level]] | None = None
        if self._live:
            one = back == 1 and isinstance(event, BookDelta) and event.last_seq == venue.seq
            changes = (event.bids, event.asks) if one else venue.changes_since(self._version)
        if changes is None:
            self._tell_whole(market_ns)
        else:
            self._tell_changes(market_ns, *changes)

    def _tell_changes(self, market_ns: int, bids: list[Level], asks: list[Level]) -> None:
        """What shrinks first: a message of the venue does not cross itself in between."""
        self._version = self.venue.version
        fewer_bids, more_bids = self._bids.follow(bids)
        fewer_asks, more_asks = self._asks.follow(asks)
        for side, rows in (
            (self._bids, fewer_bids),
            (self._asks, fewer_asks),
            (self._bids, more_bids),
            (self._asks, more_asks),
        ):
            if rows[0]:
                self._out.levels(self.symbol, market_ns, side.code, 0, *rows)
        self._uncross(more_bids[0], more_asks[0])

    def _tell_whole(self, market_ns: int) -> None:
        self._version = self.venue.version
        self._live = True
        self._out.clear(self.symbol, market_ns)
        bids, asks = self._bids.start(), self._asks.start()
        for side, rows in ((self._bids, bids), (self._asks, asks)):
            if rows[0]:
                self._out.levels(self.symbol, market_ns, side.code, OUTSIDE_EDGE, *rows)
        self._uncross(bids[0], asks[0])

    def _tell_difference(self, market_ns: int) -> None:
        """Of whole books that end somewhere: what is behind the end is not gone, only out of sight."""
        self._version = self.venue.version
        told: list[tuple[Shown, int, Rows]] = []
        grown: list[list[int]] = []
        for side in (self._bids, self._asks):
            sign, old = side.sign, side.told
            new = dict(side.venue.levels())
            old_end = min((price * sign for price in old), default=-BEYOND)
            new_end = min((price * sign for price in new), default=-BEYOND)
            gone = [(price, 0) for price in old if price not in new]
            less, more = side.follow([*gone, *new.items()])
            told += [(side, 0, rows) for rows in _parted(less, sign, new_end)]
            told += [(side, 1, rows) for rows in _parted(more, sign, old_end)]
            grown.append(more[0])
        # Of each side: within sight, beyond its end, by whether it shrinks or grows.
        for wanted in (0, 1):
            flags = 0
            for side, grows, rows in told:
                if grows == wanted and rows[0]:
                    self._out.levels(self.symbol, market_ns, side.code, flags, *rows)
                flags ^= OUTSIDE_EDGE
        self._uncross(*grown)

    def _uncross(self, bids: list[int], asks: list[int]) -> None:
        """What the venue shows crosses itself: the book takes away what newer levels cross (O2b)."""
        if self._bids.best >= -self._asks.best and self._bids.best > -BEYOND and self._asks.best > -BEYOND:
            self._asks.crossed_by(bids, asks)
            self._bids.crossed_by(asks, [])

    def _take_status(self, status: Status, market_ns: int) -> None:
        if status.kind in ("stale", "gap"):
            self._clear(market_ns)
        elif status.kind in ("halted", "trading") and self.trading != (status.kind == "trading"):
            self.trading = not self.trading
            self._out.status(self.symbol, market_ns, self.trading)

    def _clear(self, market_ns: int) -> None:
        if self._live:
            self._forget()
            self._out.clear(self.symbol, market_ns)

    def _forget(self) -> None:
        self._live = False
        self._version = -1
        self._quote = None
        for side in (self._bids, self._asks):
            side.forget()
            side.lift()


def _parted(rows: Rows, sign: int, end: int) -> tuple[Rows, Rows]:
    """Those up to a price, and those beyond it."""
    within: Rows = ([], [])
    beyond: Rows = ([], [])
    for price, lots in zip(*rows, strict=True):
        side = beyond if price * sign < end else within
        side[0].append(price)
        side[1].append(lots)
    return within, beyond


def _is_sound(quote: Quote) -> bool:
    bid, ask = quote.bid, quote.ask
    if bid and not (0 < bid < LIMIT and 0 < quote.bid_qty < LIMIT):
        return False
    if ask and not (0 < ask < LIMIT and 0 < quote.ask_qty < LIMIT):
        return False
    return not (bid and ask and bid >= ask)
