"""freqtrade's sample strategy in live mode against a running Raypit until it has completed a trade.

    python -m tests.conformance.freqtrade.run --freqtrade <its environment>/bin/freqtrade --data <folder of raypit up>

freqtrade lives in an environment of its own (`pip install freqtrade`); nothing of it is changed. As the sample strategy
may wait for days, its trade is forced in and out over freqtrade's own REST API. At the end the trade that freqtrade
tells is compared with the trades that Raypit tells. Exit status 0: a trade was completed and is the same on both sides.
"""

import argparse
import base64
import json
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import ccxt

from deploy.keys import Made, snippets
from tests.conformance.pointed import paste, snippet

HERE: Final = Path(__file__).parent
PAIR: Final = "BTC/USDT"
WITHIN_S: Final = 240.0


class Bot:
    """freqtrade's REST API."""

    def __init__(self, port: int, password: str) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1"
        self._authorization = "Basic " + base64.b64encode(f"raypit:{password}".encode()).decode()

    def ask(self, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            f"{self._url}/{path}",
            None if body is None else json.dumps(body).encode(),
            {"Authorization": self._authorization, "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def until(self, path: str, enough: Any) -> Any:
        deadline = time.monotonic() + WITHIN_S
        while time.monotonic() < deadline:
            try:
                if enough(found := self.ask(path)):
                    return found
            except (OSError, urllib.error.HTTPError):
                pass
            time.sleep(0.5)
        raise SystemExit(f"{path}: not within {WITHIN_S} s")


def new_key(data: Path) -> Made:
    command = [sys.executable, "-m", "deploy.cli", "keys", "new", "--user", f"freq{secrets.token_hex(4)}", "--create"]
    told = subprocess.run([*command, "--json", "--data", str(data)], check=True, capture_output=True).stdout
    return Made(**json.loads(told))


def write_config(made: Made, folder: Path, port: int, password: str) -> Path:
    """The committed configuration, the printed snippet, and freqtrade's own API."""
    config = json.loads((HERE / "config.json").read_text())
    config |= json.loads("{" + snippet(snippets(made), "# freqtrade, in config.json") + "}")
    config["exchange"]["pair_whitelist"] = [PAIR]
    config["api_server"] = {
        "enabled": True, "listen_ip_address": "127.0.0.1", "listen_port": port, "username": "raypit",
        "password": password, "jwt_secret_key": secrets.token_hex(32), "ws_token": secrets.token_hex(16),
    }  # fmt: skip
    path = folder / "config.json"
    path.write_text(json.dumps(config, indent=4))
    return path


def trade(bot: Bot) -> Any:
    """One completed trade, as freqtrade tells it."""
    bot.until("ping", lambda found: found["status"] == "pong")
    bot.until("show_config", lambda found: found["state"] == "running")
    bot.ask("forceenter", {"pair": PAIR, "side": "long"})
    [entered] = bot.until("status", lambda found: found and not found[0]["has_open_orders"])
    bot.ask("forceexit", {"tradeid": str(entered["trade_id"]), "ordertype": "market"})
    return bot.until("trades", lambda found: found["trades"] and not found["trades"][0]["is_open"])["trades"][0]


def check(told: Any, made: Made) -> None:
    """The fills that freqtrade counts are those that Raypit has on its books."""
    exchange = paste(made, "# ccxt", {"ccxt": ccxt})["exchange"]
    fills = exchange.fetch_my_trades(PAIR)
    for side, average in (("buy", told["open_rate"]), ("sell", told["close_rate"])):
        mine = [one["info"] for one in fills if one["side"] == side]
        quantity = sum(Decimal(one["qty"]) for one in mine)
        price = sum(Decimal(one["quoteQty"]) for one in mine) / quantity
        assert abs(price - Decimal(str(average))) < Decimal("0.01"), (side, price, average)
        print(f"{side:4} {quantity} {PAIR} at {price:.2f} in {len(mine)} fills")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--freqtrade", default="freqtrade")
    parser.add_argument("--data", type=Path, required=True, help="data folder of the running Raypit")
    asked = parser.parse_args()
    made, password = new_key(asked.data), secrets.token_hex(16)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([asked.freqtrade, "create-userdir", "--userdir", str(folder)], check=True, capture_output=True)
        config = write_config(made, folder, port, password)
        with (folder / "log.txt").open("wb") as log:
            running = subprocess.Popen(
                [asked.freqtrade, "trade", "--userdir", name, "--config", str(config), "--db-url", f"sqlite:///{name}/trades.sqlite"],
                stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            check(trade(Bot(port, password)), made)
        except BaseException:
            print((folder / "log.txt").read_text(errors="replace")[-4000:], file=sys.stderr)
            raise
        finally:
            running.terminate()
            running.wait(60)
    print("freqtrade completed a trade")


if __name__ == "__main__":
    main()
