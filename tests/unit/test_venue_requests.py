"""What is asked of the venues, and their answers to REST requests."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec
import pytest

from market.venues import ADAPTERS
from market.venues.adapter import Adapter, Channel, VenueError, VenueSymbol
from market.venues.events import Steps
from tests.unit.venue_tables import TENTH, adapter, told

T, Q, B, C = Channel.TRADE, Channel.QUOTE, Channel.BOOK, Channel.CANDLE
S = 1_000_000_000


@pytest.mark.parametrize(
    ("name", "channels", "frames"),
    [
        (
            "binance",
            [T, Q, B, C],
            [
                '{"method":"SUBSCRIBE","params":["btcusdt@trade","btcusdt@bookTicker","btcusdt@depth@100ms",'
                '"btcusdt@kline_1m","ethusdt@trade","ethusdt@bookTicker","ethusdt@depth@100ms","ethusdt@kline_1m"],"id":1}'
            ],
        ),
        (
            "binance_usdm_market",
            [T],
            ['{"method":"SUBSCRIBE","params":["btcusdt@aggTrade","ethusdt@aggTrade"],"id":1}'],
        ),
        (
            "okx",
            [Q, B],
            [
                '{"op":"subscribe","args":[{"channel":"bbo-tbt","instId":"BTC-USDT"},{"channel":"books","instId":"BTC-USDT"},'
                '{"channel":"bbo-tbt","instId":"ETH-USDT"},{"channel":"books","instId":"ETH-USDT"}]}'
            ],
        ),
        (
            "bybit",
            [B, T],
            [
                '{"op":"subscribe","args":["orderbook.50.BTCUSDT","publicTrade.BTCUSDT","orderbook.50.ETHUSDT","publicTrade.ETHUSDT"]}'
            ],
        ),
        (
            "gate",
            [B, C],
            [
                '{"time":1700000000,"channel":"spot.obu","event":"subscribe","payload":["ob.BTC_USDT.50","ob.ETH_USDT.50"]}',
                '{"time":1700000000,"channel":"spot.candlesticks","event":"subscribe","payload":["1m","BTC_USDT"]}',
                '{"time":1700000000,"channel":"spot.candlesticks","event":"subscribe","payload":["1m","ETH_USDT"]}',
            ],
        ),
        (
            "upbit",
            [T, Q, B, C],
            [
                '[{"ticket":"raypit"},{"type":"trade","codes":["USDT-BTC","USDT-ETH"],"is_only_realtime":true},'
                '{"type":"orderbook","codes":["USDT-BTC","USDT-ETH"]},{"type":"candle.1m","codes":["USDT-BTC","USDT-ETH"]},'
                '{"format":"SIMPLE"}]'
            ],
        ),
        (
            "bithumb",
            [T, B],
            [
                '[{"ticket":"raypit"},{"type":"trade","codes":["USDT-BTC","USDT-ETH"],"isOnlyRealtime":true},'
                '{"type":"orderbook","codes":["USDT-BTC","USDT-ETH"]},{"format":"DEFAULT"}]'
            ],
        ),
        (
            "coinone",
            [Q, B, C],
            [
                '{"request_type":"SUBSCRIBE","channel":"ORDERBOOK","topic":{"quote_currency":"USDT","target_currency":"BTC"}}',
                '{"request_type":"SUBSCRIBE","channel":"CHART","topic":{"quote_currency":"USDT","target_currency":"BTC","interval":"1m"}}',
                '{"request_type":"SUBSCRIBE","channel":"ORDERBOOK","topic":{"quote_currency":"USDT","target_currency":"ETH"}}',
                '{"request_type":"SUBSCRIBE","channel":"CHART","topic":{"quote_currency":"USDT","target_currency":"ETH","interval":"1m"}}',
            ],
        ),
    ],
)
def test_subscriptions(name: str, channels: Sequence[Channel], frames: list[str]) -> None:
    assert adapter(name, "BTCUSDT", "ETHUSDT").subscribe_frames(["BTCUSDT", "ETHUSDT"], channels) == frames


def test_unsubscriptions_say_the_opposite() -> None:
    for name in ("binance", "okx", "bybit", "gate", "coinone"):
        found = adapter(name)
        (to,) = found.subscribe_frames(["BTCUSDT"], [T])
        (off,) = found.unsubscribe_frames(["BTCUSDT"], [T])
        assert off == str(to).replace("subscribe", "unsubscribe").replace("SUBSCRIBE", "UNSUBSCRIBE")
    for name in ("upbit", "bithumb"):
        assert adapter(name).unsubscribe_frames(["BTCUSDT"], [T]) == []


def many(name: str, count: int) -> tuple[Adapter, list[str]]:
    symbols = [f"COIN{number:03}USDT" for number in range(count)]
    return adapter(name, *symbols), symbols


def test_requests_stay_below_the_venues_limits() -> None:
    found, symbols = many("bybit", 11)
    frames = found.subscribe_frames(symbols, [T, B])
    assert [len(msgspec.json.decode(frame)["args"]) for frame in frames] == [10, 10, 2]
    found, symbols = many("okx", 900)
    frames = found.subscribe_frames(symbols, [T, B])
    assert sum(len(msgspec.json.decode(frame)["args"]) for frame in frames) == 1800
    assert [len(frame) < 64 * 1024 for frame in frames] == [True, True]
    found, symbols = many("binance", 101)
    frames = found.subscribe_frames(symbols, [T, B])
    assert [len(msgspec.json.decode(frame)["params"]) for frame in frames] == [200, 2]
    found, symbols = many("upbit", 900)
    assert len(found.subscribe_frames(symbols, [T, B])) == 1, "a second would replace it"


@pytest.mark.parametrize(
    ("name", "channel"),
    [("okx", C), ("okx_business", B), ("binance_usdm", T), ("binance_usdm_market", B), ("bithumb", C)],
)
def test_a_channel_of_another_socket_is_refused(name: str, channel: Channel) -> None:
    with pytest.raises(ValueError, match=f"{name} has no channel {channel.value}"):
        adapter(name).subscribe_frames(["BTCUSDT"], [channel])


@pytest.mark.parametrize("name", ADAPTERS)
def test_what_the_engine_is_told(name: str) -> None:
    found = adapter(name)
    assert found.name == name
    assert all(url.startswith("wss://") for url in found.urls())
    assert 0 < found.ping_every_s * 2 <= found.silence_limit_s <= 60 < found.max_life_s
    assert found.dials_per_minute > 0
    assert found.ping_frame() in (None, "ping", "PING", '{"op":"ping"}', '{"request_type":"PING"}',
                                  '{"time":1700000000,"channel":"spot.ping"}')  # fmt: skip
    fake = ADAPTERS[name]({"BTCUSDT": TENTH}, ws_url="ws://127.0.0.1:1/x", rest_url="http://127.0.0.1:2/")
    assert fake.urls() == ["ws://127.0.0.1:1/x"]
    urls = [fake.snapshot_url("BTCUSDT"), fake.symbols_url(), fake.candles_url("BTCUSDT", 60, 10**18, 100)]
    assert all(url.startswith("http://127.0.0.1:2/") and "//" not in url[10:] for url in urls)


def test_symbols_without_steps_and_without_a_known_quote() -> None:
    with pytest.raises(ValueError, match="ETHUSDT has no Steps"):
        adapter("binance").snapshot_url("ETHUSDT")
    with pytest.raises(ValueError, match="no known quote asset"):
        adapter("okx", "BTCXYZ")
    coded = ADAPTERS["okx"]({"BTCXYZ": Steps(Decimal("0.1"), Decimal(1), "BTC-XYZ")})
    assert "instId=BTC-XYZ" in coded.snapshot_url("BTCXYZ")
    with pytest.raises(ValueError, match="no candles of 61 s"):
        adapter("binance").candles_url("BTCUSDT", 61, 0, 1)


END = 1_700_000_040 * S
"""22:14:00."""


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("binance", "https://api.binance.com/api/v3/klines?symbol=BTCUSDT&interval=1m&endTime=1700000039999&limit=500"),
        ("binance_usdm", "https://fapi.binance.com/fapi/v1/klines?symbol=BTCUSDT&interval=1m&endTime=1700000039999&limit=500"),
        ("okx", "https://www.okx.com/api/v5/market/history-candles?instId=BTC-USDT&bar=1m&after=1700000040000&limit=300"),
        ("bybit", "https://api.bybit.com/v5/market/kline?category=spot&symbol=BTCUSDT&interval=1&end=1700000039999&limit=500"),
        ("gate", "https://api.gateio.ws/api/v4/spot/candlesticks?currency_pair=BTC_USDT&interval=1m&from=1699970099&to=1700000039"),
        ("upbit", "https://api.upbit.com/v1/candles/minutes/1?market=USDT-BTC&to=2023-11-14T22:14:00Z&count=200"),
        ("bithumb", "https://api.bithumb.com/v1/candles/minutes/1?market=USDT-BTC&to=2023-11-15T07:14:00&count=200"),
        ("coinone", "https://api.coinone.co.kr/public/v2/chart/USDT/BTC?interval=1m&timestamp=1700000039999&size=500"),
    ],
)  # fmt: skip
def test_candle_requests(name: str, url: str) -> None:
    assert adapter(name).candles_url("BTCUSDT", 60, END, 500) == url


CANDLES = [
    "BTCUSDT candle 1699999920+60: 1 4 1 3 volume 5 open",
    "BTCUSDT candle 1699999980+60: 10 40 9 30 volume 7 open",
]


@pytest.mark.parametrize(
    ("name", "body", "closed"),
    [
        (
            "binance",
            '[[1699999920000,"0.1","0.4","0.1","0.3","0.005",1,"1",2,"1","1","0"],'
            '[1699999980000,"1","4","0.9","3","0.007",1,"1",2,"1","1","0"]]',
            False,
        ),
        (
            "okx",
            '{"code":"0","msg":"","data":[["1699999980000","1","4","0.9","3","0.007","1","1","1"],'
            '["1699999920000","0.1","0.4","0.1","0.3","0.005","1","1","1"]]}',
            True,
        ),
        (
            "bybit",
            '{"retCode":0,"retMsg":"OK","result":{"symbol":"BTCUSDT","category":"spot","list":['
            '["1699999980000","1","4","0.9","3","0.007","1"],["1699999920000","0.1","0.4","0.1","0.3","0.005","1"]]},"time":1}',
            False,
        ),
        (
            "gate",
            '[["1699999920","9","0.3","0.4","0.1","0.1","0.005","true"],["1699999980","9","3","4","0.9","1","0.007","true"]]',
            True,
        ),
        (
            "upbit",
            '[{"market":"USDT-BTC","candle_date_time_utc":"2023-11-14T22:13:00","candle_date_time_kst":"2023-11-15T07:13:00",'
            '"opening_price":1,"high_price":4,"low_price":0.9,"trade_price":3,"timestamp":0,"candle_acc_trade_price":1,'
            '"candle_acc_trade_volume":0.007,"unit":1},'
            '{"market":"USDT-BTC","candle_date_time_utc":"2023-11-14T22:12:00","opening_price":0.1,"high_price":0.4,'
            '"low_price":0.1,"trade_price":0.3,"timestamp":0,"candle_acc_trade_volume":5e-3,"unit":1}]',
            False,
        ),
        (
            "coinone",
            '{"result":"success","error_code":"0","is_last":false,"chart":[{"timestamp":1699999980000,"open":"1","high":"4",'
            '"low":"0.9","close":"3","target_volume":"0.007","quote_volume":"1"},{"timestamp":1699999920000,"open":"0.1",'
            '"high":"0.4","low":"0.1","close":"0.3","target_volume":"0.005","quote_volume":"1"}]}',
            False,
        ),
    ],
)
def test_candles_come_oldest_first(name: str, body: str, closed: bool) -> None:
    found = told(adapter(name).decode_candles("BTCUSDT", 60, body.encode()))
    assert found == [line.replace("open", "closed") if closed else line for line in CANDLES]


@pytest.mark.parametrize(
    ("name", "body", "seq"),
    [
        ("binance", '{"lastUpdateId":7,"bids":[["1.5","2"],["1.4","1"]],"asks":[["1.6","3"]]}', 7),
        ("binance_usdm", '{"lastUpdateId":7,"E":2,"T":0,"bids":[["1.5","2"],["1.4","1"]],"asks":[["1.6","3"]]}', 7),
        (
            "okx",
            '{"code":"0","msg":"","data":[{"asks":[["1.6","3","0","1"]],"bids":[["1.5","2","0","1"],["1.4","1","0","1"]],"ts":"0","seqId":7}]}',
            7,
        ),
        ("bybit", '{"retCode":0,"retMsg":"OK","result":{"s":"BTCUSDT","b":[["1.5","2"],["1.4","1"]],"a":[["1.6","3"]],"ts":0,"u":7,"seq":9}}', 7),
        ("gate", '{"id":7,"current":0,"update":0,"bids":[["1.5","2"],["1.4","1"]],"asks":[["1.6","3"]]}', 7),
        (
            "bithumb",
            '[{"market":"USDT-BTC","timestamp":0,"orderbook_units":[{"ask_price":1.6,"bid_price":1.5,"ask_size":3,"bid_size":2},'
            '{"ask_price":0,"bid_price":1.4,"ask_size":0,"bid_size":1}]}]',
            0,
        ),
        (
            "coinone",
            '{"result":"success","error_code":"0","timestamp":0,"id":"7","bids":[{"price":"1.5","qty":"2"},{"price":"1.4","qty":"1"}],"asks":[{"price":"1.6","qty":"3"}]}',
            7,
        ),
    ],
)  # fmt: skip
def test_books_by_rest(name: str, body: str, seq: int) -> None:
    found = adapter(name).decode_snapshot("BTCUSDT", body.encode())
    assert told([found]) == [f"BTCUSDT book {seq}: 2000@15 1000@14 | 3000@16 at 0"]


@pytest.mark.parametrize(
    ("name", "body", "listed"),
    [
        (
            "binance",
            '{"symbols":[{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT","filters":['
            '{"filterType":"PRICE_FILTER","tickSize":"0.01"},{"filterType":"LOT_SIZE","stepSize":"0.00001"},'
            '{"filterType":"NOTIONAL","minNotional":"5"}]}]}',
            ("BTCUSDT", "0.01", "0.00001", "5", "TRADING", True),
        ),
        (
            "binance_usdm",
            '{"symbols":[{"symbol":"BTCUSDT_260327","contractType":"CURRENT_QUARTER","status":"TRADING","baseAsset":"BTC",'
            '"quoteAsset":"USDT","filters":[]},{"symbol":"BTCUSDT","contractType":"PERPETUAL","status":"BREAK","baseAsset":"BTC",'
            '"quoteAsset":"USDT","filters":[{"filterType":"MIN_NOTIONAL","notional":"100"}]}]}',
            ("BTCUSDT", None, None, "100", "BREAK", False),
        ),
        (
            "okx",
            '{"code":"0","msg":"","data":[{"instId":"BTC-USDT","baseCcy":"BTC","quoteCcy":"USDT","tickSz":"0.1","lotSz":"0.00000001","state":"live"}]}',
            ("BTC-USDT", "0.1", "1E-8", None, "live", True),
        ),
        (
            "bybit",
            '{"retCode":0,"retMsg":"OK","result":{"category":"spot","list":[{"symbol":"BTCUSDT","baseCoin":"BTC","quoteCoin":"USDT",'
            '"status":"Trading","lotSizeFilter":{"basePrecision":"0.000001","minOrderAmt":"5"},"priceFilter":{"tickSize":"0.01"}}]}}',
            ("BTCUSDT", "0.01", "0.000001", "5", "Trading", True),
        ),
        (
            "gate",
            '[{"id":"BTC_USDT","base":"BTC","quote":"USDT","amount_precision":6,"precision":1,"trade_status":"untradable","min_quote_amount":"3"}]',
            ("BTC_USDT", "0.1", "0.000001", "3", "untradable", False),
        ),
        (
            "upbit",
            '[{"market":"USDT-BTC","korean_name":"x","english_name":"Bitcoin","market_event":{"warning":true,"caution":{}}}]',
            ("USDT-BTC", None, None, None, "WARNING", True),
        ),
        ("bithumb", '[{"market":"USDT-BTC","market_warning":"NONE"}]', ("USDT-BTC", None, None, None, "", True)),
        (
            "coinone",
            '{"result":"success","markets":[{"quote_currency":"USDT","target_currency":"BTC","trade_status":1,"maintenance_status":0,'
            '"price_unit":"10000.0","qty_unit":"0.00000001","min_order_amount":"5000.0"}]}',
            ("USDT-BTC", "10000.0", "0.00000001", "5000.0", "trade 1, maintenance 0", True),
        ),
    ],
)
def test_listings(name: str, body: str, listed: tuple[str, str | None, str | None, str | None, str, bool]) -> None:
    code, tick, lot, notional, status, trading = listed
    want = VenueSymbol(code, "BTC", "USDT", number(tick), number(lot), number(notional), status, trading)
    assert adapter(name).decode_symbols(body.encode()) == [want]
    assert want.symbol == "BTCUSDT"


def number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("binance", '{"code":-1121,"msg":"Invalid symbol."}', "binance: Object missing required field `lastUpdateId`"),
        ("okx", '{"code":"51001","msg":"Instrument ID does not exist","data":[]}', "okx: 51001 Instrument ID does not exist"),
        ("okx", '{"code":"0","msg":"","data":[]}', "okx: data holds 0 books"),
        ("bybit", '{"retCode":10001,"retMsg":"Not supported symbols","result":{}}', "bybit: 10001 Not supported symbols"),
        ("gate", '{"label":"INVALID_CURRENCY_PAIR","message":"Invalid"}', "gate: Object missing required field `id`"),
        ("upbit", '{"error":{"name":404,"message":"Code not found"}}', "upbit: 404 Code not found"),
        ("bithumb", "<html>", "bithumb: JSON is malformed"),
        ("coinone", '{"result":"error","error_code":"108","error_msg":"Unknown CryptoCurrency"}', "coinone: Unknown CryptoCurrency"),
        ("coinone", '{"result":"success","bids":[{"price":"-1","qty":"1"}]}', "coinone: price '-1' is out of range"),
    ],
)  # fmt: skip
def test_refusals_by_rest(name: str, body: str, message: str) -> None:
    with pytest.raises(VenueError) as raised:
        adapter(name).decode_snapshot("BTCUSDT", body.encode())
    assert str(raised.value).startswith(message)
