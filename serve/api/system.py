"""`/api/v1/system`: how the exchange is, for everybody; how each actor is, for administrators. Market time and its control."""

import asyncio
import time
from collections.abc import Awaitable
from typing import Any, Final, cast

import msgspec
import ray
from redis.exceptions import RedisError

from actors.errors import LinkDown
from actors.remote import ask, has_feed, names
from serve import market_time
from serve.api.ai import predictor_status
from serve.auth.principal import ADMINS
from serve.errors import Code
from serve.gateway import Gateway
from serve.http import Context, Endpoint
from serve.market_schema import Ticker
from serve.predictions import Predictions
from serve.system_schema import ActorList, ActorStatus, FeedStatus, MarketTime, SystemStatus, TimeControl, VenueStatus

VERSION: Final = "0.1.0"
STALE_MS: Final = 10_000
"""A simulated market trades every second, and somewhere at a venue something happens."""

_ticker = msgspec.json.Decoder(Ticker)


def endpoints(gateway: Gateway, predictions: Predictions) -> list[Endpoint]:
    async def status(_: Context) -> SystemStatus:
        now, feed, age_ms, predictor = await asyncio.gather(
            asyncio.to_thread(market_time.status, gateway.settings),
            asyncio.to_thread(_feed, gateway),
            _market_data_age_ms(gateway),
            predictor_status(predictions),
        )
        ok = _is_fed(feed, age_ms) and await _orders_are_taken(gateway)
        return SystemStatus(
            status="ok" if ok else "degraded",
            version=VERSION,
            symbols=gateway.settings.symbols,
            uptime_s=round(time.time() - gateway.started, 1),
            market_data_age_ms=age_ms,
            market_time=now,
            feed=feed,
            predictor=predictor,
            data_port=gateway.settings.data_port or None,
        )

    async def actors(_: Context) -> ActorList:
        found = await asyncio.gather(*(asyncio.to_thread(_ask, name) for name in names(gateway.settings)))
        return ActorList(found)

    async def time_status(_: Context) -> MarketTime:
        return await asyncio.to_thread(market_time.status, gateway.settings)

    async def time_control(ctx: Context) -> MarketTime:
        told, done = await asyncio.to_thread(market_time.control, gateway.settings, ctx.body)
        if not done:
            ctx.reply_status = 202
        return told

    return [
        Endpoint("GET", "system/status", status, response=SystemStatus, tags=("system",), v1_only=True,
                 summary="How the exchange and its feed are"),
        Endpoint("GET", "system/actors", actors, response=ActorList, roles=ADMINS, tags=("system",), v1_only=True,
                 summary="Every actor's own word about itself",
                 description="For administrators: process ids, positions in the journal, queues."),
        Endpoint("GET", "market/time", time_status, response=MarketTime, tags=("market",),
                 summary="What time it is on the market, and on the wall"),
        Endpoint("POST", "admin/time", time_control, request=TimeControl, response=MarketTime, roles=ADMINS,
                 tags=("system",), summary="Control the market time of a replay",
                 description="Answered when the market stands where it is wanted, or with 202 and the present state when "
                 "that takes longer than some 20 s: it goes on, ask `market/time`.",
                 also=(202,), errors=(Code.MARKET_TIME_IS_WALL, Code.UNAVAILABLE)),
    ]  # fmt: skip


def _is_fed(feed: FeedStatus, age_ms: int | None) -> bool:
    if feed.kind == "none":
        return True
    if not feed.answers or (feed.venues and not any(one.connected for one in feed.venues)):
        return False
    # A replay may stand still.
    return feed.kind == "replay" or (age_ms is not None and age_ms <= STALE_MS)


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
    return None if newest_ns is None else max(0, (gateway.now_ns() - newest_ns) // 1_000_000)


def _feed(gateway: Gateway) -> FeedStatus:
    kind = _kind(gateway)
    if kind == "none":
        return FeedStatus(kind=kind, answers=True)
    try:
        found: dict[str, Any] = ask("feed", "status", market_time.ANSWER_S)
    except (ValueError, ray.exceptions.RayError):
        return FeedStatus(kind=kind, answers=False)
    return feed_status(kind, found)


def _kind(gateway: Gateway) -> str:
    settings = gateway.settings
    if not has_feed(settings):
        return "none"
    if settings.market_time == "replay":
        return "replay"
    return "simulated" if settings.feed == "simulated" else "venues"


def feed_status(kind: str, found: dict[str, Any]) -> FeedStatus:
    """What a feed says of itself; facts that it does not tell, or not as expected, are left out."""
    venues = []
    for one in found.get("venues") or ():
        try:
            venues.append(msgspec.convert(one, VenueStatus))
        except msgspec.ValidationError:
            name = one.get("venue") if isinstance(one, dict) else None
            venues.append(VenueStatus(venue=str(name)))
    behind = found.get("behind_s")
    return FeedStatus(
        kind=str(found.get("kind", kind)),
        answers=True,
        behind_s=behind if isinstance(behind, float) else None,
        venues=venues,
    )


def _ask(name: str) -> ActorStatus:
    try:
        found = ask(name, "status", 3.0)
    except (ValueError, ray.exceptions.RayError) as error:
        return ActorStatus(name, False, {"error": type(error).__name__})
    return ActorStatus(name, not found.get("stalled", False), found)
