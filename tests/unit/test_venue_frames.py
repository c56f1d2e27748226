"""Market tables: a frame as the venue documents it, and the events it means."""

from decimal import Decimal

import pytest

from market.venues.events import Steps
from tests.unit.venue_tables import TENTH, adapter, told

MS = 1_700_000_000_000
WON = Steps(Decimal(1000), Decimal("0.0001"))


@pytest.mark.parametrize(
    ("frame", "lines"),
    [
        (
            '{"topic":"orderbook.50.BTCUSDT","type":"snapshot","ts":1700000000123,"data":{"s":"BTCUSDT",'
            '"b":[["100.5","2"],["100.4","0.5"]],"a":[["100.6","1"]],"u":18521288,"seq":7961638724},"cts":1700000000120}',
            ["BTCUSDT book 18521288: 2000@1005 500@1004 | 1000@1006 at 1700000000120000000"],
        ),
        (
            '{"topic":"orderbook.50.BTCUSDT","type":"delta","ts":1700000000143,"data":{"s":"BTCUSDT",'
            '"b":[["100.4","0"]],"a":[["100.7","1.4"]],"u":18521289,"seq":7961638725},"cts":1700000000140}',
            ["BTCUSDT delta 18521289-18521289 after -1: 0@1004 | 1400@1007 at 1700000000140000000"],
        ),
        (  # a service that started again
            '{"topic":"orderbook.200.BTCUSDT","type":"delta","ts":1700000000143,"data":{"s":"BTCUSDT",'
            '"b":[["100.4","1"]],"a":[],"u":1,"seq":1}}',
            ["BTCUSDT delta 1-1 after -1: 1000@1004 | - at 1700000000143000000"],
        ),
        (
            '{"topic":"orderbook.1.BTCUSDT","type":"snapshot","ts":1700000000123,"data":{"s":"BTCUSDT",'
            '"b":[["100.5","2"]],"a":[],"u":7,"seq":9},"cts":1700000000120}',
            ["BTCUSDT quote 2000@1005 | 0@0 at 1700000000120000000"],
        ),
        (
            '{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1700000000868,"data":['
            '{"T":1700000000865,"s":"BTCUSDT","S":"Buy","v":"0.001","p":"100.50","L":"PlusTick","i":"20f43950-d8dd","BT":false},'
            '{"T":1700000000866,"s":"BTCUSDT","S":"Sell","v":"0.002","p":"100.40","i":"2290000000061666327","BT":false,"RPI":false}]}',
            [
                "BTCUSDT BUY 1@1005 #20f43950-d8dd at 1700000000865000000",
                "BTCUSDT SELL 2@1004 #2290000000061666327 at 1700000000866000000",
            ],
        ),
        (
            '{"topic":"kline.1.BTCUSDT","data":[{"start":1699999980000,"end":1700000039999,"interval":"1","open":"100",'
            '"close":"100.5","high":"101","low":"99.9","volume":"2.081","turnover":"34666.4","confirm":false,'
            '"timestamp":1700000000882}],"ts":1700000000882,"type":"snapshot"}',
            ["BTCUSDT candle 1699999980+60: 1000 1010 999 1005 volume 2081 open"],
        ),
        (  # other order of the members
            '{"type":"snapshot","topic":"publicTrade.BTCUSDT","ts":1700000000868,"data":[]}',
            [],
        ),
        ('{"success":true,"ret_msg":"subscribe","conn_id":"ce3d","req_id":"","op":"subscribe"}', []),
        ('{"success":true,"ret_msg":"pong","conn_id":"0970e817","op":"ping"}', ["* pong"]),
        ('{"op":"pong","args":["1672916271846"],"conn_id":"cfsb"}', ["* pong"]),
        (
            '{"success":false,"ret_msg":"Invalid symbol :[orderbook.50.NOPEUSDT]","conn_id":"x","op":"subscribe"}',
            ["* unknown_symbol: bybit: Invalid symbol :[orderbook.50.NOPEUSDT]"],
        ),
        (
            '{"success":false,"ret_msg":"error:handler not found,topic:orderbook.50.BTCUSDT","conn_id":"x","op":"subscribe"}',
            ["BTCUSDT unknown_symbol: bybit: error:handler not found,topic:orderbook.50.BTCUSDT"],
        ),
    ],
)
def test_bybit(frame: str, lines: list[str]) -> None:
    assert told(adapter("bybit").decode(frame.encode())) == lines


@pytest.mark.parametrize(
    ("frame", "lines"),
    [
        (
            '{"response_type":"DATA","channel":"ORDERBOOK","data":{"quote_currency":"KRW","target_currency":"BTC",'
            '"timestamp":1700000000000,"id":"1700000000000001",'
            '"asks":[{"price":"102000","qty":"0.3"},{"price":"101000","qty":"0.2"}],'
            '"bids":[{"price":"100000","qty":"0.1"},{"price":"99000","qty":"0"}]}}',
            [
                "BTCKRW quote 1000@100 | 2000@101 at 1700000000000000000",
                "BTCKRW book 1700000000000001: 1000@100 | 2000@101 3000@102 at 1700000000000000000",
            ],
        ),
        (
            '{"response_type":"DATA","channel":"TRADE","data":{"quote_currency":"KRW","target_currency":"BTC",'
            '"id":"7","timestamp":1700000000000,"price":"100000","qty":"0.5","is_seller_maker":false}}',
            ["BTCKRW SELL 5000@100 #7 at 1700000000000000000"],
        ),
        (
            '{"response_type":"DATA","channel":"CHART","data":{"quote_currency":"KRW","target_currency":"BTC",'
            '"interval":"1m","timestamp":1700000000010,"id":"1700000000010001","candle_timestamp":1699999980000,'
            '"high":"102000","low":"99000","first":"100000","last":"101000","quote_volume":"5","target_volume":"8"}}',
            ["BTCKRW candle 1699999980+60: 100 102 99 101 volume 0 open"],
        ),
        ('{"channel":"TICKER","response_type":"DATA","data":{}}', []),
        (
            '{"response_type":"SUBSCRIBED","channel":"TRADE","data":{"quote_currency":"KRW","target_currency":"BTC"}}',
            [],
        ),
        (
            '{"response_type":"ERROR","error_code":160012,"message":"Invalid Topic"}',
            ["* unknown_symbol: coinone: 160012 Invalid Topic"],
        ),
    ],
)
def test_coinone(frame: str, lines: list[str]) -> None:
    assert told(adapter("coinone", "BTCKRW", steps=WON).decode(frame.encode())) == lines


@pytest.mark.parametrize("name", ["upbit", "bithumb"])
@pytest.mark.parametrize(
    ("frame", "lines"),
    [
        (  # zero padding, a size below the smallest told, numbers in scientific notation
            '{"type":"orderbook","code":"KRW-BTC","total_ask_size":0.7,"total_bid_size":7.1,"orderbook_units":['
            '{"ask_price":1.16539E8,"bid_price":1.16538E8,"ask_size":5.0E-4,"bid_size":2},'
            '{"ask_price":116541000,"bid_price":116537000.0,"ask_size":0,"bid_size":0.25},'
            '{"ask_price":0,"bid_price":0,"ask_size":0,"bid_size":0}],"level":1,"timestamp":1700000000000,'
            '"stream_type":"SNAPSHOT"}',
            [
                "BTCKRW quote 20000@116538 | 5@116539 at 1700000000000000000",
                "BTCKRW book 0: 20000@116538 2500@116537 | 5@116539 at 1700000000000000000",
            ],
        ),
        (  # microseconds
            '{"type":"orderbook","code":"KRW-BTC","orderbook_units":[],"timestamp":1700000000000001}',
            ["BTCKRW quote 0@0 | 0@0 at 1700000000000001000", "BTCKRW book 0: - | - at 1700000000000001000"],
        ),
        (  # worst first
            '{"ty":"orderbook","cd":"KRW-BTC","tms":1700000000000,"obu":['
            '{"ap":102000,"bp":99000,"as":1,"bs":1},{"ap":101000,"bp":100000,"as":1,"bs":1}],"st":"REALTIME"}',
            [
                "BTCKRW quote 10000@100 | 10000@101 at 1700000000000000000",
                "BTCKRW book 0: 10000@100 10000@99 | 10000@101 10000@102 at 1700000000000000000",
            ],
        ),
        (
            '{"type":"trade","code":"KRW-BTC","timestamp":1700000000400,"trade_timestamp":1700000000000,'
            '"trade_price":100000,"trade_volume":0.5,"ask_bid":"ASK","sequential_id":"17866130860480000",'
            '"stream_type":"REALTIME"}',
            ["BTCKRW SELL 5000@100 #17866130860480000 at 1700000000000000000"],
        ),
        (
            '{"ty":"trade","cd":"KRW-BTC","tms":1700000000400,"ttms":1700000000000,"tp":1.0E5,"tv":0.5,"ab":"BID",'
            '"sid":1079953210371761700,"st":"REALTIME"}',
            ["BTCKRW BUY 5000@100 #1079953210371761700 at 1700000000000000000"],
        ),
        (
            '{"type":"candle.1m","code":"KRW-BTC","candle_date_time_utc":"2023-11-14T22:13:00",'
            '"candle_date_time_kst":"2023-11-15T07:13:00","opening_price":100000,"high_price":102000,"low_price":99000,'
            '"trade_price":101000,"candle_acc_trade_volume":1.5,"candle_acc_trade_price":1,"timestamp":1700000000000,'
            '"stream_type":"REALTIME"}',
            ["BTCKRW candle 1699999980+60: 100 102 99 101 volume 15000 open"],
        ),
        (
            '{"ty":"candle.1s","cd":"KRW-BTC","cdttmu":"2023-11-14T22:13:20","cdttmk":"2023-11-15T07:13:20","op":100000,'
            '"hp":102000,"lp":99000,"tp":101000,"catv":1.5,"catp":1,"tms":1700000000000,"st":"REALTIME"}',
            ["BTCKRW candle 1700000000+1: 100 102 99 101 volume 15000 open"],
        ),
        ('{"code":"KRW-BTC","type":"ticker"}', []),
        ('{"status":"UP"}', ["* pong"]),
    ],
)
def test_upbit_and_bithumb(name: str, frame: str, lines: list[str]) -> None:
    assert told(adapter(name, "BTCKRW", steps=WON).decode(frame.encode())) == lines


@pytest.mark.parametrize(
    ("name", "frame", "lines"),
    [
        (
            "binance",
            '{"stream":"btcusdt@kline_1m","data":{"e":"kline","E":1700000000001,"s":"BTCUSDT","k":{"t":1699999980000,'
            '"T":1700000039999,"s":"BTCUSDT","i":"1m","f":1,"L":2,"o":"100.0","c":"100.5","h":"101","l":"99.9",'
            '"v":"2","n":3,"x":true,"q":"1","V":"1","Q":"1","B":"0"}}}',
            ["BTCUSDT candle 1699999980+60: 1000 1010 999 1005 volume 2000 closed"],
        ),
        (
            "binance_usdm_market",
            '{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1700000000002,"s":"BTCUSDT","a":26129,"p":"100.5",'
            '"q":"0.1","f":100,"l":105,"T":1700000000001,"m":true}}',
            ["BTCUSDT SELL 100@1005 #26129 at 1700000000001000000"],
        ),
        (  # other order of the members
            "binance",
            '{"data":{"u":400900217,"s":"BTCUSDT","b":"100.4","B":"31","a":"100.5","A":"40"},"stream":"btcusdt@bookTicker"}',
            ["BTCUSDT quote 31000@1004 | 40000@1005 at 0"],
        ),
        ("binance", '{"result":null,"id":1}', []),
        (
            "binance",
            '{"error":{"code":2,"msg":"Invalid request: unknown variant"},"id":1}',
            ['* error: binance: {"code":2,"msg":"Invalid request: unknown variant"}'],
        ),
        (
            "okx",
            '{"arg":{"channel":"bbo-tbt","instId":"BTC-USDT"},"data":[{"asks":[["100.6","1","0","2"]],'
            '"bids":[["100.5","2","0","1"]],"ts":"1700000000000","seqId":363996337}]}',
            ["BTCUSDT quote 2000@1005 | 1000@1006 at 1700000000000000000"],
        ),
        (  # nothing changed for a minute: a sign of life
            "okx",
            '{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":[],"bids":[],'
            '"ts":"1700000000000","checksum":0,"prevSeqId":15,"seqId":15}]}',
            ["BTCUSDT delta 15-15 after 15: - | - at 1700000000000000000"],
        ),
        (
            "okx_business",
            '{"arg":{"channel":"candle1m","instId":"BTC-USDT"},"data":[["1699999980000","100","101","99.9","100.5","2",'
            '"200","200","1"]]}',
            ["BTCUSDT candle 1699999980+60: 1000 1010 999 1005 volume 2000 closed"],
        ),
        ("okx", '{"event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"},"connId":"a4d3ae55"}', []),
        ("okx", "pong", ["* pong"]),
        (
            "okx",
            '{"event":"error","code":"60018","msg":"Wrong URL or channel:books,instId:NOPE-USDT doesn\'t exist.","connId":"a"}',
            ["* unknown_symbol: okx: 60018 Wrong URL or channel:books,instId:NOPE-USDT doesn't exist."],
        ),
        (
            "okx",
            '{"event":"notice","code":"64008","msg":"The connection will soon be closed for a service upgrade.","connId":"a"}',
            ["* notice: okx: 64008 The connection will soon be closed for a service upgrade."],
        ),
        (
            "gate",
            '{"channel":"spot.obu","result":{"t":1700000000000,"full":true,"s":"ob.BTC_USDT.50","u":7,'
            '"b":[["100.5","2"]],"a":[["100.6","1"]]},"time_ms":1700000000001,"event":"update"}',
            ["BTCUSDT book 7: 2000@1005 | 1000@1006 at 1700000000000000000"],
        ),
        (
            "gate",
            '{"channel":"spot.obu","result":{"t":1700000000000,"s":"ob.BTC_USDT.50","U":8,"u":9,"b":[["100.5","0"]]},'
            '"time_ms":1700000000001,"event":"update"}',
            ["BTCUSDT delta 8-9 after -1: 0@1005 | - at 1700000000000000000"],
        ),
        (  # hidden levels changed
            "gate",
            '{"time":1,"time_ms":1,"channel":"spot.obu","event":"update","result":{"t":1700000000000,"s":"ob.BTC_USDT.50",'
            '"U":8,"u":9}}',
            ["BTCUSDT delta 8-9 after -1: - | - at 1700000000000000000"],
        ),
        (
            "gate",
            '{"time":1,"channel":"spot.book_ticker","event":"update","result":{"t":1700000000123,"u":4,"s":"BTC_USDT",'
            '"b":"100.4","B":"3","a":"100.5","A":"0.09"}}',
            ["BTCUSDT quote 3000@1004 | 90@1005 at 1700000000123000000"],
        ),
        (
            "gate",
            '{"time":1,"channel":"spot.candlesticks","event":"update","result":{"t":"1699999980","v":"9","c":"100.5","h":"101",'
            '"l":"99.9","o":"100","n":"1m_BTC_USDT","a":"2","w":true}}',
            ["BTCUSDT candle 1699999980+60: 1000 1010 999 1005 volume 2000 closed"],
        ),
        ("gate", '{"time":1,"channel":"spot.pong","event":"","result":null}', ["* pong"]),
        (
            "gate",
            '{"time":1,"channel":"spot.trades","event":"subscribe","error":{"code":2,"message":"unknown currency pair NOPE_USDT"},"result":{"status":"fail"}}',
            ["* unknown_symbol: gate: 2 unknown currency pair NOPE_USDT"],
        ),
        (
            "gate",
            '{"time":1,"channel":"spot.obu","event":"subscribe","error":{"code":2,"message":"Alert sub ob.BTC_USDT.50"},"result":{"status":"fail"}}',
            ["* error: gate: 2 Alert sub ob.BTC_USDT.50"],
        ),
    ],
)
def test_the_others(name: str, frame: str, lines: list[str]) -> None:
    found = adapter(name, steps=TENTH)
    assert told(found.decode(frame.encode())) == lines
    assert told(found.decode(frame.encode())) == lines, "the second takes the way that the first has shown"
