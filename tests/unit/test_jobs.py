"""The exchange's own jobs over a stored tape: retention, quality, and exports whose rows are the table's."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors import parquet_export
from actors.config import Settings
from actors.day_partitions import SECONDS, TICKS, date_text, days_of
from actors.export_plan import WIDTHS, Request, Told, groups_of
from actors.job_process import JobError
from actors.jobs import Housekeeping
from actors.metrics import ActorMetrics, JobMetrics
from actors.parquet_export import export
from actors.scheduler import Run
from market.intervals import DAY_NS
from tests.unit.stored_world import FIRST_DAY, NAMES, SYMBOLS, database, filled, served, tape

DAYS = range(FIRST_DAY, FIRST_DAY + 4)
ROWS = tape(DAYS, 150)
TABLES = ["trades", "1s", "1m", "1h"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from served(tmp_path_factory.mktemp("jobs"))


@pytest.fixture(scope="module")
def kept(server: str) -> str:
    """A stored tape that no test changes."""

    async def made() -> str:
        dsn = await database(server)
        await filled(dsn, ROWS)
        return dsn

    return asyncio.run(made())


@pytest.fixture
async def dsn(server: str) -> str:
    dsn = await database(server)
    await filled(dsn, ROWS)
    return dsn


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


def chores(dsn: str, market_ns: int = 0, **fields: Any) -> Housekeeping:
    configured = Settings(data_dir="", run_dir="", pg_dsn=dsn, redis_url="", symbols=len(SYMBOLS), **fields)
    return Housekeeping(configured, SYMBOLS, lambda: market_ns, JobMetrics(ActorMetrics("projector")))


# -- partitions and retention ---------------------------------------------------------------------------------------


async def test_days_are_made_ahead(dsn: str, connection: Any) -> None:
    made = await chores(dsn, (FIRST_DAY + 10) * DAY_NS).make_partitions(Run(connection))
    assert made["made"] == 4
    assert list(await days_of(connection, TICKS)) == [*DAYS, FIRST_DAY + 10, FIRST_DAY + 11]
    assert (await chores(dsn).make_partitions(Run(connection)))["made"] == 2, "after the newest that is stored"


async def test_nothing_traded_yet(server: str) -> None:
    dsn = await database(server)
    connection = await asyncpg.connect(dsn)
    jobs = chores(dsn, export_dir="/nowhere")
    assert (await jobs.make_partitions(Run(connection)))["days"] == 0
    assert (await jobs.drop_old_days(Run(connection)))["dropped"] == []
    assert (await jobs.check_quality(Run(connection)))["score"] is None
    assert (await jobs.export_new_days(Run(connection)))["files"] == 0
    await jobs.analyze(Run(connection))
    await connection.close()


@pytest.mark.parametrize("keep", [1, 2, 3, 4, 9])
async def test_so_many_days_of_market_time_are_kept(dsn: str, connection: Any, keep: int) -> None:
    hours = await connection.fetchval("SELECT count(*) FROM candles WHERE width_s > 1")
    done = await chores(dsn, keep_ticks=keep, keep_seconds=keep + 1).drop_old_days(Run(connection))
    assert list(await days_of(connection, TICKS)) == list(DAYS)[-keep:]
    assert list(await days_of(connection, SECONDS)) == list(DAYS)[-keep - 1 :]
    assert len(done["dropped"]) == max(0, 4 - keep) + max(0, 3 - keep)
    assert (done["bytes"] > 0) == bool(done["dropped"])
    assert await connection.fetchval("SELECT count(*) FROM candles WHERE width_s > 1") == hours


async def test_nought_keeps_for_ever(dsn: str, connection: Any) -> None:
    jobs = chores(dsn, (FIRST_DAY + 5000) * DAY_NS, keep_ticks=0, keep_seconds=0)
    assert (await jobs.drop_old_days(Run(connection)))["dropped"] == []


async def test_a_day_is_exported_before_it_is_given_up(dsn: str, connection: Any, tmp_path: Path) -> None:
    jobs = chores(dsn, keep_ticks=1, keep_seconds=1, export_dir=str(tmp_path))
    done = await jobs.drop_old_days(Run(connection))
    assert done["waiting_for_export"] == [date_text(day) for day in DAYS[:3]]
    run = Run(connection)
    exported = await jobs.export_new_days(run)
    assert exported["files"] > 3
    assert run.progress == 1.0
    assert list(await days_of(connection, TICKS)) == list(DAYS)
    assert not (tmp_path / "trades" / f"date={date_text(DAYS[3])}").exists(), "today is not over"
    assert (await jobs.export_new_days(Run(connection)))["files"] == 0, "what was exported is not again"
    assert (await jobs.drop_old_days(Run(connection)))["waiting_for_export"] == []
    assert list(await days_of(connection, TICKS)) == [DAYS[3]]


async def test_a_failed_export_says_why(dsn: str, connection: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JobError, match="NotADirectoryError"):
        await chores(dsn, export_dir=str(tmp_path / "file")).export_new_days(Run(connection))


# -- quality --------------------------------------------------------------------------------------------------------


async def test_what_the_projector_wrote_is_perfect(dsn: str, connection: Any) -> None:
    found = await chores(dsn).check_quality(Run(connection))
    assert (found["day"], found["score"], found["worst"]) == (date_text(DAYS[2]), 100.0, {})
    assert (found["trades"], found["missing_trades"], found["wrong_candles"]) == (150, 0, 0)
    rows = await connection.fetch("SELECT symbol, score FROM quality_days ORDER BY symbol")
    assert [(row["symbol"], float(row["score"])) for row in rows] == [(name, 100.0) for name in sorted(NAMES[:2])]
    only = await chores(dsn, DAYS[2] * DAY_NS).check_quality(Run(connection))
    assert only["day"] == date_text(DAYS[2])


IN_DAY = f"ts_ns >= {DAYS[2] * DAY_NS} AND ts_ns < {DAYS[3] * DAY_NS}"
WHICH = {
    "first": f"SELECT min(trade_id) FROM trades WHERE symbol = '{NAMES[0]}' AND {IN_DAY}",
    "last": f"SELECT max(trade_id) FROM trades WHERE symbol = '{NAMES[0]}' AND {IN_DAY}",
    "inner": f"SELECT min(trade_id) + 3 FROM trades WHERE symbol = '{NAMES[0]}' AND {IN_DAY}",
}


@pytest.mark.parametrize("which", WHICH)
async def test_a_missing_trade_is_found(dsn: str, connection: Any, which: str) -> None:
    await connection.execute(f"DELETE FROM trades WHERE symbol = $1 AND trade_id = ({WHICH[which]})", NAMES[0])
    found = await chores(dsn).check_quality(Run(connection))
    assert found["missing_trades"] == 1
    assert found["wrong_candles"] >= 1
    assert found["score"] < 100
    assert list(found["worst"]) == [NAMES[0]]


@pytest.mark.parametrize(
    "column", ["open_ticks", "high_ticks", "close_ticks", "volume_lots", "trades", "taker_buy_lots"]
)
@pytest.mark.parametrize("width_s", [1, 60, 3600])
async def test_a_wrong_candle_is_found(dsn: str, connection: Any, column: str, width_s: int) -> None:
    at = await connection.fetchval(f"SELECT ts_ns FROM trades WHERE symbol = $1 AND {IN_DAY} LIMIT 1", NAMES[1])
    width_ns = width_s * 10**9
    await connection.execute(
        f"UPDATE candles SET {column} = {column} + 1 WHERE symbol = $1 AND width_s = $2 AND open_ns = $3",
        NAMES[1], width_s, at // width_ns * width_ns,
    )  # fmt: skip
    found = await chores(dsn).check_quality(Run(connection))
    assert (found["missing_trades"], found["wrong_candles"]) == (0, 1)
    assert list(found["worst"]) == [NAMES[1]]


async def test_a_lost_candle_and_one_too_many_are_found(dsn: str, connection: Any) -> None:
    inside = f"open_ns >= {DAYS[2] * DAY_NS} AND open_ns < {DAYS[3] * DAY_NS}"
    await connection.execute(
        f"DELETE FROM candles WHERE width_s = 60 AND symbol = $1 AND open_ns = (SELECT min(open_ns) FROM candles WHERE "
        f"width_s = 60 AND symbol = $1 AND {inside})", NAMES[0],
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO candles VALUES ($1, 1, $2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)", NAMES[2], DAYS[2] * DAY_NS
    )
    assert (await chores(dsn).check_quality(Run(connection)))["wrong_candles"] == 2


# -- export ---------------------------------------------------------------------------------------------------------


async def rows_of(dsn: str, table: str, symbols: list[str], from_ns: int, to_ns: int) -> list[tuple[Any, ...]]:
    connection = await asyncpg.connect(dsn)
    time, width = ("ts_ns", "") if table == "trades" else ("open_ns", f"AND width_s = {WIDTHS[table]}")
    rows = await connection.fetch(
        f"SELECT * FROM {'trades' if table == 'trades' else 'candles'} WHERE symbol = ANY($1) AND {time} >= $2 AND {time} < $3 {width}",
        symbols, from_ns, to_ns,
    )  # fmt: skip
    await connection.close()
    return sorted(tuple(row) for row in rows)


def request(dsn: str, out: Path, table: str, **fields: Any) -> Request:
    which = {"tables": ("trades",)} if table == "trades" else {"tables": ("candles",), "width": table}
    return Request(dsn=dsn, instruments=SYMBOLS, out=str(out), **which, **fields)


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def read(out: Path) -> list[tuple[Any, ...]]:
    files = [pq.ParquetFile(path).read() for path in sorted(out.rglob("*.parquet"))]
    return sorted(tuple(row.values()) for one in files for row in one.to_pylist())


edges = st.sampled_from([day * DAY_NS + off for day in (*DAYS, DAYS[-1] + 1) for off in (-1, 0, 1)])
times = edges | st.integers(DAYS[0] * DAY_NS - 5, (DAYS[-1] + 1) * DAY_NS + 5) | st.sampled_from(ROWS["ts_ns"].tolist())


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    table=st.sampled_from(TABLES),
    span=st.tuples(times, times).map(sorted),
    symbols=st.sets(st.sampled_from(NAMES), max_size=3),
    at_once=st.sampled_from([1, 7, 150, 50_000]),
)
def test_an_export_holds_what_the_table_holds(
    kept: str, tmp_path_factory: pytest.TempPathFactory, table: str, span: list[int], symbols: set[str], at_once: int
) -> None:
    out = tmp_path_factory.mktemp("export")
    from_ns, to_ns = span[0], span[1] + 1
    before = parquet_export.ROWS_AT_ONCE
    parquet_export.ROWS_AT_ONCE = at_once  # type: ignore[misc]
    told: list[Told] = []
    try:
        asyncio.run(
            export(
                request(kept, out, table, symbols=tuple(symbols), from_ns=from_ns, to_ns=to_ns),
                lambda one: told.append(msgspec.structs.replace(one)),
            )
        )
    finally:
        parquet_export.ROWS_AT_ONCE = before  # type: ignore[misc]
    expected = asyncio.run(rows_of(kept, table, sorted(symbols) or NAMES, from_ns, to_ns))
    assert read(out) == expected
    assert told[-1].rows == len(expected)
    assert told[-1].files == len(list(out.rglob("*.parquet")))
    assert [one.fraction for one in told] == sorted(one.fraction for one in told)
    assert not list(out.rglob("*.part"))


async def test_layout_and_what_a_file_says_of_itself(kept: str, tmp_path: Path) -> None:
    await export(request(kept, tmp_path, "trades"), lambda _: None)
    await export(request(kept, tmp_path, "1m", symbols=(NAMES[0],), from_ns=DAYS[1] * DAY_NS + 10**9), lambda _: None)
    files = [str(path.relative_to(tmp_path)) for path in files_in(tmp_path)]
    assert files == [
        *(f"candles/width=1m/date={date_text(day)}/{NAMES[0]}{'.000001-240000' if day == DAYS[1] else ''}.parquet"
          for day in DAYS[1:]),
        *(f"trades/date={date_text(day)}/USDT.parquet" for day in DAYS),
    ]  # fmt: skip
    file = pq.ParquetFile(tmp_path / files[-1])
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    told = {key.decode(): value.decode() for key, value in file.schema_arrow.metadata.items()}
    steps = msgspec.json.decode(told["raypit.instruments"])[NAMES[0]]
    assert steps["tick"] == str(SYMBOLS[0].tick)
    assert steps["lot"] == str(SYMBOLS[0].lot)
    assert steps["quote_scale"] == SYMBOLS[0].quote.scale
    ids = file.read(["symbol", "trade_id"]).to_pylist()
    assert ids == sorted(ids, key=lambda row: (row["symbol"], row["trade_id"]))


async def test_a_broken_export_leaves_the_old_file(kept: str, tmp_path: Path) -> None:
    await export(request(kept, tmp_path, "trades"), lambda _: None)
    before = {path: path.read_bytes() for path in files_in(tmp_path)}

    def full(told: Told) -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        await export(request(kept, tmp_path, "trades"), full)
    assert {path: path.read_bytes() for path in files_in(tmp_path)} == before


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"tables": ("orders",)}, "table: 'orders'"),
        ({"width": "5m"}, "width: candles of '5m'"),
        ({"symbols": ("NOPE",)}, "symbols: NOPE"),
        ({"from_ns": 2, "to_ns": 2}, "from, to:"),
    ],
)
async def test_requests_that_are_refused(kept: str, tmp_path: Path, fields: dict[str, Any], complaint: str) -> None:
    wanted = msgspec.structs.replace(request(kept, tmp_path, "trades"), **fields)
    with pytest.raises(ValueError, match=complaint):
        await export(wanted, lambda _: None)


def test_groups() -> None:
    assert groups_of(request("", Path(), "trades")) == {"USDT": tuple(sorted(NAMES))}
