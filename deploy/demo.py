"""`raypit demo`: a user's first minutes at the exchange, over its public API only.

The tour registers, buys at the market, lets an order rest until the market fills it, cancels another, and adds the
balances up.
The loop trades until stopped and records what was acknowledged, so that a crash in between can be judged.
"""

import asyncio
import json
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import aiohttp
from rich.console import Console
from rich.table import Table

from deploy.errors import DeployError

FILL_LIMIT_S: Final = 60.0
MOVE_AFTER_S: Final = 2.0
"""Without news of the order it is looked whether the market has left it behind."""
SYMBOL: Final = "BTCUSDT"


class DemoError(DeployError):
    pass


class Client:
    """A user of the API."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.name = ""
        self.token = ""

    async def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        async with self._session.request(method, path, json=body, params=query, headers=headers) as answer:
            content = await answer.json(content_type=None)
            if answer.status >= 400:
                raise DemoError(f"{method} {path}: {answer.status} {content.get('code')}: {content.get('detail')}")
            return content

    async def register(self) -> None:
        self.name = f"demo-{secrets.token_hex(4)}"
        found = await self.call(
            "POST", "/api/auth/register", {"username": self.name, "password": secrets.token_urlsafe(18)}
        )
        self.token = found["access_token"]

    async def quote(self) -> tuple[Decimal, Decimal]:
        """Best bid and ask, once the market has both."""
        while True:
            (ticker,) = (await self.call("GET", "/api/market/prices", symbol=SYMBOL))["prices"]
            if ticker["bid"] and ticker["ask"]:
                return Decimal(ticker["bid"]), Decimal(ticker["ask"])
            await asyncio.sleep(0.1)

    @asynccontextmanager
    async def private(self) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """The order socket, subscribed to the private stream."""
        async with self._session.ws_connect("/ws/orders", headers={"Authorization": f"Bearer {self.token}"}) as ws:
            await ws.receive_json()
            await ws.send_json({"op": "subscribe", "id": 0})
            await ws.receive_json()
            yield ws


@asynccontextmanager
async def _client(url: str) -> AsyncIterator[Client]:
    try:
        async with aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(total=30)) as session:
            client = Client(session)
            await client.register()
            yield client
    except aiohttp.ClientError as error:
        raise DemoError(f"the exchange at {url} went away: {error}. See `raypit status`.") from error


def tour(url: str, out: Console) -> None:
    asyncio.run(_tour(url, out))


async def _tour(url: str, out: Console) -> None:
    async with _client(url) as client:
        out.print(f"registered [bold]{client.name}[/]", highlight=False)
        started = await client.call("GET", "/api/portfolio")
        async with client.private() as ws:
            await client.quote()  # a new market needs a moment
            bought = await client.call("POST", "/api/trading/buy", {"symbol": SYMBOL, "quantity": "0.05"})
            _show_orders(out, "market buy", [bought])
            _show_fills(out, bought["fills"])
            bid, ask = await client.quote()
            price = max(bid, ask - Decimal("0.01"))
            resting = await client.call(
                "POST",
                "/api/trading/sell",
                {"symbol": SYMBOL, "type": "LIMIT", "quantity": "0.02", "price": str(price)},
            )
            _show_orders(out, "limit sell at the front of the book", [resting])
            with out.status("waiting until the market takes it"):
                filled = await _await_fill(client, ws, resting)
            _show_orders(out, "filled by the market", [filled])
            low = (bid * 9 / 10).quantize(Decimal("0.01"))
            far = await client.call(
                "POST",
                "/api/trading/buy",
                {"symbol": SYMBOL, "type": "LIMIT", "quantity": "0.01", "price": str(low)},
            )
            canceled = await client.call("DELETE", f"/api/trading/orders/{far['order_id']}")
            _show_orders(out, "a limit buy 10 % below the market, and its cancel", [far, canceled])
        await _add_up(client, out, started)


async def _await_fill(client: Client, ws: aiohttp.ClientWebSocketResponse, order: dict[str, Any]) -> dict[str, Any]:
    """Wait for the private stream to tell that a sell is filled; move it when the market leaves it behind."""
    try:
        async with asyncio.timeout(FILL_LIMIT_S):
            while order["status"] != "FILLED":
                try:
                    message = await ws.receive_json(timeout=MOVE_AFTER_S)
                except TimeoutError:
                    order = await _at_the_front(client, order)
                    continue
                told = message.get("order")
                if told is not None and told["order_id"] == order["order_id"]:
                    order = told
            return order
    except TimeoutError:
        raise DemoError(
            f"the market did not take the order in {FILL_LIMIT_S:.0f} s; is it alive? See /api/market/prices."
        ) from None


async def _at_the_front(client: Client, order: dict[str, Any]) -> dict[str, Any]:
    """A resting sell where the market is now: the same order, or what replaces it."""
    path = f"/api/trading/orders/{order['order_id']}"
    bid, ask = await client.quote()
    if ask >= Decimal(order["price"]):
        return order
    moved = {"quantity": order["remaining_quantity"], "price": str(max(bid, ask - Decimal("0.01")))}
    try:
        found: dict[str, Any] = await client.call("PUT", path, moved)
    except DemoError:  # it was filled meanwhile
        found = await client.call("GET", path)
    return found


async def _add_up(client: Client, out: Console, started: dict[str, Any]) -> None:
    """Balances = what there was + what executions brought - what they took - commissions, to the last unit."""
    portfolio = await client.call("GET", "/api/portfolio")
    executions = await _all_executions(client)
    expected: dict[str, Decimal] = {b["asset"]: Decimal(b["free"]) + Decimal(b["locked"]) for b in started["balances"]}
    for one in executions:
        base, quote = SYMBOL.removesuffix("USDT"), "USDT"
        sign = 1 if one["side"] == "BUY" else -1
        expected[base] = expected.get(base, Decimal(0)) + sign * Decimal(one["quantity"])
        expected[quote] = expected.get(quote, Decimal(0)) - sign * Decimal(one["quote"])
        expected[one["commission_asset"]] -= Decimal(one["commission"])
    table = Table(title=f"balances of {client.name}")
    for column in ("asset", "free", "locked", "by the executions", ""):
        table.add_column(column, justify="left" if column == "asset" else "right")
    wrong = []
    for balance in portfolio["balances"]:
        held = Decimal(balance["free"]) + Decimal(balance["locked"])
        same = held == expected[balance["asset"]]
        wrong += [] if same else [balance["asset"]]
        mark = "[green]adds up[/]" if same else "[red]differs[/]"
        table.add_row(balance["asset"], balance["free"], balance["locked"], f"{expected[balance['asset']]:f}", mark)
    out.print(table)
    out.print(f"equity {portfolio['equity']} {portfolio['reference_asset']}", highlight=False)
    if wrong:
        raise DemoError(f"balances of {', '.join(wrong)} do not add up; run `raypit check`.")


async def _all_executions(client: Client) -> list[dict[str, Any]]:
    """From history, once it has caught up with the account (history lags by milliseconds)."""
    newest: list[dict[str, Any]] = []
    async with asyncio.timeout(10):
        while True:
            orders = (await client.call("GET", "/api/trading/orders"))["orders"]
            newest = (await client.call("GET", "/api/trading/history", limit=1000))["executions"]
            filled = sum(Decimal(o["executed_quantity"]) for o in orders)
            told = sum(Decimal(e["quantity"]) for e in newest)
            settled = all(o["status"] in ("FILLED", "CANCELED", "EXPIRED") for o in orders)
            if settled and len(orders) == 3 and filled == told:
                return newest
            await asyncio.sleep(0.05)


def _show_orders(out: Console, title: str, orders: list[dict[str, Any]]) -> None:
    table = Table(title=title)
    for column in ("order", "side", "type", "price", "quantity", "executed", "average", "status"):
        table.add_column(column, justify="right" if column in ("price", "quantity", "executed", "average") else "left")
    for one in orders:
        price = "-" if one["type"] == "MARKET" else one["price"]
        table.add_row(
            str(one["order_id"]), one["side"], one["type"], price, one["quantity"], one["executed_quantity"],
            one["average_price"] or "-", one["status"],
        )  # fmt: skip
    out.print(table)


def _show_fills(out: Console, fills: list[dict[str, Any]]) -> None:
    table = Table(title="its fills")
    for column in ("trade", "price", "quantity", "commission"):
        table.add_column(column, justify="right")
    for one in fills:
        table.add_row(
            str(one["trade_id"]),
            one["price"],
            one["quantity"],
            f"{one['commission']} {one['commission_asset']}",
        )
    out.print(table)


def loop(url: str, record: str | None, out: Console) -> None:
    asyncio.run(_loop(url, record, out))


async def _loop(url: str, record: str | None, out: Console) -> None:
    async with _client(url) as client:
        out.print(f"registered [bold]{client.name}[/]; Ctrl-C ends", highlight=False)
        log = None if record is None else Path(record).open("a")  # noqa: ASYNC230, SIM115  it lives as long as we
        if log is not None:
            _write(log, {"user": client.name, "token": client.token})
        turn = bought = 0
        while True:
            bid, ask = await client.quote()
            turn += 1
            kind = turn % 3
            if kind == 0:
                body = {"symbol": SYMBOL, "quantity": "0.001"}
                path = "/api/trading/buy" if turn % 2 else "/api/trading/sell"
            else:
                far = (bid * 95 / 100 if kind == 1 else ask * 105 / 100).quantize(Decimal("0.01"))
                path = "/api/trading/buy" if kind == 1 else "/api/trading/sell"
                body = {"symbol": SYMBOL, "type": "LIMIT", "quantity": "0.001", "price": str(far)}
            if path.endswith("sell") and bought < 3:
                path = "/api/trading/buy"
                body = {"symbol": SYMBOL, "quantity": "0.01"}
                bought += 1
            order = await client.call("POST", path, {**body, "client_order_id": f"loop-{turn}"})
            if log is not None:
                _write(log, order)
            out.print(
                f"{order['order_id']:>10} {order['side']:4} {order['type']:6} {order['quantity']} @ "
                f"{order['average_price'] or order['price']} {order['status']}", highlight=False,
            )  # fmt: skip
            if turn % 60 == 0:
                await client.call("DELETE", "/api/trading/orders")


def _write(log: Any, row: dict[str, Any]) -> None:
    """On disk before the next order is sent: the record must not lose what was acknowledged."""
    log.write(json.dumps(row) + "\n")
    log.flush()
    os.fsync(log.fileno())
