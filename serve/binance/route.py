"""A request of the venue's API as a declaration: where it is served, what it costs, who may send it, what it reads."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from serve.binance.context import Context
from serve.binance.params import Params

Handler = Callable[[Context, Any], Awaitable[Any]]
"""(context, parameters of the declared type) -> a struct; raises BinanceError or ApiError."""
Weight = int | Callable[[Mapping[str, str]], int]
"""Or from the parameters as sent: a request is charged before it is read."""


class Security(Enum):
    NONE = 0
    KEY = 1
    """An API key that may read, without a signature."""
    USER_DATA = 2
    """Signed by a key that may read."""
    TRADE = 3
    """Signed by a key that may trade."""

    @property
    def signed(self) -> bool:
        return self.value >= 2


class NoParams(Params):
    pass


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    path: str
    """Below /api/v3; an absolute one is taken as it is."""
    ws_method: str | None
    """Its name in the WebSocket API."""
    handler: Handler
    params: type[Params] = NoParams
    accepts: tuple[str, ...] | None = None
    """Instead of `params`: the handler is given these as they were sent, and reads them itself."""
    weight: Weight = 1
    security: Security = Security.NONE
    free: bool = False
    """Costs no weight when it succeeds."""

    @property
    def full_path(self) -> str:
        return self.path if self.path.startswith("/") else f"/api/v3/{self.path}"
