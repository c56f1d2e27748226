"""What the Python processes of an exchange are doing, looked at some hundred times a second from outside, by py-spy.

py-spy reads the other process's memory (ptrace rights: of one's own processes where Yama allows it, as root of all) without
stopping it: stopped for each sample, an idle actor used 0.7 of a core. Whether a thread runs it cannot tell from one that was woken
and waits for a core, so every sample is kept, and the system's own figure of each thread's processor time (`bench.profile.stages`).
"""

import contextlib
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Final, NamedTuple

from bench.report import BenchError

PER_S: Final = 200
"""Samples of each process."""
_END_LIMIT_S: Final = 20.0
MISSING: Final = "py-spy is missing, so that stages within a process are not told: pip install 'raypit[bench]'"


class Frame(NamedTuple):
    path: str
    """As `serve/orders.py`, from the root of the repository or of site-packages."""
    function: str


Stacks = Counter[tuple[Frame, ...]]
"""Stacks from the outermost frame to the innermost, and how often each was seen."""


class Seen(NamedTuple):
    """One process over a while."""

    threads: dict[int, Stacks]
    cpu_s: dict[int, float]
    """By thread, those without Python included."""
    seconds: float
    """In which they used it; the samples are of most of them."""


def program() -> str | None:
    beside = Path(sysconfig.get_path("scripts")) / "py-spy"
    return str(beside) if beside.exists() else shutil.which("py-spy")


class Sampler:
    """Looks at processes for `seconds`, from now on."""

    def __init__(self, pids: list[int], seconds: int) -> None:
        found = program()
        if found is None:
            raise BenchError(MISSING)
        self._seconds = seconds
        self._folder = tempfile.TemporaryDirectory(prefix="raypit-bench-")
        self._began = time.monotonic()
        self._before = {pid: thread_seconds(pid) for pid in pids}
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
            str(self._seconds),
            "--threads",
        ]
        command += [
            "--nonblocking",
            "--idle",
            "--full-filenames",
            "--nolineno",
            "--format",
            "raw",
            "--output",
            self._file(pid),
        ]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def _file(self, pid: int) -> str:
        return str(Path(self._folder.name) / str(pid))

    def seen(self) -> dict[int, Seen]:
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
                before = self._before[pid]
                used = {tid: after - before.get(tid, 0.0) for tid, after in thread_seconds(pid).items()}
                found[pid] = Seen(parsed(Path(self._file(pid)).read_text()), used, time.monotonic() - self._began)
        finally:
            for run in self._runs.values():
                if run.poll() is None:
                    run.kill()
                    run.wait()
            self._folder.cleanup()
        return found


def thread_seconds(pid: int) -> dict[int, float]:
    """Processor time of each thread so far."""
    found = {}
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with contextlib.suppress(OSError, IndexError):
            found[int(task.name)] = int((task / "schedstat").read_text().split()[0]) / 1e9
    return found


def _refused(said: str) -> str:
    last = said.strip().rpartition("\n")[2] or "no reason was told"
    return (
        f"py-spy could not look into a process of the exchange ({last}). Run it as root, or allow it: "
        "`sysctl kernel.yama.ptrace_scope=0`, in a container `--cap-add SYS_PTRACE`; or give --no-stages."
    )


def parsed(text: str) -> dict[int, Stacks]:
    """py-spy's raw format by thread: `thread (12): name;outer (file);inner (file) count` a line."""
    threads: defaultdict[int, Stacks] = defaultdict(Counter)
    for line in text.splitlines():
        frames, _, count = line.rpartition(" ")
        thread, *stack = frames.split(";")
        number = thread.partition("(")[2].partition(")")[0]
        if count.isdigit() and number:
            threads[int(number, 0)][tuple(_frame(part) for part in stack)] += int(count)
    return dict(threads)


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
