"""Which session answers at which path: one table for the ingress and for the data port."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from serve.sockets.session import Session
from serve.sockets.transport import Transport


class SocketRoute(NamedTuple):
    path: str
    open: Callable[[Transport], Session]
    """The session of a socket that has asked for this path. Raises Denied."""
    below: bool = False
    """All paths that begin so."""

    def matches(self, path: str) -> bool:
        return path.startswith(self.path) if self.below else path == self.path


def found(table: Sequence[SocketRoute], path: str) -> SocketRoute | None:
    """The first that matches."""
    return next((one for one in table if one.matches(path)), None)
