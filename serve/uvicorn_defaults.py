"""Settings of the HTTP server underneath Ray Serve that Serve offers no option for.

Ray Serve calls `callback` in each process that runs uvicorn (RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH).
"""

from typing import Any, Final

import uvicorn
from starlette.middleware import Middleware

MAX_FRAME_BYTES: Final = 1 << 20
"""A frame of 1,000 orders is about 200 KB."""
PING_EVERY_S: Final = 20.0
PONG_WITHIN_S: Final = 60.0
"""The venue's: a peer that does not answer a ping within it is cut off."""


def callback() -> list[Middleware]:
    made = uvicorn.Config.__init__
    if getattr(made, "raypit", False):
        return []

    def init(self: uvicorn.Config, *args: Any, **kwargs: Any) -> None:
        kwargs["ws_per_message_deflate"] = False  # a zlib stream per socket costs more than the bytes it saves
        kwargs["ws_max_size"] = MAX_FRAME_BYTES
        kwargs["ws_ping_interval"] = PING_EVERY_S
        kwargs["ws_ping_timeout"] = PONG_WITHIN_S
        kwargs["access_log"] = False
        kwargs["proxy_headers"] = False  # nobody before us sets them: a client could choose its own address
        made(self, *args, **kwargs)

    init.raypit = True  # type: ignore[attr-defined]
    uvicorn.Config.__init__ = init  # type: ignore[method-assign]
    return []
