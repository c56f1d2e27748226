"""`raypit export` and `raypit jobs`: stored data as Parquet, scheduled work; the work is done elsewhere."""

import asyncio
import sys
import time
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from deploy.cli_common import Data, data_folder, err, fail, out, running

if TYPE_CHECKING:
    from actors.export_plan import Request, Told
    from actors.job_table import JobRow

LOOK_EVERY_S: Final = 0.3
BEGIN_LIMIT_S: Final = 30.0
_STATES: Final = {"running": "cyan", "failed": "red", "waiting": "green"}

jobs_app = typer.Typer(help="Scheduled work: how it went, when it runs again.", invoke_without_command=True)


def export(
    into: Annotated[Path, typer.Option("--out", help="Folder to write into; files of the same days are replaced.")],
    data: Data = None,
    symbols: Annotated[str | None, typer.Option(help="A,B: a file each; else all, a file per quote asset.")] = None,
    from_: Annotated[str | None, typer.Option("--from", help="2024-08-08, or with a time: 2024-08-08T10:30.")] = None,
    to: Annotated[str | None, typer.Option(help="The same, not in it. UTC.")] = None,
    table: Annotated[str, typer.Option(help="`trades` or `candles`.")] = "trades",
    width: Annotated[str, typer.Option(help="Of candles: 1s, 1m, 1h.")] = "1m",
) -> None:
    """Write stored trades or candles as Parquet, a file per day. Runs beside an exchange or without one."""
    from actors.export_plan import check
    from deploy.errors import DeployError
    from deploy.stored_exchange import database

    try:
        from_ns, to_ns = _time("from", from_), _time("to", to)
        with database(data_folder(data)) as (dsn, instruments):
            from actors.export_plan import Request

            request = Request(
                dsn=dsn, instruments=instruments, out=str(into.expanduser().absolute()), tables=(table,), width=width,
                symbols=tuple(dict.fromkeys(one for one in (symbols or "").upper().split(",") if one)),
                from_ns=from_ns, to_ns=to_ns,
            )  # fmt: skip
            check(request)
            told = _shown(request)
    except (ValueError, DeployError, OSError) as error:
        raise fail(str(error)) from None
    if not told.files:
        raise fail("nothing is stored between these times; `raypit jobs` tells which days are kept.")
    out.print(
        f"{into}: {told.files:,} files, {told.rows:,} rows, {told.bytes:,} bytes", highlight=False, soft_wrap=True
    )


def _shown(request: "Request") -> "Told":
    from actors.parquet_export import export as work

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rows]:,} rows"))
    with Progress(*columns, TimeRemainingColumn(), console=err, transient=True) as progress:
        task = progress.add_task("counting", total=1.0, rows=0)

        def tell(told: "Told") -> None:
            progress.update(task, completed=told.fraction, rows=told.rows, description=told.file or "done")

        return asyncio.run(work(request, tell))


def _time(field: str, text: str | None) -> int | None:
    """Nanoseconds since the epoch."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{field}: {text!r} is not a time; write 2024-08-08 or 2024-08-08T10:30:00 (UTC).") from None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


@jobs_app.callback()
def jobs(context: typer.Context, data: Data = None, json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Scheduled work of a running exchange. Exit status 1 when the last run of a job failed."""
    context.obj = data
    if context.invoked_subcommand is not None:
        return
    from actors.job_table import list_jobs

    rows = asyncio.run(_asked(running(data).pg_dsn, list_jobs))
    if json:
        sys.stdout.buffer.write(orjson.dumps([_plain(row) for row in rows]) + b"\n")
    else:
        out.print(_table(rows))
    if any(row.failures for row in rows):
        raise typer.Exit(1)


@jobs_app.command("run")
def run(context: typer.Context, name: Annotated[str, typer.Argument()], data: Data = None) -> None:
    """Have a job run now, and wait for it. Exit status 1 when it fails."""
    try:
        row = asyncio.run(_run(running(data or context.obj).pg_dsn, name))
    except ValueError as error:
        raise fail(str(error)) from None
    if row.error is not None:
        raise fail(f"{name} failed: {row.error} It is tried again; see logs/projector.log in the data folder.")
    out.print(f"{name}: {orjson.dumps(row.result).decode()} in {row.duration_s or 0:.2f} s", highlight=False)


async def _asked(dsn: str, question: Any, *args: Any) -> Any:
    import asyncpg

    connection = await asyncpg.connect(dsn, timeout=10, command_timeout=30)
    try:
        return await question(connection, *args)
    finally:
        await connection.close()


async def _run(dsn: str, name: str) -> "JobRow":
    from actors.job_table import ask_to_run, list_jobs

    before = {row.name: row for row in await _asked(dsn, list_jobs)}
    if name not in before:
        raise ValueError(f"name: there is no job {name!r}; there are {', '.join(before) or 'none yet'}.")
    await _asked(dsn, ask_to_run, name)
    deadline = time.monotonic() + BEGIN_LIMIT_S
    with Progress(console=err, transient=True) if err.is_terminal else nullcontext() as progress:
        task = progress.add_task(name, total=1.0) if progress else None
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            row: JobRow = {row.name: row for row in await _asked(dsn, list_jobs)}[name]
            if row.state != "running" and row.asked_at is None and row.finished_at != before[name].finished_at:
                return row
            if progress and task is not None:
                progress.update(task, completed=row.progress or 0.0)
            if row.asked_at is not None and time.monotonic() > deadline:
                raise ValueError(
                    f"{name} has not begun after {BEGIN_LIMIT_S:.0f} s; is the projector up (`raypit status`)?"
                )


def _plain(row: "JobRow") -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__struct_fields__}


def _table(rows: "list[JobRow]") -> Table:
    table = Table()
    for column in ("job", "schedule", "state", "last run (UTC)", "took", "next run (UTC)", "result"):
        table.add_column(column)
    for row in rows:
        state = row.state if row.progress is None else f"{row.state} {row.progress:.0%}"
        told = row.error or (orjson.dumps(row.result).decode() if row.result else "-")
        table.add_row(
            row.name, row.schedule, f"[{_STATES[row.state]}]{state}[/]", _moment(row.started_at),
            "-" if row.duration_s is None else f"{row.duration_s:.2f} s", _moment(row.next_run_at), told,
        )  # fmt: skip
    return table


def _moment(at: datetime | None) -> str:
    return "-" if at is None else at.strftime("%m-%d %H:%M:%S")
