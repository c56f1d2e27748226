"""The repository's own laws: lint, types, direction of imports, no floating point near money."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYERS = ("market", "ml", "actors", "serve")
"""Each may import itself and what stands before it; deploy, bench and tests may import all."""


def run(*command: str) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff_check() -> None:
    run("ruff", "check", ".")


def test_ruff_format() -> None:
    run("ruff", "format", "--check", ".")


def test_strict_types() -> None:
    run("mypy")


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_run_one_way(layer: str) -> None:
    forbidden = set(LAYERS[LAYERS.index(layer) + 1 :]) | {"deploy", "bench", "tests"}
    for path in (ROOT / layer).rglob("*.py"):
        assert not imports_of(path) & forbidden, f"{path.relative_to(ROOT)} imports upwards"


def test_the_core_does_no_input_or_output() -> None:
    forbidden = {"ray", "asyncio", "socket", "time", "random", "asyncpg", "redis", "aiohttp", "starlette"}
    for path in (ROOT / "market").rglob("*.py"):
        assert not imports_of(path) & forbidden, f"{path.relative_to(ROOT)} leaves the pure core"


@pytest.mark.parametrize("folder", ["market/book", "market/ledger"])
def test_no_floating_point_near_money(folder: str) -> None:
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            made = isinstance(node, ast.Constant) and isinstance(node.value, float)
            assert not made, f"{path}:{node.lineno}: a float"
            assert not isinstance(node, ast.Name) or node.id != "float", f"{path}:{node.lineno}: a float"
