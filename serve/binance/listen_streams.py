"""User data on a socket of the market streams, by listen key: bare events, or wrapped with the key as the stream's name."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import msgspec

from serve.binance.context import MICROSECOND_NS, MILLISECOND_NS
from serve.binance.user_data import UserData
from serve.binance.user_events import ListenKeyExpired
from serve.errors import ApiError

_encode: Final = msgspec.json.Encoder().encode
Tell = Callable[[str, str], None]
"""(listen key, event)"""


class ListenStreams:
    """The listen keys of one socket. Keys that do not exist are accepted and silent, as at the venue."""

    def __init__(self, user_data: UserData, unit: str, tell: Tell, cut: Callable[[], None]) -> None:
        self.unit_ns = MICROSECOND_NS if unit == "us" else MILLISECOND_NS
        self._user_data = user_data
        self._keys = user_data.venue.listen_keys
        self._tell = tell
        self._cut = cut
        self._accounts: dict[str, int] = {}
        self._by_account: dict[int, str] = {}
        self._alarms: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, listen_key: str) -> None:
        account = self._keys.account_of(listen_key)
        if account is None or listen_key in self._accounts:
            return
        if not self._accounts:
            self._keys.on_closed.append(self.drop)
        self._accounts[listen_key] = account
        self._by_account[account] = listen_key
        self._watch(listen_key)
        task = asyncio.create_task(self._listen(account))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _listen(self, account: int) -> None:
        try:
            await self._user_data.listen(account, self)
        except ApiError:
            self._cut()
            return
        if account not in self._by_account:  # dropped meanwhile
            self._user_data.forget(account, self)

    def drop(self, listen_key: str) -> None:
        account = self._accounts.pop(listen_key, None)
        if account is None:
            return
        del self._by_account[account]
        self._alarms.pop(listen_key).cancel()
        self._user_data.forget(account, self)
        if not self._accounts:
            self._keys.on_closed.remove(self.drop)

    def close(self) -> None:
        for listen_key in tuple(self._accounts):
            self.drop(listen_key)
        for task in self._tasks:
            task.cancel()

    # -- expiry ---------------------------------------------------------------------------------------------------

    def _watch(self, listen_key: str) -> None:
        loop = asyncio.get_running_loop()
        self._alarms[listen_key] = loop.call_later(self._keys.left_s(listen_key), self._look, listen_key)

    def _look(self, listen_key: str) -> None:
        if self._keys.left_s(listen_key):
            self._watch(listen_key)  # it was kept
            return
        now = str(time.time_ns() // self.unit_ns)
        self._tell(listen_key, _encode(ListenKeyExpired("listenKeyExpired", now, listen_key)).decode())
        self.drop(listen_key)

    # -- events ---------------------------------------------------------------------------------------------------

    def user_event(self, account: int, event: str) -> None:
        listen_key = self._by_account.get(account)
        if listen_key is not None:
            self._tell(listen_key, event)

    def user_stream_ended(self, account: int) -> None:
        self._cut()
