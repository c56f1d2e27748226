"""Which access tokens were found good: the next request with one costs a look-up, no signature, no query.

A cached token outlives the end of its session by at most RECHECK_S: before a cached token is believed, the
sessions that ended meanwhile are asked for, once for all tokens and not more often than that. When the
database cannot say, nobody is let in on old knowledge.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Final

from serve.auth import store
from serve.auth.principal import Principal
from serve.auth.store import Pool

MAX_TOKENS: Final = 10_000
RECHECK_S: Final = 5.0
OVERLAP: Final = timedelta(seconds=30)
"""A session's end is stamped before it is committed: look back further than any such transaction lasts."""

RevocationListener = Callable[[Collection[int]], None]


class TokenCache:
    def __init__(self, pool: Pool, monotonic: Callable[[], float], max_tokens: int = MAX_TOKENS) -> None:
        self._pool = pool
        self._monotonic = monotonic
        self._max_tokens = max_tokens
        self._found: OrderedDict[str, tuple[Principal, int]] = OrderedDict()
        self._checked_at = -RECHECK_S
        self._seen_until = datetime.min
        self._check: asyncio.Task[None] | None = None
        self.listeners: list[RevocationListener] = []

    def __len__(self) -> int:
        return len(self._found)

    def get(self, token: str) -> tuple[Principal, int] | None:
        """The principal and when the token expires. Only believe it while `fresh`."""
        found = self._found.get(token)
        if found is not None:
            self._found.move_to_end(token)
        return found

    @property
    def fresh(self) -> bool:
        return self._monotonic() - self._checked_at < RECHECK_S

    def put(self, token: str, principal: Principal, expires_at: int) -> None:
        self._found[token] = principal, expires_at
        if len(self._found) > self._max_tokens:
            self._found.popitem(last=False)

    def forget(self, token: str) -> None:
        self._found.pop(token, None)

    def drop_sessions(self, session_ids: Collection[int]) -> None:
        if not session_ids:
            return
        gone = [token for token, (principal, _) in self._found.items() if principal.session_id in session_ids]
        for token in gone:
            del self._found[token]
        for listener in self.listeners:
            listener(session_ids)

    async def refresh(self) -> None:
        """One query, however many wait for it. Raises UNAVAILABLE."""
        if self._check is None or self._check.done():
            self._check = asyncio.create_task(self._ask())
            # Everybody who waited may be gone by the time it fails.
            self._check.add_done_callback(lambda task: task.cancelled() or task.exception())
        # Shielded: the request that began the query may go away while others wait for it.
        await asyncio.shield(self._check)

    async def _ask(self) -> None:
        began = self._monotonic()
        async with store.database(self._pool) as connection:
            now, ended = await store.sessions_revoked_since(connection, self._seen_until)
        self._seen_until = now - OVERLAP
        self._checked_at = began
        self.drop_sessions(ended)
