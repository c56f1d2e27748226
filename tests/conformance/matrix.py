"""The conformance matrix: which call of which released client is proven by which test.

A test that is marked with `row` is a row for each client it runs on. The committed MATRIX.md is rendered from these
marks; as each row is a test that passes or fails, it is true when the tests pass.
"""

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from tests.conformance.pending import PENDING

HERE: Final = Path(__file__).parent
MATRIX: Final = HERE / "MATRIX.md"
README: Final = HERE.parent.parent / "README.md"
README_BLOCK: Final = re.compile(r"(?<=<!-- conformance -->\n).*?(?=<!-- /conformance -->)", re.DOTALL)


class Area(StrEnum):
    MARKET = "market data"
    ORDERS = "orders"
    LISTS = "order lists"
    ACCOUNT = "account"
    ERRORS = "errors"
    STREAMS = "market streams"
    USER = "user data"
    WS_API = "WebSocket API"


CCXT, CCXT_ASYNC, CCXT_PRO = "ccxt", "ccxt async", "ccxt.pro"
PB, PB_ASYNC, PB_SOCKETS = "python-binance", "python-binance async", "python-binance sockets"
SDK_REST, SDK_STREAMS, SDK_WS = "binance-sdk-spot REST", "binance-sdk-spot streams", "binance-sdk-spot WebSocket API"
CLIENTS: Final = (CCXT, CCXT_ASYNC, CCXT_PRO, PB, PB_ASYNC, PB_SOCKETS, SDK_REST, SDK_STREAMS, SDK_WS)
PACKAGES: Final = ("ccxt", "python-binance", "binance-sdk-spot")
CLIENT_FIXTURE: Final = "client_name"
"""Fixture whose parameter names the client, in tests that run on several."""


class Row(NamedTuple):
    client: str
    area: Area
    call: str
    expected: str
    refused: bool
    test: str

    @property
    def pending(self) -> str | None:
        """What it waits for."""
        return PENDING.get(self.test)


PASSES, REFUSED, IS_PENDING, FAILS = "passes", "refused as by the venue", "pending", "FAILS"
_ROWS: Final[list[Row]] = []


def row(
    clients: str | tuple[str, ...], area: Area, call: str, expected: str, *, refused: bool = False
) -> Callable[[Any], Any]:
    """This test proves `call`. `refused`: the venue refuses it too, in the way that the test asserts."""
    named = (clients,) if isinstance(clients, str) else clients

    def mark(test: Any) -> Any:
        name = f"{test.__module__.rpartition('.')[2]}::{test.__name__}"
        _ROWS.extend(Row(client, area, call, expected, refused, name) for client in named)
        marked = pytest.mark.row(name, named)(test)
        return pytest.mark.parametrize(CLIENT_FIXTURE, named, indirect=True)(marked) if len(named) > 1 else marked

    return mark


def every_row() -> list[Row]:
    package = __name__.rpartition(".")[0]
    for module in pkgutil.iter_modules([str(HERE)]):
        if module.name.startswith("test_"):
            importlib.import_module(f"{package}.{module.name}")
    return sorted(_ROWS, key=lambda one: (CLIENTS.index(one.client), list(Area).index(one.area)))


def expected_result(one: Row) -> str:
    return IS_PENDING if one.pending else REFUSED if one.refused else PASSES


def render(rows: Iterable[Row], results: Mapping[Row, str]) -> str:
    """The whole matrix, as Markdown."""
    rows = list(rows)
    lines = [
        "# Conformance matrix",
        "",
        f"Released, unmodified clients ({_versions()}) against a live Raypit. Written by",
        "`python -m pytest tests/conformance --write-matrix`; each row is a test that asserts values.",
    ]
    for client in CLIENTS:
        mine = [one for one in rows if one.client == client]
        if mine:
            lines += ["", f"## {client}", "", "| area | call | expected | result |", "|---|---|---|---|"]
            lines += [f"| {one.area} | {one.call} | {_cell(one)} | {results[one]} |" for one in mine]
    return "\n".join(lines) + "\n"


def _cell(one: Row) -> str:
    return f"{one.expected} (pending: {one.pending})" if one.pending else one.expected


def render_summary(rows: Iterable[Row], results: Mapping[Row, str]) -> str:
    """Rows that hold, of all, by client and area."""
    rows = list(rows)
    lines = [f"| {_versions()} | " + " | ".join(Area) + " |", "|---" * (len(Area) + 1) + "|"]
    for client in CLIENTS:
        cells = []
        for area in Area:
            mine = [results[one] for one in rows if (one.client, one.area) == (client, area)]
            held = sum(one in (PASSES, REFUSED) for one in mine)
            cells.append("" if not mine else str(held) if held == len(mine) else f"{held} of {len(mine)}")
        lines.append(f"| {client} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _versions() -> str:
    return ", ".join(f"{name} {version(name)}" for name in PACKAGES)


def with_summary(readme: str, summary: str) -> str:
    return README_BLOCK.sub(lambda _: summary, readme)
