"""OKX v5, spot: JSON text, one object {arg, action, data}.

Source: the venue's API guide (WebSocket, order book channel: sequence numbers and checksum). The checksum is 0 since
2026-06-23; where it is not, the digits that it covers travel with the event (`Check`). Candles live on another socket
(/business) and so in an adapter of their own.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Final

import msgspec

from market.venues.adapter import BookRule, Channel, VenueError, VenueSymbol
from market.venues.events import BookDelta, BookSnapshot, Candle, Check, Event, Level, Quote, Status, Steps, Trade
from market.venues.numbers import Listed
from market.venues.wire import NS_PER_MS, Seq, VenueAdapter, decimal_of, lax, millis, without_empty, written

ARGS_BYTES: Final = 60_000
"""The venue takes 64 KB of args in a frame."""
ROUTES: Final = 100_000
"""Heads of frames remembered: more than the venue has channels; a frame cannot make us remember without end."""

WIDTHS = {
    1: "1s",
    60: "1m",
    180: "3m",
    300: "5m",
    900: "15m",
    1800: "30m",
    3600: "1H",
    7200: "2H",
    14_400: "4H",
    21_600: "6Hutc",
    43_200: "12Hutc",
    86_400: "1Dutc",
}
_SECONDS = {"candle" + name: seconds for seconds, name in WIDTHS.items()}

UNKNOWN_SYMBOL = ("60018", "51001")
NOTICE_OF_UPGRADE = "64008"


class _Arg(msgspec.Struct):
    channel: str
    inst_id: str = msgspec.field(name="instId", default="")


class _Said(msgspec.Struct):
    """The envelope, for what has no route yet."""

    arg: _Arg | None = None
    event: str = ""
    code: str = ""
    msg: str = ""
    data: msgspec.Raw = msgspec.Raw()


class _Trade(msgspec.Struct, rename={"trade_id": "tradeId", "price": "px", "qty": "sz"}, gc=False):
    trade_id: str
    price: float
    qty: float
    side: str
    ts: str


class _Ticker(
    msgspec.Struct, rename={"bid": "bidPx", "bid_qty": "bidSz", "ask": "askPx", "ask_qty": "askSz"}, gc=False
):
    bid: str
    bid_qty: str
    ask: str
    ask_qty: str
    ts: str


_Levels = list[tuple[float, float, float, float]]
"""Price, quantity, always 0, number of orders."""
_Texts = list[tuple[str, str, str, str]]
"""The same in the venue's digits, which a checksum is over."""


class _Book(msgspec.Struct, rename={"seq_id": "seqId", "prev_seq_id": "prevSeqId"}, gc=False):
    asks: _Levels
    bids: _Levels
    ts: str
    checksum: int = 0
    seq_id: Seq = -1
    prev_seq_id: Seq = -1


class _BookTexts(msgspec.Struct, gc=False):
    asks: _Texts
    bids: _Texts


class _TradeFrame(msgspec.Struct, gc=False):
    data: list[_Trade]


class _TickerFrame(msgspec.Struct, gc=False):
    data: list[_Ticker]


class _BookFrame(msgspec.Struct, gc=False):
    data: list[_Book]
    action: str = "snapshot"


class _BookTextFrame(msgspec.Struct, gc=False):
    data: list[_BookTexts]


_CandleRow = tuple[str, str, str, str, str, str, str, str, str]
"""Time, open, high, low, close, volume, volume in currency, in quote currency, whether closed."""


class _CandleFrame(msgspec.Struct, gc=False):
    data: list[_CandleRow]


class _BookAnswer(msgspec.Struct):
    code: str
    data: list[_Book] = []
    msg: str = ""


class _CandleAnswer(msgspec.Struct):
    code: str
    data: list[_CandleRow] = []
    msg: str = ""


class _Instrument(msgspec.Struct, rename="camel"):
    inst_id: str
    base_ccy: str
    quote_ccy: str
    tick_sz: str
    lot_sz: str
    state: str


class _InstrumentAnswer(msgspec.Struct):
    code: str
    data: list[_Instrument] = []
    msg: str = ""


_said = msgspec.json.Decoder(_Said).decode
_trades = lax(_TradeFrame)
_tickers = msgspec.json.Decoder(_TickerFrame).decode
_books = lax(_BookFrame)
_book_texts = msgspec.json.Decoder(_BookTextFrame).decode
_candle_rows = msgspec.json.Decoder(_CandleFrame).decode
_book_answer = lax(_BookAnswer)
_candle_answer = msgspec.json.Decoder(_CandleAnswer).decode
_instrument_answer = msgspec.json.Decoder(_InstrumentAnswer).decode


def decode_trades(one: Listed, frame: bytes) -> list[Event]:
    ticks, lots, symbol = one.ticks_of, one.lots_of, one.symbol
    return [
        Trade(symbol, millis(said.ts), said.trade_id, ticks[said.price], lots[said.qty], _is_sell(said.side))
        for said in _trades(frame).data
    ]


def decode_tickers(one: Listed, frame: bytes) -> list[Event]:
    ticks, lots = one.ticks, one.lots
    return [
        Quote(
            one.symbol,
            millis(said.ts),
            ticks[said.bid or "0"],
            lots[said.bid_qty or "0"],
            ticks[said.ask or "0"],
            lots[said.ask_qty or "0"],
        )
        for said in _tickers(frame).data
    ]


def decode_best(one: Listed, frame: bytes) -> list[Event]:
    """bbo-tbt: a book of one level a side."""
    found: list[Event] = []
    for said in _books(frame).data:
        bid, bid_qty = _levels(one, said.bids)[0] if said.bids else (0, 0)
        ask, ask_qty = _levels(one, said.asks)[0] if said.asks else (0, 0)
        found.append(Quote(one.symbol, millis(said.ts), bid, bid_qty, ask, ask_qty))
    return found


def decode_books(one: Listed, frame: bytes) -> list[Event]:
    whole = _books(frame)
    is_delta = whole.action == "update"
    if not is_delta and whole.action != "snapshot":
        raise ValueError(f"action {whole.action!r}")
    make = _delta if is_delta else _whole
    if not any(said.checksum for said in whole.data):
        return [make(one, said) for said in whole.data]
    texts = _book_texts(frame).data
    return [make(one, said, text) for said, text in zip(whole.data, texts, strict=True)]


def _whole(one: Listed, said: _Book, texts: _BookTexts | None = None) -> BookSnapshot:
    off_grid = one.off_grid
    bids, asks = _levels(one, said.bids), _levels(one, said.asks)
    check = _check(said, texts) if one.off_grid == off_grid else None
    if check is None:
        bids, asks = without_empty(bids), without_empty(asks)
    return BookSnapshot(one.symbol, millis(said.ts), bids, asks, said.seq_id, check)


def _delta(one: Listed, said: _Book, texts: _BookTexts | None = None) -> BookDelta:
    off_grid = one.off_grid
    bids, asks = _levels(one, said.bids), _levels(one, said.asks)
    check = _check(said, texts) if one.off_grid == off_grid else None
    return BookDelta(one.symbol, millis(said.ts), bids, asks, said.seq_id, said.seq_id, said.prev_seq_id, check)


def _levels(one: Listed, levels: _Levels) -> list[Level]:
    return one.levels_of([(price, qty) for price, qty, _, _ in levels])


def _check(said: _Book, texts: _BookTexts | None) -> Check | None:
    if texts is None or not said.checksum:
        return None
    return Check(
        said.checksum & 0xFFFFFFFF,
        [(price, qty) for price, qty, _, _ in texts.bids],
        [(price, qty) for price, qty, _, _ in texts.asks],
    )


def _is_sell(side: str) -> bool:
    if side not in ("buy", "sell"):
        raise ValueError(f"side {side!r}")
    return side == "sell"


def _decode_candles(width_s: int) -> Callable[[Listed, bytes], list[Event]]:
    def decode(one: Listed, frame: bytes) -> list[Event]:
        return [_candle(one, width_s, row) for row in _candle_rows(frame).data]

    return decode


def _candle(one: Listed, width_s: int, row: _CandleRow) -> Candle:
    time, first, high, low, last, volume, _, _, closed = row
    ticks = one.ticks
    return Candle(
        one.symbol,
        0,
        millis(time),
        width_s,
        ticks[first],
        ticks[high],
        ticks[low],
        ticks[last],
        one.lots[volume],
        closed == "1",
    )


_Decode = Callable[[Listed, bytes], list[Event]]
DECODERS: dict[str, _Decode] = {
    "trades": decode_trades,
    "trades-all": decode_trades,
    "tickers": decode_tickers,
    "bbo-tbt": decode_best,
    "books": decode_books,
    "books5": decode_books,
    **{name: _decode_candles(seconds) for name, seconds in _SECONDS.items()},
}
"""By channel."""


class Okx(VenueAdapter):
    name: ClassVar[str] = "okx"
    channels: ClassVar[frozenset[Channel]] = frozenset({Channel.TRADE, Channel.QUOTE, Channel.BOOK})
    book_rule: ClassVar[BookRule] = BookRule.PREVIOUS
    dials_per_minute: ClassVar[float] = 180.0
    """3 a second and address."""
    WS_URLS: ClassVar[tuple[str, ...]] = ("wss://ws.okx.com:8443/ws/v5/public",)
    REST_URL: ClassVar[str] = "https://www.okx.com"
    NAMES: ClassVar[dict[Channel, str]] = {
        Channel.TRADE: "trades",
        Channel.QUOTE: "bbo-tbt",
        Channel.BOOK: "books",
    }

    def __init__(self, steps: Mapping[str, Steps], *, ws_url: str = "", rest_url: str = "") -> None:
        super().__init__(steps, ws_url=ws_url, rest_url=rest_url)
        self._routes: dict[bytes, tuple[Listed, _Decode]] = {}
        """By the frame's head, the whole `arg`: found by decoding it once."""

    @staticmethod
    def code_of(base: str, quote: str) -> str:
        return f"{base}-{quote}"

    def subscribe_frames(self, symbols: Sequence[str], channels: Sequence[Channel]) -> list[str | bytes]:
        return self._requests("subscribe", symbols, channels)

    def unsubscribe_frames(self, symbols: Sequence[str], channels: Sequence[Channel]) -> list[str | bytes]:
        return self._requests("unsubscribe", symbols, channels)

    def _requests(self, op: str, symbols: Sequence[str], channels: Sequence[Channel]) -> list[str | bytes]:
        frames: list[str | bytes] = []
        args: list[dict[str, str]] = []
        size = 0
        for one in self._wanted(symbols, channels):
            for channel in channels:
                arg = {"channel": self.NAMES[channel], "instId": one.code}
                more = len(written(arg)) + 1
                if args and size + more > ARGS_BYTES:
                    frames.append(written({"op": op, "args": args}))
                    args, size = [], 0
                args.append(arg)
                size += more
        return [*frames, written({"op": op, "args": args})] if args else frames

    def ping_frame(self) -> str | bytes | None:
        return "ping"

    def _decode(self, frame: bytes) -> Sequence[Event]:
        route = self._routes.get(frame[: frame.find(b"}")])
        if route is not None:
            return route[1](route[0], frame)
        if frame == b"pong":
            return (Status("", 0, "pong"),)
        return self._decode_other(frame)

    def _decode_other(self, frame: bytes) -> Sequence[Event]:
        said = _said(frame)
        if said.event:
            return self._told(said)
        if said.arg is None:
            raise ValueError("neither arg nor event")
        decode = DECODERS.get(said.arg.channel)
        if decode is None:
            raise ValueError(f"channel {said.arg.channel!r}")
        one = self._known(said.arg.inst_id)
        events = decode(one, frame)
        if frame.startswith(b'{"arg":{') and len(self._routes) < ROUTES:
            self._routes[frame[: frame.find(b"}")]] = (one, decode)
        return events

    def _told(self, said: _Said) -> Sequence[Event]:
        code = said.arg.inst_id if said.arg else ""
        if said.event == "error":
            if said.code in UNKNOWN_SYMBOL:
                return (self._unknown_symbol(f"{said.code} {said.msg}", code or self._named_in(said.msg)),)
            return (self._error(f"{said.code} {said.msg}"),)
        if said.event == "notice":
            return (Status("", 0, "notice", f"{self.name}: {said.code} {said.msg}"),)
        if said.event in ("subscribe", "unsubscribe", "channel-conn-count"):
            return ()
        raise ValueError(f"event {said.event!r}")

    def _named_in(self, text: str) -> str:
        """The refusal names the symbol within its sentence: instId:XYZ-USDT."""
        return next(
            (code for code in self._coded if f"{code} " in text or f"{code}," in text or f"{code}." in text), ""
        )

    def snapshot_url(self, symbol: str) -> str:
        return f"{self._rest}/api/v5/market/books?instId={self.listed(symbol).code}&sz=400"

    def _snapshot(self, one: Listed, body: bytes) -> BookSnapshot:
        said = _book_answer(body)
        self._refused(said.code, said.msg)
        if len(said.data) != 1:
            raise VenueError(f"{self.name}: data holds {len(said.data)} books")
        book = _whole(one, said.data[0])
        return BookSnapshot(book.symbol, book.venue_ns, without_empty(book.bids), without_empty(book.asks), book.seq)

    def symbols_url(self) -> str:
        return f"{self._rest}/api/v5/public/instruments?instType=SPOT"

    def _symbols(self, body: bytes) -> list[VenueSymbol]:
        said = _instrument_answer(body)
        self._refused(said.code, said.msg)
        return [
            VenueSymbol(
                one.inst_id,
                one.base_ccy,
                one.quote_ccy,
                decimal_of(one.tick_sz),
                decimal_of(one.lot_sz),
                None,
                one.state,
                one.state == "live",
            )
            for one in said.data
        ]

    def candles_url(self, symbol: str, width_s: int, end_ns: int, limit: int) -> str:
        code, width = self.listed(symbol).code, self._width(WIDTHS, width_s)
        after = -(-end_ns // NS_PER_MS)
        return f"{self._rest}/api/v5/market/history-candles?instId={code}&bar={width}&after={after}&limit={min(limit, 300)}"

    def _candles(self, one: Listed, width_s: int, body: bytes) -> list[Candle]:
        said = _candle_answer(body)
        self._refused(said.code, said.msg)
        return [_candle(one, width_s, row) for row in said.data]

    def _refused(self, code: str, text: str) -> None:
        if code != "0":
            raise VenueError(f"{self.name}: {code} {text}")


class OkxBusiness(Okx):
    """Candles."""

    name: ClassVar[str] = "okx_business"
    channels: ClassVar[frozenset[Channel]] = frozenset({Channel.CANDLE})
    WS_URLS: ClassVar[tuple[str, ...]] = ("wss://ws.okx.com:8443/ws/v5/business",)
    NAMES: ClassVar[dict[Channel, str]] = {Channel.CANDLE: "candle1m"}
