"""What was acknowledged outlives kill -9: of everything at once, of one book actor, of one account actor.

Runs with two book and two account partitions, so that trades cross partitions and private streams merge books.
"""

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from tests.fault.standing import StandingOrders, Trader
from tests.system.binance import hmac_signer
from tests.system.ws_venue import WsVenue, ws_venue

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

START_WITHIN_S = 180.0


class Exchange:
    """One data folder; started and killed at will."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self._output = folder / "output.txt"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._output.write_bytes(b"")
        with self._output.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "deploy.cli", "up", "--data", str(self.data), "--port", "0", "--rate", "50",
                 "--book-actors", "2", "--account-actors", "2", "--no-dashboard"],
                stdout=out, stderr=subprocess.STDOUT,
            )  # fmt: skip
        wait_until(lambda: bool(re.search(r"^ready in ", self.output, re.MULTILINE)) or self._ended(), START_WITHIN_S)
        assert not self._ended(), self.output

    @property
    def output(self) -> str:
        return self._output.read_text(errors="replace")

    def _ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def kill_tree(self) -> None:
        """SIGKILL for the supervisor and every process below it, none of them warned."""
        assert self._process is not None
        for pid in tree(self._process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()

    def kill_fork_server(self) -> None:
        assert self._process is not None
        for pid in tree(self._process.pid):
            if b"deploy.fork_server" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
                return
        raise AssertionError("there is no fork server")

    def stop(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(90) == 0, self.output

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "deploy.cli", *words, "--data", str(self.data)],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def check(self) -> dict[str, Any]:
        done = self.run("check", "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        assert report["ok"]
        assert report["live"]
        return report

    def actor_pid(self, name: str) -> int:
        pid: int = json.loads(self.run("status", "--json").stdout)["actors"][name].get("pid", 0)
        return pid

    @property
    def url(self) -> str:
        url: str = json.loads((self.data / "raypit.json").read_text())["url"]
        return url

    def post(self, path: str, body: Any, token: str = "") -> Any:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def get(self, path: str, token: str) -> Any:
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


class Loop:
    """`raypit demo --loop`: trades without pause and records on disk what was acknowledged."""

    def __init__(self, exchange: Exchange, record: Path) -> None:
        self._record = record
        self._process = subprocess.Popen(
            [sys.executable, "-m", "deploy.cli", "demo", "--loop", "--record", str(record), "--data", str(exchange.data)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def acknowledged(self) -> tuple[str, list[dict[str, Any]]]:
        """(token, orders in the order of their acknowledgement)"""
        if not self._record.exists():
            return "", []
        lines = [json.loads(line) for line in self._record.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return (lines[0]["token"], lines[1:]) if lines else ("", [])

    def await_orders(self, count: int) -> None:
        wait_until(lambda: len(self.acknowledged()[1]) >= count, 60)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


def tree(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            children.setdefault(int(entry.read_text().rpartition(")")[2].split()[1]), []).append(int(entry.parent.name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def wait_until(condition: Callable[[], bool], limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit_s} s"
        time.sleep(0.05)


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    made = Exchange(tmp_path)
    made.start()
    try:
        yield made
        made.stop()
    finally:
        made.kill_tree()


def test_acknowledged_orders_outlive_kills(exchange: Exchange, tmp_path: Path) -> None:
    """And so do orders that wait: stops, trailing stops, icebergs, lists of orders."""
    key, secret, _ = _trader(exchange, "patient")
    standing = StandingOrders(Trader(exchange.url, key, secret))
    loop = Loop(exchange, tmp_path / "tree.jsonl")
    loop.await_orders(40)
    exchange.kill_tree()
    loop.end()
    exchange.start()
    standing.trader.url = exchange.url
    _assert_everything_is_there(exchange, loop)
    standing.assert_unchanged()

    for name in ("book-0", "account-0"):
        loop = Loop(exchange, tmp_path / f"{name}.jsonl")
        loop.await_orders(20)
        pid = exchange.actor_pid(name)
        if name == "account-0":  # Ray then makes the next worker without it
            exchange.kill_fork_server()
        os.kill(pid, signal.SIGKILL)
        loop.end()
        wait_until(lambda old=pid, who=name: exchange.actor_pid(who) not in (0, old), 60)  # type: ignore[misc]
        _assert_everything_is_there(exchange, loop)
        standing.assert_unchanged()
    standing.assert_they_still_do_what_they_are_for()
    exchange.check()
    asyncio.run(_user_data_ends_with_its_actor(exchange))


async def _user_data_ends_with_its_actor(exchange: Exchange) -> None:
    """Of accounts on both partitions: who lost events is told so and asks anew; the other's stream goes on."""
    traders = [_trader(exchange, f"streams{k}") for k in range(2)]
    assert {account % 2 for _, _, account in traders} == {0, 1}
    async with ws_venue(exchange.url) as ws:
        venues = [WsVenue(ws.socket, api_key, hmac_signer(secret)) for api_key, secret, _ in traders]
        for k, one in enumerate(venues):
            assert await one.ok("userDataStream.subscribe.signature") == {"subscriptionId": k}
        lost = next(k for k, (_, _, account) in enumerate(traders) if account % 2 == 0)
        os.kill(exchange.actor_pid("account-0"), signal.SIGKILL)
        assert await ws.receive() == {"subscriptionId": lost, "event": {"e": "eventStreamTerminated", "E": ANY}}
        assert await venues[lost].ok("userDataStream.subscribe.signature") == {"subscriptionId": 2}
        for one in venues:
            await one.ok("order.place", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.001")
            assert (await one.event("executionReport"))["x"] == "NEW"


def _trader(exchange: Exchange, name: str) -> tuple[str, str, int]:
    """API key, secret and user id of a new user; accounts of one after the other are on different partitions."""
    made = exchange.post("/api/auth/register", {"username": name, "password": "correct horse battery"})
    key = exchange.post("/api/auth/keys", {}, made["access_token"])
    return key["api_key"], key["secret"], made["user"]["user_id"]


def _assert_everything_is_there(exchange: Exchange, loop: Loop) -> None:
    report = exchange.check()
    assert all(float(one["drift"]) == 0 for one in report["assets"].values())
    positions = [one["positions"] for one in report["accounts"].values()]
    if all(one == positions[0] for one in positions):  # else a trade may be settled on one side only, as yet
        assert all(float(one["clearing"]) == 0 for one in report["assets"].values())
    token, acknowledged = loop.acknowledged()
    by_id: dict[int, dict[str, Any]] = {}

    def caught_up() -> bool:
        with contextlib.suppress(OSError):
            for one in exchange.get("/api/trading/orders?limit=1000", token)["orders"]:
                by_id[one["order_id"]] = one
        return all(one["order_id"] in by_id for one in acknowledged)

    wait_until(caught_up, 30)
    for told in acknowledged:
        kept = by_id[told["order_id"]]
        assert kept["client_order_id"] == told["client_order_id"]
        if told["status"] == "FILLED":
            for field in ("status", "executed_quantity", "executed_quote", "average_price"):
                assert kept[field] == told[field]
    _assert_same_priority(exchange, token, acknowledged)


def _assert_same_priority(exchange: Exchange, token: str, acknowledged: list[dict[str, Any]]) -> None:
    """Resting orders are all open, with their creation times: `check` has shown the queues equal to the journal's."""
    ended = {"FILLED", "CANCELED", "EXPIRED"}
    resting = {one["order_id"]: one for one in acknowledged if one["status"] not in ended}
    live = {one["order_id"]: one for one in exchange.get("/api/trading/orders?open=true&limit=1000", token)["orders"]}
    stored = {o["order_id"]: o for o in exchange.get("/api/trading/orders?limit=1000", token)["orders"]}
    for order_id, told in resting.items():
        if stored[order_id]["status"] in ended:
            continue  # filled or canceled after its acknowledgement
        assert live[order_id]["created_ns"] == told["created_ns"]
        assert live[order_id]["remaining_quantity"] == stored[order_id]["remaining_quantity"]
