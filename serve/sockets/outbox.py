"""What waits to be sent on one socket: bounded, taken by the transport when its peer can take more.

Messages with a key replace the one of the same key that still waits (depth, tickers: only the newest matters). Others
are never skipped: a listener that lets too many wait is cut off with a reason instead.
"""

from collections import deque
from typing import Any, Final

from serve.sockets.transport import Message, Transport

WAITING_LIMIT: Final = 4096
"""Messages that may not be skipped."""
WAITING_BYTES: Final = 128 << 20
"""Of the same: an answer to 1,000 orders has half a megabyte."""
SOON: Final = 64
"""Messages ahead of one that should not be skipped while its reader keeps up."""
SEND_TIMEOUT_S: Final = 10.0
"""A peer that does not take a message for so long is cut off."""
CLOSE_SLOW: Final = 1013


class Outbox:
    def __init__(self, transport: Transport, waiting_limit: int = WAITING_LIMIT) -> None:
        self._wake = transport.wake
        self._waiting_limit = waiting_limit
        self._waiting_bytes = 0
        self._queue: deque[Message] = deque()
        self._newest: dict[Any, Message] = {}
        self.closing: tuple[int, str] | None = None
        """Code and reason, from when nothing is queued any more."""
        self.closed = False
        """The socket is gone."""

    def send(self, message: Message, key: Any = None) -> None:
        """Queue a message that must not be skipped; with a key, what waits under that key is not sent any more."""
        if self.closing is not None:
            return
        if key is not None:
            self._newest.pop(key, None)
        self._waiting_bytes += len(message)
        if len(self._queue) >= self._waiting_limit or self._waiting_bytes > WAITING_BYTES:
            self.close(CLOSE_SLOW, "reads too slowly; reconnect and resume", at_once=True)
            return
        self._queue.append(message)
        self._wake()

    def replace(self, key: Any, message: Message) -> None:
        """Queue a message, or put it in the place of an older one of the same key."""
        if self.closing is not None:
            return
        self._newest[key] = message
        self._wake()

    def offer(self, key: Any, message: Message) -> None:
        """`send` while the reader keeps up, else `replace`."""
        if key in self._newest or len(self._queue) >= SOON:
            self.replace(key, message)
        else:
            self.send(message)

    def close(self, code: int, reason: str, at_once: bool = False) -> None:
        """End the socket, once what was queued before is sent or at once; nothing is queued any more."""
        if self.closing is None:
            self.closing = (code, reason)
            if at_once:
                self._queue.clear()
                self._newest.clear()
            self._wake()

    # -- the transport's side -------------------------------------------------------------------------------------

    @property
    def waits(self) -> bool:
        """Something is to be sent before the socket may be closed."""
        return bool(self._queue or self._newest)

    def take_only(self) -> Message | None:
        """The one that waits; None: none does, or several."""
        queue = self._queue
        if len(queue) != 1 or self._newest:
            return None
        message = queue.popleft()
        self._waiting_bytes -= len(message)
        return message

    def take(self) -> Message:
        """The next one; there must be one."""
        if self._queue:
            message = self._queue.popleft()
            self._waiting_bytes -= len(message)
            return message
        return self._newest.pop(next(iter(self._newest)))

    def take_many(self, most_bytes: int) -> list[Message]:
        """The next ones up to a size, at least one; there must be one."""
        queue = self._queue
        taken: list[Message] = []
        size = 0
        while queue and size < most_bytes:
            message = queue.popleft()
            taken.append(message)
            size += len(message)
        self._waiting_bytes -= size
        while self._newest and size < most_bytes:
            message = self._newest.pop(next(iter(self._newest)))
            taken.append(message)
            size += len(message)
        return taken
