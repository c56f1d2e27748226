"""`--feed`: what can be said, what comes of it, and what is answered to the rest."""

import pytest

from market.feed_spec import BadFeed, FeedSpec, Nobody, Replay, Simulated, Venues, VenueSpec, parse, sockets_of, venues

SAID: dict[str, FeedSpec] = {
    "simulated": Simulated(),
    "none": Nobody(),
    "binance": Venues((VenueSpec("binance"),)),
    "binance:quote=USDC": Venues((VenueSpec("binance", ("USDC",)),)),
    "binance:quote=USDC+USDT:symbols=BTCEUR": Venues((VenueSpec("binance", ("USDC", "USDT"), ("BTCEUR",)),)),
    "binance:symbols=BTCUSDT+ETHUSDT,upbit": Venues(
        (VenueSpec("binance", (), ("BTCUSDT", "ETHUSDT")), VenueSpec("upbit"))
    ),
    "upbit:symbols=KRW-BTC": Venues((VenueSpec("upbit", (), ("KRW-BTC",)),)),
    "okx:symbols=BTCUSDT:ws=ws://127.0.0.1:81/ws:rest=http://127.0.0.1:81": Venues(
        (VenueSpec("okx", (), ("BTCUSDT",), "ws://127.0.0.1:81/ws", "http://127.0.0.1:81"),)
    ),
    "replay:/a/b.rec": Replay(("/a/b.rec",)),
    "replay:/a/b:quote=c.rec,d.rec": Replay(("/a/b:quote=c.rec", "d.rec")),
}


@pytest.mark.parametrize("text", SAID)
def test_what_is_said_is_understood_and_told_again(text: str) -> None:
    assert parse(text) == SAID[text]
    assert str(parse(text)) == text


def test_case_and_blanks_do_not_matter() -> None:
    assert parse(" Binance:Quote=usdc , UPBIT ") == parse("binance:quote=USDC,upbit")
    assert parse("Simulated") == Simulated()


@pytest.mark.parametrize(
    ("text", "part", "advice"),
    [
        ("", "''", "simulated, none, replay:FILE"),
        ("binanse", "binanse", "Did you mean binance?"),
        ("binance,", "''", "upbit"),
        ("binance:USDC", "'USDC'", "quote="),
        ("binance:qoute=USDC", "'qoute=USDC'", "quote="),
        ("binance:quote=", "quote=", "quote=USDC"),
        ("binance:quote=US DC", "US DC", "joined by +"),
        ("binance:symbols=BTCUSDT:symbols=ETHUSDT", "symbols", "symbols=BTCUSDT+ETHUSDT"),
        ("binance:quote=USDC,binance:quote=USDT", "binance is named twice", "quote=USDC+USDT"),
        ("binance:ws=http://localhost", "ws=http://localhost", "wss://"),
        ("simulated,binance", "simulated", "stands alone"),
        ("binance,replay:a", "replay", "stands alone"),
        ("okx_business", "okx_business", "okx"),
        ("replay:", "names no recording", "replay:FILE"),
        ("replay:a,a", "twice", "--loop"),
    ],
)
def test_what_cannot_be_read_is_named_with_what_is_possible(text: str, part: str, advice: str) -> None:
    with pytest.raises(BadFeed) as told:
        parse(text)
    assert "feed: " in str(told.value)
    assert part in str(told.value)
    assert advice in str(told.value)


def test_a_venue_is_all_its_sockets() -> None:
    assert sockets_of("binance") == ("binance",)
    assert sockets_of("okx") == ("okx",)
    assert sockets_of("binance_usdm") == ("binance_usdm", "binance_usdm_market")
    assert "binance_usdm_market" not in venues()
