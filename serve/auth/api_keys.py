"""API keys of programs: made, listed, changed, revoked; and the look-up that every signed request needs.

A key that was found good is kept in memory, so that a request with it costs a look-up and its signature, no query.
It outlives its revocation on another gateway by at most RECHECK_S, as sessions do.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

import msgspec

from serve.auth import key_store, store
from serve.auth.key_material import KeyKind, PublicKey, Vault, is_identifier, new_identifier, public_key_of
from serve.auth.key_store import KeyRow
from serve.auth.principal import TRADERS, Role
from serve.auth.store import Pool, database, moment
from serve.auth.token_cache import OVERLAP
from serve.errors import ApiError, Code

MAX_KEYS_PER_USER: Final = 30
"""As at the venue."""
MAX_ADDRESSES: Final = 30
MAX_LABEL_CHARS: Final = 100
MAX_CACHED: Final = 20_000
RECHECK_S: Final = 2.0
UNKNOWN_FOR_S: Final = 2.0
"""So long an unknown key is not asked for again: whoever tries keys asks the database seldom."""

Network = IPv4Network | IPv6Network
OnKnown = Callable[[int], Awaitable[None]]
"""Told a user id before a key of it is believed: opens the trading account unless it is open."""


class Key(msgspec.Struct):
    """A key as requests see it."""

    api_key: str
    user_id: int
    username: str
    kind: KeyKind
    can_read: bool
    can_trade: bool
    networks: tuple[Network, ...]
    secret: bytes = b""
    """HMAC."""
    public_key: PublicKey | None = None
    """RSA, ED25519."""
    used_at: float = 0.0
    used_from: str | None = None
    told_at: float = 0.0
    """`used_at` as the database knows it."""

    def may_come_from(self, address: str | None) -> bool:
        if not self.networks:
            return True
        if address is None:
            return False
        try:
            where = ip_address(address)
        except ValueError:
            return False
        return any(where in network for network in self.networks)


class NewKey(msgspec.Struct, frozen=True):
    """A key just made; the only time its secret is told."""

    row: KeyRow
    secret: str | None


class ApiKeys:
    """`clock` gives UNIX seconds; `monotonic` measures intervals."""

    def __init__(
        self,
        pool: Pool,
        vault: Vault,
        on_known: OnKnown | None = None,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._vault = vault
        self._on_known = on_known
        self._clock = clock
        self._monotonic = monotonic
        self._known: OrderedDict[str, Key] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._checked_at = -RECHECK_S
        self._seen_until = datetime.min
        self._check: asyncio.Task[None] | None = None
        self.on_gone: list[Callable[[frozenset[str]], None]] = []
        """Told the keys that changed or ended: to close what was opened with them."""

    # -- for requests ---------------------------------------------------------------------------------------------

    def known(self, api_key: str) -> Key | None:
        """Without waiting; None: ask `find`."""
        if self._monotonic() - self._checked_at >= RECHECK_S:
            return None
        return self._known.get(api_key)

    async def find(self, api_key: str) -> Key | None:
        """A usable key, or None. Raises UNAVAILABLE."""
        if not is_identifier(api_key):
            return None
        if self._monotonic() - self._checked_at >= RECHECK_S:
            await self.refresh()
        found = self._known.get(api_key)
        if found is not None:
            self._known.move_to_end(api_key)
            return found
        if self._unknown.get(api_key, 0.0) > self._monotonic():
            return None
        return await self._load(api_key)

    async def _load(self, api_key: str) -> Key | None:
        async with database(self._pool) as connection:
            row = await key_store.find(connection, api_key)
        key = None if row is None else self._usable(row)
        if key is None:
            self._unknown[api_key] = self._monotonic() + UNKNOWN_FOR_S
            if len(self._unknown) > MAX_CACHED:
                self._unknown.popitem(last=False)
            return None
        if self._on_known is not None:
            await self._on_known(key.user_id)
        self._known[api_key] = key
        if len(self._known) > MAX_CACHED:
            self._known.popitem(last=False)
        return key

    def _usable(self, row: KeyRow) -> Key | None:
        if row.role not in (Role.ADMIN, Role.USER, Role.VIEWER):
            return None
        key = Key(
            row.api_key, row.user_id, row.username, row.kind, row.can_read, row.can_trade and row.role in TRADERS,
            tuple(ip_network(one) for one in row.addresses),
        )  # fmt: skip
        if row.sealed_secret is not None:
            key.secret = self._vault.open(row.api_key, row.sealed_secret)
        elif row.public_key is not None:
            key.public_key = public_key_of(row.public_key)[1]
        return key

    async def refresh(self) -> None:
        """Forget what changed elsewhere. One query, however many wait for it. Raises UNAVAILABLE."""
        if self._check is None or self._check.done():
            self._check = asyncio.create_task(self._ask())
            self._check.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(self._check)

    async def _ask(self) -> None:
        began = self._monotonic()
        async with database(self._pool) as connection:
            now, changed = await key_store.changed_since(connection, self._seen_until)
        self._seen_until = now - OVERLAP
        self._checked_at = began
        self._forget(changed)

    def _forget(self, changed: frozenset[str]) -> None:
        gone = frozenset(one for one in changed if self._known.pop(one, None) is not None)
        if gone:
            for listener in self.on_gone:
                listener(gone)

    async def write_uses(self) -> None:
        """When and from where keys were used last; call every few seconds."""
        fresh = [one for one in self._known.values() if one.used_at > one.told_at]
        if not fresh:
            return
        uses = [(one.api_key, moment(one.used_at), one.used_from) for one in fresh]
        async with database(self._pool) as connection:
            await key_store.used(connection, uses)
        for one, (_, at, _) in zip(fresh, uses, strict=True):
            one.told_at = at.timestamp()

    # -- for their owners -----------------------------------------------------------------------------------------

    async def create(
        self, user_id: int, role: Role, label: str, public_key: str | None = None, *, can_read: bool = True,
        can_trade: bool = True, addresses: Sequence[str] = (), address: str | None = None,
    ) -> NewKey:  # fmt: skip
        """HMAC, or of the public key's kind. Raises VALIDATION, FORBIDDEN, TOO_MANY_KEYS, UNAVAILABLE."""
        _check_rights(role, can_read, can_trade)
        networks = _networks(addresses)
        api_key, secret, sealed, kind = new_identifier(), None, None, KeyKind.HMAC
        if public_key is None:
            secret = new_identifier()
            sealed = self._vault.seal(api_key, secret)
        else:
            kind, _ = public_key_of(public_key)
        async with database(self._pool) as connection, connection.transaction():
            if await key_store.count(connection, user_id) >= MAX_KEYS_PER_USER:
                raise ApiError(Code.TOO_MANY_KEYS)
            await key_store.add(
                connection, api_key, user_id, kind, label, sealed, public_key, can_read, can_trade, networks
            )
            await store.audit(connection, "key_created", user_id=user_id, address=address, detail=api_key)
            row = await key_store.find(connection, api_key)
        if row is None:
            raise ApiError(Code.FORBIDDEN, "This user is disabled.")
        return NewKey(row, secret)

    async def of_user(self, user_id: int | None) -> list[KeyRow]:
        await self.write_uses()
        async with database(self._pool) as connection:
            return await key_store.of_user(connection, user_id)

    async def change(
        self, user_id: int, role: Role, api_key: str, label: str | None, can_read: bool | None, can_trade: bool | None,
        addresses: Sequence[str] | None, address: str | None = None,
    ) -> KeyRow:  # fmt: skip
        """What is None stays. Raises UNKNOWN_KEY, VALIDATION, FORBIDDEN, UNAVAILABLE."""
        networks = None if addresses is None else _networks(addresses)
        async with database(self._pool) as connection, connection.transaction():
            if not await key_store.change(connection, api_key, user_id, label, can_read, can_trade, networks):
                raise ApiError(Code.UNKNOWN_KEY)
            row = await key_store.find(connection, api_key)
            assert row is not None
            _check_rights(role, row.can_read, row.can_trade)  # raised inside: the change is taken back
            await store.audit(connection, "key_changed", user_id=user_id, address=address, detail=api_key)
        self._forget(frozenset((api_key,)))
        return row

    async def revoke(self, api_key: str, user_id: int | None, address: str | None = None) -> None:
        """Here at once, at other gateways within RECHECK_S. Raises UNKNOWN_KEY, UNAVAILABLE."""
        async with database(self._pool) as connection, connection.transaction():
            if not await key_store.revoke(connection, api_key, user_id):
                raise ApiError(Code.UNKNOWN_KEY)
            await store.audit(connection, "key_revoked", user_id=user_id, address=address, detail=api_key)
        self._forget(frozenset((api_key,)))


def _check_rights(role: Role, can_read: bool, can_trade: bool) -> None:
    if not can_read and not can_trade:
        raise ApiError(Code.VALIDATION, "A key that may do nothing is of no use.", "can_read")
    if can_trade and role not in TRADERS:
        raise ApiError(Code.FORBIDDEN, "Your role does not permit trading, so no key of yours may.")


def _networks(addresses: Sequence[str]) -> list[str]:
    if len(addresses) > MAX_ADDRESSES:
        raise ApiError(Code.VALIDATION, f"At most {MAX_ADDRESSES} addresses.", "addresses")
    found = []
    for k, text in enumerate(addresses):
        try:
            found.append(str(ip_network(text.strip(), strict=False)))
        except ValueError:
            what = f"{text!r} is no IP address or network."
            raise ApiError(Code.VALIDATION, what, f"addresses[{k}]") from None
    return found
