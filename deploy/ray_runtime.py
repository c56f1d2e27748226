"""Our own Ray: its environment, its start and end. Import this before `ray`: most settings are read at import."""

import os
import socket
from typing import Any, Final

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
}

OBJECT_STORE_BYTES: Final = 80 * 1024 * 1024
"""The least that Ray takes; the exchange keeps nothing there."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def prepare_environment() -> None:
    """Before `ray` is imported. What the user has set stays."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for name in (
        "RAY_SERVE_HAPROXY_STATS_PORT",
        "RAY_SERVE_HAPROXY_METRICS_PORT",
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT",
        "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT",
    ):
        os.environ.setdefault(name, str(free_port()))


def start(address: str | None, dashboard: bool) -> str | None:
    """Start a local Ray, or join the one at `address`; returns the dashboard's address."""
    import ray

    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "namespace": "raypit"}
    if address is not None:
        context = ray.init(address=address, **options)
    else:
        context = ray.init(
            address="local",
            num_cpus=max(2, os.cpu_count() or 2),
            object_store_memory=OBJECT_STORE_BYTES,
            _node_ip_address="127.0.0.1",  # or Ray's own ports are open on every interface
            include_dashboard=dashboard,
            dashboard_host="127.0.0.1",
            dashboard_port=free_port() if dashboard else None,
            **options,
        )
    url = context.dashboard_url
    return f"http://{url}" if url else None
