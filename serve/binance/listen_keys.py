"""Listen keys: names under which a user's stream can be opened without a signature. The venue gave them up in 2026; older
clients still ask for them. Kept in this process: after a restart clients ask for a new one.
"""

import time
from collections.abc import Callable
from typing import Final

from serve.auth.key_material import new_identifier

LIFETIME_S: Final = 3600.0
MAX_LISTEN_KEYS: Final = 100_000


class ListenKeys:
    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._accounts: dict[str, tuple[int, float]] = {}
        self._of_account: dict[int, str] = {}
        self.on_closed: list[Callable[[str], None]] = []
        """Told a listen key that its account closed; one that runs out is noticed by who listens."""

    def open(self, account: int) -> str:
        """The account's listen key, with a whole lifetime ahead."""
        listen_key = self._of_account.get(account)
        if listen_key is None or self.account_of(listen_key) is None:
            if len(self._accounts) >= MAX_LISTEN_KEYS:
                self._sweep()
            listen_key = self._of_account[account] = new_identifier()
        self._accounts[listen_key] = account, self._monotonic() + LIFETIME_S
        return listen_key

    def keep(self, listen_key: str, account: int) -> bool:
        """False when the account has no such key (any more)."""
        if self.account_of(listen_key) != account:
            return False
        self._accounts[listen_key] = account, self._monotonic() + LIFETIME_S
        return True

    def close(self, listen_key: str, account: int) -> bool:
        if self.account_of(listen_key) != account:
            return False
        del self._accounts[listen_key]
        del self._of_account[account]
        for told in tuple(self.on_closed):
            told(listen_key)
        return True

    def left_s(self, listen_key: str) -> float:
        """Until it runs out unless it is kept; 0: it has."""
        _, until = self._accounts.get(listen_key, (0, 0.0))
        return max(0.0, until - self._monotonic())

    def account_of(self, listen_key: str) -> int | None:
        """Whose stream it opens; None when it is unknown or ran out."""
        account, until = self._accounts.get(listen_key, (0, 0.0))
        return account if until > self._monotonic() else None

    def _sweep(self) -> None:
        now = self._monotonic()
        for listen_key in [one for one, (_, until) in self._accounts.items() if until <= now]:
            account, _ = self._accounts.pop(listen_key)
            self._of_account.pop(account, None)
