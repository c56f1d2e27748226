"""What the embedded servers have in common: a private folder, a log, a process that dies with this one.

A first start, a restart and a recovery after a crash are one path: take the service's lock, end what a killed
supervisor may have left, prepare the folder, start the server, await its readiness.
"""

import contextlib
import ctypes
import hashlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from deploy.account import Account, give_folder, service_account
from deploy.data_dir import DataDir, FileLock
from deploy.errors import ServiceError

SOCKET_PATH_BYTES = 107
"""What fits into sockaddr_un on Linux beside the final zero."""

SHORT_BASE = Path("/tmp")  # noqa: S108  a folder there that is not ours is refused
"""Where the socket of a data folder with a long path goes when there is no better place."""

LOG_BYTES = 8 << 20
"""A log past this size moves to `<name>.log.1`; so at most two of them are kept."""

LOG_TAIL_LINES = 20
STEP_S = 0.005
STOP_S = 30.0
ORPHANS_S = 15.0

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_KEPT_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "TMPDIR", "TZ")


def wait_until(condition: Callable[[], bool], limit_s: float) -> bool:
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(STEP_S)
    return True


class Log:
    """A file the server appends to; only this process opens it, the server inherits it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._begin = 0

    def open(self) -> IO[bytes]:
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        self._begin = os.fstat(fd).st_size
        return os.fdopen(fd, "wb")

    def tail(self) -> str:
        """The last lines since it was opened."""
        with contextlib.suppress(FileNotFoundError), self.path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(min(self._begin, size), size - 16_384))
            lines = file.read().decode(errors="replace").splitlines()
            return "\n".join(f"  {line}" for line in lines[-LOG_TAIL_LINES:])
        return ""

    def rotate_when_large(self) -> None:
        # The server keeps its descriptor, so the content moves, not the file; it appends from zero then.
        with contextlib.suppress(FileNotFoundError):
            if self.path.stat().st_size > LOG_BYTES:
                shutil.copyfile(self.path, self.path.with_suffix(".log.1"))
                os.truncate(self.path, 0)


class EmbeddedServer(ABC):
    """A server in its own session that the kernel ends when this process ends, even by SIGKILL.

    Start it from the main thread: the kernel's promise is tied to the thread that forks.
    """

    name: str
    program: str
    """How the server's processes are called in the process table."""
    preferred_users: tuple[str, ...]
    death_signal: signal.Signals
    stop_signals: tuple[signal.Signals, ...]
    start_limit_s: float
    socket_name: str

    def __init__(self, data_dir: Path) -> None:
        self.data = DataDir(data_dir)
        self.folder = self.data.path / self.name
        self.mark = f"raypit-{self.name}-{hashlib.sha256(os.fsencode(self.data.path)).hexdigest()[:12]}"
        """Stands in the command line of every process of this data folder's server of that name."""
        self.log = Log(self.data.private_folder("logs") / f"{self.name}.log")
        self._lock = FileLock(self.data.path / f"{self.name}.lock")
        self._process: subprocess.Popen[bytes] | None = None
        self._socket_folder = self.folder

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def alive(self) -> bool:
        """Whether the server's process runs. Called now and then, it also keeps the log small."""
        self.log.rotate_when_large()
        return self._process is not None and self._process.poll() is None

    def start(self) -> str:
        """Starts the server unless it runs, awaits its readiness and returns its address.

        Raises ServiceError with the end of the log, BinaryError, DataDirInUse.
        """
        if not self.alive():
            try:
                self._start()
            except BaseException:
                self.stop()
                raise
        return self.address()

    def stop(self) -> None:
        """Ends the server in good order, by force when it takes longer than STOP_S. Again: nothing."""
        if self._process is not None:
            self._end(self._process)
            self._process = None
        if self._socket_folder != self.folder:
            with contextlib.suppress(OSError):
                self._socket_folder.rmdir()
        self._lock.release()

    @abstractmethod
    def address(self) -> str:
        """What a client library takes."""

    @abstractmethod
    def _prepare(self, account: Account) -> None:
        """Finds the binary and makes the folder ready."""

    @abstractmethod
    def _launch(self, account: Account, output: IO[bytes]) -> subprocess.Popen[bytes]:
        """Starts the server by `spawn`."""

    @abstractmethod
    def _ready(self) -> bool:
        """Whether the process started last answers."""

    def _start(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError(f"start {self.name} from the main thread: it would end together with this one")
        self._process = None
        self._lock.acquire(f"{self.name} of raypit")
        self._end_orphans()
        account = service_account(self.folder, self.preferred_users)
        self._socket_folder = self._choose_socket_folder(account)
        self._prepare(account)
        with self.log.open() as log:
            self._process = process = self._launch(account, log)
        wait_until(lambda: process.poll() is not None or self._ready(), self.start_limit_s)
        if process.poll() is not None:
            raise ServiceError(
                f"{self.name} ended while starting (exit code {process.returncode}). "
                f"Mend what its log says, then start again. The end of {self.log.path}:\n{self.log.tail()}"
            )
        if not self._ready():
            raise ServiceError(
                f"{self.name} was not ready after {self.start_limit_s:.0f} s. "
                f"If the machine is busy, start again. The end of {self.log.path}:\n{self.log.tail()}"
            )

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        for number in (*self.stop_signals, signal.SIGKILL):
            if process.poll() is None:
                process.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(STOP_S)
        process.wait()

    def _end_orphans(self) -> None:
        """Ends servers of this data folder that outlived their supervisor; the lock says nobody uses them."""
        for pid, title in self._processes().items():
            if not title.startswith(f"{self.program}: "):  # the leader; its children follow it
                _signal(pid, self.stop_signals[0])
        if not wait_until(lambda: not self._processes(), ORPHANS_S):
            for pid in self._processes():
                _signal(pid, signal.SIGKILL)
            if not wait_until(lambda: not self._processes(), ORPHANS_S):
                raise ServiceError(
                    f"Processes {sorted(self._processes())} of an earlier {self.name} do not end. "
                    "End them, or restart the machine, then start again."
                )

    def _processes(self) -> dict[int, str]:
        """pid -> title of every living process of this server, also those an earlier supervisor left.

        Empty where there is no /proc: the server's own interlocks must do there.
        """
        found = {}
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                line = entry.read_bytes().decode(errors="replace")
                title = line.partition("\0")[0]
                named = title.startswith(self.program) or Path(title).name.startswith(self.program)
                if named and self.mark in line:
                    found[int(entry.parent.name)] = title
        return found

    def _choose_socket_folder(self, account: Account) -> Path:
        if len(os.fsencode(self.folder / self.socket_name)) <= SOCKET_PATH_BYTES:
            return self.folder
        runtime = Path("/run" if account.switched else os.environ.get("XDG_RUNTIME_DIR", SHORT_BASE))
        base = runtime if runtime.is_dir() and os.access(runtime, os.W_OK) else SHORT_BASE
        folder = base / self.mark
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o077 or found.st_uid not in (os.geteuid(), account.uid):
            raise ServiceError(f"{folder} is not a private folder of ours. Remove it, then start again.")
        give_folder(folder, account)
        return folder

    def _socket_option(self) -> str:
        """The socket's folder as the server names it: relative, for it may have no way to our folders."""
        return "." if self._socket_folder == self.folder else str(self._socket_folder)


def spawn(
    command: Sequence[str | Path],
    cwd: Path,
    account: Account,
    death_signal: signal.Signals,
    output: IO[bytes],
    feed: bytes = b"",
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Starts the command as the account, in its own session, its life bound to this process."""
    process = subprocess.Popen(  # noqa: S603  our own command line
        command,
        cwd=cwd,
        env={name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ} | {"LC_ALL": "C"},
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        umask=0o077,
        user=account.uid if account.switched else None,
        group=account.gid if account.switched else None,
        extra_groups=[] if account.switched else None,
        pass_fds=pass_fds,
        preexec_fn=dies_with(os.getpid(), death_signal),
    )
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin:  # ended already: its log says why
        process.stdin.write(feed)
    return process


def dies_with(parent: int, number: signal.Signals) -> Callable[[], None]:
    def arrange() -> None:
        # After the change of user, which would clear it.
        if sys.platform == "linux":
            _LIBC.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
            if os.getppid() != parent:  # it died before we asked
                os._exit(1)

    return arrange


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
