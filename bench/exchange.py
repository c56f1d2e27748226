"""The exchange under test: one of our own in a temporary folder, or a running one. Users, symbols, prices."""

import contextlib
import http.client
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from decimal import ROUND_UP, Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from bench.report import BenchError, err
from deploy import state_file
from market.universe import instruments

START_LIMIT_S: Final = 180.0
STOP_LIMIT_S: Final = 60.0
TOKEN_GOOD_S: Final = 600.0
"""Sign in anew before access tokens (15 minutes) can expire during a run."""
PASSWORD: Final = "a benchmark's passphrase"
BASE_WORTH: Final = Decimal(50_000)
"""Top-up of each user in each base asset, in the quote asset: enough for every sell order at once."""


class Terms(msgspec.Struct, frozen=True):
    """What a client must know of a symbol to send orders that are not refused."""

    symbol: str
    tick: Decimal
    lot: Decimal
    price: Decimal
    """The last price, or where the simulated market would open."""
    symbol_id: int = 0


class User(msgspec.Struct):
    name: str
    access_token: str
    refresh_token: str
    signed_in_at: float
    api_key: str = ""
    secret: str = ""


class Exchange:
    def __init__(self, url: str, data: Path | None, pid: int) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname is None:
            raise BenchError(f"{url} is not an address like http://127.0.0.1:8000. Copy the one `raypit up` printed.")
        self.url = url
        self.host = parts.hostname
        self.port = parts.port or 80
        self.data = data
        self.pid = pid
        """Of its supervisor; 0: not known, processor time is not measured."""
        self.quiet = True
        """Nobody else trades: prices stay where the benchmark puts them."""

    @cached_property
    def pg_dsn(self) -> str:
        """Of its database; empty: not known."""
        state = None if self.data is None else state_file.read(self.data.expanduser())
        return "" if state is None else state.pg_dsn

    @cached_property
    def data_port(self) -> int:
        """Of WebSockets straight to the gateway."""
        found = self.ask("GET", "/api/v1/system/status").get("data_port")
        if not found:
            raise BenchError("this exchange has no data port; start it with this version's `raypit up`.")
        return int(found)

    def text(self, path: str) -> str:
        """A page."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def ask(self, method: str, path: str, body: Any = None, token: str | None = None) -> Any:
        """One request on a connection of its own; the decoded answer."""
        headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        try:
            connection.request(method, path, None if body is None else msgspec.json.encode(body), headers)
            answer = connection.getresponse()
            content = answer.read()
        except OSError as error:
            raise BenchError(f"{self.url} does not answer ({error}). Is it running? See `raypit status`.") from None
        finally:
            connection.close()
        if answer.status == 429:
            time.sleep(float(answer.headers.get("retry-after", "5")))
            return self.ask(method, path, body, token)
        if answer.status >= 400:
            raise BenchError(f"{method} {path}: {answer.status} {content.decode(errors='replace')[:300]}")
        return msgspec.json.decode(content) if content else None

    def terms(self) -> list[Terms]:
        prices = {one["symbol"]: Decimal(one["last_price"]) for one in self.ask("GET", "/api/market/prices")["prices"]}
        self.quiet = not any(prices.values())
        found = self.ask("GET", "/api/market/symbols")["symbols"]
        opening = {one.symbol: one.start_price_ticks * one.tick for one in instruments(len(found))}
        return [
            Terms(
                one["symbol"],
                Decimal(one["tick_size"]),
                Decimal(one["lot_size"]),
                prices.get(one["symbol"]) or opening[one["symbol"]],
                one["symbol_id"],
            )
            for one in found
        ]

    def register(self, terms: list[Terms]) -> User:
        """A new user with virtual money in every asset."""
        name = f"bench-{secrets.token_hex(6)}"
        user = _user(name, self.ask("POST", "/api/auth/register", {"username": name, "password": PASSWORD}))
        for one in terms:
            asset = one.symbol.removesuffix("USDT")
            amount = (BASE_WORTH / one.price).quantize(one.lot, ROUND_UP)
            top_up = {"asset": asset, "amount": format(amount, "f")}
            self.ask("POST", "/api/portfolio/top-up", top_up, user.access_token)
        made = self.ask("POST", "/api/auth/keys", {"label": "bench"}, user.access_token)
        user.api_key, user.secret = made["api_key"], made["secret"]
        return user

    def keep_signed_in(self, users: list[User]) -> None:
        for k, user in enumerate(users):
            if time.monotonic() - user.signed_in_at > TOKEN_GOOD_S:
                answer = self.ask("POST", "/api/auth/refresh", {"refresh_token": user.refresh_token})
                fresh = _user(user.name, answer)
                fresh.api_key, fresh.secret = user.api_key, user.secret
                users[k] = fresh


def _user(name: str, signed_in: dict[str, Any]) -> User:
    return User(name, signed_in["access_token"], signed_in["refresh_token"], time.monotonic())


def attach(url: str | None, data: str | None) -> Exchange:
    """A running exchange, by its address, its data folder, or both."""
    state = None if data is None else state_file.read(Path(data).expanduser().absolute())
    if data is not None and state is None:
        raise BenchError(f"nothing runs in {data}. Start it with `raypit up --data {data}`, or leave --data away.")
    address = url or (state.url if state is not None else "")
    return Exchange(address, None if data is None else Path(data), state.pid if state is not None else 0)


@contextlib.contextmanager
def started(feed: str = "none", environment: Mapping[str, str] | None = None) -> Iterator[Exchange]:
    """An exchange of our own, with nobody else in its market but what `feed` brings; ended and its folder removed at the end.

    `environment`: variables that its processes have besides ours.
    """
    folder = Path(tempfile.mkdtemp(prefix="raypit-bench-"))
    command = [
        sys.executable,
        "-m",
        "deploy.cli",
        "up",
        "--data",
        str(folder / "data"),
        "--port",
        "0",
        "--feed",
        feed,
        "--binance-limits",
        "0",
    ]
    log = (folder / "up.log").open("wb")
    variables = {**os.environ, **(environment or {})}
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, env=variables)
    try:
        yield _await_ready(process, folder)
    finally:
        _end(process)
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def attached_or_started(url: str | None, data: str | None) -> Iterator[Exchange]:
    """A running one when it is named, else one of our own."""
    if url is not None or data is not None:
        yield attach(url, data)
        return
    with contextlib.ExitStack() as stack:
        with err.status("starting an exchange"):
            exchange = stack.enter_context(started())
        yield exchange


def _await_ready(process: "subprocess.Popen[bytes]", folder: Path) -> Exchange:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline and process.poll() is None:
        state = state_file.read(folder / "data")
        if state is not None:
            return Exchange(state.url, folder / "data", state.pid)
        time.sleep(0.1)
    said = (folder / "up.log").read_text(errors="replace")[-1500:]
    raise BenchError(f"`raypit up` did not come up. Mend what it says, or try `raypit doctor`:\n{said}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)  # what it started dies with it
        process.wait()
