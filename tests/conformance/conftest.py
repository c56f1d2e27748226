"""Accounts and clients of the conformance tests, and the writing of the matrix."""

import gc
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

import ccxt
import ccxt.async_support
import ccxt.pro
import pytest
from binance import AsyncClient, BinanceSocketManager, Client
from binance.ws.constants import WSListenerState
from binance_common.configuration import (
    ConfigurationRestAPI,
    ConfigurationWebSocketAPI,
    ConfigurationWebSocketStreams,
)
from binance_sdk_spot.spot import Spot

from deploy.keys import Made
from tests.conformance import matrix
from tests.conformance.pending import PENDING
from tests.conformance.pointed import new_account, paste
from tests.conformance.sdk import misfits
from tests.system.conftest import Exchange, running_exchange

_results: dict[tuple[str, str], str] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-matrix", action="store_true", help="Write tests/conformance/MATRIX.md and the README's table."
    )


def _row_of(item: pytest.Item) -> tuple[str, str] | None:
    """Test and client."""
    mark = item.get_closest_marker("row")
    if mark is None:
        return None
    name, clients = mark.args
    callspec = getattr(item, "callspec", None)
    return name, clients[0] if callspec is None else callspec.params.get(matrix.CLIENT_FIXTURE, clients[0])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        found = _row_of(item)
        if found is not None:
            # What released clients use that is on its way out is their own affair.
            item.add_marker(pytest.mark.filterwarnings("ignore::DeprecationWarning"))
        if found is not None and found[0] in PENDING:
            item.add_marker(pytest.mark.xfail(reason=PENDING[found[0]], strict=True))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    found = _row_of(item)
    if found is not None:
        if report.failed:
            _results[found] = matrix.FAILS
        elif report.when == "call":
            _results.setdefault(found, matrix.IS_PENDING if report.skipped else matrix.PASSES)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not session.config.getoption("--write-matrix"):
        return
    rows = matrix.every_row()
    if missing := {(one.test, one.client) for one in rows} - set(_results):
        raise pytest.UsageError(f"not written, these did not run: {sorted(missing)[:5]}")
    results = {}
    for one in rows:
        seen = _results[one.test, one.client]
        results[one] = matrix.REFUSED if seen == matrix.PASSES and one.refused else seen
    matrix.MATRIX.write_text(matrix.render(rows, results))
    readme = matrix.README.read_text()
    matrix.README.write_text(matrix.with_summary(readme, matrix.render_summary(rows, results)))


# -- accounts and clients ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="package")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """One of their own: all these clients share an address, and under the venue's limits they would wait for minutes."""
    yield from running_exchange(tmp_path_factory, "--binance-limits", "0")
    gc.collect()  # what a client left open is told here, not in a test that comes later


@pytest.fixture
def account(exchange: Exchange) -> Made:
    return new_account(exchange)


@pytest.fixture
def client_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="package")
def spot_markets(exchange: Exchange) -> Any:
    """Loaded once; each client is given a copy, as ccxt lets one share them."""
    return paste(Made("", "", exchange.url, exchange.url.replace("http", "ws")), "# ccxt", {"ccxt": ccxt})[
        "exchange"
    ].load_markets()


@pytest.fixture
async def bot(client_name: str, account: Made, spot_markets: Any) -> AsyncIterator[Any]:
    """A ccxt client, of the sync or the async kind."""
    module = {matrix.CCXT: ccxt, matrix.CCXT_ASYNC: ccxt.async_support}[client_name]
    client = paste(account, "# ccxt", {"ccxt": module})["exchange"]
    client.set_markets(spot_markets)
    yield client
    closed = getattr(client, "close", None)
    if inspect.iscoroutinefunction(closed):
        await closed()


def binance_clients(account: Made) -> tuple[Any, Any]:
    """The sync client, as pasted, and the other class, which the snippet points here too."""
    names = {"Client": Client, "AsyncClient": AsyncClient, "BinanceSocketManager": BinanceSocketManager}
    return paste(account, "# python-binance", names)["client"], AsyncClient


@pytest.fixture
async def pb(client_name: str, account: Made) -> AsyncIterator[Any]:
    """A python-binance client, of the sync or the async kind."""
    client, async_class = binance_clients(account)
    if client_name == matrix.PB:
        yield client
        client.close_connection()
        return
    client.close_connection()
    client = await async_class.create(account.api_key, account.secret)
    yield client
    await client.close_connection()


@pytest.fixture
async def pb_async(account: Made) -> AsyncIterator[Any]:
    client, async_class = binance_clients(account)
    client.close_connection()
    client = await async_class.create(account.api_key, account.secret)
    yield client
    if client.ws_api.ws is not None:
        # Left to itself it goes on reading for up to ten seconds, for as long as nothing comes.
        client.ws_api.ws_state = WSListenerState.EXITING
        await client.ws_api.ws.close()
    await client.close_connection()


@pytest.fixture
async def watcher(account: Made, spot_markets: Any) -> AsyncIterator[Any]:
    client = paste(account, "# ccxt", {"ccxt": ccxt.pro})["exchange"]
    client.set_markets(spot_markets)
    yield client
    await client.close()


@pytest.fixture
async def sdk(account: Made, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Any]:
    """A binance-sdk-spot client; no answer may be of another shape than it was generated for."""
    names = {
        "Spot": Spot, "ConfigurationRestAPI": ConfigurationRestAPI,
        "ConfigurationWebSocketAPI": ConfigurationWebSocketAPI,
        "ConfigurationWebSocketStreams": ConfigurationWebSocketStreams,
    }  # fmt: skip
    yield paste(account, "# binance-sdk-spot", names)["client"]
    assert misfits(caplog) == []
