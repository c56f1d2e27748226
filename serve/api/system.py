"""`/api/v1/system/status`: every actor's own word about itself."""

import asyncio
import time

import ray

from actors.remote import ask, names
from serve.gateway import Gateway
from serve.http import Context, Endpoint
from serve.schema import ActorStatus, SystemStatus

VERSION = "0.1.0"


def endpoints(gateway: Gateway) -> list[Endpoint]:
    async def status(_: Context) -> SystemStatus:
        actors = await asyncio.gather(*(asyncio.to_thread(_ask, name) for name in names(gateway.settings)))
        ok = all(one.ok for one in actors)
        uptime_s = round(time.time() - gateway.started, 1)
        return SystemStatus("ok" if ok else "degraded", VERSION, gateway.settings.symbols, uptime_s, actors)

    return [
        Endpoint("GET", "system/status", status, response=SystemStatus, tags=("system",), v1_only=True,
                 summary="State of every part"),
    ]  # fmt: skip


def _ask(name: str) -> ActorStatus:
    try:
        found = ask(name, "status", 3.0)
    except (ValueError, ray.exceptions.RayError) as error:
        return ActorStatus(name, False, {"error": type(error).__name__})
    return ActorStatus(name, not found.get("stalled", False), found)
