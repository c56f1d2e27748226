"""Kernels that are not compiled yet, compiled beside the start of everything else and side by side: on a first start that takes longest."""

import os
import signal
import subprocess
import sys
from typing import Final

from deploy import warm
from deploy.data_dir import DataDir
from deploy.embedded import dies_with
from deploy.errors import ServiceError

TOLD_CHARS: Final = 2000


class Compiling:
    """Begins at once; the processes end with this one."""

    def __init__(self, data: DataDir) -> None:
        self._log = data.path / "logs" / "warm.log"
        notes = warm.notes(otherwise=data.path / "kernels")
        with self._log.open("wb") as log:
            self._processes = [
                subprocess.Popen(  # noqa: S603  a module and a part of our own
                    [sys.executable, "-m", "deploy.warm", part, str(notes)],
                    stdout=log,
                    stderr=log,
                    preexec_fn=dies_with(os.getpid(), signal.SIGKILL),
                )
                for part in warm.missing(notes)
            ]

    @property
    def needed(self) -> bool:
        return bool(self._processes)

    def wait(self) -> None:
        """Until all are there; ServiceError with the compiler's words."""
        failures = [one.wait() for one in self._processes]
        if any(failures):
            text = self._log.read_text(errors="replace")[-TOLD_CHARS:]
            raise ServiceError(f"the matching engine does not compile here:\n{text}")
