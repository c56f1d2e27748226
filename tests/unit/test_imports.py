"""Files of other programs: read as documented, refused with file, line and field."""

import gzip
import io
import zipfile
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.event_codec import decode_event, encode_event
from market.imports import binance_archive, hftbacktest, lobster
from market.imports.text import BadInput, Grid
from market.recording import Header, Kind, Reader, Writer
from market.venues.events import BookDelta, BookSnapshot, Candle, Event, Quote, Status, Steps, Trade
from tests.unit.venue_recordings import recording

NAMES: Final = ("spot_btcusdt_20240808.gz", "spot_btcusdt_20240809.gz", "usdm_btcusdt_20240808.gz")
BTC: Final = Steps(Decimal("0.01"), Decimal("0.00001"))
AAPL: Final = "AAPL_2012-06-21_34200000_57600000_message_2.csv"
AAPL_BOOK: Final = AAPL.replace("message", "orderbook")
MIDNIGHT: Final = 1340251200 * 10**9
"""2012-06-21 00:00 in New York."""

IDS = st.integers(0, 2**62)
LEVELS = st.lists(st.tuples(IDS, IDS), max_size=3)
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(Trade, st.text(max_size=5), IDS, st.text(max_size=5), IDS, IDS, st.booleans()),
    st.builds(Quote, st.text(max_size=5), IDS, IDS, IDS, IDS, IDS),
    st.builds(BookSnapshot, st.text(max_size=5), IDS, LEVELS, LEVELS, IDS),
    st.builds(BookDelta, st.text(max_size=5), IDS, LEVELS, LEVELS, IDS, IDS, st.integers(-1, 2**62)),
    st.builds(Candle, st.text(max_size=5), IDS, IDS, IDS, IDS, IDS, IDS, IDS, IDS, st.booleans()),
    st.builds(Status, st.text(max_size=5), IDS, st.sampled_from(["stale", "live", "gap"]), st.text(max_size=5)),
)


def file(text: str) -> io.BytesIO:
    return io.BytesIO(text.encode())


@given(EVENTS)
def test_events_survive_their_encoding(event: Event) -> None:
    assert decode_event(encode_event(event)) == event


@pytest.mark.parametrize("body", [b"", b"\x09", b"\x00", b"\x00\x80", b"\x00\xc0"])
def test_bytes_that_are_no_event_are_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_event(body)


@given(st.integers(0, 2**60), st.sampled_from(["0.01", "0.5", "1", "0.00000001", "25", "10"]))
def test_decimals_become_exact_steps(steps: int, step: str) -> None:
    text = format(steps * Decimal(step), "f")
    assert Grid(Decimal(step)).steps(text) == steps
    assert Grid(Decimal(step)).steps(text + (".000" if "." not in text else "000")) == steps


@pytest.mark.parametrize("text", ["", "-1", "1e400", "nan", "0.005", "1_0", " 1", "٣", "9" * 30])
def test_decimals_off_the_grid_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Grid(Decimal("0.01")).steps(text)


def test_scientific_notation_is_a_decimal_too() -> None:
    assert Grid(Decimal("0.00001")).steps("1e-05") == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_of_hftbacktest_comes_back_byte_for_byte(name: str) -> None:
    path = recording(f"hftbacktest/{name}")
    recorded = io.BytesIO()
    writer = Writer.create(recorded, Header(venue="binance", symbols={"BTCUSDT": BTC}, created_ns=0, source=name))
    with path.open("rb") as packed:
        for entry in hftbacktest.entries(name, packed, "BTCUSDT"):
            writer.entry(entry)
    writer.close()
    read = Reader(recorded)
    assert b"".join(hftbacktest.text(read.entries())) == gzip.decompress(path.read_bytes())
    assert sum(entry.kind == Kind.SNAPSHOT for entry in read.entries()) == (0 if "0809" in name else 1)
    assert writer.bytes_in > 7 * writer.bytes_out


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('1 {"a":1}\nx {"a":1}\n', "f.txt:2: local_ns: 'x'"),
        ("99999999999999999999999 {}\n", "f.txt:1: local_ns"),
        ('1 {"a":1\n', "f.txt:1: frame: no JSON object"),
        ("\n\n12\n", "f.txt:3: frame"),
    ],
)
def test_bad_lines_of_hftbacktest_are_told_with_their_place(text: str, told: str) -> None:
    with pytest.raises(BadInput) as raised:
        list(hftbacktest.entries("f.txt", file(text), "BTCUSDT"))
    assert str(raised.value).startswith(told)


SPOT_TRADES: Final = """\
3735683259,61837.63000000,0.02000000,1236.75260000,1723161255342,True,True
3735683260,61837.64000000,0.00046000,28.44531440,1723161255343000,False,True
"""
FUTURES_TRADES: Final = "id,price,qty,quote_qty,time,is_buyer_maker\n5,61837.60,0.020,1236.75,1723161255342,true\n"
AGGREGATED: Final = "77,61837.63,0.02,3735683259,3735683260,1723161255342,true,True\n"
KLINES: Final = "1723161240000,61837.63,61840.00,61800.00,61810.5,12.345678,1723161299999,763000.1,900,6.1,377000.1,0\n"


def events_of(name: str, text: str) -> list[Trade | Candle]:
    return list(binance_archive.events(name, file(text), BTC))


def test_trades_of_binance() -> None:
    assert events_of("BTCUSDT-trades-2024-08-08.csv", SPOT_TRADES) == [
        Trade("BTCUSDT", 1723161255342 * 10**6, "3735683259", 6183763, 2000, True),
        Trade("BTCUSDT", 1723161255343 * 10**6, "3735683260", 6183764, 46, False),
    ]
    assert events_of("x/BTCUSDT-trades-2024-08.csv", FUTURES_TRADES) == [
        Trade("BTCUSDT", 1723161255342 * 10**6, "5", 6183760, 2000, True)
    ]


def test_aggregated_trades_of_binance() -> None:
    assert events_of("BTCUSDT-aggTrades-2024-08-08.csv", AGGREGATED) == [
        Trade("BTCUSDT", 1723161255342 * 10**6, "77", 6183763, 2000, True)
    ]


def test_klines_of_binance() -> None:
    open_ns = 1723161240 * 10**9
    end_ns = open_ns + 60 * 10**9 - 1
    assert events_of("BTCUSDT-1m-2024-08-08.csv", KLINES) == [
        Candle("BTCUSDT", end_ns, open_ns, 60, 6183763, 6184000, 6180000, 6181050, 1234567, True)
    ]


def test_a_zip_archive_is_read_as_its_file() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("BTCUSDT-trades-2024-08-08.csv", SPOT_TRADES)
    packed.seek(0)
    read = list(binance_archive.events("BTCUSDT-trades-2024-08-08.zip", packed, BTC))
    assert read == events_of("BTCUSDT-trades-2024-08-08.csv", SPOT_TRADES)


def packed_twice() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.csv", "1")
        archive.writestr("b.csv", "2")
    return packed.getvalue()


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (packed_twice(), "2 files in the archive"),
        (packed_twice()[:40], "damaged"),
        (gzip.compress(SPOT_TRADES.encode() * 50)[:-20], "damaged"),
    ],
    ids=["two files", "cut zip", "cut gzip"],
)
def test_damaged_archives_are_told(raw: bytes, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        list(binance_archive.events("BTCUSDT-trades-2024-08-08.zip", io.BytesIO(raw), BTC))


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("BTCUSDT-trades-2024-08-08.csv", SPOT_TRADES + "1,2\n", (3, "qty")),
        ("BTCUSDT-trades-2024-08-08.csv", "1,2.001,1,1,1,True\n", (1, "price")),
        ("BTCUSDT-trades-2024-08-08.csv", "1,2,-1,1,1,True\n", (1, "qty")),
        ("BTCUSDT-trades-2024-08-08.csv", "1,2,1,1,noon,True\n", (1, "time")),
        ("BTCUSDT-trades-2024-08-08.csv", "1,2,1,1,1,maybe\n", (1, "is_buyer_maker")),
        ("BTCUSDT-aggTrades-2024-08-08.csv", "1,2,1,1,1,1\n", (1, "is_buyer_maker")),
        ("BTCUSDT-1m-2024-08-08.csv", "1723161240000,5,4,6,5,1,2\n", (1, "high")),
        ("trades.csv", "", (0, "name")),
        ("BTCUSDT-7m-2024-08-08.csv", "", (0, "name")),
        ("BTCUSDT-trades-2024-08-08.csv", "1,2,é,1,1,True\n", (1, "")),
    ],
)
def test_bad_lines_of_binance_are_told_with_their_place(name: str, text: str, place: tuple[int, str]) -> None:
    with pytest.raises(BadInput) as raised:
        events_of(name, text)
    assert (raised.value.line, raised.value.field) == place
    assert raised.value.file == name


MESSAGES: Final = """\
34200.004241176,1,16113575,18,5853300,1
34200.025551909,4,16113584,10,5853300,1
34200.1,5,0,3,5853400,-1
34200.2,7,0,0,-1,-1
34200.3,3,16113575,8,5853300,1
"""
BOOKS: Final = """\
5859400,200,5853300,18,5859800,200,5853000,150
5859400,200,5853300,8,5859800,200,5853000,150
5859400,200,5853300,8,5859800,200,5853000,150
5859400,200,5853300,8,5859800,200,5853000,150
5859400,200,5853000,150,5859800,200,-9999999999,0
"""


def lobster_events(messages: str, books: str) -> list[Event]:
    return list(lobster.events(AAPL, file(messages), AAPL_BOOK, file(books)))


def test_lobster_messages_and_books() -> None:
    at = [MIDNIGHT + ns for ns in (34200004241176, 34200025551909, 34200100000000, 34200200000000, 34200300000000)]
    assert lobster_events(MESSAGES, BOOKS) == [
        BookSnapshot("AAPL", at[0], [(58533, 18), (58530, 150)], [(58594, 200), (58598, 200)], 1),
        Trade("AAPL", at[1], "2", 58533, 10, True),
        BookDelta("AAPL", at[1], [(58533, 8)], [], 2, 2, 1),
        Trade("AAPL", at[2], "3", 58534, 3, False),
        Status("AAPL", at[3], "halted", "halted"),
        BookDelta("AAPL", at[4], [(58533, 0)], [], 3, 3, 2),
    ]


def replaced(text: str, line: int, by: str) -> str:
    rows = text.splitlines()
    rows[line - 1] = by
    return "\n".join(rows) + "\n"


@pytest.mark.parametrize(
    ("messages", "books", "place"),
    [
        (replaced(MESSAGES, 2, "34200.1,9,1,1,1,1"), BOOKS, (AAPL, 2, "type")),
        (replaced(MESSAGES, 2, "34200.1,4,1,1,5853350,1"), BOOKS, (AAPL, 2, "price")),
        (replaced(MESSAGES, 2, "34200.1,4,1,1,5853300,0"), BOOKS, (AAPL, 2, "direction")),
        (replaced(MESSAGES, 2, "noon,4,1,1,5853300,1"), BOOKS, (AAPL, 2, "time")),
        (replaced(MESSAGES, 2, "34200.1,4"), BOOKS, (AAPL, 2, "order_id")),
        (MESSAGES, replaced(BOOKS, 2, "5859400,200,5853300"), (AAPL_BOOK, 2, "bid_size_1")),
        (MESSAGES, replaced(BOOKS, 2, "5859400,200,5853300,8,5859300,1,5853000,1"), (AAPL_BOOK, 2, "ask_price_2")),
        (MESSAGES, "".join(BOOKS.splitlines(True)[:-1]), (AAPL_BOOK, 5, "")),
        ("".join(MESSAGES.splitlines(True)[:-1]), BOOKS, (AAPL, 5, "")),
    ],
)
def test_bad_lines_of_lobster_are_told_with_their_place(messages: str, books: str, place: tuple[str, int, str]) -> None:
    with pytest.raises(BadInput) as raised:
        lobster_events(messages, books)
    assert (raised.value.file, raised.value.line, raised.value.field) == place


@pytest.mark.parametrize("name", ["aapl.csv", "AAPL_2012-13-41_34200000_57600000_message_2.csv"])
def test_a_file_of_lobster_is_known_by_its_name(name: str) -> None:
    with pytest.raises(BadInput):
        lobster.named(name)


def test_imports_are_streams() -> None:
    """Nothing is read before it is asked for, and one line at a time."""

    class Endless(io.RawIOBase):
        def __init__(self, line: bytes) -> None:
            self.line, self.served = line, 0

        def readable(self) -> bool:
            return True

        def seekable(self) -> bool:
            return True

        def seek(self, _offset: int, _whence: int = 0) -> int:
            return 0

        def readinto(self, into: Any) -> int:
            self.served += 1
            size = min(len(into), len(self.line))
            into[:size] = self.line[:size]
            return size

    readers: list[Callable[[Any], Iterable[object]]] = [
        lambda stream: hftbacktest.entries("f", stream, "BTCUSDT"),
        lambda stream: binance_archive.events("BTCUSDT-trades-2024-08-08.csv", stream, BTC),
    ]
    texts = [b'1 {"a":1}\n', SPOT_TRADES.splitlines(True)[0].encode()]
    for read, text in zip(readers, texts, strict=True):
        endless = Endless(text)
        found = iter(read(io.BufferedReader(endless, 256)))
        for _ in range(100):
            next(found)
        assert endless.served < 1000


@given(st.lists(EVENTS, max_size=20))
def test_imported_events_are_recorded_and_read_back(events: list[Event]) -> None:
    recorded = io.BytesIO()
    writer = Writer.create(recorded, Header(venue="binance", symbols={"BTCUSDT": BTC}, created_ns=0))
    for number, event in enumerate(events):
        writer.event(number, encode_event(event))
    writer.close()
    assert [decode_event(entry.body) for entry in Reader(recorded).entries()] == events


SIDES = st.dictionaries(st.integers(1, 12), st.integers(1, 9), max_size=3)


def row_of(bids: dict[int, int], asks: dict[int, int], levels: int) -> str:
    sides = (
        [(price + 100, qty) for price, qty in sorted(asks.items())],
        sorted(bids.items(), reverse=True),
    )
    cells: list[int] = []
    for level in range(levels):
        for side, empty in zip(sides, (lobster.EMPTY, -lobster.EMPTY), strict=True):
            price, qty = side[level] if level < len(side) else (None, 0)
            cells += [price * 100 if price is not None else empty, qty]
    return ",".join(map(str, cells))


@given(st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=12))
def test_differences_of_lobster_give_every_row_again(rows: list[tuple[dict[int, int], dict[int, int]]]) -> None:
    messages = "".join(f"34200.{number:09d},1,{number},1,100,1\n" for number in range(len(rows)))
    books = "".join(row_of(bids, asks, 3) + "\n" for bids, asks in rows)
    name = AAPL.replace("_2.csv", "_3.csv")
    held: list[dict[int, int]] = [{}, {}]
    seen: dict[int, list[dict[int, int]]] = {}
    for event in lobster.events(name, file(messages), name.replace("message", "orderbook"), file(books)):
        assert isinstance(event, (BookSnapshot, BookDelta))
        for side, levels in zip(held, (event.bids, event.asks), strict=True):
            side.update(levels)
            for price in [price for price, qty in side.items() if not qty]:
                del side[price]
        seen[event.venue_ns - MIDNIGHT - 34200 * 10**9] = [dict(side) for side in held]
    last: list[dict[int, int]] = [{}, {}]
    for number, (bids, asks) in enumerate(rows):
        last = seen.get(number, last)
        assert last == [bids, {price + 100: qty for price, qty in asks.items()}]
