"""What the Python processes of an exchange are doing, looked at some hundred times a second from outside, by py-spy.

py-spy reads the other process's memory (ptrace rights: a process of one's own that a profiled exchange runs, or root) without
stopping it, and counts a thread only while the system calls it runnable.
"""

import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections import Counter
from pathlib import Path
from typing import Final, NamedTuple

from bench.report import BenchError

PER_S: Final = 250
"""Samples of each process."""
_END_LIMIT_S: Final = 20.0
MISSING: Final = "py-spy is missing, so that stages within a process are not told: pip install 'raypit[bench]'"


class Frame(NamedTuple):
    path: str
    """As `serve/orders.py`, from the root of the repository or of site-packages."""
    function: str


Stacks = Counter[tuple[Frame, ...]]
"""Stacks from the outermost frame to the innermost, and how often each was seen."""


def program() -> str | None:
    beside = Path(sysconfig.get_path("scripts")) / "py-spy"
    return str(beside) if beside.exists() else shutil.which("py-spy")


class Sampler:
    """Looks at processes for `seconds`, from now on."""

    def __init__(self, pids: list[int], seconds: float) -> None:
        found = program()
        if found is None:
            raise BenchError(MISSING)
        self._seconds = seconds
        self._folder = tempfile.TemporaryDirectory(prefix="raypit-bench-")
        self._runs = {pid: self._start(found, pid) for pid in pids}

    def _start(self, found: str, pid: int) -> "subprocess.Popen[str]":
        command = [
            found,
            "record",
            "--pid",
            str(pid),
            "--rate",
            str(PER_S),
            "--duration",
            f"{max(1, self._seconds):.0f}",
        ]
        command += ["--nonblocking", "--full-filenames", "--nolineno", "--format", "raw", "--output", self._file(pid)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def _file(self, pid: int) -> str:
        return str(Path(self._folder.name) / str(pid))

    def stacks(self) -> dict[int, Stacks]:
        """By process, once the time is over. BenchError when a process cannot be looked into."""
        found = {}
        try:
            for pid, run in self._runs.items():
                try:
                    _, said = run.communicate(timeout=self._seconds + _END_LIMIT_S)
                except subprocess.TimeoutExpired:
                    run.kill()
                    _, said = run.communicate()
                if not Path(self._file(pid)).exists():
                    raise BenchError(_refused(said))
                found[pid] = parsed(Path(self._file(pid)).read_text())
        finally:
            for run in self._runs.values():
                if run.poll() is None:
                    run.kill()
                    run.wait()
            self._folder.cleanup()
        return found


def _refused(said: str) -> str:
    last = said.strip().rpartition("\n")[2] or "no reason was told"
    return (
        f"py-spy could not look into a process of the exchange ({last}). Run it as root, or allow it: "
        "`sysctl kernel.yama.ptrace_scope=0`, in a container `--cap-add SYS_PTRACE`; or give --no-stages."
    )


def parsed(text: str) -> Stacks:
    """py-spy's raw format: `outer (file);inner (file) count` a line."""
    stacks: Stacks = Counter()
    for line in text.splitlines():
        frames, _, count = line.rpartition(" ")
        if count.isdigit():
            stacks[tuple(_frame(part) for part in frames.split(";"))] += int(count)
    return stacks


def _frame(text: str) -> Frame:
    function, _, path = text.partition(" (")
    return Frame(_short(path.rstrip(")").partition(":")[0]), function)


_ROOT: Final = str(Path(__file__).parents[2]) + "/"
_PLACES: Final = (*(f"{one}/" for one in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}), _ROOT)


def _short(path: str) -> str:
    for place in _PLACES:
        if path.startswith(place):
            return path[len(place) :]
    return path.rpartition(f"/python{sys.version_info[0]}.{sys.version_info[1]}/")[2]
