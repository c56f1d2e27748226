"""`raypit time`: what time it is on the market, and its control in a replay; the work is in `deploy.market_time`."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table

from deploy.cli_common import Data, err, fail, out, running

if TYPE_CHECKING:
    from serve.system_schema import MarketTime, TimeControl

LOOK_EVERY_S: Final = 0.25
"""At a market on its way."""
USAGE: Final = "status, pause, resume, step [SPAN], speed N, max, until TIME, jump TIME, loop on or loop off"


def time_(
    words: Annotated[list[str] | None, typer.Argument(metavar="[DO]...", help=f"{USAGE}.", show_default=False)] = None,
    data: Data = None,
    json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Market time: how it is, or its control while a recording is played.

    SPAN is such as 250ms, 1s, 5m; without it: to the next event. TIME is ISO 8601 or milliseconds since 1970. `until` plays at the
    present speed and stands then, `jump` is as fast as possible and goes on then.
    """
    from deploy import market_time

    asked = control_of(words or ["status"])
    state = running(data)
    try:
        found = market_time.status(state) if asked is None else _done(state, asked, shows=not json)
    except market_time.TimeError as error:
        raise fail(str(error)) from None
    except KeyboardInterrupt:
        err.print("the market goes on; `raypit time pause` stops it")
        raise typer.Exit(130) from None
    if json:
        sys.stdout.buffer.write(orjson.dumps(_plain(found)) + b"\n")
    else:
        out.print(table_of(found))


def control_of(words: list[str]) -> "TimeControl | None":
    """None: only to look."""
    from serve.system_schema import TimeAction, TimeControl

    word, *rest = (one.lower() if k == 0 else one for k, one in enumerate(words))
    takes = {"status": 0, "pause": 0, "resume": 0, "max": 0, "step": 1, "speed": 1, "until": 1, "jump": 1, "loop": 1}
    if word not in takes:
        raise fail(f"cannot {word!r} time; it can be {USAGE}.", 2)
    if len(rest) > takes[word] or (takes[word] and not rest and word != "step"):
        raise fail(f"`time {word}` takes {'one word' if takes[word] else 'nothing'} after it: {USAGE}.", 2)
    if word == "status":
        return None
    if word == "step":
        return TimeControl(action=TimeAction.STEP, span=rest[0] if rest else None)
    if word in ("speed", "max"):
        return TimeControl(action=TimeAction.SPEED, speed=_speed(rest[0] if rest else "max"))
    if word in ("until", "jump"):
        action = TimeAction.RUN_UNTIL if word == "until" else TimeAction.JUMP
        return TimeControl(action=action, at=rest[0])
    if word == "loop":
        if rest[0] not in ("on", "off"):
            raise fail(f"loop: {rest[0]!r} is neither `on` nor `off`.", 2)
        return TimeControl(action=TimeAction.LOOP, loop=rest[0] == "on")
    return TimeControl(action=TimeAction(word))


def _speed(text: str) -> float | str:
    if text == "max":
        return text
    try:
        return float(text.removesuffix("x"))
    except ValueError:
        raise fail(f"speed: {text!r} is neither a number, such as 10, nor `max`.", 2) from None


def _done(state: Any, asked: "TimeControl", shows: bool) -> "MarketTime":
    """Ask, and wait until the market is where it was to go; how far it is, is shown."""
    from deploy import market_time

    with _watching(lambda: market_time.status(state), shows and asked.action in ("step", "run_until", "jump")):
        found, done = market_time.control(state, asked)
        while not done and found.until is not None:
            time.sleep(LOOK_EVERY_S)
            found = market_time.status(state)
    return found


@contextlib.contextmanager
def _watching(look: "Callable[[], MarketTime]", shows: bool) -> Iterator[None]:
    """Show how far the market is while somebody else asks it to go."""
    if not shows:
        yield
        return
    over = threading.Event()
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        watcher = threading.Thread(target=_watch, args=(look, progress, over), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join(5.0)


def _watch(look: "Callable[[], MarketTime]", progress: Progress, over: threading.Event) -> None:
    from deploy.market_time import TimeError

    task = progress.add_task("", total=None)
    began: float | None = None
    while not over.wait(LOOK_EVERY_S):
        with contextlib.suppress(TimeError):
            found = look()
            if found.market_time is None or found.until is None:
                continue
            now, until = seconds_of(found.market_time), seconds_of(found.until)
            began = now if began is None else began
            progress.update(task, description=found.market_time, completed=now - began, total=until - began)


def seconds_of(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def table_of(found: "MarketTime") -> Table:
    table = Table(box=None, show_header=False)
    table.add_row("market", found.market_time or "not begun")
    table.add_row("wall", found.wall_time)
    if found.mode == "wall":
        table.add_row("", "the market follows the wall clock")
        return table
    table.add_row("state", found.state + (f", on its way to {found.until}" if found.until else ""))
    table.add_row("speed", "as fast as possible" if found.speed == "max" else f"{found.speed:g} x")
    table.add_row(
        "recording", f"{found.from_time or '?'} to {found.to_time or '?'}" + (", in a loop" if found.loop else "")
    )
    if found.position is not None:
        table.add_row("played", f"{100 * found.position:.1f} %")
    return table


def _plain(found: "MarketTime") -> Any:
    import msgspec

    return msgspec.to_builtins(found)
