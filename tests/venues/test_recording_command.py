"""`raypit record` as a process against a fake venue over real sockets: how it ends, and what its file then holds."""

import asyncio
import contextlib
import json
import resource
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import pytest

from deploy.recording_report import Report, report
from market.recording import Reader
from tests.venues.fake_venue import FakeVenue
from tests.venues.tapes import BinanceTape, binance_written, upbit_written

WITHIN_S: Final = 30.0


def listing(*symbols: str) -> bytes:
    """As Binance writes it."""
    filters = [
        {"filterType": "PRICE_FILTER", "tickSize": "0.01000000"},
        {"filterType": "LOT_SIZE", "stepSize": "0.00001000"},
    ]
    listed = [
        {"symbol": one, "status": "TRADING", "baseAsset": one[:-4], "quoteAsset": one[-4:], "filters": filters}
        for one in symbols
    ]
    return json.dumps({"symbols": listed}).encode()


class Listing(BinanceTape):
    def rest(self, path: str) -> bytes | None:
        return (
            listing("BTCUSDT", "ETHUSDC", *(f"C{k}DAIX" for k in range(400)))
            if "exchangeInfo" in path
            else super().rest(path)
        )


def binance() -> FakeVenue:
    tape = binance_written()
    tape.__class__ = Listing
    return FakeVenue(tape)


def upbit() -> FakeVenue:
    tape = upbit_written()
    known = tape.rest
    market = b'[{"market":"KRW-LAMB","korean_name":"","english_name":""}]'
    tape.rest = lambda path: market if "market/all" in path else known(path)  # type: ignore[method-assign]
    return FakeVenue(tape)


@contextlib.asynccontextmanager
async def recorder(
    venue: FakeVenue, name: str, file: Path, *options: str, before: Callable[[], None] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.cli", "record", name, "--out", str(file), "--url-ws", venue.ws_url,
        "--url-rest", venue.url, *options, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        preexec_fn=before,
    )  # fmt: skip
    try:
        async with asyncio.timeout(WITHIN_S):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ended(process: asyncio.subprocess.Process) -> tuple[int, str, str]:
    said, told = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode(), " ".join(told.decode().split())


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110  # another process writes the file
        await asyncio.sleep(0.02)


def examined(file: Path) -> Report:
    return report(file, lambda at, of: None)


def bodies(file: Path) -> list[bytes]:
    with file.open("rb") as opened:
        return [entry.body for entry in Reader(opened).entries()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_a_recording_in_good_order(tmp_path: Path, number: signal.Signals) -> None:
    file = tmp_path / "btc.rpr"
    async with (
        binance().running() as venue,
        recorder(venue, "binance", file, "--symbols", "btcusdt", "--channels", "trade,book") as process,
    ):
        await venue.until_subscribed()
        await venue.play()
        await until(lambda: file.stat().st_size > 2000)  # flushed once: it has heard, not only been sent
        process.send_signal(number)
        status, said, _ = await ended(process)
    assert status == 0
    shown = [cell.strip() for cell in next(line for line in said.splitlines() if "BTCUSDT" in line).split("│")]
    trades = sum("@trade" in said.topic for said in venue.tape.frames)
    assert shown[4:6] == [str(trades), "0"]
    found = examined(file)
    assert (found.ended, found.torn_bytes, found.damaged_blocks, found.gaps) == (True, 0, 0, 0)
    assert (found.venue, found.source, found.stale) == ("binance", "live", 1)
    assert found.kinds["snapshot"] >= 1
    assert found.symbols["BTCUSDT"].tick == "0.01"
    written = set(bodies(file))
    assert all(said.frame in written for said in venue.tape.frames)


async def test_kill_9_leaves_everything_up_to_the_last_block(tmp_path: Path) -> None:
    file = tmp_path / "btc.rpr"
    async with (
        binance().running() as venue,
        recorder(venue, "binance", file, "--symbols", "BTCUSDT", "--channels", "trade,book") as process,
    ):
        await venue.until_subscribed()
        await venue.play(100)
        empty = file.stat().st_size
        await until(lambda: file.stat().st_size > empty)
        flushed = file.stat().st_size
        await venue.play()
        process.kill()
        status, *_ = await ended(process)
    assert status == -signal.SIGKILL
    assert file.stat().st_size >= flushed
    found = examined(file)
    assert (found.ended, found.damaged_blocks, found.gaps) == (False, 0, 0)
    frames = [said.frame for said in venue.tape.frames]
    kept = [body for body in bodies(file) if body in set(frames)]
    assert kept == frames[: len(kept)]
    assert len(kept) >= 50
    with file.open("r+b") as torn:  # a block half written
        torn.truncate(flushed - 7)
    cut = examined(file)
    assert (cut.ended, cut.damaged_blocks) == (False, 0)


async def test_the_time_is_over_and_what_a_venue_does_not_list_is_given(tmp_path: Path) -> None:
    """Upbit lists neither tick nor lot."""
    file = tmp_path / "lamb.rpr"
    async with (
        upbit().running() as venue,
        recorder(venue, "upbit", file, "--quote", "KRW", "--for", "3s", "--tick", "1") as process,
    ):
        await venue.until_subscribed()
        await venue.play()
        status, said, told = await ended(process)
    assert (status, "LAMBKRW" in said) == (0, True), told
    found = examined(file)
    lamb = found.symbols["LAMBKRW"]
    assert (lamb.tick, lamb.lot, lamb.code, lamb.gaps, found.ended) == ("1", "0.00000001", "KRW-LAMB", 0, True)
    assert lamb.trades > 50


async def test_a_lost_connection_is_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "btc.rpr"
    async with (
        binance().running() as venue,
        recorder(venue, "binance", file, "--symbols", "BTCUSDT", "--channels", "trade,book") as process,
    ):
        await venue.until_subscribed()
        await venue.play(50)
        empty = file.stat().st_size
        await until(lambda: file.stat().st_size > empty)
        venue.faults.close_at = {venue.at}
        await venue.play(1)
        await venue.until_subscribed()
        await venue.play(60)
        here = file.stat().st_size
        await until(lambda: file.stat().st_size > here)
        process.send_signal(signal.SIGINT)
        status, said, _ = await ended(process)
    assert (status, "1 reconnects" in said) == (0, True)
    found = examined(file)
    assert (found.stale, found.gaps, found.ended) == (2, 0, True)


async def test_a_full_disk_ends_it_and_what_was_written_is_good(tmp_path: Path) -> None:
    file = tmp_path / "btc.rpr"
    limit = 4000

    def small() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    async with (
        binance().running() as venue,
        recorder(venue, "binance", file, "--symbols", "BTCUSDT", before=small) as process,
    ):
        await venue.until_subscribed()
        while process.returncode is None and venue.at < len(venue.tape.frames):
            await venue.play(20)
            await asyncio.sleep(0.5)
        status, _, told = await ended(process)
    assert status == 1, told
    assert "cannot be written any more: File too large" in told
    found = examined(file)
    assert (found.ended, found.damaged_blocks) == (False, 0)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--symbols", "BTCUSD"), "binance does not list BTCUSD (402 symbols). Did you mean BTCUSDT"),
        (("--quote", "EUR"), "nothing trades against EUR at binance; it has DAIX, USDC, USDT."),
        (("--quote", "USDT", "--url-ws", "ws://127.0.0.1:9/"), "no connection to ws://127.0.0.1:9/ was made in 1 s"),
        (("--quote", "DAIX"), "400 symbols with 3 channels are more than 1000 streams of one connection."),
    ],
)
async def test_what_cannot_be_recorded_leaves_no_file(tmp_path: Path, options: tuple[str, ...], told: str) -> None:
    file = tmp_path / "btc.rpr"
    async with binance().running() as venue, recorder(venue, "binance", file, *options, "--for", "1s") as process:
        status, _, said = await ended(process)
    assert status == 1
    assert told in said
    assert not file.exists()
