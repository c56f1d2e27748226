"""The baseline's gateway: FastAPI over HTTP and WebSocket, a pool of PostgreSQL connections, Redis as cache and for pushing fills.

uvicorn starts it (`make` is its factory) in as many processes as it is told; fills reach the sockets of another by Redis.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from typing import Any, Final

import asyncpg
import orjson
import redis.asyncio
from fastapi import FastAPI, Header, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from bench.baseline.orders import Orders, Placed
from bench.baseline.rules import CancelRequest, Frame, OrderRequest, Refusal, checked, markets_of
from market.universe import instruments

CONNECTIONS: Final = 16
"""To PostgreSQL, of each process."""
CHANNEL: Final = "fills"
PRICES: Final = "prices"
DSN, REDIS_URL, SYMBOLS = "BASELINE_DSN", "BASELINE_REDIS", "BASELINE_SYMBOLS"


class Exchange:
    """What every request needs, made once a process."""

    def __init__(self, pool: "asyncpg.Pool[Any]", cache: "redis.asyncio.Redis", symbols: int) -> None:
        self.pool = pool
        self.cache = cache
        self.markets = markets_of(instruments(symbols))
        self.orders = Orders(pool, list(self.markets.values()))
        self.last_prices = [one.instrument.start_price_ticks for one in self.markets.values()]
        self.sockets: dict[int, set[asyncio.Queue[bytes]]] = {}

    async def account_of(self, authorization: str) -> int | None:
        token = authorization.removeprefix("Bearer ")
        if known := await self.cache.get(f"token:{token}"):
            return int(known)
        account: int | None = await self.pool.fetchval("SELECT id FROM users WHERE token = $1", token)
        if account is not None:
            await self.cache.set(f"token:{token}", account, ex=900)
        return account

    async def place(self, account: int, request: OrderRequest) -> dict[str, Any]:
        order = checked(request, self.markets, self.last_prices)
        placed = await self.orders.place(account, order)
        if placed.fills:
            await self._tell(account, request, placed)
        return {
            "order_id": placed.order_id, "client_order_id": request.client_order_id, "symbol": request.symbol,
            "side": request.side, "status": placed.status, "leaves": placed.leaves, "price": request.price,
            "quantity": request.quantity, "fills": [{"trade_id": f.trade_id, "price": f.price, "quantity": f.qty} for f in placed.fills],
        }  # fmt: skip

    async def _tell(self, account: int, request: OrderRequest, placed: Placed) -> None:
        """Prices into the cache, fills to who they are of: one round trip."""
        pipeline = self.cache.pipeline(transaction=False)
        pipeline.hset(PRICES, request.symbol, str(placed.fills[-1].price))
        for fill in placed.fills:
            for owner, order_id in ((account, placed.order_id), (fill.maker, fill.maker_order)):
                event = {
                    "account": owner, "order_id": order_id, "symbol": request.symbol, "trade_id": fill.trade_id,
                    "price": fill.price, "quantity": fill.qty,
                }  # fmt: skip
                pipeline.publish(CHANNEL, orjson.dumps(event))
        await pipeline.execute()

    async def listen(self) -> None:
        """Fills of all processes to the sockets of this one."""
        channel = self.cache.pubsub(ignore_subscribe_messages=True)
        await channel.subscribe(CHANNEL)
        numbers = {name: one.number for name, one in self.markets.items()}
        async for message in channel.listen():
            event = orjson.loads(message["data"])
            self.last_prices[numbers[event["symbol"]]] = event["price"]
            for queue in self.sockets.get(event["account"], ()):
                queue.put_nowait(orjson.dumps({"fill": event}))


def make() -> FastAPI:
    """The application, told by the environment where its stores are."""
    found: dict[str, Exchange] = {}

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        cache = redis.asyncio.from_url(os.environ[REDIS_URL])
        async with asyncpg.create_pool(os.environ[DSN], min_size=CONNECTIONS, max_size=CONNECTIONS) as pool:
            exchange = found["it"] = Exchange(pool, cache, int(os.environ[SYMBOLS]))
            listening = asyncio.create_task(exchange.listen())
            yield
            listening.cancel()
        await cache.aclose()

    app = FastAPI(lifespan=lifespan)

    @app.get("/health")
    async def health() -> dict[str, bool]:
        return {"ok": True}

    @app.get("/api/market/prices")
    async def prices() -> dict[str, int]:
        cached: dict[Any, Any] = await found["it"].cache.hgetall(PRICES)
        return {name.decode(): int(price) for name, price in cached.items()}

    @app.post("/api/orders")
    async def order(request: OrderRequest, authorization: str = Header()) -> JSONResponse:
        account = await found["it"].account_of(authorization)
        if account is None:
            return JSONResponse({"error": {"code": "UNAUTHORIZED"}}, 401)
        try:
            return JSONResponse({"order": await found["it"].place(account, request), "error": None})
        except Refusal as refusal:
            return JSONResponse({"error": {"code": refusal.code, "detail": refusal.detail}}, 400)

    @app.websocket("/ws/orders")
    async def orders(socket: WebSocket) -> None:
        exchange = found["it"]
        account = await exchange.account_of(socket.headers.get("authorization", ""))
        if account is None:
            await socket.close(4401)
            return
        await socket.accept()
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        pushing = asyncio.create_task(_push(socket, queue))
        try:
            await socket.send_bytes(b'{"welcome":true}')
            while True:
                message = await socket.receive_text()
                answer, subscribes = await _answer(exchange, account, message)
                if subscribes:
                    exchange.sockets.setdefault(account, set()).add(queue)
                await socket.send_bytes(answer)
        except WebSocketDisconnect:
            pass
        finally:
            pushing.cancel()
            exchange.sockets.get(account, set()).discard(queue)

    return app


async def _push(socket: WebSocket, queue: "asyncio.Queue[bytes]") -> None:
    while True:
        await socket.send_bytes(await queue.get())


async def _answer(exchange: Exchange, account: int, message: str) -> tuple[bytes, bool]:
    """The answer, and whether the socket wants to be told of fills from now on."""
    try:
        frame = Frame.model_validate_json(message)
    except ValidationError as error:
        return orjson.dumps({"ok": False, "error": {"code": "VALIDATION", "detail": str(error)}}), False
    results: list[dict[str, Any]] = []
    for one in frame.orders if frame.op in ("place", "cancel") else ():
        try:
            if frame.op == "place":
                order = await exchange.place(account, OrderRequest.model_validate(one))
            else:
                order = {
                    "order_id": await exchange.orders.cancel(account, CancelRequest.model_validate(one).client_order_id)
                }
            results.append({"order": order, "error": None})
        except ValidationError as error:
            results.append({"order": None, "error": {"code": "VALIDATION", "detail": str(error)}})
        except Refusal as refusal:
            results.append({"order": None, "error": {"code": refusal.code, "detail": refusal.detail}})
    return orjson.dumps({"id": frame.id, "ok": True, "results": results}), frame.op == "subscribe"
