"""The embedded PostgreSQL: a cluster inside the data folder, reached by a Unix socket only.

The journal's truth lives here, so nothing in these settings trades durability for speed.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO
from urllib.parse import quote

from deploy.account import Account, give_folder, reachable_binary
from deploy.binaries import Binary, find_postgres
from deploy.data_dir import sync_folder
from deploy.embedded import EmbeddedServer, spawn
from deploy.errors import ServiceError

USER = DATABASE = "raypit"
PORT = 5432
"""No TCP port: it only names the socket."""

INIT_LIMIT_S = 120.0
ROOT = Path("/")
"""Working directory of its programs: one that every user may enter."""

_PASSWORD = "postgres-password"  # noqa: S105  the secret's name

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": str(PORT),
    "max_connections": "40",
    "shared_buffers": "64MB",
    # A query about all days of ticks locks each day's tables and indexes; years of them are not too many. 11 MB.
    "max_locks_per_transaction": "1024",
    # Containers give /dev/shm 64 MB, and Ray's object store lives there.
    "dynamic_shared_memory_type": "mmap",
    "max_parallel_workers_per_gather": "0",
    "max_wal_size": "1GB",
    "wal_compression": "pglz",
    # One flush of the file system instead of one per file: 1,300 of them before recovery even begins.
    "recovery_init_sync_method": "syncfs" if sys.platform == "linux" else "fsync",
    "autovacuum": "on",
    # Its workers have no lower priority than the journal's process: they rest longer between pages.
    "autovacuum_vacuum_cost_delay": "10ms",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_destination": "stderr",
    "logging_collector": "off",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}


class EmbeddedPostgres(EmbeddedServer):
    """`start()` returns a DSN for asyncpg."""

    name = "postgres"
    program = "postgres"
    preferred_users = ("postgres",)
    death_signal = signal.SIGINT  # fast shutdown
    stop_signals = (signal.SIGINT, signal.SIGQUIT)
    start_limit_s = 120.0  # a crash with max_wal_size to replay on a slow disk
    socket_name = f".s.PGSQL.{PORT}"

    def __init__(self, data_dir: Path, settings: Mapping[str, str] | None = None) -> None:
        """`settings` go over SETTINGS."""
        super().__init__(data_dir)
        self.settings = {**SETTINGS, **(settings or {})}
        self.binary: Binary | None = None
        """Set by `start()`."""

    def address(self) -> str:
        password = self.data.secret(_PASSWORD)
        return f"postgresql://{USER}:{password}@/{DATABASE}?host={quote(str(self._socket_folder), safe='')}"

    def _prepare(self, account: Account) -> None:
        password_known = self.data.has_secret(_PASSWORD)
        password = self.data.secret(_PASSWORD)
        major = self._cluster_major()
        self.binary = reachable_binary(find_postgres(major), account)
        if major is None:
            self._make_cluster(account, password)
        else:
            give_folder(self.folder, account)
            if not password_known:
                self._change_password(account, password)
        self._clear_reused_pid()

    def _launch(self, account: Account, output: IO[bytes]) -> subprocess.Popen[bytes]:
        assert self.binary is not None
        settings = self.settings | {
            "cluster_name": self.mark,
            "unix_socket_directories": self._socket_option(),
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with _way_into(self.folder, account) as (name, fds):
            command: list[str | Path] = [self.binary.path, "-D", name, *options]
            return spawn(command, ROOT, account, self.death_signal, output, pass_fds=fds)

    def _ready(self) -> bool:
        lines = self._pid_file()
        return len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    def _pid_file(self) -> list[str]:
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "postmaster.pid").read_text().splitlines()
        return []

    def _cluster_major(self) -> int | None:
        if not self.folder.exists():
            return None
        try:
            return int((self.folder / "PG_VERSION").read_text())
        except (FileNotFoundError, ValueError) as error:
            raise ServiceError(
                f"{self.folder} is not a whole PostgreSQL cluster (its PG_VERSION is missing or spoiled). "
                "Restore it from a backup, or use another folder with --data."
            ) from error

    def _make_cluster(self, account: Account, password: str) -> None:
        assert self.binary is not None
        # A cluster appears whole or not at all: an initdb that was cut short leaves only the draft.
        draft = self.folder.with_name(f"{self.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        give_folder(draft, account)
        options = [f"--username={USER}", "--auth=scram-sha-256", "--data-checksums"]
        options += ["--no-locale", "--encoding=UTF8"]
        if sys.platform == "linux" and self.binary.major >= 17:
            options.append("--sync-method=syncfs")
        with tempfile.TemporaryFile() as file:
            file.write(f"{password}\n".encode())
            file.seek(0)
            if account.switched:
                os.fchown(file.fileno(), account.uid, account.gid)
            options.append(f"--pwfile=/dev/fd/{file.fileno()}")
            initdb = self.binary.path.with_name("initdb")
            self._run([initdb], options, draft, account, pass_fds=(file.fileno(),))
        self._single_user(draft, account, f"CREATE DATABASE {DATABASE}")
        draft.rename(self.folder)
        sync_folder(self.data.path)

    def _change_password(self, account: Account, password: str) -> None:
        try:
            self._single_user(self.folder, account, f"ALTER USER {USER} PASSWORD '{password}'")
        except BaseException:
            self.data.forget_secret(_PASSWORD)  # else the next start would take it for the cluster's
            raise

    def _single_user(self, cluster: Path, account: Account, statement: str) -> None:
        assert self.binary is not None
        options = [
            "-c",
            "exit_on_error=on",
            "-c",
            "dynamic_shared_memory_type=mmap",
            "-c",
            "log_checkpoints=off",
        ]
        command: list[str | Path] = [self.binary.path, "--single"]
        self._run(command, [*options, "postgres"], cluster, account, feed=f"{statement}\n".encode())

    def _run(
        self,
        command: Sequence[str | Path],
        options: Sequence[str],
        cluster: Path,
        account: Account,
        feed: bytes = b"",
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Runs a program of PostgreSQL on the cluster to its end."""
        with self.log.open() as log, _way_into(cluster, account) as (name, fds):
            full = [*command, "-D", name, *options]
            process = spawn(full, ROOT, account, signal.SIGKILL, log, feed, (*pass_fds, *fds))
        try:
            code = process.wait(INIT_LIMIT_S)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            process.kill()
            process.wait()
        if code != 0:
            outcome = f"ended with exit code {code}" if code is not None else f"took longer than {INIT_LIMIT_S:.0f} s"
            raise ServiceError(
                f"{Path(command[0]).name} {outcome} in {cluster}. Mend what it says (disk space?), "
                f"then start again. The end of {self.log.path}:\n{self.log.tail()}"
            )

    def _clear_reused_pid(self) -> None:
        """Removes a killed postmaster's pid file when another program has its pid now (usual in containers).

        PostgreSQL would take that program for itself and refuse. The lock and the process table just said
        that no server of this cluster runs. Any other stale file is left for PostgreSQL to judge.
        """
        lines = self._pid_file()
        if lines and Path("/proc/self").exists() and Path("/proc", lines[0].strip()).exists():
            (self.folder / "postmaster.pid").unlink(missing_ok=True)
            (self._socket_folder / f"{self.socket_name}.lock").unlink(missing_ok=True)


@contextlib.contextmanager
def _way_into(cluster: Path, account: Account) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The cluster's name for the account's processes, and the descriptors they inherit for it.

    A switched user may have no way to it by its path; by an inherited descriptor it needs none, and all
    children of PostgreSQL inherit it in turn. (The working directory would do for PostgreSQL 16 and newer;
    older ones leave it to resolve their own path and cannot come back.)
    """
    if not account.switched:
        yield str(cluster), ()
        return
    fd = os.open(cluster, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{fd}", (fd,)
    finally:
        os.close(fd)
