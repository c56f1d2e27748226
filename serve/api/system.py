"""`/api/v1/system`: how the exchange is, for everybody; how each actor is, for administrators."""

import asyncio
import time
from collections.abc import Awaitable
from typing import Final, cast

import msgspec
import ray
from redis.exceptions import RedisError

from actors.errors import LinkDown
from actors.remote import ask, names
from serve.auth.principal import ADMINS
from serve.gateway import Gateway
from serve.http import Context, Endpoint
from serve.schema import ActorList, ActorStatus, SystemStatus, Ticker

VERSION: Final = "0.1.0"
STALE_MS: Final = 10_000
"""A simulated market trades every second."""

_ticker = msgspec.json.Decoder(Ticker)


def endpoints(gateway: Gateway) -> list[Endpoint]:
    async def status(_: Context) -> SystemStatus:
        age_ms = await _market_data_age_ms(gateway)
        fresh = gateway.settings.rate <= 0 or (age_ms is not None and age_ms <= STALE_MS)
        ok = fresh and await _orders_are_taken(gateway)
        uptime_s = round(time.time() - gateway.started, 1)
        return SystemStatus("ok" if ok else "degraded", VERSION, gateway.settings.symbols, uptime_s, age_ms)

    async def actors(_: Context) -> ActorList:
        found = await asyncio.gather(*(asyncio.to_thread(_ask, name) for name in names(gateway.settings)))
        return ActorList(found)

    return [
        Endpoint("GET", "system/status", status, response=SystemStatus, tags=("system",), v1_only=True,
                 summary="How the exchange is"),
        Endpoint("GET", "system/actors", actors, response=ActorList, roles=ADMINS, tags=("system",), v1_only=True,
                 summary="Every actor's own word about itself",
                 description="For administrators: process ids, positions in the journal, queues."),
    ]  # fmt: skip


async def _orders_are_taken(gateway: Gateway) -> bool:
    try:
        await gateway.check_accounts()
    except LinkDown:
        return False
    return True


async def _market_data_age_ms(gateway: Gateway) -> int | None:
    """Of the newest ticker in the cache; None: there is none, or no cache."""
    try:
        prefix = gateway.settings.prefix
        keys = [f"{prefix}:ticker:{one.symbol}" for one in gateway.instruments]
        found = await cast(Awaitable[list[bytes | None]], gateway.redis.mget(keys))
    except (RedisError, OSError):
        return None
    newest_ns = max((_ticker.decode(one).ts_ns for one in found if one is not None), default=None)
    return None if newest_ns is None else max(0, (time.time_ns() - newest_ns) // 1_000_000)


def _ask(name: str) -> ActorStatus:
    try:
        found = ask(name, "status", 3.0)
    except (ValueError, ray.exceptions.RayError) as error:
        return ActorStatus(name, False, {"error": type(error).__name__})
    return ActorStatus(name, not found.get("stalled", False), found)
