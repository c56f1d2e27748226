"""A data folder plays the recordings that it began with, or none."""

from collections.abc import Iterator
from pathlib import Path

import asyncpg
import msgspec
import pytest

from deploy.errors import ServiceError
from deploy.instruments import Prepared
from deploy.promises import keep_promises
from deploy.recording_marks import check_marks, marks_of
from deploy.settings import Options
from market.listing import Listing
from tests.unit.outside_world import postgres
from tests.unit.test_cli_recordings import SPOT, USDM, raypit

LISTING = Listing(kind="replay", reference="USDT", listed=())


@pytest.fixture(scope="module")
def dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from postgres(tmp_path_factory.mktemp("marks"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Spot, futures, and the beginning of spot."""
    folder = tmp_path_factory.mktemp("recordings")
    for name, source in (("spot", SPOT), ("usdm", USDM)):
        result = raypit("import", "hftbacktest", source, "--out", folder / f"{name}.rpr")
        assert result.exit_code == 0, result.output
    cut = folder / "cut.rpr"
    cut.write_bytes((folder / "spot.rpr").read_bytes()[:-20_000])
    return [str(folder / f"{name}.rpr") for name in ("spot", "usdm", "cut")]


def test_the_same_recordings_and_more_go_on(files: list[str], tmp_path: Path) -> None:
    spot, usdm, _ = files
    moved = tmp_path / "elsewhere.rpr"
    moved.write_bytes(Path(spot).read_bytes())
    for before, now in (([spot], [str(moved)]), ([spot], [spot, usdm]), ([], [usdm])):
        check_marks(marks_of(before), marks_of(now))
    (known,) = marks_of([spot])
    check_marks([known], [msgspec.structs.replace(known, blocks=known.blocks + 1)])  # it is still being recorded


def test_others_do_not_and_are_told(files: list[str]) -> None:
    spot, usdm, cut = files
    for before, now in (([spot], [usdm]), ([spot, usdm], [spot]), ([spot, usdm], [usdm, spot]), ([spot], [cut])):
        with pytest.raises(ServiceError, match=r"spot\.rpr \(binance, from 2024-08-08 23:54:13\.937 UTC\)"):
            check_marks(marks_of(before), marks_of(now))


async def test_the_promise_outlives_a_start_without_a_recording(dsn: str, files: list[str]) -> None:
    spot, usdm, _ = files
    connection = await asyncpg.connect(dsn)
    try:
        for played in ([spot], None, [spot]):
            marks = None if played is None else marks_of(played)
            await keep_promises(connection, Options(), Prepared(LISTING, recordings=marks))
        with pytest.raises(ServiceError, match="other recordings"):
            await keep_promises(connection, Options(), Prepared(LISTING, recordings=marks_of([usdm])))
    finally:
        await connection.close()
