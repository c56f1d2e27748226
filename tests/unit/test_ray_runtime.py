"""A Ray that cannot be had is told as something the operator can mend."""

from pathlib import Path

import pytest

from deploy import ray_runtime
from deploy.errors import DeployError
from deploy.ray_runtime import RayRuntime, free_port


def test_nothing_to_join(tmp_path: Path) -> None:
    runtime = RayRuntime(f"127.0.0.1:{free_port()}", False, tmp_path)
    with pytest.raises(DeployError, match=r"cannot join the Ray at 127.0.0.1:\d+.*leave --ray away"):
        runtime.start()


def test_a_ray_that_does_not_start_is_tried_again_and_then_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[object] = []

    class Slow:
        def __init__(self, *parts: object) -> None:
            begun.append(parts)
            raise Exception("The current node timed out during startup.\nAnd more.")  # as Ray does

    monkeypatch.setattr(ray_runtime, "RayHead", Slow)
    with pytest.raises(DeployError) as told:
        RayRuntime(None, True, tmp_path).start()
    assert len(begun) == ray_runtime.ATTEMPTS
    text = str(told.value)
    assert "timed out during startup" in text
    assert "And more" not in text
    assert "--ray ADDRESS" in text
    assert str(tmp_path) in text
