"""The private part of `bench.fanout`: from a match to the report on the socket of the order that was hit."""

import asyncio
import time
from typing import Final, NamedTuple

import msgspec
import numpy as np
from rich.table import Table

from bench.client import WebSocketConnection, open_websocket, text_frame
from bench.exchange import Exchange, Terms, User
from bench.report import BenchError, out

ANSWER_LIMIT_S: Final = 10.0
WARM: Final = 20
_COMMIT: Final = "raypit_commit_seconds"


class Fills(msgspec.Struct, frozen=True):
    way: str
    fills: int
    sent_p50_ms: float
    sent_p99_ms: float
    """From the taker's frame to the maker's report."""
    match_p50_ms: float
    match_p99_ms: float
    """From the book's stamp, before it matches and commits, to the maker's report."""
    commit_ms: float
    """Mean of the book's commits meanwhile: to PostgreSQL's disk and back."""

    @property
    def after_commit_p50_ms(self) -> float:
        return max(0.0, self.match_p50_ms - self.commit_ms)


class _Report(msgspec.Struct):
    exec_type: str = ""
    ts_ns: int = 0


class _Seen(NamedTuple):
    at_ns: int
    ts_ns: int


_decode = msgspec.json.Decoder(_Report).decode


class _Peer:
    """One user's socket; one frame under way at a time."""

    def __init__(self, connection: WebSocketConnection) -> None:
        self._connection = connection
        self._answer: asyncio.Future[bytes] | None = None
        self.filled: asyncio.Future[_Seen] | None = None
        connection.on_message = self._on_message

    def _on_message(self, message: bytes) -> None:
        now_ns = time.time_ns()
        if b'"channel":"orders"' not in message[:24]:
            if self._answer is not None and not self._answer.done():
                self._answer.set_result(message)
            return
        if self.filled is not None and not self.filled.done() and b'"exec_type":"TRADE"' in message:
            self.filled.set_result(_Seen(now_ns, _decode(message).ts_ns))

    async def ask(self, **frame: object) -> bytes:
        self._answer = asyncio.get_running_loop().create_future()
        self._connection.send(text_frame(msgspec.json.encode({"id": 1, **frame})))
        async with asyncio.timeout(ANSWER_LIMIT_S):
            return await self._answer

    def close(self) -> None:
        self._connection.close()


async def measure(exchange: Exchange, way: str, port: int, count: int) -> Fills:
    terms = exchange.terms()[:1]
    users = [exchange.register(terms) for _ in range(2)]
    maker, taker = [await _open(exchange, port, user) for user in users]
    await maker.ask(op="subscribe")
    before = _commits(exchange)
    sent: list[int] = []
    matched: list[int] = []
    for k in range(count + WARM):
        maker.filled = asyncio.get_running_loop().create_future()
        side, other = ("SELL", "BUY") if k % 2 else ("BUY", "SELL")
        _good(await maker.ask(op="place", orders=[_order(terms[0], side, "GTC")]))
        began = time.time_ns()
        _good(await taker.ask(op="place", orders=[_order(terms[0], other, "IOC")]))
        async with asyncio.timeout(ANSWER_LIMIT_S):
            seen = await maker.filled
        if k >= WARM:
            sent.append(seen.at_ns - began)
            matched.append(seen.at_ns - seen.ts_ns)
    after = _commits(exchange)
    for one in (maker, taker):
        one.close()
    s50, s99 = np.percentile(sent, (50, 99)) / 1e6
    m50, m99 = np.percentile(matched, (50, 99)) / 1e6
    commit_ms = (after[0] - before[0]) / max(1.0, after[1] - before[1]) * 1e3
    return Fills(way, count, float(s50), float(s99), float(m50), float(m99), commit_ms)


async def _open(exchange: Exchange, port: int, user: User) -> _Peer:
    return _Peer(await open_websocket(exchange.host, port, "/ws/orders", user.access_token))


def _order(terms: Terms, side: str, time_in_force: str) -> dict[str, str]:
    price = (terms.price / terms.tick).to_integral_value() * terms.tick
    quantity = (10 / price / terms.lot).to_integral_value() * terms.lot + terms.lot
    return {
        "symbol": terms.symbol, "side": side, "type": "LIMIT", "time_in_force": time_in_force,
        "price": format(price, "f"), "quantity": format(quantity, "f"),
    }  # fmt: skip


def _good(answer: bytes) -> None:
    if b'"error":null' not in answer:
        raise BenchError(f"an order was refused: {answer[:300].decode(errors='replace')}")


def _commits(exchange: Exchange) -> tuple[float, float]:
    """Seconds and number of the book's commits so far."""
    found = {"sum": 0.0, "count": 0.0}
    for line in exchange.text("/metrics").splitlines():
        for name in found:
            if line.startswith(f"{_COMMIT}_{name}{{"):
                found[name] += float(line.rpartition(" ")[2])
    return found["sum"], found["count"]


def show(fills: list[Fills]) -> None:
    table = Table(title="a fill, from the taker's frame to the maker's report", title_justify="left")
    for name in ("way in", "fills", "p50 ms", "p99 ms", "from the match", "p99", "mean commit", "after the commit p50"):
        table.add_column(name, justify="left" if name == "way in" else "right")
    for one in fills:
        table.add_row(
            one.way, str(one.fills), f"{one.sent_p50_ms:.2f}", f"{one.sent_p99_ms:.2f}", f"{one.match_p50_ms:.2f}",
            f"{one.match_p99_ms:.2f}", f"{one.commit_ms:.2f}", f"{one.after_commit_p50_ms:.2f}",
        )  # fmt: skip
    out.print(table)
