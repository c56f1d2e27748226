"""What the commands of `raypit` share: consoles, the data folder, the running exchange."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

out = Console()
err = Console(stderr=True)

Data = Annotated[str | None, typer.Option("--data", help="Data folder.", envvar="RAYPIT_DATA")]
DEFAULT_DATA = "raypit-data"


def data_folder(given: str | None) -> Path:
    return Path(given or DEFAULT_DATA).expanduser().absolute()


def fail(text: str, status: int = 1) -> typer.Exit:
    err.print(f"[bold red]raypit:[/] {escape(text)}", highlight=False)
    return typer.Exit(status)


def running(given: str | None) -> Any:
    from deploy import state_file

    state = state_file.read(data_folder(given))
    if state is None:
        raise fail(f"nothing runs in {data_folder(given)}. Start it with `raypit up`, or name another --data.")
    return state
