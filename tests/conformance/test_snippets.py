"""What `raypit keys new` prints, and what the README shows of it, is what the clients of these tests are pointed by."""

import asyncio
import json
import re
import secrets
import subprocess
import sys

import ccxt
import pytest
from binance import AsyncClient, BinanceSocketManager, Client

from deploy.keys import Made, snippets
from tests.conformance.matrix import README
from tests.conformance.pointed import HEADINGS, paste, snippet
from tests.system.conftest import Exchange

SHOWN = Made("<key>", "<secret>", "http://127.0.0.1:8000", "ws://127.0.0.1:8000")


@pytest.mark.system
async def test_what_is_printed_works_when_it_is_pasted(exchange: Exchange) -> None:
    """In a running event loop: outside of one python-binance makes its own, which nobody closes."""
    command = [sys.executable, "-m", "deploy.cli", "keys", "new", "--user", f"paste{secrets.token_hex(4)}", "--create"]
    command += ["--data", str(exchange.data)]
    done = await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True, text=True, timeout=60)
    printed = done.stdout
    found = re.search(r'"apiKey": "(\w+)",\s*"secret": "(\w+)"', printed)
    assert found is not None
    made = Made(found[1], found[2], exchange.url, exchange.url.replace("http", "ws", 1))
    assert printed.strip() == snippets(made).strip()
    pasted = paste(made, "# ccxt", {"ccxt": ccxt})["exchange"]
    assert pasted.fetch_balance()["USDT"]["free"] == 100_000
    names = {"Client": Client, "AsyncClient": AsyncClient, "BinanceSocketManager": BinanceSocketManager}
    client = paste(made, "# python-binance", names)["client"]
    assert client.get_asset_balance("USDT")["free"] == "100000.00000000"
    client.close_connection()


def test_none_of_the_addresses_is_that_of_the_venue() -> None:
    """A key of ours must never be sent to the real one."""
    exchange = paste(SHOWN, "# ccxt", {"ccxt": ccxt})["exchange"]
    for name in ("public", "private", "sapi"):
        assert exchange.urls["api"][name].startswith(SHOWN.base_url)
    names = {"Client": Client, "AsyncClient": AsyncClient, "BinanceSocketManager": BinanceSocketManager}
    text = snippet(snippets(SHOWN), "# python-binance").rpartition("client = ")[0]
    exec(text, names)
    for one in (Client, AsyncClient):
        assert one.API_URL.startswith(SHOWN.base_url)
        assert one.MARGIN_API_URL.startswith(SHOWN.base_url)
        assert one.WS_API_URL.startswith(SHOWN.ws_url)
    assert BinanceSocketManager.STREAM_URL.startswith(SHOWN.ws_url)
    freqtrade = json.loads("{" + snippet(snippets(SHOWN), HEADINGS[-1]) + "}")
    assert freqtrade["exchange"]["ccxt_config"]["urls"]["api"]["private"].startswith(SHOWN.base_url)


def test_the_readme_shows_what_is_printed() -> None:
    assert snippets(SHOWN) in README.read_text()
