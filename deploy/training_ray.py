"""Trainings as Ray tasks: on a small node of their own, at low priority, or on a cluster that is named.

Not on the exchange's own node: its object store is as small as Ray takes, and its workers run at the market's priority.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ml.dataset import DataSet
from ml.training import Runner, Task

NICENESS: Final = "10"
OBJECT_STORE_BYTES: Final = 512 << 20


@contextmanager
def ray_runner(address: str | None = None, workers: int | None = None) -> Iterator[Runner]:
    """Runs tasks on `address`, or on a node that is there only meanwhile. RayError when it cannot be had."""
    os.environ.setdefault("RAY_worker_niceness", NICENESS)
    from deploy import ray_runtime

    with tempfile.TemporaryDirectory(prefix="raypit-") as folder:
        ray_runtime.prepare_environment(Path(folder))
        import ray

        head: Any = None
        if address is None:
            from deploy.ray_head import RayHead

            head = RayHead(Path(folder), workers or os.cpu_count() or 2, OBJECT_STORE_BYTES)
        try:
            options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "namespace": "raypit-training"}
            ray.init(address=address or head.address, **options)
            yield _run
        finally:
            ray.shutdown()
            if head is not None:
                head.stop()


def _run(data: DataSet, tasks: Sequence[Task]) -> Iterable[tuple[int, Any]]:
    import ray

    @ray.remote(num_cpus=1, max_retries=1)
    def train(rows: DataSet, task: Task) -> Any:
        _, work, arguments = task
        return work(rows, *arguments)

    shared = ray.put(data)
    waiting = {train.remote(shared, task): number for number, task in enumerate(tasks)}
    while waiting:
        done, _ = ray.wait(list(waiting), num_returns=1)
        for one in done:
            yield waiting.pop(one), ray.get(one)
