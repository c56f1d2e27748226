"""A whole exchange and its users."""

import asyncio
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import pytest

from tests.system.client import Client, Contract

START_WITHIN_S: Final = 180.0
END_WITHIN_S: Final = 90.0
MARK: Final = "RAYPIT_TESTED_BY"
"""In the environment of the exchange: its processes inherit it."""
PASSWORD: Final = "correct horse battery"


class User(msgspec.Struct):
    user_id: int
    username: str
    access_token: str
    refresh_token: str


class Exchange:
    """A running `raypit up` and what a client may know of it."""

    def __init__(self, data: Path) -> None:
        self.data = data
        state = json.loads((data / "raypit.json").read_text())
        self.url: str = state["url"]
        self.data_url: str = state["data_url"]
        self.pid: int = state["pid"]
        self.pg_dsn: str = state["pg_dsn"]
        with urllib.request.urlopen(f"{self.url}/openapi.json") as answer:
            self.contract = Contract(json.load(answer))

    def client(self, user: User | None = None) -> Client:
        return Client(self.url, None if user is None else user.access_token, self.contract, self.data_url)

    def ask(self, path: str, body: Any) -> Any:
        """POST without a client: for fixtures that live longer than an event loop."""
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def register(self, name: str) -> User:
        found = self.ask("/api/auth/register", {"username": f"{name}-{secrets.token_hex(4)}", "password": PASSWORD})
        return _user(found)

    def log_in(self, username: str) -> User:
        return _user(self.ask("/api/auth/login", {"username": username, "password": PASSWORD}))


def _user(found: Any) -> User:
    profile = found["user"]
    return User(profile["user_id"], profile["username"], found["access_token"], found["refresh_token"])


def running_exchange(tmp_path_factory: pytest.TempPathFactory, *flags: str) -> Iterator[Exchange]:
    """Asserts at the end that it ends in good order and leaves no process behind.

    While writing tests: RAYPIT_TEST_ON=<data folder> takes an exchange that runs already, and leaves it so.
    """
    if running := os.environ.get("RAYPIT_TEST_ON"):
        yield Exchange(Path(running))
        return
    folder = tmp_path_factory.mktemp("exchange")
    data, output, mark = folder / "data", folder / "output.txt", secrets.token_hex(8)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAYPIT_")}
    command = [sys.executable, "-m", "deploy.cli", "up", "--data", str(data), "--port", "0", "--rate", "50", *flags]
    with output.open("wb") as written:
        process = subprocess.Popen(
            command,
            stdout=written,
            stderr=subprocess.STDOUT,
            env=environment | {MARK: mark},
            start_new_session=True,
        )
    try:
        _await_ready(process, output)
        yield Exchange(data)
        offspring = _processes(data, mark)
        assert len(offspring) > 8, "PostgreSQL, Valkey, Ray and the actors are found"
        assert process.poll() is None, f"the exchange ended by itself:\n{_tail(output)}"
        run_dir = Path(json.loads((data / "raypit.json").read_text())["control"]).parent
        assert run_dir.exists()
        ended = asyncio.run(_close(Exchange(data), lambda: process.send_signal(signal.SIGTERM)))
        assert ended == [(1001, "the server is ending; reconnect and resume from your last seq")] * 2, "WS-C01"
        assert process.wait(END_WITHIN_S) == 0, _tail(output)
        assert not run_dir.exists(), "sockets and Ray's files go with it"
        assert "ended; everything is kept in" in _tail(output)
        assert not (data / "raypit.json").exists()
        left = _still_there(offspring | _processes(data, mark))
        assert not left, f"left behind: {left}"
    finally:
        process.kill()
        process.wait()
        for pid in _still_there(_processes(data, mark)):
            os.kill(pid, signal.SIGKILL)


async def _close(exchange: Exchange, end: Callable[[], None]) -> list[tuple[int, str]]:
    """Codes and reasons with which sockets, of the ingress and of the data port, are closed by what `end` does."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{exchange.url}/ws/prices") as one,
        session.ws_connect(f"{exchange.data_url}/ws/prices") as two,
    ):
        end()
        return [await _closed(socket) for socket in (one, two)]


async def _closed(socket: aiohttp.ClientWebSocketResponse) -> tuple[int, str]:
    while (message := await socket.receive(timeout=END_WITHIN_S)).type is aiohttp.WSMsgType.TEXT:
        pass
    return int(message.data or 0), str(message.extra)


def _await_ready(process: "subprocess.Popen[bytes]", output: Path) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while not re.search(r"^ready in ", output.read_text(errors="replace"), re.MULTILINE):
        assert process.poll() is None, f"it did not start:\n{_tail(output)}"
        assert time.monotonic() < deadline, f"not ready after {START_WITHIN_S} s:\n{_tail(output)}"
        time.sleep(0.1)


def _tail(output: Path) -> str:
    return output.read_text(errors="replace")[-3000:]


def _processes(data: Path, mark: str) -> dict[int, str]:
    """pid -> birth and command of every process of this instance.

    Known by the mark in its environment, or (those that have an environment of their own) by a working folder
    or a command line that names the data folder.
    """
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            pid = int(entry.name)
            marked = f"{MARK}={mark}".encode() in (entry / "environ").read_bytes()
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            inside = str(data) in command or Path(os.readlink(entry / "cwd")).is_relative_to(data)
            if pid != os.getpid() and (marked or inside):
                found[pid] = f"{_birth(pid)} {command[:200]}"
        except (OSError, ValueError):
            continue
    return found


def _birth(pid: int) -> str:
    """Clock ticks since boot at its start; empty when it is gone or only waits to be reaped."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _still_there(processes: dict[int, str]) -> dict[int, str]:
    return {pid: told for pid, told in processes.items() if _birth(pid) and _birth(pid) == told.split(" ", 1)[0]}


@pytest.fixture(scope="package")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    yield from running_exchange(tmp_path_factory)


# -- users ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def alice(exchange: Exchange) -> User:
    return exchange.register("alice")


@pytest.fixture(scope="module")
def bob(exchange: Exchange) -> User:
    return exchange.register("bob")


@pytest.fixture
def new_user(exchange: Exchange) -> User:
    """For tests that count from the first report of an account; registering costs a password hash."""
    return exchange.register("new")


@pytest.fixture
async def anyone(exchange: Exchange) -> AsyncIterator[Client]:
    """Nobody in particular: no token."""
    async with exchange.client() as client:
        yield client


@pytest.fixture
async def trader(exchange: Exchange, alice: User) -> AsyncIterator[Client]:
    """Alice with the initial money and nothing open."""
    async with exchange.client(alice) as client:
        await client.post("/api/portfolio/reset")
        yield client


@pytest.fixture
async def other(exchange: Exchange, bob: User) -> AsyncIterator[Client]:
    """Bob, likewise."""
    async with exchange.client(bob) as client:
        await client.post("/api/portfolio/reset")
        yield client
