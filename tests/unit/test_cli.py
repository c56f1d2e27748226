"""The command line's own words."""

import os
from pathlib import Path

import pytest

from deploy import state_file
from deploy.cli_common import fail
from deploy.settings import SettingsError, load


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
