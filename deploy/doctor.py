"""Examines the machine before a start: what was found, what to do about it. Prints nothing."""

import contextlib
import os
import platform
import resource
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import msgspec

from deploy.binaries import Binary, find_postgres, find_valkey
from deploy.errors import BinaryError

PYTHON_OLDEST = (3, 11)
PYTHON_BELOW = (3, 15)
CORES_LEAST = 2
MEMORY_LEAST_BYTES = 3 << 30
"""Ray's own processes take about 1 GB, PostgreSQL, Valkey and the actors the rest."""
SHARED_MEMORY_LEAST_BYTES = 256 << 20
"""Ray's object store lives there; containers get 64 MB unless told otherwise."""
OPEN_FILES_LEAST = 4_096
"""One per connection, and Ray's workers keep hundreds."""
DISK_LEAST_BYTES = 3 << 30
"""The write-ahead log may grow to 1 GB and the journal needs room to grow."""

DEFAULT_DATA = Path("raypit-data")


class Finding(msgspec.Struct, frozen=True):
    name: str
    ok: bool
    found: str
    fix: str
    """What to do; empty when all is well."""


def examine(data: Path = DEFAULT_DATA) -> list[Finding]:
    """All findings in a fixed order; `data` is the data folder (it need not exist)."""
    return [
        _python(),
        _system(),
        _cores(),
        _memory(),
        _shared_memory(),
        _postgres(data),
        _valkey(),
        _numba_cache(),
        _open_files(),
        _disk(data),
    ]


def _finding(name: str, ok: bool, found: str, fix: str) -> Finding:
    return Finding(name, ok, found, "" if ok else fix)


def _python() -> Finding:
    version = sys.version_info[:2]
    return _finding(
        "Python",
        PYTHON_OLDEST <= version < PYTHON_BELOW,
        f"{platform.python_version()} ({sys.executable})",
        "Install Python 3.11 to 3.14 and make the virtual environment with it.",
    )


def _system() -> Finding:
    return _finding(
        "Operating system",
        sys.platform == "linux",
        f"{platform.system()} {platform.release()} {platform.machine()}",
        "Use Linux (a container will do). Elsewhere the embedded servers may outlive a killed Raypit.",
    )


def _cores() -> Finding:
    cores = usable_cores()
    return _finding(
        "CPU cores",
        cores >= CORES_LEAST,
        f"{cores:g}",
        f"Give it at least {CORES_LEAST} cores (docker run --cpus {CORES_LEAST}); with fewer it is slow.",
    )


def _memory() -> Finding:
    memory = usable_memory_bytes()
    return _finding(
        "Memory",
        memory >= MEMORY_LEAST_BYTES,
        _size(memory),
        f"Give it at least {_size(MEMORY_LEAST_BYTES)} (docker run --memory 4g).",
    )


def _shared_memory() -> Finding:
    folder = Path("/dev/shm")  # noqa: S108  measured, not written
    if not folder.is_dir():
        return Finding("Shared memory", False, "no /dev/shm", "Mount a tmpfs there: mount -t tmpfs tmpfs /dev/shm")
    usage = shutil.disk_usage(folder)
    return _finding(
        "Shared memory",
        usage.free >= SHARED_MEMORY_LEAST_BYTES,
        f"{_size(usage.free)} free of {_size(usage.total)} in /dev/shm",
        "Make it larger: docker run --shm-size=1g, or mount -o remount,size=1g /dev/shm",
    )


def _postgres(data: Path) -> Finding:
    if os.environ.get("DATABASE_URL"):
        return Finding("PostgreSQL", True, "DATABASE_URL is set: none is started", "")
    major = None
    with contextlib.suppress(OSError, ValueError):
        major = int((data / "postgres" / "PG_VERSION").read_text())
    try:
        return Finding("PostgreSQL", True, _binary(find_postgres(major)), "")
    except BinaryError as error:
        return Finding("PostgreSQL", False, "none that fits", str(error))


def _valkey() -> Finding:
    if os.environ.get("REDIS_URL"):
        return Finding("Valkey", True, "REDIS_URL is set: none is started", "")
    try:
        return Finding("Valkey", True, _binary(find_valkey()), "")
    except BinaryError as error:
        return Finding("Valkey", False, "none that fits", str(error))


def _binary(binary: Binary) -> str:
    return f"{binary.version_text} {binary.path} ({binary.source})"


def _numba_cache() -> Finding:
    folders = numba_cache_folders()
    usable = next((folder for folder in folders if _writable(folder)), None)
    return _finding(
        "Numba cache",
        usable is not None,
        str(usable or f"cannot write to {' or '.join(map(str, folders))}"),
        "Name a writable folder: export NUMBA_CACHE_DIR=/path (else every start compiles the kernels again).",
    )


def _open_files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _finding(
        "Open files",
        soft == resource.RLIM_INFINITY or soft >= OPEN_FILES_LEAST,
        f"{_limit(soft)} (hard limit {_limit(hard)})",
        "Raise it before the start: ulimit -n 65536 (systemd: LimitNOFILE=65536; docker run --ulimit nofile=65536).",
    )


def _disk(data: Path) -> Finding:
    free = shutil.disk_usage(_nearest_existing(data)).free
    return _finding(
        "Disk",
        free >= DISK_LEAST_BYTES,
        f"{_size(free)} free for {data.absolute()}",
        f"Free at least {_size(DISK_LEAST_BYTES)}, or use a folder on another disk with --data.",
    )


def usable_cores() -> float:
    """Cores this process may use: its affinity, and its container's quota when that is less."""
    cores = float(len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else float(os.cpu_count() or 1)
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cores = min(cores, float(quota) / float(period))  # "max" is no number: no quota
    return cores


def usable_memory_bytes() -> int:
    """The machine's memory, and its container's limit when that is less."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            memory = min(memory, int(Path(limit).read_text()))
    return memory


def numba_cache_folders() -> list[Path]:
    """Where numba may keep compiled kernels, in its own order of preference."""
    named = os.environ.get("NUMBA_CACHE_DIR")
    if named:
        return [Path(named)]
    spec = find_spec("market")
    beside = [Path(folder) / "__pycache__" for folder in (spec and spec.submodule_search_locations) or ()]
    personal = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "numba"
    return [*beside, personal]


def _writable(folder: Path) -> bool:
    # By trying: modes do not tell of read-only mounts, and root may write where they forbid it.
    try:
        with tempfile.TemporaryFile(dir=_nearest_existing(folder)):
            return True
    except OSError:
        return False


def _nearest_existing(path: Path) -> Path:
    path = path.absolute()
    while not path.is_dir() and path != path.parent:
        path = path.parent
    return path


def _limit(value: int) -> str:
    return "unlimited" if value == resource.RLIM_INFINITY else str(value)


def _size(n_bytes: int) -> str:
    return f"{n_bytes / (1 << 30):.1f} GB" if n_bytes >= 1 << 30 else f"{n_bytes / (1 << 20):.0f} MB"
