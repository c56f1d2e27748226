"""Ray's environment, its start and end. Import this before `ray`: most settings are read at import."""

import contextlib
import os
import random
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import structlog

from deploy.errors import RayError
from deploy.forking import WORKER
from deploy.ray_head import AgentPorts, RayHead
from deploy.ray_worker import ADDRESS

log = structlog.get_logger()

ENVIRONMENT: Final = {
    # Ray starts workers at nice 15: anything else on the machine would starve the actors.
    "RAY_worker_niceness": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # The gateway replica serves its sockets itself, HAProxy routes to it.
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_HAPROXY_NBTHREAD": "1",
    # Limits, bans and the addresses of API keys need the client's address. Serve has no option for it, but puts this text
    # into HAProxy's `defaults` section as it is; what HAProxy appends is the last X-Forwarded-For, and only that is read.
    "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure\n    option forwardfor",
    # A changed replica set must not cut the sockets of the others.
    "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "86400",
    "RAY_SERVE_PORT_QUARANTINE_S": "0",
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "1",
    "RAY_SERVE_CONTROLLER_CALLBACK_IMPORT_PATH": "serve.pace:controller",
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "serve.uvicorn_defaults:callback",
    # What an idle cluster spends most of its time with.
    "RAY_task_events_report_interval_ms": "0",
    "RAY_enable_timeline": "0",
    "RAY_event_stats": "0",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_enable_metrics_collection": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # How long a driver looks for its raylet: 30 s is not enough on a machine that is busy with something else.
    "RAY_raylet_start_wait_time_s": "90",
    # Few threads of these processes allocate; an arena for each only holds memory.
    "MALLOC_ARENA_MAX": "2",
}

JOIN_PROBE_S: Final = 5.0
ATTEMPTS: Final = 2
"""The second one finds Ray's files in the page cache."""

OBJECT_STORE_BYTES: Final = 80 * 1024 * 1024
"""The least that Ray takes; the exchange keeps nothing there."""


PORTS: Final = range(20_000, 30_000)
"""Below those that the system gives to connections: one of these, found free now, is still free when it is bound."""


def free_port() -> int:
    """On all interfaces, as Ray Serve's HAProxy binds its statistics."""
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            return port
    raise RayError(f"none of the ports {PORTS.start} to {PORTS.stop - 1} is free; end what uses them.")


def prepare_environment(folder: Path) -> None:
    """Before `ray` is imported. What the user has set stays; `folder`: for HAProxy's sockets, a short path."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for name in (
        "RAY_SERVE_HAPROXY_STATS_PORT",
        "RAY_SERVE_HAPROXY_METRICS_PORT",
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT",
        "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT",
    ):
        os.environ.setdefault(name, str(free_port()))
    for name, file in (
        ("CONFIG_FILE_LOC", "haproxy.cfg"),
        ("SOCKET_PATH", "admin.sock"),
        ("METRICS_SOCKET_PATH", "metrics.sock"),
        ("SERVER_STATE_BASE", ""),
        ("SERVER_STATE_FILE", "server-state"),
    ):
        os.environ.setdefault(f"RAY_SERVE_HAPROXY_{name}", str(folder / file))


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Ray's driver takes SIGTERM to end the process at once, and nobody would end what was started."""
    held = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, held)


class RayRuntime:
    """A Ray of our own with its files in `folder`, or the one at `address`."""

    def __init__(self, address: str | None, dashboard: bool, folder: Path) -> None:
        self._address = address
        self._dashboard = dashboard
        self._folder = folder
        self._head: RayHead | None = None
        self._joined_dashboard: str | None = None

    def start(self) -> None:
        """Start or join it. RayError when it cannot be had."""
        attempts = ATTEMPTS if self._address is None else 1  # joining, Ray itself tries for a minute
        for attempt in range(1, attempts + 1):
            try:
                with _own_signals():
                    self._start()
                return
            except Exception as error:  # Ray tells of a slow start by half a dozen kinds, bare Exception among them
                log.warning("Ray did not start", attempt=attempt, error=repr(error))
                with contextlib.suppress(Exception):
                    self.stop()
                if attempt == attempts:
                    raise RayError(self._told(error)) from error
        raise AssertionError("unreachable")

    def _start(self) -> None:
        import ray

        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "namespace": "raypit"}
        if self._address is not None:
            _must_listen(self._address)
            url = ray.init(address=self._address, **options).dashboard_url
            self._joined_dashboard = f"http://{url}" if url else None
            return
        agents = AgentPorts(*(free_port() for _ in AgentPorts._fields))
        worker = WORKER if ADDRESS in os.environ else None
        self._head = RayHead(self._folder, max(2, os.cpu_count() or 2), OBJECT_STORE_BYTES, agents, worker)
        ray.init(address=self._head.address, **options)

    def start_dashboard(self) -> str | None:
        """Where it answers in a few seconds; nothing waits for it, so it comes last. None: there is to be none."""
        if self._head is None or not self._dashboard:
            return self._joined_dashboard
        return self._head.start_dashboard(free_port())

    def stop(self) -> None:
        import ray

        with contextlib.suppress(Exception):
            ray.shutdown()
        if self._head is not None:
            head, self._head = self._head, None
            head.stop()

    def _told(self, error: Exception) -> str:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        if self._address is not None:
            return (
                f"cannot join the Ray at {self._address}: {reason} "
                "Look whether it runs (`ray status`), or leave --ray away to get a Ray of our own."
            )
        load = os.getloadavg()[0]
        return (
            f"Ray did not start in {ATTEMPTS} attempts: {reason} "
            f"The load of this machine is {load:.1f} on {os.cpu_count()} cores; Ray needs most of a core for a few "
            "seconds. End what keeps the machine busy and start again, or join a Ray that runs with --ray ADDRESS. "
            f"Ray's own logs: {self._folder}/session_latest/logs"
        )


def _must_listen(address: str) -> None:
    """OSError at once where nobody is; Ray would look for a minute. Other forms than host:port are Ray's business."""
    host, _, port = address.rpartition(":")
    if host and "/" not in host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=JOIN_PROBE_S).close()
