"""The Ray Serve deployment of the predictor: its life, its health, how many there are. It is asked over its own streams.

A call through a handle of Serve costs some milliseconds of processor time on both sides, a frame on a stream some tens of
microseconds; so Serve starts, watches, restarts and scales the replicas, and the gateways find their sockets.
"""

import os
import secrets
from typing import Any, Final

import structlog
from ray import serve as ray_serve
from ray.serve.config import AutoscalingConfig, AutoscalingContext, AutoscalingPolicy

from actors.config import Settings
from actors.logs import configure

log = structlog.get_logger()

APP_NAME: Final = "raypit-predictor"
DEPLOYMENT: Final = "predictor"
SOCKETS: Final = "predictor-*.sock"
"""In the run folder: of every replica."""
BUSY: Final = 0.6
"""Share of a core that a replica's answers should take; above it there should be more of them."""
NICE: Final = 5
"""Predictions give way to the order path when the machine is full."""
_CORES_LEFT: Final = 1
"""For everything else."""


def most_replicas() -> int:
    return max(1, min(8, (os.cpu_count() or 1) - _CORES_LEFT))


def replicas_wanted(context: AutoscalingContext) -> tuple[int, dict[str, Any]]:
    """As many as keep each of them `BUSY`: an autoscaling policy of Serve."""
    told = context.aggregated_metrics.get("busy", {}) if context.aggregated_metrics else {}
    wanted = max(1, -(-sum(told.values()) // BUSY)) if told else context.current_num_replicas or 1
    least, most = context.capacity_adjusted_min_replicas, context.capacity_adjusted_max_replicas
    return int(min(max(wanted, least), most)), {}


class PredictorReplica:
    """One replica: `predictor-<random>`."""

    def __init__(self, settings: Settings) -> None:
        os.environ["OMP_NUM_THREADS"] = "1"
        os.nice(NICE)
        from actors.predictor import PredictorService
        from actors.remote import ServiceThread

        name = f"{DEPLOYMENT}-{secrets.token_hex(4)}"
        configure(settings.data_dir, DEPLOYMENT)
        self._thread = ServiceThread(lambda: PredictorService(settings, name))
        self._service: Any = self._thread.service
        self._busy = BusyShare()

    def check_health(self) -> None:
        """A service that failed has ended the process; Serve sees that by itself."""

    def record_autoscaling_stats(self) -> dict[str, float]:
        return {"busy": self._busy.since_last()}

    def pid(self) -> int:
        return os.getpid()

    def __del__(self) -> None:
        thread = getattr(self, "_thread", None)
        if thread is not None:
            thread.do(thread.service.stop(), 5.0)


class BusyShare:
    """Processor time of this process by the wall's."""

    def __init__(self) -> None:
        self._last = os.times()

    def since_last(self) -> float:
        old, new = self._last, os.times()
        self._last = new
        used = (new.user + new.system) - (old.user + old.system)
        return used / max(1e-3, new.elapsed - old.elapsed)


def deployment(settings: Settings) -> Any:
    """The Serve application for `ray_serve.run_many`."""
    made = ray_serve.deployment(
        name=DEPLOYMENT,
        autoscaling_config=AutoscalingConfig(
            min_replicas=1,
            max_replicas=most_replicas(),
            upscale_delay_s=10,
            downscale_delay_s=300,
            policy=AutoscalingPolicy(policy_function=replicas_wanted),
        ),
        ray_actor_options={"num_cpus": 0},
        health_check_period_s=1,
        health_check_timeout_s=10,
        graceful_shutdown_timeout_s=2,
        logging_config={"enable_access_log": False, "log_level": "WARNING"},
    )(PredictorReplica)
    return made.bind(settings)


def start(settings: Settings) -> None:
    """Beside the gateway; does not wait until it answers."""
    target = ray_serve.RunTarget(deployment(settings), name=APP_NAME, route_prefix=None)
    ray_serve.run_many([target], wait_for_ingress_deployment_creation=False, wait_for_applications_running=False)
