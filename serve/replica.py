"""The Ray Serve deployment of the gateway. Light to import: the application itself is only loaded by its replica."""

import asyncio
import gc
from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from ray import serve as ray_serve
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from actors.config import Settings

if TYPE_CHECKING:
    from serve.assistant.language_model import ModelSettings
    from serve.sockets.data_port import DataPort

APP_NAME: Final = "raypit"
DEPLOYMENT: Final = "gateway"
RETIRE_S: Final = 3.0
"""For peers to take the close frame; who does not is cut."""
MAX_ONGOING: Final = 8192
"""Requests and sockets of one replica: a socket holds a place for life."""
GC_THRESHOLD: Final = (20_000, 20, 20)
"""An answer to 1,000 orders makes some thousand objects, none of them in a cycle: do not look at them ten times."""


class Unlisted:
    """The application as Ray Serve sees it: Serve names each request by asking every route of `routes` in turn (some 30 us),
    and there is nobody who reads those names.
    """

    routes: Final[Sequence[BaseRoute]] = ()
    router: Final = SimpleNamespace(redirect_slashes=False)

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


class GatewayReplica:
    """One replica: `gateway`."""

    def __init__(self, settings: Settings, secret: bytes, model: "ModelSettings | None" = None) -> None:
        self._settings = settings
        self._secret = secret
        self._model = model
        self._tasks: list[asyncio.Task[Any]] = []
        self._data_port: DataPort | None = None

    async def __serve_build_asgi_app__(self) -> ASGIApp:
        from actors.logs import configure
        from actors.memory import give_back
        from serve.app import compose
        from serve.gateway import Gateway
        from serve.sockets.data_port import DataPort

        configure(self._settings.data_dir, "gateway")
        self._gateway = gateway = Gateway(self._settings)
        await gateway.start()
        composed = compose(gateway, self._secret, self._model)
        self._tasks, self._sockets = composed.tasks, composed.sockets
        if self._settings.data_port:
            self._data_port = DataPort(composed.table, composed.sockets)
            await self._data_port.start(self._settings.data_host, self._settings.data_port)
        give_back()
        gc.set_threshold(*GC_THRESHOLD)
        return Unlisted(composed.app)

    async def retire(self) -> int:
        """Before the exchange ends: sockets are closed with a reason rather than cut; how many there were."""
        if self._data_port is not None:
            self._data_port.stop_listening()
        return await self._sockets.retire(RETIRE_S)

    def check_health(self) -> None:
        for task in self._tasks:
            if task.done() and not task.cancelled() and task.exception() is not None:
                raise RuntimeError("a background task of the gateway died") from task.exception()
        if self._data_port is not None and not self._sockets.retired and not self._data_port.serving:
            raise RuntimeError("the data port does not listen any more")


def deployment(settings: Settings, secret: bytes, model: "ModelSettings | None" = None, replicas: int = 1) -> Any:
    """The Serve application for `ray_serve.run`."""
    made = ray_serve.deployment(
        name=DEPLOYMENT,
        num_replicas=replicas,
        max_ongoing_requests=MAX_ONGOING,
        max_queued_requests=1000,
        ray_actor_options={"num_cpus": 0},
        health_check_period_s=2,
        health_check_timeout_s=10,
        graceful_shutdown_timeout_s=5,
        logging_config={"enable_access_log": False, "log_level": "WARNING"},
    )(ray_serve.ingress()(GatewayReplica))
    return made.bind(settings, secret, model)
