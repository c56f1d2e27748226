"""A recording drives the market: the same orders at the same market times get the same fills, whatever the speed."""

import asyncio
import contextlib
import io
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from rich.console import Console

from deploy.checking import check
from market.book import Book
from market.recording import Reader
from market.replay import Recorded, Replay
from market.universe import instruments
from tests.system.binance import Venue, hmac_signer
from tests.system.client import Client, Json, Reply, eventually
from tests.system.conftest import Exchange, running_exchange
from tests.system.test_api import make_admin
from tests.system.test_binance_rest import make_key
from tests.system.test_profiles import PROFILE

RECORDED: Final = Path(__file__).parents[1] / "data" / "venues" / "binance_spot_btcusdt.gz"
"""13 s of Binance Spot."""
SYMBOL: Final = "BTCUSDT"
FIRST_MS: Final = 1_723_161_254_000
"""The whole second after its first message."""
TICK: Final = Decimal("0.01")
LATE_MS: Final = 333
CRAWL: Final = "0.01"
"""The market hardly moves before the trader is there."""


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from typer.testing import CliRunner

    from deploy.cli import app

    file = tmp_path_factory.mktemp("recording") / "btc.rpr"
    words = ["import", "hftbacktest", str(RECORDED), "--out", str(file), "--tick", "0.01", "--lot", "0.00001"]
    made = CliRunner().invoke(app, words)
    assert made.exit_code == 0, made.output
    return file


@contextlib.contextmanager
def replaying(tmp_path_factory: pytest.TempPathFactory, recording: Path) -> Iterator[Exchange]:
    flags = ("--feed", f"replay:{recording}", "--speed", CRAWL, "--no-dashboard")
    yield from running_exchange(tmp_path_factory, *flags)


class Tape:
    """The recording once more, without an exchange: what the venue's best prices are."""

    def __init__(self, recording: Path) -> None:
        reader = Reader(io.BytesIO(recording.read_bytes()))
        self._replay = Replay([Recorded({SYMBOL: 0}, reader)])
        self._book = Book(instruments(1)[0], 0)

    def best(self, at_ms: int) -> tuple[str, str]:
        while (next_ns := self._replay.next_ns) is not None and next_ns <= at_ms * 1_000_000:
            self._book.apply(self._replay.read(at_ms * 1_000_000, 4096))
        bid, ask = self._book.best_bid, self._book.best_ask
        assert bid is not None
        assert ask is not None
        return f"{bid * TICK:f}", f"{ask * TICK:f}"


class Trader:
    """Trades at market times: the market stands whenever he acts."""

    def __init__(self, admin: Client, own: Client, venue: Venue, tape: Tape) -> None:
        self._admin = admin
        self._own = own
        self._venue = venue
        self._tape = tape
        self._sent = 0

    async def at(self, seconds: float) -> tuple[str, str]:
        """The venue's best bid and ask, so many seconds after the first."""
        when = FIRST_MS + round(seconds * 1000)
        stood = await self._admin.post("/api/admin/time", json={"action": "run_until", "at": when})
        assert (stood["state"], stood["until"]) == ("paused", None)
        return self._tape.best(when)

    async def order(self, side: str, quantity: str, price: str | None = None) -> int:
        self._sent += 1
        terms = {"type": "MARKET"} if price is None else {"type": "LIMIT", "price": price}
        order = {"symbol": SYMBOL, "quantity": quantity, "client_order_id": f"order-{self._sent}", **terms}
        return int((await self._own.post(f"/api/trading/{side}", json=order))["order_id"])

    async def buy_to_sell(self, bid: str, ask: str) -> list[int]:
        """Buys, and sells that when it has: the second order is placed by the exchange, while the market goes on."""
        made = (
            await self._venue.signed(
                "POST", "orderList/oto", symbol=SYMBOL, workingType="LIMIT", workingSide="BUY", workingPrice=bid,
                workingQuantity="0.01", workingTimeInForce="GTC", pendingType="LIMIT", pendingSide="SELL", pendingPrice=ask,
                pendingQuantity="0.005", pendingTimeInForce="GTC",
            )
        ).ok()  # fmt: skip
        return [one["orderId"] for one in made["orders"]]

    async def trade(self) -> list[int]:
        orders = []
        bid, _ = await self.at(2.0)
        orders.append(await self.order("buy", "0.05", bid))
        orders.append(await self.order("buy", "0.2"))
        bid, ask = await self.at(4.5)
        orders += await self.buy_to_sell(
            "61826.00", "61827.00"
        )  # the market falls to it at 8 s, and comes back at 10 s
        orders.append(await self.order("sell", "0.02", ask))
        orders.append(await self.order("sell", "0.03", bid))
        bid, _ = await self.at(7.25)
        orders.append(await self.order("buy", "0.01", bid))
        orders.append(await self.order("sell", "0.1"))
        await self.at(10.0)
        return orders


async def _session(exchange: Exchange, recording: Path, speed: float | str) -> list[Json]:
    boss, user, late = (exchange.register(name) for name in ("boss", "trader", "late"))
    await make_admin(exchange, boss)
    key = await make_key(exchange, user)
    async with (
        exchange.client(exchange.log_in(boss.username)) as admin,
        exchange.client(user) as own,
        exchange.client(late) as latecomer,
        Venue(exchange.url, key["api_key"], hmac_signer(key["secret"])) as venue,
    ):
        latency = {"order_latency": {"kind": "constant", "ms": LATE_MS}}
        assert (await admin.call("PUT", PROFILE.format(late.username), json=latency)).status == 200
        await admin.post("/api/admin/time", json={"action": "pause"})
        await admin.post("/api/admin/time", json={"action": "speed", "speed": speed})
        trader = Trader(admin, own, venue, Tape(recording))
        await trader.at(1.0)
        async with latecomer.trading_socket() as socket:
            order = {"symbol": SYMBOL, "side": "BUY", "type": "MARKET", "quantity": "0.01"}
            await socket.send({"op": "place", "id": 1, "orders": [order]})
            await socket.send({"op": "ping", "id": 2})
            assert (await socket.receive())["op"] == "pong"
            await latecomer.get("/api/trading/orders?open=true")  # behind it on the way to the account
            orders = await trader.trade()
            told = await socket.receive()
        (placed,) = told["results"]
        await admin.post("/api/admin/time", json={"action": "resume"})
        await eventually(lambda: own.get("/api/market/time"), lambda told: bool(told["state"] == "ended"), "it ended")
        explained = [await _explained(own, one) for one in orders]
        return [*explained, await _explained(latecomer, placed["order"]["order_id"])]


async def _explained(own: Client, order_id: int) -> Json:
    """When all that was executed is in the tables it is read from."""
    path = f"/api/trading/orders/{order_id}"
    executed = Decimal((await own.get(path))["executed_quantity"])

    def is_whole(told: Reply) -> bool:
        return told.status == 200 and sum(Decimal(one["quantity"]) for one in told.json["fills"]) == executed

    told = await eventually(lambda: own.call("GET", f"{path}/explain"), is_whole, "every execution is explained")
    explained: Json = told.json
    return explained


def _fills(explained: list[Json]) -> list[Any]:
    return [(one["side"], one["status"], one["entered_ns"], one["queue_on_entry"], one["fills"]) for one in explained]


def test_the_same_orders_at_the_same_market_times_get_the_same_fills(
    tmp_path_factory: pytest.TempPathFactory, recording: Path
) -> None:
    """At the speed of the wall, ten times it, and twice as fast as possible; order lists and late orders among them."""
    fills, digests = [], []
    for speed in (1.0, 10.0, "max", "max"):
        with replaying(tmp_path_factory, recording) as exchange:
            fills.append(_fills(asyncio.run(_session(exchange, recording, speed))))
            told = check(exchange.data, Console(file=io.StringIO()))
            assert told["ok"], told["differences"]
            books = {name: found["digests"] for name, found in told["books"].items()}
            digests.append((books, {name: found["digest"] for name, found in told["accounts"].items()}))
    traded = [one for _, _, _, _, of_order in fills[0] for one in of_order]
    assert {one["counterparty"] for one in traded} >= {"OUTSIDE_LIQUIDITY", "VENUE_PRINT"}, traded
    assert all(status == "FILLED" for _, status, *_ in (*fills[0][2:4], fills[0][-1])), "list and latecomer"
    assert fills[1:] == fills[:1] * 3
    assert digests[1:] == digests[:1] * 3
