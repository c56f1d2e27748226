"""`raypit import`, `recording` and the refusals of `record`, through the command line's own runner."""

import gzip
import json
from pathlib import Path
from typing import Any, Final

import pytest
from typer.testing import CliRunner, Result

from deploy.cli import app
from market.event_codec import decode_event
from market.recording import Kind, Reader
from market.venues.events import Candle, Trade

DATA: Final = Path(__file__).parents[1] / "data/venues"
SPOT: Final = DATA / "binance_spot_btcusdt.gz"
USDM: Final = DATA / "binance_usdm_btcusdt.gz"
DAY: Final = "AAPL_2012-06-21_34200000_57600000_message_1.csv"


def raypit(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def told(result: Result) -> str:
    """Errors, on one line."""
    return " ".join(result.stderr.split())


def examined(file: Path, status: int = 0) -> Any:
    result = raypit("recording", file, "--json")
    assert result.exit_code == status, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    ("source", "venue", "entries", "trades", "books"),
    [(SPOT, "binance", 1500, 229, 134), (USDM, "binance_usdm", 700, 121, 59)],
)
def test_a_feed_of_hftbacktest_is_imported_byte_for_byte(
    tmp_path: Path, source: Path, venue: str, entries: int, trades: int, books: int
) -> None:
    out = tmp_path / "a.rpr"
    result = raypit("import", "hftbacktest", source, "--out", out)
    assert result.exit_code == 0, result.output
    found = examined(out)
    one = found["symbols"]["BTCUSDT"]
    assert (found["venue"], found["entries"], found["source"]) == (venue, entries, source.name)
    assert (one["trades"], one["books"], one["gaps"], found["errors"]) == (trades, books, 0, 0)
    assert (found["ended"], found["torn_bytes"], found["damaged_blocks"]) == (True, 0, 0)
    with out.open("rb") as file, gzip.open(source) as lines:
        again = [b"%d %b\n" % (one.arrival_ns, one.body) for one in Reader(file).entries()]
        assert sorted(again) == sorted(lines)
    shown = raypit("recording", out)
    assert shown.exit_code == 0
    assert "BTCUSDT" in shown.stdout
    assert "regular" in shown.stdout


@pytest.mark.parametrize(
    ("format", "name", "line"),
    [
        ("binance-trades", "BTCUSDT-trades-2024-08-08.csv", "{id},61000.10,0.5,30500.05,{ms},true"),
        ("binance-aggtrades", "BTCUSDT-aggTrades-2024-08-08.csv", "{id},61000.10,0.5,1,2,{ms},False"),
        ("binance-klines", "BTCUSDT-1m-2024-08-08.csv", "{ms},1.5,2,1,1.75,10,{ms},5,7,1,1,0"),
    ],
)
def test_archives_of_binance_are_merged_in_order_of_time(tmp_path: Path, format: str, name: str, line: str) -> None:
    first, second, out = tmp_path / name, tmp_path / name.replace("BTC", "ETH"), tmp_path / "a.rpr"
    for at, path in enumerate((first, second)):
        rows = (line.format(id=k, ms=1_723_161_240_000 + 60_000 * (2 * k + at)) for k in range(1, 5))
        path.write_text("\n".join(rows) + "\n")
    result = raypit("import", format, second, first, "--out", out, "--tick", "0.01", "--lot", "0.001")
    assert result.exit_code == 0, result.output
    with out.open("rb") as file:
        entries = list(Reader(file).entries())
    events = [decode_event(entry.body) for entry in entries]
    assert [event.symbol for event in events] == ["BTCUSDT", "ETHUSDT"] * 4
    assert all(isinstance(event, Candle if "klines" in format else Trade) for event in events)
    assert {entry.kind for entry in entries} == {Kind.EVENT}
    assert examined(out)["symbols"]["ETHUSDT"]["tick"] == "0.01"


def test_a_day_of_lobster(tmp_path: Path) -> None:
    messages, books, out = tmp_path / DAY, tmp_path / DAY.replace("message", "orderbook"), tmp_path / "a.rpr"
    messages.write_text("34200.1,1,5,18,5853300,1\n34200.2,4,5,10,5853300,1\n34200.3,1,6,7,5853400,1\n")
    books.write_text("5859400,200,5853300,18\n5859400,200,5853300,8\n5859400,200,5853400,7\n")
    assert "Give both." in told(raypit("import", "lobster", messages, "--out", out))
    assert raypit("import", "lobster", books, messages, "--out", out).exit_code == 0
    one = examined(out)
    assert one["venue"] == "nasdaq"
    assert one["symbols"]["AAPL"] == {
        "tick": "0.01", "lot": "1", "code": "", "events": 4, "trades": 1, "books": 3, "gaps": 0, "errors": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("format", "name", "content", "status", "words"),
    [
        ("csv", "a.csv", "x", 2, "Known are: binance-trades"),
        ("binance-trades", "a.csv", "x", 1, "Keep the names the files were published with."),
        ("binance-klines", "BTCUSDT-trades-2024-08-08.csv", "x", 1, "has trades, not what binance-klines reads"),
        ("binance-trades", "BTCUSDT-trades-2024-08-08.csv", "1,2,3", 1, "-08.csv:1: quote_qty: missing"),
        (
            "binance-trades",
            "BTCUSDT-trades-2024-08-08.csv",
            "1,0.123456789,1,1,1723161240000,true",
            1,
            "A finer --tick",
        ),
        ("binance-trades", "BTCUSDT-trades-2024-08-08.csv", "1,9e17,1,1,1723161240000,true", 1, "A coarser --tick"),
        ("hftbacktest", "a.gz", "", 1, "Give --symbol."),
        ("hftbacktest", "a.txt", '5 {"stream":"btcusdt@trade"', 1, "a.txt:1: frame: no JSON object"),
    ],
)
def test_bad_input_is_told_with_its_place_and_leaves_nothing(
    tmp_path: Path, format: str, name: str, content: str, status: int, words: str
) -> None:
    source = tmp_path / name
    source.write_text(content)
    result = raypit("import", format, source, "--out", tmp_path / "out.rpr")
    assert result.exit_code == status
    assert words in told(result).replace("- ", "-")
    assert list(tmp_path.iterdir()) == [source]


def test_nothing_is_written_over(tmp_path: Path) -> None:
    out = tmp_path / "a.rpr"
    out.write_text("mine")
    result = raypit("import", "hftbacktest", SPOT, "--out", out)
    assert (result.exit_code, "exists already" in told(result)) == (1, True)
    result = raypit("record", "binance", "--symbols", "BTCUSDT", "--out", out)
    assert (result.exit_code, "exists already" in told(result)) == (1, True)
    assert out.read_text() == "mine"
    assert "there is no file" in told(raypit("import", "hftbacktest", tmp_path / "b", "--out", tmp_path / "c"))


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("binanc", "--quote", "USDC"), 1, "there is no venue 'binanc'. Known are: binance,"),
        (("binance",), 2, "either --symbols BTCUSDT,ETHUSDT or --quote USDC"),
        (("binance", "--quote", "USDC", "--channels", "news"), 2, "Known are: trade, quote, book, candle."),
        (("binance", "--quote", "USDC", "--for", "ten"), 2, "90s, 10m, 2h or 1d"),
        (("binance", "--quote", "USDC", "--tick", "0"), 2, "a positive decimal is wanted"),
        (("binance_usdm", "--quote", "USDC", "--channels", "trade"), 1, "Record binance_usdm_market into another file"),
        (("binance", "--quote", "USDC", "--url-rest", "http://127.0.0.1:9"), 1, "did not list its symbols"),
    ],
)
def test_a_recording_that_cannot_begin_says_why(tmp_path: Path, words: tuple[str, ...], status: int, says: str) -> None:
    result = raypit("record", *words, "--out", tmp_path / "a.rpr")
    assert result.exit_code == status
    assert says in told(result)
    assert not list(tmp_path.iterdir())


def test_a_damaged_block_is_told_and_the_others_are_read(tmp_path: Path) -> None:
    out = tmp_path / "a.rpr"
    assert raypit("import", "hftbacktest", SPOT, "--out", out).exit_code == 0
    with out.open("rb") as file:
        blocks = Reader(file).blocks
    assert len(blocks) == 2
    content = bytearray(out.read_bytes())
    content[blocks[0].offset + 100] ^= 1
    out.write_bytes(content)
    found = examined(out, status=1)
    assert found["damaged_blocks"] == 1
    assert f"block at byte {blocks[0].offset}: wrong checksum" in found["damaged"][0]
    assert 0 < found["entries"] < 1500
    shown = raypit("recording", out)
    assert shown.exit_code == 1
    assert "wrong checksum" in told(shown)


def test_a_cut_end_is_told(tmp_path: Path) -> None:
    out = tmp_path / "a.rpr"
    assert raypit("import", "hftbacktest", SPOT, "--out", out).exit_code == 0
    with out.open("rb") as file:
        second = Reader(file).blocks[1].offset
    out.write_bytes(out.read_bytes()[: second + 1000])
    found = examined(out)
    assert (found["ended"], found["torn_bytes"], found["blocks"]) == (False, 1000, 1)
    assert "cut: 1,000 bytes" in raypit("recording", out).stdout


@pytest.mark.parametrize("content", [b"", b"hello, this is not one at all", None])
def test_what_is_no_recording(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "a.rpr"
    if content is not None:
        file.write_bytes(content)
    result = raypit("recording", file)
    assert result.exit_code == 1
    assert ("No such file" if content is None else "not a recording") in told(result)
