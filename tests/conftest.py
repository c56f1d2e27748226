"""How tests run side by side (`-n 2`): no two share an exchange, and no two compile the same kernel."""

import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from xdist.scheduler import LoadScopeScheduling

HERE: Final = Path(__file__).parent
WITH_AN_EXCHANGE: Final = {"fault": "one", "conformance": "one", "system": "other"}
"""Folder -> who runs it: two of about the same length; each has one exchange at a time."""
COMPILE: Final = (
    "from market.book import warm; warm()",
    "from market.ledger import warm; from market.universe import instruments; warm(instruments(1))",
)


class SideBySide(LoadScopeScheduling):  # type: ignore[misc]
    """The folders with an exchange first, then files; property tests have nothing in common but are long: one by one."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        folder = path.split("/")[-2]
        return WITH_AN_EXCHANGE.get(folder) or (nodeid if folder == "property" else path)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return SideBySide(config, log)


def pytest_sessionstart(session: pytest.Session) -> None:
    if not session.config.getoption("numprocesses", None):
        return
    compiling = [subprocess.Popen([sys.executable, "-c", code], cwd=HERE.parent) for code in COMPILE]
    assert [one.wait() for one in compiling] == [0, 0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests over an exchange last and together, so that it does not idle beside the others."""
    folders = list(WITH_AN_EXCHANGE)

    def order(item: pytest.Item) -> int:
        return 1 + folders.index(item.path.parent.name) if "exchange" in getattr(item, "fixturenames", ()) else 0

    items.sort(key=order)
