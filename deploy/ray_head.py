"""A Ray node of our own with only the processes the exchange needs.

`ray.init` starts an autoscaler monitor, a log monitor and a dashboard of ten processes, and has no option to leave
them out. This does with Ray's own parts what `ray.init` and `ray start` do (both stand on `Node`), and starts the
dashboard as the program that it is, with the modules whose pages show something here. Tied to the Ray version that is
pinned; everything private to Ray that we touch is in this file.
"""

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

DASHBOARD_MODULES: Final = ("NodeHead", "UsageStatsHead")
"""Cluster and actors pages; the second is asked by every page and is no process. Each other module costs 90 MB."""
AGENTS_NICE: Final = 10


class AgentPorts(NamedTuple):
    """Of the dashboard agent and the runtime environment agent; 0: each chooses, and the raylet waits for it.

    The raylet takes no work before it has read them, from files that the agents leave when they have started: seconds. So we
    choose, and leave the files.
    """

    metrics_agent_port: int = 0
    metrics_export_port: int = 0
    dashboard_agent_listen_port: int = 0
    runtime_env_agent_port: int = 0


@contextlib.contextmanager
def _gently(services: Any) -> Iterator[None]:
    """To start the raylet in: its two agents, which nobody waits for, give way to everything else."""
    build, program = services._build_python_executable_command_memory_profileable, shutil.which("nice")

    def command(*args: Any, **named: Any) -> list[str]:
        prefix = [program, "-n", str(AGENTS_NICE)] if program else []
        return [*prefix, *build(*args, **named)]

    services._build_python_executable_command_memory_profileable = command
    try:
        yield
    finally:
        services._build_python_executable_command_memory_profileable = build


class RayHead:
    """GCS, raylet and agents, in `folder`; ends with this process, however it ends."""

    def __init__(
        self,
        folder: Path,
        num_cpus: int,
        object_store_bytes: int,
        agent_ports: "AgentPorts | None" = None,
        worker: Path | None = None,
    ) -> None:
        """`worker`: a program for the raylet to start in the place of Ray's own `default_worker.py`."""
        from ray import _raylet
        from ray._private import node, parameter, services
        from ray._private.authentication import authentication_token_setup as tokens

        class Head(node.Node):  # type: ignore[misc]
            def start_api_server(self, **_: Any) -> None:
                self._webui_url = ""

            def start_raylet(self, *args: Any, **named: Any) -> None:
                for name, port in (agent_ports or AgentPorts())._asdict().items():
                    if port:
                        what = getattr(_raylet, f"{name.upper()}_NAME")
                        _raylet.persist_port(self._session_dir, self._node_id, what, port)  # type: ignore[attr-defined]
                with _gently(services):
                    super().start_raylet(*args, **named)

        tokens.enable_token_auth_by_default()
        tokens.ensure_token_if_auth_enabled({}, create_token_if_missing=True)
        self._ip = services.resolve_ip_for_localhost("127.0.0.1")
        self._folder = folder
        self._node = Head(
            parameter.RayParams(
                node_ip_address=self._ip,
                num_cpus=num_cpus,
                object_store_memory=object_store_bytes,
                include_dashboard=False,
                temp_dir=str(folder),
                no_monitor=True,
                include_log_monitor=False,
                worker_path=str(worker) if worker else None,
                **(agent_ports or AgentPorts())._asdict(),
            ),
            head=True,
            shutdown_at_exit=False,
            spawn_reaper=True,
            ray_init_cluster=True,
        )
        self.address: str = self._node.gcs_address

    def start_dashboard(self, port: int) -> str:
        """Its URL; the page answers a few seconds later."""
        import ray
        from ray._private import services

        services.start_ray_process(
            [
                sys.executable,
                str(Path(ray.__file__).parent / "dashboard" / "dashboard.py"),
                "--host=127.0.0.1",
                f"--port={port}",
                "--port-retries=0",
                f"--temp-dir={self._folder}",
                f"--log-dir={self._node.get_logs_dir_path()}",
                f"--session-dir={self._node.get_session_dir_path()}",
                f"--gcs-address={self.address}",
                f"--cluster-id-hex={self._node.cluster_id.hex()}",
                f"--node-ip-address={self._ip}",
                f"--modules-to-load={','.join(DASHBOARD_MODULES)}",
            ],
            "dashboard",
            fate_share=self._node.kernel_fate_share,
            stdout_file=subprocess.DEVNULL,
            stderr_file=subprocess.DEVNULL,
        )
        return f"http://127.0.0.1:{port}"

    def stop(self) -> None:
        """The dashboard ends by itself when the GCS is gone."""
        self._node.kill_all_processes(check_alive=False, allow_graceful=True)
