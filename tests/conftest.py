"""How tests run side by side (`-n 2 --dist loadgroup`): no two share an exchange, and no two compile the same kernel."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

HERE: Final = Path(__file__).parent
WITH_AN_EXCHANGE: Final = {"fault": "one", "conformance": "one", "system": "other"}
"""Folder -> group: two of about the same length; within a group one exchange ends before the next one starts."""
COMPILE: Final = (
    "from market.book import warm; warm()",
    "from market.ledger import warm; from market.universe import instruments; warm(instruments(1))",
)


def pytest_sessionstart(session: pytest.Session) -> None:
    if not session.config.getoption("numprocesses", None):
        return
    compiling = [subprocess.Popen([sys.executable, "-c", code], cwd=HERE.parent) for code in COMPILE]
    assert [one.wait() for one in compiling] == [0, 0]


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Over an exchange last and together, so that none idles beside others; of the rest a file stays together.

    Property tests have nothing in common but are long: each goes where there is room.
    """
    folders = list(WITH_AN_EXCHANGE)

    def order(item: pytest.Item) -> int:
        return 1 + folders.index(_folder(item)) if "exchange" in getattr(item, "fixturenames", ()) else 0

    items.sort(key=order)
    for item in items:
        if order(item):
            item.add_marker(pytest.mark.xdist_group(WITH_AN_EXCHANGE[_folder(item)]))
        elif _folder(item) != "property":
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


def _folder(item: pytest.Item) -> str:
    return item.path.relative_to(HERE).parts[0]
