"""The command line's own words."""

import json
import math
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from typer.testing import CliRunner, Result

from actors.config import Settings
from deploy import state_file
from deploy.cli import app
from deploy.cli_common import fail
from deploy.control import Control
from deploy.settings import ASSISTANT_KEY, SettingsError, load
from deploy.supervisor import Supervisor
from market.intervals import HOUR_NS


def test_an_error_text_with_brackets_is_told_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """It was taken for markup: `[/usr/.../haproxy.main()]` broke the message about a failed start."""
    assert fail("it ended [/usr/sbin/haproxy.main()] with [1]").exit_code == 1
    assert "[/usr/sbin/haproxy.main()] with [1]" in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize(("ours", "kept"), [(True, False), (False, True)])
def test_only_ones_own_state_is_removed(tmp_path: Path, ours: bool, kept: bool) -> None:
    """A second `raypit up` on a folder in use was refused, and took the running exchange's address with it."""
    pid = os.getpid() if ours else os.getppid()
    state = state_file.RunningState(pid, "http://127.0.0.1:1", None, "", "", "", 0.0)
    state_file.write(tmp_path, state)
    state_file.remove(tmp_path)
    assert state_file.read(tmp_path) == (state if kept else None)


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        ({"keep_ticks": -1}, "keep_ticks"),
        ({"keep_ticks": 31}, "raise --keep-seconds"),
        ({"keep_ticks": 0}, "raise --keep-seconds"),
    ],
)
def test_seconds_are_kept_as_long_as_ticks(flags: dict[str, int], complaint: str) -> None:
    """Trades are found by their second."""
    with pytest.raises(SettingsError, match=complaint):
        load(flags, {})


def test_what_is_kept() -> None:
    options = load({"keep_ticks": 7, "keep_seconds": 0, "export_dir": "there"}, {})
    assert (options.keep_ticks, options.keep_seconds) == (7, 0)
    assert options.export_dir == str(Path("there").absolute())
    assert load({}, {}).export_dir is None


@pytest.mark.parametrize(
    ("text", "hours"), [("24h", 24), ("7d", 168), ("0", 0), ("31d", 744), ("32d", None), ("soon", None), ("", None)]
)
def test_how_much_of_the_past_is_asked_for(text: str, hours: int | None) -> None:
    if hours is None:
        with pytest.raises(SettingsError, match="backfill"):
            load({"backfill": text}, {})
    else:
        assert load({"backfill": text}, {}).backfill_ns == hours * HOUR_NS
        assert load({}, {"RAYPIT_BACKFILL": text}).backfill_ns == hours * HOUR_NS


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        ({"assistant_url": "http://localhost:1/v1"}, "assistant_model is missing"),
        ({"assistant_model": "tiny"}, "assistant_url is missing"),
        ({"assistant_url": "ftp://there/v1", "assistant_model": "tiny"}, "assistant_url must be"),
        ({"assistant_url": "https://me:secret@there/v1", "assistant_model": "tiny"}, "assistant_url must be"),
    ],
)
def test_a_language_model_has_an_address_and_a_name(flags: dict[str, str], complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        load(flags, {})


def test_the_key_of_the_language_model_goes_no_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the supervisor starts does not inherit it, and nothing prints it."""
    monkeypatch.setenv(ASSISTANT_KEY, "sk-secret")
    options = load({"data": str(tmp_path), "assistant_url": "https://there/v1", "assistant_model": "tiny"})
    supervisor = Supervisor(options, lambda _: None)
    assert ASSISTANT_KEY not in os.environ
    assert "sk-secret" not in repr(options)
    model = supervisor._language_model()
    assert model is not None
    assert (model.url, model.model, model.key) == ("https://there/v1", "tiny", "sk-secret")
    assert "sk-secret" not in f"{model!r} {model}"


# -- raypit time ------------------------------------------------------------------------------------------------------


class Exchange:
    """The control socket of an exchange; the feed behind it is told what to say."""

    def __init__(
        self, folder: Path, settings: Settings, feed: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.folder = folder
        monkeypatch.setattr("serve.market_time.ask", feed)
        self._control = Control(folder / "control.sock", settings)
        state = state_file.RunningState(os.getpid(), "http://127.0.0.1:1", None, str(self._control.path), "", "", 0.0)
        state_file.write(folder, state)

    def time(self, *words: str) -> Result:
        return CliRunner().invoke(app, ["time", *words, "--data", str(self.folder)])

    def close(self) -> None:
        self._control.close()


SECOND = 1_000_000_000
FIRST = 1_793_523_600 * SECOND
"""2026-11-01T09:00:00Z"""


class Recording:
    """The feed's side: `ReplayMarket.control` and `time_status`, whose journeys end at the third look."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.looks = 0

    def __call__(self, name: str, method: str, timeout: float, *args: Any) -> dict[str, Any]:
        now = {
            "mode": "replay", "market_ns": FIRST + SECOND, "first_ns": FIRST, "last_ns": FIRST + 4 * SECOND, "speed": 2.0,
            "paused": False, "ended": False, "loop": False, "until_ns": None,
        }  # fmt: skip
        if method == "time_status":
            self.looks += 1
            return now if self.looks > 2 or not self.asked else {**now, "until_ns": FIRST + 2 * SECOND}
        self.asked.append(args)
        if args[0] in ("jump", "run_until"):
            if args[1] < FIRST:
                error = ray.exceptions.RayTaskError("time_control", "", ValueError("at_ns: it is past"))
                raise error.as_instanceof_cause()
            return {**now, "until_ns": FIRST + 2 * SECOND, "reached": False}
        return now


@pytest.fixture
def replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Exchange, Recording]]:
    settings = Settings(data_dir="/", run_dir="/", pg_dsn="", redis_url="", feed="replay:a.rpr", market_time="replay")
    feed = Recording()
    exchange = Exchange(tmp_path, settings, feed, monkeypatch)
    yield exchange, feed
    exchange.close()


@pytest.mark.parametrize(
    ("words", "args"),
    [
        (["pause"], ("pause", None, None, None)),
        (["resume"], ("resume", None, None, None)),
        (["step"], ("step", None, None, None)),
        (["step", "1s"], ("step", None, None, SECOND)),
        (["speed", "10x"], ("speed", None, 10.0, None)),
        (["max"], ("speed", None, math.inf, None)),
        (["jump", "2026-11-01T09:00:02Z"], ("jump", FIRST + 2 * SECOND, None, None)),
        (["until", "1793523602000"], ("run_until", FIRST + 2 * SECOND, None, None)),
        (["loop", "on"], ("loop_on", None, None, None)),
    ],
)
def test_time_is_controlled(replayed: tuple[Exchange, Recording], words: list[str], args: tuple[Any, ...]) -> None:
    exchange, feed = replayed
    result = exchange.time(*words, "--json")
    assert result.exit_code == 0, result.output
    assert feed.asked == [args]
    assert json.loads(result.stdout)["until"] is None, "a journey is waited for"


def test_time_is_shown(replayed: tuple[Exchange, Recording]) -> None:
    shown = replayed[0].time().stdout
    for text in ("2026-11-01T09:00:01.000Z", "running", "2 x", "25.0 %"):
        assert text in shown


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["jump", "2020-01-01"], 1, "at: it is past"),
        (["jump", "soon"], 1, "at: 'soon' is no time"),
        (["speed", "0"], 1, "speed: 0.0 is not from 0.01 to 10,000"),
        (["speed", "fast"], 2, "neither a number"),
        (["step", "long"], 1, "span: 'long' is not a span"),
        (["loop", "maybe"], 2, "neither `on` nor `off`"),
        (["jump"], 2, "takes one word"),
        (["travel"], 2, "cannot 'travel' time"),
    ],
)
def test_what_time_cannot_do(replayed: tuple[Exchange, Recording], words: list[str], status: int, text: str) -> None:
    result = replayed[0].time(*words)
    assert result.exit_code == status
    assert text in " ".join(result.stderr.split())


def test_the_walls_time_is_not_controlled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(data_dir="/", run_dir="/", pg_dsn="", redis_url="")
    exchange = Exchange(tmp_path, settings, Recording(), monkeypatch)
    try:
        assert "follows the wall clock" in exchange.time("status").stdout
        refused = exchange.time("pause")
        assert refused.exit_code == 1
        assert "--feed replay:FILE" in " ".join(refused.stderr.split())
    finally:
        exchange.close()


def test_the_data_port_is_the_one_after_or_a_free_one(tmp_path: Path) -> None:
    def chosen(**given: int) -> tuple[int, int]:
        supervisor = Supervisor(load({"data": str(tmp_path), **given}, {}), lambda _: None)
        return supervisor._choose_ports(), supervisor._port

    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1] - 1
        data_port, _ = chosen(port=port)
        assert data_port not in (port, port + 1), "somebody else listens there"
        two.bind(("127.0.0.1", 0))
        free = two.getsockname()[1]
    assert chosen(port=free - 1) == (free, free - 1)
    assert chosen(port=8000, data_port=9000) == (9000, 8000)
    found, http = chosen(port=0)
    assert found
    assert http
    assert found != http
