"""`--feed`, `--speed` and `--loop` from flags, environment and file."""

import math
from pathlib import Path

import pytest

from deploy.settings import SettingsError, load
from market.feed_spec import Replay


def test_paths_of_recordings_are_made_absolute() -> None:
    options = load({"feed": "replay:a.rec,/b.rec", "speed": "max", "loop": True}, {})
    assert options.feed_spec == Replay((str(Path("a.rec").absolute()), "/b.rec"))
    assert options.replay_speed == math.inf
    assert options.loop


def test_the_environment_and_a_file_say_the_same(tmp_path: Path) -> None:
    assert load({}, {"RAYPIT_FEED": "binance:quote=USDC"}).feed == "binance:quote=USDC"
    assert load({}, {"RAYPIT_FEED": "replay:/a", "RAYPIT_SPEED": "0.1", "RAYPIT_LOOP": "true"}).replay_speed == 0.1
    file = tmp_path / "raypit.toml"
    file.write_text('feed = "replay:/a"\nspeed = 10\nloop = true\n')
    assert load({"config": str(file)}, {}).replay_speed == 10


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ({"feed": "nobody"}, "there is no 'nobody'"),
        ({"feed": "replay:/a", "speed": "0"}, "speed must be"),
        ({"feed": "replay:/a", "speed": "nan"}, "speed must be"),
        ({"speed": "2"}, "needs --feed replay:FILE"),
        ({"loop": True}, "needs --feed replay:FILE"),
    ],
)
def test_what_does_not_fit_is_told(flags: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        load(flags, {})
