"""The data folder: one private directory that one running Raypit owns; its lock and its secrets.

Knows nothing of what the services keep inside.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import secrets
import stat
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.errors import DataDirError, DataDirInUse

LOCK_RETRY_S = 0.25
"""`holder()` takes the lock for an instant; a start must not mistake that for a running Raypit."""

_SECRET_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")


class FileLock:
    """An exclusive advisory lock that the kernel drops with the process, however it ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    @property
    def held(self) -> bool:
        return self._fd is not None

    def acquire(self, purpose: str) -> None:
        """Takes the lock and writes pid and purpose into the file. Again while held: nothing.

        Raises DataDirInUse with the pid of the holder.
        """
        if self._fd is not None:
            return
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            self._wait_for(fd)
        except BaseException:
            os.close(fd)
            raise
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n{purpose}\n".encode(), 0)
        self._fd = fd

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def holder(self) -> int | None:
        """The pid of the process that holds the lock now (this one included), else None."""
        if self._fd is not None:
            return os.getpid()
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        try:
            return None if _try_lock(fd) else _written_pid(fd)
        finally:
            os.close(fd)

    def _wait_for(self, fd: int) -> None:
        deadline = time.monotonic() + LOCK_RETRY_S
        while not _try_lock(fd):
            if time.monotonic() > deadline:
                pid = _written_pid(fd)
                raise DataDirInUse(
                    f"{self.path.parent} is already in use by pid {pid or 'unknown'}. "
                    f"Use another folder with --data, or stop that one with: raypit down",
                    pid,
                )
            time.sleep(0.01)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise DataDirError(
            f"The data folder's file system cannot lock files ({error.strerror}). "
            "Choose a folder on a local disk with --data."
        ) from error
    return True


def _written_pid(fd: int) -> int | None:
    first = os.pread(fd, 32, 0).partition(b"\n")[0]
    return int(first) if first.isdigit() else None


class DataDir:
    """Creates the folder (0700) or accepts one that an earlier Raypit made; refuses any other."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()
        _create(self.path)
        self._lock = FileLock(self.path / "lock")

    def lock(self) -> None:
        """Raises DataDirInUse while another process has it."""
        self._lock.acquire("raypit up")

    def unlock(self) -> None:
        self._lock.release()

    def holder(self) -> int | None:
        """Who runs on this folder now: its pid, else None."""
        return self._lock.holder()

    def __enter__(self) -> Self:
        self.lock()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unlock()

    def private_folder(self, name: str) -> Path:
        """A folder inside, 0700, made when missing."""
        folder = self.path / name
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def has_secret(self, name: str) -> bool:
        return self._secret_path(name).exists()

    def secret(self, name: str, n_bytes: int = 32) -> str:
        """The secret of that name: n_bytes of randomness in URL-safe base64, made at the first call.

        Creation is atomic: of several processes that ask at once all get the same.
        """
        path = self._secret_path(name)
        if not path.exists():
            _create_once(path, secrets.token_urlsafe(n_bytes))
        if path.stat().st_mode & 0o077:
            raise DataDirError(
                f"Others may read the secret {path}. Make it private again with: chmod 600 '{path}' "
                "(and replace it if someone may have read it)."
            )
        text = path.read_text().strip()
        if not text:
            raise DataDirError(f"The secret {path} is empty. Restore it from a backup, or delete it to get a new one.")
        return text

    def token_secret(self) -> bytes:
        """What the exchange signs access tokens with, and seals the secrets of API keys under."""
        return hashlib.sha256(self.secret("token").encode()).digest()

    def forget_secret(self, name: str) -> None:
        self._secret_path(name).unlink(missing_ok=True)

    def _secret_path(self, name: str) -> Path:
        if not _SECRET_NAME.fullmatch(name):
            raise ValueError(f"a secret's name is lower-case letters, digits, '_', '-', '.': {name!r}")
        return self.private_folder("secrets") / name


def _create(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = (path / "lock").exists()
        strangers = [] if known else [entry for entry in os.listdir(path) if entry != "lost+found"]
    except FileExistsError as error:
        raise DataDirError(f"{path} is a file. Choose a folder with --data.") from error
    except PermissionError as error:
        raise DataDirError(
            f"{error.filename}: permission denied. Choose a folder you own with --data, or run as its owner."
        ) from error
    found = path.stat()
    if found.st_uid != os.geteuid():
        raise DataDirError(
            f"{path} belongs to user id {found.st_uid} and Raypit runs as {os.geteuid()}. "
            f"Run as that user, or use a folder inside it: --data '{path}/raypit'"
        )
    # An existing folder's mode is its owner's business (a mount point?); what we put inside is private.
    if stat.S_IMODE(found.st_mode) & 0o022:
        raise DataDirError(
            f"Others may write to {path}. Use a folder inside it: --data '{path}/raypit', "
            f"or take the right away with: chmod go-w '{path}'"
        )
    if strangers:
        raise DataDirError(
            f"{path} is not empty and no Raypit made it ({min(strangers)} is there). "
            f"Use a new folder: --data '{path}/raypit'"
        )
    if not known:
        os.close(os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600))


def _create_once(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(fd, "w") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # someone else was first: theirs counts
            os.link(draft, path)
    finally:
        draft.unlink()
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes a rename or a new name inside it survive a power cut."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
