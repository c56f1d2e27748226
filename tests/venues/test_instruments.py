"""What a start asks of venues and recordings before anything runs: symbols, steps, and what when they do not answer."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest

from deploy import instruments
from deploy.errors import FeedUnusable
from deploy.instruments import Prepared, keep
from market.event_codec import encode_event
from market.feed_spec import parse
from market.recording import Header, Writer
from market.venues.events import Steps, Trade
from tests.venues.fake_venue import FakeVenue
from tests.venues.test_recording_command import binance, upbit

DEAF = "binance:rest=http://127.0.0.1:9"
"""Nothing listens there."""
UPBIT_BOOK: Final = (
    b'[{"market":"KRW-LAMB","timestamp":1790000000000,"orderbook_units":['
    b'{"ask_price":150.3,"bid_price":150.1,"ask_size":2.5,"bid_size":0.0125},'
    b'{"ask_price":151.0,"bid_price":150.0,"ask_size":12.0,"bid_size":1.0003}]}]'
)


@contextmanager
def served(venue: FakeVenue) -> Iterator[FakeVenue]:
    """In a thread: a start has an event loop of its own."""
    loop, ready, over = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with venue.running():
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    ready.wait()
    try:
        yield venue
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


def prepare(feed: str, data: Path) -> Prepared:
    found = instruments.prepare(parse(feed), data, lambda what: None)
    keep(data, found)
    return found


def names(found: Prepared) -> list[str]:
    assert found.listing is not None
    return [one.instrument.symbol for one in found.listing.listed if one.is_open]


def test_a_venue_is_asked_for_its_symbols(tmp_path: Path) -> None:
    with served(binance()) as venue:
        feed = f"binance:rest={venue.url}"
        assert names(prepare(f"{feed}:quote=USDC:symbols=BTCUSDT", tmp_path)) == ["BTCUSDT", "ETHUSDC"]
        everything = prepare(feed, tmp_path)
        assert names(everything)[:2] == ["BTCUSDT", "ETHUSDC"]
        assert len(names(everything)) == 402
        with pytest.raises(FeedUnusable, match=r"does not list BTCUSTD.*Did you mean BTCUSDT"):
            prepare(f"{feed}:symbols=BTCUSTD", tmp_path)


def test_an_unknown_quote_asset_is_told_with_the_known_ones(tmp_path: Path) -> None:
    with (
        served(binance()) as venue,
        pytest.raises(FeedUnusable, match="nothing trades against EUR at binance; it has DAIX, USDC, USDT"),
    ):
        prepare(f"binance:rest={venue.url}:quote=EUR", tmp_path)


def test_a_venue_without_steps_shows_them_in_its_book(tmp_path: Path) -> None:
    venue = upbit()
    rest = venue.tape.rest
    venue.tape.rest = lambda path: UPBIT_BOOK if "orderbook" in path else rest(path)  # type: ignore[method-assign]
    with served(venue):
        found = prepare(f"upbit:rest={venue.url}", tmp_path)
    assert found.warnings == ()
    assert found.listing is not None
    (one,) = found.listing.listed
    assert found.listing.reference == "KRW"
    assert one.steps.code == "KRW-LAMB"
    assert (one.steps.tick, one.steps.lot) == (Decimal("0.01"), Decimal("0.001"))
    assert one.instrument.start_price_ticks == 15030


def test_a_venue_that_shows_no_book_either_says_so(tmp_path: Path) -> None:
    with served(upbit()) as venue, pytest.raises(FeedUnusable, match=r"nothing trades there\. upbit tells no steps"):
        prepare(f"upbit:rest={venue.url}", tmp_path)


def test_a_venue_that_does_not_answer_ends_a_first_start_and_is_a_warning_later(tmp_path: Path) -> None:
    with pytest.raises(FeedUnusable, match=r"did not list its symbols.*binance:rest=URL"):
        prepare(DEAF, tmp_path)
    with served(binance()) as venue:
        before = prepare(f"binance:symbols=BTCUSDT+ETHUSDC:rest={venue.url}", tmp_path)
    after = prepare(DEAF, tmp_path)
    assert after.listing == before.listing
    assert "Those listed here before" in after.warnings[0]
    assert names(prepare(f"{DEAF}:quote=USDC", tmp_path)) == ["ETHUSDC"]
    assert names(prepare(DEAF, tmp_path)) == ["BTCUSDT", "ETHUSDC"]


def test_the_kind_of_market_is_for_life(tmp_path: Path) -> None:
    with served(binance()) as venue:
        feed = f"binance:symbols=BTCUSDT:rest={venue.url}"
        prepare(feed, tmp_path)
        for other in ("simulated", f"replay:{tmp_path}/none"):
            with pytest.raises(FeedUnusable, match="cannot change"):
                prepare(other, tmp_path)
        assert names(prepare("none", tmp_path)) == ["BTCUSDT"]


def recording(path: Path, name: str, finest: bool) -> Path:
    steps = Steps(Decimal("0.00000001"), Decimal("0.00000001")) if finest else Steps(Decimal("0.01"), Decimal("0.001"))
    with path.open("wb") as file:
        writer = Writer.create(file, Header(venue="nasdaq", symbols={name: steps}, created_ns=1))
        for k in range(20):
            price, qty = Decimal("61000.01") + k, Decimal("0.001") * (k + 1)
            writer.event(k, encode_event(Trade(name, k, str(k), int(price / steps.tick), int(qty / steps.lot), False)))
        writer.close()
    return path


def test_recordings_tell_their_symbols(tmp_path: Path) -> None:
    first, second = recording(tmp_path / "a.rec", "BTCUSDT", True), recording(tmp_path / "b.rec", "ETHUSDT", False)
    found = prepare(f"replay:{first}", tmp_path)
    assert names(found) == ["BTCUSDT"]
    assert found.listing is not None
    one = found.listing.listed[0]
    assert (one.steps.tick, one.steps.lot) == (Decimal("0.001"), Decimal("0.001"))
    assert one.instrument.start_price_ticks * one.instrument.tick == Decimal("61010.01")
    assert names(prepare(f"replay:{first},{second}", tmp_path)) == ["BTCUSDT", "ETHUSDT"]


def test_a_file_that_is_no_recording_is_named(tmp_path: Path) -> None:
    odd = tmp_path / "odd"
    odd.write_bytes(b"nothing of ours")
    with pytest.raises(FeedUnusable, match="odd: not a recording"):
        prepare(f"replay:{odd}", tmp_path)
    with pytest.raises(FeedUnusable, match="missing: No such file"):
        prepare(f"replay:{tmp_path}/missing", tmp_path)
