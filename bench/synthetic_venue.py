"""A venue that does not exist, for load: it speaks as Binance Spot does, for many symbols, at a rate that is asked for.

`python -m bench.synthetic_venue --symbols 244` prints its port. Every symbol has a book of LEVELS levels a side that walks;
POST /go?rate=R&seconds=S sends that many messages a second (QUOTES, TRADES and the rest depth), GET /sent tells how many went.
"""

import asyncio
import sys
import time
from argparse import ArgumentParser
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import orjson
from aiohttp import WSMsgType, web

LEVELS: Final = 20
CHANGES: Final = 5
"""Levels that a depth message changes."""
QUOTES: Final = 0.55
TRADES: Final = 0.25
SLICE_S: Final = 0.002
QUOTE: Final = "USDC"
TICK: Final = 100
"""Prices have two decimals: 100 ticks a unit."""


@dataclass
class Symbol:
    name: str
    middle: int
    """Between bid and ask: best bid = middle - 1, best ask = middle + 1."""
    bids: dict[int, int] = field(default_factory=dict)
    asks: dict[int, int] = field(default_factory=dict)
    update: int = 1
    trade: int = 0
    told: int = 1
    """Last update that a depth message told."""
    changed: set[tuple[int, int]] = field(default_factory=set)

    def fill(self, random: Random) -> None:
        """Both sides have LEVELS levels around the middle."""
        for side, levels, sign in ((0, self.bids, -1), (1, self.asks, 1)):
            wanted = {self.middle + sign * k for k in range(1, LEVELS + 1)}
            for price in levels.keys() - wanted:
                del levels[price]
                self.changed.add((side, price))
            for price in wanted - levels.keys():
                levels[price] = random.randint(1, 100_000)
                self.changed.add((side, price))

    def move(self, random: Random) -> None:
        if random.random() < 0.2:
            self.middle += random.choice((-1, 1))
        for _ in range(CHANGES):
            side, price = random.randint(0, 1), random.randint(1, LEVELS)
            levels, at = (self.asks, self.middle + price) if side else (self.bids, self.middle - price)
            levels[at] = random.randint(1, 100_000)
            self.changed.add((side, at))
        self.fill(random)
        self.update += 1


def _price(ticks: int) -> str:
    return f"{ticks // TICK}.{ticks % TICK:02d}000000"


def _qty(lots: int) -> str:
    return f"{lots // 1000}.{lots % 1000:03d}00000"


class Venue:
    def __init__(self, count: int, seed: int = 1) -> None:
        self.random = Random(seed)  # a market, no secret
        self.symbols = [Symbol(f"S{k:03d}{QUOTE}", self.random.randint(5_000, 500_000)) for k in range(count)]
        for one in self.symbols:
            one.fill(self.random)
            one.changed.clear()
        self._listeners: dict[str, set[web.WebSocketResponse]] = {}
        self.sent = {"trade": 0, "bookTicker": 0, "depth": 0}
        self.late_s = 0.0
        self.running = False

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.get("/api/v3/exchangeInfo", self._info),
                web.get("/api/v3/depth", self._depth),
                web.get("/stream", self._stream),
                web.post("/go", self._go),
                web.get("/sent", self._sent),
            ]
        )
        return app

    async def _info(self, _: web.Request) -> web.Response:
        symbols = [
            {
                "symbol": one.name,
                "status": "TRADING",
                "baseAsset": one.name.removesuffix(QUOTE),
                "quoteAsset": QUOTE,
                "isSpotTradingAllowed": True,
                "filters": [
                    {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000.00", "tickSize": "0.01"},
                    {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "9000.000", "stepSize": "0.001"},
                    {"filterType": "NOTIONAL", "minNotional": "5.0"},
                ],
            }
            for one in self.symbols
        ]
        return _json({"timezone": "UTC", "serverTime": time.time_ns() // 1_000_000, "symbols": symbols})

    async def _depth(self, request: web.Request) -> web.Response:
        one = next((one for one in self.symbols if one.name == request.query.get("symbol")), None)
        if one is None:
            return web.Response(status=400, text="unknown symbol")
        return _json(
            {
                "lastUpdateId": one.told,
                "bids": [(_price(p), _qty(one.bids[p])) for p in sorted(one.bids, reverse=True)],
                "asks": [(_price(p), _qty(one.asks[p])) for p in sorted(one.asks)],
            }
        )

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(compress=False)
        await ws.prepare(request)
        async for message in ws:
            if message.type is not WSMsgType.TEXT:
                continue
            asked = orjson.loads(message.data)
            for stream in asked.get("params", ()):
                self._listeners.setdefault(stream.partition("@")[0] + "@" + _channel(stream), set()).add(ws)
            await ws.send_str(orjson.dumps({"result": None, "id": asked.get("id")}).decode())
        for listeners in self._listeners.values():
            listeners.discard(ws)
        return ws

    async def _go(self, request: web.Request) -> web.Response:
        rate, seconds = float(request.query["rate"]), float(request.query["seconds"])
        self.running, self.late_s = True, 0.0
        self.sent = dict.fromkeys(self.sent, 0)
        try:
            await self._run(rate, seconds)
        finally:
            self.running = False
        return await self._sent(request)

    async def _run(self, rate: float, seconds: float) -> None:
        began, sent, total = time.monotonic(), 0, int(rate * seconds)
        while sent < total:
            due = min(total, int((time.monotonic() - began) * rate))
            while sent < due:
                await self._send_one()
                sent += 1
            self.late_s = max(self.late_s, time.monotonic() - began - due / rate)
            await asyncio.sleep(SLICE_S)

    async def _send_one(self) -> None:
        one, dice, now = self.random.choice(self.symbols), self.random.random(), time.time_ns() // 1_000_000
        bid, ask = one.middle - 1, one.middle + 1
        if dice < QUOTES:
            kind = "bookTicker"
            data: dict[str, Any] = {
                "u": one.update, "s": one.name, "b": _price(bid), "B": _qty(one.bids[bid]), "a": _price(ask),
                "A": _qty(one.asks[ask]),
            }  # fmt: skip
        elif dice < QUOTES + TRADES:
            kind, sells = "trade", self.random.random() < 0.5
            one.trade += 1
            data = {
                "e": "trade", "E": now, "s": one.name, "t": one.trade, "p": _price(bid if sells else ask),
                "q": _qty(self.random.randint(1, 5_000)), "T": now, "m": sells, "M": True,
            }  # fmt: skip
        else:
            kind = "depth"
            one.move(self.random)
            sides: tuple[list[tuple[str, str]], list[tuple[str, str]]] = ([], [])
            for side, price in one.changed:
                levels = one.asks if side else one.bids
                sides[side].append((_price(price), _qty(levels.get(price, 0))))
            data = {
                "e": "depthUpdate", "E": now, "s": one.name, "U": one.told + 1, "u": one.update, "b": sides[0], "a": sides[1],
            }  # fmt: skip
            one.told = one.update
            one.changed.clear()
        code = one.name.lower()
        stream = f"{code}@{'depth@100ms' if kind == 'depth' else kind}"
        frame = b'{"stream":"%s","data":%s}' % (stream.encode(), orjson.dumps(data))
        self.sent[kind] += 1
        for ws in self._listeners.get(f"{code}@{kind}", ()):
            await ws.send_str(frame.decode())

    async def _sent(self, _: web.Request) -> web.Response:
        return _json(self.sent | {"late_s": self.late_s, "listened_to": len(self._listeners)})


def _channel(stream: str) -> str:
    return stream.split("@")[1]


def _json(body: Any) -> web.Response:
    return web.Response(body=orjson.dumps(body), content_type="application/json")


async def _serve(count: int) -> None:
    runner = web.AppRunner(Venue(count).app(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    print(site._server.sockets[0].getsockname()[1], flush=True)  # type: ignore[attr-defined]
    # It ends with who started it: his end of our standard input closes.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    parser = ArgumentParser()
    parser.add_argument("--symbols", type=int, default=244)
    asyncio.run(_serve(parser.parse_args().symbols))
