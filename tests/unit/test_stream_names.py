"""The grammar of stream names."""

import pytest

from market.intervals import HOUR_NS, INTERVALS, Interval
from market.stream_names import SILENT, Channel, Stream, looks_like_stream, stream_of


@pytest.mark.parametrize(
    ("name", "stream"),
    [
        ("btcusdt@trade", Stream(Channel.TRADE, "BTCUSDT")),
        ("btcusdt@aggTrade", Stream(Channel.AGG_TRADE, "BTCUSDT")),
        ("btcusdt@bookTicker", Stream(Channel.BOOK_TICKER, "BTCUSDT")),
        ("btcusdt@miniTicker", Stream(Channel.MINI_TICKER, "BTCUSDT")),
        ("btcusdt@ticker", Stream(Channel.TICKER, "BTCUSDT")),
        ("btcusdt@ticker_4h", Stream(Channel.WINDOW_TICKER, "BTCUSDT", window="4h")),
        ("btcusdt@avgPrice", Stream(Channel.AVG_PRICE, "BTCUSDT")),
        ("btcusdt@depth", Stream(Channel.DIFF, "BTCUSDT", 1000)),
        ("btcusdt@depth@100ms", Stream(Channel.DIFF, "BTCUSDT", 100)),
        ("btcusdt@depth@1000ms", Stream(Channel.DIFF, "BTCUSDT", 1000)),
        ("btcusdt@depth20", Stream(Channel.PARTIAL, "BTCUSDT", 1000, 20)),
        ("btcusdt@depth5@100ms", Stream(Channel.PARTIAL, "BTCUSDT", 100, 5)),
        ("!miniTicker@arr", Stream(Channel.MINI_TICKER)),
        ("!miniTicker@arr@1000ms", Stream(Channel.MINI_TICKER)),
        ("!ticker@arr", Stream(Channel.TICKER)),
        ("!ticker_1d@arr", Stream(Channel.WINDOW_TICKER, window="1d")),
        ("btcusdt@kline_1s", Stream(Channel.KLINE, "BTCUSDT", 1000, interval=Interval("1s"))),
        ("btcusdt@kline_1M@+08:00", Stream(Channel.KLINE, "BTCUSDT", 2000, interval=Interval("1M", 8 * HOUR_NS))),
    ],
)
def test_names_ask_for_what_they_say(name: str, stream: Stream) -> None:
    assert looks_like_stream(name)
    assert stream_of(name) == stream


@pytest.mark.parametrize("interval", INTERVALS)
def test_every_interval_has_its_stream(interval: str) -> None:
    assert stream_of(f"ethusdt@kline_{interval}").interval == Interval(interval)


@pytest.mark.parametrize(
    "name",
    ["btcusdt@blockTrade", "btcusdt@referencePrice", "BTCUSDT@trade", "btcusdt@kline_2m", "btcusdt@kline_1m@+09:00",
     "btcusdt@depth7", "btcusdt@depth@200ms", "btcusdt@trade@100ms", "btcusdt@ticker_2h", "!bookTicker@arr",
     "!ticker_2h@arr", "!miniTicker@arr@5ms", "!ticker_1h@arr@1000ms", "btcusdt@diff", "btcusdt@silent", "btcusdt@windowTicker"],
)  # fmt: skip
def test_other_names_of_the_right_shape_are_silent(name: str) -> None:
    assert looks_like_stream(name)
    assert stream_of(name) == SILENT


@pytest.mark.parametrize(
    "name", ["", "0", "1", "btcusdt", "@@@x###", "a b@trade", "x" * 200 + "@trade", "btcusdt@", "é@trade"]
)
def test_what_is_no_stream(name: str) -> None:
    assert not looks_like_stream(name)
