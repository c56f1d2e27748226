"""Bytecode finds a place when it has none, and only then."""

import subprocess
import sys
from pathlib import Path

import pytest

RUN = """
import sys
from pathlib import Path
sys.path.insert(0, {packages!r})
from deploy.bytecode import keep
print(keep(Path({folder!r}), "some_package"), flush=True)
import some_package
import subprocess
subprocess.run([sys.executable, "-c", "import sys; sys.path.insert(0, {packages!r}); import some_package.part"], check=True)
"""


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    package = tmp_path / "packages" / "some_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "part.py").write_text("")
    return package.parent


def kept(packages: Path, folder: Path, environment: dict[str, str]) -> tuple[bool, set[str]]:
    code = RUN.format(packages=str(packages), folder=str(folder))
    repository = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": repository, **environment}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = {path.name.partition(".")[0] for path in folder.rglob("*.pyc") if "some_package" in path.parts}
    return done.stdout.strip() == "True", found


def test_where_python_may_write_it_writes_beside_the_sources(packages: Path, tmp_path: Path) -> None:
    assert kept(packages, tmp_path / "kept", {}) == (False, set())
    assert list(packages.rglob("*.pyc"))


def test_where_it_may_not_the_folder_takes_it_also_of_children(packages: Path, tmp_path: Path) -> None:
    assert kept(packages, tmp_path / "kept", {"PYTHONDONTWRITEBYTECODE": "1"}) == (True, {"__init__", "part"})
    assert not list(packages.rglob("*.pyc"))


def test_what_is_compiled_already_stays_in_use(packages: Path, tmp_path: Path) -> None:
    assert kept(packages, tmp_path / "kept", {}) == (False, set())
    assert kept(packages, tmp_path / "kept", {"PYTHONDONTWRITEBYTECODE": "1"}) == (False, set())


def test_the_user_s_own_choice_stays(packages: Path, tmp_path: Path) -> None:
    own = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": str(tmp_path / "own")}
    assert kept(packages, tmp_path / "kept", own) == (False, set())
