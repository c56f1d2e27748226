"""What cannot be read becomes a Status that names venue and field; decode() never raises."""

import gzip
import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.venues import ADAPTERS
from market.venues.events import Status
from tests.unit.venue_recordings import SLICES, quoted
from tests.unit.venue_tables import adapter

GOOD = {
    "binance": '{"stream":"btcusdt@trade","data":{"e":"trade","E":1,"s":"BTCUSDT","t":3,"p":"1.5","q":"0.2","T":2,"m":true,"M":true}}',
    "okx": '{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"9","px":"1.5","sz":"2","side":"buy","ts":"3"}]}',
    "bybit": '{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1,"data":[{"T":2,"s":"BTCUSDT","S":"Buy","v":"0.1","p":"1.5","i":"7"}]}',
    "gate": '{"time":1,"channel":"spot.trades","event":"update","result":{"id":3,"create_time_ms":"4.5","side":"sell","currency_pair":"BTC_USDT","amount":"0.2","price":"1.5"}}',
    "upbit": '{"ty":"trade","cd":"USDT-BTC","tms":1,"ttms":2,"tp":1.5,"tv":0.2,"ab":"BID","sid":3}',
    "bithumb": '{"type":"trade","code":"USDT-BTC","timestamp":1,"trade_timestamp":2,"trade_price":1.5,"trade_volume":0.2,"ask_bid":"BID","sequential_id":3}',
    "coinone": '{"response_type":"DATA","channel":"TRADE","data":{"quote_currency":"USDT","target_currency":"BTC","id":"3","timestamp":2,"price":"1.5","qty":"0.2","is_seller_maker":true}}',
}


def error(name: str, frame: bytes) -> str:
    (status,) = adapter(name).decode(frame)
    assert isinstance(status, Status)
    assert status.kind == "error"
    assert status.text.startswith(f"{name}: ")
    assert len(status.text) < 500
    return status.text


@pytest.mark.parametrize("name", GOOD)
def test_the_frames_that_are_spoiled_below_are_good(name: str) -> None:
    (event,) = adapter(name).decode(GOOD[name].encode())
    assert not isinstance(event, Status)


@pytest.mark.parametrize("name", GOOD)
def test_truncated_json(name: str) -> None:
    frame = GOOD[name].encode()
    assert "truncated" in error(name, frame[:-2])
    for end in range(len(frame)):
        error(name, frame[:end])


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize(
    "frame", [b"", b"null", b"[]", b"{}", b"17", b'"text"', b"\xff\xfe\x00", b"\x1f\x8b\x08\x00", b"<html>502</html>", b"[" * 100_000]
)  # fmt: skip
def test_what_is_no_message(name: str, frame: bytes) -> None:
    error(name, frame)


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        ("binance", '"p":"1.5"', '"p":[1.5]', "$.data.p"),
        ("binance", '"p":"1.5"', '"p":"abc"', "$.data.p"),
        ("binance", '"p":"1.5"', '"p":""', "$.data.p"),
        ("binance", '"p":"1.5"', '"p":"-1.5"', "price '-1.5' is out of range"),
        ("binance", '"q":"0.2"', '"q":"NaN"', "quantity nan is no number"),
        ("binance", '"q":"0.2"', '"q":"inf"', "quantity inf is no number"),
        ("binance", '"q":"0.2"', '"q":"9999999999999999999"', "quantity '1e+19' is beyond the limit"),
        ("binance", '"q":"0.2"', '"q":"' + "9" * 500 + '"', "$.data.q"),
        ("coinone", '"price":"1.5"', '"price":1.5', "$.data.price"),
        ("coinone", '"price":"1.5"', '"price":"abc"', "price 'abc' is no number"),
        ("coinone", '"qty":"0.2"', '"qty":"NaN"', "quantity 'NaN' is out of range"),
        ("coinone", '"qty":"0.2"', '"qty":"9999999999999999999"', "quantity '9999999999999999999' is beyond the limit"),
        ("coinone", '"qty":"0.2"', '"qty":"' + "9" * 500 + '"', "quantity has 500 characters"),
        ("binance", '"T":2', '"T":-2', "$.data.T"),
        ("binance", '"T":2', '"T":99999999999999999999', "$.data.T"),
        ("binance", '"m":true', '"m":"yes"', "$.data.m"),
        ("binance", '"t":3,', "", "missing required field `t`"),
        ("binance", "btcusdt@trade", "btcusdt@forecast", "stream 'btcusdt@forecast'"),
        ("binance", "btcusdt@trade", "ethusdt@trade", "stream 'ethusdt@trade'"),
        ("okx", '"side":"buy"', '"side":"hold"', "side 'hold'"),
        ("okx", '"ts":"3"', '"ts":"soon"', "'soon'"),
        ("okx", '"ts":"3"', '"ts":"-3"', "time '-3' is out of range"),
        ("okx", '"ts":"3"', '"ts":3', "$.data[0].ts"),
        ("okx", '"trades"', '"forecast"', "channel 'forecast'"),
        ("okx", '"BTC-USDT"', '"ETH-USDT"', "symbol 'ETH-USDT' has no Steps"),
        ("okx", '"data":[', '"date":[', "missing required field `data`"),
        ("bybit", '"S":"Buy"', '"S":"Both"', "side 'Both'"),
        ("bybit", "publicTrade.BTCUSDT", "forecast.BTCUSDT", "topic 'forecast.BTCUSDT'"),
        ("bybit", '"v":"0.1"', '"v":null', "$.data[0].v"),
        ("gate", '"spot.trades"', '"spot.forecast"', "channel 'spot.forecast'"),
        ("gate", '"event":"update"', '"event":"forecast"', "event 'forecast'"),
        ("gate", '"side":"sell"', '"side":"none"', "side 'none'"),
        ("gate", '"BTC_USDT"', '"ETH_USDT"', "symbol 'ETH_USDT' has no Steps"),
        ("upbit", '"tp":1.5', '"tp":"1.5"', "$.tp"),
        ("upbit", '"tp":1.5', '"tp":-1.5', "price '-1.5' is out of range"),
        ("upbit", '"tp":1.5', '"tp":1e999', "out of range"),
        ("upbit", '"ty":"trade"', '"ty":"forecast"', "'forecast'"),
        ("upbit", '"ab":"BID"', '"ab":"MID"', "ask_bid 'MID'"),
        ("bithumb", '"type":"trade"', '"type":"forecast"', "'forecast'"),
        ("bithumb", '"code":"USDT-BTC"', '"code":"KRW-ETH"', "symbol 'KRW-ETH' has no Steps"),
        ("coinone", '"TRADE"', '"FORECAST"', "channel 'FORECAST'"),
        ("coinone", '"DATA"', '"RUMOUR"', "response_type 'RUMOUR'"),
        ("coinone", '"qty":"0.2"', '"qty":{}', "$.data.qty"),
    ],
)
def test_a_wrong_field_is_named(name: str, old: str, new: str, told: str) -> None:
    assert old in GOOD[name]
    assert told in error(name, GOOD[name].replace(old, new).encode())


@pytest.mark.parametrize(
    ("number", "lots", "off_grid"),
    [("0.2", 200, 0), ("2E-1", 200, 0), ("0.2000000", 200, 0), ("0.2009", 200, 1), ("0.0009", 0, 1), ("1.16539E8", 116_539_000_000, 0)],
)  # fmt: skip
def test_numbers_off_the_grid_are_counted_and_rounded_down(number: str, lots: int, off_grid: int) -> None:
    found = adapter("binance")
    (event,) = found.decode(GOOD["binance"].replace('"q":"0.2"', f'"q":"{number}"').encode())
    assert (getattr(event, "qty", None), found.off_grid) == (lots, off_grid)


def frames_of(name: str) -> list[bytes]:
    found = [GOOD[name].encode()] if name in GOOD else []
    path = SLICES / f"{name}_ws.jsonl"
    if path.exists():
        found += [msgspec.json.encode(frame) for direction, frame in quoted(path) if direction == "recv"]
    if name == "binance":
        with gzip.open(SLICES / "binance_spot_btcusdt.gz") as lines:
            found += [line.split(b" ", 1)[1] for line in lines][:50]
    return found


SYMBOLS = ("BTCUSDT", "BTCKRW", "ETHKRW")


@pytest.mark.parametrize("name", ADAPTERS)
def test_spoiled_frames_never_raise(name: str) -> None:
    seed = random.Random(20_261_126)
    found = adapter(name, *SYMBOLS)
    frames = frames_of(name) or frames_of(name.partition("_")[0])
    for _ in range(2000):
        frame = bytearray(seed.choice(frames))
        for _ in range(seed.randint(1, 4)):
            at = seed.randrange(len(frame))
            match seed.randrange(3):
                case 0:
                    frame[at] = seed.randrange(256)
                case 1:
                    del frame[at : at + seed.randint(1, 8)]
                case _:
                    frame[at:at] = seed.choice([b"0", b'"', b"{", b"]", b"null", b"-", b"1e400", b"\xc3", b",,"])
            if not frame:
                break
        found.decode(bytes(frame))


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None)
@given(st.sampled_from(sorted(GOOD)), st.data())
def test_a_member_of_any_type_never_raises(name: str, data: st.DataObject) -> None:
    message = msgspec.json.decode(GOOD[name])
    inner = message
    while True:
        key = data.draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner))))
        if not isinstance(inner[key], dict | list) or not inner[key] or data.draw(st.booleans()):
            break
        inner = inner[key]
    inner[key] = data.draw(JSONS)
    adapter(name).decode(msgspec.json.encode(message))
