"""What tests of several kinds share: one live exchange, which runs for no longer than it is needed."""

from collections.abc import Iterator

import pytest

from tests.system.conftest import Exchange, running_exchange


@pytest.fixture(scope="session")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    yield from running_exchange(tmp_path_factory)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests over the shared exchange last and together, so that it does not idle beside the others."""
    items.sort(key=lambda item: "exchange" in getattr(item, "fixturenames", ()))
