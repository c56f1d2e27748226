"""Every recording is decoded whole: so many messages of each kind, no gap, no book crossed, no checksum wrong."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec
import pytest

from market.venues import ADAPTERS
from market.venues.adapter import Adapter, BookRule, VenueSymbol
from market.venues.books import VenueBook
from market.venues.events import BookDelta, BookSnapshot, Event, Status, Steps
from tests.unit.venue_recordings import SLICES, answers, captured, quoted, recording, stamped
from tests.unit.venue_tables import told

SPOT = Steps(Decimal("0.01"), Decimal("0.00001"))
USDM = Steps(Decimal("0.1"), Decimal("0.001"))
FINEST = Decimal("0.00000001")


class Played(NamedTuple):
    events: dict[str, int]
    statuses: list[str]
    books: dict[str, VenueBook]
    changes: int
    """Levels in the deltas."""


def play(
    adapter: Adapter,
    frames: Iterable[bytes],
    snapshots: Mapping[str, bytes] | None = None,
    rule: BookRule | None = None,
) -> Played:
    """A REST snapshot comes after the first delta of its symbol, or where it stands among the frames (one symbol)."""
    events: Counter[str] = Counter()
    statuses: list[str] = []
    books: dict[str, VenueBook] = {}
    changes = 0
    for frame in frames:
        found: Sequence[Event] = (
            [adapter.decode_snapshot("BTCUSDT", frame)]
            if frame.startswith(b'{"lastUpdateId"')
            else adapter.decode(frame)
        )
        for event in found:
            events[type(event).__name__] += 1
            if isinstance(event, Status):
                statuses.append(event.text or event.kind)
            if not isinstance(event, BookSnapshot | BookDelta):
                continue
            if isinstance(event, BookDelta):
                changes += len(event.bids) + len(event.asks)
            book = books.setdefault(event.symbol, VenueBook(event.symbol, rule or adapter.book_rule))
            book.apply(event)
            if not book.live and snapshots:
                book.apply(adapter.decode_snapshot(event.symbol, snapshots[event.symbol]))
            best = book.best()
            assert not (best.bid and best.ask and best.bid >= best.ask), f"crossed: {best}"
    return Played(dict(events), statuses, books, changes)


def gaps(played: Played) -> int:
    assert all(book.live for book in played.books.values())
    return sum(book.gaps for book in played.books.values())


def spot_frames() -> list[bytes]:
    return [
        frame for day in ("20240808", "20240809") for frame in stamped(recording(f"hftbacktest/spot_btcusdt_{day}.gz"))
    ]


def test_binance_spot() -> None:
    adapter = ADAPTERS["binance"]({"BTCUSDT": SPOT})
    frames = spot_frames()
    played = play(adapter, frames)
    assert len(frames) == 99_574
    assert played.events == {"Quote": 73_174, "Trade": 19_904, "BookDelta": 6495, "BookSnapshot": 1}
    assert (played.changes, gaps(played), played.statuses) == (298_111, 0, [])
    assert adapter.off_grid == 7, "old orders finer than today's lot"
    book = played.books["BTCUSDT"]
    assert (len(book.bids), len(book.asks)) == (1971, 2962)


def test_binance_usdm() -> None:
    adapter = ADAPTERS["binance_usdm"]({"BTCUSDT": USDM})
    frames = stamped(recording("hftbacktest/usdm_btcusdt_20240808.gz"))
    played = play(adapter, frames)
    assert len(frames) == 93_954
    assert played.events == {"Quote": 66_089, "Trade": 21_313, "BookDelta": 6551, "BookSnapshot": 1}
    assert (played.changes, gaps(played), played.statuses, adapter.off_grid) == (443_521, 0, [], 0)


@pytest.mark.parametrize(
    ("name", "file", "steps", "events", "changes"),
    [
        (
            "binance",
            "binance_spot_btcusdt.gz",
            SPOT,
            {"BookDelta": 133, "Quote": 1137, "Trade": 229, "BookSnapshot": 1},
            3854,
        ),
        (
            "binance_usdm",
            "binance_usdm_btcusdt.gz",
            USDM,
            {"BookDelta": 58, "Quote": 520, "Trade": 121, "BookSnapshot": 1},
            3465,
        ),
    ],
)
def test_slices(name: str, file: str, steps: Steps, events: dict[str, int], changes: int) -> None:
    played = play(ADAPTERS[name]({"BTCUSDT": steps}), stamped(SLICES / file))
    assert (played.events, played.changes, gaps(played), played.statuses) == (events, changes, 0, [])


def test_a_lost_frame_is_one_gap_and_nothing_is_shown_after_it() -> None:
    frames = stamped(SLICES / "binance_usdm_btcusdt.gz")
    lost = [number for number, frame in enumerate(frames) if b"depthUpdate" in frame][20]
    played = play(ADAPTERS["binance_usdm"]({"BTCUSDT": USDM}), frames[:lost] + frames[lost + 1 :])
    book = played.books["BTCUSDT"]
    assert (book.gaps, book.live, book.top(5)) == (1, False, ([], []))


def listed(name: str, body: bytes) -> dict[str, VenueSymbol]:
    return {one.code: one for one in ADAPTERS[name]({}).decode_symbols(body)}


def steps_of(one: VenueSymbol) -> Steps:
    assert one.tick is not None
    assert one.lot is not None
    return Steps(one.tick, one.lot, one.code)


def by_symbol(symbols: Iterable[str], found: Mapping[str, bytes]) -> dict[str, bytes]:
    return {symbol: body for url, body in found.items() for symbol in symbols if f"={symbol}&" in url}


@pytest.mark.parametrize(
    ("name", "venue", "symbols", "pairs", "events", "changes"),
    [
        (
            "binance",
            "BINANCE",
            ["NKNUSDT", "BLZETH", "LRCBTC", "RUNEEUR"],
            1695,
            {"BookDelta": 177, "Quote": 84, "Trade": 2, "Candle": 2},
            422,
        ),
        (
            "binance_usdm",
            "BINANCE_FUTURES",
            ["SUSHIUSDT", "AKROUSDT", "KEEPUSDT", "CTKUSDT"],
            119,
            {"Quote": 613, "BookDelta": 764, "Candle": 67, "Trade": 91},
            6297,
        ),
    ],
)
def test_binance_of_four_symbols(
    name: str, venue: str, symbols: list[str], pairs: int, events: dict[str, int], changes: int
) -> None:
    (info,) = answers(recording(f"cryptofeed_v2/{venue}.0.gz")).values()
    known = listed(name, info)
    assert len(known) == pairs
    adapter = ADAPTERS[name]({symbol: steps_of(known[symbol]) for symbol in symbols})
    snapshots = by_symbol(symbols, answers(recording(f"cryptofeed_v2/{venue}.http.0.0.gz")))
    played = play(adapter, captured(recording(f"cryptofeed_v2/{venue}.ws.1.0.gz")), snapshots)
    assert (played.events, played.changes, gaps(played), played.statuses) == (events, changes, 0, [])


def test_okx_and_its_checksums() -> None:
    found = answers(recording("cryptofeed_v2/OKX.0.gz"))
    known = listed("okx", next(body for url, body in found.items() if url.endswith("SPOT")))
    assert (len(known), known["BTC-USDT"].tick, known["BTC-USDT"].lot) == (513, Decimal("0.1"), FINEST)
    adapter = ADAPTERS["okx"](
        {
            "BTCUSDT": Steps(Decimal("0.1"), FINEST),
            "BTCUSD220527": Steps(Decimal("0.1"), Decimal(1), "BTC-USD-220527"),
            "UNIUSDSWAP": Steps(Decimal("0.001"), Decimal(1), "UNI-USD-SWAP"),
        }
    )
    played = play(adapter, captured(recording("cryptofeed_v2/OKX.ws.1.0.gz")))
    assert played.events == {"Quote": 28, "Trade": 74, "BookSnapshot": 3, "BookDelta": 287}
    assert (gaps(played), played.statuses, adapter.off_grid) == (0, [], 0)
    assert sum(book.checks for book in played.books.values()) == 290


def test_gate() -> None:
    (info,) = answers(recording("cryptofeed_v2/GATEIO.0.gz")).values()
    known = listed("gate", info)
    assert len(known) == 1458
    codes = [
        "INK_USDT",
        "HAI_ETH",
        "BTC_USDC",
        "NANO_USDT",
        "QTUM3S_USDT",
        "DIS_USDT",
        "NEO_BTC",
        "FAST_USDT",
        "ZKS_ETH",
        "OMG_USDT",
    ]
    adapter = ADAPTERS["gate"]({code: Steps(steps_of(known[code]).tick, FINEST, code) for code in codes})
    snapshots = by_symbol(codes, answers(recording("cryptofeed_v2/GATEIO.http.0.0.gz")))
    frames = captured(recording("cryptofeed_v2/GATEIO.ws.1.0.gz"))
    played = play(adapter, frames, snapshots, BookRule.REST_NEXT)
    assert played.events == {"BookDelta": 172, "Candle": 14, "Trade": 9}
    assert (played.changes, gaps(played), played.statuses) == (1346, 0, [])


def test_upbit() -> None:
    codes = [
        "BTC-ARK",
        "BTC-FCT2",
        "BTC-STPT",
        "BTC-ITAM",
        "BTC-MARO",
        "KRW-WAVES",
        "BTC-AQT",
        "BTC-XTZ",
        "KRW-LAMB",
        "BTC-PAX",
    ]
    adapter = ADAPTERS["upbit"]({code: Steps(FINEST, FINEST, code) for code in codes})
    played = play(adapter, captured(recording("cryptofeed_v2/UPBIT.ws.62.0.gz")))
    assert played.events == {"Trade": 304, "Quote": 145, "BookSnapshot": 145}
    assert (gaps(played), played.statuses, adapter.off_grid) == (0, [], 0)


def test_bithumbs_socket_of_2021_is_not_the_one_we_speak() -> None:
    adapter = ADAPTERS["bithumb"]({"CONKRW": Steps(FINEST, FINEST)})
    played = play(adapter, captured(recording("cryptofeed_v2/BITHUMB.ws.1.0.gz")))
    assert played.events == {"Status": 6}
    assert all(text.startswith(("bithumb: ", "pong")) for text in played.statuses)


@pytest.mark.parametrize(
    ("name", "symbols", "lines"),
    [
        (
            "coinone",
            {"BTCKRW": Steps(Decimal(10_000), FINEST), "TNSRKRW": Steps(Decimal("0.0001"), FINEST)},
            [
                "BTCKRW quote 1180000@11645 | 2320000@11646 at 1790134167554000000",
                "BTCKRW book 1790134177435001: 1180000@11645 4695328@11644 1325806@11625 | 2320000@11646 171821@11647 65700@11664 1198956@11665 at 1790134167554000000",
                "BTCKRW quote 1180000@11645 | 2320000@11646 at 1790134177753000000",
                "BTCKRW book 1790134177753001: 1180000@11645 4695328@11644 1325806@11625 | 2320000@11646 171821@11647 65700@11664 1198956@11665 at 1790134177753000000",
                "BTCKRW quote 1180000@11645 | 2320000@11646 at 1790134177753000000",
                "BTCKRW book 1790134177753001: 1180000@11645 | 2320000@11646 1198956@11665 at 1790134177753000000",
                "TNSRKRW quote 800000000000@496000 | 10720953328@652000 at 1790134167557000000",
                "TNSRKRW book 1790134159857001: 800000000000@496000 66545674530@495900 7462425644758@2404 | 10720953328@652000 1100000000000@652500 226648031691@1256000 30241330495@1450000 at 1790134167557000000",
                "* pong",
                "* unknown_symbol: coinone: 160012 Invalid Topic",
                "* error: coinone: 160011 Invalid Type",
                "* error: coinone: 160010 Invalid Request",
                "BTCKRW BUY 483595@11646 #1790134177835001 at 1790134177835000000",
            ],
        ),
        (
            "bithumb",
            {one: Steps(Decimal(1000), Decimal("0.0001")) for one in ("BTCKRW", "ETHKRW")},
            [
                "ETHKRW quote 30120@3714 | 84592@3715 at 1790133505546514000",
                "ETHKRW book 0: 30120@3714 153990@3713 1355129@3712 | 84592@3715 33766@3716 41755@3717 at 1790133505546514000",
                "ETHKRW quote 41060@3714 | 84592@3715 at 1790133505627050000",
                "ETHKRW book 0: 41060@3714 155990@3713 1355129@3712 | 84592@3715 33766@3716 41755@3717 at 1790133505627050000",
                "BTCKRW quote 37@116204 | 3313@116208 at 1790133505564033000",
                "BTCKRW book 0: 37@116204 25@116203 4@116201 | 3313@116208 1@116209 at 1790133505564033000",
                "BTCKRW quote 84@116267 | 892@116279 at 0",
                "BTCKRW book 0: 84@116267 213@116248 24@116239 | 892@116279 87@116280 25@116290 at 0",
                "BTCKRW BUY 9@116208 #1079953210371761700 at 1790133513739000000",
                "* pong",
                "* error: bithumb: NO_TICKET 티켓이 존재하지 않거나, 유효하지 않습니다.",
                "* error: bithumb: WRONG_FORMAT Format 이 맞지 않습니다.",
            ],
        ),
        (
            "upbit",
            {"BTCKRW": Steps(Decimal(1000), FINEST)},
            [
                "BTCKRW quote 8120946@116538 | 2054761@116539 at 1790134742106000000",
                "BTCKRW book 0: 8120946@116538 1129382@116537 | 2054761@116539 77720@116542 at 1790134742106000000",
                "BTCKRW quote 6612366@116538 | 2054761@116539 at 1790134743006000000",
                "BTCKRW book 0: 6612366@116538 1129382@116537 | 2054761@116539 77720@116542 at 1790134743006000000",
                "* pong",
                "* error: upbit: NO_TICKET 티켓이 존재하지 않거나, 유효하지 않습니다.",
                "* error: upbit: INVALID_PARAM nope 은 지원하지 않는 타입입니다.",
                "BTCKRW BUY 1112495@89888 #17866130860480000 at 1786613086048000000",
                "BTCKRW BUY 5673@89888 #17866130914490000 at 1786613091449000000",
            ],
        ),
    ],
)
def test_frames_quoted_in_documents(name: str, symbols: dict[str, Steps], lines: list[str]) -> None:
    adapter = ADAPTERS[name](symbols)
    found = [
        event
        for direction, frame in quoted(SLICES / f"{name}_ws.jsonl")
        if direction == "recv"
        for event in adapter.decode(msgspec.json.encode(frame))
    ]
    assert told(found) == lines
