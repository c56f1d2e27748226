"""`raypit`: the command line. Reads options, shows progress and tables; the work is done elsewhere."""

import contextlib
import os
import signal
import sys
import time
from typing import Annotated, Any

import orjson
import typer
from rich.table import Table
from rich.text import Text

from deploy.cli_common import Data, data_folder, err, fail, out, running
from deploy.cli_keys import keys_app
from deploy.cli_models import models_app, train
from deploy.cli_profiles import profile_app
from deploy.cli_recordings import import_, record, recording
from deploy.cli_storage import export, jobs_app
from deploy.cli_time import time_

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)
app.add_typer(keys_app, name="keys")
app.add_typer(profile_app, name="profile")
app.command("record")(record)
app.command("import")(import_)
app.command("recording")(recording)
app.command("export")(export)
app.add_typer(jobs_app, name="jobs")
app.command("train")(train)
app.add_typer(models_app, name="models")
app.command("time")(time_)


@app.command()
def up(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of API and pages; 0: a free one.")] = None,
    data_port: Annotated[
        int | None, typer.Option(help="Port of WebSockets straight to the gateway; 0: a free one.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="Folder for everything that lasts.")] = None,
    feed: Annotated[
        str | None,
        typer.Option(
            help="simulated, none, VENUE[:quote=USDC][:symbols=BTCUSDT+ETHUSDT][,VENUE...] or replay:FILE[,FILE...]."
        ),
    ] = None,
    speed: Annotated[str | None, typer.Option(help="Of a replay: 0.1, 10 ..., or max.")] = None,
    loop: Annotated[bool | None, typer.Option("--loop", help="A replay begins again when it ended.")] = None,
    rate: Annotated[float | None, typer.Option(help="Commands/s of the simulated market, all symbols.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the simulated market.")] = None,
    symbols: Annotated[int | None, typer.Option(help="Number of symbols of the simulated market.")] = None,
    book_actors: Annotated[int | None, typer.Option(help="Book partitions; for life.")] = None,
    account_actors: Annotated[int | None, typer.Option(help="Account partitions; for life.")] = None,
    binance_limits: Annotated[float | None, typer.Option(help="Limits of the Binance API times this; 0: none.")] = None,
    binance_strict: Annotated[
        bool | None, typer.Option(help="Refuse parameters a Binance route does not know.")
    ] = None,
    keep_ticks: Annotated[int | None, typer.Option(help="Days that trades are kept; 0: for ever.")] = None,
    keep_seconds: Annotated[int | None, typer.Option(help="Days that candles of 1 s are kept; 0: for ever.")] = None,
    backfill: Annotated[str | None, typer.Option(help="Past candles to ask venues for: 24h, 7d; 0: none.")] = None,
    export_dir: Annotated[str | None, typer.Option(help="Export each whole day there as Parquet.")] = None,
    retrain: Annotated[str | None, typer.Option(help="Horizons trained daily on stored minutes, or none.")] = None,
    assistant_url: Annotated[
        str | None,
        typer.Option(help="OpenAI-compatible API for the assistant's words; its key: RAYPIT_ASSISTANT_KEY."),
    ] = None,
    assistant_model: Annotated[str | None, typer.Option(help="Name of the model there.")] = None,
    pg: Annotated[str | None, typer.Option(help="Use this PostgreSQL (DSN).")] = None,
    redis: Annotated[str | None, typer.Option(help="Use this Redis or Valkey (URL).")] = None,
    ray: Annotated[str | None, typer.Option(help="Use this Ray cluster (address).")] = None,
    dashboard: Annotated[bool | None, typer.Option(help="Ray's dashboard.")] = None,
    config: Annotated[str | None, typer.Option(help="TOML file with these options.")] = None,
) -> None:
    """Start the exchange and stay until Ctrl-C. Each option also as RAYPIT_<OPTION> or in the TOML file."""
    flags = dict(locals())
    began = time.monotonic()
    from deploy.errors import DeployError
    from deploy.settings import SettingsError, load

    try:
        options = load(flags)
    except SettingsError as error:
        raise fail(str(error), 2) from None
    from deploy.supervisor import Supervisor

    with out.status("starting") as shown:
        try:
            supervisor = Supervisor(options, lambda what: shown.update(f"starting {what}"))
        except DeployError as error:
            raise fail(str(error)) from None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: _interrupt(supervisor))
        try:
            supervisor.up()
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: supervisor.stop())
        except (DeployError, OSError) as error:
            supervisor.down()
            raise fail(str(error)) from None
        except KeyboardInterrupt:
            supervisor.down()
            raise typer.Exit(130) from None
        except BaseException:
            supervisor.down()
            raise
    for warning in supervisor.warnings:
        err.print(warning, style="yellow", markup=False, highlight=False)
    _show_addresses(supervisor)
    out.print(f"ready in {time.monotonic() - began:.1f} s", style="bold green", highlight=False)
    try:
        supervisor.watch()
    finally:
        with out.status("ending"):
            supervisor.down()
        out.print("ended; everything is kept in " + options.data, highlight=False)


def _interrupt(supervisor: Any) -> None:
    """While it starts. An exception can be lost where a library calls back; then it ends when it is up."""
    supervisor.stop()
    raise KeyboardInterrupt


def _show_addresses(supervisor: Any) -> None:
    table = Table(box=None, show_header=False)
    table.add_row("API", f"{supervisor.url}/api")
    table.add_row("documentation", f"{supervisor.url}/docs")
    table.add_row("WebSocket", supervisor.url.replace("http", "ws", 1) + "/ws/prices")
    table.add_row("WebSocket data port", f"{supervisor.data_url}/ws/orders")
    table.add_row("metrics", f"{supervisor.url}/metrics")
    table.add_row("Ray dashboard", supervisor.dashboard or "off")
    table.add_row("feed", Text(_shown_feed(supervisor.options)))
    table.add_row("symbols", f"{supervisor.settings.symbols:,}")
    table.add_row("data", str(supervisor.data.path))
    out.print(table)


def _shown_feed(options: Any) -> str:
    from market.feed_spec import Replay

    if not isinstance(options.feed_spec, Replay):
        return str(options.feed)
    pace = "as fast as possible" if options.speed == "max" else f"x{options.speed}"
    return f"{options.feed}, {pace}{', again and again' if options.loop else ''}"


@app.command()
def status(data: Data = None, json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """What runs, and how it is. Exit status 1 when a part does not answer."""
    state = running(data)
    from deploy.control import ask

    found: dict[str, dict[str, Any]] = ask(state, "status")
    if json:
        sys.stdout.buffer.write(orjson.dumps({"url": state.url, "pid": state.pid, "actors": found}) + b"\n")
    else:
        table = Table(title=f"{state.url}  pid {state.pid}  up {time.time() - state.started_at:.0f} s")
        for column in ("actor", "pid", "state"):
            table.add_column(column)
        for name, one in found.items():
            detail = ", ".join(f"{k}={v}" for k, v in one.items() if k not in ("name", "pid"))
            table.add_row(name, str(one.get("pid", "-")), detail)
        out.print(table)
    if any("error" in one for one in found.values()):
        raise typer.Exit(1)


@app.command()
def down(data: Data = None) -> None:
    """End a running exchange in good order."""
    state = running(data)
    os.kill(state.pid, signal.SIGTERM)
    with out.status(f"ending pid {state.pid}"):
        deadline = time.monotonic() + 90
        while _alive(state.pid):
            if time.monotonic() > deadline:
                raise fail(f"pid {state.pid} still runs after 90 s; see {data_folder(data)}/logs.")
            time.sleep(0.1)
    out.print("ended")


def _alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    return False


@app.command()
def demo(
    data: Data = None,
    url: Annotated[str | None, typer.Option(help="Of an exchange elsewhere.")] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Trade until Ctrl-C; one line an acknowledged order.")] = False,
    record: Annotated[str | None, typer.Option(help="With --loop: append acknowledged orders to this file.")] = None,
) -> None:
    """Register a user, trade, and show what happened."""
    from deploy import demo as demonstration

    target = url or running(data).url
    try:
        if loop:
            demonstration.loop(target, record, out)
        else:
            demonstration.tour(target, out)
    except demonstration.DemoError as error:
        raise fail(str(error)) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@app.command()
def check(data: Data = None, json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Replay the journal and compare: conservation per asset, digests of every partition against the live state."""
    from deploy import checking
    from deploy.errors import DeployError

    try:
        report = checking.check(data_folder(data), err if json else out)
    except (checking.CheckError, DeployError) as error:
        raise fail(str(error)) from None
    if json:
        sys.stdout.buffer.write(orjson.dumps(report) + b"\n")
    else:
        checking.show(report, out)
    if not report["ok"]:
        raise typer.Exit(1)


@app.command()
def doctor(data: Data = None) -> None:
    """What is missing on this machine, and what to do about it."""
    from deploy.doctor import examine

    findings = examine(data_folder(data))
    table = Table()
    for column in ("", "part", "found", "what to do"):
        table.add_column(column)
    for one in findings:
        table.add_row("[green]ok[/]" if one.ok else "[red]!![/]", one.name, one.found, one.fix)
    out.print(table)
    if not all(one.ok for one in findings):
        raise typer.Exit(1)


@app.command()
def admin(
    username: Annotated[str, typer.Argument(help="Made an admin; registered if new.")],
    data: Data = None,
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, envvar="RAYPIT_ADMIN_PASSWORD")] = "",
) -> None:
    """Make the first administrator."""
    import asyncio

    from deploy.administration import make_admin

    try:
        asyncio.run(make_admin(running(data).pg_dsn, username, password))
    except ValueError as error:
        raise fail(str(error)) from None
    out.print(f"{username} is an admin")


def main() -> None:
    app()


if __name__ == "__main__":
    main()
