"""The composition root of the HTTP and WebSocket side."""

import asyncio
from typing import Any, Final, NamedTuple

import structlog
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route

from serve.api import ai, chat, jobs, market, portfolio, profiles, system, trading
from serve.assistant.chat import Assistant
from serve.assistant.language_model import ModelSettings
from serve.auth.api_keys import ApiKeys
from serve.auth.endpoints import auth_endpoints
from serve.auth.identity import Identity
from serve.auth.key_endpoints import key_endpoints
from serve.auth.key_material import Vault
from serve.binance.stream_hub import StreamHub
from serve.binance.streams import stream_routes
from serve.binance.table import BinanceApi
from serve.binance.ws_routes import ws_api_routes
from serve.gateway import Gateway
from serve.health import Readiness
from serve.http import ClientAddresses, build_app
from serve.metrics import GatewayMetrics
from serve.predictions import Predictions
from serve.sockets.asgi import asgi_routes
from serve.sockets.orders import OrdersSession
from serve.sockets.portfolio import PortfolioSession
from serve.sockets.prices import PriceBus, PricesSession
from serve.sockets.routes import SocketRoute
from serve.sockets.session import SocketCount
from serve.sockets.transport import Transport

log = structlog.get_logger()

REVOCATION_POLL_S: Final = 2.0
EXPIRY_BEATS: Final = 1800
"""Polls between two clean-ups: an hour."""
USES_BEATS: Final = 5
"""Polls between two notes of when keys were last used: 10 s."""


class Composed(NamedTuple):
    app: Starlette
    table: list[SocketRoute]
    """The application's sockets, for the data port."""
    tasks: list[asyncio.Task[Any]]
    """That keep it alive."""
    sockets: SocketCount


def compose(gateway: Gateway, secret: bytes, model: ModelSettings | None = None) -> Composed:
    """The application over a started gateway; `model`: a language model for the assistant."""
    identity = Identity(gateway.pool, secret)
    keys = ApiKeys(gateway.pool, Vault(secret), gateway.open_account)
    binance = BinanceApi(gateway, keys)
    sockets = SocketCount()
    identity.on_sessions_revoked(sockets.end_revoked)
    bus = PriceBus(gateway)
    hub = StreamHub(gateway.settings)
    addresses = ClientAddresses(frozenset({"127.0.0.1", "::1"}), forwarded=True)
    readiness = Readiness({"accounts": gateway.check_accounts, "database": gateway.check_database})
    predictions = Predictions(gateway)
    metrics = GatewayMetrics(gateway.settings, sockets, bus, predictions)

    def prices(transport: Transport) -> PricesSession:
        return PricesSession(gateway, bus, transport, identity, sockets)

    def orders(transport: Transport) -> OrdersSession:
        return OrdersSession(gateway, transport, identity, sockets)

    def own_portfolio(transport: Transport) -> PortfolioSession:
        return PortfolioSession(gateway, transport, identity, sockets)

    table = [
        SocketRoute("/ws/prices", prices),
        SocketRoute("/ws/orders", orders),
        SocketRoute("/ws/portfolio", own_portfolio),
        *stream_routes(hub, identity, sockets, user_data=binance.ws_api.user_data),
        *ws_api_routes(binance.ws_api, identity, sockets),
    ]
    routes: list[BaseRoute] = [
        *asgi_routes(table, addresses, sockets),
        Route("/metrics", metrics.expose),
        *binance.pages,
    ]
    endpoints = [
        *auth_endpoints(identity, gateway.open_account, gateway.self_service),
        *key_endpoints(keys, gateway.open_account),
        *market.endpoints(gateway),
        *trading.endpoints(gateway),
        *portfolio.endpoints(gateway),
        *system.endpoints(gateway, predictions),
        *ai.endpoints(gateway, predictions),
        *jobs.endpoints(gateway),
        *profiles.endpoints(gateway.profiles),
    ]
    assistant = Assistant(gateway, endpoints, secret, predictions, model)
    app = build_app(
        [*endpoints, *chat.endpoints(assistant)],
        authenticator=identity,
        extra_routes=routes,
        extra_operations=binance.operations,
        readiness=readiness,
        addresses=addresses,
        on_response=metrics.on_response,
    )
    works = (bus.run(), hub.run(), readiness.run(), predictions.run(), _tend(identity, keys, gateway))
    tasks = [asyncio.create_task(work) for work in works]
    return Composed(app, table, tasks, sockets)


async def _tend(identity: Identity, keys: ApiKeys, gateway: Gateway) -> None:
    """Sessions and keys revoked elsewhere end here too; expired rows go."""
    beats = 0
    while True:
        try:
            await identity.poll_revocations()
            await keys.refresh()
            await gateway.profiles.refresh()
            if beats % USES_BEATS == 0:
                await keys.write_uses()
            if beats % EXPIRY_BEATS == 0:
                await identity.delete_expired()
        except Exception:
            log.exception("identity upkeep failed, will be tried again")
        beats += 1
        await asyncio.sleep(REVOCATION_POLL_S)
