"""The fork server as one of the supervisor's servers: see `deploy.fork_server`."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

from deploy.embedded import dies_with
from deploy.fork_server import environment
from deploy.ray_worker import ADDRESS

BACKLOG: Final = 128
STOP_S: Final = 5.0
WORKER: Final = Path(__file__).with_name("ray_worker.py")
"""For the raylet to start."""


class ForkServer:
    """Started after `ray_runtime.prepare_environment` (Ray reads most of it at import) and before Ray."""

    name = "fork server"

    def __init__(self, socket_path: Path, log: Path) -> None:
        self._path = socket_path
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, kernels: bool = True) -> None:
        """Returns at once: who asks waits in the socket's queue. `kernels`: they are compiled already, so load them."""
        self._path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as listener, self._log.open("ab") as log:
            listener.bind(str(self._path))
            self._path.chmod(0o600)
            listener.listen(BACKLOG)
            self._process = subprocess.Popen(  # noqa: S603  a module of our own
                [sys.executable, "-m", "deploy.fork_server", str(listener.fileno()), "kernels" if kernels else "none"],
                env=environment(os.getpid()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[listener.fileno()],
                process_group=0,  # of the same session: sessions may be scheduled as groups, and the workers belong to one
                preexec_fn=dies_with(os.getpid(), signal.SIGKILL),
            )
        os.environ[ADDRESS] = str(self._path)

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """The workers go on: they are Ray's."""
        os.environ.pop(ADDRESS, None)
        self._path.unlink(missing_ok=True)
        if self._process is not None:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_S)
