"""Symbols of venues and recordings as instruments: filters, scales, names, and a place for life."""

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from actors import instruments_file
from actors.config import Settings
from market.instrument import INT_LIMIT, assets_of
from market.ledger import Ledger
from market.listing import BadListing, Listing, Offer, fitted, initial_amount, listing, offered, pair_of, recorded, seen
from market.recording import Header
from market.universe import instruments
from market.venues.adapter import VenueSymbol
from market.venues.events import Steps

FINEST = "0.00000001"


def offer(base: str, quote: str, tick: str, lot: str, venue: str = "binance", is_open: bool = True) -> Offer:
    symbol = VenueSymbol(base + quote, base, quote, Decimal(tick), Decimal(lot), None, "", is_open)
    return offered(venue, symbol, Steps(Decimal(tick), Decimal(lot), symbol.code))


MANY = [
    offer("BTC", "USDT", "0.01000000", "0.00001000"),
    offer("SHIB", "USDT", FINEST, "1"),
    offer("ETH", "BTC", "0.00001", "0.0001"),
    offer("DOGE", "USDT", "0.00001", "0.000001"),
    offer("BTC", "IDR", "1", "0.00001"),
    offer("USDT", "KRW", "1", FINEST),
    offer("BTC", "KRW", "1000", FINEST),
]


def names(found: Listing) -> list[str]:
    return [one.symbol for one in found.instruments()]


def test_every_amount_is_exact_and_far_from_overflow() -> None:
    found = listing("venues", MANY).instruments()
    Ledger(found, 0, 1)
    scales = {one.name: one.scale for one in assets_of(found)}
    assert scales["USDT"] == 8
    assert scales["KRW"] == 5
    for one in found:
        assert one.max_qty_lots * one.base_units_per_lot < INT_LIMIT // 1000
        assert one.max_notional_units < INT_LIMIT // 1000
        assert one.quote_units_per_tick_lot * 100_000 * one.max_qty_lots < INT_LIMIT
        assert initial_amount(one.quote.name) * 10**one.quote.scale <= 10**13
        assert 0 < one.min_notional_units < one.max_notional_units


def test_a_lot_too_fine_for_exact_amounts_is_coarser_here_and_in_the_grid_to_decode_to() -> None:
    doge = listing("venues", MANY).listed[3]
    assert doge.instrument.lot == doge.steps.lot == Decimal("0.001")
    assert doge.steps.code == "DOGEUSDT"


def test_the_first_venue_has_plain_names_and_stays_the_first() -> None:
    two = [offer("BTC", "USDT", "0.01", "0.00001"), offer("BTC", "USDT", "0.1", "0.0001", "okx")]
    found = listing("venues", two)
    assert names(found) == ["BTCUSDT", "BTCUSDT.OKX"]
    assert found.ids("okx") == {"BTCUSDT": 1}
    assert found.steps("okx")["BTCUSDT"].tick == Decimal("0.1")
    more = listing("venues", [offer("ETH", "USDT", "0.1", "0.0001", "okx"), *reversed(two)], found)
    assert names(more) == ["BTCUSDT", "BTCUSDT.OKX", "ETHUSDT.OKX"]


def test_symbols_are_only_appended_and_never_changed() -> None:
    before = listing("venues", MANY)
    changed = [offer("LTC", "USDT", "0.00001", "0.000001"), offer("SHIB", "USDT", "0.0000001", "10")]
    after = listing("venues", changed, before)
    assert after.instruments()[: len(MANY)] == before.instruments()
    assert assets_of(after.instruments())[: len(assets_of(before.instruments()))] == assets_of(before.instruments())
    assert names(after)[-1] == "LTCUSDT"
    assert after.listed[-1].instrument.lot == Decimal("0.001")
    assert set(after.ids("binance")) == {"LTCUSDT", "SHIBUSDT"}
    assert after.reference == before.reference == "USDT"


def test_a_symbol_is_open_again_when_its_venue_lists_it_again() -> None:
    first = listing("venues", MANY[:2])
    closed = listing("venues", [MANY[0], offer("SHIB", "USDT", FINEST, "1", is_open=False)], first)
    assert closed.ids("binance") == {"BTCUSDT": 0}
    assert listing("venues", MANY[:2], closed) == first


def test_what_the_api_cannot_tell_is_left_out() -> None:
    odd = [MANY[0], offer("币安人生", "USDT", "0.0001", "1"), offer("PEPE", "USDT", "0.0000000001", "1")]
    assert names(listing("venues", [*odd, offer("1000SHIB", "USDT", "0.1", "1", "binance_usdm")])) == ["BTCUSDT"]
    with pytest.raises(BadListing, match="nothing trades"):
        listing("venues", odd[1:])


def test_equity_is_told_in_the_asset_most_symbols_trade_against() -> None:
    assert listing("venues", [offer("USDT", "KRW", "1", "0.01"), offer("BTC", "KRW", "1", "0.01")]).reference == "KRW"
    assert listing("venues", [offer("BTC", "USDC", "0.01", "0.001")]).reference == "USDC"


@pytest.mark.parametrize(
    ("name", "pair"),
    [
        ("BTCUSDT", ("BTC", "USDT")),
        ("BTCFDUSD", ("BTC", "FDUSD")),
        ("ETHBTC", ("ETH", "BTC")),
        ("LAMBKRW", ("LAMB", "KRW")),
        ("AAPL", ("AAPL", "USD")),
        ("USDT", ("USDT", "USD")),
    ],
)
def test_a_name_is_split_at_the_longest_known_quote_asset(name: str, pair: tuple[str, str]) -> None:
    assert pair_of(name) == pair


def test_a_recording_tells_its_pairs_and_old_ones_are_still_read() -> None:
    steps = Steps(Decimal("0.01"), Decimal("0.001"), "", "AB", "CUSDT")
    header = Header(venue="binance", symbols={"ABCUSDT": steps}, created_ns=1)
    assert msgspec.json.decode(msgspec.json.encode(header), type=Header) == header
    assert recorded("binance", "ABCUSDT", steps).quote == "CUSDT"
    old = b'{"venue":"binance","symbols":{"ABCUSDT":{"tick":"0.01","lot":"0.001"}},"created_ns":1}'
    read = msgspec.json.decode(old, type=Header)
    assert recorded("binance", "ABCUSDT", read.symbols["ABCUSDT"]).quote == "USDT"


def test_where_nobody_tells_steps_a_book_shows_them() -> None:
    finest = Steps(Decimal(FINEST), Decimal(FINEST))
    prices = [150_123_000 * 10**8, 150_124_000 * 10**8]
    assert fitted(finest, prices, [12_345_000, 500]).tick == 1000
    steps, price = seen(finest, prices, [12_345_000, 500])
    assert (steps.tick, steps.lot, price) == (Decimal(100), Decimal("0.000001"), Decimal(150_124_000))
    made = listing("venues", [Offer(venue="upbit", symbol="BTCKRW", base="BTC", quote="KRW", steps=steps, price=price)])
    one = made.instruments()[0]
    assert (one.start_price_ticks, one.max_price_ticks) == (1_501_240, 10**9)
    assert one.max_price_ticks * one.max_qty_lots * one.quote_units_per_tick_lot < INT_LIMIT
    assert seen(finest, [], []) == (finest, None)


def test_the_stored_document_is_what_settings_trade(tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path), run_dir="", pg_dsn="", redis_url="", symbols=2)
    assert settings.instruments() == instruments(2)
    assert (settings.reference_asset, settings.initial_quote) == ("USDT", 100_000)
    found = listing("venues", [offer("BTC", "KRW", "1000", FINEST)])
    instruments_file.write(str(tmp_path), found)
    assert settings.listing() == found
    assert settings.instruments() == found.instruments()
    assert (settings.reference_asset, settings.initial_quote) == ("KRW", 100_000_000)
    instruments_file.write(str(tmp_path), listing("venues", MANY, found))
    assert len(settings.instruments()) == 1 + len(MANY) - 1
    (tmp_path / instruments_file.NAME).write_text("{}")
    with pytest.raises(instruments_file.BadInstrumentsFile, match="restore it"):
        settings.instruments()
