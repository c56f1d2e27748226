"""`raypit train` and `raypit models`: options in, tables out; the work is done elsewhere."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from deploy.cli_common import Data, data_folder, err, fail, out

if TYPE_CHECKING:
    from ml.dataset import DataSet
    from ml.training import Outcome, Runner, Task

_FIGURES: Final = ("log-loss", "AUC", "pinball", "vol.", "careful", "vs naive")
models_app = typer.Typer(help="Trained models: how good they are, which is in service.", invoke_without_command=True)


def train(
    horizon: Annotated[str, typer.Option(help="10s (of recordings), 1m, 15m or 1h.")] = "15m",
    from_: Annotated[
        str, typer.Option("--from", help="`store`, or FILE[,FILE...]: candles (.feather, .csv), a folder, recordings.")
    ] = "store",
    symbols: Annotated[str | None, typer.Option(help="BTCUSDT,ETHUSDT; else all.")] = None,
    models: Annotated[
        str | None, typer.Option(help="Of naive,linear,garch,forest,xgboost,lstm (needs raypit[lstm]).")
    ] = None,
    search: Annotated[int, typer.Option(min=0, max=1000, help="Random sets of parameters tried of each kind.")] = 0,
    folds: Annotated[int, typer.Option(min=1, max=50, help="Tests, each learned from the past alone.")] = 4,
    seed: Annotated[int, typer.Option(help="The same seed and data give the same bytes.")] = 1,
    promote: Annotated[bool, typer.Option(help="Put the best into service, if it is better by the rule.")] = True,
    workers: Annotated[int | None, typer.Option(min=0, help="Ray tasks at once; 0: without Ray.")] = None,
    ray: Annotated[str | None, typer.Option(help="Use this Ray cluster (address).")] = None,
    data: Data = None,
) -> None:
    """Learn forecasts of returns and volatility, compare them with naive ones, register the models."""
    from deploy.errors import DeployError
    from ml.forecast import HORIZONS
    from ml.training import OFFERED, TRAINED

    if horizon not in HORIZONS:
        raise fail(f"--horizon: {horizon!r} is none; choose one of {', '.join(HORIZONS)}.", 2)
    kinds = tuple(_split(models)) or TRAINED
    unknown = sorted(set(kinds) - set(OFFERED))
    if unknown:
        raise fail(f"--models: there is no {unknown[0]!r}; there are {', '.join(OFFERED)}.", 2)
    try:
        with _registry(data_folder(data)) as dsn:
            learned = _learned(dsn, from_, horizon, tuple(one.upper() for one in _split(symbols)))
            rows = len(learned.data.ts_ns)
            out.print(f"{rows:,} rows of {', '.join(learned.manifest.symbols)}; nothing looks ahead", highlight=False)
            from ml.training import Wanted

            wanted = Wanted(manifest=learned.manifest, kinds=kinds, folds=folds, search=search, seed=seed)
            outcome = _trained(learned.data, wanted, workers, ray)
            _show(outcome, asyncio.run(_register(dsn, data_folder(data), outcome, learned, promote)), data_folder(data))
    except (ValueError, DeployError, OSError, ImportError) as error:
        raise fail(str(error)) from None


def _split(text: str | None) -> list[str]:
    return [one.strip() for one in (text or "").split(",") if one.strip()]


@contextmanager
def _registry(data: Path) -> Iterator[str]:
    """The database of a running exchange, or of a data folder where none runs."""
    from deploy import state_file
    from deploy.data_dir import DataDir
    from deploy.migrate import migrate
    from deploy.postgres import EmbeddedPostgres

    state = state_file.read(data)
    if state is not None:
        yield state.pg_dsn
        return
    with DataDir(data):
        server = EmbeddedPostgres(data)
        try:
            dsn = server.start()
            asyncio.run(migrate(dsn))
            yield dsn
        finally:
            server.stop()


def _learned(dsn: str, from_: str, horizon: str, symbols: tuple[str, ...]) -> Any:
    from ml.forecast import HORIZONS
    from ml.sources import of_files

    with out.status("reading, and looking for what looks ahead"):
        if from_ != "store":
            return of_files([Path(one).expanduser() for one in _split(from_)], HORIZONS[horizon], symbols)
        return asyncio.run(_of_store(dsn, symbols, HORIZONS[horizon]))


async def _of_store(dsn: str, symbols: tuple[str, ...], horizon_ns: int) -> Any:
    import asyncpg

    from actors.training import of_store

    pool = await asyncpg.create_pool(dsn, min_size=1, max_size=2)
    try:
        names = symbols or [row["symbol"] for row in await pool.fetch("SELECT DISTINCT symbol FROM candles ORDER BY 1")]
        return await of_store(pool, names, horizon_ns)
    finally:
        await pool.close()


def _trained(data: "DataSet", wanted: Any, workers: int | None, ray: str | None) -> "Outcome":
    from deploy.training_ray import ray_runner
    from ml.training import in_process, train

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with (
        nullcontext(in_process) if workers == 0 else ray_runner(ray, workers) as runner,
        Progress(*columns, console=err, transient=True) as progress,
    ):
        return train(data, wanted, _told(runner, progress))


def _told(runner: "Runner", progress: Progress) -> "Runner":
    def run(data: "DataSet", tasks: "Sequence[Task]") -> "Iterable[tuple[int, Any]]":
        shown = progress.add_task("training", total=len(tasks))
        for number, result in runner(data, tasks):
            progress.update(shown, advance=1, description=tasks[number][0])
            yield number, result

    return run


async def _register(dsn: str, data: Path, outcome: "Outcome", learned: Any, promote: bool) -> Any:
    import asyncpg

    from actors.model_registry import ModelRegistry
    from actors.training import register

    pool = await asyncpg.create_pool(dsn, min_size=1, max_size=2)
    try:
        return await register(ModelRegistry(pool, data), outcome, learned, promote=promote)
    finally:
        await pool.close()


def _show(outcome: "Outcome", registered: Any, data: Path) -> None:
    table = _table("no.", "model")
    for kind, one in outcome.models.items():
        table.add_row(str(registered.versions[kind]), one.model.manifest.name, *_figures(one.metrics))
    out.print(table)
    version = registered.versions["naive"]
    out.print(f"report: {data}/models/{version}/report.html", highlight=False, soft_wrap=True)
    told = "nothing is promoted" if registered.promoted is None else f"promoted: version {registered.promoted}"
    out.print(f"{told}: {registered.reason}", highlight=False, soft_wrap=True)


def _table(*about: str) -> Table:
    """As narrow as a terminal of 80 columns."""
    table = Table(
        box=None,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        caption="pinball and volatility error in bp; careful: return after fees",
    )
    for column in about:
        table.add_column(column, no_wrap=True)
    for column in _FIGURES[:-1]:
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column(_FIGURES[-1])
    return table


def _figures(metrics: dict[str, Any]) -> list[str]:
    """The cells of `_FIGURES`."""
    places = {"log_loss": 4, "auc": 3, "pinball_bp": 2, "volatility_error_bp": 2}
    values = [f"{metrics[name][0]:.{n}f}" for name, n in places.items()]
    better = "".join(f"[green]+ {name}[/]\n" for name in metrics["better_at"])
    worse = "".join(f"[red]- {name}[/]\n" for name in metrics["worse_at"])
    verdict = (better + worse).rstrip() or "no better"
    return [*values, f"{metrics['money']['careful']['return']:+.2%}", verdict]


@models_app.callback()
def models(context: typer.Context, data: Data = None) -> None:
    """Registered models, the newest first; `*`: in service."""
    context.obj = data
    if context.invoked_subcommand is not None:
        return
    table = _table("no.", "", "model", "made (UTC)")
    for row in _asked(data, lambda registry: registry.models()):
        made = datetime.fromtimestamp(row.created_ns / 1e9, UTC).strftime("%m-%d %H:%M")
        figures = _figures(row.manifest.metrics) if "money" in row.manifest.metrics else ["-"] * len(_FIGURES)
        mark = "*" if row.promoted_ns is not None else ""
        table.add_row(str(row.version), mark, row.manifest.name, made, *figures)
    out.print(table)


@models_app.command("promote")
def promote(context: typer.Context, version: Annotated[int, typer.Argument()], data: Data = None) -> None:
    """Put a version into service for its horizon, whatever its figures say."""
    row = _asked(data or context.obj, lambda registry: registry.promote(version))
    out.print(f"version {row.version} ({row.manifest.name}) answers for {row.manifest.horizon}", highlight=False)


def _asked(data: str | None, question: Any) -> Any:
    from actors.model_registry import ModelRegistry, NoSuchModel, NotServed
    from deploy.errors import DeployError

    folder = data_folder(data)

    async def ask(dsn: str) -> Any:
        import asyncpg

        pool = await asyncpg.create_pool(dsn, min_size=1, max_size=1)
        try:
            return await question(ModelRegistry(pool, folder))
        finally:
            await pool.close()

    try:
        with _registry(folder) as dsn:
            return asyncio.run(ask(dsn))
    except (NoSuchModel, NotServed, DeployError) as error:
        raise fail(str(error)) from None
